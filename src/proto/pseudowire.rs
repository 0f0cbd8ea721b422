//! Ethernet over MPLS: an optional control word, whose first nibble is zero, and then an Ethernet frame.
//!
//! Spec: RFC 4448 §4.6.
//!
//! ```text
//!  0                               4
//! | 0:4 | reserved:12 | sequence:16 | Ethernet frame …
//! ```

use crate::{
    field::{Field, Kind, Value, Visit},
    layer::View,
    line::Line,
    proto::ethertype::{LONGEST, NAMES},
    protocol::{Claim, Context, Craft, Dissected, Next, Protocol, Slot},
};
use std::ops::ControlFlow;

const WORD: usize = 4;

/// The control word, empty where the frame begins at once.
pub static PROTOCOL: Protocol = Protocol {
    name: "pwethcw",
    label: "PW",
    title: "Ethernet pseudowire control word",
    spec: "RFC 4448",
    claims: &[Claim::Name("pwethcw")],
    fields: FIELDS,
    dissect,
    walk: Some(walk),
    line,
    addresses: None,
    craft: Some(&CRAFT),
};

crate::fields! {
    SEQUENCE = Field::walked("pweth.cw.sequence_number", "Sequence number", Kind::Uint, "Counts frames so that order can be checked; 0 means not used (RFC 4448 §4.6).");
}

static CRAFT: Craft = Craft {
    names: &["pw", "eomcw"],
    header: &[0; WORD],
    slots: &[
        Slot::new(&["zero"], &ZERO),
        Slot::new(&["reserved"], &RESERVED),
        Slot::at(&["seq"], &SEQUENCE, (2, 0, 16)),
    ],
    tail: None,
    answers: None,
};

static ZERO: Field = Field::bits(
    "pweth.cw.zero",
    "First nibble",
    Kind::Hex(1),
    (0, 0, 4),
    "Zero, so that routers do not take the packet for IP (RFC 4448 §4.6).",
);
static RESERVED: Field = Field::bits(
    "pweth.cw.reserved",
    "Reserved",
    Kind::Hex(3),
    (0, 4, 12),
    "Zero (RFC 4448 §4.6).",
);

/// The type or length of an Ethernet frame that begins at `start` is one that makes sense.
fn is_frame(bytes: &[u8], start: usize) -> bool {
    bytes
        .get(start + 12..)
        .and_then(|rest| rest.first_chunk())
        .map(|two| u16::from_be_bytes(*two))
        .is_some_and(|kind| match kind {
            // A length fits the frame, give or take the padding.
            1..=LONGEST => usize::from(kind) <= bytes.len() - start - 14,
            _ => NAMES.iter().any(|(name, _)| *name == u64::from(kind)),
        })
}

fn dissect(bytes: &[u8], context: &Context<'_>) -> Dissected {
    if bytes.len() < WORD {
        return Dissected::short(bytes, context, WORD);
    }
    // Nothing says whether the word is there: it is left out only where the frame plainly begins without it.
    let plain = is_frame(bytes, 0) && !is_frame(bytes, WORD);
    let header = if plain { 0 } else { WORD };
    Dissected::new(header, Next::Claim(Claim::Name("eth")), context)
}

fn walk(view: &View<'_>, visit: &mut dyn Visit) -> ControlFlow<()> {
    if view.layer.header != WORD as u32 {
        return ControlFlow::Continue(());
    }
    match view.u16(2) {
        Some(number) => visit.field(&SEQUENCE, Value::Uint(number.into()), view.bits(2, 2)),
        None => ControlFlow::Continue(()),
    }
}

fn line(_: &View<'_>, line: &mut Line) {
    line.say(format_args!("pseudowire"));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::testing::{cut_everywhere, seen};

    const CLAIM: Claim = Claim::Name("pwethcw");
    const FRAME: [u8; 15] = [2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 0x08, 0x00, 0x45];

    #[test]
    fn a_control_word_comes_before_the_frame() {
        let bytes = [&[0, 0, 0, 7], &FRAME[..]].concat();
        let found = seen(&PROTOCOL, CLAIM, &bytes);
        assert_eq!(found.pairs(), [("pweth.cw.sequence_number", "7")]);
        assert_eq!(
            (found.layer.header, found.next),
            (4, Next::Claim(Claim::Name("eth")))
        );
        cut_everywhere(&PROTOCOL, CLAIM, &bytes, 4);
    }

    #[test]
    fn a_frame_may_begin_at_once() {
        let found = seen(&PROTOCOL, CLAIM, &FRAME);
        assert_eq!(
            (found.layer.header, found.next),
            (0, Next::Claim(Claim::Name("eth")))
        );
        assert!(found.fields.is_empty());
    }

    #[test]
    fn a_word_is_written_and_comes_back_and_so_does_a_frame_without_one() {
        use crate::{
            craft::testing::{built, rebuilt_on},
            link::LinkType,
        };
        let link = "eth dst=02:00:00:00:00:02 src=02:00:00:00:00:01";
        let text = format!("{link} / mpls / pw seq=7 / {link} type=0x88cc");
        let bytes = built(&text);
        assert_eq!(bytes[18..22], [0, 0, 0, 7]);
        assert_eq!(rebuilt_on(LinkType::ETHERNET, &bytes), text);
        let plain = built(&format!("{link} / mpls / eth type=0x88cc"));
        assert!(!rebuilt_on(LinkType::ETHERNET, &plain).contains("pw"));
        rebuilt_on(LinkType::ETHERNET, &bytes[..20]);
    }
}
