//! Which positions of a stream are known: ranges that grow together where they touch.

use std::{collections::BTreeMap, ops::Range};

/// Ranges that neither overlap nor touch, by where they begin.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ranges(BTreeMap<i64, i64>);

impl Ranges {
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Where the last range ends.
    pub(crate) fn end(&self) -> Option<i64> {
        self.0.last_key_value().map(|(_, &end)| end)
    }

    /// All positions of all ranges, counted.
    pub(crate) fn total(&self) -> u64 {
        self.0.iter().map(|(start, end)| (end - start) as u64).sum()
    }

    /// A range overlaps this one, or ends or begins where it does.
    pub(crate) fn touches(&self, range: &Range<i64>) -> bool {
        let before = self.0.range(..=range.end).next_back();
        before.is_some_and(|(_, &end)| end >= range.start)
    }

    /// Adds a range, and hands over the parts of it that were not known. The work is shared out over the ranges that
    /// grow together here: those are gone afterwards.
    pub(crate) fn add(&mut self, range: Range<i64>, mut fresh: impl FnMut(Range<i64>)) {
        if range.is_empty() {
            return;
        }
        let (mut start, mut end, mut known) = (range.start, range.end, range.start);
        let before = self.0.range(..=range.start).next_back();
        if let Some((&first, &last)) = before.filter(|(_, last)| **last >= range.start) {
            if last >= range.end {
                return;
            }
            (start, known) = (first, last);
        }
        while known < range.end {
            let next = self.0.range(known + 1..=range.end).next();
            let Some((&first, &last)) = next else {
                break;
            };
            fresh(known..first);
            self.0.remove(&first);
            end = end.max(last);
            known = last;
        }
        if known < range.end {
            fresh(known..range.end);
        }
        self.0.insert(start, end);
    }

    /// The parts of `within` that are known, in order.
    pub(crate) fn within(&self, within: Range<i64>) -> impl Iterator<Item = Range<i64>> {
        let from = self.0.range(..=within.start).next_back();
        let from = from.map_or(within.start, |(&first, _)| first);
        let upto = from.max(within.end);
        self.0
            .range(from..upto)
            .map(move |(&first, &last)| first.max(within.start)..last.min(within.end))
            .filter(|part| !part.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_position_is_fresh_once(added in prop::collection::vec((0i64..60, 0i64..20), 0..30)) {
            let mut ranges = Ranges::default();
            let mut known = [false; 80];
            for (start, len) in added {
                let range = start..start + len;
                let touches = !range.is_empty()
                    && (start - 1..=start + len).any(|at| {
                        (0..80).contains(&at) && known[at as usize]
                    });
                if len > 0 {
                    prop_assert_eq!(ranges.touches(&range), touches);
                }
                let mut fresh = Vec::new();
                ranges.add(range.clone(), |part| fresh.extend(part));
                let wanted: Vec<i64> = range.filter(|at| !known[*at as usize]).collect();
                prop_assert_eq!(&fresh, &wanted);
                for at in wanted {
                    known[at as usize] = true;
                }
                prop_assert_eq!(ranges.total(), known.iter().filter(|k| **k).count() as u64);
                let parts: Vec<i64> = ranges.within(10..50).flatten().collect();
                let wanted: Vec<i64> = (10..50).filter(|at| known[*at as usize]).collect();
                prop_assert_eq!(parts, wanted);
            }
        }
    }
}
