//! The wire between two hosts: delay, loss, disorder and drops by rule, decided by times that its caller brings.

use std::{collections::BTreeMap, fmt, str::FromStr, sync::Arc};

use etherparse::{NetSlice, SlicedPacket, TransportSlice};

use super::scenario::Host;
use crate::{
    frame::KernelChecksum,
    time::{MILLISECOND, Time},
};

/// Nanoseconds that a frame is held back for, besides the delay: time enough for what is sent meanwhile to overtake it.
const HELD: i64 = 5 * MILLISECOND;

/// What the wire does to frames.
#[derive(Clone, Debug, PartialEq)]
pub struct Link {
    /// Nanoseconds from one end to the other.
    pub delay: i64,
    /// Frames that do not arrive.
    pub drops: Vec<Drop>,
    /// The share of frames lost by chance, 0 to 1.
    pub loss: f64,
    /// The share of frames delivered twice, 0 to 1.
    pub duplicate: f64,
    /// The share of frames held back, so that the next ones overtake them, 0 to 1.
    pub reorder: f64,
    /// A frame takes up to so many nanoseconds longer, by chance, and overtakes none for that.
    pub jitter: i64,
    /// Where chance begins: the same seed loses the same frames.
    pub seed: u64,
    /// The cable is a trunk between switches: frames on it carry this VLAN's tag (IEEE 802.1Q, 1 to 4094).
    pub vlan: Option<u16>,
}

impl Default for Link {
    fn default() -> Self {
        Self {
            delay: 10 * MILLISECOND,
            drops: Vec::new(),
            loss: 0.0,
            duplicate: 0.0,
            reorder: 0.0,
            jitter: 0,
            seed: 1,
            vlan: None,
        }
    }
}

/// A rule: drop the `nth` frame of a kind, or every one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Drop {
    /// Of which kind.
    pub what: What,
    /// Which one, counted from 1 over both directions; without a number all of them.
    pub nth: Option<u32>,
}

impl Drop {
    /// With its article: "the first SYN", "every SYN".
    pub fn with_article(&self) -> String {
        let article = if self.nth.is_some() { "the " } else { "" };
        format!("{article}{self}")
    }
}

/// Kinds of frames that a rule can name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum What {
    /// A TCP segment with SYN and without ACK.
    Syn,
    /// A TCP segment with SYN and ACK.
    SynAck,
    /// A TCP segment with data.
    Data,
    /// A TCP segment with ACK and nothing else.
    Ack,
    /// A TCP segment with FIN.
    Fin,
    /// A TCP segment with RST.
    Rst,
    /// A UDP datagram.
    Udp,
    /// An IP fragment.
    Fragment,
}

const WORDS: &[(&str, What, &str)] = &[
    ("syn", What::Syn, "SYN"),
    ("syn-ack", What::SynAck, "SYN,ACK"),
    ("data", What::Data, "data segment"),
    ("ack", What::Ack, "pure ACK"),
    ("fin", What::Fin, "FIN"),
    ("rst", What::Rst, "RST"),
    ("udp", What::Udp, "datagram"),
    ("fragment", What::Fragment, "fragment"),
];

/// How a rule may begin instead of ending with a number.
const WHICH: &[(&str, &str)] = &[
    ("first-", "1"),
    ("second-", "2"),
    ("third-", "3"),
    ("every-", "all"),
];

/// `syn`, `data:2`, `syn:all`: the kind, and which one of it; also `first-syn`, `second-data`, `every-syn`.
impl FromStr for Drop {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut worded = WHICH
            .iter()
            .filter_map(|(word, nth)| Some((text.strip_prefix(word)?, *nth)));
        let (word, nth) = worded
            .next()
            .or_else(|| text.split_once(':'))
            .unwrap_or((text, "1"));
        let names = || WORDS.iter().map(|w| w.0).collect::<Vec<_>>().join(", ");
        let &(_, what, _) = WORDS
            .iter()
            .find(|w| w.0 == word)
            .ok_or_else(|| format!("no kind of frame is called {word:?}: {}", names()))?;
        if nth == "all" {
            return Ok(Self { what, nth: None });
        }
        match nth.parse() {
            Ok(nth) if nth > 0 => Ok(Self {
                what,
                nth: Some(nth),
            }),
            _ => Err(format!(
                "{nth:?} is neither \"all\" nor a number from 1 on, as in data:2"
            )),
        }
    }
}

/// "first SYN", "every SYN".
impl fmt::Display for Drop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.nth {
            None => f.write_str("every ")?,
            Some(1) => f.write_str("first ")?,
            Some(2) => f.write_str("second ")?,
            Some(3) => f.write_str("third ")?,
            Some(n) => write!(f, "{n}th ")?,
        }
        let word = WORDS.iter().find(|w| w.1 == self.what);
        f.write_str(word.map_or("", |w| w.2))
    }
}

impl What {
    /// The kinds that a frame is of.
    pub(super) fn of(frame: &[u8]) -> impl Iterator<Item = Self> {
        let packet = SlicedPacket::from_ethernet(frame).ok();
        let transport = packet.as_ref().and_then(|packet| packet.transport.as_ref());
        let fragment = match packet.as_ref().and_then(|packet| packet.net.as_ref()) {
            Some(NetSlice::Ipv4(ip)) => ip.payload().fragmented,
            Some(NetSlice::Ipv6(ip)) => ip.payload().fragmented,
            _ => false,
        };
        let [mut syn, mut syn_ack, mut data, mut ack, mut fin, mut rst] = [false; 6];
        if let Some(TransportSlice::Tcp(tcp)) = transport {
            syn = tcp.syn() && !tcp.ack();
            syn_ack = tcp.syn() && tcp.ack();
            data = !tcp.payload().is_empty();
            fin = tcp.fin();
            rst = tcp.rst();
            ack = tcp.ack() && !(tcp.syn() || tcp.fin() || tcp.rst() || data);
        }
        let udp = matches!(transport, Some(TransportSlice::Udp(_)));
        [
            (Self::Syn, syn),
            (Self::SynAck, syn_ack),
            (Self::Data, data),
            (Self::Ack, ack),
            (Self::Fin, fin),
            (Self::Rst, rst),
            (Self::Udp, udp),
            (Self::Fragment, fragment),
        ]
        .into_iter()
        .filter_map(|(what, is)| is.then_some(what))
    }
}

/// A frame as the wire saw it, once: the record of one transit.
#[derive(Clone, Debug)]
pub struct Transit {
    /// Counted from 1.
    pub number: u64,
    /// When its sender sent it.
    pub time: Time,
    /// Its sender.
    pub from: Host,
    /// The whole frame, as it is on the wire.
    pub bytes: Arc<[u8]>,
    /// What the kernel knows of its checksum.
    pub checksum: KernelChecksum,
    /// The rule that dropped it, in words.
    pub dropped: Option<String>,
    /// It will be delivered twice.
    pub twice: bool,
    /// The wire holds it back for so many nanoseconds, and others may overtake it.
    pub held: Option<i64>,
}

/// A frame that has come to the other end.
#[derive(Clone, Debug)]
pub struct Arrival {
    /// [`Transit::number`].
    pub number: u64,
    /// When it is due.
    pub due: Time,
    /// Its receiver.
    pub to: Host,
    /// The whole frame, as its sender sent it.
    pub bytes: Arc<[u8]>,
    /// It is the second copy.
    pub again: bool,
}

/// The wire. It reads no clock: every time is an argument.
#[derive(Debug)]
pub struct Wire {
    link: Link,
    chance: Chance,
    seen: BTreeMap<What, u32>,
    sent: u64,
    /// By due time, and by a number that keeps equal times in order of sending.
    underway: BTreeMap<(Time, u64), Arrival>,
    order: u64,
    /// When the last frame to each host is due that is not held back.
    last_due: [Time; 2],
}

impl Wire {
    /// A wire with nothing on it.
    pub fn new(link: Link) -> Self {
        Self {
            chance: Chance(link.seed),
            link,
            seen: BTreeMap::new(),
            sent: 0,
            underway: BTreeMap::new(),
            order: 0,
            last_due: [Time::from_nanos(i64::MIN); 2],
        }
    }

    /// `from` sends a frame at `time`; its fate is decided here.
    pub fn send(&mut self, time: Time, from: Host, frame: &[u8]) -> Transit {
        self.sent += 1;
        let bytes: Arc<[u8]> = frame.into();
        let dropped = self.drop_by_rule(frame).or_else(|| self.drop_by_chance());
        let twice = dropped.is_none() && self.chance.happens(self.link.duplicate);
        let copies = match (&dropped, twice) {
            (Some(_), _) => 0,
            (None, false) => 1,
            (None, true) => 2,
        };
        let held = dropped.is_none() && self.chance.happens(self.link.reorder);
        let held = held.then(|| self.link.delay.saturating_add(HELD));
        for copy in 0..copies {
            self.order += 1;
            let due = self.due(time, from.other(), held);
            self.underway.insert(
                (due, self.order),
                Arrival {
                    number: self.sent,
                    due,
                    to: from.other(),
                    bytes: Arc::clone(&bytes),
                    again: copy > 0,
                },
            );
        }
        Transit {
            number: self.sent,
            time,
            from,
            bytes: self.link.vlan.map_or(bytes, |vlan| tagged(frame, vlan)),
            // The offloads are off: what is in the frame counts.
            checksum: KernelChecksum::Unknown,
            dropped,
            twice,
            held,
        }
    }

    /// When a frame to this host arrives that is sent now.
    fn due(&mut self, time: Time, to: Host, held: Option<i64>) -> Time {
        let due = time.plus(self.link.delay);
        if let Some(held) = held {
            return due.plus(held);
        }
        if self.link.jitter == 0 {
            return due;
        }
        let late = self.chance.share() * self.link.jitter as f64;
        let last = &mut self.last_due[to as usize];
        *last = due.plus(late as i64).max(*last);
        *last
    }

    /// When the next frame arrives.
    pub fn next(&self) -> Option<Time> {
        self.underway.keys().next().map(|&(due, _)| due)
    }

    /// The next frame that has arrived by `now`, in order of due times.
    pub fn arrived(&mut self, now: Time) -> Option<Arrival> {
        if self.next()? > now {
            return None;
        }
        self.underway.pop_first().map(|(_, arrival)| arrival)
    }

    fn drop_by_rule(&mut self, frame: &[u8]) -> Option<String> {
        let mut rule = None;
        for what in What::of(frame) {
            let count = self.seen.entry(what).or_insert(0);
            *count += 1;
            let now = [None, Some(*count)].map(|nth| Drop { what, nth });
            let named = self.link.drops.iter().find(|drop| now.contains(drop));
            rule = rule.or_else(|| named.copied());
        }
        rule.map(|rule| rule.to_string())
    }

    fn drop_by_chance(&mut self) -> Option<String> {
        self.chance
            .happens(self.link.loss)
            .then(|| format!("loss {}%", self.link.loss * 100.0))
    }
}

/// The frame with an 802.1Q tag behind its addresses.
fn tagged(frame: &[u8], vlan: u16) -> Arc<[u8]> {
    let (addresses, rest) = frame.split_at(frame.len().min(12));
    [addresses, &[0x81, 0x00], &vlan.to_be_bytes(), rest]
        .concat()
        .into()
}

/// Repeatable chance (SplitMix64, Steele, Lea, Flood 2014): good enough for loss, and short.
#[derive(Debug)]
struct Chance(u64);

impl Chance {
    /// True in this share of cases; draws nothing for a share of 0.
    fn happens(&mut self, share: f64) -> bool {
        share > 0.0 && self.share() < share
    }

    /// From 0 on, less than 1.
    fn share(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^= z >> 31;
        // The upper 53 bits as a fraction.
        ((z >> 11) as f64) / ((1_u64 << 53) as f64)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use etherparse::PacketBuilder;

    use super::*;

    fn tcp(flags: &str, payload: &[u8]) -> Vec<u8> {
        let mut builder = PacketBuilder::ethernet2([2; 6], [4; 6])
            .ipv4([10, 0, 0, 1], [10, 0, 0, 2], 64)
            .tcp(41000, 5000, 7, 1000);
        for flag in flags.chars() {
            builder = match flag {
                'S' => builder.syn(),
                'F' => builder.fin(),
                _ => builder.ack(1),
            };
        }
        let mut bytes = Vec::new();
        builder.write(&mut bytes, payload).unwrap();
        bytes
    }

    fn at(ms: i64) -> Time {
        Time::from_nanos(ms * MILLISECOND)
    }

    fn wire(change: impl FnOnce(&mut Link)) -> Wire {
        let mut link = Link::default();
        change(&mut link);
        Wire::new(link)
    }

    #[test]
    fn a_frame_arrives_after_the_delay_and_not_before() {
        let mut wire = wire(|_| ());
        let transit = wire.send(at(5), Host::Client, b"frame");
        assert_eq!((transit.number, transit.dropped), (1, None));
        assert_eq!(wire.next(), Some(at(15)));
        assert!(wire.arrived(at(15).plus(-1)).is_none());
        let arrival = wire.arrived(at(15)).unwrap();
        assert_eq!((arrival.to, arrival.due), (Host::Server, at(15)));
        assert_eq!(&*arrival.bytes, b"frame");
        assert!(wire.arrived(at(99)).is_none());
    }

    #[test]
    fn frames_arrive_in_the_order_of_sending_both_ways() {
        let mut wire = wire(|_| ());
        for (time, host) in [(1, Host::Client), (1, Host::Server), (2, Host::Client)] {
            wire.send(at(time), host, &[]);
        }
        let order: Vec<_> = std::iter::from_fn(|| wire.arrived(at(50)))
            .map(|a| (a.number, a.to))
            .collect();
        assert_eq!(
            order,
            [(1, Host::Server), (2, Host::Client), (3, Host::Server)]
        );
    }

    #[test]
    fn a_rule_drops_the_frame_it_names_and_no_other() {
        let mut wire =
            wire(|link| link.drops = vec!["syn".parse().unwrap(), "data:2".parse().unwrap()]);
        let mut dropped =
            |flags, payload: &[u8]| wire.send(at(0), Host::Client, &tcp(flags, payload)).dropped;
        assert_eq!(dropped("S", b"").as_deref(), Some("first SYN"));
        assert_eq!(dropped("S", b""), None);
        assert_eq!(dropped("SA", b""), None);
        assert_eq!(dropped("A", b"one"), None);
        assert_eq!(dropped("A", b"").as_deref(), None);
        assert_eq!(
            dropped("FA", b"two").as_deref(),
            Some("second data segment")
        );
        assert_eq!(std::iter::from_fn(|| wire.arrived(at(50))).count(), 4);
    }

    #[test]
    fn a_rule_for_all_of_a_kind_drops_each_and_no_other() {
        let mut wire = wire(|link| link.drops = vec!["syn:all".parse().unwrap()]);
        let mut dropped = |flags| wire.send(at(0), Host::Client, &tcp(flags, b"")).dropped;
        for _ in 0..3 {
            assert_eq!(dropped("S").as_deref(), Some("every SYN"));
        }
        assert_eq!((dropped("SA"), dropped("A")), (None, None));
    }

    #[test]
    fn chance_repeats_with_its_seed_and_keeps_to_its_share() {
        let lost = |seed| {
            let mut wire = wire(|link| (link.loss, link.seed) = (0.1, seed));
            (0..10_000)
                .filter(|_| wire.send(at(0), Host::Client, &[]).dropped.is_some())
                .collect::<Vec<_>>()
        };
        assert_eq!(lost(7), lost(7));
        assert_ne!(lost(7), lost(8));
        assert!((900..1100).contains(&lost(7).len()), "{}", lost(7).len());
    }

    #[test]
    fn a_duplicate_arrives_twice_under_one_number() {
        let mut wire = wire(|link| link.duplicate = 1.0);
        assert!(wire.send(at(0), Host::Server, b"x").twice);
        let again: Vec<_> = std::iter::from_fn(|| wire.arrived(at(10)))
            .map(|a| (a.number, a.again))
            .collect();
        assert_eq!(again, [(1, false), (1, true)]);
    }

    /// Numbers of the frames to the server, as they arrive; a frame is sent each millisecond.
    fn arrivals(change: impl FnOnce(&mut Link)) -> Vec<(u64, Time)> {
        let mut wire = wire(change);
        for time in 0..200 {
            wire.send(at(time), Host::Client, &[]);
        }
        std::iter::from_fn(|| wire.arrived(at(1000)))
            .map(|a| (a.number, a.due))
            .collect()
    }

    #[test]
    fn a_frame_held_back_is_overtaken_by_the_next_ones_and_the_seed_says_which() {
        let numbers = |seed| -> Vec<u64> {
            let all = arrivals(|link| (link.reorder, link.seed) = (0.05, seed));
            all.into_iter().map(|(number, _)| number).collect()
        };
        let got = numbers(1);
        assert_eq!(got, numbers(1));
        assert_ne!(got, numbers(2));
        assert_eq!(got.len(), 200, "none is lost");
        let late: Vec<_> = (1..got.len()).filter(|&at| got[at] < got[at - 1]).collect();
        assert!((4..=20).contains(&late.len()), "{got:?}");
        // 15 ms late, and one was sent each millisecond; of two at the same time the older one is first.
        let first = late[0];
        assert_eq!(got[first - 1], got[first] + 14);
        let mut wire = wire(|link| link.reorder = 1.0);
        let transit = wire.send(at(0), Host::Client, &[]);
        assert_eq!(transit.held, Some(15 * MILLISECOND));
        assert_eq!(wire.next(), Some(at(25)));
    }

    #[test]
    fn jitter_delays_by_chance_and_keeps_the_order() {
        let all = arrivals(|link| link.jitter = 5 * MILLISECOND);
        assert!(all.is_sorted());
        let delays = all
            .iter()
            .map(|(number, due)| due.since(at(*number as i64 - 1)));
        let (least, most) = delays.fold((i64::MAX, 0), |(least, most), delay| {
            (least.min(delay), most.max(delay))
        });
        assert!((10 * MILLISECOND..12 * MILLISECOND).contains(&least));
        assert!((13 * MILLISECOND..15 * MILLISECOND).contains(&most));
    }

    #[test]
    fn a_trunk_shows_tagged_frames_and_delivers_plain_ones() {
        let mut wire = wire(|link| link.vlan = Some(10));
        let frame = tcp("S", b"");
        let transit = wire.send(at(0), Host::Client, &frame);
        assert_eq!(transit.bytes[12..18], [0x81, 0x00, 0, 10, 0x08, 0x00]);
        assert_eq!(*wire.arrived(at(50)).unwrap().bytes, frame[..]);
    }

    #[test]
    fn rules_are_read_and_named() {
        assert_eq!(
            "syn-ack:12".parse::<Drop>().unwrap().to_string(),
            "12th SYN,ACK"
        );
        assert!("sin".parse::<Drop>().unwrap_err().contains("syn, syn-ack"));
        assert_eq!("syn:all".parse::<Drop>().unwrap().to_string(), "every SYN");
        assert!("syn:0".parse::<Drop>().is_err());
        let second: Drop = "second-data".parse().unwrap();
        assert_eq!(second, "data:2".parse().unwrap());
        assert_eq!(
            "every-syn-ack".parse::<Drop>().unwrap().to_string(),
            "every SYN,ACK"
        );
        assert_eq!("first-syn".parse::<Drop>().unwrap(), "syn".parse().unwrap());
    }
}
