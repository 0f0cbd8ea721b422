//! Waiting for the next client, whatever goes wrong on the way.

use std::{io, time::Duration};

use super::{Server, open::shown};
use crate::{
    call::{Address, Choice},
    sockets::{Event, Socket},
    sys::signal::pause,
};

/// Milliseconds until the next try when something has run out.
pub(super) const PAUSE: u16 = 100;

impl Server {
    /// The next client after those who `came`; none when so many have come as are wanted, or a stop is asked for.
    /// `interrupted` runs before each wait: it looks after what a signal may have been about.
    pub(super) fn accept(
        &self,
        came: u64,
        mut interrupted: impl FnMut(),
    ) -> io::Result<Option<(Socket, Address)>> {
        let mut lack = Lack::default();
        loop {
            interrupted();
            if !self.is_wanted(came) {
                return Ok(None);
            }
            match self.accept_now(&mut lack) {
                Ok(Some(client)) => return Ok(Some(client)),
                // The connection stays in the queue: without a pause this would spin.
                Ok(None) if lack.told => pause(Duration::from_millis(PAUSE.into())),
                Ok(None) => {}
                // A stopper has shut the socket.
                Err(_) if self.stopping.is_asked() => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// One more client is wanted.
    pub(super) fn is_wanted(&self, came: u64) -> bool {
        !self.stopping.is_asked() && self.options.clients.is_none_or(|most| came < most)
    }

    /// One `accept`; nothing when there is a reason to try again.
    pub(super) fn accept_now(&self, lack: &mut Lack) -> io::Result<Option<(Socket, Address)>> {
        match self.socket.accept() {
            Ok((socket, from)) => {
                lack.told = false;
                if self.options.no_delay && matches!(from, Address::Ip(_)) {
                    // Of a connection that is gone already it fails; its end is told when it is read.
                    let _ = socket.set(Choice::NoDelay, 1);
                }
                Ok(Some((socket, shown(from))))
            }
            Err(error) => match error.raw_os_error() {
                Some(libc::EMFILE | libc::ENFILE | libc::ENOBUFS | libc::ENOMEM) => {
                    lack.tell(&self.socket, &error);
                    Ok(None)
                }
                Some(errno) if is_passing(errno) => Ok(None),
                _ => Err(error),
            },
        }
    }
}

/// A connection that has failed before it was accepted gives its error to `accept`, says accept(2): the next one may work.
const fn is_passing(errno: i32) -> bool {
    matches!(
        errno,
        libc::EINTR
            | libc::EAGAIN
            | libc::ECONNABORTED
            | libc::EPERM
            | libc::EPROTO
            | libc::ENETDOWN
            | libc::ENOPROTOOPT
            | libc::EHOSTDOWN
            | libc::ENONET
            | libc::EHOSTUNREACH
            | libc::EOPNOTSUPP
            | libc::ENETUNREACH
            | libc::ETIMEDOUT
    )
}

/// Whether a lack of descriptors or memory has been told: once, until it is over.
#[derive(Debug, Default)]
pub(super) struct Lack {
    pub(super) told: bool,
}

impl Lack {
    fn tell(&mut self, socket: &Socket, error: &io::Error) {
        if !self.told {
            self.told = true;
            socket.journal().tell(|| {
                Event::Note(format!(
                    "cannot accept the next client: {}; it waits in the accept queue until another one leaves",
                    reason(error)
                ))
            });
        }
    }
}

/// The lack in words, and what to do about it.
fn reason(error: &io::Error) -> String {
    match error.raw_os_error() {
        Some(libc::EMFILE) => {
            "this process has as many descriptors open as it may (EMFILE; more with ulimit -n)"
                .to_owned()
        }
        Some(libc::ENFILE) => {
            "the system has as many files open as it may (ENFILE; more with sysctl fs.file-max)"
                .to_owned()
        }
        _ => error.to_string(),
    }
}
