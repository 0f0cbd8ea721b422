//! What becomes of a trace's entries: the log, the packets, the view; each of them optional.

use std::{
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use sockwire::{
    event::Entry,
    file::{Document, Growing, log},
    time::Time,
};

use super::{
    Failure, Keeping, Showing,
    comments::Commented,
    usage,
    view::{self, Form, View},
};
use crate::cmd::{Exit, Global, output};

/// Where a view goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::cmd) enum Place {
    /// Standard output.
    Stdout,
    /// Stderr, for standard output is the program's.
    Stderr,
}

/// Everything that takes entries.
pub(in crate::cmd) struct Keeper {
    log: Option<Growing>,
    packets: Vec<Option<Commented>>,
    view: Option<Viewing>,
    /// What went wrong first; where that was, nothing is written any more.
    fault: Option<Failure>,
}

/// A view, and where it goes.
struct Viewing {
    view: Box<dyn View>,
    text: String,
    to: To,
}

enum To {
    Place(Place),
    /// A file that grows with the view.
    Lines(Growing),
    /// A file that is written when the view is over.
    Whole(Document),
}

impl Keeper {
    /// Opens the files that the command line asks for, and prepares the view, which goes to `place` unless it goes to one.
    pub(in crate::cmd) fn open(
        keeping: &Keeping,
        showing: &Showing,
        place: Place,
        global: &Global,
    ) -> Result<Self, Failure> {
        let owner = output::caller();
        let paths: Vec<&PathBuf> = keeping.paths().collect();
        if paths.iter().any(|path| *path == Path::new("-")) {
            let message = "standard output is taken: give --save, -w and -o the name of a file";
            return Err(usage(message.to_owned()));
        }
        if (1..paths.len()).any(|n| paths[..n].contains(&paths[n])) {
            let message = "--save, -w and -o need a file each: give them different names";
            return Err(usage(message.to_owned()));
        }
        let grow = |path: &Path| Growing::create(path, keeping.force, owner);
        let form = match &keeping.output {
            Some(path) => Form::of(path)?,
            None => Form::Text,
        };
        let mut packets = Vec::new();
        let commented = keeping.output.as_ref().filter(|_| form == Form::Packets);
        for path in keeping.write.iter().chain(commented) {
            packets.push(Some(Commented::create(path, keeping.force)?));
        }
        let look = match keeping.output {
            Some(_) => view::look_in_file(global),
            None => view::look_of(place, global),
        };
        let to = match &keeping.output {
            None if global.quiet && place == Place::Stderr => None,
            None => Some(To::Place(place)),
            Some(_) if form == Form::Packets => None,
            Some(path) if form.grows() => Some(To::Lines(grow(path)?)),
            Some(path) => Some(To::Whole(Document::create(path, keeping.force, owner)?)),
        };
        let view = to.map(|to| Viewing {
            view: view::view(form, showing, look),
            text: String::new(),
            to,
        });
        Ok(Self {
            log: keeping.save.as_deref().map(grow).transpose()?,
            packets,
            view,
            fault: None,
        })
    }

    /// Takes the next entry.
    pub(in crate::cmd) fn entry(&mut self, entry: &Entry) {
        let fault = &mut self.fault;
        with(&mut self.log, fault, |log| {
            log.push(|out| log::push_line(entry, out))
        });
        for packets in &mut self.packets {
            with(packets, fault, |packets| packets.entry(entry));
        }
        with(&mut self.view, fault, |viewing| {
            viewing.view.entry(entry, &mut viewing.text);
            viewing.flush_when_full()
        });
    }

    /// Nothing earlier than `reached` is to come; it is `now`. What is ready is shown.
    pub(in crate::cmd) fn look(&mut self, reached: Time, now: Time) {
        let fault = &mut self.fault;
        with(&mut self.log, fault, |log| log.flush_if_due(now));
        for packets in &mut self.packets {
            with(packets, fault, |packets| packets.flush_if_due(now));
        }
        with(&mut self.view, fault, |viewing| {
            viewing.view.quiet(reached, &mut viewing.text);
            viewing.flush()?;
            if let To::Lines(file) = &mut viewing.to {
                file.flush_if_due(now)?;
            }
            Ok::<_, Failure>(())
        });
    }

    /// Nothing is left that can be written, or that somebody reads.
    pub(in crate::cmd) fn is_over(&self) -> bool {
        let writes = self.log.is_some() || self.view.is_some();
        self.fault.is_some() && !writes && self.packets.iter().all(Option::is_none)
    }

    /// The last entry was taken.
    ///
    /// # Errors
    /// What went wrong first.
    pub(in crate::cmd) fn finish(self) -> Result<(), Failure> {
        let mut fault = self.fault;
        if let Some(log) = self.log {
            note(&mut fault, log.finish());
        }
        for packets in self.packets.into_iter().flatten() {
            note(&mut fault, packets.finish());
        }
        if let Some(viewing) = self.view {
            note(&mut fault, viewing.finish());
        }
        fault.map_or(Ok(()), Err)
    }
}

/// Works on what is still written; where that fails, nothing is written any more, everywhere else it goes on.
fn with<T, E: Into<Failure>>(
    output: &mut Option<T>,
    fault: &mut Option<Failure>,
    work: impl FnOnce(&mut T) -> Result<(), E>,
) {
    let done = output.as_mut().map_or(Ok(()), work);
    if done.is_err() {
        *output = None;
    }
    note(fault, done);
}

/// Remembers what went wrong first; that a reader has left tells less than anything else.
fn note<E: Into<Failure>>(fault: &mut Option<Failure>, done: Result<(), E>) {
    if let Err(failure) = done.map_err(E::into)
        && fault.as_ref().is_none_or(|first| first.exit == Exit::Done)
    {
        *fault = Some(failure);
    }
}

impl Viewing {
    /// Writes what there is; a document is written at once, at the end.
    fn flush(&mut self) -> Result<(), Failure> {
        match &mut self.to {
            To::Place(Place::Stdout) => output::print(&self.text)?,
            To::Place(Place::Stderr) => io::stderr().write_all(self.text.as_bytes())?,
            To::Lines(file) => file.push(|out| {
                out.extend_from_slice(self.text.as_bytes());
                Ok(())
            })?,
            To::Whole(_) => return Ok(()),
        }
        self.text.clear();
        Ok(())
    }

    fn flush_when_full(&mut self) -> Result<(), Failure> {
        const FULL: usize = 64 << 10;
        if self.text.len() < FULL {
            return Ok(());
        }
        self.flush()
    }

    fn finish(mut self) -> Result<(), Failure> {
        let found = self.view.finish(&mut self.text);
        self.flush()?;
        match self.to {
            To::Place(_) => {}
            To::Lines(file) => file.finish()?,
            To::Whole(document) => document.write(self.text.as_bytes())?,
        }
        found
    }
}
