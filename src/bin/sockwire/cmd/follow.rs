//! `sockwire follow`: what the two ends of a stream said to each other, its bytes in order.

mod json;
mod list;
mod text;

use std::{
    fs::{self, File, OpenOptions},
    io::{self, IsTerminal, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use anyhow::anyhow;
use clap::ValueEnum;
use sockwire::{
    layer::Packet,
    proto::frame::Around,
    text::Safe,
    track::{
        flow::Transport,
        stream::{self, Id, Keep, Limits, Outline, Piece, Stream, Streams, What},
    },
};

use super::{
    Exit, Failure, Global, Numeric, Outcome, number, output,
    output::Output,
    pipeline::{Pipeline, View},
    read,
    selecting::FilterArgs,
    usage,
};

const EXAMPLES: &str = "\
Examples:
  sockwire follow trace.pcapng               the streams in it, or its only one
  sockwire follow trace.pcapng tcp:0         what both ends of a connection said (0 means tcp:0)
  sockwire follow trace.pcapng udp:3 --hex   datagrams, byte by byte
  sockwire follow trace.pcapng 0 --raw --side server -o reply.bin
  sockwire follow trace.pcapng 0 --json      one object a piece";

/// Bytes in a mebibyte.
const MIB: u64 = 1 << 20;
/// Permissions of a new file: streams hold passwords and private words.
const PRIVATE: u32 = 0o600;

/// Shows the bytes of a TCP or UDP stream in order, both ways
///
/// Bytes that came twice are shown once, as they came first; missing ones are gaps with their length. → marks what the
/// client sent, ← what the server sent; a + behind it goes on with the same datagram, or in hexadecimal the same packet.
/// The exit code is 1 when there is not one byte, 4 when there is no such stream.
#[derive(clap::Args)]
#[command(before_help = EXAMPLES)]
pub(crate) struct Args {
    /// The capture file; - is standard input
    #[arg(short = 'r', long, value_name = "FILE")]
    read: Option<PathBuf>,
    /// Bytes in hexadecimal, with their offsets in the side's stream
    #[arg(long)]
    hex: bool,
    /// The bytes themselves, and nothing else; gaps are told on stderr
    #[arg(long, requires = "side", conflicts_with = "hex")]
    raw: bool,
    /// One object a piece
    #[arg(long, conflicts_with_all = ["hex", "raw"])]
    json: bool,
    /// Only what this side sent
    #[arg(long, value_enum, value_name = "SIDE")]
    side: Option<Side>,
    /// Writes the raw bytes to a new file, readable by you only; - is standard output
    #[arg(short = 'o', long, value_name = "FILE", requires = "raw")]
    output: Option<PathBuf>,
    /// Lets -o replace a file, and raw bytes go to a terminal
    #[arg(long, requires = "raw")]
    force: bool,
    /// Mebibytes that are kept of each direction; what comes after is counted
    #[arg(long, value_name = "MIB", default_value_t = 256, value_parser = number::<u64>(0..=1 << 20, "--memory 1024"))]
    memory: u64,
    /// Reads on where a packed file grows as a decompression bomb does
    #[arg(long)]
    no_limit: bool,
    #[command(flatten)]
    numeric: Numeric,
    /// A capture file, and which stream: tcp:0, udp:0, or 0 for tcp:0
    #[arg(value_name = "FILE|STREAM", num_args = 0..=2)]
    words: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Side {
    /// The end that opened
    Client,
    /// The other end
    Server,
}

impl From<Side> for stream::Side {
    fn from(side: Side) -> Self {
        match side {
            Side::Client => Self::Client,
            Side::Server => Self::Server,
        }
    }
}

/// Runs the command.
pub(crate) fn run(mut args: Args, global: &Global) -> Outcome {
    let (path, wanted) = chosen(&args)?;
    // "-" is standard output.
    args.output.take_if(|path| path.as_os_str() == "-");
    if let Some(path) = args
        .output
        .as_deref()
        .filter(|path| path.exists() && !args.force)
    {
        return Err(unwritten(path, io::ErrorKind::AlreadyExists.into()));
    }
    let to_terminal = args.raw && args.output.is_none() && io::stdout().is_terminal();
    if to_terminal && !args.force {
        return Err(usage(
            "raw bytes can upset a terminal: name a file with -o, pipe them on, or insist with --force",
        ));
    }
    let keep = wanted.map_or(Keep::Sole, Keep::One);
    let mut streams = Streams::new(keep, limits(args.memory));
    let mut reader = read::open(&path, args.output.as_deref(), args.no_limit)?;
    let filters = FilterArgs::default().compile(&[], false)?;
    let view = Feed(&mut streams);
    let read = Pipeline::new(view, filters, None, None, global)?.run(&mut reader, false);
    // What was good before a fault is shown.
    let shown = show(&args, wanted, &mut streams, global)?;
    read.map(|_| shown)
}

/// The file, and the stream where one is named.
fn chosen(args: &Args) -> Result<(PathBuf, Option<Id>), Failure> {
    let (path, word) = match (&args.read, args.words.as_slice()) {
        (Some(path), []) => (path.clone(), None),
        (Some(path), [word]) => (path.clone(), Some(word)),
        (None, [path]) => (PathBuf::from(path), None),
        (None, [path, word]) => (PathBuf::from(path), Some(word)),
        (Some(_), _) => return Err(usage("with -r FILE, one stream is named at most: tcp:0")),
        (None, _) => {
            return Err(usage(
                "which file? for example: sockwire follow trace.pcapng",
            ));
        }
    };
    Ok((path, word.map(|word| id(word)).transpose()?))
}

/// `tcp:0`, `udp:0`, `0`.
fn id(word: &str) -> Result<Id, Failure> {
    let (transport, number) = word.split_once(':').unwrap_or(("tcp", word));
    let transport = match transport {
        "tcp" => Some(Transport::Tcp),
        "udp" => Some(Transport::Udp),
        _ => None,
    };
    match (transport, number.parse()) {
        (Some(transport), Ok(number)) => Ok(Id { transport, number }),
        _ => Err(usage(format!(
            "{} names no stream: write tcp:0, udp:0, or 0 for tcp:0",
            Safe(word.as_bytes())
        ))),
    }
}

fn limits(mebibytes: u64) -> Limits {
    Limits {
        side: mebibytes * MIB,
        // The other direction, and room for the list.
        all: (mebibytes * 2).max(256) * MIB,
    }
}

/// Hands every packet to the streams.
struct Feed<'a>(&'a mut Streams);

impl View for Feed<'_> {
    fn packet(
        &mut self,
        packet: &Packet<'_>,
        _around: &Around<'_>,
        _output: &mut Output,
    ) -> io::Result<()> {
        self.0.packet(packet);
        Ok(())
    }
}

fn show(args: &Args, wanted: Option<Id>, streams: &mut Streams, global: &Global) -> Outcome {
    let outlines: Vec<Outline> = streams.outlines().collect();
    if streams.unlisted() > 0 {
        let packets = streams.unlisted();
        global.talk(format_args!(
            "note: {packets} packets of further streams are not listed, for want of room: give more with --memory"
        ));
    }
    let wanted = match (wanted, outlines.as_slice()) {
        (_, []) => {
            global.talk("there is no TCP or UDP stream in it");
            return Ok(Exit::NoMatch);
        }
        (Some(id), _) => id,
        (None, [only]) => only.id,
        (None, _) if args.raw => {
            return Err(usage(format!("which stream? {}", list::names(&outlines))));
        }
        (None, _) => {
            let mut out = Output::stdout(global.ascii)?;
            list::write(&outlines, args.json, global.ascii, &mut out)?;
            out.flush()?;
            global.talk("Name one to see its bytes: sockwire follow FILE tcp:0");
            return Ok(Exit::Done);
        }
    };
    let Some(stream) = streams.take(wanted) else {
        return Err(Failure::new(
            Exit::NoSuch,
            anyhow!("no stream {wanted}: {}", list::names(&outlines)),
        ));
    };
    let side = args.side.map(stream::Side::from);
    print(args, &stream, side, global)?;
    told(&stream, side, global);
    let kept = stream::Side::BOTH
        .into_iter()
        .filter(|&each| side.is_none_or(|side| side == each))
        .any(|side| stream.totals[side].data > 0);
    if !kept {
        global.talk(format_args!("not one byte of {wanted} is there"));
        return Ok(Exit::NoMatch);
    }
    Ok(Exit::Done)
}

fn print(
    args: &Args,
    stream: &Stream,
    side: Option<stream::Side>,
    global: &Global,
) -> Result<(), Failure> {
    let pieces = stream
        .pieces()
        .filter(|piece| side.is_none_or(|side| side == piece.side));
    if args.raw {
        return raw(args, pieces);
    }
    let mut out = Output::stdout(global.ascii)?;
    if args.json {
        for piece in pieces {
            json::piece(stream, &piece, &mut out.bytes);
            out.flush_when_full()?;
        }
    } else {
        let mut text = text::Text::new(stream, args.hex, output::palette(global), global.ascii);
        text.head(&mut out.text);
        for piece in pieces {
            text.piece(&piece, &mut out.text);
            out.flush_when_full()?;
        }
        text.end_line(&mut out.text);
    }
    Ok(out.flush()?)
}

/// The bytes themselves.
fn raw<'a>(args: &Args, pieces: impl Iterator<Item = Piece<'a>>) -> Result<(), Failure> {
    let Some(path) = &args.output else {
        return Ok(write_raw(&mut output::stdout()?, pieces)?);
    };
    let mut file = create(path, args.force).map_err(|error| unwritten(path, error))?;
    write_raw(&mut file, pieces).map_err(|error| {
        // Half a file would pass for the whole.
        if path.is_file() {
            let _ = fs::remove_file(path);
        }
        unwritten(path, error)
    })
}

fn unwritten(path: &Path, error: io::Error) -> Failure {
    let name = Safe(path.as_os_str().as_encoded_bytes()).to_string();
    let advice = match error.kind() {
        io::ErrorKind::AlreadyExists => " (--force replaces it)",
        _ => "",
    };
    let error = anyhow::Error::new(error).context(format!("cannot write {name}{advice}"));
    Failure::new(Exit::WriteFailed, error)
}

/// A new file for its owner alone; with `force` one that exists is emptied, never through a symbolic link.
fn create(path: &Path, force: bool) -> io::Result<File> {
    let mut how = OpenOptions::new();
    how.write(true).mode(PRIVATE).custom_flags(libc::O_NOFOLLOW);
    if force {
        how.create(true).truncate(true);
    } else {
        how.create_new(true);
    }
    how.open(path)
}

fn write_raw<'a>(to: &mut File, pieces: impl Iterator<Item = Piece<'a>>) -> io::Result<()> {
    let mut to = io::BufWriter::new(to);
    for piece in pieces {
        if let What::Data(bytes) = piece.what {
            to.write_all(bytes)?;
        }
    }
    to.flush()
}

/// What is not in the bytes shown, on stderr.
fn told(stream: &Stream, side: Option<stream::Side>, global: &Global) {
    let sides = [
        (stream::Side::Client, "client"),
        (stream::Side::Server, "server"),
    ];
    for (each, name) in sides {
        let totals = &stream.totals[each];
        let parts: Vec<String> = [
            (totals.missing, "not in the capture"),
            (totals.not_captured, "cut by the snapshot length"),
            (totals.not_kept, "beyond --memory"),
            (totals.outside, "outside of the stream"),
        ]
        .into_iter()
        .filter(|(bytes, _)| *bytes > 0)
        .map(|(bytes, why)| format!("{bytes} {why}"))
        .collect();
        if !parts.is_empty() && side.is_none_or(|side| side == each) {
            global.talk(format_args!(
                "{name}: {} bytes shown; left out: {}",
                totals.data,
                parts.join(", ")
            ));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bare_number_means_tcp() {
        let named = |word| id(word).map(|id| id.to_string()).ok();
        assert_eq!(named("7").as_deref(), Some("tcp:7"));
        assert_eq!(named("tcp:7").as_deref(), Some("tcp:7"));
        assert_eq!(named("udp:0").as_deref(), Some("udp:0"));
        for word in [
            "",
            "tcp",
            "sctp:1",
            "tcp:",
            "-1",
            "tcp:4294967296",
            "\x1b[2J",
        ] {
            assert_eq!(named(word), None, "{word}");
        }
    }
}
