//! The sentences about packets, datagrams, errors and fragments.

use std::net::{IpAddr, SocketAddr};

use super::{Ms, count, packets_of};
use crate::{
    text::Safe,
    track::{
        answers::{
            records::{Datagram, Piece},
            shot::Sum,
        },
        story::{Number, Side},
        stream::Id,
    },
};

pub(in crate::track::answers) fn carries(first: u64, last: u64, text: &str, side: Side) -> String {
    let text = Safe(text.as_bytes());
    let side = side.word();
    if first == last {
        format!("Packet {first} carries \"{text}\", from the {side}.")
    } else {
        format!("\"{text}\" begins in packet {first} and ends in packet {last}, from the {side}.")
    }
}

pub(in crate::track::answers) fn among_datagrams(stream: Id, offset: u64) -> String {
    format!(
        "{stream}: {} of this side's datagrams come before it",
        count(offset as usize, "byte")
    )
}

pub(in crate::track::answers) fn seq_of(seq: Number, len: u32, number: u64) -> String {
    format!(
        "packet {number}: seq {} (raw {}), {}",
        seq.relative,
        seq.raw,
        count(len as usize, "byte")
    )
}

pub(in crate::track::answers) fn offset_of(offset: u64, seq: u32) -> String {
    // The first byte of the stream has the relative number 1.
    let place = offset + 1;
    let within = place.saturating_sub(seq.into());
    format!(
        "it begins at byte {offset} of the stream, counted from 0: relative seq {offset} + 1 = {place}, {within} after the segment's first"
    )
}

pub(in crate::track::answers) fn dns(pairs: usize, syns: usize) -> String {
    format!(
        "{pairs} of {} to an address that a DNS answer in this capture had given.",
        match syns {
            1 => "1 SYN goes".to_owned(),
            n => format!("{n} SYNs go"),
        }
    )
}

pub(in crate::track::answers) fn dns_row(
    syn: u64,
    server: SocketAddr,
    name: &str,
    answer: u64,
) -> String {
    format!("packet {syn}: SYN to {server}, which packet {answer} gave for {name}")
}

pub(in crate::track::answers) fn udp(
    all: usize,
    answered: usize,
    errors: usize,
    silent: usize,
) -> String {
    format!(
        "{}: {answered} answered, {errors} met by an ICMP error, {silent} without an answer.",
        count(all, "datagram")
    )
}

pub(in crate::track::answers) fn exchange(
    request: &Datagram,
    reply: Option<(u64, Ms)>,
    error: Option<(u64, Ms, &str)>,
) -> String {
    let mut text = format!(
        "packet {}: {} to {}",
        request.number,
        count(request.len as usize, "byte"),
        request.destination
    );
    match (reply, error) {
        (None, None) => text.push_str("; no answer"),
        _ => {
            if let Some((number, after)) = reply {
                text.push_str(&format!("; packet {number} answers after {after}"));
            }
            if let Some((number, after, says)) = error {
                text.push_str(&format!(
                    "; packet {number}, ICMP {says}, quotes it after {after}"
                ));
            }
        }
    }
    text
}

pub(in crate::track::answers) fn delays(mean: Ms, jitter: Ms, replies: usize) -> String {
    format!(
        "{replies} replies: {mean} in the mean; from one to the next the delay changes by {jitter} (jitter)"
    )
}

pub(in crate::track::answers) fn checksum(sum: &Sum, number: u64) -> String {
    let (found, right, label) = (sum.found, sum.right(), sum.label);
    match sum.verdict.as_str() {
        "valid" => format!("The {label} checksum of packet {number} is right: 0x{found:04x}."),
        "wrong" => format!(
            "The {label} checksum of packet {number} is wrong: it is 0x{found:04x} and should be 0x{right:04x}."
        ),
        "unfilled" => format!(
            "The {label} checksum of packet {number} is not yet filled in: 0x{found:04x} is only the pseudo-header's sum, and the device was to put 0x{right:04x}."
        ),
        _ if found == 0 => format!("The {label} header of packet {number} has no checksum (0)."),
        _ => format!(
            "Whether the {label} checksum of packet {number} is right cannot be told: the packet is a fragment, or was cut."
        ),
    }
}

pub(in crate::track::answers) fn sum_steps(sum: &Sum) -> Vec<String> {
    let mut steps = Vec::new();
    let mut parts = Vec::new();
    if let Some(p) = &sum.pseudo {
        steps.push(format!(
            "pseudo-header: {} + {} + protocol {} + length {} = 0x{:04x}",
            p.source, p.destination, p.protocol, p.length, p.sum
        ));
        parts.push(p.sum);
    }
    steps.push(format!(
        "{} header, its checksum field taken as 0: 0x{:04x}",
        sum.label, sum.header
    ));
    parts.push(sum.header);
    if sum.len > 0 {
        steps.push(format!(
            "payload, {}: 0x{:04x}",
            count(sum.len, "byte"),
            sum.payload
        ));
        parts.push(sum.payload);
    }
    let parts: Vec<String> = parts.iter().map(|part| format!("0x{part:04x}")).collect();
    steps.push(format!(
        "ones' complement sum: {} = 0x{:04x} (carries added in)",
        parts.join(" + "),
        sum.total()
    ));
    steps.push(format!(
        "checksum = not 0x{:04x} = 0x{:04x}; found 0x{:04x}",
        sum.total(),
        sum.right(),
        sum.found
    ));
    steps
}

pub(in crate::track::answers) fn other_checksum(sum: &Sum) -> String {
    format!(
        "{} header: 0x{:04x} is {}",
        sum.label, sum.found, sum.verdict
    )
}

pub(in crate::track::answers) fn diff(a: u64, b: u64, different: usize, same: usize) -> String {
    format!(
        "Packets {a} and {b} differ in {}; {same} are the same.",
        count(different, "field")
    )
}

/// Fields that differ for a reason, and which.
const REASONS: &[(&str, &str)] = &[
    (
        "ip.id",
        "must: it tells datagrams of one sender apart (RFC 6864)",
    ),
    ("ip.checksum", "must: it sums up the header, which differs"),
    ("ip.len", "must: it counts the payload"),
    ("ip.ttl", "each router takes one off; traceroute sets it"),
    ("ipv6.hlim", "each router takes one off; traceroute sets it"),
    ("ipv6.plen", "must: it counts the payload"),
    (
        "tcp.seq_raw",
        "must, once data, SYN or FIN was sent between",
    ),
    ("tcp.ack_raw", "must, once more has been received"),
    ("tcp.checksum", "must: it sums up what differs"),
    ("udp.checksum", "must: it sums up what differs"),
    ("udp.length", "must: it counts the payload"),
    ("icmp.checksum", "must: it sums up what differs"),
    ("icmpv6.checksum", "must: it sums up what differs"),
    (
        "icmp.seq",
        "must: it tells which reply answers which request",
    ),
];

pub(in crate::track::answers) fn diff_row(
    name: &str,
    left: Option<&str>,
    right: Option<&str>,
) -> String {
    let absent = "(absent)";
    let mut text = format!(
        "{name}: {} | {}",
        left.unwrap_or(absent),
        right.unwrap_or(absent)
    );
    if let Some((_, why)) = REASONS.iter().find(|(field, _)| *field == name) {
        text.push_str(&format!(" – {why}"));
    }
    text
}

/// Bytes that no fragment brought; up to the end where that is `None`.
pub(in crate::track::answers) type Gap = (u32, Option<u32>);

pub(in crate::track::answers) fn fragments(
    pieces: &[&Piece],
    bytes: u32,
    missing: &[Gap],
) -> String {
    let numbers: Vec<u64> = pieces.iter().map(|piece| piece.number).collect();
    let of = pieces.first().map_or(0, |piece| piece.id);
    let name = packets_of(&numbers);
    let forms = if pieces.len() == 1 {
        "is a fragment"
    } else {
        "are fragments"
    };
    match missing {
        [] => format!(
            "{} {forms} of datagram 0x{of:04x}: its {bytes} bytes are complete.",
            capital(&name)
        ),
        _ => format!(
            "{} {forms} of datagram 0x{of:04x}, which is not complete.",
            capital(&name)
        ),
    }
}

fn capital(text: &str) -> String {
    let mut chars = text.chars();
    let first = chars.next().map(|c| c.to_ascii_uppercase());
    first.into_iter().chain(chars).collect()
}

pub(in crate::track::answers) fn piece(p: &Piece) -> String {
    let more = if p.more { "more follow" } else { "the last" };
    format!(
        "packet {}: offset field {} · 8 = {}, {} (up to {}), {more}; {} → {}, protocol {}",
        p.number,
        p.offset / 8,
        p.offset,
        count(p.len as usize, "byte"),
        p.offset.saturating_add(p.len),
        p.addresses.0,
        p.addresses.1,
        p.protocol
    )
}

pub(in crate::track::answers) fn gap((from, to): Gap) -> String {
    match to {
        Some(to) => format!("missing: bytes {from} to {}", to.saturating_sub(1)),
        None => format!("missing: what follows byte {from}; the last fragment is not in it"),
    }
}

pub(in crate::track::answers) fn hops(ttl: u8, by: IpAddr) -> String {
    format!(
        "{by} is {} away: a packet with TTL {ttl} is the first that reached it.",
        count(ttl.into(), "hop")
    )
}

pub(in crate::track::answers) fn not_reached(ttl: u8, by: IpAddr) -> String {
    format!(
        "The destination did not answer; the farthest router that did, {by}, is {} away.",
        count(ttl.into(), "hop")
    )
}

pub(in crate::track::answers) fn hop(
    ttl: u8,
    by: IpAddr,
    rtt: Ms,
    reply_ttl: u8,
    (probe, answer): (u64, u64),
) -> String {
    format!(
        "TTL {ttl}: {by} after {rtt} (packet {answer}, TTL {reply_ttl}), which quotes or answers packet {probe}"
    )
}

pub(in crate::track::answers) fn nat(inside: u64, outside: u64, isn: u32) -> String {
    format!(
        "Packets {inside} and {outside} are the same SYN (raw seq {isn}) on both sides of a translation."
    )
}

pub(in crate::track::answers) fn changed(what: &str, old: &str, new: &str) -> String {
    if old == new {
        format!("{what}: {old}, unchanged")
    } else {
        format!("{what}: {old} became {new}")
    }
}

pub(in crate::track::answers) fn or_none(value: Option<u16>) -> String {
    value.map_or_else(|| "none".to_owned(), |value| value.to_string())
}

pub(in crate::track::answers) fn delay_in_nat(span: Ms) -> String {
    format!("{span} lie between them")
}
