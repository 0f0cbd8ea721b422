//! Capture files: packets from pcap and pcapng, packed or not, and packets into them; and the logs of traces.
//!
//! ```text
//!  reader   a file or stdin → batches of frames        writer   frames → a file, always cut at a record boundary
//!  input    gzip and zstd seen by content, bomb guard  create   may this path be written, and whose is it
//!  pcap     the old format: header, records            order    numbers in either byte order
//!  pcapng/  the new format: blocks, options            clock    file times → nanoseconds
//!  info     what a file says beside its packets        error    what is wrong, with packet and byte
//!  guess    what a file is that is no capture         log      logs of traces: JSON lines
//!  growing  a file of lines, written as they come     sink     where records go: cut after a whole one
//! ```
//!
//! A [`Reader`] is a [`Source`](crate::frame::Source): [`open`] a path, or give [`Reader::new`] any stream. A
//! [`Writer`] takes frames from any source. Files are hostile: every length is checked before it is used, memory does
//! not grow with the file, and whatever was good before a fault is delivered before the fault is reported.
//!
//! ```no_run
//! use sockwire::{file::{self, Create, Format}, frame::{Source, Step}, time::Time};
//!
//! let mut reader = file::open("in.pcap.gz".as_ref())?;
//! let how = Create { format: Format::PcapNg, force: false, owner: None };
//! let mut writer = file::create("out.pcapng".as_ref(), how)?;
//! while let Step::Batch(batch) = reader.next(Time::MAX)? {
//!     for (index, frame) in batch.frames().enumerate() {
//!         writer.write(&frame, reader.interfaces(), batch.comments_of(index))?;
//!     }
//!     reader.recycle(batch);
//! }
//! writer.finish(&[])?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod clock;
mod create;
mod error;
mod growing;
mod guess;
mod info;
mod input;
pub mod log;
mod order;
mod pcap;
mod pcapng;
mod reader;
mod sink;
mod writer;

#[cfg(test)]
mod forge;
#[cfg(test)]
mod golden;
#[cfg(test)]
mod roundtrip;

pub use self::{
    create::{Create, Document, create},
    error::{FileError, Place, WriteError},
    growing::Growing,
    info::{Compression, Format, HostName, Info, InterfaceDetail, Section, Statistics},
    reader::{Reader, open},
    writer::Writer,
};

/// The most bytes of one packet that are read: libpcap's `MAXIMUM_SNAPLEN`.
pub const MAX_PACKET: u32 = 262_144;
/// The longest pcapng block that is read: libpcap's limit, 16 MiB.
pub const MAX_BLOCK: u32 = 16 << 20;
/// The most interfaces of one pcapng section.
pub const MAX_INTERFACES: usize = 1_000;
