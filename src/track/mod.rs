//! What the packets mean together: conversations, relative numbers, reassembled datagrams, connection states.

pub mod flow;
pub mod state;
pub mod story;
mod tcp;
mod udp;

use crate::{
    decode::{Decoded, Decoder},
    frame::Batch,
    layer::Fact,
    proto,
};

/// Follows conversations from packet to packet, and writes what it learns as facts.
#[derive(Debug, Default)]
pub struct Tracker {
    connections: tcp::Connections,
    datagrams: udp::Datagrams,
    facts: Vec<Fact>,
}

impl Tracker {
    /// A tracker of at most `flows` live TCP connections and as many UDP conversations.
    pub fn with_capacity(flows: usize) -> Self {
        Self {
            connections: tcp::Connections::new(flows),
            datagrams: udp::Datagrams::new(flows),
            ..Self::default()
        }
    }

    /// Tracks packet `index` of `batch`. Packets must come in their order.
    pub fn packet(
        &mut self,
        _decoder: &Decoder,
        batch: &Batch,
        decoded: &mut Decoded,
        index: usize,
    ) {
        self.facts.clear();
        let mut layer = 0;
        while let Some(view) = decoded
            .packet(batch, index)
            .and_then(|packet| packet.view(layer))
        {
            let facts = &mut self.facts;
            let fact = |field, value| {
                facts.push(Fact {
                    layer: layer as u8,
                    field,
                    value,
                });
            };
            let protocol = view.layer.protocol;
            if std::ptr::eq(protocol, &proto::tcp::PROTOCOL) {
                self.connections.segment(&view, fact);
            } else if std::ptr::eq(protocol, &proto::udp::PROTOCOL) {
                self.datagrams.datagram(&view, fact);
            }
            layer += 1;
        }
        for fact in &self.facts {
            decoded.add_fact(index, *fact);
        }
    }

    /// Live flows, and flows forgotten to make room, of both transports.
    pub fn flows(&self) -> (usize, u64) {
        let (tcp, udp) = (self.connections.flows(), self.datagrams.flows());
        (tcp.len() + udp.len(), tcp.evicted() + udp.evicted())
    }
}
