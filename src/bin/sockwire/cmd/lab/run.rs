//! `sockwire lab run`: a client and a server, any programs, on the lab's two hosts, and between them the wire.

mod ladder;
mod traced;

use std::{
    io::{self, Write},
    net::IpAddr,
};

use anyhow::anyhow;
use sockwire::{
    lab::{
        Host, Link, PRIVATE_IPV4, PRIVATE_IPV6, loopback,
        program::{Guard, Readiness},
        refusal::Way,
    },
    sys::{clock::Clock, signal::Stop},
    text::typed,
    time::{MILLISECOND, SECOND},
};

use super::{
    Cable, effects,
    programs::{self, Pair},
};
use crate::cmd::{Exit, Failure, Global, Outcome, number, permission, trace};

const EXAMPLES: &str = "\
Examples:
  sockwire lab run -S 'python3 server.py {port}' -C 'python3 client.py {server} {port}'
  sockwire lab run -S 'nc -l {port}' -C 'echo hello | nc -N {server} {port}' --loss 5%
  sockwire lab run -S './server {port}' -C './client 127.0.0.1 {port}' --one-host
  sockwire lab run -S './server {port}' -C './client {server} {port}' --trace
  sockwire lab run -S './server {port}' -C './client {server} {port}' -w my.pcapng
";

const COMMANDS: &str = "\
A command runs as 'sh -c COMMAND' does: quotes, pipes, && and > FILE mean what they mean in a terminal. In both commands \
{server} stands for the server's address and {port} for its port. The client starts when the server listens there. When the \
client has ended and the wire is silent, the server gets SIGTERM. Ctrl-C is for both; a second one ends all at once. The \
exit code is the client's.";

/// A client and a server of your own on the two hosts of a private network, what crosses the wire as a ladder
#[derive(clap::Args)]
#[command(before_help = EXAMPLES, after_help = COMMANDS)]
pub(super) struct Args {
    /// The client's command; it reads standard input
    #[arg(short = 'C', long, value_name = "COMMAND")]
    client: String,
    /// The server's command
    #[arg(short = 'S', long, value_name = "COMMAND")]
    server: String,
    /// The server's port: {port} in both commands, and where the server is waited for
    #[arg(short, long, value_name = "N", default_value_t = 5000, value_parser = number::<u16>(1..=65535, "--port 5000"))]
    port: u16,
    /// Both on one host, over its loopback interface: there is no wire
    #[arg(long)]
    one_host: bool,
    #[command(flatten)]
    cable: Cable,
    /// Over IPv6
    #[arg(short = '6', long)]
    ipv6: bool,
    /// Sequence numbers as they are on the wire, not counted from 0
    #[arg(long, conflicts_with = "trace")]
    absolute: bool,
    /// With -w FILE.pcapng: each side's own view as well, in FILE.client.pcapng and FILE.server.pcapng
    #[arg(long, requires = "write", conflicts_with = "trace")]
    ends: bool,
    /// Both programs' socket calls as well, and the packets tied to them, as sockwire trace shows them
    #[arg(long)]
    trace: bool,
    #[command(flatten, next_help_heading = "With --trace")]
    which: trace::Which,
    #[command(flatten)]
    showing: trace::Showing,
    #[command(flatten)]
    keeping: trace::Keeping,
}

/// Nanoseconds in which a kernel has answered.
const SILENCE: i64 = 50 * MILLISECOND;
/// The same where a frame may have been lost: a kernel repeats it.
const REPETITION: i64 = SECOND;

/// What is to be run, and where.
struct Setup {
    /// Client and server.
    commands: [String; 2],
    addresses: [IpAddr; 2],
    port: u16,
    one_host: bool,
    link: Link,
    way: Way,
    stop: Stop,
    clock: Clock,
    guard: Guard,
    /// Nanoseconds of silence after which nothing more is to come.
    patience: i64,
}

/// Runs the command.
pub(super) fn run(args: Args, global: &Global) -> Outcome {
    args.check()?;
    let way = permission::private_network()?;
    let stop = Stop::install()?;
    let addresses = match (args.one_host, args.ipv6) {
        (false, false) => PRIVATE_IPV4,
        (false, true) => PRIVATE_IPV6,
        (true, false) => loopback::IPV4,
        (true, true) => loopback::IPV6,
    };
    let filled = |command: &str| {
        let server = addresses[1].to_string();
        command
            .replace("{server}", &server)
            .replace("{port}", &args.port.to_string())
    };
    let link = args.cable.link();
    let disturbs = args.cable.is_asked() && !effects(&link).is_empty();
    let patience = match disturbs {
        true => REPETITION,
        false => SILENCE,
    };
    let setup = Setup {
        commands: [filled(&args.client), filled(&args.server)],
        addresses,
        port: args.port,
        one_host: args.one_host,
        patience: link.delay.saturating_mul(2).saturating_add(patience),
        link,
        way,
        stop,
        clock: Clock::start(),
        guard: Guard::post()?,
    };
    let outcome = match args.trace {
        true => traced::run(&args, &setup, global),
        false => ladder::run(&args, &setup, global),
    };
    let is_well = matches!(outcome, Ok(Exit::Program(0)));
    let mut commands = [&args.client, &args.server].into_iter();
    if let (false, Some(word)) = (is_well, commands.find_map(|command| unfilled(command))) {
        global.talk(format_args!(
            "hint: {{{word}}} was left as it is: {{server}} and {{port}} are what is filled in"
        ));
    }
    outcome
}

/// A word in braces that stands for nothing: `host` of `{host}`, say.
fn unfilled(command: &str) -> Option<&str> {
    let (closed, _) = command.rsplit_once('}')?;
    closed.split('}').find_map(|before| {
        let (_, word) = before.rsplit_once('{')?;
        let is_name = !word.is_empty() && word.bytes().all(|b| b.is_ascii_lowercase());
        (is_name && !["server", "port"].contains(&word)).then_some(word)
    })
}

impl Args {
    /// The options are about what is to be done.
    fn check(&self) -> Result<(), Failure> {
        let is_about_trace = self.which != trace::Which::default()
            || self.showing != trace::Showing::default()
            || self.keeping.save.is_some()
            || self.keeping.output.is_some();
        let problem = if self.one_host && self.cable.is_asked() {
            "one host has no wire: --delay, --loss, --drop and the wire's other options do not go with --one-host"
        } else if is_about_trace && !self.trace {
            "--calls, --poll, --lines, --ladder, --summary, --why, --effects, --json, --save and -o are about a trace: add --trace"
        } else {
            return Ok(());
        };
        Err(Failure::new(Exit::Usage, anyhow!(problem)))
    }
}

impl Setup {
    /// What is run where.
    fn introduce(&self, out: &mut impl Write) -> io::Result<()> {
        let delay = self.link.delay as f64 / MILLISECOND as f64;
        let ground = match self.one_host {
            true => "one host and its loopback interface".to_owned(),
            false => format!("two hosts, one cable, {delay} ms each way"),
        };
        writeln!(out, "{ground}    ground: namespaces (Linux's own TCP)")?;
        for host in Host::BOTH {
            let address = self.addresses[host as usize];
            let command = typed(&self.commands[host as usize]);
            writeln!(out, "{host} {address}: {command}")?;
        }
        let effects = effects(&self.link);
        if !effects.is_empty() {
            writeln!(out, "wire: {}", effects.join(", "))?;
        }
        Ok(())
    }

    /// What is to be said of how the server could be reached.
    fn note(&self, readiness: &Readiness) -> Option<String> {
        let port = self.port;
        match readiness {
            Readiness::Listens(address) if address.ip().is_loopback() && !self.one_host => {
                Some(format!(
                    "note: the server listens on {address}, which only its own host reaches: bind it to {{server}}, or use --one-host"
                ))
            }
            Readiness::Listens(_) | Readiness::Ended(_) => None,
            Readiness::Waited(others) => {
                let seconds = programs::LIMIT.as_secs();
                let others: Vec<String> = others
                    .iter()
                    .map(|(tcp, address)| format!("{} {address}", if *tcp { "TCP" } else { "UDP" }))
                    .collect();
                let others = match others.is_empty() {
                    true => String::new(),
                    false => format!("; it listens on {} (see --port)", others.join(", ")),
                };
                Some(format!(
                    "note: the server does not listen on port {port} after {seconds} s{others}; the client starts all the same"
                ))
            }
        }
    }

    /// The closing lines, a hint when nothing crossed the wire to a server that is looked for on the client's own host (which
    /// the command says, or `astray`), and the client's exit code.
    fn close(
        &self,
        pair: &Pair,
        [packets, lost]: [u64; 2],
        astray: Option<IpAddr>,
        out: &mut impl Write,
        global: &Global,
    ) -> Outcome {
        let [client, server] = &pair.sides;
        if let (Some(ended), false) = (server.ended, client.has_begun() || self.stop.asked()) {
            let port = self.port;
            let error = anyhow!(
                "the server ended before it listened on port {port}: {}",
                programs::ending(ended)
            );
            return Err(Failure::new(Exit::NoMatch, error));
        }
        for side in [client, server] {
            writeln!(out, "{}", side.fate())?;
        }
        let noun = if packets == 1 { "packet" } else { "packets" };
        let lost = match lost {
            0 => "none lost".to_owned(),
            lost => format!("{lost} lost"),
        };
        writeln!(out, "{packets} {noun}, {lost}")?;
        let loopback = ["127.0.0.1", "localhost", "::1"].map(str::to_owned);
        let mut loopback = loopback.into_iter();
        let loopback = loopback.find(|word| self.commands[0].contains(word));
        let loopback = loopback.or_else(|| astray.map(|ip| ip.to_string()));
        if let (Some(word), 0, false) = (loopback, packets, self.one_host) {
            let server = self.addresses[1];
            global.talk(format_args!(
                "hint: {word} is the client's own host here: the server is {server}; write {{server}}, or use --one-host"
            ));
        }
        Ok(client.ended.map_or(Exit::Program(130), Exit::of))
    }
}

#[cfg(test)]
mod tests {
    use super::unfilled;

    #[test]
    fn a_word_in_braces_that_stands_for_nothing_is_found() {
        let cases = [
            ("nc {server} {port}", None),
            ("nc {sever} {port}", Some("sever")),
            ("{ nc {server} {prot}; }", Some("prot")),
            ("echo } {a,b} ${x:-1} {} é{é}", None),
            ("echo {{host}", Some("host")),
            ("{", None),
        ];
        for (command, found) in cases {
            assert_eq!(unfilled(command), found, "{command}");
        }
    }
}
