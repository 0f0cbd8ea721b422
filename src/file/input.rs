//! The bytes of a capture file: plain, or unpacked on the way, with a guard against decompression bombs.

use std::{
    io::{self, BufReader, Chain, Cursor, Read},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use super::Compression;

/// Below this many unpacked bytes nothing is called a bomb: 64 MiB.
const BOMB_SIZE: u64 = 64 << 20;
/// Unpacked bytes for each packed byte above which it is one. Honest captures stay under 35.
pub(super) const BOMB_RATIO: u64 = 200;
/// Packed bytes read at once.
const PACKED_BUFFER: usize = 64 << 10;

const GZIP: &[u8] = &[0x1f, 0x8b];
const ZSTD: &[u8] = &[0x28, 0xb5, 0x2f, 0xfd];

/// Why no more bytes come.
pub(super) enum Fault {
    /// The system refused.
    Io(io::Error),
    /// The packed data breaks its rules; everything before has come out.
    Packed(String),
    /// More came out than a capture would hold.
    Bomb { packed: u64, unpacked: u64 },
}

/// Unpacked bytes, and how many there were.
pub(super) struct Input {
    bytes: Box<dyn Read + Send>,
    compression: Compression,
    packed: Arc<AtomicU64>,
    unpacked: u64,
    guarded: bool,
}

impl Input {
    /// Looks at the first bytes, and unpacks what is packed.
    pub(super) fn new(mut raw: impl Read + Send + 'static) -> io::Result<Self> {
        let mut head = [0; 4];
        let mut have = 0;
        while have < head.len() {
            match raw.read(&mut head[have..])? {
                0 => break,
                n => have += n,
            }
        }
        let packed = Arc::new(AtomicU64::new(0));
        let raw = Counted {
            bytes: Cursor::new(head[..have].to_vec()).chain(raw),
            count: Arc::clone(&packed),
        };
        let (compression, bytes): (_, Box<dyn Read + Send>) = if head.starts_with(GZIP) {
            let raw = BufReader::with_capacity(PACKED_BUFFER, raw);
            let bytes = flate2::bufread::MultiGzDecoder::new(raw);
            (Compression::Gzip, Box::new(bytes))
        } else if head.starts_with(ZSTD) {
            let raw = BufReader::with_capacity(PACKED_BUFFER, raw);
            let bytes = zstd::stream::read::Decoder::with_buffer(raw)?;
            (Compression::Zstd, Box::new(bytes))
        } else {
            (Compression::None, Box::new(raw))
        };
        Ok(Self {
            bytes,
            compression,
            packed,
            unpacked: 0,
            guarded: true,
        })
    }

    pub(super) fn compression(&self) -> Compression {
        self.compression
    }

    /// Bytes taken from the file itself.
    pub(super) fn packed(&self) -> u64 {
        self.packed.load(Ordering::Relaxed)
    }

    /// Lets bombs through.
    pub(super) fn unguard(&mut self) {
        self.guarded = false;
    }

    /// Some more bytes; 0 at the end.
    pub(super) fn read(&mut self, into: &mut [u8]) -> Result<usize, Fault> {
        let n = match self.bytes.read(into) {
            Ok(n) => n,
            Err(e) if self.compression == Compression::None || is_system(&e) => {
                return Err(Fault::Io(e));
            }
            Err(e) => return Err(Fault::Packed(e.to_string())),
        };
        self.unpacked += n as u64;
        let packed = self.packed();
        if self.guarded
            && self.unpacked > BOMB_SIZE
            && self.unpacked > packed.saturating_mul(BOMB_RATIO)
        {
            return Err(Fault::Bomb {
                packed,
                unpacked: self.unpacked,
            });
        }
        Ok(n)
    }
}

/// The system's own errors carry a number; those of the decompressors do not.
fn is_system(error: &io::Error) -> bool {
    error.raw_os_error().is_some() || error.kind() == io::ErrorKind::Interrupted
}

/// Counts what is read from the file.
struct Counted<R> {
    bytes: Chain<Cursor<Vec<u8>>, R>,
    count: Arc<AtomicU64>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let n = self.bytes.read(into)?;
        self.count.fetch_add(n as u64, Ordering::Relaxed);
        Ok(n)
    }
}
