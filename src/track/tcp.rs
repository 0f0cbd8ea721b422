//! TCP connections: their numbers, sequence numbers counted from zero, and windows as scaled in the handshake.
//!
//! The rules are Wireshark's, so that numbers agree: a SYN with another first sequence number on a known socket pair
//! begins a new stream; where no SYN was seen, counting starts at 1.

use super::flow::{FlowKey, Flows, Stage, Transport};
use crate::{
    field::{Field, Value},
    layer::View,
    proto::tcp::{self, Offers, Segment, flag},
};

/// Window shifts above this are cut to it (RFC 7323 §2.3).
const MAX_SHIFT: u8 = 14;

/// What is known of one connection.
#[derive(Clone, Copy, Debug)]
pub(super) struct Connection {
    stream: u32,
    /// The end with the lower socket, and the other.
    ends: [End; 2],
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
}

impl Connections {
    pub(super) fn new(capacity: usize) -> Self {
        Self {
            flows: Flows::new(capacity),
            streams: 0,
        }
    }

    pub(super) fn flows(&self) -> &Flows<Connection> {
        &self.flows
    }

    /// Tells what this segment means in its connection, by `fact`.
    pub(super) fn segment(
        &mut self,
        view: &View<'_>,
        mut fact: impl FnMut(&'static Field, Value<'static>),
    ) {
        let (Some(addresses), Some(segment)) = (view.addresses(), Segment::of(view)) else {
            // Most ICMP errors quote just the ports and the sequence number.
            if let Some(seq) = view.u32(4).filter(|_| view.layer.quoted) {
                fact(&tcp::SEQ, Value::Uint(seq.into()));
            }
            return;
        };
        let (key, forward) = FlowKey::new(Transport::Tcp, addresses, segment.ports);
        let opens = segment.flags & (flag::SYN | flag::ACK) == flag::SYN;
        let streams = &mut self.streams;
        let connection = self.flows.touch(key, || {
            let stage = if opens { Stage::HalfOpen } else { Stage::Open };
            (Connection::new(streams), stage)
        });
        let partial = segment.partial;
        let (me, other) = if forward { (0, 1) } else { (1, 0) };
        let syn = segment.has(flag::SYN);
        if !partial {
            if opens && connection.ends[me].base.is_some_and(|b| b != segment.seq) {
                *connection = Connection::new(streams);
            }
            connection.learn(&segment, me, other);
            if syn {
                connection.learn_scale(view, &segment, me, other);
            }
        }
        let connection = *connection;
        if segment.flags & (flag::SYN | flag::ACK | flag::RST) == flag::ACK {
            self.flows.set_stage(key, Stage::Open);
        }

        let uint = |n: u32| Value::Uint(n.into());
        fact(&tcp::STREAM, uint(connection.stream));
        let scale = connection.ends[me].scale;
        if partial {
            fact(&tcp::SEQ, uint(segment.seq));
            fact(&tcp::ACK, uint(segment.ack));
        } else {
            let seq_base = connection.ends[me].base.unwrap_or(0);
            let ack_base = match connection.ends[other].base {
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
    }
}

impl Connection {
    fn new(streams: &mut u32) -> Self {
        let stream = *streams;
        *streams = streams.wrapping_add(1);
        Self {
            stream,
            ends: [End::default(); 2],
        }
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
