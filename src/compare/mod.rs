//! One exchange over three kinds of sockets: what a stream, datagrams and packets by hand cost and keep, side by side.
//!
//! ```text
//!  mod      the play: two hosts of a private lab, and who listens      bodies   what the hosts do, one file a kind
//!  message  numbered messages                                          tally    what was seen → figures (pure)
//!  words    the sentences that the figures bear out (pure)
//! ```
//!
//! The exchange: the client sends three short messages at once, the server reads when all of them have come, and sends
//! them back; then the client sends messages one after the other, and the server answers each with the same bytes; the
//! client closes.

mod bodies;
mod message;
mod tally;
#[cfg(test)]
mod tests;
mod words;

use std::{
    net::{IpAddr, SocketAddr},
    ops::ControlFlow,
    sync::mpsc::channel,
    time::{Duration, Instant},
};

use serde::Serialize;

use crate::{
    lab::{
        LabError, Link,
        hosts::{self, Body},
        refusal::Way,
    },
    time::MILLISECOND,
};

pub use message::BURST;
pub use tally::{Burst, Course, Figures, Packets, Repair, Report, Spread, Tally};
pub use words::{built, sentences};

/// The server's port.
pub const PORT: u16 = 5000;

/// What the exchange goes over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Stream sockets on both sides: TCP.
    Stream,
    /// Datagram sockets on both sides: UDP, and nothing that repairs.
    Datagram,
    /// The client's TCP segments are made by hand and sent from raw sockets; the server has a stream socket.
    Raw,
}

impl Kind {
    /// All of them, in order.
    pub const ALL: [Self; 3] = [Self::Stream, Self::Datagram, Self::Raw];

    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Stream => "stream",
            Self::Datagram => "datagram",
            Self::Raw => "raw",
        }
    }
}

/// What is exchanged.
#[derive(Clone, Copy, Debug)]
pub struct Exchange {
    /// Bytes of a message, 1 to 65507.
    pub payload: usize,
    /// Messages, 1 to 1000, each answered before the next one.
    pub count: u32,
}

/// Plays `exchange` over `kind` in a private lab, telling `listener` of every event of the wire. It ends by itself: when
/// both hosts are done, when one of them fails, or when [`limit`] is over; then [`Figures::ended`] says so.
///
/// With [`Way::User`] the process enters a user namespace for good, and must have one thread only; it has all rights
/// there, so that a further play goes [`Way::Administrator`].
///
/// # Errors
/// When the lab cannot be built, or packets by hand cannot be sent in it.
pub fn play(
    kind: Kind,
    exchange: Exchange,
    link: &Link,
    addresses: [IpAddr; 2],
    way: Way,
    listener: &mut dyn FnMut(&crate::lab::Event) -> ControlFlow<()>,
) -> Result<Figures, LabError> {
    let (say, said) = channel();
    let (open, gate) = channel();
    let server = SocketAddr::new(addresses[1], PORT);
    let bodies: [Body; 2] = bodies::of(kind, exchange, link, server, say, gate);
    let mut tally = Tally::new(kind, exchange);
    let mut open = Some(open);
    let (start, limit) = (Instant::now(), limit(exchange, link));
    hosts::run(link, addresses, way, bodies, &mut |event| {
        tally.wire(&event);
        said.try_iter().for_each(|report| tally.report(report));
        if tally.burst_has_come() {
            // The server has ended when nobody waits at the gate.
            open.take().map(|open| open.send(tally.burst_arriving()));
        }
        if listener(&event).is_break() {
            tally.stopped("stopped".to_owned());
        }
        if start.elapsed() > limit {
            tally.stopped(format!("stopped after {} s", limit.as_secs()));
        }
        match tally.has_failed() {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        }
    })?;
    said.try_iter().for_each(|report| tally.report(report));
    Ok(tally.figures())
}

/// How long a play may take: many times what it takes without loss, more the more is lost, and ten minutes at most.
pub fn limit(exchange: Exchange, link: &Link) -> Duration {
    // Ten segments are under way at a time, of packets by hand.
    let flights = exchange.payload as u64 / 10_000 + 1;
    let turn = Duration::from_nanos(link.delay.unsigned_abs()) * 2 + Duration::from_millis(40);
    let quiet = turn.as_secs_f64() * (f64::from(exchange.count) + 5.0) * flights as f64;
    // A lost frame costs a time-out of a second, and of twice as much when it is lost again.
    let lost = 16.0 * link.loss.min(0.5) * (f64::from(exchange.count) + 3.0) * flights as f64;
    Duration::from_secs_f64((20.0 + 3.0 * quiet + lost).min(600.0))
}

/// Nanoseconds that a datagram is waited for: time enough for there and back on a busy machine.
const fn patience(link: &Link) -> i64 {
    (400 * MILLISECOND).saturating_add(link.delay.saturating_mul(4))
}
