//! `sockwire send`: packets from words onto the wire, by the socket that leaves them as they are, and no faster than asked.

mod pace;
mod packets;
mod telling;

use std::path::{Path, PathBuf};

use clap::ValueEnum;
use nix::sys::prctl;
use sockwire::{
    decode::Decoded,
    probe::{
        KernelRoute, Outlet, Via,
        limits::{self, Plan, Rate},
    },
    sys::{clock::Clock, signal::Stop},
    time::Time,
};

use self::{
    pace::Pace,
    packets::{Batch, Packets},
    telling::Telling,
};
use super::{
    Failure, Global, Numeric, Outcome,
    craft::{self, specs::Specs},
    number, permission, privilege, usage,
};

const EXAMPLES: &str = "\
Examples:
  sudo sockwire send ip dst=10.0.0.2 / udp dport=5000 / text=hello
  sudo sockwire send ip dst=10.0.0.2 / tcp dport=22,80,443 flags=S     three packets
  sudo sockwire send -c 10 --interval 0.5 ip dst=10.0.0.2 / icmp
  sudo sockwire send ip dst=10.0.0.2 / udp dport=9 chksum=0xdead / text=wrong
  sudo sockwire send --mtu 576 ip dst=10.0.0.2 / udp dport=9 / random=2000:1
  sudo sockwire send -i eth0 eth dst=02:00:00:00:00:02 type=0x88b5 / hex=00ff
  sockwire send --dry-run ip dst=10.0.0.2 / udp dport=9    shows it, sends nothing";

const SAFETY: &str = "\
Once each and at most 100 packets a second, unless asked; more than 10000 in all want -c. A source that is no address of \
this host, a rate of max or above 10000, broadcasts and multicasts want --yes-really, unless they stay on loopback, in a \
lab, or on a private network that this host is attached to. Tunnels, source routes and bytes given as such are looked into.";

/// Sends packets made from words
///
/// A raw IP socket sends what the kernel would not change; anything else leaves by a packet socket, and is told why.
/// With --rate max, whole Ethernet frames leave by AF_XDP where the kernel has it, past the interface's queue: captures on that
/// interface do not see them.
/// Ctrl-C ends, with the counters on stderr.
#[derive(clap::Args)]
#[command(before_help = EXAMPLES, after_help = SAFETY)]
pub(crate) struct Args {
    /// What to send, such as: ip dst=10.0.0.2 / udp dport=9 / text=hello; see sockwire craft --help
    #[arg(value_name = "SPEC", required_unless_present = "from")]
    words: Vec<String>,
    /// Reads specifications from a file, one a line; lines that begin with # are comments
    #[arg(long, value_name = "FILE", conflicts_with = "words")]
    from: Option<PathBuf>,
    /// How often all of it is sent
    #[arg(short = 'c', long, value_name = "N", value_parser = number::<u64>(1..=u64::MAX, "-c 5"))]
    count: Option<u64>,
    #[command(flatten)]
    speed: SpeedArgs,
    /// Leaves by this interface, whatever the routes say
    #[arg(short = 'i', long = "interface", value_name = "IF")]
    interface: Option<String>,
    /// The kind of socket, instead of the one that fits
    #[arg(long, value_name = "KIND", value_enum)]
    via: Option<Kind>,
    /// Cuts IP packets of more than this many bytes into fragments
    #[arg(long, value_name = "BYTES", value_parser = number::<usize>(28..=65_535, "--mtu 576"))]
    mtu: Option<usize>,
    /// Records what left: .pcap writes pcap, other names pcapng, "-" is standard output
    #[arg(short = 'w', long, value_name = "FILE")]
    write: Option<PathBuf>,
    /// Lets -w replace a file
    #[arg(long)]
    force: bool,
    /// Shows the packets and sends nothing; opens no socket
    #[arg(long, conflicts_with = "write")]
    dry_run: bool,
    /// Each packet as a tree, with where each value comes from
    #[arg(short = 'v', long)]
    verbose: bool,
    /// The counters as one JSON object, and no lines
    #[arg(long, conflicts_with = "verbose")]
    json: bool,
    #[command(flatten)]
    numeric: Numeric,
}

/// How fast, and whether that is meant.
#[derive(clap::Args, Clone, Copy, Debug)]
pub(crate) struct SpeedArgs {
    /// Packets a second, or max [default: 100]
    #[arg(long, value_name = "N", value_parser = rate)]
    rate: Option<Rate>,
    /// Seconds from one packet to the next, instead of a rate
    #[arg(long, value_name = "SECONDS", value_parser = interval, conflicts_with = "rate")]
    interval: Option<Rate>,
    /// Sends what may disturb others
    #[arg(long)]
    yes_really: bool,
}

impl SpeedArgs {
    /// The plan for `packets`, whose number was asked for or not.
    pub(crate) fn plan(&self, packets: u64, counted: bool) -> Plan {
        let usual = Rate::PerSecond(limits::USUAL_RATE);
        Plan {
            packets,
            counted,
            rate: self.rate.or(self.interval).unwrap_or(usual),
            really: self.yes_really,
        }
    }
}

/// The words for [`Via`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Kind {
    /// A raw IP socket: the kernel routes, and corrects IPv4 headers
    Raw,
    /// A packet socket: nothing is changed
    Packet,
}

/// Reads `--rate`.
fn rate(word: &str) -> Result<Rate, String> {
    if word == "max" {
        return Ok(Rate::Max);
    }
    positive(word)
        .map(Rate::PerSecond)
        .ok_or_else(|| "expected packets a second, such as 1000, or max".to_owned())
}

/// Reads `--interval`; nothing between packets is the highest rate.
fn interval(word: &str) -> Result<Rate, String> {
    if word.parse() == Ok(0.0) {
        return Ok(Rate::Max);
    }
    positive(word)
        .map(|seconds| Rate::PerSecond(1.0 / seconds))
        .ok_or_else(|| "expected seconds, such as 0.5".to_owned())
}

/// A number from a billionth to a billion.
fn positive(word: &str) -> Option<f64> {
    let number = word.parse::<f64>().ok()?;
    (1e-9..=1e9).contains(&number).then_some(number)
}

/// Runs the command.
pub(crate) fn run(args: Args, global: &Global) -> Outcome {
    if args.dry_run {
        let form = craft::Shown {
            json: args.json,
            verbose: args.verbose,
            mtu: args.mtu,
        };
        return craft::show(args.words, args.from, form, global);
    }
    if args.json && args.write.as_deref() == Some(Path::new("-")) {
        return Err(usage("-w - and --json both want standard output"));
    }
    let mut source = Specs::open(&args.words, args.from.as_deref(), global)?;
    let mut specs = Vec::new();
    while let Some(spec) = source.next()? {
        specs.push(spec);
    }
    let rounds = args.count.unwrap_or(1);
    let once: u64 = specs
        .iter()
        .fold(0, |n, spec| n.saturating_add(spec.count()));
    let plan = args
        .speed
        .plan(once.saturating_mul(rounds), args.count.is_some());
    plan.check().map_err(usage)?;
    let stop = Stop::install()?;
    let route = KernelRoute::by(args.interface.as_deref()).map_err(permission::of_probe)?;
    let marked = args.verbose && plan.packets <= telling::SHOWN;
    let mut packets = Packets::new(specs, args.mtu, plan, route.clone(), marked)?;
    let mut batch = Batch::default();
    // Everything that fits is built and judged before the first packet leaves.
    packets.fill(&mut batch, packets::STORE)?;
    let via = match args.via {
        Some(Kind::Raw) => Via::RawIp,
        Some(Kind::Packet) => Via::Packet(args.interface.clone()),
        None => Via::Fitting,
    };
    let mut layers = Decoded::default();
    let deciding = packets::frame(batch.deciding(), 1, packets.link(), Time::default());
    let deciding =
        packets::decoded(deciding, &mut layers).ok_or_else(|| usage("the packet is empty"))?;
    let mut outlet = Outlet::open(&deciding, &via, &route).map_err(permission::of_probe)?;
    if plan.rate == Rate::Max {
        outlet.hurry().map_err(permission::of_probe)?;
    }
    for at in (0..batch.len()).take_while(|_| !stop.asked()) {
        outlet.ask_ahead(batch.part(at, 1).0);
    }
    let mut telling = Telling::open(&args, packets.link(), plan.packets, &outlet, global)?;
    // Every socket and file is open.
    privilege::give_up(global)?;
    // Wakes at the time asked for, not up to 50 µs later.
    let _ = prctl::set_timerslack(1);
    let mut sending = Sending {
        outlet,
        pace: Pace::new(plan.rate),
        clock: Clock::start(),
        stop,
        fitting: via == Via::Fitting,
    };
    let sent = sending.all(&mut packets, batch, rounds, &mut telling);
    let told = telling.finish(stop.asked());
    sent.and(told)
}

/// The loop that sends.
struct Sending {
    outlet: Outlet,
    pace: Pace,
    clock: Clock,
    stop: Stop,
    /// No packet may be changed by its socket.
    fitting: bool,
}

impl Sending {
    /// Sends everything `rounds` times, or until a signal. `batch` holds the packets that were built already.
    fn all(
        &mut self,
        packets: &mut Packets,
        mut batch: Batch,
        rounds: u64,
        telling: &mut Telling,
    ) -> Result<(), Failure> {
        if packets.is_done() {
            // All of it is built: it only has to be sent again and again.
            let total = (batch.len() as u64).saturating_mul(rounds);
            batch.repeat(total);
            let mut left = total;
            while left > 0 && !self.stop.asked() {
                let now = left.min(batch.len() as u64) as usize;
                self.batch(&batch, now, telling)?;
                left -= now as u64;
            }
            return Ok(());
        }
        for round in 0..rounds {
            loop {
                self.batch(&batch, batch.len(), telling)?;
                if self.stop.asked() {
                    return Ok(());
                }
                if packets.is_done() {
                    break;
                }
                self.refill(packets, &mut batch)?;
            }
            if round + 1 < rounds {
                packets.rewind();
                self.refill(packets, &mut batch)?;
            }
        }
        Ok(())
    }

    fn refill(&self, packets: &mut Packets, batch: &mut Batch) -> Result<(), Failure> {
        packets.fill(batch, packets::PIECE)?;
        match batch
            .changes()
            .filter(|_| self.fitting && self.outlet.is_raw())
        {
            None => Ok(()),
            Some(what) => Err(usage(format!(
                "a raw IP socket would {what} in a later packet: --via packet"
            ))),
        }
    }

    /// Sends the first `count` packets of `batch` at the pace that was asked for, or until a signal.
    fn batch(&mut self, batch: &Batch, count: usize, telling: &mut Telling) -> Result<(), Failure> {
        let mut at = 0;
        while at < count && !self.stop.asked() {
            let now = self.clock.now();
            let due = self.pace.due(now).min(count - at);
            if due == 0 {
                telling.quiet(now)?;
                self.pace.wait(now);
                continue;
            }
            let (bytes, lengths) = batch.part(at, due);
            match self.outlet.send_many(bytes, lengths) {
                Ok(sent) => {
                    self.pace.left(sent);
                    telling.sent(now, bytes, &lengths[..sent], batch.marks(at, sent))?;
                    at += sent;
                }
                Err(error) => {
                    self.pace.left(1);
                    telling.failed(error);
                    at += 1;
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_and_intervals_say_the_same() {
        assert_eq!(rate("max"), Ok(Rate::Max));
        assert_eq!(rate("0.5"), Ok(Rate::PerSecond(0.5)));
        assert_eq!(interval("2"), Ok(Rate::PerSecond(0.5)));
        assert_eq!(interval("0"), Ok(Rate::Max));
        for wrong in ["0", "-1", "fast", "inf", "nan", "1e99"] {
            assert!(rate(wrong).is_err(), "{wrong}");
        }
        assert!(interval("-0.1").is_err() && interval("x").is_err());
    }
}
