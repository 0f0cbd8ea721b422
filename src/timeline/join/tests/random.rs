//! Random exchanges whose truth is known because they were made from it: every tie has to be found, and no other.

use proptest::prelude::*;

use super::join;
use crate::{
    call::Caller,
    event::{CallId, Deed, PacketId, SocketId, Transport, Way},
    timeline::{
        Share, Tie,
        testing::{CLIENT, Log, SERVER, Tcp, at, segment},
    },
};

const ENDS: [&str; 2] = ["10.0.0.1:40000", "10.0.0.2:5000"];

/// A small source of randomness, so that a seed alone makes a case again.
pub(super) struct Dice(pub(super) u64);

impl Dice {
    pub(super) fn upto(&mut self, most: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize % (most + 1)
    }

    pub(super) fn once_in(&mut self, n: usize) -> bool {
        self.upto(n - 1) == 0
    }

    fn bytes(&mut self, len: usize) -> Vec<u8> {
        (0..len).map(|_| self.upto(255) as u8).collect()
    }
}

/// One direction of a connection: byte for byte who gave it, what brought it, and who took it.
#[derive(Default)]
struct Stream {
    data: Vec<u8>,
    by: Vec<CallId>,
    sent: usize,
    brought: Vec<Option<PacketId>>,
    taken: Vec<CallId>,
    fin: Option<CallId>,
}

struct Exchange {
    log: Log,
    dice: Dice,
    way: Way,
    isn: [u32; 2],
    sockets: [SocketId; 2],
    streams: [Stream; 2],
    /// Side, packet, range.
    flying: Vec<(usize, PacketId, (usize, usize))>,
    /// Packet, side, range, FIN.
    segments: Vec<(PacketId, usize, (usize, usize), bool)>,
    largest: usize,
}

fn thread(side: usize, second: bool) -> Caller {
    let by = [CLIENT, SERVER][side];
    Caller {
        thread: by.thread + u32::from(second),
        ..by
    }
}

impl Exchange {
    fn new(seed: u64, wire: bool) -> Self {
        let mut dice = Dice(seed | 1);
        let (log, way) = if wire {
            (Log::lab(), Way::Wire)
        } else {
            (Log::local(), Way::Loop)
        };
        let isn = [0, 1].map(|_| match dice.upto(2) {
            0 => u32::MAX - dice.upto(5000) as u32,
            _ => dice.upto(u32::MAX as usize) as u32,
        });
        let mut exchange = Self {
            log,
            dice,
            way,
            isn,
            sockets: [0; 2],
            streams: Default::default(),
            flying: Vec::new(),
            segments: Vec::new(),
            largest: 1460,
        };
        exchange.largest = [200, 1460, 9000][exchange.dice.upto(2)];
        exchange.open();
        exchange
    }

    fn net(&self, side: usize) -> u32 {
        if self.way == Way::Wire {
            side as u32 + 1
        } else {
            1
        }
    }

    /// The handshake; the client's socket becomes known before or after its SYN, the server's at some later time.
    fn open(&mut self) {
        let listener = self.log.listener(SERVER, self.net(1), "0.0.0.0:5000");
        let client = self.log.appears(1, Transport::Tcp);
        let connect = self.log.connects(CLIENT, client, ENDS[1]);
        let later = self.dice.once_in(2);
        if later {
            self.log.addresses(client, ENDS[0], None);
            self.log.returns(connect, Err(libc::EINPROGRESS));
        }
        let [a, b] = self.isn;
        let next = [a.wrapping_add(1), b.wrapping_add(1)];
        for (side, flags, seq, ack) in [
            (0, "S", a, 0),
            (1, "SA", b, next[0]),
            (0, "A", next[0], next[1]),
        ] {
            let tcp = Tcp::new(flags, seq, ack, b"");
            let packet = self.log.segment(self.way, ENDS[side], ENDS[1 - side], tcp);
            if self.way == Way::Wire {
                self.log.arrives(packet, false);
            }
        }
        if !later {
            self.log.addresses(client, ENDS[0], Some(ENDS[1]));
            self.log.returns(connect, Ok(0));
        }
        self.sockets = [client, 0];
        for _ in 0..self.dice.upto(4) {
            self.send(0);
            self.emit(0);
        }
        let accept = self.log.enter(SERVER, Deed::Accept, listener);
        self.sockets[1] = self.log.accepted(accept, self.net(1), ENDS[1], ENDS[0]);
    }

    /// A call that sends, wholly or in part; segments may leave before it returns.
    fn send(&mut self, side: usize) {
        let len = 1 + self.dice.upto(3 * self.largest);
        let moved = if self.dice.once_in(4) {
            self.dice.upto(len)
        } else {
            len
        };
        let data = self.dice.bytes(len);
        let call = self
            .log
            .sends(thread(side, false), self.sockets[side], &data, None);
        self.give(side, call, &data[..moved]);
        for _ in 0..self.dice.upto(3) {
            self.emit(side);
        }
        self.log.returns(call, Ok(moved as i64));
    }

    fn give(&mut self, side: usize, call: CallId, data: &[u8]) {
        let stream = &mut self.streams[side];
        stream.data.extend(data);
        stream.by.extend(data.iter().map(|_| call));
        stream.brought.resize(stream.data.len(), None);
    }

    /// Two threads send at once, and the kernel takes the second one first.
    fn send_both(&mut self, side: usize) {
        let lens = [0, 1].map(|_| 16 + self.dice.upto(2 * self.largest));
        let data = lens.map(|len| self.dice.bytes(len));
        let calls = [0, 1].map(|n| {
            self.log
                .sends(thread(side, n == 1), self.sockets[side], &data[n], None)
        });
        let first = self.dice.upto(1);
        for n in [first, 1 - first] {
            self.give(side, calls[n], &data[n]);
        }
        for _ in 0..self.dice.upto(4) {
            self.emit(side);
        }
        let first = self.dice.upto(1);
        for n in [first, 1 - first] {
            self.log.returns(calls[n], Ok(lens[n] as i64));
        }
    }

    /// The next segment leaves.
    fn emit(&mut self, side: usize) {
        let stream = &self.streams[side];
        let most = self.largest.min(stream.data.len() - stream.sent);
        if most == 0 {
            return;
        }
        let (start, end) = (stream.sent, stream.sent + 1 + self.dice.upto(most - 1));
        self.streams[side].sent = end;
        self.cross(side, (start, end), false);
    }

    /// Bytes that were sent are sent again, in other pieces.
    fn again(&mut self, side: usize) {
        let sent = self.streams[side].sent;
        if sent == 0 {
            return;
        }
        let start = self.dice.upto(sent - 1);
        let end = (start + 1 + self.dice.upto(self.largest - 1)).min(sent);
        self.cross(side, (start, end), false);
    }

    fn cross(&mut self, side: usize, (start, end): (usize, usize), fin: bool) {
        let stream = &self.streams[side];
        let flags = if fin { "FA" } else { "PA" };
        let seq = self.isn[side].wrapping_add(1).wrapping_add(start as u32);
        // What has come from the other side without gaps is acknowledged.
        let other = &self.streams[1 - side].brought;
        let ack = other.iter().take_while(|b| b.is_some()).count() as u32;
        let ack = self.isn[1 - side].wrapping_add(1).wrapping_add(ack);
        let tcp = Tcp::new(flags, seq, ack, &stream.data[start..end]);
        let bytes = segment(at(ENDS[side]), at(ENDS[1 - side]), tcp);
        let wire = self.way == Way::Wire;
        let lost = wire && self.dice.once_in(5);
        let packet = self
            .log
            .packet(self.way, bytes, lost.then_some("one in five"));
        self.segments.push((packet, side, (start, end), fin));
        if wire && !lost {
            self.flying.push((side, packet, (start, end)));
        } else if !wire {
            self.bring(side, packet, (start, end));
        }
    }

    fn bring(&mut self, side: usize, packet: PacketId, (start, end): (usize, usize)) {
        for place in &mut self.streams[side].brought[start..end] {
            place.get_or_insert(packet);
        }
    }

    /// One of the packets on the wire arrives, perhaps twice.
    fn arrive(&mut self) {
        if self.flying.is_empty() {
            return;
        }
        let which = self.dice.upto(self.flying.len() - 1);
        let (side, packet, range) = self.flying.swap_remove(which);
        self.log.arrives(packet, false);
        self.bring(side, packet, range);
        if self.dice.once_in(8) {
            self.log.arrives(packet, true);
        }
    }

    /// How much `side` could read now.
    fn ready(&self, side: usize) -> usize {
        let stream = &self.streams[1 - side];
        let unread = &stream.brought[stream.taken.len()..];
        unread
            .iter()
            .take_while(|brought| brought.is_some())
            .count()
    }

    fn receive(&mut self, side: usize) {
        let call = self
            .log
            .enter(thread(side, false), Deed::Receive, self.sockets[side]);
        let ready = self.ready(side);
        if ready == 0 {
            self.log.returns(call, Err(libc::EAGAIN));
            return;
        }
        let len = 1 + self.dice.upto(ready - 1);
        let data = self.take(side, call, len);
        self.log.received(call, &data, None);
    }

    fn take(&mut self, side: usize, call: CallId, len: usize) -> Vec<u8> {
        let stream = &mut self.streams[1 - side];
        let start = stream.taken.len();
        stream.taken.resize(start + len, call);
        stream.data[start..start + len].to_vec()
    }

    /// Two threads receive at once, and whoever took its bytes later may return first.
    fn receive_both(&mut self, side: usize) {
        let ready = self.ready(side);
        if ready < 32 || self.largest > 200 {
            return;
        }
        let calls = [0, 1].map(|n| {
            self.log
                .enter(thread(side, n == 1), Deed::Receive, self.sockets[side])
        });
        let len = 16 + self.dice.upto(ready - 32);
        let first = self.dice.upto(1);
        let mut data = [Vec::new(), Vec::new()];
        data[first] = self.take(side, calls[first], len);
        data[1 - first] = self.take(side, calls[1 - first], ready - len);
        let first = self.dice.upto(1);
        for n in [first, 1 - first] {
            self.log.received(calls[n], &data[n], None);
        }
    }

    /// Everything that was given is sent and read, and both sides close, in one way or the other.
    fn finish(&mut self) {
        for side in [0, 1] {
            while self.streams[side].sent < self.streams[side].data.len() {
                self.emit(side);
            }
        }
        while !self.flying.is_empty() {
            self.arrive();
        }
        for side in [0, 1] {
            let deed = if self.dice.once_in(2) {
                Deed::Shutdown(crate::call::How::Write)
            } else {
                self.log
                    .call(thread(side, true), Deed::Close, self.sockets[side], Ok(0));
                Deed::Close
            };
            let call = self
                .log
                .call(thread(side, false), deed, self.sockets[side], Ok(0));
            let end = self.streams[side].data.len();
            self.streams[side].fin = Some(call);
            // On its last data, or alone.
            let start = end - self.dice.upto(end.min(self.largest));
            self.cross(side, (start, end), true);
        }
    }

    fn step(&mut self) {
        let side = self.dice.upto(1);
        match self.dice.upto(9) {
            0 | 1 => self.send(side),
            2 => self.send_both(side),
            3 | 4 => self.emit(side),
            5 => self.again(side),
            6 => self.receive(side),
            7 => self.receive_both(side),
            _ => self.arrive(),
        }
    }

    /// Compares every tie with the truth.
    fn check(&self) -> Result<(), TestCaseError> {
        let made = join(&self.log.entries);
        for &(packet, side, (start, end), fin) in &self.segments {
            let tied = made.join.packet(packet).unwrap();
            prop_assert_eq!(
                tied.sender,
                Some(self.sockets[side]),
                "sender of {}",
                packet
            );
            prop_assert_eq!(
                tied.receiver,
                Some(self.sockets[1 - side]),
                "receiver of {}",
                packet
            );
            let stream = &self.streams[side];
            let mut causes = runs(start..end, |at| Some(stream.by[at]));
            if fin {
                causes.extend(stream.fin.map(|call| (call, Share::Fin)));
            }
            prop_assert_eq!(told(&tied.causes), causes, "causes of {}", packet);
            let takers = runs(start..end, |at| {
                let here = stream.brought[at] == Some(packet);
                stream.taken.get(at).copied().filter(|_| here)
            });
            prop_assert_eq!(told(&tied.takers), takers, "takers of {}", packet);
        }
        Ok(())
    }
}

/// Bytes with the same call behind them, together.
fn runs(
    range: std::ops::Range<usize>,
    by: impl Fn(usize) -> Option<CallId>,
) -> Vec<(CallId, Share)> {
    let each = range.filter_map(|at| Some((by(at)?, Share::Bytes(at as u64..at as u64 + 1))));
    together(each)
}

fn told(ties: &[Tie]) -> Vec<(CallId, Share)> {
    together(ties.iter().map(|tie| (tie.call, tie.share.clone())))
}

fn together(ties: impl Iterator<Item = (CallId, Share)>) -> Vec<(CallId, Share)> {
    let mut runs: Vec<(CallId, Share)> = Vec::new();
    for (call, share) in ties {
        if let (Some((last, Share::Bytes(run))), Share::Bytes(bytes)) = (runs.last_mut(), &share)
            && *last == call
            && run.end == bytes.start
        {
            run.end = bytes.end;
        } else {
            runs.push((call, share));
        }
    }
    runs
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn every_byte_of_a_connection_is_tied_to_its_calls(seed: u64, wire: bool, steps in 0usize..60) {
        let mut exchange = Exchange::new(seed, wire);
        for _ in 0..steps {
            exchange.step();
        }
        exchange.finish();
        exchange.check()?;
    }
}
