//! JSON lines: one object a packet, its layers in order, fields under Wireshark's names.
//!
//! ```json
//! {"schema":1,"layers":[{"protocol":"frame","frame.number":1,"frame.time_epoch":"1700000000.000000123","frame.len":74,"frame.cap_len":74},
//!  {"protocol":"eth","offset":0,"length":14,"eth.dst":"02:00:00:00:00:02","eth.src":"02:00:00:00:00:01","eth.type":2048}]}
//! ```
//!
//! - A layer begins with `protocol`, `offset` and `length` (of its header, in bytes), then `buffer` where it is not in the
//!   frame but in the n-th reassembled buffer, and `quoted` (true) where it belongs to the packet that an ICMP error quotes.
//! - Its fields follow in the order of the protocol's table. A field that can repeat is always a list, in wire order.
//! - Numbers are numbers, flags and marks are booleans, addresses and bytes text; points in time are text with nine
//!   decimals (a double cannot hold them), spans are numbers of seconds. Text that is not UTF-8 has U+FFFD in its place.
//! - Of very long lists only the first values are there, up to 4096 in a packet; then the layer's problem says so.
//! - What is wrong with a layer stands last, as a list of sentences: `"sockwire.problem":["malformed: …"]`.

use std::{
    io,
    ops::{ControlFlow, Range},
};

use serde::{Serialize, Serializer};
use serde_json::ser::Formatter;

use crate::{
    craft::{Mark, State},
    field::{Bounded, Field, Value, Visit},
    layer::{Packet, Problem, ProblemKind},
    proto::frame::{self, Around},
    protocol::Protocol,
    text::is_unsafe,
};

/// Repeated fields in the record of one packet: more than a packet of 1500 bytes can have, and far fewer than one of 64 KB.
pub(super) const REPEATED: usize = 4096;

/// Version of the record's form.
pub const SCHEMA: u32 = 1;

/// Writes records, and keeps the memory that it needs for one.
#[derive(Debug, Default)]
pub struct Records {
    /// Values of the layer at hand, as JSON, in the order of the visit.
    values: Vec<u8>,
    /// Which part of `values` belongs to which field of the protocol's table.
    found: Vec<Found>,
    problems: Vec<Problem>,
}

#[derive(Clone, Debug)]
struct Found {
    field: usize,
    value: Range<usize>,
}

impl Records {
    /// Appends the record of `packet` and a line end.
    pub fn packet(&mut self, packet: &Packet<'_>, around: &Around<'_>, out: &mut Vec<u8>) {
        self.begin(packet, around, out);
        out.extend_from_slice(b"}\n");
    }

    /// Appends the record of a packet that was crafted: behind its layers stand its bytes as digits, and where each value
    /// comes from (`computed`, `usual`, `given`, `wrong` with what would be `right`, `unknown` before it is sent). `bits`
    /// are the first bit in the packet, and one past the last.
    pub fn crafted(&mut self, packet: &Packet<'_>, marks: &[Mark], out: &mut Vec<u8>) {
        self.begin(packet, &Around::default(), out);
        out.extend_from_slice(b",\"bytes\":");
        put(out, &hex::encode(packet.frame.bytes));
        out.extend_from_slice(b",\"states\":[");
        for (index, mark) in marks.iter().enumerate() {
            let (state, right) = match mark.state {
                State::Usual => ("usual", None),
                State::Computed => ("computed", None),
                State::Unknown => ("unknown", None),
                State::Given => ("given", None),
                State::Wrong(right) => ("wrong", Some(right.saturating_mul(mark.unit.into()))),
            };
            if index > 0 {
                out.push(b',');
            }
            out.extend_from_slice(b"{\"field\":");
            put(out, mark.field.name);
            out.extend_from_slice(b",\"bits\":");
            put(out, &mark.bits);
            out.extend_from_slice(b",\"state\":");
            put(out, state);
            if let Some(right) = right {
                out.extend_from_slice(b",\"right\":");
                put(out, &u64::try_from(right).unwrap_or(u64::MAX));
            }
            out.push(b'}');
        }
        out.extend_from_slice(b"]}\n");
    }

    /// Appends the record of `packet` up to its layers.
    fn begin(&mut self, packet: &Packet<'_>, around: &Around<'_>, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"schema\":");
        put(out, &SCHEMA);
        out.extend_from_slice(b",\"layers\":[{\"protocol\":\"frame\"");
        self.fields(&frame::PROTOCOL, out, |visit| {
            frame::visit(&packet.frame, around, visit)
        });
        let mut left = REPEATED;
        for view in packet.views() {
            let layer = view.layer;
            out.extend_from_slice(b"},{\"protocol\":");
            put(out, layer.protocol.name);
            out.extend_from_slice(b",\"offset\":");
            put(out, &layer.start);
            out.extend_from_slice(b",\"length\":");
            put(out, &layer.header);
            if layer.buffer > 0 {
                out.extend_from_slice(b",\"buffer\":");
                put(out, &layer.buffer);
            }
            if layer.quoted {
                out.extend_from_slice(b",\"quoted\":true");
            }
            self.problems.clear();
            self.problems.extend(layer.problem);
            self.fields(layer.protocol, out, |visit| {
                let mut bounded = Bounded::new(visit, &mut left);
                let flow = view.visit(&mut bounded);
                bounded.finish();
                flow
            });
            self.problems(out);
        }
        out.extend_from_slice(b"}]");
    }

    /// Collects the fields that `visit` finds, and appends them in the order of the table.
    fn fields(
        &mut self,
        protocol: &'static Protocol,
        out: &mut Vec<u8>,
        visit: impl FnOnce(&mut dyn Visit) -> ControlFlow<()>,
    ) {
        self.values.clear();
        self.found.clear();
        let _ = visit(&mut Collect {
            records: self,
            protocol,
        });
        // Stable: values of one field stay in wire order. Mostly sorted already.
        self.found.sort_by_key(|found| found.field);
        for group in self.found.chunk_by(|a, b| a.field == b.field) {
            let (Some(first), Some(field)) = (
                group.first(),
                group.first().and_then(|f| protocol.fields.get(f.field)),
            ) else {
                continue;
            };
            out.extend_from_slice(b",");
            put(out, field.name);
            out.extend_from_slice(b":");
            if field.many {
                list(
                    out,
                    group.iter().map(|found| &self.values[found.value.clone()]),
                );
            } else {
                out.extend_from_slice(&self.values[first.value.clone()]);
            }
        }
    }

    fn problems(&self, out: &mut Vec<u8>) {
        for (index, problem) in self.problems.iter().enumerate() {
            let kind = match problem.kind {
                ProblemKind::Malformed => "malformed",
                ProblemKind::Odd => "odd",
                ProblemKind::Cut => "cut",
            };
            out.extend_from_slice(if index == 0 {
                b",\"sockwire.problem\":["
            } else {
                b","
            });
            put(out, &format_args!("{kind}: {}", problem.text));
        }
        if !self.problems.is_empty() {
            out.push(b']');
        }
    }
}

fn list<'a>(out: &mut Vec<u8>, values: impl Iterator<Item = &'a [u8]>) {
    for (index, value) in values.enumerate() {
        out.push(if index == 0 { b'[' } else { b',' });
        out.extend_from_slice(value);
    }
    out.push(b']');
}

/// Takes the fields of one layer.
struct Collect<'r> {
    records: &'r mut Records,
    protocol: &'static Protocol,
}

impl Visit for Collect<'_> {
    fn field(&mut self, field: &'static Field, value: Value<'_>, _: Range<u32>) -> ControlFlow<()> {
        let table = self.protocol.fields;
        // Visits run mostly in table order: look behind the last field first.
        let last = self.records.found.last().map_or(0, |found| found.field);
        let place = (last..table.len())
            .chain(0..last)
            .find(|&place| table[place].is(field));
        if let Some(place) = place {
            let from = self.records.values.len();
            put(&mut self.records.values, &Json(value));
            self.records.found.push(Found {
                field: place,
                value: from..self.records.values.len(),
            });
        }
        ControlFlow::Continue(())
    }

    fn problem(&mut self, problem: Problem) {
        self.records.problems.push(problem);
    }
}

/// Appends `value` as JSON in which no character can harm a terminal. Writing to memory cannot fail.
pub fn put(out: &mut Vec<u8>, value: &(impl Serialize + ?Sized)) {
    let _ = value.serialize(&mut serde_json::Serializer::with_formatter(out, Plain));
}

/// A value in the form of records.
pub(super) struct Json<'a>(pub(super) Value<'a>);

impl Serialize for Json<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use crate::text::{Colons, Mac};
        match self.0 {
            Value::Mark => serializer.serialize_bool(true),
            Value::Bool(value) => serializer.serialize_bool(value),
            Value::Uint(value) => serializer.serialize_u64(value),
            Value::Int(value) => serializer.serialize_i64(value),
            Value::Mac(address) => serializer.collect_str(&Mac(address)),
            Value::Ipv4(address) => serializer.collect_str(&address),
            Value::Ipv6(address) => serializer.collect_str(&address),
            Value::Bytes(bytes) => serializer.collect_str(&Colons(bytes)),
            Value::Text(text) => serializer.collect_str(&Lossy(text)),
            Value::Time(time) => serializer.collect_str(&time),
            Value::Duration(nanos) => serializer.serialize_f64(nanos as f64 / 1e9),
        }
    }
}

/// Text with U+FFFD for what is not UTF-8, without a copy.
struct Lossy<'a>(&'a [u8]);

impl std::fmt::Display for Lossy<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for chunk in self.0.utf8_chunks() {
            f.write_str(chunk.valid())?;
            if !chunk.invalid().is_empty() {
                f.write_str("\u{fffd}")?;
            }
        }
        Ok(())
    }
}

/// Compact JSON whose strings hold no code or mark that could reach a terminal: those are escaped as `\uNNNN`.
struct Plain;

impl Formatter for Plain {
    fn write_string_fragment<W: ?Sized + io::Write>(
        &mut self,
        writer: &mut W,
        fragment: &str,
    ) -> io::Result<()> {
        if fragment.is_ascii() && !fragment.contains('\x7f') {
            return writer.write_all(fragment.as_bytes());
        }
        let mut rest = fragment;
        while let Some((at, c)) = rest.char_indices().find(|&(_, c)| is_unsafe(c)) {
            writer.write_all(&rest.as_bytes()[..at])?;
            write!(writer, "\\u{:04x}", u32::from(c))?;
            rest = &rest[at + c.len_utf8()..];
        }
        writer.write_all(rest.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::{
        field::Kind,
        frame::{Comment, Interface},
        link::LinkType,
        proto,
        track::testing::{UDP, batch},
    };

    fn record(frame: &str, cut: usize) -> String {
        let (mut batch, decoded) = batch(LinkType::ETHERNET, &[frame], cut);
        batch.comments.push(Comment {
            record: 0,
            text: "a\u{9b}\u{202e}\"\u{1b}\u{7f}é".to_owned(),
        });
        let interfaces = [std::sync::Arc::new(Interface {
            name: Some("lo".to_owned()),
            description: None,
            link: LinkType::ETHERNET,
            snaplen: 0,
            filter: None,
        })];
        let around = Around::of(&interfaces, &batch, 0);
        let mut out = Vec::new();
        let packet = decoded.packet(&batch, 0).unwrap();
        Records::default().packet(&packet, &around, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_record_is_one_line_with_keys_in_table_order() {
        let text = record(UDP, usize::MAX);
        assert!(text.starts_with(
            "{\"schema\":1,\"layers\":[{\"protocol\":\"frame\",\"frame.number\":1,\
             \"frame.time_epoch\":\"1700000000.000000123\",\"frame.len\":47,\"frame.cap_len\":47,\
             \"frame.interface_name\":\"lo\",\"frame.comment\":["
        ));
        for start in [
            "},{\"protocol\":\"eth\",\"offset\":0,\"length\":14,\"eth.dst\":\"02:00:00:00:00:02\",",
            "},{\"protocol\":\"ip\",\"offset\":14,\"length\":20,\"ip.version\":4,",
        ] {
            assert!(text.contains(start), "{start} is not in {text}");
        }
        assert_eq!(text.matches('\n').count(), 1);
        for protocol in [&proto::ipv4::PROTOCOL, &proto::udp::PROTOCOL] {
            let from = text
                .find(&format!("\"protocol\":\"{}\"", protocol.name))
                .unwrap();
            let layer = &text[from..];
            let places: Vec<usize> = protocol
                .fields
                .iter()
                .filter_map(|field| layer.find(&format!("\"{}\":", field.name)))
                .collect();
            assert!(
                places.len() > 4 && places.is_sorted(),
                "{places:?} in {text}"
            );
        }
    }

    #[test]
    fn text_is_true_and_harmless() {
        let text = record(UDP, usize::MAX);
        assert!(!text.trim_end().chars().any(is_unsafe), "{text}");
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(
            value["layers"][0]["frame.comment"][0],
            "a\u{9b}\u{202e}\"\u{1b}\u{7f}é"
        );
        assert_eq!(value["layers"][4]["data.data"], "68:65:6c:6c:6f");
    }

    #[test]
    fn problems_stand_last() {
        let value: serde_json::Value = serde_json::from_str(&record(UDP, 38)).unwrap();
        let udp = &value["layers"][3];
        assert_eq!(udp["sockwire.problem"][0], "cut: cut short in the capture");
        assert_eq!(udp["udp.srcport"], 5353);
        assert!(udp.get("udp.length").is_none());
    }

    static ONE: Field = Field::walked("test.one", "", Kind::Uint, "");
    static MANY: Field = Field::walked("test.many", "", Kind::Duration, "").many();
    static MADE_UP: Protocol = Protocol {
        name: "test",
        fields: &[&ONE, &MANY],
        ..Protocol {
            name: "",
            label: "",
            title: "",
            spec: "",
            claims: &[],
            fields: &[],
            dissect: proto::data::PROTOCOL.dissect,
            walk: None,
            line: proto::data::PROTOCOL.line,
            addresses: None,
            craft: None,
        }
    };

    #[test]
    fn repeated_fields_are_grouped_in_table_order() {
        let mut out = Vec::new();
        Records::default().fields(&MADE_UP, &mut out, |visit| {
            visit.field(&MANY, Value::Duration(-1_500_000), 0..0)?;
            visit.field(&ONE, Value::Uint(u64::MAX), 0..0)?;
            visit.field(&MANY, Value::Duration(1), 0..0)
        });
        let text = String::from_utf8(out).unwrap();
        assert_eq!(
            text,
            ",\"test.one\":18446744073709551615,\"test.many\":[-0.0015,1e-9]"
        );
    }

    #[test]
    fn bytes_that_are_not_text_are_replaced() {
        let mut out = Vec::new();
        put(&mut out, &Json(Value::Text(b"a\xffb\xe2\x80\xae")));
        assert_eq!(String::from_utf8(out).unwrap(), "\"a\u{fffd}b\\u202e\"");
    }
}
