//! `sockwire handshake` without a host: two hosts of a private lab, the client by hand, the server the kernel's own.

use std::{
    collections::VecDeque,
    io::{self, Read, Write},
    net::{SocketAddr, TcpListener},
    ops::ControlFlow,
    sync::mpsc::{Receiver, Sender, channel},
};

use anyhow::anyhow;
use sockwire::{
    frame::{Direction, Frame},
    lab::{
        self, LabError, Link,
        hosts::{self, Body},
    },
    link::LinkType,
    probe::{
        handshake::{Event, Handshake, HandshakeError, Plan},
        tcp::{Connection, Ending},
    },
    render::ladder::Layout,
    sys::signal::Stop,
    time::{MILLISECOND, Time},
    track::story::Sight,
};

use super::{Args, Exit, Failure, Global, Outcome, Telling, failed};
use crate::cmd::{lab::effects, permission};

/// The server's port.
const PORT: u16 = 5000;
/// Nanoseconds in which a kernel has answered.
const SILENCE: i64 = 50 * MILLISECOND;
/// What is sent when nothing else is asked for.
const HELLO: &[u8] = b"hello\n";

/// How it ended, and the connection as it was left.
type Over = Result<(Option<Ending>, Connection), HandshakeError>;

/// What the hand-made end tells, from its thread.
enum Said {
    /// A packet was sent, or heard, from its IP header on.
    Packet(Direction, Vec<u8>),
    Data(Vec<u8>),
    Step(String),
    Note(String),
    KernelReset,
    Over(Box<Over>),
}

/// The events of both threads, brought together.
struct Lab {
    telling: Telling,
    said: Receiver<Said>,
    /// Said, and about a packet that the wire has not told of yet.
    waiting: VecDeque<Said>,
    /// Packets on the wire, not yet named by the hand-made end: their numbers and bytes from the IP header on.
    unnamed: Vec<(u64, Vec<u8>)>,
    /// The same, of packets that were named.
    named: Vec<(u64, Vec<u8>)>,
    over: Option<Over>,
    /// Nanoseconds of silence after which nothing more is to come.
    patience: i64,
    /// Since when, and up to when, nothing has happened after the end.
    silent_since: Option<(Time, Time)>,
}

/// Plays it in a private network.
pub(super) fn run(args: &Args, global: &Global) -> Outcome {
    let addresses = match args.ipv6 {
        false => lab::PRIVATE_IPV4,
        true => lab::PRIVATE_IPV6,
    };
    let remote = SocketAddr::new(addresses[1], PORT);
    let text = args.send.clone();
    let text = text.map_or_else(|| HELLO.to_vec(), |text| text.0);
    let plan = args.plan(Some(remote), text)?;
    let with_host = "with a host:  sudo sockwire handshake HOST PORT";
    let way = permission::private_network().map_err(|no| no.or(with_host))?;
    let stop = Stop::install()?;
    let telling = Telling::new(args, Layout::Lab, Some(vec![remote]), global)?;
    let link = args.cable.link();
    introduce(&link, args)?;
    let (say, said) = channel();
    let (ready, wait) = channel();
    let bodies: [Body; 2] = [
        Box::new(move || {
            // Fails when the server's thread has ended, and with it the lab.
            let _ = wait.recv();
            let over = by_hand(plan, stop, &say);
            let _ = say.send(Said::Over(Box::new(over)));
            Ok(())
        }),
        Box::new(move || {
            let failed = |error| LabError::Failed {
                what: "serve in the lab",
                error,
            };
            let listener = TcpListener::bind(remote).map_err(failed)?;
            let _ = ready.send(());
            echo(&listener).map_err(failed)
        }),
    ];
    let mut lab = Lab {
        telling,
        said,
        patience: link.delay.saturating_mul(2).saturating_add(SILENCE),
        waiting: VecDeque::new(),
        unnamed: Vec::new(),
        named: Vec::new(),
        over: None,
        silent_since: None,
    };
    let mut told = Ok(());
    let played = hosts::run(&link, addresses, way, bodies, &mut |event| {
        told = lab.event(event);
        if told.is_err() || lab.is_over() {
            return ControlFlow::Break(());
        }
        ControlFlow::Continue(())
    });
    told?;
    lab.catch_up(true)?;
    if let Err(error) = played {
        return Err(Failure::new(Exit::NotPermitted, error));
    }
    match lab.over {
        Some(Ok((ending, connection))) => {
            lab.telling
                .close(&Ok::<_, HandshakeError>(ending), &connection, args)
        }
        Some(Err(error)) => Err(failed(error, args)),
        None => Err(Failure::new(
            Exit::NotPermitted,
            anyhow!("the lab ended before the handshake"),
        )),
    }
}

/// The client's thread.
fn by_hand(plan: Plan, stop: Stop, say: &Sender<Said>) -> Over {
    let mut handshake = Handshake::open(plan)?;
    let ending = handshake.run(None, &mut |event| {
        let said = match event {
            Event::Packet(frame) => {
                let skip = if frame.link == LinkType::ETHERNET {
                    14
                } else {
                    0
                };
                let bytes = frame.bytes.get(skip..).unwrap_or_default();
                Said::Packet(frame.direction, bytes.to_vec())
            }
            Event::Data(data) => Said::Data(data.to_vec()),
            Event::Step(text) => Said::Step(text.to_owned()),
            Event::Note(text) => Said::Note(text.to_owned()),
            Event::KernelReset => Said::KernelReset,
            Event::Quiet(_) => {
                return match stop.asked() {
                    true => ControlFlow::Break(()),
                    false => ControlFlow::Continue(()),
                };
            }
        };
        match say.send(said) {
            Ok(()) => ControlFlow::Continue(()),
            Err(_) => ControlFlow::Break(()),
        }
    })?;
    Ok((ending, handshake.into_connection()))
}

/// The server's program: it sends back what it gets, until the client closes.
fn echo(listener: &TcpListener) -> io::Result<()> {
    let (mut stream, _) = listener.accept()?;
    let mut buffer = [0; 4096];
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(len) => {
                if stream.write_all(&buffer[..len]).is_err() {
                    return Ok(());
                }
            }
            // A reset is an end like any other here.
            Err(_) => return Ok(()),
        }
    }
}

impl Lab {
    fn event(&mut self, event: lab::Event) -> Result<(), Failure> {
        match event {
            lab::Event::Sent(transit) => {
                let frame = Frame {
                    number: transit.number,
                    time: transit.time,
                    ..Frame::whole(LinkType::ETHERNET, &transit.bytes)
                };
                self.telling.packet(&frame, Sight::Sent)?;
                if let Some(rule) = &transit.dropped {
                    self.telling.dropped(transit.number, rule);
                } else if transit.twice {
                    self.telling.doubled(transit.number);
                }
                if let Some(nanos) = transit.held {
                    self.telling.held_back(transit.number, nanos);
                }
                let inside = transit.bytes.get(14..).unwrap_or_default();
                self.unnamed.push((transit.number, inside.to_vec()));
            }
            lab::Event::Delivered {
                number,
                time,
                again: false,
                ..
            } => self.telling.delivered(number, time),
            lab::Event::Quiet(time) => {
                self.telling.quiet(time)?;
                let since = self.silent_since.map_or(time, |(since, _)| since);
                self.silent_since = self.over.is_some().then_some((since, time));
                return self.catch_up(false);
            }
            _ => {}
        }
        self.silent_since = None;
        self.telling.draw()?;
        self.catch_up(false)
    }

    /// The hand-made end is done, and the wire silent. A server whose client never closed may wait on for ever.
    fn is_over(&self) -> bool {
        let silence = self.silent_since.map(|(since, until)| until.since(since));
        silence.is_some_and(|silence| silence >= self.patience)
    }

    /// Tells what the hand-made end has said; sentences stand under the packet that they are about.
    fn catch_up(&mut self, is_over: bool) -> Result<(), Failure> {
        self.waiting.extend(self.said.try_iter());
        while let Some(said) = self.waiting.pop_front() {
            match said {
                Said::Packet(direction, bytes) => {
                    if let Some(number) = self.number_of(&bytes, direction) {
                        self.telling.about(number);
                    } else if !is_over {
                        self.waiting.push_front(Said::Packet(direction, bytes));
                        return Ok(());
                    }
                }
                Said::Data(data) => self.telling.words(Event::Data(&data))?,
                Said::Step(text) => self.telling.words(Event::Step(&text))?,
                Said::Note(text) => self.telling.words(Event::Note(&text))?,
                Said::KernelReset => self.telling.words(Event::KernelReset)?,
                Said::Over(over) => self.over = Some(*over),
            }
        }
        Ok(())
    }

    /// The wire's number for a packet. The same bytes may cross it twice; each sending is named once.
    fn number_of(&mut self, bytes: &[u8], direction: Direction) -> Option<u64> {
        let same = |(_, other): &(u64, Vec<u8>)| other == bytes;
        if let Some(at) = self.unnamed.iter().position(same) {
            let found = self.unnamed.remove(at);
            let number = found.0;
            self.named.push(found);
            return Some(number);
        }
        // Delivered twice.
        let again = self.named.iter().rev().find(|other| same(other));
        again
            .filter(|_| direction != Direction::Out)
            .map(|(number, _)| *number)
    }
}

fn introduce(link: &Link, args: &Args) -> Result<(), Failure> {
    if args.json {
        return Ok(());
    }
    let mut out = io::stdout().lock();
    let delay = link.delay as f64 / MILLISECOND as f64;
    writeln!(
        out,
        "two hosts, one cable, {delay} ms each way    ground: namespaces (Linux's own TCP)"
    )?;
    writeln!(
        out,
        "client: TCP by hand, from raw sockets; its kernel {}",
        match args.rst {
            super::Rst::Kernel => "answers as ever (--rst kernel)",
            super::Rst::None => "is kept quiet",
        }
    )?;
    writeln!(
        out,
        "server: Linux: listen on {PORT}, accept, send back what comes, close"
    )?;
    let effects = effects(link);
    if !effects.is_empty() {
        writeln!(out, "wire: {}", effects.join(", "))?;
    }
    Ok(out.flush()?)
}
