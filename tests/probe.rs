//! `probe` and `traceroute` against real kernels: hosts and a router between them, each in a network namespace of its own.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod lan;

use std::{
    fs::{self, File},
    io::{BufRead, BufReader, Read},
    os::fd::AsRawFd,
    path::PathBuf,
    process::{Child, Command, Output, Stdio},
    thread,
    time::{SystemTime, UNIX_EPOCH},
};

use lan::{in_own_network, ip, testing};
use nix::{
    sched::{CloneFlags, setns, unshare},
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::Value;
use sockwire::{
    capture::{self, Options},
    frame::{Source, Step},
    time::{MILLISECOND, SECOND, Time},
};

fn ip_all(commands: &[&str]) {
    for words in commands {
        assert!(ip(words), "ip {words}");
    }
}

/// Another host: a network namespace that lives as long as this.
struct Host(File);

impl Host {
    fn new() -> Self {
        let made = thread::spawn(|| {
            unshare(CloneFlags::CLONE_NEWNET).unwrap();
            File::open("/proc/thread-self/ns/net").unwrap()
        });
        Self(made.join().unwrap())
    }

    /// Does something there.
    fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        thread::scope(|scope| {
            let there = scope.spawn(|| {
                setns(&self.0, CloneFlags::CLONE_NEWNET).unwrap();
                work()
            });
            there.join().unwrap()
        })
    }

    /// What the ip command calls it.
    fn path(&self) -> String {
        format!("/proc/{}/fd/{}", std::process::id(), self.0.as_raw_fd())
    }
}

/// This host (10.9.1.1, fd01::1), a router (.254, ::fe), and a peer (10.9.2.2, fd02::2) behind it.
struct Net {
    router: Host,
    peer: Host,
}

impl Net {
    fn new() -> Self {
        let (router, peer) = (Host::new(), Host::new());
        // Link-local addresses serve at once, and nothing waits for neighbours that might have them too.
        let at_once = || {
            for of in ["all", "default"] {
                fs::write(format!("/proc/sys/net/ipv6/conf/{of}/accept_dad"), "0").unwrap();
            }
        };
        at_once();
        router.run(at_once);
        peer.run(at_once);
        ip_all(&[
            "link add a0 type veth peer name r0",
            &format!("link set r0 netns {}", router.path()),
            "addr add 10.9.1.1/24 dev a0",
            "addr add fd01::1/64 dev a0 nodad",
            "link set a0 up",
        ]);
        router.run(|| {
            ip_all(&[
                "link set lo up",
                "link add r1 type veth peer name b0",
                &format!("link set b0 netns {}", peer.path()),
                "addr add 10.9.1.254/24 dev r0",
                "addr add 10.9.2.254/24 dev r1",
                "addr add fd01::fe/64 dev r0 nodad",
                "addr add fd02::fe/64 dev r1 nodad",
                "link set r0 up",
                "link set r1 up",
                "route add blackhole 10.66.0.0/16",
                "route add prohibit 10.67.0.0/16",
                "route add unreachable 10.68.0.0/16",
            ]);
            for (name, value) in [
                ("ipv4/ip_forward", "1"),
                ("ipv4/icmp_ratemask", "0"),
                ("ipv6/conf/all/forwarding", "1"),
                ("ipv6/icmp/ratelimit", "0"),
            ] {
                fs::write(format!("/proc/sys/net/{name}"), value).unwrap();
            }
        });
        peer.run(|| {
            ip_all(&[
                "link set lo up",
                "addr add 10.9.2.2/24 dev b0",
                "addr add fd02::2/64 dev b0 nodad",
                "link set b0 up",
                "route add default via 10.9.2.254",
                "-6 route add default via fd02::fe",
            ]);
            fs::write("/proc/sys/net/ipv4/icmp_ratemask", "0").unwrap();
            fs::write("/proc/sys/net/ipv6/icmp/ratelimit", "0").unwrap();
        });
        ip_all(&[
            "route add default via 10.9.1.254",
            "-6 route add default via fd01::fe",
        ]);
        Self { router, peer }
    }

    /// A Python program on the peer: a stream server on port 80 and a datagram server on port 53, both families.
    fn serve(&self) -> Option<Server> {
        const PROGRAM: &str = "
import socket
tcp = socket.create_server(('', 80), family=socket.AF_INET6, dualstack_ipv6=True)
udp = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
udp.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
udp.bind(('', 53))
print('ready', flush=True)
while True:
    data, who = udp.recvfrom(2048)
    udp.sendto(b're: ' + data, who)
";
        let spawned = self.peer.run(|| {
            Command::new("python3")
                .args(["-c", PROGRAM])
                .stdout(Stdio::piped())
                .spawn()
        });
        let Ok(mut child) = spawned else {
            testing::skipped("no python3 here");
            return None;
        };
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        assert_eq!(line, "ready\n");
        Some(Server(child))
    }
}

struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn program() -> Command {
    Command::new(env!("CARGO_BIN_EXE_sockwire"))
}

fn run(words: &str) -> Output {
    program().args(words.split(' ')).output().unwrap()
}

/// What it printed, and then what it said.
fn told(output: &Output) -> String {
    String::from_utf8_lossy(&[output.stdout.as_slice(), &output.stderr].concat()).into_owned()
}

fn code(output: &Output) -> i32 {
    output.status.code().unwrap()
}

/// The objects of a run with `--json`.
fn objects(words: &str) -> (i32, Vec<Value>) {
    let output = run(&format!("{words} --json"));
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    let objects = text.lines().map(|line| serde_json::from_str(line).unwrap());
    let objects: Vec<Value> = objects.collect();
    assert!(!objects.is_empty(), "{}", told(&output));
    (code(&output), objects)
}

/// The word that the only answer means.
fn meaning(words: &str) -> (i32, String) {
    let (code, objects) = objects(&format!("probe {words} --timeout 0.5"));
    (code, objects[0]["meaning"].as_str().unwrap().to_owned())
}

fn temporary(name: &str) -> PathBuf {
    std::env::temp_dir().join(format!("sockwire-{}-{name}", std::process::id()))
}

#[test]
fn each_answer_is_told_from_the_others() {
    in_own_network(|| {
        let net = Net::new();
        let Some(_server) = net.serve() else { return };
        for (words, wanted, exit) in [
            ("ip dst=10.9.2.2 / tcp dport=80 flags=S", "open", 0),
            ("ip dst=10.9.2.2 / tcp dport=81 flags=S", "refused", 0),
            ("ip dst=10.9.2.2 / tcp dport=80 flags=A ack=5", "reset", 0),
            ("ip dst=10.66.0.1 / tcp dport=80 flags=S", "filtered", 1),
            ("ip dst=10.67.0.1 / tcp dport=80 flags=S", "filtered", 0),
            ("ip dst=10.68.0.1 / tcp dport=80 flags=S", "unreachable", 0),
            (
                "ip dst=10.9.2.2 ttl=1 / tcp dport=80 flags=S",
                "time exceeded",
                0,
            ),
            ("ip dst=10.9.2.2 / udp dport=53 / text=hello", "answered", 0),
            ("ip dst=10.9.2.2 / udp dport=54 / text=hello", "refused", 0),
            ("ip dst=10.66.0.1 / udp dport=53 / text=hello", "silent", 1),
            ("ip dst=10.9.2.2 / icmp type=8", "alive", 0),
            ("ip6 dst=fd02::2 / tcp dport=80 flags=S", "open", 0),
            ("ip6 dst=fd02::2 / tcp dport=81 flags=S", "refused", 0),
            ("ip6 dst=fd02::2 / udp dport=53 / text=hello", "answered", 0),
            ("ip6 dst=fd02::2 / udp dport=54 / text=hello", "refused", 0),
            ("ip6 dst=fd02::2 hlim=1 / udp dport=54", "time exceeded", 0),
            ("ip6 dst=fd02::2 / icmp6 type=128", "alive", 0),
        ] {
            assert_eq!(meaning(words), (exit, wanted.to_owned()), "{words}");
        }
        let output = run("ask ip dst=10.68.0.1 / tcp dport=80 flags=S");
        let text = told(&output);
        assert!(
            text.contains("10.9.1.254 finds no host 10.68.0.1"),
            "{text}"
        );
        let output = run("sr1 ip dst=10.9.2.2 / tcp dport=80 flags=S -v");
        let text = told(&output);
        assert!(
            text.contains("SYN,ACK") && text.contains("TTL 63 left"),
            "{text}"
        );
        assert!(
            text.contains("tcp.flags.syn: true") && text.contains("open: "),
            "{text}"
        );
        let mut lines = text.lines().filter(|line| line.contains("tcp.dstport: "));
        assert!(
            lines.next().is_some_and(|line| line.ends_with(" given"))
                && text
                    .lines()
                    .any(|line| line.contains("ip.src: 10.9.1.1") && line.ends_with(" computed")),
            "{text}"
        );
    });
}

/// ICMP errors that the kernel has sent from this thread's network: "destination unreachable", IPv4 and IPv6.
fn errors_sent() -> (String, String) {
    let [snmp, snmp6] = ["snmp", "snmp6"]
        .map(|name| fs::read_to_string(format!("/proc/thread-self/net/{name}")).unwrap());
    let [names, values] = [0, 1].map(|row| {
        let row = snmp
            .lines()
            .filter(|line| line.starts_with("Icmp: "))
            .nth(row);
        row.unwrap()
            .split(' ')
            .map(str::to_owned)
            .collect::<Vec<_>>()
    });
    let at = names.iter().position(|name| name == "OutDestUnreachs");
    let v6 = snmp6
        .lines()
        .find_map(|line| line.strip_prefix("Icmp6OutDestUnreachs"));
    (values[at.unwrap()].clone(), v6.unwrap().trim().to_owned())
}

#[test]
fn a_reply_to_a_datagram_is_not_refused_by_the_own_kernel() {
    in_own_network(|| {
        let net = Net::new();
        let Some(_server) = net.serve() else { return };
        for target in ["ip dst=10.9.2.2", "ip6 dst=fd02::2"] {
            let words = format!("{target} / udp dport=53 / text=hello");
            assert_eq!(meaning(&words), (0, "answered".to_owned()));
        }
        run("traceroute -n -q 1 -p 52 10.9.2.2");
        assert_eq!(errors_sent(), ("0".to_owned(), "0".to_owned()));
    });
}

#[test]
fn a_packet_from_a_socket_to_itself_is_no_answer() {
    in_own_network(|| {
        let words = "ip dst=127.0.0.1 / udp sport=9 dport=9 / text=hello";
        assert_eq!(meaning(words), (1, "silent".to_owned()));
    });
}

#[test]
fn neighbours_are_asked_for_their_hardware_address() {
    in_own_network(|| {
        let net = Net::new();
        let mac = |device: &str| {
            let show = Command::new("ip")
                .args(["-o", "link", "show", device])
                .output();
            let shown = String::from_utf8(show.unwrap().stdout).unwrap();
            let mut words = shown
                .split_whitespace()
                .skip_while(|word| *word != "link/ether");
            words.nth(1).unwrap().to_owned()
        };
        let (own, router) = (mac("a0"), net.router.run(|| mac("r0")));
        let solicitation = "eth dst=33:33:ff:00:00:fe / ip6 dst=ff02::1:ff00:fe hlim=255 / icmp6 type=135 target=fd01::fe";
        for (words, address) in [
            (
                "eth dst=ff:ff:ff:ff:ff:ff / arp pdst=10.9.1.254".to_owned(),
                "10.9.1.254",
            ),
            // A link that has just come up may lose the first.
            (
                format!("{solicitation} slla={own} -i a0 --retry 9 --timeout 0.5"),
                "fd01::fe",
            ),
        ] {
            let text = told(&run(&format!("probe {words}")));
            let wanted = format!("answered: {address} is at {router}");
            assert!(text.contains(&wanted), "{text}");
        }
        let (code, word) = meaning("eth dst=ff:ff:ff:ff:ff:ff / arp pdst=10.9.1.77 -i a0");
        assert_eq!((code, word.as_str()), (1, "silent"));
    });
}

#[test]
fn products_give_a_row_a_packet() {
    in_own_network(|| {
        let net = Net::new();
        let Some(_server) = net.serve() else { return };
        let output = run("probe ip dst=10.9.2.2 / tcp dport=79..82 flags=S");
        let text = told(&output);
        // On a busy machine a sentence on the times may follow.
        let rows: Vec<Vec<&str>> = text
            .lines()
            .filter(|line| !line.starts_with("some answers came before"))
            .map(|l| l.split_whitespace().collect())
            .collect();
        assert_eq!(rows.len(), 6, "{text}");
        assert_eq!(rows[0], ["#", "dport", "RTT", "meaning"]);
        for (row, port) in rows[1..5].iter().zip(79..) {
            let word = if port == 80 { "open:" } else { "refused:" };
            assert_eq!(
                (row[1], row[4]),
                (port.to_string().as_str(), word),
                "{text}"
            );
        }
        assert!(
            text.contains("4 sent, 4 answered, 0 % without an answer"),
            "{text}"
        );
    });
}

#[test]
fn asking_several_times_sums_up_and_silence_is_asked_again() {
    in_own_network(|| {
        let net = Net::new();
        let Some(_server) = net.serve() else { return };
        let output = run("probe ip dst=10.9.2.2 / tcp dport=80 flags=S -c 3 --interval 0.05");
        let text = told(&output);
        assert_eq!(
            (code(&output), text.matches("open: ").count()),
            (0, 3),
            "{text}"
        );
        assert!(text.contains("3 sent, 3 answered, 0 %"), "{text}");
        assert!(text.contains("RTT min/avg/max/mdev "), "{text}");
        let (exit, objects) =
            objects("probe ip dst=10.66.0.1 / tcp dport=80 flags=S --retry 2 --timeout 0.1");
        assert_eq!((exit, objects[0]["tries"].as_u64()), (1, Some(3)));
    });
}

#[test]
fn the_round_trip_is_that_of_the_wire() {
    in_own_network(|| {
        let net = Net::new();
        let Some(_server) = net.serve() else { return };
        let mut live = capture::open(&Options {
            interfaces: vec!["a0".to_owned()],
            buffer: 4 << 20,
            ..Options::default()
        })
        .unwrap();
        // The first asking finds the neighbours.
        let words = "probe ip dst=10.9.2.2 / tcp dport=80 flags=S";
        run(words);
        let (_, objects) = objects(words);
        live.stop();
        let mut times = Vec::new();
        loop {
            match live.next(now().plus(SECOND)).unwrap() {
                Step::Batch(batch) => {
                    // ARP has part of an address where IPv4 names the protocol.
                    let tcp = batch.frames().filter(|frame| {
                        frame.bytes[12..14] == [8, 0] && frame.bytes.get(23) == Some(&6)
                    });
                    times.extend(tcp.map(|frame| (frame.bytes[47], frame.time)));
                }
                Step::End(_) => break,
                Step::Quiet(_) | Step::Link(_) => {}
            }
        }
        let last = |flags: u8| {
            times
                .iter()
                .rev()
                .find(|(seen, _)| *seen == flags)
                .unwrap()
                .1
        };
        let wire = last(0x12).since(last(0x02));
        let told = (objects[0]["rtt"].as_f64().unwrap() * 1e9) as i64;
        assert!(
            wire > 0 && told >= wire,
            "told {told} ns, on the wire {wire} ns"
        );
        // The way into the kernel, and a busy machine, come on top.
        assert!(
            told < wire * 10 + 5 * MILLISECOND,
            "told {told} ns, on the wire {wire} ns"
        );
    });
}

fn now() -> Time {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    Time::from_nanos(since.as_nanos() as i64)
}

#[test]
fn what_was_sent_and_heard_is_recorded() {
    in_own_network(|| {
        let net = Net::new();
        let Some(_server) = net.serve() else { return };
        let file = temporary("probe.pcapng");
        let path = file.display();
        let output = run(&format!(
            "probe ip dst=10.9.2.2 / udp dport=53 / text=hi -w {path}"
        ));
        assert_eq!(code(&output), 0, "{}", told(&output));
        let read = told(&run(&format!("read -A {path}")));
        fs::remove_file(&file).unwrap();
        let lines: Vec<&str> = read.lines().filter(|line| line.contains('→')).collect();
        assert_eq!(lines.len(), 2, "{read}");
        assert!(
            lines[0].contains("→ 10.9.2.2:53") && lines[1].contains("10.9.2.2:53 →"),
            "{read}"
        );
        assert!(read.contains("re: hi"), "{read}");
    });
}

/// Traces the route to `target` behind `router`; probes like `how` get an answer that means `word` there.
fn traced(how: &str, (router, target): (&str, &str), word: &str) {
    let (exit, hops) = objects(&format!("traceroute -n {how} {target}"));
    assert_eq!((exit, hops.len()), (0, 2), "{how}: {hops:?}");
    let wanted = [(router, "time exceeded", 64), (target, word, 63)];
    for (hop, (from, word, ttl)) in hops.iter().zip(wanted) {
        let probes = hop["probes"].as_array().unwrap();
        assert_eq!(probes.len(), 3);
        for probe in probes {
            assert_eq!(probe["from"], from, "{how}: {hops:?}");
            assert_eq!(probe["meaning"], word, "{how}: {hops:?}");
            assert_eq!(probe["ttl"], ttl, "{how}: {hops:?}");
        }
    }
    let quoted = &hops[0]["probes"][0]["quoted"];
    let unchanged = (&1.into(), &Value::Array(vec![]));
    assert_eq!((&quoted["ttl"], &quoted["changes"]), unchanged);
    assert!(quoted["bytes"].as_u64().unwrap() >= 40, "{quoted}");
}

#[test]
fn routes_are_traced_hop_by_hop() {
    in_own_network(|| {
        let net = Net::new();
        let Some(_server) = net.serve() else { return };
        for (how, word) in [
            ("--udp", "refused"),
            ("--tcp", "open"),
            ("--tcp -p 81", "refused"),
            ("--icmp", "alive"),
        ] {
            for (target, from) in [("10.9.2.2", "10.9.1.254"), ("fd02::2", "fd01::fe")] {
                traced(how, (from, target), word);
            }
        }
        let text = told(&run("traceroute -n -q 1 10.9.2.2"));
        assert!(text.contains("10.9.2.2 is behind 1 router\n"), "{text}");
        let output = run("traceroute -n -q 1 -m 3 --timeout 0.3 10.66.0.1");
        assert_eq!(
            (code(&output), told(&output).matches('*').count()),
            (1, 3),
            "{}",
            told(&output)
        );
        // A router that cannot go on ends it.
        let text = told(&run("traceroute -n -q 1 10.68.0.1"));
        assert!(
            text.contains("the way ends at TTL") && text.contains("says unreachable"),
            "{text}"
        );
        drop(net.router);
    });
}

#[test]
fn without_the_right_it_says_which_is_missing() {
    in_own_network(|| {
        thread::scope(|scope| {
            scope.spawn(|| {
                caps::clear(None, caps::CapSet::Bounding).unwrap();
                for words in [
                    "probe ip dst=127.0.0.1 / tcp dport=80",
                    "traceroute 127.0.0.1",
                ] {
                    let output = run(words);
                    let text = told(&output);
                    assert_eq!(code(&output), 3, "{text}");
                    assert!(
                        text.contains("CAP_NET_RAW") && text.contains("sudo"),
                        "{text}"
                    );
                }
            });
        });
    });
}

#[test]
fn mistakes_are_told_before_anything_is_sent() {
    in_own_network(|| {
        for (words, exit, wanted) in [
            ("probe ip dst=10.9.2.2 / tpc", 2, "no layer tpc"),
            ("probe tcp dport=80", 2, "begins with"),
            ("probe ip dst=192.0.2.1 / tcp", 4, "no route to 192.0.2.1"),
            ("probe ip dst=127.0.0.1 / tcp sport=1..20000", 2, "-c 1"),
            ("traceroute -f 9 -m 3 127.0.0.1", 2, "-f 9"),
            ("traceroute -6 127.0.0.1", 4, "no IPv6 address"),
        ] {
            let output = run(words);
            let text = told(&output);
            assert_eq!(code(&output), exit, "{words}: {text}");
            assert!(text.contains(wanted), "{words}: {text}");
        }
    });
}

#[test]
fn ctrl_c_ends_it_with_the_sum() {
    in_own_network(|| {
        let mut child = program()
            .args("probe ip dst=127.0.0.1 / tcp dport=80 -c 1000 --interval 60".split(' '))
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        while !line.contains("refused") {
            line.clear();
            assert!(output.read_line(&mut line).unwrap() > 0);
        }
        kill(Pid::from_raw(child.id() as i32), Signal::SIGINT).unwrap();
        let mut rest = String::new();
        output.read_to_string(&mut rest).unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(0));
        assert!(rest.contains("1 sent, 1 answered"), "{rest}");
    });
}
