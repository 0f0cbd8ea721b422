//! Which packets are the traced programs', on a machine where others speak too.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    net::{IpAddr, SocketAddr},
};

use super::{
    address::{ip, is_for_many, local, peer, plain, towards, uses},
    known::Known,
    seen::{Seen, What},
};
use crate::event::{
    Arg, CallId, Deed, Enter, Entry, Event, NetId, Return, Socket, SocketId, Transport,
};

/// What is known of the traced programs' addresses. Asked in order of time: what a call is to use is known when it is entered.
#[derive(Debug, Default)]
pub struct Own {
    /// Both ends of connections.
    pairs: HashSet<(NetId, SocketAddr, SocketAddr)>,
    /// Addresses of sockets that listen, and of UDP sockets.
    bound: HashMap<(Transport, NetId, u16), BTreeSet<IpAddr>>,
    /// Where sockets without a port send, and how many calls do so.
    towards: HashMap<(Transport, NetId, SocketAddr), BTreeSet<SocketId>>,
    /// What calls that have not returned added to that.
    open: HashMap<CallId, (Transport, NetId, SocketAddr, SocketId)>,
    /// Sockets that wait for their port, and for whom.
    connecting: HashMap<SocketId, (Transport, NetId, SocketAddr)>,
    /// Hosts to which ICMP messages were sent.
    pinged: HashSet<(NetId, IpAddr)>,
    listening: HashSet<SocketId>,
}

impl Own {
    /// Learns from an entry; `known` has learned from it already.
    pub fn push(&mut self, entry: &Entry, known: &Known) {
        match &entry.event {
            Event::Socket(socket) => self.socket(socket),
            Event::Enter(enter) => self.enter(enter, known),
            Event::Return(returned) => self.returned(returned),
            _ => {}
        }
    }

    /// A packet that crossed an interface of `net` belongs to a traced program, or is an error about one that does.
    pub fn has(&self, net: NetId, seen: &Seen) -> bool {
        let (from, to) = (plain(seen.source), plain(seen.destination));
        if seen.transport == Transport::Raw {
            return [from, to]
                .iter()
                .any(|at| self.pinged.contains(&(net, at.ip())));
        }
        let mine = |here: SocketAddr, there: SocketAddr| {
            self.pairs.contains(&(net, here, there))
                || self.is_bound(seen.transport, net, here)
                || self.towards.contains_key(&(seen.transport, net, there))
        };
        // An error is its receiver's, who has sent what it quotes.
        mine(to, from) || !matches!(seen.what, What::Error(_)) && mine(from, to)
    }

    fn is_bound(&self, transport: Transport, net: NetId, at: SocketAddr) -> bool {
        let bound = self.bound.get(&(transport, net, at.port()));
        bound.is_some_and(|ips| {
            let any = |ip: &IpAddr| uses(SocketAddr::new(*ip, at.port()), at);
            // Whoever is bound to a port gets what is sent to a group, or to all, there.
            ips.contains(&at.ip())
                || is_for_many(at.ip())
                || ips.iter().filter(|ip| ip.is_unspecified()).any(any)
        })
    }

    fn socket(&mut self, socket: &Socket) {
        let Some(local) = local(socket) else {
            return;
        };
        let to = peer(socket).or_else(|| self.connecting.get(&socket.id).map(|c| c.2));
        match (socket.transport, to) {
            (Transport::Tcp, Some(peer)) => {
                self.pairs.insert((socket.net, local, peer));
                if !local.ip().is_unspecified() {
                    self.settled(socket.id);
                }
            }
            (Transport::Udp, _) => {
                self.bind(socket, local);
                self.settled(socket.id);
            }
            // One that is older than the watch may listen since long ago.
            (Transport::Tcp, None)
                if socket.before.is_some() || self.listening.contains(&socket.id) =>
            {
                self.bind(socket, local);
            }
            _ => {}
        }
    }

    fn bind(&mut self, socket: &Socket, local: SocketAddr) {
        let key = (socket.transport, socket.net, local.port());
        self.bound.entry(key).or_default().insert(local.ip());
    }

    /// The socket's port is known: it is found by that from now on.
    fn settled(&mut self, id: SocketId) {
        if let Some((transport, net, to)) = self.connecting.remove(&id) {
            self.forget((transport, net, to), id);
        }
    }

    fn forget(&mut self, key: (Transport, NetId, SocketAddr), id: SocketId) {
        if let Some(sockets) = self.towards.get_mut(&key) {
            sockets.remove(&id);
            if sockets.is_empty() {
                self.towards.remove(&key);
            }
        }
    }

    fn enter(&mut self, enter: &Enter, known: &Known) {
        let Some(socket) = enter.socket.and_then(|id| known.sockets.get(&id)) else {
            return;
        };
        if matches!(enter.deed, Deed::Listen | Deed::Accept) {
            self.listening.insert(socket.id);
            if let Some(local) = local(socket) {
                self.bind(socket, local);
            }
        }
        let said = enter.args.iter().find_map(|arg| match arg {
            Arg::Address(address) if enter.deed == Deed::Connect => ip(address.as_ref()),
            _ => None,
        });
        let parts = enter.parts.iter().filter(|_| enter.deed == Deed::Send);
        let sent = parts.filter_map(|part| ip(part.address.as_ref()));
        for to in said.into_iter().chain(sent).map(towards) {
            match socket.transport {
                Transport::Raw => {
                    self.pinged.insert((socket.net, to.ip()));
                }
                Transport::Udp if to.port() == 0 => {
                    self.pinged.insert((socket.net, to.ip()));
                }
                Transport::Tcp | Transport::Udp => self.reaches(socket, to, enter),
                Transport::Unix | Transport::Other => {}
            }
        }
    }

    /// A call makes the socket send to `to`, and it may get its port only then.
    fn reaches(&mut self, socket: &Socket, to: SocketAddr, enter: &Enter) {
        let key = (socket.transport, socket.net, to);
        let named = local(socket).filter(|local| !local.ip().is_unspecified());
        match (socket.transport, named) {
            (Transport::Tcp, Some(local)) => {
                self.pairs.insert((socket.net, local, to));
            }
            (Transport::Udp, _) if local(socket).is_some() => {}
            (Transport::Tcp, None) => {
                self.towards.entry(key).or_default().insert(socket.id);
                self.connecting.insert(socket.id, key);
                self.open.insert(enter.call, (key.0, key.1, to, socket.id));
            }
            _ => {
                self.towards.entry(key).or_default().insert(socket.id);
                self.open.insert(enter.call, (key.0, key.1, to, socket.id));
            }
        }
    }

    fn returned(&mut self, returned: &Return) {
        let Some((transport, net, to, id)) = self.open.remove(&returned.call) else {
            return;
        };
        let going_on = matches!(
            returned.result,
            Err(libc::EINPROGRESS | libc::EALREADY | libc::EINTR)
        );
        if !going_on {
            self.forget((transport, net, to), id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        event::Way,
        timeline::{
            seen::Reader,
            testing::{CLIENT, Log, SERVER, Tcp, at, datagram, unreachable},
        },
    };

    /// Which packets of the log are own.
    fn own(log: &Log) -> Vec<bool> {
        let (mut known, mut reader, mut own) =
            (Known::default(), Reader::default(), Own::default());
        let mut found = Vec::new();
        for entry in &log.entries {
            known.push(entry);
            own.push(entry, &known);
            if let Some(seen) = reader.read(entry, &known) {
                found.push(own.has(1, &seen));
            }
        }
        found
    }

    const A: &str = "10.0.0.1:40000";
    const B: &str = "10.0.0.2:5000";

    fn segment(log: &mut Log, from: &str, to: &str) {
        log.segment(Way::Out, from, to, Tcp::new("A", 1, 1, b""));
    }

    #[test]
    fn a_connection_is_own_from_its_syn_on_and_after_its_end() {
        let mut log = Log::local();
        let socket = log.appears(1, Transport::Tcp);
        segment(&mut log, A, B);
        let connect = log.connects(CLIENT, socket, B);
        segment(&mut log, A, B);
        segment(&mut log, B, A);
        log.addresses(socket, A, Some(B));
        log.returns(connect, Ok(0));
        segment(&mut log, A, B);
        segment(&mut log, "10.0.0.1:40001", B);
        log.call(CLIENT, Deed::Close, socket, Ok(0));
        segment(&mut log, B, A);
        assert_eq!(own(&log), [false, true, true, true, false, true]);
    }

    #[test]
    fn a_refused_connect_leaves_nothing_behind() {
        let mut log = Log::local();
        let socket = log.appears(1, Transport::Tcp);
        let connect = log.connects(CLIENT, socket, B);
        segment(&mut log, A, B);
        log.returns(connect, Err(libc::ECONNREFUSED));
        log.addresses(socket, "0.0.0.0:40000", None);
        segment(&mut log, "10.0.0.1:40001", B);
        assert_eq!(own(&log), [true, false]);
    }

    #[test]
    fn whatever_comes_to_a_listening_socket_is_own() {
        let mut log = Log::local();
        segment(&mut log, A, B);
        log.listener(SERVER, 1, "0.0.0.0:5000");
        segment(&mut log, A, B);
        segment(&mut log, B, A);
        segment(&mut log, A, "10.0.0.2:5001");
        assert_eq!(own(&log), [false, true, true, false]);
    }

    #[test]
    fn datagrams_and_errors_about_them_are_own() {
        let mut log = Log::local();
        let socket = log.appears(1, Transport::Udp);
        let send = log.sends(CLIENT, socket, b"hello", Some(B));
        log.datagram(Way::Out, A, B, b"hello");
        log.addresses(socket, "0.0.0.0:40000", None);
        log.returns(send, Ok(5));
        log.datagram(Way::In, B, A, b"hello");
        log.datagram(Way::Out, "10.0.0.1:40001", B, b"hello");
        for from in [A, "10.0.0.1:40001"] {
            let quoted = datagram(at(from), at(B), b"hello");
            log.packet(Way::In, unreachable(at(B), at(from), &quoted), None);
        }
        assert_eq!(own(&log), [true, true, false, true, false]);
    }
}
