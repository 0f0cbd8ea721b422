//! ICMP for IPv6: echoes, errors that quote a packet, neighbor discovery, and multicast listeners.
//!
//! Spec: RFC 4443; neighbor discovery RFC 4861, its options RFC 4191, RFC 8106 and others; multicast listeners RFC 2710
//! and RFC 3810; node information RFC 4620; extended echo RFC 8335. Types are listed by IANA ("ICMPv6 Parameters").
//!
//! ```text
//!  0      1      2          4                  8
//! | type | code | checksum | depends on type | target, options, quoted packet or data …
//! ```

mod craft;
mod discovery;
mod listener;

use super::{
    control::{self, CodeNames, Echo, Subject},
    verify::{self, status},
};
use crate::{
    field::{Field, Kind, Visit},
    layer::View,
    line::Line,
    protocol::{Claim, Context, Dissected, Next, Protocol},
};
use std::{net::Ipv6Addr, ops::ControlFlow};

const HEADER: usize = 8;
const IP_PROTO: u8 = 58;

/// ICMPv6.
pub static PROTOCOL: Protocol = Protocol {
    name: "icmpv6",
    label: "ICMPv6",
    title: "Internet Control Message Protocol version 6",
    spec: "RFC 4443",
    claims: &[Claim::IpProto(IP_PROTO)],
    fields: FIELDS,
    dissect,
    walk: Some(walk),
    line,
    addresses: None,
    craft: Some(&craft::CRAFT),
};

/// Message types.
mod kind {
    pub(super) const TOO_BIG: u8 = 2;
    pub(super) const PARAMETER: u8 = 4;
    pub(super) const ECHO_REQUEST: u8 = 128;
    pub(super) const ECHO_REPLY: u8 = 129;
    pub(super) const LISTENER_QUERY: u8 = 130;
    pub(super) const LISTENER_REPORT: u8 = 131;
    pub(super) const LISTENER_DONE: u8 = 132;
    pub(super) const ROUTER_SOLICITATION: u8 = 133;
    pub(super) const ROUTER_ADVERTISEMENT: u8 = 134;
    pub(super) const NEIGHBOR_SOLICITATION: u8 = 135;
    pub(super) const NEIGHBOR_ADVERTISEMENT: u8 = 136;
    pub(super) const REDIRECT: u8 = 137;
    pub(super) const NODE_QUERY: u8 = 139;
    pub(super) const NODE_REPLY: u8 = 140;
    pub(super) const LISTENER_REPORT_2: u8 = 143;
    pub(super) const EXTENDED_ECHO: u8 = 160;
    pub(super) const EXTENDED_REPLY: u8 = 161;
}

const TYPE_NAMES: &[(u64, &str)] = &[
    (1, "destination unreachable"),
    (2, "packet too big"),
    (3, "time exceeded"),
    (4, "parameter problem"),
    (128, "echo request"),
    (129, "echo reply"),
    (130, "multicast listener query"),
    (131, "multicast listener report"),
    (132, "multicast listener done"),
    (133, "router solicitation"),
    (134, "router advertisement"),
    (135, "neighbor solicitation"),
    (136, "neighbor advertisement"),
    (137, "redirect"),
    (138, "router renumbering"),
    (139, "node information query"),
    (140, "node information reply"),
    (141, "inverse neighbor solicitation"),
    (142, "inverse neighbor advertisement"),
    (143, "multicast listener report v2"),
    (144, "home agent discovery request"),
    (145, "home agent discovery reply"),
    (146, "mobile prefix solicitation"),
    (147, "mobile prefix advertisement"),
    (148, "certification path solicitation"),
    (149, "certification path advertisement"),
    (151, "multicast router advertisement"),
    (152, "multicast router solicitation"),
    (153, "multicast router termination"),
    (154, "fast mobile handover"),
    (155, "RPL control"),
    (157, "duplicate address request"),
    (158, "duplicate address confirmation"),
    (160, "extended echo request"),
    (161, "extended echo reply"),
];

/// What the codes of errors mean, by type and code.
const CODE_NAMES: &CodeNames = &[
    ((1, 0), "no route to destination"),
    ((1, 1), "communication administratively prohibited"),
    ((1, 2), "beyond scope of source address"),
    ((1, 3), "address unreachable"),
    ((1, 4), "port unreachable"),
    ((1, 5), "source address failed policy"),
    ((1, 6), "route to destination rejected"),
    ((1, 7), "error in source routing header"),
    ((3, 0), "hop limit exceeded in transit"),
    ((3, 1), "fragment reassembly time exceeded"),
    ((4, 0), "erroneous header field"),
    ((4, 1), "unrecognized next header"),
    ((4, 2), "unrecognized IPv6 option"),
];

crate::fields! {
    TYPE = Field::at("icmpv6.type", "Type", Kind::Uint, 0, 8, "What the message is; below 128 it is an error (RFC 4443 §2.1).").names(TYPE_NAMES);
    CODE = Field::at("icmpv6.code", "Code", Kind::Uint, 1, 8, "Says more about the type (RFC 4443 §2.1).");
    CHECKSUM = Field::at("icmpv6.checksum", "Checksum", Kind::Hex(4), 2, 16, "Over pseudo-header and message (RFC 4443 §2.3).");
    CHECKSUM_STATUS = Field::walked("icmpv6.checksum.status", "Checksum status", Kind::Uint, "Wireshark's number for the outcome of the check.").names(status::NAMES);
    VERDICT = Field::walked("sockwire.checksum", "Checksum verdict", Kind::Text, "Whether the checksum is right, wrong, left to the device, or cannot be told.");
    ECHO_IDENTIFIER = Field::walked("icmpv6.echo.identifier", "Identifier", Kind::Hex(4), "Tells which program asks: ping uses one for each run (RFC 4443 §4.1).");
    ECHO_SEQUENCE_NUMBER = Field::walked("icmpv6.echo.sequence_number", "Sequence number", Kind::Uint, "Tells which reply answers which request (RFC 4443 §4.1).");
    EXT_ECHO_SEQ = Field::walked("icmpv6.ext.echo.seq", "Sequence number", Kind::Uint, "Tells which reply answers which request (RFC 8335 §2).");
    MTU = Field::walked("icmpv6.mtu", "MTU", Kind::Uint, "The largest packet that would have passed (RFC 4443 §3.2).");
    POINTER = Field::walked("icmpv6.pointer", "Pointer", Kind::Uint, "The byte of the quoted packet that is at fault (RFC 4443 §3.4).");
    RA_CUR_HOP_LIMIT = Field::walked("icmpv6.nd.ra.cur_hop_limit", "Hop limit", Kind::Uint, "The hop limit that hosts should use; 0 leaves it open (RFC 4861 §4.2).");
    RA_FLAG_M = Field::walked("icmpv6.nd.ra.flag.m", "Managed addresses", Kind::Flag, "Addresses are to be had by DHCPv6 (RFC 4861 §4.2).");
    RA_FLAG_O = Field::walked("icmpv6.nd.ra.flag.o", "Other configuration", Kind::Flag, "Other settings are to be had by DHCPv6 (RFC 4861 §4.2).");
    RA_FLAG_H = Field::walked("icmpv6.nd.ra.flag.h", "Home agent", Kind::Flag, "The router serves moving hosts (RFC 6275 §7.1).");
    RA_FLAG_PRF = Field::walked("icmpv6.nd.ra.flag.prf", "Router preference", Kind::Uint, "0 medium, 1 high, 3 low (RFC 4191 §2.1).");
    RA_ROUTER_LIFETIME = Field::walked("icmpv6.nd.ra.router_lifetime", "Router lifetime", Kind::Uint, "Seconds for which it is a default router; 0: it is none (RFC 4861 §4.2).");
    RA_REACHABLE_TIME = Field::walked("icmpv6.nd.ra.reachable_time", "Reachable time", Kind::Uint, "Milliseconds for which a neighbor counts as reachable (RFC 4861 §4.2).");
    RA_RETRANS_TIMER = Field::walked("icmpv6.nd.ra.retrans_timer", "Retransmission timer", Kind::Uint, "Milliseconds between solicitations (RFC 4861 §4.2).");
    NS_TARGET_ADDRESS = Field::walked("icmpv6.nd.ns.target_address", "Target", Kind::Ipv6, "Whose link-layer address is asked for (RFC 4861 §4.3).");
    NA_FLAG_R = Field::walked("icmpv6.nd.na.flag.r", "Router", Kind::Flag, "The sender is a router (RFC 4861 §4.4).");
    NA_FLAG_S = Field::walked("icmpv6.nd.na.flag.s", "Solicited", Kind::Flag, "It answers a solicitation (RFC 4861 §4.4).");
    NA_FLAG_O = Field::walked("icmpv6.nd.na.flag.o", "Override", Kind::Flag, "Replace what is known so far (RFC 4861 §4.4).");
    NA_TARGET_ADDRESS = Field::walked("icmpv6.nd.na.target_address", "Target", Kind::Ipv6, "Whose link-layer address is told (RFC 4861 §4.4).");
    RD_TARGET_ADDRESS = Field::walked("icmpv6.nd.rd.target_address", "Target", Kind::Ipv6, "The better next hop (RFC 4861 §4.5).");
    RD_DESTINATION_ADDRESS = Field::walked("icmpv6.rd.na.destination_address", "Destination", Kind::Ipv6, "For which destination it is better (RFC 4861 §4.5).");
    OPT_TYPE = Field::walked("icmpv6.opt.type", "Option", Kind::Uint, "Which option (IANA IPv6 Neighbor Discovery Option Formats).").many().names(discovery::OPTION_NAMES);
    OPT_LENGTH = Field::walked("icmpv6.opt.length", "Option length", Kind::Uint, "Length with type and length, in units of 8 bytes (RFC 4861 §4.6).").many();
    OPT_LINKADDR = Field::walked("icmpv6.opt.linkaddr", "Link-layer address", Kind::Bytes, "A hardware address (RFC 4861 §4.6.1).").many();
    OPT_SRC_LINKADDR = Field::walked("icmpv6.opt.src_linkaddr", "Source link-layer address", Kind::Bytes, "The sender's (RFC 4861 §4.6.1).").many();
    OPT_TARGET_LINKADDR = Field::walked("icmpv6.opt.target_linkaddr", "Target link-layer address", Kind::Bytes, "The target's (RFC 4861 §4.6.1).").many();
    OPT_PREFIX_LENGTH = Field::walked("icmpv6.opt.prefix.length", "Prefix length", Kind::Uint, "Bits of prefix that count (RFC 4861 §4.6.2).").many();
    OPT_PREFIX_FLAG_L = Field::walked("icmpv6.opt.prefix.flag.l", "On-link", Kind::Flag, "Addresses of the prefix are on this link (RFC 4861 §4.6.2).").many();
    OPT_PREFIX_FLAG_A = Field::walked("icmpv6.opt.prefix.flag.a", "Autonomous", Kind::Flag, "Hosts may make addresses of the prefix (RFC 4861 §4.6.2).").many();
    OPT_PREFIX_FLAG_R = Field::walked("icmpv6.opt.prefix.flag.r", "Router address", Kind::Flag, "The prefix holds the router's own address (RFC 6275 §7.2).").many();
    OPT_PREFIX_VALID = Field::walked("icmpv6.opt.prefix.valid_lifetime", "Valid lifetime", Kind::Uint, "Seconds for which the prefix is valid (RFC 4861 §4.6.2).").many();
    OPT_PREFIX_PREFERRED = Field::walked("icmpv6.opt.prefix.preferred_lifetime", "Preferred lifetime", Kind::Uint, "Seconds for which addresses made from it are preferred (RFC 4861 §4.6.2).").many();
    OPT_PREFIX = Field::walked("icmpv6.opt.prefix", "Prefix", Kind::Ipv6, "A prefix of addresses (RFC 4861 §4.6.2).").many();
    OPT_ROUTE_PREFERENCE = Field::walked("icmpv6.opt.route_info.flag.route_preference", "Route preference", Kind::Uint, "0 medium, 1 high, 3 low (RFC 4191 §2.3).").many();
    OPT_ROUTE_LIFETIME = Field::walked("icmpv6.opt.route_lifetime", "Route lifetime", Kind::Uint, "Seconds for which the route is valid (RFC 4191 §2.3).").many();
    OPT_MTU = Field::walked("icmpv6.opt.mtu", "MTU", Kind::Uint, "What hosts on this link should use (RFC 4861 §4.6.4).").many();
    OPT_NONCE = Field::walked("icmpv6.opt.nonce", "Nonce", Kind::Bytes, "Makes the answer fresh (RFC 3971 §5.3.2).").many();
    OPT_RDNSS_LIFETIME = Field::walked("icmpv6.opt.rdnss.lifetime", "DNS server lifetime", Kind::Uint, "Seconds for which the servers may be used (RFC 8106 §5.1).").many();
    OPT_RDNSS = Field::walked("icmpv6.opt.rdnss", "DNS server", Kind::Ipv6, "A recursive DNS server (RFC 8106 §5.1).").many();
    OPT_DNSSL_LIFETIME = Field::walked("icmpv6.opt.dnssl.lifetime", "DNS search lifetime", Kind::Uint, "Seconds for which the names may be used (RFC 8106 §5.2).").many();
    MLD_RESPONSE_DELAY = Field::walked("icmpv6.mld.maximum_response_delay", "Maximum response delay", Kind::Uint, "Milliseconds within which to answer (RFC 2710 §3.4).");
    MLD_RESPONSE_CODE = Field::walked("icmpv6.mld.maximum_response_code", "Maximum response code", Kind::Uint, "Milliseconds within which to answer, coded (RFC 3810 §5.1.3).");
    MLD_MULTICAST_ADDRESS = Field::walked("icmpv6.mld.multicast_address", "Multicast address", Kind::Ipv6, "The group; none when all are asked for (RFC 2710 §3.6).");
    MLD_FLAG_S = Field::walked("icmpv6.mld.flag.s", "Suppress router side", Kind::Flag, "Routers leave their timers alone (RFC 3810 §5.1.7).");
    MLD_FLAG_QRV = Field::walked("icmpv6.mld.flag.qrv", "Robustness", Kind::Uint, "How many losses the querier allows for (RFC 3810 §5.1.8).");
    MLD_QQI = Field::walked("icmpv6.mld.qqi", "Query interval", Kind::Uint, "Seconds between queries, coded (RFC 3810 §5.1.9).");
    MLD_NB_SOURCES = Field::walked("icmpv6.mld.nb_sources", "Number of sources", Kind::Uint, "Sources listed (RFC 3810 §5.1.10).");
    MLD_SOURCE_ADDRESS = Field::walked("icmpv6.mld.source_address", "Source", Kind::Ipv6, "A source that is asked about (RFC 3810 §5.1.11).").many();
    MLDR_NB_RECORDS = Field::walked("icmpv6.mldr.nb_mcast_records", "Number of records", Kind::Uint, "Groups listed (RFC 3810 §5.2.3).");
    MAR_RECORD_TYPE = Field::walked("icmpv6.mldr.mar.record_type", "Record type", Kind::Uint, "1 include, 2 exclude, 3 and 4 changes to these, 5 and 6 sources allowed and blocked (RFC 3810 §5.2.12).").many();
    MAR_AUX_DATA_LEN = Field::walked("icmpv6.mldr.mar.aux_data_len", "Auxiliary data length", Kind::Uint, "In units of 4 bytes (RFC 3810 §5.2.6).").many();
    MAR_NB_SOURCES = Field::walked("icmpv6.mldr.mar.nb_sources", "Number of sources", Kind::Uint, "Sources in the record (RFC 3810 §5.2.7).").many();
    MAR_MULTICAST_ADDRESS = Field::walked("icmpv6.mldr.mar.multicast_address", "Multicast address", Kind::Ipv6, "The group (RFC 3810 §5.2.8).").many();
    MAR_SOURCE_ADDRESS = Field::walked("icmpv6.mldr.mar.source_address", "Source", Kind::Ipv6, "A source in the record (RFC 3810 §5.2.9).").many();
    NI_QTYPE = Field::walked("icmpv6.ni.qtype", "Query type", Kind::Uint, "What is asked: 2 names, 3 IPv6 and 4 IPv4 addresses (RFC 4620 §4).");
    NI_NONCE = Field::walked("icmpv6.ni.nonce", "Nonce", Kind::Hex(16), "Ties the reply to the query (RFC 4620 §4).");
    RESP_TO = Field::derived("icmpv6.resp_to", "Reply to", Kind::Uint, "The frame that asked: same addresses, identifier and sequence number (RFC 4443 §4.2).");
    RESPONSE_TIME = Field::derived("sockwire.response_time", "Response time", Kind::Duration, "How long the reply took after the frame that asked.");
}

/// The echo in `view`; `None` for other messages.
pub fn echo(view: &View<'_>) -> Option<Echo> {
    Echo::read(view, kind::ECHO_REQUEST, kind::ECHO_REPLY)
}

fn is_error(kind: u8) -> bool {
    (1..=4).contains(&kind)
}

fn dissect(bytes: &[u8], context: &Context<'_>) -> Dissected {
    let Some(&kind) = bytes.first() else {
        return Dissected::short(bytes, context, HEADER);
    };
    let needed = match (discovery::first_option(kind), TYPE.value_name(kind.into())) {
        (Some(options), _) => options,
        (None, Some(_)) => HEADER,
        (None, None) => 4,
    };
    if bytes.len() < needed {
        return Dissected::short(bytes, context, needed);
    }
    let quoted = Next::Quoted(Claim::IpProto(41));
    match kind {
        kind if is_error(kind) => Dissected::new(HEADER, quoted, context),
        kind::REDIRECT => match discovery::redirected(bytes) {
            Some(at) => Dissected::new(at, quoted, context),
            None => Dissected::new(bytes.len(), Next::End, context),
        },
        kind::ECHO_REQUEST | kind::ECHO_REPLY => Dissected::new(HEADER, Next::Data, context),
        _ if needed == 4 => Dissected::new(4, Next::Data, context),
        _ => Dissected::new(bytes.len(), Next::End, context),
    }
}

fn walk(view: &View<'_>, visit: &mut dyn Visit) -> ControlFlow<()> {
    let (Some(kind), Some(_)) = (view.u8(0), view.u16(2)) else {
        return ControlFlow::Continue(());
    };
    let fields = (&CHECKSUM_STATUS, &VERDICT);
    control::show_checksum(
        view,
        fields,
        || verify::with_pseudo_header(view, IP_PROTO, 2),
        visit,
    )?;
    let version_2 = view.layer.wire >= 28;
    let places: &[(&'static Field, usize, usize)] = match kind {
        kind::TOO_BIG => &[(&MTU, 4, 4)],
        kind::PARAMETER => &[(&POINTER, 4, 4)],
        kind::ECHO_REQUEST | kind::ECHO_REPLY => {
            &[(&ECHO_IDENTIFIER, 4, 2), (&ECHO_SEQUENCE_NUMBER, 6, 2)]
        }
        kind::EXTENDED_ECHO | kind::EXTENDED_REPLY => {
            &[(&ECHO_IDENTIFIER, 4, 2), (&EXT_ECHO_SEQ, 6, 1)]
        }
        kind::LISTENER_QUERY if version_2 => {
            &[(&MLD_RESPONSE_CODE, 4, 2), (&MLD_MULTICAST_ADDRESS, 8, 16)]
        }
        kind::LISTENER_QUERY | kind::LISTENER_REPORT | kind::LISTENER_DONE => {
            &[(&MLD_RESPONSE_DELAY, 4, 2), (&MLD_MULTICAST_ADDRESS, 8, 16)]
        }
        kind::NEIGHBOR_SOLICITATION => &[(&NS_TARGET_ADDRESS, 8, 16)],
        kind::REDIRECT => &[
            (&RD_TARGET_ADDRESS, 8, 16),
            (&RD_DESTINATION_ADDRESS, 24, 16),
        ],
        kind::NODE_QUERY | kind::NODE_REPLY => &[(&NI_QTYPE, 4, 2), (&NI_NONCE, 8, 8)],
        _ => &[],
    };
    for &place in places {
        view.put(place, visit)?;
    }
    match kind {
        kind::ROUTER_ADVERTISEMENT => discovery::walk_router(view, visit)?,
        kind::NEIGHBOR_ADVERTISEMENT => discovery::walk_advertisement(view, visit)?,
        kind::LISTENER_QUERY if version_2 => listener::walk_query(view, visit)?,
        kind::LISTENER_REPORT_2 => listener::walk_report(view, visit)?,
        _ => {}
    }
    match discovery::first_option(kind) {
        Some(first) => discovery::walk_options(view, first, visit),
        None => ControlFlow::Continue(()),
    }
}

fn line(view: &View<'_>, line: &mut Line) {
    if let Some((source, destination)) = view.addresses() {
        line.addresses(source, destination);
    }
    let Some(kind) = view.u8(0) else {
        return;
    };
    control::say_message(view, &TYPE, CODE_NAMES, line);
    let address = |at: usize| {
        let bytes: [u8; 16] = view.bytes().get(at..at + 16)?.try_into().ok()?;
        Some(Ipv6Addr::from(bytes))
    };
    match (kind, address(8)) {
        (kind::ECHO_REQUEST | kind::ECHO_REPLY, _) => {
            if let Some(echo) = echo(view) {
                echo.add(view, line);
            }
        }
        (kind::TOO_BIG, _) => line.add(format_args!("mtu={}", view.u32(4).unwrap_or(0))),
        (kind::PARAMETER, _) => line.add(format_args!("at byte {}", view.u32(4).unwrap_or(0))),
        (
            kind::NEIGHBOR_SOLICITATION
            | kind::NEIGHBOR_ADVERTISEMENT
            | kind::LISTENER_REPORT
            | kind::LISTENER_DONE,
            Some(target),
        ) => line.add(format_args!("for {target}")),
        (kind::LISTENER_QUERY, Some(group)) if !group.is_unspecified() => {
            line.add(format_args!("for {group}"));
        }
        (kind::REDIRECT, Some(target)) => line.add(format_args!("to {target}")),
        _ => {}
    }
    if let Some(subject) = Subject::of(view).filter(|_| is_error(kind) || kind == kind::REDIRECT) {
        line.add(format_args!("for {subject}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::testing::{Seen, cut_everywhere, seen as seen_as};

    const CLAIM: Claim = Claim::IpProto(IP_PROTO);
    pub(super) const TARGET: [u8; 16] = [0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
    pub(super) const LINK: [u8; 8] = [1, 1, 2, 0, 0, 0, 0, 1];

    pub(super) fn seen(bytes: &[u8]) -> Seen {
        seen_as(&PROTOCOL, CLAIM, bytes)
    }

    #[test]
    fn cut_anywhere_is_no_fault_and_ending_early_is() {
        let message = [&[135, 0, 0, 0, 0, 0, 0, 0], &TARGET[..]].concat();
        // Below four bytes not even the type tells how long the header is.
        cut_everywhere(&PROTOCOL, CLAIM, &message, 24);
        cut_everywhere(&PROTOCOL, CLAIM, &[128, 0, 0, 0, 0, 1, 0, 2], HEADER);
    }
}
