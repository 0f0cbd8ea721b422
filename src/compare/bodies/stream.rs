//! The exchange over stream sockets. The server of the hand-made client is this one, too.

use std::{
    io,
    sync::mpsc::{Receiver, Sender},
};

use super::{
    super::message::{BURST, burst_len, message},
    Side,
};
use crate::{
    call::{How, Kind},
    sockets::Socket,
};

pub(super) fn client(side: &Side) -> io::Result<()> {
    let socket = side.socket(Kind::Stream)?;
    socket.connect(&side.address())?;
    for word in BURST {
        socket.send_all(word)?;
    }
    side.burst(BURST.len());
    burst(side, &socket)?;
    let mut buffer = vec![0; side.exchange.payload];
    for number in 1..=side.exchange.count {
        side.said(number);
        socket.send_all(&message(number, side.exchange.payload))?;
        if !fill(&socket, &mut buffer)? {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        side.got(&buffer, number);
    }
    socket.shutdown(How::Write)?;
    while socket.recv(&mut buffer)? > 0 {}
    Ok(())
}

pub(super) fn server(side: &Side, ready: &Sender<()>, gate: &Receiver<usize>) -> io::Result<()> {
    let listener = side.socket(Kind::Stream)?;
    listener.bind(&side.address())?;
    listener.listen(1)?;
    let _ = ready.send(());
    let (socket, _) = listener.accept()?;
    if gate.recv().is_err() {
        return Ok(());
    }
    let words = burst(side, &socket)?;
    socket.send_all(&words)?;
    side.burst(BURST.len());
    let mut buffer = vec![0; side.exchange.payload];
    let mut next = 1;
    while fill(&socket, &mut buffer)? {
        let number = side.got(&buffer, next).unwrap_or(next);
        side.said(number);
        socket.send_all(&buffer)?;
        next = number + 1;
    }
    Ok(())
}

/// Reads the burst, as it comes.
fn burst(side: &Side, socket: &Socket) -> io::Result<Vec<u8>> {
    let mut words = Vec::new();
    let mut buffer = [0; 1024];
    while words.len() < burst_len() {
        let len = socket.recv(&mut buffer)?;
        if len == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        side.read(&buffer[..len]);
        words.extend_from_slice(&buffer[..len]);
    }
    Ok(words)
}

/// Receives until the buffer is full: a stream does not know where a message ends. False at its end.
fn fill(socket: &Socket, buffer: &mut [u8]) -> io::Result<bool> {
    let mut at = 0;
    while at < buffer.len() {
        match socket.recv(&mut buffer[at..])? {
            0 => return Ok(false),
            len => at += len,
        }
    }
    Ok(true)
}
