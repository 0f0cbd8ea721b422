//! Identifiers behind their qualifiers: addresses, networks, ports, protocols, and the names of each.

use std::net::IpAddr;

use super::{Is, Parsed, Parser, Part, Qualifiers, advice, hint, near};
use crate::filter::{
    FilterError, Service,
    capture::{
        ast::{Expr, Net, Proto, Side, Test},
        words::{self, Kind, Word},
    },
};

impl<'a> Parser<'a> {
    /// Direction and type, then the identifiers that they are for.
    pub(super) fn head(
        &mut self,
        depth: usize,
        proto: Option<Proto>,
        start: usize,
    ) -> Parsed<Part> {
        let side = self.side();
        let kind = match *self.peek() {
            Is::Word(Word::Kind(Kind::Proto | Kind::ProtoChain) | Word::Gateway)
                if side.is_some() =>
            {
                return Err(self.fault(format!("{} has no src or dst", self.token().text)));
            }
            Is::Word(Word::Kind(kind)) => Some(kind),
            Is::Word(Word::Gateway) => Some(Kind::Gateway),
            _ => None,
        };
        self.next += usize::from(kind.is_some());
        let qualifiers = Qualifiers {
            proto,
            side: side.unwrap_or(Side::Either),
            kind: kind.unwrap_or(Kind::Host),
        };
        let expr = self.identifier(depth, qualifiers, start)?;
        Ok((expr, Some(qualifiers)))
    }

    fn side(&mut self) -> Option<Side> {
        let (first, other) = match self.peek() {
            Is::Word(Word::Source) => (Side::Source, Word::Destination),
            Is::Word(Word::Destination) => (Side::Destination, Word::Source),
            _ => return None,
        };
        self.next += 1;
        let side = match self.peek() {
            Is::Word(Word::Or) => Side::Either,
            Is::Word(Word::And) => Side::Both,
            _ => return Some(first),
        };
        if self.ahead(1).kind != Is::Word(other) {
            return Some(first);
        }
        self.next += 2;
        Some(side)
    }

    /// One identifier, `not` one, or several in parentheses; `start` is where its primitive begins.
    pub(super) fn identifier(
        &mut self,
        depth: usize,
        qualifiers: Qualifiers,
        start: usize,
    ) -> Parsed<Expr> {
        if self.accept(&Is::Word(Word::Not)) {
            let depth = self.deeper(depth)?;
            let inner = self.identifier(depth, qualifiers, self.next)?;
            return Ok(Expr::Not(Box::new(inner)));
        }
        if self.accept(&Is::Open) {
            let depth = self.deeper(depth)?;
            let mut left = self.identifier(depth, qualifiers, self.next)?;
            while let Some(make) = self.junction() {
                let right = self.identifier(depth, qualifiers, self.next)?;
                left = make(Box::new(left), Box::new(right));
            }
            self.close()?;
            return Ok(left);
        }
        self.count()?;
        let test = self.one(qualifiers)?;
        Ok(self.test(test, start))
    }

    fn one(&mut self, q: Qualifiers) -> Parsed<Test> {
        match *self.peek() {
            Is::Number(number) => self.numeric(q, number),
            Is::Dotted => self.dotted(q),
            Is::Ipv6(address) => self.ipv6(q, address),
            Is::Mac(address) => match (q.proto, q.kind) {
                (Some(Proto::Link), Kind::Host) => {
                    self.next += 1;
                    Ok(Test::Mac {
                        side: q.side,
                        address,
                    })
                }
                _ => Err(self.fault(format!(
                    "{} is a hardware address: write ether host before it",
                    self.token().text
                ))),
            },
            Is::Name => self.name(q),
            Is::Word(Word::Foreign(_)) => Err(self.expected("")),
            Is::Word(_) if matches!(q.kind, Kind::Proto | Kind::ProtoChain) => {
                let text = self.token().text;
                Err(self.fault(format!(
                    "{text} is a word of filters: write \\{text} where its protocol is meant"
                )))
            }
            _ => Err(self.expected(match q.kind {
                Kind::Host => "a host (such as 10.0.0.1)",
                Kind::Net => "a network (such as 10.0.0.0/8)",
                Kind::Port => "a port (such as 80)",
                Kind::PortRange => "two ports, such as 5000-5010",
                Kind::Proto | Kind::ProtoChain => "a protocol, by number or name",
                Kind::Gateway => "the name of a gateway",
            })),
        }
    }

    fn numeric(&mut self, q: Qualifiers, number: u32) -> Parsed<Test> {
        let test = match q.kind {
            Kind::Host => self.v4(q, number, u32::MAX)?,
            Kind::Net => {
                if self.ahead(1).text == "/" {
                    let text = self.token().text;
                    return Err(
                        self.fault(format!("a network with a length has dots: {text}.0.0.0"))
                    );
                }
                // As many octets as are not zero, from the left.
                let zeros = match (q.proto, number) {
                    (Some(Proto::Decnet), _) | (_, 0) => 0,
                    _ => number.leading_zeros() / 8 * 8,
                };
                self.v4(q, number << zeros, u32::MAX << zeros)?
            }
            Kind::Port | Kind::PortRange => {
                let proto = self.transport(q)?;
                let port = self.port_number(number)?;
                ports(q, proto, port, port)
            }
            Kind::Proto => self.protocol(q, number)?,
            Kind::ProtoChain => self.chain(q, number)?,
            Kind::Gateway => return Err(self.fault("a gateway is named, not numbered".into())),
        };
        self.next += 1;
        Ok(test)
    }

    /// One IPv4 network, if the protocol has such addresses.
    fn v4(&self, q: Qualifiers, address: u32, mask: u32) -> Parsed<Test> {
        match q.proto {
            None | Some(Proto::Ip | Proto::Arp | Proto::Rarp | Proto::Decnet) => Ok(Test::Net {
                proto: q.proto,
                side: q.side,
                nets: vec![Net::V4 { address, mask }],
            }),
            Some(proto) => Err(self.no_end(proto)),
        }
    }

    /// The protocol has no addresses of the kind that follows.
    fn no_end(&self, proto: Proto) -> FilterError {
        let (name, text) = (words::name_of(proto), self.token().text);
        self.fault(match (proto, self.peek()) {
            (Proto::Link, _) => format!("{text} is no hardware address: leave ether out, or give one such as 00:11:22:33:44:55"),
            (Proto::Ip6, Is::Dotted | Is::Number(_)) => format!("{text} is an IPv4 address: write ip or nothing instead of ip6"),
            (Proto::Ip | Proto::Arp | Proto::Rarp, Is::Ipv6(_)) => format!("{text} is an IPv6 address: write ip6 or nothing instead of {name}"),
            _ => format!("hosts are told apart by ip, ip6 and arp: write {name} and host {text}"),
        })
    }

    fn dotted(&mut self, q: Qualifiers) -> Parsed<Test> {
        let text = self.token().text;
        let by_mask = match self.ahead(1).kind {
            Is::Arith(_) => self.ahead(1).text == "/",
            Is::Word(Word::Mask) => true,
            _ => false,
        };
        let wrong = match q.kind {
            Kind::Host | Kind::Gateway if by_mask => Some("net"),
            Kind::Host | Kind::Net => None,
            _ => Some("host"),
        };
        if let Some(right) = wrong {
            return Err(self.fault(match right {
                "net" => format!("{text} has a mask, so it is a network: write net, not host"),
                _ => format!("{text} is an address: write {right} before it"),
            }));
        }
        if by_mask && q.proto == Some(Proto::Decnet) {
            return Err(self.fault("addresses of DECnet have no mask".into()));
        }
        let (address, own) = match q.proto {
            Some(Proto::Decnet) => (decnet(text), u32::MAX),
            _ => self.octets()?,
        };
        let masked = self.ahead(1).text == "/";
        if !by_mask {
            let test = self.v4(q, address, own)?;
            self.next += 1;
            return Ok(test);
        }
        let test_at = self.next;
        self.next += 2;
        let mask = match (self.peek(), masked) {
            (&Is::Number(length @ 0..=32), true) => u32::MAX.checked_shl(32 - length).unwrap_or(0),
            (Is::Number(_), true) => {
                return Err(self.fault("a network of IPv4 has at most 32 bits".into()));
            }
            (Is::Dotted, false) => self.octets()?.0,
            (_, true) => return Err(self.expected("a number of bits")),
            (_, false) => return Err(self.expected("a mask such as 255.255.255.0")),
        };
        let after = self.next + 1;
        self.next = test_at;
        if address & !mask != 0 {
            let network = std::net::Ipv4Addr::from_bits(address & mask);
            return Err(self.fault(format!(
                "{text} has bits outside the network: write {network}"
            )));
        }
        let test = self.v4(q, address, mask)?;
        self.next = after;
        Ok(test)
    }

    /// Two to four octets, the rest zero, and the mask of those given.
    fn octets(&self) -> Parsed<(u32, u32)> {
        let text = self.token().text;
        let (mut address, mut count) = (0, 0);
        for part in text.split('.') {
            let octet = part.parse::<u8>().map_err(|_| {
                self.fault(format!("{text} is no IPv4 address: {part} is not 0 to 255"))
            })?;
            address = address << 8 | u32::from(octet);
            count += 1;
        }
        let zeros = 32 - 8 * count;
        Ok((address << zeros, u32::MAX << zeros))
    }

    fn ipv6(&mut self, q: Qualifiers, address: u128) -> Parsed<Test> {
        let text = self.token().text;
        if !matches!(q.kind, Kind::Host | Kind::Net) {
            return Err(self.fault(format!("{text} is an address: write host before it")));
        }
        if !matches!(q.proto, None | Some(Proto::Ip6)) {
            return Err(self.no_end(q.proto.unwrap_or(Proto::Ip6)));
        }
        let at = self.next;
        self.next += 1;
        let mut prefix = 128;
        if self.token().text == "/" {
            self.next += 1;
            prefix = match *self.peek() {
                Is::Number(length @ 0..=128) => length as u8,
                Is::Number(_) => {
                    return Err(self.fault("a network of IPv6 has at most 128 bits".into()));
                }
                _ => return Err(self.expected("a number of bits")),
            };
            self.next += 1;
        } else if *self.peek() == Is::Word(Word::Mask) {
            return Err(self.fault("IPv6 networks have a length: write /64 instead of mask".into()));
        }
        let after = std::mem::replace(&mut self.next, at);
        if q.kind == Kind::Host && prefix != 128 {
            return Err(self.fault(format!("{text}/{prefix} is a network: write net before it")));
        }
        let mask = u128::MAX.checked_shl(128 - u32::from(prefix)).unwrap_or(0);
        if address & !mask != 0 {
            let network = std::net::Ipv6Addr::from_bits(address & mask);
            return Err(self.fault(format!(
                "{text} has bits outside the network: write {network}"
            )));
        }
        self.next = after;
        Ok(Test::Net {
            proto: q.proto,
            side: q.side,
            nets: vec![Net::V6 { address, prefix }],
        })
    }

    fn name(&mut self, q: Qualifiers) -> Parsed<Test> {
        let token = self.token();
        let text = token.text;
        if text.contains('.')
            && let Some(advice) = advice::advice(&self.expression[token.byte..])
        {
            return Err(self.fault(advice));
        }
        let test = match q.kind {
            Kind::Host => self.host(q)?,
            Kind::Net => {
                let Some((address, length)) = self.names.network(text) else {
                    return Err(self.fault(format!(
                        "no network is named {text}: give its address, such as 10.0.0.0/8"
                    )));
                };
                let mask = u32::MAX
                    .checked_shl(32 - u32::from(length.min(32)))
                    .unwrap_or(0);
                self.v4(q, address.to_bits(), mask)?
            }
            Kind::Port => {
                let proto = self.transport(q)?;
                let (port, only) = self.service(text, q.proto)?;
                ports(q, only.or(proto), port, port)
            }
            Kind::PortRange => self.port_range(q)?,
            Kind::Proto | Kind::ProtoChain => self.protocol_name(q)?,
            Kind::Gateway => self.gateway(q)?,
        };
        self.next += 1;
        Ok(test)
    }

    fn host(&self, q: Qualifiers) -> Parsed<Test> {
        let text = self.token().text;
        match q.proto {
            None | Some(Proto::Ip | Proto::Ip6 | Proto::Arp | Proto::Rarp) => {}
            Some(Proto::Link) => {
                let Some(address) = self.names.ether(text) else {
                    return Err(self.fault(format!("no hardware address is known for {text}: give one such as 00:11:22:33:44:55")));
                };
                return Ok(Test::Mac {
                    side: q.side,
                    address,
                });
            }
            Some(proto) => return Err(self.no_end(proto)),
        }
        let addresses = self.names.host(text);
        if addresses.is_empty() {
            let hint = hint(near(text, words::all()));
            return Err(self.fault(format!(
                "{text} is neither a word of filters nor a host that can be found{hint}"
            )));
        }
        let nets: Vec<Net> = addresses
            .into_iter()
            .filter(|address| match q.proto {
                None => true,
                Some(Proto::Ip6) => address.is_ipv6(),
                Some(_) => address.is_ipv4(),
            })
            .map(whole)
            .collect();
        if nets.is_empty() {
            let name = q.proto.map_or("", words::name_of);
            return Err(self.fault(format!("{text} has no address for {name}")));
        }
        Ok(Test::Net {
            proto: q.proto,
            side: q.side,
            nets,
        })
    }

    fn gateway(&self, q: Qualifiers) -> Parsed<Test> {
        let text = self.token().text;
        if !matches!(q.proto, None | Some(Proto::Ip | Proto::Arp | Proto::Rarp)) {
            return Err(self.fault("gateway stands alone, or after ip, arp or rarp".into()));
        }
        let Some(mac) = self.names.ether(text) else {
            return Err(self.fault(format!("no hardware address is known for {text}: write ether host ADDRESS and not host {text}")));
        };
        let hosts = self.names.host(text);
        if hosts.is_empty() {
            return Err(self.fault(format!("{text} is no host that can be found")));
        }
        Ok(Test::Gateway {
            proto: q.proto,
            mac,
            hosts,
        })
    }

    /// The qualifier of a port, if it has ports.
    fn transport(&self, q: Qualifiers) -> Parsed<Option<Proto>> {
        match q.proto {
            None | Some(Proto::Tcp | Proto::Udp | Proto::Sctp) => Ok(q.proto),
            Some(proto @ (Proto::Ip | Proto::Ip6)) => Err(self.fault(format!(
                "only tcp, udp and sctp have ports: write {} and port {}",
                words::name_of(proto),
                self.token().text
            ))),
            Some(_) => Err(self.fault("only tcp, udp and sctp have ports".into())),
        }
    }

    fn port_number(&self, number: u32) -> Parsed<u16> {
        number
            .try_into()
            .map_err(|_| self.fault(format!("{number} is no port: ports go from 0 to 65535")))
    }

    /// The port of a service, and the protocol where it is a port of that one only. A name that has different ports
    /// over TCP and UDP means the one over TCP, as in libpcap.
    fn service(&self, name: &str, proto: Option<Proto>) -> Parsed<(u16, Option<Proto>)> {
        if let Ok(number) = name.parse() {
            return Ok((self.port_number(number)?, None));
        }
        let over = |service| self.names.port(name, service);
        let (tcp, udp) = (over(Service::Tcp), over(Service::Udp));
        let found = match proto {
            Some(Proto::Tcp) => tcp.map(|port| (port, None)),
            Some(Proto::Udp) => udp.map(|port| (port, None)),
            Some(Proto::Sctp) => {
                let both = tcp.filter(|_| tcp == udp);
                over(Service::Sctp).or(both).map(|port| (port, None))
            }
            _ => match (tcp, udp) {
                (Some(port), Some(other)) if port == other => Some((port, None)),
                (Some(port), _) => Some((port, Some(Proto::Tcp))),
                (None, Some(port)) => Some((port, Some(Proto::Udp))),
                (None, None) => over(Service::Sctp).map(|port| (port, Some(Proto::Sctp))),
            },
        };
        if let Some(found) = found {
            return Ok(found);
        }
        let other = match (tcp, udp) {
            (Some(port), _) => format!("it is tcp port {port}"),
            (None, Some(port)) => format!("it is udp port {port}"),
            (None, None) => {
                let ends = name.split_once('-');
                let is_number = |end: &str| end.parse::<u16>().is_ok();
                if ends.is_some_and(|(a, b)| is_number(a) && is_number(b)) {
                    return Err(self.fault(format!("several ports: write portrange {name}")));
                }
                let hint = hint(near(name, words::all()));
                return Err(self.fault(format!(
                    "no service is named {name}; give the port's number{hint}"
                )));
            }
        };
        let proto = proto.map_or("", words::name_of);
        Err(self.fault(format!("{name} is no service of {proto}: {other}")))
    }

    fn port_range(&self, q: Qualifiers) -> Parsed<Test> {
        let proto = self.transport(q)?;
        let Some((first, last)) = self.token().text.split_once('-') else {
            return Err(self.fault("expected two ports, such as 5000-5010".into()));
        };
        let (first, one) = self.service(first, q.proto)?;
        let (last, other) = self.service(last, q.proto)?;
        let only = one.filter(|_| one == other);
        Ok(ports(q, only.or(proto), first.min(last), first.max(last)))
    }

    fn protocol_name(&self, q: Qualifiers) -> Parsed<Test> {
        let text = self.token().text;
        let number = match q.proto {
            None | Some(Proto::Ip | Proto::Ip6) => self.names.protocol(text).map(u32::from),
            Some(Proto::Link) => words::ether_protocol(text),
            Some(Proto::Iso) => words::iso_protocol(text),
            Some(_) => None,
        };
        let Some(number) = number else {
            return Err(self.fault(format!("no protocol is named {text} here; give its number")));
        };
        match q.kind {
            Kind::ProtoChain => self.chain(q, number),
            _ => self.protocol(q, number),
        }
    }

    fn protocol(&self, q: Qualifiers, number: u32) -> Parsed<Test> {
        match q.proto {
            None | Some(Proto::Link | Proto::Ip | Proto::Ip6 | Proto::Iso | Proto::Isis) => {
                Ok(Test::ProtoNumber {
                    of: q.proto,
                    number,
                })
            }
            Some(proto) => Err(self.fault(format!(
                "proto stands alone, or after ether, ip, ip6, iso or isis, not after {}",
                words::name_of(proto)
            ))),
        }
    }

    fn chain(&self, q: Qualifiers, number: u32) -> Parsed<Test> {
        match q.proto {
            None | Some(Proto::Ip | Proto::Ip6) => Ok(Test::ProtoChain {
                of: q.proto,
                number,
            }),
            Some(_) => Err(self.fault("protochain stands alone, or after ip or ip6".into())),
        }
    }
}

fn ports(q: Qualifiers, proto: Option<Proto>, first: u16, last: u16) -> Test {
    let side = q.side;
    match q.kind {
        Kind::Port => Test::Port {
            proto,
            side,
            port: first,
        },
        _ => Test::PortRange {
            proto,
            side,
            first,
            last,
        },
    }
}

/// A DECnet address, `AREA.NODE`: six bits and ten.
fn decnet(text: &str) -> u32 {
    let mut parts = text.split('.').map(|part| part.parse().unwrap_or(0u32));
    let (area, node) = (parts.next().unwrap_or(0), parts.next().unwrap_or(0));
    (area & 0x3f) << 10 | node & 0x3ff
}

/// The network of one address.
fn whole(address: IpAddr) -> Net {
    match address {
        IpAddr::V4(address) => Net::V4 {
            address: address.to_bits(),
            mask: u32::MAX,
        },
        IpAddr::V6(address) => Net::V6 {
            address: address.to_bits(),
            prefix: 128,
        },
    }
}
