//! Display filters over recorded captures: the packets that Wireshark takes, and why.

#![allow(clippy::unwrap_used)]

use std::net::IpAddr;

use sockwire::{
    decode::{Decoded, Decoder},
    file,
    filter::{DisplayFilter, Names},
    frame::{Source as _, Step},
    layer::Packet,
    proto::frame::Around,
    time::Time,
    track::Tracker,
};

/// Nobody is asked.
struct NoNames;

impl Names for NoNames {
    fn host(&self, name: &str) -> Vec<IpAddr> {
        match name {
            "client.test" => vec!["10.0.0.1".parse().unwrap()],
            _ => Vec::new(),
        }
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
            // A protocol is searched to the end of what it carries.
            ("len(tcp) == 40", &[1, 2]),
            // As a plain `tshark -Y` has it; asked for fields or details, tshark ends tcp with its header.
            ("tcp[32:5] == \"hello\"", &[4]),
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
fn every_question_is_answered_with_what_the_packet_has() {
    let expression = "tcp.port == 80 or (ip.proto == 6 and not udp)";
    let filter = compile(expression);
    let reasons = each("handshake", |packet, around| filter.why(packet, around));
    let told: Vec<(usize, &str, bool, String)> = reasons[0]
        .iter()
        .map(|reason| {
            let text = &expression[reason.span.clone()];
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
}
