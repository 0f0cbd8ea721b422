//! Calls as C programs make them: names, constants and order of arguments are those of the manual pages.

use super::{list, or_any, readable, rest, sockaddr, text};
use crate::call::{Address, Answer, Call, Choice, Errno, Family, How, Kind};

/// The call with its arguments. Memory for the kernel to write into has a name; what it wrote stands behind the call.
pub(super) fn asked(call: &Call) -> String {
    match call {
        Call::GetAddrInfo { node, service } => format!(
            "getaddrinfo(\"{}\", \"{}\", &hints, &list)",
            readable(node.as_bytes()),
            readable(service.as_bytes())
        ),
        Call::Socket { family, kind } => {
            format!(
                "socket({}, {}, 0)",
                self::family(*family),
                self::kind(*kind)
            )
        }
        Call::SetSockOpt { fd, choice, value } => {
            let (level, name) = option(*choice);
            let (value, size) = option_value(*choice, *value);
            format!("setsockopt({fd}, {level}, {name}, {{{value}}}, {size})")
        }
        Call::Bind { fd, address } => format!("bind({fd}, {})", sized(address)),
        Call::Listen { fd, backlog } => format!("listen({fd}, {backlog})"),
        Call::Accept { fd } => format!("accept({fd}, &from, &size)"),
        Call::Connect { fd, address } => format!("connect({fd}, {})", sized(address)),
        Call::Send { fd, data, now } => {
            let wait = if *now { "MSG_DONTWAIT|" } else { "" };
            let (text, len) = (text(data), data.len);
            format!("send({fd}, {text}, {len}, {wait}MSG_NOSIGNAL)")
        }
        Call::SendTo { fd, data, to } => format!(
            "sendto({fd}, {}, {}, MSG_NOSIGNAL, {})",
            text(data),
            data.len,
            sized(to)
        ),
        Call::Recv { fd, size } => format!("recv({fd}, buffer, {size}, 0)"),
        Call::RecvFrom { fd, size } => format!("recvfrom({fd}, buffer, {size}, 0, &from, &size)"),
        Call::Shutdown { fd, how } => format!("shutdown({fd}, {})", self::how(*how)),
        Call::Close { fd } => format!("close({fd})"),
        Call::Poll { fds, timeout } => {
            let (listed, timeout) = (list(fds, i32::to_string), or_any(*timeout));
            format!("poll({{{listed}}}, {}, {timeout})", fds.len())
        }
        Call::GetSockName { fd } => format!("getsockname({fd}, &address, &size)"),
        Call::GetPeerName { fd } => format!("getpeername({fd}, &address, &size)"),
        Call::Fork => "fork()".to_owned(),
        Call::WaitPid { process } => format!("waitpid({}, &status, 0)", or_any(*process)),
    }
}

/// The value returned, and what the kernel wrote into the caller's memory.
pub(super) fn answer(answer: &Answer) -> String {
    match answer {
        Answer::Done => "0".to_owned(),
        Answer::Count(count) => count.to_string(),
        Answer::Fd(fd) => fd.to_string(),
        Answer::Accepted(fd, from) => format!("{fd} {}", spelled(from)),
        Answer::Data(data) if data.len == 0 => "0".to_owned(),
        Answer::Data(data) => format!("{} {}", data.len, text(data)),
        Answer::Datagram(data, from, cut) => {
            let cut = rest(*cut);
            format!("{} {}{cut} {}", data.len, text(data), spelled(from))
        }
        Answer::Ready(fds) if fds.is_empty() => "0".to_owned(),
        Answer::Ready(fds) => format!("{} {{{}}}", fds.len(), list(fds, i32::to_string)),
        Answer::Address(address) => format!("0 {}", spelled(address)),
        Answer::Addresses(addresses) => format!("0 {{{}}}", list(addresses, ToString::to_string)),
        Answer::Process(process) => process.to_string(),
    }
}

/// Why the call failed: `-1 ECONNREFUSED (connection refused)`.
pub(super) fn error(call: &Call, error: i32) -> String {
    if matches!(call, Call::GetAddrInfo { .. }) && error < 0 {
        let (name, words) = look_up(error);
        return format!("{name} ({words})");
    }
    format!("-1 {}", Errno(error))
}

/// Name and meaning of an error of `getaddrinfo(3)`.
pub(super) fn look_up(error: i32) -> (&'static str, &'static str) {
    const ERRORS: &[(i32, &str, &str)] = &[
        (
            libc::EAI_AGAIN,
            "EAI_AGAIN",
            "no name server answered; try again",
        ),
        (
            libc::EAI_FAIL,
            "EAI_FAIL",
            "the name server refused to answer",
        ),
        (
            libc::EAI_FAMILY,
            "EAI_FAMILY",
            "no such address family here",
        ),
        (libc::EAI_MEMORY, "EAI_MEMORY", "out of memory"),
        (
            libc::EAI_NODATA,
            "EAI_NODATA",
            "the name has no address of this kind",
        ),
        (libc::EAI_NONAME, "EAI_NONAME", "no such name"),
        (libc::EAI_SERVICE, "EAI_SERVICE", "no such service"),
        (libc::EAI_SOCKTYPE, "EAI_SOCKTYPE", "no such kind of socket"),
        (libc::EAI_SYSTEM, "EAI_SYSTEM", "a system call failed"),
    ];
    let found = ERRORS.iter().find(|(number, ..)| *number == error);
    found.map_or(("EAI_?", "the look-up failed"), |(_, name, words)| {
        (name, words)
    })
}

/// `{AF_INET, 127.0.0.1:5000}`, `{AF_UNIX, "/tmp/chat"}`, `{AF_UNIX, @"chat"}`.
pub(super) fn spelled(address: &Address) -> String {
    let family = family(address.family());
    match address {
        Address::Ip(address) => format!("{{{family}, {address}}}"),
        Address::Path(path) => {
            let path = path.as_os_str().as_encoded_bytes();
            format!("{{{family}, \"{}\"}}", readable(path))
        }
        Address::Abstract(name) => format!("{{{family}, @\"{}\"}}", readable(name)),
        Address::Unnamed => format!("{{{family}}}"),
    }
}

/// An address and its size, in bytes.
fn sized(address: &Address) -> String {
    format!("{}, {}", spelled(address), sockaddr::size(address))
}

/// `AF_INET`; Python has the same names.
pub(super) const fn family(family: Family) -> &'static str {
    match family {
        Family::Inet => "AF_INET",
        Family::Inet6 => "AF_INET6",
        Family::Unix => "AF_UNIX",
    }
}

/// `SOCK_STREAM`; Python has the same names.
pub(super) const fn kind(kind: Kind) -> &'static str {
    match kind {
        Kind::Stream => "SOCK_STREAM",
        Kind::Datagram => "SOCK_DGRAM",
    }
}

/// `SHUT_WR`; Python has the same names.
pub(super) const fn how(how: How) -> &'static str {
    match how {
        How::Read => "SHUT_RD",
        How::Write => "SHUT_WR",
        How::Both => "SHUT_RDWR",
    }
}

/// Level and name of an option; Python has the same names.
pub(super) const fn option(choice: Choice) -> (&'static str, &'static str) {
    const SOCKET: &str = "SOL_SOCKET";
    match choice {
        Choice::ReuseAddr => (SOCKET, "SO_REUSEADDR"),
        Choice::ReusePort => (SOCKET, "SO_REUSEPORT"),
        Choice::Broadcast => (SOCKET, "SO_BROADCAST"),
        Choice::V6Only => ("IPPROTO_IPV6", "IPV6_V6ONLY"),
        Choice::NoDelay => ("IPPROTO_TCP", "TCP_NODELAY"),
        Choice::ReceiveBuffer => (SOCKET, "SO_RCVBUF"),
        Choice::SendBuffer => (SOCKET, "SO_SNDBUF"),
        Choice::ReceiveTimeout => (SOCKET, "SO_RCVTIMEO"),
        Choice::SendTimeout => (SOCKET, "SO_SNDTIMEO"),
        Choice::Linger => (SOCKET, "SO_LINGER"),
    }
}

/// The members of `struct timeval`: seconds and microseconds.
pub(super) fn timeval(millis: u32) -> String {
    format!("{}, {}", millis / 1000, millis % 1000 * 1000)
}

/// An option's value as its type has it, and the size of that type in bytes (a `long` has 8).
fn option_value(choice: Choice, value: u32) -> (String, usize) {
    match choice {
        Choice::ReceiveTimeout | Choice::SendTimeout => {
            (timeval(value), size_of::<libc::timeval>())
        }
        // struct linger: on or off, and seconds.
        Choice::Linger => (format!("1, {value}"), size_of::<libc::linger>()),
        _ => (value.to_string(), size_of::<libc::c_int>()),
    }
}
