//! Each connection of a trace: what became of what, and where the time went.

mod course;

use std::{
    borrow::Cow,
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use self::course::Course;
use super::{
    Folding, Timeline,
    row::{Link, Row, Side, What, room},
    why::About,
};
use crate::{
    call::Fd,
    event::{Arg, CallId, Deed, Enter, Entry, Event, PacketId, Return, SocketId, Transport},
    time::{MILLISECOND, Time},
};

/// At most so many sentences are kept, and calls that did not return.
const NOTES: usize = 32;
/// See [`NOTES`].
const OPEN: usize = 65_536;

/// Calls that moved data, or packets that carried it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// How many.
    pub times: u64,
    /// Bytes of data.
    pub bytes: u64,
}

impl Count {
    fn add(&mut self, bytes: u64) {
        self.times += 1;
        self.bytes = self.bytes.saturating_add(bytes);
    }
}

/// How long calls of a kind took in all, whatever the number of threads, in nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spent {
    total: i64,
    /// Calls at the moment, and since when there is at least one.
    inside: u32,
    since: Time,
}

impl Spent {
    fn begin(&mut self, at: Time) {
        if self.inside == 0 {
            self.since = at;
        }
        self.inside = self.inside.saturating_add(1);
    }

    fn end(&mut self, at: Time) {
        self.inside = self.inside.saturating_sub(1);
        if self.inside == 0 {
            self.total = self.total.saturating_add(at.since(self.since));
        }
    }

    /// All of it, with what goes on until `now`.
    fn until(&self, now: Time) -> i64 {
        match self.inside {
            0 => self.total,
            _ => self.total.saturating_add(now.since(self.since)),
        }
    }
}

/// Calls that received nothing and did not wait for anything.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Nothing {
    /// Those that said `EAGAIN` at once.
    pub again: u64,
    /// Those that returned the end of the stream again.
    pub ended: u64,
    /// How long they took in all, in nanoseconds.
    pub took: i64,
}

/// Where the time of a socket went, in nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Times {
    /// From the first call about it to the last.
    pub lasted: i64,
    /// In `connect`.
    pub connect: i64,
    /// In the `accept` that returned it, before it was there.
    pub accept: i64,
    /// In calls that receive: waiting for data, mostly.
    pub receive: i64,
    /// Of that: in calls that did not wait and got nothing.
    pub nothing: Nothing,
    /// In calls that send.
    pub send: i64,
    /// Of that: in calls of a millisecond or more, for want of room or of a processor.
    pub blocked: i64,
    /// In other calls.
    pub others: i64,
    /// In the program, outside of calls about this socket.
    pub program: i64,
}

/// A socket while the log is read.
#[derive(Debug, Default)]
struct Socket {
    first: Option<Time>,
    last: Time,
    accept: i64,
    blocked: i64,
    connect: Spent,
    receive: Spent,
    send: Spent,
    others: Spent,
    all: Spent,
    /// `TCP_NODELAY` was set.
    no_delay: bool,
    /// Of its stream, the end was returned.
    ended: bool,
    is_datagram: bool,
    nothing: Nothing,
}

impl Socket {
    fn kind(&mut self, deed: Deed) -> &mut Spent {
        match deed {
            Deed::Connect => &mut self.connect,
            Deed::Receive | Deed::Peek => &mut self.receive,
            Deed::Send => &mut self.send,
            _ => &mut self.others,
        }
    }

    fn received(&mut self, result: Result<i64, i32>, took: i64) {
        let counted = match result {
            Err(libc::EAGAIN) if took < MILLISECOND => &mut self.nothing.again,
            Ok(0) if self.ended => &mut self.nothing.ended,
            _ => {
                self.ended = result == Ok(0) && !self.is_datagram;
                return;
            }
        };
        *counted += 1;
        self.nothing.took = self.nothing.took.saturating_add(took);
    }

    fn times(&self, now: Time) -> Times {
        let Some(first) = self.first else {
            return Times::default();
        };
        let end = match self.all.inside {
            0 => self.last,
            _ => now,
        };
        let lasted = end.since(first);
        Times {
            lasted,
            connect: self.connect.until(now),
            accept: self.accept,
            receive: self.receive.until(now),
            nothing: self.nothing,
            send: self.send.until(now),
            blocked: self.blocked,
            others: self.others.until(now),
            program: lasted.saturating_sub(self.all.until(now)).max(0),
        }
    }
}

/// What one end of a connection did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Party {
    /// The descriptor, as the process that used it first numbers it.
    pub fd: Option<Fd>,
    /// Calls that sent data.
    pub sends: Count,
    /// Segments or datagrams of its data that were seen, without those sent again.
    pub packets: Count,
    /// Packets whose data was sent again.
    pub again: Count,
    /// The first of them.
    pub first_again: Option<PacketId>,
    /// Packets that the wire lost.
    pub lost: u64,
    /// Calls that received data.
    pub receives: Count,
    /// Packets without data.
    pub empty: u64,
    /// Its FIN.
    pub fin: Option<PacketId>,
    /// It let go of the socket.
    pub closed: bool,
    /// Where its time went; nothing of an end that is not traced.
    pub times: Option<Times>,
}

/// How a connection stood when the log ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Nothing but its calls is known.
    Used,
    /// `connect` failed with this error.
    Failed(i32),
    /// The SYN was not answered.
    HalfOpen,
    /// It is open.
    Open,
    /// One end has closed.
    Closing(Side),
    /// Both ends closed, this one first.
    Closed(Side),
    /// This end reset it.
    Reset(Side, PacketId),
    /// An ICMP error came back.
    Error(&'static str, PacketId),
}

/// Something to look at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finding {
    /// Nagle's algorithm held a small segment until what was sent before it was acknowledged.
    Nagle {
        /// The segment.
        packet: PacketId,
        /// Its data, in bytes.
        len: u32,
        /// The call whose data it is.
        call: CallId,
        /// How long after the call, in nanoseconds.
        held: i64,
        /// The acknowledgment that let it go.
        ack: PacketId,
    },
    /// An acknowledgment came late, while the other end had data that waited for it.
    DelayedAck {
        /// The acknowledgment.
        ack: PacketId,
        /// The last segment that it acknowledges.
        data: PacketId,
        /// How long after that had arrived, in nanoseconds.
        after: i64,
    },
}

impl Finding {
    const fn is_about(&self, about: About) -> bool {
        match (self, about) {
            (
                Self::Nagle {
                    packet: held, ack, ..
                },
                About::Packet(packet),
            ) => packet == *held || packet == *ack,
            (Self::Nagle { call: held, .. }, About::Call(call)) => call == *held,
            (Self::DelayedAck { ack, data, .. }, About::Packet(packet)) => {
                packet == *ack || packet == *data
            }
            (Self::DelayedAck { .. }, About::Call(_)) => false,
        }
    }
}

/// A connection, or a conversation of datagrams.
#[derive(Clone, Debug, PartialEq)]
pub struct Connection {
    /// Who with whom.
    pub link: Arc<Link>,
    /// The left end and the right end.
    pub parties: [Party; 2],
    /// How it stood at last.
    pub outcome: Outcome,
    /// Its first and its last row.
    pub span: (Time, Time),
    /// What was found, the first few.
    pub findings: Vec<Finding>,
    /// How many more were found.
    pub more_findings: u64,
}

/// Calls of a name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// How many.
    pub calls: u64,
    /// Of those: failed.
    pub errors: u64,
    /// Bytes that they moved.
    pub bytes: u64,
    /// How long they took in all, in nanoseconds; of several threads, each.
    pub inside: i64,
}

/// The sums of a whole trace.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Report {
    /// Connections in the order in which they were seen.
    pub connections: Vec<Connection>,
    /// Calls by name; most time first.
    pub calls: Vec<(Cow<'static, str>, Tally)>,
    /// Sentences that a reader must know: what was not seen, and why. Untrusted text.
    pub notes: Vec<String>,
}

/// A call that has not returned.
#[derive(Debug)]
struct Open {
    name: Cow<'static, str>,
    deed: Deed,
    socket: Option<SocketId>,
    /// It has room for no byte.
    empty: bool,
    entered: Time,
}

/// Sums up a log, entry by entry.
#[derive(Debug)]
pub struct Summary {
    timeline: Timeline,
    ready: Vec<Row>,
    now: Time,
    sockets: HashMap<SocketId, Socket>,
    open: BTreeMap<CallId, Open>,
    courses: Vec<Course>,
    by_link: HashMap<(Transport, u32), usize>,
    calls: BTreeMap<Cow<'static, str>, Tally>,
    notes: Vec<String>,
    /// Only what was found about this is kept.
    about: Option<About>,
}

impl Default for Summary {
    fn default() -> Self {
        Self {
            timeline: Timeline::passing(Folding {
                idle: false,
                runs: false,
            }),
            ready: Vec::new(),
            now: Time::default(),
            sockets: HashMap::new(),
            open: BTreeMap::new(),
            courses: Vec::new(),
            by_link: HashMap::new(),
            calls: BTreeMap::new(),
            notes: Vec::new(),
            about: None,
        }
    }
}

impl Summary {
    /// Of what is found, only that about a packet or a call is kept.
    pub(super) fn about(about: About) -> Self {
        Self {
            about: Some(about),
            ..Self::default()
        }
    }

    /// Takes the next entry.
    pub fn push(&mut self, entry: &Entry) {
        self.now = entry.at;
        match &entry.event {
            Event::Enter(enter) => self.enter(enter),
            Event::Return(back) => self.returned(back),
            Event::Socket(socket) => {
                let known = self.sockets.entry(socket.id).or_default();
                known.is_datagram = socket.kind == "SOCK_DGRAM";
            }
            _ => {}
        }
        let mut ready = std::mem::take(&mut self.ready);
        self.timeline.push(entry, &mut ready);
        for row in ready.drain(..) {
            self.row(&row);
        }
        self.ready = ready;
    }

    /// The sums.
    pub fn finish(mut self) -> Report {
        let mut ready = std::mem::take(&mut self.ready);
        self.timeline.finish(&mut ready);
        for row in ready {
            self.row(&row);
        }
        let (sockets, now) = (&self.sockets, self.now);
        let connections = self.courses.into_iter().map(|course| {
            let mut connection = course.connection;
            for (party, end) in connection.parties.iter_mut().zip(&connection.link.ends) {
                let socket = end.socket.and_then(|id| sockets.get(&id));
                party.times = socket.map(|socket| socket.times(now));
            }
            connection
        });
        let connections = connections.collect();
        let mut calls: Vec<_> = self.calls.into_iter().collect();
        calls.sort_by_key(|(_, tally)| std::cmp::Reverse(tally.inside));
        Report {
            connections,
            calls,
            notes: self.notes,
        }
    }

    fn enter(&mut self, enter: &Enter) {
        if let Some(id) = enter.socket {
            let socket = self.sockets.entry(id).or_default();
            socket.first.get_or_insert(self.now);
            socket.last = self.now;
            socket.kind(enter.deed).begin(self.now);
            socket.all.begin(self.now);
            let no_delay = |arg: &Arg| matches!(arg, Arg::Word(word) if word == "TCP_NODELAY");
            socket.no_delay |= enter.deed == Deed::Option && enter.args.iter().any(no_delay);
        }
        let open = Open {
            name: enter.name.clone(),
            deed: enter.deed,
            socket: enter.socket,
            empty: room(enter) == Some(0),
            entered: self.now,
        };
        self.open.insert(enter.call, open);
        if self.open.len() > OPEN {
            self.open.pop_first();
        }
    }

    fn returned(&mut self, back: &Return) {
        let Some(open) = self.open.remove(&back.call) else {
            return;
        };
        let took = self.now.since(open.entered);
        if let Some(id) = open.socket {
            let socket = self.sockets.entry(id).or_default();
            socket.last = self.now;
            socket.kind(open.deed).end(self.now);
            if open.deed == Deed::Send && took >= MILLISECOND {
                socket.blocked = socket.blocked.saturating_add(took);
            }
            if open.deed == Deed::Receive && !open.empty {
                socket.received(back.result, took);
            }
            socket.all.end(self.now);
        }
        if let Some(id) = back.opened {
            let socket = self.sockets.entry(id).or_default();
            socket.first.get_or_insert(self.now);
            socket.last = self.now;
            if open.deed == Deed::Accept {
                socket.accept = took;
            }
        }
        let tally = self.calls.entry(open.name).or_default();
        tally.calls += 1;
        tally.errors += u64::from(back.result.is_err());
        tally.bytes = tally
            .bytes
            .saturating_add(super::row::moved(open.deed, back));
        tally.inside = tally.inside.saturating_add(took);
    }

    /// Keeps a sentence, once.
    fn note(&mut self, text: String) {
        if self.notes.len() < NOTES && !self.notes.contains(&text) {
            self.notes.push(text);
        }
    }

    fn row(&mut self, row: &Row) {
        match &row.what {
            What::Note(_, text) => self.note(text.clone()),
            What::Unseen(host, why) => {
                let host = host.as_deref().map(|host| format!(" of the {host}"));
                let host = host.unwrap_or_default();
                self.notes
                    .push(format!("packets{host} are not seen: {why}"));
            }
            _ => {}
        }
        let Some(link) = &row.link else { return };
        let (courses, about) = (&mut self.courses, self.about);
        let id = (link.transport, link.number);
        let index = *self.by_link.entry(id).or_insert_with(|| {
            courses.push(Course::new(link.clone(), row.at, about));
            courses.len() - 1
        });
        let course = &mut courses[index];
        course.connection.link = link.clone();
        course.connection.span.1 = row.at;
        match &row.what {
            What::Call(call) => course.call(row.side, call),
            What::Packet(sent) => {
                let sender = link.ends[row.side as usize].socket;
                let sender = sender.and_then(|id| self.sockets.get(&id));
                let no_delay = sender.is_some_and(|socket| socket.no_delay);
                course.packet(row.side, sent, no_delay);
            }
            What::Arrival(sent, false) => course.arrival(row.side, sent.number, row.at),
            _ => {}
        }
    }
}
