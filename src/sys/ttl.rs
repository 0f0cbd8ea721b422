//! The least TTL, or hop limit, with which a packet may reach a socket.

use std::{io, os::fd::AsFd};

use super::option;

/// Lets only packets reach `socket` that arrive with this TTL at least (`IP_MINTTL`), or this hop limit with `ipv6`
/// (`IPV6_MINHOPCOUNT`).
///
/// # Errors
/// When the descriptor is no socket of that version of IP.
pub fn at_least(socket: impl AsFd, ipv6: bool, ttl: u8) -> io::Result<()> {
    let (level, name) = match ipv6 {
        false => (libc::IPPROTO_IP, libc::IP_MINTTL),
        true => (libc::IPPROTO_IPV6, libc::IPV6_MINHOPCOUNT),
    };
    option::set(socket.as_fd(), level, name, libc::c_int::from(ttl))
}
