//! Ethernet II and IEEE 802.3: the 14-byte header, told apart by its type-or-length field.
//!
//! Spec: IEEE 802.3 clause 3; the limit of 1500 between length and type is clause 3.2.6.
//!
//! ```text
//!  0                 6                 12        14
//! | destination MAC | source MAC      | type/len | payload … | padding, trailer
//! ```

use crate::{
    field::{Field, Kind, Value, Visit},
    layer::{Problem, View},
    line::Line,
    link::LinkType,
    proto::ethertype::{self, FIRST_TYPE, LONGEST, NAMES},
    protocol::{Claim, Context, Dissected, Next, Protocol},
    text::Mac,
};
use std::ops::ControlFlow;

const HEADER: usize = 14;
/// The shortest frame without its check sequence: shorter payloads are padded to it (clause 3.2.8).
const SHORTEST: usize = 60;

/// Ethernet.
pub static PROTOCOL: Protocol = Protocol {
    name: "eth",
    label: "ETH",
    title: "Ethernet",
    spec: "IEEE 802.3",
    claims: &[
        Claim::Link(LinkType::ETHERNET),
        Claim::EtherType(0x6558),
        Claim::IpProto(143),
        Claim::Name("eth"),
    ],
    fields: FIELDS,
    dissect,
    walk: Some(walk),
    line,
    addresses: None,
};

crate::fields! {
    DST = Field::at("eth.dst", "Destination", Kind::Mac, 0, 48, "The hardware address that the frame is for (IEEE 802.3 clause 3.2.4).");
    DST_LG = Field::bits("eth.dst.lg", "Destination is local", Kind::Flag, (0, 6, 1), "The address was assigned locally, not by its maker (IEEE 802 clause 8.4).");
    DST_IG = Field::bits("eth.dst.ig", "Destination is a group", Kind::Flag, (0, 7, 1), "The frame is for a group of stations: multicast, or broadcast (IEEE 802 clause 8.4).");
    SRC = Field::at("eth.src", "Source", Kind::Mac, 6, 48, "The hardware address that sent the frame (IEEE 802.3 clause 3.2.5).");
    SRC_LG = Field::bits("eth.src.lg", "Source is local", Kind::Flag, (6, 6, 1), "The address was assigned locally, not by its maker (IEEE 802 clause 8.4).");
    SRC_IG = Field::bits("eth.src.ig", "Source is a group", Kind::Flag, (6, 7, 1), "Never set: no group can send (IEEE 802.3 clause 3.2.3).");
    TYPE = Field::walked("eth.type", "Type", Kind::Hex(4), "The protocol of the payload, in Ethernet II (IEEE 802.3 clause 3.2.6).").names(NAMES);
    LEN = Field::walked("eth.len", "Length", Kind::Uint, "Bytes of payload, in IEEE 802.3 (clause 3.2.6).");
    INVALID = Field::walked("eth.invalid_lentype", "Neither length nor type", Kind::Hex(4), "Above the longest length and below the first type (IEEE 802.3 clause 3.2.6).");
    PADDING = Field::walked("eth.padding", "Padding", Kind::Bytes, "Zeros that fill a short frame up to 60 bytes (IEEE 802.3 clause 3.2.8).");
    TRAILER = Field::walked("eth.trailer", "Trailer", Kind::Bytes, "Bytes after the end of the payload that are no padding.");
}

fn dissect(bytes: &[u8], context: &Context<'_>) -> Dissected {
    let Some(&[hi, lo]) = bytes.get(12..HEADER) else {
        return Dissected::short(bytes, context, HEADER);
    };
    let kind = u16::from_be_bytes([hi, lo]);
    if kind >= FIRST_TYPE {
        return Dissected::new(HEADER, Next::Claim(Claim::EtherType(kind)), context);
    }
    if kind > LONGEST {
        return Dissected::new(HEADER, Next::Data, context)
            .with(Problem::malformed("neither a length nor a type"));
    }
    let mut found = Dissected::new(HEADER, Next::Claim(Claim::Name("llc")), context);
    // Before 802.2, Novell put IPX here without LLC; its first field is always ffff.
    if bytes.get(HEADER..HEADER + 2) == Some(&[0xff, 0xff]) {
        found.next = Next::Data;
    }
    let length = u32::from(kind) + HEADER as u32;
    if length > context.wire {
        return found.with(Problem::malformed("length goes past the end of the frame"));
    }
    found.wire = length;
    found
}

fn walk(view: &View<'_>, visit: &mut dyn Visit) -> ControlFlow<()> {
    let Some(kind) = view.u16(12) else {
        return ControlFlow::Continue(());
    };
    let field = match kind {
        FIRST_TYPE.. => &TYPE,
        0..=LONGEST => &LEN,
        _ => &INVALID,
    };
    visit.field(field, Value::Uint(kind.into()), view.bits(12, 2))?;
    let (offset, trailer) = ethertype::trailer(view);
    if trailer.is_empty() {
        return ControlFlow::Continue(());
    }
    let padding = SHORTEST.saturating_sub(offset).min(trailer.len());
    let (padding, rest) = match trailer.split_at(padding) {
        (zeros, rest) if zeros.iter().all(|&b| b == 0) => (zeros, rest),
        _ => (&trailer[..0], trailer),
    };
    for (field, part) in [(&PADDING, padding), (&TRAILER, rest)] {
        if !part.is_empty() {
            let at = offset + if field.is(&TRAILER) { padding.len() } else { 0 };
            visit.field(field, Value::Bytes(part), view.bits(at, part.len()))?;
        }
    }
    ControlFlow::Continue(())
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
