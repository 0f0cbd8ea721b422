//! Why a server cannot listen: who has its address, or which right it needs, and what to do.

use std::{fs, io, net::SocketAddr, os::unix::fs::FileTypeExt as _, path::Path};

use anyhow::anyhow;
use sockwire::{
    call::Address,
    capture::{Listener, Transport, listeners, tcp_states},
    sys::machine::ipv4_setting,
    text::Safe,
};

use super::{
    super::{Exit, Failure, machine, permission},
    Kind,
};

/// The failure that `error`, from opening the server, asks for.
pub(super) fn failure(error: &io::Error, kind: Kind, address: &Address) -> Failure {
    let what = format!("cannot listen on {address} ({kind})");
    let (exit, why) = match (error.raw_os_error(), address) {
        (Some(libc::EADDRINUSE), Address::Ip(ip)) => (Exit::Usage, taken(*ip, kind)),
        (Some(libc::EADDRINUSE), Address::Path(path)) => (Exit::Usage, path_taken(path)),
        (Some(libc::EADDRINUSE), _) => (Exit::Usage, "another process has this name".to_owned()),
        (Some(libc::EACCES | libc::EPERM), Address::Ip(ip)) => {
            (Exit::NotPermitted, low(ip.port(), kind))
        }
        (Some(libc::EACCES | libc::EPERM), _) => {
            let right = "this user may not make a file in that directory";
            (Exit::NotPermitted, right.to_owned())
        }
        (Some(libc::EADDRNOTAVAIL), _) => {
            let all = "it is no address of this machine; they are listed by: sockwire interfaces";
            (Exit::NoSuch, all.to_owned())
        }
        (Some(libc::EAFNOSUPPORT), _) => (
            Exit::NoSuch,
            "this kernel does not have this family of addresses".to_owned(),
        ),
        (Some(libc::ENOENT | libc::ENOTDIR), Address::Path(_)) => {
            (Exit::Usage, "there is no such directory".to_owned())
        }
        (_, Address::Path(_)) if error.kind() == io::ErrorKind::InvalidInput => (
            Exit::Usage,
            "the path is too long: a Unix socket's has at most 107 bytes".to_owned(),
        ),
        _ => (Exit::NoMatch, error.to_string()),
    };
    Failure::new(exit, anyhow!("{what}: {why}"))
}

fn path_taken(path: &Path) -> String {
    let is_socket =
        fs::symlink_metadata(path).is_ok_and(|metadata| metadata.file_type().is_socket());
    if is_socket {
        "another process has it open; end that one, or take another path".to_owned()
    } else {
        "something that is no socket is there, and stays; take another path".to_owned()
    }
}

/// The state of a connection that this side closed first, by the kernel's number.
const TIME_WAIT: u8 = 6;

/// Who has the port.
fn taken(address: SocketAddr, kind: Kind) -> String {
    let transport = match kind {
        Kind::Udp => Transport::Udp,
        _ => Transport::Tcp,
    };
    let port = address.port();
    let mut there = listeners(port);
    there.retain(|listener| listener.transport == transport);
    let next = kind.at(port.checked_add(1).unwrap_or(5000));
    let another = format!("end it, or take another port: {next}");
    if !there.is_empty() {
        let who: Vec<String> = there.iter().map(holder).collect();
        return format!("the port is taken by {}\n  {another}", who.join(" and "));
    }
    let states = tcp_states(port);
    let time_wait = states.iter().filter(|state| **state == TIME_WAIT).count();
    let other = states.len() - time_wait;
    if transport == Transport::Tcp && time_wait + other > 0 {
        return lingering(time_wait, other, &next);
    }
    format!("a socket is bound to it that does not listen\n  {another}")
}

fn holder(listener: &Listener) -> String {
    let who = match &listener.process {
        Some((process, name)) => format!("{}[{process}]", Safe(name.as_bytes())),
        None => "a process that this user may not see".to_owned(),
    };
    format!("{who} on {}", listener.address)
}

/// Connections outlive their server, and hold the port where one of both servers does without SO_REUSEADDR.
fn lingering(time_wait: usize, other: usize, next: &str) -> String {
    let held = match (time_wait, other) {
        (1, 0) => {
            "a connection of it is in TIME-WAIT, which lasts 60 s after this side closed first"
                .to_owned()
        }
        (waiting, 0) => format!(
            "{waiting} of its connections are in TIME-WAIT, which lasts 60 s after this side closed first"
        ),
        (0, 1) => "a connection of an earlier server is still open".to_owned(),
        (0, open) => format!("{open} connections of an earlier server are still open"),
        (waiting, open) => format!(
            "of an earlier server {open} connections are still open, and {waiting} in TIME-WAIT for up to 60 s"
        ),
    };
    format!(
        "nobody listens there, but {held}\n  \
         a port can be bound again at once only if the first server had set SO_REUSEADDR, and the second does too: \
         leave --no-reuseaddr out on both\n  \
         now: wait, or take another port: {next}"
    )
}

/// A port that needs a right.
fn low(port: u16, kind: Kind) -> String {
    let first = ipv4_setting("ip_unprivileged_port_start").and_then(|first| first.parse().ok());
    let first = first.unwrap_or(1024_u16);
    if port >= first {
        return "this process is not allowed to (a security module or a seccomp filter says no)"
            .to_owned();
    }
    let program = machine::program();
    format!(
        "ports below {first} need a right, CAP_NET_BIND_SERVICE (net.ipv4.ip_unprivileged_port_start = {first})\n  \
         once:          sudo {}\n  \
         for good:      sudo setcap cap_net_bind_service+ep {program}\n  \
         without:       {}",
        permission::again(),
        kind.at(first.max(kind.usual_port()))
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lingers_is_told_by_its_state() {
        assert!(lingering(1, 0, "").contains("TIME-WAIT"));
        assert!(lingering(0, 2, "").contains("2 connections"));
    }
}
