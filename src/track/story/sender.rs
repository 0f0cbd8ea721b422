//! What one side of a flow has sent so far: its numbers, and how the next segment stands to them.

use super::item::{Number, Order};
use crate::{
    time::Time,
    track::state::{End, Segment, before},
};

/// Packets remembered for "again (of 5)" and "(for 3)".
const REMEMBERED: usize = 8;

/// A packet that was sent, by the mark that finds it again: TCP's sequence number, UDP's length and checksum.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sent {
    pub(super) mark: u32,
    pub(super) number: u64,
    pub(super) time: Time,
    /// When it was sent last.
    last: Time,
    /// The packet that was the last copy, and how many copies there were.
    last_number: u64,
    copies: u32,
    /// The wire dropped it.
    pub(super) dropped: bool,
}

/// One side of a flow.
#[derive(Debug, Default)]
pub(super) struct Sender {
    /// Its state machine, for TCP.
    pub(super) end: End,
    /// Nanoseconds from the first SYN until it was ESTABLISHED.
    pub(super) open: Option<i64>,
    pub(super) packets: u64,
    pub(super) bytes: u64,
    /// The initial sequence number; for a connection seen from the middle, one before the first number seen.
    pub(super) base: Option<u32>,
    /// `base` was read from a SYN.
    pub(super) from_syn: bool,
    /// It has sent a SYN with an ACK.
    syn_acked: bool,
    next: Option<u32>,
    gap: Option<(u32, u32)>,
    /// The last ones, as a ring: most flows send few.
    sent: Vec<Sent>,
    at: usize,
}

impl Sender {
    /// Remembers a packet.
    pub(super) fn remember(&mut self, mark: u32, number: u64, time: Time) {
        let sent = Sent {
            mark,
            number,
            time,
            last: time,
            last_number: number,
            copies: 1,
            dropped: false,
        };
        match self.sent.get_mut(self.at) {
            Some(oldest) => *oldest = sent,
            None => self.sent.push(sent),
        }
        self.at = (self.at + 1) % REMEMBERED;
    }

    /// The earliest remembered packet with this mark.
    pub(super) fn find(&self, mark: u32) -> Option<Sent> {
        let (new, old) = self.sent.split_at(self.at.min(self.sent.len()));
        old.iter()
            .chain(new)
            .find(|sent| sent.mark == mark)
            .copied()
    }

    /// Packet `number` is sent again `now`, as packet `copy`; returns how long its sender had waited since it was sent
    /// last, the number of that copy, and how many copies there were.
    pub(super) fn repeats(&mut self, number: u64, copy: u64, now: Time) -> Option<(i64, u64, u32)> {
        let sent = self.sent.iter_mut().find(|sent| sent.number == number)?;
        let before = (now.since(sent.last), sent.last_number, sent.copies);
        sent.last = now;
        sent.last_number = copy;
        sent.copies = sent.copies.saturating_add(1);
        Some(before)
    }

    /// The wire dropped packet `number`.
    pub(super) fn dropped(&mut self, number: u64) {
        for sent in &mut self.sent {
            sent.dropped |= sent.number == number;
        }
    }

    /// Counted from the initial sequence number.
    pub(super) fn number(&self, raw: u32) -> Number {
        Number {
            raw,
            relative: raw.wrapping_sub(self.base.unwrap_or(raw)),
        }
    }

    /// Where counting begins, when that is not known yet.
    pub(super) fn begin(&mut self, base: u32) {
        self.base.get_or_insert(base);
    }

    /// Bytes that were not captured before the last segment after a gap.
    pub(super) fn missing(&self) -> u32 {
        self.gap.map_or(0, |(from, to)| to.wrapping_sub(from))
    }

    /// How `s` stands to what was sent before; notes it as sent.
    pub(super) fn order(&mut self, s: &Segment) -> Order {
        let end = s.end();
        let answers = s.syn && s.ack.is_some() && !self.syn_acked;
        self.syn_acked |= answers;
        let Some(next) = self.next else {
            self.next = Some(end);
            self.bytes += u64::from(s.len);
            return Order::Next;
        };
        if s.rst || (end == s.seq && s.seq != next.wrapping_sub(1)) {
            return Order::Next;
        }
        if before(next, end) {
            let first = if before(s.seq, next) { next } else { s.seq };
            self.bytes += u64::from(s.len.min(end.wrapping_sub(first)));
            self.next = Some(end);
        }
        if s.seq == next {
            return Order::Next;
        }
        if before(next, s.seq) {
            self.gap = Some((next, s.seq));
            return Order::AfterGap;
        }
        if answers {
            // Two SYNs crossed, and this acknowledges the other's: its own comes with it (RFC 9293 §3.5, figure 7).
            return Order::Next;
        }
        let first = self.find(s.seq);
        let probes = !s.syn && !s.fin && s.len <= 1 && s.seq == next.wrapping_sub(1);
        if probes && (s.len == 0 || first.is_none()) {
            return Order::KeepAlive;
        }
        match self.gap {
            Some((from, to)) if !before(s.seq, from) && before(s.seq, to) => {
                self.bytes += u64::from(s.len);
                self.gap = Some((end, to)).filter(|_| before(end, to));
                Order::Late
            }
            _ => Order::Again(first.map(|sent| sent.number)),
        }
    }
}
