//! The kernel's word on the way to a destination: source address, interface, next hop, hardware addresses.

use std::{
    collections::{HashMap, hash_map::RandomState},
    hash::BuildHasher,
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use socket2::{Domain, Socket, Type};

use super::{
    ProbeError,
    limits::{self, Scope},
    neighbour,
};
use crate::{
    craft::Route,
    protocol::Ask,
    sys::{
        netlink::Netlink,
        route::{Delivery, Device, Path},
    },
};

/// Answers that are remembered; then all are forgotten, and asked again.
const REMEMBERED: usize = 65_536;
/// How often a port is drawn that both TCP and UDP have free.
const DRAWS: usize = 16;

/// Asks the kernel of this network namespace, and remembers the answers: asking again costs nothing. A clone shares them.
#[derive(Clone, Debug)]
pub struct KernelRoute(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    kernel: Netlink,
    /// The interface that everything shall leave by.
    through: Option<Arc<Device>>,
    known: Mutex<Known>,
    random: RandomState,
}

#[derive(Debug, Default)]
struct Known {
    ways: HashMap<IpAddr, Option<Arc<Way>>>,
    macs: HashMap<IpAddr, Option<Macs>>,
    port: Option<u64>,
}

/// Hardware addresses: of the interface, of the next hop.
type Macs = ([u8; 6], [u8; 6]);

/// The way to one destination.
#[derive(Clone, Debug)]
pub struct Way {
    /// The interface by which packets leave.
    pub device: Arc<Device>,
    /// What becomes of them.
    pub delivery: Delivery,
    /// The address from which the kernel would send.
    pub source: Option<IpAddr>,
    /// The router that they are handed to; none on a network that is directly attached.
    pub gateway: Option<IpAddr>,
    /// The longest packet that leaves whole, in bytes from the IP header on.
    pub mtu: u32,
    /// Where the destination is.
    pub scope: Scope,
}

impl KernelRoute {
    /// Ready to ask.
    ///
    /// # Errors
    /// When the kernel gives no netlink socket.
    pub fn open() -> Result<Self, ProbeError> {
        Self::new(None)
    }

    /// Ready to ask for ways by the interface of this name only, whatever the routes prefer.
    ///
    /// # Errors
    /// When the kernel gives no netlink socket; [`ProbeError::Io`] with `ENODEV` when there is no such interface.
    pub fn through(interface: &str) -> Result<Self, ProbeError> {
        Self::new(Some(interface))
    }

    fn new(interface: Option<&str>) -> Result<Self, ProbeError> {
        let kernel = Netlink::open()
            .map_err(|error| ProbeError::io("open a netlink socket for routes", error))?;
        let through = interface
            .map(|name| device_named(&kernel, name))
            .transpose()?;
        Ok(Self(Arc::new(Inner {
            kernel,
            through: through.map(Arc::new),
            known: Mutex::default(),
            random: RandomState::new(),
        })))
    }

    /// The interface that everything shall leave by, if one was named.
    pub fn interface(&self) -> Option<&Arc<Device>> {
        self.0.through.as_ref()
    }

    /// The interface of this name.
    ///
    /// # Errors
    /// [`ProbeError::Io`] with `ENODEV` when there is none.
    pub fn device(&self, name: &str) -> Result<Arc<Device>, ProbeError> {
        device_named(&self.0.kernel, name).map(Arc::new)
    }

    /// The way to `destination`.
    ///
    /// # Errors
    /// [`ProbeError::NoRoute`] when the kernel has none.
    pub fn way(&self, destination: IpAddr) -> Result<Arc<Way>, ProbeError> {
        if let Some(known) = self.known().ways.get(&destination) {
            return known.clone().ok_or(ProbeError::NoRoute(destination));
        }
        let through = self.0.through.as_ref().map(|device| device.index);
        let failed = |error| {
            ProbeError::io(
                format!("ask the kernel for the route to {destination}"),
                error,
            )
        };
        let path = self.0.kernel.path(destination, through).map_err(failed)?;
        let way = match path {
            Some(path) => Some(Arc::new(self.judged(destination, &path).map_err(failed)?)),
            None => None,
        };
        remember(&mut self.known().ways, destination, way.clone());
        way.ok_or(ProbeError::NoRoute(destination))
    }

    fn judged(&self, destination: IpAddr, path: &Path) -> io::Result<Way> {
        let device = match &self.0.through {
            Some(device) if device.index == path.interface => Arc::clone(device),
            _ => Arc::new(self.0.kernel.device(path.interface)?),
        };
        Ok(Way {
            delivery: path.delivery,
            source: path.source,
            gateway: path.gateway,
            mtu: path.mtu.map_or(device.mtu, |mtu| mtu.min(device.mtu)),
            scope: scope(destination, path, &device),
            device,
        })
    }

    /// Whether `address` is one of this host's.
    pub fn is_own(&self, address: IpAddr) -> bool {
        match &self.0.through {
            // By the named interface, every address is somewhere else.
            Some(_) => {
                let path = self.0.kernel.path(address, None);
                matches!(
                    path,
                    Ok(Some(Path {
                        delivery: Delivery::Local,
                        ..
                    }))
                )
            }
            None => self
                .way(address)
                .is_ok_and(|way| way.delivery == Delivery::Local),
        }
    }

    /// Whether `source` is an address of this host, or the one from which it would send to `destination`.
    pub(super) fn sends_as(&self, source: IpAddr, destination: IpAddr) -> bool {
        let way = self.way(destination);
        way.is_ok_and(|way| way.source == Some(source)) || self.is_own(source)
    }

    /// Whether the link of `device` stays within this host or a private network: so says the address from which the kernel
    /// would speak to all on it.
    pub(super) fn link_is_near(&self, device: &Device) -> bool {
        const ALL_HOSTS: [IpAddr; 2] = [
            IpAddr::V4(Ipv4Addr::new(224, 0, 0, 1)),
            IpAddr::V6(Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1)),
        ];
        let source = |all| self.0.kernel.path(all, Some(device.index)).ok()??.source;
        device.is_loopback()
            || ALL_HOSTS
                .into_iter()
                .find_map(source)
                .is_none_or(limits::is_private)
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn find_macs(&self, destination: IpAddr) -> Option<Macs> {
        let way = self.way(destination).ok()?;
        let own = way.device.mac?;
        if way.device.is_loopback() {
            return Some((own, own));
        }
        let hop = way.gateway.unwrap_or(destination);
        let group = match (way.delivery, destination) {
            (Delivery::Broadcast, _) => Some([0xff; 6]),
            (Delivery::Multicast, IpAddr::V4(group)) => {
                // The low 23 bits of the group (RFC 1112 §6.4).
                let [_, b, c, d] = group.octets();
                Some([1, 0, 0x5e, b & 0x7f, c, d])
            }
            (Delivery::Multicast, IpAddr::V6(group)) => {
                // The low 32 bits of the group (RFC 2464 §7).
                let [.., a, b, c, d] = group.octets();
                Some([0x33, 0x33, a, b, c, d])
            }
            _ => None,
        };
        let known = || self.0.kernel.mac_of(way.device.index, hop).ok().flatten();
        let asked = || neighbour::ask(&way.device, way.source?, hop).ok().flatten();
        Some((own, group.or_else(known).or_else(asked)?))
    }

    fn free_port(&self) -> Option<u64> {
        let mut known = self.known();
        known.port = known
            .port
            .or_else(|| (0..DRAWS).find_map(|_| free_port().ok()));
        known.port
    }
}

impl Route for KernelRoute {
    fn source(&self, destination: IpAddr) -> Option<IpAddr> {
        self.way(destination).ok()?.source
    }

    fn macs(&self, destination: IpAddr) -> Option<([u8; 6], [u8; 6])> {
        if let Some(known) = self.known().macs.get(&destination) {
            return *known;
        }
        let macs = self.find_macs(destination);
        remember(&mut self.known().macs, destination, macs);
        macs
    }

    fn source_mac(&self, destination: Option<IpAddr>) -> Option<[u8; 6]> {
        match (&self.0.through, destination) {
            (Some(device), _) => device.mac,
            (None, destination) => self.way(destination?).ok()?.device.mac,
        }
    }

    /// A port that was free for TCP and UDP when it was first asked for; random numbers that stay the same for this run.
    fn number(&self, ask: Ask) -> Option<u64> {
        match ask {
            Ask::Port => self.free_port(),
            Ask::Isn => Some(self.0.random.hash_one("isn") & 0xffff_ffff),
            Ask::Ident => Some((self.0.random.hash_one("ident") & 0xffff).max(1)),
            Ask::Source | Ask::SourceMac | Ask::NextHopMac => None,
        }
    }
}

fn remember<T>(known: &mut HashMap<IpAddr, T>, destination: IpAddr, answer: T) {
    if known.len() >= REMEMBERED {
        known.clear();
    }
    known.insert(destination, answer);
}

fn device_named(kernel: &Netlink, name: &str) -> Result<Device, ProbeError> {
    let failed = |error| ProbeError::io(format!("find the interface {name:?}"), error);
    kernel.device_named(name).map_err(failed)
}

/// A port that no socket has for TCP or UDP, IPv4 or IPv6, at this moment; it is given back at once.
fn free_port() -> io::Result<u64> {
    let unspecified = |port| SocketAddr::from((Ipv6Addr::UNSPECIFIED, port));
    let bound = |kind, port| {
        let both = Socket::new(Domain::IPV6, kind, None);
        if let Ok(socket) = both {
            socket.set_only_v6(false)?;
            socket.bind(&unspecified(port).into())?;
            return Ok::<_, io::Error>(socket);
        }
        let socket = Socket::new(Domain::IPV4, kind, None)?;
        socket.bind(&SocketAddr::from(([0, 0, 0, 0], port)).into())?;
        Ok(socket)
    };
    let tcp = bound(Type::STREAM, 0)?;
    let port = tcp
        .local_addr()?
        .as_socket()
        .map_or(0, |address| address.port());
    bound(Type::DGRAM, port)?;
    Ok(port.into())
}

/// Where `destination` is, by the kernel's choice of a path.
fn scope(destination: IpAddr, path: &Path, device: &Device) -> Scope {
    let private = limits::is_private(destination);
    let from_private = path.source.is_some_and(limits::is_private);
    let from_public = path.source.is_some() && !from_private;
    let stays = limits::stays_on_link(destination) && from_private;
    match path.delivery {
        Delivery::Local if destination.is_loopback() => Scope::Loopback,
        Delivery::Local => Scope::Own,
        Delivery::Broadcast => Scope::Broadcast {
            near: device.is_loopback() || stays || private,
        },
        Delivery::Multicast => Scope::Multicast {
            near: device.is_loopback() || stays,
        },
        Delivery::Unicast if device.is_loopback() => Scope::Loopback,
        Delivery::Unicast if private && path.gateway.is_none() && !from_public => Scope::Attached,
        Delivery::Unicast if private => Scope::Private,
        Delivery::Unicast => Scope::Public,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn loopback_needs_no_neighbour_and_is_its_own_source() {
        let route = KernelRoute::open().unwrap();
        let here: IpAddr = [127, 0, 0, 1].into();
        assert_eq!(route.source(here), Some(here));
        assert_eq!(route.macs(here), Some(([0; 6], [0; 6])));
        let way = route.way(here).unwrap();
        assert_eq!((way.scope, way.gateway), (Scope::Loopback, None));
        assert!(way.mtu >= 65_535 && way.device.is_loopback());
        assert!(route.is_own(here) && !route.is_own([192, 0, 2, 77].into()));
    }

    #[test]
    fn numbers_stay_the_same_for_one_run_and_differ_between_runs() {
        let route = KernelRoute::open().unwrap();
        for ask in [Ask::Port, Ask::Isn, Ask::Ident] {
            assert_eq!(route.number(ask), route.number(ask));
        }
        let port = u16::try_from(route.number(Ask::Port).unwrap()).unwrap();
        assert!(std::net::TcpListener::bind(("127.0.0.1", port)).is_ok());
        let other = KernelRoute::open().unwrap();
        assert_ne!(route.number(Ask::Isn), other.number(Ask::Isn));
        assert!(route.number(Ask::Isn).unwrap() <= u64::from(u32::MAX));
    }

    #[test]
    fn an_interface_that_is_not_there_is_named() {
        let error = KernelRoute::through("nosuch0").unwrap_err();
        assert!(error.to_string().contains("\"nosuch0\""), "{error}");
    }

    #[test]
    fn a_destination_is_judged_by_the_path_to_it() {
        let device = |flags| Device {
            index: 2,
            name: "eth0".to_owned(),
            hardware: 1,
            mac: None,
            mtu: 1500,
            flags,
        };
        let (lo, eth) = (device(libc::IFF_LOOPBACK as u32), device(0));
        let path = |delivery, source: &str, gateway: Option<&str>| Path {
            delivery,
            interface: 2,
            source: source.parse().ok(),
            gateway: gateway.map(|gateway| gateway.parse().unwrap()),
            mtu: None,
        };
        let to = |destination: &str, path: Path, device| {
            scope(destination.parse().unwrap(), &path, device)
        };
        let unicast = |gateway| path(Delivery::Unicast, "192.168.1.7", gateway);
        assert_eq!(to("192.168.1.9", unicast(None), &eth), Scope::Attached);
        assert_eq!(
            to("10.9.9.9", unicast(Some("192.168.1.1")), &eth),
            Scope::Private
        );
        assert_eq!(to("8.8.8.8", unicast(None), &eth), Scope::Public);
        assert_eq!(
            to("127.0.0.1", path(Delivery::Local, "127.0.0.1", None), &lo),
            Scope::Loopback
        );
        assert_eq!(
            to(
                "192.168.1.7",
                path(Delivery::Local, "192.168.1.7", None),
                &lo
            ),
            Scope::Own
        );
        let all = |source| path(Delivery::Broadcast, source, None);
        assert_eq!(
            to("255.255.255.255", all("192.168.1.7"), &eth),
            Scope::Broadcast { near: true }
        );
        assert_eq!(
            to("255.255.255.255", all("8.8.4.4"), &eth),
            Scope::Broadcast { near: false }
        );
        assert_eq!(
            to("192.168.1.255", all("192.168.1.7"), &eth),
            Scope::Broadcast { near: true }
        );
        let group = path(Delivery::Multicast, "192.168.1.7", None);
        assert_eq!(
            to("224.0.0.251", group, &eth),
            Scope::Multicast { near: true }
        );
        assert_eq!(
            to("224.0.1.1", group, &eth),
            Scope::Multicast { near: false }
        );
        assert_eq!(to("224.0.1.1", group, &lo), Scope::Multicast { near: true });
    }
}
