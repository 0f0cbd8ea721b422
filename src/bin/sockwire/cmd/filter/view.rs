//! How explanations look: the expression with its marks, code beside words, all as wide as the terminal.

use std::{fmt::Write as _, ops::Range};

use sockwire::{
    render::style::{Palette, push},
    text::plain,
};

use unicode_width::UnicodeWidthStr as _;

use crate::cmd::output::{split_at_width, write_wrapped};

/// The least columns for the words beside code.
const NARROWEST: usize = 20;

/// What is explained, and how it is shown.
pub(super) struct View<'a> {
    pub(super) expression: &'a str,
    pub(super) palette: Palette,
    pub(super) columns: usize,
    /// Packets were counted.
    pub(super) counted: bool,
}

impl View<'_> {
    pub(super) fn heading(&self, text: &str, out: &mut String) {
        push(out, self.palette.heading(), text);
        out.push('\n');
    }

    /// The expression, with carets under the characters of `span`.
    pub(super) fn expression(&self, span: &Range<usize>, out: &mut String) {
        let characters: Vec<char> = shown(self.expression).chars().collect();
        if characters.iter().all(|c| *c == ' ') {
            out.push_str("  (an empty filter)\n");
            return;
        }
        let most = self.columns.saturating_sub(2).max(NARROWEST);
        let width = |characters: &[char]| characters.iter().collect::<String>().width();
        for (n, line) in characters.chunks(most).enumerate() {
            let text: String = line.iter().collect();
            let _ = writeln!(out, "  {}", text.trim_end());
            let place = |at: usize| at.saturating_sub(n * most).min(line.len());
            let (start, end) = (place(span.start), place(span.end));
            if start < end {
                let carets = "^".repeat(width(&line[start..end]));
                let _ = write!(out, "  {:1$}", "", width(&line[..start]));
                push(out, self.palette.problem(), &carets);
                out.push('\n');
            }
        }
    }

    /// Words that go on below themselves.
    pub(super) fn paragraph(&self, text: &str, out: &mut String) {
        write_wrapped(out, 2, self.columns, &shown(text));
    }

    /// Something that a reader might not expect.
    pub(super) fn note(&self, text: &str, out: &mut String) {
        let mut lines = String::new();
        write_wrapped(&mut lines, 6, self.columns, &shown(text));
        out.push('\n');
        push(out, self.palette.remark(), "note:");
        out.push_str(&lines[5.min(lines.len())..]);
    }

    /// Code to the left, words to the right; below code that is too long for that, and which is cut to a line.
    pub(super) fn rows(&self, rows: &[(String, String)], out: &mut String) {
        let most = self.columns.saturating_sub(NARROWEST);
        let widths = rows.iter().map(|(code, _)| code.width() + 2);
        let left = widths.filter(|width| *width <= most).max().unwrap_or(8);
        let columns = self.columns.max(left + NARROWEST);
        for (code, words) in rows {
            let mut text = String::new();
            write_wrapped(&mut text, left, columns, words);
            let width = code.width();
            if width + 2 > left {
                let (line, rest) = split_at_width(code, columns - 1);
                let more = if rest.is_empty() { "" } else { "…" };
                let _ = writeln!(out, "{line}{more}");
                out.push_str(&text);
            } else {
                // The first line goes on behind the code.
                out.push_str(code);
                out.push_str(text.get(width..).unwrap_or("\n"));
            }
        }
    }

    /// What the filter takes: lines with an indentation of their own.
    pub(super) fn words(&self, words: &str, out: &mut String) {
        out.push('\n');
        self.heading("It takes", out);
        for line in words.lines() {
            let line = shown(line);
            let indent = line.len() - line.trim_start().len();
            // What does not fit goes on deeper.
            let hanging = (indent + 4).min(self.columns / 2);
            let mut text = String::new();
            write_wrapped(&mut text, hanging, self.columns, &line);
            let _ = write!(out, "{:1$}{2}", "", hanging - 2, text.trim_start());
        }
    }

    /// How many of all packets match, where they were counted.
    pub(super) fn count(&self, (matched, packets): (u64, u64), out: &mut String) {
        if !self.counted {
            return;
        }
        let text = match (matched, packets) {
            (_, 0) => "There are no packets".to_owned(),
            (1, _) => format!("1 of {packets} packets matches"),
            _ => format!("{matched} of {packets} packets match"),
        };
        out.push('\n');
        self.heading(&text, out);
    }

    /// Whether packet `number` matches.
    pub(super) fn answer(&self, number: u64, matches: bool, out: &mut String) {
        let answer = if matches { "matches" } else { "does not match" };
        out.push('\n');
        self.heading(&format!("Packet {number} {answer}"), out);
    }
}

/// Text in which every character is safe to show.
pub(super) fn shown(text: &str) -> String {
    text.chars().map(plain).collect()
}
