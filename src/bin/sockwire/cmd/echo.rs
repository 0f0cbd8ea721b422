//! `sockwire echo`: a packet sent across a private network, and what became of it on the way.

use jiff::tz::TimeZone;
use sockwire::{
    craft::{
        Spec,
        diff::{self, Step},
    },
    decode::{Decoded, Decoder},
    frame::Frame,
    lab::refusal::Way,
    layer::Packet,
    line::LineOptions,
    link::LinkType,
    probe::{
        Via,
        echo::{self, B, ECHO_PORT, Echoed, MOST_HOPS, Plan},
    },
    render::line::{Lines, Options, TimeForm},
    sys::netns,
    text::Safe,
};

use super::{
    Exit, Failure, Global, Numeric, Outcome,
    craft::specs::Disk,
    number,
    output::{self, Output},
    permission, usage,
};

const EXAMPLES: &str = "\
Examples:
  sockwire echo ip dst=10.0.9.2 ttl=5 / udp dport=7 / text=hello     what does a router change?
  sockwire echo --nat ip dst=10.0.9.2 / tcp dport=7 flags=S          and NAT?
  sockwire echo --hops 0 ip dst=10.0.9.2 id=0 chksum=0xdead / udp dport=7 / text=hello
  sockwire echo --hops 3 ip dst=10.0.9.2 ttl=2 / udp dport=7         who sends it back?
  sockwire echo --via raw ip dst=10.0.9.2 len=999 / udp dport=7      what does a raw IP socket rewrite?
";

/// Sends a packet from one private host to another, and shows what changed on the way there and back; no root needed
///
/// A and B (10.0.9.2) are hosts of their own, with real routers between them. B gives datagrams to port 7 back, takes connections
/// there, and answers ping. Everything is gone when the program ends.
#[derive(clap::Args)]
#[command(before_help = EXAMPLES)]
pub(crate) struct Args {
    /// Routers between A and B, up to 3
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = number::<usize>(0..=MOST_HOPS as u64, "--hops 2"))]
    hops: usize,
    /// The last router puts its own address in place of A's; needs nft
    #[arg(long)]
    nat: bool,
    /// The kind of socket: the one that leaves the packet as it is, or raw (a raw IP socket)
    #[arg(long, value_name = "KIND", value_enum, default_value_t = Kind::Fitting)]
    via: Kind,
    /// The packet, as craft reads it
    #[arg(value_name = "SPEC", required = true)]
    spec: Vec<String>,
    #[command(flatten)]
    numeric: Numeric,
}

/// The words for [`Via`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Kind {
    Fitting,
    Raw,
}

/// Runs the command.
pub(crate) fn run(args: Args, global: &Global) -> Outcome {
    let spec = Spec::parse(&args.spec.join(" "), &Disk);
    let spec = spec.map_err(|error| Failure::new(Exit::Usage, error))?;
    match (spec.link(), spec.count()) {
        (None, _) => {
            return Err(usage(
                "a packet that is sent begins with eth or ip: put ip dst=10.0.9.2 / in front",
            ));
        }
        (_, 1) => {}
        _ => return Err(usage("echo sends one packet, and lists make many")),
    }
    let plan = Plan {
        hops: args.hops,
        nat: args.nat,
    };
    let via = match args.via {
        Kind::Fitting => Via::Fitting,
        Kind::Raw => Via::RawIp,
    };
    enter()?;
    let echoed = echo::run(plan, &spec, &via).map_err(permission::of_probe)?;
    let mut telling = Telling {
        lines: Lines::new(Options {
            time: TimeForm::None,
            nano: false,
            zone: TimeZone::system(),
            link_header: false,
            ascii: global.ascii,
            palette: output::palette(global),
            line: LineOptions {
                absolute: true,
                quick: false,
            },
        }),
        output: Output::stdout(global.ascii)?,
        decoder: Decoder::default(),
        ascii: global.ascii,
    };
    telling.tell(plan, &echoed);
    telling.output.flush()?;
    Ok(match echoed.arrived {
        Some(_) => Exit::Done,
        None => Exit::NoMatch,
    })
}

/// Makes sure that private networks can be made.
fn enter() -> Result<(), Failure> {
    match permission::private_network()? {
        Way::Administrator => Ok(()),
        Way::User => netns::enter_user().map_err(|error| Failure::new(Exit::NotPermitted, error)),
    }
}

/// Prints what was seen.
struct Telling {
    lines: Lines,
    output: Output,
    decoder: Decoder,
    ascii: bool,
}

impl Telling {
    fn tell(&mut self, plan: Plan, echoed: &Echoed) {
        let line = if self.ascii { "--" } else { "──" };
        let mut text = format!("A {}", plan.a());
        for router in 1..=plan.hops {
            let nat = if plan.nat && router == plan.hops {
                " (NAT)"
            } else {
                ""
            };
            text.push_str(&format!(" {line} R{router}{nat}"));
        }
        text.push_str(&format!(
            " {line} B {B}, which echoes port {ECHO_PORT}\nsent by {}\n\n",
            echoed.by
        ));
        self.output.text.push_str(&text);
        let ethernet = LinkType::ETHERNET;
        let seen = [
            ("made", Some(&echoed.made), echoed.link),
            ("left A", echoed.left.as_ref(), ethernet),
            ("reached B", echoed.arrived.as_ref(), ethernet),
            ("left B", echoed.answered.as_ref(), ethernet),
            ("reached A", echoed.returned.as_ref(), ethernet),
        ];
        for (number, (place, bytes, link)) in (1..).zip(seen) {
            self.output.text.push_str(&format!("{place:<10} "));
            match bytes {
                Some(bytes) => self.line(number, bytes, link),
                None => self.output.text.push_str("nothing\n"),
            }
        }
        let steps = [
            (
                "From the words to the wire",
                Step::Sending,
                seen[0],
                seen[1],
            ),
            ("From A to B", Step::Travelling, seen[1], seen[2]),
            ("From B to A", Step::Travelling, seen[3], seen[4]),
        ];
        for (title, step, (_, left, from), (_, right, to)) in steps {
            if let (Some(left), Some(right)) = (left, right) {
                self.differences(title, step, (left, from), (right, to));
            }
        }
    }

    fn line(&mut self, number: u64, bytes: &[u8], link: LinkType) {
        let mut decoded = Decoded::default();
        let frame = Frame {
            number,
            ..Frame::whole(link, bytes)
        };
        self.decoder.frame(&frame, &mut decoded);
        if let Some(packet) = decoded.packet_of(frame, 0) {
            self.lines.packet(&packet, None, &mut self.output.text);
        }
    }

    fn differences(
        &mut self,
        title: &str,
        step: Step,
        (left, from): (&[u8], LinkType),
        (right, to): (&[u8], LinkType),
    ) {
        let mut decoded = Decoded::default();
        // What was made without a link header gets one from the kernel: that is no change.
        let (right, to) = match (from == to, right.get(14..)) {
            (false, Some(inside)) => (inside, LinkType::RAW),
            _ => (right, to),
        };
        let frames = [Frame::whole(from, left), Frame::whole(to, right)];
        for frame in &frames {
            self.decoder.frame(frame, &mut decoded);
        }
        let packet = |at: usize| -> Option<Packet<'_>> { decoded.packet_of(frames[at], at) };
        let (Some(left), Some(right)) = (packet(0), packet(1)) else {
            return;
        };
        let found = diff::diff(&left, &right, step);
        let text = &mut self.output.text;
        text.push_str(&format!("\n{title}: "));
        text.push_str(match found.len() {
            0 => "nothing changed\n",
            1 => "one field changed\n",
            _ => "these fields changed\n",
        });
        let value = |value: Option<&String>| match value {
            Some(value) => Safe(value.as_bytes()).to_string(),
            None => "not there".to_owned(),
        };
        for one in &found {
            let change = format!(
                "{} → {}",
                value(one.left.as_ref()),
                value(one.right.as_ref())
            );
            text.push_str(&format!("  {:<14} {change}\n", one.field));
            if !one.cause.who.is_empty() {
                text.push_str(&format!(
                    "  {:<14}   {}: {}\n",
                    "", one.cause.who, one.cause.why
                ));
            }
        }
    }
}
