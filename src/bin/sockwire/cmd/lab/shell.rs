//! `sockwire lab shell`: a shell on one of the lab's hosts; the other one is at the other end of the wire.

use std::{
    collections::HashSet,
    io::{self, IsTerminal as _, Write},
    net::IpAddr,
    ops::ControlFlow,
    sync::mpsc::{Receiver, channel, sync_channel},
};

use clap::ValueEnum;
use nix::unistd::gettid;
use sockwire::{
    lab::{
        Event, Host, PRIVATE_IPV4, PRIVATE_IPV6,
        hosts::{self, Body},
        program::{Guard, Program, Start, end_all, network},
        refusal::Way,
    },
    sys::{clock::Clock, process, signal::Stop},
    text::typed,
    time::{MILLISECOND, SECOND, Time},
};

use super::{
    Cable, Keeping, Recording, WIRE, effects, failed,
    programs::{self, Said, Side, bar},
};
use crate::cmd::{Exit, Failure, Global, Outcome, output, permission};

const EXAMPLES: &str = "\
Examples:
  sockwire lab shell                                     a shell on the client's host
  sockwire lab shell --with 'python3 server.py' --delay 50
  sockwire lab shell server -w my.pcapng                 on the server's; the packets in a file
";

/// A shell on one of two hosts in a private network; it ends with the shell, whose exit code it has
///
/// While the shell has the terminal, no packet is drawn: -w keeps them in a file, for sockwire ladder FILE.
#[derive(clap::Args)]
#[command(before_help = EXAMPLES)]
pub(super) struct Args {
    /// On which host
    #[arg(value_enum, default_value_t = Place::Client)]
    host: Place,
    /// Runs a command on the other host meanwhile, as 'sh -c COMMAND' does: a server, for example
    #[arg(long, value_name = "COMMAND")]
    with: Option<String>,
    #[command(flatten)]
    cable: Cable,
    /// Over IPv6
    #[arg(short = '6', long)]
    ipv6: bool,
    #[command(flatten)]
    keeping: Keeping,
    /// With -w FILE.pcapng: each side's own view as well, in FILE.client.pcapng and FILE.server.pcapng
    #[arg(long, requires = "write")]
    ends: bool,
}

/// The words for [`Host`].
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Place {
    Client,
    Server,
}

/// Nanoseconds in which a kernel has answered.
const SILENCE: i64 = 50 * MILLISECOND;

/// Runs the command.
pub(super) fn run(args: &Args, global: &Global) -> Outcome {
    let way = permission::private_network()?;
    let stop = Stop::install()?;
    let here = match args.host {
        Place::Client => Host::Client,
        Place::Server => Host::Server,
    };
    let addresses = match args.ipv6 {
        false => PRIVATE_IPV4,
        true => PRIVATE_IPV6,
    };
    let link = args.cable.link();
    let recording = Recording::open(&args.keeping, args.ends, &[WIRE])?;
    let guard = Guard::post()?;
    let clock = Clock::start();
    let (say, said) = sync_channel(256);
    let (leave, stay) = channel::<()>();
    let (tell, other) = channel();
    let banner = Banner {
        here,
        addresses,
        way,
        with: args.with.clone(),
        kept: args.keeping.write.is_some(),
        wire: {
            let delay = link.delay as f64 / MILLISECOND as f64;
            let effects = effects(&link).into_iter();
            let first = format!("one cable, {delay} ms each way");
            [first]
                .into_iter()
                .chain(effects)
                .collect::<Vec<_>>()
                .join(", ")
        },
        quiet: global.quiet,
    };
    let shell: Body = {
        let (say, guard) = (say.clone(), guard.clone());
        Box::new(move || {
            let network = network()?;
            guard.watch(&network);
            // The other host is there: its thread can be named.
            let other = other.recv().ok();
            banner.print(other);
            let program = Program::shell(here.name())?;
            let process = program.process;
            let _ = say.send(Said::Began {
                host: here,
                process,
                group: false,
                network,
            });
            let ended = program.wait()?;
            let _ = say.send(Said::Over(here, ended));
            Ok(())
        })
    };
    let with = args.with.clone();
    let beside: Body = Box::new(move || {
        let host = here.other();
        let network = network()?;
        guard.watch(&network);
        let _ = tell.send(gettid().as_raw());
        if let Some(command) = with {
            let hear = {
                let say = say.clone();
                move |words: &[u8]| {
                    let said = Said::Words(host, clock.now(), words.to_vec());
                    say.send(said).is_ok()
                }
            };
            let start = Start {
                command,
                input: false,
                group: true,
            };
            let program = Program::start(&start, hear)?;
            let _ = say.send(Said::Began {
                host,
                process: program.process,
                group: true,
                network,
            });
            let ended = program.wait()?;
            let _ = say.send(Said::Over(host, ended));
        }
        // Whoever joins this host joins this thread.
        let _ = stay.recv();
        Ok(())
    });
    let bodies = match here {
        Host::Client => [shell, beside],
        Host::Server => [beside, shell],
    };
    let mut lab = Lab {
        here,
        said,
        sides: Host::BOTH.map(Side::new),
        has_other: args.with.is_some(),
        recording,
        stop,
        asked: None,
        packets: [0; 2],
        networks: HashSet::new(),
        active: clock.now(),
        clock,
        ascii: global.ascii,
    };
    let mut told = Ok(());
    let played = hosts::run(&link, addresses, way, bodies, &mut |event| {
        told = lab.happened(event);
        match told.is_ok() && !lab.is_over() {
            true => ControlFlow::Continue(()),
            false => ControlFlow::Break(()),
        }
    });
    drop(leave);
    end_all(&lab.networks);
    told?;
    played.map_err(failed)?;
    lab.close(global)
}

/// What is said before the shell begins.
struct Banner {
    here: Host,
    addresses: [IpAddr; 2],
    way: Way,
    with: Option<String>,
    kept: bool,
    wire: String,
    quiet: bool,
}

impl Banner {
    /// `other` is a thread on the other host.
    fn print(&self, other: Option<i32>) {
        if self.quiet {
            return;
        }
        let Self { here, .. } = self;
        let there = here.other();
        let [own, peer] = [*here, there].map(|host| self.addresses[host as usize]);
        let wire = &self.wire;
        let mut text = format!(
            "you are on the {here}, {own} (eth0); the {there} is {peer}; between them {wire}\n"
        );
        if self.way == Way::User {
            text.push_str(
                "here you are root, of these two networks only; your files are your own\n",
            );
        }
        let mut says = |label: &str, what: &str| text.push_str(&format!("{label:<10}{what}\n"));
        match &self.with {
            Some(command) => {
                says("there:", &typed(command));
            }
            None => says("try:", &format!("ping -c 1 {peer}    ip addr    ss -tan")),
        }
        if let Some(thread) = other {
            let join = match self.way {
                Way::User => format!("nsenter -t {thread} -U --preserve-credentials -n"),
                Way::Administrator if output::caller().is_some() => {
                    format!("sudo nsenter -t {thread} -n")
                }
                Way::Administrator => format!("nsenter -t {thread} -n"),
            };
            let label = format!("{there}:");
            says(&label, &format!("{join}    in a second terminal"));
        }
        says(
            "packets:",
            match self.kept {
                true => "they go to the file, and are not shown here",
                false => "they are not shown here; -w FILE keeps them",
            },
        );
        says("end:", "exit, and all that runs in the lab ends too");
        let _ = io::stderr().write_all(text.as_bytes());
    }
}

struct Lab {
    here: Host,
    said: Receiver<Said>,
    sides: [Side; 2],
    /// A program runs on the other host.
    has_other: bool,
    recording: Recording,
    stop: Stop,
    /// When the shell was told that the terminal is gone.
    asked: Option<Time>,
    /// Sent, and of those lost.
    packets: [u64; 2],
    networks: HashSet<String>,
    active: Time,
    clock: Clock,
    ascii: bool,
}

impl Lab {
    fn happened(&mut self, event: Event) -> Result<(), Failure> {
        if let Event::Sent(transit) = &event {
            self.packets[0] += 1;
            self.packets[1] += u64::from(transit.dropped.is_some());
        }
        if !matches!(event, Event::Quiet(_)) {
            self.active = self.clock.now();
        }
        self.recording.event(&event)?;
        for said in programs::heard(&self.said) {
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
                Said::Waited(_) => {}
                Said::Words(host, time, words) => {
                    for line in self.sides[host as usize].hear(time, &words) {
                        self.line(host, &line);
                    }
                }
                Said::Over(host, ended) => {
                    self.active = self.clock.now();
                    self.sides[host as usize].ended = Some(ended);
                    if host != self.here && self.sides[self.here as usize].ended.is_none() {
                        let line = programs::ending(ended);
                        self.line(host, format!("ended: {line}").as_bytes());
                    }
                }
            }
        }
        let there = self.here.other() as usize;
        if let Some((_, line)) = self.sides[there].unended(self.clock.now()) {
            self.line(self.here.other(), &line);
        }
        self.go_on();
        Ok(())
    }

    /// What the program on the other host says.
    fn line(&self, host: Host, line: &[u8]) {
        let bar = bar(self.ascii);
        let _ = writeln!(io::stderr(), "{host}{bar} {}", programs::shown(line));
    }

    /// The other program ends with the shell; the shell ends with the terminal, or when it is asked to.
    fn go_on(&mut self) {
        let now = self.clock.now();
        let there = self.here.other() as usize;
        let Some(shell) = self.sides[self.here as usize].running() else {
            if self.sides[self.here as usize].ended.is_some() {
                self.sides[there].end(now);
            }
            return;
        };
        // Ctrl-C at a terminal is the shell's matter.
        if self.stop.asked() {
            let since = *self.asked.get_or_insert(now);
            let signal = match now.since(since) {
                0 => nix::sys::signal::Signal::SIGHUP,
                ..SECOND => return,
                _ => nix::sys::signal::Signal::SIGKILL,
            };
            process::tell(shell, false, signal);
        }
    }

    fn is_over(&self) -> bool {
        let [here, there] = [self.here, self.here.other()].map(|host| &self.sides[host as usize]);
        let is_silent = self.clock.now().since(self.active) >= SILENCE;
        here.ended.is_some() && (!self.has_other || there.ended.is_some()) && is_silent
    }

    fn close(mut self, global: &Global) -> Outcome {
        let kept = self.recording.finish()?;
        let [packets, lost] = self.packets;
        let noun = if packets == 1 { "packet" } else { "packets" };
        if io::stderr().is_terminal() || kept.is_some() {
            global.talk(format_args!(
                "{packets} {noun} crossed the wire, {lost} lost"
            ));
        }
        if let Some(name) = kept {
            global.talk(format_args!("kept: {name}\nnext: sockwire ladder {name}"));
        }
        Ok(self.sides[self.here as usize]
            .ended
            .map_or(Exit::Program(130), Exit::of))
    }
}
