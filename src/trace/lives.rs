//! Threads and processes come, run other programs, and end.

use super::{
    process::{self, Process, State, Thread},
    tracer::{Moment, Tracer, returned},
};
use crate::{
    call::Caller,
    event::{self, Arg, Deed, Enter, Event, Note},
    sys::{foreign, ptrace},
};

impl Tracer {
    /// Takes in a thread that a traced one, of process `by`, has made; whether it is there still.
    pub(super) fn adopt(&mut self, tid: u32, by: Option<u32>, now: &mut Moment<'_>) -> bool {
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
            self.meet(process, new, parent, now);
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
        now: &mut Moment<'_>,
    ) {
        self.processes.insert(number, process);
        let process = event::Process {
            process: number,
            parent,
            net: self.sockets.networks.of_thread(number),
            name: process::name(number),
        };
        now.tell(Event::Process(process));
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
    pub(super) fn runs_another(&mut self, tid: u32, now: &mut Moment<'_>) {
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
        for (fd, socket) in closed {
            process.descriptors().closed(fd, socket);
        }
        let exec = event::Exec {
            process: number,
            name: process::name(number),
        };
        now.tell(Event::Exec(exec));
        self.note_program(number, now);
    }

    /// Notes what is special about the program that a process runs.
    pub(super) fn note_program(&self, process: u32, now: &mut Moment<'_>) {
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
            now.tell(Event::Note(Note { process, text }));
        }
    }

    /// A thread is about to end. With the last one of a process its descriptors go.
    pub(super) fn ending(&mut self, tid: u32, now: &mut Moment<'_>) {
        let Some(number) = self.count_out(tid) else {
            return;
        };
        let status = ptrace::message(tid) as i32;
        let args = if libc::WIFEXITED(status) {
            vec![Arg::Number(libc::WEXITSTATUS(status).into())]
        } else {
            Vec::new()
        };
        self.lets_go(tid, number, args, now);
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
    fn lets_go(&mut self, tid: u32, number: u32, args: Vec<Arg>, now: &mut Moment<'_>) {
        if !self.processes.get(&number).is_some_and(Process::is_alone) {
            return;
        }
        let by = Caller {
            process: number,
            thread: tid,
        };
        let closes = self.sockets_between(by, 0, u32::MAX, now);
        if closes.is_empty() {
            return;
        }
        self.last_call += 1;
        let call = self.last_call;
        let enter = Enter {
            call,
            by,
            name: "exit".into(),
            deed: Deed::Close,
            socket: None,
            closes: closes.into_iter().map(|(_, socket)| socket).collect(),
            args,
            parts: Vec::new(),
            waited: false,
        };
        now.tell(Event::Enter(enter));
        if let Some(process) = self.processes.get_mut(&number) {
            process.exit = Some(call);
        }
    }

    /// A thread has ended; when it was the first one of its process, all have.
    pub(super) fn ended(&mut self, tid: u32, status: Result<i32, i32>, now: &mut Moment<'_>) {
        // One that was killed may have come to its end without standing once more.
        if let Some(number) = self.count_out(tid) {
            self.lets_go(tid, number, Vec::new(), now);
        }
        self.threads.remove(&tid);
        let Some(process) = self.processes.remove(&tid) else {
            return;
        };
        if let Some(call) = process.exit {
            now.tell(Event::Return(returned(call, Ok(0))));
        }
        let exit = event::Exit {
            process: tid,
            status,
        };
        now.tell(Event::Exit(exit));
        let started = self.started.iter_mut().find(|(process, _)| *process == tid);
        if let Some((_, ended)) = started {
            *ended = Some(status);
        }
    }
}
