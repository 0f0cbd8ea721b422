//! What may be sent without being asked twice: how many packets, how fast, from and to which addresses. A judgement on
//! values only; the commands that send ask it before their first packet leaves.

use std::{fmt, net::IpAddr};

use crate::text::Mac;

/// Packets a second, unless asked.
pub const USUAL_RATE: f64 = 100.0;
/// Packets in all, unless asked.
pub const USUAL_PACKETS: u64 = 10_000;
/// Packets a second that are a flood, however they were asked for.
pub const FLOOD: f64 = 10_000.0;
/// The flag that lifts every refusal but that of [`USUAL_PACKETS`].
pub const REALLY: &str = "--yes-really";

/// Where a destination is, seen from this host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// It is on the loopback interface.
    Loopback,
    /// It is another address of this host: packets never leave it.
    Own,
    /// A host on a private network that this one is attached to, without a router between.
    Attached,
    /// A private address (RFC 1918, RFC 6598, RFC 4193) behind a router.
    Private,
    /// Anywhere else.
    Public,
    /// A host on a link that no router takes the packet from; `near` when that is loopback or an attached private network.
    Link {
        /// It is.
        near: bool,
    },
    /// A multicast group; `near` when its packets stay on this host or on an attached private network.
    Multicast {
        /// They stay.
        near: bool,
    },
    /// All hosts of a network; `near` when that is an attached private one.
    Broadcast {
        /// It is.
        near: bool,
    },
}

impl Scope {
    /// Packets stay on this host or on a private network that it is attached to.
    pub fn is_near(self) -> bool {
        match self {
            Self::Loopback | Self::Own | Self::Attached => true,
            Self::Private | Self::Public => false,
            Self::Link { near } | Self::Multicast { near } | Self::Broadcast { near } => near,
        }
    }

    /// Where `destination` is for others who pass a packet on, behind a tunnel or a stop of a source route. Private addresses
    /// are taken for those of the networks there.
    pub fn beyond(destination: IpAddr) -> Self {
        let near = stays_on_link(destination);
        match destination.is_multicast() {
            true => Self::Multicast { near },
            false if near || destination.is_loopback() || is_private(destination) => {
                Self::Link { near: true }
            }
            false => Self::Public,
        }
    }

    /// More than one host gets the packets.
    pub fn is_for_many(self) -> bool {
        matches!(self, Self::Multicast { .. } | Self::Broadcast { .. })
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Loopback => "loopback",
            Self::Own => "an address of this host",
            Self::Attached => "a host on an attached private network",
            Self::Private => "a private address behind a router",
            Self::Public => "a public address",
            Self::Link { .. } => "on a link that is no private network",
            Self::Multicast { .. } => "a multicast group",
            Self::Broadcast { .. } => "a broadcast address",
        })
    }
}

/// Whether an address is one of those that networks use as they like: RFC 1918, RFC 6598, RFC 3927, RFC 4193 and IPv6
/// link-local ones, and the networks for documentation and benchmarks, which nobody has (RFC 5737, RFC 3849, RFC 2544).
pub fn is_private(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => {
            let [a, b, ..] = v4.octets();
            let shared = a == 100 && b & 0xc0 == 64;
            let benchmark = a == 198 && b & 0xfe == 18;
            v4.is_private() || v4.is_link_local() || v4.is_documentation() || shared || benchmark
        }
        IpAddr::V6(v6) => {
            let documentation = v6.segments()[..2] == [0x2001, 0x0db8];
            v6.is_unique_local() || v6.is_unicast_link_local() || documentation
        }
    }
}

/// Whether no router passes packets to this multicast group or broadcast address on: 224.0.0.0/24 (RFC 5771),
/// 239.255.0.0/16 (RFC 2365), 255.255.255.255; interface- and link-local groups (RFC 4291 §2.7).
pub fn stays_on_link(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => {
            matches!(v4.octets(), [224, 0, 0, _] | [239, 255, ..]) || v4.is_broadcast()
        }
        IpAddr::V6(v6) => v6.is_multicast() && matches!(v6.octets()[1] & 0xf, 1 | 2),
    }
}

/// How fast.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Rate {
    /// Packets a second; above 0.
    PerSecond(f64),
    /// As fast as the kernel takes them.
    Max,
}

impl Rate {
    /// It is more than a network of others is sent unasked.
    fn is_flood(self) -> bool {
        match self {
            Self::PerSecond(rate) => rate > FLOOD,
            Self::Max => true,
        }
    }
}

/// Who gets a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whither {
    /// A host, or a group of them.
    Address(IpAddr),
    /// Whoever listens to this hardware address: what is sent is no IP.
    Mac(Mac),
}

impl fmt::Display for Whither {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => address.fmt(f),
            Self::Mac(mac) => mac.fmt(f),
        }
    }
}

/// What a command is about to do.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Plan {
    /// Packets in all; `u64::MAX` when there is no end.
    pub packets: u64,
    /// The user said how many (`-c`).
    pub counted: bool,
    /// How fast.
    pub rate: Rate,
    /// The user said [`REALLY`].
    pub really: bool,
}

/// From where to where one packet goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Aim {
    /// Its source, and that is no address of this host.
    pub spoofed: Option<IpAddr>,
    /// Its destination.
    pub destination: Whither,
    /// Where that is.
    pub scope: Scope,
}

/// Why packets are not sent, and which flag lifts it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// More packets than anybody asked for in so many words.
    #[error(
        "these are {0} packets, and {USUAL_PACKETS} is the most without being asked: -c 1 sends them all, once each"
    )]
    TooMany(u64),
    /// As fast as possible, out of reach.
    #[error(
        "{0} is {1}: as fast as possible, or faster than {FLOOD} packets a second, only loopback, labs and attached private networks are sent to without {REALLY}"
    )]
    Flood(Whither, Scope),
    /// A source that is somebody else's, out of reach.
    #[error(
        "{source_address} is no address of this host, and {destination} is {scope}: answers would go to a stranger; {REALLY} sends it"
    )]
    Spoofed {
        /// Whose address it may be.
        source_address: IpAddr,
        /// Where the packet would go.
        destination: Whither,
        /// Where that is.
        scope: Scope,
    },
    /// A packet to many hosts that leaves the attached private networks.
    #[error("{0} is {1} that reaches further than this host's private networks: {REALLY} sends it")]
    Everyone(Whither, Scope),
}

impl Plan {
    /// Judges the number of packets.
    ///
    /// # Errors
    /// [`Refusal::TooMany`].
    pub fn check(&self) -> Result<(), Refusal> {
        if self.packets > USUAL_PACKETS && !self.counted {
            return Err(Refusal::TooMany(self.packets));
        }
        Ok(())
    }

    /// Judges where a packet goes.
    ///
    /// # Errors
    /// Why it may not without [`REALLY`].
    pub fn check_aim(&self, aim: &Aim) -> Result<(), Refusal> {
        let &Aim {
            spoofed,
            destination,
            scope,
        } = aim;
        if self.really || scope.is_near() {
            return Ok(());
        }
        if let Some(source_address) = spoofed {
            return Err(Refusal::Spoofed {
                source_address,
                destination,
                scope,
            });
        }
        if scope.is_for_many() {
            return Err(Refusal::Everyone(destination, scope));
        }
        if self.rate.is_flood() {
            return Err(Refusal::Flood(destination, scope));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    const ONE: Plan = Plan {
        packets: 1,
        counted: false,
        rate: Rate::PerSecond(USUAL_RATE),
        really: false,
    };
    const FLOOD: Plan = Plan {
        rate: Rate::Max,
        ..ONE
    };

    fn aim(scope: Scope) -> Aim {
        Aim {
            spoofed: None,
            destination: Whither::Address([192, 0, 2, 9].into()),
            scope,
        }
    }

    fn spoofed(scope: Scope) -> Aim {
        Aim {
            spoofed: Some([198, 51, 100, 1].into()),
            ..aim(scope)
        }
    }

    #[test]
    fn more_packets_than_usual_want_a_count() {
        let many = Plan {
            packets: USUAL_PACKETS + 1,
            ..ONE
        };
        let refusal = many.check().unwrap_err();
        assert!(
            refusal.to_string().contains("10001 packets") && refusal.to_string().contains("-c 1")
        );
        let counted = Plan {
            counted: true,
            ..many
        };
        assert_eq!(counted.check(), Ok(()));
        let just = Plan {
            packets: USUAL_PACKETS,
            ..ONE
        };
        assert_eq!(just.check(), Ok(()));
    }

    #[test]
    fn near_addresses_take_everything() {
        let near = [
            Scope::Loopback,
            Scope::Own,
            Scope::Attached,
            Scope::Multicast { near: true },
            Scope::Broadcast { near: true },
        ];
        for scope in near {
            assert_eq!(ONE.check_aim(&spoofed(scope)), Ok(()), "{scope:?}");
            assert_eq!(FLOOD.check_aim(&spoofed(scope)), Ok(()), "{scope:?}");
        }
    }

    #[test]
    fn far_addresses_take_plain_packets_only_and_each_refusal_names_the_flag() {
        for scope in [Scope::Private, Scope::Public] {
            assert_eq!(ONE.check_aim(&aim(scope)), Ok(()));
            let flood = FLOOD.check_aim(&aim(scope)).unwrap_err();
            assert!(matches!(flood, Refusal::Flood(..)));
            let spoof = ONE.check_aim(&spoofed(scope)).unwrap_err();
            assert!(matches!(spoof, Refusal::Spoofed { .. }));
            for refusal in [flood, spoof] {
                assert!(refusal.to_string().contains(REALLY), "{refusal}");
                assert!(refusal.to_string().contains("192.0.2.9"), "{refusal}");
            }
        }
        for scope in [
            Scope::Multicast { near: false },
            Scope::Broadcast { near: false },
        ] {
            let refusal = ONE.check_aim(&aim(scope)).unwrap_err();
            assert!(
                matches!(refusal, Refusal::Everyone(..)) && refusal.to_string().contains(REALLY)
            );
        }
        let really = Plan {
            really: true,
            ..FLOOD
        };
        assert_eq!(really.check_aim(&spoofed(Scope::Public)), Ok(()));
    }

    #[test]
    fn a_number_can_be_a_flood_too() {
        let at = |rate| Plan {
            rate: Rate::PerSecond(rate),
            ..ONE
        };
        assert_eq!(at(super::FLOOD).check_aim(&aim(Scope::Public)), Ok(()));
        let refusal = at(super::FLOOD + 1.0)
            .check_aim(&aim(Scope::Public))
            .unwrap_err();
        assert!(matches!(refusal, Refusal::Flood(..)));
        assert!(refusal.to_string().contains("10000 packets"), "{refusal}");
        assert_eq!(
            at(super::FLOOD + 1.0).check_aim(&aim(Scope::Link { near: true })),
            Ok(())
        );
    }

    #[test]
    fn behind_a_tunnel_only_the_internet_is_far() {
        for (address, near) in [
            ("10.1.1.1", true),
            ("127.0.0.1", true),
            ("255.255.255.255", true),
            ("ff02::1", true),
            ("8.8.8.8", false),
            ("224.0.1.1", false),
            // 6to4, and an address of the other family written in IPv6.
            ("2002:808:808::1", false),
            ("::ffff:10.0.0.1", false),
        ] {
            let scope = Scope::beyond(address.parse().unwrap());
            assert_eq!(scope.is_near(), near, "{address}");
        }
    }

    #[test]
    fn private_networks_and_local_groups_are_known() {
        for near in [
            "10.1.2.3",
            "172.31.0.1",
            "192.168.0.1",
            "100.64.0.1",
            "169.254.1.1",
            "fd00::1",
            "fe80::1",
        ] {
            assert!(is_private(near.parse().unwrap()), "{near}");
        }
        for far in ["8.8.8.8", "172.32.0.1", "100.128.0.1", "2001:4860::1"] {
            assert!(!is_private(far.parse().unwrap()), "{far}");
        }
        for local in [
            "224.0.0.251",
            "239.255.255.250",
            "255.255.255.255",
            "ff02::1",
        ] {
            assert!(stays_on_link(local.parse().unwrap()), "{local}");
        }
        for far in ["224.0.1.1", "239.1.1.1", "ff05::2", "ff0e::1", "10.0.0.255"] {
            assert!(!stays_on_link(far.parse().unwrap()), "{far}");
        }
    }
}
