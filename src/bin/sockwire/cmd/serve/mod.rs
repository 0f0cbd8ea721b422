//! `sockwire serve`: the ordinary server programs, one after the other, by fork, by thread or by poll.

mod web;

use std::{fmt, net::IpAddr};

use clap::ValueEnum;
use sockwire::sockets::server::{Mode, Plain, Service, Style};

use super::{Exit, Failure, Global, Numeric, Outcome, number, talk::Watching};

const EXAMPLES: &str = "\
Examples:
  sockwire serve                     TCP port 5000: who comes, what they send, who leaves
  sockwire serve 8000 --style fork   the same on port 8000, with a process for each client
  sockwire serve --echo              sends back what it gets, on port 5005
  sockwire serve --calls             with each socket call as it is made
  sockwire serve -u 5000             datagrams (means: serve udp 5000)
  sockwire serve -U /tmp/talk        a Unix stream socket; with -u as well Unix datagrams; @name is abstract
  sockwire serve --receive > /dev/null   the patient receiver on port 4000: answers with the count of bytes
Try it from another terminal with: sockwire connect 5000";

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
    /// The port (5000; with --echo 5005, with --receive 4000), or the path of a Unix socket
    #[arg(value_name = "PORT|PATH")]
    second: Option<String>,
    /// Datagrams: UDP, or with -U Unix datagrams
    #[arg(short = 'u', long)]
    udp: bool,
    /// A Unix socket, at a path or an abstract @name
    #[arg(short = 'U', long)]
    unix: bool,
    /// How several clients are served
    #[arg(long, value_enum, value_name = "STYLE")]
    style: Option<StyleWord>,
    /// Sends back what it gets
    #[arg(long, group = "mode")]
    echo: bool,
    /// Writes what it gets to standard output, byte by byte; who comes and leaves is told on stderr
    #[arg(long, group = "mode")]
    print: bool,
    /// Counts what it gets, and answers with the count once the sender has shut down its writing side
    #[arg(long, group = "mode")]
    receive: bool,
    /// Ends after one client; with datagrams after one of them
    #[arg(long)]
    once: bool,
    /// How many connections may wait to be accepted; the kernel takes one more, and caps it at net.core.somaxconn
    #[arg(long, value_name = "N", default_value_t = 128, value_parser = number::<i32>(0..=65535, "--backlog 5"))]
    backlog: i32,
    /// Leaves SO_REUSEADDR off: then a port is taken for a minute after its server has closed a connection
    #[arg(long)]
    no_reuseaddr: bool,
    /// The address to listen on, of all that this machine has
    #[arg(long, value_name = "ADDR")]
    bind: Option<IpAddr>,
    /// IPv4 only; unless said, one socket takes IPv6 and IPv4
    #[arg(short = '4', long, conflicts_with = "ipv6")]
    ipv4: bool,
    /// IPv6 only
    #[arg(short = '6', long)]
    ipv6: bool,
    /// Bytes that one recv takes at most
    #[arg(long, value_name = "N", default_value_t = 1024, value_parser = number::<usize>(1..=1 << 20, "--recv-size 1024"))]
    recv_size: usize,
    /// Sends small segments at once (TCP_NODELAY)
    #[arg(long)]
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

/// What is served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Tcp,
    Udp,
    Unix,
    UnixDatagram,
    Http,
    Ws,
}

/// The words for kinds, as the first one on the command line.
const KINDS: [(&str, Kind); 5] = [
    ("tcp", Kind::Tcp),
    ("udp", Kind::Udp),
    ("unix", Kind::Unix),
    ("http", Kind::Http),
    ("ws", Kind::Ws),
];

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tcp => "TCP",
            Self::Udp => "UDP",
            Self::Unix => "Unix stream",
            Self::UnixDatagram => "Unix datagram",
            Self::Http => "HTTP",
            Self::Ws => "WebSocket",
        })
    }
}

/// Runs the server until Ctrl-C.
pub(crate) fn run(args: Args, _global: &Global) -> Outcome {
    let kind = Kind::Tcp;
    let _service = service(kind, &args)?;
    Ok(Exit::Done)
}

/// What is done with each stream client.
fn service(kind: Kind, args: &Args) -> Result<Box<dyn Service>, Failure> {
    match kind {
        Kind::Http | Kind::Ws => web::service(kind, args),
        Kind::Tcp | Kind::Unix | Kind::Udp | Kind::UnixDatagram => Ok(Box::new(plain(args))),
    }
}

/// The mode that the options ask for.
fn plain(args: &Args) -> Plain {
    let mode = match (args.echo, args.receive) {
        (true, _) => Mode::Echo,
        (_, true) => Mode::Receive,
        _ => Mode::Show,
    };
    let size = args.recv_size;
    Plain { mode, size }
}
