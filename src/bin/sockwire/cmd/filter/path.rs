//! The way of one packet through a filter's program: what was read, what was asked, and what decided.

use std::ops::Range;

use serde_json::{Value, json};
use sockwire::{
    bpf::{Input, Instruction, op},
    filter::capture::Compiled,
    render::bpf::{Parts, is_test},
};

use super::about;

/// One instruction that was done.
pub(super) struct Step {
    /// Its index.
    pub(super) at: usize,
    /// What it found, in words.
    pub(super) told: String,
    /// Where it read the packet, and the bytes there.
    read: Option<(u64, Vec<u8>)>,
    /// The answer of a test.
    holds: Option<bool>,
}

/// A packet's way to the end of a program.
pub(super) struct Path {
    pub(super) steps: Vec<Step>,
    /// The packet is wanted.
    pub(super) matches: bool,
    /// The part of the expression that decided, in characters; empty when nothing was asked.
    pub(super) span: Range<usize>,
    /// Why it ended so, in words.
    pub(super) reason: String,
}

impl Path {
    /// Runs the program on a packet and watches.
    pub(super) fn of(compiled: &Compiled, input: &Input<'_>) -> Self {
        let mut seen = Vec::new();
        let kept = compiled
            .program
            .trace(input, |at, a, x| seen.push((at, a, x)));
        let mut path = Self {
            steps: Vec::with_capacity(seen.len()),
            matches: kept > 0,
            span: 0..0,
            reason: String::new(),
        };
        for (n, &(at, _, x)) in seen.iter().enumerate() {
            path.step(compiled, input, (at, x), seen.get(n + 1).copied());
        }
        path
    }

    /// Tells of the instruction at `at`, done with this X; `next` is what came after it, with A and X as they were then.
    fn step(
        &mut self,
        compiled: &Compiled,
        input: &Input<'_>,
        (at, x): (usize, u32),
        next: Option<(usize, u32, u32)>,
    ) {
        let instructions = compiled.program.instructions();
        let (Some(instruction), Some(note)) = (instructions.get(at), compiled.notes.get(at)) else {
            return;
        };
        let mut step = Step {
            at,
            told: String::new(),
            read: None,
            holds: None,
        };
        if let Some((size, from_x)) = about::load(instruction) {
            let first = u64::from(instruction.k) + if from_x { x.into() } else { 0 };
            let place = about::place(first, size, "");
            let bytes = bytes(input.bytes, first, size);
            let subject = about::subject(note.what, place);
            step.told = match bytes {
                Some([byte]) if instruction.code == op::LDX_MSH => {
                    let words = byte & 0x0f;
                    format!("{subject} is 4 × {words} = {}", words * 4)
                }
                Some(bytes) => format!("{subject} is {}", found(note.what, bytes)),
                None => {
                    self.span = note.span.clone();
                    self.reason = too_short(input, first + size as u64 - 1);
                    format!("{subject}: {}", self.reason)
                }
            };
            step.read = bytes.map(|bytes| (first, bytes.to_vec()));
        } else if is_test(instruction.code) {
            let holds = next.is_some_and(|(next, ..)| next == target(at, instruction.jt));
            // Both ways can lead to the same place; then the answer does not matter.
            step.holds = Some(holds);
            let question = about::question(instruction, note.what).unwrap_or_default();
            step.told = format!("{question} {}", if holds { "yes" } else { "no" });
            self.span = note.span.clone();
            self.reason = format!("this part decided: {}", step.told);
        } else {
            step.told = about::instruction(instruction, note);
            match next {
                Some((_, a, x)) if step.told.is_empty() => {
                    step.told = format!("A = {}, X = {x}", number(a));
                }
                Some((_, a, _)) => step.told.push_str(&format!(" is {a}")),
                None if !is_end(instruction) => {
                    self.span = note.span.clone();
                    self.reason = impossible(instruction).to_owned();
                    step.told.clone_from(&self.reason);
                }
                None => {}
            }
        }
        self.steps.push(step);
    }

    /// The same as an object.
    pub(super) fn json(&self, number: u64, program: &[Instruction]) -> Value {
        let step = |step: &Step| {
            let text = program.get(step.at).map(|i| assembler(step.at, i));
            let (offset, bytes) = step.read.clone().unzip();
            json!({
                "at": step.at,
                "text": text,
                "told": step.told,
                "offset": offset,
                "bytes": bytes.map(hex::encode),
                "holds": step.holds,
            })
        };
        json!({
            "number": number,
            "matches": self.matches,
            "reason": self.reason,
            "span": span(&self.span),
            "path": self.steps.iter().map(step).collect::<Vec<_>>(),
        })
    }
}

/// First character and the one behind the last; null for what comes from no part of the expression.
pub(super) fn span(span: &Range<usize>) -> Option<[usize; 2]> {
    (!span.is_empty()).then_some([span.start, span.end])
}

/// Operation and operand of the instruction at `at`.
pub(super) fn assembler(at: usize, instruction: &Instruction) -> String {
    let parts = Parts::of(at, instruction);
    let (mnemonic, operand) = (parts.mnemonic, parts.operand);
    format!("{mnemonic} {operand}").trim_end().to_owned()
}

fn target(at: usize, distance: u8) -> usize {
    at + 1 + usize::from(distance)
}

fn is_end(instruction: &Instruction) -> bool {
    matches!(instruction.code, op::RET_K | op::RET_A)
}

/// Small ones in decimal.
fn number(number: u32) -> String {
    if number < 0x1_0000 {
        number.to_string()
    } else {
        format!("0x{number:x}")
    }
}

fn bytes(packet: &[u8], first: u64, size: usize) -> Option<&[u8]> {
    packet.get(usize::try_from(first).ok()?..)?.get(..size)
}

/// "0x0800: IPv4"
fn found(what: &str, bytes: &[u8]) -> String {
    let number = bytes
        .iter()
        .fold(0u32, |number, byte| number << 8 | u32::from(*byte));
    let number = about::Number::of(what, number);
    let hex = format!("0x{}", hex::encode(bytes));
    match number.name {
        Some(name) => format!("{hex}: {name}"),
        None if number.plain == hex => hex,
        None => format!("{hex}: {}", number.plain),
    }
}

/// Why a load found nothing.
fn too_short(input: &Input<'_>, last: u64) -> String {
    let captured = input.bytes.len();
    let cut = if input.wire_len as usize > captured {
        format!(
            "the capture kept only {captured} of its {} bytes",
            input.wire_len
        )
    } else {
        format!("it has {captured} bytes")
    };
    format!(
        "the packet ends before byte {last} ({cut}): a filter that reads past the end takes nothing"
    )
}

/// Why something that reads no packet ended the program.
const fn impossible(instruction: &Instruction) -> &'static str {
    match instruction.code {
        op::DIV_X | op::MOD_X => "a division by zero: a filter that divides by zero takes nothing",
        _ => "no file tells this of a packet: a filter that asks for it takes nothing",
    }
}
