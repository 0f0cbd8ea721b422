//! The packets of the networks in which traced programs have sockets: a ring and a thread for each.

use std::{
    mem,
    os::unix::fs::MetadataExt as _,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use nix::sys::signal::SigSet;
use sockwire::{
    capture::{self, Live},
    event::{Entry, Event, Interface, NetId, Packet, Way},
    frame::{Batch, Counters, Direction, Frame, Source as _, Step},
    link::LinkType,
    sys::{
        clock::{Clock, Stamps},
        privilege,
    },
    time::{MILLISECOND, Time},
};

use super::super::pipeline::now;

/// Captures at a time: each has a ring of its own.
const MOST: usize = 16;
/// So many bytes of packets wait at most to be merged; more wait in the ring, and are lost where it is full.
const ROOM: usize = 256 << 20;
/// Packets may be queued in another order than they are stamped, apart by less than this many nanoseconds.
const SLACK: i64 = MILLISECOND;

/// Whose packets there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::cmd) enum Where {
    /// On this machine: any interface.
    Any,
    /// In a private network, which has a loopback interface only.
    Loopback,
}

/// All captures of a trace. Its clones are the same.
#[derive(Clone)]
pub(in crate::cmd) struct Captures {
    clock: Clock,
    all: Arc<Mutex<Vec<Arc<Capture>>>>,
    stopped: Arc<AtomicBool>,
}

/// A network's packets.
#[derive(Default)]
pub(super) struct Capture {
    caught: Mutex<Caught>,
}

/// What was caught since it was taken last.
#[derive(Default)]
pub(super) struct Caught {
    /// Interfaces, numbered from 0, and their packets, without numbers.
    pub(super) entries: Vec<Entry>,
    bytes: usize,
    /// Nothing earlier is to come.
    pub(super) reached: Time,
    /// How it ended; told once.
    pub(super) over: Option<Counters>,
}

fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // What a thread left when it panicked is whole: nothing here is done by halves.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Capture {
    /// What there is.
    pub(super) fn take(&self) -> Caught {
        let mut caught = held(&self.caught);
        caught.bytes = 0;
        Caught {
            entries: mem::take(&mut caught.entries),
            over: caught.over.take(),
            ..*caught
        }
    }
}

impl Captures {
    /// None so far; their packets' times are this clock's.
    pub(super) fn new(clock: Clock) -> Self {
        Self {
            clock,
            all: Arc::default(),
            stopped: Arc::default(),
        }
    }

    /// Begins to capture the packets of a network, in which `process` is. From now on none is missed.
    pub(in crate::cmd) fn open(
        &self,
        net: NetId,
        process: u32,
        place: Where,
    ) -> Result<(), String> {
        let mut all = held(&self.all);
        if all.len() == MOST {
            return Err(format!(
                "packets of more than {MOST} networks are not captured"
            ));
        }
        let name = match place {
            Where::Any => capture::ANY,
            Where::Loopback => "lo",
        };
        let options = capture::Options {
            interfaces: vec![name.to_owned()],
            promiscuous: false,
            netns: is_elsewhere(process).then(|| process.to_string()),
            ..capture::Options::default()
        };
        let capture = Arc::new(Capture::default());
        held(&capture.caught).reached = self.clock.now();
        let live = capture::open(&options).map_err(|error| error.to_string())?;
        let (ours, stopped) = (Arc::clone(&capture), Arc::clone(&self.stopped));
        let stamps = Stamps::new(self.clock);
        let started = thread::Builder::new()
            .name("capture".to_owned())
            .spawn(move || ours.run(live, net, stamps, &stopped));
        started.map_err(|error| format!("cannot start a thread: {error}"))?;
        all.push(capture);
        Ok(())
    }

    /// Those from number `first` on.
    pub(super) fn from(&self, first: usize) -> Vec<Arc<Capture>> {
        held(&self.all)[first..].to_vec()
    }

    /// Has all of them come to their end.
    pub(super) fn stop(&self) {
        self.stopped.store(true, Ordering::Relaxed);
    }
}

/// The process is in another network namespace than this one.
fn is_elsewhere(process: u32) -> bool {
    let inode = |path: &str| Some(std::fs::metadata(path).ok()?.ino());
    let theirs = inode(&format!("/proc/{process}/ns/net"));
    theirs.is_none() || theirs != inode("/proc/thread-self/ns/net")
}

impl Capture {
    /// Takes packets until it is stopped.
    fn run(&self, mut live: Live, net: NetId, mut stamps: Stamps, stopped: &AtomicBool) {
        // Signals are for others, and rights nobody needs here any more.
        let _ = SigSet::all().thread_block();
        let _ = privilege::give_up();
        let mut described = 0;
        loop {
            if stopped.load(Ordering::Relaxed) {
                live.stop();
            }
            let step = live.next(now());
            stamps.look();
            match step {
                Ok(Step::Batch(batch)) => {
                    let interfaces = live.interfaces();
                    let new = interfaces.iter().enumerate().skip(described);
                    let new = new.map(|(id, interface)| Interface {
                        id: id as u32,
                        net: Some(net),
                        name: interface.name.clone().unwrap_or_default(),
                        link: interface.link,
                    });
                    self.caught(&batch, new.collect(), &stamps);
                    described = interfaces.len();
                    live.recycle(batch);
                }
                Ok(Step::Quiet(until)) => held(&self.caught).reach(stamps.time(until)),
                Ok(Step::Link(_)) => {}
                Ok(Step::End(counters)) => return self.end(counters),
                // Its interfaces are gone; the next step has the counters.
                Err(_) => match live.next(now()) {
                    Ok(Step::End(counters)) => return self.end(counters),
                    _ => return self.end(Counters::default()),
                },
            }
            while held(&self.caught).bytes > ROOM {
                thread::sleep(std::time::Duration::from_millis(1));
            }
        }
    }

    fn caught(&self, batch: &Batch, interfaces: Vec<Interface>, stamps: &Stamps) {
        let Some(first) = batch.records.first() else {
            return;
        };
        let first = stamps.time(first.time);
        let interfaces = interfaces.into_iter().map(|interface| Entry {
            at: first,
            event: Event::Interface(interface),
        });
        let mut last = first;
        let mut bytes = 0;
        let packets = batch.frames().map(|frame| {
            let at = stamps.time(frame.time);
            last = last.max(at);
            bytes += frame.bytes.len();
            Entry {
                at,
                event: Event::Packet(packet(&frame)),
            }
        });
        let entries: Vec<Entry> = interfaces.chain(packets).collect();
        let mut caught = held(&self.caught);
        caught.entries.extend(entries);
        caught.bytes += bytes;
        caught.reach(last.plus(-SLACK));
    }

    fn end(&self, counters: Counters) {
        let mut caught = held(&self.caught);
        caught.reached = Time::MAX;
        caught.over = Some(counters);
    }
}

impl Caught {
    fn reach(&mut self, until: Time) {
        self.reached = self.reached.max(until);
    }
}

fn packet(frame: &Frame<'_>) -> Packet {
    Packet {
        number: 0,
        interface: frame.interface,
        way: match frame.direction {
            _ if is_loopback(frame) => Way::Loop,
            Direction::Out => Way::Out,
            Direction::In | Direction::Unknown => Way::In,
        },
        wire_len: frame.wire_len,
        checksum: frame.checksum,
        bytes: frame.bytes.to_vec(),
        lost: None,
    }
}

/// The frame crossed a loopback interface: a cooked header says so, and an Ethernet header there has no addresses.
fn is_loopback(frame: &Frame<'_>) -> bool {
    match frame.link {
        LinkType::LINUX_SLL2 => {
            frame.bytes.get(8..10) == Some(&libc::ARPHRD_LOOPBACK.to_be_bytes()[..])
        }
        _ => frame.bytes.get(..12) == Some(&[0; 12][..]),
    }
}
