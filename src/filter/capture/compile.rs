//! The tree becomes conditions, from left to right, as each primitive may move the headers for those behind it.

use std::{net::IpAddr, ops::Range};

use super::{
    Place, Target,
    ast::{Arith, BinOp, ByteOp, Expr, Llc, Net, Proto, RelOp, Side, Test},
    graph::{Compare, Cond, Operand},
    headers::{Fault, From, Headers, ethertype as et},
    values::{Form, Value},
};
use crate::{
    bpf::{ancillary, op},
    link::LinkType,
};

/// A compiler of one program.
pub(super) struct Compiler {
    pub(super) at: Headers,
    /// Words of scratch memory that hold where headers are.
    pub(super) words: u8,
    /// The words in which `protochain` follows headers.
    pub(super) chain: Option<[u8; 2]>,
}

/// Direction of a packet that this machine sent (`PACKET_OUTGOING`).
const OUTGOING: u32 = 4;

impl Compiler {
    pub(super) fn new(target: Target) -> Result<Self, Fault> {
        Ok(Self {
            at: Headers::new(target)?,
            words: 0,
            chain: None,
        })
    }

    /// The condition of an expression, or where it has no meaning and why.
    pub(super) fn expr(&mut self, expr: &Expr) -> Result<Cond, (Range<usize>, Fault)> {
        // Expressions are long on the left, and deep only by parentheses.
        let mut rest = Vec::new();
        let mut first = expr;
        loop {
            first = match first {
                Expr::And(left, right) => {
                    rest.push((true, &**right));
                    left
                }
                Expr::Or(left, right) => {
                    rest.push((false, &**right));
                    left
                }
                _ => break,
            };
        }
        let mut cond = match first {
            Expr::Not(inner) => !self.expr(inner)?,
            Expr::Test(test, span) => {
                self.at.span = span.clone();
                self.test(test).map_err(|fault| (span.clone(), fault))?
            }
            Expr::And(..) | Expr::Or(..) => self.expr(first)?,
        };
        for (and, expr) in rest.into_iter().rev() {
            let next = self.expr(expr)?;
            cond = if and { cond.and(next) } else { cond.or(next) };
        }
        Ok(cond)
    }

    fn test(&mut self, test: &Test) -> Result<Cond, Fault> {
        match test {
            Test::Net { proto, side, nets } => self.nets(*proto, *side, nets),
            Test::Mac { side, address } => self.mac(*side, address),
            Test::Gateway { proto, mac, hosts } => self.gateway(*proto, mac, hosts),
            Test::Port { proto, side, port } => self.ports(*proto, *side, *port, *port),
            Test::PortRange {
                proto,
                side,
                first,
                last,
            } => self.ports(*proto, *side, *first, *last),
            Test::Proto(proto) => self.proto(*proto),
            Test::ProtoNumber { of, number } => self.proto_number(*of, *number),
            Test::ProtoChain { of, number } => self.proto_chain(*of, *number),
            Test::Broadcast(proto) => self.broadcast(*proto),
            Test::Multicast(proto) => self.multicast(*proto),
            Test::Less(bytes) => Ok(!self.length(Compare::Greater, *bytes)),
            Test::Greater(bytes) => Ok(self.length(Compare::GreaterOrEqual, *bytes)),
            Test::Byte { at, op, value } => self.byte(*at, *op, *value),
            Test::Inbound => Ok(!self.outgoing()?),
            Test::Outbound => self.outgoing(),
            Test::Ifindex(index) => self.interface(*index),
            Test::Vlan(id) => self.vlan(*id),
            Test::Mpls(label) => self.mpls(*label),
            Test::Pppoed => self.at.carries(et::PPPOED),
            Test::Pppoes(session) => self.pppoes(*session),
            Test::Geneve(vni) => self.geneve(*vni),
            Test::Vxlan(vni) => self.vxlan(*vni),
            Test::Llc(kind) => self.llc(*kind),
            Test::Relation { op, left, right } => self.relation(*op, left, right),
        }
    }

    fn length(&mut self, compare: Compare, bytes: u32) -> Cond {
        let length = self.at.values.add(Form::Length);
        let bytes = Operand::Number(bytes);
        self.at.test(length, compare, bytes, "length of the packet")
    }

    fn byte(&mut self, at: u32, op: ByteOp, number: u32) -> Result<Cond, Fault> {
        let what = "byte of the link layer";
        let value = self.at.load(From::Link, at, 1)?;
        let k = Operand::Number(number);
        Ok(match op {
            ByteOp::Equal => self.at.test(value, Compare::Equal, k, what),
            ByteOp::Less => !self.at.test(value, Compare::GreaterOrEqual, k, what),
            ByteOp::Greater => self.at.test(value, Compare::Greater, k, what),
            ByteOp::And => self.at.test(value, Compare::AnyBit, k, what),
            ByteOp::Or => {
                let number = self.at.number(number);
                let value = self.at.values.binary(op::OR_K, value, number);
                !self
                    .at
                    .test(value, Compare::Equal, Operand::Number(0), what)
            }
        })
    }

    /// Both sides of a test that is the same for source and destination.
    pub(super) fn sides(
        &mut self,
        side: Side,
        mut one: impl FnMut(&mut Self, bool) -> Result<Cond, Fault>,
    ) -> Result<Cond, Fault> {
        match side {
            Side::Source => one(self, true),
            Side::Destination => one(self, false),
            Side::Either => Ok(one(self, true)?.or(one(self, false)?)),
            Side::Both => Ok(one(self, true)?.and(one(self, false)?)),
        }
    }

    fn nets(&mut self, proto: Option<Proto>, side: Side, nets: &[Net]) -> Result<Cond, Fault> {
        let mut any = None;
        for net in nets {
            // Of a name's addresses, those count that the qualifier can mean.
            let other = match net {
                Net::V4 { .. } => proto == Some(Proto::Ip6),
                Net::V6 { .. } => proto == Some(Proto::Ip),
            };
            if other && nets.len() > 1 {
                continue;
            }
            let next = self.net(proto, side, net)?;
            any = Some(match any {
                Some(any) => Cond::or(any, next),
                None => next,
            });
        }
        any.ok_or_else(|| "no address that this qualifier can mean".into())
    }

    fn net(&mut self, proto: Option<Proto>, side: Side, net: &Net) -> Result<Cond, Fault> {
        match (proto, *net) {
            (None | Some(Proto::Ip | Proto::Arp | Proto::Rarp), Net::V4 { address, mask }) => {
                // Behind MPLS labels nothing but IP can be told.
                let all = proto.is_none() && self.at.labels == 0;
                let mut any = Cond::Const(false);
                if matches!(proto, None | Some(Proto::Ip)) {
                    let ip = self.at.carries(et::IPV4)?;
                    any = ip.and(self.ip4_addresses(side, [12, 16], address, mask)?);
                }
                let mut arp = Cond::Const(false);
                for (of, number) in [(Proto::Arp, et::ARP), (Proto::Rarp, et::RARP)] {
                    if all || proto == Some(of) {
                        arp = arp.or(self.at.carries(number)?);
                    }
                }
                if !matches!(arp, Cond::Const(false)) {
                    arp = arp.and(self.ip4_addresses(side, [14, 24], address, mask)?);
                }
                Ok(any.or(arp))
            }
            (None | Some(Proto::Ip6), Net::V6 { address, prefix }) => {
                let carries = self.at.carries(et::IPV6)?;
                let mask = u128::MAX
                    .checked_shl(128_u32.saturating_sub(prefix.into()))
                    .unwrap_or(0);
                Ok(carries.and(self.sides(side, |this, is_source| {
                    let (at, what) = if is_source {
                        (8, "part of the IPv6 source address")
                    } else {
                        (24, "part of the IPv6 destination address")
                    };
                    let mut all = Cond::Const(true);
                    for word in 0..4 {
                        let [number, mask] = [address & mask, mask]
                            .map(|n| (n >> (96 - 32 * word) & 0xffff_ffff) as u32);
                        let place = (From::Network, at + 4 * word, 4);
                        all = all.and(this.at.masked(place, number, mask, what)?);
                    }
                    Ok(all)
                })?))
            }
            (Some(Proto::Decnet), Net::V4 { address, .. }) => self.decnet(side, address),
            (Some(Proto::Link), _) => Err("an IP address is not one of the link layer".into()),
            (Some(Proto::Ip), _) => Err("an IPv6 address never stands in IPv4 packets".into()),
            (Some(Proto::Ip6), _) => Err("an IPv4 address never stands in IPv6 packets".into()),
            (Some(_), _) => {
                Err("an address can be looked for in ip, ip6, arp, rarp and decnet only".into())
            }
        }
    }

    /// Addresses at these places of source and destination.
    fn ip4_addresses(
        &mut self,
        side: Side,
        [source, destination]: [u32; 2],
        address: u32,
        mask: u32,
    ) -> Result<Cond, Fault> {
        self.sides(side, |this, is_source| {
            let (at, what) = match is_source {
                true => (source, "source address"),
                false => (destination, "destination address"),
            };
            this.at
                .masked((From::Network, at, 4), address & mask, mask, what)
        })
    }

    /// A DECnet node. Its address stands low byte first, in a short or a long routing header, perhaps behind a byte of padding.
    fn decnet(&mut self, side: Side, address: u32) -> Result<Cond, Fault> {
        // Of each header: size, value and mask of its flags, and where destination and source stand.
        const HEADERS: [(u8, u32, u32, u32, u32); 4] = [
            (1, 0x02, 0x07, 3, 5),
            (2, 0x8102, 0xff07, 4, 6),
            (1, 0x06, 0x07, 9, 17),
            (2, 0x8106, 0xff07, 10, 18),
        ];
        let carries = self.at.carries(et::DECNET)?;
        let number = (address & 0xff) << 8 | address >> 8 & 0xff;
        Ok(carries.and(self.sides(side, |this, is_source| {
            let mut any = Cond::Const(false);
            for (size, flags, mask, destination, source) in HEADERS {
                let place = (From::Payload, 2, size);
                let header = this.at.masked(place, flags, mask, "routing flags")?;
                let (at, what) = if is_source {
                    (source, "source node")
                } else {
                    (destination, "destination node")
                };
                any = any.or(header.and(this.at.equal(From::Payload, at, 2, number, what)?));
            }
            Ok(any)
        })?))
    }

    fn mac(&mut self, side: Side, address: &[u8; 6]) -> Result<Cond, Fault> {
        let has_header = self.has_ethernet("hardware addresses")?;
        Ok(has_header.and(self.address(side, address)?))
    }

    fn address(&mut self, side: Side, address: &[u8; 6]) -> Result<Cond, Fault> {
        self.sides(side, |this, is_source| {
            let (at, what) = if is_source {
                (6, "source hardware address")
            } else {
                (0, "destination hardware address")
            };
            this.at.bytes(From::Link, at, address, what)
        })
    }

    /// There is an Ethernet header; behind Geneve only the packet can tell.
    fn has_ethernet(&mut self, what: &str) -> Result<Cond, Fault> {
        if self.at.link != LinkType::ETHERNET {
            let title = self.at.link_title();
            return Err(format!("{title} has no {what}: only Ethernet has"));
        }
        if !self.at.geneve {
            return Ok(Cond::Const(true));
        }
        let word = |start: super::headers::Start| Form::Word(start.word.unwrap_or(0));
        let payload = self.at.values.add(word(self.at.payload));
        let header = self.at.values.add(word(self.at.header));
        Ok(!self.at.test(
            payload,
            Compare::Equal,
            Operand::Value(header),
            "an inner Ethernet header",
        ))
    }

    fn gateway(
        &mut self,
        proto: Option<Proto>,
        mac: &[u8; 6],
        hosts: &[IpAddr],
    ) -> Result<Cond, Fault> {
        if !matches!(proto, None | Some(Proto::Ip | Proto::Arp | Proto::Rarp)) {
            return Err("`gateway` can be qualified with ip, arp and rarp only".into());
        }
        let frame = self.mac(Side::Either, mac)?;
        let mut any = None;
        for host in hosts {
            let IpAddr::V4(host) = host else { continue };
            let net = Net::V4 {
                address: host.to_bits(),
                mask: u32::MAX,
            };
            let next = self.net(proto, Side::Either, &net)?;
            any = Some(match any {
                Some(any) => Cond::or(any, next),
                None => next,
            });
        }
        let any = any.ok_or("`gateway` needs a host with an IPv4 address")?;
        Ok(frame.and(!any))
    }

    fn broadcast(&mut self, proto: Option<Proto>) -> Result<Cond, Fault> {
        match proto {
            None | Some(Proto::Link) => {
                let has_header = self.has_ethernet("broadcast address")?;
                Ok(has_header.and(self.address(Side::Destination, &[0xff; 6])?))
            }
            Some(Proto::Ip) => {
                let netmask = self.at.target.netmask.ok_or(
                    "`ip broadcast` needs the netmask of an interface, and none is known here",
                )?;
                let hosts = !netmask;
                let what = "host part of the destination address";
                let place = (From::Network, 16, 4);
                let carries = self.at.carries(et::IPV4)?;
                let none = self.at.masked(place, 0, hosts, what)?;
                Ok(carries.and(none.or(self.at.masked(place, hosts, hosts, what)?)))
            }
            Some(_) => Err("`broadcast` can be qualified with ether and ip only".into()),
        }
    }

    fn multicast(&mut self, proto: Option<Proto>) -> Result<Cond, Fault> {
        match proto {
            None | Some(Proto::Link) => {
                let has_header = self.has_ethernet("multicast addresses")?;
                let first = self.at.load(From::Link, 0, 1)?;
                let what = "group bit of the destination";
                let group = Operand::Number(1);
                Ok(has_header.and(self.at.test(first, Compare::AnyBit, group, what)))
            }
            Some(Proto::Ip) => {
                let carries = self.at.carries(et::IPV4)?;
                let first = self.at.load(From::Network, 16, 1)?;
                let (compare, group) = (Compare::GreaterOrEqual, Operand::Number(224));
                let what = "first byte of the destination address";
                Ok(carries.and(self.at.test(first, compare, group, what)))
            }
            Some(Proto::Ip6) => {
                let carries = self.at.carries(et::IPV6)?;
                let what = "first byte of the destination address";
                Ok(carries.and(self.at.equal(From::Network, 24, 1, 255, what)?))
            }
            Some(_) => Err("`multicast` can be qualified with ether, ip and ip6 only".into()),
        }
    }

    fn outgoing(&mut self) -> Result<Cond, Fault> {
        let what = "direction";
        match self.at.link {
            LinkType::LINUX_SLL => self.at.equal(From::Link, 0, 2, OUTGOING, what),
            LinkType::LINUX_SLL2 => self.at.equal(From::Link, 10, 1, OUTGOING, what),
            _ => {
                let direction = self.at.ancillary(ancillary::PACKET_TYPE, 2);
                let outgoing = Operand::Number(OUTGOING);
                Ok(self.at.test(direction, Compare::Equal, outgoing, what))
            }
        }
    }

    fn interface(&mut self, index: u32) -> Result<Cond, Fault> {
        let what = "number of the interface";
        if self.at.link == LinkType::LINUX_SLL2 {
            return self.at.equal(From::Link, 4, 4, index, what);
        }
        if self.at.target.place == Place::Frame {
            let title = self.at.link_title();
            return Err(format!(
                "{title} in a file does not tell the number of the interface"
            ));
        }
        let number = self.at.ancillary(ancillary::IFINDEX, 4);
        let index = Operand::Number(index);
        Ok(self.at.test(number, Compare::Equal, index, what))
    }

    fn llc(&mut self, kind: Llc) -> Result<Cond, Fault> {
        if self.at.link != LinkType::ETHERNET {
            return Err(format!("{} has no LLC header", self.at.link_title()));
        }
        let length = self.at.is_length()?;
        // Raw IPX has 0xffff where others have their service access points.
        let raw = self
            .at
            .equal(From::Payload, 0, 2, 0xffff, "DSAP and SSAP")?;
        let llc = length.and(!raw);
        let (number, mask) = match kind {
            Llc::Any => return Ok(llc),
            Llc::Information => (0, 0x01),
            Llc::Supervisory => (1, 0x03),
            Llc::Unnumbered => (3, 0x03),
            Llc::SupervisoryType(number) => (number, 0x0f),
            Llc::UnnumberedType(number) => (number, 0xef),
        };
        let place = (From::Payload, 2, 1);
        Ok(llc.and(self.at.masked(place, number, mask, "LLC control field")?))
    }

    fn relation(&mut self, op: RelOp, left: &Arith, right: &Arith) -> Result<Cond, Fault> {
        let (left, left_guard) = self.arith(left)?;
        let (right, right_guard) = self.arith(right)?;
        let (compare, negated) = match op {
            RelOp::Equal => (Compare::Equal, false),
            RelOp::NotEqual => (Compare::Equal, true),
            RelOp::Greater => (Compare::Greater, false),
            RelOp::GreaterOrEqual => (Compare::GreaterOrEqual, false),
            RelOp::Less => (Compare::GreaterOrEqual, true),
            RelOp::LessOrEqual => (Compare::Greater, true),
        };
        let test = self
            .at
            .test(left, compare, Operand::Value(right), "this value");
        let guards = left_guard.and(right_guard);
        Ok(guards.and(if negated { !test } else { test }))
    }

    /// A number, and the condition under which it means anything.
    fn arith(&mut self, arith: &Arith) -> Result<(Value, Cond), Fault> {
        let always = Cond::Const(true);
        match arith {
            Arith::Number(number) => Ok((self.at.number(*number), always)),
            Arith::Length => Ok((self.at.values.add(Form::Length), always)),
            Arith::Load { proto, at, size } => self.packet_load(*proto, at, *size),
            Arith::Negate(inner) => {
                let (value, guard) = self.arith(inner)?;
                Ok((self.at.values.negate(value), guard))
            }
            Arith::Binary { op, left, right } => {
                let (left, guard) = self.arith(left)?;
                // The right side is computed unguarded, as libpcap has it.
                let (right, _) = self.arith(right)?;
                let code = match op {
                    BinOp::Add => op::ADD_K,
                    BinOp::Sub => op::SUB_K,
                    BinOp::Mul => op::MUL_K,
                    BinOp::Div => op::DIV_K,
                    BinOp::Mod => op::MOD_K,
                    BinOp::And => op::AND_K,
                    BinOp::Or => op::OR_K,
                    BinOp::Xor => op::XOR_K,
                    BinOp::ShiftLeft => op::LSH_K,
                    BinOp::ShiftRight => op::RSH_K,
                };
                match (op, self.at.values.number(right)) {
                    (BinOp::Div | BinOp::Mod, Some(0)) => Err("division by zero".into()),
                    (BinOp::ShiftLeft | BinOp::ShiftRight, Some(32..)) => {
                        Err("a number has 32 bits: it can be shifted by at most 31".into())
                    }
                    _ => Ok((self.at.values.binary(code, left, right), guard)),
                }
            }
        }
    }

    fn packet_load(&mut self, proto: Proto, at: &Arith, size: u8) -> Result<(Value, Cond), Fault> {
        let (index, guard) = self.arith(at)?;
        use Proto as P;
        let (from, guard) = match proto {
            P::Link => (From::Link, guard),
            P::Ip | P::Ip6 | P::Arp | P::Rarp | P::Atalk | P::Decnet | P::Lat | P::Sca
            | P::Moprc | P::Mopdl => (From::Network, guard.and(self.proto(proto)?)),
            P::Tcp | P::Udp | P::Sctp | P::Icmp | P::Igmp | P::Igrp | P::Pim | P::Vrrp
            | P::Carp => {
                let ip = self.at.carries(et::IPV4)?;
                let transport = self.proto(proto)?;
                let first = self.first_fragment()?;
                (
                    From::Ip4Payload,
                    ip.and(guard.and(transport.and(first))),
                )
            }
            P::Icmp6 => {
                let ip6 = self.at.carries(et::IPV6)?;
                let next = self.at.equal(From::Network, 6, 1, 58, NEXT_HEADER)?;
                (From::Ip6Payload, guard.and(ip6).and(next))
            }
            P::Radio => return Err(format!("{} has no radio header", self.at.link_title())),
            _ => return Err("bytes of this protocol cannot be read; `ether[…]`, `ip[…]`, `ip6[…]`, `arp[…]`, `tcp[…]`, `udp[…]`, `icmp[…]` and `icmp6[…]` can".into()),
        };
        Ok((self.at.load_indexed(from, 0, index, size)?, guard))
    }
}

pub(super) const NEXT_HEADER: &str = "next header of the IPv6 header";
