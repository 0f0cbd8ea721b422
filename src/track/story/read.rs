//! What a story needs of a packet, read from its layers once.

use std::net::{IpAddr, SocketAddr};

use super::{item::EXCERPT, pseudonym::Pseudonyms};
use crate::{
    field::Value,
    layer::{Packet, View},
    proto,
    track::{
        about,
        flow::{FlowKey, Transport},
        state::Segment,
    },
};

/// A packet that a story is about.
#[derive(Debug)]
pub(super) struct Seen<'a> {
    pub(super) transport: Transport,
    /// The sender of the packet; of an ICMP error, the sender of the packet that it quotes.
    pub(super) source: SocketAddr,
    pub(super) destination: SocketAddr,
    /// `tcp.stream` or `udp.stream`, where tracking has numbered it.
    pub(super) stream: Option<u32>,
    pub(super) what: Matter<'a>,
}

/// What it carries.
#[derive(Debug)]
pub(super) enum Matter<'a> {
    Tcp(Tcp<'a>),
    Udp(Udp<'a>),
    Error {
        says: &'static str,
        by: IpAddr,
        /// The mark of the quoted packet.
        mark: u32,
    },
}

/// A UDP datagram.
#[derive(Debug)]
pub(super) struct Udp<'a> {
    pub(super) len: u32,
    /// Length and checksum: by these an ICMP error's quote is found again.
    pub(super) mark: u32,
    /// How many fragments it was put together from, where it was.
    pub(super) fragments: Option<u32>,
    pub(super) data: &'a [u8],
}

/// A TCP segment.
#[derive(Debug)]
pub(super) struct Tcp<'a> {
    pub(super) segment: Segment,
    pub(super) mss: Option<u16>,
    pub(super) scale: Option<u8>,
    pub(super) window_zero: bool,
    pub(super) data: &'a [u8],
}

impl<'a> Seen<'a> {
    /// Reads a packet; `None` for one that belongs to no flow.
    pub(super) fn of(packet: &Packet<'a>) -> Option<Self> {
        for view in packet.views().rev() {
            if view.layer.quoted {
                continue;
            }
            match view.layer.protocol.name {
                "tcp" => return Self::tcp(&view),
                "udp" => return Self::udp(&view),
                "icmp" | "icmpv6" => return Self::error(packet, &view),
                _ => {}
            }
        }
        None
    }

    /// Puts stand-ins for its addresses, and takes its data away.
    pub(super) fn anonymise(&mut self, pseudonyms: &mut Pseudonyms) {
        for socket in [&mut self.source, &mut self.destination] {
            socket.set_ip(pseudonyms.ip(socket.ip()));
        }
        match &mut self.what {
            Matter::Tcp(tcp) => tcp.data = &[],
            Matter::Udp(udp) => udp.data = &[],
            Matter::Error { by, .. } => *by = pseudonyms.ip(*by),
        }
    }

    /// The flow it belongs to.
    pub(super) fn key(&self) -> FlowKey {
        let (a, b) = (self.source, self.destination);
        FlowKey::new(self.transport, (a.ip(), b.ip()), (a.port(), b.port())).0
    }

    fn between(view: &View<'_>, transport: Transport, what: Matter<'a>) -> Option<Self> {
        let (source, destination) = about::sockets(view)?;
        Some(Self {
            transport,
            source,
            destination,
            stream: stream(view),
            what,
        })
    }

    fn tcp(view: &View<'a>) -> Option<Self> {
        use proto::tcp;
        let read = tcp::Segment::of(view)?;
        let offers = tcp::Offers::of(view);
        let segment = Segment::from(&read);
        let tcp = Tcp {
            segment,
            mss: offers.mss.filter(|_| segment.syn),
            scale: offers.window_scale.filter(|_| segment.syn),
            window_zero: read.window == 0 && !segment.rst,
            data: excerpt(view.payload()),
        };
        Self::between(view, Transport::Tcp, Matter::Tcp(tcp))
    }

    fn udp(view: &View<'a>) -> Option<Self> {
        let udp = Udp {
            len: view.payload_wire(),
            mark: view.u32(4)?,
            fragments: fragments(view),
            data: excerpt(view.payload()),
        };
        Self::between(view, Transport::Udp, Matter::Udp(udp))
    }

    fn error(packet: &Packet<'a>, icmp: &View<'a>) -> Option<Self> {
        let complaint = about::complaint(packet, icmp)?;
        let what = Matter::Error {
            says: complaint.says,
            by: icmp.addresses()?.0,
            // Eight bytes are quoted at least: the ports, and the sequence number or length and checksum.
            mark: complaint.quoted.u32(4)?,
        };
        Self::between(&complaint.quoted, complaint.transport, what)
    }
}

/// The number of the conversation that a header belongs to.
fn stream(view: &View<'_>) -> Option<u32> {
    let numbers = [&proto::tcp::STREAM, &proto::udp::STREAM];
    let number = numbers.iter().find_map(|number| view.fact(number))?;
    u32::try_from(number.as_u64()?).ok()
}

/// How many fragments a layer's buffer was put together from; `None` for a layer of the frame itself.
fn fragments(view: &View<'_>) -> Option<u32> {
    let counts = [
        &proto::ipv4::FRAGMENT_COUNT,
        &proto::ipv6_fraghdr::FRAGMENT_COUNT,
    ];
    if view.layer.buffer == 0 {
        return None;
    }
    let facts = |view: View<'_>| counts.iter().find_map(|count| view.fact(count));
    match view.packet.views().find_map(facts)? {
        Value::Uint(count) => u32::try_from(count).ok(),
        _ => None,
    }
}

fn excerpt(data: &[u8]) -> &[u8] {
    &data[..data.len().min(EXCERPT)]
}
