//! The retransmission time-out as a sender computes it from round trips (RFC 6298).

use crate::time::{MILLISECOND, SECOND};

/// The least time-out (RFC 6298 §2.4).
const LEAST: i64 = SECOND;
/// The clock's granularity G, as good as the capture's.
const GRANULARITY: i64 = MILLISECOND;

/// Smoothed round trip, its variation, and the time-out, all in nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Estimate {
    /// SRTT ("EstimatedRTT" in textbooks).
    pub srtt: i64,
    /// RTTVAR ("DevRTT").
    pub rttvar: i64,
    /// RTO.
    pub rto: i64,
}

impl Estimate {
    /// The estimate after one more measured round trip, in nanoseconds; `before` is `None` at the first (RFC 6298 §2.2, §2.3).
    pub fn after(before: Option<Self>, sample: i64) -> Self {
        let (srtt, rttvar) = match before {
            None => (sample, sample / 2),
            Some(old) => {
                let off = old.srtt.saturating_sub(sample).saturating_abs();
                let rttvar = old.rttvar - old.rttvar / 4 + off / 4;
                (old.srtt - old.srtt / 8 + sample / 8, rttvar)
            }
        };
        let rto = srtt.saturating_add(rttvar.saturating_mul(4).max(GRANULARITY));
        Self {
            srtt,
            rttvar,
            rto: rto.max(LEAST),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn follows_the_rfc_row_by_row() {
        let first = Estimate::after(None, 400 * MILLISECOND);
        assert_eq!(
            (first.srtt, first.rttvar),
            (400 * MILLISECOND, 200 * MILLISECOND)
        );
        assert_eq!(first.rto, 1200 * MILLISECOND);
        // 7/8 * 400 + 1/8 * 200, 3/4 * 200 + 1/4 * |400 - 200|
        let second = Estimate::after(Some(first), 200 * MILLISECOND);
        assert_eq!(
            (second.srtt, second.rttvar),
            (375 * MILLISECOND, 200 * MILLISECOND)
        );
        assert_eq!(Estimate::after(None, 1000).rto, LEAST);
        let _ = Estimate::after(Some(Estimate::after(None, i64::MAX)), i64::MIN + 1);
    }
}
