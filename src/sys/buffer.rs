//! Buffers for calls that write into memory they do not read.

use std::mem::MaybeUninit;

use socket2::Socket;

/// `recv` into ordinary memory.
///
/// # Errors
/// Those of the call.
pub fn recv(socket: &Socket, buffer: &mut [u8], flags: i32) -> std::io::Result<usize> {
    socket.recv_with_flags(uninit(buffer), flags)
}

/// `recvmsg` into ordinary memory: bytes, whether the datagram was cut, and the sender.
///
/// # Errors
/// Those of the call.
pub fn recv_from(
    socket: &Socket,
    buffer: &mut [u8],
) -> std::io::Result<(usize, bool, socket2::SockAddr)> {
    let mut parts = [socket2::MaybeUninitSlice::new(uninit(buffer))];
    let (len, flags, from) = socket.recv_from_vectored(&mut parts)?;
    Ok((len, flags.is_truncated(), from))
}

/// The same memory, as `socket2` wants it.
fn uninit(buffer: &mut [u8]) -> &mut [MaybeUninit<u8>] {
    // SAFETY: same memory and layout; `socket2` hands the slice to the kernel, which writes only initialised bytes,
    // and documents that it never puts uninitialised ones into it.
    unsafe { &mut *(std::ptr::from_mut(buffer) as *mut [MaybeUninit<u8>]) }
}
