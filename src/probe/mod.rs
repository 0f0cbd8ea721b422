//! Sending packets of our own making, and hearing what comes back: sockets that fit, routes, replies, handshakes by hand.

pub mod ask;
mod ear;
pub mod echo;
mod error;
pub mod handshake;
mod hush;
mod judge;
pub mod limits;
pub mod meaning;
mod neighbour;
mod outlet;
pub mod replay;
pub mod respond;
mod route;
pub mod tcp;
pub mod traceroute;

pub use ear::{Ear, Heard, Hearing, Stamp};
pub use error::ProbeError;
pub use hush::{Hush, Hushed};
pub use judge::Judge;
pub use outlet::{Outlet, Via, changed_by_raw};
pub use route::{KernelRoute, Way};
