//! What the questions need of a capture, gathered in one pass: a short record of each packet, never the packet.

use std::{
    collections::HashMap,
    net::{IpAddr, SocketAddr},
    ops::{ControlFlow, Range},
};

use super::{
    records::{
        Connection, Datagram, Find, IcmpError, Offer, Piece, Print, Probe, Reply, Resolved, Segment,
    },
    shot::Shot,
};
use crate::{
    field::{Field, Value, Visit},
    layer::{Packet, Problem, ProblemKind, View},
    proto::{
        dns, icmp, icmpv6, ipv4, ipv6, ipv6_fraghdr,
        tcp::{self, Offers, flag},
        udp,
    },
    track::{
        about,
        flow::{CAPACITY, Transport, is_from_server},
        story::{Number, Side},
        stream::{Id, Keep, Limits, Streams},
        tcp::{Estimate, VERDICTS, Verdicts},
    },
};

/// The most records kept of each kind.
const MOST: usize = 1 << 20;
/// Packets with more TTL than that are no probes of a route.
const PROBE_TTL: u8 = 32;

/// What is to be gathered.
#[derive(Clone, Debug, Default)]
pub struct Want {
    /// Only this `tcp.stream`, or all of them.
    pub stream: Option<u32>,
    /// Packets by number, whose fields are kept.
    pub numbers: Vec<u64>,
    /// Bytes to look for in every TCP stream and UDP datagram.
    pub texts: Vec<Vec<u8>>,
    /// Malformed packets and wrong checksums.
    pub problems: bool,
}

/// What was gathered.
#[derive(Debug, Default)]
pub struct Evidence {
    want: Want,
    /// Packets seen.
    pub(in crate::track) packets: u64,
    /// TCP connections in the order of their first segments, and where each `tcp.stream` stands among them.
    pub(in crate::track) connections: Vec<Connection>,
    places: HashMap<u32, usize>,
    segments: usize,
    pub(in crate::track) datagrams: Vec<Datagram>,
    pub(super) errors: Vec<IcmpError>,
    pub(super) echoes: Vec<Reply>,
    pub(super) probes: Vec<Probe>,
    pub(super) fragments: Vec<Piece>,
    pub(super) resolved: Vec<Resolved>,
    pub(super) shots: Vec<Shot>,
    /// The bytes of streams, while texts are looked for.
    streams: Option<Streams>,
    pub(in crate::track) finds: Vec<Find>,
    pub(in crate::track) malformed: Vec<(u64, &'static str)>,
    pub(in crate::track) wrong_checksums: Vec<(u64, &'static str)>,
    /// Records that found no room.
    left_out: u64,
}

impl Evidence {
    /// Nothing gathered yet.
    pub fn new(want: Want) -> Self {
        let keep = match want.stream {
            Some(number) => Keep::One(Id {
                transport: Transport::Tcp,
                number,
            }),
            None => Keep::All,
        };
        let looks = !want.texts.is_empty();
        Self {
            streams: looks.then(|| Streams::new(keep, Limits::default())),
            want,
            ..Self::default()
        }
    }

    /// All packets were taken: looks for the texts in the streams, and for each keeps the place that comes first.
    pub fn finish(&mut self) {
        let Some(mut streams) = self.streams.take() else {
            return;
        };
        let ids: Vec<Id> = streams.outlines().map(|outline| outline.id).collect();
        let wanted = |id: &Id| match self.want.stream {
            Some(number) => id.transport == Transport::Tcp && id.number == number,
            None => true,
        };
        self.left_out += streams.unlisted();
        let mut first: Vec<Option<Find>> = vec![None; self.want.texts.len()];
        for stream in ids
            .into_iter()
            .filter(wanted)
            .filter_map(|id| streams.take(id))
        {
            // Bytes that were not kept are not looked at: as good as a packet that found no room.
            let unkept = stream.totals.0.iter().any(|totals| totals.not_kept > 0);
            self.left_out += u64::from(unkept);
            for (text, needle) in self.want.texts.iter().enumerate() {
                let Some(found) = stream.find(needle) else {
                    continue;
                };
                let range = found.offset..found.offset + needle.len() as u64;
                let last = stream
                    .carriers(found.side, range)
                    .map(|c| c.packet.packet)
                    .last();
                let begins = found.packet.packet;
                if first[text].is_none_or(|find| begins < find.packets.0) {
                    first[text] = Some(Find {
                        text,
                        packets: (begins, last.unwrap_or(begins)),
                        stream: stream.id,
                        side: found.side,
                        offset: found.offset,
                    });
                }
            }
        }
        self.finds = first.into_iter().flatten().collect();
    }

    /// A connection was asked for, and is not there.
    pub(in crate::track) fn lacks_connection(&self) -> bool {
        self.want.stream.is_some() && self.connections.is_empty()
    }

    /// Records that found no room, so that answers may lack something.
    pub fn left_out(&self) -> u64 {
        self.left_out
    }

    /// Takes what is needed of a tracked packet. Packets come in their order.
    pub fn packet(&mut self, packet: &Packet<'_>) {
        self.packets += 1;
        if let Some(streams) = &mut self.streams {
            streams.packet(packet);
        }
        for view in packet.views().filter(|view| !view.layer.quoted) {
            match view.layer.protocol.name {
                "tcp" => self.segment(&view),
                "udp" => self.datagram(&view),
                "icmp" | "icmpv6" => self.control(&view),
                "ip" | "ipv6" => self.probe(&view),
                "dns" => self.names(&view),
                _ => {}
            }
            if matches!(view.layer.protocol.name, "ip" | "ipv6.fraghdr") {
                self.fragment(&view);
            }
        }
        if self.want.problems {
            self.problems(packet);
        }
        if self.want.numbers.contains(&packet.frame.number) {
            self.shots.push(Shot::of(packet));
        }
    }

    fn segment(&mut self, view: &View<'_>) {
        let (Some(read), Some((source, destination))) = (
            tcp::Segment::of(view).filter(|s| !s.partial),
            view.addresses(),
        ) else {
            return;
        };
        let Some(stream) = uint(view, &tcp::STREAM).map(|n| n as u32) else {
            return;
        };
        if self.want.stream.is_some_and(|wanted| wanted != stream) {
            return;
        }
        let (source, destination) = (
            SocketAddr::new(source, read.ports.0),
            SocketAddr::new(destination, read.ports.1),
        );
        let room = self.connections.len() < CAPACITY;
        let (place, is_new) = match self.places.get(&stream) {
            Some(place) => (*place, false),
            None if room => (self.connections.len(), true),
            None => {
                self.left_out += 1;
                return;
            }
        };
        if is_new {
            self.places.insert(stream, place);
            let answers = is_from_server(read.has(flag::SYN), read.has(flag::ACK), read.ports);
            let connection = Connection {
                stream,
                ends: if answers {
                    [destination, source]
                } else {
                    [source, destination]
                },
                segments: Vec::new(),
                offers: [None; 2],
            };
            self.connections.push(connection);
        }
        let connection = &mut self.connections[place];
        let from = if connection.ends[0] == source {
            Side::Client
        } else {
            Side::Server
        };
        let frame = &view.packet.frame;
        if read.has(flag::SYN) && connection.offers[from as usize].is_none() {
            connection.offers[from as usize] = Some(Offer {
                number: frame.number,
                time: frame.time,
                offers: Offers::of(view),
                ttl: ttl(view),
            });
        }
        if self.segments >= MOST {
            self.left_out += 1;
            return;
        }
        self.segments += 1;
        connection.segments.push(record(view, &read, from));
    }

    fn datagram(&mut self, view: &View<'_>) {
        let (Some((source, destination)), Some(stream)) =
            (view.addresses(), uint(view, &udp::STREAM))
        else {
            return;
        };
        let (Some(from), Some(to)) = (view.u16(0), view.u16(2)) else {
            return;
        };
        let frame = &view.packet.frame;
        let datagram = Datagram {
            number: frame.number,
            time: frame.time,
            stream: stream as u32,
            source: SocketAddr::new(source, from),
            destination: SocketAddr::new(destination, to),
            len: view.payload_wire(),
        };
        keep(&mut self.datagrams, datagram, &mut self.left_out);
    }

    fn control(&mut self, view: &View<'_>) {
        let Some((by, _)) = view.addresses() else {
            return;
        };
        let frame = &view.packet.frame;
        let (number, time, ttl) = (frame.number, frame.time, ttl(view));
        if let Some(request) = uint(view, &icmp::RESP_TO).or_else(|| uint(view, &icmpv6::RESP_TO)) {
            let reply = Reply {
                number,
                time,
                by,
                ttl,
                request,
            };
            keep(&mut self.echoes, reply, &mut self.left_out);
        }
        if let Some(says) = about::words(view) {
            let quoted = view
                .packet
                .views()
                .find(|v| v.layer.quoted && matches!(v.layer.protocol.name, "ip" | "ipv6"));
            let error = IcmpError {
                number,
                time,
                by,
                ttl,
                says,
                about: quoted.and_then(|quoted| print(&quoted)),
            };
            keep(&mut self.errors, error, &mut self.left_out);
        }
    }

    fn probe(&mut self, view: &View<'_>) {
        let ttl = ttl(view);
        if ttl > PROBE_TTL {
            return;
        }
        if let Some(print) = print(view) {
            let frame = &view.packet.frame;
            let probe = Probe {
                number: frame.number,
                time: frame.time,
                ttl,
                print,
            };
            keep(&mut self.probes, probe, &mut self.left_out);
        }
    }

    fn fragment(&mut self, view: &View<'_>) {
        let (found, count) = match view.layer.protocol.name {
            "ip" => (ipv4::fragment(view), &ipv4::FRAGMENT_COUNT),
            _ => (ipv6_fraghdr::fragment(view), &ipv6_fraghdr::FRAGMENT_COUNT),
        };
        if let (Some(found), Some(addresses)) = (found, view.addresses()) {
            let piece = Piece {
                number: view.packet.frame.number,
                addresses,
                id: found.id,
                protocol: found.protocol,
                offset: found.offset,
                len: view.payload_wire(),
                more: found.more,
                completes: uint(view, count).is_some(),
            };
            keep(&mut self.fragments, piece, &mut self.left_out);
        }
    }

    fn names(&mut self, view: &View<'_>) {
        if uint(view, &dns::RESPONSE_TO).is_none() {
            return;
        }
        let mut names = Names::default();
        let _ = view.visit(&mut names);
        let number = view.packet.frame.number;
        for address in names.addresses {
            let resolved = Resolved {
                number,
                name: names.asked.clone(),
                address,
            };
            keep(&mut self.resolved, resolved, &mut self.left_out);
        }
    }

    fn problems(&mut self, packet: &Packet<'_>) {
        for view in packet.views().filter(|view| !view.layer.quoted) {
            let mut faults = Faults::default();
            if let Some(problem) = view.layer.problem {
                faults.problem(problem);
            }
            let _ = view.visit(&mut faults);
            let number = packet.frame.number;
            if faults.wrong {
                let protocol = view.layer.protocol.label;
                keep(
                    &mut self.wrong_checksums,
                    (number, protocol),
                    &mut self.left_out,
                );
            }
            if let Some(problem) = faults.malformed {
                keep(
                    &mut self.malformed,
                    (number, problem.text),
                    &mut self.left_out,
                );
            }
        }
    }
}

/// Keeps a record where there is room.
fn keep<T>(records: &mut Vec<T>, record: T, left_out: &mut u64) {
    if records.len() < MOST {
        records.push(record);
    } else {
        *left_out += 1;
    }
}

fn uint(view: &View<'_>, field: &Field) -> Option<u64> {
    view.fact(field)?.as_u64()
}

fn duration(view: &View<'_>, field: &Field) -> Option<i64> {
    match view.fact(field) {
        Some(Value::Duration(nanos)) => Some(nanos),
        _ => None,
    }
}

fn record(view: &View<'_>, read: &tcp::Segment, from: Side) -> Segment {
    let relative = |field| uint(view, field).unwrap_or(0) as u32;
    let mut verdicts = Verdicts::default();
    if view.fact(&tcp::A_FLAGS).is_some() {
        for (verdict, field) in VERDICTS {
            if view.fact(field).is_some() {
                verdicts.add(verdict);
            }
        }
    }
    let rtt = |field| duration(view, field);
    let ack = Number {
        raw: read.ack,
        relative: relative(&tcp::ACK),
    };
    Segment {
        number: view.packet.frame.number,
        time: view.packet.frame.time,
        from,
        flags: read.flags,
        seq: Number {
            raw: read.seq,
            relative: relative(&tcp::SEQ),
        },
        ack: if read.has(flag::ACK) {
            ack
        } else {
            Number::default()
        },
        len: read.len,
        window_raw: read.window,
        window: relative(&tcp::WINDOW_SIZE),
        verdicts,
        acks: uint(view, &tcp::A_ACKS_FRAME).zip(rtt(&tcp::A_ACK_RTT)),
        estimate: rtt(&tcp::SRTT)
            .zip(rtt(&tcp::RTTVAR))
            .zip(rtt(&tcp::RTO))
            .map(|((srtt, rttvar), rto)| Estimate { srtt, rttvar, rto }),
        in_flight: uint(view, &tcp::A_BYTES_IN_FLIGHT).map(|n| n as u32),
        again: rtt(&tcp::A_RTO).zip(uint(view, &tcp::A_RTO_FRAME)),
    }
}

/// The TTL or hop limit of the nearest network layer at or below `view`.
fn ttl(view: &View<'_>) -> u8 {
    (0..=view.index)
        .rev()
        .filter_map(|index| view.packet.view(index))
        .find_map(|below| match below.layer.protocol.name {
            "ip" => below.u8(8),
            "ipv6" => below.value(&ipv6::HLIM)?.as_u64().map(|n| n as u8),
            _ => None,
        })
        .unwrap_or(0)
}

/// By what an IP packet is found again in the quote of an ICMP error.
fn print(ip: &View<'_>) -> Option<Print> {
    let (source, destination) = ip.addresses()?;
    let above = ip.packet.view(ip.index + 1)?;
    let mark = match above.layer.protocol.name {
        "udp" => [above.u32(0)?, 0],
        "tcp" => [above.u32(0)?, above.u32(4)?],
        "icmp" | "icmpv6" => [above.u32(4)?, 0],
        _ => return None,
    };
    let id = match ip.layer.protocol.name {
        "ip" => ip.u16(4)?,
        _ => 0,
    };
    Some(Print {
        source,
        destination,
        id,
        mark,
    })
}

/// The name that a DNS message is about, and the addresses in it.
#[derive(Default)]
struct Names {
    asked: String,
    addresses: Vec<IpAddr>,
}

impl Visit for Names {
    fn field(&mut self, field: &'static Field, value: Value<'_>, _: Range<u32>) -> ControlFlow<()> {
        match (field.name, value) {
            ("dns.qry.name", Value::Text(name)) if self.asked.is_empty() => {
                self.asked = crate::text::Safe(name).to_string();
            }
            ("dns.a", Value::Ipv4(address)) => self.addresses.push(address.into()),
            ("dns.aaaa", Value::Ipv6(address)) => self.addresses.push(address.into()),
            _ => {}
        }
        ControlFlow::Continue(())
    }
}

/// What is wrong with a layer.
#[derive(Default)]
struct Faults {
    wrong: bool,
    malformed: Option<Problem>,
}

impl Visit for Faults {
    fn field(&mut self, field: &'static Field, value: Value<'_>, _: Range<u32>) -> ControlFlow<()> {
        self.wrong |= field.name == "sockwire.checksum" && value == Value::Text(b"wrong");
        ControlFlow::Continue(())
    }

    fn problem(&mut self, problem: Problem) {
        // A wrong checksum has a field that says so.
        let counts = problem.kind == ProblemKind::Malformed;
        if counts && !problem.text.ends_with("checksum is wrong") {
            self.malformed.get_or_insert(problem);
        }
    }
}
