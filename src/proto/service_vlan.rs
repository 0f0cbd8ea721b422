//! The service tag of provider bridges (Q-in-Q): a VLAN tag of its own name and EtherType around the customer's.
//!
//! Spec: IEEE 802.1ad, now IEEE 802.1Q clause 9.6.
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
        ethertype::{self, NAMES},
        making,
    },
    protocol::{Claim, Context, Craft, Dissected, Next, Protocol, Slot},
};
use std::ops::ControlFlow;

const HEADER: usize = 4;

/// The service tag.
pub static PROTOCOL: Protocol = Protocol {
    name: "ieee8021ad",
    label: "S-VLAN",
    title: "802.1ad service VLAN",
    spec: "IEEE 802.1ad",
    claims: &[Claim::EtherType(0x88a8)],
    fields: FIELDS,
    dissect,
    walk: Some(walk),
    line,
    addresses: None,
    craft: Some(&CRAFT),
};

crate::fields! {
    PRIORITY = Field::bits("ieee8021ad.priority", "Priority", Kind::Uint, (0, 0, 3), "Priority code point, 0 to 7; 1 is the lowest, 0 the default (IEEE 802.1Q clause 6.9.3).");
    DEI = Field::bits("ieee8021ad.dei", "Drop eligible", Kind::Uint, (0, 3, 1), "The frame may be dropped first when there is congestion (IEEE 802.1Q clause 6.9.3).");
    ID = Field::bits("ieee8021ad.id", "ID", Kind::Uint, (0, 4, 12), "Which of the provider's virtual LANs (IEEE 802.1Q clause 9.6).");
    TYPE = Field::at("ieee8021ah.etype", "Type", Kind::Hex(4), 2, 16, "The protocol of the payload, mostly a customer's VLAN tag (IEEE 802.1Q clause 9.6).").names(NAMES);
    PADDING = Field::walked("eth.padding", "Padding", Kind::Bytes, "Zeros that fill a short frame up to 60 bytes (IEEE 802.3 clause 3.2.8).");
    TRAILER = Field::walked("ieee8021ah.trailer", "Trailer", Kind::Bytes, "Bytes after the end of the payload that are no padding.");
}

static CRAFT: Craft = Craft {
    names: &["svlan", "dot1ad"],
    header: &[0, 1, 0, 0],
    slots: &[
        Slot::new(&["id", "vlan"], &ID),
        Slot::new(&["prio"], &PRIORITY),
        Slot::new(&["dei"], &DEI),
        Slot::new(&["type"], &TYPE).computed(making::ethertype),
    ],
    tail: None,
    answers: None,
};

fn dissect(bytes: &[u8], context: &Context<'_>) -> Dissected {
    let Some(&[hi, lo]) = bytes.get(2..HEADER) else {
        return Dissected::short(bytes, context, HEADER);
    };
    let kind = u16::from_be_bytes([hi, lo]);
    Dissected::new(HEADER, Next::Claim(Claim::EtherType(kind)), context)
}

fn walk(view: &View<'_>, visit: &mut dyn Visit) -> ControlFlow<()> {
    ethertype::trailer(view, visit, &PADDING, &TRAILER)
}

fn line(view: &View<'_>, line: &mut Line) {
    if let Some(Value::Uint(id)) = view.value(&ID) {
        line.say(format_args!("svlan={id}"));
    }
    if let Some(kind) = view.u16(2) {
        ethertype::add(kind, view, line);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::testing::{cut_everywhere, seen};

    #[test]
    fn shows_every_field_of_a_tag_and_hands_on_to_the_next() {
        let bytes = [0xa0, 0xc8, 0x81, 0x00, 0];
        let claim = Claim::EtherType(0x88a8);
        let found = seen(&PROTOCOL, claim, &bytes);
        assert_eq!(
            found.pairs(),
            [
                ("ieee8021ad.priority", "5"),
                ("ieee8021ad.dei", "0"),
                ("ieee8021ad.id", "200"),
                ("ieee8021ah.etype", "0x8100"),
            ]
        );
        assert_eq!(found.next, Next::Claim(Claim::EtherType(0x8100)));
        cut_everywhere(&PROTOCOL, claim, &bytes, 4);
    }

    #[test]
    fn a_service_tag_around_a_tag_is_written_and_comes_back() {
        use crate::{
            craft::testing::{built, rebuilt_on},
            link::LinkType,
        };
        let text = "eth dst=02:00:00:00:00:02 src=02:00:00:00:00:01 / svlan id=100 / vlan id=7 type=0x1234";
        let bytes = built(text);
        assert_eq!(bytes[12..], [0x88, 0xa8, 0, 100, 0x81, 0, 0, 7, 0x12, 0x34]);
        assert_eq!(rebuilt_on(LinkType::ETHERNET, &bytes), text);
        rebuilt_on(LinkType::ETHERNET, &bytes[..17]);
    }
}
