//! What the two hosts do, for each kind of socket.

mod datagram;
mod raw;
mod stream;

use std::{
    io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::AtomicBool,
        mpsc::{Receiver, Sender},
    },
};

use super::{Exchange, Kind, Report, message, patience};
use crate::{
    call::{self, Address},
    lab::{Host, LabError, Link, hosts::Body},
    sockets::{Event, Journal, Socket},
    sys::clock::Clock,
};

/// A host's side of the exchange.
struct Side {
    host: Host,
    server: SocketAddr,
    exchange: Exchange,
    /// Milliseconds that a datagram is waited for.
    patience: u32,
    journal: Journal,
    clock: Clock,
    say: Sender<Report>,
    /// The client has nothing more to ask. A program learns that from a stream's end, and of datagrams not at all.
    over: Arc<AtomicBool>,
}

/// Bodies of client and server. The client begins when the server is ready; the server reads for the first time when a
/// word comes through `gate`: how many of the short datagrams arrive.
pub(super) fn of(
    kind: Kind,
    exchange: Exchange,
    link: &Link,
    server: SocketAddr,
    say: Sender<Report>,
    gate: Receiver<usize>,
) -> [Body; 2] {
    let over = Arc::<AtomicBool>::default();
    let [client_side, server_side] = Host::BOTH.map(|host| Side {
        host,
        server,
        exchange,
        patience: u32::try_from(patience(link) / crate::time::MILLISECOND).unwrap_or(u32::MAX),
        journal: journal(host, say.clone()),
        clock: Clock::start(),
        say: say.clone(),
        over: Arc::clone(&over),
    });
    let (ready, wait) = std::sync::mpsc::channel();
    let client = move || {
        // Fails when the server's thread has ended, and with it the lab.
        let _ = wait.recv();
        client_side.tell(Report::Began(client_side.clock.now()));
        match kind {
            Kind::Stream => client_side.told(stream::client(&client_side)),
            Kind::Datagram => client_side.told(datagram::client(&client_side)),
            Kind::Raw => raw::client(&client_side)?,
        }
        client_side.tell(Report::Ended(client_side.clock.now()));
        Ok(())
    };
    let server = move || {
        let served = match kind {
            Kind::Datagram => datagram::server(&server_side, &ready, &gate),
            Kind::Stream | Kind::Raw => stream::server(&server_side, &ready, &gate),
        };
        server_side.told(served);
        Ok(())
    };
    [Box::new(client), Box::new(server)]
}

/// A journal that reports each call of `host` when it has returned.
fn journal(host: Host, say: Sender<Report>) -> Journal {
    Journal::new(true, move |told| {
        if let Event::Called(called) = told.event {
            // Nobody listens any more when the lab was broken off.
            let _ = say.send(Report::Called(host, called));
        }
    })
}

impl Side {
    fn tell(&self, report: Report) {
        let _ = self.say.send(report);
    }

    /// A failed call ends the program; that is a result like any other.
    fn told(&self, result: io::Result<()>) {
        if let Err(error) = result {
            self.tell(Report::Failed(self.host, error.to_string()));
        }
    }

    fn socket(&self, kind: call::Kind) -> io::Result<Socket> {
        Socket::new(&self.journal, self.address().family(), kind)
    }

    fn address(&self) -> Address {
        self.server.into()
    }

    /// So many of the short messages were sent.
    fn burst(&self, words: usize) {
        self.tell(Report::Burst(self.host, words));
    }

    /// Message `number` is about to be sent.
    fn said(&self, number: u32) {
        let time = self.clock.now();
        let by = self.host;
        self.tell(Report::Said { by, number, time });
    }

    /// A whole message was received; its number, which `expected` helps to read.
    fn got(&self, bytes: &[u8], expected: u32) -> Option<u32> {
        let time = self.clock.now();
        let number = message::number(bytes, expected)?;
        let by = self.host;
        self.tell(Report::Got { by, number, time });
        Some(number)
    }

    /// One receive of the burst returned this.
    fn read(&self, bytes: &[u8]) {
        let (by, bytes) = (self.host, bytes.to_vec());
        self.tell(Report::Read { by, bytes });
    }
}

/// Something of the hand-made end failed.
fn failed(what: &'static str) -> impl Fn(crate::probe::handshake::HandshakeError) -> LabError {
    move |error| LabError::Failed {
        what,
        error: io::Error::other(error),
    }
}
