//! The accept queue of a listening TCP socket: connections whose handshake the kernel has completed, and nobody has accepted.

use std::{io, os::fd::AsFd};

use super::option;

/// How full an accept queue is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Queue {
    /// Connections that wait.
    pub waiting: u32,
    /// The limit of `listen(2)`, or `net.core.somaxconn` where that is less. One more than this fits in.
    pub limit: u32,
}

impl Queue {
    /// Asks the kernel, by `TCP_INFO`: of a listening socket, `tcpi_unacked` and `tcpi_sacked` are these two.
    ///
    /// # Errors
    /// When it is no TCP socket.
    pub fn of(listener: impl AsFd) -> io::Result<Self> {
        // The first words of `struct tcp_info` (linux/tcp.h): eight bytes, four times, then these two.
        let info: [u32; 9] = option::get(listener.as_fd(), libc::IPPROTO_TCP, libc::TCP_INFO)?;
        Ok(Self {
            waiting: info[6],
            limit: info[7],
        })
    }

    /// The kernel takes no more.
    pub const fn is_full(self) -> bool {
        self.waiting > self.limit
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::net::TcpStream;

    use socket2::{Domain, Socket, Type};

    use super::*;

    #[test]
    fn one_more_than_the_limit_waits() {
        let listener = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        let loopback: std::net::SocketAddr = ([127, 0, 0, 1], 0).into();
        listener.bind(&loopback.into()).unwrap();
        listener.listen(1).unwrap();
        let empty = Queue::of(&listener).unwrap();
        assert_eq!((empty.waiting, empty.limit), (0, 1));
        let address = listener.local_addr().unwrap().as_socket().unwrap();
        let _one = TcpStream::connect(address).unwrap();
        assert!(!Queue::of(&listener).unwrap().is_full());
        let _two = TcpStream::connect(address).unwrap();
        let full = Queue::of(&listener).unwrap();
        assert_eq!((full.waiting, full.is_full()), (2, true));
    }
}
