//! A plain packet socket on one interface: a port of the lab's wire, in and out, with the kernel's times.

use std::{
    io::{self, IoSliceMut},
    os::fd::{AsFd, AsRawFd, BorrowedFd},
};

use nix::{
    errno::Errno,
    sys::{
        socket::{ControlMessageOwned, MsgFlags, recvmsg, send, setsockopt, sockopt},
        time::TimeSpec,
    },
};

use super::{
    option,
    packet::{Layer, PacketSocket},
};
use crate::time::Time;

/// Bytes of frames that may wait for the wire: more than TCP has under way.
const BUFFER: usize = 32 << 20;

/// A packet socket that receives what arrives at one interface, never what it sends itself.
#[derive(Debug)]
pub struct Port(PacketSocket);

impl Port {
    /// Opens a port on the interface with this index, in the network namespace of this thread.
    ///
    /// # Errors
    /// When the kernel refuses: packet sockets need CAP_NET_RAW in the namespace.
    pub fn open(index: u32) -> io::Result<Self> {
        let socket = PacketSocket::open(Layer::Link)?;
        setsockopt(&socket, sockopt::ReceiveTimestampns, &true)?;
        let on: libc::c_int = 1;
        let name = libc::PACKET_IGNORE_OUTGOING;
        option::set(socket.as_fd(), libc::SOL_PACKET, name, on)?;
        // Past the queue: until the kernel has found the time to give a new interface one, it silently drops what is queued.
        let name = libc::PACKET_QDISC_BYPASS;
        option::set(socket.as_fd(), libc::SOL_PACKET, name, on)?;
        // A burst must not be lost where nobody decided so. More than the kernel's limit needs a right outside of user
        // namespaces; without it, the usual buffer has to do.
        let _ = setsockopt(&socket, sockopt::RcvBufForce, &BUFFER);
        socket.bind(index)?;
        Ok(Self(socket))
    }

    /// The next frame that has arrived, put into `buffer`: its length and when the kernel saw it. `None`: none waits.
    ///
    /// # Errors
    /// When the interface is gone.
    pub fn receive(&self, buffer: &mut [u8]) -> io::Result<Option<(usize, Time)>> {
        let mut space = nix::cmsg_space!(TimeSpec);
        let mut parts = [IoSliceMut::new(buffer)];
        let message = match recvmsg::<()>(
            self.0.as_fd().as_raw_fd(),
            &mut parts,
            Some(&mut space),
            MsgFlags::MSG_DONTWAIT,
        ) {
            Ok(message) => message,
            Err(Errno::EAGAIN | Errno::EINTR) => return Ok(None),
            Err(errno) => return Err(errno.into()),
        };
        let time = message.cmsgs()?.find_map(|control| match control {
            ControlMessageOwned::ScmTimestampns(time) => {
                Some(Time::from_parts(time.tv_sec(), time.tv_nsec() as u32))
            }
            _ => None,
        });
        Ok(Some((message.bytes, time.unwrap_or_default())))
    }

    /// Sends one frame, from its link header on.
    ///
    /// # Errors
    /// The kernel's answer, such as `ENOBUFS`.
    pub fn send(&self, frame: &[u8]) -> io::Result<()> {
        send(self.0.as_fd().as_raw_fd(), frame, MsgFlags::empty())?;
        Ok(())
    }
}

impl AsFd for Port {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
