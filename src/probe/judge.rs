//! Where a packet goes, by all that its bytes say: read as those on its way read them, not as its words were meant.

use std::{
    collections::HashSet,
    net::{IpAddr, Ipv4Addr},
    ops::{ControlFlow, Range},
};

use super::{
    KernelRoute, ProbeError,
    limits::{Aim, Plan, Refusal, Scope, Whither},
    outlet,
};
use crate::{
    decode::{Decoded, Decoder},
    field::{Field, Value, Visit},
    frame::Frame,
    layer::{Packet, View},
    link::LinkType,
    text::Mac,
};

/// What was judged is remembered up to this many; then all is forgotten, and judged again.
const REMEMBERED: usize = 65_536;
/// The fields that hold stops of a source route, besides the destination in the header.
const STOPS: [&str; 4] = [
    "ip.cur_rt",
    "ip.src_rt",
    "ipv6.routing.src.addr",
    "ipv6.routing.srh.addr",
];

/// How a pair of addresses stands in a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Place {
    /// In the header by which the kernel routes the packet.
    Routed,
    /// In the first header of a frame that leaves on a link, for one host or for all.
    Framed { for_all: bool },
    /// In ARP, which no router passes on.
    OnLink,
    /// In a tunnel, or a later stop of a source route: routed by others.
    Inside,
}

/// Judges packets before they leave; cheap for those that go where others went.
#[derive(Debug)]
pub struct Judge {
    route: KernelRoute,
    plan: Plan,
    decoder: Decoder,
    decoded: Decoded,
    /// From where to where: found harmless.
    known: HashSet<(Place, IpAddr, IpAddr)>,
    /// The first that goes further than the networks of this host.
    far: Option<Aim>,
}

impl Judge {
    /// Judges by `plan`, with the routes of `route`.
    pub fn new(route: KernelRoute, plan: Plan) -> Self {
        Self {
            route,
            plan,
            decoder: Decoder::default(),
            decoded: Decoded::default(),
            known: HashSet::new(),
            far: None,
        }
    }

    /// Judges a packet that is about to leave.
    ///
    /// # Errors
    /// [`ProbeError::Refused`]; [`ProbeError::NoRoute`] when the kernel has none for an IP packet that it is to route.
    pub fn check(&mut self, frame: &Frame<'_>) -> Result<(), ProbeError> {
        let mut decoded = std::mem::take(&mut self.decoded);
        decoded.clear();
        self.decoder.frame(frame, &mut decoded);
        let checked = match decoded.packet_of(*frame, 0) {
            Some(packet) => self.packet(&packet),
            None => Ok(()),
        };
        self.decoded = decoded;
        checked
    }

    /// Judges the speed of the packets that were checked, where it is known only after the last of them.
    ///
    /// # Errors
    /// [`Refusal::Flood`].
    pub fn check_speed(&self, plan: &Plan) -> Result<(), Refusal> {
        self.far.iter().try_for_each(|aim| plan.check_aim(aim))
    }

    fn packet(&mut self, packet: &Packet<'_>) -> Result<(), ProbeError> {
        let is_routed = outlet::is_routed(packet.frame.link);
        let group = packet
            .frame
            .bytes
            .first()
            .is_some_and(|first| first & 1 == 1);
        let for_all = packet.frame.link == LinkType::ETHERNET && group;
        let mut place = match is_routed {
            true => Place::Routed,
            false => Place::Framed { for_all },
        };
        let mut has_addresses = false;
        for view in packet.views().filter(|view| !view.layer.quoted) {
            let ends = view.layer.protocol.addresses;
            let Some((source, last)) = ends.and_then(|addresses| addresses(&view)) else {
                continue;
            };
            has_addresses = true;
            match view.layer.protocol.name {
                "arp" => self.ends(packet, (Place::OnLink, source, last))?,
                "ipv6.routing" => self.stops(packet, &view, source)?,
                _ => {
                    // With a source route, the header names the next stop only.
                    let next = outlet::destination(view.header()).unwrap_or(last);
                    self.ends(packet, (place, source, next))?;
                    self.stops(packet, &view, source)?;
                }
            }
            place = Place::Inside;
        }
        match (has_addresses, is_routed) {
            (true, _) => Ok(()),
            (false, false) => self.frame(packet, for_all),
            (false, true) => {
                // No IP by its version: it leaves for where IPv4 has its destination all the same.
                let Some(to) = outlet::destination(packet.frame.bytes) else {
                    return Ok(());
                };
                let from = packet.frame.bytes.get(12..16);
                let from = from.and_then(|octets| <[u8; 4]>::try_from(octets).ok());
                let from = Ipv4Addr::from(from.unwrap_or_default());
                self.ends(packet, (Place::Routed, from.into(), to))
            }
        }
    }

    /// The later stops of a source route.
    fn stops(
        &mut self,
        packet: &Packet<'_>,
        view: &View<'_>,
        source: IpAddr,
    ) -> Result<(), ProbeError> {
        const WITHOUT_OPTIONS: usize = 20;
        if view.layer.protocol.name == "ip" && view.header().len() <= WITHOUT_OPTIONS {
            return Ok(());
        }
        let mut stops = Stops::default();
        let _ = view.visit(&mut stops);
        for stop in stops.0 {
            self.ends(packet, (Place::Inside, source, stop))?;
        }
        Ok(())
    }

    fn ends(
        &mut self,
        packet: &Packet<'_>,
        ends: (Place, IpAddr, IpAddr),
    ) -> Result<(), ProbeError> {
        if self.known.contains(&ends) {
            return Ok(());
        }
        let (place, source, destination) = ends;
        let scope = match place {
            Place::Inside => Scope::beyond(destination),
            Place::OnLink => Scope::Link {
                near: self.link_is_near(packet),
            },
            Place::Routed => self.route.way(destination)?.scope,
            Place::Framed { for_all } => self.framed(packet, destination, for_all)?,
        };
        let honest = source.is_unspecified() || self.route.sends_as(source, destination);
        self.aimed(Aim {
            spoofed: (!honest).then_some(source),
            destination: Whither::Address(destination),
            scope,
        })?;
        if self.known.len() >= REMEMBERED {
            self.known.clear();
        }
        self.known.insert(ends);
        Ok(())
    }

    /// Where an IP packet goes that a frame carries: onto its link, even when the kernel knows no route by that, or would
    /// keep it on this host.
    fn framed(
        &self,
        packet: &Packet<'_>,
        destination: IpAddr,
        for_all: bool,
    ) -> Result<Scope, ProbeError> {
        let near = self.link_is_near(packet);
        if for_all && !near {
            return Ok(Scope::Broadcast { near });
        }
        match self.route.way(destination) {
            Ok(way) if way.device.is_loopback() && near => Ok(Scope::Link { near }),
            Ok(way) if matches!(way.scope, Scope::Own | Scope::Loopback) => {
                Ok(Scope::Link { near })
            }
            Ok(way) => Ok(way.scope),
            Err(ProbeError::NoRoute(_)) => Ok(Scope::beyond(destination)),
            Err(error) => Err(error),
        }
    }

    /// A frame that carries no IP stays on its link.
    fn frame(&mut self, packet: &Packet<'_>, for_all: bool) -> Result<(), ProbeError> {
        let near = self.link_is_near(packet);
        let mac = packet.frame.bytes.first_chunk::<6>();
        self.aimed(Aim {
            spoofed: None,
            destination: Whither::Mac(Mac(mac.copied().unwrap_or_default())),
            scope: match for_all {
                true => Scope::Broadcast { near },
                false => Scope::Link { near },
            },
        })
    }

    fn aimed(&mut self, aim: Aim) -> Result<(), ProbeError> {
        self.plan.check_aim(&aim).map_err(ProbeError::Refused)?;
        if !aim.scope.is_near() {
            self.far.get_or_insert(aim);
        }
        Ok(())
    }

    /// The link that a frame leaves on is loopback or a private network.
    fn link_is_near(&self, packet: &Packet<'_>) -> bool {
        match self.route.interface() {
            Some(device) => self.route.link_is_near(device),
            None => outlet::route_of(packet, &self.route)
                .is_ok_and(|way| self.route.link_is_near(&way.device)),
        }
    }
}

/// Collects the stops of a source route; a header has room for few.
#[derive(Default)]
struct Stops(Vec<IpAddr>);

impl Visit for Stops {
    fn field(
        &mut self,
        field: &'static Field,
        value: Value<'_>,
        _bits: Range<u32>,
    ) -> ControlFlow<()> {
        match value {
            Value::Ipv4(stop) if STOPS.contains(&field.name) => self.0.push(stop.into()),
            Value::Ipv6(stop) if STOPS.contains(&field.name) => self.0.push(stop.into()),
            _ => {}
        }
        ControlFlow::Continue(())
    }
}
