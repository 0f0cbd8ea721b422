//! What can be written: the layers and the words of each, straight from the tables, for people.

use super::{
    Built, NoFiles, NoRoute, Spec, payload,
    slots::{self, computed},
    value::{form, get, write},
};
use crate::{
    field::Field,
    link::LinkType,
    protocol::{Fill, Protocol, Slot},
};

/// One word of a layer.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Its spellings, the printed one first.
    pub words: Vec<&'static str>,
    /// How its value looks; empty for a word that needs none.
    pub form: String,
    /// What stands there when nothing is given.
    pub usual: String,
    /// The field that it writes; `None` for options and other parts.
    pub field: Option<&'static Field>,
    /// What it is, in a sentence.
    pub doc: &'static str,
}

/// Every protocol that has a layer of its own, and the names of that layer, the printed one first.
pub fn layers() -> impl Iterator<Item = (&'static Protocol, &'static [&'static str])> {
    crate::proto::ALL
        .iter()
        .filter_map(|protocol| Some((*protocol, protocol.craft?.names)))
}

/// The layers of plain bytes, and how their values look.
pub fn bytes() -> impl Iterator<Item = (&'static str, &'static str)> {
    payload::WORDS.iter().copied()
}

/// The protocol whose layer is called `name`.
pub fn layer(name: &str) -> Option<&'static Protocol> {
    slots::protocol(name).map(|(protocol, _)| protocol)
}

/// Every word of the layer of `protocol`, fields first.
pub fn entries(protocol: &'static Protocol) -> Vec<Entry> {
    let header = protocol.craft.map_or(&[][..], |craft| craft.header);
    let mut built = Built::default();
    if let Ok(spec) = Spec::parse(slots::layer_name(protocol).unwrap_or(""), &NoFiles) {
        spec.build(0, &NoRoute, &mut built);
    }
    let alone = built.packet(LinkType::RAW);
    let all = slots::slots(protocol);
    let mut fields: Vec<Entry> = Vec::new();
    for (at, slot) in all.iter().enumerate() {
        let mut words = vec![slots::word(protocol, slot)];
        words.extend(slot.words.iter().skip(1));
        // Of a field that stands elsewhere in other forms of the header, or is filled in several ways, one row is enough.
        let mut before = fields.iter();
        if before.any(|e| e.words == words && e.field.is_some_and(|f| f.is(slot.field))) {
            continue;
        }
        let same_place = |other: &&Slot| other.place == slot.place && other.is_in(header);
        let first = all[..at].iter().find(same_place);
        // Nor does a field of other headers that shares all its bits say anything new.
        if slot.words.is_empty() && first.is_some() {
            continue;
        }
        let mut usual = String::new();
        let filled_as = first.filter(|_| slot.is_in(header)).unwrap_or(slot);
        match (filled_as.fill, get(header, slot.place)) {
            (Fill::Computed(_), value) => {
                usual.push_str("computed");
                // What stands there while nothing around it says more, as the type of a frame without a payload.
                let alone = || alone.view(0).and_then(|view| computed(filled_as, &view));
                if let Some(value) = value.filter(|value| *value != 0 && alone().is_none()) {
                    usual.push_str(", else ");
                    write(slot, value, &mut usual);
                }
            }
            (Fill::Asked(_), _) => usual.push_str("left to the sending"),
            (_, Some(value)) if slot.is_in(header) => write(slot, value, &mut usual),
            _ => {}
        }
        fields.push(Entry {
            words,
            form: form(slot),
            usual,
            field: Some(slot.field),
            doc: slot.field.doc,
        });
    }
    let tail = protocol.craft.and_then(|craft| craft.tail);
    let parts = tail.into_iter().flat_map(|tail| tail.parts);
    let parts = parts.map(|part| Entry {
        words: part.words.to_vec(),
        form: part.form.to_owned(),
        usual: String::new(),
        field: None,
        doc: part.doc,
    });
    let trailer = Entry {
        words: vec!["trailer"],
        form: "HEX or zeros:N".to_owned(),
        usual: String::new(),
        field: None,
        doc: "Bytes behind the layer, which its lengths do not count.",
    };
    fields.into_iter().chain(parts).chain([trailer]).collect()
}
