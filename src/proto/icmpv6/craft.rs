//! How ICMPv6 messages are crafted: each type has fields of its own behind the checksum, and some have a list.

mod discovery;
mod listener;

use super::*;
use crate::{
    proto::making,
    protocol::{Ask, Craft, Form, Slot, Tail},
};

/// What some types leave empty, and some of its bytes.
static RESERVED: Field = reserved((4, 0, 32));
static RESERVED_AFTER_LENGTH: Field = reserved((5, 0, 24));
static RESERVED_AFTER_FLAGS: Field = reserved((4, 3, 29));
static RESERVED_AFTER_DELAY: Field = reserved((6, 0, 16));
static RESERVED_BEFORE_COUNT: Field = reserved((4, 0, 16));
static RESERVED_IN_ROUTER: Field = reserved((5, 5, 3));

const fn reserved(place: (u16, u8, u16)) -> Field {
    let doc = "Zero, or flags of later specifications (RFC 4443 §2.1).";
    Field::bits("icmpv6.reserved", "Reserved", Kind::Hex(4), place, doc)
}

/// Length of the quoted packet (RFC 4884 §4.2).
static LENGTH: Field = Field::at(
    "icmpv6.length",
    "Quoted length",
    Kind::Uint,
    4,
    8,
    "Length of the quoted packet in units of 8 bytes; extensions follow it (RFC 4884 §4.2).",
);
/// What node information asks for, or has of it.
static NI_FLAGS: Field = Field::at(
    "icmpv6.ni.flags",
    "Flags",
    Kind::Hex(4),
    6,
    16,
    "Which addresses are asked for (RFC 4620 §4).",
);
/// The last byte of an extended echo.
static EXT_ECHO_FLAGS: Field = Field::at(
    "icmpv6.ext.echo.flags",
    "Flags",
    Kind::Hex(2),
    7,
    8,
    "Local interface in a request, state and addresses in a reply (RFC 8335 §2, §3).",
);

/// Where the fields of a type begin to differ.
const BODY: (u16, u8, u16) = (4, 0, 16);
const TARGET: (u16, u8, u16) = (8, 0, 128);

pub(super) static CRAFT: Craft = Craft {
    names: &["icmp6", "icmpv6"],
    header: &[kind::ECHO_REQUEST, 0, 0, 0, 0, 0, 0, 0],
    slots: &[
        Slot::new(&["type"], &TYPE).form(&Form {
            header: form,
            names: SCAPY,
        }),
        Slot::new(&["code"], &CODE),
        Slot::at(&["id"], &ECHO_IDENTIFIER, BODY)
            .asked(Ask::Ident)
            .when(|header| is(header, &[128, 129, 160, 161])),
        Slot::at(&["seq"], &ECHO_SEQUENCE_NUMBER, (6, 0, 16))
            .when(|header| is(header, &[128, 129])),
        Slot::at(&["seq"], &EXT_ECHO_SEQ, (6, 0, 8)).when(|header| is(header, &[160, 161])),
        Slot::new(&["flags"], &EXT_ECHO_FLAGS).when(|header| is(header, &[160, 161])),
        Slot::at(&["mtu"], &MTU, (4, 0, 32)).when(|header| is(header, &[kind::TOO_BIG])),
        Slot::at(&["ptr"], &POINTER, (4, 0, 32)).when(|header| is(header, &[kind::PARAMETER])),
        Slot::new(&["length"], &LENGTH).when(|header| is(header, &[1, 3])),
        Slot::new(&["unused"], &RESERVED_AFTER_LENGTH).when(|header| is(header, &[1, 3])),
        // Neighbor discovery.
        Slot::at(&["chlim"], &RA_CUR_HOP_LIMIT, (4, 0, 8)).when(is_router),
        Slot::at(&["m"], &RA_FLAG_M, (5, 0, 1)).when(is_router),
        Slot::at(&["o"], &RA_FLAG_O, (5, 1, 1)).when(is_router),
        Slot::at(&["h"], &RA_FLAG_H, (5, 2, 1)).when(is_router),
        Slot::at(&["prf"], &RA_FLAG_PRF, (5, 3, 2)).when(is_router),
        Slot::new(&["res"], &RESERVED_IN_ROUTER).when(is_router),
        Slot::at(&["routerlifetime"], &RA_ROUTER_LIFETIME, (6, 0, 16)).when(is_router),
        Slot::at(&["reachabletime"], &RA_REACHABLE_TIME, (8, 0, 32)).when(is_router),
        Slot::at(&["retranstimer"], &RA_RETRANS_TIMER, (12, 0, 32)).when(is_router),
        Slot::at(&["r"], &NA_FLAG_R, (4, 0, 1)).when(is_advertisement),
        Slot::at(&["s"], &NA_FLAG_S, (4, 1, 1)).when(is_advertisement),
        Slot::at(&["o"], &NA_FLAG_O, (4, 2, 1)).when(is_advertisement),
        Slot::new(&["res"], &RESERVED_AFTER_FLAGS).when(is_advertisement),
        Slot::at(&["target", "tgt"], &NS_TARGET_ADDRESS, TARGET)
            .when(|header| is(header, &[kind::NEIGHBOR_SOLICITATION])),
        Slot::at(&["target", "tgt"], &NA_TARGET_ADDRESS, TARGET).when(is_advertisement),
        Slot::at(&["target", "tgt"], &RD_TARGET_ADDRESS, TARGET)
            .when(|header| is(header, &[kind::REDIRECT])),
        Slot::at(&["dst"], &RD_DESTINATION_ADDRESS, (24, 0, 128))
            .when(|header| is(header, &[kind::REDIRECT])),
        // Multicast listeners.
        Slot::at(&["mrd"], &MLD_RESPONSE_DELAY, BODY).when(is_listener),
        Slot::new(&["res"], &RESERVED_AFTER_DELAY).when(is_listener),
        Slot::at(&["group", "mladdr"], &MLD_MULTICAST_ADDRESS, TARGET).when(is_listener),
        Slot::at(&["numsrc"], &MLD_NB_SOURCES, (26, 0, 16))
            .computed(|view| Some((view.header().len().checked_sub(listener::QUERY2)? / 16) as u64))
            .when(|header| is(header, &[kind::LISTENER_QUERY])),
        Slot::new(&["res"], &RESERVED_BEFORE_COUNT).when(is_report2),
        Slot::at(&["numrecords"], &MLDR_NB_RECORDS, (6, 0, 16))
            .computed(|view| Some(listener::records(view.header()).count() as u64))
            .when(is_report2),
        // Node information.
        Slot::at(&["qtype"], &NI_QTYPE, BODY).when(is_node),
        Slot::new(&["flags"], &NI_FLAGS).when(is_node),
        Slot::at(&["nonce"], &NI_NONCE, (8, 0, 64)).when(is_node),
        Slot::new(&["res", "unused"], &RESERVED).when(is_other),
        Slot::new(&["chksum", "cksum"], &CHECKSUM)
            .computed(|view| making::transport_checksum(view, IP_PROTO, 2)),
    ],
    tail: Some(&Tail {
        parts: &[
            discovery::SOURCE_LINK,
            discovery::TARGET_LINK,
            discovery::PREFIX_INFORMATION,
            discovery::LINK_MTU,
            discovery::ROUTE_INFORMATION,
            discovery::DNS_SERVERS,
            discovery::NONCE,
            discovery::REDIRECTED,
            discovery::ANY,
            listener::SUPPRESS,
            listener::ROBUSTNESS,
            listener::INTERVAL,
            listener::SOURCES,
            listener::RECORD,
            making::RAW,
        ],
        finish: None,
        read,
    }),
    answers: Some(answers),
};

/// Scapy has a layer for each type.
const SCAPY: &[(&str, u64)] = &[
    ("ICMPv6DestUnreach", 1),
    ("ICMPv6PacketTooBig", 2),
    ("ICMPv6TimeExceeded", 3),
    ("ICMPv6ParamProblem", 4),
    ("ICMPv6EchoRequest", 128),
    ("ICMPv6EchoReply", 129),
    ("ICMPv6MLQuery", 130),
    ("ICMPv6MLQuery2", 130),
    ("ICMPv6MLReport", 131),
    ("ICMPv6MLDone", 132),
    ("ICMPv6ND_RS", 133),
    ("ICMPv6ND_RA", 134),
    ("ICMPv6ND_NS", 135),
    ("ICMPv6ND_NA", 136),
    ("ICMPv6ND_Redirect", 137),
    ("ICMPv6MLReport2", 143),
];

/// Whether the message is of one of these types.
fn is(header: &[u8], kinds: &[u8]) -> bool {
    header.first().is_some_and(|kind| kinds.contains(kind))
}

fn is_router(header: &[u8]) -> bool {
    is(header, &[kind::ROUTER_ADVERTISEMENT])
}

fn is_advertisement(header: &[u8]) -> bool {
    is(header, &[kind::NEIGHBOR_ADVERTISEMENT])
}

fn is_listener(header: &[u8]) -> bool {
    is(header, &[130, 131, 132])
}

fn is_report2(header: &[u8]) -> bool {
    is(header, &[kind::LISTENER_REPORT_2])
}

/// Types whose second word has no use.
fn is_other(header: &[u8]) -> bool {
    !is(
        header,
        &[
            1, 2, 3, 4, 128, 129, 130, 131, 132, 134, 136, 139, 140, 143, 160, 161,
        ],
    )
}

fn is_node(header: &[u8]) -> bool {
    is(header, &[kind::NODE_QUERY, kind::NODE_REPLY])
}

/// The header that a type has before its list, with usual values: a router for half an hour (RFC 4861 §6.2.1), a
/// neighbor's address that is its own, ten seconds to answer a query (RFC 3810 §9.3).
fn form(header: &[u8]) -> &'static [u8] {
    const ROUTER: &[u8] = &[0, 0, 0, 0, 0, 0, 7, 8, 0, 0, 0, 0, 0, 0, 0, 0];
    const NEIGHBOR: &[u8; 24] = &first([0, 0, 0, 0, 0x20, 0, 0, 0]);
    const QUERY: &[u8; 24] = &first([0, 0, 0, 0, 0x27, 0x10, 0, 0]);
    match header.first() {
        Some(&kind::ROUTER_ADVERTISEMENT) => ROUTER,
        Some(&kind::NEIGHBOR_ADVERTISEMENT) => NEIGHBOR,
        Some(&kind::LISTENER_QUERY) => QUERY,
        Some(&(kind::NEIGHBOR_SOLICITATION | kind::LISTENER_REPORT | kind::LISTENER_DONE)) => {
            &[0; 24]
        }
        Some(&kind::REDIRECT) => &[0; 40],
        Some(&(kind::NODE_QUERY | kind::NODE_REPLY)) => &[0; 16],
        Some(&kind) if TYPE.value_name(kind.into()).is_some() => &[0; HEADER],
        _ => &[0; 4],
    }
}

/// A header of 24 bytes that begins so.
const fn first(bytes: [u8; 8]) -> [u8; 24] {
    let mut header = [0; 24];
    let mut at = 0;
    while at < bytes.len() {
        header[at] = bytes[at];
        at += 1;
    }
    header
}

fn read(view: &View<'_>, word: &mut dyn FnMut(&'static str, String)) {
    let header = view.header();
    let first = form(header).len();
    let end = match header.first() {
        Some(&kind::LISTENER_QUERY) => listener::say_query(header, word),
        Some(&kind::LISTENER_REPORT_2) => listener::say_records(header, word),
        Some(&kind) if super::discovery::first_option(kind).is_some() => {
            discovery::say_options(header, first, word)
        }
        _ => first,
    };
    making::say_raw(header, end, word);
}

/// Echoes come back with identifier and sequence number (RFC 4443 §4.2), advertisements with the target that was
/// solicited (RFC 4861 §7.2.4), node information with the nonce (RFC 4620 §5).
fn answers(request: &View<'_>, reply: &View<'_>) -> bool {
    let (Some(asked), Some(answered)) = (request.u8(0), reply.u8(0)) else {
        return false;
    };
    let same = |from: usize, to: usize| {
        let asked = request.bytes().get(from..to);
        asked.is_some() && asked == reply.bytes().get(from..to)
    };
    match (asked, answered) {
        (kind::ECHO_REQUEST, kind::ECHO_REPLY) => same(4, 8),
        (kind::EXTENDED_ECHO, kind::EXTENDED_REPLY) => same(4, 7),
        (kind::NEIGHBOR_SOLICITATION, kind::NEIGHBOR_ADVERTISEMENT) => same(8, 24),
        (kind::NODE_QUERY, kind::NODE_REPLY) => same(8, 16),
        (kind::ROUTER_SOLICITATION, kind::ROUTER_ADVERTISEMENT) => true,
        _ => false,
    }
}
