//! What the tests of protocol files share: dissect bytes as one protocol or a chain of them, and list what a view sees.

#![allow(clippy::expect_used)]

use std::ops::{ControlFlow, Range};

use crate::{
    field::{Field, Kind, Value, Visit},
    frame::{Direction, Frame, KernelChecksum},
    layer::{Layer, Packet, Problem, ProblemKind},
    line::{Line, LineOptions},
    link::LinkType,
    protocol::{Claim, Context, Next, Protocol},
    text::{Colons, Mac, Safe},
    time::Time,
};

/// What the last protocol of a chain made of the bytes.
#[derive(Debug)]
pub(crate) struct Seen {
    /// Its layer.
    pub(crate) layer: Layer,
    /// What it says follows.
    pub(crate) next: Next,
    /// Faults that only the visit told.
    pub(crate) noticed: Vec<Problem>,
    /// Every field that a visit shows, as name and value in words.
    pub(crate) fields: Vec<(&'static str, String)>,
    /// Its part of the one-line form: `source → destination info`.
    pub(crate) line: String,
}

impl Seen {
    /// The fields as borrowed pairs, to compare with a table.
    pub(crate) fn pairs(&self) -> Vec<(&str, &str)> {
        self.fields.iter().map(|(n, v)| (*n, v.as_str())).collect()
    }

    /// Every value of the field called `name`.
    pub(crate) fn all(&self, name: &str) -> Vec<&str> {
        let same = self.fields.iter().filter(|(n, _)| *n == name);
        same.map(|(_, v)| v.as_str()).collect()
    }

    /// The kind of the layer's problem.
    pub(crate) fn problem(&self) -> Option<ProblemKind> {
        self.layer.problem.map(|problem| problem.kind)
    }
}

/// What `protocol`, found by `claim`, makes of a frame that holds just `bytes`.
pub(crate) fn seen(protocol: &'static Protocol, claim: Claim, bytes: &[u8]) -> Seen {
    chain(&[(protocol, claim)], bytes, bytes.len())
}

/// What `protocol` makes of a frame of link type `link`.
pub(crate) fn on_link(protocol: &'static Protocol, link: LinkType, bytes: &[u8]) -> Seen {
    seen(protocol, Claim::Link(link), bytes)
}

/// What the last of `protocols` makes of a frame of `wire` bytes, of which `bytes` were captured.
/// Each protocol begins where the header of the one before it ends.
pub(crate) fn chain(protocols: &[(&'static Protocol, Claim)], bytes: &[u8], wire: usize) -> Seen {
    chain_at(protocols, bytes, wire, protocols.len() - 1)
}

/// The same, of the protocol at `index` in the chain.
pub(crate) fn chain_at(
    protocols: &[(&'static Protocol, Claim)],
    bytes: &[u8],
    wire: usize,
    index: usize,
) -> Seen {
    let mut layers: Vec<Layer> = Vec::new();
    let mut next = Next::End;
    let (mut at, mut end, mut wire_left) = (0, bytes.len(), wire as u32);
    for &(protocol, claim) in protocols {
        let context = Context {
            wire: wire_left,
            claim,
            layers: &layers,
            quoted: false,
        };
        let given = &bytes[at..end];
        let found = (protocol.dissect)(given, &context);
        assert!(
            found.header as usize <= given.len(),
            "{}: header of {} in {} bytes",
            protocol.name,
            found.header,
            given.len()
        );
        end = at + given.len().min(found.wire.max(found.header) as usize);
        layers.push(Layer {
            protocol,
            buffer: 0,
            quoted: false,
            start: at as u32,
            header: found.header,
            end: end as u32,
            wire: found.wire,
            problem: found.problem,
        });
        at += found.header as usize;
        wire_left = found.wire.saturating_sub(found.header);
        next = found.next;
    }
    let link = match protocols.first() {
        Some((_, Claim::Link(link))) => *link,
        _ => LinkType::ETHERNET,
    };
    let packet = Packet {
        frame: Frame {
            number: 1,
            time: Time::default(),
            link,
            interface: 0,
            direction: Direction::Unknown,
            checksum: KernelChecksum::Unknown,
            wire_len: wire as u32,
            bytes,
        },
        layers: &layers,
        facts: &[],
        arena: &[],
        buffers: &[],
    };
    let view = packet.view(index).expect("a chain has this link");
    let mut list = List {
        bits: bytes.len() as u32 * 8,
        ..List::default()
    };
    let _ = view.visit(&mut list);
    let mut line = Line {
        options: LineOptions::default(),
        ..Line::default()
    };
    (view.layer.protocol.line)(&view, &mut line);
    Seen {
        layer: *view.layer,
        next,
        noticed: list.problems,
        fields: list.fields,
        line: format!("{} → {} {}", line.source, line.destination, line.info),
    }
}

/// Cuts `bytes` at every length: below `header` bytes there is a problem, and it is called malformed only when the packet
/// itself ends there, never when the snapshot length cut it.
pub(crate) fn cut_everywhere(
    protocol: &'static Protocol,
    claim: Claim,
    bytes: &[u8],
    header: usize,
) {
    for len in 0..bytes.len() {
        let part = &bytes[..len];
        let cut = chain(&[(protocol, claim)], part, bytes.len());
        let ended = seen(protocol, claim, part);
        let malformed = Some(ProblemKind::Malformed);
        assert_ne!(cut.problem(), malformed, "cut after {len} bytes");
        assert_ne!(
            ended.problem(),
            Some(ProblemKind::Cut),
            "ends after {len} bytes"
        );
        if len < header {
            assert_eq!(
                cut.problem(),
                Some(ProblemKind::Cut),
                "cut after {len} bytes"
            );
            assert_eq!(ended.problem(), malformed, "ends after {len} bytes");
        }
    }
}

#[derive(Default)]
struct List {
    bits: u32,
    fields: Vec<(&'static str, String)>,
    problems: Vec<Problem>,
}

impl Visit for List {
    fn field(
        &mut self,
        field: &'static Field,
        value: Value<'_>,
        bits: Range<u32>,
    ) -> ControlFlow<()> {
        assert!(
            bits.start <= bits.end && bits.end <= self.bits,
            "{} points outside the packet: {bits:?}",
            field.name
        );
        let again = self.fields.iter().any(|(name, _)| *name == field.name);
        assert!(
            field.many || !again,
            "{} occurs twice and is not marked so",
            field.name
        );
        let text = match value {
            Value::Mark => String::new(),
            Value::Bool(b) => b.to_string(),
            Value::Uint(n) => match field.kind {
                Kind::Hex(digits) => format!("0x{n:0width$x}", width = usize::from(digits)),
                _ => n.to_string(),
            },
            Value::Int(n) => n.to_string(),
            Value::Mac(mac) => Mac(mac).to_string(),
            Value::Ipv4(address) => address.to_string(),
            Value::Ipv6(address) => address.to_string(),
            Value::Bytes(bytes) => Colons(bytes).to_string(),
            Value::Text(text) => Safe(text).to_string(),
            Value::Time(time) => time.to_string(),
            Value::Duration(nanos) => format!("{nanos} ns"),
        };
        self.fields.push((field.name, text));
        ControlFlow::Continue(())
    }

    fn problem(&mut self, problem: Problem) {
        self.problems.push(problem);
    }
}
