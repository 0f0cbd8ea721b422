//! Which connection, and which socket, a TCP segment belongs to.

use std::{
    collections::{BTreeSet, HashMap, VecDeque},
    net::SocketAddr,
};

use super::{
    flow::Flow,
    socket::{Scope, Sock},
};
use crate::{
    event::{PacketId, SocketId},
    timeline::{
        address::{local, uses},
        known::Known,
        seen::Segment,
    },
};

/// Connections of one socket pair, one after the other, that are remembered.
const GENERATIONS: usize = 16;
/// Sockets that are looked at where several could be meant.
const CANDIDATES: usize = 16;
/// Sockets that are looked at of those that listen at a port, whatever their address: the latest.
const LISTENERS: usize = 256;

/// The two ends of connections, in their own order.
type Pair = (Scope, SocketAddr, SocketAddr);

/// Connections, and the sockets that wait for one.
#[derive(Debug, Default)]
pub(super) struct Directory {
    flows: HashMap<u32, Flow>,
    /// How many there have been.
    begun: u32,
    pairs: HashMap<Pair, Vec<u32>>,
    /// Connections that have ended, each with the packet that ended it.
    ended: VecDeque<(PacketId, u32, Pair)>,
    /// Connections whose client is not known, by its port and the server.
    loose: HashMap<(Scope, u16, SocketAddr), u32>,
    /// Sockets of which the port and the other end are known, and no packet.
    awaiting: HashMap<(u16, SocketAddr), Vec<SocketId>>,
    /// Sockets without a port that a call connects, by the other end.
    connecting: HashMap<SocketAddr, BTreeSet<SocketId>>,
    listeners: HashMap<u16, Vec<SocketId>>,
}

impl Directory {
    /// The connection of a segment, which end sends it, and whether it is new.
    pub(super) fn flow(
        &mut self,
        scope: Scope,
        (from, to): (SocketAddr, SocketAddr),
        segment: &Segment,
    ) -> (u32, usize, bool) {
        let side = usize::from(from > to);
        let pairs = self.pairs.entry(key(scope, from, to)).or_default();
        let begins = segment.syn && segment.ack.is_none();
        let last = pairs.last().copied().filter(|&last| {
            let flow = self.flows.get(&last);
            !begins || flow.is_some_and(|flow| !flow.ends[side].out.is_other(segment))
        });
        if let Some(last) = last {
            return (last, side, false);
        }
        let number = self.begun;
        self.begun = number.wrapping_add(1);
        let mut flow = Flow::default();
        flow.ends[side].port = from.port();
        flow.ends[1 - side].port = to.port();
        self.flows.insert(number, flow);
        if pairs.len() >= GENERATIONS {
            pairs.remove(0);
        }
        pairs.push(number);
        (number, side, true)
    }

    pub(super) fn at(&mut self, number: u32) -> Option<&mut Flow> {
        self.flows.get_mut(&number)
    }

    /// The connection has ended with this packet.
    pub(super) fn ends(
        &mut self,
        packet: PacketId,
        (scope, (a, b)): (Scope, (SocketAddr, SocketAddr)),
        number: u32,
    ) {
        self.ended.push_back((packet, number, key(scope, a, b)));
    }

    /// Forgets the connections that ended before the packet `before`, all of whose sockets are closed; the others are looked
    /// at again when `now` is as long ago. Answers with those sockets.
    pub(super) fn forget(
        &mut self,
        (before, now): (PacketId, PacketId),
        is_closed: impl Fn(SocketId) -> bool,
    ) -> Vec<SocketId> {
        let mut gone = Vec::new();
        while let Some(&(_, number, pair)) = self.ended.front().filter(|ended| ended.0 < before) {
            self.ended.pop_front();
            let ends = self
                .flows
                .get(&number)
                .into_iter()
                .flat_map(|flow| &flow.ends);
            let owners: Vec<SocketId> = ends.filter_map(|end| end.owner).collect();
            if !owners.iter().all(|&id| is_closed(id)) {
                self.ended.push_back((now, number, pair));
                continue;
            }
            gone.extend(owners);
            self.flows.remove(&number);
            if let Some(pairs) = self.pairs.get_mut(&pair) {
                pairs.retain(|flow| *flow != number);
                if pairs.is_empty() {
                    self.pairs.remove(&pair);
                }
            }
            let (scope, a, b) = pair;
            for loose in [(scope, a.port(), b), (scope, b.port(), a)] {
                if self.loose.get(&loose) == Some(&number) {
                    self.loose.remove(&loose);
                }
            }
        }
        gone
    }

    /// A connection whose end at `local` has no socket yet: for an accepted socket the first one that was opened, for one
    /// that connects the last.
    pub(super) fn unowned(
        &self,
        scope: Scope,
        (local, peer): (SocketAddr, SocketAddr),
        connects: bool,
    ) -> Option<(u32, usize)> {
        let side = usize::from(local > peer);
        if connects && local.ip().is_unspecified() {
            let flow = self.loose.get(&(scope, local.port(), peer))?;
            let flow_at = self.flows.get(flow)?;
            let side = usize::from(!flow_at.ends[1].passive);
            return flow_at.ends[side].owner.is_none().then_some((*flow, side));
        }
        let pairs = self.pairs.get(&key(scope, local, peer))?;
        let flow = |number: &&u32| self.flows.get(*number);
        let free = |number: &&u32| flow(number).is_some_and(|flow| flow.ends[side].owner.is_none());
        let found = if connects {
            pairs.iter().rev().take(1).find(free)
        } else {
            let open = |number: &&u32| flow(number).is_some_and(|flow| flow.open);
            let mut all = pairs.iter().filter(free);
            all.clone().find(open).or_else(|| all.next_back())
        };
        found.map(|&number| (number, side))
    }

    /// The socket at `local` of the latest connection with `peer`.
    pub(super) fn owner(
        &self,
        scope: Scope,
        (local, peer): (SocketAddr, SocketAddr),
    ) -> Option<SocketId> {
        let number = *self.pairs.get(&key(scope, local, peer))?.last()?;
        let flow = self.flows.get(&number)?;
        flow.ends[usize::from(local > peer)].owner
    }

    /// A client whose socket is not known yet.
    pub(super) fn is_loose(
        &mut self,
        scope: Scope,
        (from, to): (SocketAddr, SocketAddr),
        flow: u32,
    ) {
        self.loose.insert((scope, from.port(), to), flow);
    }

    /// The socket waits for a connection from `port` to `peer`.
    pub(super) fn awaits(&mut self, port: u16, peer: SocketAddr, socket: SocketId) {
        let sockets = self.awaiting.entry((port, peer)).or_default();
        if !sockets.contains(&socket) {
            if sockets.len() >= CANDIDATES {
                sockets.remove(0);
            }
            sockets.push(socket);
        }
    }

    /// The socket does not wait any more.
    pub(super) fn gives_up(&mut self, port: u16, peer: SocketAddr, socket: SocketId) {
        if let Some(sockets) = self.awaiting.get_mut(&(port, peer)) {
            sockets.retain(|id| *id != socket);
            if sockets.is_empty() {
                self.awaiting.remove(&(port, peer));
            }
        }
    }

    /// The socket that waits for a connection from `from` to `to`.
    pub(super) fn awaited(
        &mut self,
        scope: Scope,
        (from, to): (SocketAddr, SocketAddr),
        known: &Known,
    ) -> Option<SocketId> {
        let sockets = self.awaiting.get_mut(&(from.port(), to))?;
        let found = sockets.iter().position(|id| {
            known.sockets.get(id).is_some_and(|socket| {
                scope.has(socket.net) && local(socket).is_some_and(|local| uses(local, from))
            })
        })?;
        let socket = sockets.remove(found);
        if sockets.is_empty() {
            self.awaiting.remove(&(from.port(), to));
        }
        Some(socket)
    }

    /// A call connects a socket without a port to `to`.
    pub(super) fn connects(&mut self, to: SocketAddr, socket: SocketId) {
        self.connecting.entry(to).or_default().insert(socket);
    }

    /// It does not any more, or its port is known.
    pub(super) fn connected(&mut self, to: SocketAddr, socket: SocketId) {
        if let Some(sockets) = self.connecting.get_mut(&to) {
            sockets.remove(&socket);
            if sockets.is_empty() {
                self.connecting.remove(&to);
            }
        }
    }

    /// The only socket of all that a call connects to `to`; of several, their ports will tell.
    pub(super) fn connects_to(
        &self,
        scope: Scope,
        to: SocketAddr,
        known: &Known,
    ) -> Option<SocketId> {
        let sockets = self.connecting.get(&to)?;
        if sockets.len() > CANDIDATES {
            return None;
        }
        let mut here = sockets.iter().copied().filter(|id| {
            let socket = known.sockets.get(id);
            socket.is_some_and(|socket| scope.has(socket.net))
        });
        let only = here.next()?;
        here.next().is_none().then_some(only)
    }

    /// The socket listens at `port`; told once.
    pub(super) fn listens(&mut self, port: u16, socket: SocketId) {
        self.listeners.entry(port).or_default().push(socket);
    }

    /// The socket that listens at `at`; `None` where several could be meant.
    pub(super) fn listener(
        &self,
        scope: Scope,
        at: SocketAddr,
        known: &Known,
        sockets: &HashMap<SocketId, Sock>,
    ) -> Option<SocketId> {
        let fits = |id: &SocketId| {
            known.sockets.get(id).is_some_and(|socket| {
                scope.has(socket.net) && local(socket).is_some_and(|local| uses(local, at))
            })
        };
        let all = self.listeners.get(&at.port())?.iter().rev().copied();
        let fitting = all.take(LISTENERS).filter(fits).take(CANDIDATES);
        let fitting: Vec<SocketId> = fitting.collect();
        if let [only] = fitting[..] {
            return Some(only);
        }
        // One that was closed in one process may listen on in another; but next to one that nobody closed it is an old one.
        let is_closing = |id: &SocketId| sockets.get(id).is_some_and(|s| s.closing.is_some());
        let mut left = fitting.into_iter().filter(|id| !is_closing(id));
        let only = left.next()?;
        left.next().is_none().then_some(only)
    }
}

fn key(scope: Scope, a: SocketAddr, b: SocketAddr) -> Pair {
    (scope, a.min(b), a.max(b))
}
