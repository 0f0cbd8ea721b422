//! What a protocol is: one `static` with its name, its claims, its fields and a few functions over bytes.

mod craft;

pub use craft::{Answers, Ask, Craft, Fill, Form, Part, Slot, Tail};

use std::{net::IpAddr, ops::ControlFlow};

use crate::{
    field::{Field, Visit},
    layer::{Layer, Problem, View},
    line::Line,
    link::LinkType,
};

/// Everything the program knows of one protocol.
pub struct Protocol {
    /// Wireshark's short name (`tcp`), which its fields begin with.
    pub name: &'static str,
    /// As it stands in the one-line form (`TCP`).
    pub label: &'static str,
    /// In words ("Transmission Control Protocol").
    pub title: &'static str,
    /// Where it is specified ("RFC 9293").
    pub spec: &'static str,
    /// By what it is found.
    pub claims: &'static [Claim],
    /// Its fields, in the order of records.
    pub fields: &'static [&'static Field],
    /// Reads a header. Never fails: what is wrong stands in the answer.
    pub dissect: fn(&[u8], &Context<'_>) -> Dissected,
    /// Visits the fields without a fixed place, in wire order.
    pub walk: Option<Walk>,
    /// Writes its part of the one-line form.
    pub line: fn(&View<'_>, &mut Line),
    /// Source and destination, for protocols of the network layer.
    pub addresses: Option<Addresses>,
    /// How it is crafted; `None` for what can only be given as bytes.
    pub craft: Option<&'static Craft>,
}

/// Visits the fields of a layer that have no fixed place.
pub type Walk = fn(&View<'_>, &mut dyn Visit) -> ControlFlow<()>;

/// Source and destination of a layer.
pub type Addresses = fn(&View<'_>) -> Option<(IpAddr, IpAddr)>;

impl std::fmt::Debug for Protocol {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

/// By what a protocol is found in what lies below it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Claim {
    /// The link type of the frame.
    Link(LinkType),
    /// An EtherType (also in SLL, SLL2, GRE, SNAP, VLAN, Geneve).
    EtherType(u16),
    /// The destination service access point of an IEEE 802.2 LLC header.
    Llc(u8),
    /// An IP protocol number or IPv6 next header.
    IpProto(u8),
    /// A UDP port, either side.
    UdpPort(u16),
    /// A TCP port, either side.
    TcpPort(u16),
    /// A TCP port, either side, of streams whose messages tracking puts together: segments by themselves do not tell.
    StreamPort(u16),
    /// A PPP protocol number.
    Ppp(u16),
    /// Only by name, from another protocol file or the decoder itself (`llc`, `data`).
    Name(&'static str),
}

/// What a dissector may know besides its bytes.
#[derive(Clone, Copy)]
pub struct Context<'a> {
    /// Bytes of this layer on the wire, as far as the layers before it say; more than were given when the capture was cut.
    pub wire: u32,
    /// By what the protocol was found.
    pub claim: Claim,
    /// The layers before it, outermost first.
    pub layers: &'a [Layer],
    /// It belongs to the packet that an ICMP error quotes, which may end early without being malformed.
    pub quoted: bool,
}

/// What a dissector found.
#[derive(Clone, Copy, Debug)]
pub struct Dissected {
    /// Bytes of header, at most those given.
    pub header: u32,
    /// Bytes of header and payload on the wire by this header's own account, where it has a length; else [`Context::wire`].
    pub wire: u32,
    /// What follows.
    pub next: Next,
    /// What is wrong or cut.
    pub problem: Option<Problem>,
}

impl Dissected {
    /// A sound header of `header` bytes, followed by `next`.
    pub const fn new(header: usize, next: Next, context: &Context<'_>) -> Self {
        Self {
            header: header as u32,
            wire: context.wire,
            next,
            problem: None,
        }
    }

    /// A header that needs more bytes than there are: cut by the snapshot length, or malformed when the packet itself ends.
    pub fn short(bytes: &[u8], context: &Context<'_>, needed: usize) -> Self {
        let cut = context.quoted || needed as u64 <= u64::from(context.wire);
        let problem = if cut {
            Problem::CUT
        } else {
            Problem::malformed("header is longer than the packet")
        };
        Self {
            header: bytes.len() as u32,
            wire: context.wire,
            next: Next::End,
            problem: Some(problem),
        }
    }

    /// The same, with a problem.
    pub const fn with(mut self, problem: Problem) -> Self {
        self.problem = Some(problem);
        self
    }
}

/// What follows a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Nothing that is decoded; the payload, if any, belongs to this layer.
    End,
    /// Plain data.
    Data,
    /// Whoever makes this claim; plain data when nobody does.
    Claim(Claim),
    /// Whoever claims the first, else the second; plain data when nobody does.
    Either(Claim, Claim),
    /// The packet that an ICMP error quotes.
    Quoted(Claim),
    /// The bytes are not this protocol's after all, whatever claim led to it: they are plain data, and no layer of it stays.
    NotMine,
}
