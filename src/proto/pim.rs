//! Protocol Independent Multicast: its common header, and the packet that a register message carries.
//!
//! Spec: RFC 7761 §4.9.
//!
//! ```text
//!  0        1          2          4 (register)     8
//! | ver,type| reserved | checksum | flags          | packet …
//! ```

mod craft;

use crate::{
    field::{Field, Kind},
    layer::View,
    line::Line,
    protocol::{Claim, Context, Dissected, Next, Protocol},
};

const HEADER: usize = 4;
const REGISTER_HEADER: usize = 8;
/// Version 2, type 1.
const REGISTER: u8 = 0x21;

/// PIM.
pub static PROTOCOL: Protocol = Protocol {
    name: "pim",
    label: "PIM",
    title: "Protocol Independent Multicast",
    spec: "RFC 7761",
    claims: &[Claim::IpProto(103)],
    fields: FIELDS,
    dissect,
    walk: None,
    line,
    addresses: None,
    craft: Some(&craft::CRAFT),
};

const TYPES: &[(u64, &str)] = &[
    (0, "hello"),
    (1, "register"),
    (2, "register stop"),
    (3, "join/prune"),
    (4, "bootstrap"),
    (5, "assert"),
    (6, "graft"),
    (7, "graft ack"),
    (8, "candidate RP advertisement"),
    (9, "state refresh"),
    (10, "DF election"),
];

crate::fields! {
    VERSION = Field::bits("pim.version", "Version", Kind::Uint, (0, 0, 4), "2 since 1998 (RFC 7761 §4.9).");
    TYPE = Field::bits("pim.type", "Type", Kind::Uint, (0, 4, 4), "What the message is (RFC 7761 §4.9).").names(TYPES);
    CKSUM = Field::at("pim.cksum", "Checksum", Kind::Hex(4), 2, 16, "Over the message; of a register only its first 8 bytes (RFC 7761 §4.9).");
}

fn dissect(bytes: &[u8], context: &Context<'_>) -> Dissected {
    let header = match bytes.first() {
        Some(&REGISTER) => REGISTER_HEADER,
        _ => HEADER,
    };
    if bytes.len() < header {
        return Dissected::short(bytes, context, header);
    }
    let next = match bytes.get(header).map(|byte| byte >> 4) {
        Some(4) if header == REGISTER_HEADER => Next::Claim(Claim::EtherType(0x0800)),
        Some(6) if header == REGISTER_HEADER => Next::Claim(Claim::EtherType(0x86dd)),
        _ => Next::Data,
    };
    Dissected::new(header, next, context)
}

fn line(view: &View<'_>, line: &mut Line) {
    let Some(kind) = view.u8(0).map(|byte| byte & 0xf) else {
        return;
    };
    match TYPE.value_name(kind.into()) {
        Some(name) => line.say(format_args!("{name} len={}", view.layer.wire)),
        None => line.say(format_args!("type={kind} len={}", view.layer.wire)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::testing::{cut_everywhere, seen};

    const CLAIM: Claim = Claim::IpProto(103);

    #[test]
    fn a_register_carries_a_packet_and_a_hello_does_not() {
        let register = seen(&PROTOCOL, CLAIM, &[0x21, 0, 0xde, 0xff, 0, 0, 0, 0, 0x45]);
        assert_eq!(register.next, Next::Claim(Claim::EtherType(0x0800)));
        assert_eq!(register.all("pim.type"), ["1"]);
        let hello = seen(&PROTOCOL, CLAIM, &[0x20, 0, 0, 0, 0x45]);
        assert_eq!((hello.next, hello.layer.header), (Next::Data, 4));
    }

    #[test]
    fn cut_anywhere_is_no_fault_and_ending_early_is() {
        cut_everywhere(&PROTOCOL, CLAIM, &[0x20, 0, 0, 0], HEADER);
    }
}
