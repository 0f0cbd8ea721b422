//! The grammar of display filters: from tokens to questions about terms, nothing resolved yet.

use std::ops::Range;

use super::{
    Fault,
    lex::{Kind, Token},
};

/// How deep parentheses, `not`, functions and arithmetic may nest.
pub(super) const DEPTH: usize = 64;
/// How many tests and terms an expression may hold.
const TERMS: usize = 4000;
/// Tests in one expression.
const TESTS: usize = 1000;

/// Something that a packet answers with yes or no.
#[derive(Debug)]
pub(super) struct Question {
    pub(super) ask: Ask,
    pub(super) at: Range<usize>,
}

#[derive(Debug)]
pub(super) enum Ask {
    All(Vec<Question>),
    Any(Vec<Question>),
    Not(Box<Question>),
    /// A field, protocol or slice is there; a term with arithmetic is not zero.
    There(Term),
    /// `a < b`, and also `a < b < c`.
    Compare {
        every: Option<bool>,
        first: Term,
        rest: Vec<(Operator, Term)>,
    },
    In {
        every: Option<bool>,
        term: Term,
        set: Vec<(Term, Option<Term>)>,
    },
}

/// Something that has values.
#[derive(Debug)]
pub(super) struct Term {
    pub(super) kind: Part,
    pub(super) at: Range<usize>,
}

#[derive(Debug)]
pub(super) enum Part {
    Word(String),
    Text(Vec<u8>),
    Char(u8),
    Call(String, Vec<Term>),
    Slice(Box<Term>, Vec<Piece>),
    Layer(Box<Term>, Vec<Piece>),
    Negative(Box<Term>),
    Sum(Arithmetic, Box<Term>, Box<Term>),
}

/// Between two values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Arithmetic {
    Add,
    Subtract,
    Multiply,
    Divide,
    Modulo,
    BitAnd,
}

/// Between a term and what it is compared with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operator {
    AnyEqual,
    AllEqual,
    AnyUnequal,
    AllUnequal,
    Greater,
    GreaterEqual,
    Less,
    LessEqual,
    Contains,
    Matches,
}

/// A part of bytes, or of the layers of a protocol: where it begins (negative from the end) and where it ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Piece {
    pub(super) from: i32,
    pub(super) to: To,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum To {
    Length(u32),
    /// Included.
    Place(i32),
    End,
}

const OPERATORS: &[(&str, Operator)] = &[
    ("==", Operator::AnyEqual),
    ("eq", Operator::AnyEqual),
    ("any_eq", Operator::AnyEqual),
    ("!=", Operator::AllUnequal),
    ("ne", Operator::AllUnequal),
    ("all_ne", Operator::AllUnequal),
    ("===", Operator::AllEqual),
    ("all_eq", Operator::AllEqual),
    ("!==", Operator::AnyUnequal),
    ("~=", Operator::AnyUnequal),
    ("any_ne", Operator::AnyUnequal),
    (">", Operator::Greater),
    ("gt", Operator::Greater),
    (">=", Operator::GreaterEqual),
    ("ge", Operator::GreaterEqual),
    ("<", Operator::Less),
    ("lt", Operator::Less),
    ("<=", Operator::LessEqual),
    ("le", Operator::LessEqual),
    ("contains", Operator::Contains),
    ("matches", Operator::Matches),
    ("~", Operator::Matches),
];

/// By how tightly they bind, loosest first.
const SUMS: &[&[(&str, Arithmetic)]] = &[
    &[
        ("&", Arithmetic::BitAnd),
        ("bitwise_and", Arithmetic::BitAnd),
    ],
    &[("+", Arithmetic::Add), ("-", Arithmetic::Subtract)],
    &[
        ("*", Arithmetic::Multiply),
        ("/", Arithmetic::Divide),
        ("%", Arithmetic::Modulo),
    ],
];

/// Words that stand between terms and can be none.
const KEYWORDS: &[&str] = &["and", "or", "not", "in", "any", "all", "bitwise_and"];

/// Parses all of `tokens`; `None` where there is nothing.
pub(super) fn parse(tokens: &[Token]) -> Result<Option<Question>, Fault> {
    let mut parser = Parser {
        tokens,
        next: 0,
        depth: 0,
        terms: 0,
        tests: 0,
    };
    if parser.peek() == &Kind::End {
        return Ok(None);
    }
    let question = parser.any()?;
    match parser.peek() {
        Kind::End => Ok(Some(question)),
        _ => Err(parser.unexpected("and, or, or the end")),
    }
}

struct Parser<'t> {
    tokens: &'t [Token],
    next: usize,
    depth: usize,
    terms: usize,
    tests: usize,
}

impl Parser<'_> {
    fn token(&self) -> &Token {
        // The last token is the end, which is never passed.
        &self.tokens[self.next.min(self.tokens.len() - 1)]
    }

    fn peek(&self) -> &Kind {
        &self.token().kind
    }

    fn start(&self) -> usize {
        self.token().at.start
    }

    /// Where the token before ends.
    fn end(&self) -> usize {
        self.next
            .checked_sub(1)
            .map_or(0, |n| self.tokens[n].at.end)
    }

    /// The word or sign that comes next.
    fn symbol(&self) -> &str {
        match self.peek() {
            Kind::Word(word) => word,
            Kind::Sign(sign) => sign,
            _ => "",
        }
    }

    /// Passes the next token if it is one of `symbols`.
    fn eat(&mut self, symbols: &[&str]) -> bool {
        let found = symbols.contains(&self.symbol());
        self.next += usize::from(found);
        found
    }

    fn unexpected(&self, wanted: &str) -> Fault {
        let message = match self.peek() {
            Kind::End => format!("the filter ends here, and {wanted} is expected"),
            Kind::Word(word) if ["xor", "^^"].contains(&word.as_str()) => {
                "there is no \"exclusive or\"; a and b differ: (a and not b) or (b and not a)"
                    .into()
            }
            Kind::Word(word) if word.len() < 12 && is_operator(&word.to_ascii_lowercase()) => {
                format!(
                    "operators are written in small letters: {}",
                    word.to_ascii_lowercase()
                )
            }
            _ => format!("{wanted} is expected here"),
        };
        Fault::new(self.token().at.clone(), message)
    }

    fn deeper<T>(&mut self, parse: impl FnOnce(&mut Self) -> Result<T, Fault>) -> Result<T, Fault> {
        if self.depth >= DEPTH {
            let message = format!("nested deeper than {DEPTH} levels");
            return Err(Fault::new(self.token().at.clone(), message));
        }
        self.depth += 1;
        let parsed = parse(self);
        self.depth -= 1;
        parsed
    }

    fn any(&mut self) -> Result<Question, Fault> {
        self.list(&["or", "||"], Self::all, Ask::Any)
    }

    fn all(&mut self) -> Result<Question, Fault> {
        self.list(&["and", "&&"], Self::not, Ask::All)
    }

    fn list(
        &mut self,
        symbols: &[&str],
        part: fn(&mut Self) -> Result<Question, Fault>,
        join: fn(Vec<Question>) -> Ask,
    ) -> Result<Question, Fault> {
        let start = self.start();
        let first = part(self)?;
        if !symbols.contains(&self.symbol()) {
            return Ok(first);
        }
        let mut parts = vec![first];
        while self.eat(symbols) {
            parts.push(part(self)?);
        }
        Ok(Question {
            ask: join(parts),
            at: start..self.end(),
        })
    }

    fn not(&mut self) -> Result<Question, Fault> {
        let start = self.start();
        if self.eat(&["not", "!"]) {
            let inner = self.deeper(Self::not)?;
            return Ok(Question {
                ask: Ask::Not(Box::new(inner)),
                at: start..self.end(),
            });
        }
        if self.eat(&["("]) {
            let mut inner = self.deeper(Self::any)?;
            if !self.eat(&[")"]) {
                let message = match joins_values(self.symbol()) {
                    true => "values are grouped with { and }: ( and ) group tests".into(),
                    false => return Err(self.unexpected("and, or, or )")),
                };
                return Err(Fault {
                    message,
                    ..self.unexpected("")
                });
            }
            inner.at = start..self.end();
            if joins_values(self.symbol()) {
                let message = "values are grouped with { and }: ( and ) group tests";
                return Err(Fault::new(inner.at, message));
            }
            return Ok(inner);
        }
        self.test()
    }

    fn test(&mut self) -> Result<Question, Fault> {
        let start = self.start();
        self.tests += 1;
        if self.tests > TESTS {
            return Err(Fault::new(start..start, format!("more than {TESTS} tests")));
        }
        let every = match self.symbol() {
            "any" => Some(false),
            "all" => Some(true),
            _ => None,
        };
        self.next += usize::from(every.is_some());
        let first = self.sum(0)?;
        let not = self.eat(&["not"]);
        if self.eat(&["in"]) {
            let set = self.set()?;
            let test = Question {
                ask: Ask::In {
                    every,
                    term: first,
                    set,
                },
                at: start..self.end(),
            };
            return Ok(match not {
                false => test,
                true => Question {
                    at: test.at.clone(),
                    ask: Ask::Not(Box::new(test)),
                },
            });
        }
        if not {
            return Err(self.unexpected("in"));
        }
        let mut rest = Vec::new();
        while let Some(operator) = operator(self.symbol()) {
            self.next += 1;
            rest.push((operator, self.sum(0)?));
        }
        let ask = match rest.is_empty() {
            true if every.is_some() => return Err(self.unexpected("a comparison, such as ==")),
            true => Ask::There(first),
            false => Ask::Compare { every, first, rest },
        };
        Ok(Question {
            ask,
            at: start..self.end(),
        })
    }

    fn set(&mut self) -> Result<Vec<(Term, Option<Term>)>, Fault> {
        if !self.eat(&["{"]) {
            return Err(self.unexpected("a set, such as {80, 443, 8000..8100},"));
        }
        let mut set = Vec::new();
        loop {
            let first = self.sum(0)?;
            let last = match self.eat(&[".."]) {
                true => Some(self.sum(0)?),
                false => None,
            };
            set.push((first, last));
            if self.eat(&["}"]) {
                return Ok(set);
            }
            if !self.eat(&[","]) {
                return Err(self.unexpected("a comma or }"));
            }
        }
    }

    /// Terms joined by the operators of `SUMS[level]` and those that bind tighter.
    fn sum(&mut self, level: usize) -> Result<Term, Fault> {
        let Some(operators) = SUMS.get(level) else {
            return self.sign();
        };
        let start = self.start();
        let mut left = self.sum(level + 1)?;
        let before = self.depth;
        while let Some((_, operator)) = operators.iter().find(|(s, _)| *s == self.symbol()) {
            self.next += 1;
            // A chain leans to the left, so each link makes the tree deeper.
            self.depth += 1;
            let right = self.deeper(|parser| parser.sum(level + 1))?;
            left = Term {
                kind: Part::Sum(*operator, Box::new(left), Box::new(right)),
                at: start..self.end(),
            };
        }
        self.depth = before;
        Ok(left)
    }

    fn sign(&mut self) -> Result<Term, Fault> {
        let start = self.start();
        if self.eat(&["-"]) {
            let inner = self.deeper(Self::sign)?;
            return Ok(Term {
                kind: Part::Negative(Box::new(inner)),
                at: start..self.end(),
            });
        }
        if self.eat(&["+"]) {
            return self.deeper(Self::sign);
        }
        self.term()
    }

    fn term(&mut self) -> Result<Term, Fault> {
        let start = self.start();
        self.terms += 1;
        if self.terms > TERMS {
            return Err(Fault::new(
                start..start,
                format!("more than {TERMS} values"),
            ));
        }
        let kind = match self.peek().clone() {
            Kind::Word(word) if KEYWORDS.contains(&word.as_str()) || is_operator(&word) => {
                return Err(self.unexpected("a field, protocol or value"));
            }
            Kind::Word(word) => Part::Word(word),
            Kind::Text(text) => Part::Text(text),
            Kind::Char(byte) => Part::Char(byte),
            Kind::Sign("{") => {
                self.next += 1;
                let inner = self.deeper(|parser| parser.sum(0))?;
                return match self.eat(&["}"]) {
                    true => Ok(inner),
                    false => Err(self.unexpected("}")),
                };
            }
            _ => return Err(self.unexpected("a field, protocol or value")),
        };
        self.next += 1;
        let mut term = match kind {
            Part::Word(name) if self.symbol() == "(" => {
                self.next += 1;
                let arguments = self.arguments()?;
                Part::Call(name, arguments).over(start..self.end())
            }
            kind => kind.over(start..self.end()),
        };
        if self.eat(&["#"]) {
            let pieces = self.layers()?;
            term = Part::Layer(Box::new(term), pieces).over(start..self.end());
        }
        let before = self.depth;
        while let Kind::Ranges(text) = self.peek() {
            let pieces = pieces(text, &self.token().at)?;
            self.next += 1;
            self.depth += 1;
            term = self.deeper(|parser| {
                Ok(Part::Slice(Box::new(term), pieces).over(start..parser.end()))
            })?;
        }
        self.depth = before;
        Ok(term)
    }

    fn arguments(&mut self) -> Result<Vec<Term>, Fault> {
        let mut arguments = Vec::new();
        if self.eat(&[")"]) {
            return Ok(arguments);
        }
        loop {
            arguments.push(self.deeper(|parser| parser.sum(0))?);
            if self.eat(&[")"]) {
                return Ok(arguments);
            }
            if !self.eat(&[","]) {
                return Err(self.unexpected("a comma or )"));
            }
        }
    }

    fn layers(&mut self) -> Result<Vec<Piece>, Fault> {
        let at = self.token().at.clone();
        let parsed = match self.peek() {
            Kind::Ranges(text) => pieces(text, &at)?,
            Kind::Word(word) if word.bytes().all(|b| b.is_ascii_digit()) => pieces(word, &at)?,
            _ => return Err(self.unexpected("the number of a layer, such as #2 or #[1-2],")),
        };
        self.next += 1;
        Ok(parsed)
    }
}

impl Part {
    fn over(self, at: Range<usize>) -> Term {
        Term { kind: self, at }
    }
}

fn operator(symbol: &str) -> Option<Operator> {
    OPERATORS
        .iter()
        .find(|(s, _)| *s == symbol)
        .map(|&(_, o)| o)
}

fn is_operator(symbol: &str) -> bool {
    KEYWORDS.contains(&symbol) || joins_values(symbol)
}

/// `symbol` compares or calculates.
fn joins_values(symbol: &str) -> bool {
    let mut sums = SUMS.iter().flat_map(|level| *level);
    operator(symbol).is_some() || sums.any(|(s, _)| *s == symbol)
}

/// `i:j`, `i-j`, `i`, `:j`, `i:`, several with commas.
fn pieces(text: &str, at: &Range<usize>) -> Result<Vec<Piece>, Fault> {
    let fault = || {
        let message = "a range is [start:length], [first-last], [offset], [:length] or [start:], and -1 is the last byte";
        Fault::new(at.clone(), message)
    };
    if text.split(',').count() > 64 {
        return Err(Fault::new(at.clone(), "more than 64 ranges"));
    }
    let number = |text: &str| {
        let text = text.trim();
        let (sign, digits) = match text.strip_prefix('-') {
            Some(digits) => (-1, digits),
            None => (1, text),
        };
        let value = match digits.strip_prefix("0x") {
            Some(digits) => i32::from_str_radix(digits, 16),
            None => digits.parse::<i32>(),
        };
        match digits.starts_with(|c: char| c.is_ascii_digit()) {
            true => value.map(|n| sign * n).map_err(|_| fault()),
            false => Err(fault()),
        }
    };
    text.split(',')
        .map(|piece| {
            let piece = piece.trim();
            if let Some((from, len)) = piece.split_once(':') {
                let from = match from.trim() {
                    "" => 0,
                    from => number(from)?,
                };
                return Ok(Piece {
                    from,
                    to: match len.trim() {
                        "" => To::End,
                        len => match u32::try_from(number(len)?) {
                            Ok(len) if len > 0 => To::Length(len),
                            _ => return Err(fault()),
                        },
                    },
                });
            }
            // The hyphen between two offsets, not the sign of the first.
            let hyphen = piece
                .get(1..)
                .and_then(|rest| rest.find('-'))
                .map(|n| n + 1);
            Ok(match hyphen {
                Some(n) => Piece {
                    from: number(&piece[..n])?,
                    to: To::Place(number(&piece[n + 1..])?),
                },
                None => Piece {
                    from: number(piece)?,
                    to: To::Length(1),
                },
            })
        })
        .collect()
}
