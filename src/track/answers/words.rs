//! The sentences of all answers, in one place: another language is another file like this one.

use std::{fmt, net::IpAddr, net::SocketAddr};

use super::{
    Segment,
    evidence::{Datagram, Piece},
    opening::InForce,
    shot::Sum,
};
use crate::{
    proto::tcp::{Offers, flag},
    text::Safe,
    track::{
        state::State,
        story::{Number, Side},
        tcp::Estimate,
    },
};

/// Numbers that a list names before it only counts.
pub(super) const NAMED: usize = 12;

/// A span in milliseconds with three decimals.
#[derive(Clone, Copy, Debug)]
pub(in crate::track) struct Ms(pub(in crate::track) i64);

impl fmt::Display for Ms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ms", Bare(self.0))
    }
}

/// The same without the unit, for sums and tables.
struct Bare(i64);

impl fmt::Display for Bare {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{:.3}", self.0 as f64 / 1e6))
    }
}

/// "1 segment", "3 segments".
fn count(n: usize, what: &str) -> String {
    let s = if n == 1 { "" } else { "s" };
    format!("{n} {what}{s}")
}

/// "packet 1", "packets 1, 2 and 3", "packets 1, 2, 3 and 9 more".
pub(super) fn packets(numbers: &[u64]) -> String {
    let named: Vec<String> = numbers.iter().take(NAMED).map(u64::to_string).collect();
    match (named.as_slice(), numbers.len() - named.len()) {
        ([], _) => "no packet".to_owned(),
        ([one], 0) => format!("packet {one}"),
        ([some @ .., last], 0) => format!("packets {} and {last}", some.join(", ")),
        (some, more) => format!("packets {} and {more} more", some.join(", ")),
    }
}

pub(super) fn more_rows(rows: usize) -> String {
    format!("… {rows} more: --rows N shows more of them")
}

// Why there is no answer.

pub(super) const NO_SYN: &str = "its SYN is not in the capture";
pub(super) const NO_DATA: &str = "no packet carries data";
pub(super) const NO_TCP: &str = "there is no TCP connection in it";
pub(super) const NO_SAMPLE: &str = "no segment that was sent once is acknowledged to the byte";
pub(super) const NO_ACKED: &str = "no data is acknowledged in it";
pub(super) const NOT_CLOSED: &str = "neither a FIN nor a RST is in it: it was not closed yet";
pub(super) const NO_RST: &str = "there is no RST";
pub(super) const NO_DNS: &str = "no DNS answer with an address follows its query in it";
pub(super) const NO_SYN_AT_ALL: &str = "there is no SYN in it";
pub(super) const NO_UDP: &str = "there is no UDP datagram in it";
pub(super) const NO_FRAGMENT: &str = "no packet in it is a fragment";
pub(super) const NO_TIME_EXCEEDED: &str = "no ICMP time exceeded answers a packet in it";
pub(super) const NO_NAT: &str = "no two connections with the same first sequence number have different sockets: one side of a NAT shows nothing of it";
/// What `icmp_words` calls it when a packet came to its end underway.
pub(super) const TTL_RAN_OUT: &str = "TTL ran out";
pub(super) const HOPS_RAN_OUT: &str = "hop limit ran out";

pub(super) fn too_few(packets: u64) -> String {
    format!("it has only {}", count(packets as usize, "packet"))
}

pub(super) fn no_stream(stream: u32) -> String {
    format!("there is no tcp:{stream} in it")
}

pub(super) fn of_all(connections: usize, stream: u32, reason: &str) -> String {
    format!("none of {connections} connections can answer; tcp:{stream}: {reason}")
}

pub(super) fn no_packet(number: u64, packets: u64) -> String {
    format!(
        "there is no packet {number}: it has {}",
        count(packets as usize, "packet")
    )
}

pub(super) fn no_checksum(number: u64) -> String {
    format!("packet {number} has no checksum that is captured")
}

pub(super) fn not_found(text: &str) -> String {
    format!(
        "\"{}\" is in no stream and no datagram",
        Safe(text.as_bytes())
    )
}

pub(super) fn no_time(number: u64) -> String {
    format!("no time passes after packet {number}")
}

pub(super) fn no_window(side: Side) -> String {
    format!("the {} sends no segment with ACK", side.word())
}

pub(super) fn no_side_data(side: Side) -> String {
    format!("the {} sends no data", side.word())
}

pub(super) fn no_second(syn: u64, refused: Option<u64>) -> String {
    match refused {
        Some(rst) => format!(
            "the SYN of packet {syn} was answered by a RST, packet {rst}: there was no handshake"
        ),
        None => format!("nothing answers the SYN of packet {syn}"),
    }
}

pub(super) fn no_third(syn: u64, answer: u64) -> String {
    format!("no ACK follows the SYN of packet {syn} and the SYN,ACK of packet {answer}")
}

pub(super) fn is_over(number: u64) -> String {
    format!("the connection is over with packet {number}: no segment fits it any more")
}

pub(super) fn few_rounds(rounds: usize) -> String {
    format!(
        "only {} of data: growth cannot be told",
        count(rounds, "round trip")
    )
}

pub(super) fn slow_start_to_the_end(rounds: usize) -> String {
    format!(
        "what is sent grows through all of {}",
        count(rounds, "round trip")
    )
}

// The handshake.

pub(super) fn isn(numbers: &[(Side, u32, u64)]) -> String {
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

pub(super) fn isn_step(side: Side, raw: u32, number: u64) -> String {
    let first = raw.wrapping_add(1);
    format!(
        "{}: SYN in packet {number}, raw {raw} = relative 0; its first byte of data is raw {first} = relative 1, since the SYN counts as one",
        side.word()
    )
}

pub(super) fn handshake([syn, answer, ack]: [u64; 3]) -> String {
    format!(
        "Packets {syn}, {answer} and {ack} are the handshake: SYN, SYN,ACK, ACK. Each ack is the other side's seq plus 1."
    )
}

pub(super) fn shake_syn(number: u64, seq: Number) -> String {
    format!(
        "packet {number}: SYN, seq {} (raw {})",
        seq.relative, seq.raw
    )
}

pub(super) fn shake_ack(number: u64, name: &str, seq: Number, ack: Number, of: u64) -> String {
    let (before, raw) = (ack.relative.wrapping_sub(1), ack.raw.wrapping_sub(1));
    format!(
        "packet {number}: {name}, seq {} (raw {}), ack {} = seq {before} of packet {of} + 1: the SYN counts as one (raw {} = {raw} + 1)",
        seq.relative, seq.raw, ack.relative, ack.raw
    )
}

pub(super) fn handshake_rtt(all: Ms, syn: u64, ack: u64, nearer: Side) -> String {
    format!(
        "The handshake took {all}, from packet {syn} to packet {ack}. It was captured nearer to the {}: the larger half is the way to the {} and back.",
        nearer.word(),
        nearer.other().word()
    )
}

pub(super) fn half(span: Ms, from: u64, to: u64, over: Side) -> String {
    format!(
        "{span} from packet {from} to packet {to}: from here to the {} and back",
        over.word()
    )
}

pub(super) fn halves(out: Ms, back: Ms, all: Ms) -> String {
    format!("{} + {} = {all}", Bare(out.0), Bare(back.0))
}

pub(super) fn in_force(force: &InForce) -> String {
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

pub(super) fn one_offer(number: u64) -> String {
    format!("Only the SYN of packet {number} was captured: what is in force cannot be told.")
}

pub(super) fn offer(side: Side, number: u64, offers: &Offers) -> String {
    let mss = offers
        .mss
        .map_or("no MSS".to_owned(), |mss| format!("MSS {mss}"));
    let ws = offers
        .window_scale
        .map_or("no window scale".to_owned(), |ws| {
            format!("window scale {ws} (times {})", scale(ws))
        });
    let with = |on: bool, what| {
        if on {
            format!("{what}")
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

pub(super) fn rules(force: &InForce) -> [String; 2] {
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

pub(super) fn next_segment(segments: usize) -> String {
    format!(
        "After the {} captured, the next segment in the window of the other side has these numbers.",
        count(segments, "segment")
    )
}

pub(super) fn next_seq(side: Side, ends: [SocketAddr; 2], newest: &Segment, seq: u32) -> String {
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

pub(super) fn next_ack(ack: u32, number: u64) -> String {
    format!("  its ack is what follows packet {number} of the other side: raw {ack} = {ack:#010x}")
}

pub(super) fn in_window(ack: u32, window: u32, number: u64) -> String {
    let end = ack.wrapping_add(window);
    format!(
        "  packet {number} accepts raw seq from {ack} up to, not including, {ack} + window {window} = {end} (modulo 2^32)"
    )
}

// What is sent.

pub(super) fn rtt(side: Side, samples: usize, last: &Estimate, ack: u64) -> String {
    format!(
        "The {} measured {}; after packet {ack} its EstimatedRTT is {}, DevRTT {} and RTO {} (RFC 6298; the SYN's round trip counts too).",
        side.word(),
        count(samples, "round trip"),
        Ms(last.srtt),
        Ms(last.rttvar),
        Ms(last.rto)
    )
}

pub(super) const RTT_HEAD: &str =
    "packet        seq    len  ACK in   Sample Estimated       Dev       RTO  (ms)";

pub(super) fn rtt_row(
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

pub(super) fn first_estimate(e: &Estimate, sample: i64) -> [String; 2] {
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

pub(super) fn next_estimate(
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

pub(super) fn in_flight(side: Side, most: u32, at: u64, now: u32, last: u64) -> String {
    format!(
        "At most {} of the {} were in flight, at packet {at}; after its last data, packet {last}, it was {now}.",
        count(most as usize, "byte"),
        side.word()
    )
}

pub(super) fn flight_sum(s: &Segment, heard: Option<&Segment>, bytes: u32) -> String {
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

pub(super) const FLIGHT_HEAD: &str = "packet         ms         seq    len  in flight";

pub(super) fn flight_row(s: &Segment, bytes: u32, at: Ms) -> String {
    format!(
        "{:>6} {:>10} {:>11} {:>6} {bytes:>10}",
        s.number,
        Bare(at.0),
        s.seq.relative,
        s.len
    )
}

pub(super) fn window(side: Side, least: &Segment, limited: bool) -> String {
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

pub(super) fn scaled(s: &Segment) -> String {
    let raw = u32::from(s.window_raw);
    match s.window.checked_div(raw) {
        Some(factor) if factor > 1 => format!(
            "packet {}: window field {raw} · {factor} (scaled) = {} bytes",
            s.number, s.window
        ),
        _ => format!("packet {}: window field {raw}, not scaled", s.number),
    }
}

pub(super) fn zero_windows(numbers: &[u64]) -> String {
    match numbers {
        [] => "its window was never 0".to_owned(),
        some => format!("its window was 0 in {}", packets(some)),
    }
}

pub(super) fn window_full(number: u64) -> String {
    format!("packet {number} fills the window to the last byte")
}

pub(super) fn flight_beside(bytes: u32, number: u64, window: u32) -> String {
    format!(
        "at most {bytes} bytes were in flight (packet {number}), of a largest window of {window}"
    )
}

pub(super) fn none_again(segments: usize, data: usize) -> String {
    format!(
        "None of its {} ({data} with data) is a retransmission.",
        count(segments, "segment")
    )
}

pub(super) fn never_back(side: Side, last: &Segment) -> String {
    format!(
        "no seq is used twice: those of the {} only grow, up to {} in packet {}",
        side.word(),
        last.seq.relative,
        last.number
    )
}

pub(super) fn again(again: usize, segments: usize) -> String {
    let are = if again == 1 {
        "is a retransmission"
    } else {
        "are retransmissions"
    };
    format!("{again} of {} {are}.", count(segments, "segment"))
}

/// Why a segment was sent again.
pub(super) enum Again {
    Fast,
    Needless,
    /// Nanoseconds since the one before, and its packet.
    Timeout(Option<(i64, u64)>),
}

pub(super) fn again_row(s: &Segment, original: Option<u64>, why: Again) -> String {
    let of = original.map_or("of a segment before the capture".to_owned(), |n| {
        format!("of packet {n}")
    });
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

/// Bytes a second, in words.
fn speed(rate: f64) -> String {
    let bits = rate * 8.0;
    let (value, unit) = match bits {
        b if b >= 1e9 => (b / 1e9, "Gbit/s"),
        b if b >= 1e6 => (b / 1e6, "Mbit/s"),
        b if b >= 1e3 => (b / 1e3, "kbit/s"),
        b => (b, "bit/s"),
    };
    format!("{rate:.0} bytes/s ({value:.3} {unit})")
}

pub(super) fn throughput(side: Side, sent: f64, once: f64, first: u64, last: u64) -> String {
    format!(
        "From packet {first} to packet {last}, the {} sent {}; without what was sent twice (goodput) {}.",
        side.word(),
        speed(sent),
        speed(once)
    )
}

pub(super) fn goodput_sum(first: &Segment, last: &Segment, bytes: u32) -> String {
    format!(
        "bytes = seq {} + {} (packet {}) − seq {} (packet {}) = {bytes}",
        last.seq.relative, last.len, last.number, first.seq.relative, first.number
    )
}

pub(super) fn rate(time: Ms, bytes: u64, rate: f64) -> String {
    format!(
        "goodput = {bytes} bytes / {:.6} s = {rate:.0} bytes/s",
        time.0 as f64 / 1e9
    )
}

pub(super) fn sent_in_all(sent: u64, once: u64, rate: f64) -> String {
    format!(
        "throughput: {sent} bytes with repetitions ({} twice), {rate:.0} bytes/s",
        sent.saturating_sub(once)
    )
}

/// How slow start ended.
pub(super) enum SlowStart {
    /// What is sent in a round trip no longer doubles, from this packet on.
    Grew(u64),
    /// This packet is a retransmission.
    Lost(u64),
}

pub(super) fn slow_start(end: &SlowStart) -> String {
    match end {
        SlowStart::Grew(n) => format!(
            "Slow start ends about packet {n}: from there on a round trip no longer carries much more than the one before."
        ),
        SlowStart::Lost(n) => {
            format!("Slow start ends with the loss that packet {n}, a retransmission, repairs.")
        }
    }
}

pub(super) fn round(n: usize, bytes: u64, first: u64) -> String {
    format!("round trip {n}: {bytes} bytes, from packet {first} on")
}

pub(super) fn acks(usual: u32, acks: usize, two: usize) -> String {
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

pub(super) fn ack_row(s: &Segment, bytes: u32, segments: usize) -> String {
    format!(
        "packet {}: ack {} − {} = {bytes} bytes, {}",
        s.number,
        s.ack.relative,
        s.ack.relative.wrapping_sub(bytes),
        count(segments, "segment")
    )
}

pub(super) fn longest_wait(number: u64, span: Ms) -> String {
    format!(
        "the longest wait from a segment to its ACK: {span} (packet {number}), as seen from here"
    )
}

pub(super) fn response(segments: usize, bytes: u64, request: u64) -> String {
    format!(
        "{} carried the response to packet {request}: {bytes} bytes in all.",
        match segments {
            1 => "1 data segment".to_owned(),
            n => format!("{n} data segments"),
        }
    )
}

pub(super) fn part(s: &Segment) -> String {
    format!(
        "packet {}: seq {}, {}",
        s.number,
        s.seq.relative,
        count(s.len as usize, "byte")
    )
}

pub(super) fn until(next: Option<u64>) -> String {
    match next {
        Some(next) => format!(
            "it ends before the client's next data, packet {next}; what was sent again counts once"
        ),
        None => "no further data of the client follows; what was sent again counts once".to_owned(),
    }
}

// The close.

pub(super) fn closed_by(first: &Segment, holder: Option<Side>, both: bool) -> String {
    let with = if first.has(flag::RST) {
        "a RST"
    } else {
        "a FIN"
    };
    let held = match (holder, both) {
        (_, true) => "both hold TIME-WAIT".to_owned(),
        (Some(side), _) => format!("the {} holds TIME-WAIT", side.word()),
        (None, _) => "neither holds TIME-WAIT".to_owned(),
    };
    format!(
        "The {} closed first, with {with} in packet {}; {held}.",
        first.from.word(),
        first.number
    )
}

pub(super) fn fin(s: &Segment) -> String {
    format!(
        "packet {}: {} of the {}, seq {}",
        s.number,
        s.name(),
        s.from.word(),
        s.seq.relative
    )
}

pub(super) fn fin_acked(ack: &Segment, fin: &Segment) -> String {
    let data = match fin.len {
        0 => String::new(),
        len => format!(" + {}", count(len as usize, "byte")),
    };
    format!(
        "packet {}: ack {} = seq {}{data} + 1: the FIN counts as one",
        ack.number, ack.ack.relative, fin.seq.relative
    )
}

pub(super) fn rst(s: &Segment) -> String {
    format!("packet {}: RST of the {}", s.number, s.from.word())
}

pub(super) fn end_states([client, server]: [State; 2]) -> String {
    format!("after the last packet: client {client}, server {server}")
}

/// Why there was a RST.
#[derive(Clone, Copy)]
pub(super) enum Reset {
    Refused,
    HandMade,
    Unknown,
    AfterClose,
    Abort,
}

impl Reset {
    /// For programs.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Refused => "closed port",
            Self::HandMade => "own kernel does not know the SYN",
            Self::Unknown => "unknown connection",
            Self::AfterClose => "data after the close",
            Self::Abort => "abort",
        }
    }
}

pub(super) fn why_reset(why: Reset, rst: &Segment, server: SocketAddr) -> String {
    let (n, by, other) = (rst.number, rst.from.word(), rst.from.other().word());
    match why {
        Reset::Refused => {
            format!("Packet {n} refuses the connection: nothing listens on {server}.")
        }
        Reset::HandMade => format!(
            "Packet {n} answers a SYN,ACK that the {by}'s kernel did not ask for: the SYN was made by hand on a raw socket."
        ),
        Reset::Unknown => format!(
            "Packet {n} says that the {by} knows no such connection: it was over, or never was."
        ),
        Reset::AfterClose => format!(
            "Packet {n}: the {by} had closed, and its socket was gone when more came from the {other}."
        ),
        Reset::Abort => format!(
            "Packet {n} aborts: the {by}'s program ended or closed with data unread, or asked for it (SO_LINGER 0)."
        ),
    }
}

pub(super) fn cause(s: &Segment) -> String {
    let data = if s.len > 0 {
        format!(" with {}", count(s.len as usize, "byte"))
    } else {
        String::new()
    };
    format!(
        "packet {}, the last of the other side before it: {}{data}, seq {}",
        s.number,
        s.name(),
        s.seq.relative
    )
}

pub(super) fn rst_numbers(rst: &Segment, cause: Option<&Segment>) -> String {
    match cause {
        Some(cause) if rst.has(flag::ACK) => format!(
            "packet {}: {}, seq {}, ack {} = {} of packet {}",
            rst.number,
            rst.name(),
            rst.seq.relative,
            rst.ack.relative,
            if rst.ack.raw == cause.next_raw() {
                "what follows all"
            } else {
                "not what follows all"
            },
            cause.number
        ),
        Some(cause) if cause.has(flag::ACK) && rst.seq.raw == cause.ack.raw => format!(
            "packet {}: RST without ACK, its seq {} is the ack of packet {}: so answers a host that has no number of its own",
            rst.number, rst.seq.relative, cause.number
        ),
        _ => format!(
            "packet {}: {}, seq {}",
            rst.number,
            rst.name(),
            rst.seq.relative
        ),
    }
}

// Packets.

pub(super) fn segment_carries(first: u64, last: u64, text: &str, side: Side) -> String {
    let text = Safe(text.as_bytes());
    if first == last {
        format!(
            "Packet {first} carries \"{text}\", from the {}.",
            side.word()
        )
    } else {
        format!(
            "\"{text}\" begins in packet {first} and ends in packet {last}, from the {}.",
            side.word()
        )
    }
}

pub(super) fn datagram_carries(number: u64, text: &str) -> String {
    format!(
        "Packet {number}, a UDP datagram, carries \"{}\".",
        Safe(text.as_bytes())
    )
}

pub(super) fn bytes_before_in_datagram(offset: u64) -> String {
    format!(
        "{} of the datagram come before it",
        count(offset as usize, "byte")
    )
}

pub(super) fn seq_of(seq: Number, len: u32, number: u64) -> String {
    format!(
        "packet {number}: seq {} (raw {}), {}",
        seq.relative,
        seq.raw,
        count(len as usize, "byte")
    )
}

pub(super) fn offset_of(offset: u64, seq: u32) -> String {
    // The first byte of the stream has the relative number 1.
    let place = offset + 1;
    let within = place.saturating_sub(seq.into());
    format!(
        "it begins at byte {offset} of the stream, counted from 0: relative seq {offset} + 1 = {place}, {within} after the segment's first"
    )
}

pub(super) fn dns(pairs: usize, syns: usize) -> String {
    format!(
        "{pairs} of {} to an address that a DNS answer in this capture had given.",
        match syns {
            1 => "1 SYN goes".to_owned(),
            n => format!("{n} SYNs go"),
        }
    )
}

pub(super) fn dns_row(syn: u64, server: SocketAddr, name: &str, answer: u64) -> String {
    format!("packet {syn}: SYN to {server}, which packet {answer} gave for {name}")
}

pub(super) fn udp(all: usize, answered: usize, errors: usize, silent: usize) -> String {
    format!(
        "{}: {answered} answered, {errors} met by an ICMP error, {silent} without an answer.",
        count(all, "datagram")
    )
}

pub(super) fn exchange(
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

pub(super) fn delays(mean: Ms, jitter: Ms, replies: usize) -> String {
    format!(
        "{replies} replies: {mean} in the mean; from one to the next the delay changes by {jitter} (jitter)"
    )
}

pub(super) fn checksum(sum: &Sum, number: u64) -> String {
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

pub(super) fn sum_steps(sum: &Sum) -> Vec<String> {
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

pub(super) fn other_checksum(sum: &Sum) -> String {
    format!(
        "{} header: 0x{:04x} is {}",
        sum.label, sum.found, sum.verdict
    )
}

pub(super) fn diff(a: u64, b: u64, different: usize, same: usize) -> String {
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

pub(super) fn diff_row(name: &str, left: Option<&str>, right: Option<&str>) -> String {
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
pub(super) type Gap = (u32, Option<u32>);

pub(super) fn fragments(pieces: &[&Piece], bytes: u32, missing: &[Gap]) -> String {
    let numbers: Vec<u64> = pieces.iter().map(|piece| piece.number).collect();
    let of = pieces.first().map_or(0, |piece| piece.id);
    let name = packets(&numbers);
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

pub(super) fn piece(p: &Piece) -> String {
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

pub(super) fn gap((from, to): Gap) -> String {
    match to {
        Some(to) => format!("missing: bytes {from} to {}", to.saturating_sub(1)),
        None => format!("missing: what follows byte {from}; the last fragment is not in it"),
    }
}

pub(super) fn hops(ttl: u8, by: IpAddr) -> String {
    format!(
        "{by} is {} away: a packet with TTL {ttl} is the first that reached it.",
        count(ttl.into(), "hop")
    )
}

pub(super) fn not_reached(ttl: u8, by: IpAddr) -> String {
    format!(
        "The destination did not answer; the farthest router that did, {by}, is {} away.",
        count(ttl.into(), "hop")
    )
}

pub(super) fn hop(
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

pub(super) fn nat(inside: u64, outside: u64, isn: u32) -> String {
    format!(
        "Packets {inside} and {outside} are the same SYN (raw seq {isn}) on both sides of a translation."
    )
}

pub(super) fn changed(what: &str, old: &str, new: &str) -> String {
    if old == new {
        format!("{what}: {old}, unchanged")
    } else {
        format!("{what}: {old} became {new}")
    }
}

pub(super) fn or_none(value: Option<u16>) -> String {
    value.map_or("none".to_owned(), |value| value.to_string())
}

pub(super) fn delay_in_nat(span: Ms) -> String {
    format!("{span} lie between them")
}
