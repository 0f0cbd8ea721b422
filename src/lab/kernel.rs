//! A host of a scenario played by the kernel: its calls made with ordinary sockets in the network of this thread.

use std::{
    io::{self, Read, Write},
    net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket},
    thread,
    time::Duration,
};

use super::{nobody, scenario::Call};
use crate::sys::sock_diag::SockDiag;

/// The sockets of one host.
#[derive(Debug)]
pub(super) struct Kernel {
    own: IpAddr,
    peer: IpAddr,
    patience: Duration,
    listener: Option<TcpListener>,
    stream: Option<TcpStream>,
    datagrams: Option<UdpSocket>,
    last_sender: Option<SocketAddr>,
    /// Own and other socket of each connection that there was.
    connections: Vec<(SocketAddr, SocketAddr)>,
}

impl Kernel {
    /// A host at `own` that talks to `peer`, and waits for a datagram for `patience`.
    pub(super) fn new(own: IpAddr, peer: IpAddr, patience: Duration) -> Self {
        Self {
            own,
            peer,
            patience,
            listener: None,
            stream: None,
            datagrams: None,
            last_sender: None,
            connections: Vec::new(),
        }
    }

    /// Makes one call and waits until it returns.
    pub(super) fn call(&mut self, call: Call) -> io::Result<()> {
        match call {
            Call::Listen(port) => self.listener = Some(TcpListener::bind((self.own, port))?),
            Call::Accept => {
                let listener = self.listener.as_ref().ok_or_else(not_connected)?;
                let stream = listener.accept()?.0;
                self.connected(stream)?;
            }
            Call::Connect(port) => self.connected(TcpStream::connect((self.peer, port))?)?,
            Call::ConnectWithin(port, milliseconds) => {
                let limit = Duration::from_millis(milliseconds);
                let to = SocketAddr::new(self.peer, port);
                self.connected(TcpStream::connect_timeout(&to, limit)?)?;
            }
            Call::ConnectNobody(port) => {
                self.connected(TcpStream::connect((nobody(self.peer), port))?)?;
            }
            Call::Send(text) => self.stream()?.write_all(text.as_bytes())?,
            Call::Receive(count) => self.stream()?.read_exact(&mut vec![0; count])?,
            Call::ReceiveEnd => drop(io::copy(self.stream()?, &mut io::sink())?),
            Call::Shutdown => self.stream()?.shutdown(std::net::Shutdown::Write)?,
            Call::Close => {
                self.stream = None;
                self.listener = None;
                self.datagrams = None;
            }
            Call::Bind(port) => drop(self.bind(port)?),
            Call::SendTo(port, content) => {
                let to = SocketAddr::new(self.peer, port);
                self.datagrams()?.send_to(&content.bytes(), to)?;
            }
            Call::Reply(content) => {
                let to = self.last_sender.ok_or_else(not_connected)?;
                self.datagrams()?.send_to(&content.bytes(), to)?;
            }
            Call::ReceiveFrom => {
                let patience = self.patience;
                let received = self.datagrams()?.recv_from(&mut [0; 65536]);
                let (_, from) = received.map_err(|error| too_late(error, patience))?;
                self.last_sender = Some(from);
            }
            Call::Wait(milliseconds) => thread::sleep(Duration::from_millis(milliseconds)),
        }
        Ok(())
    }

    fn connected(&mut self, stream: TcpStream) -> io::Result<()> {
        self.connections
            .push((stream.local_addr()?, stream.peer_addr()?));
        self.stream = Some(stream);
        Ok(())
    }

    /// Waits until no connection has anything left to say: each is in TIME-WAIT, or gone.
    pub(super) fn settle(&mut self) -> io::Result<()> {
        const TIME_WAIT: u8 = 6;
        const LISTEN: u8 = 10;
        let diag = SockDiag::open()?;
        while let Some(&(own, other)) = self.connections.last() {
            match diag.tcp_state(own, other) {
                Ok(Some(state)) if state != TIME_WAIT && state != LISTEN => {
                    thread::sleep(Duration::from_millis(1));
                }
                // A kernel that cannot tell shall not keep anybody waiting.
                _ => drop(self.connections.pop()),
            }
        }
        Ok(())
    }

    fn stream(&mut self) -> io::Result<&mut TcpStream> {
        self.stream.as_mut().ok_or_else(not_connected)
    }

    fn datagrams(&mut self) -> io::Result<&UdpSocket> {
        match self.datagrams {
            Some(ref socket) => Ok(socket),
            None => self.bind(0),
        }
    }

    fn bind(&mut self, port: u16) -> io::Result<&UdpSocket> {
        let socket = UdpSocket::bind((self.own, port))?;
        socket.set_read_timeout(Some(self.patience))?;
        Ok(self.datagrams.insert(socket))
    }
}

/// The time limit of a socket shows as EAGAIN (socket(7), SO_RCVTIMEO).
fn too_late(error: io::Error, patience: Duration) -> io::Error {
    if error.kind() != io::ErrorKind::WouldBlock {
        return error;
    }
    let words = format!("nothing came in {:.2} s", patience.as_secs_f64());
    io::Error::new(io::ErrorKind::TimedOut, words)
}

fn not_connected() -> io::Error {
    io::ErrorKind::NotConnected.into()
}
