//! What an answer means, and what none means: one table of words for each kind of question.

use std::{fmt, net::IpAddr};

use crate::{
    craft::answers::{Answer, Failure},
    layer::{Packet, View},
    text::Mac,
};

/// What became of a question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Meaning {
    /// One word: `open`, `refused`, `filtered`, …
    pub word: &'static str,
    /// The sentence behind it.
    pub text: String,
}

/// What was asked: who, and by what.
#[derive(Clone, Copy, Debug)]
struct Question {
    asked: Asked,
    /// Whom it was for.
    target: Option<IpAddr>,
    source: Option<IpAddr>,
    port: Option<u16>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asked {
    /// A SYN without ACK.
    Syn,
    /// Any other segment.
    Segment,
    Datagram,
    Echo,
    /// Whose hardware address is it: ARP, neighbour solicitation.
    Neighbour,
    /// A neighbour solicitation without options: whoever answers has to ask back first.
    BareSolicitation,
    Other,
}

/// What comes back, for [`REPLIES`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Back {
    SynAck,
    Rst,
    Anything,
    Nothing,
}

/// What replies mean, and silence: asked, what came, the word, and the sentence with `{host}` and `{port}` in it.
const REPLIES: &[(Asked, Back, &str, &str)] = &[
    (
        Asked::Syn,
        Back::SynAck,
        "open",
        "a program listens on {host} port {port}",
    ),
    (
        Asked::Syn,
        Back::Rst,
        "refused",
        "{host} is up; nothing listens on port {port}",
    ),
    (
        Asked::Syn,
        Back::Anything,
        "answered",
        "{host} takes the SYN for part of a connection it knows",
    ),
    (
        Asked::Syn,
        Back::Nothing,
        "filtered",
        "no answer from {host} port {port}: a firewall dropped it, the host is away, or a packet was lost",
    ),
    (
        Asked::Segment,
        Back::Rst,
        "reset",
        "{host} knows no connection with these ports and numbers",
    ),
    (
        Asked::Segment,
        Back::Anything,
        "answered",
        "{host} port {port} answered",
    ),
    (
        Asked::Segment,
        Back::Nothing,
        "silent",
        "no answer from {host} port {port}: a segment may be taken, or dropped, without one",
    ),
    (
        Asked::Datagram,
        Back::Anything,
        "answered",
        "a program on {host} port {port} answered",
    ),
    (
        Asked::Datagram,
        Back::Nothing,
        "silent",
        "no answer from {host} port {port}, which says nothing: a program may take a datagram in silence, a firewall may drop it",
    ),
    (
        Asked::Echo,
        Back::Anything,
        "alive",
        "{host} answered the echo request",
    ),
    (
        Asked::Echo,
        Back::Nothing,
        "silent",
        "no echo from {host}: it is away, does not answer echoes, or a packet was lost",
    ),
    (
        Asked::Neighbour,
        Back::Nothing,
        "silent",
        "nobody on this link says that the address is theirs",
    ),
    (
        Asked::BareSolicitation,
        Back::Nothing,
        "silent",
        "nobody answered: the question lacks the own hardware address, so add slla=MAC (RFC 4861 §4.3)",
    ),
    (Asked::Other, Back::Anything, "answered", "{host} answered"),
    (
        Asked::Other,
        Back::Nothing,
        "silent",
        "no answer from {host}",
    ),
];

/// What ICMP errors mean: IP version, type, code (`None`: any other), the word, and what happened, with `{from}`,
/// `{target}`, `{host}` and `{port}` in it.
const ERRORS: &[(u8, u8, Option<u8>, &str, &str)] = &[
    (
        4,
        3,
        Some(0),
        "unreachable",
        "{from} has no route to the network of {target}",
    ),
    (
        4,
        3,
        Some(1),
        "unreachable",
        "{from} finds no host {target} on its link",
    ),
    (
        4,
        3,
        Some(2),
        "refused",
        "{from} does not speak this IP protocol",
    ),
    (
        4,
        3,
        Some(3),
        "refused",
        "no program has port {port} open, says {from}",
    ),
    (
        4,
        3,
        Some(4),
        "too big",
        "the packet is too big for the next link, and may not be cut, says {from}",
    ),
    (
        4,
        3,
        Some(5),
        "unreachable",
        "{from} cannot follow the source route",
    ),
    (
        4,
        3,
        Some(9),
        "filtered",
        "a rule of {from} forbids this network",
    ),
    (
        4,
        3,
        Some(10),
        "filtered",
        "a rule of {from} forbids this host",
    ),
    (
        4,
        3,
        Some(13),
        "filtered",
        "a rule of {from} forbids this packet",
    ),
    (
        4,
        3,
        None,
        "unreachable",
        "{from} cannot deliver it to {target}",
    ),
    (
        4,
        11,
        Some(0),
        "time exceeded",
        "the TTL ran out at {from}, a router on the way to {target}",
    ),
    (
        4,
        11,
        None,
        "time exceeded",
        "{from} waited in vain for the other fragments",
    ),
    (
        4,
        12,
        None,
        "bad header",
        "{from} cannot make sense of the header",
    ),
    (
        6,
        1,
        Some(0),
        "unreachable",
        "{from} has no route to {target}",
    ),
    (
        6,
        1,
        Some(1),
        "filtered",
        "a rule of {from} forbids this packet",
    ),
    (
        6,
        1,
        Some(2),
        "unreachable",
        "{target} is beyond the scope of the source address, says {from}",
    ),
    (
        6,
        1,
        Some(3),
        "unreachable",
        "{from} finds no host {target} on its link",
    ),
    (
        6,
        1,
        Some(4),
        "refused",
        "no program has port {port} open, says {from}",
    ),
    (
        6,
        1,
        Some(5),
        "filtered",
        "a rule of {from} forbids this source address",
    ),
    (
        6,
        1,
        Some(6),
        "filtered",
        "{from} has a route that rejects {target}",
    ),
    (
        6,
        1,
        None,
        "unreachable",
        "{from} cannot deliver it to {target}",
    ),
    (
        6,
        2,
        None,
        "too big",
        "the packet is too big for the next link, says {from}",
    ),
    (
        6,
        3,
        Some(0),
        "time exceeded",
        "the hop limit ran out at {from}, a router on the way to {target}",
    ),
    (
        6,
        3,
        None,
        "time exceeded",
        "{from} waited in vain for the other fragments",
    ),
    (
        6,
        4,
        Some(1),
        "refused",
        "{from} does not speak what the next header says",
    ),
    (
        6,
        4,
        None,
        "bad header",
        "{from} cannot make sense of the header",
    ),
];

/// What `answer` to `request` means; without one, what silence means.
pub fn meaning(request: &Packet<'_>, answer: Option<(&Packet<'_>, &Answer)>) -> Meaning {
    let question = Question::of(request);
    match answer {
        None => question.reply(Back::Nothing, None),
        Some((packet, Answer::Reply)) => match neighbour(packet) {
            Some((address, mac)) if question.asked.is_for_a_neighbour() => Meaning {
                word: "answered",
                text: format!("{address} is at {}", Mac(mac)),
            },
            _ => question.reply(Back::of(packet), source(packet)),
        },
        Some((packet, Answer::Error(failure))) => question.error(packet, failure),
    }
}

impl Asked {
    fn is_for_a_neighbour(self) -> bool {
        matches!(self, Self::Neighbour | Self::BareSolicitation)
    }
}

impl Question {
    fn of(request: &Packet<'_>) -> Self {
        let mut views = request.views();
        let speaker = views.find_map(|view| Some((asked(&view)?, view)));
        let (asked, view) = match speaker {
            Some((asked, view)) => (asked, Some(view)),
            None => (Asked::Other, None),
        };
        let network = || request.views().find_map(|view| view.addresses());
        let addresses = view.and_then(|view| view.addresses()).or_else(network);
        let has_ports = matches!(asked, Asked::Syn | Asked::Segment | Asked::Datagram);
        Self {
            asked,
            target: addresses.map(|(_, target)| target),
            source: addresses.map(|(source, _)| source),
            port: view.filter(|_| has_ports).and_then(|view| view.u16(2)),
        }
    }

    fn reply(&self, back: Back, from: Option<IpAddr>) -> Meaning {
        let fits = |row: &&(Asked, Back, &str, &str)| row.0 == self.asked && row.1 == back;
        let any = |row: &&(Asked, Back, &str, &str)| {
            row.0 == self.asked && row.1 == Back::Anything && back != Back::Nothing
        };
        let row = REPLIES
            .iter()
            .find(fits)
            .or_else(|| REPLIES.iter().find(any));
        let (word, text) = row.map_or(("answered", "{host} answered"), |row| (row.2, row.3));
        let text = self.fill(text, from.or(self.target), None);
        Meaning { word, text }
    }

    fn error(&self, packet: &Packet<'_>, failure: &Failure) -> Meaning {
        let fits = |row: &&(u8, u8, Option<u8>, &str, &str)| {
            (row.0, row.1) == (failure.version, failure.kind)
                && row.2.is_none_or(|code| code == failure.code)
        };
        let Some((_, _, _, word, text)) = ERRORS.iter().find(fits) else {
            let (kind, code) = (failure.kind, failure.code);
            return Meaning {
                word: "error",
                text: format!("{} sent an error of type {kind}, code {code}", failure.from),
            };
        };
        let mut text = self.fill(text, self.target, Some(failure.from));
        if *word == "too big"
            && let Some(mtu) = next_mtu(packet, failure)
        {
            text += &format!("; {mtu} bytes would pass");
        }
        Meaning { word, text }
    }

    /// Puts names into a sentence. Who says it is the host itself, this host, or a router.
    fn fill(&self, text: &str, host: Option<IpAddr>, from: Option<IpAddr>) -> String {
        let show =
            |address: Option<IpAddr>| address.map_or_else(|| "it".to_owned(), |a| a.to_string());
        let from = match from {
            from if from.is_some() && from == self.target => format!("{} itself", show(from)),
            from if from.is_some() && from == self.source => format!("this host ({})", show(from)),
            from => show(from),
        };
        let port = self
            .port
            .map_or_else(|| "?".to_owned(), |port| port.to_string());
        text.replace("{from}", &from)
            .replace("{host}", &show(host))
            .replace("{target}", &show(self.target))
            .replace("{port}", &port)
    }
}

impl Back {
    fn of(packet: &Packet<'_>) -> Self {
        let tcp = packet
            .views()
            .find(|view| view.layer.protocol.name == "tcp");
        match tcp.and_then(|view| view.u8(13)) {
            Some(flags) if flags & 0x04 != 0 => Self::Rst,
            Some(flags) if flags & 0x12 == 0x12 => Self::SynAck,
            _ => Self::Anything,
        }
    }
}

/// Bytes of a neighbour solicitation before its options (RFC 4861 §4.3).
const SOLICITATION: usize = 24;

/// What a layer asks, where it asks something.
fn asked(view: &View<'_>) -> Option<Asked> {
    let kind = view.u8(0);
    Some(match view.layer.protocol.name {
        "tcp" if view.u8(13).is_some_and(|flags| flags & 0x16 == 0x02) => Asked::Syn,
        "tcp" => Asked::Segment,
        "udp" | "udplite" => Asked::Datagram,
        "icmp" if kind == Some(8) => Asked::Echo,
        "icmpv6" if kind == Some(128) => Asked::Echo,
        "icmpv6" if kind == Some(135) && view.bytes().len() <= SOLICITATION => {
            Asked::BareSolicitation
        }
        "icmpv6" if kind == Some(135) => Asked::Neighbour,
        "arp" if view.u16(6) == Some(1) => Asked::Neighbour,
        _ => return None,
    })
}

/// Who says where they are: sender of an ARP reply (RFC 826), target and its option in an advertisement (RFC 4861 §4.4).
fn neighbour(packet: &Packet<'_>) -> Option<(IpAddr, [u8; 6])> {
    packet.views().find_map(|view| {
        let bytes = view.bytes();
        match view.layer.protocol.name {
            "arp" if bytes.get(..6)? == [0, 1, 8, 0, 6, 4] => {
                let address: [u8; 4] = bytes.get(14..18)?.try_into().ok()?;
                Some((address.into(), bytes.get(8..14)?.try_into().ok()?))
            }
            "icmpv6" if bytes.first() == Some(&136) => {
                let address: [u8; 16] = bytes.get(8..24)?.try_into().ok()?;
                let option = bytes.get(24..32).filter(|option| option[..2] == [2, 1])?;
                Some((address.into(), option[2..].try_into().ok()?))
            }
            _ => None,
        }
    })
}

fn source(packet: &Packet<'_>) -> Option<IpAddr> {
    let mut views = packet.views().rev();
    let network = views.find(|view| view.layer.protocol.addresses.is_some())?;
    network.addresses().map(|(source, _)| source)
}

/// The MTU that an error tells (RFC 1191 §4, RFC 4443 §3.2).
fn next_mtu(packet: &Packet<'_>, failure: &Failure) -> Option<u32> {
    let message = packet.view(failure.message)?;
    let mtu = match failure.version {
        4 => message.u16(6)?.into(),
        _ => message.u32(4)?,
    };
    (mtu > 0).then_some(mtu)
}

impl fmt::Display for Meaning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.word, self.text)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::{
        craft::{Built, NoFiles, NoRoute, Spec},
        link::LinkType,
    };

    fn built(text: &str) -> Built {
        let mut built = Built::default();
        let spec = Spec::parse(text, &NoFiles).unwrap();
        spec.build(0, &NoRoute, &mut built);
        built
    }

    const SYN: &str = "ip src=10.0.0.1 dst=10.0.0.2 / tcp sport=5 dport=80 flags=S";

    #[test]
    fn silence_means_what_was_asked() {
        let word = |text: &str| meaning(&built(text).packet(LinkType::RAW), None).word;
        assert_eq!(word(SYN), "filtered");
        assert_eq!(word("ip src=10.0.0.1 dst=10.0.0.2 / udp dport=9"), "silent");
        let bare = "ip6 src=fe80::1 dst=ff02::1:ff00:2 / icmp6 type=135 target=fd00::2";
        for (words, advised) in [("", true), (" slla=02:00:00:00:00:01", false)] {
            let request = built(&format!("{bare}{words}"));
            let said = meaning(&request.packet(LinkType::RAW), None).to_string();
            assert_eq!(said.contains("add slla=MAC"), advised, "{said}");
        }
    }

    #[test]
    fn an_error_says_who_sent_it() {
        let said = |from: [u8; 4], kind, code| {
            let failure = Failure {
                from: from.into(),
                version: 4,
                kind,
                code,
                message: 0,
                quoted: 0,
            };
            let request = built(SYN);
            let request = request.packet(LinkType::RAW);
            meaning(&request, Some((&request, &Answer::Error(failure)))).to_string()
        };
        assert_eq!(
            said([10, 0, 0, 254], 3, 1),
            "unreachable: 10.0.0.254 finds no host 10.0.0.2 on its link"
        );
        assert_eq!(
            said([10, 0, 0, 2], 3, 3),
            "refused: no program has port 80 open, says 10.0.0.2 itself"
        );
        assert!(said([10, 0, 0, 1], 3, 1).contains("this host (10.0.0.1)"));
        assert!(said([10, 0, 0, 9], 99, 7).contains("type 99, code 7"));
    }
}
