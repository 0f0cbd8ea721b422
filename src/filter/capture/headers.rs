//! Where the headers of a frame are: for each link type, and after `vlan`, `mpls`, `pppoes`, `geneve` or `vxlan` moved them;
//! and how a frame says which protocol it carries.

use super::{
    Note, Place, Target,
    graph::{Compare, Cond, Operand, Test},
    values::{Form, Value, Values},
};
use crate::{
    bpf::{ANCILLARY, ancillary, op},
    link::LinkType,
};

/// Numbers of protocols, where they are not IP's: EtherTypes, and service access points of IEEE 802.2 below 0x100.
pub(super) mod ethertype {
    pub(crate) const IPV4: u32 = 0x0800;
    pub(crate) const ARP: u32 = 0x0806;
    pub(crate) const NS: u32 = 0x0600;
    pub(crate) const MOPDL: u32 = 0x6001;
    pub(crate) const MOPRC: u32 = 0x6002;
    pub(crate) const DECNET: u32 = 0x6003;
    pub(crate) const LAT: u32 = 0x6004;
    pub(crate) const SCA: u32 = 0x6007;
    pub(crate) const TEB: u32 = 0x6558;
    pub(crate) const RARP: u32 = 0x8035;
    pub(crate) const ATALK: u32 = 0x809b;
    pub(crate) const AARP: u32 = 0x80f3;
    pub(crate) const VLAN: u32 = 0x8100;
    pub(crate) const IPX: u32 = 0x8137;
    pub(crate) const IPV6: u32 = 0x86dd;
    pub(crate) const MPLS: u32 = 0x8847;
    pub(crate) const PPPOED: u32 = 0x8863;
    pub(crate) const PPPOES: u32 = 0x8864;
    pub(crate) const SERVICE_VLAN: u32 = 0x88a8;
    pub(crate) const OLD_QINQ: u32 = 0x9100;
    pub(crate) const SAP_IP: u32 = 0x06;
    pub(crate) const SAP_STP: u32 = 0x42;
    pub(crate) const SAP_IPX: u32 = 0xe0;
    pub(crate) const SAP_NETBEUI: u32 = 0xf0;
    pub(crate) const SAP_ISO: u32 = 0xfe;
}
use ethertype as et;

/// The PPP protocol number of MPLS (RFC 3032 §4.3).
const PPP_MPLS: u32 = 0x0281;
/// The longest payload of an IEEE 802.3 frame: what is larger in its length field is an EtherType.
const LONGEST: u32 = 1500;
/// Bytes of the header of Linux cooked captures, version 2.
const SLL2_HEADER: u32 = 20;

/// The start of a header: `k`, plus a word of scratch memory where it is known only when the program runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Start {
    pub(super) k: u32,
    pub(super) word: Option<u8>,
}

impl Start {
    pub(super) const fn at(k: u32) -> Self {
        Self { k, word: None }
    }

    pub(super) const fn word(word: u8) -> Self {
        let word = Some(word);
        Self { k: 0, word }
    }

    pub(super) const fn plus(self, more: u32) -> Self {
        let k = self.k.wrapping_add(more);
        Self { k, ..self }
    }
}

/// From where a load counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum From {
    /// The link header.
    Link,
    /// The field that says which protocol follows.
    Kind,
    /// What follows the link header: an LLC header, a tag, a label.
    Payload,
    /// The network header.
    Network,
    /// The network header behind LLC without SNAP.
    NetworkLlc,
    /// Behind the IPv4 header.
    Ip4Payload,
    /// Behind the IPv6 header of 40 bytes.
    Ip6Payload,
}

/// A filter that has no meaning for this link type or place, in words.
pub(super) type Fault = String;

/// The headers as they lie for the primitive that is being compiled. Primitives to the right see what those to the left changed.
#[derive(Debug)]
pub(super) struct Headers {
    pub(super) values: Values,
    pub(super) target: Target,
    /// The part of the expression that conditions are for.
    pub(super) span: std::ops::Range<usize>,
    /// What the frame, or the frame in it, begins with.
    pub(super) link: LinkType,
    pub(super) header: Start,
    pub(super) kind: Start,
    pub(super) payload: Start,
    /// Bytes between link payload and network header.
    pub(super) network: u32,
    /// The same behind LLC without SNAP.
    pub(super) network_llc: u32,
    /// How many MPLS labels were asked for.
    pub(super) labels: u32,
    pub(super) vlans: u32,
    /// Behind Geneve, where a frame may have no link header.
    pub(super) geneve: bool,
}

impl Headers {
    pub(super) fn new(target: Target) -> Result<Self, Fault> {
        let (kind, payload, network_llc) = match target.link {
            LinkType::ETHERNET => (12, 14, 3),
            LinkType::LINUX_SLL => (14, 16, 0),
            LinkType::LINUX_SLL2 => (0, SLL2_HEADER, 0),
            LinkType::NULL | LinkType::LOOP => (0, 4, 0),
            LinkType::PPP | LinkType::PPP_SERIAL => (2, 4, 0),
            LinkType::RAW | LinkType::IPV4 | LinkType::IPV6 => (0, 0, 0),
            other => return Err(format!("packets of {other} cannot be filtered")),
        };
        Ok(Self {
            values: Values::default(),
            target,
            span: 0..0,
            link: target.link,
            header: Start::at(0),
            kind: Start::at(kind),
            payload: Start::at(payload),
            network: 0,
            network_llc,
            labels: 0,
            vlans: 0,
            geneve: false,
        })
    }

    pub(super) fn number(&mut self, number: u32) -> Value {
        self.values.add(Form::Number(number))
    }

    pub(super) fn note(&self, what: &'static str) -> Note {
        let span = self.span.clone();
        Note { span, what }
    }

    /// `size` bytes at `at`, counted from a header.
    pub(super) fn load(&mut self, from: From, at: u32, size: u8) -> Result<Value, Fault> {
        let index = self.number(0);
        self.load_indexed(from, at, index, size)
    }

    /// `size` bytes at `at + index`, counted from a header.
    pub(super) fn load_indexed(
        &mut self,
        from: From,
        at: u32,
        index: Value,
        size: u8,
    ) -> Result<Value, Fault> {
        let start = match from {
            From::Link => self.header,
            From::Kind => self.kind,
            From::Payload => self.payload,
            From::Network | From::Ip4Payload => self.payload.plus(self.network),
            From::NetworkLlc => self.payload.plus(self.network_llc),
            From::Ip6Payload => self.payload.plus(self.network + 40),
        };
        let variable = match from {
            From::Ip4Payload => Some(self.header_length()?),
            _ => start.word.map(|word| self.values.add(Form::Word(word))),
        };
        let k = start.k.wrapping_add(at);
        match (self.values.number(index), variable) {
            (Some(index), x) => self.place_load(size, k.wrapping_add(index), x),
            (None, None) => self.place_load(size, k, Some(index)),
            (None, Some(x)) => {
                let x = self.values.sum(index, x);
                self.place_load(size, k, Some(x))
            }
        }
    }

    /// A load of the frame, where the program runs.
    pub(super) fn place_load(
        &mut self,
        size: u8,
        k: u32,
        x: Option<Value>,
    ) -> Result<Value, Fault> {
        let mut k = k;
        if self.target.place == Place::KernelCooked {
            k = match (k, size) {
                (SLL2_HEADER.., _) => k - SLL2_HEADER,
                (0, 2) if x.is_none() => return Ok(self.ancillary(ancillary::PROTOCOL, 2)),
                (4, 4) if x.is_none() => return Ok(self.ancillary(ancillary::IFINDEX, 4)),
                (8, 2) if x.is_none() => return Ok(self.ancillary(ancillary::HARDWARE_TYPE, 2)),
                (10, 1) if x.is_none() => return Ok(self.ancillary(ancillary::PACKET_TYPE, 1)),
                _ => return Err("the kernel has no link header of a cooked packet".into()),
            };
        }
        // No packet is so long; to Linux these places mean something else.
        if k > i32::MAX as u32 {
            k = i32::MAX as u32;
        }
        Ok(self.values.add(Form::Load { size, k, x }))
    }

    /// What Linux knows beside the bytes.
    pub(super) fn ancillary(&mut self, k: u32, size: u8) -> Value {
        debug_assert!(k >= ANCILLARY);
        self.values.add(Form::Load { size, k, x: None })
    }

    /// The length of the IPv4 header, with what is variable before it.
    pub(super) fn header_length(&mut self) -> Result<Value, Fault> {
        let start = self.payload.plus(self.network);
        let Some(word) = start.word else {
            let cooked = self.target.place == Place::KernelCooked;
            let k = start.k - if cooked { SLL2_HEADER } else { 0 };
            return Ok(self.values.add(Form::HeaderLength(k)));
        };
        let word = self.values.add(Form::Word(word));
        let first = self.place_load(1, start.k, Some(word))?;
        let low = self.number(0x0f);
        let low = self.values.binary(op::AND_K, first, low);
        let two = self.number(2);
        let length = self.values.binary(op::LSH_K, low, two);
        Ok(self.values.sum(length, word))
    }

    /// A comparison; decided at once between constants.
    pub(super) fn test(
        &mut self,
        value: Value,
        compare: Compare,
        operand: Operand,
        what: &'static str,
    ) -> Cond {
        let operand = match operand {
            Operand::Value(value) => self.values.number(value).map_or(operand, Operand::Number),
            number => number,
        };
        let Operand::Number(k) = operand else {
            let test = Test {
                value,
                compare,
                operand,
            };
            return Cond::Test(test, self.note(what));
        };
        if let Some(number) = self.values.number(value) {
            return Cond::Const(match compare {
                Compare::Equal => number == k,
                Compare::Greater => number > k,
                Compare::GreaterOrEqual => number >= k,
                Compare::AnyBit => number & k != 0,
            });
        }
        // One bit is tested without an instruction of its own for the mask.
        if let Form::Binary {
            code: op::AND_K,
            left,
            right,
        } = self.values.form(value)
            && let Some(mask) = self.values.number(right)
            && compare == Compare::Equal
            && mask != 0
            && (k == 0 || k == mask && mask.is_power_of_two())
        {
            let bits = self.test(left, Compare::AnyBit, Operand::Number(mask), what);
            return if k == 0 { !bits } else { bits };
        }
        let operand = Operand::Number(k);
        let test = Test {
            value,
            compare,
            operand,
        };
        Cond::Test(test, self.note(what))
    }

    /// A number in a header equals `number`.
    pub(super) fn equal(
        &mut self,
        from: From,
        at: u32,
        size: u8,
        number: u32,
        what: &'static str,
    ) -> Result<Cond, Fault> {
        let value = self.load(from, at, size)?;
        Ok(self.test(value, Compare::Equal, Operand::Number(number), what))
    }

    /// Those bits of a number in a header that `mask` has equal `number`. Nothing is read for an empty mask.
    pub(super) fn masked(
        &mut self,
        (from, at, size): (From, u32, u8),
        number: u32,
        mask: u32,
        what: &'static str,
    ) -> Result<Cond, Fault> {
        if mask == 0 {
            return Ok(Cond::Const(number == 0));
        }
        let mut value = self.load(from, at, size)?;
        if mask != u32::MAX {
            let mask = self.number(mask);
            value = self.values.binary(op::AND_K, value, mask);
        }
        Ok(self.test(value, Compare::Equal, Operand::Number(number), what))
    }

    /// Bytes in a header, the last ones first.
    pub(super) fn bytes(
        &mut self,
        from: From,
        at: u32,
        bytes: &[u8],
        what: &'static str,
    ) -> Result<Cond, Fault> {
        let mut rest = bytes;
        let mut all = Cond::Const(true);
        while !rest.is_empty() {
            let size = match rest.len() {
                4.. => 4,
                2.. => 2,
                _ => 1,
            };
            let (before, last) = rest.split_at(rest.len() - size);
            let number = last.iter().fold(0, |n, byte| n << 8 | u32::from(*byte));
            #[allow(clippy::cast_possible_truncation)]
            let (at, size) = (at + before.len() as u32, size as u8);
            all = all.and(self.equal(from, at, size, number, what)?);
            rest = before;
        }
        Ok(all)
    }

    /// The frame carries this protocol: an EtherType, or a service access point below 0x100.
    pub(super) fn carries(&mut self, protocol: u32) -> Result<Cond, Fault> {
        if self.labels > 0 {
            return self.mpls_carries(protocol);
        }
        match self.link {
            LinkType::ETHERNET => self.ethernet_carries(protocol),
            LinkType::LINUX_SLL => self.cooked_carries(protocol),
            LinkType::NULL | LinkType::LOOP => self.loopback_carries(protocol),
            LinkType::RAW => match protocol {
                et::IPV4 => self.masked((From::Link, 0, 1), 0x40, 0xf0, "IP version"),
                et::IPV6 => self.masked((From::Link, 0, 1), 0x60, 0xf0, "IP version"),
                _ => Ok(Cond::Const(false)),
            },
            LinkType::IPV4 => Ok(Cond::Const(protocol == et::IPV4)),
            LinkType::IPV6 => Ok(Cond::Const(protocol == et::IPV6)),
            LinkType::PPP | LinkType::PPP_SERIAL => {
                self.equal(From::Kind, 0, 2, ppp_protocol(protocol), "PPP protocol")
            }
            _ => self.equal(From::Kind, 0, 2, protocol, "EtherType"),
        }
    }

    /// A label stack does not name its protocol: the last label is followed by something that begins like IP.
    fn mpls_carries(&mut self, protocol: u32) -> Result<Cond, Fault> {
        let version = match protocol {
            et::IPV4 => 0x40,
            et::IPV6 => 0x60,
            _ => return Err("behind MPLS labels only IPv4 and IPv6 can be told apart".into()),
        };
        let bottom = (From::Network, 0_u32.wrapping_sub(2), 1);
        let last = self.masked(bottom, 1, 1, "bottom of the MPLS label stack")?;
        Ok(last.and(self.masked((From::Network, 0, 1), version, 0xf0, "IP version")?))
    }

    /// The frame has a length where others have an EtherType.
    pub(super) fn is_length(&mut self) -> Result<Cond, Fault> {
        let kind = self.load(From::Kind, 0, 2)?;
        let longest = Operand::Number(LONGEST);
        Ok(!self.test(kind, Compare::Greater, longest, "EtherType or length"))
    }

    fn ethernet_carries(&mut self, protocol: u32) -> Result<Cond, Fault> {
        match protocol {
            et::SAP_ISO | et::SAP_IP | et::SAP_NETBEUI => {
                let llc = self.is_length()?;
                Ok(llc.and(self.both_saps(protocol)?))
            }
            et::SAP_IPX => {
                let plain = self.equal(From::Kind, 0, 2, et::IPX, "EtherType")?;
                let length = self.is_length()?;
                let sap = self.equal(From::Payload, 0, 1, et::SAP_IPX, "DSAP")?;
                let raw = self.equal(From::Payload, 0, 2, 0xffff, "checksum of raw IPX")?;
                let snap = self.snap(0, et::IPX)?;
                Ok(plain.or(length.and(snap.or(sap.or(raw)))))
            }
            et::ATALK | et::AARP => {
                let plain = self.equal(From::Kind, 0, 2, protocol, "EtherType")?;
                let length = self.is_length()?;
                Ok(plain.or(length.and(self.apple_snap(protocol)?)))
            }
            ..=LONGEST => {
                let length = self.is_length()?;
                Ok(length.and(self.equal(From::Kind, 2, 1, protocol, "DSAP")?))
            }
            _ => self.equal(From::Kind, 0, 2, protocol, "EtherType"),
        }
    }

    /// Linux cooked: the protocol is an EtherType, 1 for raw 802.3, or 4 for LLC.
    fn cooked_carries(&mut self, protocol: u32) -> Result<Cond, Fault> {
        let llc = self.equal(From::Kind, 0, 2, 4, "EtherType")?;
        match protocol {
            et::SAP_ISO | et::SAP_IP | et::SAP_NETBEUI => Ok(llc.and(self.both_saps(protocol)?)),
            et::SAP_IPX => {
                let plain = self.equal(From::Kind, 0, 2, et::IPX, "EtherType")?;
                let raw = self.equal(From::Kind, 0, 2, 1, "EtherType")?;
                let sap = self.equal(From::Payload, 0, 1, et::SAP_IPX, "DSAP")?;
                let snap = self.snap(0, et::IPX)?;
                Ok(plain.or(raw.or(llc.and(sap.or(snap)))))
            }
            et::ATALK | et::AARP => {
                let plain = self.equal(From::Kind, 0, 2, protocol, "EtherType")?;
                Ok(plain.or(llc.and(self.apple_snap(protocol)?)))
            }
            ..=LONGEST => Ok(llc.and(self.equal(From::Payload, 0, 1, protocol, "DSAP")?)),
            _ => self.equal(From::Kind, 0, 2, protocol, "EtherType"),
        }
    }

    fn both_saps(&mut self, sap: u32) -> Result<Cond, Fault> {
        self.equal(From::Payload, 0, 2, sap << 8 | sap, "DSAP and SSAP")
    }

    fn apple_snap(&mut self, protocol: u32) -> Result<Cond, Fault> {
        let organization = if protocol == et::ATALK { 0x08_0007 } else { 0 };
        self.snap(organization, protocol)
    }

    /// An LLC header with SNAP (RFC 1042): organization and protocol.
    fn snap(&mut self, organization: u32, protocol: u32) -> Result<Cond, Fault> {
        let [_, a, b, c] = organization.to_be_bytes();
        let [_, _, d, e] = protocol.to_be_bytes();
        let bytes = [0xaa, 0xaa, 0x03, a, b, c, d, e];
        self.bytes(From::Payload, 0, &bytes, "LLC and SNAP header")
    }

    /// The address family, which each BSD numbers differently for IPv6. NULL has it in the byte order of its writer.
    fn loopback_carries(&mut self, protocol: u32) -> Result<Cond, Fault> {
        let families: &[u32] = match protocol {
            et::IPV4 => &[2],
            et::IPV6 => &[30, 24, 28],
            _ => return Ok(Cond::Const(false)),
        };
        let mut any = Cond::Const(false);
        for family in families {
            any = any.or(self.equal(From::Link, 0, 4, *family, "address family")?);
            if self.link == LinkType::NULL {
                let swapped = family.swap_bytes();
                any = any.or(self.equal(From::Link, 0, 4, swapped, "address family")?);
            }
        }
        Ok(any)
    }

    /// The link type in words, for messages.
    pub(super) fn link_title(&self) -> &'static str {
        self.link.title().unwrap_or("this link type")
    }

    /// The frame is MPLS.
    pub(super) fn is_mpls(&mut self) -> Result<Cond, Fault> {
        match self.link {
            LinkType::ETHERNET => self.carries(et::MPLS),
            LinkType::PPP => self.carries(PPP_MPLS),
            _ => Err(format!("{} carries no MPLS", self.link_title())),
        }
    }
}

/// The PPP protocol number of an EtherType; others are their own.
const fn ppp_protocol(protocol: u32) -> u32 {
    match protocol {
        et::IPV4 => 0x0021,
        et::IPV6 => 0x0057,
        et::DECNET => 0x0027,
        et::ATALK => 0x0029,
        et::NS => 0x0025,
        et::SAP_ISO => 0x0023,
        et::SAP_STP => 0x0031,
        et::SAP_IPX => 0x002b,
        _ => protocol,
    }
}
