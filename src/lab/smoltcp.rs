//! The simulated ground: two smoltcp hosts and the wire inside this process, with a made-up clock.
//!
//! It needs no right and no kernel, and the same plan gives the same bytes every time. It is not Linux.

use std::{collections::VecDeque, ops::ControlFlow};

use ::smoltcp::{
    iface::{Config, Interface, SocketHandle, SocketSet},
    phy::{Device, DeviceCapabilities, Medium, RxToken, TxToken},
    socket::{
        tcp::{self, State},
        udp,
    },
    time::Instant,
    wire::{HardwareAddress, IpAddress, IpCidr, IpEndpoint},
};

use super::{
    Event, LabError, Listener, Plan, Wire, mac,
    scenario::{Call, Host},
};
use crate::time::{MILLISECOND, SECOND, Time};

/// When every simulation begins: 2023-11-14 22:13:20 UTC.
const START: Time = Time::from_parts(1_700_000_000, 0);
/// The client's port; a simulation has no other use for ports.
const CLIENT_PORT: u16 = 41000;
/// Where each host's initial sequence numbers begin.
const SEEDS: [u64; 2] = [1, 2];
/// The most made-up time a scenario may take.
const LIMIT: i64 = 600 * SECOND;
/// Room for each direction of a socket, in bytes.
const BUFFER: usize = 65536;
const ETHERNET: usize = 14;

/// Plays `plan`, telling `listener` what happens, in made-up time and without waiting.
///
/// # Errors
/// When the scenario needs what smoltcp has not.
pub fn play(plan: &Plan, listener: Listener<'_>) -> Result<(), LabError> {
    suits(plan)?;
    let mut world = World {
        hosts: Host::BOTH.map(|host| Simulated::new(plan, host)),
        wire: Wire::new(plan.link.clone()),
        now: START,
        events: vec![Event::Up(0)],
    };
    loop {
        let next = world.advance();
        for event in world.events.drain(..) {
            if let ControlFlow::Break(()) = listener(event) {
                return Ok(());
            }
        }
        match next {
            Some(time) if time.since(START) < LIMIT => world.now = time,
            _ => return Ok(()),
        }
        world.events.push(Event::Quiet(world.now));
    }
}

/// Whether this ground can play `plan`.
///
/// # Errors
/// When the scenario needs what smoltcp has not.
pub fn suits(plan: &Plan) -> Result<(), LabError> {
    if plan.scenario.kernel_only {
        return Err(LabError::Unsuited(format!(
            "the simulated network cannot play {}: it needs a kernel",
            plan.scenario.name
        )));
    }
    Ok(())
}

struct World {
    hosts: [Simulated; 2],
    wire: Wire,
    now: Time,
    events: Vec<Event>,
}

impl World {
    /// Everything that happens at this time; then the time of the next thing that can, if anything can.
    fn advance(&mut self) -> Option<Time> {
        loop {
            let delivered = self.deliver();
            let acted = self.act();
            if !delivered && !acted {
                break;
            }
        }
        let timers = self.hosts.iter_mut().filter_map(|host| host.next(self.now));
        let next = timers.chain(self.wire.next()).min()?;
        let over = self.wire.next().is_none() && self.hosts.iter().all(Simulated::is_over);
        // Time moves by a microsecond at least, which is as fine as smoltcp's is.
        (!over).then(|| next.max(self.now.plus(1000)))
    }

    fn deliver(&mut self) -> bool {
        let mut any = false;
        while let Some(arrival) = self.wire.arrived(self.now) {
            any = true;
            let packet = arrival.bytes.get(ETHERNET..).unwrap_or_default();
            self.hosts[index(arrival.to)]
                .queues
                .arrived
                .push_back(packet.to_vec());
            self.events.push(Event::Delivered {
                number: arrival.number,
                time: self.now,
                to: arrival.to,
                again: arrival.again,
            });
        }
        any
    }

    fn act(&mut self) -> bool {
        let mut any = false;
        // The server goes first: it is ready when the client begins.
        for host in [Host::Server, Host::Client] {
            let simulated = &mut self.hosts[index(host)];
            any |= simulated.act(self.now, &mut self.events);
            for packet in simulated.queues.sent.drain(..) {
                any = true;
                let transit = self.wire.send(self.now, host, &frame(host, &packet));
                self.events.push(Event::Sent(transit));
            }
        }
        any
    }
}

/// The packet with an Ethernet header: the hosts know each other's hardware address, so that nobody asks for it.
fn frame(from: Host, packet: &[u8]) -> Vec<u8> {
    let ether_type: [u8; 2] = match packet.first() {
        Some(first) if first >> 4 == 6 => [0x86, 0xdd],
        _ => [0x08, 0x00],
    };
    [&mac(from.other())[..], &mac(from), &ether_type, packet].concat()
}

const fn index(host: Host) -> usize {
    match host {
        Host::Client => 0,
        Host::Server => 1,
    }
}

/// One host: smoltcp's interface and sockets, and how far it has come with its calls.
struct Simulated {
    host: Host,
    calls: VecDeque<Call>,
    peer: IpAddress,
    patience: i64,
    /// Until when the call that it is in waits.
    deadline: Option<Time>,
    interface: Interface,
    sockets: SocketSet<'static>,
    queues: Queues,
    stream: SocketHandle,
    datagrams: SocketHandle,
    last_sender: Option<udp::UdpMetadata>,
}

impl Simulated {
    fn new(plan: &Plan, host: Host) -> Self {
        let mut queues = Queues::default();
        let mut config = Config::new(HardwareAddress::Ip);
        config.random_seed = SEEDS[index(host)];
        let mut interface = Interface::new(config, &mut queues, instant(START));
        interface.update_ip_addrs(|addresses| {
            let own = IpCidr::new(plan.address(host).into(), super::prefix(plan.address(host)));
            // Room for one address is smoltcp's least.
            let _ = addresses.push(own);
        });
        let mut sockets = SocketSet::new(Vec::new());
        let stream = sockets.add(stream_socket());
        let packets =
            || udp::PacketBuffer::new(vec![udp::PacketMetadata::EMPTY; 16], vec![0; BUFFER]);
        let datagrams = sockets.add(udp::Socket::new(packets(), packets()));
        Self {
            host,
            calls: plan.scenario.calls(host).iter().copied().collect(),
            peer: plan.address(host.other()).into(),
            patience: plan.patience(),
            deadline: None,
            interface,
            sockets,
            queues,
            stream,
            datagrams,
            last_sender: None,
        }
    }

    /// Lets smoltcp work, and makes every call that returns at once. True when anything came of it.
    fn act(&mut self, now: Time, events: &mut Vec<Event>) -> bool {
        let mut any = false;
        loop {
            let before = self.queues.sent.len();
            self.interface
                .poll(instant(now), &mut self.queues, &mut self.sockets);
            let sent = self.queues.sent.len() > before;
            let call = self.calls.front().copied();
            let returned = call.and_then(|call| Some((call, self.call(call, now)?)));
            any |= sent || returned.is_some();
            match returned {
                Some((call, result)) => {
                    self.calls.pop_front();
                    self.deadline = None;
                    if result.is_err() {
                        // A failed call ends the program, and the system closes what it leaves.
                        self.calls.retain(|call| *call == Call::Close);
                    }
                    events.push(Event::Called {
                        time: now,
                        host: self.host,
                        call,
                        error: result.err(),
                    });
                }
                None if sent => {}
                None => return any,
            }
        }
    }

    /// Makes a call. `None`: it has not returned yet.
    fn call(&mut self, call: Call, now: Time) -> Option<Result<(), String>> {
        let stream = self.sockets.get_mut::<tcp::Socket<'_>>(self.stream);
        match call {
            Call::Listen(port) => return Some(stream.listen(port).map_err(|e| e.to_string())),
            Call::Accept if !(stream.may_send() || stream.may_recv()) => return None,
            Call::Connect(port) => return self.connect(port, None, now),
            Call::ConnectWithin(port, limit) => return self.connect(port, Some(limit), now),
            Call::ConnectNobody(_) => return Some(Err("needs a kernel".to_owned())),
            Call::Send(text) => match stream.send_slice(text.as_bytes()) {
                Ok(sent) if sent == text.len() => {}
                Ok(_) => return Some(Err("no room in the send buffer".to_owned())),
                Err(error) => return Some(Err(error.to_string())),
            },
            Call::Receive(count) => {
                if stream.recv_queue() < count && stream.may_recv() {
                    return None;
                }
                match stream.recv_slice(&mut vec![0; count]) {
                    Ok(received) if received == count => {}
                    _ => return Some(Err("the connection has ended".to_owned())),
                }
            }
            Call::ReceiveEnd => {
                let _ = stream.recv(|bytes| (bytes.len(), ()));
                if stream.may_recv() {
                    return None;
                }
            }
            Call::Shutdown => stream.close(),
            Call::Close => {
                stream.close();
                self.sockets
                    .get_mut::<udp::Socket<'_>>(self.datagrams)
                    .close();
            }
            Call::Bind(port) => {
                return Some(self.datagrams().bind(port).map_err(|e| e.to_string()));
            }
            Call::SendTo(port, content) => {
                let to = IpEndpoint::new(self.peer, port);
                return Some(self.send_to(&content.bytes(), to.into()));
            }
            Call::Reply(content) => {
                let to = self.last_sender.map(|sender| sender.endpoint.into());
                let nobody = || Err("nobody to reply to".to_owned());
                return Some(to.map_or_else(nobody, |to| self.send_to(&content.bytes(), to)));
            }
            Call::ReceiveFrom => match self.datagrams().recv().map(|(_, sender)| sender) {
                Ok(sender) => self.last_sender = Some(sender),
                Err(_) if self.waits(now, self.patience) => return None,
                Err(_) => {
                    let seconds = self.patience as f64 / SECOND as f64;
                    return Some(Err(format!("nothing came in {seconds:.2} s")));
                }
            },
            Call::Wait(milliseconds) => {
                if self.waits(now, nanos(milliseconds)) {
                    return None;
                }
            }
            Call::Accept => {}
        }
        Some(Ok(()))
    }

    /// `limit` in milliseconds.
    fn connect(&mut self, port: u16, limit: Option<u64>, now: Time) -> Option<Result<(), String>> {
        let is_late = self.deadline.is_some_and(|deadline| deadline <= now);
        let stream = self.sockets.get_mut::<tcp::Socket<'_>>(self.stream);
        match stream.state() {
            State::Closed if stream.local_endpoint().is_none() && self.deadline.is_none() => {
                // The mark that this call has begun: a refused socket is closed as well.
                self.deadline = Some(limit.map_or(Time::MAX, |limit| now.plus(nanos(limit))));
                let to = (self.peer, port);
                match stream.connect(self.interface.context(), to, CLIENT_PORT) {
                    Ok(()) => None,
                    Err(error) => Some(Err(error.to_string())),
                }
            }
            State::Closed => Some(Err("connection refused".to_owned())),
            State::SynSent | State::SynReceived if is_late => {
                // As a kernel does it: the socket is gone, and nobody is told.
                self.sockets.remove(self.stream);
                self.stream = self.sockets.add(stream_socket());
                Some(Err("connection timed out".to_owned()))
            }
            State::SynSent | State::SynReceived => None,
            _ => Some(Ok(())),
        }
    }

    fn datagrams(&mut self) -> &mut udp::Socket<'static> {
        self.sockets.get_mut(self.datagrams)
    }

    fn send_to(&mut self, bytes: &[u8], to: udp::UdpMetadata) -> Result<(), String> {
        let socket = self.datagrams();
        if !socket.is_open() {
            socket.bind(CLIENT_PORT).map_err(|e| e.to_string())?;
        }
        socket.send_slice(bytes, to).map_err(|e| e.to_string())
    }

    /// The call goes on until `nanos` after it began.
    fn waits(&mut self, now: Time, nanos: i64) -> bool {
        *self.deadline.get_or_insert_with(|| now.plus(nanos)) > now
    }

    /// When this host has something to do by itself.
    fn next(&mut self, now: Time) -> Option<Time> {
        let timer = self
            .interface
            .poll_at(instant(now), &self.sockets)
            .map(time);
        let deadline = self.deadline.filter(|deadline| *deadline != Time::MAX);
        timer.into_iter().chain(deadline).min()
    }

    /// All calls are made, and the connection has nothing left to say.
    fn is_over(&self) -> bool {
        let state = self.sockets.get::<tcp::Socket<'_>>(self.stream).state();
        self.calls.is_empty() && matches!(state, State::Closed | State::Listen | State::TimeWait)
    }
}

fn stream_socket() -> tcp::Socket<'static> {
    let buffer = || tcp::SocketBuffer::new(vec![0; BUFFER]);
    tcp::Socket::new(buffer(), buffer())
}

fn nanos(milliseconds: u64) -> i64 {
    let milliseconds = i64::try_from(milliseconds).unwrap_or(i64::MAX);
    milliseconds.saturating_mul(MILLISECOND)
}

fn instant(time: Time) -> Instant {
    Instant::from_micros(time.nanos() / 1000)
}

fn time(instant: Instant) -> Time {
    Time::from_nanos(instant.total_micros().saturating_mul(1000))
}

/// A network device that is two queues of IP packets.
#[derive(Default)]
struct Queues {
    arrived: VecDeque<Vec<u8>>,
    sent: Vec<Vec<u8>>,
}

impl Device for Queues {
    type RxToken<'a> = Received;
    type TxToken<'a> = Sending<'a>;

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ip;
        capabilities.max_transmission_unit = 1500;
        capabilities
    }

    fn receive(&mut self, _: Instant) -> Option<(Received, Sending<'_>)> {
        let packet = self.arrived.pop_front()?;
        Some((Received(packet), Sending(&mut self.sent)))
    }

    fn transmit(&mut self, _: Instant) -> Option<Sending<'_>> {
        Some(Sending(&mut self.sent))
    }
}

struct Received(Vec<u8>);

impl RxToken for Received {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, f: F) -> R {
        f(&self.0)
    }
}

struct Sending<'a>(&'a mut Vec<Vec<u8>>);

impl TxToken for Sending<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, f: F) -> R {
        let mut packet = vec![0; len];
        let result = f(&mut packet);
        self.0.push(packet);
        result
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use etherparse::{SlicedPacket, TransportSlice};

    use super::{
        super::{Link, PRIVATE_IPV4, PRIVATE_IPV6, Scenario},
        *,
    };

    fn events(name: &str, ipv6: bool, change: impl FnOnce(&mut Link)) -> Vec<Event> {
        let scenario = Scenario::named(name).unwrap();
        let mut link = Link {
            drops: scenario.drops.to_vec(),
            ..Link::default()
        };
        change(&mut link);
        let mut events = Vec::new();
        play(
            &Plan {
                scenario,
                link,
                addresses: if ipv6 { PRIVATE_IPV6 } else { PRIVATE_IPV4 },
            },
            &mut |event| {
                events.push(event);
                ControlFlow::Continue(())
            },
        )
        .unwrap();
        events
    }

    /// `>SYN` for each frame: its direction and what it is; `x` before a dropped one.
    fn story(events: &[Event]) -> Vec<String> {
        let mut story = Vec::new();
        for event in events {
            let Event::Sent(transit) = event else {
                continue;
            };
            let packet = SlicedPacket::from_ethernet(&transit.bytes).unwrap();
            let what = match packet.transport {
                Some(TransportSlice::Tcp(tcp)) => {
                    let flags = [
                        ("S", tcp.syn()),
                        ("F", tcp.fin()),
                        ("R", tcp.rst()),
                        ("A", tcp.ack()),
                    ];
                    let set: String = flags.iter().filter(|f| f.1).map(|f| f.0).collect();
                    format!("{set}{}", tcp.payload().len())
                }
                Some(TransportSlice::Udp(udp)) => format!("udp{}", udp.payload().len()),
                _ => "icmp".to_owned(),
            };
            let lost = if transit.dropped.is_some() { "x" } else { "" };
            let arrow = if transit.from == Host::Client {
                ">"
            } else {
                "<"
            };
            story.push(format!("{lost}{arrow}{what}"));
        }
        story
    }

    #[test]
    fn a_handshake_data_and_close_over_both_versions_of_ip() {
        for ipv6 in [false, true] {
            let story = story(&events("handshake", ipv6, |_| ()));
            assert_eq!(story[..4], [">S0", "<SA0", ">A0", ">A6"], "{story:?}");
            let fins = story.iter().filter(|s| s.contains('F')).count();
            assert_eq!(fins, 2, "{story:?}");
            assert_eq!(story.last().map(String::as_str), Some(">A0"), "{story:?}");
        }
    }

    #[test]
    fn the_dropped_syn_is_sent_again() {
        let story = story(&events("lost-syn", false, |_| ()));
        assert_eq!(story[..3], ["x>S0", ">S0", "<SA0"]);
    }

    #[test]
    fn a_refusal_and_an_unreachable_port() {
        let refused = events("refused", false, |_| ());
        assert_eq!(story(&refused), [">S0", "<RA0"]);
        assert!(refused.iter().any(|event| matches!(
            event,
            Event::Called {
                call: Call::Connect(_),
                error: Some(_),
                ..
            }
        )));
        assert_eq!(
            story(&events("udp", false, |_| ())),
            [">udp5", "<udp5", ">udp5", "<icmp"]
        );
    }

    #[test]
    fn after_a_half_close_data_still_comes_back() {
        let story = story(&events("half-close", false, |_| ()));
        let fin = story.iter().position(|s| s.starts_with(">F")).unwrap();
        assert!(
            story[fin..].contains(&"<A8".to_owned()) || story[fin..].contains(&"<FA8".to_owned()),
            "{story:?}"
        );
    }

    #[test]
    fn the_same_plan_gives_the_same_events_byte_for_byte() {
        let lossy = |link: &mut Link| (link.loss, link.seed) = (0.2, 3);
        let text = |events: Vec<Event>| format!("{events:?}");
        assert_eq!(
            text(events("handshake", false, lossy)),
            text(events("handshake", false, lossy))
        );
    }

    #[test]
    fn times_never_run_backwards_and_each_frame_takes_the_delay() {
        let (mut last, mut sent) = (START, std::collections::HashMap::new());
        for event in events("lost-syn", false, |_| ()) {
            let time = match event {
                Event::Sent(transit) => {
                    sent.insert(transit.number, transit.time);
                    transit.time
                }
                Event::Delivered { number, time, .. } => {
                    assert_eq!(time.since(sent[&number]), 10 * MILLISECOND);
                    time
                }
                Event::Called { time, .. } | Event::Quiet(time) => time,
                Event::Up(_) => continue,
            };
            assert!(time >= last);
            last = time;
        }
    }

    #[test]
    fn every_scenario_ends_even_when_everything_is_lost() {
        for scenario in super::super::scenario::ALL
            .iter()
            .filter(|s| !s.kernel_only)
        {
            let events = events(scenario.name, false, |link| link.loss = 1.0);
            assert!(events.len() < 10_000, "{}", scenario.name);
        }
    }
}
