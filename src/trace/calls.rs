//! A thread stands at the entry or the exit of a call: what it asks, and what came of it.

use std::cell::Cell;

use super::{
    decode::{self, Answered, Asked, Closes, Memory},
    process::{self, Pending, State},
    sockets::Change,
    table,
    tracer::{Moment, Tracer, returned},
};
use crate::{
    call::{Caller, Fd},
    event::{Arg, Deed, Enter, Event, Note, Return, SocketId},
    sys::ptrace::{self, At},
};

/// How often memory is read for one half of a call. The most messages at once need half of it; a program that scatters each of
/// them over as many buffers as it can would hold up all others for seconds.
const READINGS: usize = 8192;

/// The memory of a thread that stands.
struct Stopped {
    thread: u32,
    /// Readings that are left.
    left: Cell<usize>,
}

impl Stopped {
    const fn new(thread: u32) -> Self {
        let left = Cell::new(READINGS);
        Self { thread, left }
    }
}

impl Memory for Stopped {
    fn read(&self, address: u64, buffer: &mut [u8]) -> usize {
        let Some(left) = self.left.get().checked_sub(1) else {
            return 0;
        };
        self.left.set(left);
        ptrace::read(self.thread, address, buffer)
    }
}

/// Calls that are looked at whatever is wanted: what was interrupted goes on, descriptors close by themselves, and what is
/// called without calls.
pub(super) const OWN: [i64; 4] = [
    libc::SYS_restart_syscall,
    libc::SYS_execve,
    libc::SYS_execveat,
    libc::SYS_io_uring_setup,
];

/// A call that a signal has interrupted returns one of these to nobody: it is made again, or fails with `EINTR`
/// (linux/errno.h: ERESTARTSYS, ERESTARTNOINTR, ERESTARTNOHAND, ERESTART_RESTARTBLOCK).
const AGAIN: [i64; 4] = [-512, -513, -514, -516];

impl Tracer {
    /// A thread stands at a call.
    pub(super) fn at_call(&mut self, tid: u32, now: &mut Moment<'_>) {
        match ptrace::call(tid) {
            Some(At::Entry { number, args }) => self.enters(tid, number, args, now),
            Some(At::Exit(value)) => self.leaves(tid, value, now),
            None => {}
        }
        self.go_on(tid, 0);
    }

    fn enters(&mut self, tid: u32, mut number: i64, mut args: [u64; 6], now: &mut Moment<'_>) {
        let Some(thread) = self.threads.get_mut(&tid) else {
            return;
        };
        let again = number == libc::SYS_restart_syscall;
        let mut waited = false;
        if let Some(before) = thread.waited.take()
            && (again || before == (number, args))
        {
            (number, args) = before;
            waited = true;
        } else if let State::Interrupted(pending) = &thread.state
            && (again || (pending.number, pending.args) == (number, args))
        {
            if let State::Interrupted(pending) = std::mem::take(&mut thread.state) {
                thread.state = State::Inside(pending);
            }
            return;
        }
        let by = Caller {
            process: thread.process,
            thread: tid,
        };
        let pending = match number {
            libc::SYS_execve | libc::SYS_execveat => self.execs(by, number, args, now),
            libc::SYS_io_uring_setup => {
                self.note_uring(by.process, now);
                None
            }
            _ if self.told.contains(&number) => self.asks(by, number, args, waited, now),
            _ => None,
        };
        let (Some(pending), Some(thread)) = (pending, self.threads.get_mut(&tid)) else {
            return;
        };
        thread.state = State::Inside(Box::new(pending));
    }

    /// Tells that a call is made, unless it has nothing to do with a socket.
    fn asks(
        &mut self,
        by: Caller,
        number: i64,
        args: [u64; 6],
        waited: bool,
        now: &mut Moment<'_>,
    ) -> Option<Pending> {
        let syscall = table::find(number)?;
        let deed = syscall.form(&args)?.deed;
        // Of what is no socket, or is closed, they fail: that is a mistake to be shown. Whether something is a socket may be
        // asked of anything.
        let for_sockets = syscall.is_api() && !matches!(deed, Deed::Name | Deed::Option);
        let (mut stream, mut about) = (false, for_sockets || deed == Deed::Wait);
        for fd in syscall.descriptors(&args) {
            if let Some(socket) = self.socket_at(by, fd, false, now) {
                about = true;
                stream |= self.sockets.is_stream(socket);
            }
        }
        if !about && deed != Deed::Close {
            return None;
        }
        let memory = Stopped::new(by.thread);
        let mut asked = decode::asked(syscall, args, &memory, stream)?;
        let mut find = |fd: Option<Fd>| self.socket_at(by, fd?, false, now);
        let mut socket = find(asked.fd);
        if let Some(into) = find(asked.sink) {
            asked.sink_is_socket();
            socket = Some(into);
        }
        let closes = match asked.closes {
            Closes::None => Vec::new(),
            Closes::Fd(fd) => find(Some(fd))
                .map(|socket| (fd, socket))
                .into_iter()
                .collect(),
            Closes::Range(first, last) => self.sockets_between(by, first, last, now),
        };
        if let Some(process) = self.processes.get(&by.process) {
            let mut descriptors = process.descriptors();
            match asked.closes {
                Closes::None => {}
                Closes::Fd(fd) => descriptors.doubt(fd),
                Closes::Range(first, last) => descriptors.doubt_all(first, last),
            }
        }
        if socket.is_none() && closes.is_empty() && !for_sockets && deed != Deed::Wait {
            return None;
        }
        // Nobody looks at them again, but for the addresses of datagrams.
        let parts = if stream {
            std::mem::take(&mut asked.parts)
        } else {
            asked.parts.clone()
        };
        let enter = Enter {
            call: 0,
            by,
            name: asked.name.clone(),
            deed: asked.deed,
            socket,
            closes: closes.iter().map(|&(_, socket)| socket).collect(),
            args: std::mem::take(&mut asked.args),
            parts,
            waited,
        };
        Some(Pending {
            call: self.tell_enter(enter, now),
            number,
            args,
            asked: Some((syscall, asked)),
            socket,
            stream,
            closes,
        })
    }

    /// Numbers a call and tells that it is made. One that a signal interrupted before has failed by that.
    fn tell_enter(&mut self, mut enter: Enter, now: &mut Moment<'_>) -> u64 {
        if let Some(thread) = self.threads.get_mut(&enter.by.thread)
            && let State::Interrupted(pending) = std::mem::take(&mut thread.state)
        {
            let failed = returned(pending.call, Err(libc::EINTR));
            now.tell(Event::Return(failed));
        }
        self.last_call += 1;
        enter.call = self.last_call;
        now.tell(Event::Enter(enter));
        self.last_call
    }

    /// Running another program closes descriptors: that is told when sockets are among them.
    fn execs(
        &mut self,
        by: Caller,
        number: i64,
        args: [u64; 6],
        now: &mut Moment<'_>,
    ) -> Option<Pending> {
        let mut closes = self.sockets_between(by, 0, u32::MAX, now);
        closes.retain(|&(fd, _)| process::closes_at_exec(by.process, fd));
        if closes.is_empty() {
            return None;
        }
        let (name, path) = if number == libc::SYS_execve {
            ("execve", args[0])
        } else {
            ("execveat", args[1])
        };
        let mut text = [0; 256];
        let len = ptrace::read(by.thread, path, &mut text);
        let text = text[..len]
            .split(|&byte| byte == 0)
            .next()
            .unwrap_or_default();
        let enter = Enter {
            call: 0,
            by,
            name: name.into(),
            deed: Deed::Close,
            socket: None,
            closes: closes.iter().map(|&(_, socket)| socket).collect(),
            args: vec![Arg::Text(String::from_utf8_lossy(text).into_owned())],
            parts: Vec::new(),
            waited: false,
        };
        Some(Pending {
            call: self.tell_enter(enter, now),
            number,
            args,
            asked: None,
            socket: None,
            stream: false,
            closes,
        })
    }

    fn note_uring(&mut self, process: u32, now: &mut Moment<'_>) {
        let Some(known) = self.processes.get_mut(&process) else {
            return;
        };
        if !std::mem::replace(&mut known.uring, true) {
            let text = "this program uses io_uring; calls inside it are not seen".to_owned();
            let process = Some(process);
            now.tell(Event::Note(Note { process, text }));
        }
    }

    fn leaves(&mut self, tid: u32, value: i64, now: &mut Moment<'_>) {
        let Some(thread) = self.threads.get_mut(&tid) else {
            return;
        };
        let by = Caller {
            process: thread.process,
            thread: tid,
        };
        let state = std::mem::take(&mut thread.state);
        let State::Inside(pending) = state else {
            // The return of a call that is not told of, from a signal's handler perhaps.
            thread.state = state;
            return;
        };
        if AGAIN.contains(&value) {
            thread.state = State::Interrupted(pending);
            return;
        }
        let Some((syscall, asked)) = &pending.asked else {
            let told = returned(pending.call, decode::result(value));
            now.tell(Event::Return(told));
            return;
        };
        let memory = Stopped::new(tid);
        let (args, stream) = (pending.args, pending.stream);
        let answered = decode::answered(syscall, args, value, &memory, asked, stream);
        self.learn(by, &pending, asked, &answered, now);
        let opened = self.opened(by, asked, &answered, now);
        let told = Return {
            call: pending.call,
            result: answered.result,
            moved: answered.moved,
            opened,
            out: answered.out,
            parts: answered.parts,
        };
        now.tell(Event::Return(told));
    }

    /// What a call that has returned says of the sockets that it was about, and of its process's descriptors.
    fn learn(
        &mut self,
        by: Caller,
        pending: &Pending,
        asked: &Asked,
        answered: &Answered,
        now: &mut Moment<'_>,
    ) {
        let Some(known) = self.processes.get(&by.process) else {
            return;
        };
        // An interrupted close has closed (close(2)).
        if !matches!(answered.result, Err(error) if error != libc::EINTR) {
            for &(fd, socket) in &pending.closes {
                known.descriptors().closed(fd, socket);
            }
        }
        let (Some(socket), Some(fd)) = (pending.socket, asked.fd) else {
            return;
        };
        let about = matches!(asked.deed, Deed::Bind | Deed::Connect | Deed::Listen);
        if asked.deed == Deed::Close || (!about && self.sockets.is_settled(socket)) {
            return;
        }
        let change = match asked.deed {
            Deed::Listen | Deed::Accept => Change::Listens,
            Deed::Send | Deed::Receive if answered.result.is_ok() => Change::Used,
            _ => Change::None,
        };
        if let Some(file) = known.borrow(by.thread, fd) {
            self.sockets.refresh(socket, &file, change, now);
        }
    }

    /// The socket that a call has made, or of which it has made a descriptor.
    fn opened(
        &mut self,
        by: Caller,
        asked: &Asked,
        answered: &Answered,
        now: &mut Moment<'_>,
    ) -> Option<SocketId> {
        let made = matches!(asked.deed, Deed::Open | Deed::Accept);
        let mut opened = None;
        for &fd in &answered.new_fds {
            if let Some(known) = self.processes.get(&by.process) {
                known.descriptors().forget(fd);
            }
            let socket = self.socket_at(by, fd, made, now);
            opened = opened.or_else(|| socket.filter(|_| made));
        }
        // The other end may have reset the connection since, and the kernel has forgotten it.
        if let (Some(socket), Deed::Accept) = (opened, asked.deed)
            && let Some(Arg::Address(Some(peer))) = answered.out.first()
        {
            self.sockets.connected(socket, peer, now);
        }
        opened
    }

    /// The socket that a descriptor of a process that stands means; `made` by the call that has just returned.
    pub(super) fn socket_at(
        &mut self,
        by: Caller,
        fd: Fd,
        made: bool,
        now: &mut Moment<'_>,
    ) -> Option<SocketId> {
        let process = self.processes.get(&by.process)?;
        let (known, doubted) = {
            let descriptors = process.descriptors();
            (descriptors.known(fd), descriptors.doubted(fd))
        };
        if let Some(known) = known {
            return known;
        }
        // What is no socket is not borrowed: closing it, some drivers and file systems would be told.
        let file = if made || doubted || process::is_socket(by.thread, fd) {
            process.borrow(by.thread, fd)
        } else {
            None
        };
        let sockets = &mut self.sockets;
        let socket = file.and_then(|file| sockets.meet(&file, made, by.thread, now));
        // Without `close` and its relatives nothing stays sure.
        let sure = socket.is_none() || !self.wanted.net_only;
        process.descriptors().set(fd, socket, sure);
        socket
    }

    /// The sockets among a process's descriptors from `first` to `last`.
    pub(super) fn sockets_between(
        &mut self,
        by: Caller,
        first: u32,
        last: u32,
        now: &mut Moment<'_>,
    ) -> Vec<(Fd, SocketId)> {
        let found = self
            .processes
            .get(&by.process)
            .map(|p| p.descriptors().sockets(first, last));
        let found = found.unwrap_or_default().into_iter();
        let sockets = found.filter_map(|fd| {
            let socket = self.socket_at(by, fd, false, now)?;
            Some((fd, socket))
        });
        sockets.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_call_has_memory_read_without_end() {
        let memory = Stopped::new(std::process::id());
        let text = *b"sockwire";
        let at = text.as_ptr().addr() as u64;
        let mut buffer = [0; 8];
        let read = (0..2 * READINGS).filter(|_| memory.read(at, &mut buffer) == 8);
        assert_eq!(read.count(), READINGS);
        assert_eq!(buffer, text);
    }
}
