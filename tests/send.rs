//! `sockwire send` in private networks: what arrives is what was asked for, and what was not asked for is refused.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod lan;

use std::{
    net::UdpSocket,
    process::{Command, Output},
    time::Duration,
};

use lan::{in_own_network, ip, said, testing};
use sockwire::sys::port::Port;

const PROGRAM: &str = env!("CARGO_BIN_EXE_sockwire");

/// Two connected interfaces; returns a port that hears what arrives at the second.
fn pair() -> Port {
    lan::pair();
    Port::open(nix::net::if_::if_nametoindex("vb").unwrap()).unwrap()
}

/// The frames of IPv4 that have arrived.
fn arrived(port: &Port) -> Vec<Vec<u8>> {
    let mut buffer = [0; 65_536];
    let mut frames = Vec::new();
    while let Some((len, _)) = port.receive(&mut buffer).unwrap() {
        if buffer[12..14] == [8, 0] {
            frames.push(buffer[..len].to_vec());
        }
    }
    frames
}

fn send(words: &str) -> Output {
    let mut command = Command::new(PROGRAM);
    command.arg("send").args(words.split(' ')).output().unwrap()
}

fn half(bytes: &[u8], at: usize) -> u16 {
    u16::from_be_bytes([bytes[at], bytes[at + 1]])
}

#[test]
fn wrong_values_arrive_wrong_at_both_layers() {
    in_own_network(|| {
        let port = pair();
        let right = send("ip dst=10.9.0.2 / udp sport=4000 dport=5000 / text=hello");
        assert_eq!(right.status.code(), Some(0), "{right:?}");
        assert!(said(&right).contains("raw IPv4 socket"), "{right:?}");
        let wrong = send(
            "ip dst=10.9.0.2 chksum=0xdead / udp sport=4000 dport=5000 chksum=0xbeef / text=hello",
        );
        assert!(
            said(&wrong)
                .contains("packet socket on va: a raw IP socket would correct its header checksum")
        );
        assert_eq!(
            send("ip dst=10.9.0.2 len=999 / udp dport=5000")
                .status
                .code(),
            Some(0)
        );
        let frames = arrived(&port);
        assert_eq!(frames.len(), 3);
        // The link header is the route's: next hop, own address.
        let link = [2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0];
        assert!(frames.iter().all(|frame| frame[..14] == link));
        assert_eq!(&frames[0][42..], b"hello");
        assert_eq!(
            (half(&frames[1], 24), half(&frames[1], 40)),
            (0xdead, 0xbeef)
        );
        assert_eq!(half(&frames[2], 16), 999);
    });
}

#[test]
fn with_v_each_value_has_its_origin() {
    in_own_network(|| {
        let sent = send("-v ip dst=127.0.0.1 / udp dport=9 chksum=0xdead / text=hello");
        let out = String::from_utf8(sent.stdout).unwrap();
        for (field, origin) in [
            ("ip.ttl: 64", "usual"),
            ("ip.src: 127.0.0.1", "computed"),
            ("udp.dstport: 9", "given"),
            ("udp.checksum: 0xdead", "is right"),
        ] {
            let mut lines = out.lines();
            let line = lines.find(|line| line.trim_start().starts_with(field));
            assert!(
                line.is_some_and(|line| line.ends_with(origin)),
                "{field}: {out}"
            );
        }
    });
}

#[test]
fn a_dry_run_shows_the_fragments() {
    let words = "--dry-run --mtu 576 ip dst=10.0.0.2 / udp dport=9 / zeros=1192";
    let shown = send(words);
    let out = String::from_utf8(shown.stdout).unwrap();
    assert_eq!(
        (shown.status.code(), out.lines().count()),
        (Some(0), 3),
        "{out}"
    );
    assert!(out.contains("offset=1104 len=96"), "{out}");
    let not = send(&words.replace("ip dst", "ip flags=DF dst"));
    assert_eq!(not.status.code(), Some(2), "{not:?}");
}

#[test]
fn a_datagram_reaches_an_ordinary_socket() {
    in_own_network(|| {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket
            .set_read_timeout(Some(Duration::from_secs(5)))
            .unwrap();
        let port = socket.local_addr().unwrap().port();
        send(&format!(
            "ip dst=127.0.0.1 / udp sport=4000 dport={port} / text=hello"
        ));
        let mut buffer = [0; 64];
        let (len, from) = socket.recv_from(&mut buffer).unwrap();
        assert_eq!(
            (&buffer[..len], from),
            (&b"hello"[..], "127.0.0.1:4000".parse().unwrap())
        );
        let socket = UdpSocket::bind("[::1]:0").unwrap();
        socket
            .set_read_timeout(Some(Duration::from_secs(5)))
            .unwrap();
        let port = socket.local_addr().unwrap().port();
        send(&format!(
            "ip6 dst=::1 / udp sport=4000 dport={port} / text=hello"
        ));
        let (len, from) = socket.recv_from(&mut buffer).unwrap();
        assert_eq!(
            (&buffer[..len], from),
            (&b"hello"[..], "[::1]:4000".parse().unwrap())
        );
    });
}

#[test]
fn the_kernel_puts_fragments_together() {
    in_own_network(|| {
        for (listen, to) in [
            ("127.0.0.1:0", "ip dst=127.0.0.1"),
            ("[::1]:0", "ip6 dst=::1"),
        ] {
            let socket = UdpSocket::bind(listen).unwrap();
            socket
                .set_read_timeout(Some(Duration::from_secs(5)))
                .unwrap();
            let port = socket.local_addr().unwrap().port();
            let sent = send(&format!("--mtu 576 {to} / udp dport={port} / zeros=3000"));
            assert!(said(&sent).starts_with("6 sent"), "{sent:?}");
            let mut buffer = [1; 4096];
            let len = socket.recv(&mut buffer).unwrap();
            assert_eq!(buffer[..len], [0; 3000]);
        }
    });
}

#[test]
fn the_counters_say_what_left() {
    in_own_network(|| {
        let port = pair();
        let sent =
            send("-c 3 --rate 1000 --json ip dst=10.9.0.2 / udp dport=5000..5009 / text=hello");
        let told: serde_json::Value = serde_json::from_slice(&sent.stdout).unwrap();
        assert_eq!(
            (&told["packets"], &told["bytes"]),
            (&30.into(), &990.into())
        );
        assert_eq!(
            (&told["errors"], &told["stopped"]),
            (&0.into(), &false.into())
        );
        let ports: Vec<u16> = arrived(&port).iter().map(|frame| half(frame, 36)).collect();
        let expected: Vec<u16> = (0..3).flat_map(|_| 5000..5010).collect();
        assert_eq!(ports, expected);
        let long = send("ip dst=10.9.0.2 / udp dport=9 / zeros=3000");
        assert_eq!(long.status.code(), Some(2));
        assert!(said(&long).contains("--mtu 1500"), "{long:?}");
    });
}

/// An IPv4 header from 10.9.0.7 to 203.0.114.1.
const SPOOFED: &str = "4500001400010000401100000a090007cb007201";

#[test]
fn what_was_not_asked_for_is_refused_with_the_flag_that_lifts_it() {
    in_own_network(|| {
        let port = pair();
        assert!(ip("route add default via 10.9.0.2"));
        for (words, flag) in [
            ("ip dst=10.9.0.2 / udp dport=1..20000", "-c 1"),
            (
                "ip src=10.9.0.7 dst=203.0.114.1 / udp dport=9",
                "--yes-really",
            ),
            (
                "--rate max ip dst=203.0.114.1 / udp dport=9",
                "--yes-really",
            ),
            ("ip dst=239.1.1.1 / udp dport=9", "--yes-really"),
            // A number that is as good as max.
            (
                "--rate 1000000 ip dst=203.0.114.1 / udp dport=9",
                "--yes-really",
            ),
            // The same packet in bytes, in a frame, in tunnels, by way of other hosts.
            (&format!("link=RAW / hex={SPOOFED}"), "--yes-really"),
            (
                &format!("-i va eth dst=02:00:00:00:00:02 type=0x0800 / hex={SPOOFED}"),
                "--yes-really",
            ),
            (
                &format!("ip dst=10.9.0.2 proto=4 / hex={SPOOFED}"),
                "--yes-really",
            ),
            (
                "ip dst=10.9.0.2 / gre / ip src=10.9.0.7 dst=203.0.114.1 / udp",
                "--yes-really",
            ),
            (
                "ip src=10.9.0.7 dst=203.0.114.1 lsrr=10.9.0.2 / udp",
                "--yes-really",
            ),
            (
                "ip src=10.9.0.7 dst=10.9.0.2 lsrr=203.0.114.1 / udp",
                "--yes-really",
            ),
            (
                "ip version=7 src=10.9.0.7 dst=203.0.114.1 / udp",
                "--yes-really",
            ),
            ("ip dst=127.0.0.1 chksum=1 / udp dport=9", "--via raw"),
        ] {
            let refused = send(words);
            assert_eq!(refused.status.code(), Some(2), "{words}: {refused:?}");
            assert!(said(&refused).contains(flag), "{words}: {refused:?}");
        }
        assert_eq!(arrived(&port).len(), 0);
        let lifted = send("--yes-really ip src=10.9.0.7 dst=203.0.114.1 / udp dport=9");
        assert_eq!(lifted.status.code(), Some(0));
        assert_eq!(arrived(&port).len(), 1);
        assert_eq!(
            send("ip dst=10.9.0.77 id=0 / udp dport=9").status.code(),
            Some(4)
        );
        // A network with addresses of the Internet is not this host's own.
        assert!(ip("address add 203.0.114.9/24 dev va") && ip("address del 10.9.0.1/24 dev va"));
        let arp = "-i va eth dst=ff:ff:ff:ff:ff:ff / arp pdst=203.0.114.1";
        assert_eq!(send(arp).status.code(), Some(0));
        for words in [
            "-i va eth dst=ff:ff:ff:ff:ff:ff type=0x88b5 / hex=00",
            "-i va --rate max eth dst=02:00:00:00:00:02 type=0x88b5 / hex=00",
            &format!("{arp} op=2 psrc=203.0.114.7"),
        ] {
            let refused = send(words);
            assert_eq!(refused.status.code(), Some(2), "{words}: {refused:?}");
            assert!(
                said(&refused).contains("--yes-really"),
                "{words}: {refused:?}"
            );
        }
        let _ = ip("route del default");
        assert_eq!(
            send("ip dst=203.0.115.1 / udp dport=9").status.code(),
            Some(4)
        );
    });
}

#[test]
fn without_rights_the_missing_one_is_named() {
    let words = [
        "-u",
        "nobody",
        "--",
        PROGRAM,
        "send",
        "ip",
        "dst=127.0.0.1",
        "/",
        "udp",
    ];
    let Ok(refused) = Command::new("runuser").args(words).output() else {
        return testing::skipped("no runuser command here");
    };
    if refused.status.code() != Some(3) && !said(&refused).contains("sockwire") {
        return testing::skipped(said(&refused).trim().to_owned());
    }
    assert_eq!(refused.status.code(), Some(3), "{refused:?}");
    assert!(said(&refused).contains("CAP_NET_RAW"), "{refused:?}");
}
