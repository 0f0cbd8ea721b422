//! Options of sockets by name and with the values that their types have, and control messages, which are much the same.

use std::{
    fmt::Write as _,
    net::{Ipv4Addr, Ipv6Addr},
};

use super::{
    decode::{self, Memory, long_at, word_at},
    names::{self, Names, names},
    sockaddr,
};
use crate::{call, event::Arg};

/// What an option's value is.
#[derive(Clone, Copy, Debug)]
enum Value {
    /// A number of 4 bytes; of 1 byte where the caller says so.
    Int,
    /// One of these.
    Constant(&'static Names),
    /// An error number.
    Error,
    /// `struct linger`.
    Linger,
    /// `struct timeval`.
    Timeval,
    /// `struct timespec`.
    Timespec,
    /// Text: a name.
    Text,
    /// An IPv4 address, or such and an interface.
    Ipv4,
    /// `struct ip_mreq`, or `ip_mreqn`: a group and an interface.
    Group,
    /// `struct ipv6_mreq`.
    Group6,
    /// `struct ucred`.
    Credentials,
    /// `struct sockaddr`.
    Address,
    /// `struct sock_fprog`: how many instructions.
    Program,
    /// `struct in_pktinfo`.
    PacketInfo,
    /// `struct in6_pktinfo`.
    PacketInfo6,
    /// `struct sock_extended_err`.
    Extended,
    /// Anything else: bytes.
    Bytes,
}

/// Number, name, and what the value is.
type Row = (i32, &'static str, Value);

/// Options of one kind.
macro_rules! options {
    ($($kind:expr => $($name:ident)*;)*) => {
        &[$($((libc::$name as i32, stringify!($name), $kind)),*),*]
    };
}

/// Levels of options: number, the name that programs use, and the options.
const LEVELS: &[(i32, &str, &[Row])] = &[
    (libc::SOL_SOCKET, "SOL_SOCKET", SOCKET),
    (libc::IPPROTO_TCP, "IPPROTO_TCP", TCP),
    (libc::IPPROTO_IP, "IPPROTO_IP", IP),
    (libc::IPPROTO_IPV6, "IPPROTO_IPV6", IPV6),
    (libc::IPPROTO_UDP, "IPPROTO_UDP", UDP),
    (
        libc::IPPROTO_RAW,
        "SOL_RAW",
        &[(1, "ICMP_FILTER", Value::Bytes)],
    ),
    (
        libc::IPPROTO_ICMPV6,
        "IPPROTO_ICMPV6",
        &[(1, "ICMP6_FILTER", Value::Bytes)],
    ),
    (libc::SOL_PACKET, "SOL_PACKET", PACKET),
    (libc::SOL_NETLINK, "SOL_NETLINK", NETLINK),
    (
        libc::SOL_TLS,
        "SOL_TLS",
        &[(1, "TLS_TX", Value::Bytes), (2, "TLS_RX", Value::Bytes)],
    ),
];

const SOCKET: &[Row] = options!(
    Value::Int => SO_DEBUG SO_REUSEADDR SO_DONTROUTE SO_BROADCAST SO_SNDBUF SO_RCVBUF SO_SNDBUFFORCE SO_RCVBUFFORCE
        SO_KEEPALIVE SO_OOBINLINE SO_NO_CHECK SO_PRIORITY SO_BSDCOMPAT SO_REUSEPORT SO_PASSCRED SO_RCVLOWAT SO_SNDLOWAT
        SO_DETACH_FILTER SO_TIMESTAMP SO_TIMESTAMPNS SO_TIMESTAMPING SO_ACCEPTCONN SO_PASSSEC SO_MARK SO_RXQ_OVFL
        SO_WIFI_STATUS SO_PEEK_OFF SO_NOFCS SO_LOCK_FILTER SO_SELECT_ERR_QUEUE SO_BUSY_POLL SO_BPF_EXTENSIONS
        SO_INCOMING_CPU SO_ATTACH_BPF SO_INCOMING_NAPI_ID SO_ZEROCOPY SO_PREFER_BUSY_POLL SO_BUSY_POLL_BUDGET
        SO_BINDTOIFINDEX;
    Value::Constant(names::KINDS) => SO_TYPE;
    Value::Constant(names::FAMILIES) => SO_DOMAIN;
    Value::Constant(names::PROTOCOLS) => SO_PROTOCOL;
    Value::Error => SO_ERROR;
    Value::Linger => SO_LINGER;
    Value::Timeval => SO_RCVTIMEO SO_SNDTIMEO;
    Value::Text => SO_BINDTODEVICE SO_PEERSEC;
    Value::Credentials => SO_PEERCRED;
    Value::Address => SO_PEERNAME;
    Value::Program => SO_ATTACH_FILTER SO_ATTACH_REUSEPORT_CBPF;
    Value::Bytes => SO_PEERGROUPS SO_MEMINFO SO_COOKIE SO_TXTIME SO_MAX_PACING_RATE SO_NETNS_COOKIE;
);

const TCP: &[Row] = options!(
    Value::Int => TCP_NODELAY TCP_MAXSEG TCP_CORK TCP_KEEPIDLE TCP_KEEPINTVL TCP_KEEPCNT TCP_SYNCNT TCP_LINGER2
        TCP_DEFER_ACCEPT TCP_WINDOW_CLAMP TCP_QUICKACK TCP_THIN_LINEAR_TIMEOUTS TCP_THIN_DUPACK TCP_USER_TIMEOUT
        TCP_REPAIR TCP_REPAIR_QUEUE TCP_QUEUE_SEQ TCP_FASTOPEN TCP_TIMESTAMP TCP_NOTSENT_LOWAT TCP_SAVE_SYN
        TCP_FASTOPEN_CONNECT TCP_FASTOPEN_NO_COOKIE TCP_INQ;
    Value::Text => TCP_CONGESTION TCP_ULP;
    // Hundreds of bytes, which views of a trace have no room for.
    Value::Bytes => TCP_INFO TCP_CC_INFO TCP_SAVED_SYN TCP_MD5SIG TCP_FASTOPEN_KEY TCP_ZEROCOPY_RECEIVE;
);

const IP: &[Row] = options!(
    Value::Int => IP_TOS IP_TTL IP_HDRINCL IP_ROUTER_ALERT IP_RECVOPTS IP_PKTINFO IP_RECVERR IP_RECVTTL IP_RECVTOS IP_MTU
        IP_FREEBIND IP_TRANSPARENT IP_ORIGDSTADDR IP_MINTTL IP_NODEFRAG IP_BIND_ADDRESS_NO_PORT IP_MULTICAST_TTL
        IP_MULTICAST_LOOP IP_MULTICAST_ALL IP_UNICAST_IF IP_PASSSEC;
    Value::Constant(DISCOVERY) => IP_MTU_DISCOVER;
    Value::Ipv4 => IP_MULTICAST_IF;
    Value::Group => IP_ADD_MEMBERSHIP IP_DROP_MEMBERSHIP;
    Value::Address => SO_ORIGINAL_DST;
    Value::Bytes => IP_OPTIONS IP_RETOPTS IP_MSFILTER IP_ADD_SOURCE_MEMBERSHIP IP_DROP_SOURCE_MEMBERSHIP IP_BLOCK_SOURCE
        IP_UNBLOCK_SOURCE MCAST_JOIN_GROUP MCAST_LEAVE_GROUP;
);

const IPV6: &[Row] = options!(
    Value::Int => IPV6_V6ONLY IPV6_UNICAST_HOPS IPV6_MULTICAST_HOPS IPV6_MULTICAST_LOOP IPV6_MULTICAST_IF IPV6_MTU
        IPV6_RECVERR IPV6_RECVPKTINFO IPV6_RECVHOPLIMIT IPV6_RECVTCLASS IPV6_RECVHOPOPTS IPV6_RECVDSTOPTS
        IPV6_RECVRTHDR IPV6_TCLASS IPV6_DONTFRAG IPV6_FREEBIND IPV6_TRANSPARENT IPV6_MINHOPCOUNT IPV6_AUTOFLOWLABEL
        IPV6_CHECKSUM IPV6_ADDR_PREFERENCES IPV6_MULTICAST_ALL IPV6_UNICAST_IF IPV6_ROUTER_ALERT IPV6_ORIGDSTADDR
        IPV6_RECVPATHMTU IPV6_HDRINCL IPV6_ADDRFORM;
    Value::Constant(DISCOVERY) => IPV6_MTU_DISCOVER;
    Value::Group6 => IPV6_ADD_MEMBERSHIP IPV6_DROP_MEMBERSHIP;
    Value::PacketInfo6 => IPV6_PKTINFO;
    Value::Bytes => IPV6_HOPOPTS IPV6_DSTOPTS IPV6_RTHDR IPV6_PATHMTU IPV6_NEXTHOP MCAST_JOIN_GROUP MCAST_LEAVE_GROUP;
);

const UDP: &[Row] = options!(
    Value::Int => UDP_CORK UDP_ENCAP UDP_NO_CHECK6_TX UDP_NO_CHECK6_RX UDP_SEGMENT UDP_GRO;
);

const PACKET: &[Row] = options!(
    Value::Int => PACKET_RECV_OUTPUT PACKET_COPY_THRESH PACKET_AUXDATA PACKET_ORIGDEV PACKET_VERSION PACKET_RESERVE
        PACKET_LOSS PACKET_VNET_HDR PACKET_TIMESTAMP PACKET_FANOUT PACKET_QDISC_BYPASS;
    Value::Bytes => PACKET_ADD_MEMBERSHIP PACKET_DROP_MEMBERSHIP PACKET_RX_RING PACKET_TX_RING PACKET_STATISTICS;
);

const NETLINK: &[Row] = options!(
    Value::Int => NETLINK_ADD_MEMBERSHIP NETLINK_DROP_MEMBERSHIP NETLINK_PKTINFO NETLINK_BROADCAST_ERROR
        NETLINK_NO_ENOBUFS NETLINK_CAP_ACK NETLINK_EXT_ACK NETLINK_GET_STRICT_CHK;
);

/// Values of `IP_MTU_DISCOVER`; those of `IPV6_MTU_DISCOVER` are the same.
const DISCOVERY: &Names = names!(
    IP_PMTUDISC_DONT IP_PMTUDISC_WANT IP_PMTUDISC_DO IP_PMTUDISC_PROBE IP_PMTUDISC_INTERFACE IP_PMTUDISC_OMIT
);

/// Control messages: level, type, name, and what the data is.
const CONTROL: &[(i32, &[Row])] = &[
    (
        libc::SOL_SOCKET,
        options!(
            Value::Credentials => SCM_CREDENTIALS;
            Value::Timeval => SO_TIMESTAMP;
            Value::Timespec => SO_TIMESTAMPNS;
            Value::Int => SO_RXQ_OVFL SO_MARK;
        ),
    ),
    (
        libc::IPPROTO_IP,
        options!(
            Value::Int => IP_TTL IP_TOS;
            Value::PacketInfo => IP_PKTINFO;
            Value::Extended => IP_RECVERR;
            Value::Address => IP_ORIGDSTADDR;
        ),
    ),
    (
        libc::IPPROTO_IPV6,
        options!(
            Value::Int => IPV6_HOPLIMIT IPV6_TCLASS;
            Value::PacketInfo6 => IPV6_PKTINFO;
            Value::Extended => IPV6_RECVERR;
            Value::Address => IPV6_ORIGDSTADDR;
        ),
    ),
    (
        libc::IPPROTO_UDP,
        options!(Value::Int => UDP_GRO UDP_SEGMENT;),
    ),
    (libc::IPPROTO_TCP, options!(Value::Int => TCP_INQ;)),
];

/// The name of a level.
pub(super) fn level(level: i32) -> Arg {
    let found = LEVELS.iter().find(|(number, ..)| *number == level);
    word(found.map(|(_, name, _)| *name), level)
}

/// The name of an option.
pub(super) fn name(level: i32, number: i32) -> Arg {
    word(option(level, number).map(|(_, name, _)| *name), number)
}

fn word(name: Option<&'static str>, number: i32) -> Arg {
    name.map_or_else(
        || Arg::Number(i64::from(number)),
        |name| Arg::Word(name.into()),
    )
}

fn option(level: i32, number: i32) -> Option<&'static Row> {
    let (.., options) = LEVELS.iter().find(|(at, ..)| *at == level)?;
    options.iter().find(|(at, ..)| *at == number)
}

/// The value of an option, by its level and number, of `size` bytes at an address. `None`: it cannot be read, or there is none.
pub(super) fn value(
    memory: &dyn Memory,
    (level, number): (i32, i32),
    at: u64,
    size: u32,
) -> Option<Arg> {
    let mut bytes = [0; call::HEAD];
    let size = usize::try_from(size as i32).unwrap_or(0);
    let kept = decode::read(memory, at, &mut bytes[..size.min(call::HEAD)]);
    let kind = option(level, number).map_or(Value::Bytes, |(.., kind)| *kind);
    match kept {
        0 => None,
        _ => Some(spelled(kind, &bytes[..kept], size)),
    }
}

/// A control message: `{IP_TTL, {64}}`.
pub(super) fn control(level: i32, number: i32, data: &[u8]) -> Arg {
    let options = CONTROL.iter().find(|(at, _)| *at == level);
    let options = options.map_or(&[][..], |(_, options)| options);
    let known = options.iter().find(|(at, ..)| *at == number);
    let (name, kind) = match known {
        Some((_, name, kind)) => (Arg::Word((*name).into()), *kind),
        None => (self::name(level, number), Value::Bytes),
    };
    Arg::Group(vec![name, spelled(kind, data, data.len())])
}

/// A value as C writes one of its type: `{1}`, `{l_onoff=1, l_linger=0}`. `size` is its true size; `bytes` may be fewer.
fn spelled(kind: Value, bytes: &[u8], size: usize) -> Arg {
    // What is too short for its type is not of it.
    if bytes.len() < least(kind) {
        return spelled(Value::Bytes, bytes, size);
    }
    let ip = |at: usize| Ipv4Addr::from(word_at(bytes, at).to_ne_bytes());
    let ip6 = || Ipv6Addr::from(*bytes.first_chunk().unwrap_or(&[0; 16]));
    let int = |at: usize| word_at(bytes, at) as i32;
    let text = match kind {
        Value::Int => return Arg::Group(vec![Arg::Number(number(bytes))]),
        Value::Constant(names) => return Arg::Group(vec![names::constant(number(bytes), names)]),
        Value::Error if int(0) == 0 => "0".to_owned(),
        Value::Error => call::Errno(int(0)).to_string(),
        Value::Linger => format!("l_onoff={}, l_linger={}", int(0), int(4)),
        Value::Timeval => return decode::time(bytes, "tv_usec"),
        Value::Timespec => return decode::time(bytes, "tv_nsec"),
        Value::Text => {
            let end = bytes.iter().position(|&byte| byte == 0);
            let text = &bytes[..end.unwrap_or(bytes.len())];
            return Arg::Text(String::from_utf8_lossy(text).into_owned());
        }
        Value::Ipv4 if size < 12 => ip(0).to_string(),
        Value::Ipv4 => format!("imr_address={}, imr_ifindex={}", ip(4), int(8)),
        Value::Group if size < 12 => format!("imr_multiaddr={}, imr_interface={}", ip(0), ip(4)),
        Value::Group => {
            let (group, address, index) = (ip(0), ip(4), int(8));
            format!("imr_multiaddr={group}, imr_address={address}, imr_ifindex={index}")
        }
        Value::Group6 => format!("ipv6mr_multiaddr={}, ipv6mr_interface={}", ip6(), int(16)),
        Value::Credentials => format!(
            "pid={}, uid={}, gid={}",
            int(0),
            word_at(bytes, 4),
            word_at(bytes, 8)
        ),
        Value::Address => return sockaddr::arg(bytes),
        Value::Program => format!("len={}, filter={:#x}", int(0) as u16, long_at(bytes, 8)),
        Value::PacketInfo => {
            format!(
                "ipi_ifindex={}, ipi_spec_dst={}, ipi_addr={}",
                int(0),
                ip(4),
                ip(8)
            )
        }
        Value::PacketInfo6 => format!("ipi6_addr={}, ipi6_ifindex={}", ip6(), int(16)),
        Value::Extended => {
            let error = call::Errno(int(0));
            let [origin, kind, code] = [4, 5, 6].map(|at| bytes[at]);
            format!("{error}, ee_origin={origin}, ee_type={kind}, ee_code={code}")
        }
        Value::Bytes => digits(bytes, size),
    };
    Arg::Word(format!("{{{text}}}").into())
}

/// Bytes that a value of a kind has at least.
const fn least(kind: Value) -> usize {
    match kind {
        Value::Bytes | Value::Text | Value::Address => 0,
        Value::Int | Value::Constant(_) => 1,
        Value::Error | Value::Ipv4 => 4,
        Value::Linger | Value::Group => 8,
        Value::Credentials | Value::PacketInfo => 12,
        Value::Timeval | Value::Timespec | Value::Program | Value::Extended => 16,
        Value::Group6 | Value::PacketInfo6 => 20,
    }
}

/// An `int`, or the one byte that some options take instead.
fn number(bytes: &[u8]) -> i64 {
    match bytes {
        [byte] => i64::from(*byte),
        _ => i64::from(word_at(bytes, 0) as i32),
    }
}

/// The first bytes in hexadecimal digits, and how many there are where these are not all.
fn digits(bytes: &[u8], size: usize) -> String {
    const SHOWN: usize = 8;
    let mut text = String::new();
    for (n, byte) in bytes.iter().take(SHOWN).enumerate() {
        let gap = if n > 0 { " " } else { "" };
        // Writing to a string cannot fail.
        let _ = write!(text, "{gap}{byte:02x}");
    }
    if size > SHOWN {
        let _ = write!(text, "... {size} bytes");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(arg: &Arg) -> String {
        match arg {
            Arg::Word(word) => word.to_string(),
            Arg::Text(text) => format!("{text:?}"),
            Arg::Number(number) => number.to_string(),
            Arg::Address(Some(address)) => format!("<{address}>"),
            Arg::Group(args) => format!(
                "{{{}}}",
                args.iter().map(text).collect::<Vec<_>>().join(", ")
            ),
            other => format!("{other:?}"),
        }
    }

    /// Level and name, and the value of these bytes.
    fn shown(level: i32, number: i32, bytes: &[u8]) -> String {
        let kind = option(level, number).map_or(Value::Bytes, |(.., kind)| *kind);
        let (at, what) = (super::level(level), name(level, number));
        let value = spelled(kind, bytes, bytes.len());
        format!("{} {} {}", text(&at), text(&what), text(&value))
    }

    fn ints(values: &[i32]) -> Vec<u8> {
        values.iter().flat_map(|v| v.to_ne_bytes()).collect()
    }

    fn longs(values: &[i64]) -> Vec<u8> {
        values.iter().flat_map(|v| v.to_ne_bytes()).collect()
    }

    #[test]
    fn values_are_spelled_as_their_types_have_them() {
        use libc::{IPPROTO_IP as V4, IPPROTO_IPV6 as V6, IPPROTO_TCP as TCP, SOL_SOCKET as SOL};
        let group = [224, 0, 0, 251, 10, 0, 0, 1];
        let mut group_index = group.to_vec();
        group_index.extend(ints(&[2]));
        let mut group6 = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1).octets().to_vec();
        group6.extend(ints(&[2]));
        let cases: &[(i32, i32, Vec<u8>, &str)] = &[
            (
                SOL,
                libc::SO_REUSEADDR,
                ints(&[1]),
                "SOL_SOCKET SO_REUSEADDR {1}",
            ),
            (
                SOL,
                libc::SO_RCVBUF,
                ints(&[-1]),
                "SOL_SOCKET SO_RCVBUF {-1}",
            ),
            (
                SOL,
                libc::SO_LINGER,
                ints(&[1, 0]),
                "SOL_SOCKET SO_LINGER {l_onoff=1, l_linger=0}",
            ),
            (
                SOL,
                libc::SO_RCVTIMEO,
                longs(&[2, 500_000]),
                "SOL_SOCKET SO_RCVTIMEO {tv_sec=2, tv_usec=500000}",
            ),
            (
                SOL,
                libc::SO_ERROR,
                ints(&[111]),
                "SOL_SOCKET SO_ERROR {ECONNREFUSED (connection refused)}",
            ),
            (SOL, libc::SO_ERROR, ints(&[0]), "SOL_SOCKET SO_ERROR {0}"),
            (
                SOL,
                libc::SO_TYPE,
                ints(&[1]),
                "SOL_SOCKET SO_TYPE {SOCK_STREAM}",
            ),
            (
                SOL,
                libc::SO_DOMAIN,
                ints(&[10]),
                "SOL_SOCKET SO_DOMAIN {AF_INET6}",
            ),
            (
                SOL,
                libc::SO_PROTOCOL,
                ints(&[17]),
                "SOL_SOCKET SO_PROTOCOL {IPPROTO_UDP}",
            ),
            (
                SOL,
                libc::SO_BINDTODEVICE,
                b"eth0\0".to_vec(),
                "SOL_SOCKET SO_BINDTODEVICE \"eth0\"",
            ),
            (
                SOL,
                libc::SO_PEERCRED,
                ints(&[7, 0, 0]),
                "SOL_SOCKET SO_PEERCRED {pid=7, uid=0, gid=0}",
            ),
            (
                SOL,
                libc::SO_ATTACH_FILTER,
                longs(&[4, 0x1000]),
                "SOL_SOCKET SO_ATTACH_FILTER {len=4, filter=0x1000}",
            ),
            (
                TCP,
                libc::TCP_NODELAY,
                ints(&[1]),
                "IPPROTO_TCP TCP_NODELAY {1}",
            ),
            (
                TCP,
                libc::TCP_CONGESTION,
                b"cubic\0\0\0".to_vec(),
                "IPPROTO_TCP TCP_CONGESTION \"cubic\"",
            ),
            (
                TCP,
                libc::TCP_INFO,
                vec![1; 104],
                "IPPROTO_TCP TCP_INFO {01 01 01 01 01 01 01 01... 104 bytes}",
            ),
            (V4, libc::IP_TTL, ints(&[64]), "IPPROTO_IP IP_TTL {64}"),
            (
                V4,
                libc::IP_MULTICAST_TTL,
                vec![4],
                "IPPROTO_IP IP_MULTICAST_TTL {4}",
            ),
            (
                V4,
                libc::IP_MTU_DISCOVER,
                ints(&[2]),
                "IPPROTO_IP IP_MTU_DISCOVER {IP_PMTUDISC_DO}",
            ),
            (
                V4,
                libc::IP_MULTICAST_IF,
                vec![10, 0, 0, 1],
                "IPPROTO_IP IP_MULTICAST_IF {10.0.0.1}",
            ),
            (
                V4,
                libc::IP_ADD_MEMBERSHIP,
                group.to_vec(),
                "IPPROTO_IP IP_ADD_MEMBERSHIP {imr_multiaddr=224.0.0.251, imr_interface=10.0.0.1}",
            ),
            (
                V4,
                libc::IP_ADD_MEMBERSHIP,
                group_index,
                "IPPROTO_IP IP_ADD_MEMBERSHIP {imr_multiaddr=224.0.0.251, imr_address=10.0.0.1, imr_ifindex=2}",
            ),
            (
                V6,
                libc::IPV6_V6ONLY,
                ints(&[1]),
                "IPPROTO_IPV6 IPV6_V6ONLY {1}",
            ),
            (
                V6,
                libc::IPV6_ADD_MEMBERSHIP,
                group6,
                "IPPROTO_IPV6 IPV6_ADD_MEMBERSHIP {ipv6mr_multiaddr=ff02::1, ipv6mr_interface=2}",
            ),
            // Of a value that is too short for its type, and of an option without a name, the bytes.
            (
                SOL,
                libc::SO_LINGER,
                vec![1, 0],
                "SOL_SOCKET SO_LINGER {01 00}",
            ),
            (SOL, 4711, vec![1, 0], "SOL_SOCKET 4711 {01 00}"),
            (4711, 1, vec![], "4711 1 {}"),
        ];
        for (level, number, bytes, expected) in cases {
            assert_eq!(shown(*level, *number, bytes), *expected);
        }
    }

    #[test]
    fn control_messages() {
        let shown = |level, number, bytes: &[u8]| text(&control(level, number, bytes));
        assert_eq!(
            shown(libc::IPPROTO_IP, libc::IP_TTL, &ints(&[63])),
            "{IP_TTL, {63}}"
        );
        let info = [2, 0, 0, 0, 10, 0, 0, 1, 224, 0, 0, 251];
        assert_eq!(
            shown(libc::IPPROTO_IP, libc::IP_PKTINFO, &info),
            "{IP_PKTINFO, {ipi_ifindex=2, ipi_spec_dst=10.0.0.1, ipi_addr=224.0.0.251}}"
        );
        let mut error = ints(&[libc::ECONNREFUSED]);
        error.extend([2, 3, 3, 0]);
        error.extend(ints(&[0, 0]));
        assert_eq!(
            shown(libc::IPPROTO_IP, libc::IP_RECVERR, &error),
            "{IP_RECVERR, {ECONNREFUSED (connection refused), ee_origin=2, ee_type=3, ee_code=3}}"
        );
        assert_eq!(
            shown(libc::SOL_SOCKET, libc::SO_TIMESTAMP, &longs(&[5, 6])),
            "{SO_TIMESTAMP, {tv_sec=5, tv_usec=6}}"
        );
        assert_eq!(shown(7, 8, &[9]), "{8, {09}}");
    }

    #[test]
    fn no_option_has_two_rows() {
        for (_, level, options) in LEVELS {
            for (n, (number, name, _)) in options.iter().enumerate() {
                let again = options[..n].iter().find(|(other, ..)| other == number);
                assert!(again.is_none(), "{level} {name}: {again:?}");
            }
        }
    }
}
