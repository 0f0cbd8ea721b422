//! `sockwire craft`: builds packets from words, and shows or records them. It opens no socket.

mod list;
mod note;
pub(super) mod specs;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use sockwire::{
    craft::{Built, NoRoute, Spec},
    decode::{Decoded, Decoder},
    export::json::Records,
    frame::{Frame, Interface},
    layer::Packet,
    link::LinkType,
    proto::frame::Around,
    render::{
        hex,
        line::{Lines, Options, TimeForm},
        tree,
    },
    sys::signal::Stop,
    time::Time,
};

use super::{
    Exit, Failure, Global, Numeric, Outcome, number,
    output::{self, Output},
    pipeline::{Recorder, now},
    privilege, usage,
};
use specs::Specs;

/// The most packets that the lists of a specification give unless more are asked for.
const MOST: u64 = 10_000;

/// Nanoseconds between the times of recorded packets.
const APART: i64 = 1000;

const EXAMPLES: &str = "\
Examples:
  sockwire craft ip dst=10.0.0.2 ttl=5 / tcp dport=80 flags=S mss=1460 sackok ws=7
  sockwire craft eth / ip dst=10.0.0.2 / udp dport=9 chksum=0xdead / text=hello
  sockwire craft ip dst=10.0.0.0/30 / tcp dport=22,80,443       12 packets, one line each
  sockwire craft --hex ip dst=10.0.0.2 ttl=1..30 / icmp          their bytes
  sockwire craft eth / arp pdst=10.0.0.2 -w request.pcapng
  sockwire read trace.pcapng --as craft | sockwire craft - -w same.pcapng
  sockwire craft --list            the layers
  sockwire craft --list tcp        the words of one";

const NOTATION: &str = "\
A specification is layers from the outermost to the innermost with / between them; in a layer, word=value in any order. \
A field left out is computed, or has its usual value; a field given is kept, also when it is wrong, and the tree says \
which is which. a,b and 1..9 and 10.0.0.0/30 give several values: the packets are the product of all lists. Bytes are \
text=hello%20there, hex=00ff, zeros=18, random=100:SEED, file=NAME; trailer=00ff on any layer stands behind it. A lone \
packet is shown as a tree with its bytes, several as a line each (-v: as trees).";

/// Builds packets from words and shows them: every field with where its value comes from, and the bytes
///
/// Nothing is sent, and no socket is opened.
#[derive(clap::Args, Default)]
#[command(before_help = EXAMPLES, after_help = NOTATION)]
pub(crate) struct Args {
    /// What to build, such as: ip dst=10.0.0.2 / udp dport=53; - reads specifications from standard input, one a line
    #[arg(value_name = "SPEC", required_unless_present_any = ["from", "list"])]
    words: Vec<String>,
    /// Reads specifications from a file, one a line; lines that begin with # are comments
    #[arg(long, value_name = "FILE", conflicts_with = "words")]
    from: Option<PathBuf>,
    /// Lists the layers, or the words of one
    #[arg(long, value_name = "LAYER", num_args = 0..=1, default_missing_value = "", conflicts_with_all = ["words", "from"])]
    list: Option<String>,
    /// Only this many packets: the first
    #[arg(short = 'c', long, value_name = "N", value_parser = number::<u64>(1..=u64::MAX, "-c 5"))]
    count: Option<u64>,
    /// Every packet as a tree; twice also explains each field
    #[arg(short = 'v', long, action = clap::ArgAction::Count)]
    verbose: u8,
    /// The bytes in hexadecimal
    #[arg(short = 'x')]
    dump: bool,
    /// The bytes in hexadecimal and ASCII: what a lone packet is shown with anyway
    #[arg(short = 'X')]
    dump_ascii: bool,
    /// Nothing but the bytes as digits, one packet a line
    #[arg(long, conflicts_with_all = ["json", "verbose", "dump", "dump_ascii"])]
    hex: bool,
    /// One JSON object a packet: the record of read --json, with bytes and states
    #[arg(long, conflicts_with_all = ["verbose", "dump", "dump_ascii"])]
    json: bool,
    /// Records the packets, and prints none of them: .pcap writes pcap, other names pcapng, "-" is standard output
    #[arg(short = 'w', long, value_name = "FILE", conflicts_with = "list")]
    write: Option<PathBuf>,
    /// Prints packets although -w records them
    #[arg(long, requires = "write")]
    print: bool,
    /// Lets -w replace a file
    #[arg(long)]
    force: bool,
    /// Packets longer than this are shown in the fragments that they would leave in
    #[arg(skip)]
    mtu: Option<usize>,
    /// Time of the first packet, in seconds since 1970, instead of now (with -w) or 0; each next is a microsecond later
    #[arg(long, value_name = "SECONDS", value_parser = time)]
    time: Option<Time>,
    #[command(flatten)]
    numeric: Numeric,
}

/// Runs the command.
pub(crate) fn run(args: Args, global: &Global) -> Outcome {
    if let Some(name) = &args.list {
        return list::run(name, args.json, global);
    }
    if args.print && args.write.as_deref() == Some(Path::new("-")) {
        return Err(usage("-w - and --print both want standard output"));
    }
    let mut specs = Specs::open(&args.words, args.from.as_deref(), global)?;
    let mut maker = Maker::new(&args, global)?;
    privilege::give_up(global)?;
    let result = maker.all(&args, &mut specs);
    maker.output.flush()?;
    // A file that was made for nothing goes away again.
    let kept = |recorder: &Recorder| result.is_ok() || recorder.packets() > 0;
    if let Some(recorder) = maker.recorder.take().filter(kept) {
        recorder.finish()?;
    }
    result?;
    if let Some(note) = maker.note {
        global.talk(format_args!("note: {note}"));
    }
    if maker.number == 0 {
        global.talk("there is no specification");
        return Ok(Exit::NoMatch);
    }
    Ok(Exit::Done)
}

/// How a command shows what it would send.
pub(super) struct Shown {
    pub(super) json: bool,
    pub(super) verbose: bool,
    /// Longer packets would leave in fragments.
    pub(super) mtu: Option<usize>,
}

/// Shows the packets of `words`, or of the lines of a file, for commands that would send them.
pub(super) fn show(
    words: Vec<String>,
    from: Option<PathBuf>,
    form: Shown,
    global: &Global,
) -> Outcome {
    let args = Args {
        words,
        from,
        json: form.json,
        verbose: form.verbose.into(),
        mtu: form.mtu,
        ..Args::default()
    };
    run(args, global)
}

/// Reads seconds since 1970, with up to nine decimals.
fn time(word: &str) -> Result<Time, String> {
    let (seconds, decimals) = word.split_once('.').unwrap_or((word, ""));
    let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    let nanos = format!("{decimals:0<9}").parse().ok();
    seconds
        .parse()
        .ok()
        .filter(|_| digits(seconds) && digits(decimals) && decimals.len() <= 9)
        .zip(nanos)
        .map(|(seconds, nanos)| Time::from_parts(seconds, nanos))
        .ok_or_else(|| "expected seconds since 1970, such as 1700000000.25".to_owned())
}

/// What is printed of a packet.
enum Form {
    Nothing,
    Line,
    Tree,
    Hex,
    Json,
}

/// Builds packet after packet, and gives each to the file and the screen.
struct Maker {
    output: Output,
    recorder: Option<Recorder>,
    lines: Lines,
    records: Records,
    tree: tree::Options,
    decoder: Decoder,
    decoded: Decoded,
    built: Built,
    interfaces: Vec<Arc<Interface>>,
    /// Packets so far.
    number: u64,
    time: Time,
    /// What a lone packet is probably not meant to be.
    note: Option<String>,
}

impl Maker {
    fn new(args: &Args, global: &Global) -> Result<Self, Failure> {
        let palette = output::palette(global);
        let recorder = match &args.write {
            Some(path) => Some(Recorder::create(path, args.force, false)?),
            None => None,
        };
        let now = if recorder.is_some() {
            now()
        } else {
            Time::default()
        };
        Ok(Self {
            output: Output::stdout(global.ascii)?,
            recorder,
            lines: Lines::new(Options {
                time: TimeForm::None,
                ascii: global.ascii,
                palette,
                ..Options::default()
            }),
            records: Records::default(),
            tree: tree::Options {
                palette,
                explain: args.verbose > 1,
            },
            decoder: Decoder::default(),
            decoded: Decoded::default(),
            built: Built::default(),
            interfaces: Vec::new(),
            number: 0,
            note: None,
            time: args.time.unwrap_or(now),
        })
    }

    fn all(&mut self, args: &Args, specs: &mut Specs) -> Result<(), Failure> {
        let stop = Stop::install()?;
        let alone = matches!(specs, Specs::One(_));
        let most = args.count.unwrap_or(u64::MAX);
        while self.number < most
            && let Some(spec) = specs.next()?
        {
            let count = spec.count();
            if count > MOST && args.count.is_none() {
                return Err(usage(format!(
                    "the lists give {count} packets, more than {MOST}: -c N builds the first N"
                )));
            }
            let alone = alone && count == 1;
            for n in 0..count.min(most - self.number) {
                if stop.asked() {
                    return Ok(());
                }
                self.packet(&spec, n, args, alone)?;
                self.output.flush_when_full()?;
            }
        }
        Ok(())
    }

    /// Builds packet `n`, records it and shows it; `alone` when there is no other.
    fn packet(&mut self, spec: &Spec, n: u64, args: &Args, alone: bool) -> Result<(), Failure> {
        spec.build(n, &NoRoute, &mut self.built);
        let link = spec.link();
        if let Some(mtu) = args.mtu
            && self.fragments(mtu, link.unwrap_or(LinkType::RAW), args.json)?
        {
            return Ok(());
        }
        self.number += 1;
        let crafted = self.built.packet(link.unwrap_or(LinkType::RAW));
        let frame = Frame {
            number: self.number,
            time: self.time,
            interface: link.map_or(0, |link| interface(&mut self.interfaces, link)),
            ..crafted.frame
        };
        self.time = self.time.plus(APART);
        if let Some(recorder) = &mut self.recorder {
            if link.is_none() {
                return Err(usage(
                    "a recording has to begin with a link layer or IP: put eth / or ip / in front",
                ));
            }
            recorder.write(&frame, &self.interfaces)?;
        }
        let form = match args {
            _ if args.write.is_some() && !args.print => Form::Nothing,
            _ if args.hex => Form::Hex,
            _ if args.json => Form::Json,
            _ if alone || args.verbose > 0 => Form::Tree,
            _ => Form::Line,
        };
        if matches!(form, Form::Hex) {
            self.output.text.push_str(&::hex::encode(frame.bytes));
            self.output.text.push('\n');
        }
        if matches!(form, Form::Nothing | Form::Hex) {
            return Ok(());
        }
        // What begins above IP is no frame that could be decoded.
        self.decoded.clear();
        self.decoder.frame(&frame, &mut self.decoded);
        let decoded = self.decoded.packet_of(frame, 0).filter(|_| link.is_some());
        let packet = decoded.unwrap_or(Packet { frame, ..crafted });
        let text = &mut self.output.text;
        match form {
            Form::Json => {
                let marks = spec.marks(&NoRoute, &self.built);
                self.records
                    .crafted(&packet, &marks, &mut self.output.bytes);
                return Ok(());
            }
            Form::Tree => {
                if alone {
                    self.note = note::of(&self.built.layers, link.map(|_| packet.layers));
                }
                self.lines.packet(&packet, None, text);
                let marks = spec.marks(&NoRoute, &self.built);
                tree::crafted(&packet, &marks, output::columns(), self.tree, text);
            }
            _ => self.lines.packet(&packet, None, text),
        }
        let dump = match (args.dump, alone || args.dump_ascii) {
            (true, _) => Some(hex::Form::Hex),
            (false, true) => Some(hex::Form::HexAscii),
            (false, false) => None,
        };
        if let Some(form) = dump {
            hex::bytes(frame.bytes, form, text);
        }
        Ok(())
    }
}

impl Maker {
    /// Shows the fragments in which the packet would leave, each with a line; none when it fits.
    fn fragments(&mut self, mtu: usize, link: LinkType, json: bool) -> Result<bool, Failure> {
        let (mut bytes, mut lengths) = (Vec::new(), Vec::new());
        let cut = self.built.cut(Some(mtu), 1, &mut bytes, &mut lengths);
        cut.map_err(|error| usage(format!("--mtu {mtu}: {error}")))?;
        if lengths.len() < 2 {
            return Ok(false);
        }
        let mut rest = bytes.as_slice();
        for len in lengths {
            let (fragment, after) = rest.split_at(len as usize);
            rest = after;
            self.number += 1;
            let frame = Frame {
                number: self.number,
                bytes: fragment,
                wire_len: len,
                ..self.built.packet(link).frame
            };
            self.decoded.clear();
            self.decoder.frame(&frame, &mut self.decoded);
            let Some(packet) = self.decoded.packet_of(frame, 0) else {
                continue;
            };
            match json {
                true => {
                    let around = Around::default();
                    self.records
                        .packet(&packet, &around, &mut self.output.bytes);
                }
                false => self.lines.packet(&packet, None, &mut self.output.text),
            }
        }
        Ok(true)
    }
}

/// The number of the interface that stands for packets of `link` in a recording.
fn interface(interfaces: &mut Vec<Arc<Interface>>, link: LinkType) -> u32 {
    let known = interfaces.iter().position(|known| known.link == link);
    known.unwrap_or_else(|| {
        interfaces.push(Arc::new(Interface {
            name: None,
            description: Some("sockwire craft".to_owned()),
            link,
            snaplen: 0,
            filter: None,
        }));
        interfaces.len() - 1
    }) as u32
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn times_have_up_to_nine_decimals() {
        for (word, nanos) in [
            ("0", 0),
            ("1700000000.25", 1_700_000_000_250_000_000),
            ("1.000000001", 1_000_000_001),
        ] {
            assert_eq!(time(word).unwrap().nanos(), nanos);
        }
        for word in ["", "-1", "1.0000000001", "1.+5", "now", "1e9"] {
            assert!(time(word).is_err(), "{word}");
        }
    }
}
