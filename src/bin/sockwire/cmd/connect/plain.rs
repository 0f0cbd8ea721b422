//! The client of plain bytes: it finds the server, connects, and exchanges lines, messages or a file.

use std::{fs::File, io, os::fd::AsFd as _, path::Path, time::Duration};

use anyhow::{Context as _, anyhow};
use sockwire::{
    call::{self, Address, How},
    sockets::{
        Event, Journal,
        client::{Connected, Dial, Error, Exchange, Finished, Input, Over, Source, Spoken},
        resolve::{Trouble, Wanted, lookup},
    },
    sys::signal::Stop,
    text::Safe,
};

use super::{
    Args, Exit, Failure, Outcome,
    delivery::{Delivery, Line},
    family, output, refuse,
    screen::Screen,
    talk::Kind,
    target::{Ports, Target},
    telling, usage,
    web::ONLY_HTTP,
};

/// How long to wait for datagrams after the last was sent: they have no end.
const DATAGRAMS: Duration = Duration::from_secs(2);
/// How long `-z` waits for one port.
const SCAN: Duration = Duration::from_secs(3);

/// What the words asked for, checked, and ready to run.
pub(super) struct Plain {
    target: Target,
    dial: Dial,
    wanted: Wanted,
    at_end: How,
    /// Says what the shutdown does.
    tells_shutdown: bool,
    wait: Option<Duration>,
    recv_size: usize,
    hex: bool,
    ascii: bool,
}

/// What is done at the address.
pub(super) enum Work {
    /// `-z`: only to see whether it can be connected to.
    Scan,
    /// `--determined`.
    Deliver(Delivery),
    /// Sends it, and prints what comes back.
    Exchange(Input),
}

impl Plain {
    /// Checks the words; what they ask for is to be [`Plain::run`]. `line` is where progress may be shown.
    pub(super) fn new(
        kind: Kind,
        target: Target,
        args: &Args,
        ascii: bool,
        line: Option<Line>,
    ) -> Result<(Self, Work), Failure> {
        fits(kind, &target, args)?;
        let is_stream = kind.socket() == call::Kind::Stream;
        let nanos = |nanos: i64| Duration::from_nanos(nanos.unsigned_abs());
        let given = args.ending.wait.map(nanos);
        let work = match &args.sending.file {
            _ if args.scan => Work::Scan,
            Some(path) if args.determined => Work::Deliver(Delivery::new(path, args.tries, line)?),
            _ => Work::Exchange(input(args, !is_stream)?),
        };
        let plain = Self {
            dial: Dial {
                kind: kind.socket(),
                source: args.source.as_deref().map(source).transpose()?,
                nodelay: args.nodelay,
                // That nothing is waited for at the end is no reason not to connect.
                wait: given
                    .filter(|wait| !wait.is_zero())
                    .or_else(|| args.scan.then_some(SCAN)),
            },
            wanted: Wanted {
                family: family(args.ipv4, args.ipv6),
                kind: Some(kind.socket()),
                numeric: args.numeric > 0,
                ..Wanted::default()
            },
            target,
            at_end: args.ending.shutdown.map_or(How::Write, How::from),
            tells_shutdown: args.ending.half_close || args.ending.shutdown.is_some(),
            wait: given.or_else(|| (!is_stream).then_some(DATAGRAMS)),
            recv_size: args.recv_size,
            hex: args.hex,
            ascii,
        };
        Ok((plain, work))
    }

    /// Does the work.
    pub(super) fn run(&self, work: Work, journal: &Journal) -> Outcome {
        let stop = installed()?;
        let (addresses, whom) = self.addresses(journal)?;
        let mut input = match work {
            Work::Scan => return self.scan(journal, stop, &addresses),
            Work::Deliver(delivery) => {
                return delivery.run(journal, stop, &self.dial, &addresses);
            }
            Work::Exchange(input) => input,
        };
        let mut screen = Screen::new(self.hex, self.ascii, stop)?;
        let mut left = addresses.into_iter();
        loop {
            let rest: Vec<Address> = left.clone().collect();
            let connected = match self.dial.all(journal, &rest) {
                Ok(connected) => connected,
                Err(_) if stop.asked() => return Ok(Exit::Done),
                Err(tried) => return Err(telling::unreachable(&whom, self.dial.kind, &tried)),
            };
            left.find(|address| *address == connected.peer);
            let finished = self.exchange(journal, stop, &connected, &mut input, &mut screen)?;
            let Over::Failed(doing, error) = &finished.over else {
                note(journal, || {
                    telling::ended(&finished, self.at_end, self.wait)
                });
                return Ok(Exit::Done);
            };
            let peer = Spoken(&connected.peer);
            let was_refused =
                error.kind() == io::ErrorKind::ConnectionRefused && finished.received == 0;
            // Of datagrams a refusal is heard of only now.
            if was_refused && left.len() > 0 {
                note(journal, || format!("trying {peer}: refused"));
                continue;
            }
            let family = connected.peer.family();
            let text = telling::broken(&peer.to_string(), family, self.dial.kind, *doing, error);
            if was_refused {
                return Err(Failure::new(Exit::NoSuch, anyhow!(text)));
            }
            output::talk(format_args!("sockwire: {text}"));
            return Ok(Exit::Done);
        }
    }

    fn exchange(
        &self,
        journal: &Journal,
        stop: Stop,
        connected: &Connected,
        input: &mut Input,
        screen: &mut Screen,
    ) -> Result<Finished, Failure> {
        let mut heard = |bytes: &[u8], cut| {
            if cut {
                note(journal, || {
                    format!(
                        "the datagram was longer than --recv-size {}: the rest is lost",
                        self.recv_size
                    )
                });
            }
            screen.show(bytes)
        };
        let family = connected.peer.family();
        let exchange = Exchange {
            kind: self.dial.kind,
            at_end: self.at_end,
            note: self
                .tells_shutdown
                .then(|| telling::shut_down(family, self.at_end)),
            wait: self.wait,
            recv_size: self.recv_size,
            stopped: &|| stop.asked(),
            ..Exchange::new(&connected.socket, input)
        };
        let finished = exchange.run(&mut heard).map_err(|error| match error {
            Error::Output(error) => error.into(),
            error => Failure::new(Exit::Damaged, error),
        })?;
        screen.finish()?;
        Ok(finished)
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
                    // The library's own error behind it says the same.
                    Failure::new(exit, anyhow!("{error}"))
                })?;
                let wanted = self.dial.source.and_then(|source| source.ip);
                let addresses: Vec<Address> = found
                    .iter()
                    .filter(|found| wanted.is_none_or(|ip| ip.is_ipv4() == found.address.is_ipv4()))
                    .map(|found| Address::Ip(found.address))
                    .collect();
                let whom = Safe(node.unwrap_or("this host").as_bytes());
                let whom = format!("{whom} port {service}");
                if addresses.is_empty() {
                    let error = anyhow!("{whom} has no address of the family that --source has");
                    return Err(Failure::new(Exit::NoSuch, error));
                }
                Ok((addresses, whom))
            }
        }
    }

    /// `-z`: connects to one port after the other, and says what became of it.
    fn scan(&self, journal: &Journal, stop: Stop, addresses: &[Address]) -> Outcome {
        // Without a range the port is in the addresses already.
        let ports = match &self.target {
            Target::Host {
                ports: Ports::Range(range),
                ..
            } => range.clone().map(Some).collect(),
            _ => vec![None],
        };
        let (mut open, mut all) = (0, 0);
        for port in ports {
            all += 1;
            for address in addresses {
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
}

/// Ctrl-C ends a client, also when it comes just before a blocking call.
pub(super) fn installed() -> Result<Stop, Failure> {
    let stop = Stop::install().and_then(Stop::insist);
    stop.map_err(|error| Failure::new(Exit::NotPermitted, error))
}

/// Says something on stderr.
pub(super) fn note(journal: &Journal, words: impl FnOnce() -> String) {
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
    let is_stream = kind.socket() == call::Kind::Stream;
    let shuts_down = args.ending.shutdown.is_some() || args.ending.half_close;
    refuse(&[
        (args.web.is_asked(), ONLY_HTTP),
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
    ])
}

/// What is sent.
pub(super) fn input(args: &Args, datagrams: bool) -> Result<Input, Failure> {
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

pub(super) fn open(path: &Path) -> Result<File, Failure> {
    let opened = File::open(path).with_context(|| format!("cannot read {}", path.display()));
    opened.map_err(|error| Failure::new(Exit::NoSuch, error))
}

/// `ADDR:PORT`, `[ADDR]:PORT`, `ADDR`, `:PORT`, `PORT`.
pub(super) fn source(word: &str) -> Result<Source, Failure> {
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
