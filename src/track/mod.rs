//! What the packets mean together: conversations, relative numbers, reassembled datagrams, connection states.

mod defrag;
mod echo;
pub mod flow;
pub mod state;
pub mod story;
mod tcp;
mod udp;

#[cfg(test)]
pub(crate) mod testing;

use crate::{
    checksum::Verdict,
    decode::{Decoded, Decoder},
    field::{Field, Value},
    frame::Batch,
    layer::{Fact, View},
    proto::{icmp, icmpv6, ipv4, ipv6_fraghdr},
    protocol::{Claim, Protocol},
};

/// Follows conversations from packet to packet, and writes what it learns as facts.
#[derive(Debug, Default)]
pub struct Tracker {
    connections: tcp::Connections,
    datagrams: udp::Datagrams,
    fragments: defrag::Defrag,
    echoes: echo::Echoes,
    facts: Vec<Fact>,
}

/// What was found in one layer, to go on from.
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
                "tcp" => self.connections.segment(&view, fact),
                "udp" => self.datagrams.datagram(&view, fact),
                "icmp" | "icmpv6" if !view.layer.quoted => echo(&mut self.echoes, &view, fact),
                "ip" | "ipv6.fraghdr" if !view.layer.quoted => {
                    if let Some(done) = fragment(&mut self.fragments, &view) {
                        let mut fact = fact;
                        let uint = |n: u64| Value::Uint(n);
                        fact(done.count, uint(done.whole.fragments.into()));
                        fact(done.length, uint(done.whole.payload.len() as u64));
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

/// Ties an echo reply to its request.
fn echo(
    echoes: &mut echo::Echoes,
    view: &View<'_>,
    mut fact: impl FnMut(&'static Field, Value<'static>),
) {
    let is = |protocol: &'static Protocol| std::ptr::eq(view.layer.protocol, protocol);
    let (reply, ident, seq) = if is(&icmp::PROTOCOL) {
        match icmp::Echo::of(view) {
            Some(echo) => (echo.reply, echo.ident, echo.seq),
            None => return,
        }
    } else {
        match icmpv6::Echo::of(view) {
            Some(echo) => (echo.reply, echo.ident, echo.seq),
            None => return,
        }
    };
    let Some((source, destination)) = view.addresses() else {
        return;
    };
    let frame = &view.packet.frame;
    let mut request = echo::Request {
        addresses: (source, destination),
        ident,
        seq,
    };
    if !reply {
        echoes.request(request, frame.number, frame.time);
        return;
    }
    request.addresses = (destination, source);
    if let Some((number, time)) = echoes.reply(&request) {
        let (resp_to, response_time) = if is(&icmp::PROTOCOL) {
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
    let (piece, key_id, key_protocol) = if v4 {
        let found = ipv4::Fragment::of(view)?;
        let piece = defrag::Piece {
            offset: found.offset,
            more: found.more,
            protocol: found.protocol,
            payload: view.payload(),
        };
        (piece, u32::from(found.id), found.protocol)
    } else {
        let found = ipv6_fraghdr::Fragment::of(view)?;
        let piece = defrag::Piece {
            offset: found.offset,
            more: found.more,
            protocol: found.protocol,
            payload: view.payload(),
        };
        (piece, found.id, 0)
    };
    let damaged = v4 && ipv4::header_verdict(view.header()) == Verdict::Wrong;
    if damaged || !view.is_whole() {
        return None;
    }
    let key = defrag::Datagram {
        addresses: view.addresses()?,
        id: key_id,
        protocol: key_protocol,
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
