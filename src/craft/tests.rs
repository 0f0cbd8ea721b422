//! Packets from words and back: what is computed, what is kept, what is refused.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use proptest::prelude::*;

use super::*;
use crate::{
    decode::{Decoded, Decoder},
    layer::MAX_LAYERS,
};

fn spec(text: &str) -> Spec {
    Spec::parse(text, &NoFiles).unwrap_or_else(|error| panic!("{error}"))
}

fn nth(spec: &Spec, n: u64) -> Vec<u8> {
    let mut built = Built::default();
    spec.build(n, &NoRoute, &mut built);
    built.bytes
}

fn built(text: &str) -> Vec<u8> {
    nth(&spec(text), 0)
}

/// The message of the fault in `text`, and what is at fault.
fn fault(text: &str) -> (String, String) {
    let error = Spec::parse(text, &NoFiles).expect_err(text);
    let at = text.chars().skip(error.at).take(error.len).collect();
    (error.message, at)
}

fn printed(link: LinkType, bytes: &[u8]) -> String {
    let frame = build::packet(bytes, &[], link).frame;
    let (decoder, mut decoded) = (Decoder::default(), Decoded::default());
    decoder.frame(&frame, &mut decoded);
    let mut out = String::new();
    print(&decoded.packet_of(frame, 0).unwrap(), &mut out);
    out
}

/// Of each field of the only packet of `text`, where it comes from.
fn state(text: &str, field: &str) -> State {
    let spec = spec(text);
    let mut built = Built::default();
    spec.build(0, &NoRoute, &mut built);
    let marks = spec.marks(&NoRoute, &built);
    let mark = marks.iter().find(|mark| mark.field.name == field);
    mark.unwrap_or_else(|| panic!("{text} has no {field}"))
        .state
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
        "ip hdr_len=24 src=10.0.0.1 dst=10.0.0.2 / hex=00ff",
        "ip src=10.0.0.1 dst=10.0.0.2 trailer=zeros:6 / udp sport=1 dport=2 len=3 trailer=0102 / hex=00ff",
    ] {
        let bytes = built(text);
        assert_eq!(built(&printed(LinkType::RAW, &bytes)), bytes, "{text}");
    }
}

#[test]
fn every_value_has_a_state() {
    let text = "ip dst=10.0.0.2 ttl=9 len=99 ihl=5 df / tcp flags=S";
    for (field, wanted) in [
        ("ip.ttl", State::Given),
        ("ip.id", State::Usual),
        ("ip.src", State::Unknown),
        ("ip.len", State::Wrong(40)),
        ("ip.hdr_len", State::Given),
        ("ip.flags.df", State::Given),
        ("ip.flags.mf", State::Usual),
        ("ip.proto", State::Computed),
        ("tcp.hdr_len", State::Computed),
        ("tcp.checksum", State::Computed),
        ("tcp.seq_raw", State::Unknown),
    ] {
        assert_eq!(state(text, field), wanted, "{field}");
    }
    // A loopback destination has a loopback source.
    assert_eq!(state("ip dst=127.0.0.1", "ip.src"), State::Computed);
    // Given, and what would have been computed anyway.
    assert_eq!(state("ip dst=10.0.0.2 len=20", "ip.len"), State::Given);
}

#[test]
fn of_several_words_for_the_same_bits_the_last_given_holds() {
    let flags = |text: &str| built(text)[6];
    assert_eq!(flags("ip flags=0 df"), 0x40);
    assert_eq!(flags("ip df flags=0"), 0);
    assert_eq!(flags("ip df mf"), 0x60);
    let some = spec("ip df=0,1 flags=MF");
    assert_eq!((nth(&some, 0)[6], nth(&some, 1)[6]), (0x20, 0x20));
    assert_eq!(built("ip ttl=1 ttl=2")[8], 2);
    // Wireshark's names, in full and without the protocol's, in any case.
    for text in ["ip ip.ttl=7", "ip TTL=7", "IP ttl=7", "ipv4 ttl=7"] {
        assert_eq!(built(text)[8], 7, "{text}");
    }
}

#[test]
fn lists_and_ranges_make_a_product_whose_last_runs_fastest() {
    let some = spec("ip dst=10.0.0.1,10.0.0.4/31 ttl=1..2,9 / udp dport=53,0x50");
    assert_eq!(some.count(), 18);
    let seen: Vec<(u8, u8, u8)> = (0..19)
        .map(|n| nth(&some, n))
        .map(|bytes| (bytes[19], bytes[8], bytes[23]))
        .collect();
    let mut wanted = Vec::new();
    for address in [1, 4, 5] {
        for ttl in [1, 2, 9] {
            wanted.extend([(address, ttl, 53), (address, ttl, 80)]);
        }
    }
    // It begins again after the last.
    wanted.push(wanted[0]);
    assert_eq!(seen, wanted);
    // What is computed is right in each.
    for n in 0..18 {
        let bytes = nth(&some, n);
        assert_eq!(
            crate::checksum::finish(crate::checksum::sum(0, &bytes[..20])),
            0
        );
    }
    // Letters, flags and units in lists.
    assert_eq!(spec("ip / tcp flags=S,SA,0x10 hdr_len=20,24").count(), 6);
    assert_eq!(
        spec("ip dst=10.0.0.0/8 src=10.0.0.0/8 ttl=0..255 id=0..65535").count(),
        u64::MAX
    );
    let huge = spec("ip dst=0.0.0.0/0 ttl=0..255 id=0..65535");
    assert_eq!(huge.count(), 1 << 56);
    assert_eq!(nth(&huge, (1 << 56) - 1)[16..20], [255; 4]);
}

#[test]
fn every_form_of_a_value_is_read_or_told_what_it_looks_like() {
    for (text, at, wanted) in [
        ("ip ttl=0x1f", 8, "1f"),
        ("ip dst=1.2.3.4", 16, "01020304"),
        ("ip flags=DF+MF", 6, "60"),
        ("ip flags=df", 6, "40"),
        ("ip df=true", 6, "40"),
        ("ip df=off", 6, "00"),
        ("ip proto=tcp", 9, "06"),
        ("ip hdr_len=60", 0, "4f"),
        ("ip dsfield.dscp=46", 1, "b8"),
        ("eth dst=02-00-00-00-00-0a", 0, "02000000000a"),
        ("eth type=0x9999", 12, "9999"),
        ("tcp flags=FPU", 13, "29"),
        ("tcp seq=4294967295", 4, "ffffffff"),
        ("text=a%2fb\\n\\x00", 0, "612f620a00"),
        ("text=a / b/c d", 0, "61"),
        ("text=a /b/ c", 0, "61202f622f2063"),
        ("hex=00ff", 0, "00ff"),
        ("zeros=3", 0, "000000"),
        ("random=4:7", 0, &hex::encode(built("random=4:7"))),
    ] {
        // The second one is not a layer.
        let text = text.replace("a / b/c d", "a / text=b/c d");
        let bytes = built(&text);
        let len = wanted.len() / 2;
        assert_eq!(hex::encode(&bytes[at..at + len]), wanted, "{text}");
    }
    assert_ne!(built("random=64:7"), built("random=64:8"));
    assert_eq!(built("random=64"), built("random=64:1"));
    for (text, message, at) in [
        ("ip ttl=", "expected a number such as 80 or 0x50", ""),
        ("ip ttl=256", "the field has 8 bits: at most 255", "256"),
        (
            "ip ttl=1,,2",
            "expected a number such as 80 or 0x50",
            "1,,2",
        ),
        ("ip ttl=5..1", "5..1 counts down, or too far", "5..1"),
        ("ip ttl", "ttl= needs a value", "ttl"),
        ("ip hdr_len=21", "expected a multiple of 4", "21"),
        ("ip hdr_len=64", "the field has 4 bits: at most 60", "64"),
        (
            "ip flags=XF",
            "expected a number, or some of MF+DF+RB+evil",
            "XF",
        ),
        (
            "ip dst=10.0.0",
            "expected an IPv4 address such as 10.0.0.2",
            "10.0.0",
        ),
        (
            "ip dst=10.0.0.0/33",
            "expected a prefix length up to 32",
            "10.0.0.0/33",
        ),
        (
            "eth dst=02:00",
            "expected a hardware address such as 02:00:00:00:00:01",
            "02:00",
        ),
        ("tcp mss=70000", "expected a number up to 65535", "70000"),
        (
            "hex=0",
            "expected bytes in hexadecimal, such as 0a0b0c",
            "0",
        ),
        (
            "text=%g0",
            "after % come two hexadecimal digits; % itself is %25",
            "%g0",
        ),
        (
            "zeros=999999",
            "expected a number of bytes up to 262144",
            "999999",
        ),
        ("random=4:x", "expected COUNT:SEED, such as 100:7", "4:x"),
        ("file=x", "files are not read here", "x"),
        (
            "ip trailer=x",
            "expected bytes in hexadecimal, such as 0a0b0c",
            "x",
        ),
        (
            "link=NOPE",
            "expected a link type such as EN10MB, RAW or 101",
            "NOPE",
        ),
        ("", "expected the name of a layer", ""),
        ("ip /", "expected the name of a layer", ""),
        (
            "ip tcp",
            "ip has no field tcp; if the layer tcp begins here, put / before it",
            "tcp",
        ),
        ("ip dts=1", "ip has no field dts, did you mean dst?", "dts"),
        ("tpc", "no layer tpc, did you mean tcp?", "tpc"),
        ("ip !", "expected / before the next layer", "!"),
        (
            "ip / zeros=65516",
            "too long: len would be 65536; give it a value, or carry less",
            "ip",
        ),
        (
            "zeros=262144 / zeros=1",
            "262145 bytes, and a packet has at most 262144",
            "z",
        ),
    ] {
        assert_eq!(fault(text), (message.to_owned(), at.to_owned()), "{text}");
    }
    let error = Spec::parse("ip dts=1", &NoFiles).unwrap_err();
    assert!(error.help.unwrap().starts_with("fields of ip: version "));
    let error = Spec::parse("nope", &NoFiles).unwrap_err();
    assert!(error.help.unwrap().contains(" tcp "));
}

#[test]
fn more_options_than_the_header_has_room_for_are_refused() {
    let nops = |n| format!("ip dst=10.0.0.2 / tcp{}", " nop".repeat(n));
    assert_eq!(built(&nops(40)).len(), 80);
    let (message, at) = fault(&nops(41));
    assert!(
        message.starts_with("too long: hdr_len would be 64"),
        "{message}"
    );
    assert_eq!(at, "tcp");
    // Unless that is wanted.
    assert_eq!(built(&nops(41).replace("tcp", "tcp hdr_len=20")).len(), 84);
}

#[test]
fn the_link_type_is_the_outermost_layers_or_as_given() {
    for (text, link) in [
        ("eth / ip", Some(LinkType::ETHERNET)),
        ("ip", Some(LinkType::RAW)),
        ("tcp", None),
        ("hex=00", None),
        ("link=101 / hex=45", Some(LinkType::RAW)),
        ("link=EN10MB / ip", Some(LinkType::ETHERNET)),
    ] {
        assert_eq!(spec(text).link(), link, "{text}");
    }
    assert!(built("link=1").is_empty());
}

#[test]
fn hostile_specifications_end() {
    // Long enough that a walk over all of it for each word would take minutes.
    let long = |unit: &str| unit.repeat((1 << 17) / unit.len());
    let texts = [
        long("a"),
        long("/"),
        long("ip/"),
        long("ip / "),
        format!("ip dst={}", long("1.1.1.1/8,")),
        format!("ip dst={}", long("1.1.1.1/x")),
        format!("ip ttl={}1", long("1,")),
        format!("ip ttl={}1", long("0..255,")),
        format!("ip {}", long("ttl=1 ")),
        format!("ip {}", long("ttl=1..2 ")),
        format!("ip {}", long("nope=1 ")),
        format!("tcp {}", long("nop ")),
        format!("tcp {}", long("mss=1 ")),
        format!("tcp sack={}", long("1:2:")),
        format!("text={}", long("%20")),
        format!("text={}", long("a / ")),
        format!("hex={}", long("0")),
        format!("ip trailer={}", long("00")),
        format!("ip flags={}", long("MF+")),
        format!("tcp flags={}", long("S")),
        long("=,.:%\\ "),
        "ip ttl=0..340282366920938463463374607431768211455".to_owned(),
        "random=262144 / ".repeat(MAX_LAYERS),
        "zeros=18446744073709551616".to_owned(),
    ];
    for text in texts {
        match Spec::parse(&text, &NoFiles) {
            Ok(spec) => drop(nth(&spec, u64::MAX)),
            // What is shown of it is short.
            Err(error) => assert!(error.to_string().len() < 4000, "{text:.40}"),
        }
    }
}

#[test]
fn the_list_has_every_word_that_is_understood() {
    for (protocol, names) in list::layers() {
        assert!(!names.is_empty());
        for entry in list::entries(protocol) {
            assert!(!entry.words.is_empty() && !entry.doc.is_empty());
            assert!(entry.words.iter().all(|word| !word.is_empty()));
        }
    }
    let tcp = list::entries(list::layer("TCP").unwrap());
    let entry = |word: &str| tcp.iter().find(|e| e.words.contains(&word)).unwrap();
    assert_eq!(
        (entry("dport").form.as_str(), entry("dport").usual.as_str()),
        ("0..65535", "80")
    );
    assert_eq!(
        (entry("flags").form.as_str(), entry("flags").usual.as_str()),
        ("FSRPAUECN", "S")
    );
    assert_eq!(entry("sport").usual, "left to the sending");
    assert_eq!(entry("chksum").usual, "computed");
    assert_eq!(entry("mss").form, "N");
    // A usual value is one that could be given.
    for (protocol, names) in list::layers() {
        let is_value = |usual: &str| !["", "computed", "left to the sending"].contains(&usual);
        for entry in list::entries(protocol)
            .iter()
            .filter(|e| is_value(&e.usual))
        {
            // A word can stand for several fields, in headers of several forms.
            let all = list::entries(protocol);
            if all.iter().filter(|e| e.words[0] == entry.words[0]).count() > 1 {
                continue;
            }
            let usual = entry.usual.trim_start_matches("computed, else ");
            let text = format!("{} {}={usual}", names[0], entry.words[0]);
            if let Err(error) = Spec::parse(&text, &NoFiles) {
                assert!(error.message.starts_with("this form of"), "{error}");
            }
        }
    }
}

/// Frames that begin as a real one does and go on as they like, and frames that do not.
fn frames() -> impl Strategy<Value = (LinkType, Vec<u8>)> {
    let links = [
        LinkType::ETHERNET,
        LinkType::RAW,
        LinkType::LINUX_SLL,
        LinkType::LINUX_SLL2,
        LinkType::NULL,
        LinkType::PPP,
        LinkType(147),
    ];
    let seeds = [
        "",
        "0200000000020200000000010800450000390001000005060000",
        "4500003900010000050600000a0000010a000002a02800500000000000000000800220000000000002040105",
        "45c0002100010000401166c90a0000010a00000214e90035000d0000",
        "02000000000202000000000181000064080045000038000100004001",
        "60000000000d1140fd000000000000000000000000000001fd00000000000000000000000000000214e90035000d0000",
        "ffffffffffff0200000000010806000108000604000102000000",
        "4500001c000100002001000000000000000000000800f7ff00000000",
    ];
    let seed = proptest::sample::select(seeds.to_vec());
    let tail = proptest::collection::vec(any::<u8>(), 0..80);
    let flips = proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 0..4);
    (proptest::sample::select(links.to_vec()), seed, tail, flips).prop_map(
        |(link, seed, tail, flips)| {
            let mut bytes = hex::decode(seed).unwrap_or_default();
            bytes.extend(tail);
            bytes.push(0);
            for (at, value) in flips {
                let at = at.index(bytes.len());
                bytes[at] = value;
            }
            (link, bytes)
        },
    )
}

proptest! {
    #[test]
    fn any_frame_survives_being_said_in_words((link, bytes) in frames()) {
        let text = printed(link, &bytes);
        prop_assert!(text.chars().all(|c| c == ' ' || c.is_ascii_graphic()), "{:?}", text);
        let spec = Spec::parse(&text, &NoFiles);
        let spec = spec.map_err(|error| TestCaseError::fail(error.to_string()))?;
        prop_assert_eq!(spec.link(), Some(link));
        prop_assert_eq!(hex::encode(nth(&spec, 0)), hex::encode(&bytes), "{}", text);
    }

    #[test]
    fn any_text_is_refused_or_built(text in "((ip|tcp|eth|udp|text|hex|zeros|dst|ttl|flags|S|1|..|[/=,. :%a-f0-9\\\\-]) ?){0,20}") {
        if let Ok(spec) = Spec::parse(&text, &NoFiles) {
            let mut built = Built::default();
            spec.build(3, &NoRoute, &mut built);
            spec.marks(&NoRoute, &built);
        }
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
        hex::encode(&built("tcp sport=1 dport=2 window=9 cut=4 / zeros=20")[4..]),
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
