//! Rows in the log's order of time. Each is held back for a moment of log time, so that a call that returns soon is one row
//! with its result, and a packet knows the call that caused it.
//!
//! What a row says follows from the entries before its turn, and its turn from the log's times alone: a view that is told
//! early that nothing more is to come ([`Rows::quiet`]) shows the same rows.

mod waits;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    sync::Arc,
};

use super::{
    Kernel,
    fold::{Fate, Idles, Key, LinkId, Runs},
    holders::Holders,
    join::Join,
    known::Known,
    links::Links,
    names::Names,
    row::{Call, Form, Held, Row, Sent, Side, What, Who},
    seen::{self, Seen},
    turn::{HOLD, Turn},
};
use crate::{
    event::{
        CallId, Deed, Enter, Entry, Event, Packet, PacketId, Return, SocketId, Transport, Way,
    },
    time::{SECOND, Time},
};

/// At most so many calls that did not return, and packets under way, are remembered.
const OPEN: usize = 65_536;

/// What is put together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Folding {
    /// Calls that do not get on: `EAGAIN` until the next success, endless receiving of nothing.
    pub idle: bool,
    /// Long runs of data.
    pub runs: bool,
}

/// A row's place: its time, and a number that tells it from others of that time.
type Place = (Time, u64);

/// What waits for its turn.
#[derive(Debug)]
enum Slot {
    /// A row that says something, of a process perhaps.
    Plain(Option<u32>, What),
    Call(Box<Call>),
    Packet(Box<Waiting>),
    Arrival(PacketId, bool),
    /// A second has passed for calls that do not get on.
    Idle(Key),
    /// A second has passed for a run of data.
    Run(LinkId),
}

/// A packet that waits for its turn.
#[derive(Debug)]
struct Waiting {
    number: PacketId,
    seen: Option<Seen>,
    way: Way,
    wire_len: u32,
    arrived: Option<Time>,
    lost: Option<String>,
}

/// A call that has not returned.
#[derive(Debug)]
struct Open {
    enter: Arc<Enter>,
    who: Who,
    entered: Time,
    /// Where it waits; nowhere once its beginning was shown.
    place: Option<Place>,
}

/// Brings entries into rows.
#[derive(Debug)]
pub(super) struct Rows {
    folding: Folding,
    slots: BTreeMap<Place, Slot>,
    count: u64,
    /// The latest time so far: an entry that is earlier is taken for one of this time.
    now: Time,
    turn: Turn,
    open: BTreeMap<CallId, Open>,
    /// Where the last packet waits, or waited.
    last_packet: Option<Place>,
    /// Packets of a wire that wait for their turn.
    sent: HashMap<PacketId, Place>,
    /// Packets of a wire that were shown and have not arrived.
    underway: BTreeMap<PacketId, Row>,
    names: Names,
    /// Names of processes, each once.
    who: HashMap<u32, Who>,
    /// Processes that have a row.
    introduced: HashSet<u32>,
    links: Links,
    holders: Holders,
    /// Initial sequence numbers by link and side.
    isn: HashMap<(u32, Side), u32>,
    idles: Idles,
    runs: Runs,
}

impl Rows {
    /// No rows yet.
    pub(super) fn new(folding: Folding) -> Self {
        Self {
            folding,
            slots: BTreeMap::new(),
            count: 0,
            now: Time::from_nanos(i64::MIN),
            turn: Turn::default(),
            open: BTreeMap::new(),
            last_packet: None,
            sent: HashMap::new(),
            underway: BTreeMap::new(),
            names: Names::default(),
            who: HashMap::new(),
            introduced: HashSet::new(),
            links: Links::default(),
            holders: Holders::default(),
            isn: HashMap::new(),
            idles: Idles::default(),
            runs: Runs::default(),
        }
    }

    /// Nothing before `until` is to come: rows whose turn has come are appended to `ready`. To be called before each entry,
    /// with its time, while `known` and `join` have not taken it.
    pub(super) fn quiet(&mut self, until: Time, known: &Known, join: &Join, ready: &mut Vec<Row>) {
        let until = self.turn.at(until);
        while let Some(first) = self.slots.first_entry() {
            if first.key().0 > until {
                break;
            }
            let ((at, _), slot) = first.remove_entry();
            self.release(at, slot, known, join, ready);
        }
    }

    /// All that is left.
    pub(super) fn finish(&mut self, known: &Known, join: &Join, ready: &mut Vec<Row>) {
        while let Some(((at, _), slot)) = self.slots.pop_first() {
            self.release(at, slot, known, join, ready);
        }
        self.runs.end(self.now, ready);
    }

    /// Takes the next entry, after `known` and `join` did; with what was read of a packet.
    pub(super) fn push(&mut self, entry: &Entry, seen: Option<Seen>, known: &Known, join: &Join) {
        self.now = self.now.max(entry.at);
        self.turn.push(entry);
        match &entry.event {
            Event::Enter(enter) => self.enter(enter, known),
            Event::Return(back) => self.returned(back, known),
            Event::Packet(packet) => self.packet(packet, seen, join),
            Event::Arrival(arrival) => self.arrival(arrival.packet, arrival.again),
            Event::Socket(socket) => self.links.socket(socket),
            Event::Interface(_) => {}
            Event::Begin(begin) => self.plain(None, What::Begin(begin.clone())),
            Event::Net(net) => {
                if let Some(why) = &net.unseen {
                    let what = What::Unseen(net.host.clone(), why.clone());
                    self.plain(None, what);
                }
            }
            Event::Process(process) => {
                self.holders.process(process);
                self.name(process.process, &process.name);
            }
            Event::Exec(exec) => {
                let before = self.who(exec.process, known).name;
                self.name(exec.process, &exec.name);
                if self.introduced.contains(&exec.process) {
                    let what = What::Exec(exec.clone(), before);
                    self.plain(Some(exec.process), what);
                }
            }
            Event::Exit(exit) => {
                self.holders.ended(exit.process);
                if exit.status.is_err() {
                    self.wait(Some(exit.process), known);
                }
                let name = self.who(exit.process, known).name;
                if self.introduced.remove(&exit.process) || exit.status.is_err() {
                    let what = What::Exit(exit.clone(), name);
                    self.plain(Some(exit.process), what);
                }
                self.who.remove(&exit.process);
            }
            Event::Note(note) => {
                let who = note.process.map(|process| self.who(process, known));
                let what = What::Note(who, note.text.clone());
                self.plain(note.process, what);
            }
            Event::End(end) => {
                // What goes on is told before the end.
                self.wait(None, known);
                for key in self.idles.keys() {
                    self.tell_idle(key, self.now);
                }
                self.plain(None, What::End(*end));
            }
        }
    }

    /// No row will be about this socket any more.
    pub(super) fn forget(&mut self, socket: SocketId) {
        self.idles.forget(socket);
        if let Some(link) = self.links.forget(socket) {
            for side in [Side::Left, Side::Right] {
                self.isn.remove(&(link, side));
            }
        }
    }

    fn place(&mut self) -> Place {
        self.count += 1;
        (self.now, self.count)
    }

    fn plain(&mut self, process: Option<u32>, what: What) {
        let place = self.place();
        self.slots.insert(place, Slot::Plain(process, what));
    }

    fn name(&mut self, process: u32, name: &str) {
        let name = Arc::from(name);
        self.who.insert(process, Who { process, name });
    }

    fn who(&mut self, process: u32, known: &Known) -> Who {
        let new = || {
            let name = known.processes.get(&process).map_or("", |p| &p.name);
            let name = Arc::from(name);
            Who { process, name }
        };
        self.who.entry(process).or_insert_with(new).clone()
    }

    /// A process has its row when it makes its first call: most that a script starts never make one.
    fn introduce(&mut self, number: u32, known: &Known) {
        if self.introduced.insert(number)
            && let Some(process) = known.processes.get(&number)
        {
            self.plain(Some(number), What::Process(process.clone()));
        }
    }

    fn enter(&mut self, enter: &Enter, known: &Known) {
        self.introduce(enter.by.process, known);
        let who = self.who(enter.by.process, known);
        self.names.push(enter.call, enter.name.clone());
        self.links.enter(enter, &who, known);
        self.holders.enter(enter);
        if enter.deed == Deed::Close
            && let Some(socket) = enter.socket
        {
            for key in self.idles.of(socket) {
                self.tell_idle(key, self.now);
            }
        }
        let enter = Arc::new(enter.clone());
        let place = self.place();
        let call = Call {
            form: Form::Entered,
            who: who.clone(),
            enter: enter.clone(),
            entered: self.now,
            answer: None,
            after: 0,
            lost: 0,
            held: Held::default(),
        };
        self.slots.insert(place, Slot::Call(Box::new(call)));
        let open = Open {
            entered: self.now,
            who,
            enter,
            place: Some(place),
        };
        self.open.insert(open.enter.call, open);
        if self.open.len() > OPEN {
            self.open.pop_first();
        }
    }

    fn returned(&mut self, back: &Return, known: &Known) {
        let Some(open) = self.open.remove(&back.call) else {
            return;
        };
        self.links.returned(&open.enter, back, &open.who, known);
        self.holders.returned(&open.enter, back);
        let held = self.held(&open.enter, known);
        let mut call = Call {
            form: Form::Whole,
            who: open.who,
            enter: open.enter,
            entered: open.entered,
            answer: Some((self.now, back.clone())),
            after: 0,
            lost: 0,
            held,
        };
        // A call that was shown has had its turn.
        let place = open.place.filter(|place| self.slots.contains_key(place));
        if self.folding.idle && self.is_folded(&mut call, place, known) {
            return;
        }
        match place {
            Some(place) if self.splits(&call.enter, place) => {
                call.form = Form::Returned;
                let end = self.place();
                self.slots.insert(end, Slot::Call(Box::new(call)));
            }
            Some(place) if waits_for_others(call.enter.deed) => {
                self.slots.remove(&place);
                let end = self.place();
                self.slots.insert(end, Slot::Call(Box::new(call)));
            }
            Some(place) => drop(self.slots.insert(place, Slot::Call(Box::new(call)))),
            None => {
                call.form = Form::Returned;
                let end = self.place();
                self.slots.insert(end, Slot::Call(Box::new(call)));
            }
        }
    }

    /// What a call closes that is open elsewhere.
    fn held(&mut self, enter: &Enter, known: &Known) -> Held {
        // That a program run by another does not get its sockets is what programs are written for.
        if enter.deed != Deed::Close || enter.name.starts_with("exec") {
            return Held::default();
        }
        let is_connection = |id: &SocketId| {
            let socket = known.sockets.get(id);
            enter.socket.is_some()
                || socket.is_some_and(|s| s.transport == Transport::Tcp && s.peer.is_some())
        };
        let sockets: BTreeSet<SocketId> = enter.closes.iter().copied().collect();
        let by = sockets.into_iter().filter(is_connection);
        let by = by.map(|id| self.holders.of(id)).filter(|by| !by.is_empty());
        let by: Vec<BTreeSet<u32>> = by.collect();
        let processes: BTreeSet<u32> = by.iter().flatten().copied().collect();
        Held {
            sockets: by.len() as u64,
            by: processes
                .into_iter()
                .map(|process| self.who(process, known))
                .collect(),
        }
    }

    /// The call does not get on, and is told of together with others.
    fn is_folded(&mut self, call: &mut Call, place: Option<Place>, known: &Known) -> bool {
        let socket = call.enter.socket.and_then(|id| known.sockets.get(&id));
        let is_stream = socket.is_some_and(|socket| socket.kind != "SOCK_DGRAM");
        match self.idles.push(call, is_stream, place.is_some()) {
            Fate::Folded { new } => {
                if let Some(place) = place {
                    self.slots.remove(&place);
                }
                if new {
                    self.tell_idle(Key::of(&call.enter), self.now.plus(SECOND - HOLD));
                }
                true
            }
            Fate::Shown { after, instead_of } => {
                call.after = after;
                if let Some(place) = instead_of {
                    self.slots.remove(&place);
                }
                false
            }
        }
    }

    /// The handshake stands between the two halves of the call that makes it.
    fn splits(&self, enter: &Enter, place: Place) -> bool {
        enter.deed == Deed::Connect && self.last_packet.is_some_and(|packet| packet > place)
    }

    fn packet(&mut self, packet: &Packet, seen: Option<Seen>, join: &Join) {
        if let (Some(seen), Some(tied)) = (&seen, join.packet(packet.number)) {
            self.links.packet(seen, tied);
        }
        let place = self.place();
        let held = Waiting {
            number: packet.number,
            seen,
            way: packet.way,
            wire_len: packet.wire_len,
            arrived: None,
            lost: packet.lost.clone(),
        };
        if packet.way == Way::Wire && packet.lost.is_none() {
            self.sent.insert(packet.number, place);
        }
        self.last_packet = Some(place);
        self.slots.insert(place, Slot::Packet(Box::new(held)));
    }

    fn arrival(&mut self, packet: PacketId, again: bool) {
        if let Some(place) = self.sent.get(&packet)
            && let Some(Slot::Packet(held)) = self.slots.get_mut(place)
            && held.arrived.is_none()
            && !again
            // What happens on the way stands between the two.
            && self.count == place.1
        {
            held.arrived = Some(self.now);
            return;
        }
        let place = self.place();
        self.slots.insert(place, Slot::Arrival(packet, again));
    }

    /// Has calls that do not get on told of at `at`, or earlier if that was said before.
    fn tell_idle(&mut self, key: Key, at: Time) {
        if self.idles.told_at(&key).is_some_and(|place| place.0 <= at) {
            return;
        }
        self.count += 1;
        let place = (at, self.count);
        if let Some(before) = self.idles.tell_at(&key, place) {
            self.slots.remove(&before);
        }
        self.slots.insert(place, Slot::Idle(key));
    }

    /// A slot's turn has come.
    fn release(&mut self, at: Time, slot: Slot, known: &Known, join: &Join, ready: &mut Vec<Row>) {
        let row = match slot {
            Slot::Plain(process, what) => {
                let side = process.map(|process| self.links.side_of(process, known));
                Row {
                    at,
                    link: None,
                    side: side.unwrap_or_default(),
                    what,
                }
            }
            Slot::Call(call)
                if self.folding.idle
                    && call.answer.is_none()
                    && self.idles.is_endless(&Key::of(&call.enter)) =>
            {
                return;
            }
            Slot::Call(mut call) => {
                if call.answer.is_some() && call.form == Form::Entered {
                    call.form = Form::Whole;
                }
                call.lost = join.call(call.enter.call).map_or(0, |effects| effects.lost);
                let back = call.answer.as_ref().map(|(_, back)| back);
                let (link, side) = self.links.of_call(&call.enter, back, known);
                Row {
                    at,
                    link,
                    side,
                    what: What::Call(call),
                }
            }
            Slot::Packet(held) => self.sent(at, *held, known, join),
            Slot::Arrival(packet, again) => {
                let Some(row) = self.underway.get(&packet) else {
                    return;
                };
                let What::Packet(sent) = &row.what else {
                    return;
                };
                let mut sent = sent.clone();
                let now = Arc::make_mut(&mut sent);
                now.arrived = Some(at);
                if let Some(tied) = join.packet(packet) {
                    now.takers = self.names.of(&tied.takers);
                    now.tied = tied.clone();
                }
                let mut row = row.clone();
                (row.at, row.what) = (at, What::Arrival(sent, again));
                row
            }
            Slot::Idle(key) => {
                let Some(idle) = self.idles.tell(&key) else {
                    return;
                };
                let (link, side) = self.links.of_call(&idle.enter, None, known);
                Row {
                    at,
                    link,
                    side,
                    what: What::Idle(Box::new(idle)),
                }
            }
            Slot::Run(run) => {
                self.runs.second(run, at, ready);
                return;
            }
        };
        if !self.folding.runs {
            ready.push(row);
        } else if let Some(run) = self.runs.push(row, ready) {
            self.count += 1;
            self.slots
                .insert((at.plus(SECOND), self.count), Slot::Run(run));
        }
    }

    /// The row of a packet.
    fn sent(&mut self, at: Time, held: Waiting, known: &Known, join: &Join) -> Row {
        let tied = join.packet(held.number).cloned().unwrap_or_default();
        let (link, side) = match &held.seen {
            Some(seen) => {
                let (link, side) = self.links.of_packet(seen, &tied, known);
                (Some(link), side)
            }
            None => (None, Side::Left),
        };
        let (seq, ack) = match (&held.seen, &link) {
            (Some(seen), Some(link)) => self.numbers(seen, link.number, side),
            _ => (0, None),
        };
        let sent = Sent {
            number: held.number,
            causes: self.names.of(&tied.causes),
            takers: self.names.of(&tied.takers),
            acks: match tied.kernel {
                Some(Kernel::Ack(Some(call))) => Some(self.names.named(call)),
                _ => None,
            },
            seen: held.seen,
            tied,
            seq,
            ack,
            way: held.way,
            wire_len: held.wire_len,
            sent: at,
            arrived: held.arrived,
            lost: held.lost,
        };
        let row = Row {
            at,
            link,
            side,
            what: What::Packet(Arc::new(sent)),
        };
        if held.way == Way::Wire {
            self.sent.remove(&held.number);
            self.underway.insert(held.number, row.clone());
            if self.underway.len() > OPEN {
                self.underway.pop_first();
            }
        }
        row
    }

    /// Sequence number and acknowledgment of a segment, counted from the initial ones.
    fn numbers(&mut self, seen: &Seen, link: u32, from: Side) -> (u32, Option<u32>) {
        let seen::What::Segment(tcp) = &seen.what else {
            return (0, None);
        };
        // Without a SYN, the first byte seen is byte 1, as Wireshark counts.
        let first = if tcp.syn {
            tcp.seq
        } else {
            tcp.seq.wrapping_sub(1)
        };
        let isn = match tcp.syn {
            true => {
                self.isn.insert((link, from), first);
                first
            }
            false => *self.isn.entry((link, from)).or_insert(first),
        };
        let ack = tcp.ack.map(|ack| {
            let other = (link, from.other());
            let isn = *self.isn.entry(other).or_insert_with(|| ack.wrapping_sub(1));
            ack.wrapping_sub(isn)
        });
        (tcp.seq.wrapping_sub(isn), ack)
    }
}

/// Calls that return because of what another one did; the others are causes themselves.
const fn waits_for_others(deed: Deed) -> bool {
    matches!(
        deed,
        Deed::Accept | Deed::Receive | Deed::Peek | Deed::Connect | Deed::Wait
    )
}
