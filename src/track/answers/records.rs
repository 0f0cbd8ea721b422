//! The records that evidence is made of: what is kept of each packet, by kind.

use std::net::{IpAddr, SocketAddr};

use crate::{
    proto::tcp::{Offers, flag},
    time::Time,
    track::{
        state::{self, End, State},
        story::{Number, Side},
        stream,
        tcp::{Estimate, Verdict, Verdicts},
    },
};

/// One TCP connection.
#[derive(Debug)]
pub(in crate::track) struct Connection {
    pub(in crate::track) stream: u32,
    /// Client and server.
    pub(in crate::track) ends: [SocketAddr; 2],
    pub(in crate::track) segments: Vec<Segment>,
    /// What the SYN of each end offered.
    pub(super) offers: [Option<Offer>; 2],
}

/// A SYN, and what it offers.
#[derive(Clone, Copy, Debug)]
pub(super) struct Offer {
    pub(super) number: u64,
    pub(super) time: Time,
    pub(super) offers: Offers,
    pub(super) ttl: u8,
}

/// A TCP segment.
#[derive(Clone, Copy, Debug)]
pub(in crate::track) struct Segment {
    pub(in crate::track) number: u64,
    pub(in crate::track) time: Time,
    pub(in crate::track) from: Side,
    pub(super) flags: u16,
    pub(in crate::track) seq: Number,
    /// Zero without the ACK flag.
    pub(in crate::track) ack: Number,
    pub(in crate::track) len: u32,
    /// As on the wire, and in bytes.
    pub(super) window_raw: u16,
    pub(super) window: u32,
    pub(in crate::track) verdicts: Verdicts,
    /// The packet that it acknowledges, and nanoseconds since that.
    pub(super) acks: Option<(u64, i64)>,
    /// Of the side that gets this ACK.
    pub(super) estimate: Option<Estimate>,
    pub(super) in_flight: Option<u32>,
    /// Nanoseconds since the segment that it sends again, and its packet.
    pub(super) again: Option<(i64, u64)>,
}

impl Segment {
    pub(in crate::track) const fn has(&self, flags: u16) -> bool {
        self.flags & flags == flags
    }

    pub(in crate::track) fn is(&self, verdict: Verdict) -> bool {
        self.verdicts.has(verdict)
    }

    /// The sequence number after it: relative, and raw.
    pub(super) fn next(&self) -> u32 {
        self.seq.relative.wrapping_add(self.counts())
    }

    pub(super) fn next_raw(&self) -> u32 {
        self.seq.raw.wrapping_add(self.counts())
    }

    /// How far it moves the sequence number: SYN and FIN count as one.
    fn counts(&self) -> u32 {
        let phantom = u32::from(self.flags & (flag::SYN | flag::FIN) != 0);
        self.len.wrapping_add(phantom)
    }

    /// The round trip that it measures, in nanoseconds: of a segment that was sent once.
    pub(in crate::track) fn measured(&self) -> Option<i64> {
        self.estimate.and(self.acks).map(|(_, rtt)| rtt)
    }

    /// New data: neither sent again nor a probe.
    pub(super) fn is_new_data(&self) -> bool {
        self.len > 0 && !self.is(Verdict::Retransmission) && !self.is(Verdict::KeepAlive)
    }

    /// What it is called.
    pub(super) fn name(&self) -> String {
        let flags = [
            (flag::SYN, "SYN"),
            (flag::FIN, "FIN"),
            (flag::RST, "RST"),
            (flag::ACK, "ACK"),
        ];
        let names: Vec<&str> = flags
            .iter()
            .filter(|(bit, _)| self.has(*bit))
            .map(|(_, name)| *name)
            .collect();
        names.join(",")
    }

    fn for_states(&self) -> state::Segment {
        state::Segment {
            seq: self.seq.raw,
            ack: self.has(flag::ACK).then_some(self.ack.raw),
            len: self.len,
            syn: self.has(flag::SYN),
            fin: self.has(flag::FIN),
            rst: self.has(flag::RST),
        }
    }
}

impl Connection {
    /// The states of both ends after everything.
    pub(in crate::track) fn states(&self) -> [State; 2] {
        let mut ends = [End::new(State::Unknown); 2];
        for segment in &self.segments {
            let (from, s) = (segment.from, segment.for_states());
            ends[from as usize].sends(&s);
            ends[from.other() as usize].receives(&s);
        }
        ends.map(|end| end.state())
    }

    pub(super) fn from(&self, side: Side) -> impl DoubleEndedIterator<Item = &Segment> {
        self.segments.iter().filter(move |s| s.from == side)
    }

    pub(super) fn first(&self, test: impl Fn(&Segment) -> bool) -> Option<&Segment> {
        self.segments.iter().find(|s| test(s))
    }

    /// The side that sent more data; the client where both sent as much.
    pub(super) fn talker(&self) -> Side {
        let bytes = |side| self.from(side).map(|s| u64::from(s.len)).sum::<u64>();
        if bytes(Side::Server) > bytes(Side::Client) {
            Side::Server
        } else {
            Side::Client
        }
    }

    /// SYN, SYN,ACK and the ACK that completes the handshake.
    pub(in crate::track) fn handshake(&self) -> [Option<&Segment>; 3] {
        let answer = self.first(|s| s.has(flag::SYN | flag::ACK));
        // Of repeated SYNs, the last one before the answer is the one answered.
        let syn = self
            .segments
            .iter()
            .take_while(|s| answer.is_none_or(|a| s.number != a.number))
            .filter(|s| s.has(flag::SYN) && !s.has(flag::ACK))
            .last();
        let ack = answer.and_then(|answer| {
            self.first(|s| {
                s.number > answer.number
                    && s.from != answer.from
                    && s.has(flag::ACK)
                    && !s.has(flag::RST)
                    && s.ack.raw == answer.seq.raw.wrapping_add(1)
            })
        });
        [syn, answer, ack]
    }
}

/// A UDP datagram.
#[derive(Clone, Copy, Debug)]
pub(in crate::track) struct Datagram {
    pub(in crate::track) number: u64,
    pub(in crate::track) time: Time,
    pub(in crate::track) stream: u32,
    pub(super) source: SocketAddr,
    pub(super) destination: SocketAddr,
    pub(super) len: u32,
}

/// A packet as far as an ICMP error quotes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Print {
    pub(super) source: IpAddr,
    pub(super) destination: IpAddr,
    /// `ip.id`; 0 in IPv6.
    pub(super) id: u16,
    /// What tells packets of its transport apart: ports and sequence number, or identifier and sequence number.
    pub(super) mark: [u32; 2],
}

/// A packet that may not have come far.
#[derive(Clone, Copy, Debug)]
pub(super) struct Probe {
    pub(super) number: u64,
    pub(super) time: Time,
    pub(super) ttl: u8,
    pub(super) print: Print,
}

/// An ICMP error.
#[derive(Clone, Copy, Debug)]
pub(super) struct IcmpError {
    pub(super) number: u64,
    pub(super) time: Time,
    pub(super) by: IpAddr,
    /// The TTL that it arrived with.
    pub(super) ttl: u8,
    pub(super) says: &'static str,
    pub(super) about: Option<Print>,
}

/// An echo reply, and the packet that asked.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reply {
    pub(super) number: u64,
    pub(super) time: Time,
    pub(super) by: IpAddr,
    pub(super) ttl: u8,
    pub(super) request: u64,
}

/// A fragment.
#[derive(Clone, Copy, Debug)]
pub(super) struct Piece {
    pub(super) number: u64,
    pub(super) addresses: (IpAddr, IpAddr),
    pub(super) id: u32,
    pub(super) protocol: u8,
    pub(super) offset: u32,
    pub(super) len: u32,
    pub(super) more: bool,
    /// It completed the datagram.
    pub(super) completes: bool,
}

/// An address that a DNS answer gave.
#[derive(Clone, Debug)]
pub(super) struct Resolved {
    pub(super) number: u64,
    pub(super) name: String,
    pub(super) address: IpAddr,
}

/// Bytes that were looked for, found.
#[derive(Clone, Copy, Debug)]
pub(in crate::track) struct Find {
    /// Index into the texts that were looked for.
    pub(in crate::track) text: usize,
    /// The packet in which they begin, and the one in which they end.
    pub(in crate::track) packets: (u64, u64),
    pub(super) stream: stream::Id,
    pub(super) side: stream::Side,
    /// Bytes of that side's stream before them.
    pub(super) offset: u64,
}
