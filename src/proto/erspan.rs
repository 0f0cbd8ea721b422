//! ERSPAN: mirrored Ethernet frames inside GRE, with the port and VLAN that they were seen on.
//!
//! Spec: draft-foschiano-erspan-03 §4 (type I has no header, type II has 8 bytes, type III 12 or 20).
//!
//! ```text
//!  0                     2                                   4
//! | version:4 vlan:12   | cos:3 encap:2 truncated:1 span:10  | index, or timestamp and more … | Ethernet frame …
//! ```

use crate::{
    field::{Field, Kind, Value},
    layer::{Problem, View},
    line::Line,
    protocol::{Claim, Context, Craft, Dissected, Form, Next, Part, Protocol, Slot, Tail},
};

/// Types II and III; their version field says 1 and 2.
pub static PROTOCOL: Protocol = Protocol {
    name: "erspan",
    label: "ERSPAN",
    title: "Encapsulated remote switch port analysis",
    spec: "draft-foschiano-erspan-03",
    claims: &[Claim::EtherType(0x88be), Claim::EtherType(0x22eb)],
    fields: FIELDS,
    dissect,
    walk: None,
    line,
    addresses: None,
    craft: Some(&CRAFT),
};

crate::fields! {
    VERSION = Field::bits("erspan.version", "Version", Kind::Uint, (0, 0, 4), "1 is type II, 2 is type III (draft-foschiano-erspan-03 §4).");
    VLAN = Field::bits("erspan.vlan", "VLAN", Kind::Uint, (0, 4, 12), "The VLAN of the mirrored frame (draft-foschiano-erspan-03 §4).");
    COS = Field::bits("erspan.cos", "Class of service", Kind::Uint, (2, 0, 3), "The priority of the mirrored frame (draft-foschiano-erspan-03 §4).");
    TRUNCATED = Field::bits("erspan.truncated", "Truncated", Kind::Uint, (2, 5, 1), "The mirrored frame was cut to fit (draft-foschiano-erspan-03 §4).");
    SPAN_ID = Field::bits("erspan.spanid", "Session", Kind::Uint, (2, 6, 10), "Which mirroring session it belongs to (draft-foschiano-erspan-03 §4).");
    FRAME_TYPE = Field::bits("erspan.ft", "Frame type", Kind::Uint, (10, 1, 5), "0 is Ethernet, 2 is IP, in type III (draft-foschiano-erspan-03 §4.2).");
}

/// Type II, unless the version asks for type III.
static CRAFT: Craft = Craft {
    names: &["erspan"],
    header: &[0x10, 0, 0, 0, 0, 0, 0, 0],
    slots: &[
        Slot::new(&["version", "ver"], &VERSION).form(&TYPES),
        Slot::new(&["vlan"], &VLAN),
        Slot::new(&["cos"], &COS),
        Slot::new(&["encap", "en", "bso"], &ENCAP),
        Slot::new(&["truncated", "t"], &TRUNCATED),
        Slot::new(&["session", "session_id"], &SPAN_ID),
        Slot::new(&["reserved"], &RESERVED).when(is_type_2),
        Slot::new(&["index"], &INDEX).when(is_type_2),
        Slot::new(&["timestamp"], &TIMESTAMP).when(is_type_3),
        Slot::new(&["sgt", "sgt_other"], &SGT).when(is_type_3),
        Slot::new(&["p"], &PDU).when(is_type_3),
        Slot::new(&["ft"], &FRAME_TYPE).when(is_type_3),
        Slot::new(&["hw"], &HARDWARE).when(is_type_3),
        Slot::new(&["d"], &DIRECTION).when(is_type_3),
        Slot::new(&["gra"], &GRANULARITY).when(is_type_3),
        Slot::new(&["o"], &OPTIONAL)
            .computed(|view| Some((view.header().len() == LONG).into()))
            .when(is_type_3),
        Slot::new(&["platform"], &PLATFORM).when(is_type_3),
    ],
    tail: Some(&Tail {
        parts: &[Part {
            words: &["platform"],
            form: "HEX",
            doc: "the 8 further bytes of type III",
            write: |_, header| {
                if header.len() < 12 {
                    *header = (TYPES.header)(&[0x20]).to_vec();
                }
                header.resize(LONG, 0);
                Ok(())
            },
        }],
        finish: None,
        read: |view, word| {
            if view.header().len() == LONG {
                word("platform", String::new());
            }
        },
    }),
    answers: None,
};

/// The version decides how long the header is.
static TYPES: Form = Form {
    header: |header| match header[0] >> 4 {
        1 => &[0x10, 0, 0, 0, 0, 0, 0, 0],
        2 => &[0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x80, 0],
        _ => &[0; 4],
    },
    names: &[("erspan_ii", 1), ("erspan_iii", 2)],
};

/// Type III with the bytes of a platform.
const LONG: usize = 20;

const fn is_type_2(header: &[u8]) -> bool {
    header.len() == 8
}

const fn is_type_3(header: &[u8]) -> bool {
    header.len() >= 12
}

static ENCAP: Field = Field::bits(
    "erspan.en",
    "Encapsulation",
    Kind::Uint,
    (2, 3, 2),
    "How the mirrored frame was tagged; in type III, whether it was whole (draft-foschiano-erspan-03 §4).",
);
static RESERVED: Field = Field::bits(
    "erspan.reserved",
    "Reserved",
    Kind::Hex(3),
    (4, 0, 12),
    "Zero, in type II (draft-foschiano-erspan-03 §4.1).",
);
static INDEX: Field = Field::bits(
    "erspan.index",
    "Index",
    Kind::Uint,
    (5, 4, 20),
    "The port and direction of the mirrored frame, in type II (draft-foschiano-erspan-03 §4.1).",
);
static TIMESTAMP: Field = Field::at(
    "erspan.timestamp",
    "Timestamp",
    Kind::Uint,
    4,
    32,
    "When the frame was seen, in type III (draft-foschiano-erspan-03 §4.2).",
);
static SGT: Field = Field::at(
    "erspan.sgt",
    "Security group tag",
    Kind::Uint,
    8,
    16,
    "The group of the sender, in type III (draft-foschiano-erspan-03 §4.2).",
);
static PDU: Field = Field::bits(
    "erspan.p",
    "Ethernet frame",
    Kind::Uint,
    (10, 0, 1),
    "What is carried is an Ethernet frame, in type III (draft-foschiano-erspan-03 §4.2).",
);
static HARDWARE: Field = Field::bits(
    "erspan.hw",
    "Hardware",
    Kind::Uint,
    (10, 6, 6),
    "Which engine mirrored the frame, in type III (draft-foschiano-erspan-03 §4.2).",
);
static DIRECTION: Field = Field::bits(
    "erspan.d",
    "Direction",
    Kind::Uint,
    (11, 4, 1),
    "0 is into the port, 1 is out of it, in type III (draft-foschiano-erspan-03 §4.2).",
);
static GRANULARITY: Field = Field::bits(
    "erspan.gra",
    "Granularity",
    Kind::Uint,
    (11, 5, 2),
    "The unit of the timestamp, in type III (draft-foschiano-erspan-03 §4.2).",
);
static OPTIONAL: Field = Field::bits(
    "erspan.o",
    "More",
    Kind::Uint,
    (11, 7, 1),
    "Eight more bytes follow, in type III (draft-foschiano-erspan-03 §4.2).",
);
static PLATFORM: Field = Field::at(
    "erspan.platform",
    "Platform",
    Kind::Bytes,
    12,
    64,
    "What a platform adds to type III (draft-foschiano-erspan-03 §4.2).",
);

fn dissect(bytes: &[u8], context: &Context<'_>) -> Dissected {
    let version = bytes.first().map_or(0, |first| first >> 4);
    // The last bit of the type III header announces 8 more bytes.
    let needed = match version {
        2 if bytes.get(11).is_some_and(|last| last & 1 != 0) => 20,
        2 => 12,
        _ => 8,
    };
    if bytes.len() < needed {
        return Dissected::short(bytes, context, needed);
    }
    if !matches!(version, 1 | 2) {
        return Dissected::new(4, Next::Data, context).with(Problem::odd("unknown version"));
    }
    // Only type III has a frame type, and only 0 is Ethernet.
    let next = match bytes.get(10).filter(|_| version == 2) {
        Some(kind) if kind & 0x7c != 0 => Next::Data,
        _ => Next::Claim(Claim::Name("eth")),
    };
    Dissected::new(needed, next, context)
}

fn line(view: &View<'_>, line: &mut Line) {
    if let (Some(Value::Uint(span)), Some(Value::Uint(vlan))) =
        (view.value(&SPAN_ID), view.value(&VLAN))
    {
        line.say(format_args!("session={span} vlan={vlan}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        layer::ProblemKind,
        proto::testing::{cut_everywhere, seen},
    };

    const CLAIM: Claim = Claim::EtherType(0x88be);

    #[test]
    fn shows_every_field_of_type_2() {
        let bytes = [0x10, 0x05, 0x64, 0x65, 0, 0, 0, 0xff, 2];
        let found = seen(&PROTOCOL, CLAIM, &bytes);
        assert_eq!(
            found.pairs(),
            [
                ("erspan.version", "1"),
                ("erspan.vlan", "5"),
                ("erspan.cos", "3"),
                ("erspan.truncated", "1"),
                ("erspan.spanid", "101"),
            ]
        );
        assert_eq!(
            (found.layer.header, found.next),
            (8, Next::Claim(Claim::Name("eth")))
        );
        cut_everywhere(&PROTOCOL, CLAIM, &bytes, 8);
    }

    #[test]
    fn type_3_has_a_frame_type_and_may_be_longer() {
        let mut bytes = [0; 21];
        bytes[0] = 0x20;
        assert_eq!(seen(&PROTOCOL, CLAIM, &bytes).layer.header, 12);
        bytes[10] = 2 << 2;
        bytes[11] = 1;
        let found = seen(&PROTOCOL, CLAIM, &bytes);
        assert_eq!(found.all("erspan.ft"), ["2"]);
        assert_eq!((found.layer.header, found.next), (20, Next::Data));
        cut_everywhere(&PROTOCOL, CLAIM, &bytes, 20);
    }

    #[test]
    fn an_unknown_version_is_odd() {
        let found = seen(&PROTOCOL, CLAIM, &[0x70; 8]);
        assert_eq!(
            (found.problem(), found.next),
            (Some(ProblemKind::Odd), Next::Data)
        );
    }

    #[test]
    fn both_types_are_written_and_come_back() {
        use crate::craft::testing::{built, rebuilt};
        let outer = "ip src=10.0.0.1 dst=10.0.0.2 / gre seq=7";
        let eth = "eth dst=02:00:00:00:00:02 src=02:00:00:00:00:01 type=0x88cc";
        for (text, expected) in [
            (
                "erspan vlan=5 session=3 index=9",
                "88be00000007 1005000300000009",
            ),
            (
                "erspan version=2 vlan=5 timestamp=1 sgt=2 hw=3",
                "22eb00000007 200500000000000100028030",
            ),
        ] {
            let text = format!("{outer} / {text} / {eth}");
            let bytes = built(&text);
            let expected = expected.replace(' ', "");
            assert_eq!(hex::encode(&bytes[22..22 + expected.len() / 2]), expected);
            assert_eq!(rebuilt(&bytes), text);
            for len in 20..bytes.len() {
                rebuilt(&bytes[..len]);
            }
        }
        let long = built("ERSPAN_III platform=0102030405060708 / hex=00");
        assert_eq!((long.len(), long[11]), (21, 1));
        let long = format!("{outer} / erspan version=2 platform=0102030405060708 / {eth}");
        assert!(rebuilt(&built(&long)).contains("platform=0102030405060708"));
    }
}
