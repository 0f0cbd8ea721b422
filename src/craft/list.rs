//! What can be written: the layers and the words of each, straight from the tables, for people.

use super::{
    payload, slots,
    value::{form, get, write},
};
use crate::{
    field::Field,
    protocol::{Fill, Protocol},
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
    let fields = slots::slots(protocol).into_iter().map(|slot| {
        let mut words = vec![slots::word(protocol, &slot)];
        words.extend(slot.words.iter().skip(1));
        let mut usual = String::new();
        match (slot.fill, get(header, slot.place)) {
            (Fill::Computed(_), _) => usual.push_str("computed"),
            (Fill::Asked(_), _) => usual.push_str("left to the sending"),
            (_, Some(value)) => write(&slot, value, &mut usual),
            (_, None) => {}
        }
        Entry {
            words,
            form: form(&slot),
            usual,
            field: Some(slot.field),
            doc: slot.field.doc,
        }
    });
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
    fields.chain(parts).chain([trailer]).collect()
}
