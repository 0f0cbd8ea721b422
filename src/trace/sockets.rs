//! Sockets of the kernel, whatever descriptors mean them: what they are, and their addresses as they become known.

use std::{
    borrow::Cow,
    collections::HashMap,
    net::SocketAddr,
    os::fd::{AsFd, OwnedFd},
};

use socket2::{Domain, Protocol, SockAddr, SockRef, Type};

use super::{names, networks::Networks, tracer::Moment};
use crate::{
    call::Address,
    event::{Arg, Event, Socket, SocketId, Transport},
    sys::foreign,
};

/// All sockets in sight, and their networks.
#[derive(Debug, Default)]
pub(super) struct Sockets {
    all: Vec<Known>,
    /// By `SO_NETNS_COOKIE` and `SO_COOKIE`: kernels before 5.9 counted sockets in each network.
    by_cookie: HashMap<(Option<u64>, u64), SocketId>,
    pub(super) networks: Networks,
}

/// A socket.
#[derive(Debug)]
struct Known {
    /// As it was told last.
    told: Socket,
    is_stream: bool,
    /// Its addresses are not going to change by themselves.
    settled: bool,
}

/// What a call has done to a socket's addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// Nothing that is known: the socket has come into sight.
    None,
    /// It listens from now on.
    Listens,
    /// Data has gone through it: an unconnected socket has got its port by now.
    Used,
}

impl Sockets {
    /// The number of the socket that `fd`, borrowed from a thread that stands, means. A new one is told.
    ///
    /// `made`: a call has just made it; otherwise it may have been in use before.
    pub(super) fn meet(
        &mut self,
        fd: &OwnedFd,
        made: bool,
        thread: u32,
        now: &mut Moment<'_>,
    ) -> Option<SocketId> {
        let socket = SockRef::from(fd);
        let network = foreign::network(fd);
        let key = (network, socket.cookie().ok()?);
        if let Some(&id) = self.by_cookie.get(&key) {
            return Some(id);
        }
        let (domain, kind) = (socket.domain().ok()?, socket.r#type().ok()?);
        let protocol = socket.protocol().ok().flatten();
        let transport = transport(domain, kind, protocol);
        let net = self.networks.of_socket(network, thread, now);
        let is_older = !made && transport == Transport::Tcp;
        let before = is_older.then(|| foreign::streamed(fd)).flatten();
        if before.is_some() {
            // Packets are seen since a while, and those until now are counted in it.
            now.passes();
        }
        let id = self.all.len() as SocketId + 1;
        self.all.push(Known {
            told: Socket {
                id,
                net,
                family: word(i32::from(domain), names::FAMILIES),
                kind: word(i32::from(kind), names::KINDS),
                transport,
                local: None,
                peer: None,
                before: before.map(|streamed| streamed.passed),
                queued: before.map(|streamed| streamed.queued),
            },
            is_stream: kind == Type::STREAM,
            settled: false,
        });
        self.by_cookie.insert(key, id);
        if !self.refresh(id, fd, Change::None, now)
            && let Some(known) = self.get(id)
        {
            now.tell(Event::Socket(known.told.clone()));
        }
        Some(id)
    }

    /// Bytes of it have no bounds (`SOCK_STREAM`).
    pub(super) fn is_stream(&self, id: SocketId) -> bool {
        self.all
            .get(id as usize - 1)
            .is_some_and(|known| known.is_stream)
    }

    /// Its addresses need not be looked at again before they are changed by a call that is about them.
    pub(super) fn is_settled(&self, id: SocketId) -> bool {
        self.all
            .get(id as usize - 1)
            .is_none_or(|known| known.settled)
    }

    /// Looks at its addresses, and tells it again when they have changed; whether they have.
    pub(super) fn refresh(
        &mut self,
        id: SocketId,
        fd: impl AsFd,
        change: Change,
        now: &mut Moment<'_>,
    ) -> bool {
        let Some(known) = self.get(id) else {
            return false;
        };
        let socket = SockRef::from(&fd);
        let local = socket.local_addr().ok().and_then(|a| from_kernel(&a));
        let peer = socket.peer_addr().ok().and_then(|a| from_kernel(&a));
        let told = &mut known.told;
        let local = better(told.local.clone(), local);
        // After a RST the kernel does not know the other end any more.
        let peer = peer.or_else(|| told.peer.clone());
        known.settled = peer.is_some()
            || change == Change::Listens
            || change == Change::Used
            || (told.transport == Transport::Udp && local.is_some());
        let changed = (&local, &peer) != (&told.local, &told.peer);
        (told.local, told.peer) = (local, peer);
        if changed {
            now.tell(Event::Socket(told.clone()));
        }
        changed
    }

    /// Its other end, which the kernel has told the program itself and has forgotten already.
    pub(super) fn connected(&mut self, id: SocketId, peer: &Address, now: &mut Moment<'_>) {
        if let Some(known) = self.get(id)
            && known.told.peer.is_none()
        {
            known.told.peer = Some(canonical(peer.clone()));
            now.tell(Event::Socket(known.told.clone()));
        }
    }

    fn get(&mut self, id: SocketId) -> Option<&mut Known> {
        self.all.get_mut(id as usize - 1)
    }
}

/// Of a refused connection only the port is left.
fn better(old: Option<Address>, new: Option<Address>) -> Option<Address> {
    match (&old, &new) {
        (Some(Address::Ip(known)), Some(Address::Ip(left)))
            if left.ip().is_unspecified() && left.port() == known.port() =>
        {
            old
        }
        (_, None) => old,
        _ => new,
    }
}

/// Nothing where the socket has no address, or one of a family that has no form here.
fn from_kernel(address: &SockAddr) -> Option<Address> {
    if let Some(address) = address.as_socket() {
        let is_nothing = address.ip().is_unspecified() && address.port() == 0;
        return (!is_nothing).then(|| canonical(Address::Ip(address)));
    }
    if !address.is_unix() {
        return None;
    }
    Some(if let Some(path) = address.as_pathname() {
        Address::Path(path.into())
    } else if let Some(name) = address.as_abstract_namespace() {
        Address::Abstract(name.into())
    } else {
        Address::Unnamed
    })
}

/// The packets of an IPv4 address in an IPv6 socket are IPv4 packets.
fn canonical(address: Address) -> Address {
    match address {
        Address::Ip(SocketAddr::V6(v6)) if v6.ip().to_ipv4_mapped().is_some() => {
            SocketAddr::new(v6.ip().to_canonical(), v6.port()).into()
        }
        other => other,
    }
}

fn transport(domain: Domain, kind: Type, protocol: Option<Protocol>) -> Transport {
    /// UDP-Lite, RFC 3828.
    const UDP_LITE: i32 = 136;
    if domain == Domain::UNIX {
        return Transport::Unix;
    }
    if domain != Domain::IPV4 && domain != Domain::IPV6 {
        return Transport::Other;
    }
    match (kind, protocol.map(i32::from)) {
        (Type::STREAM, Some(libc::IPPROTO_TCP | libc::IPPROTO_MPTCP)) => Transport::Tcp,
        (
            Type::DGRAM,
            Some(libc::IPPROTO_UDP | libc::IPPROTO_ICMP | libc::IPPROTO_ICMPV6 | UDP_LITE),
        ) => Transport::Udp,
        (Type::RAW, _) => Transport::Raw,
        _ => Transport::Other,
    }
}

/// `AF_INET`, `SOCK_STREAM`; without a name the number.
fn word(number: i32, names: &names::Names) -> Cow<'static, str> {
    match names::constant(number.into(), names) {
        Arg::Word(name) => name,
        _ => number.to_string().into(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn ip(text: &str) -> Option<Address> {
        Some(canonical(Address::Ip(text.parse().unwrap())))
    }

    #[test]
    fn the_better_address_is_kept() {
        let known = ip("10.0.0.1:52746");
        assert_eq!(better(known.clone(), ip("0.0.0.0:52746")), known);
        assert_eq!(better(known.clone(), None), known);
        // Another port is another address.
        assert_eq!(better(known.clone(), ip("0.0.0.0:7")), ip("0.0.0.0:7"));
        assert_eq!(better(ip("0.0.0.0:52746"), known.clone()), known);
    }

    #[test]
    fn an_ipv4_address_in_an_ipv6_socket_is_an_ipv4_address() {
        assert_eq!(ip("[::ffff:10.0.0.1]:80"), ip("10.0.0.1:80"));
        assert_ne!(ip("[::]:80"), ip("0.0.0.0:80"));
    }
}
