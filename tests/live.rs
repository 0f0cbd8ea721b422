//! Live capture, each test in a network namespace that it makes for itself: what was sent is what is seen, and the counters add up.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod lan;

use std::{
    ffi::OsStr,
    fs,
    io::{Read, Write},
    net::{TcpListener, TcpStream, UdpSocket},
    os::unix::{ffi::OsStrExt, fs::MetadataExt},
    path::PathBuf,
    process::{Child, Command, Output, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use lan::{in_own_network, ip};
use nix::{
    sched::{CloneFlags, unshare},
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use sockwire::{
    bpf::{self, Instruction, Program, op},
    capture::{self, CaptureError, Fault, Filter, Live, On, Options, Sieve, Via, Ways},
    frame::{
        Counters, Direction, Frame, InterfaceState, KernelChecksum, Source, SourceErrorKind, Step,
    },
    link::LinkType,
    time::{SECOND, Time},
};

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

/// A program written by hand, in the place of a filter.
#[derive(Debug)]
struct ByHand {
    program: Result<Program, &'static str>,
    /// What is asked in the program's place, and beside it.
    takes: fn(&Frame<'_>) -> bool,
    always_asks: bool,
}

impl Filter for ByHand {
    fn expression(&self) -> &str {
        "by hand"
    }

    fn program(&self, _: &On) -> Result<Program, Fault> {
        Ok(self.program.clone()?)
    }

    fn sieve(&self, _: &On, attached: bool) -> Result<Option<Sieve>, Fault> {
        let takes = self.takes;
        Ok((!attached || self.always_asks)
            .then(|| Box::new(move |f: &Frame<'_>| takes(f)) as Sieve))
    }
}

/// Takes packets whose IPv4 protocol number, the byte at `at`, is UDP's.
fn udp_at(at: u32) -> Program {
    Program::new(vec![
        Instruction::new(op::LDB_ABS, at),
        Instruction::branch(op::JEQ_K, 17, 0, 1),
        Instruction::new(op::RET_K, capture::SNAPLEN),
        Instruction::new(op::RET_K, 0),
    ])
    .unwrap()
}

fn filtered(interface: &str, via: Via, program: Result<Program, &'static str>) -> Options {
    Options {
        via,
        filter: Some(Arc::new(ByHand {
            program,
            takes: |frame| {
                let at = if frame.link == LinkType::ETHERNET {
                    23
                } else {
                    9
                };
                let network = if frame.link == LinkType::LINUX_SLL2 {
                    20
                } else {
                    0
                };
                frame.bytes.get(network + at) == Some(&17)
            },
            always_asks: false,
        })),
        ..on(&[interface])
    }
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

/// Where the protocol number stands for each kind of socket on loopback, and how often each packet is seen there.
const PLACES: [(&str, Via, u32, u64); 3] = [
    ("lo", Via::Packet, 23, 2),
    ("any", Via::Packet, 9, 2),
    ("lo", Via::Raw, 9, 1),
];

#[test]
fn what_the_kernel_refuses_is_counted_nowhere() {
    in_own_network(|| {
        for (interface, via, at, copies) in PLACES {
            let mut live = capture::open(&filtered(interface, via, Ok(udp_at(at)))).unwrap();
            assert_eq!(
                live.interfaces().first().map(|i| i.filter.as_deref()),
                (interface != "any").then_some(Some("by hand"))
            );
            send(50);
            assert!(TcpStream::connect("127.0.0.1:9").is_err());
            let (seen, counters) = drain(&mut live);
            assert_eq!(seen.len(), 50, "{interface} {via:?}");
            let expected = Counters {
                seen: 50 * copies,
                duplicate: 50 * (copies - 1),
                dropped: 0,
            };
            assert_eq!(counters, expected, "{interface} {via:?}");
        }
    });
}

#[test]
fn nothing_slips_in_before_the_filter_is_there() {
    in_own_network(|| {
        let over = AtomicBool::new(false);
        thread::scope(|scope| {
            scope.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    send(100);
                }
            });
            for (interface, via, ..) in PLACES.into_iter().cycle().take(30) {
                let nothing = Program::new(vec![Instruction::new(op::RET_K, 0)]).unwrap();
                let mut live = capture::open(&filtered(interface, via, Ok(nothing))).unwrap();
                let (seen, counters) = drain(&mut live);
                assert_eq!(
                    (seen.len(), counters),
                    (0, Counters::default()),
                    "{interface} {via:?}"
                );
            }
            over.store(true, Ordering::Relaxed);
        });
    });
}

#[test]
fn what_the_kernel_cannot_run_is_run_here_with_the_same_counts() {
    in_own_network(|| {
        let long = vec![Instruction::new(op::RET_K, 0); bpf::MAX_LEN];
        for program in [Err("cannot be said there"), Ok(Program::new(long).unwrap())] {
            for (interface, via, _, copies) in PLACES {
                let mut options = filtered(interface, via, program.clone());
                let reason = match program {
                    Err(reason) => reason,
                    // Together with the direction it is too long.
                    Ok(_) => {
                        options.ways = Ways::In;
                        "4096"
                    }
                };
                let copies = if options.ways == Ways::In { 1 } else { copies };
                let mut live = capture::open(&options).unwrap();
                let notes = live.notes().iter().filter(|note| note.contains(reason));
                assert_eq!(notes.count(), 1, "{:?}", live.notes());
                send(50);
                assert!(TcpStream::connect("127.0.0.1:9").is_err());
                let (seen, counters) = drain(&mut live);
                assert_eq!(seen.len(), 50, "{interface} {via:?}");
                let expected = Counters {
                    seen: 50 * copies,
                    duplicate: 50 * (copies - 1),
                    dropped: 0,
                };
                assert_eq!(counters, expected, "{interface} {via:?} {:?}", options.ways);
            }
        }
    });
}

#[test]
fn a_long_program_can_be_silenced_and_what_it_says_of_the_snapshot_length_holds() {
    in_own_network(|| {
        let mut long = vec![Instruction::new(op::LD_LEN, 0); bpf::MAX_LEN - 1];
        long.push(Instruction::new(op::RET_K, 30));
        let program = Program::new(long).unwrap();
        let mut live = capture::open(&filtered("lo", Via::Packet, Ok(program))).unwrap();
        send(50);
        let (seen, counters) = drain(&mut live);
        assert_eq!((seen.len(), counters.seen), (50, 100));
        assert!(seen.iter().all(|f| f.bytes.len() == 30 && f.wire_len == 46));
    });
}

#[test]
fn what_is_asked_beside_the_kernel_sees_whole_frames() {
    in_own_network(|| {
        let mut live = capture::open(&Options {
            snaplen: 20,
            filter: Some(Arc::new(ByHand {
                program: Ok(udp_at(23)),
                takes: |frame| frame.bytes.len() == 46 && frame.bytes[45] % 2 == 0,
                always_asks: true,
            })),
            ..on(&["lo"])
        })
        .unwrap();
        send(50);
        let (seen, counters) = drain(&mut live);
        assert!(seen.iter().all(|f| f.bytes.len() == 20 && f.wire_len == 46));
        assert_eq!(
            (seen.len(), counters.seen, counters.duplicate),
            (25, 50, 25)
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
    assert!(error.to_string().contains("; there are: lo"));
    for (slip, meant) in [("lo0", "lo"), ("ol", "lo"), ("ayn", "any")] {
        let error = capture::open(&on(&[slip])).err().unwrap().to_string();
        assert!(error.contains(&format!("did you mean {meant}?")), "{error}");
    }
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

/// An empty folder, where any user may write.
fn folder(name: &str) -> PathBuf {
    use std::os::unix::fs::PermissionsExt;
    let folder = std::env::temp_dir().join(format!("sockwire-live-{}-{name}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o777)).unwrap();
    folder
}

/// Ends the program as Ctrl-C does, when what was sent has reached it.
fn interrupt(child: Child) -> Output {
    thread::sleep(Duration::from_millis(300));
    kill(Pid::from_raw(child.id() as i32), Signal::SIGINT).unwrap();
    child.wait_with_output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn one_interrupt_ends_with_the_counters() {
    in_own_network(|| {
        let child = sockwire(&["-i", "lo", "udp"]).spawn().unwrap();
        thread::sleep(Duration::from_millis(700));
        send(4);
        // Refused packets count nowhere, their copies neither.
        assert!(TcpStream::connect("127.0.0.1:9").is_err());
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
fn live_conversations_are_listed_at_the_end_with_the_counters() {
    in_own_network(|| {
        let child = sockwire(&["flows", "-i", "lo", "udp"]).spawn().unwrap();
        thread::sleep(Duration::from_millis(700));
        send(4);
        let output = interrupt(child);
        assert_eq!(output.status.code(), Some(0));
        let table = text(&output.stdout);
        let lines: Vec<&str> = table.lines().collect();
        assert_eq!(lines.len(), 3, "{table}");
        assert!(lines[1].starts_with("udp:0  127.0.0.1:") && lines[1].contains("4/0"));
        assert_eq!(
            lines[2],
            "1 conversation: 0 tcp, 1 udp; 4 packets, 184 bytes"
        );
        // No escapes in a pipe.
        assert!(!table.contains('\x1b'));
        let talk = text(&output.stderr);
        assert!(
            talk.contains("8 seen = 4 shown + 0 filtered + 4 duplicate"),
            "{talk}"
        );
    });
}

#[test]
fn a_recorded_live_run_reads_back_as_the_same_lines() {
    in_own_network(|| {
        pair();
        let folder = folder("same");
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
        fs::remove_dir_all(&folder).unwrap();
    });
}

/// A line and its echo over TCP and UDP on `port` of loopback, and a datagram to the port after it, where nobody is.
fn exchange(port: u16) {
    let listener = TcpListener::bind(("127.0.0.1", port)).unwrap();
    let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (mut server, _) = listener.accept().unwrap();
    let mut line = [0; 6];
    client.write_all(b"hello\n").unwrap();
    server.read_exact(&mut line).unwrap();
    server.write_all(&line).unwrap();
    client.read_exact(&mut line).unwrap();
    drop(client);
    assert_eq!(server.read(&mut line).unwrap(), 0);
    drop(server);
    let server = UdpSocket::bind(("127.0.0.1", port)).unwrap();
    let client = UdpSocket::bind("127.0.0.1:0").unwrap();
    client.send_to(b"ping", ("127.0.0.1", port)).unwrap();
    let (_, from) = server.recv_from(&mut line).unwrap();
    server.send_to(b"pong", from).unwrap();
    client.recv_from(&mut line).unwrap();
    client.send_to(b"nobody", ("127.0.0.1", port + 1)).unwrap();
}

#[test]
fn a_filtered_run_reads_back_with_the_same_numbers_and_times() {
    in_own_network(|| {
        let folder = folder("filtered");
        for (live, read, first) in [
            (
                &["capture", "--print"][..],
                &["read"][..],
                "    1  0.000000  ",
            ),
            (
                &["capture", "--print", "--json"],
                &["read", "--json"],
                r#""frame.number":1,"#,
            ),
            (&["watch"], &["watch", "-r"], "  0.000000 SYN-SENT "),
        ] {
            let file = folder.join(format!("{}.pcapng", live.join("")));
            let file = file.to_str().unwrap();
            let words = ["-i", "lo", "-w", file, "port 5001 or port 5002"];
            let child = sockwire(&[live, &words].concat()).spawn().unwrap();
            thread::sleep(Duration::from_millis(700));
            for port in [61_001, 5001, 61_003, 5001] {
                exchange(port);
            }
            let live = interrupt(child);
            let read = sockwire(&[read, &[file]].concat()).output().unwrap();
            assert_eq!(live.status.code(), Some(0), "{live:?}");
            assert_eq!(read.status.code(), Some(0), "{read:?}");
            let (live, read) = (text(&live.stdout), text(&read.stdout));
            assert_eq!(live, read);
            assert!(live.contains(first), "{live}");
            // With the colon, and above the ports that the kernel gives: times, sequence numbers and other ports can have
            // the digits of a shorter one.
            let has = |port: u16| live.contains(&format!(":{port}"));
            assert!(has(5001) && !has(61_001), "{live}");
        }
        fs::remove_dir_all(&folder).unwrap();
    });
}

/// What `/proc` says of every thread of a process, by key.
fn status(pid: u32, key: &str) -> Vec<String> {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    let of_thread = |thread: std::io::Result<fs::DirEntry>| {
        let status = fs::read_to_string(thread.unwrap().path().join("status")).unwrap();
        let line = status.lines().find(|line| line.starts_with(key)).unwrap();
        line[key.len()..]
            .split_whitespace()
            .collect::<Vec<_>>()
            .join(" ")
    };
    threads.map(of_thread).collect()
}

/// Waits until the program has begun to capture, and checks that it has given up its rights.
fn assert_no_rights(child: &Child) {
    const NONE: [&str; 1] = ["0000000000000000"];
    let began = Instant::now();
    // The permitted set goes last.
    while status(child.id(), "CapPrm:") != NONE {
        assert!(began.elapsed() < Duration::from_secs(5), "rights are kept");
        thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(status(child.id(), "NoNewPrivs:"), ["1"]);
    for set in ["CapEff:", "CapPrm:", "CapInh:", "CapAmb:"] {
        assert_eq!(status(child.id(), set), NONE, "{set}");
    }
}

#[test]
fn rights_are_given_up_and_the_capture_goes_on() {
    in_own_network(|| {
        for command in ["capture", "watch"] {
            for via in ["packet", "raw"] {
                let child = sockwire(&[command, "-i", "lo", "--via", via])
                    .spawn()
                    .unwrap();
                assert_no_rights(&child);
                send(4);
                let output = interrupt(child);
                assert_eq!(output.status.code(), Some(0));
                let talk = text(&output.stderr);
                assert!(
                    talk.contains(" seen = 4 shown + 0 "),
                    "{command} {via}: {talk}"
                );
            }
        }
    });
}

#[test]
fn without_rights_links_are_still_seen_to_go_down_come_up_and_vanish() {
    in_own_network(|| {
        pair();
        let child = sockwire(&["capture", "-i", "vb", "udp"]).spawn().unwrap();
        assert_no_rights(&child);
        let outside = UdpSocket::bind("10.9.0.1:0").unwrap();
        for change in ["link set vb down", "link set vb up", "link del vb"] {
            outside.send_to(b"away", "10.9.0.2:9").unwrap();
            thread::sleep(Duration::from_millis(100));
            assert!(ip(change));
            thread::sleep(Duration::from_millis(1200));
        }
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(4));
        // The second datagram found the link down.
        assert_eq!(
            text(&output.stderr),
            "sockwire: vb went down; the capture goes on when it comes back\n\
             sockwire: vb is up again\n\
             sockwire: vb is gone; its capture is over\n\
             2 seen = 2 shown + 0 filtered + 0 duplicate (loopback copies) + 0 dropped\n\
             sockwire: interface vb was deleted\n"
        );
    });
}

#[test]
fn silence_is_explained_and_a_stderr_that_takes_nothing_is_no_reason_to_stop() {
    in_own_network(|| {
        let _open = TcpListener::bind("127.0.0.1:5001").unwrap();
        let words = ["tcp", "port", "5001", "or", "udp", "port", "5002"];
        let told = sockwire(&words).spawn().unwrap();
        let full = fs::File::options().write(true).open("/dev/full").unwrap();
        let untold = sockwire(&words).stderr(full).spawn().unwrap();
        thread::sleep(Duration::from_secs(6));
        assert_eq!(interrupt(untold).status.code(), Some(0));
        let told = interrupt(told);
        assert_eq!(told.status.code(), Some(0));
        // Whose socket it is was looked up while the program had the right to.
        let me = std::process::id();
        let name = fs::read_to_string("/proc/self/comm").unwrap();
        assert_eq!(
            text(&told.stderr),
            format!(
                "watching lo (there is no default route, and nothing else is up)\n\
                 waiting ...  5001/tcp is open here: {}[{me}] on 127.0.0.1.  Ctrl-C ends.\n\
                 waiting ...  nothing listens on port 5002 here: a connection would be refused.  Ctrl-C ends.\n\
                 0 seen = 0 shown + 0 filtered + 0 duplicate (loopback copies) + 0 dropped\n",
                name.trim_end()
            )
        );
    });
}

#[test]
fn under_sudo_the_caller_decodes_and_owns_the_file() {
    let everybody = fs::read_to_string("/proc/self/uid_map").unwrap();
    if !nix::unistd::geteuid().is_root() || !everybody.contains("4294967295") {
        eprintln!("skipped: only root outside of user namespaces can become another user");
        return;
    }
    in_own_network(|| {
        let folder = folder("sudo");
        let file = folder.join("kept.pcapng");
        let child = sockwire(&["-i", "lo", "-w", file.to_str().unwrap(), "udp"])
            .env("SUDO_UID", "65534")
            .env("SUDO_GID", "65533")
            .spawn()
            .unwrap();
        assert_no_rights(&child);
        assert_eq!(status(child.id(), "Uid:"), ["65534 65534 65534 65534"]);
        assert_eq!(status(child.id(), "Gid:"), ["65533 65533 65533 65533"]);
        assert_eq!(status(child.id(), "Groups:"), ["65533"]);
        send(4);
        let output = interrupt(child);
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        let owner = fs::metadata(&file).unwrap();
        assert_eq!((owner.uid(), owner.gid()), (65534, 65533));
        let read = sockwire(&["read", file.to_str().unwrap()])
            .output()
            .unwrap();
        assert_eq!(text(&read.stdout).lines().count(), 4);
        fs::remove_dir_all(&folder).unwrap();
    });
}
