//! Linux "cooked" captures, versions 1 and 2: what the kernel tells in place of a link header, as `-i any` records it.
//!
//! Spec: LINKTYPE_LINUX_SLL and LINKTYPE_LINUX_SLL2 of tcpdump.org; the numbers are those of `packet(7)` and `<net/if_arp.h>`.
//!
//! ```text
//! v1   0             2             4             6                14         16
//!     | packet type | ARPHRD type | addr length | address (8)    | protocol | payload …
//! v2   0          2          4                 8             10            11            12              20
//!     | protocol | reserved | interface index | ARPHRD type | packet type | addr length | address (8)   | payload …
//! ```

use crate::{
    field::{Field, Kind, Value, Visit},
    layer::View,
    line::Line,
    link::LinkType,
    proto::{
        ethertype::{self, NAMES},
        making,
    },
    protocol::{Claim, Context, Craft, Dissected, Next, Protocol, Slot},
    text::Colons,
};
use std::{net::Ipv4Addr, ops::ControlFlow};

/// Version 1.
pub static V1: Protocol = Protocol {
    name: "sll",
    label: "SLL",
    title: "Linux cooked capture",
    spec: "LINKTYPE_LINUX_SLL",
    claims: &[Claim::Link(LinkType::LINUX_SLL)],
    fields: FIELDS,
    dissect: |bytes, context| dissect(bytes, context, &LAYOUT_1),
    walk: Some(|view, visit| walk(view, visit, &LAYOUT_1)),
    line: |view, text| line(view, text, &LAYOUT_1),
    addresses: None,
    craft: Some(&CRAFT_1),
};

/// Version 2: the same fields in other places, and the interface.
pub static V2: Protocol = Protocol {
    title: "Linux cooked capture, version 2",
    spec: "LINKTYPE_LINUX_SLL2",
    claims: &[Claim::Link(LinkType::LINUX_SLL2)],
    dissect: |bytes, context| dissect(bytes, context, &LAYOUT_2),
    walk: Some(|view, visit| walk(view, visit, &LAYOUT_2)),
    line: |view, text| line(view, text, &LAYOUT_2),
    craft: Some(&CRAFT_2),
    ..V1
};

/// To us, from an Ethernet device.
static CRAFT_1: Craft = Craft {
    names: &["sll", "cookedlinux"],
    header: &[0, 0, 0, 1, 0, 6, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
    slots: &[
        Slot::at(&["pkttype"], &PKTTYPE, (0, 0, 16)),
        Slot::at(&["hatype", "lladdrtype"], &HATYPE, (2, 0, 16)),
        Slot::at(&["halen", "lladdrlen"], &HALEN, (4, 0, 16)),
        Slot::at(&["src"], &SRC_ETH, (6, 0, 48)).when(|header| header[5] == 6),
        Slot::at(&["src"], &SRC_IPV4, (6, 0, 32)).when(|header| header[5] == 4),
        Slot::at(&["src"], &SRC_OTHER, (6, 0, 64)).when(|header| !matches!(header[5], 4 | 6)),
        Slot::at(&["unused"], &UNUSED, (12, 0, 16)).when(|header| header[5] == 6),
        Slot::at(&["unused"], &UNUSED, (10, 0, 32)).when(|header| header[5] == 4),
        Slot::at(&["proto"], &ETYPE, (14, 0, 16)).computed(protocol),
    ],
    tail: None,
    answers: None,
};

static CRAFT_2: Craft = Craft {
    names: &["sll2", "cookedlinuxv2"],
    header: &[0, 0, 0, 0, 0, 0, 0, 1, 0, 1, 0, 6, 0, 0, 0, 0, 0, 0, 0, 0],
    slots: &[
        Slot::at(&["ifindex"], &IFINDEX, (4, 0, 32)),
        Slot::at(&["pkttype"], &PKTTYPE, (10, 0, 8)),
        Slot::at(&["hatype", "lladdrtype"], &HATYPE, (8, 0, 16)),
        Slot::at(&["halen", "lladdrlen"], &HALEN, (11, 0, 8)),
        Slot::at(&["src"], &SRC_ETH, (12, 0, 48)).when(|header| header[11] == 6),
        Slot::at(&["src"], &SRC_IPV4, (12, 0, 32)).when(|header| header[11] == 4),
        Slot::at(&["src"], &SRC_OTHER, (12, 0, 64)).when(|header| !matches!(header[11], 4 | 6)),
        Slot::at(&["unused"], &UNUSED, (18, 0, 16)).when(|header| header[11] == 6),
        Slot::at(&["unused"], &UNUSED, (16, 0, 32)).when(|header| header[11] == 4),
        Slot::at(&["reserved"], &RESERVED, (2, 0, 16)),
        Slot::at(&["proto"], &ETYPE, (0, 0, 16)).computed(protocol),
    ],
    tail: None,
    answers: None,
};

/// The kernel's own number of what is inside, or its EtherType.
fn protocol(view: &View<'_>) -> Option<u64> {
    match making::inside(view)?.name {
        "eth" => Some(0x0003),
        "llc" => Some(0x0004),
        "ppp" => Some(0x0007),
        _ => making::ethertype(view),
    }
}

static RESERVED: Field = Field::at(
    "sll.reserved",
    "Reserved",
    Kind::Hex(4),
    2,
    16,
    "Zero (LINKTYPE_LINUX_SLL2).",
);

const PACKET_TYPES: &[(u64, &str)] = &[
    (0, "To us"),
    (1, "Broadcast"),
    (2, "Multicast"),
    (3, "To another host"),
    (4, "Sent by us"),
];
const HARDWARE: &[(u64, &str)] = &[
    (1, "Ethernet"),
    (24, "IEEE 1394"),
    (32, "InfiniBand"),
    (512, "PPP"),
    (768, "IP-in-IP tunnel"),
    (769, "IPv6 tunnel"),
    (772, "Loopback"),
    (776, "IPv6-in-IPv4 tunnel"),
    (778, "GRE tunnel"),
    (801, "IEEE 802.11"),
    (803, "IEEE 802.11 with radiotap"),
    (823, "GRE over IPv6 tunnel"),
    (824, "Netlink"),
    (65534, "None (tun)"),
];
const LINUX_PROTOCOLS: &[(u64, &str)] = &[
    (0x0001, "802.3 without LLC"),
    (0x0003, "Ethernet"),
    (0x0004, "802.2 LLC"),
    (0x0007, "PPP"),
    (0x000c, "CAN"),
];

/// `ARPHRD_IPGRE`: the protocol is GRE's.
const GRE: u16 = 778;
/// Up to this value the kernel means a protocol of its own, not an EtherType (`ETH_P_802_3_MIN`).
const LAST_OWN: u16 = 1536;

crate::fields! {
    PKTTYPE = Field::walked("sll.pkttype", "Packet type", Kind::Uint, "For whom the packet was: this host, all, a group, another host, or sent by this host.").names(PACKET_TYPES);
    IFINDEX = Field::walked("sll.ifindex", "Interface index", Kind::Uint, "The kernel's number of the interface (version 2 only).");
    HATYPE = Field::walked("sll.hatype", "Hardware type", Kind::Uint, "What kind of device it crossed (ARPHRD_ numbers).").names(HARDWARE);
    HALEN = Field::walked("sll.halen", "Address length", Kind::Uint, "Bytes of the sender's hardware address; only 8 are kept.");
    SRC_ETH = Field::walked("sll.src.eth", "Source", Kind::Mac, "The sender's hardware address, where it has 6 bytes.");
    SRC_IPV4 = Field::walked("sll.src.ipv4", "Source", Kind::Ipv4, "The sender's address on a tunnel, where it has 4 bytes.");
    SRC_OTHER = Field::walked("sll.src.other", "Source", Kind::Bytes, "The sender's hardware address, where it is of another length.");
    UNUSED = Field::walked("sll.unused", "Unused", Kind::Bytes, "The rest of the address field.");
    ETYPE = Field::walked("sll.etype", "Protocol", Kind::Hex(4), "The EtherType of the payload.").names(NAMES);
    GRETYPE = Field::walked("sll.gretype", "Protocol", Kind::Hex(4), "The protocol of the payload, as GRE numbers it.").names(NAMES);
    LTYPE = Field::walked("sll.ltype", "Protocol", Kind::Hex(4), "The protocol of the payload, by a number of the kernel's own.").names(LINUX_PROTOCOLS);
    TRAILER = Field::walked("sll.trailer", "Trailer", Kind::Bytes, "Bytes after the end of the payload.");
}

/// Where a version keeps its fields: byte offsets.
struct Layout {
    header: usize,
    protocol: usize,
    ifindex: Option<usize>,
    hatype: usize,
    /// Packet type and address length are this many bytes each.
    small: usize,
    pkttype: usize,
    halen: usize,
    address: usize,
}

const LAYOUT_1: Layout = Layout {
    header: 16,
    protocol: 14,
    ifindex: None,
    hatype: 2,
    small: 2,
    pkttype: 0,
    halen: 4,
    address: 6,
};
const LAYOUT_2: Layout = Layout {
    header: 20,
    protocol: 0,
    ifindex: Some(4),
    hatype: 8,
    small: 1,
    pkttype: 10,
    halen: 11,
    address: 12,
};

fn dissect(bytes: &[u8], context: &Context<'_>, layout: &Layout) -> Dissected {
    if bytes.len() < layout.header {
        return Dissected::short(bytes, context, layout.header);
    }
    let protocol = u16::from_be_bytes([bytes[layout.protocol], bytes[layout.protocol + 1]]);
    let next = match protocol {
        0x0003 => Next::Claim(Claim::Name("eth")),
        0x0004 => Next::Claim(Claim::Name("llc")),
        0x0007 => Next::Claim(Claim::Name("ppp_hdlc")),
        ..=LAST_OWN => Next::Data,
        kind => Next::Claim(Claim::EtherType(kind)),
    };
    Dissected::new(layout.header, next, context)
}

/// The number of 1 or 2 bytes at `offset`.
fn small(view: &View<'_>, offset: usize, size: usize) -> Option<u16> {
    match size {
        1 => view.u8(offset).map(u16::from),
        _ => view.u16(offset),
    }
}

fn walk(view: &View<'_>, visit: &mut dyn Visit, layout: &Layout) -> ControlFlow<()> {
    let at = |offset, len| view.bits(offset, len);
    if let Some(kind) = small(view, layout.pkttype, layout.small) {
        visit.field(
            &PKTTYPE,
            Value::Uint(kind.into()),
            at(layout.pkttype, layout.small),
        )?;
    }
    if let Some(offset) = layout.ifindex
        && let Some(index) = view.u32(offset)
    {
        visit.field(&IFINDEX, Value::Uint(index.into()), at(offset, 4))?;
    }
    let hatype = view.u16(layout.hatype);
    if let Some(hatype) = hatype {
        visit.field(&HATYPE, Value::Uint(hatype.into()), at(layout.hatype, 2))?;
    }
    if let Some(halen) = small(view, layout.halen, layout.small) {
        visit.field(
            &HALEN,
            Value::Uint(halen.into()),
            at(layout.halen, layout.small),
        )?;
        address(view, visit, layout.address, halen)?;
    }
    if let Some(protocol) = view.u16(layout.protocol) {
        let field = match protocol {
            ..=LAST_OWN => &LTYPE,
            _ if hatype == Some(GRE) => &GRETYPE,
            _ => &ETYPE,
        };
        visit.field(field, Value::Uint(protocol.into()), at(layout.protocol, 2))?;
    }
    ethertype::trailer(view, visit, &TRAILER, &TRAILER)
}

/// The eight bytes of the address field.
fn address(view: &View<'_>, visit: &mut dyn Visit, offset: usize, halen: u16) -> ControlFlow<()> {
    let Some(field) = view.bytes().get(offset..offset + 8) else {
        return ControlFlow::Continue(());
    };
    let len = usize::from(halen).min(field.len());
    let bits = view.bits(offset, len);
    let (address, unused) = field.split_at(len);
    match *address {
        [] => {}
        [a, b, c, d] => visit.field(&SRC_IPV4, Value::Ipv4(Ipv4Addr::new(a, b, c, d)), bits)?,
        [a, b, c, d, e, f] => visit.field(&SRC_ETH, Value::Mac([a, b, c, d, e, f]), bits)?,
        _ => visit.field(&SRC_OTHER, Value::Bytes(address), bits)?,
    }
    if unused.is_empty() {
        return ControlFlow::Continue(());
    }
    let bits = view.bits(offset + len, unused.len());
    visit.field(&UNUSED, Value::Bytes(unused), bits)
}

fn line(view: &View<'_>, line: &mut Line, layout: &Layout) {
    let halen = small(view, layout.halen, layout.small).unwrap_or(0);
    let end = layout.address + usize::from(halen).min(8);
    if let Some(address) = view.bytes().get(layout.address..end) {
        line.ends(Colons(address), "");
    }
    if let Some(kind) = view.u16(layout.protocol) {
        ethertype::add(kind, view, line);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::testing::{cut_everywhere, on_link, seen};

    const V1_CLAIM: Claim = Claim::Link(LinkType::LINUX_SLL);
    const V2_CLAIM: Claim = Claim::Link(LinkType::LINUX_SLL2);

    fn v1(hatype: u16, halen: u8, protocol: u16) -> Vec<u8> {
        let mut bytes = vec![0, 4];
        bytes.extend(hatype.to_be_bytes());
        bytes.extend([0, halen, 2, 0, 0, 0, 0, 1, 0xee, 0xff]);
        bytes.extend(protocol.to_be_bytes());
        bytes.push(0x45);
        bytes
    }

    #[test]
    fn shows_every_field_of_version_1() {
        let bytes = v1(1, 6, 0x0800);
        let found = seen(&V1, V1_CLAIM, &bytes);
        assert_eq!(
            found.pairs(),
            [
                ("sll.pkttype", "4"),
                ("sll.hatype", "1"),
                ("sll.halen", "6"),
                ("sll.src.eth", "02:00:00:00:00:01"),
                ("sll.unused", "ee:ff"),
                ("sll.etype", "0x0800"),
            ]
        );
        assert_eq!(found.next, Next::Claim(Claim::EtherType(0x0800)));
        cut_everywhere(&V1, V1_CLAIM, &bytes, 16);
    }

    #[test]
    fn shows_every_field_of_version_2() {
        let bytes = [
            0x86, 0xdd, 0, 0, 0, 0, 0, 7, 0x03, 0x04, 0, 6, 0, 0, 0, 0, 0, 0, 0, 0, 0x60,
        ];
        let found = on_link(&V2, LinkType::LINUX_SLL2, &bytes);
        assert_eq!(
            found.pairs(),
            [
                ("sll.pkttype", "0"),
                ("sll.ifindex", "7"),
                ("sll.hatype", "772"),
                ("sll.halen", "6"),
                ("sll.src.eth", "00:00:00:00:00:00"),
                ("sll.unused", "00:00"),
                ("sll.etype", "0x86dd"),
            ]
        );
        assert_eq!(found.layer.header, 20);
        cut_everywhere(&V2, V2_CLAIM, &bytes, 20);
    }

    #[test]
    fn the_length_of_the_address_decides_what_it_is() {
        let other = |halen| seen(&V1, V1_CLAIM, &v1(1, halen, 0x0800));
        assert_eq!(other(4).all("sll.src.ipv4"), ["2.0.0.0"]);
        assert_eq!(other(20).all("sll.src.other"), ["02:00:00:00:00:01:ee:ff"]);
        assert!(other(20).all("sll.unused").is_empty());
        assert_eq!(other(0).all("sll.unused"), ["02:00:00:00:00:01:ee:ff"]);
    }

    #[test]
    fn the_kernels_own_protocols_are_told_from_ethertypes_and_gre() {
        for (protocol, next) in [
            (3, Next::Claim(Claim::Name("eth"))),
            (4, Next::Claim(Claim::Name("llc"))),
            (7, Next::Claim(Claim::Name("ppp_hdlc"))),
            (12, Next::Data),
        ] {
            let found = seen(&V1, V1_CLAIM, &v1(1, 6, protocol));
            assert_eq!(found.next, next);
            assert_eq!(found.all("sll.ltype"), [format!("0x{protocol:04x}")]);
        }
        let found = seen(&V1, V1_CLAIM, &v1(GRE, 6, 0x0800));
        assert_eq!(found.all("sll.gretype"), ["0x0800"]);
    }

    #[test]
    fn both_versions_are_written_and_come_back() {
        use crate::craft::testing::{built, rebuilt_on};
        let v1 = "sll pkttype=4 src=02:00:00:00:00:01 / ip proto=253 src=10.0.0.1 dst=10.0.0.2";
        let bytes = built(v1);
        assert_eq!(
            hex::encode(&bytes[..16]),
            "00040001000602000000000100000800"
        );
        assert_eq!(rebuilt_on(LinkType::LINUX_SLL, &bytes), v1);
        let v2 = "sll2 ifindex=3 hatype=778 halen=4 src=10.0.0.9 / ip proto=253 src=10.0.0.1 dst=10.0.0.2";
        let bytes = built(v2);
        assert_eq!(
            hex::encode(&bytes[..20]),
            "0800000000000003030a00040a00000900000000"
        );
        assert_eq!(rebuilt_on(LinkType::LINUX_SLL2, &bytes), v2);
        for len in 0..bytes.len() {
            rebuilt_on(LinkType::LINUX_SLL, &bytes[..len]);
            rebuilt_on(LinkType::LINUX_SLL2, &bytes[..len]);
        }
    }
}
