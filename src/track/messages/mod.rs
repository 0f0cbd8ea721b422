//! Messages in streams: finds the heads of HTTP and the frames of WebSocket in TCP segments, and puts together those that
//! lie in several.
//!
//! A stream is looked into when one of its segments begins with the start line of a head, as Wireshark does on any port;
//! on the ports of HTTP a part of such a line will do. From then on both directions are followed, so that bodies are told
//! from heads, and the answer that opens a WebSocket is seen. A head or frame is shown in the segment that completes it.
//! Segments that come again are not looked at; those that come early wait, within bounds. After a hole a direction begins
//! anew where a segment begins with a start line.

mod chunks;
mod side;
#[cfg(test)]
mod tests;

use std::{collections::VecDeque, num::NonZeroU32};

use super::{
    flow::{Flows, Stage},
    tcp::Turn,
};
use crate::{
    decode::Registry,
    field::{Field, Value},
    layer::View,
    proto::{
        data,
        http::{self, Beginning, Head, Start},
        websocket,
    },
    protocol::Claim,
    time::Time,
};
use side::{Followed, Reading, Side};

/// What is shown as it is.
const DATA: Claim = Claim::Name(data::PROTOCOL.name);

/// Streams that are followed at once.
const STREAMS: usize = 4096;
/// Bytes of unfinished heads and frames, and of segments that came early, in all streams together. When that many wait,
/// none of them is waited for any longer.
const MEMORY: usize = 16 << 20;
/// Requests of a stream that wait for their response.
const WAITING: usize = 64;

/// What is known of one part of what a segment brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Told {
    /// Nothing.
    Nothing,
    /// The number of a request.
    Request(u64),
    /// The number of a response, and its request, if that was seen.
    Response(u64, Option<(u64, Time)>),
    /// A frame goes on with a message of this opcode.
    Goes(u8),
    /// The same, and ends it: frames and bytes of the message.
    Ends(u8, u64, u64),
}

/// A part of what a segment brought, as offsets in it or in the bytes put together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) claim: Claim,
    pub(super) start: usize,
    pub(super) end: usize,
    /// Bytes on the wire that were not captured, or come in later segments.
    pub(super) missing: u64,
    pub(super) told: Told,
}

/// A request without a response so far.
#[derive(Clone, Copy, Debug)]
struct Request {
    frame: u64,
    time: Time,
    ask: Ask,
}

/// What a request says of its response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ask {
    /// HEAD: it has no body (RFC 9110 §9.3.2).
    NoBody,
    /// CONNECT: where it succeeds, anything follows (RFC 9110 §9.3.6).
    Tunnel,
    Other,
}

/// Both directions of a stream.
#[derive(Debug, Default)]
struct Talk {
    sides: [Side; 2],
    rest: Exchange,
}

/// What both directions have said.
#[derive(Debug, Default)]
struct Exchange {
    waiting: VecDeque<Request>,
    requests: u64,
    responses: u64,
    /// The other direction goes on like this.
    turns: Option<Followed>,
}

/// Every stream that is followed.
#[derive(Debug)]
pub(super) struct Messages {
    talks: Flows<Talk, u32>,
    held: usize,
    parts: Vec<Part>,
    /// Bytes put together, where the parts lie in those.
    joined: Vec<u8>,
}

impl Default for Messages {
    fn default() -> Self {
        Self {
            talks: Flows::new(STREAMS),
            held: 0,
            parts: Vec::new(),
            joined: Vec::new(),
        }
    }
}

/// What a segment turned out to bring.
#[derive(Debug)]
pub(super) struct Brought<'a> {
    /// All of it, in order; empty where it is plain data.
    pub(super) parts: &'a [Part],
    /// Where the parts lie: in these bytes of so many segments, or in the segment.
    pub(super) joined: Option<(&'a [u8], u64)>,
    /// It is the first of a stream that is followed from now on, which is kept here.
    pub(super) talk: Option<NonZeroU32>,
}

impl Messages {
    /// Looks at a segment with data. `None` where it brings nothing else.
    pub(super) fn segment(
        &mut self,
        turn: &Turn,
        view: &View<'_>,
        registry: &Registry,
    ) -> Option<Brought<'_>> {
        let payload = view.payload();
        let known = turn.talk.map(|talk| talk.get() - 1);
        let is_own = |place: &u32| self.talks.at(*place).is_some_and(|(s, _)| s == turn.stream);
        let known = known.filter(is_own);
        if payload.is_empty() || known.is_none() && !is_of_http(turn, payload, registry) {
            return None;
        }
        if !is_plain(view) {
            return None;
        }
        let place = known.unwrap_or_else(|| self.begin(turn.stream));
        self.talks.heard(place);
        let (_, talk) = self.talks.at(place)?;
        if known.is_none() && turn.skipped > 0 {
            talk.sides[turn.me].expect(turn.segment.seq.wrapping_sub(turn.skipped));
        }
        let before = talk.held();
        self.parts.clear();
        let mut reading = Reading {
            rest: &mut talk.rest,
            now: (view.packet.frame.number, view.packet.frame.time),
            parts: &mut self.parts,
            joined: &mut self.joined,
        };
        let joined = talk.sides[turn.me].segment(turn, payload, &mut reading);
        if let Some(turns) = talk.rest.turns.take() {
            talk.sides[1 - turn.me].turn(turns);
        }
        self.held = self.held - before + talk.held();
        if self.held > MEMORY {
            let sides = self.talks.values_mut().flat_map(|talk| &mut talk.sides);
            sides.for_each(Side::forget);
            self.held = 0;
        }
        let plain = self.parts.iter().all(|part| part.claim == DATA);
        if plain && known.is_some() {
            return None;
        }
        Some(Brought {
            parts: if plain { &[] } else { &self.parts },
            joined: joined.map(|segments| (self.joined.as_slice(), segments)),
            talk: known
                .is_none()
                .then(|| NonZeroU32::MIN.saturating_add(place)),
        })
    }

    /// Makes room for a stream that is followed from now on.
    fn begin(&mut self, stream: u32) -> u32 {
        let old = self.talks.next_to_go();
        if let Some((_, old)) = old.and_then(|place| self.talks.at(place)) {
            self.held -= old.held();
        }
        self.talks.add(stream, Talk::default(), Stage::Open)
    }
}

impl Talk {
    fn held(&self) -> usize {
        self.sides.iter().map(Side::held).sum()
    }
}

impl Exchange {
    /// Hears a head, in packet `now`: what is known of it, and what follows it. `anew`: messages of its direction may have
    /// been missed before it.
    fn hear(&mut self, head: &Head<'_>, now: (u64, Time), anew: bool) -> (Told, Followed) {
        match head.start() {
            Some(Start::Request(method, ..)) => self.request(head, method, now),
            Some(Start::Response(_, code, _)) => {
                // Most clients wait for a response before they ask again.
                let missed = self.waiting.len().saturating_sub(1);
                self.waiting.drain(..if anew { missed } else { 0 });
                self.response(head, code)
            }
            None => (Told::Nothing, Followed::Lost),
        }
    }

    fn request(
        &mut self,
        head: &Head<'_>,
        method: &[u8],
        (frame, time): (u64, Time),
    ) -> (Told, Followed) {
        self.requests += 1;
        if self.waiting.len() == WAITING {
            self.waiting.pop_front();
        }
        let ask = match method {
            b"HEAD" => Ask::NoBody,
            b"CONNECT" => Ask::Tunnel,
            _ => Ask::Other,
        };
        self.waiting.push_back(Request { frame, time, ask });
        let followed = Followed::of(head.body(), Followed::Head);
        (Told::Request(self.requests), followed)
    }

    fn response(&mut self, head: &Head<'_>, code: &[u8]) -> (Told, Followed) {
        self.responses += 1;
        // Others may come before the one that ends the exchange (RFC 9110 §15.2).
        let request = match code {
            b"101" => self.waiting.pop_front(),
            [b'1', ..] => self.waiting.front().copied(),
            _ => self.waiting.pop_front(),
        };
        let told = Told::Response(
            self.responses,
            request.map(|asked| (asked.frame, asked.time)),
        );
        let ask = request.map_or(Ask::Other, |asked| asked.ask);
        let followed = match (code, ask) {
            (b"101", _) if head.lists("upgrade", "websocket") => self.both(Followed::Frames),
            (b"101", _) | ([b'2', ..], Ask::Tunnel) => self.both(Followed::Rest),
            ([b'1', ..] | b"204" | b"304", _) | (_, Ask::NoBody) => Followed::Head,
            _ => Followed::of(head.body(), Followed::Rest),
        };
        (told, followed)
    }

    /// Both directions go on like this.
    fn both(&mut self, followed: Followed) -> Followed {
        self.turns = Some(followed);
        followed
    }
}

impl Told {
    /// Tells it by `fact`; `now` is the time of the packet.
    pub(super) fn facts(self, now: Time, mut fact: impl FnMut(&'static Field, Value<'static>)) {
        let kind = |opcode| match opcode {
            websocket::opcode::TEXT => Value::Text(b"text"),
            _ => Value::Text(b"binary"),
        };
        match self {
            Self::Nothing => {}
            Self::Request(number) => fact(&http::REQUEST_NUMBER, Value::Uint(number)),
            Self::Response(number, request) => {
                fact(&http::RESPONSE_NUMBER, Value::Uint(number));
                if let Some((frame, time)) = request {
                    fact(&http::TIME, Value::Duration(now.since(time)));
                    fact(&http::REQUEST_IN, Value::Uint(frame));
                }
            }
            Self::Goes(opcode) => fact(&websocket::MESSAGE, kind(opcode)),
            Self::Ends(opcode, frames, bytes) => {
                fact(&websocket::MESSAGE, kind(opcode));
                fact(&websocket::FRAGMENT_COUNT, Value::Uint(frames));
                fact(&websocket::REASSEMBLED_LENGTH, Value::Uint(bytes));
            }
        }
    }
}

/// The data of the segment are the last layer, and nobody's.
fn is_plain(view: &View<'_>) -> bool {
    match view.packet.layers.get(view.index + 1..) {
        Some([last]) => std::ptr::eq(last.protocol, &data::PROTOCOL),
        _ => false,
    }
}

/// A segment of a stream that is not followed begins with a start line, or on a port of HTTP with a part of one, or comes
/// before what should.
fn is_of_http(turn: &Turn, payload: &[u8], registry: &Registry) -> bool {
    let (source, destination) = turn.segment.ports;
    let is_port = |port| registry.find(Claim::StreamPort(port)).is_some();
    match http::beginning(payload) {
        Beginning::Sure => true,
        Beginning::Other if turn.skipped == 0 => false,
        Beginning::Possible | Beginning::Other => is_port(source) || is_port(destination),
    }
}
