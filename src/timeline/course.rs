//! A log taken entry by entry: what becomes known, how packets and calls are tied, and the rows of a view.

use super::{
    join::Join,
    known::Known,
    row::Row,
    rows::{Folding, Rows},
    seen::Reader,
};
use crate::{event::Entry, time::Time};

/// A log on its way to a view.
#[derive(Debug)]
pub struct Timeline {
    known: Known,
    join: Join,
    reader: Reader,
    rows: Rows,
    /// So many packets, and calls, a row may look back: what is longer past is forgotten.
    behind: Option<u64>,
}

/// See [`Timeline::behind`].
const BEHIND: u64 = 65_536;

impl Timeline {
    /// Nothing is known yet.
    pub fn new(folding: Folding) -> Self {
        Self {
            known: Known::default(),
            join: Join::default(),
            reader: Reader::default(),
            rows: Rows::new(folding),
            behind: None,
        }
    }

    /// The same for a view that draws rows as they come: what it needs of memory does not grow with the log.
    pub fn passing(folding: Folding) -> Self {
        Self {
            behind: Some(BEHIND),
            ..Self::new(folding)
        }
    }

    /// Takes the next entry; rows whose turn has come are appended to `ready`.
    pub fn push(&mut self, entry: &Entry, ready: &mut Vec<Row>) {
        self.quiet(entry.at, ready);
        self.known.push(entry);
        let seen = self.reader.read(entry, &self.known);
        self.join.push(entry, seen.as_ref(), &self.known);
        self.rows.push(entry, seen, &self.known, &self.join);
        if let Some(behind) = self.behind {
            for socket in self.join.forget(entry, behind) {
                self.known.sockets.remove(&socket);
                self.rows.forget(socket);
            }
        }
    }

    /// Nothing before `until` is to come: shows what has its turn by then, as the next entry would.
    pub fn quiet(&mut self, until: Time, ready: &mut Vec<Row>) {
        self.rows.quiet(until, &self.known, &self.join, ready);
    }

    /// The log has ended: all rows that are left.
    pub fn finish(&mut self, ready: &mut Vec<Row>) {
        self.rows.finish(&self.known, &self.join, ready);
    }

    /// Ties so far; of a [`Timeline::passing`] one, those of late.
    pub fn join(&self) -> &Join {
        &self.join
    }

    /// What is known so far.
    pub fn known(&self) -> &Known {
        &self.known
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::{
        event::{Deed, Transport, Way},
        timeline::testing::{CLIENT, Log, SERVER, Tcp},
    };

    const SERVES: &str = "10.0.0.2:5000";

    /// The `n`-th connection, as its client ends it; two have the same addresses, one after the other.
    fn connection(log: &mut Log, listener: u32, n: u16) {
        let here = format!("10.0.0.1:{}", 40_000 + n / 2);
        let segment = |log: &mut Log, from: usize, flags, seq, ack, data| {
            let ends = [&*here, SERVES];
            let first = 1_000 * u32::from(n);
            let tcp = Tcp::new(flags, first + seq, first + ack, data);
            log.segment(Way::Loop, ends[from], ends[1 - from], tcp);
        };
        let client = log.appears(1, Transport::Tcp);
        let connect = log.connects(CLIENT, client, SERVES);
        segment(log, 0, "S", 0, 0, b"");
        segment(log, 1, "SA", 0, 1, b"");
        segment(log, 0, "A", 1, 1, b"");
        log.addresses(client, &here, Some(SERVES));
        log.returns(connect, Ok(0));
        let accept = log.enter(SERVER, Deed::Accept, listener);
        let server = log.accepted(accept, 1, SERVES, &here);
        log.send(CLIENT, client, b"hello");
        segment(log, 0, "PA", 1, 1, b"hello");
        log.recv(SERVER, server, b"hello");
        log.call(CLIENT, Deed::Close, client, Ok(0));
        segment(log, 0, "FA", 6, 1, b"");
        log.call(SERVER, Deed::Receive, server, Ok(0));
        log.call(SERVER, Deed::Close, server, Ok(0));
        segment(log, 1, "FA", 1, 7, b"");
        segment(log, 0, "A", 7, 2, b"");
    }

    /// How much is remembered of so many connections, in characters.
    fn left(connections: u16, behind: Option<u64>) -> usize {
        let folding = Folding {
            idle: true,
            runs: true,
        };
        let mut timeline = Timeline {
            behind,
            ..Timeline::new(folding)
        };
        let mut log = Log::local();
        let listener = log.listener(SERVER, 1, SERVES);
        for n in 0..connections {
            connection(&mut log, listener, n);
            log.wait(10_000_000);
        }
        let mut rows = Vec::new();
        for entry in &log.entries {
            timeline.push(entry, &mut rows);
            rows.clear();
        }
        let Timeline {
            known, join, rows, ..
        } = timeline;
        format!("{known:?}{join:?}{rows:?}").len()
    }

    /// All that grows are the names of the last calls.
    #[test]
    fn connections_that_are_closed_are_forgotten() {
        let growth = |behind| left(200, behind).checked_sub(left(100, behind)).unwrap() / 100;
        let (all, passing) = (growth(None), growth(Some(200)));
        assert!(
            all > 2_000 && passing < 200,
            "{all} and {passing} characters a connection"
        );
    }
}
