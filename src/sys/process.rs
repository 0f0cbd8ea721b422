//! Processes of the program's own: `fork` and `waitpid`, for the server that gives each client one, and other programs that
//! it starts.

use std::{
    io,
    ops::Deref,
    os::unix::process::CommandExt as _,
    process::{Child, Command},
    ptr::{self, NonNull},
    sync::atomic::AtomicU64,
};

use nix::{
    errno::Errno,
    sys::{
        prctl::set_pdeathsig,
        resource::{Resource, getrlimit, setrlimit},
        signal::{SigSet, Signal, kill},
        wait::{Id, WaitPidFlag, WaitStatus, waitid, waitpid},
    },
    unistd::{ForkResult, Pid, fork, getppid},
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

/// As [`split`], and the child does not outlive the thread that made it, however that ends.
///
/// # Errors
/// As [`split`].
pub fn split_tied() -> io::Result<Side> {
    let parent = std::process::id();
    let side = split()?;
    if side == Side::Child && end_with(parent, Signal::SIGKILL).is_err() {
        leave(1);
    }
    Ok(side)
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

/// In a child: the kernel sends it `signal` when the thread that made it ends. `ESRCH` when the parent, which is `parent`,
/// has ended already.
fn end_with(parent: u32, signal: Signal) -> io::Result<()> {
    set_pdeathsig(signal)?;
    // One that ended before the call has sent nothing.
    if getppid().as_raw().unsigned_abs() != parent {
        return Err(Errno::ESRCH.into());
    }
    Ok(())
}

/// In a child: from now on only its parent ends it, by [`end`] or by ending itself. Ctrl-C, which the terminal gives to
/// both, is the parent's to answer.
///
/// # Errors
/// When the kernel refuses; `ESRCH` when the parent, which is `parent`, has ended already.
pub fn obey(parent: u32) -> io::Result<()> {
    end_with(parent, Signal::SIGTERM)?;
    let mut others = SigSet::empty();
    for signal in [Signal::SIGINT, Signal::SIGHUP, Signal::SIGQUIT] {
        others.add(signal);
    }
    others.thread_block()?;
    Ok(())
}

/// Starts a program with no signal blocked, which the kernel ends (SIGKILL) when the calling thread ends.
///
/// # Errors
/// When it cannot be started.
pub fn start(command: &mut Command) -> io::Result<Child> {
    let parent = std::process::id();
    let prepare = move || {
        end_with(parent, Signal::SIGKILL)?;
        Ok(SigSet::empty().thread_set_mask()?)
    };
    // SAFETY: between fork and exec only system calls are made, on plain values; an error is a number.
    unsafe { command.pre_exec(prepare) };
    command.spawn()
}

/// How a child has ended: its exit code, or the signal that ended it. Nothing while it runs, unless `block` waits for that.
/// It may be asked again: nobody else gets the child's number before this process ends.
///
/// # Errors
/// When it is no child of this process.
pub fn ended(process: u32, block: bool) -> io::Result<Option<Result<i32, i32>>> {
    let mut flags = WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT;
    flags.set(WaitPidFlag::WNOHANG, !block);
    loop {
        return match waitid(Id::Pid(Pid::from_raw(process.cast_signed())), flags) {
            Ok(WaitStatus::Exited(_, code)) => Ok(Some(Ok(code))),
            Ok(WaitStatus::Signaled(_, signal, _)) => Ok(Some(Err(signal as i32))),
            Ok(_) => Ok(None),
            Err(Errno::EINTR) => continue,
            Err(errno) => Err(errno.into()),
        };
    }
}

/// Sends a signal to a process, or to all of its group. That it has ended already is no error.
pub fn tell(process: u32, group: bool, signal: Signal) {
    let process = process.cast_signed();
    let _ = kill(
        Pid::from_raw(if group { -process } else { process }),
        signal,
    );
}

/// Asks a child to end (SIGTERM). That it has ended already is no error.
pub fn end(process: u32) {
    let _ = kill(Pid::from_raw(process.cast_signed()), Signal::SIGTERM);
}

/// Lets this process open as many descriptors as an administrator allows it (RLIMIT_NOFILE, soft to hard).
///
/// # Errors
/// When the kernel refuses.
pub fn raise_descriptors() -> io::Result<()> {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    Ok(setrlimit(Resource::RLIMIT_NOFILE, hard, hard)?)
}

/// How many counters there are.
const COUNTERS: usize = 2;

/// Counters that a process shares with the children it makes from then on; they begin at 0.
#[derive(Debug)]
pub struct Shared(NonNull<[AtomicU64; COUNTERS]>);

// SAFETY: all that is behind the pointer are atomics.
unsafe impl Send for Shared {}
// SAFETY: as above.
unsafe impl Sync for Shared {}

impl Shared {
    /// Makes them.
    ///
    /// # Errors
    /// When there is no memory.
    pub fn new() -> io::Result<Self> {
        // SAFETY: a new mapping, where the kernel likes.
        let memory = unsafe {
            libc::mmap(
                ptr::null_mut(),
                size_of::<[AtomicU64; COUNTERS]>(),
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED | libc::MAP_ANONYMOUS,
                -1,
                0,
            )
        };
        if memory == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let memory = NonNull::new(memory.cast());
        memory.map(Self).ok_or_else(|| Errno::ENOMEM.into())
    }
}

impl Deref for Shared {
    type Target = [AtomicU64; COUNTERS];

    fn deref(&self) -> &Self::Target {
        // SAFETY: mapped until it is dropped, aligned to a page, and zero, which is a valid value.
        unsafe { self.0.as_ref() }
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        // SAFETY: the mapping of `new`, which nobody borrows any more.
        unsafe { libc::munmap(self.0.as_ptr().cast(), size_of::<[AtomicU64; COUNTERS]>()) };
    }
}
