//! A clock that agrees with the kernel's packet times and never jumps, and those times on it when the wall clock does.

use nix::time::{ClockId, clock_gettime};

use crate::time::{MILLISECOND, SECOND, Time};

/// Wall-clock time as it was at the start, carried on by the monotonic clock.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    /// Wall clock less monotonic clock, in nanoseconds.
    offset: i64,
}

impl Clock {
    /// Sets the clock by the wall clock.
    pub fn start() -> Self {
        // The best of several readings: the one in which the least time passed between the two monotonic ones.
        let best = (0..10).map(|_| reading()).min();
        let (_, offset) = best.unwrap_or_default();
        Self { offset }
    }

    /// The time now.
    pub fn now(self) -> Time {
        Time::from_nanos(read(ClockId::CLOCK_MONOTONIC) + self.offset)
    }
}

/// How long it took to read both clocks, and the wall clock less the monotonic one.
fn reading() -> (i64, i64) {
    let before = read(ClockId::CLOCK_MONOTONIC);
    let wall = read(ClockId::CLOCK_REALTIME);
    let after = read(ClockId::CLOCK_MONOTONIC);
    (after - before, wall - before - (after - before) / 2)
}

fn read(clock: ClockId) -> i64 {
    // Both clocks exist on every kernel that this program runs on.
    clock_gettime(clock).map_or(0, |time| {
        Time::from_parts(time.tv_sec(), time.tv_nsec() as u32).nanos()
    })
}

/// The wall clock was set when it has moved by so many nanoseconds; less is how exactly it is read.
const SET: i64 = 2 * MILLISECOND;
/// So long after the wall clock was set, packets that were stamped before may still come, in nanoseconds.
const BEHIND: i64 = SECOND;

/// Brings packets' stamps, which the kernel takes from the wall clock, to a [`Clock`]'s time, also when somebody sets the
/// wall clock meanwhile.
#[derive(Clone, Copy, Debug)]
pub struct Stamps {
    clock: Clock,
    /// What is added to a stamp.
    shift: i64,
    /// What was added before the wall clock was set last, and until when such stamps may come.
    before: Option<(i64, Time)>,
    /// When the clocks were looked at.
    looked: Time,
}

impl Stamps {
    /// For this clock, which is as old as the first packet or older.
    pub fn new(clock: Clock) -> Self {
        Self {
            clock,
            shift: 0,
            before: None,
            looked: clock.now(),
        }
    }

    /// Looks at the clocks, without a system call. To be done when packets have been taken, before their stamps are read.
    pub fn look(&mut self) {
        let shift_by = |offset: i64| self.clock.offset - offset;
        let mut shift = shift_by(reading().1);
        if (shift - self.shift).abs() >= SET {
            // Perhaps it was only this thread that had to wait in between.
            shift = shift_by(Clock::start().offset);
        }
        self.see(shift, self.clock.now());
    }

    fn see(&mut self, shift: i64, now: Time) {
        if (shift - self.shift).abs() >= SET {
            self.before = Some((self.shift, now.plus(BEHIND)));
            self.shift = shift;
        }
        self.before = self.before.filter(|&(_, until)| now <= until);
        self.looked = now;
    }

    /// The time of a packet that was stamped before the last look.
    pub fn time(&self, stamp: Time) -> Time {
        let time = stamp.plus(self.shift);
        let Some((shift, _)) = self.before else {
            return time;
        };
        // By which of the two wall clocks? Not by one after which it is still to come, and rather lately than long ago.
        let other = stamp.plus(shift);
        match (time <= self.looked, other <= self.looked) {
            (true, false) => time,
            (false, true) => other,
            (true, true) => time.max(other),
            (false, false) => time.min(other),
        }
    }

    /// What the wall clock shows at a time.
    pub fn wall(&self, time: Time) -> Time {
        time.plus(-self.shift)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_agrees_with_the_wall_clock() {
        let apart = Clock::start().now().nanos() - read(ClockId::CLOCK_REALTIME);
        assert!(apart.abs() < MILLISECOND, "{apart}");
    }

    /// Packets at these milliseconds, of which those from `set` on have stamps that are off by `by`; the clocks are looked at
    /// when each pair of them has been taken, 15 ms after its last.
    fn converted(times: &[i64], set: i64, by: i64) -> Vec<i64> {
        let millis = |millis: i64| Time::from_nanos(millis * MILLISECOND);
        let mut stamps = Stamps::new(Clock { offset: 0 });
        let mut out = Vec::new();
        for taken in times.chunks(2) {
            let now = taken[taken.len() - 1] + 15;
            // Clocks are never read so exactly.
            let shift = if now >= set { -by * MILLISECOND } else { 0 };
            stamps.see(shift + 77, millis(now));
            out.extend(taken.iter().map(|&time| {
                let stamp = if time >= set { time + by } else { time };
                stamps.time(millis(stamp)).nanos() / MILLISECOND
            }));
        }
        out
    }

    #[test]
    fn packets_keep_their_times_when_the_wall_clock_is_set() {
        let times = [0, 10, 20, 30, 40, 50, 60, 70, 2000, 2010];
        for by in [-86_400_000, -3_600_000, -200, 0, 200, 3_600_000, 86_400_000] {
            // In the middle of what is taken at once, between two takings, and while one of them is on its way.
            for set in [5, 25, 31, 40, 44, 51, 1000, 9999] {
                assert_eq!(converted(&times, set, by), times, "set at {set} by {by} ms");
            }
        }
    }

    #[test]
    fn how_the_clocks_are_read_moves_no_packet() {
        let mut stamps = Stamps::new(Clock::start());
        stamps.look();
        assert_eq!(stamps.time(Time::from_nanos(7)), Time::from_nanos(7));
        assert_eq!(stamps.wall(Time::from_nanos(7)), Time::from_nanos(7));
    }
}
