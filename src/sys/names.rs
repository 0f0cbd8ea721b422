//! The resolver's other direction: the name that belongs to an address.

use std::{
    ffi::{CStr, c_char},
    net::{IpAddr, SocketAddr},
};

use socket2::SockAddr;

/// The name of a host, by this machine's resolver (`/etc/hosts`, DNS); `None` where it has none. Can take seconds.
pub fn host(address: IpAddr) -> Option<String> {
    let socket = SockAddr::from(SocketAddr::new(address, 0));
    let mut name: [c_char; 1025] = [0; 1025];
    // SAFETY: the address is valid for its length, the buffer for the length given, and no service is asked for.
    let status = unsafe {
        libc::getnameinfo(
            socket.as_ptr().cast(),
            socket.len(),
            name.as_mut_ptr(),
            name.len() as libc::socklen_t,
            std::ptr::null_mut(),
            0,
            libc::NI_NAMEREQD,
        )
    };
    if status != 0 {
        return None;
    }
    // SAFETY: on success the buffer holds a string that ends with a zero byte.
    let name = unsafe { CStr::from_ptr(name.as_ptr()) };
    Some(name.to_string_lossy().into_owned())
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
