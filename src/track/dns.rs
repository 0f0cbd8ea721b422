//! Questions: ties each DNS answer to the query that it answers.

use std::{
    collections::{HashMap, VecDeque},
    hash::{BuildHasher, RandomState},
    net::IpAddr,
};

use crate::{
    field::{Field, Value},
    layer::View,
    proto::dns::{self, Message},
    time::Time,
};

/// Queries that wait for their answer, at most.
const CAPACITY: usize = 65_536;
/// A query that is sent again within this time is the same one; later it counts as a new one, as in Wireshark.
const AGAIN: i64 = 5_000_000_000;

/// What tells one query from another, as the asker sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Query {
    addresses: (IpAddr, IpAddr),
    ports: (u16, u16),
    id: u16,
}

/// A query without an answer so far.
#[derive(Clone, Copy, Debug)]
struct Waiting {
    frame: u64,
    time: Time,
    /// Hash of the first question; none where there is no question.
    question: Option<u64>,
}

/// Queries without an answer so far.
#[derive(Debug, Default)]
pub(super) struct Queries {
    waiting: HashMap<Query, Waiting, RandomState>,
    /// Oldest first, with the frame that tells a query from one that took its place.
    ages: VecDeque<(Query, u64)>,
}

impl Queries {
    /// Notes a query, or tells by `fact` which one is answered.
    pub(super) fn message(
        &mut self,
        view: &View<'_>,
        mut fact: impl FnMut(&'static Field, Value<'static>),
    ) {
        let (Some(message), Some(addresses), Some(ports)) =
            (Message::of(view), view.addresses(), ports(view))
        else {
            return;
        };
        let question = message.question();
        let question = question.map(|bytes| self.waiting.hasher().hash_one(bytes));
        let (frame, id) = (&view.packet.frame, message.id());
        if !message.is_response() {
            let query = Query {
                addresses,
                ports,
                id,
            };
            let waiting = Waiting {
                frame: frame.number,
                time: frame.time,
                question,
            };
            return self.query(query, waiting);
        }
        let query = Query {
            addresses: (addresses.1, addresses.0),
            ports: (ports.1, ports.0),
            id,
        };
        if let Some(found) = self.answer(&query, question) {
            fact(&dns::RESPONSE_TO, Value::Uint(found.frame));
            fact(&dns::TIME, Value::Duration(frame.time.since(found.time)));
        }
    }

    fn query(&mut self, query: Query, new: Waiting) {
        let same =
            |old: &&Waiting| old.question == new.question && new.time.since(old.time) < AGAIN;
        if self.waiting.get(&query).filter(same).is_some() {
            return;
        }
        // Those answered or replaced meanwhile leave, and the oldest for want of room.
        while let Some(&(oldest, frame)) = self.ages.front() {
            let waits = self.waiting.get(&oldest).is_some_and(|w| w.frame == frame);
            if waits && self.ages.len() < CAPACITY {
                break;
            }
            if waits {
                self.waiting.remove(&oldest);
            }
            self.ages.pop_front();
        }
        self.waiting.insert(query, new);
        self.ages.push_back((query, new.frame));
    }

    /// The query that is answered now; only the first answer counts, and only one that repeats the question or has none.
    fn answer(&mut self, query: &Query, question: Option<u64>) -> Option<Waiting> {
        let found = self.waiting.get(query)?;
        if question.is_some() && question != found.question {
            return None;
        }
        self.waiting.remove(query)
    }
}

/// Source and destination port of the transport below.
fn ports(view: &View<'_>) -> Option<(u16, u16)> {
    let below = (0..view.index).rev().filter_map(|n| view.packet.view(n));
    let transport = below
        .into_iter()
        .find(|below| matches!(below.layer.protocol.name, "udp" | "udplite" | "tcp"))?;
    Some((transport.u16(0)?, transport.u16(2)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{link::LinkType, track::testing};

    fn query(id: u16) -> Query {
        Query {
            addresses: (IpAddr::from([10, 0, 0, 1]), IpAddr::from([10, 0, 0, 2])),
            ports: (40_000, 53),
            id,
        }
    }

    fn waiting(frame: u64, millis: i64, question: u64) -> Waiting {
        Waiting {
            frame,
            time: Time::from_nanos(millis * 1_000_000),
            question: Some(question),
        }
    }

    #[test]
    fn an_answer_finds_its_query_once() {
        let mut queries = Queries::default();
        let frame = |found: Option<Waiting>| found.map(|w| w.frame);
        queries.query(query(1), waiting(10, 0, 7));
        assert_eq!(frame(queries.answer(&query(2), Some(7))), None);
        assert_eq!(frame(queries.answer(&query(1), Some(8))), None);
        assert_eq!(frame(queries.answer(&query(1), Some(7))), Some(10));
        assert_eq!(frame(queries.answer(&query(1), Some(7))), None);
        // A server that refuses may leave the question out.
        queries.query(query(1), waiting(11, 0, 7));
        assert_eq!(frame(queries.answer(&query(1), None)), Some(11));
    }

    #[test]
    fn a_query_sent_again_is_the_same_one_for_a_while() {
        let mut queries = Queries::default();
        for (frame, millis, question, found) in [
            (1, 0, 7, 1),
            (2, 4_999, 7, 1),
            (3, 5_000, 7, 3),
            (4, 5_001, 8, 4),
        ] {
            queries.query(query(1), waiting(frame, millis, question));
            let kept = queries.waiting.get(&query(1)).map(|w| w.frame);
            assert_eq!(kept, Some(found));
        }
    }

    #[test]
    fn queries_without_an_answer_are_bounded() {
        let mut queries = Queries::default();
        for n in 0..200_000_u32 {
            let mut key = query(n as u16);
            key.ports.0 = (n >> 16) as u16;
            queries.query(key, waiting(n.into(), 0, 7));
        }
        assert!(queries.waiting.len() <= CAPACITY && queries.ages.len() <= CAPACITY);
        let mut last = query(199_999_u32 as u16);
        last.ports.0 = (199_999_u32 >> 16) as u16;
        assert!(queries.answer(&last, Some(7)).is_some());
    }

    #[test]
    fn an_answer_says_which_query_it_answers_and_after_how_long() {
        let ask = "45000032000100004011 0000 0a000001 0a000002 9c40 0035 001e 0000 \
            1a2b 0100 0001 0000 0000 0000 01 61 03 6f7267 00 0001 0001 00";
        let answer = "45000032000100004011 0000 0a000002 0a000001 0035 9c40 001e 0000 \
            1a2b 8183 0001 0000 0000 0000 01 61 03 6f7267 00 0001 0001 00";
        let (batch, decoded) = testing::batch(LinkType::RAW, &[ask, answer], usize::MAX);
        let facts = |index| {
            let packet = decoded.packet(&batch, index);
            let view = packet.and_then(|p| p.find(&dns::PROTOCOL));
            view.map(|view| (view.fact(&dns::RESPONSE_TO), view.fact(&dns::TIME)))
        };
        assert_eq!(facts(0), Some((None, None)));
        let after = Value::Duration(1_500_000);
        assert_eq!(facts(1), Some((Some(Value::Uint(1)), Some(after))));
    }
}
