//! One connection while a log is summed up: its counts, how it stands, and what is worth a look.

use std::{collections::VecDeque, sync::Arc};

use super::{Connection, Finding, Outcome};
use crate::{
    event::{Arg, CallId, Deed, PacketId},
    time::{MILLISECOND, Time},
    timeline::{
        Kernel,
        row::{Call, Form, Link, Sent, Side},
        seen,
        why::About,
    },
};

/// A segment that waited shorter than this was not held, in nanoseconds.
const HELD: i64 = MILLISECOND;
/// An acknowledgment later than this was delayed (RFC 1122 §4.2.3.2; Linux waits 40 ms and more).
const LATE: i64 = 30 * MILLISECOND;
/// A segment as long as this is not kept back by Nagle's algorithm (RFC 896) on any network.
const FULL: u32 = 1_400;
/// Findings of a connection that are told one by one.
const FINDINGS: usize = 4;
/// Calls whose time of entering is remembered for each end.
const CALLS: usize = 256;

/// One direction of a connection.
#[derive(Debug, Default)]
struct Flow {
    /// Behind the last byte that was sent, and that was acknowledged, counted from the initial sequence number.
    sent: u32,
    acked: u32,
    /// The last segment with new data, and when it arrived.
    last: Option<(PacketId, Time)>,
    /// When that was sent.
    last_sent: Time,
    /// The last acknowledgment of all that was sent, and when it arrived.
    ack: Option<(PacketId, Time)>,
    /// Bytes that calls have given to the kernel, and that were seen in segments.
    written: u64,
    carried: u64,
    /// When calls that sent were entered.
    calls: VecDeque<(CallId, Time)>,
}

/// A connection while the log is read.
#[derive(Debug)]
pub(super) struct Course {
    pub(super) connection: Connection,
    flows: [Flow; 2],
    about: Option<About>,
}

impl Course {
    pub(super) fn new(link: Arc<Link>, at: Time, about: Option<About>) -> Self {
        Self {
            connection: Connection {
                link,
                parties: Default::default(),
                outcome: Outcome::Used,
                span: (at, at),
                findings: Vec::new(),
                more_findings: 0,
            },
            flows: Default::default(),
            about,
        }
    }

    fn found(&mut self, finding: Finding) {
        if self.about.is_some_and(|about| !finding.is_about(about)) {
            return;
        }
        match self.connection.findings.len() < FINDINGS {
            true => self.connection.findings.push(finding),
            false => self.connection.more_findings += 1,
        }
    }

    pub(super) fn call(&mut self, side: Side, call: &Call) {
        let connection = &mut self.connection;
        let party = &mut connection.parties[side as usize];
        let flow = &mut self.flows[side as usize];
        let moved = call.moved();
        let fd = match (call.enter.deed, &call.answer) {
            (Deed::Accept | Deed::Open, Some((_, back))) => {
                back.result.ok().and_then(|fd| fd.try_into().ok())
            }
            _ => call.enter.args.iter().find_map(|arg| match arg {
                Arg::Fd(fd) => Some(*fd),
                _ => None,
            }),
        };
        party.fd = party.fd.or(fd);
        if call.form != Form::Returned && call.enter.deed == Deed::Send {
            flow.calls.push_back((call.enter.call, call.entered));
            if flow.calls.len() > CALLS {
                flow.calls.pop_front();
            }
            let asked = call.enter.parts.iter().map(|part| part.data.len as u64);
            flow.written = flow.written.saturating_add(match call.form {
                Form::Whole => moved,
                _ => asked.sum(),
            });
        }
        let Some((_, back)) = &call.answer else {
            return;
        };
        match (call.enter.deed, back.result) {
            (Deed::Send, Ok(_)) => party.sends.add(moved),
            (Deed::Receive, Ok(n)) if n > 0 || moved > 0 => party.receives.add(moved),
            (Deed::Close, Ok(_)) => party.closed = true,
            (Deed::Connect, Ok(_)) if connection.outcome == Outcome::Used => {
                connection.outcome = Outcome::Open;
            }
            (Deed::Connect, Err(error)) if error != libc::EINPROGRESS => {
                connection.outcome = Outcome::Failed(error);
            }
            _ => {}
        }
    }

    pub(super) fn packet(&mut self, side: Side, sent: &Sent, no_delay: bool) {
        let Some(seen) = &sent.seen else { return };
        let connection = &mut self.connection;
        let party = &mut connection.parties[side as usize];
        party.lost += u64::from(sent.lost.is_some());
        let len = sent.data_len();
        match (len, sent.tied.again) {
            (0, _) => party.empty += 1,
            (_, true) => {
                party.again.add(len.into());
                party.first_again.get_or_insert(sent.number);
            }
            (_, false) => party.packets.add(len.into()),
        }
        let tcp = match &seen.what {
            seen::What::Segment(tcp) => tcp,
            seen::What::Datagram(_) => return,
            seen::What::Error(says) => {
                connection.outcome = Outcome::Error(says, sent.number);
                return;
            }
        };
        if tcp.fin {
            party.fin.get_or_insert(sent.number);
        }
        connection.outcome = match connection.outcome {
            outcome @ (Outcome::Failed(_) | Outcome::Reset(..)) => outcome,
            _ if tcp.rst => Outcome::Reset(side, sent.number),
            Outcome::Used if tcp.syn && tcp.ack.is_none() => Outcome::HalfOpen,
            Outcome::Used | Outcome::HalfOpen if tcp.ack.is_some() && !tcp.syn => Outcome::Open,
            Outcome::Open if tcp.fin => Outcome::Closing(side),
            Outcome::Closing(first) if tcp.fin && first != side => Outcome::Closed(first),
            outcome => outcome,
        };
        if sent.lost.is_some() {
            return;
        }
        // Without a wire between them, a packet arrives when it is sent.
        let arrived = sent.arrived.unwrap_or(sent.sent);
        self.acknowledges(side.other(), sent, len, arrived);
        if len > 0 && !sent.tied.again {
            self.carries(side, sent, len, arrived, no_delay);
        }
    }

    /// What a segment acknowledges of the data from `side`.
    fn acknowledges(&mut self, side: Side, sent: &Sent, len: u32, arrived: Time) {
        let flow = &mut self.flows[side as usize];
        let Some(ack) = sent.ack.filter(|&ack| is_after(ack, flow.acked)) else {
            return;
        };
        flow.acked = ack;
        if ack != flow.sent {
            return;
        }
        flow.ack = Some((sent.number, arrived));
        let waits = flow.written > flow.carried;
        let Some((data, had)) = flow.last.filter(|_| waits) else {
            return;
        };
        let after = sent.sent.since(had);
        if len == 0 && after >= LATE && matches!(sent.tied.kernel, Some(Kernel::Ack(_))) {
            self.found(Finding::DelayedAck {
                ack: sent.number,
                data,
                after,
            });
        }
    }

    /// New data from `side`.
    fn carries(&mut self, side: Side, sent: &Sent, len: u32, arrived: Time, no_delay: bool) {
        let flow = &mut self.flows[side as usize];
        let cause = sent.tied.causes.first().map(|tie| tie.call);
        let entered = cause.and_then(|call| {
            let mut calls = flow.calls.iter().rev();
            calls.find(|(number, _)| *number == call).copied()
        });
        // All that was sent before was acknowledged only after the call.
        // What one call left for a last segment waits since the one before it.
        let since = |entered: Time| entered.max(flow.last_sent);
        // From now on not all that was sent is acknowledged.
        let held = entered.zip(flow.ack.take());
        let held = held.filter(|((_, entered), (_, acked))| {
            *acked > since(*entered) && sent.sent.since(*acked) < HELD && acked <= &sent.sent
        });
        let waited = held.map_or(0, |((_, entered), _)| sent.sent.since(since(entered)));
        flow.last_sent = sent.sent;
        flow.sent = sent.seq.wrapping_add(len);
        flow.carried = flow.carried.saturating_add(len.into());
        flow.last = Some((sent.number, arrived));
        let Some(((call, _), (ack, _))) = held else {
            return;
        };
        if waited >= HELD && len < FULL && !no_delay {
            self.found(Finding::Nagle {
                packet: sent.number,
                len,
                call,
                held: waited,
                ack,
            });
        }
    }

    /// A packet of the wire from `side` is there.
    pub(super) fn arrival(&mut self, side: Side, number: PacketId, at: Time) {
        for (flow, is_data) in [(side, true), (side.other(), false)] {
            let flow = &mut self.flows[flow as usize];
            let known = if is_data {
                &mut flow.last
            } else {
                &mut flow.ack
            };
            if let Some((last, arrived)) = known
                && *last == number
            {
                *arrived = at;
            }
        }
    }
}

/// A sequence number that lies behind another one (RFC 9293 §3.4).
const fn is_after(a: u32, b: u32) -> bool {
    a.wrapping_sub(b).cast_signed() > 0
}
