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
    protocol::{Claim, Context, Dissected, Next, Protocol},
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
    craft: None,
};

crate::fields! {
    VERSION = Field::bits("erspan.version", "Version", Kind::Uint, (0, 0, 4), "1 is type II, 2 is type III (draft-foschiano-erspan-03 §4).");
    VLAN = Field::bits("erspan.vlan", "VLAN", Kind::Uint, (0, 4, 12), "The VLAN of the mirrored frame (draft-foschiano-erspan-03 §4).");
    COS = Field::bits("erspan.cos", "Class of service", Kind::Uint, (2, 0, 3), "The priority of the mirrored frame (draft-foschiano-erspan-03 §4).");
    TRUNCATED = Field::bits("erspan.truncated", "Truncated", Kind::Uint, (2, 5, 1), "The mirrored frame was cut to fit (draft-foschiano-erspan-03 §4).");
    SPAN_ID = Field::bits("erspan.spanid", "Session", Kind::Uint, (2, 6, 10), "Which mirroring session it belongs to (draft-foschiano-erspan-03 §4).");
    FRAME_TYPE = Field::bits("erspan.ft", "Frame type", Kind::Uint, (10, 1, 5), "0 is Ethernet, 2 is IP, in type III (draft-foschiano-erspan-03 §4.2).");
}

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
}
