//! Pictures of made-up packets: what is marked, what is crossed, and that no packet can write markup.
#![allow(clippy::unwrap_used)]

use std::collections::HashMap;

use super::{
    Diagram,
    html::{detail, html},
    mermaid::mermaid,
    svg::svg,
    wellformed,
};
use crate::{
    frame::{Batch, Comment, Direction, Interface, KernelChecksum, Record},
    layer::Packet,
    link::LinkType,
    proto::frame::Around,
    render::ladder::tests::{error, packet, time},
    track::{
        Tracker,
        story::{Chapters, Fate, Row, Sight, Story, StoryOptions},
    },
};

const HOSTILE: &str = "<script>alert(1)</script> ]]> --> \\' &amp; end;# \u{202e}\u{1b}";

/// Calls `each` for every packet, 100 ms apart, decoded and tracked.
fn packets(packets: &[Vec<u8>], mut each: impl FnMut(&Packet<'_>, &Around<'_>)) {
    let (mut data, mut records) = (Vec::new(), Vec::new());
    for (n, bytes) in packets.iter().enumerate() {
        records.push(Record {
            time: time(100_000 * n as i64),
            link: LinkType::RAW,
            interface: 0,
            direction: Direction::Unknown,
            checksum: KernelChecksum::Unknown,
            wire_len: bytes.len() as u32,
            start: data.len() as u32,
            len: bytes.len() as u32,
        });
        data.extend(bytes);
    }
    let mut batch = Batch::owned(data, records, 1);
    batch.comments.push(Comment {
        record: 0,
        text: HOSTILE.to_owned(),
    });
    let interfaces = [std::sync::Arc::new(Interface {
        name: Some(HOSTILE.to_owned()),
        description: None,
        link: LinkType::RAW,
        snaplen: 0,
        filter: None,
    })];
    let (decoder, mut tracker) = (crate::decode::Decoder::default(), Tracker::default());
    let mut decoded = crate::decode::Decoded::default();
    decoder.batch(&batch, &mut decoded);
    for index in 0..batch.len() {
        tracker.packet(&decoder, &batch, &mut decoded, index);
        each(
            &decoded.packet(&batch, index).unwrap(),
            &Around::of(&interfaces, &batch, index),
        );
    }
}

/// The diagram of packets, and what its rows open.
fn diagram(of: &[Vec<u8>], limit: usize, anonymise: bool) -> (Diagram, HashMap<u64, String>) {
    let mut story = Story::new(StoryOptions {
        anonymise,
        ..StoryOptions::default()
    });
    let mut chapters = Chapters::new(limit);
    let (mut items, mut details) = (Vec::new(), HashMap::new());
    packets(of, |packet, around| {
        if story.packet(packet, Sight::Tap, &mut items) {
            let detail = detail(packet, around, story.pseudonyms());
            details.insert(packet.frame.number, detail);
        }
    });
    story.finish(&mut items);
    for item in items {
        chapters.add(item, |_| true);
    }
    let diagram = Diagram {
        origin: chapters.first().unwrap_or_default(),
        left_out: chapters.left_out(),
        chapters: chapters.finish(),
        interfaces: vec![if anonymise { "" } else { HOSTILE }.to_owned()],
        absolute: false,
        notes: Vec::new(),
    };
    (diagram, details)
}

fn of(words: &[&str]) -> Diagram {
    let packets: Vec<_> = words.iter().map(|words| packet(words)).collect();
    diagram(&packets, 1000, false).0
}

fn lost(diagram: &Diagram) -> Vec<u64> {
    let lost = diagram.rows().filter(|row| row.fate == Fate::Lost);
    lost.map(|row| row.number).collect()
}

#[test]
fn a_packet_that_came_again_unacknowledged_is_crossed() {
    let open = ["> SYN seq=0 win=9", "< SYN seq=0 ack=1", "> seq=1 ack=1"];
    let with = |more: &[&str]| lost(&of(&[&open, more].concat()));
    let data = "> seq=1 ack=1 \"abc\"";
    assert_eq!(with(&[data, data, "< seq=1 ack=4"]), [4]);
    assert_eq!(with(&[data, "< seq=1 ack=1", data, data]), [4, 6]);
    // It had arrived: what was lost, or late, is nothing that is seen here.
    assert_eq!(with(&[data, "< seq=1 ack=4", data]), [0; 0]);
    assert_eq!(with(&[data, "> seq=4 ack=1 \"d\""]), [0; 0]);
    assert_eq!(
        lost(&of(&["> SYN seq=7", "> SYN seq=7", "< SYN seq=9 ack=8"])),
        [1]
    );
    assert_eq!(lost(&of(&["> udp \"a\"", "> udp \"a\""])), [0; 0]);
}

#[test]
fn the_far_state_is_known_from_the_start() {
    let states = |diagram: &Diagram| -> Vec<String> {
        let header = diagram.chapters[0].header.states.unwrap();
        let rows = diagram.rows().map(|row: &Row| row.states.unwrap());
        let all = [header].into_iter().chain(rows);
        all.map(|[client, server]| format!("{client} {server}"))
            .collect()
    };
    assert_eq!(
        states(&of(&["> SYN seq=7", "> SYN seq=7", "< SYN seq=9 ack=8"])),
        [
            "CLOSED LISTEN",
            "SYN-SENT LISTEN",
            "SYN-SENT SYN-RECEIVED",
            "ESTABLISHED SYN-RECEIVED"
        ]
    );
    assert_eq!(
        states(&of(&["> SYN seq=7", "< RST seq=0 ack=8"])),
        ["CLOSED CLOSED", "SYN-SENT CLOSED", "CLOSED CLOSED"]
    );
    assert_eq!(states(&of(&["> SYN seq=7"])), ["CLOSED ?", "SYN-SENT ?"]);
    let middle = of(&["> seq=7 ack=3 \"a\"", "< seq=3 ack=8 \"b\""]);
    assert_eq!(states(&middle), vec!["ESTABLISHED ESTABLISHED"; 3]);
}

/// One of everything.
fn everything() -> Vec<Vec<u8>> {
    let hostile = format!("> seq=1 ack=1 \"{}\"", HOSTILE);
    let end = 1 + HOSTILE.len();
    let mut words = vec![
        "> SYN seq=0".to_owned(),
        "> SYN seq=0".to_owned(),
        "< SYN seq=0 ack=1".to_owned(),
        hostile,
        format!("< seq=1 ack={end} win=0"),
    ];
    for n in 0..9 {
        words.push(format!("> seq={} ack=1 \"12345678\"", end + 8 * n));
    }
    words.push("< RST seq=1".to_owned());
    words.push("> udp \"?\"".to_owned());
    let mut all: Vec<_> = words.iter().map(|words| packet(words)).collect();
    let udp = all.last().unwrap().clone();
    all.push(error([10, 0, 0, 9], 3, 3, &udp));
    all
}

#[test]
fn every_mark_is_in_the_picture_and_in_its_legend() {
    let (diagram, _) = diagram(&everything(), 1000, false);
    let picture = svg(&diagram);
    for class in [
        "row tcp lost\"",
        "row tcp again\"",
        "row tcp zero-window\"",
        "row tcp run\"",
        "row tcp rst\"",
        "row udp\"",
        "row udp error\"",
    ] {
        assert!(picture.contains(class), "{class} is not in {picture}");
    }
    for meaning in ["dashed", "double line", "cross", "thick", "block at"] {
        assert!(picture.contains(meaning), "{meaning}");
    }
    let plain = svg(&of(&["> udp \"a\""]));
    assert!(!plain.contains("dashed"), "{plain}");
}

#[test]
fn no_packet_writes_markup() {
    let all = everything();
    let (diagram, details) = diagram(&all, 1000, false);
    let page = html(&diagram, &details);
    for picture in [svg(&diagram), page.clone()] {
        wellformed::check(&picture);
        assert!(picture.contains("&lt;script&gt;"), "{picture}");
        assert!(!picture.to_lowercase().contains("<script"));
        assert!(
            !picture
                .chars()
                .any(|c| crate::text::is_unsafe(c) && c != '\n')
        );
    }
    assert!(page.contains("http-equiv=\"Content-Security-Policy\" content=\"default-src 'none';"));
    for word in ["src=", "href=", "http://", "https://", "url(", "@import"] {
        assert!(!page.contains(word), "{word} would reach out");
    }
    assert_eq!(page.matches("<details>").count(), diagram.rows().count());
    let text = mermaid(&diagram);
    let signs = " .,:=()[]/_-#;\n>";
    let fine = |c: char| c.is_ascii_alphanumeric() || signs.contains(c);
    assert!(text.chars().all(fine), "{text}");
    for line in text.lines().skip(1) {
        let known = ["    participant s", "    Note over s", "    s"];
        assert!(known.iter().any(|begin| line.starts_with(begin)), "{line}");
        // What is escaped has a semicolon behind it, and no other stands there.
        let (escapes, ends) = (line.matches('#').count(), line.matches(';').count());
        assert_eq!(escapes, ends, "{line}");
    }
    assert!(
        text.contains("s1-xs2: SYN seq=0") && text.contains("s1-->>s2: SYN seq=0"),
        "{text}"
    );
}

#[test]
fn what_is_anonymous_tells_no_address_and_no_data() {
    let (diagram, details) = diagram(&everything(), 1000, true);
    let texts = [svg(&diagram), html(&diagram, &details), mermaid(&diagram)];
    for text in texts {
        for word in [
            "10.0.0.",
            "script",
            "12345678",
            "3132",
            "0a00",
            ">ip.checksum<",
        ] {
            assert!(!text.contains(word), "{word} is in {text}");
        }
        assert!(
            text.contains("192.0.2.1:41000") && text.contains("192.0.2.2:5000"),
            "{text}"
        );
        assert!(text.contains("by 192.0.2.3"), "{text}");
    }
}

#[test]
fn a_picture_that_is_not_whole_says_so() {
    let (diagram, details) = diagram(&everything(), 3, false);
    assert_eq!(diagram.rows().count(), 3);
    let left = diagram.left_out;
    assert!(left >= 5, "{left}");
    for text in [svg(&diagram), html(&diagram, &details), mermaid(&diagram)] {
        assert!(
            text.contains(&format!("3 rows are drawn, {left} more are left out")),
            "{text}"
        );
    }
}

#[test]
fn mermaid_gets_no_more_than_it_draws() {
    let words: Vec<String> = (0..900)
        .map(|n| format!("> udp \"{}{n}\"", "#".repeat(40)))
        .collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let text = mermaid(&of(&words));
    assert!((45_000..50_000).contains(&text.len()), "{}", text.len());
    assert!(
        text.lines().last().unwrap().contains(" more are left out"),
        "{text}"
    );
}
