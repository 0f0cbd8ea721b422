//! The IP authentication header: who sent the packet is proved, and nothing is hidden, so decoding goes on behind it.
//!
//! Spec: RFC 4302 §2.
//!
//! ```text
//!  0             1        2          4     8          12
//! | next header | length | reserved | SPI | sequence | check value … | payload …
//! ```

use super::{ipproto, making};
use crate::{
    field::{Field, Kind, Value, Visit},
    layer::{Problem, View},
    line::Line,
    protocol::{Claim, Context, Craft, Dissected, Next, Part, Protocol, Slot, Tail},
};
use std::ops::ControlFlow;

/// Up to the integrity check value.
const FIXED: usize = 12;

/// AH.
pub static PROTOCOL: Protocol = Protocol {
    name: "ah",
    label: "AH",
    title: "Authentication Header",
    spec: "RFC 4302",
    claims: &[Claim::IpProto(51)],
    fields: FIELDS,
    dissect,
    walk: Some(walk),
    line,
    addresses: None,
    craft: Some(&CRAFT),
};

crate::fields! {
    NEXT = Field::at("ah.next_header", "Next header", Kind::Uint, 0, 8, "The IP protocol of the payload (RFC 4302 §2.1).").names(ipproto::NAMES);
    LENGTH = Field::at("ah.length", "Length", Kind::Uint, 1, 8, "Words of 4 bytes in this header, less 2 (RFC 4302 §2.2).");
    RESERVED = Field::at("ah.reserved", "Reserved", Kind::Bytes, 2, 16, "Zero (RFC 4302 §2.3).");
    SPI = Field::at("ah.spi", "Security parameters index", Kind::Hex(8), 4, 32, "Which security association the packet belongs to (RFC 4302 §2.4).");
    SEQUENCE = Field::at("ah.sequence", "Sequence number", Kind::Uint, 8, 32, "Counts packets, against replay (RFC 4302 §2.5).");
    ICV = Field::walked("ah.icv", "Integrity check value", Kind::Bytes, "The proof: a keyed checksum over the packet (RFC 4302 §2.6).");
}

static CRAFT: Craft = Craft {
    names: &["ah"],
    header: &[0; FIXED],
    slots: &[
        Slot::new(&["nh"], &NEXT).computed(making::next_header),
        Slot::new(&["len", "payloadlen"], &LENGTH).computed(words),
        Slot::new(&["reserved"], &RESERVED),
        Slot::new(&["spi"], &SPI),
        Slot::new(&["seq"], &SEQUENCE),
    ],
    tail: Some(&Tail {
        parts: &[Part {
            words: &["icv"],
            form: "HEX",
            doc: "integrity check value",
            write: making::append,
        }],
        finish: None,
        read: |view, word| {
            let icv = view.header().get(FIXED..).unwrap_or(&[]);
            if !icv.is_empty() {
                word("icv", hex::encode(icv));
            }
        },
    }),
    answers: None,
};

/// Words of four bytes, less two (§2.2).
fn words(view: &View<'_>) -> Option<u64> {
    (view.header().len() as u64 / 4).checked_sub(2)
}

fn dissect(bytes: &[u8], context: &Context<'_>) -> Dissected {
    let Some(fixed) = bytes.first_chunk::<FIXED>() else {
        return Dissected::short(bytes, context, FIXED);
    };
    let header = (usize::from(fixed[1]) + 2) * 4;
    if bytes.len() < header {
        return Dissected::short(bytes, context, header);
    }
    let next = Next::Claim(Claim::IpProto(fixed[0]));
    if header < FIXED {
        return Dissected::new(FIXED, next, context)
            .with(Problem::malformed("length is shorter than the header"));
    }
    Dissected::new(header, next, context)
}

fn walk(view: &View<'_>, visit: &mut dyn Visit) -> ControlFlow<()> {
    match view.header().get(FIXED..) {
        Some(icv) if !icv.is_empty() => {
            visit.field(&ICV, Value::Bytes(icv), view.bits(FIXED, icv.len()))
        }
        _ => ControlFlow::Continue(()),
    }
}

fn line(view: &View<'_>, line: &mut Line) {
    if let (Some(spi), Some(sequence)) = (view.u32(4), view.u32(8)) {
        line.say(format_args!("spi=0x{spi:08x} seq={sequence}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        layer::ProblemKind,
        proto::testing::{cut_everywhere, seen},
    };

    const CLAIM: Claim = Claim::IpProto(51);

    #[test]
    fn shows_every_field() {
        let bytes = [
            6, 2, 0, 0, 0, 0, 1, 0, 0, 0, 0, 5, 0xaa, 0xbb, 0xcc, 0xdd, 0xc0,
        ];
        let found = seen(&PROTOCOL, CLAIM, &bytes);
        assert_eq!(
            found.pairs(),
            [
                ("ah.next_header", "6"),
                ("ah.length", "2"),
                ("ah.reserved", "00:00"),
                ("ah.spi", "0x00000100"),
                ("ah.sequence", "5"),
                ("ah.icv", "aa:bb:cc:dd"),
            ]
        );
        assert_eq!(
            (found.layer.header, found.next),
            (16, Next::Claim(Claim::IpProto(6)))
        );
        assert_eq!(found.line, " →  spi=0x00000100 seq=5");
        cut_everywhere(&PROTOCOL, CLAIM, &bytes, 16);
    }

    #[test]
    fn a_length_below_the_header_is_malformed() {
        let found = seen(&PROTOCOL, CLAIM, &[17, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 5, 0]);
        assert_eq!(found.problem(), Some(ProblemKind::Malformed));
        assert_eq!(found.layer.header, 12);
    }

    #[test]
    fn the_check_value_is_written_and_counted() {
        use crate::craft::testing::{built, rebuilt};
        let text = "ip src=10.0.0.1 dst=10.0.0.2 / ah spi=0x00000100 seq=9 icv=000102030405060708090a0b / udp sport=1 dport=2";
        let bytes = built(text);
        assert_eq!(hex::encode(&bytes[20..32]), "110400000000010000000009");
        assert_eq!(rebuilt(&bytes), text);
        for len in 20..bytes.len() {
            rebuilt(&bytes[..len]);
        }
        let wrong = built(&text.replace("spi", "len=0 spi"));
        assert_eq!(wrong[21], 0);
        rebuilt(&wrong);
    }
}
