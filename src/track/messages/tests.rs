//! Streams of made-up segments: what is found in each, however the bytes were cut.

#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::*;
use crate::{
    decode::{Decoded, Decoder},
    frame::{Batch, Direction, KernelChecksum, Record},
    line::Line,
    link::LinkType,
    track::{Tracker, testing::tcp},
};

const ACK: u8 = 16;
const GET: &str = "GET /a HTTP/1.1\r\nHost: h\r\n\r\n";
const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
const UPGRADE: &str = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: WebSocket\r\n\r\n";

/// Segments of one connection: whether the client sent it, how far it is in its direction's bytes, and what it has.
type Segments<'a> = Vec<(bool, usize, &'a [u8])>;

/// What each segment brings: the words of the one-line form, empty for what is not shown as a message.
fn lines(segments: &Segments<'_>) -> Vec<String> {
    cut_lines(segments, usize::MAX)
}

/// The same of segments of which at most so many bytes were captured.
fn cut_lines(segments: &Segments<'_>, captured: usize) -> Vec<String> {
    let (mut data, mut records) = (Vec::new(), Vec::new());
    for (index, (client, at, bytes)) in segments.iter().enumerate() {
        // Numbers that wrap.
        let seq = (u32::MAX - 20).wrapping_add(*at as u32);
        let packet = tcp(*client, ACK, (seq, 1), &[], bytes);
        let kept = packet.len().min(40 + captured.min(packet.len()));
        records.push(Record {
            time: Time::from_nanos(index as i64 * 1_000_000),
            link: LinkType::RAW,
            interface: 0,
            direction: Direction::Unknown,
            checksum: KernelChecksum::Unknown,
            wire_len: packet.len() as u32,
            start: data.len() as u32,
            len: kept as u32,
        });
        data.extend_from_slice(&packet[..kept]);
    }
    let batch = Batch::owned(data, records, 1);
    let (decoder, mut tracker, mut decoded) =
        (Decoder::default(), Tracker::default(), Decoded::default());
    decoder.batch(&batch, &mut decoded);
    let mut lines = Vec::new();
    for index in 0..batch.len() {
        tracker.packet(&decoder, &batch, &mut decoded, index);
        let packet = decoded.packet(&batch, index).unwrap();
        let last = packet
            .views()
            .rfind(|view| matches!(view.layer.protocol.name, "http" | "websocket"));
        let mut line = Line::default();
        if let Some(view) = last {
            (view.layer.protocol.line)(&view, &mut line);
        }
        lines.push(line.info);
    }
    lines
}

/// One direction's bytes in segments of `size` bytes.
fn cut(client: bool, bytes: &[u8], size: usize) -> Segments<'_> {
    let pieces = bytes.chunks(size).enumerate();
    pieces.map(|(n, piece)| (client, n * size, piece)).collect()
}

fn all(client: bool, bytes: &str) -> Segments<'_> {
    vec![(client, 0, bytes.as_bytes())]
}

#[test]
fn a_head_is_shown_where_it_is_complete_however_it_is_cut() {
    for size in 1..GET.len() {
        let found = lines(&cut(true, GET.as_bytes(), size));
        let (last, before) = found.split_last().unwrap();
        assert_eq!(last, "GET /a HTTP/1.1", "{size}");
        assert!(before.iter().all(String::is_empty), "{size}: {before:?}");
    }
}

#[test]
fn messages_follow_each_other_in_one_segment_and_in_several() {
    let two = [OK, OK].concat();
    assert_eq!(
        lines(&all(false, &two)),
        ["HTTP/1.1 200 OK; HTTP/1.1 200 OK"]
    );
    for size in 1..two.len() {
        let found = lines(&cut(false, two.as_bytes(), size));
        let shown: usize = found
            .iter()
            .map(|line| line.matches("200 OK").count())
            .sum();
        assert_eq!(shown, 2, "{size}: {found:?}");
    }
}

#[test]
fn bodies_are_told_from_heads() {
    let inner = "HTTP/1.1 500 Not a head\r\n\r\n";
    let by_length = format!(
        "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{inner}{GET}",
        inner.len()
    );
    let chunked = format!(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1b\r\n{inner}\r\n0\r\n\r\n{GET}"
    );
    let to_the_end = format!("HTTP/1.0 200 OK\r\n\r\n{inner}{GET}");
    for (text, behind) in [(by_length, true), (chunked, true), (to_the_end, false)] {
        let head = text.find("\r\n\r\n").unwrap() + 4;
        let (first, second) = text.as_bytes().split_at(head);
        let found = lines(&vec![(false, 0, first), (false, head, second)]);
        let expected = if behind { "GET /a HTTP/1.1" } else { "" };
        assert!(found[0].ends_with("200 OK"), "{text}");
        assert_eq!(found[1], expected, "{text}");
    }
}

#[test]
fn the_answer_to_head_has_no_body() {
    let head = "HEAD / HTTP/1.1\r\n\r\n";
    let segments = vec![
        (true, 0, head.as_bytes()),
        (false, 0, &OK.as_bytes()[..OK.len() - 2]),
        (false, OK.len() - 2, OK.as_bytes()),
    ];
    assert_eq!(lines(&segments)[2], "HTTP/1.1 200 OK");
}

#[test]
fn segments_that_come_again_early_or_twice_do_not_matter() {
    let (a, b, c) = (
        &GET.as_bytes()[..9],
        &GET.as_bytes()[9..20],
        &GET.as_bytes()[20..],
    );
    let shown = "GET /a HTTP/1.1";
    // The first of a direction that was never seen is where it begins.
    let open: Segments<'_> = vec![(true, 0, GET.as_bytes())];
    let at = |n: usize| GET.len() + n;
    let mut again = open.clone();
    again.extend([
        (true, 0, GET.as_bytes()),
        (true, at(0), a),
        (true, at(0), a),
        (true, at(4), &GET.as_bytes()[4..20]),
        (true, at(20), c),
    ]);
    assert_eq!(lines(&again), [shown, "", "", "", "", shown]);
    let mut early = open;
    early.extend([(true, at(20), c), (true, at(0), a), (true, at(9), b)]);
    assert_eq!(lines(&early), [shown, "", "", shown]);
}

#[test]
fn behind_a_hole_a_start_line_begins_anew() {
    let part = &GET.as_bytes()[..9];
    let segments = vec![
        (true, 0, part),
        (true, 5000, GET.as_bytes()),
        (true, 5000 + GET.len(), GET.as_bytes()),
    ];
    assert_eq!(lines(&segments), ["", "GET /a HTTP/1.1", "GET /a HTTP/1.1"]);
    // In a body a hole does no harm.
    let head = "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n";
    let segments = vec![
        (false, 0, head.as_bytes()),
        (false, head.len() + 900, &[b'x'; 100][..]),
        (false, head.len() + 1000, OK.as_bytes()),
    ];
    assert_eq!(lines(&segments), ["HTTP/1.1 200 OK", "", "HTTP/1.1 200 OK"]);
}

#[test]
fn behind_a_hole_a_response_answers_the_last_request() {
    let mut exchange = Exchange::default();
    let mut hear = |text: &str, frame: u64, anew: bool| {
        let now = (frame, Time::default());
        exchange.hear(&Head(text.as_bytes()), now, anew).0
    };
    for frame in 1..4 {
        hear(GET, frame, false);
    }
    let answers = |frame| Some((frame, Time::default()));
    assert_eq!(hear(OK, 4, false), Told::Response(1, answers(1)));
    assert_eq!(hear(OK, 5, true), Told::Response(2, answers(3)));
    assert_eq!(hear(OK, 6, false), Told::Response(3, None));
}

#[test]
fn a_head_that_the_capture_cut_is_shown_as_far_as_it_goes() {
    let segments = vec![(true, 0, GET.as_bytes()), (true, GET.len(), GET.as_bytes())];
    let found = cut_lines(&segments, 12);
    assert_eq!(found, ["GET /a HTTP/", "GET /a HTTP/"]);
}

#[test]
fn what_comes_again_and_was_cut_is_not_missed_twice() {
    let head = "HTTP/1.1 200 OK\r\nContent-Length: 136\r\n\r\n";
    let (x, inner) = (
        [b'x'; 100],
        format!("x{:<31}\r\n\r\n", "HTTP/1.1 500 Not a head"),
    );
    let segments = vec![
        (false, 0, head.as_bytes()),
        (false, head.len(), &x[..40]),
        (false, head.len() + 40, &x[..40]),
        // Of 20 new bytes none was captured.
        (false, head.len(), &x),
        (false, head.len() + 100, inner.as_bytes()),
        (false, head.len() + 136, b"HTTP/1.1 204 No\r\n\r\n"),
    ];
    let found = cut_lines(&segments, 45);
    assert_eq!(
        found,
        ["HTTP/1.1 200 OK", "", "", "", "", "HTTP/1.1 204 No"]
    );
}

fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    [&[first, 0x80 | payload.len() as u8, 0, 0, 0, 0], payload].concat()
}

#[test]
fn frames_are_found_in_both_directions_behind_the_handshake_only() {
    let text = frame(0x81, b"hi");
    let alone = vec![(true, 0, text.as_slice())];
    assert_eq!(lines(&alone), [""]);
    let segments = vec![
        (true, 0, GET.as_bytes()),
        (false, 0, UPGRADE.as_bytes()),
        (true, GET.len(), text.as_slice()),
        (false, UPGRADE.len(), text.as_slice()),
    ];
    let shown = "text 2 bytes masked \"hi\"";
    assert_eq!(lines(&segments)[2..], [shown, shown]);
    // Without the request as well.
    assert_eq!(lines(&segments[1..].to_vec())[1..], [shown, shown]);
}

#[test]
fn frames_are_put_together_and_told_apart_however_they_are_cut() {
    let begun = frame(0x01, b"one ");
    let ping = frame(0x89, b"");
    let ended = frame(0x80, b"two");
    let bytes = [UPGRADE.as_bytes(), &begun, &ping, &ended].concat();
    for size in 1..bytes.len() {
        let found = lines(&cut(false, &bytes, size)).join(";");
        for shown in [
            "text 4 bytes masked \"one \" and more",
            "ping 0 bytes masked",
            "continuation 3 bytes masked \"two\"",
        ] {
            assert_eq!(found.matches(shown).count(), 1, "{size}: {found}");
        }
    }
}

#[test]
fn a_frame_too_long_to_be_put_together_is_shown_where_it_begins() {
    let mut bytes = UPGRADE.as_bytes().to_vec();
    bytes.extend([0x82, 127, 0, 0, 0, 0, 0, 2, 0, 0]);
    bytes.extend([7; 0x2_0000]);
    bytes.extend(frame(0x81, b"hi"));
    let found = lines(&cut(false, &bytes, 1400));
    let shown: Vec<_> = found.iter().filter(|line| !line.is_empty()).collect();
    assert_eq!(shown[0], "binary 131072 bytes");
    assert_eq!(shown[1..], ["text 2 bytes masked \"hi\""]);
}

#[test]
fn what_waits_is_bounded() {
    // A head that never ends.
    let mut bytes = b"GET / HTTP/1.1\r\n".to_vec();
    bytes.resize(40_000, b'x');
    let found = lines(&cut(true, &bytes, 700));
    assert!(found.iter().all(String::is_empty));
    let mut messages = Messages::default();
    for stream in 0..2 * STREAMS as u32 {
        messages.begin(stream);
    }
    assert_eq!(messages.talks.len(), STREAMS);
}

/// Bytes that look like messages, and others.
fn piece() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        Just(GET.as_bytes().to_vec()),
        Just(OK.as_bytes().to_vec()),
        Just(UPGRADE.as_bytes().to_vec()),
        Just(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec()),
        Just(b"5\r\nhello\r\n".to_vec()),
        Just(b"0\r\n\r\n".to_vec()),
        Just(b"CONNECT h:1 HTTP/1.1\n\n".to_vec()),
        (any::<u8>(), proptest::collection::vec(any::<u8>(), 0..20))
            .prop_map(|(first, payload)| frame(first, &payload)),
        proptest::collection::vec(any::<u8>(), 0..40),
    ]
}

proptest! {
    #[test]
    fn no_stream_panics(
        segments in proptest::collection::vec((any::<bool>(), 0..300_usize, piece()), 1..30),
        captured in prop_oneof![Just(usize::MAX), 0..60_usize],
    ) {
        let segments: Segments<'_> = segments.iter().map(|(c, at, b)| (*c, *at, b.as_slice())).collect();
        let found = cut_lines(&segments, captured);
        prop_assert!(found.iter().all(|line| !line.contains(|c: char| c.is_control())));
    }

    #[test]
    fn frames_are_found_whatever_comes_behind_and_however_it_is_cut(
        pieces in proptest::collection::vec(piece(), 1..8),
        size in 1..50_usize,
    ) {
        let mut bytes = UPGRADE.as_bytes().to_vec();
        bytes.extend((0..3_u8).flat_map(|n| frame(0x81, &[b'a' + n; 20])));
        bytes.extend(pieces.concat());
        let found = lines(&cut(false, &bytes, size)).join(";");
        for letter in ['a', 'b', 'c'] {
            let shown = format!("text 20 bytes masked \"{}\"", letter.to_string().repeat(20));
            prop_assert!(found.contains(&shown), "{}", found);
        }
    }
}
