//! How a hand-made segment is written: the user's words about IP and TCP, with the numbers that the connection gives.

use std::net::{IpAddr, SocketAddr};

use crate::{
    craft::{Built, NoFiles, Route, Spec, SpecError},
    link::LinkType,
    proto::tcp::{self, Offers},
    protocol::Ask,
};

/// Bytes of a TCP header without options.
const BARE: usize = 20;

/// Fields that the connection fills in, and who says what they are.
const HELD: &[(&str, &str)] = &[
    ("src", "--source does"),
    ("dst", "HOST does"),
    ("sport", "--sport does, or --listen"),
    ("srcport", "--sport does, or --listen"),
    ("dport", "PORT does"),
    ("dstport", "PORT does"),
    ("ack", "it follows from the peer's sequence number"),
];

/// The user's words: those about IP hold for every packet; those about TCP for the SYN, and its window for every segment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Template {
    /// The version of IP that the words name; either, when they name none.
    version: Option<u8>,
    ip: String,
    tcp: String,
}

/// Knows a first sequence number, and nothing else.
struct Isn(u32);

impl Route for Isn {
    fn source(&self, _destination: IpAddr) -> Option<IpAddr> {
        None
    }

    fn macs(&self, _destination: IpAddr) -> Option<([u8; 6], [u8; 6])> {
        None
    }

    fn number(&self, ask: Ask) -> Option<u64> {
        (ask == Ask::Isn).then_some(self.0.into())
    }
}

/// What the connection says of a segment.
#[derive(Clone, Copy, Debug)]
pub(super) struct Outline<'a> {
    pub(super) flags: &'a str,
    pub(super) seq: u32,
    pub(super) ack: Option<u32>,
    pub(super) window: u16,
    /// Timestamp and its echo.
    pub(super) timestamps: Option<(u32, u32)>,
    pub(super) data: &'a [u8],
}

impl Template {
    /// Reads words such as `ip ttl=5 / tcp seq=1000 mss=1000 sackok`; either layer, or both, may be left out.
    ///
    /// # Errors
    /// When they are no specification, or one of other layers.
    pub fn read(text: &str) -> Result<Self, SpecError> {
        let mut template = Self::default();
        if text.trim().is_empty() {
            return Ok(template);
        }
        let refused = |word: &str, message: String, help: &str| {
            let at = text.find(word).unwrap_or_default();
            SpecError {
                spec: text.to_owned(),
                at: text.get(..at).unwrap_or_default().chars().count(),
                len: word.chars().count(),
                message,
                help: Some(help.to_owned()),
            }
        };
        if Spec::parse(text, &NoFiles)?.count() > 1 {
            let message = "a list or range makes several packets, and a handshake has one SYN";
            return Err(refused(
                text,
                message.to_owned(),
                "give each field one value",
            ));
        }
        for layer in text
            .split_whitespace()
            .collect::<Vec<_>>()
            .split(|w| *w == "/")
        {
            let [name, words @ ..] = layer else {
                continue;
            };
            let said = words.join(" ");
            match *name {
                "ip" => (template.version, template.ip) = (Some(4), said),
                "ip6" => (template.version, template.ip) = (Some(6), said),
                "tcp" => template.tcp = said,
                other => {
                    let message = format!("a handshake is made of ip and tcp, not of {other}");
                    let help = "such as: ip ttl=5 / tcp window=1000 mss=1000";
                    return Err(refused(text, message, help));
                }
            }
            for word in words {
                let field = word.split('=').next().unwrap_or_default();
                let field = ["ip.", "ipv6.", "tcp."]
                    .iter()
                    .find_map(|layer| field.strip_prefix(layer))
                    .unwrap_or(field);
                if let Some((_, whose)) = HELD.iter().find(|(held, _)| *held == field) {
                    let message = format!("{field} is not for --with to say: {whose}");
                    return Err(refused(
                        word,
                        message,
                        "the words of --with are about the rest",
                    ));
                }
            }
        }
        Ok(template)
    }

    /// Whether the words can stand in a packet to `address`.
    pub fn suits(&self, address: IpAddr) -> bool {
        let version = if address.is_ipv6() { 6 } else { 4 };
        self.version.is_none_or(|named| named == version)
    }

    /// A packet as a server at `own` would send it first.
    ///
    /// # Errors
    /// When the words make no packet.
    pub fn sample(&self, own: IpAddr) -> Result<Built, SpecError> {
        self.first("SA", [SocketAddr::new(own, 1); 2], 0, Some(1))
    }

    /// A SYN, with or without ACK. One without any option gets the usual maximum segment size.
    pub(super) fn first(
        &self,
        flags: &str,
        ends: [SocketAddr; 2],
        isn: u32,
        ack: Option<u32>,
    ) -> Result<Built, SpecError> {
        let ack = ack.map_or_else(String::new, |ack| format!(" ack={ack}"));
        let words = format!("flags={flags} {}{ack}", self.tcp);
        let built = self.build(&words, ends, isn, &[])?;
        let has_options = built
            .layers
            .last()
            .is_some_and(|l| l.header as usize > BARE);
        if has_options {
            return Ok(built);
        }
        // A link of 1500 bytes, less both headers (RFC 9293 §3.7.1).
        let mss = if ends[0].is_ipv6() { 1440 } else { 1460 };
        self.build(&format!("{words} mss={mss}"), ends, isn, &[])
    }

    /// Any later segment.
    pub(super) fn later(
        &self,
        outline: &Outline<'_>,
        ends: [SocketAddr; 2],
    ) -> Result<Built, SpecError> {
        let Outline {
            flags,
            seq,
            ack,
            window,
            ..
        } = outline;
        let mut words = format!("flags={flags} seq={seq} window={window}");
        if let Some(ack) = ack {
            words.push_str(&format!(" ack={ack}"));
        }
        if let Some((value, echo)) = outline.timestamps {
            words.push_str(&format!(" nop nop ts={value}:{echo}"));
        }
        self.build(&words, ends, *seq, outline.data)
    }

    /// Addresses and ports come last, so that they hold whatever the user's words say.
    fn build(
        &self,
        tcp: &str,
        [from, to]: [SocketAddr; 2],
        isn: u32,
        data: &[u8],
    ) -> Result<Built, SpecError> {
        let version = if from.is_ipv6() { "ip6" } else { "ip" };
        let mut text = format!(
            "{version} {} src={} dst={} / tcp {tcp} sport={} dport={}",
            self.ip,
            from.ip(),
            to.ip(),
            from.port(),
            to.port()
        );
        if !data.is_empty() {
            text.push_str(&format!(" / hex={}", hex::encode(data)));
        }
        let mut built = Built::default();
        Spec::parse(&text, &NoFiles)?.build(0, &Isn(isn), &mut built);
        Ok(built)
    }
}

/// What a packet that was built says of TCP.
pub(super) fn read(built: &Built) -> (Offers, tcp::Segment) {
    let packet = built.packet(LinkType::RAW);
    let view = packet.find(&tcp::PROTOCOL);
    let segment = view.as_ref().and_then(tcp::Segment::of);
    let nothing = tcp::Segment {
        ports: (0, 0),
        seq: 0,
        ack: 0,
        flags: 0,
        window: 0,
        len: 0,
        partial: true,
    };
    let offers = view.as_ref().map(Offers::of).unwrap_or_default();
    (offers, segment.unwrap_or(nothing))
}
