//! The sums of a trace: each connection in a few lines, and a table of calls as `strace -c` has it.

use std::{collections::HashMap, fmt::Write as _};

use super::{
    Look,
    words::{NAME, Say, plural},
};
use crate::{
    call::Errno,
    event::{SocketId, Transport},
    render::style::{Palette, push},
    text::{Safe, write_wrapped},
    time::SECOND,
    timeline::{
        BUSY, ENDLESS,
        row::{Link, Side},
        summary::{Connection, Count, Finding, Nothing, Outcome, Party, Report, Tally, Times},
    },
    track::story::Span,
};

/// Writes all sums.
pub fn write(report: &Report, look: Look, out: &mut String) {
    let page = Page {
        say: Say { ascii: look.ascii },
        palette: Palette { on: look.colour },
        width: look.width.max(40),
    };
    for note in &report.notes {
        let note = Safe(note.as_bytes()).to_string();
        page.wrapped(0, &page.say.plain(note), out);
    }
    let mut told = HashMap::new();
    for connection in &report.connections {
        page.connection(connection, &mut told, out);
        out.push('\n');
    }
    page.calls(report, out);
}

/// Sockets whose times were told, and of which connection: one for datagrams has many.
type Told = HashMap<SocketId, String>;

struct Page {
    say: Say,
    palette: Palette,
    width: usize,
}

impl Page {
    fn wrapped(&self, indent: usize, text: &str, out: &mut String) {
        write_wrapped(out, indent, self.width, text);
    }

    fn connection(&self, connection: &Connection, told: &mut Told, out: &mut String) {
        let link = &*connection.link;
        let to = self.say.glyphs().to;
        let [left, right] = link.ends.each_ref();
        let mut title = self.say.label(link);
        if left.address.is_some() || right.address.is_some() {
            let address = |address: &Option<_>| self.say.address(address.as_ref());
            let _ = write!(
                title,
                " {} {to} {}",
                address(&left.address),
                address(&right.address)
            );
        }
        let mut heading = String::new();
        self.wrapped(0, &title, &mut heading);
        push(out, self.palette.heading(), heading.trim_end());
        out.push('\n');
        let lasted = Span(connection.span.1.since(connection.span.0));
        self.wrapped(2, &format!("{}; {lasted}", self.outcome(connection)), out);
        for side in [Side::Left, Side::Right] {
            self.party(connection, side, told, out);
        }
        for finding in &connection.findings {
            let mut text = String::new();
            self.wrapped(2, &self::finding(finding), &mut text);
            push(out, self.palette.remark(), text.trim_end());
            out.push('\n');
        }
        if connection.more_findings > 0 {
            let text = format!("and {} more like these", connection.more_findings);
            self.wrapped(2, &text, out);
        }
    }

    fn outcome(&self, connection: &Connection) -> String {
        let closed = connection.parties.each_ref().map(|party| party.closed);
        match connection.outcome {
            Outcome::Used => match connection.link.transport {
                Transport::Tcp | Transport::Unix if closed == [true; 2] => "closed".to_owned(),
                Transport::Tcp => "older than the trace".to_owned(),
                _ => "used".to_owned(),
            },
            Outcome::Failed(error) => {
                let error = self.say.plain(Errno(error).to_string());
                format!("connect failed: {error}")
            }
            Outcome::HalfOpen => "the SYN was not answered".to_owned(),
            Outcome::Open if closed == [true; 2] => "closed".to_owned(),
            Outcome::Open => "open".to_owned(),
            Outcome::Closing(side) => format!("closed by the {} only", word(side)),
            Outcome::Closed(side) => format!("closed, by the {} first", word(side)),
            Outcome::Reset(side, packet) => {
                format!("reset by the {} (packet {packet})", word(side))
            }
            Outcome::Error(says, packet) => format!("ICMP {says} (packet {packet})"),
        }
    }

    fn party(&self, connection: &Connection, side: Side, told: &mut Told, out: &mut String) {
        let link = &*connection.link;
        let end = &link.ends[side as usize];
        let (party, other) = (
            &connection.parties[side as usize],
            &connection.parties[side.other() as usize],
        );
        let mut who = format!("{}: ", word(side));
        match &end.who {
            Some(of) => who.push_str(&self.say.who(of)),
            None => who.push_str("not traced"),
        }
        if let Some(fd) = party.fd {
            let _ = write!(who, ", descriptor {fd}");
        }
        self.wrapped(2, &who, out);
        if let Some(text) = became(link, party, other, side) {
            self.wrapped(4, &text, out);
        }
        if party.again.times > 0 {
            let first = party.first_again.unwrap_or(0);
            let times = plural(party.again.times, unit(link));
            let text = format!(
                "{times} sent again, {} bytes (the first: packet {first})",
                party.again.bytes
            );
            self.wrapped(4, &text, out);
        }
        if party.lost > 0 {
            let text = format!("{} lost on the wire", plural(party.lost, "packet"));
            self.wrapped(4, &text, out);
        }
        let times = party.times.filter(|times| times.lasted > 0);
        let (Some(times), Some(socket)) = (times, end.socket) else {
            return;
        };
        match told.get(&socket) {
            Some(label) => {
                let text = format!("where the time of its socket went: see {label}");
                self.wrapped(4, &text, out);
            }
            None => {
                self.wrapped(4, &spent(times), out);
                self.nothing(times.nothing, out);
                told.insert(socket, self.say.label(link));
            }
        }
    }

    /// Loops that do not get on.
    fn nothing(&self, nothing: Nothing, out: &mut String) {
        let mut say = |text: String| {
            let mut lines = String::new();
            self.wrapped(4, &text, &mut lines);
            push(out, self.palette.remark(), lines.trim_end());
            out.push('\n');
        };
        if nothing.ended >= ENDLESS {
            let times = plural(nothing.ended, "receive");
            say(format!(
                "{times} after the end of the stream: the loop has no break"
            ));
        }
        if nothing.again > 0 {
            let times = plural(nothing.again, "receive");
            let loops = match nothing.again >= BUSY {
                true => ": the loop does not wait (poll does)",
                false => "",
            };
            say(format!("{times} said EAGAIN at once{loops}"));
        }
    }

    fn calls(&self, report: &Report, out: &mut String) {
        let all = report
            .calls
            .iter()
            .fold(Tally::default(), |sum, (_, tally)| Tally {
                calls: sum.calls + tally.calls,
                errors: sum.errors + tally.errors,
                bytes: sum.bytes.saturating_add(tally.bytes),
                inside: sum.inside.saturating_add(tally.inside),
            });
        let shown = shown(self.width);
        let heads = HEADS.map(|(head, _)| head.to_owned());
        push(out, self.palette.heading(), &cells(&heads, &shown, "call"));
        out.push('\n');
        let tallies = report.calls.iter();
        let tallies = tallies.map(|(name, tally)| (self.say.name(name), tally));
        for (name, tally) in tallies.chain([("all".to_owned(), &all)]) {
            out.push_str(&cells(&figures(tally, all.inside), &shown, &name));
            out.push('\n');
        }
    }
}

/// Columns of the table of calls, before their names.
const HEADS: [(&str, usize); 6] = [
    ("% time", 6),
    ("seconds", 11),
    ("us/call", 9),
    ("calls", 9),
    ("errors", 7),
    ("bytes", 12),
];

/// Those that a narrow table does without, the first of them first.
const SPARED: [usize; 4] = [2, 5, 4, 0];

/// The columns that have room beside the longest name.
fn shown(width: usize) -> Vec<usize> {
    let mut shown: Vec<usize> = (0..HEADS.len()).collect();
    for spared in SPARED {
        let used = shown.iter().map(|&at| HEADS[at].1 + 1).sum::<usize>();
        if used + 1 + NAME <= width {
            break;
        }
        shown.retain(|&at| at != spared);
    }
    shown
}

/// A line of the table.
fn cells(texts: &[String; 6], shown: &[usize], name: &str) -> String {
    let mut line = String::new();
    for &at in shown {
        let _ = write!(line, "{:>1$} ", texts[at], HEADS[at].1);
    }
    format!("{line} {name}")
}

/// What stands in the columns; `all` is the time in all calls.
fn figures(tally: &Tally, all: i64) -> [String; 6] {
    let share = match all {
        0 => 0.0,
        all => 100.0 * tally.inside as f64 / all as f64,
    };
    let each = tally.inside / i64::try_from(tally.calls.max(1)).unwrap_or(i64::MAX) / 1000;
    let errors = match tally.errors {
        0 => String::new(),
        n => n.to_string(),
    };
    [
        format!("{share:.2}"),
        format!("{:.6}", tally.inside as f64 / SECOND as f64),
        each.to_string(),
        tally.calls.to_string(),
        errors,
        tally.bytes.to_string(),
    ]
}

/// What was found, as a sentence.
pub(super) fn finding(finding: &Finding) -> String {
    match finding {
        Finding::Nagle {
            packet,
            len,
            call,
            held,
            ack,
        } => format!(
            "Nagle: packet {packet} ({} of call {call}) was held {} until packet {ack} acknowledged what was sent before it; TCP_NODELAY sends at once",
            plural((*len).into(), "byte"),
            Span(*held)
        ),
        Finding::DelayedAck { ack, data, after } => format!(
            "delayed ACK: packet {ack} acknowledges packet {data} after {}, while the other end had more to send",
            Span(*after)
        ),
    }
}

/// `3 sends of 300 bytes became 2 segments became 4 receives`; bytes are said again where they differ.
fn became(link: &Link, from: &Party, to: &Party, side: Side) -> Option<String> {
    let traced = |side: Side| link.ends[side as usize].who.is_some();
    let all = [
        (traced(side), from.sends, "send"),
        (from.packets.times > 0, from.packets, unit(link)),
        (traced(side.other()), to.receives, "receive"),
    ];
    if all.iter().all(|(_, count, _)| *count == Count::default()) {
        return None;
    }
    let mut bytes = None;
    let parts: Vec<String> = all
        .iter()
        .filter(|(known, _, _)| *known)
        .map(|(_, count, word)| {
            let times = plural(count.times, word);
            match bytes.replace(count.bytes) == Some(count.bytes) {
                true => times,
                false => format!("{times} of {}", plural(count.bytes, "byte")),
            }
        })
        .collect();
    Some(parts.join(" became "))
}

/// Where the time went.
fn spent(times: Times) -> String {
    let parts = [
        (times.connect, "in connect"),
        (
            times.receive.saturating_sub(times.nothing.took),
            "receiving or waiting for data",
        ),
        (times.nothing.took, "in receives that got nothing"),
        (
            times.blocked,
            "in slow sends (1 ms or more: no room, or a busy machine)",
        ),
        (times.send.saturating_sub(times.blocked), "in send"),
        (times.others, "in other calls"),
    ];
    let mut text = format!("used for {}:", Span(times.lasted));
    for (nanos, word) in parts.iter().filter(|(nanos, _)| *nanos > 0) {
        let _ = write!(text, " {} {word},", Span(*nanos));
    }
    let _ = write!(text, " {} between its calls", Span(times.program));
    if times.accept > 0 {
        let _ = write!(text, "; accept had waited {} for it", Span(times.accept));
    }
    text
}

const fn word(side: Side) -> &'static str {
    match side {
        Side::Left => "client",
        Side::Right => "server",
    }
}

/// What a transport's packets are called.
const fn unit(link: &Link) -> &'static str {
    match link.transport {
        Transport::Tcp => "segment",
        Transport::Udp => "datagram",
        _ => "packet",
    }
}
