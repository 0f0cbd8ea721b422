//! A process for each client.

use std::{
    collections::BTreeSet,
    io, mem,
    panic::{AssertUnwindSafe, catch_unwind},
};

use super::{Host, Server, queue::Watch};
use crate::{
    call::Address,
    sockets::{Event, Journal, Socket},
    sys::{
        process::{self, Side},
        signal::Children,
    },
};

/// Serves each client in a child; how many came.
pub(super) fn run(server: Server, host: &Host<'_>) -> io::Result<u64> {
    let ends = Children::notice()?;
    let journal = server.socket.journal().clone();
    let parent = std::process::id();
    let mut watch = Watch::new();
    let mut children = BTreeSet::new();
    let mut came = 0;
    loop {
        let interrupted = || {
            // Without waiting for them, children that have ended would stay as zombies.
            if ends.heed() {
                while !children.is_empty()
                    && wait(&journal, false, &mut children).is_ok_and(|any| any)
                {}
            }
            watch.look(&server);
        };
        let Some((socket, from)) = server.accept(came, interrupted)? else {
            break;
        };
        came += 1;
        match journal.fork(process::split) {
            Ok(Side::Child) => in_child(server, host, parent, came, socket, &from),
            // Both processes have the connection open now, and it ends when the last of them closes it: this one now.
            Ok(Side::Parent(child)) => {
                children.insert(child);
            }
            Err(error) => journal.tell(|| {
                let why = format!("no process for it ({error}; the limit: ulimit -u)");
                Event::Note(format!("client {came} from {from} is turned away: {why}"))
            }),
        }
    }
    let mut told = false;
    while !children.is_empty() {
        if server.stopping.is_asked() && !mem::replace(&mut told, true) {
            children.iter().copied().for_each(process::end);
        }
        match wait(&journal, true, &mut children) {
            Err(error) if error.raw_os_error() != Some(libc::EINTR) => break,
            _ => {}
        }
    }
    Ok(came)
}

/// Waits for a child, and crosses it off; whether there was one.
fn wait(journal: &Journal, block: bool, children: &mut BTreeSet<u32>) -> io::Result<bool> {
    let ended = journal.wait(None, block)?;
    if let Some(child) = ended {
        children.remove(&child);
    }
    Ok(ended.is_some())
}

/// All that a child does.
fn in_child(
    server: Server,
    host: &Host<'_>,
    parent: u32,
    client: u64,
    socket: Socket,
    from: &Address,
) -> ! {
    let Server {
        socket: listener,
        path,
        ..
    } = server;
    // Else the port would stay taken for as long as the child lives.
    drop(listener);
    // The path is the parent's to remove.
    mem::forget(path);
    let code = match process::obey(parent) {
        Err(_) => 1,
        // A panic must not climb up into what is the parent's to do.
        Ok(()) => {
            let visit = || host.visit(client, &socket, from);
            i32::from(catch_unwind(AssertUnwindSafe(visit)).is_err())
        }
    };
    drop(socket);
    process::leave(code)
}
