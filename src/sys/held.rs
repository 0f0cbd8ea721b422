//! A process that stands ready to run a program, and does so when it is told to: there is time to begin tracing it.

use std::{
    ffi::{CString, c_char},
    fs::File,
    io::{self, Read},
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    ptr,
};

use nix::{
    errno::Errno,
    fcntl::OFlag,
    sched::{CloneFlags, setns},
    sys::{
        prctl,
        signal::{SigHandler, SigSet, Signal, signal},
    },
    unistd::{Pid, dup2_stderr, dup2_stdin, dup2_stdout, pipe2, read, setpgid, write},
};

use super::{
    process::{Side, leave, split},
    seccomp::Filter,
};

/// What a process is to become.
pub struct Plan<'a> {
    /// The program, to be looked for in `PATH` unless it has a slash, and its arguments.
    pub words: &'a [CString],
    /// The network namespace to enter.
    pub network: Option<BorrowedFd<'a>>,
    /// What becomes its standard input, output and error.
    pub stdio: Option<[BorrowedFd<'a>; 3]>,
    /// It leads a process group of its own.
    pub group: bool,
    /// The filter that it lives under.
    pub filter: &'a Filter,
    /// The filter needs `no_new_privs`: this process has no right to do without.
    pub unprivileged: bool,
}

/// A process that waits for [`Held::go`], and ends when this is dropped before.
#[derive(Debug)]
pub struct Held {
    /// Its number.
    pub process: u32,
    hold: OwnedFd,
    failed: OwnedFd,
}

/// Why a process did not become what it was to be: what it could not do, and the kernel's answer.
#[derive(Debug)]
pub struct Failed {
    /// In words; empty for running the program itself.
    pub what: &'static str,
    /// The answer.
    pub error: io::Error,
}

/// What a process does on its way, in order.
const STEPS: [&str; 5] = [
    "enter the network namespace",
    "set the program's input and output",
    "give up new privileges",
    "install the seccomp filter of calls",
    "",
];

impl Held {
    /// Makes the process. Its signals are as a program expects them: none blocked, SIGPIPE not ignored.
    ///
    /// # Errors
    /// When there is no room for a process or a pipe.
    pub fn new(plan: &Plan<'_>) -> io::Result<Self> {
        let (hold, failed) = (pipe2(OFlag::O_CLOEXEC)?, pipe2(OFlag::O_CLOEXEC)?);
        // A program with capabilities is not dumpable, and what it forks neither; such a one cannot be traced (ptrace(2)).
        prctl::set_dumpable(true)?;
        let mut words: Vec<*const c_char> = plan.words.iter().map(|word| word.as_ptr()).collect();
        words.push(ptr::null());
        match split()? {
            Side::Parent(process) => Ok(Self {
                process,
                hold: hold.1,
                failed: failed.0,
            }),
            Side::Child => {
                drop((hold.1, failed.0));
                if read(&hold.0, &mut [0]) == Ok(1) {
                    let (step, error) = become_program(plan, &words);
                    let error = error.raw_os_error().unwrap_or(0);
                    let _ = write(&failed.1, &[step, error as u8]);
                }
                leave(127)
            }
        }
    }

    /// Lets it run its program; what [`Going::failed`] says is known once it does, or has ended.
    pub fn go(self) -> Going {
        // When it is gone already, waiting for it tells.
        let _ = write(self.hold.as_fd(), &[1]);
        Going(self.failed)
    }
}

/// A process on its way.
#[derive(Debug)]
pub struct Going(OwnedFd);

impl Going {
    /// Why it has ended instead. Waits until it has, or runs its program.
    pub fn failed(self) -> Option<Failed> {
        let mut answer = [0; 2];
        File::from(self.0).read_exact(&mut answer).ok()?;
        let [step, errno] = answer;
        Some(Failed {
            what: STEPS.get(usize::from(step)).copied().unwrap_or_default(),
            error: io::Error::from_raw_os_error(errno.into()),
        })
    }
}

/// In the child: returns only when it fails, with the number of the step.
fn become_program(plan: &Plan<'_>, words: &[*const c_char]) -> (u8, io::Error) {
    // What this program ignores or blocks, the other one would as well.
    let _ = SigSet::empty().thread_set_mask();
    // SAFETY: the default action replaces no handler that anything here relies on.
    let _ = unsafe { signal(Signal::SIGPIPE, SigHandler::SigDfl) };
    if let Some(network) = plan.network
        && let Err(errno) = setns(network, CloneFlags::CLONE_NEWNET)
    {
        return (0, errno.into());
    }
    if let Some([input, output, error]) = plan.stdio {
        let done = dup2_stdin(input).and_then(|()| dup2_stdout(output));
        if let Err(errno) = done.and_then(|()| dup2_stderr(error)) {
            return (1, errno.into());
        }
    }
    if plan.group {
        // It fails for the leader of a session only, which this is not.
        let _ = setpgid(Pid::from_raw(0), Pid::from_raw(0));
    }
    if plan.unprivileged
        && let Err(errno) = prctl::set_no_new_privs()
    {
        return (2, errno.into());
    }
    if let Err(error) = plan.filter.install() {
        return (3, error);
    }
    // SAFETY: `words` are pointers to strings that live on, and a null pointer behind them.
    unsafe { libc::execvp(words[0], words.as_ptr()) };
    (4, Errno::last().into())
}
