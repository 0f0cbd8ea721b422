//! Any text as a display filter: it is refused, or runs on any decoded frame.
#![no_main]

mod parts;

use libfuzzer_sys::fuzz_target;
use sockwire::{
    decode::{Decoded, Decoder},
    filter::DisplayFilter,
    frame::{Batch, Direction, KernelChecksum, Record},
    link::LinkType,
    proto::frame::Around,
    time::Time,
};

fuzz_target!(|data: &[u8]| {
    let Some((expression, frame)) = parts::parts(data) else {
        return;
    };
    let Ok(filter) = DisplayFilter::compile(expression, &parts::Few) else {
        return;
    };
    let record = Record {
        time: Time::MAX,
        link: LinkType::ETHERNET,
        interface: 0,
        direction: Direction::Unknown,
        checksum: KernelChecksum::Unknown,
        wire_len: frame.len() as u32,
        start: 0,
        len: frame.len() as u32,
    };
    let batch = Batch::owned(frame.to_vec(), vec![record], 1);
    let mut decoded = Decoded::default();
    Decoder::default().batch(&batch, &mut decoded);
    if let Some(packet) = decoded.packet(&batch, 0) {
        filter.matches(&packet, &Around::of(&[], &batch, 0));
    }
});
