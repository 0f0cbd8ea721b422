//! `sockwire read` as a script meets it: exit codes, pipes that close, full disks, colour, and what is written where.
#![allow(clippy::unwrap_used)]

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    os::unix::process::ExitStatusExt,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    thread,
    time::{Duration, Instant},
};

use nix::{
    sys::{
        signal::{Signal, kill},
        stat::Mode,
    },
    unistd::{Pid, mkfifo},
};

/// Ethernet, IPv4, UDP from 10.0.0.1:5353 to 10.0.0.2:53 with `hello`.
const UDP: &str = "02000000000202000000000108004500002100010000401166c90a0000010a00000214e90035000d000068656c6c6f";

/// A pcap file of `count` such packets, 1 ms apart, its last `cut` bytes missing.
fn pcap(name: &str, count: u32, cut: usize) -> PathBuf {
    let frame = hex::decode(UDP).unwrap();
    let mut file = Vec::new();
    for word in [0xa1b2_c3d4_u32, 0x0004_0002, 0, 0, 262_144, 1] {
        file.extend_from_slice(&word.to_le_bytes());
    }
    for n in 0..count {
        let length = frame.len() as u32;
        for word in [1_700_000_000 + n / 1000, n % 1000 * 1000, length, length] {
            file.extend_from_slice(&word.to_le_bytes());
        }
        file.extend_from_slice(&frame);
    }
    file.truncate(file.len() - cut);
    let path = scratch(name);
    fs::write(&path, file).unwrap();
    path
}

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
    command.env("TZ", "UTC").stdin(Stdio::null());
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

fn read(words: &[&str], file: &Path) -> (Option<i32>, String, String) {
    run(sockwire().arg("read").args(words).arg(file))
}

#[test]
fn one_line_a_packet_and_nothing_on_stderr() {
    let (code, out, talk) = read(&[], &pcap("lines.pcap", 2, 0));
    assert_eq!((code, talk.as_str()), (Some(0), ""));
    assert_eq!(
        out,
        "    1  0.000000  10.0.0.1:5353 → 10.0.0.2:53  UDP  len=5\n    \
             2  0.001000  10.0.0.1:5353 → 10.0.0.2:53  UDP  len=5\n"
    );
}

#[test]
fn the_letter_r_and_standard_input_read_the_same() {
    let file = pcap("same.pcap", 3, 0);
    let (_, plain, _) = read(&["-nn"], &file);
    let (_, letter, _) = run(sockwire().args(["read", "udp", "-r"]).arg(&file));
    assert_eq!(letter, plain);
    let piped = sockwire()
        .args(["read", "-"])
        .stdin(fs::File::open(&file).unwrap())
        .output()
        .unwrap();
    assert_eq!(String::from_utf8(piped.stdout).unwrap(), plain);
}

#[test]
fn filters_count_and_keep_the_files_numbers() {
    let file = pcap("count.pcap", 5, 0);
    let (code, out, _) = run(sockwire()
        .arg("read")
        .arg(&file)
        .args(["-c", "2", "port", "53"]));
    assert_eq!((code, out.lines().count()), (Some(0), 2));
    let (code, out, talk) = run(sockwire().arg("read").arg(&file).arg("tcp"));
    let none = "none of 5 packets matched\n";
    assert_eq!((code, out.as_str(), talk.as_str()), (Some(1), "", none));
    let (code, _, talk) = run(sockwire().arg("read").arg(&file).args(["tcp", "--quiet"]));
    assert_eq!((code, talk.as_str()), (Some(1), ""));
    let (code, _, talk) = run(sockwire().arg("read").arg(&file).arg("tcp.port == 80"));
    assert_eq!(code, Some(2));
    assert!(
        talk.contains("display filter") && talk.contains(": tcp port 80\n"),
        "{talk}"
    );
    let (code, _, talk) = run(sockwire().arg("read").arg(&file).args(["prt", "53"]));
    assert_eq!(code, Some(2));
    assert!(talk.contains("prt 53\n") && talk.contains("^^^"), "{talk}");
}

#[test]
fn wrong_words_are_refused_with_the_near_one() {
    let file = pcap("words.pcap", 1, 0);
    let (code, out, talk) = read(&["--jsno"], &file);
    assert_eq!((code, out.as_str()), (Some(2), ""));
    assert!(talk.contains("--json"), "{talk}");
    assert_eq!(read(&["-c", "0"], &file).0, Some(2));
    assert_eq!(read(&["-tttttt"], &file).0, Some(2));
    assert_eq!(run(sockwire().arg("read")).0, Some(2));
}

#[test]
fn a_missing_file_is_told_from_a_damaged_one() {
    let (code, out, talk) = read(&[], Path::new("/no/such/file.pcap"));
    assert_eq!((code, out.as_str()), (Some(4), ""));
    assert!(talk.contains("/no/such/file.pcap"), "{talk}");
    let text = scratch("text.pcap");
    fs::write(&text, "not a capture at all").unwrap();
    assert_eq!(read(&[], &text).0, Some(5));
}

#[test]
fn what_was_good_before_the_fault_is_shown() {
    let (code, out, talk) = read(&[], &pcap("damaged.pcap", 3, 10));
    assert_eq!(code, Some(5));
    assert!(out.lines().count() >= 2, "{out}");
    assert!(talk.contains("packet 3, byte "), "{talk}");
}

#[test]
fn a_closed_pipe_is_a_clean_end() {
    let file = pcap("closed.pcap", 200_000, 0);
    let mut child = sockwire()
        .args(["read", "-v"])
        .arg(&file)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut first = String::new();
    BufReader::new(child.stdout.take().unwrap())
        .read_line(&mut first)
        .unwrap();
    assert!(first.starts_with("    1  "), "{first}");
    // The pipe is closed here: the reader has been dropped.
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), output.stderr), (Some(0), Vec::new()));
}

#[test]
fn a_full_disk_is_told_however_little_was_to_be_written() {
    let file = pcap("full.pcap", 1, 0);
    for words in [
        vec!["read"],
        vec!["read", "--json"],
        vec!["read", "-w", "/dev/full"],
        vec!["protocols"],
    ] {
        let full = fs::File::options().write(true).open("/dev/full").unwrap();
        let mut command = sockwire();
        command.args(&words).stdout(full);
        if words[0] == "read" {
            command.arg("-r").arg(&file);
        }
        let output = command.output().unwrap();
        assert_eq!(output.status.code(), Some(6), "{words:?}");
        assert!(!output.stderr.is_empty());
    }
}

#[test]
fn a_closed_stderr_changes_nothing() {
    let full = fs::File::options().write(true).open("/dev/full").unwrap();
    let status = sockwire()
        .args(["read", "/no/such/file.pcap"])
        .stderr(full)
        .status()
        .unwrap();
    assert_eq!(status.code(), Some(4));
}

#[test]
fn escapes_are_written_only_where_they_are_wanted() {
    let file = pcap("colour.pcap", 1, 0);
    for (words, variable, wanted) in [
        (&[][..], None, false),
        (&["--color=always"][..], None, true),
        (&["--color=always"][..], Some("NO_COLOR"), true),
        (&["--color=never"][..], Some("CLICOLOR_FORCE"), false),
        (&[][..], Some("CLICOLOR_FORCE"), true),
    ] {
        let mut command = sockwire();
        command.args(["read", "-v"]).args(words).arg(&file);
        if let Some(name) = variable {
            command.env(name, "1");
        }
        let (_, out, _) = run(&mut command);
        assert_eq!(out.contains('\x1b'), wanted, "{words:?} {variable:?}");
    }
    let (_, plain, _) = read(&["-vv", "--ascii"], &file);
    assert!(plain.is_ascii(), "{plain}");
}

#[test]
fn bytes_look_as_tcpdump_shows_them() {
    let (_, out, _) = read(&["-X"], &pcap("bytes.pcap", 1, 0));
    assert!(
        out.ends_with(
            "\t0x0000:  4500 0021 0001 0000 4011 66c9 0a00 0001  E..!....@.f.....\n\
             \t0x0010:  0a00 0002 14e9 0035 000d 0000 6865 6c6c  .......5....hell\n\
             \t0x0020:  6f                                       o\n"
        ),
        "{out}"
    );
    let (_, out, _) = read(&["-xx"], &pcap("bytes2.pcap", 1, 0));
    assert!(out.contains("\t0x0000:  0200 0000 0002 0200 "), "{out}");
}

#[test]
fn json_is_one_object_a_line() {
    let (_, out, _) = read(&["--json"], &pcap("json.pcap", 3, 0));
    assert_eq!(out.lines().count(), 3);
    for (index, line) in out.lines().enumerate() {
        let value: serde_json::Value = serde_json::from_str(line).unwrap();
        assert_eq!(value["layers"][0]["frame.number"], index + 1);
        assert_eq!(value["layers"][3]["udp.dstport"], 53);
    }
}

#[test]
fn what_is_recorded_reads_back_the_same() {
    let file = pcap("original.pcap", 4, 0);
    let (_, lines, _) = read(&[], &file);
    for name in ["copy.pcapng", "copy.pcap"] {
        let copy = scratch(name);
        let (code, out, _) = run(sockwire().arg("read").arg("-w").arg(&copy).arg(&file));
        assert_eq!((code, out.as_str()), (Some(0), ""));
        assert_eq!(read(&[], &copy).1, lines);
        // A file that is there stays as it is, unless --force says otherwise; and the input is never the output.
        let before = fs::read(&copy).unwrap();
        let (code, _, talk) = run(sockwire()
            .args(["read", "-c", "1", "-w"])
            .arg(&copy)
            .arg(&file));
        assert_eq!(code, Some(6));
        assert!(talk.contains("--force"), "{talk}");
        let (code, _, _) = run(sockwire()
            .args(["read", "--force", "-w"])
            .arg(&copy)
            .arg(&copy));
        assert_eq!(code, Some(2));
        assert_eq!(fs::read(&copy).unwrap(), before);
        let (code, out, _) = run(sockwire()
            .args(["read", "-c", "1", "--force", "--print", "-w"])
            .arg(&copy)
            .arg(&file));
        assert_eq!((code, out.lines().count()), (Some(0), 1));
        assert_eq!(read(&[], &copy).1.lines().count(), 1);
    }
}

#[test]
fn a_slow_pipe_is_shown_as_it_comes() {
    let file = fs::read(pcap("slow.pcap", 2, 0)).unwrap();
    let first = 24 + 16 + UDP.len() / 2;
    let mut child = sockwire()
        .args(["read", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut to = child.stdin.take().unwrap();
    let mut from = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    to.write_all(&file[..first]).unwrap();
    from.read_line(&mut line).unwrap();
    assert!(line.starts_with("    1  "), "{line}");
    to.write_all(&file[first..]).unwrap();
    drop(to);
    line.clear();
    from.read_line(&mut line).unwrap();
    assert!(line.starts_with("    2  "), "{line}");
    assert!(child.wait().unwrap().success());
}

/// Starts the program, waits until it sleeps in the kernel, and ends it as Ctrl-C does.
fn interrupted(command: &mut Command) -> (Option<i32>, String) {
    let child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let pid = child.id();
    let catches_and_sleeps = || {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let of = |key: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(key));
            line.unwrap().trim().to_owned()
        };
        let caught = u64::from_str_radix(&of("SigCgt:"), 16).unwrap();
        caught & 2 != 0 && of("State:").starts_with('S')
    };
    for _ in 0..100 {
        if catches_and_sleeps() {
            break;
        }
        thread::sleep(Duration::from_millis(20));
    }
    thread::sleep(Duration::from_millis(50));
    kill(Pid::from_raw(pid as i32), Signal::SIGINT).unwrap();
    let began = Instant::now();
    let mut child = child;
    while child.try_wait().unwrap().is_none() {
        if began.elapsed() > Duration::from_secs(5) {
            child.kill().unwrap();
        }
        thread::sleep(Duration::from_millis(10));
    }
    let output = child.wait_with_output().unwrap();
    (
        output.status.code(),
        String::from_utf8(output.stderr).unwrap(),
    )
}

#[test]
fn an_interrupt_ends_the_wait_for_the_other_end_of_a_pipe() {
    let fifo = scratch("waited.fifo");
    mkfifo(&fifo, Mode::S_IRUSR | Mode::S_IWUSR).unwrap();
    let file = pcap("waiting.pcap", 1, 0);
    let fifo = fifo.to_str().unwrap();
    let file = file.to_str().unwrap();
    for words in [
        &["read", fifo][..],
        &["watch", "-r", fifo],
        &["read", "-"],
        &["read", "-", "tcp"],
        &["watch", "-r", "-", "-w", fifo],
        &["read", file, "-w", fifo],
        &["watch", file, "-w", fifo],
        &["lab", "handshake", "--ground", "smoltcp", "-w", fifo],
    ] {
        // Nobody writes to this standard input.
        let ended = interrupted(sockwire().args(words).stdin(Stdio::piped()));
        assert_eq!(ended, (Some(0), String::new()), "{words:?}");
    }
    // Something came, but nothing that matches, and no end.
    let (from, to) = std::io::pipe().unwrap();
    (&to).write_all(&fs::read(file).unwrap()).unwrap();
    let ended = interrupted(sockwire().args(["read", "-", "tcp"]).stdin(from));
    assert_eq!(ended, (Some(0), String::new()));
}

#[test]
fn watching_a_file_tells_by_its_code_whether_anything_matched() {
    let file = pcap("watched.pcap", 2, 0);
    let watch = |words: &[&str]| run(sockwire().args(["watch", "-r"]).arg(&file).args(words));
    let (code, out, talk) = watch(&["port", "53"]);
    assert_eq!((code, talk.as_str()), (Some(0), "U1 unanswered.\n"));
    assert!(out.contains("5 bytes \"hello\""), "{out}");
    let (code, out, talk) = watch(&["tcp"]);
    let none = "none of 2 packets matched\n";
    assert_eq!((code, out.as_str(), talk.as_str()), (Some(1), "", none));
    // Recorded, too, and never onto the ladder.
    let copy = scratch("watched-copy.pcapng");
    let (code, _, _) = watch(&["-w", copy.to_str().unwrap()]);
    assert_eq!(code, Some(0));
    assert_eq!(read(&[], &copy).1, read(&[], &file).1);
    assert_eq!(watch(&["-w", "-"]).0, Some(2));
}

#[test]
fn a_decompression_bomb_is_stopped_unless_told_otherwise() {
    // One packet of 256 KiB of zeros, packed once and repeated to 80 MiB.
    let plain = fs::read(pcap("bomb.pcap", 0, 0)).unwrap();
    let mut packet = Vec::new();
    for word in [1_700_000_000_u32, 0, 262_144, 262_144] {
        packet.extend_from_slice(&word.to_le_bytes());
    }
    packet.resize(packet.len() + 262_144, 0);
    let packed = zstd::encode_all(packet.as_slice(), 3).unwrap().repeat(320);
    let bomb = scratch("bomb.pcap.zst");
    let head = zstd::encode_all(plain.as_slice(), 3).unwrap();
    fs::write(&bomb, [head, packed].concat()).unwrap();
    for command in [&["read", "-r"][..], &["watch", "-r"]] {
        let (code, _, talk) = run(sockwire().args(command).arg(&bomb));
        assert_eq!(code, Some(5), "{command:?}");
        assert!(talk.contains("--no-limit"), "{talk}");
        let (code, _, talk) = run(sockwire().args(command).arg(&bomb).arg("--no-limit"));
        assert_eq!((code, talk.as_str()), (Some(0), ""), "{command:?}");
    }
}

#[test]
fn help_begins_with_examples() {
    for words in [
        &["read", "--help"][..],
        &["read", "-h"],
        &["protocols", "--help"],
        &["protocols", "-h"],
        &["help", "read"],
        &["help"],
        &["--help"],
        &["-h"],
    ] {
        let (code, out, _) = run(sockwire().args(words));
        assert_eq!(code, Some(0));
        assert!(out.starts_with("Examples:\n  sockwire "), "{out}");
    }
}

#[test]
fn help_says_who_can_read_a_recording() {
    for command in ["capture", "read", "watch", "lab"] {
        let (_, out, _) = run(sockwire().args([command, "--help"]));
        let words: Vec<&str> = out.split_whitespace().collect();
        assert!(words.join(" ").contains("readable by you only"), "{out}");
    }
}

#[test]
fn a_file_needs_no_command() {
    let file = pcap("no-command", 3, 0);
    let told = read(&["-n"], &file);
    assert_eq!(told.1.lines().count(), 3, "{told:?}");
    assert_eq!(run(sockwire().arg(&file)), told);
    assert_eq!(run(sockwire().arg("-nr").arg(&file)), told);
    assert_eq!(run(sockwire().arg("-r").arg(&file).arg("-n")), told);
}

#[test]
fn lists_fit_a_terminal() {
    for words in [&["interfaces"][..], &["protocols"], &["protocols", "tcp"]] {
        let (code, out, _) = run(sockwire().args(words));
        assert_eq!(code, Some(0));
        for line in out.lines() {
            assert_eq!(line, line.trim_end(), "{words:?}");
            assert!(line.chars().count() <= 80, "{line}");
        }
    }
    let (code, out, _) = run(sockwire().args(["protocols", "tcp.flags"]));
    assert_eq!(code, Some(0));
    assert!(
        out.starts_with("tcp.flags") && out.contains("tcp.flags.syn "),
        "{out}"
    );
}

#[test]
fn protocols_can_be_told_in_ascii() {
    let (code, out, _) = run(sockwire().args(["protocols", "--ascii"]));
    assert_eq!(code, Some(0));
    assert!(out.is_ascii() && out.contains("section 5.3"), "{out}");
}
