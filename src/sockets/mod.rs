//! The ordinary sockets: stream and datagram programs as a course writes them, with blocking calls, threads, fork and poll.
//!
//! Every call goes through a [`Socket`], which tells a [`Journal`] what was asked and what came back.

pub mod client;
pub mod families;
mod journal;
pub mod resolve;
pub mod server;
mod socket;

pub use journal::{End, Event, Journal, Told};
pub use socket::{Received, Socket, poll, poll_fds};
