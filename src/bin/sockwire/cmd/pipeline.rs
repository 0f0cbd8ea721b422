//! The one way of packets through `capture`, `read`, `watch` and `ladder`: from a source through the capture filter, the decoder,
//! the tracker and the display filter to a view and a recording, with the counters and the exit code at the end.

use std::{
    io,
    path::Path,
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use sockwire::{
    decode::{Decoded, Decoder},
    file::{Format, WriteError, Writer},
    filter::DisplayFilter,
    frame::{
        Batch, Counters, Frame, Interface, InterfaceChange, InterfaceState, Source, SourceError,
        SourceErrorKind, Step,
    },
    layer::Packet,
    proto::frame::Around,
    sys::signal::Stop,
    time::{MILLISECOND, Time},
    track::Tracker,
};

use super::{
    Exit, Failure, Global, Outcome, output,
    output::Output,
    privilege,
    selecting::{Filters, Selection, Sifter},
};

/// How long a live source may stay silent before the view and the recording are looked after.
const LOOK: i64 = 200 * MILLISECOND;

/// What a command makes of the packets.
pub(super) trait View {
    /// False where packets are only recorded: without a display filter they are neither decoded nor tracked then.
    fn shows(&self) -> bool {
        true
    }

    /// The source knows these interfaces now. Called again when there are more.
    fn interfaces(&mut self, _interfaces: &[Arc<Interface>]) {}

    /// A file has a packet of this time, accepted or not: its first one is what relative times count from. Live, they
    /// count from the first accepted packet, as in a recording of the run.
    fn begin(&mut self, _time: Time) {}

    /// A packet to be shown, decoded and tracked.
    fn packet(
        &mut self,
        packet: &Packet<'_>,
        around: &Around<'_>,
        output: &mut Output,
    ) -> io::Result<()>;

    /// A packet that the display filter refused, decoded and tracked.
    fn passed_over(&mut self, _packet: &Packet<'_>, _output: &mut Output) -> io::Result<()> {
        Ok(())
    }

    /// No packet came until this time.
    fn quiet(&mut self, _until: Time, _output: &mut Output) -> io::Result<()> {
        Ok(())
    }

    /// No packet will come any more.
    fn finish(&mut self, _output: &mut Output) -> io::Result<()> {
        Ok(())
    }

    /// How many of the packets to be shown could be; the others are "of other kinds".
    fn shown(&self, given: u64) -> u64 {
        given
    }

    /// How it ended, when nothing else went wrong.
    fn outcome(&mut self) -> Outcome {
        Ok(Exit::Done)
    }

    /// What stands on stderr after the counters. `unkept` packets came live and went into no file.
    fn last_words(&self, _unkept: bool) -> Option<String> {
        None
    }
}

/// Everything that is decided before the first packet: the filters compiled, the file of `-w` opened, the view chosen.
pub(super) struct Pipeline<V> {
    pub(super) view: V,
    selection: Selection,
    /// The capture filter, where the source has not filtered: files.
    sifter: Option<Sifter>,
    display: Option<DisplayFilter>,
    decoder: Decoder,
    tracker: Tracker,
    output: Output,
    recorder: Option<Recorder>,
    limit: u64,
    tally: Tally,
    /// For each frame of the batch at hand, whether the capture filter takes it.
    wanted: Vec<bool>,
    /// Interfaces that the view has been told of.
    interfaces: usize,
    global: Global,
}

/// Where frames went.
#[derive(Default)]
struct Tally {
    delivered: u64,
    /// Both filters took them.
    given: u64,
    /// The display filter refused them.
    filtered: u64,
    left: u64,
}

/// How a source ended: with counters, with a fault, both, or neither when it was left where it stood.
#[derive(Default)]
struct End {
    counters: Option<Counters>,
    fault: Option<SourceError>,
}

impl<V: View> Pipeline<V> {
    /// Which packets it takes.
    pub(super) fn selection(&self) -> &Selection {
        &self.selection
    }

    /// At most `limit` packets of `filters` go to `view` and `recorder`.
    pub(super) fn new(
        view: V,
        filters: Filters,
        recorder: Option<Recorder>,
        limit: Option<u64>,
        global: &Global,
    ) -> Result<Self, Failure> {
        Ok(Self {
            view,
            selection: filters.selection,
            sifter: None,
            display: filters.display,
            decoder: Decoder::default(),
            tracker: Tracker::default(),
            output: Output::stdout(global.ascii)?,
            recorder,
            limit: limit.unwrap_or(u64::MAX),
            tally: Tally::default(),
            wanted: Vec::new(),
            interfaces: 0,
            global: global.clone(),
        })
    }

    /// Takes everything that `source` yields. `live` sources have filtered already; they are stopped by `-c` and by signals,
    /// drained, and end with their counters on stderr. Anything else is filtered here, and left where it stands.
    pub(super) fn run(mut self, source: &mut dyn Source, live: bool) -> Outcome {
        for trap in self.selection.filter().traps() {
            self.global.talk(format_args!("note: {trap}"));
        }
        if let Some(recorder) = self.recorder.as_mut().filter(|_| live) {
            recorder.writer.begin(source.interfaces())?;
        }
        // Every socket and file is open.
        privilege::give_up(&self.global)?;
        let end = self.drive(source, live)?;
        self.view.finish(&mut self.output)?;
        self.output.flush()?;
        let unkept = live && self.recorder.is_none();
        if let Some(recorder) = self.recorder.take() {
            // A file's counters are not this capture's, and those of several interfaces are known only in sum.
            let known = end
                .counters
                .filter(|_| live && source.interfaces().len() == 1);
            let statistics: Vec<(u32, Counters)> = known.map(|c| (0, c)).into_iter().collect();
            recorder.writer.finish(&statistics)?;
        }
        if live {
            self.global.talk(self.sum(end.counters));
        }
        if let Some(words) = self.view.last_words(unkept) {
            self.global.talk(words);
        }
        match end.fault {
            Some(fault) => Err(Failure::new(exit_of(fault.kind), fault)),
            // A file that was read to its end.
            None if !live && end.counters.is_some() && self.tally.given == 0 && self.filters() => {
                self.global.talk(none_matched(self.tally.delivered));
                if self
                    .sifter
                    .is_some_and(|sifter| sifter.missed_behind_vlan())
                {
                    self.global.talk(
                        "hint: behind VLAN tags some would: write vlan and (…) around the filter",
                    );
                }
                Ok(Exit::NoMatch)
            }
            None => self.view.outcome(),
        }
    }

    /// Takes what the source has until its end, its fault, or a stop.
    fn drive(&mut self, source: &mut dyn Source, live: bool) -> Result<End, Failure> {
        if !live && !self.selection.filter().is_empty() {
            self.sifter = Some(self.selection.sifter());
        }
        let stop = Stop::install()?;
        let mut decoded = Decoded::default();
        let mut stopping = false;
        loop {
            if !stopping && (stop.asked() || self.is_full()) {
                if !live {
                    return Ok(End::default());
                }
                stopping = true;
                source.stop();
            }
            let now = now();
            match source.next(now.plus(LOOK)) {
                Ok(Step::Batch(batch)) => {
                    let taken = self.batch(&*source, &batch, &mut decoded, live);
                    self.output.flush()?;
                    taken?;
                    source.recycle(batch);
                }
                Ok(Step::Quiet(until)) => self.view.quiet(until, &mut self.output)?,
                Ok(Step::Link(change)) => self.global.talk(in_words(&change)),
                Ok(Step::End(counters)) => {
                    return Ok(End {
                        counters: Some(counters),
                        fault: None,
                    });
                }
                Err(fault) => {
                    return Ok(End {
                        counters: last_counters(source, fault.kind, now),
                        fault: Some(fault),
                    });
                }
            }
            self.output.flush()?;
            if let Some(recorder) = &mut self.recorder {
                recorder.flush(now)?;
            }
        }
    }

    fn is_full(&self) -> bool {
        self.tally.given >= self.limit
    }

    /// Something is asked of packets.
    fn filters(&self) -> bool {
        !self.selection.filter().is_empty() || self.display.is_some()
    }

    /// Asks the capture filter about each frame. Ends before the first one of a link type for which it has no meaning.
    fn sift(&mut self, batch: &Batch) -> Result<(), Failure> {
        self.wanted.clear();
        let Some(sifter) = &mut self.sifter else {
            self.wanted.resize(batch.len(), true);
            return Ok(());
        };
        for frame in batch.frames() {
            let takes = sifter.takes(&frame).map_err(|error| {
                let (number, link) = (frame.number, frame.link);
                let what = format!("packet {number} has link type {link}");
                Failure::new(Exit::Usage, anyhow::Error::new(error).context(what))
            })?;
            self.wanted.push(takes);
        }
        Ok(())
    }

    fn batch(
        &mut self,
        source: &dyn Source,
        batch: &Batch,
        decoded: &mut Decoded,
        live: bool,
    ) -> Result<(), Failure> {
        let interfaces = source.interfaces();
        if interfaces.len() > self.interfaces {
            self.interfaces = interfaces.len();
            self.view.interfaces(interfaces);
        }
        if let Some(record) = batch.records.first().filter(|_| !live) {
            self.view.begin(record.time);
        }
        self.tally.delivered += batch.len() as u64;
        if self.is_full() {
            self.tally.left += batch.len() as u64;
            return Ok(());
        }
        // What was good before the fault is shown.
        let sifted = self.sift(batch);
        let shows = self.view.shows();
        // A recording needs no layers.
        let decodes = shows || self.display.is_some();
        if decodes {
            self.decoder.chosen(batch, decoded, |index| {
                self.wanted.get(index) == Some(&true)
            });
        }
        for index in 0..self.wanted.len() {
            if self.is_full() {
                self.tally.left += (batch.len() - index) as u64;
                return Ok(());
            }
            if !self.wanted[index] {
                continue;
            }
            let around = Around::of(interfaces, batch, index);
            if decodes {
                self.tracker.packet(&self.decoder, batch, decoded, index);
            }
            let packet = decoded.packet(batch, index).filter(|_| decodes);
            if let (Some(display), Some(packet)) = (&self.display, &packet)
                && !display.matches(packet, &around)
            {
                self.tally.filtered += 1;
                self.view.passed_over(packet, &mut self.output)?;
                continue;
            }
            self.tally.given += 1;
            if let (Some(recorder), Some(frame)) = (&mut self.recorder, batch.frame(index)) {
                let comments = around.comments.iter().map(|comment| comment.text.as_str());
                recorder.writer.write(&frame, interfaces, comments)?;
            }
            if let Some(packet) = packet.filter(|_| shows) {
                self.view.packet(&packet, &around, &mut self.output)?;
                self.output.flush_when_full()?;
            }
        }
        sifted
    }

    /// The sum at the end of a live run, which always adds up. Frames that the capture filter refused were never seen.
    fn sum(&self, counters: Option<Counters>) -> String {
        let tally = &self.tally;
        let counters = counters.unwrap_or_else(|| Counters {
            seen: tally.delivered,
            ..Counters::default()
        });
        let shown = self.view.shown(tally.given);
        let mut text = format!(
            "{} seen = {shown} shown + {} filtered + {} duplicate (loopback copies) + {} dropped",
            counters.seen, tally.filtered, counters.duplicate, counters.dropped
        );
        for (count, what) in [
            (tally.given.saturating_sub(shown), "of other kinds"),
            (tally.left, "left behind by -c"),
        ] {
            if count > 0 {
                text.push_str(&format!(" + {count} {what}"));
            }
        }
        text
    }
}

/// Where `-w` puts the packets.
pub(super) struct Recorder {
    writer: Writer,
    /// Each packet goes to the file at once (`-U`).
    at_once: bool,
}

impl Recorder {
    /// Opens the file, which is replaced only with `force`; `-` is standard output.
    pub(super) fn create(path: &Path, force: bool, at_once: bool) -> Result<Self, Failure> {
        // Opening a FIFO waits for its reader: Ctrl-C must be a clean end there too.
        Stop::install()?;
        let writer = if path.as_os_str() == "-" {
            Writer::new(output::stdout()?, Format::PcapNg, "standard output")
        } else {
            output::capture_file(path, force)?
        };
        Ok(Self { writer, at_once })
    }

    /// Records a packet of one of `interfaces`.
    pub(super) fn write(
        &mut self,
        frame: &Frame<'_>,
        interfaces: &[Arc<Interface>],
    ) -> Result<(), WriteError> {
        self.writer.write(frame, interfaces, [])
    }

    /// Packets so far.
    pub(super) fn packets(&self) -> u64 {
        self.writer.packets()
    }

    /// Writes what has been gathered: the recording is whole.
    pub(super) fn finish(self) -> Result<u64, WriteError> {
        self.writer.finish(&[])
    }

    /// Writes what has been gathered where it is time to.
    pub(super) fn flush(&mut self, now: Time) -> Result<(), WriteError> {
        if self.at_once {
            self.writer.flush()
        } else {
            self.writer.flush_if_due(now)
        }
    }
}

impl From<WriteError> for Failure {
    fn from(error: WriteError) -> Self {
        let exit = match error.io_kind() {
            // Or Ctrl-C while a FIFO had no reader.
            Some(io::ErrorKind::BrokenPipe | io::ErrorKind::Interrupted) => Exit::Done,
            _ => Exit::WriteFailed,
        };
        Self::new(exit, error)
    }
}

fn none_matched(packets: u64) -> String {
    match packets {
        0 => "there are no packets".to_owned(),
        1 => "the only packet does not match".to_owned(),
        _ => format!("none of {packets} packets matched"),
    }
}

/// The counters of a source that failed, where it still has them: a live one whose interfaces are gone.
fn last_counters(source: &mut dyn Source, kind: SourceErrorKind, now: Time) -> Option<Counters> {
    if kind != SourceErrorKind::Gone {
        return None;
    }
    match source.next(now) {
        Ok(Step::End(counters)) => Some(counters),
        _ => None,
    }
}

/// The wall clock, which live sources wait by.
pub(super) fn now() -> Time {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    Time::from_parts(now.as_secs().cast_signed(), now.subsec_nanos())
}

fn in_words(change: &InterfaceChange) -> String {
    let what = match change.state {
        InterfaceState::Up => "is up again",
        InterfaceState::Down => "went down; the capture goes on when it comes back",
        InterfaceState::Deleted => "is gone; its capture is over",
    };
    format!("sockwire: {} {what}", change.name)
}

pub(super) fn exit_of(kind: SourceErrorKind) -> Exit {
    match kind {
        SourceErrorKind::Damaged | SourceErrorKind::Io => Exit::Damaged,
        SourceErrorKind::Gone => Exit::NoSuch,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use sockwire::{
        frame::{Direction, KernelChecksum, Record},
        link::LinkType,
    };

    use super::*;
    use crate::cmd::{ColorWhen, selecting::FilterArgs};

    /// Yields made-up batches of Ethernet frames, each of the EtherType that its letter stands for.
    struct MadeUp {
        batches: Vec<&'static str>,
        given: u64,
        stopped: bool,
        fault: Option<SourceErrorKind>,
    }

    impl Source for MadeUp {
        fn next(&mut self, _: Time) -> Result<Step, SourceError> {
            if self.batches.is_empty() {
                return match self.fault.take() {
                    Some(kind) => Err(SourceError {
                        kind,
                        source: "made up".into(),
                    }),
                    None => Ok(Step::End(Counters {
                        seen: self.given + 7,
                        duplicate: 4,
                        dropped: 3,
                    })),
                };
            }
            let letters = self.batches.remove(0);
            let mut data = Vec::new();
            let mut records = Vec::new();
            for letter in letters.bytes() {
                let kind = if letter == b'a' { [8, 6] } else { [8, 0] };
                let start = data.len() as u32;
                data.extend_from_slice(&[[0; 12].as_slice(), &kind, &[0; 28]].concat());
                records.push(Record {
                    time: Time::from_nanos(self.given as i64 + records.len() as i64),
                    link: LinkType::ETHERNET,
                    interface: 0,
                    direction: Direction::Unknown,
                    checksum: KernelChecksum::Unknown,
                    wire_len: 42,
                    start,
                    len: 42,
                });
            }
            let batch = Batch::owned(data, records, self.given + 1);
            self.given += letters.len() as u64;
            Ok(Step::Batch(batch))
        }

        fn interfaces(&self) -> &[Arc<Interface>] {
            &[]
        }

        fn stop(&mut self) {
            self.stopped = true;
        }
    }

    /// Keeps the numbers of what it was given, and the time that a file began at.
    #[derive(Default)]
    struct Numbers {
        seen: Vec<u64>,
        began: Option<i64>,
        shown: Option<u64>,
    }

    impl View for Numbers {
        fn begin(&mut self, time: Time) {
            let nanos = time.nanos();
            self.began.get_or_insert(nanos);
        }

        fn packet(
            &mut self,
            packet: &Packet<'_>,
            _: &Around<'_>,
            _: &mut Output,
        ) -> io::Result<()> {
            self.seen.push(packet.frame.number);
            Ok(())
        }

        fn shown(&self, accepted: u64) -> u64 {
            self.shown.unwrap_or(accepted)
        }
    }

    /// A run over two batches of five frames: ARP are `a`.
    fn run(
        count: Option<u64>,
        filter: &str,
        fault: Option<SourceErrorKind>,
        live: bool,
    ) -> (MadeUp, Pipeline<Numbers>, End) {
        let mut source = MadeUp {
            batches: vec!["iiaia", "aiiia"],
            given: 0,
            stopped: false,
            fault,
        };
        let global = Global {
            color: ColorWhen::Never,
            ascii: false,
            quiet: true,
        };
        // Live sources have run the capture filter themselves.
        let (capture, display) = if live { ("", filter) } else { (filter, "") };
        let filters = FilterArgs {
            display_filter: Some(display.to_owned()),
            ..FilterArgs::default()
        };
        let filters = filters.compile(&[capture.to_owned()], false).unwrap();
        let mut pipeline =
            Pipeline::new(Numbers::default(), filters, None, count, &global).unwrap();
        let end = pipeline.drive(&mut source, live).unwrap();
        (source, pipeline, end)
    }

    #[test]
    fn the_counters_of_a_live_run_add_up() {
        let (source, pipeline, end) = run(None, "", None, true);
        assert!(!source.stopped);
        assert_eq!(
            pipeline.sum(end.counters),
            "17 seen = 10 shown + 0 filtered + 4 duplicate (loopback copies) + 3 dropped"
        );
        // A stop by -c drains what has arrived.
        let (source, mut pipeline, end) = run(Some(3), "", None, true);
        assert!(source.stopped && source.batches.is_empty());
        pipeline.view.shown = Some(1);
        assert_eq!(
            pipeline.sum(end.counters),
            "17 seen = 1 shown + 0 filtered + 4 duplicate (loopback copies) + 3 dropped \
             + 2 of other kinds + 7 left behind by -c"
        );
        let (_, pipeline, end) = run(None, "arp", None, true);
        assert_eq!(
            pipeline.sum(end.counters),
            "17 seen = 4 shown + 6 filtered + 4 duplicate (loopback copies) + 3 dropped"
        );
        // What -c stops at is what is shown.
        let (_, pipeline, end) = run(Some(2), "arp", None, true);
        assert_eq!(
            pipeline.sum(end.counters),
            "17 seen = 2 shown + 3 filtered + 4 duplicate (loopback copies) + 3 dropped \
             + 5 left behind by -c"
        );
    }

    #[test]
    fn an_interface_that_is_gone_leaves_its_counters() {
        let (_, pipeline, end) = run(None, "", Some(SourceErrorKind::Gone), true);
        assert_eq!(exit_of(end.fault.unwrap().kind), Exit::NoSuch);
        assert_eq!(
            pipeline.sum(end.counters),
            "17 seen = 10 shown + 0 filtered + 4 duplicate (loopback copies) + 3 dropped"
        );
        // A source that cannot be read has none.
        let (_, pipeline, end) = run(None, "", Some(SourceErrorKind::Io), true);
        assert_eq!(
            pipeline.sum(end.counters),
            "10 seen = 10 shown + 0 filtered + 0 duplicate (loopback copies) + 0 dropped"
        );
    }

    #[test]
    fn packets_keep_the_number_that_their_source_gave_them() {
        for live in [true, false] {
            let (_, pipeline, _) = run(None, "arp", None, live);
            assert_eq!(pipeline.view.seen, [3, 5, 6, 10]);
            assert_eq!(pipeline.view.began, (!live).then_some(0));
        }
    }

    #[test]
    fn a_file_is_read_no_further_than_asked() {
        let (source, pipeline, end) = run(Some(2), "", Some(SourceErrorKind::Damaged), false);
        assert_eq!(source.batches.len(), 1);
        assert_eq!(pipeline.view.seen, [1, 2]);
        assert!(end.fault.is_none());
        let (_, pipeline, end) = run(None, "", Some(SourceErrorKind::Damaged), false);
        assert_eq!(pipeline.view.seen.len(), 10);
        assert_eq!(exit_of(end.fault.unwrap().kind), Exit::Damaged);
    }
}
