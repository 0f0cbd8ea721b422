//! What keeps an answering machine from harm: it knows its own packets again, and answers no faster than allowed.

use std::{
    collections::{HashMap, VecDeque, hash_map::RandomState},
    hash::{BuildHasher, Hash, Hasher},
};

use crate::{
    layer::Packet,
    time::{SECOND, Time},
};

/// Own packets that are remembered.
const REMEMBERED: usize = 4096;

/// Knows the packets that were sent, so that an answer is never answered, whatever the filter takes.
#[derive(Debug, Default)]
pub struct Guard {
    random: RandomState,
    order: VecDeque<u64>,
    known: HashMap<u64, u32>,
}

impl Guard {
    /// Remembers a packet that is sent.
    pub fn sent(&mut self, packet: &Packet<'_>) {
        if self.order.len() == REMEMBERED
            && let Some(oldest) = self.order.pop_front()
            && let Some(count) = self.known.get_mut(&oldest)
        {
            *count -= 1;
            if *count == 0 {
                self.known.remove(&oldest);
            }
        }
        let key = self.key(packet);
        self.order.push_back(key);
        *self.known.entry(key).or_default() += 1;
    }

    /// Whether a packet that was heard is one of them.
    pub fn is_own(&self, packet: &Packet<'_>) -> bool {
        self.known.contains_key(&self.key(packet))
    }

    /// Addresses and payload of IP: what the kernel and routers leave as it is. Of other frames, what follows the first
    /// layer.
    fn key(&self, packet: &Packet<'_>) -> u64 {
        let mut hasher = self.random.build_hasher();
        // All of an ARP message is header.
        let network = packet
            .views()
            .filter(|view| view.layer.protocol.name != "arp")
            .find_map(|view| Some(((view.layer.protocol.addresses?)(&view)?, view)));
        match (network, packet.view(0)) {
            (Some((ends, view)), _) => (ends, view.payload()).hash(&mut hasher),
            (None, Some(view)) => view.payload().hash(&mut hasher),
            (None, None) => packet.frame.bytes.hash(&mut hasher),
        }
        hasher.finish()
    }
}

/// So many a second, with room for a tenth of a second's worth at once.
#[derive(Clone, Copy, Debug)]
pub struct Bucket {
    rate: f64,
    tokens: f64,
    last: Option<Time>,
}

impl Bucket {
    /// `rate` a second; above 0.
    pub fn new(rate: f64) -> Self {
        Self {
            rate,
            tokens: (rate / 10.0).max(1.0),
            last: None,
        }
    }

    /// Whether an answer of `packets` may leave at `now`. One of many packets leaves whole, and is waited for afterwards.
    pub fn take(&mut self, now: Time, packets: u64) -> bool {
        let room = (self.rate / 10.0).max(1.0);
        let passed = self.last.map_or(0, |last| now.since(last).max(0));
        self.last = Some(now);
        self.tokens = (self.tokens + passed as f64 * self.rate / SECOND as f64).min(room);
        let may = self.tokens >= 1.0;
        if may {
            self.tokens -= packets as f64;
        }
        may
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::{
        craft::{Built, NoFiles, NoRoute, Spec},
        decode::{Decoded, Decoder},
        link::LinkType,
        time::MILLISECOND,
    };

    fn with<T>(spec: &str, see: impl FnOnce(&Packet<'_>) -> T) -> T {
        let spec = Spec::parse(spec, &NoFiles).unwrap();
        let mut built = Built::default();
        spec.build(0, &NoRoute, &mut built);
        let frame = built.packet(spec.link().unwrap_or(LinkType::RAW)).frame;
        let (decoder, mut decoded) = (Decoder::default(), Decoded::default());
        decoder.frame(&frame, &mut decoded);
        see(&decoded.packet_of(frame, 0).unwrap())
    }

    #[test]
    fn own_packets_are_known_again_also_when_the_kernel_touched_their_header() {
        let mut guard = Guard::default();
        let own = "ip src=10.0.0.1 dst=10.0.0.2 id=0 / udp sport=1 dport=2 / text=hello";
        with(own, |packet| guard.sent(packet));
        for (other, is_own) in [
            (own.to_owned(), true),
            (own.replace("id=0", "id=7 ttl=3"), true),
            (format!("eth dst=02:00:00:00:00:02 / {own}"), true),
            (own.replace("hello", "jello"), false),
            (own.replace("0.1", "0.3"), false),
        ] {
            assert_eq!(
                with(&other, |packet| guard.is_own(packet)),
                is_own,
                "{other}"
            );
        }
    }

    #[test]
    fn a_question_is_no_answer_because_it_has_the_same_arp_addresses() {
        let mut guard = Guard::default();
        let own = "eth dst=02:00:00:00:00:02 / arp op=2 psrc=10.0.0.99 pdst=10.0.0.1";
        with(own, |packet| guard.sent(packet));
        assert!(with(own, |packet| guard.is_own(packet)));
        let question = own.replace("op=2", "op=1");
        assert!(!with(&question, |packet| guard.is_own(packet)));
    }

    #[test]
    fn only_the_latest_are_remembered() {
        let mut guard = Guard::default();
        let numbered = |n: usize| format!("ip / udp / text=n{n}");
        for n in 0..=REMEMBERED {
            with(&numbered(n), |packet| guard.sent(packet));
        }
        assert!(!with(&numbered(0), |packet| guard.is_own(packet)));
        assert!(with(&numbered(1), |packet| guard.is_own(packet)));
        assert_eq!(guard.known.len(), REMEMBERED);
    }

    #[test]
    fn no_more_leave_than_the_rate_allows() {
        let mut bucket = Bucket::new(100.0);
        let mut left = 0;
        for ms in 0..2000 {
            left += u32::from(bucket.take(Time::from_nanos(ms * MILLISECOND), 1));
        }
        assert!((200..=210).contains(&left), "{left}");
        // A long silence allows no flood; time that runs backwards gives nothing.
        let later = Time::from_nanos(3600 * SECOND);
        let burst = (0..100).filter(|_| bucket.take(later, 1)).count();
        assert_eq!(burst, 10);
        assert!(!bucket.take(Time::from_nanos(0), 1));
        let mut slow = Bucket::new(0.5);
        let taken: Vec<bool> = [0, 1, 2, 3, 4]
            .map(|s| slow.take(Time::from_nanos(s * SECOND), 1))
            .into();
        assert_eq!(taken, [true, false, true, false, true]);
        // Ten packets to a question are ten packets.
        let mut many = Bucket::new(100.0);
        let answers = (0..1000).filter(|ms| many.take(Time::from_nanos(ms * MILLISECOND), 10));
        assert!((10..=12).contains(&answers.count()));
    }
}
