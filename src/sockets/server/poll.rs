//! All clients by one thread: poll says who can be read or written.
//!
//! No client can make the others wait. Nothing here blocks but `poll` itself, and of a client whose answer does not fit
//! into the kernel's buffer nothing more is read until the rest has gone: so it costs one buffer, and its own sender stops.

use std::{io, os::fd::AsFd as _};

use nix::poll::{PollFd, PollFlags};

use super::{
    Plain, Server,
    accept::{Lack, PAUSE},
    count,
};
use crate::{
    call::Address,
    sockets::{End, Event, Socket, poll_fds, socket::is_ready},
    sys::process::Shared,
};

/// A client between two turns.
struct Client {
    number: u64,
    socket: Socket,
    received: u64,
    sent: u64,
    /// What is still to be sent.
    pending: Vec<u8>,
    /// It is done sending.
    at_end: bool,
}

/// Serves all clients by turns; how many came.
pub(super) fn run(server: &Server, plain: Plain, counters: &Shared) -> io::Result<u64> {
    // Who gives up between poll and accept leaves nothing to accept: then accept must not wait either.
    server.socket.open()?.set_nonblocking(true)?;
    let mut buffer = vec![0; plain.size];
    let mut clients: Vec<Client> = Vec::new();
    let mut lack = Lack::default();
    let mut came = 0;
    while !server.stopping.is_asked() {
        let is_wanted = server.is_wanted(came);
        if clients.is_empty() && !is_wanted {
            break;
        }
        // While descriptors are lacking, a listening socket that can be read would make this spin.
        let listener = (is_wanted && !lack.told).then_some(&server.socket);
        let ready = match wait(listener, &clients, server, lack.told) {
            Ok(ready) => ready,
            Err(error) if error.raw_os_error() == Some(libc::EINTR) => continue,
            Err(error) => return Err(error),
        };
        let (of_listener, of_clients) = ready.split_at(1);
        let mut turns = of_clients.iter();
        clients.retain_mut(|client| {
            let is_ready = turns.next() == Some(&true);
            let end = if is_ready {
                client.turn(plain, &mut buffer)
            } else {
                None
            };
            match end {
                None => true,
                Some(end) => {
                    client.leave(counters, end);
                    false
                }
            }
        });
        if of_listener == [true] || lack.told && is_wanted {
            match server.accept_now(&mut lack) {
                Ok(Some((socket, from))) => {
                    came += 1;
                    clients.push(Client::new(came, socket, &from)?);
                }
                Ok(None) => {}
                // A stopper has shut the socket.
                Err(_) if server.stopping.is_asked() => {}
                Err(error) => return Err(error),
            }
        }
    }
    for client in &clients {
        client.leave(counters, End::Ended);
    }
    Ok(came)
}

/// `poll(2)`: who can go on. The first is the listening socket's, the others the clients'.
fn wait(
    listener: Option<&Socket>,
    clients: &[Client],
    server: &Server,
    is_limited: bool,
) -> io::Result<Vec<bool>> {
    let timeout = is_limited.then_some(PAUSE.into());
    let mut waiting = Vec::with_capacity(clients.len() + 1);
    if let Some(listener) = listener {
        waiting.push(PollFd::new(listener.open()?.as_fd(), PollFlags::POLLIN));
    }
    for client in clients {
        let wish = if client.pending.is_empty() {
            PollFlags::POLLIN
        } else {
            PollFlags::POLLOUT
        };
        waiting.push(PollFd::new(client.socket.open()?.as_fd(), wish));
    }
    poll_fds(server.socket.journal(), &mut waiting, timeout)?;
    let absent = listener.is_none().then_some(false);
    Ok(absent
        .into_iter()
        .chain(waiting.iter().map(is_ready))
        .collect())
}

impl Client {
    fn new(number: u64, socket: Socket, from: &Address) -> io::Result<Self> {
        socket.open()?.set_nonblocking(true)?;
        socket.journal().tell(|| Event::Came {
            client: number,
            from: from.clone(),
        });
        Ok(Self {
            number,
            socket,
            received: 0,
            sent: 0,
            pending: Vec::new(),
            at_end: false,
        })
    }

    /// Sends what is pending, or else receives; how it ended, when it has.
    fn turn(&mut self, plain: Plain, buffer: &mut [u8]) -> Option<End> {
        let done = if self.pending.is_empty() {
            self.receive(plain, buffer)
        } else {
            Ok(())
        };
        match done.and_then(|()| self.send()) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => None,
            Err(error) => Some(End::Failed(error.raw_os_error().unwrap_or(libc::EIO))),
            Ok(()) => (self.at_end && self.pending.is_empty()).then_some(End::Closed),
        }
    }

    fn receive(&mut self, plain: Plain, buffer: &mut [u8]) -> io::Result<()> {
        let len = self.socket.recv(buffer)?;
        let bytes = &buffer[..len];
        self.received += len as u64;
        if len == 0 {
            self.at_end = true;
            self.pending = plain.farewell(self.received).into_bytes();
            return Ok(());
        }
        plain.tell(self.socket.journal(), self.number, bytes);
        self.pending.extend_from_slice(plain.reply(bytes));
        Ok(())
    }

    fn send(&mut self) -> io::Result<()> {
        while !self.pending.is_empty() {
            let len = self.socket.send(&self.pending)?;
            self.pending.drain(..len);
            self.sent += len as u64;
        }
        Ok(())
    }

    fn leave(&self, counters: &Shared, end: End) {
        count(counters, self.received, self.sent);
        self.socket.journal().tell(|| Event::Left {
            client: self.number,
            received: self.received,
            sent: self.sent,
            end,
        });
    }
}
