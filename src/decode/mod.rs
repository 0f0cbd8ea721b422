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

/// A part of a buffer that is decoded by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    /// Who decodes it.
    pub claim: Claim,
    /// Its first byte in the buffer.
    pub start: u32,
    /// Where it ends there.
    pub end: u32,
    /// Its bytes on the wire, more than those where the capture or the message goes on.
    pub wire: u32,
}

/// Where a walk begins.
struct Start<'a> {
    /// The whole buffer.
    bytes: &'a [u8],
    buffer: u8,
    part: Part,
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
            part: Part {
                claim: Claim::Link(frame.link),
                start: 0,
                end: frame.bytes.len() as u32,
                wire,
            },
        };
        self.walk(&mut decoded.layers, first, start);
        decoded.push_span(first);
    }

    /// Goes on with bytes put together from several frames: they become a further buffer of packet `index`,
    /// and their layers take the place of the plain data that ended the packet so far.
    pub fn resume(&self, decoded: &mut Decoded, index: usize, claim: Claim, bytes: &[u8]) {
        let whole = Part {
            claim,
            start: 0,
            end: bytes.len() as u32,
            wire: bytes.len() as u32,
        };
        let buffer = decoded.add_buffer(index, bytes);
        decoded.drop_data(index);
        self.part(decoded, index, (&[], buffer), whole);
    }

    /// Goes on with a part of a buffer of packet `index`; `frame` are the bytes of buffer 0. Its layers become the last
    /// ones. Returns the place of the first of them; `None` where there is no room for it.
    pub fn part(
        &self,
        decoded: &mut Decoded,
        index: usize,
        (frame, buffer): (&[u8], u8),
        part: Part,
    ) -> Option<u8> {
        let mut span = decoded.spans.get(index).copied()?;
        let first = decoded.move_to_end(span);
        let before = decoded.layers.len();
        let further = decoded.buffers.get(range(span.buffers)).unwrap_or(&[]);
        let bytes = match usize::from(buffer).checked_sub(1) {
            None => frame,
            Some(n) => decoded.arena.get(range(*further.get(n)?))?,
        };
        let start = Start {
            bytes,
            buffer,
            part,
        };
        self.walk(&mut decoded.layers, first, start);
        let after = decoded.layers.len();
        span.layers = (first as u32, after as u32);
        decoded.spans[index] = span;
        (after > before).then_some((before - first) as u8)
    }

    /// The protocols known.
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    fn walk(&self, layers: &mut Vec<Layer>, first: usize, start: Start<'_>) {
        let part = start.part;
        let mut end = start.bytes.len().min(part.end as usize);
        let (mut at, mut wire) = (end.min(part.start as usize), part.wire);
        let mut next = Next::Claim(part.claim);
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

    /// Adds a buffer to packet `index`, to be decoded next; returns its number.
    pub fn add_buffer(&mut self, index: usize, bytes: &[u8]) -> u8 {
        let Some(span) = self.spans.get_mut(index) else {
            return 0;
        };
        let at = self.arena.len() as u32;
        self.arena.extend_from_slice(bytes);
        if span.buffers.0 == span.buffers.1 {
            span.buffers = (self.buffers.len() as u32, self.buffers.len() as u32);
        }
        self.buffers.push((at, at + bytes.len() as u32));
        span.buffers.1 = self.buffers.len() as u32;
        (span.buffers.1 - span.buffers.0) as u8
    }

    /// Takes the plain data away that end packet `index`, for what they are to stand there.
    pub fn drop_data(&mut self, index: usize) {
        let Some(mut span) = self.spans.get(index).copied() else {
            return;
        };
        let first = self.move_to_end(span);
        if self
            .layers
            .last()
            .is_some_and(|layer| std::ptr::eq(layer.protocol, &proto::data::PROTOCOL))
        {
            self.layers.pop();
        }
        span.layers = (first as u32, self.layers.len() as u32);
        self.spans[index] = span;
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
