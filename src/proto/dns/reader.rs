//! Reads record data piece by piece and shows each piece: never past the end of the data, and never twice.

use std::ops::ControlFlow;

use super::{
    message::Message,
    names::{self, Name},
};
use crate::{
    field::{Field, Value, Visit},
    layer::{Problem, View},
    time::Time,
};

const SHORT: Problem = Problem::malformed("record data are shorter than their type needs");

/// A place in a message, and who gets to see what lies there.
pub(super) struct Reader<'r, 'a> {
    view: &'r View<'a>,
    pub(super) message: Message<'a>,
    pub(super) visit: &'r mut dyn Visit,
    /// The next byte to read.
    pub(super) at: usize,
    /// The first byte that is no longer to be read.
    pub(super) end: usize,
    /// The data were at their end before their type was.
    pub(super) ended: bool,
    /// The first fault; one is enough, however many a hostile message has.
    problem: Option<Problem>,
}

impl<'r, 'a> Reader<'r, 'a> {
    pub(super) fn new(view: &'r View<'a>, message: Message<'a>, visit: &'r mut dyn Visit) -> Self {
        Self {
            view,
            message,
            visit,
            at: 0,
            end: message.bytes.len(),
            ended: false,
            problem: None,
        }
    }

    /// Done: tells of what was wrong.
    pub(super) fn finish(self) {
        if let Some(problem) = self.problem {
            self.visit.problem(problem);
        }
    }

    /// What is left to read.
    pub(super) fn rest(&self) -> &'a [u8] {
        self.message.bytes.get(self.at..self.end).unwrap_or(&[])
    }

    /// Shows `value`, which the `len` bytes at `at` hold.
    pub(super) fn show(
        &mut self,
        field: &'static Field,
        value: Value<'_>,
        (at, len): (usize, usize),
    ) -> ControlFlow<()> {
        let bits = self.view.bits(self.message.base + at, len);
        self.visit.field(field, value, bits)
    }

    /// Takes the next `len` bytes; none where that many are not left: the data are then at their end.
    pub(super) fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let taken = self.rest().get(..len);
        match taken {
            Some(_) => self.at += len,
            None => self.short(),
        }
        taken
    }

    /// Leaves only `len` bytes to read; gives back where the end was, to be set again.
    pub(super) fn narrow(&mut self, len: usize) -> usize {
        let whole = self.end;
        if self.at + len > whole {
            self.tell_short();
        }
        self.end = whole.min(self.at + len);
        whole
    }

    /// The data end too early.
    fn short(&mut self) {
        self.at = self.end;
        self.ended = true;
        self.tell_short();
    }

    fn tell_short(&mut self) {
        self.problem = self.problem.or(Some(SHORT));
    }

    /// Shows the next `len` bytes as what `field` holds.
    pub(super) fn fixed(&mut self, field: &'static Field, len: usize) -> ControlFlow<()> {
        let at = self.at;
        let Some(bytes) = self.take(len) else {
            return ControlFlow::Continue(());
        };
        match Value::read(field.kind, bytes, 0..len as u32 * 8) {
            Some(value) => self.show(field, value, (at, len)),
            None => ControlFlow::Continue(()),
        }
    }

    /// Shows some bits of the 16 that begin at `at`, counted from the most significant.
    pub(super) fn bits(
        &mut self,
        field: &'static Field,
        at: usize,
        (first, len): (u32, u32),
    ) -> ControlFlow<()> {
        let Some(bytes) = self.message.bytes.get(at..) else {
            return ControlFlow::Continue(());
        };
        let start = self.view.bits(self.message.base + at, 0).start + first;
        match Value::read(field.kind, bytes, first..first + len) {
            Some(value) => self.visit.field(field, value, start..start + len),
            None => ControlFlow::Continue(()),
        }
    }

    /// Shows the next `len` bytes as a time in seconds since 1970.
    pub(super) fn seconds(&mut self, field: &'static Field, len: usize) -> ControlFlow<()> {
        let at = self.at;
        let Some(bytes) = self.take(len) else {
            return ControlFlow::Continue(());
        };
        let seconds = bytes.iter().fold(0_i64, |n, &b| n << 8 | i64::from(b));
        let time = Time::from_nanos(seconds.saturating_mul(1_000_000_000));
        self.show(field, Value::Time(time), (at, len))
    }

    /// Shows what is left.
    pub(super) fn remainder(&mut self, field: &'static Field) -> ControlFlow<()> {
        self.fixed(field, self.rest().len())
    }

    /// Shows a length byte and the text after it.
    pub(super) fn string(
        &mut self,
        length: &'static Field,
        text: &'static Field,
    ) -> ControlFlow<()> {
        let Some(&len) = self.rest().first() else {
            self.short();
            return ControlFlow::Continue(());
        };
        self.fixed(length, 1)?;
        self.fixed(text, len.into())
    }

    /// Shows a length of 16 bits and the bytes after it, where there are any.
    pub(super) fn counted(
        &mut self,
        length: &'static Field,
        bytes: &'static Field,
    ) -> ControlFlow<()> {
        let len = self.message.u16(self.at).into();
        self.fixed(length, 2)?;
        match len {
            0 => ControlFlow::Continue(()),
            len => self.fixed(bytes, len),
        }
    }

    /// Reads the next name, with its place.
    pub(super) fn take_name(&mut self) -> Option<(Name, (usize, usize))> {
        let at = self.at;
        let within = &self.message.bytes[..self.end.min(self.message.bytes.len())];
        let Some(next) = names::skip(within, at) else {
            self.short();
            return None;
        };
        self.at = next;
        let name = names::read(self.message.bytes, at);
        self.problem = self.problem.or(name.problem);
        Some((name, (at, next - at)))
    }

    /// Shows the next name.
    pub(super) fn name(&mut self, field: &'static Field) -> ControlFlow<()> {
        match self.take_name() {
            Some((name, place)) => self.show(field, Value::Text(name.text()), place),
            None => ControlFlow::Continue(()),
        }
    }
}
