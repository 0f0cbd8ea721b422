//! A clock that agrees with the kernel's packet times and never jumps.

use nix::time::{ClockId, clock_gettime};

use crate::time::Time;

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
        let (_, offset) = (0..10)
            .map(|_| {
                let before = read(ClockId::CLOCK_MONOTONIC);
                let wall = read(ClockId::CLOCK_REALTIME);
                let after = read(ClockId::CLOCK_MONOTONIC);
                (after - before, wall - before - (after - before) / 2)
            })
            .min()
            .unwrap_or_default();
        Self { offset }
    }

    /// The time now.
    pub fn now(self) -> Time {
        Time::from_nanos(read(ClockId::CLOCK_MONOTONIC) + self.offset)
    }
}

fn read(clock: ClockId) -> i64 {
    // Both clocks exist on every kernel that this program runs on.
    clock_gettime(clock).map_or(0, |time| {
        Time::from_parts(time.tv_sec(), time.tv_nsec() as u32).nanos()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::MILLISECOND;

    #[test]
    fn it_agrees_with_the_wall_clock() {
        let apart = Clock::start().now().nanos() - read(ClockId::CLOCK_REALTIME);
        assert!(apart.abs() < MILLISECOND, "{apart}");
    }
}
