//! Stories from made-up packets.
