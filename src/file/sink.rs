//! Where the bytes of a file go that is written record by record: at every moment it ends with a whole one.

use std::{
    fs::{self, File},
    io::{self, Seek as _, SeekFrom, Write},
    path::{Path, PathBuf},
};

use super::create::Target;
use crate::time::{SECOND, Time};

/// A regular file or a stream. When it is dropped, a file that was made and holds nothing is taken away.
pub(super) struct Sink {
    out: Out,
    /// The path of a file that was made here.
    made: Option<PathBuf>,
    /// Bytes that are written.
    written: u64,
    /// When it was time to write last.
    due: Option<Time>,
}

enum Out {
    /// It can be cut; what was in it stays until the first bytes are written.
    File(File),
    Stream(Box<dyn Write + Send>),
}

impl Sink {
    pub(super) fn stream(out: impl Write + Send + 'static) -> Self {
        Self::over(Out::Stream(Box::new(out)), None)
    }

    /// `made`: the path, where the file was not there before.
    pub(super) fn new(out: Target, made: Option<&Path>) -> Self {
        match out {
            Target::Stream(stream) => Self::stream(stream),
            Target::File(file) => Self::over(Out::File(file), made.map(Path::to_owned)),
        }
    }

    const fn over(out: Out, made: Option<PathBuf>) -> Self {
        Self {
            out,
            made,
            written: 0,
            due: None,
        }
    }

    /// A second has passed since this was true last, or since it was asked first; or time went backwards.
    pub(super) fn is_due(&mut self, now: Time) -> bool {
        let last = *self.due.get_or_insert(now);
        let is_due = !(0..SECOND).contains(&now.since(last));
        if is_due {
            self.due = Some(now);
        }
        is_due
    }

    /// Appends whole records. When the system takes only some bytes, a file is cut after the last record that is whole:
    /// `whole` says how many of so many bytes are in whole ones.
    ///
    /// # Errors
    /// When the system does not take all.
    pub(super) fn write(
        &mut self,
        records: &[u8],
        whole: impl FnOnce(usize) -> usize,
    ) -> io::Result<()> {
        if records.is_empty() {
            return Ok(());
        }
        let (done, fault) = match &mut self.out {
            Out::Stream(stream) => write_all(stream, records),
            Out::File(file) if self.written > 0 => write_all(file, records),
            Out::File(file) => match file.set_len(0) {
                Ok(()) => write_all(file, records),
                Err(error) => (0, Some(error)),
            },
        };
        let Some(fault) = fault else {
            self.written += done as u64;
            return Ok(());
        };
        self.written += whole(done) as u64;
        if let Out::File(file) = &mut self.out {
            // Best effort: the fault that led here is the one to report.
            let _ = file.set_len(self.written);
            let _ = file.seek(SeekFrom::Start(self.written));
        }
        Err(fault)
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        if let (0, Some(path)) = (self.written, &self.made) {
            let _ = fs::remove_file(path);
        }
    }
}

/// Writes as much as goes, and says how much that was.
fn write_all(out: &mut dyn Write, bytes: &[u8]) -> (usize, Option<io::Error>) {
    let mut done = 0;
    while done < bytes.len() {
        match out.write(&bytes[done..]) {
            Ok(0) => return (done, Some(io::ErrorKind::WriteZero.into())),
            Ok(n) => done += n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return (done, Some(e)),
        }
    }
    (done, out.flush().err())
}
