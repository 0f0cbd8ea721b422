//! Made-up events and the figures that they make, and the sentences that these bear out.
#![allow(clippy::unwrap_used)]

use std::{sync::Arc, time::Duration};

use etherparse::PacketBuilder;

use super::*;
use crate::{
    call::{Answer, Call, Called, Data},
    frame::{Direction, KernelChecksum},
    lab::{Event, Host, Transit},
    time::Time,
};

const EXCHANGE: Exchange = Exchange {
    payload: 100,
    count: 2,
};

fn at(ms: i64) -> Time {
    Time::from_nanos(ms * MILLISECOND)
}

/// A tally and the wire's count.
struct Seen {
    tally: Tally,
    number: u64,
}

impl Seen {
    fn new(kind: Kind) -> Self {
        Self {
            tally: Tally::new(kind, EXCHANGE),
            number: 0,
        }
    }

    /// A frame leaves; it arrives ten milliseconds later, or never.
    fn frame(&mut self, from: Host, ms: i64, bytes: Vec<u8>, is_lost: bool) {
        self.number += 1;
        self.tally.wire(&Event::Sent(Transit {
            number: self.number,
            time: at(ms),
            from,
            bytes: Arc::from(bytes),
            checksum: KernelChecksum::Unknown,
            dropped: is_lost.then(|| "loss".to_owned()),
            twice: false,
            held: None,
        }));
        if !is_lost {
            self.tally.wire(&Event::Delivered {
                number: self.number,
                time: at(ms + 10),
                to: from.other(),
                again: false,
            });
        }
    }

    /// A segment: flags, number, bytes of data.
    fn segment(&mut self, from: Host, ms: i64, flags: &str, seq: u32, len: usize, is_lost: bool) {
        let mut builder = PacketBuilder::ethernet2([2; 6], [4; 6])
            .ipv4([10, 0, 0, 1], [10, 0, 0, 2], 64)
            .tcp(41000, 5000, seq, 1000);
        for flag in flags.chars() {
            builder = match flag {
                'S' => builder.syn(),
                'F' => builder.fin(),
                _ => builder.ack(1),
            };
        }
        let mut bytes = Vec::new();
        builder.write(&mut bytes, &vec![b'x'; len]).unwrap();
        self.frame(from, ms, bytes, is_lost);
    }

    fn datagram(&mut self, from: Host, is_lost: bool) {
        let builder = PacketBuilder::ethernet2([2; 6], [4; 6])
            .ipv4([10, 0, 0, 1], [10, 0, 0, 2], 64)
            .udp(41000, 5000);
        let mut bytes = Vec::new();
        builder.write(&mut bytes, b"one").unwrap();
        self.frame(from, 0, bytes, is_lost);
    }

    fn read(&mut self, by: Host, words: &[&[u8]]) {
        for word in words {
            let bytes = word.to_vec();
            self.tally.report(Report::Read { by, bytes });
        }
    }

    fn said(&mut self, by: Host, number: u32, ms: i64) {
        let time = at(ms);
        self.tally.report(Report::Said { by, number, time });
    }

    fn got(&mut self, by: Host, number: u32, ms: i64) {
        let time = at(ms);
        self.tally.report(Report::Got { by, number, time });
    }

    fn called(&mut self, host: Host, call: Call, result: Result<Answer, i32>) {
        let took = 5;
        let called = Called { call, result, took };
        self.tally.report(Report::Called(host, called));
    }

    /// Message `number` goes and comes back.
    fn turn(&mut self, number: u32, ms: i64, took: i64) {
        self.said(Host::Client, number, ms);
        self.got(Host::Server, number, ms + took / 2);
        self.said(Host::Server, number, ms + took / 2);
        self.got(Host::Client, number, ms + took);
    }
}

#[test]
fn a_handshake_lasts_from_the_first_syn_to_the_arrival_of_its_answer() {
    let mut seen = Seen::new(Kind::Stream);
    // Numbers wrap, and the first SYN is lost.
    seen.segment(Host::Client, 0, "S", u32::MAX, 0, true);
    seen.segment(Host::Client, 1000, "S", u32::MAX, 0, false);
    seen.segment(Host::Server, 1010, "SA", 70, 0, false);
    let figures = seen.tally.figures();
    assert_eq!(figures.handshake_ms, Some(1020.0));
    assert_eq!((figures.sent_again.client, figures.lost.client), (1, 1));
    assert_eq!((figures.packets.client, figures.packets.server), (2, 1));
    assert_eq!(figures.bytes_on_wire, 3 * 54);
}

#[test]
fn only_numbers_that_were_sent_before_are_sent_again() {
    let mut seen = Seen::new(Kind::Raw);
    seen.segment(Host::Client, 0, "S", u32::MAX, 0, false);
    seen.segment(Host::Client, 20, "A", 0, 3, false);
    seen.segment(Host::Client, 20, "A", 3, 3, true);
    assert!(!seen.tally.burst_has_come());
    // A pure ACK has no number of its own; the repetition carries more than the first time.
    seen.segment(Host::Client, 30, "A", 6, 0, false);
    seen.segment(Host::Client, 40, "A", 3, 8, false);
    assert!(seen.tally.burst_has_come());
    seen.segment(Host::Client, 50, "FA", 11, 0, true);
    seen.segment(Host::Client, 60, "FA", 11, 0, false);
    seen.segment(Host::Server, 60, "A", 1, 100, false);
    let figures = seen.tally.figures();
    assert_eq!(
        (figures.sent_again.client, figures.sent_again.server),
        (2, 0)
    );
    assert_eq!(figures.burst.packets, 2);
}

#[test]
fn the_server_reads_when_the_fate_of_every_datagram_is_known() {
    let mut seen = Seen::new(Kind::Datagram);
    seen.datagram(Host::Client, false);
    seen.datagram(Host::Client, true);
    assert!(!seen.tally.burst_has_come());
    seen.datagram(Host::Client, false);
    assert!(seen.tally.burst_has_come());
    assert_eq!(seen.tally.burst_arriving(), 2);
    seen.datagram(Host::Client, false);
    assert_eq!(seen.tally.figures().burst.packets, 3);
}

#[test]
fn datagrams_keep_their_boundaries_and_a_stream_does_not() {
    let mut stream = Seen::new(Kind::Stream);
    stream.tally.report(Report::Burst(Host::Client, 3));
    stream.read(Host::Server, &[b"onetw"]);
    assert_eq!(stream.tally.figures().messages.arrived, 1);

    let mut stream = Seen::new(Kind::Stream);
    stream.tally.report(Report::Burst(Host::Client, 3));
    stream.read(Host::Server, &[b"one", b"twothree"]);
    let figures = stream.tally.figures();
    assert_eq!(figures.boundaries_kept, Some(false));
    assert_eq!(figures.burst.receives, [3, 8]);
    assert_eq!((figures.messages.sent, figures.messages.arrived), (3, 3));

    let mut datagrams = Seen::new(Kind::Datagram);
    datagrams.tally.report(Report::Burst(Host::Client, 3));
    // The second was lost.
    datagrams.read(Host::Server, &[b"one", b"three"]);
    let figures = datagrams.tally.figures();
    assert_eq!(figures.boundaries_kept, Some(true));
    assert_eq!(
        (figures.messages.arrived, figures.messages.in_order),
        (2, 2)
    );

    let mut disordered = Seen::new(Kind::Datagram);
    disordered.read(Host::Server, &[b"two", b"one", b"three"]);
    assert_eq!(disordered.tally.figures().messages.in_order, 2);
    assert_eq!(Seen::new(Kind::Raw).tally.figures().boundaries_kept, None);
}

#[test]
fn messages_are_counted_by_their_numbers() {
    let mut seen = Seen::new(Kind::Datagram);
    seen.turn(1, 0, 20);
    for number in [3, 2, 2] {
        seen.said(Host::Client, number, 100);
        seen.got(Host::Server, number, 110);
    }
    let figures = seen.tally.figures();
    let Course {
        sent,
        arrived,
        in_order,
        again,
    } = figures.messages;
    assert_eq!((sent, arrived, in_order, again), (4, 3, 2, 1));
    assert_eq!((figures.answers.sent, figures.answers.arrived), (1, 1));
    assert_eq!(figures.bytes_received, 500);
}

#[test]
fn round_trips_are_spread_and_the_total_is_the_clients() {
    let mut seen = Seen::new(Kind::Stream);
    seen.tally.report(Report::Began(at(0)));
    for (number, took) in [(1, 40), (2, 20), (3, 30), (4, 100)] {
        seen.turn(number, 0, took);
    }
    seen.tally.report(Report::Ended(at(250)));
    let figures = seen.tally.figures();
    let Spread { min, median, max } = figures.round_trip_ms.unwrap();
    assert_eq!((min, median, max), (20.0, 35.0, 100.0));
    assert_eq!(figures.total_ms, Some(250.0));
    assert_eq!(figures.overhead_percent, Some(-100.0));
    let nothing = Tally::new(Kind::Stream, EXCHANGE).figures();
    assert_eq!(
        (nothing.round_trip_ms, nothing.overhead_percent),
        (None, None)
    );
}

#[test]
fn calls_are_counted_by_name_and_time_outs_among_them() {
    let mut seen = Seen::new(Kind::Datagram);
    let recv = || Call::RecvFrom { fd: 3, size: 10 };
    seen.called(Host::Client, recv(), Err(libc::EAGAIN));
    seen.called(Host::Client, recv(), Ok(Answer::Data(Data::of(b"x"))));
    seen.called(Host::Server, Call::Close { fd: 3 }, Ok(Answer::Done));
    seen.tally.report(Report::ByHand(Direction::Out));
    let figures = seen.tally.figures();
    assert_eq!(figures.calls.client["recvfrom"], 2);
    assert_eq!(figures.calls.server["close"], 1);
    assert_eq!(figures.timeouts, 1);
    assert_eq!(figures.by_hand.map(|by_hand| by_hand.sent), Some(1));
}

#[test]
fn what_ended_early_says_why_once() {
    let mut seen = Seen::new(Kind::Stream);
    let failed = Report::Failed(Host::Client, "no way".to_owned());
    seen.tally.report(failed);
    seen.tally.stopped("later".to_owned());
    let figures = seen.tally.figures();
    assert_eq!(figures.ended.as_deref(), Some("the client failed: no way"));
    assert!(sentences(&[figures]).is_empty());
}

/// A whole exchange of a kind.
fn whole(kind: Kind) -> Seen {
    let mut seen = Seen::new(kind);
    for host in Host::BOTH {
        seen.tally.report(Report::Burst(host, 3));
        match kind {
            Kind::Datagram => seen.read(host, &BURST),
            Kind::Stream | Kind::Raw => seen.read(host, &[b"onetwothree"]),
        }
    }
    seen.turn(1, 0, 20);
    seen
}

#[test]
fn without_loss_the_sentences_speak_of_none() {
    let all = Kind::ALL.map(|kind| whole(kind).tally.figures());
    let [_, loss, boundaries] = &sentences(&all)[..] else {
        panic!("three sentences");
    };
    assert!(
        loss.starts_with("The wire lost nothing: every message"),
        "{loss}"
    );
    assert!(
        boundaries.contains("over the stream one receive returned 11 bytes")
            && boundaries.contains("as datagrams 3 receives returned 3, 3, 5 bytes"),
        "{boundaries}"
    );
}

#[test]
fn with_loss_the_sentences_say_who_repaired_it() {
    let mut all = Kind::ALL.map(whole);
    all[0].segment(Host::Client, 0, "A", 5, 10, true);
    all[0].segment(Host::Client, 9, "A", 5, 10, false);
    all[1].datagram(Host::Client, true);
    all[1].said(Host::Client, 2, 50);
    all[2].segment(Host::Client, 0, "A", 5, 10, true);
    all[2].segment(Host::Client, 9, "A", 5, 10, false);
    let all = all.map(|seen| seen.tally.figures());
    let loss = sentences(&all)[1].clone();
    for part in [
        "Of the stream the wire lost 1 packet, the kernels sent 1 again and everything arrived;",
        "of the datagrams the wire lost 1 packet, nobody sent anything again and 1 of 9 messages and answers never arrived;",
        "the program sent 1 again and everything arrived.",
    ] {
        assert!(loss.contains(part), "{loss}");
    }
    assert!(
        built(&all[2])
            .iter()
            .any(|item| item.contains("1 packet sent again"))
    );
    assert!(built(&all[0]).is_empty());
}

#[test]
fn a_kind_that_lost_nothing_is_said_to_have_lost_nothing() {
    let mut all = Kind::ALL.map(whole);
    all[1].datagram(Host::Client, true);
    let all = all.map(|seen| seen.tally.figures());
    let loss = sentences(&all)[1].clone();
    for part in [
        "Of the stream the wire lost nothing, nobody sent anything again and everything arrived;",
        "of the packets by hand the wire lost nothing, nobody sent anything again and everything arrived.",
    ] {
        assert!(loss.contains(part), "{loss}");
    }
}

#[test]
fn the_time_allowed_grows_with_loss_and_stays_bounded() {
    let of = |count, payload, loss| {
        let link = Link {
            loss,
            ..Link::default()
        };
        limit(Exchange { payload, count }, &link)
    };
    assert!(of(10, 100, 0.0) >= Duration::from_secs(20));
    assert!(of(10, 100, 0.1) > of(10, 100, 0.0));
    assert!(of(1, 1, 1.0) < Duration::from_secs(60));
    assert_eq!(of(1000, 65507, 1.0), Duration::from_secs(600));
}
