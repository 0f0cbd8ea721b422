//! The arrow of a ladder's row, with its words on it.

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// The characters that a ladder is drawn with.
#[derive(Debug)]
pub(in crate::render) struct Glyphs {
    pub(in crate::render) solid: char,
    pub(in crate::render) double: char,
    pub(in crate::render) dashed: char,
    pub(in crate::render) left: char,
    pub(in crate::render) right: char,
    pub(in crate::render) wall: char,
    /// A wall beside which a call waits.
    pub(in crate::render) waits: char,
    pub(in crate::render) cross: char,
    /// Between two sockets.
    pub(in crate::render) to: &'static str,
    /// Text was cut here.
    pub(in crate::render) more: &'static str,
}

static LINES: Glyphs = Glyphs {
    solid: '─',
    double: '═',
    dashed: '╌',
    left: '◀',
    right: '▶',
    wall: '│',
    waits: '┃',
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
    waits: '#',
    cross: 'X',
    to: "->",
    more: "...",
};

impl Glyphs {
    pub(in crate::render) fn of(ascii: bool) -> &'static Self {
        if ascii { &ASCII } else { &LINES }
    }
}

/// An arrow of `room` columns.
#[derive(Clone, Copy, Debug)]
pub(in crate::render) struct Arrow {
    pub(in crate::render) glyphs: &'static Glyphs,
    pub(in crate::render) to_the_right: bool,
    pub(in crate::render) stroke: char,
    /// It ends in a cross.
    pub(in crate::render) dropped: bool,
    /// Columns of shaft before the words.
    pub(in crate::render) lead: usize,
    pub(in crate::render) room: usize,
}

impl Arrow {
    /// Columns left for words.
    pub(in crate::render) fn most_text(&self) -> usize {
        let end = if self.to_the_right || self.dropped {
            2
        } else {
            1
        };
        self.shaft().saturating_sub(self.lead + 2 + end)
    }

    /// Draws it, with `text` of at most [`Arrow::most_text`] columns.
    pub(in crate::render) fn draw(&self, text: &str) -> String {
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
pub(in crate::render) fn cut(text: String, most: usize, more: &str) -> String {
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
