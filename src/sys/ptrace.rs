//! Threads of other programs that stop for this one (ptrace(2)): what stopped them, what they are about to call, their memory.
//!
//! All calls about a thread must come from the thread of this program that [`seize`]d it. A thread that was killed in the
//! meantime is not there any more, which is no error: [`wait`] tells of its end.

use std::io::{self, IoSliceMut};

use nix::{
    errno::Errno,
    sys::uio::{RemoteIoVec, process_vm_readv},
    unistd::Pid,
};

/// Why a thread stands, or that it is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Report {
    /// It has ended, with a code or by a signal. A process's first thread is told of when all the others have ended.
    Ended(Result<i32, i32>),
    /// At the entry of a call that the filter stops at.
    Filtered,
    /// At the entry or the exit of a call ([`Go::ToCall`]).
    Call,
    /// It has made a thread or a process, whose number [`message`] has.
    Born,
    /// It runs another program now; [`message`] has the number that the thread had before.
    Exec,
    /// It is about to end, and has all that it had open; [`message`] has what `waitpid` will say.
    Ending,
    /// A signal is about to reach it.
    Signal(i32),
    /// It was stopped by a signal, as Ctrl-Z does.
    Halted,
    /// It has come to be traced, was [`interrupt`]ed, or goes on after it was halted.
    Trap,
}

/// How a thread goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Go {
    /// To the next call that its filter stops at.
    On,
    /// To the next entry or exit of any call.
    ToCall,
}

/// Where in a call a thread stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum At {
    /// The call is about to be made.
    Entry {
        /// Which one, on this machine.
        number: i64,
        /// Its registers.
        args: [u64; 6],
    },
    /// It returns this value; errors are negative.
    Exit(i64),
}

/// What this kernel calls the architecture of programs that are traced (`AUDIT_ARCH_…`): others' calls have other numbers.
/// 0, which no architecture has, where sockwire does not know it.
pub const ARCHITECTURE: u32 = match std::env::consts::ARCH.as_bytes() {
    b"x86_64" => 0xc000_003e,
    b"aarch64" => 0xc000_00b7,
    b"riscv64" => 0xc000_00f3,
    _ => 0,
};

/// Begins to trace a thread; it does not stop for that. Threads and processes that it makes are traced from their beginning.
///
/// `started`: this program has started it, with a filter; it is killed when the tracing thread ends.
///
/// # Errors
/// `EPERM` when that is not permitted, or it is traced already; `ESRCH` when there is no such thread.
pub fn seize(thread: u32, started: bool) -> io::Result<()> {
    let mut options = libc::PTRACE_O_TRACESYSGOOD
        | libc::PTRACE_O_TRACECLONE
        | libc::PTRACE_O_TRACEFORK
        | libc::PTRACE_O_TRACEVFORK
        | libc::PTRACE_O_TRACEEXEC
        | libc::PTRACE_O_TRACEEXIT;
    if started {
        options |= libc::PTRACE_O_TRACESECCOMP | libc::PTRACE_O_EXITKILL;
    }
    plain(libc::PTRACE_SEIZE as _, thread, 0, options as usize)
}

/// Lets a thread that stands go on, and gives it a signal unless that is 0.
pub fn go(thread: u32, how: Go, signal: i32) {
    let request = match how {
        Go::On => libc::PTRACE_CONT,
        Go::ToCall => libc::PTRACE_SYSCALL,
    };
    let _ = plain(request as _, thread, 0, signal as usize);
}

/// Lets a thread that was halted stay so until it is to go on, which is told as a trap.
pub fn stay(thread: u32) {
    let _ = plain(libc::PTRACE_LISTEN as _, thread, 0, 0);
}

/// Stops a thread wherever it is; a call that blocks is made again when it goes on.
pub fn interrupt(thread: u32) {
    let _ = plain(libc::PTRACE_INTERRUPT as _, thread, 0, 0);
}

/// Ends the tracing of a thread that stands, and gives it a signal unless that is 0.
pub fn detach(thread: u32, signal: i32) {
    let _ = plain(libc::PTRACE_DETACH as _, thread, 0, signal as usize);
}

/// What goes with the report of a thread that stands; 0 when it is gone.
pub fn message(thread: u32) -> u64 {
    let mut message: libc::c_ulong = 0;
    let at = (&raw mut message).expose_provenance();
    match plain(libc::PTRACE_GETEVENTMSG as _, thread, 0, at) {
        Ok(()) => message,
        Err(_) => 0,
    }
}

/// The call in which a thread stands; `None` when it is gone, or runs 32-bit code.
pub fn call(thread: u32) -> Option<At> {
    let mut info = CallInfo::default();
    let at = (&raw mut info).expose_provenance();
    let size = size_of::<CallInfo>();
    plain(libc::PTRACE_GET_SYSCALL_INFO as _, thread, size, at).ok()?;
    if info.architecture != ARCHITECTURE {
        return None;
    }
    let [number, args @ .., _] = info.words;
    match info.op {
        // Entry, and entry stopped by a filter, begin alike.
        1 | 3 => Some(At::Entry {
            number: number as i64,
            args,
        }),
        2 => Some(At::Exit(number as i64)),
        _ => None,
    }
}

/// `struct ptrace_syscall_info` (linux/ptrace.h).
#[repr(C)]
#[derive(Default)]
struct CallInfo {
    op: u8,
    _padding: [u8; 3],
    architecture: u32,
    _instruction_and_stack: [u64; 2],
    /// At an entry the number and six arguments; at an exit the value.
    words: [u64; 8],
}

/// A request whose arguments are numbers, or the address of a value of which the kernel writes no more than it has.
///
/// The addresses are exposed by the caller's `&raw mut`, and live until this returns.
fn plain(request: libc::c_long, thread: u32, address: usize, data: usize) -> io::Result<()> {
    // SAFETY: the requests of this file read nothing of this program, and write at most into the value at `data`: a
    // `c_ulong` for GETEVENTMSG, and for GET_SYSCALL_INFO a `CallInfo`, whose size is `address`.
    let done = unsafe { libc::syscall(libc::SYS_ptrace, request, thread, address, data) };
    Errno::result(done)?;
    Ok(())
}

/// Waits until one of the calling thread's threads stands or has ended, or only this one; without `block` only looks.
///
/// Children that the calling thread has made otherwise are waited for as well.
///
/// # Errors
/// `ECHILD` when there is none left; `EINTR` when a signal came first.
pub fn wait(thread: Option<u32>, block: bool) -> io::Result<Option<(u32, Report)>> {
    let which = thread.map_or(-1, u32::cast_signed);
    // Other threads' children are other threads' to wait for.
    let hang = if block { 0 } else { libc::WNOHANG };
    let mut status = 0;
    // SAFETY: the kernel writes one `c_int`, which lives until the call returns.
    let found = unsafe {
        libc::waitpid(
            which,
            &raw mut status,
            libc::__WALL | libc::__WNOTHREAD | hang,
        )
    };
    let found = Errno::result(found)?.unsigned_abs();
    Ok((found != 0).then(|| (found, report(status))))
}

/// What a status of `waitpid` says of a traced thread.
fn report(status: i32) -> Report {
    if libc::WIFEXITED(status) {
        return Report::Ended(Ok(libc::WEXITSTATUS(status)));
    }
    if libc::WIFSIGNALED(status) {
        return Report::Ended(Err(libc::WTERMSIG(status)));
    }
    let signal = libc::WSTOPSIG(status);
    match status >> 16 {
        // PTRACE_O_TRACESYSGOOD marks stops at calls so.
        0 if signal == libc::SIGTRAP | 0x80 => Report::Call,
        0 => Report::Signal(signal),
        libc::PTRACE_EVENT_SECCOMP => Report::Filtered,
        libc::PTRACE_EVENT_FORK | libc::PTRACE_EVENT_VFORK | libc::PTRACE_EVENT_CLONE => {
            Report::Born
        }
        libc::PTRACE_EVENT_EXEC => Report::Exec,
        libc::PTRACE_EVENT_EXIT => Report::Ending,
        // PTRACE_EVENT_STOP: with a signal that stops when the whole process was stopped by it.
        _ if signal == libc::SIGTRAP => Report::Trap,
        _ => Report::Halted,
    }
}

/// Reads memory of a thread that stands; how many bytes, counted from the start, could be read.
pub fn read(thread: u32, address: u64, buffer: &mut [u8]) -> usize {
    let Ok(base) = usize::try_from(address) else {
        return 0;
    };
    let len = buffer.len();
    let remote = [RemoteIoVec { base, len }];
    let thread = Pid::from_raw(thread.cast_signed());
    process_vm_readv(thread, &mut [IoSliceMut::new(buffer)], &remote).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_says_why_a_thread_stands() {
        let stopped = |signal: i32, event: i32| event << 16 | signal << 8 | 0x7f;
        let table = [
            (3 << 8, Report::Ended(Ok(3))),
            (libc::SIGKILL, Report::Ended(Err(libc::SIGKILL))),
            (stopped(libc::SIGTRAP | 0x80, 0), Report::Call),
            (stopped(libc::SIGCHLD, 0), Report::Signal(libc::SIGCHLD)),
            // A breakpoint's own signal is a signal.
            (stopped(libc::SIGTRAP, 0), Report::Signal(libc::SIGTRAP)),
            (
                stopped(libc::SIGTRAP, libc::PTRACE_EVENT_SECCOMP),
                Report::Filtered,
            ),
            (stopped(libc::SIGTRAP, 128), Report::Trap),
            (stopped(libc::SIGTSTP, 128), Report::Halted),
        ];
        for (status, expected) in table {
            assert_eq!(report(status), expected, "{status:#x}");
        }
    }

    #[test]
    fn memory_is_read_up_to_where_it_ends() {
        let own = std::process::id();
        let text = *b"sockwire";
        let mut buffer = [0; 8];
        assert_eq!(read(own, text.as_ptr().addr() as u64, &mut buffer), 8);
        assert_eq!(buffer, text);
        assert_eq!(read(own, 0, &mut buffer), 0);
        assert_eq!(read(own, u64::MAX - 3, &mut buffer), 0);
    }
}
