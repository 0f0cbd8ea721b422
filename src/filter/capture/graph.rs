//! Conditions, and the graph of tests that decides them: every test knows where to go when it holds and when not.

use std::collections::HashMap;

use super::{
    Note,
    values::{Value, Values},
};

/// How a test compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Compare {
    Equal,
    Greater,
    GreaterOrEqual,
    /// One of these bits is set.
    AnyBit,
}

/// With what a test compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Operand {
    Number(u32),
    Value(Value),
}

/// A comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
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

impl Graph {
    pub(super) fn new(cond: &Cond) -> Self {
        let mut graph = Self::empty();
        graph.entry = graph.place(cond, ACCEPT, REJECT);
        graph
    }

    /// Both ends, and nothing that leads to them yet.
    pub(super) fn empty() -> Self {
        let end = Note {
            span: 0..0,
            what: "",
        };
        Self {
            nodes: vec![Node::End; 2],
            notes: vec![end; 2],
            entry: REJECT,
            known: HashMap::new(),
        }
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

    /// The place of a node; equal nodes are one.
    pub(super) fn add(&mut self, node: Node, note: &Note) -> Id {
        if let Some(id) = self.known.get(&node) {
            return *id;
        }
        self.nodes.push(node);
        self.notes.push(note.clone());
        let id = self.nodes.len() - 1;
        self.known.insert(node, id);
        id
    }
}

impl Test {
    /// The words of scratch memory that it reads, a bit each.
    pub(super) fn words(&self, values: &Values) -> u16 {
        let operand = match self.operand {
            Operand::Number(_) => 0,
            Operand::Value(value) => values.words(value),
        };
        values.words(self.value) | operand
    }
}
