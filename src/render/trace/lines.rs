//! One line an event: calls as strace writes them, packets between them, each with its ties.

use std::fmt::Write as _;

use super::{
    super::call::traced,
    Look,
    words::{Say, grounds, seconds},
};
use crate::{
    event::Transport,
    render::style::{Palette, push},
    time::{SECOND, Time},
    timeline::{
        row::{Call, Form, Idle, Named, Row, Sent, What},
        seen,
    },
    track::story::Span,
};

/// Columns for a call's arguments and for its result.
const ROOM: usize = 120;

/// Lines being written.
#[derive(Debug)]
pub struct Lines {
    say: Say,
    palette: Palette,
    /// The first row's time: what the others count from.
    origin: Option<Time>,
    /// It has been said that Unix sockets send no packets.
    is_told_of_unix: bool,
}

impl Lines {
    /// No line yet.
    pub const fn new(look: Look) -> Self {
        Self {
            say: Say { ascii: look.ascii },
            palette: Palette { on: look.colour },
            origin: None,
            is_told_of_unix: false,
        }
    }

    /// Appends the lines of a row.
    pub fn row(&mut self, row: &Row, out: &mut String) {
        let origin = *self.origin.get_or_insert(row.at);
        let link = row.link.as_ref();
        if !self.is_told_of_unix && link.is_some_and(|link| link.transport == Transport::Unix) {
            self.is_told_of_unix = true;
            let at = seconds(row.at, origin, 6);
            let _ = writeln!(out, "{at:>12} a Unix socket: there are no packets");
        }
        let _ = write!(out, "{:>12} ", seconds(row.at, origin, 6));
        match &row.what {
            What::Call(call) => self.call(call, out),
            What::Idle(idle) => self.idle(idle, out),
            What::Packet(sent) => self.packet(sent, origin, out),
            What::Arrival(sent, again) => arrival(sent, *again, out),
            other => {
                let text = self.say.sentence(other).unwrap_or_default();
                push(out, self.palette.faint(), &text);
            }
        }
        out.push('\n');
    }

    fn call(&self, call: &Call, out: &mut String) {
        let who = self.say.who(&call.who);
        let thread = call.enter.by.thread;
        let _ = match thread == call.who.process {
            true => write!(out, "{who} #{} ", call.enter.call),
            false => write!(out, "{who} thread {thread} #{} ", call.enter.call),
        };
        let asked = match call.form {
            Form::Returned => format!("<... {} resumed>", self.say.name(&call.enter.name)),
            _ => self.say.plain(traced::asked(&call.enter, ROOM)),
        };
        push(out, self.palette.heading(), &asked);
        let Some((_, back)) = &call.answer else {
            out.push_str(" <unfinished ...>");
            return;
        };
        let answered = self.say.plain(traced::answered(&call.enter, back, ROOM));
        let style = match back.result {
            Ok(_) => self.palette.heading(),
            Err(_) => self.palette.remark(),
        };
        if !answered.is_empty() {
            out.push(' ');
            push(out, style, &answered);
        }
        let _ = write!(out, " <{}>", inside(call.took().unwrap_or(0)));
        if let Some(remark) = self.say.remark(call) {
            let _ = write!(out, " {remark}");
        }
        if call.after > 0 {
            let times = if self.say.ascii { "x" } else { "×" };
            let _ = write!(out, " after {} {times} EAGAIN", call.after);
        }
    }

    fn idle(&self, idle: &Idle, out: &mut String) {
        let asked = self.say.plain(traced::asked(&idle.enter, ROOM));
        let (times, meaning) = self.say.idle(idle);
        let _ = write!(out, "{} {asked} {times}", self.say.who(&idle.who));
        if let Some(meaning) = meaning {
            out.push_str(": ");
            push(out, self.palette.problem(), meaning);
        }
    }

    fn packet(&self, sent: &Sent, origin: Time, out: &mut String) {
        let _ = write!(out, "packet {} ", sent.number);
        let text = self.words(sent);
        let style = match sent.lost.is_some() {
            true => self.palette.problem(),
            false => self.palette.protocol(protocol(sent)),
        };
        push(out, style, &text);
        let mut ties = Vec::new();
        if let Some(why) = &sent.lost {
            let why = crate::text::Safe(why.as_bytes()).to_string();
            ties.push(format!("lost: {}", self.say.plain(why)));
        }
        if let Some(arrived) = sent.arrived {
            let after = Span(arrived.since(sent.sent));
            let at = seconds(arrived, origin, 6);
            ties.push(format!("arrived {at} after {after}"));
        }
        let mut tie = |word: &str, calls: &[Named], because: String| {
            if !calls.is_empty() {
                ties.push(format!("{word} {} ({because})", self.say.calls(calls)));
            }
        };
        tie("sent by", &sent.causes, grounds(&sent.tied.causes));
        tie("got by", &sent.takers, grounds(&sent.tied.takers));
        ties.extend(self.say.kernel(sent));
        if sent.causes.is_empty() && sent.tied.kernel.is_none() {
            let why = match sent.tied.sender {
                Some(_) => "no call known",
                None => "its sender is not traced",
            };
            ties.push(why.to_owned());
        }
        out.push_str("  ");
        push(out, self.palette.faint(), &ties.join(", "));
    }

    /// Addresses, flags, numbers.
    fn words(&self, sent: &Sent) -> String {
        let Some(seen) = &sent.seen else {
            return format!("{} bytes", sent.wire_len);
        };
        let to = self.say.glyphs().to;
        let mut text = format!("{} {to} {} ", seen.source, seen.destination);
        match &seen.what {
            seen::What::Segment(tcp) => {
                let flags = [
                    (tcp.syn, "SYN"),
                    (tcp.fin, "FIN"),
                    (tcp.rst, "RST"),
                    (tcp.psh, "PSH"),
                    (tcp.ack.is_some(), "ACK"),
                ];
                let flags = flags.iter().filter(|(set, _)| *set);
                let flags: Vec<&str> = flags.map(|(_, word)| *word).collect();
                let _ = write!(text, "{} seq={}", flags.join(","), sent.seq);
                if let Some(ack) = sent.ack {
                    let _ = write!(text, " ack={ack}");
                }
                let _ = write!(text, " len={}", tcp.len);
                if tcp.window == 0 && !tcp.rst {
                    text.push_str(" win=0");
                }
                if sent.tied.again {
                    text.push_str(" again");
                }
            }
            seen::What::Datagram(len) => {
                let word = match seen.transport {
                    Transport::Udp => "UDP",
                    _ => "ICMP",
                };
                let _ = write!(text, "{word} len={len}");
            }
            seen::What::Error(says) => {
                let _ = write!(text, "ICMP {says}");
            }
        }
        text
    }
}

/// A packet of a wire is there.
fn arrival(sent: &Sent, again: bool, out: &mut String) {
    let after = sent.arrived.map_or(0, |at| at.since(sent.sent));
    let copy = if again { " a second time" } else { "" };
    let _ = write!(
        out,
        "packet {} arrives{copy} after {}",
        sent.number,
        Span(after)
    );
}

pub(super) fn protocol(sent: &Sent) -> &'static str {
    match sent.seen.as_ref().map(|seen| (&seen.what, seen.transport)) {
        Some((seen::What::Error(_), _)) => "icmp",
        Some((_, Transport::Tcp)) => "tcp",
        Some((_, Transport::Udp)) => "udp",
        _ => "icmp",
    }
}

/// How long a call took, in seconds, as strace has it.
fn inside(nanos: i64) -> String {
    let micros = nanos.max(0) / 1000;
    let (whole, part) = (micros / (SECOND / 1000), micros % (SECOND / 1000));
    format!("{whole}.{part:06}")
}
