//! Capture filters select what tcpdump's programs select, and no text makes either filter language panic or hang.
//!
//! `tests/peers/capture_filters.py` compares many more, and has its expressions compiled here: see
//! [`compiles_the_expressions_of_a_file`].

#![allow(clippy::unwrap_used)]

use std::{
    cell::LazyCell,
    env,
    fmt::Write as _,
    fs,
    net::{IpAddr, Ipv4Addr, ToSocketAddrs as _},
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use sockwire::{
    bpf::{Input, Instruction, Program},
    decode::{Decoded, Decoder},
    file,
    filter::{
        CaptureFilter, DisplayFilter, Names, NoNames, Service,
        capture::{Compiled, Place, Target},
    },
    frame::{Batch, Record, Source, Step},
    link::LinkType,
    proto::frame::Around,
    time::Time,
};

#[path = "../src/testing.rs"]
mod testing;

const LINKS: [LinkType; 10] = [
    LinkType::ETHERNET,
    LinkType::LINUX_SLL,
    LinkType::LINUX_SLL2,
    LinkType::RAW,
    LinkType::IPV4,
    LinkType::IPV6,
    LinkType::NULL,
    LinkType::LOOP,
    LinkType::PPP,
    LinkType::PPP_SERIAL,
];
const PLACES: [Place; 3] = [Place::Frame, Place::Kernel, Place::KernelCooked];

/// Expressions without loops in libpcap's program (`protochain`), and without what depends on the machine's tables.
const EXPRESSIONS: &str = "
tcp
udp
icmp
icmp6
igmp
arp
rarp
ip
ip6
sctp
esp or ah
pim or vrrp or carp or igrp
stp or iso or ipx or netbeui
atalk or aarp
decnet or lat or sca or moprc or mopdl
decnet src 1.1
decnet host 1.2
host 10.0.0.1
src host 10.0.0.1
dst host 10.0.0.2
src or dst host 10.0.0.1
src and dst host 10.0.0.1
ip host 10.0.0.1 and not 10.0.0.2
arp host 10.0.0.1
host 2001:db8::1
ip6 host 2001:db8::1
src host fe80::1
net 10.0.0.0/8
src net 10.0
net 10
dst net 10.0.0.0/24
net 10.0.0.0 mask 255.0.0.0
net 10.0.0.1 mask 255.0.0.255
net 2001:db8::/32
ip6 net 2001:db8::/33
net fe80::/10 or net ff02::/16
net 0.0.0.0/0
net ::/0
port 53
port 5000
src port 5000
dst port 5000
src and dst port 5000
tcp port 80
tcp dst port 80 or 443
udp port 53 or 67
tcp port (80 or 443)
portrange 5000-6000
tcp src portrange 5000-5010
udp dst portrange 1-1023
sctp port 80
not port 22
not tcp port 22 and not icmp
(tcp or udp) and (port 53 or port 80)
tcp port 443 and host 10.0.0.1
host 10.0.0.1 and not (port 80 or 25)
tcp[tcpflags] & (tcp-syn|tcp-fin) != 0
tcp[tcpflags] & tcp-syn != 0
tcp[tcpflags] == tcp-syn
tcp[tcpflags] == tcp-syn|tcp-ack
tcp[tcpflags] & (tcp-syn|tcp-ack) == tcp-syn
tcp[tcpflags] & tcp-rst != 0 or icmp
tcp[13] == 2
tcp[((tcp[12] & 0xf0) >> 2):4] = 0x47455420
tcp port 80 and (((ip[2:2] - ((ip[0]&0xf)<<2)) - ((tcp[12]&0xf0)>>2)) != 0)
ip[2:2] > 576
ip[6:2] & 0x1fff != 0
ip[6] & 0x20 != 0 or ip[6:2] & 0x1fff != 0
ip[0] & 0xf != 5
ip[8] < 5
icmp[icmptype] == icmp-echo
icmp[icmptype] != icmp-echo and icmp[icmptype] != icmp-echoreply
icmp6 and ip6[40] == 135
icmp6[icmp6type] == icmp6-echo
ip and udp[0:2] > 1024 or arp[6:2] = 1
udp[8:4] = 0x12340100
udp[8] >= 0
ip[60] & 0 = 0
ip6[6] = 17 and ip6[40:2] = 5000
ip[ip[9]] = 0
len > 60
length <= 60
less 60
greater 100
len = ip[2:2] + 14
byte 9 = 6
byte 0 > 1
link[0] & 1 != 0
ether[0] & 1 = 0 and ip[16] >= 224
ether broadcast
ether multicast
broadcast or multicast
ip multicast
ip6 multicast
ether host 02:00:00:00:00:01
ether src 02:00:00:00:00:01
ether dst ff:ff:ff:ff:ff:ff
ether proto 0x800
ether proto \\arp
ether proto 0x42
ip proto \\tcp
ip proto 17
ip6 proto 58
proto 6
proto 2
iso proto 0x83
isis proto 16
iih or lsp or csnp
l1 and l2
vlan
vlan 100
vlan 100 and tcp port 443
vlan 7 and vlan 100 and ip
vlan 100 or host 10.0.0.1
not vlan and ip
(vlan and ip) or ip
vlan and icmp
vlan and not tcp
vlan and tcp[13] = 2
vlan and host 2001:db8::1
mpls
mpls 100
mpls 100 and mpls 1024
mpls and host 10.0.0.1
mpls and udp port 53
vlan and mpls and ip6
pppoed
pppoes
pppoes 0x27 and ip
pppoes and tcp port 80
pppoes and ip6 host 2001:db8::1
pppoes and vlan
geneve
geneve 5 and ip
geneve and tcp port 80
geneve and geneve
geneve and vlan and udp
geneve and ip[0] = 0x45
llc
llc u
llc ui or llc xid
llc s or llc rr
llc i
1 = 1
1 = 2 or tcp
tcp or not tcp
not not udp
-1 = 0xffffffff
ip[8] * 2 + 1 > 100
ip[8] / 2 = 32
ip[8] % 10 = 4
ip[8] ^ 0x40 = 0
(ip[0] & 0xf) << 2 = 20
ip[9] = 6 and ip[20:2] = 33000
tcp[100] = 0 or udp
";

/// Refused by both.
const REFUSED: &str = "
tcp and
(tcp
tcp)
tcp udp
host
host 10.0.0.256
net 10.0.0.1/8
net 2001:db8::1/32
net 10.0.0.0/33
port 65536
portrange 5-
tcp host 10.0.0.1
arp port 80
ip proto tcp
ether port 80
ip host 2001:db8::1
ip6 host 10.0.0.1
vlan 4096
mpls 1048576
pppoes 65536
tcp[0:3] = 1
tcp[0
ip = 5
len
wlan addr1 02:00:00:00:00:01 and type mgt
vpi 3
host nosuchhost.invalid
1/0 = 1
@
";

/// Frames beside those of `captures/`, from the link header of Ethernet on.
const FRAMES: &str = "
ffffffffffff02000000000108060001080006040001020000000001 0a000001 000000000000 0a000002
0200000000020200000000018100000708004500002800010000400666cd0a0000010a00000280e80050000000010000000050020200000000 00
02000000000202000000000188a800078100006408004500002800010000400666cd0a0000010a000002005080e8000000010000000050120200000000 00
0200000000020200000000018847000640ff000641ff4500002100010000401166c90a0000010a00000214e90035000d000068656c6c6f
020000000002020000000001886411000027002a00214500002800010000400666cd0a0000010a00000280e800500000000100000000500202000000
02000000000202000000000188631109000000040101 0000
020000000002020000000001080045000052000100004011669 80a0000010a0000029c4017c1003e0000000065580000050002000000000202000000000108004500002800010000400666cd0a0000010a00000280e80050000000010000000050020200 0000
0180c2000000020000000001002642420300000000008000020000000001000000008000020000000001800100001400020 00f00 00
3333000000010200000000 0186dd6000000000203a40fe800000000000000000000000000001ff0200000000000000000000000000018700000000000000fe800000000000000000000000000002010102 0000000001
02000000000202000000000186dd600000000018003c20010db800000000000000000000000120010db8000000000000000000000002110001040000000014e90035 0010000068656c6c6f616263
020000000002020000000001080046000024000120644011000 00a000001ef01020394040000 14e90035000d000068656c6c6f
020000000002020000000001002dfefe03831b0100100100
020000000002020000000001000804050f100000 0000
0200000000020200000000010030aaaa03080007809b0000000000000000000000000000
0200000000020200000000016003160002 0000aa000400010400000000aa000400020400 00
0200000000020200000000010800450000280001000040840000 0a0000010a000002005013880000000700000000010000140000000000000000
020000000002020000000001080045c0001c0001000001020000 0a000001e00000011600fa01e0000001
";

/// The names of this machine, as tcpdump asks for them.
struct System;

impl Names for System {
    fn port(&self, name: &str, service: Service) -> Option<u16> {
        let over = match service {
            Service::Tcp => "tcp",
            Service::Udp => "udp",
            Service::Sctp => "sctp",
        };
        entry("/etc/services", name, |value| {
            let (port, protocol) = value.split_once('/')?;
            (protocol == over).then(|| port.parse().ok())?
        })
    }

    fn host(&self, name: &str) -> Vec<IpAddr> {
        let found = (name, 0).to_socket_addrs();
        found.map_or_else(|_| Vec::new(), |all| all.map(|end| end.ip()).collect())
    }

    fn protocol(&self, name: &str) -> Option<u8> {
        entry("/etc/protocols", name, |value| value.parse().ok())
    }

    fn network(&self, name: &str) -> Option<(Ipv4Addr, u8)> {
        entry("/etc/networks", name, |value| {
            let address: Ipv4Addr = value.parse().ok()?;
            let prefix = 32 - address.to_bits().trailing_zeros() as u8 / 8 * 8;
            Some((address, prefix))
        })
    }
}

/// The value of the first entry that has `name`, and a value that `read` takes.
fn entry<T>(table: &str, name: &str, read: impl Fn(&str) -> Option<T>) -> Option<T> {
    let table = fs::read_to_string(table).unwrap_or_default();
    let lines = table.lines().map(|line| line.split('#').next().unwrap());
    lines
        .map(|line| line.split_whitespace().collect::<Vec<_>>())
        .filter(|words| words.len() > 1 && (words[0] == name || words[2..].contains(&name)))
        .find_map(|words| read(words[1]))
}

fn compile(
    expression: &str,
    link: LinkType,
    netmask: Option<u32>,
    names: &dyn Names,
) -> Result<Compiled, String> {
    let target = Target {
        link,
        place: Place::Frame,
        snaplen: 262_144,
        netmask,
    };
    CaptureFilter::parse(expression, names)
        .and_then(|filter| filter.compile(target))
        .map_err(|error| error.message)
}

fn lines(text: &str) -> impl Iterator<Item = &str> {
    text.lines().filter(|line| !line.is_empty())
}

/// Frames of Ethernet: those of `captures/`, those above, and both cut at every length.
fn frames() -> Vec<Vec<u8>> {
    let mut whole: Vec<Vec<u8>> = lines(FRAMES)
        .map(|line| hex::decode(line.replace(' ', "")).unwrap())
        .collect();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("captures");
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|e| e != "pcapng") {
            continue;
        }
        let mut source = file::open(&path).unwrap();
        while let Step::Batch(batch) = source.next(Time::MAX).unwrap() {
            let ethernet = batch
                .frames()
                .filter(|frame| frame.link == LinkType::ETHERNET);
            whole.extend(ethernet.map(|frame| frame.bytes.to_vec()));
        }
    }
    assert!(whole.len() > 40, "only {} frames", whole.len());
    let cut = |frame: &Vec<u8>| {
        let frame = frame.clone();
        (0..frame.len().min(120)).map(move |len| frame[..len].to_vec())
    };
    let short: Vec<_> = whole.iter().flat_map(cut).collect();
    whole.extend(short);
    whole
}

/// The same packet behind another link header.
fn behind(link: LinkType, frame: &[u8]) -> Option<Vec<u8>> {
    let (kind, payload) = (frame.get(12..14)?, frame.get(14..)?);
    let head = match link {
        LinkType::ETHERNET => return Some(frame.to_vec()),
        LinkType::LINUX_SLL => [
            &[0, 4, 0, 1, 0, 6],
            frame.get(6..12).unwrap(),
            &[0, 0],
            kind,
        ]
        .concat(),
        LinkType::LINUX_SLL2 => [
            kind,
            &[0, 0, 0, 0, 0, 1, 0, 1, 4, 6],
            frame.get(6..12).unwrap(),
            &[0, 0],
        ]
        .concat(),
        LinkType::PPP => match kind {
            [0x08, 0] => vec![0xff, 3, 0, 0x21],
            [0x86, 0xdd] => vec![0xff, 3, 0, 0x57],
            _ => return None,
        },
        _ if matches!(kind, [0x08, 0] | [0x86, 0xdd]) => Vec::new(),
        _ => return None,
    };
    Some([head, payload.to_vec()].concat())
}

/// tcpdump's program for an expression on a file of this link type; why there is none; nothing without tcpdump.
fn tcpdump(form: &str, expression: &str, file: &Path) -> Option<Result<Program, String>> {
    let run = Command::new("tcpdump")
        .arg(form)
        .arg("-r")
        .arg(file)
        .args(["--", expression])
        .output()
        .ok()?;
    if !run.status.success() {
        return Some(Err(String::from_utf8_lossy(&run.stderr).into_owned()));
    }
    let text = String::from_utf8(run.stdout).unwrap();
    let instruction = |line: &str| {
        let words: Vec<u32> = line.split(' ').map(|word| word.parse().unwrap()).collect();
        Instruction::branch(words[0] as u16, words[3], words[1] as u8, words[2] as u8)
    };
    let instructions = text.lines().skip(1).map(instruction).collect();
    Some(Ok(Program::new(instructions).unwrap()))
}

/// A capture file without packets, of a test of its own.
fn empty(test: &str, link: LinkType) -> PathBuf {
    let name = format!("filters-{test}-{}.pcap", link.0);
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let words = [0xa1b2_c3d4_u32, 0x0004_0002, 0, 0, 262_144, link.0.into()];
    fs::write(&path, words.map(u32::to_le_bytes).concat()).unwrap();
    path
}

#[test]
fn programs_select_what_tcpdumps_programs_select() {
    let frames = frames();
    let mut findings = Vec::new();
    for link in [
        LinkType::ETHERNET,
        LinkType::LINUX_SLL,
        LinkType::LINUX_SLL2,
        LinkType::RAW,
        LinkType::PPP,
    ] {
        let file = empty("select", link);
        let packets: Vec<_> = frames
            .iter()
            .filter_map(|frame| behind(link, frame))
            .collect();
        for expression in lines(EXPRESSIONS) {
            let Some(theirs) = tcpdump("-ddd", expression, &file) else {
                return testing::skipped("no tcpdump here");
            };
            let ours = compile(expression, link, None, &System);
            let (ours, theirs) = match (ours, theirs) {
                (Ok(ours), Ok(theirs)) => (ours.program, theirs),
                (Ok(ours), Err(theirs)) if theirs.contains("rejects all packets") => {
                    let none = Program::new(vec![Instruction::new(sockwire::bpf::op::RET_K, 0)]);
                    (ours.program, none.unwrap())
                }
                (Err(_), Err(_)) => continue,
                (ours, theirs) => {
                    findings.push(format!(
                        "{link}: {expression}: ours {:?}, tcpdump's {:?}",
                        ours.err(),
                        theirs.err()
                    ));
                    continue;
                }
            };
            // On packets that end early tcpdump's own programs, optimised or not (`-O`), can differ: either will do.
            let plain = LazyCell::new(|| tcpdump("-dddO", expression, &file)?.ok());
            for packet in &packets {
                let input = Input {
                    bytes: packet,
                    wire_len: packet.len() as u32,
                    packet_type: None,
                };
                let (ours, theirs) = (ours.run(&input), theirs.run(&input));
                if ours != theirs && plain.as_ref().is_none_or(|plain| plain.run(&input) != ours) {
                    findings.push(format!(
                        "{link}: {expression}: ours {ours}, tcpdump's {theirs}: {}",
                        hex::encode(packet)
                    ));
                    break;
                }
            }
        }
    }
    assert!(findings.is_empty(), "{}", findings.join("\n"));
}

#[test]
fn refuses_what_tcpdump_refuses() {
    let file = empty("refuse", LinkType::ETHERNET);
    for expression in lines(REFUSED) {
        match tcpdump("-ddd", expression, &file) {
            None => return testing::skipped("no tcpdump here"),
            Some(theirs) => assert!(theirs.is_err(), "tcpdump takes {expression:?}"),
        }
        let ours = compile(expression, LinkType::ETHERNET, None, &NoNames);
        assert!(ours.is_err(), "{expression:?} is taken");
    }
}

/// For `tests/peers/capture_filters.py`: each line of the file that `SOCKWIRE_EXPRESSIONS` names is a link type's number, a
/// netmask or `-`, and an expression (`\r` stands for a line feed in it), with tabs between; the file that `SOCKWIRE_PROGRAMS`
/// names gets for each the numbers of a program or `error` and why. Without them, an empty expression is compiled for all.
#[test]
fn compiles_the_expressions_of_a_file() {
    let asked = match env::var_os("SOCKWIRE_EXPRESSIONS") {
        Some(path) => fs::read_to_string(path).unwrap(),
        None => LINKS.map(|link| format!("{}\t-\t\n", link.0)).concat(),
    };
    let mut answers = String::new();
    for line in asked.split_terminator('\n') {
        let [link, netmask, expression] =
            line.splitn(3, '\t').collect::<Vec<_>>().try_into().unwrap();
        let link = LinkType(link.parse().unwrap());
        let expression = expression.replace('\r', "\n");
        match compile(&expression, link, netmask.parse().ok(), &System) {
            Ok(compiled) => {
                assert_eq!(
                    compiled.notes.len(),
                    compiled.program.instructions().len(),
                    "{expression}"
                );
                for i in compiled.program.instructions() {
                    write!(answers, "{} {} {} {} ", i.code, i.jt, i.jf, i.k).unwrap();
                }
                answers.push('\n');
            }
            Err(message) => writeln!(answers, "error {}", message.replace('\n', " ")).unwrap(),
        }
    }
    match env::var_os("SOCKWIRE_PROGRAMS") {
        Some(path) => fs::write(path, answers).unwrap(),
        // An empty expression takes every packet: one instruction.
        None => assert_eq!(answers, "6 0 0 262144 \n".repeat(LINKS.len())),
    }
}

/// A small generator of numbers: the same numbers in every run.
struct Chance(u64);

impl Chance {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % limit as u64) as usize
    }

    fn pick<'a>(&mut self, many: &[&'a str]) -> &'a str {
        many[self.below(many.len())]
    }

    /// Words of some expressions and marks in any order, now and then with a character changed.
    fn text(&mut self, words: &[&str], expressions: &[&str]) -> String {
        let mut text = match self.below(3) {
            0 => String::new(),
            _ => self.pick(expressions).to_owned(),
        };
        for _ in 0..self.below(6) {
            text.push(' ');
            text += self.pick(words);
        }
        if self.below(2) == 0 {
            let mut characters: Vec<char> = text.chars().collect();
            for _ in 0..self.below(4) {
                let at = self.below(characters.len() + 1);
                let one = [
                    '(', ')', '[', ']', ':', '-', '\\', '\'', '"', '9', '\0', 'é', '𐍈',
                ][self.below(13)];
                match self.below(3) {
                    0 => characters.insert(at, one),
                    1 => characters.truncate(at),
                    _ => {
                        if let Some(character) = characters.get_mut(at) {
                            *character = one;
                        }
                    }
                }
            }
            text = characters.into_iter().collect();
        }
        text
    }
}

/// Compiles a capture filter for every target, and runs what there is of programs over `packet`.
fn try_capture(expression: &str, packet: &[u8]) {
    let Ok(filter) = CaptureFilter::parse(expression, &NoNames) else {
        return;
    };
    filter.traps();
    for link in LINKS {
        for place in PLACES {
            let target = Target {
                link,
                place,
                snaplen: 65_535,
                netmask: Some(0xffff_ff00),
            };
            let Ok(compiled) = filter.compile(target) else {
                continue;
            };
            assert_eq!(
                compiled.notes.len(),
                compiled.program.instructions().len(),
                "{expression:?}"
            );
            Program::new(compiled.program.instructions().to_vec()).unwrap();
            let input = Input {
                bytes: packet,
                wire_len: packet.len() as u32,
                packet_type: Some(4),
            };
            let kept = compiled.program.run(&input);
            assert!(
                kept == 0 || kept == 65_535,
                "{expression:?} on {link}: {kept}"
            );
        }
    }
}

#[test]
fn any_text_is_compiled_or_refused_as_a_capture_filter() {
    let frames = frames();
    let expressions: Vec<&str> = lines(EXPRESSIONS).chain(lines(REFUSED)).collect();
    let words: Vec<&str> = expressions
        .iter()
        .flat_map(|line| line.split(' '))
        .collect();
    let mut chance = Chance(0x5eed);
    for _ in 0..3000 {
        let text = chance.text(&words, &expressions);
        try_capture(&text, &frames[chance.below(frames.len())]);
    }
}

#[test]
fn any_text_is_compiled_or_refused_as_a_display_filter() {
    let expressions = [
        "tcp.flags.syn == 1 && ip.ttl < 64",
        "ip.addr == 10.0.0.0/8 or !(udp.port in {53, 67..68})",
        "frame.len > 60 and eth.src[0:3] == 02:00:00",
        "dns.qry.name contains \"example\" || tcp.port == 80",
        "tcp.flags & 0x12 == 0x12 xor arp",
        "ipv6.addr == fe80::1 and not icmpv6.type == 135",
        "http.request.method matches \"^(GET|POST)$\"",
        "any ip.addr != 10.0.0.1 and len(udp.payload) >= 5",
        "lower(dns.qry.name) == \"a\" and -1 < 2.5",
    ];
    let words: Vec<&str> = expressions
        .iter()
        .flat_map(|line| line.split(' '))
        .collect();
    let (decoder, mut decoded) = (Decoder::default(), Decoded::default());
    let mut frames = frames();
    frames.truncate(60);
    let (mut data, mut records) = (Vec::new(), Vec::new());
    for frame in &frames {
        records.push(Record {
            time: Time::MAX,
            link: LinkType::ETHERNET,
            interface: 0,
            direction: Default::default(),
            checksum: Default::default(),
            wire_len: frame.len() as u32,
            start: data.len() as u32,
            len: frame.len() as u32,
        });
        data.extend(frame);
    }
    let batch = Batch::owned(data, records, 1);
    decoder.batch(&batch, &mut decoded);
    let mut chance = Chance(0x5eed);
    for _ in 0..3000 {
        let text = chance.text(&words, &expressions);
        let Ok(filter) = DisplayFilter::compile(&text, &NoNames) else {
            continue;
        };
        for index in 0..batch.len() {
            let packet = decoded.packet(&batch, index).unwrap();
            filter.matches(&packet, &Around::of(&[], &batch, index));
        }
    }
}

/// Texts that grow in one way: whoever pastes them waits no longer than for reading them.
#[test]
fn long_texts_end_soon() {
    let ways: [fn(usize) -> String; 14] = [
        |n| "(".repeat(n),
        |n| format!("{}tcp{}", "(".repeat(n), ")".repeat(n)),
        |n| format!("{}tcp", "not ".repeat(n)),
        |n| format!("{}tcp", "!".repeat(n)),
        |n| format!("tcp{}", " and tcp".repeat(n)),
        |n| format!("port 1{}", " or 2".repeat(n)),
        |n| format!("ip[0]{} = 1", "+1".repeat(n)),
        |n| format!("{}1 = 1", "-".repeat(n)),
        |n| format!("{}0{} = 1", "ip[".repeat(n), "]".repeat(n)),
        |n| format!("vlan{}", " and vlan".repeat(n)),
        |n| format!("(vlan or tcp){}", " and (geneve or ip6 port 3)".repeat(n)),
        |n| "x".repeat(n),
        |n| "9".repeat(n),
        |n| format!("{}tcp.port == 1{}", "(".repeat(n), ")".repeat(n)),
    ];
    for (index, way) in ways.iter().enumerate() {
        let text = way(20_000);
        let before = Instant::now();
        try_capture(&text, b"");
        let _ = DisplayFilter::compile(&text, &NoNames);
        let took = before.elapsed();
        assert!(
            took < Duration::from_secs(20),
            "way {index}: {took:?} for {} bytes",
            text.len()
        );
    }
}
