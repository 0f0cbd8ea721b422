//! `sockwire send` in private networks: what arrives is what was asked for, and what was not asked for is refused.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod lan;

use std::{
    fs,
    io::Read as _,
    net::UdpSocket,
    os::fd::AsFd as _,
    process::{Child, Command, Output, Stdio},
    time::Duration,
};

use lan::{in_own_network, ip, said, testing};
use nix::{
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use sockwire::sys::port::Port;

const PROGRAM: &str = env!("CARGO_BIN_EXE_sockwire");

/// Two connected interfaces; returns a port that hears what arrives at the second.
fn pair() -> Port {
    lan::pair();
    Port::open(nix::net::if_::if_nametoindex("vb").unwrap()).unwrap()
}

/// The frames of IPv4 that have arrived.
fn arrived(port: &Port) -> Vec<Vec<u8>> {
    arrived_as(port, [8, 0])
}

/// The frames of this EtherType that have arrived; others are gone.
fn arrived_as(port: &Port, ethertype: [u8; 2]) -> Vec<Vec<u8>> {
    let mut frames = all_arrived(port);
    frames.retain(|frame| frame[12..14] == ethertype);
    frames
}

fn all_arrived(port: &Port) -> Vec<Vec<u8>> {
    let mut buffer = [0; 65_536];
    let mut frames = Vec::new();
    while let Some((len, _)) = port.receive(&mut buffer).unwrap() {
        frames.push(buffer[..len].to_vec());
    }
    frames
}

/// Starts `sockwire send`.
fn start(words: &str) -> Child {
    let mut command = Command::new(PROGRAM);
    command.arg("send").args(words.split(' '));
    command.stdout(Stdio::null()).stderr(Stdio::piped());
    command.spawn().unwrap()
}

/// Waits until a frame arrives.
fn wait_for(port: &Port) {
    let mut heard = [PollFd::new(port.as_fd(), PollFlags::POLLIN)];
    assert_eq!(poll(&mut heard, PollTimeout::from(10_000_u16)), Ok(1));
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
fn the_highest_rate_changes_no_frame_and_loses_none() {
    in_own_network(|| {
        let port = pair();
        let words = "--rate max --json -i va eth dst=02:00:00:00:00:02 / ip dst=10.9.0.2 / \
                     udp sport=1..40 dport=5000..5004 / text=hello";
        let sent = send(words);
        let told: serde_json::Value = serde_json::from_slice(&sent.stdout).unwrap();
        assert_eq!(
            (&told["packets"], &told["errors"]),
            (&200.into(), &0.into())
        );
        let frames = arrived(&port);
        assert_eq!(frames.len(), 200);
        for (n, frame) in frames.iter().enumerate() {
            let n = n as u16;
            assert_eq!(
                (half(frame, 34), half(frame, 36)),
                (1 + n / 5, 5000 + n % 5)
            );
            let pseudo = sum(&frame[26..]) + 17 + u32::from(half(frame, 38));
            assert_eq!(
                (pseudo % 0xffff, &frame[42..]),
                (0, &b"hello"[..]),
                "{frame:02x?}"
            );
        }
        // Longest, too long, too short: the kernel's answer is the same as at any other rate.
        let eth = "--rate max -c 3 -i va eth dst=02:00:00:00:00:02 type=0x88b5 / zeros=";
        assert_eq!(send(&format!("{eth}1500")).status.code(), Some(0));
        assert_eq!(arrived_as(&port, [0x88, 0xb5]).len(), 3);
        let long = send(&format!("{eth}1501"));
        assert!(said(&long).contains("0 sent"), "{long:?}");
        assert_eq!(arrived_as(&port, [0x88, 0xb5]).len(), 0);
        assert!(ip("link set va down"));
        let down = send(&format!("{eth}100"));
        assert!(said(&down).contains("ip link set va up"), "{down:?}");
        if !said(&sent).contains("AF_XDP") {
            testing::skipped(format_args!("no AF_XDP here: {}", said(&sent).trim()));
        }
    });
}

#[test]
fn a_second_sender_at_the_highest_rate_has_the_packet_socket() {
    in_own_network(|| {
        let port = pair();
        let words =
            "--rate max -c 1000000000 -i va eth dst=02:00:00:00:00:02 type=0x88b6 / zeros=50";
        let mut first = start(words);
        wait_for(&port);
        let second =
            send("--rate max -c 10 -i va eth dst=02:00:00:00:00:02 type=0x88b5 / zeros=50");
        kill(Pid::from_raw(first.id() as i32), Signal::SIGINT).unwrap();
        let mut told = String::new();
        let mut stderr = first.stderr.take().unwrap();
        stderr.read_to_string(&mut told).unwrap();
        assert_eq!(first.wait().unwrap().code(), Some(0));
        let counters = said(&second);
        assert!(
            counters.starts_with("10 sent") && counters.contains("packet socket on va"),
            "{counters}"
        );
        if !told.contains("AF_XDP") {
            testing::skipped(format_args!("no AF_XDP here: {}", told.trim()));
        }
    });
}

/// The sum of 16-bit words, with a last byte on the left.
fn sum(bytes: &[u8]) -> u32 {
    let words = bytes.chunks(2);
    words
        .map(|word| u32::from(word[0]) << 8 | u32::from(*word.get(1).unwrap_or(&0)))
        .sum()
}

#[test]
fn ctrl_c_ends_with_the_counters() {
    in_own_network(|| {
        let port = pair();
        for speed in ["--rate 50", "--rate max"] {
            let words = format!(
                "{speed} -c 1000000000 -i va eth dst=02:00:00:00:00:02 / ip dst=10.9.0.2 / udp dport=9"
            );
            let child = start(&words);
            wait_for(&port);
            kill(Pid::from_raw(child.id() as i32), Signal::SIGINT).unwrap();
            let ended = child.wait_with_output().unwrap();
            assert_eq!(ended.status.code(), Some(0), "{ended:?}");
            let told = said(&ended);
            let sent: usize = told.split(' ').next().unwrap().parse().unwrap();
            assert!(
                told.contains(" sent, ") && told.contains(" 0 errors"),
                "{told}"
            );
            let frames = arrived(&port).len();
            // At the highest rate more arrive than the port keeps.
            assert!(
                frames == sent || speed.ends_with("max") && frames < sent,
                "{frames}: {told}"
            );
        }
    });
}

#[test]
fn the_recording_holds_what_left() {
    in_own_network(|| {
        let port = pair();
        let folder = tempfile();
        for rate in ["1000", "max"] {
            let path = folder.join(format!("{rate}.pcap"));
            let words = format!(
                "--rate {rate} -c 2 -i va -w {} eth dst=02:00:00:00:00:02 / ip dst=10.9.0.2 / udp dport=1..50 / text=hi",
                path.display()
            );
            assert_eq!(send(&words).status.code(), Some(0));
            let file = fs::read(&path).unwrap();
            let mut rest = &file[24..];
            let mut recorded = Vec::new();
            while let Some((head, after)) = rest.split_at_checked(16) {
                let len = u32::from_le_bytes(head[8..12].try_into().unwrap()) as usize;
                let (frame, after) = after.split_at(len);
                recorded.push(frame.to_vec());
                rest = after;
            }
            assert_eq!(recorded.len(), 100);
            assert_eq!(recorded, arrived(&port));
        }
        fs::remove_dir_all(folder).unwrap();
    });
}

/// An empty folder of this test's own.
fn tempfile() -> std::path::PathBuf {
    let folder = std::env::temp_dir().join(format!("sockwire-send-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    folder
}

#[test]
fn a_full_queue_is_waited_for_without_a_packet_lost() {
    in_own_network(|| {
        let port = pair();
        assert!(ip("-6 addr add fd00::1/64 dev va nodad"));
        assert!(ip("-6 neigh add fd00::2 lladdr 02:00:00:00:00:02 dev va"));
        let shaped = "qdisc add dev va root tbf rate 400kbit burst 1600 limit 2500";
        let tc = Command::new("tc").args(shaped.split(' ')).status();
        if !tc.is_ok_and(|status| status.success()) {
            return testing::skipped("the tc command or its token bucket does not work here");
        }
        for frame in [
            "-i va eth dst=02:00:00:00:00:02 / ip dst=10.9.0.2 / udp dport=9 / zeros=958",
            "ip dst=10.9.0.2 / udp dport=9 / zeros=972",
            "ip6 dst=fd00::2 / udp dport=9 / zeros=952",
        ] {
            // A second's worth, all at once.
            let mut child = start(&format!("--rate 100000 -c 50 {frame}"));
            let mut told = String::new();
            let mut stderr = child.stderr.take().unwrap();
            stderr.read_to_string(&mut told).unwrap();
            let stat = fs::read_to_string(format!("/proc/{}/stat", child.id())).unwrap();
            assert_eq!(child.wait().unwrap().code(), Some(0));
            assert!(
                told.starts_with("50 sent") && told.contains(" 0 errors"),
                "{told}"
            );
            // Hundredths of a second on a processor, as user and as kernel.
            let words = stat.rsplit(") ").next().unwrap().split(' ');
            let used: u32 = words
                .skip(11)
                .take(2)
                .map(|n| n.parse::<u32>().unwrap())
                .sum();
            assert!(used <= 15, "{used}: {told}");
            // The queue still has two packets.
            let mut frames = 0;
            while frames < 50 {
                wait_for(&port);
                let heard = all_arrived(&port);
                frames += heard.iter().filter(|frame| frame.len() > 900).count();
            }
            assert_eq!(frames, 50);
        }
    });
}

#[test]
fn ipv6_leaves_by_the_route_and_as_frames() {
    in_own_network(|| {
        let port = pair();
        assert!(ip("-6 addr add fd00::1/64 dev va nodad"));
        assert!(ip("-6 neigh add fd00::2 lladdr 02:00:00:00:00:02 dev va"));
        for words in [
            "ip6 dst=fd00::2 / udp sport=4000 dport=5000 / text=hello",
            "--via packet ip6 dst=fd00::2 / udp sport=4000 dport=5000 / text=hello",
            "-i va eth / ip6 dst=fd00::2 / udp sport=4000 dport=5000 / text=hello",
        ] {
            let sent = send(words);
            assert_eq!(sent.status.code(), Some(0), "{words}: {sent:?}");
            let mut frames = arrived_as(&port, [0x86, 0xdd]);
            // The kernel's own ICMPv6 arrives, too.
            frames.retain(|frame| frame[20] == 17);
            let [frame] = &frames[..] else {
                panic!("{words}: {frames:02x?}");
            };
            assert_eq!(frame[..12], [2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1], "{words}");
            assert_eq!((half(frame, 18), &frame[62..]), (13, &b"hello"[..]));
            let pseudo = sum(&frame[22..]) + 17 + 13;
            assert_eq!(pseudo % 0xffff, 0, "{words}: {frame:02x?}");
        }
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
