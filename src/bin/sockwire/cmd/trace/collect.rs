//! Brings what several threads tell of a trace into one order: the tracer's calls, and the packets of each network.
//!
//! A tracer tells a [`Teller`], which waits for no view; packets come from threads that capture, or are pushed (a lab's
//! wire). [`Collector::collect`] gives out the entries that nothing can precede any more, packets of other programs left out.

use std::{
    collections::{BTreeMap, HashMap},
    mem,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use sockwire::{
    event::{Begin, End, Entry, Event, Interface, NetId, PacketId, Way},
    sys::clock::Clock,
    time::{MILLISECOND, Time},
    timeline::{known::Known, merge::Merge, own::Own, seen::Reader},
    trace::Listener,
};

use super::{
    Failure,
    captures::{Capture, Captures},
};

/// So many entries wait at most for the views; then the tracer waits, and with it the programs.
const MOST: usize = 1 << 16;
/// How often one looks for what is new when nobody says that there is much.
const LOOK: Duration = Duration::from_millis(20);
/// How long one listens after the programs' end, in nanoseconds: the other side's kernel answers a FIN.
const FAREWELL: i64 = 50 * MILLISECOND;
/// The same where it does not fall silent.
const LONG_FAREWELL: i64 = 500 * MILLISECOND;
/// So many entries are held back at most until it is certain that nothing comes before them.
const HELD: usize = 1 << 18;
/// So many packets are underway at a time at most, or have arrived and may do so again.
const UNDERWAY: usize = 1 << 16;
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
    own: Own,
    reader: Reader,
    interfaces: Interfaces,
    /// Numbers in the log of the last packets of the wire, by its own numbers: they may arrive, and arrive twice.
    underway: BTreeMap<PacketId, PacketId>,
    end: End,
    /// The last entry has been given out.
    is_ended: bool,
    /// When something of the programs was given out last.
    active: Time,
    /// When the tracer's end was noticed.
    over: Option<Time>,
}

/// The interfaces of all sources. Each has a number here, until the first of its packets is kept, and one in the log then.
#[derive(Default)]
struct Interfaces {
    /// By source and its own number.
    here: HashMap<(usize, u32), u32>,
    all: Vec<(Interface, Option<u32>)>,
    /// How many are in the log.
    told: u32,
}

impl Interfaces {
    /// An interface of a source, or a packet of one, gets the number that it has here.
    fn renumber(&mut self, source: usize, event: &mut Event) {
        match event {
            Event::Interface(interface) => {
                let here = self.all.len() as u32;
                self.here.insert((source, interface.id), here);
                self.all.push((interface.clone(), None));
                interface.id = here;
            }
            Event::Packet(packet) => {
                let key = (source, packet.interface);
                packet.interface = self.here.get(&key).copied().unwrap_or(u32::MAX);
            }
            _ => {}
        }
    }

    /// The number in the log of an interface that has one here; with the interface when it is new there.
    fn in_log(&mut self, here: u32) -> (u32, Option<Interface>) {
        let Some((interface, told)) = self.all.get_mut(here as usize) else {
            return (here, None);
        };
        if let Some(told) = told {
            return (*told, None);
        }
        let id = *told.insert(self.told);
        self.told += 1;
        let new = Interface {
            id,
            ..interface.clone()
        };
        (id, Some(new))
    }
}

/// A network whose packets are captured.
struct Capturing {
    capture: Arc<Capture>,
    source: usize,
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
        let captures = Captures::new(clock);
        let teller = Teller {
            meeting: Arc::clone(&meeting),
            networks: networks(captures.clone()),
        };
        let mut merge = Merge::new(1, HELD);
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
            own: Own::default(),
            reader: Reader::default(),
            interfaces: Interfaces::default(),
            underway: BTreeMap::new(),
            end: End::default(),
            is_ended: false,
            active: now,
            over: None,
        };
        (collector, teller)
    }

    /// The clock by which the tracer is to tell.
    pub(in crate::cmd) const fn clock(&self) -> Clock {
        self.clock
    }

    /// Another source of packets; its number. Nothing is given out that is later than what it has [`reached`](Self::reach).
    pub(in crate::cmd) fn source(&mut self) -> usize {
        self.merge.add()
    }

    /// An entry of a source. Its interfaces have numbers of its own; packets are numbered here.
    pub(in crate::cmd) fn push(&mut self, source: usize, mut entry: Entry) {
        self.interfaces.renumber(source, &mut entry.event);
        self.merge.push(source, entry);
    }

    /// A source tells nothing more that is earlier; [`Time::MAX`] is its end.
    pub(in crate::cmd) fn reach(&mut self, source: usize, until: Time) {
        self.merge.advance(source, until);
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

    /// Gives out what nothing can precede any more. True when the last entry has been given out.
    pub(in crate::cmd) fn collect(&mut self, take: Taker<'_>) -> Result<bool, Failure> {
        self.hear();
        while let Some(entry) = self.merge.pop() {
            self.give(entry, take)?;
        }
        self.farewell();
        if self.reached() < Time::MAX || self.merge.held() > 0 {
            return Ok(false);
        }
        if !mem::replace(&mut self.is_ended, true) {
            take(&Entry {
                at: self.active,
                event: Event::End(self.end),
            })?;
        }
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
        let reached = match (over, idle) {
            (true, _) => Some(Time::MAX),
            (false, true) => Some(now),
            (false, false) => last,
        };
        if let Some(reached) = reached {
            self.reach(TRACER, reached);
        }
        if over {
            self.over.get_or_insert(now);
        }
        for capture in self.captures.from(self.capturing.len()) {
            let source = self.source();
            self.capturing.push(Capturing { capture, source });
        }
        for at in 0..self.capturing.len() {
            let Capturing { capture, source } = &self.capturing[at];
            let (caught, source) = (capture.take(), *source);
            for entry in caught.entries {
                self.push(source, entry);
            }
            self.reach(source, caught.reached);
            if let Some(counters) = caught.over {
                self.end.seen += counters.duplicate;
                self.end.duplicates += counters.duplicate;
                self.end.dropped += counters.dropped;
            }
        }
    }

    fn give(&mut self, mut entry: Entry, take: Taker<'_>) -> Result<(), Failure> {
        match &mut entry.event {
            // Told when there is a packet of it; until then the reader must know it.
            Event::Interface(_) => {
                self.known.push(&entry);
                return Ok(());
            }
            Event::Packet(packet) => {
                let here = packet.interface;
                self.end.seen += 1;
                if self.keep == Keep::Own && !self.is_own(&entry) {
                    self.end.others += 1;
                    return Ok(());
                }
                let (number, new) = self.interfaces.in_log(here);
                if let Some(new) = new {
                    let (at, event) = (entry.at, Event::Interface(new));
                    take(&Entry { at, event })?;
                }
                let Event::Packet(packet) = &mut entry.event else {
                    return Ok(());
                };
                self.end.kept += 1;
                if packet.way == Way::Wire && packet.lost.is_none() {
                    self.underway.insert(packet.number, self.end.kept);
                    if self.underway.len() > UNDERWAY {
                        self.underway.pop_first();
                    }
                }
                packet.number = self.end.kept;
                packet.interface = number;
            }
            Event::Arrival(arrival) => {
                let Some(&number) = self.underway.get(&arrival.packet) else {
                    return Ok(());
                };
                arrival.packet = number;
            }
            Event::Enter(_) => self.end.calls += 1,
            _ => {}
        }
        self.known.push(&entry);
        self.own.push(&entry, &self.known);
        self.active = self.active.max(entry.at);
        take(&entry)
    }

    /// A packet, with the number that its interface has here, is one of the traced programs'.
    fn is_own(&mut self, packet: &Entry) -> bool {
        let Some(seen) = self.reader.read(packet, &self.known) else {
            return false;
        };
        let Event::Packet(packet) = &packet.event else {
            return false;
        };
        let interface = self.known.interfaces.get(&packet.interface);
        let net = interface.and_then(|interface| interface.net);
        net.is_some_and(|net| self.own.has(net, &seen))
    }

    /// The programs have ended: listens until their networks are silent.
    fn farewell(&mut self) {
        let Some(over) = self.over else { return };
        let now = self.clock.now();
        let is_silent = now.since(self.active.max(over)) >= FAREWELL;
        if is_silent || now.since(over) >= LONG_FAREWELL {
            self.captures.stop();
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use sockwire::{
        call::{Address, Caller},
        event::{self, Arg, Deed, Enter, Packet, Return, Socket, Transport},
        frame::KernelChecksum,
        link::LinkType,
    };

    use super::*;

    const SERVER: &str = "10.0.0.2:5000";

    fn collector(keep: Keep) -> (Collector, Teller) {
        let begin = Begin {
            version: sockwire::event::VERSION,
            what: "it".to_owned(),
            ground: "a test".to_owned(),
        };
        Collector::new(begin, keep, |_| Box::new(|_, _, _| Ok(())))
    }

    /// What is given out by now, a word each; true when it is all.
    fn collect(collector: &mut Collector) -> (Vec<String>, bool) {
        let mut out = Vec::new();
        let all = collector.collect(&mut |entry| {
            out.push(match &entry.event {
                Event::Begin(_) => "begin".to_owned(),
                Event::Interface(interface) => format!("{} is {}", interface.name, interface.id),
                Event::Packet(packet) => {
                    format!("packet {} on {}", packet.number, packet.interface)
                }
                Event::Enter(enter) => enter.name.to_string(),
                Event::Return(_) => "returns".to_owned(),
                Event::End(end) => format!(
                    "end: {} calls, {} = {} + {} + {}",
                    end.calls, end.seen, end.kept, end.others, end.duplicates
                ),
                other => format!("{other:?}")
                    .split('(')
                    .next()
                    .unwrap()
                    .to_lowercase(),
            });
            Ok(())
        });
        (out, all.unwrap())
    }

    fn interface(id: u32, name: &str) -> Event {
        Event::Interface(Interface {
            id,
            net: Some(1),
            name: name.to_owned(),
            link: LinkType::IPV4,
        })
    }

    /// A TCP segment without data to that port of the server.
    fn packet(interface: u32, port: u16) -> Event {
        let mut bytes = hex::decode("4500002800004000400600000a0000010a000002").unwrap();
        bytes.extend(hex::decode("9c400000000003e8000000005002fa0000000000").unwrap());
        bytes[22..24].copy_from_slice(&port.to_be_bytes());
        Event::Packet(Packet {
            number: 0,
            interface,
            way: sockwire::event::Way::Out,
            wire_len: 40,
            checksum: KernelChecksum::Unknown,
            bytes,
            lost: None,
        })
    }

    /// A process connects a socket to the server.
    fn connect() -> [Event; 3] {
        let socket = Socket {
            id: 1,
            net: 1,
            family: "AF_INET".into(),
            kind: "SOCK_STREAM".into(),
            transport: Transport::Tcp,
            local: None,
            peer: None,
            before: None,
            queued: None,
        };
        let enter = Enter {
            call: 1,
            by: Caller {
                process: 7,
                thread: 7,
            },
            name: "connect".into(),
            deed: Deed::Connect,
            socket: Some(1),
            closes: Vec::new(),
            args: vec![
                Arg::Fd(3),
                Arg::Address(Some(Address::Ip(SERVER.parse().unwrap()))),
            ],
            parts: Vec::new(),
            waited: false,
        };
        let returned = Return {
            call: 1,
            result: Ok(0),
            moved: 0,
            opened: None,
            out: Vec::new(),
            parts: Vec::new(),
        };
        [
            Event::Socket(socket),
            Event::Enter(enter),
            Event::Return(returned),
        ]
    }

    #[test]
    fn calls_and_packets_come_in_one_order_and_others_packets_not_at_all() {
        let (mut collector, mut teller) = collector(Keep::Own);
        let start = collector.clock().now();
        let at = |millis: i64| start.plus(millis * MILLISECOND);
        let wire = collector.source();
        let [socket, enter, returned] = connect();
        teller.tell(at(1), socket);
        teller.tell(at(2), enter);
        teller.tell(at(5), returned);
        drop(teller);
        // The network has told nothing: something may have been before all that.
        assert_eq!(collect(&mut collector).0, [""; 0]);
        let mut push = |millis, event| {
            let at = at(millis);
            collector.push(wire, Entry { at, event });
        };
        push(0, interface(0, "eth0"));
        push(0, interface(1, "eth1"));
        push(3, packet(0, 80));
        push(4, packet(1, 5000));
        collector.reach(wire, at(3));
        let (out, all) = collect(&mut collector);
        assert_eq!(
            (&out[..], all),
            (
                &["begin", "socket", "connect"].map(str::to_owned)[..],
                false
            )
        );
        collector.reach(wire, Time::MAX);
        let (out, all) = collect(&mut collector);
        let wanted = [
            "eth1 is 0",
            "packet 1 on 0",
            "returns",
            "end: 1 calls, 2 = 1 + 1 + 0",
        ];
        assert_eq!((out, all), (wanted.map(str::to_owned).to_vec(), true));
    }

    #[test]
    fn in_a_private_network_every_packet_is_kept() {
        let (mut collector, teller) = collector(Keep::All);
        let at = collector.clock().now();
        let wire = collector.source();
        collector.push(
            wire,
            Entry {
                at,
                event: interface(0, "lo"),
            },
        );
        collector.push(
            wire,
            Entry {
                at,
                event: packet(0, 80),
            },
        );
        collector.reach(wire, Time::MAX);
        drop(teller);
        let (out, all) = collect(&mut collector);
        let wanted = [
            "begin",
            "lo is 0",
            "packet 1 on 0",
            "end: 0 calls, 1 = 1 + 0 + 0",
        ];
        assert_eq!((out, all), (wanted.map(str::to_owned).to_vec(), true));
        // Who asks again is told again that this was all, and gets nothing twice.
        assert_eq!(collect(&mut collector), (Vec::new(), true));
    }

    #[test]
    fn packets_of_a_wire_arrive_by_their_numbers_in_the_log_and_those_of_long_ago_are_forgotten() {
        let (mut collector, teller) = collector(Keep::All);
        drop(teller);
        let at = collector.clock().now();
        let [lo, wire] = [collector.source(), collector.source()];
        let arrival = |packet| {
            Event::Arrival(event::Arrival {
                packet,
                again: false,
            })
        };
        let mut arrived = Vec::new();
        let mut give = |collector: &mut Collector, source, event| {
            collector.push(source, Entry { at, event });
            collector.reach(lo, at.plus(1));
            collector.reach(wire, at.plus(1));
            let taken = collector.collect(&mut |entry| {
                if let Event::Arrival(arrival) = &entry.event {
                    arrived.push(arrival.packet);
                }
                Ok(())
            });
            taken.unwrap();
        };
        give(&mut collector, lo, interface(0, "lo"));
        give(&mut collector, lo, packet(0, 80));
        give(&mut collector, wire, interface(0, "wire"));
        for number in 1..=UNDERWAY as u64 + 1 {
            let Event::Packet(mut packet) = packet(0, 80) else {
                unreachable!()
            };
            (packet.number, packet.way) = (number, Way::Wire);
            give(&mut collector, wire, Event::Packet(packet));
        }
        for number in [1, 2, 2] {
            give(&mut collector, wire, arrival(number));
        }
        assert_eq!(arrived, [3, 3]);
        assert_eq!(collector.underway.len(), UNDERWAY);
    }

    #[test]
    fn a_tracer_that_waits_holds_nothing_back_and_one_that_works_does() {
        let (mut collector, mut teller) = collector(Keep::All);
        teller.idle(true);
        let wire = collector.source();
        let begun = collector.clock().now();
        collector.reach(wire, begun.plus(MILLISECOND * 1000));
        assert_eq!(collect(&mut collector).0, ["begin"]);
        teller.idle(false);
        let now = collector.clock().now();
        collector.push(
            wire,
            Entry {
                at: now,
                event: interface(0, "lo"),
            },
        );
        collector.push(
            wire,
            Entry {
                at: now,
                event: packet(0, 80),
            },
        );
        assert_eq!(collect(&mut collector).0, [""; 0]);
        teller.idle(true);
        assert_eq!(collect(&mut collector).0, ["lo is 0", "packet 1 on 0"]);
    }

    #[test]
    fn a_tracer_waits_for_views_that_are_slower() {
        let (mut collector, mut teller) = collector(Keep::All);
        const ALL: usize = 3 * MOST;
        let at = collector.clock().now();
        let telling = std::thread::spawn(move || {
            let [_, enter, _] = connect();
            for _ in 0..ALL {
                teller.tell(at, enter.clone());
            }
        });
        let mut calls = 0;
        loop {
            collector.wait();
            assert!(collector.meeting.told().entries.len() <= MOST);
            let (out, all) = collect(&mut collector);
            calls += out.iter().filter(|word| *word == "connect").count();
            if all {
                break;
            }
        }
        telling.join().unwrap();
        assert_eq!(calls, ALL);
    }
}
