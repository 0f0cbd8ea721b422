//! Both ends in a private network: the program on its host, its other end on the other one, and all that happens between them.

use std::{
    io,
    net::SocketAddr,
    ops::ControlFlow,
    sync::mpsc::{Receiver, Sender, channel as words_between},
};

use nix::sys::signal::SigSet;
use sockwire::{
    call::Address,
    lab::{
        Event as Happened, Host, LabError, Transit,
        channel::{self, Hearer, Teller},
        hosts::{self, Body},
    },
    render::ladder::{LadderOptions, Layout},
    sockets::Event,
    sys::signal::{Interruptible, Stop},
    time::{MILLISECOND, SECOND, Time},
};

use super::{
    super::{lab::effects, output, permission, pipeline::now},
    Exit, Failure, Global, Outcome, Place, Program, Watching,
    speech::Speech,
    timeline::{Timeline, TimelineOptions},
};

/// Nanoseconds in which a kernel has answered.
const SILENCE: i64 = 50 * MILLISECOND;
/// The same where a frame may have been lost: the other one's kernel repeats it.
const REPETITION: i64 = SECOND;
/// So much later than it happened, an event has been heard, in nanoseconds.
const LATE: i64 = 2 * MILLISECOND;

/// So many packets are shown one by one: of a long transfer they would bury what happens.
const SINGLE: u64 = 1000;

/// What the threads of both programs say besides what they tell.
enum Said {
    /// The program's thread can be woken so.
    Began(Interruptible),
    /// This host's program has ended.
    Over(Host, Outcome),
}

/// Runs the program and its other end.
pub(super) fn run(
    watching: &Watching,
    global: &Global,
    place: Place,
    [program, other]: [Program; 2],
    speech: Speech,
) -> Outcome {
    let way = permission::private_network()?;
    let stop = Stop::install()?;
    let (teller, hearer) = channel::open()?;
    let link = watching.cable.link();
    let delay = link.delay as f64 / MILLISECOND as f64;
    global.talk(format_args!(
        "two hosts, one cable, {delay} ms each way    ground: namespaces (Linux's own TCP)"
    ));
    let effects = effects(&link);
    let repeats = !effects.is_empty();
    if repeats {
        global.talk(format_args!("wire: {}", effects.join(", ")));
    }
    let (ready, wait) = words_between();
    let (say, said) = words_between();
    let mut wait = Some(wait);
    let mut programs = [Some(program), Some(other)];
    let bodies = Host::BOTH.map(|host| -> Body {
        let is_own = host == place.host;
        let program = programs[usize::from(!is_own)].take();
        let gate = wait.take_if(|_| host == Host::Client);
        let (say, teller) = (say.clone(), teller.clone());
        Box::new(move || match program {
            Some(program) => play(program, host, is_own, gate, &teller, &say),
            None => Ok(()),
        })
    });
    drop((say, teller));
    let options = TimelineOptions {
        ladder: LadderOptions {
            origin: Some(now()),
            ..output::ladder_beside(Layout::Lab, global)
        },
        calls: watching.options(global, false),
        two: true,
        speaker: place.host,
    };
    let mut lab = Lab {
        timeline: Timeline::new(options, speech),
        hearer,
        said,
        ready: Some(ready),
        place,
        stop,
        thread: None,
        outcome: None,
        is_other_over: false,
        patience: link.delay.saturating_mul(2).saturating_add(match repeats {
            true => REPETITION,
            false => SILENCE,
        }),
        seen: Time::from_nanos(i64::MIN),
        active: now(),
    };
    let played = hosts::run(
        &link,
        place.addresses(),
        way,
        bodies,
        &mut |event| match lab.happened(event) {
            Ok(goes_on) => goes_on,
            Err(_) => ControlFlow::Break(()),
        },
    );
    let _ = SigSet::all().thread_unblock();
    lab.close(global)?;
    match (lab.outcome, played) {
        (Some(outcome), _) => outcome,
        (None, Err(error)) => Err(Failure::new(Exit::NotPermitted, error)),
        (None, Ok(())) => Ok(Exit::Done),
    }
}

/// A host's thread: its program, which the client's begins when the server is ready.
fn play(
    program: Program,
    host: Host,
    is_own: bool,
    gate: Option<Receiver<()>>,
    teller: &Teller,
    say: &Sender<Said>,
) -> Result<(), LabError> {
    if gate.is_some_and(|gate| gate.recv().is_err()) {
        // The server has ended before it was ready, and says why.
        return Ok(());
    }
    if is_own {
        let thread = Interruptible::this_thread().map_err(|error| LabError::Failed {
            what: "catch signals in the program's thread",
            error,
        })?;
        let _ = say.send(Said::Began(thread));
    }
    let outcome = program(&teller.journal(host));
    let _ = say.send(Said::Over(host, outcome));
    Ok(())
}

/// The lab as it runs.
struct Lab {
    timeline: Timeline,
    hearer: Hearer,
    said: Receiver<Said>,
    /// Lets the client begin.
    ready: Option<Sender<()>>,
    place: Place,
    stop: Stop,
    /// The program's thread.
    thread: Option<Interruptible>,
    /// How the program has ended.
    outcome: Option<Outcome>,
    is_other_over: bool,
    /// Nanoseconds of silence after which nothing more is to come.
    patience: i64,
    /// Everything older than this is known.
    seen: Time,
    /// When something has happened last.
    active: Time,
}

impl Lab {
    fn happened(&mut self, event: Happened) -> io::Result<ControlFlow<()>> {
        if let Happened::Sent(Transit { time, .. })
        | Happened::Delivered { time, .. }
        | Happened::Quiet(time) = &event
        {
            self.seen = self.seen.max(*time);
        }
        self.hear(self.seen);
        if let Happened::Sent(Transit { time, .. }) | Happened::Delivered { time, .. } = &event {
            self.active = *time;
        }
        if let Happened::Sent(Transit { number: SINGLE, .. }) = &event {
            self.timeline.shorten(&format!(
                "        {SINGLE} packets: from here on, data in a row is one line, and the calls that move it are counted\n"
            ));
        }
        self.timeline.event(&event, LATE)?;
        Ok(self.go_on())
    }

    /// Takes what both programs have told, and how they ended.
    fn hear(&mut self, until: Time) {
        let active = &mut self.active;
        let mut listening = None;
        self.timeline.hear(&mut self.hearer, until, |host, event| {
            *active = now();
            if let (Host::Server, Event::Listening(Address::Ip(address))) = (host, event) {
                listening = Some(address.port());
            }
        });
        if let Some(port) = listening {
            let server = SocketAddr::new(self.place.addresses()[1], port);
            self.timeline.drawing.listens(server);
            // A client that waits for this begins; one that has ended does not mind.
            let ready = self.ready.take();
            let _ = ready.map(|ready| ready.send(()));
        }
        while let Ok(said) = self.said.try_recv() {
            match said {
                Said::Began(thread) => {
                    // Signals are the program's from now on: they end its blocking calls, as they do without a lab.
                    let _ = SigSet::all().thread_block();
                    self.thread = Some(thread);
                }
                Said::Over(host, outcome) => {
                    self.active = now();
                    if host == Host::Server {
                        // If it never listened, nobody is to come.
                        self.ready = None;
                    }
                    if host == self.place.host {
                        self.outcome = Some(outcome);
                    } else {
                        self.is_other_over = true;
                        if let Err(failure) = outcome {
                            output::talk(format_args!("note: {:#}", failure.error));
                        }
                    }
                }
            }
        }
    }

    /// The program's end is the lab's, once the wire is silent. A server whose client has left is asked to end.
    fn go_on(&mut self) -> ControlFlow<()> {
        let is_silent = self.seen.since(self.active) >= self.patience;
        if self.outcome.is_some() {
            return match is_silent {
                true => ControlFlow::Break(()),
                false => ControlFlow::Continue(()),
            };
        }
        if self.is_other_over && is_silent && self.place.host == Host::Server {
            self.stop.ask();
        }
        if self.stop.asked() {
            match self.thread {
                // Again and again: it may have been about to make its call when it was told.
                Some(thread) => thread.interrupt(),
                None => return ControlFlow::Break(()),
            }
        }
        ControlFlow::Continue(())
    }

    fn close(&mut self, global: &Global) -> Result<(), Failure> {
        // Both programs are done, or left alone.
        self.hear(now());
        self.timeline.finish()?;
        let [sent, lost] = self.timeline.drawing.packets();
        let noun = if sent == 1 { "packet" } else { "packets" };
        let lost = match lost {
            0 => "none lost".to_owned(),
            lost => format!("{lost} lost"),
        };
        global.talk(format_args!("{sent} {noun}, {lost}"));
        Ok(())
    }
}
