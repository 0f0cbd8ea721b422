//! Real programs, traced in a private network.
#![allow(clippy::unwrap_used)]

mod attached;
mod calls;
mod processes;
mod sockets;

use std::{
    cell::Cell,
    fs,
    io::{BufRead, BufReader, Write},
    os::fd::AsFd,
    process::{Child, ChildStdout, Command, Stdio},
    rc::Rc,
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use super::*;
use crate::{
    call::Address,
    event::{Arg, Deed, Enter, Exec, Exit, Note, Process, Return, Socket, SocketId, Transport},
    sys::{clock::Clock, netlink::Netlink, netns},
    testing::skipped,
};

const PYTHON: &str = "/usr/bin/python3";

/// All that was told, in order.
#[derive(Default)]
struct Log {
    events: Vec<(Time, Event)>,
    networks: Vec<(NetId, Option<String>)>,
    /// How many calls of these names were made.
    counted: &'static [&'static str],
    count: Rc<Cell<usize>>,
}

impl Listener for Log {
    fn tell(&mut self, at: Time, event: Event) {
        let last = self.events.last().map_or_else(Time::default, |(at, _)| *at);
        assert!(last <= at, "{event:?} is told too late");
        if let Event::Enter(enter) = &event
            && self.counted.contains(&&*enter.name)
        {
            self.count.set(self.count.get() + 1);
        }
        self.events.push((at, event));
    }

    fn network(&mut self, net: NetId, host: Option<&str>, thread: u32) -> Result<(), String> {
        assert!(fs::exists(format!("/proc/{thread}/ns/net")).unwrap());
        self.networks.push((net, host.map(str::to_owned)));
        Ok(())
    }

    fn idle(&mut self, _: bool) {}
}

impl Log {
    fn all<'a, T>(&'a self, pick: impl Fn(&'a Event) -> Option<&'a T>) -> Vec<&'a T> {
        self.events
            .iter()
            .filter_map(|(_, event)| pick(event))
            .collect()
    }

    fn processes(&self) -> Vec<&Process> {
        self.all(|event| match event {
            Event::Process(process) => Some(process),
            _ => None,
        })
    }

    fn exits(&self) -> Vec<&Exit> {
        self.all(|event| match event {
            Event::Exit(exit) => Some(exit),
            _ => None,
        })
    }

    fn execs(&self) -> Vec<&Exec> {
        self.all(|event| match event {
            Event::Exec(exec) => Some(exec),
            _ => None,
        })
    }

    fn notes(&self) -> Vec<&Note> {
        self.all(|event| match event {
            Event::Note(note) => Some(note),
            _ => None,
        })
    }

    /// A socket as it was told last.
    fn socket(&self, id: SocketId) -> &Socket {
        let told = self.all(|event| match event {
            Event::Socket(socket) if socket.id == id => Some(socket),
            _ => None,
        });
        told.last().unwrap()
    }

    /// Calls with this name, and what they returned.
    fn calls(&self, name: &str) -> Vec<(&Enter, Option<&Return>)> {
        let made = self.all(|event| match event {
            Event::Enter(enter) if enter.name == name => Some(enter),
            _ => None,
        });
        let returned = |enter: &Enter| {
            let returns = self.all(|event| match event {
                Event::Return(back) if back.call == enter.call => Some(back),
                _ => None,
            });
            assert!(returns.len() < 2, "{enter:?} returned twice");
            returns.first().copied()
        };
        made.into_iter()
            .map(|enter| (enter, returned(enter)))
            .collect()
    }

    /// What the calls with this name returned.
    fn results(&self, name: &str) -> Vec<Result<i64, i32>> {
        let returned = self.calls(name).into_iter().filter_map(|(_, back)| back);
        returned.map(|back| back.result).collect()
    }
}

/// Programs can be traced here.
fn can_trace() -> bool {
    test().inspect_err(|e| skipped(e)).is_ok()
}

/// A network of its own for this thread; `None`: not here.
fn network() -> Option<OwnedFd> {
    let network = netns::unshare_network().inspect_err(|e| skipped(e)).ok()?;
    // The loopback interface is the first one of every network.
    Netlink::open().unwrap().up(1).unwrap();
    Some(network)
}

fn python(script: &str) -> Program {
    // Without -S it may look its user up, by sockets of its own.
    let words = [PYTHON, "-S", "-c", script].map(OsString::from).into();
    Program {
        words,
        ..Program::default()
    }
}

/// Python is here, and can be traced.
fn works() -> bool {
    let has = fs::exists(PYTHON).unwrap();
    if !has {
        skipped(format_args!("there is no {PYTHON}"));
    }
    has && can_trace()
}

/// A program in Python, traced in a network of its own until it has ended.
fn traced(script: &str) -> Option<(Log, Result<i32, i32>)> {
    if !works() {
        return None;
    }
    network()?;
    let (mut tracer, mut log) = (
        Tracer::new(Wanted::default(), Clock::start()),
        Log::default(),
    );
    let process = tracer.start(python(script), &mut log).unwrap();
    let ended = tracer.run(&|| false, &mut log).unwrap();
    let &[(ended, status)] = &ended[..] else {
        panic!("{ended:?}")
    };
    assert_eq!(ended, process);
    Some((log, status))
}

fn ip(text: &str) -> Option<Address> {
    Some(Address::Ip(text.parse().unwrap()))
}
