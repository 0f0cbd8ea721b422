//! Capture filters written where a display filter is wanted: what they are called here.

/// Fields for what a capture filter says of ports, by transport protocol and side.
const PORTS: [[&str; 3]; 2] = [
    ["tcp.port", "tcp.srcport", "tcp.dstport"],
    ["udp.port", "udp.srcport", "udp.dstport"],
];

/// The display filter for a capture filter that is one primitive; an example where it is more; `None` where `text` does
/// not begin like one.
pub(super) fn advice(text: &str) -> Option<String> {
    let words: Vec<&str> = text.split_whitespace().collect();
    let mut rest = words.as_slice();
    let mut protocol = None;
    if let [
        first @ ("tcp" | "udp" | "ip" | "ip6" | "ether" | "arp"),
        after @ ..,
    ] = rest
    {
        protocol = Some(*first);
        rest = after;
    }
    let mut side = 0;
    if let [first @ ("src" | "dst"), after @ ..] = rest {
        side = if *first == "src" { 1 } else { 2 };
        rest = after;
    }
    let (kind, value, more) = match rest {
        [
            kind @ ("port" | "portrange" | "host" | "net"),
            value,
            more @ ..,
        ] => (*kind, *value, more),
        [value, more @ ..] if side > 0 && is_value(value) => ("host", *value, more),
        _ => return None,
    };
    let value = value.trim_end_matches([')', ';']);
    let address = |value: &str| match (protocol, value.contains(':')) {
        (Some("ether"), _) => format!("{} == {value}", ["eth.addr", "eth.src", "eth.dst"][side]),
        (_, true) => format!("{} == {value}", ["ipv6.addr", "ipv6.src", "ipv6.dst"][side]),
        (_, false) => format!("{} == {value}", ["ip.addr", "ip.src", "ip.dst"][side]),
    };
    let ports = |test: &str| {
        let both = match protocol {
            Some("tcp") => &PORTS[..1],
            Some("udp") => &PORTS[1..],
            _ => &PORTS[..],
        };
        let tests: Vec<String> = both
            .iter()
            .map(|names| format!("{} {test}", names[side]))
            .collect();
        tests.join(" or ")
    };
    let written = match kind {
        "port" => ports(&format!("== {value}")),
        "portrange" => ports(&format!("in {{{}}}", value.replacen('-', "..", 1))),
        _ => address(value),
    };
    let so = if more.is_empty() {
        "write"
    } else {
        "its beginning would be"
    };
    Some(format!(
        "this is a capture filter; as a display filter, {so}: {written}"
    ))
}

fn is_value(word: &str) -> bool {
    word.starts_with(|c: char| c.is_ascii_digit())
}
