//! Calls as Python programs make them. A socket's variable has its descriptor's number: `s3`.

use std::net::SocketAddr;

use super::{c, list, or_any, quoted, readable, rest};
use crate::call::{Address, Answer, Call, Choice, Data, Errno};

/// The exceptions that Python has for error numbers (PEP 3151); all others are `OSError`.
const EXCEPTIONS: &[(i32, &str)] = &[
    (libc::EAGAIN, "BlockingIOError"),
    (libc::EALREADY, "BlockingIOError"),
    (libc::EINPROGRESS, "BlockingIOError"),
    (libc::EPIPE, "BrokenPipeError"),
    (libc::ESHUTDOWN, "BrokenPipeError"),
    (libc::ECHILD, "ChildProcessError"),
    (libc::ECONNABORTED, "ConnectionAbortedError"),
    (libc::ECONNREFUSED, "ConnectionRefusedError"),
    (libc::ECONNRESET, "ConnectionResetError"),
    (libc::EEXIST, "FileExistsError"),
    (libc::ENOENT, "FileNotFoundError"),
    (libc::EINTR, "InterruptedError"),
    (libc::EISDIR, "IsADirectoryError"),
    (libc::ENOTDIR, "NotADirectoryError"),
    (libc::EACCES, "PermissionError"),
    (libc::EPERM, "PermissionError"),
    (libc::ESRCH, "ProcessLookupError"),
    (libc::ETIMEDOUT, "TimeoutError"),
];

pub(super) fn asked(call: &Call) -> String {
    match call {
        Call::GetAddrInfo { node, service } => format!(
            "getaddrinfo(\"{}\", \"{}\")",
            readable(node.as_bytes()),
            readable(service.as_bytes())
        ),
        Call::Socket { family, kind } => {
            format!("socket({}, {})", c::family(*family), c::kind(*kind))
        }
        Call::SetSockOpt { fd, choice, value } => {
            let (level, name) = c::option(*choice);
            let value = match choice {
                Choice::ReceiveTimeout | Choice::SendTimeout => {
                    format!("pack(\"ll\", {})", c::timeval(*value))
                }
                Choice::Linger => format!("pack(\"ii\", 1, {value})"),
                _ => value.to_string(),
            };
            format!("s{fd}.setsockopt({level}, {name}, {value})")
        }
        Call::Bind { fd, address } => format!("s{fd}.bind({})", spelled(address)),
        Call::Listen { fd, backlog } => format!("s{fd}.listen({backlog})"),
        Call::Accept { fd } => format!("s{fd}.accept()"),
        Call::Connect { fd, address } => format!("s{fd}.connect({})", spelled(address)),
        Call::Send { fd, data, .. } => format!("s{fd}.send({})", text(data)),
        Call::SendTo { fd, data, to } => format!("s{fd}.sendto({}, {})", text(data), spelled(to)),
        Call::Recv { fd, size } => format!("s{fd}.recv({size})"),
        Call::RecvFrom { fd, size } => format!("s{fd}.recvfrom({size})"),
        Call::Shutdown { fd, how } => format!("s{fd}.shutdown({})", c::how(*how)),
        Call::Close { fd } => format!("s{fd}.close()"),
        Call::Poll { fds, timeout } => {
            let timeout = timeout.map(|millis| format!(", {}", f64::from(millis) / 1000.0));
            let timeout = timeout.unwrap_or_default();
            format!("select([{}], [], []{timeout})", list(fds, variable))
        }
        Call::GetSockName { fd } => format!("s{fd}.getsockname()"),
        Call::GetPeerName { fd } => format!("s{fd}.getpeername()"),
        Call::Fork => "os.fork()".to_owned(),
        Call::WaitPid { process } => {
            format!("os.waitpid({}, 0)", or_any(*process))
        }
    }
}

/// What the call gives; nothing where Python gives `None`.
pub(super) fn answer(answer: &Answer) -> String {
    match answer {
        Answer::Done => String::new(),
        Answer::Count(count) => count.to_string(),
        Answer::Fd(fd) => variable(fd),
        Answer::Accepted(fd, from) => format!("s{fd}, {}", spelled(from)),
        Answer::Data(data) => text(data),
        // A Unix socket without a name is no sender to Python.
        Answer::Datagram(data, Address::Unnamed, cut) => {
            format!("{}{}, None", text(data), rest(*cut))
        }
        Answer::Datagram(data, from, cut) => {
            format!("{}{}, {}", text(data), rest(*cut), spelled(from))
        }
        Answer::Ready(fds) => format!("[{}], [], []", list(fds, variable)),
        Answer::Address(address) => spelled(address),
        Answer::Addresses(addresses) => format!("[{}]", list(addresses, ip)),
        Answer::Process(process) => process.to_string(),
    }
}

/// `ConnectionRefusedError`; what has no name of its own is said in words.
pub(super) fn error(call: &Call, error: i32) -> String {
    if matches!(call, Call::GetAddrInfo { .. }) && error < 0 {
        let (name, words) = c::look_up(error);
        return format!("gaierror {name} ({words})");
    }
    let found = EXCEPTIONS.iter().find(|(number, _)| *number == error);
    found.map_or_else(
        || format!("OSError: [Errno {error}] {}", Errno(error).words()),
        |(_, exception)| (*exception).to_owned(),
    )
}

fn variable(fd: &i32) -> String {
    format!("s{fd}")
}

/// Bytes have no characters beyond ASCII.
fn text(data: &Data) -> String {
    let ascii = |bytes: &[u8]| bytes.escape_ascii().to_string().replace("\\'", "'");
    format!("b{}", quoted(data, ascii))
}

/// A pair for IPv4, four values for IPv6, text for a path, bytes for an abstract name.
fn spelled(address: &Address) -> String {
    match address {
        Address::Ip(address) => ip(address),
        Address::Path(path) => format!("\"{}\"", readable(path.as_os_str().as_encoded_bytes())),
        Address::Abstract(name) => format!("b\"\\x00{}\"", name.escape_ascii()),
        Address::Unnamed => "\"\"".to_owned(),
    }
}

fn ip(address: &SocketAddr) -> String {
    let port = address.port();
    match address {
        SocketAddr::V4(v4) => format!("(\"{}\", {port})", v4.ip()),
        SocketAddr::V6(v6) => {
            format!(
                "(\"{}\", {port}, {}, {})",
                v6.ip(),
                v6.flowinfo(),
                v6.scope_id()
            )
        }
    }
}
