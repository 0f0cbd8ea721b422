//! Which call caused a packet, and which call returned what it carries.
//!
//! ```text
//!  tcp       segments ↔ calls            flow      a connection as its packets show it
//!  datagram  datagrams ↔ calls           socket    a socket as its calls show it
//!  directory whose a segment is          outgoing  bytes ↔ sends       incoming  bytes ↔ receives
//!  ledger    the ties                    post      datagrams of one socket
//! ```
//!
//! Sequence space decides for TCP, order for datagrams. A segment takes its place in the stream of its end; sends queue in
//! order of entering, and new bytes on the wire are theirs in that order, whether or not the call has returned. Bytes
//! that arrived wait for the receives that return them.

mod datagram;
mod directory;
mod flow;
mod incoming;
mod ledger;
mod outgoing;
mod post;
mod socket;
mod tcp;
#[cfg(test)]
mod tests;

use std::{collections::HashMap, net::SocketAddr};

use self::{
    datagram::Mailboxes,
    directory::Directory,
    ledger::Ledger,
    socket::{Attempt, Scope, Sock},
};
use super::{
    Effects, Ground, Kernel, Share, Tied,
    address::{ip, local, peer, towards},
    known::Known,
    row::room,
    seen::{Seen, What},
};
use crate::{
    call::How,
    event::{
        Arg, CallId, Deed, Enter, Entry, Event, Packet, PacketId, Return, Socket, SocketId,
        Transport, Way,
    },
};

/// Ties that may be repeated, and datagrams that may be looked at in vain, for each entry of a log.
const SPARE: u64 = 64;

/// Errors of which a packet tells (RFC 9293 §3.10.7.4, RFC 1122 §4.2.3.9 and §4.1.3.3).
const TOLD: [i32; 12] = [
    libc::ECONNREFUSED,
    libc::ECONNRESET,
    libc::EPIPE,
    libc::EHOSTUNREACH,
    libc::ENETUNREACH,
    libc::EHOSTDOWN,
    libc::ENONET,
    libc::ENOPROTOOPT,
    libc::EPROTO,
    libc::EACCES,
    libc::EMSGSIZE,
    libc::EOPNOTSUPP,
];

/// A call that has not returned.
#[derive(Debug)]
struct Open {
    socket: SocketId,
    deed: Deed,
    /// It moves bytes of a stream that packets carry.
    stream: bool,
    /// It has room for no byte: to return none says nothing of the stream's end.
    empty: bool,
    /// Where its datagrams go.
    letters: Vec<SocketAddr>,
}

/// Ties packets to calls, entry by entry. A tie that is known is never taken back; more may be added.
#[derive(Debug, Default)]
pub struct Join {
    ledger: Ledger,
    sockets: HashMap<SocketId, Sock>,
    calls: HashMap<CallId, Open>,
    tcp: Directory,
    mail: Mailboxes,
    /// Segments on a lab's wire.
    flying: HashMap<PacketId, tcp::Flight>,
    /// Entries so far.
    at: u64,
    /// What is left of [`SPARE`]: no log makes work, or ties, out of proportion to its length.
    spare: u64,
}

impl Join {
    /// Takes the next entry; with what was read of it when it is a packet. `known` has learned from it already.
    pub fn push(&mut self, entry: &Entry, seen: Option<&Seen>, known: &Known) {
        self.at += 1;
        self.spare = self.spare.saturating_add(SPARE);
        match &entry.event {
            Event::Socket(socket) => self.told(socket, known),
            Event::Enter(enter) => self.enter(enter, known),
            Event::Return(returned) => self.returned(returned),
            Event::Packet(packet) => {
                if let Some(seen) = seen {
                    self.crossed(packet, seen, known);
                }
            }
            Event::Arrival(arrival) => {
                if let Some(flight) = self.flying.remove(&arrival.packet) {
                    self.arrives(flight);
                }
                self.datagram_arrives(arrival.packet);
            }
            _ => {}
        }
    }

    /// How a packet is tied; `None` for one that belongs to no traced socket.
    pub fn packet(&self, packet: PacketId) -> Option<&Tied> {
        self.ledger.tied(packet)
    }

    /// What a call has to do with packets.
    pub fn call(&self, call: CallId) -> Option<&Effects> {
        self.ledger.effects(call)
    }

    /// Forgets the ties of the packet, or the call, that is `behind` numbers older than that of `entry`, and connections
    /// that ended an eighth of that ago and are closed. Answers with the sockets of those: nobody uses them any more.
    pub(super) fn forget(&mut self, entry: &Entry, behind: u64) -> Vec<SocketId> {
        let packet = match &entry.event {
            Event::Packet(packet) => packet.number,
            Event::Enter(enter) => {
                self.ledger.forget_call(enter.call.saturating_sub(behind));
                return Vec::new();
            }
            _ => return Vec::new(),
        };
        let old = packet.saturating_sub(behind);
        self.ledger.forget_packet(old);
        self.flying.remove(&old);
        self.mail.forget(old);
        let sockets = &self.sockets;
        let is_closed = |id| {
            sockets
                .get(&id)
                .is_some_and(|sock: &Sock| sock.closing.is_some())
        };
        // Copies of a connection's last packets come within moments.
        let ended = packet.saturating_sub(behind / 8);
        let gone = self.tcp.forget((ended, packet), is_closed);
        for id in &gone {
            self.sockets.remove(id);
        }
        gone
    }

    fn crossed(&mut self, packet: &Packet, seen: &Seen, known: &Known) {
        let net = known.interfaces.get(&packet.interface).and_then(|i| i.net);
        let scope = match (packet.way, net) {
            (Way::Wire, _) => Scope::Wire,
            (_, Some(net)) => Scope::Net(net),
            (_, None) => return,
        };
        let place = (packet.number, scope, packet.way);
        match seen.what {
            What::Segment(segment) => {
                let data = payload(packet, seen, segment.len);
                self.segment(place, segment, (seen, data), known);
            }
            What::Datagram(len) => self.datagram(place, len, seen, known),
            What::Error(_) => {
                if let Some(id) = self.complained(scope, seen, known) {
                    let tied = self.ledger.packet(packet.number);
                    tied.kernel = Some(Kernel::Error);
                    tied.receiver = Some(id);
                    let error = (packet.number, Share::Datagram);
                    self.sockets.entry(id).or_default().error = Some(error);
                }
            }
        }
    }

    /// More is known of a socket.
    fn told(&mut self, socket: &Socket, known: &Known) {
        let Some(local) = local(socket) else {
            if socket.transport == Transport::Raw {
                self.speaks_icmp(socket.id);
            }
            return;
        };
        let id = socket.id;
        match socket.transport {
            Transport::Tcp => {}
            Transport::Udp => {
                let post = &mut self.sockets.entry(id).or_default().post;
                if post.port != Some(local.port()) {
                    post.port = Some(local.port());
                    self.mail.bound(local.port(), id);
                }
                return;
            }
            Transport::Raw => return self.speaks_icmp(id),
            Transport::Unix | Transport::Other => return,
        }
        let is_new = !self.sockets.contains_key(&id);
        let sock = self.sockets.entry(id).or_default();
        if is_new && socket.queued.is_some() {
            // Calls may come before any packet.
            sock.midway(socket, [None; 2]);
        }
        let to = peer(socket).or_else(|| sock.attempt.as_ref().map(|attempt| attempt.to));
        let Some(to) = to else {
            // One that is older than the watch may listen since long ago.
            sock.listening |= socket.before.is_some();
            self.listens(id, known);
            return;
        };
        if let Some((number, side)) = sock.flow {
            let Some(flow) = self.tcp.at(number) else {
                return;
            };
            if flow.ends[side].port == local.port() {
                return;
            }
            // Another program connected to the same place at that moment.
            flow.ends[side].owner = None;
            sock.flow = None;
        }
        let connects = sock.attempt.is_some();
        self.tcp.connected(to, id);
        let scopes = [Scope::Net(socket.net), Scope::Wire];
        let found = scopes
            .into_iter()
            .find_map(|scope| self.tcp.unowned(scope, (local, to), connects));
        match found {
            Some(end) => {
                let whole = self
                    .tcp
                    .at(end.0)
                    .is_some_and(|flow| flow.ends[0].out.syn || flow.ends[1].out.syn);
                self.own(end, id, whole, known);
            }
            None => self.tcp.awaits(local.port(), to, id),
        }
    }

    fn speaks_icmp(&mut self, id: SocketId) {
        let post = &mut self.sockets.entry(id).or_default().post;
        if !std::mem::replace(&mut post.pings, true) {
            self.mail.raw.push(id);
        }
    }

    /// The socket is known to listen, or its port is known: both together can be looked up.
    fn listens(&mut self, id: SocketId, known: &Known) {
        let Some(sock) = self.sockets.get_mut(&id).filter(|sock| sock.listening) else {
            return;
        };
        let local = known.sockets.get(&id).and_then(local);
        if let Some(local) = local
            && sock.listens_at.replace(local.port()) != Some(local.port())
        {
            self.tcp.listens(local.port(), id);
        }
    }

    fn enter(&mut self, enter: &Enter, known: &Known) {
        self.ledger.entered(enter.call);
        let closed = enter.socket.filter(|_| enter.deed == Deed::Close);
        for id in enter.closes.iter().copied().chain(closed) {
            self.sockets.entry(id).or_default().closing = Some(enter.call);
        }
        let Some(id) = enter.socket else {
            return;
        };
        let socket = known.sockets.get(&id);
        let tcp = socket.is_some_and(|socket| socket.transport == Transport::Tcp);
        let mut open = Open {
            socket: id,
            deed: enter.deed,
            stream: tcp,
            empty: room(enter) == Some(0),
            letters: Vec::new(),
        };
        let sock = self.sockets.entry(id).or_default();
        match enter.deed {
            Deed::Send if tcp => {
                if enter.waited {
                    sock.out.goes_on();
                } else {
                    sock.out.entered(enter.call, self.at, &enter.parts);
                }
                let to = enter
                    .parts
                    .first()
                    .and_then(|part| ip(part.address.as_ref()));
                if let Some(to) = to {
                    self.connects(id, enter.call, to, socket);
                }
            }
            Deed::Send => {
                for part in &enter.parts {
                    let said = ip(part.address.as_ref()).map(towards);
                    let Some(to) = said.or_else(|| socket.and_then(peer)) else {
                        continue;
                    };
                    sock.post.sends(enter.call, to, &part.data);
                    if sock.post.port.is_none() {
                        self.mail.sends(to, part.data.len, id);
                    }
                    open.letters.push(to);
                }
            }
            Deed::Receive if tcp => sock.incoming.entered(enter.call),
            Deed::Receive => sock.post.receives(enter.call),
            Deed::Connect if tcp => {
                let to = enter.args.iter().find_map(|arg| match arg {
                    Arg::Address(address) => ip(address.as_ref()),
                    _ => None,
                });
                if let Some(to) = to {
                    self.connects(id, enter.call, to, socket);
                }
            }
            Deed::Listen | Deed::Accept => {
                sock.listening = true;
                self.listens(id, known);
            }
            Deed::Shutdown(How::Write | How::Both) => {
                sock.shutdown.get_or_insert(enter.call);
            }
            _ => {}
        }
        self.calls.insert(enter.call, open);
    }

    /// A call is to connect the socket, unless it is connected, or an earlier one is at it.
    fn connects(&mut self, id: SocketId, call: CallId, to: SocketAddr, socket: Option<&Socket>) {
        let to = towards(to);
        let sock = self.sockets.entry(id).or_default();
        if let Some((number, _)) = sock.flow {
            let failed = sock.attempt.as_ref().is_some_and(|attempt| attempt.failed);
            let over = failed || self.tcp.at(number).is_none_or(|flow| flow.reset);
            if !over {
                return;
            }
            let post = std::mem::take(&mut sock.post);
            *sock = Sock {
                post,
                ..Sock::default()
            };
        }
        let pending = |attempt: &Attempt| attempt.returned.is_none() || !attempt.failed;
        if sock.attempt.as_ref().is_some_and(pending) {
            return;
        }
        let port = socket.and_then(local).map(|local| local.port());
        sock.attempt = Some(Attempt {
            call,
            to,
            port,
            returned: None,
            failed: false,
        });
        match port {
            Some(port) => self.tcp.awaits(port, to, id),
            None => self.tcp.connects(to, id),
        }
    }

    fn returned(&mut self, returned: &Return) {
        let Some(open) = self.calls.remove(&returned.call) else {
            return;
        };
        let (id, call) = (open.socket, returned.call);
        let Some(sock) = self.sockets.get_mut(&id) else {
            return;
        };
        let attempt = sock.attempt.as_mut().filter(|attempt| attempt.call == call);
        let going_on = matches!(
            returned.result,
            Ok(_) | Err(libc::EINPROGRESS | libc::EALREADY | libc::EINTR)
        );
        if let Some(attempt) = attempt {
            attempt.returned = Some(self.at);
            attempt.failed = !going_on;
            if !going_on {
                self.tcp.connected(attempt.to, id);
                if let Some(port) = attempt.port {
                    self.tcp.gives_up(port, attempt.to, id);
                }
            }
        }
        match open.deed {
            Deed::Send if open.stream => {
                sock.out.returned(call, self.at, returned.moved);
            }
            Deed::Send => {
                let sent = match returned.result {
                    Err(_) => 0,
                    Ok(n) if open.letters.len() > 1 => usize::try_from(n).unwrap_or(0),
                    Ok(_) => 1,
                };
                for to in open.letters.iter().skip(sent) {
                    sock.post.unsent(call, *to);
                }
            }
            Deed::Receive if !open.stream => self.received(id, returned),
            Deed::Receive => {
                let head = returned
                    .parts
                    .first()
                    .map_or(&[][..], |part| &part.data.head);
                let arrived = sock
                    .flow
                    .and_then(|(number, side)| Some(&mut self.tcp.at(number)?.ends[1 - side].out));
                let fin = arrived.as_ref().and_then(|stream| stream.fin_came);
                let arrived = arrived.map(|stream| &mut stream.arrived);
                let read = (call, returned.moved, head);
                sock.incoming.returned(read, arrived, &mut self.ledger);
                if returned.result == Ok(0)
                    && !open.empty
                    && let Some(fin) = fin
                    && !std::mem::replace(&mut sock.ended, true)
                {
                    let ground = Ground::Sequence;
                    self.ledger.took(fin, call, Share::Fin, ground);
                }
            }
            Deed::Shutdown(_) if returned.result.is_err() && sock.shutdown == Some(call) => {
                sock.shutdown = None;
            }
            Deed::Accept => {
                if let Some(opened) = returned.opened {
                    let sock = self.sockets.entry(opened).or_default();
                    sock.accept = Some((call, Some(id)));
                    self.accepted(opened);
                }
            }
            _ => {}
        }
        if returned.result.is_err_and(|error| TOLD.contains(&error)) {
            self.blame(id, Some(call));
        }
    }
}

/// All captured data of a segment, which ends the packet; only how it begins where something stands behind it.
fn payload<'a>(packet: &'a Packet, seen: &'a Seen, len: u32) -> &'a [u8] {
    let start = packet.wire_len.saturating_sub(len) as usize;
    match packet.bytes.get(start..) {
        Some(all) if all.starts_with(&seen.data) => all,
        _ => &seen.data,
    }
}
