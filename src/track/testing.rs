//! What tests of views share: packets made up from hexadecimal digits, decoded and tracked.
#![allow(clippy::unwrap_used)]

use super::{
    Tracker,
    answers::{Evidence, Want},
};
use crate::{
    checksum,
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

/// An IPv4 packet from 10.0.0.1 to 10.0.0.2 or, not `forward`, back; `id` is its identification.
pub(crate) fn ip(
    forward: bool,
    proto: u8,
    (id, fragment, ttl): (u16, u16, u8),
    payload: &[u8],
) -> Vec<u8> {
    let (from, to) = (
        [10, 0, 0, if forward { 1 } else { 2 }],
        [10, 0, 0, if forward { 2 } else { 1 }],
    );
    let mut bytes = vec![0x45, 0];
    bytes.extend((20 + payload.len() as u16).to_be_bytes());
    bytes.extend(id.to_be_bytes());
    bytes.extend(fragment.to_be_bytes());
    bytes.extend([ttl, proto, 0, 0]);
    bytes.extend([from, to].concat());
    let sum = checksum::finish(checksum::sum(0, &bytes));
    bytes[10..12].copy_from_slice(&sum.to_be_bytes());
    bytes.extend(payload);
    bytes
}

/// A TCP segment between port 1000 of 10.0.0.1 and port 80 of 10.0.0.2, its checksum wrong.
pub(crate) fn tcp(
    forward: bool,
    flags: u8,
    (seq, ack): (u32, u32),
    options: &[u8],
    data: &[u8],
) -> Vec<u8> {
    let ports: [u16; 2] = if forward { [1000, 80] } else { [80, 1000] };
    let mut bytes: Vec<u8> = ports.iter().flat_map(|port| port.to_be_bytes()).collect();
    bytes.extend(seq.to_be_bytes());
    bytes.extend(ack.to_be_bytes());
    bytes.extend([(5 + options.len() as u8 / 4) << 4, flags, 1, 0, 0, 0, 0, 0]);
    bytes.extend(options);
    bytes.extend(data);
    ip(forward, 6, (7, 0, 64), &bytes)
}

/// What questions and checks get of these packets, each with its milliseconds.
pub(crate) fn evidence(want: Want, packets: &[(i64, Vec<u8>)]) -> Evidence {
    let (mut data, mut records) = (Vec::new(), Vec::new());
    for (millis, bytes) in packets {
        records.push(Record {
            time: Time::from_nanos(millis * 1_000_000),
            link: LinkType::RAW,
            interface: 0,
            direction: Direction::Unknown,
            checksum: KernelChecksum::Unknown,
            wire_len: bytes.len() as u32,
            start: data.len() as u32,
            len: bytes.len() as u32,
        });
        data.extend_from_slice(bytes);
    }
    let batch = Batch::owned(data, records, 1);
    let (decoder, mut tracker, mut decoded) =
        (Decoder::default(), Tracker::default(), Decoded::default());
    decoder.batch(&batch, &mut decoded);
    let mut evidence = Evidence::new(want);
    for index in 0..batch.len() {
        tracker.packet(&decoder, &batch, &mut decoded, index);
        evidence.packet(&decoded.packet(&batch, index).unwrap());
    }
    evidence.finish();
    evidence
}
