//! What a run of `send` tells: a line for each packet that left, the recording, the counters.

use std::{
    io::{self, IsTerminal as _, Write as _},
    path::Path,
    sync::Arc,
};

use serde_json::{Value, json};
use sockwire::{
    craft::Mark,
    decode::Decoded,
    frame::Interface,
    link::LinkType,
    probe::{Outlet, ProbeError},
    proto::frame::Around,
    render::{
        line::{Lines, Options},
        tree,
    },
    time::{MILLISECOND, SECOND, Time},
};

use super::{
    Args,
    packets::{decoded, frame},
};
use crate::cmd::{
    Exit, Failure, Global, Outcome,
    output::{self, Output},
    permission,
    pipeline::Recorder,
};

/// Packets of a run that are shown one by one: of more, nobody reads the lines.
pub(super) const SHOWN: u64 = 1000;
/// Nanoseconds between two looks at the progress.
const PROGRESS: i64 = 200 * MILLISECOND;
/// Faults that are told one by one.
const FAULTS: u64 = 5;

/// Counts, shows and records what left.
pub(super) struct Telling {
    global: Global,
    json: bool,
    socket: String,
    link: LinkType,
    interfaces: [Arc<Interface>; 1],
    output: Output,
    lines: Option<Lines>,
    tree: tree::Options,
    recorder: Option<Recorder>,
    decoded: Decoded,
    total: u64,
    packets: u64,
    bytes: u64,
    errors: u64,
    /// When the first packet left, and the last.
    span: Option<(Time, Time)>,
    /// Why the first packet that did not leave did not.
    fault: Option<Failure>,
    /// When the progress was shown; `None` where it is not.
    progress: Option<Time>,
}

impl Telling {
    /// Opens the recording, and names the socket.
    pub(super) fn open(
        args: &Args,
        link: LinkType,
        total: u64,
        outlet: &Outlet,
        global: &Global,
    ) -> Result<Self, Failure> {
        let recorder = match &args.write {
            Some(path) => Some(Recorder::create(path, args.force, false)?),
            None => None,
        };
        let to_stdout = args.write.as_deref() == Some(Path::new("-"));
        let lines = !args.json && !to_stdout && !global.quiet && total <= SHOWN;
        let interface = Interface {
            name: Some(outlet.device().name.clone()),
            description: Some(outlet.describe()),
            link,
            snaplen: 0,
            filter: None,
        };
        let shows_progress = !lines && !global.quiet && io::stderr().is_terminal();
        Ok(Self {
            global: global.clone(),
            json: args.json,
            socket: outlet.describe(),
            link,
            interfaces: [Arc::new(interface)],
            output: Output::stdout(global.ascii)?,
            lines: lines.then(|| {
                Lines::new(Options {
                    ascii: global.ascii,
                    palette: output::palette(global),
                    ..Options::default()
                })
            }),
            tree: tree::Options {
                palette: output::palette(global),
                explain: false,
            },
            recorder,
            decoded: Decoded::default(),
            total,
            packets: 0,
            bytes: 0,
            errors: 0,
            span: None,
            fault: None,
            progress: shows_progress.then(Time::default),
        })
    }

    /// These packets left at `time`: those in `bytes` that have a length. `marks` say where their values come from, where
    /// that is shown.
    pub(super) fn sent(
        &mut self,
        time: Time,
        bytes: &[u8],
        lengths: &[u32],
        marks: &[Vec<Mark>],
    ) -> Result<(), Failure> {
        if lengths.is_empty() {
            return Ok(());
        }
        let first = self.span.map_or(time, |(first, _)| first);
        self.span = Some((first, time));
        if self.lines.is_none() && self.recorder.is_none() {
            self.packets += lengths.len() as u64;
            self.bytes += lengths.iter().map(|len| u64::from(*len)).sum::<u64>();
            self.show_progress(time);
            return Ok(());
        }
        let mut rest = bytes;
        for (at, len) in lengths.iter().enumerate() {
            let (packet, after) = rest.split_at(*len as usize);
            rest = after;
            self.packets += 1;
            self.bytes += u64::from(*len);
            self.one(packet, time, marks.get(at))?;
        }
        self.output.flush()?;
        self.show_progress(time);
        self.look_after(time)
    }

    fn one(&mut self, bytes: &[u8], time: Time, marks: Option<&Vec<Mark>>) -> Result<(), Failure> {
        let frame = frame(bytes, self.packets, self.link, time);
        if let Some(recorder) = &mut self.recorder {
            recorder.write(&frame, &self.interfaces)?;
        }
        if let Some(lines) = &mut self.lines
            && let Some(packet) = decoded(frame, &mut self.decoded)
        {
            let out = &mut self.output.text;
            lines.packet(&packet, None, out);
            match marks {
                Some(marks) if marks.is_empty() => {
                    tree::packet(&packet, &Around::default(), self.tree, out);
                }
                Some(marks) => tree::crafted(&packet, marks, output::columns(), self.tree, out),
                None => {}
            }
        }
        Ok(())
    }

    /// Nothing leaves at the moment.
    pub(super) fn quiet(&mut self, time: Time) -> Result<(), Failure> {
        self.look_after(time)
    }

    fn look_after(&mut self, time: Time) -> Result<(), Failure> {
        if let Some(recorder) = &mut self.recorder {
            recorder.flush(time)?;
        }
        Ok(())
    }

    /// A packet did not leave.
    pub(super) fn failed(&mut self, error: ProbeError) {
        self.errors += 1;
        if self.errors <= FAULTS {
            let packet = self.packets + self.errors;
            self.global.talk(format_args!("packet {packet}: {error}"));
        }
        self.fault
            .get_or_insert_with(|| permission::of_probe(error));
    }

    fn show_progress(&mut self, time: Time) {
        let Some(shown) = self.progress.filter(|shown| time.since(*shown) >= PROGRESS) else {
            return;
        };
        let (seconds, rate) = self.speed();
        let rate = rate
            .filter(|_| shown != Time::default())
            .unwrap_or_default();
        let percent = self.packets as f64 * 100.0 / self.total.max(1) as f64;
        let _ = write!(
            io::stderr(),
            "\r{} packets ({percent:.0} %) in {seconds:.1} s, {rate:.0} a second  ",
            self.packets
        );
        self.progress = Some(time);
    }

    /// Seconds from the first packet to the last, and packets a second between them.
    fn speed(&self) -> (f64, Option<f64>) {
        let nanos = self.span.map_or(0, |(first, last)| last.since(first));
        let seconds = nanos as f64 / SECOND as f64;
        let between = self.packets.saturating_sub(1) as f64;
        (seconds, (nanos > 0).then(|| between / seconds))
    }

    /// The counters as a JSON object.
    fn record(&self, stopped: bool) -> Value {
        let (seconds, rate) = self.speed();
        json!({
            "schema": 1,
            "socket": self.socket,
            "packets": self.packets,
            "bytes": self.bytes,
            "errors": self.errors,
            "seconds": seconds,
            "rate": rate,
            "stopped": stopped,
        })
    }

    /// Ends the recording, and tells the counters.
    pub(super) fn finish(mut self, stopped: bool) -> Outcome {
        // A closed pipe keeps nobody from the recording and the counters.
        let shown = self.output.flush();
        let recorded = self.recorder.take().map(Recorder::finish).transpose();
        if self.progress.is_some_and(|shown| shown != Time::default()) {
            let _ = write!(io::stderr(), "\r\x1b[K");
        }
        if self.json {
            output::print(&format!("{}\n", self.record(stopped)))?;
        }
        let (seconds, rate) = self.speed();
        let pace = rate.map_or_else(String::new, |rate| {
            format!(" in {seconds:.3} s ({rate:.0} a second)")
        });
        self.global.talk(format_args!(
            "{} sent, {} bytes{pace}, {} errors: {}",
            self.packets, self.bytes, self.errors, self.socket
        ));
        recorded?;
        shown?;
        match self.fault {
            Some(fault) if self.packets == 0 => Err(fault),
            Some(fault) => Ok(fault.exit),
            None => Ok(Exit::Done),
        }
    }
}
