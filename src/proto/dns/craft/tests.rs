//! Messages from words: layout, compression, refusals; and the words of messages.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use super::*;
use crate::{
    craft::testing::{built, rebuilt},
    frame::{Direction, Frame, KernelChecksum},
    layer::{Layer, Packet},
    link::LinkType,
    time::Time,
};

/// The message that words of the tail write.
fn written(craft: &Craft, words: &[(&str, &str)]) -> Result<Vec<u8>, String> {
    let mut header = craft.header.to_vec();
    let parts = craft.tail.map_or(&[][..], |tail| tail.parts);
    for (word, value) in words {
        let part = parts.iter().find(|part| part.words.contains(word));
        (part.unwrap_or_else(|| panic!("no word {word}")).write)(value, &mut header)?;
    }
    Ok(header)
}

fn dns(words: &[(&str, &str)]) -> Vec<u8> {
    written(&CRAFT, words).unwrap_or_else(|fault| panic!("{fault}"))
}

/// Does something with a view of `message` alone.
fn with_view<T>(
    protocol: &'static Protocol,
    message: &[u8],
    then: impl FnOnce(&View<'_>) -> T,
) -> T {
    let len = message.len() as u32;
    let layers = [Layer {
        protocol,
        buffer: 0,
        quoted: false,
        start: 0,
        header: len,
        end: len,
        wire: len,
        problem: None,
    }];
    let frame = Frame {
        number: 1,
        time: Time::default(),
        link: LinkType::RAW,
        interface: 0,
        direction: Direction::Out,
        checksum: KernelChecksum::Unknown,
        wire_len: len,
        bytes: message,
    };
    let packet = Packet {
        frame,
        layers: &layers,
        facts: &[],
        arena: &[],
        buffers: &[],
    };
    then(&packet.view(0).unwrap())
}

/// The words that `message` is said in.
fn said(message: &[u8]) -> Vec<(&'static str, String)> {
    let mut words = Vec::new();
    with_view(&PROTOCOL, message, |view| {
        (TAIL.read)(view, &mut |word, value| words.push((word, value)))
    });
    words
}

/// What is behind the header comes out again from the words that say it.
fn returns(message: &[u8]) {
    let words = said(message);
    let words: Vec<(&str, &str)> = words
        .iter()
        .map(|(word, value)| (*word, value.as_str()))
        .collect();
    assert_eq!(
        hex::encode(&dns(&words)[HEADER..]),
        hex::encode(&message[HEADER..]),
        "{words:?}"
    );
}

#[test]
fn names_point_to_what_was_written_before() {
    let message = dns(&[
        ("qd", "www.example.com"),
        ("an", "www.example.com:CNAME:60:a.example.com"),
        ("an", "a.example.com:A:60:192.0.2.1"),
    ]);
    let expected = [
        "0000 0100 0001 0002 0000 0000",
        "03777777 076578616d706c65 03636f6d 00 0001 0001",
        "c00c 0005 0001 0000003c 0004 0161c010",
        "c02d 0001 0001 0000003c 0004 c0000201",
    ];
    assert_eq!(hex::encode(message), expected.concat().replace(' ', ""));
}

#[test]
fn names_are_written_as_they_say() {
    let full = dns(&[
        ("qd", "a.b."),
        ("an", "a.b.:NS:1:b."),
        ("an", "c.@14:NS:1:."),
    ]);
    assert_eq!(&full[HEADER..HEADER + 9], b"\x01a\x01b\0\0\x01\0\x01");
    assert!(
        full.windows(6)
            .filter(|bytes| *bytes == b"\x01a\x01b\0\0")
            .count()
            == 2
    );
    assert!(full.windows(4).any(|bytes| bytes == b"\x01c\xc0\x0e"));
    // A service has its target in full, on the local link too where it may be compressed.
    let service = [("qd", "a.b"), ("an", "a.b:SRV:1:0:0:80:a.b")];
    assert!(dns(&service).ends_with(b"\x01a\x01b\0"));
    assert!(
        written(&OF_MULTICAST, &service)
            .unwrap()
            .ends_with(b"\0P\xc0\x0c")
    );
    let escaped = dns(&[("qd", "a%2eb%00.c")]);
    assert_eq!(&escaped[HEADER..HEADER + 8], b"\x04a.b\0\x01c\0");
}

#[test]
fn records_return() {
    for words in [
        &[("qd", "a.b:ANY:CH"), ("qd", ".:NS")][..],
        &[
            ("an", "a:A:1:192.0.2.1"),
            ("an", "a:AAAA:1:2001:db8::1"),
            ("an", "a:MX:1:5:m.a"),
        ],
        &[
            ("an", "a:TXT:1:v=spf1%20-all:two"),
            ("ns", "a:SOA:1:n.a:h.a:1:2:3:4:5"),
        ],
        &[
            ("ar", ".:OPT:1232:do:10:0011223344556677:12:"),
            ("ar", "x.y:NULL:NONE:0:"),
        ],
        &[
            ("an", "a:HTTPS:1:0001000001"),
            ("an", "a:TYPE1:1:00"),
            ("an", "a:TYPE65280:7:ff"),
        ],
        &[
            ("an", "a:DNSKEY:1:257:3:13:aabb"),
            ("an", "a:HINFO:1:cpu:os"),
            ("raw", "00ff"),
        ],
    ] {
        let message = dns(words);
        let again = said(&message);
        let again: Vec<(&str, &str)> = again.iter().map(|(w, v)| (*w, v.as_str())).collect();
        assert_eq!(again, words);
        returns(&message);
    }
}

#[test]
fn odd_messages_return() {
    // A pointer to itself, one past the end, a label of an unknown kind, data that end early, and too few of all.
    let header = &dns(&[("qd", "a")])[..HEADER];
    for rest in [
        &b"\xc0\x0c\0\x01\0\x01"[..],
        b"\xff\xff\0\x01\0\x01",
        b"\x41\0\x01\0\x01",
        b"\x01a",
        b"",
        b"\x01a\0\0\x01\0\x01and more",
    ] {
        returns(&[header, rest].concat());
    }
    let mut answer = dns(&[("an", "a:A:1:192.0.2.1")]);
    answer.truncate(answer.len() - 1);
    returns(&answer);
}

#[test]
fn faults_say_what_to_write() {
    for (words, fault) in [
        (
            &[("an", "a:A:1:192.0.2.1"), ("qd", "a")][..],
            "in this order",
        ),
        (&[("an", "a:A:1")], "NAME:TYPE"),
        (&[("an", "a:A:1:192.0.2.300")], "IPv4 address"),
        (&[("an", "a:MX:1:5")], "PREFERENCE:MAIL-EXCHANGE"),
        (&[("qd", "a:WHAT")], "expected a type"),
        (&[("qd", "a:A:QU")], "expected a class"),
        (&[("qd", "a..b")], "1 to 63 bytes"),
        (&[("qd", "a%zz")], "hexadecimal"),
        (&[("qd", "")], "expected a name"),
        (&[("qd", "@99999")], "12 to 16383"),
    ] {
        let said = written(&CRAFT, words).unwrap_err();
        assert!(said.contains(fault), "{words:?}: {said}");
    }
}

#[test]
fn hostile_words_end() {
    let many = [("qd", "a.b.c")].repeat(20_000);
    assert!(written(&CRAFT, &many).is_err());
    assert!(written(&CRAFT, &[("qd", &"a.".repeat(500_000))]).is_err());
    assert!(written(&CRAFT, &[("an", &":".repeat(1_000_000))]).is_err());
    // Names that lead to each other all through the message.
    let header = [0, 0, 1, 0, 0x20, 0, 0, 0, 0, 0, 0, 0];
    let message = [&header[..], &b"\xc0\x14\0\x01\0\x01\x01a".repeat(8000)].concat();
    returns(&message);
}

#[test]
fn more_records_than_words_say_return_with_their_counts() {
    let record = b"\0\0\x01\0\x01\0\0\0\x3c\0\x04\xc0\0\x02\x01";
    let header = [0, 7, 0x80, 0, 0, 0, 1, 44, 0, 2, 0, 3];
    let message = [&header[..], &record.repeat(305)].concat();
    let udp = "ip src=10.0.0.1 dst=10.0.0.2 / udp sport=53 dport=4000 / hex=";
    let words = rebuilt(&built(&format!("{udp}{}", hex::encode(message))));
    assert!(
        words.contains("ancount=300 nscount=2 arcount=3 "),
        "{words}"
    );
    assert_eq!(words.matches(" an=.:A:60:192.0.2.1").count(), write::MOST);
}

#[test]
fn counts_are_told_when_they_are_wrong() {
    let mut message = dns(&[
        ("qd", "a"),
        ("an", "a:A:1:192.0.2.1"),
        ("an", "a:A:1:192.0.2.2"),
    ]);
    let right = |message: &[u8]| {
        with_view(&PROTOCOL, message, |view| {
            [count::<1>(view), count::<2>(view)]
        })
    };
    assert_eq!(right(&message), [Some(2), Some(0)]);
    message[7] = 5;
    assert_eq!(right(&message)[0], Some(2));
}

#[test]
fn an_answer_has_number_and_question() {
    let query = dns(&[("qd", "Example.com")]);
    let mut answer = dns(&[("qd", "example.COM"), ("an", "example.COM:A:1:192.0.2.1")]);
    let matches = |answer: &[u8]| {
        with_view(&PROTOCOL, &query, |asked| {
            with_view(&PROTOCOL, answer, |view| answers(asked, view))
        })
    };
    assert!(!matches(&answer), "a query answers nothing");
    answer[2] |= 0x80;
    assert!(matches(&answer));
    answer[1] = 1;
    assert!(!matches(&answer));
    let mut other = dns(&[("qd", "example.org")]);
    other[2] |= 0x80;
    assert!(!matches(&other));
}
