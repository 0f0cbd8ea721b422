//! A plain packet socket on one interface: a port of the lab's wire, in and out, with the kernel's times.

use std::{
    io::{self, IoSliceMut},
    mem,
    os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd},
};

use nix::{
    errno::Errno,
    sys::{
        socket::{
            AddressFamily, ControlMessageOwned, MsgFlags, SockFlag, SockType, recvmsg, send,
            setsockopt, socket, sockopt,
        },
        time::TimeSpec,
    },
};

use crate::time::Time;

/// A packet socket that receives what arrives at one interface, never what it sends itself.
#[derive(Debug)]
pub struct Port(OwnedFd);

impl Port {
    /// Opens a port on the interface with this index, in the network namespace of this thread.
    ///
    /// # Errors
    /// When the kernel refuses: packet sockets need CAP_NET_RAW in the namespace.
    pub fn open(index: u32) -> io::Result<Self> {
        // Protocol 0 hears nothing until it is bound, so that no frame of another interface slips in.
        let fd = socket(
            AddressFamily::Packet,
            SockType::Raw,
            SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK,
            None,
        )?;
        setsockopt(&fd, sockopt::ReceiveTimestampns, &true)?;
        ignore_outgoing(&fd)?;
        bind(&fd, index)?;
        Ok(Self(fd))
    }

    /// The next frame that has arrived, put into `buffer`: its length and when the kernel saw it. `None`: none waits.
    ///
    /// # Errors
    /// When the interface is gone.
    pub fn receive(&self, buffer: &mut [u8]) -> io::Result<Option<(usize, Time)>> {
        let mut space = nix::cmsg_space!(TimeSpec);
        let mut parts = [IoSliceMut::new(buffer)];
        let message = match recvmsg::<()>(
            self.0.as_raw_fd(),
            &mut parts,
            Some(&mut space),
            MsgFlags::empty(),
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
        send(self.0.as_raw_fd(), frame, MsgFlags::empty())?;
        Ok(())
    }
}

impl AsFd for Port {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

fn ignore_outgoing(fd: &OwnedFd) -> io::Result<()> {
    let on: libc::c_int = 1;
    // SAFETY: the kernel reads one int, which outlives the call.
    let answer = unsafe {
        libc::setsockopt(
            fd.as_raw_fd(),
            libc::SOL_PACKET,
            libc::PACKET_IGNORE_OUTGOING,
            (&raw const on).cast(),
            mem::size_of_val(&on) as libc::socklen_t,
        )
    };
    check(answer)
}

fn bind(fd: &OwnedFd, index: u32) -> io::Result<()> {
    // SAFETY: `sockaddr_ll` is plain data for which all zeros is a valid value.
    let mut address: libc::sockaddr_ll = unsafe { mem::zeroed() };
    address.sll_family = libc::AF_PACKET as u16;
    address.sll_protocol = (libc::ETH_P_ALL as u16).to_be();
    address.sll_ifindex = index as libc::c_int;
    // SAFETY: the kernel reads one `sockaddr_ll`, which outlives the call.
    let answer = unsafe {
        libc::bind(
            fd.as_raw_fd(),
            (&raw const address).cast(),
            mem::size_of_val(&address) as libc::socklen_t,
        )
    };
    check(answer)
}

fn check(answer: libc::c_int) -> io::Result<()> {
    if answer < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}
