//! What a story consists of: flow headers, sections, rows and notes, as values that any drawing can use.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use crate::{
    call::Address,
    event::{Enter, PacketId, Return},
    time::Time,
    track::state::State,
};

/// One end of a flow: who began it, or who answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Side {
    /// Began the flow; the left column.
    #[default]
    Client = 0,
    /// The right column.
    Server = 1,
}

impl Side {
    /// The other end.
    pub const fn other(self) -> Self {
        match self {
            Self::Client => Self::Server,
            Self::Server => Self::Client,
        }
    }

    /// "client" or "server".
    pub const fn word(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Server => "server",
        }
    }
}

/// What a flow is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// A TCP connection.
    Tcp,
    /// An exchange of UDP datagrams.
    Udp,
    /// Two Unix sockets: there are no packets.
    Unix,
}

impl Kind {
    /// As flow headers write it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
            Self::Unix => "unix",
        }
    }
}

/// The name of a flow: `C1`, `U2`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Label {
    /// Its kind, which gives the letter.
    pub kind: Kind,
    /// Counted from 1 for each kind.
    pub number: u64,
}

impl std::fmt::Display for Label {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let letter = match self.kind {
            Kind::Tcp => 'C',
            Kind::Udp => 'U',
            Kind::Unix => 'X',
        };
        write!(f, "{letter}{}", self.number)
    }
}

/// Something to show, in order.
#[derive(Clone, Debug, PartialEq)]
pub enum Item {
    /// The rows and notes that follow belong to this flow. Comes again whenever the flow changes.
    Flow(Header),
    /// A new part of a TCP connection begins.
    Section(Section),
    /// A packet.
    Row(Row),
    /// A socket call, where those are known (a trace).
    Call(Call),
    /// A sentence about the rows above it.
    Note(Note),
}

/// Which flow it is, and between whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// Its name in this run.
    pub label: Label,
    /// `tcp.stream` or `udp.stream` of its first packet, where tracking has numbered it.
    pub stream: Option<u32>,
    /// Who began it.
    pub client: Address,
    /// Who answers.
    pub server: Address,
    /// Index of the interface in the source's list.
    pub interface: u32,
    /// The programs that have its sockets, client and server, where known. Untrusted text.
    pub programs: [Option<String>; 2],
    /// The states before its first packet; `None` for flows without states.
    pub states: Option<[State; 2]>,
}

/// A part of a TCP connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Section {
    /// The handshake.
    Open,
    /// Data.
    Data,
    /// The close, and who began it.
    Close(Side),
    /// An abrupt end, and by whom.
    Reset(Side),
}

/// A packet between both ends.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// Its sender.
    pub from: Side,
    /// When it left its sender, or was captured.
    pub sent: Time,
    /// What became of it.
    pub fate: Fate,
    /// States of client and server after it; `None` for flows without states.
    pub states: Option<[State; 2]>,
    /// What it is.
    pub what: What,
    /// The first bytes of its data, at most [`EXCERPT`]. Untrusted.
    pub data: Vec<u8>,
    /// Its `frame.number`; of a run, the first; 0 where there is no packet.
    pub number: u64,
    /// What calls at the sender's and at the receiver's end have to do with it, and why that is known (a trace). Safe to show.
    pub ties: [String; 2],
}

/// A socket call, or its beginning or end, between the packets of a flow.
#[derive(Clone, Debug, PartialEq)]
pub struct Call {
    /// The end that it was made at.
    pub side: Side,
    /// What is shown of it.
    pub part: Part,
    /// When that was.
    pub time: Time,
    /// What was asked.
    pub enter: Arc<Enter>,
    /// What it returned, and after how many nanoseconds.
    pub answer: Option<(i64, Return)>,
    /// What else is to be said: how often it was made in vain. Safe to show.
    pub beside: String,
    /// It returned an error, or does not get on.
    pub is_trouble: bool,
    /// Who made it, where that does not go without saying. Safe to show.
    pub who: String,
    /// Packets that it caused, and packets of which it got data.
    pub packets: [Vec<PacketId>; 2],
}

/// Which part of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// All of it.
    Whole,
    /// It was made, and waits.
    Begins,
    /// It returns after it has waited.
    Returns,
}

/// Bytes of data kept for a row's excerpt.
pub const EXCERPT: usize = 48;

/// What became of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Captured at one place: not known.
    Seen,
    /// On its way.
    Underway,
    /// Reached its receiver.
    Delivered(Time),
    /// The wire dropped it.
    Dropped,
    /// Sent again later, and not acknowledged in between: it, or the answer to it, was lost. Only the whole file tells.
    Lost,
}

impl Fate {
    /// It ends in a cross.
    pub const fn is_lost(self) -> bool {
        matches!(self, Self::Dropped | Self::Lost)
    }
}

/// A sequence or acknowledgment number, as it is on the wire and counted from the initial one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Number {
    /// As in the packet.
    pub raw: u32,
    /// Counted from 0 at the SYN.
    pub relative: u32,
}

/// What a packet is.
#[derive(Clone, Debug, PartialEq)]
pub enum What {
    /// A TCP segment.
    Segment(Tcp),
    /// A UDP datagram.
    Datagram {
        /// Bytes of data.
        len: u32,
        /// How many fragments it was put together from; `None` for one that came whole.
        fragments: Option<u32>,
        /// Nanoseconds since the datagram that it answers.
        after: Option<i64>,
    },
    /// An ICMP error about a packet of this flow.
    Error {
        /// What it says ("port unreachable").
        says: &'static str,
        /// The number of the packet that it quotes, where that was seen.
        about: Option<u64>,
        /// Who sent it, where that is not the other end.
        by: Option<IpAddr>,
    },
    /// So many bytes from one Unix socket to the other.
    Message(u64),
    /// Several data segments in one direction, folded.
    Run {
        /// How many.
        segments: u32,
        /// Bytes of data in all.
        bytes: u64,
        /// Pure acknowledgments of the other side between them.
        acks: u32,
        /// The number of the last.
        last: u64,
    },
}

/// What a row tells of a TCP segment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tcp {
    /// The SYN flag.
    pub syn: bool,
    /// The FIN flag.
    pub fin: bool,
    /// The RST flag.
    pub rst: bool,
    /// Bytes of data.
    pub len: u32,
    /// Sequence number.
    pub seq: Number,
    /// Acknowledgment number, when the ACK flag is set.
    pub ack: Option<Number>,
    /// Its maximum segment size option, on a SYN.
    pub mss: Option<u16>,
    /// Its window scale option, on a SYN.
    pub scale: Option<u8>,
    /// The sender cannot take more data.
    pub window_zero: bool,
    /// How it stands to the segments before it.
    pub order: Order,
}

/// How a segment stands to the ones that its sender sent before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// It comes next.
    #[default]
    Next,
    /// Sent again; with the number of the first, where that is still known.
    Again(Option<u64>),
    /// Fills a gap: it was overtaken.
    Late,
    /// Asks whether the other side is still there.
    KeepAlive,
    /// Asks whether the other side's window, which was 0, has opened.
    WindowProbe,
    /// Something before it was not captured.
    AfterGap,
}

/// A sentence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// What it is about.
    pub about: About,
    /// When it became true; for time-outs, the deadline.
    pub time: Time,
    /// In plain words. Safe to show.
    pub text: String,
}

/// What a note is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum About {
    /// The connection opened.
    Open,
    /// The connection or exchange came to its ordinary end.
    End,
    /// Everything else: refusals, losses, resets, silence.
    Trouble,
    /// What a reader should know of the rows (seen from the middle, half-close).
    Remark,
}

/// How a flow stands, or how it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Outcome {
    /// Nothing came back.
    Unanswered,
    /// A RST answered the SYN.
    Refused,
    /// An ICMP error answered.
    Unreachable,
    /// The handshake is not complete.
    HalfOpen,
    /// Open.
    Open,
    /// One side has closed.
    Closing,
    /// Both sides closed.
    Closed,
    /// A RST ended it.
    Reset,
    /// A reply came.
    Answered,
}

impl Outcome {
    /// One word.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Unanswered => "unanswered",
            Self::Refused => "refused",
            Self::Unreachable => "unreachable",
            Self::HalfOpen => "half open",
            Self::Open => "open",
            Self::Closing => "closing",
            Self::Closed => "closed",
            Self::Reset => "reset",
            Self::Answered => "answered",
        }
    }
}

/// Everything known of one flow, for closing lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    /// Its name in this run.
    pub label: Label,
    /// Who began it.
    pub client: SocketAddr,
    /// Who answered.
    pub server: SocketAddr,
    /// How it stands.
    pub outcome: Outcome,
    /// Nanoseconds from the first SYN until each end was ESTABLISHED: client, server.
    pub open: [Option<i64>; 2],
    /// Nanoseconds from a SYN that was sent once to its SYN,ACK, at the client.
    pub rtt: Option<i64>,
    /// Initial sequence numbers of client and server.
    pub isn: [Option<u32>; 2],
    /// Packets sent by client and server.
    pub packets: [u64; 2],
    /// Bytes of data sent by client and server, without repetitions for TCP.
    pub bytes: [u64; 2],
    /// Packets that the wire dropped.
    pub lost: u64,
    /// States of client and server; `None` for flows without states.
    pub states: Option<[State; 2]>,
    /// Who sent the first FIN.
    pub began_close: Option<Side>,
}

impl Summary {
    /// The end that keeps TIME-WAIT; `None` when neither or both do.
    pub fn time_wait(&self) -> Option<Side> {
        match self.states? {
            [State::TimeWait, State::TimeWait] => None,
            [State::TimeWait, _] => Some(Side::Client),
            [_, State::TimeWait] => Some(Side::Server),
            _ => None,
        }
    }
}
