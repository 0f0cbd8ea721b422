//! Questions about the handshake, and about what follows from its numbers.

use super::{Answer, Ask, Connection, Found, Segment, words, words::Ms};
use crate::{
    proto::tcp::{Offers, flag},
    track::{state::before, story::Side},
};

/// A half of the handshake that takes so many times as long as the other is all that there is.
const NEAR: i64 = 10;
const SIDES: [Side; 2] = [Side::Client, Side::Server];

pub(super) fn isn(c: &Connection, _: &Ask) -> Found {
    let syn = |side| c.from(side).find(|s| s.has(flag::SYN));
    let (client, server) = (syn(Side::Client), syn(Side::Server));
    let seen = [client, server].into_iter().zip(SIDES);
    let seen: Vec<(Side, &Segment)> = seen.filter_map(|(s, side)| Some((side, s?))).collect();
    if seen.is_empty() {
        return Err(words::NO_SYN.to_owned());
    }
    let numbers: Vec<_> = seen
        .iter()
        .map(|(side, s)| (*side, s.seq.raw, s.number))
        .collect();
    let mut answer = Answer::new(words::isn(&numbers)).proof(seen.iter().map(|(_, s)| s.number));
    for (side, s) in seen {
        answer = answer.step(words::isn_step(side, s.seq.raw, s.number));
        let name = match side {
            Side::Client => "client_isn",
            Side::Server => "server_isn",
        };
        answer = answer.value(name, s.seq.raw);
    }
    Ok(answer)
}

/// The three packets, or why there are not three.
fn three(c: &Connection) -> Result<[&Segment; 3], String> {
    match c.handshake() {
        [Some(syn), Some(answer), Some(ack)] => Ok([syn, answer, ack]),
        [Some(syn), Some(answer), None] => Err(words::no_third(syn.number, answer.number)),
        [Some(syn), None, _] => {
            let refused = c.first(|s| s.has(flag::RST) && s.from != syn.from);
            Err(words::no_second(syn.number, refused.map(|s| s.number)))
        }
        [None, ..] => Err(words::NO_SYN.to_owned()),
    }
}

pub(super) fn handshake(c: &Connection, _: &Ask) -> Found {
    let [syn, answer, ack] = three(c)?;
    let found = Answer::new(words::handshake([syn, answer, ack].map(|s| s.number)))
        .step(words::shake_syn(syn.number, syn.seq))
        .step(words::shake_ack(
            answer.number,
            "SYN,ACK",
            answer.seq,
            answer.ack,
            syn.number,
        ))
        .step(words::shake_ack(
            ack.number,
            "ACK",
            ack.seq,
            ack.ack,
            answer.number,
        ))
        .proof([syn, answer, ack].map(|s| s.number));
    Ok(found
        .value("syn", syn.number)
        .value("syn_ack", answer.number)
        .value("ack", ack.number))
}

pub(super) fn handshake_rtt(c: &Connection, _: &Ask) -> Found {
    let [syn, answer, ack] = three(c)?;
    let (out, back) = (answer.time.since(syn.time), ack.time.since(answer.time));
    let all = ack.time.since(syn.time);
    // Near one end, the way to that end and back takes next to no time.
    let nearer = match (out, back) {
        (out, back) if out / NEAR > back => Some(Side::Client),
        (out, back) if back / NEAR > out => Some(Side::Server),
        _ => None,
    };
    Ok(Answer::new(words::handshake_rtt(
        Ms(all),
        syn.number,
        ack.number,
        nearer,
    ))
    .step(words::half(
        Ms(out),
        syn.number,
        answer.number,
        Side::Server,
    ))
    .step(words::half(
        Ms(back),
        answer.number,
        ack.number,
        Side::Client,
    ))
    .step(words::halves(Ms(out), Ms(back), Ms(all)))
    .proof([syn, answer, ack].map(|s| s.number))
    .value("rtt", Ms(all))
    .value("server_half", Ms(out))
    .value("client_half", Ms(back))
    .value(
        "captured_near",
        nearer.map_or("neither", |side| side.word()),
    ))
}

pub(super) fn options(c: &Connection, _: &Ask) -> Found {
    let [client, server] = c.offers;
    let Some(any) = client.or(server) else {
        return Err(words::NO_SYN.to_owned());
    };
    let force = client
        .zip(server)
        .map(|(a, b)| InForce::of(&a.offers, &b.offers));
    let mut answer = Answer::new(match &force {
        Some(force) => words::in_force(force),
        None => words::one_offer(any.number),
    });
    for (side, offer) in SIDES.into_iter().zip([client, server]) {
        if let Some(offer) = offer {
            answer = answer
                .step(words::offer(side, offer.number, &offer.offers))
                .proof([offer.number]);
            let [mss, scale, sack, stamps] = match side {
                Side::Client => [
                    "client_mss",
                    "client_ws",
                    "client_sack",
                    "client_timestamps",
                ],
                Side::Server => [
                    "server_mss",
                    "server_ws",
                    "server_sack",
                    "server_timestamps",
                ],
            };
            if let Some(value) = offer.offers.mss {
                answer = answer.value(mss, value);
            }
            if let Some(value) = offer.offers.window_scale {
                answer = answer.value(scale, value);
            }
            answer = answer
                .value(sack, offer.offers.sack_permitted)
                .value(stamps, offer.offers.timestamps.is_some());
        }
    }
    if let Some(force) = force {
        for step in words::rules(&force) {
            answer = answer.step(step);
        }
        answer = answer
            .value("scaling_in_force", force.scales.is_some())
            .value("sack_in_force", force.sack)
            .value("timestamps_in_force", force.timestamps);
    }
    Ok(answer)
}

/// What both sides offered, and so holds.
pub(super) struct InForce {
    /// The most that client and server may send in a segment.
    pub(super) mss: [u16; 2],
    pub(super) scales: Option<[u8; 2]>,
    pub(super) sack: bool,
    pub(super) timestamps: bool,
}

impl InForce {
    fn of(client: &Offers, server: &Offers) -> Self {
        // Without the option, 536 is what every host takes (RFC 9293 §3.7.1).
        let mss = |offers: &Offers| offers.mss.unwrap_or(536);
        Self {
            mss: [mss(server), mss(client)],
            scales: client
                .window_scale
                .zip(server.window_scale)
                .map(|(a, b)| [a, b]),
            sack: client.sack_permitted && server.sack_permitted,
            timestamps: client.timestamps.is_some() && server.timestamps.is_some(),
        }
    }
}

pub(super) fn next_segment(c: &Connection, _: &Ask) -> Found {
    let over = c.segments.iter().rfind(|s| s.has(flag::RST)).or_else(|| {
        let is_over = c.states().iter().all(|state| state.is_over());
        c.segments.last().filter(|_| is_over)
    });
    if let Some(last) = over {
        return Err(words::is_over(last.number));
    }
    let mut answer = Answer::new(words::next_segment(c.segments.len()));
    for side in SIDES {
        let Some((seq, newest)) = next_raw(c, side) else {
            continue;
        };
        let [seq_name, ack_name] = match side {
            Side::Client => ["client_seq", "client_ack"],
            Side::Server => ["server_seq", "server_ack"],
        };
        answer = answer
            .step(words::next_seq(side, c.ends, newest, seq))
            .proof([newest.number])
            .value(seq_name, seq);
        if let Some((ack, other)) = next_raw(c, side.other()) {
            answer = answer
                .step(words::next_ack(ack, other.number))
                .value(ack_name, ack);
        }
        if let Some(heard) = c.from(side.other()).rfind(|s| s.has(flag::ACK)) {
            answer = answer
                .step(words::in_window(heard.ack.raw, heard.window, heard.number))
                .proof([heard.number]);
        }
    }
    Ok(answer)
}

/// The raw sequence number that a side uses next, and the segment that it follows.
fn next_raw(c: &Connection, side: Side) -> Option<(u32, &Segment)> {
    let ends = c.from(side).map(|s| (s.next_raw(), s));
    ends.reduce(|a, b| if before(a.0, b.0) { b } else { a })
}
