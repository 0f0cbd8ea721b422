//! What the join makes of logs: of those made by hand its answers stand in `captures/trace`, of random exchanges the truth is known.
#![allow(clippy::unwrap_used)]

mod equal;
mod golden;
mod hostile;
mod letters;
mod random;

use std::fmt::Write as _;

use super::Join;
use crate::{
    call::{Caller, Data},
    event::{Arg, Deed, Enter, Entry, Event, PacketId, Part, SocketId, Transport, Way},
    timeline::{
        Ground, Share, Tie,
        known::Known,
        seen::{Reader, Seen, What},
        testing::{CLIENT, Log, SERVER, Tcp},
    },
};

/// Everything that was made of a log.
pub(super) struct Made {
    pub(super) join: Join,
    pub(super) seen: Vec<(PacketId, Option<Seen>)>,
}

pub(super) fn join(entries: &[Entry]) -> Made {
    let (mut known, mut reader, mut join) = (Known::default(), Reader::default(), Join::default());
    let mut all = Vec::new();
    for entry in entries {
        known.push(entry);
        let seen = reader.read(entry, &known);
        join.push(entry, seen.as_ref(), &known);
        if let Event::Packet(packet) = &entry.event {
            all.push((packet.number, seen));
        }
    }
    Made { join, seen: all }
}

/// A line for each packet: who sent it to whom, and its ties.
pub(super) fn ties(entries: &[Entry]) -> String {
    let made = join(entries);
    let mut text = String::new();
    for (number, seen) in &made.seen {
        write!(text, "{number}").unwrap();
        if let Some(seen) = seen {
            write!(text, " {} > {}", seen.source, seen.destination).unwrap();
            match &seen.what {
                What::Segment(s) => {
                    let flags = [
                        (s.syn, 'S'),
                        (s.fin, 'F'),
                        (s.rst, 'R'),
                        (s.ack.is_some(), 'A'),
                    ];
                    let flags: String = flags.iter().filter(|f| f.0).map(|f| f.1).collect();
                    write!(text, " {flags} seq {} len {}", s.seq, s.len).unwrap();
                }
                What::Datagram(len) => write!(text, " datagram {len}").unwrap(),
                What::Error(says) => write!(text, " {says}").unwrap(),
            }
        }
        text.push('\n');
        let Some(tied) = made.join.packet(*number) else {
            continue;
        };
        let socket = |id: Option<u32>| id.map_or_else(|| "?".into(), |id| format!("socket {id}"));
        let (from, to) = (socket(tied.sender), socket(tied.receiver));
        writeln!(
            text,
            "    {from} > {to}{}",
            if tied.again { ", again" } else { "" }
        )
        .unwrap();
        if let Some(kernel) = tied.kernel {
            writeln!(text, "    kernel: {kernel:?}").unwrap();
        }
        for (what, ties) in [("caused", &tied.causes), ("took", &tied.takers)] {
            for Tie {
                call,
                share,
                ground,
            } in ties
            {
                let share = match share {
                    Share::Bytes(bytes) => format!("bytes {}..{}", bytes.start, bytes.end),
                    other => format!("{other:?}").to_lowercase(),
                };
                writeln!(text, "    call {call} {what} {share} ({})", ground.word()).unwrap();
            }
        }
    }
    text
}

/// What a call that moves `len` bytes says of them.
fn part(len: usize, head: &[u8]) -> Vec<Part> {
    let head = head.to_vec();
    vec![Part {
        data: Data { len, head },
        address: None,
    }]
}

fn enter(by: Caller, deed: Deed, socket: SocketId, parts: Vec<Part>) -> Enter {
    Enter {
        call: 0,
        by,
        name: "call".into(),
        deed,
        socket: Some(socket),
        closes: Vec::new(),
        args: Vec::new(),
        parts,
        waited: false,
    }
}

#[test]
fn streams_are_longer_than_sequence_numbers() {
    let mut log = Log::local();
    let mut pair = log.pair();
    let step = 900_000_000u64;
    for round in 0..6 {
        // All but the last byte of each call was sent, and the capture lost it.
        let send = log.enters(enter(
            CLIENT,
            Deed::Send,
            pair.client,
            part(step as usize, b""),
        ));
        pair.next[0] = pair.next[0].wrapping_add(step as u32 - 1);
        let packet = pair.segment(&mut log, 0, "A", b"x");
        log.returns(send, Ok(step as i64));
        let made = join(&log.entries);
        let share = Share::Bytes(step * (round + 1) - 1..step * (round + 1));
        let tie = Tie {
            call: send,
            share,
            ground: Ground::Sequence,
        };
        assert_eq!(made.join.packet(packet).unwrap().causes, [tie]);
    }
}

/// Their ports say whose SYN is whose, also when the second to connect is the first to send, and another one joins in.
#[test]
fn connects_to_one_place_at_one_time() {
    const TO: &str = "10.0.0.2:5000";
    let mut log = Log::local();
    log.listener(SERVER, 1, TO);
    let here = ["10.0.0.1:40001", "10.0.0.1:40002", "10.0.0.1:40003"];
    let sockets = here.map(|_| log.appears(1, Transport::Tcp));
    let mut calls = [0; 3];
    let mut syns = [0; 3];
    let syn =
        |log: &mut Log, n: usize| log.segment(Way::Loop, here[n], TO, Tcp::new("S", 1, 0, b""));
    for n in [0, 1] {
        calls[n] = log.connects(CLIENT, sockets[n], TO);
    }
    syns[1] = syn(&mut log, 1);
    calls[2] = log.connects(CLIENT, sockets[2], TO);
    syns[0] = syn(&mut log, 0);
    log.addresses(sockets[1], here[1], Some(TO));
    log.returns(calls[1], Ok(0));
    syns[2] = syn(&mut log, 2);
    // One says its port, the other's is learned by `getsockname`, without the address.
    log.addresses(sockets[2], here[2], Some(TO));
    log.returns(calls[2], Err(libc::EINPROGRESS));
    log.addresses(sockets[0], "0.0.0.0:40001", None);
    let made = join(&log.entries);
    for n in 0..3 {
        let tied = made.join.packet(syns[n]).unwrap();
        let causes: Vec<_> = tied.causes.iter().map(|tie| tie.call).collect();
        assert_eq!(
            (tied.sender, causes),
            (Some(sockets[n]), vec![calls[n]]),
            "{n}"
        );
    }
}

/// A buffer without room says nothing of the stream: the next receive returns its end.
#[test]
fn a_receive_into_no_buffer_is_not_the_end() {
    let mut log = Log::local();
    let mut pair = log.pair();
    let fin = pair.segment(&mut log, 0, "FA", b"");
    let reads = [0, 4].map(|room| {
        let mut read = enter(SERVER, Deed::Receive, pair.server, Vec::new());
        read.name = "read".into();
        read.args = vec![Arg::Fd(4), Arg::Memory("buffer".into()), Arg::Number(room)];
        let call = log.enters(read);
        log.returns(call, Ok(0));
        call
    });
    let made = join(&log.entries);
    let takers = &made.join.packet(fin).unwrap().takers;
    let calls: Vec<_> = takers.iter().map(|tie| tie.call).collect();
    assert_eq!(calls, [reads[1]]);
}
