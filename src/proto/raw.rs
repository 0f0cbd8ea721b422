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
    craft: None,
};

fn dissect(bytes: &[u8], context: &Context<'_>) -> Dissected {
    let next = match (context.claim, bytes) {
        // Some PPP devices are captured as raw IP with their address and control bytes.
        (Claim::Link(LinkType::RAW), [0xff, 0x03, ..]) => Next::Claim(Claim::Name("ppp_hdlc")),
        (_, [first, ..]) if first >> 4 == 4 => Next::Claim(Claim::EtherType(0x0800)),
        (_, [first, ..]) if first >> 4 == 6 => Next::Claim(Claim::EtherType(0x86dd)),
        // The link type says which version it ought to be; that protocol then says what is wrong.
        (Claim::Link(LinkType::IPV4), _) => Next::Claim(Claim::EtherType(0x0800)),
        (Claim::Link(LinkType::IPV6), _) => Next::Claim(Claim::EtherType(0x86dd)),
        _ => Next::Data,
    };
    Dissected::new(0, next, context)
}

/// Nothing of its own: what follows speaks.
fn line(_: &View<'_>, _: &mut Line) {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::testing::seen;

    #[test]
    fn the_version_nibble_decides_and_then_the_link_type() {
        let next = |link, first| seen(&PROTOCOL, Claim::Link(link), &[first, 0x03]).next;
        let (v4, v6) = (
            Next::Claim(Claim::EtherType(0x0800)),
            Next::Claim(Claim::EtherType(0x86dd)),
        );
        assert_eq!(next(LinkType::RAW, 0x45), v4);
        assert_eq!(next(LinkType::RAW, 0x60), v6);
        assert_eq!(next(LinkType::RAW, 0x12), Next::Data);
        assert_eq!(
            next(LinkType::RAW, 0xff),
            Next::Claim(Claim::Name("ppp_hdlc"))
        );
        assert_eq!(next(LinkType::IPV4, 0x60), v6);
        assert_eq!(next(LinkType::IPV4, 0x12), v4);
        assert_eq!(next(LinkType::IPV6, 0x12), v6);
    }

    #[test]
    fn an_empty_frame_is_no_fault() {
        let found = seen(&PROTOCOL, Claim::Link(LinkType::RAW), &[]);
        assert_eq!((found.layer.header, found.problem()), (0, None));
    }
}
