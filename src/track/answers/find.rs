//! Looks for bytes in one direction of a TCP connection, also across segments, while they pass.

use crate::proto::tcp::{Segment, flag};

/// The longest text that is looked for across segments, in bytes.
const LONGEST: usize = 4096;
/// Segments that a text may lie in.
const PIECES: usize = 64;

/// One direction. Only bytes that come next in order count; what was sent again is not looked at twice.
#[derive(Debug, Default)]
pub(super) struct Finder {
    /// The sequence number that comes next, and the bytes before it.
    next: Option<u32>,
    bytes: u64,
    /// The last bytes, one less than are looked for.
    tail: Vec<u8>,
    /// Packets of the last bytes: where each begins, oldest first.
    pieces: Vec<(u64, u64)>,
    found: bool,
}

impl Finder {
    /// Takes a segment that carries `payload`. When it ends the first occurrence of `needle`: the packets in which that
    /// begins and ends, and the bytes of the stream before it.
    pub(super) fn segment(
        &mut self,
        segment: &Segment,
        payload: &[u8],
        number: u64,
        needle: &[u8],
    ) -> Option<((u64, u64), u64)> {
        if segment.has(flag::SYN) {
            self.next = Some(segment.seq.wrapping_add(1));
            return None;
        }
        if self.found || payload.is_empty() || needle.is_empty() {
            return None;
        }
        let next = *self.next.get_or_insert(segment.seq);
        let skip = next.wrapping_sub(segment.seq) as i32;
        if skip < 0 {
            // A gap: what lies on both sides of it does not belong together.
            self.tail.clear();
            self.pieces.clear();
            self.bytes += u64::from(skip.unsigned_abs());
        }
        let new = payload.get(usize::try_from(skip).unwrap_or(0)..)?;
        self.next = Some(segment.seq.wrapping_add(payload.len() as u32));
        let before = self.bytes - self.tail.len() as u64;
        if self.pieces.len() == PIECES {
            self.pieces.remove(0);
        }
        self.pieces.push((self.bytes, number));
        self.bytes += new.len() as u64;
        let tail = self.tail.len();
        self.tail.extend_from_slice(new);
        if let Some(at) = memchr::memmem::find(&self.tail, needle) {
            self.found = true;
            let offset = before + at as u64;
            let of = |place| {
                let piece = self.pieces.iter().rev().find(|(start, _)| *start <= place);
                piece.map_or(number, |(_, number)| *number)
            };
            let last = offset + needle.len() as u64 - 1;
            return Some(((of(offset), of(last)), offset));
        }
        let kept = (needle.len() - 1).min(LONGEST).min(tail + new.len());
        self.tail.drain(..self.tail.len() - kept);
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn data(seq: u32, flags: u16) -> Segment {
        Segment {
            ports: (1, 2),
            seq,
            ack: 0,
            flags,
            window: 0,
            len: 0,
            partial: false,
        }
    }

    #[test]
    fn finds_across_segments_and_the_wrap_and_not_across_a_gap() {
        let mut finder = Finder::default();
        finder.segment(&data(u32::MAX - 2, flag::SYN), b"", 1, b"POST");
        let mut take = |seq: u32, bytes: &[u8], number| {
            finder.segment(&data(seq, flag::ACK), bytes, number, b"POST")
        };
        assert_eq!(take(u32::MAX - 1, b"xP", 2), None);
        // Sent again, and more of it.
        assert_eq!(take(u32::MAX - 1, b"xPO", 3), None);
        assert_eq!(take(1, b"ST /", 4), Some(((2, 4), 1)));
        assert_eq!(take(5, b"POST", 5), None);
        let mut finder = Finder::default();
        finder.segment(&data(0, flag::ACK), b"PO", 1, b"POST");
        assert_eq!(
            finder.segment(&data(9, flag::ACK), b"ST POST", 2, b"POST"),
            Some(((2, 2), 12))
        );
    }
}
