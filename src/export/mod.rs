//! Packets as data for other programs. Names and their order are promises: they never change once published.

pub mod explain;
pub mod json;
