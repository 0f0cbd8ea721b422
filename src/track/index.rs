//! Where a flow's entry is, by its key's hash: eight bytes a slot, so that a table does not hold each key twice.

/// No entry.
const NONE: u32 = u32::MAX;

/// An open hash table with linear probing, at most three quarters full. The keys are the caller's.
#[derive(Debug, Default)]
pub(super) struct Index {
    /// As many as a power of two, or none.
    slots: Vec<Slot>,
    used: usize,
}

#[derive(Clone, Copy, Debug)]
struct Slot {
    hash: u32,
    at: u32,
}

const EMPTY: Slot = Slot { hash: 0, at: NONE };

impl Index {
    pub(super) fn len(&self) -> usize {
        self.used
    }

    /// The entry with this hash for which `is` holds.
    pub(super) fn get(&self, hash: u32, is: impl Fn(u32) -> bool) -> Option<u32> {
        let slot = self.find(hash, is)?;
        self.slots.get(slot).map(|slot| slot.at)
    }

    /// Adds an entry, which is not in it yet; `at` is less than `u32::MAX`.
    pub(super) fn insert(&mut self, hash: u32, at: u32) {
        if (self.used + 1) * 4 > self.slots.len() * 3 {
            let slots = vec![EMPTY; (self.slots.len() * 2).max(8)];
            for old in std::mem::replace(&mut self.slots, slots) {
                if old.at != NONE {
                    self.place(old);
                }
            }
        }
        self.used += 1;
        self.place(Slot { hash, at });
    }

    /// Takes out the entry with this hash for which `is` holds.
    pub(super) fn remove(&mut self, hash: u32, is: impl Fn(u32) -> bool) {
        let Some(mut free) = self.find(hash, is) else {
            return;
        };
        self.used -= 1;
        // What was pushed past the free slot moves back into it (no marks of the removed are left to be probed).
        let mask = self.slots.len() - 1;
        let mut next = free;
        loop {
            next = (next + 1) & mask;
            let slot = self.slots[next];
            if slot.at == NONE {
                break;
            }
            let home = slot.hash as usize & mask;
            if next.wrapping_sub(home) & mask >= next.wrapping_sub(free) & mask {
                self.slots[free] = slot;
                free = next;
            }
        }
        self.slots[free] = EMPTY;
    }

    /// The slot of the entry with this hash for which `is` holds.
    fn find(&self, hash: u32, is: impl Fn(u32) -> bool) -> Option<usize> {
        let mask = self.slots.len().checked_sub(1)?;
        let mut slot = hash as usize & mask;
        loop {
            let found = self.slots[slot];
            if found.at == NONE {
                return None;
            }
            if found.hash == hash && is(found.at) {
                return Some(slot);
            }
            slot = (slot + 1) & mask;
        }
    }

    fn place(&mut self, new: Slot) {
        let mask = self.slots.len() - 1;
        let mut slot = new.hash as usize & mask;
        while self.slots[slot].at != NONE {
            slot = (slot + 1) & mask;
        }
        self.slots[slot] = new;
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    #[test]
    fn it_agrees_with_a_map_through_many_changes_among_colliding_hashes() {
        let (mut index, mut map) = (Index::default(), HashMap::new());
        let mut chance = 1_u64;
        for _ in 0..100_000 {
            chance = chance
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            let at = (chance >> 40) as u32 % 300;
            // Eight hashes each of which 37 entries share, at the end of the table and around it.
            let hash = (at % 8).wrapping_sub(4);
            if chance >> 63 == 0 && map.insert(at, hash).is_none() {
                index.insert(hash, at);
            } else if chance >> 63 == 1 {
                index.remove(hash, |a| a == at);
                map.remove(&at);
            }
            assert_eq!(index.len(), map.len());
            let found = index.get(hash, |a| a == at);
            assert_eq!(found, map.get(&at).map(|_| at));
        }
        for (&at, &hash) in &map {
            assert_eq!(index.get(hash, |a| a == at), Some(at));
        }
    }
}
