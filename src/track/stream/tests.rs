//! Streams put together from made-up packets: order, overlap, gaps, wrap, wild numbers, limits.
#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::*;
use crate::{link::LinkType, track::testing::batch};

const FIN: u8 = 1;
const SYN: u8 = 2;
const RST: u8 = 4;
const ACK: u8 = 16;

const TCP: Id = Id {
    transport: Transport::Tcp,
    number: 0,
};
const UDP: Id = Id {
    transport: Transport::Udp,
    number: 0,
};

fn ip(client: bool, protocol: u8, payload: &[u8]) -> String {
    let (from, to) = if client { (1, 2) } else { (2, 1) };
    let len = (20 + payload.len() as u16).to_be_bytes();
    let mut bytes = vec![0x45, 0, len[0], len[1], 0, 0, 0, 0, 64, protocol, 0, 0];
    bytes.extend([10, 0, 0, from, 10, 0, 0, to]);
    bytes.extend(payload);
    hex::encode(bytes)
}

fn ports(client: bool) -> [u8; 4] {
    if client { [0, 9, 0, 7] } else { [0, 7, 0, 9] }
}

fn tcp(client: bool, flags: u8, seq: u32, data: &[u8]) -> String {
    let mut bytes = ports(client).to_vec();
    bytes.extend(seq.to_be_bytes());
    bytes.extend([0, 0, 0, 1, 0x50, flags, 1, 0, 0, 0, 0, 0]);
    bytes.extend(data);
    ip(client, 6, &bytes)
}

fn udp(client: bool, data: &[u8]) -> String {
    let mut bytes = ports(client).to_vec();
    bytes.extend((8 + data.len() as u16).to_be_bytes());
    bytes.extend([0, 0]);
    bytes.extend(data);
    ip(client, 17, &bytes)
}

fn fed(frames: &[String], cut: usize, keep: Keep, limits: Limits) -> Streams {
    let frames: Vec<&str> = frames.iter().map(String::as_str).collect();
    let (batch, decoded) = batch(LinkType::RAW, &frames, cut);
    let mut streams = Streams::new(keep, limits);
    for index in 0..batch.len() {
        streams.packet(&decoded.packet(&batch, index).unwrap());
    }
    streams
}

fn stream(frames: &[String]) -> Stream {
    fed(frames, usize::MAX, Keep::One(TCP), Limits::default())
        .take(TCP)
        .unwrap()
}

/// The pieces in short: `>0@1:abc`, `<3@4:[2 Missing]`, `>7@9:FIN`.
fn told(stream: &Stream) -> String {
    let pieces = stream.pieces().map(|piece| {
        let arrow = match piece.side {
            Side::Client => '>',
            Side::Server => '<',
        };
        let what = match piece.what {
            What::Data(bytes) => String::from_utf8_lossy(bytes).into_owned(),
            What::Gap { bytes, why } => format!("[{bytes} {why:?}]"),
            What::Fin => "FIN".to_owned(),
            What::Rst => "RST".to_owned(),
        };
        format!("{arrow}{}@{}:{what}", piece.offset, piece.mark.packet)
    });
    pieces.collect::<Vec<_>>().join(" ")
}

#[test]
fn both_sides_are_read_in_the_order_of_time() {
    let stream = stream(&[
        tcp(true, SYN, 99, b""),
        tcp(false, SYN | ACK, 499, b""),
        tcp(true, ACK, 100, b"ask"),
        tcp(false, ACK, 500, b"answer"),
        tcp(true, ACK, 103, b"more"),
        tcp(true, FIN | ACK, 107, b""),
        tcp(false, RST, 506, b""),
    ]);
    assert_eq!(
        told(&stream),
        ">0@3:ask <0@4:answer >3@5:more >7@6:FIN <6@7:RST"
    );
    assert_eq!(stream.sockets[Side::Server].to_string(), "10.0.0.2:7");
    let totals = stream.totals[Side::Client];
    assert_eq!((totals.packets, totals.data, totals.missing), (4, 7, 0));
}

#[test]
fn the_answer_to_a_syn_tells_who_is_the_server() {
    let stream = stream(&[tcp(false, SYN | ACK, 499, b""), tcp(true, ACK, 100, b"ask")]);
    assert_eq!(told(&stream), ">0@2:ask");
}

#[test]
fn bytes_behind_a_hole_wait_until_it_is_filled() {
    let stream = stream(&[
        tcp(true, SYN, 99, b""),
        tcp(true, ACK, 103, b"def"),
        tcp(false, ACK, 500, b"so?"),
        tcp(true, ACK, 100, b"abc"),
    ]);
    assert_eq!(told(&stream), "<0@3:so? >0@4:abc >3@4:def");
    let carriers: Vec<_> = stream
        .carriers(Side::Client, 2..4)
        .map(|carrier| (carrier.packet.packet, carrier.range))
        .collect();
    assert_eq!(carriers, [(4, 2..3), (2, 3..4)]);
    let found = stream.find(b"cd").unwrap();
    assert_eq!(
        (found.side, found.offset, found.packet.packet),
        (Side::Client, 2, 4)
    );
    assert!(stream.find(b"ab").is_some() && stream.find(b"").is_none());
    assert!(stream.find(b"so?abc").is_none());
}

#[test]
fn the_first_match_is_the_one_that_was_read_first() {
    let stream = stream(&[
        tcp(true, SYN, 99, b""),
        tcp(false, ACK, 500, b"word"),
        tcp(true, ACK, 100, b"word word"),
    ]);
    assert_eq!(stream.find(b"word").unwrap().side, Side::Server);
    let again = stream.find_on(Side::Client, b"word", 1).unwrap();
    assert_eq!((again.offset, again.packet.packet), (5, 3));
    assert_eq!(stream.find_on(Side::Client, b"word", 6), None);
    assert_eq!(stream.find_on(Side::Client, b"word", u64::MAX), None);
}

#[test]
fn what_arrived_first_wins() {
    let stream = stream(&[
        tcp(true, SYN, 99, b""),
        tcp(true, ACK, 102, b"cdef"),
        tcp(true, ACK, 100, b"ABCDEFGH"),
        tcp(true, ACK, 100, b"ab"),
    ]);
    assert_eq!(told(&stream), ">0@3:AB >2@3:cdef >6@3:GH");
    assert_eq!(stream.totals[Side::Client].again, 6);
}

#[test]
fn a_gap_has_its_length_and_no_bytes() {
    let stream = stream(&[
        tcp(true, SYN, 99, b""),
        tcp(true, ACK, 105, b"f"),
        tcp(true, FIN | ACK, 116, b""),
    ]);
    assert_eq!(
        told(&stream),
        ">0@2:[5 Missing] >5@2:f >6@3:[10 Missing] >16@3:FIN"
    );
    assert_eq!(stream.totals[Side::Client].missing, 15);
    assert_eq!(stream.totals[Side::Client].data, 1);
}

#[test]
fn bytes_that_were_cut_are_gaps_of_another_kind() {
    let frames = [
        tcp(true, SYN, 99, b""),
        tcp(true, ACK, 100, b"abcdefgh"),
        tcp(false, ACK, 500, b"0123456789"),
        tcp(true, ACK, 108, b"ijkl"),
        tcp(true, ACK, 100, b"ab"),
    ];
    let mut streams = fed(&frames, 43, Keep::All, Limits::default());
    let whole = streams.take(TCP).unwrap();
    assert_eq!(
        told(&whole),
        ">0@2:abc >3@2:[5 NotCaptured] <0@3:012 <3@3:[7 NotCaptured] >8@4:ijk >11@4:[1 NotCaptured]"
    );
    // Without a single byte, too, each packet's gap stands where the packet came.
    let whole = fed(&frames, 40, Keep::All, Limits::default())
        .take(TCP)
        .unwrap();
    assert_eq!(
        told(&whole),
        ">0@2:[8 NotCaptured] <0@3:[10 NotCaptured] >8@4:[4 NotCaptured]"
    );
}

#[test]
fn a_repetition_fills_in_what_was_cut() {
    let frames = [
        tcp(true, SYN, 99, b""),
        tcp(true, ACK, 100, b"abcdef"),
        tcp(true, ACK, 103, b"def"),
    ];
    let whole = fed(&frames, 43, Keep::All, Limits::default())
        .take(TCP)
        .unwrap();
    assert_eq!(told(&whole), ">0@2:abc >3@3:def");
}

#[test]
fn numbers_go_round() {
    let stream = stream(&[
        tcp(true, SYN, u32::MAX - 2, b""),
        tcp(true, ACK, 1, b"def"),
        tcp(true, ACK, u32::MAX - 1, b"abc"),
        tcp(true, ACK, 4, b"ghi"),
    ]);
    assert_eq!(told(&stream), ">0@3:abc >3@3:def >6@4:ghi");
}

#[test]
fn a_stream_joined_in_the_middle_begins_with_its_first_segment() {
    let stream = stream(&[
        tcp(true, ACK, 5000, b"abc"),
        tcp(true, ACK, 4998, b"xyABC"),
        tcp(true, ACK, 5003, b"def"),
    ]);
    assert_eq!(told(&stream), ">0@1:abc >3@3:def");
    assert_eq!(stream.totals[Side::Client].outside, 2);
}

#[test]
fn a_syn_that_comes_late_says_where_the_stream_begins() {
    let stream = stream(&[
        tcp(false, ACK, 503, b"def"),
        tcp(false, SYN | ACK, 499, b""),
        tcp(false, ACK, 500, b"abc"),
    ]);
    // No SYN had told when the first packet came, but its port is the lower one: a server's.
    assert_eq!(told(&stream), "<0@3:abc <3@3:def");
}

#[test]
fn a_syn_may_carry_data() {
    let stream = stream(&[tcp(true, SYN, 99, b"abc"), tcp(true, ACK, 100, b"abcdef")]);
    assert_eq!(told(&stream), ">0@1:abc >3@2:def");
}

#[test]
fn a_keep_alive_carries_no_data() {
    let stream = stream(&[
        tcp(true, SYN, 99, b""),
        tcp(true, ACK, 100, b"abc"),
        tcp(true, ACK, 102, b"\0"),
        tcp(true, ACK, 103, b"def"),
    ]);
    assert_eq!(told(&stream), ">0@2:abc >3@4:def");
}

#[test]
fn a_wild_number_is_left_out() {
    let stream = stream(&[
        tcp(true, SYN, 99, b""),
        tcp(true, ACK, 100, b"abc"),
        tcp(true, ACK, 0xb000_0000, b"wild"),
        tcp(true, RST, 0xc000_0000, b""),
        tcp(true, ACK, 103, b"def"),
    ]);
    assert_eq!(told(&stream), ">0@2:abc >6@4:RST >3@5:def");
    assert_eq!(stream.totals[Side::Client].outside, 4);
}

#[test]
fn a_wild_number_within_reach_does_not_move_the_stream_away() {
    let mut frames = vec![tcp(true, SYN, 99, b""), tcp(true, ACK, 100, b"abc")];
    for far in 1..=8 {
        frames.push(tcp(true, ACK, far * 500_000_000, b"?"));
    }
    frames.push(tcp(true, ACK, 103, b"def"));
    let stream = stream(&frames);
    assert!(told(&stream).starts_with(">0@2:abc >3@11:def >6@11:[49"));
}

#[test]
fn a_wild_number_does_not_become_the_beginning() {
    let first = [b"wild".as_slice(), b""];
    for wild in first {
        let stream = stream(&[
            tcp(true, ACK, 0xb000_0000, wild),
            tcp(true, ACK, 100, b"abc"),
            tcp(true, ACK, 103, b"def"),
            tcp(true, ACK, 106, b"ghi"),
        ]);
        let text = told(&stream);
        assert!(
            text.ends_with("@3:def >3@4:ghi") || text.ends_with(">0@2:abc >3@3:def >6@4:ghi"),
            "{text}"
        );
    }
}

#[test]
fn datagrams_keep_their_borders() {
    let frames = [
        udp(true, b"one"),
        udp(false, b""),
        udp(true, b"two"),
        udp(true, b"longer than that"),
    ];
    let whole = fed(&frames, usize::MAX, Keep::All, Limits::default())
        .take(UDP)
        .unwrap();
    assert_eq!(
        told(&whole),
        ">0@1:one <0@2: >3@3:two >6@4:longer than that"
    );
    assert!(whole.find(b"two").is_some() && whole.find(b"onetwo").is_none());
    let cut = fed(&frames, 32, Keep::All, Limits::default())
        .take(UDP)
        .unwrap();
    assert_eq!(
        told(&cut),
        ">0@1:one <0@2: >3@3:two >6@4:long >10@4:[12 NotCaptured]"
    );
    let bare = fed(&frames[3..], 28, Keep::All, Limits::default())
        .take(UDP)
        .unwrap();
    assert_eq!(told(&bare), ">0@1: >0@1:[16 NotCaptured]");
}

#[test]
fn streams_are_counted_also_when_they_are_not_kept() {
    let frames = [
        tcp(true, SYN, 99, b""),
        tcp(true, ACK, 100, b"abc"),
        tcp(true, ACK, 100, b"abcd"),
        tcp(false, ACK, 7, b"!"),
        udp(true, b"hello"),
    ];
    let mut streams = fed(&frames, usize::MAX, Keep::Sole, Limits::default());
    let outlines: Vec<_> = streams
        .outlines()
        .map(|o| (o.id.to_string(), o.packets.0, o.bytes.0))
        .collect();
    assert_eq!(
        outlines,
        [
            ("tcp:0".to_owned(), [3, 1], [4, 1]),
            ("udp:0".to_owned(), [1, 0], [5, 0])
        ]
    );
    assert_eq!(streams.take(Id { number: 1, ..TCP }).map(|s| s.id), None);
}

#[test]
fn beyond_the_limit_bytes_are_counted_and_said() {
    let frames = [
        tcp(true, SYN, 99, b""),
        tcp(true, ACK, 100, &[b'a'; 500]),
        tcp(true, ACK, 600, &[b'b'; 500]),
        tcp(true, ACK, 600, &[b'b'; 500]),
        tcp(false, ACK, 7, b"!"),
    ];
    let limits = Limits {
        side: 800,
        all: 1 << 20,
    };
    let whole = fed(&frames, usize::MAX, Keep::One(TCP), limits)
        .take(TCP)
        .unwrap();
    let pieces: Vec<_> = whole.pieces().map(|piece| piece.what).collect();
    let gap = What::Gap {
        bytes: 500,
        why: Why::NotKept,
    };
    assert_eq!(pieces, [What::Data(&[b'a'; 500]), gap, What::Data(b"!")]);
    assert_eq!(whole.totals[Side::Client].not_kept, 500);
}

#[test]
fn streams_beyond_the_limit_are_counted() {
    let frames: Vec<String> = (0..200u32)
        .map(|n| tcp(true, ACK, n, b"").replace("00090007", &format!("{n:04x}0007")))
        .collect();
    let limits = Limits {
        side: 1000,
        all: 20_000,
    };
    let streams = fed(&frames, usize::MAX, Keep::Sole, limits);
    let listed = streams.outlines().count() as u64;
    assert!((1..200).contains(&listed));
    assert_eq!(listed + streams.unlisted(), 200);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// However a known text is cut, repeated and shuffled: it comes back.
    #[test]
    fn any_order_gives_the_text_back(
        isn in any::<u32>(),
        len in 1usize..300,
        cuts in prop::collection::vec((0usize..300, 1usize..40), 0..60),
        seed in any::<u64>(),
    ) {
        let text: Vec<u8> = (0..len).map(|n| (n * 7) as u8).collect();
        let mut parts: Vec<(usize, usize)> = (0..len).step_by(25).map(|at| (at, (at + 25).min(len))).collect();
        parts.extend(cuts.iter().map(|&(at, n)| (at.min(len - 1), (at.min(len - 1) + n).min(len))));
        let mut state = seed | 1;
        for index in (1..parts.len()).rev() {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            parts.swap(index, (state >> 33) as usize % (index + 1));
        }
        let mut frames = vec![tcp(true, SYN, isn, b"")];
        let seq = |at: usize| isn.wrapping_add(1).wrapping_add(at as u32);
        frames.extend(parts.iter().map(|&(from, to)| tcp(true, ACK | 8, seq(from), &text[from..to])));
        let stream = stream(&frames);
        let runs: Vec<_> = stream.runs(Side::Client).collect();
        prop_assert_eq!(runs, vec![(0, text.as_slice())]);
        let totals = stream.totals[Side::Client];
        prop_assert_eq!((totals.data, totals.missing), (len as u64, 0));
    }

    /// Whatever segments come: nothing overflows, offsets go up, and the sums agree.
    #[test]
    fn any_segments_make_a_stream(
        segments in prop::collection::vec((any::<bool>(), any::<u8>(), any::<u32>(), 0usize..50), 0..40),
        near in any::<bool>(),
        cut in 40usize..100,
        side in 0u64..2000,
    ) {
        let data = [b'x'; 50];
        let frames: Vec<String> = segments
            .iter()
            .map(|&(client, flags, seq, len)| {
                let seq = if near { 0x7fff_ff80u32.wrapping_add(seq & 0xff) } else { seq };
                tcp(client, flags, seq, &data[..len])
            })
            .collect();
        let limits = Limits { side, all: 1 << 20 };
        let mut streams = fed(&frames, cut, Keep::All, limits);
        let ids: Vec<_> = streams.outlines().map(|outline| outline.id).collect();
        for id in ids {
            let stream = streams.take(id).unwrap();
            for side in Side::BOTH {
                let (mut at, mut packet, mut data, mut gaps) = (0, 0, 0, 0);
                for piece in stream.pieces().filter(|piece| piece.side == side) {
                    prop_assert!(piece.mark.packet >= packet);
                    packet = piece.mark.packet;
                    match piece.what {
                        What::Data(bytes) => {
                            prop_assert_eq!(piece.offset, at);
                            at += bytes.len() as u64;
                            data += bytes.len() as u64;
                        }
                        What::Gap { bytes, .. } => {
                            prop_assert!(bytes > 0 && piece.offset == at);
                            at += bytes;
                            gaps += bytes;
                        }
                        What::Fin | What::Rst => {}
                    }
                }
                let totals = stream.totals[side];
                prop_assert_eq!(totals.data, data);
                prop_assert_eq!(totals.missing + totals.not_captured + totals.not_kept, gaps);
            }
        }
    }
}
