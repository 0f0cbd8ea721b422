//! What the kernel says of its sockets (sock_diag(7)): the state of one TCP connection, also after its socket was closed, all
//! sockets that wait for others, and all sockets.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6},
    ops::Range,
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

/// A socket, whatever its state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// Its state (`TCP_ESTABLISHED` is 1, …; linux/tcp_states.h); of UDP, 1 when it is connected and 7 when it is not.
    pub state: u8,
    /// Its own address; of an IPv4 address in an IPv6 socket the IPv4 form.
    pub local: SocketAddr,
    /// The other end's, likewise; port 0 where there is none.
    pub peer: SocketAddr,
    /// The user whose socket it is; 0 as well where no process has it.
    pub user: u32,
    /// By this number `/proc/PID/fd` names it; 0 when no process has it.
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
        let state = if tcp { LISTEN } else { CLOSE };
        self.dump(tcp, 1 << state, waiting)
    }

    /// All sockets of TCP, else of UDP, IPv4 first.
    ///
    /// # Errors
    /// As for [`Self::waiting`].
    pub fn held(&self, tcp: bool) -> io::Result<Vec<Held>> {
        self.dump(tcp, u32::MAX, held)
    }

    /// All sockets in one of the `states`, as `read` reads them.
    fn dump<T>(&self, tcp: bool, states: u32, read: fn(&[u8]) -> Option<T>) -> io::Result<Vec<T>> {
        let mut found = Vec::new();
        let mut answer = vec![0; 64 * 1024];
        for family in [libc::AF_INET, libc::AF_INET6] {
            send(
                self.0.as_raw_fd(),
                &question(family, tcp, states),
                MsgFlags::empty(),
            )?;
            loop {
                let len = recv(self.0.as_raw_fd(), &mut answer, MsgFlags::empty())?;
                let messages = answer.get(..len).unwrap_or_default();
                if gather(messages, read, &mut found)? {
                    break;
                }
            }
        }
        Ok(found)
    }
}

/// Asks for all in these states.
fn question(family: i32, tcp: bool, states: u32) -> [u8; HEADER + REQUEST] {
    let mut bytes = [0; HEADER + REQUEST];
    let flags = (libc::NLM_F_REQUEST | libc::NLM_F_DUMP) as u16;
    let protocol = match tcp {
        true => libc::IPPROTO_TCP,
        false => libc::IPPROTO_UDP,
    };
    bytes[..4].copy_from_slice(&((HEADER + REQUEST) as u32).to_ne_bytes());
    bytes[4..6].copy_from_slice(&BY_FAMILY.to_ne_bytes());
    bytes[6..8].copy_from_slice(&flags.to_ne_bytes());
    bytes[16..18].copy_from_slice(&[family as u8, protocol as u8]);
    bytes[20..24].copy_from_slice(&states.to_ne_bytes());
    bytes
}

/// Takes the sockets out of one answer; true when it was the last one.
fn gather<T>(
    mut messages: &[u8],
    read: fn(&[u8]) -> Option<T>,
    found: &mut Vec<T>,
) -> Result<bool, Errno> {
    while let Some(len) = u32_at(messages, 0) {
        let len = len as usize;
        let message = messages.get(HEADER..len).ok_or(Errno::EPROTO)?;
        match u16_at(messages, 4).map(i32::from) {
            Some(libc::NLMSG_DONE) => return Ok(true),
            Some(libc::NLMSG_ERROR) => {
                let error = u32_at(message, 0).ok_or(Errno::EPROTO)?.cast_signed();
                return Err(Errno::from_raw(error.wrapping_neg()));
            }
            _ => found.extend(read(message)),
        }
        let next = len.next_multiple_of(4).min(messages.len());
        messages = &messages[next..];
    }
    Ok(false)
}

/// An end of `struct inet_diag_msg`: its port and its address.
fn end(message: &[u8], port: Range<usize>, address: Range<usize>) -> Option<SocketAddr> {
    let port = u16::from_be_bytes(message.get(port)?.try_into().ok()?);
    let bytes: [u8; 16] = message.get(address)?.try_into().ok()?;
    if i32::from(*message.first()?) == libc::AF_INET {
        let [a, b, c, d, ..] = bytes;
        return Some(SocketAddr::new(Ipv4Addr::from([a, b, c, d]).into(), port));
    }
    let address = Ipv6Addr::from(bytes);
    let scope = match address.is_unicast_link_local() {
        true => u32_at(message, 40)?,
        false => 0,
    };
    Some(SocketAddrV6::new(address, port, 0, scope).into())
}

/// Where its own end stands in `struct inet_diag_msg`, and the other one: port and address.
const OWN: (Range<usize>, Range<usize>) = (4..6, 8..24);
const OTHER: (Range<usize>, Range<usize>) = (6..8, 24..40);

/// `struct inet_diag_msg`.
fn held(message: &[u8]) -> Option<Held> {
    let canonical = |end: SocketAddr| match end.ip().to_canonical() {
        IpAddr::V4(ip) => SocketAddr::new(ip.into(), end.port()),
        IpAddr::V6(_) => end,
    };
    Some(Held {
        state: *message.get(1)?,
        local: canonical(end(message, OWN.0, OWN.1)?),
        peer: canonical(end(message, OTHER.0, OTHER.1)?),
        user: u32_at(message, 64)?,
        inode: u32_at(message, 68)?,
    })
}

/// `struct inet_diag_msg` with its attributes.
fn waiting(message: &[u8]) -> Option<Waiting> {
    let address = end(message, OWN.0, OWN.1)?;
    let interface = u32_at(message, 40)?;
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
    fn each_socket_is_found_with_its_ends_and_its_inode() {
        let diag = SockDiag::open().unwrap();
        let listener = TcpListener::bind("[::]:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        // An IPv4 client of an IPv6 socket; nobody accepts it.
        let client = TcpStream::connect(("127.0.0.1", port)).unwrap();
        let (local, peer) = (client.local_addr().unwrap(), client.peer_addr().unwrap());
        let all = diag.held(true).unwrap();
        let find = |local: SocketAddr, peer: SocketAddr| {
            let found = all.iter().find(|s| (s.local, s.peer) == (local, peer));
            found.unwrap_or_else(|| panic!("{local} {peer}: {all:?}"))
        };
        assert_eq!(find(local, peer).state, 1);
        assert!(find(local, peer).inode > 0);
        assert_eq!(find(peer, local).inode, 0, "not accepted");
        let nobody = SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0));
        let listening = find(listener.local_addr().unwrap(), nobody);
        assert_eq!(listening.state, 10);
        assert!(listening.inode > 0);
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
        assert_eq!(gather(&[], waiting, &mut found), Ok(false));
        for len in 0..80_u32 {
            let mut bytes = len.to_ne_bytes().to_vec();
            bytes.resize(40, 0xff);
            let _ = gather(&bytes, waiting, &mut found);
        }
        let mut message = vec![0; MESSAGE];
        message.extend([0, 0, 0, 0, 1, 0]);
        assert!(waiting(&message).is_some_and(|one| one.v6_only.is_none()));
        assert_eq!(waiting(&message[..60]), None);
        assert_eq!(held(&message[..60]), None);
    }
}
