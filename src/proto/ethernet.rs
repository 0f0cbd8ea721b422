//! Ethernet II and IEEE 802.3: the 14-byte header, told apart by its type-or-length field.
//!
//! Spec: IEEE 802.3 clause 3; the limit of 1500 between length and type is clause 3.2.6.
//!
//! ```text
//!  0                 6                 12        14
//! | destination MAC | source MAC      | type/len | payload …
//! ```

use crate::{
    field::{Field, Kind, Value, Visit},
    layer::View,
    line::Line,
    link::LinkType,
    protocol::{Claim, Context, Dissected, Next, Protocol},
    text::Mac,
};
use std::ops::ControlFlow;

const HEADER: usize = 14;
/// Up to this value the field is a length (IEEE 802.3), from 0x600 on a type.
const LONGEST: u16 = 1500;

/// Ethernet.
pub static PROTOCOL: Protocol = Protocol {
    name: "eth",
    label: "ETH",
    title: "Ethernet",
    spec: "IEEE 802.3",
    claims: &[Claim::Link(LinkType::ETHERNET)],
    fields: FIELDS,
    dissect,
    walk: Some(walk),
    line,
    addresses: None,
};

crate::fields! {
    DST = Field::at("eth.dst", "Destination", Kind::Mac, 0, 48, "The hardware address that the frame is for.");
    SRC = Field::at("eth.src", "Source", Kind::Mac, 6, 48, "The hardware address that sent the frame.");
    TYPE = Field::walked("eth.type", "Type", Kind::Hex(4), "The protocol of the payload, in Ethernet II.");
    LEN = Field::walked("eth.len", "Length", Kind::Uint, "Bytes of payload, in IEEE 802.3.");
}

fn dissect(bytes: &[u8], context: &Context<'_>) -> Dissected {
    let Some(&[hi, lo]) = bytes.get(12..HEADER) else {
        return Dissected::short(bytes, context, HEADER);
    };
    let kind = u16::from_be_bytes([hi, lo]);
    if kind > LONGEST {
        return Dissected::new(HEADER, Next::Claim(Claim::EtherType(kind)), context);
    }
    let mut found = Dissected::new(HEADER, Next::Claim(Claim::Name("llc")), context);
    found.wire = found.wire.min(u32::from(kind) + HEADER as u32);
    found
}

fn walk(view: &View<'_>, visit: &mut dyn Visit) -> ControlFlow<()> {
    let Some(kind) = view.u16(12) else {
        return ControlFlow::Continue(());
    };
    let field = if kind > LONGEST { &TYPE } else { &LEN };
    visit.field(field, Value::Uint(kind.into()), view.bits(12, 2))
}

fn line(view: &View<'_>, line: &mut Line) {
    if let (Some(Value::Mac(src)), Some(Value::Mac(dst))) = (view.value(&SRC), view.value(&DST)) {
        line.ends(Mac(src), Mac(dst));
    }
    match view.u16(12) {
        Some(kind) if kind > LONGEST => {
            line.say(format_args!("type=0x{kind:04x} len={}", view.layer.wire))
        }
        _ => line.say(format_args!("len={}", view.layer.wire)),
    }
}
