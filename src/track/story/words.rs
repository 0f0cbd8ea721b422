//! The sentences of a story.

use std::{fmt, net::SocketAddr};

use super::item::Side;
use crate::{
    time::{MILLISECOND, SECOND},
    track::about,
};

/// A span for people: "0.02 ms", "20.11 ms", "1.02 s".
#[derive(Clone, Copy, Debug)]
pub struct Span(pub i64);

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Two decimals of the unit; the loss of precision beyond 2^53 ns (104 days) does not show.
        if self.0.unsigned_abs() < SECOND.unsigned_abs() {
            write!(f, "{:.2} ms", self.0 as f64 / MILLISECOND as f64)
        } else {
            write!(f, "{:.2} s", self.0 as f64 / SECOND as f64)
        }
    }
}

pub(super) fn refused(after: i64, server: SocketAddr) -> String {
    format!("refused in {}: nothing listens on {server}", Span(after))
}

/// `number` was sent first and `last` last, `copies` in all.
pub(super) fn lost(after: i64, number: u64, last: u64, copies: u32) -> String {
    let after = Span(after);
    match copies {
        0 | 1 => {
            format!("{after} without an answer: packet {number}, or the answer to it, was lost")
        }
        2 => format!(
            "{after} without an answer: packets {number} and {last}, or the answers to them, were lost"
        ),
        _ => format!(
            "{after} without an answer: packet {number} and its repetitions up to {last}, or the answers to them, were lost"
        ),
    }
}

pub(super) fn lost_on_the_wire(after: i64, number: u64) -> String {
    format!(
        "{} without an answer: the wire dropped packet {number}",
        Span(after)
    )
}

pub(super) fn sent_again(after: i64, number: u64) -> String {
    format!(
        "{} after packet {number}, which had arrived: its answer was late or lost",
        Span(after)
    )
}

pub(super) fn ignored(after: i64, number: u64) -> String {
    format!(
        "{} after packet {number}, which had arrived: nothing was sent in answer",
        Span(after)
    )
}

pub(super) fn no_answer(after: i64) -> String {
    format!(
        "no answer in {}: the host is down, or something on the way drops it",
        Span(after)
    )
}

pub(super) fn no_reply(after: i64) -> String {
    format!(
        "no reply in {}: UDP does not tell whether the datagram arrived",
        Span(after)
    )
}

pub(super) fn open(after: i64) -> String {
    format!("open after {}", Span(after))
}

pub(super) fn reset(by: Side) -> String {
    // The other end may still read what it has already received (Linux), so only sending is over for certain.
    format!(
        "reset by the {}: the connection is gone, no more data is sent",
        by.word()
    )
}

pub(super) fn closed(began: Side, keeps: Option<Side>) -> String {
    match keeps {
        Some(keeps) if keeps == began => {
            format!("closed: the {} began and keeps TIME-WAIT", began.word())
        }
        Some(keeps) => format!(
            "closed: the {} began; the {} keeps TIME-WAIT",
            began.word(),
            keeps.word()
        ),
        None => format!("closed: the {} began", began.word()),
    }
}

pub(super) fn half_close(closed: Side) -> String {
    format!(
        "half-close: the {} has closed its side and still receives",
        closed.word()
    )
}

pub(super) const MIDDLE: &str = "seen from the middle: its handshake came before the first packet";

pub(super) fn window_zero(side: Side) -> String {
    format!(
        "window 0: the {} cannot take more data for now",
        side.word()
    )
}

pub(super) fn window_open(side: Side, after: i64) -> String {
    format!(
        "window open again after {}: the {} takes data",
        Span(after),
        side.word()
    )
}

pub(super) fn error(says: &str, server: SocketAddr, udp: bool) -> String {
    match (udp, says == about::PORT_UNREACHABLE) {
        (true, true) => {
            format!("no UDP socket on {server}; sendto() had already succeeded")
        }
        (true, false) => format!("{says} on the way to {server}; sendto() had already succeeded"),
        (false, _) => format!("{says} on the way to {server}"),
    }
}

pub(super) fn dropped(number: u64, rule: &str) -> String {
    format!("the wire dropped packet {number}: {rule}")
}

pub(super) fn doubled(number: u64) -> String {
    format!("the wire delivers packet {number} twice")
}

pub(super) fn held_back(number: u64, nanos: i64) -> String {
    format!("the wire holds packet {number} back for {}", Span(nanos))
}

pub(super) fn gap(missing: u32, number: u64) -> String {
    format!("{missing} bytes before packet {number} were not captured")
}
