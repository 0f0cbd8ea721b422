//! Packets as the rows of a ladder while they travel, and between the rows what else happened, in order of time.

use std::{
    collections::BTreeMap,
    io::{self, Write},
    net::SocketAddr,
};

use sockwire::{
    decode::{Decoded, Decoder},
    frame::{Batch, Direction, Record},
    lab::{Event, Transit},
    link::LinkType,
    render::{
        ladder::{Ladder, LadderOptions, Layout},
        line::{self, Lines, TimeForm},
        style::Palette,
    },
    time::{MILLISECOND, SECOND, Time},
    track::{
        Tracker,
        story::{About, Header, Item, Label, Sight, Story, StoryOptions, Summary},
    },
};
use unicode_width::UnicodeWidthStr;

use super::{Global, output};

/// Packets in a row that are no rows and are shown one by one; more of them are counted.
const ASIDES: u64 = 4;

/// Writes what a drawing consists of.
pub(super) trait Pen {
    /// What stands between rows.
    type Line;

    /// This conversation is shown.
    fn wants(&mut self, _: &Header) -> bool {
        true
    }

    /// What happened at a time, which `at` writes as rows do.
    fn line(&mut self, at: &str, line: Self::Line) -> io::Result<()>;

    /// Rows, and what the ladder says about them.
    fn rows(&mut self, text: &str) -> io::Result<()>;
}

/// Lines as they are.
impl<W: Write> Pen for W {
    type Line = String;

    fn line(&mut self, _: &str, line: String) -> io::Result<()> {
        writeln!(self, "{line}")
    }

    fn rows(&mut self, text: &str) -> io::Result<()> {
        self.write_all(text.as_bytes())
    }
}

/// A line's place: its time, and a number that tells it from others of that time.
pub(super) type Place = (Time, u64);

/// Brings packets and lines into order.
pub(super) struct Drawing<L> {
    decoder: Decoder,
    decoded: Decoded,
    tracker: Tracker,
    story: Story,
    ladder: Ladder,
    layout: Layout,
    items: Vec<Item>,
    /// For packets that are no rows, where they are shown.
    asides: Option<Lines>,
    /// How many of them came since the last row.
    aside: u64,
    columns: usize,
    /// The conversation that items are about, and whether it is shown.
    current: (Option<Label>, bool),
    /// Titles of the row to come: what happened before it stands above them.
    ahead: Vec<Item>,
    /// The conversation that the last row was about.
    drawn: Option<Label>,
    /// Lines whose turn has not come.
    waiting: BTreeMap<Place, L>,
    lines: u64,
    /// The first title stands above everything that is known when it comes: it is the head of the columns.
    head_first: bool,
    /// Data in a row is one row.
    together: bool,
    /// Nothing older than this is to come.
    seen: Time,
    start: Option<Time>,
    /// Packets sent, and of those lost.
    packets: [u64; 2],
}

impl<L> Drawing<L> {
    /// A ladder without rows, whose times count from its origin, or from the first packet. `listening` are the sockets
    /// that listen, where all of them are known. `asides`: packets that are no rows are shown as well.
    pub(super) fn new(
        ladder: LadderOptions,
        listening: Option<Vec<SocketAddr>>,
        asides: bool,
    ) -> Self {
        let asides = asides.then(|| {
            Lines::new(line::Options {
                time: TimeForm::None,
                ascii: ladder.ascii,
                palette: Palette { on: ladder.colour },
                ..line::Options::default()
            })
        });
        Self {
            decoder: Decoder::default(),
            decoded: Decoded::default(),
            tracker: Tracker::default(),
            story: Story::new(StoryOptions {
                listening,
                ..StoryOptions::default()
            }),
            layout: ladder.layout,
            columns: ladder.width,
            start: ladder.origin,
            ladder: Ladder::new(ladder),
            items: Vec::new(),
            asides,
            aside: 0,
            current: (None, true),
            ahead: Vec::new(),
            drawn: None,
            waiting: BTreeMap::new(),
            lines: 0,
            head_first: false,
            together: false,
            seen: Time::from_nanos(i64::MIN),
            packets: [0; 2],
        }
    }

    /// The same for what happens in a lab, on standard output.
    pub(super) fn of_lab(
        listening: Vec<SocketAddr>,
        absolute: bool,
        start: Option<Time>,
        global: &Global,
    ) -> Self {
        let options = LadderOptions {
            origin: start,
            ..output::ladder(Layout::Lab, absolute, global)
        };
        Self {
            head_first: true,
            ..Self::new(options, Some(listening), true)
        }
    }

    /// Names of the interfaces, by index.
    pub(super) fn interfaces(&mut self, names: Vec<String>) {
        self.ladder.interfaces(names);
    }

    /// A server listens from now on, where all of them are known.
    pub(super) fn listens(&mut self, socket: SocketAddr) {
        self.story.listens(socket);
    }

    /// From now on a lab's packets with data in a row are one row, as those of a capture are.
    pub(super) fn put_together(&mut self) {
        self.together = true;
    }

    /// A time, as rows write it.
    pub(super) fn at(&self, time: Time) -> String {
        let since = self.start.map_or(0, |start| time.since(start)) as f64;
        match self.layout {
            Layout::Lab => format!("{:>7.2}", since / MILLISECOND as f64),
            Layout::Watch => format!("{:>10.6}", since / SECOND as f64),
        }
    }

    /// A line that stands behind the rows that left by `time`.
    pub(super) fn line(&mut self, time: Time, line: L) -> Place {
        self.lines += 1;
        let place = (time, self.lines);
        self.waiting.insert(place, line);
        place
    }

    /// Takes a line back that is not written yet.
    pub(super) fn take_back(&mut self, place: Place) {
        self.waiting.remove(&place);
    }

    /// What a lab tells: draws all that is known to come before everything that is not here yet. Lines are their caller's
    /// matter; those that are older than `late` nanoseconds are here.
    pub(super) fn event(
        &mut self,
        event: &Event,
        late: i64,
        pen: &mut impl Pen<Line = L>,
    ) -> io::Result<()> {
        match event {
            Event::Sent(transit) => self.sent(transit, pen)?,
            Event::Delivered {
                number,
                time,
                again,
                ..
            } => {
                self.seen = self.seen.max(*time);
                if !again {
                    self.story.delivered(*number, *time, &mut self.items);
                }
            }
            Event::Quiet(time) => self.quiet(*time),
            Event::Up(_) | Event::Called { .. } => {}
        }
        self.draw(self.seen.plus(-late), pen)
    }

    /// Nothing happened up to this time.
    pub(super) fn quiet(&mut self, until: Time) {
        self.seen = self.seen.max(until);
        self.story.quiet(until, &mut self.items);
    }

    fn sent(&mut self, transit: &Transit, pen: &mut impl Pen<Line = L>) -> io::Result<()> {
        self.seen = self.seen.max(transit.time);
        self.start.get_or_insert(transit.time);
        let [sent, lost] = &mut self.packets;
        *sent += 1;
        *lost += u64::from(transit.dropped.is_some());
        let len = transit.bytes.len() as u32;
        let record = Record {
            time: transit.time,
            link: LinkType::ETHERNET,
            interface: 0,
            direction: Direction::Unknown,
            checksum: transit.checksum,
            wire_len: len,
            start: 0,
            len,
        };
        let batch = Batch::owned(transit.bytes.to_vec(), vec![record], transit.number);
        let rows = self.story.rows();
        let is_lost = transit.dropped.is_some();
        let sight = match self.together && !is_lost && !transit.twice && transit.held.is_none() {
            true => Sight::Tap,
            false => Sight::Sent,
        };
        // Nobody puts together a datagram of which a fragment never arrives.
        self.packet(&batch, 0, sight, is_lost);
        if self.story.rows() == rows && !self.together {
            return self.beside(&batch, transit, pen);
        }
        if let Some(rule) = &transit.dropped {
            self.story.dropped(transit.number, rule, &mut self.items);
            return Ok(());
        }
        if transit.twice {
            self.story.doubled(transit.number);
        }
        if let Some(nanos) = transit.held {
            self.story.held_back(transit.number, nanos);
        }
        Ok(())
    }

    /// Packet `index` of `batch`, which begins a row now or later.
    pub(super) fn packet(&mut self, batch: &Batch, index: usize, sight: Sight, is_lost: bool) {
        if index == 0 {
            self.decoder.batch(batch, &mut self.decoded);
        }
        if !is_lost {
            self.tracker
                .packet(&self.decoder, batch, &mut self.decoded, index);
        }
        if let Some(packet) = self.decoded.packet(batch, index) {
            self.story.packet(&packet, sight, &mut self.items);
        }
    }

    /// A packet that is no row of its own, as a fragment: its line, and its fate.
    fn beside(
        &mut self,
        batch: &Batch,
        transit: &Transit,
        pen: &mut impl Pen<Line = L>,
    ) -> io::Result<()> {
        let mut aside = String::new();
        match (&mut self.asides, self.decoded.packet(batch, 0)) {
            (Some(lines), Some(packet)) => lines.packet(&packet, None, &mut aside),
            _ => return Ok(()),
        }
        self.items(pen)?;
        self.aside += 1;
        if self.aside > ASIDES && transit.dropped.is_none() {
            return Ok(());
        }
        self.lines_before(transit.time, pen)?;
        let aside = in_columns(aside.trim(), self.columns.saturating_sub(8));
        let number = transit.number;
        let fate = match &transit.dropped {
            Some(rule) => format!("        the wire dropped packet {number}: {rule}\n"),
            None if transit.twice => format!("        the wire delivers packet {number} twice\n"),
            None if transit.held.is_some() => {
                format!("        the wire holds packet {number} back\n")
            }
            None => String::new(),
        };
        pen.rows(&format!("{} {aside}\n{fate}", self.at(transit.time)))
    }

    /// Writes what is known to come before everything that is not here yet: no line and no packet older than `seen` is to
    /// come.
    pub(super) fn draw(&mut self, seen: Time, pen: &mut impl Pen<Line = L>) -> io::Result<()> {
        self.items(pen)?;
        let held = self.story.held_since().unwrap_or(seen);
        self.lines_before(held.min(seen), pen)
    }

    /// Writes all that is left.
    pub(super) fn finish(&mut self, pen: &mut impl Pen<Line = L>) -> io::Result<()> {
        self.story.finish(&mut self.items);
        self.items(pen)?;
        self.count_asides(pen)?;
        self.lines_before(Time::MAX, pen)
    }

    fn items(&mut self, pen: &mut impl Pen<Line = L>) -> io::Result<()> {
        let mut items = std::mem::take(&mut self.items);
        let done = items.drain(..).try_for_each(|item| self.item(item, pen));
        self.items = items;
        done
    }

    fn item(&mut self, item: Item, pen: &mut impl Pen<Line = L>) -> io::Result<()> {
        if let Item::Flow(header) = &item {
            self.current = (Some(header.label), pen.wants(header));
            // Nothing was drawn below them.
            self.ahead.clear();
            // Others may have spoken in between, unseen.
            if self.drawn == Some(header.label) {
                return Ok(());
            }
        }
        if !self.current.1 {
            return Ok(());
        }
        match &item {
            Item::Flow(_) | Item::Section(_) => {
                self.ahead.push(item);
                if std::mem::take(&mut self.head_first) {
                    self.titles(pen)?;
                }
                return Ok(());
            }
            // The ladder of a lab is silent about these.
            Item::Note(note)
                if self.layout == Layout::Lab && matches!(note.about, About::Open | About::End) =>
            {
                return Ok(());
            }
            Item::Row(row) => self.lines_before(row.sent, pen)?,
            Item::Note(_) | Item::Call(_) => {}
        }
        self.count_asides(pen)?;
        self.titles(pen)?;
        self.ladder_item(&item, pen)
    }

    fn titles(&mut self, pen: &mut impl Pen<Line = L>) -> io::Result<()> {
        if self.ahead.is_empty() {
            return Ok(());
        }
        self.drawn = self.current.0;
        let titles = std::mem::take(&mut self.ahead);
        titles
            .iter()
            .try_for_each(|title| self.ladder_item(title, pen))
    }

    fn ladder_item(&mut self, item: &Item, pen: &mut impl Pen<Line = L>) -> io::Result<()> {
        let mut text = Vec::new();
        self.ladder.write(item, &mut text)?;
        pen.rows(&String::from_utf8_lossy(&text))
    }

    /// Writes the lines up to `until`, in order.
    fn lines_before(&mut self, until: Time, pen: &mut impl Pen<Line = L>) -> io::Result<()> {
        while let Some(first) = self.waiting.first_entry()
            && first.key().0 <= until
        {
            let ((time, _), line) = first.remove_entry();
            pen.line(&self.at(time), line)?;
        }
        Ok(())
    }

    /// Says how many packets were not shown.
    fn count_asides(&mut self, pen: &mut impl Pen<Line = L>) -> io::Result<()> {
        match std::mem::take(&mut self.aside).saturating_sub(ASIDES) {
            0 => Ok(()),
            1 => pen.rows("        and one more like it\n"),
            more => pen.rows(&format!("        and {more} more like it\n")),
        }
    }

    /// The flows that were drawn.
    pub(super) fn summaries(&self) -> Vec<Summary> {
        self.story.summaries()
    }

    /// Packets that were sent, and how many of them the wire dropped.
    pub(super) const fn packets(&self) -> [u64; 2] {
        self.packets
    }
}

/// Text in lines of at most `room` columns, broken where two spaces stand; colour takes no room.
fn in_columns(text: &str, room: usize) -> String {
    let width = |part: &str| {
        let plain = part.split('\x1b').enumerate().map(|(at, piece)| match at {
            0 => piece,
            _ => piece.split_once('m').map_or("", |(_, rest)| rest),
        });
        plain.map(UnicodeWidthStr::width).sum::<usize>()
    };
    let mut lines = String::new();
    let mut used = 0;
    for part in text.split("  ") {
        let more = width(part);
        if used > 0 && used + 2 + more > room {
            lines.push_str("\n          ");
            used = 2;
        } else if used > 0 {
            lines.push_str("  ");
            used += 2;
        }
        lines.push_str(part);
        used += more;
    }
    lines
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_long_line_is_broken_at_its_gaps_and_colour_takes_no_room() {
        let line = "1  a \x1b[31mlong\x1b[0m name  end";
        assert_eq!(in_columns(line, 19), line);
        assert_eq!(
            in_columns(line, 18),
            line.replace("  end", "\n          end")
        );
        assert_eq!(in_columns("", 3), "");
    }

    #[test]
    fn a_line_waits_for_what_may_come_before_it() {
        let mut drawing = Drawing::new(LadderOptions::default(), None, false);
        let mut out = Vec::new();
        for (nanos, line) in [(20, "send"), (10, "connect"), (30, "recv"), (30, "close")] {
            drawing.line(Time::from_nanos(nanos), line.to_owned());
        }
        let taken_back = drawing.line(Time::from_nanos(15), "accept".to_owned());
        drawing.take_back(taken_back);
        drawing.draw(Time::from_nanos(9), &mut out).unwrap();
        assert!(out.is_empty());
        drawing.draw(Time::from_nanos(20), &mut out).unwrap();
        assert_eq!(out, b"connect\nsend\n");
        drawing.finish(&mut out).unwrap();
        assert_eq!(out, b"connect\nsend\nrecv\nclose\n");
    }
}
