//! The plain services: show what comes, send it back, or count it and answer with the count.

use std::io;

use super::{Service, Visit};
use crate::sockets::{Event, Journal};

/// What a plain server does with the bytes that come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// Nothing but to tell of them.
    #[default]
    Show,
    /// Sends them back.
    Echo,
    /// Counts them, and answers with the count, a decimal number, once the client has shut down its writing side.
    Receive,
}

/// A plain service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plain {
    /// What it does.
    pub mode: Mode,
    /// Bytes that one `recv` takes at most; at least 1.
    pub size: usize,
}

impl Plain {
    /// Tells what one `recv` has brought; of what is only counted, nothing.
    pub(super) fn tell(self, journal: &Journal, client: u64, bytes: &[u8]) {
        if self.mode != Mode::Receive {
            journal.tell(|| Event::Heard {
                client,
                bytes: bytes.to_vec(),
                cut: false,
            });
        }
    }

    /// The answer to what one `recv` has brought.
    pub(super) fn reply(self, bytes: &[u8]) -> &[u8] {
        match self.mode {
            Mode::Echo => bytes,
            Mode::Show | Mode::Receive => &[],
        }
    }

    /// The answer to the end of what a client sends.
    pub(super) fn farewell(self, received: u64) -> String {
        match self.mode {
            Mode::Receive => received.to_string(),
            Mode::Show | Mode::Echo => String::new(),
        }
    }
}

impl Service for Plain {
    fn serve(&self, visit: &mut Visit<'_>) -> io::Result<()> {
        let mut buffer = vec![0; self.size];
        loop {
            let len = visit.socket.recv(&mut buffer)?;
            if len == 0 {
                let farewell = self.farewell(visit.received);
                visit.socket.send_all(farewell.as_bytes())?;
                visit.sent += farewell.len() as u64;
                return Ok(());
            }
            let bytes = &buffer[..len];
            visit.received += len as u64;
            self.tell(visit.journal, visit.client, bytes);
            let reply = self.reply(bytes);
            visit.socket.send_all(reply)?;
            visit.sent += reply.len() as u64;
        }
    }

    fn plain(&self) -> Option<Plain> {
        Some(*self)
    }
}
