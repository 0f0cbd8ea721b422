//! Which call caused a packet, and which call returned what it carries.

use super::{Effects, Tied, known::Known, seen::Seen};
use crate::event::{CallId, Entry, PacketId};

/// Ties packets to calls, entry by entry. A tie that is known is never taken back; more may be added.
#[derive(Debug, Default)]
pub struct Join {}

impl Join {
    /// Takes the next entry; with what was read of it when it is a packet. `known` has learned from it already.
    pub fn push(&mut self, _entry: &Entry, _seen: Option<&Seen>, _known: &Known) {
        todo!()
    }

    /// How a packet is tied; `None` for one that belongs to no traced socket.
    pub fn packet(&self, _packet: PacketId) -> Option<&Tied> {
        todo!()
    }

    /// What a call has to do with packets.
    pub fn call(&self, _call: CallId) -> Option<&Effects> {
        todo!()
    }
}
