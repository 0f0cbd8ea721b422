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
