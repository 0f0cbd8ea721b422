//! The ground of namespaces: two hosts with Linux's own TCP, in private networks of this process, and a wire in user space.
//!
//! One process, no helper: a thread for each host and one for the wire, each in a network namespace of its own. The
//! namespaces have no name; they vanish with the threads, so nothing is left behind however the process ends.

use std::{
    io,
    net::IpAddr,
    ops::ControlFlow,
    os::fd::{AsFd, OwnedFd},
    sync::mpsc::{Sender, channel},
    time::{Duration, Instant},
};

use etherparse::{NetSlice, SlicedPacket, TransportSlice};
use nix::{
    errno::Errno,
    poll::{PollFd, PollFlags, ppoll},
    sys::{prctl, time::TimeSpec},
};

use super::{
    Event, LabError, Link, Listener, Plan, Trying, Wire, mac, prefix,
    refusal::Way,
    scenario::Host,
    threads::{TICK, Threads, Voice},
};
use crate::{
    sys::{
        clock::{Clock, Stamps},
        ethtool,
        netlink::{End, LOOPBACK, Netlink},
        netns,
        port::Port,
    },
    time::{MILLISECOND, Time},
};

/// Index and name of each host's interface.
const ETH0: (u32, &str) = (100, "eth0");
/// Indices and names of the wire's ends, in the order of [`Host::BOTH`].
const ENDS: [(u32, &str); 2] = [(101, "w0"), (102, "w1")];
/// Silence after which nothing more is to be expected: a kernel answers a frame at once.
pub(super) const SILENCE: i64 = 5 * MILLISECOND;
/// More than any frame of an interface without offloads.
const FRAME: usize = 65536;

/// Plays `plan`, telling `listener` what happens as it happens.
///
/// With [`Way::User`] the process enters a user namespace for good, and must have one thread only.
///
/// # Errors
/// When the system refuses, or a step of the construction fails; nothing is left behind.
pub fn play(plan: &Plan, way: Way, listener: Listener<'_>) -> Result<(), LabError> {
    let start = Instant::now();
    let (threads, networks) = raise(&plan.link, plan.addresses, way)?;
    threads.hosts(plan, enter(&networks))?;
    let took = i64::try_from(start.elapsed().as_nanos()).unwrap_or(i64::MAX);
    match listener(Event::Up(took)) {
        ControlFlow::Continue(()) => threads.listen(SILENCE, listener),
        ControlFlow::Break(()) => Ok(()),
    }
}

/// Brings both hosts and the wire up. The networks are held until the end: when the last handle goes, so does the
/// network, and with it the wire's end of the cable.
pub(super) fn raise(
    link: &Link,
    addresses: [IpAddr; 2],
    way: Way,
) -> Result<(Threads, [OwnedFd; 2]), LabError> {
    if way == Way::User {
        netns::enter_user()?;
    }
    let threads = Threads::new();
    let (built, building) = channel();
    threads.spawn("wire", {
        let (link, clock) = (link.clone(), threads.clock);
        move |voice| run_wire(link, addresses, clock, built, voice)
    })?;
    let networks = building.recv().map_err(|_| threads.failure())?;
    Ok((threads, networks))
}

/// What each host's thread does first: it goes into its network.
pub(super) fn enter(
    networks: &[OwnedFd; 2],
) -> [impl FnOnce() -> Result<(), LabError> + Send + 'static; 2] {
    networks.each_ref().map(|network| {
        let network = network.try_clone().trying("keep a handle on a network");
        move || {
            netns::join(network?).trying("enter a host's network namespace")?;
            ethtool::offloads_off(ETH0.1).trying("switch a host's offloads off")
        }
    })
}

/// Makes three networks in one thread, ends in the wire's, and returns the hosts' networks and the wire's ports.
fn build(addresses: [IpAddr; 2]) -> Result<([OwnedFd; 2], [Port; 2]), LabError> {
    let network = || -> io::Result<_> { Ok((netns::unshare_network()?, Netlink::open()?)) };
    let host = || network().trying("make a host's network namespace");
    let (client, client_link) = host()?;
    let (server, server_link) = host()?;
    let (_, wire_link) = network().trying("make the wire's network namespace")?;
    let hosts = [
        (Host::Client, &client, &client_link),
        (Host::Server, &server, &server_link),
    ];
    for ((host, network, link), (index, name)) in hosts.into_iter().zip(ENDS) {
        let mut inner = mac(host);
        inner[4] = 0xff;
        let here = End {
            index,
            name,
            mac: inner,
        };
        let there = End {
            index: ETH0.0,
            name: ETH0.1,
            mac: mac(host),
        };
        wire_link
            .veth(here, there, network.as_fd())
            .trying("make a veth pair")?;
        // Where IPv6 is not built in, there is no address to keep away.
        let _ = wire_link.no_own_address(index);
        let _ = link.no_own_address(ETH0.0);
        wire_link.up(index).trying("set the wire's interface up")?;
        set_up_host(addresses, host, link).trying("set a host's interfaces up")?;
    }
    let ports = [Port::open(ENDS[0].0), Port::open(ENDS[1].0)];
    let [first, second] = ports.map(|port| port.trying("open a packet socket on the wire"));
    Ok(([client, server], [first?, second?]))
}

fn set_up_host(addresses: [IpAddr; 2], host: Host, link: &Netlink) -> io::Result<()> {
    let [own, other] = match host {
        Host::Client => addresses,
        Host::Server => [addresses[1], addresses[0]],
    };
    link.up(LOOPBACK)?;
    link.address(ETH0.0, own, prefix(own))?;
    link.up(ETH0.0)?;
    // The lab shows what sockets do: the hosts know each other's hardware address, so that no question delays the first packet.
    link.neighbour(ETH0.0, other, mac(host.other()))
}

/// The wire's thread: frames in at one port, out at the other when they are due.
fn run_wire(
    link: Link,
    addresses: [IpAddr; 2],
    clock: Clock,
    built: Sender<[OwnedFd; 2]>,
    voice: &Voice,
) -> Result<(), LabError> {
    let (hosts, ports) = build(addresses)?;
    // Wakes at the time asked for, not up to 50 µs later.
    let _ = prctl::set_timerslack(1);
    if built.send(hosts).is_err() {
        return Ok(());
    }
    let mut wire = Wire::new(link);
    let mut stamps = Stamps::new(clock);
    let mut buffer = vec![0; FRAME];
    let mut sent: Vec<(Time, Host, Vec<u8>)> = Vec::new();
    let mut events = Vec::new();
    let mut last = Time::default();
    loop {
        let due = wire.next().map(|due| due.since(clock.now()));
        wait(&ports, due).trying("wait for frames")?;
        // The clock is read before the ports: what was sent before `now` is then seen before what arrives at `now`.
        let now = clock.now();
        for (port, host) in ports.iter().zip(Host::BOTH) {
            while let Some((len, time)) = port.receive(&mut buffer).trying("receive a frame")? {
                if !is_housekeeping(&buffer[..len]) {
                    sent.push((time, host, buffer[..len].to_vec()));
                }
            }
        }
        stamps.look();
        for (time, ..) in &mut sent {
            *time = stamps.time(*time);
        }
        sent.sort_by_key(|&(time, ..)| time);
        for (time, host, frame) in sent.drain(..) {
            // A frame may have been stamped a moment before a delivery that is told already.
            last = last.max(time);
            events.push(Event::Sent(wire.send(last, host, &frame)));
        }
        while let Some(arrival) = wire.arrived(now) {
            last = last.max(clock.now());
            let port = match arrival.to {
                Host::Client => &ports[0],
                Host::Server => &ports[1],
            };
            port.send(&arrival.bytes).trying("deliver a frame")?;
            events.push(Event::Delivered {
                number: arrival.number,
                time: last,
                to: arrival.to,
                again: arrival.again,
            });
        }
        if events.is_empty() {
            last = last.max(now);
            events.push(Event::Quiet(last));
        }
        for event in events.drain(..) {
            if !voice.tell(event) {
                return Ok(());
            }
        }
    }
}

/// Waits for a frame, or `nanos` at most, or a tick.
fn wait(ports: &[Port; 2], nanos: Option<i64>) -> io::Result<()> {
    let due = nanos.map(|nanos| Duration::from_nanos(nanos.max(0).unsigned_abs()));
    let limit = due.map_or(TICK, |due| due.min(TICK));
    let mut waiting = ports
        .each_ref()
        .map(|port| PollFd::new(port.as_fd(), PollFlags::POLLIN));
    match ppoll(&mut waiting, Some(TimeSpec::from_duration(limit)), None) {
        Ok(_) | Err(Errno::EINTR) => Ok(()),
        Err(errno) => Err(errno.into()),
    }
}

/// A kernel's own multicast reports, router questions and checks whether an address is free (RFC 3810, RFC 4861, RFC 4862):
/// they belong to no scenario.
fn is_housekeeping(frame: &[u8]) -> bool {
    /// MLD query, report and done; router solicitation to redirect; MLDv2 report.
    const TYPES: &[u8] = &[130, 131, 132, 133, 134, 135, 136, 137, 143];
    const SOLICITATION: u8 = 135;
    let Ok(packet) = SlicedPacket::from_ethernet(frame) else {
        return false;
    };
    match (packet.net, packet.transport) {
        // A question for a neighbour's hardware address comes from somebody; a check for a free address does not.
        (Some(NetSlice::Ipv6(ip)), Some(TransportSlice::Icmpv6(icmp)))
            if icmp.type_u8() == SOLICITATION =>
        {
            ip.header().source_addr().is_unspecified()
        }
        (_, Some(TransportSlice::Icmpv6(icmp))) => TYPES.contains(&icmp.type_u8()),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use etherparse::PacketBuilder;

    use super::*;

    #[test]
    fn housekeeping_is_told_from_traffic() {
        let ipv6 = || PacketBuilder::ethernet2([2; 6], [4; 6]).ipv6([0; 16], [1; 16], 1);
        let mut report = Vec::new();
        ipv6()
            .icmpv6_raw(143, 0, [0; 4])
            .write(&mut report, &[0; 4])
            .unwrap();
        assert!(is_housekeeping(&report));
        let question = |source: [u8; 16]| {
            let mut bytes = Vec::new();
            PacketBuilder::ethernet2([2; 6], [4; 6])
                .ipv6(source, [1; 16], 255)
                .icmpv6_raw(135, 0, [0; 4])
                .write(&mut bytes, &[0; 16])
                .unwrap();
            bytes
        };
        assert!(is_housekeeping(&question([0; 16])), "is my address free?");
        assert!(!is_housekeeping(&question([9; 16])), "who has it?");
        let mut unreachable = Vec::new();
        ipv6()
            .icmpv6_raw(1, 4, [0; 4])
            .write(&mut unreachable, &[0; 48])
            .unwrap();
        assert!(!is_housekeeping(&unreachable));
        assert!(!is_housekeeping(b"short"));
    }
}
