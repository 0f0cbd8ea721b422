//! The sentences of expectations that failed.

use super::{Rule, Takes};
use crate::track::{answers::Ms, state::State};

pub(super) fn wanted(rule: &Rule) -> String {
    let name = rule.name;
    match rule.takes {
        Takes::Nothing => format!("no value: {name}"),
        Takes::Number => format!("a number: {name}=5"),
        Takes::Span => format!("a time with its unit: {name}=50ms (s, ms, us or ns)"),
        Takes::Word(words) => format!("one of: {}", words.join(", ")),
        Takes::Text => format!("a text: {name}=hello"),
    }
}

pub(super) const NO_TCP: &str = "there is no such TCP connection";
pub(super) const NO_SYN: &str = "its SYN is not in the capture";
pub(super) const UNANSWERED_SYN: &str = "its SYN has no SYN,ACK";
pub(super) const NO_ACK: &str = "no ACK completes the handshake";
pub(super) const RETRANSMISSION: &str = "a retransmission";
pub(super) const RST: &str = "a RST";
pub(super) const ZERO_WINDOW: &str = "a window of 0";
pub(super) const LOST: &str = "a segment before it is missing";
pub(super) const NOT_SEEN: &str = "it acknowledges bytes that are missing";
pub(super) const NO_REPLY: &str = "no reply to this datagram";
pub(super) const NO_UDP: &str = "there is no UDP datagram";
pub(super) const NO_ROUND_TRIP: &str = "no round trip was measured";
pub(super) const NOT_FOUND: &str = "the text is in no stream and no datagram";

pub(super) fn too_many_again(number: u64, limit: u64) -> String {
    format!("retransmission {number}: fewer than {limit} were expected")
}

pub(super) fn slow(rtt: Ms, limit: Ms) -> String {
    format!("a round trip of {rtt}, not below {limit}")
}

pub(super) fn closed(found: &str, wanted: &str) -> String {
    format!("closed by {found}, not {wanted}")
}

pub(super) fn not_whole([client, server]: [State; 2]) -> String {
    format!("a FIN, and the close is not complete: client {client}, server {server}")
}

pub(super) fn wrong_checksum(protocol: &str) -> String {
    format!("its {protocol} checksum is wrong")
}

pub(super) fn malformed(text: &str) -> String {
    format!("malformed: {text}")
}

pub(super) fn packets(count: u64, wanted: u64) -> String {
    format!("{count} packets, not {wanted}")
}

pub(super) fn too_few(count: u64, limit: u64) -> String {
    format!("{count} packets, not more than {limit}")
}

pub(super) fn still_open() -> String {
    "it was not closed".to_owned()
}
