//! A request written by hand over a stream socket, and its answer handed on as it comes.

use std::io;

use super::{
    Url,
    body::{BadBody, Body},
    head::{BadHead, Gathering, Head, Response, Start as _, Whole},
};
use crate::{sockets::Socket, text::Safe};

/// Bytes that one `recv` takes at most.
const PIECE: usize = 16 * 1024;

/// A request.
#[derive(Clone, Copy, Debug)]
pub struct Asking<'a> {
    /// For what.
    pub url: &'a Url,
    /// HEAD instead of GET: the answer has no body.
    pub head_only: bool,
    /// 0 for HTTP/1.0, 1 for HTTP/1.1.
    pub minor: u8,
}

impl Asking<'_> {
    /// What is sent. Host is not in HTTP/1.0, but servers with many names need it; 1.1 keeps connections open unless asked
    /// not to (RFC 9112 §9.3).
    pub fn text(&self) -> String {
        let method = if self.head_only { "HEAD" } else { "GET" };
        let close = match self.minor {
            0 => "",
            _ => "Connection: close\r\n",
        };
        let Url {
            target, authority, ..
        } = self.url;
        let minor = self.minor;
        format!("{method} {target} HTTP/1.{minor}\r\nHost: {authority}\r\n{close}\r\n")
    }
}

/// A part of the exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part<'a> {
    /// The request, which has just been sent.
    Sent(&'a [u8]),
    /// A head, or what came of one that is none. 1xx heads come before the last one.
    Head(&'a [u8]),
    /// A piece of the body.
    Body(&'a [u8]),
}

/// Takes the parts; an error ends the exchange.
pub type Hear<'a> = dyn FnMut(Part<'_>) -> io::Result<()> + 'a;

/// Why there is no whole answer.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// A call failed.
    #[error("{0}")]
    Call(io::Error),
    /// Whoever took the parts failed.
    #[error("{0}")]
    Heard(io::Error),
    /// The connection ended before anything came.
    #[error("the server ended the connection without an answer")]
    Silence,
    /// What came is something else; how it begins.
    #[error(
        "the server speaks something else than HTTP/1: its answer begins with \"{}\"",
        Safe(.0)
    )]
    NotHttp(Vec<u8>),
    /// The head is none.
    #[error("the server's answer is damaged: {0}")]
    Head(#[from] BadHead),
    /// The body is not as the head says.
    #[error("the server's answer is damaged: {0}")]
    Body(#[from] BadBody),
}

/// A whole answer.
#[derive(Clone, Debug)]
pub struct Answered {
    /// Its head.
    pub head: Head<Response>,
    /// Bytes of its body.
    pub len: u64,
    /// Bytes that came behind its end, as far as they were seen.
    pub beyond: usize,
}

/// Asks, and reads the answer to its end; memory stays bounded whatever the server sends.
///
/// # Errors
/// When a call fails, or the answer is not one of HTTP/1.
pub fn get(
    socket: &Socket,
    asking: &Asking<'_>,
    hear: &mut Hear<'_>,
) -> Result<Answered, HttpError> {
    let (mut head, mut rest) = ask(socket, &asking.text(), hear)?;
    // Answers before the answer (RFC 9110 §15.2), of which only 101 is none.
    while matches!(head.first.code, 100 | 102..=199) {
        (head, rest) = read_head(socket, rest, hear)?;
    }
    let mut body = Body::of(&head, asking.head_only)?;
    let mut buffer = vec![0; PIECE];
    let mut len = 0;
    let mut piece = &rest[..];
    loop {
        while !piece.is_empty() && !body.is_over() {
            let (used, data) = body.take(piece)?;
            len += data.len() as u64;
            if !data.is_empty() {
                hear(Part::Body(data)).map_err(HttpError::Heard)?;
            }
            piece = &piece[used..];
        }
        if body.is_over() {
            let beyond = piece.len();
            return Ok(Answered { head, len, beyond });
        }
        piece = match socket.recv(&mut buffer).map_err(HttpError::Call)? {
            0 => break,
            received => &buffer[..received],
        };
    }
    body.end()?;
    let beyond = 0;
    Ok(Answered { head, len, beyond })
}

/// Sends a request, and reads the first head that answers it, and what came behind that.
///
/// # Errors
/// As [`get`]; what has come of the head is heard first.
pub fn ask(
    socket: &Socket,
    request: &str,
    hear: &mut Hear<'_>,
) -> Result<(Head<Response>, Vec<u8>), HttpError> {
    let request = request.as_bytes();
    socket.send_all(request).map_err(HttpError::Call)?;
    hear(Part::Sent(request)).map_err(HttpError::Heard)?;
    read_head(socket, Vec::new(), hear)
}

/// Reads a head, of which `came` has come already, and what came behind it.
fn read_head(
    socket: &Socket,
    came: Vec<u8>,
    hear: &mut Hear<'_>,
) -> Result<(Head<Response>, Vec<u8>), HttpError> {
    let mut gathering = Gathering::default();
    let mut buffer = vec![0; PIECE];
    let mut piece = &came[..];
    loop {
        let told = match gathering.add(piece) {
            Ok(Some(Whole { head, rest })) => {
                hear(Part::Head(&head)).map_err(HttpError::Heard)?;
                let beginning = beginning(&head);
                return match may_be_http(beginning) {
                    true => Ok((Response::parse(&head)?, rest)),
                    false => Err(not_http(beginning)),
                };
            }
            Ok(None) if may_be_http(beginning(gathering.bytes())) => {
                match socket.recv(&mut buffer).map_err(HttpError::Call)? {
                    0 if gathering.bytes().is_empty() => return Err(HttpError::Silence),
                    0 => BadHead::NoEnd.into(),
                    received => {
                        piece = &buffer[..received];
                        continue;
                    }
                }
            }
            Ok(None) => return Err(not_http(beginning(gathering.bytes()))),
            Err(error) => error.into(),
        };
        hear(Part::Head(gathering.bytes())).map_err(HttpError::Heard)?;
        return Err(told);
    }
}

/// Without the empty lines in front.
fn beginning(bytes: &[u8]) -> &[u8] {
    bytes.trim_ascii_start()
}

/// Whether it begins as an answer does, or still may.
fn may_be_http(bytes: &[u8]) -> bool {
    let known = b"HTTP/";
    let len = bytes.len().min(known.len());
    bytes[..len] == known[..len]
}

fn not_http(bytes: &[u8]) -> HttpError {
    HttpError::NotHttp(bytes[..bytes.len().min(60)].to_vec())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::thread;

    use socket2::{Domain, Type};

    use super::*;
    use crate::sockets::Journal;

    /// What one hears of a server that says `answer` and ends: the body, and the result.
    fn asked(answer: &[u8]) -> (String, String, Result<Answered, HttpError>) {
        let (here, there) = socket2::Socket::pair(Domain::UNIX, Type::STREAM, None).unwrap();
        let [here, there] = [here, there].map(|s| Socket::from_open(s, &Journal::default()));
        let answer = answer.to_vec();
        let server = thread::spawn(move || {
            let mut buffer = [0; 500];
            let len = there.recv(&mut buffer).unwrap();
            // The client may have heard enough before the end.
            let _ = there.send_all(&answer);
            String::from_utf8(buffer[..len].to_vec()).unwrap()
        });
        let url = Url::parse("http://h:81/a?b", "http").unwrap();
        let asking = Asking {
            url: &url,
            head_only: false,
            minor: 0,
        };
        let (mut heads, mut body) = (String::new(), Vec::new());
        let result = get(&here, &asking, &mut |part| {
            match part {
                Part::Sent(_) => {}
                Part::Head(head) => heads.push_str(&format!("{}|", Safe(head))),
                Part::Body(piece) => body.extend_from_slice(piece),
            }
            Ok(())
        });
        drop(here);
        assert_eq!(
            server.join().unwrap(),
            "GET /a?b HTTP/1.0\r\nHost: h:81\r\n\r\n"
        );
        (heads, String::from_utf8(body).unwrap(), result)
    }

    #[test]
    fn an_answer_has_its_heads_and_its_body() {
        let answer = b"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\nContent-Length: 2\n\nhi!";
        let (heads, body, result) = asked(answer);
        let answered = result.unwrap();
        assert_eq!(heads.matches('|').count(), 2, "{heads}");
        assert_eq!((&*body, answered.len, answered.beyond), ("hi", 2, 1));
        assert_eq!((answered.head.first.code, answered.head.bare), (200, 3));
        let (_, body, result) = asked(b"HTTP/1.0 404 Not Found\r\n\r\nto the end");
        assert_eq!(
            (&*body, result.unwrap().head.first.code),
            ("to the end", 404)
        );
    }

    #[test]
    fn what_was_good_is_handed_on_before_the_error() {
        let (heads, _, result) = asked(b"SSH-2.0-OpenSSH\x1b[2J\r\n");
        let told = result.unwrap_err().to_string();
        assert!(told.contains("\"SSH-2.0-OpenSSH\\x1b[2J\\r\\n\""), "{told}");
        assert_eq!(heads, "");
        let (heads, _, result) = asked(b"HTTP/1.1 200 OK\r\nA: b\r\n");
        assert!(matches!(result, Err(HttpError::Head(BadHead::NoEnd))));
        assert_eq!(heads, "HTTP/1.1 200 OK\\r\\nA: b\\r\\n|");
        let (_, body, result) =
            asked(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nz\r\n");
        assert!(matches!(result, Err(HttpError::Body(BadBody::ChunkSize))));
        assert_eq!(body, "abc");
        assert!(matches!(asked(b"").2, Err(HttpError::Silence)));
        let endless = [&b"HTTP/1.1 200 OK\r\n"[..], &b"A: b\r\n".repeat(9000)].concat();
        assert!(matches!(
            asked(&endless).2,
            Err(HttpError::Head(BadHead::TooLong))
        ));
    }
}
