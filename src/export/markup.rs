//! Text for XML and HTML: nothing in a packet or a file can end a tag, an attribute or a text, or turn a line around.

use std::fmt::{self, Write as _};

use crate::text::is_unsafe;

/// Shows a value as the text of an element or of a quoted attribute.
pub(super) struct Escaped<T>(pub(super) T);

impl<T: fmt::Display> fmt::Display for Escaped<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(Escaping(f), "{}", self.0)
    }
}

struct Escaping<'a, 'b>(&'a mut fmt::Formatter<'b>);

impl fmt::Write for Escaping<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for c in text.chars() {
            match c {
                '&' => self.0.write_str("&amp;")?,
                '<' => self.0.write_str("&lt;")?,
                '>' => self.0.write_str("&gt;")?,
                '"' => self.0.write_str("&quot;")?,
                '\'' => self.0.write_str("&#39;")?,
                '\n' => self.0.write_char(c)?,
                // Neither may stand in XML (XML 1.0 §2.2), and the first kind moves what is around it.
                c if is_unsafe(c) || matches!(c, '\u{fffe}' | '\u{ffff}') => {
                    self.0.write_char(char::REPLACEMENT_CHARACTER)?;
                }
                c => self.0.write_char(c)?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_ends_a_tag_or_an_attribute() {
        let hostile = "<script>\"'&]]>--\u{1b}\u{202e}\u{ffff}\u{9b}é";
        assert_eq!(
            Escaped(hostile).to_string(),
            "&lt;script&gt;&quot;&#39;&amp;]]&gt;--\u{fffd}\u{fffd}\u{fffd}\u{fffd}é"
        );
    }
}
