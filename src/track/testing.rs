//! What tests of views share: packets made up from hexadecimal digits, decoded and tracked.
#![allow(clippy::unwrap_used)]

use super::Tracker;
use crate::{
    decode::{Decoded, Decoder},
    frame::{Batch, Direction, KernelChecksum, Record},
    link::LinkType,
    time::Time,
};

/// An Ethernet frame with an IPv4 datagram from 10.0.0.1:5353 to 10.0.0.2:53 that carries `hello`.
pub(crate) const UDP: &str = "020000000002 020000000001 0800 \
    45000021000100004011 66c9 0a000001 0a000002 14e9 0035 000d 0000 68656c6c6f";

/// A batch of frames given as hexadecimal digits (spaces allowed), 1.5 ms apart, tracked; the last byte
/// that `cut` names is the last one captured.
pub(crate) fn batch(link: LinkType, frames: &[&str], cut: usize) -> (Batch, Decoded) {
    let mut data = Vec::new();
    let mut records = Vec::new();
    for (index, digits) in frames.iter().enumerate() {
        let digits: String = digits.split_whitespace().collect();
        let bytes = hex::decode(digits).unwrap();
        let kept = &bytes[..bytes.len().min(cut)];
        records.push(Record {
            time: Time::from_nanos(1_700_000_000_000_000_123 + 1_500_000 * index as i64),
            link,
            interface: 0,
            direction: Direction::Unknown,
            checksum: KernelChecksum::Unknown,
            wire_len: bytes.len() as u32,
            start: data.len() as u32,
            len: kept.len() as u32,
        });
        data.extend_from_slice(kept);
    }
    let batch = Batch::owned(data, records, 1);
    let (decoder, mut tracker, mut decoded) =
        (Decoder::default(), Tracker::default(), Decoded::default());
    decoder.batch(&batch, &mut decoded);
    for index in 0..batch.len() {
        tracker.packet(&decoder, &batch, &mut decoded, index);
    }
    (batch, decoded)
}
