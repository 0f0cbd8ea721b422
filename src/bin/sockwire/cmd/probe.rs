//! `probe`: asks with packets, and says what the answers mean.

mod telling;

use std::{cell::Cell, net::SocketAddr, path::PathBuf};

use anyhow::anyhow;
use sockwire::{
    craft::{Built, Route, Spec, answers::Answer},
    decode::{Decoded, Decoder},
    frame::{Direction, Frame, KernelChecksum},
    layer::Packet,
    link::LinkType,
    probe::{
        Ear, Hearing, Hush, Judge, KernelRoute, Outlet, Stamp, Via,
        ask::{Asking, Due, Pace, Question},
        changed_by_raw,
        limits::{Plan, Rate, USUAL_RATE},
    },
    protocol::{Ask, Claim},
    sys::signal::Stop,
    time::{SECOND, Time},
};

pub(super) use self::telling::Millis;
use self::telling::Telling;
use super::{
    Exit, Failure, Global, Numeric, Outcome, craft::specs::spec, number, permission, privilege,
};

const EXAMPLES: &str = "\
Examples:
  sudo sockwire probe ip dst=10.0.0.2 / tcp dport=80 flags=S      is port 80 open?
  sudo sockwire probe ip dst=10.0.0.2 / tcp dport=20..25          one row a port
  sudo sockwire probe ip dst=10.0.0.2 / icmp type=8 -c 3          like ping
  sudo sockwire probe ip dst=10.0.0.2 ttl=1..4 / udp dport=33434  who is on the way
  sudo sockwire probe eth dst=ff:ff:ff:ff:ff:ff / arp pdst=10.0.0.2 -i eth0
  sudo sockwire probe ip6 dst=fd00::2 / udp dport=53 --json
";

/// Send packets made from words, and print the replies: what they say, how long they took, what they mean
#[derive(clap::Args)]
#[command(before_help = EXAMPLES)]
pub(crate) struct Args {
    /// The packets, layer by layer: ip dst=10.0.0.2 / tcp dport=80 flags=S; lists and ranges make several
    #[arg(value_name = "SPEC", required = true)]
    words: Vec<String>,
    /// Asks this often
    #[arg(short = 'c', long, value_name = "N", value_parser = number::<u64>(1..=1_000_000_000, "-c 3"))]
    count: Option<u64>,
    /// Seconds from one asking to the next, with -c
    #[arg(long, value_name = "S", default_value = "1", value_parser = seconds)]
    interval: i64,
    /// Seconds to wait for an answer
    #[arg(long, value_name = "S", default_value = "2", value_parser = seconds)]
    timeout: i64,
    /// Asks again this often where no answer came
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = number::<u32>(0..=100, "--retry 2"))]
    retry: u32,
    /// Packets a second, of a list or range
    #[arg(long, value_name = "N", default_value_t = USUAL_RATE, value_parser = rate)]
    rate: f64,
    /// Sends by this interface
    #[arg(short = 'i', long, value_name = "IF")]
    interface: Option<String>,
    /// Records what was sent and what was heard: .pcap writes pcap, other names pcapng; a new file is readable by you only
    #[arg(short = 'w', long, value_name = "FILE")]
    write: Option<PathBuf>,
    /// Lets -w replace a file
    #[arg(long)]
    force: bool,
    /// Adds every field: of what is sent, with where its value comes from, and of the answers
    #[arg(short = 'v', long)]
    verbose: bool,
    /// One JSON object a question
    #[arg(long, conflicts_with = "verbose")]
    json: bool,
    /// Sends what is refused without this: a foreign source, a broadcast, out of reach of loopback and private networks
    #[arg(long)]
    yes_really: bool,
    #[command(flatten)]
    numeric: Numeric,
}

/// Seconds as nanoseconds.
pub(super) fn seconds(text: &str) -> Result<i64, String> {
    match text.parse::<f64>() {
        Ok(seconds) if (0.0..=86_400.0).contains(&seconds) => Ok((seconds * SECOND as f64) as i64),
        _ => Err("expected a number of seconds from 0 to 86400, such as 0.5".to_owned()),
    }
}

fn rate(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(rate) if (0.001..=1_000_000.0).contains(&rate) => Ok(rate),
        _ => Err("expected packets a second from 0.001 to 1000000, such as 50".to_owned()),
    }
}

/// The kernel's word, with other numbers in each round, so that late answers are not taken for those of the next.
struct Round<'a> {
    route: &'a KernelRoute,
    round: Cell<u64>,
}

impl Route for Round<'_> {
    fn source(&self, destination: std::net::IpAddr) -> Option<std::net::IpAddr> {
        self.route.source(destination)
    }

    fn macs(&self, destination: std::net::IpAddr) -> Option<([u8; 6], [u8; 6])> {
        self.route.macs(destination)
    }

    fn source_mac(&self, destination: Option<std::net::IpAddr>) -> Option<[u8; 6]> {
        self.route.source_mac(destination)
    }

    fn number(&self, ask: Ask) -> Option<u64> {
        let first = self.route.number(ask)?;
        let round = self.round.get();
        Some(match ask {
            Ask::Isn => first.wrapping_add(round.wrapping_mul(0x10001)) & 0xffff_ffff,
            Ask::Ident => first.wrapping_add(round) & 0xffff,
            _ => first,
        })
    }
}

/// Sockets of datagrams that are kept from being refused by the own kernel: more would want too many files.
const HUSHED: usize = 100;

/// What is known of all packets before the first leaves.
#[derive(Default)]
struct Survey {
    hearing: Hearing,
    /// Where datagrams come from.
    senders: Vec<SocketAddr>,
    /// Columns of the longest words about what varies.
    varied: usize,
    /// A packet that no raw IP socket would keep as it is; else the first.
    sample: u64,
    found_one: bool,
    tunnels: bool,
}

impl Survey {
    fn packet(&mut self, number: u64, packet: &Packet<'_>) {
        if !self.found_one && changed_by_raw(packet.frame.bytes).is_some() {
            (self.sample, self.found_one) = (number, true);
        }
        let version = packet.frame.bytes.first().map_or(0, |first| first >> 4);
        let mut networks = 0;
        for view in packet.views() {
            let protocol = view.layer.protocol;
            networks += u32::from(protocol.addresses.is_some());
            match protocol.name {
                "ip" => self.hear(version, view.u8(9)),
                "ipv6" => self.hear(version, view.u8(6)),
                "tcp" | "udp" | "udplite" => {
                    let port = view.u16(0).unwrap_or(0);
                    if self.hearing.ports.last() != Some(&port) {
                        self.hearing.ports.push(port);
                    }
                    let sender = packet.views().find_map(|view| view.addresses());
                    let sender = sender.map(|ends| SocketAddr::new(ends.0, port));
                    if protocol.name == "udp" && self.senders.len() < HUSHED && port != 0 {
                        let new = sender.filter(|sender| !self.senders.contains(sender));
                        self.senders.extend(new);
                    }
                }
                _ => {}
            }
            // Behind extension headers, and in tunnels, the header's own number says less.
            for claim in protocol.claims.iter().filter(|_| view.index > 0) {
                if let Claim::IpProto(number) = claim {
                    self.hear(version, Some(*number));
                }
            }
        }
        self.tunnels |= networks > 1;
        self.hear(version, Some(if version == 6 { 58 } else { 1 }));
    }

    fn hear(&mut self, version: u8, protocol: Option<u8>) {
        let list = match version {
            6 => &mut self.hearing.v6,
            _ => &mut self.hearing.v4,
        };
        list.extend(protocol.filter(|protocol| !list.contains(protocol)));
    }

    /// What to listen for.
    fn hearing(&mut self) -> &Hearing {
        self.hearing.ports.sort_unstable();
        self.hearing.ports.dedup();
        if self.tunnels {
            self.hearing.ports.clear();
        }
        &self.hearing
    }
}

/// Runs the command.
pub(crate) fn run(args: Args, global: &Global) -> Outcome {
    let usage = |error: anyhow::Error| Failure::new(Exit::Usage, error);
    let spec = spec(&args.words.join(" "))?;
    let link = spec.link().ok_or_else(|| {
        usage(anyhow!(
            "a packet that is sent begins with eth, ip or ip6: ip dst=10.0.0.2 / …"
        ))
    })?;
    let rounds = args.count.unwrap_or(1);
    let plan = Plan {
        packets: spec.count().saturating_mul(rounds),
        counted: args.count.is_some(),
        rate: Rate::PerSecond(args.rate),
        really: args.yes_really,
    };
    plan.check().map_err(|refusal| usage(refusal.into()))?;
    let route = match &args.interface {
        Some(name) => KernelRoute::through(name),
        None => KernelRoute::open(),
    };
    let route = route.map_err(permission::of_probe)?;
    let mut judge = Judge::new(route.clone(), plan);
    let route = Round {
        route: &route,
        round: Cell::new(0),
    };
    let mut built = Built::default();
    let mut survey = Survey::default();
    for number in 0..spec.count() {
        spec.build(number, &route, &mut built);
        let packet = built.packet(link);
        judge.check(&packet.frame).map_err(permission::of_probe)?;
        survey.packet(number, &packet);
        let words = spec.varied(&built).into_iter();
        let widths = words.map(|(word, value)| (word.len(), value.to_string().len()));
        let widths = widths.fold((0, 0), |sum, more| (sum.0 + 1 + more.0, sum.1 + 1 + more.1));
        survey.varied = survey.varied.max(widths.0).max(widths.1);
    }
    // A port that no program has would answer the reply with an error. One that is taken, or not ours, is left alone.
    let senders = survey.senders.iter();
    let hushes: Vec<Hush> = senders.filter_map(|own| Hush::udp(*own).ok()).collect();
    let is_ip = matches!(link, LinkType::RAW | LinkType::IPV4 | LinkType::IPV6);
    // The kernel begins to stamp a moment after the first socket asks: that one is opened first.
    let early = is_ip.then(|| Ear::open(survey.hearing())).transpose();
    let early = early.map_err(permission::of_probe)?;
    spec.build(survey.sample, &route, &mut built);
    let via = Via::Fitting;
    let outlet =
        Outlet::open(&built.packet(link), &via, route.route).map_err(permission::of_probe)?;
    let ear = match early {
        Some(ear) => ear,
        None => Ear::open(&Hearing {
            frames_of: Some(outlet.device().name.clone()),
            ..Hearing::default()
        })
        .map_err(permission::of_probe)?,
    };
    let device = (link, outlet.device().name.as_str());
    let telling = Telling::new(&args, &spec, device, survey.varied, global)?;
    let stop = Stop::install()?;
    // Every socket and file is open.
    privilege::give_up(global)?;
    let pace = Pace {
        total: plan.packets,
        interval: (SECOND as f64 / args.rate) as i64,
        round: spec.count(),
        pause: args.interval,
        timeout: args.timeout,
        retry: args.retry,
    };
    let asking = Asking::new(pace, ear.now());
    Run {
        spec,
        link,
        route,
        outlet,
        ear,
        asking,
        telling,
        built,
        _hushes: hushes,
    }
    .run(stop)
}

/// Everything that is open.
struct Run<'a> {
    spec: Spec,
    link: LinkType,
    route: Round<'a>,
    outlet: Outlet,
    ear: Ear,
    asking: Asking,
    telling: Telling,
    built: Built,
    /// Open as long as answers may come.
    _hushes: Vec<Hush>,
}

impl Run<'_> {
    fn run(mut self, stop: Stop) -> Outcome {
        let (decoder, mut decoded) = (Decoder::default(), Decoded::default());
        loop {
            if stop.asked() {
                // The answers that are under way are no longer waited for.
                return self.telling.finish(true);
            }
            while let Some(due) = self.asking.due(self.ear.now()) {
                self.act(due)?;
            }
            if self.asking.is_done() {
                break;
            }
            let heard = self
                .ear
                .next(self.asking.until())
                .map_err(permission::of_probe)?;
            let Some(heard) = heard else {
                continue;
            };
            let frame = Frame {
                number: self.telling.next_number(),
                time: heard.time,
                link: heard.link,
                interface: 0,
                direction: Direction::In,
                checksum: KernelChecksum::Unknown,
                wire_len: heard.bytes.len() as u32,
                bytes: heard.bytes,
            };
            decoded.clear();
            decoder.frame(&frame, &mut decoded);
            let Some(packet) = decoded.packet_of(frame, 0) else {
                continue;
            };
            if let Some((question, answer)) = self.asking.heard(&packet) {
                self.telling
                    .answered(&self.spec, &question, &packet, &answer, heard.stamp)?;
            }
        }
        self.telling.finish(false)
    }

    fn act(&mut self, due: Due) -> Result<(), Failure> {
        match due {
            Due::New(number) => {
                self.route.round.set(number / self.spec.count().max(1));
                self.spec.build(
                    number % self.spec.count().max(1),
                    &self.route,
                    &mut self.built,
                );
                let question = Question {
                    number,
                    bytes: self.built.bytes.clone(),
                    layers: self.built.layers.clone(),
                    link: self.link,
                    sent: self.ear.now(),
                    tries: 1,
                };
                self.outlet
                    .send(&question.bytes)
                    .map_err(permission::of_probe)?;
                let shown = self.telling.is_verbose();
                let marks = shown.then(|| self.spec.marks(&self.route, &self.built));
                self.telling.sent(&question, marks.as_deref())?;
                self.asking.asked(question);
            }
            Due::Again(number) => {
                let now = self.ear.now();
                if let Some(question) = self.asking.asked_again(number, now) {
                    self.outlet
                        .send(&question.bytes)
                        .map_err(permission::of_probe)?;
                    self.telling.sent(question, None)?;
                }
            }
            Due::Silent(number) => {
                if let Some(question) = self.asking.take(number) {
                    self.telling.silent(&self.spec, &question)?;
                }
            }
        }
        Ok(())
    }
}

/// How long an answer took, in nanoseconds.
fn round_trip(question: &Question, heard: Time) -> i64 {
    heard.since(question.sent).max(0)
}

/// Where the time of arrival is from, for people.
pub(super) fn whose(stamp: Stamp) -> &'static str {
    match stamp {
        Stamp::Kernel => "kernel",
        Stamp::Read => "read",
    }
}

/// Somebody answered, be it with an error.
type Answered<'a> = Option<(&'a Packet<'a>, &'a Answer, Stamp)>;
