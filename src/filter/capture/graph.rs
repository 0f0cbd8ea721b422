//! Conditions, and the graph of tests that decides them: every test knows where to go when it holds and when not.
//!
//! A test that the tests before it have decided is passed by on that path. That is safe because it was about the same
//! value: what it would load has been loaded already, so no packet is too short for it.

use std::collections::HashMap;

use super::{
    Note,
    values::{Value, Values},
};

/// How a test compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Compare {
    Equal,
    Greater,
    GreaterOrEqual,
    /// One of these bits is set.
    AnyBit,
}

/// With what a test compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Operand {
    Number(u32),
    Value(Value),
}

/// A comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Test {
    pub(super) value: Value,
    pub(super) compare: Compare,
    pub(super) operand: Operand,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Join {
    And,
    Or,
}

/// A condition; its tests are done in the order in which they stand here.
#[derive(Clone, Debug)]
pub(super) enum Cond {
    Const(bool),
    Test(Test, Note),
    /// Writes a word of scratch memory, and holds.
    Store {
        word: u8,
        value: Value,
        note: Note,
    },
    Not(Box<Self>),
    /// Both joins are equally strong and bind from the left.
    Chain(Box<Self>, Vec<(Join, Self)>),
}

impl Cond {
    pub(super) fn and(self, next: Self) -> Self {
        match (self, next) {
            (Self::Const(true), next) => next,
            (Self::Const(false), _) => Self::Const(false),
            (first, Self::Const(true)) => first,
            (first, next) => first.join(Join::And, next),
        }
    }

    pub(super) fn or(self, next: Self) -> Self {
        match (self, next) {
            (Self::Const(false), next) => next,
            (Self::Const(true), _) => Self::Const(true),
            (first, Self::Const(false)) => first,
            (first, next) => first.join(Join::Or, next),
        }
    }

    fn join(self, join: Join, next: Self) -> Self {
        match self {
            Self::Chain(first, mut rest) => {
                rest.push((join, next));
                Self::Chain(first, rest)
            }
            first => Self::Chain(Box::new(first), vec![(join, next)]),
        }
    }
}

impl std::ops::Not for Cond {
    type Output = Self;

    fn not(self) -> Self {
        match self {
            Self::Const(holds) => Self::Const(!holds),
            Self::Not(inner) => *inner,
            other => Self::Not(Box::new(other)),
        }
    }
}

/// A place in the graph. What a node leads to has lower numbers than itself.
pub(super) type Id = usize;
/// Where wanted and unwanted packets end.
pub(super) const REJECT: Id = 0;
pub(super) const ACCEPT: Id = 1;

/// What happens at a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Node {
    End,
    Test { test: Test, holds: Id, fails: Id },
    Store { word: u8, value: Value, next: Id },
}

/// The graph of a condition.
#[derive(Debug)]
pub(super) struct Graph {
    pub(super) nodes: Vec<Node>,
    /// What each node is about.
    pub(super) notes: Vec<Note>,
    pub(super) entry: Id,
    known: HashMap<Node, Id>,
}

/// How far a path is followed past tests that are decided: long enough for any filter that people write.
const FAR: usize = 1024;
/// How many facts are remembered on a path.
const FACTS: usize = 24;

/// What the tests on every path to a place have decided, latest last.
type Facts = Vec<(Test, bool)>;

impl Graph {
    pub(super) fn new(cond: &Cond, values: &Values) -> Self {
        let end = Note {
            span: 0..0,
            what: "",
        };
        let mut graph = Self {
            nodes: vec![Node::End; 2],
            notes: vec![end; 2],
            entry: REJECT,
            known: HashMap::new(),
        };
        graph.entry = graph.place(cond, ACCEPT, REJECT);
        graph.pass_by(values);
        graph.drop_undecided();
        graph
    }

    /// Places a condition that leads to `holds` or `fails`.
    fn place(&mut self, cond: &Cond, holds: Id, fails: Id) -> Id {
        match cond {
            Cond::Const(true) => holds,
            Cond::Const(false) => fails,
            Cond::Not(inner) => self.place(inner, fails, holds),
            Cond::Chain(first, rest) => {
                let (mut holds, mut fails) = (holds, fails);
                for (join, cond) in rest.iter().rev() {
                    let id = self.place(cond, holds, fails);
                    match join {
                        Join::And => holds = id,
                        Join::Or => fails = id,
                    }
                }
                self.place(first, holds, fails)
            }
            Cond::Test(..) if holds == fails => holds,
            &Cond::Test(test, ref note) => self.add(Node::Test { test, holds, fails }, note),
            &Cond::Store {
                word,
                value,
                ref note,
            } => {
                let next = holds;
                self.add(Node::Store { word, value, next }, note)
            }
        }
    }

    fn add(&mut self, node: Node, note: &Note) -> Id {
        if let Some(id) = self.known.get(&node) {
            return *id;
        }
        self.nodes.push(node);
        self.notes.push(note.clone());
        let id = self.nodes.len() - 1;
        self.known.insert(node, id);
        id
    }

    /// Leads each path past the tests that it has decided.
    fn pass_by(&mut self, values: &Values) {
        let mut facts: Vec<Option<Facts>> = vec![None; self.nodes.len()];
        facts[self.entry] = Some(Vec::new());
        for id in (ACCEPT + 1..=self.entry).rev() {
            let Some(here) = facts[id].take() else {
                continue;
            };
            match &mut self.nodes[id] {
                Node::End => {}
                Node::Store { word, next, .. } => {
                    let (word, next) = (*word, *next);
                    let mut here = here;
                    here.retain(|(test, _)| !test.reads(values, word));
                    merge(&mut facts[next], here);
                }
                &mut Node::Test { test, holds, fails } => {
                    let mut go = |target, outcome| {
                        let mut there = here.clone();
                        there.push((test, outcome));
                        if there.len() > FACTS {
                            there.remove(0);
                        }
                        let target = self.follow(target, &there);
                        merge(&mut facts[target], there);
                        target
                    };
                    let (holds, fails) = (go(holds, true), go(fails, false));
                    self.nodes[id] = Node::Test { test, holds, fails };
                }
            }
        }
    }

    /// The first place from `target` on whose test is not decided.
    fn follow(&self, mut target: Id, facts: &Facts) -> Id {
        for _ in 0..FAR {
            let Node::Test { test, holds, fails } = self.nodes[target] else {
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

    /// Drops tests whose outcome makes no difference.
    fn drop_undecided(&mut self) {
        let mut goes: Vec<Id> = (0..self.nodes.len()).collect();
        for id in ACCEPT + 1..self.nodes.len() {
            match &mut self.nodes[id] {
                Node::End => {}
                Node::Store { next, .. } => *next = goes[*next],
                Node::Test { holds, fails, .. } => {
                    (*holds, *fails) = (goes[*holds], goes[*fails]);
                    if holds == fails {
                        goes[id] = *holds;
                    }
                }
            }
        }
        self.entry = goes[self.entry];
    }
}

impl Test {
    fn reads(&self, values: &Values, word: u8) -> bool {
        values.reads(self.value, word)
            || matches!(self.operand, Operand::Value(value) if values.reads(value, word))
    }
}

/// Keeps what holds on all paths to a place.
fn merge(known: &mut Option<Facts>, here: Facts) {
    match known {
        Some(known) => known.retain(|fact| here.contains(fact)),
        None => *known = Some(here),
    }
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
