//! One packet as it was, in words: its fields for a comparison, and the parts of its checksums.

use std::ops::{ControlFlow, Range};

use crate::{
    checksum,
    field::{At, Bounded, Field, Shown, Value, Visit},
    layer::{Packet, View},
};

/// Fields that repeat, of one packet.
const REPEATED: usize = 300;

/// A packet that was asked for.
#[derive(Debug)]
pub(super) struct Shot {
    pub(super) number: u64,
    pub(super) fields: Vec<Seen>,
    pub(super) sums: Vec<Sum>,
}

/// A field of it.
#[derive(Debug)]
pub(super) struct Seen {
    /// Which layer of its protocol it belongs to, counted from 0.
    pub(super) layer: usize,
    pub(super) field: &'static Field,
    pub(super) text: String,
}

/// The parts of one checksum.
#[derive(Debug)]
pub(super) struct Sum {
    pub(super) label: &'static str,
    /// As the packet has it.
    pub(super) found: u16,
    /// valid, wrong, unfilled, unknown.
    pub(super) verdict: String,
    /// Addresses, protocol number and length, where it covers them: parts with names, and their sum.
    pub(super) pseudo: Option<Pseudo>,
    pub(super) header: u16,
    pub(super) payload: u16,
    /// Bytes of payload that were summed up.
    pub(super) len: usize,
}

/// A pseudo-header.
#[derive(Debug)]
pub(super) struct Pseudo {
    pub(super) source: std::net::IpAddr,
    pub(super) destination: std::net::IpAddr,
    pub(super) protocol: u8,
    pub(super) length: u32,
    pub(super) sum: u16,
}

impl Sum {
    /// What the field should hold.
    pub(super) fn right(&self) -> u16 {
        checksum::finish(self.total())
    }

    /// The sum over everything with the field zero.
    pub(super) fn total(&self) -> u32 {
        let pseudo = self.pseudo.as_ref().map_or(0, |pseudo| pseudo.sum);
        checksum::fold(u32::from(pseudo) + u32::from(self.header) + u32::from(self.payload)).into()
    }

    fn of(view: &View<'_>) -> Option<Self> {
        // Where the field lies, and the protocol number of the pseudo-header.
        let (at, protocol) = match view.layer.protocol.name {
            "ip" => (10, None),
            "icmp" => (2, None),
            "icmpv6" => (2, Some(58)),
            "tcp" => (16, Some(6)),
            "udp" => (6, Some(17)),
            _ => return None,
        };
        let found = view.u16(at)?;
        let mut header = view.header().to_vec();
        header.get_mut(at..at + 2)?.fill(0);
        // An IPv4 header is summed up alone.
        let payload = match view.layer.protocol.name {
            "ip" => &[],
            _ => view.payload(),
        };
        let pseudo = match protocol {
            Some(protocol) => {
                let (source, destination) = view.addresses()?;
                let length = view.layer.wire;
                let sum = checksum::fold(checksum::pseudo(source, destination, protocol, length));
                Some(Pseudo {
                    source,
                    destination,
                    protocol,
                    length,
                    sum,
                })
            }
            None => None,
        };
        let mut verdict = Verdict::default();
        let _ = view.visit(&mut verdict);
        Some(Self {
            label: view.layer.protocol.label,
            found,
            verdict: verdict.0,
            pseudo,
            header: checksum::fold(checksum::sum(0, &header)),
            payload: checksum::fold(checksum::sum(0, payload)),
            len: payload.len(),
        })
    }
}

impl Shot {
    pub(super) fn of(packet: &Packet<'_>) -> Self {
        let mut shot = Self {
            number: packet.frame.number,
            fields: Vec::new(),
            sums: Vec::new(),
        };
        let mut left = REPEATED;
        for view in packet.views().filter(|view| !view.layer.quoted) {
            let same = |below: &View<'_>| std::ptr::eq(below.layer.protocol, view.layer.protocol);
            let mut fields = Fields {
                layer: packet.views().take(view.index).filter(same).count(),
                seen: &mut shot.fields,
            };
            let mut bounded = Bounded::new(&mut fields, &mut left);
            let _ = view.visit(&mut bounded);
            shot.sums.extend(Sum::of(&view));
        }
        shot
    }
}

/// Collects what the packet itself says, not what tracking adds.
struct Fields<'a> {
    layer: usize,
    seen: &'a mut Vec<Seen>,
}

impl Visit for Fields<'_> {
    fn field(&mut self, field: &'static Field, value: Value<'_>, _: Range<u32>) -> ControlFlow<()> {
        if field.at != At::Derived {
            self.seen.push(Seen {
                layer: self.layer,
                field,
                text: Shown { field, value }.to_string(),
            });
        }
        ControlFlow::Continue(())
    }
}

/// The word of a checksum's verdict.
#[derive(Default)]
struct Verdict(String);

impl Visit for Verdict {
    fn field(&mut self, field: &'static Field, value: Value<'_>, _: Range<u32>) -> ControlFlow<()> {
        if let (true, Value::Text(word)) = (field.name == "sockwire.checksum", value) {
            self.0 = String::from_utf8_lossy(word).into_owned();
        }
        ControlFlow::Continue(())
    }
}
