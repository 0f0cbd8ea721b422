//! Questions and records of DNS in Scapy's spelling, as the words that write them.

use super::{Call, Place, Value};
use crate::{
    craft::parse::{Fault, Word},
    text::to_percent,
};

/// Records: Scapy's name, the type where the name tells it, and the fields of their data, in order.
static RECORDS: &[(&str, &str, &[&str])] = &[
    ("DNSRR", "", &["rdata"]),
    ("DNSRRMX", "MX", &["preference", "exchange"]),
    (
        "DNSRRSOA",
        "SOA",
        &[
            "mname", "rname", "serial", "refresh", "retry", "expire", "minimum",
        ],
    ),
    ("DNSRRSRV", "SRV", &["priority", "weight", "port", "target"]),
];

/// Questions and records, as the words of a message.
pub(super) fn records(
    section: &str,
    calls: Vec<Call>,
    place: &Place,
    out: &mut Vec<Word>,
) -> Result<(), Fault> {
    for call in calls {
        let text = record(call, place)?;
        out.push(place.word(section, Some(text)));
    }
    Ok(())
}

/// `NAME:TYPE:CLASS[:TTL:DATA]`, with names in full, as Scapy writes them.
fn record(mut call: Call, place: &Place) -> Result<String, Fault> {
    let mut take = |word: &str| {
        let at = call
            .words
            .iter()
            .position(|(name, value)| name == word && !matches!(value, Value::Nothing));
        at.map(|at| call.words.swap_remove(at).1)
    };
    let text = |value: Option<Value>, usual: &str| match value {
        None => Ok(usual.to_owned()),
        Some(Value::Bare(text)) => Ok(text),
        Some(Value::Text(bytes) | Value::Bytes(bytes)) => Ok(to_percent(&bytes, b"-_.")),
        Some(_) => Err(place.fault("expected numbers and text in a record")),
    };
    let class = |value: Option<Value>| {
        let class = text(value, "IN")?;
        Ok(match class.parse::<u16>() {
            Ok(number) => format!("CLASS{number}"),
            Err(_) => class,
        })
    };
    if call.name == "DNSQR" {
        let name = full(text(take("qname"), "www.example.com")?);
        let kind = text(take("qtype"), "A")?;
        let of_class = class(take("qclass"))?;
        return done(&call, format!("{name}:{kind}:{of_class}"), place);
    }
    if call.name == "DNSRROPT" {
        let name = full(text(take("rrname"), ".")?);
        let size = text(take("rclass"), "4096")?;
        let flags = text(take("z"), "0")?;
        return done(
            &call,
            format!(
                "{name}:OPT:{size}:{}",
                if flags == "D0" { "do" } else { &flags }
            ),
            place,
        );
    }
    let Some((_, known, fields)) = RECORDS.iter().find(|(name, ..)| *name == call.name) else {
        let names: Vec<&str> = RECORDS.iter().map(|(name, ..)| *name).collect();
        return Err(place.fault(&format!("expected DNSQR, DNSRROPT or {}", names.join(", "))));
    };
    let name = full(text(take("rrname"), ".")?);
    let kind = match take("type") {
        None if known.is_empty() => "A".to_owned(),
        None => (*known).to_owned(),
        Some(kind) => text(Some(kind), "")?,
    };
    let of_class = class(take("rclass"))?;
    let ttl = text(take("ttl"), "0")?;
    let mut said = format!("{name}:{kind}:{of_class}:{ttl}");
    let is_address = kind.eq_ignore_ascii_case("A")
        || kind.eq_ignore_ascii_case("AAAA")
        || kind == "1"
        || kind == "28";
    let is_text = kind.eq_ignore_ascii_case("TXT") || kind == "16";
    for field in *fields {
        let strings = match take(field) {
            Some(Value::List(items)) => items,
            value => value.into_iter().collect(),
        };
        for value in strings {
            said.push(':');
            let is_name =
                matches!(value, Value::Text(_) | Value::Bytes(_)) && !is_address && !is_text;
            match value {
                Value::Text(bytes) if is_address => said.push_str(&String::from_utf8_lossy(&bytes)),
                value if is_name => said.push_str(&full(text(Some(value), "")?)),
                value => said.push_str(&text(Some(value), "")?),
            }
        }
    }
    done(&call, said, place)
}

/// All that the call says was taken.
fn done(call: &Call, said: String, place: &Place) -> Result<String, Fault> {
    let mut left = call
        .words
        .iter()
        .filter(|(_, value)| !matches!(value, Value::Nothing));
    match left.next() {
        Some((name, _)) => Err(place.fault(&format!("{} has no {name} here", call.name))),
        None => Ok(said),
    }
}

/// The name with the dot that keeps it from being compressed.
fn full(mut name: String) -> String {
    if !name.ends_with('.') {
        name.push('.');
    }
    name
}
