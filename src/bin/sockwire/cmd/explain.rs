//! `sockwire explain`: one packet header by header, drawn as the RFCs do, each field in words, each checksum worked out.

mod digits;
mod links;

use std::{
    ffi::OsString,
    io::{self, IsTerminal, Read as _},
};

use anyhow::{Context as _, anyhow};
use sockwire::{
    decode::{Decoded, Decoder},
    export,
    frame::{Batch, Direction, KernelChecksum, Record},
    layer::Packet,
    link::LinkType,
    proto,
    protocol::Protocol,
    render::{
        explain::{self, COLUMNS, Options},
        line::{self, Lines},
    },
    text::{Safe, near},
    time::Time,
    track::Tracker,
};

use super::{
    Exit, Failure, Global, Numeric, Outcome,
    output::{self, Output, write_wrapped},
    packets::{each, link, no_packet},
    privilege, usage,
};
use links::Links;

/// The most bytes of digits that are read: more than the longest packet has in any form.
const LONGEST: u64 = 4 << 20;

const EXAMPLES: &str = "\
Examples:
  sockwire explain trace.pcapng 3               packet 3, every header
  sockwire explain trace.pcapng 3 tcp           only its TCP header
  sockwire explain --checksum trace.pcapng 3 ip    the checksum step by step
  sockwire explain --json trace.pcapng 3 | jq .    for programs
  tcpdump -i eth0 -c 1 -w - | sockwire explain -   from a pipe
  echo 4500001c0001000040010000 | sockwire explain --hex    bytes as digits";

const USAGE: &str = "\
sockwire explain [OPTIONS] FILE [N] [LAYER]
       sockwire explain [OPTIONS] --hex [LAYER]";

/// Explains one packet: each header drawn with its values, each field in words
///
/// The numbers above the boxes count bits, those to the left of them bytes, both from the start of the header.
#[derive(clap::Args)]
#[command(before_help = EXAMPLES, override_usage = USAGE)]
pub(crate) struct Args {
    /// The capture file (- is standard input), the packet's number (the first if left out), and a protocol
    #[arg(value_name = "FILE N LAYER", required_unless_present_any = ["read", "hex"])]
    words: Vec<OsString>,
    /// The capture file, with tcpdump's letter
    #[arg(short = 'r', long, value_name = "FILE", conflicts_with = "hex")]
    read: Option<OsString>,
    /// Only the headers of this protocol, such as tcp
    #[arg(long, value_name = "NAME")]
    layer: Option<String>,
    /// Reads the bytes of one packet from standard input, as digits or as hexdump -C, xxd and tcpdump -x print them
    #[arg(long)]
    hex: bool,
    /// What those bytes begin with (by tcpdump's name); guessed if left out
    #[arg(long, value_name = "NAME", value_parser = link, requires = "hex")]
    link: Option<LinkType>,
    /// Works out each checksum, step by step
    #[arg(long)]
    checksum: bool,
    /// One JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    numeric: Numeric,
}

/// What is asked for.
struct Ask {
    number: u64,
    protocol: Option<&'static Protocol>,
    checksum: bool,
    json: bool,
}

/// Runs the command.
pub(crate) fn run(mut args: Args, global: &Global) -> Outcome {
    let file = match args.read.take() {
        Some(file) => Some(file),
        None if args.hex => None,
        None => Some(args.words.remove(0)),
    };
    let (mut number, mut name) = (None, args.layer.take());
    for word in &args.words {
        let word = word.to_string_lossy();
        match word.parse() {
            Ok(0) => return Err(usage("packets count from 1")),
            Ok(parsed) if number.is_none() && file.is_some() => number = Some(parsed),
            Err(_) if name.is_none() => name = Some(word.into_owned()),
            _ => {
                return Err(usage(format!(
                    "what is {word} for? one packet is explained"
                )));
            }
        }
    }
    let mut explainer = Explainer::new(
        Ask {
            number: number.unwrap_or(1),
            protocol: name.as_deref().map(protocol).transpose()?,
            checksum: args.checksum,
            json: args.json,
        },
        global,
    );
    let fault = match file {
        Some(file) => each(&file, global, |_, batch| {
            explainer.batch(batch)?;
            Ok(true)
        })?,
        None => {
            explainer.batch(&from_digits(args.link, global)?)?;
            None
        }
    };
    let (wanted, packets) = (explainer.ask.number, explainer.packets);
    if !explainer.finish()? {
        return Err(fault.unwrap_or_else(|| no_packet(wanted, packets)));
    }
    if number.is_none() && packets > 1 {
        global.talk(format_args!(
            "packet 1 of {packets}: a number after the file picks another"
        ));
    }
    fault.map_or(Ok(Exit::Done), Err)
}

/// The protocol with this name or label.
fn protocol(name: &str) -> Result<&'static Protocol, Failure> {
    let name = name.to_lowercase();
    let is_meant = |p: &&&Protocol| p.name == name || p.label.eq_ignore_ascii_case(&name);
    if let Some(protocol) = proto::ALL.iter().find(is_meant) {
        return Ok(protocol);
    }
    let hint = match near(&name, proto::ALL.iter().map(|protocol| protocol.name)) {
        Some(near) => format!("did you mean {near}?"),
        None => "sockwire protocols lists them".to_owned(),
    };
    Err(usage(format!(
        "no protocol is called {}; {hint}",
        Safe(name.as_bytes())
    )))
}

impl Ask {
    /// Which layers are explained.
    fn layers(&self, packet: &Packet<'_>) -> Result<Vec<usize>, Failure> {
        let is_meant = |index: &usize| {
            let layer = packet.layers.get(*index);
            layer.is_some_and(|layer| self.protocol.is_none_or(|p| p.name == layer.protocol.name))
        };
        let layers: Vec<usize> = (0..packet.layers.len()).filter(is_meant).collect();
        match self.protocol {
            Some(protocol) if layers.is_empty() => {
                let names = packet.layers.iter().map(|layer| layer.protocol.name);
                Err(Failure::new(
                    Exit::NoMatch,
                    anyhow!(
                        "packet {} has no {} header; it has: {}",
                        self.number,
                        protocol.name,
                        names.collect::<Vec<_>>().join(", ")
                    ),
                ))
            }
            _ => Ok(layers),
        }
    }
}

/// Waits for the packet, explains it, and then looks for those that speak of it.
struct Explainer<'g> {
    ask: Ask,
    global: &'g Global,
    decoder: Decoder,
    tracker: Tracker,
    decoded: Decoded,
    lines: Lines,
    packets: u64,
    found: Option<Found>,
    links: Links,
}

/// The packet explained, in one form or the other.
enum Found {
    Text(String),
    Json(serde_json::Value),
}

impl<'g> Explainer<'g> {
    fn new(ask: Ask, global: &'g Global) -> Self {
        Self {
            links: Links::to(ask.number),
            ask,
            global,
            decoder: Decoder::default(),
            tracker: Tracker::default(),
            decoded: Decoded::default(),
            lines: Lines::new(line::Options {
                ascii: global.ascii,
                palette: output::palette(global),
                ..line::Options::default()
            }),
            packets: 0,
            found: None,
        }
    }

    /// Takes the next packets.
    fn batch(&mut self, batch: &Batch) -> Result<(), Failure> {
        self.decoder.batch(batch, &mut self.decoded);
        for index in 0..batch.len() {
            self.packets += 1;
            self.tracker
                .packet(&self.decoder, batch, &mut self.decoded, index);
            let Some(packet) = self.decoded.packet(batch, index) else {
                continue;
            };
            self.lines.begin(packet.frame.time);
            if self.found.is_some() {
                self.links.packet(&packet);
            } else if packet.frame.number == self.ask.number {
                let layers = self.ask.layers(&packet)?;
                self.found = Some(if self.ask.json {
                    let object = export::explain::packet(&packet, &layers, self.ask.checksum);
                    Found::Json(object)
                } else {
                    let mut text = String::new();
                    self.lines.packet(&packet, None, &mut text);
                    let options = Options {
                        palette: output::palette(self.global),
                        ascii: self.global.ascii,
                        checksum: self.ask.checksum,
                    };
                    for view in layers.iter().filter_map(|&index| packet.view(index)) {
                        explain::layer(&view, options, &mut text);
                    }
                    Found::Text(text)
                });
            }
        }
        Ok(())
    }

    /// Prints what was found; false when the packet never came.
    fn finish(self) -> io::Result<bool> {
        let mut stdout = Output::stdout(self.global.ascii)?;
        match self.found {
            None => return Ok(false),
            Some(Found::Json(object)) => {
                export::explain::write(object, self.links.shown(), &mut stdout.bytes);
            }
            Some(Found::Text(text)) => {
                stdout.text = text;
                if let Some(words) = self.links.words() {
                    stdout.text.push('\n');
                    write_wrapped(&mut stdout.text, 0, COLUMNS, &words);
                }
            }
        }
        stdout.flush()?;
        Ok(true)
    }
}

/// The one packet whose bytes stand on standard input as digits.
fn from_digits(link: Option<LinkType>, global: &Global) -> Result<Batch, Failure> {
    let damaged = |error| Failure::new(Exit::Damaged, error);
    if io::stdin().is_terminal() {
        global.talk("the packet's bytes as hexadecimal digits, then Ctrl-D:");
    }
    let mut text = Vec::new();
    io::stdin()
        .take(LONGEST + 1)
        .read_to_end(&mut text)
        .context("cannot read standard input")
        .map_err(damaged)?;
    privilege::give_up(global)?;
    if text.len() as u64 > LONGEST {
        return Err(damaged(anyhow!("more digits than any packet has")));
    }
    let found = digits::parse(&String::from_utf8_lossy(&text))
        .map_err(|fault| damaged(anyhow!("standard input: {fault}")))?;
    for note in &found.notes {
        global.talk(note);
    }
    let link = link.unwrap_or_else(|| {
        let (link, why) = digits::guess(&found.bytes);
        global.talk(format_args!(
            "taken as {link}: {why}; --link says otherwise"
        ));
        link
    });
    let wire = digits::wire_length(link, &found.bytes);
    if wire > found.bytes.len() {
        global.talk(format_args!(
            "by its length field the packet has {wire} bytes: {} of them are here",
            found.bytes.len()
        ));
    }
    let record = Record {
        time: Time::default(),
        link,
        interface: 0,
        direction: Direction::Unknown,
        checksum: KernelChecksum::Unknown,
        wire_len: wire as u32,
        start: 0,
        len: found.bytes.len() as u32,
    };
    Ok(Batch::owned(found.bytes, vec![record], 1))
}
