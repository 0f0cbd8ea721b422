//! Live capture, each test in a network namespace that it makes for itself: what was sent is what is seen, and the counters add up.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::{
    ffi::OsStr,
    net::UdpSocket,
    os::unix::ffi::OsStrExt,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use nix::{
    sched::{CloneFlags, unshare},
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use sockwire::{
    capture::{self, CaptureError, Live, Options, Via, Ways},
    frame::{Counters, Direction, InterfaceState, KernelChecksum, Source, SourceErrorKind, Step},
    link::LinkType,
    time::{SECOND, Time},
};

/// Runs `test` in a thread with a network namespace of its own, in which loopback is up.
fn in_own_network(test: impl FnOnce() + Send) {
    thread::scope(|scope| {
        scope.spawn(|| match unshare(CloneFlags::CLONE_NEWNET) {
            Err(errno) => eprintln!(
                "skipped: no network namespace: {errno} (as root, or under unshare -rn, this test runs)"
            ),
            Ok(()) if !ip("link set lo up") => eprintln!("skipped: the ip command does not work here"),
            Ok(()) => test(),
        });
    });
}

fn ip(words: &str) -> bool {
    let done = Command::new("ip").args(words.split(' ')).status();
    done.is_ok_and(|status| status.success())
}

/// A pair of connected interfaces, `va` (10.9.0.1) and `vb`, that know each other's hardware address.
fn pair() {
    assert!(ip(
        "link add va address 02:00:00:00:00:01 type veth peer name vb address 02:00:00:00:00:02"
    ));
    // No neighbour discovery: only what the test sends.
    assert!(ip("link set va addrgenmode none") && ip("link set vb addrgenmode none"));
    assert!(ip("addr add 10.9.0.1/24 dev va"));
    assert!(ip("link set va up") && ip("link set vb up"));
    assert!(ip("neigh add 10.9.0.2 lladdr 02:00:00:00:00:02 dev va"));
}

fn on(interfaces: &[&str]) -> Options {
    Options {
        interfaces: interfaces.iter().map(|&name| name.to_owned()).collect(),
        buffer: 4 << 20,
        ..Options::default()
    }
}

/// The name of an interface need not be text.
#[test]
fn an_interface_with_a_strange_name_is_not_taken_for_gone() {
    in_own_network(|| {
        let strange = OsStr::from_bytes(b"a\xff\xfe");
        let words = ["link", "add", "type", "veth", "peer", "name"].map(OsStr::new);
        let made = Command::new("ip").args(words).arg(strange).status();
        assert!(made.is_ok_and(|status| status.success()));
        let mut live = capture::open(&on(&["any"])).unwrap();
        let step = live.next(now()).unwrap();
        assert!(!matches!(step, Step::Link(_)));
        live.stop();
    });
}

/// Sends `count` datagrams that hold their number, to a port where somebody listens.
fn send(count: u32) {
    let receiver = UdpSocket::bind("127.0.0.1:0").unwrap();
    let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
    sender.connect(receiver.local_addr().unwrap()).unwrap();
    for number in 0..count {
        sender.send(&number.to_be_bytes()).unwrap();
    }
}

fn now() -> Time {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    Time::from_nanos(since.as_nanos() as i64)
}

/// A frame that was seen, kept.
struct Seen {
    time: Time,
    link: LinkType,
    interface: Option<String>,
    direction: Direction,
    checksum: KernelChecksum,
    wire_len: u32,
    bytes: Vec<u8>,
}

/// Stops the capture at once and takes everything that it still has to say.
fn drain(live: &mut Live) -> (Vec<Seen>, Counters) {
    live.stop();
    let mut seen = Vec::new();
    loop {
        match live.next(now().plus(SECOND)).unwrap() {
            Step::Batch(batch) => {
                assert_eq!(batch.first, seen.len() as u64 + 1);
                seen.extend(batch.frames().map(|frame| Seen {
                    time: frame.time,
                    link: frame.link,
                    interface: live.interfaces()[frame.interface as usize].name.clone(),
                    direction: frame.direction,
                    checksum: frame.checksum,
                    wire_len: frame.wire_len,
                    bytes: frame.bytes.to_vec(),
                }));
                live.recycle(batch);
            }
            Step::End(counters) => return (seen, counters),
            Step::Quiet(_) | Step::Link(_) => {}
        }
    }
}

/// The number in a datagram of [`send`], behind the headers up to UDP's.
fn number(frame: &Seen, headers: usize) -> u32 {
    u32::from_be_bytes(frame.bytes[headers..headers + 4].try_into().unwrap())
}

#[test]
fn loopback_shows_each_packet_once_and_counts_the_copies() {
    in_own_network(|| {
        let mut live = capture::open(&on(&["lo"])).unwrap();
        let began = now();
        send(500);
        let (seen, counters) = drain(&mut live);
        let numbers: Vec<u32> = seen.iter().map(|frame| number(frame, 42)).collect();
        assert_eq!(numbers, (0..500).collect::<Vec<_>>());
        assert_eq!(
            counters,
            Counters {
                seen: 1000,
                duplicate: 500,
                dropped: 0
            }
        );
        for frame in &seen {
            assert_eq!(frame.link, LinkType::ETHERNET);
            assert_eq!(frame.direction, Direction::In);
            assert_eq!(frame.checksum, KernelChecksum::Unfilled);
            assert!(frame.time >= began && frame.time <= now());
        }
    });
}

#[test]
fn a_stopped_reader_loses_packets_but_no_count() {
    in_own_network(|| {
        for _ in 0..3 {
            let mut live = capture::open(&Options {
                buffer: 64 << 10,
                ..on(&["lo"])
            })
            .unwrap();
            send(20_000);
            let (seen, counters) = drain(&mut live);
            assert_eq!(counters.seen, 40_000);
            assert!(counters.dropped > 30_000, "{counters:?}");
            assert_eq!(
                counters.seen,
                seen.len() as u64 + counters.duplicate + counters.dropped
            );
        }
    });
}

#[test]
fn a_reader_that_keeps_up_loses_nothing() {
    in_own_network(|| {
        let mut live = capture::open(&on(&["lo"])).unwrap();
        let sender = thread::spawn(|| send(100_000));
        let mut delivered = 0;
        while !sender.is_finished() {
            if let Step::Batch(batch) = live.next(now()).unwrap() {
                delivered += batch.len();
                live.recycle(batch);
            }
        }
        let mut counters = Counters::default();
        live.stop();
        while counters.seen == 0 {
            match live.next(now()).unwrap() {
                Step::Batch(batch) => delivered += batch.len(),
                Step::End(end) => counters = end,
                _ => {}
            }
        }
        assert_eq!(counters.seen, 200_000);
        assert_eq!(
            counters.seen,
            delivered as u64 + counters.duplicate + counters.dropped
        );
    });
}

#[test]
fn the_snapshot_length_cuts_and_says_so() {
    in_own_network(|| {
        let mut live = capture::open(&Options {
            snaplen: 20,
            ..on(&["lo"])
        })
        .unwrap();
        send(3);
        let (seen, _) = drain(&mut live);
        assert_eq!(seen.len(), 3);
        assert!(seen.iter().all(|f| f.bytes.len() == 20 && f.wire_len == 46));
    });
}

#[test]
fn one_way_only_is_refused_by_the_kernel_and_never_counted() {
    in_own_network(|| {
        for (ways, direction) in [(Ways::In, Direction::In), (Ways::Out, Direction::Out)] {
            let mut live = capture::open(&Options {
                ways,
                ..on(&["lo"])
            })
            .unwrap();
            send(50);
            let (seen, counters) = drain(&mut live);
            assert_eq!(seen.len(), 50);
            assert!(seen.iter().all(|frame| frame.direction == direction));
            assert_eq!((counters.seen, counters.duplicate), (50, 0));
        }
    });
}

#[test]
fn a_vlan_tag_stands_where_it_was_sent() {
    in_own_network(|| {
        pair();
        let tagged = b"\x02\0\0\0\0\x02\x02\0\0\0\0\x01\x81\x00\x20\x64\x88\xb5tagged frame: priority 1, id 100, local experiment";
        for name in ["vb", "any"] {
            let mut live = capture::open(&on(&[name])).unwrap();
            transmit("va", tagged);
            let (seen, _) = drain(&mut live);
            let received = seen
                .iter()
                .find(|f| f.interface.as_deref() == Some("vb") && f.bytes.ends_with(b"experiment"))
                .expect("the frame arrived");
            if name == "vb" {
                assert_eq!(received.bytes, tagged);
            } else {
                assert_eq!(
                    received.bytes[..2],
                    tagged[12..14],
                    "the protocol is the tag's"
                );
                assert_eq!(received.bytes[20..], tagged[14..]);
            }
            assert_eq!(received.wire_len as usize, received.bytes.len());
        }
    });
}

/// Sends one frame through a packet socket.
fn transmit(interface: &str, frame: &[u8]) {
    use pnet::datalink::{self, Channel, Config};
    let all = datalink::interfaces();
    let interface = all.iter().find(|i| i.name == interface).unwrap();
    let Channel::Ethernet(mut sender, _) = datalink::channel(interface, Config::default()).unwrap()
    else {
        panic!("not Ethernet");
    };
    sender.send_to(frame, None).unwrap().unwrap();
}

#[test]
fn any_names_the_interface_of_each_packet() {
    in_own_network(|| {
        pair();
        let mut live = capture::open(&on(&["any"])).unwrap();
        send(30);
        let outside = UdpSocket::bind("10.9.0.1:0").unwrap();
        for _ in 0..20 {
            outside.send_to(b"away", "10.9.0.2:9").unwrap();
        }
        let (seen, counters) = drain(&mut live);
        let udp = |name: &str, direction| {
            let frames = seen.iter().filter(|f| {
                f.interface.as_deref() == Some(name)
                    && f.direction == direction
                    && f.bytes[..2] == [8, 0]
            });
            frames.count()
        };
        assert_eq!(udp("lo", Direction::In), 30);
        assert_eq!(udp("lo", Direction::Out), 0);
        assert_eq!(udp("va", Direction::Out), 20);
        assert_eq!(udp("vb", Direction::In), 20);
        assert_eq!(counters.duplicate, 30);
        let lo = seen
            .iter()
            .find(|f| f.interface.as_deref() == Some("lo"))
            .unwrap();
        assert_eq!(lo.link, LinkType::LINUX_SLL2);
        assert_eq!(
            lo.bytes[..20],
            *b"\x08\0\0\0\0\0\0\x01\x03\x04\0\x06\0\0\0\0\0\0\0\0"
        );
        assert_eq!(lo.wire_len, 20 + 32);
    });
}

#[test]
fn several_interfaces_come_merged_by_time() {
    in_own_network(|| {
        pair();
        let mut live = capture::open(&on(&["lo", "va", "vb"])).unwrap();
        let outside = UdpSocket::bind("10.9.0.1:0").unwrap();
        for _ in 0..50 {
            send(2);
            outside.send_to(b"away", "10.9.0.2:9").unwrap();
        }
        let (seen, counters) = drain(&mut live);
        let on = |name: &str| {
            let udp = seen
                .iter()
                .filter(|f| f.interface.as_deref() == Some(name) && f.bytes[12..14] == [8, 0]);
            udp.count()
        };
        assert_eq!((on("lo"), on("va"), on("vb")), (100, 50, 50));
        assert!(seen.windows(2).all(|two| two[0].time <= two[1].time));
        assert_eq!(counters.seen, seen.len() as u64 + counters.duplicate);
    });
}

#[test]
fn quiet_is_true_no_earlier_frame_comes_after_it() {
    in_own_network(|| {
        let mut live = capture::open(&on(&["lo"])).unwrap();
        let sender = thread::spawn(|| {
            for round in 0..30 {
                send(1);
                thread::sleep(Duration::from_millis(round % 10 * 13));
            }
        });
        let (mut quiet, mut frames) = (Time::default(), 0);
        while !sender.is_finished() {
            match live.next(now().plus(SECOND / 100)).unwrap() {
                Step::Quiet(time) => quiet = quiet.max(time),
                Step::Batch(batch) => {
                    for frame in batch.frames() {
                        assert!(frame.time > quiet, "{} late", quiet.since(frame.time));
                        frames += 1;
                    }
                }
                _ => {}
            }
        }
        assert!(frames > 20 && quiet > Time::default());
    });
}

#[test]
fn links_that_go_down_come_up_or_vanish_are_named_within_two_seconds() {
    in_own_network(|| {
        pair();
        let mut live = capture::open(&on(&["vb"])).unwrap();
        for (change, state) in [
            ("link set vb down", InterfaceState::Down),
            ("link set vb up", InterfaceState::Up),
            ("link del vb", InterfaceState::Deleted),
        ] {
            assert!(ip(change));
            let began = Instant::now();
            let seen = loop {
                assert!(began.elapsed() < Duration::from_secs(2), "{change}");
                if let Step::Link(seen) = live.next(now().plus(SECOND)).unwrap() {
                    break seen;
                }
            };
            assert_eq!((seen.name.as_str(), seen.state), ("vb", state));
        }
        let error = loop {
            match live.next(now().plus(SECOND)) {
                Ok(Step::End(_)) => panic!("the end came without its reason"),
                Ok(_) => {}
                Err(error) => break error,
            }
        };
        assert_eq!(error.kind, SourceErrorKind::Gone);
        assert_eq!(error.to_string(), "interface vb was deleted");
        assert!(matches!(live.next(now()), Ok(Step::End(_))));
    });
}

#[test]
fn an_idle_or_dead_link_costs_no_time() {
    in_own_network(|| {
        pair();
        let mut live = capture::open(&on(&["va", "vb"])).unwrap();
        assert!(ip("link set vb down"));
        let used = || {
            let time =
                nix::time::clock_gettime(nix::time::ClockId::CLOCK_THREAD_CPUTIME_ID).unwrap();
            Duration::new(time.tv_sec() as u64, time.tv_nsec() as u32)
        };
        let (before, began) = (used(), Instant::now());
        while began.elapsed() < Duration::from_secs(2) {
            live.next(now().plus(SECOND)).unwrap();
        }
        let spent = used() - before;
        assert!(spent < Duration::from_millis(100), "{spent:?} in 2 s");
    });
}

#[test]
fn raw_sockets_see_what_is_received_with_kernel_times() {
    in_own_network(|| {
        let mut live = capture::open(&Options {
            via: Via::Raw,
            ..on(&["lo"])
        })
        .unwrap();
        assert!(live.notes()[0].contains("IPv6"));
        let began = now();
        send(20);
        let refused = UdpSocket::bind("127.0.0.1:0").unwrap();
        refused.send_to(b"nobody", "127.0.0.1:9").unwrap();
        let (seen, counters) = drain(&mut live);
        let protocols: Vec<u8> = seen.iter().map(|frame| frame.bytes[9]).collect();
        assert_eq!(
            protocols,
            [[17; 21].as_slice(), &[1]].concat(),
            "then the ICMP error"
        );
        assert!(
            seen.iter()
                .all(|f| f.link == LinkType::RAW && f.time >= began)
        );
        assert!(seen.iter().all(|f| f.interface.as_deref() == Some("lo")));
        assert_eq!((counters.seen, counters.dropped), (22, 0));
    });
}

#[test]
fn a_missing_right_is_named_by_its_capability() {
    use caps::{CapSet, Capability};
    thread::spawn(|| {
        // Of this thread only. Where it is not there to begin with, the kernel refuses all the same.
        let _ = caps::drop(None, CapSet::Effective, Capability::CAP_NET_RAW);
        let error = capture::open(&on(&["lo"])).err().expect("refused");
        assert!(matches!(
            error,
            CaptureError::NotPermitted {
                capability: "CAP_NET_RAW",
                effective: false,
                ..
            }
        ));
        assert!(
            error
                .to_string()
                .contains("missing capability CAP_NET_RAW (effective)")
        );
    })
    .join()
    .unwrap();
}

#[test]
fn unknown_interfaces_and_namespaces_are_told_apart() {
    let error = capture::open(&on(&["nope0"])).err().unwrap();
    assert!(matches!(&error, CaptureError::NoSuchInterface { name, .. } if name == "nope0"));
    assert!(error.to_string().contains("lo"));
    let options = Options {
        netns: Some("../../etc/passwd".to_owned()),
        ..on(&["lo"])
    };
    let error = capture::open(&options).err().unwrap();
    assert!(matches!(error, CaptureError::NoSuchNamespace { .. }));
}

#[test]
fn another_network_namespace_is_captured_by_process_id() {
    in_own_network(|| {
        let mut sleeper = Command::new("sleep").arg("60").spawn().unwrap();
        let options = Options {
            netns: Some(sleeper.id().to_string()),
            ..on(&["lo"])
        };
        // Opened from a thread that stays outside.
        let mut live = thread::scope(|scope| {
            let outside = scope.spawn(|| {
                unshare(CloneFlags::CLONE_NEWNET).unwrap();
                capture::open(&options).unwrap()
            });
            outside.join().unwrap()
        });
        send(5);
        let (seen, _) = drain(&mut live);
        sleeper.kill().unwrap();
        sleeper.wait().unwrap();
        assert_eq!(seen.len(), 5);
    });
}

/// The program, as built for this test.
fn sockwire(words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sockwire"));
    command
        .args(words)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

#[test]
fn one_interrupt_ends_with_the_counters() {
    in_own_network(|| {
        let child = sockwire(&["-i", "lo", "udp"]).spawn().unwrap();
        thread::sleep(Duration::from_millis(700));
        send(4);
        thread::sleep(Duration::from_millis(200));
        kill(Pid::from_raw(child.id() as i32), Signal::SIGINT).unwrap();
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(0));
        assert_eq!(String::from_utf8_lossy(&output.stdout).lines().count(), 4);
        assert_eq!(
            String::from_utf8_lossy(&output.stderr).trim(),
            "8 seen = 4 shown + 0 filtered + 4 duplicate (loopback copies) + 0 dropped"
        );
    });
}

#[test]
fn a_recorded_live_run_reads_back_as_the_same_lines() {
    in_own_network(|| {
        pair();
        let folder = std::env::temp_dir().join(format!("sockwire-live-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        for interface in ["lo", "any"] {
            let file = folder.join(format!("{interface}.pcapng"));
            let file = file.to_str().unwrap();
            let words = [
                "-i", interface, "-w", file, "--print", "-v", "-c", "12", "udp",
            ];
            let live = sockwire(&words).spawn().unwrap();
            thread::sleep(Duration::from_millis(700));
            send(6);
            let outside = UdpSocket::bind("10.9.0.1:0").unwrap();
            for _ in 0..3 {
                outside.send_to(b"away", "10.9.0.2:9").unwrap();
            }
            send(6);
            let live = live.wait_with_output().unwrap();
            let read = sockwire(&["read", "-v", file]).output().unwrap();
            assert_eq!(live.status.code(), Some(0), "{live:?}");
            let (live, read) = (
                String::from_utf8_lossy(&live.stdout),
                String::from_utf8_lossy(&read.stdout),
            );
            assert_eq!(live, read, "on {interface}");
            assert!(live.lines().count() > 12);
        }
        std::fs::remove_dir_all(&folder).unwrap();
    });
}
