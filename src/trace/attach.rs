//! A program that runs already: how its threads come to be traced, and how they are left to live on.

use std::io;

use nix::errno::Errno;

use super::{
    Listener, TraceError,
    process::{self, Process},
    tracer::{Moment, Tracer, failed},
};
use crate::{
    call::Caller,
    sys::{
        ptrace::{self, Report},
        signal,
    },
};

/// How often a thread is looked at that is to stand, with [`PAUSE`](super::tracer::PAUSE) between: one that the kernel
/// does not let stand (`vfork`, a device that does not answer) is waited for no longer.
const LOOKS: usize = 100;

impl Tracer {
    /// Attaches to a running process, with all its threads. What it has open is told; calls in which it waits are told
    /// once it goes on, and such a call is made again by the kernel, which the program does not notice where signals
    /// restart it (signal(7)).
    ///
    /// # Errors
    /// [`TraceError::NoSuchProcess`], and [`TraceError::NotPermitted`]: that of another user, of one that is traced
    /// already, or where Yama says so.
    pub fn attach(&mut self, pid: u32, listener: &mut dyn Listener) -> Result<(), TraceError> {
        // A thread's number means its process.
        let Some((number, _)) = process::family(pid) else {
            return Err(TraceError::NoSuchProcess(pid));
        };
        let now = &mut self.moment(listener);
        let mut reports = Vec::new();
        // Threads are made while others are being seized; those that a seized one makes come by themselves.
        loop {
            let mut new = process::threads(number);
            new.retain(|tid| !self.threads.contains_key(tid));
            let mut seized = Vec::new();
            for tid in new {
                let waited = process::call(number, tid);
                match ptrace::seize(tid, false) {
                    Ok(()) => {}
                    Err(error) if !self.processes.contains_key(&number) && seized.is_empty() => {
                        return Err(refused(number, error));
                    }
                    Err(_) => continue,
                }
                ptrace::interrupt(tid);
                seized.push((tid, waited));
            }
            if seized.is_empty() {
                break;
            }
            if !self.processes.contains_key(&number) {
                self.meet(number, Process::new(number, false), None, now);
            }
            for (tid, waited) in seized {
                self.add_thread(tid, number);
                if let Some(thread) = self.threads.get_mut(&tid) {
                    thread.waited = waited;
                }
                reports.extend(stands(tid).map(|report| (tid, report)));
            }
        }
        self.look_around(number, now);
        for (tid, report) in reports {
            self.handle(tid, report, listener);
        }
        Ok(())
    }

    /// Meets the sockets that a process has open.
    fn look_around(&mut self, number: u32, now: &mut Moment<'_>) {
        let by = Caller {
            process: number,
            thread: number,
        };
        for fd in process::open_descriptors(number) {
            self.socket_at(by, fd, false, now);
        }
    }

    /// Leaves all threads that were attached to, and those that they have made, to live on.
    pub(super) fn detach(&mut self) {
        let attached = |tracer: &Self, tid: &u32| {
            let thread = tracer.threads.get(tid);
            let process = thread.and_then(|thread| tracer.processes.get(&thread.process));
            process.is_some_and(|process| !process.filtered)
        };
        let mut leaving: Vec<u32> = self.threads.keys().copied().collect();
        leaving.retain(|tid| attached(self, tid));
        for &tid in &leaving {
            ptrace::interrupt(tid);
        }
        while let Some(tid) = leaving.pop() {
            let ready = self.ready.iter().position(|(ready, _)| *ready == tid);
            let report = match ready.and_then(|at| self.ready.remove(at)) {
                Some((_, report)) => Some(report),
                None => stands(tid),
            };
            if let Some(Report::Born) = report {
                // What it has made stands, or is about to.
                leaving.push(ptrace::message(tid) as u32);
            }
            match report {
                Some(Report::Signal(signal)) => ptrace::detach(tid, signal),
                Some(Report::Ended(_)) => {}
                _ => ptrace::detach(tid, 0),
            }
            self.threads.remove(&tid);
        }
        self.processes.retain(|_, process| process.filtered);
    }
}

/// The kernel's answer to the wish to trace a process.
fn refused(process: u32, error: io::Error) -> TraceError {
    match error.raw_os_error().map(Errno::from_raw) {
        Some(Errno::EPERM | Errno::EACCES) => TraceError::NotPermitted { process, error },
        Some(Errno::ESRCH) => TraceError::NoSuchProcess(process),
        _ => failed(format!("trace process {process}"), error),
    }
}

/// Waits until a thread stands, and why it does.
fn stands(tid: u32) -> Option<Report> {
    for _ in 0..LOOKS {
        match ptrace::wait(Some(tid), false) {
            Ok(Some((_, report))) => return Some(report),
            Ok(None) => signal::pause(super::tracer::PAUSE),
            Err(_) => return None,
        }
    }
    None
}
