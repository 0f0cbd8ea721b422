//! `sockwire connect`: the ordinary clients, as a line client for people and a part of a pipe for programs.

mod delivery;
mod plain;
mod screen;
mod target;
mod telling;
mod web;

use std::{
    io::{self, IsTerminal as _},
    path::PathBuf,
};

use sockwire::{
    call::{Address, Family, How},
    lab::Host,
    sockets::{Event, Told, http::Pages, websocket::Echo},
};

use self::{delivery::Line, plain::Plain, target::Target};
use super::{
    Exit, Failure, Global, Outcome, family, number, output, privilege, refuse, seconds,
    talk::{self, Kind, Place, Program, Watching},
    usage,
};

const EXAMPLES: &str = "\
Examples:
  sockwire connect 5000                     lines to port 5000 here; Ctrl-D ends
  sockwire connect example.org 80           every address of the name is tried
  printf hi | sockwire connect 5005         sends, ends, prints the answer
  sockwire connect --send 'hi\\n' 5005      the same
  sockwire connect -u 5000                  datagrams: each line is one
  sockwire connect -U /tmp/chat             a Unix socket; @chat has no file
  sockwire connect -z example.org 20-25     which ports are open?
  sockwire connect --calls --send hi 5005   with each socket call that it makes
  sockwire connect http http://localhost/   one GET, by hand
  sockwire connect ws ws://localhost:8080/  a WebSocket
  sockwire connect --determined --file F HOST 4000
                                            again until all of it has arrived";

const END: &str = "\
The end: when the input ends, shutdown(SHUT_WR) tells the other side so (FIN), and what it still sends is printed until it \
ends too, or until --wait. When the other side ends first, that is the end, but messages and files go out whole. A line that \
is only Ctrl-X closes at once; in input with zero bytes, which nobody types, it is data like any other.

Exit codes: 0 done; 1 --determined: the counts never agreed; 2 usage; 3 not permitted; 4 no such name, refused, timed out; \
5 http and ws: a damaged answer. What a web server answers, 404 too, is shown, and is no failure.";

/// A group of options.
const SOCKET: &str = "Its socket and address";

/// Connects to a server, sends lines, and prints what comes back
///
/// KIND is tcp unless said: udp, unix, http, ws. A port alone is one of this host.
/// Received bytes go to stdout as they are, made safe when that is a terminal; everything else is said on stderr.
#[derive(clap::Args)]
#[command(before_help = EXAMPLES, after_help = END)]
pub(crate) struct Args {
    /// [KIND] HOST PORT, HOST:PORT, [IPV6]:PORT, PORT of this host; a path or @NAME for Unix sockets; a URL for http and ws
    #[arg(value_name = "TARGET")]
    words: Vec<String>,
    /// Datagrams instead of a stream: UDP, or a Unix datagram socket together with -U
    #[arg(short = 'u', long)]
    udp: bool,
    /// A Unix socket: a path, or @NAME in the abstract namespace
    #[arg(short = 'U', long)]
    unix: bool,
    /// IPv4 only
    #[arg(short = '4', long, conflicts_with = "ipv6", help_heading = SOCKET)]
    ipv4: bool,
    /// IPv6 only
    #[arg(short = '6', long, help_heading = SOCKET)]
    ipv6: bool,
    /// Numbers only: no name is looked up
    #[arg(short = 'n', action = clap::ArgAction::Count, help_heading = SOCKET)]
    numeric: u8,
    /// This end's address: ADDR:PORT, ADDR, or :PORT
    #[arg(long, value_name = "ADDR:PORT", help_heading = SOCKET)]
    source: Option<String>,
    /// Small pieces leave at once (TCP_NODELAY)
    #[arg(long, help_heading = SOCKET)]
    nodelay: bool,
    /// The most bytes that one recv() takes; what is longer than this of a datagram is lost
    #[arg(long, value_name = "BYTES", default_value_t = 65_536, value_parser = number::<usize>(1..=16_777_216, "--recv-size 1024"), help_heading = SOCKET)]
    recv_size: usize,
    /// Received bytes as a hex dump, one for each recv()
    #[arg(long)]
    hex: bool,
    /// Only connects, and says whether it could; PORT may be a range such as 20-25
    #[arg(short = 'z', conflicts_with_all = ["send", "file", "determined", "shutdown", "half_close", "hex"])]
    scan: bool,
    /// Sends the file again and again until the receiver has counted all of it (sockwire serve --receive)
    #[arg(long, requires = "file")]
    determined: bool,
    /// With --determined: gives up after so many times
    #[arg(long, value_name = "N", requires = "determined", value_parser = number::<u64>(1..=u64::MAX, "--tries 5"))]
    tries: Option<u64>,
    #[command(flatten)]
    sending: Sending,
    #[command(flatten)]
    ending: Ending,
    #[command(flatten)]
    web: web::Web,
    #[command(flatten)]
    watching: Watching,
    #[command(flatten)]
    netcat: Netcat,
}

/// What is sent.
#[derive(clap::Args)]
#[command(next_help_heading = "What is sent")]
struct Sending {
    /// Sends TEXT by one send() and reads no input; may be repeated. \n, \r, \t, \\ and \xNN are bytes; no newline is added
    #[arg(long, value_name = "TEXT", value_parser = target::text, conflicts_with = "file")]
    send: Vec<Message>,
    /// Sends a file instead of lines; - is standard input, taken as bytes
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// Line ends as CR LF
    #[arg(short = 'C', long)]
    crlf: bool,
}

/// Bytes of one `--send`.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Message(Vec<u8>);

/// How it ends.
#[derive(clap::Args)]
#[command(next_help_heading = "How it ends")]
struct Ending {
    /// At the end of the input, writing is shut down (done anyway, unless --shutdown says otherwise)
    #[arg(long, conflicts_with = "shutdown")]
    half_close: bool,
    /// What is shut down at the end of the input, and what that does
    #[arg(long, value_name = "WHAT", value_enum)]
    shutdown: Option<Side>,
    /// Waits at most so long for a connection, and after the end of the input for what still comes (datagrams: 2 unless given)
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    wait: Option<i64>,
}

/// The words for [`How`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Side {
    Read,
    Write,
    Both,
}

impl From<Side> for How {
    fn from(side: Side) -> Self {
        match side {
            Side::Read => Self::Read,
            Side::Write => Self::Write,
            Side::Both => Self::Both,
        }
    }
}

/// Netcat's letters that mean another thing here, or nothing: they are refused with what serves instead.
#[derive(clap::Args)]
struct Netcat {
    #[arg(short = 'w', hide = true, value_name = "SECONDS")]
    w: Option<String>,
    #[arg(
        short = 'q',
        hide = true,
        value_name = "SECONDS",
        allow_hyphen_values = true
    )]
    q: Option<String>,
    #[arg(short = 'p', hide = true, value_name = "PORT")]
    p: Option<String>,
    #[arg(short = 's', hide = true, value_name = "ADDR")]
    s: Option<String>,
    #[arg(short = 'e', hide = true, value_name = "PROGRAM")]
    e: Option<String>,
    #[arg(short = 'l', hide = true)]
    l: bool,
    #[arg(short = 'k', hide = true)]
    k: bool,
    #[arg(short = 'N', hide = true)]
    n: bool,
    /// What netcat says with it is said anyway.
    #[arg(short = 'v', hide = true, action = clap::ArgAction::Count)]
    #[allow(dead_code)]
    v: u8,
}

impl Netcat {
    /// Refuses the first of the letters that was given.
    fn refuse(&self) -> Result<(), Failure> {
        let letters = [
            (self.l, "-l", "a server is sockwire serve PORT"),
            (
                self.k,
                "-k",
                "sockwire serve PORT goes on after a client, without --once",
            ),
            (self.w.is_some(), "-w", "write --wait SECONDS"),
            (self.q.is_some(), "-q", "write --wait SECONDS"),
            (self.p.is_some(), "-p", "write --source :PORT"),
            (self.s.is_some(), "-s", "write --source ADDR"),
            (
                self.e.is_some(),
                "-e",
                "no program is run; a pipe gives it input and takes its output",
            ),
            (
                self.n,
                "-N",
                "write --half-close, which is also done without it",
            ),
        ];
        match letters.iter().find(|(given, ..)| *given) {
            Some((_, letter, instead)) => {
                Err(usage(format!("{letter} is netcat's: here, {instead}")))
            }
            None => Ok(()),
        }
    }
}

/// The program as it runs with no more rights than it needs: a lab's are only its own, and root's may be needed for a
/// source port of the user's choice and for the path of a Unix socket.
fn without_rights(program: Program, args: &Args, kind: Kind, global: &Global) -> Program {
    if kind.is_unix() || args.source.is_some() || args.watching.lab() {
        return program;
    }
    let global = global.clone();
    Box::new(move |journal| {
        privilege::give_up(&global)?;
        program(journal)
    })
}

/// Runs the command.
pub(crate) fn run(args: Args, global: &Global) -> Outcome {
    args.netcat.refuse()?;
    let (kind, words) = target::kind(&args.words, args.udp, args.unix)?;
    let shows_progress = args.determined && !global.quiet && io::stderr().is_terminal();
    let line = Line::default();
    let place = Place {
        host: Host::Client,
        family: match kind {
            Kind::Unix | Kind::UnixDatagram => Family::Unix,
            _ => family(args.ipv4, args.ipv6).unwrap_or(Family::Inet),
        },
    };
    let lab = args.watching.lab().then(|| place.addresses()[1]);
    let mut server = Address::Unnamed;
    let program: Program = match kind {
        Kind::Http | Kind::WebSocket => {
            let mut url = web::url(kind, words)?;
            if let Some(ip) = lab {
                url.host = ip.to_string();
                server = Address::Ip((ip, url.port).into());
            }
            web::program(kind, url, &args, global)?
        }
        Kind::Tcp | Kind::Udp | Kind::Unix | Kind::UnixDatagram => {
            let mut target = Target::parse(kind, words, args.scan)?;
            if let Some(ip) = lab {
                server = target.in_lab(ip)?;
            }
            let line = shows_progress.then(|| line.clone());
            let (plain, work) = Plain::new(kind, target, &args, global.ascii, line)?;
            Box::new(move |journal| plain.run(work, journal))
        }
    };
    let program = without_rights(program, &args, kind, global);
    let global_too = global.clone();
    let words = move |told: &Told| {
        if let Event::Note(note) = &told.event {
            line.end();
            global_too.talk(note);
        }
        // Standard output is for what the server sends.
        Vec::new()
    };
    let determined = args.determined;
    let other = move || match kind {
        Kind::Http => talk::web(Pages, server),
        Kind::WebSocket => talk::web(Echo, server),
        _ if determined => talk::receive(server),
        _ => talk::echo(kind.socket(), server),
    };
    args.watching
        .run(global, place, program, other, Box::new(words))
}
