//! The kernel made safe: sockets, rings, namespaces and signals behind types that cannot be misused.
//!
//! The only room where `unsafe` is allowed; every block says why it is sound.
#![allow(unsafe_code)]

pub mod buffer;
pub mod clock;
pub mod ethtool;
pub mod filter;
pub mod foreign;
pub mod hearing;
pub mod held;
pub mod machine;
pub mod names;
pub mod netlink;
pub mod netns;
pub mod open;
mod option;
pub mod packet;
pub mod port;
pub mod privilege;
pub mod process;
pub mod ptrace;
pub mod queue;
pub mod raw;
pub mod resolve;
pub mod ring;
pub mod route;
pub mod seccomp;
pub mod sender;
pub mod signal;
pub mod sock_diag;
pub mod ttl;
pub mod xdp;
