//! Draws a story as a ladder: one column a socket, one row a packet, states at both margins.

mod arrow;
#[cfg(test)]
mod hostile;
#[cfg(test)]
mod tests;

use std::{fmt::Write as _, io};

use self::arrow::{Arrow, Glyphs};
use super::style::{Palette, push};
use crate::{
    text::Safe,
    time::{MILLISECOND, SECOND, Time},
    track::{
        state::State,
        story::{About, Fate, Header, Item, Note, Order, Row, Section, Side, What},
    },
};

/// How a ladder is drawn.
#[derive(Clone, Debug)]
pub struct LadderOptions {
    /// Columns of the terminal: from 80 on state names are whole, below they are shortened; at least 60.
    pub width: usize,
    /// ASCII characters only.
    pub ascii: bool,
    /// With terminal colours.
    pub colour: bool,
    /// Sequence numbers as they are on the wire (`-S`); state names are shortened to make room.
    pub absolute: bool,
    /// Which of the two forms.
    pub layout: Layout,
    /// What time counts from; the first row's time when left out.
    pub origin: Option<Time>,
    /// Names of the interfaces, by index. Untrusted text.
    pub interfaces: Vec<String>,
}

/// The two forms of a ladder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// Both ends' times in milliseconds, and sections: one flow whose both ends are seen.
    Lab,
    /// One time in seconds, and many flows.
    Watch,
}

impl Default for LadderOptions {
    fn default() -> Self {
        Self {
            width: WIDE,
            ascii: false,
            colour: false,
            absolute: false,
            layout: Layout::Watch,
            origin: None,
            interfaces: Vec::new(),
        }
    }
}

/// Where state names are whole.
const WIDE: usize = 80;
/// The narrowest form.
const NARROW: usize = 60;
/// Columns of rules and headers in the wide form.
const RULE: usize = 78;

/// Columns of each part of a row.
#[derive(Clone, Copy, Debug)]
struct Columns {
    time: usize,
    state: usize,
    arrow: usize,
    /// The second time, of the lab's form.
    far_time: usize,
    number: usize,
    rule: usize,
    short: bool,
}

impl Columns {
    fn of(options: &LadderOptions) -> Self {
        let wide = options.width >= WIDE;
        let rule = if wide {
            RULE
        } else {
            options.width.max(NARROW)
        };
        let lab = options.layout == Layout::Lab;
        let short = !wide || options.absolute;
        let mut columns = Self {
            time: match (lab, wide) {
                (true, _) => 7,
                (false, true) => 10,
                (false, false) => 8,
            },
            state: if short { 6 } else { 12 },
            arrow: 0,
            far_time: if lab { 8 } else { 0 },
            number: if lab { 4 } else { 5 },
            rule,
            short,
        };
        let total = if lab && wide { RULE + 1 } else { rule };
        columns.arrow = total - columns.outside();
        columns
    }

    /// Columns beside the arrow: time, space, state, line, line, state, time, number.
    fn outside(&self) -> usize {
        self.time + 1 + self.state + 1 + 1 + self.state + self.far_time + self.number
    }

    /// Columns of a row.
    fn total(&self) -> usize {
        self.outside() + self.arrow
    }
}

/// A ladder being drawn.
#[derive(Debug)]
pub struct Ladder {
    options: LadderOptions,
    columns: Columns,
    glyphs: &'static Glyphs,
    palette: Palette,
    text: String,
}

impl Ladder {
    /// A ladder with nothing drawn yet.
    pub fn new(options: LadderOptions) -> Self {
        Self {
            columns: Columns::of(&options),
            glyphs: Glyphs::of(options.ascii),
            palette: Palette { on: options.colour },
            options,
            text: String::new(),
        }
    }

    /// Names of the interfaces by index, when more became known. Untrusted text.
    pub fn interfaces(&mut self, names: Vec<String>) {
        self.options.interfaces = names;
    }

    /// Draws one item.
    ///
    /// # Errors
    /// When `out` cannot be written.
    pub fn write(&mut self, item: &Item, out: &mut dyn io::Write) -> io::Result<()> {
        self.text.clear();
        match item {
            Item::Flow(header) if self.options.layout == Layout::Lab => self.title(header),
            Item::Flow(header) => self.header(header),
            Item::Section(section) if self.options.layout == Layout::Lab => {
                self.rule(&in_words(*section));
            }
            Item::Section(_) => {}
            Item::Row(row) => self.row(row),
            Item::Note(note) => self.note(note),
        }
        out.write_all(self.text.as_bytes())
    }

    /// `-- text ----`, to the end of the row.
    fn rule(&mut self, text: &str) {
        let mut line = format!("-- {text} ");
        let used = arrow::width(&line);
        line.push_str(&"-".repeat(self.columns.rule.saturating_sub(used)));
        push(&mut self.text, self.palette.heading(), line.trim_end());
        self.text.push('\n');
    }

    fn header(&mut self, header: &Header) {
        let arrow = self.glyphs.to;
        let name = format!("{} {}", header.label, header.label.kind.word());
        let room = self.columns.rule - 4;
        let mut text = format!("{name} {} {arrow} {}", header.client, header.server);
        if arrow::width(&text) > room {
            let both = text;
            text = format!("{:name$} {arrow} {}", "", header.server, name = name.len());
            let first = both.strip_suffix(&format!(" {arrow} {}", header.server));
            self.rule(first.unwrap_or(&both));
        }
        let interface = usize::try_from(header.interface)
            .ok()
            .and_then(|index| self.options.interfaces.get(index));
        let beside = [interface, header.process.as_ref()].into_iter().flatten();
        for beside in beside.filter(|name| !name.is_empty()) {
            let beside = self.safe(beside.as_bytes(), 24);
            if arrow::width(&text) + 2 + arrow::width(&beside) <= room {
                text.push_str("  ");
                text.push_str(&beside);
            }
        }
        self.rule(&text);
    }

    /// Both sockets above their columns, and the states before the first packet.
    fn title(&mut self, header: &Header) {
        let c = self.columns;
        let (client, server) = (header.client.to_string(), header.server.to_string());
        let named = (format!("client {client}"), format!("server {server}"));
        let room = 2 * c.state + c.arrow + 2;
        let fits = |(a, b): &(String, String)| a.len() + b.len() < room;
        let (left, right) = if fits(&named) {
            named
        } else {
            (client, server)
        };
        let mut line = format!("{:>time$} {left}", "ms", time = c.time);
        if left.len() + right.len() >= room {
            self.text.push_str(&line);
            self.text.push('\n');
            line = " ".repeat(c.time + 1);
        }
        let gap = (c.time + 1 + room).saturating_sub(line.len());
        let _ = writeln!(
            self.text,
            "{line}{right:>gap$}{:>far$}{:>number$}",
            "ms",
            "#",
            far = c.far_time,
            number = c.number
        );
        if let Some([client, server]) = header.states {
            let left = format!("{:time$} {}", "", self.state(client), time = c.time);
            let gap = c.time + 1 + room - left.len();
            let _ = writeln!(self.text, "{left}{:>gap$}", self.state(server));
        }
    }

    fn row(&mut self, row: &Row) {
        let c = self.columns;
        let number = if matches!(self.options.layout, Layout::Lab) {
            let far = self.time_of(row, Side::Server);
            format!("{far:>8}{:>4}", row.number)
        } else {
            format!("{:>5}", row.number)
        };
        let near = self.time_of(row, Side::Client);
        let [client, server] = row
            .states
            .map_or(["", ""], |states| states.map(|state| self.state(state)));
        let left = format!(
            "{near:>time$} {client:<state$}",
            time = c.time,
            state = c.state
        );
        let right = format!("{server:>state$}{number}", state = c.state);
        // A long time or number takes its room from the arrow.
        let room = c.total().saturating_sub(2 + left.len() + right.len());
        let arrow = Arrow {
            glyphs: self.glyphs,
            to_the_right: row.from == Side::Client,
            stroke: stroke(row, self.glyphs),
            dropped: row.fate == Fate::Dropped,
            lead: match &row.what {
                // The words of an error are worth more than its shaft.
                What::Error { .. } if c.arrow < 36 => 1,
                // So are a short reply's.
                What::Datagram { after: Some(_), .. } => 2,
                _ if c.short => 2,
                _ => 4,
            },
            room,
        };
        let most = arrow.most_text();
        let text = self.words(row, most);
        let style = match &row.what {
            What::Error { .. } => self.palette.problem(),
            What::Segment(tcp) if tcp.rst => self.palette.problem(),
            _ if arrow.dropped => self.palette.problem(),
            What::Segment(tcp) if tcp.order != Order::Next => self.palette.remark(),
            _ => self.palette.protocol(match row.states {
                Some(_) => "tcp",
                None => "udp",
            }),
        };
        let wall = self.glyphs.wall;
        let _ = write!(self.text, "{left}{wall}");
        push(&mut self.text, style, &arrow.draw(&text));
        let _ = writeln!(self.text, "{wall}{right}");
    }

    /// What a row says, in at most `most` columns: the first parts that fit, and what fits of the data.
    fn words(&self, row: &Row, most: usize) -> String {
        let mut text = String::new();
        for part in self.parts(&row.what) {
            let space = usize::from(!text.is_empty());
            if arrow::width(&text) + space + arrow::width(&part) > most {
                break;
            }
            text.push_str(&" "[..space]);
            text.push_str(&part);
        }
        let left = most.saturating_sub(arrow::width(&text) + 1);
        let quotes = !row.data.is_empty() && !matches!(row.what, What::Run { .. });
        let quote = self.safe(&row.data, left.saturating_sub(2));
        // Of longer data, a quote of fewer than four characters says nothing.
        let whole = quotes && !quote.ends_with(self.glyphs.more);
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
                let number = |n: crate::track::story::Number| {
                    if self.options.absolute {
                        n.raw
                    } else {
                        n.relative
                    }
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
                parts.extend(
                    after.map(|after| format!("after {}", crate::track::story::Span(after))),
                );
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
        }
    }

    fn note(&mut self, note: &Note) {
        let lab = self.options.layout == Layout::Lab;
        if lab && matches!(note.about, About::Open | About::End) {
            return;
        }
        let style = match note.about {
            About::Trouble => self.palette.remark(),
            _ => self.palette.faint(),
        };
        let indent = self.columns.time + 1;
        let room = self.columns.rule.max(indent + 20) - indent;
        let mut line = String::new();
        let lines = note.text.split(' ').fold(Vec::new(), |mut lines, word| {
            if !line.is_empty() && arrow::width(&line) + 1 + arrow::width(word) > room {
                lines.push(std::mem::take(&mut line));
            }
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
            lines
        });
        for line in lines.iter().chain([&line]) {
            let _ = write!(self.text, "{:indent$}", "");
            push(&mut self.text, style, line);
            self.text.push('\n');
        }
    }

    /// The time of a packet at one end.
    fn time_of(&mut self, row: &Row, side: Side) -> String {
        let time = match row.fate {
            _ if row.from == side || self.options.layout == Layout::Watch => row.sent,
            Fate::Seen => row.sent,
            Fate::Delivered(time) => time,
            Fate::Underway | Fate::Dropped => return "-".to_owned(),
        };
        let since = time.since(*self.options.origin.get_or_insert(row.sent));
        match self.options.layout {
            Layout::Lab => format!("{:.2}", since as f64 / MILLISECOND as f64),
            Layout::Watch => {
                let sign = if since < 0 { "-" } else { "" };
                let (second, nanos) = (SECOND.unsigned_abs(), since.unsigned_abs());
                let (whole, part) = (nanos / second, nanos % second / 1000);
                match self.columns.time {
                    10 => format!("{sign}{whole}.{part:06}"),
                    _ => format!("{sign}{whole}.{:04}", part / 100),
                }
            }
        }
    }

    fn state(&self, state: State) -> &'static str {
        if self.columns.short {
            state.short()
        } else {
            state.name()
        }
    }

    /// Untrusted bytes as text of at most `most` columns.
    fn safe(&self, bytes: &[u8], most: usize) -> String {
        let mut text = Safe(bytes).to_string();
        if self.options.ascii && !text.is_ascii() {
            text = text
                .chars()
                .map(|c| match c.is_ascii() {
                    true => c.to_string(),
                    false => c.escape_unicode().to_string(),
                })
                .collect();
        }
        arrow::cut(text, most, self.glyphs.more)
    }
}

fn in_words(section: Section) -> String {
    match section {
        Section::Open => "open: the three-way handshake".to_owned(),
        Section::Data => "data".to_owned(),
        Section::Close(side) => format!("close: the {} began", side.word()),
        Section::Reset(side) => format!("reset by the {}", side.word()),
    }
}

fn stroke(row: &Row, glyphs: &Glyphs) -> char {
    match &row.what {
        What::Error { .. } => glyphs.double,
        What::Segment(tcp) if tcp.rst => glyphs.double,
        What::Segment(tcp) if matches!(tcp.order, Order::Again(_)) => glyphs.dashed,
        _ => glyphs.solid,
    }
}
