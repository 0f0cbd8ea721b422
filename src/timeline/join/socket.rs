//! A socket as its calls show it.

use std::net::SocketAddr;

use super::{incoming::Incoming, outgoing::Outgoing, post::Post};
use crate::{
    event::{CallId, NetId, PacketId, Socket},
    timeline::{Ground, Share},
};

/// Where packets were seen: in a network, or on the wire between two.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Scope {
    Net(NetId),
    Wire,
}

impl Scope {
    /// Sockets of this network can have sent the packets.
    pub(super) fn has(self, net: NetId) -> bool {
        match self {
            Self::Net(seen) => seen == net,
            Self::Wire => true,
        }
    }
}

/// A call that is to connect a socket: `connect`, or a send that does it on the way (RFC 7413).
#[derive(Debug)]
pub(super) struct Attempt {
    pub(super) call: CallId,
    pub(super) to: SocketAddr,
    /// The socket's port, where it has one already.
    pub(super) port: Option<u16>,
    pub(super) returned: Option<u64>,
    /// It returned an error, and no packet is known that told it.
    pub(super) failed: bool,
}

impl Attempt {
    /// It had not returned when the `at`-th thing happened.
    pub(super) fn blocks(&self, at: u64) -> bool {
        self.returned.is_none_or(|returned| at < returned)
    }
}

/// What the join knows of a socket.
#[derive(Debug, Default)]
pub(super) struct Sock {
    /// Its connection, and which end of it.
    pub(super) flow: Option<(u32, usize)>,
    pub(super) attempt: Option<Attempt>,
    /// The call that returned it, while its connection is not known.
    pub(super) accept: Option<(CallId, Option<u32>)>,
    pub(super) listening: bool,
    /// The port at which it listens, once both are known.
    pub(super) listens_at: Option<u16>,
    pub(super) out: Outgoing,
    pub(super) incoming: Incoming,
    /// The first call that shut down sending.
    pub(super) shutdown: Option<CallId>,
    /// The last call that let go of it: also `execve`, by which descriptors close themselves, and the end of a process.
    pub(super) closing: Option<CallId>,
    /// What its FIN is tied to, once it has been sent.
    pub(super) fin: Option<Option<(CallId, Ground)>>,
    /// The end of the stream has been returned.
    pub(super) ended: bool,
    /// What a call is going to fail of.
    pub(super) error: Option<(PacketId, Share)>,
    pub(super) post: Post,
}

impl Sock {
    /// Where calls stand in the streams of a socket that is older than the watch. `upto` is how far its connection was seen,
    /// sent and received, if it was: what it says of itself is included in that.
    pub(super) fn midway(&mut self, socket: &Socket, upto: [Option<u64>; 2]) {
        let Some(before) = socket.before else {
            return;
        };
        let [sent, received] = [0, 1].map(|way| upto[way].unwrap_or(before[way]));
        let queued = socket.queued;
        self.out
            .midway(queued.and_then(|[unsent, _]| sent.checked_add(unsent)));
        self.incoming
            .midway(queued.and_then(|[_, unread]| received.checked_sub(unread)));
    }

    /// What sends the FIN now.
    pub(super) fn fin(&mut self) -> Option<(CallId, Ground)> {
        let (shutdown, closing) = (self.shutdown, self.closing);
        *self.fin.get_or_insert_with(|| match shutdown {
            Some(call) => Some((call, Ground::Shutdown)),
            None => closing.map(|call| (call, Ground::LastClose)),
        })
    }
}
