//! Questions about the end of a connection.

use super::{Answer, Ask, Connection, Found, Segment, words};
use crate::{
    proto::tcp::flag,
    track::{state::State, story::Side},
};

pub(super) fn who_closed(c: &Connection, _: &Ask) -> Found {
    let fin = c.first(|s| s.has(flag::FIN));
    let rst = c.first(|s| s.has(flag::RST));
    let states = c.states();
    let holder = match states.map(|state| state == State::TimeWait) {
        [true, false] => Some(Side::Client),
        [false, true] => Some(Side::Server),
        _ => None,
    };
    let both = states == [State::TimeWait; 2];
    let first = match (fin, rst) {
        (Some(fin), Some(rst)) if fin.number < rst.number => fin,
        (_, Some(rst)) => rst,
        (Some(fin), None) => fin,
        (None, None) => return Err(words::NOT_CLOSED.to_owned()),
    };
    let refused = first.has(flag::RST) && matches!(cause(c, first).0, words::Reset::Refused);
    let sentence = if refused {
        words::refused_by(first)
    } else {
        words::closed_by(first, holder, both)
    };
    let mut answer = Answer::new(sentence).proof([first.number]);
    for side in [first.from, first.from.other()] {
        let Some(fin) = c.from(side).find(|s| s.has(flag::FIN)) else {
            continue;
        };
        answer = answer.step(words::fin(fin)).proof([fin.number]);
        let ack = c
            .from(side.other())
            .find(|s| s.number > fin.number && s.has(flag::ACK) && s.ack.raw == fin.next_raw());
        if let Some(ack) = ack {
            answer = answer.step(words::fin_acked(ack, fin)).proof([ack.number]);
        }
    }
    if let Some(rst) = rst {
        answer = answer.step(words::rst(rst)).proof([rst.number]);
    }
    answer = answer.step(words::end_states(states));
    Ok(answer
        .value("closed_by", first.from.word())
        .value("with", if first.has(flag::RST) { "rst" } else { "fin" })
        .value("time_wait", holder.map_or("none", |side| side.word()))
        .value("client_state", states[0].name())
        .value("server_state", states[1].name()))
}

pub(super) fn why_reset(c: &Connection, _: &Ask) -> Found {
    let rst = c.first(|s| s.has(flag::RST)).ok_or(words::NO_RST)?;
    let (why, cause) = cause(c, rst);
    let server = c.ends[Side::Server as usize];
    let mut answer = Answer::new(words::why_reset(why, rst, server)).proof([rst.number]);
    if let Some(cause) = cause {
        answer = answer.step(words::cause(cause)).proof([cause.number]);
    }
    answer = answer.step(words::rst_numbers(rst, cause));
    Ok(answer
        .value("packet", rst.number)
        .value("by", rst.from.word())
        .value("why", why.word()))
}

/// Why there was this RST, and the segment that it answers: the last one of the other side.
fn cause<'a>(c: &'a Connection, rst: &Segment) -> (words::Reset, Option<&'a Segment>) {
    let before: Vec<&Segment> = c
        .segments
        .iter()
        .take_while(|s| s.number < rst.number)
        .collect();
    let cause = before.iter().rev().find(|s| s.from != rst.from).copied();
    (reason(&before, rst, cause), cause)
}

fn reason(before: &[&Segment], rst: &Segment, cause: Option<&Segment>) -> words::Reset {
    use words::Reset as R;
    let had = |side: Side, flags| before.iter().any(|s| s.from == side && s.has(flags));
    let Some(cause) = cause else {
        return R::Abort;
    };
    let syn_only = cause.has(flag::SYN) && !cause.has(flag::ACK);
    if syn_only && rst.has(flag::ACK) {
        return R::Refused;
    }
    if cause.has(flag::SYN | flag::ACK) && !had(rst.from, flag::ACK) {
        // Its own kernel knows nothing of the SYN that was sent.
        return R::HandMade;
    }
    // A host without the connection takes its number from the ACK of the segment that it answers (RFC 9293 §3.10.7.1).
    let stray = !rst.has(flag::ACK) && cause.has(flag::ACK) && rst.seq.raw == cause.ack.raw;
    if stray && !had(rst.from, flag::FIN) && !before.iter().any(|s| s.from == rst.from) {
        return R::Unknown;
    }
    if had(rst.from, flag::FIN) {
        return R::AfterClose;
    }
    R::Abort
}
