//! What a row says: the same words in the terminal and in pictures.

use std::fmt::Write as _;

use super::arrow::{self, Glyphs};
use crate::{
    render::call::traced,
    text::{self, Safe},
    track::story::{Call, Header, Number, Order, Part, Row, Section, Span, What},
};

/// How words are chosen.
#[derive(Clone, Copy, Debug, Default)]
pub struct Words {
    /// Sequence numbers as they are on the wire.
    pub absolute: bool,
    /// ASCII characters only.
    pub ascii: bool,
}

impl Words {
    /// What a row says, in at most `most` columns: the first parts that fit, and what fits of the data.
    pub fn row(&self, row: &Row, most: usize) -> String {
        self.fitting(&row.what, &row.data, most)
    }

    /// The same of a packet without a row.
    pub fn fitting(&self, what: &What, data: &[u8], most: usize) -> String {
        let mut text = String::new();
        for part in self.parts(what) {
            let space = usize::from(!text.is_empty());
            if arrow::width(&text) + space + arrow::width(&part) > most {
                break;
            }
            text.push_str(&" "[..space]);
            text.push_str(&part);
        }
        let left = most.saturating_sub(arrow::width(&text) + 1);
        let quotes = !data.is_empty() && !matches!(what, What::Run { .. });
        let quote = self.safe(data, left.saturating_sub(2));
        // Of longer data, a quote of fewer than four characters says nothing.
        let whole = quotes && !quote.ends_with(self.more());
        if quotes && (left >= 6 || whole && arrow::width(&quote) + 2 <= left) {
            let _ = write!(text, " \"{quote}\"");
        }
        text
    }

    /// The parts of what a row says, the important ones first.
    fn parts(&self, what: &What) -> Vec<String> {
        let bytes = |n: u64| format!("{n} {}", if n == 1 { "byte" } else { "bytes" });
        match what {
            What::Segment(tcp) => {
                let number = |n: Number| {
                    if self.absolute { n.raw } else { n.relative }
                };
                let mut flags = String::new();
                let named = [
                    (tcp.syn, "SYN"),
                    (tcp.fin, "FIN"),
                    (tcp.rst, "RST"),
                    (tcp.ack.is_some() && tcp.len == 0, "ACK"),
                ];
                for (_, name) in named.iter().filter(|(set, _)| *set) {
                    let comma = if flags.is_empty() { "" } else { "," };
                    let _ = write!(flags, "{comma}{name}");
                }
                let data = (tcp.len > 0).then(|| bytes(tcp.len.into()));
                let mut parts: Vec<String> =
                    Some(flags).filter(|f| !f.is_empty()).into_iter().collect();
                parts.extend(data);
                parts.push(format!("seq={}", number(tcp.seq)));
                match tcp.order {
                    Order::Next => {}
                    Order::Again(Some(first)) => parts.push(format!("again (of {first})")),
                    Order::Again(None) => parts.push("again".to_owned()),
                    Order::Late => parts.push("late".to_owned()),
                    Order::KeepAlive => parts.push("keep-alive".to_owned()),
                    Order::WindowProbe => parts.push("window probe".to_owned()),
                    Order::AfterGap => parts.push("after gap".to_owned()),
                }
                if let Some(ack) = tcp.ack.filter(|_| tcp.len == 0) {
                    parts.push(format!("ack={}", number(ack)));
                }
                parts.extend(tcp.window_zero.then(|| "win=0".to_owned()));
                parts.extend(tcp.mss.map(|mss| format!("mss={mss}")));
                parts.extend(tcp.scale.map(|scale| format!("ws={scale}")));
                parts
            }
            What::Datagram {
                len,
                fragments,
                after,
            } => {
                let mut parts = vec![bytes((*len).into())];
                parts.extend(fragments.map(|count| format!("in {count} fragments")));
                parts.extend(after.map(|after| format!("after {}", Span(after))));
                parts
            }
            What::Error { says, about, by } => {
                let mut parts = vec![format!("ICMP {says}")];
                parts.extend(about.map(|number| format!("(for {number})")));
                parts.extend(by.map(|by| format!("by {by}")));
                parts
            }
            What::Run {
                segments,
                bytes: sum,
                acks,
                last,
            } => {
                let plural = if *segments == 1 { "" } else { "s" };
                let mut parts = vec![
                    format!("{} in {segments} segment{plural}", bytes(*sum)),
                    format!("to {last}"),
                ];
                parts.extend((*acks > 0).then(|| format!("acks={acks}")));
                parts
            }
            What::Message(len) => vec![bytes(*len)],
        }
    }

    /// A call in at most `most` columns, with its number. Its result is worth more than its arguments.
    pub fn call(&self, call: &Call, most: usize) -> String {
        let number = call.enter.call;
        let begin = match &*call.who {
            "" => format!("#{number} "),
            who => format!("#{number} {who}: "),
        };
        let mut end = match &call.answer {
            Some((took, _)) if call.part == Part::Returns => format!(" after {}", Span(*took)),
            None if call.part == Part::Begins => " … waits".to_owned(),
            _ => String::new(),
        };
        if !call.beside.is_empty() {
            let _ = write!(end, " {}", call.beside);
        }
        let room = most.saturating_sub(arrow::width(&begin) + arrow::width(&end));
        // Its arguments give way first.
        let returned = format!("{} returned", Safe(call.enter.name.as_bytes()));
        let least = arrow::width(&returned) + 1;
        if let Some((_, back)) = &call.answer {
            let answered = traced::answered(&call.enter, back, room.saturating_sub(least));
            if !answered.is_empty() {
                end.insert_str(0, &format!(" {answered}"));
            }
        }
        let room = most.saturating_sub(arrow::width(&begin) + arrow::width(&end));
        let asked = match call.part {
            Part::Returns => returned,
            _ => traced::asked(&call.enter, room),
        };
        let text = self.plain(format!("{begin}{asked}{end}"));
        arrow::cut(text, most, self.more())
    }

    /// Text that is safe, in ASCII where that is wanted.
    pub(super) fn plain(&self, text: String) -> String {
        match self.ascii && !text.is_ascii() {
            true => text::ascii(&text),
            false => text,
        }
    }

    /// Untrusted bytes as text of at most `most` columns.
    pub fn safe(&self, bytes: &[u8], most: usize) -> String {
        let mut text = Safe(bytes).to_string();
        if self.ascii && !text.is_ascii() {
            text = text
                .chars()
                .map(|c| match c.is_ascii() {
                    true => c.to_string(),
                    false => c.escape_unicode().to_string(),
                })
                .collect();
        }
        arrow::cut(text, most, self.more())
    }

    fn more(&self) -> &'static str {
        Glyphs::of(self.ascii).more
    }
}

/// What stands above a section.
pub fn section_title(section: Section) -> String {
    match section {
        Section::Open => "open: the three-way handshake".to_owned(),
        Section::Data => "data".to_owned(),
        Section::Close(side) => format!("close: the {} began", side.word()),
        Section::Reset(side) => format!("reset by the {}", side.word()),
    }
}

/// `tcp:0`: how a flow is named on the command line; its name in this run where it has no number.
pub fn stream_name(header: &Header) -> String {
    match header.stream {
        Some(number) => format!("{}:{number}", header.label.kind.word()),
        None => format!("{} {}", header.label, header.label.kind.word()),
    }
}
