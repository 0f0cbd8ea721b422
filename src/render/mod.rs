//! Packets and stories as text for people.

pub mod ladder;
