//! The handshake by hand as a user meets it: with real peers (Python, ncat, curl) in private networks, both ways, both
//! sides, and what is recorded of it without a word of complaint from tshark.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod lan;

use std::{
    os::unix::process::CommandExt,
    process::{Command, Output},
};

use lan::{Scratch, printed_in_lab, testing};
use serde_json::Value;

const PROGRAM: &str = env!("CARGO_BIN_EXE_sockwire");

/// Makes the network, and speaks of what the peers saw: every test's script goes on from here.
const PRELUDE: &str = r#"
import fcntl, json, shutil, socket, struct, subprocess, sys, threading
PROGRAM, FILE = sys.argv[1:3]
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
    fcntl.ioctl(s, 0x8914, struct.pack("16sh22x", b"lo", 1))

def by_hand(*words):
    return subprocess.Popen([PROGRAM, "handshake", *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

def tell(hand, peer):
    out, err = hand.communicate(timeout=40)
    print(json.dumps({"exit": hand.returncode, "out": out, "err": err, "peer": peer}))

# A server for one client: what it heard, and how that ended, are left in `heard`.
def serve(address, reply=b"", closes_first=False, heard=None):
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    listener = socket.socket(family)
    listener.bind((address, 0))
    listener.listen()
    listener.settimeout(30)
    def run():
        stream, _ = listener.accept()
        stream.settimeout(30)
        try:
            if closes_first:
                heard.append(stream.recv(100).decode())
                stream.sendall(reply)
                stream.shutdown(socket.SHUT_WR)
            while data := stream.recv(100):
                heard.append(data.decode())
                stream.sendall(reply)
            heard.append("end")
        except OSError as error:
            heard.append(type(error).__name__)
        stream.close()
    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return listener.getsockname()[1], thread
"#;

/// What a script told of one run.
#[derive(Debug)]
struct Told {
    exit: i64,
    out: String,
    err: String,
    peer: String,
}

/// Runs a script in a network of its own; says why where that cannot be. One value for each call of `tell`.
fn inside(script: &str, file: &str) -> Option<Vec<Told>> {
    let output = Command::new("unshare")
        .args(["--user", "--map-root-user", "--net", "python3", "-c"])
        .arg(format!("{PRELUDE}{script}"))
        .args([PROGRAM, file])
        .output();
    let output = match output {
        Ok(output) if output.status.success() => output,
        Ok(output) => {
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(said.contains("unshare"), "{said}");
            testing::skipped(format_args!("no private network here: {}", said.trim()));
            return None;
        }
        Err(error) => {
            testing::skipped(format_args!("no unshare command here: {error}"));
            return None;
        }
    };
    let lines = String::from_utf8(output.stdout).unwrap();
    let told = lines.lines().map(|line| {
        let value: Value = serde_json::from_str(line).unwrap();
        let text = |key: &str| value[key].as_str().unwrap_or_default().to_owned();
        Told {
            exit: value["exit"].as_i64().unwrap(),
            out: text("out"),
            err: text("err"),
            peer: text("peer"),
        }
    });
    Some(told.collect())
}

/// tshark finds nothing to complain of in a capture, but repetitions of `lost` segments.
fn tshark_is_content(file: &str, lost: usize) {
    let output = Command::new("tshark")
        .args(["-r", file, "-Y", "tcp.analysis.flags || _ws.malformed"])
        .output();
    match output {
        Ok(output) => {
            let found = String::from_utf8_lossy(&output.stdout).into_owned();
            assert_eq!(found.lines().count(), lost, "{found}");
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{said}");
        }
        Err(_) => testing::skipped("no tshark here"),
    }
}

/// The states that a client goes through, in the ladder's left margin.
fn has_in_order(text: &str, wanted: &[&str]) {
    let mut rest = text;
    for word in wanted {
        let Some(at) = rest.find(word) else {
            panic!("no {word:?} in time:\n{text}");
        };
        rest = &rest[at..];
    }
}

#[test]
fn a_python_server_is_called_over_loopback_and_closed_in_every_way() {
    let scratch = Scratch::new("hand-loopback");
    let script = r#"
for address in ["127.0.0.1", "::1"]:
    for close, first in [("fin", False), ("fin", True), ("rst", False)]:
        heard = []
        port, thread = serve(address, b"world\n", first, heard)
        name = f"{FILE}.{address}.{close}.{first}.pcapng"
        hand = by_hand(address, str(port), "--send", r"hello\n", "--close", close, "-w", name)
        thread.join()
        tell(hand, " ".join(heard))
"#;
    let file = scratch.file("c");
    let Some(told) = inside(script, &file) else {
        return;
    };
    assert_eq!(told.len(), 6);
    let wanted = [
        ("hello\n end", "TIME-WAIT is ours"),
        ("hello\n end", "TIME-WAIT is the peer's"),
        ("hello\n ConnectionResetError", "ended with our RST"),
    ];
    for (run, (peer, ended)) in told.iter().zip(wanted.iter().cycle()) {
        assert_eq!(run.exit, 0, "{run:?}");
        assert_eq!(run.peer, *peer, "{run:?}");
        let said = run.out.replace('\n', " ");
        assert!(said.contains(ended), "{run:?}");
        assert!(run.out.contains("received 6 bytes:\n  world\n"), "{run:?}");
        assert!(run.err.contains("the kernel is kept quiet"), "{run:?}");
    }
    has_in_order(
        &told[0].out,
        &["SYN-SENT", "ESTABLISHED", "FIN-WAIT-1", "TIME-WAIT"],
    );
    has_in_order(&told[1].out, &["CLOSE-WAIT", "LAST-ACK", "CLOSED"]);
    for address in ["127.0.0.1", "::1"] {
        for end in ["fin.False", "fin.True", "rst.False"] {
            tshark_is_content(&format!("{file}.{address}.{end}.pcapng"), 0);
        }
    }
}

#[test]
fn raw_sockets_are_enough_where_no_filter_may_be_attached() {
    let script = r#"
if not shutil.which("setpriv"):
    sys.exit(0)
drop = ["setpriv", "--bounding-set=-all,+net_raw", "--inh-caps=-all,+net_raw"]
for ttl in [64, 255]:
    with open("/proc/sys/net/ipv4/ip_default_ttl", "w") as setting:
        setting.write(str(ttl))
    heard = []
    port, thread = serve("127.0.0.1", b"world\n", False, heard)
    words = ["handshake", "127.0.0.1", str(port), "--send", "hello"]
    hand = subprocess.Popen([*drop, PROGRAM, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    # Reset before it was accepted, the second is a connection that the server never hears of.
    if ttl == 64:
        thread.join()
    tell(hand, " ".join(heard))
"#;
    let Some(told) = inside(script, "") else {
        return;
    };
    let [usual, defeated] = &told[..] else {
        testing::skipped("no setpriv command here");
        return;
    };
    if usual.err.contains("whose filter") {
        testing::skipped("this kernel lets anybody attach a filter");
        return;
    }
    assert!(usual.err.contains("that wants TTL 255"), "{usual:?}");
    assert_eq!(
        (usual.exit, usual.peer.as_str()),
        (0, "hello end"),
        "{usual:?}"
    );
    assert!(
        defeated.out.contains("the peer sends with TTL 255"),
        "{defeated:?}"
    );
}

#[test]
fn a_refusal_a_silence_and_a_missing_route_have_their_exit_codes() {
    let script = r#"
tell(by_hand("127.0.0.1", "9", "--json"), "")
tell(by_hand("192.0.2.1", "80"), "")
tell(by_hand("localhost", "9", "--source", "192.0.2.7"), "")
tell(by_hand("--listen", "9", "--timeout", "0.1"), "")
tell(by_hand("127.0.0.1", "9", "--with", "ip", "dst=127.0.0.2"), "")
tell(by_hand("--listen", "9", "--with", "ip", "chksum=0x1234"), "")
tell(by_hand("--listen", "9", "--timeout", "0.1", "--with", "ip6", "hlim=5"), "")
"#;
    let Some(told) = inside(script, "") else {
        return;
    };
    let exits: Vec<i64> = told.iter().map(|run| run.exit).collect();
    assert_eq!(exits, [1, 4, 4, 1, 2, 2, 1], "{told:?}");
    assert_eq!(told[0].out.lines().count(), 2, "{told:?}");
    for line in told[0].out.lines() {
        let packet: Value = serde_json::from_str(line).unwrap();
        assert_eq!(packet["schema"], 1);
    }
    assert!(told[0].err.contains("refused: a RST answered our SYN"));
    assert!(told[1].err.contains("no route to 192.0.2.1"), "{told:?}");
    assert!(told[2].err.contains("192.0.2.7"), "{told:?}");
    assert!(told[3].out.contains("nobody called"), "{told:?}");
    assert!(told[4].err.contains("HOST does"), "{told:?}");
    assert!(
        told[5].err.contains("correct its header checksum"),
        "{told:?}"
    );
    assert!(told[6].err.contains("raw IPv6 socket\n"), "{told:?}");
}

#[test]
fn clients_of_the_kernel_connect_to_the_server_by_hand() {
    let scratch = Scratch::new("hand-listen");
    let script = r#"
import time
def waiting(*words):
    hand = by_hand("--listen", "5000", *words)
    # It says who it is when every socket is open.
    hand.stderr.readline()
    return hand

hand = waiting("--send", r"world\n", "-w", FILE + ".fin.pcapng")
with socket.create_connection(("127.0.0.1", 5000)) as s:
    s.sendall(b"hello\n")
    heard = s.recv(100).decode()
tell(hand, heard)

hand = waiting("--send", r"world\n", "-w", FILE + ".first.pcapng")
with socket.create_connection(("::1", 5000)) as s:
    # It says nothing: so the server begins, and closes.
    heard = ""
    while data := s.recv(100):
        heard += data.decode()
tell(hand, heard)

if shutil.which("ncat"):
    hand = waiting("--send", r"world\n")
    peer = subprocess.run(["ncat", "127.0.0.1", "5000"], input="hello\n", capture_output=True, text=True, timeout=30)
    tell(hand, peer.stdout)
if shutil.which("curl"):
    hand = waiting("--send", r"HTTP/1.0 200 OK\r\n\r\nworld\n")
    peer = subprocess.run(["curl", "-s", "http://127.0.0.1:5000/"], capture_output=True, text=True, timeout=30)
    tell(hand, peer.stdout)
"#;
    let file = scratch.file("s");
    let Some(told) = inside(script, &file) else {
        return;
    };
    for run in &told {
        assert_eq!((run.exit, run.peer.as_str()), (0, "world\n"), "{run:?}");
        has_in_order(
            &run.out,
            &["SYN-RECEIVED", "ESTABLISHED", "closed: both FINs"],
        );
    }
    assert!(told[0].out.contains("  hello\n"), "{}", told[0].out);
    if told.len() < 4 {
        testing::skipped("no ncat or no curl here");
    }
    tshark_is_content(&format!("{file}.fin.pcapng"), 0);
    tshark_is_content(&format!("{file}.first.pcapng"), 0);
}

#[test]
fn a_server_is_called_over_a_cable() {
    let scratch = Scratch::new("hand-veth");
    let script = r#"
if not shutil.which("ip"):
    sys.exit(0)
def ip(words):
    subprocess.run(["ip", *words.split()], check=True)

# The other end of the cable, in a network of its own, with a server that sends back what it gets.
ECHO = """
import socket
listener = socket.create_server(("", 5000), family=socket.AF_INET6, dualstack_ipv6=True)
while True:
    stream, _ = listener.accept()
    while data := stream.recv(100):
        stream.sendall(data)
    stream.close()
"""
server = "ncat -l -k 5000 -e /bin/cat" if shutil.which("ncat") else f"python3 -c '{ECHO}'"
other = subprocess.Popen(["unshare", "-n", "sh", "-c", """
    echo ready; read go
    ip link set v1 up; ip addr add 10.9.0.2/24 dev v1; ip addr add fd09::2/64 dev v1 nodad
    echo up; exec """ + server],
    stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
other.stdout.readline()
ip("link add v0 type veth peer name v1 netns %d" % other.pid)
ip("link set v0 up")
ip("addr add 10.9.0.1/24 dev v0")
ip("addr add fd09::1/64 dev v0 nodad")
print("go", file=other.stdin, flush=True)
other.stdout.readline()
for address in ["10.9.0.2", "fd09::2"]:
    for attempt in range(50):
        try:
            socket.create_connection((address, 5000), timeout=1).close()
            break
        except OSError:
            threading.Event().wait(0.05)
    tell(by_hand(address, "5000", "--send", r"hello\n", "-v", "-w", f"{FILE}.{address}.pcapng",
                 "--with", "tcp", "seq=4294967293", "window=2000", "mss=500", "ws=3", "ts=7:0"), "")
other.kill()
"#;
    let file = scratch.file("v");
    let Some(told) = inside(script, &file) else {
        return;
    };
    if told.is_empty() {
        testing::skipped("no ip command here");
    }
    if Command::new("ncat").arg("--version").output().is_err() {
        testing::skipped("no ncat here: Python serves in its place");
    }
    for run in &told {
        assert_eq!(run.exit, 0, "{run:?}");
        assert!(run.out.contains("received 6 bytes:\n  hello\n"), "{run:?}");
        // The sequence number wraps around in the middle of the text.
        assert!(run.out.contains("ours 4294967293"), "{run:?}");
        let said = run.out.split_whitespace().collect::<Vec<_>>().join(" ");
        for step in [
            "ack=1 is our ISN + 1: our SYN has arrived",
            "windows times 2^3 (ours)",
            "6 bytes from seq=1 on: their acknowledgment is 1 + 6 = 7",
            "the peer's FIN has seq=7 and counts as one byte",
        ] {
            assert!(said.contains(step), "{step}: {}", run.out);
        }
    }
    for address in ["10.9.0.2", "fd09::2"].iter().take(told.len()) {
        tshark_is_content(&format!("{file}.{address}.pcapng"), 0);
    }
}

/// Runs the program, as an ordinary user where this one is root.
fn ordinary(words: &[&str]) -> Output {
    let mut command = Command::new(PROGRAM);
    if nix::unistd::geteuid().is_root() {
        command.uid(65_534).gid(65_534);
    }
    command.args(words).output().unwrap()
}

/// What a run in the lab printed; nothing where there are no private networks for ordinary users.
fn in_the_lab(words: &[&str]) -> Option<String> {
    printed_in_lab(ordinary(words))
}

#[test]
fn an_ordinary_user_shakes_hands_in_a_lab() {
    for version in [&[][..], &["--ipv6"]] {
        let Some(shown) = in_the_lab(&[&["handshake"], version].concat()) else {
            return;
        };
        has_in_order(
            &shown,
            &[
                "LISTEN",
                "SYN-SENT",
                "SYN-RECEIVED",
                "-- data",
                "hello",
                "-- close: the client began",
                "TIME-WAIT",
                "received 6 bytes:\n  hello\n",
                "closed: both FINs",
            ],
        );
        assert!(
            shown.lines().all(|line| line.chars().count() <= 80),
            "{shown}"
        );
    }
}

#[test]
fn a_lost_syn_is_sent_again() {
    let scratch = Scratch::new("hand-lost");
    // The file belongs to whoever runs the program.
    let file = scratch.file("lost.pcapng");
    let output = Command::new(PROGRAM)
        .args(["handshake", "--drop", "syn", "--delay", "1", "-w", &file])
        .output()
        .unwrap();
    if output.status.code() == Some(3) {
        testing::skipped("no private network here");
        return;
    }
    let shown = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{shown}");
    has_in_order(
        &shown,
        &[
            "✗",
            "SYN seq=0 again (of 1)",
            "1 segment sent",
            "closed: both FINs",
        ],
    );
    // What the wire saw has the lost SYN too: one repetition.
    tshark_is_content(&file, 1);
}

#[test]
fn the_kernels_rst_is_shown_and_explained() {
    let Some(shown) = in_the_lab(&["handshake", "--rst", "kernel"]) else {
        return;
    };
    let said = shown.split_whitespace().collect::<Vec<_>>().join(" ");
    has_in_order(
        &said,
        &[
            "SYN,ACK seq=0 ack=1",
            "RST seq=1",
            "your kernel sent packet 3",
            "no socket owns",
            "ended by your own kernel, with packet 3",
        ],
    );
    assert!(!shown.contains("received 6 bytes"), "{shown}");
}

#[test]
fn without_rights_the_ways_out_are_named() {
    let output = ordinary(&["handshake", "127.0.0.1", "9"]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(3), "{said}");
    assert!(
        said.contains("CAP_NET_RAW") && said.contains("in a lab:  sockwire handshake"),
        "{said}"
    );
}
