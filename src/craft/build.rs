//! Builds the bytes of a specification: what was given is kept, the rest is computed from the inside out.

use std::{net::IpAddr, ops::Range};

use super::{Spec, slots::computed, value::put};
use crate::{
    frame::{Direction, Frame, KernelChecksum},
    layer::{Layer, Packet},
    link::LinkType,
    protocol::Ask,
    time::Time,
};

/// What only the world knows of the way to a destination.
pub trait Route {
    /// The address from which the kernel would send to `destination`.
    fn source(&self, destination: IpAddr) -> Option<IpAddr>;
    /// The hardware addresses of the interface on the way to `destination`, and of the next hop.
    fn macs(&self, destination: IpAddr) -> Option<([u8; 6], [u8; 6])>;
    /// The hardware address of the interface alone, which is known before the next hop's is, and may be so without any
    /// destination.
    fn source_mac(&self, destination: Option<IpAddr>) -> Option<[u8; 6]> {
        self.macs(destination?).map(|(source, _)| source)
    }
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

/// A packet of our own making, with its number and the time at which it was sent.
pub fn sent<'a>(
    bytes: &'a [u8],
    layers: &'a [Layer],
    link: LinkType,
    number: u64,
    time: Time,
) -> Packet<'a> {
    let mut packet = packet(bytes, layers, link);
    packet.frame.number = number;
    packet.frame.time = time;
    packet
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

impl Spec {
    /// Builds packet `n` of [`Spec::count`] into `built`. Later lists change fastest.
    pub fn build(&self, n: u64, route: &dyn Route, built: &mut Built) {
        let Built { bytes, layers } = &mut *built;
        bytes.clear();
        layers.clear();
        for piece in &self.layers {
            let start = bytes.len();
            bytes.extend_from_slice(&piece.header);
            for given in &piece.given[piece.ready..] {
                let value = given.choices.nth(n / given.stride);
                put(&mut bytes[start..], piece.slots[given.slot].place, value);
            }
            layers.push(Layer {
                protocol: piece.protocol,
                buffer: 0,
                quoted: false,
                start: start as u32,
                header: piece.header.len() as u32,
                end: 0,
                wire: 0,
                problem: None,
            });
        }
        for (piece, layer) in self.layers.iter().zip(layers).rev() {
            layer.end = bytes.len() as u32;
            layer.wire = layer.end - layer.start;
            bytes.extend_from_slice(&piece.trailer);
        }
        self.asked(route, built);
        self.computed(built);
    }

    /// Fills in what only the world knows.
    fn asked(&self, route: &dyn Route, built: &mut Built) {
        for (index, piece) in self.layers.iter().enumerate() {
            for &(at, ask) in &piece.asked {
                let header = header(&built.layers[index]);
                if let Some(value) = answer(ask, route, built, index)
                    && piece.slots[at].is_in(&built.bytes[header.clone()])
                {
                    put(&mut built.bytes[header], piece.slots[at].place, value);
                }
            }
        }
    }

    /// Computes from the innermost layer outwards, so that what a layer carries is complete when its turn comes.
    fn computed(&self, built: &mut Built) {
        for (index, piece) in self.layers.iter().enumerate().rev() {
            for slot in piece.computed.iter().map(|at| &piece.slots[*at]) {
                let view = packet(&built.bytes, &built.layers, LinkType::RAW).view(index);
                if let Some(value) = view.and_then(|view| computed(slot, &view)) {
                    let header = header(&built.layers[index]);
                    put(&mut built.bytes[header], slot.place, value);
                }
            }
        }
    }
}

/// Where the header lies in the packet.
fn header(layer: &Layer) -> Range<usize> {
    let start = layer.start as usize;
    start..start + layer.header as usize
}

/// What the world says to a layer of `built`: of the way to the destination of its network layer, else of the first inside.
pub(super) fn answer(ask: Ask, route: &dyn Route, built: &Built, index: usize) -> Option<u128> {
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
        Ask::SourceMac => route.source_mac(destination()).map(mac),
        Ask::NextHopMac => route.macs(destination()?).map(|(_, hop)| mac(hop)),
        Ask::Port | Ask::Isn | Ask::Ident => route.number(ask).map(u128::from),
    }
}
