//! The text of a head: where it begins and ends, its start line, its fields, and how long a body they announce.
//!
//! Spec: RFC 9112; a lone LF is taken for the end of a line too (§2.2).

use memchr::{memchr, memchr_iter};

/// Characters of a method: more than any that is registered.
const LONGEST_METHOD: usize = 32;

/// What the first bytes of a message say of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Beginning {
    /// They are a start line.
    Sure,
    /// They can be the first part of one.
    Possible,
    /// They are something else.
    Other,
}

/// The first line of a head, in parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start<'a> {
    /// Method, target and version (RFC 9112 §3).
    Request(&'a [u8], &'a [u8], &'a [u8]),
    /// Version, code and reason phrase (RFC 9112 §4).
    Response(&'a [u8], &'a [u8], &'a [u8]),
}

/// What kind of body a message has, as far as its own head tells (RFC 9112 §6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Body {
    /// So many bytes.
    Length(u64),
    /// Chunks, until an empty one.
    Chunked,
    /// The head says nothing: a request has no body then, a response goes on until the connection is closed.
    Unsaid,
}

/// A line of a head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line<'a> {
    /// The line with what ends it.
    pub whole: &'a [u8],
}

impl<'a> Line<'a> {
    /// The line without what ends it.
    pub fn text(&self) -> &'a [u8] {
        let line = self.whole.strip_suffix(b"\n").unwrap_or(self.whole);
        line.strip_suffix(b"\r").unwrap_or(line)
    }

    /// It ends in a LF without a CR.
    pub fn is_bare(&self) -> bool {
        self.whole.ends_with(b"\n") && !self.whole.ends_with(b"\r\n")
    }

    /// Name and value, where it is a field's first line; the value may go on in lines that begin with a space (§5.2).
    pub fn field(&self) -> Option<(&'a [u8], &'a [u8])> {
        let text = self.text();
        if text.starts_with(b" ") || text.starts_with(b"\t") {
            return None;
        }
        let colon = memchr(b':', text)?;
        Some((&text[..colon], text[colon + 1..].trim_ascii()))
    }
}

/// A head, or as much of one as there is.
#[derive(Clone, Copy, Debug)]
pub struct Head<'a>(pub &'a [u8]);

impl<'a> Head<'a> {
    /// All lines, the empty one at the end too.
    pub fn lines(&self) -> impl Iterator<Item = Line<'a>> + use<'a> {
        let mut rest = self.0;
        std::iter::from_fn(move || {
            let end = memchr(b'\n', rest).map_or(rest.len(), |lf| lf + 1);
            let whole = rest.split_off(..end).filter(|line| !line.is_empty())?;
            Some(Line { whole })
        })
    }

    /// The start line.
    pub fn start(&self) -> Option<Start<'a>> {
        Start::of(self.lines().next()?.text())
    }

    /// The values of the field called `name`, in any case of letters.
    pub fn values(&self, name: &str) -> impl Iterator<Item = &'a [u8]> {
        let fields = self.lines().skip(1).filter_map(|line| line.field());
        fields
            .filter(move |(found, _)| found.eq_ignore_ascii_case(name.as_bytes()))
            .map(|(_, value)| value)
    }

    /// A list in fields called `name` has this word.
    pub fn lists(&self, name: &str, word: &str) -> bool {
        let words = self
            .values(name)
            .flat_map(|value| value.split(|b| *b == b','));
        words
            .map(<[u8]>::trim_ascii)
            .any(|found| found.eq_ignore_ascii_case(word.as_bytes()))
    }

    /// What body the fields announce: chunks go before a length (RFC 9112 §6.3).
    pub fn body(&self) -> Body {
        if self.lists("transfer-encoding", "chunked") {
            return Body::Chunked;
        }
        let length = self.values("content-length").next().and_then(number);
        length.map_or(Body::Unsaid, Body::Length)
    }
}

/// A decimal number of any length that fits.
pub(super) fn number(digits: &[u8]) -> Option<u64> {
    let digits = std::str::from_utf8(digits).ok()?;
    // `parse` takes a plus sign as well.
    let plain = digits.bytes().all(|b| b.is_ascii_digit());
    digits.parse().ok().filter(|_| plain)
}

impl<'a> Start<'a> {
    /// Reads a line without what ends it; `None` where it is not the start line of HTTP/1 or 0.
    pub fn of(line: &'a [u8]) -> Option<Self> {
        let first = memchr(b' ', line)?;
        let (word, rest) = (&line[..first], &line[first + 1..]);
        if is_version(word) {
            let (code, phrase) = rest.split_at_checked(3)?;
            let apart = phrase.is_empty() || phrase[0] == b' ';
            let digits = code.iter().all(u8::is_ascii_digit);
            return (apart && digits)
                .then(|| Self::Response(word, code, phrase.get(1..).unwrap_or_default()));
        }
        let last = rest.iter().rposition(|b| *b == b' ')?;
        let (target, version) = (&rest[..last], &rest[last + 1..]);
        let sound = is_method(word) && !target.is_empty() && is_version(version);
        sound.then_some(Self::Request(word, target, version))
    }
}

/// `HTTP/1.1`, or another of that major version or the one before.
fn is_version(word: &[u8]) -> bool {
    matches!(word, [b'H', b'T', b'T', b'P', b'/', b'0' | b'1', b'.', minor] if minor.is_ascii_digit())
}

/// A method in capital letters, as all that are registered.
fn is_method(word: &[u8]) -> bool {
    (1..=LONGEST_METHOD).contains(&word.len()) && word.iter().all(|b| is_of_method(*b))
}

fn is_of_method(byte: u8) -> bool {
    byte.is_ascii_uppercase() || byte == b'-' || byte == b'_'
}

/// Whether a message begins here.
pub fn beginning(bytes: &[u8]) -> Beginning {
    // Nearly all that is something else ends here.
    if !bytes.first().is_some_and(u8::is_ascii_uppercase) {
        return Beginning::Other;
    }
    if let Some(lf) = memchr(b'\n', bytes) {
        let whole = &bytes[..=lf];
        return match Start::of(Line { whole }.text()) {
            Some(_) => Beginning::Sure,
            None => Beginning::Other,
        };
    }
    let word = &bytes[..memchr(b' ', bytes).unwrap_or(bytes.len())];
    let version = b"HTTP/1.1".starts_with(word) || is_version(word);
    let text = bytes.iter().all(|b| *b >= b' ' || *b == b'\r');
    match text && (version || is_method(word)) {
        true => Beginning::Possible,
        false => Beginning::Other,
    }
}

/// The length of a head with the empty line behind it; `None` where that has not come. `looked` bytes were looked at
/// before, and had none.
pub fn length(bytes: &[u8], looked: usize) -> Option<usize> {
    // The LF before the empty line can be among those.
    let from = looked.saturating_sub(2);
    memchr_iter(b'\n', bytes.get(from..)?).find_map(|lf| match &bytes[from + lf + 1..] {
        [b'\n', ..] => Some(from + lf + 2),
        [b'\r', b'\n', ..] => Some(from + lf + 3),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn start_lines_are_told_from_other_text() {
        let request = |line: &'static [u8]| match Start::of(line) {
            Some(Start::Request(method, target, version)) => (method, target, version),
            other => panic!("{other:?}"),
        };
        let v = b"HTTP/1.1".as_slice();
        assert_eq!(
            request(b"GET / HTTP/1.1"),
            (b"GET".as_slice(), b"/".as_slice(), v)
        );
        assert_eq!(request(b"M-SEARCH a b HTTP/1.1").1, b"a b");
        let response = |line: &'static [u8]| match Start::of(line) {
            Some(Start::Response(_, code, phrase)) => (code, phrase),
            other => panic!("{other:?}"),
        };
        assert_eq!(
            response(b"HTTP/1.1 404 Not Found"),
            (b"404".as_slice(), b"Not Found".as_slice())
        );
        assert_eq!(response(b"HTTP/1.0 200").1, b"");
        for other in [
            b"".as_slice(),
            b"GET /",
            b"GET  HTTP/1.1",
            b"get / HTTP/1.1",
            b"GET / HTTP/2.0",
            b"HTTP/1.1 20",
            b"HTTP/1.1 2000",
            b"HTTP/1.1 abc",
        ] {
            assert_eq!(Start::of(other), None, "{other:?}");
        }
    }

    #[test]
    fn every_first_part_of_a_start_line_may_begin_a_message() {
        for line in ["GET /a HTTP/1.1\r\n", "HTTP/1.0 200 OK\n"] {
            for len in 1..line.len() {
                let found = beginning(&line.as_bytes()[..len]);
                assert_eq!(found, Beginning::Possible, "{:?}", &line[..len]);
            }
            assert_eq!(beginning(line.as_bytes()), Beginning::Sure);
        }
        for other in [
            "",
            "get /",
            "G\x01",
            "{\"a\": 1}",
            "Some words",
            "GET x\r\n",
        ] {
            assert_eq!(beginning(other.as_bytes()), Beginning::Other, "{other:?}");
        }
    }

    #[test]
    fn the_end_is_found_however_little_comes_at_once() {
        for head in ["A\r\nB\r\n\r\n", "A\nB\n\n", "A\r\n\n", "A\n\r\n"] {
            let bytes = [head.as_bytes(), b"\r\n\r\nbody"].concat();
            assert_eq!(length(&bytes, 0), Some(head.len()), "{head:?}");
            for looked in 0..head.len() {
                assert_eq!(length(&bytes[..looked], 0), None, "{head:?}");
                assert_eq!(length(&bytes, looked), Some(head.len()), "{head:?}");
            }
        }
    }

    #[test]
    fn the_body_is_as_long_as_the_head_says() {
        let body = |fields: &str| Head(format!("GET / HTTP/1.1\r\n{fields}\r\n").as_bytes()).body();
        assert_eq!(body("Content-Length: 12\r\n"), Body::Length(12));
        assert_eq!(body("content-length:0\n"), Body::Length(0));
        let both = "Content-Length: 12\r\nTransfer-Encoding: gzip, Chunked\r\n";
        assert_eq!(body(both), Body::Chunked);
        for unsaid in [
            "",
            "Content-Length: +1\r\n",
            "Content-Length: 99999999999999999999\r\n",
        ] {
            assert_eq!(body(unsaid), Body::Unsaid, "{unsaid}");
        }
    }
}
