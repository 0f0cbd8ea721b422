//! What the packets mean together: conversations, relative numbers, reassembled datagrams, connection states.

pub mod about;
pub mod answers;
pub mod checks;
pub mod conversation;
mod defrag;
mod dns;
mod echo;
pub mod flow;
mod index;
mod messages;
pub mod state;
pub mod story;
pub mod stream;
pub mod tcp;
mod udp;

#[cfg(test)]
pub(crate) mod testing;

use crate::{
    checksum::Verdict,
    decode::{self, Decoded, Decoder},
    field::{Field, Value},
    frame::Batch,
    layer::{Fact, View},
    proto::{icmp, icmpv6, ipv4, ipv6_fraghdr, tcp as tcp_fields},
    protocol::Claim,
};

/// Follows conversations from packet to packet, and writes what it learns as facts.
#[derive(Debug, Default)]
pub struct Tracker {
    connections: tcp::Connections,
    datagrams: udp::Datagrams,
    fragments: defrag::Defrag,
    echoes: echo::Echoes,
    queries: dns::Queries,
    messages: messages::Messages,
    facts: Vec<Fact>,
}

/// A datagram that a fragment completed, and the fields that tell of it.
struct Completed<'a> {
    whole: defrag::Whole<'a>,
    count: &'static Field,
    length: &'static Field,
}

impl Tracker {
    /// A tracker of at most `flows` live TCP connections and as many UDP conversations.
    pub fn with_capacity(flows: usize) -> Self {
        Self {
            connections: tcp::Connections::new(flows),
            datagrams: udp::Datagrams::new(flows),
            ..Self::default()
        }
    }

    /// Tracks packet `index` of `batch`. Packets must come in their order.
    ///
    /// A fragment that completes its datagram gets the datagram as a further buffer, and its layers.
    pub fn packet(
        &mut self,
        decoder: &Decoder,
        batch: &Batch,
        decoded: &mut Decoded,
        index: usize,
    ) {
        self.facts.clear();
        let mut layer = 0;
        while let Some(view) = decoded
            .packet(batch, index)
            .and_then(|packet| packet.view(layer))
        {
            let facts = &mut self.facts;
            let fact = |field, value| {
                facts.push(Fact {
                    layer: layer as u8,
                    field,
                    value,
                });
            };
            match view.layer.protocol.name {
                "tcp" => {
                    if let Some(turn) = self.connections.segment(&view, fact)
                        && let Some(brought) =
                            self.messages.segment(&turn, &view, decoder.registry())
                    {
                        if let Some(talk) = brought.talk {
                            self.connections.set_talk(&view, talk);
                        }
                        let place = Carrier::of(&view);
                        show(decoder, batch, decoded, (index, place), &brought, facts);
                    }
                }
                "udp" | "udplite" => self.datagrams.datagram(&view, fact),
                "icmp" | "icmpv6" if !view.layer.quoted => echo(&mut self.echoes, &view, fact),
                // In multicast everyone may answer, and the transaction ID is zero (RFC 6762 §18.1).
                "dns" if !view.layer.quoted => self.queries.message(&view, fact),
                "ip" | "ipv6.fraghdr" if !view.layer.quoted => {
                    if let Some(done) = fragment(&mut self.fragments, &view) {
                        let mut fact = fact;
                        fact(done.count, Value::Uint(done.whole.fragments.into()));
                        fact(done.length, Value::Uint(done.whole.payload.len() as u64));
                        let claim = Claim::IpProto(done.whole.protocol);
                        decoder.resume(decoded, index, claim, done.whole.payload);
                    }
                }
                _ => {}
            }
            layer += 1;
        }
        for fact in &self.facts {
            decoded.add_fact(index, *fact);
        }
    }

    /// Live flows of both transports.
    pub fn flows(&self) -> usize {
        self.connections.flows().len() + self.datagrams.flows().len()
    }

    /// Flows that were forgotten to make room for others.
    pub fn evicted(&self) -> u64 {
        self.connections.flows().evicted() + self.datagrams.flows().evicted()
    }

    /// Fragmented datagrams that were given up: timed out, or pushed out for want of room.
    pub fn incomplete(&self) -> u64 {
        self.fragments.dropped()
    }
}

/// The layer whose payload is cut into parts.
#[derive(Clone, Copy, Debug)]
struct Carrier {
    layer: u8,
    buffer: u8,
    /// First byte of its payload in the buffer.
    start: u32,
}

impl Carrier {
    fn of(view: &View<'_>) -> Self {
        Self {
            layer: view.index as u8,
            buffer: view.layer.buffer,
            start: view.layer.start + view.layer.header,
        }
    }
}

/// Puts messages in the place of a segment's plain data.
fn show(
    decoder: &Decoder,
    batch: &Batch,
    decoded: &mut Decoded,
    (index, carrier): (usize, Carrier),
    brought: &messages::Brought<'_>,
    facts: &mut Vec<Fact>,
) {
    let (Some(frame), [_, ..]) = (batch.frame(index), brought.parts) else {
        return;
    };
    let (mut buffer, mut base) = (carrier.buffer, carrier.start);
    if let Some((bytes, segments)) = brought.joined {
        let mut fact = |field, value| {
            facts.push(Fact {
                layer: carrier.layer,
                field,
                value: Value::Uint(value),
            });
        };
        fact(&tcp_fields::SEGMENT_COUNT, segments);
        fact(&tcp_fields::REASSEMBLED_LENGTH, bytes.len() as u64);
        (buffer, base) = (decoded.add_buffer(index, bytes), 0);
    }
    decoded.drop_data(index);
    for part in brought.parts {
        let (start, end) = (base + part.start as u32, base + part.end as u32);
        let missing = u32::try_from(part.missing).unwrap_or(u32::MAX);
        let claim = decode::Part {
            claim: part.claim,
            start,
            end,
            wire: (end - start).saturating_add(missing),
        };
        if let Some(layer) = decoder.part(decoded, index, (frame.bytes, buffer), claim) {
            part.told.facts(frame.time, |field, value| {
                facts.push(Fact {
                    layer,
                    field,
                    value,
                });
            });
        }
    }
}

/// Ties an echo reply to its request.
fn echo(
    echoes: &mut echo::Echoes,
    view: &View<'_>,
    mut fact: impl FnMut(&'static Field, Value<'static>),
) {
    let v4 = std::ptr::eq(view.layer.protocol, &icmp::PROTOCOL);
    let found = if v4 {
        icmp::echo(view)
    } else {
        icmpv6::echo(view)
    };
    let Some(found) = found else {
        return;
    };
    let Some((source, destination)) = view.addresses() else {
        return;
    };
    let frame = &view.packet.frame;
    let mut request = echo::Request {
        addresses: (source, destination),
        ident: found.ident,
        seq: found.seq,
    };
    if !found.reply {
        echoes.request(request, frame.number, frame.time);
        return;
    }
    request.addresses = (destination, source);
    if let Some((number, time)) = echoes.reply(&request) {
        let (resp_to, response_time) = if v4 {
            (&icmp::RESP_TO, &icmp::RESPONSE_TIME)
        } else {
            (&icmpv6::RESP_TO, &icmpv6::RESPONSE_TIME)
        };
        fact(resp_to, Value::Uint(number));
        fact(response_time, Value::Duration(frame.time.since(time)));
    }
}

/// Hands a fragment over to reassembly; answers with the datagram when it is complete.
fn fragment<'a>(fragments: &'a mut defrag::Defrag, view: &View<'_>) -> Option<Completed<'a>> {
    let v4 = std::ptr::eq(view.layer.protocol, &ipv4::PROTOCOL);
    let found = if v4 {
        ipv4::fragment(view)?
    } else {
        ipv6_fraghdr::fragment(view)?
    };
    let damaged = v4 && ipv4::header_verdict(view.header()) == Verdict::Wrong;
    if damaged || !view.is_whole() {
        return None;
    }
    let key = defrag::Datagram {
        addresses: view.addresses()?,
        id: found.id,
        protocol: if v4 { found.protocol } else { 0 },
    };
    let piece = defrag::Piece {
        offset: found.offset,
        more: found.more,
        protocol: found.protocol,
        payload: view.payload(),
    };
    let whole = fragments.add(key, &piece, view.packet.frame.time)?;
    let (count, length) = if v4 {
        (&ipv4::FRAGMENT_COUNT, &ipv4::REASSEMBLED_LENGTH)
    } else {
        (
            &ipv6_fraghdr::FRAGMENT_COUNT,
            &ipv6_fraghdr::REASSEMBLED_LENGTH,
        )
    };
    Some(Completed {
        whole,
        count,
        length,
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::{
        checksum,
        frame::{Direction, KernelChecksum, Record},
        layer::Packet,
        line::Line,
        link::LinkType,
        proto,
        time::Time,
    };

    const A: [u8; 4] = [10, 0, 0, 1];
    const B: [u8; 4] = [10, 0, 0, 2];

    /// Packets as they come, tracked one after the other.
    #[derive(Default)]
    struct Wire {
        decoder: Decoder,
        tracker: Tracker,
        bytes: Vec<u8>,
        records: Vec<Record>,
    }

    impl Wire {
        fn sends(&mut self, millis: i64, packet: &[u8]) {
            self.records.push(Record {
                time: Time::from_nanos(millis * 1_000_000),
                link: LinkType::RAW,
                interface: 0,
                direction: Direction::Unknown,
                checksum: KernelChecksum::Unknown,
                wire_len: packet.len() as u32,
                start: self.bytes.len() as u32,
                len: packet.len() as u32,
            });
            self.bytes.extend(packet);
        }

        /// Tracks everything, and looks at the last packet.
        fn last<T>(mut self, look: impl FnOnce(&Packet<'_>) -> T) -> T {
            let batch = Batch::owned(self.bytes, self.records, 1);
            let mut decoded = Decoded::default();
            self.decoder.batch(&batch, &mut decoded);
            for index in 0..batch.len() {
                self.tracker
                    .packet(&self.decoder, &batch, &mut decoded, index);
            }
            look(&decoded.packet(&batch, batch.len() - 1).unwrap())
        }
    }

    fn ip(from: [u8; 4], to: [u8; 4], proto: u8, fragment: u16, payload: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0x45, 0];
        bytes.extend((20 + payload.len() as u16).to_be_bytes());
        bytes.extend([0, 7]);
        bytes.extend(fragment.to_be_bytes());
        bytes.extend([64, proto, 0, 0]);
        bytes.extend([from, to].concat());
        let sum = checksum::finish(checksum::sum(0, &bytes));
        bytes[10..12].copy_from_slice(&sum.to_be_bytes());
        bytes.extend(payload);
        bytes
    }

    fn tcp(forward: bool, flags: u8, seq: u32, ack: u32, options: &[u8], data: &[u8]) -> Vec<u8> {
        let ports: [u8; 4] = if forward { [0, 1, 0, 2] } else { [0, 2, 0, 1] };
        let mut bytes = ports.to_vec();
        bytes.extend(seq.to_be_bytes());
        bytes.extend(ack.to_be_bytes());
        bytes.extend([(5 + options.len() as u8 / 4) << 4, flags, 1, 0, 0, 0, 0, 0]);
        bytes.extend(options);
        bytes.extend(data);
        let (from, to) = if forward { (A, B) } else { (B, A) };
        ip(from, to, 6, 0, &bytes)
    }

    fn numbers(packet: &Packet<'_>) -> [Option<Value<'static>>; 5] {
        let view = packet.find(&proto::tcp::PROTOCOL).unwrap();
        [
            &proto::tcp::STREAM,
            &proto::tcp::SEQ,
            &proto::tcp::NXTSEQ,
            &proto::tcp::ACK,
            &proto::tcp::WINDOW_SIZE,
        ]
        .map(|field| view.fact(field))
    }

    fn uints(values: [u64; 5]) -> [Option<Value<'static>>; 5] {
        values.map(|n| Some(Value::Uint(n)))
    }

    const SYN: u8 = 2;
    const ACK: u8 = 16;
    const SCALE_7: [u8; 4] = [3, 3, 7, 0];

    fn handshake(client_scale: &[u8], server_scale: &[u8]) -> Wire {
        let mut wire = Wire::default();
        wire.sends(0, &tcp(true, SYN, u32::MAX, 0, client_scale, &[]));
        wire.sends(1, &tcp(false, SYN | ACK, 500, 0, server_scale, &[]));
        wire
    }

    #[test]
    fn sequence_numbers_count_from_zero_also_across_the_wrap() {
        let mut wire = handshake(&SCALE_7, &SCALE_7);
        wire.sends(2, &tcp(true, ACK, 0, 501, &[], b"hello"));
        assert_eq!(wire.last(numbers), uints([0, 1, 6, 1, 256 << 7]));
    }

    #[test]
    fn windows_are_scaled_only_where_both_sides_offered_it() {
        for (client, server) in [(&SCALE_7[..], &[][..]), (&[], &SCALE_7), (&[], &[])] {
            let mut wire = handshake(client, server);
            wire.sends(2, &tcp(true, ACK, 0, 501, &[], &[]));
            let factor = wire.last(|packet| {
                let view = packet.find(&proto::tcp::PROTOCOL).unwrap();
                view.fact(&proto::tcp::WINDOW_SIZE_SCALEFACTOR)
            });
            assert_eq!(factor, Some(Value::Int(-2)));
        }
        let mut wire = Wire::default();
        wire.sends(0, &tcp(true, ACK, 7, 9, &[], b"x"));
        assert_eq!(wire.last(numbers), uints([0, 1, 2, 1, 256]));
    }

    #[test]
    fn a_new_first_sequence_number_begins_a_new_stream_and_a_repeated_one_does_not() {
        let mut wire = handshake(&[], &[]);
        wire.sends(2, &tcp(true, SYN, u32::MAX, 0, &[], &[]));
        assert_eq!(wire.last(numbers)[0], Some(Value::Uint(0)));
        let mut wire = handshake(&[], &[]);
        wire.sends(2, &tcp(true, SYN, 77, 0, &[], &[]));
        assert_eq!(wire.last(numbers), uints([1, 0, 1, 0, 256]));
    }

    #[test]
    fn sack_edges_count_as_acknowledgments_do() {
        let mut wire = handshake(&[], &[]);
        let sack = [1, 1, 5, 10, 0, 0, 1, 0xff, 0, 0, 2, 0];
        wire.sends(2, &tcp(true, ACK, 0, 501, &sack, &[]));
        let line = wire.last(|packet| {
            let mut line = Line::default();
            let view = packet.find(&proto::tcp::PROTOCOL).unwrap();
            (view.layer.protocol.line)(&view, &mut line);
            line.info
        });
        assert_eq!(line, "ACK  seq=1 ack=1 win=256 sack=11-12");
    }

    fn udp(payload: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0x0f, 0xa0, 0x13, 0x88];
        bytes.extend((8 + payload.len() as u16).to_be_bytes());
        bytes.extend([0, 0]);
        bytes.extend(payload);
        bytes
    }

    #[test]
    fn the_completing_fragment_shows_the_datagram() {
        let datagram = udp(&[b'x'; 24]);
        let mut wire = Wire::default();
        wire.sends(0, &ip(A, B, 17, 2, &datagram[16..]));
        wire.sends(1, &ip(A, B, 17, 0x2000, &datagram[..16]));
        wire.last(|packet| {
            let names: Vec<_> = packet.layers.iter().map(|l| l.protocol.name).collect();
            assert_eq!(names, ["raw", "ip", "udp", "data"]);
            let view = packet.find(&proto::udp::PROTOCOL).unwrap();
            assert_eq!((view.layer.buffer, view.payload().len()), (1, 24));
            assert_eq!(view.fact(&proto::udp::STREAM), Some(Value::Uint(0)));
            let ip = packet.find(&proto::ipv4::PROTOCOL).unwrap();
            assert_eq!(ip.fact(&ipv4::FRAGMENT_COUNT), Some(Value::Uint(2)));
        });
    }

    #[test]
    fn a_reply_knows_its_request() {
        let echo = |kind| {
            let mut bytes = vec![kind, 0, 0, 0, 0, 1, 0, 2];
            let sum = checksum::finish(checksum::sum(0, &bytes));
            bytes[2..4].copy_from_slice(&sum.to_be_bytes());
            bytes
        };
        let mut wire = Wire::default();
        wire.sends(0, &ip(A, B, 1, 0, &echo(8)));
        wire.sends(3, &ip(B, A, 1, 0, &echo(0)));
        wire.last(|packet| {
            let view = packet.find(&icmp::PROTOCOL).unwrap();
            assert_eq!(view.fact(&icmp::RESP_TO), Some(Value::Uint(1)));
            let after = view.fact(&icmp::RESPONSE_TIME);
            assert_eq!(after, Some(Value::Duration(3_000_000)));
        });
    }

    #[test]
    fn an_error_says_what_it_is_about_and_leaves_the_quoted_flow_alone() {
        let mut error = vec![3, 3, 0, 0, 0, 0, 0, 0];
        error.extend(ip(A, B, 17, 0, &udp(b"hello")));
        let mut wire = Wire::default();
        wire.sends(0, &ip(B, A, 1, 0, &error));
        let line = wire.last(|packet| {
            let mut line = Line::default();
            let view = packet.find(&icmp::PROTOCOL).unwrap();
            (view.layer.protocol.line)(&view, &mut line);
            line.info
        });
        assert_eq!(
            line,
            "port unreachable for udp 10.0.0.1:4000 → 10.0.0.2:5000"
        );
        // A quoted SYN with another sequence number does not begin a new stream.
        let mut wire = handshake(&[], &[]);
        let mut error = vec![3, 1, 0, 0, 0, 0, 0, 0];
        error.extend(tcp(true, SYN, 77, 0, &[], &[]));
        wire.sends(2, &ip(B, A, 1, 0, &error));
        wire.sends(3, &tcp(true, ACK, 0, 501, &[], b"hello"));
        assert_eq!(wire.last(numbers), uints([0, 1, 6, 1, 256]));
    }
}
