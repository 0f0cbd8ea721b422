//! Every protocol, one file each: tables of fields and functions over bytes, with no world around them.
//!
//! # How to add a protocol
//!
//! Write one file: a table of fields, a `dissect` that finds the end of the header and what comes next, a `line` for the
//! one-line form, and the `static` that ties them together; a [`Craft`](crate::protocol::Craft) too, if it is to be sent
//! as well. Then add its `mod` line, and its line in [`ALL`]. Every view (tree, JSON, filters, columns) and crafting read
//! the same table, so there is nothing more to do.
//!
//! Here is one, whole: a made-up echo protocol on UDP port 7777, with a version, an urgent flag, a sequence number, and a
//! name after them. Fields with a fixed place are read through the table; `walk` visits those without.
//!
//! ```
//! use std::ops::ControlFlow;
//! use sockwire::{
//!     field::{Field, Kind, Value, Visit},
//!     layer::{Problem, View},
//!     line::Line,
//!     protocol::{Claim, Context, Craft, Dissected, Next, Protocol, Slot},
//!     text::Safe,
//! };
//!
//! const HEADER: usize = 4;
//!
//! static PROTOCOL: Protocol = Protocol {
//!     name: "knock",
//!     label: "KNOCK",
//!     title: "Knock, who is there",
//!     spec: "made up",
//!     claims: &[Claim::UdpPort(7777)],
//!     fields: FIELDS,
//!     dissect,
//!     walk: Some(walk),
//!     line,
//!     addresses: None,
//!     craft: Some(&CRAFT),
//! };
//!
//! // One row a field. `bits` is (byte, bit from the most significant, length in bits).
//! sockwire::fields! {
//!     VERSION = Field::bits("knock.version", "Version", Kind::Uint, (0, 0, 4), "Always 1.");
//!     URGENT = Field::bits("knock.urgent", "Urgent", Kind::Flag, (0, 7, 1), "Open the door now.");
//!     SEQ = Field::at("knock.seq", "Sequence number", Kind::Uint, 2, 16, "Counts knocks.");
//!     NAME = Field::walked("knock.name", "Name", Kind::Text, "Who knocks: a length, then the text.");
//! }
//!
//! // How it is written: `knock(seq=42)` is the header below with another number. `None` where it is only read.
//! static CRAFT: Craft = Craft {
//!     names: &["knock"],
//!     header: &[0x10, 0, 0, 0, 0],
//!     slots: &[Slot::new(&["seq"], &SEQ)],
//!     tail: None,
//!     answers: None,
//! };
//!
//! fn dissect(bytes: &[u8], context: &Context<'_>) -> Dissected {
//!     // `short` tells a packet that the snapshot length cut from one that is malformed.
//!     let Some(&length) = bytes.get(HEADER) else {
//!         return Dissected::short(bytes, context, HEADER + 1);
//!     };
//!     let header = HEADER + 1 + usize::from(length);
//!     if bytes.len() < header {
//!         return Dissected::short(bytes, context, header);
//!     }
//!     let found = Dissected::new(header, Next::Data, context);
//!     match bytes[0] >> 4 {
//!         1 => found,
//!         _ => found.with(Problem::malformed("unknown version")),
//!     }
//! }
//!
//! fn walk(view: &View<'_>, visit: &mut dyn Visit) -> ControlFlow<()> {
//!     match view.header().get(HEADER + 1..) {
//!         Some(name) => visit.field(&NAME, Value::Text(name), view.bits(HEADER + 1, name.len())),
//!         None => ControlFlow::Continue(()),
//!     }
//! }
//!
//! fn line(view: &View<'_>, line: &mut Line) {
//!     // Text from a packet is untrusted: it is only ever shown through `Safe`.
//!     let name = view.header().get(HEADER + 1..).unwrap_or(&[]);
//!     line.say(format_args!("{} knocks", Safe(name)));
//! }
//!
//! // A datagram's payload, as the decoder would hand it over after the UDP header.
//! let bytes = b"\x11\x00\x00\x2a\x03ana!";
//! let context = Context {
//!     wire: bytes.len() as u32,
//!     claim: Claim::UdpPort(7777),
//!     layers: &[],
//!     quoted: false,
//! };
//! let found = (PROTOCOL.dissect)(bytes, &context);
//! assert_eq!((found.header, found.next, found.problem), (8, Next::Data, None));
//!
//! // What a view sees of it.
//! # use sockwire::{frame::{Direction, Frame, KernelChecksum}, layer::{Layer, Packet, ProblemKind}};
//! # use sockwire::{link::LinkType, time::Time};
//! let layers = [Layer {
//!     protocol: &PROTOCOL,
//!     buffer: 0,
//!     quoted: false,
//!     start: 0,
//!     header: found.header,
//!     end: bytes.len() as u32,
//!     wire: found.wire,
//!     problem: found.problem,
//! }];
//! # let frame = Frame {
//! #     number: 1, time: Time::default(), link: LinkType::RAW, interface: 0, direction: Direction::Unknown,
//! #     checksum: KernelChecksum::Unknown, wire_len: bytes.len() as u32, bytes,
//! # };
//! let packet = Packet { frame, layers: &layers, facts: &[], arena: &[], buffers: &[] };
//! let view = packet.view(0).unwrap();
//! assert_eq!(view.value(&SEQ), Some(Value::Uint(42)));
//! assert_eq!(view.value(&URGENT), Some(Value::Bool(true)));
//! assert_eq!(view.payload(), b"!");
//!
//! struct Names(Vec<&'static str>);
//! impl Visit for Names {
//!     fn field(&mut self, field: &'static Field, _: Value<'_>, _: std::ops::Range<u32>) -> ControlFlow<()> {
//!         self.0.push(field.name);
//!         ControlFlow::Continue(())
//!     }
//! }
//! let mut names = Names(Vec::new());
//! let _ = view.visit(&mut names);
//! assert_eq!(names.0, ["knock.version", "knock.urgent", "knock.seq", "knock.name"]);
//!
//! let mut text = Line::default();
//! (PROTOCOL.line)(&view, &mut text);
//! assert_eq!(text.info, "ana knocks");
//!
//! // Six bytes of it: malformed when the packet ends there, and not when the snapshot length cut it.
//! let problem = |wire| (PROTOCOL.dissect)(&bytes[..6], &Context { wire, ..context }).problem.map(|p| p.kind);
//! assert_eq!(problem(6), Some(ProblemKind::Malformed));
//! assert_eq!(problem(9), Some(ProblemKind::Cut));
//! ```

// Links.
pub mod arp;
pub mod ethernet;
pub mod ethertype;
pub mod llc;
pub mod null;
pub mod raw;
pub mod service_vlan;
pub mod sll;
pub mod vlan;

// Tunnels.
pub mod ah;
pub mod cmd;
pub mod erspan;
pub mod geneve;
pub mod gre;
pub mod gtp;
pub mod lisp;
pub mod mpls;
pub mod ppp;
pub mod pppoe;
pub mod pseudowire;
pub mod vxlan;

// Network.
pub mod icmp;
pub mod icmpv6;
pub mod igmp;
pub mod ipv4;
pub mod ipv6;
pub mod ipv6_fraghdr;
pub mod ipv6_options;
pub mod ipv6_routing;
pub mod pim;

// Transport.
pub mod tcp;
pub mod udp;

// Applications.
pub mod dns;
pub mod http;
pub mod websocket;

// The rest.
pub mod data;
pub mod frame;

// No protocols, but what several of them share.
pub mod control;
pub mod fragment;
mod ipproto;
mod making;
mod options;
mod several;
mod verify;
pub mod worked;

#[cfg(test)]
pub(crate) mod testing;

use crate::protocol::Protocol;

/// Every protocol, from the link layer up. A new one is a file, its `mod` line above, and its line here.
pub static ALL: &[&Protocol] = &[
    // Links.
    &ethernet::PROTOCOL,
    &llc::PROTOCOL,
    &sll::V1,
    &sll::V2,
    &null::PROTOCOL,
    &null::LOOP,
    &raw::PROTOCOL,
    &vlan::PROTOCOL,
    &service_vlan::PROTOCOL,
    &arp::PROTOCOL,
    // Tunnels.
    &mpls::PROTOCOL,
    &pseudowire::PROTOCOL,
    &pppoe::DISCOVERY,
    &pppoe::SESSION,
    &ppp::PROTOCOL,
    &gre::PROTOCOL,
    &erspan::PROTOCOL,
    &vxlan::PROTOCOL,
    &cmd::PROTOCOL,
    &gtp::PROTOCOL,
    &lisp::PROTOCOL,
    &geneve::PROTOCOL,
    &ah::PROTOCOL,
    // Network.
    &ipv4::PROTOCOL,
    &icmp::PROTOCOL,
    &igmp::PROTOCOL,
    &ipv6::PROTOCOL,
    &ipv6_options::HOP_BY_HOP,
    &ipv6_options::DESTINATION,
    &ipv6_routing::PROTOCOL,
    &ipv6_fraghdr::PROTOCOL,
    &pim::PROTOCOL,
    &icmpv6::PROTOCOL,
    // Transport.
    &tcp::PROTOCOL,
    &udp::PROTOCOL,
    &udp::LITE,
    // Applications.
    &dns::PROTOCOL,
    &dns::MULTICAST,
    &dns::LINK_LOCAL,
    &http::PROTOCOL,
    &websocket::PROTOCOL,
    // The rest.
    &frame::PROTOCOL,
    &data::PROTOCOL,
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::testing::{chain, seen};

    /// Made-up bytes, the same in every run (xorshift).
    fn noise(seed: &mut u64) -> Vec<u8> {
        let mut next = || {
            *seed ^= *seed << 13;
            *seed ^= *seed >> 7;
            *seed ^= *seed << 17;
            *seed
        };
        let len = next() % 96;
        // Small numbers are frequent, so that lengths and counts often fit.
        (0..len)
            .map(|_| match next() % 3 {
                0 => (next() % 16) as u8,
                _ => next() as u8,
            })
            .collect()
    }

    #[test]
    fn no_protocol_panics_or_points_outside_the_packet_whatever_the_bytes() {
        let mut seed = 0x9e37_79b9_7f4a_7c15;
        for protocol in ALL {
            for &claim in protocol.claims {
                for _ in 0..1000 {
                    let bytes = noise(&mut seed);
                    seen(protocol, claim, &bytes);
                    chain(&[(protocol, claim)], &bytes, bytes.len() + 40);
                }
            }
        }
    }

    #[test]
    fn every_field_is_explained_and_named_once() {
        for protocol in ALL {
            for (index, field) in protocol.fields.iter().enumerate() {
                assert!(!field.title.is_empty(), "{} has no title", field.name);
                assert!(
                    field.doc.ends_with(['.', ')', '?']),
                    "{}: {:?}",
                    field.name,
                    field.doc
                );
                let twin = protocol.fields[..index]
                    .iter()
                    .any(|f| f.name == field.name);
                assert!(!twin, "{} stands twice", field.name);
            }
        }
    }
}
