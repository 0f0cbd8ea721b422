//! The packet socket (AF_PACKET, packet(7)): every frame of an interface, in both directions.

use std::{
    io,
    mem::size_of,
    os::fd::{AsFd, AsRawFd, BorrowedFd},
};

use socket2::{Domain, Protocol, Socket, Type};

use super::{filter, option, ring::Ring};
use crate::bpf::Program;

/// Bytes kept free before each frame, for a VLAN tag that is put back in place.
const RESERVE: libc::c_int = 4;
/// An EtherType that nobody sends (reserved by RFC 1701).
const NO_PROTOCOL: u16 = 0xffff;

/// What a packet socket hands over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layer {
    /// Whole frames, link header first (`SOCK_RAW`).
    Link,
    /// Packets without their link header, which is described beside them (`SOCK_DGRAM`).
    Network,
}

/// What the kernel counted since the last reading (`PACKET_STATISTICS` starts again at each).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Statistics {
    /// Frames that passed the filter, dropped ones included.
    pub packets: u32,
    /// Frames for which the ring had no room.
    pub drops: u32,
}

/// A packet socket. It receives nothing before [`PacketSocket::bind`], so no foreign frame slips in during set-up.
#[derive(Debug)]
pub struct PacketSocket(Socket);

impl PacketSocket {
    /// Opens a socket that is bound to nothing.
    ///
    /// # Errors
    /// `EPERM` without CAP_NET_RAW in the network namespace's user namespace.
    pub fn open(layer: Layer) -> io::Result<Self> {
        let kind = match layer {
            Layer::Link => Type::RAW,
            Layer::Network => Type::DGRAM,
        };
        Socket::new(Domain::PACKET, kind, Some(Protocol::from(0))).map(Self)
    }

    /// Lets the kernel run `program` on every frame, in place of the one before: what it returns is how many bytes are
    /// kept, and 0 refuses the frame, which is then counted nowhere.
    ///
    /// # Errors
    /// `ENOMEM` when the program needs more than `net.core.optmem_max` allows.
    pub fn attach(&self, program: &Program) -> io::Result<()> {
        filter::attach(&self.0, program)
    }

    /// Makes the interface accept frames for other hosts, as long as the socket lives.
    ///
    /// # Errors
    /// When the interface is gone or refuses.
    pub fn promiscuous(&self, ifindex: u32) -> io::Result<()> {
        let request = libc::packet_mreq {
            mr_ifindex: index(ifindex)?,
            mr_type: libc::PACKET_MR_PROMISC as u16,
            mr_alen: 0,
            mr_address: [0; 8],
        };
        option::set(
            self.as_fd(),
            libc::SOL_PACKET,
            libc::PACKET_ADD_MEMBERSHIP,
            request,
        )
    }

    /// Gives the socket a receive ring of `blocks` blocks of `block_len` bytes (a power of two, at least a page),
    /// which the kernel hands over when full, or `retire_ms` after it began to fill them.
    ///
    /// # Errors
    /// `ENOMEM` when the kernel has no such memory.
    pub fn ring(&self, blocks: u32, block_len: u32, retire_ms: u32) -> io::Result<Ring> {
        const FRAME: u32 = 2048; // Only for the kernel's arithmetic: TPACKET_V3 packs frames of any size.
        option::set(
            self.as_fd(),
            libc::SOL_PACKET,
            libc::PACKET_VERSION,
            libc::tpacket_versions::TPACKET_V3 as libc::c_int,
        )?;
        option::set(
            self.as_fd(),
            libc::SOL_PACKET,
            libc::PACKET_RESERVE,
            RESERVE,
        )?;
        let request = libc::tpacket_req3 {
            tp_block_size: block_len,
            tp_block_nr: blocks,
            tp_frame_size: FRAME,
            tp_frame_nr: (block_len / FRAME).saturating_mul(blocks),
            tp_retire_blk_tov: retire_ms,
            tp_sizeof_priv: 0,
            tp_feature_req_word: 0,
        };
        option::set(
            self.as_fd(),
            libc::SOL_PACKET,
            libc::PACKET_RX_RING,
            request,
        )?;
        Ring::map(self.as_fd(), blocks as usize, block_len as usize)
    }

    /// Begins to receive: all protocols of the interface, or of all interfaces when `ifindex` is 0.
    ///
    /// # Errors
    /// When the interface is gone.
    pub fn bind(&self, ifindex: u32) -> io::Result<()> {
        self.bind_to(ifindex, libc::ETH_P_ALL as u16)
    }

    /// Ends receiving. When this returns, no frame is on its way into the ring any more.
    ///
    /// # Errors
    /// When the kernel refuses to bind anew.
    pub fn silence(&self, ifindex: u32) -> io::Result<()> {
        // Ends it at once. Beside a long program there may be no memory for this one: then binding alone ends it.
        let _ = filter::attach_nothing(&self.0);
        // Binding anew unhooks the socket and waits for every processor to leave it; a deleted interface has done so.
        match self.bind_to(ifindex, NO_PROTOCOL) {
            Err(error) if matches!(error.raw_os_error(), Some(libc::ENODEV | libc::ENXIO)) => {
                Ok(())
            }
            bound => bound,
        }
    }

    /// What was counted since the last call.
    ///
    /// # Errors
    /// Only when the socket is no packet socket, which cannot be.
    pub fn statistics(&self) -> io::Result<Statistics> {
        let counted: libc::tpacket_stats_v3 =
            option::get(self.as_fd(), libc::SOL_PACKET, libc::PACKET_STATISTICS)?;
        Ok(Statistics {
            packets: counted.tp_packets,
            drops: counted.tp_drops,
        })
    }

    /// Takes the pending error (`ENETDOWN` after the interface went down), so that polling waits again.
    pub fn take_error(&self) -> Option<io::Error> {
        self.0.take_error().ok().flatten()
    }

    /// The ARPHRD_ type of an interface in the socket's network namespace.
    ///
    /// # Errors
    /// `ENODEV` when there is no such interface.
    pub fn hardware_type(&self, name: &str) -> io::Result<u16> {
        let answer = InterfaceRequest::named(name)?.ask(&self.0, libc::SIOCGIFHWADDR)?;
        Ok(answer.half())
    }

    /// Whether an interface in the socket's network namespace is set up (`IFF_UP`).
    ///
    /// # Errors
    /// `ENODEV` when there is no such interface any more.
    pub fn is_up(&self, ifindex: u32) -> io::Result<bool> {
        let answer = self.named(ifindex)?.ask(&self.0, libc::SIOCGIFFLAGS)?;
        Ok(libc::c_int::from(answer.half()) & libc::IFF_UP != 0)
    }

    /// The present name of an interface in the socket's network namespace, with marks for what is no UTF-8 in it.
    ///
    /// # Errors
    /// `ENODEV` when there is no such interface any more.
    pub fn name_of(&self, ifindex: u32) -> io::Result<String> {
        let request = self.named(ifindex)?;
        let name = request.name.split(|&b| b == 0).next().unwrap_or_default();
        Ok(String::from_utf8_lossy(name).into_owned())
    }

    /// A request about the interface with this number; the kernel allows names that are no text.
    fn named(&self, ifindex: u32) -> io::Result<InterfaceRequest> {
        let mut request = InterfaceRequest::default();
        request.data[..4].copy_from_slice(&index(ifindex)?.to_ne_bytes());
        request.ask(&self.0, libc::SIOCGIFNAME)
    }

    /// Begins to receive one EtherType of the interface, or of all interfaces when `ifindex` is 0.
    ///
    /// # Errors
    /// When the interface is gone.
    pub fn bind_to(&self, ifindex: u32, protocol: u16) -> io::Result<()> {
        let address = libc::sockaddr_ll {
            sll_family: libc::AF_PACKET as u16,
            sll_protocol: protocol.to_be(),
            sll_ifindex: index(ifindex)?,
            sll_hatype: 0,
            sll_pkttype: 0,
            sll_halen: 0,
            sll_addr: [0; 8],
        };
        // SAFETY: `address` is a whole `sockaddr_ll` and outlives the call, which only reads it.
        let failed = unsafe {
            libc::bind(
                self.0.as_raw_fd(),
                (&raw const address).cast(),
                size_of::<libc::sockaddr_ll>() as libc::socklen_t,
            )
        };
        if failed == 0 {
            Ok(())
        } else {
            Err(io::Error::last_os_error())
        }
    }
}

impl AsFd for PacketSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// The ARPHRD_ type of an interface in the calling thread's network namespace; needs no right.
///
/// # Errors
/// `ENODEV` when there is no such interface.
pub fn hardware_type(name: &str) -> io::Result<u16> {
    let any = Socket::new(Domain::IPV4, Type::DGRAM, None)?;
    let answer = InterfaceRequest::named(name)?.ask(&any, libc::SIOCGIFHWADDR)?;
    Ok(answer.half())
}

/// The longest packet, in bytes, that an interface in the calling thread's network namespace carries; needs no right.
///
/// # Errors
/// `ENODEV` when there is no such interface.
pub fn mtu(name: &str) -> io::Result<u32> {
    let any = Socket::new(Domain::IPV4, Type::DGRAM, None)?;
    let answer = InterfaceRequest::named(name)?.ask(&any, libc::SIOCGIFMTU)?;
    let [a, b, c, d, ..] = answer.data;
    Ok(u32::from_ne_bytes([a, b, c, d]))
}

/// `struct ifreq` (netdevice(7)): a name, and a union of at most 24 bytes.
#[derive(Clone, Copy, Default)]
#[repr(C)]
struct InterfaceRequest {
    name: [u8; libc::IFNAMSIZ],
    data: [u8; 24],
}

const _: () = assert!(size_of::<InterfaceRequest>() >= size_of::<libc::ifreq>());

impl InterfaceRequest {
    fn named(name: &str) -> io::Result<Self> {
        let mut request = Self::default();
        if name.len() >= request.name.len() {
            return Err(io::Error::from_raw_os_error(libc::ENODEV));
        }
        request.name[..name.len()].copy_from_slice(name.as_bytes());
        Ok(request)
    }

    /// The first 16 bits of the union.
    fn half(&self) -> u16 {
        u16::from_ne_bytes([self.data[0], self.data[1]])
    }

    fn ask(mut self, socket: &Socket, what: u64) -> io::Result<Self> {
        // SAFETY: these requests read and write one `struct ifreq`, which `InterfaceRequest` is laid out as.
        let failed = unsafe { libc::ioctl(socket.as_raw_fd(), what as libc::Ioctl, &raw mut self) };
        if failed == 0 {
            Ok(self)
        } else {
            Err(io::Error::last_os_error())
        }
    }
}

fn index(ifindex: u32) -> io::Result<libc::c_int> {
    libc::c_int::try_from(ifindex).map_err(|_| io::Error::from_raw_os_error(libc::ENODEV))
}
