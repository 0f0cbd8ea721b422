//! Heads of HTTP messages: gathered from pieces with a limit, then taken apart; a bare LF at a line's end is seen.

use std::fmt;

use crate::text::Safe;

/// The longest head that is taken, in bytes.
pub const HEAD_LIMIT: usize = 32 * 1024;

/// The most fields that a head may have.
const FIELDS: usize = 128;

/// Why a head is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadHead {
    /// Longer than [`HEAD_LIMIT`], or more fields than fit.
    #[error("its head is longer than {HEAD_LIMIT} bytes, or has more than {FIELDS} fields")]
    TooLong,
    /// Another version than 1.0 and 1.1.
    #[error("its version is neither HTTP/1.0 nor HTTP/1.1")]
    Version,
    /// Not what RFC 9112 describes.
    #[error("its head is not as RFC 9112 has it: {0}")]
    Syntax(&'static str),
    /// The connection ended first.
    #[error("it ended before its head did: there was no empty line")]
    NoEnd,
}

impl From<httparse::Error> for BadHead {
    fn from(error: httparse::Error) -> Self {
        use httparse::Error;
        match error {
            Error::TooManyHeaders => Self::TooLong,
            Error::Version => Self::Version,
            Error::HeaderName => Self::Syntax("a field name with a character that none may have"),
            Error::HeaderValue => Self::Syntax("a field value with a control byte"),
            Error::NewLine => Self::Syntax("a CR without its LF"),
            Error::Status => Self::Syntax(
                "a status that is no number of three digits, or words of it with a control byte",
            ),
            Error::Token => Self::Syntax("the first line has a character that it may not have"),
        }
    }
}

/// A head that is whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Whole {
    /// Its bytes, the empty line included.
    pub head: Vec<u8>,
    /// What came behind it.
    pub rest: Vec<u8>,
}

/// A head that is being received. Empty lines in front of it are passed over (RFC 9112 §2.2).
#[derive(Debug, Default)]
pub struct Gathering {
    bytes: Vec<u8>,
    /// A line with something in it has begun.
    begun: bool,
    /// Nothing has come on this line yet.
    fresh: bool,
}

impl Gathering {
    /// Takes bytes that were received. Returns the head when it is whole.
    ///
    /// # Errors
    /// [`BadHead::TooLong`].
    pub fn add(&mut self, piece: &[u8]) -> Result<Option<Whole>, BadHead> {
        for (at, &byte) in piece.iter().enumerate() {
            match byte {
                b'\n' if self.fresh && self.begun => {
                    let (mine, rest) = piece.split_at(at + 1);
                    self.bytes.extend_from_slice(mine);
                    if self.bytes.len() > HEAD_LIMIT {
                        return Err(BadHead::TooLong);
                    }
                    let head = std::mem::take(&mut self.bytes);
                    let rest = rest.to_vec();
                    return Ok(Some(Whole { head, rest }));
                }
                b'\n' => self.fresh = true,
                b'\r' => {}
                _ => (self.begun, self.fresh) = (true, false),
            }
        }
        self.bytes.extend_from_slice(piece);
        if self.bytes.len() > HEAD_LIMIT {
            return Err(BadHead::TooLong);
        }
        Ok(None)
    }

    /// What has come so far.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

/// The first line of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// Such as `GET`.
    pub method: String,
    /// What is asked for, as the client wrote it.
    pub target: String,
}

/// The first line of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// Such as 404.
    pub code: u16,
    /// Its words; may be empty.
    pub reason: String,
}

/// A head, by the kind of its first line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head<First> {
    /// The first line, without the version.
    pub first: First,
    /// 0 of HTTP/1.0, 1 of HTTP/1.1.
    pub minor: u8,
    /// Names and values, in their order.
    pub fields: Vec<(String, Vec<u8>)>,
    /// How many of its lines end in a bare LF, which RFC 9112 §2.2 lets a recipient take.
    pub bare: usize,
}

/// First lines that can be read.
pub trait Start: Sized {
    /// Takes a whole head apart.
    ///
    /// # Errors
    /// When it is not as RFC 9112 has it.
    fn parse(head: &[u8]) -> Result<Head<Self>, BadHead>;
}

impl Start for Request {
    fn parse(head: &[u8]) -> Result<Head<Self>, BadHead> {
        let mut fields = [httparse::EMPTY_HEADER; FIELDS];
        let mut parsed = httparse::Request::new(&mut fields);
        whole(parsed.parse(head)?)?;
        let first = Self {
            method: parsed.method.unwrap_or_default().to_owned(),
            target: parsed.path.unwrap_or_default().to_owned(),
        };
        Ok(Head::new(first, parsed.version, parsed.headers, head))
    }
}

impl Start for Response {
    fn parse(head: &[u8]) -> Result<Head<Self>, BadHead> {
        let mut fields = [httparse::EMPTY_HEADER; FIELDS];
        let mut parsed = httparse::Response::new(&mut fields);
        let mut config = httparse::ParserConfig::default();
        config.allow_obsolete_multiline_headers_in_responses(true);
        whole(config.parse_response(&mut parsed, head)?)?;
        let first = Self {
            code: parsed.code.unwrap_or_default(),
            reason: parsed.reason.unwrap_or_default().to_owned(),
        };
        Ok(Head::new(first, parsed.version, parsed.headers, head))
    }
}

fn whole(status: httparse::Status<usize>) -> Result<(), BadHead> {
    match status {
        httparse::Status::Complete(_) => Ok(()),
        httparse::Status::Partial => Err(BadHead::NoEnd),
    }
}

impl<First> Head<First> {
    fn new(
        first: First,
        version: Option<u8>,
        fields: &[httparse::Header<'_>],
        bytes: &[u8],
    ) -> Self {
        let field = |field: &httparse::Header<'_>| (field.name.to_owned(), field.value.to_vec());
        Self {
            first,
            minor: version.unwrap_or_default(),
            fields: fields.iter().map(field).collect(),
            bare: lines(bytes).filter(|line| line.bare).count(),
        }
    }

    /// The values of all fields of that name, in their order; letters' case does not matter.
    pub fn values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        let named = move |field: &&(String, Vec<u8>)| field.0.eq_ignore_ascii_case(name);
        self.fields.iter().filter(named).map(|field| &*field.1)
    }

    /// The items of a field whose value is a list, as Connection's is.
    pub fn items<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        let items = self
            .values(name)
            .flat_map(|value| value.split(|&b| b == b','));
        items
            .map(<[u8]>::trim_ascii)
            .filter(|item| !item.is_empty())
    }
}

/// A line of a head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeadLine<'a> {
    /// Without its end.
    pub text: &'a [u8],
    /// It ends in LF alone.
    pub bare: bool,
}

/// Safe to show.
impl fmt::Display for HeadLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bare = if self.bare { "   [bare LF]" } else { "" };
        write!(f, "{}{bare}", Safe(self.text))
    }
}

/// The lines of a head, or of what has come of one.
pub fn lines(head: &[u8]) -> impl Iterator<Item = HeadLine<'_>> {
    head.split_inclusive(|&byte| byte == b'\n').map(|line| {
        let (text, ended) = match line.strip_suffix(b"\n") {
            Some(text) => (text, true),
            None => (line, false),
        };
        match text.strip_suffix(b"\r") {
            Some(text) if ended => HeadLine { text, bare: false },
            _ => HeadLine { text, bare: ended },
        }
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::*;

    /// The head and the rest, received byte by byte.
    fn gathered(bytes: &[u8]) -> Option<Whole> {
        let mut gathering = Gathering::default();
        for (at, byte) in bytes.iter().enumerate() {
            if let Some(whole) = gathering.add(&[*byte]).unwrap() {
                let rest = bytes[at + 1..].to_vec();
                return Some(Whole { rest, ..whole });
            }
        }
        None
    }

    #[test]
    fn a_head_ends_at_the_first_empty_line_whatever_ends_the_lines() {
        for text in [
            &b"\r\n\nGET / HTTP/1.0\r\nHost: h\r\n\r\nbody\n\n"[..],
            b"GET / HTTP/1.0\nHost: h\n\nbody\n\n",
            b"GET / HTTP/1.0\nHost: h\r\n\nbody\n\n",
        ] {
            let slowly = gathered(text).unwrap();
            let at_once = Gathering::default().add(text).unwrap().unwrap();
            assert_eq!(slowly, at_once);
            assert_eq!(at_once.rest, b"body\n\n");
            let head = Request::parse(&at_once.head).unwrap();
            assert_eq!((&*head.first.method, &*head.first.target), ("GET", "/"));
            assert_eq!(head.values("hOST").collect::<Vec<_>>(), [b"h"]);
        }
        assert_eq!(gathered(b"GET / HTTP/1.0\r\nHost: h\r\n"), None);
        assert_eq!(gathered(b"\r\n\r\n\r\n"), None);
    }

    #[test]
    fn bare_line_ends_are_counted_and_marked() {
        let text = b"HTTP/1.1 200 OK\r\nA: b\nC: d\r\n\n";
        assert_eq!(Response::parse(text).unwrap().bare, 2);
        let shown: Vec<String> = lines(text).map(|line| line.to_string()).collect();
        assert_eq!(
            shown,
            [
                "HTTP/1.1 200 OK",
                "A: b   [bare LF]",
                "C: d",
                "   [bare LF]"
            ]
        );
        assert_eq!(lines(b"x\x1b[2J").next().unwrap().to_string(), "x\\x1b[2J");
    }

    #[test]
    fn what_is_no_head_says_what_is_wrong() {
        let told = |text: &[u8]| Response::parse(text).unwrap_err().to_string();
        assert!(told(b"HTTP/2 200\r\n\r\n").contains("version"));
        assert!(told(b"HTTP/1.1 20 OK\r\n\r\n").contains("status"));
        assert!(told(b"HTTP/1.1 200 OK\r\nA b: c\r\n\r\n").contains("field name"));
        assert!(told(b"HTTP/1.1 200 OK\r\nA: \x01\r\n\r\n").contains("control byte"));
        let many = [
            &b"HTTP/1.1 200 OK\r\n"[..],
            &b"A: b\r\n".repeat(200),
            b"\r\n",
        ]
        .concat();
        assert_eq!(Response::parse(&many), Err(BadHead::TooLong));
    }

    #[test]
    fn a_head_without_end_stops_at_the_limit() {
        let mut gathering = Gathering::default();
        let pieces = (0..)
            .map(|_| gathering.add(b"X: y\r\n"))
            .take_while(Result::is_ok);
        let taken = pieces.count() * 6;
        assert!((HEAD_LIMIT - 6..=HEAD_LIMIT).contains(&taken), "{taken}");
    }

    #[test]
    fn lists_are_taken_apart_over_several_fields() {
        let text = b"GET / HTTP/1.1\r\nConnection: keep-alive, Upgrade\r\nconnection: x\r\n\r\n";
        let head = Request::parse(text).unwrap();
        let items: Vec<&[u8]> = head.items("Connection").collect();
        assert_eq!(items, [&b"keep-alive"[..], b"Upgrade", b"x"]);
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in prop_oneof![
            prop::collection::vec(any::<u8>(), 0..200),
            "(HTTP/1.[01] [0-9]{3}|GET / HTTP/1.1)(\r\n|\n)([A-Z]{0,3}:? ?[a-z,\t ]{0,4}(\r\n|\n|\r)){0,4}(\r\n|\n)?x?"
                .prop_map(String::into_bytes),
        ]) {
            let at_once = Gathering::default().add(&bytes).unwrap();
            prop_assert_eq!(&gathered(&bytes), &at_once);
            let head = at_once.as_ref().map_or(&bytes, |whole| &whole.head);
            for parsed in [Request::parse(head).map(|h| h.bare), Response::parse(head).map(|h| h.bare)] {
                prop_assert!(parsed.is_err() || at_once.is_some(), "a head without its end");
            }
            for line in lines(&bytes) {
                prop_assert!(line.to_string().chars().all(|c| !c.is_control()));
            }
        }
    }
}
