//! User Datagram Protocol: two ports, a length, a checksum, and then whatever the programs agreed on.
//!
//! Spec: RFC 768.
//!
//! ```text
//!  0         2         4         6         8
//! | src port | dst port | length  | checksum | payload …
//! ```

use crate::{
    field::{Field, Kind},
    layer::{Problem, View},
    line::Line,
    protocol::{Claim, Context, Dissected, Next, Protocol},
};

const HEADER: usize = 8;

/// UDP.
pub static PROTOCOL: Protocol = Protocol {
    name: "udp",
    label: "UDP",
    title: "User Datagram Protocol",
    spec: "RFC 768",
    claims: &[Claim::IpProto(17)],
    fields: FIELDS,
    dissect,
    walk: None,
    line,
    addresses: None,
};

crate::fields! {
    SRCPORT = Field::at("udp.srcport", "Source port", Kind::Uint, 0, 16, "The port of the sending socket (RFC 768).");
    DSTPORT = Field::at("udp.dstport", "Destination port", Kind::Uint, 2, 16, "The port of the receiving socket (RFC 768).");
    LENGTH = Field::at("udp.length", "Length", Kind::Uint, 4, 16, "Bytes of header and payload (RFC 768).");
    CHECKSUM = Field::at("udp.checksum", "Checksum", Kind::Hex(4), 6, 16, "Over pseudo-header, header and payload; 0 means none (RFC 768).");
    STREAM = Field::derived("udp.stream", "Stream", Kind::Uint, "Number of the conversation, in order of first packets.");
}

fn dissect(bytes: &[u8], context: &Context<'_>) -> Dissected {
    let Some(header) = bytes.first_chunk::<HEADER>() else {
        return Dissected::short(bytes, context, HEADER);
    };
    let port = |at: usize| u16::from_be_bytes([header[at], header[at + 1]]);
    let (src, dst, length) = (port(0), port(2), u32::from(port(4)));
    let next = Next::Either(Claim::UdpPort(src.min(dst)), Claim::UdpPort(src.max(dst)));
    let mut found = Dissected::new(HEADER, next, context);
    if (HEADER as u32..=context.wire).contains(&length) {
        found.wire = length;
        return found;
    }
    found.with(Problem::malformed("length does not fit the packet"))
}

fn line(view: &View<'_>, line: &mut Line) {
    let ports = (view.u16(0).unwrap_or(0), view.u16(2).unwrap_or(0));
    line.sockets(view.addresses(), ports);
    line.say(format_args!("len={}", view.payload_wire()));
}
