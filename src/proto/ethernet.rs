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
    layer::View,
    line::Line,
    link::LinkType,
    proto::{
        ethertype::{self, FIRST_TYPE, LONGEST, NAMES},
        making,
    },
    protocol::{Ask, Claim, Context, Craft, Dissected, Protocol, Slot},
    text::Mac,
};
use std::ops::ControlFlow;

const HEADER: usize = 14;

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
    craft: Some(&CRAFT),
};

/// The type of what nobody knows is that of loopback tests.
static CRAFT: Craft = Craft {
    names: &["eth", "ether"],
    header: &[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x90, 0],
    slots: &[
        Slot::new(&["dst"], &DST).asked(Ask::NextHopMac),
        Slot::new(&["src"], &SRC).asked(Ask::SourceMac),
        Slot::at(&["dst"], &DST, (0, 0, 48)).computed(to_all),
        Slot::at(&["type", "len"], &TYPE, (12, 0, 16)).computed(making::type_or_length),
    ],
    tail: None,
    answers: None,
};

/// Who has an address is asked of everybody (RFC 826).
fn to_all(view: &View<'_>) -> Option<u64> {
    let next = view.packet.view(view.index + 1)?;
    let asks = next.layer.protocol.name == "arp" && next.u16(6) == Some(1);
    asks.then_some(0xffff_ffff_ffff)
}

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
    ethertype::type_or_length(bytes, HEADER, context)
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
    ethertype::trailer(view, visit, &PADDING, &TRAILER)
}

fn line(view: &View<'_>, line: &mut Line) {
    if let (Some(Value::Mac(src)), Some(Value::Mac(dst))) = (view.value(&SRC), view.value(&DST)) {
        line.ends(Mac(src), Mac(dst));
    }
    match view.u16(12) {
        Some(kind) if kind > LONGEST => ethertype::add(kind, view, line),
        _ => line.say(format_args!("802.3")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        layer::ProblemKind,
        proto::testing::{chain, cut_everywhere, seen},
        protocol::Next,
    };

    const CLAIM: Claim = Claim::Link(LinkType::ETHERNET);
    const ADDRESSES: [u8; 12] = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02, 0, 0, 0, 0, 1];

    fn frame(kind: u16, rest: &[u8]) -> Vec<u8> {
        [&ADDRESSES, &kind.to_be_bytes()[..], rest].concat()
    }

    #[test]
    fn shows_every_field_of_an_ethernet_2_frame() {
        let found = seen(&PROTOCOL, CLAIM, &frame(0x0800, &[0x45]));
        assert_eq!(
            found.pairs(),
            [
                ("eth.dst", "ff:ff:ff:ff:ff:ff"),
                ("eth.dst.lg", "true"),
                ("eth.dst.ig", "true"),
                ("eth.src", "02:00:00:00:00:01"),
                ("eth.src.lg", "true"),
                ("eth.src.ig", "false"),
                ("eth.type", "0x0800"),
            ]
        );
        assert_eq!(found.next, Next::Claim(Claim::EtherType(0x0800)));
        assert_eq!(
            found.line,
            "02:00:00:00:00:01 → ff:ff:ff:ff:ff:ff IPv4 (0x0800) len=1"
        );
    }

    #[test]
    fn a_type_that_nothing_decodes_is_named_or_numbered() {
        let line = |kind| seen(&PROTOCOL, CLAIM, &frame(kind, &[0; 46])).line;
        assert!(line(0x88cc).ends_with(" LLDP (0x88cc) len=46"));
        assert!(line(0x1234).ends_with(" type=0x1234 len=46"));
    }

    #[test]
    fn a_length_ends_the_payload_and_the_rest_is_padding() {
        let mut bytes = frame(3, &[0x42, 0x42, 0x03]);
        bytes.resize(60, 0);
        let found = seen(&PROTOCOL, CLAIM, &bytes);
        assert_eq!(
            (found.layer.end, found.next),
            (17, Next::Claim(Claim::Name("llc")))
        );
        assert_eq!(found.all("eth.len"), ["3"]);
        assert_eq!(
            found.all("eth.padding"),
            [crate::text::Colons(&[0; 43]).to_string()]
        );
        bytes[20] = 1;
        bytes.push(9);
        let found = seen(&PROTOCOL, CLAIM, &bytes);
        assert!(found.all("eth.padding").is_empty(), "padding is zeros only");
        assert_eq!(found.all("eth.trailer")[0].len(), 3 * 44 - 1);
    }

    #[test]
    fn an_ip_packet_shorter_than_the_frame_leaves_padding_and_a_check_sequence() {
        let mut bytes = frame(0x0806, &[0, 1, 8, 0, 6, 4, 0, 1]);
        bytes.resize(60, 0);
        bytes.extend([1, 2, 3, 4]);
        let arp = (&crate::proto::arp::PROTOCOL, Claim::EtherType(0x0806));
        let found = chain(&[(&PROTOCOL, CLAIM), arp], &bytes, bytes.len());
        assert_eq!(found.layer.end, 42);
        let below =
            crate::proto::testing::chain_at(&[(&PROTOCOL, CLAIM), arp], &bytes, bytes.len(), 0);
        assert_eq!(
            below.all("eth.padding"),
            [crate::text::Colons(&[0; 18]).to_string()]
        );
        assert_eq!(below.all("eth.trailer"), ["01:02:03:04"]);
    }

    #[test]
    fn novell_frames_without_llc_are_data() {
        assert_eq!(
            seen(&PROTOCOL, CLAIM, &frame(2, &[0xff, 0xff])).next,
            Next::Data
        );
    }

    #[test]
    fn numbers_between_length_and_type_are_malformed() {
        let found = seen(&PROTOCOL, CLAIM, &frame(0x05dd, &[0]));
        assert_eq!(found.problem(), Some(ProblemKind::Malformed));
        assert_eq!(found.all("eth.invalid_lentype"), ["0x05dd"]);
    }

    #[test]
    fn a_length_past_the_end_is_malformed_unless_the_capture_was_cut() {
        let bytes = frame(100, &[0x42, 0x42, 0x03]);
        let found = seen(&PROTOCOL, CLAIM, &bytes);
        assert_eq!(found.problem(), Some(ProblemKind::Malformed));
        assert_eq!(chain(&[(&PROTOCOL, CLAIM)], &bytes, 114).problem(), None);
    }

    #[test]
    fn cut_at_every_length() {
        cut_everywhere(&PROTOCOL, CLAIM, &frame(0x0800, &[]), 14);
    }

    #[test]
    fn the_length_over_llc_leaves_the_padding_out_and_comes_back() {
        use crate::craft::testing::{built, rebuilt_on};
        let text = "eth dst=01:80:c2:00:00:00 src=02:00:00:00:00:01 trailer=zeros:43 / llc dsap=0x42 ssap=0x42";
        let bytes = built(text);
        assert_eq!(
            (bytes.len(), &bytes[12..17]),
            (60, &[0, 3, 0x42, 0x42, 3][..])
        );
        assert_eq!(rebuilt_on(LinkType::ETHERNET, &bytes), text);
        // A length that is wrong stays wrong.
        let wrong = text.replace("trailer", "type=9 trailer");
        let bytes = built(&wrong);
        assert_eq!(bytes[12..14], [0, 9]);
        rebuilt_on(LinkType::ETHERNET, &bytes);
    }

    #[test]
    fn who_has_an_address_is_asked_of_everybody() {
        let sent = crate::craft::testing::built;
        let words = "arp hwsrc=02:00:00:00:00:01 psrc=10.0.0.1 pdst=10.0.0.2";
        assert_eq!(sent(&format!("eth / {words}"))[..6], [0xff; 6]);
        assert_eq!(sent(&format!("eth / {words} op=2"))[..6], [0; 6]);
        let given = format!("eth dst=02:00:00:00:00:02 / {words}");
        assert_eq!(sent(&given)[..6], [2, 0, 0, 0, 0, 2]);
    }
}
