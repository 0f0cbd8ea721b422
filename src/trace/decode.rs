//! Registers and memory of a stopped thread → arguments and results, as `table` says what they are.
//!
//! Everything read is untrusted: a pointer may lead nowhere, a length may be any number. What cannot be read is shown as the
//! pointer that it is, and no call reads more than its own structures and [`HEAD`] bytes of each part.

use std::borrow::Cow;

use super::{
    message, names, options,
    table::{Form, Kind, Syscall},
    waits,
};
use crate::{
    call::{Address, Data, Fd, HEAD},
    event::{Arg, Deed, Part},
};

/// The memory of a stopped process.
pub(super) trait Memory {
    /// Reads from an address of the process; returns how many bytes, counted from the start, could be read, 0 on a fault.
    fn read(&self, address: u64, buffer: &mut [u8]) -> usize;
}

/// What a call closes when it succeeds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Closes {
    /// Nothing.
    #[default]
    None,
    /// A descriptor, if it is open.
    Fd(Fd),
    /// All descriptors from the first to the last.
    Range(u32, u32),
}

/// A call as it is made.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Asked {
    /// Its name in section 2 of the manual.
    pub(super) name: Cow<'static, str>,
    /// What it does.
    pub(super) deed: Deed,
    /// The descriptor that it is about.
    pub(super) fd: Option<Fd>,
    /// What it closes.
    pub(super) closes: Closes,
    /// Where `splice` moves data: when that is the socket, [`Asked::sink_is_socket`] makes a [`Deed::Send`] of it.
    pub(super) sink: Option<Fd>,
    /// Its arguments.
    pub(super) args: Vec<Arg>,
    /// What it is to send.
    pub(super) parts: Vec<Part>,
    /// How much the kernel is to move by itself (`sendfile`, `splice`).
    moves: u64,
}

impl Asked {
    /// `splice` into a socket: it sends. Until this is said, `splice` takes from [`Asked::fd`].
    pub(super) fn sink_is_socket(&mut self) {
        self.deed = Deed::Send;
        self.fd = self.sink;
        self.parts.push(part(self.moves, Vec::new()));
    }
}

/// A call that has returned.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Answered {
    /// The value returned, or the error number.
    pub(super) result: Result<i64, i32>,
    /// Bytes of a stream that it moved.
    pub(super) moved: u64,
    /// What the kernel wrote into the caller's memory.
    pub(super) out: Vec<Arg>,
    /// What it received; the datagrams that it sent.
    pub(super) parts: Vec<Part>,
    /// Descriptors that it made.
    pub(super) new_fds: Vec<Fd>,
}

/// Decodes a call at its entry. `stream`: the socket is one of a stream. `None`: the call is not to be told of.
pub(super) fn asked(
    syscall: &Syscall,
    args: [u64; 6],
    memory: &dyn Memory,
    stream: bool,
) -> Option<Asked> {
    let form = syscall.form(&args)?;
    let mut asked = Asked {
        name: form.name.into(),
        deed: form.deed,
        fd: None,
        closes: Closes::None,
        sink: None,
        args: Vec::with_capacity(form.args.len()),
        parts: Vec::new(),
        moves: 0,
    };
    let call = Registers::of(form, args, memory, stream);
    for (n, &kind) in form.args.iter().enumerate() {
        if let Some(arg) = call.argument(kind, n, &mut asked) {
            asked.args.push(arg);
        }
    }
    if asked.deed == Deed::Send && asked.moves > 0 {
        asked.parts.push(part(asked.moves, Vec::new()));
    }
    Some(asked)
}

/// Decodes what a call returned, `value`. `asked` is what [`asked`] made of the same registers.
pub(super) fn answered(
    syscall: &Syscall,
    args: [u64; 6],
    value: i64,
    memory: &dyn Memory,
    asked: &Asked,
    stream: bool,
) -> Answered {
    let mut answered = Answered {
        result: result(value),
        moved: 0,
        out: Vec::new(),
        parts: Vec::new(),
        new_fds: Vec::new(),
    };
    let Some(form) = syscall.form(&args).filter(|_| answered.result.is_ok()) else {
        return answered;
    };
    if matches!(asked.deed, Deed::Send | Deed::Receive) && stream {
        answered.moved = value as u64;
    }
    let call = Registers::of(form, args, memory, stream);
    for (n, &kind) in form.args.iter().enumerate() {
        call.result(kind, n, value as u64, asked, &mut answered);
    }
    let is_fd = matches!(asked.deed, Deed::Open | Deed::Accept | Deed::Duplicate);
    if is_fd && !form.args.contains(&Kind::Pair) {
        answered.new_fds.push(value as Fd);
    }
    answered
}

/// What the value that a call returns means: the kernel's errors are numbers up to MAX_ERRNO.
pub(super) fn result(value: i64) -> Result<i64, i32> {
    match value {
        -4095..0 => Err(-value as i32),
        _ => Ok(value),
    }
}

/// A call's registers, what they are, and the memory that they point into.
struct Registers<'a> {
    kinds: &'static [Kind],
    args: [u64; 6],
    memory: &'a dyn Memory,
    stream: bool,
}

impl<'a> Registers<'a> {
    const fn of(form: &Form, args: [u64; 6], memory: &'a dyn Memory, stream: bool) -> Self {
        Self {
            kinds: form.args,
            args,
            memory,
            stream,
        }
    }

    /// Register `n`; 0 where there is none.
    fn at(&self, n: usize) -> u64 {
        self.args.get(n).copied().unwrap_or(0)
    }

    /// Argument `n` at the entry; `None`: it is not shown.
    fn argument(&self, kind: Kind, n: usize, asked: &mut Asked) -> Option<Arg> {
        let (register, next) = (self.at(n), self.at(n + 1));
        // An `int` is the lower half of its register.
        let int = register as i32;
        Some(match kind {
            Kind::Socket => {
                asked.fd = Some(int);
                Arg::Fd(int)
            }
            Kind::Closed => {
                asked.fd = Some(int);
                asked.closes = Closes::Fd(int);
                Arg::Fd(int)
            }
            Kind::Copy => {
                // A descriptor that is to become itself stays as it is (dup2(2)).
                if asked.fd != Some(int) {
                    asked.closes = Closes::Fd(int);
                }
                Arg::Fd(int)
            }
            Kind::First => {
                asked.closes = Closes::Range(register as u32, next as u32);
                Arg::Number(i64::from(register as u32))
            }
            Kind::Last if register as u32 == u32::MAX => Arg::Word("~0U".into()),
            Kind::Last => Arg::Number(i64::from(register as u32)),
            Kind::Sink => {
                asked.sink = Some(int);
                Arg::Fd(int)
            }
            Kind::Fd => Arg::Fd(int),
            Kind::Int | Kind::Millis | Kind::Sets => Arg::Number(i64::from(int)),
            Kind::Size => Arg::Number(register as i64),
            Kind::Moved => {
                asked.moves = register;
                Arg::Number(register as i64)
            }
            Kind::Constant(names) => names::constant(i64::from(int), names),
            Kind::Flags(names) => names::flags(register as u32, names),
            Kind::MessageFlags => {
                let peeks = libc::MSG_PEEK | libc::MSG_ERRQUEUE;
                if asked.deed == Deed::Receive && int & peeks != 0 {
                    asked.deed = Deed::Peek;
                }
                names::flags(register as u32, names::MESSAGE_FLAGS)
            }
            Kind::SocketType => names::socket_type(register as u32),
            Kind::Protocol => names::protocol(self.at(0) as i32, int),
            Kind::Address => {
                let arg = message::address(self.memory, register, next as u32);
                if let (Arg::Address(address), Some(part)) = (&arg, asked.parts.first_mut()) {
                    part.address.clone_from(address);
                }
                arg
            }
            Kind::Data => match head(self.memory, register, next) {
                Some(head) => {
                    asked.parts.push(part(next, head));
                    Arg::Data(0)
                }
                None => pointer(register),
            },
            Kind::Vector => match message::gathered(self.memory, register, next, u64::MAX) {
                Some((len, head)) => {
                    asked.parts.push(part(len, head));
                    Arg::Group(vec![Arg::Data(0)])
                }
                None => pointer(register),
            },
            Kind::Message => message::sent(self.memory, register, &mut asked.parts),
            Kind::Messages => message::all_sent(self.memory, register, next, &mut asked.parts),
            Kind::From(name) | Kind::Memory(name) => buffer(register, name),
            Kind::Buffer => buffer(register, "buffer"),
            Kind::Buffers => buffer(register, "buffers"),
            Kind::Received => buffer(register, "&message"),
            Kind::ReceivedMessages => buffer(register, "messages"),
            Kind::ValueOut => buffer(register, "&value"),
            Kind::Pair => buffer(register, "pair"),
            Kind::Events => buffer(register, "events"),
            Kind::Level => options::level(int),
            Kind::Name => options::name(self.at(n.wrapping_sub(1)) as i32, int),
            Kind::Value => {
                let option = (self.at(1) as i32, self.at(2) as i32);
                options::value(self.memory, option, register, next as u32)
                    .unwrap_or_else(|| pointer(register))
            }
            Kind::IntAt => word(self.memory, register).map_or_else(
                || pointer(register),
                |int| Arg::Group(vec![Arg::Number(i64::from(int as i32))]),
            ),
            Kind::Offset => bytes(self.memory, register).map_or_else(
                || pointer(register),
                |offset| Arg::Group(vec![Arg::Number(i64::from_ne_bytes(offset))]),
            ),
            Kind::Polls => waits::polls(self.memory, register, next),
            Kind::Set => waits::set(self.memory, register, self.at(0) as i32),
            Kind::Event => waits::event(self.memory, register),
            Kind::Timeval => self.time(register, "tv_usec"),
            Kind::Timespec => self.time(register, "tv_nsec"),
            Kind::Pointer => pointer(register),
            Kind::Unused => return None,
        })
    }

    /// What argument `n` was good for, once the call has returned `value`.
    fn result(&self, kind: Kind, n: usize, value: u64, asked: &Asked, answered: &mut Answered) {
        let (register, next) = (self.at(n), self.at(n + 1));
        match kind {
            Kind::Buffer => {
                let len = if self.discards() { 0 } else { value.min(next) };
                let head = head(self.memory, register, len).unwrap_or_default();
                let data = self.take(value, head, None, answered);
                answered.out.extend(data);
            }
            Kind::Buffers => {
                let gathered = message::gathered(self.memory, register, next, value);
                let head = gathered.unwrap_or_default().1;
                let data = self.take(value, head, None, answered);
                answered.out.extend(data);
            }
            Kind::Received => {
                let most = if self.discards() { 0 } else { value };
                let message = message::received(self.memory, register, most).unwrap_or_default();
                let args = self.take_message(value, message, answered);
                answered.out.extend(args);
            }
            Kind::ReceivedMessages => {
                let messages = message::all_received(self.memory, register, value);
                for (len, message) in messages {
                    let args = self.take_message(len, message, answered);
                    answered.out.push(Arg::Group(args));
                }
                if answered.moved > 0 {
                    answered.moved = answered.parts.iter().map(|part| part.data.len as u64).sum();
                }
            }
            Kind::From(_) => {
                // A stream has one sender, whose address the kernel need not write.
                let may_lack = asked.deed != Deed::Accept && self.stream;
                if let Some(address) = message::from(self.memory, register, next, may_lack) {
                    if let (Arg::Address(found), Some(part)) =
                        (&address, answered.parts.first_mut())
                    {
                        part.address.clone_from(found);
                    }
                    answered.out.push(address);
                }
            }
            Kind::Data | Kind::Vector | Kind::Message if !self.stream => {
                let address = asked.parts.first().and_then(|part| part.address.clone());
                answered.parts.push(Part {
                    address,
                    ..part(value, Vec::new())
                });
            }
            Kind::Messages => {
                let sent = message::lengths(self.memory, register, value);
                if self.stream {
                    answered.moved = sent.iter().sum();
                } else {
                    let parts = sent.iter().zip(&asked.parts).map(|(&len, asked)| Part {
                        address: asked.address.clone(),
                        ..part(len, Vec::new())
                    });
                    answered.parts.extend(parts);
                }
            }
            Kind::Moved if asked.deed == Deed::Receive && value > 0 => {
                answered.parts.push(part(value, Vec::new()));
            }
            Kind::ValueOut => {
                let option = (self.at(1) as i32, self.at(2) as i32);
                let size = word(self.memory, next).unwrap_or(0);
                let value = options::value(self.memory, option, register, size);
                answered.out.extend(value);
            }
            Kind::Pair => {
                if let Some(pair) = bytes::<8>(self.memory, register) {
                    let fd = |n: usize| word_at(&pair, n) as Fd;
                    answered.new_fds.extend([fd(0), fd(4)]);
                    let pair = answered.new_fds.iter().map(|&fd| Arg::Fd(fd)).collect();
                    answered.out.push(Arg::Group(pair));
                }
            }
            Kind::Polls if value > 0 => {
                answered.out.push(waits::ready(self.memory, register, next));
            }
            Kind::Set if value > 0 && register != 0 => {
                let set = waits::set(self.memory, register, self.at(0) as i32);
                answered.out.push(set);
            }
            Kind::Events if value > 0 => {
                answered
                    .out
                    .push(waits::events(self.memory, register, value));
            }
            _ => {}
        }
    }

    /// The time at an address.
    fn time(&self, at: u64, fraction: &str) -> Arg {
        let bytes = bytes::<16>(self.memory, at);
        bytes.map_or_else(|| pointer(at), |bytes| time(&bytes, fraction))
    }

    /// Bytes of a stream that `MSG_TRUNC` throws away are in nobody's memory (`tcp(7)`).
    fn discards(&self) -> bool {
        let place = self
            .kinds
            .iter()
            .position(|&kind| kind == Kind::MessageFlags);
        let flags = place.map_or(0, |n| self.at(n) as i32);
        self.stream && flags & libc::MSG_TRUNC != 0
    }

    /// Notes data that was received; returns what shows it. Nothing at all is the end of a stream; of datagrams it is an
    /// empty one.
    fn take(
        &self,
        len: u64,
        head: Vec<u8>,
        address: Option<Address>,
        answered: &mut Answered,
    ) -> Option<Arg> {
        if len == 0 && self.stream {
            return None;
        }
        let shown = len == 0 || !head.is_empty();
        let data = Arg::Data(answered.parts.len() as u32);
        answered.parts.push(Part {
            data: Data {
                len: len as usize,
                head,
            },
            address,
        });
        shown.then_some(data)
    }

    /// The same of data that came with a `struct msghdr`.
    fn take_message(
        &self,
        len: u64,
        message: message::Received,
        answered: &mut Answered,
    ) -> Vec<Arg> {
        let address = match &message.address {
            Some(Arg::Address(address)) => address.clone(),
            _ => None,
        };
        answered.new_fds.extend(message.fds);
        let data = self.take(len, message.head, address, answered);
        data.into_iter()
            .chain(message.address)
            .chain(message.more)
            .collect()
    }
}

/// A part without an address.
fn part(len: u64, head: Vec<u8>) -> Part {
    let data = Data {
        len: len as usize,
        head,
    };
    Part {
        data,
        address: None,
    }
}

/// The beginning of `len` bytes of data; `None`: the memory is not there.
pub(super) fn head(memory: &dyn Memory, address: u64, len: u64) -> Option<Vec<u8>> {
    let mut head = vec![0; len.min(HEAD as u64) as usize];
    if !head.is_empty() {
        let read = read(memory, address, &mut head);
        head.truncate(read);
        if read == 0 {
            return None;
        }
    }
    Some(head)
}

/// Memory for the kernel to write into.
fn buffer(address: u64, name: &'static str) -> Arg {
    match address {
        0 => pointer(0),
        _ => Arg::Memory(name.into()),
    }
}

/// A pointer to what cannot be read, or is not shown.
pub(super) fn pointer(address: u64) -> Arg {
    match address {
        0 => Arg::Word("NULL".into()),
        _ => Arg::Word(format!("{address:#x}").into()),
    }
}

/// Reads as much as there is. The memory's answer is not trusted either.
pub(super) fn read(memory: &dyn Memory, address: u64, buffer: &mut [u8]) -> usize {
    match address {
        0 => 0,
        _ => memory.read(address, buffer).min(buffer.len()),
    }
}

/// All of `N` bytes.
pub(super) fn bytes<const N: usize>(memory: &dyn Memory, address: u64) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    (read(memory, address, &mut bytes) == N).then_some(bytes)
}

/// An `int` or `socklen_t`.
pub(super) fn word(memory: &dyn Memory, address: u64) -> Option<u32> {
    bytes(memory, address).map(u32::from_ne_bytes)
}

/// The `int` at a place within bytes that were read; 0 beyond their end.
pub(super) fn word_at(bytes: &[u8], at: usize) -> u32 {
    let found = bytes.get(at..).and_then(|rest| rest.first_chunk());
    found.copied().map_or(0, u32::from_ne_bytes)
}

/// The `long`, or pointer, at a place within bytes that were read; 0 beyond their end.
pub(super) fn long_at(bytes: &[u8], at: usize) -> u64 {
    let found = bytes.get(at..).and_then(|rest| rest.first_chunk());
    found.copied().map_or(0, u64::from_ne_bytes)
}

/// A `struct timeval` or `timespec`: `{tv_sec=1, tv_usec=500000}`, the second member by its name.
pub(super) fn time(bytes: &[u8], fraction: &str) -> Arg {
    let (seconds, rest) = (long_at(bytes, 0) as i64, long_at(bytes, 8) as i64);
    Arg::Word(format!("{{tv_sec={seconds}, {fraction}={rest}}}").into())
}

#[cfg(test)]
mod tests;
