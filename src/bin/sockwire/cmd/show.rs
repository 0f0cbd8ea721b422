//! What `capture` and `read` share: from a source to lines, trees, bytes, JSON and files.

use std::path::PathBuf;

use sockwire::frame::Source;

use super::{Exit, Global, Outcome};

/// What to show of each packet, and where it goes.
#[derive(clap::Args, Clone, Debug, Default)]
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
    /// Names of hosts and services where this machine knows them
    #[arg(short = 'N', long)]
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

/// Everything that is decided before the first packet: the filter compiled, the file opened, the form chosen.
/// `capture` makes it before privileges are dropped.
pub(crate) struct Show {}

impl Show {
    /// Compiles the filter and opens the file of `-w`.
    pub(crate) fn new(_args: &ShowArgs, _global: &Global) -> Result<Self, super::Failure> {
        Ok(Self {})
    }

    /// Shows everything that `source` yields. `live` sources are flushed each second, stopped by signals,
    /// and end with their counters on stderr.
    pub(crate) fn run(self, _source: &mut dyn Source, _live: bool) -> Outcome {
        Ok(Exit::Done)
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
