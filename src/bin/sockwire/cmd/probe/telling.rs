//! What `probe` prints: the answer to one question, a row for each of several, a JSON object for each, the sum at the end.

use std::{fmt::Write as _, sync::Arc};

use serde_json::{Map, Value, json};
use sockwire::{
    craft::{Built, Mark, Spec, answers::Answer},
    export::json::Records,
    file::Writer,
    frame::{Direction, Interface},
    layer::Packet,
    line::LineOptions,
    link::LinkType,
    probe::{
        Stamp,
        ask::{Question, RoundTrips},
        meaning::{Meaning, meaning, ttl},
    },
    proto::frame::Around,
    render::{
        line::{Lines, Options},
        tree,
    },
    time::MILLISECOND,
};

use super::{Answered, Args, round_trip, whose};
use crate::cmd::{
    Exit, Failure, Global, Outcome,
    output::{self, Output, write_wrapped},
};

/// Columns of a sentence.
const COLUMNS: usize = 80;

/// How the answers are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    /// The only one, at length.
    One,
    /// A row for each.
    Rows,
    Json,
}

pub(super) struct Telling {
    form: Form,
    lines: Lines,
    records: Records,
    tree: Option<tree::Options>,
    output: Output,
    writer: Option<Writer>,
    interface: [Arc<Interface>; 1],
    /// Packets so far, sent and heard.
    packets: u64,
    trips: RoundTrips,
    questions: u64,
    /// With `-c`: the round trips are summed up.
    pings: bool,
    began: bool,
    /// Columns for what varies.
    varied: usize,
}

impl Telling {
    pub(super) fn new(
        args: &Args,
        spec: &Spec,
        (link, device): (LinkType, &str),
        varied: usize,
        global: &Global,
    ) -> Result<Self, Failure> {
        let palette = output::palette(global);
        let form = match (args.json, spec.count(), args.count.unwrap_or(1)) {
            (true, _, _) => Form::Json,
            (_, 1, 1) => Form::One,
            _ => Form::Rows,
        };
        let write = args.write.as_deref();
        let writer = write.map(|path| output::capture_file(path, args.force));
        Ok(Self {
            form,
            lines: Lines::new(Options {
                ascii: global.ascii,
                palette,
                line: LineOptions {
                    absolute: true,
                    quick: false,
                },
                ..Options::default()
            }),
            records: Records::default(),
            tree: args.verbose.then_some(tree::Options {
                palette,
                explain: false,
            }),
            output: Output::stdout(global.ascii)?,
            writer: writer.transpose()?,
            interface: [Arc::new(Interface {
                name: Some(device.to_owned()),
                description: None,
                link,
                snaplen: 0,
                filter: None,
            })],
            packets: 0,
            trips: RoundTrips::default(),
            questions: 0,
            pings: args.count.is_some_and(|count| count > 1),
            began: false,
            varied,
        })
    }

    /// The number of the next packet, counted from 1.
    pub(super) fn next_number(&self) -> u64 {
        self.packets + 1
    }

    fn record(&mut self, packet: &Packet<'_>, direction: Direction) -> Result<(), Failure> {
        self.packets += 1;
        if let Some(writer) = &mut self.writer {
            let mut frame = packet.frame;
            frame.direction = direction;
            writer.write(&frame, &self.interface, [])?;
            writer.flush_if_due(frame.time)?;
        }
        Ok(())
    }

    /// Every field is shown.
    pub(super) fn is_verbose(&self) -> bool {
        self.tree.is_some()
    }

    /// A question has left. `marks` say where its values come from, where that is shown.
    pub(super) fn sent(
        &mut self,
        question: &Question,
        marks: Option<&[Mark]>,
    ) -> Result<(), Failure> {
        self.questions += u64::from(question.tries == 1);
        self.trips.sent += 1;
        let mut packet = question.packet();
        packet.frame.number = self.next_number();
        if self.form == Form::One || marks.is_some() {
            self.lines.packet(&packet, None, &mut self.output.text);
            if let (Some(marks), Some(options)) = (marks, self.tree) {
                let columns = output::columns();
                tree::crafted(&packet, marks, columns, options, &mut self.output.text);
            }
            self.output.flush()?;
        }
        self.record(&packet, Direction::Out)
    }

    /// An answer has come.
    pub(super) fn answered(
        &mut self,
        spec: &Spec,
        question: &Question,
        packet: &Packet<'_>,
        answer: &Answer,
        stamp: Stamp,
    ) -> Result<(), Failure> {
        self.record(packet, Direction::In)?;
        self.trips
            .add(round_trip(question, packet.frame.time), stamp);
        self.tell(spec, question, Some((packet, answer, stamp)))
    }

    /// No answer came.
    pub(super) fn silent(&mut self, spec: &Spec, question: &Question) -> Result<(), Failure> {
        self.tell(spec, question, None)
    }

    fn tell(
        &mut self,
        spec: &Spec,
        question: &Question,
        answered: Answered<'_>,
    ) -> Result<(), Failure> {
        let asked = question.packet();
        let meaning = meaning(&asked, answered.map(|(packet, answer, _)| (packet, answer)));
        let built = Built {
            bytes: question.bytes.clone(),
            layers: question.layers.clone(),
        };
        let varied: Vec<(&str, String)> = spec
            .varied(&built)
            .into_iter()
            .map(|(word, value)| (word, value.to_string()))
            .collect();
        match self.form {
            Form::Json => self.object(question, &varied, answered, &meaning),
            Form::One => self.one(question, answered, &meaning),
            Form::Rows => self.row(question, &varied, answered, &meaning),
        }
        if let (Some(options), Some((packet, ..))) = (self.tree, answered) {
            tree::packet(packet, &Around::default(), options, &mut self.output.text);
        }
        self.output.flush()?;
        Ok(())
    }

    fn one(&mut self, question: &Question, answered: Answered<'_>, meaning: &Meaning) {
        if let Some((packet, _, stamp)) = answered {
            self.lines.packet(packet, None, &mut self.output.text);
            let rtt = Millis(round_trip(question, packet.frame.time));
            let ttl = packet.views().find_map(|view| ttl(&view));
            let ttl = ttl.map_or(String::new(), |ttl| format!(", TTL {ttl} left"));
            // Writing to a String cannot fail.
            let _ = writeln!(self.output.text, "after {rtt}{}{ttl}", by_whose(stamp));
        }
        write_wrapped(&mut self.output.text, 0, COLUMNS, &meaning.to_string());
    }

    fn row(
        &mut self,
        question: &Question,
        varied: &[(&str, String)],
        answered: Answered<'_>,
        meaning: &Meaning,
    ) {
        let width = self.varied;
        let out = &mut self.output.text;
        if !std::mem::replace(&mut self.began, true) {
            let names: Vec<&str> = varied.iter().map(|(word, _)| *word).collect();
            let names = names.join(" ");
            let _ = writeln!(out, "    #  {names:width$}{:>10}  meaning", "RTT");
        }
        let values: Vec<&str> = varied.iter().map(|(_, value)| value.as_str()).collect();
        let values = values.join(" ");
        let rtt = match answered {
            Some((packet, ..)) => Millis(round_trip(question, packet.frame.time)).to_string(),
            None => "-".to_owned(),
        };
        let _ = writeln!(
            out,
            "{:>5}  {values:width$}{rtt:>10}  {meaning}",
            question.number + 1
        );
    }

    fn object(
        &mut self,
        question: &Question,
        varied: &[(&str, String)],
        answered: Answered<'_>,
        meaning: &Meaning,
    ) {
        let varied: Map<String, Value> = varied
            .iter()
            .map(|(word, value)| ((*word).to_owned(), value.as_str().into()))
            .collect();
        let rtt = answered.map(|(packet, ..)| round_trip(question, packet.frame.time));
        let object = json!({
            "schema": 1,
            "question": question.number + 1,
            "varied": varied,
            "tries": question.tries,
            "sent": question.sent.to_string(),
            "answered": answered.is_some(),
            "meaning": meaning.word,
            "sentence": meaning.text,
            "rtt": rtt.map(|nanos| nanos as f64 / 1e9),
            "rtt_by": answered.map(|(_, _, stamp)| whose(stamp)),
            "error": answered.and_then(|(_, answer, _)| match answer {
                Answer::Reply => None,
                Answer::Error(failure) => Some(json!({
                    "from": failure.from.to_string(),
                    "type": failure.kind,
                    "code": failure.code,
                })),
            }),
        });
        let mut text = object.to_string();
        if let Some((packet, ..)) = answered {
            // The answer as `read --json` has it, in its place at the end.
            let mut record = Vec::new();
            self.records.packet(packet, &Around::default(), &mut record);
            text.pop();
            text.push_str(",\"reply\":");
            text.push_str(String::from_utf8_lossy(&record).trim_end());
            text.push('}');
        }
        self.output.text.push_str(&text);
        self.output.text.push('\n');
    }

    /// The sum, and how it ended: by Ctrl-C, or by itself.
    pub(super) fn finish(mut self, stopped: bool) -> Outcome {
        if let Some(writer) = self.writer.take() {
            writer.finish(&[])?;
        }
        if self.form == Form::Rows {
            let lost = self.questions - self.trips.answered.min(self.questions);
            let share = lost as f64 * 100.0 / self.questions.max(1) as f64;
            let out = &mut self.output.text;
            let _ = write!(
                out,
                "{} sent, {} answered, {share:.0} % without an answer",
                self.trips.sent, self.trips.answered
            );
            if let Some(times) = self.trips.summary().filter(|_| self.pings) {
                let times = times.map(|nanos| format!("{:.3}", nanos as f64 / MILLISECOND as f64));
                let _ = write!(out, "\nRTT min/avg/max/mdev {} ms", times.join("/"));
            }
            out.push('\n');
            if self.trips.has_read_times() {
                out.push_str(
                    "some answers came before the kernel stamped: their time is that of reading\n",
                );
            }
        }
        self.output.flush()?;
        Ok(if stopped || self.trips.answered > 0 {
            Exit::Done
        } else {
            Exit::NoMatch
        })
    }
}

/// What is said of a time that is not the kernel's.
fn by_whose(stamp: Stamp) -> &'static str {
    match stamp {
        Stamp::Kernel => "",
        Stamp::Read => " (when it was read: the kernel did not stamp yet)",
    }
}

/// Nanoseconds as `0.071 ms`.
pub(in crate::cmd) struct Millis(pub(in crate::cmd) i64);

impl std::fmt::Display for Millis {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:.3} ms", self.0 as f64 / MILLISECOND as f64)
    }
}
