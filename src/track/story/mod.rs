//! What a ladder tells: packets in, rows and sentences out, flow by flow.

mod item;

use std::net::SocketAddr;

use crate::{layer::Packet, time::Time};

pub use item::{
    About, EXCERPT, Fate, Header, Item, Kind, Label, Note, Number, Order, Outcome, Row, Section,
    Side, Summary, Tcp, What,
};

/// Where a packet was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sight {
    /// At one capture point: sender and receiver are taken to see it at the same instant.
    Tap,
    /// As it left its sender; [`Story::delivered`] or [`Story::dropped`] follows.
    Sent,
}

/// How a story is told.
#[derive(Clone, Debug)]
pub struct StoryOptions {
    /// The most flows followed at a time.
    pub flows: usize,
    /// The sockets that are known to listen, where all of them are known (a lab); else the packets must tell.
    pub listening: Option<Vec<SocketAddr>>,
    /// Each flow is told when it ends.
    pub group: bool,
}

impl Default for StoryOptions {
    fn default() -> Self {
        Self {
            flows: 262_144,
            listening: None,
            group: false,
        }
    }
}

/// Follows flows and tells what happens.
#[derive(Debug)]
pub struct Story {
    _options: StoryOptions,
}

impl Story {
    /// A story without flows yet.
    pub fn new(options: StoryOptions) -> Self {
        Self { _options: options }
    }

    /// A packet. Packets come in the order of their times.
    pub fn packet(&mut self, _packet: &Packet<'_>, _sight: Sight, _out: &mut Vec<Item>) {}

    /// Packet `number`, seen as it was sent, reached its receiver. Calls come in order of time, together with
    /// those of [`Story::packet`].
    pub fn delivered(&mut self, _number: u64, _time: Time, _out: &mut Vec<Item>) {}

    /// Packet `number`, seen as it was sent, was dropped by `rule`.
    pub fn dropped(&mut self, _number: u64, _rule: &str, _out: &mut Vec<Item>) {}

    /// Nothing happened up to `until`: time-outs become notes, each stamped with its deadline.
    pub fn quiet(&mut self, _until: Time, _out: &mut Vec<Item>) {}

    /// No more packets: everything held back is told.
    pub fn finish(&mut self, _out: &mut Vec<Item>) {}

    /// The flows still in the table, in order of their first packets.
    pub fn summaries(&self) -> Vec<Summary> {
        Vec::new()
    }
}
