//! `sockwire lab run`: a client and a server, any programs, on the lab's two hosts, and between them the wire as a ladder.

use std::{
    collections::HashSet,
    io::{self, Write},
    net::{IpAddr, SocketAddr},
    ops::ControlFlow,
    sync::mpsc::{Receiver, channel, sync_channel},
};

use anyhow::anyhow;
use sockwire::{
    lab::{
        Event, Host, PRIVATE_IPV4, PRIVATE_IPV6, Transit, hosts, loopback,
        program::{Guard, Readiness, end_all},
    },
    sys::signal::Stop,
    text::Safe,
    time::{MILLISECOND, SECOND, Time},
};

use super::{
    Cable, Keeping, Recording, WIRE, effects, failed,
    programs::{self, Said, Side, bar, body},
};
use crate::cmd::{
    Exit, Failure, Global, Outcome, drawing::Drawing, number, permission, pipeline::now,
};

const EXAMPLES: &str = "\
Examples:
  sockwire lab run -S 'python3 server.py {port}' -C 'python3 client.py {server} {port}'
  sockwire lab run -S 'nc -l {port}' -C 'echo hello | nc -N {server} {port}' --delay 50 --loss 5%
  sockwire lab run -S './server {port}' -C './client 127.0.0.1 {port}' --one-host
  sockwire lab run -S 'socat UDP-LISTEN:{port} -' -C 'echo hi | socat - UDP:{server}:{port}' -w my.pcapng

A command runs as 'sh -c COMMAND' does, so that quotes, pipes, && and > FILE mean what they mean in a terminal. In both,
{server} stands for the server's address and {port} for its port. The client starts when the server listens there. When
the client has ended and the wire is silent, the server gets SIGTERM. The exit code is the client's.
";

/// A client and a server of your own on the two hosts of a private network, what crosses the wire as a ladder
#[derive(clap::Args)]
#[command(before_help = EXAMPLES)]
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
    #[arg(long)]
    absolute: bool,
    #[command(flatten)]
    keeping: Keeping,
    /// With -w FILE.pcapng: each side's own view as well, in FILE.client.pcapng and FILE.server.pcapng
    #[arg(long, requires = "write")]
    ends: bool,
}

/// Nanoseconds in which a kernel has answered.
const SILENCE: i64 = 50 * MILLISECOND;
/// The same where a frame may have been lost: a kernel repeats it.
const REPETITION: i64 = SECOND;
/// So much later than it happened, a program's word has been heard, in nanoseconds.
const LATE: i64 = 2 * MILLISECOND;
/// So many packets are shown one by one; of more, data in a row is one row.
const SINGLE: u64 = 1000;

/// Runs the command.
pub(super) fn run(args: Args, global: &Global) -> Outcome {
    if args.one_host && args.cable.is_asked() {
        let error = anyhow!(
            "one host has no wire: --delay, --loss, --drop and the wire's other options do not go with --one-host"
        );
        return Err(Failure::new(Exit::Usage, error));
    }
    let way = permission::private_network()?;
    let stop = Stop::install()?;
    let link = args.cable.link();
    let recording = Recording::open(&args.keeping, args.ends, &[WIRE])?;
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
    let commands = [filled(&args.client), filled(&args.server)];
    introduce(&args, addresses, &commands)?;
    let guard = Guard::post()?;
    let (ready, gate) = channel();
    // Bounded: a program that says more than is shown waits.
    let (say, said) = sync_channel(256);
    let [client, server] = commands.clone();
    let bodies = [
        body(
            Host::Client,
            client,
            args.port,
            Err(gate),
            &guard,
            say.clone(),
        ),
        body(Host::Server, server, args.port, Ok(ready), &guard, say),
    ];
    let origin = now();
    let listening = vec![SocketAddr::new(addresses[1], args.port)];
    let disturbs = args.cable.is_asked() && !effects(&link).is_empty();
    let mut lab = Lab {
        drawing: Drawing::of_lab(listening, args.absolute, Some(origin), global),
        recording,
        said,
        sides: Host::BOTH.map(Side::new),
        port: args.port,
        one_host: args.one_host,
        stop,
        patience: link.delay.saturating_mul(2).saturating_add(match disturbs {
            true => REPETITION,
            false => SILENCE,
        }),
        seen: origin,
        active: origin,
        networks: HashSet::new(),
        refused: None,
        ascii: global.ascii,
    };
    let mut told = Ok(());
    let mut listener = |event: Event| {
        told = lab.happened(event);
        match told.is_ok() && !lab.is_over() {
            true => ControlFlow::Continue(()),
            false => ControlFlow::Break(()),
        }
    };
    let played = match args.one_host {
        true => hosts::run_on_one(args.port, way, bodies, &mut listener),
        false => hosts::run(&link, addresses, way, bodies, &mut listener),
    };
    // Also when the output failed: nothing is left behind.
    let finished = told.and_then(|()| lab.finish());
    end_all(&lab.networks);
    finished?;
    played.map_err(failed)?;
    lab.close(&args, addresses, &commands, global)
}

fn introduce(args: &Args, addresses: [IpAddr; 2], commands: &[String; 2]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    let link = args.cable.link();
    let delay = link.delay as f64 / MILLISECOND as f64;
    let ground = match args.one_host {
        true => "one host and its loopback interface".to_owned(),
        false => format!("two hosts, one cable, {delay} ms each way"),
    };
    writeln!(out, "{ground}    ground: namespaces (Linux's own TCP)")?;
    for ((host, address), command) in Host::BOTH.into_iter().zip(addresses).zip(commands) {
        let command = Safe(command.as_bytes());
        writeln!(out, "{host} {address}: {command}")?;
    }
    let effects = effects(&link);
    if !effects.is_empty() {
        writeln!(out, "wire: {}", effects.join(", "))?;
    }
    Ok(())
}

/// The lab as it runs.
struct Lab {
    drawing: Drawing<String>,
    recording: Recording,
    said: Receiver<Said>,
    /// Client and server.
    sides: [Side; 2],
    port: u16,
    one_host: bool,
    stop: Stop,
    /// Nanoseconds of silence after which nothing more is to come.
    patience: i64,
    /// Everything older than this is known.
    seen: Time,
    /// When something has happened last.
    active: Time,
    /// The hosts'.
    networks: HashSet<String>,
    /// The server ended before the client could begin.
    refused: Option<Result<i32, i32>>,
    ascii: bool,
}

impl Lab {
    fn happened(&mut self, event: Event) -> Result<(), Failure> {
        match &event {
            Event::Sent(Transit { time, number, .. }) => {
                (self.seen, self.active) = (self.seen.max(*time), *time);
                if *number == SINGLE {
                    self.drawing.put_together();
                    let line = format!(
                        "        {SINGLE} packets: from here on, data in a row is one line"
                    );
                    self.drawing.line(*time, line);
                }
            }
            Event::Delivered { time, .. } => {
                (self.seen, self.active) = (self.seen.max(*time), *time);
            }
            Event::Quiet(time) => self.seen = self.seen.max(*time),
            Event::Up(_) | Event::Called { .. } => {}
        }
        self.hear();
        let mut out = io::stdout().lock();
        self.drawing.event(&event, LATE, &mut out)?;
        self.recording.event(&event)?;
        self.go_on();
        Ok(())
    }

    /// Takes what the programs' threads say.
    fn hear(&mut self) {
        let now = now();
        while let Ok(said) = self.said.try_recv() {
            match said {
                Said::Began {
                    host,
                    process,
                    group,
                    network,
                } => {
                    self.networks.insert(network);
                    self.sides[host as usize].began(process, group);
                }
                Said::Waited(readiness) => self.waited(readiness),
                Said::Words(host, time, words) => {
                    self.active = self.active.max(time);
                    let side = &mut self.sides[host as usize];
                    for line in side.hear(time, &words) {
                        self.line(host, time, &line);
                    }
                }
                Said::Over(host, ended) => {
                    self.active = now;
                    self.sides[host as usize].ended = Some(ended);
                }
            }
        }
        for host in Host::BOTH {
            let side = &mut self.sides[host as usize];
            if let Some((time, line)) = side.unended(now) {
                self.line(host, time, &line);
            }
        }
    }

    /// Shows what a program says at its time.
    fn line(&mut self, host: Host, time: Time, line: &[u8]) {
        let bar = bar(self.ascii);
        let at = self.drawing.at(time);
        let line = format!("{at} {host}{bar} {}", Safe(line));
        let line = if self.ascii {
            sockwire::text::ascii(&line)
        } else {
            line
        };
        self.drawing.line(time, line);
    }

    /// The server can be reached, or not.
    fn waited(&mut self, readiness: Readiness) {
        let port = self.port;
        let others = match readiness {
            Readiness::Listens(address) if address.ip().is_loopback() && !self.one_host => {
                let line = format!(
                    "note: the server listens on {address}, which only its own host reaches: bind it to {{server}}, or use --one-host"
                );
                self.drawing.line(now(), line);
                return;
            }
            Readiness::Listens(_) => return,
            Readiness::Ended(ended) => {
                self.refused = Some(ended);
                return;
            }
            Readiness::Waited(others) => others,
        };
        let time = now();
        let seconds = programs::LIMIT.as_secs();
        let others: Vec<String> = others
            .iter()
            .map(|(tcp, address)| format!("{} {address}", if *tcp { "TCP" } else { "UDP" }))
            .collect();
        let others = match others.is_empty() {
            true => String::new(),
            false => format!("; it listens on {} (see --port)", others.join(", ")),
        };
        let line = format!(
            "note: the server does not listen on port {port} after {seconds} s{others}; the client starts all the same"
        );
        self.drawing.line(time, line);
    }

    /// When the client has ended and the wire is silent, the server is asked to end. Ctrl-C ends both.
    fn go_on(&mut self) {
        let now = now();
        let is_silent = self.is_silent();
        let [client, server] = &mut self.sides;
        let stopped = self.stop.asked();
        if stopped {
            client.ask(now);
        }
        let client_is_over = client.ended.is_some() || !client.has_begun() && stopped;
        if client_is_over && (is_silent || stopped) {
            server.ask(now);
        }
    }

    fn is_silent(&self) -> bool {
        self.seen.since(self.active) >= self.patience
    }

    /// Both have ended, or the server has before the client could begin, and nothing more is to come.
    fn is_over(&self) -> bool {
        let [client, server] = &self.sides;
        let began = client.has_begun() && client.ended.is_none();
        server.ended.is_some() && !began && self.is_silent()
    }

    /// What is left to show.
    fn finish(&mut self) -> Result<(), Failure> {
        self.hear();
        for host in Host::BOTH {
            if let Some((time, line)) = self.sides[host as usize].unended(Time::MAX) {
                self.line(host, time, &line);
            }
        }
        Ok(self.drawing.finish(&mut io::stdout().lock())?)
    }

    /// The closing lines, and the client's exit code.
    fn close(
        mut self,
        args: &Args,
        addresses: [IpAddr; 2],
        commands: &[String; 2],
        global: &Global,
    ) -> Outcome {
        let kept = self.recording.finish()?;
        let [client, server] = &self.sides;
        if let (Some(ended), None) = (self.refused, client.ended) {
            let port = self.port;
            let error = anyhow!(
                "the server ended before it listened on port {port}: {}",
                programs::ending(ended)
            );
            return Err(Failure::new(Exit::NoMatch, error));
        }
        let mut out = io::stdout().lock();
        writeln!(out)?;
        for side in [client, server] {
            writeln!(out, "{}", side.fate())?;
        }
        let [packets, lost] = self.drawing.packets();
        let noun = if packets == 1 { "packet" } else { "packets" };
        let lost = match lost {
            0 => "none lost".to_owned(),
            lost => format!("{lost} lost"),
        };
        writeln!(out, "{packets} {noun}, {lost}")?;
        if let Some(name) = kept {
            writeln!(out, "kept: {name}\nnext: sockwire read -v {name}")?;
        }
        out.flush()?;
        let loopback = ["127.0.0.1", "localhost", "::1"]
            .into_iter()
            .find(|word| commands[0].contains(word));
        if let (Some(word), 0, false) = (loopback, packets, args.one_host) {
            let server = addresses[1];
            global.talk(format_args!(
                "hint: {word} is the client's own host here: the server is {server}; write {{server}}, or use --one-host"
            ));
        }
        Ok(client.ended.map_or(Exit::Program(130), Exit::of))
    }
}
