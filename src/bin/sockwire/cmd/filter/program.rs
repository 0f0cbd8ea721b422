//! A capture filter's program beside what it is about, the filter in words, its traps, and its counts: for people and as JSON.

use std::fmt::Write as _;

use serde_json::{Value, json};
use sockwire::{
    bpf::Instruction,
    filter::{
        CaptureFilter,
        capture::{Compiled, Note, Place},
    },
    render::bpf::{self, Parts},
};

use super::{
    On, about,
    path::{Path, assembler, span},
    view::View,
};

/// Appends nothing but the programs, in the form of that many `d`.
pub(super) fn dump(on: &[On], form: u8, out: &mut String) {
    let write = match form {
        1 => bpf::assembler,
        2 => bpf::c_array,
        _ => bpf::decimal,
    };
    for compiled in on.iter().filter_map(|on| on.compiled.as_ref().ok()) {
        write(compiled.program.instructions(), out);
    }
}

/// Everything about the filter, for people.
pub(super) fn text(view: &View<'_>, filter: &CaptureFilter, on: &[On], out: &mut String) {
    view.expression(&(0..0), out);
    for on in on {
        out.push('\n');
        view.heading(&title(on), out);
        match &on.compiled {
            Ok(compiled) => view.rows(&listing(compiled), out),
            Err(error) => view.paragraph(&error.message, out),
        }
    }
    view.words(&filter.words(), out);
    for trap in filter.traps() {
        view.note(&trap, out);
    }
    if view.counted && on.len() > 1 {
        out.push('\n');
        for On {
            target,
            matched,
            packets,
            ..
        } in on
        {
            let _ = writeln!(out, "{matched} of {packets} with {}", target.link);
        }
    }
    let add = |(matched, packets), on: &On| (matched + on.matched, packets + on.packets);
    view.count(on.iter().fold((0, 0), add), out);
}

/// The same as one object for each link type.
pub(super) fn json(view: &View<'_>, filter: &CaptureFilter, on: &[On], out: &mut String) {
    for on in on {
        let mut object = object(filter, on);
        if view.counted {
            object["packets"] = on.packets.into();
            object["matched"] = on.matched.into();
        }
        let _ = writeln!(out, "{object}");
    }
}

/// Why packet `number` matches or not; `way` is none where the filter has no meaning for its link type.
pub(super) fn packet(view: &View<'_>, number: u64, on: &On, way: Option<&Path>, out: &mut String) {
    let (compiled, way) = match (&on.compiled, way) {
        (Ok(compiled), Some(way)) => (compiled, way),
        (Err(error), _) => {
            view.expression(&(0..0), out);
            view.answer(number, false, out);
            return view.paragraph(&error.message, out);
        }
        (Ok(_), None) => return,
    };
    view.heading(
        &format!("Packet {number} in the program for {}", link(on)),
        out,
    );
    let program = compiled.program.instructions();
    let rows = way.steps.iter().filter_map(|step| {
        let parts = Parts::of(step.at, program.get(step.at)?);
        Some((
            row(
                step.at,
                Parts {
                    branch: None,
                    ..parts
                },
            ),
            step.told.clone(),
        ))
    });
    view.rows(&rows.collect::<Vec<_>>(), out);
    view.answer(number, way.matches, out);
    view.expression(&way.span, out);
    view.paragraph(&way.reason, out);
}

/// The same as an object.
pub(super) fn packet_json(
    filter: &CaptureFilter,
    number: u64,
    on: &On,
    way: Option<&Path>,
    out: &mut String,
) {
    let mut object = object(filter, on);
    object["packet"] = match (&on.compiled, way) {
        (Ok(compiled), Some(way)) => way.json(number, compiled.program.instructions()),
        _ => json!({ "number": number, "matches": false }),
    };
    let _ = writeln!(out, "{object}");
}

/// Each instruction, and what it is about.
fn listing(compiled: &Compiled) -> Vec<(String, String)> {
    let instructions = compiled.program.instructions().iter();
    let rows = instructions.zip(&compiled.notes).enumerate();
    rows.map(|(at, (instruction, note))| {
        let code = row(at, Parts::of(at, instruction));
        (code, about::instruction(instruction, note))
    })
    .collect()
}

fn object(filter: &CaptureFilter, on: &On) -> Value {
    let mut object = json!({
        "expression": filter.expression(),
        "link": on.target.link.to_string(),
        "place": place(on.target.place),
        "words": filter.words(),
        "traps": filter.traps(),
    });
    match &on.compiled {
        Ok(compiled) => {
            let instructions = compiled.program.instructions().iter();
            let rows = instructions.zip(&compiled.notes).enumerate();
            let rows = rows.map(|(at, (instruction, note))| row_json(at, instruction, note));
            object["program"] = rows.collect();
        }
        Err(error) => object["error"] = error.message.clone().into(),
    }
    object
}

fn row_json(at: usize, instruction: &Instruction, note: &Note) -> Value {
    let &Instruction { code, jt, jf, k } = instruction;
    json!({
        "code": code,
        "jt": jt,
        "jf": jf,
        "k": k,
        "text": assembler(at, instruction),
        "span": span(&note.span),
        "what": about::instruction(instruction, note),
    })
}

fn place(place: Place) -> &'static str {
    match place {
        Place::Frame => "frame",
        Place::Kernel => "kernel",
        Place::KernelCooked => "kernel, cooked",
    }
}

/// "Ethernet (EN10MB)"
fn link(on: &On) -> String {
    let link = on.target.link;
    match link.title() {
        Some(title) => format!("{title} ({link})"),
        None => link.to_string(),
    }
}

fn title(on: &On) -> String {
    let place = match on.target.place {
        Place::Frame => "",
        Place::Kernel | Place::KernelCooked => ", on an interface's socket",
    };
    match &on.compiled {
        Ok(compiled) => {
            let count = compiled.program.instructions().len();
            let s = if count == 1 { "" } else { "s" };
            format!("{}{place}: {count} instruction{s}", link(on))
        }
        Err(_) => format!("{}{place}: no program", link(on)),
    }
}

/// One instruction as it stands in a listing.
fn row(at: usize, parts: Parts) -> String {
    let (mnemonic, operand) = (parts.mnemonic, parts.operand);
    match parts.branch {
        Some((yes, no)) => format!("({at:03}) {mnemonic:<4} {operand:<11} jt {yes:<3} jf {no}"),
        None => format!("({at:03}) {mnemonic:<4} {operand}")
            .trim_end()
            .to_owned(),
    }
}
