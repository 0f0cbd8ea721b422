//! What a segment means beside those before it: Wireshark's verdicts, by its documented rules and precedence.
//!
//! The rules are those of the "TCP Analysis" section of the Wireshark User's Guide (`research`: measured against tshark 4.0).
//! They are applied to each segment once, in capture order, and never look ahead.

use super::{
    rto::Estimate,
    unacked::{List, Pool, Sent},
};
use crate::{
    proto::tcp::{Segment, flag},
    time::{MILLISECOND, Time},
};

/// A retransmission so soon after the last duplicate ACK is a fast one.
const FAST: i64 = 20 * MILLISECOND;
/// A segment that comes so soon after the newest one is out of order, where the round trip is not known.
const REORDERED: i64 = 3 * MILLISECOND;
/// More in flight than this is a wrong number, not a measurement.
const ABSURD: u32 = 2_000_000_000;

/// One verdict; a segment can have several.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
#[expect(missing_docs, reason = "their fields are documented, in proto::tcp")]
pub enum Verdict {
    Retransmission,
    FastRetransmission,
    SpuriousRetransmission,
    OutOfOrder,
    LostSegment,
    AckLostSegment,
    DuplicateAck,
    KeepAlive,
    KeepAliveAck,
    ZeroWindow,
    ZeroWindowProbe,
    ZeroWindowProbeAck,
    WindowFull,
    WindowUpdate,
}

/// The verdicts on one segment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Verdicts(u16);

impl Verdicts {
    /// The verdict is among them.
    pub const fn has(self, verdict: Verdict) -> bool {
        self.0 & 1 << verdict as u8 != 0
    }

    /// There is none.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    pub(in crate::track) fn add(&mut self, verdict: Verdict) {
        self.0 |= 1 << verdict as u8;
    }
}

/// Everything that the analysis says of one segment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Analysis {
    /// All that apply.
    pub verdicts: Verdicts,
    /// Which duplicate of its ACK it is, counted from 1, and the packet that it repeats.
    pub duplicate: Option<(u32, u64)>,
    /// The packet that it acknowledges to the byte, and nanoseconds since then.
    pub acks: Option<(u64, i64)>,
    /// Bytes sent and not acknowledged after this segment.
    pub in_flight: Option<u32>,
    /// Bytes sent since the last PSH.
    pub pushed: Option<u32>,
    /// Nanoseconds since the segment that is sent again, and its packet.
    pub timeout: Option<(i64, u64)>,
    /// Of the side that receives this ACK, where it measured a round trip.
    pub estimate: Option<Estimate>,
}

/// What is remembered of one side.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Half {
    /// The highest sequence number it used, and when and where.
    next: Option<u32>,
    next_time: Time,
    next_frame: u64,
    /// The highest sequence number up to which nothing is missing.
    whole_up_to: Option<u32>,
    /// Its last acknowledgment number and window, as on the wire.
    ack: u32,
    window: Option<u16>,
    /// That window came with a SYN, and is not scaled.
    unscaled: bool,
    ack_time: Time,
    duplicates: u32,
    /// The packet that the duplicates repeat.
    original: u64,
    last: Verdicts,
    unacked: List,
    /// The lowest and the highest sequence number in that list.
    edges: Option<(u32, u32)>,
    /// What is in flight cannot be told: there is a gap, and the other side has not acknowledged since.
    gap: bool,
    push_ended: bool,
    pushed: u32,
    /// Bytes of its last SACK blocks.
    sacked: u32,
    estimate: Option<Estimate>,
}

/// Both sides, and what they share.
pub(super) struct Pair<'a> {
    pub(super) me: &'a mut Half,
    pub(super) other: &'a mut Half,
    pub(super) pool: &'a mut Pool,
    /// The round trip of the handshake, in nanoseconds, where it was seen.
    pub(super) first_rtt: Option<i64>,
    /// How the other side's windows are shifted; `None` when the handshake was not seen.
    pub(super) other_shift: Option<u8>,
}

/// A segment, where and when it was seen.
pub(super) struct Seen<'a> {
    pub(super) segment: &'a Segment,
    pub(super) frame: u64,
    pub(super) time: Time,
    /// Bytes in its SACK blocks.
    pub(super) sacked: u32,
}

/// In place of a number of duplicate ACKs: the gap that they are about was told of.
const TOLD: u32 = u32::MAX;

/// `a` comes after `b` in sequence space.
const fn after(a: u32, b: u32) -> bool {
    (a.wrapping_sub(b) as i32) > 0
}

/// Makes room for `sent` between the edges.
fn widen(edges: &mut Option<(u32, u32)>, sent: &Sent) {
    let (first, last) = edges.get_or_insert((sent.seq, sent.end));
    if after(*first, sent.seq) {
        *first = sent.seq;
    }
    if after(sent.end, *last) {
        *last = sent.end;
    }
}

impl Half {
    /// Forgets everything, and gives back what it holds in the pool.
    pub(super) fn forget(&mut self, pool: &mut Pool) {
        pool.clear(&mut self.unacked);
        *self = Self::default();
    }
}

impl Pair<'_> {
    /// Judges a segment, and remembers it.
    pub(super) fn judge(mut self, seen: &Seen<'_>) -> Analysis {
        let s = seen.segment;
        let mut found = Analysis::default();
        if s.has(flag::ACK) {
            self.other.gap = false;
        }
        self.as_sender(s, &mut found);
        if s.ack != self.me.ack {
            self.me.original = seen.frame;
            self.me.duplicates = 0;
        }
        self.as_receiver(s, &mut found.verdicts);
        self.as_repetition(seen, &mut found);
        self.remember(seen, found.verdicts);
        self.acknowledge(seen, &mut found);
        self.flight(s, &mut found);
        found
    }

    /// Windows, gaps, keep-alives and duplicate ACKs. The order of the tests is the precedence of the verdicts.
    fn as_sender(&mut self, s: &Segment, found: &mut Analysis) {
        let Self { me, other, .. } = self;
        let v = &mut found.verdicts;
        let plain = s.flags & (flag::SYN | flag::FIN | flag::RST) == 0;
        let is_next = me.next == Some(s.seq);
        if s.len == 1 && is_next && other.window == Some(0) {
            v.add(Verdict::ZeroWindowProbe);
            return;
        }
        if s.window == 0 && plain {
            v.add(Verdict::ZeroWindow);
        }
        if me.next.is_some_and(|next| after(s.seq, next)) && !s.has(flag::RST) {
            v.add(Verdict::LostSegment);
            me.gap = true;
        }
        if !plain {
            return;
        }
        if s.len <= 1 && me.next.is_some_and(|next| s.seq == next.wrapping_sub(1)) {
            v.add(Verdict::KeepAlive);
        }
        let same_ack = s.ack == me.ack;
        let changed = me.window != Some(s.window);
        let repeats = s.len == 0 && is_next && same_ack;
        if repeats && s.window != 0 && changed {
            v.add(Verdict::WindowUpdate);
        }
        if s.len > 0
            && let (Some(window), Some(shift)) = (other.window, self.other_shift)
        {
            let shift = if other.unscaled { 0 } else { shift };
            let edge = other.ack.wrapping_add(u32::from(window) << shift);
            if s.seq.wrapping_add(s.len) == edge {
                v.add(Verdict::WindowFull);
            }
        }
        if !repeats || changed {
            return;
        }
        if s.window != 0 && other.last.has(Verdict::KeepAlive) {
            v.add(Verdict::KeepAliveAck);
        } else if s.window == 0 && other.last.has(Verdict::ZeroWindowProbe) {
            v.add(Verdict::ZeroWindowProbeAck);
        } else if s.window != 0 {
            me.duplicates = me.duplicates.wrapping_add(1);
            v.add(Verdict::DuplicateAck);
            found.duplicate = Some((me.duplicates, me.original));
        }
    }

    /// An ACK of bytes that were not seen. Of one gap it is told once, as long as the other side sends only ACKs.
    fn as_receiver(&mut self, s: &Segment, v: &mut Verdicts) {
        let Self { other, .. } = self;
        let Some(whole) = other.whole_up_to.filter(|whole| after(s.ack, *whole)) else {
            return;
        };
        if !s.has(flag::ACK) {
            return;
        }
        if other.next != Some(whole) {
            other.whole_up_to = other.next;
            v.add(Verdict::AckLostSegment);
            return;
        }
        if other.duplicates == 0 {
            v.add(Verdict::AckLostSegment);
        }
        other.duplicates = TOLD;
    }

    /// Data that was acknowledged before, and data, a SYN or a FIN that does not go on where the newest one ended: sent
    /// again, or come late.
    fn as_repetition(&mut self, seen: &Seen<'_>, found: &mut Analysis) {
        let Self { me, other, .. } = self;
        let s = seen.segment;
        let carries = s.len > 0 || s.flags & (flag::SYN | flag::FIN) != 0;
        if !carries || found.verdicts.has(Verdict::KeepAlive) {
            return;
        }
        let v = &mut found.verdicts;
        let end = s.seq.wrapping_add(s.len);
        if s.len > 0 && other.ack != 0 && !after(end, other.ack) {
            v.add(Verdict::SpuriousRetransmission);
            v.add(Verdict::Retransmission);
            return;
        }
        let Some(next) = me.next.filter(|next| after(*next, s.seq)) else {
            return;
        };
        // The byte before may have been a probe of a closed window: this goes on from there.
        if s.len > 1 && next.wrapping_sub(1) == s.seq {
            return;
        }
        let since_ack = seen.time.since(other.ack_time);
        if other.duplicates >= 2 && other.ack == s.seq && since_ack < FAST {
            v.add(Verdict::FastRetransmission);
            v.add(Verdict::Retransmission);
            return;
        }
        let threshold = self.first_rtt.unwrap_or(REORDERED);
        if seen.time.since(me.next_time) < threshold && next != s.next_seq() {
            v.add(Verdict::OutOfOrder);
            return;
        }
        v.add(Verdict::Retransmission);
        let eldest = self.pool.iter(me.unacked).last();
        let (time, frame) = eldest.map_or((me.next_time, me.next_frame), |sent| {
            (sent.time, sent.frame)
        });
        found.timeout = Some((seen.time.since(time), frame));
    }

    /// What the next segments are measured by.
    fn remember(&mut self, seen: &Seen<'_>, verdicts: Verdicts) {
        let Self { me, pool, .. } = self;
        let s = seen.segment;
        let end = s.next_seq();
        if end != s.seq {
            let (mut again, mut known) = (false, false);
            if me.next.is_some_and(|next| after(next, s.seq)) {
                pool.retain(&mut me.unacked, |sent| {
                    let covers = after(end, sent.seq) && after(sent.end, s.seq);
                    sent.again |= covers;
                    again |= covers;
                    // Of copies, the eldest counts.
                    known |= sent.seq == s.seq && sent.end == end;
                    true
                });
            }
            let sent = Sent {
                seq: s.seq,
                end,
                frame: seen.frame,
                time: seen.time,
                again,
            };
            if !known {
                pool.push(&mut me.unacked, sent);
                widen(&mut me.edges, &sent);
            }
        }
        let probe = verdicts.has(Verdict::ZeroWindowProbe);
        if me.next.is_none_or(|next| after(end, next)) && !probe {
            me.next = Some(end);
            me.next_time = seen.time;
            me.next_frame = seen.frame;
        }
        if me.whole_up_to.is_none_or(|n| n == s.seq) && !probe {
            me.whole_up_to = me.next;
        }
        me.window = Some(s.window);
        me.unscaled = s.has(flag::SYN);
        me.ack = s.ack;
        me.ack_time = seen.time;
        me.last = verdicts;
        me.sacked = seen.sacked;
    }

    /// Takes what is acknowledged out of the other side's list.
    fn acknowledge(&mut self, seen: &Seen<'_>, found: &mut Analysis) {
        let s = seen.segment;
        let Self { other, .. } = self;
        // Nothing that waits begins before this number.
        if other.edges.is_none_or(|(first, _)| !after(s.ack, first)) {
            return;
        }
        let mut sample = None;
        let mut edges = None;
        self.pool.retain(&mut other.unacked, |sent| {
            if s.ack == sent.end {
                let rtt = seen.time.since(sent.time);
                found.acks = Some((sent.frame, rtt));
                sample = (!sent.again).then_some(rtt);
                return false;
            }
            if after(s.ack, sent.seq) && after(sent.end, s.ack) {
                sent.seq = s.ack;
            }
            let waits = after(sent.end, s.ack);
            if waits {
                widen(&mut edges, sent);
            }
            waits
        });
        other.edges = edges;
        if let Some(rtt) = sample.filter(|rtt| *rtt >= 0) {
            let estimate = Estimate::after(other.estimate, rtt);
            other.estimate = Some(estimate);
            found.estimate = Some(estimate);
        }
    }

    fn flight(&mut self, s: &Segment, found: &mut Analysis) {
        let Self { me, other, .. } = self;
        if s.len == 0 || me.gap {
            return;
        }
        let Some((first, last)) = me.edges else {
            return;
        };
        let flight = last.wrapping_sub(first).wrapping_sub(other.sacked);
        if !(1..ABSURD).contains(&flight) {
            return;
        }
        // SYN and FIN are no bytes.
        let virtual_bytes = u32::from(s.flags & (flag::SYN | flag::FIN) != 0);
        found.in_flight = Some(flight - virtual_bytes);
        me.pushed = if me.push_ended {
            s.len
        } else {
            me.pushed.wrapping_add(s.len)
        };
        me.push_ended = s.has(flag::PSH);
        found.pushed = Some(me.pushed);
    }
}
