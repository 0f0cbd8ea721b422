//! `sockwire protocols`: the protocols that are decoded, and the fields of each, straight from their tables.

use std::fmt::Write as _;

use anyhow::anyhow;
use serde_json::json;
use sockwire::{
    field::{Field, Kind},
    proto,
    protocol::{Claim, Protocol},
};

use super::{Exit, Failure, Global, Outcome, output::Output};

const EXAMPLES: &str = "\
Examples:
  sockwire protocols              all protocols, and by what each is found
  sockwire protocols tcp          the fields of TCP
  sockwire protocols tcp.flags.syn
  sockwire protocols tcp --json   the same, one JSON object a field";

/// Lists the protocols that are decoded, or the fields of one
#[derive(clap::Args)]
#[command(before_help = EXAMPLES)]
pub(crate) struct Args {
    /// A protocol (tcp) or a field (tcp.flags.syn)
    #[arg(value_name = "NAME")]
    name: Option<String>,
    /// One JSON object a line
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub(crate) fn run(args: Args, global: &Global) -> Outcome {
    let mut stdout = Output::stdout(global.ascii)?;
    let out = &mut stdout.text;
    match &args.name {
        None => {
            for protocol in proto::ALL {
                write_protocol(out, protocol, args.json);
            }
        }
        Some(name) => {
            let (protocol, field) = find(name)?;
            if field.is_none() && !args.json {
                write_protocol(out, protocol, false);
                out.push('\n');
            }
            for candidate in protocol.fields {
                if field.is_none_or(|wanted| candidate.is(wanted)) {
                    write_field(out, candidate, args.json);
                }
            }
        }
    }
    stdout.flush()?;
    Ok(Exit::Done)
}

type Found = (&'static Protocol, Option<&'static Field>);

/// The protocol, or the field, of this name; else a failure that suggests the nearest.
fn find(name: &str) -> Result<Found, Failure> {
    let name = name.to_lowercase();
    for &protocol in proto::ALL {
        if protocol.name == name || protocol.label.eq_ignore_ascii_case(&name) {
            return Ok((protocol, None));
        }
        if let Some(&field) = protocol.fields.iter().find(|field| field.name == name) {
            return Ok((protocol, Some(field)));
        }
    }
    let fields = proto::ALL.iter().flat_map(|protocol| protocol.fields);
    let known = proto::ALL.iter().map(|protocol| protocol.name);
    let nearest = known
        .chain(fields.map(|field| field.name))
        .min_by_key(|known| distance(known, &name))
        .filter(|known| distance(known, &name) <= 1 + name.len() / 4);
    let hint = match nearest {
        Some(near) => format!("did you mean {near}?"),
        None => "sockwire protocols lists them".to_owned(),
    };
    Err(Failure::new(
        Exit::Usage,
        anyhow!("no protocol or field is called {name}; {hint}"),
    ))
}

/// How many letters must be put in, left out or changed to make one word of the other.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let changed = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = changed.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

fn write_protocol(out: &mut String, protocol: &Protocol, json: bool) {
    let claims: Vec<String> = protocol.claims.iter().filter_map(claim_in_words).collect();
    // Writing to a String cannot fail.
    let _ = if json {
        writeln!(
            out,
            "{}",
            json!({
                "protocol": protocol.name,
                "title": protocol.title,
                "spec": protocol.spec,
                "claims": claims,
                "fields": protocol.fields.len(),
            })
        )
    } else {
        let [name, title, spec] = widths();
        let line = format!(
            "{:<name$}  {:<title$}  {:<spec$}  {}",
            protocol.name,
            protocol.title,
            protocol.spec,
            claims.join(", ")
        );
        writeln!(out, "{}", line.trim_end())
    };
}

/// Columns wide enough for every protocol's name, title and specification.
fn widths() -> [usize; 3] {
    let widest = |text: fn(&Protocol) -> &str| {
        let widths = proto::ALL
            .iter()
            .map(|protocol| text(protocol).chars().count());
        widths.max().unwrap_or(0)
    };
    [widest(|p| p.name), widest(|p| p.title), widest(|p| p.spec)]
}

fn write_field(out: &mut String, field: &Field, json: bool) {
    if json {
        let values: serde_json::Map<String, serde_json::Value> = field
            .names
            .iter()
            .map(|(value, name)| (value.to_string(), (*name).into()))
            .collect();
        let _ = writeln!(
            out,
            "{}",
            json!({
                "field": field.name,
                "kind": kind_in_words(field.kind),
                "many": field.many,
                "title": field.title,
                "doc": field.doc,
                "values": values,
            })
        );
        return;
    }
    let many = if field.many { ", several" } else { "" };
    let kind = format!("{}{many}", kind_in_words(field.kind));
    let _ = writeln!(out, "{:<36}{kind:<24}{}", field.name, field.title);
    let _ = writeln!(out, "    {}", field.doc);
}

fn kind_in_words(kind: Kind) -> &'static str {
    match kind {
        Kind::Flag => "flag",
        Kind::Uint => "number",
        Kind::Int => "signed number",
        Kind::Hex(_) => "hexadecimal number",
        Kind::Mac => "hardware address",
        Kind::Ipv4 => "IPv4 address",
        Kind::Ipv6 => "IPv6 address",
        Kind::Bytes => "bytes",
        Kind::Text => "text",
        Kind::Time => "time",
        Kind::Duration => "seconds",
        Kind::Mark => "mark",
    }
}

/// `None` for a protocol that only others name.
fn claim_in_words(claim: &Claim) -> Option<String> {
    Some(match *claim {
        Claim::Link(link) => match link.name() {
            Some(name) => format!("link type {name}"),
            None => link.to_string(),
        },
        Claim::EtherType(number) => format!("EtherType 0x{number:04x}"),
        Claim::Llc(number) => format!("LLC 0x{number:02x}"),
        Claim::IpProto(number) => format!("IP protocol {number}"),
        Claim::UdpPort(number) => format!("UDP port {number}"),
        Claim::TcpPort(number) => format!("TCP port {number}"),
        Claim::Ppp(number) => format!("PPP 0x{number:04x}"),
        Claim::Name(_) => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_protocols_and_fields_and_suggests_the_near_one() {
        assert!(matches!(find("udp"), Ok((protocol, None)) if protocol.name == "udp"));
        assert!(matches!(find("UDP"), Ok((_, None))));
        assert!(matches!(find("udp.srcport"), Ok((_, Some(field))) if field.name == "udp.srcport"));
        let said =
            |name| find(name).map_or_else(|failure| failure.error.to_string(), |_| String::new());
        assert!(said("udp.srcprot").ends_with("did you mean udp.srcport?"));
        assert!(said("zzzzzzzz").ends_with("sockwire protocols lists them"));
    }

    #[test]
    fn distance_counts_changes() {
        assert_eq!(distance("tcp", "tcp"), 0);
        assert_eq!(distance("tcp", "tpc"), 2);
        assert_eq!(distance("", "udp"), 3);
        assert_eq!(distance("icmp", "icmpv6"), 2);
    }
}
