//! Entries of several sources in one order of time.

use std::collections::BTreeMap;

use sockwire::{event::Entry, time::Time};

/// Entries that wait until nothing earlier can come.
#[derive(Default)]
pub(super) struct Merge {
    waiting: BTreeMap<(Time, u64), (usize, Entry)>,
    count: u64,
    /// Of each source: nothing earlier comes from it.
    reached: Vec<Time>,
}

impl Merge {
    pub(super) fn source(&mut self, reached: Time) -> usize {
        self.reached.push(reached);
        self.reached.len() - 1
    }
    pub(super) fn push(&mut self, source: usize, entry: Entry) {
        self.count += 1;
        self.waiting.insert((entry.at, self.count), (source, entry));
    }
    pub(super) fn reach(&mut self, source: usize, until: Time) {
        self.reached[source] = self.reached[source].max(until);
    }
    pub(super) fn pop(&mut self) -> Option<(usize, Entry)> {
        let until = self.reached();
        let first = self.waiting.first_entry()?;
        (first.key().0 < until).then(|| first.remove())
    }
    pub(super) fn reached(&self) -> Time {
        self.reached.iter().copied().min().unwrap_or(Time::MAX)
    }
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }
}
