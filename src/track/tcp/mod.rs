//! TCP connections: their numbers, sequence numbers counted from zero, and windows as scaled in the handshake.
//!
//! The rules are Wireshark's, so that numbers agree: a SYN with another first sequence number on a known socket pair
//! begins a new stream; where no SYN was seen, counting starts at 1.

mod rto;
mod standing;
mod unacked;
mod verdict;

#[cfg(test)]
mod tests;

use std::num::NonZeroU32;

use super::flow::{FlowKey, Flows, Stage, Transport};
use crate::{
    field::{Field, Value},
    layer::View,
    proto::tcp::{self, Offers, Segment, flag},
    time::Time,
};

pub use rto::Estimate;
use standing::Standing;
pub use verdict::{Analysis, Verdict, Verdicts};
use verdict::{Half, Pair, Seen};

/// Window shifts above this are cut to it (RFC 7323 §2.3).
const MAX_SHIFT: u8 = 14;

/// What a connection has shown so far: the bits of `tcp.completeness`.
mod shown {
    pub(super) const SYN: u8 = 1;
    pub(super) const SYN_ACK: u8 = 2;
    pub(super) const ACK: u8 = 4;
    pub(super) const DATA: u8 = 8;
    pub(super) const FIN: u8 = 16;
    pub(super) const RST: u8 = 32;
}

/// The fields that say so, where a verdict applies.
pub(in crate::track) const VERDICTS: [(Verdict, &Field); 14] = [
    (Verdict::Retransmission, &tcp::A_RETRANSMISSION),
    (Verdict::FastRetransmission, &tcp::A_FAST_RETRANSMISSION),
    (
        Verdict::SpuriousRetransmission,
        &tcp::A_SPURIOUS_RETRANSMISSION,
    ),
    (Verdict::OutOfOrder, &tcp::A_OUT_OF_ORDER),
    (Verdict::LostSegment, &tcp::A_LOST_SEGMENT),
    (Verdict::AckLostSegment, &tcp::A_ACK_LOST_SEGMENT),
    (Verdict::DuplicateAck, &tcp::A_DUPLICATE_ACK),
    (Verdict::KeepAlive, &tcp::A_KEEP_ALIVE),
    (Verdict::KeepAliveAck, &tcp::A_KEEP_ALIVE_ACK),
    (Verdict::ZeroWindow, &tcp::A_ZERO_WINDOW),
    (Verdict::ZeroWindowProbe, &tcp::A_ZERO_WINDOW_PROBE),
    (Verdict::ZeroWindowProbeAck, &tcp::A_ZERO_WINDOW_PROBE_ACK),
    (Verdict::WindowFull, &tcp::A_WINDOW_FULL),
    (Verdict::WindowUpdate, &tcp::A_WINDOW_UPDATE),
];

/// A SYN without data: of it there is nothing to judge.
#[derive(Clone, Copy, Debug)]
struct Opening {
    segment: Segment,
    me: u8,
    frame: u64,
}

/// What verdicts and states are drawn from.
#[derive(Clone, Copy, Debug)]
struct Whole {
    halves: [Half; 2],
    standing: Standing,
}

impl Whole {
    fn forget(&mut self, pool: &mut unacked::Pool) {
        self.halves.iter_mut().for_each(|half| half.forget(pool));
    }

    /// Both sides as end `me` sends; `shifts` are those of both ends' windows.
    fn pair<'a>(
        &'a mut self,
        me: usize,
        pool: &'a mut unacked::Pool,
        first_rtt: Option<i64>,
        shifts: [Option<u8>; 2],
    ) -> Pair<'a> {
        let [low, high] = &mut self.halves;
        let (mine, other) = if me == 0 { (low, high) } else { (high, low) };
        Pair {
            me: mine,
            other,
            pool,
            first_rtt,
            other_shift: shifts[1 - me],
        }
    }
}

/// A segment in its connection, for those who read what the connection carries.
#[derive(Clone, Copy, Debug)]
pub(super) struct Turn {
    pub(super) segment: Segment,
    /// The number of the connection.
    pub(super) stream: u32,
    /// Which of the two ends sends.
    pub(super) me: usize,
    /// Bytes that should have come before this one, the first of the connection that has data.
    pub(super) skipped: u32,
    /// What [`Connections::set_talk`] was told.
    pub(super) talk: Option<NonZeroU32>,
}

/// What is known of one connection.
#[derive(Clone, Debug)]
pub(super) struct Connection {
    stream: u32,
    /// Where those keep what they know who read what it carries.
    talk: Option<NonZeroU32>,
    /// The end with the lower socket, and the other.
    ends: [End; 2],
    /// A lone SYN, kept small: most flows of a flood are no more than that.
    opening: Option<Opening>,
    /// What takes more than a SYN to know.
    whole: Option<Box<Whole>>,
    /// Its first and its last segment.
    first: Time,
    last: Time,
    /// The most recent SYN, and the round trip of the handshake in nanoseconds.
    syn: Option<Time>,
    first_rtt: Option<i64>,
    /// See [`shown`].
    shown: u8,
    /// Which end sent the first FIN.
    closed_first: Option<u8>,
}

/// What is known of one end.
#[derive(Clone, Copy, Debug, Default)]
struct End {
    /// The sequence number that counts as 0.
    base: Option<u32>,
    scale: Scale,
}

/// How the windows that an end announces are scaled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Scale {
    /// The handshake was not seen.
    #[default]
    Unknown,
    /// The handshake left scaling out.
    Unused,
    /// Shift by so many bits.
    Shift(u8),
}

/// Numbers connections.
#[derive(Debug, Default)]
pub(super) struct Connections {
    flows: Flows<Connection>,
    streams: u32,
    pool: unacked::Pool,
}

impl Connections {
    pub(super) fn new(capacity: usize) -> Self {
        Self {
            flows: Flows::new(capacity),
            streams: 0,
            pool: unacked::Pool::default(),
        }
    }

    pub(super) fn flows(&self) -> &Flows<Connection> {
        &self.flows
    }

    /// Notes where those keep what they know who read what the connection of this segment carries.
    pub(super) fn set_talk(&mut self, view: &View<'_>, talk: NonZeroU32) {
        if let (Some(addresses), Some(segment)) = (view.addresses(), Segment::of(view)) {
            let (key, _) = FlowKey::new(Transport::Tcp, addresses, segment.ports);
            if let Some(connection) = self.flows.get_mut(&key) {
                connection.talk = Some(talk);
            }
        }
    }

    /// Tells what this segment means in its connection, by `fact`. Returns it where it has data, all of them its own.
    pub(super) fn segment(
        &mut self,
        view: &View<'_>,
        mut fact: impl FnMut(&'static Field, Value<'static>),
    ) -> Option<Turn> {
        let (Some(addresses), Some(segment)) = (view.addresses(), Segment::of(view)) else {
            // Most ICMP errors quote just the ports and the sequence number.
            if let Some(seq) = view.u32(4).filter(|_| view.layer.quoted) {
                fact(&tcp::SEQ, Value::Uint(seq.into()));
            }
            return None;
        };
        let (key, forward) = FlowKey::new(Transport::Tcp, addresses, segment.ports);
        let opens = segment.flags & (flag::SYN | flag::ACK) == flag::SYN;
        let (streams, pool) = (&mut self.streams, &mut self.pool);
        let now = view.packet.frame.time;
        // A new connection takes the place of an old one where there is no room: its segments go too.
        if let Some(place) = self.flows.next_to_go()
            && self.flows.place(&key).is_none()
            && let Some((_, old)) = self.flows.at(place)
            && let Some(whole) = &mut old.whole
        {
            whole.forget(pool);
        }
        let connection = self.flows.touch(key, || {
            let stage = if opens { Stage::HalfOpen } else { Stage::Open };
            (Connection::new(streams, now), stage)
        });
        let partial = segment.partial;
        let mut skipped = 0;
        let (me, other) = if forward { (0, 1) } else { (1, 0) };
        let syn = segment.has(flag::SYN);
        if !partial {
            if opens && connection.ends[me].base.is_some_and(|b| b != segment.seq) {
                if let Some(whole) = &mut connection.whole {
                    whole.forget(pool);
                }
                *connection = Connection::new(streams, now);
                fact(&tcp::A_REUSED_PORTS, Value::Mark);
            }
            connection.learn(&segment, me, other);
            if syn {
                connection.learn_scale(view, &segment, me, other);
            }
            skipped = connection.skipped(&segment, me);
            connection.show(&segment, me, now, &mut fact);
            let seen = Seen {
                segment: &segment,
                frame: view.packet.frame.number,
                time: now,
                sacked: Offers::of(view).sacked,
            };
            let found = connection.understand(&seen, me, pool, &mut fact);
            say(&found, connection.first_rtt, &mut fact);
        }
        fact(
            &tcp::TIME_RELATIVE,
            Value::Duration(now.since(connection.first)),
        );
        fact(
            &tcp::TIME_DELTA,
            Value::Duration(now.since(connection.last)),
        );
        connection.last = now;
        let (stream, ends) = (connection.stream, connection.ends);
        let turn = Turn {
            segment,
            stream,
            me,
            skipped,
            talk: connection.talk,
        };
        if segment.flags & (flag::SYN | flag::ACK | flag::RST) == flag::ACK {
            self.flows.set_stage(key, Stage::Open);
        }

        let uint = |n: u32| Value::Uint(n.into());
        fact(&tcp::STREAM, uint(stream));
        let scale = ends[me].scale;
        if partial {
            fact(&tcp::SEQ, uint(segment.seq));
            fact(&tcp::ACK, uint(segment.ack));
        } else {
            let seq_base = ends[me].base.unwrap_or(0);
            let ack_base = match ends[other].base {
                Some(base) if segment.has(flag::ACK) => base,
                _ => 0,
            };
            fact(&tcp::SEQ, uint(segment.seq.wrapping_sub(seq_base)));
            fact(
                &tcp::NXTSEQ,
                uint(segment.next_seq().wrapping_sub(seq_base)),
            );
            fact(&tcp::ACK, uint(segment.ack.wrapping_sub(ack_base)));
        }
        let shift = match scale {
            Scale::Shift(shift) if !syn && !partial => shift,
            _ => 0,
        };
        fact(&tcp::WINDOW_SIZE, uint(u32::from(segment.window) << shift));
        if !syn {
            let factor = match scale {
                Scale::Unknown => -1,
                Scale::Unused => -2,
                Scale::Shift(shift) => 1 << shift,
            };
            fact(&tcp::WINDOW_SIZE_SCALEFACTOR, Value::Int(factor));
        }
        (!partial && segment.len > 0).then_some(turn)
    }
}

impl Connection {
    fn new(streams: &mut u32, now: Time) -> Self {
        let stream = *streams;
        *streams = streams.wrapping_add(1);
        Self {
            stream,
            talk: None,
            ends: [End::default(); 2],
            opening: None,
            whole: None,
            first: now,
            last: now,
            syn: None,
            first_rtt: None,
            shown: 0,
            closed_first: None,
        }
    }

    /// Bytes that should have come before those of `segment`, where they are the first after the SYN.
    fn skipped(&self, segment: &Segment, me: usize) -> u32 {
        match self.ends[me].base {
            Some(base) if self.shown & (shown::SYN | shown::DATA) == shown::SYN => {
                segment.seq.wrapping_sub(base).saturating_sub(1)
            }
            _ => 0,
        }
    }

    /// How far the connection has come, and its times.
    fn show(
        &mut self,
        segment: &Segment,
        me: usize,
        now: Time,
        fact: &mut impl FnMut(&'static Field, Value<'static>),
    ) {
        let mut mark = |field| fact(field, Value::Mark);
        let [syn, ack, fin, rst] =
            [flag::SYN, flag::ACK, flag::FIN, flag::RST].map(|flag| segment.has(flag));
        if syn {
            if !ack {
                self.syn = Some(now);
            }
            self.shown |= if ack { shown::SYN_ACK } else { shown::SYN };
            mark(if ack {
                &tcp::CONNECTION_SYNACK
            } else {
                &tcp::CONNECTION_SYN
            });
        }
        if fin {
            self.shown |= shown::FIN;
            let first = *self.closed_first.get_or_insert(me as u8);
            mark(&tcp::CONNECTION_FIN);
            let active = usize::from(first) == me;
            mark(if active {
                &tcp::CONNECTION_FIN_ACTIVE
            } else {
                &tcp::CONNECTION_FIN_PASSIVE
            });
        }
        if rst {
            self.shown |= shown::RST;
            mark(&tcp::CONNECTION_RST);
        }
        if segment.len > 0 {
            self.shown |= shown::DATA;
        }
        if ack && !syn {
            let both = shown::SYN | shown::SYN_ACK;
            if !rst && self.shown & both == both {
                self.shown |= shown::ACK;
            }
            if let Some(syn) = self.syn {
                self.first_rtt.get_or_insert_with(|| now.since(syn));
            }
        }
        fact(&tcp::COMPLETENESS, Value::Uint(self.shown.into()));
    }

    /// The states of both ends after this segment, whether it was expected, and the verdicts on it.
    fn understand(
        &mut self,
        seen: &Seen<'_>,
        me: usize,
        pool: &mut unacked::Pool,
        fact: &mut impl FnMut(&'static Field, Value<'static>),
    ) -> Analysis {
        let segment = seen.segment;
        let shifts = self.ends.map(|end| match end.scale {
            Scale::Unknown => None,
            Scale::Unused => Some(0),
            Scale::Shift(shift) => Some(shift),
        });
        let mut states = |(standing, why): (Standing, Option<&'static str>)| {
            let (client, server) = standing.states();
            let mut text = |field, text: &'static str| fact(field, Value::Text(text.as_bytes()));
            text(&tcp::CLIENT_STATE, client.name());
            text(&tcp::SERVER_STATE, server.name());
            if let Some(why) = why {
                text(&tcp::UNEXPECTED, why);
            }
        };
        let opens = segment.flags & (flag::SYN | flag::ACK) == flag::SYN && segment.len == 0;
        if self.whole.is_none() && self.opening.is_none() && opens {
            self.opening = Some(Opening {
                segment: *segment,
                me: me as u8,
                frame: seen.frame,
            });
            let mut standing = Standing::before(segment, me);
            let why = standing.take(segment, me);
            states((standing, why));
            return Analysis::default();
        }
        let (opening, first, first_rtt) = (self.opening.take(), self.first, self.first_rtt);
        let whole = self.whole.get_or_insert_with(|| {
            let mut whole = Whole {
                halves: Default::default(),
                standing: Standing::before(segment, me),
            };
            if let Some(Opening { segment, me, frame }) = opening {
                let (segment, me) = (&segment, usize::from(me));
                let seen = Seen {
                    segment,
                    frame,
                    time: first,
                    sacked: 0,
                };
                whole.standing = Standing::before(segment, me);
                whole.standing.take(segment, me);
                whole.pair(me, pool, first_rtt, shifts).judge(&seen);
            }
            Box::new(whole)
        });
        let why = whole.standing.take(segment, me);
        states((whole.standing, why));
        whole.pair(me, pool, first_rtt, shifts).judge(seen)
    }

    /// Finds the numbers that count as 0.
    fn learn(&mut self, segment: &Segment, me: usize, other: usize) {
        let syn = segment.has(flag::SYN);
        let first = if syn {
            segment.seq
        } else {
            segment.seq.wrapping_sub(1)
        };
        if syn && segment.has(flag::ACK) {
            // A SYN,ACK with another number begins anew within the stream.
            self.ends[me].base = Some(first);
        }
        self.ends[me].base.get_or_insert(first);
        if segment.has(flag::ACK) {
            let ack = segment.ack;
            self.ends[other]
                .base
                .get_or_insert_with(|| ack.wrapping_sub(1));
        }
    }

    /// Takes the window scale that a SYN offers. Only where both SYNs have one, it is used (RFC 7323 §2.2).
    fn learn_scale(&mut self, view: &View<'_>, segment: &Segment, me: usize, other: usize) {
        if let Some(shift) = Offers::of(view).window_scale {
            self.ends[me].scale = Scale::Shift(shift.min(MAX_SHIFT));
        } else if view.layer.problem.is_some() {
            // The option may be among those that were cut off.
            return;
        }
        if self.ends[me].scale == Scale::Unknown {
            self.ends[me].scale = Scale::Unused;
            self.ends[other].scale = Scale::Unused;
        } else if segment.has(flag::ACK) && self.ends[other].scale == Scale::Unused {
            self.ends[me].scale = Scale::Unused;
        }
    }
}

/// Writes an analysis as facts.
fn say(
    found: &Analysis,
    first_rtt: Option<i64>,
    fact: &mut impl FnMut(&'static Field, Value<'static>),
) {
    if let Some(rtt) = first_rtt.filter(|_| *found != Analysis::default()) {
        fact(&tcp::A_INITIAL_RTT, Value::Duration(rtt));
    }
    if !found.verdicts.is_empty() {
        fact(&tcp::A_FLAGS, Value::Mark);
    }
    for (verdict, field) in VERDICTS {
        if found.verdicts.has(verdict) {
            fact(field, Value::Mark);
        }
    }
    let mut uint = |field, n: u64| fact(field, Value::Uint(n));
    if let Some((number, frame)) = found.duplicate {
        uint(&tcp::A_DUPLICATE_ACK_NUM, number.into());
        uint(&tcp::A_DUPLICATE_ACK_FRAME, frame);
    }
    for (field, bytes) in [
        (&tcp::A_BYTES_IN_FLIGHT, found.in_flight),
        (&tcp::A_PUSH_BYTES_SENT, found.pushed),
    ] {
        if let Some(bytes) = bytes {
            uint(field, bytes.into());
        }
    }
    if let Some((frame, rtt)) = found.acks {
        fact(&tcp::A_ACKS_FRAME, Value::Uint(frame));
        if rtt != 0 {
            fact(&tcp::A_ACK_RTT, Value::Duration(rtt));
        }
    }
    if let Some((nanos, frame)) = found.timeout.filter(|(nanos, _)| *nanos != 0) {
        fact(&tcp::A_RTO, Value::Duration(nanos));
        fact(&tcp::A_RTO_FRAME, Value::Uint(frame));
    }
    if let Some(estimate) = found.estimate {
        fact(&tcp::SRTT, Value::Duration(estimate.srtt));
        fact(&tcp::RTTVAR, Value::Duration(estimate.rttvar));
        fact(&tcp::RTO, Value::Duration(estimate.rto));
    }
}
