//! The client's talk: what the user gives goes out as messages, what comes is handed on, and the end is said with Close.

use std::{
    io,
    os::fd::AsFd as _,
    time::{Duration, Instant},
};

use nix::poll::{PollFd, PollFlags};

use super::{Ended, Said, Talk};
use crate::sockets::{
    Socket,
    client::{
        Given, Input,
        exchange::{is_for_later, millis_until},
    },
    poll_fds,
    socket::is_ready,
};

/// How long the server may be silent before it answers a Close.
const ANSWER: Duration = Duration::from_secs(5);

/// Takes what the server says.
pub type Heard<'a> = dyn FnMut(&Said) -> io::Result<()> + 'a;

/// Lines or messages on one side, a server on the other.
pub struct Chat<'a> {
    /// The connection.
    pub socket: &'a Socket,
    /// The same after its handshake.
    pub talk: Talk<'a>,
    /// What is said: each piece, without its line end, is a message. What is not UTF-8 goes as a binary message.
    pub input: Input,
    /// How long to listen after the end of the input before this end closes.
    pub wait: Option<Duration>,
    /// The user wants to stop: asked whenever a signal may have come.
    pub stopped: &'a dyn Fn() -> bool,
}

/// Why a talk was broken off.
#[derive(Debug, thiserror::Error)]
pub enum ChatError {
    /// What is sent could not be read.
    #[error("cannot read what is to be sent: {0}")]
    Input(#[source] io::Error),
    /// What was received could not be handed on.
    #[error("{0}")]
    Heard(#[source] io::Error),
    /// The connection ended in another way than by two Close frames.
    #[error("{0}")]
    Ended(#[source] Ended),
    /// The server did not answer the Close of this end.
    #[error("the server did not answer the Close frame: {} s of silence", ANSWER.as_secs())]
    NoAnswer,
}

impl Chat<'_> {
    /// Talks until both ends have closed. The user's end of input, and Ctrl-X, close with 1000, a stop with 1001.
    ///
    /// # Errors
    /// When it ends in another way.
    pub fn run(mut self, heard: &mut Heard<'_>) -> Result<(), ChatError> {
        let mut piece = Vec::new();
        // Until when the user's side goes on listening, and until when the end is waited for.
        let (mut listening, mut closing): (Option<Instant>, Option<Instant>) = (None, None);
        loop {
            while let Some(said) = match self.talk.said() {
                Err(Ended::Call(error)) if error.kind() == io::ErrorKind::Interrupted => None,
                Err(Ended::Closed) => return Ok(()),
                said => said.map_err(ChatError::Ended)?,
            } {
                heard(&said).map_err(ChatError::Heard)?;
                // What was said before the Close frame arrived there may be long; a stop does not wait for all of it.
                if closing.is_some() && !(self.stopped)() {
                    closing = Some(Instant::now() + ANSWER);
                }
                if let Said::Close(_) = said {
                    closing.get_or_insert_with(|| Instant::now() + ANSWER);
                }
            }
            let now = Instant::now();
            let stopped = (self.stopped)();
            let is_late = |until: Option<Instant>| until.is_some_and(|until| now >= until);
            if closing.is_none() && (stopped || is_late(listening)) {
                let code = if stopped { 1001 } else { 1000 };
                self.say(Said::Close(Some((code, String::new()))))?;
                closing = Some(now + ANSWER);
            }
            if is_late(closing) {
                return Err(ChatError::NoAnswer);
            }
            let wants_input = listening.is_none() && closing.is_none();
            if self.wait_for(wants_input, closing.or(listening))? {
                match self.input.take(&mut piece) {
                    Ok(Given::Piece) => self.say(message(&piece))?,
                    Ok(Given::Nothing) => {}
                    Ok(Given::End) => listening = Some(now + self.wait.unwrap_or_default()),
                    Ok(Given::Quit) => listening = Some(now),
                    Err(error) if is_for_later(&error) => {}
                    Err(error) => return Err(ChatError::Input(error)),
                }
            }
        }
    }

    fn say(&mut self, what: Said) -> Result<(), ChatError> {
        match self.talk.say(what) {
            // The rest of the frame goes out with the next one, or the answer to a ping.
            Err(Ended::Call(error)) if error.kind() == io::ErrorKind::Interrupted => Ok(()),
            said => said.map_err(ChatError::Ended),
        }
    }

    /// Waits for the server or the user, and receives; whether there is input to take.
    fn wait_for(&mut self, wants_input: bool, until: Option<Instant>) -> Result<bool, ChatError> {
        let failed = |error| ChatError::Ended(Ended::Call(error));
        let waits_for = self.input.waits_for().filter(|_| wants_input);
        let is_there = wants_input && waits_for.is_none();
        let open = self.socket.open().map_err(failed)?;
        let mut waiting = vec![PollFd::new(open.as_fd(), PollFlags::POLLIN)];
        waiting.extend(waits_for.map(|fd| PollFd::new(fd, PollFlags::POLLIN)));
        let timeout = match is_there {
            true => Some(0),
            false => until.map(millis_until),
        };
        match poll_fds(self.socket.journal(), &mut waiting, timeout) {
            Err(error) if is_for_later(&error) => return Ok(false),
            polled => polled.map_err(failed)?,
        }
        if !waiting.first().is_some_and(is_ready) {
            return Ok(is_there || waiting.get(1).is_some_and(is_ready));
        }
        // First of all: a server that cannot get rid of its words stops listening.
        match self.talk.receive() {
            Err(error) if is_for_later(&error) => {}
            received => drop(received.map_err(failed)?),
        }
        Ok(false)
    }
}

/// A piece of input as a message.
fn message(piece: &[u8]) -> Said {
    let line = piece.strip_suffix(b"\n").unwrap_or(piece);
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    match std::str::from_utf8(line) {
        Ok(text) => Said::Text(text.to_owned()),
        Err(_) => Said::Binary(line.to_vec()),
    }
}
