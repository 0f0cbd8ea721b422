//! Frames as they come from an interface or a file, in owned batches: the one path of live and recorded packets.

use std::{error::Error, fmt, sync::Arc};

use serde::{Deserialize, Serialize};

use crate::{link::LinkType, time::Time};

/// Which way a frame crossed the interface, where that is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Direction {
    /// The source does not say (most capture files).
    #[default]
    Unknown,
    /// Received.
    In,
    /// Sent by this host.
    Out,
}

/// What the kernel knows of a frame's transport checksum.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KernelChecksum {
    /// Nothing is known: the bytes decide.
    #[default]
    Unknown,
    /// Checked and right (`TP_STATUS_CSUM_VALID`).
    Valid,
    /// Left for the device to fill in (`TP_STATUS_CSUMNOTREADY`): the bytes hold only the pseudo-header's sum.
    Unfilled,
}

/// One frame, borrowed from its batch.
#[derive(Clone, Copy, Debug)]
pub struct Frame<'a> {
    /// Counted from 1 in its source (`frame.number`).
    pub number: u64,
    /// When the kernel, or the file, says that it crossed.
    pub time: Time,
    /// What the first byte is.
    pub link: LinkType,
    /// Index into the source's [`Source::interfaces`].
    pub interface: u32,
    /// Which way it went.
    pub direction: Direction,
    /// The kernel's word on its checksum.
    pub checksum: KernelChecksum,
    /// Bytes on the wire; more than `bytes.len()` when the snapshot length cut it.
    pub wire_len: u32,
    /// The captured bytes, from the link header on.
    pub bytes: &'a [u8],
}

impl<'a> Frame<'a> {
    /// A whole frame of which nothing else is known.
    pub fn whole(link: LinkType, bytes: &'a [u8]) -> Self {
        Self {
            number: 1,
            time: Time::default(),
            link,
            interface: 0,
            direction: Direction::Unknown,
            checksum: KernelChecksum::Unknown,
            wire_len: bytes.len() as u32,
            bytes,
        }
    }
}

/// Where one frame lies in its batch: the owned form of [`Frame`].
#[derive(Clone, Copy, Debug)]
pub struct Record {
    /// See [`Frame::time`].
    pub time: Time,
    /// See [`Frame::link`].
    pub link: LinkType,
    /// See [`Frame::interface`].
    pub interface: u32,
    /// See [`Frame::direction`].
    pub direction: Direction,
    /// See [`Frame::checksum`].
    pub checksum: KernelChecksum,
    /// See [`Frame::wire_len`].
    pub wire_len: u32,
    /// First byte in the batch's data.
    pub start: u32,
    /// Captured bytes.
    pub len: u32,
}

impl Record {
    /// The frame in `data`; `None` when the record points outside.
    #[inline]
    pub fn frame<'a>(&self, data: &'a [u8], number: u64) -> Option<Frame<'a>> {
        let start = self.start as usize;
        Some(Frame {
            number,
            time: self.time,
            link: self.link,
            interface: self.interface,
            direction: self.direction,
            checksum: self.checksum,
            wire_len: self.wire_len,
            bytes: data.get(start..start.checked_add(self.len as usize)?)?,
        })
    }
}

/// A kernel ring block (or other foreign memory) that is given back when dropped.
pub trait Block: Send + Sync {
    /// The bytes of the block.
    fn bytes(&self) -> &[u8];
}

/// The memory behind a batch.
pub enum Storage {
    /// A chunk of a file, or copied packets.
    Owned(Vec<u8>),
    /// A ring block, returned to the kernel on drop.
    Block(Box<dyn Block>),
}

impl Storage {
    /// The bytes that [`Record::start`] counts in.
    pub fn bytes(&self) -> &[u8] {
        match self {
            Self::Owned(bytes) => bytes,
            Self::Block(block) => block.bytes(),
        }
    }
}

/// A comment that the file attaches to one frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Comment {
    /// Index of the record in its batch.
    pub record: u32,
    /// The text, as the file has it: untrusted.
    pub text: String,
}

/// Frames that arrived together, with the memory they lie in. Can go to another thread.
pub struct Batch {
    /// What the records point into.
    pub data: Storage,
    /// One entry a frame, in order of arrival.
    pub records: Vec<Record>,
    /// The number of the first record, counted from 1 over the whole source.
    pub first: u64,
    /// Packet comments of the file, in order of their records; empty for most batches.
    pub comments: Vec<Comment>,
}

impl Batch {
    /// A batch over memory of its own.
    pub fn owned(data: Vec<u8>, records: Vec<Record>, first: u64) -> Self {
        Self {
            data: Storage::Owned(data),
            records,
            first,
            comments: Vec::new(),
        }
    }

    /// Frames in the batch.
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// True when no frame is in the batch.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// The frame at `index`; `None` past the end, or when the record points outside the data.
    pub fn frame(&self, index: usize) -> Option<Frame<'_>> {
        let number = self.first.wrapping_add(index as u64);
        self.records.get(index)?.frame(self.data.bytes(), number)
    }

    /// All frames, in order.
    pub fn frames(&self) -> impl Iterator<Item = Frame<'_>> {
        (0..self.len()).filter_map(|index| self.frame(index))
    }

    /// The comments of the frame at `index`.
    pub fn comments_of(&self, index: usize) -> impl Iterator<Item = &str> {
        self.comments
            .iter()
            .filter(move |c| c.record as usize == index)
            .map(|c| c.text.as_str())
    }
}

/// An interface as a source describes it (pcapng's interface description block).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interface {
    /// Its name, such as `lo`; files may leave it out. Untrusted text.
    pub name: Option<String>,
    /// A description, where the source has one. Untrusted text.
    pub description: Option<String>,
    /// What its frames begin with.
    pub link: LinkType,
    /// Bytes kept of each frame; 0 means all.
    pub snaplen: u32,
    /// The capture filter that was in force, where known. Untrusted text.
    pub filter: Option<String>,
}

/// What became of an interface during a capture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InterfaceChange {
    /// Its name.
    pub name: String,
    /// When it was noticed.
    pub time: Time,
    /// What happened.
    pub state: InterfaceState,
}

/// The states that a capture notices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InterfaceState {
    /// It carries traffic again.
    Up,
    /// Set down; capture goes on when it comes back.
    Down,
    /// It is gone; its capture is over.
    Deleted,
}

/// What a source counted, for the sum at the end of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Frames that reached the source: delivered + duplicate + dropped.
    pub seen: u64,
    /// Second copies of loopback frames, left out.
    pub duplicate: u64,
    /// Lost for want of room, by the kernel's count.
    pub dropped: u64,
}

/// What a source has to say next.
pub enum Step {
    /// Frames.
    Batch(Batch),
    /// Nothing arrived up to this time. May come before the time asked for (a signal arrived).
    Quiet(Time),
    /// An interface went down, came up, or is gone.
    Link(InterfaceChange),
    /// There is no more; after a live capture the ring has been drained.
    End(Counters),
}

/// Why a source cannot go on. The frames before the fault have been delivered.
#[derive(Debug)]
pub struct SourceError {
    /// Which exit code the fault asks for.
    pub kind: SourceErrorKind,
    /// The cause, which names operation and object.
    pub source: Box<dyn Error + Send + Sync>,
}

/// The kinds of fault that a user's script tells apart (exit codes of the program).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SourceErrorKind {
    /// The input is damaged.
    Damaged,
    /// Every captured interface is gone.
    Gone,
    /// Reading failed.
    Io,
}

impl fmt::Display for SourceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.source.fmt(f)
    }
}

impl Error for SourceError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.source()
    }
}

/// Where frames come from: an interface, a file, a lab's wire. Live and recorded packets take this one path.
pub trait Source: Send {
    /// The next batch, or what else happened, waiting no longer than `until` (wall clock; files never wait).
    ///
    /// # Errors
    /// When the source cannot go on; what was good before the fault has been delivered by earlier calls.
    fn next(&mut self, until: Time) -> Result<Step, SourceError>;

    /// The interfaces known so far; [`Frame::interface`] indexes this list, which only grows.
    fn interfaces(&self) -> &[Arc<Interface>];

    /// Takes a used batch back, so that its memory serves again.
    fn recycle(&mut self, _batch: Batch) {}

    /// Asks a live source to stop: it drains what has arrived and then says [`Step::End`].
    fn stop(&mut self) {}
}
