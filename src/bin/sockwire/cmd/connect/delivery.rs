//! `connect tcp --determined`: a file goes out until the receiver's count agrees, with the progress on a terminal.

use std::{
    fs::File,
    io::{self, Seek as _, Write as _},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::anyhow;
use sockwire::{
    call::{Address, Kind},
    sockets::{
        Journal,
        client::{Determined, Dial, Fault, Progress},
    },
    sys::signal::Stop,
};

use super::{
    Exit, Failure, Outcome, output,
    plain::{note, open},
    telling, usage,
};

/// Between two looks at the progress.
const PROGRESS: Duration = Duration::from_millis(200);

/// The line of progress on stderr: whoever says something else there ends it first.
#[derive(Clone, Default)]
pub(super) struct Line(Arc<AtomicBool>);

impl Line {
    pub(super) fn end(&self) {
        if self.0.swap(false, Ordering::Relaxed) {
            output::talk("");
        }
    }
}

/// A file to be delivered.
pub(super) struct Delivery {
    file: File,
    tries: Option<u64>,
    line: Option<Line>,
}

impl Delivery {
    /// A file that can be read again from its beginning; `line` is where progress may be shown.
    pub(super) fn new(
        path: &Path,
        tries: Option<u64>,
        line: Option<Line>,
    ) -> Result<Self, Failure> {
        let again = "--determined reads the file again for each try";
        if path == Path::new("-") {
            let what = format!("{again}: standard input cannot be, so name a file");
            return Err(usage(what));
        }
        let mut file = open(path)?;
        if file.rewind().is_err() {
            let what = format!("{again}, which {} does not allow", path.display());
            return Err(usage(what));
        }
        Ok(Self { file, tries, line })
    }

    /// Sends it until the counts agree.
    pub(super) fn run(
        mut self,
        journal: &Journal,
        stop: Stop,
        dial: &Dial,
        addresses: &[Address],
    ) -> Outcome {
        let size = self.file.metadata().map_or(0, |about| about.len());
        let determined = Determined {
            dial,
            addresses,
            tries: self.tries,
            stopped: &|| stop.asked(),
        };
        let mut shown = Instant::now();
        let mut began = (0, shown);
        let delivered = determined.deliver(journal, &mut self.file, &mut |progress| {
            let now = Instant::now();
            if began.0 != progress.attempt {
                began = (progress.attempt, now);
            }
            if let Some(line) = &self.line
                && now - shown >= PROGRESS
            {
                show(progress, size, now - began.1);
                line.0.store(true, Ordering::Relaxed);
                shown = now;
            }
        });
        let delivery = delivered.map_err(|error| {
            let error = anyhow!("cannot read the file that is sent: {error}");
            Failure::new(Exit::Damaged, error)
        })?;
        let (tries, bytes) = (delivery.tries, delivery.bytes);
        match delivery.fault {
            None => Ok(Exit::Done),
            Some(_) if stop.asked() => {
                note(journal, || format!("not delivered: stopped in try {tries}"));
                Ok(Exit::NoMatch)
            }
            Some(Fault::Unreachable(tried)) => {
                let whom = format!("the receiver in {tries} tries");
                Err(telling::unreachable(&whom, Kind::Stream, &tried))
            }
            Some(fault) => {
                let error = anyhow!("not delivered in {tries} tries: {bytes} bytes sent, {fault}");
                Err(Failure::new(Exit::NoMatch, error))
            }
        }
    }
}

fn show(progress: Progress, size: u64, took: Duration) {
    const MEGA: f64 = 1e6;
    let (sent, size) = (progress.sent as f64, size as f64);
    let rate = sent / took.as_secs_f64().max(0.001);
    let left = (size - sent).max(0.0) / rate.max(1.0);
    let percent = 100.0 * sent / size.max(1.0);
    // As in all talk, that stderr is closed or full is no reason to stop.
    let _ = write!(
        io::stderr(),
        "\rtry {}: {:.1} of {:.1} MB ({percent:.0} %), {:.1} MB/s, {left:.0} s left  ",
        progress.attempt,
        sent / MEGA,
        size / MEGA,
        rate / MEGA,
    );
}
