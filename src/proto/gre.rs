//! Generic routing encapsulation: any EtherType inside IP, with an optional checksum, key and sequence number.
//!
//! Spec: RFC 2784 and RFC 2890; source routes RFC 1701; version 1, which PPTP uses, RFC 2637 §4.1.
//!
//! ```text
//!  0              2          4
//! | flags, version | protocol | [checksum, offset (4)] | [key (4)] | [sequence (4)] | [ack (4), v1] | [routes] | payload …
//! ```

use crate::{
    field::{Field, Kind, Value, Visit},
    layer::View,
    line::Line,
    proto::{
        ethertype::NAMES,
        making,
        verify::{self, status},
    },
    protocol::{Claim, Context, Craft, Dissected, Next, Part, Protocol, Slot, Tail},
};
use std::ops::ControlFlow;

const FIXED: usize = 4;
/// A source route entry's family, offset and length (RFC 1701).
const ROUTE_HEADER: usize = 4;

/// GRE.
pub static PROTOCOL: Protocol = Protocol {
    name: "gre",
    label: "GRE",
    title: "Generic Routing Encapsulation",
    spec: "RFC 2784",
    claims: &[Claim::IpProto(47)],
    fields: FIELDS,
    dissect,
    walk: Some(walk),
    line,
    addresses: None,
    craft: Some(&CRAFT),
};

crate::fields! {
    FLAGS = Field::at("gre.flags_and_version", "Flags and version", Kind::Hex(4), 0, 16, "Which optional fields follow, and the version (RFC 2784 §2.1).");
    HAS_CHECKSUM = Field::bits("gre.flags.checksum", "Checksum present", Kind::Flag, (0, 0, 1), "A checksum and an offset follow (RFC 2784 §2.2).");
    HAS_ROUTING = Field::bits("gre.flags.routing", "Routing present", Kind::Flag, (0, 1, 1), "Source routes follow (RFC 1701; withdrawn by RFC 2784).");
    HAS_KEY = Field::bits("gre.flags.key", "Key present", Kind::Flag, (0, 2, 1), "A key follows (RFC 2890 §2).");
    HAS_SEQUENCE = Field::bits("gre.flags.sequence_number", "Sequence number present", Kind::Flag, (0, 3, 1), "A sequence number follows (RFC 2890 §2).");
    STRICT = Field::bits("gre.flags.strict_source_route", "Strict source route", Kind::Flag, (0, 4, 1), "All source routes are strict (RFC 1701).");
    RECURSION = Field::bits("gre.flags.recursion_control", "Recursion", Kind::Uint, (0, 5, 3), "How many more encapsulations are allowed (RFC 1701).");
    HAS_ACK = Field::walked("gre.flags.ack", "Acknowledgment present", Kind::Flag, "An acknowledgment number follows, in version 1 (RFC 2637 §4.1).");
    RESERVED = Field::walked("gre.flags.reserved", "Reserved", Kind::Uint, "Zero (RFC 2784 §2.3).");
    VERSION = Field::walked("gre.flags.version", "Version", Kind::Uint, "0, or 1 for PPTP (RFC 2637 §4.1).");
    PROTO = Field::walked("gre.proto", "Protocol", Kind::Hex(4), "The EtherType of the payload (RFC 2784 §2.4).").names(NAMES);
    CHECKSUM = Field::walked("gre.checksum", "Checksum", Kind::Hex(4), "Over the GRE header and the payload (RFC 2784 §2.5).");
    CHECKSUM_STATUS = Field::walked("gre.checksum.status", "Checksum status", Kind::Uint, "Whether the checksum is right.").names(status::NAMES);
    CHECKSUM_WORD = Field::walked("sockwire.checksum", "Checksum verdict", Kind::Text, "valid, wrong, or unknown where the packet was cut.");
    OFFSET = Field::walked("gre.offset", "Offset", Kind::Uint, "Where the active source route stands (RFC 1701).");
    KEY = Field::walked("gre.key", "Key", Kind::Hex(8), "Which tunnel or flow the packet belongs to (RFC 2890 §2.1).");
    PAYLOAD_LENGTH = Field::walked("gre.key.payload_length", "Payload length", Kind::Uint, "Bytes after this header, in version 1 (RFC 2637 §4.1).");
    CALL_ID = Field::walked("gre.key.call_id", "Call", Kind::Uint, "The receiver's number of the PPTP session, in version 1 (RFC 2637 §4.1).");
    SEQUENCE = Field::walked("gre.sequence_number", "Sequence number", Kind::Uint, "Counts packets (RFC 2890 §2.2).");
    ACK = Field::walked("gre.ack_number", "Acknowledgment", Kind::Uint, "The highest sequence number received, in version 1 (RFC 2637 §4.1).");
    ROUTE_FAMILY = Field::walked("gre.routing.address_family", "Address family", Kind::Uint, "Of a source route; 0 ends the list (RFC 1701).").many();
    ROUTE_OFFSET = Field::walked("gre.routing.sre_offset", "Route offset", Kind::Uint, "The next hop within the source route (RFC 1701).").many();
    ROUTE_LENGTH = Field::walked("gre.routing.src_length", "Route length", Kind::Uint, "Bytes of the source route (RFC 1701).").many();
    ROUTE = Field::walked("gre.routing.information", "Route", Kind::Bytes, "The source route itself (RFC 1701).").many();
}

/// Where the optional fields stand, by the flags: offsets from the start of the header.
struct Places {
    version: u8,
    checksum: Option<usize>,
    key: Option<usize>,
    sequence: Option<usize>,
    ack: Option<usize>,
    has_routes: bool,
    /// The first byte after all these; routes begin here.
    end: usize,
}

impl Places {
    fn read(flags: [u8; 2]) -> Self {
        let version = flags[1] & 0x07;
        let mut end = FIXED;
        let mut place = |there: bool| -> Option<usize> {
            if !there {
                return None;
            }
            end += 4;
            Some(end - 4)
        };
        let routing = flags[0] & 0x40 != 0;
        // Routing needs the offset that stands beside the checksum.
        let checksum = place(flags[0] & 0x80 != 0 || routing);
        let key = place(flags[0] & 0x20 != 0);
        let sequence = place(flags[0] & 0x10 != 0);
        let ack = place(version == 1 && flags[1] & 0x80 != 0);
        Self {
            version,
            checksum,
            key,
            sequence,
            ack,
            has_routes: routing,
            end,
        }
    }
}

/// What is optional comes with its word, in whatever order they stand, and the word sets the flag.
static CRAFT: Craft = Craft {
    names: &["gre"],
    header: &[0; FIXED],
    slots: &[
        Slot::at(&["version"], &VERSION, (1, 5, 3)),
        Slot::new(&["recursion"], &RECURSION),
        Slot::at(&["proto"], &PROTO, (2, 0, 16)).computed(protocol),
        Slot::at(&["chksum"], &CHECKSUM, (4, 0, 16))
            .computed(|view| making::plain_checksum(view, 4))
            .when(|header| header[0] & 0x80 != 0),
        Slot::at(&["unused"], &CHECKSUM, (4, 0, 16)).when(|header| header[0] & 0xc0 == 0x40),
        Slot::at(&["offset"], &OFFSET, (6, 0, 16)).when(|header| places(header).checksum.is_some()),
        Slot::at(&["key"], &KEY, (4, 0, 32)).when(|header| has_key(header, 0, 4)),
        Slot::at(&["key"], &KEY, (8, 0, 32)).when(|header| has_key(header, 0, 8)),
        Slot::at(&["len"], &PAYLOAD_LENGTH, (4, 0, 16))
            .computed(making::payload_length)
            .when(|header| has_key(header, 1, 4)),
        Slot::at(&["len"], &PAYLOAD_LENGTH, (8, 0, 16))
            .computed(making::payload_length)
            .when(|header| has_key(header, 1, 8)),
        Slot::at(&["call"], &CALL_ID, (6, 0, 16)).when(|header| has_key(header, 1, 4)),
        Slot::at(&["call"], &CALL_ID, (10, 0, 16)).when(|header| has_key(header, 1, 8)),
        Slot::at(&["seq"], &SEQUENCE, (4, 0, 32)).when(|header| has_sequence(header, 4)),
        Slot::at(&["seq"], &SEQUENCE, (8, 0, 32)).when(|header| has_sequence(header, 8)),
        Slot::at(&["seq"], &SEQUENCE, (12, 0, 32)).when(|header| has_sequence(header, 12)),
        Slot::at(&["ack"], &ACK, (4, 0, 32)).when(|header| has_ack(header, 4)),
        Slot::at(&["ack"], &ACK, (8, 0, 32)).when(|header| has_ack(header, 8)),
        Slot::at(&["ack"], &ACK, (12, 0, 32)).when(|header| has_ack(header, 12)),
        Slot::at(&["ack"], &ACK, (16, 0, 32)).when(|header| has_ack(header, 16)),
    ],
    tail: Some(&Tail {
        parts: &[
            Part {
                words: &["chksum", "chksum_present"],
                form: "",
                doc: "a checksum, with an offset",
                write: |_, header| make_room(header, [0x80, 0], |places| places.checksum),
            },
            Part {
                words: &["offset"],
                form: "N",
                doc: "an offset, with a checksum",
                write: |_, header| make_room(header, [0x80, 0], |places| places.checksum),
            },
            Part {
                words: &["key", "key_present"],
                form: "N",
                doc: "a key",
                write: |_, header| make_room(header, [0x20, 0], |places| places.key),
            },
            Part {
                words: &["call", "len"],
                form: "N",
                doc: "in version 1, payload length and call in place of the key",
                write: |_, header| {
                    header[1] = header[1] & 0xf8 | 1;
                    make_room(header, [0x20, 0], |places| places.key)
                },
            },
            Part {
                words: &["seq", "seqnum_present"],
                form: "N",
                doc: "a sequence number",
                write: |_, header| make_room(header, [0x10, 0], |places| places.sequence),
            },
            Part {
                words: &["ack"],
                form: "N",
                doc: "in version 1, an acknowledgment number",
                write: |_, header| {
                    header[1] = header[1] & 0xf8 | 1;
                    make_room(header, [0, 0x80], |places| places.ack)
                },
            },
            Part {
                words: &["routes"],
                form: "HEX",
                doc: "source routes, the empty last one included",
                write: |value, header| {
                    make_room(header, [0x40, 0], |places| places.checksum)?;
                    let at = places(header).end;
                    header.splice(at..at, making::hexadecimal(value)?);
                    Ok(())
                },
            },
            Part {
                words: &["wccp"],
                form: "HEX",
                doc: "the redirect header of WCCP version 2, behind all others",
                write: making::append,
            },
        ],
        finish: None,
        read: read_parts,
    }),
    answers: None,
};

/// Where the optional fields of `header` stand, which has its flags.
fn places(header: &[u8]) -> Places {
    Places::read([header[0], header[1]])
}

fn has_key(header: &[u8], version: u8, at: usize) -> bool {
    let places = places(header);
    places.key == Some(at) && (places.version == 1) == (version == 1)
}

fn has_sequence(header: &[u8], at: usize) -> bool {
    places(header).sequence == Some(at)
}

fn has_ack(header: &[u8], at: usize) -> bool {
    places(header).ack == Some(at)
}

/// Sets flags, and puts zeros where the field that they announce belongs, unless it is there already.
fn make_room(
    header: &mut Vec<u8>,
    flags: [u8; 2],
    field: fn(&Places) -> Option<usize>,
) -> Result<(), String> {
    let there = field(&places(header)).is_some();
    header[0] |= flags[0];
    header[1] |= flags[1];
    if let Some(at) = field(&places(header)).filter(|_| !there) {
        header.splice(at..at, [0; 4]);
    }
    Ok(())
}

/// That of ERSPAN depends on its type (draft-foschiano-erspan-03 §4).
fn protocol(view: &View<'_>) -> Option<u64> {
    let inside = view.packet.view(view.index + 1)?;
    let erspan = inside.layer.protocol.name == "erspan";
    match inside.u8(0) {
        Some(first) if erspan && first >> 4 == 2 => Some(0x22eb),
        _ => making::ethertype(view),
    }
}

fn read_parts(view: &View<'_>, word: &mut dyn FnMut(&'static str, String)) {
    let header = view.header();
    let Some(&[flags, more, ..]) = header.first_chunk::<FIXED>() else {
        return;
    };
    let places = Places::read([flags, more]);
    let mut bare = |name| word(name, String::new());
    if flags & 0x80 != 0 {
        bare("chksum");
    }
    if places.key.is_some() {
        bare(if places.version == 1 { "call" } else { "key" });
    }
    if places.sequence.is_some() {
        bare("seq");
    }
    if places.ack.is_some() {
        bare("ack");
    }
    let mut end = places.end;
    if places.has_routes {
        let mut next = Some(end);
        while let Some(route) = next.and_then(|at| Route::read(header, at)) {
            end = route.end();
            next = (!route.is_last()).then_some(end);
        }
        end = end.min(header.len());
        let routes = header.get(places.end..end).unwrap_or(&[]);
        word("routes", hex::encode(routes));
    }
    if let Some(rest @ [_, ..]) = header.get(end..) {
        word("wccp", hex::encode(rest));
    }
}

fn dissect(bytes: &[u8], context: &Context<'_>) -> Dissected {
    let Some(&[flags, more, hi, lo]) = bytes.first_chunk::<FIXED>() else {
        return Dissected::short(bytes, context, FIXED);
    };
    let places = Places::read([flags, more]);
    let mut header = places.end;
    if places.has_routes {
        loop {
            let Some(route) = Route::read(bytes, header) else {
                return Dissected::short(bytes, context, header + ROUTE_HEADER);
            };
            header = route.end();
            if route.is_last() {
                break;
            }
        }
    }
    if bytes.len() < header {
        return Dissected::short(bytes, context, header);
    }
    let next = match u16::from_be_bytes([hi, lo]) {
        // WCCP version 2 puts a redirect header of 4 bytes before the packet.
        0x883e => {
            if bytes.get(header).is_some_and(|first| first >> 4 != 4) && bytes.len() >= header + 4 {
                header += 4;
            }
            Next::Claim(Claim::EtherType(0x0800))
        }
        // Without a sequence number ERSPAN is of type I, which has no header of its own.
        0x88be if places.sequence.is_none() => Next::Claim(Claim::Name("eth")),
        0x6400 => Next::Claim(Claim::Name("eth")),
        kind => Next::Claim(Claim::EtherType(kind)),
    };
    Dissected::new(header, next, context)
}

/// A source route entry (RFC 1701).
struct Route<'a> {
    at: usize,
    family: u16,
    offset: u8,
    length: u8,
    hops: &'a [u8],
}

impl<'a> Route<'a> {
    fn read(bytes: &'a [u8], at: usize) -> Option<Self> {
        let rest = bytes.get(at..)?;
        let &[hi, lo, offset, length] = rest.first_chunk::<ROUTE_HEADER>()?;
        let hops = &rest[ROUTE_HEADER..];
        Some(Self {
            at,
            family: u16::from_be_bytes([hi, lo]),
            offset,
            length,
            hops: &hops[..hops.len().min(length.into())],
        })
    }

    /// Where it ends, by its own length.
    fn end(&self) -> usize {
        self.at + ROUTE_HEADER + usize::from(self.length)
    }

    const fn is_last(&self) -> bool {
        self.family == 0 && self.length == 0
    }
}

fn walk(view: &View<'_>, visit: &mut dyn Visit) -> ControlFlow<()> {
    let header = view.header();
    let Some(&[flags, more, hi, lo]) = header.first_chunk::<FIXED>() else {
        return ControlFlow::Continue(());
    };
    let places = Places::read([flags, more]);
    let start = view.bits(0, 0).start;
    let reserved = if places.version == 1 {
        visit.field(
            &HAS_ACK,
            Value::Bool(more & 0x80 != 0),
            start + 8..start + 9,
        )?;
        (u64::from(more >> 3 & 0x0f), start + 9..start + 13)
    } else {
        (u64::from(more >> 3), start + 8..start + 13)
    };
    visit.field(&RESERVED, Value::Uint(reserved.0), reserved.1)?;
    visit.field(
        &VERSION,
        Value::Uint(places.version.into()),
        start + 13..start + 16,
    )?;
    let kind = u16::from_be_bytes([hi, lo]);
    visit.field(&PROTO, Value::Uint(kind.into()), view.bits(2, 2))?;
    if let Some(at) = places.checksum
        && let (Some(sum), Some(offset)) = (view.u16(at), view.u16(at + 2))
    {
        visit.field(&CHECKSUM, Value::Uint(sum.into()), view.bits(at, 2))?;
        if flags & 0x80 != 0 {
            let verdict = verify::plain(view);
            let fields = (&CHECKSUM_STATUS, &CHECKSUM_WORD);
            verify::show(fields, verify::number(verdict), verdict, visit)?;
        }
        visit.field(&OFFSET, Value::Uint(offset.into()), view.bits(at + 2, 2))?;
    }
    if let Some(at) = places.key
        && let (Some(length), Some(call), Some(key)) =
            (view.u16(at), view.u16(at + 2), view.u32(at))
    {
        if places.version == 1 {
            visit.field(
                &PAYLOAD_LENGTH,
                Value::Uint(length.into()),
                view.bits(at, 2),
            )?;
            visit.field(&CALL_ID, Value::Uint(call.into()), view.bits(at + 2, 2))?;
        } else {
            visit.field(&KEY, Value::Uint(key.into()), view.bits(at, 4))?;
        }
    }
    for (place, field) in [(places.sequence, &SEQUENCE), (places.ack, &ACK)] {
        if let Some(at) = place
            && let Some(number) = view.u32(at)
        {
            visit.field(field, Value::Uint(number.into()), view.bits(at, 4))?;
        }
    }
    let mut next = places.has_routes.then_some(places.end);
    while let Some(route) = next.and_then(|at| Route::read(header, at)) {
        let at = route.at;
        visit.field(
            &ROUTE_FAMILY,
            Value::Uint(route.family.into()),
            view.bits(at, 2),
        )?;
        visit.field(
            &ROUTE_OFFSET,
            Value::Uint(route.offset.into()),
            view.bits(at + 2, 1),
        )?;
        visit.field(
            &ROUTE_LENGTH,
            Value::Uint(route.length.into()),
            view.bits(at + 3, 1),
        )?;
        next = None;
        if !route.is_last() {
            let bits = view.bits(at + ROUTE_HEADER, route.hops.len());
            visit.field(&ROUTE, Value::Bytes(route.hops), bits)?;
            next = Some(route.end());
        }
    }
    ControlFlow::Continue(())
}

fn line(view: &View<'_>, line: &mut Line) {
    let (Some(flags), Some(kind)) = (view.u16(0), view.u16(2)) else {
        return;
    };
    line.say(format_args!("proto=0x{kind:04x}"));
    let places = Places::read(flags.to_be_bytes());
    if let Some(key) = places.key.and_then(|at| view.u32(at)) {
        match places.version {
            1 => line.add(format_args!("call={}", key & 0xffff)),
            _ => line.add(format_args!("key=0x{key:08x}")),
        }
    }
    if let Some(number) = places.sequence.and_then(|at| view.u32(at)) {
        line.add(format_args!("seq={number}"));
    }
    if let Some(number) = places.ack.and_then(|at| view.u32(at)) {
        line.add(format_args!("ack={number}"));
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use super::*;
    use crate::proto::testing::{cut_everywhere, seen};

    const CLAIM: Claim = Claim::IpProto(47);

    #[test]
    fn shows_every_field_of_version_0() {
        // The checksum was computed by hand: b000 + 0800 + 0007 + 002a + 4500 = fd31, and its complement is 02ce.
        let bytes = [
            0xb0, 0x00, 0x08, 0x00, 0x02, 0xce, 0, 0, 0, 0, 0, 7, 0, 0, 0, 42, 0x45, 0,
        ];
        let found = seen(&PROTOCOL, CLAIM, &bytes);
        assert_eq!(
            found.pairs(),
            [
                ("gre.flags_and_version", "0xb000"),
                ("gre.flags.checksum", "true"),
                ("gre.flags.routing", "false"),
                ("gre.flags.key", "true"),
                ("gre.flags.sequence_number", "true"),
                ("gre.flags.strict_source_route", "false"),
                ("gre.flags.recursion_control", "0"),
                ("gre.flags.reserved", "0"),
                ("gre.flags.version", "0"),
                ("gre.proto", "0x0800"),
                ("gre.checksum", "0x02ce"),
                ("gre.checksum.status", "1"),
                ("sockwire.checksum", "valid"),
                ("gre.offset", "0"),
                ("gre.key", "0x00000007"),
                ("gre.sequence_number", "42"),
            ]
        );
        assert_eq!(
            (found.layer.header, found.next),
            (16, Next::Claim(Claim::EtherType(0x0800)))
        );
        assert_eq!(found.line, " →  proto=0x0800 key=0x00000007 seq=42");
        cut_everywhere(&PROTOCOL, CLAIM, &bytes, 16);
    }

    #[test]
    fn a_wrong_checksum_is_noticed() {
        let found = seen(&PROTOCOL, CLAIM, &[0x80, 0, 0x08, 0, 0, 1, 0, 0, 0x45, 0]);
        assert_eq!(found.all("sockwire.checksum"), ["wrong"]);
        assert_eq!(found.noticed.len(), 1);
    }

    #[test]
    fn version_1_has_a_call_and_an_acknowledgment() {
        let bytes = [
            0x30, 0x81, 0x88, 0x0b, 0, 4, 0, 1, 0, 0, 0, 7, 0, 0, 0, 9, 0xff,
        ];
        let found = seen(&PROTOCOL, CLAIM, &bytes);
        for (name, value) in [
            ("gre.flags.ack", "true"),
            ("gre.key.payload_length", "4"),
            ("gre.key.call_id", "1"),
            ("gre.sequence_number", "7"),
            ("gre.ack_number", "9"),
        ] {
            assert_eq!(found.all(name), [value], "{name}");
        }
        assert!(found.all("gre.key").is_empty());
        assert_eq!(found.next, Next::Claim(Claim::EtherType(0x880b)));
    }

    #[test]
    fn source_routes_are_walked_to_their_end() {
        let bytes = [
            0x40, 0, 0x08, 0, 0, 0, 0, 0, 0, 2, 0, 4, 192, 0, 2, 1, 0, 0, 0, 0, 0x45,
        ];
        let found = seen(&PROTOCOL, CLAIM, &bytes);
        assert_eq!(found.layer.header, 20);
        assert_eq!(found.all("gre.routing.src_length"), ["4", "0"]);
        assert_eq!(found.all("gre.routing.information"), ["c0:00:02:01"]);
        cut_everywhere(&PROTOCOL, CLAIM, &bytes, 20);
    }

    #[test]
    fn some_types_are_told_apart_by_what_else_is_there() {
        let eth = Next::Claim(Claim::Name("eth"));
        assert_eq!(seen(&PROTOCOL, CLAIM, &[0, 0, 0x88, 0xbe, 2]).next, eth);
        let with_sequence = [0x10, 0, 0x88, 0xbe, 0, 0, 0, 1, 0x10];
        let erspan = Next::Claim(Claim::EtherType(0x88be));
        assert_eq!(seen(&PROTOCOL, CLAIM, &with_sequence).next, erspan);
        assert_eq!(
            seen(&PROTOCOL, CLAIM, &[0, 0, 0x88, 0x3e, 0x45])
                .layer
                .header,
            4
        );
        let redirect = [0, 0, 0x88, 0x3e, 1, 2, 3, 4, 0x45];
        assert_eq!(seen(&PROTOCOL, CLAIM, &redirect).layer.header, 8);
    }

    #[test]
    fn the_order_of_words_does_not_matter() {
        use crate::craft::testing::{built, rebuilt};
        let text = "ip src=10.0.0.1 dst=10.0.0.2 / gre key=0x00000005 seq=6 chksum / ip proto=253 src=10.1.0.1 dst=10.1.0.2";
        let bytes = built(text);
        // 0xffff less the sum of the words of header and payload.
        assert_eq!(
            hex::encode(&bytes[20..36]),
            "b000080047f40000 0000000500000006".replace(' ', "")
        );
        assert_eq!(rebuilt(&bytes), text);
        for other in [
            "chksum key=5 seq=6",
            "seq=6 chksum key=5",
            "seq=6 key_present=1 chksum_present=1 key=5",
        ] {
            let mixed = text.replace("key=0x00000005 seq=6 chksum", other);
            assert_eq!(hex::encode(built(&mixed)), hex::encode(&bytes), "{other}");
        }
        let wrong = built(&text.replace("chksum", "chksum=0xdead"));
        assert_eq!(wrong[24..26], [0xde, 0xad]);
        assert!(rebuilt(&wrong).contains(" chksum=0xdead"));
    }

    #[test]
    fn keys_can_be_several_and_version_1_has_its_own_form() {
        use crate::craft::{
            Built, NoFiles, NoRoute, Spec,
            testing::{built, fault, rebuilt},
        };
        let spec = Spec::parse("gre key=1..3", &NoFiles).unwrap();
        let mut third = Built::default();
        spec.build(2, &NoRoute, &mut third);
        assert_eq!(
            (spec.count(), hex::encode(third.bytes)),
            (3, "2000000000000003".to_owned())
        );
        let text =
            "ip src=10.0.0.1 dst=10.0.0.2 / gre version=1 call=77 seq=1 ack=2 / ppp / hex=00ff";
        let bytes = built(text);
        assert_eq!(
            hex::encode(&bytes[20..36]),
            "3081880b0004004d0000000100000002"
        );
        rebuilt(&bytes);
        assert!(fault("gre version=1 key=5").contains("key"));
        for len in 20..bytes.len() {
            rebuilt(&bytes[..len]);
        }
    }

    #[test]
    fn source_routes_and_redirects_come_back() {
        use crate::craft::testing::{built, rebuilt};
        for words in [
            "routes=0800040400000001 00000000",
            "key=0x00000001 routes=00000000 chksum",
            "proto=0x883e wccp=01020304",
            "proto=0x883e seq=9 wccp=01020304",
        ] {
            let words = words
                .replace(' ', "")
                .replace("routes", " routes")
                .replace("wccp", " wccp");
            let text = format!("ip src=10.0.0.1 dst=10.0.0.2 / gre {words} / hex=4500");
            let text = text.replace("chksum", " chksum").replace("seq", " seq");
            let bytes = built(&text);
            assert!(!rebuilt(&bytes).contains("/ hex=30"), "{text}");
            for len in 20..bytes.len() {
                rebuilt(&bytes[..len]);
            }
        }
    }
}
