//! The lab: two hosts of its own and the wire between them, on which scenarios are played.
//!
//! A [`Scenario`] is data. Three grounds play it: Linux's own TCP in [`namespaces`], a simulation of two hosts with a
//! made-up clock ([`smoltcp`]), and this machine's own [`loopback`] interface. What happens comes out as [`Event`]s.

pub mod channel;
pub mod hosts;
mod kernel;
pub mod loopback;
pub mod mistake;
pub mod namespaces;
pub mod program;
pub mod refusal;
pub mod scenario;
pub mod smoltcp;
mod threads;
pub mod wire;

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    ops::ControlFlow,
};

pub use scenario::{Call, Host, Scenario};
pub use wire::{Drop, Link, Transit, Wire};

use crate::time::Time;

/// A scenario and the wire on which it is played.
#[derive(Clone, Debug)]
pub struct Plan {
    /// What the hosts do.
    pub scenario: &'static Scenario,
    /// What the wire does.
    pub link: Link,
    /// Addresses of the hosts, in the order of [`Host::BOTH`], of one version of IP.
    pub addresses: [IpAddr; 2],
}

/// Two hosts on a network of their own.
pub const PRIVATE_IPV4: [IpAddr; 2] = [
    IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1)),
    IpAddr::V4(Ipv4Addr::new(10, 0, 0, 2)),
];

/// Two hosts on a network of their own, of the documentation prefix (RFC 3849).
pub const PRIVATE_IPV6: [IpAddr; 2] = [
    IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1)),
    IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 2)),
];

impl Plan {
    /// The address of `host`.
    pub const fn address(&self, host: Host) -> IpAddr {
        match host {
            Host::Client => self.addresses[0],
            Host::Server => self.addresses[1],
        }
    }

    /// Nanoseconds that a host waits for a datagram: time enough for there and back, and a second more.
    const fn patience(&self) -> i64 {
        crate::time::SECOND.saturating_add(self.link.delay.saturating_mul(4))
    }
}

/// Bits of the network that hosts with such addresses are on.
const fn prefix(address: IpAddr) -> u8 {
    match address {
        IpAddr::V4(_) => 24,
        IpAddr::V6(_) => 64,
    }
}

/// An address on the network of `address` that no host has.
const fn nobody(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(address) => {
            let [a, b, c, _] = address.octets();
            IpAddr::V4(Ipv4Addr::new(a, b, c, 99))
        }
        IpAddr::V6(address) => {
            let [a, b, c, d, e, f, g, _] = address.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, e, f, g, 0x99))
        }
    }
}

/// The hardware address of `host`.
const fn mac(host: Host) -> [u8; 6] {
    match host {
        Host::Client => [2, 0, 0, 0, 0, 1],
        Host::Server => [2, 0, 0, 0, 0, 2],
    }
}

/// Something that happened in a lab. Frames come in order of time.
#[derive(Clone, Debug)]
pub enum Event {
    /// The hosts are up; it took so many nanoseconds.
    Up(i64),
    /// A frame was sent; its fate is known already.
    Sent(Transit),
    /// A frame reached its receiver.
    Delivered {
        /// [`Transit::number`].
        number: u64,
        /// When.
        time: Time,
        /// Its receiver.
        to: Host,
        /// It is the second copy that the wire made.
        again: bool,
    },
    /// A socket call returned.
    Called {
        /// When it returned.
        time: Time,
        /// Who made it.
        host: Host,
        /// Which one.
        call: Call,
        /// The error that it returned, in words.
        error: Option<String>,
    },
    /// Nothing happened up to this time.
    Quiet(Time),
}

/// Takes events as they happen; `Break` ends the lab.
pub type Listener<'a> = &'a mut dyn FnMut(Event) -> ControlFlow<()>;

/// Why a lab could not be played.
#[derive(Debug, thiserror::Error)]
pub enum LabError {
    /// The system does not allow it.
    #[error(transparent)]
    Refused(#[from] crate::sys::netns::Refused),
    /// Something else failed.
    #[error("cannot {what}: {error}")]
    Failed {
        /// The operation and its object.
        what: &'static str,
        /// The cause.
        error: io::Error,
    },
    /// The loopback interface cannot be watched.
    #[error(transparent)]
    Capture(#[from] crate::capture::CaptureError),
    /// The ground cannot play this scenario.
    #[error("{0}")]
    Unsuited(String),
}

/// Names the operation in an error.
trait Trying<T> {
    fn trying(self, what: &'static str) -> Result<T, LabError>;
}

impl<T> Trying<T> for io::Result<T> {
    fn trying(self, what: &'static str) -> Result<T, LabError> {
        self.map_err(|error| LabError::Failed { what, error })
    }
}
