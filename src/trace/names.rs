//! Names of the socket API's constants, as the manual pages and headers write them.

use std::{borrow::Cow, fmt::Write as _};

use crate::event::Arg;

/// Constants and their names. Of flags, one bit each.
pub(super) type Names = [(i64, &'static str)];

/// A table of constants of the system's headers.
macro_rules! names {
    ($($name:ident)*) => { &[$((libc::$name as i64, stringify!($name))),*] };
}
pub(super) use names;

/// What a constant is called; a number without a name stays a number.
pub(super) fn constant(value: i64, names: &Names) -> Arg {
    let found = names.iter().find(|(number, _)| *number == value);
    found.map_or(Arg::Number(value), |(_, name)| Arg::Word((*name).into()))
}

/// What bits are called: `MSG_DONTWAIT|MSG_NOSIGNAL`; bits without a name as one number, no bits at all as 0.
pub(super) fn flags(value: u32, names: &Names) -> Arg {
    if value == 0 {
        return Arg::Number(0);
    }
    Arg::Word(joined(None, value, names))
}

/// The words of `bits`, behind a first one.
fn joined(first: Option<&'static str>, bits: u32, names: &Names) -> Cow<'static, str> {
    let mut left = bits;
    let mut text = first.map_or(Cow::Borrowed(""), Cow::Borrowed);
    for &(bit, name) in names {
        // Only bits that are there once: `names` may have one bit under two names.
        if i64::from(left) & bit == 0 {
            continue;
        }
        left &= !(bit as u32);
        if text.is_empty() {
            text = name.into();
        } else {
            let text = text.to_mut();
            text.push('|');
            text.push_str(name);
        }
    }
    if left != 0 {
        let bar = if text.is_empty() { "" } else { "|" };
        // Writing to a string cannot fail.
        let _ = write!(text.to_mut(), "{bar}{left:#x}");
    }
    text
}

/// `SOCK_STREAM|SOCK_CLOEXEC`: a type of socket, and flags above it.
pub(super) fn socket_type(value: u32) -> Arg {
    let kind = i64::from(value & 0xf);
    match KINDS.iter().find(|(number, _)| *number == kind) {
        Some((_, name)) => Arg::Word(joined(Some(name), value & !0xf, SOCKET_FLAGS)),
        None => Arg::Number(i64::from(value)),
    }
}

/// The third argument of `socket`, which means what the family says. 0 is the family's usual one and stays 0.
pub(super) fn protocol(family: i32, value: i32) -> Arg {
    let number = i64::from(value);
    if value == 0 {
        return Arg::Number(0);
    }
    match family {
        libc::AF_INET | libc::AF_INET6 => constant(number, PROTOCOLS),
        libc::AF_NETLINK => constant(number, NETLINK),
        // An EtherType, in network order.
        libc::AF_PACKET => {
            let ethertype = u16::from_be(value as u16);
            Arg::Word(match constant(i64::from(ethertype), ETHERTYPES) {
                Arg::Word(name) => format!("htons({name})").into(),
                _ => format!("htons({ethertype:#06x})").into(),
            })
        }
        _ => Arg::Number(number),
    }
}

/// Address families of `socket(2)`.
pub(super) const FAMILIES: &Names = names!(
    AF_UNSPEC AF_UNIX AF_INET AF_INET6 AF_NETLINK AF_PACKET AF_VSOCK AF_BLUETOOTH AF_CAN AF_ALG AF_XDP AF_TIPC AF_KEY
    AF_NFC AF_X25 AF_AX25 AF_APPLETALK AF_IPX AF_DECnet AF_RDS AF_PPPOX AF_LLC AF_IB AF_MPLS AF_IUCV AF_RXRPC
);

/// Types of `socket(2)`.
pub(super) const KINDS: &Names =
    names!(SOCK_STREAM SOCK_DGRAM SOCK_RAW SOCK_RDM SOCK_SEQPACKET SOCK_DCCP);

/// Flags above the type in `socket(2)`, and those of `accept4(2)`.
pub(super) const SOCKET_FLAGS: &Names = names!(SOCK_CLOEXEC SOCK_NONBLOCK);

/// Protocols of IPv4 and IPv6 sockets.
pub(super) const PROTOCOLS: &Names = names!(
    IPPROTO_IP IPPROTO_TCP IPPROTO_UDP IPPROTO_ICMP IPPROTO_ICMPV6 IPPROTO_IPV6 IPPROTO_RAW IPPROTO_UDPLITE IPPROTO_SCTP
    IPPROTO_DCCP IPPROTO_IGMP IPPROTO_GRE IPPROTO_ESP IPPROTO_AH IPPROTO_IPIP IPPROTO_EGP IPPROTO_PIM IPPROTO_RSVP
    IPPROTO_MPTCP
);

/// Protocols of netlink sockets.
const NETLINK: &Names = names!(
    NETLINK_USERSOCK NETLINK_FIREWALL NETLINK_SOCK_DIAG NETLINK_NFLOG NETLINK_XFRM NETLINK_SELINUX NETLINK_AUDIT
    NETLINK_CONNECTOR NETLINK_NETFILTER NETLINK_KOBJECT_UEVENT NETLINK_GENERIC NETLINK_CRYPTO
);

/// EtherTypes that packet sockets are opened for.
const ETHERTYPES: &Names = names!(ETH_P_ALL ETH_P_IP ETH_P_IPV6 ETH_P_ARP ETH_P_8021Q ETH_P_LLDP);

/// Flags of `send(2)`, `recv(2)` and their relatives.
pub(super) const MESSAGE_FLAGS: &Names = names!(
    MSG_OOB MSG_PEEK MSG_DONTROUTE MSG_CTRUNC MSG_TRUNC MSG_DONTWAIT MSG_EOR MSG_WAITALL MSG_CONFIRM MSG_ERRQUEUE
    MSG_NOSIGNAL MSG_MORE MSG_WAITFORONE MSG_ZEROCOPY MSG_FASTOPEN MSG_CMSG_CLOEXEC
);

/// What `shutdown(2)` ends.
pub(super) const HOW: &Names = names!(SHUT_RD SHUT_WR SHUT_RDWR);

/// Flags of `splice(2)`.
pub(super) const SPLICE_FLAGS: &Names =
    names!(SPLICE_F_MOVE SPLICE_F_NONBLOCK SPLICE_F_MORE SPLICE_F_GIFT);

/// Flags of `preadv2(2)` and `pwritev2(2)`.
pub(super) const RW_FLAGS: &Names = names!(RWF_HIPRI RWF_DSYNC RWF_SYNC RWF_NOWAIT RWF_APPEND);

/// Flags of `close_range(2)`.
pub(super) const CLOSE_RANGE_FLAGS: &Names = names!(CLOSE_RANGE_UNSHARE);

/// Flags of `dup3(2)`, and those that `F_SETFL` can change or finds set.
pub(super) const OPEN_FLAGS: &Names =
    names!(O_WRONLY O_RDWR O_APPEND O_NONBLOCK O_ASYNC O_DIRECT O_NOATIME O_CLOEXEC);

/// Commands of `fcntl(2)`.
pub(super) const FCNTL: &Names = names!(F_DUPFD F_DUPFD_CLOEXEC F_SETFL);

/// Requests of `ioctl(2)`.
pub(super) const IOCTL: &Names = names!(FIONBIO);

/// Events of `poll(2)`.
pub(super) const POLL_EVENTS: &Names = names!(
    POLLIN POLLPRI POLLOUT POLLERR POLLHUP POLLNVAL POLLRDNORM POLLRDBAND POLLWRNORM POLLWRBAND POLLRDHUP
);

/// Events of `epoll(7)`.
pub(super) const EPOLL_EVENTS: &Names = names!(
    EPOLLIN EPOLLPRI EPOLLOUT EPOLLERR EPOLLHUP EPOLLRDNORM EPOLLRDBAND EPOLLWRNORM EPOLLWRBAND EPOLLMSG EPOLLRDHUP
    EPOLLEXCLUSIVE EPOLLWAKEUP EPOLLONESHOT EPOLLET
);

/// Operations of `epoll_ctl(2)`.
pub(super) const EPOLL_OPERATIONS: &Names = names!(EPOLL_CTL_ADD EPOLL_CTL_DEL EPOLL_CTL_MOD);

#[cfg(test)]
mod tests {
    use super::*;

    fn word(text: &str) -> Arg {
        Arg::Word(text.to_owned().into())
    }

    #[test]
    fn bits_are_named_and_the_rest_is_a_number() {
        let bits = (libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL) as u32;
        assert_eq!(
            flags(bits, MESSAGE_FLAGS),
            word("MSG_DONTWAIT|MSG_NOSIGNAL")
        );
        assert_eq!(
            flags(bits | 0x0080_0000, MESSAGE_FLAGS),
            word("MSG_DONTWAIT|MSG_NOSIGNAL|0x800000")
        );
        assert_eq!(flags(0, MESSAGE_FLAGS), Arg::Number(0));
        assert_eq!(flags(0x0080_0000, MESSAGE_FLAGS), word("0x800000"));
        // The highest bit, too.
        assert_eq!(
            flags(libc::EPOLLET as u32 | 1, EPOLL_EVENTS),
            word("EPOLLIN|EPOLLET")
        );
    }

    #[test]
    fn a_type_stands_before_its_flags() {
        let kind = (libc::SOCK_STREAM | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK) as u32;
        assert_eq!(
            socket_type(kind),
            word("SOCK_STREAM|SOCK_CLOEXEC|SOCK_NONBLOCK")
        );
        assert_eq!(socket_type(libc::SOCK_DGRAM as u32), word("SOCK_DGRAM"));
        assert_eq!(socket_type(0xf), Arg::Number(15));
    }

    #[test]
    fn a_protocol_is_the_familys() {
        assert_eq!(protocol(libc::AF_INET, 0), Arg::Number(0));
        assert_eq!(protocol(libc::AF_INET, 6), word("IPPROTO_TCP"));
        assert_eq!(protocol(libc::AF_UNIX, 6), Arg::Number(6));
        assert_eq!(protocol(libc::AF_NETLINK, 4), word("NETLINK_SOCK_DIAG"));
        let all = i32::from(3u16.to_be());
        assert_eq!(protocol(libc::AF_PACKET, all), word("htons(ETH_P_ALL)"));
        let other = i32::from(0x88b5u16.to_be());
        assert_eq!(protocol(libc::AF_PACKET, other), word("htons(0x88b5)"));
    }
}
