//! A chart played: both ends run in a private network, and each waits with its next call until one has seen the last.

use std::{
    io::{self, BufRead as _, IsTerminal as _, Write as _},
    net::SocketAddr,
    ops::ControlFlow,
    sync::mpsc,
    thread,
    time::Duration,
};

use sockwire::{
    call::Called,
    lab::{
        Host, LabError, Link, PRIVATE_IPV4,
        channel::{self, Heard, Hearer, Teller},
        hosts::{self, Body},
    },
    render::{
        call::Language,
        chart::{Chart, Options},
    },
    sockets::{Event, Journal, Told},
};

use super::{Args, programs};
use crate::cmd::{Exit, Failure, Global, Outcome, output, permission};

/// The server's port.
const PORT: u16 = 5000;
/// Time for each call on a terminal.
const PACE: Duration = Duration::from_millis(800);

/// Plays the programs and shows where they are.
pub(super) fn run(args: &Args, options: Options, global: &Global) -> Outcome {
    let failed = |error: io::Error| Failure::new(Exit::NotPermitted, error);
    let which = args.chart;
    let chart = which.chart();
    let drawn = "without playing: leave out --live";
    let way = permission::private_network().map_err(|no| no.or(drawn))?;
    let lanes = (0..chart.lanes.len()).map(|_| channel::open());
    let lanes: Vec<_> = lanes.collect::<io::Result<_>>().map_err(failed)?;
    let (mut tellers, lanes): (Vec<_>, Vec<_>) = lanes.into_iter().unzip();
    // A child's lane is the server's to fill: the child comes from it.
    let of_server = tellers.split_off(1);
    let to = SocketAddr::new(PRIVATE_IPV4[1], PORT);
    let (ready, wait) = mpsc::channel();
    let lab_failed = |what| move |error| LabError::Failed { what, error };
    let bodies: [Body; 2] = [
        Box::new(move || {
            // Fails when the server's thread has ended, and with it the lab.
            let _ = wait.recv();
            programs::client(which, to, &journal(Host::Client, tellers))
                .map_err(lab_failed("play the client"))
        }),
        Box::new(move || {
            let ready = || {
                let _ = ready.send(());
            };
            programs::server(which, to, &journal(Host::Server, of_server), ready)
                .map_err(lab_failed("play the server"))
        }),
    ];
    let terminal = io::stdout().is_terminal();
    let pace = args
        .pace
        .map(|nanos| Duration::from_nanos(nanos.unsigned_abs()));
    let mut stage = Stage {
        chart,
        options,
        redraws: terminal.then(output::lines),
        pace: pace.unwrap_or(if terminal { PACE } else { Duration::ZERO }),
        step: args.step,
        lanes,
        here: vec![None; chart.lanes.len()],
        blocked: vec![false; chart.lanes.len()],
        last: String::new(),
        drawn: 0,
    };
    global.talk("played with one client: then the server ends, and waits for no other");
    if args.step {
        global.talk("Enter: the next call");
    }
    let mut shown = Ok(());
    let played = hosts::run(&Link::default(), PRIVATE_IPV4, way, bodies, &mut |_| {
        shown = stage.look();
        match shown {
            Ok(()) => ControlFlow::Continue(()),
            Err(_) => ControlFlow::Break(()),
        }
    });
    shown?;
    played.map_err(|error| Failure::new(Exit::NotPermitted, error))?;
    if terminal {
        output::print(&format!("\n{}", chart.notes(options)))?;
    }
    Ok(Exit::Done)
}

/// A program's journal: each of its events is taken before the program goes on. `tellers` are those of the program's own
/// lane and of the lane of its child.
fn journal(host: Host, tellers: Vec<Teller>) -> Journal {
    let own = std::process::id();
    Journal::new(true, move |told| {
        let teller = match told.by.process == own {
            true => tellers.first(),
            false => tellers.last(),
        };
        // When nobody looks on any more, the program just goes on.
        if let Some(teller) = teller {
            teller.tell(host, told);
            teller.wait();
        }
    })
}

/// What is shown.
struct Stage {
    chart: &'static Chart,
    options: Options,
    /// Lines of the terminal, where the chart is drawn again and again.
    redraws: Option<usize>,
    pace: Duration,
    step: bool,
    lanes: Vec<Hearer>,
    /// The row in which each lane is.
    here: Vec<Option<usize>>,
    /// Each lane's last call has not returned.
    blocked: Vec<bool>,
    /// The last call, in the system's words.
    last: String,
    /// Lines that stand on the terminal.
    drawn: usize,
}

impl Stage {
    /// Shows what each end has done since, one call each, and lets it go on.
    fn look(&mut self) -> io::Result<()> {
        for lane in 0..self.lanes.len() {
            if let Heard::Told(_, told) = self.lanes[lane].next() {
                self.told(lane, &told)?;
                self.lanes[lane].go_on();
            }
        }
        Ok(())
    }

    fn told(&mut self, lane: usize, told: &Told) -> io::Result<()> {
        let (call, words, blocked) = match &told.event {
            Event::Calling(call) => (call, format!("{} ...", Language::C.asked(call)), true),
            Event::Called(done) => {
                // How long it blocked is the pace's doing.
                let untimed = Called {
                    took: 0,
                    ..done.clone()
                };
                (&done.call, Language::C.line(&untimed), false)
            }
            _ => return Ok(()),
        };
        let returned = self.blocked[lane];
        self.blocked[lane] = blocked;
        let row = self.chart.row_of(lane, call, returned, self.here[lane]);
        self.here[lane] = row.or(self.here[lane]);
        self.last = format!("{:<7} {words}", self.chart.lanes[lane]);
        match self.redraws {
            Some(height) => self.redraw(height, lane)?,
            None => output::print(&format!("{}\n", self.last))?,
        }
        if self.step {
            // At the end of the input it runs on.
            let _ = io::stdin().lock().read_line(&mut String::new());
            // The line feed that was echoed.
            self.drawn += usize::from(self.redraws.is_some() && io::stdin().is_terminal());
        } else {
            thread::sleep(self.pace);
        }
        Ok(())
    }

    /// Draws the chart over the last one; of one that is higher than the terminal, what is around the current call.
    fn redraw(&mut self, height: usize, lane: usize) -> io::Result<()> {
        let lines = self.chart.draw(self.options, &self.here);
        let room = height.saturating_sub(4).max(5);
        let current = self.here[lane].map_or(0, Chart::line_of);
        let first = current
            .saturating_sub(room / 2)
            .min(lines.len().saturating_sub(room));
        let mut text = String::new();
        if self.drawn > 0 {
            text.push_str(&format!("\x1b[{}A\r\x1b[J", self.drawn));
        }
        let shown = lines.iter().skip(first).take(room);
        let mut drawn = 2;
        for line in shown {
            text.push_str(line);
            text.push('\n');
            drawn += 1;
        }
        // On one line: a line that the terminal breaks would be counted as one.
        let last: String = self
            .last
            .chars()
            .take(self.options.columns.saturating_sub(1))
            .collect();
        text.push_str(&format!("\n{last}\n"));
        self.drawn = drawn;
        let mut out = output::stdout()?;
        out.write_all(text.as_bytes())
    }
}
