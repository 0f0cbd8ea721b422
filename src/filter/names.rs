//! What filters ask of the world while they are compiled: names of hosts, services and protocols.

use std::net::IpAddr;

/// The transport protocols for which a service is looked up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Service {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
    /// SCTP.
    Sctp,
}

/// Looks names up while a filter is compiled; what is not overridden knows none. The library itself asks nobody.
pub trait Names {
    /// The port of a service (`http`) over one transport protocol.
    fn port(&self, _name: &str, _service: Service) -> Option<u16> {
        None
    }
    /// The addresses of a host; none where asking the resolver is forbidden.
    fn host(&self, _name: &str) -> Vec<IpAddr> {
        Vec::new()
    }
    /// The number of an IP protocol (`/etc/protocols`).
    fn protocol(&self, _name: &str) -> Option<u8> {
        None
    }
    /// An IPv4 network by name (`/etc/networks`): address and prefix length.
    fn network(&self, _name: &str) -> Option<(std::net::Ipv4Addr, u8)> {
        None
    }
    /// The hardware address of a host (`/etc/ethers`).
    fn ether(&self, _name: &str) -> Option<[u8; 6]> {
        None
    }
}

/// Knows no names: filters hold numbers.
#[derive(Clone, Copy, Debug)]
pub struct NoNames;

impl Names for NoNames {}
