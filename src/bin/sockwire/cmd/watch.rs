//! `sockwire watch`: connections and exchanges as ladders, live or from a file.

use std::{
    fmt::Write as _,
    io::{self, IsTerminal, Write as _},
    path::{Path, PathBuf},
};

use anyhow::anyhow;
use sockwire::{
    capture::Purpose,
    decode::{Decoded, Decoder},
    filter::{Filter, begins_filter},
    frame::{Batch, Counters, Source, Step},
    proto::frame::Around,
    render::ladder::{Ladder, LadderOptions, Layout},
    sys::signal::Stop,
    time::MILLISECOND,
    track::{
        Tracker,
        story::{Item, Outcome as Ending, Sight, Story, StoryOptions, Summary},
    },
};

use super::{
    Exit, Failure, Global, Outcome,
    capture::LiveArgs,
    names, output, read,
    show::{self, Recorder, ShowArgs},
};

const EXAMPLES: &str = "\
Examples:
  sudo sockwire watch port 5000              every connection to port 5000 as a ladder
  sudo sockwire watch -i lo                  all of loopback
  sockwire watch trace.pcapng                the connections of a capture file
  sockwire watch -r trace.pcapng --group udp one exchange after the other";

/// How long a live source may stay silent before held rows are looked at.
const LOOK: i64 = 200 * MILLISECOND;
/// Flows named one by one in the last line.
const NAMED: usize = 12;

/// Connections as they happen: a ladder for each handshake, data exchange, close, and UDP request and reply
///
/// Without -i: loopback and the default route's interface together. ICMP errors about matching packets are included.
/// Ctrl-C ends, with the counters on stderr.
#[derive(clap::Args)]
#[command(before_help = EXAMPLES, args_override_self = true)]
pub(crate) struct Args {
    #[command(flatten)]
    from: LiveArgs,
    /// Reads a capture file; - is standard input
    #[arg(short = 'r', long, value_name = "FILE")]
    read: Option<PathBuf>,
    /// Records the packets (.pcap writes pcap, other names pcapng)
    #[arg(short = 'w', long, value_name = "FILE")]
    write: Option<PathBuf>,
    /// Lets -w replace a file
    #[arg(long)]
    force: bool,
    /// Stop after this many packets
    #[arg(short = 'c', long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
    /// Sequence numbers as they are on the wire, not counted from 0
    #[arg(short = 'S', long)]
    absolute: bool,
    /// Shows each flow when it ends, not packet by packet
    #[arg(long)]
    group: bool,
    /// Numbers, not names: always so
    #[arg(short = 'n', action = clap::ArgAction::Count)]
    numeric: u8,
    /// A capture file, or which packets: a pcap filter such as: port 80 and host 10.0.0.1
    #[arg(value_name = "FILE|FILTER")]
    words: Vec<String>,
}

/// Runs the command.
pub(crate) fn run(mut args: Args, global: &Global) -> Outcome {
    let is_file = |word: &String| !begins_filter(word);
    if args.read.is_none()
        && args.from.interfaces.is_empty()
        && args.words.first().is_some_and(is_file)
    {
        args.read = Some(PathBuf::from(args.words.remove(0)));
    }
    let filter = names::filter(&args.words, args.numeric == 0)?;
    if let (Some(path), Some(out)) = (&args.read, &args.write)
        && read::is_same_file(out, path)
    {
        return Err(usage("-w names the file that is read: choose another name"));
    }
    match args.read.take() {
        Some(path) => {
            let mut reader = open(&path)?;
            Watch::new(&args, global, filter)?.run(&mut reader, false)
        }
        None => {
            let includes = !filter.is_empty() && !global.quiet;
            let watch = Watch::new(&args, global, filter)?;
            let mut source = args
                .from
                .open(Purpose::Conversations, &args.words, global)?;
            if includes {
                let _ = writeln!(io::stderr(), "ICMP errors about these packets are included");
            }
            watch.run(&mut source, true)
        }
    }
}

fn open(path: &Path) -> Result<sockwire::file::Reader, Failure> {
    if path.as_os_str() == "-" && io::stdin().is_terminal() {
        return Err(usage(
            "standard input is the terminal: pipe a capture into it, or name a file",
        ));
    }
    read::open(path).map_err(read::failure)
}

fn usage(message: &'static str) -> Failure {
    Failure::new(Exit::Usage, anyhow!(message))
}

/// Everything that is decided before the first packet.
struct Watch {
    filter: Filter,
    decoder: Decoder,
    tracker: Tracker,
    story: Story,
    ladder: Ladder,
    items: Vec<Item>,
    text: Vec<u8>,
    recorder: Option<Recorder>,
    limit: u64,
    tally: Tally,
    interfaces: usize,
    quiet: bool,
}

/// Where frames went.
#[derive(Default)]
struct Tally {
    delivered: u64,
    wanted: u64,
    refused: u64,
    left: u64,
}

impl Watch {
    fn new(args: &Args, global: &Global, filter: Filter) -> Result<Self, Failure> {
        let record = ShowArgs {
            write: args.write.clone(),
            force: args.force,
            ..ShowArgs::default()
        };
        let width = terminal_size::terminal_size_of(io::stdout());
        Ok(Self {
            filter,
            decoder: Decoder::default(),
            tracker: Tracker::default(),
            story: Story::new(StoryOptions {
                group: args.group,
                ..StoryOptions::default()
            }),
            ladder: Ladder::new(LadderOptions {
                width: width.map_or(80, |(columns, _)| columns.0.into()),
                ascii: global.ascii,
                colour: output::palette(global).on,
                absolute: args.absolute,
                layout: Layout::Watch,
                ..LadderOptions::default()
            }),
            items: Vec::new(),
            text: Vec::new(),
            recorder: Recorder::new(&record)?,
            limit: args.count.unwrap_or(u64::MAX),
            tally: Tally::default(),
            interfaces: 0,
            quiet: global.quiet,
        })
    }

    fn run(mut self, source: &mut dyn Source, live: bool) -> Outcome {
        let stop = Stop::install()?;
        let mut decoded = Decoded::default();
        let mut stopping = false;
        if let Some(recorder) = self.recorder.as_mut().filter(|_| live) {
            recorder.writer.begin(source.interfaces())?;
        }
        let end = loop {
            if (stop.asked() || self.tally.wanted >= self.limit) && !stopping {
                stopping = true;
                source.stop();
                if !live {
                    break Ok(None);
                }
            }
            let now = show::now();
            match source.next(now.plus(LOOK)) {
                Ok(Step::Batch(batch)) => {
                    self.batch(source, &batch, &mut decoded, live)?;
                    source.recycle(batch);
                }
                Ok(Step::Quiet(time)) => self.story.quiet(time, &mut self.items),
                Ok(Step::Link(change)) => self.talk(&show::in_words(&change)),
                Ok(Step::End(counters)) => break Ok(Some(counters)),
                Err(error) => break Err(error),
            }
            self.draw()?;
            if let Some(recorder) = &mut self.recorder {
                recorder.flush(now)?;
            }
        };
        self.story.finish(&mut self.items);
        self.draw()?;
        let recorded = self.recorder.is_some();
        if let Some(recorder) = self.recorder.take() {
            recorder.writer.finish(&[])?;
        }
        if live {
            self.talk(&self.sum(end.as_ref().ok().copied().flatten()));
        }
        let mut last = endings(&self.story.summaries(), self.story.flows().1);
        if live && !recorded && !last.is_empty() {
            let hint = "Keep it next time: -w FILE.pcapng";
            let fits = last.chars().count() + 2 + hint.len() <= 80;
            last.push_str(if fits { "  " } else { "\n" });
            last.push_str(hint);
        }
        if !last.is_empty() {
            self.talk(&last);
        }
        match end {
            Err(error) => Err(Failure::new(show::exit_of(error.kind), error)),
            Ok(_) if !live && self.tally.wanted == 0 && !self.filter.is_empty() => {
                Ok(Exit::NoMatch)
            }
            Ok(_) => Ok(Exit::Done),
        }
    }

    fn batch(
        &mut self,
        source: &dyn Source,
        batch: &Batch,
        decoded: &mut Decoded,
        live: bool,
    ) -> Result<(), Failure> {
        let interfaces = source.interfaces();
        if interfaces.len() != self.interfaces {
            self.interfaces = interfaces.len();
            let names = interfaces
                .iter()
                .map(|i| i.name.clone().unwrap_or_default());
            self.ladder.interfaces(names.collect());
        }
        self.tally.delivered += batch.len() as u64;
        self.decoder.batch(batch, decoded);
        for index in 0..batch.len() {
            if self.tally.wanted >= self.limit {
                self.tally.left += (batch.len() - index) as u64;
                break;
            }
            let wanted = decoded.packet(batch, index).is_some_and(|packet| {
                self.filter.matches(&packet) || self.filter.matches_quoted(&packet)
            });
            if !wanted {
                self.tally.refused += 1;
                continue;
            }
            self.tally.wanted += 1;
            // Put together what came in fragments.
            self.tracker.packet(&self.decoder, batch, decoded, index);
            let Some(mut packet) = decoded.packet(batch, index) else {
                continue;
            };
            if let Some(recorder) = &mut self.recorder {
                let around = Around::of(interfaces, batch, index);
                let comments = around.comments.iter().map(|comment| comment.text.as_str());
                recorder.writer.write(&packet.frame, interfaces, comments)?;
            }
            if live {
                // As in a recording of what is shown.
                packet.frame.number = self.tally.wanted;
            }
            self.story.packet(&packet, Sight::Tap, &mut self.items);
        }
        Ok(())
    }

    /// Writes the items that are ready.
    fn draw(&mut self) -> io::Result<()> {
        for item in self.items.drain(..) {
            self.ladder.write(&item, &mut self.text)?;
        }
        let mut out = output::stdout()?;
        out.write_all(&self.text)?;
        self.text.clear();
        Ok(())
    }

    /// The sum at the end of a live run, which always adds up.
    fn sum(&self, counters: Option<Counters>) -> String {
        let counters = counters.unwrap_or_else(|| Counters {
            seen: self.tally.delivered,
            ..Counters::default()
        });
        let shown = self.story.rows();
        let mut text = format!(
            "{} seen = {shown} shown + 0 filtered + {} duplicate (loopback copies) + {} dropped",
            counters.seen.saturating_sub(self.tally.refused),
            counters.duplicate,
            counters.dropped
        );
        for (count, what) in [
            (self.tally.wanted - shown, "of other kinds"),
            (self.tally.left, "left behind by -c"),
        ] {
            if count > 0 {
                // Writing to a String cannot fail.
                let _ = write!(text, " + {count} {what}");
            }
        }
        text
    }

    fn talk(&self, message: &str) {
        if !self.quiet {
            // A closed stderr is no reason to stop.
            let _ = writeln!(io::stderr(), "{message}");
        }
    }
}

/// How every flow stands: by name when they are few, else counted.
fn endings(summaries: &[Summary], forgotten: u64) -> String {
    let mut parts: Vec<String> = Vec::new();
    if summaries.len() <= NAMED {
        parts.extend(
            summaries
                .iter()
                .map(|s| format!("{} {}", s.label, s.outcome.word())),
        );
    } else {
        let mut counts: Vec<(Ending, usize)> = Vec::new();
        for summary in summaries {
            match counts
                .iter_mut()
                .find(|(ending, _)| *ending == summary.outcome)
            {
                Some((_, count)) => *count += 1,
                None => counts.push((summary.outcome, 1)),
            }
        }
        counts.sort();
        parts.push(format!("{} flows", summaries.len()));
        parts.extend(
            counts
                .iter()
                .map(|(ending, count)| format!("{count} {}", ending.word())),
        );
    }
    if forgotten > 0 {
        parts.push(format!("{forgotten} forgotten to make room"));
    }
    let mut text = parts.join(" · ");
    if !text.is_empty() {
        text.push('.');
    }
    text
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use sockwire::track::story::{Kind, Label};

    use super::*;

    fn summary(number: u64, outcome: Ending) -> Summary {
        let socket = SocketAddr::from(([127, 0, 0, 1], 5000));
        Summary {
            label: Label {
                kind: Kind::Tcp,
                number,
            },
            client: socket,
            server: socket,
            outcome,
            open: [None; 2],
            rtt: None,
            isn: [None; 2],
            packets: [0; 2],
            bytes: [0; 2],
            lost: 0,
            states: None,
            began_close: None,
        }
    }

    #[test]
    fn few_flows_are_named_and_many_counted() {
        let few = [summary(1, Ending::Refused), summary(2, Ending::Open)];
        assert_eq!(endings(&few, 0), "C1 refused · C2 open.");
        let mut many: Vec<Summary> = (1..=19).map(|n| summary(n, Ending::Closed)).collect();
        many.push(summary(20, Ending::Refused));
        assert_eq!(
            endings(&many, 7),
            "20 flows · 1 refused · 19 closed · 7 forgotten to make room."
        );
        assert_eq!(endings(&[], 0), "");
    }
}
