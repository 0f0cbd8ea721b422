//! What is said of layers and fields that there are not: what was probably meant, and what could stand there.

use super::{
    Piece,
    parse::{Fault, Word, Written},
    payload,
    slots::{self, layer_name, layer_names, protocol},
};
use crate::text::near;

impl Piece {
    /// What is said of a word that the layer has not.
    pub(super) fn unknown(&self, word: &Word) -> Fault {
        let protocol = self.protocol;
        let mut known: Vec<&str> = self
            .slots
            .iter()
            .filter(|slot| slot.is_in(&self.header))
            .map(|slot| slots::word(protocol, slot))
            .collect();
        let tail = protocol.craft.and_then(|craft| craft.tail);
        known.extend(
            tail.into_iter()
                .flat_map(|t| t.parts)
                .filter_map(|p| p.words.first()),
        );
        known.extend(["trailer", "cut"]);
        let (name, layer) = (&word.name, layer_name(protocol).unwrap_or(protocol.name));
        let meant = match slots::protocol(name) {
            Some(_) => Some(format!(
                "; if the layer {name} begins here, put / before it"
            )),
            None => near(name, known.iter().copied()).map(did_you_mean),
        };
        let message = format!("{layer} has no field {name}{}", meant.unwrap_or_default());
        Fault {
            help: Some(format!("fields of {layer}: {}", known.join(" "))),
            ..Fault::new(word.at, word.name.chars().count(), message)
        }
    }
}

/// What is said of a layer that there is not: often it is a field without its layer, or bytes without a value.
pub(super) fn no_layer(layer: &Written) -> Fault {
    let name = layer.name.as_str();
    let bytes = payload::WORDS;
    let has_value = layer.words.first().is_some_and(|w| w.at == layer.at);
    let meant = match (bytes.iter().find(|(word, _)| *word == name), has_value) {
        (Some((word, form)), _) => Some(format!(": it needs a value, such as {word}={form}")),
        (None, true) => near(name, bytes.iter().map(|(word, _)| *word)).map(did_you_mean),
        (None, false) => near(name, layer_names()).map(did_you_mean),
    };
    let of_layer = || {
        let (layer, field) = name.split_once('.')?;
        let layer = layer_name(protocol(layer)?.0)?;
        Some(format!(
            ": it is a field, so first its layer, {layer} {field}="
        ))
    };
    let as_field = || {
        let message = ": a field stands behind its layer, as in ip dst=10.0.0.2";
        has_value.then(|| message.to_owned())
    };
    let meant = meant.or_else(of_layer).or_else(as_field);
    Fault {
        help: Some(all_layers()),
        ..Fault::new(
            layer.at,
            name.chars().count(),
            format!("no layer {name}{}", meant.unwrap_or_default()),
        )
    }
}

fn did_you_mean(near: &str) -> String {
    format!(", did you mean {near}?")
}

/// The names of all layers, for people who gave none of them.
pub(super) fn all_layers() -> String {
    let mut names: Vec<&str> = layer_names().collect();
    names.extend(payload::WORDS.iter().map(|(word, _)| *word));
    format!("layers: {}", names.join(" "))
}
