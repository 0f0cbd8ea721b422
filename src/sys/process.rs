//! Processes of the program's own: `fork` and `waitpid`, for the server that gives each client one.

use std::io;

use nix::{
    errno::Errno,
    sys::wait::{WaitPidFlag, WaitStatus, waitpid},
    unistd::{ForkResult, Pid, fork},
};

/// Where one is after a fork.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// In the process that called; the number is the child's.
    Parent(u32),
    /// In the new process.
    Child,
}

/// Splits the process in two.
///
/// In the child only the calling thread lives on. Where the process has more threads, the child must not wait for what
/// another one held: no lock, no channel; memory may be allocated (glibc and musl see to that), descriptors may be used.
///
/// # Errors
/// When the system has no room for another process.
pub fn split() -> io::Result<Side> {
    // SAFETY: the child runs ordinary code of this program and ends with `leave`. What another thread may have held is
    // the caller's to avoid, as the documentation says; the allocator's own locks are taken care of by the C library.
    match unsafe { fork() }? {
        ForkResult::Parent { child } => Ok(Side::Parent(child.as_raw().unsigned_abs())),
        ForkResult::Child => Ok(Side::Child),
    }
}

/// Ends a process that [`split`] made, without what the parent would do at its end.
pub fn leave(code: i32) -> ! {
    // SAFETY: `_exit` may be called at any time and does not return.
    unsafe { libc::_exit(code) }
}

/// Waits for `process` to end, or for any child; without `block` only for one that has ended already.
///
/// # Errors
/// `ECHILD` when there is no child; `EINTR` when a signal came first.
pub fn wait(process: Option<u32>, block: bool) -> io::Result<Option<u32>> {
    let process = process.map(|process| Pid::from_raw(process.cast_signed()));
    let flags = (!block).then_some(WaitPidFlag::WNOHANG);
    match waitpid(process, flags) {
        Ok(WaitStatus::StillAlive) => Ok(None),
        Ok(status) => Ok(status.pid().map(|pid| pid.as_raw().unsigned_abs())),
        Err(Errno::ECHILD) if !block => Ok(None),
        Err(errno) => Err(errno.into()),
    }
}
