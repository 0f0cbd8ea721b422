//! Packets as data and as pictures for other programs. Names and their order are promises: they never change once published.

pub mod explain;
pub mod html;
pub mod json;
mod markup;
pub mod mermaid;
pub mod svg;
#[cfg(test)]
mod tests;
pub mod text;
pub mod trace;
#[cfg(test)]
mod wellformed;

use crate::{
    render::ladder::Words,
    time::Time,
    track::story::{Call, Chapter, Item, Row},
};

/// A story that is over, ready to be drawn. What is drawn depends on nothing else: the same diagram, the same bytes.
#[derive(Clone, Debug, Default)]
pub struct Diagram {
    /// One flow after the other.
    pub chapters: Vec<Chapter>,
    /// Names of the interfaces, by index. Untrusted text.
    pub interfaces: Vec<String>,
    /// Sequence numbers as they are on the wire.
    pub absolute: bool,
    /// What times count from.
    pub origin: Time,
    /// Rows that found no room.
    pub left_out: u64,
    /// What a reader must know besides. Safe to show.
    pub notes: Vec<String>,
}

impl Diagram {
    /// The rows of all flows.
    pub fn rows(&self) -> impl Iterator<Item = &Row> {
        let items = self.chapters.iter().flat_map(|chapter| &chapter.items);
        items.filter_map(|item| match item {
            Item::Row(row) => Some(row),
            _ => None,
        })
    }

    /// The calls of all flows.
    pub fn calls(&self) -> impl Iterator<Item = &Call> {
        let items = self.chapters.iter().flat_map(|chapter| &chapter.items);
        items.filter_map(|item| match item {
            Item::Call(call) => Some(call),
            _ => None,
        })
    }

    /// What the picture is, in a line.
    fn title(&self) -> String {
        match &self.chapters[..] {
            [one] => {
                let header = &one.header;
                let name = crate::render::ladder::stream_name(header);
                format!("{name} {} → {}", header.client, header.server)
            }
            all => format!("{} flows, one after the other", all.len()),
        }
    }

    fn words(&self) -> Words {
        Words {
            absolute: self.absolute,
            ascii: false,
        }
    }

    /// What a reader must know of a picture that is not whole.
    pub fn missing(&self) -> Option<String> {
        self.missing_of(self.count())
    }

    /// Packets and calls.
    fn count(&self) -> usize {
        self.rows().count() + self.calls().count()
    }

    /// The same, where only the first `drawn` rows are drawn.
    fn missing_of(&self, drawn: usize) -> Option<String> {
        let left = self.left_out + (self.count() - drawn) as u64;
        (left > 0).then(|| {
            format!(
                "{drawn} rows are drawn, {left} more are left out: choose a flow (tcp:N, udp:N) or a filter"
            )
        })
    }

    /// Seconds since the first row, with as many decimals as twelve columns leave room for.
    fn seconds(&self, time: Time) -> String {
        let since = Time::from_nanos(time.since(self.origin)).to_string();
        let point = since.find('.').unwrap_or(since.len());
        let end = (point + 7).min(12).min(since.len());
        since[..end].trim_end_matches('.').to_owned()
    }
}
