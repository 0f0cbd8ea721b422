//! The sentences of all answers, in one place: another language is another folder like this one.

mod closing;
mod opening;
mod packets;
mod sending;

use std::fmt;

use crate::{text::Safe, track::story::Side};

pub(super) use self::{closing::*, opening::*, packets::*, sending::*};

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
pub(super) fn packets_of(numbers: &[u64]) -> String {
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
pub(super) const NO_GROWTH: &str = "the second round trip carries little more than the first: the program sets the pace, not slow start";
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
/// What `about::words` calls it when a packet came to its end underway.
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
