//! Any bytes as a frame: said in words and built again, they are the same.
#![no_main]

mod parts;

use libfuzzer_sys::fuzz_target;
use sockwire::{
    craft::{Built, NoFiles, NoRoute, Spec, print},
    decode::{Decoded, Decoder},
};

fuzz_target!(|data: &[u8]| {
    let Some((link, batch)) = parts::frame(data) else {
        return;
    };
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
    assert_eq!(built.bytes, data[1..], "{text}");
});
