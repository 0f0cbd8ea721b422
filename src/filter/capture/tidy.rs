//! Takes out of a graph what makes no difference, and puts tests of the same value next to each other.
//!
//! A packet that ends before a load is refused there, by libpcap as here. So nothing is taken out or moved that could fail
//! so: only what reads bytes that were read on every path to it.

use std::collections::HashMap;

use super::{
    graph::{ACCEPT, Graph, Id, Node, Operand, REJECT, Test},
    values::{Form, Value, Values},
};
use crate::bpf::{ANCILLARY, op};

/// How many starts of loads are remembered.
const STARTS: usize = 32;

/// How far the packet was read on every path to a place: by what is added to the place of a load, the end of the last byte.
#[derive(Clone, Debug, Default)]
struct Read(Vec<(Option<Value>, u32)>);

impl Read {
    /// Computing this value cannot end the program.
    fn has(&self, values: &Values, value: Value) -> bool {
        let reaches = |start, end| {
            let mut known = self.0.iter();
            known.any(|(x, known)| *x == start && *known >= end)
        };
        match values.form(value) {
            Form::Number(_) | Form::Length | Form::Word(_) => true,
            Form::HeaderLength(k) => reaches(None, k + 1),
            Form::Load { k, .. } if k >= ANCILLARY => reaches(Some(value), 0),
            Form::Load { size, k, x } => {
                reaches(x, k + u32::from(size)) && x.is_none_or(|x| self.has(values, x))
            }
            Form::Negate(inner) => self.has(values, inner),
            Form::Binary { code, left, right } => {
                let divides = matches!(code, op::DIV_K | op::MOD_K);
                self.has(values, left)
                    && self.has(values, right)
                    && (!divides || values.number(right).is_some())
            }
        }
    }

    /// The value was computed.
    fn add(&mut self, values: &Values, value: Value) {
        match values.form(value) {
            Form::Number(_) | Form::Length | Form::Word(_) => {}
            Form::HeaderLength(k) => self.reach(None, k + 1),
            Form::Load { k, .. } if k >= ANCILLARY => self.reach(Some(value), 0),
            Form::Load { size, k, x } => {
                if let Some(x) = x {
                    self.add(values, x);
                }
                self.reach(x, k + u32::from(size));
            }
            Form::Negate(inner) => self.add(values, inner),
            Form::Binary { left, right, .. } => {
                self.add(values, left);
                self.add(values, right);
            }
        }
    }

    fn reach(&mut self, start: Option<Value>, end: u32) {
        match self.0.iter_mut().find(|(x, _)| *x == start) {
            Some((_, known)) => *known = end.max(*known),
            None => {
                if self.0.len() >= STARTS {
                    self.0.remove(0);
                }
                self.0.push((start, end));
            }
        }
    }

    fn has_both(&self, values: &Values, test: &Test) -> bool {
        let operand = match test.operand {
            Operand::Number(_) => true,
            Operand::Value(value) => self.has(values, value),
        };
        operand && self.has(values, test.value)
    }

    fn add_both(&mut self, values: &Values, test: &Test) {
        self.add(values, test.value);
        if let Operand::Value(value) = test.operand {
            self.add(values, value);
        }
    }

    /// Keeps what holds on all paths to a place.
    fn merge(known: &mut Option<Self>, here: Self) {
        let Some(known) = known else {
            *known = Some(here);
            return;
        };
        known.0.retain_mut(|(start, end)| {
            let other = here.0.iter().find(|(x, _)| x == start);
            *end = (*end).min(other.map_or(0, |(_, end)| *end));
            other.is_some()
        });
    }
}

impl Graph {
    /// How far the packet was read where each node begins; nothing for nodes that no path leads to.
    fn reads(&self, values: &Values) -> Vec<Option<Read>> {
        let mut reads: Vec<Option<Read>> = vec![None; self.nodes.len()];
        reads[self.entry] = Some(Read::default());
        for id in (ACCEPT + 1..=self.entry).rev() {
            let Some(mut here) = reads[id].clone() else {
                continue;
            };
            match self.nodes[id] {
                Node::End => {}
                Node::Store { word, value, next } => {
                    here.add(values, value);
                    here.0
                        .retain(|(x, _)| x.is_none_or(|x| values.words(x) & 1 << word == 0));
                    Read::merge(&mut reads[next], here);
                }
                Node::Test { test, holds, fails } => {
                    here.add_both(values, &test);
                    Read::merge(&mut reads[holds], here.clone());
                    Read::merge(&mut reads[fails], here);
                }
            }
        }
        reads
    }

    /// The same decisions without tests whose outcome makes no difference, and without words that nobody reads.
    pub(super) fn without_the_needless(&self, values: &Values) -> Self {
        let reads = self.reads(values);
        let mut kept = Self::empty();
        let mut goes: Vec<Id> = (0..self.nodes.len()).collect();
        // For each node, the words that it or one below it reads before they are written.
        let mut live = vec![0_u16; self.nodes.len()];
        for id in ACCEPT + 1..self.nodes.len() {
            let Some(read) = &reads[id] else {
                continue;
            };
            match self.nodes[id] {
                Node::End => {}
                Node::Store { word, value, next } => {
                    let needless = live[next] & 1 << word == 0 && read.has(values, value);
                    if needless || goes[next] == REJECT {
                        (goes[id], live[id]) = (goes[next], live[next]);
                        continue;
                    }
                    live[id] = live[next] & !(1 << word) | values.words(value);
                    let next = goes[next];
                    goes[id] = kept.add(Node::Store { word, value, next }, &self.notes[id]);
                }
                Node::Test { test, holds, fails } => {
                    live[id] = live[holds] | live[fails];
                    let [holds, fails] = [holds, fails].map(|id| goes[id]);
                    if holds == fails && (holds == REJECT || read.has_both(values, &test)) {
                        goes[id] = holds;
                        continue;
                    }
                    live[id] |= test.words(values);
                    goes[id] = kept.add(Node::Test { test, holds, fails }, &self.notes[id]);
                }
            }
        }
        kept.entry = goes[self.entry];
        kept
    }

    /// In rows of tests with one way out, brings tests of the same value together, so that it is loaded once.
    pub(super) fn gather(&mut self, values: &Values) {
        let reads = self.reads(values);
        let mut ways = vec![0_u32; self.nodes.len()];
        for (node, _) in self
            .nodes
            .iter()
            .zip(&reads)
            .filter(|(_, read)| read.is_some())
        {
            match *node {
                Node::End => {}
                Node::Store { next, .. } => ways[next] += 1,
                Node::Test { holds, fails, .. } => {
                    ways[holds] += 1;
                    ways[fails] += 1;
                }
            }
        }
        let mut done = vec![false; self.nodes.len()];
        for id in (ACCEPT + 1..=self.entry).rev() {
            let (Some(read), false) = (&reads[id], done[id]) else {
                continue;
            };
            let Node::Test { holds, fails, .. } = self.nodes[id] else {
                continue;
            };
            let rows = [holds, fails].map(|out| self.row(id, out, &ways));
            let [one, other] = &rows;
            let (row, out) = if one.len() >= other.len() {
                (one, holds)
            } else {
                (other, fails)
            };
            for id in row {
                done[*id] = true;
            }
            if row.len() > 2 {
                self.reorder(row, out, read.clone(), values);
            }
        }
    }

    /// The nodes from `id` on that can go to `out`, and otherwise to the next of them, which no other path leads to.
    fn row(&self, id: Id, out: Id, ways: &[u32]) -> Vec<Id> {
        let mut row = vec![id];
        let mut last = id;
        while let Some(next) = self.other_way(last, out)
            && ways[next] == 1
            && self.other_way(next, out).is_some()
        {
            row.push(next);
            last = next;
        }
        row
    }

    /// Where a test leads that can also lead to `out`.
    fn other_way(&self, id: Id, out: Id) -> Option<Id> {
        match self.nodes[id] {
            Node::Test { holds, fails, .. } if holds == out && fails != out => Some(fails),
            Node::Test { holds, fails, .. } if fails == out && holds != out => Some(holds),
            _ => None,
        }
    }

    fn reorder(&mut self, row: &[Id], out: Id, mut read: Read, values: &Values) {
        let tests: Vec<_> = row
            .iter()
            .filter_map(|id| match self.nodes[*id] {
                Node::Test { test, holds, .. } => {
                    Some((test, holds == out, self.notes[*id].clone()))
                }
                _ => None,
            })
            .collect();
        let end = row.last().and_then(|last| self.other_way(*last, out));
        let mut ordered: Vec<usize> = Vec::new();
        while let Some((test, ..)) = tests.get(ordered.len()) {
            let rest = &tests[ordered.len()..];
            // Who leaves for where a failing load leads as well may leave sooner or later.
            let free = if out == REJECT {
                rest.len()
            } else {
                let free = rest
                    .iter()
                    .position(|(test, ..)| !read.has_both(values, test));
                free.unwrap_or(rest.len())
            };
            if free == 0 {
                read.add_both(values, test);
                ordered.push(ordered.len());
                continue;
            }
            let first = ordered.len();
            let mut turns: HashMap<Value, usize> = HashMap::new();
            if let Some(last) = ordered.last() {
                turns.insert(tests[*last].0.value, 0);
            }
            let mut group: Vec<usize> = (first..first + free).collect();
            for at in &group {
                let turn = turns.len();
                turns.entry(tests[*at].0.value).or_insert(turn);
            }
            group.sort_by_key(|at| turns.get(&tests[*at].0.value));
            ordered.extend(group);
        }
        for (place, at) in ordered.into_iter().enumerate() {
            let id = row[place];
            let &(test, leaves, ref note) = &tests[at];
            let Some(next) = row.get(place + 1).copied().or(end) else {
                continue;
            };
            let (holds, fails) = if leaves { (out, next) } else { (next, out) };
            self.nodes[id] = Node::Test { test, holds, fails };
            self.notes[id] = note.clone();
        }
    }
}
