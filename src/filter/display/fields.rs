//! Names of fields and protocols: every row of the tables, and Wireshark's names that stand for several rows.

use super::value::Class;
use crate::{
    field::{At, Field, Kind},
    proto,
    protocol::Protocol,
};

/// What a name stands for.
#[derive(Clone, Debug)]
pub(super) struct Source {
    pub(super) name: String,
    pub(super) class: Class,
    pub(super) of: Of,
}

#[derive(Clone, Debug)]
pub(super) enum Of {
    /// Protocols of that name: their bytes.
    Protocols(Vec<&'static Protocol>),
    /// Rows of that name.
    Rows(Vec<Row>),
    /// What a protocol carries.
    Payload(&'static Protocol),
}

/// Rows of one protocol, read together.
#[derive(Clone, Debug)]
pub(super) struct Row {
    pub(super) protocol: &'static Protocol,
    /// At fixed places, or written by tracking.
    pub(super) fixed: Vec<&'static Field>,
    /// Found by walking the layer.
    pub(super) walked: Vec<&'static Field>,
}

/// Names that stand for other fields: a value for each of theirs. Those ending in `host` are the addresses as text, since
/// nobody is asked for the names of the addresses in a packet.
pub(super) const ALIASES: &[(&str, &[&str])] = &[
    ("eth.addr", &["eth.dst", "eth.src"]),
    ("eth.addr.oui", &["eth.dst.oui", "eth.src.oui"]),
    ("eth.ig", &["eth.dst.ig", "eth.src.ig"]),
    ("eth.lg", &["eth.dst.lg", "eth.src.lg"]),
    ("frame.time", &["frame.time_epoch"]),
    ("ip.addr", &["ip.src", "ip.dst"]),
    ("ip.cur_rt_host", &["ip.cur_rt"]),
    ("ip.dst_host", &["ip.dst"]),
    ("ip.empty_rt_host", &["ip.empty_rt"]),
    ("ip.host", &["ip.src", "ip.dst"]),
    ("ip.rec_rt_host", &["ip.rec_rt"]),
    ("ip.src_host", &["ip.src"]),
    ("ip.src_rt_host", &["ip.src_rt"]),
    ("ipv6.addr", &["ipv6.src", "ipv6.dst"]),
    ("ipv6.dst_host", &["ipv6.dst"]),
    ("ipv6.host", &["ipv6.src", "ipv6.dst"]),
    ("ipv6.src_host", &["ipv6.src"]),
    ("tcp.port", &["tcp.srcport", "tcp.dstport"]),
    ("udp.port", &["udp.srcport", "udp.dstport"]),
];

/// Numbers over several rows of a table, which only filters need.
static WHOLES: &[(&Protocol, Field)] = &[
    (
        &proto::tcp::PROTOCOL,
        Field::bits(
            "tcp.flags",
            "Flags",
            Kind::Hex(3),
            (12, 4, 12),
            "All flags as one number (RFC 9293 §3.1).",
        ),
    ),
    (
        &proto::ipv4::PROTOCOL,
        Field::at(
            "ip.dsfield",
            "Differentiated services field",
            Kind::Hex(2),
            1,
            8,
            "Service and congestion as one byte (RFC 2474 §3).",
        ),
    ),
    (
        &proto::ipv4::PROTOCOL,
        Field::bits(
            "ip.flags",
            "Flags",
            Kind::Hex(1),
            (6, 0, 3),
            "The three flags as one number (RFC 791 §3.1).",
        ),
    ),
    (
        &proto::ipv6::PROTOCOL,
        Field::bits(
            "ipv6.tclass",
            "Traffic class",
            Kind::Hex(2),
            (0, 4, 8),
            "Service and congestion as one byte (RFC 8200 §7).",
        ),
    ),
    (
        &proto::ethernet::PROTOCOL,
        Field::at(
            "eth.dst.oui",
            "Vendor of the destination",
            Kind::Hex(6),
            0,
            24,
            "The first half of the address (IEEE 802).",
        ),
    ),
    (
        &proto::ethernet::PROTOCOL,
        Field::at(
            "eth.src.oui",
            "Vendor of the source",
            Kind::Hex(6),
            6,
            24,
            "The first half of the address (IEEE 802).",
        ),
    ),
];

/// Names of what a protocol carries.
static PAYLOADS: &[(&str, &Protocol)] = &[
    ("tcp.payload", &proto::tcp::PROTOCOL),
    ("udp.payload", &proto::udp::PROTOCOL),
];

/// Protocols whose bytes, cut and counted, are all that follow: those that Wireshark shows so. Of others they are the header.
const WITH_PAYLOAD: &[&str] = &[
    "ah", "arp", "data", "erspan", "frame", "geneve", "gre", "gtp", "icmp", "icmpv6", "igmp",
    "llc", "pim", "ppp", "raw", "tcp",
];

/// The bytes of `protocol` go on past its header.
pub(super) fn with_payload(protocol: &Protocol) -> bool {
    WITH_PAYLOAD.contains(&protocol.name)
}

/// The rows called `name`, over all protocols.
fn rows(name: &str) -> impl Iterator<Item = (&'static Protocol, &'static Field)> {
    let tables = proto::ALL.iter().flat_map(move |protocol| {
        let fields = protocol.fields.iter().filter(move |f| f.name == name);
        fields.map(move |field| (*protocol, *field))
    });
    let wholes = WHOLES.iter().filter(move |(_, field)| field.name == name);
    tables.chain(wholes.map(|(protocol, field)| (*protocol, field)))
}

fn names_of(alias: &str) -> &'static [&'static str] {
    let found = ALIASES.iter().find(|(name, _)| *name == alias);
    found.map_or(&[], |(_, names)| names)
}

/// `name` is known.
pub(super) fn exists(name: &str) -> bool {
    !names_of(name).is_empty()
        || PAYLOADS.iter().any(|(payload, _)| *payload == name)
        || proto::ALL.iter().any(|p| p.name == name)
        || rows(name).next().is_some()
}

/// Every name that a filter can use.
pub(super) fn all() -> impl Iterator<Item = &'static str> {
    let rows = proto::ALL
        .iter()
        .flat_map(|p| p.fields.iter().map(|f| f.name));
    let protocols = proto::ALL.iter().map(|p| p.name);
    let aliases = ALIASES.iter().map(|(name, _)| *name);
    let wholes = WHOLES.iter().map(|(_, field)| field.name);
    let payloads = PAYLOADS.iter().map(|(name, _)| *name);
    protocols
        .chain(aliases)
        .chain(rows)
        .chain(wholes)
        .chain(payloads)
}

/// What `name` stands for; `None` where nobody knows it. A field goes before the protocol of its name.
pub(super) fn find(name: &str) -> Option<Source> {
    let several = names_of(name);
    let names = if several.is_empty() { &[name] } else { several };
    let mut found: Vec<Row> = Vec::new();
    let mut class = None;
    for (protocol, field) in names.iter().flat_map(|name| rows(name)) {
        class.get_or_insert_with(|| class_of(field));
        let known = found
            .iter()
            .position(|row| std::ptr::eq(row.protocol, protocol));
        let at = known.unwrap_or_else(|| {
            found.push(Row {
                protocol,
                fixed: Vec::new(),
                walked: Vec::new(),
            });
            found.len() - 1
        });
        match field.at {
            At::Walked => found[at].walked.push(field),
            At::Bits { .. } | At::Derived => found[at].fixed.push(field),
        }
    }
    if let Some(class) = class {
        return Some(Source {
            name: name.to_owned(),
            class: match name {
                "frame.time" => Class::Date,
                _ if name.ends_with("host") && !several.is_empty() => Class::Host,
                _ => class,
            },
            of: Of::Rows(found),
        });
    }
    if let Some((_, protocol)) = PAYLOADS.iter().find(|(payload, _)| *payload == name) {
        return Some(Source {
            name: name.to_owned(),
            class: Class::Bytes,
            of: Of::Payload(protocol),
        });
    }
    let same = proto::ALL.iter().filter(|p| p.name == name).copied();
    let protocols: Vec<_> = same.collect();
    (!protocols.is_empty()).then(|| Source {
        name: name.to_owned(),
        class: Class::Protocol,
        of: Of::Protocols(protocols),
    })
}

impl Source {
    /// The names of its values.
    pub(super) fn names(&self) -> &'static [(u64, &'static str)] {
        let Of::Rows(rows) = &self.of else {
            return &[];
        };
        let mut fields = rows
            .iter()
            .flat_map(|row| row.fixed.iter().chain(&row.walked));
        fields
            .find(|f| !f.names.is_empty())
            .map_or(&[], |f| f.names)
    }
}

fn class_of(field: &'static Field) -> Class {
    match field.kind {
        Kind::Flag => Class::Bool,
        Kind::Uint | Kind::Hex(_) => Class::Number { most: most(field) },
        Kind::Int => Class::Signed,
        Kind::Mac => Class::Mac,
        Kind::Ipv4 => Class::Ipv4,
        Kind::Ipv6 => Class::Ipv6,
        Kind::Bytes => Class::Bytes,
        Kind::Text => Class::Text,
        Kind::Time | Kind::Duration => Class::Time,
        Kind::Mark => Class::Mark,
    }
}

/// The largest number that whole bytes of the field's size hold.
fn most(field: &Field) -> u64 {
    let bits = match (field.at, field.kind) {
        (At::Bits { bits, .. }, _) => u32::from(bits),
        (_, Kind::Hex(digits)) => u32::from(digits) * 4,
        _ => 64,
    };
    let whole = [8, 16, 24, 32].into_iter().find(|n| bits <= *n);
    whole.map_or(u64::MAX, |n| (1 << n) - 1)
}

/// Known names near `name`, the nearest first: one slip away, or those that end or begin like it.
pub(super) fn near(name: &str) -> Vec<&'static str> {
    let lower = name.to_ascii_lowercase();
    let last = lower.rsplit('.').next().unwrap_or_default();
    let mut found: Vec<(usize, &str)> = all()
        .filter_map(|known| {
            let slips = crate::text::slips(&lower, known);
            let inside = last.len() > 2
                && (known.rsplit('.').next() == Some(last) || known.split('.').any(|p| p == lower));
            match slips {
                None if inside => Some((known.len(), known)),
                slips => Some((slips?, known)),
            }
        })
        .collect();
    found.sort_unstable();
    found.dedup();
    found.into_iter().map(|(_, known)| known).take(3).collect()
}
