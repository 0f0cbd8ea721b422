//! What another process has open: its descriptors, borrowed while it stands still (pidfd_getfd(2)), and what sockets say.

use std::{
    io,
    os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd},
};

use nix::errno::Errno;

use super::option;

/// A process, by a handle that never means another one.
#[derive(Debug)]
pub struct Foreign(OwnedFd);

impl Foreign {
    /// A handle on the process with this number.
    ///
    /// # Errors
    /// `ESRCH` when there is none.
    pub fn open(process: u32) -> io::Result<Self> {
        // SAFETY: the kernel is given two numbers.
        let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, process, 0) };
        owned(fd).map(Self)
    }

    /// A handle on the thread with this number, for a process whose first thread has ended before the others.
    ///
    /// # Errors
    /// `ESRCH` when there is none; `EINVAL` on kernels before 6.9.
    pub fn open_thread(thread: u32) -> io::Result<Self> {
        // SAFETY: the kernel is given two numbers. PIDFD_THREAD (linux/pidfd.h) is O_EXCL.
        let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, thread, libc::O_EXCL) };
        owned(fd).map(Self)
    }

    /// A copy of its descriptor `fd`, for which the right to trace it is needed.
    ///
    /// # Errors
    /// `EBADF` when it has no such descriptor, `EPERM` without the right.
    pub fn take(&self, fd: i32) -> io::Result<OwnedFd> {
        // SAFETY: the kernel is given three numbers.
        owned(unsafe { libc::syscall(libc::SYS_pidfd_getfd, self.0.as_raw_fd(), fd, 0) })
    }
}

/// A descriptor that a system call has just made, with `FD_CLOEXEC`.
fn owned(made: libc::c_long) -> io::Result<OwnedFd> {
    let fd = Errno::result(made)? as i32;
    // SAFETY: the kernel has just made it for this process, and nobody else knows of it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Two processes share one table of descriptors (`CLONE_FILES`). Where the kernel does not tell, they do not.
pub fn share_descriptors(one: u32, other: u32) -> bool {
    /// `KCMP_FILES` (linux/kcmp.h).
    const FILES: libc::c_long = 2;
    // SAFETY: the kernel is given numbers.
    let order = unsafe { libc::syscall(libc::SYS_kcmp, one, other, FILES, 0, 0) };
    order == 0
}

/// The network namespace of a socket, by a number that is never given again; kernels before 5.14 do not tell.
pub fn network(socket: impl AsFd) -> Option<u64> {
    option::get(socket.as_fd(), libc::SOL_SOCKET, libc::SO_NETNS_COOKIE).ok()
}

/// How many new bytes of its stream a TCP socket has sent, and received. `None`: it is none, or the kernel does not tell.
pub fn streamed(socket: impl AsFd) -> Option<[u64; 2]> {
    /// `struct tcp_info` (linux/tcp.h) up to `tcpi_bytes_retrans`, in words of eight bytes.
    const WORDS: usize = 27;
    let info: [u64; WORDS] = option::get(socket.as_fd(), libc::IPPROTO_TCP, libc::TCP_INFO).ok()?;
    let [received, sent, again] = [info[16], info[25], info[26]];
    Some([sent.saturating_sub(again), received])
}

/// The program at `path` has capabilities of its own (`setcap`).
pub fn has_capabilities(path: &str) -> bool {
    let Ok(path) = std::ffi::CString::new(path) else {
        return false;
    };
    let name = c"security.capability";
    // SAFETY: both strings end with a zero, and no memory is given to be written.
    unsafe { libc::getxattr(path.as_ptr(), name.as_ptr(), std::ptr::null_mut(), 0) > 0 }
}
