//! The commands, one file each, and what they share: exit codes and the choices that hold for all of them.

mod answer;
mod capture;
mod chart;
mod check;
mod compare;
mod connect;
mod craft;
mod doctor;
mod drawing;
mod echo;
mod explain;
mod families;
mod filter;
mod flows;
mod follow;
mod gather;
mod handshake;
mod interfaces;
mod lab;
mod ladder;
mod machine;
mod names;
mod output;
mod packets;
mod permission;
mod pipeline;
mod ports;
mod privilege;
mod probe;
mod protocols;
mod read;
mod reasons;
mod recording;
mod replay;
mod resolve;
mod respond;
mod score;
mod selecting;
mod send;
mod serve;
mod show;
mod talk;
mod trace;
mod traceroute;
mod waiting;
mod watch;
mod welcome;
mod whose;

use std::{
    ffi::{OsStr, OsString},
    fmt, io,
    ops::RangeInclusive,
    path::Path,
    process::ExitCode,
};

use anyhow::anyhow;
use clap::{
    CommandFactory, Parser, Subcommand, ValueEnum,
    builder::StyledStr,
    error::{ContextKind, ContextValue, ErrorKind},
};
use sockwire::{call::Family, filter::begins_filter, text::near, time::SECOND};

/// What the program's exit code says (design: contracts).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Done, also after one Ctrl-C, or when the reader closed the pipe.
    Done,
    /// Nothing matched, or a check failed.
    NoMatch,
    /// The words on the command line are off.
    Usage,
    /// A right is missing.
    NotPermitted,
    /// No such interface, host or process.
    NoSuch,
    /// The input is damaged.
    Damaged,
    /// Output could not be written.
    WriteFailed,
    /// That of a program that was run, or 128 and the number of the signal that ended it.
    Program(u8),
}

impl Exit {
    /// How a program ended.
    pub(crate) fn of(ended: Result<i32, i32>) -> Self {
        let code = ended.unwrap_or_else(|signal| signal.saturating_add(128));
        Self::Program(u8::try_from(code).unwrap_or(u8::MAX))
    }

    pub(crate) const fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::NoMatch => 1,
            Self::Usage => 2,
            Self::NotPermitted => 3,
            Self::NoSuch => 4,
            Self::Damaged => 5,
            Self::WriteFailed => 6,
            Self::Program(code) => code,
        }
    }
}

/// Why a command ended early: the code for scripts, the words for people.
#[derive(Debug)]
pub(crate) struct Failure {
    /// The exit code.
    pub(crate) exit: Exit,
    /// What failed, on what, and what to do next.
    pub(crate) error: anyhow::Error,
}

impl Failure {
    /// A failure with a code of its own.
    pub(crate) fn new(exit: Exit, error: impl Into<anyhow::Error>) -> Self {
        Self {
            exit,
            error: error.into(),
        }
    }
}

/// Writing to stdout or a file failed; a closed pipe is a clean end.
impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        let exit = if error.kind() == io::ErrorKind::BrokenPipe {
            Exit::Done
        } else {
            Exit::WriteFailed
        };
        Self {
            exit,
            error: anyhow::Error::new(error).context("cannot write the output"),
        }
    }
}

/// The words on the command line are off.
fn usage(what: impl fmt::Display) -> Failure {
    Failure::new(Exit::Usage, anyhow!("{what}"))
}

/// Refuses the first of these that is so.
fn refuse(faults: &[(bool, &'static str)]) -> Result<(), Failure> {
    match faults.iter().find(|(is_so, _)| *is_so) {
        Some((_, what)) => Err(usage(what)),
        None => Ok(()),
    }
}

/// What every command returns.
pub(crate) type Outcome = Result<Exit, Failure>;

const EXAMPLES: &str = "\
Examples:
  sockwire lab handshake             a TCP handshake, some data, the close; no root needed
  sudo sockwire watch port 5000      every connection to port 5000 as a ladder
  sudo sockwire -i lo port 5000      packets, one line each (means: sockwire capture)
  sockwire trace.pcapng tcp          packets of a file (means: sockwire read)
  sockwire -nr trace.pcapng tcp      the same, with tcpdump's letters
  sockwire serve 5000                a server; with: sockwire connect 5000
  sockwire connect 5000 --lab        a client's calls beside its packets; no root
  sudo sockwire trace ./client       any program's calls, and the packets that each of them caused
  sockwire doctor                    what this machine allows";

#[derive(Parser)]
#[command(
    name = "sockwire",
    version,
    about = "Shows what a socket does on the wire",
    before_help = EXAMPLES
)]
struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Option<Command>,
}

/// Choices that hold for every command.
#[derive(clap::Args, Clone, Debug)]
#[command(next_help_heading = "Options of every command")]
pub(crate) struct Global {
    /// When to use colour; NO_COLOR and CLICOLOR_FORCE are heeded
    #[arg(long, global = true, value_enum, default_value_t = ColorWhen::Auto, value_name = "WHEN")]
    pub(crate) color: ColorWhen,
    /// Draw with ASCII characters only
    #[arg(long, global = true)]
    pub(crate) ascii: bool,
    /// No talk on stderr, only errors
    #[arg(long, global = true)]
    pub(crate) quiet: bool,
}

impl Global {
    /// Says something on stderr, unless told to be quiet.
    fn talk(&self, message: impl fmt::Display) {
        if !self.quiet {
            output::talk(message);
        }
    }
}

/// `-n`, where numbers are shown anyway: it is understood everywhere.
#[derive(clap::Args, Clone, Copy, Debug, Default)]
pub(crate) struct Numeric {
    /// Numbers, not names: always so
    #[arg(short = 'n', action = clap::ArgAction::Count)]
    numeric: u8,
}

/// The family of addresses that `-4` or `-6` asks for.
const fn family(ipv4: bool, ipv6: bool) -> Option<Family> {
    match (ipv4, ipv6) {
        (true, _) => Some(Family::Inet),
        (_, true) => Some(Family::Inet6),
        _ => None,
    }
}

/// Reads seconds for an option, as nanoseconds.
fn seconds(word: &str) -> Result<i64, String> {
    match word.parse::<f64>() {
        Ok(seconds) if (0.0..=86_400.0).contains(&seconds) => Ok((seconds * SECOND as f64) as i64),
        _ => Err("expected a number of seconds from 0 to 86400, such as 0.5".to_owned()),
    }
}

/// Reads a number for an option; `example` shows how it is given.
fn number<T: TryFrom<u64>>(
    range: RangeInclusive<u64>,
    example: &'static str,
) -> impl Fn(&str) -> Result<T, String> + Clone {
    move |word| {
        let number = word.parse().ok().filter(|number| range.contains(number));
        let (first, last) = (range.start(), range.end());
        let wanted = || match u32::try_from(*last) {
            Ok(u32::MAX) | Err(_) => {
                format!("expected a number from {first} on, such as {example}")
            }
            Ok(last) => format!("expected a number from {first} to {last}, such as {example}"),
        };
        number
            .and_then(|number| T::try_from(number).ok())
            .ok_or_else(wanted)
    }
}

/// When to use colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ColorWhen {
    /// On a terminal
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

#[derive(Subcommand)]
enum Command {
    Capture(capture::Args),
    Read(read::Args),
    Watch(watch::Args),
    Explain(explain::Args),
    Flows(flows::Args),
    Ladder(ladder::Args),
    Answer(answer::Args),
    Check(check::Args),
    Follow(follow::Args),
    Craft(craft::Args),
    Send(send::Args),
    #[command(visible_aliases = ["ask", "sr1"])]
    Probe(probe::Args),
    Handshake(handshake::Args),
    Trace(trace::Args),
    Traceroute(traceroute::Args),
    Replay(replay::Args),
    Respond(respond::Args),
    Echo(echo::Args),
    #[command(visible_alias = "listen")]
    Serve(serve::Args),
    Connect(connect::Args),
    Compare(compare::Args),
    Lab(lab::Args),
    Chart(chart::Args),
    Resolve(resolve::Args),
    Ports(ports::Args),
    Whose(whose::Args),
    Families(families::Args),
    Interfaces(interfaces::Args),
    Protocols(protocols::Args),
    Filter(filter::Args),
    Doctor(doctor::Args),
}

/// Parses the command line, runs the command, and turns its outcome into an exit code.
pub(crate) fn main() -> ExitCode {
    let cli = Cli::try_parse_from(arguments(std::env::args_os()))
        .unwrap_or_else(|error| advised(error).exit());
    let global = &cli.global;
    let outcome = match cli.command {
        None => welcome::run(global),
        Some(Command::Capture(args)) => capture::run(args, global),
        Some(Command::Read(args)) => read::run(args, global),
        Some(Command::Watch(args)) => watch::run(args, global),
        Some(Command::Explain(args)) => explain::run(args, global),
        Some(Command::Flows(args)) => flows::run(args, global),
        Some(Command::Ladder(args)) => ladder::run(args, global),
        Some(Command::Answer(args)) => answer::run(args, global),
        Some(Command::Check(args)) => check::run(args, global),
        Some(Command::Follow(args)) => follow::run(args, global),
        Some(Command::Craft(args)) => craft::run(args, global),
        Some(Command::Send(args)) => send::run(args, global),
        Some(Command::Probe(args)) => probe::run(args, global),
        Some(Command::Handshake(args)) => handshake::run(args, global),
        Some(Command::Trace(args)) => trace::run(args, global),
        Some(Command::Traceroute(args)) => traceroute::run(args, global),
        Some(Command::Replay(args)) => replay::run(args, global),
        Some(Command::Respond(args)) => respond::run(args, global),
        Some(Command::Echo(args)) => echo::run(args, global),
        Some(Command::Serve(args)) => serve::run(args, global),
        Some(Command::Connect(args)) => connect::run(args, global),
        Some(Command::Compare(args)) => compare::run(args, global),
        Some(Command::Lab(args)) => lab::run(args, global),
        Some(Command::Chart(args)) => chart::run(args, global),
        Some(Command::Resolve(args)) => resolve::run(args, global),
        Some(Command::Ports(args)) => ports::run(args, global),
        Some(Command::Whose(args)) => whose::run(args, global),
        Some(Command::Families(args)) => families::run(args, global),
        Some(Command::Interfaces(args)) => interfaces::run(args, global),
        Some(Command::Protocols(args)) => protocols::run(args, global),
        Some(Command::Filter(args)) => filter::run(args, global),
        Some(Command::Doctor(args)) => doctor::run(args, global),
    };
    let exit = outcome.unwrap_or_else(|failure| {
        if failure.exit != Exit::Done {
            output::talk(format_args!("sockwire: {:#}", failure.error));
        }
        failure.exit
    });
    ExitCode::from(exit.code())
}

/// tcpdump's options that are not understood here, and what serves instead.
const OTHERWISE: [(&str, &str); 7] = [
    ("-C", "one file is written, not one after the other"),
    ("-G", "one file is written, not one after the other"),
    ("-W", "one file is written, not one after the other"),
    (
        "-L",
        "the link type is the interface's own: sockwire interfaces",
    ),
    (
        "-y",
        "the link type is the interface's own: sockwire interfaces",
    ),
    (
        "-I",
        "monitor mode is set from outside: iw dev IF set type monitor",
    ),
    (
        "-Z",
        "a recording belongs to the user who called sudo anyway",
    ),
];

/// The error with the tip that helps: an option that nobody knows is hardly meant as a value.
fn advised(mut error: clap::Error) -> clap::Error {
    if error.kind() == ErrorKind::InvalidSubcommand {
        return with_commands(error);
    }
    let Some(ContextValue::String(option)) = error.get(ContextKind::InvalidArg) else {
        return error;
    };
    if error.kind() != ErrorKind::UnknownArgument || !option.starts_with('-') {
        return error;
    }
    let known = OTHERWISE.iter().find(|(letter, _)| letter == option);
    error.remove(ContextKind::Suggested);
    if let Some((_, instead)) = known {
        let tip = StyledStr::from(*instead);
        error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![tip]));
    }
    error
}

/// The error with the command that was probably meant, else with all of them.
fn with_commands(mut error: clap::Error) -> clap::Error {
    let own = Cli::command();
    let known: Vec<&str> = own.get_subcommands().map(|c| c.get_name()).collect();
    let word = match error.get(ContextKind::InvalidSubcommand) {
        Some(ContextValue::String(word)) => word.as_str(),
        _ => "",
    };
    let meant = near(word, known.iter().copied().chain(["help"]));
    let tip = match meant {
        Some(meant) => format!("did you mean '{meant}'?"),
        None => format!("no such command; there are: {}", known.join(", ")),
    };
    error.remove(ContextKind::SuggestedSubcommand);
    error.insert(
        ContextKind::Suggested,
        ContextValue::StyledStrs(vec![tip.into()]),
    );
    error
}

/// A first word that begins a filter, or an option, means `capture`: `sockwire port 80`, `sockwire -i lo -c 5`. With `-r`
/// among the options, or a file as the first word, it means `read`: `sockwire -nr FILE`, `sockwire FILE`.
fn arguments(words: impl Iterator<Item = OsString>) -> Vec<OsString> {
    let mut words: Vec<OsString> = words.collect();
    let own = Cli::command();
    let mut rest = words.iter().enumerate().skip(1);
    while let Some((index, word)) = rest.next() {
        let word = word.to_string_lossy();
        let option = own.get_arguments().find(|option| {
            let long = word.strip_prefix("--").and_then(|w| w.split('=').next());
            long.is_some() && long == option.get_long()
        });
        if let Some(option) = option {
            // One of the choices for every command: the word after `--color` is its value.
            if option.get_action().takes_values() && !word.contains('=') {
                rest.next();
            }
            continue;
        }
        let asks_for_help = matches!(&*word, "-h" | "--help" | "-V" | "--version");
        if begins_filter(&word) || word.starts_with('-') && !asks_for_help {
            let reads = words[index..].iter().any(|word| names_a_file(word));
            words.insert(index, if reads { "read" } else { "capture" }.into());
        } else if own.find_subcommand(&*word).is_none() && Path::new(&*word).is_file() {
            words.insert(index, "read".into());
        } else if word == "trace" {
            // Its `--calls` is another one, and the words of the command that it runs are not ours.
            return words;
        }
        break;
    }
    with_language(words)
}

/// `--calls` and a language as one word, so that the word behind `--calls` may be anything else as well: `--calls 5000`.
fn with_language(words: Vec<OsString>) -> Vec<OsString> {
    let mut joined: Vec<OsString> = Vec::with_capacity(words.len());
    for word in words {
        let is_language = ["c", "python", "java"].iter().any(|known| word == *known);
        match joined.last_mut() {
            Some(last) if last == "--calls" && is_language => {
                last.push("=");
                last.push(word);
            }
            _ => joined.push(word),
        }
    }
    joined
}

/// `-r`, also behind letters that take no value: `-nr`, `-ttttr`.
fn names_a_file(word: &OsStr) -> bool {
    let word = word.to_string_lossy();
    match word.strip_prefix('-') {
        Some(letters) => {
            letters
                .trim_start_matches(|letter| "#AKNSUXelnqtvx".contains(letter))
                .starts_with('r')
                || word.split('=').next() == Some("--read")
        }
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> String {
        let words = arguments(line.split(' ').map(OsString::from));
        words
            .join(std::ffi::OsStr::new(" "))
            .to_string_lossy()
            .into_owned()
    }

    #[test]
    fn a_filter_or_an_option_means_capture() {
        assert_eq!(parsed("sockwire port 80"), "sockwire capture port 80");
        assert_eq!(parsed("sockwire -i lo -c 5"), "sockwire capture -i lo -c 5");
        assert_eq!(
            parsed("sockwire --color never tcp"),
            "sockwire --color never capture tcp"
        );
        assert_eq!(
            parsed("sockwire --color=never read x"),
            "sockwire --color=never read x"
        );
        assert_eq!(
            parsed("sockwire --quiet -i lo"),
            "sockwire --quiet capture -i lo"
        );
        assert_eq!(parsed("sockwire --help"), "sockwire --help");
        assert_eq!(parsed("sockwire raed x"), "sockwire raed x");
        assert_eq!(parsed("sockwire -s 64 -w r"), "sockwire capture -s 64 -w r");
    }

    #[test]
    fn a_file_means_read() {
        for line in ["-r x udp", "-nr x", "-c1 -ttttr x", "--read=x", "-vrx"] {
            assert_eq!(
                parsed(&format!("sockwire {line}")),
                format!("sockwire read {line}")
            );
        }
        assert_eq!(
            parsed("sockwire Cargo.toml tcp"),
            "sockwire read Cargo.toml tcp"
        );
        assert_eq!(
            parsed("sockwire watch -r Cargo.toml"),
            "sockwire watch -r Cargo.toml"
        );
    }

    #[test]
    fn calls_take_a_language_and_nothing_else() {
        for (line, wanted) in [
            ("connect --calls 5000", "connect --calls 5000"),
            ("connect --calls python 5000", "connect --calls=python 5000"),
            ("connect --calls=java 5000", "connect --calls=java 5000"),
            ("serve --calls", "serve --calls"),
        ] {
            assert_eq!(
                parsed(&format!("sockwire {line}")),
                format!("sockwire {wanted}")
            );
        }
    }

    fn said(line: &str) -> String {
        match Cli::try_parse_from(arguments(line.split(' ').map(OsString::from))) {
            Ok(_) => String::new(),
            Err(error) => advised(error).to_string(),
        }
    }

    #[test]
    fn unknown_options_get_a_tip_that_helps_or_none() {
        assert!(said("sockwire -i lo -G 10 -w x").contains("tip: one file is written"));
        assert!(said("sockwire -J").contains("unexpected argument '-J'"));
        assert!(!said("sockwire -J").contains("tip:"));
        assert!(said("sockwire lab --dely 5").contains("'--delay'"));
    }

    #[test]
    fn unknown_commands_get_the_near_one_or_all_of_them() {
        for (word, tip) in [
            ("lba", "tip: did you mean 'lab'?\n"),
            ("wacth", "tip: did you mean 'watch'?\n"),
            (
                "dissect",
                "tip: no such command; there are: capture, read, ",
            ),
        ] {
            let said = said(&format!("sockwire {word} ls"));
            assert!(said.contains(&format!("'{word}'")), "{said}");
            assert!(said.contains(tip) && said.contains("--help"), "{said}");
        }
    }

    #[test]
    fn a_wrong_number_is_told_what_was_expected() {
        for (line, wanted) in [
            ("read -c x", "-c 5"),
            ("watch -c 0", "a number from 1 on, such as -c 5"),
            (
                "capture -B 0",
                "a number from 1 to 2097152, such as -B 4096",
            ),
            ("capture -s x", "a number from 0 on, such as -s 96"),
            (
                "lab --vlan 4095",
                "a number from 1 to 4094, such as --vlan 5",
            ),
            ("lab --seed 1.5", "such as --seed 7"),
        ] {
            let said = said(&format!("sockwire {line}"));
            assert!(said.contains(wanted), "{line}: {said}");
        }
    }

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }
}
