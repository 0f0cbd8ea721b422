//! Mistakes about what a stream is: it has an end, no boundaries, and knows bytes, not characters.

use std::{io, str};

use super::{Mistake, Stage, Version, ms, seen::only_if, seen::received, stage::recv_all};
use crate::{
    call::Choice,
    lab::{scenario::Host, wire::What},
};

/// The rounds after which a loop that would never end is ended.
const ROUNDS: usize = 1000;

pub(super) static NO_BREAK: Mistake = Mistake {
    name: "no-break",
    title: "a loop that goes on when recv returns 0",
    habit: "while True: data = conn.recv(1024); print(data)",
    wrong: Version {
        title: "the server never looks for 0",
        client: says_hello,
        server: |stage| {
            let conn = stage.only_client()?;
            let (mut buffer, mut zeros) = ([0; 1024], 0);
            while zeros < ROUNDS {
                zeros += usize::from(conn.recv(&mut buffer)? == 0);
            }
            Ok(())
        },
        see: |seen| {
            let zeros: Vec<_> = seen
                .calls(Host::Server, |call| received(call) == Some(0))
                .collect();
            let fins: Vec<_> = seen.packets(Host::Client, What::Fin).collect();
            let ([first, .., last], [fin]) = (&zeros[..], &fins[..]) else {
                return Vec::new();
            };
            vec![
                format!(
                    "recv returned 0 {} times in {}, and would go on: none of these calls waits for anything, so the loop keeps \
                     a processor busy. (The lab ends it after {ROUNDS} rounds.)",
                    zeros.len(),
                    ms(last.end().since(first.time))
                ),
                format!(
                    "The client said once that it is done, by the FIN of packet {}; 0 is how recv tells of it, each time \
                     that it is asked.",
                    fin.number
                ),
            ]
        },
    },
    right: Version {
        title: "the server ends its loop at 0",
        client: says_hello,
        server: |stage| {
            recv_all(&stage.only_client()?, 1024);
            Ok(())
        },
        see: |seen| {
            let received = seen.received(Host::Server);
            let zeros = received.iter().filter(|len| **len == 0).count();
            let once = "recv returned 0 once; then the server closed as well.";
            only_if(zeros == 1, once)
        },
    },
    rule: "recv returns 0 when the other side is done sending, for ever after: leave the loop (if not data: break).",
    next: "three-sends",
};

fn says_hello(stage: &Stage) -> io::Result<()> {
    stage.connect()?.send_all(b"hello\n")
}

const PIECES: [&[u8]; 3] = [b"one ", b"two ", b"three"];

pub(super) static THREE_SENDS: Mistake = Mistake {
    name: "three-sends",
    title: "three sends, one receive: a stream has no boundaries",
    habit: "each recv on one side is taken to return what one send on the other side sent",
    wrong: Version {
        title: "three sends and one recv, then one send and three recv",
        client: |stage| {
            let socket = stage.connect()?;
            // Each piece leaves in a packet of its own, and even so recv does not see them.
            socket.set(Choice::NoDelay, 1)?;
            for piece in PIECES {
                socket.send_all(piece)?;
            }
            stage.pause();
            stage.cue();
            let mut buffer = [0; 5];
            for _ in 0..3 {
                socket.recv(&mut buffer)?;
            }
            Ok(())
        },
        server: |stage| {
            let conn = stage.only_client()?;
            stage.wait();
            conn.recv(&mut [0; 1024])?;
            conn.send_all(b"fifteen letters")
        },
        see: |seen| {
            let mut sentences = Vec::new();
            let data: Vec<_> = seen.packets(Host::Client, What::Data).collect();
            if let [13] = seen.received(Host::Server)[..] {
                sentences.push(format!(
                    "Three calls of send, {} packets, one call of recv: it returned all 13 bytes. Neither the calls nor the \
                     packets of the sender show in what recv returns.",
                    data.len()
                ));
            }
            if let [5, 5, 5] = seen.received(Host::Client)[..] {
                sentences.push(
                    "The other way, one send of 15 bytes came out of three calls of recv, 5 bytes each.".to_owned(),
                );
            }
            sentences
        },
    },
    right: Version {
        title: "each message ends with a newline, and the receiver cuts there",
        client: |stage| {
            let socket = stage.connect()?;
            for message in [b"one\n".as_slice(), b"two\n", b"three\n"] {
                socket.send_all(message)?;
            }
            Ok(())
        },
        server: |stage| {
            let conn = stage.only_client()?;
            let (mut buffer, mut kept) = ([0; 6], Vec::new());
            while let len @ 1.. = conn.recv(&mut buffer)? {
                kept.extend_from_slice(&buffer[..len]);
                while let Some(end) = kept.iter().position(|byte| *byte == b'\n') {
                    let message: Vec<u8> = kept.drain(..=end).collect();
                    let text = String::from_utf8_lossy(&message[..end]);
                    stage.note(format!("a message: {text}"));
                }
            }
            Ok(())
        },
        see: |seen| {
            let messages: Vec<_> = seen
                .notes()
                .filter_map(|note| note.strip_prefix("a message: "))
                .collect();
            match messages[..] {
                ["one", "two", "three"] => vec![format!(
                    "Three messages, out of {} calls of recv: what is left over is kept until the rest has come.",
                    seen.received(Host::Server).len()
                )],
                _ => Vec::new(),
            }
        },
    },
    rule: "A stream keeps the order of bytes and nothing else: mark where a message ends (a newline, or its length in front).",
    next: "utf8-cut",
};

/// `é` is two bytes, and the third and fourth of these.
const TEXT: &str = "caféine";
/// So that the first receive ends within it.
const CHUNK: usize = 4;

pub(super) static UTF8_CUT: Mistake = Mistake {
    name: "utf8-cut",
    title: "a character cut in two by the size of recv",
    habit: "text = conn.recv(4).decode(), for each piece that comes",
    wrong: Version {
        title: "each piece is decoded as it comes",
        client: says_text,
        server: |stage| {
            let conn = stage.only_client()?;
            let mut buffer = [0; CHUNK];
            while let len @ 1.. = conn.recv(&mut buffer)? {
                stage.note(decoded(&buffer[..len]));
            }
            Ok(())
        },
        see: |seen| {
            let failed: Vec<_> = seen
                .notes()
                .filter(|note| note.contains(NOT_UTF8))
                .collect();
            match failed[..] {
                [_, _] => vec![format!(
                    "{TEXT:?} is {} bytes of UTF-8, and its é two of them: c3 a9. recv({CHUNK}) took c3 with one piece and \
                     a9 with the next; neither piece is text by itself.",
                    TEXT.len()
                )],
                _ => Vec::new(),
            }
        },
    },
    right: Version {
        title: "the pieces are joined, then decoded",
        client: says_text,
        server: |stage| {
            let all = recv_all(&stage.only_client()?, CHUNK);
            stage.note(decoded(&all));
            Ok(())
        },
        see: |seen| {
            let whole = seen.notes().any(|note| note.contains(TEXT));
            let sentence = "The same pieces, joined before they are decoded, are the text.";
            only_if(whole, sentence)
        },
    },
    rule: "Sockets carry bytes: join them up to the end of a message, then decode (or use an incremental decoder).",
    next: "no-break",
};

const NOT_UTF8: &str = "not UTF-8";

fn says_text(stage: &Stage) -> io::Result<()> {
    stage.connect()?.send_all(TEXT.as_bytes())
}

fn decoded(bytes: &[u8]) -> String {
    match str::from_utf8(bytes) {
        Ok(text) => format!("decoded: {text:?}"),
        Err(error) => {
            let at = error.valid_up_to();
            let bad = bytes.get(at).copied().unwrap_or_default();
            format!(
                "decoding fails at byte {at} of {}: {bad:02x} is {NOT_UTF8}",
                bytes.len()
            )
        }
    }
}
