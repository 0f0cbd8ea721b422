//! Servers: one listening socket, and clients served one after the other, each by a process or a thread, or all by poll.
//!
//! ```
//! use std::net::Ipv4Addr;
//! use sockwire::{
//!     call::{Address, Kind},
//!     sockets::{
//!         Journal,
//!         server::{Mode, Options, Plain, Server, Style},
//!     },
//! };
//!
//! # fn main() -> std::io::Result<()> {
//! let any = Address::Ip((Ipv4Addr::LOCALHOST, 0).into());
//! let mut options = Options::new(any, Kind::Stream);
//! options.clients = Some(0); // Serves nobody; `None` serves until Ctrl-C or a `Stopper` ends it.
//! let server = Server::open(&Journal::default(), options)?;
//! println!("an echo on {}", server.address());
//! let echo = Plain { mode: Mode::Echo, size: 1024 };
//! let totals = server.run(Style::Thread, &echo)?;
//! assert_eq!(totals.clients, 0);
//! # Ok(())
//! # }
//! ```

mod accept;
mod datagrams;
mod fork;
mod open;
mod plain;
mod poll;
mod queue;
mod thread;

use std::{io, sync::atomic::Ordering};

use super::{End, Event, Journal, Socket};
use crate::{
    call::Address,
    sys::{buffer, process::Shared},
};

use open::Stopping;
pub use open::{Options, Server, Stopper};
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

/// What a server has done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Clients that came; of datagrams, senders.
    pub clients: u64,
    /// Bytes received.
    pub received: u64,
    /// Bytes sent.
    pub sent: u64,
}

impl Server {
    /// Serves stream clients until the options' number of them has come and left, or a stop is asked for.
    ///
    /// # Errors
    /// When the listening socket fails, or [`Style::Poll`] cannot serve this `service`. What goes wrong with one client
    /// ends that one only, and is told; so is a lack of descriptors, processes or threads.
    pub fn run(self, style: Style, service: &dyn Service) -> io::Result<Totals> {
        let counters = Shared::new()?;
        let host = Host {
            service,
            counters: &counters,
            stopping: self.stopping.clone(),
        };
        let clients = match style {
            Style::Fork => fork::run(self, &host)?,
            Style::Sequential => queue::watched(&self, || sequential(&self, &host))?,
            Style::Thread => queue::watched(&self, || thread::run(&self, &host))?,
            Style::Poll => {
                let Some(plain) = service.plain() else {
                    let why = "poll serves in turns, and this service waits for its client";
                    return Err(io::Error::new(io::ErrorKind::Unsupported, why));
                };
                queue::watched(&self, || poll::run(&self, plain, &counters))?
            }
        };
        Ok(totals(clients, &counters))
    }

    /// Receives datagrams, and with [`Mode::Echo`] sends them back, until the options' number of them has come, or a stop
    /// is asked for. Each new address is a client.
    ///
    /// # Errors
    /// When the socket fails, or for [`Mode::Receive`]: datagrams have no end after which a count could be given.
    pub fn run_datagrams(self, plain: Plain) -> io::Result<Totals> {
        let counters = Shared::new()?;
        let clients = datagrams::run(&self, plain, &counters)?;
        Ok(totals(clients, &counters))
    }
}

fn totals(clients: u64, counters: &Shared) -> Totals {
    let [received, sent] = [0, 1].map(|at: usize| counters[at].load(Ordering::Relaxed));
    Totals {
        clients,
        received,
        sent,
    }
}

/// Adds to what has been received and sent in all.
fn count(counters: &Shared, received: u64, sent: u64) {
    counters[0].fetch_add(received, Ordering::Relaxed);
    counters[1].fetch_add(sent, Ordering::Relaxed);
}

/// What serves a client, in whichever process or thread.
struct Host<'a> {
    service: &'a dyn Service,
    counters: &'a Shared,
    stopping: Stopping,
}

impl Host<'_> {
    /// Talks with one client from its coming to its leaving.
    fn visit(&self, client: u64, socket: &Socket, from: &Address) {
        let journal = socket.journal();
        journal.tell(|| Event::Came {
            client,
            from: from.clone(),
        });
        let mut visit = Visit {
            client,
            from,
            socket,
            journal,
            received: 0,
            sent: 0,
        };
        let result = self.service.serve(&mut visit);
        let (received, sent) = (visit.received, visit.sent);
        let end = match result {
            _ if self.stopping.is_asked() => End::Ended,
            Ok(()) if is_at_end(socket) => End::Closed,
            Ok(()) => End::Ended,
            Err(error) => End::Failed(error.raw_os_error().unwrap_or(libc::EIO)),
        };
        count(self.counters, received, sent);
        journal.tell(|| Event::Left {
            client,
            received,
            sent,
            end,
        });
    }
}

/// The client is done sending: the next `recv` would return 0.
fn is_at_end(socket: &Socket) -> bool {
    let flags = libc::MSG_PEEK | libc::MSG_DONTWAIT;
    let peeked = socket
        .open()
        .and_then(|socket| buffer::recv(socket, &mut [0], flags));
    matches!(peeked, Ok(0))
}

/// Serves one client after the other; how many came.
fn sequential(server: &Server, host: &Host<'_>) -> io::Result<u64> {
    let mut came = 0;
    while let Some((socket, from)) = server.accept(came, || {})? {
        came += 1;
        host.visit(came, &socket, &from);
    }
    Ok(came)
}

#[cfg(test)]
mod tests;
