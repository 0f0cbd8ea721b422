//! The faults that display filters are refused for, and their bounds. What they take is in `tests/display.rs`.
#![allow(clippy::unwrap_used)]

use super::DisplayFilter;
use crate::{filter::Names, proto};
use std::net::IpAddr;

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
    assert!(DisplayFilter::compile(&shallow, &NoNames).is_ok());
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

proptest::proptest! {
    #[test]
    fn no_text_panics(text in ".{0,40}") {
        if let Err(error) = DisplayFilter::compile(&text, &NoNames) {
            error.to_string();
        }
    }
}
