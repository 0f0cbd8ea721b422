//! `sockwire serve`: the ordinary server programs, one after the other, by fork, by thread or by poll.

mod refusal;
mod words;

use std::{
    io::{self, IsTerminal as _},
    net::{Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs as _},
    os::unix::fs::lchown,
    time::Instant,
};

use anyhow::anyhow;
use clap::ValueEnum;
use sockwire::{
    call::{Address, Family},
    lab::Host,
    sockets::{
        Journal,
        http::Pages,
        server::{Mode, Options, Plain, Server, Service, Style},
        websocket::Echo,
    },
    sys::{process, signal::Stop},
    text::Safe,
};

use super::{
    Exit, Failure, Global, Numeric, Outcome, number, output, privilege, refuse,
    talk::{self, KINDS, Kind, Place, Program, Watching, unix_address},
    usage,
};
use words::Lines;

const EXAMPLES: &str = "\
Examples:
  sockwire serve                    TCP port 5000: who comes, says what, leaves
  sockwire serve 80 --style fork    on port 80, with a process for each client
  sockwire serve --echo             sends back what it gets, on port 5005
  sockwire serve --calls            with each socket call as it is made
  sockwire serve --lab              and the packets, from a client in a lab
  sockwire serve -u 5000            datagrams (means: serve udp 5000)
  sockwire serve -U /tmp/talk       a Unix socket; @talk is an abstract one
  sockwire serve -uU /tmp/talk      Unix datagrams
  sockwire serve --receive          counts, and answers with the count
  sockwire serve http               a web server: / and /ip, on port 8080
  sockwire serve ws                 a WebSocket echo with a page to try it
Try it from another terminal with: sockwire connect 5000";

/// Groups of options.
const DOES: &str = "What it does";
const SOCKET: &str = "Its socket";

/// Runs a server that shows who connects, what they send, and who leaves
///
/// The exit code is 2 when the port is taken, 3 when it needs a right, 4 when the address is not of this machine.
/// Ctrl-C ends it with totals.
#[derive(clap::Args, Clone)]
#[command(before_help = EXAMPLES)]
pub(crate) struct Args {
    /// tcp (unless said), udp, unix, http or ws
    #[arg(value_name = "KIND")]
    first: Option<String>,
    /// The port (5000; with --echo 5005, with --receive 4000; http and ws 8080), or the path of a Unix socket
    #[arg(value_name = "PORT|PATH")]
    second: Option<String>,
    /// Datagrams: UDP, or with -U Unix datagrams
    #[arg(short = 'u', long)]
    udp: bool,
    /// A Unix socket, at a path or an abstract @name
    #[arg(short = 'U', long)]
    unix: bool,
    /// How several clients are served; sequential unless said, http and ws by threads
    #[arg(long, value_enum, value_name = "STYLE", help_heading = DOES)]
    style: Option<StyleWord>,
    /// Sends back what it gets
    #[arg(long, group = "mode", help_heading = DOES)]
    echo: bool,
    /// Writes what it gets to standard output, byte by byte, made safe when that is a terminal; the rest is told on stderr
    #[arg(long, group = "mode", help_heading = DOES)]
    print: bool,
    /// Counts what it gets, and answers with the count once the sender has shut down its writing side
    #[arg(long, group = "mode", help_heading = DOES)]
    receive: bool,
    /// Ends after one client; with datagrams after one of them
    #[arg(long, help_heading = DOES)]
    once: bool,
    /// How many connections may wait to be accepted (128); the kernel takes one more, and caps it at net.core.somaxconn
    #[arg(long, value_name = "N", value_parser = number::<i32>(0..=65535, "--backlog 5"), help_heading = SOCKET)]
    backlog: Option<i32>,
    /// Leaves SO_REUSEADDR off: then a port is taken for a minute after its server has closed a connection
    #[arg(long, help_heading = SOCKET)]
    no_reuseaddr: bool,
    /// The address to listen on, of all that this machine has
    #[arg(long, value_name = "ADDR", help_heading = SOCKET)]
    bind: Option<String>,
    /// IPv4 only; unless said, one socket takes IPv6 and IPv4
    #[arg(short = '4', long, conflicts_with = "ipv6", help_heading = SOCKET)]
    ipv4: bool,
    /// IPv6 only
    #[arg(short = '6', long, help_heading = SOCKET)]
    ipv6: bool,
    /// Bytes that one recv takes at most: 1024 unless said, so that longer messages are seen to come in pieces or to be
    /// cut, and 65536 with --print and --receive
    #[arg(long, value_name = "N", value_parser = number::<usize>(1..=1 << 20, "--recv-size 1024"), help_heading = SOCKET)]
    recv_size: Option<usize>,
    /// Sends small segments at once (TCP_NODELAY)
    #[arg(long, help_heading = SOCKET)]
    nodelay: bool,
    #[command(flatten)]
    numeric: Numeric,
    #[command(flatten)]
    watching: Watching,
}

/// How several clients are served.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum StyleWord {
    /// One after the other; the next one waits
    Sequential,
    /// Each by a process of its own
    Fork,
    /// Each by a thread of its own
    Thread,
    /// All by one thread, which asks the kernel who can be read
    Poll,
}

impl From<StyleWord> for Style {
    fn from(word: StyleWord) -> Self {
        match word {
            StyleWord::Sequential => Self::Sequential,
            StyleWord::Fork => Self::Fork,
            StyleWord::Thread => Self::Thread,
            StyleWord::Poll => Self::Poll,
        }
    }
}

/// What is to be served, and where.
struct Plan {
    kind: Kind,
    style: Style,
    address: Address,
    /// An IPv6 socket takes IPv4 as well.
    both: bool,
}

impl Kind {
    /// The first word, or the letters that mean the same.
    fn of(word: Option<&str>, args: &Args) -> Result<Self, Failure> {
        let named = word.and_then(Self::named).unwrap_or(Self::Tcp);
        match (named, args.udp, args.unix) {
            (kind, false, false) => Ok(kind),
            (Self::Tcp | Self::Udp, true, false) => Ok(Self::Udp),
            (Self::Tcp | Self::Unix, false, true) => Ok(Self::Unix),
            (Self::Tcp | Self::Udp | Self::Unix, ..) => Ok(Self::UnixDatagram),
            (kind @ (Self::Http | Self::WebSocket | Self::UnixDatagram), ..) => Err(usage(
                format!("{kind} is spoken over TCP: leave -u and -U out"),
            )),
        }
    }

    /// The port where none is said.
    const fn usual_port(self) -> u16 {
        match self {
            Self::Http | Self::WebSocket => 8080,
            _ => 5000,
        }
    }

    /// The command that serves this at another port.
    fn at(self, port: u16) -> String {
        let known = KINDS.iter().find(|(_, kind)| *kind == self);
        match known {
            Some((word, kind)) if *kind != Self::Tcp => format!("sockwire serve {word} {port}"),
            _ => format!("sockwire serve {port}"),
        }
    }
}

impl Plan {
    fn new(args: &Args, global: &Global) -> Result<Self, Failure> {
        let is_kind = |word: &&str| Kind::named(word).is_some();
        let (first, second) = (args.first.as_deref(), args.second.as_deref());
        let (word, place) = match (first.filter(is_kind), second) {
            (Some(kind), place) => (Some(kind), place),
            (None, None) => (None, first),
            (None, Some(_)) => {
                let kinds = KINDS.map(|(name, _)| name).join(", ");
                let word = first.unwrap_or_default();
                return Err(usage(format!(
                    "'{}' is not a kind of server; there are: {kinds}",
                    Safe(word.as_bytes())
                )));
            }
        };
        let kind = Kind::of(word, args)?;
        fits(kind, args)?;
        // A browser opens connections that it says nothing on: one after the other, they would hold up the page.
        let style = match (args.style, kind) {
            (Some(style), _) => style.into(),
            (None, Kind::Http | Kind::WebSocket) => Style::Thread,
            (None, _) => Style::Sequential,
        };
        let (address, both) = if kind.is_unix() {
            (unix_place(place)?, false)
        } else {
            ip_address(kind, place, args, global)?
        };
        Ok(Self {
            kind,
            style,
            address,
            both,
        })
    }

    fn options(&self, args: &Args, stop: Stop) -> Options {
        let usual = Options::new(self.address.clone(), self.kind.socket());
        Options {
            both: self.both,
            reuse_address: !args.no_reuseaddr,
            backlog: args.backlog.unwrap_or(usual.backlog),
            no_delay: args.nodelay,
            clients: args.once.then_some(1),
            stop: Some(stop),
            ..usual
        }
    }
}

/// Options that have no meaning for the kind of server.
fn fits(kind: Kind, args: &Args) -> Result<(), Failure> {
    let is_tcp = !kind.is_datagram() && !kind.is_unix();
    let is_web = matches!(kind, Kind::Http | Kind::WebSocket);
    refuse(&[
        (
            kind.is_datagram() && args.style.is_some(),
            "--style is for streams: a datagram server has one socket, which receives from all clients in turn",
        ),
        (
            kind.is_datagram() && args.receive,
            "--receive is for streams: datagrams have no end after which a count could be sent",
        ),
        (
            kind.is_datagram() && args.backlog.is_some(),
            "--backlog is for streams: datagrams wait in the socket's receive buffer",
        ),
        (
            kind.is_unix() && (args.bind.is_some() || args.ipv4 || args.ipv6),
            "--bind, -4 and -6 are for IP sockets: a Unix socket has a path",
        ),
        (
            !is_tcp && args.nodelay,
            "--nodelay is for TCP: TCP_NODELAY sends small segments at once",
        ),
        (
            !is_tcp && args.no_reuseaddr,
            "--no-reuseaddr is for TCP: other sockets have no TIME-WAIT, and are opened without SO_REUSEADDR anyway",
        ),
        (
            args.watching.lab() && args.bind.is_some(),
            "--lab gives the server an address of its own: leave --bind out; a loopback-only bind is shown by: \
             sockwire lab mistake loopback-bind",
        ),
        (
            kind == Kind::WebSocket && args.echo,
            "serve ws is an echo anyway: leave --echo out",
        ),
        (
            kind == Kind::Http && args.echo,
            "--echo is for serve tcp: HTTP has requests and answers",
        ),
        (
            is_web && args.receive,
            "--receive is for serve tcp: it counts bytes of a stream",
        ),
    ])
}

/// A path, or an abstract name.
fn unix_place(place: Option<&str>) -> Result<Address, Failure> {
    match place {
        None | Some("" | "@") => Err(usage(
            "a Unix socket needs a path or an abstract name: sockwire serve unix /tmp/talk, or @talk",
        )),
        Some(place) => Ok(unix_address(place)),
    }
}

/// The port at the address to bind to; and whether IPv4 comes to an IPv6 socket.
fn ip_address(
    kind: Kind,
    place: Option<&str>,
    args: &Args,
    global: &Global,
) -> Result<(Address, bool), Failure> {
    let port = match place {
        Some(place) => place.parse().map_err(|_| {
            let place = Safe(place.as_bytes());
            let unix = "a path is for Unix sockets: sockwire serve unix PATH";
            usage(format!("'{place}' is no port from 0 to 65535; {unix}"))
        })?,
        None => {
            let port = match (args.echo, args.receive) {
                (true, _) => 5005,
                (_, true) => 4000,
                _ => kind.usual_port(),
            };
            global.talk(format_args!("port {port}, since none is given"));
            port
        }
    };
    let mut address: SocketAddr = match &args.bind {
        Some(name) => bind_address(name, args)?,
        None if args.ipv4 => (Ipv4Addr::UNSPECIFIED, 0).into(),
        None => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let both = address.is_ipv6() && address.ip().is_unspecified() && !args.ipv6;
    address.set_port(port);
    Ok((address.into(), both))
}

/// `--bind`: an address, with `%interface` where it needs one, or a name.
fn bind_address(name: &str, args: &Args) -> Result<SocketAddr, Failure> {
    let shown = Safe(name.as_bytes());
    let found: Vec<SocketAddr> = (name, 0)
        .to_socket_addrs()
        .map_err(|error| Failure::new(Exit::NoSuch, anyhow!("no address {shown}: {error}")))?
        .collect();
    let fits = |address: &&SocketAddr| match (args.ipv4, args.ipv6) {
        (true, _) => address.is_ipv4(),
        (_, true) => address.is_ipv6(),
        _ => true,
    };
    let wanted = if args.ipv4 { "IPv4" } else { "IPv6" };
    let of_family = found.iter().find(fits).copied();
    of_family.ok_or_else(|| usage(format!("--bind {shown} is no {wanted} address")))
}

/// Runs the server until Ctrl-C.
pub(crate) fn run(args: Args, global: &Global) -> Outcome {
    let plan = Plan::new(&args, global)?;
    let service = service(plan.kind, &args);
    if plan.style == Style::Poll && service.plain().is_none() {
        return Err(usage(format!(
            "--style poll serves all clients in turns, and {} waits for one of them: \
             use thread, fork or sequential",
            plan.kind
        )));
    }
    let words = Lines {
        style: plan.style,
        kind: plan.kind,
        both: plan.both,
        print: args.print,
        recv_size: plain(&args).size,
        ascii: global.ascii,
        is_terminal: io::stdout().is_terminal(),
    };
    let (place, other) = in_lab(&plan);
    let watching = args.watching.clone();
    let quiet = global.clone();
    let program = move |journal: &Journal| {
        // More clients fit in; where it is refused, the limit stays.
        let _ = process::raise_descriptors();
        let stop = Stop::install().and_then(Stop::insist)?;
        let server = Server::open(journal, plan.options(&args, stop))
            .map_err(|error| refusal::failure(&error, plan.kind, &plan.address))?;
        hand_over(&plan.address);
        // A lab's rights are only its own; Unix sockets go by files, and a datagram may have to be answered at any path.
        if !args.watching.lab() && !plan.kind.is_unix() {
            privilege::give_up(&quiet)?;
        }
        let start = Instant::now();
        let totals = if plan.kind.is_datagram() {
            server.run_datagrams(plain(&args))
        } else {
            server.run(plan.style, &*service)
        };
        let totals = totals.map_err(|error| Failure::new(Exit::NoMatch, error))?;
        quiet.talk(words::totals(&totals, start.elapsed()));
        Ok(Exit::Done)
    };
    watching.run(
        global,
        place,
        Box::new(program),
        other,
        Box::new(move |told| words.put(told)),
    )
}

/// Under sudo, the file of a Unix socket belongs to the user who called, whose clients can connect to it then. In a user
/// namespace that user may not exist.
fn hand_over(address: &Address) {
    if let (Address::Path(path), Some((user, group))) = (address, output::caller()) {
        let _ = lchown(path, Some(user), Some(group));
    }
}

/// Where the server is in a private network of its own, and the client that it gets there.
fn in_lab(plan: &Plan) -> (Place, impl FnOnce() -> Program + use<>) {
    let place = Place {
        host: Host::Server,
        family: match (plan.address.family(), plan.both) {
            // One socket takes IPv4 as well: what the other labs speak.
            (Family::Inet6, true) => Family::Inet,
            (family, _) => family,
        },
    };
    let mut address = plan.address.clone();
    if let Address::Ip(ip) = &mut address {
        ip.set_ip(place.addresses()[1]);
    }
    let kind = plan.kind;
    (place, move || match kind {
        Kind::Http => talk::get(address),
        Kind::WebSocket => talk::chat(address),
        _ => talk::hello(kind.socket(), address),
    })
}

/// What is done with each stream client.
fn service(kind: Kind, args: &Args) -> Box<dyn Service> {
    match kind {
        Kind::Http => Box::new(Pages),
        Kind::WebSocket => Box::new(Echo),
        Kind::Tcp | Kind::Unix | Kind::Udp | Kind::UnixDatagram => Box::new(plain(args)),
    }
}

/// The mode that the options ask for.
fn plain(args: &Args) -> Plain {
    let mode = match (args.echo, args.receive) {
        (true, _) => Mode::Echo,
        (_, true) => Mode::Receive,
        _ => Mode::Show,
    };
    let is_bulk = args.print || args.receive;
    let size = args
        .recv_size
        .unwrap_or(if is_bulk { 65_536 } else { 1024 });
    Plain { mode, size }
}
