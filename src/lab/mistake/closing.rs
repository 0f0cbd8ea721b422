//! Mistakes about the end of a connection: what close, shutdown and an open copy of the descriptor send, or do not send.

use std::io;

use super::{Mistake, Seen, Stage, Version, ms, seen::only_if, stage::recv_all};
use crate::{
    call::{Answer, Call, Choice, How},
    lab::{scenario::Host, wire::What},
    sockets::Socket,
};

/// Milliseconds for which a client waits for an end that does not come.
const PATIENCE: u32 = 300;
/// Bytes of the server's answer in `unread-data`.
const ANSWER: usize = 8 * 1024;
/// Room for it at the client: less than the answer, so that not all of it can be on its way at once.
const ROOM: u32 = 4096;
/// What the client asks there.
const QUESTION: &[u8] = b"GET / and a rest that nobody reads\n";

pub(super) static UNREAD_DATA: Mistake = Mistake {
    name: "unread-data",
    title: "close with unread data sends RST, not FIN",
    habit: "the server reads the first bytes of a request, sends its answer and closes",
    wrong: Version {
        title: "the server closes before it has read everything",
        client: |stage| {
            let socket = stage.stream()?;
            socket.set(Choice::ReceiveBuffer, ROOM)?;
            socket.connect(&stage.server())?;
            socket.send_all(QUESTION)?;
            recv_all(&socket, 1 << 16);
            Ok(())
        },
        server: |stage| {
            let conn = stage.only_client()?;
            // All of the question is here before the first byte of it is read.
            stage.pause();
            conn.recv(&mut [0; 5])?;
            conn.send_all(&vec![b'.'; ANSWER])
        },
        see: |seen| {
            let mut sentences = Vec::new();
            let resets: Vec<_> = seen.packets(Host::Server, What::Rst).collect();
            let fins = seen.packets(Host::Server, What::Fin).count();
            let read: usize = seen.received(Host::Server).iter().sum();
            if let (Some(reset), 0) = (resets.first(), fins) {
                sentences.push(format!(
                    "The server read {read} of {} bytes; its close sent a RST (packet {}), and no FIN.",
                    QUESTION.len(),
                    reset.number
                ));
            }
            let got: usize = seen.received(Host::Client).iter().sum();
            let sent = sent(seen, Host::Server);
            if seen.failed(Host::Client, libc::ECONNRESET).count() > 0 {
                let lost = match sent.checked_sub(got) {
                    Some(lost @ 1..) => format!(
                        " send had returned {sent}, {got} bytes came: {lost} are lost, and no call of the server failed."
                    ),
                    _ => String::new(),
                };
                sentences.push(format!("The client's recv failed: ECONNRESET.{lost}"));
            }
            sentences
        },
    },
    right: Version {
        title: "the server reads to the end, then answers and closes",
        client: |stage| {
            let socket = stage.stream()?;
            socket.set(Choice::ReceiveBuffer, ROOM)?;
            socket.connect(&stage.server())?;
            socket.send_all(QUESTION)?;
            socket.shutdown(How::Write)?;
            recv_all(&socket, 1 << 16);
            Ok(())
        },
        server: |stage| {
            let conn = stage.only_client()?;
            recv_all(&conn, 1024);
            conn.send_all(&vec![b'.'; ANSWER])
        },
        see: |seen| {
            let got: usize = seen.received(Host::Client).iter().sum();
            let ended = seen.packets(Host::Server, What::Fin).count() > 0
                && seen.packets(Host::Server, What::Rst).count() == 0;
            let sentence = format!("The close sent a FIN, and all {got} bytes came.");
            only_if(ended && got == ANSWER, sentence)
        },
    },
    rule: "Read until recv returns 0 before you close: a close with unread data throws away what is still to be sent, too.",
    next: "shutdown-read",
};

/// Bytes that a host's calls of `send` have returned.
fn sent(seen: &Seen, host: Host) -> usize {
    let sends = seen.calls(host, |call| matches!(call.call, Call::Send { .. }));
    let counts = sends.filter_map(|said| match said.called()?.result {
        Ok(Answer::Count(count)) => Some(count),
        _ => None,
    });
    counts.sum()
}

pub(super) static SHUTDOWN_READ: Mistake = Mistake {
    name: "shutdown-read",
    title: "shutdown(SHUT_RD) sends nothing, and data still comes",
    habit: "conn.shutdown(socket.SHUT_RD), so that the other side stops sending",
    wrong: Version {
        title: "the server shuts down its reading side",
        client: |stage| {
            let socket = stage.connect()?;
            stage.wait();
            socket.send_all(b"hello\n")?;
            stage.pause();
            stage.cue();
            recv_all(&socket, 1024);
            Ok(())
        },
        server: |stage| {
            let conn = stage.only_client()?;
            conn.shutdown(How::Read)?;
            conn.recv(&mut [0; 1024])?;
            stage.pause();
            stage.cue();
            stage.wait();
            conn.recv(&mut [0; 1024])?;
            conn.recv(&mut [0; 1024])?;
            Ok(())
        },
        see: |seen| {
            let mut sentences = Vec::new();
            let shutdown = seen
                .calls(Host::Server, |call| {
                    matches!(call.call, Call::Shutdown { .. })
                })
                .next();
            let (Some(shutdown), Some(data)) =
                (shutdown, seen.packets(Host::Client, What::Data).next())
            else {
                return sentences;
            };
            let between = |packet: &&super::Packet| {
                packet.from == Host::Server
                    && packet.time > shutdown.time
                    && packet.time < data.time
            };
            if seen.all_packets().iter().filter(between).count() == 0 {
                sentences.push(format!(
                    "The server sent nothing for its shutdown: the client does not know of it, and sent 6 bytes {} later.",
                    ms(data.time.since(shutdown.time))
                ));
            }
            let ack = seen
                .packets(Host::Server, What::Ack)
                .find(|packet| packet.time > data.time);
            if let Some(ack) = ack {
                sentences.push(format!(
                    "The server's kernel took them and acknowledged them all the same (packet {}).",
                    ack.number
                ));
            }
            if let [0, 6, 0] = seen.received(Host::Server)[..] {
                sentences.push(
                    "recv returned 0 at once while there was nothing; when the data had come it returned them, then 0 \
                     again: on Linux the shutdown only ends the waiting."
                        .to_owned(),
                );
            }
            sentences
        },
    },
    right: Version {
        title: "the server closes: the client's next data is answered with RST",
        client: |stage| {
            let socket = stage.connect()?;
            stage.wait();
            socket.send_all(b"hello\n")?;
            stage.pause();
            // The RST of the first one has come by now: this fails.
            let _ = socket.send(b"hello again\n");
            Ok(())
        },
        server: |stage| {
            drop(stage.only_client()?);
            stage.pause();
            stage.cue();
            Ok(())
        },
        see: |seen| {
            let reset = seen.packets(Host::Server, What::Rst).next();
            let failed = seen.failed(Host::Client, libc::EPIPE).next();
            match (reset, failed) {
                (Some(reset), Some(_)) => vec![format!(
                    "The FIN says that the server sends nothing more; that it reads nothing more, the client learns by the \
                     RST (packet {}), and its next send fails: EPIPE.",
                    reset.number
                )],
                _ => Vec::new(),
            }
        },
    },
    rule: "TCP has no way to say \"stop sending\": agree on it in your protocol, or close the socket.",
    next: "unread-data",
};

pub(super) static MAKEFILE: Mistake = Mistake {
    name: "makefile",
    title: "a file made of the socket is still open, so close sends nothing",
    habit: "f = conn.makefile(\"w\"); f.write(\"bye\\n\"); f.flush(); conn.close()",
    wrong: Version {
        title: "the server closes the socket and forgets the file",
        client: waits_for_the_end,
        server: |stage| {
            let conn = stage.only_client()?;
            let file = file_of(stage, &conn)?;
            file.send_all(b"bye\n")?;
            drop(conn);
            stage.wait();
            drop(file);
            Ok(())
        },
        see: |seen| {
            let closes = closes_of_connection(seen);
            let fin = seen.packets(Host::Server, What::Fin).next();
            let (Some([first, second]), Some(fin)) = (closes, fin) else {
                return Vec::new();
            };
            let mut sentences = Vec::new();
            if fin.time >= second.time {
                sentences.push(format!(
                    "After close(conn) no FIN left the server for {}: the file held the connection open; its close sent \
                     the FIN (packet {}).",
                    ms(fin.time.since(first.time)),
                    fin.number
                ));
            }
            if let Some(call) = seen.failed(Host::Client, libc::EAGAIN).next() {
                sentences.push(format!(
                    "The client's recv waited in vain for {}; without its time limit it would still wait.",
                    ms(call.took())
                ));
            }
            sentences.push(
                "Here the file is a second descriptor (dup). Python 3 has one descriptor and counts the files made of it \
                 (socket._io_refs): on the wire it is the same."
                    .to_owned(),
            );
            sentences
        },
    },
    right: Version {
        title: "the server closes both",
        client: waits_for_the_end,
        server: |stage| {
            let conn = stage.only_client()?;
            let file = file_of(stage, &conn)?;
            file.send_all(b"bye\n")?;
            drop(file);
            drop(conn);
            Ok(())
        },
        see: |seen| {
            let fin = seen.packets(Host::Server, What::Fin).next();
            match (closes_of_connection(seen), fin) {
                (Some([_, second]), Some(fin)) if fin.time >= second.time => vec![format!(
                    "The second close sent the FIN (packet {}), {} after it was called.",
                    fin.number,
                    ms(fin.time.since(second.time))
                )],
                _ => Vec::new(),
            }
        },
    },
    rule: "Close the file and the socket (with conn, conn.makefile(\"w\") as f: ...): the connection ends with the last of them.",
    next: "parent-keeps",
};

/// Reads what comes, up to the end; says so when it has waited in vain.
pub(super) fn waits_for_the_end(stage: &Stage) -> io::Result<()> {
    let socket = stage.connect()?;
    socket.set(Choice::ReceiveTimeout, PATIENCE)?;
    loop {
        match socket.recv(&mut [0; 1024]) {
            Ok(0) => return Ok(()),
            Ok(_) => {}
            // The time limit of a socket shows as EAGAIN (socket(7), SO_RCVTIMEO).
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => stage.cue(),
            Err(error) => return Err(error),
        }
    }
}

/// A second descriptor of the same connection.
fn file_of(stage: &Stage, conn: &Socket) -> io::Result<Socket> {
    let file = Socket::from_open(conn.open()?.try_clone()?, conn.journal());
    stage.note(format!(
        "f = conn.makefile(\"w\"), as dup({}) = {}",
        conn.fd(),
        file.fd()
    ));
    Ok(file)
}

/// When the server closed its two descriptors of the connection: the last two calls of close, and no listener's.
fn closes_of_connection(seen: &Seen) -> Option<[&super::Said; 2]> {
    let last_data = seen
        .calls(Host::Server, |call| matches!(call.call, Call::Send { .. }))
        .last()?;
    let after = |said: &&super::Said| said.time >= last_data.time;
    let closes: Vec<_> = seen
        .calls(Host::Server, |call| matches!(call.call, Call::Close { .. }))
        .filter(after)
        .collect();
    <[_; 2]>::try_from(closes).ok()
}
