//! Opening that a signal can end: a FIFO is only open when somebody has opened its other end.

use std::{fs::File, io, path::Path};

use nix::{fcntl::OFlag, sys::stat::Mode};

/// Opens a file for reading. Of a FIFO without a writer, a signal with a handler ends the wait: the error is
/// [`Interrupted`](io::ErrorKind::Interrupted) then, where [`File::open`] would wait on.
///
/// # Errors
/// When the system refuses, or a signal came.
pub fn to_read(path: &Path) -> io::Result<File> {
    open(path, OFlag::O_RDONLY)
}

/// Opens a file that exists for writing, as it is. Of a FIFO without a reader, a signal ends the wait as in [`to_read`].
///
/// # Errors
/// When the system refuses, or a signal came.
pub fn to_write(path: &Path) -> io::Result<File> {
    open(path, OFlag::O_WRONLY)
}

fn open(path: &Path, how: OFlag) -> io::Result<File> {
    let flags = how | OFlag::O_CLOEXEC | OFlag::O_LARGEFILE;
    Ok(nix::fcntl::open(path, flags, Mode::empty())?.into())
}
