//! What the questions need of a capture, gathered in one pass: a short record of each packet, never the packet.

use std::{
    collections::HashMap,
    net::{IpAddr, SocketAddr},
    ops::{ControlFlow, Range},
};

use super::{find::Finder, shot::Shot};
use crate::{
    field::{Field, Value, Visit},
    layer::{Packet, Problem, ProblemKind, View},
    proto::{
        dns, icmp, icmpv6, ipv4, ipv6, ipv6_fraghdr,
        tcp::{self, Offers, flag},
        udp,
    },
    time::Time,
    track::{
        flow::CAPACITY,
        state::{self, End, State},
        story::{Number, Side, icmp_words},
        tcp::{Estimate, VERDICTS, Verdict, Verdicts},
    },
};

/// The most records kept of each kind.
const MOST: usize = 1 << 20;
/// The most packets kept that might be probes of a route: their TTL is low.
const PROBE_TTL: u8 = 64;

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
    pub(in crate::track) finds: Vec<Find>,
    pub(in crate::track) malformed: Vec<(u64, &'static str)>,
    pub(in crate::track) wrong_checksums: Vec<(u64, &'static str)>,
    /// Records that found no room.
    left_out: u64,
}

/// One TCP connection.
#[derive(Debug)]
pub(in crate::track) struct Connection {
    pub(in crate::track) stream: u32,
    /// Client and server.
    pub(in crate::track) ends: [SocketAddr; 2],
    pub(in crate::track) segments: Vec<Segment>,
    /// What the SYN of each end offered.
    pub(super) offers: [Option<Offer>; 2],
    finders: Vec<[Finder; 2]>,
}

/// A SYN, and what it offers.
#[derive(Clone, Copy, Debug)]
pub(super) struct Offer {
    pub(super) number: u64,
    pub(super) time: Time,
    pub(super) offers: Offers,
    pub(super) ttl: u8,
}

/// A TCP segment.
#[derive(Clone, Copy, Debug)]
pub(in crate::track) struct Segment {
    pub(in crate::track) number: u64,
    pub(in crate::track) time: Time,
    pub(in crate::track) from: Side,
    flags: u16,
    pub(in crate::track) seq: Number,
    /// Zero without the ACK flag.
    pub(in crate::track) ack: Number,
    pub(in crate::track) len: u32,
    /// As on the wire, and in bytes.
    pub(super) window_raw: u16,
    pub(super) window: u32,
    pub(in crate::track) verdicts: Verdicts,
    /// The packet that it acknowledges, and nanoseconds since that.
    pub(in crate::track) acks: Option<(u64, i64)>,
    /// Of the side that gets this ACK.
    pub(super) estimate: Option<Estimate>,
    pub(super) in_flight: Option<u32>,
    /// Nanoseconds since the segment that it sends again, and its packet.
    pub(super) again: Option<(i64, u64)>,
}

impl Segment {
    pub(in crate::track) const fn has(&self, flags: u16) -> bool {
        self.flags & flags == flags
    }

    pub(in crate::track) fn is(&self, verdict: Verdict) -> bool {
        self.verdicts.has(verdict)
    }

    /// The sequence number after it: relative, and raw.
    pub(super) fn next(&self) -> u32 {
        self.seq.relative.wrapping_add(self.counts())
    }

    pub(super) fn next_raw(&self) -> u32 {
        self.seq.raw.wrapping_add(self.counts())
    }

    /// How far it moves the sequence number: SYN and FIN count as one.
    fn counts(&self) -> u32 {
        let phantom = u32::from(self.flags & (flag::SYN | flag::FIN) != 0);
        self.len.wrapping_add(phantom)
    }

    /// New data: neither sent again nor a probe.
    pub(super) fn is_new_data(&self) -> bool {
        self.len > 0 && !self.is(Verdict::Retransmission) && !self.is(Verdict::KeepAlive)
    }

    /// What it is called.
    pub(super) fn name(&self) -> String {
        let flags = [
            (flag::SYN, "SYN"),
            (flag::FIN, "FIN"),
            (flag::RST, "RST"),
            (flag::ACK, "ACK"),
        ];
        let names: Vec<&str> = flags
            .iter()
            .filter(|(bit, _)| self.has(*bit))
            .map(|(_, name)| *name)
            .collect();
        names.join(",")
    }

    fn for_states(&self) -> state::Segment {
        state::Segment {
            seq: self.seq.raw,
            ack: self.has(flag::ACK).then_some(self.ack.raw),
            len: self.len,
            syn: self.has(flag::SYN),
            fin: self.has(flag::FIN),
            rst: self.has(flag::RST),
        }
    }
}

impl Connection {
    /// The states of both ends after everything.
    pub(in crate::track) fn states(&self) -> [State; 2] {
        let mut ends = [End::new(State::Unknown); 2];
        for segment in &self.segments {
            let (from, s) = (segment.from, segment.for_states());
            ends[from as usize].sends(&s);
            ends[from.other() as usize].receives(&s);
        }
        ends.map(|end| end.state())
    }

    pub(super) fn from(&self, side: Side) -> impl DoubleEndedIterator<Item = &Segment> {
        self.segments.iter().filter(move |s| s.from == side)
    }

    pub(super) fn first(&self, test: impl Fn(&Segment) -> bool) -> Option<&Segment> {
        self.segments.iter().find(|s| test(s))
    }

    /// The side that sent more data; the client where both sent as much.
    pub(super) fn talker(&self) -> Side {
        let bytes = |side| self.from(side).map(|s| u64::from(s.len)).sum::<u64>();
        if bytes(Side::Server) > bytes(Side::Client) {
            Side::Server
        } else {
            Side::Client
        }
    }

    /// SYN, SYN,ACK and the ACK that completes the handshake.
    pub(in crate::track) fn handshake(&self) -> [Option<&Segment>; 3] {
        let answer = self.first(|s| s.has(flag::SYN | flag::ACK));
        // Of repeated SYNs, the last one before the answer is the one answered.
        let syn = self
            .segments
            .iter()
            .take_while(|s| answer.is_none_or(|a| s.number != a.number))
            .filter(|s| s.has(flag::SYN) && !s.has(flag::ACK))
            .last();
        let ack = answer.and_then(|answer| {
            self.first(|s| {
                s.number > answer.number
                    && s.from != answer.from
                    && s.has(flag::ACK)
                    && !s.has(flag::RST)
                    && s.ack.raw == answer.seq.raw.wrapping_add(1)
            })
        });
        [syn, answer, ack]
    }
}

/// A UDP datagram.
#[derive(Clone, Copy, Debug)]
pub(in crate::track) struct Datagram {
    pub(in crate::track) number: u64,
    pub(in crate::track) time: Time,
    pub(in crate::track) stream: u32,
    pub(super) source: SocketAddr,
    pub(super) destination: SocketAddr,
    pub(super) len: u32,
}

/// A packet as far as an ICMP error quotes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Print {
    pub(super) source: IpAddr,
    pub(super) destination: IpAddr,
    /// `ip.id`; 0 in IPv6.
    id: u16,
    /// What tells packets of its transport apart: ports and sequence number, or identifier and sequence number.
    pub(super) mark: [u32; 2],
}

/// A packet that may not have come far.
#[derive(Clone, Copy, Debug)]
pub(super) struct Probe {
    pub(super) number: u64,
    pub(super) time: Time,
    pub(super) ttl: u8,
    pub(super) print: Print,
}

/// An ICMP error.
#[derive(Clone, Copy, Debug)]
pub(super) struct IcmpError {
    pub(super) number: u64,
    pub(super) time: Time,
    pub(super) by: IpAddr,
    /// The TTL that it arrived with.
    pub(super) ttl: u8,
    pub(super) says: &'static str,
    pub(super) about: Option<Print>,
}

/// An echo reply, and the packet that asked.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reply {
    pub(super) number: u64,
    pub(super) time: Time,
    pub(super) by: IpAddr,
    pub(super) ttl: u8,
    pub(super) request: u64,
}

/// A fragment.
#[derive(Clone, Copy, Debug)]
pub(super) struct Piece {
    pub(super) number: u64,
    pub(super) addresses: (IpAddr, IpAddr),
    pub(super) id: u32,
    pub(super) protocol: u8,
    pub(super) offset: u32,
    pub(super) len: u32,
    pub(super) more: bool,
    /// It completed the datagram.
    pub(super) completes: bool,
}

/// An address that a DNS answer gave.
#[derive(Clone, Debug)]
pub(super) struct Resolved {
    pub(super) number: u64,
    pub(super) name: String,
    pub(super) address: IpAddr,
}

/// Bytes that were looked for, found.
#[derive(Clone, Copy, Debug)]
pub(in crate::track) struct Find {
    /// Index into [`Want::texts`].
    pub(in crate::track) text: usize,
    /// The packet in which they begin, and the one in which they end.
    pub(in crate::track) packets: (u64, u64),
    /// `tcp.stream`, and which side sent them; `None` in a datagram.
    pub(in crate::track) stream: Option<(u32, Side)>,
    /// Bytes of the stream, or of the datagram, before them.
    pub(super) offset: u64,
}

impl Evidence {
    /// Nothing gathered yet.
    pub fn new(want: Want) -> Self {
        Self {
            want,
            ..Self::default()
        }
    }

    /// Records that found no room, so that answers may lack something.
    pub fn left_out(&self) -> u64 {
        self.left_out
    }

    /// Takes what is needed of a tracked packet. Packets come in their order.
    pub fn packet(&mut self, packet: &Packet<'_>) {
        self.packets += 1;
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
            // A SYN,ACK comes from the server; anything else that is seen first is taken to come from the client.
            let answers = read.has(flag::SYN | flag::ACK);
            let connection = Connection {
                stream,
                ends: if answers {
                    [destination, source]
                } else {
                    [source, destination]
                },
                segments: Vec::new(),
                offers: [None; 2],
                finders: self.want.texts.iter().map(|_| Default::default()).collect(),
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
        for (text, finders) in connection.finders.iter_mut().enumerate() {
            let needle = &self.want.texts[text];
            let found = finders[from as usize].segment(&read, view.payload(), frame.number, needle);
            if let Some((packets, offset)) = found
                && self.finds.len() < MOST
            {
                self.finds.push(Find {
                    text,
                    packets,
                    stream: Some((stream, from)),
                    offset,
                });
            }
        }
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
        for (text, needle) in self.want.texts.iter().enumerate() {
            if let Some(offset) = memchr::memmem::find(view.payload(), needle)
                && self.finds.len() < MOST
            {
                self.finds.push(Find {
                    text,
                    packets: (frame.number, frame.number),
                    stream: None,
                    offset: offset as u64,
                });
            }
        }
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
        if let Some(says) = icmp_words(view) {
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
            let mut faults = Faults {
                layer: view.layer.problem,
                ..Faults::default()
            };
            let _ = view.visit(&mut faults);
            let number = packet.frame.number;
            if faults.wrong {
                let protocol = view.layer.protocol.label;
                keep(
                    &mut self.wrong_checksums,
                    (number, protocol),
                    &mut self.left_out,
                );
            } else if let Some(problem) = faults.malformed() {
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
    layer: Option<Problem>,
}

impl Visit for Faults {
    fn field(&mut self, field: &'static Field, value: Value<'_>, _: Range<u32>) -> ControlFlow<()> {
        self.wrong |= field.name == "sockwire.checksum" && value == Value::Text(b"wrong");
        ControlFlow::Continue(())
    }

    fn problem(&mut self, problem: Problem) {
        self.layer.get_or_insert(problem);
    }
}

impl Faults {
    /// Only what is against the specification.
    fn malformed(&self) -> Option<Problem> {
        self.layer.filter(|p| p.kind == ProblemKind::Malformed)
    }
}
