//! A thread for each client.

use std::{
    collections::BTreeMap,
    io,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};

use super::{Host, Server, accept::PAUSE};
use crate::{
    call::How,
    sockets::{Event, Socket},
};

/// The connections of clients that are here, by the client's number.
#[derive(Default)]
struct Here {
    sockets: Mutex<BTreeMap<u64, Arc<Socket>>>,
    /// Told when the last one leaves.
    empty: Condvar,
}

impl Here {
    fn sockets(&self) -> MutexGuard<'_, BTreeMap<u64, Arc<Socket>>> {
        // The map is whole whatever a thread that panicked was doing.
        self.sockets.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn leave(&self, client: u64) {
        let mut sockets = self.sockets();
        sockets.remove(&client);
        if sockets.is_empty() {
            self.empty.notify_all();
        }
    }
}

/// Serves each client in a thread; how many came.
pub(super) fn run(server: &Server, host: &Host<'_>) -> io::Result<u64> {
    let here = Here::default();
    thread::scope(|scope| {
        let mut came = 0;
        let accepted = loop {
            let (socket, from) = match server.accept(came, || {}) {
                Ok(Some(client)) => client,
                Ok(None) => break Ok(came),
                Err(error) => break Err(error),
            };
            came += 1;
            let (client, here) = (came, &here);
            let socket = Arc::new(socket);
            here.sockets().insert(client, Arc::clone(&socket));
            let name = from.to_string();
            let started = thread::Builder::new().spawn_scoped(scope, move || {
                host.visit(client, &socket, &from);
                // The last one who has it closes it.
                here.leave(client);
            });
            if let Err(error) = started {
                here.leave(client);
                server.socket.journal().tell(|| {
                    let why = format!("no thread for it ({error}; the limit: ulimit -u)");
                    Event::Note(format!("client {client} from {name} is turned away: {why}"))
                });
            }
        };
        wait(server, &here);
        accepted
    })
}

/// Waits until all have left; a stop does not wait for the clients' word.
fn wait(server: &Server, here: &Here) {
    let mut sockets = here.sockets();
    while !sockets.is_empty() && !server.stopping.is_asked() {
        // A signal does not end this wait: hence the limit.
        let limit = Duration::from_millis(PAUSE.into());
        let waited = here.empty.wait_timeout(sockets, limit);
        sockets = waited.unwrap_or_else(PoisonError::into_inner).0;
    }
    for socket in sockets.values() {
        // Its thread gets the end of the stream, or an error, from the call that it waits in.
        let _ = socket.shutdown(How::Both);
    }
}
