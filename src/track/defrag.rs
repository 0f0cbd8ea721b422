//! Reassembly: puts the fragments of IPv4 and IPv6 datagrams together, within bounds of memory and time.

use std::{
    collections::{HashMap, VecDeque},
    hash::RandomState,
    net::IpAddr,
};

use crate::time::{SECOND, Time};

/// Bytes of payload that all unfinished datagrams may hold together: four times what Linux gives them
/// (`ipfrag_high_thresh`). One batch may complete them all at once, and then holds them a second time.
pub(super) const MEMORY: usize = 16 << 20;
/// Fragments of one datagram: more than any sender makes of 64 KiB at the smallest MTU.
const MOST_FRAGMENTS: usize = 8192;
/// A datagram's payload: what the offset field can reach.
const LARGEST: usize = 0xffff;
/// Finished datagrams that may stay in the list of ages.
const STALE: usize = 1024;
/// What an unfinished datagram costs beside its bytes.
const OVERHEAD: usize = 256;
/// How long the fragments of an IPv4 datagram are waited for (Linux' `ipfrag_time`).
const PATIENCE_V4: i64 = 30 * SECOND;
/// The same for IPv6 (RFC 8200 §4.5).
const PATIENCE_V6: i64 = 60 * SECOND;

/// Which fragments belong together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Datagram {
    /// Source and destination.
    pub(super) addresses: (IpAddr, IpAddr),
    /// The identification; 16 bits in IPv4.
    pub(super) id: u32,
    /// What it carries; IPv6 leaves it to the first fragment, and this at 0 (RFC 8200 §4.5).
    pub(super) protocol: u8,
}

/// One fragment.
#[derive(Clone, Copy, Debug)]
pub(super) struct Piece<'a> {
    /// Where its payload belongs, in bytes.
    pub(super) offset: u32,
    /// More follow.
    pub(super) more: bool,
    /// What the datagram carries, by this fragment's account.
    pub(super) protocol: u8,
    /// Its payload.
    pub(super) payload: &'a [u8],
}

/// A datagram that is complete.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Whole<'a> {
    /// Its payload.
    pub(super) payload: &'a [u8],
    /// Fragments that came for it, repeated ones too.
    pub(super) fragments: u32,
    /// What it carries, by the first fragment's account.
    pub(super) protocol: u8,
}

/// A datagram that is not complete yet.
#[derive(Debug)]
struct Partial {
    /// Payload so far, with gaps.
    bytes: Vec<u8>,
    /// The ranges that have come, sorted, apart from each other.
    have: Vec<(u32, u32)>,
    /// Where the last fragment ends, once it has come.
    end: Option<u32>,
    fragments: u32,
    protocol: u8,
    /// When the first fragment came; also tells this datagram from a later one with the same key.
    since: Time,
    serial: u64,
}

/// All unfinished datagrams.
#[derive(Debug)]
pub(super) struct Defrag {
    partial: HashMap<Datagram, Partial, RandomState>,
    /// Keys by age, oldest first; those finished or replaced meanwhile are skipped by their serial.
    ages: VecDeque<(Datagram, u64)>,
    held: usize,
    memory: usize,
    serial: u64,
    dropped: u64,
    /// The payload of the datagram completed last.
    done: Vec<u8>,
}

impl Default for Defrag {
    fn default() -> Self {
        Self::new(MEMORY)
    }
}

impl Defrag {
    /// Holds at most `memory` bytes.
    pub(super) fn new(memory: usize) -> Self {
        Self {
            partial: HashMap::default(),
            ages: VecDeque::new(),
            held: 0,
            memory,
            serial: 0,
            dropped: 0,
            done: Vec::new(),
        }
    }

    /// Datagrams given up: timed out, or pushed out for want of room.
    pub(super) fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Takes a fragment; answers with the datagram when this was the last one missing.
    ///
    /// Bytes that came before are kept where fragments overlap, so that a later one cannot rewrite them.
    pub(super) fn add(&mut self, key: Datagram, piece: &Piece<'_>, now: Time) -> Option<Whole<'_>> {
        let first = piece.offset as usize;
        let last = first.checked_add(piece.payload.len())?;
        if piece.payload.is_empty() || last > LARGEST {
            return None;
        }
        self.expire(&key, now);
        self.compact();
        self.make_room(last + OVERHEAD);
        let serial = self.serial;
        let (ages, held) = (&mut self.ages, &mut self.held);
        let partial = self.partial.entry(key).or_insert_with(|| {
            ages.push_back((key, serial));
            *held += OVERHEAD;
            Partial {
                bytes: Vec::new(),
                have: Vec::new(),
                end: None,
                fragments: 0,
                protocol: piece.protocol,
                since: now,
                serial,
            }
        });
        self.serial += 1;
        if partial.fragments as usize >= MOST_FRAGMENTS {
            return None;
        }
        partial.fragments += 1;
        if first == 0 {
            partial.protocol = piece.protocol;
        }
        if !piece.more && partial.end.is_none() {
            partial.end = Some(last as u32);
        }
        if partial.bytes.len() < last {
            self.held += last - partial.bytes.len();
            partial.bytes.resize(last, 0);
        }
        partial.fill(first, piece.payload);
        let end = partial.end?;
        let (0, reach) = *partial.have.first()? else {
            return None;
        };
        if reach < end {
            return None;
        }
        let whole = self.remove(&key)?;
        self.done = whole.bytes;
        Some(Whole {
            payload: self.done.get(..end as usize)?,
            fragments: whole.fragments,
            protocol: whole.protocol,
        })
    }

    /// Forgets what waited too long: the datagram of `key`, and any that are older.
    fn expire(&mut self, key: &Datagram, now: Time) {
        let late = |key: &Datagram, partial: &Partial| {
            let patience = match key.addresses.0 {
                IpAddr::V4(_) => PATIENCE_V4,
                IpAddr::V6(_) => PATIENCE_V6,
            };
            now.since(partial.since) > patience
        };
        if self
            .partial
            .get(key)
            .is_some_and(|partial| late(key, partial))
        {
            self.remove(key);
            self.dropped += 1;
        }
        while let Some(&(oldest, serial)) = self.ages.front() {
            match self.partial.get(&oldest) {
                Some(partial) if partial.serial == serial => {
                    if !late(&oldest, partial) {
                        break;
                    }
                    self.remove(&oldest);
                    self.dropped += 1;
                }
                _ => {}
            }
            self.ages.pop_front();
        }
    }

    /// Clears finished datagrams out of the list of ages, once they are the greater part of it.
    fn compact(&mut self) {
        if self.ages.len() > 2 * self.partial.len() + STALE {
            let partial = &self.partial;
            self.ages
                .retain(|(key, serial)| partial.get(key).is_some_and(|p| p.serial == *serial));
        }
    }

    /// Gives up the oldest datagrams until `bytes` more fit.
    fn make_room(&mut self, bytes: usize) {
        while self.held + bytes > self.memory {
            let Some((oldest, serial)) = self.ages.pop_front() else {
                return;
            };
            if self
                .partial
                .get(&oldest)
                .is_some_and(|p| p.serial == serial)
            {
                self.remove(&oldest);
                self.dropped += 1;
            }
        }
    }

    fn remove(&mut self, key: &Datagram) -> Option<Partial> {
        let partial = self.partial.remove(key)?;
        self.held -= partial.bytes.len() + OVERHEAD;
        Some(partial)
    }
}

impl Partial {
    /// Copies what is new of `payload`, and notes its range.
    fn fill(&mut self, first: usize, payload: &[u8]) {
        let (mut from, to) = (first as u32, (first + payload.len()) as u32);
        let range = (from, to);
        let at = self.have.partition_point(|&(_, end)| end < from);
        let mut after = at;
        let mut merged = range;
        while let Some(&(start, end)) = self.have.get(after).filter(|(start, _)| *start <= to) {
            self.copy(first, payload, from, start.max(from));
            from = from.max(end);
            merged = (merged.0.min(start), merged.1.max(end));
            after += 1;
        }
        self.copy(first, payload, from, to.max(from));
        self.have.splice(at..after, [merged]);
    }

    /// Copies the part of `payload` (which belongs at `first`) that lies in `from..to`.
    fn copy(&mut self, first: usize, payload: &[u8], from: u32, to: u32) {
        let (from, to) = (from as usize, to as usize);
        if let (Some(target), Some(source)) = (
            self.bytes.get_mut(from..to),
            payload.get(from - first..to - first),
        ) {
            target.copy_from_slice(source);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    const START: Time = Time::from_nanos(1_700_000_000 * SECOND);

    fn key(id: u32) -> Datagram {
        Datagram {
            addresses: (IpAddr::from([10, 0, 0, 1]), IpAddr::from([10, 0, 0, 2])),
            id,
            protocol: 17,
        }
    }

    fn piece(offset: u32, more: bool, payload: &[u8]) -> Piece<'_> {
        Piece {
            offset,
            more,
            protocol: 17,
            payload,
        }
    }

    /// What the last of `pieces` completes.
    fn put(pieces: &[(u32, bool, &[u8])]) -> Option<(Vec<u8>, u32)> {
        let mut defrag = Defrag::default();
        let mut result = None;
        for &(offset, more, payload) in pieces {
            assert_eq!(result, None, "completed too early");
            result = defrag
                .add(key(1), &piece(offset, more, payload), START)
                .map(|whole| (whole.payload.to_vec(), whole.fragments));
        }
        assert!(result.is_none() || defrag.held == 0);
        result
    }

    #[test]
    fn fragments_in_any_order_make_the_datagram() {
        let (a, b, c): (&[u8], &[u8], &[u8]) = (b"aaaaaaaa", b"bbbbbbbb", b"cc");
        let whole = Some((b"aaaaaaaabbbbbbbbcc".to_vec(), 3));
        assert_eq!(put(&[(0, true, a), (8, true, b), (16, false, c)]), whole);
        assert_eq!(put(&[(16, false, c), (0, true, a), (8, true, b)]), whole);
        assert_eq!(put(&[(8, true, b), (16, false, c), (0, true, a)]), whole);
        assert_eq!(put(&[(0, true, a), (16, false, c)]), None);
    }

    #[test]
    fn repeated_and_overlapping_fragments_do_not_rewrite_what_came_first() {
        assert_eq!(
            put(&[
                (0, true, b"AAAAAAAA"),
                (0, true, b"XXXXXXXX"),
                (8, false, b"B")
            ]),
            Some((b"AAAAAAAAB".to_vec(), 3))
        );
        // The second covers the first and more: only the rest of it counts.
        assert_eq!(
            put(&[
                (8, true, b"BBBBBBBB"),
                (24, false, b"D"),
                (0, true, b"aaaaaaaabbbbbbbbcccccccc")
            ]),
            Some((b"aaaaaaaaBBBBBBBBccccccccD".to_vec(), 3))
        );
        // Teardrop: the last fragment lies within the first.
        assert_eq!(
            put(&[(0, true, &[b'a'; 32]), (24, false, b"bbbb")]),
            Some((vec![b'a'; 28], 2))
        );
    }

    #[test]
    fn a_fragment_beyond_64_kib_or_without_bytes_is_refused() {
        assert_eq!(put(&[(65528, false, &[0; 9])]), None);
        assert_eq!(put(&[(0, true, &[])]), None);
        let mut defrag = Defrag::default();
        defrag.add(key(1), &piece(65528, false, &[0; 9]), START);
        assert_eq!(defrag.held, 0);
    }

    #[test]
    fn what_waited_too_long_is_forgotten() {
        let mut defrag = Defrag::default();
        defrag.add(key(1), &piece(0, true, b"aaaaaaaa"), START);
        let in_time = START.plus(PATIENCE_V4);
        assert!(
            defrag
                .add(key(1), &piece(8, false, b"b"), in_time)
                .is_some()
        );
        defrag.add(key(1), &piece(0, true, b"aaaaaaaa"), START);
        let late = START.plus(PATIENCE_V4 + 1);
        assert!(defrag.add(key(1), &piece(8, false, b"b"), late).is_none());
        assert_eq!(defrag.dropped(), 1);
        // Another datagram's fragment clears the old ones away.
        let later = late.plus(PATIENCE_V4 + 1);
        defrag.add(key(2), &piece(0, true, b"aaaaaaaa"), later);
        assert_eq!((defrag.partial.len(), defrag.dropped()), (1, 2));
    }

    #[test]
    fn memory_is_bounded_and_the_oldest_goes_first() {
        let mut defrag = Defrag::new(10 * (OVERHEAD + 1008));
        for id in 0..100 {
            defrag.add(key(id), &piece(0, true, &[0; 1008]), START);
            assert!(defrag.held <= defrag.memory);
        }
        assert_eq!(defrag.partial.len(), 10);
        assert_eq!(defrag.dropped(), 90);
        assert!(
            defrag
                .add(key(0), &piece(1008, false, b"x"), START)
                .is_none()
        );
        assert!(
            defrag
                .add(key(99), &piece(1008, false, b"x"), START)
                .is_some()
        );
    }

    #[test]
    fn finished_datagrams_behind_an_unfinished_one_leave_nothing() {
        let mut defrag = Defrag::default();
        defrag.add(key(0), &piece(0, true, b"aaaaaaaa"), START);
        for id in 1..10_000 {
            defrag.add(key(id), &piece(0, true, b"aaaaaaaa"), START);
            assert!(defrag.add(key(id), &piece(8, false, b"b"), START).is_some());
        }
        assert!(defrag.ages.len() <= STALE + 4);
        assert_eq!(defrag.held, 8 + OVERHEAD);
        assert!(defrag.add(key(0), &piece(8, false, b"b"), START).is_some());
    }

    #[test]
    fn small_fragments_of_one_datagram_are_bounded() {
        let mut defrag = Defrag::default();
        for n in 0..20_000_u32 {
            defrag.add(key(1), &piece(8 + n % 8000 * 8, true, b"x"), START);
        }
        assert!(defrag.partial[&key(1)].have.len() <= MOST_FRAGMENTS);
        assert!(defrag.held <= LARGEST + OVERHEAD);
    }
}
