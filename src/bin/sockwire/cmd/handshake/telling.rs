//! What a handshake shows: packets in, the ladder with its explanations out, then the data and how it ended.

use std::{
    collections::BTreeMap,
    io::{self, Write},
    net::SocketAddr,
    sync::Arc,
};

use sockwire::{
    decode::{Decoded, Decoder},
    export::json::Records,
    file::Writer,
    frame::{Batch, Frame, Interface, Record},
    probe::{
        handshake::Event,
        tcp::{Connection, Ending},
    },
    proto::frame::Around,
    render::ladder::{Ladder, Layout},
    text::{Safe, write_wrapped},
    time::Time,
    track::{
        Tracker,
        state::State,
        story::{Item, Row, Sight, Story, StoryOptions, Summary, What},
    },
};

use super::{Args, exit_of, ms};
use crate::cmd::{Exit, Failure, Global, output, output::Output};

/// The most received bytes that are shown; the rest is counted.
const SHOWN: usize = 64 * 1024;
/// Columns before a sentence: those of the ladder's notes in a lab.
const INDENT: usize = 8;

/// Turns what happens into rows, records and closing lines.
pub(super) struct Telling {
    decoder: Decoder,
    decoded: Decoded,
    tracker: Tracker,
    story: Story,
    ladder: Ladder,
    items: Vec<Item>,
    records: Option<Records>,
    writer: Option<Writer>,
    interfaces: Vec<Arc<Interface>>,
    output: Output,
    explains: bool,
    absolute: bool,
    /// Sentences about packets whose rows are held back, by the packet's number.
    sentences: BTreeMap<u64, Vec<String>>,
    /// The last packet whose row is drawn.
    drawn: u64,
    packets: u64,
    /// The packet that the next sentence is about.
    current: u64,
    data: Vec<u8>,
    /// The packet by which the own kernel reset the connection.
    reset_by_kernel: Option<u64>,
    /// In a lab, how many frames the wire dropped.
    lost: u64,
}

impl Telling {
    /// Opens the file of `-w`. `listening` are the sockets that listen, where all of them are known.
    pub(super) fn new(
        args: &Args,
        layout: Layout,
        listening: Option<Vec<SocketAddr>>,
        global: &Global,
    ) -> Result<Self, Failure> {
        let write = args.write.as_deref();
        let writer = write.map(|path| output::capture_file(path, args.force));
        Ok(Self {
            decoder: Decoder::default(),
            decoded: Decoded::default(),
            tracker: Tracker::default(),
            story: Story::new(StoryOptions {
                listening,
                ..StoryOptions::default()
            }),
            ladder: Ladder::new(output::ladder(layout, args.absolute, global)),
            items: Vec::new(),
            records: args.json.then(Records::default),
            writer: writer.transpose()?,
            interfaces: Vec::new(),
            output: Output::stdout(global.ascii)?,
            explains: args.verbose,
            absolute: args.absolute,
            sentences: BTreeMap::new(),
            drawn: 0,
            packets: 0,
            current: 0,
            data: Vec::new(),
            reset_by_kernel: None,
            lost: 0,
        })
    }

    /// Something happened on this machine's interfaces.
    pub(super) fn event(&mut self, event: Event<'_>) -> Result<(), Failure> {
        match event {
            Event::Packet(frame) => {
                self.current = self.packet(&frame, Sight::Tap)?;
                self.draw()
            }
            Event::Quiet(until) => self.quiet(until),
            other => self.words(other),
        }
    }

    /// Data and sentences, about the packet before.
    pub(super) fn words(&mut self, event: Event<'_>) -> Result<(), Failure> {
        match event {
            Event::Data(data) => {
                let room = SHOWN.saturating_sub(self.data.len());
                self.data.extend_from_slice(&data[..data.len().min(room)]);
            }
            Event::Step(text) if self.explains => self.say(text)?,
            Event::Note(text) => self.say(text)?,
            Event::KernelReset => {
                let number = self.current;
                self.reset_by_kernel = Some(number);
                self.say(&format!(
                    "your kernel sent packet {number}: a segment came for a port that no socket owns, and that is answered \
                     with a RST (RFC 9293 §3.10.7.1), long before this program has seen it"
                ))?;
            }
            Event::Packet(_) | Event::Quiet(_) | Event::Step(_) => {}
        }
        Ok(())
    }

    /// The packet that sentences are about from now on.
    pub(super) fn about(&mut self, number: u64) {
        self.current = number;
    }

    /// A packet is recorded and told; its number.
    pub(super) fn packet(&mut self, frame: &Frame<'_>, sight: Sight) -> Result<u64, Failure> {
        self.packets += 1;
        let record = Record {
            time: frame.time,
            link: frame.link,
            interface: 0,
            direction: frame.direction,
            checksum: frame.checksum,
            wire_len: frame.wire_len,
            start: 0,
            len: frame.bytes.len() as u32,
        };
        if self.interfaces.is_empty() {
            self.interfaces.push(Arc::new(Interface {
                name: Some("handshake".to_owned()),
                description: None,
                link: frame.link,
                snaplen: 0,
                filter: None,
            }));
        }
        let batch = Batch::owned(frame.bytes.to_vec(), vec![record], self.packets);
        if let (Some(writer), Some(frame)) = (&mut self.writer, batch.frame(0)) {
            writer.write(&frame, &self.interfaces, [])?;
            writer.flush_if_due(frame.time)?;
        }
        self.decoder.batch(&batch, &mut self.decoded);
        self.tracker
            .packet(&self.decoder, &batch, &mut self.decoded, 0);
        if let Some(packet) = self.decoded.packet(&batch, 0) {
            match &mut self.records {
                Some(records) => {
                    records.packet(&packet, &Around::default(), &mut self.output.bytes);
                }
                None => drop(self.story.packet(&packet, sight, &mut self.items)),
            }
        }
        Ok(self.packets)
    }

    /// In a lab: a packet has reached the other host.
    pub(super) fn delivered(&mut self, number: u64, time: Time) {
        self.story.delivered(number, time, &mut self.items);
    }

    /// In a lab: the wire dropped a packet, by this rule.
    pub(super) fn dropped(&mut self, number: u64, rule: &str) {
        self.lost += 1;
        self.story.dropped(number, rule, &mut self.items);
    }

    /// In a lab: the wire delivers a packet twice.
    pub(super) fn doubled(&mut self, number: u64) {
        self.story.doubled(number);
    }

    /// In a lab: the wire holds a packet back.
    pub(super) fn held_back(&mut self, number: u64, nanos: i64) {
        self.story.held_back(number, nanos);
    }

    /// Nothing happened up to this time.
    pub(super) fn quiet(&mut self, until: Time) -> Result<(), Failure> {
        self.story.quiet(until, &mut self.items);
        self.draw()
    }

    /// A sentence goes under the row of its packet.
    fn say(&mut self, text: &str) -> Result<(), Failure> {
        if self.records.is_some() {
            output::talk(text);
            return Ok(());
        }
        if self.current <= self.drawn {
            self.write(text);
            self.output.flush()?;
        } else {
            let about = self.sentences.entry(self.current).or_default();
            about.push(text.to_owned());
        }
        Ok(())
    }

    fn write(&mut self, text: &str) {
        let mut lines = String::new();
        write_wrapped(&mut lines, INDENT, 78, text);
        self.output.bytes.extend_from_slice(lines.as_bytes());
    }

    /// Draws what is ready, each row with its sentences.
    pub(super) fn draw(&mut self) -> Result<(), Failure> {
        for item in std::mem::take(&mut self.items) {
            self.ladder.write(&item, &mut self.output.bytes)?;
            if let Item::Row(row) = &item {
                self.drawn = self.drawn.max(last_of(row));
                while let Some(first) = self.sentences.first_entry()
                    && *first.key() <= self.drawn
                {
                    for text in first.remove() {
                        self.write(&text);
                    }
                }
            }
        }
        Ok(self.output.flush()?)
    }

    /// What is left of the ladder, the data, and how it ended; the exit code for it.
    pub(super) fn close<E>(
        mut self,
        ending: &Result<Option<Ending>, E>,
        connection: &Connection,
        args: &Args,
    ) -> Result<Exit, Failure> {
        self.story.finish(&mut self.items);
        self.draw()?;
        let kept = self.writer.is_some();
        if let Some(writer) = self.writer.take() {
            writer.finish(&[])?;
        }
        let Ok(ending) = ending else {
            return Ok(Exit::NoMatch);
        };
        let mut last = Vec::new();
        self.received(connection, &mut last)?;
        self.summary(*ending, connection, &mut last)?;
        if let (true, Some(name)) = (kept, &args.write) {
            let name = name.display().to_string();
            let name = Safe(name.as_bytes());
            writeln!(last, "kept: {name}    next: sockwire read -v {name}")?;
        }
        if self.records.is_some() {
            output::talk(String::from_utf8_lossy(&last).trim_end());
        } else {
            self.output.bytes.extend_from_slice(b"\n");
            self.output.bytes.extend_from_slice(&last);
        }
        self.output.flush()?;
        Ok(exit_of(*ending, args))
    }

    /// The peer's bytes as text that is safe to show.
    fn received(&self, connection: &Connection, out: &mut Vec<u8>) -> io::Result<()> {
        let total = connection.received();
        if total == 0 {
            return Ok(());
        }
        writeln!(out, "received {total} bytes:")?;
        for line in self.data.split_inclusive(|byte| *byte == b'\n') {
            let text = line.strip_suffix(b"\n").unwrap_or(line);
            let text = text.strip_suffix(b"\r").unwrap_or(text);
            writeln!(out, "  {}", Safe(text))?;
        }
        let more = total.saturating_sub(self.data.len() as u64);
        if more > 0 {
            writeln!(out, "  … and {more} more")?;
        }
        Ok(())
    }

    fn summary(
        &self,
        ending: Option<Ending>,
        connection: &Connection,
        out: &mut Vec<u8>,
    ) -> io::Result<()> {
        let Some(ending) = ending else {
            let Some(number) = self.reset_by_kernel else {
                return writeln!(out, "nobody called");
            };
            let mut lines = String::new();
            write_wrapped(&mut lines, 0, 80, &ended_by_kernel(number));
            return out.write_all(lines.as_bytes());
        };
        let summaries = self.story.summaries();
        if let Some(Summary {
            open: [Some(client), Some(server)],
            ..
        }) = summaries.first()
        {
            let first = ms((*client).max(*server));
            writeln!(out, "open after {first}")?;
        }
        let [own, peer] = connection.isns();
        if self.drawn > 0 && connection.received_syn() && !self.absolute {
            writeln!(
                out,
                "seq and ack count from 0; real ISNs: ours {own}, the peer's {peer} (-S)"
            )?;
        }
        for text in [self.totals(connection), self.ended(ending, connection)] {
            let mut lines = String::new();
            write_wrapped(&mut lines, 0, 80, &text);
            out.extend_from_slice(lines.as_bytes());
        }
        Ok(())
    }

    fn totals(&self, connection: &Connection) -> String {
        let plural = |n: u64, noun: &str| format!("{n} {noun}{}", if n == 1 { "" } else { "s" });
        let mut text = format!(
            "{}, {} sent and acknowledged, {} received",
            plural(self.packets, "packet"),
            plural(connection.acknowledged() as u64, "byte"),
            plural(connection.received(), "byte")
        );
        if connection.again() > 0 {
            text.push_str(&format!(
                ", {} sent again by our timer",
                plural(connection.again().into(), "segment")
            ));
        }
        if self.lost > 0 {
            text.push_str(&format!(", {} lost on the wire", self.lost));
        }
        text
    }

    /// How it ended, and what that leaves behind.
    fn ended(&self, ending: Ending, connection: &Connection) -> String {
        let state = connection.state();
        let peer = connection.remote();
        let peer = peer.map_or_else(|| "the peer".to_owned(), |peer| peer.to_string());
        match (ending, self.reset_by_kernel) {
            (_, Some(number)) => ended_by_kernel(number),
            (Ending::Closed, _) if state == State::TimeWait => {
                "closed: both FINs are acknowledged; we closed first, so TIME-WAIT is ours (2 MSL; not sat out here)"
                    .to_owned()
            }
            (Ending::Closed, _) => {
                "closed: both FINs are acknowledged; the peer closed first, so TIME-WAIT is the peer's".to_owned()
            }
            (Ending::Aborted, _) if !connection.received_syn() => {
                "stopped before an answer to our SYN came: no RST is owed".to_owned()
            }
            (Ending::Aborted, _) => {
                "ended with our RST: nobody keeps TIME-WAIT, and what was not read is lost".to_owned()
            }
            (Ending::Left, _) => format!(
                "left in {state} without a close: the peer does not know that we are gone, and our kernel will answer \
                 its next segment with a RST"
            ),
            (Ending::Refused, _) => {
                format!("refused: a RST answered our SYN, so nothing listens on {peer}")
            }
            (Ending::Reset, _) => format!(
                "reset by {peer}: its program is gone, or ended without reading everything"
            ),
            (Ending::Unreachable, _) => {
                format!("unreachable: an ICMP error says for good that {peer} is not to be had")
            }
            (Ending::Silent, _) if connection.fin_is_acknowledged() => format!(
                "half closed: {peer} has acknowledged our FIN, and did not close its own side in time (--timeout)"
            ),
            (Ending::Silent, _) => {
                let again = match connection.again() {
                    0 => String::new(),
                    n => format!(" ({n} repeated)"),
                };
                if connection.received_syn() {
                    format!("{peer} has fallen silent: gone, or the way to it is broken{again}")
                } else {
                    format!("no answer from {peer}: filtered, off, or lost on the way{again}")
                }
            }
        }
    }
}

/// What `--rst kernel` comes to.
fn ended_by_kernel(number: u64) -> String {
    format!(
        "ended by your own kernel, with packet {number}: without --rst kernel, a listening socket that takes nothing \
         owns the port, and the kernel is silent"
    )
}

/// The number of the last packet in a row.
fn last_of(row: &Row) -> u64 {
    match row.what {
        What::Run { last, .. } => row.number.max(last),
        _ => row.number,
    }
}
