//! A packet's or a call's ties, collected over a log: why it was sent, who got it, what it caused.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::{
    Effects, Folding, Kernel, Tied, Timeline,
    row::{Call, Form, Link, Row, Sent, What},
    summary::{Finding, Summary},
};
use crate::{
    event::{CallId, Entry, PacketId},
    time::Time,
};

/// Calls, and packets, that are remembered in case that a later entry is tied to them.
const RECENT: usize = 16_384;
/// Calls, and packets, that a story tells of.
const TOLD: usize = 64;

/// What is asked about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum About {
    /// Why a packet was sent, and who got it.
    Packet(PacketId),
    /// What a call caused, or what it returned.
    Call(CallId),
}

/// A packet of a story.
#[derive(Clone, Debug, PartialEq)]
pub struct Letter {
    /// As its row has it.
    pub sent: Arc<Sent>,
    /// Whose it is.
    pub link: Option<Arc<Link>>,
    /// How it is tied, by all that the log tells.
    pub tied: Tied,
}

/// A call of a story.
#[derive(Clone, Debug, PartialEq)]
pub struct Deed {
    /// As its row has it.
    pub call: Call,
    /// Which connection it is about.
    pub link: Option<Arc<Link>>,
    /// What it has to do with packets, by all that the log tells.
    pub effects: Effects,
}

/// What a log has to say about a packet or a call.
#[derive(Clone, Debug, PartialEq)]
pub struct Story {
    /// What was asked about.
    pub about: About,
    /// What time counts from.
    pub origin: Time,
    /// Packets that matter, by number; many only in part.
    pub packets: BTreeMap<PacketId, Letter>,
    /// Calls that matter, likewise.
    pub calls: BTreeMap<CallId, Deed>,
    /// Of a call: the packet that first acknowledged all of it.
    pub acknowledged: Option<PacketId>,
    /// What held it up, or whom it held up.
    pub findings: Vec<Finding>,
}

/// Something of a row, and its link.
type Kept<T> = (T, Option<Arc<Link>>);

/// Collects a story, entry by entry.
#[derive(Debug)]
pub struct Why {
    about: About,
    timeline: Timeline,
    summary: Summary,
    ready: Vec<Row>,
    origin: Option<Time>,
    recent_calls: BTreeMap<CallId, Kept<Call>>,
    recent_packets: BTreeMap<PacketId, Kept<Arc<Sent>>>,
    /// What the story needs, whether it has been seen or is to come.
    wanted_calls: BTreeSet<CallId>,
    wanted_packets: BTreeSet<PacketId>,
    calls: BTreeMap<CallId, Kept<Call>>,
    packets: BTreeMap<PacketId, Kept<Arc<Sent>>>,
    acknowledged: Option<PacketId>,
    /// Ties of what is asked about so far: when there are more, more is wanted.
    ties: usize,
}

impl Why {
    /// Nothing is known yet.
    pub fn new(about: About) -> Self {
        let (call, packet) = match about {
            About::Packet(packet) => (None, Some(packet)),
            About::Call(call) => (Some(call), None),
        };
        Self {
            about,
            timeline: Timeline::new(Folding {
                idle: false,
                runs: false,
            }),
            summary: Summary::about(about),
            ready: Vec::new(),
            origin: None,
            recent_calls: BTreeMap::new(),
            recent_packets: BTreeMap::new(),
            wanted_calls: call.into_iter().collect(),
            wanted_packets: packet.into_iter().collect(),
            calls: BTreeMap::new(),
            packets: BTreeMap::new(),
            acknowledged: None,
            ties: 0,
        }
    }

    /// Takes the next entry.
    pub fn push(&mut self, entry: &Entry) {
        self.origin.get_or_insert(entry.at);
        self.summary.push(entry);
        let mut ready = std::mem::take(&mut self.ready);
        self.timeline.push(entry, &mut ready);
        self.rows(&mut ready);
        self.ready = ready;
        self.follow();
    }

    /// The story; nothing when there is no such packet or call.
    pub fn finish(mut self) -> Option<Story> {
        let mut ready = std::mem::take(&mut self.ready);
        self.timeline.finish(&mut ready);
        self.rows(&mut ready);
        // Ties of the packets and calls that were found at last may want others.
        self.ties = 0;
        self.follow();
        let is_there = match self.about {
            About::Packet(packet) => self.packets.contains_key(&packet),
            About::Call(call) => self.calls.contains_key(&call),
        };
        let join = self.timeline.join();
        let packets = self.packets.into_iter().map(|(number, (sent, link))| {
            let tied = join.packet(number).cloned().unwrap_or_default();
            (number, Letter { sent, link, tied })
        });
        let calls = self.calls.into_iter().map(|(number, (call, link))| {
            let effects = join.call(number).cloned().unwrap_or_default();
            (
                number,
                Deed {
                    call,
                    link,
                    effects,
                },
            )
        });
        let connections = self.summary.finish().connections.into_iter();
        let findings = connections.flat_map(|connection| connection.findings);
        is_there.then(|| Story {
            findings: findings.collect(),
            about: self.about,
            origin: self.origin.unwrap_or_default(),
            packets: packets.collect(),
            calls: calls.collect(),
            acknowledged: self.acknowledged,
        })
    }

    /// Takes rows: what is wanted is kept, the others are for a while.
    fn rows(&mut self, ready: &mut Vec<Row>) {
        for row in ready.drain(..) {
            match row.what {
                // Its end says all that its beginning does.
                What::Call(call) => {
                    let number = call.enter.call;
                    let call = Call {
                        form: Form::Whole,
                        ..*call
                    };
                    let kept = (call, row.link);
                    if self.wanted_calls.contains(&number) {
                        self.calls.insert(number, kept.clone());
                    }
                    self.recent_calls.insert(number, kept);
                    if self.recent_calls.len() > RECENT {
                        self.recent_calls.pop_first();
                    }
                }
                What::Packet(sent) | What::Arrival(sent, false) => {
                    let number = sent.number;
                    if let (About::Call(call), Some(Kernel::Ack(Some(acked)))) =
                        (self.about, sent.tied.kernel)
                        && call == acked
                        && self.acknowledged.is_none()
                    {
                        self.acknowledged = Some(number);
                        self.wanted_packets.insert(number);
                    }
                    let kept = (sent, row.link);
                    if self.wanted_packets.contains(&number) {
                        self.packets.insert(number, kept.clone());
                    }
                    self.recent_packets.insert(number, kept);
                    if self.recent_packets.len() > RECENT {
                        self.recent_packets.pop_first();
                    }
                }
                _ => {}
            }
        }
    }

    /// Where there are more ties than before, wants what they lead to.
    fn follow(&mut self) {
        let join = self.timeline.join();
        let (mut calls, mut packets) = (Vec::new(), Vec::new());
        let of_packet = |packet: PacketId, calls: &mut Vec<CallId>| {
            let Some(tied) = join.packet(packet) else {
                return 0;
            };
            calls.extend(tied.causes.iter().chain(&tied.takers).map(|tie| tie.call));
            if let Some(Kernel::Ack(Some(call))) = tied.kernel {
                calls.push(call);
            }
            calls.len()
        };
        let of_call = |call: CallId, packets: &mut Vec<PacketId>| {
            let Some(effects) = join.call(call) else {
                return 0;
            };
            let all = effects.caused.iter().chain(&effects.took);
            packets.extend(all.map(|(packet, _, _)| *packet).take(TOLD));
            packets.len()
        };
        let ties = match self.about {
            About::Packet(packet) => {
                let ties = of_packet(packet, &mut calls);
                // Others that carry the same bytes.
                for &call in calls.iter().take(TOLD) {
                    of_call(call, &mut packets);
                }
                ties + packets.len()
            }
            About::Call(call) => {
                let ties = of_call(call, &mut packets);
                for &packet in packets.iter().take(TOLD) {
                    of_packet(packet, &mut calls);
                }
                ties + calls.len()
            }
        };
        if ties == self.ties {
            return;
        }
        self.ties = ties;
        for call in calls.into_iter().take(TOLD) {
            self.wanted_calls.insert(call);
            if let Some(known) = self.recent_calls.get(&call) {
                self.calls.entry(call).or_insert_with(|| known.clone());
            }
        }
        for packet in packets.into_iter().take(TOLD) {
            self.wanted_packets.insert(packet);
            if let Some(known) = self.recent_packets.get(&packet) {
                self.packets.entry(packet).or_insert_with(|| known.clone());
            }
        }
    }
}
