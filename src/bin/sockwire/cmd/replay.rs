//! `sockwire replay`: a capture onto the wire again, or into a file, with other addresses, ports and tags.

mod sending;

use std::{fmt::Write as _, path::PathBuf};

use anyhow::anyhow;
use clap::ValueEnum;
use jiff::tz::TimeZone;
use sockwire::{
    craft::rewrite::{LeftOut, Mend, Rewriter, Rewriting, Rule, Vlan},
    decode::{Decoded, Decoder},
    filter::DisplayFilter,
    frame::{Batch, Frame, Interface, SourceError},
    line::LineOptions,
    link::LinkType,
    probe::replay::Speed,
    proto::frame::Around,
    render::line::{Lines, Options, TimeForm},
    sys::signal::Stop,
    track::Tracker,
};

use super::{
    Exit, Failure, Global, Numeric, Outcome,
    gather::{self, End},
    number,
    output::{self, Output},
    pipeline::{Recorder, exit_of},
    privilege, read,
    selecting::{FilterArgs, Sifter},
};

const EXAMPLES: &str = "\
Examples:
  sudo sockwire replay trace.pcap udp --map ip.dst:10.0.0.2=10.0.0.9     by the route to the new address
  sudo sockwire replay trace.pcap -i eth0 --speed 2                      frames as they are, twice as fast
  sudo sockwire replay trace.pcap --map port:53=5353 --rate 10 -c 5
  sudo sockwire replay trace.pcap -i veth0 --rate max --loop 100 -c 100000
  sockwire replay trace.pcap --dry-run -w new.pcapng --map addr:10.1.0.0/16=10.2.0.0/16 --vlan 7
  sockwire replay trace.pcap --dry-run --map mac:02:00:00:00:00:01=02:00:00:00:00:09 --set ttl=3

Fields have the names of craft (tcp.dport) or Wireshark (tcp.dstport); addr, port, mac and ttl are all of their kind.
--map also changes the packets that ICMP errors quote. Names and addresses inside payloads stay as they are.
A TCP server picks its own sequence numbers, so a recorded connection cannot go on with it.";

/// Sends a capture again, rewritten, at its own speed or another
///
/// With -i, Ethernet frames leave on that interface as the file has them; without, IP packets go where the route to their
/// destination leads. Checksums follow what changed; those left to a device are filled in.
#[derive(clap::Args)]
#[command(before_help = EXAMPLES)]
pub(crate) struct Args {
    /// The capture file; - is standard input
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// These values become those, wherever the field stands: ip.dst:10.0.0.2=10.0.0.9
    #[arg(long, value_name = "FIELD:OLD=NEW[,…]", value_parser = Rule::map)]
    map: Vec<Rule>,
    /// The field gets this value in every packet, after --map: ip.ttl=3
    #[arg(long, value_name = "FIELD=VALUE", value_parser = Rule::set)]
    set: Vec<Rule>,
    /// Frames get this VLAN's tag, or none
    #[arg(long, value_name = "ID|none", value_parser = vlan)]
    vlan: Option<Vlan>,
    /// Which checksums are made right: of what changed (a wrong one stays wrong), all, or none
    #[arg(long, value_name = "WHICH", value_enum, default_value_t = Which::Changed)]
    mend: Which,
    /// Sends packets that the snapshot length cut as well, with zeros for what is missing
    #[arg(long, value_name = "zeros", value_enum)]
    fill: Option<Filling>,
    /// Cuts longer IP packets into fragments, in bytes from the IP header on
    #[arg(long, value_name = "BYTES", value_parser = number::<u32>(68..=65_535, "--mtu 1400"))]
    mtu: Option<u32>,
    /// So many times as fast as recorded
    #[arg(long, value_name = "FACTOR", default_value = "1", value_parser = factor, conflicts_with = "rate")]
    speed: f64,
    /// So many packets a second, or max
    #[arg(long, value_name = "N|max", value_parser = rate)]
    rate: Option<Speed>,
    /// Sends all of it so many times
    #[arg(long = "loop", value_name = "N", default_value_t = 1, value_parser = number::<u64>(1..=u64::MAX, "--loop 3"))]
    rounds: u64,
    /// Stop after this many packets
    #[arg(short = 'c', long, value_name = "N", value_parser = number::<u64>(1..=u64::MAX, "-c 5"))]
    count: Option<u64>,
    /// Leave by this interface, with the link headers of the file
    #[arg(short = 'i', long, value_name = "IF")]
    interface: Option<String>,
    /// Opens no socket: prints what would be sent, or writes it with -w
    #[arg(long)]
    dry_run: bool,
    /// Records what was sent (with --dry-run: what would be); .pcap writes pcap, other names pcapng
    #[arg(short = 'w', long, value_name = "FILE")]
    write: Option<PathBuf>,
    /// Lets -w replace a file
    #[arg(long)]
    force: bool,
    /// Sends also what could trouble strangers: see the refusal that names this
    #[arg(long)]
    yes_really: bool,
    #[command(flatten)]
    filters: FilterArgs,
    /// Which packets: a pcap filter such as: udp port 53
    #[arg(value_name = "FILTER")]
    filter: Vec<String>,
    #[command(flatten)]
    numeric: Numeric,
}

/// The words for [`Mend`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Which {
    All,
    Changed,
    None,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Filling {
    Zeros,
}

fn vlan(word: &str) -> Result<Vlan, String> {
    match word {
        "none" => Ok(Vlan::None),
        id => number::<u16>(0..=4094, "--vlan 7")(id).map(Vlan::Id),
    }
}

fn factor(word: &str) -> Result<f64, String> {
    let factor = word.parse().ok();
    factor
        .filter(|factor: &f64| (1e-6..=1e9).contains(factor))
        .ok_or_else(|| "expected a factor such as 2 or 0.5".to_owned())
}

fn rate(word: &str) -> Result<Speed, String> {
    if word == "max" {
        return Ok(Speed::Max);
    }
    factor(word)
        .map(Speed::PerSecond)
        .map_err(|_| "expected packets a second, such as --rate 1000, or max".to_owned())
}

impl Args {
    fn speed(&self) -> Speed {
        self.rate.unwrap_or(Speed::Recorded(self.speed))
    }

    fn rewriting(&self, without_link: bool) -> Rewriting {
        Rewriting {
            rules: self.map.iter().chain(&self.set).cloned().collect(),
            vlan: self.vlan,
            mend: match self.mend {
                Which::All => Mend::All,
                Which::Changed => Mend::Changed,
                Which::None => Mend::None,
            },
            fill: self.fill.is_some(),
            without_link,
        }
    }
}

/// Runs the command.
pub(crate) fn run(args: Args, global: &Global) -> Outcome {
    let filters = args.filters.compile(&args.filter, true)?;
    let reader = read::open(&args.file, args.write.as_deref(), false)?;
    let recorder = match &args.write {
        Some(path) => Some(Recorder::create(path, args.force, false)?),
        None => None,
    };
    let choosing = Choosing {
        sifter: (!filters.selection.filter().is_empty()).then(|| filters.selection.sifter()),
        display: filters.display,
        decoder: Decoder::default(),
        decoded: Decoded::default(),
        tracker: Tracker::default(),
    };
    let from = From {
        reader,
        choosing,
        tally: Tally::default(),
    };
    if args.dry_run {
        privilege::give_up(global)?;
        return dry_run(&args, from, recorder, global);
    }
    sending::run(&args, from, recorder, global)
}

/// The file, and what is wanted of it.
struct From {
    reader: sockwire::file::Reader,
    choosing: Choosing,
    tally: Tally,
}

/// What became of the file's packets.
#[derive(Default)]
struct Tally {
    seen: u64,
    refused: u64,
    ready: u64,
    tcp: u64,
    /// Reasons in the order in which they came up.
    left_out: Vec<(String, u64)>,
}

impl Tally {
    fn leave_out(&mut self, why: &str) {
        match self.left_out.iter_mut().find(|(known, _)| known == why) {
            Some((_, count)) => *count += 1,
            None => self.left_out.push((why.to_owned(), 1)),
        }
    }

    /// What a user should know before anything is sent.
    fn say(&self, global: &Global) {
        let mut text = format!("{} packets = {} ready", self.seen, self.ready);
        if self.refused > 0 {
            let _ = write!(text, " + {} filtered", self.refused);
        }
        for (why, count) in &self.left_out {
            let _ = write!(text, " + {count} left out: {why}");
        }
        global.talk(text);
        if self.tcp > 0 {
            global.talk(format_args!(
                "note: {} of them belong to TCP connections: a server picks its own sequence numbers, so it takes no part in \
                 a recorded connection (sockwire handshake makes one by hand)",
                self.tcp
            ));
        }
    }
}

/// The filters at work.
struct Choosing {
    sifter: Option<Sifter>,
    display: Option<DisplayFilter>,
    decoder: Decoder,
    decoded: Decoded,
    tracker: Tracker,
}

impl Choosing {
    /// For each packet of the batch, whether it is wanted.
    fn wanted(
        &mut self,
        batch: &Batch,
        interfaces: &[std::sync::Arc<Interface>],
    ) -> Result<Vec<bool>, Failure> {
        let mut wanted = vec![true; batch.len()];
        if let Some(sifter) = &mut self.sifter {
            for (frame, wanted) in batch.frames().zip(&mut wanted) {
                let takes = sifter.takes(&frame);
                *wanted = takes.map_err(|error| Failure::new(Exit::Usage, error))?;
            }
        }
        if let Some(display) = &self.display {
            let decoded = &mut self.decoded;
            self.decoder.chosen(batch, decoded, |index| wanted[index]);
            for (index, wanted) in wanted.iter_mut().enumerate().filter(|(_, wanted)| **wanted) {
                self.tracker.packet(&self.decoder, batch, decoded, index);
                let packet = decoded.packet(batch, index);
                let around = Around::of(interfaces, batch, index);
                *wanted = packet.is_some_and(|packet| display.matches(&packet, &around));
            }
        }
        Ok(wanted)
    }
}

impl From {
    /// Hands every rewritten packet to `take`, which says why it cannot go, or whether more are wanted. Returns the fault
    /// in the file, if there was one.
    fn each(
        &mut self,
        mut rewriter: Rewriter,
        mut take: impl FnMut(&Frame<'_>, LinkType, &[u8]) -> Result<Taken, Failure>,
    ) -> Result<Option<SourceError>, Failure> {
        let stop = Stop::install()?;
        let (choosing, tally) = (&mut self.choosing, &mut self.tally);
        let mut bytes = Vec::new();
        let mut full = false;
        let end = gather::batches(&mut self.reader, &stop, |batch, interfaces| {
            if full {
                return Ok(());
            }
            let wanted = choosing.wanted(batch, interfaces)?;
            for (frame, wanted) in batch.frames().zip(wanted) {
                if full {
                    return Ok(());
                }
                tally.seen += 1;
                if !wanted {
                    tally.refused += 1;
                    continue;
                }
                bytes.clear();
                let rewritten = match rewriter.frame(&frame, &mut bytes) {
                    Ok(rewritten) => rewritten,
                    Err(why) => {
                        tally.leave_out(LeftOut::words(why));
                        continue;
                    }
                };
                match take(&frame, rewritten.link, &bytes)? {
                    Taken::Out(why) => {
                        tally.leave_out(&why);
                        continue;
                    }
                    Taken::In => {}
                    Taken::Last => full = true,
                }
                tally.ready += 1;
                tally.tcp += u64::from(rewritten.is_tcp);
            }
            Ok(())
        })?;
        Ok(match end {
            End::Fault(fault) => Some(fault),
            End::Whole | End::Stopped => None,
        })
    }
}

/// What became of a rewritten packet.
enum Taken {
    In,
    /// It is the last one wanted.
    Last,
    /// It cannot be sent, for this reason.
    Out(String),
}

/// Prints what would be sent, or writes it to a file.
fn dry_run(
    args: &Args,
    mut from: From,
    mut recorder: Option<Recorder>,
    global: &Global,
) -> Outcome {
    let mut output = Output::stdout(global.ascii)?;
    let mut lines = Lines::new(Options {
        time: TimeForm::Relative,
        nano: false,
        zone: TimeZone::system(),
        link_header: args.interface.is_some(),
        ascii: global.ascii,
        palette: output::palette(global),
        line: LineOptions::default(),
    });
    let (decoder, mut decoded) = (Decoder::default(), Decoded::default());
    let mut given = 0;
    let rewriter = Rewriter::new(args.rewriting(false));
    let fault = from.each(rewriter, |frame, link, bytes| {
        let frame = again(frame, link, bytes);
        match &mut recorder {
            Some(recorder) => recorder.write(&frame, &[])?,
            None => {
                decoded.clear();
                decoder.frame(&frame, &mut decoded);
                if let Some(packet) = decoded.packet_of(frame, 0) {
                    lines.packet(&packet, None, &mut output.text);
                    output.flush_when_full()?;
                }
            }
        }
        given += 1;
        Ok(match Some(given) == args.count {
            true => Taken::Last,
            false => Taken::In,
        })
    })?;
    output.flush()?;
    if let Some(recorder) = recorder {
        recorder.finish()?;
    }
    from.tally.say(global);
    ended(&from.tally, fault)
}

/// The frame as it is to be sent.
fn again<'a>(frame: &Frame<'_>, link: LinkType, bytes: &'a [u8]) -> Frame<'a> {
    Frame {
        number: frame.number,
        time: frame.time,
        link,
        interface: 0,
        direction: Default::default(),
        checksum: Default::default(),
        wire_len: bytes.len() as u32,
        bytes,
    }
}

/// The exit code: that of a fault in the file comes first; nothing to send is no match.
fn ended(tally: &Tally, fault: Option<SourceError>) -> Outcome {
    match fault {
        Some(fault) => Err(Failure::new(exit_of(fault.kind), fault)),
        None if tally.ready == 0 && tally.seen == 0 => Err(Failure::new(
            Exit::NoMatch,
            anyhow!("the file has no packets"),
        )),
        None if tally.ready == 0 => Err(Failure::new(Exit::NoMatch, anyhow!("nothing to send"))),
        None => Ok(Exit::Done),
    }
}
