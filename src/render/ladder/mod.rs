//! Draws a story as a ladder: one column a socket, one row a packet, states at both margins.

pub(super) mod arrow;
mod calls;
#[cfg(test)]
mod hostile;
#[cfg(test)]
pub(crate) mod tests;
mod words;

use std::{
    collections::{BTreeSet, HashSet},
    fmt::Write as _,
    io,
};

use self::arrow::{Arrow, Glyphs};
use super::style::{Palette, push};
use crate::{
    event::CallId,
    text::write_wrapped,
    time::{MILLISECOND, SECOND, Time},
    track::{
        state::State,
        story::{About, Fate, Header, Item, Label, Note, Order, Row, Side, What},
    },
};

pub use arrow::width;
pub use words::{Words, section_title, stream_name};

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
    /// Calls stand beside the packets: what the terminal is wider than [`Layout`] needs goes to both sides.
    pub calls: bool,
    /// Flows are named by `tcp.stream` and `udp.stream`, as the command line takes them, not in the order of this run.
    pub streams: bool,
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
            calls: false,
            streams: false,
        }
    }
}

/// Where state names are whole.
const WIDE: usize = 80;
/// The narrowest form.
pub const NARROW: usize = 60;
/// Columns of rules and headers in the wide form.
const RULE: usize = 78;
/// Wider than this, calls and packets lose sight of each other.
const WIDEST: usize = 160;

/// Columns of each part of a row.
#[derive(Clone, Copy, Debug)]
struct Columns {
    time: usize,
    state: usize,
    /// Columns of both sides that only calls take.
    more: usize,
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
        // Both sides grow alike.
        let more = match options.calls && wide {
            true => (options.width.min(WIDEST) - WIDE) / 2,
            false => 0,
        };
        let rule = rule + 2 * more;
        let mut columns = Self {
            time: match (lab, wide) {
                (true, _) => 7,
                (false, true) => 10,
                (false, false) => 8,
            },
            state: more + if short { 6 } else { 12 },
            more,
            arrow: 0,
            far_time: if lab { 8 } else { 0 },
            number: if lab { 4 } else { 5 },
            rule,
            short,
        };
        let total = rule + usize::from(lab && wide);
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
    /// Flows whose sockets stand above their columns already.
    titled: HashSet<Label>,
    /// Calls of client and server that wait.
    waiting: [BTreeSet<CallId>; 2],
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
            titled: HashSet::new(),
            waiting: Default::default(),
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
        if matches!(item, Item::Flow(_)) {
            self.waiting = Default::default();
        }
        match item {
            Item::Flow(header) if self.options.layout == Layout::Lab => {
                match self.titled.insert(header.label) {
                    true => self.title(header),
                    false => self.rule(&format!("again: client {}", header.client)),
                }
            }
            Item::Flow(header) => self.header(header),
            Item::Section(section) if self.options.layout == Layout::Lab => {
                self.rule(&section_title(*section));
            }
            Item::Section(_) => {}
            Item::Row(row) => {
                self.row(row);
                self.ties(row);
            }
            Item::Call(call) => self.call(call),
            Item::Note(note) => self.note(note),
        }
        out.write_all(self.text.as_bytes())
    }

    /// `-- text ----`, to the end of the row.
    fn rule(&mut self, text: &str) {
        let room = self.columns.rule - "--  ".len();
        let text = arrow::cut(text.to_owned(), room, self.glyphs.more);
        let mut line = format!("-- {text} ");
        let used = arrow::width(&line);
        line.push_str(&"-".repeat(self.columns.rule.saturating_sub(used)));
        push(&mut self.text, self.palette.heading(), line.trim_end());
        self.text.push('\n');
    }

    fn header(&mut self, header: &Header) {
        let arrow = self.glyphs.to;
        let name = match self.options.streams {
            true => stream_name(header),
            false => format!("{} {}", header.label, header.label.kind.word()),
        };
        let room = self.columns.rule - 4;
        let [client, server] =
            [&header.client, &header.server].map(|address| self.says().plain(address.to_string()));
        let mut text = format!("{name} {client} {arrow} {server}");
        if arrow::width(&text) > room {
            self.rule(&format!("{name} {client}"));
            text = format!("{:name$} {arrow} {server}", "", name = name.len());
        }
        let interface = usize::try_from(header.interface)
            .ok()
            .and_then(|index| self.options.interfaces.get(index));
        if let Some(name) = interface.filter(|name| !name.is_empty()) {
            let name = self.says().safe(name.as_bytes(), 24);
            if arrow::width(&text) + 2 + arrow::width(&name) <= room {
                text.push_str("  ");
                text.push_str(&name);
            }
        }
        self.rule(&text);
        self.programs(header);
    }

    /// Both sockets above their columns, and the states before the first packet.
    fn title(&mut self, header: &Header) {
        let c = self.columns;
        let room = 2 * c.state + c.arrow + 2;
        let [client, server] = [&header.client, &header.server].map(|address| {
            let address = self.says().plain(address.to_string());
            arrow::cut(address, room, self.glyphs.more)
        });
        let named = (format!("client {client}"), format!("server {server}"));
        let fits = |(a, b): &(String, String)| arrow::width(a) + arrow::width(b) < room;
        let (left, right) = if fits(&named) {
            named
        } else {
            (client, server)
        };
        let mut line = format!("{:>time$} {left}", "ms", time = c.time);
        if arrow::width(&left) + arrow::width(&right) >= room {
            self.text.push_str(&line);
            self.text.push('\n');
            line = " ".repeat(c.time + 1);
        }
        let used = arrow::width(&line) + arrow::width(&right);
        let gap = (c.time + 1 + room).saturating_sub(used);
        let _ = writeln!(
            self.text,
            "{line}{:gap$}{right}{:>far$}{:>number$}",
            "",
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
        self.programs(header);
    }

    fn row(&mut self, row: &Row) {
        let c = self.columns;
        // Times count from when the first packet was sent, also in the column of its receiver.
        self.options.origin.get_or_insert(row.sent);
        let number = match row.number {
            0 => String::new(),
            number => number.to_string(),
        };
        let number = if matches!(self.options.layout, Layout::Lab) {
            let far = self.time_of(row, Side::Server);
            format!("{far:>8}{number:>4}")
        } else {
            format!("{number:>5}")
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
        let right = format!(
            "{server:>state$}{:more$}{number}",
            "",
            state = c.state - c.more,
            more = c.more
        );
        // A long time or number takes its room from the arrow.
        let room = c.total().saturating_sub(2 + left.len() + right.len());
        let arrow = Arrow {
            glyphs: self.glyphs,
            to_the_right: row.from == Side::Client,
            stroke: stroke(row, self.glyphs),
            dropped: row.fate.is_lost(),
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
        let text = self.says().row(row, most);
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
        let [near, far] = self.walls();
        let _ = write!(self.text, "{left}{near}");
        push(&mut self.text, style, &arrow.draw(&text));
        let _ = writeln!(self.text, "{far}{}", right.trim_end());
    }

    fn says(&self) -> Words {
        Words {
            absolute: self.options.absolute,
            ascii: self.options.ascii,
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
        let mut lines = String::new();
        write_wrapped(&mut lines, 0, room, &self.says().plain(note.text.clone()));
        for line in lines.lines() {
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
            Fate::Underway | Fate::Dropped | Fate::Lost => return "-".to_owned(),
        };
        self.options.origin.get_or_insert(row.sent);
        self.since(time)
    }

    /// A time as it is shown.
    fn since(&mut self, time: Time) -> String {
        let since = time.since(*self.options.origin.get_or_insert(time));
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
}

fn stroke(row: &Row, glyphs: &Glyphs) -> char {
    match &row.what {
        What::Error { .. } => glyphs.double,
        What::Segment(tcp) if tcp.rst => glyphs.double,
        What::Segment(tcp) if matches!(tcp.order, Order::Again(_)) => glyphs.dashed,
        _ => glyphs.solid,
    }
}
