//! What became of a connection, in words: what was on the wire, what to try next, and the exit code.

use std::{io, time::Duration};

use anyhow::anyhow;
use sockwire::{
    call::{self, Family, How},
    sockets::client::{Doing, Finished, Meaning, Over, Step, Tried, meaning},
};

use super::{Exit, Failure};

/// Why there is no connection; `whom` is what was asked for.
pub(super) fn unreachable(whom: &str, kind: call::Kind, tried: &[Tried]) -> Failure {
    let mut words: Vec<String> = tried.iter().map(|one| word(one, kind)).collect();
    words.dedup();
    let mut text = format!("cannot connect to {whom}: {}", words.join(", "));
    let meanings = tried
        .iter()
        .filter_map(|one| meaning(one.address.family(), kind, &one.error));
    let mut explained = Vec::new();
    for known in meanings {
        if !explained.contains(&known) {
            text += &explain(known);
            explained.push(known);
        }
    }
    let exit = tried.last().map_or(Exit::NoSuch, exit);
    Failure::new(exit, anyhow!(text))
}

/// Two lines for below an error.
fn explain(known: &Meaning) -> String {
    let Meaning { wire, next, .. } = known;
    format!("\n  on the wire: {wire}\n  what next: {next}")
}

/// What became of one address, in a word or two.
pub(super) fn word(tried: &Tried, kind: call::Kind) -> String {
    match meaning(tried.address.family(), kind, &tried.error) {
        Some(known) => known.word.to_owned(),
        None => tried.error.to_string(),
    }
}

/// A taken or forbidden source is another fault than a server that cannot be reached.
fn exit(tried: &Tried) -> Exit {
    match (tried.step, tried.error.raw_os_error()) {
        (Step::Bind, Some(libc::EADDRINUSE)) => Exit::Usage,
        (_, Some(libc::EACCES | libc::EPERM)) => Exit::NotPermitted,
        _ => Exit::NoSuch,
    }
}

/// The last sentence: what went over, and how it ended.
pub(super) fn ended(finished: &Finished, at_end: How, wait: Option<Duration>) -> String {
    let how = match &finished.over {
        Over::Closed if at_end == How::Write => "the other side has ended".to_owned(),
        Over::Closed => "recv() returned 0".to_owned(),
        Over::Quit => "closed".to_owned(),
        Over::Waited => format!(
            "waited {} s for more",
            wait.unwrap_or_default().as_secs_f64()
        ),
        Over::Stopped => "stopped".to_owned(),
        Over::Failed(doing, error) => return format!("{}: {error}", called(*doing)),
    };
    let Finished { sent, received, .. } = finished;
    format!("sent {sent}, received {received} bytes; {how}")
}

const fn called(doing: Doing) -> &'static str {
    match doing {
        Doing::Sending => "send() failed",
        Doing::Receiving => "recv() failed",
        Doing::ShuttingDown => "shutdown() failed",
    }
}

/// A call that failed on an open connection.
pub(super) fn broken(
    whom: &str,
    family: Family,
    kind: call::Kind,
    doing: Doing,
    error: &io::Error,
) -> String {
    let called = called(doing);
    match meaning(family, kind, error) {
        Some(known) => format!("{whom}: {called}: {}{}", known.word, explain(known)),
        None => format!("{whom}: {called}: {error}"),
    }
}

/// What `--shutdown` does, for who asked for it.
pub(super) const fn shut_down(family: Family, how: How) -> &'static str {
    match (family, how) {
        (Family::Unix, How::Write) => {
            "shutdown(SHUT_WR): no packets; recv() of the other side returns 0 after the last byte, and it can still send"
        }
        (Family::Unix, How::Read) => {
            "shutdown(SHUT_RD): no packets; recv() here returns 0 after what waits, and send() of the other side fails with EPIPE"
        }
        (Family::Unix, How::Both) => {
            "shutdown(SHUT_RDWR): no packets; recv() returns 0 at both ends, and send() fails with EPIPE"
        }
        (_, How::Write) => {
            "shutdown(SHUT_WR): FIN goes out behind the last byte; recv() of the other side returns 0 there, and it can still send"
        }
        (_, How::Read) => {
            "shutdown(SHUT_RD): nothing goes out, and the other side does not know; recv() here returns 0 as soon as nothing waits"
        }
        (_, How::Both) => {
            "shutdown(SHUT_RDWR): FIN goes out behind the last byte; recv() here returns 0, and what still comes is answered with RST"
        }
    }
}
