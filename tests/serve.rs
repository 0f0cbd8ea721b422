//! `serve`: each style, mode and kind of socket, with ordinary clients in a network of their own.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod beside;
mod lan;

use std::{
    collections::BTreeSet,
    fs,
    io::{BufRead as _, BufReader, Read, Write},
    net::{Shutdown, SocketAddr, TcpStream, UdpSocket},
    os::{
        linux::net::SocketAddrExt as _,
        unix::fs::MetadataExt as _,
        unix::net::{SocketAddr as UnixAddress, UnixDatagram, UnixListener, UnixStream},
    },
    path::PathBuf,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use beside::{LIMIT, Running, on_terminal};
use lan::{Temporary, in_own_network, said, sockwire, testing};
use nix::sys::signal::{Signal, kill};

/// Its descriptors, threads, and children that have not been waited for.
fn holds(server: &Running) -> (usize, usize, usize) {
    let list = |what| fs::read_dir(format!("/proc/{}/{what}", server.child.id())).unwrap();
    // The kernel's counters are open for moments, again and again.
    let is_kept = |link: &PathBuf| !link.starts_with("/proc");
    let open = list("fd").flatten().flat_map(|fd| fs::read_link(fd.path()));
    let children = children(server.child.id()).len();
    (open.filter(is_kept).count(), list("task").count(), children)
}

/// The processes whose parent is `process`, zombies too.
fn children(process: u32) -> Vec<u32> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let Ok(number) = entry.file_name().to_string_lossy().parse() else {
            continue;
        };
        let stat = fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
        // The name is in parentheses and may hold anything; behind it are the state and the parent.
        let parent = stat.rsplit(')').next().unwrap().split_whitespace().nth(1);
        if parent == Some(&process.to_string()) {
            found.push(number);
        }
    }
    found
}

/// Waits for a state that nothing announces.
fn wait_for(what: &str, mut is_so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < LIMIT, "never: {what}");
        thread::yield_now();
    }
}

fn connect(port: u16) -> TcpStream {
    TcpStream::connect(("127.0.0.1", port)).unwrap()
}

/// Sends, shuts down the writing side, and reads to the end.
fn exchange<S: Read + Write>(mut stream: S, bytes: &[u8], shut: impl Fn(&S)) -> Vec<u8> {
    stream.write_all(bytes).unwrap();
    shut(&stream);
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    answer
}

fn exchange_tcp(port: u16, bytes: &[u8]) -> Vec<u8> {
    exchange(connect(port), bytes, |stream| {
        stream.shutdown(Shutdown::Write).unwrap();
    })
}

const STYLES: [&str; 4] = ["sequential", "fork", "thread", "poll"];

#[test]
fn a_second_client_waits_for_the_first_at_sequential_only() {
    in_own_network(|| {
        for style in STYLES {
            let mut server = Running::serve(&format!("--style {style}"));
            let mut one = connect(5000);
            one.write_all(b"one\n").unwrap();
            let first = server.until("client 1 from 127.0.0.1:");
            server.until("client 1: 4 bytes \"one\\n\"");
            let mut two = connect(5000);
            two.write_all(b"two\x1b\n").unwrap();
            if style == "sequential" {
                let waits = server.until("waits");
                assert!(
                    waits.contains("1 client waits in the accept queue (1 of 129"),
                    "{waits}"
                );
                drop(one);
                server.until("client 1 closed; 4 bytes received, 0 sent");
                server.until("client 2: 5 bytes \"two\\x1b\\n\"");
            } else {
                let second = server.until("client 2 from 127.0.0.1:");
                let number =
                    |line: &str| line.trim().rsplit(' ').next().unwrap().parse().unwrap_or(0);
                let by: [u32; 2] = [number(&first), number(&second)];
                match style {
                    "fork" => assert!(
                        by.iter().all(|by| children(server.child.id()).contains(by))
                            && first.contains(", process "),
                        "{first}"
                    ),
                    "thread" => {
                        let tasks = format!("/proc/{}/task", server.child.id());
                        let exists = |by| fs::exists(format!("{tasks}/{by}")).unwrap();
                        assert!(
                            by.into_iter().all(exists) && first.contains(", thread "),
                            "{first}"
                        );
                    }
                    _ => assert_eq!(by, [0, 0], "{first}"),
                }
                assert_eq!(by[0] == by[1], style == "poll");
                server.until("client 2: 5 bytes \"two\\x1b\\n\"");
                drop(one);
                server.until("client 1 closed; 4 bytes received, 0 sent");
            }
            drop(two);
            server.until("client 2 closed; 5 bytes received, 0 sent");
            let (_, told) = server.stop();
            assert!(told.contains("port 5000, since none is given"), "{told}");
            assert!(
                told.contains("2 clients, 9 bytes received, 0 sent, in "),
                "{told}"
            );
        }
    });
}

#[test]
fn ctrl_c_ends_clients_processes_and_threads() {
    in_own_network(|| {
        for style in STYLES {
            let mut server = Running::serve(&format!("5000 --echo --style {style}"));
            let mut clients: Vec<TcpStream> = (0..3).map(|_| connect(5000)).collect();
            let served = if style == "sequential" { 1 } else { 3 };
            for client in &mut clients[..served] {
                client.write_all(b"x").unwrap();
                client.read_exact(&mut [0]).unwrap();
            }
            server.until(&format!("client {served}"));
            let (rest, told) = server.stop();
            let ended = rest
                .matches("was ended by this server; 1 byte received, 1 sent")
                .count();
            assert_eq!(ended, served, "{style}: {rest}");
            let totals = match served {
                1 => "1 client, 1 byte received, 1 sent, in ",
                _ => "3 clients, 3 bytes received, 3 sent, in ",
            };
            assert!(told.contains(totals), "{style}: {told}");
        }
    });
}

#[test]
fn children_end_with_a_parent_that_is_killed() {
    in_own_network(|| {
        let mut server = Running::serve("5000 --style fork");
        let mut client = connect(5000);
        client.write_all(b"x").unwrap();
        server.until("1 byte");
        kill(server.process(), Signal::SIGKILL).unwrap();
        assert_eq!(client.read(&mut [0]).unwrap(), 0);
        // The child may still say so itself, and then nobody has standard output open any more.
        server.stdout.read_to_end(&mut Vec::new()).unwrap();
        // Nor does anybody listen.
        let refused = TcpStream::connect("127.0.0.1:5000").unwrap_err();
        assert_eq!(refused.raw_os_error(), Some(libc::ECONNREFUSED));
    });
}

#[test]
fn the_modes_echo_print_and_count() {
    in_own_network(|| {
        let server = Running::serve("--echo --once");
        assert_eq!(exchange_tcp(5005, b"back"), b"back");
        let (rest, told) = server.end();
        assert!(rest.contains("client 1: 4 bytes \"back\""), "{rest}");
        assert!(told.contains("port 5005"), "{told}");

        for style in STYLES {
            let server = Running::serve(&format!(
                "--receive --once --recv-size 1000 --style {style}"
            ));
            assert_eq!(exchange_tcp(4000, &vec![b'x'; 123_457]), b"123457");
            let (rest, told) = server.end();
            assert!(
                rest.contains("client 1 closed; 123457 bytes received, 6 sent"),
                "{rest}"
            );
            assert!(!rest.contains("xx"), "only counted");
            assert!(told.contains("port 4000"), "{told}");
        }

        for style in STYLES {
            let program = Command::new(env!("CARGO_BIN_EXE_sockwire"));
            let mut server =
                Running::serve_by(program, &format!("5000 --print --once --style {style}"));
            wait_for("it listens", || {
                TcpStream::connect("127.0.0.1:5000").is_ok_and(|stream| {
                    exchange(stream, b"raw \x00\xff\x1b\n", |stream| {
                        stream.shutdown(Shutdown::Write).unwrap();
                    })
                    .is_empty()
                })
            });
            let mut raw = Vec::new();
            server.stdout.read_to_end(&mut raw).unwrap();
            assert_eq!(raw, b"raw \x00\xff\x1b\n");
            let (_, told) = server.end();
            assert!(told.contains("client 1 from 127.0.0.1:"), "{told}");
            assert!(told.contains("client 1 closed; 8 bytes received"), "{told}");
        }
    });
}

/// What `/proc` says of every thread of a process and of its children, by key; each once.
fn statuses(process: u32, key: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for process in children(process).into_iter().chain([process]) {
        for thread in fs::read_dir(format!("/proc/{process}/task")).unwrap() {
            let status = fs::read_to_string(thread.unwrap().path().join("status")).unwrap();
            let line = status.lines().find_map(|line| line.strip_prefix(key));
            found.extend(line.unwrap().split_whitespace().map(str::to_owned));
        }
    }
    found
}

#[test]
fn whoever_talks_with_strangers_has_no_rights() {
    in_own_network(|| {
        let all = STYLES.map(|style| format!("80 --echo --style {style}"));
        let web = ["http 80", "ws 80"].map(str::to_owned);
        for words in all.into_iter().chain(web) {
            let mut server = Running::serve(&words);
            let mut client = connect(80);
            client.write_all(b"hello").unwrap();
            server.until("client 1: 5 bytes");
            let pid = server.child.id();
            for set in ["CapEff:", "CapPrm:", "CapInh:", "CapAmb:"] {
                let left = statuses(pid, set);
                assert_eq!(left, ["0".repeat(16)].into(), "{words}: {set}");
            }
            assert_eq!(statuses(pid, "NoNewPrivs:"), ["1".to_owned()].into());
            if words.contains("echo") {
                client.read_exact(&mut [0; 5]).unwrap();
            }
            drop(client);
            server.stop();
        }
    });
}

#[test]
fn under_sudo_the_server_is_the_caller_s() {
    let everybody = fs::read_to_string("/proc/self/uid_map").unwrap();
    if !nix::unistd::geteuid().is_root() || !everybody.contains("4294967295") {
        return testing::skipped("only root outside of user namespaces can become another user");
    }
    let sudo = |words: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sockwire"));
        command.env("SUDO_UID", "65534").env("SUDO_GID", "65533");
        let mut server = Running::serve_by(command, words);
        server.until("Ctrl-C ends");
        server
    };
    in_own_network(|| {
        for style in STYLES {
            let mut server = sudo(&format!("--style {style}"));
            let client = connect(5000);
            server.until("client 1 from");
            let pid = server.child.id();
            assert_eq!(statuses(pid, "Uid:"), ["65534".to_owned()].into());
            assert_eq!(statuses(pid, "Groups:"), ["65533".to_owned()].into());
            drop(client);
            // Children are this user's as well, and can be ended.
            server.stop();
        }
    });
    let path = Temporary::new("serve-sudo");
    let server = sudo(&format!("-U {}", path.path()));
    // It says so before the file changes hands.
    wait_for("the file is the caller's", || {
        let file = fs::metadata(&path.0).unwrap();
        (file.uid(), file.gid()) == (65534, 65533)
    });
    server.stop();
    assert!(!path.0.exists());
}

#[test]
fn on_a_terminal_nothing_printed_can_move_the_cursor() {
    in_own_network(|| {
        let program = env!("CARGO_BIN_EXE_sockwire");
        let line = format!("{program} serve --print --once");
        let Some(mut terminal) = on_terminal(&line) else {
            return testing::skipped("no script command here");
        };
        let mut child = terminal.stdin(Stdio::null()).spawn().unwrap();
        let mut screen = BufReader::new(child.stdout.take().unwrap());
        let mut shown = String::new();
        while !shown.contains("Ctrl-C ends") {
            assert!(screen.read_line(&mut shown).unwrap() > 0);
        }
        exchange_tcp(5000, b"\x1b[2Jcaf\xc3\xa9 \x9b\r\nend\xc3");
        screen.read_to_string(&mut shown).unwrap();
        assert!(child.wait().unwrap().success());
        assert!(
            shown.contains("\\x1b[2Jcaf\u{e9} \\x9b\r\nend\\xc3"),
            "{shown:?}"
        );
        assert!(!shown.contains('\x1b'), "{shown:?}");
    });
}

#[test]
fn a_reset_is_told_from_a_close() {
    in_own_network(|| {
        for style in STYLES {
            let mut server = Running::serve(&format!("5000 --style {style}"));
            let mut stream = socket2::Socket::from(connect(5000));
            stream.write_all(b"x").unwrap();
            server.until("1 byte");
            stream.set_linger(Some(Duration::ZERO)).unwrap();
            drop(stream);
            server.until("client 1 reset the connection (RST); 1 byte received, 0 sent");
            server.stop();
        }
    });
}

#[test]
fn nothing_leaks_with_many_clients() {
    in_own_network(|| {
        for style in STYLES {
            let mut server = Running::serve(&format!("5000 --echo --style {style}"));
            let threads = if style == "fork" { 1 } else { 2 };
            wait_for("it is idle", || holds(&server).1 == threads);
            let before = holds(&server);
            for number in 1..=200 {
                assert_eq!(exchange_tcp(5000, b"hello"), b"hello", "{style}");
                server.until(&format!("client {number} closed; 5 bytes received, 5 sent"));
            }
            let mut held = Vec::new();
            thread::scope(|scope| {
                let running: Vec<_> = (0..50)
                    .map(|_| scope.spawn(|| exchange_tcp(5000, &[b'y'; 500])))
                    .collect();
                held.extend(running.into_iter().map(|client| client.join().unwrap()));
            });
            assert!(held.iter().all(|echo| echo[..] == [b'y'; 500]), "{style}");
            wait_for("all is given back", || holds(&server) == before);
            let (_, told) = server.stop();
            assert!(
                told.contains("250 clients, 26000 bytes received, 26000 sent"),
                "{told}"
            );
        }
    });
}

#[test]
fn a_taken_port_names_its_owner() {
    in_own_network(|| {
        let first = Running::serve("5000");
        for words in [
            "serve 5000",
            "serve 5000 -4",
            "serve 5000 --no-reuseaddr",
            "listen http 5000",
        ] {
            let second = sockwire(words);
            assert_eq!(second.status.code(), Some(2), "{words}: {}", said(&second));
            let owner = format!("taken by sockwire[{}] on [::]:5000", first.child.id());
            assert!(said(&second).contains(&owner), "{}", said(&second));
            let next = match words.contains("http") {
                true => "sockwire serve http 5001",
                false => "sockwire serve 5001",
            };
            assert!(said(&second).contains(next), "{}", said(&second));
        }
        first.stop();

        let first = Running::serve("-u 5000");
        let second = sockwire("serve udp 5000");
        assert_eq!(second.status.code(), Some(2));
        assert!(
            said(&second).contains("taken by sockwire["),
            "{}",
            said(&second)
        );
        first.stop();
    });
}

#[test]
fn time_wait_is_explained_and_gone_round_only_by_both() {
    in_own_network(|| {
        for (first, second, works) in [
            ("--no-reuseaddr", "--no-reuseaddr", false),
            ("--no-reuseaddr", "", false),
            ("", "--no-reuseaddr", false),
            ("", "", true),
        ] {
            // Each with a port of its own, since the states stay.
            let port = 5000 + u16::from(first.is_empty()) * 2 + u16::from(second.is_empty());
            let mut server = Running::serve(&format!("{port} {first}"));
            let mut client = connect(port);
            client.write_all(b"x").unwrap();
            server.until("1 byte");
            // The server closes first: TIME-WAIT is on its side.
            server.stop();
            assert_eq!(client.read(&mut [0]).unwrap(), 0);
            drop(client);
            let mut again = Command::new(env!("CARGO_BIN_EXE_sockwire"));
            again.arg("--quiet");
            if works {
                let mut again = Running::serve_by(again, &format!("{port} {second}"));
                again.until("Ctrl-C ends");
                again.stop();
            } else {
                let again = sockwire(&format!("serve {port} {second}"));
                assert_eq!(again.status.code(), Some(2), "{first}, then {second}");
                let told = said(&again);
                assert!(
                    told.contains("TIME-WAIT") && told.contains("SO_REUSEADDR"),
                    "{told}"
                );
            }
        }
    });
}

#[test]
fn a_low_port_needs_a_right() {
    in_own_network(|| {
        let without = Command::new("setpriv")
            .args([
                "--bounding-set",
                "-net_bind_service",
                "--inh-caps",
                "-net_bind_service",
            ])
            .arg(env!("CARGO_BIN_EXE_sockwire"))
            .args(["serve", "80"])
            .output();
        let Ok(output) = without else {
            return testing::skipped("no setpriv command here");
        };
        let told = said(&output);
        if told.starts_with("setpriv") {
            return testing::skipped(told.trim());
        }
        assert_eq!(output.status.code(), Some(3), "{told}");
        for part in [
            "ip_unprivileged_port_start = 1024",
            "sudo ",
            "setcap cap_net_bind_service+ep",
            "sockwire serve 5000",
        ] {
            assert!(told.contains(part), "{part}: {told}");
        }
    });
}

#[test]
fn one_socket_takes_both_versions_unless_told() {
    in_own_network(|| {
        if TcpStream::connect("[::1]:1")
            .is_err_and(|error| error.raw_os_error() != Some(libc::ECONNREFUSED))
        {
            return testing::skipped("no IPv6 here");
        }
        for (words, four, six) in [
            ("5000", true, true),
            ("5000 -4", true, false),
            ("5000 -6", false, true),
            ("5000 --bind 127.0.0.1", true, false),
            ("5000 --bind ::1", false, true),
        ] {
            let mut server = Running::serve(words);
            for (address, works) in [("127.0.0.1:5000", four), ("[::1]:5000", six)] {
                let client = TcpStream::connect(address);
                assert_eq!(client.is_ok(), works, "{words}: {address}");
                if works {
                    server.until(&format!("from {}:", address.trim_end_matches(":5000")));
                }
            }
            server.stop();
        }
        let elsewhere = sockwire("serve --bind 192.0.2.1 5000");
        assert_eq!(elsewhere.status.code(), Some(4), "{}", said(&elsewhere));
        assert!(said(&elsewhere).contains("no address of this machine"));
    });
}

#[test]
fn datagrams_have_boundaries_and_no_disconnect() {
    in_own_network(|| {
        let mut server = Running::serve("-u --echo --recv-size 8");
        let to: SocketAddr = ([127, 0, 0, 1], 5005).into();
        let [one, two] = [(); 2].map(|()| UdpSocket::bind("127.0.0.1:0").unwrap());
        let echo = |socket: &UdpSocket, bytes: &[u8]| {
            socket.send_to(bytes, to).unwrap();
            let mut buffer = [0; 64];
            let (len, from) = socket.recv_from(&mut buffer).unwrap();
            assert_eq!(from, to);
            buffer[..len].to_vec()
        };
        assert_eq!(echo(&one, b"first"), b"first");
        assert_eq!(echo(&two, b""), b"");
        assert_eq!(echo(&one, b"too long a datagram"), b"too long");
        server.until(&format!("client 1 from {}", one.local_addr().unwrap()));
        server.until("client 1: datagram of 5 bytes \"first\"");
        server.until(&format!("client 2 from {}", two.local_addr().unwrap()));
        server.until("client 2: empty datagram; it has no data, and is no disconnect");
        server.until(
            "client 1: datagram cut to 8 bytes \"too long\": it was longer than --recv-size 8",
        );
        let (_, told) = server.stop();
        assert!(
            told.contains("2 clients, 13 bytes received, 13 sent"),
            "{told}"
        );
        for words in ["serve -u --receive", "serve -u --style fork"] {
            assert_eq!(sockwire(words).status.code(), Some(2), "{words}");
        }
    });
}

#[test]
fn unix_sockets_are_at_paths_or_abstract() {
    let path = Temporary::new("serve");
    for style in STYLES {
        let mut server = Running::serve(&format!("-U {} --echo --style {style}", path.path()));
        let stream = UnixStream::connect(&path.0).unwrap();
        let echo = exchange(stream, b"hello", |stream| {
            stream.shutdown(Shutdown::Write).unwrap()
        });
        assert_eq!(echo, b"hello");
        server.until("client 1 from unnamed");
        server.until("client 1 closed; 5 bytes received, 5 sent");
        server.stop();
        assert!(
            !path.0.exists(),
            "{style}: the path is gone with the server"
        );
    }
    // What a dead server left behind is replaced; a live one's and other files are not.
    drop(UnixListener::bind(&path.0).unwrap());
    let server = Running::serve(&format!("unix {}", path.path()));
    let second = sockwire(&format!("serve unix {}", path.path()));
    assert_eq!(second.status.code(), Some(2));
    assert!(
        said(&second).contains("another process has it open"),
        "{}",
        said(&second)
    );
    server.stop();
    fs::write(&path.0, "precious").unwrap();
    let third = sockwire(&format!("serve unix {}", path.path()));
    assert_eq!(third.status.code(), Some(2));
    assert!(said(&third).contains("no socket"), "{}", said(&third));
    assert_eq!(fs::read(&path.0).unwrap(), b"precious");

    let name = format!("sockwire-serve-{}", std::process::id());
    let mut server = Running::serve(&format!("-uU @{name} --echo"));
    let address = UnixAddress::from_abstract_name(&name).unwrap();
    let anonymous = UnixDatagram::unbound().unwrap();
    anonymous.send_to_addr(b"one", &address).unwrap();
    server.until("client 1: datagram of 3 bytes \"one\"");
    server.until("client 1 gets no answer: its socket is not bound to an address");
    let named = UnixAddress::from_abstract_name(format!("{name}-client")).unwrap();
    let named = UnixDatagram::bind_addr(&named).unwrap();
    named.send_to_addr(b"two", &address).unwrap();
    let mut buffer = [0; 8];
    assert_eq!(named.recv(&mut buffer).unwrap(), 3);
    server.until(&format!("client 2 from @{name}-client"));
    server.stop();
}

#[test]
fn a_full_queue_is_told_from_loss() {
    in_own_network(|| {
        let mut server = Running::serve("5000 --backlog 1");
        let one = connect(5000);
        server.until("client 1 from");
        let waiting = [connect(5000), connect(5000)];
        let full = server.until("which is full");
        assert!(
            full.contains("2 clients wait in the accept queue"),
            "{full}"
        );
        let late =
            socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        late.set_nonblocking(true).unwrap();
        let to: SocketAddr = ([127, 0, 0, 1], 5000).into();
        assert!(late.connect(&to.into()).is_err(), "its SYN gets no answer");
        let ignored = server.until("ignored");
        assert!(
            ignored.contains("ListenOverflows") && ignored.contains("no loss"),
            "{ignored}"
        );
        drop((one, waiting, late));
        server.until("client 3 closed");
        server.stop();
    });
}

#[test]
fn a_lack_of_descriptors_is_told_once_and_passes() {
    in_own_network(|| {
        for style in ["thread", "poll"] {
            let mut limited = Command::new("sh");
            let line = r#"ulimit -n 16 && exec "$0" "$@""#;
            limited.args(["-c", line, env!("CARGO_BIN_EXE_sockwire")]);
            let mut server = Running::serve_by(limited, &format!("5000 --style {style}"));
            server.until("Ctrl-C ends");
            let clients: Vec<TcpStream> = (0..20).map(|_| connect(5000)).collect();
            server.until("cannot accept the next client: this process has as many descriptors open as it may");
            drop(clients);
            server.until("client 20 ");
            let (_, told) = server.stop();
            assert!(
                told.contains("20 clients, 0 bytes received"),
                "{style}: {told}"
            );
        }
    });
}

#[test]
fn words_that_cannot_be_are_refused() {
    for (words, told) in [
        ("serve tpc 5000", "there are: tcp, udp, unix, http, ws"),
        ("serve 70000", "no port from 0 to 65535"),
        ("serve /tmp/x", "sockwire serve unix PATH"),
        ("serve -U", "needs a path"),
        ("serve -u http 80", "spoken over TCP"),
        ("serve --echo --print", "cannot be used with"),
        ("serve -4 --bind ::1 5000", "no IPv4 address"),
        ("serve --recv-size 0", "from 1 to 1048576"),
        ("serve udp --backlog 5", "receive buffer"),
        ("serve udp --no-reuseaddr", "no TIME-WAIT"),
        ("serve unix --bind ::1 /tmp/x", "has a path"),
        ("serve --lab --bind 127.0.0.1", "lab mistake loopback-bind"),
    ] {
        let output = sockwire(words);
        assert_eq!(output.status.code(), Some(2), "{words}");
        assert!(said(&output).contains(told), "{words}: {}", said(&output));
    }
}

#[test]
fn an_output_that_cannot_be_written_ends_the_server() {
    in_own_network(|| {
        for (port, style) in (5200..).zip(["", "--style=fork", "--style=thread", "--print"]) {
            let mut child = Command::new(env!("CARGO_BIN_EXE_sockwire"))
                .args(
                    ["serve", &port.to_string(), style]
                        .iter()
                        .filter(|word| !word.is_empty()),
                )
                .stdout(Stdio::piped())
                .stderr(Stdio::null())
                .spawn()
                .unwrap();
            wait_for("the server", || {
                TcpStream::connect(("127.0.0.1", port)).is_ok()
            });
            drop(child.stdout.take());
            // The first client's leaving may have ended it already.
            let client = TcpStream::connect(("127.0.0.1", port));
            let _ = client.map(|mut client| client.write_all(b"hello\n"));
            wait_for("the server's end", || child.try_wait().unwrap().is_some());
            assert_eq!(child.wait().unwrap().code(), Some(0), "{style}");
        }
        let full = fs::File::create("/dev/full").unwrap();
        let output = Command::new(env!("CARGO_BIN_EXE_sockwire"))
            .args(["serve", "5210"])
            .stdout(full)
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(6));
        assert!(said(&output).contains("No space left on device"));
    });
}
