//! What can be wrong with a capture file: its name, the packet, the byte, what was expected and what was found.

use std::{fmt, io};

use crate::{
    frame::{SourceError, SourceErrorKind},
    link::LinkType,
};

/// Why a capture file cannot be read, or not further. Frames before the fault have been delivered.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The path cannot be opened; [`FileError::io_kind`] says why.
    #[error("cannot open {name}")]
    Open {
        /// The path.
        name: String,
        /// The system's reason.
        source: io::Error,
    },
    /// The system refused a read.
    #[error("cannot read {name} {place}")]
    Read {
        /// The path.
        name: String,
        /// How far reading came.
        place: Place,
        /// The system's reason.
        source: io::Error,
    },
    /// There is not one byte in it.
    #[error("{name} is empty: expected a pcap or pcapng header, found no bytes at all")]
    Empty {
        /// The path.
        name: String,
    },
    /// The first bytes belong to no format that is read.
    #[error(
        "{name} is not a capture file: expected pcap or pcapng (plain, gzip or zstd), found {found}"
    )]
    NotCapture {
        /// The path.
        name: String,
        /// What the first bytes look like.
        found: String,
    },
    /// The file breaks its format's rules, or ends too early.
    #[error("{name} is damaged {place}: expected {expected}, found {found}")]
    Damaged {
        /// The path.
        name: String,
        /// Where.
        place: Place,
        /// What the format asks for.
        expected: String,
        /// What is there.
        found: String,
    },
    /// A small packed file that grows without end.
    #[error(
        "{name} stopped {place}: {packed} packed bytes gave {unpacked} bytes, more than {} to 1, as in a decompression bomb; --no-limit reads on",
        super::input::BOMB_RATIO
    )]
    Bomb {
        /// The path.
        name: String,
        /// Where.
        place: Place,
        /// Bytes read from the file.
        packed: u64,
        /// Bytes that came out.
        unpacked: u64,
    },
}

/// Why a capture file cannot be written, or not further.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The path cannot be opened for writing.
    #[error("cannot write {name}")]
    Create {
        /// The path.
        name: String,
        /// The system's reason.
        source: io::Error,
    },
    /// It is there already.
    #[error("{name} exists: choose another name, or overwrite it with --force")]
    Exists {
        /// The path.
        name: String,
    },
    /// The last part of the path is a symbolic link to a file.
    #[error(
        "{name} is a symbolic link, which is not followed when overwriting: name the file itself"
    )]
    Symlink {
        /// The path.
        name: String,
    },
    /// It is neither a file, nor a FIFO, nor a character device.
    #[error("{name} is not a file, a FIFO or a character device: choose another name")]
    Unsuitable {
        /// The path.
        name: String,
    },
    /// pcap has room for one link type only.
    #[error(
        "{name}: a pcap file holds one link type, {first}; packet {packet} is {second}: write pcapng (a name that does not end in .pcap)"
    )]
    SecondLink {
        /// The path.
        name: String,
        /// The packet that does not fit, counted from 1 over those written.
        packet: u64,
        /// The link type of the file.
        first: LinkType,
        /// The link type of the packet.
        second: LinkType,
    },
    /// The system took no more. What is written ends after a whole packet.
    #[error("cannot write {name} any further: {packets} packets are safe in it")]
    Write {
        /// The path.
        name: String,
        /// Packets that are whole in the file.
        packets: u64,
        /// The system's reason.
        source: io::Error,
    },
    /// The system did not take all of a text or picture.
    #[error("cannot write {name}")]
    Document {
        /// The path.
        name: String,
        /// The system's reason.
        source: io::Error,
    },
}

impl WriteError {
    /// The system's kind of error, where the system refused; `BrokenPipe` when the reader of a pipe left.
    pub fn io_kind(&self) -> Option<io::ErrorKind> {
        match self {
            Self::Create { source, .. }
            | Self::Write { source, .. }
            | Self::Document { source, .. } => Some(source.kind()),
            _ => None,
        }
    }
}

/// Where in a file something was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Packets read before it; the fault is in the next one, or in what stands between.
    pub packets: u64,
    /// Byte offset of the record or block with the fault, from 0.
    pub offset: u64,
    /// The offset counts unpacked bytes, since the file is compressed.
    pub unpacked: bool,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let of = if self.unpacked {
            " of the unpacked data"
        } else {
            ""
        };
        write!(
            f,
            "at packet {}, byte {}{of}",
            self.packets + 1,
            self.offset
        )
    }
}

impl FileError {
    /// The system's kind of error, where the system refused: tells a missing file from a forbidden one.
    pub fn io_kind(&self) -> Option<io::ErrorKind> {
        match self {
            Self::Open { source, .. } | Self::Read { source, .. } => Some(source.kind()),
            _ => None,
        }
    }

    /// Which exit code the fault asks for.
    pub fn kind(&self) -> SourceErrorKind {
        match self.io_kind() {
            Some(_) => SourceErrorKind::Io,
            None => SourceErrorKind::Damaged,
        }
    }
}

impl From<FileError> for SourceError {
    fn from(error: FileError) -> Self {
        Self {
            kind: error.kind(),
            source: Box::new(error),
        }
    }
}

/// A broken rule, before it is known where in the file it stands.
#[derive(Debug)]
pub(super) struct Damage {
    pub(super) expected: String,
    pub(super) found: String,
}

impl Damage {
    pub(super) fn new(expected: impl Into<String>, found: impl Into<String>) -> Self {
        Self {
            expected: expected.into(),
            found: found.into(),
        }
    }

    /// The file ends `have` bytes into something that needs more.
    pub(super) fn cut(expected: impl Into<String>, have: usize) -> Self {
        Self::new(expected, format!("the end of the file after {have}"))
    }
}
