//! Socket calls as plain values: what was asked of which socket, what came back, and how long it took.

use std::{borrow::Cow, fmt, net::SocketAddr, path::PathBuf};

use serde::{Deserialize, Serialize};

/// A file descriptor, as the calling process numbers it.
pub type Fd = i32;

/// Bytes of a call's data that are kept to be shown.
pub const HEAD: usize = 256;

/// Who made a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Caller {
    /// The process.
    pub process: u32,
    /// The thread, by the kernel's number; the first thread of a process has the process's own.
    pub thread: u32,
}

/// A socket's address: an IP address with a port, or what a Unix socket is bound to.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Address {
    /// `sockaddr_in` or `sockaddr_in6`.
    Ip(SocketAddr),
    /// A Unix socket in the file system (`unix(7)`).
    Path(#[serde(with = "text_or_hex")] PathBuf),
    /// A Unix socket in the abstract namespace; without the zero byte in front.
    Abstract(#[serde(with = "text_or_hex")] Vec<u8>),
    /// A Unix socket that was never bound.
    Unnamed,
}

impl Address {
    /// The family of sockets that have such addresses.
    pub const fn family(&self) -> Family {
        match self {
            Self::Ip(SocketAddr::V4(_)) => Family::Inet,
            Self::Ip(SocketAddr::V6(_)) => Family::Inet6,
            Self::Path(_) | Self::Abstract(_) | Self::Unnamed => Family::Unix,
        }
    }
}

impl From<SocketAddr> for Address {
    fn from(address: SocketAddr) -> Self {
        Self::Ip(address)
    }
}

/// `127.0.0.1:5000`, a path, `@name` for the abstract namespace. Safe to show.
impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use std::os::unix::ffi::OsStrExt;

        use crate::text::Safe;
        match self {
            Self::Ip(address) => address.fmt(f),
            Self::Path(path) => Safe(path.as_os_str().as_bytes()).fmt(f),
            Self::Abstract(name) => write!(f, "@{}", Safe(name)),
            Self::Unnamed => f.write_str("unnamed"),
        }
    }
}

/// Address families of `socket(2)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Family {
    /// `AF_INET`.
    Inet,
    /// `AF_INET6`.
    Inet6,
    /// `AF_UNIX`.
    Unix,
}

/// Types of `socket(2)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Kind {
    /// `SOCK_STREAM`.
    Stream,
    /// `SOCK_DGRAM`.
    Datagram,
}

/// What `shutdown(2)` ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum How {
    /// `SHUT_RD`.
    Read,
    /// `SHUT_WR`.
    Write,
    /// `SHUT_RDWR`.
    Both,
}

/// Options of `setsockopt(2)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Choice {
    /// `SO_REUSEADDR`.
    ReuseAddr,
    /// `SO_REUSEPORT`.
    ReusePort,
    /// `SO_BROADCAST`.
    Broadcast,
    /// `IPV6_V6ONLY`.
    V6Only,
    /// `TCP_NODELAY`.
    NoDelay,
    /// `SO_RCVBUF`, in bytes.
    ReceiveBuffer,
    /// `SO_SNDBUF`, in bytes.
    SendBuffer,
    /// `SO_RCVTIMEO`, in milliseconds; 0 waits without a limit.
    ReceiveTimeout,
    /// `SO_SNDTIMEO`, in milliseconds; also how long `connect` waits. 0 waits without a limit.
    SendTimeout,
    /// `SO_LINGER` with its switch on, in seconds.
    Linger,
}

/// Data of a call: how much, and how it begins.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Data {
    /// All of it, in bytes.
    pub len: usize,
    /// At most [`HEAD`] bytes of its beginning.
    #[serde(with = "text_or_hex")]
    pub head: Vec<u8>,
}

impl Data {
    /// What is kept of `bytes`.
    pub fn of(bytes: &[u8]) -> Self {
        Self {
            len: bytes.len(),
            head: bytes[..bytes.len().min(HEAD)].to_vec(),
        }
    }
}

/// Bytes in JSON: a string where they are text, else `{"hex":"…"}`. A list of numbers is read as well.
mod text_or_hex {
    use std::{
        ffi::OsString,
        os::unix::ffi::{OsStrExt as _, OsStringExt as _},
        path::PathBuf,
    };

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(super) trait Bytes {
        fn bytes(&self) -> &[u8];
        fn of(bytes: Vec<u8>) -> Self;
    }

    impl Bytes for Vec<u8> {
        fn bytes(&self) -> &[u8] {
            self
        }

        fn of(bytes: Vec<u8>) -> Self {
            bytes
        }
    }

    impl Bytes for PathBuf {
        fn bytes(&self) -> &[u8] {
            self.as_os_str().as_bytes()
        }

        fn of(bytes: Vec<u8>) -> Self {
            OsString::from_vec(bytes).into()
        }
    }

    #[derive(Serialize)]
    #[serde(untagged)]
    enum Borrowed<'a> {
        Text(&'a str),
        Other {
            #[serde(with = "hex")]
            hex: &'a [u8],
        },
    }

    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Owned {
        Text(String),
        Other {
            #[serde(with = "hex")]
            hex: Vec<u8>,
        },
        Numbers(Vec<u8>),
    }

    pub(super) fn serialize<S: Serializer>(value: &impl Bytes, to: S) -> Result<S::Ok, S::Error> {
        let hex = value.bytes();
        match std::str::from_utf8(hex) {
            Ok(text) => Borrowed::Text(text),
            Err(_) => Borrowed::Other { hex },
        }
        .serialize(to)
    }

    pub(super) fn deserialize<'de, T: Bytes, D: Deserializer<'de>>(from: D) -> Result<T, D::Error> {
        Ok(T::of(match Owned::deserialize(from)? {
            Owned::Text(text) => text.into_bytes(),
            Owned::Other { hex: bytes } | Owned::Numbers(bytes) => bytes,
        }))
    }
}

/// A call and its arguments.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)] // Arguments have the names that their manual pages give them.
pub enum Call {
    /// `getaddrinfo(3)`: the library's question, made of other calls.
    GetAddrInfo {
        node: String,
        service: String,
    },
    Socket {
        family: Family,
        kind: Kind,
    },
    SetSockOpt {
        fd: Fd,
        choice: Choice,
        value: u32,
    },
    Bind {
        fd: Fd,
        address: Address,
    },
    Listen {
        fd: Fd,
        backlog: i32,
    },
    Accept {
        fd: Fd,
    },
    Connect {
        fd: Fd,
        address: Address,
    },
    /// `now` sends only what there is room for (`MSG_DONTWAIT`).
    Send {
        fd: Fd,
        data: Data,
        now: bool,
    },
    SendTo {
        fd: Fd,
        data: Data,
        to: Address,
    },
    Recv {
        fd: Fd,
        size: usize,
    },
    RecvFrom {
        fd: Fd,
        size: usize,
    },
    Shutdown {
        fd: Fd,
        how: How,
    },
    Close {
        fd: Fd,
    },
    /// Waits until one of these can be read, or written where that is what the program waits for; `timeout` in milliseconds, without one for ever.
    Poll {
        fds: Vec<Fd>,
        timeout: Option<u32>,
    },
    GetSockName {
        fd: Fd,
    },
    GetPeerName {
        fd: Fd,
    },
    Fork,
    /// `waitpid(2)`; without a process any child.
    WaitPid {
        process: Option<u32>,
    },
}

impl Call {
    /// Its name, as its manual page has it.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::GetAddrInfo { .. } => "getaddrinfo",
            Self::Socket { .. } => "socket",
            Self::SetSockOpt { .. } => "setsockopt",
            Self::Bind { .. } => "bind",
            Self::Listen { .. } => "listen",
            Self::Accept { .. } => "accept",
            Self::Connect { .. } => "connect",
            Self::Send { .. } => "send",
            Self::SendTo { .. } => "sendto",
            Self::Recv { .. } => "recv",
            Self::RecvFrom { .. } => "recvfrom",
            Self::Shutdown { .. } => "shutdown",
            Self::Close { .. } => "close",
            Self::Poll { .. } => "poll",
            Self::GetSockName { .. } => "getsockname",
            Self::GetPeerName { .. } => "getpeername",
            Self::Fork => "fork",
            Self::WaitPid { .. } => "waitpid",
        }
    }
}

/// What a call returned.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Answer {
    /// Zero, which says that it worked.
    Done,
    /// So many bytes.
    Count(usize),
    /// A new descriptor.
    Fd(Fd),
    /// A new descriptor, and who is at the other end.
    Accepted(Fd, Address),
    /// What was received; nothing at all is the end of a stream.
    Data(Data),
    /// A datagram, its sender, and whether it was longer than the buffer (`MSG_TRUNC`): then the rest is gone.
    Datagram(Data, Address, bool),
    /// These can be used.
    Ready(Vec<Fd>),
    /// A socket's address.
    Address(Address),
    /// Addresses of a name, in the order in which they are to be tried.
    Addresses(Vec<SocketAddr>),
    /// A process; 0 is what a child gets from its own `fork`.
    Process(u32),
}

/// An error number (`errno(3)`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Errno(pub i32);

impl Errno {
    /// Its name: `ECONNREFUSED`; of an unknown one the number.
    pub fn name(self) -> Cow<'static, str> {
        match nix::errno::Errno::from_raw(self.0) {
            nix::errno::Errno::UnknownErrno => format!("errno {}", self.0).into(),
            errno => format!("{errno:?}").into(),
        }
    }

    /// What it means: `Connection refused`.
    pub fn words(self) -> &'static str {
        nix::errno::Errno::from_raw(self.0).desc()
    }
}

/// `ECONNREFUSED (connection refused)`.
impl fmt::Display for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (first, others) = self.words().split_at(1);
        let first = first.to_ascii_lowercase();
        write!(f, "{} ({first}{others})", self.name())
    }
}

/// A call that has returned.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Called {
    /// What was asked.
    pub call: Call,
    /// What came back, or the error number (`errno(3)`); `getaddrinfo`'s own errors are negative.
    pub result: Result<Answer, i32>,
    /// Nanoseconds from the call to its return.
    pub took: i64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_shown_without_control_bytes() {
        let path = Address::Path("/tmp/a\u{1b}[2J".into());
        assert_eq!(path.to_string(), "/tmp/a\\x1b[2J");
        assert_eq!(
            Address::Abstract(b"chat\0".to_vec()).to_string(),
            "@chat\\x00"
        );
        let ip: SocketAddr = ([127, 0, 0, 1], 5000).into();
        assert_eq!(Address::from(ip).to_string(), "127.0.0.1:5000");
    }

    #[test]
    fn of_long_data_the_beginning_is_kept() {
        let data = Data::of(&[7; 1000]);
        assert_eq!((data.len, data.head.len()), (1000, HEAD));
    }

    #[test]
    fn errors_have_a_name_and_words() {
        assert_eq!(
            Errno(libc::ECONNREFUSED).to_string(),
            "ECONNREFUSED (connection refused)"
        );
        assert_eq!(Errno(4711).name(), "errno 4711");
    }

    #[test]
    fn bytes_come_back_from_json_whether_they_are_text_or_not() {
        for (bytes, written) in [
            (&b"hi\n\"\0"[..], r#"{"len":5,"head":"hi\n\"\u0000"}"#),
            (b"\xff\x00a", r#"{"len":3,"head":{"hex":"ff0061"}}"#),
        ] {
            let data = Data::of(bytes);
            let json = serde_json::to_string(&data).unwrap_or_default();
            assert_eq!(json, written);
            assert_eq!(serde_json::from_str::<Data>(&json).ok(), Some(data));
            let numbers = format!(r#"{{"len":{},"head":{bytes:?}}}"#, bytes.len());
            assert_eq!(serde_json::from_str(&numbers).ok(), Some(Data::of(bytes)));
        }
        let path: PathBuf =
            <std::ffi::OsStr as std::os::unix::ffi::OsStrExt>::from_bytes(b"/\xfe").into();
        let path = Address::Path(path);
        let json = serde_json::to_string(&path).unwrap_or_default();
        assert_eq!(serde_json::from_str::<Address>(&json).ok(), Some(path));
    }
}
