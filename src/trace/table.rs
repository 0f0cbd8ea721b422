//! The calls that are told of: one row a system call, which says what it does and what its arguments are.

use super::{
    Wanted,
    names::{self, Names},
};
use crate::{
    call::{Fd, How},
    event::Deed,
};

/// A system call.
#[derive(Debug)]
pub(super) struct Syscall {
    /// Its number on this machine.
    pub(super) number: i64,
    /// When a thread is stopped at it.
    stop: Stop,
    /// What it is, by its arguments: the first that fits. A call that none fits is not told of.
    forms: &'static [Form],
}

/// A system call with arguments of certain kinds.
#[derive(Debug)]
pub(super) struct Form {
    when: When,
    /// The name under which it is shown: `sendto` without an address is the `send` that the program wrote.
    pub(super) name: &'static str,
    /// What it does; [`Deed::Receive`] is looked at again when the flags are known.
    pub(super) deed: Deed,
    /// Its arguments, in order.
    pub(super) args: &'static [Kind],
}

/// Which threads are stopped at a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stop {
    /// All: the call is part of the socket API.
    Api,
    /// Those for which all calls are wanted and whose first argument is a descriptor above the standard three.
    File,
    /// Those for which all calls are wanted: the socket need not be the first argument.
    Any,
    /// Those for which waiting is wanted.
    Wait,
}

/// Which arguments a form needs.
#[derive(Clone, Copy, Debug)]
enum When {
    Always,
    /// Argument `n`, an `int`, has this value.
    Int(usize, i32),
    /// Argument `n`, a pointer or a `long`, has this value.
    Long(usize, i64),
}

/// What an argument is. Sizes and counts that belong to a pointer stand behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// The descriptor that the call is about.
    Socket,
    /// The same, and the call closes it.
    Closed,
    /// The first descriptor of a range that is closed; the last one is the next argument.
    First,
    /// The last descriptor of that range.
    Last,
    /// The descriptor that becomes a copy; what it was before is closed.
    Copy,
    /// The descriptor into which `splice` moves data.
    Sink,
    /// Any other descriptor.
    Fd,
    /// An `int`.
    Int,
    /// A `size_t` or `socklen_t`.
    Size,
    /// The `size_t` that says how much the kernel is to move by itself.
    Moved,
    /// A constant.
    Constant(&'static Names),
    /// Flags.
    Flags(&'static Names),
    /// Flags of `send` and `recv`.
    MessageFlags,
    /// The second argument of `socket`.
    SocketType,
    /// The third argument of `socket`.
    Protocol,
    /// An address for the kernel to read; its size follows.
    Address,
    /// Memory for an address, by its name; a pointer to its size follows.
    From(&'static str),
    /// Memory for the kernel to write into, by its name, that is not shown.
    Memory(&'static str),
    /// Data to send; its size follows.
    Data,
    /// Memory for data; its size follows.
    Buffer,
    /// `struct iovec` of data to send; their number follows.
    Vector,
    /// `struct iovec` of memory for data; their number follows.
    Buffers,
    /// A `struct msghdr` to send.
    Message,
    /// A `struct msghdr` to receive.
    Received,
    /// `struct mmsghdr` to send; their number follows.
    Messages,
    /// `struct mmsghdr` to receive; their number follows.
    ReceivedMessages,
    /// The level of an option; its name follows.
    Level,
    /// The name of an option.
    Name,
    /// The value of an option, for the kernel to read; its size follows.
    Value,
    /// Memory for the value of an option; a pointer to its size follows.
    ValueOut,
    /// Memory for two descriptors.
    Pair,
    /// A pointer to an `int`.
    IntAt,
    /// A pointer to a position in a file, or `NULL`.
    Offset,
    /// `struct pollfd`; their number follows.
    Polls,
    /// The number of descriptors in three sets, which follow.
    Sets,
    /// A `fd_set`.
    Set,
    /// A `struct epoll_event` for the kernel to read.
    Event,
    /// Memory for `struct epoll_event`.
    Events,
    /// A time in milliseconds; negative is for ever.
    Millis,
    /// A `struct timeval`; `NULL` is for ever.
    Timeval,
    /// A `struct timespec`; `NULL` is for ever.
    Timespec,
    /// A pointer to what is not shown.
    Pointer,
    /// A register that the call does not use here.
    Unused,
}

impl Syscall {
    /// What the call is with these arguments; `None`: not to be told of.
    pub(super) fn form(&self, args: &[u64; 6]) -> Option<&'static Form> {
        self.forms.iter().find(|form| match form.when {
            When::Always => true,
            // An `int` is the lower half of its register.
            When::Int(n, value) => args[n] as i32 == value,
            When::Long(n, value) => args[n] as i64 == value,
        })
    }

    /// It is part of the socket API.
    pub(super) fn is_api(&self) -> bool {
        self.stop == Stop::Api
    }

    /// The descriptors that the call may be about, read from the registers alone: it is worth decoding when one of them is
    /// a socket. Of a range (`close_range`) and of calls that have none (`socket`, `poll`), none are named.
    pub(super) fn descriptors(&self, args: &[u64; 6]) -> impl Iterator<Item = Fd> {
        let kinds = self.form(args).map_or(&[][..], |form| form.args);
        let is_one = |kind: &Kind| {
            matches!(
                kind,
                Kind::Socket | Kind::Closed | Kind::Copy | Kind::Sink | Kind::Fd
            )
        };
        let found = kinds
            .iter()
            .zip(*args)
            .filter(move |(kind, _)| is_one(kind));
        found.map(|(_, register)| register as Fd)
    }
}

/// The row of a system call, by its number.
pub(super) fn find(number: i64) -> Option<&'static Syscall> {
    let row = *INDEX.get(usize::try_from(number).ok()?)?;
    TABLE.get(usize::from(row.checked_sub(1)?))
}

/// Numbers of the calls at which a thread is to be stopped: always, and only when the first argument is 3 or more.
pub(super) fn filter_numbers(wanted: Wanted) -> (Vec<u32>, Vec<u32>) {
    let numbers = |is_wanted: fn(Stop, Wanted) -> bool| {
        let rows = TABLE.iter().filter(|row| is_wanted(row.stop, wanted));
        rows.map(|row| row.number as u32).collect()
    };
    (
        numbers(|stop, wanted| match stop {
            Stop::Api => true,
            Stop::Any => !wanted.net_only,
            Stop::Wait => wanted.waits,
            Stop::File => false,
        }),
        numbers(|stop, wanted| stop == Stop::File && !wanted.net_only),
    )
}

/// System calls have numbers below this.
const NUMBERS: usize = 512;

/// By number: the row in [`TABLE`], counted from 1. It is looked at for every stop.
static INDEX: [u8; NUMBERS] = {
    let mut index = [0; NUMBERS];
    let mut row = 0;
    while row < TABLE.len() {
        index[TABLE[row].number as usize] = row as u8 + 1;
        row += 1;
    }
    index
};

const fn call(number: i64, stop: Stop, forms: &'static [Form]) -> Syscall {
    Syscall {
        number,
        stop,
        forms,
    }
}

const fn form(name: &'static str, deed: Deed, args: &'static [Kind]) -> Form {
    form_when(When::Always, name, deed, args)
}

const fn form_when(when: When, name: &'static str, deed: Deed, args: &'static [Kind]) -> Form {
    Form {
        when,
        name,
        deed,
        args,
    }
}

/// `shutdown`, whose second argument decides what it does. What an invalid one would do does not matter: it fails.
const fn shutdown(when: When, how: How) -> Form {
    const ARGS: &[Kind] = &[Kind::Socket, Kind::Constant(names::HOW)];
    form_when(when, "shutdown", Deed::Shutdown(how), ARGS)
}

/// A command of `fcntl` or `ioctl`.
const fn command(name: &'static str, number: i32, deed: Deed, args: &'static [Kind]) -> Form {
    form_when(When::Int(1, number), name, deed, args)
}

#[rustfmt::skip]
static TABLE: &[Syscall] = {
    use Deed::{Accept, Bind, Close, Connect, Duplicate, Listen, Name as Named, Open, Option, Receive, Send, Wait};
    use Kind::*;
    use Stop::{Any, Api, File};
    const FCNTL: Kind = Constant(names::FCNTL);
    &[
        call(libc::SYS_socket, Api, &[form("socket", Open, &[Constant(names::FAMILIES), SocketType, Protocol])]),
        call(libc::SYS_socketpair, Api, &[form("socketpair", Open, &[Constant(names::FAMILIES), SocketType, Protocol, Pair])]),
        call(libc::SYS_bind, Api, &[form("bind", Bind, &[Socket, Address, Size])]),
        call(libc::SYS_listen, Api, &[form("listen", Listen, &[Socket, Int])]),
        call(libc::SYS_accept, Api, &[form("accept", Accept, &[Socket, From("&from"), Memory("&size")])]),
        call(libc::SYS_accept4, Api, &[form("accept4", Accept, &[Socket, From("&from"), Memory("&size"), Flags(names::SOCKET_FLAGS)])]),
        call(libc::SYS_connect, Api, &[form("connect", Connect, &[Socket, Address, Size])]),
        call(libc::SYS_sendto, Api, &[
            form_when(When::Long(4, 0), "send", Send, &[Socket, Data, Size, MessageFlags]),
            form("sendto", Send, &[Socket, Data, Size, MessageFlags, Address, Size]),
        ]),
        call(libc::SYS_recvfrom, Api, &[
            form_when(When::Long(4, 0), "recv", Receive, &[Socket, Buffer, Size, MessageFlags]),
            form("recvfrom", Receive, &[Socket, Buffer, Size, MessageFlags, From("&from"), Memory("&size")]),
        ]),
        call(libc::SYS_sendmsg, Api, &[form("sendmsg", Send, &[Socket, Message, MessageFlags])]),
        call(libc::SYS_sendmmsg, Api, &[form("sendmmsg", Send, &[Socket, Messages, Size, MessageFlags])]),
        call(libc::SYS_recvmsg, Api, &[form("recvmsg", Receive, &[Socket, Received, MessageFlags])]),
        call(libc::SYS_recvmmsg, Api, &[form("recvmmsg", Receive, &[Socket, ReceivedMessages, Size, MessageFlags, Timespec])]),
        call(libc::SYS_shutdown, Api, &[
            shutdown(When::Int(1, libc::SHUT_RD), How::Read),
            shutdown(When::Int(1, libc::SHUT_WR), How::Write),
            shutdown(When::Always, How::Both),
        ]),
        call(libc::SYS_getsockopt, Api, &[form("getsockopt", Option, &[Socket, Level, Name, ValueOut, Memory("&size")])]),
        call(libc::SYS_setsockopt, Api, &[form("setsockopt", Option, &[Socket, Level, Name, Value, Size])]),
        call(libc::SYS_getsockname, Api, &[form("getsockname", Named, &[Socket, From("&address"), Memory("&size")])]),
        call(libc::SYS_getpeername, Api, &[form("getpeername", Named, &[Socket, From("&address"), Memory("&size")])]),

        call(libc::SYS_read, File, &[form("read", Receive, &[Socket, Buffer, Size])]),
        call(libc::SYS_write, File, &[form("write", Send, &[Socket, Data, Size])]),
        call(libc::SYS_readv, File, &[form("readv", Receive, &[Socket, Buffers, Size])]),
        call(libc::SYS_writev, File, &[form("writev", Send, &[Socket, Vector, Size])]),
        // Sockets have no positions: with another one than -1, "here", these fail. The fifth argument is unused on 64-bit machines.
        call(libc::SYS_preadv2, File, &[form_when(When::Long(3, -1), "preadv2", Receive, &[Socket, Buffers, Size, Int, Unused, Flags(names::RW_FLAGS)])]),
        call(libc::SYS_pwritev2, File, &[form_when(When::Long(3, -1), "pwritev2", Send, &[Socket, Vector, Size, Int, Unused, Flags(names::RW_FLAGS)])]),
        call(libc::SYS_sendfile, File, &[form("sendfile", Send, &[Socket, Fd, Offset, Moved])]),
        call(libc::SYS_splice, Any, &[form("splice", Receive, &[Socket, Offset, Sink, Offset, Moved, Flags(names::SPLICE_FLAGS)])]),
        call(libc::SYS_close, File, &[form("close", Close, &[Closed])]),
        // With CLOSE_RANGE_CLOEXEC it closes nothing yet.
        call(libc::SYS_close_range, Any, &[
            form_when(When::Int(2, 0), "close_range", Close, &[First, Last, Int]),
            form_when(When::Int(2, libc::CLOSE_RANGE_UNSHARE as i32), "close_range", Close, &[First, Last, Flags(names::CLOSE_RANGE_FLAGS)]),
        ]),
        call(libc::SYS_dup, File, &[form("dup", Duplicate, &[Socket])]),
        #[cfg(target_arch = "x86_64")]
        call(libc::SYS_dup2, Any, &[form("dup2", Duplicate, &[Socket, Copy])]),
        call(libc::SYS_dup3, Any, &[form("dup3", Duplicate, &[Socket, Copy, Flags(names::OPEN_FLAGS)])]),
        call(libc::SYS_fcntl, File, &[
            command("fcntl", libc::F_DUPFD, Duplicate, &[Socket, FCNTL, Int]),
            command("fcntl", libc::F_DUPFD_CLOEXEC, Duplicate, &[Socket, FCNTL, Int]),
            command("fcntl", libc::F_SETFL, Option, &[Socket, FCNTL, Flags(names::OPEN_FLAGS)]),
        ]),
        call(libc::SYS_ioctl, File, &[
            command("ioctl", libc::FIONBIO as i32, Option, &[Socket, Constant(names::IOCTL), IntAt]),
        ]),

        #[cfg(target_arch = "x86_64")]
        call(libc::SYS_poll, Stop::Wait, &[form("poll", Wait, &[Polls, Size, Millis])]),
        call(libc::SYS_ppoll, Stop::Wait, &[form("ppoll", Wait, &[Polls, Size, Timespec, Pointer])]),
        #[cfg(target_arch = "x86_64")]
        call(libc::SYS_select, Stop::Wait, &[form("select", Wait, &[Sets, Set, Set, Set, Timeval])]),
        call(libc::SYS_pselect6, Stop::Wait, &[form("pselect6", Wait, &[Sets, Set, Set, Set, Timespec, Pointer])]),
        #[cfg(target_arch = "x86_64")]
        call(libc::SYS_epoll_wait, Stop::Wait, &[form("epoll_wait", Wait, &[Fd, Events, Int, Millis])]),
        call(libc::SYS_epoll_pwait, Stop::Wait, &[form("epoll_pwait", Wait, &[Fd, Events, Int, Millis, Pointer])]),
        call(libc::SYS_epoll_pwait2, Stop::Wait, &[form("epoll_pwait2", Wait, &[Fd, Events, Int, Timespec, Pointer])]),
        call(libc::SYS_epoll_ctl, Stop::Wait, &[form("epoll_ctl", Option, &[Fd, Constant(names::EPOLL_OPERATIONS), Socket, Event])]),
    ]
};

#[cfg(test)]
mod tests {
    use super::*;

    fn name(number: i64) -> Option<&'static str> {
        find(number)?.forms.last().map(|form| form.name)
    }

    #[test]
    fn a_row_is_found_by_its_number() {
        for row in TABLE {
            let expected = row.forms.last().map(|form| form.name);
            assert!(expected.is_some() && name(row.number) == expected);
        }
        assert_eq!(TABLE.iter().map(|row| row.number).max(), Some(441));
    }

    /// As the kernel's table for the machine has them (`syscall_64.tbl`).
    #[cfg(target_arch = "x86_64")]
    #[test]
    fn numbers_are_the_kernels() {
        let names = |numbers: &[i64]| -> Vec<&str> {
            let names = numbers.iter().map(|n| name(*n).unwrap_or("none"));
            names.collect()
        };
        assert_eq!(
            names(&[0, 1, 2, 3, 7, 16, 19, 20, 23, 32, 33, 39, 40]),
            [
                "read", "write", "none", "close", "poll", "ioctl", "readv", "writev", "select",
                "dup", "dup2", "none", "sendfile"
            ]
        );
        assert_eq!(
            names(&[41, 42, 43, 44, 45, 46, 47, 48, 49, 50, 51, 52, 53, 54, 55]),
            [
                "socket",
                "connect",
                "accept",
                "sendto",
                "recvfrom",
                "sendmsg",
                "recvmsg",
                "shutdown",
                "bind",
                "listen",
                "getsockname",
                "getpeername",
                "socketpair",
                "setsockopt",
                "getsockopt"
            ]
        );
        assert_eq!(
            names(&[
                72, 232, 233, 270, 271, 275, 281, 288, 292, 299, 307, 327, 328, 436, 441
            ]),
            [
                "fcntl",
                "epoll_wait",
                "epoll_ctl",
                "pselect6",
                "ppoll",
                "splice",
                "epoll_pwait",
                "accept4",
                "dup3",
                "recvmmsg",
                "sendmmsg",
                "preadv2",
                "pwritev2",
                "close_range",
                "epoll_pwait2"
            ]
        );
    }

    #[test]
    fn only_what_is_wanted_stops_a_thread() {
        let wanted = |net_only, waits| filter_numbers(Wanted { net_only, waits });
        let has = |numbers: &[u32], number: i64| numbers.contains(&(number as u32));
        let (always, above) = wanted(false, false);
        assert!(has(&always, libc::SYS_sendto) && has(&always, libc::SYS_dup3));
        assert!(has(&above, libc::SYS_write) && !has(&always, libc::SYS_write));
        assert!(!has(&always, libc::SYS_ppoll));
        let (always, above) = wanted(true, true);
        assert!(has(&always, libc::SYS_sendto) && has(&always, libc::SYS_ppoll));
        assert!(above.is_empty() && !has(&always, libc::SYS_dup3));
    }

    /// Waiting that finds nothing is put together; a change of what is waited for is not.
    #[test]
    fn epoll_ctl_sets_and_does_not_wait() {
        let deed = |number| Some(find(number)?.form(&[0; 6])?.deed);
        assert_eq!(deed(libc::SYS_epoll_ctl), Some(Deed::Option));
        assert_eq!(deed(libc::SYS_epoll_pwait), Some(Deed::Wait));
    }
}
