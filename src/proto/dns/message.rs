//! The structure of a message: a header, and the places of questions and records; nothing of what they say.
//!
//! ```text
//!  0    2       4         6         8         10        12
//! | id | flags | queries | answers | authori | additio | questions, then records
//! ```

use super::names;
use crate::{layer::Layer, layer::View};

/// Bytes of header (RFC 1035 §4.1.1).
pub(super) const HEADER: usize = 12;
/// The length before a message over TCP (RFC 1035 §4.2.2).
pub(super) const PREFIX: usize = 2;

const RESPONSE: u16 = 0x8000;
/// Opcode of an update (RFC 2136 §2.2).
pub(super) const UPDATE: u16 = 5;
/// Type of the record that carries the options of EDNS (RFC 6891 §6.1.1).
pub(super) const OPT: u16 = 41;

/// A message, as far as it was captured.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Message<'a> {
    /// From the transaction ID on; at least a header.
    pub(super) bytes: &'a [u8],
    /// Where it begins in its layer.
    pub(super) base: usize,
}

/// Where a question or a record lies in its message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    /// 0 for questions, 1 to 3 for the three sections of records.
    pub(super) section: usize,
    /// Its name.
    pub(super) at: usize,
    /// What follows the name: type and class, in records also time to live and length.
    pub(super) fixed: usize,
    /// The first byte after it.
    pub(super) end: usize,
}

impl Entry {
    /// Bytes of a question after its name.
    pub(super) const QUESTION: usize = 4;
    /// Bytes of a record between its name and its data.
    pub(super) const RECORD: usize = 10;

    /// Where a record's data begin.
    pub(super) fn data(&self) -> usize {
        self.fixed + Self::RECORD
    }
}

/// The layers lead to a TCP stream, in which each message has its length before it.
pub(super) fn over_tcp(layers: &[Layer]) -> bool {
    let below = layers.iter().rev().find(|l| l.protocol.name != "dns");
    below.is_some_and(|l| l.protocol.name == "tcp")
}

impl<'a> Message<'a> {
    /// The message of a layer; `None` where not even its header was captured.
    pub(crate) fn of(view: &View<'a>) -> Option<Self> {
        let base = if over_tcp(&view.packet.layers[..view.index]) {
            PREFIX
        } else {
            0
        };
        Self::new(view.header().get(base..)?, base)
    }

    pub(super) fn new(bytes: &'a [u8], base: usize) -> Option<Self> {
        (bytes.len() >= HEADER).then_some(Self { bytes, base })
    }

    /// The big-endian number of 16 bits at `at`; 0 past the end, where no caller looks.
    pub(super) fn u16(&self, at: usize) -> u16 {
        match self.bytes.get(at..).and_then(|b| b.first_chunk()) {
            Some(pair) => u16::from_be_bytes(*pair),
            None => 0,
        }
    }

    /// Ties an answer to its query.
    pub(crate) fn id(&self) -> u16 {
        self.u16(0)
    }

    /// It is a response, not a query.
    pub(crate) fn is_response(&self) -> bool {
        self.u16(2) & RESPONSE != 0
    }

    pub(super) fn opcode(&self) -> u16 {
        self.u16(2) >> 11 & 0xf
    }

    /// How many questions and records there are, by the header's account.
    pub(super) fn counts(&self) -> [u16; 4] {
        [4, 6, 8, 10].map(|at| self.u16(at))
    }

    /// The first question, byte for byte: name, type and class.
    pub(crate) fn question(&self) -> Option<&'a [u8]> {
        let entry = self.entries().next().filter(|e| e.section == 0)?;
        self.bytes.get(entry.at..entry.end)
    }

    /// Questions and records that lie in the message whole.
    pub(super) fn entries(&self) -> Entries<'a> {
        Entries {
            message: *self,
            left: self.counts(),
            at: HEADER,
        }
    }

    /// Its questions, and all records that there are behind them, whatever their number should be. Their sections are not
    /// known.
    pub(super) fn all_records(&self) -> Entries<'a> {
        let mut entries = self.entries();
        entries.left[1..].fill(u16::MAX);
        entries
    }

    /// The reply code with the upper bits that EDNS adds (RFC 6891 §6.1.3).
    pub(super) fn rcode(&self) -> u16 {
        let opt = self
            .entries()
            .find(|e| e.section == 3 && self.u16(e.fixed) == OPT);
        let upper = opt.map_or(0, |e| self.u16(e.fixed + 4) >> 8);
        upper << 4 | self.u16(2) & 0xf
    }
}

/// Walks over questions and records; ends at one that goes past the end of the message.
#[derive(Clone, Debug)]
pub(super) struct Entries<'a> {
    message: Message<'a>,
    left: [u16; 4],
    at: usize,
}

impl Entries<'_> {
    /// Where the next one would begin.
    pub(super) fn at(&self) -> usize {
        self.at
    }

    /// All that the header announced were there.
    pub(super) fn is_complete(&self) -> bool {
        self.left == [0; 4]
    }
}

impl Iterator for Entries<'_> {
    type Item = Entry;

    fn next(&mut self) -> Option<Entry> {
        let section = self.left.iter().position(|left| *left > 0)?;
        let fixed = names::skip(self.message.bytes, self.at)?;
        let end = match section {
            0 => fixed + Entry::QUESTION,
            _ => fixed + Entry::RECORD + usize::from(self.message.u16(fixed + 8)),
        };
        if end > self.message.bytes.len() {
            return None;
        }
        let entry = Entry {
            section,
            at: self.at,
            fixed,
            end,
        };
        self.left[section] -= 1;
        self.at = end;
        Some(entry)
    }
}
