//! Words and signs of a display filter, each with its place.

use std::ops::Range;

use super::Fault;

/// One piece of the expression.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Token {
    pub(super) kind: Kind,
    /// Bytes of the expression.
    pub(super) at: Range<usize>,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Kind {
    /// A name, a keyword, a number, an address: whatever stands bare.
    Word(String),
    /// A string, its escapes undone.
    Text(Vec<u8>),
    /// A character constant.
    Char(u8),
    /// An operator or a mark.
    Sign(&'static str),
    /// What stands between `[` and `]`.
    Ranges(String),
    /// Nothing more.
    End,
}

/// Longest first.
const SIGNS: &[&str] = &[
    "===", "!==", "==", "!=", "~=", ">=", "<=", "&&", "||", "..", "~", ">", "<", "!", "&", "+",
    "-", "*", "/", "%", "(", ")", "{", "}", ",", "#",
];

/// Splits `text` into tokens; the last one is [`Kind::End`].
pub(super) fn lex(text: &str) -> Result<Vec<Token>, Fault> {
    let mut tokens = Vec::new();
    let mut at = 0;
    while let Some(first) = text[at..].chars().next() {
        if first.is_whitespace() {
            at += first.len_utf8();
            continue;
        }
        let (kind, len) = token(text, at)?;
        tokens.push(Token {
            kind,
            at: at..at + len,
        });
        at += len;
    }
    tokens.push(Token {
        kind: Kind::End,
        at: at..at,
    });
    Ok(tokens)
}

/// The token that begins at byte `at`, and its length.
fn token(text: &str, at: usize) -> Result<(Kind, usize), Fault> {
    let rest = &text[at..];
    if rest.starts_with('"') {
        return string(text, at, 1, false);
    }
    if rest.starts_with("r\"") || rest.starts_with("R\"") {
        return string(text, at, 2, true);
    }
    if rest.starts_with('\'') {
        return character(text, at);
    }
    if rest.starts_with('[') {
        let end = rest
            .find(']')
            .ok_or_else(|| Fault::new(at..text.len(), "this [ is never closed with ]"))?;
        return Ok((Kind::Ranges(rest[1..end].to_owned()), end + 1));
    }
    let word = word(rest);
    if word > 0 {
        return Ok((Kind::Word(rest[..word].to_owned()), word));
    }
    if let Some(sign) = SIGNS.iter().find(|sign| rest.starts_with(**sign)) {
        return Ok((Kind::Sign(sign), sign.len()));
    }
    let c = rest.chars().next().unwrap_or_default();
    let message = match c {
        '=' => "one = compares nothing: write ==".to_owned(),
        '|' => "bits cannot be combined with |; for \"or\" write ||".to_owned(),
        '^' => "there is no \"exclusive or\"; a and b differ: (a and not b) or (b and not a)"
            .to_owned(),
        '$' => "references to a selected packet (${field}) need one: there is none here".to_owned(),
        c if crate::text::is_unsafe(c) => "a control character has no meaning here".to_owned(),
        c => format!("{c} has no meaning here"),
    };
    Err(Fault::new(at..at + c.len_utf8(), message))
}

/// Bytes of the bare word at the beginning of `rest`. A word never holds `..`, which makes ranges; a prefix length
/// (`10.0.0.0/8`) belongs to the address before it.
fn word(rest: &str) -> usize {
    let part = |c: char| c.is_alphanumeric() || matches!(c, '_' | '.' | ':' | '-');
    let starts = |c: char| c.is_alphanumeric() || matches!(c, '_' | '.' | ':');
    if !rest.starts_with(starts) || rest.starts_with("..") {
        return 0;
    }
    let mut end = rest.find(|c| !part(c)).unwrap_or(rest.len());
    end = rest[..end].find("..").unwrap_or(end);
    let address =
        rest[..end].contains(['.', ':']) || !rest[..end].contains(|c: char| c.is_ascii_digit());
    if address && let Some(after) = rest[end..].strip_prefix('/') {
        let digits = after.bytes().take_while(u8::is_ascii_digit).count();
        if digits > 0 && !is_field(&rest[..end]) {
            end += 1 + digits;
        }
    }
    end
}

/// `word` is a field: then `/2` behind it divides.
fn is_field(word: &str) -> bool {
    super::fields::exists(word)
}

fn string(text: &str, at: usize, open: usize, raw: bool) -> Result<(Kind, usize), Fault> {
    let bytes = text.as_bytes();
    let mut found = Vec::new();
    let mut place = at + open;
    while let Some(&byte) = bytes.get(place) {
        match byte {
            b'"' => return Ok((Kind::Text(found), place + 1 - at)),
            b'\\' if raw => {
                // A quote can be escaped, and the backslash stays.
                found.push(byte);
                place += 1;
                if let Some(&next @ (b'"' | b'\\')) = bytes.get(place) {
                    found.push(next);
                    place += 1;
                }
            }
            b'\\' => place = escape(text, place, &mut found)?,
            _ => {
                found.push(byte);
                place += 1;
            }
        }
    }
    Err(Fault::new(
        at..text.len(),
        "this string is never closed with \"",
    ))
}

fn character(text: &str, at: usize) -> Result<(Kind, usize), Fault> {
    let bytes = text.as_bytes();
    let mut found = Vec::new();
    let end = match bytes.get(at + 1) {
        Some(b'\\') => escape(text, at + 1, &mut found)?,
        Some(&byte) => {
            found.push(byte);
            at + 2
        }
        None => at + 1,
    };
    match (found.as_slice(), bytes.get(end)) {
        (&[byte], Some(b'\'')) => Ok((Kind::Char(byte), end + 1 - at)),
        _ => {
            let end = text[at + 1..].find('\'').map_or(text.len(), |n| at + n + 2);
            let message = "a character constant is one character, such as 'a' or '\\x41'; strings stand in double quotes";
            Err(Fault::new(at..end, message))
        }
    }
}

/// Undoes the escape at byte `at`; says where it ends.
fn escape(text: &str, at: usize, found: &mut Vec<u8>) -> Result<usize, Fault> {
    let rest = &text[at + 1..];
    let simple = |byte: u8, found: &mut Vec<u8>| {
        found.push(byte);
        Ok(at + 2)
    };
    let fault = |len: usize, message: String| {
        let end = (at + len..=text.len()).find(|n| text.is_char_boundary(*n));
        Err(Fault::new(at..end.unwrap_or(text.len()), message))
    };
    let Some(c) = rest.chars().next() else {
        return fault(1, "nothing follows the backslash".into());
    };
    match c {
        'a' => simple(7, found),
        'b' => simple(8, found),
        'f' => simple(12, found),
        'n' => simple(b'\n', found),
        'r' => simple(b'\r', found),
        't' => simple(b'\t', found),
        'v' => simple(11, found),
        '\'' | '"' | '\\' => simple(c as u8, found),
        '0'..='7' => {
            let digits = digits(rest, 8, 3);
            match u8::from_str_radix(digits, 8) {
                Ok(byte) => found.push(byte),
                Err(_) => {
                    return fault(4, format!("\\{digits} is more than a byte: at most \\377"));
                }
            }
            Ok(at + 1 + digits.len())
        }
        'x' => {
            let digits = digits(&rest[1..], 16, 2);
            match u8::from_str_radix(digits, 16) {
                Ok(byte) => found.push(byte),
                Err(_) => return fault(2, "\\x needs hexadecimal digits, such as \\x41".into()),
            }
            Ok(at + 2 + digits.len())
        }
        'u' | 'U' => {
            let wanted = if c == 'u' { 4 } else { 8 };
            let digits = digits(&rest[1..], 16, wanted);
            let point = u32::from_str_radix(digits, 16)
                .ok()
                .and_then(char::from_u32);
            match point.filter(|_| digits.len() == wanted) {
                Some(c) => found.extend(c.encode_utf8(&mut [0; 4]).bytes()),
                None => {
                    return fault(
                        2,
                        format!("\\{c} needs the {wanted} digits of a character's number"),
                    );
                }
            }
            Ok(at + 2 + digits.len())
        }
        _ => fault(
            2,
            "no such escape; in r\"…\" a backslash stands for itself".into(),
        ),
    }
}

/// The digits of `radix` that `text` begins with, at most `most`.
fn digits(text: &str, radix: u32, most: usize) -> &str {
    let len = text
        .chars()
        .take(most)
        .take_while(|c| c.is_digit(radix))
        .count();
    &text[..len]
}
