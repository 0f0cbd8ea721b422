//! Which call sent, and which returned, a datagram: the k-th one between two addresses, told apart by length and content.

use std::{
    collections::{BTreeSet, HashMap, VecDeque},
    net::SocketAddr,
};

use super::incoming::KEPT;
use crate::{
    call::Data,
    event::{CallId, PacketId, Part},
    timeline::Ground,
};

/// Datagrams that are looked at to find the one that is meant.
const AMONG: usize = 256;

/// A datagram that a call is to send.
#[derive(Debug)]
struct Letter {
    call: CallId,
    len: usize,
    head: Vec<u8>,
}

/// A datagram that reached a socket.
#[derive(Debug)]
struct Got {
    packet: PacketId,
    from: SocketAddr,
    len: usize,
    head: Vec<u8>,
}

/// The datagrams of a socket that calls have yet to send, or to return.
#[derive(Debug, Default)]
pub(super) struct Post {
    outbox: HashMap<SocketAddr, VecDeque<Letter>>,
    inbox: VecDeque<Got>,
    /// Receives under way.
    receiving: BTreeSet<CallId>,
    /// The port by which packets find it.
    pub(super) port: Option<u16>,
    /// It speaks ICMP, and gets answers.
    pub(super) pings: bool,
}

impl Post {
    pub(super) fn sends(&mut self, call: CallId, to: SocketAddr, data: &Data) {
        self.outbox.entry(to).or_default().push_back(Letter {
            call,
            len: data.len,
            head: data.head.clone(),
        });
    }

    /// The call did not send its last datagram to `to` after all.
    pub(super) fn unsent(&mut self, call: CallId, to: SocketAddr) {
        let Some(letters) = self.outbox.get_mut(&to) else {
            return;
        };
        let found = letters
            .iter()
            .rev()
            .take(AMONG)
            .position(|l| l.call == call);
        if let Some(from_end) = found {
            letters.remove(letters.len() - 1 - from_end);
        }
    }

    /// The call that sent a datagram. One whose call is `open` goes before an equal one whose call is over, where packets
    /// leave `at_once`. Letters before it whose calls are over were lost on their way out.
    pub(super) fn sent(
        &mut self,
        to: SocketAddr,
        (len, data): (usize, &[u8]),
        at_once: bool,
        open: impl Fn(CallId) -> bool,
    ) -> Option<(CallId, Ground)> {
        let letters = self.outbox.get_mut(&to)?;
        let fits = |letter: &Letter| letter.len == len && agree(&letter.head, data);
        let mut fitting = (letters.iter().enumerate().take(AMONG))
            .filter(|(_, letter)| fits(letter))
            .map(|(place, letter)| (place, letter.call));
        let first = fitting.next()?;
        let (place, call) = if at_once && !open(first.1) {
            fitting.find(|(_, call)| open(*call)).unwrap_or(first)
        } else {
            first
        };
        let other = letters.iter().take(place).any(|letter| letter.len == len);
        let ground = if other {
            Ground::Content
        } else {
            Ground::Order
        };
        letters.remove(place);
        for earlier in (0..place).rev() {
            if letters
                .get(earlier)
                .is_some_and(|letter| !open(letter.call))
            {
                letters.remove(earlier);
            }
        }
        Some((call, ground))
    }

    pub(super) fn gets(&mut self, packet: PacketId, from: SocketAddr, (len, data): (usize, &[u8])) {
        self.inbox.push_back(Got {
            packet,
            from,
            len,
            head: data[..data.len().min(KEPT)].to_vec(),
        });
    }

    /// Datagrams that no call has returned.
    pub(super) fn waiting(&self) -> usize {
        self.inbox.len()
    }

    pub(super) fn receives(&mut self, call: CallId) {
        self.receiving.insert(call);
    }

    pub(super) fn received(&mut self, call: CallId) {
        self.receiving.remove(&call);
    }

    /// The packet that brought the datagram that a call returned as `part`, and how many bytes of it were thrown away. Datagrams before it were dropped by the socket,
    /// unless another call may be about to return them.
    pub(super) fn brought(
        &mut self,
        part: &Part,
        from: Option<SocketAddr>,
        among: usize,
    ) -> Option<(PacketId, Ground, u64)> {
        let fits = |got: &Got, whole: bool| {
            // A raw IPv4 socket returns the IP header too (raw(7)).
            let header = match part.data.len.checked_sub(got.len) {
                Some(0) => 0,
                Some(header @ 20..=60) if got.from.port() == 0 => header,
                // Longer than the buffer: the rest was thrown away.
                None if !whole => 0,
                _ => return false,
            };
            let head = part.data.head.get(header..).unwrap_or(&[]);
            from.is_none_or(|from| {
                from.ip() == got.from.ip() && (got.from.port() == 0 || from == got.from)
            }) && agree(head, &got.head)
        };
        let among = self.inbox.len().min(AMONG.saturating_add(among));
        let find = |whole| {
            self.inbox
                .iter()
                .take(among)
                .position(|got| fits(got, whole))
        };
        let place = find(true).or_else(|| find(false))?;
        let other = self
            .inbox
            .iter()
            .take(place)
            .any(|got| got.len == part.data.len);
        let ground = if other {
            Ground::Content
        } else {
            Ground::Order
        };
        let got = self.inbox.remove(place)?;
        // Of what a raw socket returns, nobody knows how long its header was.
        let lost = match got.from.port() {
            0 => 0,
            _ => got.len.saturating_sub(part.data.len) as u64,
        };
        if self.receiving.is_empty() {
            self.inbox.drain(..place);
        }
        Some((got.packet, ground, lost))
    }
}

/// The two begin alike, as far as both are known.
fn agree(a: &[u8], b: &[u8]) -> bool {
    let len = a.len().min(b.len());
    a[..len] == b[..len]
}
