//! Both programs traced: their calls, the wire's packets and those of each host's loopback interface on one timeline.

use std::{
    cell::RefCell,
    collections::HashMap,
    ffi::OsString,
    io::{self, IsTerminal as _, Write},
    net::IpAddr,
    ops::ControlFlow,
    os::fd::OwnedFd,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::{Receiver, Sender, SyncSender, channel, sync_channel},
    },
    thread,
    time::Duration,
};

use sockwire::{
    call::Address,
    event::{self, Arg, Arrival, Begin, CallId, Deed, Entry, Interface, Packet, VERSION, Way},
    lab::{
        self, Host, Transit, hosts,
        program::{Guard, Readiness, end_all, handle, network, plain, stdio, wait_for_port},
    },
    link::LinkType,
    sys::{
        clock::Clock,
        signal::{Interruptible, pause},
    },
    text::ascii,
    time::{MILLISECOND, Time},
    trace::{Program, Tracer, Wanted},
};

use super::{
    super::{
        WIRE, failed,
        programs::{LIMIT, Pair, Said, bar, shown},
    },
    Args, Setup,
};
use crate::cmd::{
    Failure, Global, Outcome,
    trace::{Collector, Keep, Keeper, Place, Teller, Where, failure},
};

/// Between two collections, in nanoseconds.
const LOOK: i64 = 20 * MILLISECOND;
/// Between two words to a tracer that waits.
const AGAIN: Duration = Duration::from_millis(5);

/// Runs both.
pub(super) fn run(args: &Args, setup: &Setup, global: &Global) -> Outcome {
    let keeper = Keeper::open(&args.keeping, &args.showing, Place::Stdout, global)?;
    if !global.quiet {
        // That stderr is closed is no reason to stop.
        let _ = setup.introduce(&mut io::stderr());
    }
    let [client, server] = &setup.commands;
    let begin = Begin {
        version: VERSION,
        what: format!("client: {client}, server: {server}"),
        ground: match setup.one_host {
            true => "one host of a lab",
            false => "two hosts of a lab",
        }
        .to_owned(),
    };
    let (mut collector, teller) = Collector::new(begin, Keep::All, |captures| {
        Box::new(move |net, _, process| captures.open(net, process, Where::Loopback))
    });
    let origin = setup.clock.now();
    let wire = (!setup.one_host).then(|| collector.source());
    if let Some(wire) = wire {
        let interface = Interface {
            id: 0,
            net: None,
            name: WIRE.to_owned(),
            link: LinkType::ETHERNET,
        };
        let event = event::Event::Interface(interface);
        collector.push(wire, Entry { at: origin, event });
    }
    let (say, said) = sync_channel(256);
    let (over, ended) = channel();
    let (hand, handed) = channel();
    let (leave, stay) = channel::<()>();
    let tracing = Tracing {
        commands: setup.commands.clone(),
        port: setup.port,
        one_host: setup.one_host,
        wanted: args.which.wanted(),
        clock: collector.clock(),
        guard: setup.guard.clone(),
        say,
    };
    let guard = setup.guard.clone();
    let bodies: [hosts::Body; 2] = [
        Box::new(move || {
            guard.watch(&network()?);
            let _ = hand.send((handle()?, network()?));
            Ok(())
        }),
        Box::new(move || {
            // The client's thread has failed, and says why.
            let Ok(client) = handed.recv() else {
                return Ok(());
            };
            tracing.guard.watch(&network()?);
            let networks = [client, (handle()?, network()?)];
            let _ = over.send(tracing.run(networks, teller));
            // The hosts live until the last packet has come.
            let _ = stay.recv();
            Ok(())
        }),
    ];
    let mut lab = Lab {
        setup,
        collector,
        keeper,
        wire,
        ended,
        result: None,
        pair: Pair::new(said, setup.stop, setup.patience, setup.clock),
        packets: [0; 2],
        collected: origin,
        astray: Astray::default(),
        ascii: global.ascii,
    };
    let mut told = Ok(());
    let mut listener = |event: lab::Event| {
        told = lab.happened(&event);
        match told.is_ok() && !lab.is_over() {
            true => ControlFlow::Continue(()),
            false => ControlFlow::Break(()),
        }
    };
    let played = match setup.one_host {
        true => hosts::run_on_one(setup.port, setup.way, bodies, &mut listener),
        false => hosts::run(
            &setup.link,
            setup.addresses,
            setup.way,
            bodies,
            &mut listener,
        ),
    };
    drop(leave);
    end_all(&lab.pair.networks);
    told?;
    played.map_err(failed)?;
    lab.finish(global)
}

/// The tracer's thread, and what it is to do.
struct Tracing {
    commands: [String; 2],
    port: u16,
    one_host: bool,
    wanted: Wanted,
    clock: Clock,
    guard: Guard,
    say: SyncSender<Said>,
}

impl Tracing {
    /// Starts the server, the client when the server listens, and traces both until they have ended, and all that they started.
    fn run(self, networks: [(OwnedFd, String); 2], mut teller: Teller) -> Result<(), Failure> {
        let thread = Interruptible::this_thread()?;
        let mut tracer = Tracer::new(self.wanted, self.clock);
        let [client, server] = networks;
        // Kept until the end: inputs that never end.
        let _server = self.start(Host::Server, server, &mut tracer, &mut teller)?;
        let (found, finds) = channel();
        let stopped = Arc::new(AtomicBool::new(false));
        let looking = {
            let (port, stopped) = (self.port, Arc::clone(&stopped));
            move || look(port, &found, thread, &stopped)
        };
        thread::Builder::new()
            .name("waiting".to_owned())
            .spawn(looking)?;
        let readiness = RefCell::new(None);
        let is_found = || {
            let mut readiness = readiness.borrow_mut();
            if readiness.is_none() {
                *readiness = finds.try_recv().ok();
            }
            readiness.is_some()
        };
        let is_over = tracer.watch(&is_found, &mut teller).map_err(failure)?;
        stopped.store(true, Ordering::Relaxed);
        if let Some(readiness) = readiness.take() {
            let _ = self.say.send(Said::Waited(readiness?));
        }
        let _client = match is_over {
            true => None,
            false => Some(self.start(Host::Client, client, &mut tracer, &mut teller)?),
        };
        tracer.run(&|| false, &mut teller).map_err(failure)?;
        Ok(())
    }

    fn start(
        &self,
        host: Host,
        (handle, network): (OwnedFd, String),
        tracer: &mut Tracer,
        teller: &mut Teller,
    ) -> Result<Option<OwnedFd>, Failure> {
        let is_client = host == Host::Client;
        let hear = {
            let (say, clock) = (self.say.clone(), self.clock);
            move |words: &[u8]| {
                let said = Said::Words(host, clock.now(), words.to_vec());
                say.send(said).is_ok()
            }
        };
        let (stdio, input) = stdio(is_client, hear).map_err(failed)?;
        // A terminal gives its input to its foreground group only, which is this process's.
        let group = !is_client || !io::stdin().is_terminal();
        let name = match self.one_host {
            true => "host",
            false => host.name(),
        };
        let words = ["sh", "-c", &plain(&self.commands[host as usize])];
        let program = Program {
            words: words.map(OsString::from).into(),
            network: Some((handle, name.to_owned())),
            stdio: Some(stdio),
            group,
        };
        let process = tracer.start(program, teller).map_err(failure)?;
        let _ = self.say.send(Said::Began {
            host,
            process,
            group,
            network,
        });
        Ok(input)
    }
}

/// Looks whether the server can be reached, and says so to the tracer, which waits.
fn look(
    port: u16,
    found: &Sender<Result<Readiness, Failure>>,
    tracer: Interruptible,
    stopped: &AtomicBool,
) {
    let is_stopped = || stopped.load(Ordering::Relaxed);
    // That the server has ended is seen by its tracer.
    let ended = || Ok(is_stopped().then_some(Ok(0)));
    let readiness = wait_for_port(port, LIMIT, ended).map_err(failed);
    let _ = found.send(readiness);
    // Again and again: it may have been about to wait when it was told.
    while !is_stopped() {
        tracer.interrupt();
        pause(AGAIN);
    }
}

/// The lab as it runs.
struct Lab<'a> {
    setup: &'a Setup,
    collector: Collector,
    keeper: Keeper,
    /// The wire among the collector's sources.
    wire: Option<usize>,
    ended: Receiver<Result<(), Failure>>,
    /// How tracing has ended.
    result: Option<Result<(), Failure>>,
    pair: Pair,
    /// Those that were sent, and those that were lost.
    packets: [u64; 2],
    /// When entries were collected last.
    collected: Time,
    astray: Astray,
    ascii: bool,
}

impl Lab<'_> {
    fn happened(&mut self, event: &lab::Event) -> Result<(), Failure> {
        self.pair.happened(event);
        if let Some(wire) = self.wire {
            self.push(event, wire);
        }
        self.hear();
        let now = self.setup.clock.now();
        if now.since(self.collected) >= LOOK {
            self.collected = now;
            self.collect()?;
            self.keeper.look(self.collector.reached(), now);
        }
        if self.keeper.is_over() {
            self.setup.stop.ask();
        }
        self.pair.go_on(now);
        if self.pair.is_over() && self.result.is_none() {
            // What they have started ends with them.
            end_all(&self.pair.networks);
        }
        Ok(())
    }

    /// What the wire tells, for the log.
    fn push(&mut self, event: &lab::Event, wire: usize) {
        let (at, event) = match event {
            lab::Event::Sent(transit) => {
                let [sent, lost] = &mut self.packets;
                *sent += 1;
                *lost += u64::from(transit.dropped.is_some());
                (transit.time, event::Event::Packet(packet(transit)))
            }
            lab::Event::Delivered {
                number,
                time,
                again,
                ..
            } => {
                let (packet, again) = (*number, *again);
                let arrival = Arrival { packet, again };
                (*time, event::Event::Arrival(arrival))
            }
            lab::Event::Quiet(time) => return self.collector.reach(wire, *time),
            lab::Event::Up(_) | lab::Event::Called { .. } => return,
        };
        self.collector.push(wire, Entry { at, event });
        self.collector.reach(wire, at);
    }

    /// Takes what the tracer's thread says.
    fn hear(&mut self) {
        let waited = self.pair.hear();
        self.note(waited);
        if let Ok(result) = self.ended.try_recv() {
            self.result = Some(result);
        }
        self.lines(self.setup.clock.now());
    }

    /// How it came out to wait for the server, where that is worth a word.
    fn note(&self, waited: Option<Readiness>) {
        if let Some(note) = waited.and_then(|readiness| self.setup.note(&readiness)) {
            let _ = writeln!(io::stderr(), "{note}");
        }
    }

    /// What the programs say stands on stderr as it comes: standard output is the view's.
    fn lines(&mut self, now: Time) {
        for (host, _, line) in self.pair.lines(now) {
            let mut line = format!("{host}{} {}", bar(self.ascii), shown(&line));
            if self.ascii {
                line = ascii(&line);
            }
            let _ = writeln!(io::stderr(), "{line}");
        }
    }

    /// Passes on what nothing can precede any more; true at the end.
    fn collect(&mut self) -> Result<bool, Failure> {
        let Self {
            collector,
            keeper,
            pair,
            packets,
            wire,
            astray,
            ..
        } = self;
        collector.collect(&mut |entry| {
            match &entry.event {
                event::Event::Exit(exit) => {
                    let sides = Host::BOTH.into_iter().zip(&pair.sides);
                    let mut sides = sides.filter(|(_, side)| side.running() == Some(exit.process));
                    if let Some((host, _)) = sides.next() {
                        pair.ended(host, exit.status);
                    }
                }
                event::Event::Packet(_) if wire.is_none() => packets[0] += 1,
                _ => {}
            }
            astray.push(&entry.event);
            keeper.entry(entry);
            Ok(())
        })
    }

    fn is_over(&self) -> bool {
        match &self.result {
            None => false,
            Some(Err(_)) => true,
            Some(Ok(())) => self.pair.is_silent(),
        }
    }

    /// Everything that is left, and the closing lines.
    fn finish(mut self, global: &Global) -> Outcome {
        if let Some(wire) = self.wire {
            self.collector.reach(wire, Time::MAX);
        }
        loop {
            self.collector.wait();
            self.hear();
            if self.collect()? {
                break;
            }
        }
        let waited = self.pair.hear_out();
        self.note(waited);
        self.lines(Time::MAX);
        self.keeper.finish()?;
        self.result.unwrap_or(Ok(()))?;
        let mut closing = Vec::new();
        let outcome = self.setup.close(
            &self.pair,
            self.packets,
            self.astray.found,
            &mut closing,
            global,
        )?;
        if !global.quiet {
            let _ = io::stderr().write_all(&closing);
        }
        Ok(outcome)
    }
}

/// Finds a connection to the loopback address that was refused: who looks for the server on the own host.
#[derive(Default)]
struct Astray {
    asked: HashMap<CallId, IpAddr>,
    found: Option<IpAddr>,
}

impl Astray {
    fn push(&mut self, event: &event::Event) {
        match event {
            event::Event::Enter(enter) if enter.deed == Deed::Connect => {
                let ip = enter.args.iter().find_map(|arg| match arg {
                    Arg::Address(Some(Address::Ip(address))) => Some(address.ip()),
                    _ => None,
                });
                if let Some(ip) = ip.filter(|ip| ip.to_canonical().is_loopback()) {
                    self.asked.insert(enter.call, ip);
                }
            }
            event::Event::Return(back) => {
                let asked = self.asked.remove(&back.call);
                let found = asked.filter(|_| back.result == Err(libc::ECONNREFUSED));
                self.found = self.found.or(found);
            }
            _ => {}
        }
    }
}

/// A packet of the wire.
fn packet(transit: &Transit) -> Packet {
    Packet {
        number: transit.number,
        interface: 0,
        way: Way::Wire,
        wire_len: u32::try_from(transit.bytes.len()).unwrap_or(u32::MAX),
        checksum: transit.checksum,
        bytes: transit.bytes.to_vec(),
        lost: transit.dropped.clone(),
    }
}
