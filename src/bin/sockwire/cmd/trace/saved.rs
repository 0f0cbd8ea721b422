//! A saved log, shown again: what is printed follows from the log alone.

use std::{
    io::{self, IsTerminal as _},
    path::Path,
};

use sockwire::{
    file::log::{LogError, Reader},
    sys::signal::Stop,
};

use super::{
    Args, Exit, Failure, Outcome,
    keeping::{Keeper, Place},
    usage,
};
use crate::cmd::{Global, read::is_same_file};

pub(super) fn run(args: &Args, path: &Path, global: &Global) -> Outcome {
    if path == Path::new("-") && io::stdin().is_terminal() {
        let message = "standard input is the terminal: pipe a log into it, or name a file";
        return Err(usage(message.to_owned()));
    }
    if args.keeping.paths().any(|kept| is_same_file(kept, path)) {
        let message = "the output would replace the log that is read: choose another name";
        return Err(usage(message.to_owned()));
    }
    let stop = Stop::install()?;
    let mut reader = Reader::open(path).map_err(failure)?;
    let mut keeper = Keeper::open(&args.keeping, &args.showing, Place::Stdout, global)?;
    let fault = loop {
        if stop.asked() || keeper.is_over() {
            break None;
        }
        match reader.entry() {
            Ok(Some(entry)) => keeper.entry(&entry),
            Ok(None) => break None,
            // Ctrl-C, while a pipe was silent.
            Err(LogError::Read { source, .. }) if source.kind() == io::ErrorKind::Interrupted => {}
            Err(fault) => break Some(fault),
        }
    };
    // What was good before the fault is shown.
    keeper.finish()?;
    fault.map_or(Ok(Exit::Done), |fault| Err(failure(fault)))
}

fn failure(error: LogError) -> Failure {
    let exit = match error.open_kind() {
        Some(io::ErrorKind::NotFound) => Exit::NoSuch,
        Some(io::ErrorKind::PermissionDenied) => Exit::NotPermitted,
        _ => Exit::Damaged,
    };
    Failure::new(exit, error)
}
