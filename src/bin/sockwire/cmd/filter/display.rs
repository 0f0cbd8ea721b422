//! A display filter explained: its words, how many packets of a file match, and what one packet has where it is asked.

use std::ops::Range;

use serde_json::{Value, json};
use sockwire::{
    decode::{Decoded, Decoder},
    filter::{DisplayFilter, Names, display::Reason},
    frame::Source as _,
    proto::frame::Around,
    track::Tracker,
};

use super::{
    Args, bad,
    view::{View, shown},
};
use crate::cmd::{
    Exit, Global, Outcome,
    output::{self, Output},
    packets::{each, no_packet},
};

/// How a packet fared.
struct Found {
    matches: bool,
    reasons: Vec<Reason>,
}

/// Explains the display filter of `-Y`.
pub(super) fn run(expression: &str, args: &Args, names: &dyn Names, global: &Global) -> Outcome {
    let filter = DisplayFilter::compile(expression, names).map_err(bad)?;
    let (mut packets, mut matched) = (0u64, 0u64);
    let mut found = None;
    let mut fault = None;
    if let Some(file) = &args.read {
        let (decoder, mut tracker) = (Decoder::default(), Tracker::default());
        let mut decoded = Decoded::default();
        fault = each(file, global, |source, batch| {
            decoder.batch(batch, &mut decoded);
            for index in 0..batch.len() {
                packets += 1;
                tracker.packet(&decoder, batch, &mut decoded, index);
                let around = Around::of(source.interfaces(), batch, index);
                let Some(packet) = decoded.packet(batch, index) else {
                    continue;
                };
                let matches = filter.matches(&packet, &around);
                matched += u64::from(matches);
                if args.packet == Some(packet.frame.number) {
                    let reasons = filter.why(&packet, &around);
                    found = Some(Found { matches, reasons });
                    return Ok(false);
                }
            }
            Ok(true)
        })?;
    }
    let mut stdout = Output::stdout(global.ascii)?;
    let out = &mut stdout.text;
    let view = View {
        expression,
        palette: output::palette(global),
        columns: output::columns(),
        counted: args.read.is_some(),
    };
    let matches = match (args.packet, found) {
        (Some(number), None) => return Err(fault.unwrap_or_else(|| no_packet(number, packets))),
        (Some(number), Some(found)) => {
            if args.json {
                packet_json(expression, &filter, number, &found, out);
            } else {
                packet(&view, number, &found, out);
            }
            found.matches
        }
        (None, _) => {
            if args.json {
                let mut object = object(expression, &filter);
                if view.counted {
                    object["packets"] = packets.into();
                    object["matched"] = matched.into();
                }
                out.push_str(&format!("{object}\n"));
            } else {
                view.expression(&(0..0), out);
                view.words(&filter.words(), out);
                view.count((matched, packets), out);
            }
            matched > 0
        }
    };
    stdout.flush()?;
    match fault {
        Some(fault) => Err(fault),
        None if args.read.is_some() && !matches => Ok(Exit::NoMatch),
        None => Ok(Exit::Done),
    }
}

/// Each test of the expression with its answer, and what the packet has there.
fn packet(view: &View<'_>, number: u64, found: &Found, out: &mut String) {
    view.expression(&(0..0), out);
    out.push('\n');
    let rows = found.reasons.iter().map(|reason| {
        let answer = if reason.holds { "yes" } else { "no" };
        let part = part(view.expression, &reason.span);
        let code = format!("{answer:<5}{:1$}{part}", "", reason.depth * 2);
        (code, shown(&reason.found.join(", ")))
    });
    view.rows(&rows.collect::<Vec<_>>(), out);
    view.answer(number, found.matches, out);
}

/// The characters of `span`.
fn part(expression: &str, span: &Range<usize>) -> String {
    let characters = expression.chars().skip(span.start);
    shown(&characters.take(span.len()).collect::<String>())
}

fn object(expression: &str, filter: &DisplayFilter) -> Value {
    json!({ "display_filter": expression, "words": filter.words() })
}

fn packet_json(
    expression: &str,
    filter: &DisplayFilter,
    number: u64,
    found: &Found,
    out: &mut String,
) {
    let test = |reason: &Reason| {
        json!({
            "depth": reason.depth,
            "span": [reason.span.start, reason.span.end],
            "holds": reason.holds,
            "found": reason.found,
        })
    };
    let mut object = object(expression, filter);
    object["packet"] = json!({
        "number": number,
        "matches": found.matches,
        "tests": found.reasons.iter().map(test).collect::<Vec<_>>(),
    });
    out.push_str(&format!("{object}\n"));
}
