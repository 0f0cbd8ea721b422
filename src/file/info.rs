//! What a capture file says beside its packets: kept for those who ask, bounded, and untrusted.

use std::{net::IpAddr, path::Path};

use crate::time::Time;

/// The two families of capture files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// pcap: one link type, no comments, no interfaces.
    Pcap,
    /// pcapng: sections, interfaces, comments, directions, statistics.
    PcapNg,
}

impl Format {
    /// The format that a file of this name is written in: `.pcap` means pcap, anything else pcapng.
    pub fn from_name(path: &Path) -> Self {
        match path.extension() {
            Some(suffix) if suffix.eq_ignore_ascii_case("pcap") => Self::Pcap,
            _ => Self::PcapNg,
        }
    }
}

/// How the file is packed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Compression {
    /// Not at all.
    #[default]
    None,
    /// gzip, one member or several (RFC 1952).
    Gzip,
    /// Zstandard, one frame or several (RFC 8878).
    Zstd,
}

/// What a reader has learned so far; grows while the file is read. All text is untrusted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Info {
    /// The format.
    pub format: Format,
    /// How the file is packed.
    pub compression: Compression,
    /// pcapng sections, in order; empty for pcap.
    pub sections: Vec<Section>,
    /// One for each of [`Source::interfaces`](crate::frame::Source::interfaces).
    pub interfaces: Vec<InterfaceDetail>,
    /// Names of addresses that the file carries (name resolution blocks).
    pub names: Vec<HostName>,
    /// The last statistics of each interface that has some, in order of the interfaces.
    pub statistics: Vec<Statistics>,
    /// Blocks of other kinds (secrets, custom, journal, unknown) that were passed over.
    pub skipped: u64,
    /// Bytes of text that are still kept.
    room: usize,
}

impl Info {
    /// The most bytes of text that are kept of one file; what comes after is left out.
    const MAX_TEXT: usize = 8 << 20;

    pub(super) fn new(compression: Compression) -> Self {
        Self {
            format: Format::PcapNg,
            compression,
            sections: Vec::new(),
            interfaces: Vec::new(),
            names: Vec::new(),
            statistics: Vec::new(),
            skipped: 0,
            room: Self::MAX_TEXT,
        }
    }

    /// The text in some bytes; `None` when there is none, or no room for it.
    pub(super) fn text(&mut self, bytes: &[u8]) -> Option<String> {
        let text = text(bytes);
        let cost = text.len() + size_of::<String>();
        if text.is_empty() || cost > self.room {
            return None;
        }
        self.room -= cost;
        Some(text)
    }
}

/// Bytes as text, with replacement marks where they are not UTF-8, up to the zero that some writers end it with.
pub(super) fn text(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|&b| b == 0);
    String::from_utf8_lossy(&bytes[..end.unwrap_or(bytes.len())]).into_owned()
}

/// Who wrote a section, and its comments (section header block).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Section {
    /// The writer's machine.
    pub hardware: Option<String>,
    /// The writer's operating system.
    pub os: Option<String>,
    /// The writing program.
    pub application: Option<String>,
    /// What people said of the section.
    pub comments: Vec<String>,
}

/// What an interface description says beyond [`Interface`](crate::frame::Interface).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InterfaceDetail {
    /// Index of its section in [`Info::sections`].
    pub section: u32,
    /// `if_tsresol` as the file has it: 6 is microseconds, 9 nanoseconds, the top bit means powers of two.
    pub resolution: u8,
    /// `if_tsoffset`: seconds added to each time.
    pub offset: i64,
    /// The operating system of the interface's machine.
    pub os: Option<String>,
    /// The interface's hardware.
    pub hardware: Option<String>,
    /// What people said of the interface.
    pub comments: Vec<String>,
}

/// An address and a name that the file gives it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostName {
    /// The address.
    pub address: IpAddr,
    /// The name: untrusted text.
    pub name: String,
}

/// What an interface counted (interface statistics block). Missing numbers were not given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Statistics {
    /// Index into [`Source::interfaces`](crate::frame::Source::interfaces).
    pub interface: u32,
    /// When the numbers were read.
    pub time: Time,
    /// When the capture began.
    pub start: Option<Time>,
    /// When the capture ended.
    pub end: Option<Time>,
    /// Packets that the interface received (`isb_ifrecv`).
    pub received: Option<u64>,
    /// Packets dropped by the interface for want of room (`isb_ifdrop`).
    pub dropped: Option<u64>,
    /// Packets that passed the capture filter (`isb_filteraccept`).
    pub accepted: Option<u64>,
    /// Packets dropped by the operating system (`isb_osdrop`).
    pub os_dropped: Option<u64>,
    /// Packets delivered to the user (`isb_usrdeliv`).
    pub delivered: Option<u64>,
}
