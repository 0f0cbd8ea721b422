//! The view of `capture` and `read`: packets as lines, trees, bytes and JSON.

use std::{
    fmt::Write as _,
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use clap::ValueEnum;
use jiff::tz::TimeZone;
use sockwire::{
    bpf::Program,
    craft,
    export::json::Records,
    frame::Interface,
    layer::Packet,
    line::LineOptions,
    proto::frame::Around,
    render::{
        bpf, hex,
        line::{Lines, Options, TimeForm, names_interface},
        tree,
    },
    time::Time,
};

use super::{
    Exit, Failure, Global, Outcome, names, number, output,
    output::Output,
    pipeline::{Pipeline, Recorder, View},
    score::Score,
    selecting::{FilterArgs, Filters},
    usage,
};

/// What to show of each packet, and where it goes.
#[derive(clap::Args, Clone, Debug, Default)]
#[command(args_override_self = true)]
pub(crate) struct ShowArgs {
    /// Stop after this many packets
    #[arg(short = 'c', long, value_name = "N", value_parser = number::<u64>(1..=u64::MAX, "-c 5"))]
    pub(crate) count: Option<u64>,
    /// One JSON object a packet
    #[arg(long, conflicts_with_all = ["hex", "hex_ascii", "ascii_dump", "verbose"])]
    pub(crate) json: bool,
    /// craft prints each packet in the words of sockwire craft, which would make the same bytes again
    #[arg(long = "as", value_name = "FORM", conflicts_with_all = ["json", "hex", "hex_ascii", "ascii_dump"])]
    pub(crate) form: Option<Form>,
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
    /// Records the packets, and prints none of them: .pcap writes pcap, other names pcapng, "-" is standard output; a new file is readable by you only
    #[arg(short = 'w', long, value_name = "FILE")]
    pub(crate) write: Option<PathBuf>,
    /// Prints packets although -w records them
    #[arg(long, requires = "write")]
    pub(crate) print: bool,
    /// Lets -w replace a file
    #[arg(long)]
    pub(crate) force: bool,
    #[command(flatten)]
    pub(crate) filters: FilterArgs,
    /// Prints what the filter compiles to, and stops; -dd as C, -ddd as numbers
    #[arg(short = 'd', action = clap::ArgAction::Count)]
    pub(crate) dump: u8,
    /// Which packets: a pcap filter such as: port 80 and host 10.0.0.1
    #[arg(value_name = "FILTER")]
    pub(crate) filter: Vec<String>,
}

/// What packets are printed as, beside lines.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Form {
    /// The notation of `craft`
    Craft,
}

impl ShowArgs {
    /// Both filters, compiled.
    pub(super) fn filters(&self) -> Result<Filters, Failure> {
        self.filters.compile(&self.filter, self.numeric == 0)
    }

    /// Prints the program of `-d`.
    pub(super) fn print_program(&self, program: &Program) -> Outcome {
        let mut text = String::new();
        let form = match self.dump {
            1 => bpf::assembler,
            2 => bpf::c_array,
            _ => bpf::decimal,
        };
        form(program.instructions(), &mut text);
        output::print(&text)?;
        Ok(Exit::Done)
    }

    /// Compiles the filter and opens the file of `-w`.
    pub(super) fn pipeline(&self, global: &Global) -> Result<Pipeline<Show>, Failure> {
        if self.print && self.write.as_deref() == Some(Path::new("-")) {
            return Err(usage("-w - and --print both want standard output"));
        }
        let show = Show::new(self, global)?;
        let filters = self.filters()?;
        let recorder = match &self.write {
            Some(path) => Some(Recorder::create(path, self.force, self.packet_buffered)?),
            None => None,
        };
        Pipeline::new(show, filters, recorder, self.count, global)
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

/// What is printed of a packet.
pub(crate) struct Show {
    /// False with `-w` alone.
    prints: bool,
    lines: Lines,
    records: Option<Records>,
    /// Packets are printed in the notation of `craft`.
    score: Option<Score>,
    tree: Option<tree::Options>,
    bytes: Option<(hex::Form, bool)>,
    /// How many the source has.
    interfaces: usize,
}

impl Show {
    fn new(args: &ShowArgs, global: &Global) -> Result<Self, Failure> {
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
        Ok(Self {
            prints: args.write.is_none() || args.print,
            lines,
            records: args.json.then(Records::default),
            score: args.form.map(|Form::Craft| Score::default()),
            tree: (args.verbose > 0).then_some(tree::Options {
                palette,
                explain: args.verbose > 1,
            }),
            bytes: args.bytes(),
            interfaces: 0,
        })
    }
}

impl View for Show {
    fn shows(&self) -> bool {
        self.prints
    }

    fn interfaces(&mut self, interfaces: &[Arc<Interface>]) {
        self.interfaces = interfaces.len();
    }

    fn begin(&mut self, time: Time) {
        self.lines.begin(time);
    }

    fn packet(
        &mut self,
        packet: &Packet<'_>,
        around: &Around<'_>,
        output: &mut Output,
    ) -> io::Result<()> {
        if let Some(records) = &mut self.records {
            records.packet(packet, around, &mut output.bytes);
            return Ok(());
        }
        if let Some(score) = &mut self.score {
            let text = &mut output.text;
            if self.tree.is_some() {
                // Writing to a String cannot fail.
                let _ = writeln!(text, "# {} at {}", packet.frame.number, packet.frame.time);
            }
            score.add(&craft::print(packet, text));
            text.push('\n');
            return Ok(());
        }
        let interface = around
            .interface
            .filter(|_| names_interface(self.interfaces, packet.frame.link));
        self.lines.packet(packet, interface, &mut output.text);
        if let Some(options) = self.tree {
            tree::packet(packet, around, options, &mut output.text);
        }
        if let Some((form, link_header)) = self.bytes {
            hex::packet(packet, form, link_header, &mut output.text);
        }
        Ok(())
    }

    fn last_words(&self, _: bool) -> Option<String> {
        self.score.as_ref().map(Score::words)
    }
}
