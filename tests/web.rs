//! `serve http`, `serve ws`, `connect http` and `connect ws` with other programs, and with each other.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod beside;
mod lan;

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{Ipv4Addr, Shutdown, TcpListener, TcpStream},
    process::{Command, Output},
    thread,
};

use beside::{Running, fed, limited, sockwire};
use lan::{Scratch, in_own_network, said, testing};

const STYLES: [&str; 3] = ["sequential", "fork", "thread"];

fn printed(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// curl's output, or `None` where there is no curl.
fn curl(words: &str) -> Option<String> {
    let output = Command::new("curl")
        .args(["-s", "--max-time", "60"])
        .args(words.split_whitespace())
        .output();
    match output {
        Ok(output) => {
            assert!(output.status.success(), "curl {words}: {output:?}");
            Some(printed(&output))
        }
        Err(error) => {
            testing::skipped(format_args!("no curl here: {error}"));
            None
        }
    }
}

/// The answer to a request as it is written.
fn asked(request: &[u8]) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", 8080)).unwrap();
    // A server that has heard enough closes before the end.
    let _ = stream.write_all(request);
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn curl_is_served_in_each_style() {
    in_own_network(|| {
        for style in STYLES {
            let mut server = Running::serve(&format!("http --style {style}"));
            let Some(ip) = curl("http://127.0.0.1:8080/ip") else {
                return;
            };
            let ip: serde_json::Value = serde_json::from_str(&ip).unwrap();
            assert_eq!(ip, serde_json::json!({ "origin": "127.0.0.1" }));
            server.until("client 1: GET /ip → 200 OK");
            let head = curl("-I http://127.0.0.1:8080/").unwrap();
            assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
            assert!(head.contains("\r\nConnection: close\r\n"), "{head}");
            let codes = "-o /dev/null -w %{http_code} http://127.0.0.1:8080";
            assert_eq!(curl(&format!("{codes}/none")).unwrap(), "404");
            assert_eq!(curl(&format!("-d x {codes}/ip")).unwrap(), "405");
            assert_eq!(curl(&format!("-0 {codes}/?q")).unwrap(), "200");
            server.until("client 5: GET /?q → 200 OK");
            server.interrupt();
            server.all();
        }
    });
}

#[test]
fn heads_as_they_should_not_be_are_taken_or_refused_and_noted() {
    in_own_network(|| {
        let mut server = Running::serve("http");
        let answer = asked(b"GET /ip\x7f HTTP/1.0\n\n");
        assert!(
            answer.starts_with("HTTP/1.1 400 Bad Request\r\n"),
            "{answer}"
        );
        let answer = asked(b"GET /ip HTTP/1.0\nHost: h\r\n\n");
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
        let note = server.until("bare LF");
        assert!(
            note.starts_with("client 2: 2 of the head's 3 lines end in a bare LF"),
            "{note}"
        );
        let long = [b"GET / HTTP/1.0\r\nA: ".to_vec(), vec![b'x'; 1 << 20]].concat();
        let answer = asked(&long);
        assert!(answer.starts_with("HTTP/1.1 431 "), "{answer}");
        let answer = asked(b"GET /\x1b[2J HTTP/1.0\r\n\r\n");
        assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
        server.until("client 4: a bad request → 400");
        server.interrupt();
        let told = server.all();
        assert!(
            !told.contains('\x1b') && told.contains("\\x1b[2J"),
            "{told}"
        );
    });
}

#[test]
fn what_cannot_be_served_is_refused_with_reasons() {
    for (words, told) in [
        ("http --style poll", "use thread, fork or sequential"),
        ("ws --style poll", "use thread, fork or sequential"),
        ("http --echo", "serve tcp"),
        ("ws --receive", "serve tcp"),
        ("ws -U /tmp/x", "over TCP"),
    ] {
        let output = fed(sockwire(&format!("serve {words}")), b"");
        assert_eq!(output.status.code(), Some(2), "{words}");
        assert!(said(&output).contains(told), "{words}: {}", said(&output));
    }
    for (words, told) in [
        ("http https://example.org/", "TLS"),
        ("ws wss://example.org/", "TLS"),
        ("http ftp://example.org/", "begins with http://"),
        ("http http://h/%20 x", "one URL is wanted"),
        ("http --send x http://h/", "writes itself"),
        ("ws --half-close ws://h/", "no half-close"),
        ("ws --head ws://h/", "connect http"),
    ] {
        let output = fed(sockwire(&format!("connect {words}")), b"");
        assert_eq!(output.status.code(), Some(2), "{words}");
        assert!(said(&output).contains(told), "{words}: {}", said(&output));
    }
}

#[test]
fn what_runs_beside_a_test_ends_with_it() {
    let mut shell = limited("sh");
    shell.args(["-c", "(sleep 20; echo left >&2) & echo ready; wait"]);
    let mut running = Running::start(shell, "ready");
    let mut stderr = running.child.stderr.take().unwrap();
    drop(running);
    let mut told = String::new();
    // Ends when nobody is there any more who could write to it.
    stderr.read_to_string(&mut told).unwrap();
    assert_eq!(told, "");
}

/// The Python to use: one that has the websockets library, if any has.
fn python() -> Option<&'static str> {
    let has = |python: &&str, what: &str| {
        let mut command = Command::new(python);
        let run = command.args(["-c", what]).output();
        run.is_ok_and(|output| output.status.success())
    };
    let all = ["python3", "/usr/bin/python3"];
    let with_library = all.iter().find(|python| has(python, "import websockets"));
    let found = with_library.or_else(|| all.iter().find(|python| has(python, "")));
    if found.is_none() {
        testing::skipped("no python3 here");
    }
    found.copied()
}

fn websocket_client(python: &str, words: &str) -> Command {
    let mut command = limited(python);
    let script = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/programs/websocket_client.py"
    );
    command.arg(script).args(words.split(' '));
    command
}

#[test]
fn python_talks_to_the_websocket_echo_in_each_style() {
    in_own_network(|| {
        let Some(python) = python() else {
            return;
        };
        for style in STYLES {
            let mut server = Running::serve(&format!("ws --style {style}"));
            let output = fed(websocket_client(python, "8080"), b"");
            let got = printed(&output);
            let wanted = "str 5 'hello'\nstr 0 ''\nstr 70000 'üüüüü'\nbytes 3 b'\\x00\\xff\\x7f'\n\
                          str 15 'in th'\npong\nclosed 1000\n";
            assert!(got.ends_with(wanted), "{style}: {got}{}", said(&output));
            server.until("client 1: close 1000 \"bye\"");
            server.until("client 1: closed by both ends");
            let waiting = Running::start(websocket_client(python, "8080 wait"), "ready");
            server.until("client 2: GET /echo → 101");
            server.interrupt();
            let got = waiting.all();
            assert!(
                got.ends_with("1001 the server is being stopped\n"),
                "{style}: {got}"
            );
            let told = server.all();
            assert!(
                told.contains("client 2: closed with 1001"),
                "{style}: {told}"
            );
        }
    });
}

#[test]
fn pythons_web_server_is_asked_by_hand() {
    in_own_network(|| {
        let Some(python) = python() else {
            return;
        };
        let root = Scratch::new("web");
        let page: Vec<u8> = (0..=255).cycle().take(100_000).collect();
        std::fs::write(root.file("page.bin"), &page).unwrap();
        let mut command = limited(python);
        command.args([
            "-u",
            "-m",
            "http.server",
            "--bind",
            "127.0.0.1",
            "8000",
            "-d",
        ]);
        command.arg(&root.0);
        let _server = Running::start(command, "Serving HTTP");
        let output = fed(sockwire("connect http http://127.0.0.1:8000/page.bin"), b"");
        assert_eq!(output.status.code(), Some(0), "{}", said(&output));
        assert!(output.stdout == page, "{} bytes", output.stdout.len());
        let told = said(&output);
        assert!(
            told.contains(
                "> GET /page.bin HTTP/1.0\n> Host: 127.0.0.1:8000\n>\n< HTTP/1.0 200 OK\n"
            ),
            "{told}"
        );
        assert!(told.ends_with("200 OK: 100000 bytes of body\n"), "{told}");
        let output = fed(
            sockwire("connect http --head --http 1.1 127.0.0.1 8000"),
            b"",
        );
        assert!(
            printed(&output).contains("\nContent-type: text/html"),
            "{output:?}"
        );
        assert!(
            said(&output)
                .contains("> HEAD / HTTP/1.1\n> Host: 127.0.0.1:8000\n> Connection: close\n")
        );
    });
}

/// Runs `connect http` against a server that says `answer` and ends: exit code, standard output, stderr.
fn answered(answer: Vec<u8>) -> (Option<i32>, Vec<u8>, String) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let server = thread::spawn(move || {
        let (stream, _) = listener.accept().unwrap();
        let mut request = BufReader::new(&stream);
        let mut line = String::new();
        while request.read_line(&mut line).unwrap() > 2 {
            line.clear();
        }
        // The client may have heard enough before the end.
        let _ = (&stream).write_all(&answer);
        let _ = stream.shutdown(Shutdown::Both);
    });
    let output = fed(sockwire(&format!("connect http 127.0.0.1 {port}")), b"");
    server.join().unwrap();
    let told = said(&output);
    (output.status.code(), output.stdout, told)
}

#[test]
fn answers_are_shown_however_their_body_ends() {
    in_own_network(|| {
        for (answer, body, told) in [
            (
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nab\n\r\n1;x=y\r\nc\r\n0\r\n\r\n",
                "ab\nc",
                "4 bytes of body",
            ),
            (
                "HTTP/1.0 200 OK\r\n\r\nto the end",
                "to the end",
                "10 bytes of body",
            ),
            (
                "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi and more",
                "hi",
                "9 bytes came behind its end",
            ),
            (
                "HTTP/1.0 200 OK\nX: y\n\nbody",
                "body",
                "< X: y   [bare LF]\n",
            ),
            (
                "HTTP/1.0 200 OK\nX: y\n\nbody",
                "body",
                "3 lines of the head end in a bare LF",
            ),
            (
                "HTTP/1.1 301 Moved\r\nLocation: http://h/\x7f\r\nContent-Length: 0\r\n\r\n",
                "",
                "damaged",
            ),
            (
                "HTTP/1.1 302 Found\r\nLocation: https://h/x\r\nContent-Length: 0\r\n\r\n",
                "",
                "it is at https://h/x now; this is shown, not followed",
            ),
            (
                "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No\r\n\r\n",
                "",
                "204 No: 0 bytes",
            ),
        ] {
            let (code, stdout, said) = answered(answer.into());
            assert_eq!(String::from_utf8_lossy(&stdout), body, "{answer:?}");
            assert!(said.contains(told), "{answer:?}: {said}");
            let wanted = if told == "damaged" { 5 } else { 0 };
            assert_eq!(code, Some(wanted), "{answer:?}: {said}");
        }
    });
}

#[test]
fn a_damaged_answer_is_shown_as_far_as_it_goes() {
    in_own_network(|| {
        let endless = [
            b"HTTP/1.1 200 OK\r\n".to_vec(),
            b"A: \x1b[2J\r\n".repeat(100_000),
        ]
        .concat();
        for (answer, body, told) in [
            (
                &b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf"[..],
                "half",
                "96 bytes before the end",
            ),
            (
                b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nhalf",
                "half",
                "5 bytes before the end",
            ),
            (
                b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\nzz\r\n",
                "a",
                "hexadecimal",
            ),
            (
                b"HTTP/1.1 200 OK\r\nContent-Length: 1, 2\r\n\r\nab",
                "",
                "Content-Length",
            ),
            (
                b"HTTP/1.1 200 OK\r\nA: b\r\n",
                "",
                "there was no empty line",
            ),
            (
                b"SSH-2.0-OpenSSH_9\x1b[2J\r\n",
                "",
                "begins with \"SSH-2.0-OpenSSH_9\\x1b[2J\\r\\n\"",
            ),
            (b"", "", "without an answer"),
            (&endless, "", "longer than 32768 bytes"),
        ] {
            let (code, stdout, said) = answered(answer.to_vec());
            assert_eq!(String::from_utf8_lossy(&stdout), body, "{told}");
            assert!(said.contains(told), "{told}: {said}");
            assert!(!said.contains('\x1b'), "{told}");
            assert_eq!(code, Some(5), "{told}: {said}");
        }
        let (_, _, said) = answered(b"HTTP/1.1 200 OK\r\nA: b\r\n".to_vec());
        assert!(said.contains("< A: b\n"), "{said}");
    });
}

#[test]
fn lines_go_to_the_websocket_echo_and_back() {
    in_own_network(|| {
        let mut server = Running::serve("ws");
        let output = fed(
            sockwire("connect ws ws://127.0.0.1:8080/echo"),
            "one\nzwölf\r\n\nlast".as_bytes(),
        );
        assert_eq!(
            printed(&output),
            "one\nzwölf\n\nlast\n",
            "{}",
            said(&output)
        );
        assert_eq!(output.status.code(), Some(0));
        let told = said(&output);
        assert!(told.contains("\n> GET /echo HTTP/1.1\n"), "{told}");
        assert!(
            told.contains("\n< HTTP/1.1 101 Switching Protocols\n"),
            "{told}"
        );
        assert!(told.ends_with("the server sent: close 1000\n"), "{told}");
        server.until("client 1: close 1000");
        let output = fed(
            sockwire("connect ws --calls --send a\\xffb --send c 127.0.0.1 8080"),
            b"",
        );
        assert_eq!(printed(&output), "c\n");
        let told = said(&output);
        assert!(
            told.contains("binary message of 3 bytes \"a\\xffb\""),
            "{told}"
        );
        assert!(told.to_lowercase().contains("recv"), "{told}");
        let output = fed(sockwire("connect ws 127.0.0.1:8080"), b"a\n\x18\nb\n");
        assert_eq!(printed(&output), "a\n", "{}", said(&output));
        // More than the buffers of both ends hold.
        let long = format!("{}\n", "0123456789".repeat(100)).repeat(10_000);
        let output = thread::scope(|scope| {
            // Else its words would fill their pipe, and it would wait.
            scope.spawn(|| server.until("client 4: closed by both ends"));
            fed(sockwire("connect ws 127.0.0.1:8080"), long.as_bytes())
        });
        assert!(
            printed(&output) == long,
            "{} bytes came back: {}",
            output.stdout.len(),
            said(&output)
        );
        let output = fed(sockwire("connect ws http://127.0.0.1:8080/"), b"");
        assert_eq!(output.status.code(), Some(2));
        server.interrupt();
        server.all();
        let mut server = Running::serve("http");
        let output = fed(sockwire("connect ws 8080"), b"");
        assert_eq!(output.status.code(), Some(4), "{}", said(&output));
        assert!(
            said(&output).contains("it answers 200 OK"),
            "{}",
            said(&output)
        );
        server.until("client 1: GET / → 200 OK");
        server.interrupt();
        server.all();
    });
}

#[test]
fn a_server_that_goes_away_says_so_to_the_line_client() {
    in_own_network(|| {
        for style in STYLES {
            let mut server = Running::serve(&format!("ws --style {style}"));
            let mut client = sockwire("connect ws 8080").spawn().unwrap();
            let mut stdin = client.stdin.take().unwrap();
            stdin.write_all(b"hello\n").unwrap();
            server.until("client 1: 5 bytes \"hello\"");
            server.interrupt();
            let output = client.wait_with_output().unwrap();
            drop(stdin);
            assert_eq!(output.status.code(), Some(0), "{style}: {}", said(&output));
            assert_eq!(printed(&output), "hello\n", "{style}");
            let told = said(&output);
            assert!(
                told.contains("close 1001 \"the server is being stopped\""),
                "{style}: {told}"
            );
            server.all();
        }
    });
}
