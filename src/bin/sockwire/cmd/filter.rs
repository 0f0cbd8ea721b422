//! `sockwire filter`: what a filter says, what it compiles to, and why a packet matches it or not.

mod about;
mod display;
mod path;
mod program;
mod view;

use std::{ffi::OsString, path::PathBuf};

use sockwire::{
    capture::SNAPLEN,
    filter::{
        CaptureFilter, FilterError,
        capture::{Compiled, Place, Target},
    },
    frame::{Frame, Source as _},
    link::LinkType,
};

use super::{
    Exit, Failure, Global, Outcome,
    names::System,
    number, output,
    output::Output,
    packets::{each, link, no_packet},
    selecting::{from_file, input},
    usage,
};
use path::Path as Way;
use view::View;

const EXAMPLES: &str = "\
Examples:
  sockwire filter tcp dst port 80 or 443           the program, and what it says
  sockwire filter -d port 53                       the program as tcpdump -d prints it
  sockwire filter -r trace.pcapng host 10.0.0.1    how many packets match
  sockwire filter -r trace.pcapng --packet 3 udp   why packet 3 does, or not
  sockwire filter -Y 'tcp.flags.syn == 1 && ip.ttl < 64'    what it asks";

/// Explains a filter: in words, as the program it becomes, and on the packets of a file
#[derive(clap::Args)]
#[command(before_help = EXAMPLES)]
pub(crate) struct Args {
    /// Only the program, as tcpdump prints it: -d assembler, -dd C, -ddd numbers
    #[arg(short = 'd', action = clap::ArgAction::Count, conflicts_with_all = ["json", "packet", "display_filter"])]
    dump: u8,
    /// Compiles for this link type (by tcpdump's name), not for Ethernet
    #[arg(long, value_name = "NAME", value_parser = link, conflicts_with_all = ["read", "display_filter"])]
    link: Option<LinkType>,
    /// Compiles for an interface's socket, where the kernel has taken VLAN tags off
    #[arg(long, conflicts_with_all = ["read", "display_filter"])]
    live: bool,
    /// Counts the packets of a capture file that match; - is standard input
    #[arg(short = 'r', long, value_name = "FILE")]
    read: Option<OsString>,
    /// Why this packet of the file matches, or does not
    #[arg(long, value_name = "N", requires = "read", value_parser = number::<u64>(1..=u64::MAX, "--packet 3"))]
    packet: Option<u64>,
    /// Explains a display filter as in Wireshark
    #[arg(short = 'Y', long, value_name = "EXPR", conflicts_with_all = ["filter", "filter_file"])]
    display_filter: Option<String>,
    /// Reads the filter from a file, in which # begins a comment, - is standard input; words at the end of the line are not used then
    #[arg(short = 'F', value_name = "FILE")]
    filter_file: Option<PathBuf>,
    /// Does not ask the resolver for names of hosts
    #[arg(short = 'n', action = clap::ArgAction::Count)]
    numeric: u8,
    /// One JSON object a line
    #[arg(long)]
    json: bool,
    /// A pcap filter such as: port 80 and host 10.0.0.1
    #[arg(value_name = "EXPR")]
    filter: Vec<String>,
}

/// Runs the command.
pub(crate) fn run(args: Args, global: &Global) -> Outcome {
    let names = System {
        resolve: args.numeric == 0,
    };
    if let Some(expression) = &args.display_filter {
        return display::run(expression, &args, &names, global);
    }
    let expression = match &args.filter_file {
        Some(path) => from_file(path)?,
        None if args.filter.is_empty() => {
            let missing = "which filter? for example: sockwire filter tcp port 80";
            return Err(usage(missing));
        }
        None => args.filter.join(" "),
    };
    let filter = CaptureFilter::parse(&expression, &names).map_err(bad)?;
    let mut on = Vec::new();
    let mut found = None;
    let mut fault = None;
    let mut packets = 0;
    if let Some(file) = &args.read {
        let counted = each(file, global, |source, batch| {
            for interface in source.interfaces() {
                program_for(&filter, &mut on, interface.link, Place::Frame);
            }
            for frame in batch.frames() {
                packets += 1;
                let at = program_for(&filter, &mut on, frame.link, Place::Frame);
                on[at].count(&frame);
                if args.packet == Some(frame.number) {
                    found = Some((at, on[at].way(&frame)));
                    return Ok(false);
                }
            }
            Ok(true)
        })?;
        fault = counted;
    } else {
        let link = args.link.unwrap_or(LinkType::ETHERNET);
        program_for(&filter, &mut on, link, place(link, args.live));
    }
    // A meaning on one of the file's link types is enough.
    if on.iter().all(|on| on.compiled.is_err())
        && let Some(Err(error)) = on.first().map(|on| &on.compiled)
    {
        return Err(bad(error.clone()));
    }
    let mut stdout = Output::stdout(global.ascii)?;
    let out = &mut stdout.text;
    let view = View {
        expression: &expression,
        palette: output::palette(global),
        columns: output::columns(),
        counted: args.read.is_some(),
    };
    let matched = match (args.packet, found) {
        (Some(number), None) => return Err(fault.unwrap_or_else(|| no_packet(number, packets))),
        (Some(number), Some((at, way))) => {
            if args.json {
                program::packet_json(&filter, number, &on[at], way.as_ref(), out);
            } else {
                program::packet(&view, number, &on[at], way.as_ref(), out);
            }
            way.is_some_and(|way| way.matches)
        }
        (None, _) => {
            match args.dump {
                0 if args.json => program::json(&view, &filter, &on, out),
                0 => program::text(&view, &filter, &on, out),
                form => program::dump(&on, form, out),
            }
            on.iter().any(|on| on.matched > 0)
        }
    };
    stdout.flush()?;
    match fault {
        Some(fault) => Err(fault),
        None if args.read.is_some() && args.dump == 0 && !matched => Ok(Exit::NoMatch),
        None => Ok(Exit::Done),
    }
}

/// The filter on one link type, and how it fared there.
struct On {
    target: Target,
    compiled: Result<Compiled, FilterError>,
    packets: u64,
    matched: u64,
}

impl On {
    fn count(&mut self, frame: &Frame<'_>) {
        self.packets += 1;
        let compiled = self.compiled.as_ref();
        let takes = compiled.is_ok_and(|compiled| compiled.program.run(&input(frame)) > 0);
        self.matched += u64::from(takes);
    }

    /// The frame's way through the program, where there is one.
    fn way(&self, frame: &Frame<'_>) -> Option<Way> {
        let compiled = self.compiled.as_ref().ok()?;
        Some(Way::of(compiled, &input(frame)))
    }
}

/// Where among `on` the program for this link type is, compiled when it is new.
fn program_for(filter: &CaptureFilter, on: &mut Vec<On>, link: LinkType, place: Place) -> usize {
    let known = on.iter().position(|on| on.target.link == link);
    known.unwrap_or_else(|| {
        let target = Target {
            link,
            place,
            snaplen: SNAPLEN,
            netmask: None,
        };
        on.push(On {
            target,
            compiled: filter.compile(target),
            packets: 0,
            matched: 0,
        });
        on.len() - 1
    })
}

fn place(link: LinkType, live: bool) -> Place {
    match (live, link) {
        (false, _) => Place::Frame,
        (true, LinkType::LINUX_SLL | LinkType::LINUX_SLL2) => Place::KernelCooked,
        (true, _) => Place::Kernel,
    }
}

fn bad(error: FilterError) -> Failure {
    Failure::new(Exit::Usage, error)
}
