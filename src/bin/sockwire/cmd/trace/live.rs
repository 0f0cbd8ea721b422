//! A trace as it happens: a thread that traces, one for the packets of each network, and this one, which puts both together.

use std::{
    ffi::OsString,
    io::{self, ErrorKind},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::{Sender, channel},
    },
    thread,
};

use anyhow::{Context as _, anyhow};
use nix::{
    sys::signal::{SigSet, Signal, kill},
    unistd::Pid,
};
use sockwire::{
    capture,
    event::{Begin, Event, VERSION},
    lab::refusal::Way,
    sys::{
        clock::Clock,
        netlink::{LOOPBACK, Netlink},
        netns, privilege,
        signal::{Interruptible, Stop},
    },
    text::Safe,
    trace::{Ended, Program, TraceError, Tracer, Wanted},
};

use super::{
    Args, Exit, Failure, Outcome,
    captures::Where,
    collect::{Collector, Keep, Teller},
    keeping::{Keeper, Place},
};
use crate::cmd::{Global, permission};

/// What is to be traced.
enum What {
    Command(Vec<OsString>),
    Processes(Vec<u32>),
}

impl What {
    /// For the log.
    fn words(&self) -> String {
        match self {
            Self::Command(words) => {
                let words = words.iter().map(|word| word.to_string_lossy());
                words.collect::<Vec<_>>().join(" ")
            }
            Self::Processes(pids) => {
                let pids = pids.iter().map(|pid| format!("process {pid}"));
                pids.collect::<Vec<_>>().join(", ")
            }
        }
    }
}

/// Runs the command.
pub(super) fn run(args: Args, global: &Global) -> Outcome {
    if args.private {
        enter_private()?;
    }
    let stop = Stop::install()?;
    let wanted = args.which.wanted();
    let what = match args.command.is_empty() {
        true => What::Processes(args.pids),
        false => What::Command(args.command),
    };
    let place = match what {
        What::Processes(_) => Place::Stdout,
        What::Command(_) => Place::Stderr,
    };
    let mut keeper = Keeper::open(&args.keeping, &args.showing, place, global)?;
    let may_capture = capture::is_permitted();
    if !may_capture {
        global.talk(permission::without_packets(matches!(
            what,
            What::Command(_)
        )));
    }
    let begin = Begin {
        version: VERSION,
        what: what.words(),
        ground: match args.private {
            true => "a private network",
            false => "this machine",
        }
        .to_owned(),
    };
    let (keep, interfaces) = match args.private {
        true => (Keep::All, Where::Loopback),
        false => (Keep::Own, Where::Any),
    };
    let (mut collector, teller) = Collector::new(begin, keep, |captures| {
        Box::new(move |net, _, process| match may_capture {
            true => captures.open(net, process, interfaces),
            false => Err("the right to capture (CAP_NET_RAW) is missing".to_owned()),
        })
    });
    // Signals are the tracer's, whose waiting they interrupt. A program that was started decides itself what Ctrl-C means.
    let _ = SigSet::all().thread_block();
    let attaches = matches!(what, What::Processes(_));
    if !attaches {
        stop.leave_keys()?;
    }
    // The program that was started has ended, or there is none.
    let alone = Arc::new(AtomicBool::new(attaches));
    let clock = collector.clock();
    let (say, said) = channel();
    let tracing = thread::Builder::new()
        .name("tracer".to_owned())
        .spawn({
            let alone = Arc::clone(&alone);
            let until = move || alone.load(Ordering::Relaxed) && stop.asked();
            move || trace(what, wanted, clock, &until, teller, &say)
        })
        .context("cannot start the tracer's thread")
        .map_err(|error| Failure::new(Exit::NotPermitted, error))?;
    let ended = |tracing: thread::JoinHandle<Traced>| {
        let traced = tracing.join();
        let traced = traced.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        traced.map_err(failure)
    };
    // It traces, or says at its end why not.
    let Ok(begun) = said.recv() else {
        return ended(tracing).map(|_| Exit::Done);
    };
    // Every file is open, and the other threads keep what they need: this one reads packets from strangers.
    privilege::give_up()?;
    let mut is_passed_on = false;
    loop {
        collector.wait();
        let is_last = collector.collect(&mut |entry| {
            if matches!(&entry.event, Event::Exit(exit) if Some(exit.process) == begun.process) {
                // What it has left behind, a daemon perhaps, no key reaches any more.
                Stop::install()?;
                alone.store(true, Ordering::Relaxed);
            }
            keeper.entry(entry);
            Ok(())
        })?;
        if is_last {
            break;
        }
        keeper.look(collector.reached(), clock.now());
        let alone = alone.load(Ordering::Relaxed);
        if alone && (stop.asked() || attaches && keeper.is_over()) {
            // Again and again: it may have been about to wait when it was told.
            stop.ask();
            begun.thread.interrupt();
        }
        if !alone && stop.asked() && !is_passed_on {
            is_passed_on = true;
            pass_on(stop, begun.process);
        }
    }
    let kept = keeper.finish();
    let exit = match ended(tracing)?.first() {
        Some((_, ended)) => Exit::of(*ended),
        None => Exit::Done,
    };
    match kept {
        // Nobody reads the view any more.
        Err(failure) if failure.exit == Exit::Done => Ok(exit),
        Err(failure) => Err(failure),
        Ok(()) => Ok(exit),
    }
}

/// How tracing ended.
type Traced = Result<Vec<Ended>, TraceError>;

/// What the tracer's thread says once it traces.
struct Begun {
    thread: Interruptible,
    /// The program that it has started.
    process: Option<u32>,
}

/// The tracer's thread.
fn trace(
    what: What,
    wanted: Wanted,
    clock: Clock,
    until: &dyn Fn() -> bool,
    mut teller: Teller,
    say: &Sender<Begun>,
) -> Traced {
    let thread = Interruptible::this_thread().map_err(|error| TraceError::Failed {
        what: "catch signals in the tracer's thread".to_owned(),
        error,
    })?;
    let mut tracer = Tracer::new(wanted, clock);
    let mut process = None;
    match what {
        What::Command(words) => {
            let program = Program {
                words,
                ..Program::default()
            };
            process = Some(tracer.start(program, &mut teller)?);
        }
        What::Processes(pids) => {
            for pid in pids {
                tracer.attach(pid, &mut teller)?;
            }
        }
    }
    // Nobody listens where the first thread has failed.
    let _ = say.send(Begun { thread, process });
    tracer.run(until, &mut teller)
}

/// Signals of a terminal reach the program as well; others are passed on to it.
fn pass_on(stop: Stop, process: Option<u32>) {
    if let (Some(signal @ (Signal::SIGTERM | Signal::SIGHUP)), Some(process)) =
        (stop.signal(), process)
    {
        let _ = kill(Pid::from_raw(process.cast_signed()), signal);
    }
}

/// A network namespace with a loopback interface, where the right is missing inside a user namespace.
fn enter_private() -> Result<(), Failure> {
    let way = permission::private_network()?;
    let entered = || {
        if way == Way::User {
            netns::enter_user()?;
        }
        netns::unshare_network()?;
        Netlink::open()?.up(LOOPBACK)?;
        anyhow::Ok(())
    };
    entered()
        .context("cannot make a private network; see: sockwire doctor")
        .map_err(|error| Failure::new(Exit::NotPermitted, error))
}

/// Why a program was not started: a line for the end of a message, where that is known.
fn unstartable(program: &Path, error: &io::Error) -> String {
    let name = Safe(program.as_os_str().as_encoded_bytes());
    let is_searched = program.components().count() == 1 && program.is_relative();
    let cause = match error.kind() {
        // A folder of PATH that may not be read is no permission that matters.
        ErrorKind::NotFound | ErrorKind::PermissionDenied if is_searched => {
            let mut cause = "no folder of PATH has such a program".to_owned();
            if program.is_file() {
                cause += &format!(
                    "; the file here is started as ./{name}, or by what runs it: python3 {name}"
                );
            }
            cause
        }
        ErrorKind::NotFound if program.is_file() => {
            "the file is there, but what its first line (#!) names is not".to_owned()
        }
        ErrorKind::PermissionDenied if program.is_dir() => "it is a folder".to_owned(),
        ErrorKind::PermissionDenied if program.is_file() => format!(
            "it is not executable; make it so: chmod +x {name}, or start what runs it: python3 {name}"
        ),
        _ => return String::new(),
    };
    format!("\n  cause:  {cause}")
}

/// What stopped the tracer, and the ways out.
pub(in crate::cmd) fn failure(error: TraceError) -> Failure {
    let (exit, remedy) = match &error {
        // Where nothing at all can be traced, that is the cause.
        TraceError::NotPermitted { process, .. } => match permission::tracing() {
            Err(refused) => return refused.into(),
            Ok(()) => (Exit::NotPermitted, permission::to_trace(*process)),
        },
        TraceError::Untraceable(error) => return permission::untraceable(error).into(),
        TraceError::NoSuchProcess(_) => (Exit::NoSuch, String::new()),
        TraceError::NoSuchProgram { program, error } => {
            (Exit::NoSuch, unstartable(Path::new(program), error))
        }
        TraceError::Failed { .. } => (Exit::NoMatch, String::new()),
    };
    Failure::new(exit, anyhow!("{error}{remedy}"))
}
