//! VLAN tags: four bytes between the addresses and the type of an Ethernet frame, one or several of them.
//!
//! Spec: IEEE 802.1Q clause 9.6; the service tag (88a8) was 802.1ad, and 9100 its forerunner.
//!
//! ```text
//!  0                         2        4
//! | priority:3 DEI:1 VID:12 | type   | payload …
//! ```

use crate::{
    field::{Field, Kind, Value, Visit},
    layer::View,
    line::Line,
    proto::{
        ethertype::{self, LONGEST, NAMES},
        making,
    },
    protocol::{Claim, Context, Craft, Dissected, Protocol, Slot},
};
use std::ops::ControlFlow;

const HEADER: usize = 4;

/// The customer tag, and the unregistered stacked tag of 9100.
pub static PROTOCOL: Protocol = Protocol {
    name: "vlan",
    label: "VLAN",
    title: "802.1Q virtual LAN",
    spec: "IEEE 802.1Q",
    claims: &[Claim::EtherType(0x8100), Claim::EtherType(0x9100)],
    fields: FIELDS,
    dissect,
    walk: Some(walk),
    line,
    addresses: None,
    craft: Some(&CRAFT),
};

crate::fields! {
    PRIORITY = Field::bits("vlan.priority", "Priority", Kind::Uint, (0, 0, 3), "Priority code point, 0 to 7; 1 is the lowest, 0 the default (IEEE 802.1Q clause 6.9.3).");
    DEI = Field::bits("vlan.dei", "Drop eligible", Kind::Flag, (0, 3, 1), "The frame may be dropped first when there is congestion (IEEE 802.1Q clause 6.9.3).");
    ID = Field::bits("vlan.id", "ID", Kind::Uint, (0, 4, 12), "Which virtual LAN; 0 means none, only a priority (IEEE 802.1Q clause 9.6).");
    TYPE = Field::walked("vlan.etype", "Type", Kind::Hex(4), "The protocol of the payload, an EtherType (IEEE 802.1Q clause 9.6).").names(NAMES);
    LEN = Field::walked("vlan.len", "Length", Kind::Uint, "Bytes of payload, in IEEE 802.3 (clause 3.2.6).");
    PADDING = Field::walked("eth.padding", "Padding", Kind::Bytes, "Zeros that fill a short frame up to 60 bytes (IEEE 802.3 clause 3.2.8).");
    TRAILER = Field::walked("vlan.trailer", "Trailer", Kind::Bytes, "Bytes after the end of the payload that are no padding.");
}

static CRAFT: Craft = Craft {
    names: &["vlan", "dot1q"],
    header: &[0, 1, 0, 0],
    slots: &[
        Slot::new(&["id", "vlan"], &ID),
        Slot::new(&["prio"], &PRIORITY),
        Slot::new(&["dei"], &DEI),
        Slot::at(&["type", "len"], &TYPE, (2, 0, 16)).computed(making::type_or_length),
    ],
    tail: None,
    answers: None,
};

fn dissect(bytes: &[u8], context: &Context<'_>) -> Dissected {
    ethertype::type_or_length(bytes, HEADER, context)
}

fn walk(view: &View<'_>, visit: &mut dyn Visit) -> ControlFlow<()> {
    let Some(kind) = view.u16(2) else {
        return ControlFlow::Continue(());
    };
    let field = if kind > LONGEST { &TYPE } else { &LEN };
    visit.field(field, Value::Uint(kind.into()), view.bits(2, 2))?;
    ethertype::trailer(view, visit, &PADDING, &TRAILER)
}

fn line(view: &View<'_>, line: &mut Line) {
    if let Some(Value::Uint(id)) = view.value(&ID) {
        line.say(format_args!("vlan={id}"));
    }
    if let Some(kind) = view.u16(2).filter(|&kind| kind > LONGEST) {
        ethertype::add(kind, view, line);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        layer::ProblemKind,
        proto::testing::{cut_everywhere, seen},
        protocol::Next,
    };

    const CLAIM: Claim = Claim::EtherType(0x8100);

    #[test]
    fn shows_every_field_of_a_tag() {
        let bytes = [0xb0, 0x05, 0x08, 0x00, 0x45];
        let found = seen(&PROTOCOL, CLAIM, &bytes);
        assert_eq!(
            found.pairs(),
            [
                ("vlan.priority", "5"),
                ("vlan.dei", "true"),
                ("vlan.id", "5"),
                ("vlan.etype", "0x0800"),
            ]
        );
        assert_eq!(found.next, Next::Claim(Claim::EtherType(0x0800)));
        assert_eq!(found.line, " →  vlan=5 IPv4 (0x0800) len=1");
        cut_everywhere(&PROTOCOL, CLAIM, &bytes, 4);
    }

    #[test]
    fn a_length_leads_to_llc_and_leaves_a_trailer() {
        let found = seen(&PROTOCOL, CLAIM, &[0, 1, 0, 3, 0x42, 0x42, 0x03, 7, 8]);
        assert_eq!(found.all("vlan.len"), ["3"]);
        assert_eq!(found.all("vlan.trailer"), ["07:08"]);
        assert_eq!(found.next, Next::Claim(Claim::Name("llc")));
        assert_eq!(
            seen(&PROTOCOL, CLAIM, &[0, 1, 0, 2, 0xff, 0xff]).next,
            Next::Data
        );
    }

    #[test]
    fn the_frame_around_a_tag_leaves_the_trailer_to_it() {
        let frame = [&[2; 12][..], &[0x81, 0, 0, 1, 0, 3, 0x42, 0x42, 0x03, 7, 8]].concat();
        let link = Claim::Link(crate::link::LinkType::ETHERNET);
        let layers = [
            (&crate::proto::ethernet::PROTOCOL, link),
            (&PROTOCOL, CLAIM),
        ];
        let trailers = |index, name| -> usize {
            let found = crate::proto::testing::chain_at(&layers, &frame, frame.len(), index);
            found.all(name).len()
        };
        assert_eq!(trailers(0, "eth.trailer") + trailers(0, "eth.padding"), 0);
        assert_eq!(trailers(1, "vlan.trailer"), 1);
    }

    #[test]
    fn a_length_past_the_end_and_a_meaningless_type_are_malformed() {
        for bytes in [[0, 1, 0, 9, 1], [0, 1, 0x05, 0xdd, 1]] {
            let found = seen(&PROTOCOL, CLAIM, &bytes);
            assert_eq!(found.problem(), Some(ProblemKind::Malformed), "{bytes:?}");
        }
    }

    #[test]
    fn a_tag_is_written_and_comes_back() {
        use crate::{
            craft::testing::{built, rebuilt_on},
            link::LinkType,
        };
        let text = "eth dst=02:00:00:00:00:02 src=02:00:00:00:00:01 / vlan id=7 prio=3 dei / ip proto=253 src=10.0.0.1 dst=10.0.0.2";
        let bytes = built(text);
        assert_eq!(bytes[12..18], [0x81, 0, 0x70, 0x07, 8, 0]);
        assert_eq!(rebuilt_on(LinkType::ETHERNET, &bytes), text);
        assert_eq!(
            built("Dot1Q vlan=9 prio=1 type=0x1234"),
            [0x20, 9, 0x12, 0x34]
        );
        assert_eq!(built("vlan / llc / hex=00")[..4], [0, 1, 0, 4]);
        rebuilt_on(LinkType::ETHERNET, &bytes[..16]);
    }
}
