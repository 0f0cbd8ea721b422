//! What lights up together: a packet, the calls that caused it and the calls that got its data, each with the class `pN`.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
};

use super::Block;
use crate::track::story::{Call, Chapter, Item, What};

/// The first packet of each row that calls of its flow have to do with, and the last one.
pub(super) struct Ties(BTreeMap<u64, u64>);

impl Ties {
    pub(super) fn of(chapter: &Chapter) -> Self {
        let rows = chapter.items.iter().filter_map(|item| match item {
            Item::Row(row) => match row.what {
                What::Run { last, .. } => Some((row.number, last)),
                _ => Some((row.number, row.number)),
            },
            _ => None,
        });
        let mut ties = Self(rows.collect());
        let calls = chapter.items.iter().filter_map(|item| match item {
            Item::Call(call) => Some(ties.call(call)),
            _ => None,
        });
        let tied: BTreeSet<u64> = calls.flatten().collect();
        ties.0.retain(|number, _| tied.contains(number));
        ties
    }

    /// Those of a row or a call.
    pub(super) fn item(&self, item: &Item) -> BTreeSet<u64> {
        match item {
            Item::Call(call) => self.call(call),
            Item::Row(row) if self.0.contains_key(&row.number) => [row.number].into(),
            _ => BTreeSet::new(),
        }
    }

    fn call(&self, call: &Call) -> BTreeSet<u64> {
        let row = |packet: &u64| {
            let (first, last) = self.0.range(..=packet).next_back()?;
            (packet <= last).then_some(*first)
        };
        call.packets.iter().flatten().filter_map(row).collect()
    }
}

/// The classes of a part.
pub(super) fn classes(block: &Block) -> String {
    let mut classes = block.class.clone();
    for number in &block.ties {
        // Writing to a String cannot fail.
        let _ = write!(classes, " p{number}");
    }
    classes
}

/// The style sheet by which parts light up: a rectangle behind each of them that is otherwise not seen.
pub(super) fn style(blocks: &[Block]) -> String {
    let tied: BTreeSet<u64> = blocks
        .iter()
        .flat_map(|block| &block.ties)
        .copied()
        .collect();
    if tied.is_empty() {
        return String::new();
    }
    let lit = tied
        .iter()
        .map(|number| format!("svg:has(.p{number}:is(:hover,:focus)) .p{number} .tie"));
    let lit = lit.collect::<Vec<_>>().join(",\n");
    format!(".tie{{fill:none;pointer-events:all}}\n{lit}{{fill:#f5c51855}}\n")
}
