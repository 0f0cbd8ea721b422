//! Two hand-made ends against each other on a made-up wire and clock, and single ends against segments written by hand.
#![allow(clippy::unwrap_used)]

use super::*;
use crate::{
    craft::{NoFiles, NoRoute, Spec},
    decode::{Decoded, Decoder},
    frame::{Direction, Frame, KernelChecksum},
    link::LinkType,
    proto::tcp::flag,
    time::MILLISECOND,
};

const DELAY: i64 = 10 * MILLISECOND;

fn at(ms: i64) -> Time {
    Time::from_nanos(ms * MILLISECOND)
}

fn ends() -> [SocketAddr; 2] {
    ["10.0.0.1:41000", "10.0.0.2:5000"].map(|text| text.parse().unwrap())
}

fn settings(text: &str) -> Settings {
    Settings {
        text: text.into(),
        close: Close::Fin,
        wait: 500 * MILLISECOND,
        patience: 15 * SECOND,
        absolute: false,
    }
}

fn client(words: &str, settings: Settings) -> Connection {
    let template = Template::read(words).unwrap();
    Connection::connect(template, settings, ends(), 1000, at(0)).unwrap()
}

fn server(words: &str, settings: Settings) -> Connection {
    let template = Template::read(words).unwrap();
    Connection::listen(template, settings, ends()[1], 7000, at(0)).unwrap()
}

/// Decodes a packet as it would be heard, and gives what TCP reads of it to `take`.
fn heard<T>(bytes: &[u8], take: impl FnOnce(&Arrived<'_>) -> T) -> T {
    let frame = Frame {
        number: 1,
        time: at(0),
        link: LinkType::RAW,
        interface: 0,
        direction: Direction::In,
        checksum: KernelChecksum::Unknown,
        wire_len: bytes.len() as u32,
        bytes,
    };
    let mut decoded = Decoded::default();
    Decoder::default().frame(&frame, &mut decoded);
    take(&Arrived::of(&decoded.packet_of(frame, 0).unwrap()).unwrap())
}

/// `SA seq ack len` of a packet, for people.
fn spell(bytes: &[u8]) -> String {
    heard(bytes, |arrived| {
        let s = arrived.segment;
        let letters = [
            (flag::SYN, 'S'),
            (flag::FIN, 'F'),
            (flag::RST, 'R'),
            (flag::PSH, 'P'),
            (flag::ACK, 'A'),
        ];
        let flags = letters.iter().filter(|(bit, _)| s.has(*bit));
        let flags: String = flags.map(|(_, letter)| *letter).collect();
        format!("{flags} {} {} {}", s.seq, s.ack, s.len)
    })
}

/// What came out of an end.
#[derive(Default)]
struct Out {
    packets: Vec<Vec<u8>>,
    data: Vec<u8>,
    words: Vec<String>,
}

impl Out {
    fn of(end: &mut Connection) -> Self {
        let mut out = Self::default();
        while let Some(act) = end.next_act() {
            match act {
                Act::Send(built) => out.packets.push(built.bytes),
                Act::Data(data) => out.data.extend(data),
                Act::Step(text) | Act::Note(text) => out.words.push(text),
            }
        }
        out
    }

    fn spelled(&self) -> Vec<String> {
        self.packets.iter().map(|bytes| spell(bytes)).collect()
    }
}

/// A segment from the server to the client, in words: it arrives, and what comes out is spelled.
fn gets(end: &mut Connection, words: &str, now: Time) -> Out {
    let text = format!("ip src=10.0.0.2 dst=10.0.0.1 / tcp sport=5000 dport=41000 {words}");
    let mut built = Built::default();
    Spec::parse(&text, &NoFiles)
        .unwrap()
        .build(0, &NoRoute, &mut built);
    heard(&built.bytes, |arrived| end.arrives(arrived, now));
    Out::of(end)
}

/// A client that is open, at numbers 1001 and 5001.
fn open_client(words: &str, settings: Settings) -> Connection {
    let mut end = client(words, settings);
    Out::of(&mut end);
    let out = gets(
        &mut end,
        "flags=SA seq=5000 ack=1001 window=1000 mss=100",
        at(10),
    );
    assert_eq!(out.spelled()[0], "A 1001 5001 0");
    end
}

/// A wire on which packets get lost, doubled and overtaken, as `fate` says of each, counted from 1 over both ways.
struct Run {
    ends: [Connection; 2],
    received: [Vec<u8>; 2],
    spelled: Vec<String>,
    now: Time,
}

/// What becomes of a packet.
enum Fate {
    Arrives,
    Lost,
    Twice,
    /// After so many milliseconds more.
    Late(i64),
}

impl Run {
    fn play(ends: [Connection; 2], fate: impl Fn(usize) -> Fate) -> Self {
        let mut run = Self {
            ends,
            received: Default::default(),
            spelled: Vec::new(),
            now: at(0),
        };
        let mut wire: Vec<(Time, usize, Vec<u8>)> = Vec::new();
        for _ in 0..10_000 {
            for side in 0..2 {
                let out = Out::of(&mut run.ends[side]);
                run.received[side].extend(out.data);
                for bytes in out.packets {
                    let arrow = ['>', '<'][side];
                    run.spelled.push(format!("{arrow}{}", spell(&bytes)));
                    let due = run.now.plus(DELAY);
                    match fate(run.spelled.len()) {
                        Fate::Arrives => wire.push((due, 1 - side, bytes)),
                        Fate::Lost => {}
                        Fate::Twice => {
                            wire.extend([(due, 1 - side, bytes.clone()), (due, 1 - side, bytes)])
                        }
                        Fate::Late(ms) => wire.push((due.plus(ms * MILLISECOND), 1 - side, bytes)),
                    }
                }
            }
            if run.ends.iter().all(|end| end.ending().is_some()) && wire.is_empty() {
                return run;
            }
            let first = wire.iter().enumerate().min_by_key(|(_, packet)| packet.0);
            let arrival = first.map(|(at, packet)| (packet.0, at));
            let timer = run.ends.iter().filter(|end| end.ending().is_none());
            let timer = timer.filter_map(Connection::due).min();
            match (arrival, timer) {
                (Some((due, at)), timer) if timer.is_none_or(|timer| due <= timer) => {
                    run.now = run.now.max(due);
                    let (_, to, bytes) = wire.remove(at);
                    heard(&bytes, |arrived| run.ends[to].arrives(arrived, run.now));
                }
                (_, Some(timer)) => {
                    run.now = run.now.max(timer);
                    for end in &mut run.ends {
                        if end.due().is_some_and(|due| due <= run.now) {
                            end.wakes(run.now);
                        }
                    }
                }
                _ => panic!("nothing is to come: {:?}", run.spelled),
            }
        }
        panic!("it never ends: {:?}", &run.spelled[..50]);
    }

    fn check(&self, to_server: &str, to_client: &str) {
        assert_eq!(String::from_utf8_lossy(&self.received[1]), to_server);
        assert_eq!(String::from_utf8_lossy(&self.received[0]), to_client);
        let endings = self.ends.each_ref().map(Connection::ending);
        assert_eq!(endings, [Some(Ending::Closed); 2], "{:?}", self.spelled);
    }
}

#[test]
fn a_connection_opens_carries_data_both_ways_and_closes() {
    let ends = [
        client("", settings("hello\n")),
        server("", settings("world\n")),
    ];
    let run = Run::play(ends, |_| Fate::Arrives);
    run.check("hello\n", "world\n");
    assert_eq!(
        run.spelled,
        [
            ">S 1000 0 0",
            "<SA 7000 1001 0",
            ">A 1001 7001 0",
            ">PA 1001 7001 6",
            "<PA 7001 1007 6",
            ">A 1007 7007 0",
            ">FA 1007 7007 0",
            "<A 7007 1008 0",
            "<FA 7007 1008 0",
            ">A 1008 7008 0",
        ]
    );
    assert_eq!(run.ends[0].state(), State::TimeWait);
    assert_eq!(run.ends[1].state(), State::Closed);
}

#[test]
fn whatever_the_wire_does_the_bytes_arrive_once_and_in_order() {
    let text: String = (0..200).map(|n| format!("line {n}\n")).collect();
    let reply: String = (0..50).map(|n| format!("answer {n}\n")).collect();
    for seed in 1..=60_u64 {
        let ends = [
            client("tcp mss=100", settings(&text)),
            server("tcp mss=90", settings(&reply)),
        ];
        let run = Run::play(ends, |number| {
            let chance = (number as u64 * 2_654_435_761 + seed * 40_503) >> 3;
            match chance % 16 {
                0 | 1 => Fate::Lost,
                2 => Fate::Twice,
                3 => Fate::Late(25),
                _ => Fate::Arrives,
            }
        });
        let [to_client, to_server] = run.received.each_ref();
        // An end may give up on a FIN whose last ACK was lost: TIME-WAIT is not sat out here.
        assert_eq!(String::from_utf8_lossy(to_server), text, "seed {seed}");
        assert_eq!(String::from_utf8_lossy(to_client), reply, "seed {seed}");
    }
}

#[test]
fn numbers_wrap_around() {
    let text = "x".repeat(3000);
    for isn in [u32::MAX, u32::MAX - 1, u32::MAX - 2000, 0x7fff_ffff] {
        let words = format!("tcp seq={isn} mss=536");
        let reply = "y".repeat(2500);
        let ends = [
            client(&words, settings(&text)),
            server(&words, settings(&reply)),
        ];
        let run = Run::play(ends, |number| match number {
            1 | 7 | 12 => Fate::Lost,
            _ => Fate::Arrives,
        });
        run.check(&text, &reply);
        assert_eq!(run.ends[0].isns(), [isn; 2]);
    }
}

#[test]
fn a_lost_syn_goes_again_after_1_2_and_4_seconds_and_then_no_more() {
    let mut end = client("", settings(""));
    Out::of(&mut end);
    let mut times = Vec::new();
    while end.ending().is_none() {
        let due = end.due().unwrap();
        end.wakes(due);
        let out = Out::of(&mut end);
        times.extend(out.spelled().iter().map(|_| due.nanos() / SECOND));
    }
    assert_eq!(times, [1, 3, 7]);
    assert_eq!(end.ending(), Some(Ending::Silent));
    assert_eq!(end.again(), 3);
    // After a lost SYN the first data waits three seconds (RFC 6298 §5.7).
    let ends = [client("", settings("hello")), server("", settings(""))];
    let run = Run::play(ends, |number| {
        if number == 1 || number == 5 {
            Fate::Lost
        } else {
            Fate::Arrives
        }
    });
    run.check("hello", "");
    assert_eq!(run.spelled[4], ">PA 1001 7001 5");
    assert!(run.now.nanos() > 4 * SECOND, "{}", run.now);
}

#[test]
fn a_closed_port_refuses_and_a_stray_answer_is_reset() {
    let mut end = client("", settings(""));
    Out::of(&mut end);
    // An answer to what was never sent (RFC 9293 §3.10.7.3).
    let out = gets(&mut end, "flags=SA seq=1 ack=77", at(1));
    assert_eq!(out.spelled(), ["R 77 0 0"]);
    assert_eq!(end.state(), State::SynSent);
    let out = gets(&mut end, "flags=R seq=0", at(2));
    assert!(out.packets.is_empty() && end.ending().is_none());
    gets(&mut end, "flags=RA seq=0 ack=1001", at(3));
    assert_eq!(
        (end.ending(), end.state()),
        (Some(Ending::Refused), State::Closed)
    );
}

#[test]
fn what_was_seen_before_or_lies_outside_is_answered_with_an_ack() {
    let mut end = open_client("", settings(""));
    for (words, answer) in [
        // The SYN,ACK again: our ACK was lost.
        ("flags=SA seq=5000 ack=1001", "A 1001 5001 0"),
        ("flags=A seq=5101 ack=9000", "A 1001 5001 0"),
        ("flags=A seq=90000 ack=1001 / text=far", "A 1001 5001 0"),
        ("flags=S seq=5100", "A 1001 5001 0"),
        ("flags=R seq=5002", "A 1001 5001 0"),
        ("flags=PA seq=5001 ack=1001 / text=abc", "A 1001 5004 0"),
        ("flags=PA seq=5001 ack=1001 / text=abc", "A 1001 5004 0"),
        // Half of it is new.
        ("flags=PA seq=5002 ack=1001 / text=bcde", "A 1001 5006 0"),
    ] {
        assert_eq!(gets(&mut end, words, at(20)).spelled(), [answer], "{words}");
    }
    let out = gets(
        &mut end,
        "flags=PA seq=5006 ack=1001 chksum=1 / text=bad",
        at(21),
    );
    assert!(out.packets.is_empty() && out.words[0].contains("checksum"));
    gets(&mut end, "flags=R seq=5006", at(22));
    assert_eq!(end.ending(), Some(Ending::Reset));
}

#[test]
fn data_out_of_order_waits_for_its_turn_and_so_does_a_fin() {
    let mut end = open_client("", settings(""));
    let out = gets(&mut end, "flags=FPA seq=5007 ack=1001 / text=ghi", at(20));
    assert_eq!(out.spelled(), ["A 1001 5001 0"]);
    let out = gets(&mut end, "flags=PA seq=5004 ack=1001 / text=def", at(21));
    assert_eq!(
        (out.spelled(), out.data),
        (vec!["A 1001 5001 0".to_owned()], vec![])
    );
    let out = gets(&mut end, "flags=PA seq=5001 ack=1001 / text=abc", at(22));
    assert_eq!(out.data, b"abcdefghi");
    assert_eq!(out.spelled(), ["A 1001 5011 0", "FA 1001 5011 0"]);
    assert_eq!(end.state(), State::LastAck);
    gets(&mut end, "flags=A seq=5011 ack=1002", at(23));
    assert_eq!(
        (end.ending(), end.state()),
        (Some(Ending::Closed), State::Closed)
    );
}

#[test]
fn the_peers_segment_size_and_window_are_kept_to() {
    let text = "a".repeat(250);
    let mut end = client("", settings(&text));
    Out::of(&mut end);
    let out = gets(
        &mut end,
        "flags=SA seq=5000 ack=1001 window=120 mss=100",
        at(10),
    );
    assert_eq!(
        out.spelled(),
        ["A 1001 5001 0", "A 1001 5001 100", "A 1101 5001 20"]
    );
    // The window is shut, and a byte asks at last whether it has opened.
    let out = gets(&mut end, "flags=A seq=5001 ack=1121 window=0", at(20));
    assert!(out.packets.is_empty());
    let due = end.due().unwrap();
    end.wakes(due);
    assert_eq!(Out::of(&mut end).spelled(), ["A 1121 5001 1"]);
    let out = gets(
        &mut end,
        "flags=A seq=5001 ack=1122 window=1000",
        due.plus(1),
    );
    assert_eq!(out.spelled(), ["A 1122 5001 100", "PA 1222 5001 29"]);
}

#[test]
fn both_close_at_the_same_time() {
    // The client is open 10 ms before the server: so their FINs cross.
    let later = Settings {
        wait: 505 * MILLISECOND,
        ..settings("")
    };
    let ends = [client("", later), server("", settings(""))];
    let run = Run::play(ends, |_| Fate::Arrives);
    run.check("", "");
    assert_eq!(
        run.ends.each_ref().map(Connection::state),
        [State::TimeWait; 2]
    );
    let mut end = open_client("", settings(""));
    end.wakes(at(510));
    assert_eq!(Out::of(&mut end).spelled(), ["FA 1001 5001 0"]);
    gets(&mut end, "flags=FA seq=5001 ack=1001", at(511));
    assert_eq!(end.state(), State::Closing);
    gets(&mut end, "flags=A seq=5002 ack=1002", at(512));
    assert_eq!(
        (end.ending(), end.state()),
        (Some(Ending::Closed), State::TimeWait)
    );
}

#[test]
fn both_open_at_the_same_time() {
    let [a, b] = ends();
    let other =
        Connection::connect(Template::default(), settings(""), [b, a], 7000, at(0)).unwrap();
    let run = Run::play([client("", settings("hi")), other], |_| Fate::Arrives);
    run.check("hi", "");
    assert_eq!(
        run.spelled[..4],
        [
            ">S 1000 0 0",
            "<S 7000 0 0",
            "<SA 7000 1001 0",
            ">SA 1000 7001 0"
        ]
    );
}

#[test]
fn it_closes_with_a_reset_or_not_at_all_when_told_so() {
    let close = |close| Settings {
        close,
        ..settings("hi")
    };
    let mut end = open_client("", close(Close::Rst));
    gets(&mut end, "flags=A seq=5001 ack=1003", at(20));
    end.wakes(at(520));
    assert_eq!(Out::of(&mut end).spelled(), ["RA 1003 5001 0"]);
    assert_eq!(end.ending(), Some(Ending::Aborted));
    let mut end = open_client("", close(Close::None));
    gets(&mut end, "flags=FA seq=5001 ack=1003", at(20));
    end.wakes(at(520));
    assert!(Out::of(&mut end).packets.is_empty());
    assert_eq!(
        (end.ending(), end.state()),
        (Some(Ending::Left), State::CloseWait)
    );
}

#[test]
fn a_server_goes_back_to_listen_when_its_client_gives_up() {
    let mut end = server("", settings(""));
    let from_client = |end: &mut Connection, words: &str| {
        let text = format!("ip src=10.0.0.1 dst=10.0.0.2 / tcp sport=41000 dport=5000 {words}");
        let mut built = Built::default();
        Spec::parse(&text, &NoFiles)
            .unwrap()
            .build(0, &NoRoute, &mut built);
        heard(&built.bytes, |arrived| end.arrives(arrived, at(1)));
        Out::of(end).spelled()
    };
    assert_eq!(from_client(&mut end, "flags=A seq=5 ack=9"), ["R 9 0 0"]);
    assert_eq!(from_client(&mut end, "flags=S seq=100"), ["SA 7000 101 0"]);
    assert_eq!(from_client(&mut end, "flags=S seq=100"), ["SA 7000 101 0"]);
    assert!(from_client(&mut end, "flags=R seq=101").is_empty());
    assert_eq!((end.state(), end.remote()), (State::Listen, None));
    assert_eq!(from_client(&mut end, "flags=S seq=300"), ["SA 7000 301 0"]);
}

#[test]
fn the_users_words_stand_in_the_packets() {
    let mut end = client(
        "ip ttl=5 / tcp seq=41 window=1000 mss=900 ws=3 sackok ts=5:0",
        settings("hi"),
    );
    let syn = Out::of(&mut end).packets.remove(0);
    assert_eq!(syn[8], 5);
    heard(&syn, |arrived| {
        assert_eq!((arrived.segment.seq, arrived.segment.window), (41, 1000));
        assert_eq!(arrived.offers.mss, Some(900));
        assert_eq!(arrived.offers.window_scale, Some(3));
        assert!(arrived.offers.sack_permitted);
    });
    let out = gets(
        &mut end,
        "flags=SA seq=1 ack=42 window=100 mss=500 ws=2 ts=70:5",
        at(30),
    );
    // The ACK and the data echo the peer's timestamp, and count milliseconds.
    for packet in &out.packets {
        heard(packet, |arrived| {
            assert_eq!(arrived.offers.timestamps, Some((35, 70)))
        });
        assert_eq!(packet[8], 5);
    }
    for (words, wanted) in [
        ("udp dport=5", "not of udp"),
        ("tcp sqe=5", "did you mean seq"),
        ("ip ttl=5 / tcp / text=x", "not of"),
        ("ip dst=10.0.0.9", "HOST does"),
        ("tcp seq=1 tcp.srcport=9", "--sport does"),
        ("tcp window=1,2", "one SYN"),
    ] {
        let error = Template::read(words).unwrap_err().to_string();
        assert!(error.contains(wanted), "{words}: {error}");
    }
    assert!(Template::read("ip ttl=5 / tcp flags.ece=1 mss=5").is_ok());
}

#[test]
fn an_icmp_error_ends_it_only_when_it_is_final() {
    let mut end = client("", settings(""));
    end.unreachable(false);
    assert_eq!(end.ending(), None);
    end.unreachable(true);
    assert_eq!(end.ending(), Some(Ending::Unreachable));
}

proptest::proptest! {
    #[test]
    fn no_segment_makes_it_panic(
        segments in proptest::collection::vec(
            (0_u16..512, proptest::num::u32::ANY, proptest::num::u32::ANY, 0_u16..2000, 0_usize..40, 0..4),
            1..40,
        )
    ) {
        let mut end = client("tcp seq=4294967290", settings("hello, world"));
        Out::of(&mut end);
        for (n, (flags, seq, ack, window, len, near)) in segments.into_iter().enumerate() {
            // Three of four lie near the numbers that count.
            let (seq, ack) = match near {
                0 => (seq, ack),
                _ => (seq % 60, 4_294_967_280_u32.wrapping_add(ack % 40)),
            };
            let words = format!("flags={flags} seq={seq} ack={ack} window={window} mss=5 / zeros={len}");
            gets(&mut end, &words, at(n as i64));
            if let Some(due) = end.due().filter(|_| n % 3 == 0) {
                end.wakes(due);
            }
        }
    }
}

#[test]
fn what_is_said_later_goes_at_once_and_after_the_close_not_at_all() {
    let later = Settings {
        wait: 3600 * SECOND,
        ..settings("")
    };
    let mut end = open_client("", later);
    end.say(b"one", at(20));
    end.say(b"two", at(20));
    assert_eq!(
        Out::of(&mut end).spelled(),
        ["PA 1001 5001 3", "PA 1004 5001 3"]
    );
    // Silence does not close it.
    assert_eq!(end.due(), Some(at(1020)));
    gets(&mut end, "flags=A seq=5001 ack=1007 window=1000", at(40));
    end.close(at(50));
    assert_eq!(Out::of(&mut end).spelled(), ["FA 1007 5001 0"]);
    end.say(b"three", at(60));
    assert!(Out::of(&mut end).packets.is_empty());
}
