//! Which sockets are the two ends of one connection, which of them stands left, and whose they are.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    net::SocketAddr,
    sync::Arc,
};

use super::{
    Tied,
    known::Known,
    row::{Endpoint, Link, Side, Who},
    seen::{Seen, What},
};
use crate::{
    call::Address,
    event::{Arg, Deed, Enter, NetId, Part, Return, Socket, SocketId, Transport},
};

/// What a socket was used for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Role {
    #[default]
    Unknown,
    Connects,
    Bound,
    Listens,
    Accepted,
}

impl Role {
    /// The end that such a socket is.
    fn side(self) -> Option<Side> {
        match self {
            Self::Unknown => None,
            Self::Connects => Some(Side::Left),
            Self::Bound | Self::Listens | Self::Accepted => Some(Side::Right),
        }
    }
}

/// What is known of a socket besides its entry in the log.
#[derive(Debug, Default)]
struct Meta {
    net: NetId,
    role: Role,
    /// The process that used it last.
    user: Option<Who>,
    /// Of a Unix socket, the socket at the other end.
    peer: Option<SocketId>,
    /// Of a Unix socket, its link.
    link: Option<usize>,
    /// Its addresses, which packets told before the socket did.
    pair: Option<(SocketAddr, SocketAddr)>,
}

/// Two addresses of a transport, in their own order, so that both directions are one.
type Pair = (Transport, SocketAddr, SocketAddr);

/// All links so far.
#[derive(Debug, Default)]
pub(super) struct Links {
    sockets: HashMap<SocketId, Meta>,
    /// Who has this address for itself: sockets that listen or are bound, by port.
    ports: HashMap<(Transport, u16), SocketId>,
    /// Sockets by their own and their peer's address.
    ends: HashMap<Pair, SocketId>,
    /// The address by which others see a socket that is bound to every address, by the other's address.
    locals: HashMap<(SocketId, SocketAddr), SocketAddr>,
    /// Unix sockets by the name that they are bound to.
    names: HashMap<Address, SocketId>,
    /// Unix sockets that connect to a name and were not accepted yet.
    waiting: HashMap<Address, VecDeque<SocketId>>,
    /// Processes that others come to.
    servers: HashSet<u32>,
    pairs: HashMap<Pair, usize>,
    /// By their place among all.
    links: HashMap<usize, Arc<Link>>,
    /// How many there have been.
    begun: usize,
    /// Links of each transport.
    counts: HashMap<Transport, u32>,
}

impl Links {
    /// A socket came into sight, or changed.
    pub(super) fn socket(&mut self, socket: &Socket) {
        let meta = self.sockets.entry(socket.id).or_default();
        meta.net = socket.net;
        match (&socket.local, &socket.peer) {
            (Some(Address::Ip(local)), Some(Address::Ip(peer))) => {
                meta.pair = Some((*local, *peer));
                self.ends
                    .insert((socket.transport, *local, *peer), socket.id);
            }
            (Some(Address::Ip(local)), _) if meta.role.side() == Some(Side::Right) => {
                let port = (socket.transport, local.port());
                self.ports.insert(port, socket.id);
            }
            (Some(name @ (Address::Path(_) | Address::Abstract(_))), _)
                if meta.role != Role::Accepted =>
            {
                self.names.insert(name.clone(), socket.id);
            }
            _ => {}
        }
    }

    /// A call is made.
    pub(super) fn enter(&mut self, enter: &Enter, who: &Who, known: &Known) {
        let Some(id) = enter.socket else { return };
        let meta = self.sockets.entry(id).or_default();
        // Who closes a socket need not be the one who used it: the parent of a forking server does.
        if enter.deed != Deed::Close || meta.user.is_none() {
            meta.user = Some(who.clone());
        }
        let socket = known.sockets.get(&id);
        let is_stream = socket.is_some_and(|socket| socket.transport == Transport::Tcp);
        let role = match enter.deed {
            Deed::Bind => Role::Bound,
            Deed::Listen | Deed::Accept => Role::Listens,
            Deed::Connect => Role::Connects,
            // Who talks to a client that another process accepted serves it.
            Deed::Send | Deed::Receive if meta.role == Role::Accepted => meta.role,
            _ => return,
        };
        if matches!(role, Role::Listens | Role::Accepted) || role == Role::Bound && !is_stream {
            self.servers.insert(who.process);
        }
        if matches!(meta.role, Role::Unknown | Role::Bound) {
            meta.role = role;
        }
        if let (Deed::Connect, Some(name)) = (enter.deed, name_of(enter)) {
            self.waiting.entry(name.clone()).or_default().push_back(id);
        }
        if let Some(socket) = socket {
            self.socket(socket);
        }
    }

    /// A call returned.
    pub(super) fn returned(&mut self, enter: &Enter, back: &Return, who: &Who, known: &Known) {
        if let (Deed::Connect, Some(name), Err(_)) = (enter.deed, name_of(enter), back.result)
            && let Some(waiting) = self.waiting.get_mut(name)
        {
            waiting.retain(|id| Some(*id) != enter.socket);
        }
        let Some(opened) = back.opened else { return };
        // Both ends of a pair are new, and the second one's number is the next.
        if enter.name == "socketpair"
            && let Some(other) = opened.checked_add(1)
        {
            self.sockets.entry(opened).or_default().peer = Some(other);
            let other = self.sockets.entry(other).or_default();
            (other.user, other.peer) = (Some(who.clone()), Some(opened));
        }
        let meta = self.sockets.entry(opened).or_default();
        meta.user = Some(who.clone());
        if enter.deed != Deed::Accept {
            return;
        }
        meta.role = Role::Accepted;
        let listener = enter.socket.and_then(|id| known.sockets.get(&id));
        let name = listener.and_then(|socket| socket.local.as_ref());
        let peer = name.and_then(|name| self.waiting.get_mut(name)?.pop_front());
        if let Some(peer) = peer {
            self.sockets.entry(opened).or_default().peer = Some(peer);
            self.sockets.entry(peer).or_default().peer = Some(opened);
        }
    }

    /// A packet tells the addresses of the sockets that it is tied to.
    pub(super) fn packet(&mut self, seen: &Seen, tied: &Tied) {
        let both = [
            (tied.sender, seen.source, seen.destination),
            (tied.receiver, seen.destination, seen.source),
        ];
        for (id, local, remote) in both {
            let Some(id) = id else { continue };
            if seen.transport != Transport::Tcp {
                self.locals.entry((id, remote)).or_insert(local);
                self.ends.insert((seen.transport, local, remote), id);
            } else {
                let meta = self.sockets.entry(id).or_default();
                if meta.role != Role::Listens && meta.pair.is_none() {
                    meta.pair = Some((local, remote));
                    self.ends.insert((seen.transport, local, remote), id);
                }
            }
        }
    }

    /// The link that a call is about, and the end at which it stands.
    pub(super) fn of_call(
        &mut self,
        enter: &Enter,
        back: Option<&Return>,
        known: &Known,
    ) -> (Option<Arc<Link>>, Side) {
        let id = match enter.deed {
            Deed::Accept | Deed::Open => back.and_then(|back| back.opened).or(enter.socket),
            _ => enter.socket,
        };
        let Some(socket) = id.and_then(|id| known.sockets.get(&id)) else {
            return (None, self.side_of(enter.by.process, known));
        };
        let role = self
            .sockets
            .get(&socket.id)
            .map_or(Role::Unknown, |m| m.role);
        let parts = enter
            .parts
            .iter()
            .chain(back.iter().flat_map(|back| &back.parts));
        let named = parts
            .filter_map(|part: &Part| part.address.as_ref())
            .next_back();
        let index = match socket.transport {
            Transport::Tcp if role == Role::Listens => None,
            Transport::Tcp | Transport::Udp | Transport::Raw => self
                .addresses(socket, named)
                .map(|(local, remote)| self.pair(socket.transport, local, remote, role, known)),
            Transport::Unix if role == Role::Listens => None,
            Transport::Unix => self.unix(socket.id, named, known),
            Transport::Other => None,
        };
        let Some(index) = index else {
            let side = host_side(known, socket.net)
                .or_else(|| role.side())
                .unwrap_or_else(|| self.side_of(enter.by.process, known));
            return (None, side);
        };
        let link = self.refreshed(index);
        let side = match link.ends[1].socket == Some(socket.id) {
            true => Side::Right,
            false => Side::Left,
        };
        (Some(link), side)
    }

    /// The link of a packet, and the end that sent it.
    pub(super) fn of_packet(
        &mut self,
        seen: &Seen,
        tied: &Tied,
        known: &Known,
    ) -> (Arc<Link>, Side) {
        self.packet(seen, tied);
        let begins = match &seen.what {
            What::Segment(tcp) if tcp.syn && tcp.ack.is_none() => Role::Connects,
            What::Segment(tcp) if tcp.syn => Role::Accepted,
            _ => Role::Unknown,
        };
        let index = self.pair(seen.transport, seen.source, seen.destination, begins, known);
        let link = self.refreshed(index);
        let from = match link.ends[1].address == Some(Address::Ip(seen.source)) {
            true => Side::Right,
            false => Side::Left,
        };
        (link, from)
    }

    /// A socket's own address and the other's, where they are known.
    fn addresses(
        &self,
        socket: &Socket,
        named: Option<&Address>,
    ) -> Option<(SocketAddr, SocketAddr)> {
        let ip = |address: Option<&Address>| match address {
            Some(Address::Ip(address)) => Some(*address),
            _ => None,
        };
        let told = self.sockets.get(&socket.id).and_then(|meta| meta.pair);
        if socket.transport == Transport::Tcp {
            return told;
        }
        let remote = ip(named)
            .or_else(|| ip(socket.peer.as_ref()))
            .or_else(|| told.map(|(_, remote)| remote))?;
        let local = self.locals.get(&(socket.id, remote)).copied();
        let local = local.or_else(|| {
            let mut local = ip(socket.local.as_ref())?;
            // What is sent to this machine itself is sent from that address.
            if local.ip().is_unspecified() && remote.ip().is_loopback() {
                local.set_ip(remote.ip());
            }
            Some(local)
        })?;
        Some((local, remote))
    }

    /// The link of two addresses; `role` is that of the first.
    fn pair(
        &mut self,
        transport: Transport,
        first: SocketAddr,
        second: SocketAddr,
        role: Role,
        known: &Known,
    ) -> usize {
        let key = (transport, first.min(second), first.max(second));
        let sockets = [(first, second), (second, first)]
            .map(|(a, b)| self.ends.get(&(transport, a, b)).copied());
        if let Some(&index) = self.pairs.get(&key)
            && let Some(link) = self.links.get_mut(&index)
        {
            let turned = link.ends[0].address != Some(Address::Ip(first));
            let [a, b] = sockets;
            let sockets = if turned { [b, a] } else { [a, b] };
            // The same addresses with another socket are another connection.
            let is_same = link
                .ends
                .iter()
                .zip(sockets)
                .all(|(end, now)| now.is_none() || end.socket.is_none() || end.socket == now);
            if is_same {
                if link
                    .ends
                    .iter()
                    .zip(sockets)
                    .any(|(end, now)| now.is_some() && end.socket != now)
                {
                    let link = Arc::make_mut(link);
                    for (end, now) in link.ends.iter_mut().zip(sockets) {
                        end.socket = now.or(end.socket);
                    }
                }
                return index;
            }
        }
        let roles = sockets.map(|id| self.role(id));
        let sides = sockets.map(|id| {
            let net = known.sockets.get(&id?)?.net;
            host_side(known, net)
        });
        let of_role = |role| match role {
            Role::Connects | Role::Accepted | Role::Listens => role.side(),
            Role::Bound | Role::Unknown => None,
        };
        let told = [
            sides[0],
            sides[1].map(Side::other),
            of_role(role),
            of_role(roles[0]),
            of_role(roles[1]).map(Side::other),
            one_sided(roles),
            // A connection that is older than the log: well-known ports are the server's.
            (transport == Transport::Tcp && first.port() < second.port()).then_some(Side::Right),
        ];
        let first_side = told.into_iter().flatten().next().unwrap_or_default();
        let ends = match first_side {
            Side::Left => [(first, sockets[0]), (second, sockets[1])],
            Side::Right => [(second, sockets[1]), (first, sockets[0])],
        };
        let ends = ends.map(|(address, socket)| Endpoint {
            address: Some(Address::Ip(address)),
            socket,
            who: None,
        });
        let index = self.add(transport, ends);
        if let Some(before) = self.pairs.insert(key, index) {
            self.links.remove(&before);
        }
        index
    }

    /// The link of a Unix socket, with the one at the other end where that is known.
    fn unix(&mut self, id: SocketId, named: Option<&Address>, known: &Known) -> Option<usize> {
        let named = named.and_then(|name| self.names.get(name)).copied();
        let meta = self.sockets.get(&id)?;
        let peer = meta.peer.or(named).filter(|&peer| peer != id);
        let of_peer = peer.and_then(|peer| self.sockets.get(&peer)?.link);
        let index = match meta.link.or(of_peer) {
            Some(index) => index,
            None => {
                let socket = known.sockets.get(&id)?;
                let names = [&socket.local, &socket.peer]
                    .map(|name| name.clone().filter(|name| *name != Address::Unnamed));
                let [name, other] = names;
                let end = |socket, address| Endpoint {
                    socket,
                    address,
                    who: None,
                };
                let ends = [end(Some(id), name), end(peer, other)];
                let [this, that] = ends;
                match meta.role.side() {
                    Some(Side::Right) => self.add(Transport::Unix, [that, this]),
                    _ => self.add(Transport::Unix, [this, that]),
                }
            }
        };
        for socket in [Some(id), peer].into_iter().flatten() {
            self.sockets.entry(socket).or_default().link = Some(index);
            if let Some(link) = self.links.get_mut(&index)
                && link.ends.iter().all(|end| end.socket != Some(socket))
                && let Some(free) = link.ends.iter().position(|end| end.socket.is_none())
            {
                Arc::make_mut(link).ends[free].socket = Some(socket);
            }
        }
        Some(index)
    }

    fn add(&mut self, transport: Transport, ends: [Endpoint; 2]) -> usize {
        let count = self.counts.entry(transport).or_default();
        *count += 1;
        let link = Link {
            number: *count,
            transport,
            ends,
        };
        let index = self.begun;
        self.begun += 1;
        self.links.insert(index, Arc::new(link));
        index
    }

    /// The TCP socket is gone, and with it its connection: that one's number, when the connection was known.
    pub(super) fn forget(&mut self, id: SocketId) -> Option<u32> {
        let (local, remote) = self.sockets.remove(&id)?.pair?;
        let end = (Transport::Tcp, local, remote);
        if self.ends.get(&end) == Some(&id) {
            self.ends.remove(&end);
        }
        let key = (Transport::Tcp, local.min(remote), local.max(remote));
        let index = *self.pairs.get(&key)?;
        let link = self.links.get(&index)?;
        // The same addresses may be another connection's by now.
        link.ends
            .iter()
            .any(|end| end.socket == Some(id))
            .then_some(link.number)?;
        self.pairs.remove(&key);
        self.links.remove(&index).map(|link| link.number)
    }

    /// A link, with the processes that have its sockets now.
    fn refreshed(&mut self, index: usize) -> Arc<Link> {
        let mut link = self.links[&index].clone();
        for n in 0..2 {
            let who = self.user(link.transport, &link.ends[n], &link.ends[1 - n]);
            if who.is_some() && who != link.ends[n].who.as_ref() {
                let who = who.cloned();
                Arc::make_mut(&mut link).ends[n].who = who;
                self.links.insert(index, link.clone());
            }
        }
        link
    }

    /// Who has the socket of an end, or listens for it.
    fn user(&self, transport: Transport, end: &Endpoint, far: &Endpoint) -> Option<&Who> {
        let meta = |id: SocketId| self.sockets.get(&id);
        if let Some(user) = end
            .socket
            .and_then(meta)
            .and_then(|meta| meta.user.as_ref())
        {
            return Some(user);
        }
        let Some(Address::Ip(address)) = end.address else {
            return None;
        };
        let bound = meta(*self.ports.get(&(transport, address.port()))?)?;
        // A loopback address is this host's own: a socket in another network does not have it.
        let far = far.socket.and_then(meta);
        let is_elsewhere =
            address.ip().is_loopback() && far.is_some_and(|far| far.net != bound.net);
        bound.user.as_ref().filter(|_| !is_elsewhere)
    }

    fn role(&self, id: Option<SocketId>) -> Role {
        let meta = id.and_then(|id| self.sockets.get(&id));
        meta.map_or(Role::Unknown, |meta| meta.role)
    }

    /// Where a process stands when nothing else tells.
    pub(super) fn side_of(&self, process: u32, known: &Known) -> Side {
        let net = known.processes.get(&process).map(|process| process.net);
        net.and_then(|net| host_side(known, net))
            .or_else(|| self.servers.contains(&process).then_some(Side::Right))
            .unwrap_or_default()
    }
}

/// In a lab, the host says it.
fn host_side(known: &Known, net: u32) -> Option<Side> {
    match known.nets.get(&net)?.host.as_deref()? {
        "client" => Some(Side::Left),
        "server" => Some(Side::Right),
        _ => None,
    }
}

/// Of two sockets, one that was bound and one that was not: the first one's end.
fn one_sided(roles: [Role; 2]) -> Option<Side> {
    match roles.map(|role| role == Role::Bound) {
        [true, false] => Some(Side::Right),
        [false, true] => Some(Side::Left),
        _ => None,
    }
}

/// The name of a Unix socket that a call is to connect to.
fn name_of(enter: &Enter) -> Option<&Address> {
    enter.args.iter().find_map(|arg| match arg {
        Arg::Address(Some(name @ (Address::Path(_) | Address::Abstract(_)))) => Some(name),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use crate::{
        event::{Deed, Return, Transport},
        time::{MILLISECOND, Time},
        timeline::{
            row::{Side, What},
            testing::{CLIENT, Log, SERVER, STEP, caller},
            tests::rows,
        },
    };

    /// Who is said to have the right end of the only connection.
    fn server(log: &Log) -> Option<u32> {
        let link = rows(log).into_iter().rev().find_map(|row| row.link);
        link.unwrap().ends[1].who.as_ref().map(|who| who.process)
    }

    /// In which lane each row of a process stands, and when.
    fn lanes(log: &Log, process: u32) -> Vec<(Time, Side)> {
        let its = rows(log).into_iter().filter(|row| match &row.what {
            What::Process(of) => of.process == process,
            What::Call(call) => call.who.process == process,
            _ => false,
        });
        its.map(|row| (row.at, row.side)).collect()
    }

    /// Opens the first socket of a network: the program stands still while captures begin there.
    fn first_socket(log: &mut Log) -> u32 {
        let call = log.opens(SERVER, "socket");
        log.net(2, None);
        // All that a call's end tells has one time.
        log.now -= STEP;
        let socket = log.appears(2, Transport::Tcp);
        log.now -= STEP;
        log.returned(Return {
            call,
            result: Ok(3),
            moved: 0,
            opened: Some(socket),
            out: Vec::new(),
            parts: Vec::new(),
        });
        socket
    }

    #[test]
    fn a_server_stands_right_from_its_first_socket_on() {
        let mut log = Log::local();
        log.process(200, None, 2, "server");
        let socket = first_socket(&mut log);
        log.wait(300 * MILLISECOND);
        log.addresses(socket, "0.0.0.0:5000", None);
        log.call(SERVER, Deed::Listen, socket, Ok(0));
        log.enter(SERVER, Deed::Accept, socket);
        let lanes = lanes(&log, 200);
        assert_eq!(lanes.len(), 4);
        assert!(lanes.iter().all(|lane| lane.1 == Side::Right), "{lanes:?}");
    }

    #[test]
    fn rows_wait_for_captures_and_not_for_programs() {
        let mut log = Log::local();
        log.process(200, None, 2, "server");
        let socket = first_socket(&mut log);
        log.wait(30 * MILLISECOND);
        log.call(SERVER, Deed::Option, socket, Ok(0));
        let set = log.now;
        log.wait(10 * MILLISECOND);
        log.addresses(socket, "0.0.0.0:5000", None);
        log.call(SERVER, Deed::Listen, socket, Ok(0));
        // What followed the pause waits no longer than ever.
        let sides = lanes(&log, 200).into_iter();
        let (before, after): (Vec<_>, Vec<_>) = sides.partition(|lane| lane.0.nanos() <= set);
        assert_eq!(
            before.iter().map(|lane| lane.1).collect::<Vec<_>>(),
            [Side::Left; 3]
        );
        assert!(after.iter().all(|lane| lane.1 == Side::Right));
    }

    #[test]
    fn a_process_that_serves_what_another_accepted_stands_right() {
        let mut log = Log::local();
        log.process(200, None, 1, "server");
        let listener = log.listener(SERVER, 1, "0.0.0.0:5000");
        let accept = log.enter(SERVER, Deed::Accept, listener);
        let socket = log.accepted(accept, 1, "10.0.0.2:5000", "10.0.0.1:40000");
        log.process(201, Some(200), 1, "server");
        log.process(202, Some(200), 1, "cleaner");
        // Whoever closes what it inherited need not serve.
        log.call(caller(202), Deed::Close, listener, Ok(0));
        log.recv(caller(201), socket, b"hello");
        let [server, cleaner] = [201, 202].map(|process| lanes(&log, process)[0].1);
        assert_eq!([server, cleaner], [Side::Right, Side::Left]);
    }

    /// A client that is refused at `to`, beside a server that listens at port 5000 of every address of its host.
    fn refused(to: &str, from: &str) -> Log {
        let mut log = Log::lab();
        log.process(100, None, 1, "client");
        log.process(200, None, 2, "server");
        log.listener(SERVER, 2, "0.0.0.0:5000");
        let client = log.appears(1, Transport::Tcp);
        let connect = log.connects(CLIENT, client, to);
        log.addresses(client, from, Some(to));
        log.returns(connect, Err(libc::ECONNREFUSED));
        log.call(CLIENT, Deed::Close, client, Ok(0));
        log
    }

    #[test]
    fn a_loopback_address_is_no_other_hosts() {
        let near = refused("127.0.0.1:5000", "127.0.0.1:40000");
        let far = refused("10.0.0.2:5000", "10.0.0.1:40000");
        assert_eq!([server(&near), server(&far)], [None, Some(200)]);
    }
}
