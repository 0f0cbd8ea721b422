//! `sockwire explain` as a person and a script meet it: which packet, which header, bytes as digits, faults and exit codes.
#![allow(clippy::unwrap_used)]

use std::{
    io::Write as _,
    path::Path,
    process::{Command, Stdio},
};

use serde_json::Value;

/// What a run left: exit code, standard output, standard error.
type Ran = (i32, String, String);

/// Runs the command with `input` on standard input.
fn explain(words: &[&str], input: &[u8]) -> Ran {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sockwire"));
    for name in ["NO_COLOR", "CLICOLOR_FORCE", "SUDO_UID", "SUDO_GID"] {
        command.env_remove(name);
    }
    let mut child = command
        .arg("explain")
        .args(words)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A command that fails early leaves its input unread.
    let _ = child.stdin.take().unwrap().write_all(input);
    let output = child.wait_with_output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (
        output.status.code().unwrap(),
        text(output.stdout),
        text(output.stderr),
    )
}

/// A capture of the repository.
fn capture(name: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("captures");
    let path = folder.join(format!("{name}.pcapng"));
    path.to_str().unwrap().to_owned()
}

/// Which headers are explained.
fn headings(text: &str) -> Vec<&str> {
    let named = text.lines().filter(|line| !line.starts_with(' '));
    named
        .filter_map(|line| {
            line.split_once('(')?
                .1
                .split_once(')')
                .map(|(name, _)| name)
        })
        .collect()
}

#[test]
fn a_packet_is_picked_by_number_and_a_header_by_name() {
    let file = capture("handshake");
    let (code, out, talk) = explain(&[&file, "3"], b"");
    assert_eq!((code, talk.as_str()), (0, ""));
    assert_eq!(headings(&out), ["eth", "ip", "tcp"]);
    for words in [
        &[&file, "3", "tcp"][..],
        &[&file, "tcp", "3"],
        &[&file, "3", "--layer", "TCP"],
        &["-r", &file, "3", "tcp"],
    ] {
        let (code, out, _) = explain(words, b"");
        assert_eq!((code, headings(&out)), (0, vec!["tcp"]), "{words:?}");
    }
    let (code, out, talk) = explain(&[&file, "ip"], b"");
    assert_eq!((code, headings(&out)), (0, vec!["ip"]));
    assert!(talk.starts_with("packet 1 of "), "{talk}");
    assert_eq!(explain(&["--quiet", &file], b"").2, "");
}

#[test]
fn a_capture_can_come_from_a_pipe() {
    let bytes = std::fs::read(capture("udp")).unwrap();
    let (code, out, _) = explain(&["-", "4", "icmp"], &bytes);
    assert_eq!(code, 0);
    assert!(out.contains("destination unreachable"), "{out}");
    // The quoted packet's headers are layers like others.
    let (_, out, _) = explain(&["-", "4", "ip"], &bytes);
    assert_eq!(headings(&out), ["ip", "ip"]);
    assert!(out.contains("in the packet that an ICMP error quotes"));
}

#[test]
fn what_is_not_there_is_told_with_an_exit_code() {
    let file = capture("udp");
    for (words, code, said) in [
        (
            &[&*file, "99"][..],
            4,
            "no packet 99: the file has 4 packets",
        ),
        (&[&*file, "0"], 2, "packets count from 1"),
        (
            &[&*file, "1", "tcp"],
            1,
            "no tcp header; it has: eth, ip, udp, data",
        ),
        (&[&*file, "1", "tpc"], 2, "did you mean tcp?"),
        (&[&*file, "1", "2"], 2, "what is 2 for?"),
        (&["no-such-file", "1"], 4, "no-such-file"),
        (&[], 2, "Usage"),
        (&["--link", "RAW", &*file], 2, "--hex"),
    ] {
        let (have, out, talk) = explain(words, b"");
        assert_eq!((have, out.as_str()), (code, ""), "{words:?}: {talk}");
        assert!(talk.contains(said), "{words:?}: {talk}");
    }
}

#[test]
fn later_packets_that_speak_of_it_are_named() {
    let last = |name: &str, words: &str| {
        let (_, out, _) = explain(&[&capture(name), words], b"");
        out.lines().last().unwrap_or_default().to_owned()
    };
    assert_eq!(
        last("handshake", "1"),
        "In this capture: acknowledged by packet 2."
    );
    assert_eq!(
        last("lost-syn", "1"),
        "In this capture: sent again in packet 2, acknowledged by packet 3."
    );
    assert_eq!(last("dns", "1"), "In this capture: answered by packet 2.");
    let (_, out, _) = explain(&["--json", &capture("dns"), "1"], b"");
    let object: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(object["links"][0]["packet"], 2);
}

#[test]
fn bytes_are_read_as_digits_and_the_link_type_is_guessed() {
    let ip = "45000014 00010000 400166e6 0a000001 0a000002";
    let (code, out, talk) = explain(&["--hex"], ip.as_bytes());
    assert_eq!((code, headings(&out)), (0, vec!["raw", "ip"]));
    assert!(talk.contains("taken as RAW: an IPv4 header"), "{talk}");
    let frame = format!("020000000002 020000000001 0800 {ip}");
    let (_, out, talk) = explain(&["--hex", "ip"], frame.as_bytes());
    assert_eq!(headings(&out), ["ip"]);
    assert!(talk.contains("taken as EN10MB"), "{talk}");
    let (_, out, talk) = explain(&["--hex", "--link", "EN10MB", "eth"], ip.as_bytes());
    assert_eq!((headings(&out), talk.as_str()), (vec!["eth"], ""));
    let dump =
        b"\t0x0000:  4500 0014 0001 0000 4001 66e6 0a00 0001  E.......\n\t0x0010:  0a00 0002\n";
    let (code, out, _) = explain(&["--hex", "--checksum", "ip"], dump);
    assert_eq!(code, 0);
    assert!(out.contains("  Right: both are the same.\n"), "{out}");
    let (_, out, talk) = explain(&["--hex", "ip"], b"4500001400010000");
    assert!(
        out.contains("! not whole: cut short in the capture"),
        "{out}"
    );
    assert!(
        talk.contains("the packet has 20 bytes: 8 of them are here"),
        "{talk}"
    );
    let (code, out, talk) = explain(&["--hex"], b"45 0g\n");
    assert_eq!((code, out.as_str()), (5, ""));
    assert!(talk.contains("line 1, column 5: 'g'"), "{talk}");
}

#[test]
fn checksums_are_told_right_wrong_and_unfilled() {
    let last = |checksum: &str| {
        let udp = format!(
            "4500002100004000401126ca 0a000001 0a000002 14e9 0035 000d {checksum} 68656c6c6f"
        );
        let (_, out, _) = explain(&["--hex", "--checksum", "udp"], udp.as_bytes());
        out.split("step by step")
            .nth(1)
            .unwrap_or_default()
            .to_owned()
    };
    let right = last("1234");
    let right = right
        .lines()
        .find(|line| line.contains("turned over"))
        .unwrap();
    let expected = right.split("0x").nth(1).unwrap();
    assert!(last(expected).contains("Right: both are the same."));
    assert!(last("1234").contains(&format!("Wrong: it should be 0x{expected}.")));
    // 0x0a00 + 0x0001 + 0x0a00 + 0x0002 + 17 + 13, the pseudo-header.
    assert!(last("1421").contains("Not yet filled in: it holds 0x1421"));
    assert!(last("0000").contains("Not verifiable: zero says that its sender computed none."));
}

#[test]
fn ascii_means_ascii() {
    for name in ["handshake", "dns", "udp-ipv6"] {
        let (_, out, _) = explain(&["--ascii", "--checksum", &capture(name), "2"], b"");
        assert!(out.is_ascii(), "{out}");
        assert!(out.contains("+-+-+-+"), "{out}");
    }
}
