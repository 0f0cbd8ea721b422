//! Flows: conversations keyed by socket pair, in a table of bounded size with a hash that senders cannot predict.

use std::{
    hash::{BuildHasher, Hash, Hasher, RandomState},
    net::{IpAddr, SocketAddr},
};

use super::index::Index;

/// Transport of a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Transport {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
}

/// Whether the server sent the first segment of a connection that was captured: it answers a SYN; without a SYN the higher
/// port is taken for the client's, since servers wait on low ones. `ports` are source and destination.
pub fn is_from_server(syn: bool, ack: bool, ports: (u16, u16)) -> bool {
    if syn { ack } else { ports.0 < ports.1 }
}

/// A socket pair, the same for both directions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FlowKey {
    transport: Transport,
    /// Half as long as two `SocketAddr`.
    low: (IpAddr, u16),
    high: (IpAddr, u16),
}

impl FlowKey {
    /// The key, and whether the packet goes from the lower to the higher socket.
    pub fn new(
        transport: Transport,
        addresses: (IpAddr, IpAddr),
        ports: (u16, u16),
    ) -> (Self, bool) {
        let source = (addresses.0, ports.0);
        let destination = (addresses.1, ports.1);
        let forward = source <= destination;
        let (low, high) = if forward {
            (source, destination)
        } else {
            (destination, source)
        };
        (
            Self {
                transport,
                low,
                high,
            },
            forward,
        )
    }

    /// The transport of both sockets.
    pub fn transport(&self) -> Transport {
        self.transport
    }

    /// The socket is the lower one, or both.
    pub fn is_low(&self, socket: (IpAddr, u16)) -> bool {
        self.low == socket
    }

    /// The lower and the higher socket.
    pub fn sockets(&self) -> (SocketAddr, SocketAddr) {
        (self.low.into(), self.high.into())
    }
}

/// In one piece, which a hasher takes several times as fast as field by field. IPv4 and IPv6 have different lengths.
impl Hash for FlowKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let mut bytes = [0; 38];
        let mut at = 0;
        let mut put = |more: &[u8]| {
            bytes[at..at + more.len()].copy_from_slice(more);
            at += more.len();
        };
        for (address, port) in [self.low, self.high] {
            match address {
                IpAddr::V4(address) => put(&address.octets()),
                IpAddr::V6(address) => put(&address.octets()),
            }
            put(&port.to_be_bytes());
        }
        put(&[self.transport as u8]);
        state.write(&bytes[..at]);
    }
}

/// Live flows that a table holds unless told otherwise.
pub const CAPACITY: usize = 262_144;

/// No entry: the end of a list.
const NONE: u32 = u32::MAX;

/// How far a flow has come, for the question which one to forget first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Begun, and not answered or not completed yet: forgotten first.
    HalfOpen,
    /// Both sides have spoken, or the beginning was not seen.
    Open,
}

/// The table of live flows, each with a value of type `V`, known by socket pair or by another key (a key that senders
/// cannot choose may have a plainer hash).
///
/// When it is full, a new flow takes the place of the half-open one that was silent longest, and where none is half
/// open, of the one that was silent longest.
#[derive(Debug)]
pub struct Flows<V, K = FlowKey, S = RandomState> {
    hasher: S,
    index: Index,
    entries: Vec<Entry<V, K>>,
    /// Silent longest first: half-open flows, and the others.
    lists: [List; 2],
    capacity: usize,
    evicted: u64,
}

#[derive(Debug)]
struct Entry<V, K> {
    key: K,
    value: V,
    stage: Stage,
    before: u32,
    after: u32,
}

/// A list threaded through the entries.
#[derive(Clone, Copy, Debug)]
struct List {
    first: u32,
    last: u32,
}

impl<V, K: Copy + Eq + Hash, S: BuildHasher + Default> Flows<V, K, S> {
    /// A table of at most `capacity` flows (at least one).
    pub fn new(capacity: usize) -> Self {
        const EMPTY: List = List {
            first: NONE,
            last: NONE,
        };
        Self {
            hasher: S::default(),
            index: Index::default(),
            entries: Vec::new(),
            lists: [EMPTY; 2],
            capacity: capacity.clamp(1, NONE as usize),
            evicted: 0,
        }
    }

    /// Flows in the table.
    pub fn len(&self) -> usize {
        self.index.len()
    }

    /// True when there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Flows that were forgotten to make room.
    pub fn evicted(&self) -> u64 {
        self.evicted
    }

    /// The value of `key`, which now counts as heard of last; made by `new` when the flow is not known.
    pub fn touch(&mut self, key: K, new: impl FnOnce() -> (V, Stage)) -> &mut V {
        let place = match self.place(&key) {
            Some(place) => {
                self.heard(place);
                place
            }
            None => {
                let (value, stage) = new();
                self.add(key, value, stage)
            }
        };
        &mut self.entries[place as usize].value
    }

    /// The flow that has a place counts as heard of last.
    pub fn heard(&mut self, place: u32) {
        if (place as usize) < self.entries.len() {
            self.unlink(place);
            self.append(place);
        }
    }

    /// Adds a flow that is not known yet; returns its place.
    pub fn add(&mut self, key: K, value: V, stage: Stage) -> u32 {
        let entry = Entry {
            key,
            value,
            stage,
            before: NONE,
            after: NONE,
        };
        let at = if self.entries.len() < self.capacity {
            self.entries.push(entry);
            self.entries.len() as u32 - 1
        } else {
            let at = self.oldest();
            self.unlink(at);
            let old = self.hash(&self.entries[at as usize].key);
            self.index.remove(old, |found| found == at);
            self.entries[at as usize] = entry;
            self.evicted += 1;
            at
        };
        self.index.insert(self.hash(&key), at);
        self.append(at);
        at
    }

    /// Notes how far a known flow has come.
    pub fn set_stage(&mut self, key: K, stage: Stage) {
        if let Some(at) = self.place(&key) {
            self.set_stage_at(at, stage);
        }
    }

    /// The same for the flow that has a place now.
    pub fn set_stage_at(&mut self, place: u32, stage: Stage) {
        if let Some(entry) = self.entries.get(place as usize)
            && entry.stage != stage
        {
            self.unlink(place);
            self.entries[place as usize].stage = stage;
            self.append(place);
        }
    }

    /// Half of the hash will do: entries are compared by their keys.
    fn hash(&self, key: &K) -> u32 {
        self.hasher.hash_one(key) as u32
    }

    fn find(&self, hash: u32, key: &K) -> Option<u32> {
        let is = |at: u32| self.entries[at as usize].key == *key;
        self.index.get(hash, is)
    }

    /// Which flow to forget; the table is not empty when this is asked.
    fn oldest(&self) -> u32 {
        match self.lists[Stage::HalfOpen as usize].first {
            NONE => self.lists[Stage::Open as usize].first,
            half_open => half_open,
        }
    }

    fn unlink(&mut self, at: u32) {
        let Entry {
            stage,
            before,
            after,
            ..
        } = self.entries[at as usize];
        let list = &mut self.lists[stage as usize];
        match before {
            NONE => list.first = after,
            before => self.entries[before as usize].after = after,
        }
        match after {
            NONE => list.last = before,
            after => self.entries[after as usize].before = before,
        }
    }

    fn append(&mut self, at: u32) {
        let list = &mut self.lists[self.entries[at as usize].stage as usize];
        let last = std::mem::replace(&mut list.last, at);
        if last == NONE {
            list.first = at;
        } else {
            self.entries[last as usize].after = at;
        }
        let entry = &mut self.entries[at as usize];
        (entry.before, entry.after) = (last, NONE);
    }
}

impl<V, K: Copy + Eq + Hash, S: BuildHasher + Default> Flows<V, K, S> {
    /// The value of a known flow, which does not count as heard of.
    pub fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        let at = self.place(key)?;
        self.entries.get_mut(at as usize).map(|e| &mut e.value)
    }

    /// The place of a known flow, which it keeps until it is forgotten.
    pub fn place(&self, key: &K) -> Option<u32> {
        self.find(self.hash(key), key)
    }

    /// The flow that has a place now.
    pub fn at(&mut self, place: u32) -> Option<(K, &mut V)> {
        let entry = self.entries.get_mut(place as usize)?;
        Some((entry.key, &mut entry.value))
    }

    /// The place of the flow that the next new flow takes the place of; `None` while there is room.
    pub fn next_to_go(&self) -> Option<u32> {
        (self.entries.len() >= self.capacity).then(|| self.oldest())
    }

    /// Every flow, in no particular order.
    pub fn iter(&self) -> impl Iterator<Item = (K, &V)> {
        self.entries.iter().map(|entry| (entry.key, &entry.value))
    }

    /// Every value, to be changed, in no particular order.
    pub fn values_mut(&mut self) -> impl Iterator<Item = &mut V> {
        self.entries.iter_mut().map(|entry| &mut entry.value)
    }
}

impl<V, K: Copy + Eq + Hash, S: BuildHasher + Default> Default for Flows<V, K, S> {
    fn default() -> Self {
        Self::new(CAPACITY)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(port: u16) -> FlowKey {
        let host = IpAddr::from([10, 0, 0, 1]);
        FlowKey::new(Transport::Tcp, (host, host), (port, 80)).0
    }

    fn known(flows: &Flows<u16>) -> Vec<u16> {
        let mut ports: Vec<u16> = flows
            .iter()
            .filter(|(key, _)| flows.place(key).is_some())
            .map(|(_, &value)| value)
            .collect();
        ports.sort_unstable();
        ports
    }

    fn add(flows: &mut Flows<u16>, port: u16, stage: Stage) {
        flows.touch(key(port), || (port, stage));
    }

    #[test]
    fn both_directions_have_one_key_also_on_one_host() {
        let host = IpAddr::from([127, 0, 0, 1]);
        let (there, forward) = FlowKey::new(Transport::Tcp, (host, host), (41000, 5000));
        let (back, backward) = FlowKey::new(Transport::Tcp, (host, host), (5000, 41000));
        assert_eq!(there, back);
        assert_ne!(forward, backward);
        assert_ne!(
            there,
            FlowKey::new(Transport::Udp, (host, host), (41000, 5000)).0
        );
    }

    #[test]
    fn the_oldest_half_open_flow_goes_first_then_the_oldest() {
        let mut flows = Flows::new(3);
        add(&mut flows, 1, Stage::Open);
        add(&mut flows, 2, Stage::HalfOpen);
        add(&mut flows, 3, Stage::HalfOpen);
        add(&mut flows, 4, Stage::Open);
        assert_eq!(known(&flows), [1, 3, 4]);
        add(&mut flows, 5, Stage::Open);
        assert_eq!(known(&flows), [1, 4, 5]);
        add(&mut flows, 6, Stage::Open);
        assert_eq!(known(&flows), [4, 5, 6]);
        assert_eq!(flows.evicted(), 3);
        assert_eq!(flows.len(), 3);
    }

    #[test]
    fn a_flow_that_is_heard_of_again_is_young_again() {
        let mut flows = Flows::new(2);
        add(&mut flows, 1, Stage::Open);
        add(&mut flows, 2, Stage::Open);
        add(&mut flows, 1, Stage::Open);
        add(&mut flows, 3, Stage::Open);
        assert_eq!(known(&flows), [1, 3]);
    }

    #[test]
    fn a_flow_that_was_answered_outlives_those_that_were_not() {
        let mut flows = Flows::new(2);
        add(&mut flows, 1, Stage::HalfOpen);
        flows.set_stage(key(1), Stage::Open);
        add(&mut flows, 2, Stage::HalfOpen);
        add(&mut flows, 3, Stage::HalfOpen);
        assert_eq!(known(&flows), [1, 3]);
        flows.set_stage(key(9), Stage::Open);
        assert_eq!(flows.len(), 2);
    }

    #[test]
    fn many_changes_keep_table_and_lists_in_step() {
        let mut flows = Flows::new(7);
        for n in 0..10_000_u16 {
            let port = n.wrapping_mul(31) % 23;
            let stage = if n % 3 == 0 {
                Stage::HalfOpen
            } else {
                Stage::Open
            };
            add(&mut flows, port, stage);
            flows.set_stage(key(n % 11), stage);
        }
        let mut listed = 0;
        for list in flows.lists {
            let mut at = list.first;
            while at != NONE {
                listed += 1;
                at = flows.entries[at as usize].after;
            }
        }
        assert_eq!(listed, flows.len());
    }
}
