//! What programs call: they are run, or attached to, and stopped at each call about a socket.
//!
//! ```text
//!  tracer   programs, threads, stops: who is where, and what is told      table   which calls, and their arguments
//!  decode   registers and memory → arguments and results                  sockets descriptors → sockets of the kernel
//!  program, attach  how programs come to be traced               calls    a call's entry and exit
//!  process, descriptors, networks  what is known of them         message, sockaddr, options, waits, names: structures and constants
//! ```

mod attach;
mod calls;
mod decode;
mod descriptors;
mod lives;
mod message;
mod names;
mod networks;
mod options;
mod process;
mod program;
mod sockaddr;
mod sockets;
mod table;
mod tracer;
mod waits;

pub use program::test;
pub use tracer::{Ended, Tracer};

use std::{ffi::OsString, io, os::fd::OwnedFd};

use crate::{
    event::{Event, NetId},
    time::Time,
};

/// A program to run.
#[derive(Debug, Default)]
pub struct Program {
    /// Its name, to be looked for in `PATH`, and its arguments.
    pub words: Vec<OsString>,
    /// The network namespace that it runs in, and the lab's host that this is; without one, that of this process.
    pub network: Option<(OwnedFd, String)>,
    /// Its standard input, output and error; without them, those of this process.
    pub stdio: Option<[OwnedFd; 3]>,
    /// It leads a process group of its own.
    pub group: bool,
}

/// Which calls are told of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Only calls of the socket API itself: no `read`, `write`, `close` and relatives (they cost time where descriptors are no sockets).
    pub net_only: bool,
    /// `poll`, `select` and `epoll_wait` as well.
    pub waits: bool,
}

/// Takes what a tracer tells. All calls come from the tracer's thread; while one lasts, the traced thread stands still.
pub trait Listener {
    /// Something happened. `Begin`, `Interface`, `Packet`, `Arrival` and `End` are never told: they are others' to say.
    fn tell(&mut self, at: Time, event: Event);

    /// A socket of a network that was not in sight before is about to be used: packets are to be captured from now on.
    /// `thread`, by the kernel's number, is in that network and stands still (`/proc/THREAD/ns/net`). An error says why
    /// packets will not be seen; the tracer tells [`Event::Net`] afterwards.
    fn network(&mut self, net: NetId, host: Option<&str>, thread: u32) -> Result<(), String>;

    /// The tracer waits (`true`): what it tells next is later than now. It has something to tell (`false`).
    fn idle(&mut self, idle: bool);
}

/// Why nothing can be traced.
#[derive(Debug, thiserror::Error)]
pub enum TraceError {
    /// The system does not let this process trace that one.
    #[error("cannot trace process {process}: {error}")]
    NotPermitted {
        /// Which one.
        process: u32,
        /// What the kernel said.
        error: io::Error,
    },
    /// The system lets this process trace no program, not even one that it starts itself.
    #[error("cannot trace a program: {0}")]
    Untraceable(io::Error),
    /// There is no such process.
    #[error("there is no process {0}")]
    NoSuchProcess(u32),
    /// The program cannot be started.
    #[error("cannot start {program:?}: {error}")]
    NoSuchProgram {
        /// Its name.
        program: OsString,
        /// What the kernel said.
        error: io::Error,
    },
    /// Something else failed.
    #[error("cannot {what}: {error}")]
    Failed {
        /// The operation and its object.
        what: String,
        /// The cause.
        error: io::Error,
    },
}

#[cfg(test)]
mod tests;
