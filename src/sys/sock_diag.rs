//! What the kernel says of its sockets (sock_diag(7)): the state of one TCP connection, also after its socket was closed, and
//! all sockets that wait for others.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6},
    os::fd::{AsRawFd, OwnedFd},
};

use nix::{
    errno::Errno,
    sys::socket::{AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, recv, send, socket},
};

use super::netlink::{attribute, u16_at, u32_at};

/// A socket that asks for connections of the network namespace of the thread that opened it.
#[derive(Debug)]
pub struct SockDiag(OwnedFd);

/// `SOCK_DIAG_BY_FAMILY` (linux/sock_diag.h).
const BY_FAMILY: u16 = 20;
/// Lengths of `nlmsghdr`, `inet_diag_req_v2` and `inet_diag_msg`.
const HEADER: usize = 16;
const REQUEST: usize = 56;
const MESSAGE: usize = 72;
/// An attribute of one byte (linux/inet_diag.h).
const INET_DIAG_SKV6ONLY: u16 = 11;
/// States of linux/tcp_states.h. A UDP socket that is bound and connected to nobody counts as closed.
const CLOSE: u32 = 7;
const LISTEN: u32 = 10;

/// A socket that takes what comes from anybody: a listening TCP socket, or a bound UDP socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// Where it is bound; an unspecified address means everywhere.
    pub address: SocketAddr,
    /// Of an IPv6 socket: IPv4 clients do not reach it (`IPV6_V6ONLY`); nothing where the kernel does not say.
    pub v6_only: Option<bool>,
    /// Index of the only interface that it hears, 0 for all.
    pub interface: u32,
    /// Connections that wait for `accept`, or bytes that wait for `recv`.
    pub queued: u32,
    /// How many connections may wait; of UDP bytes that are being sent.
    pub limit: u32,
    /// The user whose socket it is.
    pub user: u32,
    /// By this number `/proc/PID/fd` names it.
    pub inode: u32,
}

impl SockDiag {
    /// Opens the socket.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn open() -> io::Result<Self> {
        Ok(Self(socket(
            AddressFamily::Netlink,
            SockType::Raw,
            SockFlag::SOCK_CLOEXEC,
            SockProtocol::NetlinkSockDiag,
        )?))
    }

    /// The state (`TCP_ESTABLISHED` is 1, …; linux/tcp_states.h) of the connection from `local` to `peer`;
    /// `None` when there is none.
    ///
    /// # Errors
    /// When the kernel cannot tell.
    pub fn tcp_state(&self, local: SocketAddr, peer: SocketAddr) -> io::Result<Option<u8>> {
        send(self.0.as_raw_fd(), &request(local, peer), MsgFlags::empty())?;
        let mut answer = [0; 1024];
        let len = recv(self.0.as_raw_fd(), &mut answer, MsgFlags::empty())?;
        Ok(read(answer.get(..len).unwrap_or_default())?)
    }

    /// All sockets of TCP, else of UDP, that wait for others, IPv4 first.
    ///
    /// # Errors
    /// When the kernel cannot tell; `ENOENT` when it was built without this.
    pub fn waiting(&self, tcp: bool) -> io::Result<Vec<Waiting>> {
        let mut found = Vec::new();
        let mut answer = vec![0; 64 * 1024];
        for family in [libc::AF_INET, libc::AF_INET6] {
            send(
                self.0.as_raw_fd(),
                &question(family, tcp),
                MsgFlags::empty(),
            )?;
            loop {
                let len = recv(self.0.as_raw_fd(), &mut answer, MsgFlags::empty())?;
                let messages = answer.get(..len).unwrap_or_default();
                if gather(messages, &mut found)? {
                    break;
                }
            }
        }
        Ok(found)
    }
}

/// Asks for all that wait.
fn question(family: i32, tcp: bool) -> [u8; HEADER + REQUEST] {
    let mut bytes = [0; HEADER + REQUEST];
    let flags = (libc::NLM_F_REQUEST | libc::NLM_F_DUMP) as u16;
    let (protocol, state) = match tcp {
        true => (libc::IPPROTO_TCP, LISTEN),
        false => (libc::IPPROTO_UDP, CLOSE),
    };
    bytes[..4].copy_from_slice(&((HEADER + REQUEST) as u32).to_ne_bytes());
    bytes[4..6].copy_from_slice(&BY_FAMILY.to_ne_bytes());
    bytes[6..8].copy_from_slice(&flags.to_ne_bytes());
    bytes[16..18].copy_from_slice(&[family as u8, protocol as u8]);
    bytes[20..24].copy_from_slice(&(1_u32 << state).to_ne_bytes());
    bytes
}

/// Takes the sockets out of one answer; true when it was the last one.
fn gather(mut messages: &[u8], found: &mut Vec<Waiting>) -> Result<bool, Errno> {
    while let Some(len) = u32_at(messages, 0) {
        let len = len as usize;
        let message = messages.get(HEADER..len).ok_or(Errno::EPROTO)?;
        match u16_at(messages, 4).map(i32::from) {
            Some(libc::NLMSG_DONE) => return Ok(true),
            Some(libc::NLMSG_ERROR) => {
                let error = u32_at(message, 0).ok_or(Errno::EPROTO)?.cast_signed();
                return Err(Errno::from_raw(error.wrapping_neg()));
            }
            _ => found.extend(waiting(message)),
        }
        let next = len.next_multiple_of(4).min(messages.len());
        messages = &messages[next..];
    }
    Ok(false)
}

/// `struct inet_diag_msg` with its attributes.
fn waiting(message: &[u8]) -> Option<Waiting> {
    let port = u16::from_be_bytes(message.get(4..6)?.try_into().ok()?);
    let bytes: [u8; 16] = message.get(8..24)?.try_into().ok()?;
    let interface = u32_at(message, 40)?;
    let address = match i32::from(*message.first()?) {
        libc::AF_INET => {
            let [a, b, c, d, ..] = bytes;
            SocketAddr::new(Ipv4Addr::from([a, b, c, d]).into(), port)
        }
        _ => {
            let address = Ipv6Addr::from(bytes);
            let scope = if address.is_unicast_link_local() {
                interface
            } else {
                0
            };
            SocketAddrV6::new(address, port, 0, scope).into()
        }
    };
    let v6_only = attribute(message, MESSAGE, INET_DIAG_SKV6ONLY)
        .and_then(<[u8]>::first)
        .map(|value| *value != 0);
    Some(Waiting {
        address,
        v6_only,
        interface,
        queued: u32_at(message, 56)?,
        limit: u32_at(message, 60)?,
        user: u32_at(message, 64)?,
        inode: u32_at(message, 68)?,
    })
}

/// `struct inet_diag_req_v2` behind its header: IPPROTO_TCP, all states, one socket, no cookie.
fn request(local: SocketAddr, peer: SocketAddr) -> [u8; HEADER + REQUEST] {
    let mut bytes = [0; HEADER + REQUEST];
    let mut put = |at: usize, value: &[u8]| bytes[at..at + value.len()].copy_from_slice(value);
    put(0, &((HEADER + REQUEST) as u32).to_ne_bytes());
    put(4, &BY_FAMILY.to_ne_bytes());
    put(6, &(libc::NLM_F_REQUEST as u16).to_ne_bytes());
    let family = if local.is_ipv4() {
        libc::AF_INET
    } else {
        libc::AF_INET6
    };
    put(16, &[family as u8, libc::IPPROTO_TCP as u8]);
    put(20, &u32::MAX.to_ne_bytes());
    put(24, &local.port().to_be_bytes());
    put(26, &peer.port().to_be_bytes());
    for (at, address) in [(28, local.ip()), (44, peer.ip())] {
        match address {
            IpAddr::V4(v4) => put(at, &v4.octets()),
            IpAddr::V6(v6) => put(at, &v6.octets()),
        }
    }
    put(64, &[0xff; 8]);
    bytes
}

/// `idiag_state` of `struct inet_diag_msg`, or what `nlmsgerr` says.
fn read(answer: &[u8]) -> Result<Option<u8>, Errno> {
    match (u16_at(answer, 4), answer.get(16..20)) {
        (Some(BY_FAMILY), Some(&[_, state, _, _])) => Ok(Some(state)),
        (Some(_), Some(&[a, b, c, d])) => {
            match Errno::from_raw(-i32::from_ne_bytes([a, b, c, d])) {
                Errno::ENOENT => Ok(None),
                errno => Err(errno),
            }
        }
        _ => Err(Errno::EPROTO),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::net::{TcpListener, TcpStream};

    use super::*;

    #[test]
    fn a_connection_is_found_in_each_of_its_states() {
        let diag = SockDiag::open().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let server = listener.accept().unwrap().0;
        let (local, peer) = (client.local_addr().unwrap(), client.peer_addr().unwrap());
        assert_eq!(diag.tcp_state(local, peer).unwrap(), Some(1), "ESTABLISHED");
        drop(client);
        // FIN-WAIT-1 or FIN-WAIT-2: the ACK of the FIN may be delayed.
        let state = diag.tcp_state(local, peer).unwrap();
        assert!(matches!(state, Some(4 | 5)), "FIN-WAIT, not {state:?}");
        drop(server);
        assert_eq!(diag.tcp_state(local, peer).unwrap(), Some(6), "TIME-WAIT");
        drop(listener);
        assert_eq!(diag.tcp_state(peer, local).unwrap(), None);
    }

    #[test]
    fn those_that_wait_are_found_with_what_is_known_of_them() {
        let diag = SockDiag::open().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let _queued = TcpStream::connect(address).unwrap();
        let all = diag.waiting(true).unwrap();
        let ours: Vec<_> = all.iter().filter(|one| one.address == address).collect();
        assert_eq!(ours.len(), 1, "{all:?}");
        assert_eq!((ours[0].queued, ours[0].limit), (1, 128));
        assert_eq!(ours[0].user, nix::unistd::getuid().as_raw());
        assert!(ours[0].inode > 0);
        let datagram = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = datagram.local_addr().unwrap();
        let ours = |diag: &SockDiag| {
            let all = diag.waiting(false).unwrap();
            all.iter().any(|one| one.address == address)
        };
        assert!(ours(&diag));
        datagram.connect(address).unwrap();
        assert!(!ours(&diag), "it hears one address only");
    }

    #[test]
    fn damaged_answers_are_refused_or_end() {
        let mut found = Vec::new();
        assert_eq!(gather(&[], &mut found), Ok(false));
        for len in 0..80_u32 {
            let mut bytes = len.to_ne_bytes().to_vec();
            bytes.resize(40, 0xff);
            let _ = gather(&bytes, &mut found);
        }
        let mut message = vec![0; MESSAGE];
        message.extend([0, 0, 0, 0, 1, 0]);
        assert!(waiting(&message).is_some_and(|one| one.v6_only.is_none()));
        assert_eq!(waiting(&message[..60]), None);
    }
}
