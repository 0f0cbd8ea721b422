//! Logs made by hand, for the tests of the join and of the views: calls and packets as a tracer and a capture would tell them.
#![allow(clippy::unwrap_used, dead_code)]

use std::{borrow::Cow, collections::HashMap, net::SocketAddr};

use etherparse::{PacketBuilder, TcpHeader};

use crate::{
    call::{Address, Caller, Data, How},
    event::{
        Arg, Arrival, Begin, CallId, Deed, Enter, Entry, Event, Exec, Interface, Net, NetId,
        Packet, PacketId, Part, Process, Return, Socket, SocketId, Transport, VERSION, Way,
    },
    frame::KernelChecksum,
    link::LinkType,
    time::Time,
};

/// Ten microseconds: what lies between two entries unless [`Log::wait`] says more.
pub(crate) const STEP: i64 = 10_000;
/// The client and the server of [`Log::pair`].
pub(crate) const CLIENT: Caller = caller(100);
/// See [`CLIENT`].
pub(crate) const SERVER: Caller = caller(200);

/// The first thread of a process.
pub(crate) const fn caller(process: u32) -> Caller {
    Caller {
        process,
        thread: process,
    }
}

/// `"10.0.0.1:5000"` as an address.
pub(crate) fn at(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

/// A TCP segment: flags as letters of `SAFRP`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tcp<'a> {
    pub(crate) flags: &'a str,
    pub(crate) seq: u32,
    pub(crate) ack: u32,
    pub(crate) window: u16,
    pub(crate) data: &'a [u8],
}

impl<'a> Tcp<'a> {
    /// A segment with a window of 64,000 bytes.
    pub(crate) fn new(flags: &'a str, seq: u32, ack: u32, data: &'a [u8]) -> Self {
        Self {
            flags,
            seq,
            ack,
            window: 64_000,
            data,
        }
    }
}

/// A log that grows.
#[derive(Debug)]
pub(crate) struct Log {
    pub(crate) entries: Vec<Entry>,
    pub(crate) now: i64,
    calls: CallId,
    packets: PacketId,
    sockets: SocketId,
    known: HashMap<SocketId, Socket>,
    deeds: HashMap<CallId, Deed>,
}

impl Log {
    /// One network whose loopback interface is seen.
    pub(crate) fn local() -> Self {
        let mut log = Self::empty("a private network");
        log.net(1, None);
        log.interface(0, Some(1), "lo");
        log
    }

    /// Two networks, client 1 and server 2, and the wire between them.
    pub(crate) fn lab() -> Self {
        let mut log = Self::empty("a lab");
        log.net(1, Some("client"));
        log.net(2, Some("server"));
        log.interface(0, None, "wire");
        log
    }

    fn empty(ground: &str) -> Self {
        let mut log = Self {
            entries: Vec::new(),
            now: 1_700_000_000_000_000_000,
            calls: 0,
            packets: 0,
            sockets: 0,
            known: HashMap::new(),
            deeds: HashMap::new(),
        };
        log.tell(Event::Begin(Begin {
            version: VERSION,
            what: "made by hand".into(),
            ground: ground.into(),
        }));
        log
    }

    /// Lets time pass.
    pub(crate) fn wait(&mut self, nanos: i64) {
        self.now += nanos;
    }

    /// Adds an entry.
    pub(crate) fn tell(&mut self, event: Event) {
        self.now += STEP;
        self.entries.push(Entry {
            at: Time::from_nanos(self.now),
            event,
        });
    }

    pub(crate) fn net(&mut self, id: NetId, host: Option<&str>) {
        self.tell(Event::Net(Net {
            id,
            host: host.map(str::to_owned),
            unseen: None,
        }));
    }

    pub(crate) fn interface(&mut self, id: u32, net: Option<NetId>, name: &str) {
        self.tell(Event::Interface(Interface {
            id,
            net,
            name: name.into(),
            link: LinkType::RAW,
        }));
    }

    pub(crate) fn process(&mut self, process: u32, parent: Option<u32>, net: NetId, name: &str) {
        self.tell(Event::Process(Process {
            process,
            parent,
            net,
            name: name.into(),
        }));
    }

    /// A process runs another program.
    pub(crate) fn exec(&mut self, process: u32, name: &str) {
        self.tell(Event::Exec(Exec {
            process,
            name: name.into(),
        }));
    }

    /// A socket comes into sight without a call.
    pub(crate) fn appears(&mut self, net: NetId, transport: Transport) -> SocketId {
        self.sockets += 1;
        let id = self.sockets;
        let kind = match transport {
            Transport::Tcp => "SOCK_STREAM",
            Transport::Raw => "SOCK_RAW",
            _ => "SOCK_DGRAM",
        };
        let socket = Socket {
            id,
            net,
            family: "AF_INET".into(),
            kind: kind.into(),
            transport,
            local: None,
            peer: None,
            before: None,
            queued: None,
        };
        self.known.insert(id, socket.clone());
        self.tell(Event::Socket(socket));
        id
    }

    /// More becomes known of a socket.
    pub(crate) fn addresses(&mut self, id: SocketId, local: &str, peer: Option<&str>) {
        let socket = self.known.get_mut(&id).unwrap();
        socket.local = Some(Address::Ip(at(local)));
        socket.peer = peer.map(|peer| Address::Ip(at(peer)));
        let socket = socket.clone();
        self.tell(Event::Socket(socket));
    }

    /// A socket turns out to be older than the watch.
    pub(crate) fn before(&mut self, id: SocketId, sent: u64, received: u64) {
        let socket = self.known.get_mut(&id).unwrap();
        socket.before = Some([sent, received]);
        let socket = socket.clone();
        self.tell(Event::Socket(socket));
    }

    /// Then: bytes that were still to be sent, and to be read.
    pub(crate) fn queued(&mut self, id: SocketId, unsent: u64, unread: u64) {
        let socket = self.known.get_mut(&id).unwrap();
        socket.queued = Some([unsent, unread]);
        let socket = socket.clone();
        self.tell(Event::Socket(socket));
    }

    /// A call; its name follows from what it does.
    pub(crate) fn enter(&mut self, by: Caller, deed: Deed, socket: SocketId) -> CallId {
        let close = matches!(deed, Deed::Close);
        self.enters(Enter {
            call: 0,
            by,
            name: Cow::Borrowed(name(deed)),
            deed,
            socket: Some(socket),
            closes: if close { vec![socket] } else { Vec::new() },
            args: vec![Arg::Fd(socket as i32 + 2)],
            parts: Vec::new(),
            waited: false,
        })
    }

    /// A call that is to make sockets.
    pub(crate) fn opens(&mut self, by: Caller, name: &'static str) -> CallId {
        self.enters(Enter {
            call: 0,
            by,
            name: Cow::Borrowed(name),
            deed: Deed::Open,
            socket: None,
            closes: Vec::new(),
            args: Vec::new(),
            parts: Vec::new(),
            waited: false,
        })
    }

    /// A call; its number is put in.
    pub(crate) fn enters(&mut self, mut enter: Enter) -> CallId {
        self.calls += 1;
        enter.call = self.calls;
        self.deeds.insert(self.calls, enter.deed);
        self.tell(Event::Enter(enter));
        self.calls
    }

    /// A call that sends; to `to` where it says so.
    pub(crate) fn sends(
        &mut self,
        by: Caller,
        socket: SocketId,
        data: &[u8],
        to: Option<&str>,
    ) -> CallId {
        self.calls += 1;
        let call = self.calls;
        self.deeds.insert(call, Deed::Send);
        let part = Part {
            data: Data::of(data),
            address: to.map(|to| Address::Ip(at(to))),
        };
        self.tell(Event::Enter(Enter {
            call,
            by,
            name: if to.is_some() { "sendto" } else { "send" }.into(),
            deed: Deed::Send,
            socket: Some(socket),
            closes: Vec::new(),
            args: vec![
                Arg::Fd(socket as i32 + 2),
                Arg::Data(0),
                Arg::Number(data.len() as i64),
            ],
            parts: vec![part],
            waited: false,
        }));
        call
    }

    /// A call returns; of a call that moves bytes the result is how many.
    pub(crate) fn returns(&mut self, call: CallId, result: Result<i64, i32>) {
        let moves = matches!(self.deeds[&call], Deed::Send | Deed::Receive | Deed::Peek);
        let moved = match result {
            Ok(n) if moves => n as u64,
            _ => 0,
        };
        self.returned(Return {
            call,
            result,
            moved,
            opened: None,
            out: Vec::new(),
            parts: Vec::new(),
        });
    }

    pub(crate) fn returned(&mut self, returned: Return) {
        self.tell(Event::Return(returned));
    }

    /// A call returns data, or a datagram from `from`.
    pub(crate) fn received(&mut self, call: CallId, data: &[u8], from: Option<&str>) {
        self.returned(Return {
            call,
            result: Ok(data.len() as i64),
            moved: data.len() as u64,
            opened: None,
            out: Vec::new(),
            parts: vec![Part {
                data: Data::of(data),
                address: from.map(|from| Address::Ip(at(from))),
            }],
        });
    }

    /// `accept` returns a socket with these addresses.
    pub(crate) fn accepted(
        &mut self,
        call: CallId,
        net: NetId,
        local: &str,
        peer: &str,
    ) -> SocketId {
        let socket = self.appears(net, Transport::Tcp);
        self.addresses(socket, local, Some(peer));
        self.returned(Return {
            call,
            result: Ok(i64::from(socket) + 2),
            moved: 0,
            opened: Some(socket),
            out: vec![Arg::Address(Some(Address::Ip(at(peer))))],
            parts: Vec::new(),
        });
        socket
    }

    /// A call that returns at once.
    pub(crate) fn call(
        &mut self,
        by: Caller,
        deed: Deed,
        socket: SocketId,
        result: Result<i64, i32>,
    ) -> CallId {
        let call = self.enter(by, deed, socket);
        self.returns(call, result);
        call
    }

    /// `send` that returns at once.
    pub(crate) fn send(&mut self, by: Caller, socket: SocketId, data: &[u8]) -> CallId {
        let call = self.sends(by, socket, data, None);
        self.returns(call, Ok(data.len() as i64));
        call
    }

    /// `recv` that returns at once.
    pub(crate) fn recv(&mut self, by: Caller, socket: SocketId, data: &[u8]) -> CallId {
        let call = self.enter(by, Deed::Receive, socket);
        self.received(call, data, None);
        call
    }

    /// A listening socket.
    pub(crate) fn listener(&mut self, by: Caller, net: NetId, local: &str) -> SocketId {
        let socket = self.appears(net, Transport::Tcp);
        self.addresses(socket, local, None);
        self.call(by, Deed::Listen, socket, Ok(0));
        socket
    }

    /// A `connect` to `to`.
    pub(crate) fn connects(&mut self, by: Caller, socket: SocketId, to: &str) -> CallId {
        self.enters(Enter {
            call: 0,
            by,
            name: "connect".into(),
            deed: Deed::Connect,
            socket: Some(socket),
            closes: Vec::new(),
            args: vec![
                Arg::Fd(socket as i32 + 2),
                Arg::Address(Some(Address::Ip(at(to)))),
            ],
            parts: Vec::new(),
            waited: false,
        })
    }

    /// A packet with these bytes from the IP header on.
    pub(crate) fn packet(&mut self, way: Way, bytes: Vec<u8>, lost: Option<&str>) -> PacketId {
        self.packets += 1;
        self.tell(Event::Packet(Packet {
            number: self.packets,
            interface: 0,
            way,
            wire_len: bytes.len() as u32,
            checksum: KernelChecksum::Unknown,
            bytes,
            lost: lost.map(str::to_owned),
        }));
        self.packets
    }

    /// A TCP segment.
    pub(crate) fn segment(&mut self, way: Way, from: &str, to: &str, tcp: Tcp<'_>) -> PacketId {
        self.packet(way, segment(at(from), at(to), tcp), None)
    }

    /// A UDP datagram.
    pub(crate) fn datagram(&mut self, way: Way, from: &str, to: &str, data: &[u8]) -> PacketId {
        self.packet(way, datagram(at(from), at(to), data), None)
    }

    /// A packet of the wire reaches its receiver.
    pub(crate) fn arrives(&mut self, packet: PacketId, again: bool) {
        self.tell(Event::Arrival(Arrival { packet, again }));
    }

    /// As [`crate::file`] writes it: one JSON object a line.
    pub(crate) fn json(&self) -> String {
        let line = |entry| serde_json::to_string(entry).unwrap() + "\n";
        self.entries.iter().map(line).collect()
    }

    /// A client at `10.0.0.1:40000`, a server at `10.0.0.2:5000`, connected by calls and packets over the loopback interface.
    pub(crate) fn pair(&mut self) -> Pair {
        self.process(100, None, 1, "client");
        self.process(200, None, 1, "server");
        let listener = self.listener(SERVER, 1, "10.0.0.2:5000");
        let accept = self.enter(SERVER, Deed::Accept, listener);
        let client = self.appears(1, Transport::Tcp);
        let connect = self.connects(CLIENT, client, "10.0.0.2:5000");
        let mut pair = Pair {
            client,
            server: 0,
            listener,
            connect,
            accept,
            next: [1000, 5000],
        };
        pair.segment(self, 0, "S", b"");
        pair.segment(self, 1, "SA", b"");
        pair.segment(self, 0, "A", b"");
        self.addresses(client, "10.0.0.1:40000", Some("10.0.0.2:5000"));
        self.returns(connect, Ok(0));
        pair.server = self.accepted(accept, 1, "10.0.0.2:5000", "10.0.0.1:40000");
        pair
    }
}

/// A connection of [`Log::pair`], and the next sequence numbers of both sides.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pair {
    pub(crate) client: SocketId,
    pub(crate) server: SocketId,
    pub(crate) listener: SocketId,
    pub(crate) connect: CallId,
    pub(crate) accept: CallId,
    pub(crate) next: [u32; 2],
}

impl Pair {
    /// The next segment of the client (0) or the server (1).
    pub(crate) fn segment(
        &mut self,
        log: &mut Log,
        side: usize,
        flags: &str,
        data: &[u8],
    ) -> PacketId {
        let seq = self.next[side];
        let counted = flags.chars().filter(|flag| "SF".contains(*flag)).count();
        self.next[side] = seq.wrapping_add((data.len() + counted) as u32);
        self.again(log, side, flags, seq, data)
    }

    /// A segment with a sequence number of its own.
    pub(crate) fn again(
        &self,
        log: &mut Log,
        side: usize,
        flags: &str,
        seq: u32,
        data: &[u8],
    ) -> PacketId {
        let ends = ["10.0.0.1:40000", "10.0.0.2:5000"];
        let tcp = Tcp::new(flags, seq, self.next[1 - side], data);
        log.segment(Way::Loop, ends[side], ends[1 - side], tcp)
    }
}

const fn name(deed: Deed) -> &'static str {
    match deed {
        Deed::Open => "socket",
        Deed::Bind => "bind",
        Deed::Listen => "listen",
        Deed::Accept => "accept",
        Deed::Connect => "connect",
        Deed::Send => "send",
        Deed::Receive | Deed::Peek => "recv",
        Deed::Shutdown(How::Read | How::Write | How::Both) => "shutdown",
        Deed::Close => "close",
        Deed::Duplicate => "dup2",
        Deed::Option => "setsockopt",
        Deed::Name => "getsockname",
        Deed::Wait => "poll",
    }
}

/// The bytes of a TCP segment from the IP header on.
pub(crate) fn segment(from: SocketAddr, to: SocketAddr, tcp: Tcp<'_>) -> Vec<u8> {
    let mut header = TcpHeader::new(from.port(), to.port(), tcp.seq, tcp.window);
    let has = |flag| tcp.flags.contains(flag);
    header.syn = has('S');
    header.ack = has('A');
    header.fin = has('F');
    header.rst = has('R');
    header.psh = has('P');
    if header.ack {
        header.acknowledgment_number = tcp.ack;
    }
    let mut bytes = Vec::new();
    let built = match (from, to) {
        (SocketAddr::V4(from), SocketAddr::V4(to)) => {
            PacketBuilder::ipv4(from.ip().octets(), to.ip().octets(), 64)
                .tcp_header(header)
                .write(&mut bytes, tcp.data)
        }
        (SocketAddr::V6(from), SocketAddr::V6(to)) => {
            PacketBuilder::ipv6(from.ip().octets(), to.ip().octets(), 64)
                .tcp_header(header)
                .write(&mut bytes, tcp.data)
        }
        _ => panic!("two families"),
    };
    built.unwrap();
    bytes
}

/// The bytes of a UDP datagram (IPv4) from the IP header on.
pub(crate) fn datagram(from: SocketAddr, to: SocketAddr, data: &[u8]) -> Vec<u8> {
    let (SocketAddr::V4(a), SocketAddr::V4(b)) = (from, to) else {
        panic!("IPv4 only");
    };
    let mut bytes = Vec::new();
    PacketBuilder::ipv4(a.ip().octets(), b.ip().octets(), 64)
        .udp(a.port(), b.port())
        .write(&mut bytes, data)
        .unwrap();
    bytes
}

/// An ICMP "port unreachable" from `by` to the sender of `quoted`.
pub(crate) fn unreachable(by: SocketAddr, to: SocketAddr, quoted: &[u8]) -> Vec<u8> {
    use etherparse::{Icmpv4Type, icmpv4::DestUnreachableHeader};
    let (SocketAddr::V4(by), SocketAddr::V4(to)) = (by, to) else {
        panic!("IPv4 only");
    };
    let mut bytes = Vec::new();
    PacketBuilder::ipv4(by.ip().octets(), to.ip().octets(), 64)
        .icmpv4(Icmpv4Type::DestinationUnreachable(
            DestUnreachableHeader::Port,
        ))
        .write(&mut bytes, &quoted[..quoted.len().min(28)])
        .unwrap();
    bytes
}

/// A connection, `hello` one way, `bye` the other, and the close.
pub(crate) fn dialog() -> (Log, Pair) {
    let mut log = Log::local();
    let mut pair = log.pair();
    let recv = log.enter(SERVER, Deed::Receive, pair.server);
    let send = log.sends(CLIENT, pair.client, b"hello", None);
    pair.segment(&mut log, 0, "PA", b"hello");
    pair.segment(&mut log, 1, "A", b"");
    log.returns(send, Ok(5));
    log.received(recv, b"hello", None);
    log.wait(40_000_000);
    let recv = log.enter(CLIENT, Deed::Receive, pair.client);
    log.wait(25_000_000);
    let send = log.sends(SERVER, pair.server, b"bye", None);
    pair.segment(&mut log, 1, "PA", b"bye");
    pair.segment(&mut log, 0, "A", b"");
    log.returns(send, Ok(3));
    log.received(recv, b"bye", None);
    let close = log.enter(CLIENT, Deed::Close, pair.client);
    pair.segment(&mut log, 0, "FA", b"");
    pair.segment(&mut log, 1, "A", b"");
    log.returns(close, Ok(0));
    log.call(SERVER, Deed::Receive, pair.server, Ok(0));
    let close = log.enter(SERVER, Deed::Close, pair.server);
    pair.segment(&mut log, 1, "FA", b"");
    pair.segment(&mut log, 0, "A", b"");
    log.returns(close, Ok(0));
    (log, pair)
}
