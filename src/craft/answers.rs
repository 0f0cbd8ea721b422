//! Does this packet answer that one? The peer's own reply, or an ICMP error that quotes what was sent.

use std::net::IpAddr;

use crate::{
    layer::{Packet, View},
    proto::{icmp, icmpv6},
    protocol::Claim,
};

/// What a packet is to the one that was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The answer of whom it was for.
    Reply,
    /// An ICMP or ICMPv6 error about it.
    Error(Failure),
}

/// An ICMP or ICMPv6 error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Who sent it.
    pub from: IpAddr,
    /// The IP version: types and codes of the two differ.
    pub version: u8,
    /// Its type.
    pub kind: u8,
    /// Its code.
    pub code: u8,
    /// The layer of the message itself.
    pub message: usize,
    /// The network layer that it quotes.
    pub quoted: usize,
}

/// What tells conversations apart, the same in a packet and in everything that can answer it: most packets that do not
/// answer have another one, so that the others are found in a table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Key {
    /// The protocol that speaks.
    protocol: &'static str,
    /// Our port and the peer's, or identifier and sequence number.
    numbers: (u16, u16),
}

/// Protocols whose first four bytes are two ports.
const PORTS: [&str; 3] = ["tcp", "udp", "udplite"];

/// Whether `packet` answers `request`, and how. Redirects are no answers: what they quote was passed on.
pub fn answer(request: &Packet<'_>, packet: &Packet<'_>) -> Option<Answer> {
    match failure(packet) {
        Some(failure) => {
            let quoted = packet.view(failure.quoted)?;
            quotes(request, &quoted).then_some(Answer::Error(failure))
        }
        None => replies(request, packet).then_some(Answer::Reply),
    }
}

/// The ICMP or ICMPv6 error in `packet` that tells of a packet not delivered.
pub fn failure(packet: &Packet<'_>) -> Option<Failure> {
    let mut views = packet.views();
    let quoted = views.find(|view| view.layer.quoted && view.layer.protocol.addresses.is_some())?;
    let message = packet.view(quoted.index.checked_sub(1)?)?;
    let version = match message.layer.protocol.name {
        "icmp" => 4,
        "icmpv6" => 6,
        _ => return None,
    };
    let (kind, code) = (message.u8(0)?, message.u8(1)?);
    // Source quench (RFC 6633 deprecates it) and redirect are advice about a packet that went on.
    let advice = version == 4 && matches!(kind, 4 | 5);
    (!advice).then_some(Failure {
        from: message.addresses()?.0,
        version,
        kind,
        code,
        message: message.index,
        quoted: quoted.index,
    })
}

/// Whether `quoted`, the network layer in an error, is that of `request`: addresses, protocol and ports or identifier,
/// as far as they were quoted.
pub fn quotes(request: &Packet<'_>, quoted: &View<'_>) -> bool {
    let Some(sent) = own(request).find(|view| view.layer.protocol.addresses.is_some()) else {
        return false;
    };
    if sent.addresses() != quoted.addresses() {
        return false;
    }
    let Some(number) = own(request).find_map(|view| numbers(&view).map(|n| (view, n))) else {
        // Nothing but addresses and protocol tells such packets apart.
        return next_protocol(&sent) == next_protocol(quoted);
    };
    let (view, numbers_sent) = number;
    let same = |other: &View<'_>| std::ptr::eq(other.layer.protocol, view.layer.protocol);
    match inside(quoted).find(same) {
        Some(transport) => numbers(&transport).is_none_or(|quoted| quoted == numbers_sent),
        // Cut before it.
        None => next_protocol(&sent) == next_protocol(quoted),
    }
}

/// The key of a packet that is sent.
pub fn key(request: &Packet<'_>) -> Key {
    own(request)
        .find_map(|view| key_of(&view))
        .unwrap_or_default()
}

/// The key that the packet which `packet` answers must have: its own turned around, or that of the packet it quotes.
pub fn key_answered(packet: &Packet<'_>) -> Key {
    if let Some(failure) = failure(packet) {
        let quoted = packet.view(failure.quoted);
        let found = quoted.and_then(|quoted| inside(&quoted).find_map(|view| key_of(&view)));
        return found.unwrap_or_default();
    }
    let Some(Key { protocol, numbers }) = own(packet).find_map(|view| key_of(&view)) else {
        return Key::default();
    };
    Key {
        protocol,
        numbers: match PORTS.contains(&protocol) {
            true => (numbers.1, numbers.0),
            false => numbers,
        },
    }
}

fn key_of(view: &View<'_>) -> Option<Key> {
    Some(Key {
        protocol: view.layer.protocol.name,
        numbers: numbers(view)?,
    })
}

/// The peer's own answer: the addresses are turned around, the layer above them answers, and none inside says no.
fn replies(request: &Packet<'_>, packet: &Packet<'_>) -> bool {
    if let (Some(sent), Some(back)) = (network(request), network(packet))
        && !turned_around(request, &sent, &back)
    {
        return false;
    }
    let speakers = own(request).filter_map(|view| {
        let protocol = view.layer.protocol;
        let below = |claim: &Claim| matches!(claim, Claim::Link(_));
        let carries = protocol.addresses.is_some() || protocol.claims.iter().any(below);
        let answers = protocol.craft?.answers?;
        (!carries).then_some((view, answers))
    });
    let mut answered = None;
    for (sent, answers) in speakers {
        let back = packet.find(sent.layer.protocol);
        match back.map(|back| answers(&sent, &back)) {
            Some(false) => return false,
            // Inside a transport that answers, something else may speak.
            None => return answered.unwrap_or(false),
            yes => answered = yes,
        }
    }
    answered.unwrap_or_else(|| same_protocol(request, packet))
}

/// Nothing in the packet knows how it is answered: the same protocol comes back.
fn same_protocol(request: &Packet<'_>, packet: &Packet<'_>) -> bool {
    let protocol = |packet: &Packet<'_>| network(packet).and_then(|view| next_protocol(&view));
    protocol(request).is_some() && protocol(request) == protocol(packet)
}

/// The addresses of `back` are those of `sent`, swapped. One request to many is answered by anyone, and who has no
/// address yet is answered at any.
fn turned_around(request: &Packet<'_>, sent: &View<'_>, back: &View<'_>) -> bool {
    let (Some((source, destination)), Some((from, to))) = (sent.addresses(), back.addresses())
    else {
        return false;
    };
    let to_many = is_to_many(destination) || is_link_broadcast(request);
    (to == source || source.is_unspecified()) && (from == destination || to_many)
}

/// A multicast address, the broadcast address, or one that is a network's broadcast address more often than not: which
/// one is, only the network's mask tells.
fn is_to_many(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => v4.is_multicast() || v4.octets()[3] == 255,
        IpAddr::V6(v6) => v6.is_multicast(),
    }
}

fn is_link_broadcast(request: &Packet<'_>) -> bool {
    let mut views = request.views();
    let ethernet = views.find(|view| view.layer.protocol.name == "eth");
    ethernet.is_some_and(|view| view.u8(0).is_some_and(|first| first & 1 != 0))
}

/// The layers of the packet itself, not of one it quotes.
fn own<'a>(packet: &Packet<'a>) -> impl DoubleEndedIterator<Item = View<'a>> + use<'a> {
    packet.views().filter(|view| !view.layer.quoted)
}

/// The innermost network layer: in a tunnel, that of the packet inside.
fn network<'a>(packet: &Packet<'a>) -> Option<View<'a>> {
    own(packet).rfind(|view| view.layer.protocol.addresses.is_some())
}

/// The quoted layers inside `quoted`.
fn inside<'a>(quoted: &View<'a>) -> impl Iterator<Item = View<'a>> + use<'a> {
    quoted.packet.views().skip(quoted.index + 1)
}

/// The number of what an IP header carries, extension headers of IPv6 included.
fn next_protocol(view: &View<'_>) -> Option<u8> {
    match view.layer.protocol.name {
        "ip" => view.u8(9),
        "ipv6" => view.u8(6),
        _ => None,
    }
}

/// Two ports, or identifier and sequence number of an echo.
fn numbers(view: &View<'_>) -> Option<(u16, u16)> {
    let echo = match view.layer.protocol.name {
        "icmp" => icmp::echo(view)?,
        "icmpv6" => icmpv6::echo(view)?,
        name if PORTS.contains(&name) => return Some((view.u16(0)?, view.u16(2)?)),
        _ => return None,
    };
    Some((echo.ident, echo.seq))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::{
        craft::{Built, NoFiles, NoRoute, Spec},
        decode::{Decoded, Decoder},
        frame::{Direction, Frame, KernelChecksum},
        link::LinkType,
        time::Time,
    };

    /// What `back` is to `sent`, both written in the notation; `back` goes through the decoder, as what arrives does.
    fn outcome(sent: &str, back: &str) -> Option<Answer> {
        let build = |text: &str| {
            let spec = Spec::parse(text, &NoFiles).unwrap_or_else(|error| panic!("{error}"));
            let mut built = Built::default();
            spec.build(0, &NoRoute, &mut built);
            (built, spec.link().unwrap())
        };
        let (request, link) = build(sent);
        let (reply, reply_link) = build(back);
        let frame = Frame {
            number: 1,
            time: Time::default(),
            link: reply_link,
            interface: 0,
            direction: Direction::In,
            checksum: KernelChecksum::Unknown,
            wire_len: reply.bytes.len() as u32,
            bytes: &reply.bytes,
        };
        let mut decoded = Decoded::default();
        Decoder::default().frame(&frame, &mut decoded);
        let (request, packet) = (request.packet(link), decoded.packet_of(frame, 0).unwrap());
        let answer = answer(&request, &packet);
        if answer.is_some() {
            assert_eq!(key(&request), key_answered(&packet), "{sent} <- {back}");
        }
        answer
    }

    fn replied(sent: &str, back: &str) -> bool {
        outcome(sent, back) == Some(Answer::Reply)
    }

    const SYN: &str = "ip src=10.0.0.1 dst=10.0.0.2 / tcp sport=41000 dport=80 seq=7 flags=S";

    #[test]
    fn tcp_answers_with_turned_addresses_and_ports_and_the_right_number() {
        let back = |words: &str| format!("ip src=10.0.0.2 dst=10.0.0.1 / tcp {words}");
        assert!(replied(
            SYN,
            &back("sport=80 dport=41000 flags=SA seq=99 ack=8")
        ));
        assert!(replied(
            SYN,
            &back("sport=80 dport=41000 flags=RA seq=0 ack=8")
        ));
        assert!(!replied(
            SYN,
            &back("sport=80 dport=41000 flags=SA seq=99 ack=80")
        ));
        assert!(!replied(
            SYN,
            &back("sport=81 dport=41000 flags=SA seq=99 ack=8")
        ));
        let other = "ip src=10.0.0.3 dst=10.0.0.1 / tcp sport=80 dport=41000 flags=SA ack=8";
        assert!(!replied(SYN, other));
        assert_eq!(outcome(SYN, SYN), None);
    }

    #[test]
    fn a_request_to_many_is_answered_by_any_of_them() {
        let ask = |to: &str| format!("ip src=10.0.0.1 dst={to} / udp sport=41000 dport=67");
        let back = "ip src=10.0.0.9 dst=10.0.0.1 / udp sport=67 dport=41000 / text=here";
        for to in ["255.255.255.255", "10.0.0.255", "224.0.0.1", "10.0.0.9"] {
            assert!(replied(&ask(to), back), "{to}");
        }
        assert!(!replied(&ask("10.0.0.8"), back));
    }

    /// An ICMP error whose first four bytes are `message`.
    fn quoted(message: &str, inside: &str) -> String {
        format!("ip src=10.0.0.254 dst=10.0.0.1 proto=1 / hex={message}00000000 / {inside}")
    }

    #[test]
    fn an_error_answers_what_it_quotes() {
        let Some(Answer::Error(failure)) = outcome(SYN, &quoted("030d0000", SYN)) else {
            panic!("no error");
        };
        let from = IpAddr::from([10, 0, 0, 254]);
        assert_eq!((failure.from, failure.version), (from, 4));
        assert_eq!((failure.kind, failure.code), (3, 13));
        for other in [
            SYN.replace("10.0.0.2", "10.0.0.3"),
            SYN.replace("41000", "41001"),
            SYN.replace("tcp", "udp").replace(" seq=7 flags=S", ""),
        ] {
            assert_eq!(outcome(SYN, &quoted("0b000000", &other)), None, "{other}");
        }
    }

    #[test]
    fn a_redirect_is_no_answer() {
        assert_eq!(outcome(SYN, &quoted("05010000", SYN)), None);
    }
}
