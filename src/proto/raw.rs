//! Raw IP: a frame that begins with the packet itself, where the version nibble tells IPv4 from IPv6.
//!
//! Spec: LINKTYPE_RAW, LINKTYPE_IPV4 and LINKTYPE_IPV6 of tcpdump.org.

use crate::{
    layer::View,
    line::Line,
    link::LinkType,
    protocol::{Claim, Context, Dissected, Next, Protocol},
};

/// A layer without bytes.
pub static PROTOCOL: Protocol = Protocol {
    name: "raw",
    label: "RAW",
    title: "Raw packet data",
    spec: "LINKTYPE_RAW, LINKTYPE_IPV4, LINKTYPE_IPV6",
    claims: &[
        Claim::Link(LinkType::RAW),
        Claim::Link(LinkType::IPV4),
        Claim::Link(LinkType::IPV6),
    ],
    fields: &[],
    dissect,
    walk: None,
    line,
    addresses: None,
};

fn dissect(bytes: &[u8], context: &Context<'_>) -> Dissected {
    let next = match (context.claim, bytes) {
        // Some PPP devices are captured as raw IP with their address and control bytes.
        (Claim::Link(LinkType::RAW), [0xff, 0x03, ..]) => Next::Claim(Claim::Name("ppp")),
        (_, [first, ..]) if first >> 4 == 4 => Next::Claim(Claim::EtherType(0x0800)),
        (_, [first, ..]) if first >> 4 == 6 => Next::Claim(Claim::EtherType(0x86dd)),
        // The link type says which version it ought to be; that protocol then says what is wrong.
        (Claim::Link(LinkType::IPV4), _) => Next::Claim(Claim::EtherType(0x0800)),
        (Claim::Link(LinkType::IPV6), _) => Next::Claim(Claim::EtherType(0x86dd)),
        _ => Next::Data,
    };
    Dissected::new(0, next, context)
}

fn line(view: &View<'_>, line: &mut Line) {
    line.say(format_args!("len={}", view.layer.wire));
}
