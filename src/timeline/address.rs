//! Addresses of sockets and calls, as packets have them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::{call::Address, event::Socket};

/// An address as packets have it: IPv4 without IPv6 around it, and no scope.
pub(super) fn plain(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

/// Where packets to `address` go: nowhere in particular is this host (`connect(2)`).
pub(super) fn towards(address: SocketAddr) -> SocketAddr {
    let plain = plain(address);
    let ip = match plain.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, plain.port())
}

/// An IP address of a call or a socket.
pub(super) fn ip(address: Option<&Address>) -> Option<SocketAddr> {
    match address? {
        Address::Ip(address) => Some(*address),
        _ => None,
    }
}

/// The socket's own address, where it has a port.
pub(super) fn local(socket: &Socket) -> Option<SocketAddr> {
    ip(socket.local.as_ref())
        .map(plain)
        .filter(|local| local.port() != 0)
}

/// The address it is connected to.
pub(super) fn peer(socket: &Socket) -> Option<SocketAddr> {
    ip(socket.peer.as_ref()).map(towards)
}

/// A socket bound to `local` uses `address`.
pub(super) fn uses(local: SocketAddr, address: SocketAddr) -> bool {
    let any = local.ip().is_unspecified() && (local.is_ipv6() || address.is_ipv4());
    local.port() == address.port() && (any || local.ip() == address.ip())
}

/// Everyone who has joined the group, or everyone at all, gets what is sent there.
pub(super) fn is_for_many(ip: IpAddr) -> bool {
    ip.is_multicast() || ip == IpAddr::V4(Ipv4Addr::BROADCAST)
}
