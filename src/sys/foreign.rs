//! What another process has open: its descriptors, borrowed while it stands still (pidfd_getfd(2)), and what sockets say.

use std::{
    io,
    os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd},
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

/// How far the stream of a TCP socket has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Streamed {
    /// New bytes that it has sent, and received.
    pub passed: [u64; 2],
    /// Bytes that it has still to send, and that are still to be read from it.
    pub queued: [u64; 2],
}

/// How far a TCP socket is, whose program stands still. `None`: it is none, or the kernel does not tell.
pub fn streamed(socket: impl AsFd) -> Option<Streamed> {
    /// Bytes may come between two questions, but not for ever.
    const TRIES: usize = 8;
    let socket = socket.as_fd();
    let mut now = info(socket)?;
    for _ in 0..TRIES {
        now.queued[1] = unread(socket);
        let then = info(socket)?;
        if then.passed[1] == now.passed[1] {
            break;
        }
        now = then;
    }
    Some(now)
}

/// What `TCP_INFO` says of both streams, which is nothing of what is to be read. A FIN is no byte: the kernel counts one that
/// has come, and one that waits to be sent, but not one that was sent.
fn info(socket: BorrowedFd<'_>) -> Option<Streamed> {
    /// States of a connection (linux/tcp_states.h).
    const FIN_WAIT1: u8 = 4;
    const CLOSE_WAIT: u8 = 8;
    const LAST_ACK: u8 = 9;
    const CLOSING: u8 = 11;
    /// `struct tcp_info` (linux/tcp.h) up to `tcpi_bytes_retrans`, in words of eight bytes.
    const WORDS: usize = 27;
    let info: [u64; WORDS] = option::get(socket, libc::IPPROTO_TCP, libc::TCP_INFO).ok()?;
    let [state, ..] = info[0].to_ne_bytes();
    let [received, sent, again] = [info[16], info[25], info[26]];
    // `tcpi_notsent_bytes` is the first half of its word.
    let [a, b, c, d, ..] = info[18].to_ne_bytes();
    let unsent = u64::from(u32::from_ne_bytes([a, b, c, d]));
    let fin_came = matches!(state, CLOSE_WAIT | LAST_ACK | CLOSING);
    let fin_waits = matches!(state, FIN_WAIT1 | LAST_ACK | CLOSING);
    Some(Streamed {
        passed: [
            sent.saturating_sub(again),
            received.saturating_sub(fin_came.into()),
        ],
        queued: [unsent.saturating_sub(fin_waits.into()), 0],
    })
}

/// Bytes that a socket has received and that are to be read; none of one that listens.
fn unread(socket: BorrowedFd<'_>) -> u64 {
    let mut bytes: libc::c_int = 0;
    // SAFETY: the kernel writes one `c_int`, which lives until the call returns.
    let done = unsafe { libc::ioctl(socket.as_raw_fd(), libc::FIONREAD, &raw mut bytes) };
    match done {
        0 => u64::try_from(bytes).unwrap_or(0),
        _ => 0,
    }
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
