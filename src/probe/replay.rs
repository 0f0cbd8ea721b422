//! Sends prepared packets again at the times that a capture had them, faster, at a rate, or at once: who waits how long is
//! decided here, with the clock and the socket as arguments.

use super::limits::Rate;
use crate::time::{SECOND, Time};

/// Packets that one call of the kernel is given, at most.
const AT_ONCE: usize = 64;
/// How long the kernel's full queue is left to drain.
const FULL: i64 = 100_000;

/// When packets leave.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Speed {
    /// As in the capture, so many times faster; above 0.
    Recorded(f64),
    /// So many a second, evenly; above 0.
    PerSecond(f64),
    /// As fast as the kernel takes them.
    Max,
}

/// Packets ready to leave: nothing is left to be made while they are sent.
#[derive(Clone, Debug, Default)]
pub struct Reel {
    bytes: Vec<u8>,
    lengths: Vec<u32>,
    /// First byte of each packet.
    starts: Vec<usize>,
    /// Nanoseconds since the first packet; never less than those of the packet before.
    times: Vec<i64>,
    /// Which of the caller's sockets each leaves by.
    outlets: Vec<u16>,
    first: Option<Time>,
}

impl Reel {
    /// Adds a packet that was captured at `time`; time that runs backwards stands still.
    pub fn push(&mut self, packet: &[u8], time: Time, outlet: u16) {
        let first = *self.first.get_or_insert(time);
        let last = self.times.last().copied().unwrap_or(0);
        self.starts.push(self.bytes.len());
        self.bytes.extend_from_slice(packet);
        self.lengths.push(packet.len() as u32);
        self.times.push(time.since(first).max(last));
        self.outlets.push(outlet);
    }

    /// Its packets, and by which of the caller's sockets each leaves.
    pub fn packets(&self) -> impl Iterator<Item = (&[u8], u16)> {
        let places = self.starts.iter().zip(&self.lengths).zip(&self.outlets);
        places.map(|((start, len), outlet)| (&self.bytes[*start..][..*len as usize], *outlet))
    }

    /// Packets in it.
    pub fn len(&self) -> usize {
        self.lengths.len()
    }

    /// True when there is none.
    pub fn is_empty(&self) -> bool {
        self.lengths.is_empty()
    }

    /// Bytes of all packets.
    pub fn size(&self) -> usize {
        self.bytes.len()
    }

    /// From the first packet to the last, in nanoseconds, as captured.
    pub fn span(&self) -> i64 {
        self.times.last().copied().unwrap_or(0)
    }

    /// Packets a second, when `total` of them are sent; what takes less than a second counts as one.
    pub fn rate(&self, total: u64, speed: Speed) -> Rate {
        match speed {
            Speed::Max => Rate::Max,
            Speed::PerSecond(rate) => Rate::PerSecond(rate),
            Speed::Recorded(_) => {
                let nanos = self.due(total.saturating_sub(1), speed).max(SECOND);
                Rate::PerSecond(total as f64 * SECOND as f64 / nanos as f64)
            }
        }
    }

    /// Nanoseconds from the start to packet `n`, counted over all rounds. The next round begins as long after the last packet
    /// as packets are apart on average.
    fn due(&self, n: u64, speed: Speed) -> i64 {
        let packets = self.len().max(1) as u64;
        let (round, index) = (n / packets, (n % packets) as usize);
        let nanos = match speed {
            Speed::Max => return 0,
            Speed::PerSecond(rate) => n as f64 * SECOND as f64 / rate,
            Speed::Recorded(factor) => {
                let gap = self.span() as f64 / (packets.max(2) - 1) as f64;
                let before = (self.span() as f64 + gap) * round as f64;
                let own = self.times.get(index).copied().unwrap_or(0) as f64;
                (before + own) / factor
            }
        };
        nanos as i64
    }

    /// The packets from `index` on that leave in one call: of one socket, and due by `now`.
    fn together(&self, n: u64, total: u64, now: i64, speed: Speed) -> usize {
        let index = (n % self.len().max(1) as u64) as usize;
        let most = AT_ONCE.min(self.len() - index);
        let most = most.min(usize::try_from(total - n).unwrap_or(AT_ONCE));
        let fits = |more: &usize| {
            self.outlets[index + more] == self.outlets[index]
                && self.due(n + *more as u64, speed) <= now
        };
        1 + (1..most).take_while(fits).count()
    }
}

/// What a replay needs of the world.
pub trait World {
    /// What makes it fail.
    type Error;
    /// Nanoseconds of a clock that never jumps.
    fn now(&mut self) -> i64;
    /// Waits until then, or until it is asked to stop.
    fn wait(&mut self, until: i64);
    /// It is asked to stop.
    fn stopped(&self) -> bool;
    /// Sends the packets that stand one after the other in `bytes`, as long as `lengths` say, and says how many left.
    ///
    /// # Errors
    /// The first packet cannot be sent.
    fn send(&mut self, outlet: u16, bytes: &[u8], lengths: &[u32]) -> Result<usize, Self::Error>;
}

/// What was sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Played {
    /// Packets that left.
    pub packets: u64,
    /// Bytes of them.
    pub bytes: u64,
    /// Nanoseconds from the first to the end.
    pub took: i64,
    /// Nanoseconds that the latest packet was late.
    pub late: i64,
}

/// Sends `total` packets of `reel`, from its start again and again. Allocates nothing.
///
/// # Errors
/// What a send failed with; what left before is in `played`.
pub fn play<W: World>(
    reel: &Reel,
    total: u64,
    speed: Speed,
    world: &mut W,
    played: &mut Played,
) -> Result<(), W::Error> {
    let start = world.now();
    let mut n = 0;
    while n < total && !reel.is_empty() && !world.stopped() {
        let due = start.saturating_add(reel.due(n, speed));
        let mut now = world.now();
        if now < due {
            world.wait(due);
            now = world.now();
            if now < due {
                // Woken early: by a signal.
                continue;
            }
        }
        let index = (n % reel.len() as u64) as usize;
        let count = reel.together(n, total, now - start, speed);
        let first = reel.starts[index];
        let lengths = &reel.lengths[index..index + count];
        let size: usize = lengths.iter().map(|len| *len as usize).sum();
        let sent = world.send(
            reel.outlets[index],
            &reel.bytes[first..first + size],
            lengths,
        )?;
        let sent = sent.min(count);
        if sent == 0 {
            world.wait(now.saturating_add(FULL));
            continue;
        }
        if speed != Speed::Max {
            played.late = played.late.max(now - due);
        }
        let left = lengths[..sent].iter().map(|len| u64::from(*len));
        played.bytes += left.sum::<u64>();
        n += sent as u64;
        played.packets = n;
        played.took = world.now() - start;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::time::MILLISECOND;

    /// A clock that only waiting and sending move, and that is late by `lag` each time.
    #[derive(Default)]
    struct MadeUp {
        now: i64,
        lag: i64,
        sent: Vec<(i64, u16, Vec<u8>)>,
        /// Takes so many packets in a call, and none in every second one.
        room: Option<usize>,
        full: bool,
        stop_after: Option<usize>,
    }

    impl World for MadeUp {
        type Error = &'static str;

        fn now(&mut self) -> i64 {
            self.now
        }

        fn wait(&mut self, until: i64) {
            self.now = until + self.lag;
        }

        fn stopped(&self) -> bool {
            self.stop_after.is_some_and(|n| self.sent.len() >= n)
        }

        fn send(
            &mut self,
            outlet: u16,
            mut bytes: &[u8],
            lengths: &[u32],
        ) -> Result<usize, &'static str> {
            self.full = self.room.is_some() && !self.full;
            if self.full {
                return Ok(0);
            }
            let count = self.room.unwrap_or(lengths.len()).min(lengths.len());
            for len in &lengths[..count] {
                let (packet, rest) = bytes.split_at(*len as usize);
                self.sent.push((self.now, outlet, packet.to_vec()));
                bytes = rest;
            }
            match self.sent.iter().any(|(_, _, packet)| packet == b"bad") {
                true => Err("refused"),
                false => Ok(count),
            }
        }
    }

    fn reel(packets: &[(i64, &[u8], u16)]) -> Reel {
        let mut reel = Reel::default();
        for (ms, bytes, outlet) in packets {
            reel.push(bytes, Time::from_nanos(7 + ms * MILLISECOND), *outlet);
        }
        reel
    }

    fn played(world: &mut MadeUp, reel: &Reel, total: u64, speed: Speed) -> (Vec<i64>, Played) {
        let mut played = Played::default();
        play(reel, total, speed, world, &mut played).unwrap();
        let times = world.sent.iter().map(|(time, ..)| *time).collect();
        (times, played)
    }

    const THREE: &[(i64, &[u8], u16)] = &[(0, b"a", 0), (10, b"bb", 0), (30, b"ccc", 0)];

    #[test]
    fn packets_leave_when_they_did_or_faster() {
        let reel = reel(THREE);
        let at = |speed| {
            let (times, played) = played(&mut MadeUp::default(), &reel, 3, speed);
            assert_eq!((played.packets, played.bytes, played.late), (3, 6, 0));
            times
        };
        let ms = |times: [i64; 3]| times.map(|t| t * MILLISECOND).to_vec();
        assert_eq!(at(Speed::Recorded(1.0)), ms([0, 10, 30]));
        assert_eq!(at(Speed::Recorded(2.0)), ms([0, 5, 15]));
        assert_eq!(at(Speed::Recorded(0.5)), ms([0, 20, 60]));
        assert_eq!(at(Speed::PerSecond(100.0)), ms([0, 10, 20]));
        assert_eq!(at(Speed::Max), ms([0, 0, 0]));
    }

    #[test]
    fn a_recording_that_is_played_very_fast_has_a_high_rate() {
        let reel = reel(THREE);
        let rate = |total, factor| reel.rate(total, Speed::Recorded(factor));
        // Three packets are no flood, however fast.
        assert_eq!(rate(3, 1e9), Rate::PerSecond(3.0));
        assert_eq!(rate(1_000_000, 1e9), Rate::PerSecond(1e6));
        let Rate::PerSecond(slow) = rate(3_000_001, 1.0) else {
            panic!("no rate");
        };
        assert!((66.0..67.0).contains(&slow), "{slow}");
        assert_eq!(reel.rate(3, Speed::Max), Rate::Max);
    }

    #[test]
    fn rounds_follow_each_other_and_a_count_ends_them() {
        let mut world = MadeUp::default();
        let (times, played) = played(&mut world, &reel(THREE), 5, Speed::Recorded(1.0));
        // Packets are 15 ms apart on average.
        let expected = [0, 10, 30, 45, 55].map(|ms| ms * MILLISECOND);
        assert_eq!((times, played.packets), (expected.to_vec(), 5));
        assert_eq!(world.sent[4].2, b"bb");
    }

    #[test]
    fn the_worst_delay_is_told_and_nothing_is_skipped() {
        let mut world = MadeUp {
            lag: 25 * MILLISECOND,
            ..MadeUp::default()
        };
        let (times, played) = played(&mut world, &reel(THREE), 3, Speed::Recorded(1.0));
        // The third was due 5 ms before the second left: both at once.
        let expected = [0, 35, 35].map(|ms| ms * MILLISECOND);
        assert_eq!((times, played.late), (expected.to_vec(), 25 * MILLISECOND));
    }

    #[test]
    fn each_packet_leaves_by_its_own_socket_in_order() {
        let reel = reel(&[(0, b"a", 0), (0, b"b", 1), (0, b"c", 1), (0, b"d", 0)]);
        let mut world = MadeUp::default();
        played(&mut world, &reel, 8, Speed::Max);
        let order: String = world
            .sent
            .iter()
            .map(|(_, o, p)| format!("{o}{}", char::from(p[0])))
            .collect();
        assert_eq!(order, "0a1b1c0d0a1b1c0d");
    }

    #[test]
    fn a_full_queue_is_waited_for() {
        let mut world = MadeUp {
            room: Some(2),
            ..MadeUp::default()
        };
        let (times, played) = played(&mut world, &reel(THREE), 3, Speed::Max);
        assert_eq!((times, played.packets), (vec![FULL, FULL, 2 * FULL], 3));
    }

    #[test]
    fn a_stop_and_a_failure_leave_the_count_of_what_left() {
        let mut world = MadeUp {
            stop_after: Some(1),
            ..MadeUp::default()
        };
        let (_, stopped) = played(&mut world, &reel(THREE), 3, Speed::Recorded(1.0));
        assert_eq!(stopped.packets, 1);
        let mut world = MadeUp::default();
        let mut sent = Played::default();
        let reel = reel(&[(0, b"a", 0), (5, b"bad", 0)]);
        let end = play(&reel, 2, Speed::Recorded(1.0), &mut world, &mut sent);
        assert_eq!((end, sent.packets), (Err("refused"), 1));
        let empty = play(&Reel::default(), 2, Speed::Max, &mut world, &mut sent);
        assert_eq!(empty, Ok(()));
    }

    #[test]
    fn time_that_runs_backwards_stands_still() {
        let reel = reel(&[(10, b"a", 0), (0, b"b", 0), (20, b"c", 0)]);
        let (times, _) = played(&mut MadeUp::default(), &reel, 3, Speed::Recorded(1.0));
        assert_eq!(times, [0, 0, 10 * MILLISECOND]);
    }
}
