//! How a program is started: held until it is traced, under a filter that stops it at the calls that matter.

use std::{
    ffi::CString,
    fs::File,
    io,
    os::{fd::AsFd, unix::ffi::OsStringExt},
};

use super::{
    Listener, Program, TraceError, Wanted,
    calls::OWN,
    process::Process,
    table,
    tracer::{Tracer, failed},
};
use crate::sys::{
    clock::Clock,
    held::{Held, Plan},
    ptrace::{self, Go, Report},
    seccomp::Filter,
};

impl Tracer {
    /// Starts a program, which runs up to its first call that matters; there it stands until [`Tracer::run`] or
    /// [`Tracer::watch`]. Its process.
    ///
    /// # Errors
    /// [`TraceError::NoSuchProgram`] when it cannot be run, [`TraceError::Untraceable`] when no program can be
    /// traced.
    pub fn start(
        &mut self,
        program: Program,
        listener: &mut dyn Listener,
    ) -> Result<u32, TraceError> {
        let process = self.launch(&program)?;
        if let Some((handle, host)) = program.network {
            self.sockets.networks.name(&File::from(handle), host);
        }
        let now = &mut self.moment(listener);
        self.started.push((process, None));
        self.meet(process, Process::new(process, true), None, now);
        self.add_thread(process, process);
        self.note_program(process, now);
        self.go_on(process, 0);
        Ok(process)
    }

    /// Makes the process, which stands where it has just begun to run the program.
    fn launch(&self, program: &Program) -> Result<u32, TraceError> {
        let name = program.words.first().cloned().unwrap_or_default();
        let no_program = |error| TraceError::NoSuchProgram {
            program: name.clone(),
            error,
        };
        let words = program.words.iter().cloned();
        let words = words.map(|word| CString::new(word.into_vec()));
        let words: Vec<CString> = words
            .collect::<Result<_, _>>()
            .map_err(|error| no_program(error.into()))?;
        if words.is_empty() {
            return Err(no_program(io::ErrorKind::InvalidInput.into()));
        }
        let (mut always, files) = table::filter_numbers(self.wanted);
        always.extend(OWN.map(|number| number as u32));
        let (network, stdio) = (program.network.as_ref(), program.stdio.as_ref());
        let held = Held::new(&Plan {
            words: &words,
            network: network.map(|(handle, _)| handle.as_fd()),
            stdio: stdio.map(|stdio| stdio.each_ref().map(AsFd::as_fd)),
            group: program.group,
            filter: &Filter::new(&always, &files),
            unprivileged: self.unprivileged,
        })
        .map_err(|error| failed("start a process", error))?;
        let process = held.process;
        if let Err(error) = ptrace::seize(process, true) {
            // What is held ends when it is let go of so.
            drop(held);
            let _ = ptrace::wait(Some(process), true);
            return Err(TraceError::Untraceable(error));
        }
        let going = held.go();
        if !runs(process).map_err(|error| failed("wait for the program", error))? {
            return Err(match going.failed() {
                Some(failure) if failure.what.is_empty() => no_program(failure.error),
                Some(failure) => failed(failure.what, failure.error),
                None => no_program(io::ErrorKind::Interrupted.into()),
            });
        }
        Ok(process)
    }
}

/// Finds out by trying whether programs can be started and traced here. What it starts is a folder, which cannot be run:
/// it ends before this returns.
///
/// # Errors
/// [`TraceError::Untraceable`], and [`TraceError::Failed`] when its filter cannot be had.
pub fn test() -> Result<(), TraceError> {
    let folder = Program {
        words: vec!["/".into()],
        ..Program::default()
    };
    match Tracer::new(Wanted::default(), Clock::start()).launch(&folder) {
        Ok(_) | Err(TraceError::NoSuchProgram { .. }) => Ok(()),
        Err(error) => Err(error),
    }
}

/// Waits until a new process runs its program; `false`: it has ended instead.
fn runs(process: u32) -> io::Result<bool> {
    loop {
        match ptrace::wait(Some(process), true) {
            Ok(Some((_, Report::Exec))) => return Ok(true),
            Ok(Some((_, Report::Ended(_)))) => return Ok(false),
            Ok(Some((_, Report::Signal(signal)))) => ptrace::go(process, Go::On, signal),
            Ok(Some((_, Report::Halted))) => ptrace::stay(process),
            Ok(_) => ptrace::go(process, Go::On, 0),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}
