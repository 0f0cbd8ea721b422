//! Calls as Java programs make them, through `java.nio.channels`. A channel's variable has its descriptor's number: `s3`.

use super::{list, readable, rest, text};
use crate::call::{Address, Answer, Call, Choice, Data, Errno, Family, How, Kind};

/// The exceptions of `java.net` for error numbers of bind, connect and their like; others are `java.net.SocketException`.
const EXCEPTIONS: &[(i32, &str)] = &[
    (libc::ECONNREFUSED, "java.net.ConnectException"),
    (libc::ETIMEDOUT, "java.net.ConnectException"),
    (libc::ENOTCONN, "java.net.ConnectException"),
    (libc::EHOSTUNREACH, "java.net.NoRouteToHostException"),
    (libc::EADDRINUSE, "java.net.BindException"),
    (libc::EADDRNOTAVAIL, "java.net.BindException"),
    (libc::EACCES, "java.net.BindException"),
    (libc::EPROTO, "java.net.ProtocolException"),
];

/// The same for reading and writing; others are `java.io.IOException`.
const WITH_DATA: &[(i32, &str)] = &[
    (libc::ECONNRESET, "java.net.SocketException"),
    // Told of the datagram before.
    (libc::ECONNREFUSED, "java.net.PortUnreachableException"),
];

/// What Java has no method for is set between the marks of a comment.
pub(super) fn asked(call: &Call) -> String {
    match call {
        Call::GetAddrInfo { node, .. } => {
            format!(
                "InetAddress.getAllByName(\"{}\")",
                readable(node.as_bytes())
            )
        }
        Call::Socket {
            family: Family::Unix,
            kind: Kind::Datagram,
        } => "/* Java has no Unix datagrams */".to_owned(),
        Call::Socket { family, kind } => {
            // Which one a stream is to be, the system is told by listen() only.
            let class = match kind {
                Kind::Stream => "[Server]SocketChannel",
                Kind::Datagram => "DatagramChannel",
            };
            let family = match family {
                Family::Inet => "INET",
                Family::Inet6 => "INET6",
                Family::Unix => "UNIX",
            };
            format!("{class}.open({family})")
        }
        Call::SetSockOpt { fd, choice, value } => option(*fd, *choice, *value),
        Call::Bind { fd, address } => format!("s{fd}.bind({})", spelled(address)),
        Call::Listen { fd, backlog } => {
            format!("/* s{fd}.bind(address, {backlog}) did this too: listen */")
        }
        Call::Accept { fd } => format!("s{fd}.accept()"),
        Call::Connect { fd, address } => format!("s{fd}.connect({})", spelled(address)),
        Call::Send { fd, data, .. } => format!("s{fd}.write({})", wrapped(data)),
        Call::SendTo { fd, data, to } => format!("s{fd}.send({}, {})", wrapped(data), spelled(to)),
        Call::Recv { fd, size } => format!("s{fd}.read(ByteBuffer.allocate({size}))"),
        Call::RecvFrom { fd, size } => format!("s{fd}.receive(ByteBuffer.allocate({size}))"),
        Call::Shutdown { fd, how } => match how {
            How::Read => format!("s{fd}.shutdownInput()"),
            How::Write => format!("s{fd}.shutdownOutput()"),
            How::Both => format!("s{fd}.shutdownInput().shutdownOutput()"),
        },
        Call::Close { fd } => format!("s{fd}.close()"),
        Call::Poll { timeout, .. } => {
            let timeout = timeout.map_or_else(String::new, |millis| millis.to_string());
            format!("selector.select({timeout})")
        }
        Call::GetSockName { fd } => format!("s{fd}.getLocalAddress()"),
        Call::GetPeerName { fd } => format!("s{fd}.getRemoteAddress()"),
        Call::Fork => "/* fork(): Java has threads only */".to_owned(),
        Call::WaitPid { .. } => "/* waitpid(): Java has threads only */".to_owned(),
    }
}

/// What the method returns, and what came into the buffer; nothing where it returns the channel itself.
pub(super) fn answer(call: &Call, answer: &Answer) -> String {
    match answer {
        Answer::Done if matches!(call, Call::Connect { .. }) => "true".to_owned(),
        Answer::Done => String::new(),
        Answer::Count(count) => count.to_string(),
        Answer::Fd(fd) => format!("s{fd}"),
        Answer::Accepted(fd, from) => format!("s{fd} from {}", shown(from)),
        // The end of a stream.
        Answer::Data(data) if data.len == 0 => "-1".to_owned(),
        Answer::Data(data) => format!("{} {}", data.len, text(data)),
        Answer::Datagram(data, from, cut) => {
            format!("{} {}{}", shown(from), text(data), rest(*cut))
        }
        Answer::Ready(fds) if fds.is_empty() => "0".to_owned(),
        Answer::Ready(fds) => format!("{} [{}]", fds.len(), list(fds, |fd| format!("s{fd}"))),
        Answer::Address(address) => shown(address),
        Answer::Addresses(addresses) => {
            format!(
                "[{}]",
                list(addresses, |address| format!("/{}", address.ip()))
            )
        }
        Answer::Process(process) => process.to_string(),
    }
}

/// `java.net.ConnectException: Connection refused`.
pub(super) fn error(call: &Call, error: i32) -> String {
    let (known, otherwise) = match call {
        Call::GetAddrInfo { node, .. } => {
            let node = readable(node.as_bytes());
            return format!("java.net.UnknownHostException: {node}");
        }
        Call::Send { .. } | Call::SendTo { .. } | Call::Recv { .. } | Call::RecvFrom { .. } => {
            (WITH_DATA, "java.io.IOException")
        }
        _ => (EXCEPTIONS, "java.net.SocketException"),
    };
    let found = known.iter().find(|(number, _)| *number == error);
    let exception = found.map_or(otherwise, |(_, exception)| exception);
    format!("{exception}: {}", Errno(error).words())
}

fn option(fd: i32, choice: Choice, value: u32) -> String {
    let unknown = |name| format!("/* s{fd}: Java does not set {name}, here {value} */");
    let (name, is_switch) = match choice {
        Choice::ReuseAddr => ("SO_REUSEADDR", true),
        Choice::ReusePort => ("SO_REUSEPORT", true),
        Choice::Broadcast => ("SO_BROADCAST", true),
        Choice::NoDelay => ("TCP_NODELAY", true),
        Choice::ReceiveBuffer => ("SO_RCVBUF", false),
        Choice::SendBuffer => ("SO_SNDBUF", false),
        Choice::Linger => ("SO_LINGER", false),
        Choice::ReceiveTimeout => return format!("s{fd}.socket().setSoTimeout({value})"),
        Choice::SendTimeout => return unknown("SO_SNDTIMEO"),
        Choice::V6Only => return unknown("IPV6_V6ONLY"),
    };
    match is_switch {
        true => format!("s{fd}.setOption({name}, {})", value != 0),
        false => format!("s{fd}.setOption({name}, {value})"),
    }
}

fn wrapped(data: &Data) -> String {
    format!("ByteBuffer.wrap({}.getBytes())", text(data))
}

/// An address as an argument.
fn spelled(address: &Address) -> String {
    match address {
        Address::Ip(ip) => format!("new InetSocketAddress(\"{}\", {})", ip.ip(), ip.port()),
        Address::Path(path) => {
            let path = readable(path.as_os_str().as_encoded_bytes());
            format!("UnixDomainSocketAddress.of(\"{path}\")")
        }
        Address::Abstract(name) => format!("/* Java has no abstract names: @{} */", readable(name)),
        Address::Unnamed => "UnixDomainSocketAddress.of(\"\")".to_owned(),
    }
}

/// An address as Java prints it.
fn shown(address: &Address) -> String {
    match address {
        Address::Ip(ip) => format!("/{ip}"),
        address => address.to_string(),
    }
}
