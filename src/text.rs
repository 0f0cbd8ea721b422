//! Text from packets and files made safe to show: no control byte, C1 code or bidi mark reaches a terminal or a page.

use std::fmt::{self, Write as _};

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr as _};

/// The most characters of a packet's string that a view shows.
pub const SHOWN: usize = 4096;

/// The word of `known` that `word` was probably meant to be.
pub fn near<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let known = known.into_iter();
    known
        .filter_map(|known| Some((slips(word, known)?, known)))
        .min_by_key(|(slips, _)| *slips)
        .map(|(_, known)| known)
}

/// How many slips are between `word` and `known`: one at most, or two or three where it is long. Two letters that changed
/// places are one slip.
pub fn slips(word: &str, known: &str) -> Option<usize> {
    let most = 1 + known.len() / 5;
    // Words of quite another length are not compared: that would take long for a long one.
    let comparable = known.chars().count().abs_diff(word.chars().count()) <= most;
    let slips = comparable.then(|| strsim::osa_distance(word, known));
    slips.filter(|slips| *slips <= most)
}

/// Shows untrusted bytes as text: printable UTF-8 as it is, everything else as `\xNN` or `\u{NNNN}`.
#[derive(Clone, Copy, Debug)]
pub struct Safe<'a>(pub &'a [u8]);

impl fmt::Display for Safe<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut left = SHOWN;
        for chunk in self.0.utf8_chunks() {
            for c in chunk.valid().chars() {
                if left == 0 {
                    return f.write_str("…");
                }
                left -= 1;
                write_char(f, c)?;
            }
            for b in chunk.invalid() {
                if left == 0 {
                    return f.write_str("…");
                }
                left -= 1;
                write!(f, "\\x{b:02x}")?;
            }
        }
        Ok(())
    }
}

/// A command, safe to show, with its backslashes as they were typed.
pub fn typed(command: &str) -> String {
    Safe(command.as_bytes()).to_string().replace("\\\\", "\\")
}

/// Appends untrusted bytes as lines of text: printable UTF-8, tabs and line ends as they are, CR LF as a line end, everything
/// else escaped as in [`Safe`]. Nothing is left out. Returns how many bytes at the end it could not yet read: the
/// beginning of a character, or a CR.
pub fn push_lines(bytes: &[u8], out: &mut String) -> usize {
    let mut left = 0;
    let mut chunks = bytes.utf8_chunks().peekable();
    while let Some(chunk) = chunks.next() {
        let mut characters = chunk.valid().chars().peekable();
        let ends_here = chunks.peek().is_none() && chunk.invalid().is_empty();
        while let Some(c) = characters.next() {
            match c {
                '\n' | '\t' => out.push(c),
                '\r' if characters.peek() == Some(&'\n') => {}
                '\r' if ends_here && characters.peek().is_none() => left = 1,
                '\\' => out.push(c),
                // Writing to a String cannot fail.
                c => drop(write!(out, "{}", Escaped(c))),
            }
        }
        let invalid = chunk.invalid();
        if chunks.peek().is_none() && is_begun(invalid) {
            left = invalid.len();
            break;
        }
        for byte in invalid {
            let _ = write!(out, "\\x{byte:02x}");
        }
    }
    left
}

/// The bytes may be completed to a character.
fn is_begun(bytes: &[u8]) -> bool {
    std::str::from_utf8(bytes).is_err_and(|error| error.error_len().is_none())
}

struct Escaped(char);

impl fmt::Display for Escaped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_char(f, self.0)
    }
}

fn write_char(f: &mut fmt::Formatter<'_>, c: char) -> fmt::Result {
    match c {
        '\n' => f.write_str("\\n"),
        '\r' => f.write_str("\\r"),
        '\t' => f.write_str("\\t"),
        '\\' => f.write_str("\\\\"),
        c if c.is_ascii_control() => write!(f, "\\x{:02x}", c as u32),
        c if is_unsafe(c) => write!(f, "\\u{{{:x}}}", c as u32),
        c => f.write_char(c),
    }
}

/// Control codes and marks that change how the rest of a line is read.
pub fn is_unsafe(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{200e}' | '\u{200f}' | '\u{061c}' | '\u{2028}' | '\u{2029}' | '\u{feff}'
        )
        || ('\u{202a}'..='\u{202e}').contains(&c)
        || ('\u{2066}'..='\u{2069}').contains(&c)
}

/// The character, or a stand-in of one column for what could move the cursor: for text on one line with marks below it.
pub fn plain(c: char) -> char {
    match c {
        c if c.is_whitespace() => ' ',
        c if is_unsafe(c) || c.width().is_none() => char::REPLACEMENT_CHARACTER,
        c => c,
    }
}

/// The same text in ASCII characters.
pub fn ascii(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            c if c.is_ascii() => out.push(c),
            '→' => out.push('>'),
            '…' => out.push_str("..."),
            '§' => out.push_str("section "),
            c => out.extend(c.escape_unicode()),
        }
    }
    out
}

/// Appends `text` behind `indent` spaces, in lines of at most `columns`; words longer than that are broken.
pub fn write_wrapped(out: &mut String, indent: usize, columns: usize, text: &str) {
    let mut column = 0;
    for word in text.split(' ').filter(|word| !word.is_empty()) {
        let mut rest = word;
        while !rest.is_empty() {
            let width = rest.width();
            if column > 0 && column + 1 + width > columns {
                out.push('\n');
                column = 0;
            }
            let gap = if column == 0 { indent } else { 1 };
            let (piece, after) = split_at_width(rest, columns.saturating_sub(gap));
            // Writing to a String cannot fail.
            let _ = write!(out, "{:gap$}{piece}", "");
            column += gap + piece.width();
            rest = after;
        }
    }
    if column > 0 {
        out.push('\n');
    }
}

/// The text in two: as many characters as fit into `columns`, at least one, and the others.
pub fn split_at_width(text: &str, columns: usize) -> (&str, &str) {
    let mut column = 0;
    let end = text.char_indices().find(|(at, c)| {
        column += c.width().unwrap_or(0);
        column > columns && *at > 0
    });
    text.split_at(end.map_or(text.len(), |(at, _)| at))
}

/// A hardware address as `aa:bb:cc:dd:ee:ff`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mac(pub [u8; 6]);

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Colons(&self.0).fmt(f)
    }
}

/// Bytes as `aa:bb:cc`.
#[derive(Clone, Copy, Debug)]
pub struct Colons<'a>(pub &'a [u8]);

impl fmt::Display for Colons<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        // In pieces, since payloads are long and a formatter is slow byte by byte.
        let mut piece = [b':'; 3 * 64];
        for (n, bytes) in self.0.chunks(64).enumerate() {
            for (place, &byte) in piece.chunks_exact_mut(3).zip(bytes) {
                place[1] = DIGITS[usize::from(byte >> 4)];
                place[2] = DIGITS[usize::from(byte & 15)];
            }
            let shown = &piece[usize::from(n == 0)..3 * bytes.len()];
            f.write_str(std::str::from_utf8(shown).map_err(|_| fmt::Error)?)?;
        }
        Ok(())
    }
}

/// A number: decimal, or with `0x`, `0b`.
pub fn number(text: &str) -> Option<u128> {
    let (digits, radix) = match text.as_bytes() {
        [b'0', b'x' | b'X', ..] => (&text[2..], 16),
        [b'0', b'b' | b'B', ..] => (&text[2..], 2),
        _ => (text, 10),
    };
    if digits.starts_with('+') {
        return None;
    }
    u128::from_str_radix(digits, radix).ok()
}

/// Bytes in hexadecimal, with colons between them or without.
pub fn hexadecimal(text: &str) -> Option<Vec<u8>> {
    hex::decode(text.replace(':', "")).ok()
}

/// Text in which `%XX` is a byte in hexadecimal, and everything else is itself.
///
/// # Errors
/// What is wrong with it, in words.
pub fn from_percent(text: &str) -> Result<Vec<u8>, String> {
    let mut parts = text.split('%');
    let mut bytes = parts.next().unwrap_or("").as_bytes().to_vec();
    for part in parts {
        let coded = part.split_at_checked(2);
        let byte = coded.and_then(|(digits, _)| hex::decode(digits).ok());
        let (byte, (_, plain)) = byte
            .zip(coded)
            .ok_or("after % come two hexadecimal digits; % itself is %25")?;
        bytes.extend(byte);
        bytes.extend_from_slice(plain.as_bytes());
    }
    Ok(bytes)
}

/// Bytes as such text: letters, digits and those of `plain` as they are.
pub fn to_percent(bytes: &[u8], plain: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len());
    for &byte in bytes {
        if byte.is_ascii_alphanumeric() || plain.contains(&byte) {
            out.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(out, "%{byte:02x}");
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_control_code_survives() {
        let all: String = (0..0x3000).filter_map(char::from_u32).collect();
        let shown = Safe(all.as_bytes()).to_string();
        assert!(!shown.chars().any(is_unsafe));
        assert_eq!(Safe(b"a\x1b[31m\xff\n").to_string(), "a\\x1b[31m\\xff\\n");
    }

    #[test]
    fn lines_stay_lines_and_wait_for_the_rest_of_a_character() {
        let lines = |bytes: &[u8]| {
            let mut out = String::new();
            let left = push_lines(bytes, &mut out);
            (out, left)
        };
        let told = |text: &str, left| (text.to_owned(), left);
        assert_eq!(lines(b"a\r\n\tb\\\n"), told("a\n\tb\\\n", 0));
        assert_eq!(
            lines(b"a\x1b[2J\rb\xff\xc2\x9b"),
            told("a\\x1b[2J\\rb\\xff\\u{9b}", 0)
        );
        assert_eq!(lines(b"caf\xc3"), told("caf", 1));
        assert_eq!(lines(b"\xe2\x82"), told("", 2));
        assert_eq!(lines(b"a\r"), told("a", 1));
        let all: Vec<u8> = (0..=255).collect();
        let (shown, _) = lines(&all);
        assert!(
            !shown
                .chars()
                .any(|c| is_unsafe(c) && c != '\n' && c != '\t')
        );
    }

    #[test]
    fn text_of_any_bytes_comes_back() {
        let all: Vec<u8> = (0..=255).collect();
        let text = to_percent(&all, b"-_.");
        assert!(text.bytes().all(|b| b.is_ascii_graphic() && b != b'/'));
        assert_eq!(from_percent(&text), Ok(all));
        assert_eq!(from_percent("a%2fb"), Ok(b"a/b".to_vec()));
        for wrong in ["%", "a%4", "%zz", "%é1", "%:a"] {
            assert!(from_percent(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn plain_text_keeps_its_places() {
        let hostile = "port\n\u{1b}[31m\u{202e}é";
        let shown: String = hostile.chars().map(plain).collect();
        assert_eq!(shown, "port \u{fffd}[31m\u{fffd}é");
        assert_eq!(shown.chars().count(), hostile.chars().count());
    }

    #[test]
    fn bytes_are_pairs_of_digits_between_colons() {
        for len in [0, 1, 2, 63, 64, 65, 128, 200] {
            let bytes: Vec<u8> = (0..len).map(|n| (n * 37) as u8).collect();
            let pairs: Vec<String> = bytes.iter().map(|b| format!("{b:02x}")).collect();
            assert_eq!(Colons(&bytes).to_string(), pairs.join(":"));
        }
    }

    #[test]
    fn long_words_are_broken() {
        let wrapped = |text, columns| {
            let mut out = String::new();
            write_wrapped(&mut out, 2, columns, text);
            out
        };
        assert_eq!(wrapped("one two", 10), "  one two\n");
        assert_eq!(wrapped("one two", 8), "  one\n  two\n");
        assert_eq!(wrapped("a 0123456789 b", 8), "  a\n  012345\n  6789 b\n");
        assert_eq!(wrapped("漢字漢", 6), "  漢字\n  漢\n");
        assert_eq!(wrapped("abc", 1), "  a\n  b\n  c\n");
        assert_eq!(wrapped(" ", 8), "");
    }

    #[test]
    fn ascii_spells_what_it_cannot_show() {
        assert_eq!(
            ascii("a → b … RFC 1 §2 é"),
            "a > b ... RFC 1 section 2 \\u{e9}"
        );
    }

    #[test]
    fn long_text_is_cut() {
        assert_eq!(
            Safe(&vec![b'a'; 10_000]).to_string().chars().count(),
            SHOWN + 1
        );
    }

    #[test]
    fn near_words_are_a_slip_or_two_away() {
        let known = ["lab", "read", "capture", "interfaces"];
        for (word, wanted) in [
            ("lba", Some("lab")),
            ("raed", Some("read")),
            ("captrue", Some("capture")),
            ("interface", Some("interfaces")),
            ("trace", None),
            ("send", None),
            ("", None),
        ] {
            assert_eq!(near(word, known), wanted, "{word}");
        }
    }
}
