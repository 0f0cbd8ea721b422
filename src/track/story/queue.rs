//! Rows in order of time, held back while the next packets may still show more of them; never told twice.

use std::collections::VecDeque;

use super::{
    flow::foldable,
    item::{Fate, Header, Item, Row, Side, What},
};
use crate::{
    time::Time,
    track::{flow::FlowKey, state::State},
};

/// The most rows held back.
pub(super) const LONGEST: usize = 4096;
/// Data segments in a row that are told one by one, before folding begins.
const UNFOLDED: u32 = 4;

/// Why a row waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hold {
    /// It does not.
    Ready,
    /// The answer shows the state of the far end; until this time.
    Until(Time),
    /// More data may be folded into it; until this time.
    Fold(Time),
    /// It is on its way.
    Fate,
}

/// An item in the queue.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) key: FlowKey,
    pub(super) header: Header,
    /// Nothing marks the end of the flow.
    pub(super) item: Option<Item>,
    hold: Hold,
}

/// The queue.
#[derive(Debug, Default)]
pub(super) struct Queue {
    entries: VecDeque<Entry>,
    /// The place of the first entry, counted from the beginning of the story.
    first: u64,
}

impl Queue {
    /// Adds an item; returns its place.
    pub(super) fn push(
        &mut self,
        key: FlowKey,
        header: &Header,
        item: Option<Item>,
        hold: Hold,
    ) -> u64 {
        if let Some(last) = self.entries.back_mut()
            && matches!(last.hold, Hold::Fold(_))
        {
            last.hold = Hold::Ready;
        }
        if self.entries.len() >= LONGEST
            && let Some(first) = self.entries.front_mut()
        {
            first.hold = Hold::Ready;
        }
        self.entries.push_back(Entry {
            key,
            header: header.clone(),
            item,
            hold,
        });
        self.first + self.entries.len() as u64 - 1
    }

    /// The first item, when it waits no longer; without a time, in any case.
    pub(super) fn pop(&mut self, now: Option<Time>) -> Option<Entry> {
        let waits = match (self.entries.front()?.hold, now) {
            (Hold::Ready, _) | (_, None) => false,
            (Hold::Until(time) | Hold::Fold(time), Some(now)) => time >= now,
            (Hold::Fate, Some(_)) => true,
        };
        if waits {
            return None;
        }
        self.first += 1;
        self.entries.pop_front()
    }

    /// The row at a place, while it is held back.
    pub(super) fn row_mut(&mut self, place: u64) -> Option<&mut Row> {
        match &mut self.entry_mut(place)?.item {
            Some(Item::Row(row)) => Some(row),
            _ => None,
        }
    }

    /// The row at a place waits no longer.
    pub(super) fn release(&mut self, place: u64) {
        if let Some(entry) = self.entry_mut(place) {
            entry.hold = Hold::Ready;
        }
    }

    /// Keeps the row at a place, which has arrived, until the answer shows the far end's state, or `until`; false where the
    /// answer cannot show it.
    pub(super) fn wait_for_far_state(&mut self, place: u64, until: Time) -> bool {
        let Some(entry) = self.entry_mut(place) else {
            return false;
        };
        let waits = matches!(&entry.item, Some(Item::Row(row)) if waits_for_far_state(row));
        if waits {
            entry.hold = Hold::Until(until);
        }
        waits
    }

    /// The far end's state in a row, now that it is known.
    pub(super) fn settle(&mut self, place: u64, state: State) {
        if let Some(row) = self.row_mut(place)
            && let Some(states) = &mut row.states
        {
            states[Side::Server as usize] = state;
        }
        self.release(place);
    }

    /// Merges data, or an acknowledgment between data, into the row before it. `run` is the data in a row so far.
    pub(super) fn fold(&mut self, run: &mut (Side, u32), header: &Header, row: &Row) -> bool {
        let Some(tcp) = foldable(row) else {
            *run = (row.from, 0);
            return false;
        };
        let is_data = tcp.len > 0;
        if is_data {
            let count = if run.0 == row.from { run.1 } else { 0 };
            *run = (row.from, count.saturating_add(1));
        } else if run.0 == row.from {
            run.1 = 0;
        }
        let Some(last) = self.entries.back_mut() else {
            return false;
        };
        let Some(Item::Row(held)) = &mut last.item else {
            return false;
        };
        let Hold::Fold(until) = last.hold else {
            return false;
        };
        let fits = last.header.label == header.label
            && row.sent <= until
            && (is_data == (held.from == row.from));
        if !fits {
            return false;
        }
        let (mut segments, mut bytes, mut acks) = match &held.what {
            What::Run {
                segments,
                bytes,
                acks,
                ..
            } => (*segments, *bytes, *acks),
            What::Segment(first) => (1, u64::from(first.len), 0),
            _ => return false,
        };
        if is_data {
            segments += 1;
            bytes += u64::from(tcp.len);
        } else {
            acks += 1;
        }
        held.what = What::Run {
            segments,
            bytes,
            acks,
            last: row.number,
        };
        held.states = row.states;
        true
    }

    /// When the first row in it was sent.
    pub(super) fn held_since(&self) -> Option<Time> {
        self.entries.iter().find_map(|entry| match &entry.item {
            Some(Item::Row(row)) => Some(row.sent),
            _ => None,
        })
    }

    fn entry_mut(&mut self, place: u64) -> Option<&mut Entry> {
        let at = usize::try_from(place.checked_sub(self.first)?).ok()?;
        self.entries.get_mut(at)
    }
}

/// A row whose far state the answer will show: a SYN to an end of which nothing is known.
pub(super) fn waits_for_far_state(row: &Row) -> bool {
    matches!(row.fate, Fate::Seen | Fate::Delivered(_))
        && row.from == Side::Client
        && matches!(&row.what, What::Segment(tcp) if tcp.syn)
        && row
            .states
            .is_some_and(|states| states[Side::Server as usize] == State::Unknown)
}

/// A data row that later data may be merged into.
pub(super) fn opens_fold(run: (Side, u32), row: &Row) -> bool {
    run.1 > UNFOLDED && foldable(row).is_some_and(|tcp| tcp.len > 0)
}
