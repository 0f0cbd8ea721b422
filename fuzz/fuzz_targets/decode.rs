//! Any bytes as a frame: every view of it is made.
#![no_main]

mod parts;

use libfuzzer_sys::fuzz_target;
use sockwire::{
    decode::{Decoded, Decoder},
    export::json::Records,
    proto::frame::Around,
    render::{
        line::{self, Lines},
        tree,
    },
    text::is_unsafe,
    track::Tracker,
};

fuzz_target!(|data: &[u8]| {
    let Some((_, batch)) = parts::frame(data) else {
        return;
    };
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
