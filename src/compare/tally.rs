//! What was seen on the wire and in the programs, counted: events in, figures out. It reads no clock and no socket.

use std::collections::{BTreeMap, BTreeSet};

use etherparse::{SlicedPacket, TransportSlice};
use serde::Serialize;

use super::{Exchange, Kind, message};
use crate::{
    call::Called,
    frame::Direction,
    lab::{Event, Host, Transit},
    time::Time,
    track::state::before,
};

/// What the programs report while they play.
#[derive(Clone, Debug)]
pub enum Report {
    /// The client makes its first call.
    Began(Time),
    /// A call returned.
    Called(Host, Called),
    /// The client by hand sent or heard a packet.
    ByHand(Direction),
    /// So many of the short messages at once were given to the socket.
    Burst(Host, usize),
    /// One receive of them returned this.
    Read {
        /// Who received.
        by: Host,
        /// What.
        bytes: Vec<u8>,
    },
    /// A message is being sent.
    Said {
        /// Its sender.
        by: Host,
        /// The number that it bears.
        number: u32,
        /// When.
        time: Time,
    },
    /// A whole message was received.
    Got {
        /// Its receiver.
        by: Host,
        /// The number that it bears.
        number: u32,
        /// When.
        time: Time,
    },
    /// The client's last call has returned.
    Ended(Time),
    /// A program ended before the exchange was over, and why.
    Failed(Host, String),
}

/// Something of both hosts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Packets<T> {
    /// The client's.
    pub client: T,
    /// The server's.
    pub server: T,
}

impl<T> Packets<T> {
    fn of(&mut self, host: Host) -> &mut T {
        match host {
            Host::Client => &mut self.client,
            Host::Server => &mut self.server,
        }
    }
}

/// Messages one way, as the programs see them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Course {
    /// Given to the socket.
    pub sent: u64,
    /// Different ones that arrived.
    pub arrived: u64,
    /// Those of them that bear a higher number than all before.
    pub in_order: u64,
    /// Messages that arrived once more.
    pub again: u64,
}

/// Who sent again what was lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Repair {
    /// The kernel's TCP.
    Kernel,
    /// Nobody.
    Nobody,
    /// The client's own program; for the server's side, its kernel.
    Program,
}

/// The three messages that were sent at once.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Burst {
    /// Bytes of each send.
    pub sends: Vec<usize>,
    /// Packets in which they first went.
    pub packets: u64,
    /// Bytes that each receive of the server returned.
    pub receives: Vec<usize>,
}

/// Milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Spread {
    /// The shortest.
    pub min: f64,
    /// The one in the middle.
    pub median: f64,
    /// The longest.
    pub max: f64,
}

/// How one kind did.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Figures {
    /// Version of this form.
    pub schema: u32,
    /// Over what.
    pub kind: Kind,
    /// Bytes of a message.
    pub payload: usize,
    /// Messages, one after the other.
    pub count: u32,
    /// Socket calls by name.
    pub calls: Packets<BTreeMap<&'static str, u64>>,
    /// Calls that returned because their time limit was over; they are among [`Figures::calls`].
    pub timeouts: u64,
    /// Frames that were sent.
    pub packets: Packets<u64>,
    /// Bytes of all frames, from the Ethernet header on.
    pub bytes_on_wire: u64,
    /// Bytes that the programs received.
    pub bytes_received: u64,
    /// Bytes on the wire beyond those received, as a percentage of these.
    pub overhead_percent: Option<f64>,
    /// From the first SYN to the arrival of its answer.
    pub handshake_ms: Option<f64>,
    /// From sending a message to its answer, in the client.
    pub round_trip_ms: Option<Spread>,
    /// From the client's first call to the return of its last.
    pub total_ms: Option<f64>,
    /// From client to server; those at once are among them.
    pub messages: Course,
    /// From server to client.
    pub answers: Course,
    /// Frames that the wire lost, by sender.
    pub lost: Packets<u64>,
    /// TCP segments that carried numbers which had been sent before, by sender.
    pub sent_again: Packets<u64>,
    /// Who sends again.
    pub repaired_by: Repair,
    /// The three messages at once.
    pub burst: Burst,
    /// One receive returned what one send had sent, for all of the burst that arrived.
    pub boundaries_kept: Option<bool>,
    /// Packets that the program made itself, and that it read itself; only of raw sockets.
    pub by_hand: Option<ByHand>,
    /// Why it ended before it was over.
    pub ended: Option<String>,
}

/// Packets of a program that makes them itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ByHand {
    /// Sent.
    pub sent: u64,
    /// Heard.
    pub heard: u64,
}

/// TCP of one direction.
#[derive(Debug, Default)]
struct Numbers {
    /// That of the SYN.
    isn: Option<u32>,
    /// The highest that was sent, and the one behind.
    next: Option<u32>,
}

/// Counts.
#[derive(Debug)]
pub struct Tally {
    figures: Figures,
    numbers: Packets<Numbers>,
    /// When the first SYN left.
    syn: Option<Time>,
    /// Frames with SYN and ACK that are on their way.
    answers: BTreeSet<u64>,
    /// Segments of the client on their way or arrived, by the wire's number: first byte of the data and the one behind
    /// it, counted from 0.
    segments: BTreeMap<u64, (u32, u32)>,
    arrived: Vec<(u32, u32)>,
    /// Bytes of the client that have arrived without a gap.
    here: u32,
    /// Datagrams of the client whose fate is known.
    settled: usize,
    /// Datagrams of the burst that the wire has lost.
    missing: usize,
    said: BTreeMap<u32, Time>,
    turns: Vec<i64>,
    got: Packets<BTreeSet<u32>>,
    /// Of a stream, bytes of the burst that were received; of datagrams, the place behind the last word received.
    words: Packets<usize>,
    began: Option<Time>,
}

impl Tally {
    /// Nothing seen yet.
    pub fn new(kind: Kind, exchange: Exchange) -> Self {
        let figures = Figures {
            schema: 1,
            kind,
            payload: exchange.payload,
            count: exchange.count,
            calls: Packets::default(),
            timeouts: 0,
            packets: Packets::default(),
            bytes_on_wire: 0,
            bytes_received: 0,
            overhead_percent: None,
            handshake_ms: None,
            round_trip_ms: None,
            total_ms: None,
            messages: Course::default(),
            answers: Course::default(),
            lost: Packets::default(),
            sent_again: Packets::default(),
            repaired_by: match kind {
                Kind::Stream => Repair::Kernel,
                Kind::Datagram => Repair::Nobody,
                Kind::Raw => Repair::Program,
            },
            burst: Burst {
                sends: message::BURST.iter().map(|word| word.len()).collect(),
                ..Burst::default()
            },
            boundaries_kept: None,
            by_hand: (kind == Kind::Raw).then(ByHand::default),
            ended: None,
        };
        Self {
            figures,
            numbers: Packets::default(),
            syn: None,
            answers: BTreeSet::new(),
            segments: BTreeMap::new(),
            arrived: Vec::new(),
            here: 0,
            settled: 0,
            missing: 0,
            said: BTreeMap::new(),
            turns: Vec::new(),
            got: Packets::default(),
            words: Packets::default(),
            began: None,
        }
    }

    /// The wire did something.
    pub fn wire(&mut self, event: &Event) {
        match event {
            Event::Sent(transit) => self.sent(transit),
            Event::Delivered { number, time, .. } => self.delivered(*number, *time),
            _ => {}
        }
    }

    fn sent(&mut self, transit: &Transit) {
        let figures = &mut self.figures;
        let is_lost = transit.dropped.is_some();
        *figures.packets.of(transit.from) += 1;
        *figures.lost.of(transit.from) += u64::from(is_lost);
        figures.bytes_on_wire += transit.bytes.len() as u64;
        if figures.kind == Kind::Datagram {
            // The burst comes first, and none of it is too long for one packet.
            if transit.from == Host::Client && figures.burst.packets < message::BURST.len() as u64 {
                figures.burst.packets += 1;
                self.settled += usize::from(is_lost);
                self.missing += usize::from(is_lost);
            }
            return;
        }
        let packet = SlicedPacket::from_ethernet(&transit.bytes).ok();
        let Some(TransportSlice::Tcp(tcp)) = packet.and_then(|packet| packet.transport) else {
            return;
        };
        let (first, data) = (tcp.sequence_number(), tcp.payload().len() as u32);
        let numbers = self.numbers.of(transit.from);
        if tcp.syn() {
            numbers.isn = Some(first);
            if tcp.ack() && !is_lost {
                self.answers.insert(transit.number);
            } else if !tcp.ack() {
                self.syn.get_or_insert(transit.time);
            }
        }
        let next = first
            .wrapping_add(data)
            .wrapping_add(u32::from(tcp.syn()) + u32::from(tcp.fin()));
        let is_again = next != first && numbers.next.is_some_and(|known| before(first, known));
        if numbers.next.is_none_or(|known| before(known, next)) {
            numbers.next = Some(next);
        }
        *figures.sent_again.of(transit.from) += u64::from(is_again);
        let begin = numbers.isn.map_or(first, |isn| isn.wrapping_add(1));
        if transit.from == Host::Client && data > 0 && !self.burst_has_come() {
            self.figures.burst.packets += u64::from(!is_again);
            let first = first.wrapping_sub(begin);
            self.segments
                .insert(transit.number, (first, first.wrapping_add(data)));
        }
    }

    fn delivered(&mut self, number: u64, time: Time) {
        if self.answers.remove(&number) && self.figures.handshake_ms.is_none() {
            self.figures.handshake_ms = self.syn.map(|syn| ms(time.since(syn)));
        }
        if self.figures.kind == Kind::Datagram {
            self.settled += 1;
        } else if let Some(segment) = self.segments.remove(&number) {
            self.arrived.push(segment);
            while let Some(&(_, next)) = self
                .arrived
                .iter()
                .find(|(first, next)| *first <= self.here && *next > self.here)
            {
                self.here = next;
            }
        }
    }

    /// All of the burst is in the server's kernel, or lost for good: the server may read.
    pub fn burst_has_come(&self) -> bool {
        match self.figures.kind {
            Kind::Datagram => self.settled >= message::BURST.len(),
            Kind::Stream | Kind::Raw => self.here as usize >= message::burst_len(),
        }
    }

    /// Words of the burst that reach a receiver of datagrams.
    pub const fn burst_arriving(&self) -> usize {
        message::BURST.len() - self.missing
    }

    /// A program reports.
    pub fn report(&mut self, report: Report) {
        let figures = &mut self.figures;
        match report {
            Report::Began(time) => self.began = Some(time),
            Report::Ended(time) => {
                figures.total_ms = self.began.map(|began| ms(time.since(began)));
            }
            Report::Called(host, called) => {
                let is_late = called.result == Err(libc::EAGAIN);
                figures.timeouts += u64::from(is_late);
                *figures
                    .calls
                    .of(host)
                    .entry(called.call.name())
                    .or_default() += 1;
            }
            Report::ByHand(direction) => {
                let by_hand = figures.by_hand.get_or_insert_default();
                match direction {
                    Direction::Out => by_hand.sent += 1,
                    _ => by_hand.heard += 1,
                }
            }
            Report::Burst(by, words) => sent(figures, by).sent += words as u64,
            Report::Read { by, bytes } => self.read(by, &bytes),
            Report::Said { by, number, time } => {
                sent(figures, by).sent += 1;
                if by == Host::Client {
                    self.said.insert(number, time);
                }
            }
            Report::Got { by, number, time } => self.got(by, number, time),
            Report::Failed(host, why) => {
                figures
                    .ended
                    .get_or_insert_with(|| format!("the {host} failed: {why}"));
            }
        }
    }

    /// Some of the burst was received: a datagram is one of the words, a stream has them one behind the other.
    fn read(&mut self, by: Host, bytes: &[u8]) {
        self.figures.bytes_received += bytes.len() as u64;
        if by == Host::Server {
            self.figures.burst.receives.push(bytes.len());
        }
        let kind = self.figures.kind;
        let course = sent(&mut self.figures, by.other());
        let words = self.words.of(by);
        if kind == Kind::Datagram {
            let Some(word) = message::BURST.iter().position(|word| *word == bytes) else {
                return;
            };
            course.arrived += 1;
            course.in_order += u64::from(*words <= word);
            *words = (*words).max(word + 1);
            return;
        }
        *words += bytes.len();
        let ends = message::BURST.iter().scan(0, |end, word| {
            *end += word.len();
            Some(*end)
        });
        course.arrived = ends.filter(|end| end <= words).count() as u64;
        course.in_order = course.arrived;
    }

    fn got(&mut self, by: Host, number: u32, time: Time) {
        self.figures.bytes_received += self.figures.payload as u64;
        let course = sent(&mut self.figures, by.other());
        let got = self.got.of(by);
        let highest = got.last().copied();
        if !got.insert(number) {
            course.again += 1;
            return;
        }
        course.arrived += 1;
        course.in_order += u64::from(highest.is_none_or(|highest| highest < number));
        if by == Host::Client
            && let Some(said) = self.said.remove(&number)
        {
            self.turns.push(time.since(said));
        }
    }

    /// A program ended before the exchange was over.
    pub fn has_failed(&self) -> bool {
        self.figures.ended.is_some()
    }

    /// It is broken off.
    pub fn stopped(&mut self, why: String) {
        self.figures.ended.get_or_insert(why);
    }

    /// What was counted.
    pub fn figures(mut self) -> Figures {
        let figures = &mut self.figures;
        let (wire, received) = (figures.bytes_on_wire as f64, figures.bytes_received as f64);
        figures.overhead_percent = (received > 0.0).then(|| (wire / received - 1.0) * 100.0);
        self.turns.sort_unstable();
        let turns = &self.turns;
        figures.round_trip_ms = turns.first().zip(turns.last()).map(|(min, max)| Spread {
            min: ms(*min),
            // Of an even number the mean of the two in the middle.
            median: (ms(turns[(turns.len() - 1) / 2]) + ms(turns[turns.len() / 2])) / 2.0,
            max: ms(*max),
        });
        let burst = &figures.burst;
        figures.boundaries_kept = (!burst.receives.is_empty()).then(|| {
            let mut sends = burst.sends.iter();
            // What is lost leaves a gap; what is received is one of the sends, in their order.
            burst
                .receives
                .iter()
                .all(|read| sends.any(|sent| sent == read))
        });
        self.figures
    }
}

/// Messages of `host`.
const fn sent(figures: &mut Figures, host: Host) -> &mut Course {
    match host {
        Host::Client => &mut figures.messages,
        Host::Server => &mut figures.answers,
    }
}

/// Nanoseconds as milliseconds.
fn ms(nanos: i64) -> f64 {
    nanos as f64 / crate::time::MILLISECOND as f64
}
