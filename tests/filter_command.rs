//! `sockwire filter` as a person and a script meet it: the listing, the words, counts, reasons, faults and exit codes.
#![allow(clippy::unwrap_used)]

use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use serde_json::Value;

/// What a run left: exit code, standard output, standard error.
type Ran = (i32, String, String);

fn filter(words: &[&str]) -> Ran {
    let output = command(words).output().unwrap();
    ran(output)
}

fn command(words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sockwire"));
    for name in ["NO_COLOR", "CLICOLOR_FORCE", "SUDO_UID", "SUDO_GID"] {
        command.env_remove(name);
    }
    command.arg("filter").args(words).stdin(Stdio::null());
    command
}

fn ran(output: Output) -> Ran {
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

/// A file for this test alone.
fn scratch(name: &str, content: &[u8]) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    fs::write(&path, content).unwrap();
    path
}

/// The lines of `text` without their indentation.
fn lines(text: &str) -> Vec<&str> {
    text.lines().map(str::trim).collect()
}

#[test]
fn the_listing_says_what_each_instruction_is_about() {
    let (code, out, talk) = filter(&["tcp", "dst", "port", "80", "or", "443"]);
    assert_eq!((code, talk.as_str()), (0, ""));
    let lines = lines(&out);
    assert_eq!(lines[0], "tcp dst port 80 or 443");
    assert!(
        lines[2].starts_with("Ethernet (EN10MB): ") && lines[2].ends_with(" instructions"),
        "{out}"
    );
    assert!(out.contains("\n(000) ldh  [12]"), "{out}");
    for about in [
        "EtherType (bytes 12–13)",
        "EtherType = IPv4 (0x0800)?",
        "protocol of the IPv4 header = TCP (6)?",
        "destination port = 443?",
        "leave it out",
    ] {
        assert!(out.contains(about), "{about}: {out}");
    }
    assert!(
        out.contains("\nIt takes\n  TCP to port 80 or 443\n"),
        "{out}"
    );
}

#[test]
fn a_test_behind_a_load_is_about_what_was_loaded() {
    // Both tests are one to the compiler, and laid out twice.
    let (_, out, _) = filter(&["tcp"]);
    for about in [
        "protocol of the IPv4 header = TCP (6)?",
        "next header of the fragment header = TCP",
    ] {
        assert_eq!(out.matches(about).count(), 1, "{out}");
    }
}

#[test]
fn an_empty_filter_takes_every_packet() {
    let (code, out, _) = filter(&[""]);
    assert_eq!(code, 0);
    assert!(out.contains("(000) ret  #262144  take it\n"), "{out}");
    assert!(out.contains("It takes\n  every packet\n"), "{out}");
}

#[test]
fn only_the_program_on_request() {
    let (code, out, _) = filter(&["-d", "ip"]);
    let assembler = "(000) ldh      [12]\n(001) jeq      #0x800           jt 2\tjf 3\n\
                     (002) ret      #262144\n(003) ret      #0\n";
    assert_eq!((code, out.as_str()), (0, assembler));
    let (_, out, _) = filter(&["-dd", "ip"]);
    assert!(out.starts_with("{ 0x28, 0, 0, 0x0000000c },\n"), "{out}");
    let (_, out, _) = filter(&["-ddd", "ip"]);
    assert_eq!(out, "4\n40 0 0 12\n21 0 1 2048\n6 0 0 262144\n6 0 0 0\n");
}

#[test]
fn link_types_have_tcpdumps_names_in_any_case() {
    let (code, out, _) = filter(&["--link", "raw", "-d", "ip"]);
    assert_eq!(code, 0);
    assert!(out.starts_with("(000) ldb      [0]\n"), "{out}");
    let (code, _, talk) = filter(&["--link", "EN10M", "ip"]);
    assert_eq!(code, 2);
    assert!(talk.contains("did you mean EN10MB?"), "{talk}");
}

#[test]
fn live_programs_ask_the_kernel_for_the_tag_it_took_off() {
    let (code, out, _) = filter(&["--live", "vlan", "5"]);
    assert_eq!(code, 0);
    assert!(
        out.contains("[vlanp]") && out.contains("a VLAN tag was taken off?"),
        "{out}"
    );
    let (_, file, _) = filter(&["vlan", "5"]);
    assert!(!file.contains("[vlanp]"), "{file}");
}

#[test]
fn packets_of_a_file_are_counted() {
    let file = capture("handshake");
    let (code, out, _) = filter(&["-r", &file, "tcp", "port", "5000"]);
    assert_eq!(code, 0);
    assert!(out.ends_with("\n10 of 10 packets match\n"), "{out}");
    let (code, out, _) = filter(&["-r", &file, "tcp[tcpflags] = tcp-syn"]);
    assert_eq!(code, 0);
    assert!(out.ends_with("\n1 of 10 packets matches\n"), "{out}");
    let (code, out, talk) = filter(&["-r", &file, "udp"]);
    assert_eq!((code, talk.as_str()), (1, ""));
    assert!(out.ends_with("\n0 of 10 packets match\n"), "{out}");
}

#[test]
fn standard_input_and_a_filter_file_serve_too() {
    let expression = scratch("expression.txt", b"tcp and\nport 5000\n");
    let mut child = command(&["-r", "-", "-F", expression.to_str().unwrap()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    input
        .write_all(&fs::read(capture("handshake")).unwrap())
        .unwrap();
    drop(input);
    let (code, out, talk) = ran(child.wait_with_output().unwrap());
    assert_eq!((code, talk.as_str()), (0, ""));
    assert!(out.starts_with("  tcp and port 5000\n"), "{out}");
    assert!(out.ends_with("10 of 10 packets match\n"), "{out}");
}

/// A pcapng file of the IPv4 packet of `captures/udp.pcapng` behind two kinds of link header.
fn two_links() -> PathBuf {
    fn block(kind: u32, body: &[u8]) -> Vec<u8> {
        let mut padded = body.to_vec();
        padded.resize(body.len().next_multiple_of(4), 0);
        let length = (padded.len() as u32 + 12).to_le_bytes();
        [&kind.to_le_bytes(), &length[..], &padded, &length].concat()
    }
    let packet = hex::decode("4500002100010000401166c90a0000010a00000214e90035000d000068656c6c6f");
    let packet = packet.unwrap();
    let ethernet = [&[2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0][..], &packet].concat();
    let frame = |interface: u32, bytes: &[u8]| {
        let length = (bytes.len() as u32).to_le_bytes();
        let head = [interface.to_le_bytes(), [0; 4], [0; 4], length, length].concat();
        block(6, &[head, bytes.to_vec()].concat())
    };
    let section = [
        &0x1a2b_3c4d_u32.to_le_bytes()[..],
        &[1, 0, 0, 0],
        &[0xff; 8],
    ];
    let file = [
        block(0x0a0d_0d0a, &section.concat()),
        block(1, &[1, 0, 0, 0, 0, 0, 0, 0]),
        block(1, &[101, 0, 0, 0, 0, 0, 0, 0]),
        frame(0, &ethernet),
        frame(1, &packet),
        frame(1, &packet),
    ];
    scratch("two-links.pcapng", &file.concat())
}

#[test]
fn each_link_type_of_a_file_has_its_program() {
    let file = two_links();
    let file = file.to_str().unwrap();
    let (code, out, _) = filter(&["-r", file, "udp port 53"]);
    assert_eq!(code, 0);
    assert!(out.contains("Ethernet (EN10MB): ") && out.contains("raw IP (RAW): "));
    assert!(
        out.contains("\n1 of 1 with EN10MB\n2 of 2 with RAW\n"),
        "{out}"
    );
    assert!(out.ends_with("3 of 3 packets match\n"), "{out}");
    // One of them has no hardware addresses.
    let (code, out, _) = filter(&["-r", file, "ether src 02:00:00:00:00:01"]);
    assert_eq!(code, 0);
    assert!(out.contains("raw IP (RAW): no program\n"), "{out}");
    assert!(out.ends_with("1 of 3 packets matches\n"), "{out}");
    let (code, out, _) = filter(&["-r", file, "--packet", "2", "ether src 02:00:00:00:00:01"]);
    assert_eq!(code, 1);
    assert!(out.contains("Packet 2 does not match\n"), "{out}");
    let (_, out, _) = filter(&["-r", file, "--json", "udp"]);
    let objects: Vec<Value> = out
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let counts: Vec<_> = objects
        .iter()
        .map(|o| (o["link"].as_str().unwrap(), o["matched"].as_u64().unwrap()))
        .collect();
    assert_eq!(counts, [("EN10MB", 1), ("RAW", 2)]);
}

#[test]
fn why_a_packet_matches_is_its_way_through_the_program() {
    let file = capture("handshake");
    let (code, out, talk) = filter(&["-r", &file, "--packet", "1", "ip and tcp dst port 5000"]);
    assert_eq!((code, talk.as_str()), (0, ""));
    for told in [
        "EtherType (bytes 12–13) is 0x0800: IPv4\n",
        "EtherType = IPv4 (0x0800)? yes\n",
        "protocol of the IPv4 header (byte 23) is 0x06: TCP\n",
        "destination port (bytes 36–37) is 0x1388: 5000\n",
        "\nPacket 1 matches\n  ip and tcp dst port 5000\n         ^^^^^^^^^^^^^^^^^\n",
        "this part decided: destination port = 5000? yes\n",
    ] {
        assert!(out.contains(told), "{told}: {out}");
    }
}

#[test]
fn why_a_packet_does_not_match_ends_at_the_part_that_decided() {
    let file = capture("handshake");
    let (code, out, _) = filter(&["-r", &file, "--packet", "1", "tcp and port 80"]);
    assert_eq!(code, 1);
    let end = "\nPacket 1 does not match\n  tcp and port 80\n          ^^^^^^^\n  \
               this part decided: destination port = 80? no\n";
    assert!(out.ends_with(end), "{out}");
    let (code, out, _) = filter(&["-r", &file, "--packet", "1", "tcp[500] = 1"]);
    assert_eq!(code, 1);
    let one_line = lines(&out).join(" ");
    assert!(
        one_line.contains("the packet ends before byte 534 (it has 74 bytes)"),
        "{out}"
    );
}

#[test]
fn a_packet_that_is_not_there_is_told() {
    let (code, out, talk) = filter(&["-r", &capture("handshake"), "--packet", "11", "tcp"]);
    assert_eq!((code, out.as_str()), (4, ""));
    assert_eq!(talk, "sockwire: no packet 11: the file has 10 packets\n");
}

#[test]
fn display_filters_are_explained_too() {
    let file = capture("handshake");
    let (code, out, talk) = filter(&["-Y", "tcp.flags.syn == 1 && ip.ttl < 200"]);
    assert_eq!((code, talk.as_str()), (0, ""));
    assert!(
        out.contains("It takes\n") && out.contains("tcp.flags.syn"),
        "{out}"
    );
    let (code, out, _) = filter(&["-r", &file, "-Y", "tcp.flags.syn == 1"]);
    assert_eq!(code, 0);
    assert!(out.ends_with("\n2 of 10 packets match\n"), "{out}");
    let (code, out, _) = filter(&["-r", &file, "-Y", "udp"]);
    assert_eq!(code, 1);
    assert!(out.ends_with("\n0 of 10 packets match\n"), "{out}");
    let both = "tcp.flags.syn == 1 && tcp.srcport == 5000";
    let (code, out, _) = filter(&["-r", &file, "--packet", "1", "-Y", both]);
    assert_eq!(code, 1);
    let row = |part: &str| {
        let mut rows = out
            .lines()
            .map(|row| row.split_whitespace().collect::<Vec<_>>());
        let found = rows
            .find(|row| row.len() > 1 && row[1..].join(" ").starts_with(part) && row[0].len() < 4);
        found.unwrap_or_else(|| panic!("{part}: {out}"))[0].to_owned()
    };
    assert_eq!(row("tcp.flags.syn == 1 tcp.flags.syn = "), "yes");
    assert_eq!(row("tcp.srcport == 5000 tcp.srcport = "), "no");
    assert!(out.ends_with("\nPacket 1 does not match\n"), "{out}");
    // Tracking goes on as in `read -Y`: relative numbers need the packets before.
    let (code, out, _) = filter(&["-r", &file, "--packet", "3", "-Y", "tcp.seq == 1"]);
    assert_eq!(code, 0, "{out}");
}

#[test]
fn objects_for_programs_are_valid() {
    let file = capture("handshake");
    let object = |words: &[&str]| -> Value {
        let (_, out, talk) = filter(words);
        assert_eq!((out.lines().count(), talk.as_str()), (1, ""));
        serde_json::from_str(&out).unwrap()
    };
    let plain = object(&["--json", "tcp port 80"]);
    assert_eq!(plain["expression"], "tcp port 80");
    assert_eq!(
        (&plain["link"], &plain["place"]),
        (&"EN10MB".into(), &"frame".into())
    );
    assert_eq!(plain["words"], "TCP from or to port 80\n");
    assert!(plain["traps"].is_array() && plain["packets"].is_null());
    let first = &plain["program"][0];
    assert_eq!(first["code"], 0x28);
    assert_eq!(first["text"], "ldh [12]");
    assert_eq!(first["what"], "EtherType (bytes 12–13)");
    assert_eq!(first["span"], serde_json::json!([0, 11]));
    let counted = object(&["--json", "-r", &file, "port 5000"]);
    assert_eq!(
        (&counted["packets"], &counted["matched"]),
        (&10.into(), &10.into())
    );
    let why = object(&["--json", "-r", &file, "--packet", "2", "udp or arp"]);
    let packet = &why["packet"];
    assert_eq!(
        (&packet["number"], &packet["matches"]),
        (&2.into(), &false.into())
    );
    assert_eq!(packet["path"][0]["bytes"], "0800");
    assert_eq!(packet["path"][0]["offset"], 12);
    assert!(
        packet["reason"]
            .as_str()
            .unwrap()
            .starts_with("this part decided: ")
    );
    let display = object(&[
        "--json",
        "-r",
        &file,
        "--packet",
        "2",
        "-Y",
        "tcp.port == 5000",
    ]);
    assert_eq!(display["packet"]["tests"][0]["holds"], true);
    let display = object(&["--json", "-r", &file, "-Y", "tcp.port == 5000"]);
    assert_eq!(display["matched"], 10);
}

#[test]
fn faults_point_at_their_place() {
    for (words, wanted) in [
        (&["tcp prot 80"][..], "sockwire: bad filter: "),
        (&["tcp.port == 80"], "display filter"),
        (&["-Y", "tcp.prt == 80"], "sockwire: bad filter: "),
        (&[], "for example: sockwire filter tcp port 80\n"),
        (&["--packet", "1", "tcp"], "--read"),
        (&["-Y", "tcp", "udp"], "cannot be used with"),
    ] {
        let (code, out, talk) = filter(words);
        assert_eq!((code, out.as_str()), (2, ""), "{words:?}");
        assert!(talk.contains(wanted), "{words:?}: {talk}");
    }
    let (_, _, talk) = filter(&["tcp and prot 80"]);
    assert!(
        talk.contains("\n  tcp and prot 80\n          ^^^^\n"),
        "{talk}"
    );
    let (code, _, talk) = filter(&["-r", "/nowhere/at/all", "tcp"]);
    assert_eq!(code, 4);
    assert!(talk.contains("/nowhere/at/all"), "{talk}");
    let (code, _, _) = filter(&["-F", "/nowhere/at/all"]);
    assert_eq!(code, 4);
}

#[test]
fn a_damaged_file_is_counted_up_to_its_fault() {
    let mut bytes = fs::read(capture("handshake")).unwrap();
    bytes.truncate(bytes.len() / 2);
    let file = scratch("half.pcapng", &bytes);
    let (code, out, talk) = filter(&["-r", file.to_str().unwrap(), "tcp"]);
    assert_eq!(code, 5);
    assert!(out.contains(" packets match\n"), "{out}");
    assert!(talk.starts_with("sockwire: "), "{talk}");
}

/// Expressions of all kinds.
const ALL_KINDS: [&str; 12] = [
    "tcp dst port 80 or 443 and not host 10.0.0.1",
    "host 2001:db8::1 and (udp portrange 5000-5010 or icmp6)",
    "ether src 02:00:00:00:00:01 and not broadcast",
    "vlan 5 and vlan 7 and tcp port 80",
    "mpls 100 and ip",
    "pppoes 5 and tcp",
    "geneve 7 and udp",
    "tcp[tcpflags] & (tcp-syn|tcp-ack) = tcp-syn",
    "(ip[2:2] - ((ip[0]&0xf)<<2) - ((tcp[12]&0xf0)>>2)) != 0",
    "ip multicast or ether multicast",
    "proto 47 or ip proto 50 or ip6 proto 51",
    "not (tcp or udp or (icmp and less 100)) and greater 60",
];

#[test]
fn everything_fits_eighty_columns() {
    let file = capture("handshake");
    for expression in ALL_KINDS {
        for words in [
            &[expression][..],
            &["-r", &file, expression],
            &["-r", &file, "--packet", "1", expression],
        ] {
            let (code, out, talk) = filter(words);
            assert!(code < 2, "{words:?}: {talk}");
            for line in out.lines() {
                assert!(line.chars().count() <= 80, "{line}");
                assert_eq!(line, line.trim_end());
            }
        }
    }
}

#[test]
fn no_control_byte_of_an_expression_is_shown() {
    for hostile in [
        "tcp \u{1b}[31m",
        "port 80\n\tor\r\nport 81",
        "host a\u{202e}b",
        "\u{9b}0m",
        "ip \u{7f}",
    ] {
        for words in [&["-n", hostile][..], &["-n", "-Y", hostile]] {
            let (code, out, talk) = filter(words);
            assert!(code == 0 || code == 2, "{hostile:?}");
            let seen = out + &talk;
            let bad = |c: char| c != '\n' && (c.is_control() || c == '\u{202e}');
            assert!(!seen.contains(bad), "{seen:?}");
        }
    }
    let (_, out, _) = filter(&["port 80\n\tor\r\nport 81"]);
    assert!(out.starts_with("  port 80  or  port 81\n"), "{out}");
}

#[test]
fn colour_only_on_request() {
    let (_, plain, _) = filter(&["tcp"]);
    assert!(!plain.contains('\u{1b}'));
    let (_, coloured, _) = filter(&["--color", "always", "tcp"]);
    assert!(coloured.contains('\u{1b}'));
}

#[test]
fn the_command_is_known() {
    let output = Command::new(env!("CARGO_BIN_EXE_sockwire"))
        .arg("fliter")
        .output()
        .unwrap();
    let (code, _, talk) = ran(output);
    assert_eq!(code, 2);
    assert!(talk.contains("did you mean 'filter'?"), "{talk}");
}
