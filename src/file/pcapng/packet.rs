//! Blocks with packets: enhanced, simple, and the obsolete one.

use crate::{
    file::{MAX_PACKET, error::Damage, info::text},
    frame::{Comment, Direction, KernelChecksum, Record},
    time::Time,
};

use super::{
    HEAD, Section, Seen, Sink, kind,
    option::{COMMENT, options},
};

/// `epb_flags` and `pack_flags`.
pub(super) const FLAGS: u16 = 2;

/// The bits of `epb_flags` that carry what a frame knows. The checksum bits are those of the draft since 2023; readers
/// that are older see reserved bits, and pass over them.
pub(super) mod flag {
    use crate::frame::{Direction, KernelChecksum};

    const IN: u32 = 1;
    const OUT: u32 = 2;
    const NOT_READY: u32 = 1 << 9;
    const VALID: u32 = 1 << 10;

    pub(in super::super) fn direction(flags: u32) -> Direction {
        match flags & (IN | OUT) {
            IN => Direction::In,
            OUT => Direction::Out,
            _ => Direction::Unknown,
        }
    }

    pub(in super::super) fn checksum(flags: u32) -> KernelChecksum {
        match flags & (NOT_READY | VALID) {
            NOT_READY => KernelChecksum::Unfilled,
            VALID => KernelChecksum::Valid,
            _ => KernelChecksum::Unknown,
        }
    }

    /// The flags word of a frame; 0 when nothing is known.
    pub(in super::super) fn word(direction: Direction, checksum: KernelChecksum) -> u32 {
        let direction = match direction {
            Direction::Unknown => 0,
            Direction::In => IN,
            Direction::Out => OUT,
        };
        let checksum = match checksum {
            KernelChecksum::Unknown => 0,
            KernelChecksum::Unfilled => NOT_READY,
            KernelChecksum::Valid => VALID,
        };
        direction | checksum
    }
}

/// A packet's fixed part, and where its options begin in the block's body.
pub(super) struct Packet {
    pub(super) record: Record,
    options: usize,
}

/// The fixed fields, in their order, whatever the block.
struct Fields {
    interface: u32,
    ticks: Option<u64>,
    captured: u32,
    original: u32,
}

impl Section {
    /// The packet of a block whose body should be `room` bytes; `body` has fewer when the file is cut.
    #[inline]
    pub(super) fn packet(&self, kind: u32, body: &[u8], room: usize) -> Result<Packet, Damage> {
        let order = self.order;
        let fixed = match kind {
            kind::ENHANCED_PACKET | kind::OLD_PACKET => 20,
            kind::SIMPLE_PACKET => 4,
            _ => return Err(Damage::new("a packet", format!("block type {kind}"))),
        };
        if body.len().min(room) < fixed {
            return Err(Damage::new(
                format!("a packet block with {fixed} bytes before the packet"),
                body.len().to_string(),
            ));
        }
        let fields = if kind == kind::SIMPLE_PACKET {
            let original = order.u32(body, 0);
            let snaplen = self.interfaces.first().map_or(0, |seen| seen.snaplen);
            let kept = if snaplen == 0 { u32::MAX } else { snaplen };
            let room = u32::try_from(room - fixed).unwrap_or(u32::MAX);
            Fields {
                interface: 0,
                ticks: None,
                captured: original.min(kept).min(room),
                original,
            }
        } else {
            Fields {
                interface: match kind {
                    kind::ENHANCED_PACKET => order.u32(body, 0),
                    _ => u32::from(order.u16(body, 0)),
                },
                ticks: Some(u64::from(order.u32(body, 4)) << 32 | u64::from(order.u32(body, 8))),
                captured: order.u32(body, 12),
                original: order.u32(body, 16),
            }
        };
        let seen = self.seen(fields.interface)?;
        if fields.captured > MAX_PACKET || fields.captured as usize > room - fixed {
            return Err(Damage::new(
                format!(
                    "a packet of at most {} bytes",
                    (MAX_PACKET as usize).min(room - fixed)
                ),
                format!("a captured length of {}", fields.captured),
            ));
        }
        let have = (body.len() - fixed).min(fields.captured as usize);
        Ok(Packet {
            record: Record {
                time: fields
                    .ticks
                    .map_or(Time::from_nanos(0), |t| seen.clock.time(t)),
                link: seen.link,
                interface: (self.first as u32).saturating_add(fields.interface),
                direction: Direction::Unknown,
                checksum: KernelChecksum::Unknown,
                wire_len: fields.original,
                start: (HEAD + fixed) as u32,
                len: have as u32,
            },
            options: match kind {
                kind::SIMPLE_PACKET => body.len(),
                _ => fixed + (fields.captured as usize).next_multiple_of(4),
            },
        })
    }

    /// What the packet's options add to it.
    #[inline]
    pub(super) fn options(
        &self,
        packet: Packet,
        body: &[u8],
        sink: &mut Sink<'_>,
    ) -> Result<Record, Damage> {
        let mut record = packet.record;
        let bytes = body.get(packet.options..).unwrap_or_default();
        for option in options(self.order, bytes) {
            let option = option?;
            match option.code {
                COMMENT => sink.comments.push(Comment {
                    record: sink.record,
                    text: text(option.value),
                }),
                FLAGS if option.value.len() == 4 => {
                    let flags = self.order.u32(option.value, 0);
                    record.direction = flag::direction(flags);
                    record.checksum = flag::checksum(flags);
                }
                _ => {}
            }
        }
        Ok(record)
    }

    /// The interface with this number in the section.
    fn seen(&self, interface: u32) -> Result<&Seen, Damage> {
        self.interfaces.get(interface as usize).ok_or_else(|| {
            Damage::new(
                format!(
                    "one of the {} interfaces described before",
                    self.interfaces.len()
                ),
                format!("a packet of interface {interface}"),
            )
        })
    }
}
