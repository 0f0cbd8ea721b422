//! The packets that specifications stand for: built, judged, and cut into fragments, a batch at a time.

use sockwire::{
    craft::{Built, Mark, Route as _, Spec},
    decode::{Decoded, Decoder},
    frame::{Direction, Frame, KernelChecksum},
    layer::Packet,
    link::LinkType,
    probe::{Judge, KernelRoute, changed_by_raw, limits::Plan},
    protocol::Ask,
    time::Time,
};

use super::usage;
use crate::cmd::{Failure, permission};

/// Bytes of packets that are kept built: what is sent again costs no building.
pub(super) const STORE: usize = 16 << 20;
/// Bytes that are built at a time where there are more.
pub(super) const PIECE: usize = 16 << 10;
/// Packets that stand ready, so that many leave with one call.
const READY: usize = 256;

/// Packets that stand one after the other.
#[derive(Debug, Default)]
pub(super) struct Batch {
    bytes: Vec<u8>,
    lengths: Vec<u32>,
    /// Where each packet begins.
    starts: Vec<usize>,
    /// Where the values of each come from, when that is shown; nothing for fragments.
    marks: Vec<Vec<Mark>>,
    /// The first packet that a raw IP socket would change.
    changed: Option<usize>,
}

impl Batch {
    pub(super) fn len(&self) -> usize {
        self.lengths.len()
    }

    /// `count` packets from packet `at` on, and their lengths.
    pub(super) fn part(&self, at: usize, count: usize) -> (&[u8], &[u32]) {
        let end = self.starts.get(at + count).copied();
        let bytes = &self.bytes[self.starts[at]..end.unwrap_or(self.bytes.len())];
        (bytes, &self.lengths[at..at + count])
    }

    /// Where the values of these packets come from, when that is shown.
    pub(super) fn marks(&self, at: usize, count: usize) -> &[Vec<Mark>] {
        self.marks.get(at..at + count).unwrap_or_default()
    }

    /// Repeats the packets, while they are few, for a run that sends `total` of them.
    pub(super) fn repeat(&mut self, total: u64) {
        let (bytes, packets) = (self.bytes.len(), self.len());
        while self.len() < READY && (self.len() as u64) < total {
            self.bytes.extend_from_within(..bytes);
            self.lengths.extend_from_within(..packets);
            let marked = packets.min(self.marks.len());
            self.marks.extend_from_within(..marked);
            self.index();
        }
    }

    /// The packet by which a socket is chosen: the first that a raw IP socket would change, else the first.
    pub(super) fn deciding(&self) -> &[u8] {
        self.part(self.changed.unwrap_or(0), 1).0
    }

    /// What a raw IP socket would do to one of the packets, if it would.
    pub(super) fn changes(&self) -> Option<&'static str> {
        changed_by_raw(self.part(self.changed?, 1).0)
    }

    fn clear(&mut self) {
        self.bytes.clear();
        self.lengths.clear();
        self.starts.clear();
        self.marks.clear();
        self.changed = None;
    }

    /// Finds where the packets begin that were appended.
    fn index(&mut self) {
        let last = self.starts.len().checked_sub(1);
        let mut at = last.map_or(0, |last| self.starts[last] + self.lengths[last] as usize);
        for len in &self.lengths[self.starts.len()..] {
            self.starts.push(at);
            at += *len as usize;
        }
    }
}

/// A packet of our own making, decoded.
pub(super) fn decoded<'a>(frame: Frame<'a>, decoded: &'a mut Decoded) -> Option<Packet<'a>> {
    decoded.clear();
    Decoder::default().frame(&frame, decoded);
    decoded.packet_of(frame, 0)
}

/// `bytes` as a frame that leaves now.
pub(super) fn frame(bytes: &[u8], number: u64, link: LinkType, time: Time) -> Frame<'_> {
    Frame {
        number,
        time,
        link,
        interface: 0,
        direction: Direction::Out,
        checksum: KernelChecksum::Unknown,
        wire_len: bytes.len() as u32,
        bytes,
    }
}

/// All packets of the specifications, one after the other.
pub(super) struct Packets {
    specs: Vec<Spec>,
    link: LinkType,
    mtu: Option<usize>,
    route: KernelRoute,
    judge: Judge,
    /// The specification and the packet of it that come next.
    next: (usize, u64),
    /// Packets built, for the identification of their fragments.
    built_so_far: u32,
    built: Built,
    /// It is shown where values come from.
    marked: bool,
}

impl Packets {
    /// Packets of `specs`, which begin at the same layer. Packets longer than `mtu` are cut. `marked`: it is shown where
    /// their values come from.
    pub(super) fn new(
        specs: Vec<Spec>,
        mtu: Option<usize>,
        plan: Plan,
        route: KernelRoute,
        marked: bool,
    ) -> Result<Self, Failure> {
        let begins =
            "a packet that is sent begins with a link layer or IP: put eth / or ip / in front";
        let mut links = specs.iter().map(Spec::link);
        let link = links.next().flatten().ok_or_else(|| usage(begins))?;
        if let Some(other) = links.find(|other| *other != Some(link)) {
            let other = other.ok_or_else(|| usage(begins))?;
            return Err(usage(format!(
                "packets that begin with {link} and with {other} do not leave by one socket: send them one after the other"
            )));
        }
        Ok(Self {
            specs,
            link,
            mtu,
            judge: Judge::new(route.clone(), plan),
            route,
            next: (0, 0),
            built_so_far: 0,
            built: Built::default(),
            marked,
        })
    }

    /// What every packet begins with.
    pub(super) fn link(&self) -> LinkType {
        self.link
    }

    /// All packets have been built once.
    pub(super) fn is_done(&self) -> bool {
        self.next.0 >= self.specs.len()
    }

    /// Begins again with the first.
    pub(super) fn rewind(&mut self) {
        self.next = (0, 0);
    }

    /// Fills `batch` anew with the next packets, until it has `bytes` or all are built.
    pub(super) fn fill(&mut self, batch: &mut Batch, bytes: usize) -> Result<(), Failure> {
        batch.clear();
        while batch.bytes.len() < bytes && !self.is_done() {
            let (spec, n) = self.next;
            self.specs[spec].build(n, &self.route, &mut self.built);
            let marked = self.marked;
            let marks = marked.then(|| self.specs[spec].marks(&self.route, &self.built));
            self.next = match n + 1 < self.specs[spec].count() {
                true => (spec, n + 1),
                false => (spec + 1, 0),
            };
            let frame = self.built.packet(self.link).frame;
            self.judge.check(&frame).map_err(permission::of_probe)?;
            let first = batch.len();
            self.append(batch)?;
            if let Some(marks) = marks {
                let whole = batch.lengths[first..] == [self.built.bytes.len() as u32];
                let marks = if whole { marks } else { Vec::new() };
                batch.marks.resize(batch.len(), marks);
            }
        }
        Ok(())
    }

    /// Appends the packet that was built, in fragments where it is too long.
    fn append(&mut self, batch: &mut Batch) -> Result<(), Failure> {
        let first = batch.len();
        self.built_so_far = self.built_so_far.wrapping_add(1);
        let random = self.mtu.and_then(|_| self.route.number(Ask::Isn));
        let ident = (random.unwrap_or_default() as u32).wrapping_add(self.built_so_far);
        let (bytes, lengths) = (&mut batch.bytes, &mut batch.lengths);
        let cut = self.built.cut(self.mtu, ident, bytes, lengths);
        cut.map_err(|error| usage(format!("--mtu {}: {error}", self.mtu.unwrap_or(0))))?;
        batch.index();
        if batch.changed.is_none() && self.link == LinkType::RAW {
            let changes = |at: &usize| changed_by_raw(batch.part(*at, 1).0).is_some();
            batch.changed = (first..batch.len()).find(changes);
        }
        Ok(())
    }
}
