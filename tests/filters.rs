//! Filters in use, through the built program: what they take is what tcpdump and tshark take, from files and live.
#![allow(clippy::unwrap_used)]

#[path = "../src/testing.rs"]
mod testing;

use std::{
    fs,
    net::UdpSocket,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    thread,
    time::Duration,
};

use nix::{
    sched::{CloneFlags, unshare},
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use sockwire::{
    capture::SNAPLEN,
    filter::{
        CaptureFilter, NoNames,
        capture::{Place, Target},
    },
    link::LinkType,
    sys::packet::{Layer, PacketSocket},
};

/// What expressions are made of, one primitive a line.
const PRIMITIVES: &str = "\
host 10.0.0.1
src host 10.0.0.1
dst host fd00::1
src and dst host 127.0.0.1
ether host 02:00:00:00:00:01
ether src 02:00:00:00:00:01
ether dst ff:ff:ff:ff:ff:ff
net 10.0.0.0/8
src net 192.168
dst net 172.16.0.0 mask 255.240.0.0
net fd00::/48
ip6 net fe80::/10
arp host 10.0.0.1
port 80
src port 1024
dst port 65535
tcp port 443
udp src port 53
sctp dst port 9
portrange 1000-2000
tcp dst portrange 1-1023
udp portrange 5000-5001
ip
ip6
arp
rarp
tcp
udp
sctp
icmp
icmp6
igmp
pim
vrrp
ah
esp
atalk
aarp
decnet
iso
stp
ipx
netbeui
ip proto 47
ip6 proto 6
proto 17
ether proto 0x88cc
ip protochain 6
ip6 protochain 17
less 64
greater 1500
len > 100
len - 14 = 46
ip broadcast
ip multicast
ip6 multicast
ether broadcast
ether multicast
inbound
outbound
vlan
vlan 100
mpls
mpls 1000
pppoed
pppoes
pppoes 7
geneve
ip[0] & 0xf > 5
ip[6:2] & 0x1fff = 0
ip[2:2] - ((ip[0] & 0xf) << 2) > 100
tcp[tcpflags] & (tcp-syn|tcp-fin) != 0
tcp[13] = 2
tcp[(tcp[12] >> 4) * 4:4] = 0x47455420
udp[4:2] > 512
udp[8] = 0
icmp[icmptype] = icmp-unreach
icmp6[0] = 135
ip6[6] = 58
ether[0] & 1 = 1
ether[12:2] < 1501
arp[6:2] = 1
llc";

fn sockwire(words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sockwire"));
    command.args(words).env("TZ", "UTC").stdin(Stdio::null());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn ended(output: Output) -> (Option<i32>, String, String) {
    (
        output.status.code(),
        String::from_utf8(output.stdout).unwrap(),
        String::from_utf8(output.stderr).unwrap(),
    )
}

fn run(words: &[&str]) -> (Option<i32>, String, String) {
    ended(sockwire(words).output().unwrap())
}

fn captures() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("captures");
    let all = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    all.filter(|path| path.extension().is_some_and(|e| e == "pcapng"))
        .collect()
}

fn capture(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("captures")
        .join(name);
    path.to_str().unwrap().to_owned()
}

fn scratch(name: &str) -> String {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("filters-{name}"));
    let _ = fs::remove_file(&path);
    path.to_str().unwrap().to_owned()
}

/// The numbers at the beginning of lines.
fn numbers(lines: &str) -> Vec<u64> {
    let first = |line: &str| line.split_whitespace().next()?.parse().ok();
    lines.lines().filter_map(first).collect()
}

/// A tool that may not be there; what it prints.
fn tool(name: &str, words: &[&str]) -> Option<Output> {
    let output = Command::new(name).args(words).env("TZ", "UTC").output();
    if output.is_err() {
        testing::skipped(format_args!("no {name} here"));
    }
    output.ok()
}

#[test]
fn capture_filters_take_what_tcpdump_takes() {
    for file in captures() {
        let file = file.to_str().unwrap();
        for expression in [
            "tcp",
            "udp port 5000",
            "icmp or icmp6",
            "vlan and tcp",
            "not port 5000",
            "tcp[tcpflags] & (tcp-syn|tcp-fin) != 0",
            "greater 100",
            "ip[6:2] & 0x1fff != 0",
            "inbound",
        ] {
            let Some(theirs) = tool("tcpdump", &["-#", "-tttt", "-nr", file, expression]) else {
                return;
            };
            let (_, ours, talk) = run(&["read", "-tttt", "--quiet", file, expression]);
            // tcpdump numbers what it prints, so the times must tell.
            let times = |text: &str| -> Vec<String> {
                text.lines()
                    .map(|line| {
                        line.split_whitespace()
                            .skip(1)
                            .take(2)
                            .collect::<Vec<_>>()
                            .join(" ")
                    })
                    .filter(|time| time.starts_with("20"))
                    .collect()
            };
            let theirs = String::from_utf8_lossy(&theirs.stdout).into_owned();
            assert_eq!(times(&ours), times(&theirs), "{file} {expression}: {talk}");
        }
    }
}

#[test]
fn display_filters_take_what_tshark_takes() {
    // tshark is slow to begin.
    for file in ["handshake.pcapng", "udp.pcapng", "vlan.pcapng"].map(capture) {
        let file = file.as_str();
        for expression in [
            "tcp.flags.syn == 1",
            "udp.port == 5000",
            "tcp.len > 0",
            "ip.ttl < 65 && !icmp",
            "tcp.seq == 1",
            "frame.len >= 100",
            "tcp contains \"hello\"",
            "vlan.id == 5",
            "ip.addr == 10.0.0.0/31",
        ] {
            let words = [
                "-r",
                file,
                "-Y",
                expression,
                "-T",
                "fields",
                "-e",
                "frame.number",
            ];
            let Some(theirs) = tool("tshark", &words) else {
                return;
            };
            let (code, ours, talk) = run(&["read", file, "-Y", expression]);
            let theirs = numbers(&String::from_utf8_lossy(&theirs.stdout));
            assert_eq!(numbers(&ours), theirs, "{file} {expression}: {talk}");
            assert_eq!(
                code,
                Some(i32::from(theirs.is_empty())),
                "{file} {expression}"
            );
        }
    }
}

#[test]
fn what_is_recorded_is_what_both_filters_took() {
    let (file, copy) = (capture("handshake.pcapng"), scratch("both.pcapng"));
    let words = [
        "read",
        &file,
        "-w",
        &copy,
        "tcp",
        "port",
        "5000",
        "-Y",
        "tcp.seq == 1 && tcp.len > 0",
    ];
    assert_eq!(run(&words), (Some(0), String::new(), String::new()));
    // Relative numbers come from all packets that the capture filter took.
    let told = run(&["read", &file, "-Y", "tcp.seq == 1 && tcp.len > 0"]).1;
    assert_eq!(numbers(&told), [4, 6], "{told}");
    assert_eq!(numbers(&run(&["read", &copy]).1), [1, 2]);
    let only = scratch("only.pcap");
    assert_eq!(
        run(&["read", &file, "-w", &only, "tcp[13] & 2 != 0"]).0,
        Some(0)
    );
    assert_eq!(numbers(&run(&["read", &only]).1), [1, 2]);
}

#[test]
fn c_counts_what_is_shown() {
    let file = capture("handshake.pcapng");
    let (code, out, _) = run(&["read", &file, "-c", "2", "-Y", "tcp.len > 0"]);
    assert_eq!((code, numbers(&out)), (Some(0), vec![4, 6]));
    let (code, out, _) = run(&["read", &file, "-c", "1", "-Y", "tcp.flags.fin == 1", "tcp"]);
    assert_eq!((code, numbers(&out)), (Some(0), vec![8]));
}

#[test]
fn watch_follows_everything_and_draws_what_matches() {
    let file = capture("handshake.pcapng");
    let (code, out, talk) = run(&["watch", &file, "-Y", "tcp.len > 0"]);
    assert_eq!((code, talk.as_str()), (Some(0), "C1 closed.\n"));
    let rows: Vec<&str> = out.lines().filter(|line| line.contains('│')).collect();
    assert_eq!(rows.len(), 2, "{out}");
    // The state after a handshake that was not drawn.
    assert!(
        rows[0].contains("ESTABLISHED │──── 6 bytes seq=1 \"hello\\n\""),
        "{out}"
    );
    let (code, out, talk) = run(&["watch", &file, "-Y", "udp"]);
    assert_eq!(
        (code, out.as_str(), talk.as_str()),
        (Some(1), "", "none of 10 packets matched\n")
    );
    // An ICMP error belongs to the packet that it quotes.
    let (_, out, talk) = run(&["watch", &capture("udp.pcapng"), "port 5001"]);
    assert!(
        out.contains("ICMP port unreachable") && talk.contains("U1 unreachable"),
        "{out}{talk}"
    );
}

#[test]
fn a_filter_file_is_read_as_tcpdump_reads_it() {
    let file = capture("handshake.pcapng");
    let given = scratch("given.txt");
    fs::write(
        &given,
        "# the handshake\ntcp[13] & 2 != 0 # SYN\n  and port 5000\n\n",
    )
    .unwrap();
    let (code, out, talk) = run(&["read", &file, "-F", &given]);
    assert_eq!((code, numbers(&out)), (Some(0), vec![1, 2]), "{talk}");
    // What stands on the line is not used then.
    assert_eq!(
        numbers(&run(&["read", &file, "-F", &given, "udp"]).1),
        [1, 2]
    );
    if let Some(theirs) = tool("tcpdump", &["-nr", &file, "-F", &given, "udp"]) {
        assert_eq!(String::from_utf8_lossy(&theirs.stdout).lines().count(), 2);
    }
    assert_eq!(run(&["read", &file, "-F", "/no/such/filter"]).0, Some(4));
    fs::write(&given, "tcp and\nprt 80\n").unwrap();
    let (code, _, talk) = run(&["read", &file, "-F", &given]);
    assert_eq!(code, Some(2));
    assert!(talk.contains("  tcp and prt 80\n          ^^^\n"), "{talk}");
    fs::write(&given, [0xff, 0xfe, b'\n']).unwrap();
    assert_eq!(run(&["read", &file, "-F", &given]).0, Some(2));
}

#[test]
fn traps_are_told_once_unless_quiet() {
    let file = capture("handshake.pcapng");
    let words = ["read", &file, "port 5000 and vlan"];
    let (_, _, talk) = run(&words);
    let notes = talk.lines().filter(|line| line.starts_with("note: "));
    assert_eq!(notes.count(), 1, "{talk}");
    assert_eq!(run(&[&words[..], &["--quiet"]].concat()).2, "");
}

#[test]
fn mistakes_end_with_2_and_a_caret() {
    let file = capture("handshake.pcapng");
    for words in [
        &["prt 80"][..],
        &["-Y", "tcp.prt == 80"],
        &["-Y", "tcp.port =="],
        &["tcp and"],
    ] {
        let (code, out, talk) = run(&[&["read", &file], words].concat());
        assert_eq!((code, out.as_str()), (Some(2), ""), "{words:?}");
        assert!(
            talk.lines().last().unwrap().trim_end().ends_with('^'),
            "{talk}"
        );
    }
    let (_, _, talk) = run(&["read", &file, "tcp.port == 80"]);
    assert!(
        talk.contains("-Y") && talk.contains(": tcp port 80"),
        "{talk}"
    );
}

/// A pcapng file with a packet on Ethernet, and one that begins with its IP header.
fn two_links() -> String {
    let udp = "4500002100010000401166c90a0000010a00000214e90035000d000068656c6c6f";
    let frames = [
        (1_u16, format!("0200000000020200000000010800{udp}")),
        (101, udp.to_owned()),
    ];
    let mut file = Vec::new();
    let mut block = |kind: u32, body: &[u8]| {
        let len = (12 + body.len().next_multiple_of(4)) as u32;
        file.extend_from_slice(&[kind, len].map(u32::to_le_bytes).concat());
        file.extend_from_slice(body);
        file.resize(file.len().next_multiple_of(4), 0);
        file.extend_from_slice(&len.to_le_bytes());
    };
    block(
        0x0a0d_0d0a,
        &[
            0x4d, 0x3c, 0x2b, 0x1a, 1, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
        ],
    );
    for (link, _) in &frames {
        block(1, &[&link.to_le_bytes()[..], &[0; 6]].concat());
    }
    for (at, (_, digits)) in frames.iter().enumerate() {
        let bytes = hex::decode(digits).unwrap();
        let len = bytes.len() as u32;
        let head = [at as u32, 0, at as u32, len, len]
            .map(u32::to_le_bytes)
            .concat();
        block(6, &[head, bytes].concat());
    }
    let path = scratch("two-links.pcapng");
    fs::write(&path, file).unwrap();
    path
}

#[test]
fn each_link_type_of_a_file_gets_its_own_program() {
    let file = two_links();
    let (code, out, _) = run(&["read", &file, "udp port 53 and ip[8] = 64"]);
    assert_eq!((code, numbers(&out)), (Some(0), vec![1, 2]));
    // What was good before is shown.
    let (code, out, talk) = run(&["read", &file, "not vlan"]);
    assert_eq!((code, numbers(&out)), (Some(2), vec![1]));
    assert!(
        talk.contains("packet 2 has link type RAW: bad filter: "),
        "{talk}"
    );
}

#[test]
fn d_prints_the_program_in_three_forms() {
    let file = capture("handshake.pcapng");
    for form in ["-d", "-dd", "-ddd"] {
        let (code, ours, _) = run(&["read", &file, form, "arp"]);
        assert_eq!(code, Some(0));
        let Some(theirs) = tool("tcpdump", &["-r", &file, form, "arp"]) else {
            return;
        };
        assert_eq!(ours, String::from_utf8_lossy(&theirs.stdout), "{form}");
        // Without -i, for Ethernet; no right is needed.
        assert_eq!(run(&[form, "arp"]).1, ours);
    }
    assert_eq!(run(&["-d", "-i", "lo", "tcp", "and"]).0, Some(2));
    let (code, on_lo, _) = run(&["-d", "-i", "lo", "-s", "96", "outbound"]);
    assert_eq!(code, Some(0));
    assert!(on_lo.contains("ret      #96"), "{on_lo}");
    assert_eq!(run(&["-d", "-i", "nope0", "arp"]).0, Some(4));
}

/// Runs `test` in a thread with a network namespace of its own, in which loopback is up.
fn in_own_network(test: impl FnOnce() + Send) {
    thread::scope(|scope| {
        scope.spawn(|| match unshare(CloneFlags::CLONE_NEWNET) {
            Err(errno) => testing::skipped(format_args!("no network namespace: {errno}")),
            Ok(()) if !ip("link set lo up") => {
                testing::skipped("the ip command does not work here")
            }
            Ok(()) => test(),
        });
    });
}

fn ip(words: &str) -> bool {
    let done = Command::new("ip")
        .args(words.split(' '))
        .stderr(Stdio::null())
        .status();
    done.is_ok_and(|status| status.success())
}

#[test]
fn the_kernel_takes_every_program() {
    in_own_network(|| {
        let all: Vec<&str> = PRIMITIVES.lines().collect();
        let mut expressions: Vec<String> = all.iter().map(|one| (*one).to_owned()).collect();
        expressions.extend(all.iter().map(|one| format!("not {one}")));
        expressions.extend(all.windows(3).map(|three| {
            let [a, b, c] = three else { unreachable!() };
            format!("({a}) and (({b}) or not ({c}))")
        }));
        for step in [7, 11, 23, 31] {
            let far = all.iter().zip(all.iter().cycle().skip(step));
            expressions.extend(far.map(|(a, b)| format!("({a}) or ({b})")));
        }
        let mut taken = 0;
        for expression in &expressions {
            let filter = CaptureFilter::parse(expression, &NoNames).unwrap();
            for (link, place) in [
                (LinkType::ETHERNET, Place::Kernel),
                (LinkType::LINUX_SLL2, Place::KernelCooked),
                (LinkType::RAW, Place::Kernel),
            ] {
                let target = Target {
                    link,
                    place,
                    snaplen: SNAPLEN,
                    netmask: Some(0xffff_ff00),
                };
                let compiled = match filter.compile(target) {
                    Ok(compiled) => compiled,
                    // Behind some tunnels, little can still be asked.
                    Err(error) if link == LinkType::ETHERNET && !expression.starts_with('(') => {
                        panic!("{error}")
                    }
                    Err(_) => continue,
                };
                let socket = PacketSocket::open(Layer::Link).unwrap();
                let attached = socket.attach(&compiled.program);
                assert!(attached.is_ok(), "{expression} on {link}: {attached:?}");
                taken += 1;
            }
        }
        assert!(taken > 1000, "{taken}");
    });
}

/// What a live run shows of the datagrams to these ports of `to`, and its last line.
fn live(words: &[&str], to: &str, ports: &[u16]) -> (Vec<String>, String) {
    let child = sockwire(words).spawn().unwrap();
    thread::sleep(Duration::from_millis(700));
    let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
    socket.set_broadcast(true).unwrap();
    for &port in ports {
        // A refusal of the one before is told here.
        while socket.send_to(b"hello", (to, port)).is_err() {}
    }
    thread::sleep(Duration::from_millis(400));
    kill(Pid::from_raw(child.id() as i32), Signal::SIGINT).unwrap();
    let (code, out, talk) = ended(child.wait_with_output().unwrap());
    assert_eq!(code, Some(0), "{talk}");
    let sum = talk
        .lines()
        .rfind(|line| line.contains(" seen = "))
        .unwrap();
    (out.lines().map(str::to_owned).collect(), sum.to_owned())
}

#[test]
fn live_the_kernel_filters_and_refused_packets_are_never_seen() {
    in_own_network(|| {
        for (interface, filter) in [
            ("lo", "udp port 5001"),
            ("any", "udp port 5001"),
            ("lo", "udp[6:2] != 0 and dst port 5001"),
        ] {
            let (lines, sum) = live(
                &["-i", interface, filter],
                "127.0.0.1",
                &[5001, 6001, 5001, 6002],
            );
            assert_eq!(lines.len(), 2, "{lines:?}");
            assert_eq!(
                sum,
                "4 seen = 2 shown + 0 filtered + 2 duplicate (loopback copies) + 0 dropped"
            );
        }
        // The link header is described beside the packets there: the filter runs here.
        let (lines, sum) = live(
            &["-i", "any", "ether[0:2] = 0x0800 and udp port 5001"],
            "127.0.0.1",
            &[5001, 6001],
        );
        assert_eq!(lines.len(), 1, "{lines:?}");
        assert_eq!(
            sum,
            "2 seen = 1 shown + 0 filtered + 1 duplicate (loopback copies) + 0 dropped"
        );
        let (lines, sum) = live(
            &["-i", "lo", "udp", "-Y", "udp.dstport == 5001"],
            "127.0.0.1",
            &[5001, 6001, 5001],
        );
        assert_eq!(numbers(&lines.join("\n")), [1, 3]);
        assert_eq!(
            sum,
            "6 seen = 2 shown + 1 filtered + 3 duplicate (loopback copies) + 0 dropped"
        );
        let (_, sum) = live(
            &["watch", "-i", "lo", "port 5001"],
            "127.0.0.1",
            &[5001, 6001, 5001],
        );
        // Errors about the other port came through the kernel, and are no more seen than what they quote.
        assert_eq!(
            sum,
            "8 seen = 4 shown + 0 filtered + 4 duplicate (loopback copies) + 0 dropped"
        );
        let (lines, sum) = live(
            &["--via", "raw", "-i", "lo", "port 5001"],
            "127.0.0.1",
            &[5001, 6001],
        );
        assert_eq!(lines.len(), 1, "{lines:?}");
        assert_eq!(
            sum,
            "1 seen = 1 shown + 0 filtered + 0 duplicate (loopback copies) + 0 dropped"
        );
    });
}

#[test]
fn live_directions_tags_and_netmasks_are_known_to_filters() {
    in_own_network(|| {
        assert!(ip(
            "link add va address 02:00:00:00:00:01 type veth peer name vb address 02:00:00:00:00:02"
        ));
        for name in ["va", "vb"] {
            assert!(
                ip(&format!("link set {name} addrgenmode none"))
                    && ip(&format!("link set {name} up"))
            );
        }
        assert!(ip("addr add 10.9.0.1/28 dev va"));
        assert!(ip("neigh add 10.9.0.2 lladdr 02:00:00:00:00:02 dev va"));
        let shown = |interface: &str, filter: &str, to: &str| {
            let (lines, sum) = live(&["-i", interface, filter], to, &[5001, 5002]);
            let count = lines.len();
            let expected = format!(
                "{count} seen = {count} shown + 0 filtered + 0 duplicate (loopback copies) + 0 dropped"
            );
            assert_eq!(sum, expected, "{interface} {filter}");
            count
        };
        assert_eq!(shown("va", "outbound and udp", "10.9.0.2"), 2);
        assert_eq!(shown("va", "inbound and udp", "10.9.0.2"), 0);
        assert_eq!(shown("vb", "inbound and udp", "10.9.0.2"), 2);
        assert_eq!(shown("any", "outbound and udp", "10.9.0.2"), 2);
        assert_eq!(shown("any", "udp", "10.9.0.2"), 4);
        assert_eq!(shown("va", "ip broadcast", "10.9.0.15"), 2);
        assert_eq!(shown("va", "ip broadcast", "10.9.0.2"), 0);
        if !ip("link add link va name va.7 type vlan id 7") {
            return testing::skipped("no VLAN interfaces in this kernel");
        }
        assert!(ip("link set va.7 addrgenmode none") && ip("link set va.7 up"));
        assert!(ip("addr add 10.7.0.1/24 dev va.7"));
        assert!(ip("neigh add 10.7.0.2 lladdr 02:00:00:00:00:02 dev va.7"));
        for filter in [
            "vlan",
            "vlan 7",
            "vlan 7 and udp port 5001",
            "vlan and dst host 10.7.0.2",
        ] {
            let expected = if filter.contains("5001") { 1 } else { 2 };
            assert_eq!(shown("vb", filter, "10.7.0.2"), expected, "{filter}");
        }
        assert_eq!(shown("vb", "vlan 8", "10.7.0.2"), 0);
        assert_eq!(shown("vb", "not vlan and udp", "10.7.0.2"), 0);
        assert_eq!(shown("vb", "vlan", "10.9.0.2"), 0);
    });
}

#[test]
fn what_a_filter_misses_behind_vlan_tags_is_hinted_at() {
    let file = capture("vlan.pcapng");
    let hint = "hint: behind VLAN tags";
    let (code, _, talk) = run(&["read", &file, "tcp port 5000"]);
    assert_eq!(code, Some(1));
    assert!(talk.contains(hint), "{talk}");
    for none in ["tcp port 5001", "vlan and udp"] {
        let (code, _, talk) = run(&["read", &file, none]);
        assert_eq!(
            (code, talk.as_str()),
            (Some(1), "none of 10 packets matched\n")
        );
    }
}
