//! What a view of a trace draws: rows in order of time, each with all that it says, so that drawing needs nothing else.

use std::{borrow::Cow, sync::Arc};

use super::{Tied, seen::Seen};
use crate::{
    call::Address,
    event::{
        Arg, Begin, CallId, Deed, End, Enter, Exec, Exit, PacketId, Process, Return, SocketId,
        Transport, Way,
    },
    time::Time,
};

/// A row.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// When, in the log's time; rows come in this order.
    pub at: Time,
    /// The connection, or conversation of datagrams, that it is about.
    pub link: Option<Arc<Link>>,
    /// The end that it stands at: of a call and what is said of a process its lane, of a packet its sender's.
    pub side: Side,
    /// What happened.
    pub what: What,
}

/// An end of a connection: a lane of the view.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Side {
    /// The connecting end, and every process that has not said yet what it is.
    #[default]
    Left,
    /// The end that was accepted, listens, or was bound: the server. In a lab, the host of that name.
    Right,
}

impl Side {
    /// The opposite end.
    pub const fn other(self) -> Self {
        match self {
            Self::Left => Self::Right,
            Self::Right => Self::Left,
        }
    }
}

/// Two sockets that talk to each other, as far as they are known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// Counted from 1 among those of its transport, in the order in which rows show them.
    pub number: u32,
    /// What it speaks.
    pub transport: Transport,
    /// The left end and the right end.
    pub ends: [Endpoint; 2],
}

/// One end of a [`Link`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Endpoint {
    /// Its address.
    pub address: Option<Address>,
    /// Its socket, when a traced process has it.
    pub socket: Option<SocketId>,
    /// The process that used the socket last, or that listens for it.
    pub who: Option<Who>,
}

/// A process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Who {
    /// Its number.
    pub process: u32,
    /// The name of its program. Untrusted text.
    pub name: Arc<str>,
}

/// What a row says.
#[derive(Clone, Debug, PartialEq)]
pub enum What {
    /// The trace begins.
    Begin(Begin),
    /// A process is about to make its first call.
    Process(Process),
    /// A process that has made calls runs another program; with what it ran before.
    Exec(Exec, Arc<str>),
    /// A process that has made calls ended, or any that a signal ended; with its name.
    Exit(Exit, Arc<str>),
    /// A call, or its beginning or end.
    Call(Box<Call>),
    /// The same call again and again without getting on.
    Idle(Box<Idle>),
    /// A packet was sent; on a lab's wire, with its arrival where that is near.
    Packet(Arc<Sent>),
    /// A packet of a lab's wire arrived; whether it is the wire's second copy.
    Arrival(Arc<Sent>, bool),
    /// Many calls and packets that move data in one direction.
    Run(Run),
    /// Something that a reader should know.
    Note(Option<Who>, String),
    /// Why the packets of a network are not seen; its host.
    Unseen(Option<String>, String),
    /// The trace ends.
    End(End),
}

/// Which part of a call a row shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// All of it.
    Whole,
    /// It was entered, and did not return soon.
    Entered,
    /// It returns, after an [`Form::Entered`].
    Returned,
}

/// A call.
#[derive(Clone, Debug, PartialEq)]
pub struct Call {
    /// The part that is shown.
    pub form: Form,
    /// Who makes it.
    pub who: Who,
    /// What was asked.
    pub enter: Arc<Enter>,
    /// When it was entered.
    pub entered: Time,
    /// When it returned, and with what; none in an [`Form::Entered`], and of a call that never returned.
    pub answer: Option<(Time, Return)>,
    /// The same call on that socket said `EAGAIN` so often since it last got on.
    pub after: u64,
    /// Bytes of the datagrams that it returned for which its buffer had no room.
    pub lost: u64,
    /// Of what it closes: what is open still.
    pub held: Held,
}

/// Sockets that a call has let go of, and that are open elsewhere: letting go has sent nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Held {
    /// How many sockets; of a call that closes several, only connections count.
    pub sockets: u64,
    /// The processes that have them, in order of their numbers.
    pub by: Vec<Who>,
}

impl Call {
    /// How long it took, in nanoseconds.
    pub fn took(&self) -> Option<i64> {
        let (at, _) = self.answer.as_ref()?;
        Some(at.since(self.entered))
    }

    /// Bytes that it moved.
    pub fn moved(&self) -> u64 {
        self.answer
            .as_ref()
            .map_or(0, |(_, back)| moved(self.enter.deed, back))
    }
}

/// Bytes that the buffer of a receive has room for, where the call says so.
pub fn room(enter: &Enter) -> Option<u64> {
    match (&*enter.name, enter.args.get(2)) {
        ("read" | "recv" | "recvfrom", Some(Arg::Number(room))) => u64::try_from(*room).ok(),
        _ => None,
    }
}

/// Bytes that a call moved: of a stream or of datagrams.
pub(super) fn moved(deed: Deed, back: &Return) -> u64 {
    match (deed, back.result) {
        (Deed::Send | Deed::Receive, Ok(_)) if back.moved > 0 => back.moved,
        (Deed::Send | Deed::Receive, Ok(count)) => count.try_into().unwrap_or(0),
        _ => 0,
    }
}

/// Calls that do not get on: `EAGAIN`, or nothing sent or received, again and again.
#[derive(Clone, Debug, PartialEq)]
pub struct Idle {
    /// Who makes them.
    pub who: Who,
    /// The last of them.
    pub enter: Arc<Enter>,
    /// What each of them returned.
    pub result: Result<i64, i32>,
    /// How many there were since the last row that told of them.
    pub times: u64,
    /// When the first of these was entered.
    pub since: Time,
    /// When the last of these returned.
    pub until: Time,
    /// They come without a pause, or after the stream's end.
    pub no_break: bool,
}

/// A packet, its place on the timeline and its ties.
#[derive(Clone, Debug, PartialEq)]
pub struct Sent {
    /// Its number.
    pub number: PacketId,
    /// What was read of it; nothing of a packet that belongs to no socket.
    pub seen: Option<Seen>,
    /// How it is tied, as far as the log tells until its row's turn.
    pub tied: Tied,
    /// The names of the calls that caused it, as [`Tied::causes`] has them.
    pub causes: Vec<Named>,
    /// The names of the calls that returned what it carries, as far as [`Tied::takers`] were known.
    pub takers: Vec<Named>,
    /// The call that it acknowledges first.
    pub acks: Option<Named>,
    /// Its sequence number and acknowledgment counted from the initial ones, which are 0.
    pub seq: u32,
    /// See [`Sent::seq`].
    pub ack: Option<u32>,
    /// Which way it crossed its interface.
    pub way: Way,
    /// Bytes on the wire.
    pub wire_len: u32,
    /// When it was sent.
    pub sent: Time,
    /// When it arrived, on a lab's wire.
    pub arrived: Option<Time>,
    /// Why the wire dropped it.
    pub lost: Option<String>,
}

/// A call by its name. Which share of the packet is its, and why, stands beside it in [`Tied`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    /// Its number.
    pub call: CallId,
    /// Its name; empty when the call was too long ago.
    pub name: Cow<'static, str>,
}

/// Data that moved in one direction, in calls and packets that say nothing else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    /// When the first of them was.
    pub since: Time,
    /// Calls that sent, and their bytes.
    pub sends: (u64, u64),
    /// Packets with data, and its bytes.
    pub packets: (u64, u64),
    /// Calls that received, and their bytes.
    pub receives: (u64, u64),
    /// Acknowledgments.
    pub acks: u64,
    /// How long the sending calls took that were kept waiting, in nanoseconds.
    pub blocked: i64,
    /// The first and the last packet.
    pub numbers: (PacketId, PacketId),
    /// The first and the last call.
    pub calls: (CallId, CallId),
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::{
        call::Fd,
        timeline::{
            testing::{CLIENT, Log, at, datagram, unreachable},
            tests::rows,
        },
    };

    /// The rows of connections: number and processes of each, whether the row is a packet, and its end.
    fn told(log: &Log) -> Vec<(u32, [bool; 2], bool, Side)> {
        let rows = rows(log);
        let told = rows.iter().filter_map(|row| {
            let link = row.link.as_ref()?;
            let known = [0, 1].map(|n| link.ends[n].who.is_some());
            let packet = matches!(row.what, What::Packet(_));
            Some((link.number, known, packet, row.side))
        });
        told.collect()
    }

    #[test]
    fn an_error_about_a_datagram_comes_back_to_its_sender() {
        let (from, to) = ("127.0.0.1:40000", "127.0.0.1:5999");
        let mut log = Log::local();
        log.process(100, None, 1, "client");
        let client = log.appears(1, Transport::Udp);
        log.addresses(client, from, Some(to));
        log.send(CLIENT, client, b"anyone?");
        log.datagram(Way::Loop, from, to, b"anyone?");
        let quoted = datagram(at(from), at(to), b"anyone?");
        log.packet(Way::Loop, unreachable(at(to), at(from), &quoted), None);
        log.call(CLIENT, Deed::Receive, client, Err(libc::ECONNREFUSED));
        let known = [true, false];
        let expected = [
            (1, known, false, Side::Left),
            (1, known, true, Side::Left),
            (1, known, true, Side::Right),
            (1, known, false, Side::Left),
        ];
        assert_eq!(told(&log), expected);
    }

    #[test]
    fn both_sockets_of_a_pair_have_one_conversation() {
        let mut log = Log::local();
        log.process(100, None, 1, "client");
        let call = log.opens(CLIENT, "socketpair");
        let pair = [(); 2].map(|()| log.appears(1, Transport::Unix));
        log.returned(Return {
            call,
            result: Ok(0),
            moved: 0,
            opened: Some(pair[0]),
            out: vec![Arg::Group(pair.map(|id| Arg::Fd(id as Fd)).to_vec())],
            parts: Vec::new(),
        });
        log.send(CLIENT, pair[0], b"one");
        log.recv(CLIENT, pair[1], b"one");
        let expected = [Side::Left, Side::Left, Side::Right];
        assert_eq!(told(&log), expected.map(|side| (1, [true; 2], false, side)));
    }
}
