//! `sockwire protocols`: the protocols that are decoded, and the fields of each, straight from their tables.

use std::fmt::Write as _;

use serde_json::json;
use sockwire::{
    field::{Field, Kind},
    proto,
    protocol::{Claim, Protocol},
    text::near,
};

use super::{
    Exit, Failure, Global, Outcome,
    output::{Output, write_wrapped},
    usage,
};

/// The longest line of the list: what any terminal holds.
const COLUMNS: usize = 80;

const EXAMPLES: &str = "\
Examples:
  sockwire protocols              all protocols, and by what each is found
  sockwire protocols tcp          the fields of TCP
  sockwire protocols tcp.flags    those that begin so
  sockwire protocols tcp --json   the same, one JSON object a field";

/// Lists the protocols that are decoded, or the fields of one
#[derive(clap::Args)]
#[command(before_help = EXAMPLES)]
pub(crate) struct Args {
    /// A protocol (tcp), a field (tcp.flags.syn), or what fields begin with (tcp.flags)
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
            let (protocols, fields) = find(name)?;
            if !args.json {
                for protocol in &protocols {
                    write_protocol(out, protocol, false);
                    out.push('\n');
                }
            }
            for field in fields {
                write_field(out, field, args.json);
            }
        }
    }
    stdout.flush()?;
    Ok(Exit::Done)
}

/// The protocols that are meant as a whole, and fields.
type Found = (Vec<&'static Protocol>, Vec<&'static Field>);

/// The protocol of this name (two versions that share their fields, for `sll`), the field, or the fields that begin with
/// it; else a failure that suggests the nearest.
fn find(name: &str) -> Result<Found, Failure> {
    let name = name.to_lowercase();
    let is_protocol = |p: &&&Protocol| p.name == name || p.label.eq_ignore_ascii_case(&name);
    let named: Vec<&Protocol> = proto::ALL.iter().filter(is_protocol).copied().collect();
    if let Some(protocol) = named.first() {
        let fields = protocol.fields.to_vec();
        return Ok((named, fields));
    }
    let group = format!("{name}.");
    for protocol in proto::ALL {
        let all = protocol.fields.iter().copied();
        let some: Vec<_> = all
            .filter(|field| field.name == name || field.name.starts_with(&group))
            .collect();
        if !some.is_empty() {
            return Ok((Vec::new(), some));
        }
    }
    let fields = proto::ALL.iter().flat_map(|protocol| protocol.fields);
    let known = proto::ALL.iter().map(|protocol| protocol.name);
    let hint = match near(&name, known.chain(fields.map(|field| field.name))) {
        Some(near) => format!("did you mean {near}?"),
        None => "sockwire protocols lists them".to_owned(),
    };
    Err(usage(format!(
        "no protocol or field is called {name}; {hint}"
    )))
}

fn write_protocol(out: &mut String, protocol: &Protocol, json: bool) {
    let claims = protocol.claims.iter().filter_map(claim_in_words);
    if json {
        let claims: Vec<String> = claims
            .map(|(kind, number)| format!("{kind} {number}"))
            .collect();
        // Writing to a String cannot fail.
        let _ = writeln!(
            out,
            "{}",
            json!({
                "protocol": protocol.name,
                "title": protocol.title,
                "spec": protocol.spec,
                "claims": claims,
                "fields": protocol.fields.len(),
            })
        );
        return;
    }
    let width = proto::ALL.iter().map(|p| p.name.len()).max().unwrap_or(0);
    let _ = writeln!(out, "{:<width$}  {}", protocol.name, protocol.title);
    let mut found = protocol.spec.to_owned();
    let mut last = "";
    for (kind, number) in claims {
        // One kind is named once: "EtherType 0x8847, 0x8848".
        found += &match kind == last {
            true => format!(", {number}"),
            false => format!("; {kind} {number}"),
        };
        last = kind;
    }
    write_wrapped(out, width + 2, COLUMNS, &found);
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
    let _ = writeln!(out, "{:<40}{}{many}", field.name, kind_in_words(field.kind));
    write_wrapped(out, 4, COLUMNS, &format!("{}. {}", field.title, field.doc));
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

/// Kind and number; `None` for a protocol that only others name.
fn claim_in_words(claim: &Claim) -> Option<(&'static str, String)> {
    Some(match *claim {
        Claim::Link(link) => (
            "link type",
            link.name()
                .map_or_else(|| link.0.to_string(), str::to_owned),
        ),
        Claim::EtherType(number) => ("EtherType", format!("0x{number:04x}")),
        Claim::Llc(number) => ("LLC", format!("0x{number:02x}")),
        Claim::IpProto(number) => ("IP protocol", number.to_string()),
        Claim::UdpPort(number) => ("UDP port", number.to_string()),
        Claim::TcpPort(number) | Claim::StreamPort(number) => ("TCP port", number.to_string()),
        Claim::Ppp(number) => ("PPP", format!("0x{number:04x}")),
        Claim::Name(_) => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_protocols_and_fields_and_suggests_the_near_one() {
        assert!(matches!(find("udp"), Ok((udp, _)) if udp.len() == 1 && udp[0].name == "udp"));
        assert!(matches!(find("UDP"), Ok((udp, _)) if udp.len() == 1));
        // Two versions share one table.
        assert!(matches!(find("sll"), Ok((both, fields)) if both.len() == 2 && fields.len() == 12));
        let names = |name| match find(name) {
            Ok((protocols, fields)) if protocols.is_empty() => {
                fields.iter().map(|field| field.name).collect()
            }
            _ => Vec::new(),
        };
        assert_eq!(names("udp.srcport"), ["udp.srcport"]);
        let flags = names("tcp.flags");
        assert!(
            flags.len() > 8 && flags.contains(&"tcp.flags.syn"),
            "{flags:?}"
        );
        assert!(flags.iter().all(|name| name.starts_with("tcp.flags")));
        let said =
            |name| find(name).map_or_else(|failure| failure.error.to_string(), |_| String::new());
        assert!(said("udp.srcprot").ends_with("did you mean udp.srcport?"));
        assert!(said("tpc").ends_with("did you mean tcp?"));
        assert!(said("zzzzzzzz").ends_with("sockwire protocols lists them"));
    }

    #[test]
    fn everything_fits_on_a_terminal() {
        let mut text = String::new();
        for protocol in proto::ALL {
            write_protocol(&mut text, protocol, false);
            for field in protocol.fields {
                write_field(&mut text, field, false);
            }
        }
        for line in text.lines() {
            assert!(line.chars().count() <= COLUMNS, "{line}");
            assert_eq!(line, line.trim_end());
        }
        let mpls = "EtherType 0x8847, 0x8848; PPP 0x0281, 0x0283";
        assert!(text.contains(mpls) && text.contains("link type PPP, PPP_SERIAL"));
    }
}
