//! What `serve` and `connect` speak, and the words for it.

use std::fmt;

use sockwire::call::{self, Address};

/// What is spoken, and over which sort of socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Tcp,
    Udp,
    Unix,
    UnixDatagram,
    Http,
    WebSocket,
}

/// The words for kinds, as the first one on the command line.
pub(crate) const KINDS: [(&str, Kind); 5] = [
    ("tcp", Kind::Tcp),
    ("udp", Kind::Udp),
    ("unix", Kind::Unix),
    ("http", Kind::Http),
    ("ws", Kind::WebSocket),
];

impl Kind {
    /// The kind that `word` says.
    pub(crate) fn named(word: &str) -> Option<Self> {
        let known = KINDS.iter().find(|(name, _)| *name == word);
        known.map(|(_, kind)| *kind)
    }

    pub(crate) const fn is_datagram(self) -> bool {
        matches!(self, Self::Udp | Self::UnixDatagram)
    }

    pub(crate) const fn is_unix(self) -> bool {
        matches!(self, Self::Unix | Self::UnixDatagram)
    }

    /// The type of its sockets.
    pub(crate) const fn socket(self) -> call::Kind {
        if self.is_datagram() {
            call::Kind::Datagram
        } else {
            call::Kind::Stream
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tcp => "TCP",
            Self::Udp => "UDP",
            Self::Unix => "Unix stream",
            Self::UnixDatagram => "Unix datagram",
            Self::Http => "HTTP",
            Self::WebSocket => "WebSocket",
        })
    }
}

/// The address of a Unix socket: a path, or `@NAME` in the abstract namespace.
pub(crate) fn unix_address(word: &str) -> Address {
    match word.strip_prefix('@') {
        Some(name) => Address::Abstract(name.into()),
        None => Address::Path(word.into()),
    }
}
