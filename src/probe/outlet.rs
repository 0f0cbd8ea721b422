//! Where a packet leaves: the socket on which it arrives as it was made.

use super::{KernelRoute, ProbeError};
use crate::layer::Packet;

/// Which kind of socket to use.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Via {
    /// The one on which the packet stays as it is.
    #[default]
    Fitting,
    /// A raw IP socket, which rewrites checksum, total length, and a zero id or source.
    RawIp,
    /// A packet socket on this interface, or on the one that the route names.
    Packet(Option<String>),
}

/// An open socket for packets like the one it was opened for.
#[derive(Debug)]
pub struct Outlet {}

impl Outlet {
    /// Opens the socket for `packet`, whose outermost layer is a link header or IP.
    ///
    /// # Errors
    /// When the kernel refuses the socket, has no route, or cannot carry such a packet.
    pub fn open(packet: &Packet<'_>, _via: &Via, _route: &KernelRoute) -> Result<Self, ProbeError> {
        let _ = packet;
        Err(ProbeError::Unsendable("not yet".to_owned()))
    }

    /// Which socket it is and why, in words ("raw IP socket", "packet socket on eth0: …").
    pub fn describe(&self) -> String {
        String::new()
    }

    /// Sends a packet, from its outermost layer on.
    ///
    /// # Errors
    /// The kernel's answer.
    pub fn send(&mut self, _bytes: &[u8]) -> Result<(), ProbeError> {
        Ok(())
    }

    /// Sends packets that stand one after the other in `bytes`, as long as `lengths` say, in as few calls as possible.
    /// Returns how many left: fewer when the kernel's queue is full.
    ///
    /// # Errors
    /// The kernel's answer to the first packet.
    pub fn send_many(&mut self, _bytes: &[u8], _lengths: &[u32]) -> Result<usize, ProbeError> {
        Ok(0)
    }
}
