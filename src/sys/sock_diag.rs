//! The state of one TCP connection, asked of the kernel by its addresses; also after its socket was closed (sock_diag(7)).

use std::{
    io,
    net::{IpAddr, SocketAddr},
    os::fd::{AsRawFd, OwnedFd},
};

use nix::{
    errno::Errno,
    sys::socket::{AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, recv, send, socket},
};

/// A socket that asks for connections of the network namespace of the thread that opened it.
#[derive(Debug)]
pub struct SockDiag(OwnedFd);

/// `SOCK_DIAG_BY_FAMILY` (linux/sock_diag.h).
const BY_FAMILY: u16 = 20;
/// Lengths of `nlmsghdr` and `inet_diag_req_v2`.
const HEADER: usize = 16;
const REQUEST: usize = 56;

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
    let kind = answer
        .get(4..6)
        .map(|kind| u16::from_ne_bytes([kind[0], kind[1]]));
    match (kind, answer.get(16..20)) {
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
}
