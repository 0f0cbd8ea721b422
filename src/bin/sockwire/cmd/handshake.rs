//! `sockwire handshake`: TCP by hand against a real kernel, on this machine's interfaces or in a private lab.

mod lab;
mod telling;

use std::{
    net::{IpAddr, Ipv6Addr, SocketAddr, ToSocketAddrs},
    ops::ControlFlow,
    path::PathBuf,
};

use anyhow::{Context, anyhow};
use clap::ValueEnum;
use sockwire::{
    craft,
    probe::{
        Hushed,
        handshake::{Handshake, HandshakeError, Plan},
        tcp::{self, Ending, Settings, Template},
    },
    render::ladder::Layout,
    sys::{clock::Clock, signal::Stop},
    text::Safe,
    time::{MILLISECOND, SECOND},
};

use self::telling::Telling;
use super::{
    Exit, Failure, Global, Numeric, Outcome, lab::Cable, number, output, permission, privilege,
    seconds, usage,
};

const EXAMPLES: &str = "\
Examples:
  sockwire handshake                                       in a lab of its own: no root needed
  sudo sockwire handshake 10.0.0.2 80 --send 'GET / HTTP/1.0\\r\\n\\r\\n'
  sudo sockwire handshake localhost 5000 -v                each step in words
  sudo sockwire handshake 10.0.0.2 5000 --with ip ttl=5 / tcp seq=1000 window=500 mss=100
  sudo sockwire handshake --listen 5000 --send hello       the server's side: connect to it with nc
  sudo sockwire handshake localhost 5000 --rst kernel      the own kernel's RST, explained
";

/// The TCP three-way handshake by hand, from raw sockets, with the ladder beside it; a line of data, the close
///
/// Without a host: in a private lab against a server of the kernel's, no root needed. The kernel is kept from answering
/// for the port with a RST by a listening socket that takes nothing; nothing of it stays.
#[derive(clap::Args)]
#[command(before_help = EXAMPLES)]
pub(crate) struct Args {
    /// Who is called: a name or an address, also HOST:PORT
    #[arg(conflicts_with_all = ["listen", "Cable"])]
    host: Option<String>,
    /// The port that is called
    #[arg(value_parser = port)]
    port: Option<u16>,
    /// The server's side by hand: waits for one client on this port
    #[arg(long, value_name = "PORT", value_parser = port, conflicts_with = "Cable")]
    listen: Option<u16>,
    /// Sends this once it is open (a server: once the client has said something); \n, \r, \t, \xXX and %XX are bytes
    #[arg(long, value_name = "TEXT", value_parser = text)]
    send: Option<Text>,
    /// How it closes, when all is said
    #[arg(long, value_enum, value_name = "HOW", default_value_t = Close::Fin)]
    close: Close,
    /// Seconds of silence before it closes
    #[arg(long, value_name = "S", default_value = "0.5", value_parser = seconds)]
    wait: i64,
    /// Seconds without an answer before it gives up [default: 15]; with --listen also how long it waits for a client [default: for ever]
    #[arg(long, value_name = "S", value_parser = seconds)]
    timeout: Option<i64>,
    /// Words about the packets: those of ip are in every packet, those of tcp in the SYN, its window in every segment
    #[arg(long, value_name = "SPEC", num_args = 1..)]
    with: Vec<String>,
    /// The own address, one that this machine has [default: as the route says]
    #[arg(long, value_name = "ADDR")]
    source: Option<IpAddr>,
    /// The own port [default: a free one]
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true, conflicts_with = "listen", value_parser = number::<u16>(0..=65535, "--sport 41000"))]
    sport: u16,
    /// Whose RSTs there are: none, or the kernel's as ever, which ends the connection
    #[arg(long, value_enum, value_name = "WHOSE", default_value_t = Rst::None)]
    rst: Rst,
    /// Over IPv6; with --listen: over nothing else
    #[arg(short = '6', long)]
    ipv6: bool,
    #[command(flatten)]
    cable: Cable,
    /// Explains each step in words
    #[arg(short = 'v', long)]
    verbose: bool,
    /// Sequence numbers as they are on the wire, not counted from 0
    #[arg(short = 'S', long)]
    absolute: bool,
    /// One JSON object a packet, as of read --json
    #[arg(long, conflicts_with = "verbose")]
    json: bool,
    /// Records the packets: .pcap writes pcap, other names pcapng; a new file is readable by you only
    #[arg(short = 'w', long, value_name = "FILE")]
    write: Option<PathBuf>,
    /// Lets -w replace a file
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    numeric: Numeric,
}

/// How it closes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Close {
    /// With a FIN, as close() does
    Fin,
    /// With a RST
    Rst,
    /// Not at all
    None,
}

/// Whose RSTs there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Rst {
    /// The kernel answers for a port that no socket has
    Kernel,
    /// The kernel is kept quiet
    None,
}

fn port(word: &str) -> Result<u16, String> {
    number::<u16>(1..=65535, "5000")(word)
}

/// Bytes typed as text.
#[derive(Clone, Debug)]
struct Text(Vec<u8>);

fn text(word: &str) -> Result<Text, String> {
    craft::text(word).map(Text)
}

impl Args {
    fn settings(&self, text: Vec<u8>) -> Settings {
        Settings {
            text,
            close: match self.close {
                Close::Fin => tcp::Close::Fin,
                Close::Rst => tcp::Close::Rst,
                Close::None => tcp::Close::None,
            },
            wait: self.wait,
            patience: self.timeout.unwrap_or(15 * SECOND),
            absolute: self.absolute,
        }
    }

    fn plan(&self, remote: Option<SocketAddr>, text: Vec<u8>) -> Result<Plan, Failure> {
        let template = Template::read(&self.with.join(" ")).map_err(usage)?;
        let addresses = [remote.map(|remote| remote.ip()), self.source];
        let mut addresses = addresses.into_iter().flatten();
        if let Some(other) = addresses.find(|address| !template.suits(*address)) {
            return Err(usage(format!(
                "--with is about another version of IP than {other}"
            )));
        }
        let any = (self.ipv6 && self.listen.is_some()).then_some(Ipv6Addr::UNSPECIFIED.into());
        let source = self.source.or(any);
        Ok(Plan {
            template,
            settings: self.settings(text),
            remote,
            source,
            port: self.listen.unwrap_or(self.sport),
            kernel_resets: self.rst == Rst::Kernel,
        })
    }

    /// Who is called: HOST PORT, or HOST:PORT. `None` when there is no host.
    fn remote(&self) -> Result<Option<SocketAddr>, Failure> {
        let Some(host) = &self.host else {
            return Ok(None);
        };
        let split = host.rsplit_once(':').filter(|(name, _)| {
            // A bare IPv6 address has colons of its own.
            self.port.is_none() && (!name.contains(':') || name.ends_with(']'))
        });
        let (name, port) = match (split, self.port) {
            (Some((name, digits)), None) => (name, port(digits).map_err(usage)?),
            (_, Some(port)) => (host.as_str(), port),
            (None, None) => {
                return Err(usage(format!(
                    "which port of {}? such as: sockwire handshake {} 80",
                    Safe(host.as_bytes()),
                    Safe(host.as_bytes())
                )));
            }
        };
        let name = name.trim_start_matches('[').trim_end_matches(']');
        let found = (name, port).to_socket_addrs();
        let found = found.map_err(|error| {
            let name = Safe(name.as_bytes());
            Failure::new(
                Exit::NoSuch,
                anyhow!("cannot find the host {name}: {error}"),
            )
        })?;
        let fits = |socket: &SocketAddr| match (self.source, self.ipv6) {
            (Some(source), _) => source.is_ipv6() == socket.is_ipv6(),
            (None, true) => socket.is_ipv6(),
            (None, false) => true,
        };
        let mut found: Vec<SocketAddr> = found.filter(fits).collect();
        // IPv4 first, as examples have it.
        found.sort_by_key(SocketAddr::is_ipv6);
        let none = || {
            let version = match self.source {
                Some(IpAddr::V4(_)) => "IPv4",
                Some(IpAddr::V6(_)) | None => "IPv6",
            };
            let name = Safe(name.as_bytes());
            Failure::new(Exit::NoSuch, anyhow!("{name} has no {version} address"))
        };
        found.first().copied().map(Some).ok_or_else(none)
    }
}

/// Runs the command.
pub(crate) fn run(args: Args, global: &Global) -> Outcome {
    let Some(remote) = args.remote()? else {
        return match args.listen {
            Some(_) => live(&args, None, global),
            None => lab::run(&args, global),
        };
    };
    live(&args, Some(remote), global)
}

/// On this machine's interfaces.
fn live(args: &Args, remote: Option<SocketAddr>, global: &Global) -> Outcome {
    let text = args.send.clone().map_or_else(Vec::new, |text| text.0);
    let plan = args.plan(remote, text)?;
    let stop = Stop::install()
        .context("cannot catch signals")
        .map_err(usage)?;
    // A server's port listens on any address; a client's peer must show whether it does.
    let any: fn(u16) -> Vec<SocketAddr> =
        |port| vec![([0, 0, 0, 0], port).into(), ([0_u16; 8], port).into()];
    let mut telling = Telling::new(args, Layout::Watch, args.listen.map(any), global)?;
    let mut handshake = Handshake::open(plan).map_err(|error| failed(error, args))?;
    privilege::give_up(global)?;
    global.talk(introduction(&handshake));
    let until = args.listen.and(args.timeout);
    let until = until.map(|nanos| Clock::start().now().plus(nanos));
    let mut told = Ok(());
    let ending = handshake.run(until, &mut |event| {
        told = telling.event(event);
        if told.is_err() || stop.asked() {
            return ControlFlow::Break(());
        }
        ControlFlow::Continue(())
    });
    told?;
    let exit = telling.close(&ending, handshake.connection(), args)?;
    match ending {
        // Ctrl-C is how waiting for a client is ended.
        Ok(None) if stop.asked() => Ok(Exit::Done),
        Ok(_) => Ok(exit),
        Err(error) => Err(failed(error, args)),
    }
}

/// Who speaks to whom, by which socket, and how the kernel is kept quiet.
fn introduction(handshake: &Handshake) -> String {
    let connection = handshake.connection();
    let port = connection.local().port();
    let who = match connection.remote() {
        Some(remote) => format!("by hand: {} → {remote}", connection.local()),
        None => format!("by hand: waiting on port {port} for a client (Ctrl-C ends)"),
    };
    let quiet = match handshake.hushed() {
        None => format!("no socket owns :{port}, so the kernel answers for it (--rst kernel)"),
        Some(how) => {
            let how = match how {
                Hushed::Filter => "whose filter lets nothing in",
                Hushed::MinTtl => "that wants TTL 255",
            };
            format!("the kernel is kept quiet by a socket on :{port} {how}")
        }
    };
    let mut lines = String::new();
    for text in [format!("{who}, {}", handshake.describe()), quiet] {
        output::write_wrapped(&mut lines, 0, 80, &text);
    }
    lines.trim_end().to_owned()
}

/// The exit code for how it ended.
fn exit_of(ending: Option<Ending>, args: &Args) -> Exit {
    match ending {
        Some(Ending::Closed | Ending::Aborted | Ending::Left) => Exit::Done,
        // It was asked for.
        Some(Ending::Reset) if args.rst == Rst::Kernel => Exit::Done,
        Some(Ending::Unreachable) => Exit::NoSuch,
        Some(Ending::Refused | Ending::Reset | Ending::Silent) | None => Exit::NoMatch,
    }
}

fn failed(error: HandshakeError, args: &Args) -> Failure {
    let failure = match error {
        HandshakeError::Probe(error) => permission::of_probe(error),
        HandshakeError::Capture(error) => permission::failure(error),
        HandshakeError::Spec(error) => usage(error),
    };
    match failure.exit {
        Exit::NotPermitted if args.listen.is_none() => Failure::new(
            failure.exit,
            anyhow!(
                "{:#}\n  or without a host, in a lab:  sockwire handshake",
                failure.error
            ),
        ),
        _ => failure,
    }
}

/// Milliseconds with two decimals.
fn ms(nanos: i64) -> String {
    format!("{:.2} ms", nanos as f64 / MILLISECOND as f64)
}
