//! Any bytes as a frame: every view of it is made.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sockwire::{
    decode::{Decoded, Decoder},
    export::json::Records,
    frame::{Batch, Direction, KernelChecksum, Record},
    link::LinkType,
    proto::frame::Around,
    render::{
        line::{self, Lines},
        tree,
    },
    text::is_unsafe,
    time::Time,
    track::Tracker,
};

fuzz_target!(|data: &[u8]| {
    let Some((&link, frame)) = data.split_first() else {
        return;
    };
    // One above 255 is known: Linux cooked, version 2.
    let link = if link == 255 {
        LinkType::LINUX_SLL2
    } else {
        LinkType(link.into())
    };
    let record = Record {
        time: Time::MAX,
        link,
        interface: 0,
        direction: Direction::Unknown,
        checksum: KernelChecksum::Unknown,
        wire_len: frame.len() as u32,
        start: 0,
        len: frame.len() as u32,
    };
    let batch = Batch::owned(frame.to_vec(), vec![record], 1);
    let (decoder, mut decoded) = (Decoder::default(), Decoded::default());
    decoder.batch(&batch, &mut decoded);
    Tracker::default().packet(&decoder, &batch, &mut decoded, 0);
    let Some(packet) = decoded.packet(&batch, 0) else {
        return;
    };
    let around = Around::of(&[], &batch, 0);
    let (mut text, mut json) = (String::new(), Vec::new());
    Lines::new(line::Options::default()).packet(&packet, None, &mut text);
    tree::packet(&packet, &around, tree::Options::default(), &mut text);
    Records::default().packet(&packet, &around, &mut json);
    assert!(
        !text
            .chars()
            .any(|c| is_unsafe(c) && !matches!(c, '\n' | '\t'))
    );
    assert!(json.starts_with(b"{") && str::from_utf8(&json).is_ok());
});
