//! An explained packet as one JSON object: each field with its bits, value and sentence, and each checksum step by step.

use std::{
    collections::HashSet,
    ops::{ControlFlow, Range},
};

use serde_json::{Map, Value as Data, json};

use super::json::{Json, REPEATED, put};
use crate::{
    field::{At, Bounded, Field, Kind, Value, Visit},
    layer::{Packet, Problem, ProblemKind, View},
    proto::worked::{self, Check, Part, Step},
};

/// Version of the object's form.
pub const SCHEMA: u32 = 1;

/// The object of `packet`: of its layers those in `layers`, with their checksums where wanted.
pub fn packet(packet: &Packet<'_>, layers: &[usize], checksum: bool) -> Data {
    let views = layers.iter().filter_map(|&index| packet.view(index));
    let layers: Vec<Data> = views.map(|view| layer(&view, checksum)).collect();
    json!({
        "schema": SCHEMA,
        "packet": packet.frame.number,
        "link": packet.frame.link.to_string(),
        "layers": layers,
    })
}

/// Appends the object and a line end; `links` are later packets that speak of it, each with what it does.
pub fn write(mut object: Data, links: &[(&str, u64)], out: &mut Vec<u8>) {
    let link = |&(what, packet): &(&str, u64)| json!({"what": what, "packet": packet});
    object["links"] = links.iter().map(link).collect();
    put(out, &object);
    out.push(b'\n');
}

fn layer(view: &View<'_>, checksum: bool) -> Data {
    let layer = view.layer;
    let mut fields = Fields {
        view,
        found: Vec::new(),
        told: HashSet::new(),
        problems: Vec::new(),
    };
    let mut left = REPEATED;
    let mut bounded = Bounded::new(&mut fields, &mut left);
    let _ = view.visit(&mut bounded);
    bounded.finish();
    fields.problems.extend(layer.problem);
    let problem = |problem: &Problem| {
        let kind = match problem.kind {
            ProblemKind::Malformed => "malformed",
            ProblemKind::Odd => "odd",
            ProblemKind::Cut => "cut",
        };
        format!("{kind}: {}", problem.text)
    };
    let problems: Vec<String> = fields.problems.iter().map(problem).collect();
    let mut object = json!({
        "protocol": layer.protocol.name,
        "title": layer.protocol.title,
        "spec": layer.protocol.spec,
        "offset": layer.start,
        "length": view.header().len(),
        "payload": view.payload_wire(),
        "buffer": layer.buffer,
        "quoted": layer.quoted,
        "fields": fields.found,
        "problems": problems,
    });
    if let Some(check) = worked::check(view).filter(|_| checksum) {
        object["checksum"] = sum(&check);
    }
    object
}

/// Takes the fields of one layer.
struct Fields<'v> {
    view: &'v View<'v>,
    found: Vec<Data>,
    /// Fields whose sentence was told: once is enough for lists.
    told: HashSet<&'static str>,
    problems: Vec<Problem>,
}

impl Visit for Fields<'_> {
    fn field(
        &mut self,
        field: &'static Field,
        value: Value<'_>,
        bits: Range<u32>,
    ) -> ControlFlow<()> {
        let mut object = Map::new();
        object.insert("field".to_owned(), field.name.into());
        object.insert("title".to_owned(), field.title.into());
        let shown = serde_json::to_value(Json(value)).unwrap_or_default();
        object.insert("value".to_owned(), shown);
        let name = value.as_u64().and_then(|value| field.value_name(value));
        if let Some(name) = name {
            object.insert("name".to_owned(), name.into());
        }
        let start = self.view.layer.start.saturating_mul(8);
        let from = match (bits.is_empty(), field.at) {
            (false, _) => "header",
            (true, At::Derived) => "the packets before it",
            (true, _) => "this packet",
        };
        object.insert("from".to_owned(), from.into());
        if !bits.is_empty() {
            let bits = bits.start.saturating_sub(start)..bits.end.saturating_sub(start);
            object.insert("bits".to_owned(), json!([bits.start, bits.end]));
            let held = Value::read(Kind::Uint, self.view.bytes(), bits.clone());
            let held = held.and_then(|held| held.as_u64());
            if bits.len() <= 64 && value.as_u64().is_some_and(|number| Some(number) != held) {
                object.insert("held".to_owned(), held.into());
            }
        }
        if self.told.insert(field.name) {
            object.insert("doc".to_owned(), field.doc.into());
        }
        self.found.push(object.into());
        ControlFlow::Continue(())
    }

    fn problem(&mut self, problem: Problem) {
        self.problems.push(problem);
    }
}

/// A checksum, worked out as far as it can be.
fn sum(check: &Check<'_>) -> Data {
    let mut object = json!({
        "field": check.field.name,
        "found": check.found,
        "verdict": check.verdict().word(),
    });
    if let Some(verdict) = check.kernel {
        object["kernel"] = verdict.word().into();
    }
    if let Err(why) = check.covered {
        object["why"] = why.into();
    }
    if let Some(sum) = check.sum() {
        let step = |step: &Step| {
            let (part, place) = match step.part {
                Part::Pseudo(name) => ("pseudo-header", Data::from(name)),
                Part::Layer(at) if at < check.header() => ("header", at.into()),
                Part::Layer(at) => ("payload", at.into()),
            };
            json!({
                "part": part,
                "at": place,
                "words": step.words,
                "added": step.added,
                "sum": step.sum,
            })
        };
        object["expected"] = sum.expected.into();
        object["steps"] = sum.steps.iter().map(step).collect();
        object["folds"] = sum.folds.into();
    }
    object
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::{
        link::LinkType,
        track::testing::{UDP, batch},
    };

    #[test]
    fn every_field_has_its_bits_and_every_checksum_its_steps() {
        let (batch, decoded) = batch(LinkType::ETHERNET, &[UDP], usize::MAX);
        let mut out = Vec::new();
        let found = decoded.packet(&batch, 0).unwrap();
        write(
            packet(&found, &[1, 2], true),
            &[("answered by", 9)],
            &mut out,
        );
        let object: Data = serde_json::from_slice(&out).unwrap();
        let ip = &object["layers"][0];
        let field = |name: &str| {
            let fields = ip["fields"].as_array().unwrap();
            fields.iter().find(|field| field["field"] == name).unwrap()
        };
        assert_eq!(field("ip.ttl")["bits"], json!([64, 72]));
        assert_eq!(field("ip.hdr_len")["held"], 5);
        assert_eq!(field("ip.proto")["name"], "UDP");
        assert_eq!(field("ip.checksum.status")["from"], "this packet");
        assert_eq!(ip["checksum"]["steps"].as_array().unwrap().len(), 10);
        assert_eq!(ip["checksum"]["expected"], 0x66c9);
        let udp = &object["layers"][1];
        assert_eq!(udp["checksum"]["verdict"], "unknown");
        assert!(udp["checksum"]["why"].is_string());
        assert_eq!(object["links"][0]["packet"], 9);
    }
}
