//! Servers: one listening socket, and clients served one after the other, each by a process or a thread, or all by poll.

use std::io;

use super::{Journal, Socket};
use crate::call::Address;

/// What a server does with one stream client, in blocking calls: an echo, a printout, HTTP.
pub trait Service: Send + Sync {
    /// Talks with the client until one of both ends it. The caller tells that it came and left, and closes.
    ///
    /// # Errors
    /// Those of the calls, `EINTR` included.
    fn serve(&self, visit: &mut Visit<'_>) -> io::Result<()>;
}

/// One client's visit.
#[derive(Debug)]
pub struct Visit<'a> {
    /// Clients count from 1.
    pub client: u64,
    /// Its address.
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
