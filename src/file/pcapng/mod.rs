//! The pcapng format: blocks in sections, each section in its own byte order with its own interfaces.
//!
//! Layouts: draft-ietf-opsawg-pcapng. Blocks that sockwire has no use for are passed over by their length.

mod describe;
mod option;
mod packet;
pub(super) mod write;

use std::sync::Arc;

use crate::{
    frame::{Comment, Interface, Record},
    link::LinkType,
};

use super::{Info, MAX_BLOCK, clock::Clock, error::Damage, order::Order, pcap::Parsed};

/// The numbers of the blocks that are read.
mod kind {
    pub(super) const SECTION: u32 = 0x0a0d_0d0a;
    pub(super) const INTERFACE: u32 = 1;
    pub(super) const OLD_PACKET: u32 = 2;
    pub(super) const SIMPLE_PACKET: u32 = 3;
    pub(super) const NAMES: u32 = 4;
    pub(super) const STATISTICS: u32 = 5;
    pub(super) const ENHANCED_PACKET: u32 = 6;
}

/// What every block begins with: type and length.
const HEAD: usize = 8;
/// The shortest block: type, length, length again.
const SHORTEST: u32 = 12;
/// Says the byte order of a section.
const BYTE_ORDER: u32 = 0x1a2b_3c4d;

/// A pcapng file begins with a section header, whose number reads the same in both byte orders.
pub(super) fn is_magic(bytes: &[u8]) -> bool {
    bytes.starts_with(&kind::SECTION.to_le_bytes())
}

/// Where what is read goes.
pub(super) struct Sink<'a> {
    /// Comments of the packets of this batch.
    pub(super) comments: &'a mut Vec<Comment>,
    /// Index that the next packet will have in this batch.
    pub(super) record: u32,
    /// All interfaces of the file.
    pub(super) interfaces: &'a mut Vec<Arc<Interface>>,
    /// Everything else.
    pub(super) info: &'a mut Info,
}

/// The section that is being read.
#[derive(Debug)]
pub(super) struct Section {
    order: Order,
    /// Where its interfaces begin in the file's list.
    first: usize,
    interfaces: Vec<Seen>,
}

/// What reading packets needs to know of an interface.
#[derive(Clone, Copy, Debug)]
struct Seen {
    clock: Clock,
    link: LinkType,
    snaplen: u32,
}

impl Section {
    /// Before the first section header.
    pub(super) fn none() -> Self {
        Self {
            order: Order::Little,
            first: 0,
            interfaces: Vec::new(),
        }
    }

    /// The block at the front of `bytes`.
    pub(super) fn block(&mut self, bytes: &[u8], sink: &mut Sink<'_>) -> Result<Parsed, Damage> {
        let Some((kind, length)) = self.head(bytes)? else {
            return Ok(Parsed::Need(SHORTEST as usize));
        };
        let Some(block) = bytes.get(..length) else {
            return Ok(Parsed::Need(length));
        };
        let (front, trailer) = block.split_at(length - 4);
        let again = self.order.u32(trailer, 0);
        if again as usize != length {
            return Err(Damage::new(
                format!("the block's length {length} again at its end"),
                again.to_string(),
            ));
        }
        let body = &front[HEAD..];
        match kind {
            kind::ENHANCED_PACKET | kind::SIMPLE_PACKET | kind::OLD_PACKET => {
                let packet = self.packet(kind, body, body.len())?;
                let record = self.options(packet, body, sink)?;
                return Ok(Parsed::Frame(record, length));
            }
            kind::SECTION => self.section(body, sink)?,
            kind::INTERFACE => self.interface(body, sink)?,
            kind::NAMES => self.names(body, sink)?,
            kind::STATISTICS => self.statistics(body, sink)?,
            _ => sink.info.skipped += 1,
        }
        Ok(Parsed::Other(length))
    }

    /// The type and the length of the block at the front of `bytes`, checked; `None` when there are too few bytes.
    fn head(&mut self, bytes: &[u8]) -> Result<Option<(u32, usize)>, Damage> {
        if bytes.len() < SHORTEST as usize {
            return Ok(None);
        }
        if is_magic(bytes) {
            self.order = match (Order::Little.u32(bytes, 8), Order::Big.u32(bytes, 8)) {
                (BYTE_ORDER, _) => Order::Little,
                (_, BYTE_ORDER) => Order::Big,
                (found, _) => {
                    return Err(Damage::new(
                        "the byte-order magic 0x1a2b3c4d",
                        format!("{found:#010x}"),
                    ));
                }
            };
        }
        let (kind, length) = (self.order.u32(bytes, 0), self.order.u32(bytes, 4));
        if !(SHORTEST..=MAX_BLOCK).contains(&length) || !length.is_multiple_of(4) {
            return Err(Damage::new(
                format!("a block length from {SHORTEST} to {MAX_BLOCK} that is a multiple of 4"),
                length.to_string(),
            ));
        }
        Ok(Some((kind, length as usize)))
    }

    /// What is left of the block at the front of `bytes`, which end too early.
    pub(super) fn cut(&mut self, bytes: &[u8]) -> (Option<Record>, Damage) {
        let (kind, length) = match self.head(bytes) {
            Ok(Some(head)) => head,
            Ok(None) => {
                return (
                    None,
                    Damage::cut("a block of 12 bytes or more", bytes.len()),
                );
            }
            Err(damage) => return (None, damage),
        };
        let damage = Damage::cut(format!("a block of {length} bytes"), bytes.len());
        let body = bytes.get(HEAD..).unwrap_or_default();
        let room = length - SHORTEST as usize;
        let record = self
            .packet(kind, body, room)
            .ok()
            .map(|packet| packet.record)
            .filter(|record| record.len > 0);
        (record, damage)
    }
}
