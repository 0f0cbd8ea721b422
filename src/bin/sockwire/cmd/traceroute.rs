//! `traceroute`: the routers on the way to a host, by probes whose TTL runs out there.

mod telling;

use std::net::{IpAddr, SocketAddr, ToSocketAddrs};

use anyhow::anyhow;
use sockwire::{
    craft::{Built, NoFiles, Route, Spec},
    decode::{Decoded, Decoder},
    frame::{Direction, Frame},
    link::LinkType,
    probe::{
        Ear, Hearing, Hush, Judge, KernelRoute, Outlet, ProbeError, Via,
        ask::Question,
        limits::{Plan as Limit, Rate, Refusal, USUAL_RATE},
        traceroute::{Plan, Trace},
    },
    protocol::Ask,
    sys::signal::Stop,
    time::SECOND,
};

use self::telling::Telling;
use super::{Exit, Failure, Global, Outcome, number, permission, privilege, seconds, usage};

const EXAMPLES: &str = "\
Examples:
  sudo sockwire traceroute 10.0.9.9              datagrams to ports from 33434 on, like the classic
  sudo sockwire traceroute --tcp -p 443 host     SYNs: they pass where datagrams are dropped
  sudo sockwire traceroute --icmp -6 host        echo requests over IPv6
  sudo sockwire traceroute -n -q 1 host --json   no names, one probe a hop, for scripts
";

/// Find the routers on the way to a host: what each answers, how soon, and what it quotes of the probe
///
/// Several TTLs are under way at once, 100 probes a second, each told apart by its ports (or sequence number) and its
/// identification. It ends when the destination, or a router that cannot go on, has answered.
#[derive(clap::Args)]
#[command(before_help = EXAMPLES)]
pub(crate) struct Args {
    /// A name or an address
    host: String,
    /// Probes are datagrams to ports where nobody listens, it is hoped: the default
    #[arg(long, conflicts_with_all = ["tcp", "icmp"])]
    udp: bool,
    /// Probes are TCP SYNs
    #[arg(long, conflicts_with = "icmp")]
    tcp: bool,
    /// Probes are ICMP echo requests
    #[arg(long)]
    icmp: bool,
    /// The port: of TCP, 80 unless given; of UDP, the first of many, 33434 unless given
    #[arg(short = 'p', long, value_name = "PORT", value_parser = number::<u16>(1..=60_000, "-p 443"), conflicts_with = "icmp")]
    port: Option<u16>,
    /// Probes a hop
    #[arg(short = 'q', long, value_name = "N", default_value_t = 3, value_parser = number::<u8>(1..=10, "-q 1"))]
    queries: u8,
    /// The first TTL
    #[arg(short = 'f', long, value_name = "TTL", default_value_t = 1, value_parser = number::<u8>(1..=255, "-f 3"))]
    first: u8,
    /// The last TTL
    #[arg(short = 'm', long, value_name = "TTL", default_value_t = 30, value_parser = number::<u8>(1..=255, "-m 15"))]
    max: u8,
    /// Seconds to wait for an answer
    #[arg(long, value_name = "S", default_value = "2", value_parser = seconds)]
    timeout: i64,
    /// Over IPv4
    #[arg(short = '4', long, conflicts_with = "ipv6")]
    ipv4: bool,
    /// Over IPv6
    #[arg(short = '6', long)]
    ipv6: bool,
    /// Sends by this interface
    #[arg(short = 'i', long, value_name = "IF")]
    interface: Option<String>,
    /// Addresses as numbers; names are asked of the resolver
    #[arg(short = 'n', long)]
    numeric: bool,
    /// One JSON object a hop
    #[arg(long)]
    json: bool,
}

/// What the probes are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Udp(u16),
    Tcp(u16),
    Icmp,
}

impl Args {
    fn kind(&self) -> Kind {
        match (self.tcp, self.icmp) {
            (true, _) => Kind::Tcp(self.port.unwrap_or(80)),
            (_, true) => Kind::Icmp,
            _ => Kind::Udp(self.port.unwrap_or(33_434)),
        }
    }

    /// The first address of the host that is asked for.
    fn target(&self) -> Result<IpAddr, Failure> {
        let host = self.host.trim_matches(['[', ']']);
        let found = (host, 0).to_socket_addrs().map_err(|error| {
            Failure::new(
                Exit::NoSuch,
                anyhow!("cannot find the host {host:?}: {error}"),
            )
        })?;
        let wanted = |address: &IpAddr| match (self.ipv4, self.ipv6) {
            (true, _) => address.is_ipv4(),
            (_, true) => address.is_ipv6(),
            _ => true,
        };
        let mut addresses = found.map(|socket| socket.ip());
        addresses.find(wanted).ok_or_else(|| {
            let version = if self.ipv6 { "IPv6" } else { "IPv4" };
            Failure::new(
                Exit::NoSuch,
                anyhow!("the host {host:?} has no {version} address"),
            )
        })
    }
}

/// The probes of a run.
#[derive(Clone, Copy, Debug)]
struct Probes {
    target: IpAddr,
    kind: Kind,
    /// Our port, or identifier.
    own: u16,
    /// The identification of the first.
    id: u16,
}

impl Probes {
    /// Probe `number` in the notation of crafting.
    fn spec(&self, number: u64, ttl: u8) -> String {
        let Self { target, own, .. } = *self;
        let number = number as u16;
        let network = match target {
            IpAddr::V4(_) => {
                format!(
                    "ip dst={target} ttl={ttl} id={}",
                    self.id.wrapping_add(number)
                )
            }
            IpAddr::V6(_) => format!("ip6 dst={target} hlim={ttl}"),
        };
        let inside = match (self.kind, target) {
            (Kind::Udp(port), _) => {
                format!(
                    "udp sport={own} dport={} / zeros=32",
                    port.saturating_add(number)
                )
            }
            (Kind::Tcp(port), _) => {
                format!("tcp sport={} dport={port} flags=S mss=1460", own + number)
            }
            (Kind::Icmp, IpAddr::V4(_)) => {
                format!("icmp type=8 id={own} seq={} / zeros=32", number + 1)
            }
            (Kind::Icmp, IpAddr::V6(_)) => {
                format!("icmp6 type=128 id={own} seq={} / zeros=32", number + 1)
            }
        };
        format!("{network} / {inside}")
    }

    fn build(
        &self,
        number: u64,
        ttl: u8,
        route: &KernelRoute,
        built: &mut Built,
    ) -> Result<(), Failure> {
        let spec = Spec::parse(&self.spec(number, ttl), &NoFiles);
        let spec = spec.map_err(|error| Failure::new(Exit::Usage, error))?;
        spec.build(0, route, built);
        Ok(())
    }

    fn hearing(&self, count: u64) -> Hearing {
        let errors = if self.target.is_ipv4() { 1 } else { 58 };
        let (protocol, ports) = match self.kind {
            Kind::Udp(_) => (17, vec![self.own]),
            Kind::Tcp(_) => (6, (0..count as u16).map(|n| self.own + n).collect()),
            Kind::Icmp => (errors, Vec::new()),
        };
        let mut protocols = vec![errors, protocol];
        protocols.dedup();
        let mut hearing = Hearing {
            ports,
            ..Hearing::default()
        };
        match self.target {
            IpAddr::V4(_) => hearing.v4 = protocols,
            IpAddr::V6(_) => hearing.v6 = protocols,
        }
        hearing
    }
}

/// Runs the command.
pub(crate) fn run(args: Args, global: &Global) -> Outcome {
    if args.first > args.max {
        let (first, max) = (args.first, args.max);
        return Err(usage(format!(
            "-f {first} is beyond the last TTL, -m {max}"
        )));
    }
    let target = args.target()?;
    let route = KernelRoute::by(args.interface.as_deref()).map_err(permission::of_probe)?;
    let count = (u64::from(args.max - args.first) + 1) * u64::from(args.queries);
    let random = |ask| route.number(ask).unwrap_or(1) as u16;
    let probes = Probes {
        target,
        kind: args.kind(),
        own: match args.kind() {
            Kind::Icmp => random(Ask::Ident),
            Kind::Udp(_) => random(Ask::Port),
            // One port a probe, from here on.
            Kind::Tcp(_) => random(Ask::Port).min(u16::MAX - count as u16),
        },
        // Never zero, which the kernel would fill in.
        id: random(Ask::Ident).clamp(1, u16::MAX - count as u16),
    };
    let mut built = Built::default();
    probes.build(0, args.first, &route, &mut built)?;
    let limit = Limit {
        packets: count,
        counted: false,
        rate: Rate::PerSecond(USUAL_RATE),
        really: false,
    };
    let first = built.packet(LinkType::RAW);
    let mut judge = Judge::new(route.clone(), limit);
    match judge.check(&first.frame) {
        // Nothing lifts this.
        Err(ProbeError::Refused(Refusal::Everyone(to, scope))) => {
            return Err(usage(format!("{to} is {scope}: a way leads to one host")));
        }
        checked => checked.map_err(permission::of_probe)?,
    }
    let mut ear = Ear::open(&probes.hearing(count)).map_err(permission::of_probe)?;
    let mut outlet = Outlet::open(&first, &Via::Fitting, &route).map_err(permission::of_probe)?;
    // A program that answers a datagram is not to be told that nobody wanted it.
    let own = route
        .source(target)
        .filter(|_| matches!(probes.kind, Kind::Udp(_)));
    let _hush = own.and_then(|own| Hush::udp(SocketAddr::new(own, probes.own)).ok());
    let plan = Plan {
        first: args.first,
        last: args.max,
        probes: args.queries,
        interval: (SECOND as f64 / USUAL_RATE) as i64,
        timeout: args.timeout,
        id: probes.id,
    };
    let source = route.source(target);
    let mut telling = Telling::new(&args, &probes, (source, &outlet.device().name), global)?;
    let stop = Stop::install()?;
    // Every socket is open.
    privilege::give_up(global)?;
    let (decoder, mut decoded) = (Decoder::default(), Decoded::default());
    let mut trace = Trace::new(plan, ear.now());
    while !trace.is_done() && !stop.asked() {
        while let Some(number) = trace.due(ear.now()) {
            probes.build(number, trace.ttl(number), &route, &mut built)?;
            let sent = ear.now();
            outlet.send(&built.bytes).map_err(permission::of_probe)?;
            trace.sent(Question {
                number,
                bytes: built.bytes.clone(),
                layers: built.layers.clone(),
                link: LinkType::RAW,
                sent,
                tries: 1,
            });
        }
        telling.hops(&trace)?;
        if trace.is_done() {
            break;
        }
        let Some(heard) = ear.next(trace.until()).map_err(permission::of_probe)? else {
            continue;
        };
        let frame = Frame {
            time: heard.time,
            direction: Direction::In,
            ..Frame::whole(heard.link, heard.bytes)
        };
        decoded.clear();
        decoder.frame(&frame, &mut decoded);
        if let Some(packet) = decoded.packet_of(frame, 0) {
            trace.heard(&packet, heard.stamp);
        }
    }
    telling.finish(&trace, stop.asked())
}
