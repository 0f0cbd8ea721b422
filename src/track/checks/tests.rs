//! Expectations against made-up packets: each can hold and can fail.
#![allow(clippy::unwrap_used)]

use super::*;
use crate::track::testing::{evidence, ip, tcp};

const FIN: u8 = 1;
const SYN: u8 = 2;
const RST: u8 = 4;
const ACK: u8 = 16;

type Packets = Vec<(i64, Vec<u8>)>;

fn open() -> Packets {
    vec![
        (0, tcp(true, SYN, (100, 0), &[], &[])),
        (10, tcp(false, SYN | ACK, (500, 101), &[], &[])),
        (20, tcp(true, ACK, (101, 501), &[], &[])),
    ]
}

fn closed() -> Packets {
    let mut packets = open();
    packets.extend([
        (30, tcp(true, FIN | ACK, (101, 501), &[], b"hello")),
        (40, tcp(false, FIN | ACK, (501, 107), &[], &[])),
        (50, tcp(true, ACK, (107, 502), &[], &[])),
    ]);
    packets
}

/// Whether it holds, at which packet.
fn judged(expectation: &str, packets: &[(i64, Vec<u8>)]) -> (bool, Option<u64>) {
    let (all, want) = read([expectation]).unwrap();
    let verdict = all[0].judge(&evidence(want, packets));
    assert_eq!(verdict.why.is_empty(), verdict.holds, "{verdict:?}");
    (verdict.holds, verdict.packet)
}

#[test]
fn every_expectation_can_hold_and_can_fail() {
    let mut reset = open();
    reset.push((30, tcp(false, RST | ACK, (501, 101), &[], &[])));
    let mut again = closed();
    again.insert(3, (25, open().remove(0).1));
    let mut gap = open();
    gap.push((30, tcp(true, ACK, (111, 501), &[], b"late")));
    let mut zero = open();
    zero[2].1[34..36].fill(0);
    let mut half = closed();
    half.truncate(4);
    let mut short = closed();
    short[0].1[32] = 0x40;
    let udp = |forward| {
        let ports = if forward { [0, 1, 0, 2] } else { [0, 2, 0, 1] };
        let datagram = [&ports[..], &[0, 9, 0, 0, b'?']].concat();
        (0, ip(forward, 17, (1, 0, 64), &datagram))
    };
    let (asks, answered) = ([udp(true)], [udp(true), udp(false)]);
    let wrong = [(0, tcp(true, SYN, (1, 0), &[], &[]))];
    for (expectation, packets, holds, packet) in [
        ("handshake", &closed()[..], true, Some(3)),
        ("handshake", &open()[..2], false, Some(2)),
        ("handshake", &open()[..1], false, Some(1)),
        ("handshake", &[], false, None),
        ("close=fin", &closed(), true, Some(5)),
        ("close=fin", &half, false, Some(4)),
        ("close=fin", &reset, false, Some(4)),
        ("close=rst", &reset, true, Some(4)),
        ("close=none", &open(), true, Some(3)),
        ("close=none", &closed(), false, Some(5)),
        ("closed-by=client", &closed(), true, Some(4)),
        ("closed-by=server", &closed(), false, Some(4)),
        ("no-reset", &closed(), true, None),
        ("no-reset", &reset, false, Some(4)),
        ("no-retransmission", &closed(), true, None),
        ("no-retransmission", &again, false, Some(4)),
        ("retransmissions-below=2", &again, true, None),
        ("retransmissions-below=1", &again, false, Some(4)),
        ("retransmissions-below=0", &closed(), false, None),
        ("no-loss", &closed(), true, None),
        ("no-loss", &gap, false, Some(4)),
        ("no-zero-window", &closed(), true, None),
        ("no-zero-window", &zero, false, Some(3)),
        ("rtt-below=20.001ms", &closed(), true, Some(3)),
        ("rtt-below=20ms", &closed(), false, Some(3)),
        ("udp-answered", &answered, true, Some(1)),
        ("udp-answered", &asks, false, Some(1)),
        ("contains=hello", &closed(), true, Some(4)),
        ("contains=hullo", &closed(), false, None),
        ("packets=6", &closed(), true, None),
        ("packets=5", &closed(), false, None),
        ("packets-above=5", &closed(), true, None),
        ("packets-above=6", &closed(), false, None),
        ("no-wrong-checksum", &answered, true, None),
        ("no-wrong-checksum", &wrong, false, Some(1)),
        ("no-malformed", &closed(), true, None),
        ("no-malformed", &short, false, Some(1)),
    ] {
        assert_eq!(
            judged(expectation, packets),
            (holds, packet),
            "{expectation}"
        );
    }
}

#[test]
fn lists_are_read_and_faults_named() {
    let (all, want) = read(["handshake, rtt-below=1.5s", "contains=a=b"]).unwrap();
    let written: Vec<&str> = all.iter().map(|e| e.written.as_str()).collect();
    assert_eq!(written, ["handshake", "rtt-below=1.5s", "contains=a=b"]);
    assert_eq!(want.texts, [b"a=b"]);
    for (bad, said) in [
        ("handshak", "no expectation is called handshak"),
        ("", "no expectation is called "),
        ("handshake=1", "handshake takes no value: handshake"),
        ("close", "close takes one of: fin, rst, none"),
        ("close=syn", "close takes one of: fin, rst, none"),
        ("packets=-1", "packets takes a number: packets=5"),
        ("contains=", "contains takes a text: contains=hello"),
        (
            "rtt-below=50",
            "rtt-below takes a time with its unit: rtt-below=50ms (s, ms, us or ns)",
        ),
    ] {
        assert_eq!(read([bad]).err().unwrap().to_string(), said, "{bad}");
    }
}

#[test]
fn spans_have_units() {
    for (text, nanos) in [
        ("50ms", Some(50_000_000)),
        ("1.5s", Some(1_500_000_000)),
        ("200us", Some(200_000)),
        ("80ns", Some(80)),
        ("5", None),
        ("ms", None),
        ("-5ms", None),
        ("infs", None),
        ("1e9s", None),
        ("99999999999999s", None),
    ] {
        assert_eq!(span(text), nanos, "{text}");
    }
}

#[test]
fn nothing_holds_of_a_connection_that_is_not_there() {
    let (all, want) = read(["handshake,no-reset,retransmissions-below=5,no-loss"]).unwrap();
    let want = Want {
        stream: Some(1),
        ..want
    };
    let gathered = evidence(want, &closed());
    assert!(
        all.iter()
            .all(|expectation| !expectation.judge(&gathered).holds)
    );
}
