//! The comparison as a user meets it: what arrives over each kind of socket, with loss and without, and how it is told.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod beside;
mod lan;

use std::{
    collections::BTreeSet,
    io::{self, BufRead, BufReader},
    os::unix::process::CommandExt,
    process::{Command, Output, Stdio},
};

use beside::on_terminal;
use lan::{Temporary, printed_in_lab, testing};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::Value;
use sockwire::{
    file,
    frame::{Source, Step},
    time::Time,
};

const PROGRAM: &str = env!("CARGO_BIN_EXE_sockwire");

/// Runs `compare`; as an ordinary user where that is asked for and this one is root.
fn run(words: &str, ordinary: bool) -> io::Result<Output> {
    let mut command = Command::new(PROGRAM);
    if ordinary && nix::unistd::geteuid().is_root() {
        command.uid(65_534).gid(65_534);
    }
    let words = words.split_whitespace();
    command.arg("compare").args(words).output()
}

/// What a run printed; nothing where there are no private networks.
fn shown(words: &str, ordinary: bool) -> Option<String> {
    match run(words, ordinary) {
        Ok(output) => printed_in_lab(output),
        Err(error) => {
            testing::skipped(format_args!("cannot become an ordinary user: {error}"));
            None
        }
    }
}

/// The three objects of `--json`, in order.
fn figures(words: &str, ordinary: bool) -> Option<[Value; 3]> {
    let text = shown(&format!("--json {words}"), ordinary)?;
    let objects = text.lines().map(|line| serde_json::from_str(line).unwrap());
    let objects: [Value; 3] = objects.collect::<Vec<_>>().try_into().unwrap();
    let kinds = objects.each_ref().map(|object| object["kind"].clone());
    assert_eq!(kinds, ["stream", "datagram", "raw"]);
    for object in &objects {
        assert_eq!(object["ended"], Value::Null, "{object}");
    }
    Some(objects)
}

/// Sent, arrived and arrived in order, of messages or answers.
fn course(figures: &Value, which: &str) -> [u64; 3] {
    ["sent", "arrived", "in_order"].map(|name| figures[which][name].as_u64().unwrap())
}

fn both(figures: &Value, which: &str) -> u64 {
    let of = |host: &str| figures[which][host].as_u64().unwrap();
    of("client") + of("server")
}

#[test]
fn without_loss_everything_arrives_and_only_datagrams_keep_boundaries() {
    for (words, ordinary) in [("--count 2", false), ("--count 2 -6 --payload 1", true)] {
        let Some(all) = figures(words, ordinary) else {
            return;
        };
        for one in &all {
            for which in ["messages", "answers"] {
                assert_eq!(course(one, which), [5, 5, 5], "{one}");
            }
            assert_eq!(both(one, "lost"), 0, "{one}");
            assert!(
                one["round_trip_ms"]["min"].as_f64().unwrap() >= 20.0,
                "{one}"
            );
        }
        let [stream, datagram, raw] = &all;
        for tcp in [stream, raw] {
            assert_eq!(tcp["burst"]["receives"], serde_json::json!([11]), "{tcp}");
            assert_eq!(tcp["boundaries_kept"], false);
            assert!(tcp["handshake_ms"].as_f64().unwrap() >= 20.0, "{tcp}");
        }
        let receives = &datagram["burst"]["receives"];
        assert_eq!(*receives, serde_json::json!([3, 3, 5]), "{datagram}");
        assert_eq!(datagram["boundaries_kept"], true);
        assert_eq!(datagram["handshake_ms"], Value::Null);
        // Five there and five back.
        assert_eq!(both(datagram, "packets"), 10, "{datagram}");
        assert_eq!(datagram["calls"]["client"]["sendto"], 5);
        assert_eq!(stream["calls"]["client"]["connect"], 1);
        let by_hand = &raw["by_hand"];
        assert_eq!(by_hand["sent"], raw["packets"]["client"], "{raw}");
        // On a busy machine the server's kernel may send once more what nobody reads any longer.
        let [heard, came] = [&by_hand["heard"], &raw["packets"]["server"]].map(Value::as_u64);
        assert!(heard > Some(5) && heard <= came, "{raw}");
    }
}

#[test]
fn a_lost_frame_is_repaired_by_the_kernel_by_nobody_and_by_the_program() {
    // The seventh datagram is the first long message; the third segment with data is another one for each TCP.
    let Some([stream, datagram, raw]) = figures("--count 3 --drop data:3 --drop udp:7", false)
    else {
        return;
    };
    for tcp in [&stream, &raw] {
        assert_eq!(course(tcp, "messages"), [6, 6, 6], "{tcp}");
        assert_eq!(course(tcp, "answers"), [6, 6, 6], "{tcp}");
        assert_eq!(both(tcp, "lost"), 1, "{tcp}");
        assert!(both(tcp, "sent_again") >= 1, "{tcp}");
    }
    // "one", "two", and then "three" by hand.
    assert!(raw["sent_again"]["client"].as_u64().unwrap() >= 1, "{raw}");
    assert_eq!(course(&datagram, "messages"), [6, 5, 5], "{datagram}");
    assert_eq!(course(&datagram, "answers"), [5, 5, 5], "{datagram}");
    assert_eq!(both(&datagram, "sent_again"), 0);
    let repairs = [stream, datagram, raw].map(|one| one["repaired_by"].clone());
    assert_eq!(repairs, ["kernel", "nobody", "program"]);
}

#[test]
fn a_lost_part_of_the_burst_is_missed() {
    let Some(text) = shown("--count 1 --drop udp:2", false) else {
        return;
    };
    let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
    for part in [
        "nobody sent anything again and 1 of 7 messages and answers never arrived;",
        "as datagrams 2 receives returned 3, 5 bytes (3 packets)",
        "the wire dropped packet 2: second datagram",
    ] {
        assert!(words.contains(part), "{part}: {text}");
    }
}

#[test]
fn with_loss_by_chance_the_streams_still_deliver_all() {
    let Some([stream, datagram, raw]) = figures("--count 8 --loss 8 --seed 3", false) else {
        return;
    };
    for tcp in [&stream, &raw] {
        assert_eq!(course(tcp, "messages"), [11, 11, 11], "{tcp}");
        assert_eq!(course(tcp, "answers"), [11, 11, 11], "{tcp}");
    }
    // Each datagram is a frame: each lost one is a message or an answer that is missing.
    let [sent, arrived, _] = course(&datagram, "messages");
    let [answered, back, _] = course(&datagram, "answers");
    let missing = sent - arrived + answered - back;
    assert_eq!(missing, both(&datagram, "lost"), "{datagram}");
}

#[test]
fn what_is_counted_is_what_the_recording_has() {
    for suffix in ["pcapng", "pcap"] {
        let file = Temporary::new(&format!("compare.{suffix}"));
        let path = file.0.to_str().unwrap();
        // Fragments and segments, and a lost one of each.
        let words = format!("--count 2 --payload 4000 --drop fragment:2 --drop data:4 -w {path}");
        let Some(all) = figures(&words, false) else {
            return;
        };
        let mut reader = file::open(&file.0).unwrap();
        let mut counted = [(0_u64, 0_u64); 3];
        let mut comments = 0;
        while let Step::Batch(batch) = reader.next(Time::MAX).unwrap() {
            for (index, frame) in batch.frames().enumerate() {
                let (packets, bytes) = &mut counted[frame.interface as usize];
                *packets += 1;
                *bytes += u64::from(frame.wire_len);
                comments += batch.comments_of(index).count();
            }
        }
        let told = all.each_ref().map(|one| {
            let bytes = one["bytes_on_wire"].as_u64().unwrap();
            (both(one, "packets"), bytes)
        });
        match suffix {
            "pcapng" => assert_eq!((counted, comments), (told, 3)),
            _ => assert_eq!(counted[0].0, told.iter().map(|one| one.0).sum::<u64>()),
        }
        // 4000 bytes are three fragments; the lost one takes its message with it.
        assert_eq!(course(&all[1], "messages"), [5, 4, 4], "{}", all[1]);
    }
}

#[test]
fn the_keys_of_json_stay() {
    let Some(all) = figures("--count 1 --delay 0", false) else {
        return;
    };
    let expected: BTreeSet<&str> = "answers boundaries_kept burst by_hand bytes_on_wire bytes_received calls count \
        delay_ms drops duplicate_percent ended handshake_ms ip_version kind loss_percent lost messages overhead_percent packets payload \
        repaired_by round_trip_ms schema seed sent_again timeouts total_ms"
        .split_whitespace()
        .collect();
    for one in &all {
        let keys: BTreeSet<&str> = one
            .as_object()
            .unwrap()
            .keys()
            .map(String::as_str)
            .collect();
        assert_eq!(keys, expected);
        assert_eq!((&one["schema"], &one["count"]), (&1.into(), &1.into()));
    }
}

#[test]
fn markdown_is_a_table() {
    let Some(text) = shown("--count 1 --markdown --calls --drop data:1", false) else {
        return;
    };
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[0], "| | stream | datagram | raw |");
    assert_eq!(lines[1], "|---|---|---|---|");
    assert!(lines.len() >= 20, "{text}");
    for line in lines {
        let edges = line.starts_with('|') && line.ends_with('|');
        assert!(edges && line.matches('|').count() == 5, "{line}");
    }
}

#[test]
fn the_ladders_are_drawn_for_few_messages_and_folded_for_many() {
    let Some(few) = shown("--count 2", true) else {
        return;
    };
    assert!(
        few.contains("== raw ==") && few.contains("SYN-SENT"),
        "{few}"
    );
    assert!(few.lines().all(|line| line.chars().count() <= 80), "{few}");
    let many = shown("--count 30 --delay 1 --ladder --ascii", false).unwrap();
    assert!(
        many.contains("lines are left out") && many.is_ascii(),
        "{many}"
    );
    let none = shown("--count 4 --delay 1", false).unwrap();
    assert!(!none.contains("== raw =="), "{none}");
}

/// Through a terminal, as `script` makes one.
#[test]
fn a_narrow_terminal_is_respected() {
    for columns in [60, 40] {
        let line = format!(
            "stty cols {columns} rows 9; {PROGRAM} --color never compare --count 4 --delay 1 --calls"
        );
        let Some(mut terminal) = on_terminal(&line) else {
            return testing::skipped("no script command here");
        };
        let done = terminal.stdin(Stdio::null()).output().unwrap();
        let text = String::from_utf8(done.stdout).unwrap().replace('\r', "");
        if text.contains("cannot make a private network") {
            return testing::skipped(text);
        }
        assert!(text.contains("overhead"), "{text}");
        assert!(
            text.lines().all(|line| line.chars().count() <= columns),
            "{text}"
        );
    }
}

#[test]
fn wrong_words_are_refused_with_what_was_expected() {
    for (words, wanted) in [
        ("--payload 0", "a number from 1 to 65507"),
        ("--payload 65508", "a number from 1 to 65507"),
        ("--count 1001", "a number from 1 to 1000"),
        ("--loss 101", "from 0 to 100"),
        ("--drop sin", "no kind of frame is called"),
        ("--json --markdown", "cannot be used with"),
        ("-w -", "give -w the name of a file"),
    ] {
        let output = run(words, false).unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{words}: {said}");
        assert!(said.contains(wanted), "{words}: {said}");
    }
}

#[test]
fn where_namespaces_are_forbidden_it_says_why() {
    for (words, code, part) in [
        ("", 3, "max_user_namespaces"),
        ("", 3, "sockwire doctor"),
        // Wrong words come first.
        ("-w -", 2, "give -w the name of a file"),
    ] {
        let script = format!(
            "echo 0 > /proc/sys/user/max_user_namespaces && exec setpriv --bounding-set=-all --inh-caps=-all --no-new-privs {PROGRAM} compare {words}"
        );
        let output = Command::new("unshare")
            .args(["-Ur", "sh", "-c", &script])
            .output();
        let said = match &output {
            Ok(output) => String::from_utf8_lossy(&output.stderr).into_owned(),
            Err(error) => format!("unshare: {error}"),
        };
        if said.contains("unshare:") {
            return testing::skipped(format_args!(
                "namespaces cannot be switched off here: {said}"
            ));
        }
        assert_eq!(output.unwrap().status.code(), Some(code), "{said}");
        assert!(said.contains(part), "{words}: {said}");
    }
}

#[test]
fn one_ctrl_c_ends_it_with_what_there_is() {
    let mut child = Command::new(PROGRAM)
        .args(["compare", "--count", "1000"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    said.read_line(&mut line).unwrap();
    if line.contains("cannot make a private network") {
        child.wait().unwrap();
        return testing::skipped(line);
    }
    assert_eq!(line, "stream: 20 s and more (Ctrl-C ends)\n");
    kill(Pid::from_raw(child.id().cast_signed()), Signal::SIGINT).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(
        text.contains("stopped") && !text.contains("datagram  "),
        "{text}"
    );
}
