//! Address resolution (ARP) and its reverse (RARP): who has this protocol address, and which hardware address is it?
//!
//! Spec: RFC 826; RARP RFC 903; probes and announcements RFC 5227.
//!
//! ```text
//!  0          2           4         5         6        8
//! | hardware | protocol  | hw len  | pr len  | opcode | sender hw | sender pr | target hw | target pr |
//! ```

use crate::{
    field::{Field, Kind, Value, Visit},
    layer::View,
    line::Line,
    proto::{ethertype::NAMES, making},
    protocol::{Ask, Claim, Context, Craft, Dissected, Next, Part, Protocol, Slot, Tail},
    text::{Colons, Mac},
};
use std::{
    fmt,
    net::{IpAddr, Ipv4Addr},
    ops::ControlFlow,
};

const FIXED: usize = 8;
const REQUEST: u16 = 1;
const REPLY: u16 = 2;
/// ATM has a header of its own from byte 4 on (RFC 2225 §7.1); only the opcode stands where it always does.
const ATM: u16 = 19;

/// ARP and RARP.
pub static PROTOCOL: Protocol = Protocol {
    name: "arp",
    label: "ARP",
    title: "Address Resolution Protocol",
    spec: "RFC 826",
    claims: &[Claim::EtherType(0x0806), Claim::EtherType(0x8035)],
    fields: FIELDS,
    dissect,
    walk: Some(walk),
    line,
    addresses: Some(addresses),
    craft: Some(&CRAFT),
};

/// A request of a host on Ethernet for an IPv4 address; addresses of other sizes are given as bytes.
static CRAFT: Craft = Craft {
    names: &["arp"],
    header: &[
        0, 1, 8, 0, 6, 4, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    ],
    slots: &[
        Slot::new(&["hwtype"], &HW_TYPE),
        Slot::new(&["ptype"], &PROTO_TYPE),
        Slot::at(&["hwlen"], &HW_SIZE, (4, 0, 8)),
        Slot::at(&["plen"], &PROTO_SIZE, (5, 0, 8)),
        Slot::at(&["op"], &OPCODE, (6, 0, 16)),
        Slot::at(&["hwsrc"], &SRC_HW_MAC, (8, 0, 48))
            .asked(Ask::SourceMac)
            .when(is_usual),
        Slot::at(&["psrc"], &SRC_PROTO_IPV4, (14, 0, 32))
            .asked(Ask::Source)
            .when(is_usual),
        Slot::at(&["hwdst"], &DST_HW_MAC, (18, 0, 48)).when(is_usual),
        Slot::at(&["pdst"], &DST_PROTO_IPV4, (24, 0, 32)).when(is_usual),
    ],
    tail: Some(&Tail {
        parts: &[Part {
            words: &["addresses"],
            form: "HEX",
            doc: "everything behind the opcode, for addresses of other sizes",
            write: |value, header| {
                header.truncate(FIXED);
                making::append(value, header)
            },
        }],
        finish: None,
        read: |view, word| {
            let header = view.header();
            if let Some(addresses) = header.get(FIXED..).filter(|_| !is_usual(header)) {
                word("addresses", hex::encode(addresses));
            }
        },
    }),
    answers: Some(answers),
};

/// Hardware addresses of 6 bytes and protocol addresses of 4.
fn is_usual(header: &[u8]) -> bool {
    header.len() == 28 && header[4..6] == [6, 4]
}

/// A reply tells what was asked: a hardware address, or with reverse and inverse ones a protocol address (RFC 826, 903, 2390).
fn answers(request: &View<'_>, reply: &View<'_>) -> bool {
    let (Some(asked), Some(found)) = (Parts::read(request), Parts::read(reply)) else {
        return false;
    };
    let [_, _, (_, hardware), (_, protocol)] = asked.addresses;
    let [(_, sender), (_, sender_protocol), (_, target), _] = found.addresses;
    match (asked.opcode, found.opcode) {
        (REQUEST, REPLY) => sender_protocol == protocol,
        (3, 4) => target == hardware,
        (8, 9) => sender == hardware,
        _ => false,
    }
}

/// Sender and target, where they are IPv4 addresses.
fn addresses(view: &View<'_>) -> Option<(IpAddr, IpAddr)> {
    let parts = Parts::read(view)?;
    match (parts.address(1), parts.address(3)) {
        (Address::Ipv4(sender), Address::Ipv4(target)) => Some((sender.into(), target.into())),
        _ => None,
    }
}

const HARDWARE: &[(u64, &str)] = &[
    (1, "Ethernet"),
    (3, "AX.25"),
    (6, "IEEE 802"),
    (7, "ARCNET"),
    (15, "Frame Relay"),
    (18, "Fibre Channel"),
    (19, "ATM"),
    (24, "IEEE 1394"),
    (32, "InfiniBand"),
];
const OPCODES: &[(u64, &str)] = &[
    (1, "request"),
    (2, "reply"),
    (3, "reverse request"),
    (4, "reverse reply"),
    (8, "inverse request"),
    (9, "inverse reply"),
    (10, "NAK"),
];

crate::fields! {
    HW_TYPE = Field::at("arp.hw.type", "Hardware type", Kind::Uint, 0, 16, "What kind of hardware addresses these are; 1 is Ethernet (RFC 826).").names(HARDWARE);
    PROTO_TYPE = Field::at("arp.proto.type", "Protocol type", Kind::Hex(4), 2, 16, "What kind of protocol addresses these are, an EtherType; 0x0800 is IPv4 (RFC 826).").names(NAMES);
    HW_SIZE = Field::walked("arp.hw.size", "Hardware size", Kind::Uint, "Bytes of a hardware address (RFC 826).");
    PROTO_SIZE = Field::walked("arp.proto.size", "Protocol size", Kind::Uint, "Bytes of a protocol address (RFC 826).");
    OPCODE = Field::walked("arp.opcode", "Opcode", Kind::Uint, "What is asked or answered (RFC 826; RFC 903 for the reverse).").names(OPCODES);
    GRATUITOUS = Field::walked("arp.isgratuitous", "Gratuitous", Kind::Flag, "Sender and target are the same: a host tells of its own address (RFC 5944 §4.6).");
    PROBE = Field::walked("arp.isprobe", "Probe", Kind::Flag, "A request without a sender address: is this address free? (RFC 5227 §2.1.1)");
    ANNOUNCEMENT = Field::walked("arp.isannouncement", "Announcement", Kind::Flag, "A request for the sender's own address: I am using it now (RFC 5227 §2.3).");
    SRC_HW_MAC = Field::walked("arp.src.hw_mac", "Sender hardware address", Kind::Mac, "Whose packet this is (RFC 826).");
    SRC_HW = Field::walked("arp.src.hw", "Sender hardware address", Kind::Bytes, "Whose packet this is, on hardware other than Ethernet (RFC 826).");
    SRC_PROTO_IPV4 = Field::walked("arp.src.proto_ipv4", "Sender address", Kind::Ipv4, "The sender's IPv4 address (RFC 826).");
    SRC_PROTO = Field::walked("arp.src.proto", "Sender address", Kind::Bytes, "The sender's address in a protocol other than IPv4 (RFC 826).");
    DST_HW_MAC = Field::walked("arp.dst.hw_mac", "Target hardware address", Kind::Mac, "The answer in a reply; zeros or anything in a request (RFC 826).");
    DST_HW = Field::walked("arp.dst.hw", "Target hardware address", Kind::Bytes, "The same on hardware other than Ethernet (RFC 826).");
    DST_PROTO_IPV4 = Field::walked("arp.dst.proto_ipv4", "Target address", Kind::Ipv4, "The IPv4 address that is asked for (RFC 826).");
    DST_PROTO = Field::walked("arp.dst.proto", "Target address", Kind::Bytes, "The address that is asked for, in a protocol other than IPv4 (RFC 826).");
}

/// An address of the packet, as its type and length tell.
#[derive(Clone, Copy)]
enum Address<'a> {
    Mac([u8; 6]),
    Ipv4(Ipv4Addr),
    Other(&'a [u8]),
}

impl fmt::Display for Address<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Mac(mac) => Mac(*mac).fmt(f),
            Self::Ipv4(address) => address.fmt(f),
            Self::Other(bytes) => Colons(bytes).fmt(f),
        }
    }
}

/// The parts of a packet that stand after the fixed header.
struct Parts<'a> {
    hardware: u16,
    protocol: u16,
    opcode: u16,
    /// Sender hardware, sender protocol, target hardware, target protocol: offset and bytes.
    addresses: [(usize, &'a [u8]); 4],
}

impl<'a> Parts<'a> {
    /// `None` when the packet is not whole, and for ATM, which has another form.
    fn read(view: &View<'a>) -> Option<Self> {
        let hardware = view.u16(0).filter(|&hardware| hardware != ATM)?;
        let (hw, pr) = (usize::from(view.u8(4)?), usize::from(view.u8(5)?));
        let header = view.header();
        let part = |at: usize, len: usize| Some((at, header.get(at..at + len)?));
        let target = FIXED + hw + pr;
        Some(Self {
            hardware,
            protocol: view.u16(2)?,
            opcode: view.u16(6)?,
            addresses: [
                part(FIXED, hw)?,
                part(FIXED + hw, pr)?,
                part(target, hw)?,
                part(target + hw, pr)?,
            ],
        })
    }

    fn address(&self, index: usize) -> Address<'a> {
        let (_, bytes) = self.addresses[index];
        match *bytes {
            [a, b, c, d, e, f] if matches!((index, self.hardware), (0 | 2, 1 | 6)) => {
                Address::Mac([a, b, c, d, e, f])
            }
            [a, b, c, d] if matches!((index, self.protocol), (1 | 3, 0x0800)) => {
                Address::Ipv4(Ipv4Addr::new(a, b, c, d))
            }
            _ => Address::Other(bytes),
        }
    }

    /// Gratuitous, probe, announcement.
    fn meanings(&self) -> [bool; 3] {
        let [_, (_, sender), (_, hardware), (_, target)] = self.addresses;
        let asks = self.opcode == REQUEST;
        let gratuitous = (asks || self.opcode == REPLY) && !sender.is_empty() && sender == target;
        let nobody = asks && !hardware.is_empty() && is_zero(hardware);
        [
            gratuitous,
            nobody && !gratuitous && is_zero(sender),
            nobody && gratuitous,
        ]
    }
}

fn is_zero(bytes: &[u8]) -> bool {
    bytes.iter().all(|&b| b == 0)
}

fn dissect(bytes: &[u8], context: &Context<'_>) -> Dissected {
    let Some(fixed) = bytes.first_chunk::<FIXED>() else {
        return Dissected::short(bytes, context, FIXED);
    };
    if u16::from_be_bytes([fixed[0], fixed[1]]) == ATM {
        return Dissected::new(bytes.len(), Next::End, context);
    }
    let needed = FIXED + 2 * (usize::from(fixed[4]) + usize::from(fixed[5]));
    if bytes.len() < needed {
        return Dissected::short(bytes, context, needed);
    }
    let mut found = Dissected::new(needed, Next::End, context);
    found.wire = needed as u32;
    found
}

fn walk(view: &View<'_>, visit: &mut dyn Visit) -> ControlFlow<()> {
    let atm = view.u16(0) == Some(ATM);
    for (offset, field) in [(4, &HW_SIZE), (5, &PROTO_SIZE)] {
        if let Some(size) = view.u8(offset).filter(|_| !atm) {
            visit.field(field, Value::Uint(size.into()), view.bits(offset, 1))?;
        }
    }
    if let Some(opcode) = view.u16(6) {
        visit.field(&OPCODE, Value::Uint(opcode.into()), view.bits(6, 2))?;
    }
    let Some(parts) = Parts::read(view) else {
        return ControlFlow::Continue(());
    };
    for (holds, field) in parts
        .meanings()
        .into_iter()
        .zip([&GRATUITOUS, &PROBE, &ANNOUNCEMENT])
    {
        if holds {
            visit.field(field, Value::Bool(true), 0..0)?;
        }
    }
    let known = [&SRC_HW_MAC, &SRC_PROTO_IPV4, &DST_HW_MAC, &DST_PROTO_IPV4];
    let other = [&SRC_HW, &SRC_PROTO, &DST_HW, &DST_PROTO];
    for (index, (offset, bytes)) in parts.addresses.into_iter().enumerate() {
        let (field, value) = match parts.address(index) {
            Address::Mac(mac) => (known[index], Value::Mac(mac)),
            Address::Ipv4(ip) => (known[index], Value::Ipv4(ip)),
            Address::Other([]) => continue,
            Address::Other(bytes) => (other[index], Value::Bytes(bytes)),
        };
        visit.field(field, value, view.bits(offset, bytes.len()))?;
    }
    ControlFlow::Continue(())
}

fn line(view: &View<'_>, line: &mut Line) {
    let Some(parts) = Parts::read(view) else {
        return;
    };
    let [sha, spa, tha, tpa] = [0, 1, 2, 3].map(|index| parts.address(index));
    let [gratuitous, probe, announcement] = parts.meanings();
    match parts.opcode {
        REQUEST if announcement => line.say(format_args!("announcement {spa} is at {sha}")),
        REQUEST | REPLY if gratuitous => line.say(format_args!("gratuitous {spa} is at {sha}")),
        REQUEST if probe => line.say(format_args!("probe who has {tpa}?")),
        REQUEST => line.say(format_args!("who has {tpa}? tell {spa}")),
        REPLY => line.say(format_args!("{spa} is at {sha}")),
        3 => line.say(format_args!("who is {tha}? tell {sha}")),
        4 => line.say(format_args!("{tha} is {tpa}")),
        8 => line.say(format_args!("inverse: who is {tha}? tell {sha}")),
        9 => line.say(format_args!("inverse: {sha} is at {spa}")),
        other => line.say(format_args!("opcode={other}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::testing::{cut_everywhere, seen};

    const CLAIM: Claim = Claim::EtherType(0x0806);
    const ME: [u8; 4] = [192, 0, 2, 1];
    const YOU: [u8; 4] = [192, 0, 2, 2];

    fn packet(opcode: u8, sender: [u8; 4], hardware: [u8; 6], target: [u8; 4]) -> Vec<u8> {
        let mut bytes = vec![0, 1, 8, 0, 6, 4, 0, opcode, 2, 0, 0, 0, 0, 1];
        bytes.extend(sender);
        bytes.extend(hardware);
        bytes.extend(target);
        bytes
    }

    #[test]
    fn shows_every_field_of_a_request() {
        let mut bytes = packet(1, ME, [0; 6], YOU);
        bytes.extend([0; 18]);
        let found = seen(&PROTOCOL, CLAIM, &bytes);
        assert_eq!(
            found.pairs(),
            [
                ("arp.hw.type", "1"),
                ("arp.proto.type", "0x0800"),
                ("arp.hw.size", "6"),
                ("arp.proto.size", "4"),
                ("arp.opcode", "1"),
                ("arp.src.hw_mac", "02:00:00:00:00:01"),
                ("arp.src.proto_ipv4", "192.0.2.1"),
                ("arp.dst.hw_mac", "00:00:00:00:00:00"),
                ("arp.dst.proto_ipv4", "192.0.2.2"),
            ]
        );
        assert_eq!(
            (found.layer.header, found.layer.end, found.next),
            (28, 28, Next::End)
        );
        assert_eq!(found.line, " →  who has 192.0.2.2? tell 192.0.2.1");
    }

    #[test]
    fn gratuitous_packets_probes_and_announcements_are_told_apart() {
        let (zero, all) = ([0; 6], [0xff; 6]);
        for (bytes, meanings) in [
            (packet(1, ME, all, ME), "g"),
            (packet(1, ME, zero, ME), "ga"),
            (packet(2, ME, all, ME), "g"),
            (packet(1, [0; 4], zero, ME), "p"),
            (packet(1, [0; 4], all, ME), ""),
            (packet(2, [0; 4], zero, ME), ""),
            (packet(3, ME, zero, ME), ""),
        ] {
            let found = seen(&PROTOCOL, CLAIM, &bytes);
            let shown: String = [("g", "gratuitous"), ("p", "probe"), ("a", "announcement")]
                .into_iter()
                .filter(|(_, name)| !found.all(&format!("arp.is{name}")).is_empty())
                .map(|(letter, _)| letter)
                .collect();
            assert_eq!(shown, meanings, "{bytes:?}");
        }
    }

    #[test]
    fn addresses_of_other_kinds_are_bytes() {
        let found = seen(
            &PROTOCOL,
            CLAIM,
            &[0, 7, 0x12, 0x34, 1, 2, 0, 2, 9, 1, 2, 8, 3, 4],
        );
        assert_eq!(found.all("arp.src.hw"), ["09"]);
        assert_eq!(found.all("arp.src.proto"), ["01:02"]);
        assert_eq!(found.all("arp.dst.hw"), ["08"]);
        assert_eq!(found.all("arp.dst.proto"), ["03:04"]);
        assert_eq!(found.line, " →  01:02 is at 09");
    }

    #[test]
    fn atm_has_another_header() {
        let mut bytes = packet(1, ME, [0; 6], YOU);
        bytes[1] = ATM as u8;
        let found = seen(&PROTOCOL, CLAIM, &bytes);
        assert_eq!(found.all("arp.opcode"), ["1"]);
        assert!(found.all("arp.hw.size").is_empty() && found.all("arp.src.hw").is_empty());
    }

    #[test]
    fn cut_at_every_length() {
        cut_everywhere(&PROTOCOL, CLAIM, &packet(1, ME, [0; 6], YOU), 28);
    }

    #[test]
    fn a_request_is_written_and_comes_back() {
        use crate::{
            craft::testing::{built, rebuilt_on},
            link::LinkType,
        };
        let text = "eth dst=ff:ff:ff:ff:ff:ff src=02:00:00:00:00:01 / arp hwsrc=02:00:00:00:00:01 psrc=10.0.0.1 pdst=10.0.0.2 trailer=zeros:18";
        let bytes = built(text);
        let expected = "0806 0001080006040001 020000000001 0a000001 000000000000 0a000002";
        assert_eq!(hex::encode(&bytes[12..42]), expected.replace(' ', ""));
        assert_eq!(rebuilt_on(LinkType::ETHERNET, &bytes), text);
    }

    #[test]
    fn addresses_of_other_sizes_and_broken_ones_come_back() {
        use crate::{
            craft::testing::{built, fault, rebuilt_on},
            link::LinkType,
        };
        let text = "eth dst=ff:ff:ff:ff:ff:ff src=02:00:00:00:00:01 / arp hwtype=7 hwlen=1 op=2 addresses=050a000001060a000002";
        let bytes = built(text);
        assert_eq!(rebuilt_on(LinkType::ETHERNET, &bytes), text);
        for len in 14..bytes.len() {
            rebuilt_on(LinkType::ETHERNET, &bytes[..len]);
        }
        rebuilt_on(
            LinkType::ETHERNET,
            &built("eth dst=ff:ff:ff:ff:ff:ff src=02:00:00:00:00:01 / arp hwlen=255"),
        );
        assert!(fault("arp addresses=00 psrc=10.0.0.1").contains("psrc"));
    }

    #[test]
    fn a_reply_answers_who_has_its_address() {
        use crate::craft::testing::answers;
        let asked = "arp psrc=10.0.0.1 pdst=10.0.0.2";
        assert!(answers(asked, "arp op=2 psrc=10.0.0.2 pdst=10.0.0.1", 0));
        assert!(!answers(asked, "arp op=2 psrc=10.0.0.3 pdst=10.0.0.1", 0));
        assert!(!answers(asked, "arp op=1 psrc=10.0.0.2 pdst=10.0.0.1", 0));
        assert!(!answers(asked, "arp op=2 addresses=00", 0));
        assert!(answers(
            "arp op=3 hwdst=02:00:00:00:00:05",
            "arp op=4 hwdst=02:00:00:00:00:05",
            0
        ));
    }
}
