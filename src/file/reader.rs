//! The reader: a file or a stream of any readable format, as a source of batches.

use std::{
    io::{self, Read},
    mem,
    path::Path,
    sync::Arc,
};

use crate::{
    frame::{Batch, Comment, Counters, Interface, Record, Source, SourceError, Step, Storage},
    sys::open::to_read,
    text::Safe,
    time::Time,
};

use super::{
    Compression, FileError, Format, Info, InterfaceDetail, Place,
    error::Damage,
    guess,
    input::{Fault, Input},
    pcap::{self, Parsed, Pcap},
    pcapng::{self, Sink},
};

/// Bytes of a batch, unless a single packet needs more.
const CHUNK: usize = 256 << 10;
/// Used batches kept for their memory.
const SPARE: usize = 16;

/// Opens a capture file, packed or not, and reads its header.
///
/// # Errors
/// When it cannot be opened, is a directory, or does not begin as a capture does.
pub fn open(path: &Path) -> Result<Reader, FileError> {
    let name = shown(&path.to_string_lossy());
    let failed = |source| FileError::Open {
        name: name.clone(),
        source,
    };
    let file = to_read(path).map_err(failed)?;
    let about = file.metadata().map_err(failed)?;
    if about.is_dir() {
        return Err(failed(io::ErrorKind::IsADirectory.into()));
    }
    let size = about.is_file().then_some(about.len());
    let mut reader = Reader::new(file, &path.to_string_lossy())?;
    reader.size = size;
    Ok(reader)
}

fn shown(name: &str) -> String {
    Safe(name.as_bytes()).to_string()
}

/// A capture file that is being read. Memory does not grow with the file.
pub struct Reader {
    name: String,
    input: Input,
    /// Bytes of the file itself, where it is a regular one.
    size: Option<u64>,
    layout: Layout,
    interfaces: Vec<Arc<Interface>>,
    info: Info,
    /// What has been read: unparsed bytes are at `at..end`.
    chunk: Vec<u8>,
    at: usize,
    end: usize,
    /// Offset in the unpacked file of the chunk's first byte.
    base: u64,
    /// Packets found so far.
    read: u64,
    last: Time,
    /// Told once what is before it has been delivered.
    fault: Option<FileError>,
    over: bool,
    spare: Vec<Batch>,
}

/// The format's own state.
enum Layout {
    Pcap(Pcap),
    PcapNg(pcapng::Section),
}

impl Reader {
    /// Reads a capture from a stream, such as standard input; `name` is what messages call it.
    ///
    /// # Errors
    /// When the stream fails, or does not begin as a capture does. A signal may interrupt the wait for the first
    /// bytes: [`FileError::io_kind`] is `Interrupted` then.
    pub fn new(input: impl Read + Send + 'static, name: &str) -> Result<Self, FileError> {
        let place = Place {
            packets: 0,
            offset: 0,
            unpacked: false,
        };
        let name = shown(name);
        let input = Input::new(input).map_err(|source| FileError::Read {
            name: name.clone(),
            place,
            source,
        })?;
        let mut reader = Self {
            layout: Layout::PcapNg(pcapng::Section::none()),
            interfaces: Vec::new(),
            info: Info::new(input.compression()),
            chunk: vec![0; CHUNK],
            at: 0,
            end: 0,
            base: 0,
            read: 0,
            last: Time::default(),
            fault: None,
            over: false,
            spare: Vec::new(),
            size: None,
            name,
            input,
        };
        reader.begin()?;
        Ok(reader)
    }

    /// Reads on where a packed file grows as a decompression bomb does.
    #[must_use]
    pub fn no_limit(mut self) -> Self {
        self.input.unguard();
        self
    }

    /// What the file says beside its packets, as far as it has been read.
    pub fn info(&self) -> &Info {
        &self.info
    }

    /// Bytes read so far from the file itself, packed as it is.
    pub fn position(&self) -> u64 {
        self.input.packed()
    }

    /// Bytes of the file itself; `None` for streams.
    pub fn size(&self) -> Option<u64> {
        self.size
    }

    /// Tells the format and reads what stands at its front.
    fn begin(&mut self) -> Result<(), FileError> {
        self.fill(4)?;
        if self.end == 0 {
            return Err(FileError::Empty {
                name: self.name.clone(),
            });
        }
        if let Some((order, magic)) = pcap::magic(&self.chunk[..self.end]) {
            self.fill(pcap::HEADER)?;
            let header = Pcap::header(order, magic, &self.chunk[..self.end])
                .map_err(|damage| self.damaged(damage))?;
            self.at = pcap::HEADER;
            self.info.format = Format::Pcap;
            self.interfaces.push(Arc::new(Interface {
                name: None,
                description: None,
                link: header.link,
                snaplen: header.snaplen,
                filter: None,
            }));
            self.info.interfaces.push(InterfaceDetail {
                resolution: header.resolution(),
                ..InterfaceDetail::default()
            });
            self.layout = Layout::Pcap(header);
            return Ok(());
        }
        if !pcapng::is_magic(&self.chunk[..self.end]) {
            self.fill(guess::ENOUGH)?;
            return Err(FileError::NotCapture {
                name: self.name.clone(),
                found: guess::looks_like(&self.chunk[..self.end]),
            });
        }
        // The section header, so that a wrong byte order is told at once.
        while self.at == 0 {
            match self.front(0, &mut Vec::new(), 0) {
                Ok(Parsed::Need(need)) => {
                    if !self.fill(need)? {
                        let (_, damage) = self.cut();
                        return Err(self.damaged(damage));
                    }
                }
                Ok(Parsed::Other(used) | Parsed::Frame(_, used)) => self.at = used,
                Err(damage) => return Err(self.damaged(damage)),
            }
        }
        Ok(())
    }

    /// What stands at `at` in the chunk.
    #[inline]
    fn front(
        &mut self,
        at: usize,
        comments: &mut Vec<Comment>,
        record: usize,
    ) -> Result<Parsed, Damage> {
        let bytes = &self.chunk[at..self.end];
        match &mut self.layout {
            Layout::Pcap(pcap) => pcap.record(bytes),
            Layout::PcapNg(section) => {
                let mut sink = Sink {
                    comments,
                    record: record as u32,
                    interfaces: &mut self.interfaces,
                    info: &mut self.info,
                };
                section.block(bytes, &mut sink)
            }
        }
    }

    /// Takes every whole record of the chunk into `batch`; says how many bytes the next one needs.
    fn parse(&mut self, batch: &mut Batch) -> Result<usize, Damage> {
        loop {
            match self.front(self.at, &mut batch.comments, batch.records.len())? {
                Parsed::Frame(mut record, used) => {
                    record.start += self.at as u32;
                    batch.records.push(record);
                    self.at += used;
                    self.read += 1;
                }
                Parsed::Other(used) => self.at += used,
                Parsed::Need(need) => return Ok(need),
            }
        }
    }

    /// What is left of the last record when the file ends in it.
    fn cut(&mut self) -> (Option<Record>, Damage) {
        let bytes = &self.chunk[self.at..self.end];
        let (record, damage) = match &mut self.layout {
            Layout::Pcap(pcap) => pcap.cut(bytes),
            Layout::PcapNg(section) => section.cut(bytes),
        };
        let record = record.map(|record| Record {
            start: record.start + self.at as u32,
            ..record
        });
        (record, damage)
    }

    /// Reads until `need` bytes are there from `at` on; false when the file ends before.
    fn fill(&mut self, need: usize) -> Result<bool, FileError> {
        if self.at > 0 {
            self.chunk.copy_within(self.at..self.end, 0);
            self.base += self.at as u64;
            self.end -= self.at;
            self.at = 0;
        }
        while self.end < need {
            if self.end == self.chunk.len() {
                // Grown as bytes arrive, not by what a length claims.
                self.chunk.resize(need.min(2 * self.chunk.len()), 0);
            }
            let most = self.chunk.len().min(need.max(CHUNK));
            match self.input.read(&mut self.chunk[self.end..most]) {
                Ok(0) => return Ok(false),
                Ok(n) => self.end += n,
                Err(fault) => return Err(self.failed(fault)),
            }
        }
        Ok(true)
    }

    /// Hands the chunk over with its records; the bytes behind them move to another one.
    fn deliver(&mut self, mut batch: Batch) -> Step {
        batch.first = self.read + 1 - batch.records.len() as u64;
        if let Some(record) = batch.records.last() {
            self.last = record.time;
        }
        let mut chunk = match &mut batch.data {
            Storage::Owned(used) => mem::take(used),
            Storage::Block(_) => Vec::new(),
        };
        let rest = &self.chunk[self.at..self.end];
        if chunk.len() < rest.len().max(CHUNK) {
            chunk.resize(rest.len().max(CHUNK), 0);
        }
        chunk[..rest.len()].copy_from_slice(rest);
        self.base += self.at as u64;
        self.end -= self.at;
        self.at = 0;
        batch.data = Storage::Owned(mem::replace(&mut self.chunk, chunk));
        Step::Batch(batch)
    }

    fn step(&mut self) -> Result<Step, FileError> {
        if let Some(fault) = self.fault.take() {
            self.over = true;
            return Err(fault);
        }
        if self.over {
            return Ok(Step::End(Counters {
                seen: self.read,
                ..Counters::default()
            }));
        }
        let mut batch = self
            .spare
            .pop()
            .unwrap_or_else(|| Batch::owned(Vec::new(), Vec::new(), 1));
        let fault = loop {
            let need = match self.parse(&mut batch) {
                Ok(need) => need,
                Err(damage) => break self.damaged(damage),
            };
            if !batch.is_empty() {
                return Ok(self.deliver(batch));
            }
            let fault = match self.fill(need) {
                Ok(true) => continue,
                Ok(false) if self.at == self.end => {
                    self.over = true;
                    return self.step();
                }
                Ok(false) => None,
                Err(error) if error.io_kind() == Some(io::ErrorKind::Interrupted) => {
                    self.recycle(batch);
                    return Ok(Step::Quiet(self.last));
                }
                Err(error) => Some(error),
            };
            let (record, damage) = self.cut();
            let fault = fault.unwrap_or_else(|| self.damaged(damage));
            if let Some(record) = record {
                batch.records.push(record);
                self.read += 1;
            }
            break fault;
        };
        if batch.is_empty() {
            self.over = true;
            return Err(fault);
        }
        self.fault = Some(fault);
        Ok(self.deliver(batch))
    }

    /// The record or block at `at`, for messages.
    fn place(&self) -> Place {
        Place {
            packets: self.read,
            offset: self.base + self.at as u64,
            unpacked: self.info.compression != Compression::None,
        }
    }

    fn damaged(&self, damage: Damage) -> FileError {
        FileError::Damaged {
            name: self.name.clone(),
            place: self.place(),
            expected: damage.expected,
            found: damage.found,
        }
    }

    fn failed(&self, fault: Fault) -> FileError {
        let (name, place) = (self.name.clone(), self.place());
        match fault {
            Fault::Io(source) => FileError::Read {
                name,
                place,
                source,
            },
            Fault::Packed(found) => FileError::Damaged {
                name,
                place,
                expected: match self.info.compression {
                    Compression::Zstd => "sound zstd data".into(),
                    _ => "sound gzip data".into(),
                },
                found,
            },
            Fault::Bomb { packed, unpacked } => FileError::Bomb {
                name,
                place,
                packed,
                unpacked,
            },
        }
    }
}

impl Source for Reader {
    fn next(&mut self, _until: Time) -> Result<Step, SourceError> {
        Ok(self.step()?)
    }

    fn interfaces(&self) -> &[Arc<Interface>] {
        &self.interfaces
    }

    fn recycle(&mut self, mut batch: Batch) {
        let serves = matches!(&batch.data, Storage::Owned(bytes) if bytes.len() <= CHUNK);
        if serves && self.spare.len() < SPARE {
            batch.records.clear();
            batch.comments.clear();
            self.spare.push(batch);
        }
    }

    fn stop(&mut self) {
        self.fault = None;
        self.over = true;
    }
}
