//! The books of tracing a route: several TTLs under way at once, what each hop said, and what it quoted of the probe.

use std::{net::IpAddr, ops::ControlFlow, ops::Range};

use super::{
    Stamp,
    ask::{Asking, Due, Pace, Question},
    meaning::{meaning, ttl},
};
use crate::{
    checksum,
    craft::answers::{self, Answer, Failure},
    field::{Field, Shown, Value, Visit},
    layer::{Packet, View},
    time::Time,
};

/// What is to be traced.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// The first TTL, from 1.
    pub first: u8,
    /// The last one.
    pub last: u8,
    /// Probes with each TTL, from 1.
    pub probes: u8,
    /// Nanoseconds from one probe to the next.
    pub interval: i64,
    /// Nanoseconds that an answer may take.
    pub timeout: i64,
    /// The IPv4 identification of probe 0; the others count on from there.
    pub id: u16,
}

/// All probes of one TTL.
#[derive(Clone, Debug)]
pub struct Hop {
    /// The TTL that they left with.
    pub ttl: u8,
    /// In the order of sending.
    pub probes: Vec<Probe>,
}

/// What became of a probe.
#[derive(Clone, Debug, Default)]
pub enum Probe {
    /// Nothing yet.
    #[default]
    Waiting,
    /// No answer came in time.
    Silent,
    /// Somebody answered.
    Answered(Box<Answered>),
}

/// An answer to a probe.
#[derive(Clone, Debug)]
pub struct Answered {
    /// Who sent it.
    pub from: IpAddr,
    /// How long it took, in nanoseconds.
    pub rtt: i64,
    /// By whose clock it arrived.
    pub stamp: Stamp,
    /// The TTL, or hop limit, that the answer itself had left.
    pub ttl: Option<u8>,
    /// What it means, in one word: `time exceeded` from routers on the way.
    pub word: &'static str,
    /// What it says of the probe, where it is an error.
    pub quoted: Option<Quoted>,
}

/// The probe as a router quotes it: as it arrived there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quoted {
    /// How many bytes of it, from its IP header on.
    pub bytes: usize,
    /// The TTL that it had left.
    pub ttl: Option<u8>,
    /// The IPv4 header's checksum does not fit the quoted header.
    pub bad_checksum: bool,
    /// Fields that are not as they were sent; TTL and IPv4's checksum, which change at every hop, apart.
    pub changes: Vec<Change>,
    /// MPLS labels that the router names, outermost first (RFC 4950).
    pub labels: Vec<Label>,
}

/// A field that somebody on the way has changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Wireshark's name of the field.
    pub field: &'static str,
    /// As it was sent.
    pub sent: String,
    /// As it arrived.
    pub arrived: String,
}

/// An entry of an MPLS label stack.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Label {
    /// The label.
    pub label: u64,
    /// Its traffic class.
    pub class: u64,
    /// Its time to live.
    pub ttl: u64,
}

/// A route being traced.
#[derive(Debug)]
pub struct Trace {
    plan: Plan,
    asking: Asking,
    hops: Vec<Hop>,
    /// The last hop that there is, once it is known: the destination, or a router that cannot go on.
    end: Option<u8>,
}

impl Trace {
    /// Begins at `now`.
    pub fn new(plan: Plan, now: Time) -> Self {
        let hops = (plan.first..=plan.last).map(|ttl| Hop {
            ttl,
            probes: vec![Probe::Waiting; plan.probes.into()],
        });
        let hops: Vec<Hop> = hops.collect();
        let pace = Pace {
            total: hops.len() as u64 * u64::from(plan.probes),
            interval: plan.interval,
            round: u64::MAX,
            pause: 0,
            timeout: plan.timeout,
            retry: 0,
        };
        Self {
            plan,
            asking: Asking::new(pace, now),
            hops,
            end: None,
        }
    }

    /// The TTL of probe `number`.
    pub fn ttl(&self, number: u64) -> u8 {
        let hop = number / u64::from(self.plan.probes.max(1));
        self.plan
            .first
            .saturating_add(u8::try_from(hop).unwrap_or(u8::MAX))
    }

    /// The number of a probe that has to be sent now, and told to [`Trace::sent`].
    pub fn due(&mut self, now: Time) -> Option<u64> {
        loop {
            match self.asking.due(now)? {
                Due::New(number) => return Some(number),
                Due::Again(number) | Due::Silent(number) => {
                    self.asking.take(number);
                    self.set(number, Probe::Silent);
                }
            }
        }
    }

    /// When [`Trace::due`] has something to do next.
    pub fn until(&self) -> Time {
        self.asking.until()
    }

    /// A probe has left.
    pub fn sent(&mut self, probe: Question) {
        self.asking.asked(probe);
    }

    /// A packet came. True when it answers a probe.
    pub fn heard(&mut self, packet: &Packet<'_>, stamp: Stamp) -> bool {
        let found = self.asking.heard(packet);
        let Some((probe, answer)) = found.or_else(|| self.changed_on_the_way(packet)) else {
            return false;
        };
        let asked = probe.packet();
        let from = match &answer {
            Answer::Error(failure) => Some(failure.from),
            Answer::Reply => packet
                .views()
                .find_map(|view| view.addresses())
                .map(|ends| ends.0),
        };
        let Some(from) = from else {
            return false;
        };
        let word = meaning(&asked, Some((packet, &answer))).word;
        let quoted = match &answer {
            Answer::Error(failure) => quoted(&asked, packet, failure),
            Answer::Reply => None,
        };
        let ends_here = !matches!(&answer, Answer::Error(failure) if failure.is_time_exceeded());
        let number = probe.number;
        self.set(
            number,
            Probe::Answered(Box::new(Answered {
                from,
                rtt: packet.frame.time.since(probe.sent).max(0),
                stamp,
                ttl: packet.views().find_map(|view| ttl(&view)),
                word,
                quoted,
            })),
        );
        if ends_here {
            self.end_at(self.ttl(number));
        }
        true
    }

    /// The probe that an error quotes so changed that only IPv4's identification tells which one it was.
    fn changed_on_the_way(&mut self, packet: &Packet<'_>) -> Option<(Question, Answer)> {
        let failure = answers::failure(packet)?;
        let quoted = packet
            .view(failure.quoted)
            .filter(|view| view.layer.protocol.name == "ip")?;
        let number = u64::from(quoted.u16(4)?.wrapping_sub(self.plan.id));
        let probe = self.asking.open(number)?.packet();
        let sent = probe
            .views()
            .find(|view| view.layer.protocol.name == "ip")?;
        // A translator rewrites one end of a packet, not both.
        let (before, after) = (sent.addresses()?, quoted.addresses()?);
        let same = before.0 == after.0 || before.1 == after.1;
        if !same || sent.u8(9) != quoted.u8(9) {
            return None;
        }
        Some((self.asking.take(number)?, Answer::Error(failure)))
    }

    /// No hop lies beyond this one.
    fn end_at(&mut self, ttl: u8) {
        let end = self.end.map_or(ttl, |end| end.min(ttl));
        self.end = Some(end);
        let hops = usize::from(end - self.plan.first) + 1;
        self.hops.truncate(hops);
        self.asking.limit(hops as u64 * u64::from(self.plan.probes));
    }

    fn set(&mut self, number: u64, probe: Probe) {
        let each = u64::from(self.plan.probes.max(1));
        let hop = self.hops.get_mut((number / each) as usize);
        let place = hop.and_then(|hop| hop.probes.get_mut((number % each) as usize));
        if let Some(place) = place {
            *place = probe;
        }
    }

    /// The hop at `index`, when all of its probes are answered or given up.
    pub fn complete(&self, index: usize) -> Option<&Hop> {
        let waits = |probe: &Probe| matches!(probe, Probe::Waiting);
        self.hops
            .get(index)
            .filter(|hop| !hop.probes.iter().any(waits))
    }

    /// All that is known.
    pub fn hops(&self) -> &[Hop] {
        &self.hops
    }

    /// The TTL with which a probe reached the destination, or a router that could not go on.
    pub fn end(&self) -> Option<u8> {
        self.end
    }

    /// Nothing is under way any more.
    pub fn is_done(&self) -> bool {
        self.asking.is_done()
    }
}

impl Failure {
    /// The TTL ran out on the way (not: fragments took too long).
    pub fn is_time_exceeded(&self) -> bool {
        matches!((self.version, self.kind, self.code), (4, 11, 0) | (6, 3, 0))
    }
}

/// What an error quotes of the probe, beside the probe.
fn quoted(probe: &Packet<'_>, packet: &Packet<'_>, failure: &Failure) -> Option<Quoted> {
    let network = packet.view(failure.quoted)?;
    let message = packet.view(failure.message)?;
    let labels = labels(&message);
    // With extensions behind it, the quote is padded to what the message says (RFC 4884 §4).
    let said = match (labels.is_empty(), message.u8(5)) {
        (false, Some(words)) => usize::from(words) * 4,
        _ => usize::MAX,
    };
    let bad_checksum = network.layer.protocol.name == "ip"
        && checksum::finish(checksum::sum(0, network.header())) != 0;
    Some(Quoted {
        bytes: network.bytes().len().min(said),
        ttl: ttl(&network),
        bad_checksum,
        changes: changes(probe, packet, failure.quoted),
        labels,
    })
}

/// Fields that every router changes.
const EXPECTED: [&str; 3] = ["ip.ttl", "ip.checksum", "ipv6.hlim"];

/// The fields at fixed places that differ between the probe and its quote, layer by layer.
fn changes(probe: &Packet<'_>, packet: &Packet<'_>, first: usize) -> Vec<Change> {
    let mut changes = Vec::new();
    let sent = probe
        .views()
        .skip_while(|view| view.layer.protocol.addresses.is_none());
    let quoted = packet.views().skip(first);
    for (sent, quoted) in sent.zip(quoted) {
        let protocol = sent.layer.protocol;
        if !std::ptr::eq(protocol, quoted.layer.protocol) {
            break;
        }
        let fields = protocol
            .fields
            .iter()
            .filter(|field| !EXPECTED.contains(&field.name));
        for &field in fields {
            let values = (sent.value(field), quoted.value(field));
            if let (Some(before), Some(after)) = values
                && before != after
            {
                changes.push(Change::new(field, before, after));
            }
        }
        let (before, after) = (answers::numbers(&sent), answers::numbers(&quoted));
        if protocol.name.starts_with("icmp")
            && let (Some(before), Some(after)) = (before, after)
            && before.0 != after.0
        {
            changes.push(Change {
                field: "icmp.ident",
                sent: before.0.to_string(),
                arrived: after.0.to_string(),
            });
        }
    }
    changes
}

impl Change {
    fn new(field: &'static Field, sent: Value<'_>, arrived: Value<'_>) -> Self {
        let shown = |value| Shown { field, value }.to_string();
        Self {
            field: field.name,
            sent: shown(sent),
            arrived: shown(arrived),
        }
    }

    /// It is one that translators of addresses change, not routers.
    pub fn is_translation(&self) -> bool {
        let ends = [".src", ".dst", ".srcport", ".dstport", ".ident"];
        ends.iter().any(|end| self.field.ends_with(end))
    }
}

/// The label stack among the extensions of an error.
fn labels(message: &View<'_>) -> Vec<Label> {
    struct Labels(Vec<Label>);
    impl Visit for Labels {
        fn field(
            &mut self,
            field: &'static Field,
            value: Value<'_>,
            _: Range<u32>,
        ) -> ControlFlow<()> {
            let Value::Uint(number) = value else {
                return ControlFlow::Continue(());
            };
            if field.name == "icmp.mpls.label" {
                self.0.push(Label {
                    label: number,
                    ..Label::default()
                });
            }
            match (field.name, self.0.last_mut()) {
                ("icmp.mpls.exp", Some(last)) => last.class = number,
                ("icmp.mpls.ttl", Some(last)) => last.ttl = number,
                _ => {}
            }
            ControlFlow::Continue(())
        }
    }
    let mut labels = Labels(Vec::new());
    let _ = message.visit(&mut labels);
    labels.0
}

#[cfg(test)]
mod tests;
