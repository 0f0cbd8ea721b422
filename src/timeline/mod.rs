//! Calls and packets in one order, each packet tied to the call that caused it: a pure function of a trace's log.
//!
//! ```text
//!  merge    entries of several sources → one order of time       known   processes, sockets, networks of a log
//!  seen     a packet's bytes → what the join needs of it         join    packet ↔ call, each tie with its ground
//!  own      which packets are the traced programs'               links   which two sockets are one connection, and which end stands left
//!  rows     rows in order of time, held back for a moment (row what they say, fold what is put together, turn until when)
//!  holders  which processes have a socket open
//!  course   all of it, entry by entry
//!  summary  each connection: what became of what, and where the time went
//!  why      a packet's or a call's ties, in sentences
//! ```
//!
//! Sequence space, not time, ties a segment to a call; the interval from a call's entering to its return, not an instant,
//! orders them (`research` of the design: with one stamp a call a third to a half of causes stand behind their effects).

mod address;
mod course;
mod fold;
mod holders;
pub mod join;
pub mod known;
mod links;
pub mod merge;
mod names;
pub mod own;
pub mod row;
mod rows;
pub mod seen;
pub mod summary;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
pub(crate) mod tests;
mod turn;
pub mod why;

pub use course::Timeline;
pub use fold::{BUSY, ENDLESS};
pub use rows::Folding;

use std::ops::Range;

use crate::event::{CallId, SocketId};

/// Why a packet is tied to a call. No tie is without one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Ground {
    /// The bytes that it carries are bytes of the call, counted from the initial sequence number (RFC 9293 §3.4).
    Sequence,
    /// The call's own bytes, where several calls at once could have sent these.
    Content,
    /// The addresses are those that `connect` connected.
    Connect,
    /// The first `shutdown` of writing.
    Shutdown,
    /// The last call that let go of the socket.
    LastClose,
    /// The k-th datagram to, or from, that address.
    Order,
    /// Nothing but time: it was sent while the call lasted.
    Time,
}

impl Ground {
    /// As views write it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Sequence => "sequence",
            Self::Content => "content",
            Self::Connect => "connect",
            Self::Shutdown => "shutdown",
            Self::LastClose => "last close",
            Self::Order => "order",
            Self::Time => "time only",
        }
    }
}

/// What of a packet a call has to do with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Share {
    /// The SYN.
    Syn,
    /// These bytes of the stream, counted from 0.
    Bytes(Range<u64>),
    /// The FIN.
    Fin,
    /// The RST.
    Reset,
    /// The whole datagram.
    Datagram,
}

/// A tie between a packet and a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tie {
    /// The call.
    pub call: CallId,
    /// What of the packet.
    pub share: Share,
    /// Why.
    pub ground: Ground,
}

/// What the kernel sent a packet, or a part of it, for, without a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kernel {
    /// A SYN,ACK, for the socket that listens.
    SynAck,
    /// An acknowledgment; with the last call whose bytes (or SYN, or FIN) it acknowledges for the first time.
    Ack(Option<CallId>),
    /// The same acknowledgment again, with another window.
    WindowUpdate,
    /// The same acknowledgment again: something is missing.
    DuplicateAck,
    /// Asks whether the other side is still there.
    KeepAlive,
    /// Asks whether the other side's window has opened.
    WindowProbe,
    /// A RST to a packet that no socket waits for.
    NoSocket,
    /// A RST by a socket of its own accord.
    Reset,
    /// An ICMP error.
    Error,
}

/// How a packet is tied.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tied {
    /// The socket that sent it, where that is traced.
    pub sender: Option<SocketId>,
    /// The socket that it is for, where that is traced.
    pub receiver: Option<SocketId>,
    /// Calls that caused it, in order of their bytes.
    pub causes: Vec<Tie>,
    /// All its data (and SYN, and FIN) was sent before.
    pub again: bool,
    /// What the kernel sent it for, where no call caused it.
    pub kernel: Option<Kernel>,
    /// Calls that returned what it carries, in order of their bytes.
    pub takers: Vec<Tie>,
}

/// What a call has to do with packets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Effects {
    /// Packets that it caused, and what of them, in order of time.
    pub caused: Vec<(crate::event::PacketId, Share, Ground)>,
    /// Packets whose data it returned.
    pub took: Vec<(crate::event::PacketId, Share, Ground)>,
    /// Bytes of the datagrams that it returned for which its buffer had no room, and which nobody gets.
    pub lost: u64,
}
