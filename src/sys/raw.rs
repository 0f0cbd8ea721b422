//! The raw IP socket's counters, which no safe wrapper reads.

use std::{io, os::fd::AsFd};

use super::option;

/// How many packets the kernel dropped because the socket's buffer was full (`SO_MEMINFO`); counts on, modulo 2^32.
///
/// # Errors
/// When the descriptor is no socket.
pub fn drops(socket: impl AsFd) -> io::Result<u32> {
    let memory: [u32; 9] = option::get(socket.as_fd(), libc::SOL_SOCKET, libc::SO_MEMINFO)?;
    Ok(memory[libc::SK_MEMINFO_DROPS as usize])
}
