//! What is written reads back the same, here and in the other tools; what is hostile never panics.
#![allow(clippy::unwrap_used)]

use std::{
    io::{self, Cursor, Write},
    path::{Path, PathBuf},
    process::Command,
    sync::{Arc, Mutex},
};

use proptest::{collection::vec, option, prelude::*, sample::select};

use crate::{
    frame::{Counters, Direction, Frame, Interface, KernelChecksum, Source},
    link::LinkType,
    time::{SECOND, Time},
};

use super::{
    Create, Format, Reader, WriteError, Writer, create,
    forge::{BE, LE, Packet, drain, read},
};

/// A stream whose bytes can be looked at.
#[derive(Clone, Default)]
struct Shared(Arc<Mutex<Vec<u8>>>);

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A path of its own for each test, removed at the end.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let dir = std::env::temp_dir().join(format!("sockwire-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        Self(dir)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn interface(name: &str, link: LinkType) -> Arc<Interface> {
    Arc::new(Interface {
        name: Some(name.into()),
        description: Some("for a test".into()),
        link,
        snaplen: 262_144,
        filter: Some("tcp or udp".into()),
    })
}

fn frame(packet: &Packet) -> Frame<'_> {
    Frame {
        number: packet.number,
        time: packet.time,
        link: packet.link,
        interface: packet.interface,
        direction: packet.direction,
        checksum: packet.checksum,
        wire_len: packet.wire_len,
        bytes: &packet.bytes,
    }
}

fn packet(number: u64, length: usize) -> Packet {
    Packet {
        number,
        time: Time::from_parts(1_700_000_000, number as u32),
        link: LinkType::ETHERNET,
        interface: 0,
        direction: Direction::Out,
        checksum: KernelChecksum::Unfilled,
        wire_len: length as u32,
        bytes: vec![number as u8; length],
        comments: Vec::new(),
    }
}

fn put(
    writer: &mut Writer,
    packet: &Packet,
    interfaces: &[Arc<Interface>],
) -> Result<(), WriteError> {
    let comments = packet.comments.iter().map(String::as_str);
    writer.write(&frame(packet), interfaces, comments)
}

fn written(packets: &[Packet], interfaces: &[Arc<Interface>], format: Format) -> Vec<u8> {
    let out = Shared::default();
    let mut writer = Writer::new(out.clone(), format, "f");
    for packet in packets {
        put(&mut writer, packet, interfaces).unwrap();
    }
    let counters = Counters {
        seen: 9,
        duplicate: 0,
        dropped: 2,
    };
    assert_eq!(
        writer.finish(&[(0, counters)]).unwrap(),
        packets.len() as u64
    );
    let bytes = out.0.lock().unwrap();
    bytes.clone()
}

/// What tcpdump, tshark and capinfos say against a file; each must find `count` packets.
#[track_caller]
fn peers_agree(path: &Path, count: usize) {
    for (tool, arguments) in [
        ("tcpdump", &["-n", "-t", "-r"][..]),
        (
            "tshark",
            &["-n", "-T", "fields", "-e", "frame.number", "-r"],
        ),
        ("capinfos", &["-c", "-M"]),
    ] {
        let run = Command::new(tool).args(arguments).arg(path).output();
        let Ok(run) = run else {
            crate::testing::skipped(format_args!("{tool} is not installed"));
            continue;
        };
        let (said, complaint) = (
            String::from_utf8_lossy(&run.stdout),
            String::from_utf8_lossy(&run.stderr),
        );
        assert!(run.status.success(), "{tool}: {complaint}");
        let found = match tool {
            "capinfos" => said
                .lines()
                .find_map(|l| l.strip_prefix("Number of packets:")?.trim().parse().ok()),
            _ => Some(said.lines().filter(|l| !l.starts_with('\t')).count()),
        };
        assert_eq!(found, Some(count), "{tool}: {said} {complaint}");
        for bad in [
            "cut short",
            "truncated",
            "damaged",
            "invalid",
            "error",
            "bogus",
        ] {
            assert!(!complaint.contains(bad), "{tool}: {complaint}");
        }
    }
}

#[test]
fn both_formats_please_the_other_tools() {
    let scratch = Scratch::new("peers");
    let interfaces = [
        interface("lo", LinkType::ETHERNET),
        interface("eth0", LinkType::ETHERNET),
    ];
    let mut packets: Vec<_> = (1..=200).map(|n| packet(n, 60 + n as usize)).collect();
    packets[3].comments = vec!["lost here".into(), "späť".into()];
    packets[4].wire_len = 9_000;
    for packet in &mut packets[100..] {
        packet.interface = 1;
        packet.checksum = KernelChecksum::Valid;
    }
    for (name, packets) in [
        ("some.pcapng", &packets[..]),
        ("some.pcap", &packets[..]),
        ("none.pcapng", &[]),
        ("none.pcap", &[]),
    ] {
        let path = scratch.path(name);
        let bytes = written(packets, &interfaces, Format::from_name(&path));
        std::fs::write(&path, bytes).unwrap();
        peers_agree(&path, packets.len());
    }
}

#[test]
fn what_a_live_run_knows_is_kept_by_pcapng() {
    let interfaces = [
        interface("lo", LinkType::ETHERNET),
        interface("tun0", LinkType::RAW),
    ];
    let mut packets = vec![packet(1, 60), packet(2, 40), packet(3, 1)];
    packets[1].interface = 1;
    packets[1].link = LinkType::RAW;
    packets[1].direction = Direction::In;
    packets[1].checksum = KernelChecksum::Valid;
    packets[2].comments = vec!["why".into()];
    let bytes = written(&packets, &interfaces, Format::PcapNg);
    let mut reader = Reader::new(Cursor::new(bytes), "f").unwrap();
    assert_eq!(drain(&mut reader), (packets, None));
    assert_eq!(reader.interfaces(), interfaces);
    let counted = &reader.info().statistics[0];
    assert_eq!((counted.received, counted.dropped), (Some(9), Some(2)));
    let by = reader.info().sections[0].application.as_deref();
    assert!(by.is_some_and(|by| by.starts_with("sockwire ")));
}

#[test]
fn pcap_refuses_a_second_link_type_and_names_the_way_out() {
    let out = Shared::default();
    let mut writer = Writer::new(out.clone(), Format::Pcap, "f.pcap");
    put(&mut writer, &packet(1, 60), &[]).unwrap();
    let raw = Packet {
        link: LinkType::RAW,
        ..packet(2, 60)
    };
    let error = put(&mut writer, &raw, &[]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "f.pcap: a pcap file holds one link type, EN10MB; packet 2 is RAW: write pcapng (a name that does not end in .pcap)"
    );
    assert_eq!(writer.finish(&[]).unwrap(), 1);
}

#[test]
fn a_stated_snapshot_length_is_kept_to() {
    let out = Shared::default();
    let mut writer = Writer::new(out.clone(), Format::PcapNg, "f").snaplen(20);
    put(&mut writer, &packet(1, 60), &[]).unwrap();
    writer.finish(&[]).unwrap();
    let (packets, _) = read(&out.0.lock().unwrap());
    assert_eq!((packets[0].bytes.len(), packets[0].wire_len), (20, 60));
}

#[test]
fn flushed_each_second_and_only_then() {
    let out = Shared::default();
    let interfaces = [interface("lo", LinkType::ETHERNET)];
    let mut writer = Writer::new(out.clone(), Format::PcapNg, "f");
    let count = || read(&out.0.lock().unwrap());
    let at = |millis: i64| Time::from_parts(100, 0).plus(millis * SECOND / 1_000);
    writer.begin(&interfaces).unwrap();
    assert_eq!(count(), (vec![], None));
    put(&mut writer, &packet(1, 60), &interfaces).unwrap();
    writer.flush_if_due(at(0)).unwrap();
    writer.flush_if_due(at(999)).unwrap();
    assert_eq!(count().0.len(), 0);
    writer.flush_if_due(at(1_000)).unwrap();
    assert_eq!((count().0.len(), count().1), (1, None));
    put(&mut writer, &packet(2, 60), &interfaces).unwrap();
    writer.flush_if_due(at(1_500)).unwrap();
    assert_eq!(count().0.len(), 1);
    // A clock that was set back delays nothing.
    writer.flush_if_due(at(-5_000)).unwrap();
    assert_eq!(count().0.len(), 2);
}

#[test]
fn only_asked_for_files_are_overwritten_and_links_are_not_followed() {
    let scratch = Scratch::new("create");
    let how = Create {
        format: Format::PcapNg,
        force: false,
        owner: None,
    };
    let force = Create { force: true, ..how };
    let (file, link) = (scratch.path("f.pcapng"), scratch.path("link.pcapng"));
    std::os::unix::fs::symlink(&file, &link).unwrap();
    assert!(create(&link, how).is_err(), "a link to nothing");
    assert!(!file.exists());
    create(&file, how).unwrap().finish(&[]).unwrap();
    let before = std::fs::read(&file).unwrap();
    assert!(matches!(create(&file, how), Err(WriteError::Exists { .. })));
    assert!(matches!(create(&link, how), Err(WriteError::Exists { .. })));
    assert!(matches!(
        create(&link, force),
        Err(WriteError::Symlink { .. })
    ));
    assert_eq!(std::fs::read(&file).unwrap(), before);
    let mut writer = create(&file, force).unwrap();
    put(&mut writer, &packet(1, 60), &[]).unwrap();
    assert_eq!(writer.finish(&[]).unwrap(), 1);
    assert_eq!(read(&std::fs::read(&file).unwrap()).0.len(), 1);
    let directory = create(&scratch.0, force).err().unwrap();
    assert_eq!(directory.io_kind(), Some(io::ErrorKind::IsADirectory));
    let nowhere = create(&scratch.path("no/f"), how).err().unwrap();
    assert_eq!(nowhere.io_kind(), Some(io::ErrorKind::NotFound));
}

#[test]
fn more_interfaces_than_a_section_holds_go_into_several() {
    let names: Vec<String> = (0..2_500).map(|n| format!("if{n}")).collect();
    let interfaces: Vec<_> = names
        .iter()
        .map(|name| interface(name, LinkType::ETHERNET))
        .collect();
    let packets: Vec<Packet> = [0, 2_499, 5, 5, 1_200]
        .into_iter()
        .zip(1..)
        .map(|(interface, number)| Packet {
            interface,
            ..packet(number, 60)
        })
        .collect();
    let bytes = written(&packets, &interfaces, Format::PcapNg);
    let mut reader = Reader::new(Cursor::new(bytes), "f").unwrap();
    let (found, fault) = drain(&mut reader);
    assert_eq!(fault, None);
    let found: Vec<_> = found
        .iter()
        .map(|p| reader.interfaces()[p.interface as usize].name.clone())
        .collect();
    let expected = ["if0", "if2499", "if5", "if5", "if1200"];
    assert_eq!(found, expected.map(|name| Some(name.to_owned())));
}

#[test]
fn a_new_file_is_given_to_its_owner() {
    use std::os::unix::fs::MetadataExt;
    if !nix::unistd::geteuid().is_root() {
        crate::testing::skipped("only root can give files away");
        return;
    }
    let scratch = Scratch::new("owner");
    let path = scratch.path("f.pcap");
    let how = Create {
        format: Format::Pcap,
        force: false,
        owner: Some((12_345, 54_321)),
    };
    create(&path, how).unwrap().finish(&[]).unwrap();
    let about = path.metadata().unwrap();
    assert_eq!((about.uid(), about.gid()), (12_345, 54_321));
    assert_eq!(about.mode() & 0o777, 0o600, "packets are private");
}

#[test]
fn devices_and_fifos_need_no_force_and_a_full_one_is_reported() {
    let how = Create {
        format: Format::PcapNg,
        force: false,
        owner: None,
    };
    let null = create("/dev/null".as_ref(), how).unwrap();
    assert_eq!(null.finish(&[]).unwrap(), 0);
    let mut full = create("/dev/full".as_ref(), how).unwrap();
    let error = put(&mut full, &packet(1, 60), &[]).unwrap_err();
    assert_eq!(error.io_kind(), Some(io::ErrorKind::StorageFull));
    assert_eq!(
        error.to_string(),
        "cannot write /dev/full any further: 0 packets are safe in it"
    );

    let scratch = Scratch::new("fifo");
    let path = scratch.path("fifo");
    nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let from = path.clone();
    let reader = std::thread::spawn(move || {
        let mut reader = super::open(&from).unwrap();
        assert_eq!(reader.size(), None);
        drain(&mut reader).0.len()
    });
    let mut writer = create(&path, how).unwrap();
    put(&mut writer, &packet(1, 60), &[]).unwrap();
    writer.finish(&[]).unwrap();
    assert_eq!(reader.join().unwrap(), 1);
}

/// The file that the child of the next test fills.
const FILL: &str = "SOCKWIRE_TEST_FILL";

/// Not a test of its own: the child of the next one.
#[test]
fn child_fills_a_file() {
    let Some(path) = std::env::var_os(FILL) else {
        return;
    };
    let path = Path::new(&path);
    let how = Create {
        format: Format::from_name(path),
        force: false,
        owner: None,
    };
    let mut writer = create(path, how).unwrap();
    let error = (1..).find_map(|n| put(&mut writer, &packet(n, 1_000), &[]).err());
    println!("child: {}", error.unwrap());
}

#[test]
fn a_file_that_hits_the_limit_ends_after_a_whole_packet() {
    let scratch = Scratch::new("limit");
    // Blocks of 512 bytes; the last lets not even the header in.
    for (name, limit, least) in [
        ("f.pcapng", 700, 300),
        ("f.pcap", 700, 300),
        ("g.pcap", 0, 0),
    ] {
        let path = scratch.path(name);
        let child = Command::new("sh")
            .args([
                "-c",
                "ulimit -f \"$1\" && shift && exec \"$@\"",
                "sh",
                &limit.to_string(),
            ])
            .arg(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "file::roundtrip::child_fills_a_file",
                "--nocapture",
            ])
            .env(FILL, &path)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&child.stdout);
        let safe = said.lines().find_map(|l| {
            l.split_once("any further: ")?
                .1
                .split(' ')
                .next()?
                .parse()
                .ok()
        });
        let safe: usize = safe.unwrap_or_else(|| panic!("{said} {:?}", child.status));
        assert!(safe >= least, "{said}");
        if limit == 0 {
            assert!(!path.exists(), "a file without a header is taken away");
            continue;
        }
        let (packets, fault) = read(&std::fs::read(&path).unwrap());
        assert_eq!((packets.len(), fault), (safe, None));
        peers_agree(&path, safe);
    }
}

fn any_packet(links: &'static [LinkType]) -> impl Strategy<Value = Packet> {
    (
        0..i64::from(u32::MAX) * SECOND,
        (select(links), 0_u32..3),
        select(vec![Direction::Unknown, Direction::In, Direction::Out]),
        select(vec![
            KernelChecksum::Unknown,
            KernelChecksum::Valid,
            KernelChecksum::Unfilled,
        ]),
        option::of(0_u32..100_000),
        vec(any::<u8>(), 0..300),
        vec("[^\\x00]{0,20}", 0..3),
    )
        .prop_map(
            |(time, (link, interface), direction, checksum, wire, bytes, comments)| Packet {
                number: 0,
                time: Time::from_nanos(time),
                link,
                interface,
                direction,
                checksum,
                wire_len: wire.unwrap_or(bytes.len() as u32),
                bytes,
                comments,
            },
        )
}

fn numbered(mut packets: Vec<Packet>) -> Vec<Packet> {
    for (number, packet) in (1..).zip(&mut packets) {
        packet.number = number;
    }
    packets
}

/// A file with every kind of block, in both byte orders.
fn specimen() -> Vec<u8> {
    let mut file = Vec::new();
    for forge in [LE, BE] {
        file.extend(forge.section(&forge.option(1, b"comment")));
        let options = [
            forge.option(2, b"eth0"),
            forge.option(9, &[0x8a]),
            forge.option(14, &[1; 8]),
        ];
        file.extend(forge.interface(1, 96, &options.concat()));
        file.extend(forge.packet(&[7; 60]));
        let options = [forge.option(1, b"why"), forge.option(2, &[2, 0, 0, 2])];
        file.extend(forge.enhanced(0, 99, 5, &[1; 5], &options.concat()));
        file.extend(forge.block(3, &[0; 12]));
        file.extend(forge.block(2, &[0; 24]));
        file.extend(forge.block(4, &[0, 1, 0, 1, 1, 2, 3, 4, b'a', 0, 0, 0, 0, 0, 0, 0]));
        file.extend(forge.block(5, &[0; 36]));
        file.extend(forge.block(10, &[3; 40]));
    }
    file
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn pcapng_gives_back_what_it_was_given(
        packets in vec(any_packet(&[LinkType::ETHERNET, LinkType::LINUX_SLL, LinkType(147)]), 0..40)
    ) {
        let interfaces = [
            interface("a", LinkType::ETHERNET),
            interface("b", LinkType::ETHERNET),
            interface("c", LinkType::ETHERNET),
        ];
        let packets = numbered(packets);
        let bytes = written(&packets, &interfaces, Format::PcapNg);
        let (read, fault) = read(&bytes);
        prop_assert_eq!(fault, None);
        prop_assert_eq!(read.len(), packets.len());
        for (read, packet) in read.iter().zip(&packets) {
            // An interface with two link types becomes two.
            let packet = Packet { interface: read.interface, ..packet.clone() };
            prop_assert_eq!(read, &packet);
        }
        // The other reader agrees.
        let mut theirs = 0;
        let mut rest = bytes.as_slice();
        while let Ok((after, block)) = pcap_parser::parse_block_le(rest) {
            theirs += usize::from(block.is_data_block());
            rest = after;
        }
        prop_assert_eq!((theirs, rest.len()), (packets.len(), 0));
    }

    #[test]
    fn pcap_gives_back_times_lengths_and_bytes(
        packets in vec(any_packet(&[LinkType::RAW]), 1..40)
    ) {
        let bytes = written(&packets, &[], Format::Pcap);
        let (read, fault) = read(&bytes);
        prop_assert_eq!(fault, None);
        let keep = |p: &Packet| (p.time, p.link, p.wire_len, p.bytes.clone());
        prop_assert_eq!(
            read.iter().map(keep).collect::<Vec<_>>(),
            packets.iter().map(keep).collect::<Vec<_>>()
        );
    }

    #[test]
    fn a_cut_at_any_byte_loses_nothing_before_it(count in 1_usize..5, cut in any::<prop::sample::Index>()) {
        for (file, front, each) in [(LE.pcap(count), 24, 70), (BE.pcapng(count), 48, 88)] {
            let at = cut.index(file.len() + 1);
            let (packets, fault) = read(&file[..at]);
            let whole = at.saturating_sub(front) / each;
            prop_assert!((whole..=whole + 1).contains(&packets.len()));
            let clean = at == 28 && each == 88 || at >= front && (at - front).is_multiple_of(each);
            prop_assert_eq!(fault.is_none(), clean);
        }
    }

    #[test]
    fn no_mutation_panics_or_hangs(
        changes in vec((any::<prop::sample::Index>(), any::<u8>()), 0..12),
        cut in option::of(any::<prop::sample::Index>()),
        swap in any::<bool>(),
    ) {
        let mut file = if swap { specimen() } else { LE.pcap(4) };
        for (at, byte) in changes {
            let at = at.index(file.len());
            file[at] = byte;
        }
        if let Some(cut) = cut {
            file.truncate(cut.index(file.len()));
        }
        let (packets, _) = read(&file);
        prop_assert!(packets.iter().all(|p| p.bytes.len() <= file.len()));
    }

    #[test]
    fn no_noise_behind_a_magic_panics(magic in 0_usize..6, noise in vec(any::<u8>(), 0..400)) {
        let magics: [&[u8]; 6] = [
            &[0xd4, 0xc3, 0xb2, 0xa1, 2, 0, 4, 0],
            &[0xa1, 0xb2, 0xcd, 0x34, 0, 2, 0, 4],
            &[0x0a, 0x0d, 0x0d, 0x0a, 28, 0, 0, 0, 0x4d, 0x3c, 0x2b, 0x1a, 1, 0, 0, 0],
            &[0x0a, 0x0d, 0x0d, 0x0a, 0, 0, 0, 28, 0x1a, 0x2b, 0x3c, 0x4d, 0, 1, 0, 0],
            &[0x1f, 0x8b, 8, 0],
            &[0x28, 0xb5, 0x2f, 0xfd],
        ];
        read(&[magics[magic], &noise].concat());
    }
}
