//! A hand-made TCP connection on real sockets: what the [`Connection`] wants sent leaves, what arrives is given to it.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    ops::ControlFlow,
};

use super::{
    Ear, Hearing, Hush, Hushed, KernelRoute, Outlet, ProbeError, Via, changed_by_raw,
    meaning::ttl,
    tcp::{Act, Arrived, Connection, Ending, Settings, Template},
};
use crate::{
    capture::{self, CaptureError},
    craft::{Built, Route, SpecError, answers},
    decode::{Decoded, Decoder},
    frame::{Direction, Frame, KernelChecksum, Source, Step},
    layer::Packet,
    link::LinkType,
    proto::tcp::flag,
    protocol::Ask,
    sys::clock::Clock,
    time::{MILLISECOND, Time},
};

/// The longest wait in one piece, so that whoever watches may draw and break off.
const NAP: i64 = 100 * MILLISECOND;
/// RSTs of its own that are remembered, to tell them from the kernel's.
const RESETS: usize = 16;
/// Packets that are read before those heard so far are dealt with, however fast they come.
const AT_ONCE: usize = 64;
const TCP: u8 = 6;
const ICMP: u8 = 1;
const ICMPV6: u8 = 58;

/// What is to be played.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Words about the packets.
    pub template: Template,
    /// What the hand-made end does.
    pub settings: Settings,
    /// Who is called; nobody, for a server.
    pub remote: Option<SocketAddr>,
    /// The own address; as the route says, or any, without.
    pub source: Option<IpAddr>,
    /// The own port; any free one when 0.
    pub port: u16,
    /// The kernel answers as it always does: its RST ends the connection.
    pub kernel_resets: bool,
}

/// Why it could not be played.
#[derive(Debug, thiserror::Error)]
pub enum HandshakeError {
    /// Sending or hearing failed.
    #[error(transparent)]
    Probe(#[from] ProbeError),
    /// Watching the interface failed.
    #[error(transparent)]
    Capture(#[from] CaptureError),
    /// The words about the packets make none.
    #[error(transparent)]
    Spec(#[from] SpecError),
}

/// What happens, in order.
#[derive(Clone, Copy, Debug)]
pub enum Event<'a> {
    /// A packet was sent ([`Direction::Out`]) or heard. Its number is still to be given.
    Packet(Frame<'a>),
    /// The peer's next bytes.
    Data(&'a [u8]),
    /// What the packet before means.
    Step(&'a str),
    /// Something out of the ordinary.
    Note(&'a str),
    /// The own kernel sent the RST that was the packet before.
    KernelReset,
    /// Nothing happened up to this time.
    Quiet(Time),
}

/// Takes events; `Break` ends the connection with a RST.
pub type Listener<'a> = &'a mut dyn FnMut(Event<'_>) -> ControlFlow<()>;

/// Where packets are heard.
enum Tap {
    Ear(Ear),
    /// Everything on the interface, both ways: so the kernel's own RST is seen too.
    Interface(capture::Live),
}

/// A connection and its sockets, all open.
pub struct Handshake {
    connection: Connection,
    /// For IPv4 and IPv6.
    outlets: [Option<Outlet>; 2],
    tap: Tap,
    hushes: Vec<Hush>,
    decoder: Decoder,
    decoded: Decoded,
    clock: Clock,
    /// No later packet is told with an earlier time.
    last: Time,
    resets: Vec<Vec<u8>>,
    warned: bool,
    first: Vec<Act>,
}

/// A packet that was heard.
struct Heard {
    time: Time,
    link: LinkType,
    direction: Direction,
    checksum: KernelChecksum,
    bytes: Vec<u8>,
}

impl Handshake {
    /// Opens every socket: nothing more needs a right afterwards. A client's SYN leaves with [`Handshake::run`].
    ///
    /// # Errors
    /// When the words make no packet, there is no way to the peer, or the kernel refuses a socket.
    pub fn open(plan: Plan) -> Result<Self, HandshakeError> {
        let route = KernelRoute::open()?;
        let any = |remote: &SocketAddr| -> Result<IpAddr, ProbeError> {
            let way = route.way(remote.ip())?;
            if way.scope.is_for_many() {
                let text = format!(
                    "{} is {}: TCP is between two hosts (RFC 9293 §3.9.2.3)",
                    remote.ip(),
                    way.scope
                );
                return Err(ProbeError::Unsendable(text));
            }
            way.source.ok_or_else(|| ProbeError::NoRoute(remote.ip()))
        };
        let locals: Vec<IpAddr> = match (plan.source, plan.remote) {
            (Some(source), _) => vec![source],
            (None, Some(remote)) => vec![any(&remote)?],
            // Words about one version of IP mean that one.
            (None, None) => [Ipv4Addr::UNSPECIFIED.into(), Ipv6Addr::UNSPECIFIED.into()]
                .into_iter()
                .filter(|local| plan.template.suits(*local))
                .collect(),
        };
        let mut port = plan.port;
        let mut hushes: Vec<Hush> = Vec::new();
        if plan.kernel_resets {
            let free = || {
                route
                    .number(Ask::Port)
                    .and_then(|free| u16::try_from(free).ok())
            };
            port = if port == 0 {
                free().unwrap_or_default()
            } else {
                port
            };
        } else {
            for (at, &local) in locals.iter().enumerate() {
                match Hush::tcp(SocketAddr::new(local, port)) {
                    Ok(hush) => {
                        port = hush.local().port();
                        hushes.push(hush);
                    }
                    // A kernel without IPv6 is no reason not to listen on IPv4.
                    Err(_) if at > 0 => {}
                    Err(error) => return Err(error.into()),
                }
            }
        }
        let clock = Clock::start();
        let isn = route.number(Ask::Isn).unwrap_or_default() as u32;
        let local = SocketAddr::new(locals[0], port);
        let (template, settings) = (plan.template, plan.settings);
        if plan.remote.is_none() {
            stays_as_given(&template, &locals)?;
        }
        let mut connection = match plan.remote {
            Some(remote) => {
                Connection::connect(template, settings, [local, remote], isn, clock.now())?
            }
            None => Connection::listen(template, settings, local, isn, clock.now())?,
        };
        let first: Vec<Act> = std::iter::from_fn(|| connection.next_act()).collect();
        let mut outlets = [None, None];
        match first.iter().find_map(|act| match act {
            Act::Send(built) => Some(built),
            _ => None,
        }) {
            Some(syn) => {
                let outlet = Outlet::open(&syn.packet(LinkType::RAW), &Via::Fitting, &route)?;
                outlets[usize::from(local.is_ipv6())] = Some(outlet);
            }
            None => {
                for &local in &locals {
                    outlets[usize::from(local.is_ipv6())] = answering(local, &route)?;
                }
            }
        }
        // A port that nobody answers for is the kernel's to refuse.
        hushes.retain(|hush| outlets[usize::from(hush.local().is_ipv6())].is_some());
        let tap = match plan.kernel_resets {
            true => Tap::Interface(whole_interface(&outlets)?),
            false => Tap::Ear(Ear::open(&Hearing {
                v4: if outlets[0].is_some() {
                    vec![TCP, ICMP]
                } else {
                    vec![]
                },
                v6: if outlets[1].is_some() {
                    vec![TCP, ICMPV6]
                } else {
                    vec![]
                },
                ports: vec![port],
                frames_of: None,
            })?),
        };
        Ok(Self {
            connection,
            outlets,
            tap,
            hushes,
            decoder: Decoder::default(),
            decoded: Decoded::default(),
            clock,
            last: Time::default(),
            resets: Vec::new(),
            warned: false,
            first,
        })
    }

    /// The connection, as it stands.
    pub fn connection(&self) -> &Connection {
        &self.connection
    }

    /// The connection, and no socket any more.
    pub fn into_connection(self) -> Connection {
        self.connection
    }

    /// How the kernel is kept from answering; `None` when it is not.
    pub fn hushed(&self) -> Option<Hushed> {
        self.hushes.first().map(Hush::how)
    }

    /// Which sockets packets leave by, in words.
    pub fn describe(&self) -> String {
        let outlets = self.outlets.iter().flatten();
        outlets
            .map(Outlet::describe)
            .collect::<Vec<_>>()
            .join(" and ")
    }

    /// Plays the connection to its end; `None` when a server that listens was stopped before anybody came. `listening_until`
    /// is when a server stops waiting for a client.
    ///
    /// # Errors
    /// When a socket fails.
    pub fn run(
        &mut self,
        listening_until: Option<Time>,
        listener: Listener<'_>,
    ) -> Result<Option<Ending>, HandshakeError> {
        let mut flow = self.start(listener)?;
        while self.connection.ending().is_none() && flow.is_continue() {
            flow = self.step(listener)?;
            let waits = self.connection.remote().is_none();
            let is_late = || listening_until.is_some_and(|end| end <= self.clock.now());
            if waits && (flow.is_break() || is_late()) {
                return Ok(None);
            }
        }
        if flow.is_break() && self.connection.ending().is_none() {
            self.connection.abort();
            let acts = self.acts();
            let _ = self.act(acts, listener)?;
        }
        Ok(self.connection.ending())
    }

    /// A client's SYN leaves. For callers that go on in [`Handshake::step`]s of their own instead of [`Handshake::run`].
    ///
    /// # Errors
    /// When a socket fails.
    pub fn start(&mut self, listener: Listener<'_>) -> Result<ControlFlow<()>, HandshakeError> {
        // Time has gone by since the SYN was made, while sockets were opened: its clock begins now.
        self.connection.begins(self.clock.now());
        let first = std::mem::take(&mut self.first);
        self.act(first, listener)
    }

    /// Waits, a tenth of a second at most, until something arrives or is due, and does what follows from it.
    ///
    /// # Errors
    /// When a socket fails.
    pub fn step(&mut self, listener: Listener<'_>) -> Result<ControlFlow<()>, HandshakeError> {
        let nap = self.clock.now().plus(NAP);
        let until = self.connection.due().map_or(nap, |due| due.min(nap));
        let heard = self.heard(until)?;
        let now = self.clock.now();
        let mut flow = ControlFlow::Continue(());
        if heard.is_empty() {
            flow = listener(Event::Quiet(now.plus(-NAP)));
        }
        for heard in heard {
            if flow.is_break() {
                break;
            }
            flow = self.takes(&heard, listener)?;
        }
        if self.connection.due().is_some_and(|due| due <= now) {
            self.connection.wakes(now);
        }
        if flow.is_continue() {
            let acts = self.acts();
            flow = self.act(acts, listener)?;
        }
        Ok(flow)
    }

    /// Sends `text` behind what was said so far ([`Connection::say`]).
    ///
    /// # Errors
    /// When a socket fails.
    pub fn say(
        &mut self,
        text: &[u8],
        listener: Listener<'_>,
    ) -> Result<ControlFlow<()>, HandshakeError> {
        self.connection.say(text, self.clock.now());
        let acts = self.acts();
        self.act(acts, listener)
    }

    /// Has nothing more to say ([`Connection::close`]).
    ///
    /// # Errors
    /// When a socket fails.
    pub fn close(&mut self, listener: Listener<'_>) -> Result<ControlFlow<()>, HandshakeError> {
        self.connection.close(self.clock.now());
        let acts = self.acts();
        self.act(acts, listener)
    }

    /// What the connection wants done now.
    fn acts(&mut self) -> Vec<Act> {
        std::iter::from_fn(|| self.connection.next_act()).collect()
    }

    /// Does what the connection wants done.
    fn act(
        &mut self,
        acts: Vec<Act>,
        listener: Listener<'_>,
    ) -> Result<ControlFlow<()>, HandshakeError> {
        for act in acts {
            let flow = match act {
                Act::Send(built) => self.send(&built, listener)?,
                Act::Data(data) => listener(Event::Data(&data)),
                Act::Step(text) => listener(Event::Step(&text)),
                Act::Note(text) => listener(Event::Note(&text)),
            };
            if flow.is_break() {
                return Ok(flow);
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    fn send(
        &mut self,
        built: &Built,
        listener: Listener<'_>,
    ) -> Result<ControlFlow<()>, HandshakeError> {
        let is_v6 = built.bytes.first().is_some_and(|first| first >> 4 == 6);
        let Some(outlet) = &mut self.outlets[usize::from(is_v6)] else {
            return Ok(ControlFlow::Continue(()));
        };
        // On loopback the answer is there before the call returns: so the time is taken before.
        let time = self.clock.now().max(self.last);
        outlet.send(&built.bytes)?;
        if is_reset(&built.packet(LinkType::RAW)) && self.resets.len() < RESETS {
            self.resets.push(built.bytes.clone());
        }
        if let Tap::Interface(_) = self.tap {
            // It is seen there.
            return Ok(ControlFlow::Continue(()));
        }
        self.last = time;
        let heard = Heard {
            time,
            link: LinkType::RAW,
            direction: Direction::Out,
            checksum: KernelChecksum::Unknown,
            bytes: built.bytes.clone(),
        };
        Ok(listener(Event::Packet(heard.frame(time))))
    }

    /// Everything that has arrived, or arrives first, until `until`; in order of time.
    fn heard(&mut self, until: Time) -> Result<Vec<Heard>, HandshakeError> {
        let mut all = Vec::new();
        match &mut self.tap {
            Tap::Ear(ear) => {
                let mut until = until;
                while all.len() < AT_ONCE
                    && let Some(heard) = ear.next(until)?
                {
                    all.push(Heard {
                        time: heard.time,
                        link: heard.link,
                        direction: Direction::In,
                        checksum: KernelChecksum::Unknown,
                        bytes: heard.bytes.to_vec(),
                    });
                    until = Time::default();
                }
            }
            Tap::Interface(live) => {
                let failed =
                    |error| ProbeError::io("watch the interface", std::io::Error::other(error));
                if let Step::Batch(batch) = live.next(until).map_err(failed)? {
                    all.extend(batch.frames().map(|frame| Heard {
                        time: frame.time,
                        link: frame.link,
                        direction: frame.direction,
                        checksum: frame.checksum,
                        bytes: frame.bytes.to_vec(),
                    }));
                    live.recycle(batch);
                }
            }
        }
        all.sort_by_key(|heard| heard.time);
        Ok(all)
    }

    /// A packet was heard: it is told, and given to the connection, when it is about it.
    fn takes(
        &mut self,
        heard: &Heard,
        listener: Listener<'_>,
    ) -> Result<ControlFlow<()>, HandshakeError> {
        let time = heard.time.max(self.last);
        let frame = heard.frame(time);
        self.decoded.clear();
        self.decoder.frame(&frame, &mut self.decoded);
        let Some(packet) = self.decoded.packet_of(frame, 0) else {
            return Ok(ControlFlow::Continue(()));
        };
        let now = self.clock.now();
        if let Some(failure) = answers::failure(&packet) {
            if !self.quotes_me(&packet, failure.quoted) {
                return Ok(ControlFlow::Continue(()));
            }
            self.last = time;
            let flow = listener(Event::Packet(frame));
            // Protocol and port unreachable are final; all others may pass.
            let for_good = match failure.version {
                4 => failure.kind == 3 && matches!(failure.code, 2 | 3),
                _ => failure.kind == 1 && failure.code == 4,
            };
            self.connection.unreachable(for_good);
            return Ok(flow);
        }
        let Some(arrived) = Arrived::of(&packet) else {
            return Ok(ControlFlow::Continue(()));
        };
        if self.connection.is_for_me(arrived.from, arrived.to) {
            self.last = time;
            if listener(Event::Packet(frame)).is_break() {
                return Ok(ControlFlow::Break(()));
            }
            let ttl = packet.views().find_map(|view| ttl(&view));
            let defeats = ttl == Some(u8::MAX) && self.hushed() == Some(Hushed::MinTtl);
            if defeats && !std::mem::replace(&mut self.warned, true) {
                let note = "the peer sends with TTL 255, which reaches the socket that keeps our port: the kernel may \
                            answer with a RST of its own (with CAP_NET_ADMIN it would be kept away by a filter)";
                if listener(Event::Note(note)).is_break() {
                    return Ok(ControlFlow::Break(()));
                }
            }
            self.connection.arrives(&arrived, now);
        } else if self
            .connection
            .remote()
            .is_some_and(|remote| remote == arrived.to && self.connection.local() == arrived.from)
            && matches!(self.tap, Tap::Interface(_))
        {
            self.last = time;
            let flow = listener(Event::Packet(frame));
            let is_own = |own: &Vec<u8>| packet.frame.bytes.ends_with(own);
            if flow.is_continue() && is_reset(&packet) && !self.resets.iter().any(is_own) {
                return Ok(listener(Event::KernelReset));
            }
            return Ok(flow);
        }
        Ok(ControlFlow::Continue(()))
    }

    /// The quoted packet is one of this connection's.
    fn quotes_me(&self, packet: &Packet<'_>, quoted: usize) -> bool {
        let Some(inner) = packet.view(quoted + 1) else {
            return false;
        };
        let ports = inner.u16(0).zip(inner.u16(2));
        let Some(((from, to), (source, destination))) = inner.addresses().zip(ports) else {
            return false;
        };
        self.connection.local() == SocketAddr::new(from, source)
            && self.connection.remote() == Some(SocketAddr::new(to, destination))
    }
}

impl Heard {
    fn frame(&self, time: Time) -> Frame<'_> {
        Frame {
            number: 0,
            time,
            link: self.link,
            interface: 0,
            direction: self.direction,
            checksum: self.checksum,
            wire_len: self.bytes.len() as u32,
            bytes: &self.bytes,
        }
    }
}

fn is_reset(packet: &Packet<'_>) -> bool {
    let view = packet.find(&crate::proto::tcp::PROTOCOL);
    let segment = view.and_then(|view| crate::proto::tcp::Segment::of(&view));
    segment.is_some_and(|segment| segment.has(flag::RST))
}

/// A server answers by raw IP sockets, as it cannot know by which interface: a header that these would mend is refused.
fn stays_as_given(template: &Template, locals: &[IpAddr]) -> Result<(), HandshakeError> {
    for local in locals {
        let own: IpAddr = match local {
            IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
        };
        if let Some(what) = changed_by_raw(&template.sample(own)?.bytes) {
            let text = format!(
                "--listen answers by a raw IP socket, which would {what}: leave that out of --with"
            );
            return Err(ProbeError::Unsendable(text).into());
        }
    }
    Ok(())
}

/// A socket for the answers of a server, whoever will ask: which packets these are is not known yet.
fn answering(local: IpAddr, route: &KernelRoute) -> Result<Option<Outlet>, ProbeError> {
    let (own, words): (IpAddr, _) = match local {
        IpAddr::V4(_) => (Ipv4Addr::LOCALHOST.into(), "ip"),
        IpAddr::V6(_) => (Ipv6Addr::LOCALHOST.into(), "ip6"),
    };
    let text = format!("{words} src={own} dst={own} / tcp");
    let Ok(spec) = crate::craft::Spec::parse(&text, &crate::craft::NoFiles) else {
        return Ok(None);
    };
    let mut built = Built::default();
    spec.build(0, route, &mut built);
    match Outlet::open(&built.packet(LinkType::RAW), &Via::RawIp, route) {
        Ok(outlet) => Ok(Some(outlet)),
        // Without IPv6 on loopback there is hardly any elsewhere.
        Err(ProbeError::NoRoute(_)) => Ok(None),
        Err(error) => Err(error),
    }
}

/// A capture of the interface that packets leave by.
fn whole_interface(outlets: &[Option<Outlet>; 2]) -> Result<capture::Live, CaptureError> {
    let device = outlets.iter().flatten().next().map(Outlet::device);
    capture::open(&capture::Options {
        interfaces: vec![device.map_or_else(|| capture::ANY.to_owned(), |d| d.name.clone())],
        promiscuous: false,
        buffer: 1 << 20,
        ..capture::Options::default()
    })
}
