//! Packets that wait until nothing more is to be learned of their ties.

use std::collections::VecDeque;

use sockwire::{
    event::{Entry, Event},
    time::{SECOND, Time},
    timeline::{join::Join, known::Known, seen::Reader},
};

/// A packet waits so long, in nanoseconds of the log's time.
const LONG: i64 = SECOND;
/// So many packets wait at most.
const MOST: usize = 20_000;

/// A log as far as it was read, its ties, and the packets that wait.
#[derive(Default)]
pub(super) struct Settling {
    pub(super) known: Known,
    pub(super) join: Join,
    reader: Reader,
    waiting: VecDeque<Entry>,
    now: Option<Time>,
}

impl Settling {
    /// Takes the next entry.
    pub(super) fn push(&mut self, entry: &Entry) {
        self.known.push(entry);
        let seen = self.reader.read(entry, &self.known);
        self.join.push(entry, seen.as_ref(), &self.known);
        if let Event::Packet(_) = &entry.event {
            self.waiting.push_back(entry.clone());
        }
        self.now = self.now.max(Some(entry.at));
        if let Event::End(_) = &entry.event {
            self.finish();
        }
    }

    /// There are no more entries: no packet waits any more.
    pub(super) fn finish(&mut self) {
        self.now = Some(Time::MAX);
    }

    /// The next packet that has waited long enough.
    pub(super) fn settled(&mut self) -> Option<Entry> {
        let first = self.waiting.front()?;
        let is_old = self.now.is_some_and(|now| now.since(first.at) >= LONG);
        if is_old || self.waiting.len() > MOST {
            return self.waiting.pop_front();
        }
        None
    }
}
