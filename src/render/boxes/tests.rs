//! Drawings of headers, exact to the character.
#![allow(clippy::unwrap_used)]

use unicode_width::UnicodeWidthStr as _;

use super::*;
use crate::{
    link::LinkType,
    track::testing::{UDP, batch},
};

fn drawn(link: LinkType, frame: &str, cut: usize, index: usize, ascii: bool) -> String {
    let (batch, decoded) = batch(link, &[frame], cut);
    let packet = decoded.packet(&batch, 0).unwrap();
    let mut out = String::new();
    header(&packet.view(index).unwrap(), ascii, &mut out);
    out
}

/// A SYN with 20 bytes of options, over IPv4 without a link header.
const SYN: &str = "4500003c0001400040060000 0a000001 0a000002 \
    a028 1388 00000007 00000000 a002 ffd7 beef 0000 020405b4 0402 080a00000001 00000000 01 030307";

#[test]
fn a_syn_is_drawn_as_in_its_rfc() {
    let text = drawn(LinkType::RAW, SYN, usize::MAX, 2, false);
    let want = "\
bit   0                   1                   2                   3
byte  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
     ┌───────────────────────────────┬───────────────────────────────┐
   0 │       Source port 41000       │     Destination port 5000     │
     ├───────────────────────────────┴───────────────────────────────┤
   4 │                    Sequence number (raw) 7                    │
     ├───────────────────────────────────────────────────────────────┤
   8 │                 Acknowledgment number (raw) 0                 │
     ├───────┬─────┬─┬─┬─┬─┬─┬─┬─┬─┬─┬───────────────────────────────┤
  12 │       │     │ │C│E│U│A│P│R│S│F│                               │
     │Header │     │A│W│C│R│C│S│S│Y│I│                               │
     │length │ res │E│R│E│G│K│H│T│N│N│            Window             │
     │10 → 40│  0  │0│0│0│0│0│0│0│1│0│             65495             │
     ├───────┴─────┴─┴─┴─┴─┴─┴─┴─┴─┴─┼───────────────────────────────┤
  16 │        Checksum 0xbeef        │       Urgent pointer 0        │
     ├───────────────────────────────┴───────────────────────────────┤
  20 ╎    20 bytes: Option, Option length, Maximum segment size,     ╎
     ╎         Timestamp, Timestamp echo, Window shift count         ╎
     └───────────────────────────────────────────────────────────────┘
";
    assert_eq!(text, want, "{text}");
}

#[test]
fn in_ascii_every_bit_has_its_mark() {
    let want = "\
     +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
   0 |       Source port 5353        |      Destination port 53      |
     +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
   4 |           Length 13           |        Checksum 0x0000        |
     +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
   8 :                    payload, 5 bytes: Data                     :
";
    let text = drawn(LinkType::ETHERNET, UDP, usize::MAX, 2, true);
    assert!(text.ends_with(want), "{text}");
}

#[test]
fn an_address_that_goes_over_rows_stays_one_box() {
    let want = "\
     ┌───────────────────────────────────────────────────────────────┐
   0 │                 Destination 02:00:00:00:00:02                 │
     │                               ┌───────────────────────────────┤
   4 │                               │                               │
     ├───────────────────────────────┘                               │
   8 │                   Source 02:00:00:00:00:01                    │
     ├───────────────────────────────┬───────────────────────────────┘
  12 │      Type 0x0800 (IPv4)       │
     ├───────────────────────────────┴───────────────────────────────┐
  14 ╎        payload, 33 bytes: Internet Protocol version 4         ╎
";
    let text = drawn(LinkType::ETHERNET, UDP, usize::MAX, 0, false);
    assert!(text.ends_with(want), "{text}");
}

#[test]
fn of_a_cut_header_what_is_there_is_drawn() {
    let want = "\
     ├───────┴─────┴─┼─┴─┴─┴─┴─┴─┴─┴─┴───────────────────────────────┘
  16 │(no field) 0xbe│
     ├───────────────┴───────────────────────────────────────────────┐
  17 ╎                  23 more bytes, not captured                  ╎
";
    let text = drawn(LinkType::RAW, SYN, 37, 2, false);
    assert!(text.ends_with(want), "{text}");
    assert_eq!(drawn(LinkType::RAW, SYN, 37, 0, false), "");
}

#[test]
fn every_protocol_is_drawn_from_its_table_alone() {
    use crate::{
        frame::Frame,
        layer::{Layer, Packet},
        proto,
    };
    let bytes: Vec<u8> = (0..200u32).map(|n| (n * 37) as u8).collect();
    for &protocol in proto::ALL {
        for header in (0..bytes.len() as u32).step_by(7) {
            let layers = [Layer {
                protocol,
                buffer: 0,
                quoted: false,
                start: 0,
                header,
                end: bytes.len() as u32,
                wire: 300,
                problem: None,
            }];
            let frame = Frame {
                number: 1,
                time: Default::default(),
                link: LinkType::RAW,
                interface: 0,
                direction: Default::default(),
                checksum: Default::default(),
                wire_len: 300,
                bytes: &bytes,
            };
            let packet = Packet {
                frame,
                layers: &layers,
                facts: &[],
                arena: &[],
                buffers: &[],
            };
            let mut text = String::new();
            super::header(&packet.view(0).unwrap(), header % 2 == 0, &mut text);
            for line in text.lines() {
                assert!(line.width() <= 70, "{} {line}", protocol.name);
                assert_eq!(line.trim_end(), line);
            }
        }
    }
}
