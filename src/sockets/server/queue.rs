//! Clients who wait: the accept queue while nobody accepts, and what the kernel ignores when it is full.

use std::{
    io,
    sync::mpsc::{self, RecvTimeoutError},
    thread,
    time::{Duration, Instant},
};

use nix::poll::{PollFd, PollFlags, PollTimeout};

use super::Server;
use crate::{
    call::Address,
    sockets::Event,
    sys::queue::{Ignored, Queue},
};

/// Between two looks. Who waits for less is not worth a line.
const EVERY: Duration = Duration::from_millis(100);

/// Runs `serve`, and meanwhile tells of clients who wait, if anybody listens. The looks are no calls of the server's, and
/// are not told as such.
pub(super) fn watched<T: Send>(
    server: &Server,
    serve: impl FnOnce() -> io::Result<T>,
) -> io::Result<T> {
    if server.socket.journal().is_silent() {
        return serve();
    }
    thread::scope(|scope| {
        let (_done, is_done) = mpsc::channel::<()>();
        let mut watch = Watch::new();
        // Where there is no thread to be had, the server serves all the same.
        let _ = thread::Builder::new().spawn_scoped(scope, move || {
            while is_done.recv_timeout(EVERY) == Err(RecvTimeoutError::Timeout) {
                watch.look(server);
            }
        });
        serve()
    })
}

/// What was seen last.
pub(super) struct Watch {
    at: Instant,
    waiting: u32,
    told: u32,
    overflows: Option<u64>,
    /// What overflows are has been told.
    is_explained: bool,
}

impl Watch {
    pub(super) fn new() -> Self {
        Self {
            at: Instant::now(),
            waiting: 0,
            told: 0,
            overflows: overflows(),
            is_explained: false,
        }
    }

    /// Looks, unless it has just done so, and tells what is new.
    pub(super) fn look(&mut self, server: &Server) {
        let journal = server.socket.journal();
        if journal.is_silent() || self.at.elapsed() < EVERY {
            return;
        }
        self.at = Instant::now();
        let queue = look(server);
        // Who was there at the look before as well, and has not been told.
        let waiting = queue.waiting.min(self.waiting);
        if waiting > self.told {
            journal.tell(|| Event::Note(waiting_words(waiting, queue)));
        }
        self.told = waiting;
        self.waiting = queue.waiting;
        if !matches!(server.options.address, Address::Ip(_)) {
            return;
        }
        let now = overflows();
        if let (Some(before), Some(now)) = (self.overflows, now)
            && now > before
        {
            journal.tell(|| Event::Note(overflow_words(now - before, self.is_explained)));
            self.is_explained = true;
        }
        self.overflows = now;
    }
}

/// The queue; of Unix sockets only whether anybody waits is known.
fn look(server: &Server) -> Queue {
    let Ok(socket) = server.socket.open() else {
        return Queue::default();
    };
    Queue::of(socket).unwrap_or_else(|_| {
        use std::os::fd::AsFd as _;
        let mut listener = [PollFd::new(socket.as_fd(), PollFlags::POLLIN)];
        let ready = nix::poll::poll(&mut listener, PollTimeout::ZERO).unwrap_or(0);
        Queue {
            waiting: ready.unsigned_abs(),
            limit: u32::MAX,
        }
    })
}

fn waiting_words(waiting: u32, queue: Queue) -> String {
    let who = match waiting {
        1 => "1 client waits".to_owned(),
        _ => format!("{waiting} clients wait"),
    };
    let state = "the kernel has completed the handshake, and accept has not come yet";
    match queue.limit {
        u32::MAX => format!("another client waits in the accept queue: {state}"),
        _ if queue.is_full() => format!(
            "{who} in the accept queue, which is full: {state}; whoever comes now gets no answer to its SYN"
        ),
        limit => {
            let places = u64::from(limit) + 1;
            format!("{who} in the accept queue ({waiting} of {places} places taken): {state}")
        }
    }
}

/// Handshakes that were ignored in this thread's network since an accept queue was full.
fn overflows() -> Option<u64> {
    Some(Ignored::look()?.overflows)
}

fn overflow_words(ignored: u64, is_explained: bool) -> String {
    let more = if is_explained { "more " } else { "" };
    let packets = match ignored {
        1 => format!("1 {more}handshake packet"),
        _ => format!("{ignored} {more}handshake packets"),
    };
    if is_explained {
        return format!("the kernel has ignored {packets}: an accept queue is full");
    }
    format!(
        "the kernel has ignored {packets} because an accept queue of this network namespace is full (ListenOverflows in \
         /proc/net/netstat): no loss on the way, since they have arrived; a client tries again after 1 s, 2 s, 4 s …"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_overflow_is_explained_once() {
        assert!(overflow_words(1, false).contains("1 handshake packet because"));
        let again = overflow_words(2, true);
        assert!(again.contains("2 more handshake packets: ") && again.len() < 80);
    }

    #[test]
    fn a_full_queue_is_said_to_be_full() {
        let queue = |waiting, limit| waiting_words(waiting, Queue { waiting, limit });
        assert!(
            queue(1, 5).starts_with("1 client waits in the accept queue (1 of 6 places taken)")
        );
        assert!(queue(3, 2).contains("full"));
        assert!(queue(1, u32::MAX).starts_with("another client waits in the accept queue: "));
    }
}
