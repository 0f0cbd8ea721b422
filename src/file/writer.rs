//! The writer: frames into a file, a FIFO or a stream, which at every moment ends with a whole packet.

use std::{collections::HashMap, io::Write, mem, sync::Arc};

use crate::{
    frame::{Counters, Frame, Interface},
    link::LinkType,
    text::Safe,
    time::Time,
};

use super::{Format, MAX_INTERFACES, MAX_PACKET, WriteError, pcap, pcapng::write, sink::Sink};

/// Bytes that are gathered before they are written.
const BUFFER: usize = 128 << 10;

/// Writes a capture. End it with [`Writer::finish`]; when it is only dropped, what was gathered is still written.
pub struct Writer {
    name: String,
    sink: Sink,
    layout: Layout,
    snaplen: u32,
    /// Whole records that are not written yet, and where in it each packet ends.
    buffer: Vec<u8>,
    ends: Vec<u32>,
    /// Packets that are written.
    packets: u64,
    /// Times of the first and the last packet.
    span: Option<(Time, Time)>,
}

/// What has been written of the format's front.
enum Layout {
    /// The link type, once the header is written.
    Pcap(Option<LinkType>),
    PcapNg(Described),
}

/// The interfaces that have a description in the section that is written.
#[derive(Default)]
struct Described {
    begun: bool,
    /// An interface of the source, with its frames' link type, and its number.
    numbers: HashMap<(u32, LinkType), u32>,
    /// The last one asked for.
    last: Option<((u32, LinkType), u32)>,
}

impl Described {
    /// The number in its section of a source's interface, which is described first where it has to be. A section that
    /// is full ends, and the next one describes its interfaces anew: readers refuse longer ones.
    #[inline]
    fn number(
        &mut self,
        into: &mut Vec<u8>,
        key: (u32, LinkType),
        interfaces: &[Arc<Interface>],
        snaplen: u32,
    ) -> u32 {
        match self.last {
            Some((last, number)) if last == key => return number,
            _ => {}
        }
        if self.numbers.len() == MAX_INTERFACES && !self.numbers.contains_key(&key) {
            write::section(into);
            self.numbers.clear();
        }
        let next = self.numbers.len() as u32;
        let number = *self.numbers.entry(key).or_insert_with(|| {
            let interface = interfaces.get(key.0 as usize).map(Arc::as_ref);
            write::interface(into, interface, key.1, snaplen);
            next
        });
        self.last = Some((key, number));
        number
    }
}

impl Writer {
    /// Writes to a stream, such as standard output; `name` is what messages call it.
    pub fn new(out: impl Write + Send + 'static, format: Format, name: &str) -> Self {
        let name = Safe(name.as_bytes()).to_string();
        Self::over(Sink::stream(out), format, name)
    }

    /// Into a sink, which messages call `name`.
    pub(super) fn over(sink: Sink, format: Format, name: String) -> Self {
        Self {
            name,
            sink,
            layout: match format {
                Format::Pcap => Layout::Pcap(None),
                Format::PcapNg => Layout::PcapNg(Described::default()),
            },
            snaplen: MAX_PACKET,
            buffer: Vec::with_capacity(2 * BUFFER),
            ends: Vec::new(),
            packets: 0,
            span: None,
        }
    }

    /// Sets the snapshot length that the file states, 1 to [`MAX_PACKET`]; longer frames are cut to it. For the
    /// option of a live capture; a source's own is not copied, since libpcap refuses files with packets above it.
    #[must_use]
    pub fn snaplen(mut self, bytes: u32) -> Self {
        self.snaplen = bytes.clamp(1, MAX_PACKET);
        self
    }

    /// Packets taken so far.
    pub fn packets(&self) -> u64 {
        self.packets + self.ends.len() as u64
    }

    /// Writes what stands before the packets and describes these interfaces, so that the file is a good capture from
    /// the start. Live recordings call it before they wait; otherwise the first packet does it.
    ///
    /// # Errors
    /// When the system refuses to write.
    pub fn begin(&mut self, interfaces: &[Arc<Interface>]) -> Result<(), WriteError> {
        match &mut self.layout {
            Layout::Pcap(Some(_)) => return Ok(()),
            Layout::Pcap(link) => {
                let first = interfaces.first();
                let first = first.map_or(LinkType::ETHERNET, |first| first.link);
                *link = Some(first);
                pcap::write_header(&mut self.buffer, first, self.snaplen);
            }
            Layout::PcapNg(described) => {
                if !mem::replace(&mut described.begun, true) {
                    write::section(&mut self.buffer);
                }
                for (index, interface) in interfaces.iter().enumerate() {
                    let key = (index as u32, interface.link);
                    described.number(&mut self.buffer, key, interfaces, self.snaplen);
                }
            }
        }
        self.flush()
    }

    /// Takes a frame; `interfaces` are its source's, `comments` its own, which only pcapng keeps.
    ///
    /// # Errors
    /// When the system refuses to write, or a pcap file would need a second link type.
    #[inline]
    pub fn write<'c>(
        &mut self,
        frame: &Frame<'_>,
        interfaces: &[Arc<Interface>],
        comments: impl IntoIterator<Item = &'c str>,
    ) -> Result<(), WriteError> {
        let kept = frame.bytes.len().min(self.snaplen as usize);
        let frame = &Frame {
            bytes: &frame.bytes[..kept],
            ..*frame
        };
        match &mut self.layout {
            Layout::PcapNg(described) if described.begun => {
                let key = (frame.interface, frame.link);
                let number = described.number(&mut self.buffer, key, interfaces, self.snaplen);
                write::packet(&mut self.buffer, number, frame, comments);
            }
            &mut Layout::Pcap(Some(first)) if first == frame.link => {
                pcap::write_record(&mut self.buffer, frame);
            }
            &mut Layout::Pcap(Some(first)) => {
                return Err(WriteError::SecondLink {
                    name: self.name.clone(),
                    packet: self.packets() + 1,
                    first,
                    second: frame.link,
                });
            }
            Layout::PcapNg(_) => {
                self.begin(interfaces)?;
                return self.write(frame, interfaces, comments);
            }
            Layout::Pcap(link) => {
                *link = Some(frame.link);
                pcap::write_header(&mut self.buffer, frame.link, self.snaplen);
                self.flush()?;
                return self.write(frame, interfaces, comments);
            }
        }
        self.ends.push(self.buffer.len() as u32);
        self.span = Some(match self.span {
            None => (frame.time, frame.time),
            Some((first, last)) => (first.min(frame.time), last.max(frame.time)),
        });
        if self.buffer.len() >= BUFFER {
            return self.flush();
        }
        Ok(())
    }

    /// Writes what was gathered if that has not happened for a second (or if time went backwards).
    ///
    /// # Errors
    /// When the system refuses to write.
    pub fn flush_if_due(&mut self, now: Time) -> Result<(), WriteError> {
        match self.sink.is_due(now) {
            true => self.flush(),
            false => Ok(()),
        }
    }

    /// Writes what was gathered. When the system takes only a part, a file is cut after its last whole packet.
    ///
    /// # Errors
    /// When the system refuses to write; says how many packets are safe.
    pub fn flush(&mut self) -> Result<(), WriteError> {
        let ends = mem::take(&mut self.ends);
        let mut packets = ends.len();
        let written = self.sink.write(&self.buffer, |done| {
            packets = ends.partition_point(|&end| end as usize <= done);
            ends[..packets].last().map_or(0, |&end| end as usize)
        });
        self.packets += packets as u64;
        self.buffer.clear();
        self.ends = ends;
        self.ends.clear();
        written.map_err(|source| WriteError::Write {
            name: self.name.clone(),
            packets: self.packets,
            source,
        })
    }

    /// Ends the file, in pcapng with what each interface of the source counted, where known; says how many packets
    /// are in it.
    ///
    /// # Errors
    /// When the system refuses to write.
    pub fn finish(mut self, statistics: &[(u32, Counters)]) -> Result<u64, WriteError> {
        let empty = match &self.layout {
            Layout::Pcap(link) => link.is_none(),
            Layout::PcapNg(described) => described.numbers.is_empty(),
        };
        if empty {
            // tcpdump reads no file without an interface.
            let link = LinkType::ETHERNET;
            self.begin(&[Arc::new(Interface {
                name: None,
                description: None,
                link,
                snaplen: 0,
                filter: None,
            })])?;
        }
        if let Layout::PcapNg(described) = &self.layout {
            for (interface, counters) in statistics {
                let of_it = described
                    .numbers
                    .iter()
                    .filter(|(key, _)| key.0 == *interface);
                let number = of_it.map(|(_, &number)| number).min();
                if let Some(number) = number {
                    write::statistics(&mut self.buffer, number, self.span, counters);
                }
            }
        }
        self.flush()?;
        Ok(self.packets)
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        // Nobody is left to tell; `finish` tells.
        let _ = self.flush();
    }
}
