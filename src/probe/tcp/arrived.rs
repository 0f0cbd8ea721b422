//! What a hand-made TCP reads of a packet that arrived.

use std::net::SocketAddr;

use crate::{
    checksum,
    layer::Packet,
    proto::tcp::{self, Offers},
};

/// A TCP segment that arrived.
#[derive(Clone, Copy, Debug)]
pub struct Arrived<'a> {
    /// Its sender.
    pub from: SocketAddr,
    /// Its receiver.
    pub to: SocketAddr,
    /// The fixed part of its header.
    pub segment: tcp::Segment,
    /// Its options.
    pub offers: Offers,
    /// Its data.
    pub data: &'a [u8],
    /// Its checksum is wrong: it must be passed over (RFC 9293 §3.1). One that no device has filled in yet is fine.
    pub is_damaged: bool,
}

impl<'a> Arrived<'a> {
    /// Reads a packet; `None` for one that is no whole TCP segment.
    pub fn of(packet: &Packet<'a>) -> Option<Self> {
        let view = packet.find(&tcp::PROTOCOL)?;
        let segment = tcp::Segment::of(&view)?;
        if segment.partial || !view.is_whole() {
            return None;
        }
        let (source, destination) = view.addresses()?;
        let pseudo = checksum::pseudo(source, destination, 6, view.bytes().len() as u32);
        let right = checksum::fold(checksum::sum(pseudo, view.bytes())) == 0xffff;
        let unfilled = view.u16(16) == Some(checksum::fold(pseudo));
        Some(Self {
            from: SocketAddr::new(source, segment.ports.0),
            to: SocketAddr::new(destination, segment.ports.1),
            segment,
            offers: Offers::of(&view),
            data: view.payload(),
            is_damaged: !right && !unfilled,
        })
    }
}
