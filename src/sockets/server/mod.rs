//! Servers: one listening socket, and clients served one after the other, each by a process or a thread, or all by poll.

mod plain;

use std::io;

use super::{Journal, Socket};
use crate::call::Address;

pub use plain::{Mode, Plain};

/// What a server does with one stream client, in blocking calls: an echo, a printout, HTTP.
pub trait Service: Send + Sync {
    /// Talks with the client until one of both ends it. The caller tells that it came and left, and closes.
    ///
    /// # Errors
    /// Those of the calls, `EINTR` included: return it, since the server is being stopped.
    fn serve(&self, visit: &mut Visit<'_>) -> io::Result<()>;

    /// The same without blocking calls, for [`Style::Poll`]; `None` when that cannot be, and then poll refuses it.
    fn plain(&self) -> Option<Plain> {
        None
    }
}

/// One client's visit.
#[derive(Debug)]
pub struct Visit<'a> {
    /// Clients count from 1.
    pub client: u64,
    /// Its address; an IPv4 one even where an IPv6 socket shows it as mapped (`::ffff:192.0.2.1`).
    pub from: &'a Address,
    /// The connection.
    pub socket: &'a Socket,
    /// Where [`super::Event::Heard`] and notes go.
    pub journal: &'a Journal,
    /// Bytes received so far; the service counts.
    pub received: u64,
    /// Bytes sent so far; the service counts.
    pub sent: u64,
}

/// How several clients are served.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Style {
    /// One after the other; those who come meanwhile wait in the kernel's accept queue.
    #[default]
    Sequential,
    /// Each by a process of its own. The calling process must have one thread only.
    Fork,
    /// Each by a thread of its own.
    Thread,
    /// All by one thread, which asks the kernel who can be read or written.
    Poll,
}
