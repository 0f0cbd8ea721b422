//! `sockwire answer`: lab questions about a capture file, each with its arithmetic and the packets that prove it.

use std::{
    fmt::Write as _,
    num::NonZeroU64,
    path::{Path, PathBuf},
};

use serde_json::{Map, Value, json};
use sockwire::{
    text::{Safe, near},
    track::answers::{self, Answer, Ask, Datum, Evidence, QUESTIONS, Question, Takes, Want},
};
use unicode_width::UnicodeWidthStr as _;

use super::{
    Exit, Failure, Global, Numeric, Outcome, gather, number,
    output::{Output, write_wrapped},
    privilege, usage,
};

/// The longest line.
const COLUMNS: usize = 80;
/// Columns of a question's name.
const NAMES: usize = 22;

const EXAMPLES: &str = "\
Examples:
  sockwire answer trace.pcapng                      what this capture can answer
  sockwire answer trace.pcapng handshake            of the first connection that has one
  sockwire answer trace.pcapng rtt tcp:3 --rows 6   of this connection, six rows
  sockwire answer trace.pcapng which-segment POST
  sockwire answer trace.pcapng checksum 12
  sockwire answer trace.pcapng diff 12 13 --json";

/// Answers a lab question from a capture file: a sentence, the arithmetic, and the packets that prove it
///
/// Without QUESTION, lists all questions and which of them this capture can answer. Exit code 1: it cannot be answered from
/// this capture; 2: there is no such question; 4: no such packet or connection.
#[derive(clap::Args)]
#[command(before_help = EXAMPLES)]
pub(crate) struct Args {
    /// The capture file; - is standard input
    #[arg(value_name = "FILE", required_unless_present = "read")]
    file: Option<PathBuf>,
    /// The question, by its short name
    #[arg(value_name = "QUESTION")]
    question: Option<String>,
    /// What it takes: a text, packet numbers; and tcp:N for a certain connection
    #[arg(value_name = "WHAT")]
    what: Vec<String>,
    /// The capture file, with tcpdump's letter
    #[arg(short = 'r', long, value_name = "FILE")]
    read: Option<PathBuf>,
    /// The most rows of a table
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = number::<usize>(1..=100_000, "--rows 6"))]
    rows: usize,
    /// One JSON object a line
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    numeric: Numeric,
}

impl Args {
    /// The file, and the words that ask: after -r FILE, all are such words.
    fn words(&self) -> (&Path, Vec<String>) {
        let asked = self.question.iter().chain(&self.what).cloned();
        match (&self.read, &self.file) {
            (Some(file), first) => {
                let first = first.iter().map(|word| word.to_string_lossy().into_owned());
                (file, first.chain(asked).collect())
            }
            (None, file) => (
                file.as_deref().unwrap_or_else(|| Path::new("-")),
                asked.collect(),
            ),
        }
    }
}

/// Runs the command.
pub(crate) fn run(args: Args, global: &Global) -> Outcome {
    let (file, words) = args.words();
    let asked = match words.split_first() {
        Some((name, what)) => {
            let question = find(name)?;
            Some((question, ask(question, what, args.rows)?))
        }
        None => None,
    };
    let mut reader = gather::open(file)?;
    privilege::give_up(global)?;
    let want = asked
        .as_ref()
        .map_or_else(Want::default, |(_, ask)| ask.want());
    let gathered = gather::gather(&mut reader, want)?;
    for remark in gathered.remarks() {
        global.talk(remark);
    }
    let mut stdout = Output::stdout(global.ascii)?;
    let out = &mut stdout.text;
    let exit = match asked {
        None => {
            list(out, &gathered.evidence, args.json);
            Exit::Done
        }
        Some((question, ask)) => match question.answer(&gathered.evidence, &ask) {
            Ok(answer) if args.json => {
                // Writing to a String cannot fail.
                let _ = writeln!(out, "{}", record(question, &answer));
                Exit::Done
            }
            Ok(answer) => {
                write_answer(out, question, &answer);
                Exit::Done
            }
            Err(because) => {
                if args.json {
                    let refusal =
                        json!({"schema": 1, "question": question.name, "because": because});
                    let _ = writeln!(out, "{refusal}");
                } else {
                    global.talk(cannot(question, &because));
                }
                if gathered.evidence.has(&ask) {
                    Exit::NoMatch
                } else {
                    Exit::NoSuch
                }
            }
        },
    };
    stdout.flush()?;
    gathered.outcome(exit)
}

/// The question of this name; else a failure that suggests the nearest.
fn find(name: &str) -> Result<&'static Question, Failure> {
    answers::find(name).ok_or_else(|| {
        let hint = match near(name, QUESTIONS.iter().map(|q| q.name)) {
            Some(near) => format!("did you mean {near}?"),
            None => "sockwire answer FILE lists them".to_owned(),
        };
        usage(format!(
            "no question is called {}; {hint}",
            Safe(name.as_bytes())
        ))
    })
}

/// Reads what stands after the question's name.
fn ask(question: &Question, words: &[String], rows: usize) -> Result<Ask, Failure> {
    let mut ask = Ask {
        rows,
        ..Ask::default()
    };
    let mut rest = Vec::new();
    for word in words {
        match stream(word)? {
            Some(stream) => ask.stream = Some(stream),
            None => rest.push(word.as_str()),
        }
    }
    let name = question.name;
    match question.takes {
        Takes::Nothing => {
            if let Some(word) = rest.first() {
                let word = Safe(word.as_bytes());
                return Err(usage(format!("{name} takes tcp:N or nothing, not {word}")));
            }
        }
        Takes::Text => match rest.as_slice() {
            [text] if !text.is_empty() => ask.text = Some((*text).to_owned()),
            _ => return Err(usage(format!("{name} takes one text: {name} 'POST'"))),
        },
        Takes::Numbers(count) => {
            // Packets count from 1.
            let numbers = rest.iter().map(|word| word.parse::<NonZeroU64>());
            let numbers: Result<Vec<u64>, _> = numbers.map(|n| n.map(NonZeroU64::get)).collect();
            match numbers {
                Ok(numbers) if numbers.len() == count => ask.numbers = numbers,
                _ => {
                    let example = if count == 1 { "12" } else { "12 13" };
                    return Err(usage(format!(
                        "{name} takes {count} packet number{}: {name} {example}",
                        if count == 1 { "" } else { "s" }
                    )));
                }
            }
        }
    }
    Ok(ask)
}

/// The number in `tcp:N`; `None` for other words.
pub(super) fn stream(word: &str) -> Result<Option<u32>, Failure> {
    let Some(number) = word.strip_prefix("tcp:") else {
        return Ok(None);
    };
    let number = number.parse();
    number.map(Some).map_err(|_| {
        let word = Safe(word.as_bytes());
        usage(format!("{word} names no connection: tcp:0 is the first"))
    })
}

fn cannot(question: &Question, because: &str) -> String {
    let mut text = String::new();
    write_wrapped(
        &mut text,
        0,
        COLUMNS,
        &format!(
            "{} cannot be answered from this capture: {because}",
            question.name
        ),
    );
    text.trim_end().to_owned()
}

/// All questions, those that can be answered marked.
fn list(out: &mut String, evidence: &Evidence, json: bool) {
    if !json {
        out.push_str("  question              in words (* this capture can answer it)\n");
    }
    for question in QUESTIONS {
        let answerable = question.is_answerable(evidence);
        if json {
            let _ = writeln!(
                out,
                "{}",
                json!({
                    "schema": 1,
                    "question": question.name,
                    "words": question.words,
                    "needs": question.needs,
                    "answerable": answerable.is_ok(),
                    "because": answerable.err(),
                })
            );
            continue;
        }
        let takes = match question.takes {
            Takes::Nothing => "",
            Takes::Text => " TEXT",
            Takes::Numbers(1) => " N",
            Takes::Numbers(_) => " N M",
        };
        let mark = if answerable.is_ok() { '*' } else { ' ' };
        let name = format!("{mark} {}{takes}", question.name);
        let mut words = question.words.to_owned();
        if let Err(because) = answerable {
            let _ = write!(words, " – {because}");
        }
        let from = out.len();
        write_wrapped(out, NAMES + 2, COLUMNS, &words);
        // The name takes the place of the first line's indent, or a line of its own where it is too long.
        if name.width() < NAMES + 2 {
            out.replace_range(
                from..from + NAMES + 2,
                &format!("{name:<width$}", width = NAMES + 2),
            );
        } else {
            out.insert_str(from, &format!("{name}\n"));
        }
    }
}

fn write_answer(out: &mut String, question: &Question, answer: &Answer) {
    let mut heading = question.name.to_owned();
    if let Some((stream, client, server)) = answer.connection {
        let _ = write!(heading, " of tcp:{stream}, {client} → {server}");
    }
    write_wrapped(out, 0, COLUMNS, &heading);
    write_wrapped(out, 0, COLUMNS, &answer.says);
    for step in &answer.steps {
        // Tables keep their columns.
        if step.width() + 2 <= COLUMNS {
            let _ = writeln!(out, "  {step}");
        } else {
            write_wrapped(out, 2, COLUMNS, step);
        }
    }
    if !answer.packets.is_empty() {
        write_wrapped(out, 0, COLUMNS, &proof(&answer.packets));
    }
}

/// The packets that prove it, runs of them as ranges.
fn proof(packets: &[u64]) -> String {
    let runs = packets.chunk_by(|a, b| a.checked_add(1) == Some(*b));
    let runs = runs.filter_map(|run| match run {
        [first, .., last] if run.len() > 2 => Some(format!("{first}–{last}")),
        [first, last] => Some(format!("{first}, {last}")),
        [one] => Some(one.to_string()),
        _ => None,
    });
    let word = if packets.len() == 1 {
        "packet"
    } else {
        "packets"
    };
    format!("Proof: {word} {}", runs.collect::<Vec<_>>().join(", "))
}

fn record(question: &Question, answer: &Answer) -> Value {
    let values: Map<String, Value> = answer
        .values
        .iter()
        .map(|(name, value)| ((*name).to_owned(), datum(value)))
        .collect();
    let mut record = json!({
        "schema": 1,
        "question": question.name,
        "answer": answer.says,
        "steps": answer.steps,
        "packets": answer.packets,
        "values": values,
    });
    if let (Some((stream, client, server)), Some(fields)) =
        (answer.connection, record.as_object_mut())
    {
        fields.insert("stream".to_owned(), stream.into());
        fields.insert("client".to_owned(), client.to_string().into());
        fields.insert("server".to_owned(), server.to_string().into());
    }
    record
}

/// Spans are seconds, as everywhere in records.
fn datum(value: &Datum) -> Value {
    match value {
        Datum::Number(n) => (*n).into(),
        Datum::Ratio(n) => (*n).into(),
        Datum::Span(nanos) => (*nanos as f64 / 1e9).into(),
        Datum::Flag(flag) => (*flag).into(),
        Datum::Text(text) => text.as_str().into(),
        Datum::List(list) => list.iter().map(datum).collect(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn what_a_question_takes_is_checked() {
        let asked = |name: &str, words: &[&str]| {
            let words: Vec<String> = words.iter().map(|w| (*w).to_owned()).collect();
            ask(answers::find(name).unwrap(), &words, 10)
        };
        let rtt = asked("rtt", &["tcp:3"]).ok().unwrap();
        assert_eq!(rtt.stream, Some(3));
        let text = asked("which-segment", &["POST", "tcp:0"]).ok().unwrap();
        assert_eq!((text.text.as_deref(), text.stream), (Some("POST"), Some(0)));
        assert_eq!(asked("diff", &["4", "7"]).ok().unwrap().numbers, [4, 7]);
        for (name, words) in [
            ("rtt", &["3"][..]),
            ("rtt", &["tcp:x"]),
            ("which-segment", &[]),
            ("checksum", &["x"]),
            ("checksum", &["1", "2"]),
            ("diff", &["1"]),
        ] {
            assert_eq!(
                asked(name, words).err().unwrap().exit,
                Exit::Usage,
                "{name}"
            );
        }
        let said = |name| find(name).err().unwrap().error.to_string();
        assert!(said("handshke").ends_with("did you mean handshake?"));
        assert!(said("zzz").ends_with("lists them"));
    }

    #[test]
    fn proofs_fold_runs() {
        assert_eq!(proof(&[1, 2, 3, 7, 9, 10]), "Proof: packets 1–3, 7, 9, 10");
        assert_eq!(proof(&[4]), "Proof: packet 4");
    }
}
