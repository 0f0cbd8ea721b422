//! The lab: two hosts of its own and the wire between them, on which scenarios are played.

pub mod refusal;
