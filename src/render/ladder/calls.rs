//! Socket calls between the rows of a ladder: each at its own end, and beside a packet the calls that it is tied to.

use std::fmt::Write as _;

use super::{
    Ladder,
    arrow::{cut, width},
};
use crate::{
    render::style::push,
    track::story::{Call, Header, Part, Row, Side},
};
use anstyle::Style;

impl Ladder {
    /// The lifelines of client and server; heavy where a call waits.
    pub(super) fn walls(&self) -> [char; 2] {
        self.waiting.each_ref().map(|calls| match calls.is_empty() {
            true => self.glyphs.wall,
            false => self.glyphs.waits,
        })
    }

    /// A call at its end of the ladder.
    pub(super) fn call(&mut self, call: &Call) {
        let style = match call.is_trouble {
            true => self.palette.remark(),
            false => self.palette.side(call.side == Side::Client),
        };
        let waiting = &mut self.waiting[call.side as usize];
        match call.part {
            Part::Begins => drop(waiting.insert(call.enter.call)),
            Part::Whole | Part::Returns => drop(waiting.remove(&call.enter.call)),
        }
        let time = self.since(call.time);
        let text = self.says().call(call, self.room());
        self.at_side(&time, call.side, style, &text);
    }

    /// Below a packet, what its sender's and its receiver's calls have to do with it.
    pub(super) fn ties(&mut self, row: &Row) {
        let (faint, room) = (self.palette.faint(), self.room());
        let says = self.says();
        let [sender, receiver] = row.ties.each_ref().map(|tie| {
            let tie = says.plain(tie.clone());
            cut(tie, room, self.glyphs.more)
        });
        let texts = match row.from {
            Side::Client => [sender, receiver],
            Side::Server => [receiver, sender],
        };
        let used = width(&texts[0]) + width(&texts[1]);
        if texts.iter().all(|text| !text.is_empty()) && used + 2 <= self.between() {
            let time = " ".repeat(self.columns.time + 1);
            let [left, right] = &texts;
            let gap = self.gap(width(left), self.start(right));
            let _ = write!(self.text, "{time}");
            push(&mut self.text, faint, left);
            self.text.push_str(&gap);
            push(&mut self.text, faint, right);
            self.text.push('\n');
            return;
        }
        for (side, text) in [Side::Client, Side::Server].into_iter().zip(&texts) {
            if !text.is_empty() {
                self.at_side("", side, faint, text);
            }
        }
    }

    /// Whose sockets they are, above their columns.
    pub(super) fn programs(&mut self, header: &Header) {
        let says = self.says();
        let [left, right] = header.programs.each_ref().map(|name| {
            let name = name.as_deref().unwrap_or_default();
            says.safe(name.as_bytes(), 24)
        });
        if left.is_empty() && right.is_empty() {
            return;
        }
        let c = self.columns;
        let gap = self.between().saturating_sub(width(&left));
        let line = format!("{:time$} {left}{right:>gap$}", "", time = c.time);
        self.text.push_str(line.trim_end());
        self.text.push('\n');
    }

    /// A line of words at one end.
    fn at_side(&mut self, time: &str, side: Side, style: Style, text: &str) {
        let _ = write!(self.text, "{time:>columns$} ", columns = self.columns.time);
        if side == Side::Client {
            push(&mut self.text, style, text);
            let rest = self.gap(width(text), self.between());
            self.text.push_str(rest.trim_end());
        } else {
            let gap = self.gap(0, self.start(text));
            self.text.push_str(&gap);
            push(&mut self.text, style, text);
        }
        self.text.push('\n');
    }

    /// Where words at the server's end begin: beside its line, or where they end with the row.
    fn start(&self, text: &str) -> usize {
        let beside = self.columns.state + self.columns.arrow + 3;
        beside.min(self.between().saturating_sub(width(text)))
    }

    /// What stands between two columns where nobody writes.
    fn gap(&self, from: usize, to: usize) -> String {
        let c = self.columns;
        let [near, far] = self.walls();
        let column = |at: usize| match at {
            at if at == c.state => near,
            at if at == c.state + 1 + c.arrow => far,
            _ => ' ',
        };
        // Words do not touch a line.
        let blank = |at: usize| at == from && from > 0 || at + 1 == to && to < self.between();
        (from..to)
            .map(|at| if blank(at) { ' ' } else { column(at) })
            .collect()
    }

    /// Columns of both sides and the arrow.
    fn between(&self) -> usize {
        2 * self.columns.state + self.columns.arrow + 2
    }

    /// Columns of a call: it does not reach the other end's line.
    fn room(&self) -> usize {
        self.columns.state + self.columns.arrow
    }
}
