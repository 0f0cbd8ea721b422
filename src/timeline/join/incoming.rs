//! Which call returned which bytes of a stream: what arrived waits for a reader, and readers take it in order.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Range,
};

use super::{ledger::Ledger, outgoing::lies};
use crate::{
    call::HEAD,
    event::{CallId, PacketId},
    timeline::{Ground, Share},
};

/// Bytes of a segment that are kept to be compared with what a call returned.
pub(super) const KEPT: usize = HEAD;
/// Calls that are remembered: an arrival is not told so late.
const TAKES: usize = 65_536;
/// Receives that wait until it is clear which bytes they returned.
const HELD: usize = 64;
/// Segments in which the beginning of a stream that was joined in its middle is looked for.
const FIRST: usize = 64;

/// Bytes that arrived and that no call has returned yet.
#[derive(Debug)]
struct Chunk {
    end: u64,
    packet: PacketId,
    head: Vec<u8>,
}

/// What arrived of a stream, by where it starts; bytes that arrive again are not added again.
#[derive(Debug, Default)]
pub(super) struct Arrived {
    chunks: BTreeMap<u64, Chunk>,
}

impl Arrived {
    pub(super) fn len(&self) -> usize {
        self.chunks.len()
    }

    pub(super) fn add(&mut self, bytes: Range<u64>, packet: PacketId, data: &[u8]) {
        let chunk = Chunk {
            end: bytes.end,
            packet,
            head: data[..data.len().min(KEPT)].to_vec(),
        };
        self.chunks.insert(bytes.start, chunk);
    }

    /// What is known of the bytes from `at` on.
    fn content(&self, at: u64) -> &[u8] {
        let Some((&start, chunk)) = self.chunks.range(..=at).next_back() else {
            return &[];
        };
        usize::try_from(at - start)
            .ok()
            .and_then(|skip| chunk.head.get(skip..))
            .unwrap_or(&[])
    }

    /// Takes `bytes` out; hands over the packets that brought them.
    fn take(&mut self, bytes: &Range<u64>, mut brought: impl FnMut(PacketId, Range<u64>)) {
        while let Some((&start, chunk)) = self.chunks.range(..bytes.end).next() {
            let (end, packet) = (chunk.end, chunk.packet);
            let part = start.max(bytes.start)..end.min(bytes.end);
            if !part.is_empty() {
                brought(packet, part);
            }
            let Some(mut chunk) = self.chunks.remove(&start) else {
                return;
            };
            if end > bytes.end {
                let gone = usize::try_from(bytes.end - start).unwrap_or(usize::MAX);
                chunk.head.drain(..gone.min(chunk.head.len()));
                self.chunks.insert(bytes.end, chunk);
            }
        }
    }

    /// Where the bytes lie with which a reader begins whose earlier reads were not watched.
    fn find(&self, head: &[u8]) -> Option<u64> {
        self.chunks.iter().take(FIRST).find_map(|(&start, chunk)| {
            if let Some(place) = lies(&chunk.head, head) {
                return start.checked_add(place as u64);
            }
            let place = lies(head, &chunk.head)?;
            start.checked_sub(place as u64)
        })
    }
}

/// A receive whose bytes are not known yet: another one at the same time may have taken them.
#[derive(Debug)]
struct Held {
    call: CallId,
    moved: u64,
    head: Vec<u8>,
}

/// The receiving half of a socket.
#[derive(Debug)]
pub(super) struct Incoming {
    /// Up to where calls have returned the stream; unknown while a reader is older than the watch.
    taken: Option<u64>,
    /// Where each call's bytes start.
    takes: Vec<(u64, CallId, Ground)>,
    open: BTreeSet<CallId>,
    held: Vec<Held>,
}

impl Default for Incoming {
    fn default() -> Self {
        Self {
            taken: Some(0),
            takes: Vec::new(),
            open: BTreeSet::new(),
            held: Vec::new(),
        }
    }
}

impl Incoming {
    /// The stream had begun before its reader was watched, which had read it up to `taken`.
    pub(super) fn midway(&mut self, taken: Option<u64>) {
        if self.takes.is_empty() {
            self.taken = taken;
        }
    }

    pub(super) fn entered(&mut self, call: CallId) {
        self.open.insert(call);
    }

    /// Bytes came that calls may have returned already (an arrival is told late); true where any are left to be read.
    pub(super) fn arrived(
        &self,
        bytes: &Range<u64>,
        packet: PacketId,
        ledger: &mut Ledger,
    ) -> bool {
        let Some(taken) = self.taken else {
            return true;
        };
        let first = self
            .takes
            .partition_point(|take| take.0 <= bytes.start)
            .saturating_sub(1);
        let ends = self.takes.iter().skip(first + 1).map(|take| take.0);
        let takes = self.takes.iter().skip(first).zip(ends.chain([taken]));
        for (&(start, call, ground), end) in takes.take_while(|(take, _)| take.0 < bytes.end) {
            let part = start.max(bytes.start)..end.min(bytes.end);
            if !part.is_empty() {
                ledger.took(packet, call, Share::Bytes(part), ground);
            }
        }
        taken < bytes.end
    }

    /// A call returned `moved` bytes that begin with `head`.
    pub(super) fn returned(
        &mut self,
        (call, moved, head): (CallId, u64, &[u8]),
        mut arrived: Option<&mut Arrived>,
        ledger: &mut Ledger,
    ) {
        self.open.remove(&call);
        if moved > 0 {
            self.begin(head, arrived.as_deref());
            self.held.push(Held {
                call,
                moved,
                head: head[..head.len().min(KEPT)].to_vec(),
            });
        }
        while let Some((held, ground)) = self.next(arrived.as_deref()) {
            self.take(&held, ground, arrived.as_deref_mut(), ledger);
        }
    }

    /// Finds where the reader stands, if that is not known yet.
    fn begin(&mut self, head: &[u8], arrived: Option<&Arrived>) {
        if self.taken.is_some() {
            return;
        }
        let Some(arrived) = arrived else {
            return;
        };
        let first = arrived.chunks.keys().next().copied();
        self.taken = match head {
            [] => first,
            _ => arrived.find(head),
        };
    }

    /// The held call that took what comes next. Alone it is certain; of several at once the content tells, and when nothing
    /// else can, the order of returning.
    fn next(&mut self, arrived: Option<&Arrived>) -> Option<(Held, Ground)> {
        let alone = self.open.is_empty() && self.held.len() == 1;
        let Some(taken) = self.taken else {
            self.held.clear();
            return None;
        };
        if self.held.is_empty() {
            return None;
        }
        if alone {
            return Some((self.held.remove(0), Ground::Sequence));
        }
        let content = arrived.map_or(&[][..], |arrived| arrived.content(taken));
        let fits = |held: &Held| {
            let len = held.head.len().min(content.len());
            len > 0 && held.head[..len] == content[..len]
        };
        if let Some(found) = self.held.iter().position(fits) {
            return Some((self.held.remove(found), Ground::Content));
        }
        let unknown = content.is_empty() || self.held.iter().any(|held| held.head.is_empty());
        let give_up = unknown || self.open.is_empty() || self.held.len() >= HELD;
        give_up.then(|| (self.held.remove(0), Ground::Order))
    }

    fn take(
        &mut self,
        held: &Held,
        ground: Ground,
        arrived: Option<&mut Arrived>,
        ledger: &mut Ledger,
    ) {
        let Some(start) = self.taken else {
            return;
        };
        let end = start.saturating_add(held.moved);
        self.taken = Some(end);
        self.takes.push((start, held.call, ground));
        if self.takes.len() > TAKES {
            self.takes.drain(..TAKES / 2);
        }
        if let Some(arrived) = arrived {
            arrived.take(&(start..end), |packet, part| {
                ledger.took(packet, held.call, Share::Bytes(part), ground);
            });
        }
    }
}
