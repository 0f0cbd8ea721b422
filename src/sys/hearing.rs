//! Sockets that hear: raw IP sockets and packet sockets without a ring, each packet with the kernel's time where it has one.

use std::{
    io::{self, IoSliceMut},
    os::fd::{AsFd, AsRawFd, BorrowedFd},
};

use nix::{
    errno::Errno,
    sys::{
        socket::{
            ControlMessageOwned, MsgFlags, TimestampingFlag, Timestamps, recvmsg, setsockopt,
            sockopt,
        },
        time::TimeSpec,
    },
};
use socket2::{Domain, Protocol, Socket, Type};

use super::{
    filter, option,
    packet::{Layer, PacketSocket},
};
use crate::{bpf::Program, time::Time};

/// A socket that hears. Opening and closing a raw one costs microseconds; closing a packet socket costs milliseconds,
/// because the kernel waits until no processor uses it any more.
#[derive(Debug)]
pub enum Hearing {
    /// A raw IPv4 socket (raw(7)): packets of one protocol that this host received, from their IP header on.
    Raw(Socket),
    /// A packet socket (packet(7)): what interfaces received, whoever it is for.
    Packet(PacketSocket),
}

/// One packet that was received.
#[derive(Clone, Copy, Debug)]
pub struct Received {
    /// Bytes of it in the buffer.
    pub len: usize,
    /// When the kernel got it; `None` for the first packets after the first socket of the machine asked for times, since
    /// the kernel begins to stamp a moment later.
    pub time: Option<Time>,
}

impl Hearing {
    /// A raw IPv4 socket for one protocol, of all interfaces.
    ///
    /// # Errors
    /// `EPERM` without CAP_NET_RAW.
    pub fn raw(protocol: u8) -> io::Result<Self> {
        let protocol = Protocol::from(i32::from(protocol));
        let socket = Socket::new(Domain::IPV4, Type::RAW, Some(protocol))?;
        Self::Raw(socket).stamped()
    }

    /// Packets of one EtherType that any interface receives, without their link header.
    ///
    /// # Errors
    /// `EPERM` without CAP_NET_RAW.
    pub fn packets(ethertype: u16) -> io::Result<Self> {
        Self::packet(Layer::Network, 0, ethertype)
    }

    /// Frames that the interface with this index receives, with their link header.
    ///
    /// # Errors
    /// `EPERM` without CAP_NET_RAW; `ENODEV` when there is no such interface.
    pub fn frames(ifindex: u32) -> io::Result<Self> {
        Self::packet(Layer::Link, ifindex, libc::ETH_P_ALL as u16)
    }

    fn packet(layer: Layer, ifindex: u32, ethertype: u16) -> io::Result<Self> {
        let socket = PacketSocket::open(layer)?;
        let on: libc::c_int = 1;
        let name = libc::PACKET_IGNORE_OUTGOING;
        option::set(socket.as_fd(), libc::SOL_PACKET, name, on)?;
        socket.bind_to(ifindex, ethertype)?;
        Self::Packet(socket).stamped()
    }

    /// Asks for times by `SO_TIMESTAMPING`, which gives none where `SO_TIMESTAMPNS` would put the time of reading in its place.
    fn stamped(self) -> io::Result<Self> {
        let flags = TimestampingFlag::SOF_TIMESTAMPING_RX_SOFTWARE
            | TimestampingFlag::SOF_TIMESTAMPING_SOFTWARE;
        setsockopt(&self, sockopt::Timestamping, &flags)?;
        Ok(self)
    }

    /// Lets the kernel run `program` on everything that arrives.
    ///
    /// # Errors
    /// `ENOMEM` when the program needs more than `net.core.optmem_max` allows.
    pub fn attach(&self, program: &Program) -> io::Result<()> {
        match self {
            Self::Raw(socket) => filter::attach(socket, program),
            Self::Packet(socket) => socket.attach(program),
        }
    }

    /// The next packet that has arrived, put into `buffer`. `None`: none waits.
    ///
    /// # Errors
    /// When the interface is gone.
    pub fn receive(&self, buffer: &mut [u8]) -> io::Result<Option<Received>> {
        let mut space = nix::cmsg_space!([TimeSpec; 3]);
        let mut parts = [IoSliceMut::new(buffer)];
        let fd = self.as_fd().as_raw_fd();
        let flags = MsgFlags::MSG_DONTWAIT;
        let message = match recvmsg::<()>(fd, &mut parts, Some(&mut space), flags) {
            Ok(message) => message,
            // An interface that went down gives the error once; others may still be heard.
            Err(Errno::EAGAIN | Errno::EINTR | Errno::ENETDOWN) => return Ok(None),
            Err(errno) => return Err(errno.into()),
        };
        let stamp = message.cmsgs()?.find_map(|control| match control {
            ControlMessageOwned::ScmTimestampsns(Timestamps { system, .. }) => Some(system),
            _ => None,
        });
        Ok(Some(Received {
            len: message.bytes,
            time: stamp.map(|at| Time::from_parts(at.tv_sec(), at.tv_nsec() as u32)),
        }))
    }
}

impl AsFd for Hearing {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Raw(socket) => socket.as_fd(),
            Self::Packet(socket) => socket.as_fd(),
        }
    }
}
