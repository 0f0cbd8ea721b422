//! `sockwire answer` as a student and a grader meet it: the answers to the sample captures, exit codes, JSON, and that every
//! question copes with every capture there is.
#![allow(clippy::unwrap_used)]

#[path = "../src/testing.rs"]
mod testing;

use std::{
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use serde_json::Value;
use sockwire::{
    decode::{Decoded, Decoder},
    file,
    frame::{Batch, Record, Source as _, Step},
    text::is_unsafe,
    time::Time,
    track::{
        Tracker,
        answers::{Answer, Ask, Evidence, QUESTIONS, Want},
        checks,
    },
};

fn capture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("captures")
        .join(name)
}

fn answer(file: &str, words: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_sockwire"))
        .arg("answer")
        .arg(capture(file))
        .args(words)
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn json(file: &str, words: &[&str]) -> Value {
    let output = answer(file, &[words, &["--json"]].concat());
    assert!(
        output.status.success(),
        "{file} {words:?}: {}",
        text(&output.stderr)
    );
    serde_json::from_slice(&output.stdout).unwrap()
}

/// What tshark says of these fields, packet by packet, in its own words; `None` where there is no tshark.
fn tshark(file: &str, fields: &[&str]) -> Option<Vec<Vec<String>>> {
    let mut command = Command::new("tshark");
    command.arg("-r").arg(capture(file)).args(["-T", "fields"]);
    for field in fields {
        command.args(["-e", field]);
    }
    let output = command.output().ok()?;
    let row = |line: &str| line.split('\t').map(str::to_owned).collect();
    Some(text(&output.stdout).lines().map(row).collect())
}

#[test]
fn numbers_are_those_of_tshark() {
    const FIELDS: [&str; 5] = [
        "tcp.seq_raw",
        "tcp.analysis.initial_rtt",
        "tcp.analysis.ack_rtt",
        "tcp.window_size",
        "tcp.analysis.bytes_in_flight",
    ];
    for file in [
        "handshake.pcapng",
        "handshake-ipv6.pcapng",
        "lost-syn.pcapng",
    ] {
        let Some(rows) = tshark(file, &FIELDS) else {
            return testing::skipped("there is no tshark");
        };
        let said = |packet: &Value, field: usize| {
            rows[packet.as_u64().unwrap() as usize - 1][field].clone()
        };
        let same = |packet: &Value, field: usize, seconds: &Value| {
            let theirs: f64 = said(packet, field).parse().unwrap();
            let ours = seconds.as_f64().unwrap();
            assert!((theirs - ours).abs() < 1e-9, "{file}: {theirs} {ours}");
        };
        let isn = json(file, &["isn"]);
        assert_eq!(
            said(&isn["packets"][0], 0),
            isn["values"]["client_isn"].to_string()
        );
        let rtt = json(file, &["handshake-rtt"]);
        same(&rtt["packets"][2], 1, &rtt["values"]["rtt"]);
        for row in json(file, &["rtt"])["values"]["rows"].as_array().unwrap() {
            same(&row[1], 2, &row[2]);
        }
        let window = json(file, &["window"]);
        assert_eq!(
            said(&window["packets"][0], 3),
            window["values"]["least"].to_string()
        );
        let flight = json(file, &["in-flight"])["values"].clone();
        assert_eq!(said(&flight["most_packet"], 4), flight["most"].to_string());
    }
}

#[test]
fn what_a_student_hands_in() {
    let close = json("half-close.pcapng", &["who-closed"]);
    assert_eq!(close["values"]["closed_by"], "client");
    assert_eq!(close["values"]["time_wait"], "client");
    let again = json("lost-syn.pcapng", &["retransmissions"]);
    assert_eq!(again["values"]["packets"], serde_json::json!([2]));
    let found = json("handshake.pcapng", &["which-segment", "world"]);
    assert_eq!(
        (&found["packets"], &found["values"]["sender"]),
        (&serde_json::json!([6]), &"server".into())
    );
    let fragments = json("fragments.pcapng", &["fragments"]);
    assert_eq!(fragments["values"]["bytes"], 4008);
    let options = json("handshake.pcapng", &["options"]);
    assert_eq!(
        (&options["values"]["client_mss"], &options["stream"]),
        (&1460.into(), &0.into())
    );
    let udp = json("udp.pcapng", &["udp"]);
    assert_eq!(
        (&udp["values"]["answered"], &udp["values"]["errors"]),
        (&1.into(), &1.into())
    );
    let sum = json("handshake.pcapng", &["checksum", "4"]);
    assert_eq!(sum["values"]["verdict"], "valid");
    assert_eq!(sum["values"]["computed"], sum["values"]["found"]);
}

#[test]
fn exit_codes_tell_answered_from_cannot_and_from_wrong_words() {
    let code = |file: &str, words: &[&str]| answer(file, words).status.code();
    assert_eq!(code("handshake.pcapng", &[]), Some(0));
    assert_eq!(code("handshake.pcapng", &["isn"]), Some(0));
    assert_eq!(code("handshake.pcapng", &["why-reset"]), Some(1));
    assert_eq!(code("handshake.pcapng", &["isn", "tcp:7"]), Some(4));
    assert_eq!(code("handshake.pcapng", &["checksum", "99"]), Some(4));
    assert_eq!(code("handshake.pcapng", &["which-call"]), Some(1));
    assert_eq!(code("handshake.pcapng", &["handshkae"]), Some(2));
    assert_eq!(code("handshake.pcapng", &["checksum"]), Some(2));
    assert_eq!(code("missing.pcapng", &["isn"]), Some(4));
    let said = answer("handshake.pcapng", &["handshkae"]);
    assert!(text(&said.stderr).contains("did you mean handshake?"));
    let because = answer("udp.pcapng", &["isn", "--json"]);
    let because: Value = serde_json::from_slice(&because.stdout).unwrap();
    assert_eq!(because["because"], "there is no TCP connection in it");
}

#[test]
fn every_question_copes_with_every_capture_in_80_columns() {
    let listed = answer("udp.pcapng", &["--json"]);
    let mut questions = Vec::new();
    for line in text(&listed.stdout).lines() {
        let question: Value = serde_json::from_str(line).unwrap();
        questions.push(question["question"].as_str().unwrap().to_owned());
    }
    assert_eq!(questions.len(), 25);
    for entry in std::fs::read_dir(capture("")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|e| e != "pcapng") {
            continue;
        }
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        for question in &questions {
            let words: &[&str] = match question.as_str() {
                "which-segment" => &["which-segment", "o"],
                "checksum" => &["checksum", "1"],
                "diff" => &["diff", "1", "2"],
                name => &[name],
            };
            let output = answer(&name, words);
            assert!(
                matches!(output.status.code(), Some(0 | 1)),
                "{name} {words:?}: {output:?}"
            );
            let (out, err) = (text(&output.stdout), text(&output.stderr));
            assert!(!out.is_empty() || !err.is_empty());
            for line in out.lines().chain(err.lines()) {
                assert!(line.chars().count() <= 80, "{name} {words:?}: {line}");
            }
        }
    }
}

/// The packets of a capture.
fn packets(path: &Path) -> Vec<(Record, Vec<u8>)> {
    let mut source = file::open(path).unwrap();
    let mut found = Vec::new();
    while let Step::Batch(batch) = source.next(Time::MAX).unwrap() {
        let frames = batch.records.iter().zip(batch.frames());
        found.extend(frames.map(|(record, frame)| (*record, frame.bytes.to_vec())));
    }
    found
}

/// Asks everything of these packets; all text that comes back.
fn everything(packets: &[(Record, Vec<u8>)]) -> Vec<String> {
    let expected = checks::RULES.iter().map(|rule| match rule.takes {
        checks::Takes::Word(words) => format!("{}={}", rule.name, words[0]),
        takes => format!("{}{}", rule.name, takes.example()),
    });
    let expected: Vec<String> = expected.collect();
    let (expectations, wanted) = checks::read(expected.iter().map(String::as_str)).unwrap();
    let ask = Ask {
        numbers: vec![1, 2],
        text: Some("o".to_owned()),
        ..Ask::default()
    };
    let mut evidence = Evidence::new(Want {
        numbers: ask.numbers.clone(),
        ..wanted
    });
    let (mut data, mut records) = (Vec::new(), Vec::new());
    for (record, bytes) in packets {
        records.push(Record {
            start: data.len() as u32,
            len: bytes.len() as u32,
            ..*record
        });
        data.extend_from_slice(bytes);
    }
    let batch = Batch::owned(data, records, 1);
    let (decoder, mut tracker) = (Decoder::default(), Tracker::default());
    let mut decoded = Decoded::default();
    decoder.batch(&batch, &mut decoded);
    for index in 0..batch.len() {
        tracker.packet(&decoder, &batch, &mut decoded, index);
        evidence.packet(&decoded.packet(&batch, index).unwrap());
    }
    evidence.finish();
    let mut said = Vec::new();
    for question in QUESTIONS {
        let _ = question.is_answerable(&evidence);
        match question.answer(&evidence, &ask) {
            Ok(Answer { says, steps, .. }) => said.extend([vec![says], steps].concat()),
            Err(because) => said.push(because),
        }
    }
    said.extend(expectations.iter().map(|e| e.judge(&evidence).why));
    said
}

#[test]
fn changed_packets_never_panic_nor_reach_the_terminal() {
    // A small generator with a fixed seed: the same packets every time.
    let mut state = 7_u32;
    let mut random = move |below: usize| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as usize % below
    };
    for entry in std::fs::read_dir(capture("")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|e| e != "pcapng") {
            continue;
        }
        let original = packets(&path);
        for _ in 0..150 {
            let mut changed = original.clone();
            for _ in 0..1 + random(4) {
                let at = random(changed.len());
                let (record, bytes) = &mut changed[at];
                match random(6) {
                    0 => bytes.truncate(random(bytes.len() + 1)),
                    1 => record.time = Time::from_nanos([i64::MIN, i64::MAX, 0][random(3)]),
                    2 => {
                        let twin = original[random(original.len())].clone();
                        changed.insert(at, twin);
                    }
                    _ if bytes.is_empty() => {}
                    _ => {
                        let place = random(bytes.len());
                        bytes[place] = [0, 0xff, 0x1b, random(256) as u8][random(4)];
                    }
                }
            }
            for text in everything(&changed) {
                assert!(!text.chars().any(is_unsafe), "{path:?}: {text:?}");
            }
        }
    }
}
