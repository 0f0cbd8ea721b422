//! The client of plain bytes: it finds the server, connects, and exchanges lines, messages or a file.

use std::{
    fs::File,
    io::{self, Seek as _, Write as _},
    os::fd::AsFd as _,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context as _, anyhow};
use sockwire::{
    call::{Address, How},
    sockets::{
        Event, Journal,
        client::{Determined, Dial, Error, Exchange, Fault, Input, Over, Progress, Source, Spoken},
        resolve::{Trouble, Wanted, lookup},
    },
    sys::signal::Stop,
};

use super::{
    Args, Exit, Failure, Outcome, output,
    screen::Screen,
    target::{self, Kind, Ports, Target},
    telling, usage,
};

/// How long to wait for datagrams after the last was sent: they have no end.
const DATAGRAMS: Duration = Duration::from_secs(2);
/// How long `-z` waits for one port.
const SCAN: Duration = Duration::from_secs(3);

/// What the words asked for, checked, and ready to run.
pub(super) struct Plain {
    kind: Kind,
    target: Target,
    dial: Dial,
    wanted: Wanted,
    input: Option<Input>,
    /// The file of `--determined`.
    file: Option<File>,
    tries: Option<u64>,
    at_end: How,
    /// Says what the shutdown does.
    tells_shutdown: bool,
    wait: Option<Duration>,
    recv_size: usize,
    scan: bool,
    hex: bool,
    ascii: bool,
    progress: Option<Line>,
}

/// The line of progress on stderr: whoever says something else there ends it first.
#[derive(Clone, Default)]
pub(super) struct Line(Arc<AtomicBool>);

impl Line {
    pub(super) fn end(&self) {
        if self.0.swap(false, Ordering::Relaxed) {
            output::talk("");
        }
    }
}

impl Plain {
    /// Checks the words. `line` is where progress may be shown.
    pub(super) fn new(
        kind: Kind,
        target: Target,
        args: &Args,
        ascii: bool,
        line: Option<Line>,
    ) -> Result<Self, Failure> {
        fits(kind, &target, args)?;
        let is_stream = kind.socket() == sockwire::call::Kind::Stream;
        let nanos = |nanos: i64| Duration::from_nanos(nanos.unsigned_abs());
        let given = args.ending.wait.map(nanos);
        let file = match &args.sending.file {
            Some(path) if args.determined => Some(again(path)?),
            _ => None,
        };
        Ok(Self {
            kind,
            dial: Dial {
                kind: kind.socket(),
                source: args.source.as_deref().map(source).transpose()?,
                nodelay: args.nodelay,
                wait: given.or(args.scan.then_some(SCAN)),
            },
            wanted: Wanted {
                family: target::family(args.ipv4, args.ipv6),
                kind: Some(kind.socket()),
                numeric: args.numeric > 0,
                ..Wanted::default()
            },
            target,
            input: match args.scan || args.determined {
                true => None,
                false => Some(input(args, !is_stream)?),
            },
            file,
            tries: args.tries,
            at_end: args.ending.shutdown.map_or(How::Write, How::from),
            tells_shutdown: args.ending.half_close || args.ending.shutdown.is_some(),
            wait: given.or((!is_stream).then_some(DATAGRAMS)),
            recv_size: args.recv_size,
            scan: args.scan,
            hex: args.hex,
            ascii,
            progress: line,
        })
    }

    /// Runs it.
    pub(super) fn run(mut self, journal: &Journal) -> Outcome {
        let stop = Stop::install().map_err(anyhow::Error::from);
        let stop = stop.map_err(|error| Failure::new(Exit::NotPermitted, error))?;
        if self.scan {
            return self.scan(journal, stop);
        }
        let (addresses, whom) = self.addresses(journal)?;
        if let Some(file) = self.file.take() {
            return self.deliver(journal, stop, &addresses, file);
        }
        let connected = match self.dial.all(journal, &addresses) {
            Ok(connected) => connected,
            Err(_) if stop.asked() => return Ok(Exit::Done),
            Err(tried) => return Err(telling::unreachable(&whom, self.kind.socket(), &tried)),
        };
        let family = connected.peer.family();
        let mut screen = Screen::new(self.hex, self.ascii, stop)?;
        let recv_size = self.recv_size;
        let mut heard = |bytes: &[u8], cut| {
            if cut {
                note(journal, || {
                    format!(
                        "the datagram was longer than --recv-size {recv_size}: the rest is lost"
                    )
                });
            }
            screen.show(bytes)
        };
        let exchange = Exchange {
            kind: self.kind.socket(),
            input: self
                .input
                .take()
                .unwrap_or_else(|| Input::messages([], false)),
            at_end: Some(self.at_end),
            note: self
                .tells_shutdown
                .then(|| telling::shut_down(family, self.at_end)),
            wait: self.wait,
            recv_size: self.recv_size,
            stopped: &|| stop.asked(),
            ..Exchange::new(&connected.socket)
        };
        let finished = match exchange.run(&mut heard) {
            Err(Error::Output(_)) if stop.asked() => return Ok(Exit::Done),
            Err(Error::Output(error)) => return Err(error.into()),
            Err(error) => return Err(Failure::new(Exit::Damaged, error)),
            Ok(finished) => finished,
        };
        screen.finish()?;
        let Over::Failed(doing, error) = &finished.over else {
            note(journal, || {
                telling::ended(&finished, self.at_end, self.wait)
            });
            return Ok(Exit::Done);
        };
        let spoken = Spoken(&connected.peer).to_string();
        let text = telling::broken(&spoken, family, self.kind.socket(), *doing, error);
        let was_refused = error.raw_os_error() == Some(libc::ECONNREFUSED);
        if was_refused && finished.received == 0 {
            return Err(Failure::new(Exit::NoSuch, anyhow!(text)));
        }
        output::talk(format_args!("sockwire: {text}"));
        Ok(Exit::Done)
    }

    /// Where to, in the order in which it is tried, and in words.
    fn addresses(&self, journal: &Journal) -> Result<(Vec<Address>, String), Failure> {
        match &self.target {
            Target::Unix(address) => Ok((vec![address.clone()], address.to_string())),
            Target::Host { node, ports } => {
                let service = match ports {
                    Ports::One(service) => service,
                    Ports::Range(_) => "",
                };
                let node = node.as_deref();
                let found = lookup(journal, node, service, self.wanted).map_err(|error| {
                    let exit = match error.trouble() {
                        Trouble::NoService => Exit::Usage,
                        _ => Exit::NoSuch,
                    };
                    Failure::new(exit, error)
                })?;
                let wanted = self.dial.source.and_then(|source| source.ip);
                let addresses: Vec<Address> = found
                    .iter()
                    .filter(|found| wanted.is_none_or(|ip| ip.is_ipv4() == found.address.is_ipv4()))
                    .map(|found| Address::Ip(found.address))
                    .collect();
                let whom = format!("{} port {service}", node.unwrap_or("this host"));
                if addresses.is_empty() {
                    let error = anyhow!("{whom} has no address of the family that --source has");
                    return Err(Failure::new(Exit::NoSuch, error));
                }
                Ok((addresses, whom))
            }
        }
    }

    /// `-z`: connects to one port after the other, and says what became of it.
    fn scan(&self, journal: &Journal, stop: Stop) -> Outcome {
        let (addresses, _) = self.addresses(journal)?;
        let range = match &self.target {
            Target::Host {
                ports: Ports::Range(range),
                ..
            } => Some(range.clone()),
            _ => None,
        };
        let (mut open, mut all) = (0, 0);
        for port in range.map_or(vec![None], |range| range.map(Some).collect()) {
            all += 1;
            for address in &addresses {
                let address = with_port(address, port);
                if stop.asked() {
                    return Ok(Exit::Done);
                }
                let connected = self.dial.one(journal, &address);
                let said = match &connected {
                    Ok(_) => "open".to_owned(),
                    Err(tried) => telling::word(tried, self.dial.kind),
                };
                output::print(&format!("{}: {said}\n", Spoken(&address)))?;
                if connected.is_ok() {
                    open += 1;
                    break;
                }
            }
        }
        note(journal, || format!("{open} of {all} open"));
        Ok(if open > 0 { Exit::Done } else { Exit::NoSuch })
    }

    /// `--determined`: sends the file until the counts agree.
    fn deliver(
        &self,
        journal: &Journal,
        stop: Stop,
        addresses: &[Address],
        mut file: File,
    ) -> Outcome {
        let size = file.metadata().map_or(0, |about| about.len());
        let determined = Determined {
            dial: &self.dial,
            addresses,
            tries: self.tries,
            stopped: &|| stop.asked(),
        };
        let mut shown = Instant::now();
        let mut began = (0, shown);
        let delivery = determined.deliver(journal, &mut file, &mut |progress| {
            let now = Instant::now();
            if began.0 != progress.attempt {
                began = (progress.attempt, now);
            }
            if let Some(line) = &self.progress
                && now - shown >= PROGRESS
            {
                show_progress(progress, size, now - began.1);
                line.0.store(true, Ordering::Relaxed);
                shown = now;
            }
        });
        let delivery = delivery.map_err(|error| {
            Failure::new(
                Exit::Damaged,
                anyhow!("cannot read the file that is sent: {error}"),
            )
        })?;
        match delivery.fault {
            None => Ok(Exit::Done),
            Some(_) if stop.asked() => {
                note(journal, || {
                    format!("stopped after {} tries", delivery.tries)
                });
                Ok(Exit::NoMatch)
            }
            Some(Fault::Unreachable(tried)) => {
                let whom = format!("the receiver, {} times", delivery.tries);
                Err(telling::unreachable(&whom, self.dial.kind, &tried))
            }
            Some(fault) => {
                let (tries, bytes) = (delivery.tries, delivery.bytes);
                let error = anyhow!("not delivered in {tries} tries: {bytes} bytes sent, {fault}");
                Err(Failure::new(Exit::NoMatch, error))
            }
        }
    }
}

/// Between two looks at the progress.
const PROGRESS: Duration = Duration::from_millis(200);

fn show_progress(progress: Progress, size: u64, took: Duration) {
    const MEGA: f64 = 1e6;
    let (sent, size) = (progress.sent as f64, size as f64);
    let rate = sent / took.as_secs_f64().max(0.001);
    let left = (size - sent).max(0.0) / rate.max(1.0);
    let percent = 100.0 * sent / size.max(1.0);
    // As in all talk, that stderr is closed or full is no reason to stop.
    let _ = write!(
        io::stderr(),
        "\rtry {}: {:.1} of {:.1} MB ({percent:.0} %), {:.1} MB/s, {left:.0} s left  ",
        progress.attempt,
        sent / MEGA,
        size / MEGA,
        rate / MEGA,
    );
}

fn note(journal: &Journal, words: impl FnOnce() -> String) {
    journal.tell(|| Event::Note(words()));
}

fn with_port(address: &Address, port: Option<u16>) -> Address {
    let mut address = address.clone();
    if let (Address::Ip(address), Some(port)) = (&mut address, port) {
        address.set_port(port);
    }
    address
}

/// Options that have no meaning for the kind of socket.
fn fits(kind: Kind, target: &Target, args: &Args) -> Result<(), Failure> {
    let is_unix = matches!(target, Target::Unix(_));
    let is_stream = kind.socket() == sockwire::call::Kind::Stream;
    let shuts_down = args.ending.shutdown.is_some() || args.ending.half_close;
    let faults = [
        (
            args.determined && kind != Kind::Tcp,
            "--determined is for TCP: it shuts down its writing side, and reads the count that comes back",
        ),
        (
            args.scan && !is_stream,
            "connect() of a datagram socket sends nothing, so -z learns nothing; send something: sockwire connect udp HOST PORT --send x",
        ),
        (
            shuts_down && !is_stream,
            "shutting down a datagram socket tells the other side nothing: datagrams have no end",
        ),
        (
            is_unix && args.source.is_some(),
            "--source is for IP sockets; a Unix datagram client gets a name of its own anyway",
        ),
        (
            args.nodelay && kind != Kind::Tcp,
            "--nodelay is for TCP: TCP_NODELAY sends small pieces without waiting for acknowledgements",
        ),
        (
            is_unix && (args.ipv4 || args.ipv6),
            "-4 and -6 are for IP sockets",
        ),
    ];
    match faults.iter().find(|(is_so, _)| *is_so) {
        Some((_, what)) => Err(usage(what)),
        None => Ok(()),
    }
}

/// What is sent.
fn input(args: &Args, datagrams: bool) -> Result<Input, Failure> {
    let sending = &args.sending;
    let crlf = sending.crlf;
    if !sending.send.is_empty() {
        let messages = sending.send.iter().map(|message| message.bytes().to_vec());
        return Ok(Input::messages(messages, crlf));
    }
    let stdin = || Ok::<_, Failure>(File::from(io::stdin().as_fd().try_clone_to_owned()?));
    Ok(match &sending.file {
        None => Input::lines(stdin()?, datagrams, crlf),
        Some(path) if path == Path::new("-") => Input::bytes(stdin()?, datagrams, crlf),
        Some(path) => Input::bytes(open(path)?, datagrams, crlf),
    })
}

fn open(path: &Path) -> Result<File, Failure> {
    let opened = File::open(path).with_context(|| format!("cannot read {}", path.display()));
    opened.map_err(|error| Failure::new(Exit::NoSuch, error))
}

/// A file that can be read again from its beginning.
fn again(path: &Path) -> Result<File, Failure> {
    if path == Path::new("-") {
        return Err(usage(
            "--determined reads the file again for each try: standard input cannot be, so name a file",
        ));
    }
    let mut file = open(path)?;
    match file.rewind() {
        Ok(()) => Ok(file),
        Err(_) => Err(usage(format!(
            "--determined reads the file again for each try, which {} does not allow",
            path.display()
        ))),
    }
}

/// `ADDR:PORT`, `[ADDR]:PORT`, `ADDR`, `:PORT`, `PORT`.
fn source(word: &str) -> Result<Source, Failure> {
    let wrong = || {
        usage(format!(
            "--source is ADDR:PORT, ADDR, or :PORT, such as 127.0.0.1:4000, not {word}"
        ))
    };
    if let Ok(address) = word.parse::<std::net::SocketAddr>() {
        let (ip, port) = (Some(address.ip()), address.port());
        return Ok(Source { ip, port });
    }
    if let Ok(ip) = word.parse() {
        return Ok(Source {
            ip: Some(ip),
            port: 0,
        });
    }
    let port = word.strip_prefix(':').unwrap_or(word);
    match port.parse() {
        Ok(port) => Ok(Source { ip: None, port }),
        Err(_) => Err(wrong()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_source_is_an_address_a_port_or_both() {
        for (word, ip, port) in [
            ("127.0.0.1:4000", Some("127.0.0.1"), 4000),
            ("[::1]:4000", Some("::1"), 4000),
            ("10.0.0.1", Some("10.0.0.1"), 0),
            ("::1", Some("::1"), 0),
            (":4000", None, 4000),
            ("4000", None, 4000),
        ] {
            let ip = ip.map(|ip| ip.parse().unwrap());
            assert_eq!(source(word).unwrap(), Source { ip, port }, "{word}");
        }
        for wrong in ["x", ":", "1.2.3.4:70000", "localhost:5"] {
            assert!(source(wrong).is_err(), "{wrong}");
        }
    }
}
