//! What the kernel knows of the way to an address: route, interface, neighbour (rtnetlink(7)). Asking needs no right.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    os::fd::AsRawFd,
};

use nix::sys::socket::{MsgFlags, recv, send};

use super::netlink::{
    Message, NDA_DST, NDA_LLADDR, Netlink, attribute, family, octets, u16_at, u32_at,
};

// linux/rtnetlink.h, linux/neighbour.h, linux/if_link.h: values that `libc` does not carry.
const RTA_VIA: u16 = 18;
const RTAX_MTU: u16 = 2;
const RTEXT_FILTER_SKIP_STATS: u32 = 8;
/// States in which a neighbour's address can be used: permanent, no ARP, reachable, stale, delay, probe.
const NUD_VALID: u16 = 0x80 | 0x40 | 0x02 | 0x04 | 0x08 | 0x10;

/// What becomes of packets to a destination (`RTN_…`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// They go to one host.
    Unicast,
    /// They come back to this host.
    Local,
    /// All hosts of a network get them.
    Broadcast,
    /// All hosts that asked for them get them.
    Multicast,
}

/// The kernel's choice for one destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Path {
    /// What becomes of the packets.
    pub delivery: Delivery,
    /// Index of the interface by which they leave.
    pub interface: u32,
    /// The address from which the kernel would send.
    pub source: Option<IpAddr>,
    /// The router that they are handed to; none on a network that is directly attached.
    pub gateway: Option<IpAddr>,
    /// The route's own limit to the length of a packet, in bytes.
    pub mtu: Option<u32>,
}

/// An interface of this network namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Device {
    /// Its number.
    pub index: u32,
    /// Its name, with marks for what is no UTF-8 in it.
    pub name: String,
    /// The kind of link (`ARPHRD_…`).
    pub hardware: u16,
    /// Its hardware address; `None` where it has none of six bytes.
    pub mac: Option<[u8; 6]>,
    /// The longest packet that it carries, in bytes, without the link header.
    pub mtu: u32,
    /// `IFF_…`.
    pub flags: u32,
}

impl Device {
    /// It is a loopback interface.
    pub fn is_loopback(&self) -> bool {
        self.flags & libc::IFF_LOOPBACK as u32 != 0
    }

    /// It is set up.
    pub fn is_up(&self) -> bool {
        self.flags & libc::IFF_UP as u32 != 0
    }
}

impl Netlink {
    /// The way to `destination`, by interface `through` if that is given; `None` when there is none.
    ///
    /// # Errors
    /// When the kernel cannot tell.
    pub fn path(&self, destination: IpAddr, through: Option<u32>) -> io::Result<Option<Path>> {
        let address = octets(destination);
        // struct rtmsg: family, prefix length, then 10 bytes that a question leaves at zero.
        let mut fixed = [0; 12];
        fixed[0] = family(destination);
        fixed[1] = address.len() as u8 * 8;
        let mut message =
            Message::question(libc::RTM_GETROUTE, &fixed).put(libc::RTA_DST, &address);
        if let Some(index) = through {
            message = message.put(libc::RTA_OIF, &index.to_ne_bytes());
        }
        match self.question(message, libc::RTM_NEWROUTE) {
            Ok(answer) => Ok(path(&answer)),
            Err(error) => match error.raw_os_error() {
                Some(
                    libc::ENETUNREACH
                    | libc::EHOSTUNREACH
                    | libc::EACCES
                    | libc::EINVAL
                    | libc::ENETDOWN,
                ) => Ok(None),
                _ => Err(error),
            },
        }
    }

    /// The hardware address of a neighbour on interface `index`; `None` when the kernel does not know it (yet).
    ///
    /// # Errors
    /// When the kernel cannot tell.
    pub fn mac_of(&self, index: u32, address: IpAddr) -> io::Result<Option<[u8; 6]>> {
        // struct ndmsg: family, padding, index, state, flags, type.
        let mut fixed = [0; 12];
        fixed[0] = family(address);
        fixed[4..8].copy_from_slice(&index.to_ne_bytes());
        let message = Message::question(libc::RTM_GETNEIGH, &fixed).put(NDA_DST, &octets(address));
        match self.question(message, libc::RTM_NEWNEIGH) {
            Ok(answer) => Ok(mac(&answer)),
            Err(error) if error.raw_os_error() == Some(libc::ENOENT) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The interface with this number.
    ///
    /// # Errors
    /// `ENODEV` when there is none.
    pub fn device(&self, index: u32) -> io::Result<Device> {
        self.described(index, None)
    }

    /// The interface with this name.
    ///
    /// # Errors
    /// `ENODEV` when there is none.
    pub fn device_named(&self, name: &str) -> io::Result<Device> {
        if name.is_empty() || name.len() >= libc::IFNAMSIZ {
            return Err(io::Error::from_raw_os_error(libc::ENODEV));
        }
        self.described(0, Some(name))
    }

    fn described(&self, index: u32, name: Option<&str>) -> io::Result<Device> {
        // struct ifinfomsg: family, type, index, flags, change.
        let mut fixed = [0; 16];
        fixed[4..8].copy_from_slice(&index.to_ne_bytes());
        let mut message = Message::question(libc::RTM_GETLINK, &fixed)
            .put(libc::IFLA_EXT_MASK, &RTEXT_FILTER_SKIP_STATS.to_ne_bytes());
        if let Some(name) = name {
            message = message.put(libc::IFLA_IFNAME, &[name.as_bytes(), &[0]].concat());
        }
        let answer = self.question(message, libc::RTM_NEWLINK)?;
        device(&answer).ok_or_else(|| io::Error::from_raw_os_error(libc::EPROTO))
    }

    /// Sends a question, and returns the answer's fixed part and attributes.
    fn question(&self, message: Message, wanted: u16) -> io::Result<Vec<u8>> {
        send(self.0.as_raw_fd(), &message.finish(), MsgFlags::empty())?;
        let mut answer = vec![0; 32 << 10];
        let len = recv(self.0.as_raw_fd(), &mut answer, MsgFlags::empty())?;
        answer.truncate(len);
        let kind = u16_at(&answer, 4).unwrap_or_default();
        let body = answer.split_off(answer.len().min(16));
        if kind == wanted {
            return Ok(body);
        }
        let error = u32_at(&body, 0).map_or(libc::EPROTO, |n| (n as i32).saturating_neg());
        Err(io::Error::from_raw_os_error(error))
    }
}

fn ip(bytes: &[u8]) -> Option<IpAddr> {
    match bytes.len() {
        4 => <[u8; 4]>::try_from(bytes)
            .ok()
            .map(|b| Ipv4Addr::from(b).into()),
        16 => <[u8; 16]>::try_from(bytes)
            .ok()
            .map(|b| Ipv6Addr::from(b).into()),
        _ => None,
    }
}

/// Reads `struct rtmsg` and its attributes; `None` for a route that refuses.
fn path(body: &[u8]) -> Option<Path> {
    const FIXED: usize = 12;
    let delivery = match *body.get(7)? {
        libc::RTN_UNICAST => Delivery::Unicast,
        libc::RTN_LOCAL => Delivery::Local,
        libc::RTN_BROADCAST => Delivery::Broadcast,
        libc::RTN_MULTICAST | libc::RTN_ANYCAST => Delivery::Multicast,
        _ => return None,
    };
    // A router of the other family stands in RTA_VIA, behind two bytes of family (RFC 5549 routes).
    let via = attribute(body, FIXED, RTA_VIA).and_then(|via| via.get(2..));
    let gateway = attribute(body, FIXED, libc::RTA_GATEWAY).or(via);
    let metrics = attribute(body, FIXED, libc::RTA_METRICS).unwrap_or_default();
    Some(Path {
        delivery,
        interface: u32_at(attribute(body, FIXED, libc::RTA_OIF)?, 0)?,
        source: attribute(body, FIXED, libc::RTA_PREFSRC).and_then(ip),
        gateway: gateway.and_then(ip),
        mtu: attribute(metrics, 0, RTAX_MTU).and_then(|mtu| u32_at(mtu, 0)),
    })
}

/// Reads `struct ndmsg` and its attributes.
fn mac(body: &[u8]) -> Option<[u8; 6]> {
    const FIXED: usize = 12;
    let state = u16_at(body, 8)?;
    let address = attribute(body, FIXED, NDA_LLADDR)?;
    (state & NUD_VALID != 0).then_some(())?;
    address.try_into().ok()
}

/// Reads `struct ifinfomsg` and its attributes.
fn device(body: &[u8]) -> Option<Device> {
    const FIXED: usize = 16;
    let name = attribute(body, FIXED, libc::IFLA_IFNAME)?;
    let name = name.split(|b| *b == 0).next().unwrap_or_default();
    let mac = attribute(body, FIXED, libc::IFLA_ADDRESS);
    Some(Device {
        index: u32_at(body, 4)?,
        name: String::from_utf8_lossy(name).into_owned(),
        hardware: u16_at(body, 2)?,
        mac: mac.and_then(|mac| mac.try_into().ok()),
        mtu: attribute(body, FIXED, libc::IFLA_MTU).and_then(|mtu| u32_at(mtu, 0))?,
        flags: u32_at(body, 8)?,
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn loopback_is_found_with_everything_about_it() {
        let kernel = Netlink::open().unwrap();
        let lo = kernel.device(super::super::netlink::LOOPBACK).unwrap();
        assert_eq!(kernel.device_named(&lo.name).unwrap().index, lo.index);
        assert!(lo.is_loopback());
        assert_eq!(lo.mac, Some([0; 6]));
        let path = kernel.path([127, 0, 0, 1].into(), None).unwrap().unwrap();
        assert_eq!(
            (path.delivery, path.interface, path.gateway),
            (Delivery::Local, lo.index, None)
        );
        assert_eq!(path.source, Some([127, 0, 0, 1].into()));
        let missing = kernel.device_named("nosuch0").unwrap_err();
        assert_eq!(missing.raw_os_error(), Some(libc::ENODEV));
        assert_eq!(
            kernel.mac_of(lo.index, [127, 9, 9, 9].into()).unwrap(),
            None
        );
    }

    #[test]
    fn damaged_answers_are_no_answers() {
        assert_eq!(path(&[0; 11]), None);
        assert_eq!(mac(&[0; 12]), None);
        assert_eq!(device(&[0; 16]), None);
    }
}
