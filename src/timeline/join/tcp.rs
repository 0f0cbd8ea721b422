//! Segments: whose they are, which calls their bytes come from, and which calls return them.

use std::net::SocketAddr;

use super::{
    Join,
    flow::{Crossing, EARLY, Label},
    socket::Scope,
};
use crate::{
    event::{PacketId, SocketId, Way},
    timeline::{
        Ground, Kernel, Share,
        address::plain,
        known::Known,
        seen::{Seen, Segment},
    },
};

/// A segment on a lab's wire: its connection, the end that sent it, and itself.
pub(super) type Flight = (u32, usize, Crossing);

impl Join {
    /// A segment crossed.
    pub(super) fn segment(
        &mut self,
        (packet, scope, way): (PacketId, Scope, Way),
        segment: Segment,
        (seen, payload): (&Seen, &[u8]),
        known: &Known,
    ) {
        let ends = (plain(seen.source), plain(seen.destination));
        let (number, side, new) = self.tcp.flow(scope, ends, &segment);
        if new {
            self.settle((number, side), (scope, ends), &segment, known);
        }
        let first = self.before((number, side), known);
        let Some(flow) = self.tcp.at(number) else {
            return;
        };
        let crossing = Crossing {
            packet,
            at: self.at,
            segment,
            bytes: 0..0,
            data: seen.data.clone(),
            fresh: None,
            opens: false,
            unwanted: false,
        };
        let Some(judged) = flow.sent(side, crossing, first) else {
            return;
        };
        let crossing = judged.crossing;
        let (owner, receiver) = (flow.ends[side].owner, flow.ends[1 - side].owner);
        if flow.ends_now() {
            self.tcp.ends(packet, (scope, ends), number);
        }
        self.ledger.packet(packet).again = judged.again;
        self.label((number, side), packet, judged.kernel);
        match owner {
            Some(owner) => self.caused(owner, &crossing, payload),
            // What a network received was not sent in it, and what it sent is not for it.
            None if way == Way::In => {}
            None => self.orphan((number, side), &crossing),
        }
        match receiver {
            Some(receiver) => self.ledger.packet(packet).receiver = Some(receiver),
            None if way == Way::Out => {}
            None => self.unclaimed((number, 1 - side), &crossing),
        }
        match way {
            Way::Out => {}
            Way::Wire => {
                self.flying.insert(packet, (number, side, crossing));
            }
            Way::In | Way::Loop => self.arrives((number, side, crossing)),
        }
    }

    /// How much of its stream the end had sent before it was watched.
    fn before(&mut self, (number, side): (u32, usize), known: &Known) -> u64 {
        let Some(flow) = self.tcp.at(number) else {
            return 0;
        };
        let before = |owner: Option<SocketId>| known.sockets.get(&owner?)?.before;
        let (own, other) = (
            before(flow.ends[side].owner),
            before(flow.ends[1 - side].owner),
        );
        own.map(|[sent, _]| sent)
            .or_else(|| other.map(|[_, received]| received))
            .unwrap_or(0)
    }

    /// Finds the sockets of a new connection.
    fn settle(
        &mut self,
        (number, side): (u32, usize),
        (scope, (from, to)): (Scope, (SocketAddr, SocketAddr)),
        segment: &Segment,
        known: &Known,
    ) {
        let client = segment.syn.then(|| match segment.ack {
            None => side,
            Some(_) => 1 - side,
        });
        for (end, (local, peer)) in [(side, (from, to)), (1 - side, (to, from))] {
            if client == Some(1 - end) && from != to {
                let listener = self.tcp.listener(scope, local, known, &self.sockets);
                if let Some(flow) = self.tcp.at(number) {
                    flow.ends[end].passive = true;
                    flow.ends[end].listener = listener;
                }
                continue;
            }
            let mut owner = self.tcp.awaited(scope, (local, peer), known);
            if client == Some(end) && owner.is_none() {
                owner = self.tcp.connects_to(scope, peer, known);
                if owner.is_none() {
                    self.tcp.is_loose(scope, (local, peer), number);
                }
            }
            if let Some(owner) = owner {
                self.own((number, end), owner, segment.syn, known);
            }
        }
    }

    /// The end is this socket's: what it sent and got before that was known is tied now. `whole`: the connection was seen
    /// from its SYN on.
    pub(super) fn own(
        &mut self,
        (number, side): (u32, usize),
        id: SocketId,
        whole: bool,
        known: &Known,
    ) {
        let sock = self.sockets.entry(id).or_default();
        let Some(flow) = self.tcp.at(number).filter(|_| sock.flow.is_none()) else {
            return;
        };
        let upto = [side, 1 - side].map(|side| flow.ends[side].out.upto());
        let end = &mut flow.ends[side];
        if end.owner.is_some() {
            return;
        }
        end.owner = Some(id);
        sock.flow = Some((number, side));
        let early_sent = std::mem::take(&mut end.early_sent);
        let early_got = std::mem::take(&mut end.early_got);
        if let Some(socket) = known.sockets.get(&id).filter(|_| !whole) {
            sock.midway(socket, upto);
        }
        if let Some(attempt) = &sock.attempt {
            self.tcp.connected(attempt.to, id);
        }
        for crossing in &early_sent {
            self.caused(id, crossing, &crossing.data);
        }
        for crossing in &early_got {
            self.ledger.packet(crossing.packet).receiver = Some(id);
            self.got(id, crossing);
        }
        self.blame(id, None);
        self.accepted(id);
    }

    /// `accept` returned the socket, and its connection is known: the SYN is what it returned.
    pub(super) fn accepted(&mut self, id: SocketId) {
        let Some(sock) = self.sockets.get_mut(&id) else {
            return;
        };
        let (Some((number, side)), Some((call, listener))) = (sock.flow, sock.accept) else {
            return;
        };
        sock.accept = None;
        let Some(flow) = self.tcp.at(number) else {
            return;
        };
        let syn = flow.ends[1 - side].out.syn_came;
        let unheard = std::mem::take(&mut flow.unheard);
        if flow.ends[side].listener.is_none() {
            flow.ends[side].listener = listener;
        }
        if let Some(syn) = syn {
            self.ledger.took(syn, call, Share::Syn, Ground::Connect);
        }
        for (packet, sent) in unheard {
            let tied = self.ledger.packet(packet);
            let end = if sent {
                &mut tied.sender
            } else {
                &mut tied.receiver
            };
            *end = end.or(listener);
        }
    }

    /// Ties a segment to the calls of its sender.
    fn caused(&mut self, id: SocketId, crossing: &Crossing, payload: &[u8]) {
        let packet = crossing.packet;
        self.ledger.packet(packet).sender = Some(id);
        let Some(sock) = self.sockets.get_mut(&id) else {
            return;
        };
        let segment = &crossing.segment;
        if let Some(attempt) = &sock.attempt {
            let opens = crossing.opens && attempt.blocks(crossing.at);
            if segment.syn && segment.ack.is_none() || opens {
                let call = attempt.call;
                self.ledger
                    .caused(packet, call, Share::Syn, Ground::Connect);
            }
        }
        if let Some(fresh) = &crossing.fresh {
            let data = crossing.from(fresh.start, payload);
            sock.out.shown(fresh.clone(), data);
        }
        if segment.len > 0 {
            let again = self.ledger.packet(packet).again;
            let most = if again { self.spare } else { u64::MAX };
            let ties = sock.out.of(crossing.bytes.clone());
            for (call, part, ground) in ties.take(usize::try_from(most).unwrap_or(usize::MAX)) {
                self.spare = self.spare.saturating_sub(u64::from(again));
                let share = Share::Bytes(part);
                self.ledger.caused(packet, call, share, ground);
            }
        }
        if segment.fin
            && let Some((call, ground)) = sock.fin()
        {
            self.ledger.caused(packet, call, Share::Fin, ground);
        }
        if segment.rst
            && !crossing.unwanted
            && let Some(call) = sock.closing
        {
            let ground = Ground::LastClose;
            self.ledger.caused(packet, call, Share::Reset, ground);
        }
    }

    /// A segment of an end whose socket is not known: the listening socket's while `accept` has not returned another.
    fn orphan(&mut self, (number, side): (u32, usize), crossing: &Crossing) {
        let Some(flow) = self.tcp.at(number) else {
            return;
        };
        let end = &mut flow.ends[side];
        let segment = &crossing.segment;
        if crossing.unwanted {
            return;
        }
        if end.passive && (segment.syn || segment.rst) {
            let Some(listener) = end.listener else {
                if flow.unheard.len() < EARLY {
                    flow.unheard.push((crossing.packet, true));
                }
                return;
            };
            self.ledger.packet(crossing.packet).sender = Some(listener);
            let closing = self.sockets.get(&listener).and_then(|s| s.closing);
            if let Some(call) = closing.filter(|_| segment.rst) {
                let (share, ground) = (Share::Reset, Ground::LastClose);
                self.ledger.caused(crossing.packet, call, share, ground);
            }
        } else if end.early_sent.len() < EARLY {
            end.early_sent.push(crossing.clone());
        }
    }

    /// A segment for an end whose socket is not known.
    fn unclaimed(&mut self, (number, side): (u32, usize), crossing: &Crossing) {
        let Some(flow) = self.tcp.at(number) else {
            return;
        };
        let end = &mut flow.ends[side];
        if end.passive && crossing.segment.syn {
            match end.listener {
                Some(_) => self.ledger.packet(crossing.packet).receiver = end.listener,
                None if flow.unheard.len() < EARLY => flow.unheard.push((crossing.packet, false)),
                None => {}
            }
        } else if end.early_got.len() < EARLY {
            let mut crossing = crossing.clone();
            crossing.data.clear();
            end.early_got.push(crossing);
        }
    }

    /// A segment reaches its receiver.
    pub(super) fn arrives(&mut self, (number, side, crossing): Flight) {
        let Some(flow) = self.tcp.at(number) else {
            return;
        };
        let Some(fresh) = flow.came(side, &crossing) else {
            return;
        };
        let Some(flow) = self.tcp.at(number) else {
            return;
        };
        let owner = flow.ends[1 - side].owner;
        let arrived = &mut flow.ends[side].out.arrived;
        for part in fresh {
            let unread = match owner.and_then(|id| self.sockets.get(&id)) {
                Some(sock) => {
                    let ledger = &mut self.ledger;
                    sock.incoming.arrived(&part, crossing.packet, ledger)
                }
                None => arrived.len() < EARLY,
            };
            if unread {
                let data = crossing.from(part.start, &crossing.data);
                arrived.add(part, crossing.packet, data);
            }
        }
        if let Some(owner) = owner {
            self.got(owner, &crossing);
        }
    }

    /// A segment reached this socket: what it means for calls that wait for something other than data.
    fn got(&mut self, id: SocketId, crossing: &Crossing) {
        let Some(sock) = self.sockets.get_mut(&id) else {
            return;
        };
        let segment = &crossing.segment;
        if segment.rst {
            sock.error = Some((crossing.packet, Share::Reset));
        }
        if segment.syn
            && segment.ack.is_some()
            && let Some(attempt) = &sock.attempt
            && attempt.blocks(crossing.at)
        {
            let (share, ground) = (Share::Syn, Ground::Connect);
            self.ledger
                .took(crossing.packet, attempt.call, share, ground);
        }
    }

    /// `call` failed; without one, the attempt to connect did: of what the socket was told by a packet.
    pub(super) fn blame(&mut self, id: SocketId, call: Option<crate::event::CallId>) {
        let Some(sock) = self.sockets.get_mut(&id) else {
            return;
        };
        let attempt = sock.attempt.as_mut().filter(|attempt| match call {
            Some(call) => attempt.call == call,
            None => attempt.failed,
        });
        let connects = attempt.is_some();
        let Some(call) = call.or_else(|| attempt.as_ref().map(|attempt| attempt.call)) else {
            return;
        };
        if let Some(attempt) = attempt {
            attempt.failed = sock.error.is_none();
        }
        if let Some((packet, share)) = sock.error.take() {
            let ground = if connects {
                Ground::Connect
            } else {
                Ground::Order
            };
            self.ledger.took(packet, call, share, ground);
        }
    }

    /// Writes down what the kernel sent a segment for.
    fn label(&mut self, (number, side): (u32, usize), packet: PacketId, label: Option<Label>) {
        let kernel = match label {
            None => return,
            Some(Label::Is(kernel)) => kernel,
            Some(Label::Acks(upto)) => Kernel::Ack(self.acknowledged((number, 1 - side), upto)),
        };
        self.ledger.packet(packet).kernel = Some(kernel);
    }

    /// The last call of this end whose SYN, FIN or bytes lie before `upto`.
    fn acknowledged(
        &mut self,
        (number, side): (u32, usize),
        upto: i64,
    ) -> Option<crate::event::CallId> {
        let end = &self.tcp.at(number)?.ends[side];
        let fin = end.out.fin;
        let passive = end.passive;
        let sock = self.sockets.get_mut(&end.owner?)?;
        let Some(last) = u64::try_from(upto).ok()?.checked_sub(1) else {
            return sock.attempt.as_ref().filter(|_| !passive).map(|a| a.call);
        };
        if fin == Some(last) {
            return sock.fin.flatten().map(|(call, _)| call);
        }
        let last = last..last + 1;
        sock.out.of(last).last().map(|(call, _, _)| call)
    }
}

impl Crossing {
    /// What of its data, which `payload` begins, lies behind a place in the stream.
    fn from<'a>(&self, place: u64, payload: &'a [u8]) -> &'a [u8] {
        place
            .checked_sub(self.bytes.start)
            .and_then(|skip| payload.get(usize::try_from(skip).ok()?..))
            .unwrap_or(&[])
    }
}
