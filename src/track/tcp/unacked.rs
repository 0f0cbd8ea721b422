//! Segments that were sent and not acknowledged yet, of all connections, in one pool that only grows to its limit.

use crate::time::Time;

/// The most segments remembered over all connections; beyond them, new ones are not.
const POOL: usize = 1 << 20;
/// The most segments remembered of one side, where its acknowledgments are not seen.
const PER_SIDE: u32 = 1000;
const NONE: u32 = u32::MAX;

/// One segment that waits for its acknowledgment.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sent {
    pub(super) seq: u32,
    /// The sequence number after it.
    pub(super) end: u32,
    pub(super) frame: u64,
    pub(super) time: Time,
    /// It was sent more than once: its acknowledgment says nothing of the round trip (Karn, RFC 6298 §3).
    pub(super) again: bool,
}

/// The segments of one side, newest first, threaded through the pool.
#[derive(Clone, Copy, Debug)]
pub(super) struct List {
    first: u32,
    len: u32,
}

impl Default for List {
    fn default() -> Self {
        Self {
            first: NONE,
            len: 0,
        }
    }
}

/// The memory of all lists.
#[derive(Debug, Default)]
pub(super) struct Pool {
    slots: Vec<(Sent, u32)>,
    free: List,
}

impl Pool {
    /// Remembers a segment, unless too many wait already.
    pub(super) fn push(&mut self, list: &mut List, sent: Sent) {
        if list.len >= PER_SIDE {
            return;
        }
        let slot = if let Some((_, next)) = self.slots.get(self.free.first as usize) {
            let slot = self.free.first;
            self.free.first = *next;
            self.slots[slot as usize] = (sent, list.first);
            slot
        } else if self.slots.len() < POOL {
            self.slots.push((sent, list.first));
            self.slots.len() as u32 - 1
        } else {
            return;
        };
        *list = List {
            first: slot,
            len: list.len + 1,
        };
    }

    /// The segments of a list, newest first.
    pub(super) fn iter(&self, list: List) -> impl Iterator<Item = &Sent> {
        let mut next = list.first;
        std::iter::from_fn(move || {
            let (sent, after) = self.slots.get(next as usize)?;
            next = *after;
            Some(sent)
        })
    }

    /// Keeps the segments for which `keep` says so; it may change them.
    pub(super) fn retain(&mut self, list: &mut List, mut keep: impl FnMut(&mut Sent) -> bool) {
        let (mut at, mut before) = (list.first, NONE);
        while let Some((sent, next)) = self.slots.get_mut(at as usize) {
            let next = *next;
            if keep(sent) {
                before = at;
            } else {
                match self.slots.get_mut(before as usize) {
                    Some((_, link)) => *link = next,
                    None => list.first = next,
                }
                list.len -= 1;
                self.slots[at as usize].1 = self.free.first;
                self.free.first = at;
            }
            at = next;
        }
    }

    /// Forgets all segments of a list.
    pub(super) fn clear(&mut self, list: &mut List) {
        self.retain(list, |_| false);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(seq: u32) -> Sent {
        Sent {
            seq,
            end: seq + 1,
            frame: seq.into(),
            time: Time::from_nanos(0),
            again: false,
        }
    }

    fn seqs(pool: &Pool, list: List) -> Vec<u32> {
        pool.iter(list).map(|sent| sent.seq).collect()
    }

    #[test]
    fn lists_share_the_pool_and_give_back_what_they_forget() {
        let (mut pool, mut a, mut b) = (Pool::default(), List::default(), List::default());
        for seq in 0..4 {
            pool.push(&mut a, sent(seq));
            pool.push(&mut b, sent(10 + seq));
        }
        pool.retain(&mut a, |sent| sent.seq % 2 == 1);
        assert_eq!(seqs(&pool, a), [3, 1]);
        pool.retain(&mut a, |sent| sent.seq != 3);
        pool.push(&mut b, sent(20));
        assert_eq!(seqs(&pool, a), [1]);
        assert_eq!(seqs(&pool, b), [20, 13, 12, 11, 10]);
        pool.clear(&mut b);
        for seq in 0..7 {
            pool.push(&mut b, sent(seq));
        }
        assert_eq!(pool.slots.len(), 8);
    }

    #[test]
    fn a_side_that_is_never_acknowledged_stays_bounded() {
        let (mut pool, mut list) = (Pool::default(), List::default());
        for seq in 0..2 * PER_SIDE {
            pool.push(&mut list, sent(seq));
        }
        assert_eq!(pool.iter(list).count(), PER_SIDE as usize);
    }
}
