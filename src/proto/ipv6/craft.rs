//! How an IPv6 header is crafted: its usual values and its words.

use super::*;
use crate::{
    proto::making,
    protocol::{Ask, Craft, Slot},
};

/// The whole traffic class; Wireshark's `ipv6.tclass`.
static TCLASS: Field = Field::bits(
    "ipv6.tclass",
    "Traffic class",
    Kind::Hex(2),
    (0, 4, 8),
    "Differentiated services and congestion notification (RFC 8200 §7).",
);

pub(super) static CRAFT: Craft = Craft {
    names: &["ip6", "ipv6"],
    header: &{
        let mut header = [0; HEADER];
        (header[0], header[6], header[7]) = (0x60, 59, 64);
        header
    },
    slots: &[
        Slot::new(&["version"], &VERSION),
        Slot::new(&["tc"], &TCLASS),
        Slot::new(&["fl"], &FLOW),
        Slot::new(&["plen"], &PLEN).computed(length),
        Slot::new(&["nxt", "nh"], &NXT).computed(making::next_header),
        Slot::new(&["hlim"], &HLIM).computed(hop_limit),
        Slot::new(&["src"], &SRC).asked(Ask::Source),
        Slot::new(&["dst"], &DST),
    ],
    tail: None,
    answers: None,
};

/// In a jumbogram an option of the next header tells it, and the field is 0 (RFC 2675 §2).
fn length(view: &View<'_>) -> Option<u64> {
    let length = view.payload().len() as u64;
    let has_options = making::inside(view).is_some_and(|inside| inside.name == "ipv6.hopopts");
    match length {
        0x1_0000.. if has_options => Some(0),
        length => Some(length),
    }
}

/// Neighbors are believed only from the link itself (RFC 4861 §7.1), and listeners' reports stay on it (RFC 3810 §5).
fn hop_limit(view: &View<'_>) -> Option<u64> {
    let mut inner = (view.index + 1..).map_while(|index| view.packet.view(index));
    let message = inner.find(|inner| !inner.layer.protocol.name.starts_with("ipv6."))?;
    match message.u8(0) {
        _ if message.layer.protocol.name != "icmpv6" => None,
        Some(133..=137) => Some(255),
        Some(130..=132 | 143) => Some(1),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::craft::testing::{built, fault, rebuilt};

    #[test]
    fn the_length_and_what_follows_are_computed() {
        let bytes =
            built("ip6 tc=0xb9 fl=0x12345 src=fe80::1 dst=fe80::2 / udp sport=1 dport=2 / text=hi");
        let expected =
            "6b912345 000a1140 fe80000000000000 0000000000000001 fe80000000000000 0000000000000002";
        assert_eq!(hex::encode(&bytes[..40]), expected.replace(' ', ""));
        rebuilt(&bytes);
        assert_eq!(built("ip6 dst=::1")[6], 59);
    }

    #[test]
    fn the_hop_limit_is_what_the_message_inside_needs() {
        let hops = |text: &str| built(&format!("ip6 dst=::1 / {text}"))[7];
        assert_eq!(hops("icmp6"), 64);
        assert_eq!(hops("icmp6 type=neighbor-solicitation"), 255);
        assert_eq!(hops("hbh ra=0 / icmp6 type=143"), 1);
        assert_eq!(hops("ip6 / icmp6 type=135"), 64);
    }

    #[test]
    fn a_payload_too_long_for_its_field_has_length_0() {
        let bytes = built("ip6 dst=::1 / hbh jumbo=70016 / udp / zeros=70000");
        assert_eq!(bytes[4..6], [0, 0]);
        // And so has the datagram in it (RFC 2675 §4).
        assert_eq!(bytes[52..54], [0, 0]);
        rebuilt(&bytes);
        assert!(fault("ip6 dst=::1 / udp / zeros=70000").contains("plen would be"));
    }
}
