//! The exchange over datagram sockets: what is lost is waited for, and not asked for again.

use std::{
    io,
    sync::{
        atomic::Ordering,
        mpsc::{Receiver, Sender},
    },
};

use super::{
    super::message::{BURST, message},
    Side,
};
use crate::{
    call::{Choice, Kind},
    sockets::Received,
};

/// More than any datagram.
const LARGEST: usize = 65_536;

pub(super) fn client(side: &Side) -> io::Result<()> {
    let socket = side.socket(Kind::Datagram)?;
    // Who waits for a datagram without a limit may wait for ever.
    socket.set(Choice::ReceiveTimeout, side.patience)?;
    let server = side.address();
    let mut buffer = vec![0; LARGEST];
    for word in BURST {
        socket.send_to(word, &server)?;
    }
    side.burst(BURST.len());
    for _ in BURST {
        match in_time(socket.recv_from(&mut buffer))? {
            Some(word) => side.read(&buffer[..word.len]),
            None => break,
        }
    }
    for number in 1..=side.exchange.count {
        side.said(number);
        socket.send_to(&message(number, side.exchange.payload), &server)?;
        // An answer that comes late belongs to a message that was given up.
        while let Some(answer) = in_time(socket.recv_from(&mut buffer))? {
            if side.got(&buffer[..answer.len], number) == Some(number) {
                break;
            }
        }
    }
    side.over.store(true, Ordering::Relaxed);
    Ok(())
}

pub(super) fn server(side: &Side, ready: &Sender<()>, gate: &Receiver<usize>) -> io::Result<()> {
    let socket = side.socket(Kind::Datagram)?;
    socket.bind(&side.address())?;
    // Twice as long as the client's: it is to find the client waiting.
    let patience = side.patience.saturating_mul(2);
    socket.set(Choice::ReceiveTimeout, patience)?;
    let _ = ready.send(());
    let Ok(words) = gate.recv() else {
        return Ok(());
    };
    let mut buffer = vec![0; LARGEST];
    // What the wire has delivered may take the kernel a moment still.
    for _ in 0..words {
        let Some(word) = in_time(socket.recv_from(&mut buffer))? else {
            break;
        };
        side.read(&buffer[..word.len]);
        socket.send_to(&buffer[..word.len], &word.from)?;
        side.burst(1);
    }
    let mut next = 1;
    while next <= side.exchange.count && !side.over.load(Ordering::Relaxed) {
        let Some(asked) = in_time(socket.recv_from(&mut buffer))? else {
            continue;
        };
        let number = side.got(&buffer[..asked.len], next).unwrap_or(next);
        side.said(number);
        socket.send_to(&buffer[..asked.len], &asked.from)?;
        next = number + 1;
    }
    Ok(())
}

/// What was received; nothing where the time limit was over first (socket(7), `SO_RCVTIMEO`).
fn in_time(received: io::Result<Received>) -> io::Result<Option<Received>> {
    match received {
        Ok(received) => Ok(Some(received)),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
        Err(error) => Err(error),
    }
}
