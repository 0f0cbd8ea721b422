//! UDP conversations: their numbers, in order of first packets.

use super::flow::{FlowKey, Flows, Stage, Transport};
use crate::{
    field::{Field, Value},
    layer::View,
    proto::udp,
};

const HEADER: usize = 8;

/// What is known of one conversation.
#[derive(Clone, Copy, Debug)]
pub(super) struct Conversation {
    stream: u32,
    /// The first datagram went from the lower to the higher socket.
    forward: bool,
}

/// Numbers conversations.
#[derive(Debug, Default)]
pub(super) struct Datagrams {
    flows: Flows<Conversation>,
    streams: u32,
}

impl Datagrams {
    pub(super) fn new(capacity: usize) -> Self {
        Self {
            flows: Flows::new(capacity),
            streams: 0,
        }
    }

    pub(super) fn flows(&self) -> &Flows<Conversation> {
        &self.flows
    }

    /// Tells which conversation this datagram belongs to, by `fact`.
    pub(super) fn datagram(
        &mut self,
        view: &View<'_>,
        mut fact: impl FnMut(&'static Field, Value<'static>),
    ) {
        let (Some(addresses), Some(&[s, t, d, e, ..])) =
            (view.addresses(), view.header().first_chunk::<HEADER>())
        else {
            return;
        };
        let udp = std::ptr::eq(view.layer.protocol, &udp::PROTOCOL);
        let broken = udp && view.layer.problem.is_some();
        if broken && view.u16(4).is_some_and(|len| usize::from(len) < HEADER) {
            return;
        }
        let (source, destination) = (u16::from_be_bytes([s, t]), u16::from_be_bytes([d, e]));
        let (key, forward) = FlowKey::new(Transport::Udp, addresses, (source, destination));
        let streams = &mut self.streams;
        let conversation = *self.flows.touch(key, || {
            let stream = *streams;
            *streams = streams.wrapping_add(1);
            (Conversation { stream, forward }, Stage::HalfOpen)
        });
        if conversation.forward != forward {
            self.flows.set_stage(key, Stage::Open);
        }
        fact(&udp::STREAM, Value::Uint(conversation.stream.into()));
    }
}
