//! Each call in each language, and each address against the bytes that a C program has.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddrV6};

use super::*;
use crate::call::{Choice, Family, How, Kind};
use crate::time::SECOND;

/// A call that took no time.
fn called(call: Call, result: Result<Answer, i32>) -> Called {
    Called {
        call,
        result,
        took: 0,
    }
}

fn ip(port: u16) -> Address {
    Address::Ip((Ipv4Addr::LOCALHOST, port).into())
}

fn data(text: &str) -> Data {
    Data::of(text.as_bytes())
}

/// Checks the line in C, Python and Java.
fn check(call: Call, result: Result<Answer, i32>, lines: [&str; 3]) {
    let called = called(call, result);
    assert_eq!(name(&Language::C.asked(&called.call)), called.call.name());
    for (language, line) in [Language::C, Language::Python, Language::Java]
        .into_iter()
        .zip(lines)
    {
        assert_eq!(language.line(&called), line, "{language:?}");
    }
}

#[test]
fn a_server_in_three_languages() {
    check(
        Call::Socket {
            family: Family::Inet,
            kind: Kind::Stream,
        },
        Ok(Answer::Fd(3)),
        [
            "socket(AF_INET, SOCK_STREAM, 0) = 3",
            "socket(AF_INET, SOCK_STREAM) -> s3",
            "[Server]SocketChannel.open(INET) -> s3",
        ],
    );
    check(
        Call::Bind {
            fd: 3,
            address: ip(5000),
        },
        Ok(Answer::Done),
        [
            "bind(3, {AF_INET, 127.0.0.1:5000}, 16) = 0",
            "s3.bind((\"127.0.0.1\", 5000))",
            "s3.bind(new InetSocketAddress(\"127.0.0.1\", 5000))",
        ],
    );
    check(
        Call::Bind {
            fd: 3,
            address: ip(5000),
        },
        Err(libc::EADDRINUSE),
        [
            "bind(3, {AF_INET, 127.0.0.1:5000}, 16) = -1 EADDRINUSE (address already in use)",
            "s3.bind((\"127.0.0.1\", 5000)) raises OSError: [Errno 98] Address already in use",
            "s3.bind(new InetSocketAddress(\"127.0.0.1\", 5000)) throws java.net.BindException: Address already in use",
        ],
    );
    check(
        Call::Listen { fd: 3, backlog: 5 },
        Ok(Answer::Done),
        [
            "listen(3, 5) = 0",
            "s3.listen(5)",
            "/* s3.bind(address, 5) did this too: listen */",
        ],
    );
    check(
        Call::Accept { fd: 3 },
        Ok(Answer::Accepted(4, ip(41000))),
        [
            "accept(3, &from, &size) = 4 {AF_INET, 127.0.0.1:41000}",
            "s3.accept() -> s4, (\"127.0.0.1\", 41000)",
            "s3.accept() -> s4 from /127.0.0.1:41000",
        ],
    );
    check(
        Call::Recv { fd: 4, size: 1024 },
        Ok(Answer::Data(data("hello\n"))),
        [
            "recv(4, buffer, 1024, 0) = 6 \"hello\\n\"",
            "s4.recv(1024) -> b\"hello\\n\"",
            "s4.read(ByteBuffer.allocate(1024)) -> 6 \"hello\\n\"",
        ],
    );
    check(
        Call::Recv { fd: 4, size: 1024 },
        Ok(Answer::Data(data(""))),
        [
            "recv(4, buffer, 1024, 0) = 0",
            "s4.recv(1024) -> b\"\"",
            "s4.read(ByteBuffer.allocate(1024)) -> -1",
        ],
    );
    check(
        Call::Fork,
        Ok(Answer::Process(4311)),
        [
            "fork() = 4311",
            "os.fork() -> 4311",
            "/* fork(): Java has threads only */ -> 4311",
        ],
    );
    check(
        Call::WaitPid { process: None },
        Err(libc::ECHILD),
        [
            "waitpid(-1, &status, 0) = -1 ECHILD (no child processes)",
            "os.waitpid(-1, 0) raises ChildProcessError",
            "/* waitpid(): Java has threads only */ throws java.net.SocketException: No child processes",
        ],
    );
    check(
        Call::Poll {
            fds: vec![3, 4],
            timeout: Some(500),
        },
        Ok(Answer::Ready(vec![4])),
        [
            "poll({3, 4}, 2, 500) = 1 {4}",
            "select([s3, s4], [], [], 0.5) -> [s4], [], []",
            "selector.select(500) -> 1 [s4]",
        ],
    );
}

#[test]
fn a_client_in_three_languages() {
    check(
        Call::GetAddrInfo {
            node: "localhost".to_owned(),
            service: "5000".to_owned(),
        },
        Ok(Answer::Addresses(vec![
            (Ipv6Addr::LOCALHOST, 5000).into(),
            (Ipv4Addr::LOCALHOST, 5000).into(),
        ])),
        [
            "getaddrinfo(\"localhost\", \"5000\", &hints, &list) = 0 {[::1]:5000, 127.0.0.1:5000}",
            "getaddrinfo(\"localhost\", \"5000\") -> [(\"::1\", 5000, 0, 0), (\"127.0.0.1\", 5000)]",
            "InetAddress.getAllByName(\"localhost\") -> [/::1, /127.0.0.1]",
        ],
    );
    check(
        Call::GetAddrInfo {
            node: "no.such".to_owned(),
            service: "5000".to_owned(),
        },
        Err(libc::EAI_NONAME),
        [
            "getaddrinfo(\"no.such\", \"5000\", &hints, &list) = EAI_NONAME (no such name)",
            "getaddrinfo(\"no.such\", \"5000\") raises gaierror EAI_NONAME (no such name)",
            "InetAddress.getAllByName(\"no.such\") throws java.net.UnknownHostException: no.such",
        ],
    );
    let connect = Call::Connect {
        fd: 3,
        address: ip(5000),
    };
    check(
        connect.clone(),
        Ok(Answer::Done),
        [
            "connect(3, {AF_INET, 127.0.0.1:5000}, 16) = 0",
            "s3.connect((\"127.0.0.1\", 5000))",
            "s3.connect(new InetSocketAddress(\"127.0.0.1\", 5000)) -> true",
        ],
    );
    check(
        connect,
        Err(libc::ECONNREFUSED),
        [
            "connect(3, {AF_INET, 127.0.0.1:5000}, 16) = -1 ECONNREFUSED (connection refused)",
            "s3.connect((\"127.0.0.1\", 5000)) raises ConnectionRefusedError",
            "s3.connect(new InetSocketAddress(\"127.0.0.1\", 5000)) throws java.net.ConnectException: Connection refused",
        ],
    );
    check(
        Call::Send {
            fd: 3,
            data: data("say \"hi\"\n"),
            now: false,
        },
        Err(libc::EPIPE),
        [
            "send(3, \"say \\\"hi\\\"\\n\", 9, MSG_NOSIGNAL) = -1 EPIPE (broken pipe)",
            "s3.send(b\"say \\\"hi\\\"\\n\") raises BrokenPipeError",
            "s3.write(ByteBuffer.wrap(\"say \\\"hi\\\"\\n\".getBytes())) throws java.io.IOException: Broken pipe",
        ],
    );
    check(
        Call::Shutdown {
            fd: 3,
            how: How::Write,
        },
        Ok(Answer::Done),
        [
            "shutdown(3, SHUT_WR) = 0",
            "s3.shutdown(SHUT_WR)",
            "s3.shutdownOutput()",
        ],
    );
    check(
        Call::GetSockName { fd: 3 },
        Ok(Answer::Address(ip(41000))),
        [
            "getsockname(3, &address, &size) = 0 {AF_INET, 127.0.0.1:41000}",
            "s3.getsockname() -> (\"127.0.0.1\", 41000)",
            "s3.getLocalAddress() -> /127.0.0.1:41000",
        ],
    );
    check(
        Call::Close { fd: 3 },
        Ok(Answer::Done),
        ["close(3) = 0", "s3.close()", "s3.close()"],
    );
}

#[test]
fn datagrams_in_three_languages() {
    check(
        Call::SendTo {
            fd: 3,
            data: data("ping"),
            to: ip(4000),
        },
        Ok(Answer::Count(4)),
        [
            "sendto(3, \"ping\", 4, MSG_NOSIGNAL, {AF_INET, 127.0.0.1:4000}, 16) = 4",
            "s3.sendto(b\"ping\", (\"127.0.0.1\", 4000)) -> 4",
            "s3.send(ByteBuffer.wrap(\"ping\".getBytes()), new InetSocketAddress(\"127.0.0.1\", 4000)) -> 4",
        ],
    );
    check(
        Call::RecvFrom { fd: 3, size: 3 },
        Ok(Answer::Datagram(data("pin"), ip(41000), true)),
        [
            "recvfrom(3, buffer, 3, 0, &from, &size) = 3 \"pin\" (the rest is cut) {AF_INET, 127.0.0.1:41000}",
            "s3.recvfrom(3) -> b\"pin\" (the rest is cut), (\"127.0.0.1\", 41000)",
            "s3.receive(ByteBuffer.allocate(3)) -> /127.0.0.1:41000 \"pin\" (the rest is cut)",
        ],
    );
    check(
        Call::Recv { fd: 3, size: 9 },
        Err(libc::ECONNREFUSED),
        [
            "recv(3, buffer, 9, 0) = -1 ECONNREFUSED (connection refused)",
            "s3.recv(9) raises ConnectionRefusedError",
            "s3.read(ByteBuffer.allocate(9)) throws java.net.PortUnreachableException: Connection refused",
        ],
    );
}

#[test]
fn unix_sockets_in_three_languages() {
    check(
        Call::Connect {
            fd: 3,
            address: Address::Path("/tmp/chat".into()),
        },
        Err(libc::ENOENT),
        [
            "connect(3, {AF_UNIX, \"/tmp/chat\"}, 12) = -1 ENOENT (no such file or directory)",
            "s3.connect(\"/tmp/chat\") raises FileNotFoundError",
            "s3.connect(UnixDomainSocketAddress.of(\"/tmp/chat\")) throws java.net.SocketException: No such file or directory",
        ],
    );
    check(
        Call::Bind {
            fd: 3,
            address: Address::Abstract(b"chat".to_vec()),
        },
        Ok(Answer::Done),
        [
            "bind(3, {AF_UNIX, @\"chat\"}, 7) = 0",
            "s3.bind(b\"\\x00chat\")",
            "s3.bind(/* Java has no abstract names: @chat */)",
        ],
    );
    check(
        Call::RecvFrom { fd: 3, size: 9 },
        Ok(Answer::Datagram(data("x"), Address::Unnamed, false)),
        [
            "recvfrom(3, buffer, 9, 0, &from, &size) = 1 \"x\" {AF_UNIX}",
            "s3.recvfrom(9) -> b\"x\", None",
            "s3.receive(ByteBuffer.allocate(9)) -> unnamed \"x\"",
        ],
    );
}

#[test]
fn options_have_the_values_of_their_types() {
    let option = |choice, value| Call::SetSockOpt {
        fd: 3,
        choice,
        value,
    };
    for (choice, value, lines) in [
        (
            Choice::ReuseAddr,
            1,
            [
                "setsockopt(3, SOL_SOCKET, SO_REUSEADDR, {1}, 4) = 0",
                "s3.setsockopt(SOL_SOCKET, SO_REUSEADDR, 1)",
                "s3.setOption(SO_REUSEADDR, true)",
            ],
        ),
        (
            Choice::ReceiveTimeout,
            2500,
            [
                "setsockopt(3, SOL_SOCKET, SO_RCVTIMEO, {2, 500000}, 16) = 0",
                "s3.setsockopt(SOL_SOCKET, SO_RCVTIMEO, pack(\"ll\", 2, 500000))",
                "s3.socket().setSoTimeout(2500)",
            ],
        ),
        (
            Choice::Linger,
            0,
            [
                "setsockopt(3, SOL_SOCKET, SO_LINGER, {1, 0}, 8) = 0",
                "s3.setsockopt(SOL_SOCKET, SO_LINGER, pack(\"ii\", 1, 0))",
                "s3.setOption(SO_LINGER, 0)",
            ],
        ),
        (
            Choice::NoDelay,
            0,
            [
                "setsockopt(3, IPPROTO_TCP, TCP_NODELAY, {0}, 4) = 0",
                "s3.setsockopt(IPPROTO_TCP, TCP_NODELAY, 0)",
                "s3.setOption(TCP_NODELAY, false)",
            ],
        ),
    ] {
        check(option(choice, value), Ok(Answer::Done), lines);
    }
}

#[test]
fn only_a_wait_is_told() {
    let mut accept = called(Call::Accept { fd: 3 }, Ok(Answer::Accepted(4, ip(41000))));
    accept.took = MILLISECOND - 1;
    assert!(!Language::C.line(&accept).contains("blocked"));
    accept.took = 20_130_000;
    assert!(Language::C.line(&accept).ends_with("  blocked 20.13 ms"));
    let mut fork = called(Call::Fork, Ok(Answer::Process(0)));
    fork.took = SECOND;
    assert_eq!(Language::C.line(&fork), "fork() = 0");
    accept.took = 2 * SECOND;
    assert!(Language::Python.line(&accept).ends_with("  blocked 2.00 s"));
}

#[test]
fn a_line_is_its_two_pieces_and_names_tell_calls_apart() {
    let accept = called(Call::Accept { fd: 3 }, Ok(Answer::Accepted(4, ip(41000))));
    for (language, name) in [
        (Language::C, "accept"),
        (Language::Python, "s3.accept"),
        (Language::Java, "s3.accept"),
    ] {
        let pieces = language.asked(&accept.call) + &language.answered(&accept);
        assert_eq!(language.line(&accept), pieces);
        assert_eq!(super::name(&pieces), name);
    }
}

#[test]
fn data_is_cut_and_no_control_byte_gets_through() {
    let send = |bytes: &[u8]| {
        let send = Call::Send {
            fd: 3,
            data: Data::of(bytes),
            now: true,
        };
        (Language::C.asked(&send), Language::Python.asked(&send))
    };
    let (c, python) = send(&[b'a'; 1000]);
    let cut = format!("\"{}\"...", "a".repeat(DATA));
    assert_eq!(
        c,
        format!("send(3, {cut}, 1000, MSG_DONTWAIT|MSG_NOSIGNAL)")
    );
    assert_eq!(python, format!("s3.send(b{cut})"));
    // Three bytes a letter, two columns; the sixteenth would not fit beside the first.
    let (c, python) = send(format!("a{}", "漢".repeat(20)).as_bytes());
    assert!(c.contains(&format!("\"a{}\"...", "漢".repeat(10))), "{c}");
    assert!(python.contains("b\"a\\xe6\\xbc\\xa2"), "{python}");
    let all: Vec<u8> = (0..=255).collect();
    for bytes in all.chunks(8) {
        let (c, python) = send(bytes);
        for line in [&c, &python] {
            assert!(!line.chars().any(crate::text::is_unsafe), "{line}");
            assert!(line.width() <= 80, "{line}");
        }
        assert!(python.is_ascii());
    }
    let hostile = Call::GetAddrInfo {
        node: "\u{1b}[2J\u{202e}".to_owned(),
        service: "\u{7}".to_owned(),
    };
    for language in [Language::C, Language::Python, Language::Java] {
        let line = language.line(&called(hostile.clone(), Err(libc::EAI_NONAME)));
        assert!(!line.chars().any(crate::text::is_unsafe), "{line}");
    }
}

/// The bytes are those that a C program prints of the same structures, as `getsockname` fills them in.
#[test]
#[cfg(target_endian = "little")]
fn addresses_have_the_bytes_that_the_kernel_is_given() {
    let link_local = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1);
    for (address, size, wanted) in [
        (
            ip(5000),
            16,
            "    02 00 | 13 88 | 7f 00 00 01 | 00 00 00 00 00 00 00 00\n    \
             family AF_INET (host order), port 5000, 127.0.0.1, padding\n",
        ),
        (
            Address::Ip(SocketAddrV6::new(link_local, 5000, 0, 2).into()),
            28,
            "    0a 00 | 13 88 | 00 00 00 00 | fe 80 00 00 00 00 00 00 00 00 00 00 00 00 00\n    \
             01 | 02 00 00 00\n    \
             family AF_INET6 (host order), port 5000, flow 0, fe80::1, scope 2 (host\n    order)\n",
        ),
        (
            Address::Path("/tmp/chat".into()),
            12,
            "    01 00 | 2f 74 6d 70 2f 63 68 61 74 | 00\n    \
             family AF_UNIX (host order), the path, its end\n",
        ),
        (
            Address::Abstract(b"chat".to_vec()),
            7,
            "    01 00 | 00 | 63 68 61 74\n    \
             family AF_UNIX (host order), abstract, the name, which ends with the size\n",
        ),
        (
            Address::Unnamed,
            2,
            "    01 00\n    family AF_UNIX (host order), and no name\n",
        ),
    ] {
        assert_eq!(sockaddr::size(&address), size);
        let bind = called(Call::Bind { fd: 3, address }, Ok(Answer::Done));
        assert_eq!(sockaddrs(&bind), wanted);
    }
}

#[test]
fn both_addresses_of_a_call_are_explained() {
    let close = called(Call::Close { fd: 3 }, Ok(Answer::Done));
    assert_eq!(sockaddrs(&close), "");
    let accept = called(Call::Accept { fd: 3 }, Ok(Answer::Accepted(4, ip(41000))));
    assert!(sockaddrs(&accept).contains("a0 28 | 7f 00 00 01"));
    let send = Call::SendTo {
        fd: 3,
        data: data("x"),
        to: ip(4000),
    };
    assert!(sockaddrs(&called(send, Ok(Answer::Count(1)))).contains("port 4000"));
}
