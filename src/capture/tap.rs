//! One packet socket with its ring: opened, read block by block, counted.

use std::{collections::VecDeque, io};

use super::{
    CaptureError, Options, Ways,
    filter::{On, Sieve, attach},
    list,
    walk::Shape,
};
use crate::{
    frame::{Block, Record},
    link::LinkType,
    sys::{
        packet::{Layer, PacketSocket},
        ring::{Reader, RingBlock},
    },
    time::Time,
};

/// The kernel hands a block over at most so long after its first frame, give or take one period.
const RETIRE_MS: u32 = 20;
/// The smallest block holds the largest frame that segmentation offload makes by default (64 KiB), and its headers.
const SMALLEST_BLOCK: usize = 128 << 10;
const LARGEST_BLOCK: usize = 1 << 20;
/// One socket and its ring.
pub(super) struct Tap {
    pub(super) socket: PacketSocket,
    pub(super) reader: Reader,
    pub(super) shape: Shape,
    /// What is asked of each frame here, not in the kernel.
    pub(super) sieve: Option<Sieve>,
    /// 0 for `any`.
    pub(super) ifindex: u32,
    pub(super) name: String,
    pub(super) gone: bool,
    /// By the kernel's count, drops included.
    pub(super) seen: u64,
    pub(super) dropped: u64,
    /// Frames found in the ring, and how many of them the sieve held back.
    pub(super) taken: u64,
    pub(super) refused: u64,
    /// Blocks that wait to be merged, oldest first.
    pub(super) waiting: VecDeque<Waiting>,
}

/// A walked block, and the first record of it that has not been delivered.
pub(super) struct Waiting {
    pub(super) block: RingBlock,
    pub(super) records: Vec<Record>,
    pub(super) next: usize,
}

impl Tap {
    /// Opens the socket and its ring. Nothing is received before it is bound, and the filter is attached by then: no
    /// frame that it refuses ever waits in the ring, so none has to be drained from it. `ifindex` is 0 for `any`.
    pub(super) fn open(
        name: &str,
        ifindex: u32,
        snaplen: u32,
        options: &Options,
        notes: &mut Vec<String>,
    ) -> Result<Self, CaptureError> {
        let fault = |what: &str| CaptureError::net_raw(format!("{what} {name}"));
        let open = |layer| PacketSocket::open(layer).map_err(fault("open a packet socket on"));
        // No socket is opened in vain: the kernel takes milliseconds to close one.
        let (link, socket) = if ifindex == 0 {
            (LinkType::LINUX_SLL2, open(Layer::Network)?)
        } else {
            let socket = open(Layer::Link)?;
            let hardware = socket.hardware_type(name);
            let link = link_of(hardware.map_err(fault("ask for the link type of"))?);
            match link {
                LinkType::LINUX_SLL2 => (link, open(Layer::Network)?),
                _ => (link, socket),
            }
        };
        let on = On {
            link,
            cooked: link == LinkType::LINUX_SLL2,
            netmask: list::netmask(name),
            snaplen,
        };
        let sieve = attach(on, options, name, notes, |program| socket.attach(program))?;
        if options.promiscuous && ifindex != 0 {
            socket
                .promiscuous(ifindex)
                .map_err(fault("make promiscuous (-p leaves that out)"))?;
        }
        let reader = ring(&socket, options.buffer).map_err(fault("make a ring for"))?;
        Ok(Self {
            shape: Shape {
                link,
                snaplen,
                loopback_once: options.ways == Ways::Both,
            },
            sieve,
            socket,
            reader,
            ifindex,
            name: name.to_owned(),
            gone: false,
            seen: 0,
            dropped: 0,
            taken: 0,
            refused: 0,
            waiting: VecDeque::new(),
        })
    }

    /// Reads the kernel's counters, which start again at each reading.
    pub(super) fn count(&mut self) {
        if let Ok(counted) = self.socket.statistics() {
            self.seen += u64::from(counted.packets);
            self.dropped += u64::from(counted.drops);
        }
    }

    /// Half of the ring waits to be merged: the kernel needs the room.
    pub(super) fn is_crowded(&self) -> bool {
        let size = self.reader.size();
        self.waiting.len() * block_len(size) > size / 2
    }

    /// The time of the oldest frame that waits, and the tap itself.
    pub(super) fn head(&mut self) -> Option<(Time, &mut Self)> {
        let waiting = self.waiting.front()?;
        let record = waiting.records.get(waiting.next)?;
        Some((record.time, self))
    }

    /// Copies the oldest waiting frame; returns its block's records when it was the last of them.
    pub(super) fn copy_head(
        &mut self,
        data: &mut Vec<u8>,
        records: &mut Vec<Record>,
    ) -> Option<Vec<Record>> {
        let waiting = self.waiting.front_mut()?;
        let record = *waiting.records.get(waiting.next)?;
        waiting.next += 1;
        let (start, len) = (record.start as usize, record.len as usize);
        if let Some(bytes) = waiting.block.bytes().get(start..start + len) {
            records.push(Record {
                start: data.len() as u32,
                ..record
            });
            data.extend_from_slice(bytes);
        }
        if waiting.next < waiting.records.len() {
            return None;
        }
        let mut done = self.waiting.pop_front()?.records;
        done.clear();
        Some(done)
    }
}

/// A ring of about `buffer` bytes, or a smaller one when the kernel has not so much memory.
fn ring(socket: &PacketSocket, buffer: usize) -> io::Result<Reader> {
    let mut size = buffer;
    loop {
        let block = block_len(size);
        let blocks = size.div_ceil(block).max(2);
        let (Ok(count), Ok(len)) = (u32::try_from(blocks), u32::try_from(block)) else {
            return Err(io::ErrorKind::InvalidInput.into());
        };
        match socket.ring(count, len, RETIRE_MS) {
            Err(error) if error.raw_os_error() == Some(libc::ENOMEM) && size > SMALLEST_BLOCK => {
                size /= 2;
            }
            made => return made.map(Reader::new),
        }
    }
}

/// An eighth of the ring, within limits.
fn block_len(ring: usize) -> usize {
    (ring / 8)
        .next_power_of_two()
        .clamp(SMALLEST_BLOCK, LARGEST_BLOCK)
}

/// What frames of a device of this ARPHRD_ type begin with. Link headers that sockwire does not read are left to the
/// kernel, which describes them (cooked), as libpcap does.
pub(super) fn link_of(hardware: u16) -> LinkType {
    const RAWIP: u16 = 519; // ARPHRD_RAWIP of linux/if_arp.h
    match hardware {
        libc::ARPHRD_ETHER | libc::ARPHRD_LOOPBACK => LinkType::ETHERNET,
        libc::ARPHRD_NONE
        | RAWIP
        | libc::ARPHRD_TUNNEL
        | libc::ARPHRD_TUNNEL6
        | libc::ARPHRD_SIT => LinkType::RAW,
        _ => LinkType::LINUX_SLL2,
    }
}
