//! Damaged and odd files, one by one: how many packets each gives, and the words that end it.
#![allow(clippy::unwrap_used)]

use std::io::{Cursor, Write};

use crate::{
    frame::{Direction, KernelChecksum, Source, SourceErrorKind, Step},
    link::LinkType,
    time::Time,
};

use super::{
    Compression, FileError, Reader,
    forge::{BE, Forge, Header, LE, drain, read},
};

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    packer.write_all(bytes).unwrap();
    packer.finish().unwrap()
}

/// Expects `count` packets, and then the end or these words.
#[track_caller]
fn check(what: &str, bytes: &[u8], count: usize, words: Option<&str>) {
    let (packets, fault) = read(bytes);
    let fault = fault.map(|(kind, words)| {
        assert_eq!(kind, SourceErrorKind::Damaged, "{what}");
        words
    });
    assert_eq!((packets.len(), fault.as_deref()), (count, words), "{what}");
}

#[test]
fn broken_pcap_files_say_what_and_where() {
    let one = LE.pcap(1);
    let three = LE.pcap(3);
    let claim = |captured| [one.clone(), LE.lying((1, 2), (captured, 60), &[1; 100])].concat();
    let odd = |header| [LE.header(header), LE.record(&[1; 60])].concat();
    for (what, bytes, count, words) in [
        (
            "01 empty",
            vec![],
            0,
            Some("f is empty: expected a pcap or pcapng header, found no bytes at all"),
        ),
        ("02 header only", LE.pcap(0), 0, None),
        (
            "03 header cut",
            LE.pcap(0)[..12].to_vec(),
            0,
            Some(
                "f is damaged at packet 1, byte 0: expected a pcap header of 24 bytes, found the end of the file after 12",
            ),
        ),
        (
            "04 record header cut",
            [three.clone(), vec![0; 10]].concat(),
            3,
            Some(
                "f is damaged at packet 4, byte 234: expected a record header of 16 bytes, found the end of the file after 10",
            ),
        ),
        (
            "05 record cut",
            [three, LE.record(&[1; 54])[..36].to_vec()].concat(),
            4,
            Some(
                "f is damaged at packet 4, byte 234: expected 54 bytes of packet, found the end of the file after 20",
            ),
        ),
        (
            "06 huge",
            claim(u32::MAX),
            1,
            Some(
                "f is damaged at packet 2, byte 94: expected a packet of at most 262144 bytes, found a captured length of 4294967295",
            ),
        ),
        (
            "07 large",
            claim(1 << 30),
            1,
            Some(
                "f is damaged at packet 2, byte 94: expected a packet of at most 262144 bytes, found a captured length of 1073741824",
            ),
        ),
        (
            "08 above the snapshot length",
            odd(Header {
                snaplen: 40,
                ..Header::default()
            }),
            1,
            None,
        ),
        (
            "11 unknown magic",
            [&[0xfe; 4], &one[4..]].concat(),
            0,
            Some(
                "f is not a capture file: expected pcap or pcapng (plain, gzip or zstd), found data that begins with the bytes fefefefe02000400",
            ),
        ),
        (
            "12 version",
            odd(Header {
                version: (9, 9),
                ..Header::default()
            }),
            0,
            Some(
                "f is damaged at packet 1, byte 0: expected pcap version 2.4 or before, found version 9.9",
            ),
        ),
        (
            "13 link type",
            odd(Header {
                link: 12345,
                ..Header::default()
            }),
            1,
            None,
        ),
        (
            "text",
            b"Hello, world\nmore".to_vec(),
            0,
            Some(
                "f is not a capture file: expected pcap or pcapng (plain, gzip or zstd), found text that begins \"Hello, world\"",
            ),
        ),
        (
            "zeros",
            vec![0; 4096],
            0,
            Some(
                "f is not a capture file: expected pcap or pcapng (plain, gzip or zstd), found zero bytes",
            ),
        ),
        (
            "one byte",
            vec![0xa1],
            0,
            Some(
                "f is not a capture file: expected pcap or pcapng (plain, gzip or zstd), found data that begins with the bytes a1",
            ),
        ),
    ] {
        check(what, &bytes, count, words);
    }
}

#[test]
fn a_cut_record_is_delivered_up_to_the_cut() {
    let whole = LE.pcap(2);
    let (packets, fault) = read(&whole[..whole.len() - 30]);
    assert_eq!((packets[1].bytes.len(), packets[1].wire_len), (24, 54));
    assert!(fault.is_some());
    let whole = BE.pcapng(2);
    let (packets, fault) = read(&whole[..whole.len() - 30]);
    assert_eq!((packets[1].bytes.len(), packets[1].wire_len), (30, 54));
    assert_eq!(
        fault.unwrap().1,
        "f is damaged at packet 2, byte 136: expected a block of 88 bytes, found the end of the file after 58"
    );
}

#[test]
fn odd_pcap_records_are_read_as_they_are() {
    let odd = [
        LE.header(Header {
            snaplen: 0,
            ..Header::default()
        }),
        LE.lying((10, 5_000_000), (0, 0), &[]),
        LE.lying((9, 0), (1, 60), &[7]),
        LE.lying((u32::MAX, 999_999), (60, 40), &[1; 60]),
    ]
    .concat();
    let (packets, fault) = read(&odd);
    assert_eq!(fault, None);
    let seen: Vec<_> = packets
        .iter()
        .map(|p| (p.time.to_string(), p.wire_len, p.bytes.len()))
        .collect();
    assert_eq!(
        seen,
        [
            ("15.000000000".to_owned(), 0, 0),
            ("9.000000000".to_owned(), 60, 1),
            ("4294967295.999999000".to_owned(), 40, 60),
        ]
    );
}

#[test]
fn every_kind_of_pcap_gives_the_same_packet() {
    let data = [0xcd; 40];
    for forge in [LE, BE] {
        for (magic, version, lengths, extra, nanos) in [
            (0xa1b2_c3d4, (2, 4), (40, 99), 0, 7_000),
            (0xa1b2_3c4d, (2, 4), (40, 99), 0, 7),
            (0xa1b2_cd34, (2, 4), (40, 99), 8, 7_000),
            (0xa1b2_c3d4, (2, 3), (40, 99), 0, 7_000),
            (0xa1b2_c3d4, (2, 3), (99, 40), 0, 7_000),
            (0xa1b2_c3d4, (2, 2), (99, 40), 0, 7_000),
        ] {
            let header = forge.header(Header {
                magic,
                version,
                ..Header::default()
            });
            let mut record = forge.lying((5, 7), lengths, &vec![0; extra]);
            record.extend(data);
            let (packets, fault) = read(&[header, record].concat());
            assert_eq!((packets.len(), fault), (1, None), "{magic:#x} {version:?}");
            assert_eq!(packets[0].bytes, data);
            assert_eq!(packets[0].wire_len, 99);
            assert_eq!(packets[0].time, Time::from_parts(5, nanos));
        }
    }
}

#[test]
fn raw_ip_has_one_number() {
    for number in [12, 14, 101] {
        let header = Header {
            link: number,
            ..Header::default()
        };
        let (packets, _) = read(&[LE.header(header), LE.record(&[1])].concat());
        assert_eq!(packets[0].link, LinkType::RAW);
        let ng = [
            LE.section(&[]),
            LE.interface(number as u16, 0, &[]),
            LE.packet(&[1]),
        ];
        assert_eq!(read(&ng.concat()).0[0].link, LinkType::RAW);
    }
}

#[test]
fn broken_pcapng_files_say_what_and_where() {
    let one = LE.pcapng(1);
    let after = |block: Vec<u8>| [one.clone(), block].concat();
    let lying = |length, again| after(LE.framed(6, length, &[0; 76], again));
    let front = LE.front();
    let in_front = |block: Vec<u8>| [front.clone(), block].concat();
    let option = [LE.u16(2).to_vec(), LE.u16(60_000).to_vec()].concat();
    let mut strange = LE.section(&[]);
    strange[8..12].copy_from_slice(&LE.u32(0xdead_beef));
    let mut version = LE.section(&[]);
    version[12] = 2;
    let length = "expected a block length from 12 to 16777216 that is a multiple of 4, found";
    for (what, bytes, count, words) in [
        ("23 length 0", lying(0, 0), 1, Some(format!("f is damaged at packet 2, byte 136: {length} 0"))),
        ("24 length 8", lying(8, 8), 1, Some(format!("f is damaged at packet 2, byte 136: {length} 8"))),
        ("25 huge", lying(0xffff_fff0, 88), 1, Some(format!("f is damaged at packet 2, byte 136: {length} 4294967280"))),
        ("26 trailer", lying(88, 92), 1,
            Some("f is damaged at packet 2, byte 136: expected the block's length 88 again at its end, found 92".into())),
        ("27 unaligned", lying(89, 89), 1, Some(format!("f is damaged at packet 2, byte 136: {length} 89"))),
        ("28 byte-order magic", strange, 0,
            Some("f is damaged at packet 1, byte 0: expected the byte-order magic 0x1a2b3c4d, found 0xdeadbeef".into())),
        ("28 version", version, 0,
            Some("f is damaged at packet 1, byte 0: expected pcapng version 1.x, found version 2.0".into())),
        ("29 legal: sections in both orders", [LE.pcapng(1), BE.pcapng(2)].concat(), 3, None),
        ("30 blocks in the other order", [LE.section(&[]), BE.interface(1, 0, &[])].concat(), 0,
            Some(format!("f is damaged at packet 1, byte 28: {length} 335544320"))),
        ("31 packet before its interface", [LE.section(&[]), LE.packet(&[1])].concat(), 0,
            Some("f is damaged at packet 1, byte 28: expected one of the 0 interfaces described before, found a packet of interface 0".into())),
        ("31 interface 99", in_front(LE.enhanced(99, 0, 1, &[1], &[])), 0,
            Some("f is damaged at packet 1, byte 48: expected one of the 1 interfaces described before, found a packet of interface 99".into())),
        ("32 captured length", after(LE.enhanced(0, 0, 60_000, &[0; 56], &[])), 1,
            Some("f is damaged at packet 2, byte 136: expected a packet of at most 56 bytes, found a captured length of 60000".into())),
        ("33 option in an interface", [LE.section(&[]), LE.interface(1, 0, &option)].concat(), 0,
            Some("f is damaged at packet 1, byte 28: expected at most 0 bytes for option 2, found a length of 60000".into())),
        ("33 option in a packet", in_front(LE.enhanced(0, 0, 4, &[1; 4], &option)), 0,
            Some("f is damaged at packet 1, byte 48: expected at most 0 bytes for option 2, found a length of 60000".into())),
        ("34 resolution 2^-127", [LE.section(&[]), LE.interface(1, 0, &LE.option(9, &[0xff])), LE.packet(&[1])].concat(), 1, None),
        ("36 packet cut", LE.pcapng(4)[..48 + 3 * 88 + 40].to_vec(), 4,
            Some("f is damaged at packet 4, byte 312: expected a block of 88 bytes, found the end of the file after 40".into())),
        ("cut before the packet's bytes", LE.pcapng(2)[..136 + 28].to_vec(), 1,
            Some("f is damaged at packet 2, byte 136: expected a block of 88 bytes, found the end of the file after 28".into())),
        ("cut in a block's head", LE.pcapng(1)[..48 + 7].to_vec(), 0,
            Some("f is damaged at packet 1, byte 48: expected a block of 12 bytes or more, found the end of the file after 7".into())),
        ("section cut", LE.section(&[])[..20].to_vec(), 0,
            Some("f is damaged at packet 1, byte 0: expected a block of 28 bytes, found the end of the file after 20".into())),
        ("short packet block", in_front(LE.block(6, &[0; 16])), 0,
            Some("f is damaged at packet 1, byte 48: expected a packet block with 20 bytes before the packet, found 16".into())),
        ("unknown blocks", [front.clone(), LE.block(0xbad, &[1; 40]), LE.block(0x0bad_beef, &[2; 4]), LE.packet(&[1])].concat(), 1, None),
        ("a large unknown block", [front.clone(), LE.block(9, &vec![1; 3 << 20]), LE.packet(&[1])].concat(), 1, None),
    ] {
        check(what, &bytes, count, words.as_deref());
    }
}

#[test]
fn interfaces_are_bounded() {
    let many = |count: usize| {
        let mut file = LE.section(&[]);
        for _ in 0..count {
            file.extend(LE.interface(1, 0, &[]));
        }
        file.extend(LE.enhanced(count as u32 - 1, 0, 1, &[1], &[]));
        file
    };
    check("1,000", &many(1_000), 1, None);
    check(
        "35 too many",
        &many(400_000),
        0,
        Some(
            "f is damaged at packet 1, byte 20028: expected at most 1000 interfaces in a section, found one more",
        ),
    );
}

#[test]
fn packed_files_are_seen_by_content_and_their_faults_told() {
    let plain = LE.pcapng(1_000);
    let (expected, _) = read(&plain);
    let zst = zstd::encode_all(plain.as_slice(), 3).unwrap();
    let two = [gzip(&plain[..500]), gzip(&plain[500..])].concat();
    let two_frames = [
        zstd::encode_all(&plain[..500], 3).unwrap(),
        zstd::encode_all(&plain[500..], 3).unwrap(),
    ]
    .concat();
    for packed in [gzip(&plain), zst.clone(), two, two_frames] {
        assert_eq!(read(&packed), (expected.clone(), None));
    }
    let reader = Reader::new(Cursor::new(zst.clone()), "f").unwrap();
    assert_eq!(reader.info().compression, Compression::Zstd);

    let mut bad = gzip(&plain);
    let at = bad.len() - 8;
    bad[at] ^= 1;
    check(
        "40 bad CRC",
        &bad,
        1_000,
        Some(
            "f is damaged at packet 1001, byte 88048 of the unpacked data: expected sound gzip data, found corrupt gzip stream does not have a matching checksum",
        ),
    );
    for cut in [&gzip(&plain)[..at - 20], &zst[..zst.len() - 9]] {
        let (packets, fault) = read(cut);
        let (kind, words) = fault.unwrap();
        assert_eq!(kind, SourceErrorKind::Damaged);
        assert!(
            words.contains("of the unpacked data: expected sound"),
            "{words}"
        );
        assert_eq!(
            packets[..packets.len().min(3)],
            expected[..packets.len().min(3)]
        );
    }
    check(
        "packed nothing",
        &gzip(&[]),
        0,
        Some("f is empty: expected a pcap or pcapng header, found no bytes at all"),
    );
}

#[test]
fn bombs_are_stopped_unless_told_otherwise() {
    // Sixteen packets of 65,520 zeros, packed once and repeated to 80 MiB.
    let header = LE.header(Header::default());
    let mebibyte = LE.record(&[0; 65_520]).repeat(16);
    // Packed with zstd only: the guard does not know what unpacks, and debug builds unpack gzip slowly.
    let bomb = [
        zstd::encode_all(header.as_slice(), 3).unwrap(),
        zstd::encode_all(mebibyte.as_slice(), 3).unwrap().repeat(80),
    ]
    .concat();
    let (packets, fault) = read(&bomb);
    let (kind, words) = fault.unwrap();
    assert_eq!(kind, SourceErrorKind::Damaged);
    assert!(words.contains("--no-limit"), "{words}");
    assert!((63 * 16..=65 * 16).contains(&packets.len()), "{words}");

    let mut reader = Reader::new(Cursor::new(bomb), "f").unwrap().no_limit();
    let (packets, fault) = drain(&mut reader);
    assert_eq!((packets.len(), fault), (80 * 16, None));
}

#[test]
fn old_and_simple_packets_are_read() {
    let simple = |forge: Forge, wire: u32, data: &[u8]| {
        let mut body = forge.u32(wire).to_vec();
        body.extend(data);
        body.resize(body.len().next_multiple_of(4), 0);
        forge.block(3, &body)
    };
    for forge in [LE, BE] {
        let mut old = Vec::new();
        old.extend(forge.u16(0));
        old.extend(forge.u16(3));
        for word in [1, 0x4000_0000, 5, 60] {
            old.extend(forge.u32(word));
        }
        old.extend([9; 5]);
        old.extend([0; 3]);
        old.extend(forge.option(2, &forge.u32(2)));
        let file = [
            forge.section(&[]),
            forge.interface(1, 6, &[]),
            simple(forge, 4, &[1; 4]),
            simple(forge, 100, &[2; 6]),
            forge.block(2, &old),
        ];
        let (packets, fault) = read(&file.concat());
        assert_eq!(fault, None);
        let seen: Vec<_> = packets
            .iter()
            .map(|p| (p.bytes.as_slice(), p.wire_len, p.direction))
            .collect();
        assert_eq!(
            seen,
            [
                (&[1; 4][..], 4, Direction::Unknown),
                (&[2; 6][..], 100, Direction::Unknown),
                (&[9; 5][..], 60, Direction::Out),
            ]
        );
        assert_eq!(packets[2].time.nanos(), 0x1_4000_0000 * 1_000);
    }
}

#[test]
fn a_missing_file_and_a_directory_keep_the_system_s_word() {
    let missing = super::open("/nonexistent/f.pcap".as_ref()).err().unwrap();
    assert_eq!(missing.io_kind(), Some(std::io::ErrorKind::NotFound));
    let directory = super::open("/".as_ref()).err().unwrap();
    assert_eq!(directory.io_kind(), Some(std::io::ErrorKind::IsADirectory));
    assert!(matches!(directory, FileError::Open { .. }));
}

#[test]
fn metadata_is_kept_for_those_who_ask() {
    for forge in [LE, BE] {
        let number = |n: u64| match forge.0 {
            super::order::Order::Little => n.to_le_bytes(),
            super::order::Order::Big => n.to_be_bytes(),
        };
        let offset = number(10);
        let about = [
            forge.option(1, b"a section"),
            forge.option(4, b"dumpcap"),
            forge.option(0, &[]),
        ];
        let interface = [
            forge.option(2, b"eth0"),
            forge.option(3, b"uplink"),
            forge.option(11, b"\0tcp port 80"),
            forge.option(9, &[9]),
            forge.option(14, &offset),
            forge.option(1, b"an interface"),
        ];
        let names = [
            forge.u16(1).to_vec(),
            forge.u16(4 + 8).to_vec(),
            b"\x0a\0\0\x01one\0two\0".to_vec(),
            vec![0; 4],
        ];
        let mut statistics = vec![0; 12];
        statistics.extend(forge.option(4, &number(70)));
        statistics.extend(forge.option(5, &number(3)));
        let file = [
            forge.section(&about.concat()),
            forge.interface(113, 96, &interface.concat()),
            forge.block(4, &names.concat()),
            forge.enhanced(
                0,
                5,
                1,
                &[1],
                &[forge.option(1, b"first\0"), forge.option(1, b"second")].concat(),
            ),
            forge.enhanced(0, 6, 1, &[1], &forge.option(2, &forge.u32(1 | 1 << 9))),
            forge.block(5, &statistics),
            forge.section(&[]),
        ]
        .concat();
        let mut reader = Reader::new(Cursor::new(file), "f").unwrap();
        let (packets, fault) = drain(&mut reader);
        assert_eq!(fault, None);
        assert_eq!(packets[0].comments, ["first", "second"]);
        assert_eq!(packets[0].time, Time::from_parts(10, 5));
        assert_eq!(packets[0].link, LinkType::LINUX_SLL);
        assert_eq!(packets[1].direction, Direction::In);
        assert_eq!(packets[1].checksum, KernelChecksum::Unfilled);
        let seen = &reader.interfaces()[0];
        assert_eq!(seen.name.as_deref(), Some("eth0"));
        assert_eq!(seen.description.as_deref(), Some("uplink"));
        assert_eq!(seen.filter.as_deref(), Some("tcp port 80"));
        assert_eq!(seen.snaplen, 96);
        let info = reader.info();
        assert_eq!(info.sections.len(), 2);
        assert_eq!(info.sections[0].comments, ["a section"]);
        assert_eq!(info.sections[0].application.as_deref(), Some("dumpcap"));
        assert_eq!(info.interfaces[0].comments, ["an interface"]);
        let names: Vec<_> = info.names.iter().map(|n| n.name.as_str()).collect();
        assert_eq!(names, ["one", "two"]);
        assert_eq!(info.names[0].address.to_string(), "10.0.0.1");
        assert_eq!(info.statistics[0].received, Some(70));
        assert_eq!(info.statistics[0].dropped, Some(3));
    }
}

/// Gives one byte a read, and is interrupted by a signal once, at a byte of its choice.
struct Dripping(Cursor<Vec<u8>>, u64);

impl std::io::Read for Dripping {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        if self.0.position() == self.1 {
            self.1 = u64::MAX;
            return Err(std::io::ErrorKind::Interrupted.into());
        }
        let most = into.len().min(1);
        self.0.read(&mut into[..most])
    }
}

#[test]
fn a_slow_stream_gives_each_packet_when_it_is_there() {
    for file in [LE.pcap(3), BE.pcapng(3)] {
        let (expected, _) = read(&file);
        let mut reader = Reader::new(Dripping(Cursor::new(file), u64::MAX), "-").unwrap();
        for packet in &expected {
            let Ok(Step::Batch(batch)) = reader.next(Time::MAX) else {
                panic!("a packet was expected");
            };
            assert_eq!((batch.len(), batch.first), (1, packet.number));
            assert_eq!(batch.frame(0).unwrap().bytes, packet.bytes);
        }
        assert!(matches!(reader.next(Time::MAX), Ok(Step::End(_))));
    }
}

#[test]
fn a_signal_is_noticed_and_loses_nothing() {
    let file = LE.pcap(2);
    let mut reader = Reader::new(Dripping(Cursor::new(file.clone()), 120), "-").unwrap();
    assert!(matches!(reader.next(Time::MAX), Ok(Step::Batch(_))));
    assert!(matches!(reader.next(Time::MAX), Ok(Step::Quiet(_))));
    assert_eq!(drain_rest(&mut reader), 1);

    let mut reader = Reader::new(Dripping(Cursor::new(file), 120), "-").unwrap();
    assert!(matches!(reader.next(Time::MAX), Ok(Step::Batch(_))));
    reader.stop();
    assert!(matches!(reader.next(Time::MAX), Ok(Step::End(c)) if c.seen == 1));
}

fn drain_rest(reader: &mut Reader) -> usize {
    let mut count = 0;
    while let Ok(Step::Batch(batch)) = reader.next(Time::MAX) {
        count += batch.len();
    }
    count
}
