//! `sockwire watch`: connections and exchanges as ladders, live or from a file.

use std::{collections::BTreeMap, io, path::PathBuf, sync::Arc};

use sockwire::{
    capture::Purpose,
    frame::Interface,
    layer::Packet,
    proto::frame::Around,
    render::ladder::{Ladder, Layout},
    time::Time,
    track::story::{Item, Outcome as Ending, Sight, Story, StoryOptions, Summary},
};

use super::{
    Failure, Global, Outcome,
    capture::LiveArgs,
    output,
    output::Output,
    pipeline::{Pipeline, Recorder, View},
    read::{self, FileArgs},
    selecting::{FilterArgs, Filters},
    usage,
};

const EXAMPLES: &str = "\
Examples:
  sudo sockwire watch port 5000              every connection to port 5000 as a ladder
  sudo sockwire watch -i lo                  all of loopback
  sockwire watch trace.pcapng                the connections of a capture file
  sockwire watch -r trace.pcapng --group udp one exchange after the other
  sockwire watch trace.pcapng -Y 'tcp.len > 0'   segments with data only, of connections that are followed whole";

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
    #[command(flatten)]
    file: FileArgs,
    /// Records the packets: .pcap writes pcap, other names pcapng; a new file is readable by you only
    #[arg(short = 'w', long, value_name = "FILE")]
    write: Option<PathBuf>,
    /// Lets -w replace a file
    #[arg(long)]
    force: bool,
    /// Sequence numbers as they are on the wire, not counted from 0
    #[arg(short = 'S', long)]
    absolute: bool,
    /// Shows each flow when it ends, not packet by packet
    #[arg(long)]
    group: bool,
    #[command(flatten)]
    filters: FilterArgs,
    /// Numbers, not names: always so
    #[arg(short = 'n', action = clap::ArgAction::Count)]
    numeric: u8,
    /// A capture file, or which packets: a pcap filter such as: port 80 and host 10.0.0.1
    #[arg(value_name = "FILE|FILTER")]
    words: Vec<String>,
}

/// Runs the command.
pub(crate) fn run(mut args: Args, global: &Global) -> Outcome {
    args.file
        .take_first_word(&mut args.words, &args.from.interfaces);
    let mut filters = args.filters.compile(&args.words, args.numeric == 0)?;
    filters.selection = filters.selection.with_icmp_errors();
    if let Some(path) = &args.file.read {
        let mut reader = read::open(path, args.write.as_deref(), args.file.no_limit)?;
        return pipeline(&args, global, filters)?.run(&mut reader, false);
    }
    let pipeline = pipeline(&args, global, filters)?;
    let mut source = args
        .from
        .open(Purpose::Conversations, pipeline.selection(), global)?;
    if !pipeline.selection().filter().is_empty() {
        global.talk("ICMP errors about these packets are included");
    }
    pipeline.run(&mut source, true)
}

/// Opens the file of `-w`.
fn pipeline(args: &Args, global: &Global, filters: Filters) -> Result<Pipeline<Watch>, Failure> {
    let recorder = match &args.write {
        Some(path) if path.as_os_str() == "-" => {
            return Err(usage(
                "-w - and the ladder both want standard output: name a file",
            ));
        }
        Some(path) => Some(Recorder::create(path, args.force, false)?),
        None => None,
    };
    Pipeline::new(
        Watch::new(args, global),
        filters,
        recorder,
        args.file.count,
        global,
    )
}

/// The ladder of each conversation.
struct Watch {
    story: Story,
    ladder: Ladder,
    /// Ready to be drawn.
    items: Vec<Item>,
}

impl Watch {
    fn new(args: &Args, global: &Global) -> Self {
        Self {
            story: Story::new(StoryOptions {
                group: args.group,
                ..StoryOptions::default()
            }),
            ladder: Ladder::new(output::ladder(Layout::Watch, args.absolute, global)),
            items: Vec::new(),
        }
    }

    fn draw(&mut self, output: &mut Output) -> io::Result<()> {
        for item in self.items.drain(..) {
            self.ladder.write(&item, &mut output.bytes)?;
        }
        Ok(())
    }
}

impl View for Watch {
    fn interfaces(&mut self, interfaces: &[Arc<Interface>]) {
        let names = interfaces
            .iter()
            .map(|interface| interface.name.clone().unwrap_or_default());
        self.ladder.interfaces(names.collect());
    }

    fn packet(
        &mut self,
        packet: &Packet<'_>,
        _around: &Around<'_>,
        output: &mut Output,
    ) -> io::Result<()> {
        self.story.packet(packet, Sight::Tap, &mut self.items);
        self.draw(output)
    }

    fn passed_over(&mut self, packet: &Packet<'_>, output: &mut Output) -> io::Result<()> {
        self.story.packet(packet, Sight::Aside, &mut self.items);
        self.draw(output)
    }

    fn quiet(&mut self, until: Time, output: &mut Output) -> io::Result<()> {
        self.story.quiet(until, &mut self.items);
        self.draw(output)
    }

    fn finish(&mut self, output: &mut Output) -> io::Result<()> {
        self.story.finish(&mut self.items);
        self.draw(output)
    }

    fn shown(&self, _given: u64) -> u64 {
        self.story.rows()
    }

    fn last_words(&self, unkept: bool) -> Option<String> {
        let outcomes = self.story.outcomes();
        let named = outcomes.values().sum::<usize>() <= NAMED;
        let summaries = named.then(|| self.story.summaries());
        let mut last = endings(summaries.as_deref(), &outcomes, self.story.flows().1);
        if last.is_empty() {
            return None;
        }
        if unkept {
            let hint = "Keep it next time: -w FILE.pcapng";
            let fits = last.chars().count() + 2 + hint.len() <= 80;
            last.push_str(if fits { "  " } else { "\n" });
            last.push_str(hint);
        }
        Some(last)
    }
}

/// How every flow stands: by name when they are few, else counted.
fn endings(
    named: Option<&[Summary]>,
    outcomes: &BTreeMap<Ending, usize>,
    forgotten: u64,
) -> String {
    let mut parts: Vec<String> = Vec::new();
    if let Some(summaries) = named {
        parts.extend(
            summaries
                .iter()
                .map(|s| format!("{} {}", s.label, s.outcome.word())),
        );
    } else {
        parts.push(format!("{} flows", outcomes.values().sum::<usize>()));
        parts.extend(
            outcomes
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
        let none = BTreeMap::new();
        assert_eq!(endings(Some(&few), &none, 0), "C1 refused · C2 open.");
        let many = BTreeMap::from([(Ending::Closed, 19), (Ending::Refused, 1)]);
        assert_eq!(
            endings(None, &many, 7),
            "20 flows · 1 refused · 19 closed · 7 forgotten to make room."
        );
        assert_eq!(endings(Some(&[]), &none, 0), "");
    }
}
