//! When the next packet may leave: never more in any moment than the rate allows, whatever was missed before.

use std::time::Duration;

use sockwire::{
    probe::limits::Rate,
    sys::signal::pause,
    time::{MILLISECOND, SECOND, Time},
};

/// Lateness that is made up for, in nanoseconds: a process that slept longer does not send all it missed at once.
const MADE_UP: f64 = 10.0 * MILLISECOND as f64;

/// A schedule: packet after packet, a fixed time apart.
pub(super) struct Pace {
    /// Nanoseconds from one packet to the next; 0 for as fast as possible.
    apart: f64,
    /// When the next one is due, in nanoseconds after the first.
    next: f64,
    first: Option<Time>,
}

impl Pace {
    pub(super) fn new(rate: Rate) -> Self {
        let apart = match rate {
            Rate::Max => 0.0,
            Rate::PerSecond(rate) => SECOND as f64 / rate,
        };
        Self {
            apart,
            next: 0.0,
            first: None,
        }
    }

    /// How many packets may leave now.
    pub(super) fn due(&mut self, now: Time) -> usize {
        if self.apart == 0.0 {
            return usize::MAX;
        }
        let late = self.passed(now) - self.next;
        if late < 0.0 {
            return 0;
        }
        if late > MADE_UP {
            self.next += late - MADE_UP;
        }
        // Saturates: a very high rate is no rate.
        (late.min(MADE_UP) / self.apart) as usize + 1
    }

    /// So many have left.
    pub(super) fn left(&mut self, packets: usize) {
        self.next += packets as f64 * self.apart;
    }

    /// Waits until the next packet is due, or a signal comes.
    pub(super) fn wait(&mut self, now: Time) {
        let nanos = (self.next - self.passed(now)).clamp(0.0, SECOND as f64);
        pause(Duration::from_nanos(nanos as u64));
    }

    /// Nanoseconds since the first packet.
    fn passed(&mut self, now: Time) -> f64 {
        now.since(*self.first.get_or_insert(now)) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(nanos: i64) -> Time {
        Time::from_nanos(1_700_000_000 * SECOND + nanos)
    }

    #[test]
    fn packets_leave_at_their_times() {
        let mut pace = Pace::new(Rate::PerSecond(1000.0));
        assert_eq!(pace.due(at(0)), 1);
        pace.left(1);
        assert_eq!(pace.due(at(999_000)), 0);
        assert_eq!(pace.due(at(1_000_000)), 1);
        pace.left(1);
        // What was missed by little is made up for.
        assert_eq!(pace.due(at(4_500_000)), 3);
        pace.left(3);
        assert_eq!(pace.due(at(4_900_000)), 0);
    }

    #[test]
    fn a_long_sleep_is_no_burst() {
        let mut pace = Pace::new(Rate::PerSecond(100.0));
        assert_eq!(pace.due(at(0)), 1);
        pace.left(1);
        let late = pace.due(at(60 * SECOND));
        assert!(late <= 2, "{late}");
        pace.left(late);
        assert_eq!(pace.due(at(60 * SECOND + 1)), 0);
    }

    #[test]
    fn the_highest_rate_never_waits() {
        let mut pace = Pace::new(Rate::Max);
        assert_eq!(pace.due(at(0)), usize::MAX);
        pace.left(1_000_000);
        assert_eq!(pace.due(at(0)), usize::MAX);
    }
}
