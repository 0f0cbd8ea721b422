//! The echo of `serve ws`: a page to try it for browsers, and every message sent back.

use std::{
    io,
    time::{Duration, Instant},
};

use tungstenite::{
    Error,
    error::ProtocolError,
    handshake::{client::generate_key, server::create_response},
    http::{self, Version},
    protocol::Role,
};

use super::{Ended, Said, Talk};
use crate::{
    call::Choice,
    sockets::{
        Event,
        http::{Answer, Head, Opening, Request, hear, linger, wrong_method},
        server::{Service, Visit},
    },
    text::Safe,
};

/// How long the other end's Close frame is waited for when this end closes first.
const FAREWELL: Duration = Duration::from_secs(1);

/// The test page; `{nonce}` is the one that its content security policy names.
const PAGE: &str = include_str!("page.html");

/// Sends every message back.
#[derive(Clone, Copy, Debug, Default)]
pub struct Echo;

impl Service for Echo {
    fn serve(&self, visit: &mut Visit<'_>) -> io::Result<()> {
        let (head, rest) = match hear(visit)? {
            Opening::Request(head, rest) => (head, rest),
            Opening::Bad(refusal) => return visit.answer(None, &refusal),
            Opening::Silence => return Ok(()),
        };
        let asks = ["Upgrade", "Sec-WebSocket-Key"];
        if asks.iter().all(|name| head.values(name).next().is_none()) {
            return visit.answer(Some(&head), &page(&head.first));
        }
        let accept = match accept(&head) {
            Ok(accept) => accept,
            Err(refusal) => return visit.answer(Some(&head), &refusal),
        };
        let agreed = format!(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Accept: {accept}\r\n\r\n"
        );
        visit.socket.send_all(agreed.as_bytes())?;
        visit.sent += agreed.len() as u64;
        let target = Safe(head.first.target.as_bytes()).to_string();
        visit.note(&format!(
            "GET {target} → 101 Switching Protocols: WebSocket from here on"
        ));
        // Only the head has a time limit: people who type take their time.
        visit.socket.set(Choice::ReceiveTimeout, 0)?;
        let mut talk = Talk::new(visit.socket, rest, Role::Server);
        let result = echo(visit, &mut talk);
        visit.sent += talk.sent();
        result
    }
}

/// Echoes until the talk ends.
fn echo(visit: &mut Visit<'_>, talk: &mut Talk<'_>) -> io::Result<()> {
    let ended = loop {
        match turn(visit, talk) {
            Err(Ended::Call(error)) if error.kind() == io::ErrorKind::Interrupted => {
                go_away(visit, talk);
                return Err(error);
            }
            Ok(()) if visit.is_stopping() => {
                go_away(visit, talk);
                return Ok(());
            }
            Ok(()) => {}
            Err(Ended::Call(error)) => return Err(error),
            Err(ended) => break ended,
        }
    };
    visit.note(&ended.to_string());
    visit.received += linger(visit.socket);
    Ok(())
}

/// Receives once, and answers what has come.
fn turn(visit: &mut Visit<'_>, talk: &mut Talk<'_>) -> Result<(), Ended> {
    while let Some(said) = talk.said()? {
        hear_said(visit, &said);
        if let Said::Text(_) | Said::Binary(_) = said {
            talk.say(said)?;
        }
    }
    visit.received += talk.receive()? as u64;
    Ok(())
}

/// Tells of what came: messages as they are, the rest in words.
fn hear_said(visit: &Visit<'_>, said: &Said) {
    let bytes = match said {
        Said::Text(text) => text.as_bytes(),
        Said::Binary(bytes) => bytes,
        other => return visit.note(&other.to_string()),
    };
    visit.journal.tell(|| Event::Heard {
        client: visit.client,
        bytes: bytes.to_vec(),
        cut: false,
    });
}

/// The server is being stopped: says so with 1001, and waits a little for the answer. What fails here only ends it sooner.
fn go_away(visit: &Visit<'_>, talk: &mut Talk<'_>) {
    // A client that reads nothing must not hold up the end.
    let limited = visit.socket.open().and_then(|socket| {
        socket.set_write_timeout(Some(FAREWELL))?;
        visit.socket.set_time(Choice::ReceiveTimeout, FAREWELL)
    });
    let going = Said::Close(Some((1001, "the server is being stopped".to_owned())));
    if limited.is_err() || talk.say(going).is_err() {
        return;
    }
    visit.note("closed with 1001: the server is being stopped");
    let start = Instant::now();
    while start.elapsed() < FAREWELL {
        match talk.said() {
            Ok(Some(said)) => hear_said(visit, &said),
            Ok(None) => match talk.receive() {
                // Stops are said more than once.
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return,
                Ok(_) => {}
            },
            Err(_) => return,
        }
    }
}

/// The answer to a request that does not ask for WebSocket.
fn page(request: &Request) -> Answer {
    if let Some(refusal) = wrong_method(request) {
        return refusal;
    }
    if request.path() != "/" {
        return Answer::sentence(
            404,
            "there is a test page at / here, and WebSocket everywhere",
        );
    }
    // Sixteen random bytes: a script that somebody else puts into the page would not know them.
    let nonce = generate_key();
    let policy = format!(
        "default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; connect-src ws:; img-src data:; \
         base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    );
    Answer {
        code: 200,
        media: "text/html; charset=utf-8",
        fields: vec![("Content-Security-Policy", policy)],
        body: PAGE.replace("{nonce}", &nonce),
    }
}

/// The value of Sec-WebSocket-Accept for a request, or the answer that RFC 6455 §4.2.2 has for a wrong one.
fn accept(head: &Head<Request>) -> Result<String, Answer> {
    let version = if head.minor > 0 {
        Version::HTTP_11
    } else {
        Version::HTTP_10
    };
    let mut request = http::Request::builder()
        .method(&*head.first.method)
        .version(version);
    for name in [
        "Connection",
        "Upgrade",
        "Sec-WebSocket-Version",
        "Sec-WebSocket-Key",
    ] {
        // Several fields of one name are one list (RFC 9110 §5.3).
        let values: Vec<&[u8]> = head.values(name).collect();
        if !values.is_empty() {
            request = request.header(name, values.join(&b", "[..]));
        }
    }
    let bad = |why: &Error| Answer::sentence(400, &format!("no WebSocket handshake: {why}"));
    let request = request.body(()).map_err(|error| bad(&error.into()))?;
    let agreed = create_response(&request).map_err(|error| match error {
        Error::Protocol(ProtocolError::MissingSecWebSocketVersionHeader) => Answer {
            fields: vec![
                ("Sec-WebSocket-Version", "13".to_owned()),
                ("Upgrade", "websocket".to_owned()),
            ],
            ..Answer::sentence(426, "WebSocket is spoken in version 13 here")
        },
        error => bad(&error),
    })?;
    let accept = agreed.headers().get("Sec-WebSocket-Accept");
    let accept = accept
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    Ok(accept.to_owned())
}
