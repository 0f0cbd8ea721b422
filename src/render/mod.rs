//! Packets and filter programs as text for people: one line, a tree of fields, bytes, a header drawn and explained, BPF. Pure functions into a buffer that the caller keeps.
//!
//! No view knows a protocol by its inside: everything shown comes from field tables and from [`crate::protocol::Protocol::line`].

pub mod boxes;
pub mod bpf;
pub mod call;
pub mod chart;
pub mod explain;
pub mod hex;
pub mod ladder;
pub mod line;
pub mod style;
mod sums;
pub mod trace;
pub mod tree;
