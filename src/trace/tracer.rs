//! The tracer: which threads there are, why each stands when it does, and how it goes on.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    io,
    time::Duration,
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use super::{
    Listener, TraceError, Wanted,
    process::{Process, State, Thread},
    sockets::Sockets,
    table,
};
use crate::{
    event::{CallId, Event, Return},
    sys::{
        clock::Clock,
        ptrace::{self, Go, Report},
        signal,
    },
    time::{SECOND, Time},
};

/// Runs programs, or attaches to running ones, and tells what they call.
///
/// All of its life is spent in one thread: the kernel lets no other one trace what this one has begun to trace. In that
/// thread nothing else may have child processes, for it waits for any of them.
#[derive(Debug)]
pub struct Tracer {
    pub(super) wanted: Wanted,
    pub(super) clock: Clock,
    /// Numbers of the calls that are told of.
    pub(super) told: HashSet<i64>,
    pub(super) threads: HashMap<u32, Thread>,
    /// Threads that stand, and are looked at next.
    pub(super) ready: VecDeque<(u32, Report)>,
    pub(super) processes: HashMap<u32, Process>,
    pub(super) sockets: Sockets,
    pub(super) last_call: CallId,
    /// What was started, and how it has ended.
    pub(super) started: Vec<(u32, Option<Result<i32, i32>>)>,
    /// Programs that are started gain no rights of their own (`no_new_privs`).
    pub(super) unprivileged: bool,
}

/// How a program that was started has ended: its process, and its exit code or the signal that ended it.
pub type Ended = (u32, Result<i32, i32>);

/// What a program that is to end has for it before the next, harder word: Ctrl-C in its terminal has reached it as well.
const GRACE: i64 = SECOND;

/// Between two looks at what is to end.
pub(super) const PAUSE: Duration = Duration::from_millis(5);

impl Tracer {
    /// A tracer without programs yet. All that it tells is by `clock`.
    pub fn new(wanted: Wanted, clock: Clock) -> Self {
        let (always, files) = table::filter_numbers(wanted);
        Self {
            wanted,
            clock,
            told: always.into_iter().chain(files).map(i64::from).collect(),
            threads: HashMap::new(),
            ready: VecDeque::new(),
            processes: HashMap::new(),
            sockets: Sockets::default(),
            last_call: 0,
            started: Vec::new(),
            unprivileged: !crate::sys::machine::has(caps::Capability::CAP_SYS_ADMIN),
        }
    }

    /// Traces until all programs have ended, or `stop` says so; how those that were started have ended, in that order.
    ///
    /// `stop` is asked between any two stops of a thread, and when a signal has interrupted the waiting
    /// ([`signal::Stop::insist`], [`signal::Interruptible`]). Then programs that were attached to are left to live on. Those
    /// that were started cannot: their filter needs a tracer. They get a second to end by themselves, as Ctrl-C asks them
    /// to, another one after SIGTERM, and then SIGKILL.
    ///
    /// # Errors
    /// When the kernel lets this thread wait no longer.
    pub fn run(
        &mut self,
        stop: &dyn Fn() -> bool,
        listener: &mut dyn Listener,
    ) -> Result<Vec<Ended>, TraceError> {
        self.watch(stop, listener)?;
        self.detach();
        self.end(listener)?;
        let ended = self.started.iter();
        Ok(ended
            .filter_map(|&(process, status)| Some((process, status?)))
            .collect())
    }

    /// Traces until all programs have ended, which it returns, or `until` says so. What happens until it is called again
    /// waits.
    ///
    /// # Errors
    /// As for [`Tracer::run`].
    pub fn watch(
        &mut self,
        until: &dyn Fn() -> bool,
        listener: &mut dyn Listener,
    ) -> Result<bool, TraceError> {
        while !self.threads.is_empty() {
            if until() {
                return Ok(false);
            }
            match self.next(true, listener) {
                Ok(Some((thread, report))) => self.handle(thread, report, listener),
                Ok(None) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.raw_os_error() == Some(libc::ECHILD) => break,
                Err(error) => return Err(failed("wait for the traced programs", error)),
            }
        }
        Ok(true)
    }

    /// The next thread that stands or has ended. All that do by then have their turn before one of them has another: the
    /// kernel tells of the same threads first each time.
    fn next(
        &mut self,
        block: bool,
        listener: &mut dyn Listener,
    ) -> io::Result<Option<(u32, Report)>> {
        if let Some(next) = self.ready.pop_front() {
            return Ok(Some(next));
        }
        listener.idle(true);
        let first = ptrace::wait(None, block);
        listener.idle(false);
        while self.threads.len() > 1
            && let Ok(Some(report)) = ptrace::wait(None, false)
        {
            self.ready.push_back(report);
        }
        first
    }

    /// Ends what was started and lives on.
    fn end(&mut self, listener: &mut dyn Listener) -> Result<(), TraceError> {
        for signal in [None, Some(Signal::SIGTERM), Some(Signal::SIGKILL)] {
            // One that was halted takes no signal before it goes on.
            for signal in signal
                .into_iter()
                .flat_map(|signal| [signal, Signal::SIGCONT])
            {
                for &process in self.processes.keys() {
                    let _ = kill(Pid::from_raw(process.cast_signed()), signal);
                }
            }
            let until = self.clock.now().nanos() + GRACE;
            while !self.threads.is_empty() && self.clock.now().nanos() < until {
                match self.next(false, listener) {
                    Ok(Some((thread, report))) => self.handle(thread, report, listener),
                    Ok(None) => {
                        listener.idle(true);
                        signal::pause(PAUSE);
                        listener.idle(false);
                    }
                    Err(error) if error.raw_os_error() == Some(libc::ECHILD) => return Ok(()),
                    Err(error) => return Err(failed("wait for the traced programs", error)),
                }
            }
        }
        Ok(())
    }

    /// A thread stands, or is gone.
    pub(super) fn handle(&mut self, tid: u32, report: Report, listener: &mut dyn Listener) {
        let now = &mut self.moment(listener);
        if let Report::Ended(status) = report {
            self.ended(tid, status, now);
            return;
        }
        if !self.threads.contains_key(&tid) && !self.adopt(tid, None, now) {
            // Of one that is there and that `/proc` does not show, nothing can be told; it goes its way.
            ptrace::go(tid, Go::On, 0);
            return;
        }
        match report {
            Report::Filtered | Report::Call => self.at_call(tid, now),
            Report::Born => {
                let child = ptrace::message(tid) as u32;
                // It may have been told of first.
                if child != 0 && !self.threads.contains_key(&child) {
                    let by = self.threads.get(&tid).map(|thread| thread.process);
                    self.adopt(child, by, now);
                }
                self.go_on(tid, 0);
            }
            Report::Exec => {
                self.runs_another(tid, now);
                self.go_on(tid, 0);
            }
            Report::Ending => {
                self.ending(tid, now);
                self.go_on(tid, 0);
            }
            Report::Signal(signal) => self.go_on(tid, signal),
            Report::Halted => ptrace::stay(tid),
            Report::Trap | Report::Ended(_) => self.go_on(tid, 0),
        }
    }

    /// Lets a thread go on to where it is to stop next.
    pub(super) fn go_on(&self, tid: u32, signal: i32) {
        let Some(thread) = self.threads.get(&tid) else {
            return;
        };
        let filtered = self
            .processes
            .get(&thread.process)
            .is_some_and(|p| p.filtered);
        let how = match thread.state {
            State::Inside(_) => Go::ToCall,
            _ if filtered => Go::On,
            _ => Go::ToCall,
        };
        ptrace::go(tid, how, signal);
    }

    /// Now, and who is told.
    pub(super) fn moment<'a>(&self, listener: &'a mut dyn Listener) -> Moment<'a> {
        let clock = self.clock;
        let at = clock.now();
        Moment {
            clock,
            at,
            listener,
        }
    }
}

/// A moment in which something is told; all traced threads that it is about stand.
pub(super) struct Moment<'a> {
    clock: Clock,
    at: Time,
    pub(super) listener: &'a mut dyn Listener,
}

impl Moment<'_> {
    pub(super) fn tell(&mut self, event: Event) {
        self.listener.tell(self.at, event);
    }

    /// What is told next is of now; the threads stand still.
    pub(super) fn passes(&mut self) {
        self.at = self.clock.now();
    }
}

/// A return with nothing but its result.
pub(super) fn returned(call: CallId, result: Result<i64, i32>) -> Return {
    Return {
        call,
        result,
        moved: 0,
        opened: None,
        out: Vec::new(),
        parts: Vec::new(),
    }
}

pub(super) fn failed(what: impl Into<String>, error: io::Error) -> TraceError {
    let what = what.into();
    TraceError::Failed { what, error }
}
