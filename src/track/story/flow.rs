//! One flow: what both sides sent, how far it has come, and what each packet adds to the story.

use std::net::SocketAddr;

use super::{
    item::{
        About, Fate, Header, Item, Kind, Label, Order, Outcome, Row, Section, Side, Summary, Tcp,
        What,
    },
    read::{self, Matter, Seen},
    sender::Sender,
    words,
};
use crate::{
    time::{MILLISECOND, SECOND, Time},
    track::{
        flow::is_from_server,
        state::{End, Segment, State},
    },
};

/// UDP sockets that say nothing for so long begin a new exchange.
const IDLE: i64 = 60 * SECOND;
/// A repetition sooner than this was not caused by silence.
const SILENCE: i64 = 150 * MILLISECOND;

/// A flow.
#[derive(Debug)]
pub(super) struct Flow {
    pub(super) header: Header,
    /// Client and server.
    ends: [SocketAddr; 2],
    /// Its place among all flows, by first packets.
    pub(super) order: u64,
    senders: [Sender; 2],
    last: Time,
    pub(super) outcome: Outcome,
    section: Option<Section>,
    lost: u64,
    /// Time of the first and the last SYN of the client, and how many there were.
    syn: Option<(Time, Time, u32)>,
    rtt: Option<i64>,
    began_close: Option<Side>,
    /// Some packet of it was not aside.
    pub(super) shown: bool,
    /// Notes that are given once.
    said: Said,
    /// Since when the window of each side has been 0, while it is.
    shut: [Option<Time>; 2],
    /// When each side sent a datagram that was not answered yet.
    asked: [Option<Time>; 2],
    /// The row that waits for the server's first word to know its state.
    pub(super) held: Option<u64>,
    /// Data segments in a row, and whose.
    pub(super) run: (Side, u32),
    /// What is kept until the flow ends, when flows are told one by one.
    pub(super) told: Vec<Item>,
}

#[derive(Debug, Default)]
struct Said {
    open: bool,
    end: bool,
    half_close: bool,
    window_zero: [bool; 2],
    window_open: [bool; 2],
}

/// What a packet adds.
#[derive(Debug, Default)]
pub(super) struct Told {
    pub(super) section: Option<Section>,
    pub(super) row: Option<Row>,
    pub(super) notes: Vec<(About, String)>,
    /// The state in which the server must have been when it got the packet before.
    pub(super) settled: Option<State>,
    /// The flow is over.
    pub(super) ended: bool,
}

impl Told {
    fn note(&mut self, about: About, text: String) {
        self.notes.push((about, text));
    }
}

/// Where and when a packet was seen.
#[derive(Clone, Copy, Debug)]
pub(super) struct At {
    pub(super) number: u64,
    pub(super) time: Time,
    /// Its sender's view only: what reaches the receiver is told later.
    pub(super) sent_only: bool,
}

/// A packet on its way, for the time when it arrives.
#[derive(Clone, Copy, Debug)]
pub(super) struct Underway {
    pub(super) from: Side,
    segment: Option<Segment>,
    asked: Option<Time>,
}

impl Underway {
    /// Fills in what its row could not know when it left.
    pub(super) fn complete(&self, row: &mut Row, state: Option<State>, time: Time) {
        row.fate = Fate::Delivered(time);
        if let (Some(states), Some(state)) = (&mut row.states, state) {
            states[self.from.other() as usize] = state;
        }
        if let What::Datagram { after, .. } = &mut row.what {
            *after = self.asked.map(|asked| time.since(asked));
        }
    }
}

impl Flow {
    pub(super) fn new(seen: &Seen<'_>, number: u64, listening: Option<&[SocketAddr]>) -> Self {
        let (mut client, mut server) = (seen.source, seen.destination);
        let (mut kind, mut states, mut outcome) = (Kind::Udp, None, Outcome::Unanswered);
        if let Matter::Tcp(tcp) = &seen.what {
            let s = &tcp.segment;
            let ports = (client.port(), server.port());
            if is_from_server(s.syn, s.ack.is_some(), ports) {
                (client, server) = (server, client);
            }
            if !s.syn && !s.rst {
                outcome = Outcome::Open;
            }
        }
        if seen.transport == crate::track::flow::Transport::Tcp {
            kind = Kind::Tcp;
            let far = match listening {
                Some(list) if list.iter().any(|socket| listens(*socket, server)) => State::Listen,
                Some(_) => State::Closed,
                None if client == server => State::Closed,
                None => State::Unknown,
            };
            let opens = matches!(&seen.what, Matter::Tcp(tcp) if tcp.segment.syn && tcp.segment.ack.is_none());
            states = Some(if opens {
                [State::Closed, far]
            } else {
                [State::Unknown; 2]
            });
        }
        let mut senders = [Sender::default(), Sender::default()];
        for (sender, state) in senders.iter_mut().zip(states.unwrap_or_default()) {
            sender.end = End::new(state);
        }
        Self {
            header: Header {
                label: Label { kind, number },
                stream: seen.stream,
                client: client.into(),
                server: server.into(),
                interface: 0,
                programs: [None, None],
                states,
            },
            ends: [client, server],
            order: 0,
            senders,
            last: Time::default(),
            outcome,
            section: None,
            lost: 0,
            syn: None,
            rtt: None,
            began_close: None,
            shown: false,
            said: Said::default(),
            shut: [None; 2],
            asked: [None; 2],
            held: None,
            run: (Side::Client, 0),
            told: Vec::new(),
        }
    }

    /// `seen` begins another flow between the same sockets.
    pub(super) fn is_succeeded_by(&self, seen: &Seen<'_>, time: Time) -> bool {
        match &seen.what {
            Matter::Tcp(tcp) => {
                let s = &tcp.segment;
                let sender = self.sender(self.side(seen.source));
                s.syn
                    && s.ack.is_none()
                    && (self.is_over()
                        || !sender.from_syn && sender.base.is_some()
                        || sender.base.is_some_and(|base| base != s.seq))
            }
            Matter::Udp { .. } => time.since(self.last) > IDLE,
            Matter::Error { .. } => false,
        }
    }

    /// Nothing more is to come, but stragglers.
    pub(super) fn is_over(&self) -> bool {
        matches!(
            self.outcome,
            Outcome::Refused | Outcome::Closed | Outcome::Reset
        )
    }

    /// Nobody answered yet: the first to be forgotten.
    pub(super) fn is_half_open(&self) -> bool {
        matches!(self.outcome, Outcome::Unanswered | Outcome::HalfOpen) || self.is_over()
    }

    /// A packet is seen: as it leaves, or at the one capture point.
    pub(super) fn packet(&mut self, seen: &Seen<'_>, at: At, told: &mut Told) -> Underway {
        self.last = self.last.max(at.time);
        let side = self.side(seen.source);
        match &seen.what {
            Matter::Tcp(tcp) => self.segment(side, tcp, at, told),
            Matter::Udp(udp) => self.datagram(side, udp, at, told),
            &Matter::Error { says, by, mark } => {
                let about = self.sender(side).find(mark).map(|sent| sent.number);
                let by = Some(by).filter(|by| *by != self.ends[side.other() as usize].ip());
                let what = What::Error { says, about, by };
                told.row = Some(self.row(side.other(), what, &[], at));
                let udp = self.header.label.kind == Kind::Udp;
                if !matches!(self.outcome, Outcome::Open | Outcome::Answered)
                    && side == Side::Client
                {
                    self.outcome = Outcome::Unreachable;
                }
                let text = words::error(says, self.ends[side.other() as usize], udp);
                told.note(About::Trouble, text);
                Underway {
                    from: side.other(),
                    segment: None,
                    asked: None,
                }
            }
        }
    }

    /// A packet that was seen as it left has arrived; returns the receiver's state, where flows have states. That of a server
    /// that has a SYN shows only when it answers: a queue may be full, and the SYN ignored.
    pub(super) fn arrives(
        &mut self,
        underway: &Underway,
        time: Time,
        told: &mut Told,
    ) -> Option<State> {
        let to = underway.from.other();
        if let Some(s) = &underway.segment {
            self.reaches(to, s, time, told);
        }
        let opens = underway.segment.is_some_and(|s| s.syn);
        match self.states()?[to as usize] {
            State::SynReceived if opens && to == Side::Server && self.is_silent(to) => {
                Some(State::Unknown)
            }
            state => Some(state),
        }
    }

    /// No packet came from this side.
    fn is_silent(&self, side: Side) -> bool {
        self.sender(side).packets == 0
    }

    /// A packet that was seen as it left was dropped.
    pub(super) fn drops(&mut self, underway: &Underway, number: u64) {
        self.lost += 1;
        self.senders[underway.from as usize].dropped(number);
    }

    /// What a silence means, once its time is up.
    pub(super) fn silence(&self, after: i64) -> Option<String> {
        if self.outcome != Outcome::Unanswered || !self.shown {
            return None;
        }
        Some(match self.header.label.kind {
            Kind::Tcp => words::no_answer(after),
            _ => words::no_reply(after),
        })
    }

    pub(super) fn summary(&self) -> Summary {
        let [client, server] = &self.senders;
        let isn = |sender: &Sender| sender.base.filter(|_| sender.from_syn);
        Summary {
            label: self.header.label,
            client: self.ends[0],
            server: self.ends[1],
            outcome: self.outcome,
            open: [client.open, server.open],
            rtt: self.rtt,
            isn: [isn(client), isn(server)],
            packets: [client.packets, server.packets],
            bytes: [client.bytes, server.bytes],
            lost: self.lost,
            states: self.states(),
            began_close: self.began_close,
        }
    }

    fn segment(&mut self, from: Side, tcp: &read::Tcp<'_>, at: At, told: &mut Told) -> Underway {
        let s = tcp.segment;
        self.number(from, &s);
        let middle = self.section.is_none() && !s.syn;
        self.enter(from, &s, told);
        let far_before = self.sender(from).end.state();
        let shut = self.shut[from.other() as usize].is_some();
        let sender = &mut self.senders[from as usize];
        let order = match sender.order(&s) {
            Order::KeepAlive if shut => Order::WindowProbe,
            order => order,
        };
        sender.packets += 1;
        let first = sender.find(s.seq);
        if !matches!(order, Order::Again(_)) && s.end() != s.seq {
            sender.remember(s.seq, at.number, at.time);
        }
        sender.end.sends(&s);
        let state = sender.end.state();
        if from == Side::Server && (far_before == State::Unknown || self.held.is_some()) {
            told.settled = Some(state);
        }
        self.note_opening(from, &s, at.time);
        if from == Side::Client
            && state == State::Established
            && self.outcome == Outcome::Unanswered
        {
            // It answers what was not captured.
            self.outcome = Outcome::Open;
        }
        if !at.sent_only {
            self.reaches(from.other(), &s, at.time, told);
        }
        let what = What::Segment(Tcp {
            syn: s.syn,
            fin: s.fin,
            rst: s.rst,
            len: s.len,
            seq: self.sender(from).number(s.seq),
            ack: s.ack.map(|ack| self.sender(from.other()).number(ack)),
            mss: tcp.mss,
            scale: tcp.scale,
            window_zero: tcp.window_zero,
            order,
        });
        told.row = Some(self.row(from, what, tcp.data, at));
        if middle {
            told.note(About::Remark, words::MIDDLE.to_owned());
        }
        if let (Order::Again(Some(number)), Some(first)) = (order, first)
            && let Some((waited, last, copies)) =
                self.senders[from as usize].repeats(number, at.number, at.time)
            // Sent again sooner, it answers a packet that came again.
            && waited >= SILENCE
        {
            let after = at.time.since(first.time);
            let text = match (at.sent_only, first.dropped) {
                (_, true) => words::lost_on_the_wire(after, number),
                (false, false) => words::lost(after, number, last, copies),
                (true, false) if s.syn && self.is_silent(from.other()) => {
                    words::ignored(after, number)
                }
                (true, false) => words::sent_again(after, number),
            };
            told.note(About::Trouble, text);
        }
        if order == Order::AfterGap {
            let missing = self.sender(from).missing();
            told.note(About::Remark, words::gap(missing, at.number));
        }
        self.remark(from, tcp, at.time, told);
        Underway {
            from,
            segment: Some(s),
            asked: None,
        }
    }

    /// Remarks that are made once.
    fn remark(&mut self, from: Side, tcp: &read::Tcp<'_>, now: Time, told: &mut Told) {
        let side = from as usize;
        if tcp.window_zero && !tcp.segment.syn {
            self.shut[side].get_or_insert(now);
            if !std::mem::replace(&mut self.said.window_zero[side], true) {
                told.note(About::Trouble, words::window_zero(from));
            }
        } else if let Some(since) = self.shut[side].take()
            && !tcp.segment.rst
            && !std::mem::replace(&mut self.said.window_open[side], true)
        {
            told.note(About::Remark, words::window_open(from, now.since(since)));
        }
        let sender = self.sender(from);
        if tcp.segment.len > 0 && sender.end.state() == State::CloseWait && !self.said.half_close {
            self.said.half_close = true;
            told.note(About::Remark, words::half_close(from.other()));
        }
    }

    fn datagram(&mut self, from: Side, udp: &read::Udp<'_>, at: At, told: &mut Told) -> Underway {
        let sender = &mut self.senders[from as usize];
        sender.packets += 1;
        sender.bytes += u64::from(udp.len);
        sender.remember(udp.mark, at.number, at.time);
        let asked = self.asked[from.other() as usize].take();
        self.asked[from as usize].get_or_insert(at.time);
        if from == Side::Server {
            self.outcome = Outcome::Answered;
        }
        let after = asked.map(|asked| at.time.since(asked));
        let what = What::Datagram {
            len: udp.len,
            fragments: udp.fragments,
            after,
        };
        told.row = Some(self.row(from, what, udp.data, at));
        Underway {
            from,
            segment: None,
            asked,
        }
    }

    /// Where both sides' numbers are counted from.
    fn number(&mut self, from: Side, s: &Segment) {
        let sender = &mut self.senders[from as usize];
        if s.syn && sender.base.is_none() {
            sender.from_syn = true;
        }
        if s.syn {
            sender.begin(s.seq);
        } else if !(s.rst && s.seq == 0) {
            sender.begin(s.seq.wrapping_sub(1));
        }
        if let Some(ack) = s.ack {
            self.senders[from.other() as usize].begin(ack.wrapping_sub(1));
        }
    }

    /// Begins a new section where `s` does.
    fn enter(&mut self, from: Side, s: &Segment, told: &mut Told) {
        use Section as P;
        let next = match self.section {
            None if s.syn => P::Open,
            Some(P::Open | P::Data) | None if s.fin => P::Close(from),
            Some(P::Data) if s.rst => P::Reset(from),
            Some(P::Open) | None if s.len > 0 && !s.rst => P::Data,
            None => P::Data,
            _ => return,
        };
        self.section = Some(next);
        told.section = Some(next);
        if let P::Close(side) = next {
            self.began_close = Some(side);
            self.outcome = Outcome::Closing;
        }
    }

    /// `s` reaches `to`.
    fn reaches(&mut self, to: Side, s: &Segment, time: Time, told: &mut Told) {
        let to = if self.is_own() { Side::Client } else { to };
        let before = self.sender(to).end.state();
        self.senders[to as usize].end.receives(s);
        if self.is_own() {
            self.senders[Side::Server as usize].end = self.senders[Side::Client as usize].end;
        }
        let now = self.sender(to).end.state();
        if s.rst && now != before {
            self.ends_by_rst(to, before, time, told);
            return;
        }
        if let Some((first, last, count)) = self.syn {
            if to == Side::Client
                && before == State::SynSent
                && now == State::Established
                && count == 1
            {
                self.rtt = Some(time.since(last));
            }
            self.note_open(first, time, told);
        }
        let [client, server] = self.states().unwrap_or_default();
        if client.is_over()
            && server.is_over()
            && !self.is_over()
            && !self.said.end
            && let Some(began) = self.began_close
        {
            self.said.end = true;
            self.outcome = Outcome::Closed;
            told.ended = true;
            told.note(About::End, words::closed(began, self.summary().time_wait()));
        }
    }

    fn ends_by_rst(&mut self, to: Side, before: State, time: Time, told: &mut Told) {
        told.ended = true;
        if before == State::SynSent {
            self.outcome = Outcome::Refused;
            let since = self.syn.map_or(0, |(_, last, _)| time.since(last));
            let text = words::refused(since, self.ends[to.other() as usize]);
            told.note(About::Trouble, text);
        } else if !self.is_over() {
            self.outcome = Outcome::Reset;
            told.note(About::Trouble, words::reset(to.other()));
        }
    }

    /// Keeps the times of the handshake's first two steps.
    fn note_opening(&mut self, from: Side, s: &Segment, time: Time) {
        if !s.syn {
            return;
        }
        if from == Side::Client {
            let (first, count) = self.syn.map_or((time, 0), |(first, _, n)| (first, n));
            self.syn = Some((first, time, count + 1));
        } else if self.outcome == Outcome::Unanswered {
            self.outcome = Outcome::HalfOpen;
        }
    }

    fn note_open(&mut self, first: Time, time: Time, told: &mut Told) {
        for sender in &mut self.senders {
            if sender.end.state().is_synchronized() && sender.open.is_none() {
                sender.open = Some(time.since(first));
            }
        }
        if !self.said.open && self.senders.iter().all(|sender| sender.open.is_some()) {
            self.said.open = true;
            if matches!(
                self.outcome,
                Outcome::Unanswered | Outcome::HalfOpen | Outcome::Unreachable
            ) {
                self.outcome = Outcome::Open;
            }
            told.note(About::Open, words::open(time.since(first)));
        }
    }

    fn row(&self, from: Side, what: What, data: &[u8], at: At) -> Row {
        Row {
            from,
            sent: at.time,
            fate: if at.sent_only {
                Fate::Underway
            } else {
                Fate::Seen
            },
            states: self.states(),
            what,
            data: data.to_vec(),
            number: at.number,
            ties: Default::default(),
        }
    }

    /// A socket connected to itself: one end plays both parts, and sends everything from the left.
    fn is_own(&self) -> bool {
        self.ends[0] == self.ends[1]
    }

    fn states(&self) -> Option<[State; 2]> {
        let [client, server] = &self.senders;
        self.header
            .states
            .map(|_| [client.end.state(), server.end.state()])
    }

    fn side(&self, socket: SocketAddr) -> Side {
        if socket == self.ends[0] {
            Side::Client
        } else {
            Side::Server
        }
    }

    fn sender(&self, side: Side) -> &Sender {
        &self.senders[side as usize]
    }
}

/// A socket that listens on `at` takes connections to `to`.
fn listens(at: SocketAddr, to: SocketAddr) -> bool {
    at.port() == to.port() && (at.ip() == to.ip() || at.ip().is_unspecified())
}

/// A pure acknowledgment, or data that comes next: what folding may merge.
pub(super) fn foldable(row: &Row) -> Option<&Tcp> {
    match &row.what {
        What::Segment(tcp)
            if !(tcp.syn || tcp.fin || tcp.rst || tcp.window_zero) && tcp.order == Order::Next =>
        {
            Some(tcp)
        }
        _ => None,
    }
}
