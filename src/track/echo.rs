//! Echoes: ties each ICMP and ICMPv6 echo reply to the request that it answers.

use std::{
    collections::{HashMap, VecDeque},
    hash::RandomState,
    net::IpAddr,
};

use crate::time::Time;

/// Requests that wait for their reply, at most.
const CAPACITY: usize = 65_536;

/// A request, and what its reply says as well.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Request {
    /// Who asks, and who is asked.
    pub(super) addresses: (IpAddr, IpAddr),
    /// Which program asks.
    pub(super) ident: u16,
    /// Which of its requests it is.
    pub(super) seq: u16,
}

/// Requests without a reply so far.
#[derive(Debug, Default)]
pub(super) struct Echoes {
    waiting: HashMap<Request, (u64, Time), RandomState>,
    /// Oldest first; those answered or sent again meanwhile are skipped by their frame.
    ages: VecDeque<(Request, u64)>,
}

impl Echoes {
    /// Notes a request, in place of an earlier one with the same numbers.
    pub(super) fn request(&mut self, request: Request, frame: u64, time: Time) {
        if self.ages.len() >= CAPACITY
            && let Some((oldest, frame)) = self.ages.pop_front()
            && self.waiting.get(&oldest).is_some_and(|w| w.0 == frame)
        {
            self.waiting.remove(&oldest);
        }
        self.waiting.insert(request, (frame, time));
        self.ages.push_back((request, frame));
    }

    /// The frame and time of the request that is answered now; only the first reply counts.
    pub(super) fn reply(&mut self, request: &Request) -> Option<(u64, Time)> {
        self.waiting.remove(request)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(seq: u16) -> Request {
        Request {
            addresses: (IpAddr::from([10, 0, 0, 1]), IpAddr::from([10, 0, 0, 2])),
            ident: 7,
            seq,
        }
    }

    #[test]
    fn a_reply_finds_the_last_request_once() {
        let mut echoes = Echoes::default();
        echoes.request(request(1), 10, Time::from_nanos(5));
        echoes.request(request(1), 11, Time::from_nanos(6));
        assert_eq!(echoes.reply(&request(2)), None);
        assert_eq!(echoes.reply(&request(1)), Some((11, Time::from_nanos(6))));
        assert_eq!(echoes.reply(&request(1)), None);
    }

    #[test]
    fn unanswered_requests_are_bounded() {
        let mut echoes = Echoes::default();
        for n in 0..200_000_u32 {
            let mut key = request(n as u16);
            key.ident = (n >> 16) as u16;
            echoes.request(key, n.into(), Time::default());
        }
        assert!(echoes.waiting.len() <= CAPACITY && echoes.ages.len() <= CAPACITY);
        // The youngest is still known.
        let mut last = request(199_999_u32 as u16);
        last.ident = (199_999_u32 >> 16) as u16;
        assert!(echoes.reply(&last).is_some());
    }
}
