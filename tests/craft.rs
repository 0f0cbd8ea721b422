//! `sockwire craft` and `read --as craft` as a person and a script meet them.
#![allow(clippy::unwrap_used)]

use std::{
    fs,
    io::Write,
    os::unix::process::ExitStatusExt,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

/// A path for this test alone, where nothing stands yet.
fn scratch(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = fs::remove_file(&path);
    path
}

fn sockwire() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sockwire"));
    for name in ["NO_COLOR", "CLICOLOR_FORCE", "SUDO_UID", "SUDO_GID"] {
        command.env_remove(name);
    }
    command.stdin(Stdio::null());
    command
}

fn run(command: &mut Command) -> (Option<i32>, String, String) {
    let Output {
        status,
        stdout,
        stderr,
    } = command.output().unwrap();
    assert_eq!(status.signal(), None, "{stderr:?}");
    (
        status.code(),
        String::from_utf8(stdout).unwrap(),
        String::from_utf8(stderr).unwrap(),
    )
}

fn craft(words: &str) -> (Option<i32>, String, String) {
    run(sockwire().arg("craft").args(words.split_whitespace()))
}

/// `craft` with `input` on standard input.
fn piped(words: &str, input: &str) -> (Option<i32>, String, String) {
    let mut command = sockwire();
    command.arg("craft").args(words.split_whitespace());
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_owned();
    let writer = std::thread::spawn(move || drop(stdin.write_all(input.as_bytes())));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    (
        output.status.code(),
        String::from_utf8(output.stdout).unwrap(),
        String::from_utf8(output.stderr).unwrap(),
    )
}

const SYN: &str = "ip src=10.0.0.1 dst=10.0.0.2 ttl=5 / tcp sport=41000 dport=80 seq=1";

#[test]
fn a_lone_packet_is_a_tree_with_states_and_its_bytes() {
    let (code, out, err) =
        craft("eth / ip dst=10.0.0.2 len=999 chksum=0xdead / tcp dport=80 / text=hi");
    assert_eq!((code, err.as_str()), (Some(0), ""));
    for (field, state) in [
        ("eth.dst: 00:00:00:00:00:00", "left to the sending"),
        ("eth.type: 0x0800 (IPv4)", "computed"),
        ("ip.ttl: 64", "usual"),
        ("ip.len: 999", "given, and wrong: 42 is right"),
        ("ip.src: 0.0.0.0", "left to the sending"),
        ("ip.dst: 10.0.0.2", "given"),
        ("tcp.dstport: 80", "given"),
        ("data.data: 68:69", "given"),
    ] {
        let line = out.lines().find(|line| line.trim().starts_with(field));
        let line = line.unwrap_or_else(|| panic!("{field} is not in\n{out}"));
        assert!(line.ends_with(&format!("  {state}")), "{line}");
    }
    let checksum = out.lines().find(|line| line.contains("ip.checksum: "));
    assert!(checksum.unwrap().contains("given, and wrong: 0x"), "{out}");
    assert!(out.contains("\t0x0000:  0000 0000 0000 0000 0000 0000 0800 4500  ..............E.\n"));
    let mut tree = out.lines().skip(1);
    assert!(tree.all(|line| line.chars().count() <= 80), "{out}");
}

#[test]
fn what_begins_above_ip_is_shown_and_not_recorded() {
    let (code, out, _) = craft("tcp dport=80");
    assert_eq!(code, Some(0));
    assert!(
        out.contains("tcp.dstport: 80") && out.contains("0x0000:"),
        "{out}"
    );
    let file = scratch("above.pcapng");
    let (code, _, err) = craft(&format!("tcp dport=80 -w {}", file.display()));
    assert_eq!(code, Some(2));
    assert!(err.contains("put eth / or ip / in front"), "{err}");
    assert!(!file.exists());
}

#[test]
fn lists_make_a_product_of_lines_whose_last_list_runs_fastest() {
    let (code, out, _) = craft("ip src=10.0.0.9 dst=10.0.0.0/31 / tcp sport=1 dport=22,80..81");
    assert_eq!(code, Some(0));
    let ends: Vec<&str> = out
        .lines()
        .map(|l| l[7..].split("  ").next().unwrap())
        .collect();
    assert_eq!(
        ends,
        [
            "10.0.0.9:1 → 10.0.0.0:22",
            "10.0.0.9:1 → 10.0.0.0:80",
            "10.0.0.9:1 → 10.0.0.0:81",
            "10.0.0.9:1 → 10.0.0.1:22",
            "10.0.0.9:1 → 10.0.0.1:80",
            "10.0.0.9:1 → 10.0.0.1:81",
        ],
        "{out}"
    );
    let (_, ascii, _) = craft("--ascii ip dst=10.0.0.0/31 / tcp");
    assert!(
        ascii.is_ascii() && ascii.contains("0.0.0.0:40000 > 10.0.0.1:80"),
        "{ascii}"
    );
    let (_, tree, _) = craft("-v ip dst=10.0.0.0/31 / tcp");
    assert_eq!(tree.matches("ip.dst: 10.0.0.").count(), 2, "{tree}");
}

#[test]
fn too_many_packets_are_refused_with_the_flag_that_builds_some() {
    let (code, out, err) = craft("ip dst=10.0.0.0/8 ttl=1..255 / tcp dport=0..65535");
    assert_eq!((code, out.as_str()), (Some(2), ""));
    assert!(
        err.contains("more than 10000: -c N builds the first N"),
        "{err}"
    );
    let (code, out, _) = craft("--hex -c 3 ip dst=10.0.0.0/8 ttl=1..255 / tcp dport=0..65535");
    assert_eq!((code, out.lines().count()), (Some(0), 3));
}

#[test]
fn digits_and_records_are_for_programs() {
    let (_, out, _) = craft(&format!("--hex {SYN}"));
    let wanted =
        "45000028 00010000 0506a1cd 0a000001 0a000002 a0280050 00000001 00000000 50022000 db660000";
    assert_eq!(out, wanted.replace(' ', "") + "\n");
    let (_, json, _) = craft(&format!("--json {SYN} chksum=1"));
    let record: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(record["schema"], 1);
    assert_eq!(record["bytes"].as_str().unwrap().len(), 80);
    let state = |field: &str| {
        let states = record["states"].as_array().unwrap();
        states.iter().find(|s| s["field"] == field).unwrap().clone()
    };
    assert_eq!(state("ip.len")["state"], "computed");
    assert_eq!(state("ip.ttl")["state"], "given");
    assert_eq!(state("ip.ttl")["bits"], serde_json::json!([64, 72]));
    let checksum = state("tcp.checksum");
    assert_eq!(checksum["state"], "wrong");
    assert!(checksum["right"].as_u64().unwrap() > 1);
}

#[test]
fn wrong_words_are_told_with_a_caret_and_what_could_stand_there() {
    for (words, code, said) in [
        ("", 2, "required arguments were not provided"),
        (
            "ip dst=10.0.0.2 / tpc",
            2,
            "no layer tpc, did you mean tcp?",
        ),
        ("ip dts=1", 2, "ip has no field dts, did you mean dst?"),
        (
            "ip dst=10.0.0",
            2,
            "expected an IPv4 address such as 10.0.0.2",
        ),
        ("ip ttl=256", 2, "the field has 8 bits: at most 255"),
        ("ip ttl=9..1", 2, "9..1 counts down"),
        ("ip / / tcp", 2, "expected the name of a layer"),
        ("ip / hex=0", 2, "expected bytes in hexadecimal"),
        (
            "ip / file=/nowhere",
            2,
            "cannot read /nowhere: No such file",
        ),
        ("ip / zeros=65536", 2, "len would be 65556"),
        // What people type who know another tool, or forget a layer.
        (
            "ip dst=10.0.0.2 tcp dport=80",
            2,
            "if the layer tcp begins here, put / before it",
        ),
        (
            "dst=10.0.0.2",
            2,
            "a field stands behind its layer, as in ip dst=10.0.0.2",
        ),
        (
            "ip.dst=10.0.0.2 / tcp",
            2,
            "it is a field, so first its layer, ip dst=",
        ),
        ("ip ttl==5", 2, "one = is enough"),
        ("ip ttl = 5", 2, "expected = right behind its word"),
        (
            "ip / text",
            2,
            "no layer text: it needs a value, such as text=hello",
        ),
        ("ip / txt=hello", 2, "no layer txt, did you mean text?"),
        ("ip dst=::1", 2, "the layer for this one is ip6"),
        ("ip6 dst=10.0.0.2", 2, "the layer for this one is ip"),
        ("ip dst=example.com", 2, "names are not looked up"),
        ("ip / tcp flags=SYN", 2, "some of FSRPAUECN"),
        ("ip flags=DONT", 2, "some of MF+DF+RB+evil"),
        (
            "sr1(IP()/TCP())",
            2,
            "give the packet alone to sockwire probe",
        ),
        ("--list tpc", 2, "no layer is called tpc; did you mean tcp?"),
        (
            "--from /nowhere",
            4,
            "cannot read the specifications in /nowhere",
        ),
    ] {
        let (exit, out, err) = craft(words);
        assert_eq!((exit, out.as_str()), (Some(code), ""), "{words}: {err}");
        assert!(err.contains(said), "{words}: {err}");
    }
    let (exit, _, err) = run(sockwire().args(["craft", ""]));
    assert_eq!(exit, Some(2));
    assert!(err.contains("expected the name of a layer"), "{err}");
    let (_, _, err) = craft("ip dts=1");
    assert!(
        err.contains("\n  ip dts=1\n     ^^^\n  fields of ip: "),
        "{err}"
    );
    let lines = || err.lines().skip(3);
    assert!(
        lines().count() > 1 && lines().all(|line| line.len() <= 80),
        "{err}"
    );
}

#[test]
fn a_packet_that_reads_as_another_gets_a_note() {
    for (words, said) in [
        (
            "tcp dport=80",
            "a whole packet begins with a link layer or IP: put eth / or ip / in front",
        ),
        (
            "eth / tcp",
            "behind eth, a reader finds data, not tcp; it belongs into ip or ip6, as protocol 6",
        ),
        (
            "ip / udp dport=9 / dns qd=a.b",
            "behind udp, a reader finds data, not dns; it belongs into udp with port 53",
        ),
        (
            "ip / text=hello",
            "behind ip, a reader finds hbh, not data; ",
        ),
    ] {
        let (code, out, err) = craft(words);
        assert_eq!((code, err.lines().count()), (Some(0), 1), "{words}: {err}");
        assert!(
            out.contains("0x0000:") && err.contains(said),
            "{words}: {err}"
        );
        assert_eq!(craft(&format!("--quiet {words}")).2, "");
    }
    for words in [
        "eth / vlan / ip dst=10.0.0.2 / tcp / text=hello",
        "ip / udp dport=9 / text=hello",
        "eth / arp / text=padding",
        "ip / icmp type=3 code=1 / ip / udp",
        "ip / gre / ip6 / icmp6",
        "eth type=0x88b5 / hex=00",
    ] {
        let (code, _, err) = craft(words);
        assert_eq!((code, err.as_str()), (Some(0), ""), "{words}");
    }
}

#[test]
fn the_examples_of_the_help_run_as_written() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("examples");
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir(&folder).unwrap();
    let capture = Path::new(env!("CARGO_MANIFEST_DIR")).join("captures/handshake.pcapng");
    fs::copy(capture, folder.join("trace.pcapng")).unwrap();
    let (_, help, _) = craft("--help");
    let (_, sending, _) = run(sockwire().args(["send", "--help"]));
    let examples = help.lines().chain(sending.lines());
    let examples: Vec<&str> = examples
        .filter_map(|line| line.strip_prefix("  sockwire "))
        .map(|line| line.split("   ").next().unwrap())
        .collect();
    assert!(examples.len() > 8, "{help}");
    for example in examples {
        let program = env!("CARGO_BIN_EXE_sockwire");
        let piped = example.replace("| sockwire", &format!("| '{program}'"));
        let mut shell = Command::new("sh");
        shell
            .arg("-c")
            .arg(format!("'{program}' {piped}"))
            .current_dir(&folder);
        let (code, _, err) = run(shell.stdin(Stdio::null()));
        assert_eq!(code, Some(0), "{example}: {err}");
    }
    assert!(folder.join("request.pcapng").exists() && folder.join("same.pcapng").exists());
}

#[test]
fn hostile_words_reach_no_terminal() {
    let (code, _, err) = run(sockwire().args(["craft", "ip \u{1b}[31m=1 / \u{9b}x"]));
    assert_eq!(code, Some(2));
    assert!(
        !err.contains('\u{1b}') && !err.contains('\u{9b}'),
        "{err:?}"
    );
    let (code, _, err) = run(sockwire().args(["craft", "--list", "\u{1b}[31m"]));
    assert_eq!(code, Some(2));
    assert!(!err.contains('\u{1b}'), "{err:?}");
}

#[test]
fn specifications_come_one_a_line_and_faults_name_theirs() {
    let input = format!("# two packets\n\n{SYN}\n  # and\n{SYN} flags=R\r\n");
    let (code, out, err) = piped("-", &input);
    assert_eq!((code, err.as_str()), (Some(0), ""));
    assert_eq!(out.lines().count(), 2);
    let (code, out, err) = piped("-", &format!("{SYN}\nip ttl=x\n{SYN}\n"));
    assert_eq!((code, out.lines().count()), (Some(2), 1), "{err}");
    assert!(
        err.contains("standard input, line 2: bad specification"),
        "{err}"
    );
    let (code, _, err) = piped("-", "# nothing\n");
    assert_eq!(
        (code, err.as_str()),
        (Some(1), "there is no specification\n")
    );
    let (code, _, err) = piped("-", &"x".repeat(1 << 21));
    assert_eq!(code, Some(2));
    assert!(err.contains("line 1: longer than 1 MiB"), "{err}");
    let file = scratch("specs.txt");
    fs::write(&file, input).unwrap();
    let (code, out, _) = craft(&format!("--from {}", file.display()));
    assert_eq!((code, out.lines().count()), (Some(0), 2));
}

#[test]
fn a_closed_pipe_is_a_clean_end() {
    let mut child = sockwire()
        .args([
            "craft",
            "--hex",
            "-c",
            "1000000",
            "ip",
            "dst=10.0.0.0/8",
            "/",
            "udp",
        ])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert!(output.stderr.is_empty(), "{output:?}");
}

#[test]
fn a_recording_has_the_packets_and_replaces_nothing_unasked() {
    let file = scratch("crafted.pcapng");
    let name = file.display();
    let (code, out, err) = craft(&format!(
        "ip dst=10.0.0.0/30 / udp -w {name} --time 1700000000.5"
    ));
    assert_eq!((code, out.as_str(), err.as_str()), (Some(0), "", ""));
    let (_, lines, _) = run(sockwire().args(["read", "-tt"]).arg(&file));
    assert_eq!(lines.lines().count(), 4);
    assert!(lines.contains(" 1700000000.500003 "), "{lines}");
    let before = fs::read(&file).unwrap();
    let (code, _, err) = craft(&format!("ip / udp -w {name}"));
    assert_eq!(code, Some(6));
    assert!(err.contains("--force"), "{err}");
    assert_eq!(fs::read(&file).unwrap(), before);
    let (code, _, _) = craft(&format!("ip / udp -w {name} --force"));
    assert_eq!(code, Some(0));
    assert!(fs::read(&file).unwrap().len() < before.len());
    // A pcap file has one link type.
    let pcap = scratch("crafted.pcap");
    let (code, _, err) = piped(
        &format!("- -w {}", pcap.display()),
        "ip / udp\neth / ip / udp\n",
    );
    assert_eq!(code, Some(6));
    assert!(err.contains("packet 2"), "{err}");
}

#[test]
fn the_tables_list_layers_and_words() {
    let (code, out, _) = craft("--list");
    assert_eq!(code, Some(0));
    for layer in ["eth, ether", "ip, ipv4", "tcp ", "text= "] {
        assert!(
            out.lines().any(|line| line.starts_with(layer)),
            "{layer}: {out}"
        );
    }
    let (_, out, _) = craft("--list tcp");
    assert!(
        out.contains("  dport=0..65535  (80)\n") && out.contains("tcp.dstport"),
        "{out}"
    );
    assert!(out.contains("  chksum=0..65535  (computed)\n"), "{out}");
    assert!(out.contains("  mss=N\n"), "{out}");
    assert!(out.contains("  hdr_len=0..60  (computed)\n  "), "{out}");
    assert!(out.contains("  dataofs=0..15  (computed)\n  "), "{out}");
    let (_, ip, _) = craft("--list ip");
    assert!(ip.contains("  ttl=0..255  (computed, else 64)\n"), "{ip}");
    let (_, text, _) = craft("--list text");
    assert!(text.starts_with("text=  Bytes: text=hello"), "{text}");
    // Each field has one row, however many forms the header has.
    for layer in ["eth", "llc", "gre", "ppp", "cmd", "sll"] {
        let (_, rows, _) = craft(&format!("--list {layer} --json"));
        let rows: Vec<serde_json::Value> = rows
            .lines()
            .map(|row| serde_json::from_str(row).unwrap())
            .collect();
        let fields = rows.iter().filter(|row| !row["field"].is_null());
        let mut seen: Vec<String> = fields
            .map(|row| format!("{}{}", row["words"], row["field"]))
            .collect();
        let all = seen.len();
        seen.sort();
        seen.dedup();
        assert_eq!(seen.len(), all, "{layer}");
    }
    assert!(out.lines().all(|line| line.chars().count() <= 80), "{out}");
    let (_, json, _) = craft("--list tcp --json");
    for line in json.lines() {
        let entry: serde_json::Value = serde_json::from_str(line).unwrap();
        assert!(entry["words"].is_array(), "{line}");
    }
}

#[test]
fn every_packet_of_the_captures_survives_being_said_in_words() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("captures");
    let mut packets = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let file = entry.unwrap().path();
        if file.extension().is_none_or(|e| e != "pcapng") {
            continue;
        }
        let (code, words, err) = run(sockwire().args(["read", "--as", "craft"]).arg(&file));
        assert_eq!(code, Some(0), "{err}");
        assert!(err.contains("bytes of headers"), "{err}");
        let shown = |c: char| c == '\n' || c == ' ' || c.is_ascii_graphic();
        assert!(words.chars().all(shown), "{words:?}");
        let again = scratch("again.pcapng");
        let (code, _, err) = piped(&format!("- -w {}", again.display()), &words);
        assert_eq!((code, err.as_str()), (Some(0), ""));
        let dump = |file: &Path| run(sockwire().args(["read", "-txx"]).arg(file)).1;
        let json = |file: &Path| {
            let (_, out, _) = run(sockwire().args(["read", "--json"]).arg(file));
            let records = out.lines().map(|line| {
                let mut record: serde_json::Value = serde_json::from_str(line).unwrap();
                record["layers"][0].take();
                record
            });
            records.collect::<Vec<_>>()
        };
        assert_eq!(dump(&again), dump(&file), "{}", file.display());
        assert_eq!(json(&again).len(), json(&file).len());
        packets += words.lines().count();
    }
    assert!(packets > 80, "{packets}");
}

#[test]
fn words_of_packets_pass_a_shell_without_quotes() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("captures");
    for entry in fs::read_dir(folder).unwrap() {
        let file = entry.unwrap().path();
        if file.extension().is_none_or(|e| e != "pcapng") {
            continue;
        }
        let (_, words, _) = run(sockwire().args(["read", "--as", "craft"]).arg(&file));
        let script: String = words.lines().map(|line| format!("echo {line}\n")).collect();
        let (code, echoed, err) = run(Command::new("sh").arg("-c").arg(script));
        assert_eq!((code, err.as_str()), (Some(0), ""), "{}", file.display());
        assert_eq!(echoed, words, "{}", file.display());
    }
}

#[test]
fn with_v_each_packet_has_a_comment_that_craft_passes_over() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("captures/handshake.pcapng");
    let (_, words, _) = run(sockwire().args(["read", "--as", "craft", "-v"]).arg(&file));
    assert!(words.starts_with("# 1 at "), "{words}");
    let (code, out, _) = piped("--hex -", &words);
    assert_eq!(
        (code, out.lines().count() * 2),
        (Some(0), words.lines().count())
    );
    let (code, _, err) = run(sockwire()
        .args(["read", "--as", "craft", "--json"])
        .arg(&file));
    assert_eq!(code, Some(2));
    assert!(err.contains("cannot be used with"), "{err}");
}
