//! What a ladder tells: packets in, rows and sentences out, flow by flow.
//!
//! ```text
//!  read     a packet's layers → what a story needs of it      item    what comes out
//!  flow     one flow: rows and notes for each packet           queue   rows that wait for their fate
//!  sender   what one side sent: order, repetitions             words   the sentences
//!  kept     a flow of one packet, kept small                chapter what only the whole file can tell
//!  pseudonym  stand-ins for addresses
//! ```
//!
//! Everything is decided by the times of packets, never by a clock: the same packets tell the same story, live or from
//! a file. A row that was told is never changed; where the next packet shows more (a SYN's far state), or more of the same
//! follows (data), it is held back for [`HELD`].

mod chapter;
mod flow;
mod item;
mod kept;
mod pseudonym;
mod queue;
mod read;
mod sender;
mod words;

use std::{
    collections::{BTreeMap, VecDeque},
    net::SocketAddr,
};

use self::{
    flow::{At, Flow, Told, Underway},
    kept::{First, Kept},
    queue::{Hold, Queue},
    read::{Matter, Seen},
};
use crate::{
    layer::Packet,
    time::{MILLISECOND, SECOND, Time},
    track::{
        flow::{FlowKey, Flows, Stage, Transport},
        state::State,
    },
};

pub use chapter::{Chapter, Chapters};
pub use item::{
    About, Call, EXCERPT, Fate, Header, Item, Kind, Label, Note, Number, Order, Outcome, Part, Row,
    Section, Side, Summary, Tcp, What,
};
pub use pseudonym::Pseudonyms;
pub use words::Span;

/// How long a row may be held back, in nanoseconds of packet time.
pub const HELD: i64 = 200 * MILLISECOND;
/// After so long without an answer to a SYN (systems repeat it long before), and to the first datagram of an exchange, a
/// note says so.
const SILENCES: [i64; 2] = [5 * SECOND, 2 * SECOND];
/// The most items kept of a flow that is told when it ends.
const KEPT: usize = 512;
/// The most flows remembered, for the closing lines, after they left the table.
const PAST: usize = 1024;

/// Where a packet was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sight {
    /// At one capture point: sender and receiver are taken to see it at the same instant.
    Tap,
    /// At one capture point, and not to be told: it counts for what follows.
    Aside,
    /// As it left its sender; [`Story::delivered`] or [`Story::dropped`] follows.
    Sent,
}

/// How a story is told.
#[derive(Clone, Debug)]
pub struct StoryOptions {
    /// The most flows followed at a time; the oldest half-open or finished one makes room first.
    pub flows: usize,
    /// The sockets that are known to listen, where all of them are known (a lab); else the packets must tell.
    pub listening: Option<Vec<SocketAddr>>,
    /// Each flow is told when it ends.
    pub group: bool,
    /// Stand-ins for all addresses, and no data.
    pub anonymise: bool,
}

impl Default for StoryOptions {
    fn default() -> Self {
        Self {
            flows: crate::track::flow::CAPACITY,
            listening: None,
            group: false,
            anonymise: false,
        }
    }
}

/// A time at which silence is worth a note.
#[derive(Clone, Copy, Debug)]
struct Deadline {
    time: Time,
    /// The flow's place in the table, and its number: another flow may have the place by then.
    place: u32,
    number: u64,
}

/// A packet whose fate is not known yet.
#[derive(Debug)]
struct Pending {
    number: u64,
    row: u64,
    key: FlowKey,
    label: Label,
    underway: Underway,
}

/// Follows flows and tells what happens.
#[derive(Debug)]
pub struct Story {
    options: StoryOptions,
    pseudonyms: Option<Pseudonyms>,
    flows: Flows<Kept>,
    labels: [u64; 2],
    queue: Queue,
    /// For TCP and UDP; each in order of time, since the wait is the same for all of a kind.
    deadlines: [VecDeque<Deadline>; 2],
    underway: VecDeque<Pending>,
    now: Time,
    /// The flow that the last item belongs to.
    current: Option<Label>,
    told: Told,
    rows: u64,
    /// Flows that made room for others, as many as [`PAST`].
    past: Vec<(u64, Summary)>,
}

impl Story {
    /// A story without flows yet.
    pub fn new(options: StoryOptions) -> Self {
        Self {
            flows: Flows::new(options.flows),
            pseudonyms: options.anonymise.then(Pseudonyms::default),
            options,
            labels: [0; 2],
            queue: Queue::default(),
            deadlines: Default::default(),
            underway: VecDeque::new(),
            now: Time::from_nanos(i64::MIN),
            current: None,
            told: Told::default(),
            rows: 0,
            past: Vec::new(),
        }
    }

    /// A server listens from now on, where all of them are known.
    pub fn listens(&mut self, socket: SocketAddr) {
        if let Some(listening) = &mut self.options.listening {
            listening.push(socket);
        }
    }

    /// A packet. Packets come in the order of their times; those that belong to no flow tell nothing. True for one that
    /// gets a row of its own, now or later.
    pub fn packet(&mut self, packet: &Packet<'_>, sight: Sight, out: &mut Vec<Item>) -> bool {
        self.advance(packet.frame.time, out);
        let Some(mut seen) = Seen::of(packet) else {
            return false;
        };
        if let Some(pseudonyms) = &mut self.pseudonyms {
            seen.anonymise(pseudonyms);
        }
        let aside = sight == Sight::Aside;
        self.rows += u64::from(!aside);
        let key = seen.key();
        let at = At {
            number: packet.frame.number,
            time: packet.frame.time,
            sent_only: sight == Sight::Sent,
        };
        let (place, is_new) = self.begin(key, &seen, packet, out);
        let mut told = std::mem::take(&mut self.told);
        let Some((_, kept)) = self.flows.at(place) else {
            return false;
        };
        let flow = kept.whole(key);
        let underway = flow.packet(&seen, at, &mut told);
        flow.shown |= !aside;
        if aside {
            (told.row, told.section) = (None, None);
            told.notes.clear();
        }
        let label = flow.header.label;
        let stage = if flow.is_half_open() {
            Stage::HalfOpen
        } else {
            Stage::Open
        };
        let row = tell(&mut self.queue, &self.options, key, flow, &mut told, at);
        if is_new
            && self.options.listening.is_none()
            && let Some(first) = First::of(flow, &seen, at)
        {
            *kept = Kept::First(first);
        }
        self.flows.set_stage_at(place, stage);
        self.told = told;
        if at.sent_only
            && let Some(row) = row
        {
            self.underway.push_back(Pending {
                number: at.number,
                row,
                key,
                label,
                underway,
            });
            if self.underway.len() > queue::LONGEST {
                self.underway.pop_front();
            }
        }
        self.drain(out);
        row.is_some()
    }

    /// Packet `number`, seen as it was sent, reached its receiver. Calls come in order of time, together with
    /// those of [`Story::packet`].
    pub fn delivered(&mut self, number: u64, time: Time, out: &mut Vec<Item>) {
        self.advance(time, out);
        let Some(pending) = self.take_underway(number) else {
            return;
        };
        let mut told = std::mem::take(&mut self.told);
        let mut flow = flow_of(&mut self.flows, pending.key, pending.label);
        let state = flow
            .as_mut()
            .and_then(|flow| flow.arrives(&pending.underway, time, &mut told));
        if let Some(row) = self.queue.row_mut(pending.row) {
            pending.underway.complete(row, state, time);
        }
        if state == Some(State::Unknown)
            && self.queue.wait_for_far_state(pending.row, time.plus(HELD))
            && let Some(flow) = &mut flow
        {
            flow.held = Some(pending.row);
        } else {
            self.queue.release(pending.row);
        }
        let at = At {
            number,
            time,
            sent_only: true,
        };
        if let Some(flow) = flow {
            tell(
                &mut self.queue,
                &self.options,
                pending.key,
                flow,
                &mut told,
                at,
            );
        }
        self.told = told;
        self.drain(out);
    }

    /// Packet `number`, seen as it was sent, was dropped by `rule` (in words that are safe to show; may be empty).
    pub fn dropped(&mut self, number: u64, rule: &str, out: &mut Vec<Item>) {
        let Some(pending) = self.take_underway(number) else {
            return;
        };
        if let Some(row) = self.queue.row_mut(pending.row) {
            row.fate = Fate::Dropped;
        }
        if let Some(flow) = flow_of(&mut self.flows, pending.key, pending.label) {
            flow.drops(&pending.underway, number);
        }
        self.queue.release(pending.row);
        if !rule.is_empty() {
            self.note(
                pending.key,
                self.now,
                About::Trouble,
                words::dropped(number, rule),
            );
        }
        self.drain(out);
    }

    /// Packet `number`, seen as it was sent, is going to be delivered twice.
    pub fn doubled(&mut self, number: u64) {
        let pending = self.underway.iter().find(|p| p.number == number);
        if let Some(key) = pending.map(|pending| pending.key) {
            self.note(key, self.now, About::Trouble, words::doubled(number));
        }
    }

    /// Packet `number`, seen as it was sent, is held back for so many nanoseconds: others may overtake it.
    pub fn held_back(&mut self, number: u64, nanos: i64) {
        let pending = self.underway.iter().find(|p| p.number == number);
        if let Some(key) = pending.map(|pending| pending.key) {
            self.note(
                key,
                self.now,
                About::Trouble,
                words::held_back(number, nanos),
            );
        }
    }

    /// The stand-ins of a story that is told without addresses.
    pub fn pseudonyms(&mut self) -> Option<&mut Pseudonyms> {
        self.pseudonyms.as_mut()
    }

    /// When the first row that is held back was sent; what is told next is not older.
    pub fn held_since(&self) -> Option<Time> {
        self.queue.held_since()
    }

    /// Nothing happened up to `until`: time-outs become notes, each stamped with its deadline.
    pub fn quiet(&mut self, until: Time, out: &mut Vec<Item>) {
        self.advance(until, out);
    }

    /// No more packets: everything held back is told.
    pub fn finish(&mut self, out: &mut Vec<Item>) {
        while let Some(entry) = self.queue.pop(None) {
            self.hand_out(entry, out);
        }
        let mut kept: Vec<(Header, Vec<Item>)> = self
            .flows
            .values_mut()
            .filter_map(Kept::as_whole)
            .filter(|flow| !flow.told.is_empty())
            .map(|flow| (flow.header.clone(), std::mem::take(&mut flow.told)))
            .collect();
        kept.sort_by_key(|(header, _)| header.label);
        for (header, items) in kept {
            self.emit_all(&header, items, out);
        }
    }

    /// The flows in the table of which something was told, and the first ones that left it, in order of their first packets.
    pub fn summaries(&self) -> Vec<Summary> {
        let mut all = self.past.clone();
        let table = self.flows.iter();
        all.extend(table.filter_map(|(key, kept)| {
            let summary = kept.look(key, |flow| flow.shown.then(|| flow.summary()))?;
            Some((kept.order(), summary))
        }));
        all.sort_by_key(|(order, _)| *order);
        all.into_iter().map(|(_, summary)| summary).collect()
    }

    /// How many of the flows of [`Story::summaries`] ended in which way, without the room that these take.
    pub fn outcomes(&self) -> BTreeMap<Outcome, usize> {
        let past = self.past.iter().map(|(_, summary)| summary.outcome);
        let table = self.flows.iter();
        let table = table
            .filter_map(|(key, kept)| kept.look(key, |flow| flow.shown.then_some(flow.outcome)));
        let mut outcomes = BTreeMap::new();
        for outcome in past.chain(table) {
            *outcomes.entry(outcome).or_default() += 1;
        }
        outcomes
    }

    /// Packets that became rows, or part of one.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Flows followed, and flows forgotten to make room.
    pub fn flows(&self) -> (usize, u64) {
        (self.flows.len(), self.flows.evicted())
    }

    /// Makes the flow of a packet, where it is new; answers with its place, and whether it is new.
    fn begin(
        &mut self,
        key: FlowKey,
        seen: &Seen<'_>,
        packet: &Packet<'_>,
        out: &mut Vec<Item>,
    ) -> (u32, bool) {
        let kind = usize::from(seen.transport == Transport::Udp);
        let time = packet.frame.time;
        let known = self.flows.place(&key);
        if let Some(place) = known
            && let Some((_, kept)) = self.flows.at(place)
            && !kept.look(key, |flow| flow.is_succeeded_by(seen, time))
        {
            self.flows.heard(place);
            return (place, false);
        }
        let goes = known.or_else(|| self.flows.next_to_go());
        if let Some((key, kept)) = goes.and_then(|place| self.flows.at(place)) {
            if self.past.len() < PAST && kept.look(key, |flow| flow.shown) {
                self.past
                    .push((kept.order(), kept.look(key, Flow::summary)));
            }
            if let Some(flow) = kept.as_whole()
                && !flow.told.is_empty()
            {
                let (header, items) = (flow.header.clone(), std::mem::take(&mut flow.told));
                self.emit_all(&header, items, out);
            }
        }
        self.labels[kind] += 1;
        let number = self.labels[kind];
        let mut flow = Flow::new(seen, number, self.options.listening.as_deref());
        flow.header.interface = packet.frame.interface;
        flow.order = self.labels.iter().sum();
        let flow = Kept::Whole(Box::new(flow));
        let place = match known.and_then(|place| self.flows.at(place)) {
            Some((_, old)) => {
                *old = flow;
                known.unwrap_or_default()
            }
            None => self.flows.add(key, flow, Stage::HalfOpen),
        };
        if !matches!(seen.what, Matter::Error { .. }) {
            // As many deadlines as flows: the first ones belong to flows that were forgotten.
            if self.deadlines[kind].len() >= self.options.flows {
                self.deadlines[kind].pop_front();
            }
            self.deadlines[kind].push_back(Deadline {
                time: self.now.plus(SILENCES[kind]),
                place,
                number,
            });
        }
        (place, true)
    }

    fn note(&mut self, key: FlowKey, time: Time, about: About, text: String) {
        if let Some(kept) = self.flows.get_mut(&key) {
            let note = Item::Note(Note { about, time, text });
            let header = kept.look(key, |flow| flow.header.clone());
            self.queue.push(key, &header, Some(note), Hold::Ready);
        }
    }

    /// Time goes on to `until`, never back: silences that are over become notes.
    fn advance(&mut self, until: Time, out: &mut Vec<Item>) {
        while let Some((kind, deadline)) = self.next_deadline(until) {
            self.now = self.now.max(deadline.time);
            let label = Label {
                kind: [Kind::Tcp, Kind::Udp][kind],
                number: deadline.number,
            };
            if let Some((key, kept)) = self.flows.at(deadline.place)
                && kept.label(key) == label
                && let Some(text) = kept.look(key, |flow| flow.silence(SILENCES[kind]))
            {
                self.note(key, deadline.time, About::Trouble, text);
            }
            self.drain(out);
        }
        self.now = self.now.max(until);
        self.drain(out);
    }

    /// The kind of flow and the deadline, of the first that is over.
    fn next_deadline(&mut self, until: Time) -> Option<(usize, Deadline)> {
        let first = |queue: &VecDeque<Deadline>| queue.front().map(|first| first.time);
        let (kind, queue) = self
            .deadlines
            .iter_mut()
            .enumerate()
            .filter(|(_, queue)| first(queue).is_some_and(|time| time < until))
            .min_by_key(|(_, queue)| first(queue))?;
        Some((kind, queue.pop_front()?))
    }

    fn drain(&mut self, out: &mut Vec<Item>) {
        while let Some(entry) = self.queue.pop(Some(self.now)) {
            self.hand_out(entry, out);
        }
    }

    fn hand_out(&mut self, entry: queue::Entry, out: &mut Vec<Item>) {
        if self.options.group
            && let Some(flow) = flow_of(&mut self.flows, entry.key, entry.header.label)
        {
            let over = entry.item.is_none();
            flow.told.extend(entry.item);
            if !flow.told.is_empty() && (over || flow.told.len() >= KEPT) {
                let items = std::mem::take(&mut flow.told);
                self.emit_all(&entry.header, items, out);
            }
        } else if let Some(item) = entry.item {
            self.emit_all(&entry.header, [item], out);
        }
    }

    fn emit_all(
        &mut self,
        header: &Header,
        items: impl IntoIterator<Item = Item>,
        out: &mut Vec<Item>,
    ) {
        if self.current != Some(header.label) {
            self.current = Some(header.label);
            out.push(Item::Flow(header.clone()));
        }
        out.extend(items);
    }

    fn take_underway(&mut self, number: u64) -> Option<Pending> {
        let at = self.underway.iter().position(|p| p.number == number)?;
        self.underway.remove(at)
    }
}

/// Queues what a packet told; returns the place of its row.
fn tell(
    queue: &mut Queue,
    options: &StoryOptions,
    key: FlowKey,
    flow: &mut Flow,
    told: &mut Told,
    at: At,
) -> Option<u64> {
    let header = flow.header.clone();
    if let Some(state) = told.settled.take()
        && let Some(id) = flow.held.take()
    {
        queue.settle(id, state);
    }
    if let Some(section) = told.section.take() {
        queue.push(key, &header, Some(Item::Section(section)), Hold::Ready);
    }
    let row = told.row.take().and_then(|row| {
        if !at.sent_only && queue.fold(&mut flow.run, &header, &row) {
            return None;
        }
        let waits = !at.sent_only && queue::waits_for_far_state(&row);
        let hold = match () {
            () if at.sent_only => Hold::Fate,
            () if waits => Hold::Until(at.time.plus(HELD)),
            () if !at.sent_only && queue::opens_fold(flow.run, &row) => {
                Hold::Fold(at.time.plus(HELD))
            }
            () => Hold::Ready,
        };
        let id = queue.push(key, &header, Some(Item::Row(row)), hold);
        flow.held = Some(id).filter(|_| waits).or(flow.held);
        Some(id)
    });
    for (about, text) in told.notes.drain(..) {
        let note = Note {
            about,
            time: at.time,
            text,
        };
        queue.push(key, &header, Some(Item::Note(note)), Hold::Ready);
    }
    if std::mem::take(&mut told.ended) && options.group {
        queue.push(key, &header, None, Hold::Ready);
    }
    row
}

fn flow_of(flows: &mut Flows<Kept>, key: FlowKey, label: Label) -> Option<&mut Flow> {
    let kept = flows.get_mut(&key)?;
    (kept.label(key) == label).then(|| kept.whole(key))
}
