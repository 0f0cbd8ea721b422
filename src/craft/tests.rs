//! Packets from words and back: what is computed, what is kept, what is refused.

use super::*;
use crate::decode::{Decoded, Decoder};

fn built(text: &str) -> Vec<u8> {
    let spec = Spec::parse(text, &NoFiles).unwrap_or_else(|error| panic!("{error}"));
    let mut built = Built::default();
    spec.build(0, &NoRoute, &mut built);
    built.bytes
}

fn printed(link: LinkType, bytes: &[u8]) -> String {
    let frame = build::packet(bytes, &[], link).frame;
    let (decoder, mut decoded) = (Decoder::default(), Decoded::default());
    decoder.frame(&frame, &mut decoded);
    let mut out = String::new();
    print(&decoded.packet_of(frame, 0).unwrap(), &mut out);
    out
}

#[test]
fn what_is_left_out_is_computed() {
    let bytes = built(
        "ip src=10.0.0.1 dst=10.0.0.2 ttl=5 / tcp sport=41000 dport=80 flags=S mss=1460 sackok ws=7 / text=hello",
    );
    // The options take 9 bytes, and are padded to 12.
    let expected = "4500003900010000 0506a1bc0a000001 0a000002a0280050 0000000000000000 80022000";
    assert_eq!(hex::encode(&bytes[..36]), expected.replace(' ', ""));
}

#[test]
fn what_is_given_is_kept_and_what_is_printed_gives_the_same_bytes() {
    for text in [
        "ip id=0x0007 src=10.0.0.1 dst=10.0.0.2 / udp sport=1 dport=2 / text=hi%20there",
        "ip len=999 src=10.0.0.1 dst=10.0.0.2 chksum=0xdead / udp sport=1 dport=2 chksum=0xbeef / hex=00ff",
    ] {
        let bytes = built(text);
        assert_eq!(built(&printed(LinkType::RAW, &bytes)), bytes, "{text}");
    }
}

#[test]
fn the_type_decides_the_form_wherever_it_stands() {
    let early = built("icmp type=14 seq=2 ts_tx=5");
    assert_eq!(early.len(), 20);
    assert_eq!(built("icmp ts_tx=5 seq=2 type=timestamp-reply"), early);
    // Of several values the first.
    assert_eq!(built("icmp type=8,14").len(), 8);
    assert_eq!(built("ICMPv6EchoReply")[0], 129);
    assert_eq!(built("icmpv6echoreply type=1")[0], 1);
}

#[test]
fn names_of_values_may_be_abbreviated_where_only_one_fits() {
    assert_eq!(built("icmp type=dest-unreach")[0], 3);
    assert_eq!(built("icmp type=Time_Ex")[0], 11);
    // "echo request" and "echo reply" both fit.
    assert!(testing::fault("icmp type=e-re").starts_with("expected a number"));
    assert!(testing::fault("icmp type=").starts_with("expected a number"));
}

#[test]
fn a_cut_header_keeps_its_first_bytes() {
    assert_eq!(
        hex::encode(built("tcp sport=1 dport=2 seq=3 cut=8")),
        "0001000200000003"
    );
    // What stands behind it is not touched by the fields that were cut.
    assert_eq!(
        hex::encode(built("tcp sport=1 dport=2 window=9 cut=4 / zeros=20")[4..].to_vec()),
        "00".repeat(20)
    );
    assert!(built("tcp cut=0").is_empty());
    for wrong in ["tcp cut=21", "tcp cut=x", "tcp cut"] {
        assert!(
            testing::fault(wrong).starts_with("expected a number of bytes"),
            "{wrong}"
        );
    }
}

#[test]
fn a_header_length_is_computed_in_its_unit() {
    assert_eq!(built("ip ra")[0], 0x46);
    assert_eq!(built("tcp mss=1460")[12], 0x60);
    assert_eq!(built("ip hdr_len=40")[0], 0x4a);
    assert_eq!(built("ip ihl=3")[0], 0x43);
}
