//! What programs with sockets tell while they run: their calls, and who came, said something and left.

use std::{fmt, io, sync::Arc};

use nix::unistd::{getpid, gettid};
use serde::{Deserialize, Serialize};

use crate::{
    call::{Address, Answer, Call, Called, Caller},
    sys::{
        clock::Clock,
        process::{self, Side},
    },
    time::Time,
};

/// Something that happened in a program.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Event {
    /// A call is being made that may block.
    Calling(Call),
    /// A call has returned.
    Called(Called),
    /// A server is ready.
    Listening(Address),
    /// A client has come; clients count from 1. Also the first datagram of an address.
    Came {
        /// Its number.
        client: u64,
        /// Its address.
        from: Address,
    },
    /// A client has said something.
    Heard {
        /// Its number.
        client: u64,
        /// What one call received.
        bytes: Vec<u8>,
        /// It was a datagram that did not fit into the buffer.
        cut: bool,
    },
    /// A client has left.
    Left {
        /// Its number.
        client: u64,
        /// Bytes received from it.
        received: u64,
        /// Bytes sent to it.
        sent: u64,
        /// How.
        end: End,
    },
    /// A sentence of the program's own.
    Note(String),
}

/// How a conversation ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum End {
    /// The client was done sending: `recv` returned 0.
    Closed,
    /// A call failed, with this error number.
    Failed(i32),
    /// The server ended it.
    Ended,
}

/// An event, when it was, and who told it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Told {
    /// On the clock of packet times.
    pub time: Time,
    /// Process and thread.
    pub by: Caller,
    /// What happened.
    pub event: Event,
}

/// Takes events. Threads share it, and a forked child has it too: what it writes to must stand that.
type Teller = dyn Fn(Told) + Send + Sync;

/// Where events go. The default one keeps silent, and then events cost nothing.
#[derive(Clone, Default)]
pub struct Journal {
    open: Option<Open>,
}

#[derive(Clone)]
struct Open {
    clock: Clock,
    calls: bool,
    tell: Arc<Teller>,
}

impl fmt::Debug for Journal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let calls = self.open.as_ref().map(|open| open.calls);
        f.debug_struct("Journal").field("calls", &calls).finish()
    }
}

impl Journal {
    /// A journal that gives each event to `tell`; those about calls only if `calls` are wanted.
    pub fn new(calls: bool, tell: impl Fn(Told) + Send + Sync + 'static) -> Self {
        let tell: Arc<Teller> = Arc::new(tell);
        let clock = Clock::start();
        Self {
            open: Some(Open { clock, calls, tell }),
        }
    }

    /// Nobody hears anything.
    pub const fn is_silent(&self) -> bool {
        self.open.is_none()
    }

    /// Tells of an event, which is made only if somebody wants it.
    pub fn tell(&self, event: impl FnOnce() -> Event) {
        if let Some(open) = &self.open {
            open.tell_at(open.clock.now(), event());
        }
    }

    /// Somebody wants to know of calls.
    pub fn hears_calls(&self) -> bool {
        self.open.as_ref().is_some_and(|open| open.calls)
    }

    /// Makes a call, and tells of it: before, when it may `block`, and after. `asked` puts the call into words, `answered`
    /// what it returned; neither runs when nobody wants to know.
    pub fn call<T>(
        &self,
        blocks: bool,
        asked: impl FnOnce() -> Call,
        make: impl FnOnce() -> io::Result<T>,
        answered: impl FnOnce(&T) -> Answer,
    ) -> io::Result<T> {
        let Some(open) = self.open.as_ref().filter(|open| open.calls) else {
            return make();
        };
        let call = asked();
        if blocks {
            open.tell_at(open.clock.now(), Event::Calling(call.clone()));
        }
        let start = open.clock.now();
        let result = make();
        let took = open.clock.now().since(start);
        let told = match &result {
            Ok(value) => Ok(answered(value)),
            Err(error) => Err(error.raw_os_error().unwrap_or(libc::EIO)),
        };
        let result_told = Called {
            call,
            result: told,
            took,
        };
        open.tell_at(start, Event::Called(result_told));
        result
    }

    /// `fork(2)`, by one of the functions that do it: [`process::split`], [`process::split_tied`].
    ///
    /// # Errors
    /// As `split`.
    pub fn fork(&self, split: fn() -> io::Result<Side>) -> io::Result<Side> {
        self.call(
            false,
            || Call::Fork,
            split,
            |side| match side {
                Side::Parent(child) => Answer::Process(*child),
                Side::Child => Answer::Process(0),
            },
        )
    }

    /// `waitpid(2)`, with the arguments of [`process::wait`].
    ///
    /// # Errors
    /// As [`process::wait`].
    pub fn wait(&self, process: Option<u32>, block: bool) -> io::Result<Option<u32>> {
        self.call(
            block,
            || Call::WaitPid { process },
            || process::wait(process, block),
            |ended| Answer::Process(ended.unwrap_or(0)),
        )
    }
}

impl Open {
    fn tell_at(&self, time: Time, event: Event) {
        let by = Caller {
            process: getpid().as_raw().unsigned_abs(),
            thread: gettid().as_raw().unsigned_abs(),
        };
        (self.tell)(Told { time, by, event });
    }
}
