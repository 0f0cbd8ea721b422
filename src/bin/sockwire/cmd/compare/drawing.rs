//! A kind's ladder, as lines that are printed below the table; the middle of a long one is left out.

use std::{collections::VecDeque, io, net::IpAddr, net::SocketAddr};

use sockwire::{
    compare::PORT,
    decode::{Decoded, Decoder},
    frame::{Batch, Direction, Record},
    lab::{Event, Transit},
    link::LinkType,
    render::{
        ladder::{Ladder, Layout},
        line::{self, Lines, TimeForm},
    },
    track::{
        Tracker,
        story::{Item, Sight, Story, StoryOptions},
    },
};

use crate::cmd::{Global, output};

/// Lines that are kept of the beginning and of the end.
const FIRST: usize = 40;
const LAST: usize = 12;

/// Draws while the exchange is played.
pub(super) struct Drawing {
    decoder: Decoder,
    decoded: Decoded,
    tracker: Tracker,
    story: Story,
    ladder: Ladder,
    items: Vec<Item>,
    /// For packets that are no rows, as fragments.
    lines: Lines,
    first: Vec<String>,
    last: VecDeque<String>,
    left_out: u64,
}

impl Drawing {
    pub(super) fn new(server: IpAddr, global: &Global) -> Self {
        Self {
            decoder: Decoder::default(),
            decoded: Decoded::default(),
            tracker: Tracker::default(),
            story: Story::new(StoryOptions {
                listening: Some(vec![SocketAddr::new(server, PORT)]),
                ..StoryOptions::default()
            }),
            ladder: Ladder::new(output::ladder(Layout::Lab, false, global)),
            items: Vec::new(),
            lines: Lines::new(line::Options {
                time: TimeForm::None,
                ascii: global.ascii,
                palette: output::palette(global),
                ..line::Options::default()
            }),
            first: Vec::new(),
            last: VecDeque::new(),
            left_out: 0,
        }
    }

    pub(super) fn event(&mut self, event: &Event) -> io::Result<()> {
        match event {
            Event::Sent(transit) => self.sent(transit)?,
            Event::Delivered { number, time, .. } => {
                self.story.delivered(*number, *time, &mut self.items);
            }
            Event::Quiet(time) => self.story.quiet(*time, &mut self.items),
            _ => {}
        }
        self.draw()
    }

    fn sent(&mut self, transit: &Transit) -> io::Result<()> {
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
        let Some(packet) = self.decoded.packet(&batch, 0) else {
            return Ok(());
        };
        let rows = self.story.rows();
        self.story.packet(&packet, Sight::Sent, &mut self.items);
        if self.story.rows() == rows {
            let mut line = String::new();
            self.lines.packet(&packet, None, &mut line);
            let dropped = transit.dropped.as_ref();
            let fate = dropped.map(|rule| format!("  (the wire dropped it: {rule})"));
            self.draw()?;
            self.keep(format!(
                "        {}{}",
                line.trim(),
                fate.unwrap_or_default()
            ));
        } else if let Some(rule) = &transit.dropped {
            self.story.dropped(transit.number, rule, &mut self.items);
        }
        Ok(())
    }

    fn draw(&mut self) -> io::Result<()> {
        let mut drawn = Vec::new();
        for item in self.items.drain(..) {
            self.ladder.write(&item, &mut drawn)?;
        }
        for line in String::from_utf8_lossy(&drawn).lines() {
            self.keep(line.to_owned());
        }
        Ok(())
    }

    fn keep(&mut self, line: String) {
        if self.first.len() < FIRST {
            self.first.push(line);
            return;
        }
        self.last.push_back(line);
        if self.last.len() > LAST {
            self.last.pop_front();
            self.left_out += 1;
        }
    }

    /// All lines.
    pub(super) fn finish(mut self) -> io::Result<Vec<String>> {
        self.story.finish(&mut self.items);
        self.draw()?;
        let mut lines = self.first;
        if self.left_out > 0 {
            lines.push(format!(
                "        … {} lines are left out; -w FILE keeps every packet …",
                self.left_out
            ));
        }
        lines.extend(self.last);
        Ok(lines)
    }
}
