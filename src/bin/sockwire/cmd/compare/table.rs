//! The table of a comparison: one column a kind, as text for a terminal and as Markdown.

use std::collections::BTreeMap;

use sockwire::compare::{Course, Figures, Repair};

use crate::cmd::output;

/// Columns of the table: below, cells are wrapped into more lines; beyond, nothing gets wider.
pub(super) const NARROWEST: usize = 40;
pub(super) const WIDEST: usize = 100;
/// Columns of the names of the rows.
const NAMES: usize = 19;

/// A row: its name, and what it says of a kind.
type Row = (&'static str, fn(&Figures) -> String);

const ROWS: &[Row] = &[
    ("calls, client", |f| match f.by_hand {
        Some(by_hand) => format!("{} sends, {} reads", by_hand.sent, by_hand.heard),
        None => total(&f.calls.client).to_string(),
    }),
    ("calls, server", |f| total(&f.calls.server).to_string()),
    ("packets", |f| {
        let Figures { packets, .. } = f;
        let (client, server) = (packets.client, packets.server);
        format!("{} ({client} + {server})", client + server)
    }),
    ("bytes on the wire", |f| f.bytes_on_wire.to_string()),
    ("bytes received", |f| f.bytes_received.to_string()),
    ("overhead", |f| match f.overhead_percent {
        Some(percent) => format!("{percent:.1}%"),
        None => "nothing arrived".to_owned(),
    }),
    ("handshake", |f| match f.handshake_ms {
        Some(ms) => format!("{ms:.2} ms"),
        None => "none".to_owned(),
    }),
    ("round trip, median", |f| {
        time(f.round_trip_ms.map(|t| t.median))
    }),
    ("round trip, range", |f| match f.round_trip_ms {
        Some(t) => format!("{:.2} to {:.2} ms", t.min, t.max),
        None => "none".to_owned(),
    }),
    ("total time", |f| time(f.total_ms)),
    ("messages arrived", |f| arrived(&f.messages)),
    ("answers arrived", |f| arrived(&f.answers)),
    ("order", |f| order(&f.messages, &f.answers)),
    ("packets lost", |f| {
        f.lost.client.saturating_add(f.lost.server).to_string()
    }),
    ("sent again", again),
    ("3 sends at once", |f| match f.burst.packets {
        1 => "1 packet".to_owned(),
        packets => format!("{packets} packets"),
    }),
    ("  received as", |f| match &f.burst.receives[..] {
        [] => "nothing".to_owned(),
        receives => {
            let sizes: Vec<_> = receives.iter().map(ToString::to_string).collect();
            format!("{} bytes", sizes.join(", "))
        }
    }),
    ("  their boundaries", |f| match f.boundaries_kept {
        Some(true) => "kept".to_owned(),
        Some(false) => "not kept".to_owned(),
        None => "not seen".to_owned(),
    }),
    ("ended", |f| f.ended.clone().unwrap_or_default()),
];

/// Rows that are shown on request: calls by name.
const CALLS: &[Row] = &[
    ("client's calls", |f| named(&f.calls.client)),
    ("server's calls", |f| named(&f.calls.server)),
    ("time-outs", |f| f.timeouts.to_string()),
];

/// All rows that say something of one kind at least.
fn rows(all: &[Figures], calls: bool) -> Vec<(&'static str, Vec<String>)> {
    let more = if calls { CALLS } else { &[] };
    ROWS.iter()
        .chain(more)
        .map(|(name, cell)| (*name, all.iter().map(cell).collect::<Vec<_>>()))
        .filter(|(_, cells)| cells.iter().any(|cell| !cell.is_empty()))
        .collect()
}

/// The table in so many columns.
pub(super) fn text(all: &[Figures], columns: usize, calls: bool) -> String {
    let width = columns.saturating_sub(NAMES) / all.len().max(1);
    let heads = all.iter().map(|figures| figures.kind.name().to_owned());
    let mut text = String::new();
    let rows = [("", heads.collect())].into_iter().chain(rows(all, calls));
    for (name, cells) in rows {
        let cells: Vec<Vec<String>> = cells
            .iter()
            .map(|cell| {
                let mut lines = String::new();
                output::write_wrapped(&mut lines, 0, width.saturating_sub(2).max(1), cell);
                lines.lines().map(ToOwned::to_owned).collect()
            })
            .collect();
        let height = cells.iter().map(Vec::len).max().unwrap_or_default();
        for line in 0..height {
            let mut row = format!("{:NAMES$}", if line == 0 { name } else { "" });
            for cell in &cells {
                let cell = cell.get(line).map_or("", String::as_str);
                row.push_str(&format!("{cell:width$}"));
            }
            text.push_str(row.trim_end());
            text.push('\n');
        }
    }
    text
}

/// The table in Markdown.
pub(super) fn markdown(all: &[Figures], calls: bool) -> String {
    let heads: Vec<_> = all.iter().map(|figures| figures.kind.name()).collect();
    let mut text = format!(
        "| | {} |\n|---|{}\n",
        heads.join(" | "),
        "---|".repeat(heads.len())
    );
    for (name, cells) in rows(all, calls) {
        let cells: Vec<_> = cells.iter().map(|cell| cell.replace('|', "\\|")).collect();
        text.push_str(&format!("| {} | {} |\n", name.trim(), cells.join(" | ")));
    }
    text
}

fn total(calls: &BTreeMap<&'static str, u64>) -> u64 {
    calls.values().sum()
}

/// "connect 1, recv 12".
fn named(calls: &BTreeMap<&'static str, u64>) -> String {
    let calls: Vec<_> = calls
        .iter()
        .map(|(name, count)| format!("{name} {count}"))
        .collect();
    match calls.is_empty() {
        true => "raw: one for each packet; opening and waiting are not counted".to_owned(),
        false => calls.join(", "),
    }
}

fn time(ms: Option<f64>) -> String {
    ms.map_or_else(|| "none".to_owned(), |ms| format!("{ms:.2} ms"))
}

fn arrived(course: &Course) -> String {
    format!("{} of {}", course.arrived, course.sent)
}

fn order(messages: &Course, answers: &Course) -> String {
    let late = messages.arrived + answers.arrived - messages.in_order - answers.in_order;
    let again = messages.again + answers.again;
    match (late, again) {
        (0, 0) if messages.arrived == 0 => "nothing arrived".to_owned(),
        (0, 0) => "kept".to_owned(),
        (late, 0) => format!("{late} late"),
        (0, again) => format!("kept, {again} twice"),
        (late, again) => format!("{late} late, {again} twice"),
    }
}

/// Who sent again, and how often.
fn again(figures: &Figures) -> String {
    let again = &figures.sent_again;
    match figures.repaired_by {
        Repair::Nobody => "0 (nobody does)".to_owned(),
        _ if again.client + again.server == 0 => "0".to_owned(),
        Repair::Kernel => format!("{}, by the kernels", again.client + again.server),
        Repair::Program if again.server == 0 => format!("{}, by the program", again.client),
        Repair::Program => format!(
            "{}, by the program; {} by the server's kernel",
            again.client, again.server
        ),
    }
}
