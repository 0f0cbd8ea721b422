//! `sockwire respond`: hears packets, and answers those that match with packets made from words and from what was heard.

use std::{net::IpAddr, path::PathBuf, sync::Arc};

use jiff::tz::TimeZone;
use sockwire::{
    capture::{self, Purpose},
    craft::{Built, NoFiles, NoRoute, Spec, template::Template},
    decode::{Decoded, Decoder},
    filter::DisplayFilter,
    frame::{Batch, Direction, Frame, Interface, KernelChecksum, Record},
    layer::Packet,
    line::LineOptions,
    link::LinkType,
    probe::{
        Ear, Hearing, Judge, KernelRoute, Outlet, ProbeError, Via,
        limits::{Plan, Rate, USUAL_PACKETS, USUAL_RATE},
        respond::{Bucket, Guard},
    },
    proto::frame::Around,
    render::line::{Lines, Options, TimeForm},
    sys::{
        clock::Clock,
        packet::{Layer, PacketSocket},
        signal::Stop,
    },
    text::Mac,
    time::SECOND,
    track::Tracker,
};

use super::{
    Exit, Failure, Global, Numeric, Outcome,
    craft::specs::Disk,
    number,
    output::{self, Output},
    permission,
    pipeline::Recorder,
    privilege,
    reasons::Reasons,
    selecting::{FilterArgs, Sifter},
    usage,
};

/// Packets that one packet is answered with, at most.
const MOST: u64 = 100;

const EXAMPLES: &str = "\
Examples, for networks of your own (braces need no quotes in bash and zsh):
  sudo sockwire respond -i eth0 arp and host 10.0.0.99 -Y arp.opcode==1 -- eth dst={eth.src} src={if.mac} / \\
      arp op=2 hwsrc={if.mac} psrc={arp.pdst} hwdst={arp.hwsrc} pdst={arp.psrc}      10.0.0.99 is here, says ARP
  sudo sockwire respond -i eth0 icmp and dst 10.0.0.99 -Y icmp.type==8 -- ip src={ip.dst} dst={ip.src} / \\
      icmp type=0 id={icmp.id} seq={icmp.seq} / hex={icmp.data}                    and answers ping
  sudo sockwire respond -i lo udp dst port 7 -- ip src={ip.dst} dst={ip.src} / udp sport=7 dport={udp.sport} / hex={payload}
  sudo sockwire respond -i eth0 udp dst port 53 -- ip src={ip.dst} dst={ip.src} / udp sport=53 dport={udp.sport} / \\
      dns id={dns.id} qr=1 qd={dns.qry.name} an={dns.qry.name}:A:60:10.0.0.99
  sudo sockwire respond -i eth0 tcp dst port 23 -Y tcp.flags.syn==1 -- ip src={ip.dst} dst={ip.src} / \\
      tcp sport={tcp.dport} dport={tcp.sport} seq=0 ack={tcp.seq+1} flags=RA          port 23 looks closed

{FIELD} takes the value from the packet, by craft's word (tcp.seq is the number on the wire) or Wireshark's name; {FIELD+1} and
{tcp.seq+tcp.len} add up; {payload} and {udp.data} are bytes, for text= and hex=; {if.mac} is the interface's own address.
To answer in another host's name misleads whoever asks: do it where the network and its hosts are yours.";

/// Hears packets, and answers those that match
///
/// A packet that lacks a field of the answer gets none, and is counted. Own packets are never answered. 100 packets a second
/// and 10,000 in all are the most, unless asked otherwise.
#[derive(clap::Args)]
#[command(before_help = EXAMPLES)]
pub(crate) struct Args {
    /// The interface to hear on [default: as capture chooses]
    #[arg(short = 'i', long, value_name = "IF")]
    interface: Option<String>,
    /// Only frames for this host: the interface is not made promiscuous
    #[arg(short = 'p', long)]
    no_promiscuous_mode: bool,
    /// Ends after so many answers
    #[arg(short = 'c', long, value_name = "N", value_parser = number::<u64>(1..=u64::MAX, "-c 5"))]
    count: Option<u64>,
    /// Packets a second, at most
    #[arg(long, value_name = "N", default_value_t = USUAL_RATE, value_parser = rate)]
    rate: f64,
    /// Records what was heard and answered, and prints none of it; .pcap writes pcap, other names pcapng
    #[arg(short = 'w', long, value_name = "FILE")]
    write: Option<PathBuf>,
    /// Lets -w replace a file
    #[arg(long)]
    force: bool,
    /// Answers also what could trouble strangers: see the refusal that names this
    #[arg(long)]
    yes_really: bool,
    #[command(flatten)]
    filters: FilterArgs,
    /// Which packets: a pcap filter such as: icmp and dst host 10.0.0.99
    #[arg(value_name = "FILTER")]
    filter: Vec<String>,
    /// The answer, as craft reads it, with fields of the packet in braces
    #[arg(value_name = "SPEC", last = true, required = true)]
    spec: Vec<String>,
    #[command(flatten)]
    numeric: Numeric,
}

fn rate(word: &str) -> Result<f64, String> {
    let rate = word.parse().ok();
    rate.filter(|rate: &f64| (0.001..=1e6).contains(rate))
        .ok_or_else(|| "expected answers a second, such as --rate 10".to_owned())
}

/// Runs the command.
pub(crate) fn run(args: Args, global: &Global) -> Outcome {
    let filters = args.filters.compile(&args.filter, true)?;
    let text = args.spec.join(" ");
    // A mistake in the words is told before any right is needed.
    template(&text, [0; 6])?;
    if args.filter.is_empty()
        && args.filters.display_filter.is_none()
        && args.filters.filter_file.is_none()
    {
        let what = "without a filter every packet would be answered: respond udp port 7 -- SPEC";
        return Err(usage(what));
    }
    let recorder = match &args.write {
        Some(path) => Some(Recorder::create(path, args.force, true)?),
        None => None,
    };
    let name = interface(&args, filters.selection.filter().loopback(), global)?;
    let route = KernelRoute::open().map_err(permission::of_probe)?;
    let device = route.device(&name).map_err(permission::of_probe)?;
    let ear = Ear::open(&Hearing {
        frames_of: Some(name.clone()),
        ..Hearing::default()
    });
    let ear = ear.map_err(permission::of_probe)?;
    let _promiscuous = match args.no_promiscuous_mode || device.is_loopback() {
        true => None,
        false => Some(promiscuous(&name, device.index)?),
    };
    let template = template(&text, device.mac.unwrap_or_default())?;
    let route = match template.link() {
        // Frames leave where the question was heard, whatever the routes say.
        Some(LinkType::ETHERNET) => KernelRoute::through(&name).map_err(permission::of_probe)?,
        _ => route,
    };
    let outlets = Outlets::open(&template, &name, &route)?;
    global.talk(format_args!(
        "hearing on {name}, answering by {}; Ctrl-C ends",
        outlets.describe()
    ));
    // Every socket and file is open.
    privilege::give_up(global)?;
    let interfaces = [Arc::new(Interface {
        name: Some(name),
        description: None,
        link: LinkType::ETHERNET,
        snaplen: 0,
        filter: None,
    })];
    let plan = Plan {
        packets: 1,
        counted: true,
        rate: Rate::PerSecond(args.rate),
        really: args.yes_really,
    };
    let mut machine = Machine {
        sifter: filters.selection.sifter(),
        display: filters.display,
        decoder: Decoder::default(),
        decoded: Decoded::default(),
        tracker: Tracker::default(),
        interfaces,
        template,
        built: Built::default(),
        answer: Decoded::default(),
        guard: Guard::default(),
        bucket: Bucket::new(args.rate),
        clock: Clock::start(),
        judge: Judge::new(route.clone(), plan),
        route,
        outlets,
        telling: Telling {
            recorder,
            lines: lines(global),
            output: Output::stdout(global.ascii)?,
            global: global.clone(),
        },
        tally: Tally::default(),
    };
    let heard = machine.listen(ear, args.count);
    if args.count.is_none() && machine.tally.sent >= USUAL_PACKETS {
        global.talk(format_args!(
            "{USUAL_PACKETS} packets are the most without being asked: -c N allows N answers"
        ));
    }
    machine.tally.say(global);
    if let Some(recorder) = machine.telling.recorder.take() {
        recorder.finish()?;
    }
    heard
}

/// Reads the answer, with the interface's own address in it.
fn template(text: &str, mac: [u8; 6]) -> Result<Template, Failure> {
    let text = text.replace("{if.mac}", &Mac(mac).to_string());
    let template = Template::parse(&text, &Disk);
    let template = template.map_err(|error| Failure::new(Exit::Usage, error))?;
    if template.spec().count() > MOST {
        let what = format!("an answer of more than {MOST} packets: shorter lists make fewer");
        return Err(usage(what));
    }
    Ok(template)
}

fn interface(args: &Args, loopback: Option<IpAddr>, global: &Global) -> Result<String, Failure> {
    if let Some(name) = &args.interface {
        return Ok(name.clone());
    }
    let choice = capture::choose(Purpose::Packets, loopback);
    match choice.interfaces.as_slice() {
        [name] if name != capture::ANY => {
            global.talk(format_args!("hearing on {}", choice.reason));
            Ok(name.clone())
        }
        _ => Err(usage(
            "say on which interface to hear: -i IF (sockwire interfaces lists them)",
        )),
    }
}

/// Makes the interface accept frames for other hosts, as long as the socket lives.
fn promiscuous(name: &str, index: u32) -> Result<PacketSocket, Failure> {
    let opened = PacketSocket::open(Layer::Link)
        .and_then(|socket| socket.promiscuous(index).map(|()| socket));
    opened.map_err(|error| {
        permission::of_probe(ProbeError::io(format!("make {name} promiscuous"), error))
    })
}

fn lines(global: &Global) -> Lines {
    Lines::new(Options {
        time: TimeForm::Relative,
        nano: false,
        zone: TimeZone::system(),
        link_header: false,
        ascii: global.ascii,
        palette: output::palette(global),
        line: LineOptions::default(),
    })
}

/// The sockets by which answers leave, opened before the first packet is heard.
enum Outlets {
    /// Whole frames.
    Frames(Box<Outlet>),
    /// IPv4 packets that the kernel routes, and IPv6 ones.
    Routed(Box<[Option<Outlet>; 2]>),
}

impl Outlets {
    fn open(template: &Template, name: &str, route: &KernelRoute) -> Result<Self, Failure> {
        let open = |text: &str, via| {
            let spec = Spec::parse(text, &NoFiles);
            let spec = spec.map_err(|error| Failure::new(Exit::Usage, error))?;
            let mut built = Built::default();
            spec.build(0, &NoRoute, &mut built);
            let link = spec.link().unwrap_or(LinkType::RAW);
            Outlet::open(&built.packet(link), &via, route).map_err(permission::of_probe)
        };
        match template.link() {
            Some(LinkType::ETHERNET) => {
                let outlet = open("eth / hex=00", Via::Packet(Some(name.to_owned())))?;
                Ok(Self::Frames(Box::new(outlet)))
            }
            Some(LinkType::RAW) => {
                let v4 = open("ip src=127.0.0.1 dst=127.0.0.1 / hex=00", Via::RawIp)?;
                let v6 = open(
                    "link=RAW / hex=6000000000003b40000000000000000000000000000000010000000000000000000000000000000001",
                    Via::RawIp,
                );
                Ok(Self::Routed(Box::new([Some(v4), v6.ok()])))
            }
            _ => Err(usage("an answer begins with eth, ip or ip6")),
        }
    }

    fn describe(&self) -> String {
        match self {
            Self::Frames(outlet) => outlet.describe(),
            Self::Routed(_) => "raw IP sockets".to_owned(),
        }
    }

    fn send(&mut self, bytes: &[u8]) -> Result<(), ProbeError> {
        let v6 = bytes.first().is_some_and(|first| first >> 4 == 6);
        match self {
            Self::Frames(outlet) => outlet.send(bytes),
            Self::Routed(outlets) => match &mut outlets[usize::from(v6)] {
                Some(outlet) => outlet.send(bytes),
                None => Err(ProbeError::Unsendable("there is no IPv6 here".to_owned())),
            },
        }
    }
}

/// What became of the packets that were heard.
#[derive(Default)]
struct Tally {
    heard: u64,
    other: u64,
    own: u64,
    answered: u64,
    /// Packets of the answers.
    sent: u64,
    slow: u64,
    unanswered: Reasons,
}

impl Tally {
    fn say(&self, global: &Global) {
        let mut text = format!("{} heard = {} answered", self.heard, self.answered);
        for (count, what) in [
            (self.other, "of others"),
            (self.own, "of our own"),
            (self.slow, "over the rate (--rate N allows more)"),
        ] {
            if count > 0 {
                text.push_str(&format!(" + {count} {what}"));
            }
        }
        self.unanswered.say("unanswered", &mut text);
        global.talk(text);
    }
}

/// Prints or records what was heard and answered.
struct Telling {
    recorder: Option<Recorder>,
    lines: Lines,
    output: Output,
    global: Global,
}

impl Telling {
    fn tell(&mut self, packet: &Packet<'_>, interfaces: &[Arc<Interface>]) -> Result<(), Failure> {
        if let Some(recorder) = &mut self.recorder {
            return Ok(recorder.write(&packet.frame, interfaces)?);
        }
        if !self.global.quiet {
            self.lines.packet(packet, None, &mut self.output.text);
            self.output.flush()?;
        }
        Ok(())
    }
}

/// Hears, chooses, answers.
struct Machine {
    sifter: Sifter,
    display: Option<DisplayFilter>,
    decoder: Decoder,
    decoded: Decoded,
    tracker: Tracker,
    interfaces: [Arc<Interface>; 1],
    template: Template,
    built: Built,
    answer: Decoded,
    guard: Guard,
    bucket: Bucket,
    clock: Clock,
    route: KernelRoute,
    judge: Judge,
    outlets: Outlets,
    telling: Telling,
    tally: Tally,
}

impl Machine {
    fn listen(&mut self, mut ear: Ear, count: Option<u64>) -> Outcome {
        /// Ctrl-C is looked for again by then.
        const LOOK: i64 = SECOND / 5;
        let stop = Stop::install()?;
        let is_over = |tally: &Tally| match count {
            Some(count) => tally.answered >= count,
            None => tally.sent >= USUAL_PACKETS,
        };
        while !stop.asked() && !is_over(&self.tally) {
            let until = ear.now().plus(LOOK);
            let Some(heard) = ear.next(until).map_err(permission::of_probe)? else {
                continue;
            };
            self.tally.heard += 1;
            let record = Record {
                time: heard.time,
                link: heard.link,
                interface: 0,
                direction: Direction::In,
                checksum: KernelChecksum::Unknown,
                wire_len: heard.bytes.len() as u32,
                start: 0,
                len: heard.bytes.len() as u32,
            };
            let Some(frame) = record.frame(heard.bytes, self.tally.heard) else {
                continue;
            };
            let takes = self.sifter.takes(&frame);
            if !takes.map_err(|error| Failure::new(Exit::Usage, error))? {
                self.tally.other += 1;
                continue;
            }
            let batch = Batch::owned(heard.bytes.to_vec(), vec![record], self.tally.heard);
            self.heard(&batch)?;
        }
        Ok(Exit::Done)
    }

    /// A packet that the capture filter took.
    fn heard(&mut self, batch: &Batch) -> Result<(), Failure> {
        let mut decoded = std::mem::take(&mut self.decoded);
        self.decoder.batch(batch, &mut decoded);
        if self.display.is_some() {
            self.tracker.packet(&self.decoder, batch, &mut decoded, 0);
        }
        let around = Around::of(&self.interfaces, batch, 0);
        let packet = decoded.packet(batch, 0);
        let wanted = packet.filter(|packet| {
            let display = self.display.as_ref();
            display.is_none_or(|display| display.matches(packet, &around))
        });
        let done = match wanted {
            None => {
                self.tally.other += 1;
                Ok(())
            }
            Some(packet) if self.guard.is_own(&packet) => {
                self.tally.own += 1;
                Ok(())
            }
            Some(packet) => self.reply(&packet),
        };
        self.decoded = decoded;
        done
    }

    fn reply(&mut self, packet: &Packet<'_>) -> Result<(), Failure> {
        let time = packet.frame.time;
        if let Err(unfit) = self.template.fill(packet) {
            self.tally.unanswered.count(&unfit.to_string());
            return Ok(());
        }
        // A list can also come out of a packet.
        let packets = self.template.spec().count().min(MOST);
        if !self.bucket.take(time, packets) {
            self.tally.slow += 1;
            return Ok(());
        }
        self.telling.tell(packet, &self.interfaces)?;
        for n in 0..packets {
            self.template.spec().build(n, &self.route, &mut self.built);
            if !self.send()? {
                return Ok(());
            }
            self.tally.sent += 1;
        }
        self.tally.answered += 1;
        Ok(())
    }

    /// Sends what was built; false when it could not leave, which is counted.
    fn send(&mut self) -> Result<bool, Failure> {
        let bytes = &self.built.bytes;
        let frame = Frame {
            number: self.tally.heard,
            time: self.clock.now(),
            direction: Direction::Out,
            ..Frame::whole(self.template.link().unwrap_or(LinkType::RAW), bytes)
        };
        self.answer.clear();
        self.decoder.frame(&frame, &mut self.answer);
        let Some(packet) = self.answer.packet_of(frame, 0) else {
            return Ok(false);
        };
        if let Err(why) = self.judge.check(&frame) {
            self.tally.unanswered.count(&why.to_string());
            return Ok(false);
        }
        // Before it leaves: on loopback it is heard at once.
        self.guard.sent(&packet);
        if let Err(error) = self.outlets.send(bytes) {
            self.tally.unanswered.count(&error.to_string());
            return Ok(false);
        }
        self.telling.tell(&packet, &self.interfaces)?;
        Ok(true)
    }
}
