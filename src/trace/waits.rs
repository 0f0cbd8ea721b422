//! What `poll`, `select` and `epoll` wait for, and what became ready.

use super::{
    decode::{self, Memory, long_at, pointer, word_at},
    names,
};
use crate::event::Arg;

/// Entries of an array, and descriptors of a set, that are shown.
const SHOWN: usize = 64;

/// Entries of an array that are looked at.
const MOST: usize = 1024;

/// Bytes of `struct pollfd`: a descriptor, what is waited for, and what came of it.
const POLL: usize = size_of::<libc::pollfd>();

/// Bytes of `struct epoll_event`, which is packed on some machines.
const EVENT: usize = size_of::<libc::epoll_event>();
/// Where its data begins.
const EVENT_DATA: usize = EVENT - 8;

/// `{{3, POLLIN}, {4, POLLIN|POLLOUT}}`.
pub(super) fn polls(memory: &dyn Memory, at: u64, count: u64) -> Arg {
    poll_array(memory, at, count, 4)
}

/// The same of those that became ready, and with what.
pub(super) fn ready(memory: &dyn Memory, at: u64, count: u64) -> Arg {
    poll_array(memory, at, count, 6)
}

/// The entries that have events in the `short` at `events`.
fn poll_array(memory: &dyn Memory, at: u64, count: u64, events: usize) -> Arg {
    let Some(bytes) = array(memory, at, count, POLL) else {
        return pointer(at);
    };
    let entries = bytes.chunks_exact(POLL).map(|entry| {
        let bits = u16::from_ne_bytes([entry[events], entry[events + 1]]);
        (word_at(entry, 0) as i32, bits)
    });
    let entries = entries.filter(|(_, bits)| events == 4 || *bits != 0);
    let words = entries.map(|(fd, bits)| {
        let bits = names::flags(u32::from(bits), names::POLL_EVENTS);
        Arg::Group(vec![Arg::Fd(fd), bits])
    });
    Arg::Group(words.take(SHOWN).collect())
}

/// `{EPOLLIN, 5}`: events, and the number that the program keeps with them.
pub(super) fn event(memory: &dyn Memory, at: u64) -> Arg {
    decode::bytes::<EVENT>(memory, at).map_or_else(|| pointer(at), |bytes| one_event(&bytes))
}

/// The first `count` of an array of events.
pub(super) fn events(memory: &dyn Memory, at: u64, count: u64) -> Arg {
    let Some(bytes) = array(memory, at, count, EVENT) else {
        return pointer(at);
    };
    Arg::Group(
        bytes
            .chunks_exact(EVENT)
            .take(SHOWN)
            .map(one_event)
            .collect(),
    )
}

fn one_event(bytes: &[u8]) -> Arg {
    let bits = names::flags(word_at(bytes, 0), names::EPOLL_EVENTS);
    let data = long_at(bytes, EVENT_DATA);
    // Small numbers are most often descriptors, large ones pointers.
    let data = match i32::try_from(data) {
        Ok(number) => Arg::Number(i64::from(number)),
        Err(_) => pointer(data),
    };
    Arg::Group(vec![bits, data])
}

/// A `fd_set` of which `count` bits count: `{3, 4}`.
pub(super) fn set(memory: &dyn Memory, at: u64, count: i32) -> Arg {
    let count = usize::try_from(count).map_or(0, |count| count.min(libc::FD_SETSIZE));
    // The set is an array of `long`s.
    let mut bytes = [0; libc::FD_SETSIZE / 8];
    let bytes = &mut bytes[..count.div_ceil(64) * 8];
    if at == 0 || decode::read(memory, at, bytes) < bytes.len() {
        return pointer(at);
    }
    let is_set = |fd: &usize| {
        let long = long_at(bytes, fd / 64 * 8);
        long >> (fd % 64) & 1 == 1
    };
    let members = (0..count).filter(is_set).map(|fd| Arg::Fd(fd as i32));
    Arg::Group(members.take(SHOWN).collect())
}

/// An array of `count` structures of `size` bytes, or its first [`MOST`]; `None`: it cannot be read.
fn array(memory: &dyn Memory, at: u64, count: u64, size: usize) -> Option<Vec<u8>> {
    let mut bytes = vec![0; count.min(MOST as u64) as usize * size];
    let read = decode::read(memory, at, &mut bytes);
    (read == bytes.len()).then_some(bytes)
}
