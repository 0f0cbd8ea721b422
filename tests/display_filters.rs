//! Display filters select the packets that Wireshark's select: fixed numbers, tshark beside them where it is installed, and
//! the door through which `tests/peers/display_filters.py` asks thousands of expressions in one process.

#![allow(clippy::unwrap_used)]

#[path = "../src/testing.rs"]
mod testing;

use std::{
    collections::HashMap,
    env,
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use sockwire::{
    decode::{Decoded, Decoder},
    file,
    filter::{DisplayFilter, NoNames},
    frame::{Source, Step},
    proto::frame::Around,
    time::Time,
    track::Tracker,
};

/// For each expression the numbers of the packets that it selects, with blanks between, or `error` and why it is refused.
/// The capture is decoded and tracked once for all of them.
fn select(capture: &Path, expressions: &[&str]) -> Vec<String> {
    let filters: Vec<_> = expressions
        .iter()
        .map(|expression| DisplayFilter::compile(expression, &NoNames))
        .collect();
    let mut answers: Vec<String> = filters
        .iter()
        .map(|filter| match filter {
            Ok(_) => String::new(),
            Err(fault) => format!("error {}", fault.message.replace('\n', " ")),
        })
        .collect();
    let mut source = file::open(capture).unwrap();
    let decoder = Decoder::default();
    let mut decoded = Decoded::default();
    let mut tracker = Tracker::default();
    while let Ok(Step::Batch(batch)) = source.next(Time::MAX) {
        decoder.batch(&batch, &mut decoded);
        for index in 0..batch.len() {
            tracker.packet(&decoder, &batch, &mut decoded, index);
            let packet = decoded.packet(&batch, index).unwrap();
            let around = Around::of(source.interfaces(), &batch, index);
            for (filter, answer) in filters.iter().zip(&mut answers) {
                if filter.as_ref().is_ok_and(|f| f.matches(&packet, &around)) {
                    let gap = if answer.is_empty() { "" } else { " " };
                    write!(answer, "{gap}{}", packet.frame.number).unwrap();
                }
            }
        }
    }
    answers
}

fn capture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("captures")
        .join(name)
        .with_extension("pcapng")
}

/// Answers the lines of the file that `SOCKWIRE_EXPRESSIONS` names (a capture, a tab, an expression) with as many lines
/// in the file that `SOCKWIRE_MATCHES` names.
#[test]
fn answers_expressions() {
    let (Some(asked), Some(answered)) = (
        env::var_os("SOCKWIRE_EXPRESSIONS"),
        env::var_os("SOCKWIRE_MATCHES"),
    ) else {
        return;
    };
    let asked = fs::read_to_string(asked).unwrap();
    let asked: Vec<_> = asked.lines().map(|l| l.split_once('\t').unwrap()).collect();
    let mut of: HashMap<&str, Vec<&str>> = HashMap::new();
    for &(capture, expression) in &asked {
        of.entry(capture).or_default().push(expression);
    }
    let mut answers: HashMap<_, _> = of
        .iter()
        .map(|(capture, expressions)| {
            (
                *capture,
                select(Path::new(capture), expressions).into_iter(),
            )
        })
        .collect();
    let mut text = String::new();
    for (capture, _) in asked {
        text += &answers.get_mut(capture).unwrap().next().unwrap();
        text.push('\n');
    }
    fs::write(answered, text).unwrap();
}

#[test]
fn known_packets_of_known_captures() {
    for (name, expression, want) in [
        ("handshake", "", "1 2 3 4 5 6 7 8 9 10"),
        ("handshake", "tcp.flags.syn == 1", "1 2"),
        ("handshake", "tcp.flags.syn == 1 && tcp.flags.ack == 0", "1"),
        ("handshake", "tcp.port == 5000 and tcp.len > 0", "4 6"),
        // Every value differs, and some value differs.
        ("handshake", "ip.addr != 10.0.0.1", ""),
        ("handshake", "ip.addr !== 10.0.0.1", "1 2 3 4 5 6 7 8 9 10"),
        ("handshake", "data contains \"hell\"", "4"),
        ("handshake", "tcp.seq in {0, 7..8}", "1 2 7 8 9 10"),
        ("handshake", "ip.src == 10.0.0.0/31", "1 3 4 7 8 10"),
        ("handshake", "tcp[13] & 2", "1 2"),
        ("handshake", "ip.ttl == 256", "error"),
        ("handshake", "tcp.port == ", "error"),
        (
            "half-close",
            "tcp.flags.fin == 1 or tcp.seq == 0",
            "1 2 5 8",
        ),
        ("udp", "icmp", "4"),
        // The packet that the ICMP error quotes is the second of its kind.
        ("udp", "udp.dstport == 5001", "3 4"),
        ("udp", "ip#2", "4"),
        ("udp", "ip.src#2 == 10.0.0.1", "4"),
        ("udp-ipv6", "ipv6.addr == 2001:db8::/32 && !icmpv6", "1 2 3"),
        ("vlan", "vlan.id", "1 2 3 4 5 6 7 8 9 10"),
        ("lost-syn", "tcp.seq == 0 and not tcp.flags.ack == 1", "1 2"),
        (
            "fragments",
            "ip.flags.mf == 1 || ip.frag_offset > 0",
            "1 2 3",
        ),
    ] {
        let found = select(&capture(name), &[expression]).remove(0);
        let refused = found.starts_with("error");
        assert_eq!(
            if refused { "error" } else { &found },
            want,
            "{name}: {expression}: {found}"
        );
    }
}

/// One expression a line, of every construct of the language.
const EXPRESSIONS: &str = r#"
tcp
TCPX
not tcp
!udp
tcp or udp
tcp && !(tcp.flags.syn == 1)
tcp || udp && icmp
not tcp and not udp
not (tcp and udp)
tcp and
(tcp
tcp)
ip.src
!ip.src
ip.addr == 10.0.0.1
ip.addr eq 10.0.0.1
ip.addr != 10.0.0.1
ip.addr ne 10.0.0.1
!(ip.addr == 10.0.0.1)
ip.addr === 10.0.0.1
ip.addr !== 10.0.0.1
ip.addr ~= 10.0.0.1
ip.addr any_eq 10.0.0.1
ip.addr all_eq 10.0.0.1
ip.addr any_ne 10.0.0.1
ip.addr all_ne 10.0.0.1
any ip.addr == 10.0.0.1
all ip.addr == 10.0.0.1
all ip.addr > 10.0.0.0
ip.addr == 10.0.0.0/24
ip.src == 10.0.0.0/31
ip.dst != 10.0.0.2/31
ip.src < 10.0.0.2
ip.src >= 10.0.0.2
ip.src in {10.0.0.1, 10.0.0.7}
ip.src in {10.0.0.2..10.0.0.9}
ip.src == 10.0.0
ip.src == 10.0.0.1/33
ip.src == ip.dst
ip.src < ip.dst
ip.src == eth.src
ip.src[0] == 0a
ip.src[3] == 02
ip.src[2:2] == 00:01
ip.src contains 0a
ipv6.addr == 2001:db8::1
ipv6.addr == 2001:db8::/64
ipv6.src == 2001:0db8:0:0:0:0:0:1
ipv6.dst[15] == 2
ipv6.dst in {2001:db8::1..2001:db8::2}
eth.addr == 02:00:00:00:00:01
eth.src == 02-00-00-00-00-01
eth.src == 0200.0000.0001
eth.dst[0:3] == 02:00:00
eth.dst[-1] == 2
eth.dst[5] > 1
eth.src contains 00:01
eth.type == 0x0800
eth.type == 2048
eth.type == 0b100000000000
vlan.id == 42
vlan.id > 0
vlan and tcp.flags.fin == 1
ip.ttl == 64
ip.ttl == 0x40
ip.ttl == 0100
ip.ttl > 63
ip.ttl gt 64
ip.ttl < 64
ip.ttl lt 65
ip.ttl <= 64
ip.ttl le 63
ip.ttl >= 64
ip.ttl ge 65
ip.ttl == 256
ip.ttl == -1
ip.ttl == "64"
ip.ttl == abc
ip.ttl & 0x40
ip.ttl & 0xf0 == 0x40
ip.ttl bitwise_and 1
ip.ttl + 1 == 65
ip.ttl * 2 == 128
ip.ttl / 3 == 21
ip.ttl % 10 == 4
ip.ttl - 64 == 0
{ip.ttl + 1} * 2 == 130
ip.ttl == {60 + 4}
-ip.ttl == -64
ip.proto == 6
ip.proto == "TCP"
ip.proto == TCP
ip.id == 0
ip.flags.df == 1
ip.flags.df == True
ip.flags.df == "Set"
ip.flags.df
ip.flags.mf == 1 || ip.frag_offset > 0
ip.ttl#1 == 64
ip.ttl#2
ip.ttl#[-1] == 64
ip.src#[1-2] == 10.0.0.1
ip.src#2 == 10.0.0.1
ip#2
ip#1
udp#2
tcp.port == 5000
tcp.port != 5000
tcp.port in {80, 443, 4000..6000}
tcp.port in {80,443}
tcp.port not in {80, 443}
tcp.srcport in {5000}
tcp.port in {}
tcp.port in {80 443}
tcp.srcport == tcp.dstport
tcp.srcport > tcp.dstport
tcp.srcport + 1 > tcp.dstport
tcp.flags.syn
tcp.flags.syn == 1
tcp.flags.syn == 1 and tcp.flags.ack == 0
tcp.flags.syn == TRUE
tcp.len > 0
tcp.len > 0 and ip.src == 10.0.0.1
tcp.seq == 0
tcp.seq > tcp.ack
tcp.seq_raw > 0x80000000
tcp.stream == 0
tcp.window_size > 64000
tcp.window_size_scalefactor == -2
tcp.checksum & 1
tcp.options.mss_val == 1460
tcp.option_kind == 3
tcp.option_kind === 3
all tcp.option_kind > 0
count(tcp.option_kind) > 4
count(ip.addr) == 2
len(tcp) > 20
len(eth.src) == 6
tcp[13] == 2
tcp[13] & 2
tcp[0:2] == 13:88
tcp[2:] contains 13:88
tcp[-4:] contains 00
tcp contains 13:88
tcp.option_kind[0] == 2
frame contains "hello"
frame matches "HEL+O"
frame matches "(?-i)HEL+O"
data contains "hell"
data contains 68:65
data contains "\x68\x65"
data matches "^h"
data.data == 68:65:6c:6c:6f:0a
data.data[0:2] == 68:65
data.len == 6
data.len == 6 or udp.length == 13
frame.len > 70
frame.number in {1, 3, 5..7}
frame.number % 2 == 1
frame.time_epoch > 1000000000
frame.time_epoch > 1000000000.5
frame[12:2] == 08:00
frame[14] == 45
frame.interface_name == "lo"
upper(frame.interface_name) contains "C"
lower(frame.interface_name) matches "[a-z]"
string(ip.ttl) == "64"
string(tcp.port) matches "^50"
string(frame.number) contains "1"
max(tcp.srcport, tcp.dstport) == 5000
min(tcp.srcport, tcp.dstport) == 5000
abs(ip.ttl) == 64
icmp
icmp.type == 3
icmp.type == 3 && icmp.code == 3
icmpv6.type == 1
icmp && udp.dstport == 5001
udp.length == 13
udp.checksum.status == 1
udp.stream == 1
nosuch.field == 1
tcp.nosuch
tcp.port = 5000
tcp.port == 5000 5001
tcp.port =! 5000
"#;

/// What tshark selects in each capture: as [`select`], without the words of errors. `None` where it cannot be asked.
fn tshark(capture: &Path, expressions: &[&str]) -> Option<Vec<String>> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/peers/display_filters.lua");
    let (asked, answered) = (folder.join("asked.txt"), folder.join("answered.txt"));
    let _ = fs::remove_file(&answered);
    fs::write(&asked, expressions.join("\n")).unwrap();
    let mut command = Command::new("tshark");
    for layer in ["ip", "tcp", "udp"] {
        command.args(["-o", &format!("{layer}.check_checksum:TRUE")]);
    }
    let script = format!("lua_script:{}", script.display());
    let done = command
        .args(["-n", "-q", "-X", &script, "-r"])
        .arg(capture)
        .env("FILTER_IN", &asked)
        .env("FILTER_OUT", &answered)
        .env("FILTER_STATE", folder.join("state.txt"))
        .output()
        .ok()?;
    let text = fs::read_to_string(answered).ok()?;
    done.status
        .success()
        .then(|| text.lines().map(str::to_owned).collect())
}

#[test]
fn the_packets_that_tshark_selects() {
    let version = Command::new("tshark").arg("--version").output();
    let version = version.map_or(String::new(), |o| {
        String::from_utf8_lossy(&o.stdout).into_owned()
    });
    if !version.starts_with("TShark (Wireshark) 4.0") {
        // Later ones have another language.
        testing::skipped("tshark 4.0 is not installed");
        return;
    }
    let expressions: Vec<&str> = EXPRESSIONS.lines().skip(1).collect();
    let mut wrong = String::new();
    for name in [
        "handshake",
        "half-close",
        "lost-syn",
        "udp",
        "udp-ipv6",
        "vlan",
        "fragments",
    ] {
        let capture = capture(name);
        let Some(theirs) = tshark(&capture, &expressions) else {
            testing::skipped("tshark has no Lua");
            return;
        };
        assert_eq!(theirs.len(), expressions.len());
        let refused = theirs.iter().filter(|a| a.starts_with("error")).count();
        assert!((10..40).contains(&refused), "tshark refuses {refused}");
        let ours = select(&capture, &expressions);
        for ((expression, want), found) in expressions.iter().zip(theirs).zip(ours) {
            let both_refuse = want.starts_with("error") && found.starts_with("error");
            if want != found && !both_refuse {
                writeln!(
                    wrong,
                    "{name}: {expression}\n  tshark: {want}\n  sockwire: {found}"
                )
                .unwrap();
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}
