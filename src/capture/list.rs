//! What interfaces there are: names, states and addresses, by way of `pnet`.

use std::net::IpAddr;

use pnet::datalink;

use super::{ANY, CaptureError, filter::On, tap::link_of};
use crate::{
    link::LinkType,
    sys::packet,
    text::{Safe, near},
};

/// One interface of this network namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Available {
    /// Its number; 0 for [`ANY`].
    pub index: u32,
    /// Its name.
    pub name: String,
    /// Set up by the administrator.
    pub up: bool,
    /// Has a carrier: it can move packets.
    pub running: bool,
    /// Frames sent come back to this host.
    pub loopback: bool,
    /// The longest packet that it carries, link header not counted, in bytes.
    pub mtu: Option<u32>,
    /// What its frames begin with, when captured on.
    pub link: Option<LinkType>,
    /// Its hardware address, where it has one.
    pub mac: Option<[u8; 6]>,
    /// Its addresses with the length of their network prefix.
    pub addresses: Vec<(IpAddr, u8)>,
}

/// Every interface, in the order of their numbers.
pub fn available() -> Vec<Available> {
    let mut all: Vec<Available> = datalink::interfaces()
        .into_iter()
        .map(|interface| Available {
            index: interface.index,
            up: interface.is_up(),
            running: interface.is_running(),
            loopback: interface.is_loopback(),
            mtu: packet::mtu(&interface.name).ok(),
            link: packet::hardware_type(&interface.name).ok().map(link_of),
            mac: interface.mac.map(|mac| mac.octets()),
            addresses: interface.ips.iter().map(|n| (n.ip(), n.prefix())).collect(),
            // The kernel allows names that are no UTF-8, and `pnet` does not look.
            name: String::from_utf8_lossy(interface.name.as_bytes()).into_owned(),
        })
        .collect();
    all.sort_by_key(|interface| interface.index);
    all
}

/// What a filter is made for that is attached to a packet socket on the interface called `name`, or on [`ANY`].
///
/// # Errors
/// When there is no such interface.
pub fn packet_socket(name: &str, snaplen: u32) -> Result<On, CaptureError> {
    let link = match name {
        ANY => None,
        _ => find(&[name.to_owned()])?
            .first()
            .and_then(|found| found.link),
    };
    let link = link.unwrap_or(LinkType::LINUX_SLL2);
    Ok(On {
        link,
        cooked: link == LinkType::LINUX_SLL2,
        netmask: netmask(name),
        snaplen,
    })
}

/// The mask of the interface's first IPv4 network, in host byte order.
pub(super) fn netmask(name: &str) -> Option<u32> {
    let interface = available().into_iter().find(|i| i.name == name)?;
    let v4 = |&(address, prefix): &(IpAddr, u8)| address.is_ipv4().then_some(prefix);
    let prefix = interface.addresses.iter().find_map(v4)?;
    Some(u32::MAX.checked_shl(32 - u32::from(prefix)).unwrap_or(0))
}

/// The interfaces called `names` (a name, or the number that the list shows); without repetition.
pub(super) fn find(names: &[String]) -> Result<Vec<Available>, CaptureError> {
    let all = available();
    let mut found: Vec<Available> = Vec::new();
    for name in names {
        let by_number = || {
            let index = name.parse::<u32>().ok()?;
            all.iter().find(|interface| interface.index == index)
        };
        let interface = all
            .iter()
            .find(|interface| interface.name == *name)
            .or_else(by_number)
            .ok_or_else(|| unknown(name, &all))?;
        if !found.contains(interface) {
            found.push(interface.clone());
        }
    }
    Ok(found)
}

/// Names of interfaces may hold control characters.
fn unknown(name: &str, all: &[Available]) -> CaptureError {
    let safe = |name: &str| Safe(name.as_bytes()).to_string();
    let known = || all.iter().map(|i| i.name.as_str()).chain([ANY]);
    CaptureError::NoSuchInterface {
        name: name.to_owned(),
        near: near(name, known()).map(safe),
        known: known().map(safe).collect::<Vec<_>>().join(", "),
    }
}
