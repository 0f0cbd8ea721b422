//! From a ring block to records: tags put back, cooked headers built, loopback's second copies left out.

use super::filter::Sieve;
use crate::{
    frame::{Direction, KernelChecksum, Record},
    link::LinkType,
    sys::ring::{Cursor, Entry},
    time::Time,
};

/// Bytes of the cooked header, version 2 (LINKTYPE_LINUX_SLL2).
const SLL2: usize = 20;
/// Where a VLAN tag stands in an Ethernet frame: after both addresses.
const TAG_AT: usize = 12;

/// How the frames of one socket become records.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shape {
    /// What the records begin with; [`LinkType::LINUX_SLL2`] when the header is to be built here.
    pub(super) link: LinkType,
    /// Bytes kept of each frame, its link header included.
    pub(super) snaplen: u32,
    /// Leave out what a loopback interface sends, since it is received there too.
    pub(super) loopback_once: bool,
}

/// Frames of a block that became no records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct LeftOut {
    /// Second copies of loopback frames.
    pub(super) duplicate: u64,
    /// Those that the sieve held back, both copies of them.
    pub(super) refused: u64,
}

/// Appends the records of `block`, which is changed in place, and of those that `sieve` lets pass.
pub(super) fn walk(
    block: &mut [u8],
    shape: Shape,
    mut sieve: Option<&mut Sieve>,
    mut interface: impl FnMut(u32) -> u32,
    records: &mut Vec<Record>,
) -> LeftOut {
    let mut cursor = Cursor::new(block);
    let mut left = LeftOut::default();
    while let Some(entry) = cursor.next(block) {
        let sent = entry.packet_type == libc::PACKET_OUTGOING;
        let duplicate = sent && shape.loopback_once && entry.hardware_type == libc::ARPHRD_LOOPBACK;
        if duplicate && sieve.is_none() {
            left.duplicate += 1;
            continue;
        }
        let added = match shape.link {
            LinkType::LINUX_SLL2 => cook(block, &entry),
            LinkType::ETHERNET => entry.tag().map_or(0, |tag| put_back(block, &entry, tag)),
            _ => 0,
        };
        let mut record = Record {
            time: Time::from_parts(entry.seconds.into(), entry.nanos),
            link: shape.link,
            interface: 0,
            direction: if sent { Direction::Out } else { Direction::In },
            checksum: checksum(entry.status),
            wire_len: entry.wire_len.saturating_add(added),
            start: entry.start as u32 - added,
            len: entry.len.saturating_add(added),
        };
        if let Some(sieve) = &mut sieve {
            let takes = record.frame(block, 0).is_some_and(|frame| sieve(&frame));
            match (takes, duplicate) {
                (false, _) => left.refused += 1,
                (true, true) => left.duplicate += 1,
                (true, false) => {}
            }
            if !takes || duplicate {
                continue;
            }
        }
        record.len = record.len.min(shape.snaplen);
        record.interface = interface(entry.ifindex);
        records.push(record);
    }
    left
}

/// Moves both addresses four bytes forward and writes the tag behind them. Returns how many bytes the frame grew.
fn put_back(block: &mut [u8], entry: &Entry, tag: [u8; 4]) -> u32 {
    let (start, grown) = (entry.start, tag.len());
    if entry.room < grown || (entry.len as usize) < TAG_AT {
        return 0;
    }
    block.copy_within(start..start + TAG_AT, start - grown);
    block[start - grown + TAG_AT..][..grown].copy_from_slice(&tag);
    grown as u32
}

/// Builds the cooked header before the packet, as libpcap does, with the VLAN tag behind it where there was one.
fn cook(block: &mut [u8], entry: &Entry) -> u32 {
    let mut header = [0; SLL2 + 4];
    let protocol = entry.protocol.to_be_bytes();
    let len = match entry.tag() {
        None => {
            header[..2].copy_from_slice(&protocol);
            SLL2
        }
        Some([a, b, c, d]) => {
            header[..2].copy_from_slice(&[a, b]);
            header[SLL2..].copy_from_slice(&[c, d, protocol[0], protocol[1]]);
            SLL2 + 4
        }
    };
    header[4..8].copy_from_slice(&entry.ifindex.to_be_bytes());
    header[8..10].copy_from_slice(&entry.hardware_type.to_be_bytes());
    header[10] = entry.packet_type;
    header[11] = entry.address_len;
    header[12..SLL2].copy_from_slice(&entry.address);
    if entry.room < len {
        return 0;
    }
    block[entry.start - len..entry.start].copy_from_slice(&header[..len]);
    len as u32
}

fn checksum(status: u32) -> KernelChecksum {
    if status & libc::TP_STATUS_CSUMNOTREADY != 0 {
        KernelChecksum::Unfilled
    } else if status & libc::TP_STATUS_CSUM_VALID != 0 {
        KernelChecksum::Valid
    } else {
        KernelChecksum::Unknown
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A frame in a ring block, as the kernel lays it out.
    struct Given<'a> {
        status: u32,
        packet_type: u8,
        hardware_type: u16,
        tag: (u16, u16),
        bytes: &'a [u8],
    }

    const PLAIN: Given<'_> = Given {
        status: 0,
        packet_type: libc::PACKET_HOST,
        hardware_type: libc::ARPHRD_ETHER,
        tag: (0, 0),
        bytes: b"ddddddssssss\x08\x00payload",
    };

    fn block(frames: &[Given<'_>]) -> Vec<u8> {
        const FIRST: usize = 48;
        const STRIDE: usize = 160;
        const MAC: usize = 100;
        let mut block = vec![0; FIRST + STRIDE * frames.len()];
        block[12..16].copy_from_slice(&(frames.len() as u32).to_ne_bytes());
        block[16..20].copy_from_slice(&(FIRST as u32).to_ne_bytes());
        for (frame, slot) in frames.iter().zip(block[FIRST..].chunks_mut(STRIDE)) {
            for (at, word) in [
                (0, STRIDE as u32),
                (4, 1_700_000_000),
                (8, 123),
                (12, frame.bytes.len() as u32),
                (16, frame.bytes.len() as u32),
                (20, frame.status),
                (32, frame.tag.1.into()),
                (52, 7),
            ] {
                slot[at..at + 4].copy_from_slice(&word.to_ne_bytes());
            }
            slot[24..26].copy_from_slice(&(MAC as u16).to_ne_bytes());
            slot[36..38].copy_from_slice(&frame.tag.0.to_ne_bytes());
            slot[50..52].copy_from_slice(&0x0800_u16.to_be_bytes());
            slot[56..58].copy_from_slice(&frame.hardware_type.to_ne_bytes());
            slot[58] = frame.packet_type;
            slot[59] = 6;
            slot[60..66].copy_from_slice(b"ssssss");
            slot[MAC..MAC + frame.bytes.len()].copy_from_slice(frame.bytes);
        }
        block
    }

    fn shape(link: LinkType) -> Shape {
        Shape {
            link,
            snaplen: 65_535,
            loopback_once: true,
        }
    }

    fn bytes(block: &[u8], record: &Record) -> Vec<u8> {
        block[record.start as usize..][..record.len as usize].to_vec()
    }

    #[test]
    fn the_tag_goes_back_between_addresses_and_type() {
        let status = libc::TP_STATUS_VLAN_VALID | libc::TP_STATUS_VLAN_TPID_VALID;
        let mut block = block(&[Given {
            status,
            tag: (0x88a8, 0x2064),
            ..PLAIN
        }]);
        let mut records = Vec::new();
        assert_eq!(
            walk(
                &mut block,
                shape(LinkType::ETHERNET),
                None,
                |_| 0,
                &mut records
            ),
            LeftOut::default()
        );
        assert_eq!(
            bytes(&block, &records[0]),
            b"ddddddssssss\x88\xa8\x20\x64\x08\x00payload"
        );
        assert_eq!(records[0].wire_len, records[0].len);
        assert_eq!(records[0].time, Time::from_parts(1_700_000_000, 123));
    }

    #[test]
    fn cooked_headers_name_the_interface_and_keep_the_tag() {
        let packet: &[u8] = b"packet";
        let tagged = Given {
            status: libc::TP_STATUS_VLAN_VALID,
            tag: (0, 5),
            bytes: packet,
            ..PLAIN
        };
        let mut block = block(&[
            Given {
                bytes: packet,
                ..PLAIN
            },
            tagged,
        ]);
        let mut records = Vec::new();
        walk(
            &mut block,
            shape(LinkType::LINUX_SLL2),
            None,
            |ifindex| ifindex + 1,
            &mut records,
        );
        let head = b"\0\0\0\0\0\x07\0\x01\0\x06ssssss\0\0";
        assert_eq!(
            bytes(&block, &records[0]),
            [b"\x08\0", &head[..], packet].concat()
        );
        assert_eq!(
            bytes(&block, &records[1]),
            [b"\x81\0", &head[..], b"\0\x05\x08\0", packet].concat()
        );
        assert_eq!(records[0].interface, 8);
    }

    #[test]
    fn only_loopback_sends_are_duplicates() {
        let sent = |hardware_type| Given {
            packet_type: libc::PACKET_OUTGOING,
            hardware_type,
            ..PLAIN
        };
        let mut block = block(&[sent(libc::ARPHRD_LOOPBACK), sent(libc::ARPHRD_ETHER), PLAIN]);
        let mut records = Vec::new();
        assert_eq!(
            walk(
                &mut block,
                shape(LinkType::ETHERNET),
                None,
                |_| 0,
                &mut records
            )
            .duplicate,
            1
        );
        let directions: Vec<Direction> = records.iter().map(|r| r.direction).collect();
        assert_eq!(directions, [Direction::Out, Direction::In]);
    }

    #[test]
    fn both_copies_of_what_the_sieve_refuses_count_as_refused() {
        let of = |packet_type, bytes| Given {
            packet_type,
            bytes,
            hardware_type: libc::ARPHRD_LOOPBACK,
            ..PLAIN
        };
        let (wanted, other) = (PLAIN.bytes, &b"ddddddssssss\x08\x06other"[..]);
        let (sent, received) = (libc::PACKET_OUTGOING, libc::PACKET_HOST);
        let mut block = block(&[
            of(sent, wanted),
            of(received, wanted),
            of(sent, other),
            of(received, other),
        ]);
        let mut sieve: Sieve = Box::new(|frame| frame.bytes[13] == 0);
        let mut records = Vec::new();
        let left = walk(
            &mut block,
            shape(LinkType::ETHERNET),
            Some(&mut sieve),
            |_| 3,
            &mut records,
        );
        let expected = LeftOut {
            duplicate: 1,
            refused: 2,
        };
        assert_eq!(
            (left, records.len(), records[0].interface),
            (expected, 1, 3)
        );
    }

    #[test]
    fn a_damaged_block_gives_no_record_outside_it() {
        let tagged = Given {
            status: libc::TP_STATUS_VLAN_VALID,
            ..PLAIN
        };
        let sound = block(&[tagged, PLAIN]);
        for link in [LinkType::ETHERNET, LinkType::LINUX_SLL2, LinkType::RAW] {
            for at in (0..sound.len() - 4).filter(|at| at % 4 == 0) {
                for word in [0, 1, 400, 0xffff, 0x7fff_ffff, u32::MAX] {
                    let mut block = sound.clone();
                    block[at..at + 4].copy_from_slice(&word.to_ne_bytes());
                    let mut records = Vec::new();
                    walk(&mut block, shape(link), None, |_| 0, &mut records);
                    assert!(records.len() <= 2, "{link:?} {at} {word}");
                    for record in records {
                        let end = record.start as usize + record.len as usize;
                        assert!(end <= block.len(), "{link:?} {at} {word}");
                    }
                }
            }
        }
    }
}
