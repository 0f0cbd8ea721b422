//! How a flow is kept in the table: whole, or while only its first packet was seen, as little more than that packet.
//!
//! A flood of spoofed SYNs fills the table with flows of one packet. Such a flow is made again from its packet when more
//! comes, so that it takes a sixth of the room.

use super::{
    flow::{At, Flow, Told},
    item::{Label, Side},
    read::{Matter, Seen, Tcp, Udp},
};
use crate::{
    time::Time,
    track::{
        flow::{FlowKey, Transport},
        state::Segment,
    },
};

/// A flow in the table.
#[derive(Debug)]
pub(super) enum Kept {
    /// Only its first packet was seen.
    First(First),
    /// More was seen.
    Whole(Box<Flow>),
}

/// The first packet of a flow, and what the story made of it.
#[derive(Debug)]
pub(super) struct First {
    label: u64,
    order: u64,
    number: u64,
    time: Time,
    held: Option<u64>,
    run: (Side, u32),
    interface: u32,
    stream: Option<u32>,
    what: What,
    /// It went from the lower to the higher socket of the flow's key.
    forward: bool,
    /// It was not aside.
    shown: bool,
}

#[derive(Clone, Copy, Debug)]
enum What {
    Tcp { segment: Segment, window_zero: bool },
    Udp { len: u32, mark: u32 },
}

impl First {
    /// What is kept of `flow`, whose first packet is `seen`; `None` where that is not enough to make it again.
    pub(super) fn of(flow: &Flow, seen: &Seen<'_>, at: At) -> Option<Self> {
        let what = match &seen.what {
            Matter::Tcp(tcp) => What::Tcp {
                segment: tcp.segment,
                window_zero: tcp.window_zero,
            },
            &Matter::Udp(Udp { len, mark, .. }) => What::Udp { len, mark },
            Matter::Error { .. } => return None,
        };
        let (low, _) = seen.key().sockets();
        Some(Self {
            label: flow.header.label.number,
            order: flow.order,
            number: at.number,
            time: at.time,
            held: flow.held,
            run: flow.run,
            interface: flow.header.interface,
            stream: seen.stream,
            what,
            forward: seen.source == low,
            shown: flow.shown,
        })
        .filter(|_| flow.told.is_empty() && !at.sent_only)
    }

    /// The flow, made again.
    fn flow(&self, key: FlowKey) -> Flow {
        let (low, high) = key.sockets();
        let (source, destination) = if self.forward {
            (low, high)
        } else {
            (high, low)
        };
        let what = match self.what {
            What::Tcp {
                segment,
                window_zero,
            } => Matter::Tcp(Tcp {
                segment,
                mss: None,
                scale: None,
                window_zero,
                data: &[],
            }),
            What::Udp { len, mark } => Matter::Udp(Udp {
                len,
                mark,
                fragments: None,
                data: &[],
            }),
        };
        let seen = Seen {
            transport: key.transport(),
            source,
            destination,
            stream: self.stream,
            what,
        };
        let at = At {
            number: self.number,
            time: self.time,
            sent_only: false,
        };
        let mut flow = Flow::new(&seen, self.label, None);
        flow.packet(&seen, at, &mut Told::default());
        flow.header.interface = self.interface;
        flow.order = self.order;
        flow.held = self.held;
        flow.run = self.run;
        flow.shown = self.shown;
        flow
    }
}

impl Kept {
    /// The flow, which is kept whole from now on.
    pub(super) fn whole(&mut self, key: FlowKey) -> &mut Flow {
        if let Self::First(first) = self {
            *self = Self::Whole(Box::new(first.flow(key)));
        }
        match self {
            Self::Whole(flow) => flow,
            Self::First(_) => unreachable!("it was made whole above"),
        }
    }

    /// A look at the flow, which stays as it is.
    pub(super) fn look<T>(&self, key: FlowKey, look: impl FnOnce(&Flow) -> T) -> T {
        match self {
            Self::First(first) => look(&first.flow(key)),
            Self::Whole(flow) => look(flow),
        }
    }

    /// Its name.
    pub(super) fn label(&self, key: FlowKey) -> Label {
        match self {
            Self::First(first) => Label {
                kind: match key.transport() {
                    Transport::Tcp => super::Kind::Tcp,
                    Transport::Udp => super::Kind::Udp,
                },
                number: first.label,
            },
            Self::Whole(flow) => flow.header.label,
        }
    }

    /// Its place among all flows, by first packets.
    pub(super) fn order(&self) -> u64 {
        match self {
            Self::First(first) => first.order,
            Self::Whole(flow) => flow.order,
        }
    }

    /// The flow where it is kept whole.
    pub(super) fn as_whole(&mut self) -> Option<&mut Flow> {
        match self {
            Self::First(_) => None,
            Self::Whole(flow) => Some(flow),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::net::SocketAddr;

    use super::*;

    #[test]
    fn a_flow_of_one_packet_is_small_and_made_again_as_it_was() {
        assert!(size_of::<Kept>() <= 96, "{}", size_of::<Kept>());
        let [client, server] = [50_000, 80].map(|port| SocketAddr::from(([10, 0, 0, 1], port)));
        for (source, destination) in [(client, server), (server, client), (client, client)] {
            for bits in 0..8 {
                let tcp = Tcp {
                    segment: Segment {
                        seq: 7,
                        ack: (bits & 1 > 0).then_some(3),
                        syn: bits & 2 > 0,
                        fin: bits & 4 > 0,
                        ..Segment::default()
                    },
                    mss: Some(1460),
                    scale: None,
                    window_zero: bits == 1,
                    data: b"x",
                };
                let seen = Seen {
                    transport: Transport::Tcp,
                    source,
                    destination,
                    stream: None,
                    what: Matter::Tcp(tcp),
                };
                let at = At {
                    number: 5,
                    time: Time::from_nanos(9),
                    sent_only: false,
                };
                let mut flow = Flow::new(&seen, 4, None);
                flow.packet(&seen, at, &mut Told::default());
                (flow.order, flow.held, flow.run) = (6, Some(8), (Side::Server, 1));
                let first = First::of(&flow, &seen, at).unwrap();
                let again = first.flow(seen.key());
                assert_eq!(format!("{again:?}"), format!("{flow:?}"));
            }
        }
    }
}
