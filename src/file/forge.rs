//! Capture files made in memory for tests: sound ones, and every way of breaking them; and reading them to the end.

use std::io::Cursor;

use crate::{
    frame::{Direction, KernelChecksum, Source, SourceErrorKind, Step},
    link::LinkType,
    time::Time,
};

use super::{Reader, order::Order};

/// Builds files in one byte order.
#[derive(Clone, Copy)]
pub(super) struct Forge(pub(super) Order);

pub(super) const LE: Forge = Forge(Order::Little);
pub(super) const BE: Forge = Forge(Order::Big);

/// What a pcap header says; what a test does not set is as tcpdump writes it.
#[derive(Clone, Copy)]
pub(super) struct Header {
    pub(super) magic: u32,
    pub(super) version: (u16, u16),
    pub(super) snaplen: u32,
    pub(super) link: u32,
}

impl Default for Header {
    fn default() -> Self {
        Self {
            magic: 0xa1b2_c3d4,
            version: (2, 4),
            snaplen: 262_144,
            link: 1,
        }
    }
}

impl Forge {
    pub(super) fn u16(self, n: u16) -> [u8; 2] {
        match self.0 {
            Order::Little => n.to_le_bytes(),
            Order::Big => n.to_be_bytes(),
        }
    }

    pub(super) fn u32(self, n: u32) -> [u8; 4] {
        match self.0 {
            Order::Little => n.to_le_bytes(),
            Order::Big => n.to_be_bytes(),
        }
    }

    pub(super) fn header(self, header: Header) -> Vec<u8> {
        let mut out = self.u32(header.magic).to_vec();
        out.extend(self.u16(header.version.0));
        out.extend(self.u16(header.version.1));
        out.extend([0; 8]);
        out.extend(self.u32(header.snaplen));
        out.extend(self.u32(header.link));
        out
    }

    /// A record whose lengths may lie.
    pub(super) fn lying(self, time: (u32, u32), lengths: (u32, u32), data: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        for word in [time.0, time.1, lengths.0, lengths.1] {
            out.extend(self.u32(word));
        }
        out.extend(data);
        out
    }

    pub(super) fn record(self, data: &[u8]) -> Vec<u8> {
        let length = data.len() as u32;
        self.lying((1_700_000_000, 123_456), (length, length), data)
    }

    /// A pcap file with `count` packets of 54 bytes.
    pub(super) fn pcap(self, count: usize) -> Vec<u8> {
        let mut out = self.header(Header::default());
        for _ in 0..count {
            out.extend(self.record(&[0xab; 54]));
        }
        out
    }

    pub(super) fn block(self, kind: u32, body: &[u8]) -> Vec<u8> {
        let length = (body.len() + 12) as u32;
        self.framed(kind, length, body, length)
    }

    /// A block whose lengths may lie.
    pub(super) fn framed(self, kind: u32, length: u32, body: &[u8], again: u32) -> Vec<u8> {
        let mut out = self.u32(kind).to_vec();
        out.extend(self.u32(length));
        out.extend(body);
        out.extend(self.u32(again));
        out
    }

    pub(super) fn option(self, code: u16, value: &[u8]) -> Vec<u8> {
        let mut out = self.u16(code).to_vec();
        out.extend(self.u16(value.len() as u16));
        out.extend(value);
        out.resize(out.len().next_multiple_of(4), 0);
        out
    }

    pub(super) fn section(self, options: &[u8]) -> Vec<u8> {
        let mut body = self.u32(0x1a2b_3c4d).to_vec();
        body.extend(self.u16(1));
        body.extend(self.u16(0));
        body.extend([0xff; 8]);
        body.extend(options);
        self.block(0x0a0d_0d0a, &body)
    }

    pub(super) fn interface(self, link: u16, snaplen: u32, options: &[u8]) -> Vec<u8> {
        let mut body = self.u16(link).to_vec();
        body.extend([0; 2]);
        body.extend(self.u32(snaplen));
        body.extend(options);
        self.block(1, &body)
    }

    /// An enhanced packet; the captured length may lie.
    pub(super) fn enhanced(
        self,
        interface: u32,
        ticks: u64,
        captured: u32,
        data: &[u8],
        options: &[u8],
    ) -> Vec<u8> {
        let mut body = Vec::new();
        for word in [
            interface,
            (ticks >> 32) as u32,
            ticks as u32,
            captured,
            data.len() as u32,
        ] {
            body.extend(self.u32(word));
        }
        body.extend(data);
        body.resize(body.len().next_multiple_of(4), 0);
        body.extend(options);
        self.block(6, &body)
    }

    pub(super) fn packet(self, data: &[u8]) -> Vec<u8> {
        self.enhanced(0, 1_700_000_000_123_456, data.len() as u32, data, &[])
    }

    /// A section and one Ethernet interface, 48 bytes.
    pub(super) fn front(self) -> Vec<u8> {
        [self.section(&[]), self.interface(1, 0, &[])].concat()
    }

    /// A pcapng file with `count` packets of 54 bytes, 88 bytes a block.
    pub(super) fn pcapng(self, count: usize) -> Vec<u8> {
        let mut out = self.front();
        for _ in 0..count {
            out.extend(self.packet(&[0xab; 54]));
        }
        out
    }
}

/// One packet as the tests look at it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Packet {
    pub(super) number: u64,
    pub(super) time: Time,
    pub(super) link: LinkType,
    pub(super) interface: u32,
    pub(super) direction: Direction,
    pub(super) checksum: KernelChecksum,
    pub(super) wire_len: u32,
    pub(super) bytes: Vec<u8>,
    pub(super) comments: Vec<String>,
}

/// All packets of a source, and how it ended.
pub(super) fn drain(reader: &mut Reader) -> (Vec<Packet>, Option<(SourceErrorKind, String)>) {
    let mut packets = Vec::new();
    loop {
        match reader.next(Time::MAX) {
            Ok(Step::Batch(batch)) => {
                for (index, frame) in batch.frames().enumerate() {
                    packets.push(Packet {
                        number: frame.number,
                        time: frame.time,
                        link: frame.link,
                        interface: frame.interface,
                        direction: frame.direction,
                        checksum: frame.checksum,
                        wire_len: frame.wire_len,
                        bytes: frame.bytes.to_vec(),
                        comments: batch.comments_of(index).map(str::to_owned).collect(),
                    });
                }
                reader.recycle(batch);
            }
            Ok(Step::End(counters)) => {
                assert_eq!(counters.seen, packets.len() as u64);
                return (packets, None);
            }
            Ok(_) => {}
            Err(error) => {
                assert!(matches!(reader.next(Time::MAX), Ok(Step::End(_))));
                return (packets, Some((error.kind, error.to_string())));
            }
        }
    }
}

/// Reads a file in memory to its end, or to its fault at the very front.
pub(super) fn read(bytes: &[u8]) -> (Vec<Packet>, Option<(SourceErrorKind, String)>) {
    match Reader::new(Cursor::new(bytes.to_vec()), "f") {
        Ok(mut reader) => drain(&mut reader),
        Err(error) => (Vec::new(), Some((error.kind(), error.to_string()))),
    }
}
