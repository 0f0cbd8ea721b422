//! Whether packets are tied to the right calls. The programs of `tests/programs/marked` send bytes that are unique to each
//! message, so a packet's own bytes, and nothing else, say by which call it was sent and by which one it was received.
//!
//! More of it, with the counts: `SOCKWIRE_TRUTH=50 cargo test --release --test truth -- --nocapture`.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod beside;
mod lan;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    env,
    path::Path,
    process::Command,
};

use lan::{Scratch, Temporary, in_own_network, testing};
use regex::bytes::Regex;
use sockwire::{
    call::HEAD,
    event::{CallId, Deed, Event, PacketId, Part},
    file::log::Reader,
    timeline::{Folding, Share, Tie, Tied, Timeline},
};

/// How many times more than usual is sent.
fn times() -> usize {
    env::var("SOCKWIRE_TRUTH").map_or(1, |times| {
        times.parse().expect("SOCKWIRE_TRUTH is a number")
    })
}

/// Messages of which whole blocks are in `bytes`: connection, way and number, as the programs write them.
fn marks(bytes: &[u8]) -> BTreeSet<Vec<u8>> {
    let block = Regex::new(r"(?-u)<(\d{4}[CS]\d{6})\d{3}>").unwrap();
    let found = block.captures_iter(bytes);
    found.map(|found| found[1].to_vec()).collect()
}

/// What a call moved, as far as the log keeps all of it.
fn content(parts: &[Part]) -> Vec<u8> {
    let mut all = Vec::new();
    for part in parts {
        all.extend(&part.data.head);
        if part.data.len > part.data.head.len() {
            break;
        }
    }
    all
}

/// Bytes of the stream that packets carried for each call, by place.
type Carried = HashMap<CallId, BTreeMap<u64, u8>>;

/// Adds those of a packet; its data ends it, and belongs to its causes.
fn carry(carried: &mut Carried, packet: &[u8], tied: &Tied) {
    let share = |tie: &Tie| match &tie.share {
        Share::Bytes(bytes) => Some((tie.call, bytes.clone())),
        _ => None,
    };
    let Some(end) = tied.causes.iter().filter_map(share).map(|s| s.1.end).max() else {
        return;
    };
    for (call, bytes) in tied.causes.iter().chain(&tied.takers).filter_map(share) {
        for place in bytes {
            let byte = end
                .checked_sub(place)
                .and_then(|back| packet.get(packet.len().checked_sub(back as usize)?));
            carried
                .entry(call)
                .or_default()
                .insert(place, byte.copied().unwrap_or_default());
        }
    }
}

/// How many packets were right.
#[derive(Debug, Default)]
struct Grades {
    packets: usize,
    causes: usize,
    takers: usize,
    repeated: usize,
    owned: usize,
    tcp: usize,
    wrong: Vec<String>,
}

/// Grades every packet of a log that has whole blocks in it. `takers`: the program receives no more at once than the log
/// keeps, so that what a call received can be compared as well.
fn grade(log: &Path, takers: bool) -> Grades {
    let mut reader = Reader::open(log).unwrap();
    let mut timeline = Timeline::new(Folding {
        idle: false,
        runs: false,
    });
    let mut rows = Vec::new();
    let mut calls: HashMap<CallId, BTreeSet<Vec<u8>>> = HashMap::new();
    let mut deeds: HashMap<CallId, Deed> = HashMap::new();
    let mut contents: HashMap<CallId, Vec<u8>> = HashMap::new();
    let mut packets: Vec<(PacketId, Vec<u8>, bool)> = Vec::new();
    while let Some(entry) = reader.entry().unwrap() {
        match &entry.event {
            Event::Enter(enter) => {
                deeds.insert(enter.call, enter.deed);
                contents.insert(enter.call, content(&enter.parts));
                let marked = enter.parts.iter().flat_map(|part| marks(&part.data.head));
                calls.entry(enter.call).or_default().extend(marked);
            }
            Event::Return(done) if !matches!(deeds.get(&done.call), Some(Deed::Send)) => {
                contents.insert(done.call, content(&done.parts));
                assert!(!takers || done.parts.iter().all(|part| part.data.len <= HEAD));
                let marked = done.parts.iter().flat_map(|part| marks(&part.data.head));
                calls.entry(done.call).or_default().extend(marked);
            }
            Event::Packet(packet) => {
                packets.push((packet.number, packet.bytes.clone(), packet.lost.is_some()));
            }
            _ => {}
        }
        timeline.push(&entry, &mut rows);
        rows.clear();
    }
    timeline.finish(&mut rows);
    let said = |ties: &[Tie]| -> BTreeSet<Vec<u8>> {
        let sets = ties.iter().filter_map(|tie| calls.get(&tie.call));
        sets.flatten().cloned().collect()
    };
    let mut grades = Grades::default();
    let mut carried = Carried::new();
    for (number, bytes, lost) in packets {
        let truth = marks(&bytes);
        let Some(tied) = timeline.join().packet(number) else {
            if !truth.is_empty() {
                grades.packets += 1;
                grades
                    .wrong
                    .push(format!("packet {number} belongs to nobody"));
            }
            continue;
        };
        carry(&mut carried, &bytes, tied);
        grades.tcp += 1;
        grades.owned += usize::from(tied.sender.is_some() || tied.receiver.is_some());
        if truth.is_empty() {
            continue;
        }
        grades.packets += 1;
        grades.repeated += usize::from(tied.again);
        let causes = said(&tied.causes);
        // A packet's ends may hold a piece of a neighbour, too short to be read.
        let is_right = truth.is_subset(&causes) && causes.len() <= truth.len() + 2;
        grades.causes += usize::from(is_right);
        if !is_right {
            grades.wrong.push(format!(
                "packet {number}: {truth:?} sent by {:?}: {causes:?}",
                tied.causes
            ));
        }
        // What was sent again may have been received before; what is lost is received by nobody.
        let is_taken = tied.again || lost || !takers || truth.is_subset(&said(&tied.takers));
        grades.takers += usize::from(is_taken);
        if !is_taken {
            grades.wrong.push(format!(
                "packet {number}: {truth:?} received by {:?}",
                tied.takers
            ));
        }
    }
    for (call, bytes) in carried {
        let bytes: Vec<u8> = bytes.into_values().collect();
        let content = &contents[&call];
        let len = bytes.len().min(content.len());
        if bytes[..len] != content[..len] {
            let [bytes, content] = [&bytes, content].map(|b| b.escape_ascii());
            let wrong = format!("call {call} moved {content}, packets carried {bytes}");
            grades.wrong.push(wrong);
        }
    }
    grades.wrong.truncate(20);
    grades
}

fn program(name: &str) -> String {
    format!(
        "{}/tests/programs/marked/{name}",
        env!("CARGO_MANIFEST_DIR")
    )
}

/// A server beside a client, in the words of a shell: the client starts when the server is ready.
fn both(server: &str, client: &str) -> String {
    format!("{{ {server} & }} | {{ read ready; {client}; }}; wait")
}

fn is_here(program: &str) -> bool {
    let found = Command::new("which").arg(program).output();
    let found = found.is_ok_and(|output| output.status.success());
    if !found {
        testing::skipped(format_args!("no {program} here"));
    }
    found
}

/// Traces `script` in the network at hand, and grades what came of it.
fn traced(script: &str, takers: bool) -> Grades {
    let thread = std::thread::current();
    let log = Temporary::new(&format!("{:?}.log", thread.id()));
    let mut command = beside::limited(env!("CARGO_BIN_EXE_sockwire"));
    command.args(["trace", "--summary", "--save"]).arg(&log.0);
    let output = command.args(["sh", "-c", script]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    grade(&log.0, takers)
}

/// Every packet is right, and there are enough of them to mean something.
fn all_right(what: &str, grades: &Grades, least: usize) {
    eprintln!(
        "{what}: {} packets with marks, {} of them sent again; right by cause {}, by taker {}; {} of {} packets have an owner",
        grades.packets, grades.repeated, grades.causes, grades.takers, grades.owned, grades.tcp
    );
    assert!(grades.packets >= least, "{what}: {grades:#?}");
    assert!(grades.wrong.is_empty(), "{what}: {grades:#?}");
    assert_eq!(
        (grades.causes, grades.takers),
        (grades.packets, grades.packets)
    );
}

#[test]
fn servers_of_each_style_on_loopback() {
    if !lan::tracing() {
        return;
    }
    in_own_network(|| {
        if !is_here("python3") {
            return;
        }
        let python = format!("python3 {}", program("marked.py"));
        for style in ["sequential", "fork", "thread"] {
            let (connections, messages) = (8 * times(), 20);
            let threads = if style == "sequential" { 1 } else { 4 };
            let script = both(
                &format!("{python} server 127.0.0.1 5000 {connections} {style}"),
                &format!("{python} client 127.0.0.1 5000 {connections} {messages} 12 {threads}"),
            );
            all_right(style, &traced(&script, true), connections * 10);
        }
    });
}

#[test]
fn datagrams_on_loopback() {
    if !lan::tracing() {
        return;
    }
    in_own_network(|| {
        if !is_here("python3") {
            return;
        }
        let python = format!("python3 {}", program("marked.py"));
        let datagrams = 100 * times();
        let script = both(
            &format!("{python} udp-server 127.0.0.1 4000 {datagrams}"),
            &format!("{python} udp-client 127.0.0.1 4000 {datagrams}"),
        );
        all_right("datagrams", &traced(&script, true), 2 * datagrams);
    });
}

#[test]
fn short_connections_have_owners() {
    if !lan::tracing() {
        return;
    }
    in_own_network(|| {
        if !is_here("python3") {
            return;
        }
        let python = format!("python3 {}", program("marked.py"));
        let connections = 100 * times();
        let script = both(
            &format!("{python} server 127.0.0.1 5000 {connections} thread"),
            &format!("{python} client 127.0.0.1 5000 {connections} 1 1 8"),
        );
        let grades = traced(&script, true);
        all_right("short connections", &grades, 2 * connections);
        // The handshake, a message each way with its acknowledgment, and the close.
        assert!(grades.tcp >= 9 * connections, "{grades:?}");
        assert_eq!(grades.owned, grades.tcp, "{grades:?}");
    });
}

#[test]
fn a_static_go_client_a_threaded_java_server_and_node() {
    if !lan::tracing() {
        return;
    }
    in_own_network(|| {
        if ["go", "javac", "java", "node"]
            .iter()
            .any(|program| !is_here(program))
        {
            return;
        }
        let folder = Scratch::new("marked");
        let folder = folder.0.display();
        let make = format!(
            "cd {folder} && CGO_ENABLED=0 GOCACHE={folder}/go go build -o go-client {} && javac -d . {}",
            program("marked.go"),
            program("Marked.java"),
        );
        let made = Command::new("sh").args(["-c", &make]).status();
        assert!(made.unwrap().success());
        let (connections, messages) = (10 * times(), 20);
        let server = format!("java -cp {folder} Marked server 127.0.0.1 5000 {connections}");
        let words = format!("client 127.0.0.1 5000 {connections} {messages} 12");
        let node = format!("node {} {words}", program("marked.js"));
        for (what, client) in [
            ("go and java", format!("{folder}/go-client {words}")),
            ("node and java", node),
        ] {
            let grades = traced(&both(&server, &client), false);
            all_right(what, &grades, connections * 5);
        }
    });
}

#[test]
fn two_hosts_and_a_wire_that_delays_loses_and_reorders() {
    if !lan::tracing() {
        return;
    }
    if !lan::private_network() || !is_here("python3") {
        return;
    }
    let python = format!("python3 {}", program("marked.py"));
    let (connections, messages) = (8 * times(), 20);
    let log = Temporary::new("wire.log");
    let mut command = beside::limited(env!("CARGO_BIN_EXE_sockwire"));
    command
        .args(["lab", "run", "--trace", "--summary", "--save"])
        .arg(&log.0);
    command.args(["--delay", "5", "--loss", "4%", "--reorder", "3%"]);
    command.arg("-S").arg(format!(
        "{python} server {{server}} {{port}} {connections} thread"
    ));
    command.arg("-C").arg(format!(
        "{python} client {{server}} {{port}} {connections} {messages} 12 8"
    ));
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let grades = grade(&log.0, true);
    all_right("a wire", &grades, connections * 5);
    assert!(grades.repeated > 0, "{grades:?}");
}
