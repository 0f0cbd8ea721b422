//! Cisco MetaData: a security group tag between two headers, in one order on Ethernet and in another in GRE.
//!
//! Spec: none published; "Cisco TrustSec" describes the tag.
//!
//! ```text
//!            0         1        2         4     6       8
//! Ethernet: | version | length | options | tag | type  | payload …
//! GRE:      | type             | version, length | options | tag | payload …
//! ```

use crate::{
    field::{Field, Kind, Visit},
    layer::View,
    line::Line,
    proto::making,
    protocol::{Claim, Context, Craft, Dissected, Next, Part, Protocol, Slot, Tail},
};
use std::ops::ControlFlow;

const HEADER: usize = 8;

/// Cisco MetaData.
pub static PROTOCOL: Protocol = Protocol {
    name: "cmd",
    label: "CMD",
    title: "Cisco MetaData",
    spec: "Cisco TrustSec",
    claims: &[Claim::EtherType(0x8909)],
    fields: FIELDS,
    dissect,
    walk: Some(walk),
    line,
    addresses: None,
    craft: Some(&CRAFT),
};

crate::fields! {
    VERSION = Field::walked("cmd.version", "Version", Kind::Uint, "Always 1.");
    LENGTH = Field::walked("cmd.length", "Length", Kind::Uint, "How many options there are.");
    OPTIONS = Field::walked("cmd.options", "Options", Kind::Hex(4), "Length and type of the option: 1 for a security group tag.");
    SGT = Field::walked("cmd.sgt", "Security group tag", Kind::Uint, "The group that the sender belongs to.");
    TYPE = Field::walked("cmd.type", "Type", Kind::Hex(4), "The EtherType of the payload.");
}

/// In the order on Ethernet, unless asked for the other one.
static CRAFT: Craft = Craft {
    names: &["cmd"],
    header: &[1, 1, 0, 1, 0, 0, 0, 0],
    slots: &[
        Slot::at(&["version"], &VERSION, (0, 0, 8)).when(version_first),
        Slot::at(&["len"], &LENGTH, (1, 0, 8)).when(version_first),
        Slot::at(&["options"], &OPTIONS, (2, 0, 16)).when(version_first),
        Slot::at(&["sgt"], &SGT, (4, 0, 16)).when(version_first),
        Slot::at(&["type"], &TYPE, (6, 0, 16))
            .computed(making::ethertype)
            .when(version_first),
        Slot::at(&["type"], &TYPE, (0, 0, 16))
            .computed(making::ethertype)
            .when(type_first),
        Slot::at(&["version"], &VERSION, (2, 0, 8)).when(type_first),
        Slot::at(&["len"], &LENGTH, (3, 0, 8)).when(type_first),
        Slot::at(&["options"], &OPTIONS, (4, 0, 16)).when(type_first),
        Slot::at(&["sgt"], &SGT, (6, 0, 16)).when(type_first),
    ],
    tail: Some(&Tail {
        parts: &[Part {
            words: &["typefirst"],
            form: "",
            doc: "the type stands first, as in GRE",
            write: |_, header| {
                *header = vec![0x08, 0, 1, 1, 0, 1, 0, 0];
                Ok(())
            },
        }],
        finish: None,
        read: |view, word| {
            if type_first(view.header()) {
                word("typefirst", String::new());
            }
        },
    }),
    answers: None,
};

/// No version reaches the first byte of a type.
fn type_first(header: &[u8]) -> bool {
    header[0] >= 6
}

fn version_first(header: &[u8]) -> bool {
    !type_first(header)
}

fn dissect(bytes: &[u8], context: &Context<'_>) -> Dissected {
    let Some(header) = bytes.first_chunk::<HEADER>() else {
        return Dissected::short(bytes, context, HEADER);
    };
    let in_gre = context
        .layers
        .last()
        .is_some_and(|below| below.protocol.name == "gre");
    let at = if in_gre { 0 } else { 6 };
    let kind = u16::from_be_bytes([header[at], header[at + 1]]);
    Dissected::new(HEADER, Next::Claim(Claim::EtherType(kind)), context)
}

/// Where type and the rest begin.
fn places(view: &View<'_>) -> (usize, usize) {
    let below = view
        .index
        .checked_sub(1)
        .and_then(|index| view.packet.view(index));
    match below {
        Some(below) if below.layer.protocol.name == "gre" => (0, 2),
        _ => (6, 0),
    }
}

fn walk(view: &View<'_>, visit: &mut dyn Visit) -> ControlFlow<()> {
    let (kind, rest) = places(view);
    for (field, at, len) in [
        (&VERSION, rest, 1),
        (&LENGTH, rest + 1, 1),
        (&OPTIONS, rest + 2, 2),
        (&SGT, rest + 4, 2),
        (&TYPE, kind, 2),
    ] {
        view.put((field, at, len), visit)?;
    }
    ControlFlow::Continue(())
}

fn line(view: &View<'_>, line: &mut Line) {
    if let Some(tag) = view.u16(places(view).1 + 4) {
        line.say(format_args!("sgt={tag} len={}", view.payload_wire()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::testing::{cut_everywhere, seen};

    const CLAIM: Claim = Claim::EtherType(0x8909);

    #[test]
    fn on_ethernet_the_type_comes_last() {
        let seen = seen(&PROTOCOL, CLAIM, &[1, 1, 0, 1, 0, 7, 8, 0]);
        assert_eq!(seen.all("cmd.sgt"), ["7"]);
        assert_eq!(seen.all("cmd.type"), ["0x0800"]);
        assert_eq!(seen.next, Next::Claim(Claim::EtherType(0x0800)));
    }

    #[test]
    fn cut_anywhere_is_no_fault_and_ending_early_is() {
        cut_everywhere(&PROTOCOL, CLAIM, &[1, 1, 0, 1, 0, 7, 8, 0], HEADER);
    }

    #[test]
    fn both_orders_are_written_and_come_back() {
        use crate::{
            craft::testing::{built, rebuilt, rebuilt_on},
            link::LinkType,
        };
        let ip = "ip proto=253 src=10.1.0.1 dst=10.1.0.2";
        let text = format!("eth dst=02:00:00:00:00:02 src=02:00:00:00:00:01 / cmd sgt=16 / {ip}");
        let bytes = built(&text);
        assert_eq!(hex::encode(&bytes[12..22]), "89090101000100100800");
        assert_eq!(rebuilt_on(LinkType::ETHERNET, &bytes), text);
        rebuilt_on(LinkType::ETHERNET, &bytes[..20]);
        let text = format!("ip src=10.0.0.1 dst=10.0.0.2 / gre / cmd sgt=16 typefirst / {ip}");
        let bytes = built(&text);
        assert_eq!(hex::encode(&bytes[22..32]), "89090800010100010010");
        assert_eq!(rebuilt(&bytes), text);
    }
}
