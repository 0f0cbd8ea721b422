//! What a lab shows: events in, the ladder and the closing lines out.

use std::{
    collections::VecDeque,
    io::{self, Write},
    net::SocketAddr,
};

use sockwire::{
    decode::{Decoded, Decoder},
    frame::{Batch, Direction, Record},
    lab::{Event, Host, Plan, Transit},
    link::LinkType,
    render::{
        ladder::{Ladder, Layout},
        line::{self, Lines, TimeForm},
    },
    time::{MILLISECOND, Time},
    track::{
        Tracker,
        story::{Item, Sight, Story, StoryOptions, Summary},
    },
};

use super::{Args, Recording};
use crate::cmd::{Failure, Global, output};

/// Turns events into the ladder, the recording and the closing lines.
pub(super) struct Telling {
    decoder: Decoder,
    decoded: Decoded,
    tracker: Tracker,
    story: Story,
    ladder: Ladder,
    items: Vec<Item>,
    /// For packets that are no rows.
    lines: Lines,
    aside: String,
    recording: Recording,
    calls: bool,
    /// Calls that returned after a row left that is still held back or to come: when, and their lines.
    told_later: VecDeque<(Time, String)>,
    /// No frame older than this is to come.
    seen: Time,
    absolute: bool,
    next: &'static str,
    failed_calls: Vec<String>,
    start: Option<Time>,
    has_begun: bool,
    packets: u64,
    lost: u64,
}

impl Telling {
    pub(super) fn new(plan: &Plan, args: &Args, global: &Global, recording: Recording) -> Self {
        let server = plan.address(Host::Server);
        let listening = plan.scenario.listening();
        Self {
            decoder: Decoder::default(),
            decoded: Decoded::default(),
            tracker: Tracker::default(),
            story: Story::new(StoryOptions {
                listening: Some(
                    listening
                        .map(|port| SocketAddr::new(server, port))
                        .collect(),
                ),
                ..StoryOptions::default()
            }),
            ladder: Ladder::new(output::ladder(Layout::Lab, args.absolute, global)),
            items: Vec::new(),
            lines: Lines::new(line::Options {
                time: TimeForm::None,
                ascii: global.ascii,
                palette: output::palette(global),
                ..line::Options::default()
            }),
            aside: String::new(),
            recording,
            calls: args.calls,
            told_later: VecDeque::new(),
            seen: Time::from_nanos(i64::MIN),
            absolute: args.absolute,
            next: plan.scenario.next,
            failed_calls: Vec::new(),
            start: None,
            has_begun: false,
            packets: 0,
            lost: 0,
        }
    }

    /// The hosts have come up.
    pub(super) fn has_begun(&self) -> bool {
        self.has_begun
    }

    /// Shows and records an event.
    pub(super) fn event(&mut self, event: Event) -> Result<(), Failure> {
        if let Event::Sent(Transit { time, .. })
        | Event::Delivered { time, .. }
        | Event::Quiet(time) = &event
        {
            self.seen = self.seen.max(*time);
        }
        match event {
            Event::Up(nanos) => {
                self.has_begun = true;
                if self.calls {
                    let ms = nanos as f64 / MILLISECOND as f64;
                    writeln!(io::stdout(), "hosts up in {ms:.2} ms")?;
                }
            }
            Event::Sent(transit) => {
                self.start.get_or_insert(transit.time);
                self.packets += 1;
                self.lost += u64::from(transit.dropped.is_some());
                self.sent(&transit)?;
                self.recording.sent(transit)?;
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
            Event::Called {
                time,
                host,
                call,
                error,
            } => {
                let said = format!("{host}: {call}: {}", error.as_deref().unwrap_or("ok"));
                if self.calls {
                    let at = self.start.map_or(0, |start| time.since(start));
                    let at = at as f64 / MILLISECOND as f64;
                    self.told_later
                        .push_back((time, format!("{at:>7.2} {said}")));
                }
                if error.is_some() {
                    self.failed_calls.push(said);
                }
            }
            Event::Quiet(time) => self.story.quiet(time, &mut self.items),
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
        let mut out = io::stdout().lock();
        let at = self.start.map_or(0, |start| transit.time.since(start));
        let at = at as f64 / MILLISECOND as f64;
        write!(out, "{at:>7.2} {}", self.aside.trim_start())?;
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
        for item in self.items.drain(..) {
            if let Item::Row(row) = &item {
                calls_before(&mut self.told_later, row.sent, &mut out)?;
            }
            self.ladder.write(&item, &mut out)?;
        }
        let held = self.story.held_since().unwrap_or(self.seen);
        // Nothing left its sender yet: there is nothing to wait for.
        let until = self
            .start
            .map_or(Time::from_nanos(i64::MAX), |_| held.min(self.seen));
        calls_before(&mut self.told_later, until, &mut out)?;
        Ok(out.flush()?)
    }

    /// What is left of the ladder, and the closing lines.
    pub(super) fn close(mut self, linux: bool) -> Result<(), Failure> {
        self.story.finish(&mut self.items);
        self.seen = Time::from_nanos(i64::MAX);
        self.draw()?;
        let kept = self.recording.finish()?;
        let mut out = io::stdout().lock();
        writeln!(out)?;
        for call in &self.failed_calls {
            writeln!(out, "{call}")?;
        }
        let summaries = self.story.summaries();
        if let [summary] = &summaries[..] {
            opening(summary, self.absolute, &mut out)?;
        }
        writeln!(out, "{}", self.totals(&summaries, linux))?;
        match kept {
            Some(name) => writeln!(
                out,
                "kept: {name}    next: sockwire read -v {name}    sockwire lab {}",
                self.next
            )?,
            None => writeln!(
                out,
                "next: -w my.pcapng    sockwire lab {}    sockwire read -v my.pcapng",
                self.next
            )?,
        }
        Ok(out.flush()?)
    }

    /// "10 packets, 6 bytes each way, none lost; the client keeps TIME-WAIT for 60 s"
    fn totals(&self, summaries: &[Summary], linux: bool) -> String {
        let sum = |number: fn(&Summary) -> u64| summaries.iter().map(number).sum::<u64>();
        let bytes = match (sum(|s| s.bytes[0]), sum(|s| s.bytes[1])) {
            (0, 0) => "no data".to_owned(),
            (there, back) if there == back => format!("{there} bytes each way"),
            (there, back) => format!("{there} and {back} bytes"),
        };
        let lost = match self.lost {
            0 => "none lost".to_owned(),
            lost => format!("{lost} lost"),
        };
        let noun = if self.packets == 1 {
            "packet"
        } else {
            "packets"
        };
        let time_wait = match summaries.iter().find_map(Summary::time_wait) {
            Some(side) => {
                // Linux's TCP_TIMEWAIT_LEN; smoltcp's CLOSE_DELAY.
                let seconds = if linux { 60 } else { 10 };
                let side = side.word();
                format!("; the {side} keeps TIME-WAIT for {seconds} s")
            }
            None => String::new(),
        };
        format!("{} {noun}, {bytes}, {lost}{time_wait}", self.packets)
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

/// How long the handshake took, and what the numbers count from.
fn opening(summary: &Summary, absolute: bool, out: &mut impl Write) -> io::Result<()> {
    let ms = |nanos: i64| format!("{:.2} ms", nanos as f64 / MILLISECOND as f64);
    if let [Some(client), Some(server)] = summary.open {
        let (client, server) = (ms(client), ms(server));
        write!(
            out,
            "open after {client} at the client, {server} at the server"
        )?;
        if let Some(rtt) = summary.rtt {
            write!(out, "; RTT {}", ms(rtt))?;
        }
        writeln!(out)?;
    }
    match summary.isn {
        [Some(client), Some(server)] if !absolute => writeln!(
            out,
            "seq and ack count from 0; real ISNs: client {client}, server {server} (-S)"
        ),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

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
