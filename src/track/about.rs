//! What a packet is about: the sockets that its header names, and the packet that an ICMP error quotes.

use std::net::SocketAddr;

use super::flow::Transport;
use crate::layer::{Packet, View};

/// As errors of both families say it.
pub(in crate::track) const PORT_UNREACHABLE: &str = "port unreachable";

/// Source and destination of a TCP or UDP header; `None` where the ports were cut off.
pub fn sockets(view: &View<'_>) -> Option<(SocketAddr, SocketAddr)> {
    let (source, destination) = view.addresses()?;
    Some((
        SocketAddr::new(source, view.u16(0)?),
        SocketAddr::new(destination, view.u16(2)?),
    ))
}

/// An ICMP error about a packet of a transport that has sockets.
pub struct Complaint<'a> {
    /// What it says.
    pub says: &'static str,
    /// What the packet belonged to.
    pub transport: Transport,
    /// The packet's TCP or UDP header, as far as it is quoted.
    pub quoted: View<'a>,
}

/// The error that `icmp` reports; `None` for messages that are none, or quote nothing of TCP or UDP.
pub fn complaint<'a>(packet: &Packet<'a>, icmp: &View<'a>) -> Option<Complaint<'a>> {
    let says = words(icmp)?;
    packet
        .views()
        .filter(|view| view.layer.quoted)
        .find_map(|quoted| {
            let transport = match quoted.layer.protocol.name {
                "tcp" => Transport::Tcp,
                "udp" => Transport::Udp,
                _ => return None,
            };
            Some(Complaint {
                says,
                transport,
                quoted,
            })
        })
}

/// What an ICMP error says (RFC 792, RFC 1812 §5.2.7.1, RFC 4443 §3); `None` for messages that are no errors.
pub(in crate::track) fn words(icmp: &View<'_>) -> Option<&'static str> {
    let (kind, code) = (icmp.u8(0)?, icmp.u8(1)?);
    let table = match icmp.layer.protocol.name {
        "icmp" => V4,
        _ => V6,
    };
    table
        .iter()
        .find(|(k, c, _)| *k == kind && c.is_none_or(|c| c == code))
        .map(|&(_, _, says)| says)
}

/// Type, code (any when left out), words; the first that fits counts.
type Words = &'static [(u8, Option<u8>, &'static str)];

const V4: Words = &[
    (3, Some(0), "network unreachable"),
    (3, Some(1), "host unreachable"),
    (3, Some(2), "protocol unreachable"),
    (3, Some(3), PORT_UNREACHABLE),
    (3, Some(4), "fragmentation needed"),
    (3, Some(9), "network prohibited"),
    (3, Some(10), "host prohibited"),
    (3, Some(13), "prohibited by a filter"),
    (3, None, "unreachable"),
    (4, None, "source quench"),
    (5, None, "redirect"),
    (11, Some(1), "fragments missing"),
    (11, None, "TTL ran out"),
    (12, None, "bad header"),
];

const V6: Words = &[
    (1, Some(0), "no route"),
    (1, Some(1), "prohibited by a filter"),
    (1, Some(3), "address unreachable"),
    (1, Some(4), PORT_UNREACHABLE),
    (1, None, "unreachable"),
    (2, None, "packet too big"),
    (3, Some(1), "fragments missing"),
    (3, None, "hop limit ran out"),
    (4, None, "bad header"),
];
