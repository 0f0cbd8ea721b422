//! How a checksum comes about: which words are added, the running sum, the carries, and how the outcome compares with the field.
//!
//! The decoder's verdict (`verify.rs`) adds up in bigger steps; tests hold both to the same answer.

use super::{gre, icmp, icmpv6, igmp, ipv4, tcp, udp, verify};
use crate::{
    checksum::Verdict,
    field::{Field, Value, Visit},
    layer::View,
    protocol::Protocol,
};
use std::{
    net::IpAddr,
    ops::{ControlFlow, Range},
};

/// Words of a header that are shown one by one: an IPv4 or TCP header with all its options.
const HEADER_WORDS: usize = 30;
/// Words of payload that are shown one by one, at its beginning and at its end.
const PAYLOAD_WORDS: (usize, usize) = (4, 2);

/// A checksum in a layer, ready to be worked out.
#[derive(Clone, Debug)]
pub struct Check<'a> {
    /// The field that holds it.
    pub field: &'static Field,
    /// Its first byte, from the start of the layer.
    pub at: usize,
    /// What it holds.
    pub found: u16,
    /// The words of the pseudo-header, each with what it is part of; none for checksums without one.
    pub pseudo: Vec<(&'static str, u16)>,
    /// What is added up after the pseudo-header; or why nothing can be.
    pub covered: Result<&'a [u8], &'static str>,
    /// What the kernel said, which counts more than the bytes.
    pub kernel: Option<Verdict>,
    /// Bytes of header, in `covered`.
    header: usize,
    /// Without a pseudo-header a device finds zero in the field that it is to fill in.
    zero_is_unfilled: bool,
}

/// One line of the sum: a word, or many words together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// Where the words come from.
    pub part: Part,
    /// How many words.
    pub words: usize,
    /// What they add: the word itself where it is one.
    pub added: u64,
    /// The sum so far.
    pub sum: u64,
}

/// Where words of a sum come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The pseudo-header: what the word is part of.
    Pseudo(&'static str),
    /// The layer, at this byte of it.
    Layer(usize),
}

/// A checksum worked out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sum {
    /// What is added, the checksum field counting as zero.
    pub steps: Vec<Step>,
    /// The sum before each fold of its carries, and at last the 16 bits that stay.
    pub folds: Vec<u64>,
    /// The complement: what the field should hold.
    pub expected: u16,
    /// How that compares with what it holds.
    pub verdict: Verdict,
}

/// How a protocol makes its checksum.
struct Scheme {
    protocol: &'static Protocol,
    field: &'static Field,
    at: usize,
    /// The protocol number in the pseudo-header.
    pseudo: Option<u8>,
    covers: Covers,
}

/// What a checksum covers, or why it cannot be told.
type Covers = for<'a> fn(&View<'a>, u16) -> Result<&'a [u8], &'static str>;

#[rustfmt::skip]
static SCHEMES: &[Scheme] = &[
    Scheme { protocol: &ipv4::PROTOCOL, field: &ipv4::CHECKSUM, at: 10, pseudo: None, covers: ipv4_header },
    Scheme { protocol: &tcp::PROTOCOL, field: &tcp::CHECKSUM, at: 16, pseudo: Some(6), covers: everything },
    Scheme { protocol: &udp::PROTOCOL, field: &udp::CHECKSUM, at: 6, pseudo: Some(17), covers: datagram },
    Scheme { protocol: &udp::LITE, field: &udp::CHECKSUM, at: 6, pseudo: Some(136), covers: beginning },
    Scheme { protocol: &icmp::PROTOCOL, field: &icmp::CHECKSUM, at: 2, pseudo: None, covers: message },
    Scheme { protocol: &icmpv6::PROTOCOL, field: &icmpv6::CHECKSUM, at: 2, pseudo: Some(58), covers: message },
    Scheme { protocol: &igmp::PROTOCOL, field: &igmp::CHECKSUM, at: 2, pseudo: None, covers: everything },
    Scheme { protocol: &gre::PROTOCOL, field: &gre::CHECKSUM, at: 4, pseudo: None, covers: flagged },
];

/// The checksum in `view`; `None` where it has none, or was cut before it.
pub fn check<'a>(view: &View<'a>) -> Option<Check<'a>> {
    let of = |scheme: &&Scheme| std::ptr::eq(scheme.protocol, view.layer.protocol);
    let scheme = SCHEMES.iter().find(of)?;
    // The field is there only where the decoder shows it.
    let mut present = Present(scheme.field, None);
    let _ = view.visit(&mut present);
    let found = u16::try_from(present.1?).ok()?;
    let (mut pseudo, mut covered) = (Vec::new(), (scheme.covers)(view, found));
    if let Some(protocol) = scheme.pseudo {
        match view.addresses() {
            Some(addresses) => pseudo = pseudo_words(addresses, protocol, view.layer.wire),
            None => covered = covered.and(Err("the addresses of its pseudo-header are not known")),
        }
    }
    // The kernel speaks of TCP, UDP and ICMPv6 checksums only, as `verify` asks it.
    let asks_kernel = scheme.pseudo.is_some() && !std::ptr::eq(scheme.protocol, &udp::LITE);
    let told_apart = !matches!(covered, Err(reason) if reason == NONE || reason == BROKEN);
    Some(Check {
        field: scheme.field,
        at: scheme.at,
        found,
        pseudo,
        covered,
        kernel: verify::kernel(view).filter(|_| asks_kernel && told_apart),
        header: view.layer.header as usize,
        zero_is_unfilled: std::ptr::eq(scheme.protocol, &ipv4::PROTOCOL),
    })
}

/// Looks for one field.
struct Present(&'static Field, Option<u64>);

impl Visit for Present {
    fn field(&mut self, field: &'static Field, value: Value<'_>, _: Range<u32>) -> ControlFlow<()> {
        if !field.is(self.0) {
            return ControlFlow::Continue(());
        }
        self.1 = value.as_u64();
        ControlFlow::Break(())
    }
}

/// The words of a pseudo-header (RFC 9293 §3.1; RFC 8200 §8.1, where the length has 32 bits).
fn pseudo_words(
    (source, destination): (IpAddr, IpAddr),
    protocol: u8,
    length: u32,
) -> Vec<(&'static str, u16)> {
    let mut words = Vec::new();
    for (name, address) in [("source", source), ("destination", destination)] {
        match address {
            IpAddr::V4(address) => {
                let [a, b, c, d] = address.octets();
                words.push((name, u16::from_be_bytes([a, b])));
                words.push((name, u16::from_be_bytes([c, d])));
            }
            IpAddr::V6(address) => {
                words.extend(address.segments().map(|segment| (name, segment)));
            }
        }
    }
    let (high, low) = ((length >> 16) as u16, length as u16);
    if source.is_ipv6() {
        words.extend([("length", high), ("length", low), ("zero", 0)]);
        words.push(("zero, next header", protocol.into()));
    } else {
        words.push(("zero, protocol", protocol.into()));
        if high > 0 {
            words.push(("length", high));
        }
        words.push(("length", low));
    }
    words
}

const NONE: &str = "zero says that its sender computed none";
const BROKEN: &str = "the length in its header cannot be true";
const FRAGMENT: &str = "it covers a datagram of which this is one fragment";
const CUT: &str = "it covers bytes that were not captured";
const QUOTED: &str = "it covers a packet that is only quoted here, as a rule not whole";

fn ipv4_header<'a>(view: &View<'a>, _: u16) -> Result<&'a [u8], &'static str> {
    let header = view.header();
    let length = header
        .first()
        .map_or(0, |first| usize::from(first & 0xf) * 4);
    match header.len() < length.max(20) {
        true => Err(CUT),
        false => Ok(header),
    }
}

fn everything<'a>(view: &View<'a>, _: u16) -> Result<&'a [u8], &'static str> {
    if verify::is_fragment(view) {
        return Err(FRAGMENT);
    }
    match (view.is_whole(), view.layer.quoted) {
        (true, _) => Ok(view.bytes()),
        (false, true) => Err(QUOTED),
        (false, false) => Err(CUT),
    }
}

/// GRE has the place without a checksum in it where only the bit for routes is set (RFC 1701).
fn flagged<'a>(view: &View<'a>, found: u16) -> Result<&'a [u8], &'static str> {
    match view.u8(0) {
        Some(flags) if flags & 0x80 != 0 => everything(view, found),
        _ => Err("its flag says that there is none"),
    }
}

/// A message that a quotation holds is never checked.
fn message<'a>(view: &View<'a>, found: u16) -> Result<&'a [u8], &'static str> {
    match view.layer.quoted {
        true => Err(QUOTED),
        false => everything(view, found),
    }
}

fn datagram<'a>(view: &View<'a>, found: u16) -> Result<&'a [u8], &'static str> {
    let length = view.u16(4).map_or(0, u32::from);
    match found {
        0 => Err(NONE),
        _ if view.layer.problem.is_some() || length > view.layer.wire => Err(BROKEN),
        found => everything(view, found),
    }
}

/// UDP-Lite covers as many bytes as it says, or all for 0 (RFC 3828 §3.1).
fn beginning<'a>(view: &View<'a>, _: u16) -> Result<&'a [u8], &'static str> {
    if view.layer.problem.is_some() {
        return Err(BROKEN);
    }
    let upto = match view.u16(4) {
        Some(0) | None => view.layer.wire as usize,
        Some(covered) => covered.into(),
    };
    match view.bytes().get(..upto) {
        _ if verify::is_fragment(view) => Err(FRAGMENT),
        Some(bytes) => Ok(bytes),
        None => Err(CUT),
    }
}

impl Check<'_> {
    /// What the checksum turns out to be: by the kernel's word, else by the sum.
    pub fn verdict(&self) -> Verdict {
        let by_sum = || self.sum().map_or(Verdict::Unknown, |sum| sum.verdict);
        self.kernel.unwrap_or_else(by_sum)
    }

    /// Bytes of header: what follows them is payload.
    pub fn header(&self) -> usize {
        self.header
    }

    /// The sum of the pseudo-header alone, which an offloading device expects in the field.
    pub fn pseudo_sum(&self) -> u16 {
        let sum = self.pseudo.iter().map(|&(_, word)| u64::from(word)).sum();
        folded(sum).1
    }

    /// The sum, step by step; `None` where it cannot be told.
    pub fn sum(&self) -> Option<Sum> {
        let covered = self.covered.ok()?;
        let mut steps: Vec<Step> = Vec::new();
        let mut sum = 0;
        let mut add = |part, words, added| {
            sum += added;
            steps.push(Step {
                part,
                words,
                added,
                sum,
            });
        };
        for &(name, word) in &self.pseudo {
            add(Part::Pseudo(name), 1, u64::from(word));
        }
        let word = |index: usize| match index * 2 {
            at if at == self.at => 0,
            // An odd last byte is padded with zero (RFC 1071 §4.1).
            at => {
                let byte = |at| covered.get(at).copied().unwrap_or(0);
                u64::from(u16::from_be_bytes([byte(at), byte(at + 1)]))
            }
        };
        let words = covered.len().div_ceil(2);
        let first = (self.header / 2).min(HEADER_WORDS) + PAYLOAD_WORDS.0;
        let last = words.saturating_sub(PAYLOAD_WORDS.1);
        let singly = if first + 1 < last { first } else { words };
        for index in 0..singly {
            add(Part::Layer(index * 2), 1, word(index));
        }
        if singly < words {
            let between = (first..last).map(word).sum();
            add(Part::Layer(first * 2), last - first, between);
            for index in last..words {
                add(Part::Layer(index * 2), 1, word(index));
            }
        }
        let (folds, low) = folded(sum);
        let expected = !low;
        Some(Sum {
            steps,
            folds,
            expected,
            verdict: self.compare(low),
        })
    }

    /// With the checksum in it, a sound packet adds up to all ones; this way zero and 0xffff are the same.
    fn compare(&self, low: u16) -> Verdict {
        match folded(u64::from(low) + u64::from(self.found)).1 {
            0xffff => Verdict::Valid,
            _ if !self.pseudo.is_empty() && self.pseudo_sum() == self.found => Verdict::Unfilled,
            _ if self.zero_is_unfilled && self.found == 0 => Verdict::Unfilled,
            _ => Verdict::Wrong,
        }
    }
}

/// The sum as it is, and after each time that the carries above its 16 bits were added to them; and the 16 bits that stay.
fn folded(mut sum: u64) -> (Vec<u64>, u16) {
    let mut folds = vec![sum];
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
        folds.push(sum);
    }
    (folds, sum as u16)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::{
        checksum,
        frame::{Direction, Frame, KernelChecksum},
        layer::{Layer, Packet},
        link::LinkType,
        time::Time,
    };

    /// A datagram from 10.0.0.1:5353 to 10.0.0.2:53 that carries `hello`.
    const UDP: &str = "45000021000100004011 66c9 0a000001 0a000002 14e9 0035 000d 0000 68656c6c6f";

    /// Verdict, sum and pseudo-header's sum of layer `layer` (0 IPv4, 1 UDP) of a packet with `cut` bytes captured.
    fn check_of(packet: &str, layer: usize, cut: usize) -> Option<(Verdict, Option<Sum>, u16)> {
        let digits: String = packet.split_whitespace().collect();
        let bytes = hex::decode(digits).unwrap();
        let (wire, kept) = (bytes.len() as u32, &bytes[..bytes.len().min(cut)]);
        let of = |protocol, start, header| Layer {
            protocol,
            buffer: 0,
            quoted: false,
            start,
            header,
            end: kept.len() as u32,
            wire: wire - start,
            problem: None,
        };
        let frame = Frame {
            number: 1,
            time: Time::default(),
            link: LinkType::RAW,
            interface: 0,
            direction: Direction::Unknown,
            checksum: KernelChecksum::Unknown,
            wire_len: wire,
            bytes: kept,
        };
        let packet = Packet {
            frame,
            layers: &[of(&ipv4::PROTOCOL, 0, 20), of(&udp::PROTOCOL, 20, 8)],
            facts: &[],
            arena: &[],
            buffers: &[],
        };
        let check = check(&packet.view(layer).unwrap())?;
        Some((check.verdict(), check.sum(), check.pseudo_sum()))
    }

    #[test]
    fn an_ipv4_header_adds_up_word_by_word() {
        let (verdict, sum, _) = check_of(UDP, 0, usize::MAX).unwrap();
        let sum = sum.unwrap();
        assert_eq!(sum.steps.len(), 10);
        assert_eq!(sum.steps[0].added, 0x4500);
        assert_eq!(sum.steps[5].added, 0, "the checksum counts as zero");
        assert_eq!((verdict, sum.expected), (Verdict::Valid, 0x66c9));
        assert_eq!(*sum.folds.last().unwrap() as u16, !sum.expected);
        let wrong = UDP.replace("66c9", "66ca");
        assert_eq!(check_of(&wrong, 0, usize::MAX).unwrap().0, Verdict::Wrong);
        let unfilled = UDP.replace("66c9", "0000");
        let verdict = check_of(&unfilled, 0, usize::MAX).unwrap().0;
        assert_eq!(verdict, Verdict::Unfilled);
    }

    #[test]
    fn a_datagram_has_a_pseudo_header_and_a_padded_last_byte() {
        let (verdict, sum, _) = check_of(UDP, 1, usize::MAX).unwrap();
        assert_eq!((verdict, sum), (Verdict::Unknown, None));
        let with = |sum: u16| UDP.replace("000d 0000", &format!("000d {sum:04x}"));
        let (_, sum, pseudo) = check_of(&with(1), 1, usize::MAX).unwrap();
        let sum = sum.unwrap();
        let names: Vec<_> = sum.steps.iter().map(|step| step.part).collect();
        assert_eq!(names[4], Part::Pseudo("zero, protocol"));
        assert_eq!(names[6], Part::Layer(0));
        assert_eq!(sum.steps.last().unwrap().added, 0x6f00);
        let start = checksum::pseudo([10, 0, 0, 1].into(), [10, 0, 0, 2].into(), 17, 13);
        assert_eq!(pseudo, checksum::fold(start));
        let right = with(sum.expected);
        assert_eq!(check_of(&right, 1, usize::MAX).unwrap().0, Verdict::Valid);
        let verdict = check_of(&with(pseudo), 1, usize::MAX).unwrap().0;
        assert_eq!(verdict, Verdict::Unfilled);
        assert_eq!(check_of(&right, 1, 30).unwrap().0, Verdict::Unknown);
    }

    #[test]
    fn long_payload_is_added_in_one_step() {
        let frame = format!(
            "450005dc000100004011 0000 0a000001 0a000002 14e9 0035 05c8 1234 {}",
            "ffff".repeat(736)
        );
        let (_, sum, _) = check_of(&frame, 1, usize::MAX).unwrap();
        let sum = sum.unwrap();
        assert_eq!(sum.steps.len(), 6 + 4 + 4 + 1 + 2);
        assert_eq!(sum.steps[14].words, 730);
        assert_eq!(sum.steps[14].added, 730 * 0xffff);
        assert!(sum.folds.len() > 1);
    }

    #[test]
    fn carries_are_added_until_none_is_left() {
        assert_eq!(folded(0xddf2), (vec![0xddf2], 0xddf2));
        assert_eq!(folded(0x2_fffe), (vec![0x2_fffe, 0x1_0000, 1], 1));
    }
}
