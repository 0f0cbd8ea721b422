//! Which connection, and which socket, a TCP segment belongs to.

use std::{
    collections::{BTreeSet, HashMap},
    net::SocketAddr,
};

use super::{
    flow::Flow,
    socket::{Scope, Sock},
};
use crate::{
    event::SocketId,
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

/// Connections, and the sockets that wait for one.
#[derive(Debug, Default)]
pub(super) struct Directory {
    pub(super) flows: Vec<Flow>,
    pairs: HashMap<(Scope, SocketAddr, SocketAddr), Vec<u32>>,
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
            let flow = self.flows.get(last as usize);
            !begins || flow.is_some_and(|flow| !flow.ends[side].out.is_other(segment))
        });
        if let Some(last) = last {
            return (last, side, false);
        }
        let number = self.flows.len() as u32;
        let mut flow = Flow::default();
        flow.ends[side].port = from.port();
        flow.ends[1 - side].port = to.port();
        self.flows.push(flow);
        if pairs.len() >= GENERATIONS {
            pairs.remove(0);
        }
        pairs.push(number);
        (number, side, true)
    }

    pub(super) fn at(&mut self, number: u32) -> Option<&mut Flow> {
        self.flows.get_mut(number as usize)
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
            let flow_at = self.flows.get(*flow as usize)?;
            let side = usize::from(!flow_at.ends[1].passive);
            return flow_at.ends[side].owner.is_none().then_some((*flow, side));
        }
        let pairs = self.pairs.get(&key(scope, local, peer))?;
        let flow = |number: &&u32| self.flows.get(**number as usize);
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
        let flow = self.flows.get(number as usize)?;
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
        Some(sockets.remove(found))
    }

    /// A call connects a socket without a port to `to`.
    pub(super) fn connects(&mut self, to: SocketAddr, socket: SocketId) {
        self.connecting.entry(to).or_default().insert(socket);
    }

    /// It does not any more, or its port is known.
    pub(super) fn connected(&mut self, to: SocketAddr, socket: SocketId) {
        if let Some(sockets) = self.connecting.get_mut(&to) {
            sockets.remove(&socket);
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

fn key(scope: Scope, a: SocketAddr, b: SocketAddr) -> (Scope, SocketAddr, SocketAddr) {
    (scope, a.min(b), a.max(b))
}
