//! The tracer: which threads there are, why each stands when it does, and how it goes on.

use std::{
    collections::{HashMap, HashSet},
    io,
    time::Duration,
};

use nix::{
    errno::Errno,
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use super::{
    Listener, TraceError, Wanted,
    process::{self, Process, State, Thread},
    sockets::Sockets,
    table,
};
use crate::{
    call::Caller,
    event::{self, Arg, CallId, Deed, Enter, Event, Note, Return},
    sys::{
        clock::Clock,
        foreign,
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
            listener.idle(true);
            let report = ptrace::wait(None, true);
            listener.idle(false);
            match report {
                Ok(Some((thread, report))) => self.handle(thread, report, listener),
                Ok(None) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.raw_os_error() == Some(libc::ECHILD) => break,
                Err(error) => return Err(failed("wait for the traced programs", error)),
            }
        }
        Ok(true)
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
                match ptrace::wait(None, false) {
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
        let now = self.clock.now();
        if let Report::Ended(status) = report {
            self.ended(tid, status, now, listener);
            return;
        }
        if !self.threads.contains_key(&tid) && !self.adopt(tid, None, now, listener) {
            return;
        }
        match report {
            Report::Filtered | Report::Call => self.at_call(tid, now, listener),
            Report::Born => {
                let child = ptrace::message(tid) as u32;
                // It may have been told of first.
                if child != 0 && !self.threads.contains_key(&child) {
                    let by = self.threads.get(&tid).map(|thread| thread.process);
                    self.adopt(child, by, now, listener);
                }
                self.go_on(tid, 0);
            }
            Report::Exec => {
                self.runs_another(tid, now, listener);
                self.go_on(tid, 0);
            }
            Report::Ending => {
                self.ending(tid, now, listener);
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

    /// Takes in a thread that a traced one, of process `by`, has made; whether it is there still.
    fn adopt(&mut self, tid: u32, by: Option<u32>, at: Time, listener: &mut dyn Listener) -> bool {
        let Some((process, parent)) = process::family(tid) else {
            return false;
        };
        if !self.processes.contains_key(&process) {
            let parent = by.unwrap_or(parent);
            let new = match self.processes.get(&parent) {
                Some(found) => found.child(process, foreign::share_descriptors(parent, process)),
                // Its parent has ended already, and with it what was known of its descriptors.
                None => Process::new(process, !self.started.is_empty()),
            };
            let parent = self.processes.contains_key(&parent).then_some(parent);
            self.meet(process, new, parent, at, listener);
        }
        self.add_thread(tid, process);
        true
    }

    /// Takes in a process, and tells of it.
    pub(super) fn meet(
        &mut self,
        number: u32,
        process: Process,
        parent: Option<u32>,
        at: Time,
        listener: &mut dyn Listener,
    ) {
        self.processes.insert(number, process);
        let process = event::Process {
            process: number,
            parent,
            net: self.sockets.networks.of_process(number),
            name: process::name(number),
        };
        listener.tell(at, Event::Process(process));
    }

    pub(super) fn add_thread(&mut self, tid: u32, process: u32) {
        let thread = Thread {
            process,
            state: State::Outside,
            waited: None,
        };
        self.threads.insert(tid, thread);
        if let Some(process) = self.processes.get_mut(&process) {
            process.threads += 1;
        }
    }

    /// A thread runs another program; the other threads of its process have ended, the first one without a word.
    fn runs_another(&mut self, tid: u32, at: Time, listener: &mut dyn Listener) {
        let former = ptrace::message(tid) as u32;
        if former != tid
            && let Some(thread) = self.threads.remove(&former)
        {
            self.threads.insert(tid, thread);
        }
        let Some(Thread {
            process: number,
            state,
            ..
        }) = self.threads.get(&tid)
        else {
            return;
        };
        let number = *number;
        let closed = match state {
            State::Inside(pending) => pending.closes.clone(),
            _ => Vec::new(),
        };
        let Some(process) = self.processes.get_mut(&number) else {
            return;
        };
        process.threads = 1;
        process.part();
        let mut closes = Vec::new();
        for (fd, socket) in closed {
            process.descriptors().closed(fd, socket);
            if !process.descriptors().has(socket) && !closes.contains(&socket) {
                closes.push(socket);
            }
        }
        let name = process::name(number);
        let exec = event::Exec {
            process: number,
            name,
            closes,
        };
        listener.tell(at, Event::Exec(exec));
        self.note_program(number, at, listener);
    }

    /// Notes what is special about the program that a process runs.
    pub(super) fn note_program(&self, process: u32, at: Time, listener: &mut dyn Listener) {
        let filtered = self.processes.get(&process).is_some_and(|p| p.filtered);
        let text = process::oddity(process, self.unprivileged).map(str::to_owned);
        let standard = || {
            let fd = (0..3).find(|&fd| process::is_socket(process, fd))?;
            Some(format!(
                "descriptor {fd} of this program is a socket; what it reads and writes there is seen only in recv and send calls"
            ))
        };
        let standard = (filtered && !self.wanted.net_only).then(standard).flatten();
        for text in text.into_iter().chain(standard) {
            let process = Some(process);
            listener.tell(at, Event::Note(Note { process, text }));
        }
    }

    /// A thread is about to end. With the last one of a process its descriptors go.
    fn ending(&mut self, tid: u32, at: Time, listener: &mut dyn Listener) {
        let Some(number) = self.count_out(tid) else {
            return;
        };
        let status = ptrace::message(tid) as i32;
        let args = if libc::WIFEXITED(status) {
            vec![Arg::Number(libc::WEXITSTATUS(status).into())]
        } else {
            Vec::new()
        };
        self.lets_go(tid, number, args, at, listener);
    }

    /// Counts a thread out of its process; the process, when that was its last one.
    fn count_out(&mut self, tid: u32) -> Option<u32> {
        let thread = self.threads.get_mut(&tid)?;
        if matches!(thread.state, State::Ending) {
            return None;
        }
        thread.state = State::Ending;
        let process = self.processes.get_mut(&thread.process)?;
        process.threads = process.threads.saturating_sub(1);
        (process.threads == 0).then_some(thread.process)
    }

    /// Tells the pseudo-call by which a process lets go of the sockets that it still has.
    fn lets_go(
        &mut self,
        tid: u32,
        number: u32,
        args: Vec<Arg>,
        at: Time,
        listener: &mut dyn Listener,
    ) {
        if !self.processes.get(&number).is_some_and(Process::is_alone) {
            return;
        }
        let closes = self.sockets_between(number, 0, u32::MAX, at, listener);
        if closes.is_empty() {
            return;
        }
        self.last_call += 1;
        let call = self.last_call;
        let enter = Enter {
            call,
            by: Caller {
                process: number,
                thread: tid,
            },
            name: "exit".into(),
            deed: Deed::Close,
            socket: None,
            closes: closes.into_iter().map(|(_, socket)| socket).collect(),
            args,
            parts: Vec::new(),
            waited: false,
        };
        listener.tell(at, Event::Enter(enter));
        if let Some(process) = self.processes.get_mut(&number) {
            process.exit = Some(call);
        }
    }

    /// A thread has ended; when it was the first one of its process, all have.
    fn ended(&mut self, tid: u32, status: Result<i32, i32>, at: Time, listener: &mut dyn Listener) {
        // One that was killed may have come to its end without standing once more.
        if let Some(number) = self.count_out(tid) {
            self.lets_go(tid, number, Vec::new(), at, listener);
        }
        self.threads.remove(&tid);
        let Some(process) = self.processes.remove(&tid) else {
            return;
        };
        if let Some(call) = process.exit {
            listener.tell(at, Event::Return(returned(call, Ok(0))));
        }
        listener.tell(
            at,
            Event::Exit(event::Exit {
                process: tid,
                status,
            }),
        );
        let started = self.started.iter_mut().find(|(process, _)| *process == tid);
        if let Some((_, ended)) = started {
            *ended = Some(status);
        }
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

/// The kernel's answer to the wish to trace a process.
pub(super) fn refused(process: u32, error: io::Error) -> TraceError {
    match error.raw_os_error().map(Errno::from_raw) {
        Some(Errno::EPERM | Errno::EACCES) => {
            let scope = std::fs::read_to_string("/proc/sys/kernel/yama/ptrace_scope");
            let scope = scope.ok().and_then(|scope| scope.trim().parse().ok());
            TraceError::NotPermitted {
                process,
                error,
                scope,
            }
        }
        Some(Errno::ESRCH) => TraceError::NoSuchProcess(process),
        _ => failed(format!("trace process {process}"), error),
    }
}
