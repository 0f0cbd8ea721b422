//! From a parsed expression to one that can run: names become fields, and values take the kind of what they are compared with.

use std::ops::Range;

use regex::bytes::Regex;

use super::{
    Fault, fields,
    fields::Source,
    parse::{Arithmetic, Ask, Operator, Part, Piece, Question, Term},
    pattern,
    value::{Class, Const, Reader, Written},
};
use crate::filter::Names;

/// One question, ready to run.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) test: Test,
    /// Bytes of the expression.
    pub(super) at: Range<usize>,
}

#[derive(Clone, Debug)]
pub(super) enum Test {
    All(Vec<Node>),
    Any(Vec<Node>),
    Not(Box<Node>),
    /// It has a value.
    There(Operand),
    /// It has a value that is not zero.
    NotZero(Operand),
    Compare {
        every: bool,
        operator: Operator,
        left: Operand,
        right: Operand,
    },
    Matches {
        every: bool,
        left: Operand,
        pattern: Box<Regex>,
    },
    In {
        every: bool,
        left: Operand,
        set: Vec<(Operand, Option<Operand>)>,
    },
}

/// Something with values, and their kind.
#[derive(Clone, Debug)]
pub(super) struct Operand {
    pub(super) class: Class,
    pub(super) make: Make,
}

/// How an operand's values come about.
#[derive(Clone, Debug)]
pub(super) enum Make {
    Const(Const),
    Field(Box<Source>, Vec<Piece>),
    Slice(Box<Operand>, Vec<Piece>),
    Length(Box<Operand>),
    Count(Box<Operand>),
    Text(Box<Operand>),
    Upper(Box<Operand>),
    Lower(Box<Operand>),
    Absolute(Box<Operand>),
    Greatest(Vec<Operand>),
    Least(Vec<Operand>),
    Negative(Box<Operand>),
    Sum(Arithmetic, Box<Operand>, Box<Operand>),
}

/// Numbers without a field of their own.
pub(super) const NUMBER: Class = Class::Number { most: u64::MAX };

const ON_THE_LEFT: &str = "a field or protocol stands on the left, and the value on the right";

/// What a bare value is read as: the kind of what it meets.
#[derive(Clone)]
pub(super) struct Hint {
    class: Class,
    names: &'static [(u64, &'static str)],
    field: String,
}

pub(super) struct Checker<'n> {
    pub(super) hosts: &'n dyn Names,
}

impl Checker<'_> {
    pub(super) fn question(&self, question: &Question) -> Result<Node, Fault> {
        let all = |parts: &[Question]| -> Result<Vec<Node>, Fault> {
            parts.iter().map(|part| self.question(part)).collect()
        };
        let test = match &question.ask {
            Ask::All(parts) => Test::All(all(parts)?),
            Ask::Any(parts) => Test::Any(all(parts)?),
            Ask::Not(part) => Test::Not(Box::new(self.question(part)?)),
            Ask::There(term) => self.there(term)?,
            Ask::In { every, term, set } => self.inside(every.unwrap_or(false), term, set)?,
            Ask::Compare { every, first, rest } => {
                return self.compare(question, *every, first, rest);
            }
        };
        Ok(Node {
            test,
            at: question.at.clone(),
        })
    }

    fn there(&self, term: &Term) -> Result<Test, Fault> {
        let operand = self.field_like(term)?;
        Ok(match &term.kind {
            Part::Call(name, _) => {
                let message = format!("{name}() has a value: compare it, such as {name}(…) > 0");
                return Err(Fault::new(term.at.clone(), message));
            }
            Part::Sum(..) | Part::Negative(_) => Test::NotZero(operand),
            _ => Test::There(operand),
        })
    }

    fn compare(
        &self,
        question: &Question,
        every: Option<bool>,
        first: &Term,
        rest: &[(Operator, Term)],
    ) -> Result<Node, Fault> {
        let mut tests = Vec::new();
        let mut left = first;
        for (operator, right) in rest {
            tests.push(Node {
                test: self.pair(every, left, *operator, right)?,
                at: left.at.start..right.at.end,
            });
            left = right;
        }
        let test = match tests.pop() {
            Some(only) if tests.is_empty() => only.test,
            last => {
                tests.extend(last);
                Test::All(tests)
            }
        };
        Ok(Node {
            test,
            at: question.at.clone(),
        })
    }

    fn pair(
        &self,
        every: Option<bool>,
        first: &Term,
        operator: Operator,
        second: &Term,
    ) -> Result<Test, Fault> {
        let left = self.field_like(first)?;
        let usual = matches!(operator, Operator::AllEqual | Operator::AllUnequal);
        let every = every.unwrap_or(usual);
        if operator == Operator::Matches {
            return self.matches(every, left, first, second);
        }
        let searched = left.class.is_bytes() || left.class.is_text();
        if operator == Operator::Contains && !searched {
            let message = format!(
                "contains looks into bytes and text, and this is {}; string(…) makes text of it",
                left.class.words()
            );
            return Err(Fault::new(first.at.clone(), message));
        }
        let right = match operator {
            // A part of an address is no address.
            Operator::Contains if left.class == Class::Mac => {
                let part = Operand {
                    class: Class::Bytes,
                    ..left.clone()
                };
                self.against(&part, first, second)?
            }
            _ => self.against(&left, first, second)?,
        };
        Ok(Test::Compare {
            every,
            operator,
            left,
            right,
        })
    }

    /// The term that `left` is compared with.
    fn against(&self, left: &Operand, first: &Term, second: &Term) -> Result<Operand, Fault> {
        let right = self.operand(second, Some(&hint(left, first)))?;
        if !left.class.compares(right.class) || left.class == Class::Mark {
            let message = match left.class {
                Class::Mark => "it has no value to compare: it is there or not".to_owned(),
                _ => format!(
                    "{} cannot be compared with {}{}",
                    left.class.words(),
                    right.class.words(),
                    match &second.kind {
                        Part::Word(word) =>
                            format!(" ({word} is a field here; as text it is \"{word}\")"),
                        _ => String::new(),
                    }
                ),
            };
            return Err(Fault::new(second.at.clone(), message));
        }
        Ok(right)
    }

    fn matches(
        &self,
        every: bool,
        left: Operand,
        first: &Term,
        second: &Term,
    ) -> Result<Test, Fault> {
        if !left.class.is_bytes() && !left.class.is_text() {
            let message = format!(
                "matches looks at text and bytes, and this is {}; string(…) makes text of it",
                left.class.words()
            );
            return Err(Fault::new(first.at.clone(), message));
        }
        let Part::Text(text) = &second.kind else {
            let message =
                "a pattern is a string in double quotes, such as \"GET|POST\" or r\"\\d+\"";
            return Err(Fault::new(second.at.clone(), message));
        };
        let pattern = pattern::compile(text);
        let pattern = pattern.map_err(|message| Fault::new(second.at.clone(), message))?;
        Ok(Test::Matches {
            every,
            left,
            pattern: Box::new(pattern),
        })
    }

    fn inside(
        &self,
        every: bool,
        term: &Term,
        set: &[(Term, Option<Term>)],
    ) -> Result<Test, Fault> {
        let left = self.field_like(term)?;
        let one = |part: &Term| self.against(&left, term, part);
        let set = set
            .iter()
            .map(|(first, last)| Ok((one(first)?, last.as_ref().map(one).transpose()?)))
            .collect::<Result<_, Fault>>()?;
        Ok(Test::In { every, left, set })
    }

    /// A term that is asked of the packet: not a bare value.
    pub(super) fn field_like(&self, term: &Term) -> Result<Operand, Fault> {
        let operand = self.operand(term, None)?;
        match operand.make {
            Make::Const(_) => Err(Fault::new(term.at.clone(), ON_THE_LEFT)),
            _ => Ok(operand),
        }
    }

    pub(super) fn operand(&self, term: &Term, hint: Option<&Hint>) -> Result<Operand, Fault> {
        let literal = |written| self.literal(written, term, hint);
        match &term.kind {
            Part::Text(text) => literal(Written::Text(text)),
            Part::Char(byte) => literal(Written::Char(*byte)),
            Part::Word(word) => match field(word) {
                Some(source) => Ok(Operand::field(source)),
                None if hint.is_some() => literal(Written::Word(bare(word))),
                None => Err(Fault::new(term.at.clone(), unknown(word))),
            },
            Part::Layer(inner, pieces) => match self.operand(inner, None)?.make {
                Make::Field(source, _) => Ok(Operand {
                    class: source.class,
                    make: Make::Field(source, pieces.clone()),
                }),
                _ => Err(Fault::new(
                    inner.at.clone(),
                    "# picks a layer of a field or protocol",
                )),
            },
            Part::Slice(inner, pieces) => self.slice(inner, pieces),
            Part::Call(name, arguments) => self.call(name, arguments, term),
            Part::Negative(inner) => self.negative(inner, hint),
            Part::Sum(operator, left, right) => self.sum(*operator, left, right, hint),
        }
    }

    fn literal(
        &self,
        written: Written<'_>,
        term: &Term,
        hint: Option<&Hint>,
    ) -> Result<Operand, Fault> {
        let Some(hint) = hint else {
            let message = "a value alone asks nothing: a field or protocol is expected here";
            return Err(Fault::new(term.at.clone(), message));
        };
        let reader = Reader {
            hosts: self.hosts,
            names: hint.names,
            field: &hint.field,
        };
        let value = reader.read(hint.class, written);
        let value = value.map_err(|message| Fault::new(term.at.clone(), message))?;
        Ok(Operand {
            class: hint.class,
            make: Make::Const(value),
        })
    }

    fn slice(&self, inner: &Term, pieces: &[Piece]) -> Result<Operand, Fault> {
        let of = self.field_like(inner)?;
        let class = of.class;
        // The bytes of an address stand in network order.
        let bytes = class.is_bytes() || class.is_text();
        if !bytes && !matches!(class, Class::Ipv4 | Class::Ipv6) {
            let message = format!(
                "only bytes, text and protocols can be cut, and this is {}",
                class.words()
            );
            return Err(Fault::new(inner.at.clone(), message));
        }
        Ok(Operand {
            class: Class::Bytes,
            make: Make::Slice(Box::new(of), pieces.to_vec()),
        })
    }

    fn negative(&self, inner: &Term, hint: Option<&Hint>) -> Result<Operand, Fault> {
        let operand = self.operand(inner, hint)?;
        if !operand.class.is_number() && operand.class != Class::Time {
            let message = format!(
                "a minus stands before numbers and times, and this is {}",
                operand.class.words()
            );
            return Err(Fault::new(inner.at.clone(), message));
        }
        Ok(Operand {
            class: operand.class,
            make: match operand.make {
                Make::Const(Const::Number(n)) => Make::Const(Const::Number(n.saturating_neg())),
                _ => Make::Negative(Box::new(operand)),
            },
        })
    }

    fn sum(
        &self,
        operator: Arithmetic,
        first: &Term,
        second: &Term,
        hint: Option<&Hint>,
    ) -> Result<Operand, Fault> {
        // A bare value takes the kind of its neighbour, whichever side that stands on.
        let own = match (self.known(first), self.known(second)) {
            (Some(known), _) | (None, Some(known)) => Some(known),
            (None, None) => hint.cloned(),
        };
        let own = own.map(|hint| Hint {
            class: match hint.class {
                Class::Number { .. } => NUMBER,
                class => class,
            },
            ..hint
        });
        let (left, right) = (
            self.operand(first, own.as_ref())?,
            self.operand(second, own.as_ref())?,
        );
        for (operand, term) in [(&left, first), (&right, second)] {
            let class = operand.class;
            let able = match operator {
                Arithmetic::BitAnd => {
                    class.is_number()
                        || class.is_bytes()
                        || matches!(class, Class::Ipv4 | Class::Ipv6)
                }
                Arithmetic::Add | Arithmetic::Subtract => class.is_number() || class == Class::Time,
                _ => class.is_number(),
            };
            if !able || !left.class.compares(class) || matches!(term.kind, Part::Text(_)) {
                let message = format!("{} cannot be calculated with so", class.words());
                return Err(Fault::new(term.at.clone(), message));
            }
        }
        if let (Make::Const(Const::Number(a)), Make::Const(Const::Number(b))) =
            (&left.make, &right.make)
        {
            let value = super::run::calculate(operator, *a, *b);
            let value = value
                .ok_or_else(|| Fault::new(first.at.start..second.at.end, "this has no value"))?;
            return Ok(Operand {
                class: left.class,
                make: Make::Const(Const::Number(value)),
            });
        }
        Ok(Operand {
            class: match left.class {
                class if class.is_number() => NUMBER,
                class if class.is_bytes() => Class::Bytes,
                class => class,
            },
            make: Make::Sum(operator, Box::new(left), Box::new(right)),
        })
    }

    /// The kind of the first field in `term`; `None` where it holds bare values alone.
    fn known(&self, term: &Term) -> Option<Hint> {
        match &term.kind {
            Part::Text(_) | Part::Char(_) => None,
            Part::Word(word) => {
                let operand = Operand::field(field(word)?);
                Some(hint(&operand, term))
            }
            Part::Negative(inner) => self.known(inner),
            Part::Sum(_, left, right) => self.known(left).or_else(|| self.known(right)),
            Part::Layer(inner, _) => self.known(inner),
            Part::Slice(..) => Some(plain(Class::Bytes)),
            Part::Call(name, arguments) => match name.as_str() {
                "len" | "count" => Some(plain(NUMBER)),
                "string" | "upper" | "lower" => Some(plain(Class::Text)),
                _ => self.known(arguments.first()?),
            },
        }
    }
}

impl Operand {
    fn field(source: Source) -> Self {
        Self {
            class: source.class,
            make: Make::Field(Box::new(source), Vec::new()),
        }
    }
}

/// How values beside something without a name are read.
fn plain(class: Class) -> Hint {
    Hint {
        class,
        names: &[],
        field: "the other side".into(),
    }
}

/// The field or protocol called `word`; a point before it says that it is one.
fn field(word: &str) -> Option<Source> {
    fields::find(word.strip_prefix('.').unwrap_or(word))
}

/// How values beside `operand` are read.
pub(super) fn hint(operand: &Operand, term: &Term) -> Hint {
    let (names, field) = match (&operand.make, &term.kind) {
        (Make::Field(source, _), _) => (source.names(), source.name.clone()),
        (_, Part::Call(name, _)) => (Default::default(), format!("{name}()")),
        (_, Part::Slice(..)) => (Default::default(), "the slice".into()),
        _ => (Default::default(), "the left side".into()),
    };
    Hint {
        class: operand.class,
        names,
        field,
    }
}

/// A value without the colon that says that it is one (`:80`); `::1` is an address.
fn bare(word: &str) -> &str {
    match word.strip_prefix(':') {
        Some(value) if !value.starts_with(':') => value,
        _ => word,
    }
}

/// What to tell of a name that nobody knows.
fn unknown(word: &str) -> String {
    if word.starts_with(|c: char| c.is_ascii_digit() || c == ':') {
        return ON_THE_LEFT.into();
    }
    let word = word.trim_start_matches('.');
    let near = fields::near(word);
    match near.as_slice() {
        [] => format!("no field or protocol is called {word:?}"),
        near => format!(
            "no field or protocol is called {word:?}; did you mean {}?",
            near.join(", ")
        ),
    }
}
