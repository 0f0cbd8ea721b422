//! Where the body of an answer ends: by its length, in chunks, or where the connection does. It is handed on as it comes.

use super::head::{HEAD_LIMIT, Head, Response};

/// The longest line with a chunk's size, in bytes.
const SIZE_LINE: usize = 1024;

/// What is wrong with a body.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadBody {
    /// Content-Length is no number, or there are several.
    #[error("its Content-Length is not one number, so that nobody knows where its body ends")]
    Length,
    /// The line in front of a chunk.
    #[error(
        "its body is chunked, but a chunk of it has no size: expected a number in hexadecimal digits"
    )]
    ChunkSize,
    /// What stands behind a chunk.
    #[error("its body is chunked, but a chunk of it is longer than its size says")]
    ChunkEnd,
    /// Fields behind the last chunk.
    #[error("its body is chunked, and the fields behind it are longer than {HEAD_LIMIT} bytes")]
    Trailer,
    /// The connection ended first.
    #[error("the connection ended in the middle of its body, {0}")]
    Cut(String),
}

/// A body that is being received.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Body {
    /// So many bytes are still to come.
    Length(u64),
    /// Chunks, each with its size in front (RFC 9112 §7.1).
    Chunked(Chunk),
    /// Everything until the connection ends.
    UntilEnd,
}

/// A place in a chunked body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Chunk {
    /// In the line with a chunk's size; what has come of it.
    Size(Vec<u8>),
    /// In a chunk; bytes still to come.
    Data(u64),
    /// In the line end behind a chunk; the CR has come.
    End(bool),
    /// In the fields behind the last chunk: bytes of this line, and of all lines.
    Trailer(usize, usize),
    /// Behind everything.
    Over,
}

impl Body {
    /// The kind of body that follows an answer's head (RFC 9112 §6.3); `asked_head` says that the request was HEAD.
    ///
    /// # Errors
    /// When the head contradicts itself.
    pub fn of(head: &Head<Response>, asked_head: bool) -> Result<Self, BadBody> {
        if asked_head || matches!(head.first.code, 100..=199 | 204 | 304) {
            return Ok(Self::Length(0));
        }
        if let Some(last) = head.items("Transfer-Encoding").last() {
            return Ok(match last.eq_ignore_ascii_case(b"chunked") {
                true => Self::Chunked(Chunk::Size(Vec::new())),
                false => Self::UntilEnd,
            });
        }
        let mut lengths = head.items("Content-Length");
        let Some(length) = lengths.next() else {
            return Ok(match head.values("Content-Length").next() {
                Some(_) => return Err(BadBody::Length),
                None => Self::UntilEnd,
            });
        };
        // The same length given twice is taken (RFC 9110 §8.6).
        if lengths.any(|other| other != length) {
            return Err(BadBody::Length);
        }
        number(length, 10).map(Self::Length).ok_or(BadBody::Length)
    }

    /// Nothing of it is to come any more.
    pub const fn is_over(&self) -> bool {
        matches!(self, Self::Length(0) | Self::Chunked(Chunk::Over))
    }

    /// Takes bytes that were received: some of them, at least one, with the part of them that belongs to the body. Call it
    /// until they are used up or the body is over.
    ///
    /// # Errors
    /// When the chunks are not as they should be.
    pub fn take<'a>(&mut self, bytes: &'a [u8]) -> Result<(usize, &'a [u8]), BadBody> {
        match self {
            Self::UntilEnd => Ok((bytes.len(), bytes)),
            Self::Length(left) => {
                let data = upto(left, bytes);
                Ok((data.len(), data))
            }
            Self::Chunked(chunk) => chunk.take(bytes),
        }
    }

    /// The connection has ended.
    ///
    /// # Errors
    /// When it should not have.
    pub fn end(&self) -> Result<(), BadBody> {
        match self {
            Self::UntilEnd | Self::Length(0) | Self::Chunked(Chunk::Over) => Ok(()),
            Self::Length(left) | Self::Chunked(Chunk::Data(left)) => {
                Err(BadBody::Cut(format!("{left} bytes before the end")))
            }
            Self::Chunked(_) => Err(BadBody::Cut("between two chunks".to_owned())),
        }
    }
}

impl Chunk {
    fn take<'a>(&mut self, bytes: &'a [u8]) -> Result<(usize, &'a [u8]), BadBody> {
        let line = bytes.iter().position(|&byte| byte == b'\n');
        let used = line.map_or(bytes.len(), |at| at + 1);
        match self {
            Self::Size(text) => {
                if text.len() + used > SIZE_LINE {
                    return Err(BadBody::ChunkSize);
                }
                text.extend_from_slice(&bytes[..used]);
                if line.is_some() {
                    // What follows a semicolon is an extension, which nobody needs to know.
                    let digits = text.split(|&byte| byte == b';').next().unwrap_or_default();
                    *self = match number(digits.trim_ascii(), 16).ok_or(BadBody::ChunkSize)? {
                        0 => Self::Trailer(0, 0),
                        size => Self::Data(size),
                    };
                }
                Ok((used, &[]))
            }
            Self::Data(left) => {
                let data = upto(left, bytes);
                if *left == 0 {
                    *self = Self::End(false);
                }
                Ok((data.len(), data))
            }
            Self::End(cr) => {
                match bytes.first() {
                    Some(b'\r') if !*cr => *cr = true,
                    Some(b'\n') => *self = Self::Size(Vec::new()),
                    Some(_) => return Err(BadBody::ChunkEnd),
                    None => return Ok((0, &[])),
                }
                Ok((1, &[]))
            }
            Self::Trailer(own, all) => {
                *all = all.saturating_add(used);
                let content = bytes[..used]
                    .iter()
                    .filter(|byte| !matches!(byte, b'\r' | b'\n'));
                *own = own.saturating_add(content.count());
                if *all > HEAD_LIMIT {
                    return Err(BadBody::Trailer);
                }
                if line.is_some() {
                    *self = match own {
                        0 => Self::Over,
                        _ => Self::Trailer(0, *all),
                    };
                }
                Ok((used, &[]))
            }
            Self::Over => Ok((0, &[])),
        }
    }
}

/// At most `left` of the bytes, which are taken off it.
fn upto<'a>(left: &mut u64, bytes: &'a [u8]) -> &'a [u8] {
    let len = usize::try_from(*left).map_or(bytes.len(), |left| left.min(bytes.len()));
    *left -= len as u64;
    &bytes[..len]
}

/// Digits and nothing else; a sign or a blank makes none.
fn number(digits: &[u8], radix: u32) -> Option<u64> {
    let text = std::str::from_utf8(digits).ok()?;
    let plain = text.chars().all(|c| c.is_digit(radix));
    plain.then(|| u64::from_str_radix(text, radix).ok())?
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::*;
    use crate::sockets::http::head::Start as _;

    fn body(head: &str) -> Result<Body, BadBody> {
        let text = format!("HTTP/1.1 {head}\r\n\r\n");
        Body::of(&Response::parse(text.as_bytes()).unwrap(), false)
    }

    /// The body out of bytes that came in pieces, and what is left over.
    fn taken(mut body: Body, bytes: &[u8], piece: usize) -> Result<(Vec<u8>, usize), BadBody> {
        let (mut data, mut at) = (Vec::new(), 0);
        while at < bytes.len() && !body.is_over() {
            let end = bytes.len().min(at + piece);
            let (used, part) = body.take(&bytes[at..end])?;
            assert!(used > 0, "stands still at {at} of {bytes:?}");
            data.extend_from_slice(part);
            at += used;
        }
        body.end()?;
        Ok((data, bytes.len() - at))
    }

    #[test]
    fn the_head_says_where_the_body_ends() {
        assert_eq!(body("200 OK"), Ok(Body::UntilEnd));
        assert_eq!(body("200 OK\r\nContent-Length: 7"), Ok(Body::Length(7)));
        assert_eq!(body("200 OK\r\nContent-Length: 7, 7"), Ok(Body::Length(7)));
        for code in ["204 No", "304 Not", "101 Switching"] {
            assert_eq!(
                body(&format!("{code}\r\nContent-Length: 7")),
                Ok(Body::Length(0))
            );
        }
        for length in ["", "x", "-1", "+1", "7, 8", "99999999999999999999"] {
            assert_eq!(
                body(&format!("200 OK\r\nContent-Length: {length}")),
                Err(BadBody::Length)
            );
        }
        let both = body("200 OK\r\nContent-Length: 7\r\nTransfer-Encoding: gzip, Chunked").unwrap();
        assert!(matches!(both, Body::Chunked(_)), "{both:?}");
    }

    #[test]
    fn chunks_are_joined_whatever_the_pieces() {
        let text =
            b"5\r\nhello\r\n1;name=\"x\"\r\n,\r\n0006 \r\n world\r\n0\r\nTrailer: x\r\n\r\nrest";
        for piece in 1..text.len() {
            let chunked = Body::Chunked(Chunk::Size(Vec::new()));
            assert_eq!(
                taken(chunked, text, piece),
                Ok((b"hello, world".to_vec(), 4)),
                "{piece}"
            );
        }
    }

    #[test]
    fn wrong_chunks_are_told() {
        let told =
            |text: &[u8]| taken(Body::Chunked(Chunk::Size(Vec::new())), text, 3).unwrap_err();
        for text in [
            "x\r\n",
            "\r\n",
            "-1\r\n",
            "+1\r\n",
            "1 2\r\n",
            "11112222333344445\r\n",
        ] {
            assert_eq!(told(text.as_bytes()), BadBody::ChunkSize, "{text:?}");
        }
        assert_eq!(told(&[b'0'; 5000]), BadBody::ChunkSize);
        assert_eq!(told(b"2\r\nabc\r\n"), BadBody::ChunkEnd);
        assert_eq!(
            told(&[b"0\r\n", &b"a: b\r\n".repeat(9000)[..]].concat()),
            BadBody::Trailer
        );
        assert!(matches!(told(b"ff\r\nabc"), BadBody::Cut(words) if words.contains("252 bytes")));
        assert!(matches!(told(b"3\r\nabc\r\n"), BadBody::Cut(_)));
        let short = taken(Body::Length(9), b"abc", 2).unwrap_err();
        assert!(
            short.to_string().contains("6 bytes before the end"),
            "{short}"
        );
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_chunk_reader_panic_or_stand_still(
            bytes in prop_oneof![
                prop::collection::vec(any::<u8>(), 0..100),
                "([0-9a-fA-F]{0,17}[; ]?(\r\n|\n|\r)[a-z]{0,9}(\r\n|\n)?){0,6}".prop_map(String::into_bytes),
            ],
            piece in 1..9usize,
        ) {
            let chunked = Body::Chunked(Chunk::Size(Vec::new()));
            let slowly = taken(chunked.clone(), &bytes, piece);
            prop_assert_eq!(slowly, taken(chunked, &bytes, bytes.len().max(1)));
        }

        #[test]
        fn what_was_put_into_chunks_comes_out(parts in prop::collection::vec("[a-z\r\n]{1,20}", 0..8)) {
            let mut text = String::new();
            for part in &parts {
                text.push_str(&format!("{:x}\r\n{part}\r\n", part.len()));
            }
            text.push_str("0\r\n\r\n");
            let chunked = Body::Chunked(Chunk::Size(Vec::new()));
            prop_assert_eq!(taken(chunked, text.as_bytes(), 5), Ok((parts.concat().into_bytes(), 0)));
        }
    }
}
