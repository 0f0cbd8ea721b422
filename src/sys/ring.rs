//! The packet socket's receive ring (TPACKET_V3): blocks that the kernel fills and user space gives back.
//!
//! Spec: the kernel's `Documentation/networking/packet_mmap.rst`.
//!
//! ```text
//!  block:  descriptor 48 | frame | frame | …          each frame:  tpacket3_hdr 48 | sockaddr_ll 20 | room | bytes
//! ```

use std::{
    io,
    os::fd::{AsRawFd, BorrowedFd},
    ptr::{self, NonNull},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
};

use crate::frame::Block;

/// Where the status word stands in a block (`tpacket_block_desc.hdr.bh1.block_status`).
const STATUS: usize = 8;
/// `tpacket3_hdr` and the `sockaddr_ll` behind it.
const HEADER: usize = 68;

/// The mapped memory of a ring.
#[derive(Debug)]
pub struct Ring {
    memory: NonNull<u8>,
    block_len: usize,
    /// One a block: it is in user space's hands, so it must not be taken a second time.
    taken: Vec<AtomicBool>,
}

// SAFETY: the mapping belongs to the process, not to a thread; who may touch a block is settled by its status word
// and by `taken`, both atomic.
unsafe impl Send for Ring {}
// SAFETY: as above.
unsafe impl Sync for Ring {}

impl Ring {
    /// Maps the ring that was just set up on `fd`.
    pub(super) fn map(fd: BorrowedFd<'_>, blocks: usize, block_len: usize) -> io::Result<Self> {
        // SAFETY: a new mapping at an address of the kernel's choice; its size is that of the ring.
        let memory = unsafe {
            libc::mmap(
                ptr::null_mut(),
                blocks * block_len,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED,
                fd.as_raw_fd(),
                0,
            )
        };
        if memory == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        Ok(Self {
            memory: NonNull::new(memory.cast()).ok_or_else(io::Error::last_os_error)?,
            block_len,
            taken: (0..blocks).map(|_| AtomicBool::new(false)).collect(),
        })
    }

    fn status(&self, index: usize) -> &AtomicU32 {
        // SAFETY: `index` is below the number of blocks, so the word lies in the mapping, aligned to 8, which lives as
        // long as `self`; the kernel touches it only as a whole word, and no `RingBlock` of this block is borrowed:
        // `Reader::take` asks only while there is none, and `RingBlock::drop` has it for itself.
        unsafe { AtomicU32::from_ptr(self.block(index).add(STATUS).cast().as_ptr()) }
    }

    fn block(&self, index: usize) -> NonNull<u8> {
        assert!(index < self.taken.len());
        // SAFETY: the mapping holds `taken.len()` blocks of `block_len` bytes.
        unsafe { self.memory.add(index * self.block_len) }
    }
}

impl Drop for Ring {
    fn drop(&mut self) {
        // SAFETY: mapped in `map` with this size, and no block is borrowed: each holds an `Arc` of the ring.
        unsafe {
            libc::munmap(
                self.memory.as_ptr().cast(),
                self.taken.len() * self.block_len,
            )
        };
    }
}

/// Takes blocks in the order in which the kernel fills them.
#[derive(Debug)]
pub struct Reader {
    ring: Arc<Ring>,
    next: usize,
}

impl Reader {
    /// Starts at the ring's first block.
    pub fn new(ring: Ring) -> Self {
        Self {
            ring: Arc::new(ring),
            next: 0,
        }
    }

    /// The next block, when the kernel has handed it over.
    pub fn take(&mut self) -> Option<RingBlock> {
        let index = self.next;
        // Acquire pairs with the release in `RingBlock::drop`: the word is read after it was given back.
        if self.ring.taken[index].load(Ordering::Acquire)
            || self.ring.status(index).load(Ordering::Acquire) & libc::TP_STATUS_USER == 0
        {
            return None;
        }
        self.ring.taken[index].store(true, Ordering::Relaxed);
        self.next = (index + 1) % self.ring.taken.len();
        Some(RingBlock {
            ring: Arc::clone(&self.ring),
            index,
        })
    }

    /// Bytes of the whole ring.
    pub fn size(&self) -> usize {
        self.ring.taken.len() * self.ring.block_len
    }
}

/// A block in user space's hands, given back to the kernel on drop.
#[derive(Debug)]
pub struct RingBlock {
    ring: Arc<Ring>,
    index: usize,
}

impl RingBlock {
    /// The block, to be changed in place.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        // SAFETY: the status word gave the block to user space, and `taken` lets only one `RingBlock` exist for it,
        // which is borrowed mutably here; until the drop the kernel writes nothing there, and this process touches the
        // status word nowhere else.
        unsafe {
            std::slice::from_raw_parts_mut(
                self.ring.block(self.index).as_ptr(),
                self.ring.block_len,
            )
        }
    }
}

impl Block for RingBlock {
    fn bytes(&self) -> &[u8] {
        // SAFETY: as in `bytes_mut`, borrowed for reading only.
        unsafe {
            std::slice::from_raw_parts(self.ring.block(self.index).as_ptr(), self.ring.block_len)
        }
    }
}

impl Drop for RingBlock {
    fn drop(&mut self) {
        self.ring
            .status(self.index)
            .store(libc::TP_STATUS_KERNEL, Ordering::Release);
        self.ring.taken[self.index].store(false, Ordering::Release);
    }
}

/// Goes through the frames of a block.
#[derive(Clone, Copy, Debug)]
pub struct Cursor {
    at: usize,
    left: u32,
}

impl Cursor {
    /// Stands before the first frame.
    pub fn new(block: &[u8]) -> Self {
        let word = |at: usize| {
            block
                .get(at..)
                .and_then(<[u8]>::first_chunk)
                .map_or(0, |b| u32::from_ne_bytes(*b))
        };
        Self {
            left: word(12),
            at: word(16) as usize,
        }
    }

    /// The next frame, which lies within the block; `None` after the last, or where the block is damaged.
    #[inline]
    pub fn next(&mut self, block: &[u8]) -> Option<Entry> {
        self.left = self.left.checked_sub(1)?;
        let at = self.at;
        let header: &[u8; HEADER] = block.get(at..)?.first_chunk()?;
        let half = |i: usize| u16::from_ne_bytes([header[i], header[i + 1]]);
        let word =
            |i: usize| u32::from_ne_bytes([header[i], header[i + 1], header[i + 2], header[i + 3]]);
        match word(0) {
            0 => self.left = 0,
            offset => self.at = at.checked_add(offset as usize)?,
        }
        let (start, len) = (at + usize::from(half(24)), word(12));
        if block.len().checked_sub(start)? < len as usize {
            return None;
        }
        Some(Entry {
            seconds: word(4),
            nanos: word(8),
            len,
            wire_len: word(16),
            status: word(20),
            tci: word(32) as u16,
            tpid: half(36),
            room: start.saturating_sub(at + HEADER),
            start,
            protocol: u16::from_be(half(50)),
            ifindex: word(52),
            hardware_type: half(56),
            packet_type: header[58],
            address_len: header[59],
            address: *header[60..].first_chunk()?,
        })
    }
}

/// What the ring says of one frame: `tpacket3_hdr` and `sockaddr_ll`.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    /// Seconds since the epoch.
    pub seconds: u32,
    /// Nanoseconds in that second.
    pub nanos: u32,
    /// Captured bytes, all of them in the block.
    pub len: u32,
    /// Bytes on the wire.
    pub wire_len: u32,
    /// `TP_STATUS_` bits.
    pub status: u32,
    /// The VLAN tag that the kernel took off, if [`Entry::tag`] says so.
    tci: u16,
    tpid: u16,
    /// First byte of the frame in the block.
    pub start: usize,
    /// Free bytes before it.
    pub room: usize,
    /// EtherType, or one of the kernel's `ETH_P_` numbers.
    pub protocol: u16,
    /// The interface that it crossed.
    pub ifindex: u32,
    /// ARPHRD_ type of that interface.
    pub hardware_type: u16,
    /// `PACKET_HOST` … `PACKET_OUTGOING`.
    pub packet_type: u8,
    /// Bytes in `address`.
    pub address_len: u8,
    /// Link-layer address of the sender.
    pub address: [u8; 8],
}

impl Entry {
    /// The VLAN tag that the kernel took out of the frame: type (0x8100 unless the kernel says other) and control word.
    #[inline]
    pub fn tag(&self) -> Option<[u8; 4]> {
        if self.status & libc::TP_STATUS_VLAN_VALID == 0 {
            return None;
        }
        let tpid = if self.status & libc::TP_STATUS_VLAN_TPID_VALID != 0 {
            self.tpid
        } else {
            libc::ETH_P_8021Q as u16
        };
        let ([a, b], [c, d]) = (tpid.to_be_bytes(), self.tci.to_be_bytes());
        Some([a, b, c, d])
    }
}
