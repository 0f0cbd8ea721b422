//! The columns of the table for people: what each says of a conversation, and which ones give way first.

use std::fmt::Write as _;

use anstyle::Style;
use sockwire::{
    capture::Process,
    line::{EndNames, push_number, push_socket},
    render::style::Palette,
    text::Safe,
    time::{MILLISECOND, SECOND, Time},
    track::{
        conversation::{Conversation, Direction},
        flow::Transport,
        story::Outcome,
    },
};

/// A conversation to be written.
#[derive(Clone, Copy)]
pub(super) struct Row<'a> {
    pub(super) conversation: &'a Conversation,
    /// What its start counts from.
    pub(super) began: Time,
    /// Of client and server, where they are known.
    pub(super) processes: [Option<&'a Process>; 2],
}

/// What cells are written with.
pub(super) struct Writer<'a> {
    pub(super) names: &'a mut Option<Box<dyn EndNames>>,
    pub(super) palette: Palette,
}

/// A column. A cell that has nothing to say is empty, and a column of empty cells is left out.
pub(super) struct Column {
    pub(super) title: &'static str,
    /// Columns of a lower rank stay when a line gets too long.
    pub(super) rank: u8,
    pub(super) right: bool,
    pub(super) write: fn(&Row<'_>, &mut Writer<'_>, &mut String),
}

const fn column(
    title: &'static str,
    rank: u8,
    right: bool,
    write: fn(&Row<'_>, &mut Writer<'_>, &mut String),
) -> Column {
    Column {
        title,
        rank,
        right,
        write,
    }
}

/// Which of [`COLUMNS`] has the sockets.
pub(super) const SOCKETS: usize = 1;

/// From left to right.
pub(super) static COLUMNS: [Column; 14] = [
    column("flow", 0, false, |row, _, out| name(row.conversation, out)),
    column("client → server", 0, false, sockets),
    column("state", 0, false, |row, _, out| {
        out.push_str(row.conversation.outcome.word());
    }),
    column("by", 7, false, by),
    column("process", 6, false, processes),
    column("start", 8, true, |row, _, out| {
        // Microseconds, as in the lines of `read`.
        let nanos = row.conversation.start.since(row.began);
        let from = out.len();
        let _ = write!(out, "{}", Time::from_nanos(nanos));
        out.truncate((out.len() - 3).max(from));
    }),
    column("time", 5, true, |row, _, out| {
        brief(row.conversation.duration(), out);
    }),
    column("packets", 1, true, |row, _, out| {
        each(row, out, |sent| sent.packets, push_number);
    }),
    column("bytes", 2, true, |row, _, out| {
        each(row, out, |sent| sent.bytes, short);
    }),
    column("RTT", 3, true, |row, _, out| {
        if let Some(rtt) = row.conversation.handshake_rtt {
            brief(rtt, out);
        }
    }),
    column("again", 4, true, |row, _, out| {
        some(row, out, |sent| sent.retransmissions);
    }),
    column("SRTT", 10, true, |row, _, out| {
        let [client, server] = row.conversation.sent.map(|sent| sent.srtt);
        if client.or(server).is_some() {
            or_dash(client, out);
            out.push('/');
            or_dash(server, out);
        }
    }),
    column("resets", 9, true, |row, _, out| {
        some(row, out, |sent| sent.resets);
    }),
    column("ends", 11, false, |row, _, out| {
        if let Some([client, server]) = row.conversation.states() {
            let _ = write!(out, "{client}/{server}");
        }
    }),
];

/// `tcp:0`.
pub(super) fn name(conversation: &Conversation, out: &mut String) {
    out.push_str(match conversation.transport() {
        Transport::Tcp => "tcp:",
        Transport::Udp => "udp:",
    });
    push_number(out, conversation.stream.into());
}

fn sockets(row: &Row<'_>, writer: &mut Writer<'_>, out: &mut String) {
    let [client, server] = row.conversation.sockets();
    push_socket(out, Some(client.ip()), client.port(), writer.names);
    out.push_str(" → ");
    push_socket(out, Some(server.ip()), server.port(), writer.names);
}

/// Who ended it, or what an ICMP error said of it.
fn by(row: &Row<'_>, _: &mut Writer<'_>, out: &mut String) {
    let conversation = row.conversation;
    match (conversation.ended_by, conversation.error) {
        (Some(side), _) => out.push_str(side.word()),
        (None, Some(error)) => out.push_str(error.says),
        (None, None) => {}
    }
}

/// `name[pid]` of the client's process and of the server's.
fn processes(row: &Row<'_>, _: &mut Writer<'_>, out: &mut String) {
    for (at, process) in row.processes.iter().enumerate() {
        if let Some((pid, name)) = process {
            out.push_str(if at > 0 { " → " } else { "" });
            let _ = write!(out, "{}[{pid}]", Safe(name.as_bytes()));
        }
    }
}

/// A number of the client's and of the server's packets.
fn each(
    row: &Row<'_>,
    out: &mut String,
    of: impl Fn(&Direction) -> u64,
    push: fn(&mut String, u64),
) {
    let [client, server] = &row.conversation.sent;
    push(out, of(client));
    out.push('/');
    push(out, of(server));
}

/// The same, nothing where both are 0.
fn some(row: &Row<'_>, out: &mut String, of: impl Fn(&Direction) -> u32) {
    if row.conversation.sum(|sent| of(sent).into()) > 0 {
        each(row, out, |sent| of(sent).into(), push_number);
    }
}

/// A count in at most six characters: "99999", "100k", "1.5M".
fn short(out: &mut String, count: u64) {
    const UNITS: [(u64, char); 3] = [(1_000_000_000, 'G'), (1_000_000, 'M'), (1_000, 'k')];
    if count < 100_000 {
        push_number(out, count);
        return;
    }
    for (unit, letter) in UNITS {
        if count >= 10 * unit || letter == 'k' {
            push_number(out, count / unit);
            out.push(letter);
            return;
        }
        if count >= unit {
            let _ = write!(out, "{}.{}{letter}", count / unit, count % unit * 10 / unit);
            return;
        }
    }
}

/// A span in three digits: "0.02ms", "20.1ms", "310ms", "1.02s".
fn brief(nanos: i64, out: &mut String) {
    let (unit, letters) = if nanos.unsigned_abs() < SECOND.unsigned_abs() {
        (MILLISECOND, "ms")
    } else {
        (SECOND, "s")
    };
    // Rounded to the digits shown, half of them up.
    let size = nanos.unsigned_abs();
    let unit = unit.unsigned_abs();
    let (shown, decimals) = [(100, 2), (10, 1), (1, 0)]
        .map(|(scale, decimals)| ((size + unit / scale / 2) / (unit / scale), decimals))
        .into_iter()
        .find(|(shown, _)| *shown < 1000)
        .unwrap_or((size / unit, 0));
    if nanos < 0 {
        out.push('-');
    }
    let scale = 10_u64.pow(decimals);
    push_number(out, shown / scale);
    if decimals > 0 {
        out.push('.');
        if decimals == 2 {
            push_number(out, shown % scale / 10);
        }
        push_number(out, shown % 10);
    }
    out.push_str(letters);
}

fn or_dash(nanos: Option<i64>, out: &mut String) {
    match nanos {
        Some(nanos) => brief(nanos, out),
        None => out.push('-'),
    }
}

/// How a cell is drawn: what went wrong stands out.
pub(super) fn style(title: &str, row: &Row<'_>, palette: Palette) -> Style {
    match (title, row.conversation.outcome) {
        ("state", Outcome::Refused | Outcome::Reset | Outcome::Unreachable) => palette.problem(),
        ("state", Outcome::Unanswered | Outcome::HalfOpen) | ("again", _) => palette.remark(),
        _ => Style::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_have_three_digits_and_counts_six_characters_at_most() {
        let span = |nanos| {
            let mut out = String::new();
            brief(nanos, &mut out);
            out
        };
        for (nanos, text) in [
            (0, "0.00ms"),
            (20_000, "0.02ms"),
            (9_996_000, "10.0ms"),
            (310_400_000, "310ms"),
            (1_020_000_000, "1.02s"),
            (-5_000_000, "-5.00ms"),
            (100_000 * SECOND, "100000s"),
        ] {
            assert_eq!(span(nanos), text);
        }
        for (count, text) in [
            (0, "0"),
            (99_999, "99999"),
            (100_000, "100k"),
            (999_999, "999k"),
            (1_500_000, "1.5M"),
            (10_000_000, "10M"),
            (7_950_000_000, "7.9G"),
            (u64::MAX, "18446744073G"),
        ] {
            let mut out = String::new();
            short(&mut out, count);
            assert_eq!(out, text);
        }
    }
}
