//! One direction of a stream that is followed: which bytes are next, and what they belong to.

use super::{
    DATA, Exchange, Part, Told,
    chunks::{Chunks, End},
};
use crate::{
    proto::{
        http::{self, Beginning, Body, Head},
        tcp::flag,
        websocket::{self, Frame, opcode},
    },
    protocol::Claim,
    time::Time,
    track::{state::before, tcp::Turn},
};

/// Bytes of a head or frame that are put together, and of segments that came early; what is longer is not waited for.
const LONGEST: usize = 16 << 10;
/// Segments that came early.
const EARLY: usize = 16;

/// What the next bytes of a direction belong to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Followed {
    /// That is not known: a segment may begin with a start line.
    #[default]
    Lost,
    /// A head.
    Head,
    /// A body with so many bytes left.
    Body(u64),
    /// A body in chunks.
    Chunks(Chunks),
    /// A body that ends with the connection, or another protocol.
    Rest,
    /// Frames of WebSocket.
    Frames,
    /// A frame too long to be put together, with so many bytes left.
    Payload(u64),
}

impl Followed {
    /// What follows a head that announces such a body; `unsaid` where it announces none.
    pub(super) fn of(body: Body, unsaid: Self) -> Self {
        match body {
            Body::Length(length) => Self::body(length),
            Body::Chunked => Self::Chunks(Chunks::BEGIN),
            Body::Unsaid => unsaid,
        }
    }

    /// A body of so many bytes; behind it comes the next head.
    fn body(length: u64) -> Self {
        match length {
            0 => Self::Head,
            length => Self::Body(length),
        }
    }

    fn payload(length: u64) -> Self {
        match length {
            0 => Self::Frames,
            length => Self::Payload(length),
        }
    }

    /// What follows `count` bytes that were not seen; `None` where they could have been a beginning.
    fn behind(self, count: u64) -> Option<Self> {
        match self {
            Self::Lost | Self::Rest => Some(self),
            Self::Body(left) => left.checked_sub(count).map(Self::body),
            Self::Payload(left) => left.checked_sub(count).map(Self::payload),
            Self::Chunks(Chunks::Data(left)) if left > count => {
                Some(Self::Chunks(Chunks::Data(left - count)))
            }
            Self::Head | Self::Frames | Self::Chunks(_) => None,
        }
    }
}

/// A message in several frames (RFC 6455 §5.4).
#[derive(Clone, Copy, Debug)]
struct Message {
    opcode: u8,
    frames: u64,
    bytes: u64,
}

/// One direction.
#[derive(Debug, Default)]
pub(super) struct Side {
    followed: Followed,
    /// The sequence number of the next byte.
    next: Option<u32>,
    /// The first part of a head or frame, and how many segments brought it.
    pending: Vec<u8>,
    segments: u64,
    /// So many bytes of it have no end of a head.
    looked: usize,
    /// Segments that came before their turn: first sequence number and bytes.
    early: Vec<(u32, Vec<u8>)>,
    /// Messages may have been missed before the next one.
    anew: bool,
    message: Option<Message>,
}

/// What bytes are read with.
pub(super) struct Reading<'r> {
    pub(super) rest: &'r mut Exchange,
    /// The packet: its number and time.
    pub(super) now: (u64, Time),
    pub(super) parts: &'r mut Vec<Part>,
    pub(super) joined: &'r mut Vec<u8>,
}

impl Reading<'_> {
    fn part(&mut self, claim: Claim, (start, end): (usize, usize), missing: u64, told: Told) {
        self.parts.push(Part {
            claim,
            start,
            end,
            missing,
            told,
        });
    }

    /// Bytes that are shown as plain data.
    fn data(&mut self, start: usize, end: usize) {
        if start < end {
            self.part(DATA, (start, end), 0, Told::Nothing);
        }
    }

    /// Bytes of a body: they belong to the head where it stands before them.
    fn body(&mut self, start: usize, end: usize) {
        match self.parts.last_mut() {
            Some(last) if last.end == start => last.end = end,
            _ => self.data(start, end),
        }
    }
}

impl Side {
    /// Bytes that it keeps.
    pub(super) fn held(&self) -> usize {
        let early = self.early.iter().map(|(_, bytes)| bytes.len());
        self.pending.len() + early.sum::<usize>()
    }

    /// Gives up what it waits for.
    pub(super) fn forget(&mut self) {
        if self.held() > 0 {
            self.lose();
        }
    }

    /// The next byte has this number, and a head begins there.
    pub(super) fn expect(&mut self, next: u32) {
        self.next = Some(next);
        self.followed = Followed::Head;
    }

    /// The other direction says what comes from now on.
    pub(super) fn turn(&mut self, followed: Followed) {
        self.lose();
        self.followed = followed;
    }

    fn lose(&mut self) {
        self.pending = Vec::new();
        self.early = Vec::new();
        self.looked = 0;
        self.message = None;
        self.anew = true;
        self.followed = Followed::Lost;
    }

    /// Takes a segment. Where it completes what began in others, the bytes of all of them are in `joined`, and their number
    /// is returned; else parts lie in the segment's own payload.
    pub(super) fn segment(
        &mut self,
        turn: &Turn,
        payload: &[u8],
        reading: &mut Reading<'_>,
    ) -> Option<u64> {
        let segment = &turn.segment;
        let first = segment.seq.wrapping_add(segment.has(flag::SYN).into());
        let missing = u64::from(segment.len).saturating_sub(payload.len() as u64);
        // Distances beyond half of all numbers are ways back (RFC 9293 §3.4).
        let ahead = first.wrapping_sub(self.next.unwrap_or(first)).cast_signed();
        let known = if ahead < 0 { ahead.unsigned_abs() } else { 0 };
        if known >= segment.len {
            return None;
        }
        // What comes again need not be captured again.
        let missing = missing.min((segment.len - known).into());
        if let Ok(hole @ 1..) = u64::try_from(ahead)
            && !self.leap(hole, payload)
        {
            if missing == 0 && self.keep(first, payload) {
                return None;
            }
            self.lose();
        }
        let next = first.wrapping_add(segment.len);
        self.next = Some(next);
        let is_new =
            |(first, bytes): &(u32, Vec<u8>)| before(next, first.wrapping_add(bytes.len() as u32));
        self.early.retain(is_new);
        let known = payload.len().min(known as usize);
        let joins = !self.pending.is_empty() || self.reaches_early();
        let segments = if joins {
            self.join(&payload[known..], missing, reading)
        } else {
            reading.data(0, known);
            let done = known + self.read(&payload[known..], known, missing, reading);
            self.pending.extend_from_slice(&payload[done..]);
            self.segments = 1;
            reading.data(done, payload.len());
            None
        };
        if missing > 0 {
            match self.followed.behind(missing) {
                Some(followed) => self.followed = followed,
                None => self.lose(),
            }
        }
        segments
    }

    /// Goes on behind a hole where that is no loss.
    fn leap(&mut self, hole: u64, payload: &[u8]) -> bool {
        if let Some(followed) = self.followed.behind(hole) {
            self.followed = followed;
            return true;
        }
        let http = !matches!(self.followed, Followed::Frames | Followed::Payload(_));
        if http && http::beginning(payload) == Beginning::Sure {
            self.lose();
            return true;
        }
        false
    }

    /// Keeps a segment until its turn, where there is room.
    fn keep(&mut self, first: u32, payload: &[u8]) -> bool {
        let room = self.early.len() < EARLY && self.held() + payload.len() <= LONGEST;
        if room {
            self.early.push((first, payload.to_vec()));
        }
        room
    }

    /// Segments that came early, and whose turn has come.
    fn reaches_early(&self) -> bool {
        let next = self.next.unwrap_or_default();
        self.early.iter().any(|(first, _)| !before(next, *first))
    }

    /// Reads what waits together with what is new.
    fn join(&mut self, new: &[u8], missing: u64, reading: &mut Reading<'_>) -> Option<u64> {
        let mut bytes = std::mem::take(&mut self.pending);
        bytes.extend_from_slice(new);
        let mut segments = if bytes.len() > new.len() {
            self.segments + 1
        } else {
            1
        };
        while missing == 0 && self.reaches_early() {
            let next = self.next.unwrap_or_default();
            let reached = |(first, _): &(u32, Vec<u8>)| !before(next, *first);
            let Some(place) = self.early.iter().position(reached) else {
                break;
            };
            let (first, early) = self.early.swap_remove(place);
            let fresh = early
                .get(next.wrapping_sub(first) as usize..)
                .unwrap_or(&[]);
            bytes.extend_from_slice(fresh);
            self.next = Some(next.wrapping_add(fresh.len() as u32));
            segments += u64::from(!fresh.is_empty());
        }
        let done = self.read(&bytes, 0, missing, reading);
        if reading.parts.is_empty() {
            self.pending = bytes;
            self.segments = segments;
            return None;
        }
        self.pending = bytes[done..].to_vec();
        self.segments = 1;
        reading.data(done, bytes.len());
        *reading.joined = bytes;
        Some(segments)
    }

    /// Reads bytes that follow each other, and notes the parts, `base` bytes further on. Returns how many are done with.
    fn read(
        &mut self,
        bytes: &[u8],
        base: usize,
        missing: u64,
        reading: &mut Reading<'_>,
    ) -> usize {
        let mut at = 0;
        while at < bytes.len() {
            let rest = &bytes[at..];
            let from = base + at;
            let done = match self.followed {
                Followed::Lost => {
                    if at == 0 && http::beginning(rest) != Beginning::Other {
                        self.followed = Followed::Head;
                        continue;
                    }
                    reading.data(from, base + bytes.len());
                    rest.len()
                }
                Followed::Rest => {
                    reading.body(from, from + rest.len());
                    rest.len()
                }
                Followed::Body(left) => {
                    let here = left.min(rest.len() as u64);
                    self.followed = Followed::body(left - here);
                    reading.body(from, from + here as usize);
                    here as usize
                }
                Followed::Payload(left) => {
                    let here = left.min(rest.len() as u64);
                    self.followed = Followed::payload(left - here);
                    reading.data(from, from + here as usize);
                    here as usize
                }
                Followed::Chunks(mut chunks) => {
                    let end = chunks.read(rest);
                    let here = if let End::At(end) = end {
                        end
                    } else {
                        rest.len()
                    };
                    self.followed = match end {
                        End::Open => Followed::Chunks(chunks),
                        End::At(_) => Followed::Head,
                        End::Broken => Followed::Lost,
                    };
                    reading.body(from, from + here);
                    here
                }
                Followed::Head => self.head(rest, from, missing, reading),
                Followed::Frames => self.frame(rest, from, missing, reading),
            };
            if done == 0 {
                break;
            }
            at += done;
        }
        at
    }

    /// Reads a head; 0 where it is not all there.
    fn head(&mut self, rest: &[u8], from: usize, missing: u64, reading: &mut Reading<'_>) -> usize {
        let looked = std::mem::take(&mut self.looked);
        // An empty line before a message is passed over (RFC 9112 §2.2).
        if let [b'\r', b'\n', ..] | [b'\n', ..] = rest {
            let len = if rest[0] == b'\n' { 1 } else { 2 };
            reading.data(from, from + len);
            return len;
        }
        let news = rest.get(looked..).unwrap_or(&[]);
        let judged = looked > 0 && memchr::memchr(b'\n', news).is_none();
        let alien = !judged && http::beginning(rest) == Beginning::Other && rest != b"\r";
        let length = http::length(rest, looked);
        let too_long = length.unwrap_or(rest.len()) > LONGEST;
        if alien || too_long {
            self.lose();
            reading.data(from, from + rest.len());
            return rest.len();
        }
        let Some(length) = length else {
            if missing == 0 {
                self.looked = rest.len();
                return 0;
            }
            self.lose();
            let (told, _) = reading.rest.hear(&Head(rest), reading.now, true);
            reading.part(HTTP, (from, from + rest.len()), missing, told);
            return rest.len();
        };
        let anew = std::mem::take(&mut self.anew);
        let head = Head(&rest[..length]);
        let (told, followed) = reading.rest.hear(&head, reading.now, anew);
        self.followed = followed;
        reading.part(HTTP, (from, from + length), 0, told);
        length
    }

    /// Reads a frame; 0 where it is not all there.
    fn frame(
        &mut self,
        rest: &[u8],
        from: usize,
        missing: u64,
        reading: &mut Reading<'_>,
    ) -> usize {
        let frame = Frame::of(rest);
        let whole = frame.map_or(0, |frame| frame.whole());
        let left = whole.saturating_sub(rest.len() as u64);
        let here = rest.len().min(usize::try_from(whole).unwrap_or(usize::MAX));
        match frame {
            Some(frame) if left == 0 || whole > LONGEST as u64 || missing > 0 => {
                self.followed = Followed::payload(left);
                let told = self.told(&frame);
                reading.part(WEBSOCKET, (from, from + here), left, told);
                here
            }
            None if missing > 0 => {
                self.lose();
                reading.part(WEBSOCKET, (from, from + rest.len()), missing, Told::Nothing);
                rest.len()
            }
            _ => 0,
        }
    }

    /// What a frame is in its message.
    fn told(&mut self, frame: &Frame) -> Told {
        if frame.is_control() {
            return Told::Nothing;
        }
        if frame.opcode != opcode::CONTINUATION {
            let begun = Message {
                opcode: frame.opcode,
                frames: 1,
                bytes: frame.payload,
            };
            self.message = Some(begun).filter(|_| !frame.fin);
            return Told::Nothing;
        }
        let Some(message) = &mut self.message else {
            return Told::Nothing;
        };
        message.frames += 1;
        message.bytes = message.bytes.saturating_add(frame.payload);
        let message = *message;
        if frame.fin {
            self.message = None;
            return Told::Ends(message.opcode, message.frames, message.bytes);
        }
        Told::Goes(message.opcode)
    }
}

const HTTP: Claim = Claim::Name(http::PROTOCOL.name);
const WEBSOCKET: Claim = Claim::Name(websocket::PROTOCOL.name);
