//! Ctrl-C and its relatives: the first asks for a clean stop, the second ends the program with code 130.

use std::{
    io,
    sync::atomic::{AtomicU8, Ordering},
};

use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};

static ASKED: AtomicU8 = AtomicU8::new(0);

/// A request to stop, made by a signal.
#[derive(Clone, Copy, Debug)]
pub struct Stop(());

impl Stop {
    /// Catches SIGINT, SIGTERM, SIGHUP and SIGQUIT from now on, even where they were inherited as ignored.
    /// Blocking calls are interrupted (`EINTR`), not restarted.
    ///
    /// # Errors
    /// When the kernel refuses a handler.
    pub fn install() -> io::Result<Self> {
        let action = SigAction::new(
            SigHandler::Handler(on_signal),
            SaFlags::empty(),
            SigSet::empty(),
        );
        for signal in [
            Signal::SIGINT,
            Signal::SIGTERM,
            Signal::SIGHUP,
            Signal::SIGQUIT,
        ] {
            // SAFETY: `on_signal` only touches an atomic and calls `_exit`, both async-signal-safe.
            unsafe { sigaction(signal, &action)? };
        }
        Ok(Self(()))
    }

    /// Asks for it, as the first signal does.
    pub fn ask(self) {
        let _ = ASKED.compare_exchange(0, 1, Ordering::Relaxed, Ordering::Relaxed);
    }

    /// A stop has been asked for.
    pub fn asked(self) -> bool {
        ASKED.load(Ordering::Relaxed) > 0
    }
}

/// A thread whose blocking calls can be ended from another one.
#[derive(Clone, Copy, Debug)]
pub struct Interruptible {
    thread: libc::pid_t,
}

impl Interruptible {
    /// The calling thread, which from now on takes signals as the first thread does.
    ///
    /// # Errors
    /// When the kernel refuses the handler.
    pub fn this_thread() -> io::Result<Self> {
        let action = SigAction::new(
            SigHandler::Handler(on_nothing),
            SaFlags::empty(),
            SigSet::empty(),
        );
        // SAFETY: `on_nothing` does nothing.
        unsafe { sigaction(Signal::SIGUSR1, &action)? };
        SigSet::all().thread_unblock()?;
        let thread = nix::unistd::gettid().as_raw();
        Ok(Self { thread })
    }

    /// Its blocking call, if it is in one, fails with `EINTR`.
    pub fn interrupt(self) {
        let process = nix::unistd::getpid().as_raw();
        // SAFETY: the kernel is given three numbers; a thread that has ended is not found (`ESRCH`).
        let _ = unsafe { libc::syscall(libc::SYS_tgkill, process, self.thread, libc::SIGUSR1) };
    }
}

/// Makes a write past the file size limit (`ulimit -f`) fail with `EFBIG`; without this the kernel ends the program.
///
/// A handler that does nothing, not "ignored", so that programs started later keep the default.
///
/// # Errors
/// When the kernel refuses the handler.
pub fn survive_file_size_limit() -> io::Result<()> {
    let action = SigAction::new(
        SigHandler::Handler(on_nothing),
        SaFlags::SA_RESTART,
        SigSet::empty(),
    );
    // SAFETY: `on_nothing` does nothing.
    unsafe { sigaction(Signal::SIGXFSZ, &action)? };
    Ok(())
}

extern "C" fn on_nothing(_: libc::c_int) {}

extern "C" fn on_signal(_: libc::c_int) {
    if ASKED.fetch_add(1, Ordering::Relaxed) > 0 {
        // SAFETY: `_exit` may be called from a signal handler and does not return.
        unsafe { libc::_exit(130) };
    }
}
