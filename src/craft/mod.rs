//! Crafting: a packet written in words becomes bytes, and a packet's bytes become words that would give them back.
//!
//! # The notation
//!
//! Layers from the outermost to the innermost, with `/` between them; in a layer, `field=value` words in any order:
//!
//! ```text
//! ip dst=10.0.0.2 ttl=5 / tcp dport=80 flags=S mss=1460 sackok ws=7 / text=hello
//! ```
//!
//! - A field left out is computed; a field given is kept, even when it is wrong.
//! - `dport=22,80,443` and `ttl=1..30` give several values: the packets are the product of all of them.
//! - A layer of bytes is `text=hello`, `hex=00ff`, `zeros=18`, `random=100:SEED`, `file=NAME`.
//! - `trailer=00ff` on any layer puts bytes behind it, such as padding, which its lengths do not count; `cut=8` leaves only so many bytes of its header, as in
//!   the packet that an ICMP error quotes.
//!
//! Every protocol is written through the table that it is read by ([`crate::protocol::Craft`]).

pub mod answers;
mod build;
pub mod diff;
mod error;
mod fragment;
mod hints;
pub mod list;
mod marks;
mod parse;
mod payload;
mod print;
pub mod rewrite;
mod scapy;
mod slots;
pub mod template;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
mod value;

pub use build::{Built, NoRoute, Route, sent};
pub use error::SpecError;
pub use fragment::{FragmentError, fragments};
pub use marks::{Mark, State};
pub use parse::{Files, NoFiles};
pub use payload::{MAX_BYTES, text};
pub use print::{Printed, print};
pub use value::Choices;

use crate::{
    field::{Shown, Value},
    link::LinkType,
    protocol::{Ask, Claim, Fill, Protocol, Slot},
};

/// A packet, or several: what its text says, checked and ready to be built.
#[derive(Clone, Debug)]
pub struct Spec {
    layers: Vec<Piece>,
    link: Option<LinkType>,
}

/// One layer of a [`Spec`].
#[derive(Clone, Debug)]
struct Piece {
    protocol: &'static Protocol,
    /// The header with options and usual values; of plain data, the bytes.
    header: Vec<u8>,
    /// Fields that have a value of their own, in the order in which they were given.
    given: Vec<Given>,
    /// How many of them are done, since the header has them: those before the first that has several values.
    ready: usize,
    /// Slots that nobody gave and that are computed.
    computed: Vec<usize>,
    /// Slots that nobody gave and that the world knows.
    asked: Vec<(usize, Ask)>,
    /// All fields that can have one.
    slots: Vec<Slot>,
    /// Bytes behind what the layer carries.
    trailer: Vec<u8>,
    /// The header has fewer bytes than its fields.
    cut: bool,
}

/// The values given to one field.
#[derive(Clone, Debug)]
struct Given {
    /// Index into the piece's slots.
    slot: usize,
    choices: Choices,
    /// How many packets in a row have the same value: the product of the lists behind it.
    stride: u64,
}

impl Piece {
    /// Prepares for building, once everything is given.
    fn settle(&mut self) {
        let several = |given: &Given| given.choices.len() > 1;
        self.ready = self
            .given
            .iter()
            .position(several)
            .unwrap_or(self.given.len());
        for (at, slot) in self.slots.iter().enumerate() {
            match slot.fill {
                Fill::Computed(_) if !self.is_given(at) => self.computed.push(at),
                Fill::Asked(ask) if !self.is_given(at) => self.asked.push((at, ask)),
                _ => {}
            }
        }
    }
}

impl Spec {
    /// How many packets the specification stands for: the product of all its lists.
    pub fn count(&self) -> u64 {
        let lists = self.layers.iter().flat_map(|piece| &piece.given);
        lists.fold(1, |product, given| {
            product.saturating_mul(given.choices.len())
        })
    }

    /// The fields that differ from packet to packet, outermost first: the field as the notation calls it, and its value in
    /// `built`, one of these packets.
    pub fn varied<'a>(&self, built: &'a Built) -> Vec<(&'static str, Shown<'a>)> {
        let layers = self.layers.iter().zip(&built.layers);
        let each = layers.flat_map(|(piece, layer)| {
            let several = piece.given.iter().filter(|given| given.choices.len() > 1);
            several.filter_map(|given| {
                let slot = &piece.slots[given.slot];
                let (byte, bit, bits) = slot.place;
                let first = u32::from(byte) * 8 + u32::from(bit);
                let header = built.bytes.get(layer.start as usize..layer.end as usize)?;
                let value = Value::read(slot.field.kind, header, first..first + u32::from(bits))?;
                let field = slot.field;
                Some((
                    *slot.words.first().unwrap_or(&field.name),
                    Shown { field, value },
                ))
            })
        });
        each.collect()
    }

    /// The protocols of its layers, outermost first.
    pub fn protocols(&self) -> impl Iterator<Item = &'static Protocol> {
        self.layers.iter().map(|piece| piece.protocol)
    }

    /// The link type of its packets: of the outermost layer, or as `link=` says. `None`: it begins above the link layer
    /// and above IP.
    pub fn link(&self) -> Option<LinkType> {
        let claims = self.layers.first().map_or(&[][..], |p| p.protocol.claims);
        let by_layer = claims.iter().find_map(|claim| match claim {
            Claim::Link(link) => Some(*link),
            Claim::EtherType(0x0800 | 0x86dd) => Some(LinkType::RAW),
            _ => None,
        });
        self.link.or(by_layer)
    }
}
