//! Flows: conversations keyed by socket pair, in a table of bounded size with a hash that senders cannot predict.

use std::{
    collections::HashMap,
    hash::RandomState,
    net::{IpAddr, SocketAddr},
};

/// Transport of a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Transport {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
}

/// A socket pair, the same for both directions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FlowKey {
    transport: Transport,
    low: SocketAddr,
    high: SocketAddr,
}

impl FlowKey {
    /// The key, and whether the packet goes from the lower to the higher socket.
    pub fn new(
        transport: Transport,
        addresses: (IpAddr, IpAddr),
        ports: (u16, u16),
    ) -> (Self, bool) {
        let source = SocketAddr::new(addresses.0, ports.0);
        let destination = SocketAddr::new(addresses.1, ports.1);
        let forward = source <= destination;
        let (low, high) = if forward {
            (source, destination)
        } else {
            (destination, source)
        };
        (
            Self {
                transport,
                low,
                high,
            },
            forward,
        )
    }
}

/// The table of live flows.
#[derive(Debug, Default)]
pub struct Flows {
    _table: HashMap<FlowKey, u32, RandomState>,
}
