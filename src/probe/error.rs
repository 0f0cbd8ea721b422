//! What can fail while packets are sent and heard: the operation, and what it was about.

use std::{io, net::IpAddr};

use super::limits::Refusal;

/// A failure to send or hear.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    /// A call of the kernel failed.
    #[error("cannot {doing}: {source}")]
    Io {
        /// What was tried, on what ("open a raw IP socket").
        doing: String,
        /// The kernel's answer.
        source: io::Error,
    },
    /// The kernel has no way to an address.
    #[error("no route to {0}: `ip route get {0}` says why")]
    NoRoute(IpAddr),
    /// Nobody on the link answers for the next hop.
    #[error("no hardware address for {0}: nobody answered on the link")]
    NoNeighbour(IpAddr),
    /// The packet goes where it may not without being asked twice.
    #[error(transparent)]
    Refused(Refusal),
    /// The packet cannot be sent as it is.
    #[error("{0}")]
    Unsendable(String),
}

impl ProbeError {
    /// A failed call: what was tried, and the kernel's answer.
    pub fn io(doing: impl Into<String>, source: io::Error) -> Self {
        Self::Io {
            doing: doing.into(),
            source,
        }
    }
}
