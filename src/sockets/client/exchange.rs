//! An exchange both ways at once: what the user gives goes out, what comes is handed on, and whoever ends first is noticed.
//!
//! One thread and `poll`. At most one piece waits to be sent, and none is taken while it waits, so memory stays small; a
//! server that sends while it is sent to is read from all the while, so that neither waits for the other for ever.

use std::{
    io,
    os::fd::AsFd as _,
    time::{Duration, Instant},
};

use nix::poll::{PollFd, PollFlags};

use super::{Given, Input};
use crate::{
    call::{How, Kind},
    sockets::{Event, Socket, poll_fds},
};

/// Takes received bytes as they come, and whether they are what fitted of a longer datagram.
pub type Heard<'a> = dyn FnMut(&[u8], bool) -> io::Result<()> + 'a;

/// What is to be exchanged, and how it ends.
pub struct Exchange<'a> {
    /// A connected socket.
    pub socket: &'a Socket,
    /// Of a datagram socket each piece is a datagram, and nothing received is the end.
    pub kind: Kind,
    /// What is sent. A datagram that was refused is put back, for another address.
    pub input: &'a mut Input,
    /// What of a stream is shut down at the end of the input.
    pub at_end: How,
    /// Told when it is.
    pub note: Option<&'static str>,
    /// How long to wait for what still comes after the end of the input; without it until the other side ends.
    pub wait: Option<Duration>,
    /// The most bytes of one `recv`.
    pub recv_size: usize,
    /// The user wants to stop: asked whenever a signal may have come.
    pub stopped: &'a dyn Fn() -> bool,
}

/// What came of it.
#[derive(Debug)]
pub struct Finished {
    /// Bytes that the kernel took.
    pub sent: u64,
    /// Bytes that were received.
    pub received: u64,
    /// The end.
    pub over: Over,
}

/// How it ended.
#[derive(Debug)]
pub enum Over {
    /// `recv` returned 0: the other side was done sending, or reading was shut down.
    Closed,
    /// The user closed, by Ctrl-X.
    Quit,
    /// Nothing more was waited for.
    Waited,
    /// The user stopped it.
    Stopped,
    /// A call failed.
    Failed(Doing, io::Error),
}

/// Calls that may fail on the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Doing {
    /// `send`.
    Sending,
    /// `recv`.
    Receiving,
    /// `shutdown`.
    ShuttingDown,
}

/// Not the connection's fault.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// What is sent could not be read.
    #[error("cannot read what is to be sent")]
    Input(#[source] io::Error),
    /// What was received could not be handed on.
    #[error("cannot hand on what was received")]
    Output(#[source] io::Error),
    /// `poll` failed.
    #[error("cannot wait for the socket and the input")]
    Wait(#[source] io::Error),
}

impl<'a> Exchange<'a> {
    /// A stream that is sent `input`, whose end is told; the rest is for struct update.
    pub fn new(socket: &'a Socket, input: &'a mut Input) -> Self {
        Self {
            socket,
            kind: Kind::Stream,
            input,
            at_end: How::Write,
            note: None,
            wait: None,
            recv_size: 65_536,
            stopped: &|| false,
        }
    }

    /// Runs it to its end.
    ///
    /// # Errors
    /// Only those of input and output; those of the connection are an end like others.
    pub fn run(self, heard: &mut Heard<'_>) -> Result<Finished, Error> {
        let mut running = Running {
            buffer: vec![0; self.recv_size.max(1)],
            exchange: self,
            heard,
            piece: Vec::new(),
            at: None,
            done: None,
            is_told: false,
            until: None,
            is_closed: false,
            sent: 0,
            received: 0,
        };
        let over = running.run()?;
        if let Over::Failed(_, error) = &over
            && error.kind() == io::ErrorKind::ConnectionRefused
        {
            running.exchange.input.put_back(running.piece);
        }
        Ok(Finished {
            sent: running.sent,
            received: running.received,
            over,
        })
    }
}

struct Running<'a, 'b> {
    exchange: Exchange<'a>,
    heard: &'b mut Heard<'b>,
    buffer: Vec<u8>,
    /// What is being sent.
    piece: Vec<u8>,
    /// So far it is sent; nothing when no piece waits.
    at: Option<usize>,
    /// How the input ended.
    done: Option<Given>,
    /// The other side was told so.
    is_told: bool,
    /// Until when it is waited for.
    until: Option<Instant>,
    /// The other side has ended.
    is_closed: bool,
    sent: u64,
    received: u64,
}

impl Running<'_, '_> {
    fn run(&mut self) -> Result<Over, Error> {
        loop {
            if (self.exchange.stopped)() {
                return Ok(Over::Stopped);
            }
            if let Some(over) = self.send()? {
                return Ok(over);
            }
            if let Some(over) = self.wait()? {
                return Ok(over);
            }
        }
    }

    /// Sends what there is room for, and tells the end of it.
    fn send(&mut self) -> Result<Option<Over>, Error> {
        let socket = self.exchange.socket;
        // After each datagram it is looked whether it was refused.
        let is_stream = self.exchange.kind == Kind::Stream;
        let mut has_sent = false;
        loop {
            if let Some(at) = self.at {
                match socket.send_now(&self.piece[at..]) {
                    Ok(len) => {
                        has_sent = true;
                        self.sent += len as u64;
                        let at = at + len;
                        self.at = (at < self.piece.len()).then_some(at);
                    }
                    Err(error) if is_for_later(&error) => return Ok(None),
                    Err(error) => return Ok(Some(Over::Failed(Doing::Sending, error))),
                }
            } else if self.done.is_none()
                && (is_stream || !has_sent)
                && self.exchange.input.is_all_there()
            {
                self.take()?;
            } else {
                break;
            }
        }
        match self.done {
            Some(Given::Quit) => Ok(Some(Over::Quit)),
            Some(_) if self.is_closed => Ok(Some(Over::Closed)),
            Some(_) if !self.is_told => Ok(self.tell_end()),
            Some(_) | None => Ok(None),
        }
    }

    fn tell_end(&mut self) -> Option<Over> {
        let Exchange {
            socket, kind, wait, ..
        } = self.exchange;
        self.is_told = true;
        self.until = wait.map(|wait| Instant::now() + wait);
        if kind == Kind::Datagram {
            return None;
        }
        match socket.shutdown(self.exchange.at_end) {
            // The connection is over already: the next call on it says why.
            Err(error) if error.kind() == io::ErrorKind::NotConnected => return None,
            Err(error) => return Some(Over::Failed(Doing::ShuttingDown, error)),
            Ok(()) => {}
        }
        if let Some(note) = self.exchange.note {
            socket.journal().tell(|| Event::Note(note.to_owned()));
        }
        None
    }

    /// Takes the next piece; reads once.
    fn take(&mut self) -> Result<(), Error> {
        match self.exchange.input.take(&mut self.piece) {
            // Nothing to send on a stream, but a datagram may be empty.
            Ok(Given::Piece) if self.piece.is_empty() && self.exchange.kind == Kind::Stream => {}
            Ok(Given::Piece) => self.at = Some(0),
            Ok(Given::Nothing) => {}
            Ok(end @ (Given::End | Given::Quit)) => self.done = Some(end),
            Err(error) if is_for_later(&error) => {}
            Err(error) => return Err(Error::Input(error)),
        }
        Ok(())
    }

    /// Waits for what is next, and receives or takes it.
    fn wait(&mut self) -> Result<Option<Over>, Error> {
        let wants_input = self.at.is_none() && self.done.is_none();
        if !wants_input && self.at.is_none() && self.until.is_none() {
            return self.receive();
        }
        let ready = match self.ready(wants_input) {
            Err(error) if is_for_later(&error) => return Ok(None),
            ready => ready.map_err(Error::Wait)?,
        };
        if ready.socket
            && let Some(over) = self.receive()?
        {
            return Ok(Some(over));
        }
        if ready.input {
            self.take()?;
        } else if self.is_closed && self.at.is_none() {
            return Ok(Some(Over::Closed));
        }
        let is_late = self.until.is_some_and(|until| Instant::now() >= until);
        Ok(is_late.then_some(Over::Waited))
    }

    /// Waits until there is something to receive, room to send, or input where that is wanted.
    fn ready(&self, wants_input: bool) -> io::Result<Ready> {
        let Exchange { socket, input, .. } = &self.exchange;
        let waits_for = input.waits_for().filter(|_| wants_input);
        let is_there = wants_input && waits_for.is_none();
        let mut events = PollFlags::empty();
        events.set(PollFlags::POLLIN, !self.is_closed);
        events.set(PollFlags::POLLOUT, self.at.is_some());
        let open = socket.open()?;
        let mut waiting = Vec::with_capacity(2);
        waiting.extend(waits_for.map(|fd| PollFd::new(fd, PollFlags::POLLIN)));
        // Asked for nothing, a socket that is done both ways would still be ready (POLLHUP).
        if !events.is_empty() {
            waiting.push(PollFd::new(open.as_fd(), events));
        }
        let timeout = if is_there || self.is_closed && self.at.is_none() {
            Some(0)
        } else {
            self.until.map(millis_until)
        };
        poll_fds(socket.journal(), &mut waiting, timeout)?;
        let found = |fd: &PollFd<'_>| fd.revents().unwrap_or(PollFlags::POLLERR);
        let of_input = waiting.first().filter(|_| waits_for.is_some()).map(found);
        let of_socket = waiting.last().filter(|_| !self.is_closed).map(found);
        Ok(Ready {
            input: is_there || of_input.is_some_and(|found| !found.is_empty()),
            // Room to send is no reason to receive; failures are.
            socket: of_socket.is_some_and(|found| !(found - PollFlags::POLLOUT).is_empty()),
        })
    }

    /// Receives once.
    fn receive(&mut self) -> Result<Option<Over>, Error> {
        let Exchange { socket, kind, .. } = self.exchange;
        let received = match kind {
            Kind::Stream => socket.recv(&mut self.buffer).map(|len| (len, false)),
            Kind::Datagram => {
                let received = socket.recv_from(&mut self.buffer);
                received.map(|received| (received.len, received.cut))
            }
        };
        match received {
            Ok((0, _)) if kind == Kind::Stream => {
                self.is_closed = true;
                let is_over = self.done.is_some() && self.at.is_none();
                Ok(is_over.then_some(Over::Closed))
            }
            Ok((len, cut)) => {
                self.received += len as u64;
                (self.heard)(&self.buffer[..len], cut).map_err(Error::Output)?;
                Ok(None)
            }
            Err(error) if is_for_later(&error) => Ok(None),
            Err(error) => Ok(Some(Over::Failed(Doing::Receiving, error))),
        }
    }
}

/// What does not have to be waited for.
struct Ready {
    input: bool,
    socket: bool,
}

/// Milliseconds until then, and not a moment too few: what is left is rounded up.
pub(in crate::sockets) fn millis_until(until: Instant) -> u32 {
    let left = until.saturating_duration_since(Instant::now());
    let millis = left.as_micros().div_ceil(1000);
    millis.try_into().unwrap_or(i32::MAX as u32)
}

/// A signal came, or there is nothing yet.
pub(in crate::sockets) fn is_for_later(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::Interrupted | io::ErrorKind::WouldBlock
    )
}
