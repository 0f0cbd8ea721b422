//! Random datagrams between three sockets on a wire, whose truth is known because they were made from it.

use std::collections::VecDeque;

use proptest::prelude::*;

use super::{join, random::Dice};
use crate::{
    call::Caller,
    event::{CallId, Deed, PacketId, SocketId, Transport, Way},
    timeline::{
        Share,
        testing::{Log, at, caller, datagram},
    },
};

const ENDS: [&str; 3] = ["10.0.0.1:40000", "10.0.0.2:5000", "10.0.0.1:40001"];

struct Exchange {
    log: Log,
    dice: Dice,
    sockets: [SocketId; 3],
    /// Contents differ, so that sockets may drop datagrams and threads may race.
    told_apart: bool,
    sent: u32,
    flying: Vec<(usize, usize, PacketId, Vec<u8>)>,
    inbox: [VecDeque<(usize, PacketId, Vec<u8>)>; 3],
    /// Packet, who caused it, who took it.
    truth: Vec<(PacketId, SocketId, CallId, Vec<CallId>)>,
}

impl Exchange {
    fn new(seed: u64, told_apart: bool) -> Self {
        let mut log = Log::lab();
        let sockets = [1, 2, 1].map(|net| log.appears(net, Transport::Udp));
        log.addresses(sockets[1], "0.0.0.0:5000", None);
        log.addresses(sockets[2], ENDS[2], Some(ENDS[1]));
        Self {
            log,
            dice: Dice(seed | 1),
            sockets,
            told_apart,
            sent: 0,
            flying: Vec::new(),
            inbox: Default::default(),
            truth: Vec::new(),
        }
    }

    fn content(&mut self) -> Vec<u8> {
        self.sent += 1;
        if self.told_apart {
            let mut content = self.sent.to_be_bytes().to_vec();
            content.resize(4 + self.dice.upto(3), 0);
            content
        } else {
            vec![b'x'; self.dice.upto(3)]
        }
    }

    /// A call enters; its datagram leaves later.
    fn enters(&mut self, from: usize, to: usize, by: Caller) -> (CallId, Vec<u8>) {
        let content = self.content();
        let connected = from == 2;
        let said = (!connected).then_some(ENDS[to]);
        let call = self.log.sends(by, self.sockets[from], &content, said);
        (call, content)
    }

    fn leaves(&mut self, from: usize, to: usize, call: CallId, content: &[u8]) {
        let lost = self.dice.once_in(4).then_some("one in four");
        let bytes = datagram(at(ENDS[from]), at(ENDS[to]), content);
        let packet = self.log.packet(Way::Wire, bytes, lost);
        if lost.is_none() {
            self.flying.push((from, to, packet, content.to_vec()));
        }
        let sender = self.sockets[from];
        self.truth.push((packet, sender, call, Vec::new()));
    }

    fn send(&mut self) {
        let (from, to) = [(0, 1), (2, 1), (1, 0), (1, 2)][self.dice.upto(3)];
        // Nobody sends to a socket that has not sent, and so has no port.
        if to == 0 && !self.truth.iter().any(|truth| truth.1 == self.sockets[0]) {
            return;
        }
        if self.dice.once_in(6) {
            // It is refused; nothing leaves.
            let (call, _) = self.enters(from, to, caller(1));
            self.log.returns(call, Err(libc::EAGAIN));
            return;
        }
        let first = self.enters(from, to, caller(1));
        let both = self.told_apart && self.dice.once_in(3);
        let second = both.then(|| self.enters(from, to, caller(2)));
        if let Some((call, content)) = &second {
            self.leaves(from, to, *call, content);
        }
        self.leaves(from, to, first.0, &first.1);
        for (call, content) in [Some(first), second].into_iter().flatten() {
            self.log.returns(call, Ok(content.len() as i64));
        }
        if from == 0 {
            self.log.addresses(self.sockets[0], "0.0.0.0:40000", None);
        }
    }

    fn arrive(&mut self) {
        if self.flying.is_empty() {
            return;
        }
        let which = self.dice.upto(self.flying.len() - 1);
        let (from, to, packet, content) = self.flying.remove(which);
        let twice = self.dice.once_in(5);
        for again in [false, true].into_iter().take(1 + usize::from(twice)) {
            self.log.arrives(packet, again);
            let full = self.told_apart && self.dice.once_in(4);
            if !full {
                self.inbox[to].push_back((from, packet, content.clone()));
            }
        }
    }

    fn receive(&mut self) {
        let side = self.dice.upto(2);
        let call = self.log.enter(caller(3), Deed::Receive, self.sockets[side]);
        match self.inbox[side].pop_front() {
            Some((from, packet, content)) => {
                self.log.received(call, &content, Some(ENDS[from]));
                let truth = self.truth.iter_mut().find(|truth| truth.0 == packet);
                truth.unwrap().3.push(call);
            }
            None => self.log.returns(call, Err(libc::EAGAIN)),
        }
    }

    fn check(&self) -> Result<(), TestCaseError> {
        let made = join(&self.log.entries);
        for (packet, sender, cause, takers) in &self.truth {
            let tied = made.join.packet(*packet).unwrap();
            prop_assert_eq!(tied.sender, Some(*sender), "sender of {}", packet);
            let causes: Vec<_> = tied
                .causes
                .iter()
                .map(|t| (t.call, t.share.clone()))
                .collect();
            prop_assert_eq!(causes, [(*cause, Share::Datagram)], "cause of {}", packet);
            let took: Vec<CallId> = tied.takers.iter().map(|t| t.call).collect();
            prop_assert_eq!(&took, takers, "takers of {}", packet);
        }
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn every_datagram_is_tied_to_its_calls(seed: u64, told_apart: bool, steps in 0usize..80) {
        let mut exchange = Exchange::new(seed, told_apart);
        for _ in 0..steps {
            match exchange.dice.upto(2) {
                0 => exchange.send(),
                1 => exchange.arrive(),
                _ => exchange.receive(),
            }
        }
        exchange.check()?;
    }
}
