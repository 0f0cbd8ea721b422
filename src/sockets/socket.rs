//! A socket whose calls are told: the ordinary calls of the socket API, blocking, one method each.

use std::{
    ffi::OsStr,
    io,
    os::{
        fd::{AsFd as _, AsRawFd, RawFd},
        unix::ffi::OsStrExt as _,
    },
    time::Duration,
};

use nix::{
    errno::Errno,
    poll::{PollFd, PollFlags, PollTimeout},
};
use socket2::{Domain, SockAddr, Type};

use super::Journal;
use crate::{
    call::{Address, Answer, Call, Choice, Data, Family, How, Kind},
    sys::buffer as sys,
};

/// An open socket. It is closed when it is dropped, and that is told as well.
#[derive(Debug)]
pub struct Socket {
    /// Nothing only while it is being closed.
    inner: Option<socket2::Socket>,
    fd: RawFd,
    journal: Journal,
}

/// A received datagram.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Received {
    /// Bytes in the buffer.
    pub len: usize,
    /// Who sent it; [`Address::Unnamed`] when the sender has no address.
    pub from: Address,
    /// It was longer than the buffer, and the rest is gone.
    pub cut: bool,
}

impl Socket {
    /// `socket(2)`.
    ///
    /// # Errors
    /// Those of the call, as of all the others.
    pub fn new(journal: &Journal, family: Family, kind: Kind) -> io::Result<Self> {
        let domain = match family {
            Family::Inet => Domain::IPV4,
            Family::Inet6 => Domain::IPV6,
            Family::Unix => Domain::UNIX,
        };
        let sort = match kind {
            Kind::Stream => Type::STREAM,
            Kind::Datagram => Type::DGRAM,
        };
        let inner = journal.call(
            false,
            || Call::Socket { family, kind },
            || socket2::Socket::new(domain, sort, None),
            |socket| Answer::Fd(socket.as_raw_fd()),
        )?;
        Ok(Self::from_open(inner, journal))
    }

    /// A socket that was opened elsewhere; from now on its calls are told.
    pub fn from_open(inner: socket2::Socket, journal: &Journal) -> Self {
        Self {
            fd: inner.as_raw_fd(),
            inner: Some(inner),
            journal: journal.clone(),
        }
    }

    /// `setsockopt(2)`.
    pub fn set(&self, choice: Choice, value: u32) -> io::Result<()> {
        let (fd, size) = (self.fd, value as usize);
        let millis = (value > 0).then(|| Duration::from_millis(value.into()));
        self.journal.call(
            false,
            || Call::SetSockOpt { fd, choice, value },
            || {
                let socket = self.open()?;
                match choice {
                    Choice::ReuseAddr => socket.set_reuse_address(value != 0),
                    Choice::ReusePort => socket.set_reuse_port(value != 0),
                    Choice::Broadcast => socket.set_broadcast(value != 0),
                    Choice::V6Only => socket.set_only_v6(value != 0),
                    Choice::NoDelay => socket.set_tcp_nodelay(value != 0),
                    Choice::ReceiveBuffer => socket.set_recv_buffer_size(size),
                    Choice::SendBuffer => socket.set_send_buffer_size(size),
                    Choice::ReceiveTimeout => socket.set_read_timeout(millis),
                    Choice::SendTimeout => socket.set_write_timeout(millis),
                    Choice::Linger => socket.set_linger(Some(Duration::from_secs(value.into()))),
                }
            },
            |()| Answer::Done,
        )
    }

    /// `setsockopt(2)` of a time limit, in whole milliseconds and at least one: 0 would be no limit.
    pub fn set_time(&self, choice: Choice, limit: Duration) -> io::Result<()> {
        let millis = u32::try_from(limit.as_millis()).unwrap_or(u32::MAX);
        self.set(choice, millis.max(1))
    }

    /// `bind(2)`.
    pub fn bind(&self, address: &Address) -> io::Result<()> {
        let fd = self.fd;
        let asked = || Call::Bind {
            fd,
            address: address.clone(),
        };
        let make = || self.open()?.bind(&to_kernel(address)?);
        self.journal.call(false, asked, make, |()| Answer::Done)
    }

    /// `listen(2)`.
    pub fn listen(&self, backlog: i32) -> io::Result<()> {
        let fd = self.fd;
        let asked = || Call::Listen { fd, backlog };
        let make = || self.open()?.listen(backlog);
        self.journal.call(false, asked, make, |()| Answer::Done)
    }

    /// `accept(2)`: waits for a connection.
    pub fn accept(&self) -> io::Result<(Self, Address)> {
        let fd = self.fd;
        let make = || {
            let (socket, from) = self.open()?.accept()?;
            let from = from_kernel(&from);
            Ok((Self::from_open(socket, &self.journal), from))
        };
        let answered = |(socket, from): &(Self, Address)| Answer::Accepted(socket.fd, from.clone());
        self.journal
            .call(true, || Call::Accept { fd }, make, answered)
    }

    /// `connect(2)`. Of a datagram socket it only sets the other end.
    pub fn connect(&self, address: &Address) -> io::Result<()> {
        let fd = self.fd;
        let asked = || Call::Connect {
            fd,
            address: address.clone(),
        };
        let make = || self.open()?.connect(&to_kernel(address)?);
        self.journal.call(true, asked, make, |()| Answer::Done)
    }

    /// `send(2)`, without a signal when the connection is gone; the count may be less than the whole.
    pub fn send(&self, bytes: &[u8]) -> io::Result<usize> {
        self.send_with(bytes, false)
    }

    /// `send(2)` of what there is room for now; `WouldBlock` when there is none.
    pub fn send_now(&self, bytes: &[u8]) -> io::Result<usize> {
        self.send_with(bytes, true)
    }

    fn send_with(&self, bytes: &[u8], now: bool) -> io::Result<usize> {
        let fd = self.fd;
        let asked = || Call::Send {
            fd,
            data: Data::of(bytes),
            now,
        };
        let make = || {
            let wait = if now { libc::MSG_DONTWAIT } else { 0 };
            self.open()?
                .send_with_flags(bytes, libc::MSG_NOSIGNAL | wait)
        };
        self.journal
            .call(!now, asked, make, |&len| Answer::Count(len))
    }

    /// Sends until all of `bytes` are with the kernel.
    pub fn send_all(&self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            match self.send(bytes)? {
                0 => return Err(io::ErrorKind::WriteZero.into()),
                len => bytes = &bytes[len.min(bytes.len())..],
            }
        }
        Ok(())
    }

    /// `sendto(2)`.
    pub fn send_to(&self, bytes: &[u8], to: &Address) -> io::Result<usize> {
        let fd = self.fd;
        let asked = || Call::SendTo {
            fd,
            data: Data::of(bytes),
            to: to.clone(),
        };
        let make = || {
            let to = to_kernel(to)?;
            self.open()?
                .send_to_with_flags(bytes, &to, libc::MSG_NOSIGNAL)
        };
        self.journal
            .call(true, asked, make, |&len| Answer::Count(len))
    }

    /// `recv(2)`: bytes received; 0 when a stream's other side is done sending.
    pub fn recv(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let (fd, size) = (self.fd, buffer.len());
        let received = self.journal.call(
            true,
            || Call::Recv { fd, size },
            || {
                let len = sys::recv(self.open()?, buffer, 0)?;
                Ok(&buffer[..len.min(size)])
            },
            |bytes| Answer::Data(Data::of(bytes)),
        );
        received.map(<[u8]>::len)
    }

    /// `recvfrom(2)`: one datagram; what does not fit into `buffer` is gone.
    pub fn recv_from(&self, buffer: &mut [u8]) -> io::Result<Received> {
        let (fd, size) = (self.fd, buffer.len());
        let (bytes, from, cut) = self.journal.call(
            true,
            || Call::RecvFrom { fd, size },
            || {
                let (len, cut, from) = sys::recv_from(self.open()?, buffer)?;
                Ok((&buffer[..len.min(size)], from_kernel(&from), cut))
            },
            |(bytes, from, cut)| Answer::Datagram(Data::of(bytes), from.clone(), *cut),
        )?;
        let len = bytes.len();
        Ok(Received { len, from, cut })
    }

    /// `shutdown(2)`.
    pub fn shutdown(&self, how: How) -> io::Result<()> {
        let fd = self.fd;
        let what = match how {
            How::Read => std::net::Shutdown::Read,
            How::Write => std::net::Shutdown::Write,
            How::Both => std::net::Shutdown::Both,
        };
        let asked = || Call::Shutdown { fd, how };
        let make = || self.open()?.shutdown(what);
        self.journal.call(false, asked, make, |()| Answer::Done)
    }

    /// `getsockname(2)`: this end's address.
    pub fn local(&self) -> io::Result<Address> {
        let fd = self.fd;
        let asked = || Call::GetSockName { fd };
        let make = || {
            self.open()?
                .local_addr()
                .map(|address| from_kernel(&address))
        };
        let answered = |address: &Address| Answer::Address(address.clone());
        self.journal.call(false, asked, make, answered)
    }

    /// The descriptor's number.
    pub const fn fd(&self) -> RawFd {
        self.fd
    }

    /// The journal that hears of its calls.
    pub const fn journal(&self) -> &Journal {
        &self.journal
    }

    /// The socket itself, for what has no method here; calls made through it are not told.
    pub fn open(&self) -> io::Result<&socket2::Socket> {
        self.inner
            .as_ref()
            .ok_or_else(|| io::Error::from_raw_os_error(libc::EBADF))
    }
}

/// `close(2)`.
impl Drop for Socket {
    fn drop(&mut self) {
        if let Some(inner) = self.inner.take() {
            let fd = self.fd;
            let make = || {
                drop(inner);
                Ok(())
            };
            // The call itself cannot be seen to fail: the descriptor is free afterwards in any case (close(2)).
            let _ = self
                .journal
                .call(false, || Call::Close { fd }, make, |()| Answer::Done);
        }
    }
}

/// `poll(2)`: waits until one of `sockets` can be read without waiting, or has failed; their places in the list. Without
/// `timeout`, in milliseconds, it waits for ever.
///
/// # Errors
/// Those of the call; `EINTR` when a signal came first.
pub fn poll(
    journal: &Journal,
    sockets: &[&Socket],
    timeout: Option<u32>,
) -> io::Result<Vec<usize>> {
    let mut waiting = Vec::with_capacity(sockets.len());
    for socket in sockets {
        waiting.push(PollFd::new(socket.open()?.as_fd(), PollFlags::POLLIN));
    }
    poll_fds(journal, &mut waiting, timeout)?;
    let waiting = waiting.iter().enumerate();
    Ok(waiting
        .filter(|(_, fd)| is_ready(fd))
        .map(|(at, _)| at)
        .collect())
}

/// `poll(2)` for descriptors of any sort, the terminal among them, and for writing too; they have the answer.
///
/// # Errors
/// Those of the call; `EINTR` when a signal came first.
pub fn poll_fds(
    journal: &Journal,
    waiting: &mut [PollFd<'_>],
    timeout: Option<u32>,
) -> io::Result<()> {
    let number = |fd: &PollFd<'_>| fd.as_fd().as_raw_fd();
    let fds: Vec<RawFd> = if journal.hears_calls() {
        waiting.iter().map(number).collect()
    } else {
        Vec::new()
    };
    let make = || {
        let limit = timeout.map_or(Ok(PollTimeout::NONE), PollTimeout::try_from);
        nix::poll::poll(waiting, limit.map_err(|_| Errno::EINVAL)?)?;
        Ok(waiting)
    };
    let answered = |waiting: &&mut [PollFd<'_>]| {
        let ready = waiting.iter().filter(|fd| is_ready(fd));
        Answer::Ready(ready.map(number).collect())
    };
    let told = journal.call(true, || Call::Poll { fds, timeout }, make, answered);
    told.map(drop)
}

/// What `poll` says of a descriptor: it can be used without waiting, or has failed.
pub(super) fn is_ready(fd: &PollFd<'_>) -> bool {
    fd.any().unwrap_or(true)
}

/// An address as the kernel takes it.
fn to_kernel(address: &Address) -> io::Result<SockAddr> {
    match address {
        Address::Ip(address) => Ok((*address).into()),
        Address::Path(path) => SockAddr::unix(path),
        // A zero byte in front says that the name is not in the file system (unix(7)).
        Address::Abstract(name) => SockAddr::unix(OsStr::from_bytes(&[b"\0", &name[..]].concat())),
        Address::Unnamed => SockAddr::unix(""),
    }
}

fn from_kernel(address: &SockAddr) -> Address {
    if let Some(address) = address.as_socket() {
        Address::Ip(address)
    } else if let Some(path) = address.as_pathname() {
        Address::Path(path.into())
    } else if let Some(name) = address.as_abstract_namespace() {
        Address::Abstract(name.into())
    } else {
        Address::Unnamed
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::{
        net::Ipv4Addr,
        sync::{Arc, Mutex},
        thread,
    };

    use super::*;
    use crate::sockets::{Event, Told};

    /// A journal, and what it has heard.
    fn heard() -> (Journal, Arc<Mutex<Vec<Told>>>) {
        let told: Arc<Mutex<Vec<Told>>> = Arc::default();
        let journal = Journal::new(true, {
            let told = Arc::clone(&told);
            move |event| told.lock().unwrap().push(event)
        });
        (journal, told)
    }

    fn loopback() -> Address {
        Address::Ip((Ipv4Addr::LOCALHOST, 0).into())
    }

    #[test]
    fn the_calls_of_an_exchange_are_told_in_their_order() {
        let (journal, told) = heard();
        let server = Socket::new(&Journal::default(), Family::Inet, Kind::Stream).unwrap();
        server.bind(&loopback()).unwrap();
        server.listen(1).unwrap();
        let address = server.local().unwrap();
        let there = thread::spawn(move || {
            let (stream, _) = server.accept().unwrap();
            stream.send_all(b"world").unwrap();
        });
        let client = Socket::new(&journal, Family::Inet, Kind::Stream).unwrap();
        let fd = client.fd();
        client.connect(&address).unwrap();
        let mut buffer = [0; 9];
        assert_eq!(client.recv(&mut buffer).unwrap(), 5);
        assert_eq!(&buffer[..5], b"world");
        there.join().unwrap();
        drop(client);
        let told = told.lock().unwrap();
        let done: Vec<_> = told
            .iter()
            .filter_map(|told| match &told.event {
                Event::Called(called) => Some((&called.call, called.result.clone())),
                _ => None,
            })
            .collect();
        let [socket, connect, recv, close] = &done[..] else {
            panic!("{done:?}");
        };
        assert_eq!(socket.1, Ok(Answer::Fd(fd)));
        assert_eq!(connect, &(&Call::Connect { fd, address }, Ok(Answer::Done)));
        assert_eq!(recv.1, Ok(Answer::Data(Data::of(b"world"))));
        assert_eq!(close, &(&Call::Close { fd }, Ok(Answer::Done)));
        assert!(told.is_sorted_by_key(|told| told.time));
    }

    #[test]
    fn a_datagram_that_does_not_fit_is_cut_and_says_so() {
        let silent = Journal::default();
        let receiver = Socket::new(&silent, Family::Inet, Kind::Datagram).unwrap();
        receiver.bind(&loopback()).unwrap();
        let sender = Socket::new(&silent, Family::Inet, Kind::Datagram).unwrap();
        sender.bind(&loopback()).unwrap();
        sender
            .send_to(b"too long", &receiver.local().unwrap())
            .unwrap();
        sender.send_to(b"", &receiver.local().unwrap()).unwrap();
        let from = sender.local().unwrap();
        let mut buffer = [0; 3];
        let first = receiver.recv_from(&mut buffer).unwrap();
        assert_eq!((&buffer, &first.from, first.cut), (b"too", &from, true));
        let empty = receiver.recv_from(&mut buffer).unwrap();
        assert_eq!((empty.len, empty.cut), (0, false));
    }

    #[test]
    fn poll_names_who_can_be_read() {
        let silent = Journal::default();
        let [one, other] = [0, 1].map(|_| {
            let socket = Socket::new(&silent, Family::Unix, Kind::Datagram).unwrap();
            let name = format!("sockwire-test-{}-{}", std::process::id(), socket.fd());
            socket.bind(&Address::Abstract(name.into_bytes())).unwrap();
            socket
        });
        assert!(poll(&silent, &[&one, &other], Some(0)).unwrap().is_empty());
        one.send_to(b"x", &other.local().unwrap()).unwrap();
        assert_eq!(poll(&silent, &[&one, &other], None).unwrap(), [1]);
        let from = other.recv_from(&mut [0; 8]).unwrap().from;
        assert_eq!(from, one.local().unwrap());
    }

    #[test]
    fn an_error_is_told_by_its_number() {
        let (journal, told) = heard();
        let closed = Address::Ip((Ipv4Addr::LOCALHOST, 1).into());
        let socket = Socket::new(&journal, Family::Inet, Kind::Stream).unwrap();
        let failed = socket.connect(&closed).unwrap_err().raw_os_error();
        let told = told.lock().unwrap();
        let Some(Event::Called(last)) = told.last().map(|told| &told.event) else {
            panic!("{told:?}");
        };
        assert_eq!(last.result.clone().err(), failed);
    }
}
