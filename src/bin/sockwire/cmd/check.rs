//! `sockwire check`: whether captures are as expected, for graders and scripts: exit code 0 or 1, what failed and where.

use std::{
    fmt::Write as _,
    path::{Path, PathBuf},
};

use serde_json::json;
use sockwire::{
    file::{self, Create, Format, Reader, Writer},
    sys::signal::Stop,
    text::{Safe, near},
    track::{
        answers::Want,
        checks::{self, BadExpectation, Expectation, RULES, Takes, Verdict},
    },
};

use super::{
    Exit, Failure, Global, Numeric, Outcome, answer, gather,
    output::{self, Output, write_wrapped},
    privilege, usage,
};

const COLUMNS: usize = 80;

const EXAMPLES: &str = "\
Examples:
  sockwire check trace.pcapng --expect handshake,no-retransmission,close=fin
  sockwire check *.pcapng --expect handshake,rtt-below=50ms --csv
  sockwire check trace.pcapng --expect contains=hello --stream tcp:1
  sockwire check trace.pcapng --expect close=fin -w verdicts.pcapng
  sockwire check --list                              the expectations there are";

/// Checks captures against expectations: a line for each, with the packet that failed it
///
/// Exit code 0: all hold; 1: some failed; 2: an expectation is off; 5: a file is damaged (the others are checked).
#[derive(clap::Args)]
#[command(before_help = EXAMPLES)]
pub(crate) struct Args {
    /// Capture files; - is standard input
    #[arg(value_name = "FILE", required_unless_present_any = ["list", "read"])]
    files: Vec<PathBuf>,
    /// A capture file, with tcpdump's letter
    #[arg(short = 'r', long, value_name = "FILE")]
    read: Vec<PathBuf>,
    /// What is expected, separated by commas; can be repeated
    #[arg(long, value_name = "WHAT", required_unless_present = "list")]
    expect: Vec<String>,
    /// Of connections, only this one: tcp:N
    #[arg(long, value_name = "tcp:N")]
    stream: Option<String>,
    /// Lists the expectations there are
    #[arg(long)]
    list: bool,
    /// Comma-separated values, with a heading
    #[arg(long, conflicts_with = "json")]
    csv: bool,
    /// One JSON object a line
    #[arg(long)]
    json: bool,
    /// Writes the packets with the verdicts as comments, as pcapng; of one file only
    #[arg(short = 'w', long, value_name = "FILE")]
    write: Option<PathBuf>,
    /// Lets -w replace a file
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    numeric: Numeric,
}

/// Runs the command.
pub(crate) fn run(mut args: Args, global: &Global) -> Outcome {
    args.files.append(&mut args.read);
    let mut stdout = Output::stdout(global.ascii)?;
    if args.list {
        list(&mut stdout.text);
        stdout.flush()?;
        return Ok(Exit::Done);
    }
    let (expectations, mut want) =
        checks::read(args.expect.iter().map(String::as_str)).map_err(bad)?;
    if let Some(word) = &args.stream {
        want.stream = answer::stream(word)?;
        if want.stream.is_none() {
            return Err(usage(format!(
                "--stream takes tcp:N, such as tcp:0, not {}",
                Safe(word.as_bytes())
            )));
        }
    }
    if args.write.is_some() && (args.files.len() != 1 || args.files[0].as_os_str() == "-") {
        return Err(usage(
            "-w writes the packets of one file, which is read twice: name it",
        ));
    }
    if args.csv {
        stdout
            .text
            .push_str("file,expectation,holds,stream,packet,why\n");
    }
    let mut checked = Checked {
        args: &args,
        global,
        expectations,
        want,
        worst: Exit::Done,
    };
    for (n, path) in args.files.iter().enumerate() {
        checked.file(path, n + 1 == args.files.len(), &mut stdout)?;
        stdout.flush()?;
    }
    Ok(checked.worst)
}

/// What is checked, and how that went so far.
struct Checked<'a> {
    args: &'a Args,
    global: &'a Global,
    expectations: Vec<Expectation>,
    want: Want,
    /// The exit code: damage counts more than a failed expectation.
    worst: Exit,
}

impl Checked<'_> {
    /// Checks one file. A fault in it is told, and the other files are still checked.
    fn file(&mut self, path: &Path, is_last: bool, stdout: &mut Output) -> Result<(), Failure> {
        let mut reader = match gather::open(path) {
            Ok(reader) => reader,
            Err(failure) => return self.fault(failure),
        };
        let copy = match &self.args.write {
            Some(write) => Some(self.copy(path, write)?),
            None => None,
        };
        if is_last {
            privilege::give_up(self.global)?;
        }
        let gathered = gather::gather(&mut reader, self.want.clone())?;
        for remark in gathered.remarks() {
            self.global.talk(remark);
        }
        let verdicts: Vec<Verdict> = self
            .expectations
            .iter()
            .map(|expectation| expectation.judge(&gathered.evidence))
            .collect();
        for (expectation, verdict) in self.expectations.iter().zip(&verdicts) {
            if !verdict.holds {
                self.worst = worse(self.worst, Exit::NoMatch);
            }
            self.line(path, expectation, verdict, &mut stdout.text);
        }
        if let Some((reader, writer)) = copy {
            self.write(reader, writer, &verdicts)?;
        }
        match gathered.outcome(Exit::Done) {
            Ok(_) => Ok(()),
            Err(failure) => self.fault(failure),
        }
    }

    fn fault(&mut self, failure: Failure) -> Result<(), Failure> {
        if failure.exit == Exit::Done || self.args.files.len() == 1 {
            return Err(failure);
        }
        self.worst = worse(self.worst, failure.exit);
        // The error names the file.
        output::talk(format_args!("sockwire: {:#}", failure.error));
        Ok(())
    }

    fn line(&self, path: &Path, expectation: &Expectation, verdict: &Verdict, out: &mut String) {
        let file = path.to_string_lossy();
        let stream = verdict.stream.map(|stream| format!("tcp:{stream}"));
        let written = &expectation.written;
        // Writing to a String cannot fail.
        if self.args.json {
            let record = json!({
                "schema": 1,
                "file": file,
                "expectation": written,
                "holds": verdict.holds,
                "stream": stream,
                "packet": verdict.packet,
                "why": (!verdict.holds).then_some(&verdict.why),
            });
            let _ = writeln!(out, "{record}");
            return;
        }
        let stream = stream.unwrap_or_default();
        let packet = verdict.packet.map(|n| n.to_string()).unwrap_or_default();
        if self.args.csv {
            let cells = [
                &*file,
                written,
                if verdict.holds { "yes" } else { "no" },
                &stream,
                &packet,
                &verdict.why,
            ];
            let cells: Vec<String> = cells.iter().map(|cell| csv(cell)).collect();
            let _ = writeln!(out, "{}", cells.join(","));
            return;
        }
        let word = if verdict.holds { "ok  " } else { "FAIL" };
        let _ = write!(
            out,
            "{word}  {}  {}",
            Safe(file.as_bytes()),
            Safe(written.as_bytes())
        );
        if !verdict.holds {
            let place = match (stream.as_str(), packet.as_str()) {
                ("", "") => String::new(),
                ("", packet) => format!("packet {packet}: "),
                (stream, "") => format!("{stream}: "),
                (stream, packet) => format!("{stream} packet {packet}: "),
            };
            let _ = write!(out, "  {place}{}", verdict.why);
        }
        out.push('\n');
    }

    /// The file once more, and where its packets go to with their comments.
    fn copy(&self, path: &Path, to: &Path) -> Result<(Reader, Writer), Failure> {
        let reader = super::read::open(path, Some(to), false)?;
        let how = Create {
            format: Format::PcapNg,
            force: self.args.force,
            owner: output::caller(),
        };
        Ok((reader, file::create(to, how)?))
    }

    /// Copies the packets, with the verdicts as comments of those that show them; the others stand at the first packet.
    fn write(
        &self,
        mut reader: Reader,
        mut writer: Writer,
        verdicts: &[Verdict],
    ) -> Result<(), Failure> {
        let told: Vec<(u64, String)> = self
            .expectations
            .iter()
            .zip(verdicts)
            .map(|(expectation, verdict)| {
                (verdict.packet.unwrap_or(1), comment(expectation, verdict))
            })
            .collect();
        let stop = Stop::install()?;
        // A fault of the input was told where it was checked: what is good before it is copied.
        gather::batches(&mut reader, &stop, |batch, interfaces| {
            for (index, frame) in batch.frames().enumerate() {
                let new = told.iter().filter(|(number, _)| *number == frame.number);
                let comments = batch
                    .comments_of(index)
                    .chain(new.map(|(_, text)| text.as_str()));
                writer.write(&frame, interfaces, comments)?;
            }
            Ok(())
        })?;
        writer.finish(&[])?;
        Ok(())
    }
}

fn comment(expectation: &Expectation, verdict: &Verdict) -> String {
    let written = &expectation.written;
    match verdict.holds {
        true => format!("check: {written} holds"),
        false => format!("check: {written} FAILED: {}", verdict.why),
    }
}

/// The exit code that tells more.
fn worse(a: Exit, b: Exit) -> Exit {
    if a.code() >= b.code() { a } else { b }
}

/// A cell of comma-separated values (RFC 4180 §2).
fn csv(cell: &str) -> String {
    if cell.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", cell.replace('"', "\"\""))
    } else {
        cell.to_owned()
    }
}

fn bad(error: BadExpectation) -> Failure {
    let hint = match &error {
        BadExpectation::Unknown(name) => match near(name, RULES.iter().map(|rule| rule.name)) {
            Some(near) => format!("; did you mean {near}?"),
            None => "; sockwire check --list shows them".to_owned(),
        },
        BadExpectation::Value { .. } => String::new(),
    };
    usage(format!("{error}{hint}"))
}

fn list(out: &mut String) {
    for rule in RULES {
        let value = match rule.takes {
            Takes::Word(words) => format!("={}", words.join("|")),
            takes => takes.example().to_owned(),
        };
        let _ = writeln!(out, "{}{value}", rule.name);
        write_wrapped(out, 4, COLUMNS, rule.words);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_with_commas_and_quotes_are_quoted() {
        assert_eq!(csv("a b"), "a b");
        assert_eq!(csv("a,b"), "\"a,b\"");
        assert_eq!(csv("a\"b"), "\"a\"\"b\"");
    }

    #[test]
    fn damage_counts_more_than_failure() {
        assert_eq!(worse(Exit::NoMatch, Exit::Damaged), Exit::Damaged);
        assert_eq!(worse(Exit::Damaged, Exit::NoMatch), Exit::Damaged);
    }
}
