//! Answers to made-up packets, as a student would hand them in: worked out by hand beside each.
#![allow(clippy::unwrap_used)]

use super::*;
use crate::track::testing::{evidence, ip, tcp};

const FIN: u8 = 1;
const SYN: u8 = 2;
const RST: u8 = 4;
const ACK: u8 = 16;

/// MSS 1000 and window scale 2.
const OFFER: &[u8] = &[2, 4, 3, 232, 3, 3, 2, 0];

type Packets = Vec<(i64, Vec<u8>)>;

/// Opened after 10 ms; the client's ISN is two before the wrap, the server's 500.
fn open() -> Packets {
    let isn = u32::MAX - 1;
    vec![
        (0, tcp(true, SYN, (isn, 0), OFFER, &[])),
        (
            10,
            tcp(false, SYN | ACK, (500, isn.wrapping_add(1)), OFFER, &[]),
        ),
        (10, tcp(true, ACK, (isn.wrapping_add(1), 501), &[], &[])),
    ]
}

/// A raw number of the client's that counts as `relative`.
fn client(relative: u32) -> u32 {
    (u32::MAX - 1).wrapping_add(relative)
}

fn asked(name: &str, ask: &Ask, packets: &[(i64, Vec<u8>)]) -> Found {
    let question = find(name).unwrap();
    question.answer(&evidence(ask.want(), packets), ask)
}

fn answer(name: &str, packets: &[(i64, Vec<u8>)]) -> Answer {
    asked(name, &Ask::default(), packets).unwrap()
}

impl Answer {
    fn get(&self, name: &str) -> Datum {
        self.values
            .iter()
            .find(|(n, _)| *n == name)
            .unwrap()
            .1
            .clone()
    }
}

fn ms(millis: f64) -> Datum {
    Datum::Span((millis * 1e6) as i64)
}

#[test]
fn names_are_unique_and_rows_say_what_they_need() {
    for (n, question) in QUESTIONS.iter().enumerate() {
        assert!(
            QUESTIONS[..n]
                .iter()
                .all(|other| other.name != question.name)
        );
        assert!(question.words.ends_with('?') && !question.needs.is_empty());
        assert!(question.name.len() <= 20, "{}", question.name);
    }
    assert_eq!(QUESTIONS.len(), 25);
}

#[test]
fn the_numbers_of_the_handshake_across_the_wrap() {
    let isn = answer("isn", &open());
    assert_eq!(
        isn.get("client_isn"),
        Datum::Number(u64::from(u32::MAX - 1))
    );
    assert_eq!(isn.get("server_isn"), Datum::Number(500));
    assert_eq!(isn.packets, [1, 2]);
    let shake = answer("handshake", &open());
    assert_eq!(shake.packets, [1, 2, 3]);
    let raw = format!("(raw {} = {} + 1)", u32::MAX, u32::MAX - 1);
    assert!(shake.steps[1].ends_with(&raw), "{:?}", shake.steps);
    assert!(shake.steps[2].contains("ack 1 = seq 0 of packet 2 + 1"));
    let rtt = answer("handshake-rtt", &open());
    assert_eq!(rtt.get("rtt"), ms(10.0));
    assert_eq!(rtt.get("captured_near"), Datum::from("client"));
}

#[test]
fn a_syn_that_is_sent_again_counts_from_the_last_one() {
    let mut packets = open();
    packets.insert(0, (-1000, packets[0].1.clone()));
    assert_eq!(answer("handshake", &packets).packets, [2, 3, 4]);
    assert_eq!(answer("handshake-rtt", &packets).get("rtt"), ms(10.0));
    let again = answer("retransmissions", &packets);
    assert_eq!(again.get("retransmissions"), Datum::Number(1));
    assert_eq!(again.packets, [1, 2]);
    assert!(
        again.steps[0].contains("1000.000 ms after packet 1"),
        "{:?}",
        again.steps
    );
}

#[test]
fn why_there_is_no_handshake() {
    let isn = u32::MAX - 1;
    let refused = vec![
        open().remove(0),
        (1, tcp(false, RST | ACK, (0, isn.wrapping_add(1)), &[], &[])),
    ];
    let why = |packets: &[_]| asked("handshake", &Ask::default(), packets).unwrap_err();
    assert!(why(&refused).contains("answered by a RST, packet 2"));
    assert!(why(&open()[..1]).contains("nothing answers the SYN of packet 1"));
    assert!(why(&open()[..2]).contains("no ACK follows"));
    assert!(why(&[]).contains("no TCP connection"));
    assert_eq!(
        answer("why-reset", &refused).get("why"),
        Datum::from("closed port")
    );
    let closed = answer("who-closed", &refused);
    assert_eq!(closed.get("with"), Datum::from("rst"));
    assert_eq!(closed.get("closed_by"), Datum::from("server"));
    assert!(closed.says.contains("refused"), "{}", closed.says);
}

#[test]
fn round_trips_follow_rfc_6298_row_by_row() {
    let mut packets = open();
    packets.extend([
        (20, tcp(true, ACK, (client(1), 501), &[], b"12345")),
        (40, tcp(false, ACK, (501, client(6)), &[], &[])),
    ]);
    let rtt = answer("rtt", &packets);
    // SYN 10 ms: Estimated 10, Dev 5. Data 20 ms: Estimated 0.875 * 10 + 0.125 * 20, Dev 0.75 * 5 + 0.25 * 10.
    let row = |packet: u64, ack: u64, spans: [f64; 4]| {
        let mut row = vec![packet.into(), ack.into()];
        row.extend(spans.map(ms));
        Datum::List(row)
    };
    let rows = Datum::List(vec![
        row(1, 2, [10.0, 10.0, 5.0, 1000.0]),
        row(4, 5, [20.0, 11.25, 6.25, 1000.0]),
    ]);
    assert_eq!(rtt.get("rows"), rows);
    let formula = "row 2: Estimated = 0.875 · 10.000 + 0.125 · 20.000 = 11.250";
    assert!(
        rtt.steps.iter().any(|step| step == formula),
        "{:?}",
        rtt.steps
    );
    assert!(rtt.steps.iter().all(|step| step.chars().count() <= 78));
    let one = Ask {
        rows: 1,
        ..Ask::default()
    };
    let steps = asked("rtt", &one, &packets).unwrap().steps;
    assert!(steps.iter().any(|step| step.starts_with("… 1 more")));
}

/// Five segments of 100 bytes: two, an ACK, one that is lost and repeated, and one behind it.
fn lossy() -> Packets {
    let mut packets = open();
    let data = |relative: u32| tcp(true, ACK, (client(relative), 501), &[], &[b'x'; 100]);
    let ack = |relative: u32| tcp(false, ACK, (501, client(relative)), &[], &[]);
    packets.extend([
        (20, data(1)),
        (21, data(101)),
        (31, ack(201)),
        (32, data(201)),
        (33, data(301)),
        (600, data(201)),
        (620, ack(401)),
    ]);
    packets
}

#[test]
fn what_is_in_flight_lost_and_how_fast_it_goes() {
    let flight = answer("in-flight", &lossy());
    assert_eq!(flight.get("most"), Datum::Number(200));
    assert_eq!(flight.get("most_packet"), Datum::Number(5));
    let again = answer("retransmissions", &lossy());
    assert_eq!(again.get("packets"), Datum::List(vec![Datum::Number(9)]));
    assert!(
        again.steps[0].starts_with("packet 9: seq 201, 100 bytes, of packet 7; its timer ran out")
    );
    let rate = answer("throughput", &lossy());
    // 400 bytes once, 500 in all, in 0.6 s.
    assert_eq!(rate.get("bytes"), Datum::Number(400));
    assert_eq!(rate.get("bytes_with_repetitions"), Datum::Number(500));
    assert_eq!(rate.get("time"), ms(600.0));
    assert_eq!(rate.packets, [4, 9, 10]);
    let acks = answer("acks", &lossy());
    assert_eq!(acks.get("usual_bytes"), Datum::Number(200));
    assert_eq!(acks.get("acks_of_two_or_more"), Datum::Number(2));
    let window = answer("window", &lossy());
    assert_eq!(
        window.get("least"),
        Datum::Number(256),
        "of the SYN,ACK, not scaled"
    );
    assert_eq!(window.get("most"), Datum::Number(256 << 2));
    assert_eq!(window.get("limited_the_sender"), Datum::Flag(false));
}

/// A round trip of so many segments of 100 bytes after the other.
fn rounds(rounds: &[u32]) -> Packets {
    let mut packets = open();
    let (mut at, mut millis) = (1, 20);
    for segments in rounds {
        for _ in 0..*segments {
            let data = tcp(true, ACK, (client(at), 501), &[], &[b'x'; 100]);
            packets.push((millis, data));
            at += 100;
        }
        millis += 10;
        packets.push((millis, tcp(false, ACK, (501, client(at)), &[], &[])));
    }
    packets
}

#[test]
fn slow_start_ends_where_a_round_trip_carries_no_more() {
    let found = answer("slow-start", &rounds(&[1, 2, 4, 4, 4]));
    let bytes = [100_u64, 200, 400, 400, 400].map(Datum::from).to_vec();
    assert_eq!(found.get("bytes_by_round"), Datum::List(bytes));
    // Rounds begin at packets 4, 6, 9 and 14.
    assert_eq!(found.get("ends_at_packet"), Datum::Number(14));
    let why = |packets: &[_]| asked("slow-start", &Ask::default(), packets).unwrap_err();
    assert!(why(&lossy()).contains("only 2 round trips"));
    assert!(why(&rounds(&[1, 1, 1, 1])).contains("the program sets the pace"));
    assert!(why(&rounds(&[1, 2, 4, 8])).contains("all of 4 round trips"));
}

#[test]
fn options_hold_only_where_both_offer_them() {
    let found = answer("options", &open());
    assert_eq!(found.get("client_mss"), Datum::Number(1000));
    assert_eq!(found.get("scaling_in_force"), Datum::Flag(true));
    let mut packets = open();
    packets[1] = (10, tcp(false, SYN | ACK, (500, client(1)), &[], &[]));
    let found = answer("options", &packets);
    assert_eq!(found.get("scaling_in_force"), Datum::Flag(false));
    assert!(
        found.says.contains("at most 536 bytes from the client"),
        "{}",
        found.says
    );
}

#[test]
fn who_closed_and_who_waits() {
    let mut packets = open();
    packets.extend([
        (20, tcp(false, FIN | ACK, (501, client(1)), &[], b"bye")),
        (30, tcp(true, FIN | ACK, (client(1), 505), &[], &[])),
        (40, tcp(false, ACK, (505, client(2)), &[], &[])),
    ]);
    let closed = answer("who-closed", &packets);
    assert_eq!(closed.get("closed_by"), Datum::from("server"));
    assert_eq!(closed.get("time_wait"), Datum::from("server"));
    assert_eq!(closed.packets, [4, 5, 6]);
    assert!(
        closed.steps[1].contains("ack 5 = seq 1 + 3 bytes + 1"),
        "{:?}",
        closed.steps
    );
    let over = asked("next-segment", &Ask::default(), &packets).unwrap_err();
    assert!(over.contains("over with packet 6"), "{over}");
}

#[test]
fn the_reasons_of_resets() {
    let why = |packets: &[_]| answer("why-reset", packets).get("why");
    let mut by_hand = open();
    by_hand[2] = (11, tcp(true, RST, (client(1), 0), &[], &[]));
    assert_eq!(
        why(&by_hand),
        Datum::from("own kernel does not know the SYN")
    );
    let mut abort = open();
    abort.push((20, tcp(true, RST | ACK, (client(1), 501), &[], &[])));
    assert_eq!(why(&abort), Datum::from("abort"));
    let mut late = open();
    late.extend([
        (20, tcp(false, FIN | ACK, (501, client(1)), &[], &[])),
        (21, tcp(true, ACK, (client(1), 502), &[], b"more")),
        (22, tcp(false, RST, (502, 0), &[], &[])),
    ]);
    assert_eq!(why(&late), Datum::from("data after the close"));
    let stray = [
        (0, tcp(true, ACK, (7, 900), &[], b"?")),
        (1, tcp(false, RST, (900, 0), &[], &[])),
    ];
    assert_eq!(why(&stray), Datum::from("unknown connection"));
}

#[test]
fn the_next_segment_of_both_sides() {
    let mut packets = open();
    packets.push((20, tcp(true, ACK, (client(1), 501), &[], b"hello")));
    let next = answer("next-segment", &packets);
    assert_eq!(next.get("client_seq"), Datum::from(client(6)));
    assert_eq!(next.get("client_ack"), Datum::Number(501));
    assert_eq!(next.get("server_seq"), Datum::Number(501));
    assert_eq!(next.get("server_ack"), Datum::from(client(6)));
}

#[test]
fn texts_are_found_across_segments_also_out_of_order() {
    let mut packets = open();
    packets.extend([
        (20, tcp(true, ACK, (client(1), 501), &[], b"xx P")),
        (21, tcp(true, ACK, (client(7), 501), &[], b"T / HTTP")),
        (22, tcp(true, ACK, (client(5), 501), &[], b"OS")),
        (30, tcp(false, ACK, (501, client(15)), &[], b"part one")),
        (31, tcp(false, ACK, (509, client(15)), &[], b"part two")),
        (31, tcp(false, ACK, (509, client(15)), &[], b"part two")),
    ]);
    let ask = Ask {
        text: Some("POST".to_owned()),
        ..Ask::default()
    };
    let found = asked("which-segment", &ask, &packets).unwrap();
    assert_eq!(found.packets, [4, 5]);
    assert_eq!(found.get("stream_offset"), Datum::Number(3));
    assert_eq!(found.get("seq_raw"), Datum::from(client(1)));
    let ask = Ask {
        text: Some("\u{1b}[31m".to_owned()),
        ..Ask::default()
    };
    let why = asked("which-segment", &ask, &packets).unwrap_err();
    assert!(why.starts_with("\"\\x1b[31m\" is in no stream"), "{why}");
    let response = answer("segments-of-response", &packets);
    assert_eq!(
        response.get("segments"),
        Datum::Number(2),
        "what came twice counts once"
    );
    assert_eq!(response.get("bytes"), Datum::Number(16));
}

fn udp(forward: bool, sum: u16, payload: &[u8]) -> Vec<u8> {
    let ports: [u16; 2] = if forward { [4000, 53] } else { [53, 4000] };
    let mut bytes: Vec<u8> = ports.iter().flat_map(|port| port.to_be_bytes()).collect();
    bytes.extend((8 + payload.len() as u16).to_be_bytes());
    bytes.extend(sum.to_be_bytes());
    bytes.extend(payload);
    bytes
}

#[test]
fn datagrams_replies_and_errors() {
    let datagram = |id| ip(true, 17, (id, 0, 64), &udp(true, 0, b"?????"));
    let mut error = vec![3, 3, 0, 0, 0, 0, 0, 0];
    error.extend(datagram(3));
    let packets = [
        (0, datagram(1)),
        (4, ip(false, 17, (1, 0, 64), &udp(false, 0, b"!"))),
        (10, datagram(2)),
        (20, datagram(3)),
        (21, ip(false, 1, (9, 0, 64), &error)),
    ];
    let found = answer("udp", &packets);
    let numbers = ["requests", "answered", "errors", "unanswered"].map(|name| found.get(name));
    assert_eq!(numbers, [3_u64, 1, 1, 1].map(Datum::from));
    assert!(found.steps[0].contains("packet 2 answers after 4.000 ms"));
    assert!(
        found.steps[2].contains("packet 5, ICMP port unreachable"),
        "{:?}",
        found.steps
    );
}

#[test]
fn the_sum_of_a_checksum_and_its_verdict() {
    // 10.0.0.1 + 10.0.0.2 + 17 + 13, the ports and the length, "hello".
    let pseudo: u32 = 0x0a00 + 1 + 0x0a00 + 2 + 17 + 13;
    let whole = pseudo + 4000 + 53 + 13 + 0x6865 + 0x6c6c + 0x6f00;
    let right = !((whole & 0xffff) + (whole >> 16)) as u16;
    let ask = Ask {
        numbers: vec![1],
        ..Ask::default()
    };
    for (sum, verdict) in [
        (right, "valid"),
        (right ^ 1, "wrong"),
        (pseudo as u16, "unfilled"),
    ] {
        let packets = [(0, ip(true, 17, (1, 0, 64), &udp(true, sum, b"hello")))];
        let found = asked("checksum", &ask, &packets).unwrap();
        assert_eq!(found.get("verdict"), Datum::from(verdict));
        assert_eq!(found.get("computed"), Datum::from(right));
        assert!(
            found.steps[0].ends_with(&format!("= 0x{pseudo:04x}")),
            "{:?}",
            found.steps
        );
    }
    assert!(
        asked("checksum", &ask, &[])
            .unwrap_err()
            .contains("no packet 1")
    );
}

#[test]
fn fields_that_differ() {
    let packet = |id, ttl| (0, ip(true, 17, (id, 0, ttl), &udp(true, 0, b"hello")));
    let ask = Ask {
        numbers: vec![1, 2],
        ..Ask::default()
    };
    let found = asked("diff", &ask, &[packet(1, 1), packet(2, 2)]).unwrap();
    let names = ["ip.id", "ip.ttl", "ip.checksum"].map(Datum::from).to_vec();
    assert_eq!(found.get("different"), Datum::List(names));
    assert!(
        found.steps[0].contains("ip.id: 0x0001 | 0x0002 – must"),
        "{:?}",
        found.steps
    );
}

#[test]
fn fragments_and_what_is_missing() {
    let piece = |fragment: u16, len: usize| (0, ip(true, 17, (9, fragment, 64), &vec![0; len]));
    let found = answer("fragments", &[piece(0x2000, 16), piece(4, 8)]);
    assert_eq!(found.get("complete"), Datum::Flag(false));
    assert!(
        found
            .steps
            .iter()
            .any(|step| step == "missing: bytes 16 to 31"),
        "{:?}",
        found.steps
    );
    let found = answer("fragments", &[piece(2, 8), piece(0x2000, 16)]);
    assert_eq!(found.get("complete"), Datum::Flag(true));
    assert_eq!(found.get("bytes"), Datum::Number(24));
}

#[test]
fn hops_from_what_routers_say() {
    let probe = |ttl: u8| ip(true, 17, (ttl.into(), 0, ttl), &udp(true, 0, b"probe"));
    let from = |router: u8, kind: [u8; 2], quoted: Vec<u8>| {
        let mut error = vec![kind[0], kind[1], 0, 0, 0, 0, 0, 0];
        error.extend(quoted);
        let mut packet = ip(false, 1, (9, 0, 60), &error);
        packet[15] = router;
        packet[10..12].fill(0);
        packet
    };
    let packets = [
        (0, probe(1)),
        (3, from(77, [11, 0], probe(1))),
        (10, probe(2)),
        (18, from(2, [3, 3], probe(2))),
    ];
    let found = answer("hops", &packets);
    assert_eq!(found.get("hops"), Datum::Number(2));
    assert!(
        found.says.starts_with("10.0.0.2 is 2 hops away"),
        "{}",
        found.says
    );
    assert!(
        found.steps[0].starts_with("TTL 1: 10.0.0.77 after 3.000 ms (packet 2, TTL 60)"),
        "{:?}",
        found.steps
    );
    assert!(asked("hops", &Ask::default(), &packets[..1]).is_err());
}

#[test]
fn both_sides_of_a_translation() {
    let mut outside = open().remove(0).1;
    outside[15] = 99;
    outside[8] = 63;
    let packets = [open().remove(0), (1, outside)];
    let found = answer("nat", &packets);
    assert_eq!(found.packets, [1, 2]);
    assert_eq!(
        found.steps[0],
        "client: 10.0.0.1:1000 became 10.0.0.99:1000"
    );
    assert_eq!(found.steps[2], "TTL: 64 became 63");
    assert!(found.steps[1].ends_with("unchanged"));
}

#[test]
fn the_connection_that_was_asked_for_or_the_first_that_can() {
    let mut packets = vec![(0, tcp(true, ACK, (5, 5), &[], b"x"))];
    packets.extend(open());
    // Another first sequence number begins a new stream.
    assert_eq!(answer("handshake", &packets).connection.unwrap().0, 1);
    let ask = Ask {
        stream: Some(0),
        ..Ask::default()
    };
    assert!(
        asked("handshake", &ask, &packets)
            .unwrap_err()
            .contains("SYN is not in the capture")
    );
    let none = Ask {
        stream: Some(9),
        ..Ask::default()
    };
    assert!(
        asked("handshake", &none, &packets)
            .unwrap_err()
            .contains("no tcp:9")
    );
}
