//! Every capture in `captures/` through the built program, against the expected text beside it; `BLESS=1` rewrites that text.

#![allow(clippy::unwrap_used)]

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// The views that every capture has an expected text of: the words between `sockwire` and the file.
/// `NAME.pcapng` and `read -v` make `NAME.read.-v.txt`.
const VIEWS: &[&str] = &[
    "read",
    "read -v",
    "read --json",
    "read -X",
    "watch -r",
    "flows",
];

/// Packets that are explained: the capture, the words after it, and what the expected text is called.
const EXPLAINED: &[(&str, &str, &str)] = &[
    ("handshake", "1 --checksum", "explain.1"),
    ("handshake-ipv6", "2 tcp --checksum", "explain.2.tcp"),
    ("handshake", "4 tcp --json --checksum", "explain.4.json"),
    ("udp", "1 --checksum --ascii", "explain.1.ascii"),
    ("udp", "4", "explain.4"),
    ("udp-ipv6", "4 icmpv6 --checksum", "explain.4.icmpv6"),
    ("vlan", "1 vlan", "explain.1.vlan"),
    ("dns", "2 dns", "explain.2.dns"),
    ("http", "9 http", "explain.9.http"),
    ("websocket", "6 websocket", "explain.6.websocket"),
    ("fragments", "3", "explain.3"),
];

/// Views of some captures only: their texts are long.
const LADDERS: &[(&str, &str)] = &[
    ("lost-syn", "ladder"),
    ("lost-syn", "ladder --as svg"),
    ("lost-syn", "ladder --as mermaid"),
    ("udp", "ladder"),
    ("udp", "ladder --as svg"),
    ("udp", "ladder --as mermaid"),
    ("udp-ipv6", "ladder --as html --anonymise"),
    ("half-close", "ladder -S"),
];

/// Captures whose answers have an expected text, `NAME.answer.txt`: the questions, one after the other.
const ANSWERS: &[(&str, &[&str])] = &[
    (
        "handshake",
        &[
            "handshake",
            "rtt",
            "options",
            "window",
            "throughput",
            "who-closed",
            "checksum 4",
        ],
    ),
    ("lost-syn", &["handshake-rtt", "retransmissions"]),
    ("udp", &["udp", "diff 1 3"]),
    ("fragments", &["fragments"]),
];

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("captures")
}

fn captures() -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| {
            path.extension()
                .is_some_and(|e| e == "pcapng" || e == "pcap")
        })
        .collect();
    found.sort();
    assert!(found.len() >= 8, "only {} captures found", found.len());
    found
}

#[test]
fn every_view_prints_the_expected_text() {
    let mut wrong = Vec::new();
    for capture in captures() {
        let name = capture.file_stem().unwrap();
        let ladders = LADDERS.iter().filter(|(of, _)| name == *of);
        for view in VIEWS.iter().chain(ladders.map(|(_, view)| view)) {
            let words: Vec<&str> = view.split(' ').collect();
            let text = printed(&words, &capture, &[]);
            let expected = capture.with_extension(format!("{}.txt", words.join(".")));
            wrong.extend(difference(&expected, &text));
        }
    }
    none(&wrong);
}

#[test]
fn explained_packets_are_the_expected_text() {
    let mut wrong = Vec::new();
    for (name, words, view) in EXPLAINED {
        let capture = folder().join(format!("{name}.pcapng"));
        let words: Vec<&str> = words.split(' ').collect();
        let text = printed(&["explain"], &capture, &words);
        let expected = capture.with_extension(format!("{view}.txt"));
        wrong.extend(difference(&expected, &text));
    }
    none(&wrong);
}

#[test]
fn answers_are_the_expected_text() {
    let mut wrong = Vec::new();
    for (name, questions) in ANSWERS {
        let capture = folder().join(format!("{name}.pcapng"));
        let mut text = printed(&["answer"], &capture, &[]);
        for question in *questions {
            let words: Vec<&str> = question.split(' ').collect();
            text.push('\n');
            text.push_str(&printed(&["answer"], &capture, &words));
        }
        wrong.extend(difference(&capture.with_extension("answer.txt"), &text));
    }
    none(&wrong);
}

/// What the program prints of a capture.
fn printed(before: &[&str], capture: &Path, after: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_sockwire"))
        .args(before)
        .arg(capture)
        .args(after)
        .env("TZ", "UTC")
        .env_remove("CLICOLOR_FORCE")
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{before:?} {capture:?} {after:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(!text.is_empty(), "{before:?} {capture:?} prints nothing");
    text
}

/// Where `text` differs from the expected one, which it replaces when asked to.
fn difference(expected: &Path, text: &str) -> Option<String> {
    if std::env::var_os("BLESS").is_some() {
        fs::write(expected, text).unwrap();
    }
    let want = fs::read_to_string(expected).unwrap_or_default();
    (want != text).then(|| format!("{}\n{}", expected.display(), first_difference(&want, text)))
}

fn none(wrong: &[String]) {
    assert!(
        wrong.is_empty(),
        "differs from the expected text (BLESS=1 rewrites it):\n{}",
        wrong.join("\n")
    );
}

fn first_difference(want: &str, got: &str) -> String {
    let mut lines = want
        .lines()
        .chain(std::iter::repeat(""))
        .zip(got.lines().chain(std::iter::repeat("")));
    let count = want.lines().count().max(got.lines().count());
    let (number, (want, got)) = (1..=count)
        .zip(&mut lines)
        .find(|(_, (w, g))| w != g)
        .unwrap_or_default();
    format!("  line {number}\n  expected: {want}\n  got:      {got}")
}

#[test]
fn the_readme_names_every_capture() {
    let readme = fs::read_to_string(folder().join("README.md")).unwrap();
    for capture in captures() {
        let name = capture.file_name().unwrap().to_string_lossy().into_owned();
        assert!(
            readme.contains(&name),
            "captures/README.md does not say what {name} shows"
        );
    }
}
