//! Conversations of packets made up here.
#![allow(clippy::unwrap_used)]

use super::*;
use crate::{
    link::LinkType,
    time::MILLISECOND,
    track::{
        state::State,
        story::{Outcome, Side},
        testing::{UDP, batch},
    },
};

const A: &str = "0a000001 0a000002 c350 0050";
const B: &str = "0a000002 0a000001 0050 c350";
/// One of many other clients.
const OTHERS: &str = "0a000002 0a000001 0050";

/// An IPv4 packet with a TCP segment: sockets, sequence and acknowledgment number, flags, bytes of data.
fn tcp(sockets: &str, seq: u32, ack: u32, flags: u8, data: usize) -> String {
    let sockets: String = sockets.split_whitespace().collect();
    let (addresses, ports) = sockets.split_at(16);
    let total = 40 + data;
    let data = "78".repeat(data);
    format!(
        "4500{total:04x}0001400040060000{addresses}{ports}{seq:08x}{ack:08x}50{flags:02x}020000000000{data}"
    )
}

const SYN: u8 = 2;
const ACK: u8 = 16;
const FIN: u8 = 17;
const RST: u8 = 4;

/// Everything that `frames` make, 1.5 ms apart, in a table of this size.
fn made(link: LinkType, frames: &[String], capacity: usize) -> Conversations {
    let frames: Vec<&str> = frames.iter().map(String::as_str).collect();
    let (batch, decoded) = batch(link, &frames, usize::MAX);
    let mut conversations = Conversations::new(capacity);
    for index in 0..batch.len() {
        conversations.packet(&decoded.packet(&batch, index).unwrap(), false);
    }
    conversations
}

fn only(frames: &[String]) -> Conversation {
    let all = made(LinkType::RAW, frames, 9);
    assert_eq!(all.iter().count(), 1);
    all.iter().next().unwrap().clone()
}

fn opening() -> Vec<String> {
    vec![
        tcp(A, 7, 0, SYN, 0),
        tcp(B, 500, 8, SYN | ACK, 0),
        tcp(A, 8, 501, ACK, 0),
    ]
}

#[test]
fn a_whole_connection_is_summed_up() {
    let mut frames = opening();
    frames.extend([
        tcp(A, 8, 501, ACK, 5),
        tcp(B, 501, 13, ACK, 9),
        tcp(B, 510, 13, FIN, 0),
        tcp(A, 13, 511, FIN, 0),
        tcp(B, 511, 14, ACK, 0),
    ]);
    let c = only(&frames);
    let sockets = c.sockets().map(|socket| socket.to_string());
    assert_eq!(sockets, ["10.0.0.1:50000", "10.0.0.2:80"]);
    assert_eq!(
        (c.outcome, c.ended_by),
        (Outcome::Closed, Some(Side::Server))
    );
    assert_eq!(c.states(), Some([State::Closed, State::TimeWait]));
    assert_eq!(c.sent.map(|sent| sent.packets), [4, 4]);
    assert_eq!(c.sent.map(|sent| sent.bytes), [165, 169]);
    assert_eq!(c.sent.map(|sent| sent.payload), [5, 9]);
    assert_eq!(c.duration(), 7 * 1_500_000);
    assert_eq!(c.handshake_rtt, Some(3 * MILLISECOND));
    assert_eq!(c.sum(|sent| sent.flagged.into()), 0);
}

#[test]
fn the_outcome_follows_each_step_of_a_connection() {
    let mut frames = opening();
    let outcome = |frames: &[String]| {
        let c = only(frames);
        (c.outcome, c.ended_by)
    };
    assert_eq!(outcome(&frames[..1]), (Outcome::Unanswered, None));
    assert_eq!(outcome(&frames[..2]), (Outcome::HalfOpen, None));
    assert_eq!(outcome(&frames), (Outcome::Open, None));
    frames.push(tcp(A, 8, 501, FIN, 0));
    assert_eq!(outcome(&frames), (Outcome::Closing, Some(Side::Client)));
    frames.push(tcp(B, 501, 9, RST | ACK, 0));
    assert_eq!(outcome(&frames), (Outcome::Reset, Some(Side::Server)));
    frames.push(tcp(A, 9, 501, ACK, 0));
    assert_eq!(outcome(&frames), (Outcome::Reset, Some(Side::Server)));
    let refused = [tcp(A, 7, 0, SYN, 0), tcp(B, 0, 8, RST | ACK, 0)];
    assert_eq!(outcome(&refused), (Outcome::Refused, Some(Side::Server)));
    assert_eq!(only(&refused).handshake_rtt, None);
}

#[test]
fn the_client_is_who_sent_the_syn_or_else_has_the_higher_port() {
    let client = |frames: &[String]| only(frames).sockets()[0].port();
    assert_eq!(client(&opening()), 50_000);
    assert_eq!(client(&opening()[1..]), 50_000);
    let middle = [tcp(B, 501, 8, ACK, 4), tcp(A, 8, 505, ACK, 0)];
    assert_eq!(client(&middle), 50_000);
    assert_eq!(only(&middle).outcome, Outcome::Open);
    let c = only(&[tcp(A, 7, 0, SYN, 0), tcp(A, 8, 501, ACK, 0)]);
    assert_eq!(c.outcome, Outcome::Open, "the answer was not captured");
}

#[test]
fn repetitions_and_resets_are_counted_for_their_sender() {
    let mut frames = opening();
    frames.extend([
        tcp(A, 8, 501, ACK, 5),
        tcp(A, 8, 501, ACK, 5),
        tcp(A, 8, 501, ACK, 5),
        tcp(B, 501, 13, RST | ACK, 0),
    ]);
    let c = only(&frames);
    assert_eq!(c.sent.map(|sent| sent.retransmissions), [2, 0]);
    assert_eq!(c.sent.map(|sent| sent.flagged), [2, 0]);
    assert_eq!(c.sent.map(|sent| sent.resets), [0, 1]);
    assert!(c.sent[1].srtt.is_some());
}

#[test]
fn sockets_that_are_used_again_make_another_conversation() {
    let mut frames = opening();
    frames.push(tcp(B, 501, 8, RST | ACK, 0));
    frames.push(tcp(A, 90_000, 0, SYN, 0));
    let all = made(LinkType::RAW, &frames, 9);
    let mut found: Vec<_> = all.iter().map(|c| (c.stream, c.outcome)).collect();
    found.sort();
    assert_eq!(found, [(0, Outcome::Reset), (1, Outcome::Unanswered)]);
}

#[test]
fn a_socket_that_talks_with_itself_has_one_side() {
    let own = "0a000001 0a000001 c350 c350";
    let c = only(&[
        tcp(own, 7, 0, SYN, 0),
        tcp(own, 7, 8, SYN | ACK, 0),
        tcp(own, 8, 8, ACK, 0),
    ]);
    assert_eq!(c.sent.map(|sent| sent.packets), [3, 0]);
    assert_eq!(c.states(), Some([State::Established; 2]));
}

#[test]
fn a_datagram_is_answered_or_refused_by_name() {
    let request: String = UDP.split_whitespace().collect();
    let ip = &request[28..];
    let reply = "45000021000100004011 66c9 0a000002 0a000001 0035 14e9 000d 0000 68656c6c6f";
    let error = format!("4500003d000100004001 0000 0a000002 0a000001 0303 0000 00000000 {ip}");
    let frames = [ip.to_owned(), reply.to_owned()];
    let c = only(&frames);
    assert_eq!(
        (c.outcome, c.states(), c.error),
        (Outcome::Answered, None, None)
    );
    assert_eq!(
        c.sent.map(|sent| (sent.packets, sent.payload)),
        [(1, 5), (1, 5)]
    );
    let c = only(&[ip.to_owned(), error.clone()]);
    assert_eq!(c.outcome, Outcome::Unreachable);
    let refusal = c.error.unwrap();
    assert_eq!(refusal.says, "port unreachable");
    assert_eq!(refusal.by.to_string(), "10.0.0.2");
    // The error itself is no packet of the conversation, and alone it makes none.
    assert_eq!(c.sent.map(|sent| sent.packets), [1, 0]);
    assert_eq!(made(LinkType::RAW, &[error], 9).iter().count(), 0);
}

#[test]
fn a_full_table_forgets_what_came_to_nothing_and_keeps_the_sums() {
    let mut frames = opening();
    for port in 1..=50 {
        frames.push(tcp(&format!("{OTHERS} {port:04x}")[..], 7, 0, SYN, 0));
    }
    frames.push(tcp(A, 8, 501, ACK, 5));
    let all = made(LinkType::RAW, &frames, 4);
    assert_eq!((all.iter().count(), all.missing()), (4, 47));
    let open = all.iter().find(|c| c.outcome == Outcome::Open).unwrap();
    assert_eq!(open.sent.map(|sent| sent.packets), [3, 1]);
    let [tcp, udp] = all.totals();
    assert_eq!(udp, Totals::default());
    assert_eq!(
        (tcp.conversations, tcp.packets, tcp.bytes),
        (51, 54, 54 * 40 + 5)
    );
}

#[test]
fn packets_that_are_aside_tell_how_it_stands_and_do_not_count() {
    let frames = opening();
    let frames: Vec<&str> = frames.iter().map(String::as_str).collect();
    let (batch, decoded) = batch(LinkType::RAW, &frames, usize::MAX);
    let mut all = Conversations::new(9);
    for index in 0..batch.len() {
        assert!(all.packet(&decoded.packet(&batch, index).unwrap(), index < 2));
        assert_eq!(all.iter().count(), usize::from(index == 2));
    }
    let c = all.iter().next().unwrap();
    assert_eq!((c.outcome, c.duration()), (Outcome::Open, 0));
    assert_eq!(c.sent.map(|sent| sent.packets), [1, 0]);
    assert_eq!(all.totals()[0].conversations, 1);
}

#[test]
fn a_time_that_runs_backwards_moves_the_start() {
    let frames = opening();
    let frames: Vec<&str> = frames.iter().map(String::as_str).collect();
    let (batch, decoded) = batch(LinkType::RAW, &frames, usize::MAX);
    let mut all = Conversations::new(9);
    for index in [2, 0] {
        all.packet(&decoded.packet(&batch, index).unwrap(), false);
    }
    assert_eq!(all.iter().next().unwrap().duration(), 3 * MILLISECOND);
}
