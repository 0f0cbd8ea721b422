//! The fragment header of IPv6: only the sender splits, and says so in a header of its own.
//!
//! Spec: RFC 8200 §4.5.
//!
//! ```text
//!  0     1          2                4                8
//! | nxt | reserved | offset,res,more | identification | fragment …
//! ```

use super::{fragment::Fragment, ipproto, making};
use crate::{
    field::{Field, Kind},
    layer::View,
    line::Line,
    protocol::{Claim, Context, Craft, Dissected, Next, Protocol, Slot},
};

const HEADER: usize = 8;

/// The IPv6 fragment header.
pub static PROTOCOL: Protocol = Protocol {
    name: "ipv6.fraghdr",
    label: "IPv6",
    title: "Fragment header for IPv6",
    spec: "RFC 8200 §4.5",
    claims: &[Claim::IpProto(44)],
    fields: FIELDS,
    dissect,
    walk: None,
    line,
    addresses: None,
    craft: Some(&CRAFT),
};

/// Reserved bits; zero (RFC 8200 §4.5).
static RESERVED: Field = Field::at(
    "ipv6.fraghdr.reserved_octet",
    "Reserved",
    Kind::Hex(2),
    1,
    8,
    "Zero (RFC 8200 §4.5).",
);
/// The two reserved bits behind the offset.
static RESERVED_BITS: Field = Field::bits(
    "ipv6.fraghdr.reserved_bits",
    "Reserved bits",
    Kind::Uint,
    (3, 5, 2),
    "Zero (RFC 8200 §4.5).",
);

static CRAFT: Craft = Craft {
    names: &["frag6", "IPv6ExtHdrFragment"],
    header: &[59, 0, 0, 0, 0, 0, 0, 0],
    slots: &[
        Slot::new(&["nxt", "nh"], &NXT).computed(making::next_header),
        Slot::new(&["res1"], &RESERVED),
        Slot::new(&["offset"], &OFFSET),
        Slot::new(&["res2"], &RESERVED_BITS),
        Slot::new(&["more", "m"], &MORE),
        Slot::new(&["id", "ident"], &IDENT),
    ],
    tail: None,
    answers: None,
};

crate::fields! {
    NXT = Field::at("ipv6.fraghdr.nxt", "Next header", Kind::Uint, 0, 8, "What the datagram carries (IANA Protocol Numbers).").names(ipproto::NAMES);
    OFFSET = Field::bits("ipv6.fraghdr.offset", "Offset", Kind::Uint, (2, 0, 13), "Where this fragment belongs, in units of 8 bytes (RFC 8200 §4.5).");
    MORE = Field::bits("ipv6.fraghdr.more", "More fragments", Kind::Flag, (3, 7, 1), "Set on all fragments but the last (RFC 8200 §4.5).");
    IDENT = Field::at("ipv6.fraghdr.ident", "Identification", Kind::Hex(8), 4, 32, "Tells which fragments belong together (RFC 8200 §4.5).");
    FRAGMENT_COUNT = Field::derived("ipv6.fragment.count", "Fragments", Kind::Uint, "How many fragments the datagram was put together from; on the fragment that completed it (RFC 8200 §4.5).");
    REASSEMBLED_LENGTH = Field::derived("ipv6.reassembled.length", "Reassembled length", Kind::Uint, "Bytes of payload of the whole datagram (RFC 8200 §4.5).");
}

/// The fragment in `view`; `None` where the packet is whole all the same (RFC 6946), or the header was cut.
pub fn fragment(view: &View<'_>) -> Option<Fragment> {
    let bits = view.u16(2)?;
    (bits & 0xfff9 != 0).then_some(Fragment {
        offset: u32::from(bits & 0xfff8),
        more: bits & 1 != 0,
        id: view.u32(4)?,
        protocol: view.u8(0)?,
    })
}

fn dissect(bytes: &[u8], context: &Context<'_>) -> Dissected {
    let Some(header) = bytes.first_chunk::<HEADER>() else {
        // Of a header that was cut Wireshark shows nothing.
        let mut found = Dissected::short(bytes, context, HEADER);
        found.header = 0;
        return found;
    };
    let bits = u16::from_be_bytes([header[2], header[3]]);
    // A fragment waits for the others.
    let next = match bits & 0xfff9 {
        0 => Next::Claim(Claim::IpProto(header[0])),
        _ => Next::Data,
    };
    Dissected::new(HEADER, next, context)
}

fn line(view: &View<'_>, line: &mut Line) {
    match (fragment(view), view.u8(0)) {
        (Some(fragment), _) => fragment.say(8, view, line),
        (None, Some(protocol)) => ipproto::say(protocol, view.payload_wire(), line),
        (None, None) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        craft::testing::{built, rebuilt},
        proto::testing::{chain, cut_everywhere, seen},
    };

    const CLAIM: Claim = Claim::IpProto(44);

    #[test]
    fn fragments_wait_and_whole_packets_do_not() {
        let first = [17, 0, 0, 1, 0xde, 0xad, 0xbe, 0xef, 1, 2, 3, 4, 5, 6, 7, 8];
        let seen_first = seen(&PROTOCOL, CLAIM, &first);
        let expected = [
            ("ipv6.fraghdr.nxt", "17"),
            ("ipv6.fraghdr.offset", "0"),
            ("ipv6.fraghdr.more", "true"),
            ("ipv6.fraghdr.ident", "0xdeadbeef"),
        ];
        assert_eq!(seen_first.pairs(), expected);
        assert_eq!(seen_first.next, Next::Data);
        let cut = chain(&[(&PROTOCOL, CLAIM)], &first[..12], first.len());
        assert_eq!(cut.next, Next::Data);
        let later = [17, 0, 0, 0x10, 0, 0, 0, 1, 9];
        assert_eq!(seen(&PROTOCOL, CLAIM, &later).next, Next::Data);
        assert_eq!(
            seen(&PROTOCOL, CLAIM, &later).all("ipv6.fraghdr.offset"),
            ["2"]
        );
        let atomic = [17, 0, 0, 0, 0, 0, 0, 1, 9];
        let next = seen(&PROTOCOL, CLAIM, &atomic).next;
        assert_eq!(next, Next::Claim(Claim::IpProto(17)));
    }

    #[test]
    fn a_crafted_fragment_tells_what_it_is_a_part_of() {
        let text =
            "ip6 dst=::1 / frag6 nxt=17 offset=185 more id=0xdeadbeef / hex=0011223344556677";
        let bytes = built(text);
        assert_eq!(hex::encode(&bytes[40..48]), "110005c9deadbeef");
        rebuilt(&bytes);
        // What is not a fragment says itself what follows.
        assert_eq!(built("ip6 dst=::1 / frag6 / udp")[40], 17);
    }

    #[test]
    fn cut_anywhere_is_no_fault_and_ending_early_is() {
        cut_everywhere(&PROTOCOL, CLAIM, &[59, 0, 0, 0, 0, 0, 0, 1], HEADER);
    }
}
