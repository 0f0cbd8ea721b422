//! Conditions on IP and what it carries: protocol numbers, ports, fragments, chains of headers.

use super::{
    ast::{Proto, Side},
    compile::{Compiler, NEXT_HEADER},
    graph::{Compare, Cond, Operand},
    headers::{Fault, From, ethertype as et},
    values::Form,
};
use crate::bpf::op;

/// Headers of IPv6 that are followed to another one (RFC 8200 §4), and the authentication header.
const HOP_BY_HOP: u32 = 0;
const ROUTING: u32 = 43;
const FRAGMENT: u32 = 44;
const AUTHENTICATION: u32 = 51;
const DESTINATION_OPTIONS: u32 = 60;

/// How many headers `protochain` follows. A program that the kernel takes cannot loop.
const CHAIN: usize = 12;

const PROTOCOL: &str = "protocol of the IPv4 header";

const TCP: u32 = 6;
const UDP: u32 = 17;
const SCTP: u32 = 132;

impl Compiler {
    /// A protocol word that stands alone.
    pub(super) fn proto(&mut self, proto: Proto) -> Result<Cond, Fault> {
        use Proto as P;
        let ether = |number| (Some(P::Link), number);
        let (of, number) = match proto {
            P::Ip => ether(et::IPV4),
            P::Ip6 => ether(et::IPV6),
            P::Arp => ether(et::ARP),
            P::Rarp => ether(et::RARP),
            P::Atalk => ether(et::ATALK),
            P::Aarp => ether(et::AARP),
            P::Decnet => ether(et::DECNET),
            P::Lat => ether(et::LAT),
            P::Sca => ether(et::SCA),
            P::Moprc => ether(et::MOPRC),
            P::Mopdl => ether(et::MOPDL),
            P::Iso => ether(et::SAP_ISO),
            P::Stp => ether(et::SAP_STP),
            P::Ipx => ether(et::SAP_IPX),
            P::Netbeui => ether(et::SAP_NETBEUI),
            P::Tcp => (None, TCP),
            P::Udp => (None, UDP),
            P::Sctp => (None, SCTP),
            P::Pim => (None, 103),
            P::Ah => (None, AUTHENTICATION),
            P::Esp => (None, 50),
            P::Icmp => (Some(P::Ip), 1),
            P::Igmp => (Some(P::Ip), 2),
            P::Igrp => (Some(P::Ip), 9),
            P::Vrrp | P::Carp => (Some(P::Ip), 112),
            P::Icmp6 => (Some(P::Ip6), 58),
            P::Clnp => (Some(P::Iso), 0x81),
            P::Esis => (Some(P::Iso), 0x82),
            P::Isis => (Some(P::Iso), 0x83),
            P::IsisL1 => return self.isis(&[26, 24, 18, 15, 17]),
            P::IsisL2 => return self.isis(&[27, 25, 20, 16, 17]),
            P::IsisIih => return self.isis(&[17, 15, 16]),
            P::IsisLsp => return self.isis(&[18, 20]),
            P::IsisSnp => return self.isis(&[27, 26, 24, 25]),
            P::IsisCsnp => return self.isis(&[24, 25]),
            P::IsisPsnp => return self.isis(&[26, 27]),
            P::Link => return Err("the link layer is in every packet: what of it?".into()),
            P::Radio => return Err(format!("{} has no radio header", self.at.link_title())),
        };
        self.proto_number(of, number)
    }

    /// IS-IS with one of these types of PDU (ISO 10589 §9).
    fn isis(&mut self, types: &[u32]) -> Result<Cond, Fault> {
        let mut any = Cond::Const(false);
        for number in types {
            any = any.or(self.proto_number(Some(Proto::Isis), *number)?);
        }
        Ok(any)
    }

    pub(super) fn proto_number(&mut self, of: Option<Proto>, number: u32) -> Result<Cond, Fault> {
        match of {
            None => {
                let ip = self.proto_number(Some(Proto::Ip), number)?;
                Ok(ip.or(self.proto_number(Some(Proto::Ip6), number)?))
            }
            Some(Proto::Link) => self.at.carries(number),
            Some(Proto::Ip) => {
                let ip = self.at.carries(et::IPV4)?;
                Ok(ip.and(self.at.equal(From::Network, 9, 1, number, PROTOCOL)?))
            }
            Some(Proto::Ip6) => {
                let ip6 = self.at.carries(et::IPV6)?;
                let direct = self.at.equal(From::Network, 6, 1, number, NEXT_HEADER)?;
                let fragment = self.at.equal(From::Network, 6, 1, FRAGMENT, NEXT_HEADER)?;
                let what = "next header of the fragment header";
                let behind = self.at.equal(From::Network, 40, 1, number, what)?;
                Ok(ip6.and(direct.or(fragment.and(behind))))
            }
            Some(Proto::Iso) => {
                let iso = self.at.carries(et::SAP_ISO)?;
                let what = "ISO protocol";
                Ok(iso.and(self.at.equal(From::NetworkLlc, 0, 1, number, what)?))
            }
            Some(Proto::Isis) => {
                let isis = self.proto(Proto::Isis)?;
                let what = "type of the IS-IS PDU";
                Ok(isis.and(self.at.equal(From::NetworkLlc, 4, 1, number, what)?))
            }
            Some(_) => {
                Err("`proto` can be qualified with ether, ip, ip6, iso and isis only".into())
            }
        }
    }

    /// The packet begins its datagram.
    pub(super) fn first_fragment(&mut self) -> Result<Cond, Fault> {
        let fragment = self.at.load(From::Network, 6, 2)?;
        let offset = Operand::Number(0x1fff);
        Ok(!self
            .at
            .test(fragment, Compare::AnyBit, offset, "fragment offset"))
    }

    /// A port, or a range of them, of TCP, UDP or SCTP right behind the IP header.
    pub(super) fn ports(
        &mut self,
        proto: Option<Proto>,
        side: Side,
        first: u16,
        last: u16,
    ) -> Result<Cond, Fault> {
        let ip6 = self.ports_of(true, proto, side, (first, last))?;
        Ok(ip6.or(self.ports_of(false, proto, side, (first, last))?))
    }

    /// The same over IPv6 or over IPv4 only.
    pub(super) fn ports_of(
        &mut self,
        ip6: bool,
        proto: Option<Proto>,
        side: Side,
        range: (u16, u16),
    ) -> Result<Cond, Fault> {
        let transports: &[u32] = match proto {
            None => &[SCTP, TCP, UDP],
            Some(Proto::Tcp) => &[TCP],
            Some(Proto::Udp) => &[UDP],
            Some(Proto::Sctp) => &[SCTP],
            Some(_) => return Err("only tcp, udp and sctp have ports".into()),
        };
        let (carried, at, what) = match ip6 {
            true => (et::IPV6, 6, NEXT_HEADER),
            false => (et::IPV4, 9, PROTOCOL),
        };
        let carries = self.at.carries(carried)?;
        let mut transport = Cond::Const(false);
        for number in transports {
            transport = transport.or(self.at.equal(From::Network, at, 1, *number, what)?);
        }
        let found = carries.and(transport);
        if ip6 {
            return Ok(found.and(self.port(From::Ip6Payload, side, range)?));
        }
        let whole = self.first_fragment()?;
        Ok(found
            .and(whole)
            .and(self.port(From::Ip4Payload, side, range)?))
    }

    fn port(&mut self, from: From, side: Side, (first, last): (u16, u16)) -> Result<Cond, Fault> {
        self.sides(side, |this, is_source| {
            let (at, what) = if is_source {
                (0, "source port")
            } else {
                (2, "destination port")
            };
            let port = this.at.load(from, at, 2)?;
            let [first, last] = [first, last].map(|port| Operand::Number(port.into()));
            if first == last {
                return Ok(this.at.test(port, Compare::Equal, first, what));
            }
            let from = this.at.test(port, Compare::GreaterOrEqual, first, what);
            Ok(from.and(!this.at.test(port, Compare::Greater, last, what)))
        })
    }

    /// A protocol anywhere in the chain of headers.
    pub(super) fn proto_chain(&mut self, of: Option<Proto>, number: u32) -> Result<Cond, Fault> {
        if self.at.payload.word.is_some() {
            return Err(
                "`protochain` needs headers at a fixed place, and here only the packet tells"
                    .into(),
            );
        }
        match of {
            None => {
                let ip = self.proto_chain(Some(Proto::Ip), number)?;
                Ok(ip.or(self.proto_chain(Some(Proto::Ip6), number)?))
            }
            Some(Proto::Ip) => {
                let carries = self.at.carries(et::IPV4)?;
                let first = self.at.load(From::Network, 9, 1)?;
                let length = self.at.header_length()?;
                let [next, offset] = self.chain_words();
                let begin = self.store(next, first).and(self.store(offset, length));
                Ok(carries.and(begin).and(self.chain(number, false)?))
            }
            Some(Proto::Ip6) => {
                let carries = self.at.carries(et::IPV6)?;
                let first = self.at.load(From::Network, 6, 1)?;
                let length = self.at.number(40);
                let [next, offset] = self.chain_words();
                let begin = self.store(next, first).and(self.store(offset, length));
                Ok(carries.and(begin).and(self.chain(number, true)?))
            }
            Some(_) => Err("`protochain` can be qualified with ip and ip6 only".into()),
        }
    }

    /// The words that hold the next header's number and its offset.
    fn chain_words(&mut self) -> [u8; 2] {
        let words = *self.chain.get_or_insert([self.words, self.words + 1]);
        self.words = self.words.max(words[1] + 1);
        words
    }

    /// Follows headers that name the next one until `number` is found.
    fn chain(&mut self, number: u32, ip6: bool) -> Result<Cond, Fault> {
        let [next, offset] = self.chain_words();
        let [next_value, offset_value] = [next, offset].map(|w| self.at.values.add(Form::Word(w)));
        let behind = self.at.load_indexed(From::Network, 0, offset_value, 1)?;
        let length = self.at.load_indexed(From::Network, 1, offset_value, 1)?;
        let mut size = |more, unit| {
            let [more, unit] = [more, unit].map(|n| self.at.number(n));
            let sum = self.at.values.sum(length, more);
            self.at.values.binary(op::MUL_K, sum, unit)
        };
        // libpcap counts what follows an authentication header from the start of the packet.
        let (ah_end, extension_size) = (size(2, 4), size(1, 8));
        let extension_end = self.at.values.sum(extension_size, offset_value);
        let mut is = |number| {
            let what = "next header";
            let number = Operand::Number(number);
            self.at.test(next_value, Compare::Equal, number, what)
        };
        let wanted = is(number);
        let is_ah = is(AUTHENTICATION);
        let is_extension = is(HOP_BY_HOP)
            .or(is(DESTINATION_OPTIONS))
            .or(is(ROUTING))
            .or(is(FRAGMENT));
        let go = self.store(next, behind);
        let mut step = is_ah.and(go.clone()).and(self.store(offset, ah_end));
        if ip6 {
            let advance = go.and(self.store(offset, extension_end));
            step = is_extension.and(advance).or(step);
        }
        // From the last header to the first.
        let mut found = wanted.clone();
        for _ in 0..CHAIN {
            found = wanted.clone().or(step.clone().and(found));
        }
        Ok(found)
    }

    pub(super) fn store(&mut self, word: u8, value: super::values::Value) -> Cond {
        let note = self.at.note("where the next header begins");
        Cond::Store { word, value, note }
    }
}
