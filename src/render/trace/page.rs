//! The page that lanes are drawn on: where the parts of a row stand, and a line of pieces at their columns.

use std::fmt::Write as _;

use anstyle::Style;

use crate::{
    render::{ladder::arrow::width, style::push},
    timeline::row::Side,
};

const NARROWEST: usize = 60;
const WIDEST: usize = 160;
/// From here on there is room for microseconds.
pub(super) const WIDE: usize = 80;

/// Where the parts of a row stand, in columns counted from 0.
#[derive(Clone, Copy, Debug)]
pub(super) struct Columns {
    pub(super) total: usize,
    pub(super) decimals: usize,
    pub(super) time: usize,
    /// Where the left lane begins.
    pub(super) left: usize,
    /// Where the walls stand.
    pub(super) walls: [usize; 2],
    /// Where the right lane ends, and the packet's number begins.
    pub(super) right: usize,
}

impl Columns {
    pub(super) fn of(width: usize) -> Self {
        let total = width.clamp(NARROWEST, WIDEST);
        let (time, decimals) = if total < WIDE { (8, 4) } else { (10, 6) };
        let left = time + 1;
        let right = total - 7;
        let inner = right - left - 2;
        // The wire's share; both lanes are as wide as each other.
        let wire = inner * 30 / 62;
        let lane = (inner - wire) / 2;
        let walls = [left + lane, right - lane - 1];
        Self {
            total,
            decimals,
            time,
            left,
            walls,
            right,
        }
    }

    /// Columns of the wire.
    pub(super) fn wire(&self) -> usize {
        self.walls[1] - self.walls[0] - 1
    }

    /// Columns of a lane beside its wall, with one of space.
    pub(super) fn margin(&self) -> usize {
        self.walls[0] - self.left - 1
    }

    /// Columns for a call: all up to the other side's wall.
    pub(super) fn room(&self, side: Side) -> usize {
        match side {
            Side::Left => self.walls[1] - 1 - self.left,
            Side::Right => self.total - self.walls[0] - 2,
        }
    }
}

/// A text at its column.
#[derive(Debug)]
pub(super) struct Piece {
    column: usize,
    style: Style,
    text: String,
    /// It may touch a wall, as words do not.
    touches: bool,
}

impl Piece {
    pub(super) const fn words(column: usize, style: Style, text: String) -> Self {
        Self {
            column,
            style,
            text,
            touches: false,
        }
    }

    pub(super) const fn arrow(column: usize, style: Style, text: String) -> Self {
        Self {
            column,
            style,
            text,
            touches: true,
        }
    }

    /// It leaves this column free for a mark.
    fn leaves(&self, column: usize) -> bool {
        let apart = usize::from(!self.touches);
        column + apart < self.column || column >= self.column + width(&self.text) + apart
    }
}

/// Appends a line of pieces, which do not overlap, with marks where there is room for them.
pub(super) fn draw(mut pieces: Vec<Piece>, marks: &[(usize, char)], out: &mut String) {
    for &(column, mark) in marks {
        if pieces.iter().all(|piece| piece.leaves(column)) {
            pieces.push(Piece::arrow(column, Style::new(), mark.to_string()));
        }
    }
    pieces.sort_by_key(|piece| piece.column);
    let mut at = 0;
    for piece in &pieces {
        let gap = piece.column.saturating_sub(at);
        // Writing to a String cannot fail.
        let _ = write!(out, "{:gap$}", "");
        push(out, piece.style, &piece.text);
        at = at.max(piece.column) + width(&piece.text);
    }
    out.push('\n');
}
