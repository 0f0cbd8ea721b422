//! The sentences about the end of a connection.

use std::net::SocketAddr;

use super::count;
use crate::{
    proto::tcp::flag,
    track::{answers::Segment, state::State, story::Side},
};

pub(in crate::track::answers) fn closed_by(
    first: &Segment,
    holder: Option<Side>,
    both: bool,
) -> String {
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

pub(in crate::track::answers) fn refused_by(rst: &Segment) -> String {
    format!(
        "The {} refused the connection, with a RST in packet {}: there was nothing to close, and neither holds TIME-WAIT.",
        rst.from.word(),
        rst.number
    )
}

pub(in crate::track::answers) fn fin(s: &Segment) -> String {
    format!(
        "packet {}: {} of the {}, seq {}",
        s.number,
        s.name(),
        s.from.word(),
        s.seq.relative
    )
}

pub(in crate::track::answers) fn fin_acked(ack: &Segment, fin: &Segment) -> String {
    let data = match fin.len {
        0 => String::new(),
        len => format!(" + {}", count(len as usize, "byte")),
    };
    format!(
        "packet {}: ack {} = seq {}{data} + 1: the FIN counts as one",
        ack.number, ack.ack.relative, fin.seq.relative
    )
}

pub(in crate::track::answers) fn rst(s: &Segment) -> String {
    format!("packet {}: RST of the {}", s.number, s.from.word())
}

pub(in crate::track::answers) fn end_states([client, server]: [State; 2]) -> String {
    format!("after the last packet: client {client}, server {server}")
}

/// Why there was a RST.
#[derive(Clone, Copy)]
pub(in crate::track::answers) enum Reset {
    Refused,
    HandMade,
    Unknown,
    AfterClose,
    Abort,
}

impl Reset {
    /// For programs.
    pub(in crate::track::answers) fn word(self) -> &'static str {
        match self {
            Self::Refused => "closed port",
            Self::HandMade => "own kernel does not know the SYN",
            Self::Unknown => "unknown connection",
            Self::AfterClose => "data after the close",
            Self::Abort => "abort",
        }
    }
}

pub(in crate::track::answers) fn why_reset(
    why: Reset,
    rst: &Segment,
    server: SocketAddr,
) -> String {
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

pub(in crate::track::answers) fn cause(s: &Segment) -> String {
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

pub(in crate::track::answers) fn rst_numbers(rst: &Segment, cause: Option<&Segment>) -> String {
    match cause {
        Some(cause) if rst.has(flag::ACK) => format!(
            "packet {}: {}, seq {}, ack {}{} of packet {}",
            rst.number,
            rst.name(),
            rst.seq.relative,
            rst.ack.relative,
            if rst.ack.raw == cause.next_raw() {
                " = what follows all"
            } else {
                ", not what follows all"
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
