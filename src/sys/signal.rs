//! Ctrl-C and its relatives: the first asks for a clean stop, the second ends the program with code 130.
//!
//! A signal that comes just before a blocking call does not interrupt it. Where that matters, signals set off a timer,
//! which interrupts again and again.

use std::{
    io,
    sync::atomic::{AtomicBool, AtomicI32, AtomicU8, Ordering},
    time::Duration,
};

use nix::{
    poll::ppoll,
    sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, kill, sigaction},
    sys::time::TimeSpec,
    unistd::Pid,
};

static ASKED: AtomicU8 = AtomicU8::new(0);
/// The first signal that asked.
static SIGNAL: AtomicI32 = AtomicI32::new(0);
/// Signals set off the timer.
static INSISTING: AtomicBool = AtomicBool::new(false);
static CHILD_ENDED: AtomicBool = AtomicBool::new(false);

/// What a process sends to one of its own that is to stop.
const ASK: Signal = Signal::SIGUSR2;

/// Microseconds between two interruptions.
const AGAIN: libc::suseconds_t = 50_000;

/// A request to stop, made by a signal.
#[derive(Clone, Copy, Debug)]
pub struct Stop(());

impl Stop {
    /// Catches SIGINT, SIGTERM, SIGHUP and SIGQUIT from now on, even where they were inherited as ignored, and what
    /// [`ask`] sends.
    /// Blocking calls are interrupted (`EINTR`), not restarted.
    ///
    /// # Errors
    /// When the kernel refuses a handler.
    pub fn install() -> io::Result<Self> {
        for signal in [
            Signal::SIGINT,
            Signal::SIGTERM,
            Signal::SIGHUP,
            Signal::SIGQUIT,
        ] {
            interrupt_at(signal, on_signal)?;
        }
        interrupt_at(ASK, on_asked)?;
        Ok(Self(()))
    }

    /// From now on a request interrupts blocking calls until the program ends, also those that begin after it.
    ///
    /// # Errors
    /// When the kernel refuses a handler.
    pub fn insist(self) -> io::Result<Self> {
        interrupt_at(Signal::SIGALRM, on_nothing)?;
        INSISTING.store(true, Ordering::Relaxed);
        Ok(self)
    }

    /// From now on Ctrl-C and Ctrl-\\ ask for nothing, until [`Stop::install`]: another program of the terminal decides what
    /// they mean.
    ///
    /// # Errors
    /// When the kernel refuses a handler.
    pub fn leave_keys(self) -> io::Result<Self> {
        for signal in [Signal::SIGINT, Signal::SIGQUIT] {
            interrupt_at(signal, on_nothing)?;
        }
        Ok(self)
    }

    /// Asks for it, as the first signal does.
    pub fn ask(self) {
        let _ = ASKED.compare_exchange(0, 1, Ordering::Relaxed, Ordering::Relaxed);
    }

    /// A stop has been asked for.
    pub fn asked(self) -> bool {
        ASKED.load(Ordering::Relaxed) > 0
    }

    /// The signal that asked for it first.
    pub fn signal(self) -> Option<Signal> {
        Signal::try_from(SIGNAL.load(Ordering::Relaxed)).ok()
    }
}

/// Asks a process that has installed a [`Stop`] to stop, as often as one likes: it is no second Ctrl-C. That it has ended
/// already is no error.
pub fn ask(process: u32) {
    let _ = kill(Pid::from_raw(process.cast_signed()), ASK);
}

/// Waits, unless a signal comes.
pub fn pause(time: Duration) {
    // An interruption is what ends it early.
    let _ = ppoll(&mut [], Some(TimeSpec::from_duration(time)), None);
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
        interrupt_at(Signal::SIGUSR1, on_nothing)?;
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

/// Blocking calls are interrupted when a child ends, and again until that is heeded. Ends when it is dropped.
#[derive(Debug)]
pub struct Children {
    before: SigAction,
}

impl Children {
    /// Begins it, for the whole process.
    ///
    /// # Errors
    /// When the kernel refuses a handler.
    pub fn notice() -> io::Result<Self> {
        interrupt_at(Signal::SIGALRM, on_nothing)?;
        let before = interrupt_at(Signal::SIGCHLD, on_child)?;
        Ok(Self { before })
    }

    /// Ends the interruptions; whether a child has ended since the last time. What the signals were about, a request to
    /// stop as well, is to be looked at after this, not before.
    pub fn heed(&self) -> bool {
        set_timer(0);
        CHILD_ENDED.swap(false, Ordering::Relaxed)
    }
}

impl Drop for Children {
    fn drop(&mut self) {
        // SAFETY: what was in place before.
        let _ = unsafe { sigaction(Signal::SIGCHLD, &self.before) };
        set_timer(0);
    }
}

/// Calls `handler`, and does not restart the call that the signal has interrupted; what
/// was in place before.
fn interrupt_at(signal: Signal, handler: extern "C" fn(libc::c_int)) -> io::Result<SigAction> {
    let handler = SigHandler::Handler(handler);
    let action = SigAction::new(handler, SaFlags::empty(), SigSet::empty());
    // SAFETY: the handlers of this file do nothing but async-signal-safe calls.
    Ok(unsafe { sigaction(signal, &action)? })
}

/// Raises SIGALRM every so many microseconds from now on; 0 ends it.
fn set_timer(every: libc::suseconds_t) {
    let every = libc::timeval {
        tv_sec: 0,
        tv_usec: every,
    };
    let timer = libc::itimerval {
        it_interval: every,
        it_value: every,
    };
    // SAFETY: a system call that reads the value, which lives until it returns; in a signal handler it does no more.
    unsafe { libc::setitimer(libc::ITIMER_REAL, &raw const timer, std::ptr::null_mut()) };
}

extern "C" fn on_nothing(_: libc::c_int) {}

extern "C" fn on_child(_: libc::c_int) {
    CHILD_ENDED.store(true, Ordering::Relaxed);
    set_timer(AGAIN);
}

extern "C" fn on_asked(_: libc::c_int) {
    insist_again();
    Stop(()).ask();
}

/// In a handler: whoever insists is interrupted again and again from now on.
fn insist_again() {
    if INSISTING.load(Ordering::Relaxed) {
        set_timer(AGAIN);
    }
}

extern "C" fn on_signal(signal: libc::c_int) {
    insist_again();
    let _ = SIGNAL.compare_exchange(0, signal, Ordering::Relaxed, Ordering::Relaxed);
    if ASKED.fetch_add(1, Ordering::Relaxed) > 0 {
        // SAFETY: `_exit` may be called from a signal handler and does not return.
        unsafe { libc::_exit(130) };
    }
}
