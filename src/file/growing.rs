//! A file of lines that grows: it holds whole lines at every moment, also when the system takes no more.

use std::{
    fs::{self, File},
    io::{self, Seek as _, SeekFrom, Write as _},
    mem,
    path::{Path, PathBuf},
};

use super::{
    WriteError,
    create::{Opened, Target, open},
};
use crate::time::{SECOND, Time};

/// Bytes that are gathered before they are written.
const BUFFER: usize = 128 << 10;

/// A file of lines. End it with [`Growing::finish`]; when it is only dropped, what was gathered is still written.
#[derive(Debug)]
pub struct Growing {
    opened: Opened,
    /// To take it away should nothing be written.
    path: PathBuf,
    /// Whole lines that are not written yet.
    buffer: Vec<u8>,
    /// Bytes that are written.
    written: u64,
    flushed: Option<Time>,
}

impl Growing {
    /// Opens a path by the rules of [`create`](super::create()): a file that exists is replaced only with `force`, and a new
    /// one belongs to `owner`.
    ///
    /// # Errors
    /// When the path is taken, unsuitable, or the system refuses.
    pub fn create(path: &Path, force: bool, owner: Option<(u32, u32)>) -> Result<Self, WriteError> {
        Ok(Self {
            opened: open(path, force, owner)?,
            path: path.to_owned(),
            buffer: Vec::new(),
            written: 0,
            flushed: None,
        })
    }

    /// Takes whole lines, which `push` appends.
    ///
    /// # Errors
    /// When `push` fails, or the system refuses to write.
    pub fn push(
        &mut self,
        push: impl FnOnce(&mut Vec<u8>) -> io::Result<()>,
    ) -> Result<(), WriteError> {
        push(&mut self.buffer).map_err(|source| self.failed(source))?;
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
        let last = *self.flushed.get_or_insert(now);
        if (0..SECOND).contains(&now.since(last)) {
            return Ok(());
        }
        self.flushed = Some(now);
        self.flush()
    }

    /// Writes what was gathered. When the system takes only a part, a file is cut after its last whole line.
    ///
    /// # Errors
    /// When the system refuses to write.
    pub fn flush(&mut self) -> Result<(), WriteError> {
        let mut lines = mem::take(&mut self.buffer);
        let done = match &mut self.opened.out {
            Target::Stream(stream) => stream.write_all(&lines),
            Target::File(file) => append(file, &mut self.written, &lines),
        };
        lines.clear();
        self.buffer = lines;
        done.map_err(|source| self.failed(source))
    }

    /// Ends the file.
    ///
    /// # Errors
    /// When the system refuses to write.
    pub fn finish(mut self) -> Result<(), WriteError> {
        self.flush()
    }

    fn failed(&self, source: io::Error) -> WriteError {
        WriteError::Document {
            name: self.opened.name.clone(),
            source,
        }
    }
}

impl Drop for Growing {
    fn drop(&mut self) {
        // Nobody is left to tell; `finish` tells.
        let _ = self.flush();
        if self.opened.made && self.written == 0 {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Appends `lines` to a file of which `written` bytes are ours, or as many whole ones as go.
fn append(file: &mut File, written: &mut u64, lines: &[u8]) -> io::Result<()> {
    if *written == 0 && !lines.is_empty() {
        file.set_len(0)?;
    }
    let mut done = 0;
    while done < lines.len() {
        match file.write(&lines[done..]) {
            Ok(len) if len > 0 => done += len,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            refused => {
                let last = lines[..done].iter().rposition(|&byte| byte == b'\n');
                *written += last.map_or(0, |last| last as u64 + 1);
                // Best effort: the fault that led here is the one to report.
                let _ = file.set_len(*written);
                let _ = file.seek(SeekFrom::Start(*written));
                return Err(refused
                    .err()
                    .unwrap_or_else(|| io::ErrorKind::WriteZero.into()));
            }
        }
    }
    *written += done as u64;
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn push(file: &mut Growing, line: &str) -> Result<(), WriteError> {
        file.push(|out| {
            out.extend_from_slice(line.as_bytes());
            Ok(())
        })
    }

    #[test]
    fn lines_are_appended_and_nothing_is_replaced_unasked() {
        let path = std::env::temp_dir().join(format!("sockwire-growing-{}", std::process::id()));
        let mut file = Growing::create(&path, false, None).unwrap();
        push(&mut file, "one\n").unwrap();
        file.flush_if_due(Time::from_nanos(0)).unwrap();
        file.flush_if_due(Time::from_nanos(SECOND)).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"one\n");
        push(&mut file, "two\n").unwrap();
        file.finish().unwrap();
        assert!(Growing::create(&path, false, None).is_err());
        // One that writes nothing changes nothing.
        drop(Growing::create(&path, true, None).unwrap());
        let written = fs::read(&path).unwrap();
        fs::remove_file(&path).unwrap();
        assert_eq!(written, b"one\ntwo\n");
        drop(Growing::create(&path, false, None).unwrap());
        assert!(!path.exists());
    }

    #[test]
    fn a_device_that_takes_nothing_is_reported() {
        let mut full = Growing::create("/dev/full".as_ref(), false, None).unwrap();
        push(&mut full, "line\n").unwrap();
        assert!(full.flush().is_err());
    }
}
