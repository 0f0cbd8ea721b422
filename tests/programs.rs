//! The programs of an introductory course, in Python, against `serve` and `connect`, in both roles.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod lan;

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    process::{Child, ChildStderr, ChildStdout, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use lan::{Temporary, in_own_network, testing};

/// A program that runs beside the test; it is ended with the test.
struct Running {
    child: Child,
    out: BufReader<ChildStdout>,
    err: ChildStderr,
}

impl Running {
    fn start(mut command: Command) -> Self {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let out = BufReader::new(child.stdout.take().unwrap());
        let err = child.stderr.take().unwrap();
        Self { child, out, err }
    }

    /// Starts a server and waits for the line that says that it is ready.
    fn server(command: Command) -> Self {
        let mut server = Self::start(command);
        let mut line = String::new();
        server.out.read_line(&mut line).unwrap();
        if line.is_empty() {
            server.err.read_to_string(&mut line).unwrap();
            panic!("no server: {line}");
        }
        server
    }

    /// All that it writes from now on; it has ended then.
    fn rest(mut self) -> String {
        self.wait();
        let mut text = String::new();
        self.out.read_to_string(&mut text).unwrap();
        text
    }

    fn wait(&mut self) {
        let limit = Instant::now() + Duration::from_secs(30);
        while self.child.try_wait().unwrap().is_none() {
            assert!(Instant::now() < limit, "it does not end");
            thread::yield_now();
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn python(program: &str, words: &[&str]) -> Command {
    let mut command = Command::new("python3");
    let path = format!("{}/tests/programs/{program}", env!("CARGO_MANIFEST_DIR"));
    command.arg(path).args(words);
    command
}

fn sockwire(words: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sockwire"));
    command.args(words.split_whitespace());
    command
}

/// Runs a client with `input` and gives back what it wrote.
fn answer(mut command: Command, input: &str) -> String {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A client that takes nothing has ended already.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {said}");
    String::from_utf8(output.stdout).unwrap()
}

fn has_python() -> bool {
    let found = Command::new("python3").arg("-V").output().is_ok();
    if !found {
        testing::skipped("no python3 here");
    }
    found
}

#[test]
fn our_client_talks_to_the_servers_of_each_style() {
    in_own_network(|| {
        if !has_python() {
            return;
        }
        for program in ["sequential_server.py", "fork_server.py", "thread_server.py"] {
            let server = Running::server(python(program, &["127.0.0.1", "5000", "2"]));
            for text in ["hello\nagain\n", "second\n"] {
                let heard = answer(sockwire("connect 5000"), text);
                assert_eq!(heard, text.to_uppercase(), "{program}");
            }
            drop(server);
        }
        let _server = Running::server(python("sequential_server.py", &["::1", "5001", "1"]));
        assert_eq!(answer(sockwire("connect ::1 5001"), "six\n"), "SIX\n");
    });
}

#[test]
fn the_clients_talk_to_our_servers_of_each_style() {
    in_own_network(|| {
        if !has_python() {
            return;
        }
        for (port, style) in (5000..).zip(["sequential", "fork", "thread", "poll"]) {
            let port = port.to_string();
            let words = format!("serve {port} --echo --style {style}");
            let server = Running::server(sockwire(&words));
            let text = "one\ntwo\n".repeat(1000);
            let heard = answer(python("line_client.py", &["127.0.0.1", &port]), &text);
            assert_eq!(heard, text, "{style}");
            let words = ["127.0.0.1", &port, "ping"];
            assert_eq!(answer(python("one_message_client.py", &words), ""), "ping");
            drop(server);
        }
    });
}

#[test]
fn the_determined_sender_and_the_patient_receiver_agree_in_both_roles() {
    in_own_network(|| {
        if !has_python() {
            return;
        }
        let file = Temporary::new("to-send");
        let bytes: Vec<u8> = (0..3_000_001_u32).map(|n| (n % 251) as u8).collect();
        fs::write(&file.0, &bytes).unwrap();

        let receiver = Running::server(sockwire("serve 4000 --receive --once"));
        let sender = python("determined_sender.py", &["127.0.0.1", "4000", file.path()]);
        assert_eq!(answer(sender, ""), "counted 3000001 at attempt 1\n");
        let told = receiver.rest();
        assert!(
            told.contains("3000001") || told.contains("3,000,001"),
            "{told}"
        );

        let receiver = Running::server(python("patient_receiver.py", &["127.0.0.1", "4001", "1"]));
        let words = format!(
            "connect tcp --determined --file {} 127.0.0.1 4001",
            file.path()
        );
        answer(sockwire(&words), "");
        assert!(receiver.rest().starts_with("3000001 "));

        // The receiver of the book forgets the last block: the sender must not believe it, and not the other way round.
        let receiver =
            Running::server(python("forgetful_receiver.py", &["127.0.0.1", "4002", "2"]));
        let words = format!(
            "connect tcp --determined --file {} 127.0.0.1 4002",
            file.path()
        );
        answer(sockwire(&words), "");
        let told = receiver.rest();
        assert_eq!(told.lines().count(), 3, "{told}");
        assert!(told.ends_with("answered 3000001\n"), "{told}");
    });
}

#[test]
fn datagrams_go_both_ways() {
    in_own_network(|| {
        if !has_python() {
            return;
        }
        let _server = Running::server(python("udp_server.py", &["127.0.0.1", "5000", "2"]));
        let heard = answer(
            sockwire("connect -u 127.0.0.1 5000 --send ping --wait 0.5"),
            "",
        );
        assert_eq!(heard, "PING");
        let _ours = Running::server(sockwire("serve udp 5005 --echo"));
        let words = ["127.0.0.1", "5005", "one", "two"];
        assert_eq!(answer(python("udp_client.py", &words), ""), "one\ntwo\n");
    });
}

#[test]
fn unix_sockets_of_both_kinds_work_in_both_roles() {
    if !has_python() {
        return;
    }
    for path in [
        Temporary::new("stream").path().to_owned(),
        "@sockwire-programs".to_owned(),
    ] {
        let server = Running::server(python("unix_server.py", &[&path, "1"]));
        let heard = answer(sockwire(&format!("connect -U {path}")), "hello\n");
        assert_eq!(heard, "HELLO\n");
        assert_eq!(server.rest(), "");
        let _ = fs::remove_file(&path);
        let _ours = Running::server(sockwire(&format!("serve -U {path} --echo")));
        assert_eq!(
            answer(python("unix_client.py", &[&path]), "hello\n"),
            "hello\n"
        );
    }
    let (there, own) = (Temporary::new("there"), Temporary::new("own"));
    let server = Running::server(python("unix_datagrams.py", &["serve", there.path(), "1"]));
    let words = format!("connect -U -u {} --send ping --wait 0.5", there.path());
    assert_eq!(answer(sockwire(&words), ""), "PING");
    assert_eq!(server.rest(), "");
    fs::remove_file(&there.0).unwrap();
    let _ours = Running::server(sockwire(&format!("serve -U -u {} --echo", there.path())));
    let words = ["ask", there.path(), own.path(), "one", "two"];
    assert_eq!(
        answer(python("unix_datagrams.py", &words), ""),
        "one\ntwo\n"
    );
}
