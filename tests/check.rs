//! `sockwire check` as a grader meets it: many files, exit codes, tables for programs, verdicts as packet comments.
#![allow(clippy::unwrap_used)]

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

fn capture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("captures")
        .join(name)
}

fn scratch(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = fs::remove_file(&path);
    path
}

fn sockwire(words: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_sockwire"))
        .args(words)
        .current_dir(capture(""))
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

fn check(files: &[&str], expect: &str, rest: &[&str]) -> (Option<i32>, String, String) {
    let output = sockwire(&[&["check"], files, &["--expect", expect], rest].concat());
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (
        output.status.code(),
        text(output.stdout),
        text(output.stderr),
    )
}

#[test]
fn holds_or_says_where_it_failed() {
    let (code, out, _) = check(
        &["handshake.pcapng"],
        "handshake,no-retransmission,close=fin,rtt-below=50ms",
        &[],
    );
    assert_eq!((code, out.lines().count()), (Some(0), 4), "{out}");
    assert!(
        out.lines()
            .all(|line| line.starts_with("ok    handshake.pcapng  ")),
        "{out}"
    );
    let (code, out, _) = check(
        &["handshake.pcapng", "lost-syn.pcapng"],
        "no-retransmission",
        &[],
    );
    assert_eq!(code, Some(1));
    assert!(
        out.contains(
            "FAIL  lost-syn.pcapng  no-retransmission  tcp:0 packet 2: a retransmission\n"
        ),
        "{out}"
    );
}

#[test]
fn tables_for_programs() {
    let (_, out, _) = check(
        &["handshake.pcapng", "refused.pcapng"],
        "handshake",
        &["--csv"],
    );
    let lines: Vec<&str> = out.lines().collect();
    assert_eq!(
        lines,
        [
            "file,expectation,holds,stream,packet,why",
            "handshake.pcapng,handshake,yes,,3,",
            "refused.pcapng,handshake,no,tcp:0,1,\"its SYN has no SYN,ACK\"",
        ]
    );
    let (_, out, _) = check(&["refused.pcapng"], "handshake", &["--json"]);
    let record: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(
        (&record["holds"], &record["packet"]),
        (&false.into(), &1.into())
    );
}

#[test]
fn wrong_words_are_refused_before_any_file_is_read() {
    for (expect, rest, said) in [
        ("handshak", &[][..], "did you mean handshake?"),
        ("close=syn", &[], "close takes one of: fin, rst, none"),
        ("handshake", &["--stream", "0"], "--stream takes tcp:N"),
        (
            "handshake",
            &["handshake.pcapng", "-w", "x.pcapng"],
            "-w writes the packets of one file",
        ),
    ] {
        let (code, out, err) = check(&["handshake.pcapng"], expect, rest);
        assert_eq!((code, out.as_str()), (Some(2), ""), "{expect}");
        assert!(err.contains(said), "{err}");
    }
    let list = sockwire(&["check", "--list"]);
    assert!(list.status.success() && list.stdout.len() > 500);
}

#[test]
fn a_damaged_file_does_not_keep_the_others_from_being_checked() {
    let mut bytes = fs::read(capture("handshake.pcapng")).unwrap();
    bytes.truncate(bytes.len() - 30);
    let damaged = scratch("check-damaged.pcapng");
    fs::write(&damaged, bytes).unwrap();
    let files = [
        damaged.to_str().unwrap(),
        "missing.pcapng",
        "handshake.pcapng",
    ];
    let (code, out, err) = check(&files, "close=fin", &[]);
    assert_eq!(code, Some(5), "{err}");
    assert_eq!(out.lines().count(), 2, "{out}");
    assert!(
        out.ends_with("ok    handshake.pcapng  close=fin\n"),
        "{out}"
    );
    assert!(
        err.contains("check-damaged.pcapng") && err.contains("missing.pcapng"),
        "{err}"
    );
}

#[test]
fn verdicts_become_packet_comments() {
    let written = scratch("check-verdicts.pcapng");
    let to = written.to_str().unwrap();
    let (code, ..) = check(
        &["lost-syn.pcapng"],
        "handshake,no-retransmission,packets=11",
        &["-w", to],
    );
    assert_eq!(code, Some(1));
    let read = sockwire(&["read", "--json", to]);
    let comments: Vec<(u64, Vec<String>)> = String::from_utf8(read.stdout)
        .unwrap()
        .lines()
        .map(|line| {
            let record: serde_json::Value = serde_json::from_str(line).unwrap();
            let frame = &record["layers"][0];
            let texts = frame["frame.comment"]
                .as_array()
                .cloned()
                .unwrap_or_default();
            let texts = texts
                .iter()
                .map(|t| t.as_str().unwrap().to_owned())
                .collect();
            (frame["frame.number"].as_u64().unwrap(), texts)
        })
        .collect();
    assert_eq!(comments.len(), 11);
    // The comment of the file itself stays.
    assert!(
        comments[0].1.len() == 2 && comments[0].1[1] == "check: packets=11 holds",
        "{comments:?}"
    );
    assert_eq!(
        comments[1].1,
        ["check: no-retransmission FAILED: a retransmission"]
    );
    assert_eq!(comments[3].1, ["check: handshake holds"]);
    let (code, _, err) = check(&["lost-syn.pcapng"], "handshake", &["-w", to]);
    assert_eq!(code, Some(6), "{err}");
    let (code, ..) = check(&["lost-syn.pcapng"], "handshake", &["-w", to, "--force"]);
    assert_eq!(code, Some(0));
}
