//! What ICMP and ICMPv6 have in common: echoes, the words for type and code, and the packet that an error quotes.

use super::verify;
use crate::{
    checksum::Verdict,
    field::{Field, Visit},
    layer::View,
    line::Line,
};
use std::{
    fmt,
    net::{IpAddr, SocketAddr},
    ops::ControlFlow,
};

/// An echo request or reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Echo {
    /// It is the reply.
    pub reply: bool,
    /// Which program asks.
    pub ident: u16,
    /// Which of its requests it is.
    pub seq: u16,
}

impl Echo {
    /// The echo in `view`, where its type is `request` or `reply`; `None` for other messages.
    pub(super) fn read(view: &View<'_>, request: u8, reply: u8) -> Option<Self> {
        let kind = view
            .u8(0)
            .filter(|&kind| kind == request || kind == reply)?;
        Some(Self {
            reply: kind == reply,
            ident: view.u16(4)?,
            seq: view.u16(6)?,
        })
    }

    /// Adds what tells echoes apart to the line.
    pub(super) fn add(&self, view: &View<'_>, line: &mut Line) {
        let len = view.payload_wire();
        line.add(format_args!("id={} seq={} len={len}", self.ident, self.seq));
    }
}

/// What codes mean, by type and code.
pub(super) type CodeNames = [((u8, u8), &'static str)];

/// Shows what the checksum of a message turned out to be. That of a quoted message is not checked: it may be cut.
pub(super) fn show_checksum(
    view: &View<'_>,
    fields: (&'static Field, &'static Field),
    check: impl FnOnce() -> Verdict,
    visit: &mut dyn Visit,
) -> ControlFlow<()> {
    let verdict = if view.layer.quoted {
        Verdict::Unknown
    } else {
        check()
    };
    verify::show(fields, verify::number(verdict), verdict, visit)
}

/// Says what the message is: the name of its code where that has one, else of its type, else both as numbers.
pub(super) fn say_message(view: &View<'_>, types: &Field, codes: &CodeNames, line: &mut Line) {
    let (Some(kind), code) = (view.u8(0), view.u8(1).unwrap_or(0)) else {
        return;
    };
    let named = codes.iter().find(|(of, _)| *of == (kind, code));
    match (named, types.value_name(kind.into())) {
        (Some((_, name)), _) => line.say(format_args!("{name}")),
        (None, Some(name)) if code == 0 => line.say(format_args!("{name}")),
        (None, Some(name)) => line.say(format_args!("{name} code={code}")),
        (None, None) => line.say(format_args!("type={kind} code={code}")),
    }
}

/// The packet quoted by the error in a view, as far as it can be told.
pub(super) struct Subject {
    transport: &'static str,
    addresses: (IpAddr, IpAddr),
    ports: Option<(u16, u16)>,
}

impl Subject {
    /// Reads the layers that follow the error.
    pub(super) fn of(error: &View<'_>) -> Option<Self> {
        let quoted = (error.index + 1..error.packet.layers.len())
            .filter_map(|index| error.packet.view(index))
            .filter(|view| view.layer.quoted);
        let mut subject = None;
        for view in quoted {
            let name = view.layer.protocol.name;
            if matches!(name, "tcp" | "udp" | "udplite") {
                return Some(Self {
                    transport: name,
                    addresses: view.addresses()?,
                    ports: view.u16(0).zip(view.u16(2)),
                });
            }
            if name == "data" {
                break;
            }
            subject = Some(Self {
                transport: name,
                addresses: view.addresses()?,
                ports: None,
            });
        }
        subject
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (source, destination) = self.addresses;
        match self.ports {
            Some((from, to)) => write!(
                f,
                "{} {} → {}",
                self.transport,
                SocketAddr::new(source, from),
                SocketAddr::new(destination, to)
            ),
            None => write!(f, "{} {source} → {destination}", self.transport),
        }
    }
}
