//! A trace as a diagram: its packets make the story that a capture file's would, and its calls stand between their rows.
//!
//! ```text
//!  trace    a log, entry by entry → a story, calls and ties        arrange   which call stands where
//!  message  what calls of Unix sockets give each other
//! ```

mod arrange;
mod message;
#[cfg(test)]
mod tests;

use std::{borrow::Cow, collections::HashMap, net::SocketAddr, sync::Arc};

use super::{Diagram, html::detail};
use crate::{
    event::{Arrival, CallId, Entry, Event, NetId, Packet, PacketId, Transport, Way},
    frame::Interface,
    proto::frame::Around,
    render::trace::picture,
    text::Safe,
    time::Time,
    timeline::{
        Folding, Timeline,
        row::{Link, Row, Sent, Side, What},
        seen::{Reader, Seen},
    },
    track::story::{Chapters, Item, Sight, Span, Story, StoryOptions},
};

/// Interfaces that have a name in the picture; a log's own numbers are not trusted.
const INTERFACES: usize = 4096;
/// Sentences about the whole trace at most.
const NOTES: usize = 20;

/// A picture of a trace.
#[derive(Clone, Debug, Default)]
pub struct Picture {
    /// What is drawn.
    pub diagram: Diagram,
    /// What the rows of an HTML page open, where that was wanted: see [`super::html::html`].
    pub details: HashMap<u64, String>,
}

/// A log on its way to a picture.
#[derive(Debug)]
pub struct Drawing {
    /// Packets and calls at most.
    limit: usize,
    with_details: bool,
    timeline: Timeline,
    ready: Vec<Row>,
    reader: Reader,
    story: Story,
    items: Vec<Item>,
    chapters: Chapters,
    interfaces: Vec<Arc<Interface>>,
    /// In which network a flow is told, of those that its packets cross.
    nets: HashMap<(Transport, SocketAddr, SocketAddr), Option<NetId>>,
    details: HashMap<u64, String>,
    drawn: Drawn,
    left_out: u64,
    origin: Option<Time>,
}

/// A connection by transport and number.
type LinkId = (Transport, u32);

/// What the timeline tells of what is drawn.
#[derive(Debug, Default)]
struct Drawn {
    /// Rows of calls, in order of time.
    calls: Vec<Row>,
    /// Packets with a row of their own on the timeline.
    packets: HashMap<PacketId, (LinkId, Arc<Sent>)>,
    /// Each connection, as it was known last.
    links: HashMap<LinkId, Arc<Link>>,
    names: HashMap<CallId, Cow<'static, str>>,
    /// Second copies that a wire made, and when they arrived.
    again: Vec<(Time, PacketId, String)>,
    notes: Vec<String>,
}

impl Drawing {
    /// For at most `limit` packets and calls; with what the rows of a page open.
    pub fn new(limit: usize, with_details: bool) -> Self {
        let folding = Folding {
            idle: true,
            runs: true,
        };
        Self {
            limit,
            with_details,
            timeline: Timeline::new(folding),
            ready: Vec::new(),
            reader: Reader::default(),
            story: Story::new(StoryOptions::default()),
            items: Vec::new(),
            chapters: Chapters::new(limit),
            interfaces: Vec::new(),
            nets: HashMap::new(),
            details: HashMap::new(),
            drawn: Drawn::default(),
            left_out: 0,
            origin: None,
        }
    }

    /// Takes the next entry.
    pub fn push(&mut self, entry: &Entry) {
        if self.is_full() {
            let is_row = matches!(entry.event, Event::Packet(_) | Event::Enter(_));
            self.left_out += u64::from(is_row);
            return;
        }
        self.timeline.push(entry, &mut self.ready);
        match &entry.event {
            Event::Interface(interface) => self.interface(interface),
            Event::Enter(enter) => {
                self.origin.get_or_insert(entry.at);
                self.drawn.names.insert(enter.call, enter.name.clone());
            }
            Event::Packet(packet) => {
                self.origin.get_or_insert(entry.at);
                self.packet(entry, packet);
            }
            Event::Arrival(arrival) => self.arrival(entry.at, *arrival),
            _ => {}
        }
        self.gather();
    }

    /// The picture of all that was taken.
    pub fn finish(&mut self) -> Picture {
        self.timeline.finish(&mut self.ready);
        self.story.finish(&mut self.items);
        self.gather();
        let names = self.interfaces.iter();
        let names = names.map(|interface| interface.name.clone().unwrap_or_default());
        let mut notes = std::mem::take(&mut self.drawn.notes);
        let left_out = self.left_out + self.chapters.left_out();
        let chapters = self.chapters.finish();
        let (chapters, homeless) = arrange::arrange(chapters, &self.drawn, &self.timeline);
        if chapters.is_empty() {
            notes.push("no connection and no exchange of datagrams is in this trace".to_owned());
        }
        if homeless > 0 {
            notes.push(format!(
                "calls of sockets that no connection came of are left out: {homeless}"
            ));
        }
        Picture {
            diagram: Diagram {
                chapters,
                interfaces: names.collect(),
                absolute: false,
                origin: self.origin.unwrap_or_default(),
                left_out,
                notes,
            },
            details: std::mem::take(&mut self.details),
        }
    }

    fn is_full(&self) -> bool {
        self.chapters.rows() + self.drawn.calls.len() >= self.limit
    }

    fn interface(&mut self, interface: &crate::event::Interface) {
        let Ok(index) = usize::try_from(interface.id) else {
            return;
        };
        if index >= INTERFACES {
            return;
        }
        let of = |name: &str, link| {
            Arc::new(Interface {
                name: Some(name.to_owned()),
                description: None,
                link,
                snaplen: 0,
                filter: None,
            })
        };
        while self.interfaces.len() <= index {
            self.interfaces.push(of("", interface.link));
        }
        self.interfaces[index] = of(&interface.name, interface.link);
    }

    fn packet(&mut self, entry: &Entry, packet: &Packet) {
        let Self {
            timeline,
            reader,
            story,
            items,
            nets,
            details,
            interfaces,
            ..
        } = self;
        let known = timeline.known();
        let net = known.interfaces.get(&packet.interface).and_then(|i| i.net);
        let sight = match packet.way {
            Way::Wire => Sight::Sent,
            Way::Out | Way::In | Way::Loop => Sight::Tap,
        };
        let with_details = self.with_details;
        reader.look(entry, known, |seen, batch| {
            // What crosses several networks is told as the first of them has it.
            let is_elsewhere = Seen::of(seen).is_some_and(|seen| {
                let (low, high) = (
                    seen.source.min(seen.destination),
                    seen.source.max(seen.destination),
                );
                *nets.entry((seen.transport, low, high)).or_insert(net) != net
            });
            if is_elsewhere {
                return;
            }
            let has_row = story.packet(seen, sight, items);
            if has_row && with_details {
                let around = Around::of(interfaces, batch, 0);
                details.insert(packet.number, detail(seen, &around, None));
            }
        });
        if let Some(why) = &packet.lost {
            let why = Safe(why.as_bytes()).to_string();
            self.story.dropped(packet.number, &why, &mut self.items);
        }
    }

    fn arrival(&mut self, at: Time, arrival: Arrival) {
        if !arrival.again {
            return self.story.delivered(arrival.packet, at, &mut self.items);
        }
        let after = match self.drawn.packets.get(&arrival.packet) {
            Some((_, sent)) => format!(", after {}", Span(at.since(sent.sent))),
            None => String::new(),
        };
        let text = format!("packet {} arrives a second time{after}", arrival.packet);
        self.drawn.again.push((at, arrival.packet, text));
    }

    /// Puts what the story and the timeline have told where it is kept.
    fn gather(&mut self) {
        for item in std::mem::take(&mut self.items) {
            match (&item, self.is_full()) {
                (Item::Row(_), true) => self.left_out += 1,
                _ => drop(self.chapters.add(item, |_| true)),
            }
        }
        for row in std::mem::take(&mut self.ready) {
            let is_full = self.is_full();
            let drawn = &mut self.drawn;
            if let Some(link) = &row.link {
                let id = (link.transport, link.number);
                drawn.links.insert(id, link.clone());
                if let What::Packet(sent) = &row.what {
                    drawn.packets.insert(sent.number, (id, sent.clone()));
                }
            }
            match &row.what {
                What::Call(_) | What::Idle(_) | What::Run(_) if is_full => self.left_out += 1,
                What::Call(_) | What::Idle(_) | What::Run(_) => drawn.calls.push(row),
                What::Note(..) | What::Unseen(..) if drawn.notes.len() < NOTES => {
                    drawn.notes.extend(picture::sentence(&row.what));
                }
                What::End(end) if end.dropped > 0 => {
                    let dropped = end.dropped;
                    drawn
                        .notes
                        .push(format!("packets that were not seen in time: {dropped}"));
                }
                _ => {}
            }
        }
    }
}

impl Side {
    /// The same end of a story whose client stands left, or else right.
    const fn in_story(self, turned: bool) -> crate::track::story::Side {
        match (self, turned) {
            (Self::Left, false) | (Self::Right, true) => crate::track::story::Side::Client,
            _ => crate::track::story::Side::Server,
        }
    }
}
