//! Questions about what is sent: round trips, windows, what was lost, how fast it went.

use super::{Answer, Ask, Connection, Datum, Found, Segment, words, words::Ms};
use crate::{
    proto::tcp::flag,
    track::{
        state::before,
        story::Side,
        tcp::{Estimate, Verdict},
    },
};

/// Bytes in flight at most this share of the window short of it: the window was the limit.
const NEARLY: f64 = 0.9;
/// What grows by less than this in a round trip is no longer in slow start, which doubles.
const GROWS: f64 = 1.5;

pub(super) fn rtt(c: &Connection, ask: &Ask) -> Found {
    let talker = c.talker();
    let side = [talker, talker.other()]
        .into_iter()
        .find(|side| samples(c, *side).next().is_some())
        .ok_or(words::NO_SAMPLE)?;
    let all: Vec<Sample<'_>> = samples(c, side).collect();
    let rows = &all[..all.len().min(ask.rows)];
    let last = all[all.len() - 1];
    let shown = rows[rows.len() - 1];
    let mut answer = Answer::new(words::rtt(side, all.len(), &last.estimate, last.ack.number));
    answer = answer.step(words::RTT_HEAD.to_owned());
    let mut table = Vec::new();
    for row in rows {
        answer = answer
            .step(words::rtt_row(
                row.packet,
                row.segment,
                row.ack.number,
                row.rtt,
                &row.estimate,
            ))
            .proof([row.packet, row.ack.number]);
        table.push(Datum::List(vec![
            row.packet.into(),
            row.ack.number.into(),
            Ms(row.rtt).into(),
            Ms(row.estimate.srtt).into(),
            Ms(row.estimate.rttvar).into(),
            Ms(row.estimate.rto).into(),
        ]));
    }
    if all.len() > rows.len() {
        answer = answer.step(words::more_rows(all.len() - rows.len()));
    }
    for step in words::first_estimate(&rows[0].estimate, rows[0].rtt) {
        answer = answer.step(step);
    }
    if let [.., before, _] = rows {
        for step in words::next_estimate(&before.estimate, shown.rtt, &shown.estimate, rows.len()) {
            answer = answer.step(step);
        }
    }
    Ok(answer
        .value("sender", side.word())
        .value("samples", all.len())
        .value(
            "columns",
            "packet, acknowledged in, SampleRTT, EstimatedRTT, DevRTT, RTO",
        )
        .value("rows", table))
}

/// A measured round trip.
#[derive(Clone, Copy)]
struct Sample<'a> {
    /// The segment that was acknowledged, where it was kept.
    segment: Option<&'a Segment>,
    packet: u64,
    ack: &'a Segment,
    rtt: i64,
    estimate: Estimate,
}

/// The round trips that `side` measured.
fn samples(c: &Connection, side: Side) -> impl Iterator<Item = Sample<'_>> {
    c.from(side.other()).filter_map(move |ack| {
        let (packet, rtt) = ack.acks?;
        let place = c.segments.binary_search_by_key(&packet, |s| s.number);
        Some(Sample {
            segment: place.ok().and_then(|place| c.segments.get(place)),
            packet,
            ack,
            rtt,
            estimate: ack.estimate?,
        })
    })
}

pub(super) fn in_flight(c: &Connection, ask: &Ask) -> Found {
    let side = c.talker();
    let all: Vec<(&Segment, u32)> = c
        .from(side)
        .filter_map(|s| Some((s, s.in_flight?)))
        .collect();
    // The first of the largest.
    let most = all.iter().rev().max_by_key(|(_, bytes)| *bytes);
    let (Some((most, bytes)), Some((last, now))) = (most, all.last()) else {
        return Err(words::NO_DATA.to_owned());
    };
    let mut answer = Answer::new(words::in_flight(
        side,
        *bytes,
        most.number,
        *now,
        last.number,
    ));
    let heard = c
        .from(side.other())
        .take_while(|s| s.number < most.number)
        .filter(|s| s.has(flag::ACK))
        .last();
    answer = answer.step(words::flight_sum(most, heard, *bytes));
    answer = answer.step(words::FLIGHT_HEAD.to_owned());
    for (segment, bytes) in all.iter().take(ask.rows) {
        answer = answer.step(words::flight_row(
            segment,
            *bytes,
            Ms(segment.time.since(all[0].0.time)),
        ));
    }
    if all.len() > ask.rows {
        answer = answer.step(words::more_rows(all.len() - ask.rows));
    }
    Ok(answer
        .proof([most.number, last.number])
        .proof(heard.map(|s| s.number))
        .value("sender", side.word())
        .value("most", *bytes)
        .value("most_packet", most.number)
        .value("last", *now))
}

pub(super) fn window(c: &Connection, _: &Ask) -> Found {
    let side = c.talker().other();
    let open = |s: &&Segment| s.has(flag::ACK) && !s.has(flag::RST);
    let least = c.from(side).filter(open).min_by_key(|s| s.window);
    let most = c.from(side).filter(open).max_by_key(|s| s.window);
    let (Some(least), Some(most)) = (least, most) else {
        return Err(words::no_window(side));
    };
    let zero: Vec<u64> = c
        .from(side)
        .filter(|s| s.is(Verdict::ZeroWindow))
        .map(|s| s.number)
        .collect();
    let full = c.from(side.other()).find(|s| s.is(Verdict::WindowFull));
    let flight = c.from(side.other()).filter_map(|s| Some((s, s.in_flight?)));
    let flight = flight.max_by_key(|(_, bytes)| *bytes);
    let limited = full.is_some()
        || !zero.is_empty()
        || flight.is_some_and(|(_, bytes)| f64::from(bytes) >= NEARLY * f64::from(most.window));
    let mut answer = Answer::new(words::window(side, least, limited)).step(words::scaled(least));
    if most.number != least.number {
        answer = answer.step(words::scaled(most));
    }
    if c.offers.iter().all(Option::is_none) {
        answer = answer.step(words::SCALE_UNKNOWN.to_owned());
    }
    answer = answer.step(words::zero_windows(&zero));
    if let Some(full) = full {
        answer = answer
            .step(words::window_full(full.number))
            .proof([full.number]);
    }
    if let Some((segment, bytes)) = flight {
        answer = answer
            .step(words::flight_beside(bytes, segment.number, most.window))
            .proof([segment.number])
            .value("most_in_flight", bytes);
    }
    Ok(answer
        .proof([least.number, most.number])
        .proof(zero.iter().copied().take(words::NAMED))
        .value("receiver", side.word())
        .value("least", least.window)
        .value("least_packet", least.number)
        .value("most", most.window)
        .value("zero_windows", zero.len())
        .value("limited_the_sender", limited))
}

pub(super) fn retransmissions(c: &Connection, ask: &Ask) -> Found {
    let again: Vec<&Segment> = c
        .segments
        .iter()
        .filter(|s| s.is(Verdict::Retransmission))
        .collect();
    let data = c.segments.iter().filter(|s| s.len > 0).count();
    if again.is_empty() {
        let highest = c.from(c.talker()).max_by_key(|s| s.number);
        let Some(highest) = highest else {
            return Err(words::NO_DATA.to_owned());
        };
        return Ok(Answer::new(words::none_again(c.segments.len(), data))
            .step(words::never_back(c.talker(), highest))
            .proof([highest.number])
            .value("retransmissions", 0_u64));
    }
    let mut answer = Answer::new(words::again(again.len(), c.segments.len()));
    for s in again.iter().take(ask.rows) {
        let original = original(c, s);
        answer = answer
            .step(words::again_row(s, original, why(s)))
            .proof([s.number])
            .proof(original);
    }
    if again.len() > ask.rows {
        answer = answer.step(words::more_rows(again.len() - ask.rows));
    }
    let numbers: Vec<Datum> = again.iter().map(|s| s.number.into()).collect();
    Ok(answer
        .value("retransmissions", again.len())
        .value("packets", numbers))
}

/// The packet that first carried the first byte of `again`.
fn original(c: &Connection, again: &Segment) -> Option<u64> {
    let covers = |s: &Segment| {
        s.from == again.from
            && s.number < again.number
            && !before(again.seq.raw, s.seq.raw)
            && before(again.seq.raw, s.next_raw())
    };
    c.first(covers).map(|s| s.number)
}

fn why(s: &Segment) -> words::Again {
    if s.is(Verdict::FastRetransmission) {
        words::Again::Fast
    } else if s.is(Verdict::SpuriousRetransmission) {
        words::Again::Needless
    } else {
        words::Again::Timeout(s.again)
    }
}

pub(super) fn throughput(c: &Connection, _: &Ask) -> Found {
    let side = c.talker();
    let data = || c.from(side).filter(|s| s.len > 0);
    let (Some(first), Some(last)) = (data().next(), data().next_back()) else {
        return Err(words::NO_DATA.to_owned());
    };
    // Until the last byte was acknowledged, where that was seen.
    let end = c
        .from(side.other())
        .find(|s| s.number > last.number && s.has(flag::ACK) && !before(s.ack.raw, last.next_raw()))
        .unwrap_or(last);
    let time = end.time.since(first.time);
    if time <= 0 {
        return Err(words::no_time(first.number));
    }
    let sent: u64 = data().map(|s| u64::from(s.len)).sum();
    let highest = data().reduce(|a, b| {
        if before(a.next_raw(), b.next_raw()) {
            b
        } else {
            a
        }
    });
    let once = highest.map_or(0, |h| {
        h.seq.raw.wrapping_add(h.len).wrapping_sub(first.seq.raw)
    });
    let rate = |bytes: u64| bytes as f64 * 1e9 / time as f64;
    let (sent_rate, once_rate) = (rate(sent), rate(once.into()));
    Ok(Answer::new(words::throughput(
        side,
        sent_rate,
        once_rate,
        first.number,
        end.number,
    ))
    .step(words::goodput_sum(first, highest.unwrap_or(last), once))
    .step(words::rate(Ms(time), once.into(), once_rate))
    .step(words::sent_in_all(sent, u64::from(once), sent_rate))
    .proof([first.number, last.number, end.number])
    .value("sender", side.word())
    .value("bytes", once)
    .value("bytes_with_repetitions", sent)
    .value("time", Ms(time))
    .value("goodput_bytes_per_second", once_rate)
    .value("throughput_bytes_per_second", sent_rate))
}

/// What was sent from one acknowledgment of everything to the next.
struct Round {
    first: u64,
    bytes: u64,
}

pub(super) fn slow_start(c: &Connection, ask: &Ask) -> Found {
    let side = c.talker();
    let mut rounds: Vec<Round> = Vec::new();
    // The round ends when what was sent in it first is acknowledged.
    let mut mark: Option<u32> = None;
    let mut lost = None;
    for s in &c.segments {
        if s.from == side && s.is(Verdict::Retransmission) && s.len > 0 {
            lost.get_or_insert(s.number);
            break;
        }
        if s.from == side && s.is_new_data() {
            match (rounds.last_mut(), mark) {
                (Some(round), Some(_)) => round.bytes += u64::from(s.len),
                _ => {
                    rounds.push(Round {
                        first: s.number,
                        bytes: s.len.into(),
                    });
                    mark = Some(s.next_raw());
                }
            }
        } else if s.from != side && s.has(flag::ACK) && mark.is_some_and(|m| !before(s.ack.raw, m))
        {
            mark = None;
        }
    }
    let grew = |pair: &[Round]| pair[1].bytes as f64 >= GROWS * pair[0].bytes as f64;
    let ended = rounds.windows(2).position(|pair| !grew(pair));
    let end = match (ended, lost) {
        _ if rounds.len() < 3 => return Err(words::few_rounds(rounds.len())),
        (Some(0), _) => return Err(words::NO_GROWTH.to_owned()),
        // The last round may be short only because there was no more to send.
        (Some(at), _) if at + 2 < rounds.len() => words::SlowStart::Grew(rounds[at + 1].first),
        (_, Some(lost)) => words::SlowStart::Lost(lost),
        _ => return Err(words::slow_start_to_the_end(rounds.len())),
    };
    let packet = match end {
        words::SlowStart::Grew(packet) | words::SlowStart::Lost(packet) => packet,
    };
    let mut answer = Answer::new(words::slow_start(&end)).proof([packet]);
    for (n, round) in rounds.iter().enumerate().take(ask.rows) {
        answer = answer
            .step(words::round(n + 1, round.bytes, round.first))
            .proof([round.first]);
    }
    let rounds: Vec<Datum> = rounds
        .iter()
        .take(ask.rows)
        .map(|r| r.bytes.into())
        .collect();
    Ok(answer
        .value("ends_at_packet", packet)
        .value("bytes_by_round", rounds))
}

pub(super) fn acks(c: &Connection, ask: &Ask) -> Found {
    let side = c.talker();
    // The data segments that each ACK newly covers.
    let mut waiting: std::collections::VecDeque<u32> = Default::default();
    let mut rows: Vec<(&Segment, u32, usize)> = Vec::new();
    let mut acked: Option<u32> = None;
    for s in &c.segments {
        if s.from == side {
            if s.is_new_data() {
                waiting.push_back(s.next_raw());
                acked.get_or_insert(s.seq.raw);
            }
        } else if let Some(old) = acked.filter(|old| s.has(flag::ACK) && before(*old, s.ack.raw)) {
            let segments = waiting
                .iter()
                .take_while(|end| !before(s.ack.raw, **end))
                .count();
            waiting.drain(..segments);
            acked = Some(s.ack.raw);
            if segments > 0 {
                rows.push((s, s.ack.raw.wrapping_sub(old), segments));
            }
        }
    }
    if rows.is_empty() {
        return Err(words::NO_ACKED.to_owned());
    }
    let mut sizes: Vec<u32> = rows.iter().map(|row| row.1).collect();
    sizes.sort_unstable();
    let usual = sizes[sizes.len() / 2];
    let every_other = rows.iter().filter(|row| row.2 >= 2).count();
    let waited = rows.iter().filter_map(|row| Some((row.0, row.0.acks?.1)));
    let waited = waited.max_by_key(|(_, span)| *span);
    let mut answer = Answer::new(words::acks(usual, rows.len(), every_other));
    for (s, bytes, segments) in rows.iter().take(ask.rows) {
        answer = answer
            .step(words::ack_row(s, *bytes, *segments))
            .proof([s.number]);
    }
    if rows.len() > ask.rows {
        answer = answer.step(words::more_rows(rows.len() - ask.rows));
    }
    if let Some((s, span)) = waited {
        answer = answer
            .step(words::longest_wait(s.number, Ms(span)))
            .value("longest_wait", Ms(span));
    }
    Ok(answer
        .value("usual_bytes", usual)
        .value("acks", rows.len())
        .value("acks_of_two_or_more", every_other))
}

pub(super) fn response(c: &Connection, ask: &Ask) -> Found {
    let request = c
        .from(Side::Client)
        .find(|s| s.is_new_data())
        .ok_or_else(|| words::no_side_data(Side::Client))?;
    let first = c
        .from(Side::Server)
        .find(|s| s.is_new_data() && s.number > request.number)
        .ok_or_else(|| words::no_side_data(Side::Server))?;
    // The response lasts until the client asks again.
    let next = c
        .from(Side::Client)
        .find(|s| s.is_new_data() && s.number > first.number);
    let parts: Vec<&Segment> = c
        .from(Side::Server)
        .filter(|s| s.is_new_data() && s.number >= first.number)
        .take_while(|s| next.is_none_or(|next| s.number < next.number))
        .collect();
    let bytes: u64 = parts.iter().map(|s| u64::from(s.len)).sum();
    let mut answer = Answer::new(words::response(parts.len(), bytes, request.number))
        .proof([request.number])
        .proof(parts.iter().map(|s| s.number));
    for s in parts.iter().take(ask.rows) {
        answer = answer.step(words::part(s));
    }
    if parts.len() > ask.rows {
        answer = answer.step(words::more_rows(parts.len() - ask.rows));
    }
    answer = answer.step(words::until(next.map(|s| s.number)));
    Ok(answer.value("segments", parts.len()).value("bytes", bytes))
}
