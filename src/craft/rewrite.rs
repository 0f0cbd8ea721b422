//! Rewrites captured packets by rules, for sending them again: fields get other values, checksums follow.

use std::{
    net::{Ipv4Addr, Ipv6Addr},
    ops::{ControlFlow, Range},
};

use super::{
    Choices, MAX_BYTES, build,
    slots::{self, is_called, slots},
    value::{get, put},
};
use crate::{
    decode::{Decoded, Decoder},
    field::{At, Field, Kind, Value, Visit},
    frame::Frame,
    layer::{Layer, Packet, ProblemKind, View},
    link::LinkType,
    proto,
    protocol::{Fill, Protocol, Slot},
    text::near,
};

/// Words that stand for several fields, of whatever layer has them.
const GROUPS: &[(&str, &[&str])] = &[
    (
        "addr",
        &[
            "ip.src",
            "ip.dst",
            "ipv6.src",
            "ipv6.dst",
            "arp.src.proto_ipv4",
            "arp.dst.proto_ipv4",
        ],
    ),
    (
        "port",
        &["tcp.srcport", "tcp.dstport", "udp.srcport", "udp.dstport"],
    ),
    (
        "mac",
        &["eth.src", "eth.dst", "arp.src.hw_mac", "arp.dst.hw_mac"],
    ),
    ("ttl", &["ip.ttl", "ipv6.hlim"]),
    ("ip.addr", &["ip.src", "ip.dst"]),
    ("ipv6.addr", &["ipv6.src", "ipv6.dst"]),
    ("tcp.port", &["tcp.srcport", "tcp.dstport"]),
    ("udp.port", &["udp.srcport", "udp.dstport"]),
    ("eth.addr", &["eth.src", "eth.dst"]),
];

/// EtherTypes of VLAN tags (IEEE 802.1Q, 802.1ad, and the unregistered one before it).
const TAGS: [u16; 3] = [0x8100, 0x88a8, 0x9100];

/// Gives fields other values.
#[derive(Clone, Debug)]
pub struct Rule {
    targets: Vec<Target>,
    /// Also in the packet that an ICMP error quotes.
    quoted: bool,
}

/// Where a protocol has a field.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub(super) protocol: &'static Protocol,
    pub(super) slot: Slot,
    /// [`Slot::place`] says where; else only a visit finds the field.
    pub(super) fixed: bool,
}

/// A field, and what becomes of its values.
#[derive(Clone, Debug)]
struct Target {
    place: Place,
    maps: Vec<Map>,
}

/// A value that is `from` in the bits of `mask` keeps the bits of `keep`, and gets those of `to`.
#[derive(Clone, Copy, Debug)]
struct Map {
    mask: u128,
    from: u128,
    keep: u128,
    to: u128,
}

impl Map {
    fn exactly(from: u128, to: u128) -> Self {
        Self {
            mask: u128::MAX,
            from,
            keep: 0,
            to,
        }
    }

    fn any(to: u128) -> Self {
        Self {
            mask: 0,
            from: 0,
            keep: 0,
            to,
        }
    }

    fn apply(&self, value: u128) -> Option<u128> {
        (value & self.mask == self.from).then_some(value & self.keep | self.to)
    }
}

impl Rule {
    /// `FIELD:OLD=NEW[,OLD=NEW…]`, also with prefixes (`ip.dst:10.1.0.0/16=10.2.0.0/16`): these values become those, also in
    /// the packet that an ICMP error quotes.
    ///
    /// # Errors
    /// What is wrong, in words.
    pub fn map(text: &str) -> Result<Self, String> {
        let (name, pairs) = text
            .split_once(':')
            .ok_or("expected FIELD:OLD=NEW, such as ip.dst:10.0.0.2=10.0.0.9")?;
        Self::of(name, true, |slot| {
            let pairs = pairs.split(',').map(|pair| {
                let (old, new) = pair
                    .split_once('=')
                    .ok_or_else(|| format!("expected OLD=NEW in place of {pair}"))?;
                one_map(slot, old, new)
            });
            pairs.collect()
        })
    }

    /// `FIELD=VALUE`: the field gets this value in every packet that has it, but not where it is quoted.
    ///
    /// # Errors
    /// What is wrong, in words.
    pub fn set(text: &str) -> Result<Self, String> {
        let (name, value) = text
            .split_once('=')
            .ok_or("expected FIELD=VALUE, such as ip.ttl=3")?;
        Self::of(name, false, |slot| Ok(vec![Map::any(single(slot, value)?)]))
    }

    /// The rule for all fields called `name` that have a place for such values.
    fn of(
        name: &str,
        quoted: bool,
        maps: impl Fn(&Slot) -> Result<Vec<Map>, String>,
    ) -> Result<Self, String> {
        let group = GROUPS.iter().find(|(word, _)| *word == name);
        let alone = [name];
        let names = group.map_or(&alone[..], |(_, names)| names);
        let places: Vec<Place> = names.iter().flat_map(|name| places(name)).collect();
        if places.is_empty() {
            return Err(unknown(name));
        }
        let mut targets = Vec::new();
        let mut fault = None;
        for place in places {
            match maps(&place.slot) {
                Ok(maps) => targets.push(Target { place, maps }),
                Err(message) => fault = Some(message),
            }
        }
        match fault {
            // Of `addr`, the fields of one version of IP are enough.
            Some(message) if targets.is_empty() => Err(format!("{name}: {message}")),
            _ => Ok(Self { targets, quoted }),
        }
    }
}

/// The fields called `name`: a word of the notation behind its layer's (`tcp.dport`), or Wireshark's name.
pub(super) fn places(name: &str) -> Vec<Place> {
    let mut found = Vec::new();
    let (layer, word) = name.split_once('.').unwrap_or(("", name));
    for protocol in proto::ALL.iter().copied() {
        let names = protocol.craft.map_or(&[][..], |craft| craft.names);
        let of_layer = names.contains(&layer) || protocol.name == layer;
        let mut add = |slot: Slot, fixed| {
            found.push(Place {
                protocol,
                slot,
                fixed,
            });
        };
        // Several where forms of the header have the field in different places.
        let mut slots = slots(protocol);
        slots.retain(|slot| slot.field.name == name || of_layer && is_called(protocol, slot, word));
        let fields = protocol.fields.iter();
        let mut walked = fields.filter(|field| field.name == name && field.at == At::Walked);
        match walked.next().filter(|_| slots.is_empty()) {
            // Wide enough for any value; its true width is known once it is found.
            Some(field) => add(Slot::at(&[], field, (0, 0, width(field.kind))), false),
            None => slots.into_iter().for_each(|slot| add(slot, true)),
        }
    }
    found
}

/// Bits of a value of `kind`, at most.
fn width(kind: Kind) -> u16 {
    match kind {
        Kind::Flag => 1,
        Kind::Mac => 48,
        Kind::Ipv4 => 32,
        Kind::Ipv6 => 128,
        _ => 64,
    }
}

/// What is said of a name that no field has.
pub(super) fn unknown(name: &str) -> String {
    let layer = name.split('.').next().unwrap_or(name);
    let mut known: Vec<String> = GROUPS.iter().map(|(word, _)| (*word).to_owned()).collect();
    for protocol in proto::ALL {
        let words = slots(protocol);
        let words = words.iter().map(|slot| slots::word(protocol, slot));
        let own = slots::layer_name(protocol).unwrap_or(protocol.name);
        known.extend(words.map(|word| format!("{own}.{word}")));
        known.extend(protocol.fields.iter().map(|field| field.name.to_owned()));
    }
    let meant = near(name, known.iter().map(String::as_str));
    let meant = meant.map_or_else(
        || format!("sockwire protocols {layer} lists fields"),
        |near| format!("did you mean {near}?"),
    );
    format!("no field is called {name}; {meant}")
}

/// One value, as the number that stands in the header.
fn single(slot: &Slot, text: &str) -> Result<u128, String> {
    let choices = Choices::read(slot, text)?;
    match choices.len() {
        1 => Ok(choices.nth(0)),
        _ => Err(format!("expected one value, not {text}")),
    }
}

fn one_map(slot: &Slot, old: &str, new: &str) -> Result<Map, String> {
    match (old.split_once('/'), new.split_once('/')) {
        (Some((old, bits)), Some((new, same))) if bits == same => {
            let whole = match slot.field.kind {
                Kind::Ipv4 => Ipv4Addr::BITS,
                Kind::Ipv6 => Ipv6Addr::BITS,
                _ => return Err("only addresses have prefixes".to_owned()),
            };
            let bits: u32 = bits.parse().map_err(|_| "expected a prefix length")?;
            let host = whole
                .checked_sub(bits)
                .ok_or_else(|| format!("a prefix length is at most {whole}"))?;
            let keep = 1u128.checked_shl(host).map_or(u128::MAX, |n| n - 1);
            let (from, to) = (single(slot, old)? & !keep, single(slot, new)? & !keep);
            Ok(Map {
                mask: !keep,
                from,
                keep,
                to,
            })
        }
        (None, None) => Ok(Map::exactly(single(slot, old)?, single(slot, new)?)),
        _ => Err("both sides need the same prefix length".to_owned()),
    }
}

/// Which checksums are made right.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mend {
    /// All of them, also those that were wrong in the capture.
    All,
    /// Those over bytes that changed, by the difference: a wrong one stays wrong (RFC 1624). One that was left to the
    /// device is filled in.
    #[default]
    Changed,
    /// None.
    None,
}

/// What becomes of VLAN tags.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Vlan {
    /// The outermost tag gets this number; a frame without a tag gets one.
    Id(u16),
    /// All tags are taken off.
    None,
}

/// How frames are rewritten.
#[derive(Clone, Debug, Default)]
pub struct Rewriting {
    /// In order: of two rules for one field, the later one counts. All read what the capture has.
    pub rules: Vec<Rule>,
    /// Of Ethernet frames.
    pub vlan: Option<Vlan>,
    /// Which checksums.
    pub mend: Mend,
    /// What the snapshot length cut off is replaced by zeros; such a packet gets right checksums.
    pub fill: bool,
    /// Packets begin with their IP header. Without, Ethernet frames stay frames.
    pub without_link: bool,
}

/// Why a frame cannot be sent again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LeftOut {
    /// The snapshot length cut it.
    Cut,
    /// It is said to have been longer than any packet is.
    TooLong,
    /// Its link header is not Ethernet, or not wanted, and no IP packet is in it.
    NotIp,
}

impl LeftOut {
    /// In words.
    pub const fn words(self) -> &'static str {
        match self {
            Self::Cut => "cut by the snapshot length (--fill zeros sends them)",
            Self::TooLong => "longer on the wire, says the file, than any packet is",
            Self::NotIp => {
                "without IP, which have no route (-i IF sends Ethernet frames as they are)"
            }
        }
    }
}

/// What a frame became.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rewritten {
    /// What its first byte is: Ethernet or IP.
    pub link: LinkType,
    /// It belongs to a TCP connection.
    pub is_tcp: bool,
}

/// Rewrites frame after frame.
#[derive(Debug, Default)]
pub struct Rewriter {
    how: Rewriting,
    decoder: Decoder,
    decoded: Decoded,
    filled: Vec<u8>,
    work: Vec<u8>,
}

impl Rewriter {
    /// Ready to rewrite.
    pub fn new(how: Rewriting) -> Self {
        Self {
            how,
            ..Self::default()
        }
    }

    /// Appends the rewritten frame to `out`.
    ///
    /// # Errors
    /// When it cannot be sent; `out` is as it was then.
    pub fn frame(&mut self, frame: &Frame<'_>, out: &mut Vec<u8>) -> Result<Rewritten, LeftOut> {
        let cut = (frame.wire_len as usize).saturating_sub(frame.bytes.len());
        let mut mend = self.how.mend;
        let mut frame = *frame;
        if cut > 0 {
            if !self.how.fill {
                return Err(LeftOut::Cut);
            }
            if frame.wire_len as usize > MAX_BYTES {
                return Err(LeftOut::TooLong);
            }
            self.filled.clear();
            self.filled.extend_from_slice(frame.bytes);
            self.filled.resize(frame.wire_len as usize, 0);
            frame.bytes = &self.filled;
            if mend != Mend::None {
                mend = Mend::All;
            }
        }
        self.decoded.clear();
        self.decoder.frame(&frame, &mut self.decoded);
        let packet = self.decoded.packet_of(frame, 0).ok_or(LeftOut::NotIp)?;
        // A file that does not know the wire length of a packet it has a part of.
        let is_cut = |view: View<'_>| {
            let problem = view.layer.problem;
            !view.layer.quoted && problem.is_some_and(|p| p.kind == ProblemKind::Cut)
        };
        if packet.views().any(is_cut) {
            return Err(LeftOut::Cut);
        }
        let keeps_link = frame.link == LinkType::ETHERNET && !self.how.without_link;
        let range = match keeps_link {
            true => 0..frame.bytes.len(),
            false => ip(&packet).ok_or(LeftOut::NotIp)?,
        };
        self.work.clear();
        self.work.extend_from_slice(frame.bytes);
        for rule in &self.how.rules {
            rule.apply(&packet, &mut self.work);
        }
        if mend != Mend::None {
            mend_all(&packet, &mut self.work, mend);
        }
        let start = out.len();
        out.extend_from_slice(self.work.get(range).unwrap_or(&[]));
        if let Some(vlan) = self.how.vlan.filter(|_| keeps_link) {
            retag(vlan, start, out);
        }
        Ok(Rewritten {
            link: match keeps_link {
                true => LinkType::ETHERNET,
                false => LinkType::RAW,
            },
            is_tcp: packet.find(&proto::tcp::PROTOCOL).is_some(),
        })
    }
}

/// Where the outermost IP packet lies, without padding.
fn ip(packet: &Packet<'_>) -> Option<Range<usize>> {
    let is_ip = |layer: &&Layer| {
        let ip: [&'static Protocol; 2] = [&proto::ipv4::PROTOCOL, &proto::ipv6::PROTOCOL];
        ip.iter().any(|ip| std::ptr::eq(layer.protocol, *ip))
    };
    let layer = packet.layers.iter().find(is_ip)?;
    Some(layer.start as usize..layer.end as usize)
}

impl Rule {
    fn apply(&self, packet: &Packet<'_>, out: &mut [u8]) {
        for view in packet.views().filter(|view| view.layer.buffer == 0) {
            if view.layer.quoted && !self.quoted {
                continue;
            }
            for target in &self.targets {
                if std::ptr::eq(target.place.protocol, view.layer.protocol) {
                    target.apply(&view, out);
                }
            }
        }
    }
}

impl Target {
    fn apply(&self, view: &View<'_>, out: &mut [u8]) {
        if !self.place.fixed {
            let _ = view.visit(&mut Walked { target: self, out });
            return;
        }
        let (header, start) = (view.header(), view.layer.start as usize);
        if self.place.slot.when.is_some_and(|when| !when(header)) {
            return;
        }
        let value = get(header, self.place.slot.place).and_then(|value| self.changed(value));
        if let (Some(value), Some(header)) = (value, out.get_mut(start..start + header.len())) {
            put(header, self.place.slot.place, value);
        }
    }

    fn changed(&self, value: u128) -> Option<u128> {
        self.maps.iter().find_map(|map| map.apply(value))
    }
}

/// Changes a field where a visit finds it.
struct Walked<'a> {
    target: &'a Target,
    out: &'a mut [u8],
}

impl Visit for Walked<'_> {
    fn field(&mut self, field: &'static Field, _: Value<'_>, at: Range<u32>) -> ControlFlow<()> {
        let bits = at.end.saturating_sub(at.start);
        if !field.is(self.target.place.slot.field) || bits == 0 || bits > 128 {
            return ControlFlow::Continue(());
        }
        let start = (at.start / 8) as usize;
        let place = (0, (at.start % 8) as u8, bits as u16);
        if let Some(slice) = self.out.get_mut(start..)
            && let Some(value) = get(slice, place).and_then(|value| self.target.changed(value))
        {
            put(slice, place, value);
        }
        ControlFlow::Continue(())
    }
}

/// Makes checksums follow what changed, from the inside out: outer ones cover inner ones.
fn mend_all(packet: &Packet<'_>, out: &mut [u8], mend: Mend) {
    for index in (0..packet.layers.len()).rev() {
        let Some(before) = packet.view(index).filter(|view| view.layer.buffer == 0) else {
            continue;
        };
        let protocol = before.layer.protocol;
        for slot in protocol.craft.map_or(&[][..], |craft| craft.slots) {
            let Fill::Computed(compute) = slot.fill else {
                continue;
            };
            let is_checksum = slot.field.name.ends_with("checksum");
            if !is_checksum || slot.when.is_some_and(|when| !when(before.header())) {
                continue;
            }
            let after = build::packet(out, packet.layers, packet.frame.link);
            let sums = (
                get(before.header(), slot.place),
                compute(&before),
                after.view(index).as_ref().and_then(compute),
            );
            if let (Some(found), Some(was), Some(is)) = sums
                && let Some(sum) = mended(&before, slot, mend, [found as u64, was, is])
            {
                let start = before.layer.start as usize;
                put(&mut out[start..], slot.place, sum.into());
            }
        }
    }
}

/// The checksum for a header that has `found`, where `was` would have been right and `is` is right now.
fn mended(view: &View<'_>, slot: &Slot, mend: Mend, sums: [u64; 3]) -> Option<u64> {
    let [found, was, is] = sums;
    // UDP without a checksum stays so (RFC 768).
    if found == 0 && slot.field.name == "udp.checksum" {
        return None;
    }
    let verdict = verdict(view);
    if verdict == "unfilled" || mend == Mend::All && verdict == "wrong" {
        return Some(is);
    }
    if was == is {
        return None;
    }
    if found == was {
        return Some(is);
    }
    // RFC 1624 §3, equation 3; of the sums only their complements are at hand: HC' = ~(~HC + ~is + was).
    let mut sum = (!found & 0xffff) + (!is & 0xffff) + was;
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    match (!sum & 0xffff, slot.field.name) {
        (0, "udp.checksum") => Some(0xffff),
        (sum, _) => Some(sum),
    }
}

/// The word of `sockwire.checksum` in this layer; empty where it has none.
fn verdict(view: &View<'_>) -> &'static str {
    struct Verdict(&'static str);
    impl Visit for Verdict {
        fn field(
            &mut self,
            field: &'static Field,
            value: Value<'_>,
            _: Range<u32>,
        ) -> ControlFlow<()> {
            if let (Value::Text(text), "sockwire.checksum") = (value, field.name) {
                let known = ["valid", "wrong", "unfilled"].into_iter();
                let mut known = known.filter(|word| word.as_bytes() == text);
                self.0 = known.next().unwrap_or("");
                return ControlFlow::Break(());
            }
            ControlFlow::Continue(())
        }
    }
    let mut found = Verdict("");
    let _ = view.visit(&mut found);
    found.0
}

/// Changes the VLAN tags of the Ethernet frame that begins at `start`.
fn retag(vlan: Vlan, start: usize, out: &mut Vec<u8>) {
    let at = start + 12;
    let tagged = |out: &[u8]| {
        let kind = out
            .get(at..at + 2)
            .map(|b| u16::from_be_bytes([b[0], b[1]]));
        out.len() >= at + 4 && kind.is_some_and(|kind| TAGS.contains(&kind))
    };
    match vlan {
        Vlan::None => {
            while tagged(out) {
                out.drain(at..at + 4);
            }
        }
        Vlan::Id(id) if tagged(out) => {
            let priority = out[at + 2] & 0xf0;
            out[at + 2] = priority | (id >> 8) as u8 & 0x0f;
            out[at + 3] = id as u8;
        }
        Vlan::Id(id) if out.len() >= at => {
            let [high, low] = id.to_be_bytes();
            out.splice(at..at, [0x81, 0x00, high & 0x0f, low]);
        }
        Vlan::Id(_) => {}
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::{craft::testing::built as crafted, frame::KernelChecksum};

    fn frame(link: LinkType, bytes: &[u8]) -> Frame<'_> {
        build::packet(bytes, &[], link).frame
    }

    fn rules(maps: &[&str], sets: &[&str]) -> Rewriting {
        let maps = maps.iter().map(|text| Rule::map(text).unwrap());
        let sets = sets.iter().map(|text| Rule::set(text).unwrap());
        Rewriting {
            rules: maps.chain(sets).collect(),
            ..Rewriting::default()
        }
    }

    fn rewritten(how: Rewriting, frame: &Frame<'_>) -> Vec<u8> {
        let mut out = Vec::new();
        Rewriter::new(how).frame(frame, &mut out).unwrap();
        out
    }

    fn raw(spec: &str, how: Rewriting) -> Vec<u8> {
        let bytes = crafted(spec);
        rewritten(how, &frame(LinkType::RAW, &bytes))
    }

    const DATAGRAM: &str = "ip src=10.0.0.1 dst=10.0.0.2 / udp sport=40000 dport=53 / text=hello";

    #[test]
    fn fields_change_and_checksums_follow() {
        let how = rules(
            &["ip.dst:10.0.0.2=10.0.0.9", "port:53=5353,40000=4"],
            &["ip.ttl=3"],
        );
        let expected = "ip ttl=3 src=10.0.0.1 dst=10.0.0.9 / udp sport=4 dport=5353 / text=hello";
        assert_eq!(raw(DATAGRAM, how), crafted(expected));
        // Values that change places, and a prefix.
        let swap = rules(&["addr:10.0.0.1=10.0.0.2,10.0.0.2=10.0.0.1"], &[]);
        let expected = DATAGRAM.replace("src=10.0.0.1 dst=10.0.0.2", "src=10.0.0.2 dst=10.0.0.1");
        assert_eq!(raw(DATAGRAM, swap), crafted(&expected));
        let moved = rules(&["ip.addr:10.0.0.0/16=192.168.0.0/16"], &[]);
        assert_eq!(
            raw(DATAGRAM, moved),
            crafted(&DATAGRAM.replace("10.0.", "192.168."))
        );
    }

    #[test]
    fn wrong_checksums_stay_wrong_unless_all_are_mended() {
        let wrong = "ip src=10.0.0.1 dst=10.0.0.2 / tcp sport=1 dport=2 chksum=0xdead / text=hello";
        let right = wrong.replace(" chksum=0xdead", "");
        let field = |bytes: &[u8]| u16::from_be_bytes([bytes[36], bytes[37]]);
        let how = rules(&["ip.dst:10.0.0.2=10.0.0.3"], &[]);
        let expected = field(&crafted(&right.replace("0.2", "0.3")));
        let was = field(&crafted(&right));
        let with = |mend| {
            let bytes = crafted(wrong);
            let how = Rewriting {
                mend,
                ..how.clone()
            };
            field(&rewritten(how, &frame(LinkType::RAW, &bytes)))
        };
        assert_eq!(with(Mend::All), expected);
        assert_eq!(with(Mend::None), 0xdead);
        // As wrong as before: the same distance from the right one, in ones' complement.
        let distance =
            |found: u16, right: u16| (u32::from(found) + 0xffff - u32::from(right)) % 0xffff;
        let mended = with(Mend::Changed);
        assert_eq!(distance(mended, expected), distance(0xdead, was));
        assert_ne!(mended, expected);
    }

    #[test]
    fn what_an_offloading_device_should_fill_in_is_filled_in() {
        let mut bytes = crafted(DATAGRAM);
        bytes[26..28].copy_from_slice(&[0x12, 0x34]);
        let mut frame = frame(LinkType::RAW, &bytes);
        frame.checksum = KernelChecksum::Unfilled;
        let out = rewritten(Rewriting::default(), &frame);
        assert_eq!(out, crafted(DATAGRAM));
    }

    #[test]
    fn a_datagram_without_a_checksum_keeps_none() {
        let none = DATAGRAM.replace("dport=53", "dport=53 chksum=0");
        let expected = none.replace("53", "54");
        let out = raw(&none, rules(&["udp.dport:53=54"], &[]));
        assert_eq!(out, crafted(&expected));
    }

    #[test]
    fn the_packet_that_an_icmp_error_quotes_is_mapped_and_not_set() {
        let quoting = |ttl: u8, host: u8| {
            let inner = format!("ip ttl=9 src=10.0.0.1 dst=10.0.0.{host} / udp sport=1 dport=2");
            format!("ip ttl={ttl} src=10.0.0.{host} dst=10.0.0.1 / icmp type=3 code=3 / {inner}")
        };
        let how = rules(&["addr:10.0.0.2=10.0.0.9"], &["ttl=3"]);
        assert_eq!(raw(&quoting(64, 2), how), crafted(&quoting(3, 9)));
        let six = |net: u8| {
            format!("ip6 src=fd0{net}::1 dst=fd0{net}::2 / udp sport=1 dport=2 / text=hello")
        };
        let moved = rules(&["addr:fd00::/64=fd01::/64"], &[]);
        assert_eq!(raw(&six(0), moved), crafted(&six(1)));
    }

    #[test]
    fn tags_are_put_on_changed_and_taken_off() {
        let bytes = crafted(&format!(
            "eth dst=02:00:00:00:00:02 src=02:00:00:00:00:01 / {DATAGRAM}"
        ));
        let with = |bytes: &[u8], vlan| {
            let how = Rewriting {
                vlan: Some(vlan),
                ..rules(&["ip.dst:10.0.0.2=10.0.0.9"], &[])
            };
            rewritten(how, &frame(LinkType::ETHERNET, bytes))
        };
        let plain = with(&bytes, Vlan::None);
        assert_eq!(plain.len(), bytes.len());
        let tagged = with(&bytes, Vlan::Id(5));
        assert_eq!(tagged[12..18], [0x81, 0, 0, 5, 8, 0]);
        let other = with(&tagged, Vlan::Id(0xabc));
        assert_eq!(other[12..16], [0x81, 0, 0x0a, 0xbc]);
        // Behind the tag, the rules and the checksums are the same.
        assert_eq!(other[18..], plain[14..]);
        assert_eq!(with(&other, Vlan::None), plain);
    }

    #[test]
    fn without_its_link_header_an_ip_packet_is_left_and_nothing_of_others() {
        let bytes = crafted(&format!(
            "eth dst=02:00:00:00:00:02 src=02:00:00:00:00:01 trailer=zeros:6 / {DATAGRAM}"
        ));
        let how = Rewriting {
            without_link: true,
            ..Rewriting::default()
        };
        let frame = frame(LinkType::ETHERNET, &bytes);
        let mut out = vec![7];
        let mut rewriter = Rewriter::new(how);
        let rewritten = Rewritten {
            link: LinkType::RAW,
            is_tcp: false,
        };
        assert_eq!(rewriter.frame(&frame, &mut out), Ok(rewritten));
        assert_eq!(out[1..], crafted(DATAGRAM));
        let arp = [&[0xff; 12][..], &[8, 6], &[0; 46]].concat();
        let arp = Frame {
            bytes: &arp,
            wire_len: 60,
            ..frame
        };
        let before = out.len();
        assert_eq!(rewriter.frame(&arp, &mut out), Err(LeftOut::NotIp));
        assert_eq!(out.len(), before);
    }

    #[test]
    fn what_was_cut_is_left_out_or_filled() {
        let bytes = crafted(DATAGRAM);
        let cut = Frame {
            bytes: &bytes[..30],
            ..frame(LinkType::RAW, &bytes)
        };
        let mut out = Vec::new();
        let mut rewriter = Rewriter::default();
        assert_eq!(rewriter.frame(&cut, &mut out), Err(LeftOut::Cut));
        let how = Rewriting {
            fill: true,
            ..Rewriting::default()
        };
        let expected = DATAGRAM.replace("text=hello", "hex=6865000000");
        assert_eq!(rewritten(how, &cut), crafted(&expected));
    }

    #[test]
    fn mistakes_in_rules_are_told() {
        for (text, told) in [
            ("ip.dst", "expected FIELD:OLD=NEW"),
            ("ip.dts:10.0.0.1=10.0.0.2", "did you mean ip.dst?"),
            ("ip.dst:10.0.0.1", "expected OLD=NEW"),
            ("ip.dst:10.0.0.1=x", "expected an IPv4 address"),
            ("ip.dst:10.0.0.0/8=10.0.0.0/9", "the same prefix length"),
            ("ip.dst:10.0.0.0/33=10.0.0.0/33", "at most 32"),
            ("tcp.port:1=65536", "at most 65535"),
            ("tcp.port:1/8=2/8", "only addresses have prefixes"),
        ] {
            let said = Rule::map(text).unwrap_err();
            assert!(said.contains(told), "{text}: {said}");
        }
        assert!(Rule::set("ip.ttl=1..3").unwrap_err().contains("one value"));
        assert!(Rule::set("nothing=1").unwrap_err().contains("no field"));
    }

    #[test]
    fn no_bytes_make_it_panic() {
        let how = Rewriting {
            vlan: Some(Vlan::Id(1)),
            mend: Mend::All,
            fill: true,
            ..rules(
                &[
                    "addr:0.0.0.0/0=10.0.0.0/0",
                    "mac:00:00:00:00:00:00=02:00:00:00:00:01",
                ],
                &["ip.ttl=3", "tcp.options.mss_val=1", "port=7"],
            )
        };
        let mut rewriter = Rewriter::new(how);
        let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
        let mut out = Vec::new();
        for _ in 0..20_000 {
            let mut bytes = crafted("eth / ip / tcp mss=5 sackok / text=hello");
            for _ in 0..4 {
                seed ^= seed << 13;
                seed ^= seed >> 7;
                seed ^= seed << 17;
                let at = (seed >> 8) as usize % bytes.len();
                bytes[at] = seed as u8;
            }
            bytes.truncate(bytes.len() - (seed >> 40) as usize % 8);
            out.clear();
            let _ = rewriter.frame(&frame(LinkType::ETHERNET, &bytes), &mut out);
        }
    }
}
