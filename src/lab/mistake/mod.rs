//! Mistakes that a sockets course warns of: each as a wrong and a right pair of programs, played on two hosts of their own.
//!
//! A [`Mistake`] is data with two small programs for each [`Version`]: a client and a server over sockets that tell their
//! calls. [`play`] runs them in a private network and returns what was [`Seen`]: frames and calls, from which the sentences
//! are made. A sentence that the frames and calls do not bear out is not said.

mod closing;
mod datagrams;
mod listening;
mod processes;
mod seen;
mod stage;
mod streams;

use std::{io, net::IpAddr, ops::ControlFlow, thread};

pub use seen::{Packet, Said, Seen, ms};
pub use stage::{PORT, Stage};

use super::{
    Event, LabError, Link, Transit, Trying, channel,
    hosts::{self, Body},
    refusal::Way,
    scenario::Host,
};

/// Something that people write, and why it goes wrong.
#[derive(Debug)]
pub struct Mistake {
    /// Its name on the command line.
    pub name: &'static str,
    /// What it is, in a few words.
    pub title: &'static str,
    /// What people write, in a sentence.
    pub habit: &'static str,
    /// The mistake.
    pub wrong: Version,
    /// How it is done well.
    pub right: Version,
    /// The rule, in a sentence.
    pub rule: &'static str,
    /// Another mistake worth seeing next.
    pub next: &'static str,
}

/// What one host does. It ends by itself within a few seconds.
pub type Program = fn(&Stage) -> io::Result<()>;

/// A pair of programs, and what there is to see when they run.
#[derive(Debug)]
pub struct Version {
    /// What the programs do, in a few words.
    pub title: &'static str,
    /// The client's program; it begins when the server gives its first cue.
    pub client: Program,
    /// The server's program.
    pub server: Program,
    /// What was observed, in sentences.
    pub see: fn(&Seen) -> Vec<String>,
}

/// Every mistake, in the order of `lab mistake list`.
pub static ALL: &[&Mistake] = &[
    &streams::NO_BREAK,
    &streams::THREE_SENDS,
    &streams::UTF8_CUT,
    &processes::PARENT_KEEPS,
    &processes::ZOMBIES,
    &listening::FULL_QUEUE,
    &listening::LOOPBACK_BIND,
    &listening::ADDRESS_IN_USE,
    &closing::UNREAD_DATA,
    &closing::SHUTDOWN_READ,
    &closing::MAKEFILE,
    &datagrams::CUT,
    &datagrams::LONG,
    &datagrams::EMPTY,
];

impl Mistake {
    /// The mistake of this name.
    pub fn named(name: &str) -> Option<&'static Self> {
        ALL.iter().find(|mistake| mistake.name == name).copied()
    }
}

/// Plays `version` on two hosts with `addresses`, for as long as `go_on` says so, which is asked many times a second.
/// Frames are counted on from `before`, the number of those of an earlier run.
///
/// [`Way::User`] is as for [`hosts::run`]: after a first run of that kind the process is an administrator in its own user
/// namespace.
///
/// # Errors
/// When the system refuses, or a program meets an error that is no part of its mistake; nothing is left behind.
pub fn play(
    version: &Version,
    addresses: [IpAddr; 2],
    way: Way,
    before: u64,
    go_on: &mut dyn FnMut() -> bool,
) -> Result<Seen, LabError> {
    let (teller, hearer) = channel::open().trying("make a channel for what the programs tell")?;
    let journals = Host::BOTH.map(|host| teller.journal(host));
    let [client, server] = Stage::both(journals, addresses);
    let body = |stage, program, host| -> Body { Box::new(move || run(&stage, program, host)) };
    let bodies = [
        body(client, version.client, Host::Client),
        body(server, version.server, Host::Server),
    ];
    let mut seen = Seen::default();
    let (mut hearer, mut hearing) = (Some(hearer), None);
    let played = hosts::run(
        &Link::default(),
        addresses,
        way,
        bodies,
        &mut |mut event| {
            // Not before the first event: a process enters a user namespace while it has one thread.
            if let Some(hearer) = hearer.take() {
                hearing = Some(thread::Builder::new().spawn(|| hearer.rest()));
            }
            if let Event::Sent(Transit { number, .. }) | Event::Delivered { number, .. } =
                &mut event
            {
                *number += before;
            }
            if !matches!(event, Event::Quiet(_)) {
                seen.events.push(event);
            }
            match go_on() {
                true => ControlFlow::Continue(()),
                false => ControlFlow::Break(()),
            }
        },
    );
    teller.end();
    let hearing = hearing.transpose().trying("start a thread that hears")?;
    played?;
    let told = hearing.and_then(|hearing| hearing.join().ok());
    let told = told.into_iter().flatten();
    seen.put_in_order(told.filter_map(Said::of).collect());
    Ok(seen)
}

/// A host's thread.
fn run(stage: &Stage, program: Program, host: Host) -> Result<(), LabError> {
    if host == Host::Client {
        stage.wait();
    }
    program(stage).trying(match host {
        Host::Client => "play the client's program",
        Host::Server => "play the server's program",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_mistake_leads_to_another_one() {
        for mistake in ALL {
            assert!(Mistake::named(mistake.next).is_some(), "{}", mistake.name);
            assert_ne!(mistake.next, mistake.name);
        }
    }
}
