//! `sockwire read`: the packets of a capture file, as `capture` shows live ones.

use std::{
    ffi::OsString,
    io::{self, ErrorKind, IsTerminal},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use sockwire::{
    file::{self, FileError, Reader},
    filter::begins_filter,
    frame::Source as _,
    link::LinkType,
    sys::signal::Stop,
};

use super::{Exit, Failure, Global, Outcome, number, show::ShowArgs, usage};

const EXAMPLES: &str = "\
Examples:
  sockwire read trace.pcapng                 one line a packet
  sockwire read trace.pcap port 80           only these
  sockwire read -v -c 1 trace.pcap           every field of the first packet
  sockwire read -X trace.pcap.gz udp         with the bytes
  sockwire read --json trace.pcap | jq .     for programs
  sockwire read -r all.pcap -w some.pcapng host 10.0.0.1
  sockwire read trace.pcap -Y 'tcp.flags.syn == 1 && ip.ttl < 64'
  tcpdump -i eth0 -w - | sockwire read -     from a pipe";

/// Shows the packets of a capture file
///
/// FILE is pcap or pcapng, also packed with gzip or zstd (seen by content); - is standard input.
#[derive(clap::Args)]
#[command(before_help = EXAMPLES)]
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
    #[command(flatten)]
    show: ShowArgs,
}

/// Runs the command.
pub(crate) fn run(args: Args, global: &Global) -> Outcome {
    let mut show = args.show;
    let path = match (args.read, args.file) {
        // With -r, the first plain word begins the filter.
        (Some(path), word) => {
            if let Some(word) = word {
                show.filter.insert(0, word.to_string_lossy().into_owned());
            }
            path
        }
        (None, path) => path.unwrap_or_default(),
    };
    let mut reader = open(Path::new(&path), show.write.as_deref(), args.no_limit)?;
    if show.dump > 0 {
        let first = reader.interfaces().first();
        let link = first.map_or(LinkType::ETHERNET, |first| first.link);
        return show.print_program(&show.filters()?.selection.for_file(link)?);
    }
    show.pipeline(global)?.run(&mut reader, false)
}

/// How much is read of which file, for commands that are live without one.
#[derive(clap::Args)]
pub(super) struct FileArgs {
    /// Reads a capture file; - is standard input
    #[arg(short = 'r', long, value_name = "FILE")]
    pub(super) read: Option<PathBuf>,
    /// Reads on where a packed file grows as a decompression bomb does
    #[arg(long)]
    pub(super) no_limit: bool,
    /// Stop after this many packets
    #[arg(short = 'c', long, value_name = "N", value_parser = number::<u64>(1..=u64::MAX, "-c 5"))]
    pub(super) count: Option<u64>,
}

impl FileArgs {
    /// Takes the capture file from the front of `words`: a word that begins no filter, where neither `-r` nor `-i` was
    /// given.
    pub(super) fn take_first_word(&mut self, words: &mut Vec<String>, interfaces: &[String]) {
        let is_file = |word: &String| !begins_filter(word);
        if self.read.is_none() && interfaces.is_empty() && words.first().is_some_and(is_file) {
            self.read = Some(PathBuf::from(words.remove(0)));
        }
    }
}

/// Opens a capture file, or standard input for `-`; `write` is where packets are to be recorded.
pub(super) fn open(path: &Path, write: Option<&Path>, no_limit: bool) -> Result<Reader, Failure> {
    let is_stdin = path.as_os_str() == "-";
    if is_stdin && io::stdin().is_terminal() {
        return Err(usage(
            "standard input is the terminal: pipe a capture into it, or name a file",
        ));
    }
    if write.is_some_and(|write| is_same_file(write, path)) {
        return Err(usage(
            "the output would replace the file that is read: choose another name",
        ));
    }
    // A pipe may have no writer, or a silent one: Ctrl-C must be a clean end there too.
    Stop::install()?;
    let opened = if is_stdin {
        Reader::new(io::stdin(), "standard input")
    } else {
        file::open(path)
    };
    let reader = opened.map_err(failure)?;
    Ok(if no_limit { reader.no_limit() } else { reader })
}

/// Both paths lead to the same file, so that writing one would destroy the other.
pub(super) fn is_same_file(a: &Path, b: &Path) -> bool {
    let id = |path: &Path| {
        path.metadata()
            .ok()
            .map(|m| (m.dev(), m.ino(), m.is_file()))
    };
    matches!((id(a), id(b)), (Some(a), Some(b)) if a == b && a.2)
}

fn failure(error: FileError) -> Failure {
    let exit = match error.io_kind() {
        Some(ErrorKind::NotFound) => Exit::NoSuch,
        Some(ErrorKind::PermissionDenied) => Exit::NotPermitted,
        // A signal came before a pipe had a writer, or before its first byte.
        Some(ErrorKind::Interrupted) => Exit::Done,
        _ => Exit::Damaged,
    };
    Failure::new(exit, error)
}
