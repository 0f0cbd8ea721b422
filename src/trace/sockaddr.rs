//! Bytes of a `struct sockaddr` of another process → the address that they are.

use std::{
    borrow::Cow,
    ffi::OsString,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6},
    os::unix::ffi::OsStringExt as _,
};

use super::names::{self, FAMILIES};
use crate::{call::Address, event::Arg};

/// Bytes of `struct sockaddr_storage`: no address is longer.
pub(super) const LONGEST: usize = size_of::<libc::sockaddr_storage>();

/// Bytes of the longest address of an IP socket, `struct sockaddr_in6`.
pub(super) const IP: usize = size_of::<libc::sockaddr_in6>();

/// An address that has a form of its own in a log, or one of another family in words.
pub(super) fn arg(bytes: &[u8]) -> Arg {
    address(bytes).map_or_else(
        || Arg::Word(words(bytes)),
        |found| Arg::Address(Some(found)),
    )
}

/// The address of an IP or Unix socket; an IPv4 address in IPv6 form as IPv4. `None` for other families, and for what is
/// too short to hold an address.
pub(super) fn address(bytes: &[u8]) -> Option<Address> {
    match i32::from(family(bytes)?) {
        libc::AF_INET => {
            let ip = Ipv4Addr::from(at::<4>(bytes, 4)?);
            Some(SocketAddr::from((ip, port(bytes)?)).into())
        }
        libc::AF_INET6 => {
            let ip = Ipv6Addr::from(at::<16>(bytes, 8)?);
            let port = port(bytes)?;
            if let Some(ip) = ip.to_ipv4_mapped() {
                return Some(SocketAddr::from((ip, port)).into());
            }
            let flow = u32::from_be_bytes(at(bytes, 4)?);
            // The first form of the structure ended before the scope (RFC 2133).
            let scope = at(bytes, 24).map_or(0, u32::from_ne_bytes);
            Some(SocketAddr::V6(SocketAddrV6::new(ip, port, flow, scope)).into())
        }
        libc::AF_UNIX => Some(match &bytes[2..] {
            [] => Address::Unnamed,
            [0, name @ ..] => Address::Abstract(name.to_vec()),
            path => {
                let end = path.iter().position(|&byte| byte == 0);
                let path = path[..end.unwrap_or(path.len())].to_vec();
                Address::Path(OsString::from_vec(path).into())
            }
        }),
        _ => None,
    }
}

/// `sa_family`; of fewer than two bytes none.
pub(super) fn family(bytes: &[u8]) -> Option<u16> {
    at(bytes, 0).map(u16::from_ne_bytes)
}

fn port(bytes: &[u8]) -> Option<u16> {
    at(bytes, 2).map(u16::from_be_bytes)
}

fn at<const N: usize>(bytes: &[u8], from: usize) -> Option<[u8; N]> {
    bytes.get(from..)?.first_chunk().copied()
}

/// `{AF_NETLINK, nl_pid=0, nl_groups=0x1}`: family and members, as far as the bytes go.
fn words(bytes: &[u8]) -> Cow<'static, str> {
    let Some(family) = family(bytes) else {
        return "{}".into();
    };
    let name = match names::constant(i64::from(family), FAMILIES) {
        Arg::Word(name) => name,
        _ => family.to_string().into(),
    };
    let members = members(i32::from(family), bytes);
    members.map_or_else(
        || format!("{{{name}}}").into(),
        |members| format!("{{{name}, {members}}}").into(),
    )
}

fn members(family: i32, bytes: &[u8]) -> Option<String> {
    let word = |from| at(bytes, from).map(u32::from_ne_bytes);
    match family {
        libc::AF_UNSPEC => None,
        libc::AF_NETLINK => {
            let (pid, groups) = (word(4)?, word(8)?);
            Some(format!("nl_pid={pid}, nl_groups={groups:#x}"))
        }
        libc::AF_PACKET => {
            let (protocol, index) = (port(bytes)?, word(4)?);
            let mut text = format!("sll_protocol={protocol:#06x}, sll_ifindex={index}");
            // A hardware address, as long as it says.
            let len = usize::from(*bytes.get(11)?);
            if let Some(address) = bytes.get(12..12 + len)
                && len > 0
            {
                let pairs: Vec<String> = address.iter().map(|b| format!("{b:02x}")).collect();
                text.push_str(", sll_addr=");
                text.push_str(&pairs.join(":"));
            }
            Some(text)
        }
        libc::AF_VSOCK => {
            let (port, cid) = (word(4)?, word(8)?);
            Some(format!("svm_cid={cid}, svm_port={port}"))
        }
        _ => Some(format!("{} bytes", bytes.len())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A family in the host's order, and bytes behind it.
    fn bytes(family: i32, rest: &[u8]) -> Vec<u8> {
        let mut bytes = (family as u16).to_ne_bytes().to_vec();
        bytes.extend_from_slice(rest);
        bytes
    }

    fn shown(family: i32, rest: &[u8]) -> String {
        match arg(&bytes(family, rest)) {
            Arg::Address(Some(address)) => address.to_string(),
            Arg::Word(word) => word.into_owned(),
            other => format!("{other:?}"),
        }
    }

    #[test]
    fn ip_addresses() {
        let v4 = [0x13, 0x88, 10, 0, 0, 1];
        assert_eq!(shown(libc::AF_INET, &v4), "10.0.0.1:5000");
        let mut v6 = vec![0x13, 0x88, 0, 0, 0, 0];
        v6.extend_from_slice(&Ipv6Addr::LOCALHOST.octets());
        assert_eq!(shown(libc::AF_INET6, &v6), "[::1]:5000");
        v6.extend_from_slice(&2u32.to_ne_bytes());
        assert_eq!(shown(libc::AF_INET6, &v6), "[::1%2]:5000");
        let mapped = Ipv4Addr::new(10, 0, 0, 1).to_ipv6_mapped().octets();
        v6[6..22].copy_from_slice(&mapped);
        assert_eq!(shown(libc::AF_INET6, &v6), "10.0.0.1:5000");
    }

    #[test]
    fn unix_addresses() {
        assert_eq!(shown(libc::AF_UNIX, b"/tmp/chat\0rubbish"), "/tmp/chat");
        assert_eq!(shown(libc::AF_UNIX, b"\0chat"), "@chat");
        assert_eq!(shown(libc::AF_UNIX, b""), "unnamed");
    }

    #[test]
    fn other_families_in_words() {
        let mut netlink = vec![0; 2];
        netlink.extend_from_slice(&7u32.to_ne_bytes());
        netlink.extend_from_slice(&1u32.to_ne_bytes());
        assert_eq!(
            shown(libc::AF_NETLINK, &netlink),
            "{AF_NETLINK, nl_pid=7, nl_groups=0x1}"
        );
        let mut packet = vec![8, 0];
        packet.extend_from_slice(&2u32.to_ne_bytes());
        packet.extend_from_slice(&[1, 0, 0, 6, 2, 0, 0, 0, 0, 1, 0, 0]);
        assert_eq!(
            shown(libc::AF_PACKET, &packet),
            "{AF_PACKET, sll_protocol=0x0800, sll_ifindex=2, sll_addr=02:00:00:00:00:01}"
        );
        let mut vsock = vec![0; 2];
        vsock.extend_from_slice(&1234u32.to_ne_bytes());
        vsock.extend_from_slice(&2u32.to_ne_bytes());
        assert_eq!(
            shown(libc::AF_VSOCK, &vsock),
            "{AF_VSOCK, svm_cid=2, svm_port=1234}"
        );
        assert_eq!(shown(libc::AF_UNSPEC, &[0; 14]), "{AF_UNSPEC}");
        assert_eq!(shown(4711, &[0; 2]), "{4711, 4 bytes}");
    }

    #[test]
    fn what_is_cut_names_its_family() {
        assert_eq!(shown(libc::AF_INET, &[0x13]), "{AF_INET, 3 bytes}");
        assert_eq!(shown(libc::AF_NETLINK, &[]), "{AF_NETLINK}");
        assert_eq!(arg(&[2]), Arg::Word("{}".into()));
    }
}
