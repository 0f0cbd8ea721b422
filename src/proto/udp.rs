//! User Datagram Protocol: two ports, a length, a checksum, and then whatever the programs agreed on.
//!
//! Spec: RFC 768; UDP-Lite RFC 3828.
//!
//! ```text
//!  0         2         4         6         8
//! | src port | dst port | length  | checksum | payload …
//! ```

use super::{
    making,
    verify::{self, status},
};
use crate::{
    checksum::Verdict,
    field::{Field, Kind, Value, Visit},
    layer::{Problem, View},
    line::Line,
    protocol::{Ask, Claim, Context, Craft, Dissected, Next, Protocol, Slot},
};
use std::ops::ControlFlow;

const HEADER: usize = 8;
const IP_PROTO: u8 = 17;
const LITE_IP_PROTO: u8 = 136;

/// UDP-Lite: the length field tells how much the checksum covers (RFC 3828).
pub static LITE: Protocol = Protocol {
    name: "udplite",
    label: "UDP-Lite",
    title: "Lightweight User Datagram Protocol",
    spec: "RFC 3828",
    claims: &[Claim::IpProto(LITE_IP_PROTO)],
    fields: &[
        &SRCPORT,
        &DSTPORT,
        &CHECKSUM_COVERAGE,
        &LITE_LENGTH,
        &CHECKSUM,
        &CHECKSUM_STATUS,
        &VERDICT,
        &STREAM,
    ],
    dissect: dissect_lite,
    walk: Some(walk_lite),
    line,
    addresses: None,
    craft: Some(&LITE_CRAFT),
};

/// `udp.checksum_coverage`.
pub static CHECKSUM_COVERAGE: Field = Field::at(
    "udp.checksum_coverage",
    "Checksum coverage",
    Kind::Uint,
    4,
    16,
    "How many bytes from the header on the checksum covers; 0 for all (RFC 3828 §3.1).",
);
/// `udp.length` of UDP-Lite, which has no such field: the packet tells it.
pub static LITE_LENGTH: Field = Field::walked(
    "udp.length",
    "Length",
    Kind::Uint,
    "Bytes of header and payload, as the IP header tells (RFC 3828 §3.1).",
);

/// UDP.
pub static PROTOCOL: Protocol = Protocol {
    name: "udp",
    label: "UDP",
    title: "User Datagram Protocol",
    spec: "RFC 768",
    claims: &[Claim::IpProto(IP_PROTO)],
    fields: FIELDS,
    dissect,
    walk: Some(walk),
    line,
    addresses: None,
    craft: Some(&CRAFT),
};

crate::fields! {
    SRCPORT = Field::at("udp.srcport", "Source port", Kind::Uint, 0, 16, "The port of the sending socket (RFC 768).");
    DSTPORT = Field::at("udp.dstport", "Destination port", Kind::Uint, 2, 16, "The port of the receiving socket (RFC 768).");
    LENGTH = Field::at("udp.length", "Length", Kind::Uint, 4, 16, "Bytes of header and payload (RFC 768).");
    CHECKSUM = Field::at("udp.checksum", "Checksum", Kind::Hex(4), 6, 16, "Over pseudo-header, header and payload; 0 means none (RFC 768).");
    CHECKSUM_STATUS = Field::walked("udp.checksum.status", "Checksum status", Kind::Uint, "Wireshark's number for the outcome of the check.").names(status::NAMES);
    VERDICT = Field::walked("sockwire.checksum", "Checksum verdict", Kind::Text, "Whether the checksum is right, wrong, left to the device, or cannot be told.");
    STREAM = Field::derived("udp.stream", "Stream", Kind::Uint, "Number of the conversation, counted from 0 in the order of first packets.");
}

/// Ports that nobody gave are the program's own and Scapy's DNS; the checksum comes last, and is never 0 (RFC 768).
static CRAFT: Craft = Craft {
    names: &["udp"],
    header: &[0x9c, 0x40, 0, 53, 0, 0, 0, 0],
    slots: &[
        Slot::new(&["sport"], &SRCPORT).asked(Ask::Port),
        Slot::new(&["dport"], &DSTPORT),
        Slot::new(&["len"], &LENGTH).computed(length),
        Slot::new(&["chksum"], &CHECKSUM).computed(checksum),
    ],
    tail: None,
    answers: Some(making::ports_swapped),
};

/// A coverage of 0 is all of it. The checksum is never 0 (RFC 3828 §3.1).
static LITE_CRAFT: Craft = Craft {
    names: &["udplite", "udp-lite"],
    header: &[0x9c, 0x40, 0, 53, 0, 0, 0, 0],
    slots: &[
        Slot::new(&["sport"], &SRCPORT).asked(Ask::Port),
        Slot::new(&["dport"], &DSTPORT),
        Slot::new(&["coverage", "cov"], &CHECKSUM_COVERAGE),
        Slot::new(&["chksum"], &CHECKSUM).computed(lite_checksum),
    ],
    tail: None,
    answers: Some(making::ports_swapped),
};

fn lite_checksum(view: &View<'_>) -> Option<u64> {
    let covered = match usize::from(view.u16(4)?) {
        0 => view.bytes().len(),
        covered => covered,
    };
    match making::covering_checksum(view, LITE_IP_PROTO, 6, covered)? {
        0 => Some(0xffff),
        sum => Some(sum),
    }
}

/// In a jumbogram, which only IPv6 has, it is 0 (RFC 2675 §4).
fn length(view: &View<'_>) -> Option<u64> {
    let length = making::length(view)?;
    let is_v6 = view.addresses().is_some_and(|(source, _)| source.is_ipv6());
    match length {
        0x1_0000.. if is_v6 => Some(0),
        length => Some(length),
    }
}

fn checksum(view: &View<'_>) -> Option<u64> {
    match making::transport_checksum(view, IP_PROTO, 6)? {
        0 => Some(0xffff),
        sum => Some(sum),
    }
}

/// In a jumbogram it is 0 (RFC 2675 §4).
fn length(view: &View<'_>) -> Option<u64> {
    let is_jumbo = |view: &View<'_>| view.addresses().is_some_and(|(source, _)| source.is_ipv6());
    making::length(view).map(|len| match len {
        65_536.. if is_jumbo(view) => 0,
        len => len,
    })
}

/// What the payload is: who claims the lower port, else the higher.
fn by_port(header: &[u8; HEADER]) -> Next {
    let &[s, t, d, e, ..] = header;
    let (src, dst) = (u16::from_be_bytes([s, t]), u16::from_be_bytes([d, e]));
    Next::Either(Claim::UdpPort(src.min(dst)), Claim::UdpPort(src.max(dst)))
}

fn dissect(bytes: &[u8], context: &Context<'_>) -> Dissected {
    let Some(header) = bytes.first_chunk::<HEADER>() else {
        return Dissected::short(bytes, context, HEADER);
    };
    let length = u32::from(u16::from_be_bytes([header[4], header[5]]));
    let mut found = Dissected::new(HEADER, by_port(header), context);
    // In a jumbogram the length is 0, and the datagram goes on to the end of the packet (RFC 2675 §4).
    let v6 = context
        .layers
        .iter()
        .rev()
        .find(|l| l.protocol.addresses.is_some());
    if length == 0 && v6.is_some_and(|l| l.protocol.name != "ip") {
        return found;
    }
    if length < HEADER as u32 {
        found.next = Next::End;
        return found.with(Problem::malformed("length is below 8"));
    }
    if length > context.wire && !context.quoted && !fragmented(context) {
        return found.with(Problem::malformed("length exceeds the packet"));
    }
    found.wire = length;
    found
}

/// A datagram that begins in the first of several fragments is longer than the packet.
fn fragmented(context: &Context<'_>) -> bool {
    context
        .layers
        .last()
        .is_some_and(|below| below.protocol.name == "ipv6.fraghdr")
}

fn walk(view: &View<'_>, visit: &mut dyn Visit) -> ControlFlow<()> {
    let (Some(length), Some(found)) = (view.u16(4), view.u16(6)) else {
        return ControlFlow::Continue(());
    };
    let fields = (&CHECKSUM_STATUS, &VERDICT);
    if found == 0 {
        let v6 = view.addresses().is_some_and(|(source, _)| source.is_ipv6());
        let number = if v6 && !view.layer.quoted {
            status::ILLEGAL
        } else {
            status::NOT_PRESENT
        };
        return verify::show(fields, number, Verdict::Unknown, visit);
    }
    let verdict = if view.layer.problem.is_some() || u32::from(length) > view.layer.wire {
        Verdict::Unknown
    } else {
        verify::with_pseudo_header(view, IP_PROTO, 6)
    };
    verify::show(fields, verify::number(verdict), verdict, visit)
}

fn dissect_lite(bytes: &[u8], context: &Context<'_>) -> Dissected {
    let Some(header) = bytes.first_chunk::<HEADER>() else {
        return Dissected::short(bytes, context, HEADER);
    };
    let found = Dissected::new(HEADER, by_port(header), context);
    match u32::from(u16::from_be_bytes([header[4], header[5]])) {
        1..8 => found.with(Problem::malformed("checksum coverage is below 8")),
        covered if covered > context.wire && !context.quoted => {
            found.with(Problem::malformed("checksum coverage exceeds the datagram"))
        }
        _ => found,
    }
}

fn walk_lite(view: &View<'_>, visit: &mut dyn Visit) -> ControlFlow<()> {
    let Some(covered) = view.u16(4) else {
        return ControlFlow::Continue(());
    };
    let length = Value::Uint(view.layer.wire.into());
    visit.field(&LITE_LENGTH, length, 0..0)?;
    if view.u16(6).is_none() {
        return ControlFlow::Continue(());
    }
    let verdict = match view.layer.problem {
        None => verify::covering(view, LITE_IP_PROTO, usize::from(covered)),
        Some(_) => Verdict::Unknown,
    };
    // Wireshark does not check it unless asked to.
    let fields = (&CHECKSUM_STATUS, &VERDICT);
    verify::show(fields, status::UNVERIFIED, verdict, visit)
}

fn line(view: &View<'_>, line: &mut Line) {
    let ports = (view.u16(0).unwrap_or(0), view.u16(2).unwrap_or(0));
    line.sockets(view.addresses(), ports);
    line.say(format_args!("len={}", view.payload_wire()));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        checksum,
        craft::testing::{built, rebuilt},
        layer::ProblemKind,
        proto::testing::{chain, cut_everywhere, seen},
    };

    const CLAIM: Claim = Claim::IpProto(IP_PROTO);

    fn datagram(length: u16, payload: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0x9c, 0x40, 0x13, 0x88];
        bytes.extend(length.to_be_bytes());
        bytes.extend([0, 0]);
        bytes.extend(payload);
        bytes
    }

    #[test]
    fn shows_every_field() {
        let seen = seen(&PROTOCOL, CLAIM, &datagram(13, b"hello"));
        let expected = [
            ("udp.srcport", "40000"),
            ("udp.dstport", "5000"),
            ("udp.length", "13"),
            ("udp.checksum", "0x0000"),
            ("udp.checksum.status", "3"),
            ("sockwire.checksum", "unknown"),
        ];
        assert_eq!(seen.pairs(), expected);
        assert_eq!(seen.line, "40000 → 5000 len=5");
    }

    #[test]
    fn the_length_decides_where_the_datagram_ends() {
        let padded = seen(&PROTOCOL, CLAIM, &datagram(10, b"hello"));
        assert_eq!((padded.layer.end, padded.problem()), (10, None));
        for length in [0, 7, 14] {
            let wrong = seen(&PROTOCOL, CLAIM, &datagram(length, b"hello"));
            assert_eq!(wrong.problem(), Some(ProblemKind::Malformed), "{length}");
        }
    }

    #[test]
    fn in_a_jumbogram_a_length_of_zero_means_to_the_end() {
        let mut bytes = vec![0x60, 0, 0, 0, 0, 13, 17, 64];
        bytes.extend([0; 32]);
        bytes.extend(datagram(0, b"hello"));
        let ipv6 = (&crate::proto::ipv6::PROTOCOL, Claim::EtherType(0x86dd));
        let seen = chain(&[ipv6, (&PROTOCOL, CLAIM)], &bytes, bytes.len());
        assert_eq!((seen.layer.wire, seen.problem()), (13, None));
        // Without a checksum, which IPv6 does not allow.
        assert_eq!(seen.all("udp.checksum.status"), ["4"]);
    }

    #[test]
    fn a_checksum_is_computed_unless_given_and_is_never_0() {
        let sum = |words: &str| {
            let bytes = built(&format!("ip src=10.0.0.1 dst=10.0.0.2 / {words}"));
            rebuilt(&bytes);
            u16::from_be_bytes([bytes[26], bytes[27]])
        };
        let known = sum("udp sport=1 dport=2 / hex=0000");
        assert_eq!(known, 0xebd4);
        // With this payload the sum comes out as 0, which would say that there is none (RFC 768).
        assert_eq!(sum("udp sport=1 dport=2 / hex=ebd4"), 0xffff);
        assert_eq!(sum("udp sport=1 dport=2 chksum=0 / hex=0000"), 0);
        assert_eq!(sum("udp sport=1 dport=2 len=7 / hex=0000"), 0xebd7);
    }

    #[test]
    fn udp_lite_covers_as_much_as_is_given() {
        let lite = |words: &str| {
            let bytes = built(&format!("ip src=10.0.0.1 dst=10.0.0.2 / udplite {words}"));
            rebuilt(&bytes);
            assert_eq!(bytes[9], LITE_IP_PROTO);
            hex::encode(&bytes[20..28])
        };
        assert_eq!(
            lite("sport=1 dport=2 coverage=8 / hex=0000"),
            lite("sport=1 dport=2 coverage=8 / hex=ffff")
        );
        assert_ne!(
            lite("sport=1 dport=2 / hex=0000"),
            lite("sport=1 dport=2 / hex=ffee")
        );
        // More than there is cannot be summed up.
        assert!(lite("sport=1 dport=2 coverage=11 / hex=0000").ends_with("0000"));
    }

    #[test]
    fn udp_lite_checks_what_is_covered() {
        let claim = Claim::IpProto(LITE_IP_PROTO);
        let verdict = |covered: u16, tail: u8| {
            let mut ip = vec![0x45, 0, 0, 32, 0, 0, 0, 0, 64, LITE_IP_PROTO, 0, 0];
            ip.extend([10, 0, 0, 1, 10, 0, 0, 2]);
            let mut bytes = datagram(covered, &[1, 2, 3, 4]);
            let (source, destination) = ([10, 0, 0, 1].into(), [10, 0, 0, 2].into());
            let start = checksum::pseudo(source, destination, LITE_IP_PROTO, 12);
            let upto = if covered == 0 {
                12
            } else {
                usize::from(covered)
            };
            let sum = checksum::finish(checksum::sum(start, &bytes[..upto.min(12)]));
            bytes[6..8].copy_from_slice(&sum.to_be_bytes());
            bytes[11] = tail;
            ip.extend(bytes);
            let below = (&crate::proto::ipv4::PROTOCOL, Claim::EtherType(0x0800));
            let seen = chain(&[below, (&LITE, claim)], &ip, ip.len());
            assert_eq!(seen.all("udp.length"), ["12"]);
            (seen.problem(), seen.all("sockwire.checksum").concat())
        };
        let words = |word: &str| (None, word.to_owned());
        assert_eq!(verdict(0, 4), words("valid"));
        assert_eq!(verdict(0, 5), words("wrong"));
        assert_eq!(verdict(8, 5), words("valid"));
        for covered in [7, 13] {
            assert_eq!(verdict(covered, 4).0, Some(ProblemKind::Malformed));
        }
        cut_everywhere(&LITE, claim, &datagram(8, &[]), HEADER);
    }

    #[test]
    fn cut_anywhere_is_no_fault_and_ending_early_is() {
        cut_everywhere(&PROTOCOL, CLAIM, &datagram(8, &[]), HEADER);
    }
}
