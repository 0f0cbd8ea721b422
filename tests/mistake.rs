//! Mistakes and the labs beside them as a user meets them: each plays, and what it is about is seen in its output.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod lan;

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _},
    process::{Command, Output, Stdio},
    time::{Duration, Instant},
};

use lan::{Temporary, private_network, testing};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

const PROGRAM: &str = env!("CARGO_BIN_EXE_sockwire");
/// What stands where a busy machine kept a mistake from showing.
const NOT_SHOWN: &str = "This time it did not show";

fn run(words: &[&str]) -> Output {
    Command::new(PROGRAM).args(words).output().unwrap()
}

fn text(output: &Output) -> String {
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// A mistake, played. On a busy machine a program may be so late that its mistake does not show: then again.
fn played(words: &[&str]) -> String {
    let words = [&["lab", "mistake"], words].concat();
    let shown = (0..5).map(|_| text(&run(&words)));
    let mut shown = shown.skip_while(|shown| shown.contains(NOT_SHOWN));
    shown.next().expect("it shows in one of five plays")
}

/// In one line, as sentences were before they were wrapped.
fn unwrapped(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The part of a mistake's output that is about its wrong or its right version.
fn part<'a>(shown: &'a str, word: &str) -> &'a str {
    let from = shown.find(&format!("\n{word}: ")).unwrap();
    let rest = &shown[from + 1..];
    &rest[..rest.find("\n\n").unwrap()]
}

/// Plays a mistake, and looks for sentences and rows in its wrong and right parts.
fn shows(name: &str, wrong: &[&str], right: &[&str]) {
    if !private_network() {
        return;
    }
    let shown = played(&[name]);
    for (word, wanted) in [("wrong", wrong), ("right", right)] {
        let part = unwrapped(part(&shown, word));
        for wanted in wanted {
            assert!(part.contains(wanted), "{word}: no {wanted:?} in {shown}");
        }
    }
    assert!(shown.contains("\nrule: ") && shown.contains("\nnext: sockwire lab mistake "));
    let too_wide = shown.lines().find(|line| line.chars().count() > 80);
    assert_eq!(too_wide, None, "{shown}");
}

#[test]
fn a_loop_without_break_receives_nothing_a_thousand_times() {
    shows(
        "no-break",
        &["= 0, 1000 times in ", "recv returned 0 1000 times in "],
        &["recv returned 0 once"],
    );
}

#[test]
fn three_sends_come_out_of_one_receive() {
    shows(
        "three-sends",
        &[
            "= 13 \"one two three\"",
            "Three calls of send, 3 packets, one call of recv",
            "5 bytes each",
        ],
        &["# a message: one", "# a message: three", "Three messages"],
    );
}

#[test]
fn a_character_cut_in_two_is_no_text() {
    shows(
        "utf8-cut",
        &[
            "c3 is not UTF-8",
            "a9 is not UTF-8",
            "neither piece is text",
        ],
        &["# decoded: \"caféine\""],
    );
}

#[test]
fn no_fin_leaves_while_the_parent_keeps_the_descriptor() {
    shows(
        "parent-keeps",
        &[
            "child fork() = 0",
            "EAGAIN",
            "no FIN left the server for 3",
            "waited in vain",
        ],
        &["The child's close was the last one: the FIN"],
    );
}

#[test]
fn children_not_waited_for_are_zombies() {
    shows(
        "zombies",
        &[
            "Z (zombie)",
            "no such process",
            "2 children had ended",
            "they were gone",
        ],
        &["there is no zombie"],
    );
}

#[test]
fn a_full_queue_ignores_syns_and_that_is_no_loss() {
    shows(
        "full-queue",
        &[
            "ListenOverflows 0 to 1, ListenDrops 0 to 1",
            "SYN seq=0 again",
            "which had arrived: nothing was sent in answer",
            "That is not loss",
        ],
        &["Three SYNs, three answers"],
    );
}

#[test]
fn a_server_on_loopback_refuses_the_other_host_only() {
    shows(
        "loopback-bind",
        &[
            "RST,ACK",
            "ECONNREFUSED",
            "connect works, over its loopback interface",
        ],
        &["a SYN,ACK answered its SYN"],
    );
}

#[test]
fn a_port_in_time_wait_is_taken() {
    shows(
        "address-in-use",
        &[
            "/proc/net/tcp: 1 in TIME-WAIT",
            "EADDRINUSE",
            "since the first server had not set it",
            "# it does not start",
        ],
        &["bind works all the same"],
    );
}

#[test]
fn close_with_unread_data_resets_and_loses() {
    shows(
        "unread-data",
        &[
            "its close sent a RST",
            "and no FIN",
            "ECONNRESET",
            "are lost, and no call of the server failed",
        ],
        &["The close sent a FIN, and all 8192 bytes came"],
    );
}

#[test]
fn shutdown_read_sends_nothing_and_takes_what_comes() {
    shows(
        "shutdown-read",
        &[
            "SHUT_RD",
            "sent nothing for its shutdown",
            "acknowledged them all the same",
            "on Linux the shutdown only ends the waiting",
        ],
        &["RST seq=2", "EPIPE"],
    );
}

#[test]
fn a_file_made_of_the_socket_holds_the_connection_open() {
    shows(
        "makefile",
        &[
            "conn.makefile(\"w\"), as dup(",
            "EAGAIN",
            "no FIN left the server for 3",
            "_io_refs",
        ],
        &["The second close sent the FIN"],
    );
}

#[test]
fn a_cut_datagram_has_lost_its_rest() {
    shows(
        "datagram-cut",
        &[
            "\"the quic\"",
            "MSG_TRUNC",
            "the other 11 bytes of the first are gone",
        ],
        &["Both came whole: 19 bytes, 5 bytes"],
    );
}

#[test]
fn a_datagram_has_a_largest_size() {
    shows(
        "datagram-long",
        &[
            "EMSGSIZE",
            "sent nothing",
            "IP fragment id=",
            "and 40 more like it",
            "65507 bytes left in 45 fragments",
        ],
        &["1472 bytes are one packet of 1,500"],
    );
}

#[test]
fn an_empty_datagram_is_no_end() {
    shows(
        "empty-datagram",
        &[
            "│──── 0 bytes",
            "recvfrom returned 0 for it",
            "was never received",
        ],
        &["All three came"],
    );
}

#[test]
fn an_ordinary_user_sees_them_as_well() {
    let copy = copy_of_program("mistake-program");
    let output = Command::new("setpriv")
        .args([
            "--reuid=65534",
            "--regid=65534",
            "--clear-groups",
            copy.path(),
        ])
        .args(["lab", "mistake", "parent-keeps"])
        .output();
    let output = match output {
        Ok(output) if !String::from_utf8_lossy(&output.stderr).contains("setpriv") => output,
        other => {
            testing::skipped(format_args!("cannot become an ordinary user: {other:?}"));
            return;
        }
    };
    if output.status.code() == Some(3) {
        let said = String::from_utf8_lossy(&output.stderr);
        testing::skipped(format_args!("not for ordinary users here: {said}"));
        return;
    }
    let shown = unwrapped(&text(&output));
    assert!(shown.contains("child fork() = 0"), "{shown}");
    assert!(
        shown.contains("rule: fork copies every descriptor"),
        "{shown}"
    );
}

#[test]
fn the_recording_holds_the_packets_of_both_versions() {
    if !private_network() {
        return;
    }
    let file = Temporary::new("mistake.pcapng");
    let shown = played(&["unread-data", "--force", "-w", file.path()]);
    assert!(shown.contains("kept: "), "{shown}");
    let read = |filter| {
        let output = run(&["read", file.path(), "-Y", filter]);
        String::from_utf8(output.stdout).unwrap()
    };
    // The number of the RST that the text names is its number in the file.
    let reset = unwrapped(part(&shown, "wrong"));
    let number = reset.split("sent a RST (packet ").nth(1).unwrap();
    let number = number.split(')').next().unwrap();
    let first = read("tcp.flags.reset == 1");
    assert_eq!(first.split_whitespace().next(), Some(number), "{first}");
    assert!(!read("tcp.stream == 1 && tcp.flags.fin == 1").is_empty());
    assert!(read("tcp.stream == 1 && tcp.flags.reset == 1").is_empty());
}

#[test]
fn calls_are_told_in_the_words_of_a_language() {
    if !private_network() {
        return;
    }
    let shown = text(&run(&[
        "lab",
        "mistake",
        "empty-datagram",
        "--calls",
        "python",
    ]));
    assert!(
        shown.contains(".recvfrom(1024)") && !shown.contains("MSG_NOSIGNAL"),
        "{shown}"
    );
}

#[test]
fn it_is_drawn_in_ascii() {
    if !private_network() {
        return;
    }
    for name in ["utf8-cut", "datagram-long"] {
        let shown = text(&run(&["lab", "mistake", name, "--ascii"]));
        assert!(shown.is_ascii(), "{shown}");
    }
}

#[test]
fn what_there_is_and_what_there_is_not() {
    for words in [&["lab", "mistake"][..], &["lab", "mistake", "list"]] {
        let shown = text(&run(words));
        for name in ["no-break", "zombies", "full-queue", "empty-datagram"] {
            assert!(shown.contains(&format!("  {name} ")), "{shown}");
        }
        assert!(shown.lines().all(|line| line.len() <= 80), "{shown}");
    }
    let wrong = run(&["lab", "mistake", "zombie"]);
    assert_eq!(wrong.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&wrong.stderr).contains("zombies"));
}

#[test]
fn where_namespaces_are_refused_it_says_why() {
    let script = format!(
        "echo 0 > /proc/sys/user/max_user_namespaces && exec setpriv --bounding-set=-all --inh-caps=-all --no-new-privs {PROGRAM} lab mistake no-break"
    );
    let output = Command::new("unshare")
        .args(["-Ur", "sh", "-c", &script])
        .output();
    let output = match output {
        Ok(output) if !String::from_utf8_lossy(&output.stderr).contains("unshare") => output,
        other => {
            testing::skipped(format_args!(
                "namespaces cannot be switched off here: {other:?}"
            ));
            return;
        }
    };
    assert_eq!(output.status.code(), Some(3), "{output:?}");
    assert!(output.stdout.is_empty(), "{output:?}");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("cannot make a private network"), "{said}");
    assert!(said.contains("max_user_namespaces"), "{said}");
}

#[test]
fn nobody_is_left_when_it_is_interrupted_or_killed() {
    if !private_network() {
        return;
    }
    for signal in [Signal::SIGINT, Signal::SIGKILL] {
        // A program of its own name, so that its processes are told from those of other tests.
        let program = copy_of_program(&format!("mistake-{signal}"));
        let mut child = Command::new(&program.0)
            .args(["lab", "mistake", "parent-keeps"])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        let mut shown = String::new();
        // From now on it catches signals, and has nobody at work any more who tests what is allowed.
        output.read_line(&mut shown).unwrap();
        // The program itself, and the child that its server has forked.
        until(|| processes_of(&program) == 2);
        kill(Pid::from_raw(child.id().cast_signed()), signal).unwrap();
        output.read_to_string(&mut shown).unwrap();
        let status = child.wait().unwrap();
        if signal == Signal::SIGINT {
            assert!(status.success(), "{status} {shown}");
            assert!(shown.contains("\nnext: "), "{shown}");
            assert!(!shown.contains("\nright: "), "{shown}");
        }
        until(|| processes_of(&program) == 0);
    }
}

/// The program under another name, where every user reaches it.
fn copy_of_program(name: &str) -> Temporary {
    let copy = Temporary::new(name);
    fs::copy(PROGRAM, &copy.0).unwrap();
    copy
}

/// How many processes run this program.
fn processes_of(program: &Temporary) -> usize {
    let processes = fs::read_dir("/proc").unwrap().flatten();
    let programs = processes.filter_map(|process| fs::read_link(process.path().join("exe")).ok());
    programs.filter(|running| *running == program.0).count()
}

/// Waits for a state, for twenty seconds at most.
fn until(reached: impl Fn() -> bool) {
    let start = Instant::now();
    while !reached() {
        assert!(start.elapsed() < Duration::from_secs(20), "it never came");
        std::thread::yield_now();
    }
}

#[test]
fn a_filtered_port_is_silence_and_the_syn_again() {
    let shown = text(&run(&["lab", "filtered", "--ground", "smoltcp"]));
    let ladder = "\
two hosts, one cable, 10 ms each way    ground: simulated (smoltcp, not Linux)
client: connect to 5000 within 4000 ms, close
server: listen on 5000
wire: drops every SYN
     ms client 10.0.0.1:41000                  server 10.0.0.2:5000      ms   #
        CLOSED                                               LISTEN
-- open: the three-way handshake ---------------------------------------------
   0.00 SYN-SENT    │──── SYN seq=0 ────────── ✗      │      LISTEN       -   1
        the wire dropped packet 1: every SYN
1000.00 SYN-SENT    │╌╌╌╌ SYN seq=0 ╌╌╌╌╌╌╌╌╌╌ ✗      │      LISTEN       -   2
        1.00 s without an answer: the wire dropped packet 1
        the wire dropped packet 2: every SYN
3000.00 SYN-SENT    │╌╌╌╌ SYN seq=0 ╌╌╌╌╌╌╌╌╌╌ ✗      │      LISTEN       -   3
        3.00 s without an answer: the wire dropped packet 1
        the wire dropped packet 3: every SYN

client: connect to 5000 within 4000 ms: connection timed out
3 packets, no data, 3 lost
silence looks the same whether a firewall or the wire drops the SYN, or its
answer; a closed port would answer with RST (lab refused). The program gave up
after 4 s; without a limit of its own, connect waits until the kernel gives up.
next: -w my.pcapng    sockwire lab no-host    sockwire read -v my.pcapng
";
    // A sentence of this machine's settings, in lines of its own.
    let settings = |line: &&str| !line.contains("kernel sends") && !line.contains("tcp_syn_");
    let same: String = shown.split_inclusive('\n').filter(settings).collect();
    assert_eq!(same, ladder);
    if private_network() {
        let shown = text(&run(&["lab", "filtered"]));
        assert!(shown.contains("╌╌╌╌ SYN seq=0"), "{shown}");
        assert!(
            shown.contains("within 4000 ms: connection timed out"),
            "{shown}"
        );
    }
}

#[test]
fn an_absent_host_is_asked_for_and_no_syn_is_sent() {
    let refused = run(&["lab", "no-host", "--ground", "smoltcp"]);
    assert_eq!(refused.status.code(), Some(2), "{refused:?}");
    if !private_network() {
        return;
    }
    for (version, question) in [
        ("--delay=10", "who has 10.0.0.99? tell 10.0.0.1"),
        ("--ipv6", "neighbor solicitation for 2001:db8::99"),
    ] {
        let shown = text(&run(&["lab", "no-host", version]));
        assert_eq!(shown.matches(question).count(), 3, "{shown}");
        assert!(shown.contains("No route to host"), "{shown}");
        assert!(!shown.contains("SYN seq"), "{shown}");
    }
}
