//! Streams in order: the bytes that each side of a conversation sent, as a reader would have got them.
//!
//! Of bytes that came more than once, those that arrived first win, also where later ones differ (a receiver that had
//! delivered the first could not take them back); Wireshark does so too. Missing bytes are gaps with their length, never
//! zeros. Sequence numbers are counted from the SYN, or where none was seen from the side's first segment; what lies
//! before that, or farther away than any window reaches, is counted and left out. The end of a stream is where its last
//! segment ends: bytes that only an acknowledgment tells of are no part of it.

mod half;
pub(crate) mod ranges;
#[cfg(test)]
mod tests;
mod whole;

use std::{
    collections::BTreeMap,
    fmt,
    net::SocketAddr,
    ops::{Index, IndexMut, Range},
};

use half::Half;
use ranges::Ranges;
pub use whole::{Carrier, Found, Piece, Stream, Totals, What, Why};

use super::flow::{Transport, is_from_server};
use crate::{
    field::Value,
    layer::{Packet, View},
    proto::{
        tcp::{self, Segment, flag},
        udp,
    },
    time::Time,
};

/// Ranges of positions that are told apart in all streams together.
const RANGES: usize = 1 << 20;

/// Names a stream: its transport and the number in `tcp.stream` or `udp.stream`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Id {
    /// TCP or UDP.
    pub transport: Transport,
    /// Counted from 0 in the order of first packets, for each transport.
    pub number: u32,
}

/// `tcp:0`, as `follow` reads it.
impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let transport = match self.transport {
            Transport::Tcp => "tcp",
            Transport::Udp => "udp",
        };
        write!(f, "{transport}:{}", self.number)
    }
}

/// One end of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Side {
    /// The end that opened: it sent the SYN, or where none was seen the first packet.
    Client,
    /// The other end.
    Server,
}

impl Side {
    /// Both, the client first.
    pub const BOTH: [Self; 2] = [Self::Client, Self::Server];

    /// The other one.
    pub const fn other(self) -> Self {
        match self {
            Self::Client => Self::Server,
            Self::Server => Self::Client,
        }
    }
}

/// A value for each side.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sides<T>(pub [T; 2]);

impl<T> Index<Side> for Sides<T> {
    type Output = T;
    fn index(&self, side: Side) -> &T {
        &self.0[side as usize]
    }
}

impl<T> IndexMut<Side> for Sides<T> {
    fn index_mut(&mut self, side: Side) -> &mut T {
        &mut self.0[side as usize]
    }
}

/// A packet: its `frame.number` and its time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mark {
    /// Counted from 1; 0 for none.
    pub packet: u64,
    /// When it was captured.
    pub time: Time,
}

/// Whose bytes are kept. All streams are listed in any case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    /// Those of the first stream, until there is another: then nobody's.
    Sole,
    /// This stream's.
    One(Id),
    /// Every stream's.
    All,
}

/// The most memory that kept bytes may take, in bytes; a packet's share costs some 100 bytes more than it carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// For one direction of one stream.
    pub side: u64,
    /// For all streams together.
    pub all: u64,
}

impl Default for Limits {
    /// 256 MiB for a direction, 512 MiB in all.
    fn default() -> Self {
        Self {
            side: 256 << 20,
            all: 512 << 20,
        }
    }
}

/// What is spent of the limits.
#[derive(Debug)]
struct Budget {
    limits: Limits,
    spent: u64,
    ranges: usize,
}

impl Budget {
    fn is_out_of_ranges(&self) -> bool {
        self.ranges >= RANGES
    }

    /// Adds to a set of ranges, and counts how many there are now.
    fn add(&mut self, to: &mut Ranges, range: Range<i64>, fresh: impl FnMut(Range<i64>)) {
        self.ranges -= to.len();
        to.add(range, fresh);
        self.ranges += to.len();
    }
}

/// What a list of streams shows of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outline {
    /// Its name.
    pub id: Id,
    /// The sockets of both sides.
    pub sockets: Sides<SocketAddr>,
    /// Packets of each side.
    pub packets: Sides<u64>,
    /// Bytes of each side's stream that a packet carried; what came again is counted once.
    pub bytes: Sides<u64>,
}

/// A stream while its packets come.
#[derive(Debug)]
struct Building {
    sockets: Sides<SocketAddr>,
    halves: Sides<Half>,
}

/// Puts the bytes of streams in order. It is given the decoded and tracked packets of a capture in their order.
#[derive(Debug)]
pub struct Streams {
    keep: Keep,
    budget: Budget,
    streams: BTreeMap<Id, Building>,
    unlisted: u64,
}

impl Streams {
    /// Keeps the bytes of the streams that `keep` names, within `limits`.
    pub fn new(keep: Keep, limits: Limits) -> Self {
        Self {
            keep,
            budget: Budget {
                limits,
                spent: 0,
                ranges: 0,
            },
            streams: BTreeMap::new(),
            unlisted: 0,
        }
    }

    /// Takes the next packet. Headers quoted by ICMP errors say nothing of a stream.
    pub fn packet(&mut self, packet: &Packet<'_>) {
        for view in packet.views().filter(|view| !view.layer.quoted) {
            match view.layer.protocol.name {
                "tcp" => self.segment(&view),
                "udp" | "udplite" => self.datagram(&view),
                _ => {}
            }
        }
    }

    /// The streams so far, TCP first.
    pub fn outlines(&self) -> impl Iterator<Item = Outline> {
        self.streams.iter().map(|(&id, building)| {
            let [client, server] = &building.halves.0;
            Outline {
                id,
                sockets: building.sockets,
                packets: Sides([client.packets, server.packets]),
                bytes: Sides([client, server].map(|half| half.seen.total())),
            }
        })
    }

    /// Packets of streams that are not even listed, for want of room.
    pub fn unlisted(&self) -> u64 {
        self.unlisted
    }

    /// The stream as its packets have made it up; `None` when there is no such stream. Its memory goes with it.
    pub fn take(&mut self, id: Id) -> Option<Stream> {
        let building = self.streams.remove(&id)?;
        Some(Stream::new(id, building.sockets, building.halves.0))
    }

    fn segment(&mut self, view: &View<'_>) {
        let Some(segment) = Segment::of(view).filter(|segment| !segment.partial) else {
            return;
        };
        let (syn, ack) = (
            segment.flags & flag::SYN != 0,
            segment.flags & flag::ACK != 0,
        );
        let id = |number| Id {
            transport: Transport::Tcp,
            number,
        };
        let answers = is_from_server(syn, ack, segment.ports);
        let Some((half, keep, budget)) = self.half(view, &tcp::STREAM, id, segment.ports, answers)
        else {
            return;
        };
        // It repeats the last byte, or makes one up (RFC 9293 §3.8.4).
        if view.fact(&tcp::A_KEEP_ALIVE).is_some() {
            return;
        }
        half.segment(&segment, view.payload(), mark(view), keep, budget);
    }

    fn datagram(&mut self, view: &View<'_>) {
        let (Some(source), Some(destination)) = (view.u16(0), view.u16(2)) else {
            return;
        };
        let id = |number| Id {
            transport: Transport::Udp,
            number,
        };
        let ports = (source, destination);
        if let Some((half, keep, budget)) = self.half(view, &udp::STREAM, id, ports, false) {
            half.datagram(
                view.payload_wire(),
                view.payload(),
                mark(view),
                keep,
                budget,
            );
        }
    }

    /// The direction that a packet belongs to, and whether its bytes are kept. `answers`: where the packet is the first
    /// one of its stream, the client is its receiver.
    fn half(
        &mut self,
        view: &View<'_>,
        number: &'static crate::field::Field,
        id: impl Fn(u32) -> Id,
        ports: (u16, u16),
        answers: bool,
    ) -> Option<(&mut Half, bool, &mut Budget)> {
        let Some(Value::Uint(number)) = view.fact(number) else {
            return None;
        };
        let id = id(u32::try_from(number).ok()?);
        let (source, destination) = view.addresses()?;
        let source = SocketAddr::new(source, ports.0);
        let destination = SocketAddr::new(destination, ports.1);
        let kept = match self.keep {
            Keep::All => true,
            Keep::One(wanted) => wanted == id,
            Keep::Sole => self.streams.keys().all(|known| *known == id),
        };
        if !self.streams.contains_key(&id) {
            // The maps and the ranges in them take about as much again.
            let price = 2 * size_of::<(Id, Building)>() as u64;
            if self.budget.spent + price > self.budget.limits.all && self.keep != Keep::One(id) {
                self.unlisted += 1;
                return None;
            }
            self.budget.spent += price;
            if self.keep == Keep::Sole && self.streams.len() == 1 {
                let halves = self.streams.values_mut().flat_map(|b| &mut b.halves.0);
                halves.for_each(|half| half.forget(&mut self.budget));
            }
            let sockets = if answers {
                [destination, source]
            } else {
                [source, destination]
            };
            let building = Building {
                sockets: Sides(sockets),
                halves: Sides::default(),
            };
            self.streams.insert(id, building);
        }
        let building = self.streams.get_mut(&id)?;
        let client = building.sockets[Side::Client] == source;
        let side = if client { Side::Client } else { Side::Server };
        let half = &mut building.halves[side];
        half.packets += 1;
        Some((half, kept, &mut self.budget))
    }
}

fn mark(view: &View<'_>) -> Mark {
    Mark {
        packet: view.packet.frame.number,
        time: view.packet.frame.time,
    }
}
