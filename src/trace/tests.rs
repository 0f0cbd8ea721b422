//! Real programs, traced in a private network.
#![allow(clippy::unwrap_used)]

use std::{collections::HashMap, ffi::OsString, fs, process::Command};

use super::*;
use crate::{
    call::{Address, How},
    event::{CallId, Deed, Enter, Event, Exit, Return, Socket, SocketId, Transport},
    sys::{clock::Clock, netlink, netns, ptrace},
    testing::skipped,
};

/// All that was told, in order.
#[derive(Default)]
struct Log {
    events: Vec<(Time, Event)>,
    networks: Vec<(NetId, Option<String>, u32)>,
}

impl Listener for Log {
    fn tell(&mut self, at: Time, event: Event) {
        let last = self.events.last().map_or(Time::default(), |(at, _)| *at);
        assert!(last <= at, "{event:?} is told too late");
        self.events.push((at, event));
    }

    fn network(&mut self, net: NetId, host: Option<&str>, process: u32) -> Result<(), String> {
        self.networks.push((net, host.map(str::to_owned), process));
        Ok(())
    }

    fn idle(&mut self, _: bool) {}
}

impl Log {
    fn print(&self) {
        for (at, event) in &self.events {
            println!("{at:?} {event:?}");
        }
    }
}

/// A thread in a network of its own, and a program in it to be traced.
fn trace(wanted: Wanted, words: &[&str]) -> Option<(Log, Result<i32, i32>)> {
    netns::unshare_network().inspect_err(|e| skipped(e)).ok()?;
    // The loopback interface is the first one of every network.
    netlink::Netlink::open().unwrap().up(1).unwrap();
    let mut tracer = Tracer::new(wanted, Clock::start());
    let mut log = Log::default();
    let program = Program {
        words: words.iter().map(OsString::from).collect(),
        ..Program::default()
    };
    match tracer.start(program, &mut log) {
        Ok(_) => {}
        Err(TraceError::NoSuchProgram { program, .. }) => {
            skipped(format_args!("{program:?} is not installed"));
            return None;
        }
        Err(error) => panic!("{error}"),
    }
    let ended = tracer.run(&|| false, &mut log).unwrap();
    Some((log, ended[0].1))
}

#[test]
fn first() {
    let Some((log, status)) = trace(
        Wanted::default(),
        &[
            "python3",
            "-c",
            r"
import socket, threading
s = socket.create_server(('127.0.0.1', 0))
def serve():
    c, _ = s.accept()
    c.sendall(c.recv(100).upper())
    c.close()
t = threading.Thread(target=serve); t.start()
c = socket.create_connection(s.getsockname())
c.sendall(b'hello')
print(c.recv(100))
t.join()
",
        ],
    ) else {
        return;
    };
    log.print();
    assert_eq!(status, Ok(0));
}
