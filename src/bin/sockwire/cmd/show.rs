//! What `capture` and `read` share: from a source to lines, trees, bytes, JSON and files.

use std::{
    fs,
    io::{self, Write as _},
    path::{Path, PathBuf},
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use anyhow::{Context, anyhow};
use jiff::tz::TimeZone;
use sockwire::{
    decode::{Decoded, Decoder},
    export::json::Records,
    file::{self, Create, Format, WriteError, Writer},
    filter::Filter,
    frame::{
        Batch, Counters, Interface, InterfaceChange, InterfaceState, Source, SourceError,
        SourceErrorKind, Step,
    },
    layer::Packet,
    line::LineOptions,
    proto::frame::Around,
    render::{
        hex,
        line::{Lines, Options, TimeForm, names_interface},
        tree,
    },
    sys::signal::Stop,
    time::{SECOND, Time},
    track::Tracker,
};

use super::{Exit, Failure, Global, Outcome, names, output, output::Output};

/// What to show of each packet, and where it goes.
#[derive(clap::Args, Clone, Debug, Default)]
#[command(args_override_self = true)]
pub(crate) struct ShowArgs {
    /// Stop after this many packets
    #[arg(short = 'c', long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) count: Option<u64>,
    /// One JSON object a packet
    #[arg(long, conflicts_with_all = ["hex", "hex_ascii", "ascii_dump", "verbose"])]
    pub(crate) json: bool,
    /// Adds every field of every header; twice also explains each
    #[arg(short = 'v', long, action = clap::ArgAction::Count)]
    pub(crate) verbose: u8,
    /// Adds the bytes in hexadecimal; twice includes the link header
    #[arg(short = 'x', action = clap::ArgAction::Count)]
    pub(crate) hex: u8,
    /// Adds the bytes in hexadecimal and ASCII; twice includes the link header
    #[arg(short = 'X', action = clap::ArgAction::Count)]
    pub(crate) hex_ascii: u8,
    /// Adds the bytes as ASCII text; twice includes the link header
    #[arg(short = 'A', action = clap::ArgAction::Count)]
    pub(crate) ascii_dump: u8,
    /// Shows the link header in the line
    #[arg(short = 'e')]
    pub(crate) link_header: bool,
    /// Short lines
    #[arg(short = 'q')]
    pub(crate) quick: bool,
    /// Sequence numbers as they are on the wire, not counted from 0
    #[arg(short = 'S', long)]
    pub(crate) absolute: bool,
    /// -t no time, -tt seconds since 1970, -ttt since the packet before, -tttt date and time, -ttttt since the first (the default)
    #[arg(short = 't', action = clap::ArgAction::Count, verbatim_doc_comment)]
    pub(crate) time: u8,
    /// Nanoseconds in times, not microseconds
    #[arg(long)]
    pub(crate) nano: bool,
    /// Numbers, not names: always so, unless -N asks for names
    #[arg(short = 'n', action = clap::ArgAction::Count)]
    pub(crate) numeric: u8,
    /// Names of hosts and services where this machine knows them: asks the resolver, which takes time and is seen on the wire
    #[arg(short = 'N', long, conflicts_with = "numeric")]
    pub(crate) names: bool,
    /// Packet numbers: always shown
    #[arg(short = '#', long = "number", hide = true)]
    pub(crate) number: bool,
    /// Each line at once
    #[arg(short = 'l')]
    pub(crate) line_buffered: bool,
    /// Each packet to the file at once (with -w)
    #[arg(short = 'U')]
    pub(crate) packet_buffered: bool,
    /// Leaves checksums unchecked
    #[arg(short = 'K', hide = true)]
    pub(crate) no_checksums: bool,
    /// Records the packets (.pcap writes pcap, other names pcapng, "-" is standard output), and prints none of them
    #[arg(short = 'w', long, value_name = "FILE")]
    pub(crate) write: Option<PathBuf>,
    /// Prints packets although -w records them
    #[arg(long, requires = "write")]
    pub(crate) print: bool,
    /// Lets -w replace a file
    #[arg(long)]
    pub(crate) force: bool,
    /// Reads the filter from a file
    #[arg(short = 'F', value_name = "FILE")]
    pub(crate) filter_file: Option<PathBuf>,
    /// Which packets: a pcap filter such as: port 80 and host 10.0.0.1
    #[arg(value_name = "FILTER")]
    pub(crate) filter: Vec<String>,
}

impl ShowArgs {
    /// The filter in words, from the command line or from the file of `-F`.
    pub(crate) fn filter_words(&self) -> Result<Vec<String>, Failure> {
        let Some(path) = &self.filter_file else {
            return Ok(self.filter.clone());
        };
        let text = fs::read_to_string(path)
            .with_context(|| format!("cannot read the filter file {}", path.display()))
            .map_err(|error| Failure::new(Exit::NoSuch, error))?;
        Ok(text.lines().map(str::to_owned).collect())
    }

    fn time_form(&self) -> Result<TimeForm, Failure> {
        Ok(match self.time {
            0 | 5 => TimeForm::Relative,
            1 => TimeForm::None,
            2 => TimeForm::Epoch,
            3 => TimeForm::Delta,
            4 => TimeForm::Date,
            _ => return Err(usage("-t can be given five times at most")),
        })
    }

    /// The form of the bytes, and whether the link header is among them.
    fn bytes(&self) -> Option<(hex::Form, bool)> {
        [
            (self.hex_ascii, hex::Form::HexAscii),
            (self.hex, hex::Form::Hex),
            (self.ascii_dump, hex::Form::Ascii),
        ]
        .into_iter()
        .find(|&(count, _)| count > 0)
        .map(|(count, form)| (form, count > 1))
    }
}

fn usage(message: &'static str) -> Failure {
    Failure::new(Exit::Usage, anyhow!(message))
}

/// Everything that is decided before the first packet: the filter compiled, the file opened, the form chosen.
/// `capture` makes it before privileges are dropped.
pub(crate) struct Show {
    filter: Filter,
    decoder: Decoder,
    tracker: Tracker,
    view: View,
    output: Output,
    recorder: Option<Recorder>,
    limit: u64,
    tally: Tally,
    quiet: bool,
}

/// Where `-w` puts the packets.
pub(super) struct Recorder {
    pub(super) writer: Writer,
    /// Each packet goes to the file at once (`-U`).
    at_once: bool,
}

/// What is printed of a packet.
struct View {
    /// False with `-w` alone.
    prints: bool,
    lines: Lines,
    records: Option<Records>,
    tree: Option<tree::Options>,
    bytes: Option<(hex::Form, bool)>,
}

/// How a source ended: with counters, without (it was left), or by a fault.
type End = Result<Option<Counters>, SourceError>;

/// Where frames went.
#[derive(Default)]
struct Tally {
    delivered: u64,
    shown: u64,
    refused: u64,
    left: u64,
}

impl Show {
    /// Compiles the filter and opens the file of `-w`.
    pub(crate) fn new(args: &ShowArgs, global: &Global) -> Result<Self, Failure> {
        if args.print && args.write.as_deref() == Some(Path::new("-")) {
            return Err(usage("-w - and --print both want standard output"));
        }
        let palette = output::palette(global);
        let mut lines = Lines::new(Options {
            time: args.time_form()?,
            nano: args.nano,
            zone: TimeZone::system(),
            link_header: args.link_header,
            ascii: global.ascii,
            palette,
            line: LineOptions {
                absolute: args.absolute,
                quick: args.quick,
            },
        });
        if args.names {
            lines.set_names(Box::new(names::Ends::default()));
        }
        let view = View {
            prints: args.write.is_none() || args.print,
            lines,
            records: args.json.then(Records::default),
            tree: (args.verbose > 0).then_some(tree::Options {
                palette,
                explain: args.verbose > 1,
            }),
            bytes: args.bytes(),
        };
        Ok(Self {
            filter: names::filter(&args.filter_words()?, args.numeric == 0)?,
            decoder: Decoder::default(),
            tracker: Tracker::default(),
            view,
            output: Output::stdout(global.ascii)?,
            recorder: Recorder::new(args)?,
            limit: args.count.unwrap_or(u64::MAX),
            tally: Tally::default(),
            quiet: global.quiet,
        })
    }

    /// Shows everything that `source` yields. `live` sources are stopped by `-c` and by signals, drained, and end
    /// with their counters on stderr; anything else is left where it stands.
    pub(crate) fn run(mut self, source: &mut dyn Source, live: bool) -> Outcome {
        if let Some(recorder) = self.recorder.as_mut().filter(|_| live) {
            recorder.writer.begin(source.interfaces())?;
        }
        let end = self.drive(source, live)?;
        let counters = end.as_ref().ok().copied().flatten();
        if let Some(recorder) = self.recorder.take() {
            // A file's counters are not this capture's, and those of several interfaces are known only in sum.
            let counters = counters.filter(|_| live && source.interfaces().len() == 1);
            let statistics: Vec<(u32, Counters)> = counters.map(|c| (0, c)).into_iter().collect();
            recorder.writer.finish(&statistics)?;
        }
        if live {
            self.talk(&self.tally.sum(counters));
        }
        match end {
            Err(error) => Err(Failure::new(exit_of(error.kind), error)),
            Ok(_) if !live && self.tally.shown == 0 && !self.filter.is_empty() => Ok(Exit::NoMatch),
            Ok(_) => Ok(Exit::Done),
        }
    }

    /// Takes what the source has until its end, its fault, or a stop; all of it has been written out then.
    fn drive(&mut self, source: &mut dyn Source, live: bool) -> Result<End, Failure> {
        let stop = Stop::install()?;
        let mut decoded = Decoded::default();
        let mut stopping = false;
        loop {
            if !stopping && (stop.asked() || self.is_full()) {
                if !live {
                    return Ok(Ok(None));
                }
                stopping = true;
                source.stop();
            }
            let now = now();
            let step = source.next(now.plus(SECOND));
            if let Ok(Step::Batch(batch)) = step {
                self.batch(source.interfaces(), &batch, &mut decoded)?;
                self.output.flush()?;
                source.recycle(batch);
            } else {
                match step {
                    Ok(Step::Link(change)) => self.talk(&in_words(&change)),
                    Ok(Step::End(counters)) => return Ok(Ok(Some(counters))),
                    Err(error) => return Ok(Err(error)),
                    Ok(Step::Quiet(_) | Step::Batch(_)) => {}
                }
            }
            if let Some(recorder) = &mut self.recorder {
                recorder.flush(now)?;
            }
        }
    }

    fn is_full(&self) -> bool {
        self.tally.shown >= self.limit
    }

    fn batch(
        &mut self,
        interfaces: &[Arc<Interface>],
        batch: &Batch,
        decoded: &mut Decoded,
    ) -> Result<(), Failure> {
        self.tally.delivered += batch.len() as u64;
        if let Some(record) = batch.records.first() {
            self.view.lines.begin(record.time);
        }
        // A recording of everything needs no layers.
        let decodes = self.view.prints || !self.filter.is_empty();
        if decodes && !self.is_full() {
            self.decoder.batch(batch, decoded);
        }
        for index in 0..batch.len() {
            let Some(frame) = batch.frame(index) else {
                continue;
            };
            if self.is_full() {
                self.tally.left += (batch.len() - index) as u64;
                return Ok(());
            }
            let wanted = !decodes
                || decoded
                    .packet(batch, index)
                    .is_some_and(|packet| self.filter.matches(&packet));
            if !wanted {
                self.tally.refused += 1;
                continue;
            }
            self.tally.shown += 1;
            let around = Around::of(interfaces, batch, index);
            if let Some(recorder) = &mut self.recorder {
                let comments = around.comments.iter().map(|comment| comment.text.as_str());
                recorder.writer.write(&frame, interfaces, comments)?;
            }
            if self.view.prints {
                self.tracker.packet(&self.decoder, batch, decoded, index);
                if let Some(packet) = decoded.packet(batch, index) {
                    self.view
                        .packet(&packet, &around, interfaces.len(), &mut self.output);
                }
                self.output.flush_when_full()?;
            }
        }
        Ok(())
    }

    fn talk(&self, message: &str) {
        if !self.quiet {
            // A closed stderr is no reason to stop.
            let _ = writeln!(io::stderr(), "{message}");
        }
    }
}

impl Recorder {
    pub(super) fn new(args: &ShowArgs) -> Result<Option<Self>, Failure> {
        let Some(path) = &args.write else {
            return Ok(None);
        };
        let writer = if path.as_os_str() == "-" {
            Writer::new(output::stdout()?, Format::PcapNg, "standard output")
        } else {
            let how = Create {
                format: Format::from_name(path),
                force: args.force,
                owner: output::caller(),
            };
            file::create(path, how)?
        };
        Ok(Some(Self {
            writer,
            at_once: args.packet_buffered,
        }))
    }

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
            Some(io::ErrorKind::BrokenPipe) => Exit::Done,
            _ => Exit::WriteFailed,
        };
        Self::new(exit, error)
    }
}

impl View {
    fn packet(
        &mut self,
        packet: &Packet<'_>,
        around: &Around<'_>,
        interfaces: usize,
        output: &mut Output,
    ) {
        if let Some(records) = &mut self.records {
            records.packet(packet, around, &mut output.bytes);
            return;
        }
        let interface = around
            .interface
            .filter(|_| names_interface(interfaces, packet.frame.link));
        self.lines.packet(packet, interface, &mut output.text);
        if let Some(options) = self.tree {
            tree::packet(packet, around, options, &mut output.text);
        }
        if let Some((form, link_header)) = self.bytes {
            hex::packet(packet, form, link_header, &mut output.text);
        }
    }
}

impl Tally {
    /// The sum at the end of a live run, which always adds up. Frames that the capture filter refused were never seen.
    fn sum(&self, counters: Option<Counters>) -> String {
        let counters = counters.unwrap_or_else(|| Counters {
            seen: self.delivered,
            ..Counters::default()
        });
        let seen = counters.seen.saturating_sub(self.refused);
        let mut text = format!(
            "{seen} seen = {} shown + 0 filtered + {} duplicate (loopback copies) + {} dropped",
            self.shown, counters.duplicate, counters.dropped
        );
        if self.left > 0 {
            text.push_str(&format!(" + {} left behind by -c", self.left));
        }
        text
    }
}

/// The wall clock, which live sources wait by.
pub(super) fn now() -> Time {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    Time::from_parts(now.as_secs().cast_signed(), now.subsec_nanos())
}

pub(super) fn in_words(change: &InterfaceChange) -> String {
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

/// Both steps in one, for sources that need no right.
pub(crate) fn run(
    source: &mut dyn Source,
    args: &ShowArgs,
    global: &Global,
    live: bool,
) -> Outcome {
    Show::new(args, global)?.run(source, live)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use sockwire::{
        frame::{Direction, KernelChecksum, Record},
        link::LinkType,
    };

    use super::*;
    use crate::cmd::ColorWhen;

    /// Yields made-up batches of frames of one byte, and counts whether it was stopped.
    struct MadeUp {
        batches: Vec<usize>,
        given: u64,
        stopped: bool,
        end: Option<SourceErrorKind>,
    }

    impl Source for MadeUp {
        fn next(&mut self, _: Time) -> Result<Step, SourceError> {
            if self.batches.is_empty() {
                return match self.end {
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
            let frames = self.batches.remove(0);
            let records = (0..frames).map(|start| Record {
                time: Time::from_nanos(0),
                link: LinkType::ETHERNET,
                interface: 0,
                direction: Direction::Unknown,
                checksum: KernelChecksum::Unknown,
                wire_len: 1,
                start: start as u32,
                len: 1,
            });
            let batch = Batch::owned(vec![0; frames], records.collect(), self.given + 1);
            self.given += frames as u64;
            Ok(Step::Batch(batch))
        }

        fn interfaces(&self) -> &[Arc<Interface>] {
            &[]
        }

        fn stop(&mut self) {
            self.stopped = true;
        }
    }

    /// A run over two batches of five frames that prints nothing.
    fn run(
        count: Option<u64>,
        filter: &[&str],
        end: Option<SourceErrorKind>,
        live: bool,
    ) -> (MadeUp, Show, End) {
        let mut source = MadeUp {
            batches: vec![5, 5],
            given: 0,
            stopped: false,
            end,
        };
        let args = ShowArgs {
            count,
            filter: filter.iter().map(|&word| word.to_owned()).collect(),
            ..ShowArgs::default()
        };
        let global = Global {
            color: ColorWhen::Never,
            ascii: false,
            quiet: true,
        };
        let mut show = Show::new(&args, &global).unwrap();
        show.view.prints = false;
        let end = show.drive(&mut source, live).unwrap();
        (source, show, end)
    }

    fn sum(show: &Show, end: &End) -> String {
        show.tally.sum(end.as_ref().ok().copied().flatten())
    }

    #[test]
    fn the_counters_of_a_live_run_add_up() {
        let (source, show, end) = run(None, &[], None, true);
        assert!(!source.stopped);
        assert_eq!(
            sum(&show, &end),
            "17 seen = 10 shown + 0 filtered + 4 duplicate (loopback copies) + 3 dropped"
        );
        // A stop by -c drains what has arrived.
        let (source, show, end) = run(Some(3), &[], None, true);
        assert!(source.stopped && source.batches.is_empty());
        assert_eq!(
            sum(&show, &end),
            "17 seen = 3 shown + 0 filtered + 4 duplicate (loopback copies) + 3 dropped + 7 left behind by -c"
        );
        // What the capture filter refuses was never seen.
        let (_, show, end) = run(None, &["tcp"], None, true);
        assert_eq!(
            sum(&show, &end),
            "7 seen = 0 shown + 0 filtered + 4 duplicate (loopback copies) + 3 dropped"
        );
        // An interface that is gone leaves no counters.
        let (_, show, end) = run(None, &[], Some(SourceErrorKind::Gone), true);
        assert!(matches!(&end, Err(error) if exit_of(error.kind) == Exit::NoSuch));
        assert_eq!(
            sum(&show, &end),
            "10 seen = 10 shown + 0 filtered + 0 duplicate (loopback copies) + 0 dropped"
        );
    }

    #[test]
    fn a_file_is_read_no_further_than_asked() {
        let (source, show, end) = run(Some(2), &[], Some(SourceErrorKind::Damaged), false);
        assert_eq!((source.batches.len(), show.tally.shown), (1, 2));
        assert!(matches!(end, Ok(None)));
        let (_, show, end) = run(None, &[], Some(SourceErrorKind::Damaged), false);
        assert_eq!(show.tally.shown, 10);
        assert!(matches!(&end, Err(error) if exit_of(error.kind) == Exit::Damaged));
    }
}
