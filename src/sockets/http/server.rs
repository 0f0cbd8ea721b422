//! A web server of a few pages: one request a connection, and the connection is closed behind the answer.

use std::{
    io,
    time::{Duration, Instant},
};

use super::head::{BadHead, Gathering, Head, Request, Start as _, Whole, lines};
use crate::{
    call::{Address, Choice, How},
    sockets::{
        Event, Socket,
        server::{Service, Visit},
    },
    text::Safe,
};

/// How long a client may take to send a head.
const HEAD_TIME: Duration = Duration::from_secs(10);

/// How long, and how much, is still read after the answer.
const LINGER_TIME: Duration = Duration::from_secs(2);
const LINGER_BYTES: usize = 1 << 20;

/// An answer. Its length, its date and the end of the connection are added to its head.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Such as 404.
    pub code: u16,
    /// The media type of its body.
    pub media: &'static str,
    /// Further fields of its head.
    pub fields: Vec<(&'static str, String)>,
    /// Its body.
    pub body: String,
}

impl Answer {
    /// An answer of one sentence.
    pub fn sentence(code: u16, sentence: &str) -> Self {
        Self {
            code,
            media: "text/plain; charset=utf-8",
            fields: Vec::new(),
            body: format!("{sentence}\n"),
        }
    }

    /// The words of its status line.
    pub fn reason(&self) -> &'static str {
        match self.code {
            200 => "OK",
            400 => "Bad Request",
            404 => "Not Found",
            405 => "Method Not Allowed",
            408 => "Request Timeout",
            426 => "Upgrade Required",
            431 => "Request Header Fields Too Large",
            505 => "HTTP Version Not Supported",
            _ => "",
        }
    }

    /// Its head, for a clock that shows `date`.
    pub fn head(&self, date: &str) -> String {
        let (code, reason, media, len) = (self.code, self.reason(), self.media, self.body.len());
        let more = self.fields.iter();
        let more: String = more
            .map(|(name, value)| format!("{name}: {value}\r\n"))
            .collect();
        format!(
            "HTTP/1.1 {code} {reason}\r\nDate: {date}\r\nContent-Type: {media}\r\nContent-Length: {len}\r\n{more}\
             X-Content-Type-Options: nosniff\r\nConnection: close\r\n\r\n"
        )
    }
}

/// The time as heads have it (RFC 9110 §5.6.7).
fn date() -> String {
    use jiff::{Timestamp, fmt::rfc2822::DateTimePrinter};
    let date = DateTimePrinter::new().timestamp_to_rfc9110_string(&Timestamp::now());
    date.unwrap_or_default()
}

/// What came at the beginning of a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Opening {
    /// A request, and what came behind its head.
    Request(Head<Request>, Vec<u8>),
    /// What is no request, and gets this answer.
    Bad(Answer),
    /// Nothing.
    Silence,
}

/// The request at the beginning of a connection.
///
/// # Errors
/// Those of the calls.
pub fn hear(visit: &mut Visit<'_>) -> io::Result<Opening> {
    let start = Instant::now();
    visit.socket.set_time(Choice::ReceiveTimeout, HEAD_TIME)?;
    let mut gathering = Gathering::default();
    let mut buffer = [0; 4096];
    let Whole { head: bytes, rest } = loop {
        let came = !gathering.bytes().is_empty();
        let received = match visit.socket.recv(&mut buffer) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => None,
            received => Some(received?),
        };
        let Some(received) = received.filter(|_| start.elapsed() < HEAD_TIME) else {
            visit.note(&format!("no whole request in {} s", HEAD_TIME.as_secs()));
            let late = Answer::sentence(408, "the request took too long");
            return Ok(bad_if(came, late));
        };
        let piece = &buffer[..received];
        visit.received += received as u64;
        if received == 0 {
            return Ok(bad_if(came, refusal(BadHead::NoEnd)));
        }
        visit.journal.tell(|| Event::Heard {
            client: visit.client,
            bytes: piece.to_vec(),
            cut: false,
        });
        // The record type of TLS's first message (RFC 8446 §5.1): waiting for an empty line would be in vain.
        if !came && piece.starts_with(&[22, 3]) {
            visit.note("begins with TLS: https was asked of a server that speaks http");
            let answer = Answer::sentence(400, "this is http, not https");
            return Ok(Opening::Bad(answer));
        }
        match gathering.add(piece) {
            Ok(Some(whole)) => break whole,
            Ok(None) => {}
            Err(error) => return Ok(Opening::Bad(refusal(error))),
        }
    };
    let head = match Request::parse(&bytes) {
        Ok(head) => head,
        Err(error) => return Ok(Opening::Bad(refusal(error))),
    };
    if head.bare > 0 {
        let (bare, all) = (head.bare, lines(&bytes).count());
        visit.note(&format!(
            "{bare} of the head's {all} lines end in a bare LF, which RFC 9112 lets a server take: CR LF is right"
        ));
    }
    // RFC 9112 §3.2: a server of many names could not tell which one is meant.
    let hosts = head.values("Host").count();
    if hosts > 1 || hosts == 0 && head.minor > 0 {
        let sentence = "a request of HTTP/1.1 has one Host field";
        return Ok(Opening::Bad(Answer::sentence(400, sentence)));
    }
    Ok(Opening::Request(head, rest))
}

fn bad_if(came: bool, answer: Answer) -> Opening {
    match came {
        true => Opening::Bad(answer),
        false => Opening::Silence,
    }
}

fn refusal(error: BadHead) -> Answer {
    let code = match error {
        BadHead::TooLong => 431,
        BadHead::Version => 505,
        BadHead::Syntax(_) | BadHead::NoEnd => 400,
    };
    Answer::sentence(code, &format!("bad request: {error}"))
}

impl Visit<'_> {
    /// A sentence on this client.
    pub(crate) fn note(&self, what: &str) {
        let told = || Event::Note(format!("client {}: {what}", self.client));
        self.journal.tell(told);
    }

    /// Sends `answer`, and ends the connection so that the client can read it. A request of HEAD gets no body.
    pub(crate) fn answer(
        &mut self,
        asked: Option<&Head<Request>>,
        answer: &Answer,
    ) -> io::Result<()> {
        let mut text = answer.head(&date());
        let head_only = asked.is_some_and(|head| head.first.method == "HEAD");
        if !head_only {
            text.push_str(&answer.body);
        }
        let line = match asked {
            Some(head) => format!("{} {}", head.first.method, head.first.target),
            None => "a bad request".to_owned(),
        };
        let (code, reason) = (answer.code, answer.reason());
        self.note(&format!("{} → {code} {reason}", Safe(line.as_bytes())));
        self.socket.send_all(text.as_bytes())?;
        self.sent += text.len() as u64;
        self.received += linger(self.socket);
        Ok(())
    }
}

/// Ends a connection so that what was sent last arrives: closed with unread data it would be reset, and a reset may overtake
/// the answer (RFC 9112 §9.6). Bytes that were read meanwhile.
pub fn linger(socket: &Socket) -> u64 {
    let start = Instant::now();
    let mut buffer = [0; 4096];
    let mut read = 0;
    // A failure here, such as a client that is gone already, only ends it sooner.
    let ended = socket.shutdown(How::Write);
    let limited = ended.and_then(|()| socket.set_time(Choice::ReceiveTimeout, LINGER_TIME));
    if limited.is_err() {
        return 0;
    }
    while let Ok(received @ 1..) = socket.recv(&mut buffer) {
        read += received;
        if read > LINGER_BYTES || start.elapsed() > LINGER_TIME {
            break;
        }
    }
    read as u64
}

/// The web server of `serve http`: a front page and `/ip`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Pages;

const FRONT: &str = "<!doctype html>
<html lang=\"en\">
<meta charset=\"utf-8\">
<meta name=\"viewport\" content=\"width=device-width\">
<meta name=\"color-scheme\" content=\"light dark\">
<title>sockwire serve http</title>
<h1>sockwire serve http</h1>
<p>This page came over a stream socket. <a href=\"/ip\">/ip</a> says which address you came from, as JSON.
<p>For WebSocket, with a page to try it, there is <code>sockwire serve ws</code>.
</html>
";

impl Service for Pages {
    fn serve(&self, visit: &mut Visit<'_>) -> io::Result<()> {
        match hear(visit)? {
            Opening::Request(head, _) => visit.answer(Some(&head), &page(&head.first, visit.from)),
            Opening::Bad(refusal) => visit.answer(None, &refusal),
            Opening::Silence => Ok(()),
        }
    }
}

/// The answer to a request.
fn page(request: &Request, from: &Address) -> Answer {
    if let Some(refusal) = wrong_method(request) {
        return refusal;
    }
    let (media, body) = match request.path() {
        "/" => ("text/html; charset=utf-8", FRONT.to_owned()),
        "/ip" => {
            let origin = match from {
                Address::Ip(address) => address.ip().to_string(),
                other => other.to_string(),
            };
            let origin = serde_json::Value::from(origin);
            (
                "application/json",
                format!("{{\n  \"origin\": {origin}\n}}\n"),
            )
        }
        _ => return Answer::sentence(404, "there are / and /ip here"),
    };
    Answer {
        code: 200,
        media,
        fields: Vec::new(),
        body,
    }
}

/// The answer to methods other than GET and HEAD.
pub(crate) fn wrong_method(request: &Request) -> Option<Answer> {
    (!matches!(&*request.method, "GET" | "HEAD")).then(|| Answer {
        fields: vec![("Allow", "GET, HEAD".to_owned())],
        ..Answer::sentence(405, "there are only GET and HEAD here")
    })
}

impl Request {
    /// The path of its target, without a query; proxies write the whole URL (RFC 9112 §3.2.2).
    pub(crate) fn path(&self) -> &str {
        let target = match self.target.split_once("://") {
            Some((_, rest)) if !self.target.starts_with('/') => {
                rest.find('/').map_or("/", |at| &rest[at..])
            }
            _ => &self.target,
        };
        target.split('?').next().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::thread;

    use socket2::{Domain, Type};

    use super::*;
    use crate::sockets::Journal;

    /// What a client that sends `request` and shuts its writing side down gets.
    fn answered(request: &[u8]) -> String {
        let (here, there) = socket2::Socket::pair(Domain::UNIX, Type::STREAM, None).unwrap();
        let journal = Journal::default();
        let [here, there] = [here, there].map(|s| Socket::from_open(s, &journal));
        let request = request.to_vec();
        let client = thread::spawn(move || {
            // The server may have heard enough before the end.
            let _ = here.send_all(&request);
            let _ = here.shutdown(How::Write);
            let (mut text, mut buffer) = (Vec::new(), [0; 4096]);
            while let len @ 1.. = here.recv(&mut buffer).unwrap() {
                text.extend_from_slice(&buffer[..len]);
            }
            String::from_utf8(text).unwrap()
        });
        let from = Address::Ip(([192, 0, 2, 1], 9).into());
        let mut visit = Visit::new(1, &from, &there);
        Pages.serve(&mut visit).unwrap();
        let sent = visit.sent;
        drop(there);
        let text = client.join().unwrap();
        assert_eq!(text.len() as u64, sent);
        text
    }

    #[test]
    fn pages_are_given_to_get_and_head() {
        let ip = answered(b"GET /ip?x HTTP/1.1\r\nHost: h\r\n\r\n");
        let (head, body) = ip.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 200 OK\r\nDate: "), "{head}");
        assert!(
            head.contains("\r\nConnection: close") && head.contains(" GMT\r\n"),
            "{head}"
        );
        assert_eq!(body, "{\n  \"origin\": \"192.0.2.1\"\n}\n");
        assert!(
            head.contains(&format!("Content-Length: {}", body.len())),
            "{head}"
        );
        let only = answered(b"HEAD /ip HTTP/1.0\n\n");
        assert!(
            only.ends_with("\r\n\r\n") && only.len() == head.len() + 4,
            "{only}"
        );
        let whole = answered(b"GET http://h/ip HTTP/1.1\r\nHost: h\r\n\r\n");
        assert!(whole.starts_with("HTTP/1.1 200"), "{whole}");
    }

    #[test]
    fn what_cannot_be_served_says_so_by_its_code() {
        for (request, code) in [
            (&b"GET /no HTTP/1.0\r\n\r\n"[..], "404 Not Found"),
            (
                b"POST /ip HTTP/1.0\r\nContent-Length: 3\r\n\r\nabc",
                "405 Method Not Allowed",
            ),
            (b"GET / HTTP/1.1\r\n\r\n", "400 Bad Request"),
            (
                b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
                "400 Bad Request",
            ),
            (b"GET / HTTP/1.0\r\nHost: ", "400 Bad Request"),
            (b"GET / HTTP/1.0\r\nA b: c\r\n\r\n", "400 Bad Request"),
            (b"GET / HTTP/3.0\r\n\r\n", "505 HTTP Version Not Supported"),
            (b"GET /\r\n\r\n", "400 Bad Request"),
            (b"\x16\x03\x01\x02\x00\x01", "400 Bad Request"),
            (&[b'A'; 50_000], "431 Request Header Fields Too Large"),
        ] {
            let text = answered(request);
            assert!(
                text.starts_with(&format!("HTTP/1.1 {code}\r\n")),
                "{}: {text}",
                Safe(request)
            );
        }
        assert_eq!(answered(b""), "");
    }
}
