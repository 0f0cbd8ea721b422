//! `replay`: ordinary sockets get recorded packets at new addresses, frames leave as they should, and nothing is sent in vain.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod lan;

use std::{
    io::Write as _,
    net::UdpSocket,
    process::{Command, Stdio},
    time::Duration,
};

use lan::{captured, crafted, in_own_network, pair, said, sockwire, testing};
use sockwire::{link::LinkType, sys::port::Port};

const ETH: &str = "eth dst=02:00:00:00:00:aa src=02:00:00:00:00:bb";

fn datagram(number: u32) -> String {
    format!("{ETH} / ip src=10.0.0.1 dst=10.0.0.2 / udp sport=4000 dport=53 / text=ask{number}")
}

/// A recorded exchange of three datagrams.
fn exchange(name: &str) -> lan::Temporary {
    let specs: Vec<String> = (1..=3).map(datagram).collect();
    let specs: Vec<&str> = specs.iter().map(String::as_str).collect();
    captured(name, LinkType::ETHERNET, &specs)
}

/// What waits at a port, each within a second.
fn received(socket: &UdpSocket, count: usize) -> Vec<(String, u16)> {
    socket
        .set_read_timeout(Some(Duration::from_secs(1)))
        .unwrap();
    let mut buffer = [0; 2048];
    (0..count)
        .map_while(|_| {
            let (len, from) = socket.recv_from(&mut buffer).ok()?;
            Some((
                String::from_utf8_lossy(&buffer[..len]).into_owned(),
                from.port(),
            ))
        })
        .collect()
}

#[test]
fn an_ordinary_socket_gets_recorded_datagrams_at_its_own_address() {
    in_own_network(|| {
        let file = exchange("socket.pcapng");
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let port = socket.local_addr().unwrap().port();
        let output = sockwire(&format!(
            "replay {} --map addr:10.0.0.2=127.0.0.1,10.0.0.1=127.0.0.1 --map udp.dport:53={port} --rate max",
            file.path()
        ));
        let said = said(&output);
        assert_eq!(output.status.code(), Some(0), "{said}");
        // A wrong checksum would have been dropped.
        let expected = [1, 2, 3].map(|n| (format!("ask{n}"), 4000));
        assert_eq!(received(&socket, 3), expected);
        assert!(
            said.contains("3 packets = 3 ready") && said.contains("3 of 3 sent"),
            "{said}"
        );
    });
}

#[test]
fn frames_leave_on_the_interface_with_new_macs_tag_and_ttl() {
    in_own_network(|| {
        pair();
        let index = nix::net::if_::if_nametoindex("vb").unwrap();
        let port = Port::open(index).unwrap();
        let (file, record) = (
            exchange("frames.pcapng"),
            lan::Temporary::new("record.pcapng"),
        );
        let output = sockwire(&format!(
            "replay {} -i va --map mac:02:00:00:00:00:aa=02:00:00:00:00:02 --vlan 7 --set ttl=3 --speed 2 --loop 2 -c 5 -w {}",
            file.path(),
            record.path()
        ));
        let told = said(&output);
        assert_eq!(output.status.code(), Some(0), "{told}");
        assert!(told.contains("5 of 5 sent"), "{told}");
        let mut buffer = [0; 2048];
        for number in [1, 2, 3, 1, 2] {
            let (len, _) = port.receive(&mut buffer).unwrap().expect("a frame");
            let mut expected = crafted(
                &datagram(number)
                    .replace("00:aa", "00:02")
                    .replace(" / udp", " ttl=3 / udp"),
            );
            // The kernel takes the tag off and gives it beside the frame; where it leaves it in, it is at its place.
            if buffer[12..14] == [0x81, 0] {
                expected.splice(12..12, [0x81, 0, 0, 7]);
            }
            assert_eq!(buffer[..len], expected);
        }
        assert!(port.receive(&mut buffer).unwrap().is_none());
        let lines = sockwire(&format!(
            "read {} -Y vlan.id==7&&udp.checksum.status==1",
            record.path()
        ));
        assert_eq!(String::from_utf8_lossy(&lines.stdout).lines().count(), 5);
        // Two rounds of three at twice the speed: 20 ms from the first to the fifth.
        let number = |behind: &str| -> Option<f64> {
            let number = told.split_once(behind)?.1.split(' ').next()?;
            Some(number.parse().unwrap())
        };
        let took = number(" bytes in ").unwrap();
        // A busy machine is late, and says so, in ms.
        let late = number("; the latest left ").unwrap_or_default() / 1000.0;
        assert!(took >= 0.020 && took - late < 0.5, "{told}");
    });
}

#[test]
fn nobody_floods_strangers_or_speaks_in_their_name_by_accident() {
    in_own_network(|| {
        pair();
        assert!(lan::ip("route add default via 10.9.0.2"));
        let file = exchange("strangers.pcapng");
        let run = |words: &str| sockwire(&format!("replay {} {words}", file.path()));
        // 10.0.0.1 is no address of this host, and 10.0.0.2 is behind a router.
        for words in [
            "",
            "--map ip.dst:10.0.0.2=8.8.8.8",
            "--map ip.src:10.0.0.1=10.9.0.1 --rate max",
        ] {
            let output = run(words);
            let said = said(&output);
            assert_eq!(output.status.code(), Some(2), "{words}: {said}");
            assert!(said.contains("--yes-really"), "{words}: {said}");
        }
        assert_eq!(run("--yes-really --rate max").status.code(), Some(0));
        let many = run("--loop 5000 --rate max --yes-really");
        assert_eq!(many.status.code(), Some(2));
        assert!(
            said(&many).contains("-c 15000 sends them"),
            "{}",
            said(&many)
        );
        // A recording can be a flood, too; and frames for where no route leads are nobody's.
        for words in [
            "--map ip.src:10.0.0.1=10.9.0.1 --loop 5000 -c 15000 --speed 1e9",
            "-i va --map ip.dst:10.0.0.2=8.8.8.8",
        ] {
            let refused = run(words);
            assert_eq!(refused.status.code(), Some(2), "{words}");
            assert!(said(&refused).contains("--yes-really"), "{words}");
        }
    });
}

#[test]
fn what_cannot_be_sent_is_counted_with_its_reason() {
    in_own_network(|| {
        pair();
        let whole = crafted(&datagram(1));
        let super_segment = crafted(&format!(
            "{ETH} / ip src=10.0.0.1 dst=10.0.0.2 / tcp sport=1 dport=2 / zeros=4000"
        ));
        let packets = [
            (whole.clone(), whole.len() as u32),
            (whole[..40].to_vec(), whole.len() as u32),
            (super_segment.clone(), super_segment.len() as u32),
        ];
        let file = lan::capture("reasons.pcapng", LinkType::ETHERNET, &packets);
        let run = |words: &str| {
            let output = sockwire(&format!("replay {} -i va {words}", file.path()));
            assert_eq!(output.status.code(), Some(0), "{}", said(&output));
            said(&output)
        };
        let told = run("");
        assert!(
            told.contains("3 packets = 1 ready + 1 left out: cut by the snapshot length"),
            "{told}"
        );
        assert!(
            told.contains("1 left out: longer than 1500 bytes"),
            "{told}"
        );
        assert!(run("--fill zeros").contains("3 packets = 2 ready"));
        // 4,040 bytes behind the IP header in pieces of 1,480.
        assert!(run("tcp --mtu 1500").contains("3 of 3 sent"));
        assert!(lan::ip("link set va mtu 9000") && lan::ip("link set vb mtu 9000"));
        let told = run("tcp");
        assert!(
            told.contains("= 1 ready + 2 filtered") && told.contains("TCP connections"),
            "{told}"
        );
    });
}

#[test]
fn a_dry_run_needs_no_right_and_writes_what_would_be_sent() {
    let (file, new) = (exchange("dry.pcapng"), lan::Temporary::new("new.pcap"));
    let words = format!(
        "replay {} --dry-run --map port:53=5353 -Y udp -c 2",
        file.path()
    );
    let printed = sockwire(&words);
    let lines = String::from_utf8(printed.stdout.clone()).unwrap();
    assert_eq!(lines.lines().count(), 2, "{lines}");
    assert!(lines.contains("10.0.0.2:5353"), "{lines}");
    let written = sockwire(&format!("{words} -w {}", new.path()));
    assert_eq!(written.status.code(), Some(0), "{}", said(&written));
    let read = sockwire(&format!(
        "read {} -Y udp.checksum.status==1&&udp.dstport==5353",
        new.path()
    ));
    assert_eq!(String::from_utf8_lossy(&read.stdout).lines().count(), 2);
    // A second reader agrees.
    match Command::new("tshark")
        .args([
            "-o",
            "udp.check_checksum:TRUE",
            "-r",
            new.path(),
            "-T",
            "fields",
            "-e",
            "udp.checksum.status",
        ])
        .output()
    {
        Ok(output) => assert_eq!(String::from_utf8_lossy(&output.stdout), "1\n1\n"),
        Err(_) => testing::skipped("no tshark here"),
    }
}

#[test]
fn wrong_words_files_and_rights_have_their_exit_codes() {
    let file = exchange("wrong.pcapng");
    let code = |words: &str| sockwire(&words.replace("FILE", file.path())).status.code();
    for (words, expected) in [
        ("replay", 2),
        ("replay FILE --map ip.dst=1", 2),
        ("replay FILE --set ip.ttl=256", 2),
        ("replay FILE --speed 0", 2),
        ("replay FILE --speed 2 --rate 5", 2),
        ("replay FILE --vlan 5000", 2),
        ("replay FILE --dry-run udp and", 2),
        ("replay FILE --dry-run tcp", 1),
        ("replay /nowhere/at.all --dry-run", 4),
        ("replay Cargo.toml --dry-run", 5),
        ("replay FILE -i nowhere0", 4),
    ] {
        assert_eq!(code(words), Some(expected), "{words}");
    }
    let empty = lan::Temporary::new("empty.pcap");
    let header = "d4c3b2a1020004000000000000000000ffff000001000000";
    std::fs::write(&empty.0, hex::decode(header).unwrap()).unwrap();
    let output = sockwire(&format!("replay {} --dry-run", empty.path()));
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    assert!(said(&output).contains("no packets"), "{}", said(&output));
}

#[test]
fn a_pipe_is_read_as_a_file_is() {
    let file = exchange("pipe.pcapng");
    let mut child = Command::new(env!("CARGO_BIN_EXE_sockwire"))
        .args(["replay", "-", "--dry-run", "-c", "1"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let bytes = std::fs::read(&file.0).unwrap();
    child.stdin.take().unwrap().write_all(&bytes).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(String::from_utf8_lossy(&output.stdout).lines().count(), 1);
}

#[test]
fn without_the_right_to_send_the_ways_out_are_named() {
    if !nix::unistd::geteuid().is_root() {
        return testing::skipped("dropping rights needs root");
    }
    in_own_network(|| {
        pair();
        let file = exchange("rights.pcapng");
        let output = Command::new("setpriv")
            .args([
                "--bounding-set=-all",
                "--inh-caps=-all",
                env!("CARGO_BIN_EXE_sockwire"),
            ])
            .args(["replay", file.path(), "-i", "va"])
            .output();
        let Ok(output) = output else {
            return testing::skipped("no setpriv command here");
        };
        assert_eq!(output.status.code(), Some(3), "{}", said(&output));
        assert!(said(&output).contains("CAP_NET_RAW"), "{}", said(&output));
    });
}
