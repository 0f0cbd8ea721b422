//! What the figures of a run bear out, in sentences: each says only what was counted in this run.

use super::{Figures, Kind, tally::Course};

/// What the program with raw sockets did itself that a kernel does otherwise.
pub fn built(figures: &Figures) -> Vec<String> {
    let Some(by_hand) = figures.by_hand else {
        return Vec::new();
    };
    let again = figures.sent_again.client;
    let mut list = Vec::new();
    if figures.handshake_ms.is_some() {
        list.push("the three-way handshake: an ISN, the SYN with its MSS, the last ACK".to_owned());
    }
    list.push(format!(
        "{}: IP and TCP headers, ports, numbers, window, checksums",
        number(by_hand.sent, "packet")
    ));
    if by_hand.heard > 0 {
        list.push(format!(
            "{} read: checked, put in order, each piece of data acknowledged",
            number(by_hand.heard, "packet")
        ));
    }
    list.push(match again {
        0 => "a retransmission timer, which never ran out here".to_owned(),
        1 => "a retransmission timer, and 1 packet sent again".to_owned(),
        again => format!("a retransmission timer, and {again} packets sent again"),
    });
    list.push("a window of ten segments that never grows: no congestion control".to_owned());
    list.push("a socket that takes nothing, so that its own kernel sends no RST".to_owned());
    if figures.ended.is_none() {
        list.push("the close: its FIN, and the ACK of the server's".to_owned());
    }
    list
}

/// What the figures of several kinds show: cost, loss, boundaries.
pub fn sentences(all: &[Figures]) -> Vec<String> {
    let done: Vec<&Figures> = all
        .iter()
        .filter(|figures| figures.ended.is_none())
        .collect();
    if done.is_empty() {
        return Vec::new();
    }
    vec![cost(&done), loss(&done), boundaries(&done)]
}

fn subject(kind: Kind) -> &'static str {
    match kind {
        Kind::Stream => "the stream",
        Kind::Datagram => "the datagrams",
        Kind::Raw => "the packets by hand",
    }
}

fn cost(all: &[&Figures]) -> String {
    let each: Vec<String> = all
        .iter()
        .map(|figures| {
            let overhead = figures.overhead_percent.map_or_else(
                || "of which nothing arrived".to_owned(),
                |percent| format!("{percent:.1}% more than the data that arrived"),
            );
            format!(
                "{} took {} and {} bytes on the wire, {overhead}",
                subject(figures.kind),
                number(figures.packets.client + figures.packets.server, "packet"),
                figures.bytes_on_wire
            )
        })
        .collect();
    sentence(&each.join("; "))
}

fn loss(all: &[&Figures]) -> String {
    let lost = |figures: &Figures| figures.lost.client + figures.lost.server;
    let is_quiet = |figures: &&Figures| {
        lost(figures) == 0
            && figures.sent_again.client + figures.sent_again.server == 0
            && is_whole(&figures.messages)
            && is_whole(&figures.answers)
    };
    if all.iter().all(is_quiet) {
        return "The wire lost nothing: every message and every answer arrived, in order, and nobody had to \
                send anything again."
            .to_owned();
    }
    let each: Vec<String> = all
        .iter()
        .map(|figures| {
            let who = subject(figures.kind);
            let missing = missing(&figures.messages) + missing(&figures.answers);
            let result = match missing {
                0 => "everything arrived".to_owned(),
                missing => format!(
                    "{missing} of {} messages and answers never arrived",
                    figures.messages.sent + figures.answers.sent
                ),
            };
            let (client, server) = (figures.sent_again.client, figures.sent_again.server);
            let repair = match (figures.kind, client, server) {
                (Kind::Datagram, ..) | (_, 0, 0) => "nobody sent anything again".to_owned(),
                (Kind::Stream, ..) => format!("the kernels sent {} again", client + server),
                (Kind::Raw, client, 0) => format!("the program sent {client} again"),
                (Kind::Raw, 0, server) => format!("the server's kernel sent {server} again"),
                (Kind::Raw, ..) => {
                    format!("the program sent {client} again, the server's kernel {server}")
                }
            };
            let lost = match lost(figures) {
                0 => "nothing".to_owned(),
                lost => number(lost, "packet"),
            };
            format!("of {who} the wire lost {lost}, {repair} and {result}")
        })
        .collect();
    sentence(&each.join("; "))
}

fn boundaries(all: &[&Figures]) -> String {
    let each: Vec<String> = all
        .iter()
        .map(|figures| {
            let burst = &figures.burst;
            let sizes: Vec<String> = burst.receives.iter().map(ToString::to_string).collect();
            let receives = match &sizes[..] {
                [] => "none of them was received".to_owned(),
                [one] => format!("one receive returned {one} bytes"),
                more => format!("{} receives returned {} bytes", more.len(), more.join(", ")),
            };
            let ways = match figures.kind {
                Kind::Stream => "over the stream",
                Kind::Datagram => "as datagrams",
                Kind::Raw => "by hand",
            };
            format!("{ways} {receives} ({})", number(burst.packets, "packet"))
        })
        .collect();
    let sends: Vec<String> = all
        .first()
        .map(|figures| {
            figures
                .burst
                .sends
                .iter()
                .map(ToString::to_string)
                .collect()
        })
        .unwrap_or_default();
    sentence(&format!(
        "of {} sends at once ({} bytes), {}",
        sends.len(),
        sends.join(", "),
        each.join("; ")
    ))
}

/// Everything that was sent arrived, once and in order.
fn is_whole(course: &Course) -> bool {
    course.arrived == course.sent && course.in_order == course.sent && course.again == 0
}

fn missing(course: &Course) -> u64 {
    course.sent.saturating_sub(course.arrived)
}

/// "1 packet", "3 packets".
fn number(count: u64, noun: &str) -> String {
    match count {
        1 => format!("1 {noun}"),
        count => format!("{count} {noun}s"),
    }
}

/// With a capital letter and a full stop.
fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next().map(|first| first.to_ascii_uppercase());
    first.into_iter().chain(letters).chain(['.']).collect()
}
