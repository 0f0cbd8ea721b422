//! Packet sockets with rings, one an interface, as one source: blocks as they come, or merged by time.

use std::{os::fd::AsFd, sync::Arc, thread, time::Duration};

use nix::{
    errno::Errno,
    poll::{PollFd, PollFlags, PollTimeout, poll},
};

use super::{
    ANY, CaptureError, Options,
    links::Links,
    list, now,
    tap::{Tap, Waiting},
    walk::walk,
};
use crate::{
    frame::{
        Batch, Counters, Interface, InterfaceState, Record, Source, SourceError, SourceErrorKind,
        Step, Storage,
    },
    time::{MILLISECOND, SECOND, Time},
};

/// After this time, in nanoseconds, a frame has reached us for certain: two retire periods and some grace.
const SETTLED: i64 = 50 * MILLISECOND;
/// The longest wait in one piece, so that a signal between two waits is not missed for long.
const NAP: i64 = 100 * MILLISECOND;
/// The longest time, in nanoseconds, that draining may take.
const DRAIN: i64 = SECOND;
/// The kernel's counters have 32 bits: read often enough, they never overflow.
const COUNT_EVERY: i64 = SECOND;
/// Most bytes copied into one merged batch.
const MERGED: usize = 1 << 20;

/// Packet sockets of the named interfaces, or the one of `any`.
pub(super) struct Capture {
    taps: Vec<Tap>,
    interfaces: Vec<Arc<Interface>>,
    /// Which entry of `interfaces` an interface number has; the last one asked for is first.
    known: Vec<(u32, u32)>,
    snaplen: u32,
    /// As it was given, for recordings.
    filter: Option<String>,
    links: Links,
    duplicate: u64,
    next_number: u64,
    counted: Time,
    spare_records: Vec<Vec<Record>>,
    spare_data: Vec<u8>,
    /// Draining, at the latest until this time.
    drain_until: Option<Time>,
    told_gone: bool,
}

impl Capture {
    pub(super) fn open(options: &Options, notes: &mut Vec<String>) -> Result<Self, CaptureError> {
        let mut capture = Self {
            taps: Vec::new(),
            interfaces: Vec::new(),
            known: Vec::new(),
            snaplen: options.snaplen.clamp(1, super::SNAPLEN),
            filter: options.filter.as_ref().map(|f| f.expression().to_owned()),
            links: Links::default(),
            duplicate: 0,
            next_number: 1,
            counted: now(),
            spare_records: Vec::new(),
            spare_data: Vec::new(),
            drain_until: None,
            told_gone: false,
        };
        if options.interfaces.iter().any(|name| name == ANY) {
            if options.interfaces.len() > 1 {
                notes.push("any stands for all interfaces: the others named are in it".to_owned());
            }
            capture.tap(ANY, 0, options, notes)?;
            for interface in list::available() {
                capture
                    .links
                    .watch(interface.index, interface.name, interface.up);
            }
        } else {
            for interface in list::find(&options.interfaces)? {
                capture.tap(&interface.name, interface.index, options, notes)?;
                // As if it were up, so that the first look tells when it is not.
                capture.links.watch(interface.index, interface.name, true);
            }
        }
        // Bound last, all at once: until here nothing was received.
        for tap in &capture.taps {
            tap.socket
                .bind(tap.ifindex)
                .map_err(CaptureError::net_raw(format!("bind to {}", tap.name)))?;
        }
        Ok(capture)
    }

    fn tap(
        &mut self,
        name: &str,
        ifindex: u32,
        options: &Options,
        notes: &mut Vec<String>,
    ) -> Result<(), CaptureError> {
        let tap = Tap::open(name, ifindex, self.snaplen, options, notes)?;
        if tap.reader.size() < options.buffer {
            notes.push(format!(
                "the ring of {name} has {} KiB: the kernel has no memory for {} KiB",
                tap.reader.size() >> 10,
                options.buffer >> 10
            ));
        }
        self.taps.push(tap);
        if ifindex != 0 {
            self.describe(self.taps.len() - 1, ifindex, Some(name.to_owned()));
        }
        Ok(())
    }

    /// A new entry of `interfaces`, for an interface that the tap `at` captures.
    fn describe(&mut self, at: usize, ifindex: u32, name: Option<String>) -> u32 {
        let index = self.interfaces.len() as u32;
        let tap = &self.taps[at];
        let link = tap.shape.link;
        self.interfaces.push(Arc::new(Interface {
            name,
            description: None,
            link,
            snaplen: self.snaplen,
            filter: self.filter.clone(),
        }));
        self.known.push((ifindex, index));
        index
    }

    /// Takes the next block of tap `at` and walks it.
    fn take(&mut self, at: usize) -> Option<Waiting> {
        let mut block = self.taps[at].reader.take()?;
        let mut records = self.spare_records.pop().unwrap_or_default();
        let before = records.len();
        let shape = self.taps[at].shape;
        let mut sieve = self.taps[at].sieve.take();
        let mut last = (u32::MAX, 0);
        let left = walk(
            block.bytes_mut(),
            shape,
            sieve.as_mut(),
            |ifindex| {
                if last.0 != ifindex {
                    last = (ifindex, self.interface(at, ifindex));
                }
                last.1
            },
            &mut records,
        );
        self.duplicate += left.duplicate;
        let tap = &mut self.taps[at];
        tap.sieve = sieve;
        tap.refused += left.refused;
        tap.taken += left.duplicate + left.refused + (records.len() - before) as u64;
        Some(Waiting {
            block,
            records,
            next: 0,
        })
    }

    /// The entry of `interfaces` for an interface number, made when it is first seen on `any`.
    fn interface(&mut self, at: usize, ifindex: u32) -> u32 {
        if let Some(&(_, index)) = self.known.iter().find(|(known, _)| *known == ifindex) {
            return index;
        }
        let tap = &self.taps[at];
        let name = tap.socket.name_of(ifindex).ok();
        if let Some(name) = &name {
            self.links.watch(ifindex, name.clone(), true);
        }
        self.describe(at, ifindex, name)
    }

    /// One interface: a block is a batch.
    fn single(&mut self) -> Option<Batch> {
        loop {
            let taken = self.take(0)?;
            if taken.records.is_empty() {
                self.spare_records.push(taken.records);
                continue;
            }
            let data = Storage::Block(Box::new(taken.block));
            return Some(self.deliver(data, taken.records));
        }
    }

    /// Several interfaces: what has settled is copied in the order of time.
    fn merged(&mut self, now: Time) -> Option<Batch> {
        let mut settled = now.plus(-SETTLED);
        for at in 0..self.taps.len() {
            while let Some(taken) = self.take(at) {
                if taken.records.is_empty() {
                    self.spare_records.push(taken.records);
                } else {
                    self.taps[at].waiting.push_back(taken);
                }
            }
        }
        if self.is_drained() || self.taps.iter().any(Tap::is_crowded) {
            settled = Time::MAX; // Better out of order than lost.
        }
        let mut data = std::mem::take(&mut self.spare_data);
        let mut records = self.spare_records.pop().unwrap_or_default();
        data.clear();
        while data.len() < MERGED {
            let heads = self.taps.iter_mut().filter_map(Tap::head);
            let Some((time, tap)) = heads.min_by_key(|(time, _)| *time) else {
                break;
            };
            if time > settled {
                break;
            }
            if let Some(done) = tap.copy_head(&mut data, &mut records) {
                self.spare_records.push(done);
            }
        }
        if records.is_empty() {
            self.spare_records.push(records);
            self.spare_data = data;
            return None;
        }
        Some(self.deliver(Storage::Owned(data), records))
    }

    fn deliver(&mut self, data: Storage, records: Vec<Record>) -> Batch {
        let first = self.next_number;
        self.next_number += records.len() as u64;
        Batch {
            data,
            records,
            first,
            comments: Vec::new(),
        }
    }

    fn count(&mut self) {
        for tap in &mut self.taps {
            tap.count();
        }
    }

    /// Every frame that the kernel counted has been taken out of the rings; only asked when nothing more arrives.
    fn is_drained(&self) -> bool {
        (self.drain_until.is_some() || self.taps.iter().all(|tap| tap.gone))
            && self
                .taps
                .iter()
                .all(|tap| tap.taken >= tap.seen.saturating_sub(tap.dropped))
    }

    /// Draining has taken its time, or the wall clock was set back.
    fn is_late(&self, now: Time) -> bool {
        self.drain_until
            .is_some_and(|until| !(0..=DRAIN).contains(&until.since(now)))
    }

    fn counters(&self) -> Counters {
        let sum = |of: fn(&Tap) -> u64| self.taps.iter().map(of).sum::<u64>();
        let (seen, taken) = (sum(|tap| tap.seen), sum(|tap| tap.taken));
        Counters {
            seen: seen.saturating_sub(sum(|tap| tap.refused)),
            duplicate: self.duplicate,
            // What could not be drained in time is lost too.
            dropped: seen.saturating_sub(taken),
        }
    }

    /// A link change, and what it means for the capture.
    fn link_change(&mut self, now: Time) -> Option<Step> {
        let socket = &self.taps.first()?.socket;
        let (change, ifindex) = self.links.next(socket, now)?;
        if change.state == InterfaceState::Deleted {
            for tap in self.taps.iter_mut().filter(|tap| tap.ifindex == ifindex) {
                tap.gone = true;
                tap.count();
            }
            if self.taps.iter().all(|tap| tap.gone) {
                self.drain_until = Some(now.plus(DRAIN));
            }
        }
        Some(Step::Link(change))
    }

    fn end(&mut self) -> Result<Step, SourceError> {
        if self.taps.iter().all(|tap| tap.gone) && !self.told_gone {
            self.told_gone = true;
            let names: Vec<&str> = self.taps.iter().map(|tap| tap.name.as_str()).collect();
            return Err(SourceError {
                kind: SourceErrorKind::Gone,
                source: format!("interface {} was deleted", names.join(", ")).into(),
            });
        }
        Ok(Step::End(self.counters()))
    }

    /// Waits until a ring has something, at most `nanos`. False when a signal came.
    fn wait(&self, nanos: i64) -> Result<bool, SourceError> {
        let millis = nanos.clamp(0, NAP) / MILLISECOND + 1;
        if self.taps.iter().any(|tap| !tap.waiting.is_empty()) {
            // Blocks in our hands make every poll return at once.
            thread::sleep(Duration::from_millis((millis as u64).min(5)));
            return Ok(true);
        }
        let mut fds: Vec<PollFd<'_>> = self
            .taps
            .iter()
            .map(|tap| PollFd::new(tap.socket.as_fd(), PollFlags::POLLIN))
            .collect();
        match poll(
            &mut fds,
            PollTimeout::try_from(millis).unwrap_or(PollTimeout::ZERO),
        ) {
            Ok(0) => Ok(true),
            Ok(_) => {
                for tap in &self.taps {
                    // Left pending, the error of a link that went down would end every wait.
                    tap.socket.take_error();
                }
                // The caller may still hold blocks of the ring, which poll takes for new ones.
                thread::sleep(Duration::from_micros(500));
                Ok(true)
            }
            Err(Errno::EINTR) => Ok(false),
            Err(errno) => Err(SourceError {
                kind: SourceErrorKind::Io,
                source: format!("wait for frames: {errno}").into(),
            }),
        }
    }
}

impl Source for Capture {
    fn next(&mut self, until: Time) -> Result<Step, SourceError> {
        let began = now();
        loop {
            let now = now();
            if now.since(self.counted) > COUNT_EVERY || now < self.counted {
                self.counted = now;
                self.count();
            }
            if let Some(change) = self.link_change(now) {
                return Ok(change);
            }
            let batch = if self.taps.len() == 1 {
                self.single()
            } else {
                self.merged(now)
            };
            if let Some(batch) = batch {
                return Ok(Step::Batch(batch));
            }
            if self.is_drained() || self.is_late(now) {
                return self.end();
            }
            if self.drain_until.is_some() {
                self.wait(MILLISECOND)?;
                continue;
            }
            let left = until.plus(SETTLED).since(now);
            if left <= 0 {
                return Ok(Step::Quiet(until));
            }
            if !(0..=NAP).contains(&now.since(began)) || !self.wait(left)? {
                return Ok(Step::Quiet(now.plus(-SETTLED)));
            }
        }
    }

    fn interfaces(&self) -> &[Arc<Interface>] {
        &self.interfaces
    }

    fn recycle(&mut self, batch: Batch) {
        let mut records = batch.records;
        records.clear();
        self.spare_records.push(records);
        if let Storage::Owned(data) = batch.data {
            self.spare_data = data;
        }
    }

    fn stop(&mut self) {
        if self.drain_until.is_some() {
            return;
        }
        for tap in &self.taps {
            // A socket that cannot be silenced is drained until the time is over.
            let _ = tap.socket.silence(tap.ifindex);
        }
        self.count();
        self.drain_until = Some(now().plus(DRAIN));
    }
}
