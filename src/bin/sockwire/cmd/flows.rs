//! `sockwire flows`: one line a conversation, of a file or live.

mod columns;
mod records;
mod table;

use std::{
    collections::HashMap,
    io::{self, IsTerminal},
    str::FromStr,
};

use sockwire::{
    capture::{self, Process, Purpose},
    layer::Packet,
    line::EndNames,
    proto::frame::Around,
    render::style::Palette,
    time::{MILLISECOND, Time},
    track::{
        conversation::{Conversation, Conversations, Totals},
        flow::Transport,
    },
};

use self::columns::{Row, Writer};
use super::{
    Failure, Global, Outcome,
    capture::LiveArgs,
    names, number, output,
    output::Output,
    pipeline::{Pipeline, View},
    read::{self, FileArgs},
    selecting::{FilterArgs, Filters},
};

const EXAMPLES: &str = "\
Examples:
  sockwire flows trace.pcapng                     one line a conversation
  sockwire flows trace.pcapng tcp port 80         only these
  sockwire flows trace.pcapng --sort bytes --top 10   the ten that sent most
  sockwire flows trace.pcapng --sort -start       the latest first
  sockwire flows trace.pcapng --json | jq .       for programs; also --csv and --markdown
  sudo sockwire flows -i eth0 --sort packets      live, redrawn on the terminal";

/// How often a terminal is redrawn and processes are looked for at most, in nanoseconds of packet time.
const OFTEN: i64 = 500 * MILLISECOND;
/// Conversations whose processes are looked for at a time, and in all.
const ASKED: (usize, usize) = (256, 65_536);
/// A look may be cut short on a busy machine: as often it is taken where it finds nobody.
const TRIES: u8 = 3;
/// Lines of a terminal that are not conversations: the heading, the sum, and where the cursor stands.
const AROUND: usize = 3;

/// Conversations: who talked with whom, how much, how fast, and how it ended
///
/// Each TCP connection and UDP exchange has one line. The client is who sent the SYN, else who has the higher port (for
/// UDP, who spoke first). Packets and bytes (of frames) are given as client/server, so are "again" (packets sent again),
/// resets, SRTT and ends (the state of each). "RTT" is the handshake's. A line shows what fits the terminal (80 columns
/// elsewhere); --json, --csv and --markdown have everything. Live, Ctrl-C ends, with the whole table and the counters.
#[derive(clap::Args)]
#[command(before_help = EXAMPLES, args_override_self = true)]
pub(crate) struct Args {
    #[command(flatten)]
    from: LiveArgs,
    #[command(flatten)]
    file: FileArgs,
    /// start (the earliest first), or duration, packets, bytes, rtt, retransmissions (the greatest first); -start and so on the other way round
    #[arg(
        long,
        value_name = "KEY",
        default_value = "start",
        allow_hyphen_values = true
    )]
    sort: Sort,
    /// Only the first N lines
    #[arg(long, value_name = "N", value_parser = number::<usize>(1..=u64::MAX, "--top 10"))]
    top: Option<usize>,
    /// One JSON object a conversation
    #[arg(long, conflicts_with_all = ["csv", "markdown"])]
    json: bool,
    /// Comma-separated values, with the names of --json in the first line
    #[arg(long, conflicts_with = "markdown")]
    csv: bool,
    /// A Markdown table
    #[arg(long)]
    markdown: bool,
    /// Numbers, not names: always so, unless -N asks for names
    #[arg(short = 'n', action = clap::ArgAction::Count)]
    numeric: u8,
    /// Names of hosts and services where this machine knows them: asks the resolver, which takes time and is seen on the wire
    #[arg(short = 'N', long, conflicts_with = "numeric")]
    names: bool,
    #[command(flatten)]
    filters: FilterArgs,
    /// A capture file, or which packets: a pcap filter such as: port 80 and host 10.0.0.1
    #[arg(value_name = "FILE|FILTER")]
    words: Vec<String>,
}

/// What the lines are sorted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Sort {
    by: Key,
    reversed: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Key {
    Start,
    Duration,
    Packets,
    Bytes,
    Rtt,
    Retransmissions,
}

const KEYS: [(&str, Key); 6] = [
    ("start", Key::Start),
    ("duration", Key::Duration),
    ("packets", Key::Packets),
    ("bytes", Key::Bytes),
    ("rtt", Key::Rtt),
    ("retransmissions", Key::Retransmissions),
];

impl FromStr for Sort {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        let (name, reversed) = match word.strip_prefix('-') {
            Some(name) => (name, true),
            None => (word, false),
        };
        let known = KEYS.iter().find(|(known, _)| *known == name);
        let (_, by) = known.ok_or_else(|| {
            let names = KEYS.map(|(name, _)| name).join(", ");
            format!("expected one of {names}, or - and one of them")
        })?;
        Ok(Self { by: *by, reversed })
    }
}

impl Sort {
    /// Sorts by this. What has no such number comes last, what is equal in order of its start.
    fn key(self, c: &Conversation) -> impl Ord + use<> {
        let number = match self.by {
            Key::Start => Some(c.start.nanos()),
            Key::Duration => Some(c.duration()),
            Key::Packets => Some(c.sum(|sent| sent.packets).cast_signed()),
            Key::Bytes => Some(c.sum(|sent| sent.bytes).cast_signed()),
            Key::Rtt => c.handshake_rtt,
            Key::Retransmissions => Some(c.sum(|sent| sent.retransmissions.into()).cast_signed()),
        };
        let falling = (self.by != Key::Start) != self.reversed;
        let number = number.map(|number| if falling { !number } else { number });
        (
            number.is_none(),
            number,
            c.start,
            c.transport() as u8,
            c.stream,
        )
    }
}

/// Runs the command.
pub(crate) fn run(mut args: Args, global: &Global) -> Outcome {
    args.file
        .take_first_word(&mut args.words, &args.from.interfaces);
    let mut filters = args.filters.compile(&args.words, args.numeric == 0)?;
    filters.selection = filters.selection.with_icmp_errors();
    if let Some(path) = &args.file.read {
        let mut reader = read::open(path, None, args.file.no_limit)?;
        return pipeline(&args, global, filters, false)?.run(&mut reader, false);
    }
    let pipeline = pipeline(&args, global, filters, true)?;
    let mut source = args
        .from
        .open(Purpose::Conversations, pipeline.selection(), global)?;
    pipeline.run(&mut source, true)
}

fn pipeline(
    args: &Args,
    global: &Global,
    filters: Filters,
    live: bool,
) -> Result<Pipeline<Flows>, Failure> {
    Pipeline::new(
        Flows::new(args, global, live),
        filters,
        None,
        args.file.count,
        global,
    )
}

/// How conversations are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Table,
    Markdown,
    Json,
    Csv,
}

/// The table of conversations.
struct Flows {
    conversations: Conversations,
    /// Packets that belong to a conversation.
    counted: u64,
    form: Form,
    sort: Sort,
    top: usize,
    palette: Palette,
    names: Option<Box<dyn EndNames>>,
    live: Option<Live>,
}

/// What only a live run has.
struct Live {
    /// The namespace where its sockets are.
    netns: Option<String>,
    /// By transport and stream.
    owners: HashMap<(Transport, u32), Owners>,
    looked: Option<Time>,
    /// On a terminal: how many of its last lines are the table as it was.
    drawn: Option<usize>,
}

/// Whose sockets a conversation has.
#[derive(Default)]
struct Owners {
    /// Of client and server.
    processes: [Option<Process>; 2],
    /// How often they were looked for.
    tries: u8,
}

impl Flows {
    fn new(args: &Args, global: &Global, live: bool) -> Self {
        let form = match (args.json, args.csv, args.markdown) {
            (true, _, _) => Form::Json,
            (_, true, _) => Form::Csv,
            (_, _, true) => Form::Markdown,
            _ => Form::Table,
        };
        let redraws = form == Form::Table && io::stdout().is_terminal();
        Self {
            conversations: Conversations::default(),
            counted: 0,
            form,
            sort: args.sort,
            top: args.top.unwrap_or(usize::MAX),
            palette: output::palette(global),
            names: args
                .names
                .then(|| Box::new(names::Ends::default()) as Box<dyn EndNames>),
            live: live.then(|| Live {
                netns: args.from.netns.clone(),
                owners: HashMap::new(),
                looked: None,
                drawn: redraws.then_some(0),
            }),
        }
    }

    /// The first `top` conversations, sorted.
    fn listed(&self) -> Vec<&Conversation> {
        let mut all: Vec<&Conversation> = self.conversations.iter().collect();
        if self.top < all.len() {
            all.select_nth_unstable_by_key(self.top, |c| self.sort.key(c));
            all.truncate(self.top);
        }
        all.sort_unstable_by_key(|c| self.sort.key(c));
        all
    }

    /// Writes the list in the form asked for.
    fn write(&mut self, output: &mut Output) -> io::Result<()> {
        let mut names = self.names.take();
        let mut writer = Writer {
            names: &mut names,
            palette: self.palette,
        };
        let began = self.conversations.began();
        let row = |conversation| Row {
            conversation,
            began,
            processes: self.processes(conversation),
        };
        let rows: Vec<Row<'_>> = self.listed().into_iter().map(row).collect();
        let layout = (self.form == Form::Table)
            .then(|| table::Layout::new(&rows, output::columns(), &mut writer));
        match (self.form, &layout) {
            (Form::Markdown, _) => table::markdown_head(&mut output.text),
            (Form::Csv, _) => records::csv_names(&mut output.text),
            (_, Some(layout)) => layout.heading(self.palette, &mut output.text),
            _ => {}
        }
        for row in &rows {
            match (self.form, &layout) {
                (Form::Markdown, _) => table::markdown(row, &mut writer, &mut output.text),
                (Form::Csv, _) => records::csv(row, &mut output.text),
                (_, Some(layout)) => layout.line(row, &mut writer, &mut output.text),
                _ => records::json(row, &mut output.text),
            }
            output.flush_when_full()?;
        }
        if self.form == Form::Table {
            output::write_wrapped(
                &mut output.text,
                0,
                output::columns(),
                &self.sum(rows.len()),
            );
        }
        self.names = names;
        Ok(())
    }

    /// How many there are, and how many of them are not listed.
    fn sum(&self, listed: usize) -> String {
        let totals = self.conversations.totals();
        let sum = |of: fn(&Totals) -> u64| totals.iter().map(of).sum::<u64>();
        let all = sum(|t| t.conversations);
        if all == 0 {
            return "no conversations".to_owned();
        }
        let of = |transport: Transport| totals[transport as usize].conversations;
        let packets = sum(|t| t.packets);
        let plural = |count| if count == 1 { "" } else { "s" };
        let mut text = format!(
            "{all} conversation{}: {} tcp, {} udp; {packets} packet{}, {} bytes",
            plural(all),
            of(Transport::Tcp),
            of(Transport::Udp),
            plural(packets),
            sum(|t| t.bytes),
        );
        if (listed as u64) < all {
            text.push_str(&format!("; {listed} of them listed"));
        }
        if let Some(missing) = self.missing() {
            text.push_str("; ");
            text.push_str(&missing);
        }
        text
    }

    fn missing(&self) -> Option<String> {
        let missing = self.conversations.missing();
        (missing > 0).then(|| format!("{missing} forgotten to make room, in these sums only"))
    }

    /// Of client and server, where they were found.
    fn processes(&self, conversation: &Conversation) -> [Option<&Process>; 2] {
        let key = (conversation.transport(), conversation.stream);
        let found = self.live.as_ref().and_then(|live| live.owners.get(&key));
        found.map_or([None; 2], |owners| {
            owners.processes.each_ref().map(Option::as_ref)
        })
    }

    /// Looks after what a live run shows, now and then.
    fn look(&mut self, now: Time, output: &mut Output) -> io::Result<()> {
        let Some(live) = &mut self.live else {
            return Ok(());
        };
        // A clock that was set back must not stop it.
        let often = |last| now.since(last).unsigned_abs() < OFTEN.unsigned_abs();
        if live.looked.is_some_and(often) || self.counted == 0 {
            return Ok(());
        }
        live.looked = Some(now);
        live.find_owners(&self.conversations);
        match live.drawn {
            Some(lines) => self.redraw(lines, output),
            None => Ok(()),
        }
    }

    /// Draws as much of the table as the terminal has room for, over the `lines` of the one before.
    fn redraw(&mut self, mut lines: usize, output: &mut Output) -> io::Result<()> {
        let height = output::lines().saturating_sub(AROUND).max(1);
        let (top, sort) = (self.top, self.sort);
        self.top = height.min(top);
        // Where not all fit, the latest are worth more than the earliest.
        self.sort.reversed |= sort.by == Key::Start;
        let from = output.text.len();
        let written = self.write(output);
        (self.top, self.sort) = (top, sort);
        let text = output.text.split_off(from);
        table::over(&text, height + AROUND - 1, &mut lines, &mut output.text);
        if let Some(live) = &mut self.live {
            live.drawn = Some(lines);
        }
        written
    }
}

impl Live {
    /// Looks for the processes of conversations that are new.
    fn find_owners(&mut self, conversations: &Conversations) {
        let room = ASKED.1.saturating_sub(self.owners.len()).min(ASKED.0);
        let mut asked = Vec::new();
        let mut sockets = Vec::new();
        for c in conversations.iter() {
            if asked.len() == room {
                break;
            }
            let key = (c.transport(), c.stream);
            let is_done = |owners: &Owners| {
                owners.tries >= TRIES || owners.processes.iter().any(Option::is_some)
            };
            if self.owners.get(&key).is_some_and(is_done) {
                continue;
            }
            let [client, server] = c.sockets();
            let transport = match c.transport() {
                Transport::Tcp => capture::Transport::Tcp,
                Transport::Udp => capture::Transport::Udp,
            };
            asked.push(key);
            sockets.push((transport, client, server));
            sockets.push((transport, server, client));
        }
        if asked.is_empty() {
            return;
        }
        let found = capture::inside(self.netns.as_deref(), || capture::owners(&sockets));
        let mut found = found.unwrap_or_default().into_iter();
        for key in asked {
            let owners = self.owners.entry(key).or_default();
            owners.processes = [found.next().flatten(), found.next().flatten()];
            owners.tries += 1;
        }
    }
}

impl View for Flows {
    fn begin(&mut self, time: Time) {
        self.conversations.begin(time);
    }

    fn packet(
        &mut self,
        packet: &Packet<'_>,
        _around: &Around<'_>,
        output: &mut Output,
    ) -> io::Result<()> {
        self.counted += u64::from(self.conversations.packet(packet, false));
        self.look(packet.frame.time, output)
    }

    fn passed_over(&mut self, packet: &Packet<'_>, _output: &mut Output) -> io::Result<()> {
        self.conversations.packet(packet, true);
        Ok(())
    }

    fn quiet(&mut self, until: Time, output: &mut Output) -> io::Result<()> {
        self.look(until, output)
    }

    fn finish(&mut self, output: &mut Output) -> io::Result<()> {
        if let Some(live) = &mut self.live {
            live.find_owners(&self.conversations);
            table::wipe(live.drawn.unwrap_or_default(), &mut output.text);
        }
        self.write(output)
    }

    fn shown(&self, _given: u64) -> u64 {
        self.counted
    }

    fn last_words(&self, _unkept: bool) -> Option<String> {
        self.missing().filter(|_| self.form != Form::Table)
    }
}
