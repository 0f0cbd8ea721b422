//! Packets and filter programs as text for people: one line, a tree of fields, bytes, BPF. Pure functions into a buffer that the caller keeps.
//!
//! No view knows a protocol by its inside: everything shown comes from field tables and from [`crate::protocol::Protocol::line`].

pub mod bpf;
pub mod hex;
pub mod ladder;
pub mod line;
pub mod style;
pub mod tree;
