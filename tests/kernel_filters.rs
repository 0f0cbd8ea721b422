//! Capture filters in the kernel: the programs run on packet sockets, and take there what they take of the same frames here
//! and what tcpdump takes beside them.
#![allow(clippy::unwrap_used)]

#[path = "../src/testing.rs"]
mod testing;

use std::{
    collections::BTreeSet,
    io::Read,
    os::fd::{AsFd, AsRawFd, BorrowedFd},
    process::{Command, Stdio},
    thread,
};

use nix::{
    net::if_::if_nametoindex,
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sched::{CloneFlags, unshare},
    sys::{
        signal::{Signal, kill},
        socket::{MsgFlags, recv},
    },
    unistd::Pid,
};
use sockwire::{
    bpf::Input,
    capture::SNAPLEN,
    filter::{
        CaptureFilter, NoNames,
        capture::{Place, Target},
    },
    link::LinkType,
    sys::{
        packet::{Layer, PacketSocket},
        port::Port,
    },
};

/// Filters that mean the same with a VLAN tag in the frame and beside it.
const EXPRESSIONS: &str = "\
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
ip proto 47
ip6 proto 17
proto 6
ether proto 0x88cc
stp
llc
iso
ipx
atalk
host 10.0.0.1
src host 10.0.0.1
dst host 10.0.0.1
host fd00::1
dst host fd00::2
net 10.0.0.0/8
src net 192.168.0.0/16
ip6 net fd00::/16
arp host 10.0.0.2
port 80
src port 80
dst port 80
port 53
tcp port 80
udp port 53
tcp dst port 443
not port 80
not tcp
portrange 50-90
tcp portrange 1-1023
src portrange 1000-2000
ether src 02:00:00:00:00:0a
ether dst ff:ff:ff:ff:ff:ff
ether host 02:00:00:00:00:0b
ether broadcast
ether multicast
not ether multicast
ip multicast
ip6 multicast
ip broadcast
mpls
mpls 100
mpls and ip
mpls 100 and tcp port 80
pppoed
pppoes
pppoes 7 and ip
pppoes and tcp port 80
geneve
geneve 5 and udp
geneve and ip
vxlan 5 and udp
(pppoes) and ((pppoes 7) or not (geneve))
ip protochain 17
ip6 protochain 17
protochain 6
tcp[tcpflags] & tcp-syn != 0
tcp[13] = 2
udp[4:2] > 8
udp[8] >= 0
icmp[icmptype] = icmp-echo
icmp6[0] = 135
ip[0] & 0xf > 5
ip[6:2] & 0x1fff = 0
ip[6:2] & 0x1fff != 0
ip[2:2] - ((ip[0] & 0xf) << 2) > 20
ip6[6] = 44
arp[6:2] = 1
inbound
inbound and tcp
outbound
tcp or udp
(tcp or udp) and (port 53 or port 80)
port 22 or port 53 or port 80 or port 443
host 10.0.0.1 or host 10.0.0.2 or host 10.0.0.3
host 10.0.0.1 and not port 80
host 10.0.0.1 and port 80
not (tcp port 80 and host 10.0.0.1)
not port 80 and not port 53
src host 10.0.0.1 and dst port 80 or icmp
tcp or arp or icmp6
ip and not udp
ip6 and not tcp
not ip and not ip6
not arp
udp and not port 53";

/// Filters that ask for VLAN tags.
const TAGGED: &str = "\
vlan
vlan 5
vlan 7
not vlan
vlan and ip
vlan and not ip
vlan 5 and tcp
vlan 5 and tcp port 80
vlan 5 and ip6 and port 80
vlan and arp
vlan and host 10.0.0.1
vlan and vlan
vlan 5 and vlan 7
vlan and vlan 7 and udp
not vlan 5
vlan 5 or vlan 7";

/// For tcpdump: what tells the tag in the frame from the tag beside it.
const BESIDE: &str = "\
tcp port 80
not tcp
ip
ether proto 0x8100
vlan or tcp
tcp or vlan
vlan 5 and tcp port 80
not vlan and udp
vlan and vlan 7
arp or (vlan 5 and udp)";

/// The EtherType of the frame behind all others (IEEE 802 Local Experimental 1).
const LAST: [u8; 2] = [0x88, 0xb5];
/// What the last bytes of each frame begin with; its number follows.
const MARK: [u8; 2] = [0xc0, 0xde];

/// How many frames are sent before all sockets are read.
const PART: usize = 16;

fn ip(words: &str) -> bool {
    let done = Command::new("ip")
        .args(words.split(' '))
        .stderr(Stdio::null())
        .status();
    done.is_ok_and(|status| status.success())
}

/// Runs `test` where `ka` and `kb` are two ends of a wire and nobody else speaks.
fn on_a_wire(test: impl FnOnce() + Send) {
    thread::scope(|scope| {
        let name = thread::current().name().unwrap_or("kernel").to_owned();
        let thread = thread::Builder::new().name(name);
        let run = thread.spawn_scoped(scope, || {
            if let Err(errno) = unshare(CloneFlags::CLONE_NEWNET) {
                return testing::skipped(format_args!("no network namespace: {errno}"));
            }
            let wired = [
                "link add ka address 02:00:00:00:00:0a type veth peer name kb address 02:00:00:00:00:0b",
                "link set ka addrgenmode none",
                "link set kb addrgenmode none",
                "link set ka up",
                "link set kb up",
            ];
            if wired.into_iter().all(ip) {
                test();
            } else {
                testing::skipped("no pairs of virtual interfaces here");
            }
        });
        run.unwrap();
    });
}

fn ip4(proto: u8, options: usize, fragment: u16, payload: &[u8]) -> Vec<u8> {
    let header = 20 + options;
    let mut packet = vec![0x40 | (header / 4) as u8, 0];
    packet.extend(((header + payload.len()) as u16).to_be_bytes());
    packet.extend([0, 1]);
    packet.extend(fragment.to_be_bytes());
    packet.extend([64, proto, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2]);
    packet.resize(header, 1);
    [&packet, payload].concat()
}

fn ip6(next: u8, payload: &[u8]) -> Vec<u8> {
    let mut packet = vec![0x60, 0, 0, 0];
    packet.extend((payload.len() as u16).to_be_bytes());
    packet.extend([next, 64]);
    for last in [1, 2] {
        packet.extend([0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, last]);
    }
    [&packet, payload].concat()
}

fn tcp(from: u16, to: u16, flags: u8) -> Vec<u8> {
    let mut segment = [from.to_be_bytes(), to.to_be_bytes()].concat();
    segment.extend([0, 0, 0, 1, 0, 0, 0, 0, 0x50, flags, 1, 0, 0, 0, 0, 0]);
    segment
}

fn udp(from: u16, to: u16, payload: &[u8]) -> Vec<u8> {
    let len = 8 + payload.len() as u16;
    let mut datagram = [from.to_be_bytes(), to.to_be_bytes(), len.to_be_bytes()].concat();
    datagram.extend([0, 0]);
    datagram.extend(payload);
    datagram
}

/// EtherTypes, or lengths, and what follows them.
fn bodies() -> Vec<(u16, Vec<u8>)> {
    let mut bodies = Vec::new();
    let transports = [
        (6, tcp(1000, 80, 2)),
        (6, tcp(80, 1000, 0x12)),
        (6, tcp(1500, 443, 0x10)),
        (17, udp(5353, 53, b"question")),
        (17, udp(1000, 2000, b"")),
        (1, vec![8, 0, 0, 0, 0, 1, 0, 1]),
        (58, vec![135, 0, 0, 0, 0, 0, 0, 0]),
        (132, tcp(80, 9, 0)),
        (47, vec![0; 4]),
    ];
    for (proto, payload) in &transports {
        bodies.push((0x0800, ip4(*proto, 0, 0, payload)));
        bodies.push((0x0800, ip4(*proto, 8, 0x2000, payload)));
        bodies.push((0x0800, ip4(*proto, 0, 0x0010, payload)));
        bodies.push((0x86dd, ip6(*proto, payload)));
        let fragment = [&[*proto, 0, 0, 0, 0, 0, 0, 1], &payload[..]].concat();
        bodies.push((0x86dd, ip6(44, &fragment)));
        let options = [&[*proto, 0, 1, 4, 0, 0, 0, 0], &payload[..]].concat();
        bodies.push((0x86dd, ip6(0, &options)));
    }
    let web = ip4(6, 0, 0, &tcp(1000, 80, 2));
    let mut other = web.clone();
    other[12..20].copy_from_slice(&[192, 168, 0, 1, 224, 0, 0, 1]);
    bodies.push((0x0800, other));
    bodies.push((0x0800, web[..21].to_vec()));
    let mut arp = vec![0, 1, 8, 0, 6, 4, 0, 1, 2, 0, 0, 0, 0, 10, 10, 0, 0, 1];
    arp.extend([0, 0, 0, 0, 0, 0, 10, 0, 0, 2]);
    bodies.push((0x0806, arp.clone()));
    bodies.push((0x8035, arp));
    bodies.push((0x88cc, vec![2, 7, 4]));
    bodies.push((0x8863, vec![0x11, 9, 0, 0, 0, 0]));
    bodies.push((
        0x8864,
        [&[0x11, 0, 0, 7, 0, 42, 0, 0x21], &web[..]].concat(),
    ));
    bodies.push((0x8847, [&[0, 6, 0x41, 64], &web[..]].concat()));
    bodies.push((0x0026, vec![0x42, 0x42, 3, 0, 0]));
    bodies.push((0x0026, vec![0xfe, 0xfe, 3, 0x83, 0]));
    bodies.push((0x0026, vec![0xaa, 0xaa, 3, 8, 0, 7, 0x80, 0x9b]));
    bodies.push((0x0026, vec![0xff, 0xff, 0, 3, 0]));
    let inner = [&[0; 12][..], &[8, 0], &ip4(17, 0, 0, &udp(1, 53, b""))[..]].concat();
    let geneve = [&[0, 0, 0x65, 0x58, 0, 0, 5, 0], &inner[..]].concat();
    bodies.push((0x0800, ip4(17, 0, 0, &udp(9, 6081, &geneve))));
    let vxlan = [&[8, 0, 0, 0, 0, 0, 5, 0], &inner[..]].concat();
    bodies.push((0x86dd, ip6(17, &udp(9, 4789, &vxlan))));
    bodies
}

/// Frames from `ka`, each behind these bytes for tags, with its number at its end.
fn frames(tags: &[u8]) -> Vec<Vec<u8>> {
    const TO: [[u8; 6]; 4] = [
        [2, 0, 0, 0, 0, 0x0b],
        [0xff; 6],
        [1, 0, 0x5e, 0, 0, 1],
        [2, 0, 0, 0, 0, 0x0c],
    ];
    let frame = |(number, (kind, body)): (usize, (u16, Vec<u8>))| {
        let mut frame = [TO[number % 4], [2, 0, 0, 0, 0, 0x0a]].concat();
        frame.extend(tags);
        frame.extend(kind.to_be_bytes());
        frame.extend(body);
        frame.extend(MARK);
        frame.extend((number as u16).to_be_bytes());
        frame
    };
    bodies().into_iter().enumerate().map(frame).collect()
}

fn last_frame() -> Vec<u8> {
    let head = [2, 0, 0, 0, 0, 0x0b, 2, 0, 0, 0, 0, 0x0a];
    [&head[..], &LAST, &[0; 50]].concat()
}

/// Waits until there is something to read, but not for ever.
fn arrives(on: BorrowedFd<'_>) -> bool {
    let ready = PollFd::new(on, PollFlags::POLLIN);
    let count = poll(&mut [ready], PollTimeout::from(10_000_u16)).unwrap();
    count == 1
}

/// The number at the end of a frame; none of the last frame.
fn number(frame: &[u8]) -> Option<usize> {
    let [a, b, c, d] = *frame.last_chunk()?;
    ([a, b] == MARK).then(|| u16::from_be_bytes([c, d]).into())
}

fn target(link: LinkType, place: Place) -> Target {
    Target {
        link,
        place,
        snaplen: SNAPLEN,
        netmask: Some(0xffff_ff00),
    }
}

/// Which of `frames` the filter takes here.
fn chosen(filter: &CaptureFilter, link: LinkType, frames: &[Vec<u8>]) -> BTreeSet<usize> {
    let compiled = filter.compile(target(link, Place::Frame)).unwrap();
    let takes = |bytes: &Vec<u8>| {
        let input = Input {
            bytes,
            wire_len: bytes.len() as u32,
            packet_type: Some(0),
        };
        compiled.program.run(&input) != 0
    };
    let numbers = 0..frames.len();
    numbers.filter(|number| takes(&frames[*number])).collect()
}

/// Which of `frames`, sent by `ka`, get past each filter on a socket of `kb`; `None` for a filter that means nothing there.
fn let_through(
    expressions: &[&str],
    (layer, link, place): (Layer, LinkType, Place),
    frames: &[Vec<u8>],
) -> Vec<Option<BTreeSet<usize>>> {
    let [ka, kb] = ["ka", "kb"].map(|name| if_nametoindex(name).unwrap());
    let all = PacketSocket::open(layer).unwrap();
    all.bind(kb).unwrap();
    let sockets: Vec<Option<PacketSocket>> = expressions
        .iter()
        .map(|expression| {
            let filter = CaptureFilter::parse(expression, &NoNames).unwrap();
            let compiled = filter.compile(target(link, place)).ok()?;
            let socket = PacketSocket::open(layer).unwrap();
            socket.attach(&compiled.program).unwrap();
            socket.bind(kb).unwrap();
            Some(socket)
        })
        .collect();
    let sender = Port::open(ka).unwrap();
    let mut seen = vec![BTreeSet::new(); sockets.len()];
    let mut buffer = [0; 2048];
    let mut receive = |socket: &PacketSocket, flags| {
        let len = recv(socket.as_fd().as_raw_fd(), &mut buffer, flags).ok()?;
        Some(number(&buffer[..len]))
    };
    for some in frames.chunks(PART) {
        for frame in some {
            sender.send(frame).unwrap();
        }
        sender.send(&last_frame()).unwrap();
        // What comes before the last frame has reached every socket when the last one is here.
        loop {
            assert!(arrives(all.as_fd()), "the wire has lost a frame");
            if receive(&all, MsgFlags::MSG_DONTWAIT) == Some(None) {
                break;
            }
        }
        for (socket, seen) in sockets.iter().zip(&mut seen) {
            let Some(socket) = socket else { continue };
            while let Some(got) = receive(socket, MsgFlags::MSG_DONTWAIT) {
                seen.extend(got);
            }
        }
    }
    let both = sockets.into_iter().zip(seen);
    both.map(|(socket, seen)| socket.map(|_| seen)).collect()
}

#[test]
fn a_socket_takes_the_frames_that_the_filter_takes_here() {
    on_a_wire(|| {
        const TAGS: [&[u8]; 6] = [
            &[],
            &[0x81, 0, 0, 5],
            &[0x81, 0, 0x20, 7],
            &[0x88, 0xa8, 0, 5, 0x81, 0, 0, 7],
            &[0x81, 0, 0, 5, 0x81, 0, 0, 7],
            &[0x91, 0, 0, 5],
        ];
        let kernel = (Layer::Link, LinkType::ETHERNET, Place::Kernel);
        let (mut taken, mut compared) = (0, 0);
        for tags in TAGS {
            let sent = frames(tags);
            // Linux takes the outer tag off, unless it is of the old type: filters that do not ask for it do not see it.
            let without = match tags {
                [0x91, ..] | [] => tags,
                tags => &tags[4..],
            };
            for (list, visible) in [(EXPRESSIONS, without), (TAGGED, tags)] {
                let expressions: Vec<&str> = list.lines().collect();
                let visible = frames(visible);
                let through = let_through(&expressions, kernel, &sent);
                for (expression, through) in expressions.iter().zip(through) {
                    let filter = CaptureFilter::parse(expression, &NoNames).unwrap();
                    let expected = chosen(&filter, LinkType::ETHERNET, &visible);
                    taken += expected.len();
                    compared += sent.len();
                    assert_eq!(through, Some(expected), "{expression} behind {tags:02x?}");
                }
            }
        }
        assert!(compared > 40_000 && taken > 5000, "{taken} of {compared}");
    });
}

#[test]
fn a_cooked_socket_takes_the_packets_that_the_filter_takes_of_their_cooked_headers() {
    on_a_wire(|| {
        let index = if_nametoindex("kb").unwrap();
        let cooked = |frame: &Vec<u8>| {
            let kind = u16::from_be_bytes([frame[12], frame[13]]);
            let kind = match (kind, frame[14]) {
                (0x0600.., _) => kind,
                (_, 0xff) => 1,
                _ => 4,
            };
            let packet_type = match (frame[0], frame[5]) {
                (0xff, _) => 1,
                (1, _) => 2,
                (_, 0x0b) => 0,
                _ => 3,
            };
            let mut header = [&kind.to_be_bytes(), &[0, 0][..], &index.to_be_bytes()].concat();
            header.extend([0, 1, packet_type, 6, 2, 0, 0, 0, 0, 0x0a, 0, 0]);
            [&header, &frame[14..]].concat()
        };
        let expressions: Vec<&str> = EXPRESSIONS.lines().collect();
        let place = (Layer::Network, LinkType::LINUX_SLL2, Place::KernelCooked);
        let sent = frames(&[]);
        let visible: Vec<_> = sent.iter().map(cooked).collect();
        let mut compared = 0;
        for (expression, through) in expressions
            .iter()
            .zip(let_through(&expressions, place, &sent))
        {
            let Some(through) = through else { continue };
            let filter = CaptureFilter::parse(expression, &NoNames).unwrap();
            let expected = chosen(&filter, LinkType::LINUX_SLL2, &visible);
            assert_eq!(through, expected, "{expression}");
            compared += 1;
        }
        assert!(compared > 70, "{compared}");
    });
}

/// What tcpdump takes on `kb` of what `send` sends, where it takes as many frames as `counts` says; it counts them itself.
fn tcpdumped(
    expressions: &[&str],
    counts: &[usize],
    send: impl FnOnce(),
) -> Option<Vec<(BTreeSet<usize>, String)>> {
    let mut children = Vec::new();
    for expression in expressions {
        // Optimised, libpcap 1.10.3 forgets in `arp or (vlan and ip)` that the tag may be beside the frame.
        let words = "-O -i kb -s 2048 -B 8192 -U --immediate-mode -w - -c 1000";
        let child = Command::new("tcpdump")
            .args(words.split(' '))
            .arg(expression)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn();
        let mut child = child.ok()?;
        // It says when it listens.
        let mut said = Vec::new();
        let talk = child.stderr.as_mut().unwrap();
        while !said.ends_with(b"bytes\n") {
            let mut byte = [0];
            assert_eq!(talk.read(&mut byte).unwrap(), 1, "{expression}");
            said.push(byte[0]);
        }
        children.push(child);
    }
    send();
    let mut all = Vec::new();
    for (mut child, count) in children.into_iter().zip(counts) {
        let out = child.stdout.as_mut().unwrap();
        out.read_exact(&mut [0; 24]).unwrap();
        let mut taken = BTreeSet::new();
        for _ in 0..*count {
            if !arrives(out.as_fd()) {
                break;
            }
            let mut header = [0; 16];
            out.read_exact(&mut header).unwrap();
            let [a, b, c, d] = [header[8], header[9], header[10], header[11]];
            let mut frame = vec![0; u32::from_ne_bytes([a, b, c, d]) as usize];
            out.read_exact(&mut frame).unwrap();
            taken.extend(number(&frame));
        }
        kill(Pid::from_raw(child.id() as i32), Signal::SIGINT).unwrap();
        let talk = child.wait_with_output().unwrap().stderr;
        let talk = String::from_utf8(talk).unwrap();
        let counted = talk
            .lines()
            .find(|line| line.contains("received by filter"));
        all.push((taken, counted.unwrap_or_default().to_owned()));
    }
    Some(all)
}

#[test]
fn beside_tcpdump_the_same_frames_are_taken() {
    on_a_wire(|| {
        let expressions: Vec<&str> = TAGGED.lines().chain(BESIDE.lines()).collect();
        for tags in [
            &[][..],
            &[0x81, 0, 0, 5],
            &[0x88, 0xa8, 0, 5, 0x81, 0, 0, 7],
        ] {
            let sent = frames(tags);
            let ours = let_through(
                &expressions,
                (Layer::Link, LinkType::ETHERNET, Place::Kernel),
                &sent,
            );
            let ours: Vec<BTreeSet<usize>> = ours.into_iter().flatten().collect();
            // The frames that end each part of what is sent count as well.
            let ends = vec![last_frame(); sent.chunks(PART).len()];
            let counts = expressions.iter().zip(&ours).map(|(expression, ours)| {
                let filter = CaptureFilter::parse(expression, &NoNames).unwrap();
                ours.len() + chosen(&filter, LinkType::ETHERNET, &ends).len()
            });
            let counts: Vec<usize> = counts.collect();
            let theirs = tcpdumped(&expressions, &counts, || {
                // With no filter, the last frame comes when all others have.
                let_through(&[], (Layer::Link, LinkType::ETHERNET, Place::Kernel), &sent);
            });
            let Some(theirs) = theirs else {
                return testing::skipped("no tcpdump here");
            };
            for (number, (taken, counted)) in theirs.into_iter().enumerate() {
                let what = format!("{} behind {tags:02x?}: {counted}", expressions[number]);
                assert_eq!(ours[number], taken, "{what}");
                let count = counts[number].to_string();
                assert_eq!(counted.split(' ').next(), Some(&*count), "{what}");
            }
        }
    });
}
