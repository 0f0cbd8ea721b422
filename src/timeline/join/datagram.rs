//! Datagrams: who sent them and who gets them, by port, destination and length.

use std::{
    collections::{HashMap, VecDeque},
    net::{Ipv4Addr, SocketAddr},
};

use super::{Join, socket::Scope};
use crate::{
    event::{PacketId, SocketId, Transport, Way},
    timeline::{
        Share,
        address::{ip, is_for_many, local, peer, plain, uses},
        known::Known,
        seen::Seen,
    },
};

/// Sockets of one port, or raw ones, that are looked at.
const CANDIDATES: usize = 64;

/// Sockets that speak in datagrams, by what packets say of them.
#[derive(Debug, Default)]
pub(super) struct Mailboxes {
    ports: HashMap<u16, Vec<SocketId>>,
    /// Sockets without a known port that have sent so many bytes to this address.
    unnamed: HashMap<(SocketAddr, usize), VecDeque<SocketId>>,
    /// Sockets that speak ICMP.
    pub(super) raw: Vec<SocketId>,
    /// Datagrams on a lab's wire.
    flying: HashMap<PacketId, Flight>,
}

/// A datagram on its way to sockets.
#[derive(Debug)]
struct Flight {
    to: Vec<SocketId>,
    from: SocketAddr,
    len: usize,
    data: Vec<u8>,
}

impl Mailboxes {
    pub(super) fn bound(&mut self, port: u16, socket: SocketId) {
        self.ports.entry(port).or_default().push(socket);
    }

    pub(super) fn sends(&mut self, to: SocketAddr, len: usize, socket: SocketId) {
        self.unnamed.entry((to, len)).or_default().push_back(socket);
    }

    /// No copy of this packet will arrive any more.
    pub(super) fn forget(&mut self, packet: PacketId) {
        self.flying.remove(&packet);
    }
}

impl Join {
    /// A datagram crossed.
    pub(super) fn datagram(
        &mut self,
        (packet, scope, way): (PacketId, Scope, Way),
        len: u32,
        seen: &Seen,
        known: &Known,
    ) {
        let (from, to) = (plain(seen.source), plain(seen.destination));
        let len = len as usize;
        let sender = match way {
            Way::In => None,
            _ => self.sender((packet, scope, way), (from, to), (len, &seen.data), known),
        };
        if let Some(sender) = sender {
            self.ledger.packet(packet).sender = Some(sender);
        }
        let receivers = self.receivers((scope, way), (from, to), sender, known);
        if let [only] = receivers[..] {
            self.ledger.packet(packet).receiver = Some(only);
        }
        if receivers.is_empty() {
            return;
        }
        let flight = Flight {
            to: receivers,
            from,
            len,
            data: seen.data.clone(),
        };
        if way == Way::Wire {
            self.mail.flying.insert(packet, flight);
        } else {
            self.deliver(packet, &flight);
        }
    }

    /// A datagram of the wire reaches its receiver; a copy of it may follow.
    pub(super) fn datagram_arrives(&mut self, packet: PacketId) {
        if let Some(flight) = self.mail.flying.remove(&packet) {
            self.deliver(packet, &flight);
            self.mail.flying.insert(packet, flight);
        }
    }

    fn deliver(&mut self, packet: PacketId, flight: &Flight) {
        for id in &flight.to {
            let post = &mut self.sockets.entry(*id).or_default().post;
            post.gets(packet, flight.from, (flight.len, &flight.data));
        }
    }

    /// Ties a datagram to the call that sent it; answers with the socket.
    fn sender(
        &mut self,
        (packet, scope, way): (PacketId, Scope, Way),
        (from, to): (SocketAddr, SocketAddr),
        (len, data): (usize, &[u8]),
        known: &Known,
    ) -> Option<SocketId> {
        let at_once = way == Way::Loop;
        let named: Vec<SocketId> = self
            .bound_to(scope, from, known)
            .filter(|_| from.port() != 0)
            .collect();
        let unnamed = self.mail.unnamed.get(&(to, len)).into_iter().flatten();
        let here = |id: &&SocketId| known.sockets.get(id).is_some_and(|s| scope.has(s.net));
        let unnamed: Vec<SocketId> = unnamed.take(CANDIDATES).filter(here).copied().collect();
        let calls = &self.calls;
        for id in named.iter().chain(&unnamed).copied() {
            let Some(sock) = self.sockets.get_mut(&id) else {
                continue;
            };
            let other_port = sock.post.port.is_some_and(|port| port != from.port());
            if other_port && from.port() != 0 {
                continue;
            }
            let open = |call| calls.contains_key(&call);
            let Some((call, ground)) = sock.post.sent(to, (len, data), at_once, open) else {
                continue;
            };
            self.ledger.caused(packet, call, Share::Datagram, ground);
            if from.port() == 0 {
                if !std::mem::replace(&mut sock.post.pings, true) {
                    self.mail.raw.push(id);
                }
            } else if sock.post.port.is_none() {
                sock.post.port = Some(from.port());
                self.mail.bound(from.port(), id);
            }
            if let Some(senders) = self.mail.unnamed.get_mut(&(to, len))
                && let Some(place) = senders.iter().take(CANDIDATES).position(|s| *s == id)
            {
                senders.remove(place);
            }
            return Some(id);
        }
        // Sent by a call that is not known: the address alone says whose it is, if it is one socket's.
        match named[..] {
            [only] => Some(only),
            _ => None,
        }
    }

    /// Sockets that packets from, or to, `at` can belong to; the newest first.
    fn bound_to<'a>(
        &'a self,
        scope: Scope,
        at: SocketAddr,
        known: &'a Known,
    ) -> impl Iterator<Item = SocketId> + 'a {
        let all = self.mail.ports.get(&at.port()).into_iter().flatten();
        all.rev().take(CANDIDATES).copied().filter(move |id| {
            let post = self.sockets.get(id).map(|sock| &sock.post);
            known.sockets.get(id).is_some_and(|socket| {
                let learned = || post.is_some_and(|post| post.port == Some(at.port()));
                scope.has(socket.net) && local(socket).map_or_else(learned, |l| uses(l, at))
            })
        })
    }

    /// The sockets that get a datagram: all of a group, else the one that fits best; several where it cannot be told.
    fn receivers(
        &self,
        (scope, way): (Scope, Way),
        (from, to): (SocketAddr, SocketAddr),
        sender: Option<SocketId>,
        known: &Known,
    ) -> Vec<SocketId> {
        let everyone = is_for_many(to.ip());
        if way == Way::Out && !everyone {
            return Vec::new();
        }
        let home = sender
            .filter(|_| scope == Scope::Wire)
            .and_then(|id| known.sockets.get(&id))
            .map(|socket| socket.net);
        let away = |id: &SocketId| known.sockets.get(id).is_some_and(|s| Some(s.net) != home);
        if to.port() == 0 {
            let raw = self.mail.raw.iter().rev().take(CANDIDATES).copied();
            let here = |id: &SocketId| known.sockets.get(id).is_some_and(|s| scope.has(s.net));
            return raw.filter(|id| away(id) && here(id)).collect();
        }
        let group = SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), to.port());
        let open: Vec<SocketId> = if everyone {
            let all = self.mail.ports.get(&to.port()).into_iter().flatten();
            let joined = |id: &SocketId| {
                known.sockets.get(id).is_some_and(|socket| {
                    let at = local(socket).unwrap_or(group);
                    scope.has(socket.net) && (at.ip().is_unspecified() || at.ip() == to.ip())
                })
            };
            all.rev().take(CANDIDATES).copied().filter(joined).collect()
        } else {
            self.bound_to(scope, to, known).collect()
        };
        let score = |id: &SocketId| {
            let socket = known.sockets.get(id)?;
            let exact = local(socket).is_some_and(|local| local.ip() == to.ip());
            match peer(socket) {
                Some(peer) if peer != from => None,
                peer => Some((peer.is_some(), exact)),
            }
        };
        let fitting = open.into_iter().filter(away);
        let scored: Vec<_> = fitting.filter_map(|id| Some((score(&id)?, id))).collect();
        let best = scored.iter().map(|(score, _)| *score).max();
        scored
            .into_iter()
            .filter(|(score, _)| everyone || Some(*score) == best)
            .map(|(_, id)| id)
            .collect()
    }

    /// The socket that an ICMP error is for: it sent the packet that is quoted.
    pub(super) fn complained(&self, scope: Scope, seen: &Seen, known: &Known) -> Option<SocketId> {
        let (from, to) = (plain(seen.destination), plain(seen.source));
        if seen.transport == Transport::Tcp {
            return self.tcp.owner(scope, (from, to));
        }
        let mut found: Vec<SocketId> = self.bound_to(scope, from, known).collect();
        let to_it = |id: &SocketId| {
            let socket = known.sockets.get(id);
            socket.is_some_and(|socket| peer(socket) == Some(to))
        };
        if let Some(connected) = found.iter().copied().find(to_it) {
            return Some(connected);
        }
        found.truncate(1);
        found.pop()
    }

    /// A call returned datagrams.
    pub(super) fn received(&mut self, id: SocketId, returned: &crate::event::Return) {
        let Some(sock) = self.sockets.get_mut(&id) else {
            return;
        };
        sock.post.received(returned.call);
        for part in &returned.parts {
            let from = ip(part.address.as_ref()).map(plain);
            let among = usize::try_from(self.spare).unwrap_or(usize::MAX);
            let Some((packet, ground, lost)) = sock.post.brought(part, from, among) else {
                self.spare = self.spare.saturating_sub(sock.post.waiting() as u64);
                continue;
            };
            self.ledger
                .took(packet, returned.call, Share::Datagram, ground);
            self.ledger.lost(returned.call, lost);
            let tied = self.ledger.packet(packet);
            tied.receiver.get_or_insert(id);
        }
    }
}
