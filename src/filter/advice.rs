//! Wireshark's display filters, known only to say that a capture filter is wanted, and which.

use crate::proto;

/// Fields whose comparison with a value has a short form in capture filters.
const SHORT: &[(&str, &str)] = &[
    ("tcp.port", "tcp port"),
    ("tcp.srcport", "tcp src port"),
    ("tcp.dstport", "tcp dst port"),
    ("udp.port", "udp port"),
    ("udp.srcport", "udp src port"),
    ("udp.dstport", "udp dst port"),
    ("ip.addr", "host"),
    ("ip.src", "src host"),
    ("ip.dst", "dst host"),
    ("ipv6.addr", "host"),
    ("ipv6.src", "src host"),
    ("ipv6.dst", "dst host"),
];

/// Between a field and its value, longest first.
const OPERATORS: &[&str] = &[
    "===",
    "!==",
    "==",
    "!=",
    ">=",
    "<=",
    "~=",
    ">",
    "<",
    "eq ",
    "ne ",
    "gt ",
    "lt ",
    "ge ",
    "le ",
    "in ",
    "contains ",
    "matches ",
];

/// `text` begins with a display filter.
pub(super) fn begins(text: &str) -> bool {
    advice(text).is_some()
}

/// What to tell whoever wrote a display filter at the beginning of `text`; `None` when it is none.
pub(super) fn advice(text: &str) -> Option<String> {
    let text = text.trim_start();
    let is_part = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    let (name, rest) = text.split_at(text.find(|c| !is_part(c)).unwrap_or(text.len()));
    let rest = rest.trim_start();
    let operator = OPERATORS.iter().find(|known| rest.starts_with(**known));
    let short = SHORT.iter().find(|(field, _)| *field == name);
    let mut fields = proto::ALL.iter().flat_map(|protocol| protocol.fields);
    // A field's name has a dot: `len > 100` is a capture filter, and `frame` may be a host.
    let is_field = operator.is_some() || short.is_some() || fields.any(|field| field.name == name);
    if !name.contains('.') || !is_field {
        return None;
    }
    let general =
        "this is a display filter as in Wireshark, which -Y takes; a capture filter is wanted here"
            .to_owned();
    let (Some((_, short)), Some(operator)) = (short, operator) else {
        return Some(general + ", such as: tcp port 80");
    };
    let value = rest[operator.len()..].trim_start();
    let end = value.find(|c: char| c.is_whitespace() || "()!&|".contains(c));
    let value = &value[..end.unwrap_or(value.len())];
    let not = match *operator {
        "==" | "eq " => "",
        "!=" | "ne " => "not ",
        _ => return Some(general + ", such as: tcp port 80"),
    };
    let short = match value.contains('/') {
        true => short.replace("host", "net"),
        false => (*short).to_owned(),
    };
    Some(format!("{general}: {not}{short} {value}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn display_filters_get_the_capture_filter_where_it_is_short() {
        for (display, capture) in [
            ("tcp.port == 80", ": tcp port 80"),
            ("tcp.port==80&&udp", ": tcp port 80"),
            ("udp.dstport eq 53", ": udp dst port 53"),
            ("ip.addr != 10.0.0.1)", ": not host 10.0.0.1"),
            ("ip.src == 10.0.0.0/8", ": src net 10.0.0.0/8"),
            ("tcp.flags.syn == 1", ", such as: tcp port 80"),
            ("tcp.flags.syn", ", such as: tcp port 80"),
            ("frame.len > 100", ", such as: tcp port 80"),
        ] {
            let advice = advice(display).unwrap_or_default();
            assert!(
                advice.ends_with(&format!("wanted here{capture}")),
                "{display}: {advice}"
            );
        }
    }

    #[test]
    fn hosts_files_and_capture_filters_are_none() {
        for text in [
            "",
            "example.org",
            "example.org and port 80",
            "trace.pcapng",
            "frame",
            "len > 100",
            "10.0.0.1",
            "port 80",
            "in-a-host",
        ] {
            assert_eq!(advice(text), None, "{text}");
        }
    }
}
