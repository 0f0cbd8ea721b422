//! Internet group management: a router asks which multicast groups hosts listen to, and they report.
//!
//! Spec: version 1 RFC 1112 appendix I, version 2 RFC 2236, version 3 RFC 3376.
//!
//! ```text
//!  0      1          2          4       8                                  12
//! | type | max resp | checksum | group | v3 query: flags, QQIC, sources … |
//! | 22   | reserved | checksum | reserved, records (2) | v3 report: records …
//! ```

mod craft;

use crate::{
    field::{Field, Kind, Value, Visit},
    layer::View,
    line::Line,
    proto::verify::{self, status},
    protocol::{Claim, Context, Dissected, Next, Protocol},
};
use std::{net::Ipv4Addr, ops::ControlFlow};

const HEADER: usize = 8;
/// A version 3 query up to its sources (RFC 3376 §4.1).
const QUERY3: usize = 12;
/// A group record up to its sources (RFC 3376 §4.2.3).
const RECORD: usize = 8;

const QUERY: u8 = 0x11;
const REPORT1: u8 = 0x12;
const REPORT2: u8 = 0x16;
const LEAVE: u8 = 0x17;
const REPORT3: u8 = 0x22;

/// IGMP.
pub static PROTOCOL: Protocol = Protocol {
    name: "igmp",
    label: "IGMP",
    title: "Internet Group Management Protocol",
    spec: "RFC 3376",
    claims: &[Claim::IpProto(2)],
    fields: FIELDS,
    dissect,
    walk: Some(walk),
    line,
    addresses: None,
    craft: Some(&craft::CRAFT),
};

const TYPES: &[(u64, &str)] = &[
    (0x11, "Query"),
    (0x12, "Report v1"),
    (0x13, "DVMRP"),
    (0x14, "PIM v1"),
    (0x16, "Report v2"),
    (0x17, "Leave"),
    (0x1e, "Trace route response"),
    (0x1f, "Trace route"),
    (0x22, "Report v3"),
];
const RECORD_TYPES: &[(u64, &str)] = &[
    (1, "is include"),
    (2, "is exclude"),
    (3, "to include"),
    (4, "to exclude"),
    (5, "allow sources"),
    (6, "block sources"),
];

crate::fields! {
    VERSION = Field::walked("igmp.version", "Version", Kind::Uint, "By type and length; no field tells it (RFC 3376 §7.1).");
    TYPE = Field::walked("igmp.type", "Type", Kind::Hex(2), "Query, report or leave (RFC 3376 §4).").names(TYPES);
    MAX_RESP = Field::walked("igmp.max_resp", "Max response time", Kind::Uint, "Tenths of a second in which hosts answer (RFC 2236 §2.2, RFC 3376 §4.1.1).");
    RESERVED = Field::walked("igmp.reserved", "Reserved", Kind::Bytes, "Zero (RFC 3376 §4.2.1).").many();
    CHECKSUM = Field::walked("igmp.checksum", "Checksum", Kind::Hex(4), "Over the whole message (RFC 3376 §4.1.2).");
    CHECKSUM_STATUS = Field::walked("igmp.checksum.status", "Checksum status", Kind::Uint, "Wireshark's number for the outcome of the check.").names(status::NAMES);
    CHECKSUM_WORD = Field::walked("sockwire.checksum", "Checksum verdict", Kind::Text, "Whether the checksum is right, wrong, or cannot be told.");
    S = Field::walked("igmp.s", "Suppress", Kind::Flag, "Other routers must not change their timers (RFC 3376 §4.1.5).");
    QRV = Field::walked("igmp.qrv", "Robustness", Kind::Uint, "How many packets may be lost (RFC 3376 §4.1.6).");
    QQIC = Field::walked("igmp.qqic", "Query interval", Kind::Uint, "Code of the querier's interval in seconds (RFC 3376 §4.1.7).");
    NUM_GRP_RECS = Field::walked("igmp.num_grp_recs", "Group records", Kind::Uint, "How many records follow (RFC 3376 §4.2.2).");
    RECORD_TYPE = Field::walked("igmp.record_type", "Record type", Kind::Uint, "The host's state for a group, or how it changes (RFC 3376 §4.2.12).").names(RECORD_TYPES).many();
    AUX_DATA_LEN = Field::walked("igmp.aux_data_len", "Auxiliary length", Kind::Uint, "Words of 4 bytes after the sources (RFC 3376 §4.2.6).").many();
    NUM_SRC = Field::walked("igmp.num_src", "Sources", Kind::Uint, "How many source addresses follow (RFC 3376 §4.1.8).").many();
    MADDR = Field::walked("igmp.maddr", "Group", Kind::Ipv4, "The multicast group; 0.0.0.0 asks for all (RFC 3376 §4.1.3).").many();
    SADDR = Field::walked("igmp.saddr", "Source", Kind::Ipv4, "A sender that is asked for, wanted or refused (RFC 3376 §4.1.9).").many();
    AUX_DATA = Field::walked("igmp.aux_data", "Auxiliary data", Kind::Bytes, "None is defined (RFC 3376 §4.2.11).").many();
}

/// What the type and length make of a message.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    /// Versions 1 and 2: eight bytes.
    Plain {
        version: u64,
    },
    Query3,
    Report3,
    /// DVMRP, PIM v1 and others that only share the protocol number.
    Other,
}

/// RFC 3376 §7.1: a query of 8 bytes is version 1 when its response time is zero, else 2; a longer one is version 3.
fn form(bytes: &[u8], wire: u32) -> Option<Form> {
    let max_resp = bytes.get(1).copied();
    Some(match *bytes.first()? {
        QUERY if wire >= QUERY3 as u32 => Form::Query3,
        QUERY => Form::Plain {
            version: if max_resp? == 0 { 1 } else { 2 },
        },
        REPORT1 => Form::Plain { version: 1 },
        REPORT2 | LEAVE => Form::Plain { version: 2 },
        REPORT3 => Form::Report3,
        _ => Form::Other,
    })
}

fn dissect(bytes: &[u8], context: &Context<'_>) -> Dissected {
    let form = form(bytes, context.wire);
    let fixed = if form == Some(Form::Query3) {
        QUERY3
    } else {
        HEADER
    };
    if bytes.len() < fixed {
        return Dissected::short(bytes, context, fixed);
    }
    let number = |at: usize| usize::from(u16::from_be_bytes([bytes[at], bytes[at + 1]]));
    let needed = match form {
        Some(Form::Query3) => QUERY3 + 4 * number(10),
        Some(Form::Report3) => records_end(bytes, number(6)),
        _ => HEADER,
    };
    if bytes.len() < needed {
        return Dissected::short(bytes, context, needed);
    }
    Dissected::new(bytes.len(), Next::End, context)
}

/// Where `count` group records end; past the end of `bytes` when there are fewer.
fn records_end(bytes: &[u8], count: usize) -> usize {
    let mut at = HEADER;
    for _ in 0..count {
        if at >= bytes.len() {
            return bytes.len() + RECORD;
        }
        at = record_end(bytes, at);
    }
    at
}

/// Where the group record at `at` ends by its own numbers, as far as they were captured.
fn record_end(bytes: &[u8], at: usize) -> usize {
    match bytes.get(at..).and_then(|rest| rest.first_chunk::<4>()) {
        Some(&[_, aux, hi, lo]) => {
            at + RECORD + 4 * usize::from(u16::from_be_bytes([hi, lo])) + 4 * usize::from(aux)
        }
        None => at + RECORD,
    }
}

/// RFC 3376 §4.1.1: from 128 on a code is a small floating-point number.
fn from_code(code: u8) -> u64 {
    match code {
        ..128 => code.into(),
        _ => u64::from(code & 0x0f | 0x10) << ((code >> 4 & 0x07) + 3),
    }
}

fn walk(view: &View<'_>, visit: &mut dyn Visit) -> ControlFlow<()> {
    let Some(form) = form(view.bytes(), view.layer.wire) else {
        return ControlFlow::Continue(());
    };
    let version = match form {
        Form::Plain { version } => Some(version),
        Form::Query3 | Form::Report3 => Some(3),
        Form::Other => None,
    };
    if let Some(version) = version {
        visit.field(&VERSION, Value::Uint(version), 0..0)?;
    }
    let byte = |at: usize| view.u8(at).map(|b| (b, view.bits(at, 1)));
    if let Some((kind, bits)) = byte(0) {
        visit.field(&TYPE, Value::Uint(kind.into()), bits)?;
    }
    match (form, byte(1)) {
        (Form::Plain { version: 1 } | Form::Report3, Some((_, bits))) => {
            visit.field(&RESERVED, Value::Bytes(&view.bytes()[1..2]), bits)?;
        }
        (Form::Query3, Some((code, bits))) => {
            visit.field(&MAX_RESP, Value::Uint(from_code(code)), bits)?;
        }
        (Form::Plain { .. }, Some((code, bits))) => {
            visit.field(&MAX_RESP, Value::Uint(code.into()), bits)?;
        }
        _ => return ControlFlow::Continue(()),
    }
    if let Some(sum) = view.u16(2) {
        visit.field(&CHECKSUM, Value::Uint(sum.into()), view.bits(2, 2))?;
        let verdict = verify::plain(view);
        let fields = (&CHECKSUM_STATUS, &CHECKSUM_WORD);
        verify::show(fields, verify::number(verdict), verdict, visit)?;
    }
    match form {
        Form::Report3 => report(view, visit),
        Form::Query3 => {
            view.put((&MADDR, 4, 4), visit)?;
            query(view, visit)
        }
        _ => view.put((&MADDR, 4, 4), visit),
    }
}

/// What version 3 adds to a query.
fn query(view: &View<'_>, visit: &mut dyn Visit) -> ControlFlow<()> {
    let (Some(flags), Some(count)) = (view.u8(8), view.u16(10)) else {
        return ControlFlow::Continue(());
    };
    let start = view.bits(8, 1).start;
    visit.field(&S, Value::Bool(flags & 0x08 != 0), start + 4..start + 5)?;
    visit.field(
        &QRV,
        Value::Uint((flags & 0x07).into()),
        start + 5..start + 8,
    )?;
    view.put((&QQIC, 9, 1), visit)?;
    view.put((&NUM_SRC, 10, 2), visit)?;
    sources(view, visit, QUERY3, count)
}

/// `count` source addresses from `at` on, as far as captured.
fn sources(view: &View<'_>, visit: &mut dyn Visit, at: usize, count: u16) -> ControlFlow<()> {
    let captured = view.bytes().len().saturating_sub(at) / 4;
    for index in 0..captured.min(count.into()) {
        view.put((&SADDR, at + 4 * index, 4), visit)?;
    }
    ControlFlow::Continue(())
}

fn report(view: &View<'_>, visit: &mut dyn Visit) -> ControlFlow<()> {
    let bytes = view.bytes();
    let (Some(reserved), Some(count)) = (bytes.get(4..6), view.u16(6)) else {
        return ControlFlow::Continue(());
    };
    visit.field(&RESERVED, Value::Bytes(reserved), view.bits(4, 2))?;
    visit.field(&NUM_GRP_RECS, Value::Uint(count.into()), view.bits(6, 2))?;
    let mut at = HEADER;
    for _ in 0..count {
        let Some(&[kind, aux, hi, lo, ..]) =
            bytes.get(at..).and_then(|b| b.first_chunk::<RECORD>())
        else {
            break;
        };
        let count = u16::from_be_bytes([hi, lo]);
        visit.field(&RECORD_TYPE, Value::Uint(kind.into()), view.bits(at, 1))?;
        visit.field(&AUX_DATA_LEN, Value::Uint(aux.into()), view.bits(at + 1, 1))?;
        visit.field(&NUM_SRC, Value::Uint(count.into()), view.bits(at + 2, 2))?;
        view.put((&MADDR, at + 4, 4), visit)?;
        sources(view, visit, at + RECORD, count)?;
        let end = record_end(bytes, at);
        let data = end - 4 * usize::from(aux);
        if let Some(data_bytes) = bytes.get(data..end).filter(|b| !b.is_empty()) {
            visit.field(
                &AUX_DATA,
                Value::Bytes(data_bytes),
                view.bits(data, end - data),
            )?;
        }
        at = end;
    }
    ControlFlow::Continue(())
}

fn line(view: &View<'_>, line: &mut Line) {
    let bytes = view.bytes();
    let (Some(form), Some(kind)) = (form(bytes, view.layer.wire), view.u8(0)) else {
        return;
    };
    let name = TYPE.value_name(kind.into()).unwrap_or("type");
    let group = view
        .u32(4)
        .map_or(Ipv4Addr::UNSPECIFIED, Ipv4Addr::from_bits);
    match form {
        Form::Query3 => line.say(format_args!("Query v3 {group}")),
        Form::Plain { version } if kind == QUERY => {
            line.say(format_args!("Query v{version} {group}"));
        }
        Form::Plain { .. } => line.say(format_args!("{name} {group}")),
        Form::Report3 => {
            line.say(format_args!("{name}"));
            let first = view.u8(HEADER).zip(view.u32(HEADER + 4));
            if let Some((kind, group)) = first {
                let state = RECORD_TYPE.value_name(kind.into()).unwrap_or("record");
                line.add(format_args!("{} {state}", Ipv4Addr::from_bits(group)));
            }
            match view.u16(6).unwrap_or(0) {
                0 | 1 => {}
                more => line.add(format_args!("and {} more", more - 1)),
            }
        }
        Form::Other => line.say(format_args!("{name} 0x{kind:02x}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        layer::ProblemKind,
        proto::testing::{cut_everywhere, seen},
    };

    const CLAIM: Claim = Claim::IpProto(2);

    /// Fills in the checksum.
    fn sealed(mut bytes: Vec<u8>) -> Vec<u8> {
        let sum = crate::checksum::finish(crate::checksum::sum(0, &bytes));
        bytes[2..4].copy_from_slice(&sum.to_be_bytes());
        bytes
    }

    #[test]
    fn a_query_of_eight_bytes_is_version_1_or_2() {
        let bytes = sealed(vec![0x11, 100, 0, 0, 224, 0, 1, 5]);
        let found = seen(&PROTOCOL, CLAIM, &bytes);
        assert_eq!(
            found.pairs(),
            [
                ("igmp.version", "2"),
                ("igmp.type", "0x11"),
                ("igmp.max_resp", "100"),
                ("igmp.checksum", "0x0d96"),
                ("igmp.checksum.status", "1"),
                ("sockwire.checksum", "valid"),
                ("igmp.maddr", "224.0.1.5"),
            ]
        );
        assert_eq!(found.line, " →  Query v2 224.0.1.5");
        let found = seen(&PROTOCOL, CLAIM, &[0x11, 0, 0xee, 0xff, 0, 0, 0, 0]);
        assert_eq!(found.all("igmp.version"), ["1"]);
        assert_eq!(found.all("igmp.reserved"), ["00"]);
        cut_everywhere(&PROTOCOL, CLAIM, &bytes, 8);
    }

    #[test]
    fn a_longer_query_is_version_3() {
        let bytes = sealed(vec![
            0x11, 0xff, 0, 0, 0, 0, 0, 0, 0x0a, 125, 0, 1, 192, 0, 2, 1,
        ]);
        let found = seen(&PROTOCOL, CLAIM, &bytes);
        for (name, value) in [
            ("igmp.version", "3"),
            ("igmp.max_resp", "31744"),
            ("igmp.maddr", "0.0.0.0"),
            ("igmp.s", "true"),
            ("igmp.qrv", "2"),
            ("igmp.qqic", "125"),
            ("igmp.num_src", "1"),
            ("igmp.saddr", "192.0.2.1"),
        ] {
            assert_eq!(found.all(name), [value], "{name}");
        }
    }

    #[test]
    fn a_report_lists_its_records() {
        let bytes = sealed(vec![
            0x22, 0, 0, 0, 0, 0, 0, 2, 4, 0, 0, 0, 224, 0, 1, 5, 6, 1, 0, 1, 224, 0, 1, 6, 192, 0,
            2, 1, 7, 7, 7, 7,
        ]);
        let found = seen(&PROTOCOL, CLAIM, &bytes);
        assert_eq!(
            found.pairs()[6..],
            [
                ("igmp.reserved", "00:00"),
                ("igmp.num_grp_recs", "2"),
                ("igmp.record_type", "4"),
                ("igmp.aux_data_len", "0"),
                ("igmp.num_src", "0"),
                ("igmp.maddr", "224.0.1.5"),
                ("igmp.record_type", "6"),
                ("igmp.aux_data_len", "1"),
                ("igmp.num_src", "1"),
                ("igmp.maddr", "224.0.1.6"),
                ("igmp.saddr", "192.0.2.1"),
                ("igmp.aux_data", "07:07:07:07"),
            ]
        );
        assert_eq!(found.line, " →  Report v3 224.0.1.5 to exclude and 1 more");
        cut_everywhere(&PROTOCOL, CLAIM, &bytes, bytes.len());
    }

    #[test]
    fn reports_and_leaves_name_their_group() {
        for (kind, version, line) in [
            (0x12, "1", " →  Report v1 224.0.1.5"),
            (0x16, "2", " →  Report v2 224.0.1.5"),
            (0x17, "2", " →  Leave 224.0.1.5"),
        ] {
            let found = seen(&PROTOCOL, CLAIM, &[kind, 0, 0, 0, 224, 0, 1, 5]);
            assert_eq!(found.all("igmp.version"), [version]);
            assert_eq!(found.all("sockwire.checksum"), ["wrong"]);
            assert_eq!(found.line, line);
        }
    }

    #[test]
    fn more_sources_than_bytes_are_malformed() {
        let bytes = [0x11, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 192, 0, 2, 1];
        let found = seen(&PROTOCOL, CLAIM, &bytes);
        assert_eq!(found.problem(), Some(ProblemKind::Malformed));
        assert_eq!(found.all("igmp.saddr"), ["192.0.2.1"]);
    }
}
