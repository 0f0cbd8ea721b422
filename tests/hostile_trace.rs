//! Logs of traces come from anywhere: what is changed in one at random goes through every view, without a panic, with valid
//! JSON, and with no control character in any text.
#![allow(clippy::unwrap_used)]

mod beside;
#[path = "../src/export/wellformed.rs"]
mod wellformed;

use std::{
    env, fs,
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
    time::{Duration, Instant},
};

use sockwire::{
    event::{Entry, Event},
    export::{html::html, mermaid::mermaid, svg::svg, text::text, trace::Drawing},
    file::log::Reader,
    render::{
        ladder::LadderOptions,
        trace::{Look, lanes::Lanes, lines::Lines, summary, why},
    },
    text::is_unsafe,
    timeline::{
        Folding, Timeline,
        join::Join,
        known::Known,
        row::Row,
        seen,
        summary::Summary,
        why::{About, Why},
    },
};

/// Numbers, texts and values that a log of our own never has.
const EVIL: [&str; 31] = [
    "0",
    "1",
    "2",
    "3",
    "-1",
    "255",
    "65535",
    "2147483647",
    "2147483648",
    "4294967295",
    "4294967296",
    "9223372036854775807",
    "-9223372036854775808",
    "18446744073709551615",
    "1e999",
    "null",
    "true",
    "[]",
    "{}",
    r#""\u001b[2J\u202e\u009b\u0000""#,
    r#""<a href='x'>&amp; end; --> ]]>""#,
    r#""AF_INET6""#,
    r#""tcp""#,
    r#""udp""#,
    r#""unix""#,
    r#""raw""#,
    r#""close""#,
    r#""receive""#,
    r#""send""#,
    r#""wire""#,
    r#"{"hex":"ff1b"}"#,
];

/// A small generator of numbers (xorshift), so that a failure comes again.
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// From 0 to below `n`; 0 of nothing.
    fn below(&mut self, n: usize) -> usize {
        (self.next() % n.max(1) as u64) as usize
    }

    fn of<'a, T>(&mut self, all: &'a [T]) -> &'a T {
        &all[self.below(all.len())]
    }
}

fn logs() -> Vec<Vec<Vec<u8>>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/traces");
    let mut paths: Vec<_> = fs::read_dir(folder).unwrap().flatten().collect();
    paths.sort_by_key(fs::DirEntry::path);
    let read = |entry: &fs::DirEntry| fs::read(entry.path()).unwrap();
    let lines = |log: Vec<u8>| log.split(|b| *b == b'\n').map(<[u8]>::to_vec).collect();
    paths.iter().map(read).map(lines).collect()
}

/// Where values stand in a line of JSON: after a colon or a comma or a bracket, up to the next one.
fn values(line: &[u8]) -> Vec<(usize, usize)> {
    let is_edge = |b: u8| matches!(b, b':' | b',' | b'[' | b']' | b'}' | b'{');
    let mut found = Vec::new();
    let mut start = None;
    let mut quoted = false;
    for (at, &byte) in line.iter().enumerate() {
        quoted ^= byte == b'"' && (at == 0 || line[at - 1] != b'\\');
        if quoted || !is_edge(byte) {
            continue;
        }
        if let Some(from) = start.take()
            && from < at
            && byte != b':'
        {
            found.push((from, at));
        }
        if matches!(byte, b':' | b',' | b'[') {
            start = Some(at + 1);
        }
    }
    found
}

/// Changes a value, or digits of the packet's bytes.
fn change_value(line: &mut Vec<u8>, chance: &mut Chance, other: &[u8]) {
    let places = values(line);
    if places.is_empty() {
        return;
    }
    let &(from, to) = chance.of(&places);
    let new: Vec<u8> = match chance.below(4) {
        0 => {
            let others = values(other);
            match others.is_empty() {
                true => return,
                false => {
                    let &(from, to) = chance.of(&others);
                    other[from..to].to_vec()
                }
            }
        }
        1 if to - from > 60 => {
            let mut digits = line[from..to].to_vec();
            for _ in 0..=chance.below(6) {
                // The headers matter most.
                let at = 29 + chance.below((to - from - 30).min(110));
                digits[at] = *chance.of::<u8>(b"0123456789abcdef");
            }
            digits
        }
        _ => chance.of::<&str>(&EVIL).as_bytes().to_vec(),
    };
    line.splice(from..to, new);
}

/// A log that differs from a good one in some places.
fn damaged(logs: &[Vec<Vec<u8>>], chance: &mut Chance) -> Vec<u8> {
    let mut lines = chance.of::<Vec<_>>(logs).clone();
    for _ in 0..=chance.below(12) {
        let (a, b) = (chance.below(lines.len()), chance.below(lines.len()));
        let from = chance.of::<Vec<_>>(logs);
        let other = chance.of::<Vec<u8>>(from).clone();
        match chance.below(14) {
            0 => lines.swap(a, b),
            1 => drop(lines.remove(a)),
            2 => lines.insert(a, other),
            3 => {
                let block = lines[a.min(b)..a.max(b)].to_vec();
                lines.splice(a..a, block);
            }
            4 => drop(lines.drain(a.min(b)..a.max(b))),
            5 if chance.below(8) == 0 => {
                let to = lines[a].len();
                lines[a].truncate(chance.below(to));
            }
            6 if chance.below(4) == 0 => {
                let at = chance.below(lines[a].len());
                if let Some(byte) = lines[a].get_mut(at) {
                    *byte = chance.next() as u8;
                }
            }
            7 => lines[a.min(b)..a.max(b)].reverse(),
            _ => change_value(&mut lines[a], chance, &other),
        }
        if lines.is_empty() {
            lines.push(other_begin());
        }
    }
    // Most of them get past the first entry.
    if chance.below(8) > 0 {
        lines[0] = other_begin();
    }
    lines.truncate(3000);
    lines.join(&b'\n')
}

fn other_begin() -> Vec<u8> {
    br#"{"at":1795293470261626656,"begin":{"version":1,"what":"a program","ground":"this machine"}}"#
        .to_vec()
}

fn assert_safe(what: &str, text: &str) {
    let found = text.chars().find(|c| is_unsafe(*c) && *c != '\n');
    assert!(found.is_none(), "{what}: {found:?} in\n{text}");
}

/// Every view that the library makes of a log.
fn show(entries: &[Entry]) {
    let look = |width, ascii| Look {
        width,
        ascii,
        colour: false,
    };
    let folding = Folding {
        idle: true,
        runs: true,
    };
    let mut rows: Vec<Row> = Vec::new();
    let mut out = String::new();
    for passing in [true, false] {
        let mut timeline = match passing {
            true => Timeline::passing(folding),
            false => Timeline::new(folding),
        };
        let mut drawn = [Lanes::new(look(80, false)), Lanes::new(look(160, true))];
        let mut lines = Lines::new(look(80, false));
        for entry in entries {
            timeline.push(entry, &mut rows);
            if let Event::Exit(_) = entry.event {
                timeline.quiet(entry.at, &mut rows);
            }
        }
        timeline.finish(&mut rows);
        for row in rows.drain(..) {
            drawn.iter_mut().for_each(|lanes| lanes.row(&row, &mut out));
            lines.row(&row, &mut out);
        }
    }
    let mut sums = Summary::default();
    entries.iter().for_each(|entry| sums.push(entry));
    summary::write(&sums.finish(), look(80, false), &mut out);

    let numbers = entries.iter().filter_map(|entry| match &entry.event {
        Event::Packet(packet) => Some(About::Packet(packet.number)),
        Event::Enter(enter) => Some(About::Call(enter.call)),
        _ => None,
    });
    for about in numbers.step_by(17) {
        let mut asked = Why::new(about);
        entries.iter().for_each(|entry| asked.push(entry));
        if let Some(story) = asked.finish() {
            why::write(&story, look(80, false), &mut out);
        }
    }
    assert_safe("text", &out);

    for (most, colours) in [(30, false), (2000, true)] {
        let mut drawing = Drawing::new(most, colours);
        entries.iter().for_each(|entry| drawing.push(entry));
        let picture = drawing.finish();
        let drawn = svg(&picture.diagram);
        let page = html(&picture.diagram, &picture.details);
        wellformed::check(&drawn);
        wellformed::check(&page);
        assert_safe("SVG", &drawn);
        assert_safe("HTML", &page);
        assert_safe("Mermaid", &mermaid(&picture.diagram));
        let options = LadderOptions {
            width: 80,
            calls: true,
            ..LadderOptions::default()
        };
        let ladder = String::from_utf8(text(&picture.diagram, options).unwrap()).unwrap();
        assert_safe("ladder", &ladder);
    }

    let (mut known, mut reader, mut join) =
        (Known::default(), seen::Reader::default(), Join::default());
    for entry in entries {
        known.push(entry);
        let seen = reader.read(entry, &known);
        join.push(entry, seen.as_ref(), &known);
    }
}

/// The entries before the first fault, whose words are safe.
fn entries(log: Vec<u8>) -> Vec<Entry> {
    let mut reader = Reader::new(std::io::Cursor::new(log), "a\u{1b}.log");
    let mut all = Vec::new();
    loop {
        match reader.entry() {
            Ok(Some(entry)) => all.push(entry),
            Ok(None) => return all,
            Err(fault) => {
                assert_safe("fault", &fault.to_string());
                return all;
            }
        }
    }
}

/// `HOSTILE_SECONDS=900` makes it last longer, `HOSTILE_SEED` begins elsewhere.
#[test]
fn no_log_breaks_a_view() {
    let number = |name: &str| env::var(name).ok().and_then(|value| value.parse().ok());
    let lasting = number("HOSTILE_SECONDS").map(Duration::from_secs);
    let first = number("HOSTILE_SEED").unwrap_or(1);
    let logs = logs();
    let start = Instant::now();
    let (mut seed, mut read, mut slowest) = (first, 0, (Duration::ZERO, 0));
    while lasting.map_or(seed < first + 200, |lasting| start.elapsed() < lasting) {
        let mut chance = Chance(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        let log = damaged(&logs, &mut chance);
        let begun = Instant::now();
        let all = entries(log.clone());
        read += all.len();
        let shown = catch_unwind(AssertUnwindSafe(|| show(&all)));
        if let Err(panic) = shown {
            let path = env::temp_dir().join(format!("hostile-{seed}.log"));
            fs::write(&path, log).unwrap();
            let said = panic.downcast_ref::<String>().cloned();
            panic!(
                "seed {seed}, {}: {}",
                path.display(),
                said.unwrap_or_default()
            );
        }
        slowest = slowest.max((begun.elapsed(), seed));
        seed += 1;
    }
    let rounds = seed - first;
    println!("{rounds} logs, {read} entries; slowest {slowest:?}");
    assert!(read as u64 > 10 * rounds, "most logs end at once");
}
