//! Which processes have descriptors of a socket, as far as their calls have told: to close one of several sends nothing.
//!
//! What is not known to hold a socket is not said to: the count of descriptors may be too low, and is never too high.

use std::collections::{BTreeMap, BTreeSet};

use crate::event::{Arg, Deed, Enter, Process, Return, SocketId};

/// Processes whose descriptors are counted, at once.
const PROCESSES: usize = 256;
/// Sockets that a new process is known to share with its parent, at most.
const INHERITED: usize = 64;
/// Standard input, output and error: calls that close these may not have been watched.
const STANDARD: i32 = 3;

/// Descriptors of sockets, by process and socket.
#[derive(Debug, Default)]
pub(super) struct Holders {
    open: BTreeMap<u32, BTreeMap<SocketId, u32>>,
    /// Calls that close one descriptor are in the log: with `--calls net` they are not.
    sees_close: bool,
}

impl Holders {
    /// A process came into sight; it has what its parent has.
    pub(super) fn process(&mut self, process: &Process) {
        let parent = process.parent.and_then(|parent| self.open.get(&parent));
        let shared = parent.filter(|open| open.len() <= INHERITED).cloned();
        self.ended(process.process);
        if let Some(shared) = shared
            && self.open.len() < PROCESSES
        {
            self.open.insert(process.process, shared);
        }
    }

    /// A process has ended.
    pub(super) fn ended(&mut self, process: u32) {
        self.open.remove(&process);
    }

    /// A call is made; what it is to close may be closed from now on.
    pub(super) fn enter(&mut self, enter: &Enter) {
        self.sees_close |= enter.name == "close";
        let Some(open) = self.open.get_mut(&enter.by.process) else {
            return;
        };
        for socket in &enter.closes {
            match open.get_mut(socket) {
                Some(count) if *count > 1 => *count -= 1,
                _ => drop(open.remove(socket)),
            }
        }
    }

    /// A call returned: it may have made descriptors.
    pub(super) fn returned(&mut self, enter: &Enter, back: &Return) {
        let Ok(value) = back.result else { return };
        let (sockets, is_watched) = match (enter.deed, enter.name == "socketpair") {
            (Deed::Open, true) => {
                let second = back.opened.and_then(|first| first.checked_add(1));
                ([back.opened, second], pair(back))
            }
            (Deed::Open | Deed::Accept, _) => ([back.opened, None], value >= STANDARD.into()),
            (Deed::Duplicate, _) => ([enter.socket, None], value >= STANDARD.into()),
            _ => return,
        };
        let process = enter.by.process;
        let is_counted = self.open.len() < PROCESSES || self.open.contains_key(&process);
        if is_watched && is_counted {
            let open = self.open.entry(process).or_default();
            for socket in sockets.into_iter().flatten() {
                let count = open.entry(socket).or_default();
                *count = count.saturating_add(1);
            }
        }
    }

    /// Who has `socket` open; nobody where that may have changed unseen.
    pub(super) fn of(&self, socket: SocketId) -> BTreeSet<u32> {
        let open = self.open.iter().filter(|_| self.sees_close);
        open.filter(|(_, sockets)| sockets.contains_key(&socket))
            .map(|(&process, _)| process)
            .collect()
    }
}

/// Both descriptors of a pair are watched.
fn pair(back: &Return) -> bool {
    let fds = back.out.iter().flat_map(|arg| match arg {
        Arg::Group(args) => args.as_slice(),
        _ => &[],
    });
    let mut fds = fds.filter_map(|arg| match arg {
        Arg::Fd(fd) => Some(*fd),
        _ => None,
    });
    fds.next().is_some_and(|fd| fd >= STANDARD) && fds.next().is_some_and(|fd| fd >= STANDARD)
}
