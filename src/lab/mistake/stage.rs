//! What the programs of a mistake have in common: sockets with a journal, the server's address, and cues to each other.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::mpsc::{Receiver, Sender, channel},
    thread,
    time::Duration,
};

use crate::{
    call::{Address, Kind},
    sockets::{Event, Journal, Socket},
    sys::process::{self, Side},
};

/// The server's port.
pub const PORT: u16 = 5000;

/// Where one host's program plays.
#[derive(Debug)]
pub struct Stage {
    journal: Journal,
    server: IpAddr,
    tell: Sender<()>,
    hear: Receiver<()>,
}

impl Stage {
    /// The stages of client and server.
    pub(super) fn both(journals: [Journal; 2], addresses: [IpAddr; 2]) -> [Self; 2] {
        let (to_server, from_client) = channel();
        let (to_client, from_server) = channel();
        let [client, server] = journals;
        let stage = |journal, tell, hear| Self {
            journal,
            server: addresses[1],
            tell,
            hear,
        };
        [
            stage(client, to_server, from_server),
            stage(server, to_client, from_client),
        ]
    }

    /// Gives the other program its cue; the first one of the server says that it is ready.
    pub(super) fn cue(&self) {
        let _ = self.tell.send(());
    }

    /// Waits for the other program's cue, or its end.
    pub(super) fn wait(&self) {
        let _ = self.hear.recv();
    }

    /// Time in which what was sent has arrived.
    pub(super) fn pause(&self) {
        thread::sleep(Duration::from_millis(50));
    }

    /// Says something in the program's own words.
    pub(super) fn note(&self, text: impl Into<String>) {
        self.journal.tell(|| Event::Note(text.into()));
    }

    /// The server's address and port.
    pub(super) fn server(&self) -> Address {
        SocketAddr::new(self.server, PORT).into()
    }

    /// The same port at another address of this host.
    pub(super) fn port_at(&self, address: Ipv4Addr) -> Address {
        SocketAddr::new(address.into(), PORT).into()
    }

    fn socket(&self, kind: Kind) -> io::Result<Socket> {
        Socket::new(&self.journal, self.server().family(), kind)
    }

    /// A stream socket.
    pub(super) fn stream(&self) -> io::Result<Socket> {
        self.socket(Kind::Stream)
    }

    /// A datagram socket.
    pub(super) fn datagrams(&self) -> io::Result<Socket> {
        self.socket(Kind::Datagram)
    }

    /// A stream socket connected to the server.
    pub(super) fn connect(&self) -> io::Result<Socket> {
        let socket = self.stream()?;
        socket.connect(&self.server())?;
        Ok(socket)
    }

    /// A socket that listens at `address`; the client may come.
    pub(super) fn listen(&self, address: &Address, backlog: i32) -> io::Result<Socket> {
        let socket = self.stream()?;
        socket.bind(address)?;
        socket.listen(backlog)?;
        self.cue();
        Ok(socket)
    }

    /// The connection of the only client that comes.
    pub(super) fn only_client(&self) -> io::Result<Socket> {
        let listener = self.listen(&self.server(), 5)?;
        Ok(listener.accept()?.0)
    }

    /// A datagram socket at the server's port; the client may send.
    pub(super) fn bound(&self) -> io::Result<Socket> {
        let socket = self.datagrams()?;
        socket.bind(&self.server())?;
        self.cue();
        Ok(socket)
    }

    /// `fork(2)`. The child ends with [`process::leave`], and in any case with this program.
    pub(super) fn fork(&self) -> io::Result<Side> {
        self.journal.fork(process::split_tied)
    }

    /// `waitpid(2)` for a child.
    pub(super) fn wait_for(&self, child: u32) -> io::Result<()> {
        self.journal.wait(Some(child), true).map(drop)
    }
}

/// Receives until the other side is done, or has failed; what came.
pub(super) fn recv_all(socket: &Socket, size: usize) -> Vec<u8> {
    let mut buffer = vec![0; size];
    let mut all = Vec::new();
    while let Ok(len @ 1..) = socket.recv(&mut buffer) {
        all.extend_from_slice(&buffer[..len]);
    }
    all
}
