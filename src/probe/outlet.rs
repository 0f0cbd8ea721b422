//! Where a packet leaves: the socket on which it arrives as it was made.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddrV4, SocketAddrV6},
    sync::Arc,
};

use super::{KernelRoute, ProbeError};
use crate::{
    checksum,
    layer::Packet,
    link::LinkType,
    sys::{
        packet::Layer,
        route::Device,
        sender::{BATCH, Sender, Target},
        xdp::FrameRing,
    },
};

/// How often a single packet is tried while the interface's queue is full: about a second.
const TRIES: usize = 1000;

/// Which kind of socket to use.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Via {
    /// The one on which the packet stays as it is.
    #[default]
    Fitting,
    /// A raw IP socket, which rewrites checksum, total length, and a zero id or source.
    RawIp,
    /// A packet socket on this interface, or on the one that the route names.
    Packet(Option<String>),
}

/// An open socket for packets like the one it was opened for. Sending allocates nothing.
#[derive(Debug)]
pub struct Outlet {
    sender: Sender,
    /// Sends whole frames faster than `sender`, where it is allowed.
    fast: Option<FrameRing>,
    form: Form,
    route: KernelRoute,
    /// The interface of the first packet.
    device: Arc<Device>,
    /// Where the packets of a batch go, for sockets that are bound to no single place.
    targets: Vec<(IpAddr, Target)>,
    why: String,
}

/// What the socket takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    /// Whole frames.
    Frames,
    /// IP packets that the kernel puts a link header on.
    OnLink,
    /// IPv4 packets for the kernel to route.
    Routed4,
    /// IPv6 packets for the kernel to route.
    Routed6,
}

/// What a raw IP socket would change in this IPv4 packet, in words that go on "a raw IP socket would"; `None` when it
/// would send it as it is. It never changes IPv6.
pub fn changed_by_raw(packet: &[u8]) -> Option<&'static str> {
    let first = packet.first().copied().unwrap_or_default();
    if first >> 4 == 6 {
        return None;
    }
    let len = usize::from(first & 15) * 4;
    let header = packet.get(..len).filter(|header| header.len() >= 20);
    let Some(header) = header.filter(|_| first >> 4 == 4) else {
        return Some("refuse its version or header length");
    };
    let half = |at: usize| u16::from_be_bytes([header[at], header[at + 1]]);
    let rewritten = [
        (
            usize::from(half(2)) != packet.len(),
            "correct its total length",
        ),
        (half(4) == 0, "fill in its identification, which is zero"),
        (
            header[12..16] == [0; 4],
            "fill in its source, which is zero",
        ),
        (
            checksum::finish(checksum::sum(0, header)) != 0,
            "correct its header checksum",
        ),
    ];
    rewritten
        .iter()
        .find(|(yes, _)| *yes)
        .map(|(_, what)| *what)
}

/// Whether packets of this kind begin with IP, so that the kernel finds their way.
pub(super) fn is_routed(link: LinkType) -> bool {
    matches!(link, LinkType::RAW | LinkType::IPV4 | LinkType::IPV6)
}

/// Where an IP packet says that it goes next.
pub(super) fn destination(packet: &[u8]) -> Option<IpAddr> {
    match packet.first()? >> 4 {
        6 => {
            let octets: [u8; 16] = packet.get(24..40)?.try_into().ok()?;
            Some(Ipv6Addr::from(octets).into())
        }
        // Whatever else the version says, it is looked for where IPv4 has it.
        _ => {
            let octets: [u8; 4] = packet.get(16..20)?.try_into().ok()?;
            Some(Ipv4Addr::from(octets).into())
        }
    }
}

impl Outlet {
    /// Opens the socket for `packet`, whose outermost layer is a link header or IP.
    ///
    /// # Errors
    /// When the kernel refuses the socket, has no route, or cannot carry such a packet.
    pub fn open(packet: &Packet<'_>, via: &Via, route: &KernelRoute) -> Result<Self, ProbeError> {
        let bytes = packet.frame.bytes;
        if !is_routed(packet.frame.link) {
            return Self::frames(packet, via, route);
        }
        let destination = destination(bytes)
            .ok_or_else(|| unsendable("the packet is too short to have a destination"))?;
        let (changed, is_v6) = (changed_by_raw(bytes), destination.is_ipv6());
        let way = route.way(destination);
        match (via, changed) {
            (Via::Packet(name), _) => {
                let why = "as asked";
                Self::on_link(name.as_deref(), destination, route, why)
            }
            (Via::Fitting, Some(what)) if way.as_ref().is_ok_and(|w| w.device.is_loopback()) => {
                Err(unsendable(format!(
                    "a raw IP socket would {what}, and loopback delivers IPv4 from no other socket: \
                     --via raw sends it all the same; a wrong header arrives in a lab: sockwire echo"
                )))
            }
            (Via::Fitting, Some(what)) => {
                let why = format!("a raw IP socket would {what}");
                Self::on_link(None, destination, route, &why)
            }
            (Via::Fitting | Via::RawIp, _) => {
                let way = way?;
                let (form, sender) = match is_v6 {
                    true => (Form::Routed6, Sender::raw_v6()),
                    false => (Form::Routed4, Sender::raw_v4()),
                };
                let sender = sender.map_err(|e| ProbeError::io("open a raw IP socket", e))?;
                if let Some(device) = route.interface() {
                    let doing = || format!("send by {}", device.name);
                    let through = sender.through(&device.name);
                    through.map_err(|e| ProbeError::io(doing(), e))?;
                }
                let rewrites = changed.map(|what| format!(": it will {what}"));
                let family = if is_v6 { "IPv6" } else { "IPv4" };
                let why = format!("raw {family} socket{}", rewrites.unwrap_or_default());
                Ok(Self::new(sender, form, route, Arc::clone(&way.device), why))
            }
        }
    }

    fn new(
        sender: Sender,
        form: Form,
        route: &KernelRoute,
        device: Arc<Device>,
        why: String,
    ) -> Self {
        Self {
            sender,
            fast: None,
            form,
            route: route.clone(),
            device,
            targets: Vec::with_capacity(BATCH),
            why,
        }
    }

    /// A packet socket for frames that have their link header.
    fn frames(packet: &Packet<'_>, via: &Via, route: &KernelRoute) -> Result<Self, ProbeError> {
        let link = packet.frame.link;
        let device = match via {
            Via::RawIp => {
                return Err(unsendable(format!(
                    "a raw IP socket sends no link header ({link}): leave it out, or --via packet"
                )));
            }
            Via::Packet(Some(name)) => route.device(name)?,
            Via::Fitting | Via::Packet(None) => match route.interface() {
                Some(device) => Arc::clone(device),
                None => Arc::clone(&route_of(packet, route)?.device),
            },
        };
        if !carries(&device, link) {
            let name = &device.name;
            return Err(unsendable(format!(
                "{name} does not carry frames of this kind ({link})"
            )));
        }
        let sender = packet_socket(Layer::Link, &device)?;
        let bound = sender.bind(&Target::link(device.index, 0, None));
        bound.map_err(|e| ProbeError::io(format!("send on {}", device.name), e))?;
        let why = format!("packet socket on {}: link header given", device.name);
        Ok(Self::new(sender, Form::Frames, route, device, why))
    }

    /// A packet socket for IP packets: the kernel writes the link header, with the addresses that the route names.
    fn on_link(
        name: Option<&str>,
        destination: IpAddr,
        route: &KernelRoute,
        why: &str,
    ) -> Result<Self, ProbeError> {
        let route = match name {
            Some(_) => &KernelRoute::by(name)?,
            None => route,
        };
        let device = Arc::clone(&route.way(destination)?.device);
        let sender = packet_socket(Layer::Network, &device)?;
        let mut why = format!("packet socket on {}: {why}", device.name);
        if device.is_loopback() && destination.is_ipv4() {
            why.push_str("; seen there, but the kernel delivers no IPv4 from packet sockets");
        }
        let outlet = Self::new(sender, Form::OnLink, route, device, why);
        // Whoever has no hardware address is found out now, while there are rights to ask.
        outlet.target(destination)?;
        Ok(outlet)
    }

    /// Which socket it is and why, in words ("raw IP socket", "packet socket on eth0: …").
    pub fn describe(&self) -> String {
        self.why.clone()
    }

    /// The interface by which the packet that it was opened for leaves.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// It is a raw IP socket, which may change packets unlike the one it was opened for ([`changed_by_raw`]).
    pub fn is_raw(&self) -> bool {
        matches!(self.form, Form::Routed4 | Form::Routed6)
    }

    /// Finds out where a packet has to go, as long as there are rights to ask for hardware addresses. Who does not answer
    /// is told when the packet is sent.
    pub fn ask_ahead(&self, packet: &[u8]) {
        if let (Form::OnLink, Some(destination)) = (self.form, destination(packet)) {
            let _ = self.target(destination);
        }
    }

    /// Goes past the interface's queue, for the highest speed, and hands whole Ethernet frames over by AF_XDP where the
    /// kernel has it; nothing changes for raw IP sockets, which cannot. Captures on that
    /// interface do not see what leaves this way; where it arrives, it is seen.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn hurry(&mut self) -> Result<(), ProbeError> {
        if self.is_raw() {
            return Ok(());
        }
        let bypassed = self.sender.bypass_queue();
        bypassed.map_err(|e| ProbeError::io("go past the interface's queue", e))?;
        if self.form == Form::Frames && carries(&self.device, LinkType::ETHERNET) {
            // Nobody misses it who has the packet socket.
            self.fast = FrameRing::open(self.device.index, self.device.mtu).ok();
        }
        if self.fast.is_some() {
            self.why = format!("AF_XDP socket on {}: link header given", self.device.name);
        }
        Ok(())
    }

    /// Sends a packet, from its outermost layer on.
    ///
    /// # Errors
    /// The kernel's answer.
    pub fn send(&mut self, bytes: &[u8]) -> Result<(), ProbeError> {
        for _ in 0..TRIES {
            if self.send_many(bytes, &[bytes.len() as u32])? == 1 {
                return Ok(());
            }
        }
        Err(ProbeError::io(
            format!("send on {}", self.device.name),
            io::Error::from_raw_os_error(libc::ENOBUFS),
        ))
    }

    /// Sends packets that stand one after the other in `bytes`, as long as `lengths` say, in as few calls as possible.
    /// Returns how many left: fewer when the kernel's queue is full (it has waited a little then), or a signal came.
    ///
    /// # Errors
    /// The kernel's answer to the first packet.
    pub fn send_many(&mut self, bytes: &[u8], lengths: &[u32]) -> Result<usize, ProbeError> {
        let mut rest = bytes;
        let mut sent = 0;
        for lengths in lengths.chunks(BATCH) {
            let (batch, after) = rest.split_at(total(lengths).min(rest.len()));
            rest = after;
            let left = match self.send_batch(batch, lengths) {
                Ok(left) => left,
                // What left before is told first; the same answer comes again.
                Err(_) if sent > 0 => return Ok(sent),
                Err(error) => return Err(error),
            };
            sent += left;
            if left < lengths.len() {
                break;
            }
        }
        Ok(sent)
    }

    fn send_batch(&mut self, bytes: &[u8], lengths: &[u32]) -> Result<usize, ProbeError> {
        if let Some(fast) = &mut self.fast
            && lengths.iter().all(|len| fast.takes(*len as usize))
        {
            let sent = fast.send(cut(bytes, lengths));
            if sent < lengths.len() {
                // The packet socket goes on, and its answer says what is wrong.
                self.fast = None;
            }
            return Ok(sent);
        }
        self.targets.clear();
        if self.form != Form::Frames {
            for packet in cut(bytes, lengths) {
                let destination = destination(packet)
                    .ok_or_else(|| unsendable("the packet is too short to have a destination"))?;
                let target = match self.targets.last() {
                    Some(last) if last.0 == destination => last.1.clone(),
                    _ => self.target(destination)?,
                };
                self.targets.push((destination, target));
            }
        }
        let mut targets = self.targets.iter().map(|(_, target)| target);
        let packets = cut(bytes, lengths).map(|packet| (packet, targets.next()));
        match self.sender.send(packets) {
            Ok(sent) => Ok(sent),
            Err(error) => match error.raw_os_error() {
                Some(libc::EINTR) => Ok(0),
                Some(libc::ENOBUFS | libc::EAGAIN) => {
                    self.sender.wait();
                    Ok(0)
                }
                _ => Err(self.refused(error, bytes, lengths)),
            },
        }
    }

    /// Where the socket is told to send a packet for `destination`.
    fn target(&self, destination: IpAddr) -> Result<Target, ProbeError> {
        use crate::craft::Route as _;
        match (self.form, destination) {
            (Form::Routed4, IpAddr::V4(v4)) => Ok(Target::v4(SocketAddrV4::new(v4, 0))),
            (Form::Routed6, IpAddr::V6(v6)) => {
                let scope = match v6.is_unicast_link_local() || v6.is_multicast() {
                    true => self.device.index,
                    false => 0,
                };
                Ok(Target::v6(SocketAddrV6::new(v6, 0, 0, scope)))
            }
            (Form::OnLink | Form::Frames, _) => {
                let ethertype = if destination.is_ipv6() {
                    libc::ETH_P_IPV6
                } else {
                    libc::ETH_P_IP
                };
                let mac = match self.device.mac {
                    Some(_) => {
                        let macs = self.route.macs(destination);
                        Some(macs.ok_or(ProbeError::NoNeighbour(destination))?.1)
                    }
                    // A link without such addresses, such as a tunnel.
                    None => None,
                };
                Ok(Target::link(self.device.index, ethertype as u16, mac))
            }
            (Form::Routed4 | Form::Routed6, _) => Err(unsendable(
                "IPv4 and IPv6 packets do not leave by the same raw IP socket: --via packet",
            )),
        }
    }

    /// The kernel's answer to the first packet of a batch, in words.
    fn refused(&self, error: io::Error, bytes: &[u8], lengths: &[u32]) -> ProbeError {
        let first = cut(bytes, lengths).next().unwrap_or_default();
        let destination = destination(first).filter(|_| self.form != Form::Frames);
        match (error.raw_os_error(), destination) {
            (Some(libc::EMSGSIZE), _) => {
                let way = destination.and_then(|to| self.route.way(to).ok());
                let mtu = way.map_or(self.device.mtu, |way| way.mtu);
                let (len, name) = (first.len(), &self.device.name);
                unsendable(format!(
                    "the packet has {len} bytes, and {name} carries {mtu} (its MTU): \
                     sockwire send --mtu {mtu} sends it in fragments"
                ))
            }
            (Some(libc::ENETUNREACH | libc::EHOSTUNREACH), Some(to)) => ProbeError::NoRoute(to),
            (Some(libc::ENETDOWN), _) => {
                unsendable(format!("{0} is down: ip link set {0} up", self.device.name))
            }
            _ => ProbeError::io(format!("send on {}", self.device.name), error),
        }
    }
}

fn total(lengths: &[u32]) -> usize {
    lengths.iter().map(|len| *len as usize).sum()
}

/// The packets that stand one after the other in `bytes`; fewer where it ends early.
fn cut<'a>(bytes: &'a [u8], lengths: &'a [u32]) -> impl Iterator<Item = &'a [u8]> {
    let mut rest = bytes;
    lengths.iter().map_while(move |len| {
        let (packet, after) = rest.split_at_checked(*len as usize)?;
        rest = after;
        Some(packet)
    })
}

fn unsendable(why: impl Into<String>) -> ProbeError {
    ProbeError::Unsendable(why.into())
}

fn packet_socket(layer: Layer, device: &Device) -> Result<Sender, ProbeError> {
    let doing = || format!("open a packet socket on {}", device.name);
    Sender::packet(layer).map_err(|e| ProbeError::io(doing(), e))
}

/// The way to the destination of the first network layer.
pub(super) fn route_of(
    packet: &Packet<'_>,
    route: &KernelRoute,
) -> Result<Arc<super::Way>, ProbeError> {
    let ends = packet
        .views()
        .find_map(|view| (view.layer.protocol.addresses?)(&view));
    let Some((_, destination)) = ends else {
        return Err(unsendable(
            "no layer of the packet tells by which interface it leaves: -i IF",
        ));
    };
    route.way(destination)
}

/// Whether an interface takes frames that begin with this header.
fn carries(device: &Device, link: LinkType) -> bool {
    let ethernet = matches!(device.hardware, libc::ARPHRD_ETHER | libc::ARPHRD_LOOPBACK);
    match link {
        LinkType::ETHERNET => ethernet,
        // Other links know their own headers.
        _ => !ethernet,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::craft::testing::built;

    #[test]
    fn what_a_raw_socket_would_change_is_known() {
        let usual = "ip src=10.0.0.1 dst=10.0.0.2 / udp dport=9";
        assert_eq!(changed_by_raw(&built(usual)), None);
        for (word, what) in [
            ("id=0", "identification"),
            ("len=999", "total length"),
            ("chksum=0xdead", "header checksum"),
            ("src=0.0.0.0", "source"),
            ("version=5", "version"),
            ("ihl=4", "header length"),
            ("ihl=15", "header length"),
        ] {
            let changed = changed_by_raw(&built(&usual.replace("ip ", &format!("ip {word} "))));
            // A word given twice keeps the last value: the source stands before.
            if word.starts_with("src") {
                continue;
            }
            assert!(changed.unwrap().contains(what), "{word}: {changed:?}");
        }
        let no_source = built("ip dst=10.0.0.2 / udp dport=9");
        assert!(changed_by_raw(&no_source).unwrap().contains("source"));
        for len in 0..20 {
            assert!(changed_by_raw(&no_source[..len]).is_some());
        }
        // A wrong checksum further in is nobody's business.
        assert_eq!(changed_by_raw(&built(&format!("{usual} chksum=1"))), None);
    }

    #[test]
    fn a_batch_is_cut_as_its_lengths_say() {
        let cut_into = |bytes, lengths| cut(bytes, lengths).collect::<Vec<_>>();
        assert_eq!(cut_into(b"abcdef", &[1, 3, 2]), [&b"a"[..], b"bcd", b"ef"]);
        assert_eq!(cut_into(b"abc", &[2, 3]), [b"ab"]);
    }

    #[test]
    fn destinations_are_read_from_whatever_is_long_enough() {
        let v4 = built("ip src=10.0.0.1 dst=10.0.0.2 / udp dport=9");
        assert_eq!(destination(&v4), Some([10, 0, 0, 2].into()));
        assert_eq!(destination(&v4[..19]), None);
        assert_eq!(destination(&[0x60; 39]), None);
        assert_eq!(destination(&[]), None);
    }
}
