//! The ties, kept by packet and by call.

use std::collections::HashMap;

use crate::{
    event::{CallId, PacketId},
    timeline::{Effects, Ground, Share, Tie, Tied},
};

/// What is known of packets and of calls. Nothing is taken out unless its owner says so.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    packets: HashMap<PacketId, Tied>,
    calls: HashMap<CallId, Effects>,
}

impl Ledger {
    /// How a packet is tied, to be added to.
    pub(super) fn packet(&mut self, id: PacketId) -> &mut Tied {
        self.packets.entry(id).or_default()
    }

    pub(super) fn tied(&self, id: PacketId) -> Option<&Tied> {
        let one_end = |tied: &&Tied| tied.sender.is_some() || tied.receiver.is_some();
        self.packets.get(&id).filter(one_end)
    }

    pub(super) fn effects(&self, call: CallId) -> Option<&Effects> {
        self.calls.get(&call)
    }

    /// Nobody will ask for this packet any more.
    pub(super) fn forget_packet(&mut self, id: PacketId) {
        self.packets.remove(&id);
    }

    /// Nobody will ask for this call any more.
    pub(super) fn forget_call(&mut self, id: CallId) {
        self.calls.remove(&id);
    }

    /// A call that returned nothing of any packet and caused none has effects too: none.
    pub(super) fn entered(&mut self, call: CallId) {
        self.calls.entry(call).or_default();
    }

    /// `call` caused `share` of the packet.
    pub(super) fn caused(&mut self, packet: PacketId, call: CallId, share: Share, ground: Ground) {
        let effects = self.calls.entry(call).or_default();
        effects.caused.push((packet, share.clone(), ground));
        let tied = self.packet(packet);
        tied.kernel = None;
        add(&mut tied.causes, call, share, ground);
    }

    /// `call` returned `share` of the packet.
    pub(super) fn took(&mut self, packet: PacketId, call: CallId, share: Share, ground: Ground) {
        let effects = self.calls.entry(call).or_default();
        effects.took.push((packet, share.clone(), ground));
        add(&mut self.packet(packet).takers, call, share, ground);
    }

    /// `call` had no room for so many bytes of what it returned.
    pub(super) fn lost(&mut self, call: CallId, bytes: u64) {
        let effects = self.calls.entry(call).or_default();
        effects.lost = effects.lost.saturating_add(bytes);
    }
}

/// Puts a tie where its bytes belong.
fn add(ties: &mut Vec<Tie>, call: CallId, share: Share, ground: Ground) {
    let place = place(&share);
    let at = match ties.last() {
        Some(last) if self::place(&last.share) > place => {
            ties.partition_point(|tie| self::place(&tie.share) <= place)
        }
        _ => ties.len(),
    };
    let tie = Tie {
        call,
        share,
        ground,
    };
    ties.insert(at, tie);
}

/// Where in a packet a share lies: a SYN before all data, a FIN behind it (RFC 9293 §3.4).
const fn place(share: &Share) -> (u8, u64) {
    match share {
        Share::Syn => (0, 0),
        Share::Bytes(bytes) => (1, bytes.start),
        Share::Fin | Share::Reset | Share::Datagram => (2, 0),
    }
}
