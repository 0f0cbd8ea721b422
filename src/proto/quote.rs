//! What an ICMP error is about: the packet that it quotes, in a few words.

use crate::layer::View;
use std::{
    fmt,
    net::{IpAddr, SocketAddr},
};

/// The packet quoted by the error in a view, as far as it can be told.
pub(super) struct Subject {
    transport: &'static str,
    addresses: (IpAddr, IpAddr),
    ports: Option<(u16, u16)>,
}

impl Subject {
    /// Reads the layers that follow the error.
    pub(super) fn of(error: &View<'_>) -> Option<Self> {
        let quoted = (error.index + 1..error.packet.layers.len())
            .filter_map(|index| error.packet.view(index))
            .filter(|view| view.layer.quoted);
        let mut subject = None;
        for view in quoted {
            let name = view.layer.protocol.name;
            if matches!(name, "tcp" | "udp") {
                return Some(Self {
                    transport: name,
                    addresses: view.addresses()?,
                    ports: view.u16(0).zip(view.u16(2)),
                });
            }
            if name == "data" {
                break;
            }
            subject = Some(Self {
                transport: name,
                addresses: view.addresses()?,
                ports: None,
            });
        }
        subject
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (source, destination) = self.addresses;
        match self.ports {
            Some((from, to)) => write!(
                f,
                "{} {} → {}",
                self.transport,
                SocketAddr::new(source, from),
                SocketAddr::new(destination, to)
            ),
            None => write!(f, "{} {source} → {destination}", self.transport),
        }
    }
}
