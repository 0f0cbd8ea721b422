//! The expectations: a row each, and how each is judged. Those about connections must hold for every one of them.

use super::{Failed, Given, Judged, Rule, Takes, words};
use crate::{
    proto::tcp::flag,
    track::{
        answers::{Connection, Evidence, Ms, Segment, unanswered},
        state::State,
        tcp::Verdict,
    },
};

const fn rule(
    name: &'static str,
    takes: Takes,
    words: &'static str,
    judge: fn(&Evidence, &Given) -> Judged,
) -> Rule {
    Rule {
        name,
        takes,
        words,
        judge,
    }
}

/// Every expectation there is.
#[rustfmt::skip]
pub static RULES: &[Rule] = &[
    rule("handshake", Takes::Nothing, "every connection opens with SYN, SYN,ACK, ACK", handshake),
    rule("close", Takes::Word(&["fin", "rst", "none"]), "every connection ends so: FINs of both sides acknowledged, a RST, or not at all", close),
    rule("closed-by", Takes::Word(&["client", "server"]), "this side sends the first FIN or RST of every connection", closed_by),
    rule("no-reset", Takes::Nothing, "there is no RST", no_reset),
    rule("no-retransmission", Takes::Nothing, "nothing is sent again", no_retransmission),
    rule("retransmissions-below", Takes::Number, "fewer than so many segments are sent again", retransmissions_below),
    rule("no-loss", Takes::Nothing, "no segment is missing from the capture", no_loss),
    rule("no-zero-window", Takes::Nothing, "no side runs out of room", no_zero_window),
    rule("rtt-below", Takes::Span, "every round trip, also that of the handshake, is shorter", rtt_below),
    rule("udp-answered", Takes::Nothing, "every UDP datagram of the side that began has a reply", udp_answered),
    rule("contains", Takes::Text, "a TCP stream or a UDP datagram contains this text (without a comma)", contains),
    rule("packets", Takes::Number, "there are so many packets", packets),
    rule("packets-above", Takes::Number, "there are more packets than that", packets_above),
    rule("no-wrong-checksum", Takes::Nothing, "no checksum is wrong; one not yet filled in is not", no_wrong_checksum),
    rule("no-malformed", Takes::Nothing, "no packet is malformed", no_malformed),
];

fn failed(packet: Option<u64>, stream: Option<u32>, why: impl Into<String>) -> Failed {
    Failed {
        packet,
        stream,
        why: why.into(),
    }
}

/// Judges every connection: the first that fails decides, else the first packet that shows that it holds.
fn each(
    evidence: &Evidence,
    judge: impl Fn(&Connection) -> Result<Option<u64>, (Option<u64>, String)>,
) -> Judged {
    let mut shown = None;
    for c in &evidence.connections {
        let packet = judge(c).map_err(|(packet, why)| failed(packet, Some(c.stream), why))?;
        shown = shown.or(packet);
    }
    if evidence.connections.is_empty() {
        return Err(failed(None, None, words::NO_TCP));
    }
    Ok(shown)
}

/// No segment of any connection is of this kind. A capture without TCP has none of them.
fn none(evidence: &Evidence, why: &str, is: impl Fn(&Segment) -> bool) -> Judged {
    if evidence.lacks_connection() {
        return Err(failed(None, None, words::NO_TCP));
    }
    for c in &evidence.connections {
        if let Some(s) = c.segments.iter().find(|s| is(s)) {
            return Err(failed(Some(s.number), Some(c.stream), why));
        }
    }
    Ok(None)
}

fn handshake(evidence: &Evidence, _: &Given) -> Judged {
    each(evidence, |c| {
        let first = c.segments.first().map(|s| s.number);
        match c.handshake() {
            [Some(_), Some(_), Some(ack)] => Ok(Some(ack.number)),
            [Some(_), Some(answer), None] => Err((Some(answer.number), words::NO_ACK.to_owned())),
            [Some(syn), None, _] => Err((Some(syn.number), words::UNANSWERED_SYN.to_owned())),
            [None, ..] => Err((first, words::NO_SYN.to_owned())),
        }
    })
}

/// The last FIN or RST of a connection, and how it was closed.
fn ending(c: &Connection) -> (&'static str, Option<&Segment>) {
    if let Some(rst) = c.segments.iter().find(|s| s.has(flag::RST)) {
        return ("rst", Some(rst));
    }
    match c.segments.iter().rfind(|s| s.has(flag::FIN)) {
        Some(fin) => ("fin", Some(fin)),
        None => ("none", None),
    }
}

fn close(evidence: &Evidence, given: &Given) -> Judged {
    each(evidence, |c| {
        let (found, by) = ending(c);
        let packet = by.or_else(|| c.segments.last()).map(|s| s.number);
        if found != given.word {
            return Err((
                packet,
                match found {
                    "none" => words::still_open(),
                    found => words::closed(found, given.word),
                },
            ));
        }
        let states = c.states();
        let over = |state: State| state.is_over() || state == State::Unknown;
        if found == "fin" && !states.into_iter().all(over) {
            return Err((packet, words::not_whole(states)));
        }
        Ok(packet)
    })
}

fn closed_by(evidence: &Evidence, given: &Given) -> Judged {
    each(evidence, |c| {
        let first = c
            .segments
            .iter()
            .find(|s| s.has(flag::FIN) || s.has(flag::RST));
        match first {
            Some(s) if s.from.word() == given.word => Ok(Some(s.number)),
            Some(s) => Err((Some(s.number), words::closed(s.from.word(), given.word))),
            None => Err((c.segments.last().map(|s| s.number), words::still_open())),
        }
    })
}

fn no_reset(evidence: &Evidence, _: &Given) -> Judged {
    none(evidence, words::RST, |s| s.has(flag::RST))
}

fn no_retransmission(evidence: &Evidence, _: &Given) -> Judged {
    none(evidence, words::RETRANSMISSION, |s| {
        s.is(Verdict::Retransmission)
    })
}

fn retransmissions_below(evidence: &Evidence, given: &Given) -> Judged {
    let mut again = evidence
        .connections
        .iter()
        .flat_map(|c| c.segments.iter().map(move |s| (c.stream, s)))
        .filter(|(_, s)| s.is(Verdict::Retransmission));
    if evidence.lacks_connection() {
        return Err(failed(None, None, words::NO_TCP));
    }
    let limit = given.number;
    let nth = limit
        .checked_sub(1)
        .and_then(|n| again.nth(usize::try_from(n).ok()?));
    match nth {
        None if limit > 0 => Ok(None),
        None => Err(failed(None, None, words::too_many_again(0, 0))),
        Some((stream, s)) => {
            let why = words::too_many_again(limit, limit);
            Err(failed(Some(s.number), Some(stream), why))
        }
    }
}

fn no_loss(evidence: &Evidence, _: &Given) -> Judged {
    none(evidence, words::LOST, |s| s.is(Verdict::LostSegment))?;
    none(evidence, words::NOT_SEEN, |s| s.is(Verdict::AckLostSegment))
}

fn no_zero_window(evidence: &Evidence, _: &Given) -> Judged {
    none(evidence, words::ZERO_WINDOW, |s| s.is(Verdict::ZeroWindow))
}

fn rtt_below(evidence: &Evidence, given: &Given) -> Judged {
    each(evidence, |c| {
        let slow = |rtt: i64| rtt >= given.span;
        let why = |rtt| words::slow(Ms(rtt), Ms(given.span));
        let shake = match c.handshake() {
            [Some(syn), _, Some(ack)] => Some((ack.number, ack.time.since(syn.time))),
            _ => None,
        };
        // The ACK of what was sent twice tells nothing (Karn, RFC 6298 §3).
        let acked = c
            .segments
            .iter()
            .filter_map(|s| Some((s.number, s.measured()?)));
        let mut all = shake.into_iter().chain(acked).peekable();
        let first = all.peek().map(|(number, _)| *number);
        match (all.find(|(_, rtt)| slow(*rtt)), first) {
            (Some((number, rtt)), _) => Err((Some(number), why(rtt))),
            (None, Some(number)) => Ok(Some(number)),
            (None, None) => Err((
                c.segments.first().map(|s| s.number),
                words::NO_ROUND_TRIP.to_owned(),
            )),
        }
    })
}

fn udp_answered(evidence: &Evidence, _: &Given) -> Judged {
    let Some(first) = evidence.datagrams.first() else {
        return Err(failed(None, None, words::NO_UDP));
    };
    match unanswered(evidence).first() {
        None => Ok(Some(first.number)),
        Some((number, _)) => Err(failed(Some(*number), None, words::NO_REPLY)),
    }
}

fn contains(evidence: &Evidence, given: &Given) -> Judged {
    match evidence.finds.iter().find(|find| find.text == given.text) {
        Some(find) => Ok(Some(find.packets.0)),
        None => Err(failed(None, None, words::NOT_FOUND)),
    }
}

fn packets(evidence: &Evidence, given: &Given) -> Judged {
    match evidence.packets {
        count if count == given.number => Ok(None),
        count => Err(failed(None, None, words::packets(count, given.number))),
    }
}

fn packets_above(evidence: &Evidence, given: &Given) -> Judged {
    match evidence.packets {
        count if count > given.number => Ok(None),
        count => Err(failed(None, None, words::too_few(count, given.number))),
    }
}

fn no_wrong_checksum(evidence: &Evidence, _: &Given) -> Judged {
    match evidence.wrong_checksums.first() {
        None => Ok(None),
        Some((number, protocol)) => {
            Err(failed(Some(*number), None, words::wrong_checksum(protocol)))
        }
    }
}

fn no_malformed(evidence: &Evidence, _: &Given) -> Judged {
    match evidence.malformed.first() {
        None => Ok(None),
        Some((number, text)) => Err(failed(Some(*number), None, words::malformed(text))),
    }
}
