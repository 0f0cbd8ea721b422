//! Draws a story as a ladder: one column a socket, one row a packet, states at both margins.

use std::io;

use crate::{time::Time, track::story::Item};

/// How a ladder is drawn.
#[derive(Clone, Debug)]
pub struct LadderOptions {
    /// Columns of the terminal: from 80 on state names are whole, below they are shortened; at least 60.
    pub width: usize,
    /// ASCII characters only.
    pub ascii: bool,
    /// With terminal colours.
    pub colour: bool,
    /// Sequence numbers as they are on the wire (`-S`).
    pub absolute: bool,
    /// Which of the two forms.
    pub layout: Layout,
    /// What time counts from; the first packet's time when left out.
    pub origin: Option<Time>,
    /// Names of the interfaces, by index. Untrusted text.
    pub interfaces: Vec<String>,
}

/// The two forms of a ladder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// Both ends' times in milliseconds, and sections: one flow whose both ends are seen.
    Lab,
    /// One time in seconds, and many flows.
    Watch,
}

impl Default for LadderOptions {
    fn default() -> Self {
        Self {
            width: 80,
            ascii: false,
            colour: false,
            absolute: false,
            layout: Layout::Watch,
            origin: None,
            interfaces: Vec::new(),
        }
    }
}

/// A ladder being drawn.
#[derive(Debug)]
pub struct Ladder {
    options: LadderOptions,
}

impl Ladder {
    /// A ladder with nothing drawn yet.
    pub fn new(options: LadderOptions) -> Self {
        Self { options }
    }

    /// Names of the interfaces by index, when more became known. Untrusted text.
    pub fn interfaces(&mut self, names: Vec<String>) {
        self.options.interfaces = names;
    }

    /// Draws one item.
    ///
    /// # Errors
    /// When `out` cannot be written.
    pub fn write(&mut self, _item: &Item, _out: &mut dyn io::Write) -> io::Result<()> {
        Ok(())
    }
}
