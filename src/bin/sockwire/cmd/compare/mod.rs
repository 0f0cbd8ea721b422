//! `sockwire compare`: one exchange over a stream socket, datagram sockets and packets by hand, side by side.

mod drawing;
mod table;

use std::{io, ops::ControlFlow};

use anyhow::Context as _;
use serde::Serialize;
use sockwire::{
    compare::{self, Exchange, Figures, Kind},
    lab::{self, Event, Link, refusal::Way},
    sys::signal::Stop,
    time::{MILLISECOND, SECOND},
};

use self::drawing::Drawing;
use super::{
    Exit, Failure, Global, Numeric, Outcome,
    lab::{Cable, Keeping, effects},
    number, output, permission,
    recording::Recording,
};

const EXAMPLES: &str = "\
Examples:
  sockwire compare                             ten messages of 100 bytes, and what they cost
  sockwire compare --count 2                   the same with the ladder of each
  sockwire compare --loss 10 --seed 9          who repairs what is lost, and who does not
  sockwire compare --drop data:4 --drop udp:4  one chosen frame of each is lost
  sockwire compare --payload 4000              more than one packet takes
  sockwire compare --markdown > report.md      a table for a report
";

/// Messages from which on the ladders are drawn only on request.
const FEW: u32 = 3;
/// Nanoseconds of waiting that are announced.
const LONG: i64 = 5 * SECOND;
/// The share of lost frames from which on it may take long.
const MUCH: f64 = 0.2;

/// The same exchange over a stream socket, datagram sockets and raw packets, side by side, in a private lab; no root needed
///
/// The client sends three short messages at once, the server reads when all of them have come, and sends them back; then
/// the client sends the messages one after the other, each bearing its number, and the server answers each with the same
/// bytes. "stream" is the kernel's TCP, "datagram" is UDP and nothing that repairs, "raw" is TCP made by hand from raw
/// sockets, which talks to a stream socket of the kernel's. Frames are lost by chance or by rule; the same seed draws the
/// same lots, frame by frame, but when a kernel repeats a segment, and so which frame gets which lot, depends on its clock.
#[derive(clap::Args)]
#[command(before_help = EXAMPLES)]
pub(crate) struct Args {
    /// Bytes of each message; what is longer than a packet becomes segments or fragments
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = number::<usize>(1..=65507, "--payload 100"))]
    payload: usize,
    /// Messages, each answered before the next one is sent
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = number::<u32>(1..=1000, "--count 10"))]
    count: u32,
    #[command(flatten)]
    cable: Cable,
    /// Over IPv6
    #[arg(short = '6', long)]
    ipv6: bool,
    /// Counts the socket calls by name
    #[arg(long)]
    calls: bool,
    /// Draws the ladder of each, also for more than 3 messages; long ones are folded
    #[arg(long, conflicts_with = "no_ladder")]
    ladder: bool,
    /// Draws no ladder
    #[arg(long)]
    no_ladder: bool,
    /// One JSON object for each kind, on a line of its own
    ///
    /// Its keys: schema, kind, payload, count, calls (client and server, each by name), timeouts (calls that returned for
    /// their time limit), packets and lost and sent_again (client and server), bytes_on_wire (from the Ethernet header on),
    /// bytes_received (by both programs), overhead_percent, handshake_ms, round_trip_ms (min, median, max), total_ms,
    /// messages and answers (sent, arrived, in_order, again), repaired_by, burst (bytes of its sends, packets, bytes of its
    /// receives), boundaries_kept, by_hand (sent, heard), ended (why it ended early), and what was asked for: delay_ms,
    /// loss_percent, drops, seed, ip_version. What there was not is null.
    #[arg(long, conflicts_with_all = ["markdown", "ladder"])]
    json: bool,
    /// The table in Markdown
    #[arg(long, conflicts_with = "ladder")]
    markdown: bool,
    #[command(flatten)]
    keeping: Keeping,
    #[command(flatten)]
    numeric: Numeric,
}

/// A kind's line of JSON.
#[derive(Serialize)]
struct Line<'a> {
    #[serde(flatten)]
    figures: &'a Figures,
    delay_ms: f64,
    loss_percent: f64,
    duplicate_percent: f64,
    drops: Vec<String>,
    seed: u64,
    ip_version: u8,
}

/// Runs the command.
pub(crate) fn run(args: Args, global: &Global) -> Outcome {
    let way = permission::private_network()?;
    let stop = Stop::install()
        .context("cannot catch signals")
        .map_err(|error| Failure::new(Exit::NotPermitted, error))?;
    // Before the process enters a user namespace.
    let mut recording = Recording::open(&args.keeping, false, &Kind::ALL.map(Kind::name))?;
    let link = args.cable.link();
    let draws = !args.json && !args.markdown && !args.no_ladder;
    let draws = draws && (args.ladder || args.count <= FEW);
    let mut all = Vec::new();
    let mut drawings = Vec::new();
    for (kind, way) in Kind::ALL.into_iter().zip(ways(way)) {
        announce(kind, &args, &link, global);
        let drawing = draws.then(|| Drawing::new(addresses(&args)[1], global));
        let (figures, drawing) = play(kind, way, (&args, &link), stop, drawing, &mut recording)?;
        if let Some(why) = &figures.ended {
            global.talk(format_args!("{}: {why}", kind.name()));
        }
        all.push(figures);
        drawings.extend(drawing);
        if stop.asked() {
            break;
        }
    }
    let kept = recording.finish()?;
    let text = match (args.json, args.markdown) {
        (true, _) => json(&all, &args, &link),
        (_, true) => table::markdown(&all, args.calls),
        _ => report(&all, drawings, (&args, &link), kept.as_deref())?,
    };
    let mut out = output::Output::stdout(global.ascii)?;
    out.text = text;
    out.flush()?;
    Ok(Exit::Done)
}

/// A process enters a user namespace once, and has every right in it afterwards.
fn ways(first: Way) -> [Way; 3] {
    [first, Way::Administrator, Way::Administrator]
}

/// Says how long it takes, where that is long: one round trip a message, and time-outs for what is lost.
fn announce(kind: Kind, args: &Args, link: &Link, global: &Global) {
    let turns = link.delay.saturating_mul(2 * i64::from(args.count));
    let name = kind.name();
    if turns >= LONG {
        let seconds = turns / SECOND;
        global.talk(format_args!("{name}: {seconds} s and more (Ctrl-C ends)"));
    } else if link.loss >= MUCH {
        let seconds = compare::limit(exchange(args), link).as_secs();
        global.talk(format_args!("{name}: {seconds} s at most (Ctrl-C ends)"));
    }
}

const fn exchange(args: &Args) -> Exchange {
    Exchange {
        payload: args.payload,
        count: args.count,
    }
}

fn addresses(args: &Args) -> [std::net::IpAddr; 2] {
    match args.ipv6 {
        false => lab::PRIVATE_IPV4,
        true => lab::PRIVATE_IPV6,
    }
}

/// Plays one kind, with its ladder and its record.
fn play(
    kind: Kind,
    way: Way,
    (args, link): (&Args, &Link),
    stop: Stop,
    mut drawing: Option<Drawing>,
    recording: &mut Recording,
) -> Result<(Figures, Option<Vec<String>>), Failure> {
    let exchange = exchange(args);
    let mut told = Ok(());
    let played = compare::play(kind, exchange, link, addresses(args), way, &mut |event| {
        if let Event::Sent(transit) = event {
            told = recording.sent(transit, kind as u32);
        }
        if let Some(drawing) = drawing.as_mut().filter(|_| told.is_ok()) {
            told = drawing.event(event).map_err(Failure::from);
        }
        match told.is_err() || stop.asked() {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        }
    });
    told?;
    let figures = played.map_err(|error| Failure::new(Exit::NotPermitted, error))?;
    let lines = drawing.map(Drawing::finish).transpose()?;
    Ok((figures, lines))
}

fn json(all: &[Figures], args: &Args, link: &Link) -> String {
    let lines = all.iter().map(|figures| Line {
        figures,
        delay_ms: link.delay as f64 / MILLISECOND as f64,
        loss_percent: link.loss * 100.0,
        duplicate_percent: link.duplicate * 100.0,
        drops: link.drops.iter().map(ToString::to_string).collect(),
        seed: link.seed,
        ip_version: if args.ipv6 { 6 } else { 4 },
    });
    lines
        // Numbers, words and lists of them: nothing that JSON cannot say.
        .map(|line| serde_json::to_string(&line).unwrap_or_default() + "\n")
        .collect()
}

/// The head, the table, the ladders, and what they show.
fn report(
    all: &[Figures],
    drawings: Vec<Vec<String>>,
    (args, link): (&Args, &Link),
    kept: Option<&str>,
) -> io::Result<String> {
    let columns = output::columns().clamp(table::NARROWEST, table::WIDEST);
    let mut text = String::new();
    let wrapped = |text: &mut String, indent, words: &str| {
        output::write_wrapped(text, indent, columns - 1, words);
    };
    let delay = link.delay as f64 / MILLISECOND as f64;
    let mut wire = vec![format!("{delay} ms each way")];
    wire.extend(effects(link));
    wrapped(
        &mut text,
        0,
        &format!(
            "{} short messages at once, then {} of {} byte{}{}, each answered",
            compare::BURST.len(),
            args.count,
            args.payload,
            if args.payload > 1 { "s" } else { "" },
            if args.count > 1 { " one by one" } else { "" }
        ),
    );
    wrapped(
        &mut text,
        0,
        &format!("two hosts, one cable: {}", wire.join(", ")),
    );
    text.push('\n');
    text.push_str(&table::text(all, columns, args.calls));
    for figures in all {
        let built = compare::built(figures);
        if !built.is_empty() {
            text.push_str("\nby hand, the program itself had to make:\n");
            for item in built {
                wrapped(&mut text, 2, &item);
            }
        }
    }
    for (figures, lines) in all.iter().zip(drawings) {
        text.push_str(&format!("\n== {} ==\n", figures.kind.name()));
        for line in lines {
            text.push_str(&line);
            text.push('\n');
        }
    }
    let sentences = compare::sentences(all);
    if !sentences.is_empty() {
        text.push('\n');
    }
    for sentence in sentences {
        wrapped(&mut text, 0, &sentence);
    }
    text.push('\n');
    let mut next = match kept {
        Some(name) => format!("kept: {name}; next: sockwire flows {name}"),
        None => "next: --count 2, --calls, -w my.pcapng".to_owned(),
    };
    if wire.len() == 1 {
        next.push_str(", --loss 10");
    }
    wrapped(&mut text, 0, &next);
    Ok(text)
}
