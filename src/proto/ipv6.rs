//! Internet Protocol version 6: 40 fixed bytes, and whatever the next header says.
//!
//! Spec: RFC 8200; jumbograms RFC 2675.
//!
//! ```text
//!  0                 4        6     7     8        24       40
//! | ver,class,flow  | length | nxt | hop | source | destination | payload …
//! ```

mod craft;

use super::ipproto;
use crate::{
    field::{Field, Kind},
    layer::{Problem, View},
    line::Line,
    protocol::{Claim, Context, Dissected, Next, Protocol},
};
use etherparse::{Ipv6HeaderSlice, err::ipv6::HeaderSliceError};
use std::net::{IpAddr, Ipv6Addr};

const HEADER: usize = 40;
const HOP_BY_HOP: u8 = 0;
/// The longest packet that the payload length field can tell of.
const LARGEST: u32 = HEADER as u32 + 0xffff;
/// The hop-by-hop option that carries the length of a jumbogram (RFC 2675 §2).
const JUMBO: u8 = 0xc2;

/// IPv6.
pub static PROTOCOL: Protocol = Protocol {
    name: "ipv6",
    label: "IPv6",
    title: "Internet Protocol version 6",
    spec: "RFC 8200",
    claims: &[
        Claim::EtherType(0x86dd),
        Claim::IpProto(41),
        Claim::Ppp(0x0057),
    ],
    fields: FIELDS,
    dissect,
    walk: None,
    line,
    addresses: Some(addresses),
    craft: Some(&craft::CRAFT),
};

crate::fields! {
    VERSION = Field::bits("ipv6.version", "Version", Kind::Uint, (0, 0, 4), "Always 6 (RFC 8200 §3).");
    IP_VERSION = Field::bits("ip.version", "Version", Kind::Uint, (0, 0, 4), "The version under its IPv4 name, so that one filter finds either (RFC 8200 §3).");
    TCLASS_DSCP = Field::bits("ipv6.tclass.dscp", "Differentiated services", Kind::Uint, (0, 4, 6), "How routers should treat the packet (RFC 2474 §3).");
    TCLASS_ECN = Field::bits("ipv6.tclass.ecn", "Congestion notification", Kind::Uint, (1, 2, 2), "Whether congestion may be marked, and whether it was (RFC 3168 §5).");
    FLOW = Field::bits("ipv6.flow", "Flow label", Kind::Hex(5), (1, 4, 20), "The same for all packets of a flow (RFC 6437).");
    PLEN = Field::at("ipv6.plen", "Payload length", Kind::Uint, 4, 16, "Bytes after this header, extension headers included; 0 for jumbograms (RFC 8200 §3).");
    NXT = Field::at("ipv6.nxt", "Next header", Kind::Uint, 6, 8, "What follows (IANA Protocol Numbers).").names(ipproto::NAMES);
    HLIM = Field::at("ipv6.hlim", "Hop limit", Kind::Uint, 7, 8, "How many more routers may pass the packet on (RFC 8200 §3).");
    SRC = Field::at("ipv6.src", "Source", Kind::Ipv6, 8, 128, "The address that the packet is from (RFC 8200 §3).");
    DST = Field::at("ipv6.dst", "Destination", Kind::Ipv6, 24, 128, "The address that the packet is for; with a routing header, its next stop (RFC 8200 §3).");
}

fn dissect(bytes: &[u8], context: &Context<'_>) -> Dissected {
    let header = match Ipv6HeaderSlice::from_slice(bytes) {
        Ok(header) => header,
        Err(_) if bytes.first().is_some_and(|first| first >> 4 != 6) => {
            return Dissected::new(1, Next::End, context)
                .with(Problem::malformed("version is not 6"));
        }
        Err(HeaderSliceError::Len(missing)) => {
            return Dissected::short(bytes, context, missing.required_len);
        }
        Err(HeaderSliceError::Content(_)) => {
            return Dissected::short(bytes, context, HEADER);
        }
    };
    let next = header.next_header().0;
    let mut found = Dissected::new(HEADER, Next::Claim(Claim::IpProto(next)), context);
    let total = match (u32::from(header.payload_length()), next) {
        (0, HOP_BY_HOP) => {
            let length = jumbo(bytes).unwrap_or_else(|| context.wire.saturating_sub(HEADER as u32));
            Some(length.saturating_add(HEADER as u32))
        }
        // Zero also comes from hosts that leave very large segments to the device: the frame's own length holds.
        (0, _) if context.wire > LARGEST => None,
        (length, _) => Some(length + HEADER as u32),
    };
    match total {
        Some(total) if total > context.wire && !context.quoted => {
            found.with(Problem::malformed("payload length exceeds the packet"))
        }
        Some(total) => {
            found.wire = total;
            found
        }
        None => found,
    }
}

/// The length in a jumbo payload option, the first of a hop-by-hop header (RFC 2675 §2).
fn jumbo(bytes: &[u8]) -> Option<u32> {
    let mut at = HEADER + 2;
    let end = HEADER + 8 * (usize::from(*bytes.get(HEADER + 1)?) + 1);
    while at < end {
        let kind = *bytes.get(at)?;
        if kind == 0 {
            at += 1;
            continue;
        }
        if kind == JUMBO {
            return bytes
                .get(at + 2..)?
                .first_chunk()
                .map(|b| u32::from_be_bytes(*b));
        }
        at += 2 + usize::from(*bytes.get(at + 1)?);
    }
    None
}

fn addresses(view: &View<'_>) -> Option<(IpAddr, IpAddr)> {
    let header = view.header();
    let address = |at: usize| {
        let bytes: [u8; 16] = header.get(at..at + 16)?.try_into().ok()?;
        Some(IpAddr::from(Ipv6Addr::from(bytes)))
    };
    Some((address(8)?, address(24)?))
}

fn line(view: &View<'_>, line: &mut Line) {
    if let Some((source, destination)) = addresses(view) {
        line.addresses(source, destination);
    }
    if let Some(next) = view.u8(6) {
        ipproto::say(next, view.payload_wire(), line);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        layer::ProblemKind,
        proto::testing::{cut_everywhere, seen},
    };

    const CLAIM: Claim = Claim::EtherType(0x86dd);

    fn packet(length: u16, next: u8, payload: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0x6b, 0x91, 0x23, 0x45];
        bytes.extend(length.to_be_bytes());
        bytes.extend([next, 64]);
        for last in [1, 2] {
            bytes.extend([0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, last]);
        }
        bytes.extend(payload);
        bytes
    }

    #[test]
    fn shows_every_field() {
        let seen = seen(&PROTOCOL, CLAIM, &packet(5, 17, b"hello"));
        let expected = [
            ("ipv6.version", "6"),
            ("ip.version", "6"),
            ("ipv6.tclass.dscp", "46"),
            ("ipv6.tclass.ecn", "1"),
            ("ipv6.flow", "0x12345"),
            ("ipv6.plen", "5"),
            ("ipv6.nxt", "17"),
            ("ipv6.hlim", "64"),
            ("ipv6.src", "fe80::1"),
            ("ipv6.dst", "fe80::2"),
        ];
        assert_eq!(seen.pairs(), expected);
        assert_eq!(seen.line, "fe80::1 → fe80::2 UDP len=5");
        assert_eq!(seen.layer.wire, 45);
    }

    #[test]
    fn cut_anywhere_is_no_fault_and_ending_early_is() {
        cut_everywhere(&PROTOCOL, CLAIM, &packet(0, 59, &[]), HEADER);
    }

    #[test]
    fn another_version_is_malformed_and_only_the_version_is_shown() {
        let mut bytes = packet(0, 59, &[]);
        bytes[0] = 0x45;
        let seen = seen(&PROTOCOL, CLAIM, &bytes);
        assert_eq!(seen.problem(), Some(ProblemKind::Malformed));
        assert_eq!(seen.pairs(), [("ipv6.version", "4"), ("ip.version", "4")]);
    }

    #[test]
    fn what_nothing_decodes_is_named_or_numbered() {
        let line = |next| seen(&PROTOCOL, CLAIM, &packet(2, next, b"hi")).line;
        assert_eq!(line(89), "fe80::1 → fe80::2 OSPF len=2");
        assert_eq!(line(200), "fe80::1 → fe80::2 proto=200 len=2");
    }

    #[test]
    fn lengths_that_lie_are_told_and_jumbograms_are_not_lies() {
        let long = seen(&PROTOCOL, CLAIM, &packet(6, 17, b"hello"));
        assert_eq!(long.problem(), Some(ProblemKind::Malformed));
        let padded = seen(&PROTOCOL, CLAIM, &packet(3, 17, b"hello"));
        assert_eq!((padded.layer.end, padded.problem()), (43, None));
        // A hop-by-hop header with the option, and 70000 bytes in all after the IPv6 header.
        let mut payload = vec![6, 0, JUMBO, 4, 0, 1, 0x11, 0x70];
        payload.resize(70_000, 0);
        let jumbo = seen(&PROTOCOL, CLAIM, &packet(0, 0, &payload));
        assert_eq!((jumbo.layer.wire, jumbo.problem()), (70_040, None));
        // Without the option, and too long for the field: as hosts write what they leave to the device.
        let large = seen(&PROTOCOL, CLAIM, &packet(0, 6, &payload));
        assert_eq!((large.layer.wire, large.problem()), (70_040, None));
    }
}
