//! `lab run` and `lab shell`: ordinary programs on the lab's hosts, what is shown of them, and that nothing of them stays.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod beside;
mod lan;

use std::{
    fs::{self, File},
    io::{Read as _, Write as _},
    process::{Command, Stdio},
    thread,
    time::Instant,
};

use beside::{LIMIT, Running, limited, on_terminal};
use lan::{Scratch, private_network, said, testing};
use nix::{pty::openpty, sys::signal::Signal, unistd::Pid};
use serde_json::Value;

const PROGRAM: &str = env!("CARGO_BIN_EXE_sockwire");

/// `lab run` with options that have no blanks in them; the commands' programs are those of a course.
fn run(server: &str, client: &str, words: &str) -> Command {
    let mut command = limited(PROGRAM);
    command
        .args(["lab", "run", "-S", server, "-C", client])
        .args(words.split_whitespace())
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/programs"))
        .stdin(Stdio::null());
    command
}

/// What such a run printed, and its exit code.
fn ran(server: &str, client: &str, words: &str) -> (String, Option<i32>) {
    let output = run(server, client, words).output().unwrap();
    assert!(output.stderr.is_empty(), "{output:?}");
    let told = String::from_utf8(output.stdout).unwrap();
    (told, output.status.code())
}

fn works() -> bool {
    let has_python = Command::new("python3").arg("-V").output().is_ok();
    if !has_python {
        testing::skipped("no python3 here");
    }
    has_python && private_network()
}

/// Processes whose command line has this word in it.
fn processes(word: &str) -> usize {
    let all = fs::read_dir("/proc").unwrap().flatten();
    let lines = all.flat_map(|entry| fs::read(entry.path().join("cmdline")));
    lines
        .filter(|line| String::from_utf8_lossy(line).contains(word))
        .count()
}

fn wait_for(what: &str, mut is_so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < LIMIT, "never: {what}");
        thread::yield_now();
    }
}

#[test]
fn both_ends_run_and_the_ladder_stands_between_their_words() {
    if !works() {
        return;
    }
    for server in ["sequential", "fork", "thread"] {
        let server = format!("python3 {server}_server.py {{server}} {{port}} 1");
        let client = "python3 one_message_client.py {server} {port} hello; exit 9";
        let (told, code) = ran(&server, client, "--delay 2 -p 5001");
        assert_eq!(code, Some(9), "{told}");
        for part in [
            "two hosts, one cable, 2 ms each way    ground: namespaces",
            "one_message_client.py 10.0.0.2 5001 hello; exit 9",
            "server│ ready",
            "SYN seq=0",
            "5 bytes seq=1 \"hello\"",
            "5 bytes seq=1 \"HELLO\"",
            "client│ HELLO",
            "the client ended: exit code 9",
            " packets, none lost",
        ] {
            assert!(told.contains(part), "{part:?} in\n{told}");
        }
        let place = |part| told.find(part).unwrap();
        assert!(place("\"HELLO\"") < place("client│ HELLO"), "{told}");
    }
}

#[test]
fn datagrams_and_one_host_and_ipv6() {
    if !works() {
        return;
    }
    let udp = [
        "python3 udp_server.py {server} {port} 2",
        "python3 udp_client.py {server} {port} one two",
    ];
    let (told, code) = ran(udp[0], udp[1], "--delay 1");
    assert_eq!(code, Some(0), "{told}");
    assert!(told.contains("client│ TWO") && told.contains("4 packets, none lost"));
    let (told, code) = ran(udp[0], udp[1], "--one-host");
    assert_eq!(code, Some(0), "{told}");
    assert!(
        told.starts_with("one host and its loopback interface"),
        "{told}"
    );
    assert!(told.contains("client 127.0.0.1: ") && told.contains("4 packets, none lost"));
    let server = "python3 sequential_server.py {server} {port} 1";
    // It gives the port as its second word, whatever the family of the first.
    let client = "python3 -c 'import socket; s = socket.create_connection((\"{server}\", {port})); s.send(b\"x\"); print(s.recv(9))'";
    let (told, code) = ran(server, client, "-6 --delay 1");
    assert_eq!(code, Some(0), "{told}");
    assert!(
        told.contains("server 2001:db8::2: ") && told.contains("client│ b'X'"),
        "{told}"
    );
    let both = run("x", "y", "--one-host --loss 5").output().unwrap();
    assert_eq!(both.status.code(), Some(2));
    assert!(said(&both).contains("one host has no wire"));
}

#[test]
fn the_wire_s_options_hold_and_the_files_are_kept() {
    if !works() {
        return;
    }
    let scratch = Scratch::new("lab-run");
    let file = scratch.file("my.pcapng");
    let server = "python3 sequential_server.py {server} {port} 1";
    let client = "python3 one_message_client.py {server} {port} hello";
    let words = format!("--delay 1 --drop first-syn --reorder 100% -w {file} --ends");
    let (told, code) = ran(server, client, &words);
    assert_eq!(code, Some(0), "{told}");
    for part in [
        "wire: drops the first SYN, holds 100% back",
        "the wire dropped packet 1: first SYN",
        "the wire holds packet 2 back for 6.00 ms",
        "packets, 1 lost",
        &format!("kept: {file}"),
    ] {
        assert!(told.contains(part), "{part:?} in\n{told}");
    }
    let counted = |name: &str| {
        let flows = Command::new(PROGRAM)
            .args(["flows", &scratch.file(name)])
            .output()
            .unwrap();
        assert!(flows.status.success(), "{flows:?}");
        String::from_utf8(flows.stdout).unwrap()
    };
    for name in ["my.pcapng", "my.client.pcapng", "my.server.pcapng"] {
        assert!(counted(name).contains("10.0.0.2"), "{name}");
    }
}

#[test]
fn a_client_that_looks_on_its_own_host_is_told_where_the_server_is() {
    if !works() {
        return;
    }
    let server = "python3 sequential_server.py {server} {port} 1";
    let client = "python3 one_message_client.py 127.0.0.1 {port} hello";
    let output = run(server, client, "").output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(
        said(&output).contains(
            "hint: 127.0.0.1 is the client's own host here: the server is 10.0.0.2; write {server}"
        ),
        "{output:?}"
    );
    // And a server that only its own host reaches.
    let server = "python3 sequential_server.py 127.0.0.1 {port} 1";
    let client = "python3 one_message_client.py {server} {port} hello";
    let (told, code) = ran(server, client, "");
    assert_eq!(code, Some(1), "{told}");
    assert!(
        told.contains("the server listens on 127.0.0.1:5000, which only its own host reaches"),
        "{told}"
    );
}

#[test]
fn a_server_that_never_listens_is_told_of() {
    if !works() {
        return;
    }
    let output = run("echo broken; exit 5", "echo never", "")
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(
        told.contains("server│ broken") && !told.contains("client│"),
        "{told}"
    );
    assert!(
        said(&output).contains("the server ended before it listened on port 5000: exit code 5"),
        "{output:?}"
    );
    let elsewhere = "python3 sequential_server.py {server} 6000 1";
    let (told, code) = ran(elsewhere, "echo came all the same", "");
    assert_eq!(code, Some(0), "{told}");
    assert!(
        told.contains(
            "does not listen on port 5000 after 5 s; it listens on TCP 10.0.0.2:6000 (see --port)"
        ),
        "{told}"
    );
    assert!(told.contains("client│ came all the same"), "{told}");
}

#[test]
fn nothing_stays_however_it_ends() {
    if !works() {
        return;
    }
    let signals = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGKILL];
    let ways = &[&[][..], &["--trace", "--lines"]][..1 + usize::from(lan::tracing())];
    let cases = ways
        .iter()
        .flat_map(|way| signals.map(|signal| (way, signal)));
    for (number, (way, signal)) in cases.enumerate() {
        // A word that no other process has.
        let mark = format!("{}{number}", std::process::id());
        let server = format!("python3 fork_server.py {{server}} {{port}} 5 {mark}");
        let client = format!(
            "(sleep 600.{mark} & python3 line_client.py {{server}} {{port}} {mark}; sleep 600.{mark})"
        );
        let mut command = Command::new(PROGRAM);
        command
            .args(["lab", "run", "-S", &server, "-C", &client])
            .args(*way)
            .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/programs"));
        let mut lab = Running::spawn(command);
        lab.until("SYN seq=0");
        wait_for("both programs", || processes(&mark) >= 4);
        nix::sys::signal::kill(Pid::from_raw(lab.child.id().cast_signed()), signal).unwrap();
        let status = lab.child.wait().unwrap();
        if signal != Signal::SIGKILL {
            assert_eq!(status.code(), Some(130), "the client's, which SIGINT ended");
        }
        wait_for("the end of all", || processes(&mark) == 0);
    }
}

/// A traced run's packets with data: their ties, by number.
fn ties(json: &str) -> Vec<(u64, Value)> {
    let values = json.lines().map(|line| serde_json::from_str(line).unwrap());
    let values: Vec<Value> = values.collect();
    let ties = values.iter().filter_map(|value| {
        let tie = value.get("tie")?;
        Some((tie.get("packet")?.as_u64()?, tie.clone()))
    });
    ties.collect()
}

#[test]
fn traced_over_a_bad_wire_each_segment_has_its_call_and_the_log_shows_it_again() {
    if !lan::tracing() {
        return;
    }
    if !works() {
        return;
    }
    let scratch = Scratch::new("lab-trace");
    let (log, packets) = (scratch.file("my.log"), scratch.file("my.pcapng"));
    let file = scratch.file("big");
    fs::write(&file, vec![b'x'; 300_000]).unwrap();
    let server = "python3 patient_receiver.py {server} {port} 1";
    let client = format!("python3 determined_sender.py {{server}} {{port}} {file}");
    let words = format!(
        "--trace --json --delay 2 --loss 2% --reorder 3% --drop first-syn --save {log} -w {packets}"
    );
    let output = run(server, &client, &words).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let said = said(&output);
    assert!(
        said.contains("server│ ready") && said.contains("the client ended: exit code 0"),
        "{said}"
    );
    let json = String::from_utf8(output.stdout).unwrap();
    let ties = ties(&json);
    let is_data = |tie: &&(u64, Value)| {
        let causes = tie.1["causes"].as_array();
        let taken = tie.1["takers"].as_array();
        let has_bytes = |ties: Option<&Vec<Value>>| {
            ties.is_some_and(|ties| ties.iter().any(|tie| tie["share"]["bytes"].is_array()))
        };
        has_bytes(causes) || has_bytes(taken)
    };
    let data: Vec<_> = ties.iter().filter(is_data).collect();
    assert!(data.len() > 200, "{} of {}", data.len(), ties.len());
    for (number, tie) in data {
        let causes = tie["causes"].as_array().unwrap();
        assert_eq!(causes[0]["ground"], "sequence", "{number}: {tie}");
    }
    let first = &ties[0];
    assert_eq!(first.0, 1, "the lost SYN");
    assert_eq!(first.1["causes"][0]["share"], "syn", "{first:?}");
    // Both ends of both hosts, and the wire: what was seen live is what the log shows.
    let again = Command::new(PROGRAM)
        .args(["trace", "-r", &log, "--json"])
        .output()
        .unwrap();
    assert_eq!(String::from_utf8(again.stdout).unwrap(), json);
    assert!(json.contains("\"host\":\"client\"") && json.contains("\"way\":\"wire\""));
    assert!(fs::metadata(&packets).unwrap().len() > 300_000);
}

#[test]
fn traced_on_one_host_and_by_an_ordinary_user() {
    if !lan::tracing() {
        return;
    }
    if !works() {
        return;
    }
    let server = "python3 fork_server.py {server} {port} 1";
    let client = "python3 one_message_client.py {server} {port} hello; exit 3";
    for words in [&["--one-host"][..], &["--delay", "1"]] {
        let mut command = match nix::unistd::geteuid().is_root() {
            true => limited("setpriv"),
            false => limited("env"),
        };
        if nix::unistd::geteuid().is_root() {
            command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]);
        }
        let output = command
            .args([PROGRAM, "lab", "run", "-S", server, "-C", client])
            .args(["--trace", "--lines"])
            .args(words)
            .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/programs"))
            .stdin(Stdio::null())
            .output()
            .unwrap();
        if said(&output).contains("ptrace_scope") || said(&output).contains("doctor") {
            return testing::skipped(said(&output));
        }
        assert_eq!(output.status.code(), Some(3), "{output:?}");
        let lines = String::from_utf8(output.stdout.clone()).unwrap();
        for part in [
            "connect(3, {AF_INET, ",
            "accept4(",
            "\"HELLO\"",
            "last close",
        ] {
            assert!(lines.contains(part), "{part:?} in\n{lines}");
        }
        assert!(said(&output).contains("client│ HELLO"), "{output:?}");
    }
}

#[test]
fn a_traced_client_that_goes_astray_is_told_by_its_calls() {
    if !lan::tracing() {
        return;
    }
    if !works() {
        return;
    }
    let server = "python3 sequential_server.py {server} {port} 1";
    let client = "host=$((100 + 27)).0.0.1; python3 one_message_client.py $host {port} hello";
    let output = run(server, client, "--trace --lines").output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(
        said(&output).contains("hint: 127.0.0.1 is the client's own host here"),
        "{output:?}"
    );
    for words in ["--lines", "--save x", "--calls net"] {
        let output = run(server, client, words).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{words}");
        assert!(said(&output).contains("add --trace"), "{output:?}");
    }
}

#[test]
fn an_ordinary_user_runs_it_too() {
    if !nix::unistd::geteuid().is_root() {
        return testing::skipped("the other tests run as an ordinary user");
    }
    if !works() {
        return;
    }
    let server = "python3 sequential_server.py {server} {port} 1";
    let client = "python3 one_message_client.py {server} {port} hello";
    for words in ["--delay 1", "--one-host"] {
        let mut command = limited("setpriv");
        command
            .args(["--reuid=65534", "--regid=65534", "--clear-groups", PROGRAM])
            .args(["lab", "run", "-S", server, "-C", client])
            .args(words.split(' '))
            .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/programs"))
            .stdin(Stdio::null());
        let output = command.output().unwrap();
        if output.status.code() == Some(3) {
            return testing::skipped(said(&output));
        }
        let told = String::from_utf8_lossy(&output.stdout);
        assert!(told.contains("client│ HELLO"), "{output:?}");
        assert_eq!(output.status.code(), Some(0), "{output:?}");
    }
}

#[test]
fn where_namespaces_are_forbidden_it_says_why() {
    for what in ["run -S true -C true", "shell"] {
        let script = format!(
            "echo 0 > /proc/sys/user/max_user_namespaces && exec setpriv --bounding-set=-all --inh-caps=-all --no-new-privs {PROGRAM} lab {what}"
        );
        let output = Command::new("unshare")
            .args(["-Ur", "sh", "-c", &script])
            .output();
        let said = match &output {
            Ok(output) => said(output),
            Err(error) => format!("unshare: {error}"),
        };
        if said.contains("unshare:") {
            return testing::skipped(format_args!("namespaces cannot be switched off: {said}"));
        }
        assert_eq!(output.unwrap().status.code(), Some(3), "{said}");
        assert!(
            said.contains("max_user_namespaces") && said.contains("sockwire doctor"),
            "{said}"
        );
    }
}

#[test]
fn a_server_may_make_itself_a_daemon_before_it_listens() {
    if !works() {
        return;
    }
    let server = "python3 sequential_server.py {server} {port} 1 & exit 3";
    let client = "python3 one_message_client.py {server} {port} hello";
    let (told, code) = ran(server, client, "");
    assert_eq!(code, Some(0), "{told}");
    for part in [
        "client│ HELLO",
        "the client ended: exit code 0",
        "the server ended: exit code 3",
    ] {
        assert!(told.contains(part), "{part:?} in\n{told}");
    }
}

/// Ctrl-C on a terminal.
fn ctrl_c(terminal: &mut Running) {
    let keys = terminal.child.stdin.as_mut().unwrap();
    keys.write_all(b"\x03").unwrap();
}

#[test]
fn ctrl_c_is_for_both_programs_and_a_second_one_ends_all_at_once() {
    if !works() {
        return;
    }
    let scratch = Scratch::new("lab-ctrl-c");
    let ways = &["", "--trace --lines"][..1 + usize::from(lan::tracing())];
    for (number, way) in ways.iter().enumerate() {
        let mark = format!("600.{}{number}", std::process::id());
        let file = scratch.file(&format!("{number}.pcapng"));
        // A client that does not listen to these signals.
        let start = |deaf: &str, rest: &str| {
            let line = format!(
                "{PROGRAM} --color never lab run -S 'python3 fork_server.py {{server}} {{port}} 5' \
                 -C 'trap \"\" {deaf}; python3 line_client.py {{server}} {{port}}; sleep {mark}' {way} {rest}; echo code $?"
            );
            let mut command = on_terminal(&line)?;
            command.current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/programs"));
            let mut terminal = Running::spawn(command);
            terminal.until("SYN seq=0");
            terminal.until(" ACK seq=1");
            Some(terminal)
        };
        let Some(mut terminal) = start("INT", &format!("-w {file}")) else {
            return testing::skipped("no script command here");
        };
        ctrl_c(&mut terminal);
        terminal.until("server│ KeyboardInterrupt");
        terminal.until("the client was ended (SIGTERM)");
        terminal.until("the server was ended (SIGINT)");
        terminal.until("code 143");
        let kept = Command::new(PROGRAM)
            .args(["read", &file])
            .output()
            .unwrap();
        let packets = String::from_utf8_lossy(&kept.stdout);
        assert!(packets.contains("SYN,ACK"), "{kept:?}");

        let mut terminal = start("INT TERM", "").unwrap();
        ctrl_c(&mut terminal);
        terminal.until("server│ KeyboardInterrupt");
        ctrl_c(&mut terminal);
        terminal.until("code 130");
        wait_for("the end of all", || processes(&mark) == 0);
    }
}

/// A shell in a lab at a terminal, to which these lines are typed; everything on its screen.
fn typed(words: &[&str], lines: &[&str]) -> (String, Option<i32>) {
    let terminal = openpty(None, None).unwrap();
    let end = || Stdio::from(terminal.slave.try_clone().unwrap());
    let mut child = Command::new("setsid")
        .args(["--ctty", "--wait", PROGRAM, "lab", "shell"])
        .args(words)
        .env("SHELL", "/bin/sh")
        .stdin(end())
        .stdout(end())
        .stderr(end())
        .spawn()
        .unwrap();
    drop(terminal.slave);
    let mut screen = File::from(terminal.master);
    screen.write_all(lines.join("").as_bytes()).unwrap();
    let mut shown = Vec::new();
    // Fails when nobody is at the other side of the terminal any more.
    let _ = screen.read_to_end(&mut shown);
    let code = child.wait().unwrap().code();
    (String::from_utf8_lossy(&shown).into_owned(), code)
}

#[test]
fn a_shell_is_on_a_host_and_its_code_is_the_lab_s() {
    if !works() {
        return;
    }
    let scratch = Scratch::new("lab-shell");
    let file = scratch.file("shell.pcapng");
    let server = format!(
        "cd {}/tests/programs && python3 sequential_server.py 10.0.0.2 5000 1",
        env!("CARGO_MANIFEST_DIR")
    );
    let asks = format!(
        "until python3 {}/tests/programs/one_message_client.py 10.0.0.2 5000 hello 2> /dev/null; do :; done\n",
        env!("CARGO_MANIFEST_DIR")
    );
    let lines = ["echo on $(hostname), $SOCKWIRE_HOST\n", &asks, "exit 7\n"];
    let (shown, code) = typed(&["--with", &server, "--delay", "1", "-w", &file], &lines);
    assert_eq!(code, Some(7), "{shown}");
    for part in [
        "you are on the client, 10.0.0.1 (eth0); the server is 10.0.0.2",
        "on client, client",
        "HELLO",
        "nsenter -t ",
        "kept: ",
    ] {
        assert!(shown.contains(part), "{part:?} in\n{shown}");
    }
    let ladder = Command::new(PROGRAM)
        .args(["ladder", &file])
        .output()
        .unwrap();
    assert!(String::from_utf8_lossy(&ladder.stdout).contains("\"hello\""));
}

#[test]
fn what_a_shell_leaves_behind_ends_with_it() {
    if !works() {
        return;
    }
    let mark = format!("600.{}", std::process::id());
    let lines = format!("nohup sleep {mark} > /dev/null 2>&1 &\n");
    let (shown, code) = typed(&["server"], &[&lines, "exit\n"]);
    assert_eq!(code, Some(0), "{shown}");
    assert!(shown.contains("you are on the server, 10.0.0.2"), "{shown}");
    wait_for("the end of all", || processes(&mark) == 0);
}
