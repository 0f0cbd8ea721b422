//! How the common header of PIM is crafted, and the flags of a register message.

use super::*;
use crate::{
    proto::making,
    protocol::{Craft, Form, Slot},
};

const IP_PROTO: u8 = 103;

/// The second byte.
static RESERVED: Field = Field::at(
    "pim.reserved",
    "Reserved",
    Kind::Hex(2),
    1,
    8,
    "Zero, or bits of the type (RFC 7761 §4.9, RFC 8736).",
);
/// What a register message has before the packet in it.
static REGISTER_FLAGS: Field = Field::at(
    "pim.register_flag",
    "Flags",
    Kind::Hex(8),
    4,
    32,
    "Border, and null register (RFC 7761 §4.9.3).",
);

pub(super) static CRAFT: Craft = Craft {
    names: &["pim"],
    header: &[0x20, 0, 0, 0],
    slots: &[
        Slot::new(&["version"], &VERSION).form(&BY_TYPE),
        Slot::new(&["type"], &TYPE).form(&BY_TYPE),
        Slot::new(&["reserved"], &RESERVED),
        Slot::new(&["chksum"], &CKSUM).computed(checksum),
        Slot::new(&["flags"], &REGISTER_FLAGS)
            .letters(&[("border", 1 << 31), ("null", 1 << 30)])
            .when(|header| header.first() == Some(&REGISTER)),
    ],
    tail: None,
    answers: None,
};

static BY_TYPE: Form = Form {
    header: |header| match header.first() {
        Some(&REGISTER) => &[0x20, 0, 0, 0, 0, 0, 0, 0],
        _ => &[0x20, 0, 0, 0],
    },
    names: &[],
};

/// Of a register message the checksum covers only the header; over IPv6 there is a pseudo-header (RFC 7761 §4.9).
fn checksum(view: &View<'_>) -> Option<u64> {
    let covered = match view.u8(0) {
        Some(REGISTER) => REGISTER_HEADER,
        _ => view.bytes().len(),
    };
    let bytes = view.bytes().get(..covered)?;
    let start = match view.addresses() {
        Some((source, destination)) if source.is_ipv6() => {
            crate::checksum::pseudo(source, destination, IP_PROTO, covered as u32)
        }
        _ => 0,
    };
    making::checksum_without(start, bytes, 2)
}

#[cfg(test)]
mod tests {
    use crate::craft::testing::{built, fault, rebuilt};

    #[test]
    fn of_a_register_only_the_header_is_summed_up() {
        let bytes = built(
            "ip src=10.0.0.1 dst=10.0.0.2 / pim type=register / ip dst=224.1.1.1 src=10.0.0.3",
        );
        assert_eq!(hex::encode(&bytes[20..28]), "2100deff00000000");
        rebuilt(&bytes);
        let hello = built("ip dst=224.0.0.13 src=10.0.0.1 / pim / hex=000100020069");
        assert_eq!(hex::encode(&hello[20..24]), "2000df93");
        rebuilt(&hello);
    }

    #[test]
    fn another_version_and_another_type_have_no_flags() {
        rebuilt(&built(
            "ip dst=224.0.0.13 src=10.0.0.1 / pim version=1 type=1 chksum=7 / hex=00",
        ));
        assert_eq!(fault("pim flags=null"), "pim has no field flags");
    }
}
