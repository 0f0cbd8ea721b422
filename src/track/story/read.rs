//! What a story needs of a packet, read from its layers once.

use std::net::{IpAddr, SocketAddr};

use super::item::EXCERPT;
use crate::{
    field::Value,
    layer::{Packet, View},
    proto,
    track::{
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

    /// The flow it belongs to.
    pub(super) fn key(&self) -> FlowKey {
        let (a, b) = (self.source, self.destination);
        FlowKey::new(self.transport, (a.ip(), b.ip()), (a.port(), b.port())).0
    }

    fn between(view: &View<'_>, transport: Transport, what: Matter<'a>) -> Option<Self> {
        let (source, destination) = view.addresses()?;
        Some(Self {
            transport,
            source: SocketAddr::new(source, view.u16(0)?),
            destination: SocketAddr::new(destination, view.u16(2)?),
            what,
        })
    }

    fn tcp(view: &View<'a>) -> Option<Self> {
        use proto::tcp::{self, flag};
        let read = tcp::Segment::of(view)?;
        let offers = tcp::Offers::of(view);
        let syn = read.has(flag::SYN);
        let segment = Segment {
            seq: read.seq,
            ack: read.has(flag::ACK).then_some(read.ack),
            len: read.len,
            syn,
            fin: read.has(flag::FIN),
            rst: read.has(flag::RST),
        };
        let tcp = Tcp {
            segment,
            mss: offers.mss.filter(|_| syn),
            scale: offers.window_scale.filter(|_| syn),
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
        let says = words(icmp)?;
        let by = icmp.addresses()?.0;
        packet
            .views()
            .filter(|view| view.layer.quoted)
            .find_map(|view| {
                let transport = match view.layer.protocol.name {
                    "tcp" => Transport::Tcp,
                    "udp" => Transport::Udp,
                    _ => return None,
                };
                // Eight bytes are quoted at least: the ports, and the sequence number or length and checksum.
                let mark = view.u32(4)?;
                Self::between(&view, transport, Matter::Error { says, by, mark })
            })
    }
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

/// What an ICMP error says (RFC 792, RFC 1812 §5.2.7.1, RFC 4443 §3); `None` for messages that are no errors.
pub(in crate::track) fn words(icmp: &View<'_>) -> Option<&'static str> {
    let (kind, code) = (icmp.u8(0)?, icmp.u8(1)?);
    let table = match icmp.layer.protocol.name {
        "icmp" => V4,
        _ => V6,
    };
    table
        .iter()
        .find(|(k, c, _)| *k == kind && c.is_none_or(|c| c == code))
        .map(|&(_, _, says)| says)
}

/// Type, code (any when left out), words; the first that fits counts.
type Words = &'static [(u8, Option<u8>, &'static str)];

const V4: Words = &[
    (3, Some(0), "network unreachable"),
    (3, Some(1), "host unreachable"),
    (3, Some(2), "protocol unreachable"),
    (3, Some(3), super::PORT_UNREACHABLE),
    (3, Some(4), "fragmentation needed"),
    (3, Some(9), "network prohibited"),
    (3, Some(10), "host prohibited"),
    (3, Some(13), "prohibited by a filter"),
    (3, None, "unreachable"),
    (4, None, "source quench"),
    (5, None, "redirect"),
    (11, Some(1), "fragments missing"),
    (11, None, "TTL ran out"),
    (12, None, "bad header"),
];

const V6: Words = &[
    (1, Some(0), "no route"),
    (1, Some(1), "prohibited by a filter"),
    (1, Some(3), "address unreachable"),
    (1, Some(4), super::PORT_UNREACHABLE),
    (1, None, "unreachable"),
    (2, None, "packet too big"),
    (3, Some(1), "fragments missing"),
    (3, None, "hop limit ran out"),
    (4, None, "bad header"),
];
