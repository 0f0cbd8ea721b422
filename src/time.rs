//! Points in time as the kernel and capture files give them: nanoseconds since the Unix epoch.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Nanoseconds since 1970-01-01 00:00:00 UTC; negative before that.
///
/// Covers the years 1677 to 2262. Differences are plain signed nanoseconds, since captured time can run backwards.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Time(i64);

/// Nanoseconds in one second.
pub const SECOND: i64 = 1_000_000_000;
/// Nanoseconds in one millisecond.
pub const MILLISECOND: i64 = 1_000_000;

impl Time {
    /// The latest time there is: "wait without a limit".
    pub const MAX: Self = Self(i64::MAX);

    /// From nanoseconds since the epoch.
    pub const fn from_nanos(nanos: i64) -> Self {
        Self(nanos)
    }

    /// From whole seconds and nanoseconds within the second; saturates at the ends of the range.
    pub const fn from_parts(seconds: i64, nanos: u32) -> Self {
        Self(seconds.saturating_mul(SECOND).saturating_add(nanos as i64))
    }

    /// Nanoseconds since the epoch.
    pub const fn nanos(self) -> i64 {
        self.0
    }

    /// Nanoseconds from `earlier` to this time; negative when time ran backwards.
    pub const fn since(self, earlier: Self) -> i64 {
        self.0.saturating_sub(earlier.0)
    }

    /// This time moved by `nanos`.
    pub const fn plus(self, nanos: i64) -> Self {
        Self(self.0.saturating_add(nanos))
    }
}

/// Seconds since the epoch with nine decimals, as `frame.time_epoch` is written.
impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        let nanos = self.0.unsigned_abs();
        write!(
            f,
            "{sign}{}.{:09}",
            nanos / 1_000_000_000,
            nanos % 1_000_000_000
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_seconds_with_nine_decimals_on_both_sides_of_the_epoch() {
        assert_eq!(
            Time::from_parts(1_700_000_000, 123).to_string(),
            "1700000000.000000123"
        );
        assert_eq!(Time::from_nanos(-1_500_000_000).to_string(), "-1.500000000");
    }

    #[test]
    fn differences_are_signed_and_never_overflow() {
        assert_eq!(Time::from_nanos(5).since(Time::from_nanos(9)), -4);
        assert_eq!(Time::MAX.since(Time::from_nanos(-1)), i64::MAX);
        assert_eq!(Time::MAX.plus(1), Time::MAX);
    }
}
