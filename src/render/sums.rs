//! A checksum worked out on paper: every word with the running sum, the carries, the complement, and the comparison in words.

use crate::{
    checksum::Verdict,
    proto::worked::{Check, Part, Step, Sum},
    render::{
        boxes::{Fields, Placed},
        explain::Page,
    },
};

/// Columns of the words' names.
const NAMES: usize = 44;

/// Appends the checksum of a layer, whose fields name its words.
pub(super) fn check(check: &Check<'_>, fields: &Fields, page: &mut Page<'_>) {
    page.stress(&format!(
        "{} ({}), step by step",
        check.field.title, check.field.name
    ));
    match (check.sum(), check.covered) {
        (Some(sum), _) => steps(check, &sum, fields, page),
        (None, covered) => {
            let why = covered.err().unwrap_or("it was cut");
            page.say(
                2,
                &format!("It holds 0x{:04x}. Not verifiable: {why}.", check.found),
            );
        }
    }
    match check.kernel {
        Some(Verdict::Unfilled) => page.say(
            2,
            "The kernel said that the device was to fill it in after the capture, so it cannot be right yet.",
        ),
        Some(_) => page.say(2, "The kernel had checked it already, and found it right."),
        None => {}
    }
}

fn steps(check: &Check<'_>, sum: &Sum, fields: &Fields, page: &mut Page<'_>) {
    page.say(
        2,
        "The 16-bit words are added up (RFC 1071 §1); the checksum itself counts as zero.",
    );
    let covered = check.covered.unwrap_or_default();
    let mut last = "";
    for step in &sum.steps {
        let title = match step.part {
            Part::Pseudo(_) => "pseudo-header",
            Part::Layer(at) if at < check.header() => "header",
            Part::Layer(_) => "payload",
        };
        if title != last {
            row(page, &format!("{title}:"), "word", "sum so far");
            last = title;
        }
        let added = match step.words {
            1 => format!("0x{:04x}", step.added),
            _ => format!("0x{:x}", step.added),
        };
        let name = name(step, check, covered.len(), fields);
        row(
            page,
            &format!("  {name}"),
            &added,
            &format!("0x{:04x}", step.sum),
        );
    }
    for pair in sum.folds.windows(2) {
        let (before, after) = (pair[0], pair[1]);
        let words = format!(
            "carries added in: 0x{:04x} + 0x{:x}",
            before & 0xffff,
            before >> 16
        );
        row(page, &words, "", &format!("0x{after:04x}"));
    }
    let complement = format!("0x{:04x}", sum.expected);
    row(page, "every bit turned over", "", &complement);
    let found = format!("0x{:04x}", check.found);
    row(page, "the field holds", "", &found);
    page.say(2, &outcome(check, sum));
}

/// The outcome, in words.
fn outcome(check: &Check<'_>, sum: &Sum) -> String {
    match sum.verdict {
        Verdict::Valid if sum.expected == check.found => "Right: both are the same.".to_owned(),
        Verdict::Valid => {
            "Right: in ones' complement 0xffff is zero as well (RFC 1071 §1).".to_owned()
        }
        Verdict::Unfilled if check.pseudo.is_empty() => {
            "Not yet filled in: it is zero, as a device that fills it in expects.".to_owned()
        }
        Verdict::Unfilled => format!(
            "Not yet filled in: it holds 0x{:04x}, the sum of the pseudo-header alone. The device that sends the packet \
             adds the rest, after the capture.",
            check.pseudo_sum()
        ),
        Verdict::Wrong | Verdict::Unknown => format!(
            "Wrong: it should be 0x{:04x}. The packet was changed on its way, or made so.",
            sum.expected
        ),
    }
}

/// What a word is part of.
fn name(step: &Step, check: &Check<'_>, length: usize, fields: &Fields) -> String {
    let at = match step.part {
        Part::Pseudo(name) => return name.to_owned(),
        Part::Layer(at) => at,
    };
    let last = at + step.words * 2 - 1;
    if step.words > 1 {
        return format!("{} words between, bytes {at}-{last}", step.words);
    }
    let padded = if last >= length {
        ", padded with zero"
    } else {
        ""
    };
    if at == check.at {
        return format!("{}, as zero", check.field.title);
    }
    let bits = at as u32 * 8..at as u32 * 8 + 16;
    let in_word = |placed: &&Placed| placed.bits.start < bits.end && placed.bits.end > bits.start;
    let mut titles: Vec<&str> = Vec::new();
    if at < check.header() {
        let placed = fields.placed.iter().filter(in_word);
        let mut placed: Vec<&Placed> = placed.collect();
        placed.sort_by_key(|placed| placed.bits.start);
        for title in placed.iter().map(|placed| placed.field.title) {
            if !titles.contains(&title) {
                titles.push(title);
            }
        }
    }
    let bytes = match last < length {
        true => format!("bytes {at}-{last}"),
        false => format!("byte {at}"),
    };
    let named = match titles.as_slice() {
        [] => String::new(),
        [one] => format!(": {one}"),
        [one, ..] => format!(": {one}, …"),
    };
    format!("{bytes}{named}{padded}")
}

/// A name, and numbers in columns to the right of it.
fn row(page: &mut Page<'_>, name: &str, word: &str, sum: &str) {
    let name = page.spelled(name);
    // Titles are short: what a table should ever have beyond that is cut.
    let (name, _) = crate::text::split_at_width(&name, NAMES);
    let line = format!("  {name:NAMES$}{word:>12}{sum:>14}");
    page.out.push_str(line.trim_end());
    page.out.push('\n');
}
