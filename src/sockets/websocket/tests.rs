//! WebSocket between two ends of one pair of sockets: the handshake, messages, closes, and what breaks the rules.
#![allow(clippy::unwrap_used)]

use std::{
    sync::{Arc, Mutex},
    thread::{self, JoinHandle},
};

use proptest::prelude::*;
use socket2::{Domain, Type};

use super::*;
use crate::{
    call::{Address, How},
    sockets::{
        Event, Journal, Socket,
        http::{Part, Url},
        server::{Service as _, Visit},
    },
};

/// Two ends of a connection, the second one with a journal.
fn pair(journal: &Journal) -> (Socket, Socket) {
    let (here, there) = socket2::Socket::pair(Domain::UNIX, Type::STREAM, None).unwrap();
    let here = Socket::from_open(here, &Journal::default());
    (here, Socket::from_open(there, journal))
}

/// A client's end of a connection to an echo server, and the server, which returns what it told.
fn server() -> (Socket, JoinHandle<String>) {
    let told: Arc<Mutex<String>> = Arc::default();
    let journal = Journal::new(false, {
        let told = Arc::clone(&told);
        move |event| {
            let text = match event.event {
                Event::Heard { bytes, .. } => format!("{:?}\n", String::from_utf8_lossy(&bytes)),
                Event::Note(note) => format!("{note}\n"),
                other => format!("{other:?}\n"),
            };
            told.lock().unwrap().push_str(&text);
        }
    });
    let (here, there) = pair(&journal);
    let server = thread::spawn(move || {
        let mut visit = Visit::new(3, &Address::Unnamed, &there);
        Echo.serve(&mut visit).unwrap();
        drop(there);
        told.lock().unwrap().clone()
    });
    (here, server)
}

fn url() -> Url {
    Url::parse("ws://h/echo", "ws").unwrap()
}

/// The next thing said, or how it ended.
fn next(talk: &mut Talk<'_>) -> Result<Said, Ended> {
    loop {
        match talk.said()? {
            Some(said) => return Ok(said),
            None => talk.receive()?,
        };
    }
}

/// Everything that comes until the connection ends.
fn rest(socket: &Socket) -> Vec<u8> {
    let (mut bytes, mut buffer) = (Vec::new(), [0; 4096]);
    while let len @ 1.. = socket.recv(&mut buffer).unwrap() {
        bytes.extend_from_slice(&buffer[..len]);
    }
    bytes
}

#[test]
fn messages_come_back_and_the_close_is_answered() {
    let (socket, server) = server();
    let mut heads = Vec::new();
    let mut talk = open(&socket, &url(), &mut |part| {
        if let Part::Sent(head) | Part::Head(head) = part {
            heads.push(String::from_utf8(head.to_vec()).unwrap());
        }
        Ok(())
    })
    .unwrap();
    assert!(heads[0].starts_with("GET /echo HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\n"));
    assert!(
        heads[1].starts_with("HTTP/1.1 101 Switching Protocols\r\n"),
        "{}",
        heads[1]
    );
    let long = "ü".repeat(200_000);
    for said in [
        Said::Text("hello".to_owned()),
        Said::Text(String::new()),
        Said::Binary(vec![0, 159, 146, 150]),
    ] {
        talk.say(said.clone()).unwrap();
        assert_eq!(next(&mut talk).unwrap(), said);
    }
    talk.say(Said::Text(long.clone())).unwrap();
    assert_eq!(next(&mut talk).unwrap(), Said::Text(long));
    talk.say(Said::Ping(b"?".to_vec())).unwrap();
    assert_eq!(next(&mut talk).unwrap(), Said::Pong(b"?".to_vec()));
    let close = Said::Close(Some((1000, "done\u{1b}[2J".to_owned())));
    talk.say(close.clone()).unwrap();
    assert_eq!(next(&mut talk).unwrap(), close);
    assert!(matches!(next(&mut talk), Err(Ended::Closed)));
    let told = server.join().unwrap();
    assert!(told.contains("client 3: GET /echo → 101 "), "{told}");
    assert!(told.contains("\"hello\"\n"), "{told}");
    assert!(told.contains("client 3: ping of 1 bytes \"?\""), "{told}");
    assert!(
        told.contains("client 3: close 1000 \"done\\x1b[2J\"\n"),
        "{told}"
    );
    assert!(told.ends_with("closed by both ends\n"), "{told}");
}

#[test]
fn who_breaks_the_rules_is_told_the_code() {
    // Headers of frames: a mask of zeros leaves the text as it is.
    let masked =
        |first: u8, text: &[u8]| [&[first, 128 | text.len() as u8, 0, 0, 0, 0], text].concat();
    for (frame, code) in [
        (vec![0x81, 2, b'h', b'i'], 1002),
        (masked(0xc1, b"hi"), 1002),
        (masked(0x83, b"hi"), 1002),
        (masked(0x80, b"hi"), 1002),
        (masked(0x09, b"hi"), 1002),
        (masked(0x81, b"\xff\xfe"), 1007),
        (
            [&[0x82, 0xff, 0, 0, 0, 0, 1, 0, 0, 0][..], &[0; 4]].concat(),
            1009,
        ),
        ([&[0x82, 0xff][..], &[0xff; 8], &[0; 4]].concat(), 1009),
    ] {
        let (socket, server) = server();
        drop(open(&socket, &url(), &mut |_| Ok(())).unwrap());
        socket.send_all(&frame).unwrap();
        socket.shutdown(How::Write).unwrap();
        let answer = rest(&socket);
        assert_eq!(answer[0], 0x88, "{frame:x?}");
        assert_eq!(
            u16::from_be_bytes([answer[2], answer[3]]),
            code,
            "{frame:x?}"
        );
        let told = server.join().unwrap();
        assert!(
            told.contains(&format!("client 3: closed with {code}: ")),
            "{told}"
        );
    }
}

#[test]
fn an_end_without_a_close_is_told() {
    let (socket, server) = server();
    drop(open(&socket, &url(), &mut |_| Ok(())).unwrap());
    drop(socket);
    let told = server.join().unwrap();
    assert!(told.ends_with("without a Close frame\n"), "{told}");
}

/// What the server answers to a request of its own words.
fn answered(request: &str) -> String {
    let (socket, server) = server();
    socket.send_all(request.as_bytes()).unwrap();
    socket.shutdown(How::Write).unwrap();
    let answer = rest(&socket);
    server.join().unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

#[test]
fn wrong_handshakes_are_answered_as_the_rfc_says() {
    let asking = request(&url(), "dGhlIHNhbXBsZSBub25jZQ==");
    let good = answered(&asking);
    // The example of RFC 6455 §1.3.
    assert!(
        good.contains("Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"),
        "{good}"
    );
    let split = asking.replace(
        "Connection: Upgrade",
        "Connection: keep-alive\r\nConnection: upgrade",
    );
    assert!(answered(&split).starts_with("HTTP/1.1 101"), "{split}");
    for (is, instead, code) in [
        ("Version: 13", "Version: 8", "426 Upgrade Required"),
        ("Sec-WebSocket-Version: 13\r\n", "", "426 Upgrade Required"),
        ("GET ", "POST ", "400 Bad Request"),
        ("HTTP/1.1", "HTTP/1.0", "400 Bad Request"),
        ("Upgrade: websocket\r\n", "", "400 Bad Request"),
        ("Connection: Upgrade\r\n", "", "400 Bad Request"),
        ("dGhl", "dGh", "400 Bad Request"),
        (
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n",
            "",
            "400 Bad Request",
        ),
    ] {
        let answer = answered(&asking.replace(is, instead));
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {code}\r\n")),
            "{is} → {instead}: {answer}"
        );
        assert_eq!(
            answer.contains("Sec-WebSocket-Version: 13\r\n"),
            code.starts_with("426")
        );
    }
}

#[test]
fn a_browser_gets_a_page_whose_script_its_policy_allows() {
    let page = answered("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    let (_, nonce) = page.split_once("script-src 'nonce-").unwrap();
    let nonce = nonce.split('\'').next().unwrap();
    assert_eq!(nonce.len(), 24);
    assert!(
        page.contains(&format!("<script nonce=\"{nonce}\">")),
        "{page}"
    );
    assert!(
        page.contains(&format!("<style nonce=\"{nonce}\">")),
        "{page}"
    );
    // The icon is empty, and in the page.
    assert!(page.contains("img-src data:") && page.contains("href=\"data:,\""));
    // Nothing is loaded from elsewhere.
    assert!(!page.contains("src=") && !page.contains("http://") && !page.contains("https://"));
    let again = answered("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    assert!(!again.contains(nonce));
    assert!(answered("GET /x HTTP/1.0\r\n\r\n").starts_with("HTTP/1.1 404"));
    assert!(answered("PUT / HTTP/1.0\r\n\r\n").starts_with("HTTP/1.1 405"));
}

/// What a client makes of a server that answers `head`, in which `{accept}` is the right key.
fn opened(head: &str) -> Result<(), NoWebSocket> {
    let (here, there) = pair(&Journal::default());
    let head = head.to_owned();
    let server = thread::spawn(move || {
        let mut buffer = [0; 1000];
        let len = there.recv(&mut buffer).unwrap();
        let asked = String::from_utf8(buffer[..len].to_vec()).unwrap();
        let (_, key) = asked.split_once("Sec-WebSocket-Key: ").unwrap();
        let key = key.lines().next().unwrap();
        let accept = tungstenite::handshake::derive_accept_key(key.as_bytes());
        there
            .send_all(head.replace("{accept}", &accept).as_bytes())
            .unwrap();
    });
    let result = open(&here, &url(), &mut |_| Ok(())).map(drop);
    server.join().unwrap();
    result
}

#[test]
fn a_client_refuses_a_wrong_agreement() {
    let right = "HTTP/1.1 101 OK\r\nUpgrade: WebSocket\r\nConnection: upgrade\r\nSec-WebSocket-Accept: {accept}\r\n\r\n";
    opened(right).unwrap();
    opened(&right.replace("\r\n", "\n")).unwrap();
    for (is, instead, told) in [
        ("Upgrade: WebSocket", "Upgrade: h2c", "no Upgrade"),
        ("Connection: upgrade", "Connection: close", "no Connection"),
        (
            "{accept}",
            "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=",
            "not made of the key",
        ),
        (
            "\r\n\r\n",
            "\r\nSec-WebSocket-Extensions: x\r\n\r\n",
            "an extension",
        ),
        ("101 OK", "200 Fine\u{1b}[2J", "with a control byte"),
        ("101 OK", "404 Not Found", "it answers 404 Not Found"),
    ] {
        let error = opened(&right.replace(is, instead)).unwrap_err().to_string();
        assert!(error.contains(told), "{instead}: {error}");
        assert!(!error.contains('\u{1b}'), "{error:?}");
    }
}

proptest! {
    #[test]
    fn no_bytes_behind_a_handshake_make_it_panic(
        bytes in prop::collection::vec(prop_oneof![any::<u8>(), Just(0x81), Just(0x88), Just(0x80), Just(0)], 0..60),
        server in any::<bool>(),
    ) {
        let (here, there) = pair(&Journal::default());
        there.send_all(&bytes).unwrap();
        there.shutdown(How::Write).unwrap();
        let role = match server {
            true => tungstenite::protocol::Role::Server,
            false => tungstenite::protocol::Role::Client,
        };
        let mut talk = Talk::new(&here, Vec::new(), role);
        let mut came = 0;
        while let Ok(said) = next(&mut talk) {
            prop_assert!(said.to_string().chars().all(|c| !c.is_control()));
            came += 1;
        }
        prop_assert!(came <= bytes.len());
    }
}
