//! A file of lines that grows: it holds whole lines at every moment, also when the system takes no more.

use std::{io, mem, path::Path};

use super::{
    WriteError,
    create::{Opened, open},
    sink::Sink,
};
use crate::time::Time;

/// Bytes that are gathered before they are written.
const BUFFER: usize = 128 << 10;

/// A file of lines. End it with [`Growing::finish`]; when it is only dropped, what was gathered is still written.
pub struct Growing {
    name: String,
    sink: Sink,
    /// Whole lines that are not written yet.
    buffer: Vec<u8>,
}

impl Growing {
    /// Opens a path by the rules of [`create`](super::create()): a file that exists is replaced only with `force`, and a new
    /// one belongs to `owner`.
    ///
    /// # Errors
    /// When the path is taken, unsuitable, or the system refuses.
    pub fn create(path: &Path, force: bool, owner: Option<(u32, u32)>) -> Result<Self, WriteError> {
        let Opened { out, name, made } = open(path, force, owner)?;
        Ok(Self {
            name,
            sink: Sink::new(out, made.then_some(path)),
            buffer: Vec::new(),
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
        match self.sink.is_due(now) {
            true => self.flush(),
            false => Ok(()),
        }
    }

    /// Writes what was gathered. When the system takes only a part, a file is cut after its last whole line.
    ///
    /// # Errors
    /// When the system refuses to write.
    pub fn flush(&mut self) -> Result<(), WriteError> {
        let mut lines = mem::take(&mut self.buffer);
        let whole = |done| {
            let last = lines[..done].iter().rposition(|&byte| byte == b'\n');
            last.map_or(0, |last| last + 1)
        };
        let written = self.sink.write(&lines, whole);
        lines.clear();
        self.buffer = lines;
        written.map_err(|source| self.failed(source))
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
            name: self.name.clone(),
            source,
        }
    }
}

impl Drop for Growing {
    fn drop(&mut self) {
        // Nobody is left to tell; `finish` tells.
        let _ = self.flush();
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::time::SECOND;
    use std::fs;

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
