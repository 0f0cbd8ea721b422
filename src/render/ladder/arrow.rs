//! The arrow of a ladder's row, with its words on it.

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// The characters that a ladder is drawn with.
#[derive(Debug)]
pub(super) struct Glyphs {
    pub(super) solid: char,
    pub(super) double: char,
    pub(super) dashed: char,
    pub(super) left: char,
    pub(super) right: char,
    pub(super) wall: char,
    pub(super) cross: char,
    /// Between two sockets.
    pub(super) to: &'static str,
    /// Text was cut here.
    pub(super) more: &'static str,
}

static LINES: Glyphs = Glyphs {
    solid: '─',
    double: '═',
    dashed: '╌',
    left: '◀',
    right: '▶',
    wall: '│',
    cross: '✗',
    to: "→",
    more: "…",
};

static ASCII: Glyphs = Glyphs {
    solid: '-',
    double: '=',
    dashed: '.',
    left: '<',
    right: '>',
    wall: '|',
    cross: 'X',
    to: "->",
    more: "...",
};

impl Glyphs {
    pub(super) fn of(ascii: bool) -> &'static Self {
        if ascii { &ASCII } else { &LINES }
    }
}

/// An arrow of `room` columns.
#[derive(Clone, Copy, Debug)]
pub(super) struct Arrow {
    pub(super) glyphs: &'static Glyphs,
    pub(super) to_the_right: bool,
    pub(super) stroke: char,
    /// It ends in a cross.
    pub(super) dropped: bool,
    /// Columns of shaft before the words.
    pub(super) lead: usize,
    pub(super) room: usize,
}

impl Arrow {
    /// Columns left for words.
    pub(super) fn most_text(&self) -> usize {
        let end = if self.to_the_right || self.dropped {
            2
        } else {
            1
        };
        self.shaft().saturating_sub(self.lead + 2 + end)
    }

    /// Draws it, with `text` of at most [`Arrow::most_text`] columns.
    pub(super) fn draw(&self, text: &str) -> String {
        let shaft = self.shaft();
        let mut line: Vec<char> = std::iter::repeat_n(self.stroke, self.lead).collect();
        let words = if text.is_empty() {
            "".to_owned()
        } else {
            format!(" {text} ")
        };
        line.extend(words.chars());
        let rest = shaft.saturating_sub(self.lead + width(&words));
        line.extend(std::iter::repeat_n(self.stroke, rest));
        let gap = " ".repeat(self.lead + 2);
        if self.dropped {
            let line: String = line.into_iter().collect();
            let cross = self.glyphs.cross;
            return if self.to_the_right {
                format!("{line} {cross}{gap}")
            } else {
                format!("{gap}{cross} {line}")
            };
        }
        let head = if self.to_the_right {
            line.last_mut().map(|c| (c, self.glyphs.right))
        } else {
            line.first_mut().map(|c| (c, self.glyphs.left))
        };
        if let Some((c, glyph)) = head {
            *c = glyph;
        }
        line.into_iter().collect()
    }

    /// Columns of the line itself.
    fn shaft(&self) -> usize {
        if self.dropped {
            self.room.saturating_sub(self.lead + 4)
        } else {
            self.room
        }
    }
}

/// Columns of a text on a terminal.
pub fn width(text: &str) -> usize {
    // Most are of plain characters, a column each.
    if text.bytes().all(|b| (b' '..=b'~').contains(&b)) {
        return text.len();
    }
    text.width()
}

/// At most `most` columns of a text, with `more` where it was cut.
pub(super) fn cut(text: String, most: usize, more: &str) -> String {
    if width(&text) <= most {
        return text;
    }
    let room = most.saturating_sub(width(more));
    let mut used = 0;
    let mut short: String = text
        .chars()
        .take_while(|c| {
            used += c.width().unwrap_or(0);
            used <= room
        })
        .collect();
    short.push_str(more);
    short
}
