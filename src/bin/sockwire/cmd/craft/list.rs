//! `sockwire craft --list`: the layers that can be written, and the words of each.

use std::fmt::Write as _;

use anyhow::anyhow;
use serde_json::json;
use sockwire::{
    craft::list::{self, Entry},
    text::{Safe, near},
};

use crate::cmd::{
    Exit, Failure, Global, Outcome,
    output::{Output, columns, write_wrapped},
};

/// Prints the layers, or the words of the layer called `name`.
pub(super) fn run(name: &str, json: bool, global: &Global) -> Outcome {
    let mut output = Output::stdout(global.ascii)?;
    let out = &mut output.text;
    if name.is_empty() {
        layers(json, out);
    } else {
        let Some(protocol) = list::layer(name) else {
            let bytes = list::bytes().find(|(word, _)| *word == name.trim_end_matches('='));
            bytes_layer(bytes.ok_or_else(|| unknown(name))?, 0, json, out);
            output.flush()?;
            return Ok(Exit::Done);
        };
        if !json {
            let names = protocol.craft.map_or(&[][..], |craft| craft.names);
            let _ = writeln!(out, "{}  {}", names.join(", "), protocol.title);
        }
        for entry in list::entries(protocol) {
            if json {
                let _ = writeln!(out, "{}", record(&entry));
            } else {
                word(&entry, out);
            }
        }
    }
    output.flush()?;
    Ok(Exit::Done)
}

fn layers(json: bool, out: &mut String) {
    let width = list::layers()
        .map(|(_, names)| names.join(", ").len())
        .chain(list::bytes().map(|(word, _)| word.len() + 1))
        .max()
        .unwrap_or(0);
    for (protocol, names) in list::layers() {
        let _ = if json {
            let record =
                json!({ "layer": names, "protocol": protocol.name, "title": protocol.title });
            writeln!(out, "{record}")
        } else {
            writeln!(out, "{:<width$}  {}", names.join(", "), protocol.title)
        };
    }
    list::bytes().for_each(|bytes| bytes_layer(bytes, width, json, out));
}

fn bytes_layer((word, form): (&str, &str), width: usize, json: bool, out: &mut String) {
    let _ = if json {
        writeln!(out, "{}", json!({ "layer": [word], "form": form }))
    } else {
        writeln!(out, "{:<width$}  Bytes: {word}={form}", format!("{word}="))
    };
}

fn word(entry: &Entry, out: &mut String) {
    let value = if entry.form.is_empty() { "" } else { "=" };
    let first = entry.words.first().copied().unwrap_or_default();
    let _ = write!(out, "  {first}{value}{}", entry.form);
    if !entry.usual.is_empty() {
        let _ = write!(out, "  ({})", entry.usual);
    }
    out.push('\n');
    let mut also: Vec<&str> = entry.words.iter().skip(1).copied().collect();
    also.extend(entry.field.map(|field| field.name));
    let mut text = entry.doc.trim_end_matches('.').to_owned();
    if !also.is_empty() {
        let _ = write!(text, ". Also {}", also.join(", "));
    }
    text.push('.');
    write_wrapped(out, 6, columns(), &text);
}

fn record(entry: &Entry) -> serde_json::Value {
    json!({
        "words": entry.words,
        "form": entry.form,
        "usual": entry.usual,
        "field": entry.field.map(|field| field.name),
        "doc": entry.doc,
    })
}

fn unknown(name: &str) -> Failure {
    let names = || list::layers().flat_map(|(_, names)| names.iter().copied());
    let hint = match near(name, names()) {
        Some(near) => format!("did you mean {near}?"),
        None => "sockwire craft --list names them".to_owned(),
    };
    let name = Safe(name.as_bytes());
    Failure::new(Exit::Usage, anyhow!("no layer is called {name}; {hint}"))
}
