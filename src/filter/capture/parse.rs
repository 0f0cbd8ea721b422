//! From tokens to the tree: tcpdump's grammar, with names resolved, and errors that say what to write.

use super::{
    ast::{BinOp, ByteOp, Expr, Llc, Proto, RelOp, Side, Test},
    lex::{self, Kind as Is, Token},
    words::{self, Kind, Shift, Word},
};
use crate::{
    filter::{FilterError, Names, Service, advice},
    text::{near, plain},
};

mod arithmetic;
mod ids;
#[cfg(test)]
pub(super) mod tests;

/// How deep parentheses, `not` and arithmetic may nest.
const DEEPEST: usize = 64;
/// How many primitives and operations of arithmetic there may be.
const MOST: usize = 1000;
/// How long an expression may be, in bytes.
const LONGEST: usize = 64 << 10;

/// What stands before an identifier, kept for lists such as `port 80 or 443`.
#[derive(Clone, Copy, Debug)]
struct Qualifiers {
    proto: Option<Proto>,
    side: Side,
    kind: Kind,
}

struct Parser<'a> {
    expression: &'a str,
    tokens: Vec<Token<'a>>,
    /// For each `(`, the place of its `)`.
    closes: Vec<usize>,
    next: usize,
    parts: usize,
    names: &'a dyn Names,
}

/// Puts two expressions together.
type Junction = fn(Box<Expr>, Box<Expr>) -> Expr;
type Parsed<T> = Result<T, FilterError>;
/// A part of an expression, and the qualifiers for the identifiers that follow it, if any hold.
type Part = (Expr, Option<Qualifiers>);

/// Parses a whole expression; `None` for an empty one.
pub(super) fn parse(expression: &str, names: &dyn Names) -> Parsed<Option<Expr>> {
    if expression.len() > LONGEST {
        return Err(FilterError {
            expression: expression.chars().take(60).collect::<String>() + "…",
            at: 0,
            len: 1,
            message: format!("a filter has at most {} KiB", LONGEST >> 10),
        });
    }
    let tokens = lex::lex(expression);
    let mut parser = Parser {
        expression,
        closes: closes(&tokens),
        tokens,
        next: 0,
        parts: 0,
        names,
    };
    if *parser.peek() == Is::End {
        return Ok(None);
    }
    let (expr, _) = parser.expression(0, None)?;
    match parser.peek() {
        Is::End => Ok(Some(expr)),
        _ => Err(parser.wrong_after_a_term()),
    }
}

/// For each `(`, the place of its `)`; the place itself where there is none.
fn closes(tokens: &[Token<'_>]) -> Vec<usize> {
    let mut closes: Vec<usize> = (0..tokens.len()).collect();
    let mut open = Vec::new();
    for (place, token) in tokens.iter().enumerate() {
        match token.kind {
            Is::Open => open.push(place),
            Is::Close => {
                if let Some(start) = open.pop() {
                    closes[start] = place;
                }
            }
            _ => {}
        }
    }
    closes
}

impl<'a> Parser<'a> {
    fn token(&self) -> &Token<'a> {
        self.ahead(0)
    }

    /// The token so many places on; the end, behind it.
    fn ahead(&self, by: usize) -> &Token<'a> {
        &self.tokens[(self.next + by).min(self.tokens.len() - 1)]
    }

    fn peek(&self) -> &Is {
        &self.token().kind
    }

    fn accept(&mut self, kind: &Is) -> bool {
        let found = self.peek() == kind;
        self.next += usize::from(found);
        found
    }

    fn expect(&mut self, kind: &Is, what: &str) -> Parsed<()> {
        match self.accept(kind) {
            true => Ok(()),
            false => Err(self.expected(what)),
        }
    }

    /// A fault at the next token.
    fn fault(&self, message: String) -> FilterError {
        let token = self.token();
        FilterError {
            expression: self.expression.to_owned(),
            at: token.at,
            len: token.len,
            message: message.chars().map(plain).collect(),
        }
    }

    /// The next token is not what is wanted here.
    fn expected(&self, what: &str) -> FilterError {
        let text = self.token().text;
        self.fault(match self.peek() {
            Is::Bad(message) => message.clone(),
            Is::Word(Word::Foreign(needs)) => foreign(text, needs),
            Is::End => format!("expected {what}"),
            Is::Name if text.contains('-') => {
                format!("expected {what}; {text} is one word: write spaces around a minus")
            }
            _ => format!("expected {what} instead of {text}"),
        })
    }

    fn wrong_after_a_term(&self) -> FilterError {
        self.fault(match (self.peek(), self.token().text) {
            (Is::Close, _) => "no ( belongs to this )".into(),
            (Is::Relation(_), text) => {
                format!("bytes and len can be compared, such as ip[8] {text} 5: nothing else can")
            }
            (Is::Arith(BinOp::And), _) => "write && or and between two tests".into(),
            (Is::Arith(BinOp::Or), _) => "write || or or between two tests".into(),
            (Is::Bad(_) | Is::Word(Word::Foreign(_)), _) => return self.expected(""),
            (Is::Word(_), text) => format!("write and or or before {text}"),
            (_, text) => match near(text, ["and", "or"]) {
                Some(word) => {
                    format!("expected and, or, or the end instead of {text}; did you mean {word}?")
                }
                None => format!("expected and, or, or the end instead of {text}"),
            },
        })
    }

    /// Bounds the tree, so that whatever walks it needs no bound of its own.
    fn count(&mut self) -> Parsed<()> {
        self.parts += 1;
        match self.parts > MOST {
            true => Err(self.fault(format!("more than {MOST} tests and operations"))),
            false => Ok(()),
        }
    }

    fn deeper(&self, depth: usize) -> Parsed<usize> {
        match depth < DEEPEST {
            true => Ok(depth + 1),
            false => Err(self.fault(format!("nested deeper than {DEEPEST}"))),
        }
    }

    /// `test`, which stands from the token `start` to the one before the next.
    fn test(&self, test: Test, start: usize) -> Expr {
        let last = &self.tokens[self.next.saturating_sub(1).max(start)];
        Expr::Test(test, self.tokens[start].at..last.at + last.len)
    }

    /// `and` and `or` bind equally, from the left.
    fn expression(&mut self, depth: usize, inherited: Option<Qualifiers>) -> Parsed<Part> {
        let (mut left, mut qualifiers) = self.term(depth, inherited)?;
        while let Some(make) = self.junction() {
            let (right, after) = self.term(depth, qualifiers)?;
            left = make(Box::new(left), Box::new(right));
            qualifiers = after;
        }
        Ok((left, qualifiers))
    }

    fn junction(&mut self) -> Option<Junction> {
        let make = match self.peek() {
            Is::Word(Word::And) => Expr::And,
            Is::Word(Word::Or) => Expr::Or,
            _ => return None,
        };
        self.next += 1;
        Some(make)
    }

    fn term(&mut self, depth: usize, inherited: Option<Qualifiers>) -> Parsed<Part> {
        let start = self.next;
        match *self.peek() {
            Is::Word(Word::Not) => {
                let depth = self.deeper(depth)?;
                self.next += 1;
                let (inner, qualifiers) = self.term(depth, inherited)?;
                Ok((Expr::Not(Box::new(inner)), qualifiers))
            }
            _ if self.begins_identifier() => match inherited {
                Some(qualifiers) => {
                    let expr = self.identifier(depth, qualifiers, start)?;
                    Ok((expr, inherited))
                }
                None => Err(self.unqualified()),
            },
            _ if self.begins_relation() => Ok((self.relation(depth)?, None)),
            Is::Open => {
                let depth = self.deeper(depth)?;
                self.next += 1;
                let (inner, _) = self.expression(depth, inherited)?;
                self.close()?;
                // What was said inside does not reach out.
                Ok((inner, inherited))
            }
            Is::Word(word) => self.primitive(depth, word),
            _ => Err(self.expected("a test (such as port 80, host 10.0.0.1 or tcp)")),
        }
    }

    fn close(&mut self) -> Parsed<()> {
        match *self.peek() {
            Is::Close => {
                self.next += 1;
                Ok(())
            }
            Is::End => Err(self.fault("expected )".into())),
            _ => Err(self.wrong_after_a_term()),
        }
    }

    /// Past any `(` and `not`, an identifier comes: not a number that is reckoned with.
    fn begins_identifier(&self) -> bool {
        let (mut open, mut by) = (0, 0);
        loop {
            match self.ahead(by).kind {
                Is::Open => open += 1,
                // Nothing is reckoned with `not`.
                Is::Word(Word::Not) => open = 0,
                _ => break,
            }
            by += 1;
        }
        match self.ahead(by).kind {
            Is::Dotted | Is::Ipv6(_) | Is::Mac(_) | Is::Name => true,
            Is::Number(_) => {
                by += 1;
                while open > 0 && self.ahead(by).kind == Is::Close {
                    (open, by) = (open - 1, by + 1);
                }
                !matches!(self.ahead(by).kind, Is::Arith(_) | Is::Relation(_))
            }
            _ => false,
        }
    }

    fn begins_relation(&self) -> bool {
        match self.peek() {
            Is::Number(_) | Is::Arith(BinOp::Sub) | Is::Word(Word::Length) => true,
            Is::Word(Word::Proto(_)) => self.ahead(1).kind == Is::OpenIndex,
            Is::Open => {
                let close = self.closes[self.next];
                let after = self.tokens.get(close + 1).map(|token| &token.kind);
                close != self.next && matches!(after, Some(Is::Arith(_) | Is::Relation(_)))
            }
            _ => false,
        }
    }

    fn primitive(&mut self, depth: usize, word: Word) -> Parsed<Part> {
        self.count()?;
        let start = self.next;
        let proto = match word {
            Word::Proto(proto) => {
                self.next += 1;
                Some(proto)
            }
            _ => None,
        };
        let Is::Word(word) = *self.peek() else {
            return Ok((self.alone(proto, start)?, None));
        };
        let test = match word {
            Word::Source | Word::Destination | Word::Kind(_) | Word::Gateway => {
                return self.head(depth, proto, start);
            }
            Word::Broadcast => self.broadcast(proto)?,
            Word::Multicast => self.multicast(proto)?,
            Word::Foreign(needs) => return Err(self.fault(foreign(self.token().text, needs))),
            _ if proto.is_some() => return Ok((self.alone(proto, start)?, None)),
            Word::Inbound => self.word(Test::Inbound),
            Word::Outbound => self.word(Test::Outbound),
            Word::Pppoed => self.word(Test::Pppoed),
            Word::Less => Test::Less(self.number_after("a length in bytes")?),
            Word::Greater => Test::Greater(self.number_after("a length in bytes")?),
            Word::Ifindex => Test::Ifindex(self.number_after("the number of an interface")?),
            Word::Byte => self.byte()?,
            Word::Shift(shift) => self.shift(shift)?,
            Word::Llc => self.llc()?,
            _ => return Err(self.expected("a test (such as port 80, host 10.0.0.1 or tcp)")),
        };
        Ok((self.test(test, start), None))
    }

    /// A protocol word that nothing follows.
    fn alone(&self, proto: Option<Proto>, start: usize) -> Parsed<Expr> {
        match proto {
            Some(Proto::Link | Proto::Radio) | None => {
                Err(self.expected("host, src, dst, proto, broadcast, multicast or ["))
            }
            Some(proto) => match self.peek() {
                Is::Name if near(self.token().text, ["and", "or"]).is_some() => {
                    Err(self.wrong_after_a_term())
                }
                Is::Number(_) | Is::Dotted | Is::Ipv6(_) | Is::Mac(_) | Is::Name => {
                    let text = self.token().text;
                    if let Some(flag) = words::tcp_flag(text).filter(|_| proto == Proto::Tcp) {
                        return Err(self.fault(of_flag(flag)));
                    }
                    let kind = match proto {
                        Proto::Tcp | Proto::Udp | Proto::Sctp => "port",
                        _ => "host",
                    };
                    if let Some(meant) = near(
                        text,
                        ["port", "portrange", "host", "net", "proto", "src", "dst"],
                    ) {
                        return Err(self.fault(format!(
                            "{text} is no word of filters; did you mean {meant}?"
                        )));
                    }
                    Err(self.fault(format!("expected and, or, {kind}, src, dst or the end: write {} {kind} {text}, if that is meant", words::name_of(proto))))
                }
                _ => Ok(self.test(Test::Proto(proto), start)),
            },
        }
    }

    fn word(&mut self, test: Test) -> Test {
        self.next += 1;
        test
    }

    fn number_after(&mut self, what: &str) -> Parsed<u32> {
        self.next += 1;
        self.number(what)
    }

    fn number(&mut self, what: &str) -> Parsed<u32> {
        match *self.peek() {
            Is::Number(number) => {
                self.next += 1;
                Ok(number)
            }
            _ => Err(self.expected(what)),
        }
    }

    fn broadcast(&mut self, proto: Option<Proto>) -> Parsed<Test> {
        match proto {
            None | Some(Proto::Link | Proto::Ip) => Ok(self.word(Test::Broadcast(proto))),
            Some(_) => Err(self.fault("only ether and ip have broadcast".into())),
        }
    }

    fn multicast(&mut self, proto: Option<Proto>) -> Parsed<Test> {
        match proto {
            None | Some(Proto::Link | Proto::Ip | Proto::Ip6) => {
                Ok(self.word(Test::Multicast(proto)))
            }
            Some(_) => Err(self.fault("only ether, ip and ip6 have multicast".into())),
        }
    }

    fn byte(&mut self) -> Parsed<Test> {
        let at = self.number_after("the place of a byte in the frame")?;
        let op = match self.peek() {
            Is::Relation(RelOp::Equal) => ByteOp::Equal,
            Is::Relation(RelOp::Less) => ByteOp::Less,
            Is::Relation(RelOp::Greater) => ByteOp::Greater,
            Is::Arith(BinOp::And) => ByteOp::And,
            Is::Arith(BinOp::Or) => ByteOp::Or,
            _ => return Err(self.expected("one of = < > & |")),
        };
        let value = self.number_after("a number")?;
        Ok(Test::Byte { at, op, value })
    }

    fn shift(&mut self, shift: Shift) -> Parsed<Test> {
        self.next += 1;
        let number = match self.peek() {
            Is::Number(_) | Is::Open => Some(self.number_in_parentheses(0)?),
            _ => None,
        };
        let (what, most) = shift.number();
        if let Some(number) = number.filter(|number| *number > most) {
            self.next -= 1;
            return Err(self.fault(format!("{number} is no {what}: they go from 0 to {most}")));
        }
        Ok(match shift {
            Shift::Vlan => Test::Vlan(number),
            Shift::Mpls => Test::Mpls(number),
            Shift::Pppoes => Test::Pppoes(number),
            Shift::Geneve => Test::Geneve(number),
            Shift::Vxlan => Test::Vxlan(number),
        })
    }

    fn number_in_parentheses(&mut self, depth: usize) -> Parsed<u32> {
        if !self.accept(&Is::Open) {
            return self.number("a number; and or or before another test");
        }
        let number = self.number_in_parentheses(self.deeper(depth)?)?;
        self.expect(&Is::Close, ")")?;
        Ok(number)
    }

    fn llc(&mut self) -> Parsed<Test> {
        self.next += 1;
        let text = self.token().text;
        let kind = match words::llc(text) {
            Some(kind) => kind,
            None if *self.peek() == Is::Name => {
                let hint = hint(near(text, words::llc_kinds()));
                return Err(self.fault(format!("{text} is no kind of LLC frame{hint}")));
            }
            None => return Ok(Test::Llc(Llc::Any)),
        };
        Ok(self.word(Test::Llc(kind)))
    }

    /// An identifier stands where nothing says what it is.
    fn unqualified(&mut self) -> FilterError {
        while matches!(self.peek(), Is::Open | Is::Word(Word::Not)) {
            self.next += 1;
        }
        let token = self.token();
        let text = token.text;
        if let Some(advice) = advice::advice(&self.expression[token.byte..]) {
            return self.fault(advice);
        }
        if let Some(flag) = words::tcp_flag(text) {
            return self.fault(of_flag(flag));
        }
        self.fault(match token.kind {
            Is::Number(_) => {
                format!("nothing says what {text} is: write port {text} or host {text}")
            }
            Is::Dotted | Is::Ipv6(_) => {
                format!("nothing says what {text} is: write host {text} or net {text}")
            }
            Is::Mac(_) => format!("nothing says what {text} is: write ether host {text}"),
            _ => match (
                near(&text.to_ascii_lowercase(), words::all()),
                text.split_once('-'),
            ) {
                (Some(word), _) => {
                    format!("{text} is no word of capture filters; did you mean {word}?")
                }
                (None, Some((first, _))) if words::word(first) == Some(Word::Length) => {
                    format!("{text} is one word: write spaces around a minus")
                }
                _ if self.names.port(text, Service::Tcp).is_some() => {
                    format!("{text} is no word of capture filters; did you mean port {text}?")
                }
                _ => format!(
                    "{text} is no word of capture filters; write host {text}, if a host is meant"
                ),
            },
        })
    }
}

fn of_flag(flag: &str) -> String {
    format!("a TCP flag is a bit of a byte: write tcp[tcpflags] & {flag} != 0")
}

fn foreign(text: &str, needs: &str) -> String {
    format!("{text} needs {needs}, which sockwire does not read")
}

fn hint(near: Option<&str>) -> String {
    near.map(|word| format!("; did you mean {word}?"))
        .unwrap_or_default()
}
