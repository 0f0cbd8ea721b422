//! The lab as a user meets it: what is printed and recorded, on each ground, and that nothing stays behind.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod lan;

use std::{
    collections::BTreeSet,
    fs,
    process::{Child, Command, Output, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

use etherparse::{SlicedPacket, TransportSlice};
use lan::{Scratch, private_network, testing};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use sockwire::{
    file,
    frame::{Source, Step},
    time::Time,
};

const PROGRAM: &str = env!("CARGO_BIN_EXE_sockwire");

fn run(words: &[&str]) -> Output {
    Command::new(PROGRAM).args(words).output().unwrap()
}

fn text(output: &Output) -> String {
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// Sender's port below 5001 or not, flags and payload length of each TCP segment in a capture; comments behind "!".
fn segments(path: &str) -> Vec<String> {
    let mut reader = file::open(path.as_ref()).unwrap();
    let mut segments = Vec::new();
    loop {
        let batch = match reader.next(Time::MAX).unwrap() {
            Step::Batch(batch) => batch,
            Step::End(_) => return segments,
            _ => continue,
        };
        for (index, frame) in batch.frames().enumerate() {
            let packet = SlicedPacket::from_ethernet(frame.bytes).unwrap();
            let Some(TransportSlice::Tcp(tcp)) = packet.transport else {
                segments.push("other".to_owned());
                continue;
            };
            let arrow = if tcp.source_port() == 5000 { '<' } else { '>' };
            let flags = [
                ('S', tcp.syn()),
                ('F', tcp.fin()),
                ('R', tcp.rst()),
                ('A', tcp.ack()),
            ];
            let flags: String = flags.iter().filter(|f| f.1).map(|f| f.0).collect();
            let comments: String = batch.comments_of(index).map(|c| format!("!{c}")).collect();
            segments.push(format!("{arrow}{flags}{}{comments}", tcp.payload().len()));
        }
    }
}

#[test]
fn a_simulated_run_is_the_same_byte_for_byte() {
    let scratch = Scratch::new("same");
    let once = |name: &str| {
        let file = scratch.file(name);
        let words = ["lab", "lost-syn", "--ground", "smoltcp", "-w", &file];
        let shown = text(&run(&words)).replace(&file, "FILE");
        (shown, fs::read(&file).unwrap())
    };
    let (first, second) = (once("a.pcapng"), once("b.pcapng"));
    assert_eq!(first, second);
    assert!(
        first.0.contains("ground: simulated (smoltcp, not Linux)"),
        "{}",
        first.0
    );
    let segments = segments(&scratch.file("a.pcapng"));
    assert_eq!(segments[0], ">S0!the wire dropped this packet: first SYN");
    assert_eq!(segments[1..3], [">S0", "<SA0"]);
}

#[test]
fn linux_shakes_hands_over_the_wire() {
    if !private_network() {
        return;
    }
    let scratch = Scratch::new("handshake");
    for version in ["--ipv6", "--delay=10"] {
        let file = scratch.file(&format!("{version}.pcapng"));
        let shown = text(&run(&["lab", "handshake", version, "-w", &file]));
        assert!(
            shown.contains("ground: namespaces (Linux's own TCP)"),
            "{shown}"
        );
        let segments = segments(&file);
        // On a busy machine a kernel may repeat a segment: what counts is when each is first seen.
        let steps = [">S0", "<SA0", ">A0", ">A6", "<A6", ">FA0", "<FA0"];
        let first = steps.map(|step| segments.iter().position(|segment| segment == step));
        assert!(first.iter().all(Option::is_some), "{segments:?}");
        assert!(first.is_sorted(), "{segments:?}");
        assert_eq!(segments.last().unwrap(), ">A0", "{segments:?}");
        // Neither ARP nor neighbour discovery, nor anything else that the scenario does not say.
        assert!(!segments.contains(&"other".to_owned()), "{segments:?}");
    }
}

#[test]
fn each_end_has_its_own_view() {
    if !private_network() {
        return;
    }
    let scratch = Scratch::new("ends");
    let file = scratch.file("all.pcapng");
    text(&run(&["lab", "lost-syn", "-w", &file, "--ends"]));
    let seen = |name: &str| {
        segments(&scratch.file(name))
            .iter()
            .filter(|s| s.starts_with(">S"))
            .count()
    };
    assert_eq!(
        (
            seen("all.pcapng"),
            seen("all.client.pcapng"),
            seen("all.server.pcapng")
        ),
        (2, 2, 1)
    );
}

#[test]
fn an_existing_file_is_not_replaced_unasked() {
    let scratch = Scratch::new("force");
    let file = scratch.file("kept.pcapng");
    fs::write(&file, "precious").unwrap();
    let words = ["lab", "udp", "--ground", "smoltcp", "-w", &file];
    assert_eq!(run(&words).status.code(), Some(6));
    assert_eq!(fs::read(&file).unwrap(), b"precious");
    text(&run(&[&words[..], &["--force"]].concat()));
}

#[test]
fn fragments_are_shown_and_no_datagram_arrives_without_one_of_them() {
    if !private_network() {
        return;
    }
    let words = ["lab", "fragments"];
    let whole = text(&run(&words));
    assert_eq!(whole.matches("  IP  fragment id=").count(), 2, "{whole}");
    assert!(whole.contains("│──── 4000 bytes"), "{whole}");
    let lost = text(&run(&[&words[..], &["--drop", "fragment:2"]].concat()));
    assert_eq!(lost.matches("  IP  fragment id=").count(), 3, "{lost}");
    assert!(lost.contains("the wire dropped packet 2: second fragment"));
    assert!(!lost.contains("│──── 4000 bytes"), "{lost}");
}

#[test]
fn the_ladder_and_a_capture_do_not_share_standard_output() {
    let refused = run(&["lab", "udp", "--ground", "smoltcp", "-w", "-"]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(refused.stdout.is_empty());
    assert!(String::from_utf8_lossy(&refused.stderr).contains("give -w the name of a file"));
}

#[test]
fn what_there_is_and_what_there_is_not() {
    for words in [&["lab"][..], &["lab", "list"]] {
        let shown = text(&run(words));
        for name in ["handshake", "udp", "refused", "half-close", "lost-syn"] {
            assert!(shown.contains(&format!("sockwire lab {name} ")), "{shown}");
        }
        assert!(shown.lines().all(|line| line.len() <= 80), "{shown}");
    }
    let wrong = run(&["lab", "handshak"]);
    assert_eq!(wrong.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&wrong.stderr).contains("handshake"));
    let help = text(&run(&["lab", "--help"]));
    assert!(help.starts_with("Examples:"), "{help}");
}

/// A lab that runs for more than a second, once its networks are up; with the inodes of its namespaces.
#[allow(clippy::zombie_processes)] // every caller waits for it
fn running_lab() -> (Child, BTreeSet<String>) {
    let child = Command::new(PROGRAM)
        .args(["lab", "lost-syn", "--delay", "50"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let own = networks(&format!("/proc/{}/task", std::process::id()));
        let inside: BTreeSet<_> = networks(&format!("/proc/{}/task", child.id()))
            .difference(&own)
            .cloned()
            .collect();
        if inside.len() == 3 {
            return (child, inside);
        }
        if Instant::now() > deadline {
            let output = child.wait_with_output();
            panic!("the lab did not come up: {inside:?} {output:?}");
        }
        sleep(Duration::from_millis(5));
    }
}

/// The network namespaces of the threads in a directory of tasks.
fn networks(tasks: &str) -> BTreeSet<String> {
    let tasks = fs::read_dir(tasks).into_iter().flatten().flatten();
    let links = tasks.filter_map(|task| fs::read_link(task.path().join("ns/net")).ok());
    links
        .map(|link| link.to_string_lossy().into_owned())
        .collect()
}

/// No process holds on to one of these namespaces, and this network has no interface of the lab's.
fn assert_gone(inside: &BTreeSet<String>) {
    let interfaces = fs::read_dir("/sys/class/net")
        .into_iter()
        .flatten()
        .flatten();
    for interface in interfaces {
        let name = interface.file_name();
        assert!(name != "w0" && name != "w1", "{name:?} is left");
    }
    let processes = fs::read_dir("/proc").unwrap().flatten();
    for process in processes {
        let tasks = process.path().join("task");
        let left: Vec<_> = networks(tasks.to_str().unwrap_or_default())
            .intersection(inside)
            .cloned()
            .collect();
        assert!(left.is_empty(), "{:?} is still in {left:?}", process.path());
    }
}

#[test]
fn nothing_is_left_however_it_ends() {
    if !private_network() {
        return;
    }
    for signal in [Signal::SIGKILL, Signal::SIGINT] {
        let (child, inside) = running_lab();
        let pid = child.id();
        let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"));
        assert_eq!(
            children.unwrap_or_default(),
            "",
            "a helper process could outlive the lab"
        );
        kill(Pid::from_raw(i32::try_from(pid).unwrap()), signal).unwrap();
        let output = child.wait_with_output().unwrap();
        assert_gone(&inside);
        if signal == Signal::SIGINT {
            // The first Ctrl-C ends cleanly, with the closing lines.
            assert_eq!(output.status.code(), Some(0));
            assert!(text(&output).contains("next: "), "{output:?}");
        }
    }
    let (child, inside) = running_lab();
    assert!(child.wait_with_output().unwrap().status.success());
    assert_gone(&inside);
}

/// Runs the program where user namespaces are switched off and no capability is left.
fn forbidden(words: &str) -> Option<Output> {
    let script = format!(
        "echo 0 > /proc/sys/user/max_user_namespaces && exec setpriv --bounding-set=-all --inh-caps=-all --no-new-privs {PROGRAM} {words}"
    );
    let output = Command::new("unshare")
        .args(["-Ur", "sh", "-c", &script])
        .output();
    match output {
        Ok(output) if !String::from_utf8_lossy(&output.stderr).contains("unshare") => Some(output),
        other => {
            testing::skipped(format_args!(
                "namespaces cannot be switched off here: {other:?}"
            ));
            None
        }
    }
}

#[test]
fn where_everything_is_forbidden_the_simulation_steps_in_and_says_so() {
    let Some(output) = forbidden("lab handshake") else {
        return;
    };
    let shown = text(&output);
    let lines: Vec<_> = shown.lines().take(2).collect();
    assert!(
        lines[0].ends_with("ground: simulated (smoltcp, not Linux)"),
        "{shown}"
    );
    assert!(
        lines[1].starts_with("  why: ") && lines[1].ends_with("; see: sockwire doctor"),
        "{shown}"
    );
    let forced = forbidden("lab handshake --ground namespaces").unwrap();
    assert_eq!(forced.status.code(), Some(3));
    assert!(
        String::from_utf8_lossy(&forced.stderr).contains("max_user_namespaces"),
        "{forced:?}"
    );
}

#[test]
fn loopback_shows_the_same_connection_without_a_wire() {
    // In a network of its own, so that no other program's port 5000 is in the way.
    let scratch = Scratch::new("loopback");
    let file = scratch.file("lo.pcapng");
    let script =
        format!("ip link set lo up && exec {PROGRAM} lab handshake --ground loopback -w {file}");
    let output = Command::new("unshare")
        .args(["-Urn", "sh", "-c", &script])
        .output();
    let Ok(output) = output else {
        testing::skipped("no unshare command here");
        return;
    };
    let said = String::from_utf8_lossy(&output.stderr);
    if said.contains("unshare") || said.contains("ip:") {
        testing::skipped(format_args!("no network to test in: {said}"));
        return;
    }
    assert!(text(&output).contains("ground: loopback (Linux's own TCP)"));
    let segments = segments(&file);
    assert_eq!(segments[..4], [">S0", "<SA0", ">A0", ">A6"], "{segments:?}");
    assert_eq!(segments.last().unwrap(), ">A0", "{segments:?}");
    // Loopback hands every frame over twice; each is told once.
    let syns = segments.iter().filter(|segment| *segment == ">S0").count();
    assert_eq!(syns, 1, "{segments:?}");
}
