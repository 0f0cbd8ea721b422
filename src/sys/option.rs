//! Socket options that no safe wrapper knows, set and read as plain values.

use std::{
    io,
    mem::{MaybeUninit, size_of},
    os::fd::{AsRawFd, BorrowedFd},
};

/// A value that is all integers without padding that matters: any bytes from the kernel make a valid one.
///
/// # Safety
/// Every bit pattern must be a valid value of the type, and the type must hold no reference.
pub(super) unsafe trait Plain: Copy {}

/// Says that types of the kernel's ABI, all integers, are plain.
macro_rules! plain {
    ($($kind:ty),* $(,)?) => {$(
        // SAFETY: integers only, as the kernel's header declares them.
        unsafe impl Plain for $kind {}
    )*};
}

plain!(
    libc::c_int,
    u32,
    u64,
    [u32; 9],
    [u64; 27],
    libc::tpacket_req3,
    libc::tpacket_stats_v3,
    libc::packet_mreq,
    libc::xdp_mmap_offsets,
    libc::xdp_umem_reg,
);

/// `setsockopt` with a value of the option's own type.
pub(super) fn set<T: Plain>(
    fd: BorrowedFd<'_>,
    level: libc::c_int,
    name: libc::c_int,
    value: T,
) -> io::Result<()> {
    // SAFETY: the kernel reads `size_of::<T>()` bytes from `value`, which outlives the call.
    let failed = unsafe {
        libc::setsockopt(
            fd.as_raw_fd(),
            level,
            name,
            (&raw const value).cast(),
            size_of::<T>() as libc::socklen_t,
        )
    };
    if failed == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// `getsockopt` into a value of the option's own type; what the kernel leaves unwritten is zero.
pub(super) fn get<T: Plain>(
    fd: BorrowedFd<'_>,
    level: libc::c_int,
    name: libc::c_int,
) -> io::Result<T> {
    let mut value = MaybeUninit::<T>::zeroed();
    let mut len = size_of::<T>() as libc::socklen_t;
    // SAFETY: the kernel writes at most `len` bytes, the size of `value`.
    let failed = unsafe {
        libc::getsockopt(
            fd.as_raw_fd(),
            level,
            name,
            value.as_mut_ptr().cast(),
            &raw mut len,
        )
    };
    if failed == 0 {
        // SAFETY: zeroed, then partly overwritten by the kernel; every bit pattern of a `Plain` is valid.
        Ok(unsafe { value.assume_init() })
    } else {
        Err(io::Error::last_os_error())
    }
}
