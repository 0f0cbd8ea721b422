//! The accept queue of a listening TCP socket: connections whose handshake the kernel has completed, and nobody has accepted;
//! and what the kernel ignores when it is full.

use std::{fs, io, os::fd::AsFd};

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

/// What the kernel has ignored since a network began, as `/proc/net/netstat` counts it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ignored {
    /// `ListenOverflows`: since an accept queue was full.
    pub overflows: u64,
    /// `ListenDrops`: for any reason; these include the overflows.
    pub drops: u64,
}

impl Ignored {
    /// Of this thread's network namespace (`/proc/net` is that of the process's first thread); nothing where the kernel
    /// does not say.
    pub fn look() -> Option<Self> {
        Self::parse(&fs::read_to_string("/proc/thread-self/net/netstat").ok()?)
    }

    /// Names stand in one line and numbers in the next, both behind `TcpExt:`.
    fn parse(netstat: &str) -> Option<Self> {
        let mut lines = netstat
            .lines()
            .filter_map(|line| line.strip_prefix("TcpExt:"));
        let (names, numbers) = (lines.next()?, lines.next()?);
        let number = |wanted| {
            let mut both = names.split_whitespace().zip(numbers.split_whitespace());
            both.find(|(name, _)| *name == wanted)?.1.parse().ok()
        };
        Some(Self {
            overflows: number("ListenOverflows")?,
            drops: number("ListenDrops")?,
        })
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
    #[test]
    fn counters_are_found_by_their_names() {
        let netstat = "TcpExt: SyncookiesSent ListenOverflows ListenDrops TCPHPHits\n\
                       TcpExt: 0 3 4 17\nIpExt: InNoRoutes\nIpExt: 0\n";
        let expected = Ignored {
            overflows: 3,
            drops: 4,
        };
        assert_eq!(Ignored::parse(netstat), Some(expected));
        for other in [
            "",
            "TcpExt: ListenOverflows\n",
            "TcpExt: A\nTcpExt: 1\n",
            "TcpExt: ListenOverflows ListenDrops\nTcpExt: 1",
        ] {
            assert_eq!(Ignored::parse(other), None, "{other}");
        }
    }
}
