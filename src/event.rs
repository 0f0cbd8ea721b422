//! The event log of a trace: what programs called and what crossed their networks, in one order of time.
//!
//! All times are wall-clock time carried on by the monotonic clock ([`crate::sys::clock::Clock`]); packets and calls share it.
//! A log is a list of [`Entry`]s in order of time. It says what was observed and draws no conclusion: those are drawn from it
//! by `timeline`, live and from a file alike.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::{
    call::{Address, Caller, Data, Fd, How},
    frame::KernelChecksum,
    link::LinkType,
    time::Time,
};

/// Number of a socket in a log, counted from 1. It is one socket of the kernel (`SO_COOKIE`), whatever the descriptors and
/// processes through which it is used.
pub type SocketId = u32;
/// Number of a call in a log, counted from 1 in order of entering.
pub type CallId = u64;
/// Number of a network namespace in a log, counted from 1.
pub type NetId = u32;
/// Number of a packet in a log, counted from 1; `frame.number` of a capture file made from it.
pub type PacketId = u64;

/// A line of a log.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// When.
    pub at: Time,
    /// What.
    #[serde(flatten)]
    pub event: Event,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Event {
    /// The first entry.
    Begin(Begin),
    /// A network namespace came into sight.
    Net(Net),
    /// An interface on which packets are seen.
    Interface(Interface),
    /// A process came into sight: started, forked, or attached to.
    Process(Process),
    /// A process runs another program now (`execve`).
    Exec(Exec),
    /// A process ended.
    Exit(Exit),
    /// A socket came into sight, or more became known of it.
    Socket(Socket),
    /// A call was made.
    Enter(Enter),
    /// A call returned.
    Return(Return),
    /// A packet was seen.
    Packet(Packet),
    /// A packet of a lab's wire reached its receiver.
    Arrival(Arrival),
    /// Something that a reader should know.
    Note(Note),
    /// The last entry.
    End(End),
}

/// Which form of log this is.
pub const VERSION: u32 = 1;

/// How a log begins.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Begin {
    /// [`VERSION`].
    pub version: u32,
    /// What was traced, as the user said it. Untrusted text.
    pub what: String,
    /// Where: "this machine", "a private network", "two hosts of a lab".
    pub ground: String,
}

/// A network namespace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Net {
    /// Its number.
    pub id: NetId,
    /// The lab's host that it belongs to: "client" or "server".
    pub host: Option<String>,
    /// Why its packets are not seen.
    pub unseen: Option<String>,
}

/// An interface on which packets are seen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Interface {
    /// Counted from 0.
    pub id: u32,
    /// The network that it belongs to; none for a lab's wire, which belongs to both hosts.
    pub net: Option<NetId>,
    /// Its name. Untrusted text.
    pub name: String,
    /// What its packets begin with.
    pub link: LinkType,
}

/// A process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Process {
    /// Its number.
    pub process: u32,
    /// The process that it was forked by, when that is traced.
    pub parent: Option<u32>,
    /// Its network when it came into sight.
    pub net: NetId,
    /// The name of its program (`/proc/PID/comm`). Untrusted text.
    pub name: String,
}

/// A process runs another program.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exec {
    /// Its number.
    pub process: u32,
    /// The name of the new program. Untrusted text.
    pub name: String,
}

/// A process ended. The descriptors that it had were closed by a call named `exit`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exit {
    /// Its number.
    pub process: u32,
    /// Its exit code, or the signal that ended it.
    pub status: Result<i32, i32>,
}

/// What a socket speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Transport {
    /// TCP.
    Tcp,
    /// UDP (and UDP-Lite, ping sockets).
    Udp,
    /// A raw IP socket.
    Raw,
    /// A Unix socket: there are no packets.
    Unix,
    /// Anything else: netlink, packet, vsock …
    Other,
}

/// A socket. Comes again when an address becomes known or changes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Socket {
    /// Its number.
    pub id: SocketId,
    /// Its network.
    pub net: NetId,
    /// `AF_INET` … as `socket(2)` names it.
    pub family: Cow<'static, str>,
    /// `SOCK_STREAM` …
    pub kind: Cow<'static, str>,
    /// What it speaks.
    pub transport: Transport,
    /// Its own address; of an IPv4 address in an IPv6 socket (`::ffff:a.b.c.d`) the IPv4 form.
    pub local: Option<Address>,
    /// The other end's address, once connected.
    pub peer: Option<Address>,
    /// It existed before it was watched: new bytes of its stream that had been sent, and received, by then (`TCP_INFO`).
    pub before: Option<[u64; 2]>,
    /// Then: bytes that the program had given and that were still to be sent, and those that it was still to read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queued: Option<[u64; 2]>,
}

/// What a call does to a socket, whatever its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Deed {
    /// `socket`, `socketpair`.
    Open,
    /// `bind`.
    Bind,
    /// `listen`.
    Listen,
    /// `accept`, `accept4`.
    Accept,
    /// `connect`.
    Connect,
    /// Gives data: `send…`, `write…`, `sendfile`, `splice` into a socket.
    Send,
    /// Takes data: `recv…`, `read…`, `splice` out of a socket.
    Receive,
    /// Looks at data and leaves it (`MSG_PEEK`).
    Peek,
    /// `shutdown`.
    Shutdown(How),
    /// Lets go of descriptors: `close`, `close_range`, `exit`.
    Close,
    /// `dup…`, `fcntl(F_DUPFD)`; closes what the new number meant before.
    Duplicate,
    /// Reads or writes a setting: `getsockopt`, `setsockopt`, `fcntl`, `ioctl`.
    Option,
    /// `getsockname`, `getpeername`.
    Name,
    /// `poll`, `select`, `epoll_wait` and their relatives.
    Wait,
}

/// An argument, or something that a call gave back.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Arg {
    /// A descriptor.
    Fd(Fd),
    /// A number.
    Number(i64),
    /// Constants by their names, and what is made of them: `SOCK_STREAM|SOCK_CLOEXEC`, `{l_onoff=1, l_linger=0}`, `NULL`.
    Word(Cow<'static, str>),
    /// A socket address. `None`: the caller passed none (`NULL`).
    Address(Option<Address>),
    /// The data of part `n` of [`Enter::parts`] or [`Return::parts`].
    Data(u32),
    /// Memory for the kernel to write into, by the name that the manual page gives it: `buffer`, `&from`.
    Memory(Cow<'static, str>),
    /// Text from the program: a path, a name. Untrusted.
    Text(String),
    /// Members of a structure, or of an array.
    Group(Vec<Self>),
}

/// Data that a call moves: the bytes of a stream in one part, or one datagram each.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// How much, and how it begins; the head is empty where the kernel moves the data itself (`sendfile`, `splice`).
    pub data: Data,
    /// To whom, or from whom, where the call says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<Address>,
}

/// A call is made. The thread was stopped at that moment: nothing that the call does is earlier.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Enter {
    /// Its number.
    pub call: CallId,
    /// Who makes it.
    pub by: Caller,
    /// Its name in section 2 of the manual.
    pub name: Cow<'static, str>,
    /// What it does.
    pub deed: Deed,
    /// The socket that it is about.
    pub socket: Option<SocketId>,
    /// Sockets of which it closes a descriptor.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub closes: Vec<SocketId>,
    /// Its arguments, in order.
    pub args: Vec<Arg>,
    /// What it is to send.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parts: Vec<Part>,
    /// The thread was in this call already when it was attached to: it began earlier.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub waited: bool,
}

/// A call returned. The thread was stopped at that moment: all that the call did is earlier.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Return {
    /// Its number.
    pub call: CallId,
    /// The value returned, or the error number (`errno(3)`).
    pub result: Result<i64, i32>,
    /// Bytes of a stream that it moved, whatever it returned (`sendmmsg` returns messages).
    #[serde(default)]
    pub moved: u64,
    /// The socket that it made (`socket`, `accept`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub opened: Option<SocketId>,
    /// What the kernel wrote into the caller's memory, to be shown behind the result.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub out: Vec<Arg>,
    /// What it received; of a call that sends datagrams, those that were sent, without their data.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parts: Vec<Part>,
}

/// Which way a packet crossed its interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Way {
    /// Sent by its network.
    Out,
    /// Received by its network.
    In,
    /// Both at once: the loopback interface, of whose two copies one is kept.
    Loop,
    /// Sent on a lab's wire; an [`Arrival`] follows unless it was lost.
    Wire,
}

/// A packet.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Packet {
    /// Its number.
    pub number: PacketId,
    /// [`Interface::id`].
    pub interface: u32,
    /// Which way.
    pub way: Way,
    /// Bytes on the wire.
    pub wire_len: u32,
    /// The kernel's word on its checksum.
    #[serde(default)]
    pub checksum: KernelChecksum,
    /// The captured bytes, from the link header on; in hexadecimal digits.
    #[serde(with = "hex")]
    pub bytes: Vec<u8>,
    /// Why the wire dropped it, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lost: Option<String>,
}

/// A packet of a lab's wire reached its receiver.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Arrival {
    /// Which one.
    pub packet: PacketId,
    /// It is the second copy that the wire made.
    #[serde(default)]
    pub again: bool,
}

/// Something that a reader should know: what is not seen, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Note {
    /// The process that it is about.
    pub process: Option<u32>,
    /// A sentence. Safe to show.
    pub text: String,
}

/// How a log ends: the counters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct End {
    /// Calls in the log.
    pub calls: u64,
    /// Packets that were seen.
    pub seen: u64,
    /// Of those: in the log.
    pub kept: u64,
    /// Of those: of other programs.
    pub others: u64,
    /// Of those: second copies of the loopback interface.
    pub duplicates: u64,
    /// Packets that the kernel dropped because nobody took them in time.
    pub dropped: u64,
}
