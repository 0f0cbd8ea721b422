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

use lan::{in_own_network, said, sockwire, testing};
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

#[test]
fn the_calls_of_a_client_in_three_spellings() {
    in_own_network(|| {
        for (options, wanted) in [
            (
                "--calls",
                &[
                    "socket(AF_INET, SOCK_STREAM, 0) = 3\n",
                    "connect(3, {AF_INET, 127.0.0.1:PORT}, 16) = 0",
                    "send(3, \"hello\", 5, MSG_NOSIGNAL) = 5\n",
                    "shutdown(3, SHUT_WR) = 0\n",
                    "recv(3, buffer, 65536, 0) = 5 \"HELLO\"",
                    "recv(3, buffer, 65536, 0) = 0",
                    "close(3) = 0\n",
                ][..],
            ),
            (
                "--calls python",
                &[
                    "socket(AF_INET, SOCK_STREAM) -> s3\n",
                    "s3.connect((\"127.0.0.1\", PORT))",
                    "s3.send(b\"hello\") -> 5\n",
                    "s3.shutdown(SHUT_WR)\n",
                    "s3.recv(65536) -> b\"HELLO\"",
                    "s3.recv(65536) -> b\"\"",
                    "s3.close()\n",
                ],
            ),
            (
                "--calls=java",
                &[
                    "[Server]SocketChannel.open(INET) -> s3\n",
                    "s3.connect(new InetSocketAddress(\"127.0.0.1\", PORT)) -> true",
                    "s3.write(ByteBuffer.wrap(\"hello\".getBytes())) -> 5\n",
                    "s3.shutdownOutput()\n",
                    "s3.read(ByteBuffer.allocate(65536)) -> 5 \"HELLO\"",
                    "s3.read(ByteBuffer.allocate(65536)) -> -1",
                    "s3.close()\n",
                ],
            ),
            (
                "-x",
                &[
                    "connect(3, {AF_INET, 127.0.0.1:PORT}, 16) = 0",
                    " | 7f 00 00 01 | 00 00 00 00 00 00 00 00\n",
                    "    family AF_INET (host order), port PORT, 127.0.0.1, padding\n",
                ],
            ),
        ] {
            let port = server();
            let output = connect(options, port);
            let wanted: Vec<String> = wanted
                .iter()
                .map(|line| line.replace("PORT", &port.to_string()))
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
                "close(3) = 0\n",
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
        let waiting = "accept(3, &from, &size)";
        let before = read_until(server.stderr.as_mut().unwrap(), waiting);
        in_order(
            &before,
            &["bind(3, {AF_INET, 0.0.0.0:5000}, 16) = 0\n", "listen(3, "],
        );
        hello();
        let after = rest(server);
        assert!(after.starts_with(" = 4 {AF_INET, 127.0.0.1:"), "{after}");
        in_order(
            &after,
            &["recv(4, buffer, 1024, 0) = 5 \"hello\"", "close(4) = 0\n"],
        );
    });
}

#[test]
fn each_process_of_a_forking_server_is_named() {
    in_own_network(|| {
        let mut server = serve("--calls --style fork");
        let _ = read_until(server.stderr.as_mut().unwrap(), "accept(3, &from, &size)");
        hello();
        let text = rest(server);
        let parent = text.lines().find(|line| line.contains("] fork() = "));
        let child = parent.unwrap().rsplit("= ").next().unwrap();
        assert_ne!(child, "0", "{text}");
        in_order(
            &text,
            &[
                &format!("[{child}] fork() = 0\n"),
                &format!("[{child}] recv(4, buffer, 1024, 0) <unfinished ...>\n"),
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
                "socket(AF_UNIX, SOCK_STREAM, 0) = 3\n    Unix socket: no packets\n",
                "connect(3, {AF_UNIX, @\"no-such-socket\"}, 17) = -1 ECONNREFUSED",
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
