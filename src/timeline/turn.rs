//! When a row's turn comes: after a moment of the log's time, in which calls return and packets are tied to them.

use crate::{
    event::{Entry, Event},
    time::{MILLISECOND, SECOND, Time},
};

/// How long a row is held back, in nanoseconds of the log's time. A call that takes longer is seen to wait.
pub(super) const HOLD: i64 = 10 * MILLISECOND;
/// Rows wait no longer than this for captures to begin: in a second they have, or the program itself does nothing.
const STILL: i64 = SECOND;

/// Tells which rows have their turn. A program whose network comes into sight stands still until packets are captured there;
/// as nothing is learned meanwhile, that time does not count.
#[derive(Debug, Default)]
pub(super) struct Turn {
    /// When a network came into sight last.
    since: Option<Time>,
    /// When something happened after that.
    until: Option<Time>,
}

impl Turn {
    /// Takes the next entry.
    pub(super) fn push(&mut self, entry: &Entry) {
        if self.since < Some(entry.at) {
            self.until.get_or_insert(entry.at);
        }
        if matches!(entry.event, Event::Net(_)) {
            (self.since, self.until) = (Some(entry.at), None);
        }
    }

    /// Rows of this time, and earlier ones, have their turn when nothing before `now` is to come.
    pub(super) fn at(&self, now: Time) -> Time {
        let turn = now.plus(-HOLD);
        let Some(since) = self.since else {
            return turn;
        };
        let still = self.until.unwrap_or(now).since(since).clamp(0, STILL);
        let before = turn.plus(-still);
        if before < since { before } else { turn }
    }
}
