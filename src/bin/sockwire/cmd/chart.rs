//! `sockwire chart`: the socket calls of both ends as course books draw them, and on request played while one looks on.

mod live;
mod programs;

use clap::ValueEnum;
use sockwire::render::chart::{CONCURRENT, Chart, Options, SEQUENTIAL, UDP};

use super::{
    Exit, Global, Numeric, Outcome,
    output::{self, columns},
    seconds,
};

const EXAMPLES: &str = "\
Examples:
  sockwire chart sequential          TCP, one client after the other
  sockwire chart concurrent          TCP, a process for each client
  sockwire chart udp                 datagrams
  sockwire chart udp --live          the calls as programs make them, one after the other
  sockwire chart udp --live --step   the next one when Enter is pressed";

/// Draws the socket calls of both ends: who calls what when, what blocks, and which packets go
#[derive(clap::Args)]
#[command(before_help = EXAMPLES)]
pub(crate) struct Args {
    /// Which conversation
    #[arg(value_name = "CHART", value_enum)]
    chart: Which,
    /// Plays the programs, with one client, in a private network, and marks the call that each end is in; no root needed
    #[arg(long)]
    live: bool,
    /// Waits for Enter before each call
    #[arg(long, requires = "live")]
    step: bool,
    /// Seconds for each call, so that one can follow
    #[arg(long, value_name = "SECONDS", value_parser = seconds, requires = "live")]
    pace: Option<i64>,
    #[command(flatten)]
    numeric: Numeric,
}

/// The words for charts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Which {
    /// Stream sockets, one client after the other
    Sequential,
    /// Stream sockets, a process for each client
    Concurrent,
    /// Datagram sockets
    Udp,
}

impl Which {
    const fn chart(self) -> &'static Chart {
        match self {
            Self::Sequential => &SEQUENTIAL,
            Self::Concurrent => &CONCURRENT,
            Self::Udp => &UDP,
        }
    }
}

/// Runs the command.
pub(crate) fn run(args: Args, global: &Global) -> Outcome {
    let options = Options {
        columns: columns(),
        ascii: global.ascii,
    };
    if args.live {
        return live::run(&args, options, global);
    }
    let chart = args.chart.chart();
    let lines = chart.draw(options, &[]);
    output::print(&format!("{}\n\n{}", lines.join("\n"), chart.notes(options)))?;
    Ok(Exit::Done)
}
