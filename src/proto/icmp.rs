//! Internet Control Message Protocol: echoes, and errors that quote the packet which caused them.
//!
//! Spec: RFC 792; router discovery RFC 1256; extended messages RFC 4884; interface information RFC 5837;
//! extended echo RFC 8335. Types are listed by IANA ("ICMP Parameters").
//!
//! ```text
//!  0      1      2          4                  8
//! | type | code | checksum | depends on type | quoted packet or data …
//! ```

mod craft;

use super::{
    control::{self, CodeNames, Echo, Subject},
    verify::{self, status},
};
use crate::{
    field::{Field, Kind, Value, Visit},
    layer::View,
    line::Line,
    protocol::{Claim, Context, Dissected, Next, Protocol},
};
use std::ops::ControlFlow;

const HEADER: usize = 8;

/// ICMP.
pub static PROTOCOL: Protocol = Protocol {
    name: "icmp",
    label: "ICMP",
    title: "Internet Control Message Protocol",
    spec: "RFC 792",
    claims: &[Claim::IpProto(1)],
    fields: FIELDS,
    dissect,
    walk: Some(walk),
    line,
    addresses: None,
    craft: Some(&craft::CRAFT),
};

/// Message types.
mod kind {
    pub(super) const ECHO_REPLY: u8 = 0;
    pub(super) const UNREACHABLE: u8 = 3;
    pub(super) const QUENCH: u8 = 4;
    pub(super) const REDIRECT: u8 = 5;
    pub(super) const ECHO_REQUEST: u8 = 8;
    pub(super) const ROUTER_ADVERTISEMENT: u8 = 9;
    pub(super) const ROUTER_SOLICITATION: u8 = 10;
    pub(super) const TIME_EXCEEDED: u8 = 11;
    pub(super) const PARAMETER: u8 = 12;
    pub(super) const TIMESTAMP: u8 = 13;
    pub(super) const TIMESTAMP_REPLY: u8 = 14;
    pub(super) const INFORMATION: u8 = 15;
    pub(super) const INFORMATION_REPLY: u8 = 16;
    pub(super) const MASK: u8 = 17;
    pub(super) const MASK_REPLY: u8 = 18;
    pub(super) const EXTENDED_ECHO: u8 = 42;
    pub(super) const EXTENDED_REPLY: u8 = 43;
}

const TYPE_NAMES: &[(u64, &str)] = &[
    (0, "echo reply"),
    (3, "destination unreachable"),
    (4, "source quench"),
    (5, "redirect"),
    (6, "alternate host address"),
    (8, "echo request"),
    (9, "router advertisement"),
    (10, "router solicitation"),
    (11, "time exceeded"),
    (12, "parameter problem"),
    (13, "timestamp request"),
    (14, "timestamp reply"),
    (15, "information request"),
    (16, "information reply"),
    (17, "address mask request"),
    (18, "address mask reply"),
    (30, "traceroute"),
    (31, "datagram conversion error"),
    (32, "mobile host redirect"),
    (33, "IPv6 where are you"),
    (34, "IPv6 I am here"),
    (35, "mobile registration request"),
    (36, "mobile registration reply"),
    (37, "domain name request"),
    (38, "domain name reply"),
    (39, "SKIP"),
    (40, "Photuris"),
    (41, "experimental mobility"),
    (42, "extended echo request"),
    (43, "extended echo reply"),
];

/// What the codes of errors mean, by type and code.
const CODE_NAMES: &CodeNames = &[
    ((3, 0), "network unreachable"),
    ((3, 1), "host unreachable"),
    ((3, 2), "protocol unreachable"),
    ((3, 3), "port unreachable"),
    ((3, 4), "fragmentation needed"),
    ((3, 5), "source route failed"),
    ((3, 6), "network unknown"),
    ((3, 7), "host unknown"),
    ((3, 8), "source host isolated"),
    ((3, 9), "network administratively prohibited"),
    ((3, 10), "host administratively prohibited"),
    ((3, 11), "network unreachable for this service"),
    ((3, 12), "host unreachable for this service"),
    ((3, 13), "communication administratively prohibited"),
    ((3, 14), "host precedence violation"),
    ((3, 15), "precedence cutoff in effect"),
    ((4, 0), "source quench"),
    ((5, 0), "redirect for the network"),
    ((5, 1), "redirect for the host"),
    ((5, 2), "redirect for the network and service"),
    ((5, 3), "redirect for the host and service"),
    ((11, 0), "time to live exceeded in transit"),
    ((11, 1), "fragment reassembly time exceeded"),
    ((12, 0), "parameter problem"),
    ((12, 1), "required option missing"),
    ((12, 2), "bad length"),
];

crate::fields! {
    TYPE = Field::at("icmp.type", "Type", Kind::Uint, 0, 8, "What the message is (RFC 792).").names(TYPE_NAMES);
    CODE = Field::at("icmp.code", "Code", Kind::Uint, 1, 8, "Says more about the type (RFC 792).");
    CHECKSUM = Field::at("icmp.checksum", "Checksum", Kind::Hex(4), 2, 16, "Over the whole message; there is no pseudo-header (RFC 792).");
    CHECKSUM_STATUS = Field::walked("icmp.checksum.status", "Checksum status", Kind::Uint, "Wireshark's number for the outcome of the check.").names(status::NAMES);
    VERDICT = Field::walked("sockwire.checksum", "Checksum verdict", Kind::Text, "Whether the checksum is right, wrong, left to the device, or cannot be told.");
    IDENT = Field::walked("icmp.ident", "Identifier", Kind::Uint, "Tells which program asks: ping uses one for each run (RFC 792).");
    SEQ = Field::walked("icmp.seq", "Sequence number", Kind::Uint, "Tells which reply answers which request (RFC 792).");
    EXT_ECHO_SEQ = Field::walked("icmp.ext.echo.seq", "Sequence number", Kind::Uint, "Tells which reply answers which request (RFC 8335 §2).");
    LENGTH = Field::walked("icmp.length", "Quoted length", Kind::Uint, "Length of the quoted packet in units of 4 bytes; extensions follow it (RFC 4884 §4).");
    MTU = Field::walked("icmp.mtu", "MTU of the next hop", Kind::Uint, "The largest packet that would have passed (RFC 1191 §4).");
    REDIR_GW = Field::walked("icmp.redir_gw", "Gateway", Kind::Ipv4, "The router to use instead (RFC 792).");
    POINTER = Field::walked("icmp.pointer", "Pointer", Kind::Uint, "The byte of the quoted packet that is at fault (RFC 792).");
    NUM_ADDRS = Field::walked("icmp.num_addrs", "Number of addresses", Kind::Uint, "Routers listed (RFC 1256 §3).");
    ADDR_ENTRY_SIZE = Field::walked("icmp.addr_entry_size", "Entry size", Kind::Uint, "Length of an entry in units of 4 bytes (RFC 1256 §3).");
    LIFETIME = Field::walked("icmp.lifetime", "Lifetime", Kind::Uint, "Seconds for which the routers may be used (RFC 1256 §3).");
    ROUTER_ADDRESS = Field::walked("icmp.router_address", "Router", Kind::Ipv4, "A router on this network (RFC 1256 §3).").many();
    PREF_LEVEL = Field::walked("icmp.pref_level", "Preference", Kind::Uint, "The higher, the more it is preferred; counted with a sign (RFC 1256 §3).").many();
    ORIGINATE_TIMESTAMP = Field::walked("icmp.originate_timestamp", "Originate timestamp", Kind::Uint, "When the request was sent: milliseconds since midnight UTC (RFC 792).");
    RECEIVE_TIMESTAMP = Field::walked("icmp.receive_timestamp", "Receive timestamp", Kind::Uint, "When it arrived (RFC 792).");
    TRANSMIT_TIMESTAMP = Field::walked("icmp.transmit_timestamp", "Transmit timestamp", Kind::Uint, "When the reply was sent (RFC 792).");
    ADDRESS_MASK = Field::walked("icmp.address_mask", "Address mask", Kind::Ipv4, "The mask of the network (RFC 950).");
    EXT_VERSION = Field::walked("icmp.ext.version", "Extension version", Kind::Uint, "Always 2 (RFC 4884 §7).");
    EXT_CHECKSUM = Field::walked("icmp.ext.checksum", "Extension checksum", Kind::Hex(4), "Over the extensions (RFC 4884 §7).");
    EXT_LENGTH = Field::walked("icmp.ext.length", "Object length", Kind::Uint, "Bytes of an object with its header (RFC 4884 §7).").many();
    EXT_CLASS = Field::walked("icmp.ext.class", "Object class", Kind::Uint, "What the object tells: 1 MPLS labels, 2 an interface (RFC 4884 §7).").many();
    EXT_CTYPE = Field::walked("icmp.ext.ctype", "Object type", Kind::Uint, "Which form of its class the object has (RFC 4884 §7).").many();
    MPLS_LABEL = Field::walked("icmp.mpls.label", "MPLS label", Kind::Uint, "A label that the packet had (RFC 4950 §3).").many();
    MPLS_EXP = Field::walked("icmp.mpls.exp", "MPLS traffic class", Kind::Uint, "Its traffic class (RFC 4950 §3).").many();
    MPLS_S = Field::walked("icmp.mpls.s", "MPLS bottom of stack", Kind::Flag, "It was the last label (RFC 4950 §3).").many();
    MPLS_TTL = Field::walked("icmp.mpls.ttl", "MPLS time to live", Kind::Uint, "Its time to live (RFC 4950 §3).").many();
    EXT_DATA = Field::walked("icmp.ext.data", "Object data", Kind::Bytes, "Data of an object that is not decoded (RFC 4884 §7).").many();
    RESP_TO = Field::derived("icmp.resp_to", "Reply to", Kind::Uint, "The frame that asked: same addresses, identifier and sequence number (RFC 792).");
    RESPONSE_TIME = Field::derived("sockwire.response_time", "Response time", Kind::Duration, "How long the reply took after the frame that asked.");
}

/// The echo in `view`; `None` for other messages.
pub fn echo(view: &View<'_>) -> Option<Echo> {
    Echo::read(view, kind::ECHO_REQUEST, kind::ECHO_REPLY)
}

fn is_error(kind: u8) -> bool {
    matches!(
        kind,
        kind::UNREACHABLE | kind::QUENCH | kind::REDIRECT | kind::TIME_EXCEEDED | kind::PARAMETER
    )
}

fn dissect(bytes: &[u8], context: &Context<'_>) -> Dissected {
    let Some(&kind) = bytes.first() else {
        return Dissected::short(bytes, context, HEADER);
    };
    let (header, next) = match kind {
        kind if is_error(kind) => (HEADER, Next::Quoted(Claim::IpProto(4))),
        kind::ECHO_REPLY | kind::ECHO_REQUEST => (HEADER, Next::Data),
        kind::TIMESTAMP | kind::TIMESTAMP_REPLY => (20, Next::Data),
        kind::MASK | kind::MASK_REPLY => (12, Next::Data),
        kind::ROUTER_ADVERTISEMENT | kind::EXTENDED_ECHO => (bytes.len().max(HEADER), Next::End),
        kind::ROUTER_SOLICITATION
        | kind::INFORMATION
        | kind::INFORMATION_REPLY
        | kind::EXTENDED_REPLY => (HEADER, Next::Data),
        _ => (4, Next::Data),
    };
    if bytes.len() < header {
        return Dissected::short(bytes, context, header);
    }
    Dissected::new(header, next, context)
}

fn walk(view: &View<'_>, visit: &mut dyn Visit) -> ControlFlow<()> {
    let Some(kind) = view.u8(0) else {
        return ControlFlow::Continue(());
    };
    if view.u16(2).is_some() {
        let fields = (&CHECKSUM_STATUS, &VERDICT);
        control::show_checksum(view, fields, || verify::plain(view), visit)?;
    }
    let places: &[(&'static Field, usize, usize)] = match kind {
        kind::ECHO_REPLY | kind::ECHO_REQUEST | kind::INFORMATION | kind::INFORMATION_REPLY => {
            &[(&IDENT, 4, 2), (&SEQ, 6, 2)]
        }
        kind::EXTENDED_ECHO | kind::EXTENDED_REPLY => &[(&IDENT, 4, 2), (&EXT_ECHO_SEQ, 6, 1)],
        kind::TIMESTAMP | kind::TIMESTAMP_REPLY => &[
            (&IDENT, 4, 2),
            (&SEQ, 6, 2),
            (&ORIGINATE_TIMESTAMP, 8, 4),
            (&RECEIVE_TIMESTAMP, 12, 4),
            (&TRANSMIT_TIMESTAMP, 16, 4),
        ],
        kind::MASK | kind::MASK_REPLY => &[(&IDENT, 4, 2), (&SEQ, 6, 2), (&ADDRESS_MASK, 8, 4)],
        kind::UNREACHABLE => match view.u8(1) {
            Some(4) => &[(&LENGTH, 5, 1), (&MTU, 6, 2)],
            _ => &[(&LENGTH, 5, 1)],
        },
        kind::TIME_EXCEEDED => &[(&LENGTH, 5, 1)],
        kind::REDIRECT => &[(&REDIR_GW, 4, 4)],
        kind::PARAMETER => &[(&POINTER, 4, 1), (&LENGTH, 5, 1)],
        kind::ROUTER_ADVERTISEMENT => &[
            (&NUM_ADDRS, 4, 1),
            (&ADDR_ENTRY_SIZE, 5, 1),
            (&LIFETIME, 6, 2),
        ],
        _ => &[],
    };
    for &place in places {
        view.put(place, visit)?;
    }
    match kind {
        kind::ROUTER_ADVERTISEMENT => walk_routers(view, visit),
        kind::UNREACHABLE | kind::TIME_EXCEEDED | kind::PARAMETER => walk_extensions(view, visit),
        _ => ControlFlow::Continue(()),
    }
}

fn walk_routers(view: &View<'_>, visit: &mut dyn Visit) -> ControlFlow<()> {
    let (count, size) = (view.u8(4).unwrap_or(0), view.u8(5).unwrap_or(0));
    if size < 2 {
        return ControlFlow::Continue(());
    }
    for index in 0..usize::from(count) {
        let at = HEADER + index * usize::from(size) * 4;
        view.put((&ROUTER_ADDRESS, at, 4), visit)?;
        view.put((&PREF_LEVEL, at + 4, 4), visit)?;
    }
    ControlFlow::Continue(())
}

/// Objects after the quoted packet (RFC 4884 §7): only where the message says how long the quote is.
fn walk_extensions(view: &View<'_>, visit: &mut dyn Visit) -> ControlFlow<()> {
    let first = HEADER + usize::from(view.u8(5).unwrap_or(0)) * 4;
    let bytes = view.bytes();
    if first == HEADER || first + 4 > bytes.len() {
        return ControlFlow::Continue(());
    }
    let version = view.bits(first, 1);
    let value = Value::Uint((bytes[first] >> 4).into());
    visit.field(&EXT_VERSION, value, version.start..version.start + 4)?;
    view.put((&EXT_CHECKSUM, first + 2, 2), visit)?;
    let mut at = first + 4;
    while let Some(length) = view.u16(at).map(usize::from) {
        view.put((&EXT_LENGTH, at, 2), visit)?;
        view.put((&EXT_CLASS, at + 2, 1), visit)?;
        view.put((&EXT_CTYPE, at + 3, 1), visit)?;
        let end = at.saturating_add(length).min(bytes.len());
        if length < 4 || end < at + 4 {
            break;
        }
        if (view.u8(at + 2), view.u8(at + 3)) == (Some(1), Some(1)) {
            for entry in (at + 4..end.saturating_sub(3)).step_by(4) {
                walk_label(view, entry, visit)?;
            }
        } else {
            view.put((&EXT_DATA, at + 4, end - at - 4), visit)?;
        }
        at += length;
    }
    ControlFlow::Continue(())
}

fn walk_label(view: &View<'_>, at: usize, visit: &mut dyn Visit) -> ControlFlow<()> {
    let Some(entry) = view.u32(at).map(u64::from) else {
        return ControlFlow::Continue(());
    };
    let first = view.bits(at, 4).start;
    visit.field(&MPLS_LABEL, Value::Uint(entry >> 12), first..first + 20)?;
    visit.field(
        &MPLS_EXP,
        Value::Uint(entry >> 9 & 7),
        first + 20..first + 23,
    )?;
    visit.field(
        &MPLS_S,
        Value::Bool(entry >> 8 & 1 != 0),
        first + 23..first + 24,
    )?;
    visit.field(&MPLS_TTL, Value::Uint(entry & 0xff), first + 24..first + 32)
}

fn line(view: &View<'_>, line: &mut Line) {
    if let Some((source, destination)) = view.addresses() {
        line.addresses(source, destination);
    }
    let (Some(kind), code) = (view.u8(0), view.u8(1).unwrap_or(0)) else {
        return;
    };
    control::say_message(view, &TYPE, CODE_NAMES, line);
    match kind {
        kind::ECHO_REPLY | kind::ECHO_REQUEST => {
            if let Some(echo) = echo(view) {
                echo.add(view, line);
            }
        }
        kind::REDIRECT => {
            if let Some(gateway) = view.u32(4).map(std::net::Ipv4Addr::from) {
                line.add(format_args!("to {gateway}"));
            }
        }
        kind::UNREACHABLE if code == 4 => {
            line.add(format_args!("mtu={}", view.u16(6).unwrap_or(0)));
        }
        kind::PARAMETER => line.add(format_args!("at byte {}", view.u8(4).unwrap_or(0))),
        _ => {}
    }
    if let Some(subject) = Subject::of(view).filter(|_| is_error(kind)) {
        line.add(format_args!("for {subject}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::testing::{Seen, cut_everywhere, seen as seen_as};

    const CLAIM: Claim = Claim::IpProto(1);

    fn message(kind: u8, code: u8, rest: &[u8]) -> Vec<u8> {
        let mut bytes = [&[kind, code, 0, 0], rest].concat();
        let sum = crate::checksum::finish(crate::checksum::sum(0, &bytes));
        bytes[2..4].copy_from_slice(&sum.to_be_bytes());
        bytes
    }

    fn seen(bytes: &[u8]) -> Seen {
        seen_as(&PROTOCOL, CLAIM, bytes)
    }

    #[test]
    fn echoes_have_identifier_and_sequence_number() {
        let bytes = message(8, 0, &[0, 1, 0, 2, b'h', b'i']);
        let echo = seen(&bytes);
        let expected = [
            ("icmp.type", "8"),
            ("icmp.code", "0"),
            ("icmp.checksum.status", "1"),
            ("sockwire.checksum", "valid"),
            ("icmp.ident", "1"),
            ("icmp.seq", "2"),
        ];
        for (name, value) in expected {
            assert_eq!(echo.all(name), [value], "{name}");
        }
        assert_eq!(echo.line, " →  echo request id=1 seq=2 len=2");
        let mut wrong = bytes;
        wrong[9] ^= 1;
        let wrong = seen(&wrong);
        assert_eq!(wrong.all("sockwire.checksum"), ["wrong"]);
        assert_eq!(wrong.noticed.len(), 1);
    }

    #[test]
    fn errors_quote_a_packet_and_may_carry_extensions() {
        let mut rest = vec![0, 32, 5, 0xdc];
        rest.extend([0; 128]);
        rest.extend([
            0x20, 0, 0, 0, 0, 8, 1, 1, 0x00, 0x01, 0x01, 0x40, 0, 6, 9, 9, 7, 7,
        ]);
        let error = seen(&message(3, 4, &rest));
        assert_eq!(error.next, Next::Quoted(Claim::IpProto(4)));
        assert_eq!(error.all("icmp.mtu"), ["1500"]);
        assert_eq!(error.all("icmp.ext.class"), ["1", "9"]);
        assert_eq!(error.all("icmp.mpls.label"), ["16"]);
        assert_eq!(error.all("icmp.mpls.ttl"), ["64"]);
        assert_eq!(error.all("icmp.ext.data"), ["07:07"]);
        assert_eq!(error.line, " →  fragmentation needed mtu=1500");
    }

    #[test]
    fn the_other_messages() {
        let redirect = seen(&message(5, 1, &[10, 0, 0, 9]));
        assert_eq!(redirect.all("icmp.redir_gw"), ["10.0.0.9"]);
        assert_eq!(redirect.line, " →  redirect for the host to 10.0.0.9");
        let routers = [1, 2, 0, 30, 10, 0, 0, 1, 0, 0, 0, 5];
        let routers = seen(&message(9, 0, &routers));
        assert_eq!(routers.all("icmp.router_address"), ["10.0.0.1"]);
        assert_eq!(routers.all("icmp.pref_level"), ["5"]);
        let times = [0, 1, 0, 2, 0, 0, 0, 3, 0, 0, 0, 4, 0, 0, 0, 5];
        let times = seen(&message(14, 0, &times));
        assert_eq!(times.all("icmp.originate_timestamp"), ["3"]);
        assert_eq!(times.all("icmp.transmit_timestamp"), ["5"]);
        let mask = seen(&message(18, 0, &[0, 1, 0, 2, 255, 255, 0, 0]));
        assert_eq!(mask.all("icmp.address_mask"), ["255.255.0.0"]);
    }

    #[test]
    fn types_and_codes_without_a_name_are_numbers() {
        assert_eq!(
            seen(&message(8, 5, &[0; 4])).line,
            " →  echo request code=5 id=0 seq=0 len=0"
        );
        assert_eq!(seen(&message(99, 1, &[0; 4])).line, " →  type=99 code=1");
    }

    #[test]
    fn cut_anywhere_is_no_fault_and_ending_early_is() {
        cut_everywhere(&PROTOCOL, CLAIM, &message(8, 0, &[0, 1, 0, 2]), HEADER);
        cut_everywhere(&PROTOCOL, CLAIM, &message(14, 0, &[0; 16]), 20);
    }
}
