//! `sockwire lab mistake`: a mistake played wrong, then right: its calls beside its packets, and what there is to see.

use std::{
    borrow::Cow,
    collections::HashMap,
    io::{self, Write},
    net::SocketAddr,
};

use anyhow::Context as _;
use clap::builder::PossibleValuesParser;
use sockwire::{
    call::{Address, Call, Called},
    lab::{
        self, Event, Host,
        mistake::{self, Mistake, PORT, Said, Seen, Version},
        refusal::Way,
    },
    render::call::Language,
    sys::signal::Stop,
    text::{ascii, write_wrapped},
    time::Time,
};

use super::{Keeping, Recording, WIRE, failed, not_permitted};
use crate::cmd::{
    Exit, Failure, Global, Outcome, drawing::Drawing, output, permission, talk::LanguageWord,
};

const EXAMPLES: &str = "\
Examples:
  sockwire lab mistake                     what there is
  sockwire lab mistake parent-keeps        a forked child closes, and no FIN leaves
  sockwire lab mistake full-queue -w my.pcapng
  sockwire lab mistake no-break --calls python
";

/// What a sockets course warns of, played wrong and right, its calls beside its packets; no root needed
#[derive(clap::Args)]
#[command(before_help = EXAMPLES)]
pub(super) struct Args {
    /// What to play; "list" says what there is
    #[arg(value_parser = PossibleValuesParser::new(names()), hide_possible_values = true)]
    name: Option<String>,
    /// The calls in the spelling of this language
    #[arg(long, value_name = "LANGUAGE", default_value = "c")]
    calls: LanguageWord,
    #[command(flatten)]
    keeping: Keeping,
}

fn names() -> Vec<&'static str> {
    let all = mistake::ALL.iter().map(|mistake| mistake.name);
    all.chain(["list"]).collect()
}

pub(super) fn run(args: &Args, global: &Global) -> Outcome {
    match args.name.as_deref().and_then(Mistake::named) {
        Some(mistake) => play(mistake, args, global),
        None => list(),
    }
}

fn list() -> Outcome {
    let mut out = io::stdout().lock();
    list_into(&mut out)?;
    writeln!(out, "Play one: sockwire lab mistake {}", names()[0])?;
    Ok(Exit::Done)
}

/// All mistakes, one a line.
pub(super) fn list_into(out: &mut impl Write) -> io::Result<()> {
    writeln!(out, "Mistakes, each played wrong and then right:")?;
    for mistake in mistake::ALL {
        writeln!(out, "  {:<14} {}", mistake.name, mistake.title)?;
    }
    Ok(())
}

fn play(mistake: &Mistake, args: &Args, global: &Global) -> Outcome {
    let mut way = permission::private_network()?;
    let stop = Stop::install()
        .context("cannot catch signals")
        .map_err(not_permitted)?;
    // The file is opened before the process enters a user namespace.
    let mut recording = Recording::open(&args.keeping, false, &[WIRE])?;
    let page = Page {
        columns: output::columns().clamp(60, 80),
        ascii: global.ascii,
        language: args.calls.into(),
    };
    page.paragraph(&format!("{}: ", mistake.name), mistake.title)?;
    page.paragraph("people write: ", mistake.habit)?;
    page.paragraph(
        "ground: ",
        "namespaces (Linux's own TCP); two hosts, one cable, 10 ms each way",
    )?;
    let mut before = 0;
    for (word, version) in [("wrong", &mistake.wrong), ("right", &mistake.right)] {
        page.line("")?;
        page.paragraph(&format!("{word}: "), version.title)?;
        let addresses = lab::PRIVATE_IPV4;
        let seen = mistake::play(version, addresses, way, before, &mut || !stop.asked());
        let seen = seen.map_err(failed)?;
        // From now on it is an administrator, in a user namespace of its own where it was none before.
        way = Way::Administrator;
        let sentences = observed(version, &seen);
        before += draw(seen, &page, &mut recording, global)?;
        if stop.asked() {
            break;
        }
        page.line("what to see:")?;
        for sentence in &sentences {
            page.paragraph("  ", sentence)?;
        }
    }
    page.line("")?;
    page.paragraph("rule: ", mistake.rule)?;
    let kept = recording.finish()?;
    let kept = kept.map_or_else(String::new, |name| {
        format!("kept: {name}\nnext: sockwire read -v {name}    ")
    });
    let next = if kept.is_empty() { "next: " } else { "" };
    page.line(&format!(
        "{kept}{next}sockwire lab mistake {}",
        mistake.next
    ))?;
    Ok(Exit::Done)
}

/// The sentences that the run bears out.
fn observed(version: &Version, seen: &Seen) -> Vec<String> {
    let sentences = (version.see)(seen);
    if sentences.is_empty() {
        return vec!["This time it did not show: the machine was busy. Play it again.".to_owned()];
    }
    sentences
}

/// How text is written.
struct Page {
    columns: usize,
    ascii: bool,
    language: Language,
}

impl Page {
    fn line(&self, text: &str) -> io::Result<()> {
        match self.ascii {
            true => output::print(&format!("{}\n", ascii(text))),
            false => output::print(&format!("{text}\n")),
        }
    }

    /// Text behind a first word; its further lines stand below it.
    fn paragraph(&self, first: &str, text: &str) -> io::Result<()> {
        output::print(&format!("{}\n", self.wrapped(first, text)))
    }

    fn wrapped(&self, first: &str, text: &str) -> String {
        let mut wrapped = String::new();
        let text = match self.ascii {
            true => Cow::Owned(ascii(text)),
            false => Cow::Borrowed(text),
        };
        write_wrapped(&mut wrapped, first.len(), self.columns, &text);
        let rest = wrapped.trim_end().get(first.len()..).unwrap_or_default();
        format!("{first}{rest}")
    }
}

/// Draws a run: every row, and every call at its place. Returns how many packets were sent.
fn draw(
    seen: Seen,
    page: &Page,
    recording: &mut Recording,
    global: &Global,
) -> Result<u64, Failure> {
    let first_frame = seen.events.iter().find_map(|event| match event {
        Event::Sent(transit) => Some(transit.time),
        _ => None,
    });
    let start = seen.said.iter().map(Said::place).chain(first_frame).min();
    let mut drawing = Drawing::of_lab(listening(&seen), false, start, global);
    for (said, times) in fold(&seen.said) {
        let at = drawing.at(said.place());
        let line = call_line(&at, said, &times, page);
        drawing.line(said.place(), line);
    }
    let mut out = io::stdout().lock();
    for event in seen.events {
        drawing.event(&event, 0, &mut out)?;
        recording.event(&event)?;
    }
    drawing.finish(&mut out)?;
    Ok(drawing.packets()[0])
}

/// The sockets of the server on which it listens, as other hosts reach them.
fn listening(seen: &Seen) -> Vec<SocketAddr> {
    let server = SocketAddr::new(lab::PRIVATE_IPV4[1], PORT);
    let bound = seen.said.iter().filter_map(|said| match said.called() {
        Some(Called {
            call:
                Call::Bind {
                    address: Address::Ip(address),
                    ..
                },
            result: Ok(_),
            ..
        }) if said.host == Host::Server => Some(*address),
        _ => None,
    });
    let reached = bound.filter(|bound| *bound == server || bound.ip().is_unspecified());
    reached.map(|_| server).collect()
}

/// The same call with the same result, made again and again by the same caller, is told once: with how often, and the time
/// from the first to the end of the last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Times {
    count: u32,
    end: Time,
}

/// Rounds that are told one by one.
const UNFOLDED: u32 = 3;

fn fold(said: &[Said]) -> Vec<(&Said, Times)> {
    let mut folded: Vec<(&Said, Times)> = Vec::new();
    // The place of each caller's last line.
    let mut last: HashMap<(Host, bool), usize> = HashMap::new();
    for said in said {
        let caller = (said.host, said.by_child);
        let same = last
            .get(&caller)
            .filter(|at| is_again(folded[**at].0, said));
        if let Some(&at) = same {
            folded[at].1 = Times {
                count: folded[at].1.count + 1,
                end: said.end(),
            };
            continue;
        }
        last.insert(caller, folded.len());
        let end = said.end();
        folded.push((said, Times { count: 1, end }));
    }
    folded
}

fn is_again(before: &Said, said: &Said) -> bool {
    match (before.called(), said.called()) {
        (Some(before), Some(now)) => before.call == now.call && before.result == now.result,
        _ => false,
    }
}

fn call_line(at: &str, said: &Said, times: &Times, page: &Page) -> String {
    let who = match (said.host, said.by_child) {
        (Host::Server, true) => "child",
        (host, _) => host.name(),
    };
    let text = match &said.said {
        Ok(call) if times.count > UNFOLDED => {
            let took = mistake::ms(times.end.since(said.time));
            // How long the first of them waited says nothing of the others.
            let call = Called {
                took: 0,
                ..call.clone()
            };
            format!(
                "{}, {} times in {took}",
                page.language.line(&call),
                times.count
            )
        }
        Ok(call) => page.language.line(call),
        Err(note) => format!("# {note}"),
    };
    page.wrapped(&format!("{at} {who:<6}  "), &text)
}

#[cfg(test)]
mod tests {
    use sockwire::call::{Answer, Data};

    use super::*;

    fn recv(nanos: i64, by_child: bool, bytes: &[u8]) -> Said {
        Said {
            time: Time::from_nanos(nanos),
            host: Host::Server,
            by_child,
            said: Ok(Called {
                call: Call::Recv { fd: 4, size: 9 },
                result: Ok(Answer::Data(Data::of(bytes))),
                took: 5,
            }),
        }
    }

    #[test]
    fn the_same_call_again_and_again_is_told_once() {
        let said: Vec<_> = [
            (10, false, "x"),
            (20, false, ""),
            (30, false, ""),
            (35, true, ""),
            (40, false, ""),
        ]
        .into_iter()
        .map(|(nanos, by_child, text)| recv(nanos, by_child, text.as_bytes()))
        .collect();
        let folded = fold(&said);
        let counts: Vec<_> = folded
            .iter()
            .map(|(said, times)| (said.time.nanos(), times.count))
            .collect();
        assert_eq!(counts, [(10, 1), (20, 3), (35, 1)]);
        assert_eq!(folded[1].1.end, Time::from_nanos(45));
    }

    #[test]
    fn of_calls_told_once_no_single_wait_is_told() {
        let mut said = recv(0, false, b"");
        if let Ok(call) = &mut said.said {
            call.took = 4_000_000;
        }
        let page = Page {
            columns: 80,
            ascii: false,
            language: Language::C,
        };
        let line = |count| {
            let end = Time::from_nanos(9_000_000);
            call_line("0.00", &said, &Times { count, end }, &page)
        };
        assert!(line(1).ends_with("= 0 blocked 4.00 ms"), "{}", line(1));
        assert!(
            line(1000).contains("= 0, 1000 times in 9.00 ms"),
            "{}",
            line(1000)
        );
    }
}
