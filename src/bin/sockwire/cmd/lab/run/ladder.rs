//! Both programs as they run: the wire as a ladder, and what they say in its place between the packets.

use std::{
    collections::HashSet,
    io::{self, Write},
    net::SocketAddr,
    ops::ControlFlow,
    sync::mpsc::{Receiver, channel, sync_channel},
};

use sockwire::{
    lab::{Event, Host, Transit, hosts, program::end_all},
    text::ascii,
    time::{MILLISECOND, Time},
};

use super::{
    super::{
        Keeping, Recording, WIRE, failed,
        programs::{Pair, Said, bar, body},
    },
    Args, Setup,
};
use crate::cmd::{Failure, Global, Outcome, drawing::Drawing, pipeline::now};

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
    let (port, guard) = (setup.port, &setup.guard);
    let bodies = [
        body(Host::Client, client, port, Err(gate), guard, say.clone()),
        body(Host::Server, server, port, Ok(ready), guard, say),
    ];
    let origin = now();
    let listening = vec![SocketAddr::new(setup.addresses[1], port)];
    let mut lab = Lab {
        setup,
        drawing: Drawing::of_lab(listening, args.absolute, Some(origin), global),
        recording,
        said,
        pair: Pair::new(setup.stop, setup.patience, origin),
        networks: HashSet::new(),
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
    let finished = told.and_then(|()| lab.finish());
    end_all(&lab.networks);
    finished?;
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
    said: Receiver<Said>,
    pair: Pair,
    /// The hosts'.
    networks: HashSet<String>,
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
        self.pair.go_on(now());
        Ok(())
    }

    /// Takes what the programs' threads say.
    fn hear(&mut self) {
        while let Ok(said) = self.said.try_recv() {
            match &said {
                Said::Began { network, .. } => {
                    self.networks.insert(network.clone());
                }
                Said::Waited(readiness) => {
                    if let Some(note) = self.setup.note(readiness) {
                        self.drawing.line(now(), note);
                    }
                }
                Said::Words(..) | Said::Over(..) => {}
            }
            self.pair.hear(&said);
        }
        self.lines(now());
    }

    /// Shows what the programs say at its time.
    fn lines(&mut self, now: Time) {
        for (host, time, line) in self.pair.lines(now) {
            let at = self.drawing.at(time);
            let mut line = format!(
                "{at} {host}{} {}",
                bar(self.ascii),
                super::super::programs::shown(&line)
            );
            if self.ascii {
                line = ascii(&line);
            }
            self.drawing.line(time, line);
        }
    }

    /// What is left to show.
    fn finish(&mut self) -> Result<(), Failure> {
        self.hear();
        self.lines(Time::MAX);
        Ok(self.drawing.finish(&mut io::stdout().lock())?)
    }
}
