//! A capture filter in plain words, so that its reader sees what it says and not what was meant.

use std::{
    fmt::Write as _,
    net::{Ipv4Addr, Ipv6Addr},
};

use super::{
    CaptureFilter,
    ast::{Arith, BinOp, ByteOp, Expr, Llc, Net, Proto, RelOp, Side, Test},
};
use crate::{proto, protocol::Claim, text::Mac};

/// The bits of byte 13 of a TCP header (RFC 9293 §3.1).
const TCP_FLAGS: [&str; 8] = ["FIN", "SYN", "RST", "PSH", "ACK", "URG", "ECE", "CWR"];

/// Bytes that pcap-filter has names for.
const NAMED: [(Proto, u32, &str); 5] = [
    (Proto::Tcp, 13, "TCP flags"),
    (Proto::Icmp, 0, "ICMP type"),
    (Proto::Icmp, 1, "ICMP code"),
    (Proto::Icmp6, 0, "ICMPv6 type"),
    (Proto::Icmp6, 1, "ICMPv6 code"),
];

/// Control fields of LLC frames (ISO 8802-2 §5.4).
const LLC: [(u32, &str); 11] = [
    (0x01, "receive ready"),
    (0x05, "receive not ready"),
    (0x09, "reject"),
    (0x03, "unnumbered information"),
    (0x63, "unnumbered acknowledgement"),
    (0x43, "disconnect"),
    (0x6f, "set asynchronous balanced mode extended"),
    (0xe3, "test"),
    (0xaf, "exchange identification"),
    (0x87, "frame reject"),
    (0x0f, "disconnected mode"),
];

impl CaptureFilter {
    /// What the filter takes, in words: one line for each part, two spaces deeper below "all of", "one of" and the like.
    pub fn words(&self) -> String {
        let mut out = String::new();
        match &self.root {
            None => out.push_str("every packet\n"),
            Some(root) => write_expr(root, 0, "", &mut out),
        }
        out
    }
}

/// Writes `expr` at `depth`; `before` stands in front of its first line.
fn write_expr(expr: &Expr, depth: usize, before: &str, out: &mut String) {
    let (heading, parts) = match expr {
        Expr::Test(test, _) => return line(depth, before, &words(test), out),
        Expr::And(..) => ("all of:", list(expr)),
        Expr::Or(..) => ("one of:", list(expr)),
        Expr::Not(inner) => match **inner {
            Expr::Or(..) => ("none of:", list(inner)),
            Expr::And(..) => ("not all of:", list(inner)),
            _ => return write_expr(inner, depth, &format!("{before}not "), out),
        },
    };
    let parts = match heading {
        "one of:" | "none of:" => merged(&parts),
        _ => parts.into_iter().map(Part::Expr).collect(),
    };
    if let ("one of:", [Part::Words(words)]) = (heading, &parts[..]) {
        return line(depth, before, words, out);
    }
    line(depth, before, heading, out);
    for part in parts {
        match part {
            Part::Expr(part) => write_expr(part, depth + 1, "", out),
            Part::Words(words) => line(depth + 1, "", &words, out),
        }
    }
}

fn line(depth: usize, before: &str, words: &str, out: &mut String) {
    // Writing to a String cannot fail.
    let _ = writeln!(out, "{:1$}{before}{words}", "", depth * 2);
}

/// One entry of a list.
enum Part<'a> {
    Expr(&'a Expr),
    /// Neighbours said at once.
    Words(String),
}

/// What one operator joins: the tree leans to the left, where `a and b and c` is `(a and b) and c`.
fn list(mut expr: &Expr) -> Vec<&Expr> {
    let is_and = matches!(expr, Expr::And(..));
    let mut parts = Vec::new();
    loop {
        match expr {
            Expr::And(left, right) if is_and => {
                parts.push(&**right);
                expr = left;
            }
            Expr::Or(left, right) if !is_and => {
                parts.push(&**right);
                expr = left;
            }
            _ => break,
        }
    }
    parts.push(expr);
    parts.reverse();
    parts
}

/// Neighbours that differ only in their value become one: "TCP to port 80 or 443".
fn merged<'a>(parts: &[&'a Expr]) -> Vec<Part<'a>> {
    let mut found = Vec::new();
    let mut last: Option<String> = None;
    for &part in parts {
        let valued = match part {
            Expr::Test(test, _) => valued(test),
            _ => None,
        };
        let Some((head, value)) = valued else {
            found.push(Part::Expr(part));
            last = None;
            continue;
        };
        match found.last_mut() {
            Some(Part::Words(words)) if last.as_ref() == Some(&head) => {
                words.push_str(" or ");
                words.push_str(&value);
            }
            _ => found.push(Part::Words(head.clone() + &value)),
        }
        last = Some(head);
    }
    found
}

/// A primitive in words.
fn words(test: &Test) -> String {
    if let Some((head, value)) = valued(test) {
        return head + &value;
    }
    let id = |what: &str, name: &str, id: &Option<u32>| match id {
        Some(id) => format!("{what} with {name} {id}"),
        None => what.to_owned(),
    };
    match test {
        Test::Net { proto, side, nets } => {
            // Of both families: those that a name has.
            let (v4, v6): (Vec<Net>, Vec<Net>) =
                nets.iter().partition(|net| matches!(net, Net::V4 { .. }));
            let families = [v4, v6].into_iter().filter_map(|nets| {
                let (proto, side) = (*proto, *side);
                let (head, value) = valued(&Test::Net { proto, side, nets })?;
                Some(head + &value)
            });
            families.collect::<Vec<_>>().join(", or ")
        }
        Test::Gateway { mac, hosts, .. } => {
            let hosts: Vec<String> = hosts.iter().map(ToString::to_string).collect();
            format!(
                "from or to hardware address {}, but neither from nor to {}",
                Mac(*mac),
                hosts.join(" or ")
            )
        }
        Test::Proto(proto) => alone(*proto),
        Test::ProtoChain { of, number } => format!(
            "IP protocol {}, over {}, behind any extension headers",
            named("ip.proto", (*number).into()),
            over(*of)
        ),
        Test::Broadcast(Some(Proto::Ip)) => "IPv4 to a broadcast address".to_owned(),
        Test::Broadcast(_) => "to the hardware address of all (broadcast)".to_owned(),
        Test::Multicast(Some(Proto::Ip)) => "IPv4 to a multicast address".to_owned(),
        Test::Multicast(Some(Proto::Ip6)) => "IPv6 to a multicast address".to_owned(),
        Test::Multicast(_) => {
            "to a hardware address of many (multicast, also broadcast)".to_owned()
        }
        Test::Less(bytes) => format!("at most {bytes} bytes long"),
        Test::Greater(bytes) => format!("at least {bytes} bytes long"),
        Test::Byte { at, op, value } => match op {
            ByteOp::Equal => format!("byte {at} of the frame is {value}"),
            ByteOp::Less => format!("byte {at} of the frame is below {value}"),
            ByteOp::Greater => format!("byte {at} of the frame is above {value}"),
            ByteOp::And => format!("byte {at} of the frame has one of the bits 0x{value:x}"),
            ByteOp::Or => format!("byte {at} of the frame, or {value}, is not 0"),
        },
        Test::Inbound => "received by the host that captured".to_owned(),
        Test::Outbound => "sent by the host that captured".to_owned(),
        Test::Ifindex(index) => format!("on interface number {index}"),
        Test::Vlan(tag) => id("a VLAN tag", "ID", tag),
        Test::Mpls(label) => id("an MPLS header", "label", label),
        Test::Pppoed => "PPPoE discovery".to_owned(),
        Test::Pppoes(session) => id("PPPoE", "session", session),
        Test::Geneve(vni) => id("Geneve (UDP port 6081)", "VNI", vni),
        Test::Vxlan(vni) => id("VXLAN (UDP port 4789)", "VNI", vni),
        Test::Llc(llc) => llc_words(*llc),
        Test::Relation { op, left, right } => {
            let op = match op {
                RelOp::Equal => "is",
                RelOp::NotEqual => "is not",
                RelOp::Greater => "is above",
                RelOp::Less => "is below",
                RelOp::GreaterOrEqual => "is at least",
                RelOp::LessOrEqual => "is at most",
            };
            let flags = speaks_of_flags(left) || speaks_of_flags(right);
            let (mut text, mut other) = (String::new(), String::new());
            arith(left, flags, 0, &mut text);
            arith(right, flags, 0, &mut other);
            format!("{text} {op} {other}")
        }
        // `valued` said these.
        Test::Mac { .. }
        | Test::Port { .. }
        | Test::PortRange { .. }
        | Test::ProtoNumber { .. } => String::new(),
    }
}

/// Primitives that end with a value: the words before it, and the value. `None` for all others.
fn valued(test: &Test) -> Option<(String, String)> {
    Some(match test {
        Test::Net { proto, side, nets } => {
            let is_v4 = matches!(nets.first(), Some(Net::V4 { .. }));
            if nets.is_empty() || nets.iter().any(|n| matches!(n, Net::V4 { .. }) != is_v4) {
                return None;
            }
            let of = match (proto, is_v4) {
                (Some(proto), _) => name(*proto),
                (None, true) => "IPv4, ARP or RARP",
                (None, false) => "IPv6",
            };
            let nets: Vec<String> = nets.iter().map(net).collect();
            (format!("{of} {} ", way(*side)), nets.join(" or "))
        }
        Test::Mac { side, address } => (
            format!("{} hardware address ", way(*side)),
            Mac(*address).to_string(),
        ),
        Test::Port { proto, side, port } => (
            format!("{} {} port ", transport(*proto), way(*side)),
            port_words(*proto, *port),
        ),
        Test::PortRange {
            proto,
            side,
            first,
            last,
        } => (
            format!("{} {} ports ", transport(*proto), way(*side)),
            format!("{first}–{last}"),
        ),
        Test::ProtoNumber { of, number } => {
            let number = u64::from(*number);
            match of {
                Some(Proto::Link) if number >= proto::ethertype::FIRST_TYPE.into() => (
                    "EtherType ".to_owned(),
                    with_name("eth.type", number, format!("0x{number:04x}")),
                ),
                Some(Proto::Link) => ("LLC address ".to_owned(), format!("0x{number:02x}")),
                Some(of @ (Proto::Iso | Proto::Isis)) => {
                    (format!("{} number ", name(*of)), number.to_string())
                }
                of => (
                    format!("{} with protocol ", over(*of)),
                    named("ip.proto", number),
                ),
            }
        }
        _ => return None,
    })
}

const fn way(side: Side) -> &'static str {
    match side {
        Side::Source => "from",
        Side::Destination => "to",
        Side::Either => "from or to",
        Side::Both => "from and to",
    }
}

fn net(net: &Net) -> String {
    match *net {
        Net::V4 { address, mask } => {
            let ip = Ipv4Addr::from(address);
            match mask.leading_ones() {
                32 => ip.to_string(),
                ones if mask.count_ones() == ones => format!("{ip}/{ones}"),
                _ => format!("{ip} mask {}", Ipv4Addr::from(mask)),
            }
        }
        Net::V6 { address, prefix } => match prefix {
            128 => Ipv6Addr::from(address).to_string(),
            prefix => format!("{}/{prefix}", Ipv6Addr::from(address)),
        },
    }
}

fn transport(proto: Option<Proto>) -> &'static str {
    proto.map_or("TCP, UDP or SCTP", name)
}

fn over(of: Option<Proto>) -> &'static str {
    of.map_or("IPv4 or IPv6", name)
}

/// A port, with the protocol that is decoded on it.
fn port_words(transport: Option<Proto>, port: u16) -> String {
    let claims = [
        (Claim::TcpPort(port), transport != Some(Proto::Udp)),
        (Claim::UdpPort(port), transport != Some(Proto::Tcp)),
    ];
    let mut known = proto::ALL.iter().filter(|protocol| {
        let claimed = |(claim, meant): &(Claim, bool)| *meant && protocol.claims.contains(claim);
        claims.iter().any(claimed)
    });
    match known.next() {
        Some(protocol) => format!("{port} ({})", protocol.label),
        None => port.to_string(),
    }
}

/// A number with the name that the field's table has for it.
fn named(field: &str, number: u64) -> String {
    with_name(field, number, number.to_string())
}

fn with_name(field: &str, number: u64, shown: String) -> String {
    let mut fields = proto::ALL.iter().flat_map(|protocol| protocol.fields);
    let names = fields.find(|known| known.name == field).map(|f| f.names);
    let found = names
        .unwrap_or_default()
        .iter()
        .find(|(of, _)| *of == number);
    match found {
        Some((_, name)) => format!("{shown} ({name})"),
        None => shown,
    }
}

/// A protocol word on its own.
fn alone(proto: Proto) -> String {
    match proto {
        Proto::Tcp | Proto::Udp | Proto::Sctp | Proto::Pim | Proto::Ah | Proto::Esp => {
            format!("{} over IPv4 or IPv6", name(proto))
        }
        Proto::Icmp | Proto::Igmp | Proto::Igrp | Proto::Vrrp | Proto::Carp => {
            format!("{} over IPv4", name(proto))
        }
        Proto::Icmp6 => "ICMPv6 over IPv6".to_owned(),
        Proto::Link => "every frame".to_owned(),
        _ => name(proto).to_owned(),
    }
}

const fn name(proto: Proto) -> &'static str {
    match proto {
        Proto::Link => "the frame",
        Proto::Ip => "IPv4",
        Proto::Ip6 => "IPv6",
        Proto::Arp => "ARP",
        Proto::Rarp => "RARP",
        Proto::Tcp => "TCP",
        Proto::Udp => "UDP",
        Proto::Sctp => "SCTP",
        Proto::Icmp => "ICMP",
        Proto::Icmp6 => "ICMPv6",
        Proto::Igmp => "IGMP",
        Proto::Igrp => "IGRP",
        Proto::Pim => "PIM",
        Proto::Vrrp => "VRRP",
        Proto::Carp => "CARP",
        Proto::Ah => "AH",
        Proto::Esp => "ESP",
        Proto::Radio => "the radio header",
        Proto::Atalk => "AppleTalk",
        Proto::Aarp => "AppleTalk ARP",
        Proto::Decnet => "DECnet",
        Proto::Lat => "DEC LAT",
        Proto::Sca => "DEC SCA",
        Proto::Moprc => "DEC MOP remote console",
        Proto::Mopdl => "DEC MOP dump and load",
        Proto::Iso => "ISO network protocol",
        Proto::Esis => "ES-IS",
        Proto::Isis => "IS-IS",
        Proto::Clnp => "CLNP",
        Proto::Stp => "spanning tree",
        Proto::Ipx => "IPX",
        Proto::Netbeui => "NetBEUI",
        Proto::IsisL1 => "IS-IS of level 1",
        Proto::IsisL2 => "IS-IS of level 2",
        Proto::IsisIih => "IS-IS hello",
        Proto::IsisLsp => "IS-IS link state",
        Proto::IsisSnp => "IS-IS sequence numbers",
        Proto::IsisCsnp => "IS-IS complete sequence numbers",
        Proto::IsisPsnp => "IS-IS partial sequence numbers",
    }
}

fn llc_words(llc: Llc) -> String {
    let kind = |control: u32| match LLC.iter().find(|(known, _)| *known == control) {
        Some((_, name)) => format!("LLC {name} frame"),
        None => format!("LLC frame with control 0x{control:02x}"),
    };
    match llc {
        Llc::Any => "LLC (802.2)".to_owned(),
        Llc::Information => "LLC information frame".to_owned(),
        Llc::Supervisory => "LLC supervisory frame".to_owned(),
        Llc::Unnumbered => "LLC unnumbered frame".to_owned(),
        Llc::SupervisoryType(control) | Llc::UnnumberedType(control) => kind(control),
    }
}

/// The TCP flags are loaded, so that numbers beside them are flags.
fn speaks_of_flags(expr: &Arith) -> bool {
    match expr {
        Arith::Load { proto, at, size: 1 } => {
            *proto == Proto::Tcp && matches!(**at, Arith::Number(13))
        }
        Arith::Binary {
            op: BinOp::And | BinOp::Or | BinOp::Xor,
            left,
            right,
        } => speaks_of_flags(left) || speaks_of_flags(right),
        _ => false,
    }
}

/// Appends an arithmetic expression; in parentheses where what stands around it binds at least as strongly as `around`.
fn arith(expr: &Arith, flags: bool, around: u8, out: &mut String) {
    match expr {
        Arith::Number(number) => {
            let _ = write!(out, "{number}");
            let set: Vec<&str> = (0..8)
                .filter(|bit| number >> bit & 1 == 1)
                .map(|bit| TCP_FLAGS[bit])
                .collect();
            if flags && *number < 256 && !set.is_empty() {
                let _ = write!(out, " ({})", set.join(", "));
            }
        }
        Arith::Length => out.push_str("the length"),
        Arith::Load { proto, at, size } => load(*proto, at, *size, out),
        Arith::Negate(inner) => {
            out.push('-');
            arith(inner, flags, 9, out);
        }
        Arith::Binary { op, left, right } => {
            let (sign, strength) = match op {
                BinOp::Or => ("|", 1),
                BinOp::Xor => ("^", 1),
                BinOp::And => ("&", 2),
                BinOp::ShiftLeft => ("<<", 3),
                BinOp::ShiftRight => (">>", 3),
                BinOp::Add => ("+", 4),
                BinOp::Sub => ("-", 4),
                BinOp::Mul => ("×", 5),
                BinOp::Div => ("÷", 5),
                BinOp::Mod => ("mod", 5),
            };
            let parenthesised = strength < around;
            if parenthesised {
                out.push('(');
            }
            arith(left, flags, strength, out);
            let _ = write!(out, " {sign} ");
            arith(right, flags, strength + 1, out);
            if parenthesised {
                out.push(')');
            }
        }
    }
}

fn load(proto: Proto, at: &Arith, size: u8, out: &mut String) {
    let Arith::Number(first) = at else {
        out.push_str(if size == 1 { "the byte" } else { "the bytes" });
        let _ = write!(out, " of {} at [", name(proto));
        arith(at, false, 0, out);
        if size > 1 {
            let _ = write!(out, ":{size}");
        }
        out.push(']');
        return;
    };
    let known = |(of, byte, _): &&(Proto, u32, &str)| *of == proto && byte == first && size == 1;
    let _ = match (NAMED.iter().find(known), size) {
        (Some((_, _, name)), _) => write!(out, "{name}"),
        (None, 1) => write!(out, "byte {first} of {}", name(proto)),
        (None, size) => write!(
            out,
            "bytes {first}–{} of {}",
            u64::from(*first) + u64::from(size) - 1,
            name(proto)
        ),
    };
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::net::IpAddr;

    use super::*;
    use crate::filter::{Names, Service};

    struct Book;

    impl Names for Book {
        fn port(&self, name: &str, _: Service) -> Option<u16> {
            (name == "http").then_some(80)
        }
        fn protocol(&self, _: &str) -> Option<u8> {
            None
        }
        fn host(&self, name: &str) -> Vec<IpAddr> {
            match name {
                "localhost" => vec!["::1".parse().unwrap(), "127.0.0.1".parse().unwrap()],
                _ => Vec::new(),
            }
        }
    }

    fn said(expression: &str) -> String {
        CaptureFilter::parse(expression, &Book).unwrap().words()
    }

    #[test]
    fn primitives_are_said_in_a_few_words() {
        for (expression, words) in [
            ("", "every packet"),
            ("tcp", "TCP over IPv4 or IPv6"),
            ("icmp", "ICMP over IPv4"),
            ("arp", "ARP"),
            ("port 5000", "TCP, UDP or SCTP from or to port 5000"),
            ("tcp dst port http", "TCP to port 80"),
            ("udp src portrange 5000-5010", "UDP from ports 5000–5010"),
            ("port 4789", "TCP, UDP or SCTP from or to port 4789 (VXLAN)"),
            ("tcp port 4789", "TCP from or to port 4789"),
            ("host 10.0.0.1", "IPv4, ARP or RARP from or to 10.0.0.1"),
            ("ip src host 10.0.0.1", "IPv4 from 10.0.0.1"),
            ("net 10.0.0.0/8", "IPv4, ARP or RARP from or to 10.0.0.0/8"),
            (
                "src and dst net 2001:db8::/32",
                "IPv6 from and to 2001:db8::/32",
            ),
            (
                "host localhost",
                "IPv4, ARP or RARP from or to 127.0.0.1, or IPv6 from or to ::1",
            ),
            (
                "net 10.0.0.0 mask 255.0.255.0",
                "IPv4, ARP or RARP from or to 10.0.0.0 mask 255.0.255.0",
            ),
            (
                "ether src 02:00:00:00:00:01",
                "from hardware address 02:00:00:00:00:01",
            ),
            ("ether proto 0x86dd", "EtherType 0x86dd (IPv6)"),
            ("ip proto 47", "IPv4 with protocol 47 (GRE)"),
            ("proto 17", "IPv4 or IPv6 with protocol 17 (UDP)"),
            ("less 100", "at most 100 bytes long"),
            ("vlan 5", "a VLAN tag with ID 5"),
            ("not tcp", "not TCP over IPv4 or IPv6"),
            (
                "tcp[tcpflags] & (tcp-syn|tcp-ack) = tcp-syn",
                "TCP flags & (2 (SYN) | 16 (ACK)) is 2 (SYN)",
            ),
            ("tcp[13] = 18", "TCP flags is 18 (SYN, ACK)"),
            ("ip[2:2] > 576", "bytes 2–3 of IPv4 is above 576"),
            (
                "ip[2:2] - ((ip[0] & 15) << 2) != 0",
                "bytes 2–3 of IPv4 - ((byte 0 of IPv4 & 15) << 2) is not 0",
            ),
            ("icmp[icmptype] = 8", "ICMP type is 8"),
            (
                "len - 14 = ip[ip[0]:2]",
                "the length - 14 is the bytes of IPv4 at [byte 0 of IPv4:2]",
            ),
        ] {
            assert_eq!(said(expression), format!("{words}\n"), "{expression}");
        }
    }

    #[test]
    fn lists_are_indented_and_values_gathered() {
        assert_eq!(said("tcp dst port 80 or 443"), "TCP to port 80 or 443\n");
        assert_eq!(
            said("port 80 or 443 and host 10.0.0.1 and not arp"),
            "all of:\n  TCP, UDP or SCTP from or to port 80 or 443\n  \
             IPv4, ARP or RARP from or to 10.0.0.1\n  not ARP\n"
        );
        assert_eq!(
            said("not (tcp or port 53 or 54) or (ip and not (udp and less 64))"),
            "one of:\n  none of:\n    TCP over IPv4 or IPv6\n    TCP, UDP or SCTP from or to port 53 (DNS) or 54\n  \
             all of:\n    IPv4\n    not all of:\n      UDP over IPv4 or IPv6\n      at most 64 bytes long\n"
        );
    }

    #[test]
    fn long_lists_are_no_deep_recursion() {
        let many = format!("tcp{}", " or not udp".repeat(900));
        assert_eq!(said(&many).lines().count(), 902);
    }
}
