//! Sending packets of our own making, and hearing what comes back: sockets that fit, routes, replies, handshakes by hand.

pub mod ask;
mod ear;
mod error;
mod hush;
pub mod meaning;
mod outlet;
mod route;

pub use ear::{Ear, Heard, Hearing, Stamp};
pub use error::ProbeError;
pub use hush::{Hush, Hushed};
pub use outlet::{Outlet, Via};
pub use route::KernelRoute;
