//! Decoding: walks a frame from header to header through the registry. It cannot fail, and allocates nothing per packet.

mod registry;

use crate::{
    frame::{Batch, Frame},
    layer::{Fact, Layer, MAX_LAYERS, Packet, Problem},
    proto,
    protocol::{Claim, Context, Next},
};

pub use registry::Registry;

/// Turns frames into layers.
#[derive(Debug, Default)]
pub struct Decoder {
    registry: Registry,
}

/// The layers and facts of a batch, kept beside it and reused for the next one.
#[derive(Debug, Default)]
pub struct Decoded {
    layers: Vec<Layer>,
    facts: Vec<Fact>,
    arena: Vec<u8>,
    buffers: Vec<(u32, u32)>,
    spans: Vec<Span>,
}

/// Where one packet's parts lie in [`Decoded`]: half-open index ranges.
#[derive(Clone, Copy, Debug, Default)]
struct Span {
    layers: (u32, u32),
    facts: (u32, u32),
    buffers: (u32, u32),
}

/// Where a walk begins.
struct Start<'a> {
    bytes: &'a [u8],
    buffer: u8,
    wire: u32,
    claim: Claim,
}

impl Decoder {
    /// Decodes every frame of `batch` into `decoded`, which is emptied first.
    pub fn batch(&self, batch: &Batch, decoded: &mut Decoded) {
        self.chosen(batch, decoded, |_| true);
    }

    /// Decodes the frames of `batch` whose index is `wanted`; the others become packets without layers, in their places.
    pub fn chosen(&self, batch: &Batch, decoded: &mut Decoded, wanted: impl Fn(usize) -> bool) {
        decoded.clear();
        for index in 0..batch.len() {
            match batch.frame(index).filter(|_| wanted(index)) {
                Some(frame) => self.frame(&frame, decoded),
                None => decoded.push_span(decoded.layers.len()),
            }
        }
    }

    /// Decodes one frame and appends it to `decoded`.
    pub fn frame(&self, frame: &Frame<'_>, decoded: &mut Decoded) {
        let first = decoded.layers.len();
        let wire = frame.wire_len.max(frame.bytes.len() as u32);
        let start = Start {
            bytes: frame.bytes,
            buffer: 0,
            wire,
            claim: Claim::Link(frame.link),
        };
        self.walk(&mut decoded.layers, first, start);
        decoded.push_span(first);
    }

    /// Goes on with bytes put together from several frames: they become a further buffer of packet `index`,
    /// and their layers take the place of the plain data that ended the packet so far.
    pub fn resume(&self, decoded: &mut Decoded, index: usize, claim: Claim, bytes: &[u8]) {
        let Some(mut span) = decoded.spans.get(index).copied() else {
            return;
        };
        let first = decoded.move_to_end(span);
        if decoded
            .layers
            .last()
            .is_some_and(|layer| std::ptr::eq(layer.protocol, &proto::data::PROTOCOL))
        {
            decoded.layers.pop();
        }
        let at = decoded.arena.len() as u32;
        decoded.arena.extend_from_slice(bytes);
        if span.buffers.0 == span.buffers.1 {
            span.buffers = (decoded.buffers.len() as u32, decoded.buffers.len() as u32);
        }
        decoded.buffers.push((at, at + bytes.len() as u32));
        span.buffers.1 = decoded.buffers.len() as u32;
        let buffer = (span.buffers.1 - span.buffers.0) as u8;
        self.walk(
            &mut decoded.layers,
            first,
            Start {
                bytes,
                buffer,
                wire: bytes.len() as u32,
                claim,
            },
        );
        span.layers = (first as u32, decoded.layers.len() as u32);
        decoded.spans[index] = span;
    }

    /// The protocols known.
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    fn walk(&self, layers: &mut Vec<Layer>, first: usize, start: Start<'_>) {
        let (mut at, mut end, mut wire) = (0, start.bytes.len(), start.wire);
        let mut next = Next::Claim(start.claim);
        let mut quoted = false;
        loop {
            let Some((protocol, claim)) = self.who(next, &mut quoted) else {
                return;
            };
            if layers.len() - first == MAX_LAYERS {
                if let Some(last) = layers.last_mut() {
                    last.problem = Some(Problem::odd("nested too deep: decoding stops here"));
                }
                return;
            }
            let bytes = &start.bytes[at..end];
            let context = Context {
                wire,
                claim,
                layers: &layers[first..],
                quoted,
            };
            let found = (protocol.dissect)(bytes, &context);
            if found.next == Next::NotMine {
                next = Next::Data;
                continue;
            }
            let header = (found.header as usize).min(bytes.len());
            end = at + bytes.len().min((found.wire as usize).max(header));
            layers.push(Layer {
                protocol,
                buffer: start.buffer,
                quoted,
                start: at as u32,
                header: header as u32,
                end: end as u32,
                wire: found.wire,
                problem: found.problem,
            });
            at += header;
            wire = found.wire.saturating_sub(header as u32);
            next = found.next;
            if at >= end {
                return;
            }
        }
    }

    /// Who decodes what comes next, and by which claim; `None` where the walk ends.
    fn who(
        &self,
        next: Next,
        quoted: &mut bool,
    ) -> Option<(&'static crate::protocol::Protocol, Claim)> {
        let data = (&proto::data::PROTOCOL, Claim::Name("data"));
        let find = |claim| self.registry.find(claim).map(|protocol| (protocol, claim));
        match next {
            Next::End => None,
            Next::Data | Next::NotMine => Some(data),
            Next::Claim(claim) => Some(find(claim).unwrap_or(data)),
            Next::Either(a, b) => Some(find(a).or_else(|| find(b)).unwrap_or(data)),
            Next::Quoted(claim) => {
                *quoted = true;
                Some(find(claim).unwrap_or(data))
            }
        }
    }
}

impl Decoded {
    /// Forgets all packets, keeping the memory.
    pub fn clear(&mut self) {
        self.layers.clear();
        self.facts.clear();
        self.arena.clear();
        self.buffers.clear();
        self.spans.clear();
    }

    /// Packets in it.
    pub fn len(&self) -> usize {
        self.spans.len()
    }

    /// True when there is none.
    pub fn is_empty(&self) -> bool {
        self.spans.is_empty()
    }

    /// Packet `index` of `batch`, which must be the batch that was decoded.
    pub fn packet<'a>(&'a self, batch: &'a Batch, index: usize) -> Option<Packet<'a>> {
        let frame = batch.frame(index)?;
        self.packet_of(frame, index)
    }

    /// Packet `index`, decoded from `frame`.
    pub fn packet_of<'a>(&'a self, frame: Frame<'a>, index: usize) -> Option<Packet<'a>> {
        let span = self.spans.get(index)?;
        Some(Packet {
            frame,
            layers: self.layers.get(range(span.layers))?,
            facts: self.facts.get(range(span.facts))?,
            arena: &self.arena,
            buffers: self.buffers.get(range(span.buffers))?,
        })
    }

    /// Adds what tracking found in packet `index`. Packets are tracked in order: facts of an earlier packet than the
    /// last one written to are not taken.
    pub fn add_fact(&mut self, index: usize, fact: Fact) {
        let Some(span) = self.spans.get_mut(index) else {
            return;
        };
        let end = self.facts.len() as u32;
        if span.facts.0 == span.facts.1 {
            span.facts = (end, end);
        }
        if span.facts.1 == end {
            self.facts.push(fact);
            span.facts.1 += 1;
        }
    }

    fn push_span(&mut self, first: usize) {
        self.spans.push(Span {
            layers: (first as u32, self.layers.len() as u32),
            ..Span::default()
        });
    }

    /// Makes a packet's layers the last ones, so that more can follow; returns where they now begin.
    fn move_to_end(&mut self, span: Span) -> usize {
        let old = range(span.layers);
        if old.end == self.layers.len() {
            return old.start;
        }
        let first = self.layers.len();
        self.layers.extend_from_within(old);
        first
    }
}

fn range((start, end): (u32, u32)) -> std::ops::Range<usize> {
    start as usize..end as usize
}
