//! `sockwire follow` as a person and a script meet it: which stream, which bytes, what is missing, and the exit codes.
#![allow(clippy::unwrap_used)]

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use proptest::prelude::*;

const SYN: u8 = 2;
const ACK: u8 = 16;

fn scratch(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = fs::remove_file(&path);
    path
}

fn capture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("captures")
        .join(name)
}

/// Exit code, standard output and standard error.
fn follow(file: &Path, words: &[&str]) -> (Option<i32>, Vec<u8>, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sockwire"));
    for name in ["NO_COLOR", "CLICOLOR_FORCE", "SUDO_UID", "SUDO_GID"] {
        command.env_remove(name);
    }
    command.arg("follow").arg(file).args(words);
    let output = command.stdin(Stdio::null()).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    (output.status.code(), output.stdout, said)
}

/// What is printed, of a run that ends well.
fn shown(file: &Path, words: &[&str]) -> String {
    let (code, out, said) = follow(file, words);
    assert_eq!(code, Some(0), "{said}");
    String::from_utf8(out).unwrap()
}

/// A raw IPv4 packet.
fn ip(client: bool, protocol: u8, payload: &[u8]) -> Vec<u8> {
    let (from, to) = if client { (1, 2) } else { (2, 1) };
    let len = (20 + payload.len() as u16).to_be_bytes();
    let mut bytes = vec![0x45, 0, len[0], len[1], 0, 0, 0, 0, 64, protocol, 0, 0];
    bytes.extend([10, 0, 0, from, 10, 0, 0, to]);
    bytes.extend(payload);
    bytes
}

fn tcp(client: bool, flags: u8, seq: u32, data: &[u8]) -> Vec<u8> {
    let mut bytes = if client {
        vec![0, 9, 0, 7]
    } else {
        vec![0, 7, 0, 9]
    };
    bytes.extend(seq.to_be_bytes());
    bytes.extend([0, 0, 0, 1, 0x50, flags, 1, 0, 0, 0, 0, 0]);
    bytes.extend(data);
    ip(client, 6, &bytes)
}

fn udp(client: bool, data: &[u8]) -> Vec<u8> {
    let mut bytes = if client {
        vec![0, 9, 0, 7]
    } else {
        vec![0, 7, 0, 9]
    };
    bytes.extend((8 + data.len() as u16).to_be_bytes());
    bytes.extend([0, 0]);
    bytes.extend(data);
    ip(client, 17, &bytes)
}

/// A pcap file of raw IP packets, 1 ms apart, of which at most `cut` bytes are there.
fn pcap(name: &str, packets: &[Vec<u8>], cut: usize) -> PathBuf {
    let mut file = Vec::new();
    for word in [0xa1b2_c3d4_u32, 0x0004_0002, 0, 0, 262_144, 101] {
        file.extend(word.to_le_bytes());
    }
    for (n, packet) in packets.iter().enumerate() {
        let kept = &packet[..packet.len().min(cut)];
        let n = n as u32;
        for word in [
            1_700_000_000 + n / 1000,
            n % 1000 * 1000,
            kept.len() as u32,
            packet.len() as u32,
        ] {
            file.extend(word.to_le_bytes());
        }
        file.extend(kept);
    }
    let path = scratch(name);
    fs::write(&path, file).unwrap();
    path
}

#[test]
fn both_sides_of_a_connection_stand_in_the_order_of_time() {
    let file = capture("handshake.pcapng");
    let wanted = "\
tcp:0  10.0.0.1:57474 → 10.0.0.2:5000
→ hello
← world
→ [FIN: no more data]
← [FIN: no more data]
";
    for words in [&["tcp:0"][..], &["0"], &[], &["-n", "--color", "auto"]] {
        assert_eq!(shown(&file, words), wanted, "{words:?}");
    }
    let ascii = shown(&file, &["--ascii", "--side", "server"]);
    assert_eq!(
        ascii,
        "tcp:0  10.0.0.1:57474 > 10.0.0.2:5000\n< world\n< [FIN: no more data]\n"
    );
    let coloured = shown(&file, &["--color", "always"]);
    assert!(coloured.contains("→ ") && coloured.contains('\x1b'));
}

#[test]
fn hex_has_the_offset_in_the_stream_of_its_side() {
    let hex = shown(&capture("handshake.pcapng"), &["--hex", "--side", "client"]);
    let row = "→ 00000000  68 65 6c 6c 6f 0a                                 hello.";
    assert_eq!(hex.lines().nth(1), Some(row));
    let long = pcap(
        "follow-rows.pcap",
        &[udp(true, b"x"), udp(true, &[b'y'; 17])],
        99,
    );
    let hex = shown(&long, &["udp:0", "--hex"]);
    let offsets: Vec<&str> = hex
        .lines()
        .skip(1)
        .map(|line| line.split("  ").next().unwrap())
        .collect();
    assert_eq!(offsets, ["→ 00000000", "→ 00000001", "→+00000011"]);
}

#[test]
fn raw_is_the_bytes_and_nothing_else() {
    let file = capture("handshake.pcapng");
    let (code, out, said) = follow(&file, &["0", "--raw", "--side", "client"]);
    assert_eq!(
        (code, out.as_slice(), said.as_str()),
        (Some(0), &b"hello\n"[..], "")
    );
    let target = scratch("follow-raw.bin");
    let words = [
        "0",
        "--raw",
        "--side",
        "server",
        "-o",
        target.to_str().unwrap(),
    ];
    assert_eq!(follow(&file, &words).0, Some(0));
    assert_eq!(fs::read(&target).unwrap(), b"world\n");
    let (code, _, said) = follow(&file, &words);
    assert_eq!(code, Some(6));
    assert!(said.contains("--force"), "{said}");
    assert_eq!(
        follow(&file, &[&words[..], &["--force"]].concat()).0,
        Some(0)
    );
    let (code, _, said) = follow(&file, &["0", "--raw"]);
    assert_eq!(code, Some(2));
    assert!(said.contains("--side"), "{said}");
}

#[test]
fn raw_bytes_do_not_replace_the_capture() {
    let file = pcap("follow-same.pcap", &[udp(true, b"x")], 99);
    let words = [
        "udp:0",
        "--raw",
        "--side",
        "client",
        "--force",
        "-o",
        file.to_str().unwrap(),
    ];
    let before = fs::read(&file).unwrap();
    assert_eq!(follow(&file, &words).0, Some(2));
    assert_eq!(fs::read(&file).unwrap(), before);
}

#[test]
fn json_has_one_object_a_piece() {
    let packets = [
        tcp(true, SYN, 99, b""),
        tcp(true, ACK, 100, b"\x1b\xff"),
        tcp(true, ACK, 110, b"z"),
        tcp(false, 4, 0, b""),
    ];
    let text = shown(&pcap("follow-json.pcap", &packets, 99), &["--json"]);
    let objects: Vec<serde_json::Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(objects.len(), 4);
    let first = &objects[0];
    assert_eq!(
        (&first["kind"], &first["bytes"]),
        (&"data".into(), &"1b:ff".into())
    );
    assert_eq!(
        (&first["text"], &first["packet"]),
        (&"\u{1b}\u{fffd}".into(), &2.into())
    );
    assert_eq!(
        (&first["side"], &first["from"]),
        (&"client".into(), &"10.0.0.1:9".into())
    );
    assert_eq!(first["time"], "1700000000.001000000");
    let gap = &objects[1];
    assert_eq!(
        (&gap["kind"], &gap["why"]),
        (&"gap".into(), &"missing".into())
    );
    assert_eq!((&gap["offset"], &gap["length"]), (&2.into(), &8.into()));
    assert_eq!(objects[3]["kind"], "rst");
    assert!(!text.contains('\x1b'));
}

#[test]
fn without_a_name_the_streams_are_listed() {
    let (code, out, said) = follow(&capture("dns.pcapng"), &[]);
    let list = String::from_utf8(out).unwrap();
    assert_eq!(code, Some(0));
    assert_eq!(list.lines().count(), 4);
    assert_eq!(
        list.lines().next().unwrap(),
        "tcp:0  10.0.0.1:40054 → 10.0.0.53:53       62 → ← 344 bytes"
    );
    assert!(said.contains("follow FILE tcp:0"), "{said}");
    let json = shown(&capture("dns.pcapng"), &["--json"]);
    let first: serde_json::Value = serde_json::from_str(json.lines().next().unwrap()).unwrap();
    assert_eq!(
        (&first["stream"], &first["server_bytes"]),
        (&"tcp:0".into(), &344.into())
    );
}

#[test]
fn a_stream_that_is_not_there_is_named_with_those_that_are() {
    let file = capture("dns.pcapng");
    let (code, out, said) = follow(&file, &["tcp:7"]);
    assert_eq!((code, out.len()), (Some(4), 0));
    assert_eq!(
        said,
        "sockwire: no stream tcp:7: there are tcp:0 and udp:0 to udp:2\n"
    );
    let (code, _, said) = follow(&file, &["sctp:7"]);
    assert_eq!(code, Some(2));
    assert!(said.contains("tcp:0, udp:0"), "{said}");
    let (code, _, said) = follow(&pcap("follow-none.pcap", &[ip(true, 1, b"")], 99), &[]);
    assert_eq!(code, Some(1));
    assert!(said.contains("no TCP or UDP stream"), "{said}");
    let silent = pcap("follow-silent.pcap", &[tcp(true, SYN, 1, b"")], 99);
    assert_eq!(follow(&silent, &[]).0, Some(1));
    assert_eq!(follow(Path::new("no-such-file"), &[]).0, Some(4));
}

#[test]
fn what_was_good_before_a_damage_is_shown() {
    let file = pcap(
        "follow-damaged.pcap",
        &[udp(true, b"good"), udp(true, b"bad")],
        99,
    );
    let bytes = fs::read(&file).unwrap();
    fs::write(&file, &bytes[..bytes.len() - 5]).unwrap();
    let (code, out, _) = follow(&file, &["udp:0"]);
    assert_eq!(code, Some(5));
    assert!(String::from_utf8(out).unwrap().contains("→ good\n"));
}

#[test]
fn datagrams_keep_their_borders_and_fragments_make_one() {
    let packets = [
        udp(true, b"one\ntwo\n"),
        udp(true, b"three"),
        udp(false, b""),
        udp(false, "half \u{e9}".as_bytes()),
    ];
    assert_eq!(
        shown(&pcap("follow-udp.pcap", &packets, 99), &["udp:0"]),
        "udp:0  10.0.0.1:9 → 10.0.0.2:7\n→ one\n→+two\n→ three\n← [empty datagram]\n← half é\n"
    );
    let (code, out, _) = follow(
        &capture("fragments.pcapng"),
        &["udp:0", "--raw", "--side", "client"],
    );
    assert_eq!((code, out.len()), (Some(0), 4000));
}

#[test]
fn order_overlap_and_wrap_are_put_right() {
    let packets = [
        tcp(true, SYN, u32::MAX - 3, b""),
        tcp(true, ACK, 3, b"ghi"),
        tcp(true, ACK, u32::MAX - 2, b"abcde"),
        tcp(true, ACK, 0, b"DEfGH"),
        tcp(true, ACK, 6, b"\n"),
    ];
    let file = pcap("follow-order.pcap", &packets, 99);
    assert_eq!(shown(&file, &["0"]).lines().nth(1), Some("→ abcdefghi"));
}

#[test]
fn a_gap_is_said_with_its_length_and_its_reason() {
    let packets = [
        tcp(true, SYN, 99, b""),
        tcp(true, ACK, 100, b"abc"),
        tcp(true, ACK, 140, b"def"),
    ];
    let (code, out, said) = follow(&pcap("follow-gap.pcap", &packets, 99), &["0"]);
    let text = String::from_utf8(out).unwrap();
    assert_eq!(code, Some(0));
    assert!(
        text.ends_with("→ abc\n→ [37 bytes missing: not in the capture]\n→ def\n"),
        "{text}"
    );
    assert_eq!(
        said,
        "client: 6 bytes shown; left out: 37 not in the capture\n"
    );
    let text = shown(&pcap("follow-cut.pcap", &packets, 42), &["0"]);
    assert!(
        text.contains("→ ab\n→ [1 byte not captured: cut by the snapshot length]\n"),
        "{text}"
    );
    let (_, out, said) = follow(
        &pcap("follow-room.pcap", &packets, 99),
        &["0", "--memory", "0"],
    );
    assert!(
        String::from_utf8(out)
            .unwrap()
            .contains("[3 bytes not kept: beyond --memory]")
    );
    assert!(said.contains("6 beyond --memory"), "{said}");
}

#[test]
fn no_byte_of_a_stream_reaches_the_terminal_as_a_command() {
    let text = "\x1b]0;title\x07\u{202e}\r\n\u{9b}2J\0\t\\ é\n";
    let (first, rest) = text.as_bytes().split_at(text.len() - 2);
    let packets = [
        tcp(true, ACK, 1, first),
        tcp(true, ACK, 1 + first.len() as u32, rest),
    ];
    let file = pcap("follow-hostile.pcap", &packets, 200);
    assert_eq!(
        shown(&file, &["0"]).lines().skip(1).collect::<Vec<_>>(),
        [
            "→ \\x1b]0;title\\x07\\u{202e}\\r",
            "→ \\u{9b}2J\\x00\\t\\\\ é"
        ]
    );
    for words in [&["0"][..], &["0", "--hex"], &["0", "--json"]] {
        let text = shown(&file, words);
        assert!(
            !text
                .chars()
                .any(|c| c != '\n' && sockwire::text::is_unsafe(c)),
            "{text:?}"
        );
    }
}

/// Every other byte alone, then segments that claim 1400 bytes and bring none, then numbers from everywhere.
#[test]
fn hostile_segments_cost_little() {
    let mut packets = vec![tcp(true, SYN, 0, b"")];
    packets.extend((0..60_000).map(|n| tcp(true, ACK, 1 + 2 * n, b"x")));
    for n in 0..20_000u32 {
        let mut bytes = tcp(true, ACK, 1 + n.wrapping_mul(7) % 100_000, &[0; 1400]);
        bytes.truncate(40);
        packets.push(bytes);
    }
    packets.extend(
        (0..40_000u32).map(|n| tcp(n % 2 == 0, ACK, n.wrapping_mul(2_654_435_761), b"wild")),
    );
    let file = pcap("follow-costly.pcap", &packets, 99);
    let limited = Command::new("sh")
        .args([
            "-c",
            "ulimit -v 400000; ulimit -t 60; exec \"$0\" follow \"$1\" 0 --json --memory 8",
        ])
        .arg(env!("CARGO_BIN_EXE_sockwire"))
        .arg(&file)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let said = String::from_utf8(limited.stderr).unwrap();
    assert_eq!(limited.status.code(), Some(0), "{said}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    /// Through the program, too, a text comes back from segments in any order.
    #[test]
    fn a_shuffled_text_comes_back(
        isn in any::<u32>(),
        text in prop::collection::vec(any::<u8>(), 1..2000),
        mut order in Just((0..40usize).collect::<Vec<_>>()).prop_shuffle(),
        again in prop::collection::vec(0..40usize, 0..20),
    ) {
        order.extend(again);
        let step = text.len().div_ceil(40);
        let mut packets = vec![tcp(true, SYN, isn, b"")];
        packets.extend(order.iter().filter(|n| **n * step < text.len()).map(|n| {
            let from = n * step;
            // Each overlaps the next by half.
            let to = (from + step + step / 2).min(text.len());
            tcp(true, ACK | 8, isn.wrapping_add(1).wrapping_add(from as u32), &text[from..to])
        }));
        let file = pcap("follow-shuffled.pcap", &packets, 65_535);
        let (code, out, said) = follow(&file, &["0", "--raw", "--side", "client"]);
        prop_assert_eq!((code, said), (Some(0), String::new()));
        prop_assert_eq!(out, text);
    }
}
