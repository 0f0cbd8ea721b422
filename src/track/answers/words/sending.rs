//! The sentences about what is sent.

use super::{Bare, Ms, count, packets_of};
use crate::{
    proto::tcp::flag,
    track::{answers::Segment, story::Side, tcp::Estimate},
};

pub(in crate::track::answers) fn rtt(
    side: Side,
    samples: usize,
    last: &Estimate,
    ack: u64,
) -> String {
    format!(
        "The {} measured {}; after packet {ack} its EstimatedRTT is {}, DevRTT {} and RTO {} (RFC 6298; the SYN's round trip counts too).",
        side.word(),
        count(samples, "round trip"),
        Ms(last.srtt),
        Ms(last.rttvar),
        Ms(last.rto)
    )
}

pub(in crate::track::answers) const RTT_HEAD: &str =
    "packet        seq    len  ACK in   Sample Estimated       Dev       RTO  (ms)";

pub(in crate::track::answers) fn rtt_row(
    packet: u64,
    segment: Option<&Segment>,
    ack: u64,
    rtt: i64,
    e: &Estimate,
) -> String {
    let (seq, len) = segment.map_or((0, 0), |s| (s.seq.relative, s.len));
    format!(
        "{packet:>6} {seq:>10} {len:>6} {ack:>7} {:>8} {:>9} {:>9} {:>9}",
        Bare(rtt),
        Bare(e.srtt),
        Bare(e.rttvar),
        Bare(e.rto)
    )
}

pub(in crate::track::answers) fn first_estimate(e: &Estimate, sample: i64) -> [String; 2] {
    [
        format!(
            "first row: Estimated = Sample = {}, Dev = Sample / 2 = {}",
            Bare(sample),
            Bare(e.rttvar)
        ),
        format!(
            "RTO = Estimated + 4 · Dev = {} + 4 · {}, and at least 1000 ms",
            Bare(e.srtt),
            Bare(e.rttvar)
        ),
    ]
}

pub(in crate::track::answers) fn next_estimate(
    before: &Estimate,
    sample: i64,
    e: &Estimate,
    row: usize,
) -> [String; 2] {
    [
        format!(
            "row {row}: Dev = 0.75 · {} + 0.25 · |{} − {}| = {}",
            Bare(before.rttvar),
            Bare(before.srtt),
            Bare(sample),
            Bare(e.rttvar)
        ),
        format!(
            "row {row}: Estimated = 0.875 · {} + 0.125 · {} = {}",
            Bare(before.srtt),
            Bare(sample),
            Bare(e.srtt)
        ),
    ]
}

pub(in crate::track::answers) fn in_flight(
    side: Side,
    most: u32,
    at: u64,
    now: u32,
    last: u64,
) -> String {
    format!(
        "At most {} of the {} were in flight, at packet {at}; after its last data, packet {last}, it was {now}.",
        count(most as usize, "byte"),
        side.word()
    )
}

pub(in crate::track::answers) fn flight_sum(
    s: &Segment,
    heard: Option<&Segment>,
    bytes: u32,
) -> String {
    match heard {
        Some(ack) => format!(
            "packet {}: sent up to seq {}, acknowledged up to {} (packet {}): {bytes} in flight",
            s.number,
            s.seq.relative.wrapping_add(s.len),
            ack.ack.relative,
            ack.number
        ),
        None => format!(
            "packet {}: sent up to seq {}, nothing acknowledged before: {bytes} in flight",
            s.number,
            s.seq.relative.wrapping_add(s.len)
        ),
    }
}

pub(in crate::track::answers) const FLIGHT_HEAD: &str =
    "packet         ms         seq    len  in flight";

pub(in crate::track::answers) fn flight_row(s: &Segment, bytes: u32, at: Ms) -> String {
    format!(
        "{:>6} {:>10} {:>11} {:>6} {bytes:>10}",
        s.number,
        Bare(at.0),
        s.seq.relative,
        s.len
    )
}

pub(in crate::track::answers) fn window(side: Side, least: &Segment, limited: bool) -> String {
    let limit = if limited {
        "limited the sender"
    } else {
        "did not limit the sender"
    };
    format!(
        "The least window that the {} announced is {} bytes, in packet {}; its window {limit}.",
        side.word(),
        least.window,
        least.number
    )
}

pub(in crate::track::answers) fn scaled(s: &Segment) -> String {
    let raw = u32::from(s.window_raw);
    match s.window.checked_div(raw) {
        Some(factor) if factor > 1 => format!(
            "packet {}: window field {raw} · {factor} (scaled) = {} bytes",
            s.number, s.window
        ),
        _ => format!("packet {}: window field {raw}, not scaled", s.number),
    }
}

pub(in crate::track::answers) const SCALE_UNKNOWN: &str = "neither SYN was captured: by how much windows are scaled is not known, so all of these may be larger";

pub(in crate::track::answers) fn zero_windows(numbers: &[u64]) -> String {
    match numbers {
        [] => "its window was never 0".to_owned(),
        some => format!("its window was 0 in {}", packets_of(some)),
    }
}

pub(in crate::track::answers) fn window_full(number: u64) -> String {
    format!("packet {number} fills the window to the last byte")
}

pub(in crate::track::answers) fn flight_beside(bytes: u32, number: u64, window: u32) -> String {
    format!(
        "at most {bytes} bytes were in flight (packet {number}), of a largest window of {window}"
    )
}

pub(in crate::track::answers) fn none_again(segments: usize, data: usize) -> String {
    format!(
        "None of its {} ({data} with data) is a retransmission.",
        count(segments, "segment")
    )
}

pub(in crate::track::answers) fn never_back(side: Side, last: &Segment) -> String {
    format!(
        "no seq is used twice: those of the {} only grow, up to {} in packet {}",
        side.word(),
        last.seq.relative,
        last.number
    )
}

pub(in crate::track::answers) fn again(again: usize, segments: usize) -> String {
    let are = if again == 1 {
        "is a retransmission"
    } else {
        "are retransmissions"
    };
    format!("{again} of {} {are}.", count(segments, "segment"))
}

/// Why a segment was sent again.
pub(in crate::track::answers) enum Again {
    Fast,
    Needless,
    /// Nanoseconds since the one before, and its packet.
    Timeout(Option<(i64, u64)>),
}

pub(in crate::track::answers) fn again_row(
    s: &Segment,
    original: Option<u64>,
    why: Again,
) -> String {
    let of = original.map_or_else(
        || "of a segment before the capture".to_owned(),
        |n| format!("of packet {n}"),
    );
    let what = match (s.has(flag::SYN), s.has(flag::FIN), s.len) {
        (true, ..) => "SYN".to_owned(),
        (_, true, 0) => "FIN".to_owned(),
        (.., len) => count(len as usize, "byte"),
    };
    let why = match why {
        Again::Fast => "duplicate ACKs asked for it (fast retransmission)".to_owned(),
        Again::Needless => "needlessly: it had been acknowledged".to_owned(),
        Again::Timeout(Some((span, frame))) => {
            format!("its timer ran out {} after packet {frame}", Ms(span))
        }
        Again::Timeout(None) => "its timer ran out".to_owned(),
    };
    format!(
        "packet {}: seq {}, {what}, {of}; {why}",
        s.number, s.seq.relative
    )
}

/// With decimals where whole bytes would tell too little.
fn bytes_a_second(rate: f64) -> String {
    let decimals = if rate < 100.0 { 3 } else { 0 };
    format!("{rate:.decimals$} bytes/s")
}

/// Bytes a second, in words.
fn speed(rate: f64) -> String {
    let bits = rate * 8.0;
    let (value, unit) = match bits {
        b if b >= 1e9 => (b / 1e9, "Gbit/s"),
        b if b >= 1e6 => (b / 1e6, "Mbit/s"),
        b if b >= 1e3 => (b / 1e3, "kbit/s"),
        b => (b, "bit/s"),
    };
    format!("{} ({value:.3} {unit})", bytes_a_second(rate))
}

pub(in crate::track::answers) fn throughput(
    side: Side,
    sent: f64,
    once: f64,
    first: u64,
    last: u64,
) -> String {
    format!(
        "From packet {first} to packet {last}, the {} sent {}; without what was sent twice (goodput) {}.",
        side.word(),
        speed(sent),
        speed(once)
    )
}

pub(in crate::track::answers) fn goodput_sum(
    first: &Segment,
    last: &Segment,
    bytes: u32,
) -> String {
    format!(
        "bytes = seq {} + {} (packet {}) − seq {} (packet {}) = {bytes}",
        last.seq.relative, last.len, last.number, first.seq.relative, first.number
    )
}

pub(in crate::track::answers) fn rate(time: Ms, bytes: u64, rate: f64) -> String {
    format!(
        "goodput = {bytes} bytes / {:.6} s = {}",
        time.0 as f64 / 1e9,
        bytes_a_second(rate)
    )
}

pub(in crate::track::answers) fn sent_in_all(sent: u64, once: u64, rate: f64) -> String {
    format!(
        "throughput: {sent} bytes with repetitions ({} twice), {}",
        sent.saturating_sub(once),
        bytes_a_second(rate)
    )
}

/// How slow start ended.
pub(in crate::track::answers) enum SlowStart {
    /// What is sent in a round trip no longer doubles, from this packet on.
    Grew(u64),
    /// This packet is a retransmission.
    Lost(u64),
}

pub(in crate::track::answers) fn slow_start(end: &SlowStart) -> String {
    match end {
        SlowStart::Grew(n) => format!(
            "Slow start ends about packet {n}: from there on a round trip no longer carries much more than the one before."
        ),
        SlowStart::Lost(n) => {
            format!("Slow start ends with the loss that packet {n}, a retransmission, repairs.")
        }
    }
}

pub(in crate::track::answers) fn round(n: usize, bytes: u64, first: u64) -> String {
    format!("round trip {n}: {bytes} bytes, from packet {first} on")
}

pub(in crate::track::answers) fn acks(usual: u32, acks: usize, two: usize) -> String {
    let delayed = if two * 2 > acks {
        "ACKs are delayed to every other segment"
    } else {
        "most segments get an ACK of their own"
    };
    format!(
        "One ACK usually covers {}; {two} of {acks} cover two segments or more: {delayed}.",
        count(usual as usize, "byte")
    )
}

pub(in crate::track::answers) fn ack_row(s: &Segment, bytes: u32, segments: usize) -> String {
    format!(
        "packet {}: ack {} − {} = {bytes} bytes, {}",
        s.number,
        s.ack.relative,
        s.ack.relative.wrapping_sub(bytes),
        count(segments, "segment")
    )
}

pub(in crate::track::answers) fn longest_wait(number: u64, span: Ms) -> String {
    format!(
        "the longest wait from a segment to its ACK: {span} (packet {number}), as seen from here"
    )
}

pub(in crate::track::answers) fn response(segments: usize, bytes: u64, request: u64) -> String {
    format!(
        "{} carried the response to packet {request}: {bytes} bytes in all.",
        match segments {
            1 => "1 data segment".to_owned(),
            n => format!("{n} data segments"),
        }
    )
}

pub(in crate::track::answers) fn part(s: &Segment) -> String {
    format!(
        "packet {}: seq {}, {}",
        s.number,
        s.seq.relative,
        count(s.len as usize, "byte")
    )
}

pub(in crate::track::answers) fn until(next: Option<u64>) -> String {
    match next {
        Some(next) => format!(
            "it ends before the client's next data, packet {next}; what was sent again counts once"
        ),
        None => "no further data of the client follows; what was sent again counts once".to_owned(),
    }
}
