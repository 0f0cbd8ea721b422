//! What is known of a traced process and of its threads, and what `/proc` says of them.

use std::{
    cell::{RefCell, RefMut},
    fs::{self, File},
    io::Read,
    os::fd::OwnedFd,
    os::unix::fs::MetadataExt,
    rc::Rc,
};

use super::{decode::Asked, descriptors::Descriptors, table::Syscall};
use crate::{
    call::Fd,
    event::{CallId, SocketId},
    sys::foreign::Foreign,
};

/// A process.
#[derive(Debug)]
pub(super) struct Process {
    /// Threads that have not come to their end.
    pub(super) threads: usize,
    /// It was started here, with a filter, and so is what it has started.
    pub(super) filtered: bool,
    /// The pseudo-call that stands for its end.
    pub(super) exit: Option<CallId>,
    /// It was noted that it uses io_uring.
    pub(super) uring: bool,
    number: u32,
    descriptors: Rc<RefCell<Descriptors>>,
}

impl Process {
    pub(super) fn new(number: u32, filtered: bool) -> Self {
        Self {
            threads: 0,
            filtered,
            exit: None,
            uring: false,
            number,
            descriptors: Rc::default(),
        }
    }

    /// A process that this one has made, with its table of descriptors or a copy of it.
    pub(super) fn child(&self, process: u32, shares: bool) -> Self {
        Self {
            descriptors: if shares {
                Rc::clone(&self.descriptors)
            } else {
                Rc::new(RefCell::new(self.descriptors().copied()))
            },
            ..Self::new(process, self.filtered)
        }
    }

    /// Its descriptors. Not to be kept while others look.
    pub(super) fn descriptors(&self) -> RefMut<'_, Descriptors> {
        self.descriptors.borrow_mut()
    }

    /// No other process has the same table: what it closes is closed.
    pub(super) fn is_alone(&self) -> bool {
        Rc::strong_count(&self.descriptors) == 1
    }

    /// From now on it has a table of its own (`execve`), and all sockets in it are to be looked at again.
    pub(super) fn part(&mut self) {
        let own = self.descriptors().copied();
        self.descriptors = Rc::new(RefCell::new(own));
    }

    /// A copy of what descriptor `fd` means to one of its threads, which stands.
    pub(super) fn borrow(&self, thread: u32, fd: Fd) -> Option<OwnedFd> {
        // Its number means no other process while one of its threads stands. A handle of each would be a descriptor of each.
        let by_process = Foreign::open(self.number).and_then(|process| process.take(fd));
        by_process
            .or_else(|_| Foreign::open_thread(thread)?.take(fd))
            .ok()
    }
}

/// A thread.
#[derive(Debug)]
pub(super) struct Thread {
    pub(super) process: u32,
    pub(super) state: State,
    /// The call in which it was when it was attached to: its number and arguments.
    pub(super) waited: Option<(i64, [u64; 6])>,
}

/// Where a thread is.
#[derive(Debug, Default)]
pub(super) enum State {
    /// In no call that is told of.
    #[default]
    Outside,
    /// In a call.
    Inside(Box<Pending>),
    /// A signal has come before the call could return; it is made again, or fails with `EINTR`.
    Interrupted(Box<Pending>),
    /// Past its end, for which it has been counted.
    Ending,
}

/// A call that has not returned.
#[derive(Debug)]
pub(super) struct Pending {
    pub(super) call: CallId,
    pub(super) number: i64,
    pub(super) args: [u64; 6],
    /// Nothing for `execve`, which is told of for what it closes.
    pub(super) asked: Option<(&'static Syscall, Asked)>,
    pub(super) socket: Option<SocketId>,
    pub(super) stream: bool,
    /// Descriptors of sockets that it closes.
    pub(super) closes: Vec<(Fd, SocketId)>,
}

/// Number of the process that a thread belongs to, and of the process that has made that one.
pub(super) fn family(thread: u32) -> Option<(u32, u32)> {
    let status = fs::read_to_string(format!("/proc/{thread}/status")).ok()?;
    let number = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        line.trim().parse().ok()
    };
    Some((number("Tgid:")?, number("PPid:")?))
}

/// Name of a process's program.
pub(super) fn name(process: u32) -> String {
    // Any bytes but zero may be in it.
    let name = fs::read(format!("/proc/{process}/comm")).unwrap_or_default();
    String::from_utf8_lossy(name.trim_ascii_end()).into_owned()
}

/// Descriptor `fd` of a thread is a socket.
pub(super) fn is_socket(thread: u32, fd: Fd) -> bool {
    fs::read_link(format!("/proc/{thread}/fd/{fd}"))
        .is_ok_and(|link| link.as_os_str().as_encoded_bytes().starts_with(b"socket:["))
}

/// Descriptors that are open, in order.
pub(super) fn open_descriptors(process: u32) -> Vec<Fd> {
    let mut found: Vec<Fd> = numbers(&format!("/proc/{process}/fd"));
    found.sort_unstable();
    found
}

/// Threads, in order.
pub(super) fn threads(process: u32) -> Vec<u32> {
    let mut found = numbers(&format!("/proc/{process}/task"));
    found.sort_unstable();
    found
}

fn numbers<T: std::str::FromStr>(folder: &str) -> Vec<T> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .collect()
}

/// `fd` is closed when the process runs another program.
pub(super) fn closes_at_exec(process: u32, fd: Fd) -> bool {
    let info = fs::read_to_string(format!("/proc/{process}/fdinfo/{fd}")).unwrap_or_default();
    let flags = info.lines().find_map(|line| line.strip_prefix("flags:"));
    let flags = flags.and_then(|flags| i32::from_str_radix(flags.trim(), 8).ok());
    flags.is_some_and(|flags| flags & libc::O_CLOEXEC != 0)
}

/// The call in which a thread that sleeps is: its number and arguments (`/proc/PID/syscall`).
pub(super) fn call(process: u32, thread: u32) -> Option<(i64, [u64; 6])> {
    let text = fs::read_to_string(format!("/proc/{process}/task/{thread}/syscall")).ok()?;
    // "running", or the number, six arguments, and two pointers.
    let mut words = text.split_ascii_whitespace();
    let number = words.next()?.parse().ok()?;
    let mut args = [0; 6];
    for arg in &mut args {
        *arg = u64::from_str_radix(words.next()?.strip_prefix("0x")?, 16).ok()?;
    }
    (number >= 0).then_some((number, args))
}

/// What is special about the program that a process runs, in a sentence. `unprivileged`: it gains no rights by it.
pub(super) fn oddity(process: u32, unprivileged: bool) -> Option<&'static str> {
    let path = format!("/proc/{process}/exe");
    // ELF class 1 is 32-bit (elf(5)).
    let mut head = [0; 5];
    if File::open(&path)
        .and_then(|mut file| file.read_exact(&mut head))
        .is_ok()
        && head == *b"\x7fELF\x01"
    {
        return Some("this is a 32-bit program; its calls are not seen");
    }
    let mode = fs::metadata(&path).map_or(0, |data| data.mode());
    let gains =
        mode & (libc::S_ISUID | libc::S_ISGID) != 0 || crate::sys::foreign::has_capabilities(&path);
    (gains && unprivileged)
        .then_some("this program is set-uid or has capabilities; under a trace it runs without these extra rights")
}
