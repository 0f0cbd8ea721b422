//! Which call gave which bytes of a stream: sends queue in order of entering, and the wire shows how far they have come.

use std::{collections::BTreeMap, ops::Range};

use crate::{
    call::Data,
    event::{CallId, Part},
    timeline::Ground,
};

/// Calls at once on one socket that are told apart.
const AT_ONCE: usize = 64;
/// Pieces that are remembered: what is sent again is not older.
const PIECES: usize = 65_536;
/// Calls among which the first one of a stream that was joined in its middle is looked for.
const FIRST: usize = 8;

/// What a call is to send.
#[derive(Debug)]
struct Sending {
    entered: u64,
    /// When it returned, and how much it had sent by then.
    returned: Option<(u64, u64)>,
    asked: u64,
    /// Of what it asked, what the wire has shown.
    given: u64,
    parts: Vec<Data>,
}

/// Bytes of one call: up to where the next piece starts. Without a call, nobody knows who sent them.
#[derive(Debug)]
struct Piece {
    start: u64,
    by: Option<(CallId, Ground)>,
}

/// The sending half of a socket.
#[derive(Debug)]
pub(super) struct Outgoing {
    /// Without gaps, by where they start.
    pieces: Vec<Piece>,
    /// Where the last piece ends; unknown until the calls of a socket that is older than the watch are found on the wire.
    end: Option<u64>,
    waiting: BTreeMap<CallId, Sending>,
    /// A call that had begun before the watch gives more of the stream, nobody knows how much.
    goes_on: bool,
}

impl Default for Outgoing {
    fn default() -> Self {
        Self {
            pieces: Vec::new(),
            end: Some(0),
            waiting: BTreeMap::new(),
            goes_on: false,
        }
    }
}

impl Sending {
    fn left(&self) -> u64 {
        let all = self.returned.map_or(self.asked, |(_, moved)| moved);
        all.saturating_sub(self.given)
    }

    /// What it sends from `at` on, as far as that is kept.
    fn content(&self, mut at: u64) -> &[u8] {
        for part in &self.parts {
            let len = part.len as u64;
            if at < len {
                return part.head.get(at as usize..).unwrap_or(&[]);
            }
            at -= len;
        }
        &[]
    }
}

impl Outgoing {
    /// The stream had begun before its calls were watched, which had given it up to `end`.
    pub(super) fn midway(&mut self, end: Option<u64>) {
        if self.pieces.is_empty() {
            self.end = end.filter(|_| !self.goes_on);
        }
    }

    /// A call that had begun before the watch goes on.
    pub(super) fn goes_on(&mut self) {
        self.goes_on = true;
        self.midway(None);
    }

    /// A call enters, the `at`-th thing to happen.
    pub(super) fn entered(&mut self, call: CallId, at: u64, parts: &[Part]) {
        let parts: Vec<Data> = parts.iter().map(|part| part.data.clone()).collect();
        let asked = parts
            .iter()
            .fold(0u64, |sum, part| sum.saturating_add(part.len as u64));
        if asked > 0 {
            let sending = Sending {
                entered: at,
                returned: None,
                asked,
                given: 0,
                parts,
            };
            self.waiting.insert(call, sending);
        }
    }

    /// A call returns, having sent `moved` bytes.
    pub(super) fn returned(&mut self, call: CallId, at: u64, moved: u64) {
        if let Some(sending) = self.waiting.get_mut(&call) {
            sending.returned = Some((at, moved));
            if sending.left() == 0 {
                self.waiting.remove(&call);
            }
        }
    }

    /// The wire shows new bytes of the stream; how they begin is in `data`.
    pub(super) fn shown(&mut self, bytes: Range<u64>, data: &[u8]) {
        if self.end.is_none() {
            self.end = self.find(bytes.start, data);
        }
        let Some(mut end) = self.end else {
            return;
        };
        while end < bytes.end {
            let ahead = end.checked_sub(bytes.start);
            let ahead = ahead.and_then(|n| data.get(usize::try_from(n).ok()?..));
            let chosen = self.choose(ahead.unwrap_or(&[]));
            let len = match chosen {
                Some((call, _)) => self.give(call, bytes.end - end),
                None => bytes.end - end,
            };
            if self.pieces.last().is_none_or(|piece| piece.by != chosen) {
                self.pieces.push(Piece {
                    start: end,
                    by: chosen,
                });
            }
            if self.pieces.len() > PIECES {
                self.pieces.drain(..PIECES / 2);
            }
            end += len;
            self.end = Some(end);
        }
    }

    /// The calls that gave `bytes`, with their parts of them.
    pub(super) fn of(
        &self,
        bytes: Range<u64>,
    ) -> impl Iterator<Item = (CallId, Range<u64>, Ground)> {
        let first = self
            .pieces
            .partition_point(|piece| piece.start <= bytes.start)
            .saturating_sub(1);
        let end = self.end.unwrap_or(0);
        let ends = self.pieces.iter().skip(first + 1).map(|piece| piece.start);
        self.pieces
            .iter()
            .skip(first)
            .zip(ends.chain([end]))
            .take_while(move |(piece, _)| piece.start < bytes.end)
            .filter_map(move |(piece, end)| {
                let (call, ground) = piece.by?;
                let part = piece.start.max(bytes.start)..end.min(bytes.end);
                (!part.is_empty()).then_some((call, part, ground))
            })
    }

    /// The call takes part in the stream for up to `most` bytes more.
    fn give(&mut self, call: CallId, most: u64) -> u64 {
        let Some(sending) = self.waiting.get_mut(&call) else {
            return most;
        };
        let len = sending.left().min(most);
        sending.given += len;
        if sending.left() == 0 {
            self.waiting.remove(&call);
        }
        len
    }

    /// Who sends what comes next, of which `data` is known. Calls that did not overlap in time follow each other; of those
    /// that did, the content tells, and where it does not, the order of entering.
    fn choose(&self, data: &[u8]) -> Option<(CallId, Ground)> {
        let mut horizon = u64::MAX;
        let at_once = self
            .waiting
            .iter()
            .take_while(|(_, sending)| {
                let overlaps = sending.entered < horizon;
                if let Some((at, _)) = sending.returned {
                    horizon = horizon.min(at);
                }
                overlaps
            })
            .take(AT_ONCE);
        let mut several = false;
        let mut best: Option<(CallId, u32)> = None;
        for (&call, sending) in at_once {
            several |= best.is_some();
            let fit = fit(sending.content(sending.given), data, sending.given > 0);
            if best.is_none_or(|(_, most)| fit > most) {
                best = Some((call, fit));
            }
        }
        let (call, fit) = best?;
        let ground = match (several, fit > BEGUN) {
            (false, _) => Ground::Sequence,
            (true, true) => Ground::Content,
            (true, false) => Ground::Order,
        };
        Some((call, ground))
    }

    /// Where in the stream the first call begins whose content lies in a segment; by order where there is no content.
    /// Calls before that one were over before the watch saw what they sent.
    fn find(&mut self, start: u64, data: &[u8]) -> Option<u64> {
        let (call, place) = self
            .waiting
            .iter()
            .take(FIRST)
            .find_map(|(&call, sending)| {
                let head = sending.content(0);
                let place = if head.is_empty() {
                    Some(0)
                } else {
                    lies(data, head)
                };
                place.map(|place| (call, place))
            })?;
        self.waiting = self.waiting.split_off(&call);
        Some(start.saturating_add(place as u64))
    }
}

/// It has begun, and nothing speaks against its going on.
const BEGUN: u32 = 2;

/// How well `content` fits `data`: 0 where they differ, 1 or [`BEGUN`] where nothing can be said, else more for more bytes.
fn fit(content: &[u8], data: &[u8], begun: bool) -> u32 {
    let len = content.len().min(data.len());
    match len {
        0 if begun => BEGUN,
        0 => 1,
        _ if content[..len] == data[..len] => BEGUN.saturating_add(len as u32),
        _ => 0,
    }
}

/// Where in `data` the bytes of `head` begin, as far as both go on.
pub(super) fn lies(data: &[u8], head: &[u8]) -> Option<usize> {
    let needle = &head[..head.len().min(8)];
    memchr::memmem::find_iter(data, needle).take(4).find(|&at| {
        let len = head.len().min(data.len() - at);
        data[at..at + len] == head[..len]
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_long_stream_the_last_calls_are_remembered() {
        let mut out = Outgoing::default();
        let part = [Part {
            data: Data::of(b"x"),
            address: None,
        }];
        let all = 4 * PIECES as u64;
        for call in 0..all {
            out.entered(call, call, &part);
            out.returned(call, call, 1);
            out.shown(call..call + 1, b"x");
        }
        let of = |at: u64| out.of(at..at + 1).map(|tie| tie.0).collect::<Vec<_>>();
        assert!(out.pieces.len() <= PIECES);
        assert_eq!(
            [of(all - 1), of(all - 1000), of(0)],
            [vec![all - 1], vec![all - 1000], vec![]]
        );
    }
}
