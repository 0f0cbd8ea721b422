//! Questions about single packets, datagrams, ICMP errors and fragments.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    net::{IpAddr, SocketAddr},
};

use super::{
    Answer, Ask, Datum, Evidence, Found,
    records::{Datagram, Piece, Print, Probe},
    shot::{Seen, Shot},
    words,
    words::Ms,
};
use crate::{
    time::Time,
    track::{flow::Transport, story::Side, stream},
};

pub(super) fn which_segment(evidence: &Evidence, ask: &Ask) -> Found {
    let text = ask.text.as_deref().unwrap_or_default();
    let found = evidence
        .finds
        .first()
        .ok_or_else(|| words::not_found(text))?;
    let (first, last) = found.packets;
    let side = match found.side {
        stream::Side::Client => Side::Client,
        stream::Side::Server => Side::Server,
    };
    let mut answer = Answer::new(words::carries(first, last, text, side))
        .proof([first, last])
        .value("packet", first)
        .value("sender", side.word())
        .value("stream_offset", found.offset);
    if found.stream.transport == Transport::Udp {
        return Ok(answer.step(words::among_datagrams(found.stream, found.offset)));
    }
    let number = found.stream.number;
    if let Some(c) = evidence.connections.iter().find(|c| c.stream == number) {
        answer.connection = Some((number, c.ends[0], c.ends[1]));
        if let Some(s) = c.first(|s| s.number == first) {
            answer = answer
                .step(words::seq_of(s.seq, s.len, first))
                .step(words::offset_of(found.offset, s.seq.relative))
                .value("seq", s.seq.relative)
                .value("seq_raw", s.seq.raw);
        }
    }
    Ok(answer)
}

pub(super) fn dns(evidence: &Evidence, ask: &Ask) -> Found {
    if evidence.resolved.is_empty() {
        return Err(words::NO_DNS.to_owned());
    }
    // The last answer that gave an address before the SYN.
    let mut known: HashMap<IpAddr, usize> = HashMap::new();
    let mut resolved = evidence.resolved.iter().enumerate().peekable();
    let mut pairs = Vec::new();
    let mut syns = 0_usize;
    for c in &evidence.connections {
        let Some(syn) = c.offers[0] else {
            continue;
        };
        syns += 1;
        while let Some((place, r)) = resolved.next_if(|(_, r)| r.number < syn.number) {
            known.insert(r.address, place);
        }
        if let Some(place) = known.get(&c.ends[1].ip()) {
            pairs.push((syn.number, c.ends[1], &evidence.resolved[*place]));
        }
    }
    if syns == 0 {
        return Err(words::NO_SYN_AT_ALL.to_owned());
    }
    let mut answer = Answer::new(words::dns(pairs.len(), syns));
    for (syn, server, r) in pairs.iter().take(ask.rows) {
        answer = answer
            .step(words::dns_row(*syn, *server, &r.name, r.number))
            .proof([*syn, r.number]);
    }
    if pairs.len() > ask.rows {
        answer = answer.step(words::more_rows(pairs.len() - ask.rows));
    }
    Ok(answer
        .value("syns", syns)
        .value("to_answered_addresses", pairs.len()))
}

/// A datagram and what came back for it.
struct Exchange<'a> {
    request: &'a Datagram,
    reply: Option<&'a Datagram>,
    error: Option<(u64, Time, &'static str)>,
}

/// Each datagram of the side that began with the reply to it: replies are taken to come in the order of requests.
fn exchanges(evidence: &Evidence) -> Vec<Exchange<'_>> {
    let mut all: Vec<Exchange<'_>> = Vec::new();
    // For each conversation its first sender, and the exchanges that wait.
    let mut waiting: HashMap<u32, (SocketAddr, VecDeque<usize>)> = HashMap::new();
    let mut newest: HashMap<(SocketAddr, SocketAddr), usize> = HashMap::new();
    let mut errors = evidence.errors.iter().peekable();
    let mut fail = |all: &mut Vec<Exchange<'_>>,
                    newest: &HashMap<(SocketAddr, SocketAddr), usize>,
                    before: u64| {
        while let Some(error) = errors.next_if(|error| error.number < before) {
            let Some(print) = error.about else { continue };
            let ports = print.mark[0];
            let sockets = (
                SocketAddr::new(print.source, (ports >> 16) as u16),
                SocketAddr::new(print.destination, ports as u16),
            );
            if let Some(place) = newest.get(&sockets) {
                all[*place].error = Some((error.number, error.time, error.says));
            }
        }
    };
    for datagram in &evidence.datagrams {
        fail(&mut all, &newest, datagram.number);
        let (began, queue) = waiting
            .entry(datagram.stream)
            .or_insert_with(|| (datagram.source, VecDeque::new()));
        if datagram.source == *began {
            queue.push_back(all.len());
            newest.insert((datagram.source, datagram.destination), all.len());
            all.push(Exchange {
                request: datagram,
                reply: None,
                error: None,
            });
        } else if let Some(place) = queue.pop_front() {
            all[place].reply = Some(datagram);
        }
    }
    fail(&mut all, &newest, u64::MAX);
    all
}

/// UDP datagrams that began something: their packets, conversations, and whether anything came back.
pub(in crate::track) fn unanswered(evidence: &Evidence) -> Vec<(u64, u32)> {
    exchanges(evidence)
        .iter()
        .filter(|exchange| exchange.reply.is_none())
        .map(|exchange| (exchange.request.number, exchange.request.stream))
        .collect()
}

pub(super) fn udp(evidence: &Evidence, ask: &Ask) -> Found {
    let all = exchanges(evidence);
    if all.is_empty() {
        return Err(words::NO_UDP.to_owned());
    }
    let delays: Vec<i64> = all
        .iter()
        .filter_map(|e| Some(e.reply?.time.since(e.request.time)))
        .collect();
    let failed = all.iter().filter(|e| e.error.is_some()).count();
    let silent = all.len()
        - delays.len()
        - all
            .iter()
            .filter(|e| e.error.is_some() && e.reply.is_none())
            .count();
    let mut answer = Answer::new(words::udp(all.len(), delays.len(), failed, silent));
    for e in all.iter().take(ask.rows) {
        let reply = e
            .reply
            .map(|r| (r.number, Ms(r.time.since(e.request.time))));
        let error = e
            .error
            .map(|(n, time, says)| (n, Ms(time.since(e.request.time)), says));
        answer = answer
            .step(words::exchange(e.request, reply, error))
            .proof([e.request.number])
            .proof(e.reply.map(|r| r.number))
            .proof(e.error.map(|(n, ..)| n));
    }
    if all.len() > ask.rows {
        answer = answer.step(words::more_rows(all.len() - ask.rows));
    }
    if delays.len() > 1 {
        let count = delays.len() as i64;
        let sum = delays.iter().fold(0_i64, |sum, d| sum.saturating_add(*d));
        let changes = delays
            .windows(2)
            .map(|p| p[1].saturating_sub(p[0]).saturating_abs());
        let jitter = changes.fold(0_i64, i64::saturating_add) / (count - 1);
        answer = answer
            .step(words::delays(Ms(sum / count), Ms(jitter), delays.len()))
            .value("mean_delay", Ms(sum / count))
            .value("jitter", Ms(jitter));
    }
    Ok(answer
        .value("requests", all.len())
        .value("answered", delays.len())
        .value("errors", failed)
        .value("unanswered", silent))
}

/// The packet of this number, as it was kept.
fn shot<'a>(evidence: &'a Evidence, ask: &Ask, which: usize) -> Result<&'a Shot, String> {
    let number = ask.numbers.get(which).copied().unwrap_or_default();
    evidence
        .shots
        .iter()
        .find(|shot| shot.number == number)
        .ok_or_else(|| words::no_packet(number, evidence.packets))
}

pub(super) fn checksum(evidence: &Evidence, ask: &Ask) -> Found {
    let shot = shot(evidence, ask, 0)?;
    let sum = shot
        .sums
        .last()
        .ok_or_else(|| words::no_checksum(shot.number))?;
    let mut answer = Answer::new(words::checksum(sum, shot.number)).proof([shot.number]);
    for step in words::sum_steps(sum) {
        answer = answer.step(step);
    }
    for other in shot.sums.iter().rev().skip(1) {
        answer = answer.step(words::other_checksum(other));
    }
    Ok(answer
        .value("protocol", sum.label)
        .value("verdict", sum.verdict.as_str())
        .value("found", sum.found)
        .value("computed", sum.right()))
}

pub(super) fn diff(evidence: &Evidence, ask: &Ask) -> Found {
    let (a, b) = (shot(evidence, ask, 0)?, shot(evidence, ask, 1)?);
    // A field's name, its layer, and which of those with that name it is.
    let keyed = |shot: &Shot| -> Vec<((&'static str, usize, usize), String)> {
        let mut seen: HashMap<(&'static str, usize), usize> = HashMap::new();
        let key = |field: &Seen| {
            let count = seen.entry((field.field.name, field.layer)).or_default();
            *count += 1;
            ((field.field.name, field.layer, *count), field.text.clone())
        };
        shot.fields.iter().map(key).collect()
    };
    let (left, right) = (keyed(a), keyed(b));
    let of_right: BTreeMap<_, _> = right.iter().map(|(key, text)| (*key, text)).collect();
    let of_left: BTreeMap<_, _> = left.iter().map(|(key, text)| (*key, text)).collect();
    let mut rows: Vec<(&'static str, Option<&str>, Option<&str>)> = Vec::new();
    for (key, text) in &left {
        let other = of_right.get(key).map(|text| text.as_str());
        if other != Some(text) {
            rows.push((key.0, Some(text), other));
        }
    }
    for (key, text) in right.iter().filter(|(key, _)| !of_left.contains_key(key)) {
        rows.push((key.0, None, Some(text)));
    }
    let same = left.len() - rows.iter().filter(|row| row.1.is_some()).count();
    let mut answer =
        Answer::new(words::diff(a.number, b.number, rows.len(), same)).proof([a.number, b.number]);
    for (name, left, right) in &rows {
        answer = answer.step(words::diff_row(name, *left, *right));
    }
    let names: Vec<Datum> = rows.iter().map(|row| row.0.into()).collect();
    Ok(answer.value("different", names).value("same", same))
}

pub(super) fn fragments(evidence: &Evidence, _: &Ask) -> Found {
    let first = evidence.fragments.first().ok_or(words::NO_FRAGMENT)?;
    let belongs = |piece: &&Piece| piece.addresses == first.addresses && piece.id == first.id;
    let mut pieces: Vec<&Piece> = Vec::new();
    for piece in evidence.fragments.iter().filter(belongs) {
        pieces.push(piece);
        if piece.completes {
            // The number serves again for another datagram.
            break;
        }
    }
    pieces.sort_by_key(|piece| piece.offset);
    let mut missing = Vec::new();
    let mut reached = 0_u32;
    for piece in &pieces {
        if piece.offset > reached {
            missing.push((reached, Some(piece.offset)));
        }
        reached = reached.max(piece.offset.saturating_add(piece.len));
    }
    let whole = pieces.iter().find(|piece| !piece.more);
    if whole.is_none() {
        missing.push((reached, None));
    }
    let mut answer = Answer::new(words::fragments(&pieces, reached, &missing))
        .proof(pieces.iter().map(|piece| piece.number));
    for piece in &pieces {
        answer = answer.step(words::piece(piece));
    }
    for gap in &missing {
        answer = answer.step(words::gap(*gap));
    }
    Ok(answer
        .value("id", u64::from(first.id))
        .value("fragments", pieces.len())
        .value("bytes", reached)
        .value("complete", missing.is_empty()))
}

/// One router, or the destination.
struct Hop {
    ttl: u8,
    by: IpAddr,
    probe: u64,
    answer: u64,
    rtt: i64,
    reply_ttl: u8,
    arrived: bool,
}

pub(super) fn hops(evidence: &Evidence, ask: &Ask) -> Found {
    let ran_out = |says: &str| says == words::TTL_RAN_OUT || says == words::HOPS_RAN_OUT;
    let mut known: HashMap<Print, &Probe> = HashMap::new();
    let mut probes = evidence.probes.iter().peekable();
    let mut hops: Vec<Hop> = Vec::new();
    for error in &evidence.errors {
        while let Some(probe) = probes.next_if(|probe| probe.number < error.number) {
            known.insert(probe.print, probe);
        }
        let Some(probe) = error.about.and_then(|print| known.get(&print)) else {
            continue;
        };
        let arrived = error.by == probe.print.destination;
        if ran_out(error.says) || arrived {
            hops.push(Hop {
                ttl: probe.ttl,
                by: error.by,
                probe: probe.number,
                answer: error.number,
                rtt: error.time.since(probe.time),
                reply_ttl: error.ttl,
                arrived,
            });
        }
    }
    if !hops.iter().any(|hop| !hop.arrived) {
        return Err(words::NO_TIME_EXCEEDED.to_owned());
    }
    let by_number: HashMap<u64, &Probe> = evidence.probes.iter().map(|p| (p.number, p)).collect();
    for reply in &evidence.echoes {
        if let Some(probe) = by_number.get(&reply.request) {
            hops.push(Hop {
                ttl: probe.ttl,
                by: reply.by,
                probe: probe.number,
                answer: reply.number,
                rtt: reply.time.since(probe.time),
                reply_ttl: reply.ttl,
                arrived: true,
            });
        }
    }
    hops.sort_by_key(|hop| (hop.ttl, hop.probe));
    let reached = hops.iter().find(|hop| hop.arrived);
    let last = hops.iter().rev().find(|hop| !hop.arrived);
    let mut answer = Answer::new(match (reached, last) {
        (Some(hop), _) => words::hops(hop.ttl, hop.by),
        (None, Some(hop)) => words::not_reached(hop.ttl, hop.by),
        (None, None) => return Err(words::NO_TIME_EXCEEDED.to_owned()),
    });
    for hop in hops.iter().take(ask.rows) {
        answer = answer
            .step(words::hop(
                hop.ttl,
                hop.by,
                Ms(hop.rtt),
                hop.reply_ttl,
                (hop.probe, hop.answer),
            ))
            .proof([hop.probe, hop.answer]);
    }
    if hops.len() > ask.rows {
        answer = answer.step(words::more_rows(hops.len() - ask.rows));
    }
    if let Some(hop) = reached {
        answer = answer.value("hops", hop.ttl);
    }
    Ok(answer.value("answers", hops.len()))
}

pub(super) fn nat(evidence: &Evidence, _: &Ask) -> Found {
    let mut by_isn: HashMap<u32, usize> = HashMap::new();
    for (place, c) in evidence.connections.iter().enumerate() {
        let Some((syn, offer)) =
            c.offers[0].and_then(|offer| Some((c.first(|s| s.number == offer.number)?, offer)))
        else {
            continue;
        };
        let Some(other) = by_isn.insert(syn.seq.raw, place) else {
            continue;
        };
        let before = &evidence.connections[other];
        let Some(first) = before.offers[0] else {
            continue;
        };
        if before.ends == c.ends {
            continue;
        }
        let mut answer = Answer::new(words::nat(first.number, offer.number, syn.seq.raw))
            .proof([first.number, offer.number])
            .value("streams", vec![before.stream.into(), c.stream.into()]);
        let rows = [
            ("client", before.ends[0].to_string(), c.ends[0].to_string()),
            ("server", before.ends[1].to_string(), c.ends[1].to_string()),
            ("TTL", first.ttl.to_string(), offer.ttl.to_string()),
            (
                "MSS",
                words::or_none(first.offers.mss),
                words::or_none(offer.offers.mss),
            ),
        ];
        for (what, old, new) in rows {
            answer = answer.step(words::changed(what, &old, &new));
        }
        return Ok(answer.step(words::delay_in_nat(Ms(offer.time.since(first.time)))));
    }
    Err(words::NO_NAT.to_owned())
}
