//! Keeps the own kernel from answering for a port that packets made by hand speak from.
//!
//! A segment for a port without a socket is answered by the kernel with a RST, a datagram with an ICMP port unreachable,
//! long before the program that asked for it has seen it. So the port gets a socket of its own, which takes nothing:
//! the kernel finds it, drops what arrives, and says nothing. Raw and packet sockets see everything all the same.

use std::{
    io,
    net::{IpAddr, SocketAddr},
};

use socket2::{Domain, Protocol, Socket, Type};

use super::ProbeError;
use crate::sys::{filter::attach_nothing, ttl};

/// How the kernel is kept quiet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hushed {
    /// A socket whose attached filter lets nothing in (for TCP a right that recent kernels tie to CAP_NET_ADMIN).
    Filter,
    /// A socket that asks for TTL (hop limit) 255: a peer that sends with 255 defeats it.
    MinTtl,
}

/// A socket that owns a port and accepts nothing. Closing it gives the port back; nothing else is left behind.
#[derive(Debug)]
pub struct Hush {
    /// Open as long as the port is to be quiet.
    socket: Socket,
    how: Hushed,
    local: SocketAddr,
}

impl Hush {
    /// Takes the TCP port of `local`, port 0 for any.
    ///
    /// # Errors
    /// When the port is taken, or the kernel refuses both ways.
    pub fn tcp(local: SocketAddr) -> Result<Self, ProbeError> {
        let hush = Self::bound(local, Type::STREAM, Protocol::TCP)?;
        // Only a listening socket is found for a SYN,ACK; one that was silenced before it listens lets nothing slip in.
        hush.socket.listen(1).map_err(failed("listen on", local))?;
        Ok(hush)
    }

    /// Takes the UDP port of `local`: no ICMP port unreachable leaves for it.
    ///
    /// # Errors
    /// When the port is taken.
    pub fn udp(local: SocketAddr) -> Result<Self, ProbeError> {
        Self::bound(local, Type::DGRAM, Protocol::UDP)
    }

    /// How it is done.
    pub fn how(&self) -> Hushed {
        self.how
    }

    /// The address and port that it owns.
    pub fn local(&self) -> SocketAddr {
        self.local
    }

    /// A socket on `local` that takes nothing.
    fn bound(local: SocketAddr, kind: Type, protocol: Protocol) -> Result<Self, ProbeError> {
        let socket = Socket::new(Domain::for_address(local), kind, Some(protocol))
            .map_err(failed("open a socket for", local))?;
        let how =
            silence(&socket, local.ip()).map_err(failed("keep the kernel quiet on", local))?;
        let bind = || -> io::Result<SocketAddr> {
            if local.is_ipv6() {
                socket.set_only_v6(true)?;
            }
            if kind == Type::STREAM {
                // A connection of the kernel's own that was closed a moment ago is no obstacle.
                socket.set_reuse_address(true)?;
            }
            socket.bind(&local.into())?;
            let taken = socket.local_addr()?.as_socket();
            taken.ok_or_else(|| io::ErrorKind::AddrNotAvailable.into())
        };
        let local = bind().map_err(|error| match error.raw_os_error() {
            Some(libc::EADDRINUSE) => ProbeError::Unsendable(format!(
                "a program has {local} already: `ss -lntup` shows which; take another port"
            )),
            Some(libc::EADDRNOTAVAIL) => ProbeError::Unsendable(format!(
                "{} is no address of this host: `ip address` lists those that are",
                local.ip()
            )),
            _ => failed("take the port", local)(error),
        })?;
        Ok(Self { socket, how, local })
    }
}

/// Lets nothing reach `socket`: by a filter, else by asking for a TTL that only a neighbour of intent sends.
fn silence(socket: &Socket, address: IpAddr) -> io::Result<Hushed> {
    match attach_nothing(socket) {
        Ok(()) => Ok(Hushed::Filter),
        Err(error) if error.raw_os_error() == Some(libc::EPERM) => {
            ttl::at_least(socket, address.is_ipv6(), u8::MAX)?;
            Ok(Hushed::MinTtl)
        }
        Err(error) => Err(error),
    }
}

fn failed(doing: &'static str, local: SocketAddr) -> impl Fn(io::Error) -> ProbeError {
    move |error| ProbeError::io(format!("{doing} {local}"), error)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::{
        io::ErrorKind,
        net::{TcpStream, UdpSocket},
        time::Duration,
    };

    use super::*;

    const LOOPBACK: [&str; 2] = ["127.0.0.1:0", "[::1]:0"];

    fn sockets(make: fn(SocketAddr) -> Result<Hush, ProbeError>) -> Vec<Hush> {
        let made = LOOPBACK.iter().filter_map(|text| {
            let made = make(text.parse().unwrap());
            if made.is_err() && text.starts_with('[') {
                crate::testing::skipped("no IPv6 on loopback");
                return None;
            }
            Some(made.unwrap())
        });
        made.collect()
    }

    #[test]
    fn a_hushed_tcp_port_neither_accepts_nor_refuses() {
        for hush in sockets(Hush::tcp) {
            assert_ne!(hush.local().port(), 0);
            let patience = Duration::from_millis(50);
            let error = TcpStream::connect_timeout(&hush.local(), patience).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::TimedOut, "{error}");
            let free = hush.local();
            drop(hush);
            let error = TcpStream::connect_timeout(&free, patience).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::ConnectionRefused, "{error}");
        }
    }

    #[test]
    fn a_hushed_udp_port_sends_no_error() {
        for hush in sockets(Hush::udp) {
            let own = if hush.local().is_ipv4() { 0 } else { 1 };
            let socket = UdpSocket::bind(LOOPBACK[own]).unwrap();
            socket.connect(hush.local()).unwrap();
            socket.send(b"x").unwrap();
            socket
                .set_read_timeout(Some(Duration::from_millis(20)))
                .unwrap();
            let quiet = socket.recv(&mut [0; 1]).unwrap_err();
            assert_eq!(quiet.kind(), ErrorKind::WouldBlock, "{quiet}");
            drop(hush);
            let _ = socket.send(b"x");
            let told = socket.recv(&mut [0; 1]).unwrap_err();
            assert_eq!(told.kind(), ErrorKind::ConnectionRefused, "{told}");
        }
    }

    #[test]
    fn a_port_that_is_taken_is_named() {
        let first = Hush::tcp(LOOPBACK[0].parse().unwrap()).unwrap();
        let error = Hush::tcp(first.local()).unwrap_err().to_string();
        assert!(error.contains(&first.local().to_string()), "{error}");
    }

    #[test]
    fn a_high_ttl_is_enough_without_any_right() {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        ttl::at_least(&socket, false, 255).unwrap();
        let any: SocketAddr = LOOPBACK[0].parse().unwrap();
        socket.bind(&any.into()).unwrap();
        socket.listen(1).unwrap();
        let local = socket.local_addr().unwrap().as_socket().unwrap();
        let error = TcpStream::connect_timeout(&local, Duration::from_millis(50)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TimedOut, "{error}");
    }
}
