//! Any bytes as a frame: said in words and built again, they are the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sockwire::{
    craft::{Built, NoFiles, NoRoute, Spec, print},
    decode::{Decoded, Decoder},
    frame::{Batch, Direction, KernelChecksum, Record},
    link::LinkType,
    time::Time,
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
    let mut decoded = Decoded::default();
    Decoder::default().batch(&batch, &mut decoded);
    let Some(packet) = decoded.packet(&batch, 0) else {
        return;
    };
    let mut text = String::new();
    print(&packet, &mut text);
    let spec = Spec::parse(&text, &NoFiles).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(spec.link(), Some(link), "{text}");
    let mut built = Built::default();
    spec.build(0, &NoRoute, &mut built);
    assert_eq!(built.bytes, frame, "{text}");
});
