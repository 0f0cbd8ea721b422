//! The one-line form under construction: each layer writes its part, the innermost that has something to say wins.

use std::{
    fmt::{self, Write as _},
    net::IpAddr,
};

/// How the one-line form is written.
#[derive(Clone, Copy, Debug, Default)]
pub struct LineOptions {
    /// Sequence numbers as they are on the wire (`-S`).
    pub absolute: bool,
    /// tcpdump's short form (`-q`).
    pub quick: bool,
}

/// The parts of a line, reused from packet to packet.
#[derive(Debug, Default)]
pub struct Line {
    /// How to write.
    pub options: LineOptions,
    /// Source, as `address` or `address:port`.
    pub source: String,
    /// Destination, likewise.
    pub destination: String,
    /// The protocol that speaks.
    pub label: &'static str,
    /// What it says.
    pub info: String,
}

impl Line {
    /// Empty, keeping its memory and options.
    pub fn clear(&mut self) {
        self.source.clear();
        self.destination.clear();
        self.info.clear();
        self.label = "";
    }

    /// Sets both ends, as the link and network layers do.
    pub fn ends(&mut self, source: impl fmt::Display, destination: impl fmt::Display) {
        self.source.clear();
        self.destination.clear();
        // Writing to a String cannot fail.
        let _ = write!(self.source, "{source}");
        let _ = write!(self.destination, "{destination}");
    }

    /// Sets both ends to addresses with ports, IPv6 in brackets.
    pub fn sockets(&mut self, addresses: Option<(IpAddr, IpAddr)>, ports: (u16, u16)) {
        match addresses {
            Some((source, destination)) => {
                self.ends(
                    std::net::SocketAddr::new(source, ports.0),
                    std::net::SocketAddr::new(destination, ports.1),
                );
            }
            None => self.ends(ports.0, ports.1),
        }
    }

    /// Replaces what the line says. Text from packets goes through [`crate::text`] first.
    pub fn say(&mut self, info: fmt::Arguments<'_>) {
        self.info.clear();
        let _ = self.info.write_fmt(info);
    }

    /// Adds to what the line says, after a space where something stands already.
    pub fn add(&mut self, info: fmt::Arguments<'_>) {
        if !self.info.is_empty() {
            self.info.push(' ');
        }
        let _ = self.info.write_fmt(info);
    }
}
