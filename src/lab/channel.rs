//! What the programs of both hosts tell to a process or thread that looks on: one message an event, so that threads and
//! forked children may tell at once.

use std::{io, os::fd::AsFd as _, sync::Arc};

use nix::poll::{PollFd, PollFlags, poll};
use socket2::{Domain, Socket, Type};

use super::Host;
use crate::{
    sockets::{Event, Journal, Told},
    sys::buffer,
};

/// More than any event in JSON: its bytes are at most [`PIECE`], each a number and a comma.
const MESSAGE: usize = 512 << 10;
/// Bytes of one event; a datagram is never longer.
const PIECE: usize = 64 << 10;

/// The end at which a program tells.
#[derive(Clone, Debug)]
pub struct Teller(Arc<Socket>);

/// The end at which it is heard.
#[derive(Debug)]
pub struct Hearer {
    socket: Socket,
    buffer: Vec<u8>,
}

/// Both ends.
///
/// # Errors
/// When the system gives no more descriptors.
pub fn open() -> io::Result<(Teller, Hearer)> {
    // A stream that keeps messages apart, and whose end is seen.
    let (teller, hearer) = Socket::pair(Domain::UNIX, Type::SEQPACKET, None)?;
    // The kernel gives no more than it allows (net.core.wmem_max), and that is enough.
    let _ = teller.set_send_buffer_size(MESSAGE);
    let buffer = vec![0; MESSAGE];
    Ok((
        Teller(Arc::new(teller)),
        Hearer {
            socket: hearer,
            buffer,
        },
    ))
}

impl Teller {
    /// A journal whose events go to the other end, calls included. It takes no lock: a child of fork may tell as well.
    pub fn journal(&self, host: Host) -> Journal {
        let teller = self.clone();
        Journal::new(true, move |told| teller.tell(host, told))
    }

    /// Tells of an event.
    pub fn tell(&self, host: Host, told: Told) {
        let Told { time, by, event } = told;
        let Event::Heard { client, bytes, cut } = event else {
            return self.send(host, &Told { time, by, event });
        };
        // Longer than a datagram is only what came by a stream, which has no borders. Nothing is one piece as well.
        let pieces = bytes.chunks(PIECE).map(<[u8]>::to_vec);
        let pieces = pieces.chain(bytes.is_empty().then(Vec::new));
        for bytes in pieces {
            let event = Event::Heard { client, bytes, cut };
            self.send(host, &Told { time, by, event });
        }
    }

    fn send(&self, host: Host, told: &Told) {
        let Ok(message) = serde_json::to_vec(&(host, told)) else {
            return;
        };
        // Nobody hears any more: the program goes on without.
        while let Err(error) = self.0.send_with_flags(&message, libc::MSG_NOSIGNAL) {
            if error.kind() != io::ErrorKind::Interrupted {
                return;
            }
        }
    }

    /// Says that nothing more is to come, for all who could tell.
    pub fn end(&self) {
        let _ = self.0.shutdown(std::net::Shutdown::Write);
    }

    /// Waits for a word of the other end ([`Hearer::go_on`]), or for its end.
    pub fn wait(&self) {
        let interrupted = |result: io::Result<usize>| {
            result.is_err_and(|error| error.kind() == io::ErrorKind::Interrupted)
        };
        while interrupted(buffer::recv(&self.0, &mut [0], 0)) {}
    }
}

/// What there is to hear.
#[derive(Debug)]
pub enum Heard {
    /// This host's program told something.
    Told(Host, Told),
    /// Nothing at the moment.
    Nothing,
    /// Nothing any more.
    End,
}

impl Hearer {
    /// The next event, without waiting for it.
    #[allow(clippy::should_implement_trait)] // Nothing at the moment is no end.
    pub fn next(&mut self) -> Heard {
        loop {
            match buffer::recv(&self.socket, &mut self.buffer, libc::MSG_DONTWAIT) {
                Ok(0) => return Heard::End,
                Ok(len) => {
                    let message = serde_json::from_slice(&self.buffer[..len]);
                    if let Ok((host, told)) = message {
                        return Heard::Told(host, told);
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Heard::Nothing,
                Err(_) => return Heard::End,
            }
        }
    }

    /// Waits a moment for something to hear.
    pub fn wait(&self) {
        let mut waiting = [PollFd::new(self.socket.as_fd(), PollFlags::POLLIN)];
        let _ = poll(&mut waiting, 20_u8);
    }

    /// Everything up to the end.
    pub fn rest(mut self) -> Vec<(Host, Told)> {
        let mut all = Vec::new();
        loop {
            match self.next() {
                Heard::Told(host, told) => all.push((host, told)),
                Heard::Nothing => self.wait(),
                Heard::End => return all,
            }
        }
    }

    /// Lets a program go on that waits ([`Teller::wait`]).
    pub fn go_on(&self) {
        // Fails when it has ended meanwhile.
        let _ = self.socket.send_with_flags(&[0], libc::MSG_NOSIGNAL);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn next(hearer: &mut Hearer) -> Option<(Host, Event)> {
        match hearer.next() {
            Heard::Told(host, told) => Some((host, told.event)),
            Heard::Nothing | Heard::End => None,
        }
    }

    fn heard(byte: u8, len: usize) -> Event {
        Event::Heard {
            client: 1,
            bytes: vec![byte; len],
            cut: false,
        }
    }

    #[test]
    fn what_is_told_is_heard_to_the_last_byte() {
        let (teller, mut hearer) = open().unwrap();
        assert!(matches!(hearer.next(), Heard::Nothing));
        let journal = teller.journal(Host::Server);
        // The longest numbers in JSON.
        for len in [0, 5, 65_507] {
            journal.tell(|| heard(255, len));
            assert_eq!(next(&mut hearer), Some((Host::Server, heard(255, len))));
        }
        teller.journal(Host::Client).tell(|| heard(255, PIECE + 1));
        assert_eq!(next(&mut hearer), Some((Host::Client, heard(255, PIECE))));
        assert_eq!(next(&mut hearer), Some((Host::Client, heard(255, 1))));
        let told = journal.clone();
        drop((journal, teller));
        assert!(matches!(hearer.next(), Heard::Nothing));
        drop(told);
        // What other tests fork meanwhile has the descriptors too, for as long as it lives.
        assert!(hearer.rest().is_empty());
    }

    #[test]
    fn the_program_goes_on_when_nobody_hears() {
        let (teller, hearer) = open().unwrap();
        drop(hearer);
        teller.journal(Host::Server).tell(|| heard(1, 1));
        teller.wait();
    }

    #[test]
    fn who_waits_is_let_go_on_and_the_rest_ends_for_all() {
        let (teller, hearer) = open().unwrap();
        hearer.go_on();
        teller.wait();
        teller.journal(Host::Client).tell(|| heard(1, 1));
        teller.end();
        teller.journal(Host::Server).tell(|| heard(2, 1));
        let rest = hearer.rest().into_iter();
        let rest: Vec<_> = rest.map(|(host, told)| (host, told.event)).collect();
        assert_eq!(rest, [(Host::Client, heard(1, 1))]);
    }
}
