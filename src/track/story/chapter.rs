//! A story that is over, flow by flow: with what only later packets tell of earlier ones.

use std::collections::HashMap;

use super::item::{Fate, Header, Item, Label, Order, Row, Side, What};
use crate::{
    time::Time,
    track::state::{State, before},
};

/// One flow, from its first packet to its last.
#[derive(Clone, Debug, PartialEq)]
pub struct Chapter {
    /// Which flow it is.
    pub header: Header,
    /// Its sections, rows and notes in order.
    pub items: Vec<Item>,
}

/// Gathers a story's items into chapters.
#[derive(Debug)]
pub struct Chapters {
    chapters: Vec<Chapter>,
    places: HashMap<Label, usize>,
    /// The chapter that the next items belong to; none for a flow that is not wanted, or came too late.
    current: Option<usize>,
    limit: usize,
    rows: usize,
    left_out: u64,
    first: Option<Time>,
}

impl Chapters {
    /// For at most `limit` rows.
    pub fn new(limit: usize) -> Self {
        Self {
            chapters: Vec::new(),
            places: HashMap::new(),
            current: None,
            limit,
            rows: 0,
            left_out: 0,
            first: None,
        }
    }

    /// Takes the next item of the story; flows that `wants` refuses are left out. True for a row that is kept.
    pub fn add(&mut self, item: Item, wants: impl FnOnce(&Header) -> bool) -> bool {
        let row = match &item {
            Item::Flow(header) => {
                self.current = wants(header).then(|| self.open(header)).flatten();
                return false;
            }
            Item::Row(row) => Some(row.sent),
            _ => None,
        };
        let Some(chapter) = self.current.and_then(|at| self.chapters.get_mut(at)) else {
            // The flow came when no room was left for it.
            self.left_out += u64::from(row.is_some() && self.is_full());
            return false;
        };
        if self.rows >= self.limit {
            self.left_out += u64::from(row.is_some());
            return false;
        }
        if let Some(sent) = row {
            self.rows += 1;
            self.first.get_or_insert(sent);
        }
        chapter.items.push(item);
        row.is_some()
    }

    /// No more rows are kept.
    pub fn is_full(&self) -> bool {
        self.rows >= self.limit
    }

    /// Rows that were wanted and found no room.
    pub fn left_out(&self) -> u64 {
        self.left_out
    }

    /// Rows kept.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// When the first row was sent.
    pub fn first(&self) -> Option<Time> {
        self.first
    }

    /// The chapters in the order of their first packets, each read again from its end.
    pub fn finish(&mut self) -> Vec<Chapter> {
        let mut chapters = std::mem::take(&mut self.chapters);
        chapters.retain(|chapter| !chapter.items.is_empty());
        for chapter in &mut chapters {
            find_losses(&mut chapter.items);
            find_far_states(chapter);
        }
        chapters
    }

    /// The chapter of a flow, made where there is room for one more row.
    fn open(&mut self, header: &Header) -> Option<usize> {
        if let Some(&place) = self.places.get(&header.label) {
            return Some(place);
        }
        if self.is_full() {
            return None;
        }
        self.chapters.push(Chapter {
            header: header.clone(),
            items: Vec::new(),
        });
        let place = self.chapters.len() - 1;
        self.places.insert(header.label, place);
        Some(place)
    }
}

/// Segments that one side has sent, and what of it the other side has acknowledged.
#[derive(Debug, Default)]
struct Sent {
    /// The row that carried a sequence number last.
    rows: HashMap<u32, usize>,
    acked: Option<u32>,
}

/// Crosses segments that were sent again later, and not acknowledged in between.
fn find_losses(items: &mut [Item]) {
    let mut sides = [Sent::default(), Sent::default()];
    for at in 0..items.len() {
        let Some(Item::Row(row)) = items.get(at) else {
            continue;
        };
        let (own, other) = (row.from as usize, row.from.other() as usize);
        let tcp = match &row.what {
            What::Segment(tcp) => *tcp,
            // What the acknowledgments in it cover is not known: nothing before it counts as lost.
            What::Run { .. } => {
                sides = Default::default();
                continue;
            }
            _ => continue,
        };
        if let Some(ack) = tcp.ack {
            let acked = &mut sides[other].acked;
            if acked.is_none_or(|acked| before(acked, ack.raw)) {
                *acked = Some(ack.raw);
            }
        }
        if tcp.len == 0 && !tcp.syn && !tcp.fin {
            continue;
        }
        let sent = &mut sides[own];
        let earlier = sent.rows.insert(tcp.seq.raw, at);
        let acked = sent.acked;
        if matches!(tcp.order, Order::Again(_))
            && let Some(Item::Row(first)) = earlier.and_then(|earlier| items.get_mut(earlier))
            && first.fate == Fate::Seen
            // Its first byte is missing to the other side; a SYN and a FIN count as one (RFC 9293 §3.4).
            && acked.is_none_or(|acked| !before(tcp.seq.raw, acked))
        {
            first.fate = Fate::Lost;
        }
    }
}

/// Fills in the states of an end before its first packet: that packet shows what it must have been.
fn find_far_states(chapter: &mut Chapter) {
    let middle = chapter.header.states == Some([State::Unknown; 2]);
    for side in [Side::Client, Side::Server] {
        let mut rows = chapter.items.iter().filter_map(|item| match item {
            Item::Row(row) => Some(row),
            _ => None,
        });
        let refuses =
            |row: &Row| row.from == side && matches!(&row.what, What::Segment(tcp) if tcp.rst);
        let refused = rows.clone().any(refuses);
        let state = |row: &Row| row.states.map(|states| states[side as usize]);
        let known = rows.find_map(|row| state(row).filter(|state| *state != State::Unknown));
        // The state before the flow's first packet, and after a packet that reached it.
        let (from, reached) = match known {
            Some(State::SynReceived) if !middle => (State::Listen, State::SynReceived),
            Some(State::Closed) if !middle && refused => (State::Closed, State::Closed),
            Some(State::Established) if middle => (State::Established, State::Established),
            _ => continue,
        };
        let fill = |states: &mut Option<[State; 2]>, with: State| {
            if let Some(states) = states
                && states[side as usize] == State::Unknown
            {
                states[side as usize] = with;
            }
        };
        fill(&mut chapter.header.states, from);
        let mut now = from;
        for item in &mut chapter.items {
            if let Item::Row(row) = item {
                if row.from != side && !row.fate.is_lost() {
                    now = reached;
                }
                fill(&mut row.states, now);
            }
        }
    }
}
