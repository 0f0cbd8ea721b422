//! Times as files write them, made into nanoseconds: pcapng lets each interface choose its unit and its zero.

use crate::time::{SECOND, Time};

/// How one pcapng interface counts time (`if_tsresol` and `if_tsoffset`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Clock {
    unit: Unit,
    /// Seconds added to every time.
    offset: i64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unit {
    /// Whole nanoseconds in one unit.
    Nanos(u64),
    /// Units in one nanosecond or second are found by dividing: 10^-n seconds, finer than a nanosecond.
    Ten(u32),
    /// 2^-n seconds.
    Two(u32),
}

impl Clock {
    /// The clock of `if_tsresol` (the top bit picks the base, 10 or 2; the rest is the negative exponent, 0 to 127)
    /// and `if_tsoffset` (seconds).
    pub(super) const fn new(resolution: u8, offset: i64) -> Self {
        let exponent = (resolution & 0x7f) as u32;
        let unit = match (resolution & 0x80 != 0, exponent) {
            (true, _) => Unit::Two(exponent),
            (false, 0..=9) => Unit::Nanos(10_u64.pow(9 - exponent)),
            (false, _) => Unit::Ten(exponent - 9),
        };
        Self { unit, offset }
    }

    /// The time that `ticks` units mean; saturates at the ends of [`Time`].
    pub(super) fn time(self, ticks: u64) -> Time {
        let ticks = u128::from(ticks);
        let nanos = match self.unit {
            Unit::Nanos(nanos) => ticks * u128::from(nanos),
            Unit::Ten(exponent) => 10_u128.checked_pow(exponent).map_or(0, |n| ticks / n),
            Unit::Two(exponent) => (ticks * SECOND as u128) >> exponent,
        };
        let nanos = i64::try_from(nanos).unwrap_or(i64::MAX);
        Time::from_nanos(nanos).plus(self.offset.saturating_mul(SECOND))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_resolution_means_its_power() {
        for (resolution, ticks, nanos) in [
            (0, 3, 3_000_000_000),
            (6, 1_700_000_000_000_001, 1_700_000_000_000_001_000),
            (9, 1_700_000_000_000_000_123, 1_700_000_000_000_000_123),
            (12, 5_000_000_000_123, 5_000_000_000),
            (0x80, 2, 2_000_000_000),
            (0x8a, 1_536, 1_500_000_000),
            (0xbf, u64::MAX, 1_999_999_999),
            (0xff, u64::MAX, 0),
            (0x7f, u64::MAX, 0),
            (0, u64::MAX, i64::MAX),
        ] {
            assert_eq!(
                Clock::new(resolution, 0).time(ticks).nanos(),
                nanos,
                "{resolution:#x}"
            );
        }
    }

    #[test]
    fn the_offset_moves_whole_seconds_either_way() {
        assert_eq!(Clock::new(9, 10).time(5).nanos(), 10_000_000_005);
        assert_eq!(Clock::new(9, -1).time(5).nanos(), -999_999_995);
        assert_eq!(Clock::new(9, i64::MAX).time(5), Time::MAX);
    }
}
