//! Connecting: one address after the other until one answers, with a sentence for each.

use std::{
    fs, io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    path::PathBuf,
    time::Duration,
};

use super::{Spoken, meaning};
use crate::{
    call::{Address, Choice, Family, Kind},
    sockets::{Event, Journal, Socket},
};

/// How a connection is made.
#[derive(Clone, Debug)]
pub struct Dial {
    /// A stream, or datagrams.
    pub kind: Kind,
    /// This end's address; without one the kernel chooses.
    pub source: Option<Source>,
    /// `TCP_NODELAY`.
    pub nodelay: bool,
    /// How long one address may take; without it as long as the kernel tries, about two minutes for TCP.
    pub wait: Option<Duration>,
}

/// A TCP connection from any address.
impl Default for Dial {
    fn default() -> Self {
        Self {
            kind: Kind::Stream,
            source: None,
            nodelay: false,
            wait: None,
        }
    }
}

/// This end's address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Source {
    /// Without it, whichever the route has.
    pub ip: Option<IpAddr>,
    /// 0 is a port that is free.
    pub port: u16,
}

/// An open connection, or a datagram socket that knows its other end.
#[derive(Debug)]
pub struct Connected {
    /// The socket.
    pub socket: Socket,
    /// The other end.
    pub peer: Address,
    /// Closed before this is removed: fields are dropped in their order.
    _own: Option<OwnPath>,
}

/// An address that could not be connected to.
#[derive(Debug, thiserror::Error)]
#[error("{}: {error}", Spoken(.address))]
pub struct Tried {
    /// The address.
    pub address: Address,
    /// The call that failed.
    pub step: Step,
    /// Why.
    pub error: io::Error,
}

/// The calls of connecting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// `socket`, `setsockopt`.
    Open,
    /// `bind`, to the source.
    Bind,
    /// `connect`.
    Connect,
}

impl Dial {
    /// Tries the addresses in their order until one answers, and tells of each.
    ///
    /// # Errors
    /// What became of each, when none did; a signal (`EINTR`) ends it early.
    pub fn all(&self, journal: &Journal, addresses: &[Address]) -> Result<Connected, Vec<Tried>> {
        let mut tried = Vec::new();
        for address in addresses {
            let connected = self.one(journal, address);
            journal.tell(|| Event::Note(self.said(address, connected.as_ref().err())));
            match connected {
                Ok(connected) => return Ok(connected),
                Err(one) => {
                    let is_over = one.error.kind() == io::ErrorKind::Interrupted;
                    tried.push(one);
                    if is_over {
                        break;
                    }
                }
            }
        }
        Err(tried)
    }

    /// Connects to one address, and tells nothing but its calls.
    ///
    /// # Errors
    /// Those of the calls.
    pub fn one(&self, journal: &Journal, address: &Address) -> Result<Connected, Tried> {
        let family = address.family();
        let failed = |step| {
            move |error| Tried {
                address: address.clone(),
                step,
                error,
            }
        };
        let socket = self.open(journal, family).map_err(failed(Step::Open))?;
        let own = self.bind(&socket, family).map_err(failed(Step::Bind))?;
        socket.connect(address).map_err(failed(Step::Connect))?;
        Ok(Connected {
            socket,
            peer: address.clone(),
            _own: own,
        })
    }

    fn open(&self, journal: &Journal, family: Family) -> io::Result<Socket> {
        let socket = Socket::new(journal, family, self.kind)?;
        let is_tcp = family != Family::Unix && self.kind == Kind::Stream;
        if self.nodelay && is_tcp {
            socket.set(Choice::NoDelay, 1)?;
        }
        if let Some(wait) = self.wait
            && self.kind == Kind::Stream
        {
            socket.set_time(Choice::SendTimeout, wait)?;
        }
        Ok(socket)
    }

    /// Gives the socket its own address, where one is wanted or answers could not come back without.
    fn bind(&self, socket: &Socket, family: Family) -> io::Result<Option<OwnPath>> {
        if family == Family::Unix {
            let wants_own = self.kind == Kind::Datagram;
            return wants_own.then(|| OwnPath::bind(socket)).transpose();
        }
        let Some(source) = self.source else {
            return Ok(None);
        };
        let any = match family {
            Family::Inet6 => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
            Family::Inet | Family::Unix => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        };
        let address = SocketAddr::new(source.ip.unwrap_or(any), source.port);
        if source.port != 0 && self.kind == Kind::Stream {
            // Its last connection from there may still be in TIME-WAIT.
            socket.set(Choice::ReuseAddr, 1)?;
        }
        socket.bind(&Address::Ip(address))?;
        Ok(None)
    }

    /// What became of it, in a sentence.
    fn said(&self, address: &Address, failed: Option<&Tried>) -> String {
        let spoken = Spoken(address);
        let Some(Tried { error, .. }) = failed else {
            return match self.kind {
                Kind::Stream => format!("connected to {spoken}"),
                Kind::Datagram => format!("datagrams go to {spoken}; nothing is sent yet"),
            };
        };
        if error.kind() == io::ErrorKind::Interrupted {
            return format!("trying {spoken}: stopped");
        }
        match meaning(address.family(), self.kind, error) {
            Some(meaning) => format!("trying {spoken}: {}", meaning.word),
            None => format!("trying {spoken}: {error}"),
        }
    }
}

/// The file of a Unix datagram socket that answers can come back to, gone when it is dropped.
#[derive(Debug)]
struct OwnPath(PathBuf);

impl OwnPath {
    /// Binds `socket` to a name that nobody has.
    fn bind(socket: &Socket) -> io::Result<Self> {
        /// A name can be left by a process of the same number that was killed.
        const NAMES: u32 = 1000;
        let process = std::process::id();
        let mut last = io::ErrorKind::AddrInUse.into();
        for number in 0..NAMES {
            let name = format!("sockwire-{process}-{number}.sock");
            let path = std::env::temp_dir().join(name);
            match socket.bind(&Address::Path(path.clone())) {
                Ok(()) => return Ok(Self(path)),
                Err(error) if error.kind() == io::ErrorKind::AddrInUse => last = error,
                Err(error) => return Err(error),
            }
        }
        Err(last)
    }
}

impl Drop for OwnPath {
    fn drop(&mut self) {
        // Somebody else may have removed it.
        let _ = fs::remove_file(&self.0);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::sync::{Arc, Mutex};

    use super::*;

    #[test]
    fn addresses_are_tried_in_their_order_and_each_is_told() {
        let silent = Journal::default();
        let server = Socket::new(&silent, Family::Inet, Kind::Stream).unwrap();
        server
            .bind(&Address::Ip((Ipv4Addr::LOCALHOST, 0).into()))
            .unwrap();
        let Address::Ip(here) = server.local().unwrap() else {
            panic!("an IP socket has an IP address");
        };
        // Bound and not listening: refused, and nobody else can take the port in between.
        let notes: Arc<Mutex<Vec<String>>> = Arc::default();
        let heard = Arc::clone(&notes);
        let journal = Journal::new(false, move |told| {
            if let Event::Note(note) = told.event {
                heard.lock().unwrap().push(note);
            }
        });
        let tried = Dial::default()
            .all(&journal, &[here.into(), here.into()])
            .unwrap_err();
        assert_eq!(tried.len(), 2);
        assert_eq!(tried[0].step, Step::Connect);
        server.listen(1).unwrap();
        let connected = Dial::default().all(&journal, &[here.into()]).unwrap();
        assert_eq!(connected.peer, Address::Ip(here));
        let port = here.port();
        let refused = format!("trying 127.0.0.1 port {port}: refused");
        let there = format!("connected to 127.0.0.1 port {port}");
        assert_eq!(*notes.lock().unwrap(), [&*refused, &*refused, &*there]);
    }

    #[test]
    fn a_unix_datagram_client_can_be_answered_and_leaves_no_file() {
        let silent = Journal::default();
        let server = Socket::new(&silent, Family::Unix, Kind::Datagram).unwrap();
        let name = format!("sockwire-dial-{}", std::process::id());
        server.bind(&Address::Abstract(name.into_bytes())).unwrap();
        let dial = Dial {
            kind: Kind::Datagram,
            ..Dial::default()
        };
        let client = dial.one(&silent, &server.local().unwrap()).unwrap();
        client.socket.send(b"x").unwrap();
        let from = server.recv_from(&mut [0; 2]).unwrap().from;
        server.send_to(b"y", &from).unwrap();
        assert_eq!(client.socket.recv(&mut [0; 2]).unwrap(), 1);
        let Address::Path(path) = from else {
            panic!("{from:?}");
        };
        assert!(path.exists());
        drop(client);
        assert!(!path.exists());
    }
}
