//! Builds the bytes of a specification: what was given is kept, the rest is computed from the inside out.

use std::net::IpAddr;

use super::{
    Piece, Spec,
    value::{get, put},
};
use crate::{
    field::Field,
    frame::{Direction, Frame, KernelChecksum},
    layer::{Layer, Packet},
    link::LinkType,
    protocol::{Ask, Fill},
    time::Time,
};

/// What only the world knows of the way to a destination.
pub trait Route {
    /// The address from which the kernel would send to `destination`.
    fn source(&self, destination: IpAddr) -> Option<IpAddr>;
    /// The hardware addresses of the interface on the way to `destination`, and of the next hop.
    fn macs(&self, destination: IpAddr) -> Option<([u8; 6], [u8; 6])>;
    /// A number for [`Ask::Port`], [`Ask::Isn`] or [`Ask::Ident`].
    fn number(&self, ask: Ask) -> Option<u64>;
}

/// For packets that are not sent: a loopback destination has a loopback source, and everything else stays as it is.
#[derive(Clone, Copy, Debug)]
pub struct NoRoute;

impl Route for NoRoute {
    fn source(&self, destination: IpAddr) -> Option<IpAddr> {
        destination.is_loopback().then_some(destination)
    }

    fn macs(&self, _destination: IpAddr) -> Option<([u8; 6], [u8; 6])> {
        None
    }

    fn number(&self, _ask: Ask) -> Option<u64> {
        None
    }
}

/// A packet that was built. Reused for the next one, so that building many allocates nothing.
#[derive(Clone, Debug, Default)]
pub struct Built {
    /// The bytes, from the outermost layer on.
    pub bytes: Vec<u8>,
    /// Where each layer of the specification lies in them.
    pub layers: Vec<Layer>,
}

impl Built {
    /// As a packet, so that views can read its fields.
    pub fn packet(&self, link: LinkType) -> Packet<'_> {
        packet(&self.bytes, &self.layers, link)
    }
}

/// A packet of our own making.
pub(super) fn packet<'a>(bytes: &'a [u8], layers: &'a [Layer], link: LinkType) -> Packet<'a> {
    Packet {
        frame: Frame {
            number: 1,
            time: Time::default(),
            link,
            interface: 0,
            direction: Direction::Out,
            checksum: KernelChecksum::Unknown,
            wire_len: bytes.len() as u32,
            bytes,
        },
        layers,
        facts: &[],
        arena: &[],
        buffers: &[],
    }
}

/// Where a value of a built packet comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// The usual value of the header.
    Usual,
    /// Computed from the packet, or asked of the world.
    Computed,
    /// It would be asked of the world, which did not know.
    Unknown,
    /// Given, and nothing speaks against it.
    Given,
    /// Given, and not what would have been computed: this.
    Wrong(u128),
}

/// One field of a built packet, and where its value comes from.
#[derive(Clone, Copy, Debug)]
pub struct Mark {
    /// Index of the layer.
    pub layer: usize,
    /// The field.
    pub field: &'static Field,
    /// Its bits in the packet: first, and one past the last.
    pub bits: (u32, u32),
    /// Where its value comes from.
    pub state: State,
}

impl Piece {
    /// Whether somebody gave the field of slot `at` a value, or a part of it, by whatever word.
    fn is_given(&self, at: usize) -> bool {
        let slot = &self.slots[at];
        let mut given = self.given.iter();
        given.any(|given| self.slots[given.slot].overlaps(slot.place))
    }

    /// Whether slot `at` is another word for a place in `header` that stands before it.
    pub(super) fn is_alias(&self, at: usize, header: &[u8]) -> bool {
        let place = self.slots[at].place;
        let mut before = self.slots[..at].iter();
        before.any(|slot| slot.place == place && slot.is_in(header))
    }
}

impl Spec {
    /// Builds packet `n` of [`Spec::count`] into `built`. Later lists change fastest.
    pub fn build(&self, n: u64, route: &dyn Route, built: &mut Built) {
        built.bytes.clear();
        built.layers.clear();
        let mut left = n;
        for piece in &self.layers {
            let start = built.bytes.len() as u32;
            built.bytes.extend_from_slice(&piece.header);
            built.layers.push(Layer {
                protocol: piece.protocol,
                buffer: 0,
                quoted: false,
                start,
                header: piece.header.len() as u32,
                end: 0,
                wire: 0,
                problem: None,
            });
        }
        for (piece, layer) in self.layers.iter().zip(&mut built.layers).rev() {
            layer.end = built.bytes.len() as u32;
            built.bytes.extend_from_slice(&piece.trailer);
            layer.wire = layer.end - layer.start;
            for given in piece.given.iter().rev() {
                let len = given.choices.len();
                let end = layer.start + layer.header;
                let header = &mut built.bytes[layer.start as usize..end as usize];
                put(
                    header,
                    piece.slots[given.slot].place,
                    given.choices.nth(left % len),
                );
                left /= len;
            }
        }
        self.asked(route, built);
        self.computed(built);
    }

    /// Fills in what only the world knows.
    fn asked(&self, route: &dyn Route, built: &mut Built) {
        for (index, piece) in self.layers.iter().enumerate() {
            for (at, slot) in piece.slots.iter().enumerate() {
                let Fill::Asked(ask) = slot.fill else {
                    continue;
                };
                if piece.is_given(at) || !slot.is_in(&piece.header) {
                    continue;
                }
                if let Some(value) = answer(ask, route, built, index) {
                    let start = built.layers[index].start as usize;
                    put(&mut built.bytes[start..], slot.place, value);
                }
            }
        }
    }

    /// Computes from the innermost layer outwards, so that what a layer carries is complete when its turn comes.
    fn computed(&self, built: &mut Built) {
        for (index, piece) in self.layers.iter().enumerate().rev() {
            for (at, slot) in piece.slots.iter().enumerate() {
                let Fill::Computed(compute) = slot.fill else {
                    continue;
                };
                if piece.is_given(at) {
                    continue;
                }
                let view = packet(&built.bytes, &built.layers, LinkType::RAW).view(index);
                if !view.is_some_and(|view| slot.is_in(view.header())) {
                    continue;
                }
                if let Some(value) = view.as_ref().and_then(compute) {
                    let start = built.layers[index].start as usize;
                    put(&mut built.bytes[start..], slot.place, value.into());
                }
            }
        }
    }

    /// Where each value of a packet that this specification built comes from, layer by layer.
    pub fn marks(&self, route: &dyn Route, built: &Built) -> Vec<Mark> {
        let mut marks = Vec::new();
        let whole = packet(&built.bytes, &built.layers, LinkType::RAW);
        for (index, piece) in self.layers.iter().enumerate() {
            let Some(view) = whole.view(index) else {
                continue;
            };
            for (at, slot) in piece.slots.iter().enumerate() {
                let Some(value) = get(view.header(), slot.place) else {
                    continue;
                };
                if !slot.is_in(view.header()) || piece.is_alias(at, view.header()) {
                    continue;
                }
                let right = match slot.fill {
                    Fill::Usual => None,
                    Fill::Computed(compute) => compute(&view).map(u128::from),
                    Fill::Asked(ask) => answer(ask, route, built, index),
                };
                let given = piece.is_given(at);
                let state = match (given, slot.fill, right) {
                    (true, Fill::Computed(_), Some(right)) if right != value => State::Wrong(right),
                    (true, _, _) => State::Given,
                    (false, Fill::Asked(_), None) => State::Unknown,
                    (false, Fill::Usual, _) | (false, _, None) => State::Usual,
                    (false, _, Some(_)) => State::Computed,
                };
                let (byte, bit, bits) = slot.place;
                let first = (view.layer.start + u32::from(byte)) * 8 + u32::from(bit);
                marks.push(Mark {
                    layer: index,
                    field: slot.field,
                    bits: (first, first + u32::from(bits)),
                    state,
                });
            }
        }
        marks
    }
}

/// What the world says to a layer of `built`: of the way to the destination of its network layer, else of the first inside.
fn answer(ask: Ask, route: &dyn Route, built: &Built, index: usize) -> Option<u128> {
    let whole = packet(&built.bytes, &built.layers, LinkType::RAW);
    let destination = || {
        let own = whole.view(index).and_then(|view| view.addresses());
        let inner = || {
            whole
                .views()
                .skip(index)
                .find_map(|view| (view.layer.protocol.addresses?)(&view))
        };
        own.or_else(inner).map(|(_, destination)| destination)
    };
    let mac = |mac: [u8; 6]| mac.iter().fold(0u128, |n, b| n << 8 | u128::from(*b));
    match ask {
        Ask::Source => match route.source(destination()?)? {
            IpAddr::V4(address) => Some(u32::from(address).into()),
            IpAddr::V6(address) => Some(address.into()),
        },
        Ask::SourceMac => route.macs(destination()?).map(|(source, _)| mac(source)),
        Ask::NextHopMac => route.macs(destination()?).map(|(_, hop)| mac(hop)),
        Ask::Port | Ask::Isn | Ask::Ident => route.number(ask).map(u128::from),
    }
}
