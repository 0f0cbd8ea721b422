//! `sockwire trace`, each test in a network of its own: calls and packets as they were, and everybody's exit code.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod beside;
mod lan;

use std::{
    fs,
    io::{Read as _, Write as _},
    process::{Command, Output},
    sync::OnceLock,
};

use beside::{Running, limited, on_terminal};
use lan::{Scratch, in_own_network, testing};
use sockwire::{
    event::{Deed, End, Entry, Event},
    file::log::Reader,
};

/// A client and a server in one program: six bytes there, six bytes back; ends with 7.
const TALK: &str = "
import socket, threading
server = socket.create_server(('127.0.0.1', 5000))
def serve():
    client, _ = server.accept()
    while data := client.recv(100):
        client.sendall(data.upper())
    client.close()
serving = threading.Thread(target=serve)
serving.start()
client = socket.create_connection(('127.0.0.1', 5000))
client.sendall(b'hello\\n')
print(client.recv(100), flush=True)
client.shutdown(socket.SHUT_WR)
client.recv(100)
client.close()
serving.join()
raise SystemExit(7)
";

/// The interpreter itself: what is called python3 may be a script that looks for it.
fn python() -> Option<&'static str> {
    static PATH: OnceLock<Option<String>> = OnceLock::new();
    let path = PATH.get_or_init(|| {
        // Where it is, other users may run it too.
        const USUAL: &str = "/usr/bin/python3";
        if fs::exists(USUAL).is_ok_and(|there| there) {
            return Some(USUAL.to_owned());
        }
        let asked = Command::new("python3")
            .args(["-c", "import sys; print(sys.executable)"])
            .output();
        Some(
            String::from_utf8(asked.ok()?.stdout)
                .ok()?
                .trim()
                .to_owned(),
        )
    });
    if path.is_none() {
        testing::skipped("no python3 here");
    }
    path.as_deref()
}

/// `sockwire trace` with words that have no blanks in them, and a command.
fn trace(words: &str, command: &[&str]) -> Command {
    let mut tracing = limited(env!("CARGO_BIN_EXE_sockwire"));
    tracing
        .arg("trace")
        .args(words.split_whitespace())
        .args(command);
    tracing
}

fn run(words: &str, command: &[&str]) -> Output {
    trace(words, command).output().unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn told(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn log(path: &str) -> Vec<Entry> {
    let mut reader = Reader::open(path.as_ref()).unwrap();
    let mut entries = Vec::new();
    while let Some(entry) = reader.entry().unwrap() {
        entries.push(entry);
    }
    entries
}

/// All about the packet of this line, once all is known: no line waits for a receiver that takes its time.
fn why(kept: &str, line: &str) -> String {
    let number = line.split_once(" packet ").unwrap().1;
    let number = number.split(' ').next().unwrap();
    let why = told(&run(&format!("-r {kept} --why {number}"), &[]));
    why.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The counters of a log, which agree with what is in it.
fn counted(entries: &[Entry]) -> End {
    let Some(Event::End(end)) = entries.last().map(|last| &last.event) else {
        panic!("no end: {:?}", entries.last());
    };
    let count = |is: fn(&Event) -> bool| entries.iter().filter(|entry| is(&entry.event)).count();
    assert_eq!(
        end.calls,
        count(|event| matches!(event, Event::Enter(_))) as u64
    );
    assert_eq!(
        end.kept,
        count(|event| matches!(event, Event::Packet(_))) as u64
    );
    assert_eq!(end.seen, end.kept + end.others + end.duplicates);
    assert_eq!(end.dropped, 0);
    let times: Vec<_> = entries.iter().map(|entry| entry.at).collect();
    assert!(times.is_sorted(), "entries are not in order of time");
    *end
}

#[test]
fn calls_and_packets_stand_in_one_order_each_with_its_tie() {
    if !lan::tracing() {
        return;
    }
    in_own_network(|| {
        let Some(python) = python() else { return };
        let files = Scratch::new("trace-talk");
        let (kept, lines) = (files.file("my.log"), files.file("lines.txt"));
        let output = run(
            &format!("--lines --save {kept} -o {lines}"),
            &[python, "-c", TALK],
        );
        assert_eq!(output.status.code(), Some(7), "{}", said(&output));
        assert_eq!(told(&output), "b'HELLO\\n'\n");
        assert_eq!(said(&output), "");

        let entries = log(&kept);
        let end = counted(&entries);
        // SYN, SYN,ACK, ACK; twice data and its ACK; FIN, FIN,ACK, ACK, of which an ACK may ride on data.
        assert!((8..=11).contains(&end.kept), "{end:?}");
        assert_eq!((end.others, end.duplicates), (0, end.kept));

        let lines = fs::read_to_string(&lines).unwrap();
        let find = |parts: &[&str]| {
            let found = lines
                .lines()
                .position(|line| parts.iter().all(|part| line.contains(part)));
            found.unwrap_or_else(|| panic!("no line with {parts:?} in:\n{lines}"))
        };
        let rows = [
            find(&["SYN seq=0", "sent by connect #", "(connect)"]),
            find(&["SYN,ACK seq=0", "kernel: for listen"]),
            find(&["<... connect resumed> = 0"]),
            find(&["PSH,ACK seq=1 ack=1 len=6", "sent by send", "(sequence)"]),
            find(&["FIN,ACK seq=7", "sent by shutdown #", "(shutdown)"]),
            find(&["FIN,ACK", "sent by close #", "(last close)"]),
            find(&["ended with status 7"]),
        ];
        assert!(rows.is_sorted(), "{rows:?} in:\n{lines}");

        let why = why(&kept, lines.lines().nth(rows[3]).unwrap());
        for part in ["bytes of call ", ", recv(", " returned bytes 0-5, "] {
            assert!(why.contains(part), "{why}");
        }
        assert!(why.ends_with("it arrived (sequence)."), "{why}");
    });
}

#[test]
fn a_saved_log_is_shown_as_the_run_was() {
    if !lan::tracing() {
        return;
    }
    in_own_network(|| {
        let Some(python) = python() else { return };
        let files = Scratch::new("trace-again");
        for (shown, suffix) in [
            ("", "txt"),
            ("--lines", "txt"),
            ("--json", "txt"),
            ("", "json"),
        ] {
            let [kept, live, again] =
                ["log", "live", "again"].map(|name| files.file(&format!("{name}.{suffix}")));
            let words = format!("{shown} --force --save {kept} -o {live}");
            assert_eq!(run(&words, &[python, "-c", TALK]).status.code(), Some(7));
            let output = run(&format!("{shown} --force -r {kept} -o {again}"), &[]);
            assert_eq!(output.status.code(), Some(0), "{}", said(&output));
            let [live, again] = [live, again].map(|path| fs::read_to_string(path).unwrap());
            assert!(live.contains("shutdown"), "{live}");
            assert!(live == again, "{shown}: live\n{live}\nagain\n{again}");
            // Without a file, a saved log goes to standard output; where that is no terminal, as into a file.
            let output = run(&format!("{shown} -r {kept}"), &[]);
            if suffix == "txt" {
                assert!(told(&output) == again, "{shown}:\n{}", told(&output));
            }
        }
    });
}

#[test]
fn a_log_is_shown_in_each_way_that_is_asked_for() {
    if !lan::tracing() {
        return;
    }
    in_own_network(|| {
        let Some(python) = python() else { return };
        let files = Scratch::new("trace-views");
        let kept = files.file("my.log");
        let output = run(&format!("--quiet --save {kept}"), &[python, "-c", TALK]);
        assert_eq!(
            (output.status.code(), said(&output)),
            (Some(7), String::new())
        );
        let entries = log(&kept);
        let data = entries.iter().find_map(|entry| match &entry.event {
            Event::Enter(enter) if enter.deed == Deed::Send => Some(enter.call),
            _ => None,
        });
        let effects = format!("--effects {}", data.unwrap());
        for (shown, part) in [
            ("", "-- C1 tcp 127.0.0.1:"),
            ("--lines", "SYN seq=0"),
            ("--ladder", "SYN-SENT"),
            ("--summary", "127.0.0.1:5000"),
            ("--why 1", "connect"),
            (&effects, "hello"),
            ("--json", "{\"tie\":{\"packet\":1,"),
        ] {
            let output = run(&format!("-r {kept} {shown}"), &[]);
            assert_eq!(
                (output.status.code(), said(&output)),
                (Some(0), String::new()),
                "{shown}"
            );
            assert!(told(&output).contains(part), "{shown}: {}", told(&output));
        }
        for (name, part) in [
            ("my.svg", "<svg"),
            ("my.html", "<html"),
            ("my.mmd", "sequenceDiagram"),
            ("my.json", "{\"at\":"),
        ] {
            let path = files.file(name);
            assert_eq!(
                run(&format!("-r {kept} -o {path}"), &[]).status.code(),
                Some(0)
            );
            assert!(fs::read_to_string(&path).unwrap().contains(part), "{name}");
        }
        for shown in ["--why 4000", "--effects 4000"] {
            let output = run(&format!("-r {kept} {shown}"), &[]);
            assert_eq!(output.status.code(), Some(1), "{}", said(&output));
            assert!(
                said(&output).contains(" 4000 in this trace"),
                "{}",
                said(&output)
            );
        }
    });
}

#[test]
fn the_exit_code_is_that_of_the_command() {
    if !lan::tracing() {
        return;
    }
    in_own_network(|| {
        for (command, code) in [
            ("true", 0),
            ("exit 3", 3),
            ("kill -TERM $$", 143),
            ("kill -KILL $$", 137),
            // A child that lives on is traced to its end, and does not decide.
            ("(sleep 0.2; exit 5) & exit 4", 4),
        ] {
            let output = run("--quiet", &["sh", "-c", command]);
            assert_eq!(
                output.status.code(),
                Some(code),
                "{command}: {}",
                said(&output)
            );
            assert_eq!(said(&output), "");
        }
    });
}

#[test]
fn wrong_words_say_what_would_be_right() {
    if !lan::tracing() {
        return;
    }
    let files = Scratch::new("trace-words");
    let taken = files.file("taken");
    fs::write(&taken, "precious").unwrap();
    for (words, command, code, part) in [
        ("", &[][..], 2, "sockwire trace python3 client.py"),
        ("-p 1 -r my.log", &[], 2, "choose one"),
        ("-p 1", &["true"], 2, "choose one"),
        ("--private -p 1", &[], 2, "--private is for a COMMAND"),
        (
            "--poll -r my.log",
            &[],
            2,
            "--calls and --poll are for tracing",
        ),
        ("-p x", &[], 2, "-p 4310"),
        ("--calls some", &["true"], 2, "all, net"),
        ("--why 0", &["true"], 2, "--why 12"),
        ("--lines --json", &["true"], 2, "cannot be used with"),
        ("-o my.gif", &["true"], 2, ".txt"),
        ("--save -", &["true"], 2, "name of a file"),
        ("--save a -w a", &["true"], 2, "different names"),
        (
            &format!("-r {taken} --save {taken} --force"),
            &[],
            2,
            "replace the log that is read",
        ),
        ("", &["/no/such/program"], 4, "/no/such/program"),
        (
            "",
            &["no-such-program"],
            4,
            "no folder of PATH has such a program",
        ),
        ("", &["Cargo.toml"], 4, "started as ./Cargo.toml"),
        ("", &["./Cargo.toml"], 4, "chmod +x ./Cargo.toml"),
        ("", &["/"], 4, "it is a folder"),
        ("-p 4194000", &[], 4, "there is no process 4194000"),
        ("-r /no/such.log", &[], 4, "cannot open /no/such.log"),
        (&format!("--save {taken}"), &["true"], 6, "--force"),
    ] {
        let output = run(words, command);
        assert_eq!(
            output.status.code(),
            Some(code),
            "{words}: {}",
            said(&output)
        );
        assert!(said(&output).contains(part), "{words}: {}", said(&output));
        assert_eq!(told(&output), "", "{words}");
    }
    assert_eq!(fs::read_to_string(&taken).unwrap(), "precious");
    assert!(!fs::exists("my.gif").unwrap());
}

#[test]
fn words_of_the_command_are_its_own() {
    if !lan::tracing() {
        return;
    }
    in_own_network(|| {
        for words in ["", "--"] {
            let output = run(
                &format!("--quiet {words}"),
                &["echo", "--calls", "c", "-p", "--", "-r"],
            );
            assert_eq!(told(&output), "--calls c -p -- -r\n", "{}", said(&output));
        }
    });
}

#[test]
fn a_call_of_what_is_no_socket_is_shown_with_its_error() {
    if !lan::tracing() {
        return;
    }
    /// `socket()` is refused and nobody looks; then data is sent after the close. Whether 0 is a socket may be asked.
    const MISTAKES: &str = "
import ctypes
libc = ctypes.CDLL(None)
libc.listen(libc.socket(2, 1, 12345), 5)
server = libc.socket(2, 1, 0)
libc.close(server)
libc.send(server, b'x', 1, 0)
libc.getpeername(0, None, None)
";
    let Some(python) = python() else { return };
    in_own_network(|| {
        let files = Scratch::new("trace-mistakes");
        let kept = files.file("my.log");
        let words = format!("--lines --save {kept}");
        let lines = said(&run(&words, &[python, "-c", MISTAKES]));
        // A line does not wait for a call that takes its time.
        for shown in [
            " #1 socket(",
            " #2 listen(",
            " #3 socket(",
            " #4 close(",
            " #5 send(",
        ] {
            assert!(lines.contains(shown), "{shown}: {lines}");
        }
        let effects = |call| run(&format!("-r {kept} --effects {call}"), &[]);
        let call = |call| {
            let told = told(&effects(call));
            let told = told.split_whitespace().collect::<Vec<_>>().join(" ");
            told.split_once(": ").unwrap().1.to_owned()
        };
        let [refused, listen, opened, closed, send] = [1, 2, 3, 4, 5].map(call);
        assert_eq!(effects(6).status.code(), Some(1), "{lines}");
        assert!(
            refused.contains(") = -1 EINVAL (invalid argument), "),
            "{refused}"
        );
        assert!(listen.starts_with("listen(-1, 5) = -1 EBADF"), "{listen}");
        assert!(opened.starts_with("socket(") && closed.starts_with("close("));
        assert!(
            send.starts_with("send(") && send.contains(" = -1 EBADF"),
            "{send}"
        );
    });
}

#[test]
fn a_damaged_log_is_shown_up_to_the_damage() {
    let files = Scratch::new("trace-damaged");
    let path = files.file("my.log");
    let begin = r#"{"at":1000000000,"begin":{"version":1,"what":"it","ground":"made by hand"}}"#;
    let note = r#"{"at":1000000001,"note":{"process":null,"text":"good"}}"#;
    for (text, code, shown, part) in [
        (
            format!("{begin}\n{note}\n{{\"at\":"),
            5,
            "good",
            "damaged at line 3",
        ),
        (
            format!("{begin}\n{note}\nnonsense\n"),
            5,
            "good",
            "damaged at line 3",
        ),
        (
            format!("{begin}\n{note}\n"),
            5,
            "good",
            "ends before its last entry",
        ),
        (String::new(), 5, "", "it is empty"),
        (
            "GET / HTTP/1.0\n".to_owned(),
            5,
            "",
            "is not the log of a trace",
        ),
        (
            begin.replace(":1,", ":2,") + "\n",
            5,
            "",
            "a newer sockwire",
        ),
    ] {
        fs::write(&path, text).unwrap();
        let output = run(&format!("-r {path} --lines"), &[]);
        assert_eq!(output.status.code(), Some(code), "{}", said(&output));
        assert!(told(&output).contains(shown), "{}", told(&output));
        assert!(said(&output).contains(part), "{}", said(&output));
        assert_eq!(said(&output).lines().count(), 1, "{}", said(&output));
    }
    // From a pipe too.
    let output = beside::fed(trace("-r -", &[]), format!("{begin}\n").as_bytes());
    assert!(
        said(&output).contains("standard input is damaged at line 2"),
        "{}",
        said(&output)
    );
}

#[test]
fn without_the_right_to_capture_calls_are_shown_alone() {
    if !lan::tracing() {
        return;
    }
    in_own_network(|| {
        let Some(python) = python() else { return };
        let mut command = limited("setpriv");
        command.args(["--bounding-set=-net_raw", "--inh-caps=-net_raw"]);
        command.args([
            env!("CARGO_BIN_EXE_sockwire"),
            "trace",
            "--lines",
            python,
            "-c",
            TALK,
        ]);
        let Ok(output) = command.output() else {
            return testing::skipped("no setpriv command here");
        };
        let said = said(&output);
        assert_eq!(output.status.code(), Some(7), "{said}");
        let note = said.lines().next().unwrap();
        for part in [
            "CAP_NET_RAW",
            "sudo /",
            "setcap cap_net_raw+ep /",
            "--private",
            "lab run",
        ] {
            assert!(note.contains(part), "no {part} in {note}");
        }
        assert!(
            said.contains("shutdown(") && !said.contains("SYN"),
            "{said}"
        );
        assert!(said.contains("packets are not seen"), "{said}");
    });
}

#[test]
fn an_ordinary_user_sees_the_packets_of_a_private_network() {
    if !lan::tracing() {
        return;
    }
    let Some(python) = python() else { return };
    let words = [
        env!("CARGO_BIN_EXE_sockwire"),
        "trace",
        "--private",
        "--lines",
        python,
        "-c",
        TALK,
    ];
    let as_user = ["--reuid=54321", "--regid=54321", "--clear-groups"];
    let mut command = match nix::unistd::geteuid().is_root() {
        true => {
            let mut command = limited("setpriv");
            command.args(as_user).args(words);
            command
        }
        false => {
            let mut command = limited(words[0]);
            command.args(&words[1..]);
            command
        }
    };
    let output = command.output().unwrap();
    let said = said(&output);
    let refused = [
        "cannot make a private network",
        "Permission denied",
        "setpriv: ",
    ];
    if refused.iter().any(|why| said.contains(why)) {
        return testing::skipped(said.trim());
    }
    assert_eq!(output.status.code(), Some(7), "{said}");
    assert!(said.contains("on a private network"), "{said}");
    assert!(
        said.contains("SYN seq=0") && said.contains("sent by send #"),
        "{said}"
    );
}

#[test]
fn a_private_network_that_is_refused_is_explained() {
    let words = "echo 0 > /proc/sys/user/max_user_namespaces && \
                 exec setpriv --bounding-set=-all --inh-caps=-all --no-new-privs \"$0\" trace --private true";
    let output = limited("unshare")
        .args(["-Ur", "sh", "-c", words, env!("CARGO_BIN_EXE_sockwire")])
        .output()
        .unwrap();
    let said = said(&output);
    if said.contains("unshare:") || said.contains("setpriv:") || said.contains("cannot create") {
        return testing::skipped(said.trim());
    }
    assert_eq!(output.status.code(), Some(3), "{said}");
    assert!(
        said.contains("cannot make a private network") && said.contains("sockwire doctor"),
        "{said}"
    );
}

#[test]
fn another_users_program_is_not_traced_and_why() {
    if !lan::tracing() {
        return;
    }
    if !nix::unistd::geteuid().is_root() {
        return testing::skipped("needs two users");
    }
    let mut command = limited("sleep");
    command.arg("60");
    let other = Running::spawn(command);
    let process = other.child.id().to_string();
    let output = limited("setpriv")
        .args([
            "--reuid=54321",
            "--regid=54321",
            "--clear-groups",
            env!("CARGO_BIN_EXE_sockwire"),
        ])
        .args(["trace", "-p", &process])
        .output()
        .unwrap();
    let said = said(&output);
    drop(other);
    if said.contains("setpriv:") {
        return testing::skipped(said.trim());
    }
    assert_eq!(output.status.code(), Some(3), "{said}");
    assert!(
        said.contains(&format!("cannot trace process {process}")),
        "{said}"
    );
    assert!(said.contains("sudo"), "{said}");
}

#[test]
fn where_no_program_can_be_traced_doctor_and_trace_say_the_same() {
    if !lan::tracing() {
        return;
    }
    in_own_network(|| {
        const PROGRAM: &str = env!("CARGO_BIN_EXE_sockwire");
        // What the traced one starts has its tracer already.
        let doctor = run("--summary", &[PROGRAM, "doctor", "--json"]);
        let doctor: serde_json::Value = serde_json::from_slice(&doctor.stdout).unwrap();
        let mut abilities = doctor["abilities"].as_array().unwrap().iter();
        let ability = abilities.find(|ability| ability["id"] == "trace").unwrap();
        assert_eq!(ability["allowed"], false);
        let reason = ability["reason"].as_str().unwrap();
        assert!(reason.contains("traces this one"), "{reason}");
        let output = run("--summary", &[PROGRAM, "trace", "true"]);
        assert_eq!(output.status.code(), Some(3), "{output:?}");
        let said = said(&output);
        for part in [
            "cannot trace a program: process ",
            "traces this one",
            "sockwire doctor",
        ] {
            assert!(said.contains(part), "no {part} in {said}");
        }
    });
}

#[test]
fn a_running_program_is_attached_to_and_lives_on() {
    if !lan::tracing() {
        return;
    }
    in_own_network(|| {
        let Some(python) = python() else { return };
        let program = "
import os, socket
server = socket.create_server(('127.0.0.1', 5000))
print(os.getpid(), flush=True)
while True:
    client, _ = server.accept()
    client.sendall(client.recv(100).upper())
    client.close()
";
        let mut command = Command::new(python);
        command.args(["-c", program]);
        let mut server = Running::spawn(command);
        let process = server.until("").trim().to_owned();
        let ask = || {
            let asking = "
import socket, sys
client = socket.create_connection(('127.0.0.1', 5000))
client.sendall(b'hello')
sys.stdout.write(client.recv(100).decode())
client.recv(100)
";
            told(&limited(python).args(["-c", asking]).output().unwrap())
        };
        // Nobody forwards Ctrl-C to it: no timeout in between.
        let mut command = Command::new(env!("CARGO_BIN_EXE_sockwire"));
        let files = Scratch::new("trace-attach");
        let kept = files.file("my.log");
        command.args(["trace", "--lines", "--save", &kept, "-p", &process]);
        let mut tracing = Running::start(command, "accept4(");
        assert_eq!(ask(), "HELLO");
        tracing.until(" close(");
        // What waits for what stands in that order; an accept and the data behind it may return in either.
        for part in [
            "SYN,ACK seq=0",
            "accept4 resumed> = ",
            "its sender is not traced",
            "\"hello\"",
        ] {
            assert!(tracing.seen().contains(part), "{}", tracing.seen());
        }
        let data = tracing.seen().lines().find(|line| line.contains(" len=5"));
        let data = data.unwrap().to_owned();
        let (rest, said) = tracing.stop();
        assert!(rest.contains(" calls, "), "{rest}");
        assert_eq!(said, "");
        let why = why(&kept, &data);
        for part in [
            "Its sender is not traced",
            ", recv(",
            " returned bytes 0-4, ",
        ] {
            assert!(why.contains(part), "{why}");
        }
        assert!(why.ends_with("it arrived (sequence)."), "{why}");
        // It is no worse for it.
        assert_eq!(ask(), "HELLO");
        assert!(server.child.try_wait().unwrap().is_none());
    });
}

#[test]
fn the_reader_of_a_view_may_leave() {
    if !lan::tracing() {
        return;
    }
    in_own_network(|| {
        let mut command = limited("sleep");
        command.arg("60");
        let program = Running::spawn(command);
        let process = program.child.id().to_string();
        let line = format!(
            "{{ {} trace -p {process}; echo $? >&2; }} | head -1",
            env!("CARGO_BIN_EXE_sockwire")
        );
        let mut command = limited("sh");
        command.args(["-c", &line]);
        // Its end gives the tracer something to say, to nobody.
        let mut tracing = Running::start(command, "");
        drop(program);
        let mut said = String::new();
        tracing
            .child
            .stderr
            .take()
            .unwrap()
            .read_to_string(&mut said)
            .unwrap();
        assert_eq!(said, "0\n");
    });
}

#[test]
fn a_log_is_whole_though_nobody_reads_the_view() {
    if !lan::tracing() {
        return;
    }
    in_own_network(|| {
        let Some(python) = python() else { return };
        let files = Scratch::new("trace-unread");
        let kept = files.file("my.log");
        let program = "
import socket
a, b = socket.socketpair()
for _ in range(1000):
    a.send(b'x')
    b.recv(1)
";
        let mut tracing =
            Running::spawn(trace(&format!("--save {kept}"), &[python, "-c", program]));
        drop(tracing.child.stderr.take());
        assert_eq!(tracing.child.wait().unwrap().code(), Some(0));
        assert!(counted(&log(&kept)).calls >= 2002);
    });
}

#[test]
fn comments_of_packets_name_process_descriptor_and_call() {
    if !lan::tracing() {
        return;
    }
    in_own_network(|| {
        let Some(python) = python() else { return };
        let files = Scratch::new("trace-comments");
        let path = files.file("talk.pcapng");
        let output = run(&format!("--quiet -w {path}"), &[python, "-c", TALK]);
        assert_eq!(output.status.code(), Some(7), "{}", said(&output));
        let read = Command::new("tshark")
            .args([
                "-r",
                &path,
                "-T",
                "fields",
                "-e",
                "tcp.len",
                "-e",
                "frame.comment",
            ])
            .output();
        let Ok(read) = read else {
            return testing::skipped("no tshark command here");
        };
        let comments = told(&read);
        let data = comments.lines().find(|line| line.starts_with("6\t"));
        let data = data.unwrap_or_else(|| panic!("no data in {comments}"));
        let name = python.rsplit('/').next().unwrap();
        let [send, recv] =
            ["", "got by "].map(|word| format!("{word}{}[", &name[..name.len().min(15)]));
        let (first, second) = data[2..].split_once(",got by ").unwrap_or_default();
        assert!(
            data[2..].starts_with(&send) && data.contains(&recv),
            "{data}"
        );
        assert!(
            first.contains("] fd ") && first.contains(": send #"),
            "{data}"
        );
        assert!(
            second.contains("] fd ") && second.contains(": recv #"),
            "{data}"
        );
        assert!(
            comments.contains("kernel: answers for the socket that listens"),
            "{comments}"
        );
    });
}

#[test]
fn no_packet_and_no_call_is_lost_and_each_has_its_owner() {
    if !lan::tracing() {
        return;
    }
    in_own_network(|| {
        let Some(python) = python() else { return };
        let files = Scratch::new("trace-many");
        let kept = files.file("my.log");
        let program = "
import socket
server = socket.create_server(('127.0.0.1', 0))
a = socket.create_connection(server.getsockname())
b, _ = server.accept()
for n in range(2000):
    a.sendall(b'%06d' % n)
    b.recv(100)
# Others' packets are not this program's.
";
        let output = run(&format!("--quiet --save {kept}"), &[python, "-c", program]);
        assert_eq!(output.status.code(), Some(0), "{}", said(&output));
        let entries = log(&kept);
        let end = counted(&entries);
        let deeds = |deed: Deed| {
            let is =
                |entry: &&Entry| matches!(&entry.event, Event::Enter(enter) if enter.deed == deed);
            entries.iter().filter(is).count()
        };
        assert_eq!((deeds(Deed::Send), deeds(Deed::Receive)), (2000, 2000));
        assert!(end.kept >= 2000 + 3, "{end:?}");
        let json = files.file("my.json");
        run(&format!("-r {kept} -o {json}"), &[]);
        let ties = fs::read_to_string(&json).unwrap();
        let tied = |part: &str| ties.lines().filter(|line| line.contains(part)).count();
        assert_eq!(tied("{\"tie\":{\"packet\":"), end.kept as usize);
        assert_eq!(tied("\"ground\":\"sequence\"}],\"receiver\""), 2000);
        assert_eq!(tied("{\"tie\":{\"call\":"), 2000 + 2);
    });
}

#[test]
fn packets_of_other_programs_are_counted_and_left_out() {
    if !lan::tracing() {
        return;
    }
    in_own_network(|| {
        let Some(python) = python() else { return };
        let server = Running::serve("5001 --echo");
        let files = Scratch::new("trace-others");
        let kept = files.file("my.log");
        let program = "
import socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(('127.0.0.1', 6000))
print('ready', flush=True)
sys.stdin.readline()
s.sendto(b'to nobody', ('127.0.0.1', 6001))
";
        let words = format!("--save {kept}");
        let mut tracing = Running::spawn(trace(&words, &[python, "-c", program]));
        // Captures have begun with the first socket.
        tracing.until("ready");
        let mut client = limited(env!("CARGO_BIN_EXE_sockwire"));
        client.args(["connect", "5001"]);
        assert!(beside::fed(client, b"hello\n").status.success());
        let mut stdin = tracing.child.stdin.take().unwrap();
        stdin.write_all(b"\n").unwrap();
        let (_, said) = tracing.end();
        let end = counted(&log(&kept));
        // The datagram, and the ICMP error about it; not the connection.
        assert_eq!(end.kept, 2, "{end:?}");
        assert!(end.others >= 8, "{end:?}");
        assert!(said.contains("of other programs"), "{said}");
        assert!(!said.contains("5001"), "{said}");
        drop(server);
    });
}

/// Traces a shell's `script` on a terminal up to a line with `first` in it, and says the exit code at its end.
fn on_a_terminal(words: &str, script: &str, first: &str) -> Option<Running> {
    let line = format!(
        "{} --color never trace {words} sh -c '{script}' 2>&1; echo code $?",
        env!("CARGO_BIN_EXE_sockwire")
    );
    let command = on_terminal(&line);
    if command.is_none() {
        testing::skipped("no script command here");
    }
    Some(Running::start(command?, first))
}

/// Ctrl-C on the terminal of a program.
fn ctrl_c(terminal: &mut Running) {
    let stdin = terminal.child.stdin.as_mut().unwrap();
    stdin.write_all(b"\x03").unwrap();
}

#[test]
fn ctrl_c_is_the_programs_to_answer() {
    if !lan::tracing() {
        return;
    }
    in_own_network(|| {
        let script = r#"trap "exit 9" INT; echo ready; while :; do sleep 0.1; done"#;
        let Some(mut terminal) = on_a_terminal("--lines", script, "ready") else {
            return;
        };
        ctrl_c(&mut terminal);
        terminal.until("code 9");
    });
}

#[test]
fn a_program_that_lives_on_after_ctrl_c_may_be_asked_again() {
    if !lan::tracing() {
        return;
    }
    in_own_network(|| {
        let script = r#"trap "n=x\$n; echo no \$n; [ \$n = xxx ] && exit 4" INT; echo ready; while :; do sleep 1; done"#;
        let Some(mut terminal) = on_a_terminal("", script, "ready") else {
            return;
        };
        for answer in ["no x", "no xx", "no xxx"] {
            ctrl_c(&mut terminal);
            terminal.until(answer);
        }
        terminal.until("code 4");
    });
}

#[test]
fn ctrl_c_ends_what_the_program_has_left_behind() {
    if !lan::tracing() {
        return;
    }
    in_own_network(|| {
        let script = r#"setsid sh -c "while kill -0 $$; do sleep 0.1; done; sleep 1; echo alone; sleep 30" & sleep 0.1; exit 5"#;
        let Some(mut terminal) = on_a_terminal("--quiet", script, "alone") else {
            return;
        };
        ctrl_c(&mut terminal);
        terminal.until("code 5");
    });
}

#[test]
fn a_request_to_end_is_passed_on() {
    if !lan::tracing() {
        return;
    }
    in_own_network(|| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sockwire"));
        command.args([
            "trace",
            "--quiet",
            "sh",
            "-c",
            "trap 'echo bye; exit 3' TERM; echo ready; while :; do sleep 0.1; done",
        ]);
        let mut tracing = Running::start(command, "ready");
        nix::sys::signal::kill(tracing.process(), nix::sys::signal::Signal::SIGTERM).unwrap();
        tracing.until("bye");
        assert_eq!(tracing.child.wait().unwrap().code(), Some(3));
    });
}
