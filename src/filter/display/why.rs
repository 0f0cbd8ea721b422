//! What a display filter asks, in words, and how one packet answers each of its questions.

use std::{
    fmt::Write,
    ops::{ControlFlow, Range},
};

use super::{
    DisplayFilter,
    check::{Make, Node, Operand, Test},
    fields::Of,
    parse::{Arithmetic, Operator, Piece, To},
    run::Run,
    value::shown,
};
use crate::{layer::Packet, proto::frame::Around, text::Safe};

/// The most values that are told of one question.
const FOUND: usize = 8;

/// How one packet answers one question of a filter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reason {
    /// How deep the question lies in the expression; the whole is 0.
    pub depth: usize,
    /// Its characters in the expression.
    pub span: Range<usize>,
    /// The answer.
    pub holds: bool,
    /// What the packet has there, such as `tcp.port = 51000`: safe to show, at most 8 values.
    pub found: Vec<String>,
}

impl DisplayFilter {
    /// How the packet answers each question of the expression, the whole one first. Nothing for an empty expression.
    pub fn why(&self, packet: &Packet<'_>, around: &Around<'_>) -> Vec<Reason> {
        let mut reasons = Vec::new();
        if let Some(root) = &self.root {
            self.reason(root, 0, (packet, around), &mut reasons);
        }
        reasons
    }

    fn reason(
        &self,
        node: &Node,
        depth: usize,
        (packet, around): (&Packet<'_>, &Around<'_>),
        reasons: &mut Vec<Reason>,
    ) {
        let run = Run::new(packet, around);
        let mut found = Vec::new();
        for operand in operands(&node.test) {
            tell(operand, &run, &mut found);
        }
        let characters = |bytes: &str| bytes.chars().count();
        let start = characters(&self.expression[..node.at.start]);
        reasons.push(Reason {
            depth,
            span: start..start + characters(&self.expression[node.at.clone()]),
            holds: run.holds(node),
            found,
        });
        for part in parts(&node.test) {
            self.reason(part, depth + 1, (packet, around), reasons);
        }
    }

    /// What the filter asks, in English: one question a line, indented where they belong together.
    pub fn words(&self) -> String {
        let mut text = String::new();
        match &self.root {
            Some(root) => describe(root, 0, &mut text),
            None => text.push_str("every packet\n"),
        }
        text
    }
}

fn parts(test: &Test) -> &[Node] {
    match test {
        Test::All(parts) | Test::Any(parts) => parts,
        Test::Not(part) => std::slice::from_ref(part),
        _ => &[],
    }
}

/// What a question looks at itself.
fn operands(test: &Test) -> Vec<&Operand> {
    match test {
        Test::All(_) | Test::Any(_) | Test::Not(_) => Vec::new(),
        Test::There(operand) | Test::NotZero(operand) => vec![operand],
        Test::Compare { left, right, .. } => vec![left, right],
        Test::Matches { left, .. } => vec![left],
        Test::In { left, set, .. } => {
            let set = set
                .iter()
                .flat_map(|(first, last)| std::iter::once(first).chain(last));
            std::iter::once(left).chain(set.take(FOUND)).collect()
        }
    }
}

/// Says what the packet has for the fields in `operand`.
fn tell(operand: &Operand, run: &Run<'_, '_>, found: &mut Vec<String>) {
    match &operand.make {
        Make::Const(_) => {}
        Make::Field(source, _) => {
            let _ = run.each(operand, &mut |item| {
                if found.len() == FOUND {
                    return ControlFlow::Break(());
                }
                let value = shown(operand.class, item);
                let text = match value.is_empty() {
                    true => source.name.clone(),
                    false => format!("{} = {value}", source.name),
                };
                if !found.contains(&text) {
                    found.push(text);
                }
                ControlFlow::Continue(())
            });
        }
        make => {
            for inner in inner(make) {
                tell(inner, run, found);
            }
        }
    }
}

/// What an operand is made from.
fn inner(make: &Make) -> Vec<&Operand> {
    match make {
        Make::Const(_) | Make::Field(..) => Vec::new(),
        Make::Slice(of, _)
        | Make::Length(of)
        | Make::Count(of)
        | Make::Text(of)
        | Make::Upper(of)
        | Make::Lower(of)
        | Make::Absolute(of)
        | Make::Negative(of) => vec![of],
        Make::Greatest(of) | Make::Least(of) => of.iter().collect(),
        Make::Sum(_, left, right) => vec![left, right],
    }
}

fn describe(node: &Node, depth: usize, text: &mut String) {
    text.extend(std::iter::repeat_n("  ", depth));
    match &node.test {
        Test::All(_) => text.push_str("all of these:\n"),
        Test::Any(_) => text.push_str("any of these:\n"),
        Test::Not(_) => text.push_str("not this:\n"),
        leaf => {
            question(leaf, text);
            text.push('\n');
        }
    }
    for part in parts(&node.test) {
        describe(part, depth + 1, text);
    }
}

fn question(test: &Test, text: &mut String) {
    let quantity = |every: bool, operand: &Operand, text: &mut String| {
        if several(operand) {
            text.push_str(if every { "every " } else { "any " });
        }
        name(operand, text);
    };
    match test {
        Test::All(_) | Test::Any(_) | Test::Not(_) => {}
        Test::There(operand) => {
            name(operand, text);
            text.push_str(" is there");
        }
        Test::NotZero(operand) => {
            name(operand, text);
            text.push_str(" is not zero");
        }
        Test::Compare {
            every,
            operator,
            left,
            right,
        } => {
            quantity(*every, left, text);
            text.push_str(match operator {
                Operator::AnyEqual | Operator::AllEqual => " is ",
                Operator::AnyUnequal | Operator::AllUnequal => " is not ",
                Operator::Greater => " is greater than ",
                Operator::GreaterEqual => " is at least ",
                Operator::Less => " is less than ",
                Operator::LessEqual => " is at most ",
                Operator::Contains => " contains ",
                Operator::Matches => " matches ",
            });
            value(left, right, text);
        }
        Test::Matches {
            every,
            left,
            pattern,
        } => {
            quantity(*every, left, text);
            let _ = write!(text, " matches \"{}\"", Safe(pattern.as_str().as_bytes()));
        }
        Test::In { every, left, set } => {
            quantity(*every, left, text);
            text.push_str(" is one of ");
            for (index, (first, last)) in set.iter().enumerate() {
                text.push_str(if index == 0 { "" } else { ", " });
                value(left, first, text);
                if let Some(last) = last {
                    text.push_str(" to ");
                    value(left, last, text);
                }
            }
        }
    }
}

/// The operand can have more than one value in a packet whose layers occur once.
fn several(operand: &Operand) -> bool {
    match &operand.make {
        Make::Field(source, _) => match &source.of {
            Of::Rows(rows) => {
                let fields = || {
                    rows.iter()
                        .flat_map(|row| row.fixed.iter().chain(&row.walked))
                };
                rows.iter()
                    .any(|row| row.fixed.len() + row.walked.len() > 1)
                    || fields().any(|field| field.many)
            }
            Of::Protocols(_) | Of::Payload(_) => false,
        },
        Make::Count(_) | Make::Greatest(_) | Make::Least(_) => false,
        make => inner(make).into_iter().any(several),
    }
}

/// What `operand` is compared with: values by their name, where `of` has one.
fn value(of: &Operand, operand: &Operand, text: &mut String) {
    let Make::Const(constant) = &operand.make else {
        return name(operand, text);
    };
    text.push_str(&shown(operand.class, &constant.item()));
    text.push_str(&constant.prefix());
    if let (Make::Field(source, _), super::value::Const::Number(n)) = (&of.make, constant)
        && let Some((_, name)) = source.names().iter().find(|(v, _)| i128::from(*v) == *n)
    {
        let _ = write!(text, " ({name})");
    }
}

fn name(operand: &Operand, text: &mut String) {
    let call = |function: &str, text: &mut String| {
        text.push_str(function);
        for (index, part) in inner(&operand.make).into_iter().enumerate() {
            text.push_str(if index == 0 { " " } else { " and " });
            name(part, text);
        }
    };
    match &operand.make {
        Make::Const(constant) => text.push_str(&shown(operand.class, &constant.item())),
        Make::Field(source, layers) => {
            text.push_str(&source.name);
            if !layers.is_empty() {
                text.push_str(" in layer ");
                ranges(layers, text);
            }
        }
        Make::Slice(of, pieces) => {
            text.push_str("bytes ");
            ranges(pieces, text);
            text.push_str(" of ");
            name(of, text);
        }
        Make::Length(_) => call("the length of", text),
        Make::Count(_) => call("the number of", text),
        Make::Text(_) => call("the text of", text),
        Make::Upper(_) => call("in capitals", text),
        Make::Lower(_) => call("in small letters", text),
        Make::Absolute(_) => call("the absolute value of", text),
        Make::Greatest(_) => call("the greatest of", text),
        Make::Least(_) => call("the least of", text),
        Make::Negative(_) => call("minus", text),
        Make::Sum(operator, left, right) => {
            name(left, text);
            text.push_str(match operator {
                Arithmetic::Add => " + ",
                Arithmetic::Subtract => " - ",
                Arithmetic::Multiply => " * ",
                Arithmetic::Divide => " / ",
                Arithmetic::Modulo => " % ",
                Arithmetic::BitAnd => " & ",
            });
            name(right, text);
        }
    }
}

fn ranges(pieces: &[Piece], text: &mut String) {
    for (index, piece) in pieces.iter().enumerate() {
        text.push_str(if index == 0 { "" } else { ", " });
        let _ = match piece.to {
            To::Length(1) => write!(text, "{}", piece.from),
            To::Length(len) => write!(text, "{}:{len}", piece.from),
            To::Place(last) => write!(text, "{} to {last}", piece.from),
            To::End => write!(text, "{} to the end", piece.from),
        };
    }
}
