//! The table for people: as many columns as the line has room for, in a text, in Markdown, and over an older table.

use std::fmt::Write as _;

use sockwire::render::style::{Palette, push};
use unicode_width::UnicodeWidthStr as _;

use super::{
    super::output::{split_at_width, write_wrapped},
    columns::{COLUMNS, Column, Row, SOCKETS, Writer, style},
};

/// Between two columns.
const GAP: usize = 2;
/// Before sockets that stand on a line of their own.
const INDENT: usize = 4;

/// Clears from the cursor to the end of the screen.
const CLEAR: &str = "\x1b[J";

/// Widths of the columns; 0 for one that says nothing.
type Widths = [usize; COLUMNS.len()];

/// Which columns there are, and how wide.
pub(super) struct Layout {
    widths: Widths,
    /// Sockets leave no room for what is needed beside them: they have lines of their own.
    apart: bool,
    columns: usize,
}

impl Layout {
    /// For lines of at most `columns`.
    pub(super) fn new(rows: &[Row<'_>], columns: usize, writer: &mut Writer<'_>) -> Self {
        let mut widths = widths(rows, writer);
        let beside = fitting(widths, columns);
        let apart = length(&beside) > columns;
        if apart {
            widths[SOCKETS] = 0;
        }
        Self {
            widths: if apart {
                fitting(widths, columns)
            } else {
                beside
            },
            apart,
            columns,
        }
    }

    fn shown(&self) -> impl Iterator<Item = (&'static Column, usize)> {
        let both = COLUMNS.iter().zip(self.widths);
        both.filter(|(_, width)| *width > 0)
    }

    /// Appends the line of titles.
    pub(super) fn heading(&self, palette: Palette, out: &mut String) {
        let titles: Vec<String> = self
            .shown()
            .map(|(column, width)| match column.right {
                true => format!("{:>width$}", column.title),
                false => format!("{:<width$}", column.title),
            })
            .collect();
        let line = titles.join("  ");
        if !line.is_empty() {
            let line = split_at_width(line.trim_end(), self.columns).0;
            push(out, palette.heading(), line);
            out.push('\n');
        }
    }

    /// Appends the line of one conversation, its sockets on further lines where they are apart.
    pub(super) fn line(&self, row: &Row<'_>, writer: &mut Writer<'_>, out: &mut String) {
        let mut cell = String::new();
        let (mut pending, mut left) = (0, self.columns);
        for (column, width) in self.shown() {
            cell.clear();
            (column.write)(row, writer, &mut cell);
            let text = split_at_width(&cell, left).0;
            let blank = width.saturating_sub(text.width());
            if column.right {
                pending += blank;
            }
            if !text.is_empty() {
                spaces(pending, out);
                push(out, style(column.title, row, writer.palette), text);
                pending = 0;
            }
            pending += GAP + if column.right { 0 } else { blank };
            left = left.saturating_sub(width + GAP);
        }
        out.push('\n');
        if self.apart {
            cell.clear();
            (COLUMNS[SOCKETS].write)(row, writer, &mut cell);
            write_wrapped(out, INDENT, self.columns, &cell);
        }
    }
}

fn spaces(count: usize, out: &mut String) {
    // Writing to a String cannot fail.
    let _ = write!(out, "{:count$}", "");
}

fn widths(rows: &[Row<'_>], writer: &mut Writer<'_>) -> Widths {
    let mut cell = String::new();
    let mut widths = [0; COLUMNS.len()];
    for row in rows {
        for (column, width) in COLUMNS.iter().zip(&mut widths) {
            cell.clear();
            (column.write)(row, writer, &mut cell);
            *width = (*width).max(cell.width());
        }
    }
    for (column, width) in COLUMNS.iter().zip(&mut widths) {
        if *width > 0 {
            *width = (*width).max(column.title.width());
        }
    }
    widths
}

/// Leaves columns out, those of the highest rank first, until a line is at most `columns` long.
fn fitting(mut widths: Widths, columns: usize) -> Widths {
    while length(&widths) > columns {
        let there = (0..COLUMNS.len()).filter(|&at| widths[at] > 0 && COLUMNS[at].rank > 0);
        let Some(last) = there.max_by_key(|&at| COLUMNS[at].rank) else {
            break;
        };
        widths[last] = 0;
    }
    widths
}

fn length(widths: &Widths) -> usize {
    let shown = widths.iter().filter(|width| **width > 0);
    let sum: usize = shown.map(|width| width + GAP).sum();
    sum.saturating_sub(GAP)
}

/// Appends the head of a Markdown table with every column.
pub(super) fn markdown_head(out: &mut String) {
    let titles = COLUMNS.each_ref().map(|column| column.title);
    let rules = COLUMNS
        .each_ref()
        .map(|column| if column.right { "---:" } else { "---" });
    let _ = writeln!(out, "| {} |\n| {} |", titles.join(" | "), rules.join(" | "));
}

/// Appends its line of one conversation.
pub(super) fn markdown(row: &Row<'_>, writer: &mut Writer<'_>, out: &mut String) {
    let mut cell = String::new();
    out.push('|');
    for column in &COLUMNS {
        cell.clear();
        (column.write)(row, writer, &mut cell);
        let _ = write!(out, " {} |", cell.replace('|', "\\|"));
    }
    out.push('\n');
}

/// Appends what draws `text` over the table of so many `lines` that stands above the cursor: at most `height` lines of it,
/// the last one always. Nothing is wiped before it is written over, so nothing flickers.
pub(super) fn over(text: &str, height: usize, lines: &mut usize, out: &mut String) {
    let all: Vec<&str> = text.lines().collect();
    let Some((last, above)) = all.split_last() else {
        return;
    };
    up(*lines, out);
    *lines = 0;
    for line in above.iter().take(height.saturating_sub(1)).chain([last]) {
        *lines += 1;
        let _ = writeln!(out, "{line}\x1b[K");
    }
    out.push_str(CLEAR);
}

/// Appends what wipes the table of so many `lines`.
pub(super) fn wipe(lines: usize, out: &mut String) {
    up(lines, out);
    if lines > 0 {
        out.push_str(CLEAR);
    }
}

fn up(lines: usize, out: &mut String) {
    if lines > 0 {
        let _ = write!(out, "\r\x1b[{lines}A");
    }
}
