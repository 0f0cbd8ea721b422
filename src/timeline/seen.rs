//! What the join and the views need of a packet, read from its bytes once.

use std::net::SocketAddr;

use super::known::Known;
use crate::{
    call::HEAD,
    decode::{Decoded, Decoder},
    event::{self, Entry, Event, Transport},
    frame::{Batch, Direction, Record},
    layer::{Packet, View},
    proto::tcp::{self, flag},
    track::{Tracker, about, flow},
};

/// A packet between two sockets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// What it belongs to; [`Transport::Raw`] for an ICMP message that is no error.
    pub transport: Transport,
    /// Its sender; of an ICMP error, the sender of the packet that it quotes. Port 0 where there are no ports.
    pub source: SocketAddr,
    /// Its receiver, likewise.
    pub destination: SocketAddr,
    /// What it carries.
    pub what: What,
    /// How its data begins, at most [`crate::call::HEAD`] bytes. Untrusted.
    pub data: Vec<u8>,
}

/// What a packet carries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// A TCP segment.
    Segment(Segment),
    /// A UDP datagram (put together, where it came in fragments), or an ICMP message, with so many bytes of data. Those
    /// of an ICMP message begin with its header, as they do for the sockets that send it.
    Datagram(u32),
    /// An ICMP error about a packet between these two; what it says ("port unreachable").
    Error(&'static str),
}

/// A TCP segment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Segment {
    /// Sequence number.
    pub seq: u32,
    /// Acknowledgment number, when the ACK flag is set.
    pub ack: Option<u32>,
    /// The SYN flag.
    pub syn: bool,
    /// The FIN flag.
    pub fin: bool,
    /// The RST flag.
    pub rst: bool,
    /// The PSH flag.
    pub psh: bool,
    /// The window field, unscaled.
    pub window: u16,
    /// Bytes of data on the wire.
    pub len: u32,
}

/// Reads packets, in the order of a log: a datagram is read where its last fragment is.
#[derive(Debug, Default)]
pub struct Reader {
    decoder: Decoder,
    tracker: Tracker,
    decoded: Decoded,
}

impl Reader {
    /// What the packet of `entry` is; `None` for other entries, and for packets that are no socket's.
    pub fn read(&mut self, entry: &Entry, known: &Known) -> Option<Seen> {
        self.look(entry, known, |packet, _| Seen::of(packet))?
    }

    /// A look at the packet of `entry`, decoded and tracked, and at the batch that it is alone in.
    pub fn look<T>(
        &mut self,
        entry: &Entry,
        known: &Known,
        look: impl FnOnce(&Packet<'_>, &Batch) -> T,
    ) -> Option<T> {
        let Event::Packet(packet) = &entry.event else {
            return None;
        };
        let batch = batch(entry, packet, known)?;
        self.decoder.batch(&batch, &mut self.decoded);
        self.tracker
            .packet(&self.decoder, &batch, &mut self.decoded, 0);
        Some(look(&self.decoded.packet(&batch, 0)?, &batch))
    }
}

fn batch(entry: &Entry, packet: &event::Packet, known: &Known) -> Option<Batch> {
    let record = Record {
        time: entry.at,
        link: known.interfaces.get(&packet.interface)?.link,
        interface: packet.interface,
        direction: Direction::Unknown,
        checksum: packet.checksum,
        wire_len: packet.wire_len,
        start: 0,
        len: u32::try_from(packet.bytes.len()).ok()?,
    };
    let data = packet.bytes.clone();
    Some(Batch::owned(data, vec![record], packet.number))
}

impl Seen {
    /// What a packet is; `None` for one that is no socket's.
    pub fn of(packet: &Packet<'_>) -> Option<Self> {
        let header = packet.views().rev().find(|view| {
            let known = ["tcp", "udp", "udplite", "icmp", "icmpv6"];
            !view.layer.quoted && known.contains(&view.layer.protocol.name)
        })?;
        match header.layer.protocol.name {
            "tcp" => Self::segment(&header),
            "icmp" | "icmpv6" => Self::control(packet, &header),
            _ => Self::new(
                Transport::Udp,
                &header,
                What::Datagram(header.payload_wire()),
                header.payload(),
            ),
        }
    }

    fn new(transport: Transport, header: &View<'_>, what: What, data: &[u8]) -> Option<Self> {
        let (source, destination) = match transport {
            Transport::Raw => {
                let (source, destination) = header.addresses()?;
                (SocketAddr::new(source, 0), SocketAddr::new(destination, 0))
            }
            _ => about::sockets(header)?,
        };
        Some(Self {
            transport,
            source,
            destination,
            what,
            data: data[..data.len().min(HEAD)].to_vec(),
        })
    }

    fn segment(header: &View<'_>) -> Option<Self> {
        let read = tcp::Segment::of(header)?;
        let segment = Segment {
            seq: read.seq,
            ack: read.has(flag::ACK).then_some(read.ack),
            syn: read.has(flag::SYN),
            fin: read.has(flag::FIN),
            rst: read.has(flag::RST),
            psh: read.has(flag::PSH),
            window: read.window,
            len: read.len,
        };
        Self::new(
            Transport::Tcp,
            header,
            What::Segment(segment),
            header.payload(),
        )
    }

    fn control(packet: &Packet<'_>, icmp: &View<'_>) -> Option<Self> {
        let Some(complaint) = about::complaint(packet, icmp) else {
            let whole = What::Datagram(icmp.layer.wire);
            return Self::new(Transport::Raw, icmp, whole, icmp.bytes());
        };
        let transport = match complaint.transport {
            flow::Transport::Tcp => Transport::Tcp,
            flow::Transport::Udp => Transport::Udp,
        };
        let what = What::Error(complaint.says);
        Self::new(transport, &complaint.quoted, what, &[])
    }
}
