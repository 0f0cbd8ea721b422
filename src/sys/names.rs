//! The resolver's other direction: the name that belongs to an address.

use std::net::{IpAddr, SocketAddr};

use socket2::SockAddr;

use super::resolve;

/// The name of a host, by this machine's resolver (`/etc/hosts`, DNS); `None` where it has none. Can take seconds.
pub fn host(address: IpAddr) -> Option<String> {
    let socket = SockAddr::from(SocketAddr::new(address, 0));
    let (host, _) = resolve::names(&socket, libc::NI_NAMEREQD | libc::NI_NUMERICSERV).ok()?;
    Some(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hosts_file_is_read_backwards() {
        let hosts = std::fs::read_to_string("/etc/hosts").unwrap_or_default();
        if !hosts.lines().any(|line| line.starts_with("127.0.0.1")) {
            crate::testing::skipped("/etc/hosts does not name 127.0.0.1");
            return;
        }
        assert!(host(IpAddr::from([127, 0, 0, 1])).is_some());
    }
}
