//! Structures that carry data and addresses across the border to the kernel: `iovec`, `msghdr`, `mmsghdr`, `cmsghdr`.

use super::{
    decode::{self, Memory, long_at, pointer, word_at},
    names, options, sockaddr,
};
use crate::{
    call::{Data, Fd, HEAD},
    event::{Arg, Part},
};

/// The kernel takes no more `iovec`s, and no more messages, at once (`UIO_MAXIOV`).
const MOST: u64 = 1024;

/// Bytes of control data that are looked at: enough for the most descriptors that one message passes (253).
const CONTROL: u64 = 4096;

/// Control messages of one message that are looked at: there are not that many kinds for any socket.
const CONTROLS: usize = 16;

/// Bytes of `struct iovec`.
const IOVEC: usize = size_of::<libc::iovec>();
/// Bytes of `struct msghdr`.
const HEADER: usize = size_of::<libc::msghdr>();
/// Bytes of `struct mmsghdr`: a `msghdr`, and how many bytes of it were sent or received.
const ENTRY: usize = size_of::<libc::mmsghdr>();

/// An address that the caller gives, of `size` bytes as it says.
pub(super) fn address(memory: &dyn Memory, at: u64, size: u32) -> Arg {
    let mut bytes = [0; sockaddr::LONGEST];
    // The kernel takes the size as an int and refuses negative ones.
    let size = usize::try_from(size as i32).map_or(0, |size| size.min(bytes.len()));
    match (at, decode::read(memory, at, &mut bytes[..size])) {
        (0, _) => Arg::Address(None),
        (_, 0) => pointer(at),
        (_, read) => sockaddr::arg(&bytes[..read]),
    }
}

/// An address that the kernel wrote, with its size at `size_at`. `may_lack`: the kernel may have written none, which only
/// the size tells.
pub(super) fn from(memory: &dyn Memory, at: u64, size_at: u64, may_lack: bool) -> Option<Arg> {
    let mut bytes = [0; sockaddr::LONGEST];
    if at == 0 {
        return None;
    }
    if !may_lack {
        // One reading is enough where the family tells the size.
        let read = decode::read(memory, at, &mut bytes[..sockaddr::IP]);
        let family = sockaddr::family(&bytes[..read]).map(i32::from);
        if matches!(family, Some(libc::AF_INET | libc::AF_INET6)) {
            return Some(sockaddr::arg(&bytes[..read]));
        }
    }
    let size = decode::word(memory, size_at)?;
    written(memory, at, size)
}

/// An address that the kernel wrote, of `size` bytes.
fn written(memory: &dyn Memory, at: u64, size: u32) -> Option<Arg> {
    match size {
        0 => None,
        _ => Some(address(memory, at, size)).filter(|arg| *arg != Arg::Address(None)),
    }
}

/// How many bytes `count` `iovec`s hold, at most `most`, and how these begin. `None`: the structures are not there.
pub(super) fn gathered(
    memory: &dyn Memory,
    at: u64,
    count: u64,
    most: u64,
) -> Option<(u64, Vec<u8>)> {
    if count > MOST {
        return None;
    }
    let mut left = most;
    let mut head = Vec::new();
    let mut room = HEAD as u64;
    let mut bytes = [0; 32 * IOVEC];
    let mut next = at;
    let mut count = count as usize;
    while count > 0 && left > 0 {
        let wanted = &mut bytes[..count.min(32) * IOVEC];
        if decode::read(memory, next, wanted) < wanted.len() {
            return None;
        }
        for iovec in wanted.chunks_exact(IOVEC) {
            let len = long_at(iovec, 8).min(left);
            left -= len;
            let wanted = len.min(room);
            if wanted > 0 {
                let piece = decode::head(memory, long_at(iovec, 0), wanted)?;
                // What lies behind a gap does not continue the head.
                let is_whole = piece.len() as u64 == wanted;
                room = if is_whole { room - wanted } else { 0 };
                if head.is_empty() {
                    head = piece;
                } else {
                    head.extend(piece);
                }
            }
        }
        count -= wanted.len() / IOVEC;
        next = next.wrapping_add(wanted.len() as u64);
    }
    Some((most - left, head))
}

/// A message to send: `{address, data, control}`, as far as there are such.
pub(super) fn sent(memory: &dyn Memory, at: u64, parts: &mut Vec<Part>) -> Arg {
    let header = decode::bytes::<HEADER>(memory, at);
    header.map_or_else(|| pointer(at), |header| group(memory, &header, parts))
}

/// Messages to send, each `{address, data, control}`.
pub(super) fn all_sent(memory: &dyn Memory, at: u64, count: u64, parts: &mut Vec<Part>) -> Arg {
    let entries = entries(memory, at, count);
    if entries.is_empty() {
        return pointer(at);
    }
    let messages = entries.chunks_exact(ENTRY);
    Arg::Group(
        messages
            .map(|header| group(memory, header, parts))
            .collect(),
    )
}

/// How many bytes of the first `count` messages were sent.
pub(super) fn lengths(memory: &dyn Memory, at: u64, count: u64) -> Vec<u64> {
    let entries = entries(memory, at, count);
    entries.chunks_exact(ENTRY).map(length).collect()
}

/// `msg_len`.
fn length(entry: &[u8]) -> u64 {
    u64::from(word_at(entry, HEADER))
}

/// `struct mmsghdr`s, as many as can be read; the kernel takes no more than [`MOST`].
fn entries(memory: &dyn Memory, at: u64, count: u64) -> Vec<u8> {
    let mut bytes = vec![0; count.min(MOST) as usize * ENTRY];
    let read = decode::read(memory, at, &mut bytes);
    bytes.truncate(read);
    bytes
}

fn group(memory: &dyn Memory, header: &[u8], parts: &mut Vec<Part>) -> Arg {
    let header = Header::of(header);
    let mut args = Vec::with_capacity(2);
    let mut to = None;
    if header.name != 0 {
        let arg = address(memory, header.name, header.name_len);
        if let Arg::Address(address) = &arg {
            to.clone_from(address);
        }
        args.push(arg);
    }
    match gathered(memory, header.iov, header.iov_len, u64::MAX) {
        Some((len, head)) => {
            args.push(Arg::Data(parts.len() as u32));
            let data = Data {
                len: len as usize,
                head,
            };
            parts.push(Part { data, address: to });
        }
        None => args.push(pointer(header.iov)),
    }
    control(memory, &header, &mut args, &mut Vec::new());
    Arg::Group(args)
}

/// What came with a message.
#[derive(Default)]
pub(super) struct Received {
    /// How its data begins.
    pub(super) head: Vec<u8>,
    /// Its sender.
    pub(super) address: Option<Arg>,
    /// Control data, and flags.
    pub(super) more: Vec<Arg>,
    /// Descriptors that came with it.
    pub(super) fds: Vec<Fd>,
}

/// The message that `recvmsg` received, with `len` bytes in the buffers. `None`: the structure is not there.
pub(super) fn received(memory: &dyn Memory, at: u64, len: u64) -> Option<Received> {
    let header = decode::bytes::<HEADER>(memory, at)?;
    Some(one_received(memory, &header, len))
}

/// The messages that `recvmmsg` received, each with its length.
pub(super) fn all_received(memory: &dyn Memory, at: u64, count: u64) -> Vec<(u64, Received)> {
    let entries = entries(memory, at, count);
    let messages = entries.chunks_exact(ENTRY);
    messages
        .map(|entry| (length(entry), one_received(memory, entry, length(entry))))
        .collect()
}

fn one_received(memory: &dyn Memory, header: &[u8], len: u64) -> Received {
    let header = Header::of(header);
    let mut received = Received {
        head: gathered(memory, header.iov, header.iov_len, len)
            .unwrap_or_default()
            .1,
        address: written(memory, header.name, header.name_len),
        ..Received::default()
    };
    control(memory, &header, &mut received.more, &mut received.fds);
    // That the caller asked for close-on-exec is in the flags of the call already.
    let flags = header.flags & !(libc::MSG_CMSG_CLOEXEC as u32);
    if flags != 0 {
        received
            .more
            .push(names::flags(flags, names::MESSAGE_FLAGS));
    }
    received
}

/// Control messages (`cmsg(3)`), each with its name, and the descriptors among them.
fn control(memory: &dyn Memory, header: &Header, args: &mut Vec<Arg>, fds: &mut Vec<Fd>) {
    const PREFIX: usize = 16;
    if header.control == 0 || header.control_len < PREFIX as u64 {
        return;
    }
    let mut bytes = vec![0; header.control_len.min(CONTROL) as usize];
    let read = decode::read(memory, header.control, &mut bytes);
    let mut rest = &bytes[..read];
    for _ in 0..CONTROLS {
        if rest.len() < PREFIX {
            return;
        }
        let len = usize::try_from(long_at(rest, 0)).unwrap_or(usize::MAX);
        let Some(data) = rest.get(PREFIX..len) else {
            return;
        };
        let (level, kind) = (word_at(rest, 8) as i32, word_at(rest, 12) as i32);
        if (level, kind) == (libc::SOL_SOCKET, libc::SCM_RIGHTS) {
            let passed = data.chunks_exact(4).map(|fd| word_at(fd, 0) as Fd);
            fds.extend(passed.clone());
            let passed = Arg::Group(passed.map(Arg::Fd).collect());
            args.push(Arg::Group(vec![Arg::Word("SCM_RIGHTS".into()), passed]));
        } else {
            args.push(options::control(level, kind, data));
        }
        // Each begins where a `long` may.
        rest = rest.get(len.next_multiple_of(8)..).unwrap_or(&[]);
    }
}

/// A `struct msghdr` of a 64-bit program.
struct Header {
    name: u64,
    name_len: u32,
    iov: u64,
    iov_len: u64,
    control: u64,
    control_len: u64,
    flags: u32,
}

impl Header {
    fn of(bytes: &[u8]) -> Self {
        Self {
            name: long_at(bytes, 0),
            name_len: word_at(bytes, 8),
            iov: long_at(bytes, 16),
            iov_len: long_at(bytes, 24),
            control: long_at(bytes, 32),
            control_len: long_at(bytes, 40),
            flags: word_at(bytes, 48),
        }
    }
}
