//! The place of a fault in a line that somebody typed: the line, and a caret under the fault.

use std::fmt;

use unicode_width::UnicodeWidthStr;

use crate::text::plain;

/// The most characters of a line that are shown on each side of the beginning of a fault.
const AROUND: usize = 60;

/// Shows the line of `text` that has the fault, and a caret under it, indented by two. Nothing in them reaches a terminal
/// as a control character.
#[derive(Clone, Copy, Debug)]
pub struct Caret<'a> {
    /// What was typed, perhaps of several lines.
    pub text: &'a str,
    /// Column of the fault, in characters from 0.
    pub at: usize,
    /// Characters at fault.
    pub len: usize,
}

impl fmt::Display for Caret<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let before: Vec<char> = self.text.chars().take(self.at).collect();
        let line = before.iter().rposition(|c| *c == '\n').map_or(0, |n| n + 1);
        let start = line.max(before.len().saturating_sub(AROUND));
        let rest = self.text.chars().skip(self.at);
        let rest: Vec<char> = rest.take(AROUND).take_while(|c| *c != '\n').collect();
        let len = self.len.clamp(1, rest.len().max(1));
        let (before, fault) = (shown(&before[start..]), shown(&rest[..len.min(rest.len())]));
        writeln!(f, "  {before}{}", shown(&rest))?;
        let (indent, carets) = (before.width(), fault.width().max(1));
        write!(f, "  {}{}", " ".repeat(indent), "^".repeat(carets))
    }
}

fn shown(text: &[char]) -> String {
    text.iter().map(|c| plain(*c)).collect()
}
