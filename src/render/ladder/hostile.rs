//! Ladders of random packets, and of floods.
#![allow(clippy::unwrap_used)]

use super::{
    LadderOptions, arrow,
    tests::{Show, error, packet, time},
};
use crate::track::story::{Sight, StoryOptions};

/// Small made-up numbers, the same every time.
struct Chance(u64);

impl Chance {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % n
    }
}

#[test]
fn random_packets_never_panic_and_every_row_fits() {
    let mut chance = Chance(1);
    for sight in [Sight::Tap, Sight::Sent] {
        let mut show = Show::new(
            StoryOptions {
                flows: 3,
                ..StoryOptions::default()
            },
            LadderOptions::default(),
        );
        let mut micros = 0;
        for n in 0..20_000 {
            let side = [">", "<"][chance.below(2) as usize];
            let flags = ["", "SYN", "FIN", "RST", "SYN FIN", "udp"][chance.below(6) as usize];
            let (seq, ack) = (chance.below(4), chance.below(4));
            let ack = if chance.below(3) == 0 {
                String::new()
            } else {
                format!("ack={ack}")
            };
            let mut bytes = packet(&format!(
                "{side} {flags} seq={seq} {ack} win={} \"{}\"",
                chance.below(2),
                ["", "x", "yz"][chance.below(3) as usize]
            ));
            if chance.below(4) == 0 {
                bytes = error(
                    [10, 0, 0, chance.below(4) as u8],
                    chance.below(13) as u8,
                    chance.below(5) as u8,
                    &[bytes, vec![0; 28]].concat(),
                );
            }
            if chance.below(4) == 0 {
                let at = chance.below(bytes.len() as u64) as usize;
                bytes[at] = chance.below(256) as u8;
                bytes.truncate(chance.below(80) as usize);
            }
            micros += chance.below(300_000) as i64 - 20_000;
            show.at(micros, &bytes, sight);
            if sight == Sight::Sent && chance.below(3) > 0 {
                let number = (n + 1_u64).saturating_sub(chance.below(5));
                match chance.below(4) {
                    0 => show.story.dropped(number, "rule", &mut show.items),
                    _ => show
                        .story
                        .delivered(number, time(micros + 5), &mut show.items),
                }
            }
        }
        let told = show.end();
        assert!(told.lines().count() > 1_000);
        for line in told.lines() {
            assert!(arrow::width(line) <= 80, "{line}");
        }
    }
}

#[test]
fn a_flood_of_syns_keeps_the_table_small() {
    let mut show = Show::new(
        StoryOptions {
            flows: 100,
            ..StoryOptions::default()
        },
        LadderOptions::default(),
    );
    let mut bytes = packet("> SYN seq=1");
    for n in 0..20_000_u32 {
        bytes[12..16].copy_from_slice(&(0x0b00_0000 + n).to_be_bytes());
        show.at(n.into(), &bytes, Sight::Tap);
        show.items.clear();
    }
    assert_eq!(show.story.flows(), (100, 19_900));
    assert!(show.story.summaries().len() <= 100 + 1024);
}

#[test]
fn an_established_flow_survives_a_flood_also_when_time_stands_still() {
    let mut show = Show::new(
        StoryOptions {
            flows: 100,
            ..StoryOptions::default()
        },
        LadderOptions::default(),
    );
    show.tap(0, "> SYN seq=9")
        .tap(0, "< SYN seq=70 ack=10")
        .tap(0, "> seq=10 ack=71");
    let mut bytes = packet("> SYN seq=1");
    for n in 0..20_000_u32 {
        bytes[12..16].copy_from_slice(&(0x0b00_0000 + n % 15_000).to_be_bytes());
        show.at(0, &bytes, Sight::Tap);
    }
    // All but the last few thousand are told, although no time has passed.
    assert!(show.items.len() > 2 * 15_000);
    show.items.clear();
    show.tap(0, "> seq=10 ack=71 \"on\"");
    let told = show.end();
    assert!(told.contains("2 bytes seq=1 \"on\""), "{told}");
    assert_eq!(show.story.summaries()[0].packets, [3, 1]);
}
