//! What the parser makes of expressions, and what it says of broken ones.
#![allow(clippy::unwrap_used)]

use std::net::{IpAddr, Ipv4Addr};

use proptest::prelude::*;

use super::*;
use crate::filter::{
    CaptureFilter, Service, begins_filter,
    capture::ast::{Arith, Net},
};

const ESCAPE: char = '\u{1b}';

/// A small world of names.
pub(in crate::filter::capture) struct Book;

impl Names for Book {
    fn port(&self, name: &str, service: Service) -> Option<u16> {
        match (name, service) {
            ("http", Service::Tcp) => Some(80),
            ("domain", Service::Tcp | Service::Udp) => Some(53),
            ("split", Service::Tcp) => Some(1),
            ("split", Service::Udp) => Some(2),
            ("tftp", Service::Udp) => Some(69),
            _ => None,
        }
    }
    fn host(&self, name: &str) -> Vec<IpAddr> {
        match name {
            "localhost" => vec!["127.0.0.1".parse().unwrap(), "::1".parse().unwrap()],
            "four" => vec!["10.0.0.4".parse().unwrap()],
            _ => Vec::new(),
        }
    }
    fn protocol(&self, name: &str) -> Option<u8> {
        (name == "tcp").then_some(6)
    }
    fn network(&self, name: &str) -> Option<(Ipv4Addr, u8)> {
        (name == "loopback").then_some((Ipv4Addr::new(127, 0, 0, 0), 8))
    }
    fn ether(&self, name: &str) -> Option<[u8; 6]> {
        (name == "four").then_some([1, 2, 3, 4, 5, 6])
    }
}

/// The tree, written with all its parentheses and without places.
fn tree(expression: &str) -> String {
    fn write(expr: &Expr) -> String {
        match expr {
            Expr::And(a, b) => format!("({} & {})", write(a), write(b)),
            Expr::Or(a, b) => format!("({} | {})", write(a), write(b)),
            Expr::Not(a) => format!("!{}", write(a)),
            Expr::Test(test, _) => format!("{test:?}"),
        }
    }
    parse(expression, &Book)
        .unwrap_or_else(|error| panic!("{expression}: {error}"))
        .map_or_else(|| "all".into(), |root| write(&root))
}

fn test(expression: &str) -> Test {
    match parse(expression, &Book) {
        Ok(Some(Expr::Test(test, _))) => test,
        other => panic!("{expression}: {other:?}"),
    }
}

fn error(expression: &str) -> (usize, usize, String) {
    let error = parse(expression, &Book).unwrap_err();
    (error.at, error.len, error.message)
}

fn value(arith: &Arith) -> u32 {
    match arith {
        Arith::Number(number) => *number,
        Arith::Negate(inner) => value(inner).wrapping_neg(),
        Arith::Binary { op, left, right } => {
            let (a, b) = (value(left), value(right));
            match op {
                BinOp::Add => a.wrapping_add(b),
                BinOp::Sub => a.wrapping_sub(b),
                BinOp::Mul => a.wrapping_mul(b),
                BinOp::Div => a / b,
                BinOp::Mod => a % b,
                BinOp::And => a & b,
                BinOp::Or => a | b,
                BinOp::Xor => a ^ b,
                BinOp::ShiftLeft => a << b,
                BinOp::ShiftRight => a >> b,
            }
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn and_and_or_are_equally_strong_and_not_is_stronger() {
    for (short, long) in [
        ("tcp or udp and ip", "(tcp or udp) and ip"),
        ("not tcp and udp", "(not tcp) and udp"),
        ("tcp&&!udp||ip", "(tcp and (not udp)) or ip"),
        ("not len > 5 and tcp", "(not (len > 5)) and tcp"),
        ("tcp\r\nand\n\tudp", "tcp and udp"),
    ] {
        assert_eq!(tree(short), tree(long), "{short}");
    }
    assert_eq!(tree(" \n "), "all");
}

#[test]
fn lists_inherit_what_was_said_last() {
    for (short, long) in [
        (
            "tcp dst port 80 or 443",
            "tcp dst port 80 or tcp dst port 443",
        ),
        ("port 80 or not 443", "port 80 or not port 443"),
        ("port (80 or 443) and tcp", "(port 80 or port 443) and tcp"),
        (
            "host 10.0.0.1 or 10.0.0.2 and port 80 or 81",
            "host 10.0.0.1 or host 10.0.0.2 and port 80 or port 81",
        ),
        (
            "tcp port 80 or (port 443) or 53",
            "tcp port 80 or (port 443) or tcp port 53",
        ),
        (
            "port 80 or (1 = len and tcp) or 53",
            "port 80 or (1 = len and tcp) or port 53",
        ),
        (
            "not host 10.0.0.1 and four",
            "not host 10.0.0.1 and host four",
        ),
        (
            "src net not (10.0 or 11.0)",
            "not (src net 10.0 or src net 11.0)",
        ),
        ("src or dst 10.0.0.1", "host 10.0.0.1"),
    ] {
        assert_eq!(tree(short), tree(long), "{short}");
    }
}

#[test]
fn addresses_and_networks_are_read_as_libpcap_reads_them() {
    let v4 = |address: &str, mask: u32| Net::V4 {
        address: address.parse::<Ipv4Addr>().unwrap().to_bits(),
        mask,
    };
    let v6 = |address: &str, prefix| Net::V6 {
        address: address.parse::<std::net::Ipv6Addr>().unwrap().to_bits(),
        prefix,
    };
    for (expression, net) in [
        ("host 10.0.0.1", v4("10.0.0.1", !0)),
        ("host 192.168.10", v4("192.168.10.0", !0 << 8)),
        ("host 5", v4("0.0.0.5", !0)),
        ("net 10", v4("10.0.0.0", 0xff00_0000)),
        ("net 0x0a01", v4("10.1.0.0", 0xffff_0000)),
        ("net 0", v4("0.0.0.0", !0)),
        ("net 10.1/16", v4("10.1.0.0", 0xffff_0000)),
        ("net 0.0/0", v4("0.0.0.0", 0)),
        ("net 10.0.1.0 mask 255.0.255.0", v4("10.0.1.0", 0xff00_ff00)),
        ("net loopback", v4("127.0.0.0", 0xff00_0000)),
        ("host fe80::1", v6("fe80::1", 128)),
        ("net fe80::/10", v6("fe80::", 10)),
        ("net ::/0", v6("::", 0)),
        ("host ::ffff:1.2.3.4", v6("::ffff:1.2.3.4", 128)),
        ("host four", v4("10.0.0.4", !0)),
        ("ip6 host localhost", v6("::1", 128)),
        ("arp host localhost", v4("127.0.0.1", !0)),
    ] {
        let Test::Net { nets, .. } = test(expression) else {
            panic!("{expression}");
        };
        assert_eq!(nets, [net], "{expression}");
    }
    let Test::Net { nets, .. } = test("host localhost") else {
        panic!();
    };
    assert_eq!(nets, [v4("127.0.0.1", !0), v6("::1", 128)]);
}

#[test]
fn hardware_addresses_have_five_spellings() {
    for spelling in [
        "00:1:22:33:44:5f",
        "00-01-22-33-44-5f",
        "00.01.22.33.44.5f",
        "0001.2233.445f",
        "00012233445f",
    ] {
        let wanted = Test::Mac {
            side: Side::Source,
            address: [0, 1, 0x22, 0x33, 0x44, 0x5f],
        };
        assert_eq!(test(&format!("ether src {spelling}")), wanted, "{spelling}");
    }
    assert_eq!(
        test("ether host four"),
        test("ether host 01:02:03:04:05:06")
    );
    assert!(matches!(test("gateway four"), Test::Gateway { .. }));
}

#[test]
fn services_are_looked_up_for_the_protocol_that_is_asked_for() {
    for (name, number) in [
        ("port http", "tcp port 80"),
        ("port domain", "port 53"),
        ("udp port domain", "udp port 53"),
        ("port split", "tcp port 1"),
        ("udp port split", "udp port 2"),
        ("port tftp", "udp port 69"),
        ("portrange tftp-80", "portrange 69-80"),
        ("portrange 90-80", "portrange 80-90"),
        ("tcp portrange http-http", "tcp portrange 80"),
    ] {
        assert_eq!(test(name), test(number), "{name}");
    }
    assert_eq!(
        error("udp port http").2,
        "http is no service of udp: it is tcp port 80"
    );
}

#[test]
fn protocols_go_by_name_where_a_backslash_says_so() {
    let number = |of, number| Test::ProtoNumber { of, number };
    assert_eq!(test("ip proto \\tcp"), number(Some(Proto::Ip), 6));
    assert_eq!(test("ether proto \\ip6"), number(Some(Proto::Link), 0x86dd));
    assert_eq!(
        test("ether proto loopback"),
        number(Some(Proto::Link), 0x9000)
    );
    assert_eq!(test("iso proto \\isis"), number(Some(Proto::Iso), 0x83));
    assert_eq!(test("isis proto 18"), number(Some(Proto::Isis), 18));
    assert_eq!(test("proto 300"), number(None, 300));
    assert_eq!(
        error("ip proto tcp"),
        (
            9,
            3,
            "tcp is a word of filters: write \\tcp where its protocol is meant".into()
        )
    );
}

#[test]
fn arithmetic_is_as_strong_as_in_libpcap() {
    for (left, wanted) in [
        ("1 + 2 * 3", 7),
        ("(1 + 2) * 3", 9),
        ("2 | 4 & 4", 6),
        ("8 & 4 << 1", 8),
        ("1 + 2 << 1", 6),
        ("8 - 4 - 2", 2),
        ("- 1 + 2", 1),
        // What follows % and ^ is theirs, whatever stands before.
        ("5 % 3 * 2", 5),
        ("5 * 3 % 2", 5),
        ("1 ^ 2 | 3", 2),
        ("8 - 2 ^ 3", 7),
        ("- 5 ^ 3", 4294967290),
        ("0x10 + 010 + 10", 34),
        ("tcp-syn|tcp-ack", 0x12),
    ] {
        let Test::Relation { left: tree, .. } = test(&format!("{left} = 0")) else {
            panic!("{left}");
        };
        assert_eq!(value(&tree), wanted, "{left}");
    }
    assert_eq!(
        test("(tcp[13] & 2) == (2)"),
        test("tcp[tcpflags:1] & tcp-syn = 2")
    );
    assert_eq!(test("(len) > 5"), test("length > 5"));
}

#[test]
fn every_primitive_has_its_form() {
    for (expression, wanted) in [
        ("vlan", Test::Vlan(None)),
        ("vlan (5)", Test::Vlan(Some(5))),
        ("mpls 1048575", Test::Mpls(Some(1_048_575))),
        ("pppoed", Test::Pppoed),
        ("pppoes 0x27", Test::Pppoes(Some(0x27))),
        ("geneve 7", Test::Geneve(Some(7))),
        ("vxlan", Test::Vxlan(None)),
        ("llc", Test::Llc(Llc::Any)),
        ("llc RNR", Test::Llc(Llc::SupervisoryType(5))),
        ("llc ua", Test::Llc(Llc::UnnumberedType(0x63))),
        ("less 5", Test::Less(5)),
        ("greater 0x40", Test::Greater(64)),
        (
            "byte 0 & 5",
            Test::Byte {
                at: 0,
                op: ByteOp::And,
                value: 5,
            },
        ),
        ("inbound", Test::Inbound),
        ("ifindex 3", Test::Ifindex(3)),
        ("broadcast", Test::Broadcast(None)),
        ("ip6 multicast", Test::Multicast(Some(Proto::Ip6))),
        (
            "ip6 protochain 6",
            Test::ProtoChain {
                of: Some(Proto::Ip6),
                number: 6,
            },
        ),
        ("es-is", Test::Proto(Proto::Esis)),
    ] {
        assert_eq!(test(expression), wanted, "{expression}");
    }
}

#[test]
fn places_are_columns_of_the_expression() {
    let Some(Expr::Or(a, b)) = parse("tcp port 80 or\n 443", &Book).unwrap() else {
        panic!();
    };
    assert!(matches!(*a, Expr::Test(_, ref at) if *at == (0..11)));
    assert!(matches!(*b, Expr::Test(_, ref at) if *at == (16..19)));
}

#[test]
fn faults_point_at_the_word_and_say_what_to_write() {
    for (expression, at, len, message) in [
        ("tpc port 80", 0, 3, "did you mean tcp?"),
        ("tcp adn udp", 4, 3, "did you mean and?"),
        ("tcp and", 7, 1, "expected a test (such as"),
        ("(tcp", 4, 1, "expected )"),
        ("tcp)", 3, 1, "no ( belongs"),
        ("10.0.0.1", 0, 8, "write host 10.0.0.1"),
        ("tcp or 80", 7, 2, "write port 80"),
        ("(port 80) or 53", 13, 2, "write port 53"),
        ("tcp 80", 4, 2, "write tcp port 80"),
        ("tcp & udp", 4, 1, "write && or and"),
        ("port 70000", 5, 5, "0 to 65535"),
        ("port 08", 5, 2, "octal"),
        ("port 4294967296", 5, 10, "32 bits"),
        ("port nope", 5, 4, "no service is named nope"),
        ("port 80-90", 5, 5, "write portrange 80-90"),
        ("port 80,443", 7, 1, "write or"),
        (
            "src 10.0.0.1 dst 10.0.0.2",
            13,
            3,
            "write and or or before dst",
        ),
        ("tcp syn", 4, 3, "write tcp[tcpflags] & tcp-syn != 0"),
        ("tcp-syn", 0, 7, "write tcp[tcpflags] & tcp-syn != 0"),
        ("tcp[13] = syn", 10, 3, "did you mean tcp-syn?"),
        ("PORT 80", 0, 4, "did you mean port?"),
        ("host 10.0.0.0/8", 5, 8, "write net, not host"),
        ("ip == 5", 3, 2, "such as ip[8] == 5"),
        ("port 10.0.0.1", 5, 8, "write host"),
        ("tcp host 10.0.0.1", 9, 8, "write tcp and host 10.0.0.1"),
        ("ip port 80", 8, 2, "write ip and port 80"),
        ("ip host ::1", 8, 3, "write ip6"),
        ("host 00:11:22:33:44:55", 5, 17, "write ether host"),
        ("ether host 10.0.0.1", 11, 8, "leave ether out"),
        (
            "host 1:2:3",
            5,
            5,
            "neither an IPv6 address nor a hardware address",
        ),
        ("host 256.1", 5, 5, "256 is not 0 to 255"),
        ("net 10/8", 4, 2, "10.0.0.0"),
        ("net 10.0.0.1/8", 4, 8, "write 10.0.0.0"),
        ("net 10.0.0.0/33", 13, 2, "at most 32"),
        ("net fe80::1/64", 4, 7, "write fe80::"),
        ("host 10.0.0.0/8", 5, 8, "write net"),
        ("vlan 4096", 5, 4, "0 to 4095"),
        ("tcp[0:3] = 1", 6, 1, "1, 2 or 4"),
        ("tcp[0]", 6, 1, "expected a comparison"),
        ("len-5 > 3", 0, 5, "spaces around a minus"),
        ("len > 5-3", 6, 3, "spaces around a minus"),
        ("1 / 0 = 1", 4, 1, "divided by zero"),
        ("tcp[tcpflag] = 1", 4, 7, "did you mean tcpflags?"),
        ("llc foo", 4, 3, "no kind of LLC frame"),
        (
            "type mgt",
            0,
            4,
            "type needs 802.11 frames, which sockwire does not read",
        ),
        ("wlan addr1 00:11:22:33:44:55", 5, 5, "802.11"),
        ("tcp or vpi 5", 7, 3, "ATM"),
        ("tcp broadcast", 4, 9, "only ether and ip"),
        ("host nowhere", 5, 7, "nor a host that can be found"),
        ("src proto 6", 4, 5, "no src or dst"),
        ("é", 0, 1, "no meaning"),
        ("tcp.port == 80", 0, 8, "-Y takes"),
        ("port 1 or (tcp && tcp.port == 80)", 18, 8, ": tcp port 80"),
        ("http.host contains \"x\"", 0, 9, "display filter"),
    ] {
        let (found_at, found_len, found) = error(expression);
        assert!(found.contains(message), "{expression}: {found}");
        assert_eq!((found_at, found_len), (at, len), "{expression}: {found}");
    }
}

#[test]
fn no_control_character_of_a_filter_is_repeated() {
    let (_, _, message) = error("host \\a\u{1b}[2J");
    assert!(!message.contains('\u{1b}'), "{message:?}");
}

#[test]
fn filters_begin_with_words_and_parentheses() {
    for words in [
        "tcp port 80",
        "(port 80)",
        "!tcp",
        "tcp[13]&2!=0",
        "len>5",
        "vlan",
        "tcp.port == 80",
        "tcp.port",
    ] {
        assert!(begins_filter(words), "{words}");
    }
    for words in [
        "trace.pcapng",
        "and tcp",
        "",
        "lab",
        "10.0.0.1",
        "on",
        "port-80.pcap",
        "-i",
    ] {
        assert!(!begins_filter(words), "{words}");
    }
}

#[test]
fn ports_and_loopback_are_told() {
    let filter = "tcp port 80 or (dst port 443 and not port 80) or portrange 1-9 or host 10.0.0.1 or localhost";
    let filter = CaptureFilter::parse(filter, &Book).unwrap();
    assert_eq!(filter.ports(), [80, 443]);
    assert_eq!(filter.loopback(), Some("127.0.0.1".parse().unwrap()));
    assert!(!filter.is_empty());
    assert!(CaptureFilter::parse(" ", &Book).unwrap().is_empty());
}

#[test]
fn depth_length_and_number_are_bounded() {
    for (piece, rest) in [
        ("not ", "tcp"),
        ("(", "tcp"),
        ("!", "tcp"),
        ("-", "1 = 1"),
        ("(", "1 = 1"),
        ("1 ^ ", "1 = 1"),
        ("ip[", "1"),
        ("port (", "1"),
        ("vlan (", "1"),
    ] {
        let expression = piece.repeat(10_000) + rest;
        assert!(parse(&expression, &Book).is_err(), "{piece}");
    }
    for (piece, rest) in [("tcp or ", "tcp"), ("1 + ", "1 = 1")] {
        assert!(parse(&(piece.repeat(900) + rest), &Book).is_ok());
        assert!(parse(&(piece.repeat(1500) + rest), &Book).is_err());
    }
    assert!(error(&"tcp or ".repeat(20_000)).2.contains("64 KiB"));
    for name in ["a.", "1.", "\\é"] {
        let (at, _, message) = error(&format!("host {}", name.repeat(300)));
        assert!(at == 5 && message.len() < 100, "{message}");
    }
    let nested = "(".repeat(60) + "tcp" + &")".repeat(60);
    assert_eq!(tree(&nested), tree("tcp"));
}

proptest! {
    #[test]
    fn no_string_panics(text in "\\PC{0,60}|[ -~\n]{0,60}") {
        let _ = CaptureFilter::parse(&text, &Book).map(|filter| (filter.traps(), filter.ports()));
    }

    #[test]
    fn no_mix_of_words_panics(words in prop::collection::vec(
        prop::sample::select(vec![
            "and", "or", "not", "(", ")", "[", "]", ":", "=", "!=", "-", "%", "/", "src", "dst", "host", "net", "port",
            "proto", "tcp", "ip6", "ether", "80", "10.0", "::1", "0:1:2:3:4:5", "four", "http", "\\tcp", "vlan", "len",
            "mask", "255.0", "llc", "rnr", "byte", "less", "type", "\u{1b}", "é",
        ]), 0..30)) {
        let text = words.join(" ");
        match CaptureFilter::parse(&text, &Book) {
            Ok(filter) => drop((filter.traps(), filter.loopback())),
            Err(error) => {
                prop_assert!(error.at + error.len <= text.chars().count() + 1);
                let shown = error.to_string();
                prop_assert!(!shown.contains(ESCAPE));
            }
        }
    }
}
