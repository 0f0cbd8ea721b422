//! Mistakes of a server that forks: a descriptor that the parent keeps, and children that nobody waits for.

use std::{
    fs, io, thread,
    time::{Duration, Instant},
};

use super::{
    Mistake, Said, Seen, Stage, Version, closing::waits_for_the_end, ms, seen::only_if,
    stage::recv_all,
};
use crate::{
    call::{Answer, Call, Fd},
    lab::{scenario::Host, wire::What},
    sockets::Socket,
    sys::process::{self, Side},
};

pub(super) static PARENT_KEEPS: Mistake = Mistake {
    name: "parent-keeps",
    title: "the parent keeps the descriptor: the child's close sends no FIN",
    habit: "if os.fork() == 0: serve(conn); conn.close(); os._exit(0), and no conn.close() in the parent",
    wrong: Version {
        title: "the parent goes on without closing its copy",
        client: waits_for_the_end,
        server: |stage| {
            let listener = stage.listen(&stage.server(), 5)?;
            let (conn, _) = listener.accept()?;
            let Side::Parent(child) = stage.fork()? else {
                says_bye(stage, listener, conn);
            };
            stage.wait_for(child)?;
            stage.wait();
            drop(conn);
            Ok(())
        },
        see: |seen| {
            let mut sentences = Vec::new();
            let [child, parent] = closes(seen);
            let fin = seen.packets(Host::Server, What::Fin).next();
            if let (Some(child), Some(parent), Some(fin)) = (child, parent, fin)
                && fin.time >= parent.time
            {
                sentences.push(format!(
                    "The child closed its copy of the descriptor and ended; no FIN left the server for {}, until the parent \
                     closed its own (packet {}).",
                    ms(fin.time.since(child.time)),
                    fin.number
                ));
            }
            if let Some(call) = seen.failed(Host::Client, libc::EAGAIN).next() {
                sentences.push(format!(
                    "The client had \"bye\" and waited in vain for the end: its recv gave up after {}. Without a time limit it \
                     waits as long as the parent lives.",
                    ms(call.took())
                ));
            }
            sentences
        },
    },
    right: Version {
        title: "the parent closes its copy at once",
        client: waits_for_the_end,
        server: |stage| {
            let listener = stage.listen(&stage.server(), 5)?;
            let (conn, _) = listener.accept()?;
            let Side::Parent(child) = stage.fork()? else {
                says_bye(stage, listener, conn);
            };
            drop(conn);
            stage.wait_for(child)
        },
        see: |seen| {
            let [child, parent] = closes(seen);
            let fin = seen.packets(Host::Server, What::Fin).next();
            match (child, parent, fin) {
                (Some(child), Some(parent), Some(fin))
                    if parent.end() < child.time && fin.time >= child.time =>
                {
                    vec![format!(
                        "The child's close was the last one: the FIN (packet {}) left {} after it was called.",
                        fin.number,
                        ms(fin.time.since(child.time))
                    )]
                }
                _ => Vec::new(),
            }
        },
    },
    rule: "fork copies every descriptor, and the FIN goes out with the last close: the parent closes the connection, the child \
           the listening socket.",
    next: "zombies",
};

/// The child's part. It closes the listening socket, which is the parent's.
fn says_bye(stage: &Stage, listener: Socket, conn: Socket) -> ! {
    drop(listener);
    // Its work takes a while.
    stage.pause();
    let _ = conn.send_all(b"bye\n");
    drop(conn);
    process::leave(0)
}

/// The calls of close by child and parent of the connection that the server accepted.
fn closes(seen: &Seen) -> [Option<&Said>; 2] {
    let accepted: Vec<Fd> = seen
        .calls(Host::Server, |_| true)
        .filter_map(|said| match &said.called()?.result {
            Ok(Answer::Accepted(fd, _)) => Some(*fd),
            _ => None,
        })
        .collect();
    let of = |by_child| {
        seen.calls(Host::Server, |call| match &call.call {
            Call::Close { fd } => accepted.contains(fd),
            _ => false,
        })
        .find(|said| said.by_child == by_child)
    };
    [of(true), of(false)]
}

/// Clients of `zombies`.
const CLIENTS: usize = 2;

pub(super) static ZOMBIES: Mistake = Mistake {
    name: "zombies",
    title: "children that nobody waits for stay as zombies",
    habit: "a child for each client with os.fork(), and os.waitpid() nowhere",
    wrong: Version {
        title: "two clients, two children, no waitpid until the end",
        client: comes_twice,
        server: |stage| {
            let children = serve(stage, |_| Ok(()))?;
            for &child in &children {
                stage.note(state_in_words(child));
            }
            stage.note("waitpid, which should have come before:");
            for &child in &children {
                stage.wait_for(child)?;
                stage.note(state_in_words(child));
            }
            Ok(())
        },
        see: |seen| {
            let zombies = seen.notes().filter(|note| note.contains(ZOMBIE)).count();
            let gone = seen.notes().filter(|note| note.contains(GONE)).count();
            let mut sentences = Vec::new();
            if zombies == CLIENTS {
                sentences.push(format!(
                    "{zombies} children had ended, and stood in /proc in state Z: the kernel keeps the number and the exit \
                     status of each for a parent that may still ask. A server without waitpid gathers one for each client, \
                     until fork fails (EAGAIN)."
                ));
            }
            if zombies == CLIENTS && gone == zombies {
                sentences.push("waitpid took the exit status, and they were gone.".to_owned());
            }
            sentences
        },
    },
    right: Version {
        title: "the parent waits for each child",
        client: comes_twice,
        server: |stage| {
            let children = serve(stage, |child| stage.wait_for(child))?;
            for child in children {
                stage.note(state_in_words(child));
            }
            Ok(())
        },
        see: |seen| {
            let gone = seen.notes().filter(|note| note.contains(GONE)).count();
            let sentence = "Two clients later there is no zombie.";
            only_if(gone == CLIENTS, sentence)
        },
    },
    rule: "Wait for every child: waitpid(-1, WNOHANG) in a loop whenever SIGCHLD comes, or before each accept; or ignore \
           SIGCHLD (signal(SIGCHLD, SIG_IGN)), and the kernel keeps none.",
    next: "parent-keeps",
};

fn comes_twice(stage: &Stage) -> io::Result<()> {
    for _ in 0..CLIENTS {
        let socket = stage.connect()?;
        recv_all(&socket, 1024);
        drop(socket);
        // The next one comes when this one is gone.
        stage.pause();
    }
    Ok(())
}

/// Serves the clients with a child each; the children's numbers, when all have ended.
fn serve(stage: &Stage, after: impl Fn(u32) -> io::Result<()>) -> io::Result<Vec<u32>> {
    let listener = stage.listen(&stage.server(), 5)?;
    let mut children = Vec::new();
    for _ in 0..CLIENTS {
        let (conn, _) = listener.accept()?;
        let Side::Parent(child) = stage.fork()? else {
            says_bye(stage, listener, conn);
        };
        drop(conn);
        after(child)?;
        children.push(child);
    }
    for &child in &children {
        until_ended(child);
    }
    Ok(children)
}

const ZOMBIE: &str = "Z (zombie)";
const GONE: &str = "no such process";

/// The letter of a process's state (`/proc/PID/stat`, third field; the second one, in brackets, may hold anything).
fn state(process: u32) -> Option<char> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    stat.rsplit_once(") ")?.1.chars().next()
}

fn state_in_words(process: u32) -> String {
    let state = match state(process) {
        Some('Z') => ZOMBIE.to_owned(),
        Some(other) => format!("{other} (it lives)"),
        None => GONE.to_owned(),
    };
    format!("/proc/{process}: {state}")
}

/// Waits for a process's end, for a second at most.
fn until_ended(process: u32) {
    let start = Instant::now();
    while !matches!(state(process), Some('Z') | None) && start.elapsed() < Duration::from_secs(1) {
        thread::sleep(Duration::from_millis(1));
    }
}
