//! What interfaces there are: names, states and addresses, by way of `pnet`.

use std::net::IpAddr;

use pnet::datalink;

use super::{ANY, CaptureError, tap::link_of};
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
