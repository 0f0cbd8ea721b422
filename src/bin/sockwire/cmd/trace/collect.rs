//! Brings what several threads tell of a trace into one order: the tracer's calls, and the packets of each network.
//!
//! A tracer tells a [`Teller`], which waits for no view; packets come from threads that capture, or are pushed (a lab's
//! wire). [`Collector::collect`] gives out the entries that nothing can precede any more, packets of other programs left out.

use std::{
    collections::HashMap,
    mem,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use sockwire::{
    event::{Begin, End, Entry, Event, Interface, NetId, PacketId, Way},
    sys::clock::Clock,
    time::{MILLISECOND, Time},
    timeline::known::Known,
    trace::Listener,
};

use super::{
    Failure,
    captures::{Capture, Captures},
    merge::Merge,
};

/// So many entries wait at most for the views; then the tracer waits, and with it the programs.
const MOST: usize = 1 << 16;
/// How often one looks for what is new when nobody says that there is much.
const LOOK: Duration = Duration::from_millis(20);
/// How long one listens after the programs' end, in nanoseconds: the other side's kernel answers a FIN.
const FAREWELL: i64 = 50 * MILLISECOND;
/// The same where it does not fall silent.
const LONG_FAREWELL: i64 = 500 * MILLISECOND;
/// The tracer among the sources; the others are networks and wires.
const TRACER: usize = 0;

/// What the tracer has told and nobody has taken yet.
#[derive(Default)]
struct Told {
    entries: Vec<Entry>,
    /// What it tells next is later than now.
    idle: bool,
    /// It tells nothing more.
    over: bool,
}

/// Where the tracer's thread and the collector's meet.
#[derive(Default)]
struct Meeting {
    told: Mutex<Told>,
    /// There is much to take, or it is over; there is room again.
    changed: Condvar,
}

impl Meeting {
    fn told(&self) -> MutexGuard<'_, Told> {
        // A list that a thread left when it panicked is whole.
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Sees to it that packets of a network are captured, from the tracer's thread, while a process in it stands still: the
/// network, its host in a lab, that process. An error says why they will not be seen.
pub(in crate::cmd) type Networks =
    Box<dyn FnMut(NetId, Option<&str>, u32) -> Result<(), String> + Send>;

/// The end at which a tracer tells. When it is dropped, nothing more is to come from it.
pub(in crate::cmd) struct Teller {
    meeting: Arc<Meeting>,
    networks: Networks,
}

impl Listener for Teller {
    fn tell(&mut self, at: Time, event: Event) {
        let mut told = self.meeting.told();
        told.entries.push(Entry { at, event });
        if told.entries.len() >= MOST / 2 {
            self.meeting.changed.notify_all();
        }
        while told.entries.len() >= MOST {
            let waited = self.meeting.changed.wait(told);
            told = waited.unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn network(&mut self, net: NetId, host: Option<&str>, process: u32) -> Result<(), String> {
        (self.networks)(net, host, process)
    }

    fn idle(&mut self, idle: bool) {
        self.meeting.told().idle = idle;
    }
}

impl Drop for Teller {
    fn drop(&mut self) {
        self.meeting.told().over = true;
        self.meeting.changed.notify_all();
    }
}

/// Which packets are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::cmd) enum Keep {
    /// Those of the traced programs' sockets.
    Own,
    /// All: nobody else is in these networks.
    All,
}

/// Takes what is given out, in order.
pub(in crate::cmd) type Taker<'a> = &'a mut dyn FnMut(&Entry) -> Result<(), Failure>;

/// Brings everything into one order.
pub(in crate::cmd) struct Collector {
    clock: Clock,
    meeting: Arc<Meeting>,
    captures: Captures,
    capturing: Vec<Capturing>,
    keep: Keep,
    merge: Merge,
    known: Known,
    /// Interfaces of sources that have had no packet yet, and the numbers in the log of the others.
    pending: HashMap<(usize, u32), Interface>,
    numbers: HashMap<(usize, u32), u32>,
    /// Numbers in the log of the packets that sources have numbered, until they have arrived.
    underway: HashMap<(usize, PacketId), PacketId>,
    end: End,
    /// When something of the programs was given out last.
    active: Time,
    /// When the tracer's end was noticed.
    over: Option<Time>,
}

/// A network whose packets are captured.
struct Capturing {
    capture: Arc<Capture>,
    source: usize,
    over: bool,
}

impl Collector {
    /// A collector, and the end at which a tracer tells. The log begins with `begin`; `networks` sees to the packets.
    pub(in crate::cmd) fn new(
        begin: Begin,
        keep: Keep,
        networks: impl FnOnce(Captures) -> Networks,
    ) -> (Self, Teller) {
        let clock = Clock::start();
        let now = clock.now();
        let meeting = Arc::new(Meeting::default());
        let captures = Captures::default();
        let teller = Teller {
            meeting: Arc::clone(&meeting),
            networks: networks(captures.clone()),
        };
        let mut merge = Merge::default();
        let tracer = merge.source(now);
        debug_assert_eq!(tracer, TRACER);
        let event = Event::Begin(begin);
        merge.push(TRACER, Entry { at: now, event });
        let collector = Self {
            clock,
            meeting,
            captures,
            capturing: Vec::new(),
            keep,
            merge,
            known: Known::default(),
            pending: HashMap::new(),
            numbers: HashMap::new(),
            underway: HashMap::new(),
            end: End::default(),
            active: now,
            over: None,
        };
        (collector, teller)
    }

    /// The clock by which the tracer is to tell.
    pub(in crate::cmd) const fn clock(&self) -> Clock {
        self.clock
    }

    /// Another source of packets. Nothing is given out that is later than what it has [`reached`](Self::reach).
    pub(in crate::cmd) fn source(&mut self) -> usize {
        self.merge.source(self.clock.now())
    }

    /// An entry of such a source. Its interfaces have numbers of their own; packets are numbered here.
    pub(in crate::cmd) fn push(&mut self, source: usize, entry: Entry) {
        self.merge.push(source, entry);
    }

    /// The source tells nothing more that is earlier; [`Time::MAX`] is its end.
    pub(in crate::cmd) fn reach(&mut self, source: usize, until: Time) {
        self.merge.reach(source, until);
    }

    /// Waits until there may be something to collect.
    pub(in crate::cmd) fn wait(&self) {
        let told = self.meeting.told();
        let waits = !told.over && told.entries.len() < MOST / 2;
        if waits || self.over.is_some() {
            drop(self.meeting.changed.wait_timeout(told, LOOK));
        }
    }

    /// Everything earlier than this has been given out.
    pub(in crate::cmd) fn reached(&self) -> Time {
        self.merge.reached()
    }

    /// Gives out what nothing can precede any more. True when that was the last entry.
    pub(in crate::cmd) fn collect(&mut self, take: Taker<'_>) -> Result<bool, Failure> {
        self.hear();
        while let Some((source, entry)) = self.merge.pop() {
            self.give(source, entry, take)?;
        }
        let captured = self.over.is_some() && self.capturing.iter().all(|one| one.over);
        if self.over.is_some() && !captured {
            self.farewell();
        }
        if !captured || self.merge.reached() < Time::MAX || !self.merge.is_empty() {
            return Ok(false);
        }
        take(&Entry {
            at: self.active,
            event: Event::End(self.end),
        })?;
        Ok(true)
    }

    /// Takes what was told and caught.
    fn hear(&mut self) {
        // In this order: a network that is captured after the look at the clock has no packets before it.
        let now = self.clock.now();
        let mut told = self.meeting.told();
        let entries = mem::take(&mut told.entries);
        let (idle, over) = (told.idle, told.over);
        drop(told);
        self.meeting.changed.notify_all();
        let last = entries.last().map(|last| last.at);
        for entry in entries {
            self.merge.push(TRACER, entry);
        }
        if let Some(last) = last {
            self.merge.reach(TRACER, last);
        }
        if over {
            self.over.get_or_insert(now);
            self.merge.reach(TRACER, Time::MAX);
        } else if idle {
            self.merge.reach(TRACER, now);
        }
        for capture in self.captures.from(self.capturing.len()) {
            let source = self.merge.source(Time::from_nanos(i64::MIN));
            self.capturing.push(Capturing {
                capture,
                source,
                over: false,
            });
        }
        for one in &mut self.capturing {
            let caught = one.capture.take();
            for entry in caught.entries {
                self.merge.push(one.source, entry);
            }
            self.merge.reach(one.source, caught.reached);
            if let Some(counters) = caught.over
                && !one.over
            {
                one.over = true;
                self.end.duplicates += counters.duplicate;
                self.end.dropped += counters.dropped;
            }
        }
    }

    fn give(&mut self, source: usize, mut entry: Entry, take: Taker<'_>) -> Result<(), Failure> {
        match &mut entry.event {
            // Told when there is a packet of it.
            Event::Interface(interface) => {
                let key = (source, interface.id);
                self.pending.insert(key, interface.clone());
                return Ok(());
            }
            Event::Packet(packet) => {
                self.end.seen += 1;
                let key = (source, packet.interface);
                let interface = self.pending.get(&key);
                if self.keep == Keep::Own && !true {
                    self.end.others += 1;
                    return Ok(());
                }
                if let Some(mut interface) = self.pending.remove(&key) {
                    interface.id = self.numbers.len() as u32;
                    self.numbers.insert(key, interface.id);
                    take(&Entry {
                        at: entry.at,
                        event: Event::Interface(interface),
                    })?;
                }
                self.end.kept += 1;
                if packet.way == Way::Wire && packet.lost.is_none() {
                    let key = (source, packet.number);
                    self.underway.insert(key, self.end.kept);
                }
                packet.number = self.end.kept;
                packet.interface = self.numbers.get(&key).copied().unwrap_or_default();
            }
            Event::Arrival(arrival) => {
                let key = (source, arrival.packet);
                // A second copy may come, of the last ones only.
                let Some(&number) = self.underway.get(&key) else {
                    return Ok(());
                };
                arrival.packet = number;
            }
            Event::Enter(_) => self.end.calls += 1,
            _ => {}
        }
        self.known.push(&entry);
        self.active = self.active.max(entry.at);
        take(&entry)
    }

    /// The programs have ended: listens until their networks are silent.
    fn farewell(&mut self) {
        let Some(over) = self.over else { return };
        let reached = self.merge.reached();
        let is_silent = reached.since(self.active.max(over)) >= FAREWELL;
        if is_silent || self.clock.now().since(over) >= LONG_FAREWELL {
            self.captures.stop();
        }
    }
}
