//! Which of a process's descriptors are sockets, as far as its calls have told.

use std::collections::HashMap;

use crate::{call::Fd, event::SocketId};

/// A table of descriptors; threads, and processes made with `CLONE_FILES`, share one.
#[derive(Clone, Debug, Default)]
pub(super) struct Descriptors(HashMap<Fd, Slot>);

/// What a descriptor means.
#[derive(Clone, Copy, Debug)]
struct Slot {
    /// The socket, or something else.
    socket: Option<SocketId>,
    /// It is not to be looked at again.
    sure: bool,
}

/// Calls on standard input and output pass the filter, `close` among them: what these mean is never sure.
const STANDARD: Fd = 3;

impl Descriptors {
    /// What `fd` means, where that is sure.
    pub(super) fn known(&self, fd: Fd) -> Option<Option<SocketId>> {
        let slot = self.0.get(&fd)?;
        slot.sure.then_some(slot.socket)
    }

    /// `fd` is believed to be a socket, and may be something else by now.
    pub(super) fn doubted(&self, fd: Fd) -> bool {
        let slot = self.0.get(&fd);
        slot.is_some_and(|slot| slot.socket.is_some() && !slot.sure)
    }

    /// `fd` was looked at, or has just been made. `sure`: what closes it will be seen.
    pub(super) fn set(&mut self, fd: Fd, socket: Option<SocketId>, sure: bool) {
        let sure = sure && fd >= STANDARD;
        self.0.insert(fd, Slot { socket, sure });
    }

    /// A thread is about to close `fd`: from now on nobody knows what it means.
    pub(super) fn doubt(&mut self, fd: Fd) {
        match self.0.get_mut(&fd) {
            Some(slot) if slot.socket.is_some() => slot.sure = false,
            Some(_) => drop(self.0.remove(&fd)),
            None => {}
        }
    }

    /// `fd` was closed, when it meant `socket`; another thread may have got the number since then.
    pub(super) fn closed(&mut self, fd: Fd, socket: SocketId) {
        if self.0.get(&fd).is_some_and(|s| s.socket == Some(socket)) {
            self.0.remove(&fd);
        }
    }

    /// The table of a new process. What other threads were about to change at its making is not known.
    pub(super) fn copied(&self) -> Self {
        let mut copy = self.clone();
        copy.keep_sockets();
        copy
    }

    /// Forgets what is no socket, and that the rest was sure.
    pub(super) fn keep_sockets(&mut self) {
        self.0.retain(|_, slot| slot.socket.is_some());
        self.0.values_mut().for_each(|slot| slot.sure = false);
    }

    /// The descriptors from `first` to `last` that are, or were, sockets; in order.
    pub(super) fn sockets(&self, first: u32, last: u32) -> Vec<Fd> {
        let inside = |fd: Fd| u32::try_from(fd).is_ok_and(|fd| (first..=last).contains(&fd));
        let sockets = self.0.iter().filter(|(_, slot)| slot.socket.is_some());
        let mut found: Vec<Fd> = sockets
            .map(|(&fd, _)| fd)
            .filter(|&fd| inside(fd))
            .collect();
        found.sort_unstable();
        found
    }

    /// A thread is about to close all from `first` to `last`.
    pub(super) fn doubt_all(&mut self, first: u32, last: u32) {
        let inside = |fd: Fd| u32::try_from(fd).is_ok_and(|fd| (first..=last).contains(&fd));
        self.0.retain(|&fd, slot| {
            slot.sure &= !inside(fd);
            slot.socket.is_some() || !inside(fd)
        });
    }

    /// `fd` has just been made.
    pub(super) fn forget(&mut self, fd: Fd) {
        self.0.remove(&fd);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_that_another_thread_got_is_not_closed() {
        let mut table = Descriptors::default();
        table.set(5, Some(1), true);
        assert_eq!(table.known(5), Some(Some(1)));
        table.doubt(5);
        assert_eq!(table.known(5), None);
        // Between the closing and its report another thread opens a socket, and gets 5.
        table.set(5, Some(2), true);
        table.closed(5, 1);
        assert_eq!(table.known(5), Some(Some(2)));
        table.closed(5, 2);
        assert_eq!(table.known(5), None);
        assert!(table.sockets(0, u32::MAX).is_empty());
    }

    #[test]
    fn a_child_looks_again() {
        let mut table = Descriptors::default();
        table.set(3, None, true);
        table.set(5, Some(1), true);
        let child = table.copied();
        assert_eq!((child.known(3), child.known(5)), (None, None));
        assert_eq!(child.sockets(0, u32::MAX), [5]);
        assert_eq!(table.known(3), Some(None));
    }

    #[test]
    fn standard_descriptors_are_never_sure() {
        let mut table = Descriptors::default();
        table.set(0, Some(1), true);
        assert_eq!(table.known(0), None);
        assert_eq!(table.sockets(0, 2), [0]);
    }

    #[test]
    fn a_range_is_closed_within_its_bounds() {
        let mut table = Descriptors::default();
        for fd in 3..9 {
            table.set(fd, (fd % 2 == 0).then_some(1), true);
        }
        table.set(-1, Some(9), true);
        table.doubt_all(4, 6);
        assert_eq!(table.sockets(4, 6), [4, 6]);
        let known = [3, 4, 5, 6, 7, 8].map(|fd| table.known(fd));
        assert_eq!(
            known,
            [Some(None), None, None, None, Some(None), Some(Some(1))]
        );
    }
}
