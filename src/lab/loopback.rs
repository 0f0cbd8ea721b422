//! The ground of the loopback interface: ordinary sockets of this machine, with a capture on `lo` as the tap.
//!
//! There is no wire, so nothing can be delayed or lost; and watching needs the right to capture.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    ops::ControlFlow,
    time::Instant,
};

use etherparse::{SlicedPacket, TransportSlice};

use super::{
    Event, LabError, Link, Listener, Plan, Transit,
    scenario::{Call, Host},
    threads::{TICK, Threads, Voice},
};
use crate::{
    capture,
    frame::{Frame, Source, Step},
    sys::clock::{Clock, Stamps},
    time::MILLISECOND,
};

/// Both hosts are this one.
pub const IPV4: [IpAddr; 2] = [IpAddr::V4(Ipv4Addr::LOCALHOST); 2];
/// Both hosts are this one.
pub const IPV6: [IpAddr; 2] = [IpAddr::V6(Ipv6Addr::LOCALHOST); 2];

/// A capture hands frames over within this time.
pub(super) const SILENCE: i64 = 150 * MILLISECOND;
/// Plays `plan`, telling `listener` what happens.
///
/// # Errors
/// Without the right to capture, when a port of the scenario is taken, or when the plan wants delay or loss.
pub fn play(plan: &Plan, listener: Listener<'_>) -> Result<(), LabError> {
    suits(plan)?;
    let start = Instant::now();
    let capture = open()?;
    let threads = Threads::new();
    threads.spawn("tap", {
        let tap = Tap {
            ports: plan.scenario.ports().collect(),
            all: false,
            sent: 0,
        };
        let clock = threads.clock;
        move |voice| tap.run(capture, clock, voice)
    })?;
    threads.hosts(plan, [|| Ok(()), || Ok(())])?;
    let took = i64::try_from(start.elapsed().as_nanos()).unwrap_or(i64::MAX);
    match listener(Event::Up(took)) {
        ControlFlow::Continue(()) => threads.listen(SILENCE, listener),
        ControlFlow::Break(()) => Ok(()),
    }
}

/// Begins to watch the loopback interface of the calling thread's network.
pub(super) fn open() -> Result<capture::Live, capture::CaptureError> {
    capture::open(&capture::Options {
        interfaces: vec!["lo".to_owned()],
        promiscuous: false,
        buffer: 1 << 20,
        ..capture::Options::default()
    })
}

/// Whether this ground can play `plan`.
///
/// # Errors
/// When the plan wants delay or loss, or a host that is not there.
pub fn suits(plan: &Plan) -> Result<(), LabError> {
    let bare = Link {
        delay: 0,
        seed: plan.link.seed,
        ..Link::default()
    };
    let is_absent = |call: &Call| matches!(call, Call::ConnectNobody(_));
    if plan.scenario.client.iter().any(is_absent) {
        return Err(LabError::Unsuited(format!(
            "loopback asks nobody for a hardware address: {} needs another ground",
            plan.scenario.name
        )));
    }
    if plan.link != bare {
        return Err(LabError::Unsuited(format!(
            "loopback has no wire to delay, lose or change packets: {} needs another ground",
            plan.scenario.name
        )));
    }
    Ok(())
}

/// Picks the scenario's frames from everything that crosses `lo`.
pub(super) struct Tap {
    /// The servers'.
    pub(super) ports: Vec<u16>,
    /// Takes every other frame as well.
    pub(super) all: bool,
    pub(super) sent: u64,
}

impl Tap {
    pub(super) fn run(
        mut self,
        mut capture: capture::Live,
        clock: Clock,
        voice: &Voice,
    ) -> Result<(), LabError> {
        let tick = i64::try_from(TICK.as_nanos()).unwrap_or(i64::MAX);
        let mut stamps = Stamps::new(clock);
        loop {
            let until = stamps.wall(clock.now()).plus(tick);
            let step = capture.next(until).map_err(|error| LabError::Failed {
                what: "watch the loopback interface",
                error: std::io::Error::other(error),
            })?;
            stamps.look();
            match step {
                Step::Batch(batch) => {
                    for mut frame in batch.frames() {
                        frame.time = stamps.time(frame.time);
                        if !self.tell(&frame, voice) {
                            return Ok(());
                        }
                    }
                    capture.recycle(batch);
                }
                Step::Quiet(time) if !voice.tell(Event::Quiet(stamps.time(time))) => return Ok(()),
                Step::Quiet(_) | Step::Link(_) => {}
                Step::End(_) => return Ok(()),
            }
        }
    }

    /// On loopback a frame arrives when it is sent. False when nobody listens any more.
    fn tell(&mut self, frame: &Frame<'_>, voice: &Voice) -> bool {
        let others = self.all.then_some(Host::Client);
        let Some(from) = self.sender(frame.bytes).or(others) else {
            return true;
        };
        self.sent += 1;
        let sent = voice.tell(Event::Sent(Transit {
            number: self.sent,
            time: frame.time,
            from,
            bytes: frame.bytes.into(),
            checksum: frame.checksum,
            dropped: None,
            twice: false,
            held: None,
        }));
        sent && voice.tell(Event::Delivered {
            number: self.sent,
            time: frame.time,
            to: from.other(),
            again: false,
        })
    }

    /// Who sent this frame, if it belongs to the scenario. Fragments are known by their first one only, so none is.
    fn sender(&self, bytes: &[u8]) -> Option<Host> {
        let packet = SlicedPacket::from_ethernet(bytes).ok()?;
        match packet.transport? {
            TransportSlice::Tcp(tcp) => self.by_ports(tcp.source_port(), tcp.destination_port()),
            TransportSlice::Udp(udp) => self.by_ports(udp.source_port(), udp.destination_port()),
            // An error goes back to the sender of the packet that it quotes.
            TransportSlice::Icmpv4(icmp) => self.quoted(icmp.payload()),
            TransportSlice::Icmpv6(icmp) => self.quoted(icmp.payload()),
            _ => None,
        }
    }

    fn by_ports(&self, source: u16, destination: u16) -> Option<Host> {
        if self.ports.contains(&destination) {
            Some(Host::Client)
        } else if self.ports.contains(&source) {
            Some(Host::Server)
        } else {
            None
        }
    }

    fn quoted(&self, payload: &[u8]) -> Option<Host> {
        let packet = SlicedPacket::from_ip(payload).ok()?;
        let quoted = match packet.transport? {
            TransportSlice::Tcp(tcp) => self.by_ports(tcp.source_port(), tcp.destination_port()),
            TransportSlice::Udp(udp) => self.by_ports(udp.source_port(), udp.destination_port()),
            _ => None,
        };
        quoted.map(Host::other)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use etherparse::PacketBuilder;

    use super::*;

    #[test]
    fn only_frames_of_the_scenario_are_told_and_by_whom() {
        let tap = Tap {
            ports: vec![5000],
            all: false,
            sent: 0,
        };
        let udp = |source, destination| {
            let mut bytes = Vec::new();
            PacketBuilder::ethernet2([0; 6], [0; 6])
                .ipv4([127, 0, 0, 1], [127, 0, 0, 1], 64)
                .udp(source, destination)
                .write(&mut bytes, b"x")
                .unwrap();
            bytes
        };
        assert_eq!(tap.sender(&udp(41000, 5000)), Some(Host::Client));
        assert_eq!(tap.sender(&udp(5000, 41000)), Some(Host::Server));
        assert_eq!(tap.sender(&udp(53, 41000)), None);
        let mut error = Vec::new();
        PacketBuilder::ethernet2([0; 6], [0; 6])
            .ipv4([127, 0, 0, 1], [127, 0, 0, 1], 64)
            .icmpv4_raw(3, 3, [0; 4])
            .write(&mut error, &udp(41000, 5000)[14..])
            .unwrap();
        assert_eq!(tap.sender(&error), Some(Host::Server));
    }
}
