//! Both programs as they run: the wire as a ladder, and what they say in its place between the packets.

use std::{
    io::{self, Write},
    net::SocketAddr,
    ops::ControlFlow,
    sync::mpsc::{channel, sync_channel},
};

use sockwire::{
    lab::{
        Event, Host, Transit, hosts,
        program::{Readiness, end_all},
    },
    text::ascii,
    time::{MILLISECOND, Time},
};

use super::{
    super::{
        Keeping, Recording, WIRE, failed,
        programs::{Pair, bar, body, shown},
    },
    Args, Setup,
};
use crate::cmd::{Failure, Global, Outcome, drawing::Drawing};

/// So much later than it happened, a program's word has been heard, in nanoseconds.
const LATE: i64 = 2 * MILLISECOND;
/// So many packets are shown one by one; of more, data in a row is one row.
const SINGLE: u64 = 1000;

/// Runs both.
pub(super) fn run(args: &Args, setup: &Setup, global: &Global) -> Outcome {
    let keeping = Keeping {
        write: args.keeping.write.clone(),
        force: args.keeping.force,
    };
    let recording = Recording::open(&keeping, args.ends, &[WIRE])?;
    setup.introduce(&mut io::stdout().lock())?;
    let (ready, gate) = channel();
    // Bounded: a program that says more than is shown waits.
    let (say, said) = sync_channel(256);
    let [client, server] = setup.commands.clone();
    let (port, guard, clock) = (setup.port, &setup.guard, setup.clock);
    let bodies = [
        body(
            Host::Client,
            client,
            port,
            Err(gate),
            guard,
            clock,
            say.clone(),
        ),
        body(Host::Server, server, port, Ok(ready), guard, clock, say),
    ];
    let origin = clock.now();
    let listening = vec![SocketAddr::new(setup.addresses[1], port)];
    let mut lab = Lab {
        setup,
        drawing: Drawing::of_lab(listening, args.absolute, Some(origin), global),
        recording,
        pair: Pair::new(said, setup.stop, setup.patience, clock),
        ascii: global.ascii,
    };
    let mut told = Ok(());
    let mut listener = |event: Event| {
        told = lab.happened(event);
        match told.is_ok() && !lab.pair.is_over() {
            true => ControlFlow::Continue(()),
            false => ControlFlow::Break(()),
        }
    };
    let played = match setup.one_host {
        true => hosts::run_on_one(port, setup.way, bodies, &mut listener),
        false => hosts::run(
            &setup.link,
            setup.addresses,
            setup.way,
            bodies,
            &mut listener,
        ),
    };
    // Also when the output failed: nothing is left behind.
    end_all(&lab.pair.networks);
    told?;
    lab.finish()?;
    played.map_err(failed)?;
    let kept = lab.recording.finish()?;
    let mut out = io::stdout().lock();
    writeln!(out)?;
    let outcome = setup.close(&lab.pair, lab.drawing.packets(), None, &mut out, global)?;
    if let Some(name) = kept {
        writeln!(out, "kept: {name}\nnext: sockwire read -v {name}")?;
    }
    out.flush()?;
    Ok(outcome)
}

/// The lab as it runs.
struct Lab<'a> {
    setup: &'a Setup,
    drawing: Drawing<String>,
    recording: Recording,
    pair: Pair,
    ascii: bool,
}

impl Lab<'_> {
    fn happened(&mut self, event: Event) -> Result<(), Failure> {
        self.pair.happened(&event);
        if let Event::Sent(Transit {
            time,
            number: SINGLE,
            ..
        }) = &event
        {
            self.drawing.put_together();
            let line = format!("        {SINGLE} packets: from here on, data in a row is one line");
            self.drawing.line(*time, line);
        }
        self.hear();
        let mut out = io::stdout().lock();
        self.drawing.event(&event, LATE, &mut out)?;
        self.recording.event(&event)?;
        self.pair.go_on(self.setup.clock.now());
        Ok(())
    }

    /// Takes what the programs' threads say.
    fn hear(&mut self) {
        let waited = self.pair.hear();
        self.note(waited);
        self.lines(self.setup.clock.now());
    }

    /// How it came out to wait for the server, where that is worth a word.
    fn note(&mut self, waited: Option<Readiness>) {
        if let Some(note) = waited.and_then(|readiness| self.setup.note(&readiness)) {
            self.drawing.line(self.setup.clock.now(), note);
        }
    }

    /// Shows what the programs say at its time.
    fn lines(&mut self, now: Time) {
        for (host, time, line) in self.pair.lines(now) {
            let at = self.drawing.at(time);
            let mut line = format!("{at} {host}{} {}", bar(self.ascii), shown(&line));
            if self.ascii {
                line = ascii(&line);
            }
            self.drawing.line(time, line);
        }
    }

    /// What is left to show.
    fn finish(&mut self) -> Result<(), Failure> {
        let waited = self.pair.hear_out();
        self.note(waited);
        self.lines(Time::MAX);
        Ok(self.drawing.finish(&mut io::stdout().lock())?)
    }
}
