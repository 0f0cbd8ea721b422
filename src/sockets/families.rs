//! Which sockets this kernel makes: each address family with each type, found by asking for one.

use std::io;

use nix::errno::Errno;
use socket2::{Domain, Protocol, Socket, Type};

/// An address family of `socket(2)`, and how to ask for its sockets.
#[derive(Clone, Copy, Debug)]
pub struct Family {
    /// As C spells it: `AF_INET`.
    pub name: &'static str,
    /// Its number.
    pub number: i32,
    /// Types of which it has none of protocol 0: then this protocol is asked for.
    pub protocols: &'static [(i32, i32)],
    /// What it is for.
    pub purpose: &'static str,
    /// The capability without which some of its types are refused.
    pub capability: &'static str,
}

/// A type of `socket(2)`.
#[derive(Clone, Copy, Debug)]
pub struct Kind {
    /// As C spells it: `SOCK_STREAM`.
    pub name: &'static str,
    /// Its number.
    pub number: i32,
}

/// All types that a family may have.
pub const KINDS: [Kind; 5] = [
    kind("SOCK_STREAM", libc::SOCK_STREAM),
    kind("SOCK_DGRAM", libc::SOCK_DGRAM),
    kind("SOCK_RAW", libc::SOCK_RAW),
    kind("SOCK_SEQPACKET", libc::SOCK_SEQPACKET),
    kind("SOCK_RDM", libc::SOCK_RDM),
];

const fn kind(name: &'static str, number: i32) -> Kind {
    Kind { name, number }
}

const fn family(name: &'static str, number: i32, purpose: &'static str) -> Family {
    Family {
        name,
        number,
        protocols: &[],
        purpose,
        capability: "CAP_NET_RAW",
    }
}

/// The families, those that one meets first in front. Purposes are at most 30 columns.
#[rustfmt::skip]
pub const FAMILIES: &[Family] = &[
    family("AF_UNIX", libc::AF_UNIX, "programs of one machine"),
    // IPPROTO_RAW: of protocol 0 there is no raw socket (raw(7)).
    Family { protocols: &[(libc::SOCK_RAW, libc::IPPROTO_RAW)],
        ..family("AF_INET", libc::AF_INET, "IPv4: TCP, UDP, raw IP, SCTP") },
    Family { protocols: &[(libc::SOCK_RAW, libc::IPPROTO_RAW)],
        ..family("AF_INET6", libc::AF_INET6, "IPv6: the same") },
    family("AF_PACKET", libc::AF_PACKET, "an interface's frames: capture"),
    family("AF_NETLINK", libc::AF_NETLINK, "talks with the kernel: ip, ss"),
    family("AF_VSOCK", libc::AF_VSOCK, "virtual machines, their host"),
    // BTPROTO_RFCOMM, BTPROTO_SCO, BTPROTO_HCI; SOCK_SEQPACKET has BTPROTO_L2CAP, which is 0.
    Family { protocols: &[(libc::SOCK_STREAM, 3), (libc::SOCK_RAW, 1)],
        ..family("AF_BLUETOOTH", libc::AF_BLUETOOTH, "Bluetooth: RFCOMM, L2CAP, HCI") },
    // CAN_RAW, CAN_BCM.
    Family { protocols: &[(libc::SOCK_RAW, 1), (libc::SOCK_DGRAM, 2)],
        ..family("AF_CAN", libc::AF_CAN, "the CAN bus of vehicles") },
    family("AF_ALG", libc::AF_ALG, "the kernel's cryptography"),
    // PF_KEY_V2 (RFC 2367).
    Family { protocols: &[(libc::SOCK_RAW, 2)], capability: "CAP_NET_ADMIN",
        ..family("AF_KEY", libc::AF_KEY, "keys for IPsec (RFC 2367)") },
    family("AF_XDP", libc::AF_XDP, "frames past the network stack"),
    family("AF_TIPC", libc::AF_TIPC, "messages inside a cluster"),
    family("AF_RDS", libc::AF_RDS, "reliable datagrams (clusters)"),
    family("AF_SMC", 43, "streams over shared memory"),
    // PF_INET, over which it is carried.
    Family { protocols: &[(libc::SOCK_DGRAM, libc::AF_INET)],
        ..family("AF_RXRPC", libc::AF_RXRPC, "remote calls of AFS") },
    family("AF_QIPCRTR", 42, "parts of a Qualcomm chip"),
    family("AF_PPPOX", 24, "PPP: PPPoE, PPTP, L2TP"),
    family("AF_LLC", libc::AF_LLC, "IEEE 802.2 link control"),
    family("AF_IEEE802154", libc::AF_IEEE802154, "low-power radio: Zigbee"),
    // NFC_SOCKPROTO_LLCP.
    Family { protocols: &[(libc::SOCK_STREAM, 1), (libc::SOCK_DGRAM, 1)],
        ..family("AF_NFC", 39, "near-field communication") },
    // PN_PROTO_PIPE.
    Family { protocols: &[(libc::SOCK_SEQPACKET, 2)],
        ..family("AF_PHONET", libc::AF_PHONET, "Nokia modems") },
    family("AF_MCTP", 45, "management of a server's parts"),
    family("AF_ATMPVC", libc::AF_ATMPVC, "ATM, permanent circuits"),
    family("AF_X25", libc::AF_X25, "X.25, packet switching of 1976"),
    family("AF_AX25", libc::AF_AX25, "amateur packet radio"),
    family("AF_NETROM", libc::AF_NETROM, "amateur radio, NET/ROM"),
    family("AF_ROSE", libc::AF_ROSE, "amateur radio, ROSE"),
    family("AF_APPLETALK", libc::AF_APPLETALK, "AppleTalk (DDP)"),
    family("AF_IPX", libc::AF_IPX, "Novell's IPX; Linux dropped it"),
    family("AF_DECnet", libc::AF_DECnet, "DECnet; Linux dropped it"),
];

/// What `socket(2)` said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tried {
    /// There is such a socket; it is closed again.
    Made,
    /// This kernel has no such family (`EAFNOSUPPORT`).
    NoFamily,
    /// The family has no such type (`ESOCKTNOSUPPORT`, `EPROTONOSUPPORT`, `EPROTOTYPE`).
    NoType(Errno),
    /// It takes a right that is missing (`EPERM`, `EACCES`).
    NotPermitted(Errno),
    /// Another error, such as `ENODEV`: the kernel knows it, and cannot have one now.
    Failed(Errno),
}

impl Family {
    /// The protocol with which a socket of `kind` is asked for.
    pub fn protocol(&self, kind: Kind) -> i32 {
        let known = self.protocols.iter().find(|(of, _)| *of == kind.number);
        known.map_or(0, |(_, protocol)| *protocol)
    }

    /// Asks for a socket, and closes it. For a family or type that it does not know, the kernel may load a module.
    pub fn ask(&self, kind: Kind) -> Tried {
        let protocol = Some(Protocol::from(self.protocol(kind)));
        let made = Socket::new_raw(Domain::from(self.number), Type::from(kind.number), protocol);
        made.map_or_else(|error| Tried::of(&error), |_| Tried::Made)
    }
}

impl Tried {
    fn of(error: &io::Error) -> Self {
        let errno = Errno::from_raw(error.raw_os_error().unwrap_or(libc::EIO));
        match errno {
            Errno::EAFNOSUPPORT => Self::NoFamily,
            Errno::ESOCKTNOSUPPORT | Errno::EPROTONOSUPPORT | Errno::EPROTOTYPE => {
                Self::NoType(errno)
            }
            Errno::EPERM | Errno::EACCES => Self::NotPermitted(errno),
            _ => Self::Failed(errno),
        }
    }

    /// The error number that came back.
    pub const fn errno(self) -> Option<Errno> {
        match self {
            Self::Made => None,
            Self::NoFamily => Some(Errno::EAFNOSUPPORT),
            Self::NoType(errno) | Self::NotPermitted(errno) | Self::Failed(errno) => Some(errno),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn each_family_stands_once_with_its_own_number() {
        for (at, one) in FAMILIES.iter().enumerate() {
            for other in &FAMILIES[..at] {
                assert!(
                    one.name != other.name && one.number != other.number,
                    "{one:?}"
                );
            }
            assert!(one.purpose.len() <= 30, "{}", one.purpose);
        }
    }

    #[test]
    fn what_every_kernel_has_is_made_and_what_none_has_is_not() {
        let find = |name| FAMILIES.iter().find(|family| family.name == name).unwrap();
        let [stream, datagram, raw, ..] = KINDS;
        assert_eq!(find("AF_UNIX").ask(stream), Tried::Made);
        assert_eq!(find("AF_INET").ask(datagram), Tried::Made);
        assert!(matches!(
            find("AF_PACKET").ask(stream),
            Tried::NoType(_) | Tried::NotPermitted(_)
        ));
        assert!(matches!(
            find("AF_INET").ask(raw),
            Tried::Made | Tried::NotPermitted(_)
        ));
        assert_eq!(family("AF_MAX", 255, "").ask(stream), Tried::NoFamily);
    }
}
