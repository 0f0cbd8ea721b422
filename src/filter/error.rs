//! The fault that both languages report: what was expected, with a caret under the place.

use std::fmt;

use crate::{caret::Caret, text::plain};

/// A fault in an expression, with its place.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct FilterError {
    /// The expression as given.
    pub expression: String,
    /// Column of the fault, in characters from 0.
    pub at: usize,
    /// Characters at fault.
    pub len: usize,
    /// What was expected or found.
    pub message: String,
}

impl fmt::Display for FilterError {
    /// The message, the line of the expression that has the fault, and a caret under the fault. Nothing in them reaches
    /// a terminal as a control character.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let message: String = self.message.chars().map(plain).collect();
        writeln!(f, "bad filter: {message}")?;
        let (at, len) = (self.at, self.len);
        let text = &self.expression;
        Caret { text, at, len }.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::is_unsafe;

    fn shown(expression: &str, at: usize, len: usize) -> String {
        let error = FilterError {
            expression: expression.into(),
            at,
            len,
            message: "no".into(),
        };
        error.to_string()
    }

    #[test]
    fn the_caret_stands_under_the_fault_on_its_line() {
        assert_eq!(shown("port x", 5, 1), "bad filter: no\n  port x\n       ^");
        assert_eq!(
            shown("tcp and\n\tport  nope or\n udp", 15, 4),
            "bad filter: no\n   port  nope or\n         ^^^^"
        );
        assert_eq!(
            shown("tcp and", 7, 1),
            "bad filter: no\n  tcp and\n         ^"
        );
        assert_eq!(shown("", 0, 1), "bad filter: no\n  \n  ^");
    }

    #[test]
    fn wide_characters_and_long_lines_keep_the_caret_in_place() {
        assert_eq!(shown("漢字 x", 3, 1), "bad filter: no\n  漢字 x\n       ^");
        let long = "tcp or ".repeat(1000) + "x" + &" or tcp".repeat(1000);
        let text = shown(&long, 7000, 1);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[1].chars().nth(lines[2].len() - 1), Some('x'));
        assert!(lines[1].len() < 130);
    }

    #[test]
    fn no_control_character_reaches_a_terminal() {
        let text = FilterError {
            expression: "tcp \x1b[31m\u{202e}\u{7f}".into(),
            at: 4,
            len: 1,
            message: "\x1b[2J has no meaning".into(),
        }
        .to_string();
        assert!(!text.replace('\n', "").chars().any(is_unsafe), "{text:?}");
        assert!(text.ends_with("\n      ^"), "{text:?}");
    }
}
