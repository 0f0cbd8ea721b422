//! `resolve`, `ports` and `families` against what Python and the kernel say, in networks and with hosts files of their own.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod lan;

use std::{
    fs,
    net::{TcpListener, UdpSocket},
    process::{Command, Output},
    thread,
    time::Duration,
};

use lan::{Temporary, in_own_network, said, sockwire, testing::skipped};
use serde_json::Value;

fn out(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn records(output: &Output) -> Vec<Value> {
    let text = out(output);
    let lines = text.lines().map(|line| serde_json::from_str(line).unwrap());
    lines.collect()
}

/// What a Python script prints, as JSON; nothing where there is no Python.
fn python(script: &str) -> Option<Value> {
    let done = Command::new("python3").args(["-c", script]).output();
    let Ok(done) = done else {
        skipped("no python3 here");
        return None;
    };
    Some(serde_json::from_str(&out(&done)).unwrap_or_else(|_| panic!("{}", said(&done))))
}

#[test]
fn numbers_resolve_as_python_resolves_them() {
    for (name, service) in [("127.0.0.1", "80"), ("::1", "5000"), ("fe80::7", "1")] {
        let Some(wanted) = python(&format!(
            "import socket, json\n\
             print(json.dumps([[f.name, t.name, p, c, a[0], a[1]] for f, t, p, c, a in\n\
             socket.getaddrinfo('{name}', '{service}', flags=socket.AI_CANONNAME)]))"
        )) else {
            return;
        };
        let all = records(&sockwire(&format!("resolve --json -n {name} {service}")));
        let found = all.iter().map(|one| {
            let canonical = one["canonical"].as_str().unwrap_or("");
            let (family, kind, protocol) = (&one["family"], &one["type"], &one["protocol"]);
            serde_json::json!([
                family,
                kind,
                protocol,
                canonical,
                one["address"],
                one["port"]
            ])
        });
        assert_eq!(found.collect::<Value>(), wanted);
    }
}

#[test]
fn a_name_that_cannot_be_looked_up_ends_with_4_and_advice() {
    for (words, wanted) in [
        ("resolve -n localhost", "with -n only numbers are taken"),
        (
            "resolve 127.0.0.1 no-such-service",
            "service no-such-service",
        ),
        ("resolve -6 127.0.0.1", "127.0.0.1"),
        ("resolve localhost:80", "a word of its own"),
        ("resolve ::1%nosuch", "an interface of this machine"),
        ("resolve m\u{fc}nchen.invalid", "xn--"),
    ] {
        let output = sockwire(words);
        assert_eq!(output.status.code(), Some(4), "{words}");
        let said = said(&output);
        assert!(
            said.contains(wanted) && said.contains("; "),
            "{words}: {said}"
        );
        assert!(!said.contains("os error"), "{said}");
    }
}

#[test]
fn a_number_in_any_form_is_nobodys_to_know() {
    for number in ["127.1", "0x7f000001", "fe80::1%lo", "fe80::1%1"] {
        let output = sockwire(&format!("resolve {number} 80"));
        let shown = String::from_utf8(output.stdout).unwrap();
        assert!(
            shown.contains("from: the number itself") && !shown.contains("gethostbyname:"),
            "{shown}"
        );
    }
}

#[test]
fn a_port_that_does_not_exist_is_refused_not_cut() {
    for words in ["resolve localhost 70000", "ports 65536"] {
        let output = sockwire(words);
        assert_eq!(output.status.code(), Some(2), "{words}");
        assert!(said(&output).contains("from 0 to 65535"), "{words}");
    }
}

#[test]
fn the_call_is_spelt_in_the_language_asked_for() {
    for (option, call) in [
        ("--calls", "getaddrinfo(\"127.0.0.1\", \"80\", &hints"),
        ("--calls=python", "getaddrinfo(\"127.0.0.1\", \"80\") ->"),
    ] {
        let output = sockwire(&format!("resolve {option} 127.0.0.1 80"));
        assert!(said(&output).contains(call), "{}", said(&output));
    }
}

/// Runs the program with files of its own in place of `/etc/hosts`, `/etc/nsswitch.conf` and `/etc/resolv.conf`.
fn with_files(hosts: &Temporary, words: &str) -> Option<Output> {
    let nsswitch = Temporary::new("nsswitch");
    let resolv = Temporary::new("resolv");
    fs::write(&nsswitch.0, "hosts: files dns\nservices: files\n").unwrap();
    fs::write(
        &resolv.0,
        "nameserver 127.0.0.1\noptions timeout:2 attempts:1\n",
    )
    .unwrap();
    let mut script = String::new();
    for (file, place) in [
        (hosts, "hosts"),
        (&nsswitch, "nsswitch.conf"),
        (&resolv, "resolv.conf"),
    ] {
        script += &format!("mount --bind {} /etc/{place} || exit 99; ", file.path());
    }
    script += &format!("exec {} {words}", env!("CARGO_BIN_EXE_sockwire"));
    let output = Command::new("unshare")
        .args(["-m", "sh", "-c", &script])
        .output();
    match output {
        Ok(output)
            if output.status.code() != Some(99) && !said(&output).starts_with("unshare:") =>
        {
            Some(output)
        }
        _ => {
            skipped("no files can be mounted here");
            None
        }
    }
}

#[test]
fn the_hosts_file_gives_addresses_aliases_and_names() {
    in_own_network(|| {
        let hosts = Temporary::new("hosts");
        let text = "127.0.0.1 localhost\n10.0.0.1 server.lan chat talk\n10.0.0.2 server.lan\n2001:db8::1 server.lan\n";
        fs::write(&hosts.0, text).unwrap();
        let Some(output) = with_files(&hosts, "resolve chat 5000") else {
            return;
        };
        let told = out(&output);
        for wanted in [
            "AF_INET   SOCK_STREAM  6 TCP     server.lan  ('10.0.0.1', 5000)",
            "from: /etc/hosts",
            "AF_INET: server.lan; aliases chat, talk; 10.0.0.1",
            "10.0.0.1: server.lan; aliases chat, talk",
        ] {
            assert!(told.contains(wanted), "{wanted:?} is not in\n{told}");
        }
        let Some(output) = with_files(&hosts, "resolve --json -u server.lan") else {
            return;
        };
        let all = records(&output);
        let of = |record: &str| -> Vec<&Value> {
            all.iter().filter(|one| one["record"] == record).collect()
        };
        let mut addresses: Vec<&str> = of("address")
            .iter()
            .map(|one| one["address"].as_str().unwrap())
            .collect();
        addresses.sort_unstable();
        assert_eq!(addresses, ["10.0.0.1", "10.0.0.2", "2001:db8::1"]);
        assert!(of("address").iter().all(|one| one["type"] == "SOCK_DGRAM"));
        assert_eq!(of("reverse").len(), 3);
        let Some(output) = with_files(&hosts, "resolve -x 2001:db8::1") else {
            return;
        };
        assert!(
            out(&output).contains("2001:db8::1: server.lan"),
            "{}",
            out(&output)
        );
    });
}

/// A name server: `www.lan` is an alias of a host with two addresses, `empty.lan` has none, all else does not exist.
fn name_server(socket: &UdpSocket) {
    let mut query = [0; 512];
    // An empty datagram ends it.
    while let Ok((len, from)) = socket.recv_from(&mut query) {
        if len == 0 {
            return;
        }
        let question = &query[12..len];
        let end = question.iter().position(|byte| *byte == 0).unwrap() + 5;
        let (name, kind) = (&question[1..end - 5], question[end - 3]);
        let host = b"\x04host\x03lan\0";
        let known = name == b"www\x03lan" || name == b"empty\x03lan";
        let mut answers: Vec<Vec<u8>> = Vec::new();
        if name == b"www\x03lan" {
            answers.push([&b"\xc0\x0c\0\x05\0\x01\0\0\0\x3c\0\x0a"[..], host].concat());
            if kind == 1 {
                for last in [1, 2] {
                    answers.push(
                        [
                            &host[..],
                            b"\0\x01\0\x01\0\0\0\x3c\0\x04",
                            &[10, 0, 0, last],
                        ]
                        .concat(),
                    );
                }
            }
        }
        let mut reply = query[..2].to_vec();
        reply.extend([
            0x81,
            if known { 0x80 } else { 0x83 },
            0,
            1,
            0,
            answers.len() as u8,
            0,
            0,
            0,
            0,
        ]);
        reply.extend(&question[..end]);
        reply.extend(answers.concat());
        socket.send_to(&reply, from).unwrap();
    }
}

#[test]
fn an_unknown_name_one_without_addresses_and_silence_are_told_apart() {
    in_own_network(|| {
        let hosts = Temporary::new("no-hosts");
        fs::write(&hosts.0, "127.0.0.1 localhost\n").unwrap();
        let silence = with_files(&hosts, "resolve www.lan");
        let Some(silence) = silence else { return };
        assert_eq!(silence.status.code(), Some(4));
        let told = said(&silence);
        for wanted in [
            "cannot look up www.lan: ",
            "no name server answered",
            "127.0.0.1",
            "loopback",
        ] {
            assert!(told.contains(wanted), "{wanted:?} is not in\n{told}");
        }
        let Ok(socket) = UdpSocket::bind("127.0.0.1:53") else {
            return skipped("port 53 cannot be taken here");
        };
        socket
            .set_read_timeout(Some(Duration::from_secs(5)))
            .unwrap();
        let server = socket.try_clone().unwrap();
        thread::scope(|scope| {
            scope.spawn(move || name_server(&server));
            let ask = |words: &str| with_files(&hosts, words).unwrap();
            let found = ask("resolve www.lan 80");
            assert_eq!(found.status.code(), Some(0), "{}", said(&found));
            for wanted in [
                "host.lan   ('10.0.0.1', 80)",
                "('10.0.0.2', 80)",
                "goes on with dns",
                "AF_INET: host.lan; aliases www.lan; 10.0.0.1, 10.0.0.2",
                "10.0.0.1: no name: ",
            ] {
                assert!(
                    out(&found).contains(wanted),
                    "{wanted:?} is not in\n{}",
                    out(&found)
                );
            }
            let none = ask("resolve nosuch.lan");
            assert_eq!(none.status.code(), Some(4));
            assert!(
                said(&none).contains("check the spelling"),
                "{}",
                said(&none)
            );
            let empty = ask("resolve empty.lan");
            assert_eq!(empty.status.code(), Some(4));
            assert!(said(&empty).contains("has no address"), "{}", said(&empty));
            socket.send_to(&[], "127.0.0.1:53").unwrap();
        });
    });
}

#[test]
fn families_agree_with_python() {
    // SOCK_RDM is 4 and SOCK_SEQPACKET 5: by number, so that nothing is lost where Python has no name.
    let all = records(&sockwire("families --json"));
    assert!(all.len() >= 50, "{}", all.len());
    let asked: Vec<String> = all
        .iter()
        .map(|one| {
            format!(
                "({}, {}, {})",
                one["family_number"], one["type_number"], one["protocol"]
            )
        })
        .collect();
    let Some(wanted) = python(&format!(
        "import socket, json, errno\n\
         def ask(f, t, p):\n  try: socket.socket(f, t, p).close()\n  except OSError as e: return errno.errorcode[e.errno]\n\
         print(json.dumps([ask(*one) for one in [{}]]))",
        asked.join(", ")
    )) else {
        return;
    };
    for (one, wanted) in all.iter().zip(wanted.as_array().unwrap()) {
        assert_eq!(&one["errno"], wanted, "{one}");
        assert_eq!(one["made"], wanted.is_null(), "{one}");
    }
    let table = out(&sockwire("families"));
    assert!(
        table.contains("AF_INET ") && table.lines().all(|line| line.chars().count() <= 80),
        "{table}"
    );
}

#[test]
fn ports_names_who_listens_and_all_who_share() {
    in_own_network(|| {
        let server = TcpListener::bind("127.0.0.1:5000").unwrap();
        let datagram = UdpSocket::bind("[::]:5000").unwrap();
        let _other = UdpSocket::bind("127.0.0.1:4000").unwrap();
        let told = out(&sockwire("ports 5000"));
        let own = std::process::id();
        for wanted in [
            "a user port (1024-49151)".to_owned(),
            "commplex-main".to_owned(),
            "tcp  127.0.0.1:5000       this machine only".to_owned(),
            "udp  [::]:5000            all IPv6 and IPv4".to_owned(),
            format!("[{own}]"),
        ] {
            assert!(told.contains(&wanted), "{wanted:?} is not in\n{told}");
        }
        assert!(!told.contains(":4000"), "{told}");
        let all = records(&sockwire("ports --json"));
        let listeners = all.iter().filter(|one| one["record"] == "listener");
        let mut places: Vec<String> = listeners
            .map(|one| format!("{} {}", one["protocol"], one["port"]))
            .collect();
        places.sort_unstable();
        assert_eq!(places, ["\"tcp\" 5000", "\"udp\" 4000", "\"udp\" 5000"]);
        drop((server, datagram));
        assert!(out(&sockwire("ports commplex-main")).contains("nobody"));
    });
}

#[test]
fn ports_reads_the_kernel_s_own_ranges_live() {
    in_own_network(|| {
        let at = "/proc/sys/net/ipv4/ip_local_port_range";
        if fs::write(at, "40000 40100").is_err() {
            return skipped("the kernel's port range cannot be set here");
        }
        fs::write(
            "/proc/sys/net/ipv4/ip_local_reserved_ports",
            "40005,40050-40060",
        )
        .unwrap();
        let told = out(&sockwire("ports"));
        assert!(told.contains("gives 40000-40100"), "{told}");
        assert!(told.contains("none of 40005, 40050-40060"), "{told}");
        assert!(out(&sockwire("ports 40001")).contains("may give it"));
        assert!(!out(&sockwire("ports 40055")).contains("may give it"));
    });
}
