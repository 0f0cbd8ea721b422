//! Virtual extensible LAN: an Ethernet frame inside UDP, with the number of its virtual network.
//!
//! Spec: RFC 7348 §5; the group policy bits draft-smith-vxlan-group-policy-05.
//!
//! ```text
//!  0       2               4      7          8
//! | flags | group policy  | VNI  | reserved | Ethernet frame …
//! ```

use crate::{
    field::{Field, Kind, Value},
    layer::View,
    line::Line,
    protocol::{Claim, Context, Craft, Dissected, Next, Protocol, Slot},
};

const HEADER: usize = 8;

/// VXLAN on its registered port; Linux's own default, 8472, belongs to OTV and is not claimed.
pub static PROTOCOL: Protocol = Protocol {
    name: "vxlan",
    label: "VXLAN",
    title: "Virtual eXtensible Local Area Network",
    spec: "RFC 7348",
    claims: &[Claim::UdpPort(4789)],
    fields: FIELDS,
    dissect,
    walk: None,
    line,
    addresses: None,
    craft: Some(&CRAFT),
};

crate::fields! {
    FLAGS = Field::at("vxlan.flags", "Flags", Kind::Hex(4), 0, 16, "Which of the fields hold (RFC 7348 §5).");
    FLAG_G = Field::bits("vxlan.flag_g", "Group policy", Kind::Flag, (0, 0, 1), "The group policy field holds (draft-smith-vxlan-group-policy-05).");
    FLAG_I = Field::bits("vxlan.flag_i", "Network number present", Kind::Flag, (0, 4, 1), "Must be set for the VNI to hold (RFC 7348 §5).");
    FLAG_D = Field::bits("vxlan.flag_d", "Don't learn", Kind::Flag, (1, 1, 1), "The receiver must not learn the sender's address (draft-smith-vxlan-group-policy-05).");
    FLAG_A = Field::bits("vxlan.flag_a", "Policy applied", Kind::Flag, (1, 4, 1), "The group policy has been applied (draft-smith-vxlan-group-policy-05).");
    GBP = Field::at("vxlan.gbp", "Group policy", Kind::Uint, 2, 16, "The sender's group (draft-smith-vxlan-group-policy-05).");
    VNI = Field::at("vxlan.vni", "Network", Kind::Uint, 4, 24, "Which virtual network the frame belongs to (RFC 7348 §5).");
    RESERVED = Field::at("vxlan.reserved8", "Reserved", Kind::Uint, 7, 8, "Zero (RFC 7348 §5).");
}

static CRAFT: Craft = Craft {
    names: &["vxlan"],
    header: &[0x08, 0, 0, 0, 0, 0, 1, 0],
    slots: &[
        Slot::new(&["vni"], &VNI),
        Slot::new(&["gbp", "gpid"], &GBP),
        Slot::new(&["flag_g"], &FLAG_G).computed(has_group),
        Slot::new(&["flags"], &FLAGS).letters(&[
            ("G", 0x8000),
            ("I", 0x0800),
            ("D", 0x0040),
            ("A", 0x0008),
        ]),
        Slot::new(&["reserved", "reserved2"], &RESERVED),
    ],
    tail: None,
    answers: None,
};

/// The group policy holds where there is one.
fn has_group(view: &View<'_>) -> Option<u64> {
    Some((view.u16(2)? != 0).into())
}

fn dissect(bytes: &[u8], context: &Context<'_>) -> Dissected {
    if bytes.len() < HEADER {
        return Dissected::short(bytes, context, HEADER);
    }
    Dissected::new(HEADER, Next::Claim(Claim::Name("eth")), context)
}

fn line(view: &View<'_>, line: &mut Line) {
    if let Some(Value::Uint(vni)) = view.value(&VNI) {
        line.say(format_args!("vni={vni}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::testing::{cut_everywhere, seen};

    #[test]
    fn shows_every_field() {
        let bytes = [0x88, 0x48, 0x12, 0x34, 0, 0, 42, 5, 2];
        let claim = Claim::UdpPort(4789);
        let found = seen(&PROTOCOL, claim, &bytes);
        assert_eq!(
            found.pairs(),
            [
                ("vxlan.flags", "0x8848"),
                ("vxlan.flag_g", "true"),
                ("vxlan.flag_i", "true"),
                ("vxlan.flag_d", "true"),
                ("vxlan.flag_a", "true"),
                ("vxlan.gbp", "4660"),
                ("vxlan.vni", "42"),
                ("vxlan.reserved8", "5"),
            ]
        );
        assert_eq!(found.next, Next::Claim(Claim::Name("eth")));
        cut_everywhere(&PROTOCOL, claim, &bytes, 8);
    }

    #[test]
    fn a_network_is_written_and_comes_back() {
        use crate::craft::testing::{built, rebuilt};
        let text = "ip src=10.0.0.1 dst=10.0.0.2 / udp sport=40000 dport=4789 / vxlan vni=42 / eth dst=02:00:00:00:00:02 src=02:00:00:00:00:01 type=0x88cc";
        let bytes = built(text);
        assert_eq!(hex::encode(&bytes[28..36]), "0800000000002a00");
        assert_eq!(rebuilt(&bytes), text);
        // A group sets its flag, unless the flags are given.
        assert_eq!(hex::encode(built("vxlan gbp=7")), "8800000700000100");
        assert_eq!(
            hex::encode(built("vxlan flags=I gbp=7")),
            "0800000700000100"
        );
        let odd = built(&text.replace("vni=42", "vni=42 flags=I gbp=7 reserved=9"));
        rebuilt(&odd);
        rebuilt(&bytes[..33]);
    }
}
