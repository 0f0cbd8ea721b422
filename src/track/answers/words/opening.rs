//! The sentences about the handshake and what follows from it.

use std::net::SocketAddr;

use super::{Ms, count};
use crate::{
    proto::tcp::{Offers, flag},
    track::{
        answers::{Segment, opening::InForce},
        story::{Number, Side},
    },
};

pub(in crate::track::answers) fn isn(numbers: &[(Side, u32, u64)]) -> String {
    let each: Vec<String> = numbers
        .iter()
        .map(|(side, raw, number)| format!("the {}'s is {raw} (packet {number})", side.word()))
        .collect();
    let both = if each.len() == 2 {
        "both count"
    } else {
        "it counts"
    };
    format!(
        "Of the initial sequence numbers, {}; {both} as relative 0.",
        each.join(" and ")
    )
}

pub(in crate::track::answers) fn isn_step(side: Side, raw: u32, number: u64) -> String {
    let first = raw.wrapping_add(1);
    format!(
        "{}: SYN in packet {number}, raw {raw} = relative 0; its first byte of data is raw {first} = relative 1, since the SYN counts as one",
        side.word()
    )
}

pub(in crate::track::answers) fn handshake([syn, answer, ack]: [u64; 3]) -> String {
    format!(
        "Packets {syn}, {answer} and {ack} are the handshake: SYN, SYN,ACK, ACK. Each ack is the other side's seq plus 1."
    )
}

pub(in crate::track::answers) fn shake_syn(number: u64, seq: Number) -> String {
    format!(
        "packet {number}: SYN, seq {} (raw {})",
        seq.relative, seq.raw
    )
}

pub(in crate::track::answers) fn shake_ack(
    number: u64,
    name: &str,
    seq: Number,
    ack: Number,
    of: u64,
) -> String {
    let (before, raw) = (ack.relative.wrapping_sub(1), ack.raw.wrapping_sub(1));
    format!(
        "packet {number}: {name}, seq {} (raw {}), ack {} = seq {before} of packet {of} + 1: the SYN counts as one (raw {} = {raw} + 1)",
        seq.relative, seq.raw, ack.relative, ack.raw
    )
}

pub(in crate::track::answers) fn handshake_rtt(
    all: Ms,
    syn: u64,
    ack: u64,
    nearer: Option<Side>,
) -> String {
    let place = match nearer {
        Some(side) => format!(
            "It was captured near the {}: what was measured is mostly the way to the {} and back.",
            side.word(),
            side.other().word()
        ),
        None => "It was captured near neither end: both halves count.".to_owned(),
    };
    format!("The handshake took {all}, from packet {syn} to packet {ack}. {place}")
}

pub(in crate::track::answers) fn half(span: Ms, from: u64, to: u64, over: Side) -> String {
    format!(
        "{span} from packet {from} to packet {to}: from here to the {} and back",
        over.word()
    )
}

pub(in crate::track::answers) fn halves(out: Ms, back: Ms, all: Ms) -> String {
    // Rounded figures may not add up: nanoseconds are told where the capture has them.
    let decimals = if [out, back].iter().all(|ms| ms.0 % 1000 == 0) {
        3
    } else {
        6
    };
    let [out, back, all] = [out, back, all].map(|ms| ms.0 as f64 / 1e6);
    format!("{out:.decimals$} + {back:.decimals$} = {all:.decimals$} ms")
}

pub(in crate::track::answers) fn in_force(force: &InForce) -> String {
    let mut parts = vec![format!(
        "segments of at most {} bytes from the client and {} from the server",
        force.mss[0], force.mss[1]
    )];
    if let Some([a, b]) = force.scales {
        parts.push(format!(
            "windows in units of {} (client) and {} (server) bytes",
            scale(a),
            scale(b)
        ));
    }
    let on_off = |on: bool, what: &str| format!("{}{what}", if on { "" } else { "no " });
    parts.push(on_off(force.sack, "selective acknowledgments"));
    parts.push(on_off(force.timestamps, "timestamps"));
    format!("In force: {}.", parts.join("; "))
}

/// A window's unit: shifts above 14 count as 14 (RFC 7323 §2.3).
fn scale(shift: u8) -> u32 {
    1 << shift.min(14)
}

pub(in crate::track::answers) fn one_offer(number: u64) -> String {
    format!("Only the SYN of packet {number} was captured: what is in force cannot be told.")
}

pub(in crate::track::answers) fn offer(side: Side, number: u64, offers: &Offers) -> String {
    let mss = offers
        .mss
        .map_or_else(|| "no MSS".to_owned(), |mss| format!("MSS {mss}"));
    let ws = offers.window_scale.map_or_else(
        || "no window scale".to_owned(),
        |ws| format!("window scale {ws} (times {})", scale(ws)),
    );
    let with = |on: bool, what: &str| {
        if on {
            what.to_owned()
        } else {
            format!("no {what}")
        }
    };
    format!(
        "packet {number}, the {}: {mss}, {ws}, {}, {}",
        side.word(),
        with(offers.sack_permitted, "SACK"),
        with(offers.timestamps.is_some(), "timestamps")
    )
}

pub(in crate::track::answers) fn rules(force: &InForce) -> [String; 2] {
    let used = |on: bool| if on { "both did" } else { "they did not both" };
    [
        "each side sends segments no larger than the other's MSS; without the option, 536"
            .to_owned(),
        format!(
            "the others hold only where both SYNs have them: window scale, {}; SACK, {}; timestamps, {}",
            used(force.scales.is_some()),
            used(force.sack),
            used(force.timestamps)
        ),
    ]
}

pub(in crate::track::answers) fn next_segment(segments: usize) -> String {
    format!(
        "After the {} captured, the next segment in the window of the other side has these numbers.",
        count(segments, "segment")
    )
}

pub(in crate::track::answers) fn next_seq(
    side: Side,
    ends: [SocketAddr; 2],
    newest: &Segment,
    seq: u32,
) -> String {
    let (from, to) = (ends[side as usize], ends[side.other() as usize]);
    let bytes = match (newest.len, newest.has(flag::SYN) || newest.has(flag::FIN)) {
        (len, false) => count(len as usize, "byte"),
        (0, true) => "1 for its SYN or FIN".to_owned(),
        (len, true) => format!("{} + 1 for its SYN or FIN", count(len as usize, "byte")),
    };
    format!(
        "from the {}, {from} → {to}: seq {} = {} of packet {} + {bytes} (raw {seq} = {:#010x})",
        side.word(),
        newest.next(),
        newest.seq.relative,
        newest.number,
        seq
    )
}

pub(in crate::track::answers) fn next_ack(ack: u32, number: u64) -> String {
    format!("  its ack is what follows packet {number} of the other side: raw {ack} = {ack:#010x}")
}

pub(in crate::track::answers) fn in_window(ack: u32, window: u32, number: u64) -> String {
    let end = ack.wrapping_add(window);
    format!(
        "  packet {number} accepts raw seq from {ack} up to, not including, {ack} + window {window} = {end} (modulo 2^32)"
    )
}
