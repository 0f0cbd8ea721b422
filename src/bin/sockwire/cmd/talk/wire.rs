//! Calls, and the packets that they cause on the interfaces of this machine. The program runs as ever; a process beside it,
//! without any right, shows what it tells and what a packet socket sees.

use std::io;

use nix::sys::signal::SigSet;
use sockwire::{
    capture::{self, CaptureError, Live, Purpose},
    frame::{Counters, Source, Step},
    lab::{
        Host,
        channel::{self, Hearer},
    },
    render::ladder::{LadderOptions, Layout},
    sys::process::{self, Side},
    time::{MILLISECOND, Time},
    track::story::Sight,
};

use super::{
    super::{output, permission, pipeline::now, privilege},
    Exit, Failure, Global, Outcome, Program, Watching,
    speech::Speech,
    timeline::{Timeline, TimelineOptions},
};

/// How long the ring may stay silent before the program is heard again, in nanoseconds: it waits when much is left unheard.
const LOOK: i64 = 10 * MILLISECOND;
/// So much later than it happened, an event has been heard, in nanoseconds.
const LATE: i64 = 2 * MILLISECOND;

/// After the program's end, so long packets may still come, in nanoseconds: the other side answers its close.
const FAREWELL: i64 = 50 * MILLISECOND;

/// Runs `program` in this process, which keeps its number, its terminal and its exit code.
pub(super) fn run(
    watching: &Watching,
    global: &Global,
    program: Program,
    speech: Speech,
) -> Outcome {
    let live = open(global)?;
    let (teller, hearer) = channel::open().map_err(in_vain)?;
    let origin = now();
    // The one that shows is nobody's child: a program that waits for its children does not meet it.
    match process::split().map_err(in_vain)? {
        Side::Child => {
            if let Ok(Side::Child) = process::split() {
                drop(teller);
                if let Err(failure) = show(watching, global, origin, (live, hearer), speech) {
                    output::talk(format_args!("sockwire: {:#}", failure.error));
                }
            }
            process::leave(0);
        }
        Side::Parent(child) => process::wait(Some(child), true).map_err(in_vain)?,
    };
    drop((live, hearer));
    let outcome = program(&teller.journal(Host::Client));
    teller.end();
    // Everything is shown before this program ends.
    teller.wait();
    outcome
}

fn in_vain(error: io::Error) -> Failure {
    let error = anyhow::Error::new(error).context("cannot start the process that shows packets");
    Failure::new(Exit::NotPermitted, error)
}

/// The interfaces that `watch` would take: loopback, and that of the default route.
fn open(global: &Global) -> Result<Live, Failure> {
    if !capture::is_permitted() {
        return Err(refused());
    }
    let choice = capture::choose(Purpose::Conversations, None);
    global.talk(format_args!("watching {}", choice.reason));
    let options = capture::Options {
        interfaces: choice.interfaces,
        promiscuous: false,
        ..capture::Options::default()
    };
    let live = capture::open(&options).map_err(permission::failure)?;
    for note in live.notes() {
        global.talk(format_args!("note: {note}"));
    }
    Ok(live)
}

/// The right is missing.
fn refused() -> Failure {
    let error = CaptureError::NotPermitted {
        operation: "watch the packets of this program".to_owned(),
        capability: "CAP_NET_RAW",
        effective: false,
    };
    let lab = "--lab instead of --wire, with both ends in a private network";
    permission::failure_without_root(error, lab)
}

/// Shows everything until the program and its children have ended.
fn show(
    watching: &Watching,
    global: &Global,
    origin: Time,
    (mut live, mut hearer): (Live, Hearer),
    speech: Speech,
) -> Result<(), Failure> {
    // Ctrl-C is the program's; this one ends after it.
    let _ = SigSet::all().thread_block();
    privilege::give_up(global)?;
    let options = TimelineOptions {
        ladder: LadderOptions {
            origin: Some(origin),
            ..output::ladder_beside(Layout::Watch, global)
        },
        calls: watching.options(global, false),
        two: false,
        speaker: Host::Client,
    };
    let mut timeline = Timeline::new(options, speech);
    let counters = follow(&mut live, &mut hearer, &mut timeline);
    // Who has told last is heard to the end, also where the interface is gone.
    while timeline.hear(&mut hearer, now(), |_, _| {}) {
        let _ = timeline.draw(now().plus(-LATE));
        hearer.wait();
    }
    timeline.finish()?;
    if counters.dropped > 0 {
        global.talk(format_args!(
            "note: {} packets were lost for want of room, and are not shown",
            counters.dropped
        ));
    }
    Ok(())
}

/// Shows what comes from the interfaces and from the program, until the program ends or the interfaces are gone.
fn follow(live: &mut Live, hearer: &mut Hearer, timeline: &mut Timeline) -> Counters {
    let mut ended: Option<Time> = None;
    let mut seen = now();
    let mut named = 0;
    loop {
        let step = live.next(now().plus(LOOK));
        seen = match &step {
            Ok(Step::Batch(batch)) => batch.records.last().map_or(seen, |last| last.time),
            Ok(Step::Quiet(until)) => *until,
            _ => seen,
        };
        // What was told before a packet left is here by now.
        if !timeline.hear(hearer, seen, |_, _| {}) {
            ended.get_or_insert_with(now);
        }
        match step {
            Ok(Step::Batch(batch)) => {
                let interfaces = live.interfaces();
                if interfaces.len() > named {
                    named = interfaces.len();
                    let names = interfaces.iter().map(|one| one.name.clone());
                    let names = names.map(Option::unwrap_or_default);
                    timeline.drawing.interfaces(names.collect());
                }
                for index in 0..batch.len() {
                    timeline.drawing.packet(&batch, index, Sight::Tap, false);
                }
                live.recycle(batch);
            }
            Ok(Step::Quiet(until)) => timeline.drawing.quiet(until),
            Ok(Step::Link(_)) => {}
            Ok(Step::End(counters)) => return counters,
            // The interface is gone; the program may go on.
            Err(_) => return Counters::default(),
        }
        // Nobody may be looking any more; the program is heard all the same, for it waits when it is not.
        let _ = timeline.draw(seen.plus(-LATE));
        if ended.is_some_and(|ended| now().since(ended) > FAREWELL) {
            live.stop();
        }
    }
}
