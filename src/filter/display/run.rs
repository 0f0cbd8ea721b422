//! Asking one packet: values stream from its layers into the tests, and nothing is kept.

use std::{
    cell::Cell,
    cmp::Ordering,
    fmt::{self, Write},
    net::{Ipv4Addr, Ipv6Addr},
    ops::{ControlFlow, Range},
};

use super::{
    check::{Make, Node, Operand, Test},
    fields::{self, Of, Row, Source},
    parse::{Arithmetic, Operator, Piece, To},
    value::{Class, Item},
};
use crate::{
    field::{At, Field, Value, Visit},
    layer::{Packet, View},
    proto::frame::{self, Around},
    text::Mac,
};

/// How many values one packet may yield to one filter. Option lists can be as long as the packet, and comparing two of
/// them takes a step for every pair.
const STEPS: u32 = 100_000;

/// One packet that is asked.
pub(super) struct Run<'r, 'p> {
    packet: &'r Packet<'p>,
    around: &'r Around<'p>,
    steps: Cell<u32>,
}

/// Takes one value; a break means that no more are needed.
type Take<'f> = &'f mut dyn FnMut(&Item<'_>) -> ControlFlow<()>;

impl<'r, 'p> Run<'r, 'p> {
    pub(super) fn new(packet: &'r Packet<'p>, around: &'r Around<'p>) -> Self {
        Self {
            packet,
            around,
            steps: Cell::new(STEPS),
        }
    }

    /// One more value, as long as there are steps left.
    fn step(&self) -> ControlFlow<()> {
        match self.steps.get().checked_sub(1) {
            Some(left) => {
                self.steps.set(left);
                ControlFlow::Continue(())
            }
            None => ControlFlow::Break(()),
        }
    }

    /// The answer of this packet.
    pub(super) fn holds(&self, node: &Node) -> bool {
        match &node.test {
            Test::All(parts) => parts.iter().all(|part| self.holds(part)),
            Test::Any(parts) => parts.iter().any(|part| self.holds(part)),
            Test::Not(part) => !self.holds(part),
            Test::There(operand) => {
                // A part that lies past the end is empty: not there.
                let part = matches!(operand.make, Make::Slice(..));
                self.some(operand, &|item| !part || !matches!(item, Item::Bytes([])))
            }
            Test::NotZero(operand) => self.some(operand, &|item| match item {
                Item::Number(n) => *n != 0,
                Item::Ipv4 { address, mask } => address & mask != 0,
                Item::Ipv6 { address, mask } => address & mask != 0,
                item => item
                    .bytes()
                    .is_some_and(|bytes| bytes.iter().any(|b| *b != 0)),
            }),
            Test::Compare {
                every,
                operator,
                left,
                right,
            } => {
                let text = left.class.is_text();
                let test = |a: &Item<'_>, b: &Item<'_>| compare(*operator, a, b, text);
                match every {
                    false => self.some(left, &|a| self.some(right, &|b| test(a, b))),
                    true => {
                        self.some(right, &|_| true)
                            && self.every(left, &|a| {
                                !self.some(right, &|b| !matches!(b, Item::Nothing) && !test(a, b))
                            })
                    }
                }
            }
            Test::Matches {
                every,
                left,
                pattern,
            } => {
                // No pattern finds anything where there is no byte.
                let test = |item: &Item<'_>| {
                    item.bytes()
                        .is_some_and(|bytes| !bytes.is_empty() && pattern.is_match(bytes))
                };
                self.which(*every, left, &test)
            }
            Test::In { every, left, set } => self.which(*every, left, &|item| {
                let text = left.class.is_text();
                let is = |operand: &Operand, wanted: fn(Ordering) -> bool| {
                    self.some(operand, &|one| item.order(one, text).is_some_and(wanted))
                };
                set.iter().any(|(first, last)| match last {
                    None => is(first, Ordering::is_eq),
                    Some(last) => is(first, Ordering::is_ge) && is(last, Ordering::is_le),
                })
            }),
        }
    }

    fn which(&self, every: bool, operand: &Operand, test: &dyn Fn(&Item<'_>) -> bool) -> bool {
        match every {
            true => self.every(operand, test),
            false => self.some(operand, test),
        }
    }

    /// A value passes `test`.
    fn some(&self, operand: &Operand, test: &dyn Fn(&Item<'_>) -> bool) -> bool {
        let mut found = false;
        let _ = self.each(operand, &mut |item| match test(item) {
            true => {
                found = true;
                ControlFlow::Break(())
            }
            false => ControlFlow::Continue(()),
        });
        found
    }

    /// There are values, and all pass `test`.
    fn every(&self, operand: &Operand, test: &dyn Fn(&Item<'_>) -> bool) -> bool {
        let (mut any, mut all) = (false, true);
        let _ = self.each(operand, &mut |item| {
            any = true;
            all = matches!(item, Item::Nothing) || test(item);
            match all {
                true => ControlFlow::Continue(()),
                false => ControlFlow::Break(()),
            }
        });
        any && all
    }

    /// Every value of `operand`.
    pub(super) fn each(&self, operand: &Operand, take: Take<'_>) -> ControlFlow<()> {
        match &operand.make {
            Make::Const(value) => take(&value.item()),
            Make::Field(source, layers) if operand.class == Class::Host => {
                self.source(source, layers, &mut |item| as_text(item, take))
            }
            Make::Field(source, layers) => self.source(source, layers, take),
            Make::Slice(of, pieces) => self.each(of, &mut |item| match item {
                Item::Ipv4 { address, .. } => cut(&address.to_be_bytes(), pieces, take),
                Item::Ipv6 { address, .. } => cut(&address.to_be_bytes(), pieces, take),
                item => cut(item.own().unwrap_or_default(), pieces, take),
            }),
            Make::Length(of) => self.each(of, &mut |item| take(&Item::Number(length(of, item)))),
            Make::Count(of) => {
                let mut count = 0;
                self.each(of, &mut |_| {
                    count += 1;
                    ControlFlow::Continue(())
                })?;
                match count {
                    0 => ControlFlow::Continue(()),
                    count => take(&Item::Number(count)),
                }
            }
            Make::Text(of) => self.each(of, &mut |item| as_text(item, take)),
            Make::Upper(of) => {
                self.each(of, &mut |item| recase(item, u8::to_ascii_uppercase, take))
            }
            Make::Lower(of) => {
                self.each(of, &mut |item| recase(item, u8::to_ascii_lowercase, take))
            }
            Make::Absolute(of) => self.each(of, &mut |item| match item {
                Item::Number(n) => take(&Item::Number(n.saturating_abs())),
                item => take(item),
            }),
            Make::Greatest(of) => self.extreme(of, Ordering::Greater, take),
            Make::Least(of) => self.extreme(of, Ordering::Less, take),
            Make::Negative(of) => self.each(of, &mut |item| match item {
                Item::Number(n) => take(&Item::Number(n.saturating_neg())),
                item => take(item),
            }),
            Make::Sum(operator, left, right) => self.each(left, &mut |a| {
                self.each(right, &mut |b| sum(*operator, a, b, take))
            }),
        }
    }

    /// The greatest or least value of several operands.
    fn extreme(&self, of: &[Operand], wanted: Ordering, take: Take<'_>) -> ControlFlow<()> {
        let mut best: Option<Item<'static>> = None;
        for operand in of {
            self.each(operand, &mut |item| {
                if best.is_none_or(|best| item.order(&best, false) == Some(wanted)) {
                    best = item.kept();
                }
                ControlFlow::Continue(())
            })?;
        }
        match best {
            Some(best) => take(&best),
            None => ControlFlow::Continue(()),
        }
    }

    /// Every value of a field or protocol, in the layers that `pieces` pick.
    fn source(&self, source: &Source, pieces: &[Piece], take: Take<'_>) -> ControlFlow<()> {
        match &source.of {
            Of::Protocols(protocols) => {
                for &protocol in protocols {
                    if std::ptr::eq(protocol, &frame::PROTOCOL) {
                        if the_frame(pieces) {
                            let bytes = self.packet.frame.bytes;
                            let own = bytes.len();
                            take(&Item::Protocol { bytes, own })?;
                        }
                        continue;
                    }
                    let with_payload = fields::with_payload(protocol);
                    self.views(protocol, pieces, &mut |view| {
                        self.step()?;
                        let bytes = view.bytes();
                        let own = match with_payload {
                            true => bytes.len(),
                            false => view.header().len(),
                        };
                        take(&Item::Protocol { bytes, own })
                    })?;
                }
            }
            Of::Payload(protocol) => {
                let tcp = protocol.name == "tcp";
                return self.views(protocol, pieces, &mut |view| match view.payload() {
                    [] => ControlFlow::Continue(()),
                    // Of a quoted segment Wireshark shows no payload.
                    _ if tcp && view.layer.quoted => ControlFlow::Continue(()),
                    bytes => take(&Item::Bytes(bytes)),
                });
            }
            Of::Rows(rows) => {
                for row in rows {
                    self.row(row, pieces, take)?;
                }
            }
        }
        ControlFlow::Continue(())
    }

    fn row(&self, row: &Row, pieces: &[Piece], take: Take<'_>) -> ControlFlow<()> {
        if std::ptr::eq(row.protocol, &frame::PROTOCOL) {
            if !the_frame(pieces) {
                return ControlFlow::Continue(());
            }
            let mut wanted = Wanted {
                run: self,
                fields: &row.fixed,
                take,
            };
            return frame::visit(&self.packet.frame, self.around, &mut wanted);
        }
        self.views(row.protocol, pieces, &mut |view| {
            for field in &row.fixed {
                match field.at {
                    At::Derived => {
                        let facts = self.packet.facts.iter();
                        for fact in facts
                            .filter(|f| usize::from(f.layer) == view.index && f.field.is(field))
                        {
                            self.step()?;
                            take(&Item::of(&fact.value))?;
                        }
                    }
                    At::Bits { .. } | At::Walked => {
                        if let Some(value) = view.value(field) {
                            self.step()?;
                            take(&Item::of(&value))?;
                        }
                    }
                }
            }
            match row.protocol.walk {
                Some(walk) if !row.walked.is_empty() => walk(
                    view,
                    &mut Wanted {
                        run: self,
                        fields: &row.walked,
                        take,
                    },
                ),
                _ => ControlFlow::Continue(()),
            }
        })
    }

    /// The layers of `protocol` that `pieces` pick, counted from 1.
    fn views(
        &self,
        protocol: &crate::protocol::Protocol,
        pieces: &[Piece],
        take: &mut dyn FnMut(&View<'p>) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        let own = |layer: &crate::layer::Layer| std::ptr::eq(layer.protocol, protocol);
        let total = match pieces {
            [] => 0,
            _ => self.packet.layers.iter().filter(|layer| own(layer)).count(),
        };
        let mut number = 0;
        for (index, layer) in self.packet.layers.iter().enumerate() {
            if !own(layer) {
                continue;
            }
            number += 1;
            if pieces.is_empty() || pieces.iter().any(|piece| picks(piece, number, total)) {
                take(&View {
                    packet: *self.packet,
                    index,
                    layer,
                })?;
            }
        }
        ControlFlow::Continue(())
    }
}

/// Passes on the values of some fields.
struct Wanted<'w, 'r, 'p> {
    run: &'w Run<'r, 'p>,
    fields: &'w [&'static Field],
    take: Take<'w>,
}

impl Visit for Wanted<'_, '_, '_> {
    fn field(&mut self, field: &'static Field, value: Value<'_>, _: Range<u32>) -> ControlFlow<()> {
        self.run.step()?;
        match self.fields.iter().any(|wanted| wanted.is(field)) {
            true => (self.take)(&Item::of(&value)),
            false => ControlFlow::Continue(()),
        }
    }
}

fn compare(operator: Operator, a: &Item<'_>, b: &Item<'_>, text: bool) -> bool {
    if operator == Operator::Contains {
        return match (a.bytes(), b.bytes()) {
            // Nothing is found only in fields of bytes, as Wireshark has it.
            (Some(_), Some([])) => matches!(a, Item::Bytes(_)) && !text,
            (Some(hay), Some(needle)) => memchr::memmem::find(hay, needle).is_some(),
            _ => false,
        };
    }
    let Some(order) = a.order(b, text) else {
        return false;
    };
    match operator {
        Operator::AnyEqual | Operator::AllEqual => order.is_eq(),
        Operator::AnyUnequal | Operator::AllUnequal => order.is_ne(),
        Operator::Greater => order.is_gt(),
        Operator::GreaterEqual => order.is_ge(),
        Operator::Less => order.is_lt(),
        Operator::LessEqual => order.is_le(),
        Operator::Contains | Operator::Matches => false,
    }
}

/// `piece` picks the layer `number` of `total`, counted from 1.
fn picks(piece: &Piece, number: usize, total: usize) -> bool {
    let place = |n: i32| match n {
        n if n < 0 => total as i64 + 1 + i64::from(n),
        n => i64::from(n),
    };
    let (number, from) = (number as i64, place(piece.from));
    let last = match piece.to {
        To::Length(len) => from + i64::from(len) - 1,
        To::Place(last) => place(last),
        To::End => i64::MAX,
    };
    (from..=last).contains(&number)
}

/// `pieces` pick the frame, of which there is one.
fn the_frame(pieces: &[Piece]) -> bool {
    pieces.is_empty() || pieces.iter().any(|piece| picks(piece, 1, 1))
}

/// The bytes of `piece` in something of `len` bytes; `None` where it does not reach that far.
fn range(piece: &Piece, len: usize) -> Option<Range<usize>> {
    let place = |n: i32| match usize::try_from(n) {
        Ok(n) => Some(n),
        Err(_) => len.checked_sub(n.unsigned_abs() as usize),
    };
    let from = place(piece.from)?;
    let end = match piece.to {
        To::Length(n) => from.checked_add(n as usize)?,
        To::Place(last) => place(last)?.checked_add(1)?,
        To::End => len,
    };
    (from < end && end <= len).then_some(from..end)
}

/// Cuts `pieces` out of `bytes` and joins them.
fn cut(bytes: &[u8], pieces: &[Piece], take: Take<'_>) -> ControlFlow<()> {
    // What lies past the end is empty, and ends the joining.
    let mut parts = pieces
        .iter()
        .map_while(|piece| bytes.get(range(piece, bytes.len())?));
    if pieces.len() == 1 {
        return take(&Item::Bytes(parts.next().unwrap_or_default()));
    }
    let total = parts.clone().map(<[u8]>::len).sum();
    scratch(total, parts.flatten().copied(), take)
}

/// Joins `bytes`, `len` of them, where no allocation is needed unless they are many.
fn scratch(len: usize, bytes: impl Iterator<Item = u8>, take: Take<'_>) -> ControlFlow<()> {
    let mut short = [0; 512];
    match short.get_mut(..len) {
        Some(room) => {
            for (place, byte) in room.iter_mut().zip(bytes) {
                *place = byte;
            }
            take(&Item::Bytes(room))
        }
        None => take(&Item::Bytes(&bytes.collect::<Vec<u8>>())),
    }
}

fn recase(item: &Item<'_>, case: fn(&u8) -> u8, take: Take<'_>) -> ControlFlow<()> {
    let bytes = item.bytes().unwrap_or_default();
    scratch(bytes.len(), bytes.iter().map(case), take)
}

/// A number or an address as text.
fn as_text(item: &Item<'_>, take: Take<'_>) -> ControlFlow<()> {
    let mut text = Short::default();
    let written = match item {
        Item::Number(n) => write!(text, "{n}"),
        Item::Ipv4 { address, .. } => write!(text, "{}", Ipv4Addr::from(*address)),
        Item::Ipv6 { address, .. } => write!(text, "{}", Ipv6Addr::from(*address)),
        Item::Bytes(bytes) => match <[u8; 6]>::try_from(*bytes) {
            Ok(mac) => write!(text, "{}", Mac(mac)),
            Err(_) => return take(item),
        },
        item => return take(item),
    };
    match written {
        Ok(()) => take(&Item::Bytes(&text.bytes[..text.len])),
        Err(_) => ControlFlow::Continue(()),
    }
}

/// Room for the longest number or address.
struct Short {
    bytes: [u8; 64],
    len: usize,
}

impl Default for Short {
    fn default() -> Self {
        Self {
            bytes: [0; 64],
            len: 0,
        }
    }
}

impl Write for Short {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let end = self.len + text.len();
        let room = self.bytes.get_mut(self.len..end).ok_or(fmt::Error)?;
        room.copy_from_slice(text.as_bytes());
        self.len = end;
        Ok(())
    }
}

/// Bytes of a value, as `len()` counts them.
fn length(of: &Operand, item: &Item<'_>) -> i128 {
    match item {
        Item::Mark => 0,
        Item::Ipv4 { .. } => 4,
        Item::Ipv6 { .. } => 16,
        Item::Number(_) => match of.class {
            Class::Number { most } => (64 - i128::from(most.leading_zeros())) / 8,
            Class::Signed => 4,
            Class::Bool => 8,
            _ => 16,
        },
        item => item.own().map_or(0, |bytes| bytes.len() as i128),
    }
}

fn sum(operator: Arithmetic, a: &Item<'_>, b: &Item<'_>, take: Take<'_>) -> ControlFlow<()> {
    match (a, b) {
        (Item::Number(a), Item::Number(b)) => match calculate(operator, *a, *b) {
            Some(n) => take(&Item::Number(n)),
            None => take(&Item::Nothing),
        },
        (
            Item::Ipv4 {
                address: a,
                mask: m,
            },
            Item::Ipv4 {
                address: b,
                mask: n,
            },
        ) => take(&Item::Ipv4 {
            address: a & b,
            mask: m & n,
        }),
        (
            Item::Ipv6 {
                address: a,
                mask: m,
            },
            Item::Ipv6 {
                address: b,
                mask: n,
            },
        ) => take(&Item::Ipv6 {
            address: a & b,
            mask: m & n,
        }),
        _ => match (a.own(), b.own()) {
            // As far as the shorter one goes.
            (Some(a), Some(b)) => scratch(
                a.len().min(b.len()),
                a.iter().zip(b).map(|(a, b)| a & b),
                take,
            ),
            _ => ControlFlow::Continue(()),
        },
    }
}

/// `None` where there is no such number: division by zero, or beyond all bounds.
pub(super) fn calculate(operator: Arithmetic, a: i128, b: i128) -> Option<i128> {
    match operator {
        Arithmetic::Add => a.checked_add(b),
        Arithmetic::Subtract => a.checked_sub(b),
        Arithmetic::Multiply => a.checked_mul(b),
        Arithmetic::Divide => a.checked_div(b),
        Arithmetic::Modulo => a.checked_rem(b),
        Arithmetic::BitAnd => Some(a & b),
    }
}
