//! Layers: what decoding leaves behind, a protocol and a byte range each; and the views that read values from them.

use std::{
    net::IpAddr,
    ops::{ControlFlow, Range},
};

use crate::{
    field::{At, Field, Value, Visit},
    frame::Frame,
    protocol::Protocol,
};

/// The most layers that a packet is decoded into: deeper nesting ends in a problem.
pub const MAX_LAYERS: usize = 32;

/// One decoded header and what it carries.
#[derive(Clone, Copy, Debug)]
pub struct Layer {
    /// Whose header it is.
    pub protocol: &'static Protocol,
    /// Which buffer holds it: 0 is the frame, others are reassembled.
    pub buffer: u8,
    /// Belongs to the packet that an ICMP error quotes.
    pub quoted: bool,
    /// First byte in the buffer.
    pub start: u32,
    /// Captured bytes of header.
    pub header: u32,
    /// Where the layer's payload ends in the buffer, as far as it was captured.
    pub end: u32,
    /// Bytes of header and payload on the wire; more than `end - start` when the capture was cut.
    pub wire: u32,
    /// What is wrong with it.
    pub problem: Option<Problem>,
}

/// A fault in a packet. Data, not an error: decoding goes on as far as it can.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Problem {
    /// How bad it is.
    pub kind: ProblemKind,
    /// In words, for people.
    pub text: &'static str,
}

/// How bad a [`Problem`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProblemKind {
    /// The capture has not all of the packet (the snapshot length or the end of a damaged file cut it): nothing is
    /// wrong with it.
    Cut,
    /// Allowed, and yet worth a look.
    Odd,
    /// Against the specification.
    Malformed,
}

impl Problem {
    /// The header goes on past the captured bytes.
    pub const CUT: Self = Self {
        kind: ProblemKind::Cut,
        text: "cut short in the capture",
    };

    /// Against the specification.
    pub const fn malformed(text: &'static str) -> Self {
        Self {
            kind: ProblemKind::Malformed,
            text,
        }
    }

    /// Allowed, and yet worth a look.
    pub const fn odd(text: &'static str) -> Self {
        Self {
            kind: ProblemKind::Odd,
            text,
        }
    }
}

/// What tracking knows of one field of one layer.
#[derive(Clone, Copy, Debug)]
pub struct Fact {
    /// Index of the layer in its packet.
    pub layer: u8,
    /// A field of that layer's protocol with [`At::Derived`].
    pub field: &'static Field,
    /// Its value: never borrowed from the packet.
    pub value: Value<'static>,
}

/// A decoded frame, borrowed from its batch and its decoding.
#[derive(Clone, Copy)]
pub struct Packet<'a> {
    /// The frame it was decoded from.
    pub frame: Frame<'a>,
    /// From the outermost header to the innermost.
    pub layers: &'a [Layer],
    /// What tracking found.
    pub facts: &'a [Fact],
    /// Memory of the reassembled buffers.
    pub arena: &'a [u8],
    /// Where buffers 1, 2, … lie in the arena.
    pub buffers: &'a [(u32, u32)],
}

impl<'a> Packet<'a> {
    /// The bytes of a buffer: 0 is the frame. Empty for one that does not exist.
    pub fn buffer(&self, index: u8) -> &'a [u8] {
        match usize::from(index).checked_sub(1) {
            None => self.frame.bytes,
            Some(n) => self
                .buffers
                .get(n)
                .and_then(|&(start, end)| self.arena.get(start as usize..end as usize))
                .unwrap_or(&[]),
        }
    }

    /// A view of layer `index`; `None` past the last.
    pub fn view(&self, index: usize) -> Option<View<'a>> {
        let layer = self.layers.get(index)?;
        Some(View {
            packet: *self,
            index,
            layer,
        })
    }

    /// Views of all layers, outermost first.
    pub fn views(&self) -> impl DoubleEndedIterator<Item = View<'a>> + use<'a> {
        let packet = *self;
        (0..self.layers.len()).filter_map(move |index| packet.view(index))
    }

    /// The innermost layer of `protocol` that belongs to the packet itself, not to one it quotes.
    pub fn find(&self, protocol: &Protocol) -> Option<View<'a>> {
        self.views()
            .rev()
            .find(|view| !view.layer.quoted && std::ptr::eq(view.layer.protocol, protocol))
    }
}

/// One layer of a packet, with everything needed to read its fields.
#[derive(Clone, Copy)]
pub struct View<'a> {
    /// The packet it belongs to.
    pub packet: Packet<'a>,
    /// Its place in [`Packet::layers`].
    pub index: usize,
    /// The layer itself.
    pub layer: &'a Layer,
}

impl<'a> View<'a> {
    /// Header and payload, as far as captured.
    pub fn bytes(&self) -> &'a [u8] {
        self.packet
            .buffer(self.layer.buffer)
            .get(self.layer.start as usize..self.layer.end as usize)
            .unwrap_or(&[])
    }

    /// The header, as far as captured.
    pub fn header(&self) -> &'a [u8] {
        let bytes = self.bytes();
        &bytes[..bytes.len().min(self.layer.header as usize)]
    }

    /// What follows the header, as far as captured, without padding.
    pub fn payload(&self) -> &'a [u8] {
        self.bytes()
            .get(self.layer.header as usize..)
            .unwrap_or(&[])
    }

    /// Bytes of payload on the wire, captured or not.
    pub fn payload_wire(&self) -> u32 {
        self.layer.wire.saturating_sub(self.layer.header)
    }

    /// Header and payload were captured whole.
    pub fn is_whole(&self) -> bool {
        self.bytes().len() as u64 >= u64::from(self.layer.wire)
    }

    /// The byte at `offset` from the start of the header.
    pub fn u8(&self, offset: usize) -> Option<u8> {
        self.bytes().get(offset).copied()
    }

    /// The big-endian 16-bit number at `offset`.
    pub fn u16(&self, offset: usize) -> Option<u16> {
        self.bytes()
            .get(offset..)?
            .first_chunk()
            .map(|b| u16::from_be_bytes(*b))
    }

    /// The big-endian 32-bit number at `offset`.
    pub fn u32(&self, offset: usize) -> Option<u32> {
        self.bytes()
            .get(offset..)?
            .first_chunk()
            .map(|b| u32::from_be_bytes(*b))
    }

    /// Bits in the layer's buffer of `len` bytes at `offset` from the start of the header.
    pub fn bits(&self, offset: usize, len: usize) -> Range<u32> {
        let first = self.layer.start.saturating_add(offset as u32);
        first.saturating_mul(8)..first.saturating_add(len as u32).saturating_mul(8)
    }

    /// Addresses of the nearest network layer at or below this one, for flows and pseudo-headers.
    pub fn addresses(&self) -> Option<(IpAddr, IpAddr)> {
        (0..=self.index).rev().find_map(|index| {
            let view = self.packet.view(index)?;
            (view.layer.protocol.addresses?)(&view)
        })
    }

    /// What tracking says of `field` in this layer.
    pub fn fact(&self, field: &Field) -> Option<Value<'static>> {
        self.packet
            .facts
            .iter()
            .find(|f| usize::from(f.layer) == self.index && f.field.is(field))
            .map(|f| f.value)
    }

    /// The value of a field at a fixed place, or one that tracking wrote; walked fields need [`View::visit`].
    pub fn value(&self, field: &Field) -> Option<Value<'a>> {
        match field.at {
            At::Bits { .. } if field.unquoted && self.layer.quoted => None,
            At::Bits { .. } => Value::read(field.kind, self.header(), relative_bits(field)?),
            At::Derived => self.fact(field),
            At::Walked => None,
        }
    }

    /// Visits a field without a fixed place, which has the `len` bytes at `offset`; nothing where they were not captured.
    pub fn put(
        &self,
        (field, offset, len): (&'static Field, usize, usize),
        visitor: &mut dyn Visit,
    ) -> ControlFlow<()> {
        let bits = (offset * 8) as u32..((offset + len) * 8) as u32;
        match Value::read(field.kind, self.bytes(), bits) {
            Some(value) => visitor.field(field, value, self.bits(offset, len)),
            None => ControlFlow::Continue(()),
        }
    }

    /// Every field of the layer: table order, walked fields in wire order where the first of them stands.
    /// Fields that were not captured whole are left out.
    pub fn visit(&self, visitor: &mut dyn Visit) -> ControlFlow<()> {
        let mut walked = false;
        for field in self.layer.protocol.fields {
            match field.at {
                At::Bits { .. } if field.unquoted && self.layer.quoted => {}
                At::Bits { .. } => {
                    let Some(range) = relative_bits(field) else {
                        continue;
                    };
                    if let Some(value) = Value::read(field.kind, self.header(), range.clone()) {
                        let base = self.layer.start.saturating_mul(8);
                        visitor.field(field, value, base + range.start..base + range.end)?;
                    }
                }
                At::Walked if !walked => {
                    walked = true;
                    if let Some(walk) = self.layer.protocol.walk {
                        walk(self, visitor)?;
                    }
                }
                At::Walked => {}
                At::Derived => {
                    for fact in self
                        .packet
                        .facts
                        .iter()
                        .filter(|f| usize::from(f.layer) == self.index && f.field.is(field))
                    {
                        visitor.field(field, fact.value, 0..0)?;
                    }
                }
            }
        }
        ControlFlow::Continue(())
    }
}

/// Where a fixed field lies, in bits from the start of its header.
fn relative_bits(field: &Field) -> Option<Range<u32>> {
    match field.at {
        At::Bits { byte, bit, bits } => {
            let start = u32::from(byte) * 8 + u32::from(bit);
            Some(start..start + u32::from(bits))
        }
        At::Walked | At::Derived => None,
    }
}
