//! The pcap format: one header, then records. Read as tolerantly as tcpdump reads it.
//!
//! Layouts: draft-ietf-opsawg-pcap. Times beyond the second, lengths above the snapshot length and captured lengths
//! above the original one are odd but readable, so they are read.

use crate::{
    frame::{Direction, Frame, KernelChecksum, Record},
    link::LinkType,
    time::{SECOND, Time},
};

use super::{MAX_PACKET, error::Damage, order::Order};

/// Bytes of the file header.
pub(super) const HEADER: usize = 24;
/// Microsecond times.
const MICROS: u32 = 0xa1b2_c3d4;
/// Nanosecond times: what tcpdump and tshark read exactly, and what is written here.
const NANOS: u32 = 0xa1b2_3c4d;
/// Kuznetzov's patch to libpcap: eight more bytes a record.
const MODIFIED: u32 = 0xa1b2_cd34;

/// What the file header says.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pcap {
    order: Order,
    /// Nanoseconds in the unit of a record's second time field.
    unit: i64,
    /// Bytes of a record's header: 16, or 24 in the modified format.
    record: usize,
    lengths: Lengths,
    /// The link type of every packet.
    pub(super) link: LinkType,
    /// As the file has it.
    pub(super) snaplen: u32,
}

/// Writers before version 2.4 did not agree on the order of the two lengths.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lengths {
    /// Captured, original.
    Kept,
    /// Original, captured: before version 2.3.
    Swapped,
    /// Version 2.3: the smaller one is the captured length.
    Guessed,
}

/// What stands at the front of some bytes.
pub(super) enum Parsed {
    /// A packet; the record's start counts from the front. Then the bytes it takes.
    Frame(Record, usize),
    /// Something that is no packet, and its bytes.
    Other(usize),
    /// This many bytes are needed to tell.
    Need(usize),
}

/// The byte order and magic number of a pcap file that begins with these bytes.
pub(super) fn magic(bytes: &[u8]) -> Option<(Order, u32)> {
    let raw: [u8; 4] = *bytes.first_chunk()?;
    [
        (Order::Little, u32::from_le_bytes(raw)),
        (Order::Big, u32::from_be_bytes(raw)),
    ]
    .into_iter()
    .find(|(_, magic)| [MICROS, NANOS, MODIFIED].contains(magic))
}

impl Pcap {
    /// Reads the file header; `bytes` may hold more, or less when the file is cut.
    pub(super) fn header(order: Order, magic: u32, bytes: &[u8]) -> Result<Self, Damage> {
        if bytes.len() < HEADER {
            return Err(Damage::cut("a pcap header of 24 bytes", bytes.len()));
        }
        let version = (order.u16(bytes, 4), order.u16(bytes, 6));
        let lengths = match version {
            (2, 0..=2) => Lengths::Swapped,
            (2, 3) => Lengths::Guessed,
            (2, 4) | (543, 0) => Lengths::Kept,
            (major, minor) => {
                return Err(Damage::new(
                    "pcap version 2.4 or before",
                    format!("version {major}.{minor}"),
                ));
            }
        };
        Ok(Self {
            order,
            unit: if magic == NANOS { 1 } else { 1_000 },
            record: if magic == MODIFIED { 24 } else { 16 },
            lengths,
            // The upper half holds the length of the frame check sequence and reserved bits.
            link: link_type(order.u32(bytes, 20) as u16),
            snaplen: order.u32(bytes, 16),
        })
    }

    /// The unit of times as pcapng's `if_tsresol` says it.
    pub(super) fn resolution(&self) -> u8 {
        if self.unit == 1 { 9 } else { 6 }
    }

    /// The record at the front of `bytes`.
    #[inline]
    pub(super) fn record(&self, bytes: &[u8]) -> Result<Parsed, Damage> {
        if bytes.len() < self.record {
            return Ok(Parsed::Need(self.record));
        }
        let record = self.claimed(bytes)?;
        let end = self.record + record.len as usize;
        if bytes.len() < end {
            return Ok(Parsed::Need(end));
        }
        Ok(Parsed::Frame(record, end))
    }

    /// What the record header at the front of `bytes` says.
    #[inline]
    fn claimed(&self, bytes: &[u8]) -> Result<Record, Damage> {
        let (mut captured, mut original) = (self.order.u32(bytes, 8), self.order.u32(bytes, 12));
        let swap = match self.lengths {
            Lengths::Kept => false,
            Lengths::Swapped => true,
            Lengths::Guessed => captured > original,
        };
        if swap {
            (captured, original) = (original, captured);
        }
        if captured > MAX_PACKET {
            return Err(Damage::new(
                format!("a packet of at most {MAX_PACKET} bytes"),
                format!("a captured length of {captured}"),
            ));
        }
        let seconds = i64::from(self.order.u32(bytes, 0));
        let parts = i64::from(self.order.u32(bytes, 4));
        Ok(Record {
            time: Time::from_nanos(seconds * SECOND + parts * self.unit),
            link: self.link,
            interface: 0,
            direction: self.direction(bytes),
            checksum: KernelChecksum::Unknown,
            wire_len: original,
            start: self.record as u32,
            len: captured,
        })
    }

    /// The modified format tells a packet's type after its interface and protocol.
    fn direction(&self, bytes: &[u8]) -> Direction {
        const OUTGOING: u8 = 4;
        match bytes.get(22) {
            Some(&kind) if self.record == 24 => match kind {
                OUTGOING => Direction::Out,
                _ => Direction::In,
            },
            _ => Direction::Unknown,
        }
    }

    /// What is left of the record at the front of `bytes`, which end too early.
    pub(super) fn cut(&self, bytes: &[u8]) -> (Option<Record>, Damage) {
        let Some(have) = bytes.len().checked_sub(self.record) else {
            let expected = format!("a record header of {} bytes", self.record);
            return (None, Damage::cut(expected, bytes.len()));
        };
        match self.claimed(bytes) {
            Ok(record) => {
                let damage = Damage::cut(format!("{} bytes of packet", record.len), have);
                let len = have as u32;
                (Some(Record { len, ..record }), damage)
            }
            Err(damage) => (None, damage),
        }
    }
}

/// Link types whose number in old files is a platform's own: OpenBSD's and others' DLT_RAW.
pub(super) fn link_type(number: u16) -> LinkType {
    match number {
        12 | 14 => LinkType::RAW,
        number => LinkType(number),
    }
}

/// The file header, little endian, with nanosecond times.
pub(super) fn write_header(into: &mut Vec<u8>, link: LinkType, snaplen: u32) {
    into.extend(NANOS.to_le_bytes());
    into.extend([2, 0, 4, 0]);
    into.extend([0; 8]);
    into.extend(snaplen.to_le_bytes());
    into.extend(u32::from(link.0).to_le_bytes());
}

/// One record. Times outside 1970 to 2106 do not fit the format: the nearest that does is written.
pub(super) fn write_record(into: &mut Vec<u8>, frame: &Frame<'_>) {
    let nanos = frame.time.nanos().clamp(0, i64::from(u32::MAX) * SECOND);
    into.extend(((nanos / SECOND) as u32).to_le_bytes());
    into.extend(((nanos % SECOND) as u32).to_le_bytes());
    into.extend((frame.bytes.len() as u32).to_le_bytes());
    into.extend(frame.wire_len.to_le_bytes());
    into.extend(frame.bytes);
}
