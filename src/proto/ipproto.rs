//! The protocol numbers that IPv4 and the headers of IPv6 share: their names, and what a line says where nothing decodes them.

use crate::line::Line;

/// Names of the IP protocols that a capture is likely to hold (IANA "Protocol Numbers").
pub(super) const NAMES: &[(u64, &str)] = &[
    (0, "hop-by-hop options"),
    (1, "ICMP"),
    (2, "IGMP"),
    (4, "IPv4"),
    (6, "TCP"),
    (8, "EGP"),
    (9, "IGP"),
    (17, "UDP"),
    (33, "DCCP"),
    (41, "IPv6"),
    (43, "IPv6 routing"),
    (44, "IPv6 fragment"),
    (46, "RSVP"),
    (47, "GRE"),
    (50, "ESP"),
    (51, "AH"),
    (54, "NHRP"),
    (58, "ICMPv6"),
    (59, "no next header"),
    (60, "destination options"),
    (88, "EIGRP"),
    (89, "OSPF"),
    (94, "IPIP"),
    (97, "EtherIP"),
    (103, "PIM"),
    (108, "IPComp"),
    (112, "VRRP"),
    (113, "PGM"),
    (115, "L2TP"),
    (132, "SCTP"),
    (135, "mobility"),
    (136, "UDP-Lite"),
    (137, "MPLS"),
    (139, "HIP"),
    (140, "Shim6"),
    (143, "Ethernet"),
    (253, "experiment"),
    (254, "experiment"),
];

/// Says which protocol is carried, by name or number, and how many bytes of it.
pub(super) fn say(protocol: u8, len: u32, line: &mut Line) {
    match NAMES.iter().find(|(of, _)| *of == u64::from(protocol)) {
        Some((_, name)) => line.say(format_args!("{name} len={len}")),
        None => line.say(format_args!("proto={protocol} len={len}")),
    }
}
