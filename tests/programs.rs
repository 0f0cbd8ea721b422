//! The programs of an introductory course, in Python, and ncat, socat and nc, against `serve` and `connect`, in both roles.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod beside;
mod lan;

use std::{
    fs,
    io::Write,
    process::Command,
    thread,
    time::{Duration, Instant},
};

use beside::{Running, fed};
use lan::{Temporary, in_own_network, testing};

/// A server that says when it is ready.
fn ready(command: Command) -> Running {
    Running::start(command, "")
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
fn answer(command: Command, input: &str) -> String {
    let output = fed(command, input.as_bytes());
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
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
            let server = ready(python(program, &["127.0.0.1", "5000", "2"]));
            for text in ["hello\nagain\n", "second\n"] {
                let heard = answer(sockwire("connect 5000"), text);
                assert_eq!(heard, text.to_uppercase(), "{program}");
            }
            drop(server);
        }
        let _server = ready(python("sequential_server.py", &["::1", "5001", "1"]));
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
            let server = ready(sockwire(&words));
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

        let receiver = ready(sockwire("serve 4000 --receive --once"));
        let sender = python("determined_sender.py", &["127.0.0.1", "4000", file.path()]);
        assert_eq!(answer(sender, ""), "counted 3000001 at attempt 1\n");
        let told = receiver.end().0;
        assert!(
            told.contains("3000001") || told.contains("3,000,001"),
            "{told}"
        );

        let receiver = ready(python("patient_receiver.py", &["127.0.0.1", "4001", "1"]));
        let words = format!(
            "connect tcp --determined --file {} 127.0.0.1 4001",
            file.path()
        );
        answer(sockwire(&words), "");
        assert!(receiver.end().0.starts_with("3000001 "));

        // The receiver of the book forgets the last block: the sender must not believe it, and not the other way round.
        let receiver = ready(python("forgetful_receiver.py", &["127.0.0.1", "4002", "2"]));
        let words = format!(
            "connect tcp --determined --file {} 127.0.0.1 4002",
            file.path()
        );
        answer(sockwire(&words), "");
        let told = receiver.end().0;
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
        let _server = ready(python("udp_server.py", &["127.0.0.1", "5000", "2"]));
        let heard = answer(
            sockwire("connect -u 127.0.0.1 5000 --send ping --wait 0.5"),
            "",
        );
        assert_eq!(heard, "PING");
        let _ours = ready(sockwire("serve udp 5005 --echo"));
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
        let server = ready(python("unix_server.py", &[&path, "1"]));
        let heard = answer(sockwire(&format!("connect -U {path}")), "hello\n");
        assert_eq!(heard, "HELLO\n");
        assert_eq!(server.end().0, "");
        let _ = fs::remove_file(&path);
        let _ours = ready(sockwire(&format!("serve -U {path} --echo")));
        assert_eq!(
            answer(python("unix_client.py", &[&path]), "hello\n"),
            "hello\n"
        );
    }
    let (there, own) = (Temporary::new("there"), Temporary::new("own"));
    let server = ready(python("unix_datagrams.py", &["serve", there.path(), "1"]));
    let words = format!("connect -U -u {} --send ping --wait 0.5", there.path());
    assert_eq!(answer(sockwire(&words), ""), "PING");
    assert_eq!(server.end().0, "");
    fs::remove_file(&there.0).unwrap();
    let _ours = ready(sockwire(&format!("serve -U -u {} --echo", there.path())));
    let words = ["ask", there.path(), own.path(), "one", "two"];
    assert_eq!(
        answer(python("unix_datagrams.py", &words), ""),
        "one\ntwo\n"
    );
}

#[test]
fn the_web_by_hand_works_in_both_roles() {
    in_own_network(|| {
        if !has_python() {
            return;
        }
        let _ours = ready(sockwire("serve http 8080 --bind 127.0.0.1"));
        let heard = answer(python("http_get.py", &["127.0.0.1", "8080", "/ip"]), "");
        assert!(heard.starts_with("HTTP/1.1 200 OK\n"), "{heard}");
        assert!(heard.contains("\"127.0.0.1\""), "{heard}");
        let _theirs = ready(python("http_server.py", &["127.0.0.1", "8081"]));
        let heard = answer(sockwire("connect http http://127.0.0.1:8081/a/b"), "");
        assert!(heard.ends_with("GET /a/b\n"), "{heard}");
    });
}

#[test]
fn our_client_chats_with_theirs_and_echoes_come_back() {
    in_own_network(|| {
        if !has_python() {
            return;
        }
        let _echo = ready(python("echo_server.py", &[]));
        let text = "a line\n".repeat(20_000);
        assert!(answer(sockwire("connect 5005"), &text) == text);
        let mut chat = ready(python("chat_server.py", &["127.0.0.1", "5000"]));
        let theirs = ready(python("chat_client.py", &["127.0.0.1", "5000"]));
        assert_eq!(chat.until(""), "1 here\n");
        let mut ours = Running::spawn(sockwire("connect 127.0.0.1 5000"));
        let mut words = ours.child.stdin.take().unwrap();
        words.write_all(b"good morning\n").unwrap();
        assert_eq!(ours.until(""), "heard good morning\n");
        assert_eq!(theirs.end().0, "good morning\n");
        drop(words);
        ours.end();
    });
}

/// The netcats, and what their help says that others of the same name do not.
const PEERS: [(&str, &str); 3] = [("ncat", "Ncat"), ("socat", "socat"), ("nc", "OpenBSD")];

/// The command in `words`, if its program is here.
fn peer(words: &str) -> Option<Command> {
    let mut words = words.split_whitespace();
    let name = words.next().unwrap();
    let (_, sign) = PEERS.iter().find(|peer| peer.0 == name).unwrap();
    let help = Command::new(name).arg("-h").output().ok();
    let is_here = help.is_some_and(|help| {
        let said = [help.stdout, help.stderr].concat();
        String::from_utf8_lossy(&said).contains(sign)
    });
    if !is_here {
        testing::skipped(format_args!("no {name} ({sign}) here"));
        return None;
    }
    let mut command = Command::new(name);
    command.args(words);
    Some(command)
}

/// Waits until a line of a kernel's table of sockets, such as `tcp6`, has all of `marks`.
fn until_bound(table: &str, marks: &[&str]) {
    let limit = Instant::now() + Duration::from_secs(30);
    let has_all = |line: &str| marks.iter().all(|mark| line.contains(mark));
    // This thread's network, not the process's.
    while !fs::read_to_string(format!("/proc/thread-self/net/{table}"))
        .unwrap()
        .lines()
        .any(has_all)
    {
        assert!(Instant::now() < limit, "nobody at {marks:?}");
        thread::yield_now();
    }
}

/// The first line that a client prints after it was given `line`. Then its input ends; one of datagrams does not end by that.
fn first_answer(command: Command, line: &str, ends: bool) -> String {
    let mut client = Running::spawn(command);
    let mut words = client.child.stdin.take().unwrap();
    words.write_all(line.as_bytes()).unwrap();
    let heard = client.until("");
    drop(words);
    if ends {
        client.end();
    }
    heard
}

#[test]
fn netcats_serve_our_client() {
    in_own_network(|| {
        let (stream, datagram) = (Temporary::new("nc-stream"), Temporary::new("nc-datagram"));
        let (stream, datagram) = (stream.path(), datagram.path());
        // Ports in these tables are hexadecimal; 0A is LISTEN, and 00010000 a Unix socket that listens.
        let tcp = ("tcp", vec![":1388", " 0A "]);
        let tcp6 = ("tcp6", vec![":1388", " 0A "]);
        let udp = ("udp", vec![":1388"]);
        let unix = ("unix", vec![stream, "00010000"]);
        let unix_datagram = ("unix", vec![datagram]);
        for (server, bound, client) in [
            (
                "ncat -u -l 127.0.0.1 5000 --exec /bin/cat",
                &udp,
                "-u 127.0.0.1 5000",
            ),
            (
                "socat TCP-LISTEN:5000,bind=127.0.0.1,reuseaddr PIPE",
                &tcp,
                "127.0.0.1 5000",
            ),
            ("socat TCP6-LISTEN:5000,reuseaddr PIPE", &tcp6, "::1 5000"),
            (
                "socat UDP-LISTEN:5000,bind=127.0.0.1 PIPE",
                &udp,
                "-u 127.0.0.1 5000",
            ),
            ("socat UNIX-LISTEN:STREAM PIPE", &unix, "-U STREAM"),
            (
                "socat UNIX-RECVFROM:DATAGRAM PIPE",
                &unix_datagram,
                "-uU DATAGRAM",
            ),
        ] {
            let named = |words: &str| {
                words
                    .replace("STREAM", stream)
                    .replace("DATAGRAM", datagram)
            };
            let Some(command) = peer(&named(server)) else {
                continue;
            };
            let running = Running::fed(command, "");
            until_bound(bound.0, &bound.1);
            let client = format!("connect {} --send ping --wait 2", named(client));
            assert_eq!(answer(sockwire(&client), ""), "ping", "{server}");
            drop(running);
            let _ = [stream, datagram].map(fs::remove_file);
        }
        // These print what they get, and send what they are given.
        for (server, bound, client) in [
            ("ncat -l 127.0.0.1 5000", &tcp, "127.0.0.1 5000"),
            ("ncat -6 -l ::1 5000", &tcp6, "::1 5000"),
            ("ncat -u -l 127.0.0.1 5000", &udp, "-u 127.0.0.1 5000"),
            ("ncat -U -l STREAM", &unix, "-U STREAM"),
            ("nc -l 127.0.0.1 5000", &tcp, "127.0.0.1 5000"),
            ("nc -6 -l ::1 5000", &tcp6, "::1 5000"),
            ("nc -u -l 127.0.0.1 5000", &udp, "-u 127.0.0.1 5000"),
            ("nc -U -l STREAM", &unix, "-U STREAM"),
        ] {
            let named = |words: &str| {
                words
                    .replace("STREAM", stream)
                    .replace("DATAGRAM", datagram)
            };
            let Some(command) = peer(&named(server)) else {
                continue;
            };
            let mut running = Running::fed(command, "pong\n");
            until_bound(bound.0, &bound.1);
            let client = format!("connect {} --send ping\\n --wait 2", named(client));
            assert_eq!(answer(sockwire(&client), ""), "pong\n", "{server}");
            assert_eq!(running.until(""), "ping\n", "{server}");
            drop(running);
            let _ = [stream, datagram].map(fs::remove_file);
        }
    });
}

#[test]
fn netcats_are_clients_of_our_server() {
    in_own_network(|| {
        let (stream, datagram) = (Temporary::new("our-stream"), Temporary::new("our-datagram"));
        let (stream, datagram) = (stream.path(), datagram.path());
        let _servers = [
            "5000".to_owned(),
            "-u 5000".to_owned(),
            format!("-U {stream}"),
            format!("-uU {datagram}"),
        ]
        .map(|words| ready(sockwire(&format!("serve --echo {words}"))));
        for client in [
            "ncat 127.0.0.1 5000",
            "ncat -6 ::1 5000",
            "ncat -u 127.0.0.1 5000",
            "ncat -U STREAM",
            "socat -t 10 - TCP:127.0.0.1:5000",
            "socat -t 10 - TCP6:[::1]:5000",
            "socat - UDP:127.0.0.1:5000",
            "socat -t 10 - UNIX-CONNECT:STREAM",
            "socat - UNIX-SENDTO:DATAGRAM,bind=OWN",
            "nc -N 127.0.0.1 5000",
            "nc -N ::1 5000",
            "nc -u 127.0.0.1 5000",
            "nc -N -U STREAM",
            "nc -u -U -s OWN DATAGRAM",
        ] {
            let own = Temporary::new("own-datagram");
            let words = client
                .replace("STREAM", stream)
                .replace("DATAGRAM", datagram);
            let Some(command) = peer(&words.replace("OWN", own.path())) else {
                continue;
            };
            let is_datagram = ["-u", "UDP", "DATAGRAM"]
                .iter()
                .any(|word| client.contains(word));
            let heard = first_answer(command, "hello\n", !is_datagram);
            assert_eq!(heard, "hello\n", "{client}");
        }
    });
}

#[test]
fn a_line_from_a_netcat_is_printed_as_it_is() {
    in_own_network(|| {
        let server = Running::spawn(sockwire("serve 5000 --print --once"));
        until_bound("tcp6", &[":1388", " 0A "]);
        let Some(client) = peer("ncat --send-only 127.0.0.1 5000") else {
            return;
        };
        let bytes = "line\n".repeat(100_000);
        assert_eq!(answer(client, &bytes), "");
        let printed = server.end().0;
        assert!(printed == bytes, "{} bytes", printed.len());
    });
}
