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
    /// Its sender; of an ICMP error, whom the packet that it quotes was for. Port 0 where there are no ports.
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
        let quoted = Self::new(transport, &complaint.quoted, what, &[])?;
        Some(Self {
            source: quoted.destination,
            destination: quoted.source,
            ..quoted
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::{
        checksum,
        event::Way,
        timeline::testing::{Log, Tcp, at, datagram, segment, unreachable},
    };

    const A: &str = "10.0.0.1:40000";
    const B: &str = "10.0.0.2:5000";

    fn read(log: &Log) -> Vec<Option<Seen>> {
        let (mut known, mut reader) = (Known::default(), Reader::default());
        let mut all = Vec::new();
        for entry in &log.entries {
            known.push(entry);
            let seen = reader.read(entry, &known);
            if matches!(entry.event, Event::Packet(_)) {
                all.push(seen);
            }
        }
        all
    }

    /// The part of an IPv4 packet's payload from `start` on, as a fragment.
    fn fragment(whole: &[u8], start: usize, end: usize) -> Vec<u8> {
        let (mut header, payload) = (whole[..20].to_vec(), &whole[20..]);
        let more = u16::from(end < payload.len()) << 13;
        header[2..4].copy_from_slice(&(20 + (end - start) as u16).to_be_bytes());
        header[6..8].copy_from_slice(&(more | (start / 8) as u16).to_be_bytes());
        header[10..12].fill(0);
        let sum = checksum::finish(checksum::sum(0, &header));
        header[10..12].copy_from_slice(&sum.to_be_bytes());
        [&header, &payload[start..end]].concat()
    }

    #[test]
    fn a_datagram_is_read_where_its_last_fragment_is() {
        let data: Vec<u8> = (0..100).collect();
        let whole = datagram(at(A), at(B), &data);
        let mut log = Log::local();
        for (start, end) in [(0, 64), (64, 108)] {
            log.packet(Way::Loop, fragment(&whole, start, end), None);
        }
        let seen = read(&log);
        assert_eq!(seen[0], None);
        let last = seen[1].as_ref().unwrap();
        assert_eq!((last.source, last.destination), (at(A), at(B)));
        assert_eq!((&last.what, &last.data), (&What::Datagram(100), &data));
    }

    #[test]
    fn an_error_goes_back_to_the_sender_of_what_it_quotes() {
        let mut log = Log::local();
        let quoted = datagram(at(A), at(B), b"hello");
        log.packet(Way::Loop, unreachable(at(B), at(A), &quoted), None);
        let seen = read(&log)[0].clone().unwrap();
        assert_eq!((seen.source, seen.destination), (at(B), at(A)));
        assert_eq!(seen.transport, Transport::Udp);
        assert_eq!(seen.what, What::Error("port unreachable"));
    }

    #[test]
    fn of_long_data_the_beginning_is_kept_and_all_of_it_counted() {
        let mut log = Log::local();
        let data = vec![7; 1000];
        let mut bytes = segment(at(A), at(B), Tcp::new("PA", 1, 2, &data));
        bytes.truncate(100);
        log.packet(Way::Loop, bytes, None);
        if let Event::Packet(packet) = &mut log.entries.last_mut().unwrap().event {
            packet.wire_len = 1040;
        }
        let seen = read(&log)[0].clone().unwrap();
        let What::Segment(segment) = seen.what else {
            panic!("{seen:?}");
        };
        assert_eq!((segment.len, seen.data.len()), (1000, 60));
        assert!(segment.psh && segment.ack == Some(2) && !segment.syn);
    }
}
