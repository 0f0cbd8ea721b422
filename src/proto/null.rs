//! BSD loopback: a 4-byte address family before the packet, in the writer's byte order (NULL) or big endian (LOOP).
//!
//! Spec: LINKTYPE_NULL and LINKTYPE_LOOP of tcpdump.org.
//!
//! ```text
//!  0                4
//! | address family | payload …
//! ```

use crate::{
    field::{Field, Kind, Value, Visit},
    layer::View,
    line::Line,
    link::LinkType,
    proto::{
        ethertype::{self, LONGEST, NAMES},
        making,
    },
    protocol::{Claim, Context, Craft, Dissected, Next, Protocol, Slot},
};
use std::ops::ControlFlow;

const HEADER: usize = 4;

/// NULL: in the byte order of the host that captured.
pub static PROTOCOL: Protocol = Protocol {
    name: "null",
    label: "NULL",
    title: "BSD loopback",
    spec: "LINKTYPE_NULL",
    claims: &[Claim::Link(LinkType::NULL)],
    fields: FIELDS,
    dissect: |bytes, context| dissect(bytes, context, content),
    walk: Some(|view, visit| walk(view, visit, content)),
    line: |view, text| line(view, text, content),
    addresses: None,
    craft: Some(&CRAFT),
};

/// LOOP: big endian.
pub static LOOP: Protocol = Protocol {
    title: "OpenBSD loopback",
    spec: "LINKTYPE_LOOP",
    claims: &[Claim::Link(LinkType::LOOP)],
    dissect: |bytes, context| dissect(bytes, context, big_endian),
    walk: Some(|view, visit| walk(view, visit, big_endian)),
    line: |view, text| line(view, text, big_endian),
    craft: Some(&LOOP_CRAFT),
    ..PROTOCOL
};

/// From a little-endian host; another order, and an EtherType, are said by all four bytes.
static CRAFT: Craft = Craft {
    names: &["null", "loopback"],
    header: &[2, 0, 0, 0],
    slots: &[
        Slot::at(&["family"], &FAMILY, (0, 0, 8))
            .computed(family)
            .when(|header| header[1..].iter().all(|b| *b == 0)),
        Slot::at(&["type"], &TYPE, (0, 0, 32)),
    ],
    tail: None,
    answers: None,
};

static LOOP_CRAFT: Craft = Craft {
    names: &["loop"],
    header: &[0, 0, 0, 2],
    slots: &[Slot::at(&["family", "type"], &FAMILY, (0, 0, 32)).computed(family)],
    tail: None,
    answers: None,
};

/// The number of IPv6 is that of macOS.
fn family(view: &View<'_>) -> Option<u64> {
    match making::ethertype(view)? {
        0x0800 => Some(2),
        0x86dd => Some(30),
        _ => None,
    }
}

const FAMILIES: &[(u64, &str)] = &[
    (2, "IPv4"),
    (7, "OSI"),
    (16, "AppleTalk"),
    (23, "IPX"),
    (24, "IPv6 (NetBSD, OpenBSD)"),
    (28, "IPv6 (FreeBSD)"),
    (30, "IPv6 (macOS)"),
];

crate::fields! {
    FAMILY = Field::walked("null.family", "Family", Kind::Uint, "The address family (AF_) of the payload; each BSD has its own number for IPv6.").names(FAMILIES);
    TYPE = Field::walked("null.type", "Type", Kind::Hex(4), "An EtherType in place of a family, as old Linux captures of the loopback have it.").names(NAMES);
}

/// What the four bytes say.
#[derive(Clone, Copy)]
enum Content {
    Family(u32),
    EtherType(u16),
}

/// What tells the content of the four bytes.
type Read = fn([u8; HEADER]) -> Content;

/// NULL does not tell its byte order, but no family needs more than 16 bits. Old Linux captures have an EtherType in the
/// last two bytes, which no family reaches.
fn content(bytes: [u8; HEADER]) -> Content {
    let big = u32::from_be_bytes(bytes);
    match u32::from_le_bytes(bytes) {
        little @ ..=0xffff => Content::Family(little),
        _ if big > u32::from(LONGEST) => {
            Content::EtherType(u16::from_be_bytes([bytes[2], bytes[3]]))
        }
        _ => Content::Family(big),
    }
}

const fn big_endian(bytes: [u8; HEADER]) -> Content {
    Content::Family(u32::from_be_bytes(bytes))
}

fn dissect(bytes: &[u8], context: &Context<'_>, content: Read) -> Dissected {
    let Some(&header) = bytes.first_chunk::<HEADER>() else {
        return Dissected::short(bytes, context, HEADER);
    };
    let next = match content(header) {
        Content::Family(2) => Next::Claim(Claim::EtherType(0x0800)),
        Content::Family(24 | 28 | 30) => Next::Claim(Claim::EtherType(0x86dd)),
        Content::Family(_) => Next::Data,
        Content::EtherType(kind) => Next::Claim(Claim::EtherType(kind)),
    };
    Dissected::new(HEADER, next, context)
}

fn walk(view: &View<'_>, visit: &mut dyn Visit, content: Read) -> ControlFlow<()> {
    let Some(&header) = view.bytes().first_chunk::<HEADER>() else {
        return ControlFlow::Continue(());
    };
    let (field, number) = match content(header) {
        Content::Family(family) => (&FAMILY, family),
        Content::EtherType(kind) => (&TYPE, kind.into()),
    };
    visit.field(field, Value::Uint(number.into()), view.bits(0, HEADER))
}

fn line(view: &View<'_>, line: &mut Line, content: Read) {
    if let Some(&header) = view.bytes().first_chunk::<HEADER>() {
        match content(header) {
            Content::Family(family) => line.say(format_args!("family={family}")),
            Content::EtherType(kind) => ethertype::add(kind, view, line),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::testing::{cut_everywhere, on_link};

    #[test]
    fn the_byte_order_of_a_family_is_found_out() {
        for (bytes, family) in [
            ([2, 0, 0, 0], "2"),
            ([0, 0, 0, 2], "2"),
            ([30, 0, 0, 0], "30"),
            ([0, 0, 0, 24], "24"),
        ] {
            let found = on_link(&PROTOCOL, LinkType::NULL, &bytes);
            assert_eq!(found.pairs(), [("null.family", family)]);
            let kind = if family == "2" { 0x0800 } else { 0x86dd };
            assert_eq!(found.next, Next::Claim(Claim::EtherType(kind)));
        }
    }

    #[test]
    fn a_type_stands_in_old_linux_captures() {
        let found = on_link(&PROTOCOL, LinkType::NULL, &[0, 0, 0x86, 0xdd]);
        assert_eq!(found.pairs(), [("null.type", "0x86dd")]);
        assert_eq!(found.next, Next::Claim(Claim::EtherType(0x86dd)));
        assert_eq!(found.line, " →  IPv6 (0x86dd) len=0");
    }

    #[test]
    fn loop_is_big_endian_and_has_no_types() {
        let found = on_link(&LOOP, LinkType::LOOP, &[0, 0, 0, 2]);
        assert_eq!(found.next, Next::Claim(Claim::EtherType(0x0800)));
        let found = on_link(&LOOP, LinkType::LOOP, &[2, 0, 0, 0]);
        assert_eq!(found.pairs(), [("null.family", "33554432")]);
        assert_eq!(found.next, Next::Data);
    }

    #[test]
    fn cut_at_every_length() {
        cut_everywhere(
            &PROTOCOL,
            Claim::Link(LinkType::NULL),
            &[2, 0, 0, 0, 0x45],
            4,
        );
    }

    #[test]
    fn both_byte_orders_and_types_are_written_and_come_back() {
        use crate::craft::testing::{built, rebuilt_on};
        let ip = "ip proto=253 src=10.0.0.1 dst=10.0.0.2";
        for (text, link, expected) in [
            (format!("null / {ip}"), LinkType::NULL, [2, 0, 0, 0]),
            (
                format!("null type=0x0002 / {ip}"),
                LinkType::NULL,
                [0, 0, 0, 2],
            ),
            (
                format!("null type=0x0800 / {ip}"),
                LinkType::NULL,
                [0, 0, 8, 0],
            ),
            (format!("loop / {ip}"), LinkType::LOOP, [0, 0, 0, 2]),
            ("loop family=7".to_owned(), LinkType::LOOP, [0, 0, 0, 7]),
        ] {
            let bytes = built(&text);
            assert_eq!(bytes[..4], expected, "{text}");
            assert_eq!(rebuilt_on(link, &bytes), text);
            rebuilt_on(link, &bytes[..3]);
        }
    }
}
