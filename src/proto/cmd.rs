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
    protocol::{Claim, Context, Dissected, Next, Protocol},
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
    craft: None,
};

crate::fields! {
    VERSION = Field::walked("cmd.version", "Version", Kind::Uint, "Always 1.");
    LENGTH = Field::walked("cmd.length", "Length", Kind::Uint, "How many options there are.");
    OPTIONS = Field::walked("cmd.options", "Options", Kind::Hex(4), "Length and type of the option: 1 for a security group tag.");
    SGT = Field::walked("cmd.sgt", "Security group tag", Kind::Uint, "The group that the sender belongs to.");
    TYPE = Field::walked("cmd.type", "Type", Kind::Hex(4), "The EtherType of the payload.");
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
}
