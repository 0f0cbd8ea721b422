//! Later packets that speak of the one explained, by what tracking wrote into them.

use sockwire::{
    field::{Field, Value},
    layer::Packet,
    proto::{dns, icmp, icmpv6, tcp},
};

/// The most that are kept.
const MOST: usize = 8;

/// Facts that hold the number of an earlier packet, and what the later one does to it.
static FACTS: &[(&Field, &str)] = &[
    (&tcp::A_ACKS_FRAME, "acknowledged by"),
    (&tcp::A_RTO_FRAME, "sent again in"),
    (
        &tcp::A_DUPLICATE_ACK_FRAME,
        "repeated as a duplicate ACK by",
    ),
    (&icmp::RESP_TO, "answered by"),
    (&icmpv6::RESP_TO, "answered by"),
    (&dns::RESPONSE_TO, "answered by"),
];

/// What later packets do to one.
pub(super) struct Links {
    number: u64,
    found: Vec<(&'static str, u64)>,
    more: u64,
}

impl Links {
    /// For packet `number`.
    pub(super) fn to(number: u64) -> Self {
        Self {
            number,
            found: Vec::new(),
            more: 0,
        }
    }

    /// Looks at a later packet.
    pub(super) fn packet(&mut self, packet: &Packet<'_>) {
        let speaks = packet.facts.iter().filter_map(|fact| {
            let known = FACTS.iter().find(|(field, _)| field.is(fact.field));
            known.filter(|_| fact.value == Value::Uint(self.number))
        });
        for &(_, what) in speaks {
            if self.found.len() < MOST {
                self.found.push((what, packet.frame.number));
            } else {
                self.more += 1;
            }
        }
    }

    /// The first of them.
    pub(super) fn shown(&self) -> &[(&'static str, u64)] {
        &self.found
    }

    /// In one sentence; `None` when no packet speaks of it.
    pub(super) fn words(&self) -> Option<String> {
        let mut last = "";
        let mut words = Vec::new();
        for &(what, number) in &self.found {
            words.push(match what == last {
                true => number.to_string(),
                false => format!("{what} packet {number}"),
            });
            last = what;
        }
        if words.is_empty() {
            return None;
        }
        let more = match self.more {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        Some(format!("In this capture: {}{more}.", words.join(", ")))
    }
}
