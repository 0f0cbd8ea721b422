//! A log taken entry by entry: what becomes known, how packets and calls are tied, and the rows of a view.

use super::{
    join::Join,
    known::Known,
    row::Row,
    rows::{Folding, Rows},
    seen::Reader,
};
use crate::{event::Entry, time::Time};

/// A log on its way to a view.
#[derive(Debug)]
pub struct Timeline {
    known: Known,
    join: Join,
    reader: Reader,
    rows: Rows,
    /// Ties of what is long past are forgotten.
    forgets: bool,
}

/// So many packets, and calls, a row may look back.
const BEHIND: u64 = 65_536;

impl Timeline {
    /// Nothing is known yet.
    pub fn new(folding: Folding) -> Self {
        Self {
            known: Known::default(),
            join: Join::default(),
            reader: Reader::default(),
            rows: Rows::new(folding),
            forgets: false,
        }
    }

    /// The same for a view that draws rows as they come: what it needs of memory does not grow with the log.
    pub fn passing(folding: Folding) -> Self {
        Self {
            forgets: true,
            ..Self::new(folding)
        }
    }

    /// Takes the next entry; rows whose turn has come are appended to `ready`.
    pub fn push(&mut self, entry: &Entry, ready: &mut Vec<Row>) {
        self.quiet(entry.at, ready);
        self.known.push(entry);
        let seen = self.reader.read(entry, &self.known);
        self.join.push(entry, seen.as_ref(), &self.known);
        self.rows.push(entry, seen, &self.known, &self.join);
        if self.forgets {
            self.join.forget(entry, BEHIND);
        }
    }

    /// Nothing before `until` is to come: shows what has its turn by then, as the next entry would.
    pub fn quiet(&mut self, until: Time, ready: &mut Vec<Row>) {
        self.rows.quiet(until, &self.known, &self.join, ready);
    }

    /// The log has ended: all rows that are left.
    pub fn finish(&mut self, ready: &mut Vec<Row>) {
        self.rows.finish(&self.known, &self.join, ready);
    }

    /// Ties so far; of a [`Timeline::passing`] one, those of late.
    pub fn join(&self) -> &Join {
        &self.join
    }

    /// What is known so far.
    pub fn known(&self) -> &Known {
        &self.known
    }
}
