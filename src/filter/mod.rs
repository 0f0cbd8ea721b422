//! Which packets are wanted: the common part of tcpdump's filter language, as a predicate on decoded packets.
//!
//! Semantics are libpcap's: a filter looks at the packet right behind the link header (not into tunnels or VLAN tags),
//! `port` sees the first fragment of TCP and UDP only, and `tcp` means the protocol field of IPv4 or IPv6.

mod advice;
pub mod capture;
pub mod display;
mod error;
mod names;
mod parse;

use std::net::IpAddr;

use crate::layer::{Packet, View};

pub use capture::{CaptureFilter, begins_filter};
pub use display::DisplayFilter;
pub use error::FilterError;
pub use names::{Names, Service};

/// A compiled filter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filter {
    root: Option<Test>,
}

/// One node of the expression.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Test {
    And(Box<Self>, Box<Self>),
    Or(Box<Self>, Box<Self>),
    Not(Box<Self>),
    Network(&'static str),
    Transport(Transport),
    Port {
        transport: Option<Transport>,
        side: Side,
        first: u16,
        last: u16,
    },
    Net {
        network: Option<&'static str>,
        side: Side,
        address: IpAddr,
        prefix: u8,
    },
    Length {
        at_least: bool,
        bytes: u32,
    },
}

/// A protocol by its number in IPv4, in IPv6, or both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Transport {
    ip: Option<u8>,
    ip6: Option<u8>,
}

/// Which end of a packet a test looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Source,
    Destination,
    Either,
    Both,
}

impl Side {
    fn test(self, source: bool, destination: bool) -> bool {
        match self {
            Self::Source => source,
            Self::Destination => destination,
            Self::Either => source || destination,
            Self::Both => source && destination,
        }
    }
}

impl Filter {
    /// Compiles an expression; an empty one takes every packet.
    ///
    /// # Errors
    /// Says what was expected, and where.
    pub fn compile(expression: &str, names: &dyn Names) -> Result<Self, FilterError> {
        Ok(Self {
            root: parse::parse(expression, names)?,
        })
    }

    /// Takes every packet.
    pub fn is_empty(&self) -> bool {
        self.root.is_none()
    }

    /// The packet is wanted.
    pub fn matches(&self, packet: &Packet<'_>) -> bool {
        let network = packet
            .views()
            .find(|view| !LINKS.contains(&view.layer.protocol.name));
        self.root
            .as_ref()
            .is_none_or(|test| test.matches(network.as_ref(), packet.frame.wire_len))
    }

    /// The packet is an ICMP error that quotes a wanted packet.
    pub fn matches_quoted(&self, packet: &Packet<'_>) -> bool {
        let Some(quoted) = packet.views().find(|view| view.layer.quoted) else {
            return false;
        };
        self.root
            .as_ref()
            .is_none_or(|test| test.matches(Some(&quoted), packet.frame.wire_len))
    }

    /// The single ports that the filter names, for "who listens there?".
    pub fn ports(&self) -> Vec<u16> {
        let mut ports = Vec::new();
        self.each(&mut |test| {
            if let Test::Port { first, last, .. } = test
                && first == last
                && !ports.contains(first)
            {
                ports.push(*first);
            }
        });
        ports
    }

    /// The first loopback address that the filter names: then loopback is the interface to watch.
    pub fn loopback(&self) -> Option<IpAddr> {
        let mut found = None;
        self.each(&mut |test| match test {
            Test::Net { address, .. } if address.is_loopback() => {
                found.get_or_insert(*address);
            }
            _ => {}
        });
        found
    }

    fn each(&self, visit: &mut dyn FnMut(&Test)) {
        fn walk(test: &Test, visit: &mut dyn FnMut(&Test)) {
            visit(test);
            match test {
                Test::And(a, b) | Test::Or(a, b) => {
                    walk(a, visit);
                    walk(b, visit);
                }
                Test::Not(a) => walk(a, visit),
                _ => {}
            }
        }
        if let Some(root) = &self.root {
            walk(root, visit);
        }
    }
}

/// Layers that stand before the network layer without hiding it from a filter.
const LINKS: [&str; 5] = ["eth", "sll", "sll2", "null", "raw"];

impl Test {
    fn matches(&self, network: Option<&View<'_>>, length: u32) -> bool {
        let name = network.map_or("", |view| view.layer.protocol.name);
        match self {
            Self::And(a, b) => a.matches(network, length) && b.matches(network, length),
            Self::Or(a, b) => a.matches(network, length) || b.matches(network, length),
            Self::Not(a) => !a.matches(network, length),
            Self::Network(wanted) => name == *wanted,
            Self::Transport(transport) => network.is_some_and(|view| transport.matches(view)),
            Self::Port {
                transport,
                side,
                first,
                last,
            } => {
                let range = first..=last;
                network
                    .filter(|view| transport.as_ref().is_none_or(|t| t.matches(view)))
                    .and_then(ports)
                    .is_some_and(|(source, destination)| {
                        side.test(range.contains(&&source), range.contains(&&destination))
                    })
            }
            Self::Net {
                network: wanted,
                side,
                address,
                prefix,
            } => {
                wanted.is_none_or(|wanted| wanted == name)
                    && network.and_then(ends).is_some_and(|(source, destination)| {
                        side.test(
                            within(source, *address, *prefix),
                            within(destination, *address, *prefix),
                        )
                    })
            }
            Self::Length {
                at_least: true,
                bytes,
            } => length >= *bytes,
            Self::Length {
                at_least: false,
                bytes,
            } => length <= *bytes,
        }
    }
}

impl Transport {
    fn matches(self, network: &View<'_>) -> bool {
        match protocol_number(network) {
            Some((4, number)) => self.ip == Some(number),
            Some((_, number)) => self.ip6 == Some(number),
            None => false,
        }
    }
}

/// IP version and protocol number of the network layer; behind an IPv6 fragment header, what that header says.
fn protocol_number(network: &View<'_>) -> Option<(u8, u8)> {
    match network.layer.protocol.name {
        "ip" => Some((4, network.u8(9)?)),
        "ipv6" => match network.u8(6)? {
            44 => Some((6, network.u8(40)?)),
            number => Some((6, number)),
        },
        _ => None,
    }
}

/// Ports of TCP, UDP or SCTP right behind the network header, on a packet that begins its datagram.
fn ports(network: &View<'_>) -> Option<(u16, u16)> {
    let start = match network.layer.protocol.name {
        "ip" if network.u16(6)? & 0x1fff == 0 => usize::from(network.u8(0)? & 0x0f) * 4,
        "ipv6" => 40,
        _ => return None,
    };
    let number = if start == 40 && network.layer.protocol.name == "ipv6" {
        network.u8(6)?
    } else {
        network.u8(9)?
    };
    if !matches!(number, 6 | 17 | 132) {
        return None;
    }
    Some((network.u16(start)?, network.u16(start + 2)?))
}

/// Addresses of an IP packet, or the protocol addresses of ARP.
fn ends(network: &View<'_>) -> Option<(IpAddr, IpAddr)> {
    let v4 = |at: usize| network.u32(at).map(|n| IpAddr::from(n.to_be_bytes()));
    let v6 = |at: usize| {
        Some(IpAddr::from(
            *network.bytes().get(at..)?.first_chunk::<16>()?,
        ))
    };
    match network.layer.protocol.name {
        "ip" => Some((v4(12)?, v4(16)?)),
        "ipv6" => Some((v6(8)?, v6(24)?)),
        "arp" => Some((v4(14)?, v4(24)?)),
        _ => None,
    }
}

/// `address` lies in `net`/`prefix`.
fn within(address: IpAddr, net: IpAddr, prefix: u8) -> bool {
    match (address, net) {
        (IpAddr::V4(a), IpAddr::V4(n)) => {
            (a.to_bits() ^ n.to_bits())
                .checked_shr(32 - u32::from(prefix))
                .unwrap_or(0)
                == 0
        }
        (IpAddr::V6(a), IpAddr::V6(n)) => {
            (a.to_bits() ^ n.to_bits())
                .checked_shr(128 - u32::from(prefix))
                .unwrap_or(0)
                == 0
        }
        _ => false,
    }
}
