//! What the packets mean together: conversations, relative numbers, reassembled datagrams, connection states.

pub mod flow;
pub mod state;
pub mod story;

use crate::{
    decode::{Decoded, Decoder},
    frame::Batch,
};

/// Follows conversations from packet to packet, and writes what it learns as facts.
#[derive(Debug, Default)]
pub struct Tracker {
    flows: flow::Flows,
}

impl Tracker {
    /// Tracks packet `index` of `batch`. Packets must come in their order.
    pub fn packet(
        &mut self,
        _decoder: &Decoder,
        batch: &Batch,
        decoded: &mut Decoded,
        index: usize,
    ) {
        let Some(_packet) = decoded.packet(batch, index) else {
            return;
        };
        let _ = &mut self.flows;
    }
}
