//! `connect` against servers of the standard library and of Python: what goes over, how it ends, and what is said of it.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod beside;
mod lan;

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream, UdpSocket},
    os::{
        linux::net::SocketAddrExt as _,
        unix::net::{SocketAddr as UnixAddr, UnixDatagram, UnixListener},
    },
    process::{Child, Command, Output, Stdio},
    thread::{self, JoinHandle},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use beside::{fed, on_terminal, sockwire};
use lan::{Temporary, in_own_network, said, testing};

fn program(words: &str) -> Command {
    sockwire(&format!("connect {words}"))
}

/// Runs it with `input`, which then ends.
fn connect(words: &str, input: &[u8]) -> Output {
    fed(program(words), input)
}

/// Runs it with `input`, which ends when the `answer` is there: datagrams have no end to wait for.
fn converse(words: &str, input: &[u8], answer: &str) -> Output {
    let mut child = program(&format!("--wait 0 {words}")).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(input).unwrap();
    let mut shown = vec![0; answer.len()];
    let mut stdout = child.stdout.take().unwrap();
    // What was said instead of an answer is more telling.
    let _ = stdout.read_exact(&mut shown);
    drop(stdin);
    let mut output = child.wait_with_output().unwrap();
    stdout.read_to_end(&mut shown).unwrap();
    output.stdout = shown;
    assert_eq!(printed(&output), answer);
    output
}

/// Standard output of a run that went well.
fn printed(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(0), "{}", said(output));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// One client is served by `serve`, on a port of its own.
fn server<T: Send + 'static>(
    serve: impl FnOnce(TcpStream, SocketAddr) -> T + Send + 'static,
) -> (u16, JoinHandle<T>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let served = thread::spawn(move || {
        let (stream, from) = listener.accept().unwrap();
        serve(stream, from)
    });
    (port, served)
}

/// Gives everything back until the client is done.
fn echo(stream: TcpStream, _: SocketAddr) {
    let mut reader = stream.try_clone().unwrap();
    let _ = std::io::copy(&mut reader, &mut &stream);
}

/// Everything that the client sends.
fn hear(mut stream: TcpStream, _: SocketAddr) -> Vec<u8> {
    let mut heard = Vec::new();
    stream.read_to_end(&mut heard).unwrap();
    heard
}

/// A port on which nothing listens.
fn closed() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    listener.local_addr().unwrap().port()
}

#[test]
fn the_answer_to_the_last_line_is_printed() {
    in_own_network(|| {
        for words in ["", "--half-close ", "tcp --wait 30 --nodelay "] {
            let (port, _) = server(echo);
            // Without a line end, and as it came.
            let output = connect(&format!("{words}127.0.0.1 {port}"), b"one\n\x1btwo");
            assert_eq!(printed(&output), "one\n\x1btwo");
            let said = said(&output);
            assert!(said.contains(&format!("connected to 127.0.0.1 port {port}\n")));
            assert!(said.contains("sent 8, received 8 bytes; the other side has ended"));
        }
        let (port, _) = server(echo);
        let output = connect(&format!("--quiet 127.0.0.1:{port}"), b"x");
        assert_eq!(
            (printed(&output), said(&output)),
            ("x".into(), String::new())
        );
    });
}

#[test]
fn a_line_that_is_ctrl_x_closes_at_once() {
    in_own_network(|| {
        // This server never ends by itself.
        let (port, heard) = server(hear);
        let mut child = program(&format!("127.0.0.1 {port}")).spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        stdin.write_all(b"one\n\x18\ntwo\n").unwrap();
        let output = child.wait_with_output().unwrap();
        printed(&output);
        assert_eq!(heard.join().unwrap(), b"one\n");
        assert!(said(&output).contains("sent 4, received 0 bytes; closed"));
        drop(stdin);
    });
}

#[test]
fn the_server_s_end_is_noticed_while_nothing_is_typed() {
    in_own_network(|| {
        let (port, _) = server(|mut stream, _| stream.write_all(b"bye\n").unwrap());
        let mut child = program(&format!("127.0.0.1 {port}")).spawn().unwrap();
        let stdin = child.stdin.take();
        let output = child.wait_with_output().unwrap();
        assert_eq!(printed(&output), "bye\n");
        drop(stdin);
    });
}

#[test]
fn a_file_goes_out_whole_though_the_server_ended_first() {
    in_own_network(|| {
        let file = Temporary::new("whole");
        fs::write(&file.0, vec![b'x'; 3_000_000]).unwrap();
        let (port, heard) = server(|stream, from| {
            stream.shutdown(Shutdown::Write).unwrap();
            hear(stream, from).len()
        });
        let output = connect(&format!("--file {} 127.0.0.1 {port}", file.path()), b"");
        printed(&output);
        assert_eq!(heard.join().unwrap(), 3_000_000);
    });
}

#[test]
fn each_shutdown_does_what_it_says() {
    in_own_network(|| {
        for (how, says, answer) in [
            ("write", "FIN goes out", "counted 2\n"),
            ("read", "nothing goes out", ""),
            ("both", "FIN goes out", ""),
        ] {
            let (port, heard) = server(|mut stream, from| {
                let heard = hear(stream.try_clone().unwrap(), from);
                // Who reads no more makes this fail sooner or later.
                let _ = writeln!(stream, "counted {}", heard.len());
                heard
            });
            let words = format!("--shutdown {how} --send a\\n 127.0.0.1 {port}");
            let output = connect(&words, b"");
            assert_eq!(printed(&output), answer, "{how}");
            assert!(said(&output).contains(says), "{how}: {}", said(&output));
            assert_eq!(heard.join().unwrap(), b"a\n", "{how}");
        }
    });
}

#[test]
fn wait_bounds_a_server_that_never_ends() {
    in_own_network(|| {
        // Until the client is gone for good.
        let (port, served) = server(|mut stream, _| while stream.write_all(b".").is_ok() {});
        let output = connect(&format!("--wait 0.1 127.0.0.1 {port}"), b"");
        printed(&output);
        assert!(
            said(&output).contains("waited 0.1 s for more"),
            "{}",
            said(&output)
        );
        served.join().unwrap();
    });
}

#[test]
fn this_end_s_address_can_be_chosen() {
    in_own_network(|| {
        let source = closed();
        let (port, from) = server(|_, from| from);
        let words = format!("--source 127.0.0.5:{source} 127.0.0.1 {port}");
        printed(&connect(&words, b""));
        let wanted: SocketAddr = ([127, 0, 0, 5], source).into();
        assert_eq!(from.join().unwrap(), wanted);
        let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let taken = taken.local_addr().unwrap();
        let (port, _) = server(hear);
        for (source, exit, says) in [
            (&*taken.to_string(), 2, "address in use"),
            ("10.1.1.1:4000", 4, "no address of this host"),
        ] {
            let output = connect(&format!("--source {source} 127.0.0.1 {port}"), b"");
            assert_eq!(output.status.code(), Some(exit), "{}", said(&output));
            assert!(said(&output).contains(says), "{}", said(&output));
        }
        let output = connect(&format!("--source 127.0.0.1 ::1 {port}"), b"");
        assert_eq!(output.status.code(), Some(4), "{}", said(&output));
    });
}

#[test]
fn texts_are_sent_as_written_and_line_ends_as_asked() {
    in_own_network(|| {
        for (words, input, wanted) in [
            (
                "--send a\\x00\\n --send b",
                &b"not read"[..],
                &b"a\0\nb"[..],
            ),
            ("--crlf", b"a\nb\r\n", b"a\r\nb\r\n"),
            ("-C --send a\\n", b"", b"a\r\n"),
            ("--file -", b"\x18\n", b"\x18\n"),
        ] {
            let (port, heard) = server(hear);
            printed(&connect(&format!("{words} 127.0.0.1 {port}"), input));
            assert_eq!(heard.join().unwrap(), wanted, "{words}");
        }
    });
}

#[test]
fn hex_shows_every_byte() {
    in_own_network(|| {
        let (port, _) = server(echo);
        let output = connect(&format!("--hex 127.0.0.1 {port}"), b"hi\0\x1b\n");
        let wanted = "\t0x0000:  6869 001b 0a                             hi...\n";
        assert_eq!(printed(&output), wanted);
    });
}

#[test]
fn ports_are_tried_without_a_word() {
    in_own_network(|| {
        let open = TcpListener::bind((Ipv4Addr::LOCALHOST, 5001)).unwrap();
        let output = connect("-z 127.0.0.1 5000-5002", b"");
        let wanted = "127.0.0.1 port 5000: refused\n127.0.0.1 port 5001: open\n127.0.0.1 port 5002: refused\n";
        assert_eq!(printed(&output), wanted);
        assert!(said(&output).contains("1 of 3 open"));
        // As netcat is called most often.
        let output = connect("-zv 127.0.0.1 5001", b"");
        assert_eq!(printed(&output), "127.0.0.1 port 5001: open\n");
        drop(open);
        let output = connect("-z 127.0.0.1 5001", b"");
        assert_eq!(output.status.code(), Some(4));
        assert_eq!(output.stdout, b"127.0.0.1 port 5001: refused\n");
    });
}

#[test]
fn every_address_is_tried_and_told() {
    in_own_network(|| {
        // A port alone is one of this host, whose first address is ::1; this server has the other one.
        let (port, _) = server(echo);
        let output = connect(&port.to_string(), b"x");
        assert_eq!(printed(&output), "x");
        let told = format!("trying ::1 port {port}: refused\nconnected to 127.0.0.1 port {port}\n");
        assert!(said(&output).contains(&told), "{}", said(&output));
        // Of datagrams the refusal is known only when one was sent: it is sent again.
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = socket.local_addr().unwrap().port();
        let served = thread::spawn(move || {
            let mut buffer = [0; 16];
            let (len, from) = socket.recv_from(&mut buffer).unwrap();
            socket.send_to(&buffer[..len], from).unwrap();
        });
        let output = converse(&format!("-u {port}"), b"again\n", "again\n");
        assert!(said(&output).contains(&format!("trying ::1 port {port}: refused")));
        served.join().unwrap();
    });
}

#[test]
fn what_cannot_be_reached_is_explained() {
    in_own_network(|| {
        let port = closed();
        for (words, says) in [
            (format!("127.0.0.1 {port}"), "the SYN came back as RST"),
            (format!("-4 {port}"), "sockwire serve"),
            (
                format!("-u 127.0.0.1 {port} --send x"),
                "ICMP port unreachable",
            ),
            (format!("10.1.1.1 {port}"), "no route"),
            (format!("-n localhost {port}"), "only numbers"),
            ("-U /no/such/path".to_owned(), "no file of this name"),
            ("-U @nobody-has-this".to_owned(), "nobody has a socket"),
        ] {
            let output = connect(&words, b"");
            assert_eq!(output.status.code(), Some(4), "{words}: {}", said(&output));
            assert!(said(&output).contains(says), "{words}: {}", said(&output));
        }
        // A connection that is broken was one: that is no failure to connect.
        let (port, _) = server(|stream, _| {
            let mut byte = [0];
            (&stream).read_exact(&mut byte).unwrap();
            // The second byte stays unread, and closing says so with RST.
        });
        let output = connect(&format!("--send ab 127.0.0.1 {port}"), b"");
        printed(&output);
        assert!(said(&output).contains("sent RST"), "{}", said(&output));
    });
}

#[test]
fn silence_is_told_from_refusal() {
    in_own_network(|| {
        // Nobody has 10.9.0.2, though its hardware address is known: SYNs get no answer.
        lan::pair();
        let output = connect("--wait 0.2 10.9.0.2 5000", b"");
        assert_eq!(output.status.code(), Some(4), "{}", said(&output));
        let said = said(&output);
        assert!(
            said.contains("trying 10.9.0.2 port 5000: timed out"),
            "{said}"
        );
        assert!(
            said.contains("no answer came to the SYN within --wait"),
            "{said}"
        );
        let output = connect("-z --wait 0.2 10.9.0.2 5000", b"");
        assert_eq!(output.status.code(), Some(4));
        assert_eq!(output.stdout, b"10.9.0.2 port 5000: timed out\n");
    });
}

#[test]
fn unix_streams_and_datagrams_are_spoken() {
    let path = Temporary::new("talk.sock");
    let listener = UnixListener::bind(&path.0).unwrap();
    let served = thread::spawn(move || {
        let (stream, _) = listener.accept().unwrap();
        let mut reader = stream.try_clone().unwrap();
        std::io::copy(&mut reader, &mut &stream).unwrap();
    });
    let output = connect(&format!("-U {}", path.path()), b"stream\n");
    assert_eq!(printed(&output), "stream\n");
    served.join().unwrap();

    let output = connect(&format!("-U -u {}", path.path()), b"");
    assert_eq!(output.status.code(), Some(4), "{}", said(&output));

    let name = format!("sockwire-connect-{}", std::process::id());
    let address = UnixAddr::from_abstract_name(&name).unwrap();
    let socket = UnixDatagram::bind_addr(&address).unwrap();
    let served = thread::spawn(move || {
        let mut buffer = [0; 64];
        let mut own = None;
        for _ in 0..2 {
            let (len, from) = socket.recv_from(&mut buffer).unwrap();
            socket.send_to_addr(&buffer[..len], &from).unwrap();
            own = from.as_pathname().map(ToOwned::to_owned);
        }
        own.unwrap()
    });
    let words = format!("unix -u --recv-size 3 @{name}");
    let output = converse(&words, b"one\ntwo\n", "onetwo");
    assert!(said(&output).contains("longer than --recv-size 3"));
    let own = served.join().unwrap();
    assert!(own.starts_with(std::env::temp_dir()) && !own.exists());
}

#[test]
fn much_goes_both_ways_without_waiting_for_each_other() {
    in_own_network(|| {
        let much: Vec<u8> = (0..8 << 20).map(|n: u32| (n >> 5) as u8).collect();
        let (port, _) = server(echo);
        let output = connect(&format!("127.0.0.1 {port}"), &much);
        assert!(output.status.success() && output.stdout == much);
        // This one listens only when all that it has to say is said.
        let (port, heard) = server({
            let much = much.clone();
            move |mut stream, from| {
                stream.write_all(&much).unwrap();
                stream.shutdown(Shutdown::Write).unwrap();
                hear(stream, from)
            }
        });
        let file = Temporary::new("much");
        fs::write(&file.0, &much).unwrap();
        let output = connect(&format!("--file {} 127.0.0.1 {port}", file.path()), b"");
        assert!(output.status.success() && output.stdout == much);
        assert!(heard.join().unwrap() == much);
    });
}

/// The lines of a child's stderr until one contains `text`; the rest is left to be read.
fn until(child: &mut Child, text: &str) -> BufReader<std::process::ChildStderr> {
    let mut reader = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    while !line.contains(text) {
        line.clear();
        assert!(
            reader.read_line(&mut line).unwrap() > 0,
            "it never said {text:?}"
        );
    }
    reader
}

/// As a course writes it: counts until the sender is done, then answers. Its first two answers are wrong.
const RECEIVER: &str = "\
import socket, sys
server = socket.socket()
server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
server.bind(('127.0.0.1', 4000))
server.listen(1)
for lie in (-1, 1000, 0):
    client, _ = server.accept()
    count = 0
    while True:
        data = client.recv(1024)
        if not data:
            break
        count += len(data)
    client.sendall(str(count + lie).encode())
    client.close()
print(count)
";

#[test]
fn the_determined_sender_goes_on_until_the_counts_agree() {
    if Command::new("python3").arg("-V").output().is_err() {
        return testing::skipped("no python3 here");
    }
    in_own_network(|| {
        let file = Temporary::new("determined");
        let size = 200_001;
        fs::write(&file.0, vec![b'd'; size]).unwrap();
        let words = format!("tcp --determined --file {} 127.0.0.1 4000", file.path());
        let mut child = program(&words).spawn().unwrap();
        // The receiver is not there yet.
        let mut rest = until(&mut child, "try 1: no receiver; again in 0.2 s");
        let receiver = Command::new("timeout")
            .args(["60", "python3", "-c", RECEIVER])
            .output()
            .unwrap();
        assert_eq!(
            String::from_utf8_lossy(&receiver.stdout),
            format!("{size}\n")
        );
        let mut told = String::new();
        rest.read_to_string(&mut told).unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(0), "{told}");
        for says in [
            format!(
                "{size} bytes sent, the receiver counted {}; again",
                size - 1
            ),
            format!("the receiver counted {}; again", size + 1000),
            format!("{size} bytes sent, and all of them counted"),
        ] {
            assert!(told.contains(&says), "{told}");
        }
        let (port, _) = server(|mut stream, from| {
            let heard = hear(stream.try_clone().unwrap(), from);
            write!(stream, "{}", heard.len() - 1).unwrap();
        });
        let words = format!(
            "--determined --tries 1 --file {} 127.0.0.1 {port}",
            file.path()
        );
        let output = connect(&words, b"");
        assert_eq!(output.status.code(), Some(1), "{}", said(&output));
        let words = words.replace(&port.to_string(), &closed().to_string());
        let output = connect(&words, b"");
        assert_eq!(output.status.code(), Some(4), "{}", said(&output));
    });
}

#[test]
fn ctrl_c_ends_it_cleanly() {
    let path = Temporary::new("stop.sock");
    let socket = UnixDatagram::bind(&path.0).unwrap();
    let words = format!("-U -u {}", path.path());
    let mut child = program(&words).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(b"here\n").unwrap();
    let (_, from) = socket.recv_from(&mut [0; 8]).unwrap();
    let own = from.as_pathname().unwrap();
    assert!(own.exists());
    // timeout(1) would hand it on twice.
    let timeout = child.id();
    let children = fs::read_to_string(format!("/proc/{timeout}/task/{timeout}/children"));
    let process: i32 = children.unwrap().trim().parse().unwrap();
    kill(Pid::from_raw(process), Signal::SIGINT).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(
        said(&output).contains("sent 5, received 0 bytes; stopped"),
        "{}",
        said(&output)
    );
    assert!(!own.exists());
    drop(stdin);
}

#[test]
fn input_that_is_closed_and_output_that_nobody_reads_are_ends() {
    in_own_network(|| {
        let shell = |line: &str| {
            let program = env!("CARGO_BIN_EXE_sockwire");
            let line = line.replace("sockwire", &format!("timeout 60 {program} --quiet"));
            Command::new("sh").args(["-c", &line]).output().unwrap()
        };
        let (port, _) = server(|mut stream, from| {
            stream.write_all(b"hello\n").unwrap();
            hear(stream, from);
        });
        let output = shell(&format!("sockwire connect 127.0.0.1 {port} <&-"));
        assert_eq!(printed(&output), "hello\n");
        let (port, served) = server(|mut stream, _| while stream.write_all(b"yes\n").is_ok() {});
        let output = shell(&format!(
            "{{ sockwire connect 127.0.0.1 {port}; echo $? >&2; }} | head -1"
        ));
        assert_eq!(printed(&output), "yes\n");
        assert_eq!(said(&output), "0\n");
        served.join().unwrap();
    });
}

#[test]
fn on_a_terminal_nothing_can_move_the_cursor() {
    in_own_network(|| {
        let (port, heard) = server(|mut stream, from| {
            stream.write_all(b"\x1b[2Jcaf\xc3").unwrap();
            stream.write_all(b"\xa9 \r\xff\r\nend").unwrap();
            hear(stream, from)
        });
        let program = env!("CARGO_BIN_EXE_sockwire");
        let line = format!("{program} connect 127.0.0.1 {port}");
        let Some(mut terminal) = on_terminal(&line) else {
            return testing::skipped("no script command here");
        };
        let mut child = terminal.spawn().unwrap();
        let mut screen = BufReader::new(child.stdout.take().unwrap());
        let mut shown = Vec::new();
        // Typed when the terminal has what the server says.
        while !shown.ends_with(b"end") {
            assert!(screen.read_until(b'd', &mut shown).unwrap() > 0);
        }
        let mut keyboard = child.stdin.take().unwrap();
        keyboard.write_all(b"typed\n\x18\n").unwrap();
        screen.read_to_end(&mut shown).unwrap();
        assert!(child.wait().unwrap().success());
        drop(keyboard);
        let shown = String::from_utf8(shown).unwrap();
        assert!(
            shown.contains("\\x1b[2Jcaf\u{e9} \\r\\xff\r\nend"),
            "{shown:?}"
        );
        assert!(!shown.contains('\x1b'), "{shown:?}");
        assert_eq!(heard.join().unwrap(), b"typed\n");
    });
}

#[test]
fn whoever_talks_with_strangers_has_no_rights() {
    in_own_network(|| {
        for kind in ["tcp", "http", "ws"] {
            let (port, served) = server(hear);
            let mut child = Command::new(env!("CARGO_BIN_EXE_sockwire"))
                .args(["connect", kind, "127.0.0.1", &port.to_string()])
                .stdin(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()
                .unwrap();
            let mut said = BufReader::new(child.stderr.take().unwrap());
            let mut line = String::new();
            said.read_line(&mut line).unwrap();
            assert!(line.contains("connected to"), "{kind}: {line}");
            let status = fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
            let has = |what: &str| status.lines().any(|line| line == what);
            assert!(has("CapEff:\t0000000000000000"), "{kind}: {status}");
            assert!(has("CapPrm:\t0000000000000000"), "{kind}: {status}");
            assert!(has("NoNewPrivs:\t1"), "{kind}: {status}");
            child.kill().unwrap();
            child.wait().unwrap();
            served.join().unwrap();
        }
    });
}

#[test]
fn wrong_words_are_told_what_to_write() {
    for (words, says) in [
        ("", "to which port?"),
        ("example.org", "which port of example.org?"),
        ("--head 5000", "connect http URL"),
        ("-w 3 5000", "--wait SECONDS"),
        ("-q 1 5000", "--wait SECONDS"),
        ("-p 4000 5000", "--source :PORT"),
        ("-e /bin/sh 5000", "no program is run"),
        ("-l 5000", "sockwire serve PORT"),
        ("-lp 5000", "sockwire serve PORT"),
        ("-lk 5000", "sockwire serve PORT"),
        ("-u 5000 --shutdown write", "datagrams have no end"),
        ("-z -u 5000", "sends nothing"),
        ("-z --send x 5000", "cannot be used with"),
        ("-U /tmp/x --source 1.2.3.4", "IP sockets"),
        ("--determined 5000", "--file"),
        ("udp --determined --file /etc/passwd 5000", "is for TCP"),
        ("--determined --file - 5000", "name a file"),
        ("--send \\q 5000", "after \\ comes"),
        ("--source x 5000", "ADDR:PORT"),
        ("--shutdown some 5000", "read, write, both"),
        ("--wait long 5000", "number of seconds"),
        ("-4 -6 5000", "cannot be used with"),
        ("localhost 5000-5001", "only -z"),
    ] {
        let output = connect(words, b"");
        assert_eq!(output.status.code(), Some(2), "{words}: {}", said(&output));
        assert!(said(&output).contains(says), "{words}: {}", said(&output));
    }
}
