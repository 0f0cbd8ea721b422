//! `sockwire ladder`: the flows of a capture file as sequence diagrams, one after the other: text, SVG, HTML, Mermaid.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    ffi::OsString,
    io,
    net::IpAddr,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::anyhow;
use clap::ValueEnum;
use sockwire::{
    export::{
        Diagram,
        html::{detail, html},
        mermaid::mermaid,
        svg::svg,
        text::text,
    },
    field::Value,
    file::Document,
    frame::Interface,
    layer::{self, Packet},
    proto::{frame::Around, tcp, udp},
    render::ladder::{LadderOptions, Layout},
    text::Safe,
    track::story::{Chapters, Header, Item, Kind, Sight, Story, StoryOptions},
};

use super::{
    Exit, Failure, Global, Outcome, number, output,
    output::Output,
    pipeline::{Pipeline, View},
    read,
    selecting::FilterArgs,
    usage,
};

const EXAMPLES: &str = "\
Examples:
  sockwire ladder trace.pcapng                    every connection and exchange, one after the other
  sockwire ladder trace.pcapng tcp:0              one of them: tcp.stream 0
  sockwire ladder trace.pcapng -o ladder.svg      as a picture; also .html, .mmd (Mermaid), .txt
  sockwire ladder trace.pcapng --as mermaid port 80
  sockwire ladder trace.pcapng -o ladder.html --anonymise
  sudo sockwire watch port 5000                   live, in the terminal";

/// How `lab -w` marks the packets that its wire dropped; the rule follows.
const DROPPED: &str = "the wire dropped this packet: ";

/// Sequence diagrams of a capture file: text, SVG, HTML, Mermaid
///
/// Having the whole file, it crosses packets that were lost, and knows the states of both ends from the start.
/// Retransmissions are dashed, resets and errors double, long runs of data folded. ICMP errors about matching packets
/// are included.
#[derive(clap::Args)]
#[command(before_help = EXAMPLES, args_override_self = true)]
pub(crate) struct Args {
    /// The capture file; - is standard input
    #[arg(value_name = "FILE", required_unless_present = "read")]
    file: Option<OsString>,
    /// The capture file, with tcpdump's letter
    #[arg(short = 'r', long, value_name = "FILE")]
    read: Option<OsString>,
    /// Reads on where a packed file grows as a decompression bomb does
    #[arg(long)]
    no_limit: bool,
    /// Writes to a file instead of standard output; its suffix gives the form: .txt, .svg, .html, .mmd; a new file is readable by you only
    #[arg(short = 'o', long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// The form, whatever the name of the file
    #[arg(long = "as", value_enum, value_name = "FORM")]
    form: Option<Form>,
    /// Lets -o replace a file
    #[arg(long)]
    force: bool,
    /// Stop after this many packets
    #[arg(short = 'c', long, value_name = "N", value_parser = number::<u64>(1..=u64::MAX, "-c 5"))]
    count: Option<u64>,
    /// Sequence numbers as they are on the wire, not counted from 0
    #[arg(short = 'S', long)]
    absolute: bool,
    /// Replaces all addresses by documentation addresses, the same one each time, and leaves out data, names and comments; ports and times stay
    #[arg(long, alias = "anonymize")]
    anonymise: bool,
    #[command(flatten)]
    filters: FilterArgs,
    /// Numbers, not names: always so
    #[arg(short = 'n', action = clap::ArgAction::Count)]
    numeric: u8,
    /// One flow, by tcp.stream or udp.stream (tcp:0), or which packets: a pcap filter such as: port 80 and host 10.0.0.1
    #[arg(value_name = "tcp:N|udp:N|FILTER")]
    words: Vec<String>,
}

/// What is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Form {
    /// For terminals and mail
    Text,
    /// A picture that scales
    Svg,
    /// A page whose rows open fields and bytes
    Html,
    /// For Markdown
    Mermaid,
}

/// Suffixes of file names.
const SUFFIXES: [(&str, Form); 6] = [
    ("txt", Form::Text),
    ("svg", Form::Svg),
    ("html", Form::Html),
    ("htm", Form::Html),
    ("mmd", Form::Mermaid),
    ("mermaid", Form::Mermaid),
];

impl Form {
    /// The form that the command line asks for.
    fn of(args: &Args) -> Result<Self, Failure> {
        let output = args
            .output
            .as_deref()
            .filter(|path| *path != Path::new("-"));
        let (Some(path), None) = (output, args.form) else {
            return Ok(args.form.unwrap_or(Self::Text));
        };
        let suffix = path.extension().unwrap_or_default();
        let known = SUFFIXES
            .iter()
            .find(|(known, _)| suffix.eq_ignore_ascii_case(known));
        known.map(|&(_, form)| form).ok_or_else(|| {
            usage(format!(
                "{}: which form is that? name it .txt, .svg, .html or .mmd, or add --as text, svg, html or mermaid",
                Safe(path.as_os_str().as_encoded_bytes())
            ))
        })
    }

    /// Rows that a reader of the form can take: a picture of more is too tall for viewers.
    const fn most_rows(self) -> usize {
        match self {
            Self::Text => 1_000_000,
            Self::Svg | Self::Html | Self::Mermaid => 2000,
        }
    }
}

/// Runs the command.
pub(crate) fn run(mut args: Args, global: &Global) -> Outcome {
    let path = match (args.read.take(), args.file.take()) {
        (Some(path), word) => {
            // With -r, the first plain word is another one.
            let word = word.map(|word| word.to_string_lossy().into_owned());
            args.words.splice(0..0, word);
            path
        }
        (None, path) => path.unwrap_or_default(),
    };
    let path = Path::new(&path);
    let stream = args.words.first().and_then(|word| Stream::parse(word));
    if stream.is_some() {
        args.words.remove(0);
    }
    let form = Form::of(&args)?;
    let mut filters = args.filters.compile(&args.words, args.numeric == 0)?;
    filters.selection = filters.selection.with_icmp_errors();
    let mut reader = read::open(path, args.output.as_deref(), args.no_limit)?;
    let document = match &args.output {
        Some(path) if path.as_os_str() != "-" => {
            Some(Document::create(path, args.force, output::caller())?)
        }
        _ => None,
    };
    let view = Telling::new(&args, form, stream, document, global);
    Pipeline::new(view, filters, None, args.count, global)?.run(&mut reader, false)
}

/// A flow by its number: `tcp:0` is `tcp.stream == 0`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Stream {
    kind: Kind,
    number: u32,
}

impl Stream {
    fn parse(word: &str) -> Option<Self> {
        let (kind, number) = word.split_once(':')?;
        let kind = [Kind::Tcp, Kind::Udp]
            .into_iter()
            .find(|known| known.word() == kind)?;
        let number = number.parse().ok()?;
        Some(Self { kind, number })
    }

    fn of(header: &Header) -> Option<Self> {
        Some(Self {
            kind: header.label.kind,
            number: header.stream?,
        })
    }
}

impl std::fmt::Display for Stream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.kind.word(), self.number)
    }
}

/// Gathers the story of the file, and draws it when it is over.
struct Telling {
    story: Story,
    items: Vec<Item>,
    chapters: Chapters,
    form: Form,
    /// The one flow that is wanted.
    stream: Option<Stream>,
    /// The lowest and the highest number of a kind's flows.
    streams: BTreeMap<Kind, (Stream, Stream)>,
    options: LadderOptions,
    /// What rows of a page open, by packet: of rows that are still held back, and of those that are drawn.
    held: HashMap<u64, String>,
    details: HashMap<u64, String>,
    /// Datagrams of which the wire dropped a fragment.
    incomplete: HashSet<Datagram>,
    anonymise: bool,
    document: Option<Document>,
    /// What went wrong at the end.
    fault: Option<Failure>,
}

impl Telling {
    fn new(
        args: &Args,
        form: Form,
        stream: Option<Stream>,
        document: Option<Document>,
        global: &Global,
    ) -> Self {
        let options = match &document {
            None => output::ladder(Layout::Watch, args.absolute, global),
            Some(_) => LadderOptions {
                ascii: global.ascii,
                absolute: args.absolute,
                ..LadderOptions::default()
            },
        };
        Self {
            story: Story::new(StoryOptions {
                anonymise: args.anonymise,
                ..StoryOptions::default()
            }),
            items: Vec::new(),
            chapters: Chapters::new(form.most_rows()),
            form,
            stream,
            streams: BTreeMap::new(),
            options: LadderOptions {
                streams: true,
                ..options
            },
            held: HashMap::new(),
            details: HashMap::new(),
            incomplete: HashSet::new(),
            anonymise: args.anonymise,
            document,
            fault: None,
        }
    }

    /// The packet belongs to a flow that is wanted, as far as its own numbers tell: ICMP errors have none.
    fn is_wanted(&self, packet: &Packet<'_>) -> bool {
        let Some(wanted) = self.stream else {
            return true;
        };
        let field = match wanted.kind {
            Kind::Tcp => &tcp::STREAM,
            _ => &udp::STREAM,
        };
        let is_flow = |view: &layer::View<'_>| matches!(view.layer.protocol.name, "tcp" | "udp");
        let number = Some(Value::Uint(wanted.number.into()));
        !packet.views().any(|view| is_flow(&view))
            || packet.views().any(|view| view.fact(field) == number)
    }

    /// Puts what the story has told into its chapters.
    fn gather(&mut self) {
        for item in self.items.drain(..) {
            let number = match &item {
                Item::Row(row) => Some(row.number),
                _ => None,
            };
            let (wanted, streams) = (self.stream, &mut self.streams);
            let kept = self.chapters.add(item, |header| {
                let stream = Stream::of(header);
                if let Some(stream) = stream {
                    let (low, high) = streams.entry(stream.kind).or_insert((stream, stream));
                    (*low, *high) = (stream.min(*low), stream.max(*high));
                }
                wanted.is_none() || wanted == stream
            });
            if let Some(number) = number
                && let Some(detail) = self.held.remove(&number)
                && kept
            {
                self.details.insert(number, detail);
            }
        }
    }

    fn draw(&mut self) -> io::Result<Vec<u8>> {
        let diagram = Diagram {
            origin: self.chapters.first().unwrap_or_default(),
            left_out: self.chapters.left_out(),
            chapters: self.chapters.finish(),
            interfaces: std::mem::take(&mut self.options.interfaces),
            absolute: self.options.absolute,
            notes: Vec::new(),
        };
        Ok(match self.form {
            Form::Text => return text(&diagram, self.options.clone()),
            Form::Svg => svg(&diagram),
            Form::Html => html(&diagram, &self.details),
            Form::Mermaid => mermaid(&diagram),
        }
        .into_bytes())
    }

    /// Why nothing is drawn.
    fn nothing(&self) -> Failure {
        let there: Vec<String> = self
            .streams
            .values()
            .map(|&(low, high)| range(low, high))
            .collect();
        let there = there.join(", ");
        let message = match self.stream {
            Some(stream) if there.is_empty() => {
                format!("no {stream}: there is no TCP or UDP in these packets")
            }
            Some(stream) => format!("no {stream} in these packets; there are: {there}"),
            None => "there is no TCP or UDP in these packets".to_owned(),
        };
        let exit = self.stream.map_or(Exit::NoMatch, |_| Exit::NoSuch);
        Failure::new(exit, anyhow!(message))
    }
}

/// What the fragments of a datagram have in common: addresses and identification.
type Datagram = (IpAddr, IpAddr, u32);

fn datagram(packet: &Packet<'_>) -> Option<Datagram> {
    packet.views().find_map(|view| {
        let identification = match view.layer.protocol.name {
            "ip" => view.u16(4)?.into(),
            "ipv6.fraghdr" => view.u32(4)?,
            _ => return None,
        };
        let (source, destination) = view.addresses()?;
        Some((source, destination, identification))
    })
}

/// "tcp:0", "tcp:0 to tcp:3".
fn range(low: Stream, high: Stream) -> String {
    if low == high {
        return low.to_string();
    }
    format!("{low} to {high}")
}

impl View for Telling {
    fn interfaces(&mut self, interfaces: &[Arc<Interface>]) {
        if self.anonymise {
            return;
        }
        let names = interfaces
            .iter()
            .map(|interface| interface.name.clone().unwrap_or_default());
        self.options.interfaces = names.collect();
    }

    fn packet(
        &mut self,
        packet: &Packet<'_>,
        around: &Around<'_>,
        _output: &mut Output,
    ) -> io::Result<()> {
        let mut comments = around.comments.iter();
        let mut dropped = comments.find_map(|comment| comment.text.strip_prefix(DROPPED));
        if dropped.is_some() {
            self.incomplete.extend(datagram(packet));
        } else if !packet.buffers.is_empty()
            && datagram(packet).is_some_and(|datagram| self.incomplete.contains(&datagram))
        {
            // The fragments in the file make a datagram that nobody got.
            dropped = Some("");
        }
        let sight = dropped.map_or(Sight::Tap, |_| Sight::Sent);
        let has_row = self.story.packet(packet, sight, &mut self.items);
        if let Some(rule) = dropped {
            // What was written there may name hosts.
            let rule = if self.anonymise { "" } else { rule };
            let rule = Safe(rule.as_bytes()).to_string();
            self.story
                .dropped(packet.frame.number, &rule, &mut self.items);
        }
        if self.form == Form::Html && has_row && !self.chapters.is_full() && self.is_wanted(packet)
        {
            let detail = detail(packet, around, self.story.pseudonyms());
            self.held.insert(packet.frame.number, detail);
        }
        self.gather();
        Ok(())
    }

    fn passed_over(&mut self, packet: &Packet<'_>, _output: &mut Output) -> io::Result<()> {
        self.story.packet(packet, Sight::Aside, &mut self.items);
        self.gather();
        Ok(())
    }

    fn finish(&mut self, output: &mut Output) -> io::Result<()> {
        self.story.finish(&mut self.items);
        self.gather();
        if self.chapters.rows() == 0 {
            self.fault = Some(self.nothing());
            return Ok(());
        }
        let bytes = self.draw()?;
        match self.document.take() {
            Some(document) => self.fault = document.write(&bytes).err().map(Failure::from),
            None => output.bytes = bytes,
        }
        Ok(())
    }

    fn outcome(&mut self) -> Outcome {
        match self.fault.take() {
            Some(fault) => Err(fault),
            None => Ok(Exit::Done),
        }
    }
}
