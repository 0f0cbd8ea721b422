//! A header as the RFCs draw it: 32 bits a row, each field in a box of its width, with the packet's own values in the boxes.
//!
//! Where fields lie comes from visits, never from a protocol's name: what has bits is drawn where they are.

mod label;
mod plan;

use std::ops::{ControlFlow, Range};

use crate::{
    field::{Bounded, Field, Value, Visit},
    layer::{Problem, View},
    render::tree::Shown,
};

pub(super) use label::raw;

use label::Label;
use plan::{Item, ROW, Row};

/// Columns of the byte numbers beside the boxes.
const MARGIN: usize = 5;
/// Fields of lists that are taken into account.
const REPEATED: usize = 300;

/// A field of a layer, with its place.
#[derive(Clone, Debug)]
pub(super) struct Placed {
    pub(super) field: &'static Field,
    /// In bits from the start of the layer; empty for values that no bits hold.
    pub(super) bits: Range<u32>,
    /// As it is shown.
    pub(super) value: String,
    /// The number in it.
    pub(super) number: Option<u64>,
}

/// Everything that a visit of one layer finds.
#[derive(Debug, Default)]
pub(super) struct Fields {
    pub(super) placed: Vec<Placed>,
    pub(super) problems: Vec<Problem>,
    start: u32,
}

impl Fields {
    /// The fields of `view`; of very long lists only the first.
    pub(super) fn of(view: &View<'_>) -> Self {
        let mut fields = Self {
            start: view.layer.start.saturating_mul(8),
            ..Self::default()
        };
        let mut left = REPEATED;
        let mut bounded = Bounded::new(&mut fields, &mut left);
        let _ = view.visit(&mut bounded);
        bounded.finish();
        fields.problems.extend(view.layer.problem);
        fields
    }
}

impl Visit for Fields {
    fn field(
        &mut self,
        field: &'static Field,
        value: Value<'_>,
        bits: Range<u32>,
    ) -> ControlFlow<()> {
        self.placed.push(Placed {
            field,
            bits: bits.start.saturating_sub(self.start)..bits.end.saturating_sub(self.start),
            value: Shown { field, value }.to_string(),
            number: value.as_u64(),
        });
        ControlFlow::Continue(())
    }

    fn problem(&mut self, problem: Problem) {
        self.problems.push(problem);
    }
}

/// Appends the drawing of the header in `view`, in ASCII or with lines; nothing where it has no bytes.
pub fn header(view: &View<'_>, ascii: bool, out: &mut String) {
    draw(view, &Fields::of(view), ascii, out);
}

pub(super) fn draw(view: &View<'_>, fields: &Fields, ascii: bool, out: &mut String) {
    let bytes = view.header();
    if bytes.is_empty() {
        return;
    }
    let items = plan::items(&fields.placed, bytes.len() as u32 * 8);
    let rows = plan::rows(&items);
    let labels: Vec<Label> = items
        .iter()
        .map(|item| Label::of(item, &fields.placed, bytes))
        .collect();
    let drawing = Drawing { ascii };
    drawing.numbers(out);
    let mut above = None;
    for row in &rows {
        drawing.border(above, Some(row), out);
        drawing.row(row, &label::lines(row, &labels), out);
        above = Some(row);
    }
    let Some(words) = payload(view) else {
        return drawing.border(above, None, out);
    };
    // What follows the header goes on below: its box has no end.
    let payload = Row {
        byte: bytes.len() as u32,
        cells: vec![plan::Cell {
            item: items.len(),
            bits: 0..ROW,
            labelled: true,
        }],
        open: true,
    };
    drawing.border(above, Some(&payload), out);
    drawing.row(
        &payload,
        &[vec![label::centre(&words, 2 * ROW as usize - 1)]],
        out,
    );
}

/// What follows the header, in words.
fn payload(view: &View<'_>) -> Option<String> {
    let (wire, here) = (view.payload_wire() as usize, view.payload().len());
    if wire.max(here) == 0 {
        return None;
    }
    let count = wire.max(here);
    let plural = if count == 1 { "" } else { "s" };
    if here == 0 {
        return Some(format!("{count} more byte{plural}, not captured"));
    }
    let next = view.packet.view(view.index + 1);
    let next = next
        .filter(|next| next.layer.buffer == view.layer.buffer)
        .map_or("", |next| next.layer.protocol.title);
    let colon = if next.is_empty() { "" } else { ": " };
    let cut = match here < wire {
        true => format!(" ({here} captured)"),
        false => String::new(),
    };
    Some(format!("payload, {count} byte{plural}{cut}{colon}{next}"))
}

/// Puts lines around text.
struct Drawing {
    ascii: bool,
}

impl Drawing {
    /// The numbers of the bits.
    fn numbers(&self, out: &mut String) {
        let tens: String = (0..ROW)
            .map(|bit| match bit % 10 {
                0 => format!(" {}", bit / 10),
                _ => "  ".to_owned(),
            })
            .collect();
        let ones: String = (0..ROW).map(|bit| format!(" {}", bit % 10)).collect();
        out.push_str(&format!("{:MARGIN$}{}\n", "bit", tens.trim_end()));
        out.push_str(&format!("{:MARGIN$}{ones}\n", "byte"));
    }

    /// The line between two rows, or above the first or below the last.
    fn border(&self, above: Option<&Row>, below: Option<&Row>, out: &mut String) {
        let (above, below) = (owners(above), owners(below));
        let line = |column: usize| above[column] != below[column];
        let wall = |owners: &[Option<usize>], column: usize| {
            let left = column.checked_sub(1).and_then(|left| owners[left]);
            left != owners.get(column).copied().flatten()
        };
        let mut text = " ".repeat(MARGIN);
        for column in 0..=ROW as usize {
            let left = column.checked_sub(1).is_some_and(line);
            let right = column < ROW as usize && line(column);
            let (up, down) = (wall(&above, column), wall(&below, column));
            text.push(self.joint(up, down, left, right));
            if column < ROW as usize {
                text.push(match (right, self.ascii) {
                    (false, _) => ' ',
                    (true, true) => '-',
                    (true, false) => '─',
                });
            }
        }
        out.push_str(text.trim_end());
        out.push('\n');
    }

    fn joint(&self, up: bool, down: bool, left: bool, right: bool) -> char {
        if self.ascii {
            return match (up || down, left || right) {
                (_, true) => '+',
                (true, false) => '|',
                (false, false) => ' ',
            };
        }
        const JOINTS: [char; 16] = [
            ' ', '╶', '╴', '─', '╷', '┌', '┐', '┬', '╵', '└', '┘', '┴', '│', '├', '┤', '┼',
        ];
        let index = u8::from(up) << 3 | u8::from(down) << 2 | u8::from(left) << 1 | u8::from(right);
        JOINTS[usize::from(index)]
    }

    /// The lines of a row: one text for each of its cells.
    fn row(&self, row: &Row, lines: &[Vec<String>], out: &mut String) {
        let wall = match (self.ascii, row.open) {
            (true, false) => '|',
            (true, true) => ':',
            (false, false) => '│',
            (false, true) => '╎',
        };
        for (index, line) in lines.iter().enumerate() {
            match index {
                0 => out.push_str(&format!("{:>4} ", row.byte)),
                _ => out.push_str(&" ".repeat(MARGIN)),
            }
            out.push(wall);
            for text in line {
                out.push_str(&self.spelled(text));
                out.push(wall);
            }
            out.push('\n');
        }
    }

    /// The text in as many columns; in ASCII a character that it lacks becomes a mark of its width.
    fn spelled(&self, text: &str) -> String {
        use unicode_width::UnicodeWidthChar as _;
        if !self.ascii || text.is_ascii() {
            return text.to_owned();
        }
        let spell = |c: char| match c {
            c if c.is_ascii() => c.to_string(),
            '→' => ">".to_owned(),
            '…' => ".".to_owned(),
            c => "?".repeat(c.width().unwrap_or(0)),
        };
        text.chars().map(spell).collect()
    }
}

/// Which item each column of a row belongs to.
fn owners(row: Option<&Row>) -> [Option<usize>; ROW as usize] {
    let mut owners = [None; ROW as usize];
    for cell in row.iter().flat_map(|row| &row.cells) {
        for owner in &mut owners[cell.bits.start as usize..cell.bits.end as usize] {
            *owner = Some(cell.item);
        }
    }
    owners
}

impl Item {
    /// Bytes that it touches.
    fn bytes(&self) -> u32 {
        self.bits.end.div_ceil(8) - self.bits.start / 8
    }
}

#[cfg(test)]
mod tests;
