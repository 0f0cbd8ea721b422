//! Entries of several sources in one order of time, each given out when nothing earlier can come any more.

use std::collections::VecDeque;

use crate::{
    event::{Entry, Event},
    time::Time,
};

/// One source: what it told and was not given out, in order of time.
#[derive(Debug)]
struct Source {
    entries: VecDeque<Entry>,
    /// Nothing before this is to come.
    watermark: Time,
}

/// Merges what sources tell. Each tells roughly in order of time, and says how far it has come.
#[derive(Debug)]
pub struct Merge {
    sources: Vec<Source>,
    held: usize,
    most: usize,
    latest: Time,
}

impl Merge {
    /// For so many sources; at most `most` entries are held back, then the earliest is given out whatever may come.
    pub fn new(sources: usize, most: usize) -> Self {
        let mut merge = Self {
            sources: Vec::new(),
            held: 0,
            most,
            latest: Time::from_nanos(i64::MIN),
        };
        for _ in 0..sources {
            merge.add();
        }
        merge
    }

    /// One more source, which has nothing to tell of the time before the last entry given out. Returns its number,
    /// counted from 0.
    pub fn add(&mut self) -> usize {
        self.sources.push(Source {
            entries: VecDeque::new(),
            watermark: self.latest,
        });
        self.sources.len() - 1
    }

    /// A source tells something. Of one source, entries with equal times stay in the order in which they were told.
    pub fn push(&mut self, source: usize, entry: Entry) {
        let Some(source) = self.sources.get_mut(source) else {
            return;
        };
        let last = source.entries.back();
        if last.is_none_or(|last| last.at <= entry.at) {
            source.entries.push_back(entry);
        } else {
            let place = source.entries.partition_point(|e| e.at <= entry.at);
            source.entries.insert(place, entry);
        }
        self.held += 1;
    }

    /// Nothing before `time` is to come from this source; [`Time::MAX`] when it has ended.
    pub fn advance(&mut self, source: usize, time: Time) {
        if let Some(source) = self.sources.get_mut(source) {
            source.watermark = source.watermark.max(time);
        }
    }

    /// Nothing before this is to come from any source.
    pub fn reached(&self) -> Time {
        let all = self.sources.iter().map(|source| source.watermark);
        all.min().unwrap_or(self.latest)
    }

    /// The next entry, if it is certain that it is the next. Of several at the same time a call is entered before a packet
    /// crosses, and a packet crosses before a call returns.
    pub fn pop(&mut self) -> Option<Entry> {
        let heads = self.sources.iter().enumerate();
        let (at, _, first) = heads
            .filter_map(|(place, source)| {
                let entry = source.entries.front()?;
                Some((entry.at, rank(&entry.event), place))
            })
            .min()?;
        let certain = |(place, source): (usize, &Source)| {
            source.watermark > at || place == first && source.watermark == at
        };
        if self.held <= self.most && !self.sources.iter().enumerate().all(certain) {
            return None;
        }
        let entry = self.sources.get_mut(first)?.entries.pop_front()?;
        self.held -= 1;
        self.latest = self.latest.max(entry.at);
        Some(entry)
    }

    /// Entries held back.
    pub fn held(&self) -> usize {
        self.held
    }
}

/// What comes first of entries at the same time: what others refer to, causes, packets, effects.
const fn rank(event: &Event) -> u8 {
    match event {
        Event::Begin(_) => 0,
        Event::Net(_) | Event::Interface(_) | Event::Process(_) | Event::Socket(_) => 1,
        Event::Enter(_) => 2,
        Event::Packet(_) => 3,
        Event::Arrival(_) => 4,
        Event::Exec(_) | Event::Return(_) | Event::Exit(_) | Event::Note(_) => 5,
        Event::End(_) => 6,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::event::{Arrival, Note};
    use proptest::prelude::*;

    fn arrival(at: i64, packet: u64) -> Entry {
        Entry {
            at: Time::from_nanos(at),
            event: Event::Arrival(Arrival {
                packet,
                again: false,
            }),
        }
    }

    fn note(at: i64) -> Entry {
        Entry {
            at: Time::from_nanos(at),
            event: Event::Note(Note {
                process: None,
                text: String::new(),
            }),
        }
    }

    fn all(merge: &mut Merge) -> Vec<i64> {
        std::iter::from_fn(|| merge.pop())
            .map(|e| e.at.nanos())
            .collect()
    }

    #[test]
    fn nothing_comes_out_before_every_source_has_come_so_far() {
        let mut merge = Merge::new(2, 100);
        merge.push(0, arrival(10, 1));
        merge.push(0, arrival(20, 2));
        merge.advance(0, Time::from_nanos(20));
        assert!(all(&mut merge).is_empty());
        merge.advance(1, Time::from_nanos(20));
        assert_eq!(merge.reached(), Time::from_nanos(20));
        // Something at 20 may still come from the second source.
        assert_eq!(all(&mut merge), [10]);
        merge.push(1, arrival(20, 3));
        merge.advance(1, Time::MAX);
        merge.advance(0, Time::MAX);
        assert_eq!(all(&mut merge), [20, 20]);
        assert_eq!((merge.held(), merge.reached()), (0, Time::MAX));
    }

    #[test]
    fn at_the_same_time_packets_come_before_returns() {
        let mut merge = Merge::new(2, 100);
        merge.push(0, note(5));
        merge.push(1, arrival(5, 1));
        for source in 0..2 {
            merge.advance(source, Time::MAX);
        }
        assert!(matches!(merge.pop().unwrap().event, Event::Arrival(_)));
        assert!(matches!(merge.pop().unwrap().event, Event::Note(_)));
    }

    #[test]
    fn a_source_that_stands_still_cannot_hold_back_everything() {
        let mut merge = Merge::new(2, 3);
        for at in 1..=5 {
            merge.push(0, arrival(at, 1));
        }
        assert_eq!(all(&mut merge), [1, 2]);
        merge.push(1, arrival(1, 1));
        assert_eq!(all(&mut merge), [1]);
    }

    proptest! {
        #[test]
        fn everything_comes_out_once_in_order_of_time(told in prop::collection::vec((0usize..3, 0i64..50, 0i64..10), 0..60)) {
            let mut merge = Merge::new(3, 1000);
            let (mut marks, mut out, mut expected) = ([0i64; 3], Vec::new(), Vec::new());
            for (source, ahead, step) in told {
                let at = marks[source] + ahead;
                expected.push(at);
                merge.push(source, arrival(at, 1));
                marks[source] += step;
                merge.advance(source, Time::from_nanos(marks[source]));
                out.extend(all(&mut merge));
            }
            for source in 0..3 {
                merge.advance(source, Time::MAX);
            }
            out.extend(all(&mut merge));
            expected.sort_unstable();
            prop_assert_eq!(out, expected);
        }
    }
}
