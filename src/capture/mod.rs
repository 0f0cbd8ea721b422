//! Frames from an interface: a packet socket's ring, or raw IP sockets, as a [`Source`].
//!
//! ```text
//!  packet  rings of one or more interfaces, merged by time      raw        raw IP sockets (--via raw)
//!  tap     one of those sockets and its ring                    walk       a ring block → records
//!  links   up, down, deleted                                    list       what interfaces there are
//!  netns   inside another network namespace                     choose     which one, when none is named
//!  filter  which frames are wanted                              listeners  who listens on a port, who owns a socket
//! ```

mod choose;
mod filter;
mod links;
mod list;
mod listeners;
mod netns;
mod packet;
mod raw;
mod tap;
mod walk;

use std::{
    io,
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use crate::{
    frame::{Batch, Interface, Source, SourceError, Step},
    link::LinkType,
    time::Time,
};

pub use choose::{Choice, Purpose, choose};
pub use filter::{Fault, Filter, On, Sieve, Ways, packet_type};
pub use list::{Available, available, packet_socket};
pub use listeners::{Holder, Listener, Process, Transport, holders, listeners, owners, tcp_states};
pub use netns::inside;

/// The name that means all interfaces at once.
pub const ANY: &str = "any";
/// The most bytes kept of a frame, also when no snapshot length is given: what tcpdump keeps, and files may hold.
pub const SNAPLEN: u32 = 262_144;
/// Bytes of ring for each interface: about 60 ms of 1514-byte frames at 5 Gbit/s.
pub const BUFFER: usize = 32 << 20;

/// What to capture, and how.
#[derive(Clone, Debug)]
pub struct Options {
    /// Names of interfaces; [`ANY`] for all of them through one cooked socket.
    pub interfaces: Vec<String>,
    /// Bytes kept of each frame, at most [`SNAPLEN`].
    pub snaplen: u32,
    /// Accept frames for other hosts too (never with [`ANY`]).
    pub promiscuous: bool,
    /// Bytes of buffer for each interface; less when the kernel has not so much.
    pub buffer: usize,
    /// Received frames, sent ones, or both.
    pub ways: Ways,
    /// Another network namespace: a name below `/run/netns`, or a process id.
    pub netns: Option<String>,
    /// By which kind of socket.
    pub via: Via,
    /// Which frames; all of them without.
    pub filter: Option<Arc<dyn Filter>>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            interfaces: vec![ANY.to_owned()],
            snaplen: SNAPLEN,
            promiscuous: true,
            buffer: BUFFER,
            ways: Ways::Both,
            netns: None,
            via: Via::Packet,
            filter: None,
        }
    }
}

/// The kind of socket that observes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Via {
    /// A packet socket: every frame, both ways, from the link header on.
    #[default]
    Packet,
    /// Raw IP sockets: received IPv4 packets of TCP, UDP and ICMP.
    Raw,
}

/// Why a capture could not begin.
#[derive(Debug, thiserror::Error)]
pub enum CaptureError {
    /// A right is missing.
    #[error("{operation}: {}", missing(.capability, *.effective))]
    NotPermitted {
        /// What was tried.
        operation: String,
        /// The capability that it needs.
        capability: &'static str,
        /// The process has it, but not over this network namespace.
        effective: bool,
    },
    /// There is no interface of that name.
    #[error("no interface is named {name:?}{}; there are: {known}", or_meant(.near.as_deref()))]
    NoSuchInterface {
        /// The name asked for.
        name: String,
        /// The one that was probably meant.
        near: Option<String>,
        /// The names there are.
        known: String,
    },
    /// There is no such network namespace.
    #[error(
        "no network namespace {name:?} (neither a name that \"ip netns\" lists, nor a process id)"
    )]
    NoSuchNamespace {
        /// The name asked for.
        name: String,
        /// What the kernel said.
        source: io::Error,
    },
    /// The filter has no meaning for what is captured.
    #[error("{name} has link type {link}: {source}")]
    Filter {
        /// The interface.
        name: String,
        /// What its frames begin with.
        link: LinkType,
        /// What cannot be meant.
        source: Fault,
    },
    /// The kernel refused for another reason.
    #[error("{operation}")]
    Kernel {
        /// What was tried, and on what.
        operation: String,
        /// What the kernel said.
        source: io::Error,
    },
}

fn or_meant(near: Option<&str>) -> String {
    near.map(|near| format!(", did you mean {near}?"))
        .unwrap_or_default()
}

fn missing(capability: &str, effective: bool) -> String {
    if effective {
        format!("{capability} is in effect, but not over this network namespace")
    } else {
        format!("missing capability {capability} (effective)")
    }
}

impl CaptureError {
    /// Names the operation, and tells a missing right from other faults.
    fn kernel(
        operation: String,
        needs: caps::Capability,
        capability: &'static str,
        source: io::Error,
    ) -> Self {
        if source.raw_os_error() == Some(libc::EPERM) {
            return Self::NotPermitted {
                operation,
                capability,
                effective: is_effective(needs),
            };
        }
        Self::Kernel { operation, source }
    }

    fn net_raw(operation: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        move |source| {
            Self::kernel(
                operation.into(),
                caps::Capability::CAP_NET_RAW,
                "CAP_NET_RAW",
                source,
            )
        }
    }
}

/// The calling thread's effective set holds `capability`: what decides, whoever the user is.
fn is_effective(capability: caps::Capability) -> bool {
    caps::has_cap(None, caps::CapSet::Effective, capability).unwrap_or(false)
}

/// The process may open packet and raw sockets, as far as its capabilities say.
pub fn is_permitted() -> bool {
    is_effective(caps::Capability::CAP_NET_RAW)
}

/// A running capture.
///
/// When every captured interface is gone, [`Source::next`] fails once with
/// [`SourceErrorKind::Gone`](crate::frame::SourceErrorKind::Gone); the call after that gives [`Step::End`] with the counters.
pub struct Live {
    kind: Kind,
    notes: Vec<String>,
}

enum Kind {
    Packet(Box<packet::Capture>),
    Raw(Box<raw::Capture>),
}

/// Opens the sockets and begins to capture.
///
/// # Errors
/// When a right, an interface or memory is missing.
pub fn open(options: &Options) -> Result<Live, CaptureError> {
    inside(options.netns.as_deref(), || open_here(options))?
}

fn open_here(options: &Options) -> Result<Live, CaptureError> {
    let mut notes = Vec::new();
    let kind = match options.via {
        Via::Packet => Kind::Packet(Box::new(packet::Capture::open(options, &mut notes)?)),
        Via::Raw => Kind::Raw(Box::new(raw::Capture::open(options, &mut notes)?)),
    };
    Ok(Live { kind, notes })
}

impl Live {
    /// What the user should know: a smaller ring than asked for, what the chosen socket cannot see.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    fn source(&mut self) -> &mut dyn Source {
        match &mut self.kind {
            Kind::Packet(capture) => capture.as_mut(),
            Kind::Raw(capture) => capture.as_mut(),
        }
    }
}

impl Source for Live {
    fn next(&mut self, until: Time) -> Result<Step, SourceError> {
        self.source().next(until)
    }

    fn interfaces(&self) -> &[Arc<Interface>] {
        match &self.kind {
            Kind::Packet(capture) => capture.interfaces(),
            Kind::Raw(capture) => capture.interfaces(),
        }
    }

    fn recycle(&mut self, batch: Batch) {
        self.source().recycle(batch);
    }

    fn stop(&mut self) {
        self.source().stop();
    }
}

/// The wall clock.
fn now() -> Time {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    Time::from_nanos(since.map_or(0, |d| i64::try_from(d.as_nanos()).unwrap_or(i64::MAX)))
}
