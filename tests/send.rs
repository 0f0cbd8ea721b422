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
        assert!(ip("route del default"));
        assert_eq!(
            send("ip dst=203.0.114.1 / udp dport=9").status.code(),
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
