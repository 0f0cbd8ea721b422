//! Two packets side by side: the fields that differ, who changed them, and why.

use std::ops::{ControlFlow, Range};

use crate::{
    field::{Field, Shown, Value, Visit},
    layer::{Packet, View},
};

/// Between which two looks at a packet something changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// From the bytes that were asked for to what left the host.
    Sending,
    /// From one host to the other.
    Travelling,
}

/// A field that differs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// Wireshark's name.
    pub field: &'static str,
    /// Its value in the first packet; `None` when it is not there.
    pub left: Option<String>,
    /// Its value in the second one.
    pub right: Option<String>,
    /// Who did it, and why; empty where no rule knows.
    pub cause: Cause,
}

/// Who changed a field, and why.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cause {
    /// In a word or two.
    pub who: &'static str,
    /// In a sentence.
    pub why: &'static str,
}

/// A field, the step, and what changes it there. The first row counts whose field is the name or begins it with a dot after.
const CAUSES: &[(&str, Step, &str, &str)] = &[
    (
        "ip.id",
        Step::Sending,
        "own kernel",
        "a raw IP socket fills in an identification of zero (raw(7))",
    ),
    (
        "ip.src",
        Step::Sending,
        "own kernel",
        "a raw IP socket fills in a source of zero (raw(7))",
    ),
    (
        "ip.len",
        Step::Sending,
        "own kernel",
        "a raw IP socket always writes the total length (raw(7))",
    ),
    (
        "ip.checksum",
        Step::Sending,
        "own kernel",
        "a raw IP socket always writes the header checksum (raw(7))",
    ),
    (
        "eth",
        Step::Sending,
        "own kernel",
        "the link header is the kernel's: interface and next hop by route and neighbour table",
    ),
    (
        "eth",
        Step::Travelling,
        "router",
        "every link has a link header of its own (RFC 1812 §5.2)",
    ),
    (
        "ip.ttl",
        Step::Travelling,
        "router",
        "each router takes one off (RFC 1812 §5.3.1)",
    ),
    (
        "ipv6.hlim",
        Step::Travelling,
        "router",
        "each router takes one off (RFC 8200 §3)",
    ),
    (
        "ip.dsfield",
        Step::Travelling,
        "router",
        "marks the service or congestion (RFC 2474, RFC 3168)",
    ),
    (
        "ip.flags",
        Step::Travelling,
        "router",
        "fragments what is longer than the next link carries (RFC 791 §3.2)",
    ),
    (
        "ip.frag_offset",
        Step::Travelling,
        "router",
        "fragments what is longer than the next link carries (RFC 791 §3.2)",
    ),
    (
        "ip.src",
        Step::Travelling,
        "NAT",
        "puts its own address in place of the sender's, or back (RFC 3022 §2.2)",
    ),
    (
        "ip.dst",
        Step::Travelling,
        "NAT",
        "puts the true receiver's address back (RFC 3022 §2.2)",
    ),
    (
        "tcp.srcport",
        Step::Travelling,
        "NAT",
        "picks a port that tells connections apart (RFC 3022 §2.2)",
    ),
    (
        "udp.srcport",
        Step::Travelling,
        "NAT",
        "picks a port that tells exchanges apart (RFC 3022 §2.2)",
    ),
    (
        "tcp.dstport",
        Step::Travelling,
        "NAT",
        "puts the true receiver's port back (RFC 3022 §2.2)",
    ),
    (
        "udp.dstport",
        Step::Travelling,
        "NAT",
        "puts the true receiver's port back (RFC 3022 §2.2)",
    ),
    (
        "icmp.ident",
        Step::Travelling,
        "NAT",
        "picks an identifier, as it does a port (RFC 3022 §2.2)",
    ),
    (
        "ip.checksum",
        Step::Travelling,
        "router",
        "follows the header that it covers (RFC 1624)",
    ),
    (
        "tcp.checksum",
        Step::Travelling,
        "NAT",
        "follows the addresses and ports that it covers (RFC 3022 §4.2)",
    ),
    (
        "udp.checksum",
        Step::Travelling,
        "NAT",
        "follows the addresses and ports that it covers (RFC 3022 §4.2)",
    ),
    (
        "icmp.checksum",
        Step::Travelling,
        "NAT",
        "follows the identifier that it covers (RFC 3022 §4.2)",
    ),
];

fn cause(field: &str, step: Step) -> Cause {
    let is_about = |name: &str| {
        field
            .strip_prefix(name)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    };
    let mut rows = CAUSES.iter();
    rows.find(|(name, at, ..)| *at == step && is_about(name))
        .map_or_else(Cause::default, |&(_, _, who, why)| Cause { who, why })
}

/// The fields that differ, in the order of layers and fields. Layers are compared with those of the same protocol, in order;
/// what only one of the packets has is a difference in each of its fields.
pub fn diff(left: &Packet<'_>, right: &Packet<'_>, step: Step) -> Vec<Difference> {
    let (left, right) = (layers(left), layers(right));
    let mut found = Vec::new();
    let mut rest = &right[..];
    for layer in &left {
        let same = |other: &&View<'_>| std::ptr::eq(other.layer.protocol, layer.layer.protocol);
        match rest.iter().position(|other| same(&other)) {
            Some(at) => {
                for only in &rest[..at] {
                    compare(&[], &fields(only), step, &mut found);
                }
                compare(&fields(layer), &fields(&rest[at]), step, &mut found);
                rest = &rest[at + 1..];
            }
            None => compare(&fields(layer), &[], step, &mut found),
        }
    }
    for only in rest {
        compare(&[], &fields(only), step, &mut found);
    }
    found
}

/// The packet's own layers.
fn layers<'a>(packet: &Packet<'a>) -> Vec<View<'a>> {
    let own = |view: &View<'_>| !view.layer.quoted && view.layer.buffer == 0;
    packet.views().filter(own).collect()
}

/// Fields of a layer with their values in words.
fn fields(view: &View<'_>) -> Vec<(&'static Field, String)> {
    struct All(Vec<(&'static Field, String)>);
    impl Visit for All {
        fn field(
            &mut self,
            field: &'static Field,
            value: Value<'_>,
            bits: Range<u32>,
        ) -> ControlFlow<()> {
            // What is only derived follows from what is in the bytes.
            if !bits.is_empty() {
                self.0.push((field, Shown { field, value }.to_string()));
            }
            ControlFlow::Continue(())
        }
    }
    let mut all = All(Vec::new());
    let _ = view.visit(&mut all);
    all.0
}

fn compare(
    left: &[(&'static Field, String)],
    right: &[(&'static Field, String)],
    step: Step,
    found: &mut Vec<Difference>,
) {
    let mut differs = |field: &'static Field, left: Option<&String>, right: Option<&String>| {
        if left != right {
            found.push(Difference {
                field: field.name,
                left: left.cloned(),
                right: right.cloned(),
                cause: cause(field.name, step),
            });
        }
    };
    // A field that repeats is compared with the next one of its name.
    let mut rest = right;
    for (field, value) in left {
        match rest.iter().position(|(other, _)| other.is(field)) {
            Some(at) => {
                for (only, value) in &rest[..at] {
                    differs(only, None, Some(value));
                }
                differs(field, Some(value), Some(&rest[at].1));
                rest = &rest[at + 1..];
            }
            None => differs(field, Some(value), None),
        }
    }
    for (only, value) in rest {
        differs(only, None, Some(value));
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::{
        craft::{Built, NoFiles, NoRoute, Spec, build},
        decode::{Decoded, Decoder},
        link::LinkType,
    };

    fn compared(left: &str, right: &str, step: Step) -> Vec<Difference> {
        let mut decoded = Decoded::default();
        let built: Vec<(Vec<u8>, LinkType)> = [left, right]
            .map(|text| {
                let spec = Spec::parse(text, &NoFiles).unwrap();
                let mut built = Built::default();
                spec.build(0, &NoRoute, &mut built);
                (built.bytes, spec.link().unwrap())
            })
            .into();
        let frames = [0, 1].map(|at: usize| build::packet(&built[at].0, &[], built[at].1).frame);
        for frame in &frames {
            Decoder::default().frame(frame, &mut decoded);
        }
        let packet = |at: usize| decoded.packet_of(frames[at], at).unwrap();
        diff(&packet(0), &packet(1), step)
    }

    const SENT: &str = "ip src=10.0.0.1 dst=10.0.9.2 ttl=64 / udp sport=4000 dport=7 / text=hello";

    #[test]
    fn a_router_and_nat_are_told_by_what_they_change() {
        let arrived = SENT.replace("10.0.0.1", "10.0.9.1").replace("64", "63");
        let found = compared(SENT, &arrived, Step::Travelling);
        let told: Vec<(&str, &str)> = found.iter().map(|d| (d.field, d.cause.who)).collect();
        let expected = [
            ("ip.ttl", "router"),
            ("ip.checksum", "router"),
            ("ip.src", "NAT"),
            ("udp.checksum", "NAT"),
        ];
        assert_eq!(told, expected);
        let ttl = (found[0].left.as_deref(), found[0].right.as_deref());
        assert_eq!(ttl, (Some("64"), Some("63")));
        assert!(compared(SENT, SENT, Step::Travelling).is_empty());
    }

    #[test]
    fn what_only_one_packet_has_differs() {
        let frame = format!("eth dst=02:00:00:00:00:02 / {SENT}");
        let found = compared(SENT, &frame, Step::Sending);
        assert!(
            found
                .iter()
                .all(|d| d.field.starts_with("eth.") && d.left.is_none())
        );
        assert!(
            found
                .iter()
                .any(|d| d.right.as_deref() == Some("02:00:00:00:00:02"))
        );
        assert_eq!(found[0].cause.who, "own kernel");
        let other = compared(
            SENT,
            &SENT.replace("udp sport=4000", "tcp sport=1"),
            Step::Sending,
        );
        assert!(
            other
                .iter()
                .any(|d| d.field == "udp.srcport" && d.right.is_none())
        );
        assert!(
            other
                .iter()
                .any(|d| d.field == "tcp.srcport" && d.left.is_none())
        );
    }

    #[test]
    fn nothing_is_claimed_of_what_no_rule_knows() {
        let found = compared(SENT, &SENT.replace("hello", "jello"), Step::Sending);
        let data = found.iter().find(|d| d.field == "data.data").unwrap();
        assert_eq!(data.cause, Cause::default());
        assert!(
            CAUSES
                .iter()
                .all(|(_, _, who, why)| !who.is_empty() && !why.is_empty())
        );
    }
}
