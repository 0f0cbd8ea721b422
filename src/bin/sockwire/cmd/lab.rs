//! `sockwire lab`: a scenario played in a private network, its packets drawn as a ladder while they travel.

mod mistake;
mod patience;
mod programs;
mod run;
mod shell;
mod telling;

use std::{
    io::{self, Write},
    ops::ControlFlow,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use clap::{
    ValueEnum,
    builder::{PathBufValueParser, PossibleValuesParser, TypedValueParser as _},
};
use sockwire::{
    capture::{self, CaptureError},
    lab::{
        self, Drop, Event, Host, LabError, Link, Plan, Scenario, loopback, namespaces,
        refusal::Way, scenario, smoltcp,
    },
    sys::signal::Stop,
    time::MILLISECOND,
};

use self::telling::Telling;
use super::{Exit, Failure, Global, Outcome, number, permission, recording::Recording};

const EXAMPLES: &str = "\
Examples:
  sockwire lab handshake                   a TCP connection from SYN to TIME-WAIT
  sockwire lab lost-syn                    the same when the first SYN is lost
  sockwire lab udp --ipv6 -w my.pcapng     datagrams over IPv6, kept in a file
  sockwire lab handshake --delay 50 --drop data:1
  sockwire lab mistake no-break            what a sockets course warns of
  sockwire lab run -S 'nc -l {port}' -C 'nc {server} {port}' --loss 5%    programs of your own
  sockwire lab shell                       a shell on one of the two hosts
  sockwire lab list                        all scenarios and mistakes
";

/// A private network of two hosts, and a scenario played in it; no root needed
#[derive(clap::Args)]
#[command(before_help = EXAMPLES, args_conflicts_with_subcommands = true, disable_help_subcommand = true)]
pub(crate) struct Args {
    #[command(subcommand)]
    other: Option<Other>,
    /// What to play; "list" says what there is
    #[arg(value_parser = PossibleValuesParser::new(names()), hide_possible_values = true)]
    scenario: Option<String>,
    /// Where to play it [default: namespaces, or smoltcp where the system refuses them]
    #[arg(long, value_enum, value_name = "GROUND")]
    ground: Option<Ground>,
    #[command(flatten)]
    cable: Cable,
    /// Over IPv6
    #[arg(short = '6', long)]
    ipv6: bool,
    /// The cable is a trunk: frames on it carry this VLAN's tag
    #[arg(long, value_name = "ID", value_parser = number::<u16>(1..=4094, "--vlan 5"))]
    vlan: Option<u16>,
    /// Sequence numbers as they are on the wire, not counted from 0
    #[arg(short = 'S', long)]
    absolute: bool,
    /// Shows each socket call as it returns
    #[arg(long)]
    calls: bool,
    #[command(flatten)]
    keeping: Keeping,
    /// With -w FILE.pcapng: each side's own view as well, in FILE.client.pcapng and FILE.server.pcapng
    #[arg(long, requires = "write")]
    ends: bool,
}

/// The name of the only interface of a recording.
const WIRE: &str = "wire";

/// What else a lab can do.
#[derive(clap::Subcommand)]
enum Other {
    Mistake(mistake::Args),
    Run(run::Args),
    Shell(shell::Args),
}

/// The recording of a lab.
#[derive(clap::Args)]
pub(super) struct Keeping {
    /// Keeps what the wire saw: .pcap writes pcap, other names pcapng; a new file is readable by you only
    #[arg(short = 'w', long, value_name = "FILE", value_parser = PathBufValueParser::new().try_map(file))]
    pub(super) write: Option<PathBuf>,
    /// Lets -w replace a file
    #[arg(long)]
    pub(super) force: bool,
}

/// What the wire between two hosts does.
#[derive(clap::Args, Clone, Debug)]
pub(super) struct Cable {
    /// Milliseconds (or 5ms, 0.5s) from one host to the other [default: 10; on loopback none]
    #[arg(long, value_name = "MS", value_parser = milliseconds)]
    delay: Option<i64>,
    /// Up to so many milliseconds more, by chance; frames stay in order
    #[arg(long, value_name = "MS", default_value = "0", value_parser = milliseconds)]
    jitter: i64,
    /// The wire drops a frame: syn, syn-ack, data, ack, fin, rst, udp or fragment; data:2 or second-data is the second with data, syn:all or every-syn every SYN
    #[arg(long, value_name = "RULE")]
    drop: Vec<Drop>,
    /// The wire loses this share of all frames, by chance
    #[arg(long, value_name = "PERCENT", default_value = "0", value_parser = percent)]
    loss: f64,
    /// The wire delivers this share of all frames twice
    #[arg(long, value_name = "PERCENT", default_value = "0", value_parser = percent)]
    duplicate: f64,
    /// The wire holds this share of all frames back, so that the next ones overtake them
    #[arg(long, value_name = "PERCENT", default_value = "0", value_parser = percent)]
    reorder: f64,
    /// Where chance begins: the same seed loses the same frames
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = number::<u64>(0..=u64::MAX, "--seed 7"))]
    seed: u64,
}

impl Cable {
    /// Something else than the usual wire is asked for.
    pub(super) fn is_asked(&self) -> bool {
        let link = Link {
            seed: Link::default().seed,
            ..self.link()
        };
        self.delay.is_some() || link != Link::default()
    }

    /// The wire as it is asked for.
    pub(super) fn link(&self) -> Link {
        let usual = Link::default();
        Link {
            delay: self.delay.unwrap_or(usual.delay),
            drops: self.drop.clone(),
            loss: self.loss,
            duplicate: self.duplicate,
            reorder: self.reorder,
            jitter: self.jitter,
            seed: self.seed,
            ..usual
        }
    }
}

/// Where a scenario is played.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Ground {
    /// Two private networks with Linux's own TCP
    Namespaces,
    /// Two simulated hosts with a made-up clock: the same bytes every time
    Smoltcp,
    /// This machine's own loopback interface; needs the right to capture
    Loopback,
}

fn names() -> Vec<&'static str> {
    let all = scenario::ALL.iter().map(|scenario| scenario.name);
    all.chain(["list"]).collect()
}

/// Milliseconds when no unit is given, as nanoseconds.
fn milliseconds(text: &str) -> Result<i64, String> {
    let units = [("ms", 1.0), ("s", 1000.0), ("", 1.0)];
    let mut numbers = units
        .into_iter()
        .filter_map(|(unit, factor)| Some((text.strip_suffix(unit)?.trim_end(), factor)));
    let ms = numbers
        .next()
        .and_then(|(number, factor)| Some(number.parse::<f64>().ok()? * factor));
    match ms {
        Some(ms) if (0.0..=60_000.0).contains(&ms) => Ok((ms * MILLISECOND as f64) as i64),
        _ => Err(
            "expected a number of milliseconds from 0 to 60000, such as 5, 5ms or 0.5s".to_owned(),
        ),
    }
}

fn file(path: PathBuf) -> Result<PathBuf, &'static str> {
    match path == Path::new("-") {
        true => Err("standard output shows what happens: give -w the name of a file"),
        false => Ok(path),
    }
}

fn percent(text: &str) -> Result<f64, String> {
    match text.trim_end_matches('%').parse::<f64>() {
        Ok(percent) if (0.0..=100.0).contains(&percent) => Ok(percent / 100.0),
        _ => Err("expected a number from 0 to 100".to_owned()),
    }
}

/// Runs the command.
pub(crate) fn run(args: Args, global: &Global) -> Outcome {
    match args.other {
        Some(Other::Mistake(args)) => return mistake::run(&args, global),
        Some(Other::Run(args)) => return run::run(args, global),
        Some(Other::Shell(args)) => return shell::run(&args, global),
        None => {}
    }
    match args.scenario.as_deref().and_then(Scenario::named) {
        Some(scenario) => play(scenario, &args, global),
        None => list(),
    }
}

fn list() -> Outcome {
    let mut out = io::stdout().lock();
    writeln!(out, "Scenarios, each between two hosts of its own:")?;
    for scenario in scenario::ALL {
        let command = format!("sockwire lab {}", scenario.name);
        writeln!(out, "  {command:<24} {}", scenario.title)?;
    }
    writeln!(
        out,
        "  with --delay 50  --drop data:1  --loss 10  --ipv6  -w FILE  --help\n"
    )?;
    mistake::list_into(&mut out)?;
    writeln!(out, "Play one: sockwire lab mistake no-break\n")?;
    writeln!(
        out,
        "Programs of your own: sockwire lab run --help    a shell: sockwire lab shell"
    )?;
    Ok(Exit::Done)
}

/// The ground that was chosen, with what it needs.
enum Chosen {
    Namespaces(Way),
    Smoltcp { why: Option<String> },
    Loopback,
}

fn play(scenario: &'static Scenario, args: &Args, global: &Global) -> Outcome {
    let plan = plan(scenario, args);
    let mut ground = choose(&plan, args.ground)?;
    let stop = Stop::install()
        .context("cannot catch signals")
        .map_err(not_permitted)?;
    // Files are opened before anything is built, and before the process enters a user namespace.
    let recording = Recording::open(&args.keeping, args.ends, &[WIRE])?;
    let mut telling = Telling::new(&plan, args, global, recording);
    let mut played = attempt(&plan, &ground, &mut telling, stop)?;
    if let Err(error) = &played
        && args.ground.is_none()
        && !telling.has_begun()
        && smoltcp::suits(&plan).is_ok()
    {
        // What the test has allowed did not work after all: a kernel without veth, for one.
        let why = Some(error.to_string());
        ground = Chosen::Smoltcp { why };
        played = attempt(&plan, &ground, &mut telling, stop)?;
    }
    played.map_err(failed)?;
    let linux = !matches!(ground, Chosen::Smoltcp { .. });
    telling.close(linux, stop.asked())?;
    Ok(Exit::Done)
}

/// Plays once. The outer error is about the output.
fn attempt(
    plan: &Plan,
    ground: &Chosen,
    telling: &mut Telling,
    stop: Stop,
) -> Result<Result<(), LabError>, Failure> {
    let mut told = Ok(());
    let mut listener = |event: Event| {
        if let Event::Up(_) = event {
            told = introduce(plan, ground, &mut io::stdout().lock()).map_err(Failure::from);
        }
        if told.is_ok() {
            told = telling.event(event);
        }
        if told.is_err() || stop.asked() {
            return ControlFlow::Break(());
        }
        ControlFlow::Continue(())
    };
    let played = match ground {
        Chosen::Namespaces(way) => namespaces::play(plan, *way, &mut listener),
        Chosen::Smoltcp { .. } => smoltcp::play(plan, &mut listener),
        Chosen::Loopback => loopback::play(plan, &mut listener),
    };
    told.map(|()| played)
}

fn plan(scenario: &'static Scenario, args: &Args) -> Plan {
    let on_loopback = args.ground == Some(Ground::Loopback);
    let asked = args.cable.link();
    let link = Link {
        delay: match args.cable.delay {
            None if on_loopback => 0,
            _ => asked.delay,
        },
        drops: [scenario.drops, &asked.drops].concat(),
        vlan: args.vlan,
        ..asked
    };
    Plan {
        scenario,
        link,
        addresses: match (on_loopback, args.ipv6) {
            (false, false) => lab::PRIVATE_IPV4,
            (false, true) => lab::PRIVATE_IPV6,
            (true, false) => loopback::IPV4,
            (true, true) => loopback::IPV6,
        },
    }
}

fn not_permitted(error: anyhow::Error) -> Failure {
    Failure::new(Exit::NotPermitted, error)
}

fn failed(error: LabError) -> Failure {
    let exit = match error {
        LabError::Capture(error) => return permission::failure(error),
        LabError::Unsuited(_) => Exit::Usage,
        LabError::Refused(_) | LabError::Failed { .. } => Exit::NotPermitted,
    };
    Failure::new(exit, error)
}

fn choose(plan: &Plan, asked: Option<Ground>) -> Result<Chosen, Failure> {
    match asked {
        Some(Ground::Smoltcp) => {
            smoltcp::suits(plan).map_err(failed)?;
            return Ok(Chosen::Smoltcp { why: None });
        }
        Some(Ground::Loopback) => {
            loopback::suits(plan).map_err(failed)?;
            return may_capture().map(|()| Chosen::Loopback);
        }
        Some(Ground::Namespaces) | None => {}
    }
    match permission::private_network() {
        Ok(way) => Ok(Chosen::Namespaces(way)),
        Err(no) if asked.is_none() && smoltcp::suits(plan).is_ok() => {
            Ok(Chosen::Smoltcp { why: Some(no.why) })
        }
        Err(no) => Err(no.into()),
    }
}

/// The loopback ground watches a real interface.
fn may_capture() -> Result<(), Failure> {
    if capture::is_permitted() {
        return Ok(());
    }
    Err(permission::failure(CaptureError::NotPermitted {
        operation: "watch the loopback interface".to_owned(),
        capability: "CAP_NET_RAW",
        effective: false,
    }))
}

fn introduce(plan: &Plan, ground: &Chosen, out: &mut impl Write) -> io::Result<()> {
    let delay = plan.link.delay as f64 / MILLISECOND as f64;
    match ground {
        Chosen::Loopback => write!(out, "one host and its loopback interface    ground: ")?,
        _ => write!(out, "two hosts, one cable, {delay} ms each way    ground: ")?,
    }
    match ground {
        Chosen::Loopback => writeln!(out, "loopback (Linux's own TCP)")?,
        Chosen::Namespaces(_) => writeln!(out, "namespaces (Linux's own TCP)")?,
        Chosen::Smoltcp { why } => {
            writeln!(out, "simulated (smoltcp, not Linux)")?;
            if let Some(why) = why {
                writeln!(out, "  why: {why}; see: sockwire doctor")?;
            }
        }
    }
    for host in Host::BOTH {
        let calls = plan.scenario.calls(host).iter().map(ToString::to_string);
        let calls = calls.collect::<Vec<_>>().join(", ");
        let calls = if calls.is_empty() { "nothing" } else { &calls };
        writeln!(out, "{host}: {calls}")?;
    }
    let effects = effects(&plan.link);
    if !effects.is_empty() {
        writeln!(out, "wire: {}", effects.join(", "))?;
    }
    Ok(())
}

/// What the wire does besides delaying.
pub(super) fn effects(link: &Link) -> Vec<String> {
    let drops = link
        .drops
        .iter()
        .map(|rule| format!("drops {}", rule.with_article()));
    let loss =
        (link.loss > 0.0).then(|| format!("loses {}% (seed {})", link.loss * 100.0, link.seed));
    let twice = (link.duplicate > 0.0).then(|| format!("doubles {}%", link.duplicate * 100.0));
    let ms = link.jitter as f64 / MILLISECOND as f64;
    let jitter = (link.jitter > 0).then(|| format!("takes up to {ms} ms more"));
    let held = (link.reorder > 0.0).then(|| format!("holds {}% back", link.reorder * 100.0));
    let tag = link.vlan.map(|vlan| format!("tags frames for VLAN {vlan}"));
    drops
        .chain(loss)
        .chain(twice)
        .chain(held)
        .chain(jitter)
        .chain(tag)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::milliseconds;

    #[test]
    fn times_of_the_wire_are_milliseconds_unless_they_say_more() {
        let cases = [
            ("5", 5_000_000),
            ("0.25", 250_000),
            ("5ms", 5_000_000),
            ("5 ms", 5_000_000),
            ("0.5s", 500_000_000),
            ("60s", 60_000_000_000),
        ];
        for (word, nanos) in cases {
            assert_eq!(milliseconds(word), Ok(nanos), "{word}");
        }
        for word in ["", "ms", "s", "5us", "5m", "-1", "61s", "NaN", "inf"] {
            assert!(milliseconds(word).is_err(), "{word}");
        }
    }
}
