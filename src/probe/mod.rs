//! Sending packets of our own making, and hearing what comes back: sockets that fit, routes, replies, handshakes by hand.

mod ear;
mod error;
mod hush;
pub mod limits;
mod neighbour;
mod outlet;
mod route;

pub use ear::{Ear, Heard, Hearing};
pub use error::ProbeError;
pub use hush::{Hush, Hushed};
pub use outlet::{Outlet, Via, changed_by_raw};
pub use route::{KernelRoute, Way};
