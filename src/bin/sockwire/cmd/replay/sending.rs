//! The part of `replay` that needs sockets: packets made ready, judged, and sent when they are due.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use nix::sys::prctl;
use sockwire::{
    craft::{fragments, rewrite::Rewriter},
    decode::{Decoded, Decoder},
    frame::{Direction, Frame, Interface},
    layer::Packet,
    link::LinkType,
    probe::{
        Judge, KernelRoute, Outlet, ProbeError, Via, changed_by_raw,
        limits::{Plan, Rate, Refusal, USUAL_PACKETS, USUAL_RATE},
        replay::{Played, Reel, Speed, World, play},
    },
    sys::{
        clock::Clock,
        signal::{Stop, pause},
    },
    time::Time,
};

use super::{Args, From, Taken, again, ended};
use crate::cmd::{Failure, Global, Outcome, permission, pipeline::Recorder, privilege, usage};

/// The most bytes that are kept ready.
const LARGEST: usize = 1 << 30;

/// Runs the command.
pub(super) fn run(
    args: &Args,
    mut from: From,
    recorder: Option<Recorder>,
    global: &Global,
) -> Outcome {
    let route = KernelRoute::by(args.interface.as_deref()).map_err(permission::of_probe)?;
    // Loopback takes no frames for IP: they would be martians there.
    let without_link = route.interface().is_none_or(|device| device.is_loopback());
    // How many and how fast is known when the file was read.
    let plan = Plan {
        packets: 0,
        counted: args.count.is_some(),
        rate: Rate::PerSecond(USUAL_RATE),
        really: args.yes_really,
    };
    let mut ready = Ready {
        judge: Judge::new(route.clone(), plan),
        route,
        reel: Reel::default(),
        sockets: Vec::new(),
        decoder: Decoder::default(),
        decoded: Decoded::default(),
        corrected: 0,
        cut: args.mtu,
    };
    let rewriter = Rewriter::new(args.rewriting(without_link));
    let fault = from.each(rewriter, |frame, link, bytes| {
        let taken = ready.take(&again(frame, link, bytes))?;
        let is_last = args
            .count
            .is_some_and(|count| ready.reel.len() as u64 >= count);
        Ok(match taken {
            Taken::In if is_last => Taken::Last,
            taken => taken,
        })
    })?;
    from.tally.say(global);
    if ready.corrected > 0 {
        global.talk(format_args!(
            "note: the kernel corrects the headers of {} packets: loopback delivers IPv4 from raw IP sockets only",
            ready.corrected
        ));
    }
    let all = (ready.reel.len() as u64).saturating_mul(args.rounds);
    let total = args.count.map_or(all, |count| count.min(all));
    let whole = Plan {
        packets: total,
        rate: ready.reel.rate(total, args.speed()),
        ..plan
    };
    whole.check().map_err(|refusal| match refusal {
        Refusal::TooMany(n) => usage(format!(
            "these are {n} packets, and {USUAL_PACKETS} is the most without being asked: -c {n} sends them"
        )),
        refusal => usage(refusal),
    })?;
    let slow_enough = ready.judge.check_speed(&whole);
    slow_enough.map_err(usage)?;
    if total == 0 {
        return ended(&from.tally, fault);
    }
    let mut outlets = ready.open()?;
    for (_, outlet) in &mut outlets {
        if args.speed() == Speed::Max {
            outlet.hurry().map_err(permission::of_probe)?;
        }
        global.talk(format_args!("sending by {}", outlet.describe()));
    }
    // Every socket and file is open.
    privilege::give_up(global)?;
    play_all(
        &ready.reel,
        outlets,
        total,
        (args.speed(), recorder),
        global,
    )?;
    ended(&from.tally, fault)
}

/// Which packets share a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Share {
    /// Frames with their link header.
    Frames,
    /// IP packets that the kernel routes, by version.
    Routed(bool),
    /// IP packets that a raw IP socket would change, by interface.
    OnLink(u32),
}

/// A socket that is wanted, and a packet that it is for.
struct Wanted {
    share: Share,
    via: Via,
    link: LinkType,
    sample: Vec<u8>,
}

/// Packets as they are made ready, and what sockets they need.
struct Ready {
    route: KernelRoute,
    judge: Judge,
    reel: Reel,
    sockets: Vec<Wanted>,
    decoder: Decoder,
    decoded: Decoded,
    corrected: u64,
    /// Longer packets are cut into fragments.
    cut: Option<u32>,
}

impl Ready {
    fn take(&mut self, frame: &Frame<'_>) -> Result<Taken, Failure> {
        if self.reel.size() + frame.bytes.len() > LARGEST {
            let what = "the packets need more than 1 GiB: a filter or -c takes fewer of them";
            return Err(usage(what));
        }
        let mut decoded = std::mem::take(&mut self.decoded);
        decoded.clear();
        self.decoder.frame(frame, &mut decoded);
        let taken = match decoded.packet_of(*frame, 0) {
            Some(packet) => self.packet(&packet),
            None => Ok(Taken::In),
        };
        self.decoded = decoded;
        taken
    }

    fn packet(&mut self, packet: &Packet<'_>) -> Result<Taken, Failure> {
        let frame = &packet.frame;
        let is_frame = frame.link == LinkType::ETHERNET;
        // ARP stays on its link, whatever the addresses in it.
        let mut views = packet
            .views()
            .filter(|view| view.layer.protocol.name != "arp");
        let ends = views.find_map(|view| (view.layer.protocol.addresses?)(&view));
        let mut mtu = self.route.interface().map(|device| device.mtu);
        let mut share = Share::Frames;
        let mut via = Via::Packet(None);
        match self.judge.check(frame) {
            Err(error @ ProbeError::NoRoute(_)) => return Ok(Taken::Out(error.to_string())),
            judged => judged.map_err(permission::of_probe)?,
        }
        if let Some((_, destination)) = ends {
            let way = match self.route.way(destination) {
                Ok(way) => Some(way),
                // A frame stays on its link, whoever its packet is for.
                Err(ProbeError::NoRoute(_)) if is_frame => None,
                Err(error) => return Err(permission::of_probe(error)),
            };
            if let (Some(way), false) = (&way, is_frame) {
                let changed = changed_by_raw(frame.bytes).is_some();
                let lands_here = way.device.is_loopback();
                mtu = Some(way.mtu);
                (share, via) = match changed && !lands_here {
                    true => (Share::OnLink(way.device.index), Via::Fitting),
                    false => (Share::Routed(destination.is_ipv6()), Via::RawIp),
                };
                self.corrected += u64::from(changed && lands_here);
            }
        }
        let header = if is_frame { 14 + 4 * tags(packet) } else { 0 };
        let mtu = mtu.into_iter().chain(self.cut).min();
        let len = frame.bytes.len().saturating_sub(header);
        let limit = mtu.filter(|mtu| len > *mtu as usize);
        if let Some(mtu) = limit.filter(|_| self.cut.is_none()) {
            return Ok(Taken::Out(format!(
                "longer than {mtu} bytes, the MTU (--mtu {mtu} cuts into fragments what may be cut; a super-segment of an \
                 offloading interface is no packet: capture it with offloads off)"
            )));
        }
        let known = self.sockets.iter().position(|known| known.share == share);
        let outlet = match known {
            Some(known) => known,
            None => {
                if let (Share::Frames, Some(device)) = (share, self.route.interface()) {
                    via = Via::Packet(Some(device.name.clone()));
                }
                self.sockets.push(Wanted {
                    share,
                    via,
                    link: frame.link,
                    sample: frame.bytes.to_vec(),
                });
                self.sockets.len() - 1
            }
        };
        let outlet = u16::try_from(outlet).unwrap_or(u16::MAX);
        let Some(mtu) = limit else {
            self.reel.push(frame.bytes, frame.time, outlet);
            return Ok(Taken::In);
        };
        let (mut bytes, mut lengths) = (Vec::new(), Vec::new());
        let number = frame.number as u32;
        let cut = fragments(
            frame.bytes,
            header,
            mtu as usize,
            number,
            &mut bytes,
            &mut lengths,
        );
        if let Err(why) = cut {
            return Ok(Taken::Out(why.to_string()));
        }
        let mut rest = &bytes[..];
        for len in lengths {
            let (fragment, after) = rest.split_at(len as usize);
            rest = after;
            self.reel.push(fragment, frame.time, outlet);
        }
        Ok(Taken::In)
    }

    /// Opens the sockets, once nothing speaks against sending.
    fn open(&mut self) -> Result<Vec<(Share, Outlet)>, Failure> {
        let mut outlets = Vec::new();
        for wanted in &self.sockets {
            let frame = outgoing(&wanted.sample, (wanted.link, 0, Time::default()));
            self.decoded.clear();
            self.decoder.frame(&frame, &mut self.decoded);
            if let Some(packet) = self.decoded.packet_of(frame, 0) {
                let outlet = Outlet::open(&packet, &wanted.via, &self.route);
                outlets.push((wanted.share, outlet.map_err(permission::of_probe)?));
            }
        }
        for (packet, outlet) in self.reel.packets() {
            if let Some((_, outlet)) = outlets.get(usize::from(outlet)) {
                outlet.ask_ahead(packet);
            }
        }
        Ok(outlets)
    }
}

/// Sends the packets of `reel` when they are due, and tells the sum.
fn play_all(
    reel: &Reel,
    mut outlets: Vec<(Share, Outlet)>,
    total: u64,
    (speed, recorder): (Speed, Option<Recorder>),
    global: &Global,
) -> Result<(), Failure> {
    let interfaces = outlets.iter().map(|(share, outlet)| {
        Arc::new(Interface {
            name: Some(outlet.device().name.clone()),
            description: None,
            link: match share {
                Share::Frames => LinkType::ETHERNET,
                _ => LinkType::RAW,
            },
            snaplen: 0,
            filter: None,
        })
    });
    let mut wire = Wire {
        interfaces: interfaces.collect(),
        outlets: outlets.iter_mut().map(|(_, outlet)| outlet).collect(),
        start: Instant::now(),
        clock: Clock::start(),
        stop: Stop::install()?,
        recorder,
    };
    // Wakes at the time asked for, not up to 50 µs later.
    let _ = prctl::set_timerslack(1);
    let mut played = Played::default();
    let end = play(reel, total, speed, &mut wire, &mut played);
    if let Some(recorder) = wire.recorder.take() {
        recorder.finish()?;
    }
    global.talk(sum(&played, total, speed));
    end
}

/// VLAN tags of a frame.
fn tags(packet: &Packet<'_>) -> usize {
    let tags = packet.layers.iter().skip(1);
    let is_tag = |name: &str| matches!(name, "vlan" | "ieee8021ad");
    tags.take_while(|layer| is_tag(layer.protocol.name)).count()
}

/// The sum at the end.
fn sum(played: &Played, total: u64, speed: Speed) -> String {
    let seconds = played.took as f64 / 1e9;
    let mut text = format!(
        "{} of {total} sent, {} bytes in {seconds:.3} s",
        played.packets, played.bytes
    );
    if seconds > 0.0 && played.packets > 1 {
        let rate = played.packets as f64 / seconds;
        text.push_str(&format!(" ({rate:.0} packets/s)"));
    }
    if speed != Speed::Max && played.packets > 0 {
        let late = played.late as f64 / 1e6;
        text.push_str(&format!("; the latest left {late:.3} ms after its time"));
    }
    text
}

/// The sockets, and the clock that never jumps.
struct Wire<'a> {
    outlets: Vec<&'a mut Outlet>,
    interfaces: Vec<Arc<Interface>>,
    start: Instant,
    clock: Clock,
    stop: Stop,
    recorder: Option<Recorder>,
}

impl World for Wire<'_> {
    type Error = Failure;

    fn now(&mut self) -> i64 {
        i64::try_from(self.start.elapsed().as_nanos()).unwrap_or(i64::MAX)
    }

    fn wait(&mut self, until: i64) {
        let nanos = until.saturating_sub(self.now());
        pause(Duration::from_nanos(nanos.max(0).unsigned_abs()));
    }

    fn stopped(&self) -> bool {
        self.stop.asked()
    }

    fn send(&mut self, outlet: u16, bytes: &[u8], lengths: &[u32]) -> Result<usize, Failure> {
        let Some(socket) = self.outlets.get_mut(usize::from(outlet)) else {
            return Ok(lengths.len());
        };
        let sent = socket
            .send_many(bytes, lengths)
            .map_err(permission::of_probe)?;
        if let Some(recorder) = &mut self.recorder {
            let time = self.clock.now();
            let mut rest = bytes;
            for len in &lengths[..sent.min(lengths.len())] {
                let (bytes, after) = rest.split_at(*len as usize);
                rest = after;
                record(recorder, &self.interfaces, (outlet, time, bytes))?;
            }
        }
        Ok(sent)
    }
}

fn record(
    recorder: &mut Recorder,
    interfaces: &[Arc<Interface>],
    (outlet, time, bytes): (u16, Time, &[u8]),
) -> Result<(), Failure> {
    let link = interfaces.get(usize::from(outlet));
    let link = link.map_or(LinkType::RAW, |interface| interface.link);
    let frame = outgoing(bytes, (link, outlet.into(), time));
    Ok(recorder.write(&frame, interfaces)?)
}

/// `bytes` as a frame that leaves by an interface.
fn outgoing(bytes: &[u8], (link, interface, time): (LinkType, u32, Time)) -> Frame<'_> {
    Frame {
        time,
        interface,
        direction: Direction::Out,
        ..Frame::whole(link, bytes)
    }
}
