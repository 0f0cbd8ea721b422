//! Which paths may be written: nothing is overwritten unasked, and no link leads a privileged writer astray.

use std::{
    fs::{self, File, FileType, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::{FileTypeExt, OpenOptionsExt, fchown},
    path::{Path, PathBuf},
};

use crate::{
    sys::{open::to_write, signal::survive_file_size_limit},
    text::Safe,
};

use super::{Format, WriteError, Writer, sink::Sink};

/// Permissions of a new file: packets hold passwords and private words, so they are for the owner's eyes.
const PRIVATE: u32 = 0o600;

/// How a capture file is created.
#[derive(Clone, Copy, Debug)]
pub struct Create {
    /// The format; see [`Format::from_name`].
    pub format: Format,
    /// Overwrite a file that exists.
    pub force: bool,
    /// The user and group that a new file is given to: those of the caller of sudo.
    pub owner: Option<(u32, u32)>,
}

/// Opens a path for writing a capture.
///
/// A new file is created for its owner alone, never through a symbolic link. A file that exists is overwritten only with `force`, and then
/// only if its name is no symbolic link: in a directory that others can write to, a link could lead a privileged
/// writer to any file. It keeps what it has until the first bytes are written, so that a command that fails before
/// costs nothing; a new file to which nothing was written is taken away again. FIFOs and character devices (`/dev/stdout` too) are opened as they are; opening a FIFO waits
/// for its reader, or for a signal that has a handler: [`WriteError::io_kind`] is `Interrupted` then.
///
/// # Errors
/// When the path is taken, unsuitable, or the system refuses.
pub fn create(path: &Path, how: Create) -> Result<Writer, WriteError> {
    let Opened { out, name, made } = open(path, how.force, how.owner)?;
    let sink = Sink::new(out, made.then_some(path));
    Ok(Writer::over(sink, how.format, name))
}

/// A file for text or a picture, opened by the rules of [`create`]. What is in it stays until [`Document::write`].
#[derive(Debug)]
pub struct Document {
    opened: Opened,
    path: PathBuf,
    done: bool,
}

impl Document {
    /// Opens a path; a file that exists is replaced only with `force`, and a new one belongs to `owner`.
    ///
    /// # Errors
    /// When the path is taken, unsuitable, or the system refuses.
    pub fn create(path: &Path, force: bool, owner: Option<(u32, u32)>) -> Result<Self, WriteError> {
        Ok(Self {
            opened: open(path, force, owner)?,
            path: path.to_owned(),
            done: false,
        })
    }

    /// Writes all of it. A file that does not take all of it is left empty, or away where it is new.
    ///
    /// # Errors
    /// When the system refuses to write.
    pub fn write(mut self, bytes: &[u8]) -> Result<(), WriteError> {
        let written = match &mut self.opened.out {
            Target::Stream(stream) => stream.write_all(bytes),
            Target::File(file) => file
                .set_len(0)
                .and_then(|()| file.write_all(bytes))
                .inspect_err(|_| {
                    // Best effort: the fault that led here is the one to report.
                    let _ = file.set_len(0);
                }),
        };
        self.done = written.is_ok();
        written.map_err(|source| WriteError::Document {
            name: self.opened.name.clone(),
            source,
        })
    }
}

impl Drop for Document {
    fn drop(&mut self) {
        if self.opened.made && !self.done {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// A path that may be written.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) out: Target,
    /// What messages call it.
    pub(super) name: String,
    /// It was not there before.
    pub(super) made: bool,
}

#[derive(Debug)]
pub(super) enum Target {
    File(File),
    /// A FIFO or a character device.
    Stream(File),
}

/// Opens a path by the rules of [`create`].
pub(super) fn open(
    path: &Path,
    force: bool,
    owner: Option<(u32, u32)>,
) -> Result<Opened, WriteError> {
    let name = Safe(path.to_string_lossy().as_bytes()).to_string();
    let failed = |source| WriteError::Create {
        name: name.clone(),
        source,
    };
    survive_file_size_limit().map_err(failed)?;
    let new = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(PRIVATE)
        .open(path);
    match new {
        Ok(file) => {
            if let Some((user, group)) = owner {
                // Some file systems know no owners: the capture matters more.
                let _ = fchown(&file, Some(user), Some(group));
            }
            Ok(Opened {
                out: Target::File(file),
                name,
                made: true,
            })
        }
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => existing(path, force, name),
        Err(e) => Err(failed(e)),
    }
}

fn existing(path: &Path, force: bool, name: String) -> Result<Opened, WriteError> {
    let failed = |source| WriteError::Create {
        name: name.clone(),
        source,
    };
    let kind = path.metadata().map_err(failed)?.file_type();
    if is_stream(kind) {
        return match open_stream(path).map_err(failed)? {
            Some(stream) => Ok(Opened {
                out: Target::Stream(stream),
                name,
                made: false,
            }),
            None => Err(WriteError::Unsuitable { name }),
        };
    }
    if kind.is_dir() {
        return Err(failed(io::ErrorKind::IsADirectory.into()));
    }
    if !kind.is_file() {
        return Err(WriteError::Unsuitable { name });
    }
    if !force {
        return Err(WriteError::Exists { name });
    }
    let opened = File::options()
        .write(true)
        .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK)
        .open(path);
    let file = match opened {
        Err(e) if e.raw_os_error() == Some(libc::ELOOP) => {
            return Err(WriteError::Symlink { name });
        }
        opened => opened.map_err(failed)?,
    };
    // It may have been exchanged since it was looked at.
    if !file.metadata().map_err(failed)?.is_file() {
        return Err(WriteError::Unsuitable { name });
    }
    Ok(Opened {
        out: Target::File(file),
        name,
        made: false,
    })
}

fn is_stream(kind: FileType) -> bool {
    kind.is_fifo() || kind.is_char_device()
}

/// Opens a FIFO or a character device; `None` when something else stands there by now, such as a link to a file.
fn open_stream(path: &Path) -> io::Result<Option<File>> {
    let stream = to_write(path)?;
    let kind = stream.metadata()?.file_type();
    Ok(is_stream(kind).then_some(stream))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_file_that_took_the_place_of_a_fifo_is_left_alone() {
        assert!(open_stream("/dev/null".as_ref()).unwrap().is_some());
        let path = std::env::temp_dir().join(format!("sockwire-swap-{}", std::process::id()));
        std::fs::write(&path, "precious").unwrap();
        let opened = open_stream(&path).unwrap();
        let kept = std::fs::read(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        assert!(opened.is_none());
        assert_eq!(kept, b"precious");
    }

    #[test]
    fn a_document_is_whole_or_not_there() {
        let path = std::env::temp_dir().join(format!("sockwire-document-{}", std::process::id()));
        drop(Document::create(&path, false, None).unwrap());
        assert!(!path.exists());
        let document = Document::create(&path, false, None).unwrap();
        document.write(b"long text").unwrap();
        assert!(Document::create(&path, false, None).is_err());
        drop(Document::create(&path, true, None).unwrap());
        let kept = std::fs::read(&path).unwrap();
        let document = Document::create(&path, true, None).unwrap();
        document.write(b"short").unwrap();
        let written = std::fs::read(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        assert_eq!(
            (&kept[..], &written[..]),
            (&b"long text"[..], &b"short"[..])
        );
        let full = Document::create("/dev/full".as_ref(), false, None).unwrap();
        assert!(full.write(b"text").is_err());
    }

    #[test]
    fn a_writer_that_writes_nothing_changes_nothing() {
        let how = Create {
            format: Format::PcapNg,
            force: true,
            owner: None,
        };
        let path = std::env::temp_dir().join(format!("sockwire-nothing-{}", std::process::id()));
        drop(create(&path, how).unwrap());
        assert!(!path.exists());
        std::fs::write(&path, [7; 4096]).unwrap();
        drop(create(&path, how).unwrap());
        let kept = std::fs::read(&path).unwrap();
        create(&path, how).unwrap().finish(&[]).unwrap();
        let written = std::fs::read(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        assert_eq!(kept, [7; 4096]);
        assert!((28..4096).contains(&written.len()), "{}", written.len());
    }
}
