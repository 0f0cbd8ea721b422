//! What the tests of craft tables share: words to bytes, and bytes to words and back.

use super::{Built, NoFiles, NoRoute, Spec, build, print};
use crate::{
    decode::{Decoded, Decoder},
    link::LinkType,
};

/// The first packet of a specification.
pub(crate) fn built(text: &str) -> Vec<u8> {
    let spec = Spec::parse(text, &NoFiles).unwrap_or_else(|error| panic!("{error}"));
    let mut built = Built::default();
    spec.build(0, &NoRoute, &mut built);
    built.bytes
}

/// What is wrong with a specification, in words.
pub(crate) fn fault(text: &str) -> String {
    match Spec::parse(text, &NoFiles) {
        Ok(_) => panic!("{text} is accepted"),
        Err(error) => error.message,
    }
}

/// A packet that begins with an IP header, in words, which have to give it back.
pub(crate) fn rebuilt(bytes: &[u8]) -> String {
    rebuilt_on(LinkType::RAW, bytes)
}

/// Whether layer `index` of one specification answers that of another.
pub(crate) fn answers(request: &str, reply: &str, index: usize) -> bool {
    let packet = |text: &str| {
        let mut built = Built::default();
        let spec = Spec::parse(text, &NoFiles).unwrap_or_else(|error| panic!("{error}"));
        spec.build(0, &NoRoute, &mut built);
        built
    };
    let (request, reply) = (packet(request), packet(reply));
    let (request, reply) = (request.packet(LinkType::RAW), reply.packet(LinkType::RAW));
    let (Some(request), Some(reply)) = (request.view(index), reply.view(index)) else {
        return false;
    };
    let craft = request.layer.protocol.craft;
    let answers = craft.and_then(|craft| craft.answers);
    answers.is_some_and(|answers| answers(&request, &reply))
}

/// The same of a frame of any link type.
pub(crate) fn rebuilt_on(link: LinkType, bytes: &[u8]) -> String {
    let frame = build::packet(bytes, &[], link).frame;
    let (decoder, mut decoded) = (Decoder::default(), Decoded::default());
    decoder.frame(&frame, &mut decoded);
    let mut words = String::new();
    if let Some(packet) = decoded.packet_of(frame, 0) {
        print(&packet, &mut words);
    }
    assert_eq!(hex::encode(built(&words)), hex::encode(bytes), "{words}");
    words
}
