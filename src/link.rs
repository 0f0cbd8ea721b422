//! Link types: what the first byte of a frame is, numbered as capture files number it.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A LINKTYPE_ value of the pcap and pcapng formats (the number in the file, not a platform's DLT_ value).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct LinkType(pub u16);

impl LinkType {
    /// BSD loopback: a 4-byte address family in the writer's byte order.
    pub const NULL: Self = Self(0);
    /// Ethernet II and IEEE 802.3.
    pub const ETHERNET: Self = Self(1);
    /// PPP, from the protocol number or from the address byte of HDLC-like framing on.
    pub const PPP: Self = Self(9);
    /// PPP in HDLC-like framing, or Cisco HDLC.
    pub const PPP_SERIAL: Self = Self(50);
    /// An IPv4 or IPv6 packet with nothing before it.
    pub const RAW: Self = Self(101);
    /// OpenBSD loopback: a 4-byte address family, big endian.
    pub const LOOP: Self = Self(108);
    /// Linux "cooked" capture, version 1.
    pub const LINUX_SLL: Self = Self(113);
    /// An IPv4 packet with nothing before it.
    pub const IPV4: Self = Self(228);
    /// An IPv6 packet with nothing before it.
    pub const IPV6: Self = Self(229);
    /// Linux "cooked" capture, version 2: what `-i any` gives.
    pub const LINUX_SLL2: Self = Self(276);

    /// tcpdump's name of the link type, where sockwire decodes it.
    pub fn name(self) -> Option<&'static str> {
        NAMES
            .iter()
            .find(|(link, _, _)| *link == self)
            .map(|&(_, name, _)| name)
    }

    /// The link type that tcpdump calls `name`, in any case of letters, where sockwire decodes it.
    pub fn named(name: &str) -> Option<Self> {
        NAMES
            .iter()
            .find(|(_, known, _)| known.eq_ignore_ascii_case(name))
            .map(|&(link, _, _)| link)
    }

    /// tcpdump's names of all link types that sockwire decodes.
    pub fn names() -> impl Iterator<Item = &'static str> {
        NAMES.iter().map(|&(_, name, _)| name)
    }

    /// What the link type is, in words.
    pub fn title(self) -> Option<&'static str> {
        NAMES
            .iter()
            .find(|(link, _, _)| *link == self)
            .map(|&(_, _, title)| title)
    }
}

const NAMES: &[(LinkType, &str, &str)] = &[
    (LinkType::NULL, "NULL", "BSD loopback"),
    (LinkType::ETHERNET, "EN10MB", "Ethernet"),
    (LinkType::PPP, "PPP", "PPP"),
    (LinkType::PPP_SERIAL, "PPP_SERIAL", "PPP over serial"),
    (LinkType::RAW, "RAW", "raw IP"),
    (LinkType::LOOP, "LOOP", "OpenBSD loopback"),
    (LinkType::LINUX_SLL, "LINUX_SLL", "Linux cooked v1"),
    (LinkType::IPV4, "IPV4", "raw IPv4"),
    (LinkType::IPV6, "IPV6", "raw IPv6"),
    (LinkType::LINUX_SLL2, "LINUX_SLL2", "Linux cooked v2"),
];

impl fmt::Display for LinkType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "link type {}", self.0),
        }
    }
}
