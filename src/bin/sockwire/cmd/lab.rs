//! `sockwire lab`: a scenario played in a private network, its packets drawn as a ladder while they travel.

use std::{
    collections::HashMap,
    io::{self, Write},
    net::SocketAddr,
    ops::ControlFlow,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context, anyhow};
use clap::{ValueEnum, builder::PossibleValuesParser};
use sockwire::{
    decode::{Decoded, Decoder},
    file::{self, Create, Format, WriteError, Writer},
    frame::{Batch, Direction, Frame, Interface, Record},
    lab::{
        self, Drop, Event, Host, LabError, Link, Plan, Scenario, Transit, loopback, namespaces,
        refusal::{self, Refusal, Way},
        scenario, smoltcp,
    },
    link::LinkType,
    render::ladder::{Ladder, LadderOptions, Layout},
    sys::{machine::Machine, signal::Stop},
    time::{MILLISECOND, Time},
    track::{
        Tracker,
        story::{Item, Side, Sight, Story, StoryOptions, Summary},
    },
};

use super::{Exit, Failure, Global, Outcome, machine, output};

const EXAMPLES: &str = "\
Examples:
  sockwire lab handshake                   a TCP connection from SYN to TIME-WAIT
  sockwire lab lost-syn                    the same when the first SYN is lost
  sockwire lab udp --ipv6 -w my.pcapng     datagrams over IPv6, kept in a file
  sockwire lab handshake --delay 50 --drop data:1
  sockwire lab list                        what there is
";

/// A private network of two hosts, and a scenario played in it; no root needed
#[derive(clap::Args)]
#[command(before_help = EXAMPLES)]
pub(crate) struct Args {
    /// What to play; "list" says what there is
    #[arg(value_parser = PossibleValuesParser::new(names()), hide_possible_values = true)]
    scenario: Option<String>,
    /// Where to play it [default: namespaces, or smoltcp where the system refuses them]
    #[arg(long, value_enum, value_name = "GROUND")]
    ground: Option<Ground>,
    /// Milliseconds from one host to the other [default: 10; on loopback none]
    #[arg(long, value_name = "MS", value_parser = milliseconds)]
    delay: Option<i64>,
    /// Over IPv6
    #[arg(short = '6', long)]
    ipv6: bool,
    /// The wire drops a frame: syn, syn-ack, data, ack, fin, udp or fragment; data:2 is the second with data
    #[arg(long, value_name = "RULE")]
    drop: Vec<Drop>,
    /// The wire loses this share of all frames, by chance
    #[arg(long, value_name = "PERCENT", default_value = "0", value_parser = percent)]
    loss: f64,
    /// The wire delivers this share of all frames twice
    #[arg(long, value_name = "PERCENT", default_value = "0", value_parser = percent)]
    duplicate: f64,
    /// Where chance begins: the same seed loses the same frames
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Sequence numbers as they are on the wire, not counted from 0
    #[arg(short = 'S', long)]
    absolute: bool,
    /// Shows each socket call as it returns
    #[arg(long)]
    calls: bool,
    /// Keeps what the wire saw (.pcap writes pcap, other names pcapng)
    #[arg(short = 'w', long, value_name = "FILE")]
    write: Option<PathBuf>,
    /// With -w FILE.pcapng: each side's own view as well, in FILE.client.pcapng and FILE.server.pcapng
    #[arg(long, requires = "write")]
    ends: bool,
    /// Lets -w replace a file
    #[arg(long)]
    force: bool,
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

fn milliseconds(text: &str) -> Result<i64, String> {
    match text.parse::<f64>() {
        Ok(ms) if (0.0..=60_000.0).contains(&ms) => Ok((ms * MILLISECOND as f64) as i64),
        _ => Err("a number of milliseconds from 0 to 60000".to_owned()),
    }
}

fn percent(text: &str) -> Result<f64, String> {
    match text.trim_end_matches('%').parse::<f64>() {
        Ok(percent) if (0.0..=100.0).contains(&percent) => Ok(percent / 100.0),
        _ => Err("a number from 0 to 100".to_owned()),
    }
}

/// Runs the command.
pub(crate) fn run(args: Args, global: &Global) -> Outcome {
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
        "More: --delay 50  --drop data:1  --loss 10  --ipv6  -w FILE  --help"
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
    let ground = choose(scenario, args.ground)?;
    // Files are opened before anything is built, and before the process enters a user namespace.
    let recording = Recording::open(args)?;
    let stop = Stop::install()
        .context("cannot catch signals")
        .map_err(general)?;
    introduce(&plan, &ground, &mut io::stdout().lock())?;
    let mut telling = Telling::new(&plan, args, global, recording);
    let mut failure = None;
    let mut listener = |event| match telling.event(event) {
        Ok(()) if !stop.asked() => ControlFlow::Continue(()),
        Ok(()) => ControlFlow::Break(()),
        Err(error) => {
            failure = Some(error);
            ControlFlow::Break(())
        }
    };
    let played = match ground {
        Chosen::Namespaces(way) => namespaces::play(&plan, way, &mut listener),
        Chosen::Smoltcp { .. } => smoltcp::play(&plan, &mut listener),
        Chosen::Loopback => loopback::play(&plan, &mut listener),
    };
    if let Some(failure) = failure {
        return Err(failure);
    }
    played.map_err(|error| Failure::new(exit_of(&error), error))?;
    telling.close(!matches!(ground, Chosen::Smoltcp { .. }))?;
    Ok(Exit::Done)
}

fn plan(scenario: &'static Scenario, args: &Args) -> Plan {
    let on_loopback = args.ground == Some(Ground::Loopback);
    let usual = if on_loopback {
        0
    } else {
        Link::default().delay
    };
    let link = Link {
        delay: args.delay.unwrap_or(usual),
        drops: [scenario.drops, &args.drop].concat(),
        loss: args.loss,
        duplicate: args.duplicate,
        seed: args.seed,
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

fn general(error: anyhow::Error) -> Failure {
    Failure::new(Exit::NotPermitted, error)
}

fn exit_of(error: &LabError) -> Exit {
    match error {
        LabError::Unsuited(_) => Exit::Usage,
        LabError::Refused(_) | LabError::Failed { .. } | LabError::Capture(_) => Exit::NotPermitted,
    }
}

fn choose(scenario: &Scenario, asked: Option<Ground>) -> Result<Chosen, Failure> {
    match asked {
        Some(Ground::Smoltcp) => return Ok(Chosen::Smoltcp { why: None }),
        Some(Ground::Loopback) => return Ok(Chosen::Loopback),
        Some(Ground::Namespaces) | None => {}
    }
    let refusal: Result<Refusal, io::Error> = match refusal::test(&Machine::look()) {
        Ok(Ok(way)) => return Ok(Chosen::Namespaces(way)),
        Ok(Err(refusal)) => Ok(refusal),
        Err(error) => Err(error),
    };
    let why = match &refusal {
        Ok(refusal) => refusal.to_string(),
        Err(error) => format!("no private network could be tried: {error}"),
    };
    if asked.is_none() && !scenario.kernel_only {
        return Ok(Chosen::Smoltcp { why: Some(why) });
    }
    let cures = refusal.map_or_else(|_| Vec::new(), |r| r.cures(&machine::program()));
    let cures: String = cures.iter().map(|cure| format!("\n  {cure}")).collect();
    let name = scenario.name;
    Err(general(anyhow!(
        "cannot play {name} in a private network: {why}{cures}"
    )))
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
fn effects(link: &Link) -> Vec<String> {
    let drops = link.drops.iter().map(|rule| format!("drops the {rule}"));
    let loss = (link.loss > 0.0).then(|| format!("loses {}%", link.loss * 100.0));
    let twice = (link.duplicate > 0.0).then(|| format!("doubles {}%", link.duplicate * 100.0));
    drops.chain(loss).chain(twice).collect()
}

/// Turns events into the ladder, the recording and the closing lines.
struct Telling {
    decoder: Decoder,
    decoded: Decoded,
    tracker: Tracker,
    story: Story,
    ladder: Ladder,
    items: Vec<Item>,
    recording: Recording,
    calls: bool,
    absolute: bool,
    next: &'static str,
    failed_calls: Vec<String>,
    start: Option<Time>,
}

impl Telling {
    fn new(plan: &Plan, args: &Args, global: &Global, recording: Recording) -> Self {
        let server = plan.address(Host::Server);
        let listening = plan.scenario.listening();
        Self {
            decoder: Decoder::default(),
            decoded: Decoded::default(),
            tracker: Tracker::default(),
            story: Story::new(StoryOptions {
                listening: Some(
                    listening
                        .map(|port| SocketAddr::new(server, port))
                        .collect(),
                ),
                ..StoryOptions::default()
            }),
            ladder: Ladder::new(LadderOptions {
                ascii: global.ascii,
                colour: output::palette(global).on,
                absolute: args.absolute,
                layout: Layout::Lab,
                ..LadderOptions::default()
            }),
            items: Vec::new(),
            recording,
            calls: args.calls,
            absolute: args.absolute,
            next: plan.scenario.next,
            failed_calls: Vec::new(),
            start: None,
        }
    }

    fn event(&mut self, event: Event) -> Result<(), Failure> {
        match event {
            Event::Up(nanos) if self.calls => {
                println!("hosts up in {:.2} ms", nanos as f64 / MILLISECOND as f64);
            }
            Event::Up(_) => {}
            Event::Sent(transit) => {
                self.start.get_or_insert(transit.time);
                self.sent(&transit);
                self.recording.sent(transit)?;
            }
            Event::Delivered {
                number,
                time,
                to,
                again,
            } => {
                self.recording.delivered(number, time, to)?;
                if !again {
                    self.story.delivered(number, time, &mut self.items);
                }
            }
            Event::Called {
                time,
                host,
                call,
                error,
            } => {
                let said = format!("{host}: {call}: {}", error.as_deref().unwrap_or("ok"));
                if self.calls {
                    let at = self.start.map_or(0, |start| time.since(start));
                    println!("{:>7.2} {said}", at as f64 / MILLISECOND as f64);
                }
                if error.is_some() {
                    self.failed_calls.push(said);
                }
            }
            Event::Quiet(time) => self.story.quiet(time, &mut self.items),
        }
        self.draw()
    }

    fn sent(&mut self, transit: &Transit) {
        let record = Record {
            time: transit.time,
            link: LinkType::ETHERNET,
            interface: 0,
            direction: Direction::Unknown,
            checksum: transit.checksum,
            wire_len: transit.bytes.len() as u32,
            start: 0,
            len: transit.bytes.len() as u32,
        };
        let batch = Batch::owned(transit.bytes.to_vec(), vec![record], transit.number);
        self.decoder.batch(&batch, &mut self.decoded);
        self.tracker
            .packet(&self.decoder, &batch, &mut self.decoded, 0);
        if let Some(packet) = self.decoded.packet(&batch, 0) {
            self.story.packet(&packet, Sight::Sent, &mut self.items);
        }
        if let Some(rule) = &transit.dropped {
            self.story.dropped(transit.number, rule, &mut self.items);
        }
    }

    fn draw(&mut self) -> Result<(), Failure> {
        let mut out = io::stdout().lock();
        for item in self.items.drain(..) {
            self.ladder.write(&item, &mut out)?;
        }
        Ok(out.flush()?)
    }

    /// What is left of the ladder, and the closing lines.
    fn close(mut self, linux: bool) -> Result<(), Failure> {
        self.story.finish(&mut self.items);
        self.draw()?;
        let kept = self.recording.finish()?;
        let mut out = io::stdout().lock();
        for call in &self.failed_calls {
            writeln!(out, "{call}")?;
        }
        let summaries = self.story.summaries();
        if let [summary] = &summaries[..] {
            opening(summary, self.absolute, &mut out)?;
        }
        writeln!(out, "{}", totals(&summaries, linux))?;
        match kept {
            Some(name) => writeln!(
                out,
                "kept: {name}    next: sockwire read -v {name}    sockwire lab {}",
                self.next
            )?,
            None => writeln!(
                out,
                "next: -w my.pcapng    sockwire lab {}    sockwire read -v my.pcapng",
                self.next
            )?,
        }
        Ok(out.flush()?)
    }
}

/// How long the handshake took, and what the numbers count from.
fn opening(summary: &Summary, absolute: bool, out: &mut impl Write) -> io::Result<()> {
    let ms = |nanos: i64| format!("{:.2} ms", nanos as f64 / MILLISECOND as f64);
    if let [Some(client), Some(server)] = summary.open {
        let (client, server) = (ms(client), ms(server));
        write!(
            out,
            "open after {client} at the client, {server} at the server"
        )?;
        if let Some(rtt) = summary.rtt {
            write!(out, "; RTT {}", ms(rtt))?;
        }
        writeln!(out)?;
    }
    match summary.isn {
        [Some(client), Some(server)] if !absolute => writeln!(
            out,
            "seq and ack count from 0; real ISNs: client {client}, server {server} (-S)"
        ),
        _ => Ok(()),
    }
}

/// "10 packets, 6 bytes each way, none lost; the client keeps TIME-WAIT for 60 s"
fn totals(summaries: &[Summary], linux: bool) -> String {
    let sum = |number: fn(&Summary) -> u64| summaries.iter().map(number).sum::<u64>();
    let packets = sum(|s| s.packets[0] + s.packets[1]);
    let bytes = match (sum(|s| s.bytes[0]), sum(|s| s.bytes[1])) {
        (0, 0) => "no data".to_owned(),
        (there, back) if there == back => format!("{there} bytes each way"),
        (there, back) => format!("{there} bytes there, {back} back"),
    };
    let lost = match sum(|s| s.lost) {
        0 => "none lost".to_owned(),
        lost => format!("{lost} lost"),
    };
    let noun = if packets == 1 { "packet" } else { "packets" };
    let time_wait = match summaries.iter().find_map(Summary::time_wait) {
        Some(side) => {
            let side = match side {
                Side::Client => "client",
                Side::Server => "server",
            };
            // Linux's TCP_TIMEWAIT_LEN; smoltcp's CLOSE_DELAY.
            let seconds = if linux { 60 } else { 10 };
            format!("; the {side} keeps TIME-WAIT for {seconds} s")
        }
        None => String::new(),
    };
    format!("{packets} {noun}, {bytes}, {lost}{time_wait}")
}

/// The capture files of a run; all of them optional.
struct Recording {
    interface: [Arc<Interface>; 1],
    wire: Option<(Writer, String)>,
    /// The views of both hosts, and the frames that one has sent and the other not yet received.
    ends: Option<[Writer; 2]>,
    underway: HashMap<u64, Transit>,
}

impl Recording {
    fn open(args: &Args) -> Result<Self, Failure> {
        let open = |path: &Path| {
            let how = Create {
                format: Format::from_name(path),
                force: args.force,
                owner: output::caller(),
            };
            file::create(path, how).map_err(write_failed)
        };
        let wire = match &args.write {
            Some(path) => Some((open(path)?, path.display().to_string())),
            None => None,
        };
        let ends = match &args.write {
            Some(path) if args.ends => {
                let [client, server] = Host::BOTH.map(|host| open(&of_host(path, host)));
                Some([client?, server?])
            }
            _ => None,
        };
        let interface = Interface {
            name: Some("wire".to_owned()),
            description: None,
            link: LinkType::ETHERNET,
            snaplen: 0,
            filter: None,
        };
        Ok(Self {
            interface: [Arc::new(interface)],
            wire,
            ends,
            underway: HashMap::new(),
        })
    }

    fn sent(&mut self, transit: Transit) -> Result<(), Failure> {
        if let Some((writer, _)) = &mut self.wire {
            let comment = transit
                .dropped
                .as_ref()
                .map(|rule| format!("the wire dropped this packet: {rule}"));
            let frame = frame(&transit, transit.time, Direction::Unknown);
            let written = writer.write(&frame, &self.interface, comment.as_deref());
            written.map_err(write_failed)?;
        }
        if let Some([client, server]) = &mut self.ends {
            let writer = match transit.from {
                Host::Client => client,
                Host::Server => server,
            };
            let frame = frame(&transit, transit.time, Direction::Out);
            let written = writer.write(&frame, &self.interface, None);
            written.map_err(write_failed)?;
            if transit.dropped.is_none() {
                self.underway.insert(transit.number, transit);
            }
        }
        Ok(())
    }

    fn delivered(&mut self, number: u64, time: Time, to: Host) -> Result<(), Failure> {
        let (Some([client, server]), Some(transit)) = (&mut self.ends, self.underway.get(&number))
        else {
            return Ok(());
        };
        let writer = match to {
            Host::Client => client,
            Host::Server => server,
        };
        let written = writer.write(&frame(transit, time, Direction::In), &self.interface, None);
        written.map_err(write_failed)?;
        if !transit.twice {
            self.underway.remove(&number);
        }
        Ok(())
    }

    /// Ends the files; the name of the wire's.
    fn finish(&mut self) -> Result<Option<String>, Failure> {
        for writer in self.ends.take().into_iter().flatten() {
            writer.finish(&[]).map_err(write_failed)?;
        }
        let Some((writer, name)) = self.wire.take() else {
            return Ok(None);
        };
        writer.finish(&[]).map_err(write_failed)?;
        Ok(Some(name))
    }
}

fn frame(transit: &Transit, time: Time, direction: Direction) -> Frame<'_> {
    Frame {
        number: transit.number,
        time,
        link: LinkType::ETHERNET,
        interface: 0,
        direction,
        checksum: transit.checksum,
        wire_len: transit.bytes.len() as u32,
        bytes: &transit.bytes,
    }
}

/// `my.pcapng` → `my.client.pcapng`.
fn of_host(path: &Path, host: Host) -> PathBuf {
    let extension = path
        .extension()
        .map_or_else(Default::default, |e| e.to_string_lossy().into_owned());
    let extension = if extension.is_empty() {
        "pcapng".to_owned()
    } else {
        extension
    };
    path.with_extension(format!("{host}.{extension}"))
}

fn write_failed(error: WriteError) -> Failure {
    Failure::new(Exit::WriteFailed, error)
}
