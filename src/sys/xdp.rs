//! AF_XDP for sending only: the kernel makes packets of frames in shared memory, in fewer steps than for a packet socket.
//!
//! Spec: the kernel's `Documentation/networking/af_xdp.rst`. Always in copy mode and without a BPF program: the interface
//! is not set up anew, and nothing that arrives there is touched.
//!
//! ```text
//!  memory:     frame | frame | frame | …                 SLOTS places of ROOM bytes
//!  sending:    descriptors (place, length) of frames to send; the kernel moves `consumer` on
//!  completed:  places that the kernel needs no longer; the kernel moves `producer` on
//! ```

use std::{
    io,
    mem::size_of,
    os::fd::{AsFd, AsRawFd, BorrowedFd},
    ptr::{self, NonNull},
    sync::atomic::{AtomicU32, Ordering},
    thread,
    time::Duration,
};

use socket2::{Domain, SockAddr, SockAddrStorage, Socket, Type};

use super::option;

/// Frames that are on their way at most; a power of two, as both rings have this size.
const SLOTS: u32 = 256;
/// Bytes for one frame.
const ROOM: usize = 2048;
/// Bytes of an Ethernet header.
const HEADER: usize = 14;
/// How often, a millisecond apart, an interface is asked that takes nothing.
const TRIES: u32 = 100;
/// As often, the interface is asked for while the socket of a process that just ended still has it.
const BIND_TRIES: u32 = 50;

/// A socket for whole Ethernet frames that leave by one interface, past its queue.
#[derive(Debug)]
pub struct FrameRing {
    socket: Socket,
    memory: Mapping,
    sending: Ring,
    completed: Ring,
    /// Descriptors written, and completions read, since the beginning; both wrap around.
    filled: u32,
    returned: u32,
    /// Places without a frame. The one freed last is taken first: it is in the processor's cache.
    free: Vec<u32>,
    longest: usize,
}

impl FrameRing {
    /// A socket on interface `ifindex`, which carries `mtu` bytes behind an Ethernet header.
    ///
    /// # Errors
    /// When the kernel has no AF_XDP or no room for it (`RLIMIT_MEMLOCK`), without CAP_NET_RAW, or when another socket of
    /// this kind has the interface.
    pub fn open(ifindex: u32, mtu: u32) -> io::Result<Self> {
        let socket = Socket::new(Domain::from(libc::AF_XDP), Type::RAW, None)?;
        let memory = Mapping::of(None, SLOTS as usize * ROOM, 0)?;
        let fd = socket.as_fd();
        let area = libc::xdp_umem_reg {
            addr: memory.at.as_ptr() as u64,
            len: memory.len as u64,
            chunk_size: ROOM as u32,
            headroom: 0,
            flags: 0,
            tx_metadata_len: 0,
        };
        option::set(fd, libc::SOL_XDP, libc::XDP_UMEM_REG, area)?;
        // The kernel wants a ring for free places to receive into, too: it stays empty.
        for ring in [
            libc::XDP_UMEM_FILL_RING,
            libc::XDP_UMEM_COMPLETION_RING,
            libc::XDP_TX_RING,
        ] {
            option::set(fd, libc::SOL_XDP, ring, SLOTS)?;
        }
        let rings: libc::xdp_mmap_offsets = option::get(fd, libc::SOL_XDP, libc::XDP_MMAP_OFFSETS)?;
        // Before Linux 5.4 the answer has another, shorter form.
        if rings.cr.desc == 0 {
            return Err(io::ErrorKind::Unsupported.into());
        }
        let page = libc::XDP_PGOFF_TX_RING;
        let sending = Ring::map(fd, &rings.tx, size_of::<libc::xdp_desc>(), page)?;
        let page = libc::XDP_UMEM_PGOFF_COMPLETION_RING as libc::off_t;
        let completed = Ring::map(fd, &rings.cr, size_of::<u64>(), page)?;
        bind(&socket, ifindex)?;
        Ok(Self {
            socket,
            memory,
            sending,
            completed,
            filled: 0,
            returned: 0,
            free: (0..SLOTS).collect(),
            longest: ROOM.min(HEADER + mtu as usize),
        })
    }

    /// Whether a frame of this length can leave here. The kernel would not refuse others but lose them.
    pub fn takes(&self, len: usize) -> bool {
        (HEADER..=self.longest).contains(&len)
    }

    /// Sends frames whose length [fits](Self::takes), each as one of its own, and waits while the interface is busy.
    /// Returns how many left: fewer when the interface takes no more, and then this socket is of no use any longer, as
    /// frames may stand in it. Allocates nothing.
    pub fn send<'a>(&mut self, frames: impl Iterator<Item = &'a [u8]>) -> usize {
        let mut frames = frames.peekable();
        let first = self.filled;
        let mut idle = 0;
        loop {
            self.take_back();
            while let Some(slot) = self.free.last().copied()
                && let Some(frame) = frames.next_if(|frame| self.takes(frame.len()))
            {
                self.free.pop();
                self.put(slot, frame);
            }
            // Release: the kernel reads the descriptors after it has seen the number.
            self.sending
                .producer()
                .store(self.filled, Ordering::Release);
            let before = self.taken();
            let all_filled = frames.peek().is_none_or(|frame| !self.takes(frame.len()));
            if all_filled && before == self.filled {
                return self.filled.wrapping_sub(first) as usize;
            }
            // Copy mode sends within this call, some frames at a time; what it has to say, it says of the last one.
            let answer = self.socket.send_with_flags(&[], libc::MSG_DONTWAIT);
            let taken = self.taken();
            let left = taken.wrapping_sub(first) as usize;
            match answer.map_err(|error| error.raw_os_error()) {
                Ok(_) | Err(Some(libc::EAGAIN | libc::ENOBUFS | libc::EINTR)) => {}
                // The driver dropped the one that was taken last.
                Err(Some(libc::EBUSY)) => return left.saturating_sub(1),
                Err(_) => return left,
            }
            if taken != before {
                idle = 0;
            } else if idle < TRIES {
                idle += 1;
                thread::sleep(Duration::from_millis(1));
            } else {
                return left;
            }
        }
    }

    /// Frames that the kernel has taken since the beginning.
    fn taken(&self) -> u32 {
        self.sending.consumer().load(Ordering::Acquire)
    }

    /// Writes a frame to place `slot`, and its descriptor.
    fn put(&mut self, slot: u32, frame: &[u8]) {
        let at = slot as usize % SLOTS as usize * ROOM;
        let len = frame.len().min(ROOM);
        // SAFETY: `at` is the beginning of one of the places, each of which has ROOM bytes in the mapping; nothing in this
        // process borrows them, and the kernel does not read a place before it has a descriptor.
        unsafe { ptr::copy_nonoverlapping(frame.as_ptr(), self.memory.at.as_ptr().add(at), len) };
        let descriptor = libc::xdp_desc {
            addr: at as u64,
            len: len as u32,
            options: 0,
        };
        // SAFETY: entries of this ring are `xdp_desc`s; no more than SLOTS are filled that the kernel has not taken, as no
        // more places exist, so it does not read this one.
        unsafe { self.sending.entry(self.filled).cast().write(descriptor) };
        self.filled = self.filled.wrapping_add(1);
    }

    /// Takes back the places that the kernel needs no longer.
    fn take_back(&mut self) {
        // Acquire: the kernel wrote the entries before the number.
        let done = self.completed.producer().load(Ordering::Acquire);
        while self.returned != done {
            // SAFETY: entries of this ring are addresses of places, and the kernel wrote those before `done`.
            let address: u64 = unsafe { self.completed.entry(self.returned).cast().read() };
            self.free.push((address / ROOM as u64) as u32);
            self.returned = self.returned.wrapping_add(1);
        }
        self.completed.consumer().store(done, Ordering::Release);
    }
}

/// Binds to the first queue of an interface. The kernel lets go of an earlier socket some time after its process ended.
fn bind(socket: &Socket, ifindex: u32) -> io::Result<()> {
    let mut storage = SockAddrStorage::zeroed();
    // SAFETY: `sockaddr_xdp` is one of the forms that a socket address takes, and holds integers only.
    *unsafe { storage.view_as::<libc::sockaddr_xdp>() } = libc::sockaddr_xdp {
        sxdp_family: libc::AF_XDP as u16,
        sxdp_flags: libc::XDP_COPY,
        sxdp_ifindex: ifindex,
        sxdp_queue_id: 0,
        sxdp_shared_umem_fd: 0,
    };
    let len = size_of::<libc::sockaddr_xdp>() as libc::socklen_t;
    // SAFETY: the first `len` bytes of the storage are the `sockaddr_xdp` that was just written.
    let address = unsafe { SockAddr::new(storage, len) };
    for _ in 0..BIND_TRIES {
        match socket.bind(&address) {
            Err(error) if error.raw_os_error() == Some(libc::EBUSY) => {
                thread::sleep(Duration::from_millis(1));
            }
            done => return done,
        }
    }
    socket.bind(&address)
}

/// A ring of SLOTS entries and two counters, shared with the kernel.
#[derive(Debug)]
struct Ring {
    memory: Mapping,
    producer: usize,
    consumer: usize,
    entries: usize,
    entry_len: usize,
}

impl Ring {
    /// Maps the ring that stands at `page` of the socket.
    fn map(
        fd: BorrowedFd<'_>,
        at: &libc::xdp_ring_offset,
        entry_len: usize,
        page: libc::off_t,
    ) -> io::Result<Self> {
        let (producer, consumer, entries) =
            (at.producer as usize, at.consumer as usize, at.desc as usize);
        let inside = |counter: usize| counter.is_multiple_of(4) && counter + 4 <= entries;
        if !inside(producer) || !inside(consumer) || !entries.is_multiple_of(8) {
            return Err(io::ErrorKind::Unsupported.into());
        }
        Ok(Self {
            memory: Mapping::of(Some(fd), entries + SLOTS as usize * entry_len, page)?,
            producer,
            consumer,
            entries,
            entry_len,
        })
    }

    fn producer(&self) -> &AtomicU32 {
        // SAFETY: aligned and within the mapping, as `map` has checked; both sides touch it only as a whole word, and the
        // mapping lives as long as `self`.
        unsafe { AtomicU32::from_ptr(self.memory.at.add(self.producer).cast().as_ptr()) }
    }

    fn consumer(&self) -> &AtomicU32 {
        // SAFETY: as above.
        unsafe { AtomicU32::from_ptr(self.memory.at.add(self.consumer).cast().as_ptr()) }
    }

    /// Where entry `number`, counted from the beginning, stands.
    fn entry(&self, number: u32) -> NonNull<u8> {
        let index = (number % SLOTS) as usize;
        // SAFETY: the mapping holds SLOTS entries of `entry_len` bytes from `entries` on.
        unsafe { self.memory.at.add(self.entries + index * self.entry_len) }
    }
}

/// Mapped memory.
#[derive(Debug)]
struct Mapping {
    at: NonNull<u8>,
    len: usize,
}

impl Mapping {
    /// `len` bytes of a socket's memory from `offset` on, or of new memory.
    fn of(fd: Option<BorrowedFd<'_>>, len: usize, offset: libc::off_t) -> io::Result<Self> {
        let (kind, fd) = match fd {
            Some(fd) => (libc::MAP_SHARED | libc::MAP_POPULATE, fd.as_raw_fd()),
            None => (libc::MAP_PRIVATE | libc::MAP_ANONYMOUS, -1),
        };
        let rights = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: a new mapping at an address of the kernel's choice.
        let at = unsafe { libc::mmap(ptr::null_mut(), len, rights, kind, fd, offset) };
        if at == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let at = NonNull::new(at.cast()).ok_or_else(io::Error::last_os_error)?;
        Ok(Self { at, len })
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: mapped in `of` with this length, and nothing borrowed from it outlives it.
        unsafe { libc::munmap(self.at.as_ptr().cast(), self.len) };
    }
}
