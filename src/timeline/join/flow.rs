//! A TCP connection as its packets show it: what each end sent, what arrived, and what is acknowledged.

use std::ops::Range;

use super::incoming::Arrived;
use crate::{
    event::{PacketId, SocketId},
    timeline::{Kernel, seen::Segment},
    track::stream::ranges::Ranges,
};

/// No window is larger (RFC 7323 §2.3): what lies farther away belongs to another connection.
const FARTHEST: i64 = 1 << 30;
/// Packets of an end whose socket is not known yet that are kept until it is.
pub(super) const EARLY: usize = 1024;

/// A segment on its way.
#[derive(Clone, Debug)]
pub(super) struct Crossing {
    pub(super) packet: PacketId,
    /// How many things had happened before.
    pub(super) at: u64,
    pub(super) segment: Segment,
    /// Its data in the stream.
    pub(super) bytes: Range<u64>,
    /// Its data begins here.
    pub(super) data: Vec<u8>,
    /// The data that was not sent before.
    pub(super) fresh: Option<Range<u64>>,
    /// The acknowledgment that ends the handshake.
    pub(super) opens: bool,
    /// A RST that answers a segment for which there was no socket.
    pub(super) unwanted: bool,
}

/// What one end sends.
#[derive(Debug, Default)]
pub(super) struct Stream {
    /// The sequence number of its first byte.
    origin: Option<u32>,
    /// Its SYN was seen: the origin is certain.
    pub(super) syn: bool,
    /// Where the last byte that was seen ends; a FIN counts as one.
    high: i64,
    /// What was sent; the SYN is byte -1.
    sent: Ranges,
    /// What arrived.
    came: Ranges,
    /// What arrived and was not read.
    pub(super) arrived: Arrived,
    /// Where its FIN is.
    pub(super) fin: Option<u64>,
    /// The packets that brought its SYN and its FIN first.
    pub(super) syn_came: Option<PacketId>,
    pub(super) fin_came: Option<PacketId>,
    /// Up to where the other end has acknowledged it.
    acked: Option<i64>,
    /// The window that its sender offers.
    window: Option<u16>,
    /// Its sender asked for an acknowledgment with a segment that carries nothing new.
    probed: bool,
}

/// One end of a connection.
#[derive(Debug, Default)]
pub(super) struct End {
    pub(super) port: u16,
    /// Its socket, once that is known.
    pub(super) owner: Option<SocketId>,
    /// The socket that listened for it.
    pub(super) listener: Option<SocketId>,
    /// It got the first SYN.
    pub(super) passive: bool,
    pub(super) out: Stream,
    /// Packets that it sent, and that reached it, before its owner was known.
    pub(super) early_sent: Vec<Crossing>,
    pub(super) early_got: Vec<Crossing>,
}

/// A connection.
#[derive(Debug, Default)]
pub(super) struct Flow {
    pub(super) ends: [End; 2],
    /// The handshake is over.
    pub(super) open: bool,
    /// A RST ended it.
    pub(super) reset: bool,
    /// It has ended, by a RST or by both ends' FIN.
    over: bool,
    /// Packets of the handshake that the listening socket sent or got, while it is not clear which socket listens.
    pub(super) unheard: Vec<(PacketId, bool)>,
}

/// What became of a segment in its connection.
pub(super) struct Judged {
    pub(super) crossing: Crossing,
    pub(super) again: bool,
    pub(super) kernel: Option<Label>,
}

/// What the kernel sent a segment for; an acknowledgment up to a place in the other end's stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Label {
    Is(Kernel),
    Acks(i64),
}

impl Stream {
    /// Where `seq` lies in the stream, nearest to what was seen last; `None` where that is too far away.
    fn place(&self, seq: u32) -> Option<i64> {
        let near = seq
            .wrapping_sub(self.origin?)
            .wrapping_sub(self.high as u32) as i32;
        let place = self.high.checked_add(i64::from(near))?;
        (i64::from(near).abs() <= FARTHEST && place >= -1).then_some(place)
    }

    /// Up to where it was seen; `None` before it begins.
    pub(super) fn upto(&self) -> Option<u64> {
        self.origin.and_then(|_| u64::try_from(self.high).ok())
    }

    /// Where the other end says that it has got the stream. When it has got one byte more than was seen, and data was not, the
    /// stream began with a probe, which repeats the number of an old byte (RFC 9293 §3.8.4 and §3.8.6.1).
    fn acknowledged(&mut self, ack: u32) -> Option<i64> {
        let place = self.place(ack)?;
        if self.high.checked_add(1) != Some(place) || self.syn || !self.sent.is_empty() {
            return Some(place);
        }
        self.origin = self.origin.map(|origin| origin.wrapping_add(1));
        Some(self.high)
    }

    /// Begins the stream with the first segment seen of it; `first` is how much was sent before that, if it has no SYN.
    fn begin(&mut self, segment: &Segment, first: u64) {
        if segment.syn {
            self.origin = Some(segment.seq.wrapping_add(1));
            self.syn = true;
        } else if self.origin.is_none() {
            // A log may claim any number; no stream comes near this one.
            let first = first.min(1 << 62);
            self.origin = Some(segment.seq.wrapping_sub(first as u32));
            self.high = first as i64;
        }
    }

    /// This SYN begins another connection.
    pub(super) fn is_other(&self, segment: &Segment) -> bool {
        self.origin
            .is_some_and(|origin| !self.syn || segment.seq.wrapping_add(1) != origin)
    }
}

impl Flow {
    /// It has ended since this was asked last.
    pub(super) fn ends_now(&mut self) -> bool {
        let over = self.reset || self.ends.iter().all(|end| end.out.fin.is_some());
        over && !std::mem::replace(&mut self.over, true)
    }

    /// Takes a segment that end `side` sends; `None` for one that belongs to another connection. `first` is how many bytes
    /// this end had sent before it was watched.
    pub(super) fn sent(
        &mut self,
        side: usize,
        mut crossing: Crossing,
        first: u64,
    ) -> Option<Judged> {
        let segment = crossing.segment;
        let [a, b] = &mut self.ends;
        let (this, other) = if side == 0 { (a, b) } else { (b, a) };
        let stream = &mut this.out;
        // Of an end that sent nothing else the number of a RST says nothing: one that refuses a SYN has 0 (RFC 9293 §3.10.7.1).
        let refuses = segment.rst && stream.origin.is_none();
        if refuses {
            self.reset = true;
            crossing.unwanted = segment.seq == 0 || segment.ack.is_none();
            let kernel = Some(reset(crossing.unwanted));
            return Some(Judged {
                crossing,
                again: false,
                kernel,
            });
        }
        stream.begin(&segment, first);
        let start = stream.place(segment.seq)?;
        let data = start + i64::from(segment.syn);
        let end = data + i64::from(segment.len);
        let acks = segment.ack.and_then(|ack| other.out.acknowledged(ack));
        let mut again = false;
        if segment.rst {
            self.reset = true;
            // An answer to a segment that has an acknowledgment takes its number from there, and has none itself.
            crossing.unwanted = segment.ack.is_none();
        } else {
            let whole = start..end + i64::from(segment.fin);
            let mut fresh: Option<Range<i64>> = None;
            stream.sent.add(whole.clone(), |part| {
                let from = fresh.as_ref().map_or(part.start, |fresh| fresh.start);
                fresh = Some(from..part.end);
            });
            again = !whole.is_empty() && fresh.is_none();
            crossing.fresh =
                fresh.and_then(|fresh| bytes(fresh.start.max(data)..fresh.end.min(end)));
        }
        crossing.bytes = bytes(data..end).unwrap_or_default();
        if segment.fin {
            stream.fin = u64::try_from(end).ok();
        }
        let kernel = label(&segment, start, stream, &other.out, acks);
        let asks = matches!(
            kernel,
            Some(Label::Is(Kernel::KeepAlive | Kernel::WindowProbe))
        );
        stream.probed = asks;
        stream.high = stream.high.max(end + i64::from(segment.fin));
        stream.window = Some(segment.window)
            .filter(|_| !segment.rst)
            .or(stream.window);
        if !segment.syn && !segment.rst && other.out.syn && other.passive && !self.open {
            self.open = true;
            crossing.opens = segment.len == 0;
        }
        if let Some(acks) = acks {
            other.out.acked = other.out.acked.max(Some(acks));
            other.out.probed = false;
        }
        Some(Judged {
            crossing,
            again,
            kernel,
        })
    }

    /// A segment of end `side` arrives; hands over the bytes that no other segment brought before.
    pub(super) fn came(&mut self, side: usize, crossing: &Crossing) -> Option<Vec<Range<u64>>> {
        let stream = &mut self.ends[side].out;
        let segment = &crossing.segment;
        if segment.syn {
            stream.syn_came.get_or_insert(crossing.packet);
        }
        if segment.fin {
            stream.fin_came.get_or_insert(crossing.packet);
        }
        let start = i64::try_from(crossing.bytes.start).ok()?;
        let end = i64::try_from(crossing.bytes.end).ok()?;
        let mut fresh = Vec::new();
        stream
            .came
            .add(start..end, |part| fresh.extend(bytes(part)));
        Some(fresh)
    }
}

/// The part of `places` behind the SYN; `None` where that is empty.
fn bytes(places: Range<i64>) -> Option<Range<u64>> {
    let range = u64::try_from(places.start.max(0)).ok()?..u64::try_from(places.end).ok()?;
    (!range.is_empty()).then_some(range)
}

/// What the kernel sent this segment for, if it carries neither data nor FIN.
fn label(
    segment: &Segment,
    start: i64,
    stream: &Stream,
    other: &Stream,
    acks: Option<i64>,
) -> Option<Label> {
    let is = |kernel| Some(Label::Is(kernel));
    if segment.rst {
        return Some(reset(segment.ack.is_none()));
    }
    if segment.syn {
        return segment.ack.and_then(|_| is(Kernel::SynAck));
    }
    if segment.len > 0 || segment.fin {
        return None;
    }
    // Linux asks with the last byte's number and without that byte, for both purposes (RFC 9293 §3.8.4 and §3.8.6.1).
    if start + 1 == stream.high && stream.acked == Some(stream.high) {
        let shut = other.window == Some(0);
        return is(if shut {
            Kernel::WindowProbe
        } else {
            Kernel::KeepAlive
        });
    }
    let (Some(now), before) = (acks, other.acked) else {
        return segment.ack.and_then(|_| is(Kernel::Ack(None)));
    };
    if before == Some(now) && !other.probed {
        let same = stream.window == Some(segment.window);
        return is(if same {
            Kernel::DuplicateAck
        } else {
            Kernel::WindowUpdate
        });
    }
    let fresh = before.is_none_or(|before| now > before);
    if fresh {
        Some(Label::Acks(now))
    } else {
        is(Kernel::Ack(None))
    }
}

const fn reset(unwanted: bool) -> Label {
    Label::Is(if unwanted {
        Kernel::NoSocket
    } else {
        Kernel::Reset
    })
}
