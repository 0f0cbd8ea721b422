//! Leads every path of a graph past the tests that it has decided already.
//!
//! A test that is passed by was about a value that a test before it was about: what it would load has been loaded on that
//! path, so no packet is too short for it.

use std::collections::HashMap;

use super::{
    graph::{ACCEPT, Compare, Graph, Id, Node, Operand, Test},
    values::{Value, Values},
};

/// How far a path is followed past tests that are decided: long enough for any filter that people write.
const FAR: usize = 1024;
/// How many facts are remembered on a path.
const FACTS: usize = 32;

/// What the tests on every path to a place have decided.
type Facts = Vec<(Test, bool)>;

/// One of the states in which paths come to a place.
type Arrival = (Id, usize);

/// For each place, the states in which paths come to it. With more of them, more is decided, and less is shared.
struct States {
    breadth: usize,
    of: Vec<Vec<Facts>>,
    /// The lowest place that tests a value: below it, nothing on the value is worth knowing.
    last_of_value: HashMap<Value, Id>,
    last_of_test: HashMap<Test, Id>,
}

impl Graph {
    /// The same decisions, with each place split into at most `breadth` copies by what is known there.
    pub(super) fn with_paths_decided(&self, values: &Values, breadth: usize) -> Self {
        let mut states = States::new(self, breadth);
        let mut ways: Vec<Vec<[Arrival; 2]>> = vec![Vec::new(); self.nodes.len()];
        let entry = states.arrive(self, self.entry, Vec::new());
        for id in (ACCEPT + 1..self.nodes.len()).rev() {
            for here in std::mem::take(&mut states.of[id]) {
                ways[id].push(match self.nodes[id] {
                    Node::End => [(id, 0); 2],
                    Node::Store { word, next, .. } => {
                        let mut there = here;
                        there.retain(|(test, _)| test.words(values) & 1 << word == 0);
                        [states.arrive(self, next, there); 2]
                    }
                    Node::Test { test, holds, fails } => {
                        [(holds, true), (fails, false)].map(|(target, outcome)| {
                            let mut there = here.clone();
                            learn(&mut there, test, outcome);
                            states.arrive(self, target, there)
                        })
                    }
                });
            }
        }
        let mut split = Self::empty();
        let mut places: Vec<Vec<Id>> = (0..self.nodes.len()).map(|id| vec![id]).collect();
        for (id, ways) in ways.into_iter().enumerate().skip(ACCEPT + 1) {
            places[id] = ways
                .into_iter()
                .map(|way| {
                    let [holds, fails] = way.map(|(id, state)| places[id][state]);
                    let node = match self.nodes[id] {
                        Node::Test { test, .. } => Node::Test { test, holds, fails },
                        Node::Store { word, value, .. } => Node::Store {
                            word,
                            value,
                            next: holds,
                        },
                        Node::End => Node::End,
                    };
                    split.add(node, &self.notes[id])
                })
                .collect();
        }
        split.entry = places[entry.0][entry.1];
        split
    }
}

impl States {
    fn new(graph: &Graph, breadth: usize) -> Self {
        let mut states = Self {
            breadth,
            of: vec![Vec::new(); graph.nodes.len()],
            last_of_value: HashMap::new(),
            last_of_test: HashMap::new(),
        };
        for (id, node) in graph.nodes.iter().enumerate() {
            if let Node::Test { test, .. } = *node {
                states.last_of_value.entry(test.value).or_insert(id);
                states.last_of_test.entry(test).or_insert(id);
            }
        }
        states
    }

    /// A path leads to `target` knowing `facts`: where it comes to, past the tests that they decide.
    fn arrive(&mut self, graph: &Graph, target: Id, mut facts: Facts) -> Arrival {
        let id = follow(graph, target, &facts);
        if id <= ACCEPT {
            return (id, 0);
        }
        facts.retain(|fact| self.matters(fact, id));
        facts.sort_unstable();
        let known = &mut self.of[id];
        if let Some(state) = known.iter().position(|known| *known == facts) {
            return (id, state);
        }
        if known.len() < self.breadth {
            known.push(facts);
        } else if let Some(last) = known.last_mut() {
            last.retain(|fact| facts.contains(fact));
        }
        (id, known.len() - 1)
    }

    /// The fact may decide a test below this place.
    fn matters(&self, (test, outcome): &(Test, bool), id: Id) -> bool {
        let one_test = match test.compare {
            Compare::Equal => !outcome,
            Compare::AnyBit => true,
            Compare::Greater | Compare::GreaterOrEqual => false,
        };
        let last = if one_test {
            self.last_of_test.get(test)
        } else {
            self.last_of_value.get(&test.value)
        };
        last.is_some_and(|last| *last < id)
    }
}

/// Adds what the outcome of a test tells.
fn learn(facts: &mut Facts, test: Test, outcome: bool) {
    if outcome && test.compare == Compare::Equal && matches!(test.operand, Operand::Number(_)) {
        // Who knows the number knows everything about it.
        facts.retain(|(fact, _)| {
            fact.value != test.value || matches!(fact.operand, Operand::Value(_))
        });
    }
    if facts.len() >= FACTS {
        // What a value is not tells less than what one is.
        let least = facts.iter().position(|(_, outcome)| !outcome);
        facts.remove(least.unwrap_or(0));
    }
    facts.push((test, outcome));
}

/// The first place from `target` on whose test is not decided.
fn follow(graph: &Graph, mut target: Id, facts: &Facts) -> Id {
    for _ in 0..FAR {
        let Node::Test { test, holds, fails } = graph.nodes[target] else {
            break;
        };
        match decide(&test, facts) {
            Some(true) => target = holds,
            Some(false) => target = fails,
            None => break,
        }
    }
    target
}

/// What the facts say of a test, if they decide it.
fn decide(test: &Test, facts: &Facts) -> Option<bool> {
    // The smallest and the largest number that the value can be.
    let (mut low, mut high) = (0, u32::MAX);
    let mut known = false;
    for (fact, outcome) in facts.iter().filter(|(fact, _)| fact.value == test.value) {
        known = true;
        if fact == test {
            return Some(*outcome);
        }
        let Operand::Number(k) = fact.operand else {
            continue;
        };
        match (fact.compare, outcome) {
            (Compare::Equal, true) => (low, high) = (k, k),
            (Compare::Greater, true) => low = low.max(k.saturating_add(1)),
            (Compare::Greater, false) => high = high.min(k),
            (Compare::GreaterOrEqual, true) => low = low.max(k),
            (Compare::GreaterOrEqual, false) => high = high.min(k.saturating_sub(1)),
            _ => {}
        }
    }
    // `udp[8] >= 0` always holds, and still asks whether that byte is there.
    let Operand::Number(k) = test.operand else {
        return None;
    };
    match test.compare {
        _ if !known => None,
        Compare::Equal if k < low || k > high => Some(false),
        Compare::Equal if low == high => Some(true),
        Compare::Greater if low > k => Some(true),
        Compare::Greater if high <= k => Some(false),
        Compare::GreaterOrEqual if low >= k => Some(true),
        Compare::GreaterOrEqual if high < k => Some(false),
        Compare::AnyBit if low == high => Some(low & k != 0),
        _ => None,
    }
}
