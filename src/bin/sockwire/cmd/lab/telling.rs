//! What a lab shows of a scenario: the ladder, on request the calls, and the closing lines.

use std::{
    io::{self, Write},
    net::SocketAddr,
};

use sockwire::{
    lab::{Event, Host, Plan, scenario::Call},
    text::write_wrapped,
    time::{MILLISECOND, Time},
    track::story::Summary,
};

use super::{Args, Recording, patience};
use crate::cmd::{Failure, Global, drawing::Drawing, output};

/// Turns events into the ladder, the recording and the closing lines.
pub(super) struct Telling {
    drawing: Drawing<String>,
    recording: Recording,
    calls: bool,
    absolute: bool,
    remarks: Vec<String>,
    next: &'static str,
    failed_calls: Vec<String>,
    has_begun: bool,
}

impl Telling {
    pub(super) fn new(plan: &Plan, args: &Args, global: &Global, recording: Recording) -> Self {
        let server = plan.address(Host::Server);
        let listening = plan.scenario.listening();
        let listening = listening
            .map(|port| SocketAddr::new(server, port))
            .collect();
        Self {
            drawing: Drawing::of_lab(listening, args.absolute, None, global),
            recording,
            calls: args.calls,
            absolute: args.absolute,
            remarks: remarks(plan),
            next: plan.scenario.next,
            failed_calls: Vec::new(),
            has_begun: false,
        }
    }

    /// The hosts have come up.
    pub(super) fn has_begun(&self) -> bool {
        self.has_begun
    }

    /// Shows and records an event.
    pub(super) fn event(&mut self, event: Event) -> Result<(), Failure> {
        match &event {
            Event::Up(nanos) => {
                self.has_begun = true;
                if self.calls {
                    let ms = *nanos as f64 / MILLISECOND as f64;
                    writeln!(io::stdout(), "hosts up in {ms:.2} ms")?;
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
                    let line = format!("{} {said}", self.drawing.at(*time));
                    self.drawing.line(*time, line);
                }
                if error.is_some() {
                    self.failed_calls.push(said);
                }
            }
            Event::Sent(_) | Event::Delivered { .. } | Event::Quiet(_) => {}
        }
        let mut out = io::stdout().lock();
        self.drawing.event(&event, 0, &mut out)?;
        if self.drawing.packets()[0] == 0 {
            // Nothing left its sender yet: there is nothing to wait for.
            self.drawing.draw(Time::MAX, &mut out)?;
        }
        self.recording.event(&event)
    }

    /// What is left of the ladder, and the closing lines. The remarks are about a whole play, not one that was `stopped`.
    pub(super) fn close(mut self, linux: bool, stopped: bool) -> Result<(), Failure> {
        self.drawing.finish(&mut io::stdout().lock())?;
        let summaries = self.drawing.summaries();
        let totals = self.totals(&summaries, linux);
        let kept = self.recording.finish()?;
        let mut out = io::stdout().lock();
        writeln!(out)?;
        for call in &self.failed_calls {
            writeln!(out, "{call}")?;
        }
        if let [summary] = &summaries[..] {
            opening(summary, self.absolute, &mut out)?;
        }
        writeln!(out, "{totals}")?;
        for remark in self.remarks.iter().filter(|_| !stopped) {
            let mut text = String::new();
            write_wrapped(&mut text, 0, output::columns().clamp(60, 80), remark);
            writeln!(out, "{}", text.trim_end())?;
        }
        match kept {
            Some(name) => writeln!(
                out,
                "kept: {name}\nnext: sockwire read -v {name}    sockwire lab {}",
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
        let [packets, lost] = self.drawing.packets();
        let lost = match lost {
            0 => "none lost".to_owned(),
            lost => format!("{lost} lost"),
        };
        let noun = if packets == 1 { "packet" } else { "packets" };
        let time_wait = match summaries.iter().find_map(Summary::time_wait) {
            Some(side) => {
                // Linux's TCP_TIMEWAIT_LEN; smoltcp's CLOSE_DELAY.
                let seconds = if linux { 60 } else { 10 };
                let side = side.word();
                format!("; the {side} keeps TIME-WAIT for {seconds} s")
            }
            None => String::new(),
        };
        format!("{packets} {noun}, {bytes}, {lost}{time_wait}")
    }
}

/// What else there is to know; of a connect that gives up early, how long this machine's would go on.
fn remarks(plan: &Plan) -> Vec<String> {
    let mut calls = plan.scenario.client.iter();
    let gives_up = calls.any(|call| matches!(call, Call::ConnectWithin(..)));
    let patience = gives_up.then(patience::sentence).flatten();
    let own = Some(plan.scenario.remark.to_owned()).filter(|own| !own.is_empty());
    own.into_iter().chain(patience).collect()
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
