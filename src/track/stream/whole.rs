//! A stream as it is when its last packet has come: its pieces in the order of reading, and what is found in it.

use std::{net::SocketAddr, ops::Range};

use memchr::memmem::Finder;

use super::{Id, Mark, Side, Sides, half::Half};
use crate::track::flow::Transport;

/// Why bytes are missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Why {
    /// No packet in the capture carried them.
    Missing,
    /// A packet carried them, and the snapshot length cut them off.
    NotCaptured,
    /// They were captured, and left out for want of room (see [`super::Limits`]).
    NotKept,
}

/// What stands at a place of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What<'a> {
    /// Bytes of one packet; of UDP, a datagram, which may be empty.
    Data(&'a [u8]),
    /// So many bytes that are not there.
    Gap {
        /// How many.
        bytes: u64,
        /// Why.
        why: Why,
    },
    /// The side has no more data (FIN).
    Fin,
    /// The side refused or ended the connection at once (RST).
    Rst,
}

/// A piece of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece<'a> {
    /// Who sent it.
    pub side: Side,
    /// The packet that made it available: the one that carried it, or a later one that filled a hole before it.
    pub mark: Mark,
    /// Where it begins, counted in bytes from 0 for each side, gaps included.
    pub offset: u64,
    /// Bytes, a gap, or an end.
    pub what: What<'a>,
}

/// What is known of one side in sum, in bytes unless said otherwise.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Packets.
    pub packets: u64,
    /// Bytes that are there.
    pub data: u64,
    /// See [`Why::Missing`].
    pub missing: u64,
    /// See [`Why::NotCaptured`].
    pub not_captured: u64,
    /// See [`Why::NotKept`]; also those whose place could not be noted.
    pub not_kept: u64,
    /// Bytes that came again, and did not count.
    pub again: u64,
    /// Bytes from before the beginning, farther away than any window, or of a RST: left out.
    pub outside: u64,
}

/// A text that was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found {
    /// Who sent it.
    pub side: Side,
    /// Where it begins in the side's stream.
    pub offset: u64,
    /// The packet that carried its first byte; [`Stream::carriers`] has all of them.
    pub packet: Mark,
}

/// Bytes of a stream, and the packet that carried them first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Carrier {
    /// The packet.
    pub packet: Mark,
    /// Offsets in the side's stream.
    pub range: Range<u64>,
}

/// One stream, whole.
#[derive(Debug)]
pub struct Stream {
    /// Its name.
    pub id: Id,
    /// The sockets of both sides.
    pub sockets: Sides<SocketAddr>,
    /// Sums of both sides.
    pub totals: Sides<Totals>,
    lanes: Sides<Lane>,
    /// In the order of reading.
    events: Vec<Event>,
}

/// The bytes of one side, in order.
#[derive(Debug, Default)]
struct Lane {
    /// In the order of their offsets; one packet each.
    parts: Vec<Part>,
    /// Without gaps.
    data: Vec<u8>,
}

#[derive(Clone, Debug)]
struct Part {
    offset: u64,
    bytes: Range<usize>,
    packet: Mark,
}

impl Part {
    fn end(&self) -> u64 {
        self.offset + self.bytes.len() as u64
    }
}

#[derive(Clone, Copy, Debug)]
struct Event {
    side: Side,
    mark: Mark,
    offset: u64,
    what: Happening,
}

#[derive(Clone, Copy, Debug)]
enum Happening {
    /// A part, by its index.
    Data(usize),
    Gap(u64, Why),
    Fin,
    Rst,
}

impl Stream {
    pub(super) fn new(id: Id, sockets: Sides<SocketAddr>, halves: [Half; 2]) -> Self {
        let mut stream = Self {
            id,
            sockets,
            totals: Sides::default(),
            lanes: Sides::default(),
            events: Vec::new(),
        };
        for (side, half) in Side::BOTH.into_iter().zip(halves) {
            stream.add(side, half);
        }
        stream.events.sort_by_key(|event| event.mark.packet);
        stream
    }

    /// Orders one side.
    fn add(&mut self, side: Side, mut half: Half) {
        let in_order = half.chunks.is_sorted_by_key(|chunk| chunk.at);
        half.chunks.sort_by_key(|chunk| chunk.at);
        if !in_order {
            let mut data = Vec::with_capacity(half.data.len());
            for chunk in &mut half.chunks {
                let start = data.len();
                data.extend_from_slice(&half.data[chunk.bytes.clone()]);
                chunk.bytes = start..data.len();
            }
            half.data = data;
        }
        let mut filler = Filler {
            side,
            half: &half,
            events: &mut self.events,
            totals: Totals {
                packets: half.packets,
                data: half.data.len() as u64,
                not_kept: half.unplaced,
                again: half.again,
                outside: half.outside,
                ..Totals::default()
            },
            mark: Mark::default(),
            at: half.base,
        };
        let datagrams = self.id.transport == Transport::Udp;
        let mut parts = Vec::with_capacity(half.chunks.len());
        for (index, chunk) in half.chunks.iter().enumerate() {
            filler.reach(chunk.at, chunk.mark);
            if datagrams || !chunk.bytes.is_empty() {
                filler.push(Happening::Data(index));
            }
            parts.push(Part {
                offset: (chunk.at - half.base) as u64,
                bytes: chunk.bytes.clone(),
                packet: chunk.mark,
            });
            filler.at += chunk.bytes.len() as i64;
        }
        if let Some(end) = half.seen.end() {
            filler.reach(end, half.last);
        }
        if let Some((end, mark)) = half.fin {
            filler.reach(end, mark);
            filler.push(Happening::Fin);
        }
        if let Some(mark) = half.rst {
            // It waits for nothing.
            filler.mark = mark;
            filler.push(Happening::Rst);
        }
        self.totals[side] = filler.totals;
        let data = half.data;
        self.lanes[side] = Lane { parts, data };
    }

    /// Its pieces in the order in which a reader got them, who does not wait for what never comes.
    pub fn pieces(&self) -> impl Iterator<Item = Piece<'_>> {
        self.events.iter().map(|event| Piece {
            side: event.side,
            mark: event.mark,
            offset: event.offset,
            what: match event.what {
                Happening::Data(index) => {
                    let lane = &self.lanes[event.side];
                    What::Data(&lane.data[lane.parts[index].bytes.clone()])
                }
                Happening::Gap(bytes, why) => What::Gap { bytes, why },
                Happening::Fin => What::Fin,
                Happening::Rst => What::Rst,
            },
        })
    }

    /// The bytes of one side from gap to gap (of UDP, datagram by datagram), each run with its offset.
    pub fn runs(&self, side: Side) -> impl Iterator<Item = (u64, &[u8])> {
        let lane = &self.lanes[side];
        let joins = self.id.transport == Transport::Tcp;
        lane.parts
            .chunk_by(move |before, after| joins && before.end() == after.offset)
            .filter_map(|run| {
                let (first, last) = (run.first()?, run.last()?);
                Some((first.offset, &lane.data[first.bytes.start..last.bytes.end]))
            })
    }

    /// Where `needle` occurs first, on either side: borders of packets do not matter, a gap is never bridged, nor is the
    /// border of two datagrams. `None` too for an empty needle.
    pub fn find(&self, needle: &[u8]) -> Option<Found> {
        let found = Side::BOTH.map(|side| self.find_on(side, needle, 0));
        found.into_iter().flatten().min_by_key(|found| {
            let end = found.offset + needle.len() as u64;
            let carriers = self.carriers(found.side, found.offset..end);
            carriers.map(|carrier| carrier.packet).max()
        })
    }

    /// Where `needle` occurs first on one side, from offset `from` on.
    pub fn find_on(&self, side: Side, needle: &[u8], from: u64) -> Option<Found> {
        if needle.is_empty() {
            return None;
        }
        let finder = Finder::new(needle);
        let offset = self.runs(side).find_map(|(start, run)| {
            let skip = usize::try_from(from.saturating_sub(start)).ok()?;
            let at = finder.find(run.get(skip..)?)?;
            Some(start + (skip + at) as u64)
        })?;
        let packet = self.carriers(side, offset..offset + 1).next()?.packet;
        Some(Found {
            side,
            offset,
            packet,
        })
    }

    /// The packets that carried bytes of `range` first, in the order of the bytes; gaps have none.
    pub fn carriers(&self, side: Side, range: Range<u64>) -> impl Iterator<Item = Carrier> {
        let parts = &self.lanes[side].parts;
        let first = parts.partition_point(|part| part.end() <= range.start);
        parts[first..]
            .iter()
            .take_while(move |part| part.offset < range.end)
            .map(move |part| Carrier {
                packet: part.packet,
                range: part.offset.max(range.start)..part.end().min(range.end),
            })
            .filter(|carrier| !carrier.range.is_empty())
    }
}

/// Walks along one side and notes what is there.
struct Filler<'a> {
    side: Side,
    half: &'a Half,
    events: &'a mut Vec<Event>,
    totals: Totals,
    /// The latest packet needed so far.
    mark: Mark,
    at: i64,
}

impl Filler<'_> {
    /// Notes the gaps up to `upto`, where something stands that `mark` brought.
    fn reach(&mut self, upto: i64, mark: Mark) {
        let mark = self.mark.max(mark);
        for seen in self.half.seen.within(self.at..upto.max(self.at)) {
            // What is cut off behind the bytes of a packet was cut off that packet.
            if seen.start > self.at {
                self.mark = mark;
            }
            self.gap(seen.start, Why::Missing);
            for unkept in self.half.unkept.within(seen.clone()) {
                self.gap(unkept.start, Why::NotCaptured);
                self.gap(unkept.end, Why::NotKept);
            }
            self.gap(seen.end, Why::NotCaptured);
        }
        self.mark = mark;
        self.gap(upto, Why::Missing);
    }

    fn gap(&mut self, upto: i64, why: Why) {
        if upto <= self.at {
            return;
        }
        let bytes = (upto - self.at) as u64;
        let sum = match why {
            Why::Missing => &mut self.totals.missing,
            Why::NotCaptured => &mut self.totals.not_captured,
            Why::NotKept => &mut self.totals.not_kept,
        };
        *sum += bytes;
        self.push(Happening::Gap(bytes, why));
        self.at = upto;
    }

    fn push(&mut self, what: Happening) {
        self.events.push(Event {
            side: self.side,
            mark: self.mark,
            offset: (self.at - self.half.base).max(0) as u64,
            what,
        });
    }
}
