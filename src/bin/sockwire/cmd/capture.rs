//! `sockwire capture`: packets of an interface as they come.

use std::sync::Arc;

use anyhow::anyhow;
use clap::ValueEnum;
use sockwire::{
    bpf::Program,
    capture::{self, Filter, On, Options, Purpose, Via, Ways},
    link::LinkType,
};

use super::{
    Exit, Failure, Global, Outcome, interfaces, number, permission, selecting::Selection,
    show::ShowArgs, waiting::Waiting,
};

const EXAMPLES: &str = "\
Examples:
  sudo sockwire capture -i lo port 5000      one line a packet, on loopback
  sudo sockwire port 80                      the same on the default route's interface
  sudo sockwire -i any -w all.pcapng         record every interface
  sudo sockwire -i lo -c 5 -v -X udp         five datagrams, every field and byte
  sudo sockwire -i lo -Y 'tcp.flags.reset == 1' only what matches, of all that is tracked
  sudo sockwire capture --netns 4242         what the container of process 4242 sees
  sudo sockwire capture --via raw icmp       through raw IP sockets instead";

/// Shows the packets of an interface as they come
///
/// Without -i: the default route's interface, or loopback when the filter names a loopback address.
/// Ctrl-C ends, with the counters on stderr.
#[derive(clap::Args)]
#[command(before_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(flatten)]
    pub(crate) from: LiveArgs,
    /// Lists the interfaces
    #[arg(short = 'D', long)]
    list_interfaces: bool,
    #[command(flatten)]
    show: ShowArgs,
}

/// Where live packets come from.
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct LiveArgs {
    /// An interface by name or number, or "any"; can be given several times
    #[arg(short = 'i', long = "interface", value_name = "IF")]
    pub(crate) interfaces: Vec<String>,
    /// Only frames for this host: the interface is not made promiscuous
    #[arg(short = 'p', long)]
    pub(crate) no_promiscuous_mode: bool,
    /// Keeps this many bytes of each packet; 0 means all
    #[arg(short = 's', long, value_name = "BYTES", default_value_t = 0,
          value_parser = number::<u32>(0..=u64::from(u32::MAX), "-s 96"))]
    pub(crate) snapshot_length: u32,
    /// Only packets received, or only those sent
    #[arg(short = 'Q', long, value_name = "WAY", value_enum, default_value_t = Way::Inout)]
    pub(crate) direction: Way,
    /// Buffer for each interface in KiB (256 at least)
    #[arg(short = 'B', long, value_name = "KIB", default_value_t = (capture::BUFFER >> 10) as u32,
          value_parser = number::<u32>(1..=2_097_152, "-B 4096"))]
    pub(crate) buffer_size: u32,
    /// The kind of socket: packet, or raw (raw IP sockets, which see less)
    #[arg(long, value_name = "KIND", value_enum, default_value_t = Kind::Packet)]
    pub(crate) via: Kind,
    /// Captures in another network namespace, by name or by process id
    #[arg(long, value_name = "NAME|PID")]
    pub(crate) netns: Option<String>,
}

/// tcpdump's words for [`Ways`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Way {
    /// Received
    In,
    /// Sent
    Out,
    /// Both
    Inout,
}

/// The words for [`Via`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Kind {
    /// A packet socket: every frame, both ways
    Packet,
    /// Raw IP sockets: received IPv4 packets of TCP, UDP and ICMP
    Raw,
}

impl LiveArgs {
    /// Opens the source, after saying on stderr which interfaces were chosen and what the kernel refused.
    pub(crate) fn open(
        &self,
        purpose: Purpose,
        selection: &Selection,
        global: &Global,
    ) -> Result<Waiting<capture::Live>, Failure> {
        let filter = selection.filter();
        let mut interfaces = self.interfaces.clone();
        if interfaces.is_empty() {
            let choice = capture::inside(self.netns.as_deref(), || {
                capture::choose(purpose, filter.loopback())
            })
            .map_err(permission::failure)?;
            global.talk(format_args!("watching {}", choice.reason));
            interfaces = choice.interfaces;
        }
        let live = capture::open(&Options {
            interfaces,
            snaplen: self.snaplen(),
            promiscuous: !self.no_promiscuous_mode,
            buffer: (self.buffer_size as usize) << 10,
            ways: match self.direction {
                Way::In => Ways::In,
                Way::Out => Ways::Out,
                Way::Inout => Ways::Both,
            },
            netns: self.netns.clone(),
            via: match self.via {
                Kind::Packet => Via::Packet,
                Kind::Raw => Via::Raw,
            },
            filter: (!filter.is_empty()).then(|| Arc::new(selection.clone()) as Arc<dyn Filter>),
        })
        .map_err(permission::failure)?;
        for note in live.notes() {
            global.talk(format_args!("note: {note}"));
        }
        Ok(Waiting::new(live, filter, self.netns.clone(), global.quiet))
    }

    /// The program as it would be attached to the first interface; as for a file of Ethernet frames where none is named.
    fn program(&self, selection: &Selection) -> Result<Program, Failure> {
        let on = match (self.interfaces.first(), self.via) {
            (_, Kind::Raw) => On {
                link: LinkType::RAW,
                cooked: false,
                netmask: None,
                snaplen: capture::SNAPLEN,
            },
            (None, _) => return selection.for_file(LinkType::ETHERNET),
            (Some(name), _) => capture::inside(self.netns.as_deref(), || {
                capture::packet_socket(name, self.snaplen())
            })
            .and_then(|on| on)
            .map_err(permission::failure)?,
        };
        let program = selection.program(&on);
        program.map_err(|error| Failure::new(Exit::Usage, anyhow!(error)))
    }

    fn snaplen(&self) -> u32 {
        match self.snapshot_length {
            0 => capture::SNAPLEN,
            bytes => bytes.min(capture::SNAPLEN),
        }
    }
}

/// Runs the command.
pub(crate) fn run(args: Args, global: &Global) -> Outcome {
    if args.list_interfaces {
        return interfaces::list(args.from.netns.as_deref(), false);
    }
    if args.show.dump > 0 {
        let selection = args.show.filters()?.selection;
        return args.show.print_program(&args.from.program(&selection)?);
    }
    // The filter and the output first: a mistake there is told before any right is needed.
    let pipeline = args.show.pipeline(global)?;
    let mut source = args
        .from
        .open(Purpose::Packets, pipeline.selection(), global)?;
    pipeline.run(&mut source, true)
}
