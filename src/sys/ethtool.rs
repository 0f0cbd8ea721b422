//! Offload switches of an interface: off, so that a lab shows segments as a cable carries them.

use std::{
    io, mem,
    net::UdpSocket,
    os::fd::{AsFd, AsRawFd},
};

/// `struct ethtool_value` (linux/ethtool.h).
#[repr(C)]
struct EthtoolValue {
    cmd: u32,
    data: u32,
}

// linux/ethtool.h. TX checksum comes last: without segmentation nothing else needs it.
const ETHTOOL_STXCSUM: u32 = 0x17;
const ETHTOOL_STSO: u32 = 0x1f;
const ETHTOOL_SGSO: u32 = 0x24;

/// Switches TX checksum, TCP segmentation and generic segmentation offload of `interface` off,
/// in the network namespace of this thread: checksums are then right on the wire and no segment exceeds the MTU.
///
/// # Errors
/// The kernel's answer.
pub fn offloads_off(interface: &str) -> io::Result<()> {
    // Any socket serves as the handle on the namespace.
    let socket = UdpSocket::bind(("0.0.0.0", 0)).or_else(|_| UdpSocket::bind(("::", 0)))?;
    for cmd in [ETHTOOL_STSO, ETHTOOL_SGSO, ETHTOOL_STXCSUM] {
        switch(&socket, interface, EthtoolValue { cmd, data: 0 })?;
    }
    Ok(())
}

fn switch(socket: impl AsFd, interface: &str, mut value: EthtoolValue) -> io::Result<()> {
    // SAFETY: `ifreq` is plain data for which all zeros is a valid value.
    let mut request: libc::ifreq = unsafe { mem::zeroed() };
    let room = request.ifr_name.len() - 1;
    for (to, from) in request.ifr_name[..room].iter_mut().zip(interface.bytes()) {
        *to = from as libc::c_char;
    }
    request.ifr_ifru.ifru_data = (&raw mut value).cast();
    // SAFETY: SIOCETHTOOL reads and writes the `ifreq` and the 8-byte value behind it; both outlive the call.
    let answer =
        unsafe { libc::ioctl(socket.as_fd().as_raw_fd(), libc::SIOCETHTOOL, &mut request) };
    if answer < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}
