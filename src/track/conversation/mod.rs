//! Conversations in sum: who talked with whom, how much, how fast, and how it ended.
//!
//! Fed with tracked packets, whose facts say which stream a header belongs to and what the analysis thinks of it.
//! Streams are numbered as Wireshark numbers them, so a socket pair that is used again is another conversation.

mod one;

pub use one::{Conversation, Direction, Refusal};

use std::hash::{BuildHasherDefault, Hash, Hasher};

use crate::{
    field::Value,
    layer::{Packet, View},
    proto::{tcp, udp},
    time::Time,
    track::{
        about,
        flow::{Flows, Stage, Transport},
    },
};

/// Which conversation: streams are counted for each transport.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stream(Transport, u32);

impl Hash for Stream {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u32(self.1.rotate_left(1) ^ self.0 as u32);
    }
}

/// Numbers that are counted by ourselves spread best as they are: no sender has a say in them.
#[derive(Debug, Default)]
struct Counted(u64);

impl Hasher for Counted {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write_u32(&mut self, number: u32) {
        self.0 = number.into();
    }

    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.0 = self.0 << 8 ^ u64::from(byte);
        }
    }
}

/// Packets, bytes and conversations of one transport, also of those that left the table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Conversations begun.
    pub conversations: u64,
    /// Packets of both directions.
    pub packets: u64,
    /// Bytes of their frames on the wire.
    pub bytes: u64,
}

/// The table of conversations.
///
/// When it is full, it forgets first what [`Flows`] forgets first; the totals stay.
#[derive(Debug, Default)]
pub struct Conversations {
    table: Flows<Conversation, Stream, BuildHasherDefault<Counted>>,
    totals: [Totals; 2],
    began: Option<Time>,
}

impl Conversations {
    /// A table of at most `capacity` conversations.
    pub fn new(capacity: usize) -> Self {
        Self {
            table: Flows::new(capacity),
            ..Self::default()
        }
    }

    /// Relative times count from here, where it was not said before.
    pub fn begin(&mut self, time: Time) {
        self.began.get_or_insert(time);
    }

    /// What relative times count from: the first packet.
    pub fn began(&self) -> Time {
        self.began.unwrap_or_default()
    }

    /// A tracked packet; true where it belongs to a conversation. It counts once for each TCP or UDP header that is its
    /// own (a tunnel has several). An ICMP error counts nowhere, and is noted with the conversation whose packet it
    /// quotes. A packet that is aside is not counted either: what follows from it is.
    pub fn packet(&mut self, packet: &Packet<'_>, aside: bool) -> bool {
        self.begin(packet.frame.time);
        let mut belongs = false;
        for view in packet.views().filter(|view| !view.layer.quoted) {
            belongs |= match view.layer.protocol.name {
                "tcp" | "udp" | "udplite" => self.header(&view, aside).is_some(),
                "icmp" | "icmpv6" => self.error(&view).is_some(),
                _ => false,
            };
        }
        belongs
    }

    fn header(&mut self, view: &View<'_>, aside: bool) -> Option<()> {
        let (key, source) = (stream(view)?, source(view)?);
        let place = match self.table.place(&key) {
            Some(place) => {
                self.table.heard(place);
                place
            }
            None => {
                let new = Conversation::new(view, key.0, key.1)?;
                self.table.add(key, new, Stage::HalfOpen)
            }
        };
        let (_, conversation) = self.table.at(place)?;
        if !aside {
            let totals = &mut self.totals[key.0 as usize];
            totals.conversations += u64::from(!conversation.is_counted());
            totals.packets += 1;
            totals.bytes += u64::from(view.packet.frame.wire_len);
        }
        conversation.packet(view, source, aside);
        if conversation.is_worth_keeping() {
            self.table.set_stage_at(place, Stage::Open);
        }
        Some(())
    }

    fn error(&mut self, icmp: &View<'_>) -> Option<()> {
        let (says, (by, _)) = (about::words(icmp)?, icmp.addresses()?);
        let mut quoted = icmp.packet.views().skip(icmp.index + 1);
        let (key, source) = quoted.find_map(|view| Some((stream(&view)?, source(&view)?)))?;
        let conversation = self.table.get_mut(&key)?;
        conversation.error(source, Refusal { says, by });
        Some(())
    }

    /// Of TCP and of UDP.
    pub fn totals(&self) -> [Totals; 2] {
        self.totals
    }

    /// Conversations that left the table: they are in the totals only.
    pub fn missing(&self) -> u64 {
        self.table.evicted()
    }

    /// Those in the table of which a packet counted, in no particular order.
    pub fn iter(&self) -> impl Iterator<Item = &Conversation> {
        let all = self.table.iter().map(|(_, conversation)| conversation);
        all.filter(|conversation| conversation.is_counted())
    }
}

/// The stream that tracking found for a header.
fn stream(view: &View<'_>) -> Option<Stream> {
    let (transport, field) = match view.layer.protocol.name {
        "tcp" => (Transport::Tcp, &tcp::STREAM),
        "udp" | "udplite" => (Transport::Udp, &udp::STREAM),
        _ => return None,
    };
    match view.fact(field)? {
        Value::Uint(number) => Some(Stream(transport, number as u32)),
        _ => None,
    }
}

/// Where a header comes from.
fn source(view: &View<'_>) -> Option<(std::net::IpAddr, u16)> {
    Some((view.addresses()?.0, view.u16(0)?))
}

#[cfg(test)]
mod tests;
