//! The words of capture filters: what each one is, the numbers that some stand for, and the words of links never read here.

use super::ast::{Llc, Proto};

/// What a word of the language is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Word {
    Proto(Proto),
    Source,
    Destination,
    Kind(Kind),
    Mask,
    Gateway,
    Less,
    Greater,
    Byte,
    Broadcast,
    Multicast,
    And,
    Or,
    Not,
    Length,
    Inbound,
    Outbound,
    Ifindex,
    Shift(Shift),
    Pppoed,
    Llc,
    /// A word of link types that are not read here; the text says what it needs.
    Foreign(&'static str),
}

/// What an identifier is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Host,
    Net,
    Port,
    PortRange,
    Proto,
    ProtoChain,
    Gateway,
}

/// A primitive that moves what the rest of the expression counts from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shift {
    Vlan,
    Mpls,
    Pppoes,
    Geneve,
    Vxlan,
}

impl Shift {
    /// What its number is called, and the highest one.
    pub(super) fn number(self) -> (&'static str, u32) {
        match self {
            Self::Vlan => ("VLAN", 0xfff),
            Self::Mpls => ("MPLS label", 0xf_ffff),
            Self::Pppoes => ("PPPoE session", 0xffff),
            Self::Geneve => ("Geneve network", 0xff_ffff),
            Self::Vxlan => ("VXLAN network", 0xff_ffff),
        }
    }
}

const WLAN: &str = "802.11 frames";
const ATM: &str = "ATM cells";
const SS7: &str = "SS7 frames";
const PFLOG: &str = "logs of the packet filter of BSD";

/// Every word, case as written.
const WORDS: &[(&str, Word)] = &[
    ("ether", Word::Proto(Proto::Link)),
    ("link", Word::Proto(Proto::Link)),
    ("ppp", Word::Proto(Proto::Link)),
    ("slip", Word::Proto(Proto::Link)),
    ("fddi", Word::Proto(Proto::Link)),
    ("tr", Word::Proto(Proto::Link)),
    ("wlan", Word::Proto(Proto::Link)),
    ("ip", Word::Proto(Proto::Ip)),
    ("ip6", Word::Proto(Proto::Ip6)),
    ("arp", Word::Proto(Proto::Arp)),
    ("rarp", Word::Proto(Proto::Rarp)),
    ("tcp", Word::Proto(Proto::Tcp)),
    ("udp", Word::Proto(Proto::Udp)),
    ("sctp", Word::Proto(Proto::Sctp)),
    ("icmp", Word::Proto(Proto::Icmp)),
    ("icmp6", Word::Proto(Proto::Icmp6)),
    ("igmp", Word::Proto(Proto::Igmp)),
    ("igrp", Word::Proto(Proto::Igrp)),
    ("pim", Word::Proto(Proto::Pim)),
    ("vrrp", Word::Proto(Proto::Vrrp)),
    ("carp", Word::Proto(Proto::Carp)),
    ("ah", Word::Proto(Proto::Ah)),
    ("esp", Word::Proto(Proto::Esp)),
    ("radio", Word::Proto(Proto::Radio)),
    ("atalk", Word::Proto(Proto::Atalk)),
    ("aarp", Word::Proto(Proto::Aarp)),
    ("decnet", Word::Proto(Proto::Decnet)),
    ("lat", Word::Proto(Proto::Lat)),
    ("sca", Word::Proto(Proto::Sca)),
    ("moprc", Word::Proto(Proto::Moprc)),
    ("mopdl", Word::Proto(Proto::Mopdl)),
    ("iso", Word::Proto(Proto::Iso)),
    ("esis", Word::Proto(Proto::Esis)),
    ("es-is", Word::Proto(Proto::Esis)),
    ("isis", Word::Proto(Proto::Isis)),
    ("is-is", Word::Proto(Proto::Isis)),
    ("clnp", Word::Proto(Proto::Clnp)),
    ("stp", Word::Proto(Proto::Stp)),
    ("ipx", Word::Proto(Proto::Ipx)),
    ("netbeui", Word::Proto(Proto::Netbeui)),
    ("l1", Word::Proto(Proto::IsisL1)),
    ("l2", Word::Proto(Proto::IsisL2)),
    ("iih", Word::Proto(Proto::IsisIih)),
    ("lsp", Word::Proto(Proto::IsisLsp)),
    ("snp", Word::Proto(Proto::IsisSnp)),
    ("csnp", Word::Proto(Proto::IsisCsnp)),
    ("psnp", Word::Proto(Proto::IsisPsnp)),
    ("src", Word::Source),
    ("dst", Word::Destination),
    ("host", Word::Kind(Kind::Host)),
    ("net", Word::Kind(Kind::Net)),
    ("port", Word::Kind(Kind::Port)),
    ("portrange", Word::Kind(Kind::PortRange)),
    ("proto", Word::Kind(Kind::Proto)),
    ("protochain", Word::Kind(Kind::ProtoChain)),
    ("mask", Word::Mask),
    ("gateway", Word::Gateway),
    ("less", Word::Less),
    ("greater", Word::Greater),
    ("byte", Word::Byte),
    ("broadcast", Word::Broadcast),
    ("multicast", Word::Multicast),
    ("and", Word::And),
    ("or", Word::Or),
    ("not", Word::Not),
    ("len", Word::Length),
    ("length", Word::Length),
    ("inbound", Word::Inbound),
    ("outbound", Word::Outbound),
    ("ifindex", Word::Ifindex),
    ("vlan", Word::Shift(Shift::Vlan)),
    ("mpls", Word::Shift(Shift::Mpls)),
    ("pppoed", Word::Pppoed),
    ("pppoes", Word::Shift(Shift::Pppoes)),
    ("geneve", Word::Shift(Shift::Geneve)),
    ("vxlan", Word::Shift(Shift::Vxlan)),
    ("llc", Word::Llc),
    ("type", Word::Foreign(WLAN)),
    ("subtype", Word::Foreign(WLAN)),
    ("direction", Word::Foreign(WLAN)),
    ("dir", Word::Foreign(WLAN)),
    ("address1", Word::Foreign(WLAN)),
    ("addr1", Word::Foreign(WLAN)),
    ("address2", Word::Foreign(WLAN)),
    ("addr2", Word::Foreign(WLAN)),
    ("address3", Word::Foreign(WLAN)),
    ("addr3", Word::Foreign(WLAN)),
    ("address4", Word::Foreign(WLAN)),
    ("addr4", Word::Foreign(WLAN)),
    ("ra", Word::Foreign(WLAN)),
    ("ta", Word::Foreign(WLAN)),
    ("lane", Word::Foreign(ATM)),
    ("metac", Word::Foreign(ATM)),
    ("bcc", Word::Foreign(ATM)),
    ("oam", Word::Foreign(ATM)),
    ("oamf4", Word::Foreign(ATM)),
    ("oamf4ec", Word::Foreign(ATM)),
    ("oamf4sc", Word::Foreign(ATM)),
    ("sc", Word::Foreign(ATM)),
    ("ilmic", Word::Foreign(ATM)),
    ("vpi", Word::Foreign(ATM)),
    ("vci", Word::Foreign(ATM)),
    ("connectmsg", Word::Foreign(ATM)),
    ("metaconnect", Word::Foreign(ATM)),
    ("fisu", Word::Foreign(SS7)),
    ("lssu", Word::Foreign(SS7)),
    ("lsu", Word::Foreign(SS7)),
    ("msu", Word::Foreign(SS7)),
    ("hfisu", Word::Foreign(SS7)),
    ("hlssu", Word::Foreign(SS7)),
    ("hmsu", Word::Foreign(SS7)),
    ("sio", Word::Foreign(SS7)),
    ("opc", Word::Foreign(SS7)),
    ("dpc", Word::Foreign(SS7)),
    ("sls", Word::Foreign(SS7)),
    ("hsio", Word::Foreign(SS7)),
    ("hopc", Word::Foreign(SS7)),
    ("hdpc", Word::Foreign(SS7)),
    ("hsls", Word::Foreign(SS7)),
    ("on", Word::Foreign(PFLOG)),
    ("ifname", Word::Foreign(PFLOG)),
    ("rset", Word::Foreign(PFLOG)),
    ("ruleset", Word::Foreign(PFLOG)),
    ("rnr", Word::Foreign(PFLOG)),
    ("rulenum", Word::Foreign(PFLOG)),
    ("srnr", Word::Foreign(PFLOG)),
    ("subrulenum", Word::Foreign(PFLOG)),
    ("reason", Word::Foreign(PFLOG)),
    ("action", Word::Foreign(PFLOG)),
];

/// Words that stand for a number: offsets, types and flags.
const NUMBERS: &[(&str, u32)] = &[
    ("icmptype", 0),
    ("icmpcode", 1),
    ("icmp-echoreply", 0),
    ("icmp-unreach", 3),
    ("icmp-sourcequench", 4),
    ("icmp-redirect", 5),
    ("icmp-echo", 8),
    ("icmp-routeradvert", 9),
    ("icmp-routersolicit", 10),
    ("icmp-timxceed", 11),
    ("icmp-paramprob", 12),
    ("icmp-tstamp", 13),
    ("icmp-tstampreply", 14),
    ("icmp-ireq", 15),
    ("icmp-ireqreply", 16),
    ("icmp-maskreq", 17),
    ("icmp-maskreply", 18),
    ("icmp6type", 0),
    ("icmp6code", 1),
    ("icmp6-destinationunreach", 1),
    ("icmp6-packettoobig", 2),
    ("icmp6-timeexceeded", 3),
    ("icmp6-parameterproblem", 4),
    ("icmp6-echo", 128),
    ("icmp6-echoreply", 129),
    ("icmp6-multicastlistenerquery", 130),
    ("icmp6-multicastlistenerreportv1", 131),
    ("icmp6-multicastlistenerdone", 132),
    ("icmp6-routersolicit", 133),
    ("icmp6-routeradvert", 134),
    ("icmp6-neighborsolicit", 135),
    ("icmp6-neighboradvert", 136),
    ("icmp6-redirect", 137),
    ("icmp6-routerrenum", 138),
    ("icmp6-nodeinformationquery", 139),
    ("icmp6-nodeinformationresponse", 140),
    ("icmp6-ineighbordiscoverysolicit", 141),
    ("icmp6-ineighbordiscoveryadvert", 142),
    ("icmp6-multicastlistenerreportv2", 143),
    ("icmp6-homeagentdiscoveryrequest", 144),
    ("icmp6-homeagentdiscoveryreply", 145),
    ("icmp6-mobileprefixsolicit", 146),
    ("icmp6-mobileprefixadvert", 147),
    ("icmp6-certpathsolicit", 148),
    ("icmp6-certpathadvert", 149),
    ("icmp6-multicastrouteradvert", 151),
    ("icmp6-multicastroutersolicit", 152),
    ("icmp6-multicastrouterterm", 153),
    ("tcpflags", 13),
    ("tcp-fin", 0x01),
    ("tcp-syn", 0x02),
    ("tcp-rst", 0x04),
    ("tcp-push", 0x08),
    ("tcp-ack", 0x10),
    ("tcp-urg", 0x20),
    ("tcp-ece", 0x40),
    ("tcp-cwr", 0x80),
];

/// `llc` and its kinds, whatever their case: control fields of IEEE 802.2.
const LLC: &[(&str, Llc)] = &[
    ("i", Llc::Information),
    ("s", Llc::Supervisory),
    ("u", Llc::Unnumbered),
    ("rr", Llc::SupervisoryType(0x01)),
    ("rnr", Llc::SupervisoryType(0x05)),
    ("rej", Llc::SupervisoryType(0x09)),
    ("ui", Llc::UnnumberedType(0x03)),
    ("ua", Llc::UnnumberedType(0x63)),
    ("disc", Llc::UnnumberedType(0x43)),
    ("dm", Llc::UnnumberedType(0x0f)),
    ("sabme", Llc::UnnumberedType(0x6f)),
    ("test", Llc::UnnumberedType(0xe3)),
    ("xid", Llc::UnnumberedType(0xaf)),
    ("frmr", Llc::UnnumberedType(0x87)),
];

/// Names after `ether proto`: EtherTypes, and LLC service access points where a protocol has no EtherType.
const ETHER_PROTOCOLS: &[(&str, u32)] = &[
    ("ip", 0x0800),
    ("ip6", 0x86dd),
    ("arp", 0x0806),
    ("rarp", 0x8035),
    ("aarp", 0x80f3),
    ("atalk", 0x809b),
    ("decnet", 0x6003),
    ("lat", 0x6004),
    ("loopback", 0x9000),
    ("mopdl", 0x6001),
    ("moprc", 0x6002),
    ("sca", 0x6007),
    ("iso", 0xfe),
    ("stp", 0x42),
    ("ipx", 0xe0),
    ("netbeui", 0xf0),
];

/// Names after `iso proto`.
const ISO_PROTOCOLS: &[(&str, u32)] = &[("clnp", 0x81), ("esis", 0x82), ("isis", 0x83)];

fn find<T: Copy>(table: &[(&str, T)], name: &str) -> Option<T> {
    let found = table.iter().find(|(known, _)| *known == name);
    found.map(|&(_, meaning)| meaning)
}

/// The word that this is.
pub(super) fn word(name: &str) -> Option<Word> {
    find(WORDS, name)
}

/// The number that this word stands for.
pub(super) fn number(name: &str) -> Option<u32> {
    find(NUMBERS, name)
}

/// The kind of LLC frame of this name.
pub(super) fn llc(name: &str) -> Option<Llc> {
    find(LLC, &name.to_ascii_lowercase())
}

/// What `ether proto` takes this name for.
pub(super) fn ether_protocol(name: &str) -> Option<u32> {
    find(ETHER_PROTOCOLS, name)
}

/// What `iso proto` takes this name for.
pub(super) fn iso_protocol(name: &str) -> Option<u32> {
    find(ISO_PROTOCOLS, name)
}

/// The word of `proto`, for sentences.
pub(super) fn name_of(proto: Proto) -> &'static str {
    let mut words = WORDS.iter();
    words
        .find(|(_, word)| *word == Word::Proto(proto))
        .map_or("", |(name, _)| name)
}

/// Every word that can be written where a primitive begins or goes on, for near misses.
pub(super) fn all() -> impl Iterator<Item = &'static str> {
    let words = WORDS.iter();
    words
        .filter(|(_, word)| !matches!(word, Word::Foreign(_)))
        .map(|(name, _)| *name)
}

/// The name of a TCP flag, which may lack its `tcp-`.
pub(super) fn tcp_flag(text: &str) -> Option<&'static str> {
    let is_meant = |flag: &str| {
        flag.strip_prefix("tcp-")
            .is_some_and(|short| [flag, short].contains(&text))
    };
    numbers().find(|flag| is_meant(flag))
}

/// Every word for a number, for near misses.
pub(super) fn numbers() -> impl Iterator<Item = &'static str> {
    NUMBERS.iter().map(|(name, _)| *name)
}

/// Every kind of LLC frame, for near misses.
pub(super) fn llc_kinds() -> impl Iterator<Item = &'static str> {
    LLC.iter().map(|(name, _)| *name)
}
