//! Display filters over packets made here and recorded ones, and the faults they are refused for.
#![allow(clippy::unwrap_used)]

use super::DisplayFilter;
use crate::{
    decode::{Decoded, Decoder},
    file,
    filter::{Names, Service},
    frame::{Source as _, Step},
    layer::Packet,
    proto,
    proto::frame::Around,
    time::Time,
    track::Tracker,
};
use std::net::IpAddr;

/// Nobody is asked.
struct NoNames;

impl Names for NoNames {
    fn port(&self, _: &str, _: Service) -> Option<u16> {
        None
    }
    fn host(&self, name: &str) -> Vec<IpAddr> {
        match name {
            "client.test" => vec!["10.0.0.1".parse().unwrap()],
            _ => Vec::new(),
        }
    }
    fn protocol(&self, _: &str) -> Option<u8> {
        None
    }
}

fn compile(expression: &str) -> DisplayFilter {
    DisplayFilter::compile(expression, &NoNames).unwrap_or_else(|error| panic!("{error}"))
}

/// What `look` makes of each packet of a recorded capture.
fn each<T>(name: &str, mut look: impl FnMut(&Packet<'_>, &Around<'_>) -> T) -> Vec<T> {
    let path = format!("{}/captures/{name}.pcapng", env!("CARGO_MANIFEST_DIR"));
    let mut reader = file::open(path.as_ref()).unwrap();
    let (decoder, mut tracker, mut decoded) =
        (Decoder::default(), Tracker::default(), Decoded::default());
    let mut seen = Vec::new();
    while let Step::Batch(batch) = reader.next(Time::MAX).unwrap() {
        decoder.batch(&batch, &mut decoded);
        for index in 0..batch.len() {
            tracker.packet(&decoder, &batch, &mut decoded, index);
            let packet = decoded.packet(&batch, index).unwrap();
            let around = Around::of(reader.interfaces(), &batch, index);
            seen.push(look(&packet, &around));
        }
    }
    seen
}

/// Numbers of the packets of a recorded capture that each expression takes.
fn check(capture: &str, cases: &[(&str, &[u64])]) {
    for (expression, wanted) in cases {
        let filter = compile(expression);
        let taken = each(capture, |packet, around| {
            filter
                .matches(packet, around)
                .then_some(packet.frame.number)
        });
        let taken: Vec<u64> = taken.into_iter().flatten().collect();
        assert_eq!(&taken, wanted, "{expression}");
    }
}

const ALL: &[u64] = &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10];

/// The expected numbers are those of tshark 4.0.17 on the same file.
#[test]
fn comparisons_take_the_packets_that_wireshark_takes() {
    check(
        "handshake",
        &[
            ("", ALL),
            ("tcp", ALL),
            ("!tcp", &[]),
            ("udp or frame.number == 3", &[3]),
            ("tcp.flags.syn == 1", &[1, 2]),
            ("tcp.flags.syn == TRUE and not tcp.flags.ack == true", &[1]),
            ("tcp.flags.syn == \"Set\"", &[1, 2]),
            ("tcp.srcport eq 5000", &[2, 5, 6, 9]),
            ("tcp.port > 10000", ALL),
            ("all tcp.port > 10000", &[]),
            ("tcp.port != 5000", &[]),
            ("any tcp.port != 5000", ALL),
            ("tcp.port !== 5000", ALL),
            ("tcp.port === 5000", &[]),
            ("ip.ttl === 64", ALL),
            ("udp.port != 80", &[]),
            ("!(udp.port == 80)", ALL),
            ("udp.port not in {80}", ALL),
            ("tcp.port in {80, 4000..5000}", ALL),
            ("tcp.srcport in {80, 4000..5000}", &[2, 5, 6, 9]),
            ("tcp.port in {tcp.srcport .. tcp.dstport}", &[2, 5, 6, 9]),
            ("ip.src == ip.dst", &[]),
            ("tcp.srcport < tcp.port < 60000", &[2, 5, 6, 9]),
            ("ip.addr == 10.0.0.0/8", ALL),
            ("ip.addr != 10.0.0.0/8", &[]),
            ("ip.src == client.test", &[1, 3, 4, 7, 8, 10]),
            ("ip.host == \"10.0.0.1\"", ALL),
            ("eth.src[-1] == 1", &[1, 3, 4, 7, 8, 10]),
            ("eth.addr == 0200.0000.0001", ALL),
            ("ip.proto == \"tcp\" && ip.proto == TCP", ALL),
            (
                "ip.ttl == '@' && ip.ttl == 0100 && ip.ttl == 0b1000000",
                ALL,
            ),
            ("frame.time > \"2020-01-01T00:00:00Z\"", ALL),
            ("frame.time_epoch < 1.5", &[]),
        ],
    );
}

#[test]
fn bytes_functions_and_sums_take_the_packets_that_wireshark_takes() {
    check(
        "handshake",
        &[
            ("tcp contains \"hello\"", &[4]),
            ("tcp contains 68:65:6c:6c", &[4]),
            ("tcp.payload contains 68656c", &[4]),
            ("frame matches \"HEL+O\"", &[4]),
            ("frame matches \"(?-i)HEL+O\"", &[]),
            ("tcp[12:2] == a0:02", &[1]),
            ("tcp[12-13] == a002", &[1]),
            ("tcp[13] & 2", &[1, 2]),
            ("tcp.flags & 0x12 == 0x12", &[2]),
            // A protocol is as long as its header, and is searched to the end of what it carries.
            ("len(tcp) == 40", &[1, 2]),
            ("tcp[32:5] == \"hello\"", &[]),
            ("frame[1000]", &[]),
            ("frame[0:4,6-7] == 02:00:00:00:02:00", ALL),
            ("ip.src[0:2] == 0a:00", ALL),
            ("count(tcp.option_kind) == 5", &[1, 2]),
            ("count(udp.port) == 0", &[]),
            ("max(tcp.srcport, tcp.dstport) == 57474", ALL),
            ("min(tcp.port) == 5000", ALL),
            ("string(tcp.port)[0:1] == \"5\"", ALL),
            ("string(ip.ttl) matches r\"^\\d+$\"", ALL),
            ("upper(ip.host) contains \"10.\"", ALL),
            ("ip.ttl + 1 == 65 and ip.ttl / 2 == {30 + 2}", ALL),
            ("ip.ttl - 65 == -1", ALL),
            ("ip.ttl / {ip.ttl - 64} == 1", &[]),
            ("ip.src & 255.0.0.0 == 10.0.0.0", ALL),
            ("ip.ttl#1 == 64 && !ip#2", ALL),
            ("ip.ttl#[-1] == 64", ALL),
            ("tcp.stream == 0", ALL),
        ],
    );
}

#[test]
fn faults_are_shown_where_they_are() {
    for (expression, at, says) in [
        ("tcp.prt == 80", 0, "did you mean tcp.port"),
        ("tcp.port = 80", 9, "write =="),
        ("ip.addr == 10.0.0.0/33", 11, "at most 32 bits"),
        ("ip.ttl == 256", 10, "too large"),
        ("ip.src == tcp.port", 10, "cannot be compared"),
        ("1 == tcp.port", 0, "a field or protocol stands on the left"),
        ("tcp.port == \"http\"", 12, "leave the quotes out"),
        ("ip.ttl == é", 10, "is no value of ip.ttl"),
        ("ip.proto == \"TPC\"", 12, "did you mean \"TCP\"?"),
        ("(tcp", 4, "ends here"),
        ("tcp)", 3, "is expected here"),
        ("tcp AND ip", 4, "small letters: and"),
        ("tcp xor ip", 4, "exclusive"),
        ("(ip.ttl + 1) == 65", 0, "{ and }"),
        ("tcp contains \"a", 13, "never closed"),
        ("tcp contains \"\\d\"", 14, "no such escape"),
        ("tcp matches \"(\"", 12, "not a pattern"),
        ("tcp.port matches \"80\"", 0, "string("),
        ("len(tcp)", 0, "compare it"),
        ("lenght(tcp) > 1", 0, "no function"),
        ("frame[1:0] == 1", 5, "a range is"),
        ("tcp.port in {}", 13, "is expected"),
        ("frame.time > yesterday", 13, "date and time"),
        ("port 80", 0, "tcp.port == 80 or udp.port == 80"),
        ("src host 10.0.0.1", 0, "ip.src == 10.0.0.1"),
        ("udp dst portrange 1-9", 0, "udp.dstport in {1..9}"),
        (
            "ether host 02:00:00:00:00:01",
            0,
            "eth.addr == 02:00:00:00:00:01",
        ),
    ] {
        let error = DisplayFilter::compile(expression, &NoNames).unwrap_err();
        assert!(
            error.message.contains(says),
            "{expression}: {}",
            error.message
        );
        assert_eq!(error.at, at, "{error}");
    }
}

#[test]
fn depth_length_and_number_are_bounded() {
    let deep = |n: usize| format!("{}tcp{}", "(".repeat(n), ")".repeat(n));
    assert!(DisplayFilter::compile(&deep(60), &NoNames).is_ok());
    let nested = "abs(1 + ".repeat(70) + "ip.ttl" + &")".repeat(70) + " == 1";
    let shallow = "abs(1 + ".repeat(20) + "ip.ttl" + &")".repeat(20) + " == 84";
    check("handshake", &[(&shallow, ALL)]);
    for expression in [
        deep(70),
        "!".repeat(70) + "tcp",
        nested,
        "ip.ttl == 1".to_owned() + &" + 1".repeat(70),
        "tcp or ".repeat(1000) + "tcp",
        format!("tcp.port in {{{}1}}", "1,".repeat(5000)),
        "a".repeat(70_000),
        "tcp matches \"(((a{1000}){1000}){1000})\"".into(),
    ] {
        let compiled = DisplayFilter::compile(&expression, &NoNames);
        assert!(compiled.is_err(), "{:.40}", expression);
    }
}

#[test]
fn every_name_compiles_and_rows_of_one_name_are_of_one_kind() {
    for name in super::fields::all() {
        assert!(DisplayFilter::compile(name, &NoNames).is_ok(), "{name}");
    }
    let fields = || proto::ALL.iter().flat_map(|protocol| protocol.fields);
    for field in fields() {
        for other in fields().filter(|other| other.name == field.name) {
            let kinds = (field.kind, other.kind);
            assert_eq!(
                std::mem::discriminant(&kinds.0),
                std::mem::discriminant(&kinds.1),
                "{}",
                field.name
            );
        }
    }
}

#[test]
fn every_question_is_answered_with_what_the_packet_has() {
    let filter = compile("tcp.port == 80 or (ip.proto == 6 and not udp)");
    let reasons = each("handshake", |packet, around| filter.why(packet, around));
    let told: Vec<(usize, &str, bool, String)> = reasons[0]
        .iter()
        .map(|reason| {
            let text = &filter.expression[reason.span.clone()];
            (reason.depth, text, reason.holds, reason.found.join(", "))
        })
        .collect();
    let none = String::new;
    assert_eq!(
        told,
        [
            (
                0,
                "tcp.port == 80 or (ip.proto == 6 and not udp)",
                true,
                none()
            ),
            (
                1,
                "tcp.port == 80",
                false,
                "tcp.port = 57474, tcp.port = 5000".into()
            ),
            (1, "(ip.proto == 6 and not udp)", true, none()),
            (2, "ip.proto == 6", true, "ip.proto = 6".into()),
            (2, "not udp", true, none()),
            (3, "udp", false, none()),
        ]
    );
    let words = "any of these:\n  any tcp.port is 80\n  all of these:\n    ip.proto is 6 (TCP)\n    not this:\n      udp is there\n";
    assert_eq!(filter.words(), words);
    assert_eq!(compile("").words(), "every packet\n");
}

/// Pieces of the language, so that made-up expressions often get far.
const PIECES: &[&str] = &[
    "tcp",
    "ip.src",
    "tcp.port",
    "eth.addr",
    "frame",
    "frame.time",
    "tcp.flags.syn",
    "ip.host",
    "==",
    "!=",
    "===",
    ">",
    "contains",
    "matches",
    "in",
    "not",
    "and",
    "or",
    "any",
    "all",
    "(",
    ")",
    "{",
    "}",
    "[1:2]",
    "[-3-]",
    "#1",
    "#[-1:]",
    ",",
    "..",
    "+",
    "-",
    "*",
    "/",
    "%",
    "&",
    "1",
    "0x10",
    "10.0.0.1/8",
    "::1",
    "aa:bb",
    "\"a\\x41\"",
    "r\"\\d\"",
    "'a'",
    "len",
    "count",
    "max",
    "string",
    "upper",
    "abs",
    "é",
    "\"",
    "'",
    "99999999999999999999999",
    "-9223372036854775808",
];

proptest::proptest! {
    #[test]
    fn no_expression_panics(pieces in proptest::collection::vec(0..PIECES.len(), 0..12)) {
        let expression: Vec<&str> = pieces.into_iter().map(|n| PIECES[n]).collect();
        for glue in ["", " "] {
            match DisplayFilter::compile(&expression.join(glue), &NoNames) {
                Ok(filter) => {
                    each("fragments", |packet, around| {
                        filter.matches(packet, around);
                        filter.why(packet, around)
                    });
                    filter.words();
                }
                Err(error) => {
                    error.to_string();
                }
            }
        }
    }

    #[test]
    fn no_text_panics(text in ".{0,40}") {
        if let Err(error) = DisplayFilter::compile(&text, &NoNames) {
            error.to_string();
        }
    }
}
