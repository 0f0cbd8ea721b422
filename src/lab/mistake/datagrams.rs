//! Mistakes about datagrams: each is whole or not at all, has a largest size, and may be empty.

use std::io;

use super::{Mistake, Stage, Version};
use crate::{
    call::Answer,
    lab::{scenario::Host, wire::What},
};

/// The most data of a UDP datagram over IPv4: 65,535 bytes less the headers of IP and UDP.
const LONGEST: usize = 65_507;
/// The most that leaves in one packet where the link takes 1,500 bytes.
const UNFRAGMENTED: usize = 1472;

pub(super) static CUT: Mistake = Mistake {
    name: "datagram-cut",
    title: "a datagram cut by a small buffer: the rest is gone",
    habit: "data, addr = sock.recvfrom(8), and again for the rest, as with a stream",
    wrong: Version {
        title: "the server receives 8 bytes at a time",
        client: says_two,
        server: |stage| receive_two(stage, 8),
        see: |seen| {
            let cut = |call: &_| matches!(call, Ok(Answer::Datagram(_, _, true)));
            let mut calls = seen.calls(Host::Server, |call| cut(&call.result));
            match (calls.next(), &seen.received(Host::Server)[..]) {
                (Some(_), [first, second]) => vec![
                    format!(
                        "{} bytes were sent, the first recvfrom gave {first} of them, and the kernel marked the datagram as \
                         cut (MSG_TRUNC, which recvmsg shows; recvfrom alone does not tell).",
                        FIRST.len()
                    ),
                    format!(
                        "The second recvfrom gave the second datagram ({second} bytes): the other {} bytes of the first are \
                         gone.",
                        FIRST.len() - first
                    ),
                ],
                _ => Vec::new(),
            }
        },
    },
    right: Version {
        title: "the buffer has room for the longest datagram",
        client: says_two,
        server: |stage| receive_two(stage, 65_536),
        see: |seen| match seen.received(Host::Server)[..] {
            [first, second] if (first, second) == (FIRST.len(), SECOND.len()) => vec![format!(
                "Both came whole: {first} bytes, {second} bytes, in one call each."
            )],
            _ => Vec::new(),
        },
    },
    rule: "One recvfrom takes one datagram, and what does not fit is thrown away: give it room for the longest that may come.",
    next: "datagram-long",
};

const FIRST: &[u8] = b"the quick brown fox";
const SECOND: &[u8] = b"jumps";

fn says_two(stage: &Stage) -> io::Result<()> {
    let socket = stage.datagrams()?;
    socket.send_to(FIRST, &stage.server())?;
    socket.send_to(SECOND, &stage.server())?;
    Ok(())
}

fn receive_two(stage: &Stage, size: usize) -> io::Result<()> {
    let socket = stage.bound()?;
    let mut buffer = vec![0; size];
    socket.recv_from(&mut buffer)?;
    socket.recv_from(&mut buffer)?;
    Ok(())
}

pub(super) static LONG: Mistake = Mistake {
    name: "datagram-long",
    title: "a datagram too long to send, or too long for one packet",
    habit: "sock.sendto(whole_file, addr)",
    wrong: Version {
        title: "one byte more than UDP can carry, then as much as it can",
        client: |stage| {
            let socket = stage.datagrams()?;
            // Fails, and that is what it is about.
            let _ = socket.send_to(&vec![b'.'; LONGEST + 1], &stage.server());
            socket.send_to(&vec![b'.'; LONGEST], &stage.server())?;
            Ok(())
        },
        server: receive_one,
        see: |seen| {
            let mut sentences = Vec::new();
            let refused = seen.failed(Host::Client, libc::EMSGSIZE).next();
            let packets = seen.all_packets();
            if let Some(refused) = refused
                && packets.iter().all(|packet| packet.time > refused.end())
            {
                sentences.push(format!(
                    "sendto of {} bytes failed, EMSGSIZE, and sent nothing: over IPv4 a datagram carries {LONGEST} at most \
                     (65,535 less 20 for IP and 8 for UDP).",
                    LONGEST + 1
                ));
            }
            let fragments = seen.packets(Host::Client, What::Fragment).count();
            if fragments > 1 && seen.received(Host::Server) == [LONGEST] {
                sentences.push(format!(
                    "{LONGEST} bytes left in {fragments} fragments, and recvfrom gave them as one datagram; had one fragment \
                     been lost, all of it would be."
                ));
            }
            sentences
        },
    },
    right: Version {
        title: "a datagram that fits one packet",
        client: |stage| {
            let socket = stage.datagrams()?;
            socket.send_to(&[b'.'; UNFRAGMENTED], &stage.server())?;
            Ok(())
        },
        server: receive_one,
        see: |seen| {
            let fragments = seen.packets(Host::Client, What::Fragment).count();
            let datagrams = seen.packets(Host::Client, What::Udp).count();
            match (fragments, datagrams) {
                (0, 1) => vec![format!(
                    "{UNFRAGMENTED} bytes are one packet of 1,500 (20 for IP, 8 for UDP), and no fragment."
                )],
                _ => Vec::new(),
            }
        },
    },
    rule: "Keep datagrams below the MTU of the path (1,200 bytes pass nearly everywhere), or use a stream.",
    next: "empty-datagram",
};

fn receive_one(stage: &Stage) -> io::Result<()> {
    stage.bound()?.recv_from(&mut vec![0; 65_536])?;
    Ok(())
}

pub(super) static EMPTY: Mistake = Mistake {
    name: "empty-datagram",
    title: "recvfrom returns 0, and nobody has left",
    habit: "data, addr = sock.recvfrom(1024); if not data: break",
    wrong: Version {
        title: "the server takes an empty datagram for the end",
        client: says_nothing_in_between,
        server: |stage| {
            let socket = stage.bound()?;
            let mut buffer = [0; 1024];
            while let 1.. = socket.recv_from(&mut buffer)?.len {}
            stage.wait();
            Ok(())
        },
        see: |seen| {
            let sent = seen.packets(Host::Client, What::Udp);
            let arrived = sent.filter(|packet| packet.arrived).count();
            match (arrived, &seen.received(Host::Server)[..]) {
                (3, [3, 0]) => vec![
                    "The empty datagram is a packet like any other: headers, and no data. recvfrom returned 0 for it."
                        .to_owned(),
                    "The server stopped there; the third datagram reached its host and was never received.".to_owned(),
                ],
                _ => Vec::new(),
            }
        },
    },
    right: Version {
        title: "the server takes it as a datagram without data",
        client: says_nothing_in_between,
        server: |stage| {
            let socket = stage.bound()?;
            let mut buffer = [0; 1024];
            while &buffer[..3] != b"two" {
                socket.recv_from(&mut buffer)?;
            }
            stage.wait();
            Ok(())
        },
        see: |seen| match seen.received(Host::Server)[..] {
            [3, 0, 3] => {
                vec![
                    "All three came; the end is what the programs agree on, here the word \"two\"."
                        .to_owned(),
                ]
            }
            _ => Vec::new(),
        },
    },
    rule: "UDP has no connection and no end: 0 bytes is an empty datagram. Agree on a word for the end, or on a time limit.",
    next: "datagram-cut",
};

fn says_nothing_in_between(stage: &Stage) -> io::Result<()> {
    let socket = stage.datagrams()?;
    for data in [b"one".as_slice(), b"", b"two"] {
        socket.send_to(data, &stage.server())?;
    }
    stage.pause();
    stage.cue();
    Ok(())
}
