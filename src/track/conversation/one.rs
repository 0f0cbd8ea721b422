//! One conversation: what both sides sent, how far it came, and who ended it.

use std::net::{IpAddr, SocketAddr};

use crate::{
    field::{Field, Value},
    layer::View,
    proto::tcp,
    time::Time,
    track::{
        flow::{FlowKey, Transport, is_from_server},
        state::{End, Segment, State},
        story::{Outcome, Side},
    },
};

/// What one side sent.
#[derive(Clone, Copy, Debug, Default)]
pub struct Direction {
    /// Packets.
    pub packets: u64,
    /// Bytes of their frames on the wire.
    pub bytes: u64,
    /// Bytes of TCP or UDP payload on the wire, repetitions included.
    pub payload: u64,
    /// Packets whose bytes it had sent before.
    pub retransmissions: u32,
    /// Packets with the RST flag.
    pub resets: u32,
    /// Packets of which the TCP analysis has something to say (`tcp.analysis.flags`).
    pub flagged: u32,
    /// Its smoothed round trip at the end, in nanoseconds (SRTT, RFC 6298 §2).
    pub srtt: Option<i64>,
    end: End,
}

/// An ICMP error about a packet of the conversation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// What it says ("port unreachable").
    pub says: &'static str,
    /// Who sent it.
    pub by: IpAddr,
}

/// A conversation.
#[derive(Clone, Debug)]
pub struct Conversation {
    sockets: FlowKey,
    /// The client has the lower socket.
    client_is_low: bool,
    /// Its number, as `tcp.stream` or `udp.stream` has it.
    pub stream: u32,
    /// The earliest of its packets.
    pub start: Time,
    /// The latest of its packets.
    pub end: Time,
    /// What client and server sent.
    pub sent: [Direction; 2],
    /// Nanoseconds from the last SYN to the ACK that ended the handshake (`tcp.analysis.initial_rtt`).
    pub handshake_rtt: Option<i64>,
    /// How it stands, or how it ended.
    pub outcome: Outcome,
    /// Who ended it: sent the first FIN, the RST that counted, or the RST that refused.
    pub ended_by: Option<Side>,
    /// The first ICMP error about it.
    pub error: Option<Refusal>,
}

impl Conversation {
    /// Of the header that begins it; `None` where its sockets were not captured. The client is who sent the SYN, else
    /// who has the higher port, and for UDP who spoke first.
    pub(super) fn new(view: &View<'_>, transport: Transport, stream: u32) -> Option<Self> {
        let ports = (view.u16(0)?, view.u16(2)?);
        let (sockets, forward) = FlowKey::new(transport, view.addresses()?, ports);
        let mut conversation = Self {
            sockets,
            client_is_low: forward,
            stream,
            start: view.packet.frame.time,
            end: view.packet.frame.time,
            sent: Default::default(),
            handshake_rtt: None,
            outcome: Outcome::Unanswered,
            ended_by: None,
            error: None,
        };
        if let Some(s) = segment(view).filter(|_| transport == Transport::Tcp) {
            let opens = s.syn && s.ack.is_none();
            if is_from_server(s.syn, s.ack.is_some(), ports) {
                conversation.client_is_low = !forward;
            }
            if opens {
                conversation.sent[0].end = End::new(State::Closed);
            } else if !s.syn && !s.rst {
                conversation.outcome = Outcome::Open;
            }
        }
        Some(conversation)
    }

    /// A packet from `source`; one that is aside is not counted.
    pub(super) fn packet(&mut self, view: &View<'_>, source: (IpAddr, u16), aside: bool) {
        let from = self.side(source);
        let said = Said::of(view);
        let payload = match self.transport() {
            Transport::Udp => {
                if from == Side::Server {
                    self.outcome = Outcome::Answered;
                }
                view.payload_wire()
            }
            Transport::Tcp => {
                let segment = segment(view);
                self.round_trips(&said, from, segment.as_ref().is_some_and(|s| s.rst));
                if let Some(s) = &segment {
                    self.segment(from, s);
                }
                segment.map_or(0, |s| s.len)
            }
        };
        if aside {
            return;
        }
        let time = view.packet.frame.time;
        if !self.is_counted() {
            (self.start, self.end) = (time, time);
        }
        self.start = self.start.min(time);
        self.end = self.end.max(time);
        let sent = &mut self.sent[from as usize];
        sent.packets += 1;
        sent.bytes += u64::from(view.packet.frame.wire_len);
        sent.payload += u64::from(payload);
        sent.flagged += u32::from(said.flagged);
        sent.retransmissions += u32::from(said.again);
        sent.resets += u32::from(said.reset);
    }

    /// Some packet of it counted.
    pub(super) fn is_counted(&self) -> bool {
        self.sent.iter().any(|sent| sent.packets > 0)
    }

    /// An ICMP error about a packet from `source`.
    pub(super) fn error(&mut self, source: (IpAddr, u16), refusal: Refusal) {
        self.error.get_or_insert(refusal);
        let waits = matches!(self.outcome, Outcome::Unanswered | Outcome::HalfOpen);
        if waits && self.side(source) == Side::Client {
            self.outcome = Outcome::Unreachable;
        }
    }

    /// What tracking measured with this segment. A refusal ends no handshake, though it is a round trip.
    fn round_trips(&mut self, said: &Said, from: Side, rst: bool) {
        let handshake_rtt = said.handshake_rtt.filter(|_| !rst);
        self.handshake_rtt = self.handshake_rtt.or(handshake_rtt);
        // The estimate is of the side that gets this ACK.
        let receiver = &mut self.sent[from.other() as usize];
        receiver.srtt = said.srtt.or(receiver.srtt);
    }

    /// Both ends move on. The one capture point stands for both: what is sent has arrived.
    fn segment(&mut self, from: Side, s: &Segment) {
        let to = if self.is_own() { from } else { from.other() };
        let before = self.sent[to as usize].end.state();
        self.sent[from as usize].end.sends(s);
        self.sent[to as usize].end.receives(s);
        if self.is_own() {
            self.sent[1].end = self.sent[0].end;
        }
        let [client, server] = self.sent.map(|sent| sent.end.state());
        if self.is_over() {
            return;
        }
        if s.rst {
            if before != self.sent[to as usize].end.state() {
                let refused = before == State::SynSent;
                self.outcome = if refused {
                    Outcome::Refused
                } else {
                    Outcome::Reset
                };
                self.ended_by = Some(from);
            }
            return;
        }
        if s.fin {
            self.ended_by.get_or_insert(from);
        }
        let answered = server.is_synchronized() || server == State::Unknown;
        self.outcome = match self.outcome {
            _ if self.ended_by.is_some() && client.is_over() && server.is_over() => Outcome::Closed,
            _ if self.ended_by.is_some() => Outcome::Closing,
            _ if client.is_synchronized() && answered => Outcome::Open,
            Outcome::Unanswered | Outcome::Unreachable if from == Side::Server => Outcome::HalfOpen,
            outcome => outcome,
        };
    }

    /// The transport of both sockets.
    pub fn transport(&self) -> Transport {
        self.sockets.transport()
    }

    /// The sockets of client and server.
    pub fn sockets(&self) -> [SocketAddr; 2] {
        let (low, high) = self.sockets.sockets();
        if self.client_is_low {
            [low, high]
        } else {
            [high, low]
        }
    }

    /// The states of client and server after the last segment; `None` for UDP, which has none.
    pub fn states(&self) -> Option<[State; 2]> {
        (self.transport() == Transport::Tcp).then(|| self.sent.map(|sent| sent.end.state()))
    }

    /// Nanoseconds from the earliest to the latest packet.
    pub fn duration(&self) -> i64 {
        self.end.since(self.start)
    }

    /// Of both directions together.
    pub fn sum(&self, of: impl Fn(&Direction) -> u64) -> u64 {
        self.sent.iter().map(of).sum()
    }

    /// It came to something: not among the first to be forgotten.
    pub(super) fn is_worth_keeping(&self) -> bool {
        !matches!(
            self.outcome,
            Outcome::Unanswered | Outcome::HalfOpen | Outcome::Refused | Outcome::Unreachable
        )
    }

    /// Nothing more is to come, but stragglers.
    fn is_over(&self) -> bool {
        matches!(
            self.outcome,
            Outcome::Refused | Outcome::Closed | Outcome::Reset
        )
    }

    /// A socket that talks with itself: all is sent by the client.
    fn is_own(&self) -> bool {
        let (low, high) = self.sockets.sockets();
        low == high
    }

    fn side(&self, source: (IpAddr, u16)) -> Side {
        if self.sockets.is_low(source) == self.client_is_low || self.is_own() {
            Side::Client
        } else {
            Side::Server
        }
    }
}

/// What tracking says of a segment.
#[derive(Default)]
struct Said {
    /// The analysis has something to say.
    flagged: bool,
    /// Its bytes were sent before.
    again: bool,
    reset: bool,
    handshake_rtt: Option<i64>,
    srtt: Option<i64>,
}

/// Where a fact goes.
type Note = fn(&mut Said, Value<'static>);

const AGAIN: Note = |said, _| said.again = true;

const NOTES: [(&Field, Note); 7] = [
    (&tcp::A_FLAGS, |said, _| said.flagged = true),
    (&tcp::A_RETRANSMISSION, AGAIN),
    (&tcp::A_FAST_RETRANSMISSION, AGAIN),
    (&tcp::A_SPURIOUS_RETRANSMISSION, AGAIN),
    (&tcp::CONNECTION_RST, |said, _| said.reset = true),
    (&tcp::A_INITIAL_RTT, |said, value| {
        said.handshake_rtt = nanos(value)
    }),
    (&tcp::SRTT, |said, value| said.srtt = nanos(value)),
];

impl Said {
    fn of(view: &View<'_>) -> Self {
        let mut said = Self::default();
        for fact in view.packet.facts {
            if usize::from(fact.layer) == view.index
                && let Some((_, note)) = NOTES.iter().find(|(field, _)| fact.field.is(field))
            {
                note(&mut said, fact.value);
            }
        }
        said
    }
}

fn nanos(value: Value<'_>) -> Option<i64> {
    match value {
        Value::Duration(nanos) => Some(nanos),
        _ => None,
    }
}

/// The whole TCP header of a view, as the state machine wants it.
fn segment(view: &View<'_>) -> Option<Segment> {
    let read = tcp::Segment::of(view).filter(|read| !read.partial)?;
    Some(Segment::from(&read))
}
