//! Packets are hostile: every sample packet cut at every length and with every byte changed goes through every view, without a
//! panic, with valid JSON, and with no control character in any text.

#![allow(clippy::unwrap_used)]

#[path = "../src/export/wellformed.rs"]
mod wellformed;

use std::{
    collections::HashMap,
    fs,
    ops::{ControlFlow, Range},
    path::Path,
};

use sockwire::{
    decode::{Decoded, Decoder},
    export::{
        self, Diagram,
        html::{detail, html},
        json::Records,
        mermaid::mermaid,
        svg::svg,
    },
    field::{Field, Value, Visit},
    file,
    frame::{Batch, Frame, Record, Source, Step},
    layer::{Packet, View},
    proto::{frame::Around, worked},
    render::{
        explain, hex,
        ladder::{Ladder, LadderOptions},
        line::{self, Lines},
        tree,
    },
    text::is_unsafe,
    time::Time,
    track::{
        Tracker,
        story::{Chapters, Sight, Story, StoryOptions},
    },
};

use unicode_width::UnicodeWidthStr as _;

/// A frame of the samples, owned.
struct Sample {
    record: Record,
    bytes: Vec<u8>,
}

fn samples() -> Vec<Sample> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("captures");
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|e| e != "pcapng") {
            continue;
        }
        let mut source = file::open(&path).unwrap();
        while let Step::Batch(batch) = source.next(Time::MAX).unwrap() {
            for (record, frame) in batch.records.iter().zip(batch.frames()) {
                found.push(Sample {
                    record: *record,
                    bytes: frame.bytes.to_vec(),
                });
            }
        }
    }
    assert!(found.len() > 40, "only {} sample packets", found.len());
    found
}

/// One batch of all the given variants of one packet.
fn batch(sample: &Sample, variants: impl Iterator<Item = Vec<u8>>) -> Batch {
    let (mut data, mut records) = (Vec::new(), Vec::new());
    for bytes in variants {
        records.push(Record {
            start: data.len() as u32,
            len: bytes.len() as u32,
            interface: 0,
            ..sample.record
        });
        data.extend(bytes);
    }
    Batch::owned(data, records, 1)
}

/// Everything the program can do with a batch.
struct Views {
    decoder: Decoder,
    decoded: Decoded,
    tracker: Tracker,
    story: Story,
    anonymous: Story,
    chapters: Chapters,
    details: HashMap<u64, String>,
    ladder: Ladder,
    lines: Lines,
    records: Records,
    text: String,
    json: Vec<u8>,
    /// Headers are explained too, which takes long.
    explains: bool,
}

impl Views {
    fn new() -> Self {
        Self {
            decoder: Decoder::default(),
            decoded: Decoded::default(),
            tracker: Tracker::default(),
            story: Story::new(StoryOptions::default()),
            anonymous: Story::new(StoryOptions {
                anonymise: true,
                ..StoryOptions::default()
            }),
            chapters: Chapters::new(60),
            details: HashMap::new(),
            ladder: Ladder::new(LadderOptions::default()),
            lines: Lines::new(line::Options::default()),
            records: Records::default(),
            text: String::new(),
            json: Vec::new(),
            explains: true,
        }
    }

    fn show(&mut self, batch: &Batch) {
        self.decoder.batch(batch, &mut self.decoded);
        let mut items = Vec::new();
        for index in 0..batch.len() {
            self.tracker
                .packet(&self.decoder, batch, &mut self.decoded, index);
            let packet = self.decoded.packet(batch, index).unwrap();
            let around = Around::of(&[], batch, index);
            self.text.clear();
            self.json.clear();
            self.lines.packet(&packet, None, &mut self.text);
            tree::packet(
                &packet,
                &around,
                tree::Options {
                    explain: true,
                    ..tree::Options::default()
                },
                &mut self.text,
            );
            hex::packet(&packet, hex::Form::HexAscii, true, &mut self.text);
            self.records.packet(&packet, &around, &mut self.json);
            serde_json::from_slice::<serde_json::Value>(&self.json).unwrap();
            let json = std::str::from_utf8(&self.json).unwrap();
            items.clear();
            self.story.packet(&packet, Sight::Tap, &mut items);
            let mut ladder = Vec::new();
            for item in &items {
                self.ladder.write(item, &mut ladder).unwrap();
            }
            let ladder = String::from_utf8(ladder).unwrap();
            let explained = match self.explains {
                true => explained(&packet),
                false => String::new(),
            };
            for text in [&self.text, json, &ladder, &explained] {
                harmless(text);
            }
            // Pages take long: every third packet has one.
            if index % 3 == 0 {
                let number = packet.frame.number;
                self.details.insert(number, detail(&packet, &around, None));
                self.anonymous.packet(&packet, Sight::Tap, &mut Vec::new());
                let pseudonyms = self.anonymous.pseudonyms();
                wellformed::check(&detail(&packet, &around, pseudonyms));
            }
            for item in items.drain(..) {
                self.chapters.add(item, |_| true);
            }
        }
        self.draw();
    }

    /// Pictures of what the batch told.
    fn draw(&mut self) {
        let chapters = std::mem::replace(&mut self.chapters, Chapters::new(60)).finish();
        let diagram = Diagram {
            chapters,
            left_out: 1,
            ..Diagram::default()
        };
        let pictures = [svg(&diagram), html(&diagram, &self.details)];
        for picture in &pictures {
            wellformed::check(picture);
        }
        for text in pictures.iter().chain([&mermaid(&diagram)]) {
            harmless(text);
        }
        self.details.clear();
    }
}

/// No control character that a terminal or a browser would follow.
fn harmless(text: &str) {
    let bad = text
        .chars()
        .find(|c| is_unsafe(*c) && !matches!(c, '\n' | '\t'));
    assert_eq!(bad, None, "a control character in: {}", text.escape_debug());
}

/// Every header explained in both alphabets, and as JSON: no line is too long for a terminal.
fn explained(packet: &Packet<'_>) -> String {
    let mut text = String::new();
    for (index, view) in packet.views().enumerate() {
        let options = explain::Options {
            ascii: index % 2 == 0,
            checksum: true,
            ..explain::Options::default()
        };
        explain::layer(&view, options, &mut text);
        if let Some(check) = worked::check(&view) {
            let decoded = Word::of(&view);
            assert!(
                decoded
                    .as_deref()
                    .is_none_or(|word| word == check.verdict().word()),
                "{} is {decoded:?}, and works out as {:?}",
                check.field.name,
                check.verdict()
            );
        }
    }
    let long = text.lines().find(|line| line.width() > explain::COLUMNS);
    assert_eq!(long, None, "too long");
    let all: Vec<usize> = (0..packet.layers.len()).collect();
    let mut json = Vec::new();
    export::explain::write(export::explain::packet(packet, &all, true), &[], &mut json);
    serde_json::from_slice::<serde_json::Value>(&json).unwrap();
    text + std::str::from_utf8(&json).unwrap()
}

/// The decoder's word on a layer's checksum.
#[derive(Default)]
struct Word(Option<String>);

impl Word {
    fn of(view: &View<'_>) -> Option<String> {
        let mut word = Self::default();
        let _ = view.visit(&mut word);
        word.0
    }
}

impl Visit for Word {
    fn field(&mut self, field: &'static Field, value: Value<'_>, _: Range<u32>) -> ControlFlow<()> {
        if let Value::Text(word) = value
            && field.name == "sockwire.checksum"
        {
            self.0 = Some(String::from_utf8(word.to_vec()).unwrap());
        }
        ControlFlow::Continue(())
    }
}

#[test]
fn packets_cut_at_every_length() {
    let mut views = Views::new();
    for sample in samples() {
        let cuts = (0..sample.bytes.len().min(200)).map(|len| sample.bytes[..len].to_vec());
        views.show(&batch(&sample, cuts));
    }
}

#[test]
fn packets_with_every_byte_changed() {
    let mut views = Views::new();
    for sample in samples() {
        for change in [0xff, 0x01, 0x80] {
            views.explains = change == 0xff;
            let changed = (0..sample.bytes.len().min(200)).map(|at| {
                let mut bytes = sample.bytes.clone();
                bytes[at] ^= change;
                bytes
            });
            views.show(&batch(&sample, changed));
        }
    }
}

#[test]
fn random_bytes_under_every_link_type() {
    let mut views = Views::new();
    let sample = samples().remove(0);
    // A fixed multiplicative generator: the same packets in every run.
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut random = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    for link in [0, 1, 101, 108, 113, 228, 229, 276, 9999] {
        let mut sample = Sample {
            record: sample.record,
            bytes: Vec::new(),
        };
        sample.record.link = sockwire::link::LinkType(link);
        let packets: Vec<Vec<u8>> = (0..400)
            .map(|_| {
                (0..random() % 120)
                    .map(|_| (random() >> 32) as u8)
                    .collect()
            })
            .collect();
        views.show(&batch(&sample, packets.into_iter()));
    }
}

#[test]
fn nesting_ends() {
    // 400 IPv4 headers, each the payload of the one before (protocol 4): the walk stops, and says so.
    let mut bytes = Vec::new();
    for left in (1..=400_u16).rev() {
        let length = (left * 20).to_be_bytes();
        bytes.extend([
            0x45, 0, length[0], length[1], 0, 0, 0, 0, 64, 4, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2,
        ]);
    }
    let frame = Frame {
        number: 1,
        time: Time::default(),
        link: sockwire::link::LinkType::IPV4,
        interface: 0,
        direction: Default::default(),
        checksum: Default::default(),
        wire_len: bytes.len() as u32,
        bytes: &bytes,
    };
    let mut decoded = Decoded::default();
    Decoder::default().frame(&frame, &mut decoded);
    let packet = decoded.packet_of(frame, 0).unwrap();
    assert_eq!(packet.layers.len(), sockwire::layer::MAX_LAYERS);
    assert!(packet.layers.last().unwrap().problem.is_some());
}
