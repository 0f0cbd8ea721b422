//! What the join and the views need of a packet, read from its bytes once.

use std::net::SocketAddr;

use crate::event::Transport;

/// A packet between two sockets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// What it belongs to.
    pub transport: Transport,
    /// Its sender; of an ICMP error, the sender of the packet that it quotes.
    pub source: SocketAddr,
    /// Its receiver, likewise.
    pub destination: SocketAddr,
    /// What it carries.
    pub what: What,
    /// How its data begins, at most [`crate::call::HEAD`] bytes. Untrusted.
    pub data: Vec<u8>,
}

/// What a packet carries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// A TCP segment.
    Segment(Segment),
    /// A UDP datagram (put together, where it came in fragments), with so many bytes of data.
    Datagram(u32),
    /// An ICMP error about a packet between these two; what it says ("port unreachable").
    Error(&'static str),
}

/// A TCP segment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Segment {
    /// Sequence number.
    pub seq: u32,
    /// Acknowledgment number, when the ACK flag is set.
    pub ack: Option<u32>,
    /// The SYN flag.
    pub syn: bool,
    /// The FIN flag.
    pub fin: bool,
    /// The RST flag.
    pub rst: bool,
    /// The PSH flag.
    pub psh: bool,
    /// The window field, unscaled.
    pub window: u16,
    /// Bytes of data on the wire.
    pub len: u32,
}
