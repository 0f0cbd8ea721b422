//! `sockwire trace`: a program's socket calls and its packets on one timeline.
//!
//! ```text
//!  live      runs a program, or attaches to some, and traces it       collect   calls and packets in one order
//!  saved     a saved log again                                        captures  the packets of each network
//!  keeping   what becomes of the entries: log, packets, view          view      entries → text
//!  json      entries and ties as JSON lines                     comments  packets whose comments name their calls
//!  settling  packets whose ties are not all known yet
//! ```

mod captures;
mod collect;
mod comments;
mod json;
mod keeping;
mod live;
mod saved;
mod settling;
mod view;

pub(in crate::cmd) use self::{
    captures::Where,
    collect::{Collector, Keep, Teller},
    keeping::{Keeper, Place},
    live::failure,
};

use std::{ffi::OsString, path::PathBuf};

use anyhow::anyhow;
use clap::ValueEnum;
use sockwire::trace::Wanted;

use super::{Exit, Failure, Global, Outcome, number};

const EXAMPLES: &str = "\
Examples:
  sudo sockwire trace python3 client.py          a program's socket calls, its packets between them
  sockwire trace --private ./talk.sh             in a network of its own: no right needed
  sudo sockwire trace -p 4310                    a program that runs already; Ctrl-C lets it go
  sockwire trace --save my.log curl localhost    keeps what happened
  sockwire trace -r my.log --summary             shows it again, in another way
  sockwire trace -r my.log --why 12              why packet 12 was sent, and who got it
  sockwire trace -r my.log -o talk.pcapng        for Wireshark: comments name process and call
  sockwire lab run -C 'nc {server} {port}' -S 'nc -l {port}' --trace   both ends, and a wire";

const READING: &str = "\
The timeline: each call stands at its end of the connection, on the left who connected, on the right who accepted, and each \
packet between them, with the call that caused it and the call that got it. Words in brackets are the ground where that is \
not the sequence number: (connect), (shutdown), (last close), (order). A call that waits ends with … and returns further down; \
┊ is the time in between. In a lab, ╌╌ is a packet that arrives, +5.10 ms after it was sent, and ✗ is one that the wire drops.

JSON lines (--json): each entry of the log is an object with \"at\" (nanoseconds since 1970, UTC) and one more key that says \
what it is: begin, net, interface, process, exec, exit, socket, enter, return, packet, arrival, note, end. How packets and \
calls are tied stands in objects with the key \"tie\". After a call has returned data:
  {\"tie\":{\"call\":9,\"took\":[{\"packet\":12,\"share\":{\"bytes\":[0,6]},\"ground\":\"sequence\"}]}}
and when nothing more is to be learned of a packet, at most a second after it:
  {\"tie\":{\"packet\":12,
    \"sender\":1,\"causes\":[{\"call\":5,\"share\":{\"bytes\":[0,6]},\"ground\":\"sequence\"}],
    \"receiver\":2,\"takers\":[{\"call\":9,\"share\":{\"bytes\":[0,6]},\"ground\":\"sequence\"}]}}
with \"kernel\" (and \"acks\", a call) in place of causes where no call caused it, and \"again\":true where all of it was sent \
before. Shares: \"syn\", \"fin\", \"reset\", \"datagram\", {\"bytes\":[FROM,TO]} of the stream, counted from 0.";

/// A program's socket calls and its packets, on one timeline
///
/// Runs COMMAND and shows each call that it makes on a socket, and each packet of its sockets, tied to the call that caused
/// it and to the call that returned what it carries. Threads and child processes are traced too. COMMAND keeps its terminal,
/// standard output and exit code; the view goes to stderr. Without the right to capture, calls are shown alone.
#[derive(clap::Args)]
#[command(before_help = EXAMPLES, after_long_help = READING)]
pub(crate) struct Args {
    /// Traces a program that runs already, until Ctrl-C or its end; several times for several programs
    #[arg(short = 'p', long = "pid", value_name = "PID", value_parser = number::<u32>(1..=0x3f_ffff, "-p 4310"))]
    pids: Vec<u32>,
    /// Shows a saved log again; - is standard input
    #[arg(short = 'r', long, value_name = "LOG")]
    read: Option<PathBuf>,
    /// Runs COMMAND in a user and network namespace of its own, which has a loopback interface only; no right needed
    #[arg(long)]
    private: bool,
    #[command(flatten)]
    which: Which,
    #[command(flatten)]
    showing: Showing,
    #[command(flatten)]
    keeping: Keeping,
    /// The program, and its own options and arguments
    #[arg(
        value_name = "COMMAND",
        trailing_var_arg = true,
        allow_hyphen_values = true
    )]
    command: Vec<OsString>,
}

/// Which calls are traced.
#[derive(clap::Args, Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::cmd) struct Which {
    /// Which calls: those of the socket API only, or read, write, close and their relatives on sockets too
    #[arg(long, value_enum, default_value_t = Calls::All, value_name = "WHICH")]
    calls: Calls,
    /// Calls that wait for several descriptors too: poll, select, epoll_wait
    #[arg(long)]
    poll: bool,
}

/// What a trace is shown as.
#[derive(clap::Args, Clone, Debug, Default, PartialEq, Eq)]
#[command(next_help_heading = "What of a trace is shown (unless said, the timeline)")]
pub(in crate::cmd) struct Showing {
    /// One line for each call and packet, as strace has them; what waited for data stands where it returned
    #[arg(long, group = "shown")]
    lines: bool,
    /// One connection after the other, calls between its packets
    #[arg(long, group = "shown")]
    ladder: bool,
    /// For each connection: what became of what, and where the time went
    #[arg(long, group = "shown")]
    summary: bool,
    /// Why packet N was sent, and who got it
    #[arg(long, value_name = "N", group = "shown", value_parser = number::<u64>(1..=u64::MAX, "--why 12"))]
    why: Option<u64>,
    /// What call N caused
    #[arg(long, value_name = "N", group = "shown", value_parser = number::<u64>(1..=u64::MAX, "--effects 5"))]
    effects: Option<u64>,
    /// JSON lines: the log's entries and ties (sockwire trace --help describes them)
    #[arg(long, group = "shown")]
    json: bool,
}

/// What is kept of a trace.
#[derive(clap::Args, Clone, Debug, Default, PartialEq, Eq)]
#[command(next_help_heading = "Files (a new one is readable by you only)")]
pub(in crate::cmd) struct Keeping {
    /// Keeps the log, to be shown again with -r
    #[arg(long, value_name = "LOG")]
    pub(in crate::cmd) save: Option<PathBuf>,
    /// Keeps the packets, with comments that name process, descriptor and call; .pcap has no comments, other names do
    #[arg(short = 'w', long, value_name = "FILE")]
    pub(in crate::cmd) write: Option<PathBuf>,
    /// Writes the view to a file; its suffix gives the form: .txt, .json, .svg, .html, .mmd, .pcapng
    #[arg(short = 'o', long, value_name = "FILE")]
    pub(in crate::cmd) output: Option<PathBuf>,
    /// Lets --save, -w and -o replace files
    #[arg(long)]
    pub(in crate::cmd) force: bool,
}

impl Keeping {
    fn paths(&self) -> impl Iterator<Item = &PathBuf> {
        [&self.save, &self.write, &self.output]
            .into_iter()
            .flatten()
    }
}

/// Which calls are traced.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Calls {
    /// All on sockets
    #[default]
    All,
    /// Those of the socket API; the program runs faster
    Net,
}

impl Which {
    /// For the tracer.
    pub(in crate::cmd) const fn wanted(&self) -> Wanted {
        Wanted {
            net_only: matches!(self.calls, Calls::Net),
            waits: self.poll,
        }
    }
}

impl Args {
    /// Exactly one thing is to be traced, and the options are about it.
    fn check(&self) -> Result<(), Failure> {
        let (command, pids) = (!self.command.is_empty(), !self.pids.is_empty());
        let read = self.read.is_some();
        let problem = match u8::from(command) + u8::from(pids) + u8::from(read) {
            0 => "say what to trace",
            1 if self.private && !command => "--private is for a COMMAND that it runs",
            1 if read && self.which != Which::default() => {
                "--calls and --poll are for tracing: a saved log has the calls that it has"
            }
            1 => return Ok(()),
            _ => "a COMMAND, -p and -r are three things to trace: choose one",
        };
        Err(usage(format!(
            "{problem}; for example\n  sockwire trace python3 client.py    a program, from its start\
             \n  sockwire trace -p 4310              one that runs already\
             \n  sockwire trace -r my.log            a saved log"
        )))
    }
}

fn usage(message: String) -> Failure {
    Failure::new(Exit::Usage, anyhow!(message))
}

/// Runs the command.
pub(crate) fn run(args: Args, global: &Global) -> Outcome {
    args.check()?;
    match &args.read {
        Some(path) => saved::run(&args, path, global),
        None => live::run(args, global),
    }
}
