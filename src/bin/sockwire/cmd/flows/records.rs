//! Conversations for programs: JSON lines and CSV, with the same names and exact numbers.
//!
//! Spans are seconds, points in time text with nine decimals, as in the records of packets. A value that is not known
//! is null in JSON and empty in CSV.

use std::{fmt::Write as _, net::IpAddr};

use sockwire::{
    export::json::SCHEMA,
    text::Safe,
    time::{SECOND, Time},
    track::{conversation::Direction, flow::Transport},
};

use super::columns::Row;

/// A value of a record.
enum Cell {
    Unknown,
    /// Of our own, without quotes and separators.
    Word(&'static str),
    /// From outside: a process can call itself anything.
    Text(String),
    Address(IpAddr),
    Time(Time),
    Number(u64),
    Span(i64),
}

impl<T: Into<Self>> From<Option<T>> for Cell {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Unknown, Into::into)
    }
}

impl From<&'static str> for Cell {
    fn from(word: &'static str) -> Self {
        Self::Word(word)
    }
}

impl From<IpAddr> for Cell {
    fn from(address: IpAddr) -> Self {
        Self::Address(address)
    }
}

impl From<u64> for Cell {
    fn from(number: u64) -> Self {
        Self::Number(number)
    }
}

impl From<Time> for Cell {
    fn from(time: Time) -> Self {
        Self::Time(time)
    }
}

/// A span in nanoseconds.
fn span(nanos: Option<i64>) -> Cell {
    nanos.map_or(Cell::Unknown, Cell::Span)
}

/// A field of a record: its name, and where its value comes from.
type Field = (&'static str, fn(&Row<'_>) -> Cell);

/// In their order; names are never changed once published.
const FIELDS: [Field; 34] = [
    ("transport", |row| transport(row).into()),
    ("stream", |row| u64::from(row.conversation.stream).into()),
    ("client_address", |row| address(row, 0)),
    ("client_port", |row| port(row, 0)),
    ("server_address", |row| address(row, 1)),
    ("server_port", |row| port(row, 1)),
    ("state", |row| row.conversation.outcome.word().into()),
    ("ended_by", |row| {
        row.conversation.ended_by.map(|side| side.word()).into()
    }),
    ("client_state", |row| state(row, 0)),
    ("server_state", |row| state(row, 1)),
    ("icmp_error", |row| {
        row.conversation.error.map(|error| error.says).into()
    }),
    ("icmp_error_from", |row| {
        row.conversation.error.map(|error| error.by).into()
    }),
    ("client_pid", |row| pid(row, 0)),
    ("client_process", |row| process(row, 0)),
    ("server_pid", |row| pid(row, 1)),
    ("server_process", |row| process(row, 1)),
    ("start_epoch", |row| row.conversation.start.into()),
    ("start", |row| {
        Cell::Span(row.conversation.start.since(row.began))
    }),
    ("duration", |row| Cell::Span(row.conversation.duration())),
    ("handshake_rtt", |row| span(row.conversation.handshake_rtt)),
    ("client_packets", |row| sent(row, 0).packets.into()),
    ("client_bytes", |row| sent(row, 0).bytes.into()),
    ("client_payload", |row| sent(row, 0).payload.into()),
    ("client_retransmissions", |row| {
        u64::from(sent(row, 0).retransmissions).into()
    }),
    ("client_resets", |row| u64::from(sent(row, 0).resets).into()),
    ("client_analysis_flags", |row| {
        u64::from(sent(row, 0).flagged).into()
    }),
    ("client_srtt", |row| span(sent(row, 0).srtt)),
    ("server_packets", |row| sent(row, 1).packets.into()),
    ("server_bytes", |row| sent(row, 1).bytes.into()),
    ("server_payload", |row| sent(row, 1).payload.into()),
    ("server_retransmissions", |row| {
        u64::from(sent(row, 1).retransmissions).into()
    }),
    ("server_resets", |row| u64::from(sent(row, 1).resets).into()),
    ("server_analysis_flags", |row| {
        u64::from(sent(row, 1).flagged).into()
    }),
    ("server_srtt", |row| span(sent(row, 1).srtt)),
];

fn transport(row: &Row<'_>) -> &'static str {
    match row.conversation.transport() {
        Transport::Tcp => "tcp",
        Transport::Udp => "udp",
    }
}

fn address(row: &Row<'_>, side: usize) -> Cell {
    row.conversation.sockets()[side].ip().into()
}

fn port(row: &Row<'_>, side: usize) -> Cell {
    u64::from(row.conversation.sockets()[side].port()).into()
}

fn state(row: &Row<'_>, side: usize) -> Cell {
    let states = row.conversation.states();
    states.map(|states| states[side].name()).into()
}

fn pid(row: &Row<'_>, side: usize) -> Cell {
    row.processes[side].map(|(pid, _)| u64::from(*pid)).into()
}

fn process(row: &Row<'_>, side: usize) -> Cell {
    row.processes[side].map_or(Cell::Unknown, |(_, name)| Cell::Text(name.clone()))
}

fn sent<'a>(row: &Row<'a>, side: usize) -> &'a Direction {
    &row.conversation.sent[side]
}

/// Appends one object and a line end.
pub(super) fn json(row: &Row<'_>, out: &mut String) {
    // Writing to a String cannot fail.
    let _ = write!(out, "{{\"schema\":{SCHEMA}");
    for (name, value) in FIELDS {
        let _ = write!(out, ",\"{name}\":");
        let _ = match value(row) {
            Cell::Unknown => write!(out, "null"),
            Cell::Word(word) => write!(out, "\"{word}\""),
            Cell::Text(text) => write!(out, "{}", serde_json::Value::from(text)),
            Cell::Address(address) => write!(out, "\"{address}\""),
            Cell::Time(time) => write!(out, "\"{time}\""),
            Cell::Number(number) => write!(out, "{number}"),
            Cell::Span(nanos) => {
                let seconds = nanos as f64 / SECOND as f64;
                write!(out, "{}", serde_json::Value::from(seconds))
            }
        };
    }
    out.push_str("}\n");
}

/// Appends the line of names.
pub(super) fn csv_names(out: &mut String) {
    out.push_str(&FIELDS.map(|(name, _)| name).join(","));
    out.push('\n');
}

/// Appends one line of values.
pub(super) fn csv(row: &Row<'_>, out: &mut String) {
    for (at, (_, value)) in FIELDS.iter().enumerate() {
        if at > 0 {
            out.push(',');
        }
        let _ = match value(row) {
            Cell::Unknown => Ok(()),
            Cell::Word(word) => out.write_str(word),
            Cell::Text(text) => write!(out, "{}", quoted(&text)),
            Cell::Address(address) => write!(out, "{address}"),
            Cell::Time(time) => write!(out, "{time}"),
            Cell::Number(number) => write!(out, "{number}"),
            Cell::Span(nanos) => write!(out, "{}", Time::from_nanos(nanos)),
        };
    }
    out.push('\n');
}

/// As CSV has it (RFC 4180 §2), and so that no spreadsheet takes it for a formula.
fn quoted(text: &str) -> String {
    let formula = text.starts_with(['=', '+', '-', '@', '\t', '\r']);
    let safe = Safe(text.as_bytes()).to_string().replace('"', "\"\"");
    format!("\"{}{safe}\"", if formula { "'" } else { "" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_neither_a_formula_nor_an_end_of_its_field() {
        assert_eq!(quoted("nc"), "\"nc\"");
        assert_eq!(quoted("=1+1"), "\"'=1+1\"");
        assert_eq!(quoted("a\",\n"), "\"a\"\",\\n\"");
    }
}
