//! One direction of a stream while its packets come: what is known of it, and the bytes that are kept.

use std::ops::Range;

use super::{Budget, Mark, ranges::Ranges};
use crate::proto::tcp::{Segment, flag};

/// How far from where a direction stands a segment may lie: the largest window there is (RFC 7323 §2.3).
const WINDOW: i64 = 65_535 << 14;

/// Bytes of one direction that one packet brought first.
#[derive(Clone, Debug)]
pub(super) struct Chunk {
    /// Where it stands in the stream, counted as [`Half::base`] is.
    pub(super) at: i64,
    /// Where it lies in [`Half::data`].
    pub(super) bytes: Range<usize>,
    pub(super) mark: Mark,
}

/// One direction.
#[derive(Debug, Default)]
pub(super) struct Half {
    /// The sequence number at [`Half::front`].
    front_seq: u32,
    /// The furthest position that is sure: a wild sequence number never moves it.
    front: i64,
    /// Its first segment has come.
    begun: bool,
    /// A SYN, or two segments that join, say where it stands.
    sure: bool,
    syn: bool,
    /// What follows the last segment that lay far from where the direction stands.
    rival: Option<u32>,
    /// Position of the first byte.
    pub(super) base: i64,
    /// Positions that a segment carried, captured or not.
    pub(super) seen: Ranges,
    /// Positions whose bytes were captured.
    pub(super) have: Ranges,
    /// Positions whose bytes were captured and not kept, for want of room.
    pub(super) unkept: Ranges,
    pub(super) chunks: Vec<Chunk>,
    pub(super) data: Vec<u8>,
    pub(super) fin: Option<(i64, Mark)>,
    pub(super) rst: Option<Mark>,
    /// The last packet that carried data.
    pub(super) last: Mark,
    pub(super) packets: u64,
    /// Bytes that came again.
    pub(super) again: u64,
    /// Bytes from before the first one, from nowhere near, or of a RST.
    pub(super) outside: u64,
    /// Bytes for which not even a place could be noted.
    pub(super) unplaced: u64,
    /// What is charged for all of it.
    spent: u64,
}

impl Half {
    /// Takes a segment; `payload` is as much of it as was captured. Without `keep`, bytes are counted and forgotten.
    pub(super) fn segment(
        &mut self,
        segment: &Segment,
        payload: &[u8],
        mark: Mark,
        keep: bool,
        budget: &mut Budget,
    ) {
        if segment.has(flag::RST) {
            // Its data says why, to people: it is no part of the stream (RFC 9293 §3.5.3).
            self.outside += u64::from(segment.len);
            self.rst.get_or_insert(mark);
            return;
        }
        let syn = segment.has(flag::SYN);
        // A SYN takes a sequence number of its own (RFC 9293 §3.4).
        let seq = segment.seq.wrapping_add(syn.into());
        // Of two answers to a SYN, the later one counts as long as no data has come.
        if !self.begun || syn && self.seen.is_empty() {
            (self.begun, self.front_seq) = (true, seq);
            (self.front, self.base) = (0, 0);
        }
        let Some(at) = self.place(seq) else {
            self.stray(segment, payload, mark, keep, budget);
            return;
        };
        if syn && !self.syn && at <= self.base {
            (self.syn, self.sure, self.base) = (true, true, at);
        }
        let end = at + i64::from(segment.len);
        if segment.has(flag::FIN) && self.fin.is_none() && end >= self.base {
            self.fin = Some((end, mark));
        }
        self.bytes(at..end, payload, mark, keep, budget);
    }

    /// Takes a datagram, which stands behind all others.
    pub(super) fn datagram(
        &mut self,
        wire: u32,
        payload: &[u8],
        mark: Mark,
        keep: bool,
        budget: &mut Budget,
    ) {
        let at = self.front;
        self.front += i64::from(wire);
        if wire == 0 {
            self.packet_alone(at, mark, keep, budget);
        }
        self.bytes(at..self.front, payload, mark, keep, budget);
    }

    fn place(&self, seq: u32) -> Option<i64> {
        let off = i64::from(seq.wrapping_sub(self.front_seq).cast_signed());
        (off.abs() <= WINDOW).then(|| self.front + off)
    }

    /// A segment that lies outside any window. When another one joins it, and nothing else is sure, what came before was
    /// the wild part, and the direction begins anew.
    fn stray(
        &mut self,
        segment: &Segment,
        payload: &[u8],
        mark: Mark,
        keep: bool,
        budget: &mut Budget,
    ) {
        let joins = self.rival.is_some_and(|next| next == segment.seq);
        let anew = joins || self.seen.is_empty();
        if self.sure || segment.len == 0 || !anew {
            self.outside += u64::from(segment.len);
            self.rival = Some(segment.next_seq());
            return;
        }
        budget.spent -= self.spent;
        budget.ranges -= self.seen.len() + self.have.len() + self.unkept.len();
        *self = Self {
            packets: self.packets,
            again: self.again,
            outside: self.outside + self.seen.total(),
            unplaced: self.unplaced,
            rst: self.rst,
            ..Self::default()
        };
        self.segment(segment, payload, mark, keep, budget);
    }

    /// Notes the bytes of `range`, as many as `payload` has.
    fn bytes(
        &mut self,
        range: Range<i64>,
        payload: &[u8],
        mark: Mark,
        keep: bool,
        budget: &mut Budget,
    ) {
        let early = (self.base - range.start).clamp(0, range.end - range.start);
        self.outside += early as u64;
        let range = range.start + early..range.end;
        if range.is_empty() {
            return;
        }
        let payload = payload.get(early as usize..).unwrap_or_default();
        let len = (range.end - range.start) as u64;
        let joins = self.seen.touches(&range);
        if !joins && !self.seen.is_empty() && budget.is_out_of_ranges() {
            self.unplaced += len;
            return;
        }
        self.last = mark;
        if (joins || range.start == self.base) && range.end > self.front {
            let ahead = (range.end - self.front) as u32;
            self.front_seq = self.front_seq.wrapping_add(ahead);
            self.front = range.end;
        }
        self.sure |= joins;
        let mut fresh = 0;
        budget.add(&mut self.seen, range.clone(), |part| {
            fresh += (part.end - part.start) as u64;
        });
        self.again += len - fresh;
        if keep {
            let captured = range.start + (payload.len() as i64).min(len as i64);
            self.keep(range.start..captured, payload, mark, budget);
        }
        if payload.is_empty() && fresh > 0 {
            self.packet_alone(range.start, mark, keep, budget);
        }
    }

    /// Notes that a packet came to this place without a byte.
    fn packet_alone(&mut self, at: i64, mark: Mark, keep: bool, budget: &mut Budget) {
        if keep && self.pay(0, budget) {
            self.push(at, &[], mark);
        }
    }

    /// Keeps the bytes of `range` that are new.
    fn keep(&mut self, range: Range<i64>, payload: &[u8], mark: Mark, budget: &mut Budget) {
        if range.is_empty() {
            return;
        }
        if !self.have.touches(&range) && budget.is_out_of_ranges() {
            self.unplaced += (range.end - range.start) as u64;
            return;
        }
        let mut parts = Vec::new();
        budget.add(&mut self.have, range.clone(), |part| parts.push(part));
        for part in parts {
            let len = (part.end - part.start) as u64;
            if self.pay(len, budget) {
                let from = (part.start - range.start) as usize;
                self.push(part.start, &payload[from..from + len as usize], mark);
            } else if self.unkept.touches(&part) || !budget.is_out_of_ranges() {
                budget.add(&mut self.unkept, part, |_| {});
            } else {
                self.unplaced += len;
            }
        }
    }

    fn push(&mut self, at: i64, bytes: &[u8], mark: Mark) {
        let start = self.data.len();
        self.data.extend_from_slice(bytes);
        let bytes = start..self.data.len();
        self.chunks.push(Chunk { at, bytes, mark });
    }

    /// Gives up the bytes; what is known of them stays.
    pub(super) fn forget(&mut self, budget: &mut Budget) {
        budget.spent -= self.spent;
        self.spent = 0;
        (self.chunks, self.data) = Default::default();
    }

    /// Charges for a chunk of so many bytes; says no where it is too much.
    fn pay(&mut self, len: u64, budget: &mut Budget) -> bool {
        let price = len + size_of::<Chunk>() as u64;
        let room =
            self.spent + price <= budget.limits.side && budget.spent + price <= budget.limits.all;
        if room {
            self.spent += price;
            budget.spent += price;
        }
        room
    }
}
