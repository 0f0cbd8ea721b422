//! Ladders of made-up packets with made-up clocks, told and drawn.
#![allow(clippy::unwrap_used)]

mod lab;
mod look;
mod watch;

use std::net::{IpAddr, SocketAddr};

use super::*;
use crate::{
    decode::{Decoded, Decoder},
    frame::{Direction, Frame, KernelChecksum},
    link::LinkType,
    track::story::{Item, Sight, Story, StoryOptions},
};

const CLIENT: ([u8; 4], u16) = ([10, 0, 0, 1], 41000);
const SERVER: ([u8; 4], u16) = ([10, 0, 0, 2], 5000);
const START: i64 = 1_700_000_000 * SECOND;

/// A raw IPv4 packet.
fn ip(from: [u8; 4], to: [u8; 4], protocol: u8, payload: &[u8]) -> Vec<u8> {
    let length = (20 + payload.len()) as u16;
    let mut bytes = vec![0x45, 0, 0, 0, 0, 0, 0x40, 0, 64, protocol, 0, 0];
    bytes[2..4].copy_from_slice(&length.to_be_bytes());
    bytes.extend(from);
    bytes.extend(to);
    bytes.extend(payload);
    bytes
}

/// A packet between the two sockets, as `> SYN seq=1000 ack=5 mss=1460 win=0 "data"` or `< udp "data"`.
pub(crate) fn packet(words: &str) -> Vec<u8> {
    let (from, to) = match words.as_bytes()[0] {
        b'>' => (CLIENT, SERVER),
        _ => (SERVER, CLIENT),
    };
    let value = |name: &str| -> Option<u32> {
        let word = words.split(' ').find_map(|word| word.strip_prefix(name))?;
        word.parse().ok()
    };
    let data = words.split('"').nth(1).unwrap_or("").as_bytes();
    let data = data.repeat(value("times=").unwrap_or(1) as usize);
    let ports = [from.1.to_be_bytes(), to.1.to_be_bytes()].concat();
    if words.contains("udp") {
        let length = (8 + data.len()) as u16;
        let udp = [ports, length.to_be_bytes().to_vec(), vec![0, 0], data].concat();
        return ip(from.0, to.0, 17, &udp);
    }
    let flags = [("FIN", 1), ("SYN", 2), ("RST", 4)]
        .iter()
        .filter(|(name, _)| words.contains(name))
        .map(|(_, bit)| bit)
        .sum::<u8>();
    let ack = value("ack=");
    let mut options = Vec::new();
    if let Some(mss) = value("mss=") {
        options.extend([2, 4]);
        options.extend((mss as u16).to_be_bytes());
    }
    if let Some(scale) = value("ws=") {
        options.extend([1, 3, 3, scale as u8]);
    }
    let tcp = [
        ports,
        value("seq=").unwrap_or(0).to_be_bytes().to_vec(),
        ack.unwrap_or(0).to_be_bytes().to_vec(),
        vec![
            ((20 + options.len()) * 4) as u8,
            flags | if ack.is_some() { 16 } else { 0 },
        ],
        (value("win=").unwrap_or(1000) as u16)
            .to_be_bytes()
            .to_vec(),
        vec![0; 4],
        options,
        data,
    ]
    .concat();
    ip(from.0, to.0, 6, &tcp)
}

/// An ICMP error from `by` about a packet.
pub(crate) fn error(by: [u8; 4], kind: u8, code: u8, about: &[u8]) -> Vec<u8> {
    let icmp = [&[kind, code, 0, 0, 0, 0, 0, 0], &about[..28]].concat();
    ip(by, CLIENT.0, 1, &icmp)
}

/// A story being told and drawn.
pub(super) struct Show {
    pub(super) story: Story,
    ladder: Ladder,
    decoder: Decoder,
    decoded: Decoded,
    number: u64,
    pub(super) items: Vec<Item>,
    text: Vec<u8>,
}

impl Show {
    pub(super) fn new(story: StoryOptions, ladder: LadderOptions) -> Self {
        Self {
            story: Story::new(story),
            ladder: Ladder::new(ladder),
            decoder: Decoder::default(),
            decoded: Decoded::default(),
            number: 0,
            items: Vec::new(),
            text: Vec::new(),
        }
    }

    fn watch() -> Self {
        Self::new(StoryOptions::default(), LadderOptions::default())
    }

    /// A packet `micros` after the start.
    pub(super) fn at(&mut self, micros: i64, bytes: &[u8], sight: Sight) -> &mut Self {
        self.number += 1;
        self.decoded.clear();
        let frame = Frame {
            number: self.number,
            time: time(micros),
            link: LinkType::RAW,
            interface: 0,
            direction: Direction::Unknown,
            checksum: KernelChecksum::Unknown,
            wire_len: bytes.len() as u32,
            bytes,
        };
        self.decoder.frame(&frame, &mut self.decoded);
        let packet = self.decoded.packet_of(frame, 0).unwrap();
        self.story.packet(&packet, sight, &mut self.items);
        self
    }

    pub(super) fn tap(&mut self, micros: i64, words: &str) -> &mut Self {
        self.at(micros, &packet(words), Sight::Tap)
    }

    fn sent(&mut self, micros: i64, words: &str) -> &mut Self {
        self.at(micros, &packet(words), Sight::Sent)
    }

    fn got(&mut self, micros: i64, number: u64) -> &mut Self {
        self.story.delivered(number, time(micros), &mut self.items);
        self
    }

    /// What was told so far.
    fn text(&mut self) -> String {
        for item in self.items.drain(..) {
            self.ladder.write(&item, &mut self.text).unwrap();
        }
        String::from_utf8(std::mem::take(&mut self.text)).unwrap()
    }

    pub(super) fn end(&mut self) -> String {
        self.story.finish(&mut self.items);
        self.text()
    }
}

pub(crate) fn time(micros: i64) -> Time {
    Time::from_nanos(START + micros * 1000)
}

fn lab(options: LadderOptions) -> Show {
    let listening = Some(vec![SocketAddr::from(SERVER)]);
    Show::new(
        StoryOptions {
            listening,
            ..StoryOptions::default()
        },
        LadderOptions {
            layout: Layout::Lab,
            ..options
        },
    )
}

fn handshake_in_a_lab(options: LadderOptions) -> String {
    let mut show = lab(options);
    show.sent(0, "> SYN seq=2809170012 mss=1460 ws=7")
        .got(10_040, 1)
        .sent(10_070, "< SYN seq=1174209933 ack=2809170013")
        .got(20_110, 2)
        .sent(20_130, "> seq=2809170013 ack=1174209934")
        .sent(20_350, "> seq=2809170013 ack=1174209934 \"hello\n\"")
        .got(30_170, 3)
        .got(30_390, 4)
        .sent(40_700, "> FIN seq=2809170019 ack=1174209934")
        .got(50_740, 5);
    show.end()
}

/// Compares with the text, whose lines are indented as this file is.
fn assert_told(told: &str, expected: &str) {
    assert_eq!(told, expected.strip_prefix('\n').unwrap(), "\n{told}");
}
