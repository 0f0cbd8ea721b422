//! Sockets that send packets made by hand: raw IP sockets and packet sockets, many packets in one call (sendmmsg(2)).

use std::{
    io,
    mem::{size_of, zeroed},
    net::{SocketAddrV4, SocketAddrV6},
    os::fd::{AsFd, AsRawFd, BorrowedFd},
};

use nix::poll::{PollTimeout, poll};
use socket2::{Domain, Protocol, SockAddr, SockAddrStorage, Socket, Type};

use super::{option, packet::Layer};

/// The most packets that one call hands to the kernel.
pub const BATCH: usize = 64;
/// `IP_NODEFRAG` (linux/in.h): connection tracking leaves fragments as they are.
const IP_NODEFRAG: libc::c_int = 22;

/// A socket that only sends: nothing that arrives is queued in it for long, as nothing ever reads it.
#[derive(Debug)]
pub struct Sender(Socket);

/// Where a packet goes, for sockets that are not bound to one place.
#[derive(Clone, Debug)]
pub struct Target(SockAddr);

impl Target {
    /// To an IPv4 address by the kernel's routes.
    pub fn v4(address: SocketAddrV4) -> Self {
        Self(address.into())
    }

    /// To an IPv6 address by the kernel's routes, with the interface's number as scope where the address is link-local.
    pub fn v6(address: SocketAddrV6) -> Self {
        Self(address.into())
    }

    /// To a hardware address on the link of interface `ifindex`, as a packet with this EtherType.
    pub fn link(ifindex: u32, ethertype: u16, mac: Option<[u8; 6]>) -> Self {
        let mut storage = SockAddrStorage::zeroed();
        let mut address = [0; 8];
        let octets = mac.as_ref().map_or(&[][..], |mac| mac);
        address[..octets.len()].copy_from_slice(octets);
        // SAFETY: `sockaddr_ll` is one of the forms that a socket address takes, and holds integers only.
        *unsafe { storage.view_as::<libc::sockaddr_ll>() } = libc::sockaddr_ll {
            sll_family: libc::AF_PACKET as u16,
            sll_protocol: ethertype.to_be(),
            // A number that is too large is no interface's: the kernel says so.
            sll_ifindex: ifindex as libc::c_int,
            sll_hatype: 0,
            sll_pkttype: 0,
            sll_halen: octets.len() as u8,
            sll_addr: address,
        };
        let len = size_of::<libc::sockaddr_ll>() as libc::socklen_t;
        // SAFETY: the first `len` bytes of the storage are the `sockaddr_ll` that was just written.
        Self(unsafe { SockAddr::new(storage, len) })
    }
}

impl Sender {
    /// A raw IPv4 socket for packets with their own header (`IP_HDRINCL`). The kernel writes its checksum and total
    /// length, and its identification and source where they are zero.
    ///
    /// # Errors
    /// `EPERM` without CAP_NET_RAW.
    pub fn raw_v4() -> io::Result<Self> {
        let socket = Socket::new(
            Domain::IPV4,
            Type::RAW,
            Some(Protocol::from(libc::IPPROTO_RAW)),
        )?;
        socket.set_broadcast(true)?;
        option::set::<libc::c_int>(socket.as_fd(), libc::SOL_IP, IP_NODEFRAG, 1)?;
        // Without it the kernel says nothing of packets that a full queue drops.
        option::set::<libc::c_int>(socket.as_fd(), libc::SOL_IP, libc::IP_RECVERR, 1)?;
        Ok(Self(socket))
    }

    /// A raw IPv6 socket for packets with their own header, which the kernel does not touch.
    ///
    /// # Errors
    /// `EPERM` without CAP_NET_RAW; `EAFNOSUPPORT` where there is no IPv6.
    pub fn raw_v6() -> io::Result<Self> {
        let socket = Socket::new(
            Domain::IPV6,
            Type::RAW,
            Some(Protocol::from(libc::IPPROTO_RAW)),
        )?;
        // As for IPv4.
        let name = libc::IPV6_RECVERR;
        option::set::<libc::c_int>(socket.as_fd(), libc::SOL_IPV6, name, 1)?;
        Ok(Self(socket))
    }

    /// A packet socket for whole frames, or for packets that the kernel puts a link header on. It hears nothing.
    ///
    /// # Errors
    /// `EPERM` without CAP_NET_RAW.
    pub fn packet(layer: Layer) -> io::Result<Self> {
        let kind = match layer {
            Layer::Link => Type::RAW,
            Layer::Network => Type::DGRAM,
        };
        Socket::new(Domain::PACKET, kind, Some(Protocol::from(0))).map(Self)
    }

    /// Sends by this interface only, whatever the routes say; for raw IP sockets.
    ///
    /// # Errors
    /// `ENODEV` when there is none of that name.
    pub fn through(&self, interface: &str) -> io::Result<()> {
        self.0.bind_device(Some(interface.as_bytes()))
    }

    /// Sends to `target` whatever comes without one; for packet sockets.
    ///
    /// # Errors
    /// When the interface is gone.
    pub fn bind(&self, target: &Target) -> io::Result<()> {
        self.0.bind(&target.0)
    }

    /// Goes past the interface's queue (and past any shaping in it), so that packets leave as fast as the driver takes
    /// them; for packet sockets.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn bypass_queue(&self) -> io::Result<()> {
        let name = libc::PACKET_QDISC_BYPASS;
        option::set::<libc::c_int>(self.as_fd(), libc::SOL_PACKET, name, 1)
    }

    /// Sends at most [`BATCH`] packets, each to its target or to where the socket is bound, in one call. Returns how many
    /// left. Allocates nothing.
    ///
    /// # Errors
    /// The kernel's answer to the first packet.
    pub fn send<'a>(
        &self,
        packets: impl Iterator<Item = (&'a [u8], Option<&'a Target>)>,
    ) -> io::Result<usize> {
        // SAFETY: integers and pointers only, for which zeros are a valid value.
        let mut parts: [libc::iovec; BATCH] = unsafe { zeroed() };
        // SAFETY: as above.
        let mut messages: [libc::mmsghdr; BATCH] = unsafe { zeroed() };
        let mut count = 0;
        for ((bytes, target), (part, message)) in packets.zip(parts.iter_mut().zip(&mut messages)) {
            part.iov_base = bytes.as_ptr().cast_mut().cast();
            part.iov_len = bytes.len();
            let header = &mut message.msg_hdr;
            header.msg_iov = part;
            header.msg_iovlen = 1;
            if let Some(Target(address)) = target {
                header.msg_name = address.as_ptr().cast_mut().cast();
                header.msg_namelen = address.len();
            }
            count += 1;
        }
        // SAFETY: the first `count` headers point to `parts` and to bytes and addresses borrowed for `'a`, all of which
        // outlive the call; the kernel reads them, and writes nothing but each header's `msg_len`.
        let sent = unsafe { libc::sendmmsg(self.0.as_raw_fd(), messages.as_mut_ptr(), count, 0) };
        usize::try_from(sent).map_err(|_| io::Error::last_os_error())
    }

    /// Waits a millisecond, or until a signal comes: a full queue of the interface tells nobody when it has room.
    pub fn wait(&self) {
        let _ = poll(&mut [], PollTimeout::from(1_u8));
    }
}

impl AsFd for Sender {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
