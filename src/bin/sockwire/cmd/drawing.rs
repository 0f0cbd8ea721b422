//! Draws what happens in a lab: the ladder while packets travel, and between its rows the calls, in order of time.

use std::{
    collections::VecDeque,
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
    },
    time::{MILLISECOND, Time},
    track::{
        Tracker,
        story::{About, Header, Item, Label, Sight, Story, StoryOptions, Summary},
    },
};

use unicode_width::UnicodeWidthStr;

use super::{Failure, Global, output, recording::Recording};

/// Packets in a row that are no rows and are shown one by one; more of them are counted.
const ASIDES: u64 = 4;

/// Turns events into the ladder and the recording.
pub(super) struct Drawing {
    decoder: Decoder,
    decoded: Decoded,
    tracker: Tracker,
    story: Story,
    ladder: Ladder,
    items: Vec<Item>,
    /// For packets that are no rows.
    lines: Lines,
    aside: String,
    /// How many of them came since the last row.
    asides: u64,
    columns: usize,
    /// The flow of what comes next, and the one of what was drawn last.
    flow: Option<Header>,
    drawn: Option<Label>,
    recording: Recording,
    /// Calls that returned after a row left that is still held back or to come: when, and their lines.
    told_later: VecDeque<(Time, String)>,
    /// No frame older than this is to come.
    seen: Time,
    start: Option<Time>,
    packets: u64,
    lost: u64,
}

impl Drawing {
    /// A ladder without rows. `listening` are the sockets that listen; times count from `start`, or the first packet.
    pub(super) fn new(
        listening: Vec<SocketAddr>,
        absolute: bool,
        start: Option<Time>,
        global: &Global,
        recording: Recording,
    ) -> Self {
        let options = LadderOptions {
            origin: start,
            ..output::ladder(Layout::Lab, absolute, global)
        };
        Self {
            decoder: Decoder::default(),
            decoded: Decoded::default(),
            tracker: Tracker::default(),
            story: Story::new(StoryOptions {
                listening: Some(listening),
                ..StoryOptions::default()
            }),
            ladder: Ladder::new(options),
            items: Vec::new(),
            lines: Lines::new(line::Options {
                time: TimeForm::None,
                ascii: global.ascii,
                palette: output::palette(global),
                ..line::Options::default()
            }),
            aside: String::new(),
            asides: 0,
            columns: output::columns(),
            flow: None,
            drawn: None,
            recording,
            told_later: VecDeque::new(),
            seen: Time::from_nanos(i64::MIN),
            start,
            packets: 0,
            lost: 0,
        }
    }

    /// Milliseconds from the start to `time`, as rows write them.
    pub(super) fn at(&self, time: Time) -> String {
        let since = self.start.map_or(0, |start| time.since(start));
        format!("{:>7.2}", since as f64 / MILLISECOND as f64)
    }

    /// A line that stands behind the rows that left by `time`. Lines come in order of time.
    pub(super) fn line(&mut self, time: Time, line: String) {
        self.told_later.push_back((time, line));
    }

    /// Shows and records an event of the wire; calls are their caller's matter.
    pub(super) fn event(&mut self, event: Event) -> Result<(), Failure> {
        if let Event::Sent(Transit { time, .. })
        | Event::Delivered { time, .. }
        | Event::Quiet(time) = &event
        {
            self.seen = self.seen.max(*time);
        }
        match event {
            Event::Sent(transit) => {
                self.start.get_or_insert(transit.time);
                self.packets += 1;
                self.lost += u64::from(transit.dropped.is_some());
                self.sent(&transit)?;
                self.recording.sent(transit, 0)?;
            }
            Event::Delivered {
                number,
                time,
                to,
                again,
            } => {
                self.recording.delivered(number, time, to)?;
                if !again {
                    self.story.delivered(number, time, &mut self.items);
                }
            }
            Event::Quiet(time) => self.story.quiet(time, &mut self.items),
            Event::Up(_) | Event::Called { .. } => {}
        }
        self.draw()
    }

    fn sent(&mut self, transit: &Transit) -> Result<(), Failure> {
        let record = Record {
            time: transit.time,
            link: LinkType::ETHERNET,
            interface: 0,
            direction: Direction::Unknown,
            checksum: transit.checksum,
            wire_len: transit.bytes.len() as u32,
            start: 0,
            len: transit.bytes.len() as u32,
        };
        let batch = Batch::owned(transit.bytes.to_vec(), vec![record], transit.number);
        self.decoder.batch(&batch, &mut self.decoded);
        // Nobody puts together a datagram of which a fragment never arrives.
        if transit.dropped.is_none() {
            self.tracker
                .packet(&self.decoder, &batch, &mut self.decoded, 0);
        }
        let rows = self.story.rows();
        if let Some(packet) = self.decoded.packet(&batch, 0) {
            self.story.packet(&packet, Sight::Sent, &mut self.items);
            if self.story.rows() == rows {
                self.aside.clear();
                self.lines.packet(&packet, None, &mut self.aside);
                return self.beside(transit);
            }
        }
        if let Some(rule) = &transit.dropped {
            self.story.dropped(transit.number, rule, &mut self.items);
        } else if transit.twice {
            self.story.doubled(transit.number);
        }
        Ok(())
    }

    /// A packet that is no row of its own, as a fragment: its line, and its fate.
    fn beside(&mut self, transit: &Transit) -> Result<(), Failure> {
        self.draw()?;
        self.asides += 1;
        if self.asides > ASIDES && transit.dropped.is_none() {
            return Ok(());
        }
        let mut out = io::stdout().lock();
        calls_before(&mut self.told_later, transit.time, &mut out)?;
        let aside = in_columns(self.aside.trim(), self.columns.saturating_sub(8));
        writeln!(out, "{} {aside}", self.at(transit.time))?;
        if let Some(rule) = &transit.dropped {
            let number = transit.number;
            writeln!(out, "        the wire dropped packet {number}: {rule}")?;
        } else if transit.twice {
            let number = transit.number;
            writeln!(out, "        the wire delivers packet {number} twice")?;
        }
        Ok(out.flush()?)
    }

    /// Rows, and between them the calls that returned before they left.
    fn draw(&mut self) -> Result<(), Failure> {
        let mut out = io::stdout().lock();
        for at in 0..self.items.len() {
            let item = &self.items[at];
            match item {
                // Drawn when something of this flow is.
                Item::Flow(header) => {
                    self.flow = Some(header.clone());
                    continue;
                }
                // The closing lines tell of these.
                Item::Note(note) if matches!(note.about, About::Open | About::End) => continue,
                _ => {}
            }
            count_asides(&mut self.asides, &mut out)?;
            if let Some(header) = self.flow.take()
                && self.drawn != Some(header.label)
            {
                self.drawn = Some(header.label);
                self.ladder.write(&Item::Flow(header), &mut out)?;
            }
            let next = self.items[at..].iter().find_map(|item| match item {
                Item::Row(row) => Some(row.sent),
                _ => None,
            });
            if let Some(next) = next {
                calls_before(&mut self.told_later, next, &mut out)?;
            }
            self.ladder.write(item, &mut out)?;
        }
        self.items.clear();
        let held = self.story.held_since().unwrap_or(self.seen);
        // Nothing left its sender yet: there is nothing to wait for.
        let until = self.start.map_or(Time::MAX, |_| held.min(self.seen));
        if self.flow.is_none() {
            calls_before(&mut self.told_later, until, &mut out)?;
        }
        Ok(out.flush()?)
    }

    /// What is left of the ladder; then the name of the recording, if there is one.
    pub(super) fn finish(&mut self) -> Result<(), Failure> {
        self.story.finish(&mut self.items);
        self.seen = Time::MAX;
        self.draw()?;
        let mut out = io::stdout().lock();
        count_asides(&mut self.asides, &mut out)?;
        Ok(calls_before(&mut self.told_later, Time::MAX, &mut out)?)
    }

    /// The flows that were drawn.
    pub(super) fn summaries(&self) -> Vec<Summary> {
        self.story.summaries()
    }

    /// Packets that were sent, and how many of them the wire dropped.
    pub(super) const fn packets(&self) -> [u64; 2] {
        [self.packets, self.lost]
    }

    /// The recording, for what follows.
    pub(super) fn into_recording(self) -> Recording {
        self.recording
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

/// Says how many packets were not shown.
fn count_asides(asides: &mut u64, out: &mut impl Write) -> io::Result<()> {
    match std::mem::take(asides).saturating_sub(ASIDES) {
        0 => Ok(()),
        1 => writeln!(out, "        and one more like it"),
        more => writeln!(out, "        and {more} more like it"),
    }
}

/// Writes the lines of calls that returned up to `until`.
fn calls_before(
    calls: &mut VecDeque<(Time, String)>,
    until: Time,
    out: &mut impl Write,
) -> io::Result<()> {
    let is_before = |(time, _): &mut (Time, String)| *time <= until;
    while calls.front_mut().is_some_and(is_before) {
        let line = calls.pop_front().map(|(_, line)| line);
        writeln!(out, "{}", line.unwrap_or_default())?;
    }
    Ok(())
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
    fn a_call_waits_for_the_rows_that_left_before_it_returned() {
        let call = |nanos, line: &str| (Time::from_nanos(nanos), line.to_owned());
        let mut calls = VecDeque::from([call(10, "connect"), call(20, "send"), call(30, "recv")]);
        let mut out = Vec::new();
        calls_before(&mut calls, Time::from_nanos(9), &mut out).unwrap();
        assert!(out.is_empty());
        calls_before(&mut calls, Time::from_nanos(20), &mut out).unwrap();
        assert_eq!(out, b"connect\nsend\n");
        calls_before(&mut calls, Time::from_nanos(i64::MAX), &mut out).unwrap();
        assert_eq!(out, b"connect\nsend\nrecv\n");
    }
}
