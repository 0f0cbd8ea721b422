//! `sockwire flows` as a person and a script meet it: forms, widths, order, exit codes, and tshark's numbers.
#![allow(clippy::unwrap_used)]

mod beside;
#[path = "../src/testing.rs"]
mod testing;

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use beside::on_terminal;

fn capture(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("captures");
    folder.join(name).with_extension("pcapng")
}

fn sockwire() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sockwire"));
    for name in ["NO_COLOR", "CLICOLOR_FORCE"] {
        command.env_remove(name);
    }
    command.stdin(Stdio::null());
    command
}

fn flows(file: &Path, words: &[&str]) -> (Option<i32>, String, String) {
    let done = sockwire().arg("flows").arg(file).args(words).output();
    let done = done.unwrap();
    (
        done.status.code(),
        String::from_utf8(done.stdout).unwrap(),
        String::from_utf8(done.stderr).unwrap(),
    )
}

fn out(file: &Path, words: &[&str]) -> String {
    let (code, out, talk) = flows(file, words);
    assert_eq!((code, talk.as_str()), (Some(0), ""));
    out
}

fn records(file: &Path, words: &[&str]) -> Vec<serde_json::Value> {
    let words = [words, &["--json"]].concat();
    let lines = out(file, &words);
    lines
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// A pcap file of raw IP packets, one a second.
fn pcap(name: &str, packets: &[Vec<u8>]) -> PathBuf {
    let mut file = Vec::new();
    for word in [0xa1b2_c3d4_u32, 0x0004_0002, 0, 0, 262_144, 101] {
        file.extend_from_slice(&word.to_le_bytes());
    }
    for (second, packet) in (1_700_000_000..).zip(packets) {
        let length = packet.len() as u32;
        for word in [second, 0, length, length] {
            file.extend_from_slice(&word.to_le_bytes());
        }
        file.extend_from_slice(packet);
    }
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    fs::write(&path, file).unwrap();
    path
}

/// A SYN over IPv6 between addresses that are as long as addresses get.
fn long_syn() -> Vec<u8> {
    let address = "2001:db88:1111:2222:3333:4444:5555:6666".replace(':', "");
    let digits =
        format!("60000000001406ff{address}{address}ffffd431000000070000000050020200 00000000");
    hex::decode(digits.replace(' ', "")).unwrap()
}

#[test]
fn the_numbers_are_tsharks() {
    if Command::new("tshark").arg("-v").output().is_err() {
        return testing::skipped("no tshark here");
    }
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/peers/flows.py");
    let done = Command::new("python3")
        .arg(script)
        .args(["--sockwire", env!("CARGO_BIN_EXE_sockwire")])
        .args(["handshake", "lost-syn", "udp-ipv6", "dns", "fragments"].map(capture))
        .output();
    let Ok(done) = done else {
        return testing::skipped("no python3 here");
    };
    let told = String::from_utf8_lossy(&done.stdout);
    assert!(
        done.status.success(),
        "{told}{}",
        String::from_utf8_lossy(&done.stderr)
    );
    assert!(told.contains("files with conversations"), "{told}");
}

#[test]
fn a_record_tells_the_whole_connection() {
    let all = records(&capture("handshake"), &[]);
    let [flow] = all.as_slice() else {
        panic!("{all:?}");
    };
    for (name, value) in [
        ("transport", "tcp"),
        ("client_address", "10.0.0.1"),
        ("server_address", "10.0.0.2"),
        ("state", "closed"),
        ("ended_by", "client"),
        ("client_state", "TIME-WAIT"),
        ("server_state", "CLOSED"),
    ] {
        assert_eq!(flow[name], value, "{name}");
    }
    for (name, number) in [
        ("schema", 1),
        ("server_port", 5000),
        ("client_packets", 6),
        ("client_payload", 6),
        ("server_packets", 4),
        ("server_retransmissions", 0),
    ] {
        assert_eq!(flow[name], number, "{name}");
    }
    assert!(flow["client_pid"].is_null());
    let refused = &records(&capture("udp"), &[])[1];
    assert_eq!(refused["icmp_error"], "port unreachable");
    assert_eq!(refused["icmp_error_from"], "10.0.0.2");
    assert!(refused["client_state"].is_null());
}

#[test]
fn every_form_has_every_conversation() {
    let file = capture("dns");
    assert_eq!(records(&file, &[]).len(), 4);
    let csv = out(&file, &["--csv"]);
    let lines: Vec<&str> = csv.lines().collect();
    assert_eq!(lines.len(), 5);
    let names: Vec<&str> = lines[0].split(',').collect();
    let record = &records(&file, &[])[0];
    assert!(
        names.iter().all(|name| record.get(name).is_some()),
        "{names:?}"
    );
    assert_eq!(names.len() + 1, record.as_object().unwrap().len());
    assert!(
        lines
            .iter()
            .all(|line| line.split(',').count() == names.len())
    );
    let markdown = out(&file, &["--markdown"]);
    assert_eq!(markdown.lines().count(), 6);
    let bars = |line: &str| line.matches('|').count();
    assert!(
        markdown
            .lines()
            .all(|line| bars(line) == bars(markdown.lines().next().unwrap()))
    );
}

#[test]
fn the_order_is_as_asked_and_top_cuts_it() {
    let file = capture("dns");
    let names = |words: &[&str]| -> Vec<String> {
        records(&file, words)
            .iter()
            .map(|flow| format!("{}:{}", flow["transport"].as_str().unwrap(), flow["stream"]))
            .collect()
    };
    assert_eq!(names(&[]), ["udp:0", "tcp:0", "udp:1", "udp:2"]);
    assert_eq!(
        names(&["--sort", "-start"]),
        ["udp:2", "udp:1", "tcp:0", "udp:0"]
    );
    assert_eq!(
        names(&["--sort", "packets"]),
        ["udp:0", "tcp:0", "udp:1", "udp:2"]
    );
    assert_eq!(
        names(&["--sort", "-bytes"]),
        ["udp:1", "udp:2", "tcp:0", "udp:0"]
    );
    assert_eq!(names(&["--sort=rtt", "--top", "2"]), ["tcp:0", "udp:0"]);
    assert_eq!(names(&["udp", "--sort", "bytes", "--top=1"]), ["udp:0"]);
    let table = out(&file, &["--top", "1"]);
    assert!(table.ends_with("1746 bytes; 1 of them listed\n"), "{table}");
}

#[test]
fn a_display_filter_counts_what_it_takes_and_the_states_come_from_all() {
    let flow = &records(&capture("handshake"), &["-Y", "tcp.len > 0"])[0];
    assert_eq!(
        (&flow["client_packets"], &flow["server_packets"]),
        (&1.into(), &1.into())
    );
    assert_eq!(flow["state"], "closed");
}

#[test]
fn no_line_is_longer_than_eighty_columns() {
    let file = pcap("long-flows.pcap", &[long_syn()]);
    for file in [
        file,
        capture("dns"),
        capture("lost-syn"),
        capture("udp-ipv6"),
    ] {
        let table = out(&file, &[]);
        assert!(
            table.lines().all(|line| line.chars().count() <= 80),
            "{table}"
        );
        assert!(table.starts_with("flow "), "{table}");
    }
}

/// Through a terminal of 60 columns, as `script` makes one.
#[test]
fn a_narrow_terminal_is_respected() {
    let file = pcap("narrow-flows.pcap", &[long_syn()]);
    for file in [file, capture("dns"), capture("lost-syn")] {
        let line = format!(
            "stty cols 60 rows 9; {} --color never flows {}",
            env!("CARGO_BIN_EXE_sockwire"),
            file.display()
        );
        let Some(mut terminal) = on_terminal(&line) else {
            return testing::skipped("no script command here");
        };
        let done = terminal.stdin(Stdio::null()).output().unwrap();
        let table = String::from_utf8(done.stdout).unwrap().replace('\r', "");
        assert!(table.starts_with("flow "), "{table}");
        assert!(
            table.lines().all(|line| line.chars().count() <= 60),
            "{table}"
        );
        // What does not fit goes on below.
        let words = table.split_whitespace().collect::<Vec<_>>().join("");
        assert!(words.contains("→"), "{table}");
        if table.contains("2001") {
            assert!(
                words.contains("[2001:db88:1111:2222:3333:4444:5555:6666]:65535→"),
                "{table}"
            );
        }
    }
}

#[test]
fn an_empty_file_has_no_conversations() {
    let file = pcap("no-flows.pcap", &[]);
    assert_eq!(out(&file, &[]), "no conversations\n");
    assert_eq!(out(&file, &["--json"]), "");
    assert!(out(&file, &["--csv"]).starts_with("transport,stream,"));
    let (code, _, talk) = flows(&file, &["udp"]);
    assert_eq!((code, talk.as_str()), (Some(1), "there are no packets\n"));
    let (code, table, _) = flows(&capture("udp"), &["tcp"]);
    assert_eq!((code, table.as_str()), (Some(1), "no conversations\n"));
}

#[test]
fn wrong_words_are_refused() {
    let file = capture("udp");
    for words in [
        &["--sort", "size"][..],
        &["--sort", "--bytes"],
        &["--top", "0"],
        &["--json", "--csv"],
        &["-n", "-N"],
        &["-Y", "tcp.prt == 1"],
        &["prt", "80"],
    ] {
        let (code, table, talk) = flows(&file, words);
        assert_eq!((code, table.as_str()), (Some(2), ""), "{words:?}");
        assert!(!talk.is_empty(), "{words:?}");
    }
    let (_, _, talk) = flows(&file, &["--sort", "size"]);
    assert!(talk.contains("start, duration, packets"), "{talk}");
    assert_eq!(flows(Path::new("/no/such.pcap"), &[]).0, Some(4));
}

#[test]
fn a_pipe_that_closes_is_a_clean_end() {
    let packet = |port: u16| {
        let digits = format!(
            "45000028000000004006000 00a0000010a000002{port:04x}0050000000070000000050020200 00000000"
        );
        hex::decode(digits.replace(' ', "")).unwrap()
    };
    let file = pcap(
        "pipe-flows.pcap",
        &(1..6000).map(packet).collect::<Vec<_>>(),
    );
    let mut child = sockwire()
        .args(["flows", "--json"])
        .arg(file)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let done = child.wait_with_output().unwrap();
    assert_eq!(
        (done.status.code(), done.stderr.as_slice()),
        (Some(0), &b""[..])
    );
}

#[test]
fn ascii_and_colour_are_as_asked() {
    let file = capture("refused");
    let plain = out(&file, &["--ascii"]);
    assert!(
        plain.is_ascii() && plain.contains(" > 10.0.0.2:5000"),
        "{plain}"
    );
    let colour = out(&file, &["--color", "always"]);
    assert!(
        colour.contains("\x1b[1m\x1b[31mrefused\x1b[0m"),
        "{colour:?}"
    );
    assert!(!out(&file, &[]).contains('\x1b'));
}
