//! Calls as a user sees them beside the ordinary programs: in three spellings, with packets, and in private networks.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod lan;

use std::{
    io::{Read, Write},
    net::{Ipv4Addr, TcpListener, TcpStream},
    os::unix::process::CommandExt as _,
    process::{Child, Command, Output, Stdio},
    thread,
    time::Duration,
};

use lan::{Temporary, in_own_network, said, sockwire, testing};
use sockwire::{lab::refusal, sys::machine::Machine};

const PROGRAM: &str = env!("CARGO_BIN_EXE_sockwire");

/// Where `wanted` stand in `text`, one after the other.
#[track_caller]
fn in_order(text: &str, wanted: &[&str]) {
    let mut rest = text;
    for wanted in wanted {
        let found = rest.find(wanted);
        let at = found.unwrap_or_else(|| panic!("{wanted:?} does not follow in:\n{text}"));
        rest = &rest[at + wanted.len()..];
    }
}

/// The program, which ends after half a minute whatever happens.
fn limited() -> Command {
    let mut command = Command::new("timeout");
    command.args(["30", PROGRAM]);
    command
}

/// A server for one client, which answers each piece in capitals; its port.
fn server() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut buffer = [0; 100];
        loop {
            match stream.read(&mut buffer).unwrap() {
                0 => return,
                len => stream
                    .write_all(&buffer[..len].to_ascii_uppercase())
                    .unwrap(),
            }
        }
    });
    port
}

fn connect(options: &str, port: u16) -> Output {
    let words = format!("connect {options} 127.0.0.1 {port} --send hello");
    let output = limited()
        .args(words.split_whitespace())
        .stdin(Stdio::null())
        .output();
    output.unwrap()
}

/// The number that the first socket got; which one depends on what else the program holds open.
fn descriptor(text: &str) -> String {
    let line = text
        .lines()
        .find(|line| line.contains("AF_INET, SOCK_STREAM") || line.contains("open(INET)"));
    let digits = line
        .unwrap_or_default()
        .rsplit(|c: char| !c.is_ascii_digit());
    digits.map(str::to_owned).next().unwrap_or_default()
}

#[test]
fn the_calls_of_a_client_in_three_spellings() {
    in_own_network(|| {
        for (options, wanted) in [
            (
                "--calls",
                &[
                    "socket(AF_INET, SOCK_STREAM, 0) = FD\n",
                    "connect(FD, {AF_INET, 127.0.0.1:PORT}, 16) = 0",
                    "send(FD, \"hello\", 5, MSG_DONTWAIT|MSG_NOSIGNAL) = 5\n",
                    "shutdown(FD, SHUT_WR) = 0\n",
                    "recv(FD, buffer, 65536, 0) = 5 \"HELLO\"",
                    "recv(FD, buffer, 65536, 0) = 0",
                    "close(FD) = 0\n",
                ][..],
            ),
            (
                "--calls python",
                &[
                    "socket(AF_INET, SOCK_STREAM) -> sFD\n",
                    "sFD.connect((\"127.0.0.1\", PORT))",
                    "sFD.send(b\"hello\") -> 5\n",
                    "sFD.shutdown(SHUT_WR)\n",
                    "sFD.recv(65536) -> b\"HELLO\"",
                    "sFD.recv(65536) -> b\"\"",
                    "sFD.close()\n",
                ],
            ),
            (
                "--calls=java",
                &[
                    "[Server]SocketChannel.open(INET) -> sFD\n",
                    "sFD.connect(new InetSocketAddress(\"127.0.0.1\", PORT)) -> true",
                    "sFD.write(ByteBuffer.wrap(\"hello\".getBytes())) -> 5\n",
                    "sFD.shutdownOutput()\n",
                    "sFD.read(ByteBuffer.allocate(65536)) -> 5 \"HELLO\"",
                    "sFD.read(ByteBuffer.allocate(65536)) -> -1",
                    "sFD.close()\n",
                ],
            ),
            (
                "-x",
                &[
                    "connect(FD, {AF_INET, 127.0.0.1:PORT}, 16) = 0",
                    " | 7f 00 00 01 | 00 00 00 00 00 00 00 00\n",
                    "    family AF_INET (host order), port PORT, 127.0.0.1, padding\n",
                ],
            ),
        ] {
            let port = server();
            let output = connect(options, port);
            let fd = descriptor(&said(&output));
            let wanted: Vec<String> = wanted
                .iter()
                .map(|line| line.replace("PORT", &port.to_string()).replace("FD", &fd))
                .collect();
            let wanted: Vec<&str> = wanted.iter().map(String::as_str).collect();
            in_order(&said(&output), &wanted);
            assert_eq!(
                (output.status.code(), &*output.stdout),
                (Some(0), &b"HELLO"[..])
            );
        }
        let refused = connect("--calls", 1);
        in_order(
            &said(&refused),
            &[
                "= -1 ECONNREFUSED (connection refused)\n",
                "close(",
                "cannot connect",
            ],
        );
        assert_eq!(refused.status.code(), Some(4));
    });
}

/// Reads until `wanted` has come.
fn read_until(stream: &mut impl Read, wanted: &str) -> String {
    let mut text = Vec::new();
    let mut byte = [0];
    while !String::from_utf8_lossy(&text).contains(wanted) {
        let len = stream.read(&mut byte).unwrap();
        assert_eq!(len, 1, "{}", String::from_utf8_lossy(&text));
        text.push(byte[0]);
    }
    String::from_utf8(text).unwrap()
}

/// A server on port 5000 of IPv4 for one client.
fn serve(options: &str) -> Child {
    let words = format!("serve -4 --once --echo {options} 5000");
    limited()
        .args(words.split_whitespace())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Says hello to port 5000, and reads to the end of what comes back.
fn hello() {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, 5000)).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(20)))
        .unwrap();
    stream.write_all(b"hello").unwrap();
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert_eq!(answer, "hello");
}

/// What the server goes on to say, to its end.
fn rest(mut server: Child) -> String {
    let mut text = String::new();
    let mut talk = server.stderr.take().unwrap();
    talk.read_to_string(&mut text).unwrap();
    assert!(server.wait().unwrap().success(), "{text}");
    text
}

#[test]
fn a_call_that_waits_is_seen_before_it_returns() {
    in_own_network(|| {
        let mut server = serve("--calls");
        let waiting = ", &from, &size)";
        let before = read_until(server.stderr.as_mut().unwrap(), waiting);
        in_order(
            &before,
            &[", {AF_INET, 0.0.0.0:5000}, 16) = 0\n", "listen(", "accept("],
        );
        hello();
        let after = rest(server);
        assert!(
            after.starts_with(" = ") && after.contains(" {AF_INET, 127.0.0.1:"),
            "{after}"
        );
        in_order(
            &after,
            &["recv(", ", buffer, 1024, 0) = 5 \"hello\"", "close("],
        );
    });
}

#[test]
fn each_process_of_a_forking_server_is_named() {
    in_own_network(|| {
        let mut server = serve("--calls --style fork");
        let _ = read_until(server.stderr.as_mut().unwrap(), "accept(");
        hello();
        let text = rest(server);
        // Parent and child speak in any order.
        let mut forks = text
            .lines()
            .filter_map(|line| line.split("] fork() = ").nth(1));
        let child = forks.find(|process| *process != "0").expect(&text);
        in_order(
            &text,
            &[
                &format!("[{child}] fork() = 0\n"),
                &format!("[{child}] recv("),
                &format!("[{child}] <... recv resumed> = 5 \"hello\""),
            ],
        );
    });
}

#[test]
fn packets_stand_between_the_calls_that_cause_them() {
    in_own_network(|| {
        for style in ["sequential", "fork", "thread"] {
            let mut server = serve(&format!("--wire --style {style}"));
            let stdout = server.stdout.as_mut().unwrap();
            let _ = read_until(stdout, "Ctrl-C ends\n");
            // Somebody else's conversation is not shown.
            let stranger = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
            let _stranger = TcpStream::connect(stranger.local_addr().unwrap()).unwrap();
            hello();
            let text = rest(server);
            in_order(
                &text,
                &[
                    "bind(",
                    "listen(",
                    " → 127.0.0.1:5000  lo --",
                    "──── SYN seq=0",
                    "──── 5 bytes seq=1 \"hello\" ",
                    "◀─── 5 bytes seq=1 \"hello\" ",
                    "closed: the client began",
                ],
            );
            in_order(
                &text,
                &["SYN seq=0", "recv(", "= 5 \"hello\"", "◀─── 5 bytes"],
            );
            assert_eq!(text.matches("SYN seq=0").count(), 1, "{text}");
            // Every line is whole: what was said on it, it says alone.
            for line in text.lines().filter(|line| line.contains("unfinished")) {
                assert!(line.ends_with(" <unfinished ...>"), "{line}");
            }
        }
        let refused = connect("--wire", 1);
        in_order(
            &said(&refused),
            &["connect(", "SYN seq=0", "RST,ACK", "refused in"],
        );
        assert_eq!(refused.status.code(), Some(4));
    });
}

/// A program for this user, or for one without any right.
fn as_user(words: &str, has_rights: bool) -> Output {
    let mut command = Command::new("timeout");
    command.args(["60", PROGRAM]).args(words.split(' '));
    if !has_rights && nix::unistd::geteuid().is_root() {
        command.uid(65_534).gid(65_534);
    }
    command.stdin(Stdio::null()).output().unwrap()
}

#[test]
fn both_ends_in_a_private_network() {
    let Ok(Ok(_)) = refusal::test(&Machine::look()) else {
        return testing::skipped("no private network here");
    };
    for has_rights in [true, false] {
        let client = as_user("connect --lab --delay 2 5000 --send hello", has_rights);
        let text = said(&client);
        in_order(
            &text,
            &[
                "server listen(",
                "client connect(",
                "LISTEN\n",
                "──── SYN seq=0",
                "client send(",
                "──── 5 bytes seq=1 \"hello\" ",
                "server send(",
                "◀─── 5 bytes seq=1 \"hello\" ",
                "client close(",
                "none lost\n",
            ],
        );
        assert_eq!(
            (client.status.code(), &*client.stdout),
            (Some(0), &b"hello"[..]),
            "{text}"
        );
    }
    let lossy = as_user("connect --lab --delay 2 --drop syn 5000 --send hello", true);
    in_order(
        &said(&lossy),
        &["the wire dropped packet 1: first SYN", "again", "1 lost\n"],
    );
    assert_eq!(lossy.stdout, b"hello");
}

#[test]
fn a_long_file_reaches_a_patient_receiver_and_is_told_in_runs() {
    let Ok(Ok(_)) = refusal::test(&Machine::look()) else {
        return testing::skipped("no private network here");
    };
    let file = Temporary::new("long");
    std::fs::write(&file.0, vec![7; 6 << 20]).unwrap();
    let path = file.path();
    let words = format!("connect --lab --delay 0.2 --determined --file {path} 4000");
    let output = as_user(&words, true);
    let text = said(&output);
    assert_eq!(output.status.code(), Some(0), "{text}");
    in_order(
        &text,
        &[
            "1000 packets: from here on",
            "server ... ",
            " more send and recv, ",
            "\"6291456\"",
            "try 1: 6291456 bytes sent, and all of them counted",
        ],
    );
    let last = text.lines().last().unwrap();
    let packets: usize = last.split(' ').next().unwrap().parse().unwrap();
    let lines = text.lines().count();
    assert!(packets > 4345 && lines < packets, "{lines} of {last}");
}

#[test]
fn a_server_in_a_private_network_gets_a_client_and_ends_after_it() {
    let Ok(Ok(_)) = refusal::test(&Machine::look()) else {
        return testing::skipped("no private network here");
    };
    for options in [
        "--style sequential",
        "--style fork",
        "--style thread",
        "--style poll",
        "-6",
        "-u",
    ] {
        let words = format!("serve --lab --delay 2 --echo {options} 5000");
        let output = as_user(&words, true);
        let text = said(&output);
        assert_eq!(output.status.code(), Some(0), "{options}: {text}");
        in_order(
            &text,
            &["client s", "server ", "1 client, 6 bytes received, 6 sent"],
        );
        let words = String::from_utf8_lossy(&output.stdout).into_owned();
        in_order(&words, &["client 1 from ", "6 bytes \"hello\\n\""]);
    }
}

#[test]
fn without_the_right_to_capture_the_lab_is_named() {
    let output = as_user("connect --wire 127.0.0.1 5000 --send x", false);
    assert_eq!(output.status.code(), Some(3));
    in_order(
        &said(&output),
        &["CAP_NET_RAW", "without root:  --lab instead of --wire"],
    );
}

#[test]
fn unix_sockets_have_no_packets() {
    for option in ["--calls", "--wire", "--lab"] {
        let output = sockwire(&format!("connect -U {option} @no-such-socket --send x"));
        let text = said(&output);
        in_order(
            &text,
            &[
                "socket(AF_UNIX, SOCK_STREAM, 0) = ",
                "\n    Unix socket: no packets\n",
                ", {AF_UNIX, @\"no-such-socket\"}, 17) = -1 ECONNREFUSED",
            ],
        );
    }
}

#[test]
fn what_is_about_a_private_network_asks_for_one() {
    for option in ["--delay 5", "--loss 10", "--drop syn"] {
        let output = sockwire(&format!("connect {option} 5000"));
        assert_eq!(output.status.code(), Some(2));
        in_order(&said(&output), &["add --lab"]);
    }
}

#[test]
fn the_web_s_other_end_speaks_its_language() {
    let Ok(Ok(_)) = refusal::test(&Machine::look()) else {
        return testing::skipped("no private network here");
    };
    for (words, wanted) in [
        (
            "serve http --lab",
            &["GET / → 200 OK", "\"GET / HTTP/1.0"][..],
        ),
        (
            "serve ws --lab",
            &["101 Switching Protocols", "5 bytes \"hello\"", "close 1000"],
        ),
        (
            "connect http http://example.org/ip --lab",
            &["Host: example.org", "\"origin\": \"10.0.0.1\""],
        ),
        (
            "connect ws 80 --lab --send hi",
            &["101 Switching Protocols", "the server sent: close 1000"],
        ),
        (
            "serve --style fork --lab",
            &["fork() = 0", "LAST-ACK", "client 1 closed"],
        ),
    ] {
        let output = as_user(words, false);
        let all = format!(
            "{}{}",
            String::from_utf8_lossy(&output.stdout),
            said(&output)
        );
        assert!(output.status.success(), "{words}: {all}");
        for part in wanted {
            assert!(all.contains(part), "{words}: {part}: {all}");
        }
    }
}
