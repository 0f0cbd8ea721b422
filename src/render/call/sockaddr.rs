//! The bytes of `struct sockaddr` as Linux lays them out: the family in the host's order, port and address in the network's.

use std::{net::SocketAddr, os::unix::ffi::OsStrExt as _};

use super::c;
use crate::{
    call::{Address, Family},
    text::write_wrapped,
};

/// Columns that lines of bytes are set in.
const INDENT: usize = 4;

/// A member of the structure, and what it says.
type Member = (Vec<u8>, String);

/// The size that calls are given, in bytes.
pub(super) fn size(address: &Address) -> usize {
    members(address).iter().map(|(bytes, _)| bytes.len()).sum()
}

/// Appends the bytes, member by member, and below them the meaning of each.
pub(super) fn explain(address: &Address, out: &mut String) {
    let members = members(address);
    let digits = members.iter().map(|(bytes, _)| {
        let pairs: Vec<String> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        pairs.join(" ")
    });
    let digits = digits.collect::<Vec<_>>().join(" | ");
    let words: Vec<&str> = members.iter().map(|(_, words)| &**words).collect();
    write_wrapped(out, INDENT, 80, &digits);
    write_wrapped(out, INDENT, 80, &words.join(", "));
}

fn members(address: &Address) -> Vec<Member> {
    let name = c::family(address.family());
    let family = match address.family() {
        Family::Inet => libc::AF_INET,
        Family::Inet6 => libc::AF_INET6,
        Family::Unix => libc::AF_UNIX,
    };
    // sa_family_t has two bytes; the constants are small.
    let family = (family as libc::sa_family_t).to_ne_bytes().to_vec();
    let mut members = vec![(family, format!("family {name} (host order)"))];
    match address {
        Address::Ip(ip) => {
            members.push((
                ip.port().to_be_bytes().to_vec(),
                format!("port {}", ip.port()),
            ));
            match ip {
                SocketAddr::V4(v4) => {
                    members.push((v4.ip().octets().to_vec(), v4.ip().to_string()));
                    members.push((vec![0; 8], "padding".to_owned()));
                }
                SocketAddr::V6(v6) => {
                    let (flow, scope) = (v6.flowinfo(), v6.scope_id());
                    members.push((flow.to_ne_bytes().to_vec(), format!("flow {flow}")));
                    let mut words = v6.ip().to_string();
                    if v6.ip().to_ipv4_mapped().is_some() {
                        words.push_str(" (IPv4 as an IPv6 socket sees it)");
                    }
                    members.push((v6.ip().octets().to_vec(), words));
                    let words = format!("scope {scope} (host order)");
                    members.push((scope.to_ne_bytes().to_vec(), words));
                }
            }
        }
        Address::Path(path) => {
            let path = path.as_os_str().as_bytes();
            members.push((path.to_vec(), "the path".to_owned()));
            members.push((vec![0], "its end".to_owned()));
        }
        Address::Abstract(name) => {
            members.push((vec![0], "abstract".to_owned()));
            members.push((
                name.clone(),
                "the name, which ends with the size".to_owned(),
            ));
        }
        Address::Unnamed => members[0].1.push_str(", and no name"),
    }
    members
}
