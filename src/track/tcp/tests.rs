//! Verdicts on made-up segments, where each rule and each precedence can be seen.
#![allow(clippy::unwrap_used)]

use super::{
    Analysis, Verdict,
    unacked::Pool,
    verdict::{Half, Pair, Seen},
};
use crate::{
    proto::tcp::{Segment, flag},
    time::{MILLISECOND, Time},
};

/// Two ends. A line is `A 5 10+3 ack=7 win=0 S`: who sends, milliseconds, sequence number and length, and what differs from
/// `ack=1 win=100`.
#[derive(Default)]
struct Wire {
    halves: [Half; 2],
    pool: Pool,
    first_rtt: Option<i64>,
    frame: u64,
}

impl Wire {
    fn sends(&mut self, line: &str) -> Analysis {
        let words: Vec<&str> = line.split(' ').collect();
        let (seq, len) = words[2].split_once('+').unwrap();
        let number = |name: &str, plain: u32| {
            let value = words.iter().find_map(|word| word.strip_prefix(name));
            value.map_or(plain, |value| value.parse().unwrap())
        };
        let mut flags = flag::ACK;
        for (letter, bit) in [
            ("S", flag::SYN),
            ("F", flag::FIN),
            ("R", flag::RST),
            ("P", flag::PSH),
        ] {
            if words[3..].contains(&letter) {
                flags |= bit;
            }
        }
        let segment = Segment {
            ports: (1, 2),
            seq: seq.parse().unwrap(),
            ack: number("ack=", 1),
            flags,
            window: number("win=", 100) as u16,
            len: len.parse().unwrap(),
            partial: false,
        };
        self.frame += 1;
        let [a, b] = &mut self.halves;
        let (me, other) = if words[0] == "A" { (a, b) } else { (b, a) };
        let pair = Pair {
            me,
            other,
            pool: &mut self.pool,
            first_rtt: self.first_rtt,
            other_shift: Some(0),
        };
        pair.judge(&Seen {
            segment: &segment,
            frame: self.frame,
            time: Time::from_nanos(words[1].parse::<i64>().unwrap() * MILLISECOND),
            sacked: 0,
        })
    }

    /// What is said of the last line.
    fn last(script: &str) -> Analysis {
        let mut wire = Self::default();
        script
            .split(", ")
            .map(|line| wire.sends(line))
            .last()
            .unwrap()
    }
}

/// The last line of each script has these verdicts, and no others.
fn judged(cases: &[(&str, &[Verdict])]) {
    const ALL: [Verdict; 14] = [
        Verdict::Retransmission,
        Verdict::FastRetransmission,
        Verdict::SpuriousRetransmission,
        Verdict::OutOfOrder,
        Verdict::LostSegment,
        Verdict::AckLostSegment,
        Verdict::DuplicateAck,
        Verdict::KeepAlive,
        Verdict::KeepAliveAck,
        Verdict::ZeroWindow,
        Verdict::ZeroWindowProbe,
        Verdict::ZeroWindowProbeAck,
        Verdict::WindowFull,
        Verdict::WindowUpdate,
    ];
    for (script, wanted) in cases {
        let found = Wire::last(script).verdicts;
        let found: Vec<Verdict> = ALL
            .into_iter()
            .filter(|verdict| found.has(*verdict))
            .collect();
        assert_eq!(&found, wanted, "{script}");
    }
}

#[test]
fn what_is_sent_again_is_told_apart() {
    use Verdict::*;
    judged(&[
        ("A 0 1+10, A 300 1+10", &[Retransmission]),
        (
            "A 0 1+10, B 5 1+0 ack=11, A 300 1+10",
            &[Retransmission, SpuriousRetransmission],
        ),
        // Overtaken: it comes soon after the newest one, and ends elsewhere.
        ("A 0 1+10, A 1 21+10, A 2 11+10", &[OutOfOrder]),
        ("A 0 1+10, A 1 21+10, A 90 11+10", &[Retransmission]),
        (
            "A 0 1+10, A 1 21+10, B 2 1+0 ack=11, B 3 1+0 ack=11, B 4 1+0 ack=11, A 10 11+10",
            &[Retransmission, FastRetransmission],
        ),
        ("A 0 1+10, A 1 31+10", &[LostSegment]),
        ("A 0 1+0 S, A 1000 1+0 S", &[Retransmission]),
    ]);
}

#[test]
fn windows_and_keep_alives_have_their_verdicts() {
    use Verdict::*;
    judged(&[
        ("B 0 1+0 win=0", &[ZeroWindow]),
        (
            "A 0 1+10, B 1 1+0 ack=11 win=0, A 200 11+1",
            &[ZeroWindowProbe],
        ),
        (
            "B 0 1+1, A 0 1+10, B 1 2+0 ack=11 win=0, A 200 11+1, B 201 2+0 ack=11 win=0",
            &[ZeroWindow, ZeroWindowProbeAck],
        ),
        ("B 0 1+1 ack=1 win=10, A 1 1+10", &[WindowFull]),
        ("B 0 1+1, B 1 2+0 win=200", &[WindowUpdate]),
        ("A 0 1+10, A 9000 10+1", &[KeepAlive]),
        (
            "B 0 1+1 ack=11, A 0 1+10, A 9000 10+0, B 9001 2+0 ack=11",
            &[KeepAliveAck],
        ),
    ]);
}

#[test]
fn duplicate_acks_are_counted_and_unseen_segments_told_of_once() {
    let dup = Wire::last("B 0 1+1 ack=11, B 1 2+0 ack=11, B 2 2+0 ack=11");
    assert_eq!(dup.duplicate, Some((2, 1)));
    judged(&[
        ("A 0 1+10, B 1 1+0 ack=99", &[Verdict::AckLostSegment]),
        ("A 0 1+10, B 1 1+0 ack=99, B 2 1+5 ack=199", &[]),
    ]);
}

#[test]
fn an_ack_gives_the_round_trip_and_what_stays_in_flight() {
    let ack = Wire::last("A 0 1+10, A 3 11+10, B 20 1+0 ack=21");
    assert_eq!(ack.acks, Some((2, 17 * MILLISECOND)));
    assert_eq!(ack.estimate.unwrap().srtt, 17 * MILLISECOND);
    // After a repetition nobody knows which copy is acknowledged (Karn).
    let karn = Wire::last("A 0 1+10, A 300 1+10, B 320 1+0 ack=11");
    assert!(karn.acks.is_some() && karn.estimate.is_none());
    let flight = Wire::last("A 0 1+10, A 1 11+10, B 2 1+0 ack=6, A 3 21+10 P");
    assert_eq!((flight.in_flight, flight.pushed), (Some(25), Some(30)));
}
