//! The few rtnetlink messages that change something, as a lab needs them: a pair of interfaces, an address, a neighbour,
//! up (rtnetlink(7)). What only asks is in `route`.

use std::{
    io,
    net::IpAddr,
    os::fd::{AsRawFd, BorrowedFd, OwnedFd},
};

use nix::{
    errno::Errno,
    sys::socket::{
        AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, recv, send,
        socket,
    },
};

/// A socket that speaks rtnetlink in the network namespace of the thread that opened it.
#[derive(Debug)]
pub struct Netlink(pub(super) OwnedFd);

/// One end of a pair of interfaces.
#[derive(Clone, Copy, Debug)]
pub struct End<'a> {
    /// Its index in its namespace; must be free there.
    pub index: u32,
    /// Its name, at most 15 bytes.
    pub name: &'a str,
    /// Its hardware address.
    pub mac: [u8; 6],
}

/// Index of the loopback interface in every network namespace.
pub const LOOPBACK: u32 = 1;

// linux/veth.h, linux/if_link.h, linux/if_addr.h, linux/neighbour.h: values that `libc` does not carry.
const VETH_INFO_PEER: u16 = 1;
const IFLA_INET6_ADDR_GEN_MODE: u16 = 8;
const IN6_ADDR_GEN_MODE_NONE: u8 = 1;
pub(super) const NDA_DST: u16 = 1;
pub(super) const NDA_LLADDR: u16 = 2;
const NUD_PERMANENT: u16 = 0x80;

impl Netlink {
    /// Opens the socket.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn open() -> io::Result<Self> {
        let fd = socket(
            AddressFamily::Netlink,
            SockType::Raw,
            SockFlag::SOCK_CLOEXEC,
            SockProtocol::NetlinkRoute,
        )?;
        bind(fd.as_raw_fd(), &NetlinkAddr::new(0, 0))?;
        Ok(Self(fd))
    }

    /// Makes a veth pair: `here` in this namespace, `there` in the one behind `namespace`.
    ///
    /// # Errors
    /// The kernel's answer.
    pub fn veth(&self, here: End<'_>, there: End<'_>, namespace: BorrowedFd<'_>) -> io::Result<()> {
        self.ask(veth(here, there, namespace))
    }

    /// Keeps the kernel from giving interface `index` an IPv6 address of its own making.
    ///
    /// # Errors
    /// The kernel's answer; `EAFNOSUPPORT` where IPv6 is not built in.
    pub fn no_own_address(&self, index: u32) -> io::Result<()> {
        self.ask(no_own_address(index))
    }

    /// Gives interface `index` an address at once, without looking for duplicates.
    ///
    /// # Errors
    /// The kernel's answer.
    pub fn address(&self, index: u32, address: IpAddr, prefix: u8) -> io::Result<()> {
        self.ask(self::address(index, address, prefix))
    }

    /// Names the hardware address of a neighbour for good, so that nobody asks for it (ARP, neighbour discovery).
    ///
    /// # Errors
    /// The kernel's answer.
    pub fn neighbour(&self, index: u32, address: IpAddr, mac: [u8; 6]) -> io::Result<()> {
        self.ask(neighbour(index, address, mac))
    }

    /// Sends packets for `network` with this prefix length to a router, which has to be a neighbour.
    ///
    /// # Errors
    /// The kernel's answer; `ENETUNREACH` when the router is on no attached network.
    pub fn route(&self, network: IpAddr, prefix: u8, router: IpAddr) -> io::Result<()> {
        self.ask(self::route(network, prefix, router))
    }

    /// Sets interface `index` up.
    ///
    /// # Errors
    /// The kernel's answer.
    pub fn up(&self, index: u32) -> io::Result<()> {
        self.ask(up(index))
    }

    fn ask(&self, message: Message) -> io::Result<()> {
        Ok(exchange(&self.0, &message.finish())?)
    }
}

/// Sets the loopback interface of this thread's namespace up. Allocates nothing, so that a forked child may call it.
pub(super) fn loopback_up() -> Result<(), Errno> {
    let fd = socket(
        AddressFamily::Netlink,
        SockType::Raw,
        SockFlag::SOCK_CLOEXEC,
        SockProtocol::NetlinkRoute,
    )?;
    exchange(&fd, &loopback_up_message())
}

fn exchange(fd: &OwnedFd, message: &[u8]) -> Result<(), Errno> {
    send(fd.as_raw_fd(), message, MsgFlags::empty())?;
    let mut answer = [0; 4096];
    let len = recv(fd.as_raw_fd(), &mut answer, MsgFlags::empty())?;
    // nlmsghdr (16 bytes), then nlmsgerr, whose first word is 0 or a negated errno.
    match answer[..len].get(16..20) {
        Some(&[a, b, c, d]) => match i32::from_ne_bytes([a, b, c, d]) {
            0 => Ok(()),
            error => Err(Errno::from_raw(-error)),
        },
        _ => Err(Errno::EPROTO),
    }
}

/// A request under construction: header, fixed part, attributes; lengths are filled in as the parts close.
pub(super) struct Message(Vec<u8>);

impl Message {
    fn new(kind: u16, flags: i32, fixed: &[u8]) -> Self {
        Self::begun(kind, libc::NLM_F_ACK | flags, fixed)
    }

    /// A question: the answer is a message, or an error.
    pub(super) fn question(kind: u16, fixed: &[u8]) -> Self {
        Self::begun(kind, 0, fixed)
    }

    fn begun(kind: u16, flags: i32, fixed: &[u8]) -> Self {
        let flags = (libc::NLM_F_REQUEST | flags) as u16;
        let mut bytes = vec![0; 4];
        bytes.extend(kind.to_ne_bytes());
        bytes.extend(flags.to_ne_bytes());
        bytes.extend([0; 8]);
        bytes.extend(fixed);
        Self(bytes)
    }

    /// An attribute with a value; values are padded to four bytes, the padding does not count.
    pub(super) fn put(mut self, kind: u16, value: &[u8]) -> Self {
        self.0.extend((4 + value.len() as u16).to_ne_bytes());
        self.0.extend(kind.to_ne_bytes());
        self.0.extend(value);
        self.0.resize(self.0.len().next_multiple_of(4), 0);
        self
    }

    /// An attribute that holds `head` and then further attributes.
    fn nest(mut self, kind: u16, head: &[u8], inside: impl FnOnce(Self) -> Self) -> Self {
        let start = self.0.len();
        self.0.extend([0; 2]);
        self.0.extend(kind.to_ne_bytes());
        self.0.extend(head);
        let mut outer = inside(self);
        let len = (outer.0.len() - start) as u16;
        outer.0[start..start + 2].copy_from_slice(&len.to_ne_bytes());
        outer
    }

    pub(super) fn finish(mut self) -> Vec<u8> {
        let len = self.0.len() as u32;
        self.0[..4].copy_from_slice(&len.to_ne_bytes());
        self.0
    }
}

/// `struct ifinfomsg`.
fn ifinfo(index: u32, flags: i32, change: i32) -> [u8; 16] {
    let mut bytes = [0; 16];
    bytes[4..8].copy_from_slice(&index.to_ne_bytes());
    bytes[8..12].copy_from_slice(&flags.to_ne_bytes());
    bytes[12..16].copy_from_slice(&change.to_ne_bytes());
    bytes
}

fn veth(here: End<'_>, there: End<'_>, namespace: BorrowedFd<'_>) -> Message {
    let name = |end: End<'_>| [end.name.as_bytes(), &[0]].concat();
    let fd = namespace.as_raw_fd().to_ne_bytes();
    Message::new(
        libc::RTM_NEWLINK,
        libc::NLM_F_CREATE | libc::NLM_F_EXCL,
        &ifinfo(here.index, 0, 0),
    )
    .put(libc::IFLA_IFNAME, &name(here))
    .put(libc::IFLA_ADDRESS, &here.mac)
    .nest(libc::IFLA_LINKINFO, &[], |info| {
        info.put(libc::IFLA_INFO_KIND, b"veth")
            .nest(libc::IFLA_INFO_DATA, &[], |data| {
                data.nest(VETH_INFO_PEER, &ifinfo(there.index, 0, 0), |peer| {
                    peer.put(libc::IFLA_IFNAME, &name(there))
                        .put(libc::IFLA_ADDRESS, &there.mac)
                        .put(libc::IFLA_NET_NS_FD, &fd)
                })
            })
    })
}

fn no_own_address(index: u32) -> Message {
    Message::new(libc::RTM_NEWLINK, 0, &ifinfo(index, 0, 0)).nest(
        libc::IFLA_AF_SPEC,
        &[],
        |families| {
            families.nest(libc::AF_INET6 as u16, &[], |inet6| {
                inet6.put(IFLA_INET6_ADDR_GEN_MODE, &[IN6_ADDR_GEN_MODE_NONE])
            })
        },
    )
}

fn address(index: u32, address: IpAddr, prefix: u8) -> Message {
    let bytes = octets(address);
    // struct ifaddrmsg: family, prefix length, flags, scope, index.
    let mut fixed = vec![family(address), prefix, libc::IFA_F_NODAD as u8, 0];
    fixed.extend(index.to_ne_bytes());
    Message::new(
        libc::RTM_NEWADDR,
        libc::NLM_F_CREATE | libc::NLM_F_EXCL,
        &fixed,
    )
    .put(libc::IFA_LOCAL, &bytes)
    .put(libc::IFA_ADDRESS, &bytes)
}

fn route(network: IpAddr, prefix: u8, router: IpAddr) -> Message {
    // struct rtmsg: family, bits of destination and source, service, table, who made it, scope, type, flags.
    let table = libc::RT_TABLE_MAIN;
    let (by, scope, kind) = (
        libc::RTPROT_STATIC,
        libc::RT_SCOPE_UNIVERSE,
        libc::RTN_UNICAST,
    );
    let mut fixed = vec![family(network), prefix, 0, 0, table, by, scope, kind];
    fixed.extend([0; 4]);
    Message::new(
        libc::RTM_NEWROUTE,
        libc::NLM_F_CREATE | libc::NLM_F_EXCL,
        &fixed,
    )
    .put(libc::RTA_DST, &octets(network))
    .put(libc::RTA_GATEWAY, &octets(router))
}

fn neighbour(index: u32, address: IpAddr, mac: [u8; 6]) -> Message {
    // struct ndmsg: family, padding, index, state, flags, type.
    let mut fixed = vec![family(address), 0, 0, 0];
    fixed.extend(index.to_ne_bytes());
    fixed.extend(NUD_PERMANENT.to_ne_bytes());
    fixed.extend([0, 0]);
    Message::new(
        libc::RTM_NEWNEIGH,
        libc::NLM_F_CREATE | libc::NLM_F_REPLACE,
        &fixed,
    )
    .put(NDA_DST, &octets(address))
    .put(NDA_LLADDR, &mac)
}

fn up(index: u32) -> Message {
    Message::new(
        libc::RTM_NEWLINK,
        0,
        &ifinfo(index, libc::IFF_UP, libc::IFF_UP),
    )
}

/// The same as `up(LOOPBACK)`, without memory of its own.
fn loopback_up_message() -> [u8; 32] {
    let mut bytes = [0; 32];
    bytes[0..4].copy_from_slice(&32_u32.to_ne_bytes());
    bytes[4..6].copy_from_slice(&libc::RTM_NEWLINK.to_ne_bytes());
    let flags = (libc::NLM_F_REQUEST | libc::NLM_F_ACK) as u16;
    bytes[6..8].copy_from_slice(&flags.to_ne_bytes());
    bytes[16..].copy_from_slice(&ifinfo(LOOPBACK, libc::IFF_UP, libc::IFF_UP));
    bytes
}

pub(super) fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(*bytes.get(at..)?.first_chunk()?))
}

pub(super) fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(*bytes.get(at..)?.first_chunk()?))
}

/// The attributes behind a fixed part of `fixed` bytes: kind and value of each.
fn attributes(body: &[u8], fixed: usize) -> impl Iterator<Item = (u16, &[u8])> {
    let mut rest = body.get(fixed..).unwrap_or_default();
    std::iter::from_fn(move || {
        let len = usize::from(u16_at(rest, 0)?);
        let kind = u16_at(rest, 2)? & !(libc::NLA_F_NESTED as u16);
        let value = rest.get(4..len)?;
        rest = rest.get(len.next_multiple_of(4)..).unwrap_or_default();
        Some((kind, value))
    })
}

/// The value of the first of them of this kind.
pub(super) fn attribute(body: &[u8], fixed: usize, wanted: u16) -> Option<&[u8]> {
    attributes(body, fixed).find_map(|(kind, value)| (kind == wanted).then_some(value))
}

pub(super) fn family(address: IpAddr) -> u8 {
    match address {
        IpAddr::V4(_) => libc::AF_INET as u8,
        IpAddr::V6(_) => libc::AF_INET6 as u8,
    }
}

pub(super) fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(v4) => v4.octets().to_vec(),
        IpAddr::V6(v6) => v6.octets().to_vec(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::os::fd::AsFd;

    use super::*;

    #[test]
    fn setting_loopback_up_is_the_same_message_with_and_without_memory() {
        assert_eq!(up(LOOPBACK).finish(), loopback_up_message());
    }

    #[test]
    #[cfg(target_endian = "little")]
    fn an_address_message_is_what_rtnetlink_describes() {
        let bytes = address(2, [10, 0, 0, 1].into(), 24).finish();
        #[rustfmt::skip]
        assert_eq!(
            bytes,
            [
                40, 0, 0, 0,  20, 0,  5, 6,  0, 0, 0, 0,  0, 0, 0, 0, // RTM_NEWADDR, REQUEST|ACK|CREATE|EXCL
                2, 24, 2, 0,  2, 0, 0, 0,                             // AF_INET, /24, NODAD, index 2
                8, 0, 2, 0,  10, 0, 0, 1,                             // IFA_LOCAL
                8, 0, 1, 0,  10, 0, 0, 1,                             // IFA_ADDRESS
            ]
        );
    }

    #[test]
    fn damaged_attributes_end_the_walk() {
        // An attribute that claims more than there is, and one that is shorter than its own head.
        assert_eq!(attributes(&[9, 0, 1, 0, 0], 0).count(), 0);
        assert_eq!(attributes(&[3, 0, 1, 0, 0], 0).count(), 0);
    }

    #[test]
    fn nested_attributes_count_what_they_hold() {
        let end = |name| End {
            index: 9,
            name,
            mac: [2; 6],
        };
        let stdin = io::stdin();
        let bytes = veth(end("w0"), end("eth0"), stdin.as_fd()).finish();
        assert_eq!(bytes.len() % 4, 0);
        assert_eq!(
            bytes.len(),
            u32::from_ne_bytes(bytes[..4].try_into().unwrap()) as usize
        );
        let word = |at: usize| u16::from_ne_bytes([bytes[at], bytes[at + 1]]) as usize;
        // Header 16, ifinfomsg 16, IFNAME 4+3 padded to 8, ADDRESS 4+6 padded to 12: LINKINFO begins at 52.
        assert_eq!(
            (word(54), 52 + word(52)),
            (libc::IFLA_LINKINFO as usize, bytes.len())
        );
        // KIND "veth" takes 8, then DATA and PEER reach to the end as well.
        assert_eq!(
            (word(66), 64 + word(64)),
            (libc::IFLA_INFO_DATA as usize, bytes.len())
        );
        assert_eq!(
            (word(70), 68 + word(68)),
            (VETH_INFO_PEER as usize, bytes.len())
        );
    }
}
