//! Ladders of made-up packets with made-up clocks, told and drawn.
#![allow(clippy::unwrap_used)]

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

#[test]
fn a_lab_shows_both_ends_times_and_states() {
    assert_told(
        &handshake_in_a_lab(LadderOptions::default()),
        r#"
     ms client 10.0.0.1:41000                  server 10.0.0.2:5000      ms   #
        CLOSED                                               LISTEN
-- open: the three-way handshake ---------------------------------------------
   0.00 SYN-SENT    │──── SYN seq=0 mss=1460 ws=7 ───▶│SYN-RECEIVED   10.04   1
  20.11 ESTABLISHED │◀─── SYN,ACK seq=0 ack=1 ────────│SYN-RECEIVED   10.07   2
  20.13 ESTABLISHED │──── ACK seq=1 ack=1 ───────────▶│ ESTABLISHED   30.17   3
-- data ----------------------------------------------------------------------
  20.35 ESTABLISHED │──── 6 bytes seq=1 "hello\n" ───▶│ ESTABLISHED   30.39   4
-- close: the client began ---------------------------------------------------
  40.70 FIN-WAIT-1  │──── FIN,ACK seq=7 ack=1 ───────▶│  CLOSE-WAIT   50.74   5
"#,
    );
}

#[test]
fn sixty_columns_shorten_states() {
    let options = LadderOptions {
        width: 60,
        ..LadderOptions::default()
    };
    assert_told(
        &handshake_in_a_lab(options),
        r#"
     ms 10.0.0.1:41000             10.0.0.2:5000      ms   #
        CLOSED                            LISTEN
-- open: the three-way handshake ---------------------------
   0.00 SYN-S │── SYN seq=0 mss=1460 ───▶│ SYN-R   10.04   1
  20.11 ESTAB │◀─ SYN,ACK seq=0 ack=1 ───│ SYN-R   10.07   2
  20.13 ESTAB │── ACK seq=1 ack=1 ──────▶│ ESTAB   30.17   3
-- data ----------------------------------------------------
  20.35 ESTAB │── 6 bytes seq=1 "hel…" ─▶│ ESTAB   30.39   4
-- close: the client began ---------------------------------
  40.70 FIN-W1│── FIN,ACK seq=7 ack=1 ──▶│CLOS-W   50.74   5
"#,
    );
}

#[test]
fn numbers_as_on_the_wire_have_room() {
    let options = LadderOptions {
        absolute: true,
        ..LadderOptions::default()
    };
    let told = handshake_in_a_lab(options);
    assert!(
        told.contains("SYN,ACK seq=1174209933 ack=2809170013"),
        "{told}"
    );
}

#[test]
fn the_wire_says_what_it_dropped() {
    let mut show = lab(LadderOptions::default());
    show.sent(0, "> SYN seq=9");
    show.story.dropped(1, "first SYN", &mut show.items);
    show.sent(1_000_000, "> SYN seq=9").got(1_010_000, 2);
    show.sent(1_010_010, "< SYN seq=70 ack=10");
    show.story.dropped(3, "", &mut show.items);
    assert_told(
        &show.end(),
        r#"
     ms client 10.0.0.1:41000                  server 10.0.0.2:5000      ms   #
        CLOSED                                               LISTEN
-- open: the three-way handshake ---------------------------------------------
   0.00 SYN-SENT    │──── SYN seq=0 ────────── ✗      │      LISTEN       -   1
        the wire dropped packet 1: first SYN
1000.00 SYN-SENT    │╌╌╌╌ SYN seq=0 again (of 1) ╌╌╌╌▶│SYN-RECEIVED 1010.00   2
        1.00 s without an answer: the wire dropped packet 1
      - SYN-SENT    │      ✗ ──── SYN,ACK seq=0 ──────│SYN-RECEIVED 1010.01   3
"#,
    );
    assert_eq!(show.story.summaries()[0].lost, 2);
}

#[test]
fn a_syn_that_arrived_and_is_ignored_shows_no_state() {
    let mut show = lab(LadderOptions::default());
    show.sent(0, "> SYN seq=9").got(10_000, 1);
    show.sent(1_000_000, "> SYN seq=9").got(1_010_000, 2);
    show.sent(1_010_010, "< SYN seq=70 ack=10");
    assert_told(
        &show.end(),
        r#"
     ms client 10.0.0.1:41000                  server 10.0.0.2:5000      ms   #
        CLOSED                                               LISTEN
-- open: the three-way handshake ---------------------------------------------
   0.00 SYN-SENT    │──── SYN seq=0 ─────────────────▶│           ?   10.00   1
1000.00 SYN-SENT    │╌╌╌╌ SYN seq=0 again (of 1) ╌╌╌╌▶│SYN-RECEIVED 1010.00   2
        1.00 s after packet 1, which had arrived: nothing was sent in answer
      - SYN-SENT    │◀─── SYN,ACK seq=0 ack=1 ────────│SYN-RECEIVED 1010.01   3
"#,
    );
}

#[test]
fn packets_that_cross_give_both_ends_their_own_states() {
    let mut show = lab(LadderOptions::default());
    show.sent(0, "> SYN seq=9")
        .got(10, 1)
        .sent(10, "< SYN seq=70 ack=10")
        .got(20, 2);
    show.sent(20, "> seq=10 ack=71").got(30, 3);
    show.sent(100, "> FIN seq=10 ack=71")
        .sent(105, "< FIN seq=71 ack=10");
    show.got(110, 4).got(115, 5);
    show.sent(116, "> seq=11 ack=72")
        .sent(117, "< seq=72 ack=11")
        .got(126, 6)
        .got(127, 7);
    let told = show.end();
    let states: Vec<(&str, &str)> = told
        .lines()
        .filter(|line| line.contains('│'))
        .map(|line| {
            (
                line[8..20].trim(),
                line.rsplit('│').next().unwrap()[..12].trim(),
            )
        })
        .collect();
    assert_eq!(
        states[3..],
        [
            ("FIN-WAIT-1", "CLOSING"),
            ("CLOSING", "FIN-WAIT-1"),
            ("CLOSING", "TIME-WAIT"),
            // Sent before the client's ACK came.
            ("TIME-WAIT", "CLOSING"),
        ],
        "{told}"
    );
}

#[test]
fn a_summary_has_what_closing_lines_need() {
    let mut show = lab(LadderOptions::default());
    show.sent(0, "> SYN seq=9")
        .got(10_000, 1)
        .sent(10_070, "< SYN seq=70 ack=10")
        .got(20_110, 2);
    show.sent(20_130, "> seq=10 ack=71 \"hi\"").got(30_170, 3);
    let summary = show.story.summaries().remove(0);
    assert_eq!(summary.open, [Some(20_110_000), Some(30_170_000)]);
    assert_eq!(summary.rtt, Some(20_110_000));
    assert_eq!(summary.isn, [Some(9), Some(70)]);
    assert_eq!((summary.packets, summary.bytes), ([2, 1], [2, 0]));
    assert_eq!(summary.outcome, crate::track::story::Outcome::Open);
}

#[test]
fn several_flows_a_refusal_a_datagram_and_its_error_a_lost_syn() {
    let mut show = Show::watch();
    show.ladder.interfaces(vec!["lo".to_owned()]);
    show.tap(0, "> SYN seq=9 mss=65495")
        .tap(17, "< RST seq=0 ack=10");
    let datagram = packet("> udp \"ping\n\"");
    show.at(4_102_233, &datagram, Sight::Tap);
    show.at(4_102_251, &error(SERVER.0, 3, 3, &datagram), Sight::Tap);
    show.tap(9_000_000, "> SYN seq=50 mss=1460")
        .tap(10_021_114, "> SYN seq=50 mss=1460");
    show.tap(10_021_200, "< SYN seq=7 ack=51")
        .tap(10_021_300, "> seq=51 ack=8");
    assert_told(
        &show.end(),
        r#"
-- C1 tcp 10.0.0.1:41000 → 10.0.0.2:5000  lo ---------------------------------
  0.000000 SYN-SENT    │──── SYN seq=0 mss=65495 ──────────▶│      CLOSED    1
  0.000017 CLOSED      │◀═══ RST,ACK seq=0 ack=1 ═══════════│      CLOSED    2
           refused in 0.02 ms: nothing listens on 10.0.0.2:5000
-- U1 udp 10.0.0.1:41000 → 10.0.0.2:5000  lo ---------------------------------
  4.102233             │──── 5 bytes "ping\n" ─────────────▶│                3
  4.102251             │◀═══ ICMP port unreachable (for 3) ═│                4
           no UDP socket on 10.0.0.2:5000; sendto() had already succeeded
-- C2 tcp 10.0.0.1:41000 → 10.0.0.2:5000  lo ---------------------------------
  9.000000 SYN-SENT    │──── SYN seq=0 mss=1460 ───────────▶│           ?    5
 10.021114 SYN-SENT    │╌╌╌╌ SYN seq=0 again (of 5) ╌╌╌╌╌╌╌▶│SYN-RECEIVED    6
           1.02 s without an answer: packet 5, or the answer to it, was lost
 10.021200 ESTABLISHED │◀─── SYN,ACK seq=0 ack=1 ───────────│SYN-RECEIVED    7
 10.021300 ESTABLISHED │──── ACK seq=1 ack=1 ──────────────▶│ ESTABLISHED    8
           open after 1.02 s
"#,
    );
    let endings: Vec<String> = show
        .story
        .summaries()
        .iter()
        .map(|s| format!("{} {}", s.label, s.outcome.word()))
        .collect();
    assert_eq!(endings, ["C1 refused", "U1 unreachable", "C2 open"]);
}

#[test]
fn replies_resets_half_closes_and_strangers_have_their_sentences() {
    let mut show = Show::watch();
    show.tap(0, "> seq=100 ack=50 \"x\"");
    show.tap(10, "< seq=50 ack=101 win=0")
        .tap(20, "> FIN seq=101 ack=50");
    show.tap(30, "< seq=50 ack=102 \"more\"")
        .tap(40, "> RST seq=102");
    show.tap(1_000, "> udp \"ping\n\"")
        .tap(1_020, "< udp \"pong\n\"");
    assert_told(
        &show.end(),
        r#"
-- C1 tcp 10.0.0.1:41000 → 10.0.0.2:5000 -------------------------------------
  0.000000 ESTABLISHED │──── 1 byte seq=1 "x" ─────────────▶│           ?    1
           seen from the middle: its handshake came before the first packet
  0.000010 ESTABLISHED │◀─── ACK seq=1 ack=2 win=0 ─────────│ ESTABLISHED    2
           window 0: the server cannot take more data for now
  0.000020 FIN-WAIT-1  │──── FIN,ACK seq=2 ack=1 ──────────▶│  CLOSE-WAIT    3
  0.000030 FIN-WAIT-2  │◀─── 4 bytes seq=1 "more" ──────────│  CLOSE-WAIT    4
           window open again after 0.02 ms: the server takes data
           half-close: the client has closed its side and still receives
  0.000040 CLOSED      │════ RST seq=3 ════════════════════▶│      CLOSED    5
           reset by the client: the connection is gone, no more data is sent
-- U1 udp 10.0.0.1:41000 → 10.0.0.2:5000 -------------------------------------
  0.001000             │──── 5 bytes "ping\n" ─────────────▶│                6
  0.001020             │◀─ 5 bytes after 0.02 ms "pong\n" ──│                7
"#,
    );
}

#[test]
fn a_window_closes_is_probed_and_opens_again() {
    let mut show = Show::watch();
    show.tap(0, "> seq=100 ack=50 \"x\"");
    show.tap(10, "< seq=50 ack=101 win=0")
        .tap(200_010, "> seq=100 ack=50")
        .tap(200_020, "< seq=50 ack=101 win=0")
        .tap(900_010, "< seq=50 ack=101")
        .tap(901_000, "> seq=100 ack=50");
    assert_told(
        &show.end(),
        r#"
-- C1 tcp 10.0.0.1:41000 → 10.0.0.2:5000 -------------------------------------
  0.000000 ESTABLISHED │──── 1 byte seq=1 "x" ─────────────▶│           ?    1
           seen from the middle: its handshake came before the first packet
  0.000010 ESTABLISHED │◀─── ACK seq=1 ack=2 win=0 ─────────│ ESTABLISHED    2
           window 0: the server cannot take more data for now
  0.200010 ESTABLISHED │──── ACK seq=1 window probe ack=1 ─▶│ ESTABLISHED    3
  0.200020 ESTABLISHED │◀─── ACK seq=1 ack=2 win=0 ─────────│ ESTABLISHED    4
  0.900010 ESTABLISHED │◀─── ACK seq=1 ack=2 ───────────────│ ESTABLISHED    5
           window open again after 900.00 ms: the server takes data
  0.901000 ESTABLISHED │──── ACK seq=1 keep-alive ack=1 ───▶│ ESTABLISHED    6
"#,
    );
}

#[test]
fn a_syn_that_is_never_answered_names_every_copy() {
    let mut show = Show::watch();
    for (n, second) in [0, 1, 3, 7].into_iter().enumerate() {
        show.tap(second * 1_000_000, "> SYN seq=9");
        show.number += u64::from(n == 0);
    }
    let told = show.end().replace("\n           ", " ");
    for said in [
        "1.00 s without an answer: packet 1, or the answer to it, was lost",
        "3.00 s without an answer: packets 1 and 3, or the answers to them, were lost",
        "7.00 s without an answer: packet 1 and its repetitions up to 4, or the answers to them, were lost",
    ] {
        assert!(told.contains(said), "{said}{told}");
    }
}

#[test]
fn a_socket_that_connects_to_itself_opens_and_closes_with_nothing_sent_again() {
    let mut show = Show::watch();
    let own = |words: &str| {
        let mut bytes = packet(words);
        bytes.copy_within(12..16, 16);
        bytes.copy_within(20..22, 22);
        bytes
    };
    for (n, words) in [
        "> SYN seq=9",
        "> SYN seq=9 ack=10",
        "> seq=10 ack=10",
        "> seq=10 ack=10 \"hi\"",
        "> seq=12 ack=12",
        "> FIN seq=12 ack=12",
        "> seq=13 ack=13",
    ]
    .iter()
    .enumerate()
    {
        show.at(n as i64, &own(words), Sight::Tap);
    }
    assert_told(
        &show.end(),
        r#"
-- C1 tcp 10.0.0.1:41000 → 10.0.0.1:41000 ------------------------------------
  0.000000 SYN-RECEIVED│──── SYN seq=0 ────────────────────▶│SYN-RECEIVED    1
  0.000001 ESTABLISHED │──── SYN,ACK seq=0 ack=1 ──────────▶│ ESTABLISHED    2
           open after 0.00 ms
  0.000002 ESTABLISHED │──── ACK seq=1 ack=1 ──────────────▶│ ESTABLISHED    3
  0.000003 ESTABLISHED │──── 2 bytes seq=1 "hi" ───────────▶│ ESTABLISHED    4
  0.000004 ESTABLISHED │──── ACK seq=3 ack=3 ──────────────▶│ ESTABLISHED    5
  0.000005 CLOSING     │──── FIN,ACK seq=3 ack=3 ──────────▶│     CLOSING    6
  0.000006 TIME-WAIT   │──── ACK seq=4 ack=4 ──────────────▶│   TIME-WAIT    7
           closed: the client began
"#,
    );
}

#[test]
fn a_packet_that_the_wire_delivers_twice_says_so() {
    let mut show = lab(LadderOptions::default());
    show.sent(0, "> SYN seq=9");
    show.story.doubled(1);
    show.got(10, 1);
    let told = show.end();
    assert!(
        told.ends_with("the wire delivers packet 1 twice\n"),
        "{told}"
    );
}

#[test]
fn a_packet_that_the_wire_holds_back_says_so() {
    let mut show = lab(LadderOptions::default());
    show.sent(0, "> SYN seq=9");
    show.story.held_back(1, 15_000_000);
    show.got(25, 1);
    let told = show.end();
    assert!(
        told.ends_with("the wire holds packet 1 back for 15.00 ms\n"),
        "{told}"
    );
}

#[test]
fn only_a_repetition_after_silence_tells_of_loss() {
    let mut show = Show::watch();
    show.tap(0, "> SYN seq=100")
        .tap(100, "< SYN seq=50 ack=101")
        .tap(1_010_000, "< SYN seq=50 ack=101")
        .tap(1_020_000, "> SYN seq=100")
        .tap(1_020_100, "< SYN seq=50 ack=101");
    let told = show.end();
    assert_eq!(told.matches("again (of ").count(), 3, "{told}");
    assert_eq!(
        told.matches("1.01 s without an answer: packet 2").count(),
        1,
        "{told}"
    );
    assert_eq!(
        told.matches("without an answer: packet 2").count(),
        1,
        "{told}"
    );
    assert_eq!(
        told.matches("without an answer: packet 1").count(),
        1,
        "{told}"
    );
}

#[test]
fn one_direction_alone_tells_what_it_can() {
    let mut show = Show::watch();
    show.tap(0, "> SYN seq=9")
        .tap(300_000, "> seq=10 ack=51 \"x\"");
    show.tap(300_100, "> seq=14 ack=51 \"y\"");
    show.story.quiet(time(60_000_000), &mut show.items);
    assert_told(
        &show.end(),
        r#"
-- C1 tcp 10.0.0.1:41000 → 10.0.0.2:5000 -------------------------------------
  0.000000 SYN-SENT    │──── SYN seq=0 ────────────────────▶│           ?    1
  0.300000 ESTABLISHED │──── 1 byte seq=1 "x" ─────────────▶│           ?    2
  0.300100 ESTABLISHED │──── 1 byte seq=5 after gap "y" ───▶│           ?    3
           3 bytes before packet 3 were not captured
"#,
    );
}

#[test]
fn silence_is_noted_at_its_deadline_and_before_later_rows() {
    let mut show = Show::watch();
    show.tap(0, "> udp \"ping\"");
    show.story.quiet(time(1_999_999), &mut show.items);
    assert!(!show.text().contains("no reply"));
    show.story.quiet(time(2_000_001), &mut show.items);
    let deadline = show.items.iter().find_map(|item| match item {
        Item::Note(note) => Some(note.time),
        _ => None,
    });
    assert_eq!(deadline, Some(time(2_000_000)));
    assert!(show.text().contains("no reply in 2.00 s"));
    // The same from a file, where no quiet is told: before the next row.
    let mut file = Show::watch();
    file.tap(0, "> udp \"ping\"").tap(7_000_000, "> SYN seq=1");
    let told = file.end();
    assert!(told.find("no reply").unwrap() < told.find("SYN").unwrap());
}

#[test]
fn quiet_in_between_changes_no_row() {
    let script: Vec<(i64, String)> = (0..40)
        .map(|n| (n * 30_000, format!("> seq={} ack=1 \"x\"", 10 + n)))
        .collect();
    let (mut live, mut file) = (Show::watch(), Show::watch());
    let mut told = String::new();
    for (at, words) in &script {
        live.story.quiet(time(at - 1), &mut live.items);
        live.tap(*at, words);
        told += &live.text();
        file.tap(*at, words);
    }
    told += &live.end();
    assert_eq!(told, file.end());
    assert!(told.contains("segments"), "{told}");
}

#[test]
fn long_runs_of_data_are_folded_with_the_acknowledgments_between() {
    let mut show = Show::watch();
    for n in 0..20 {
        show.tap(
            n * 100,
            &format!("> seq={} ack=1 times=100 \"x\"", 10 + 100 * n),
        );
        if n % 4 == 3 {
            show.tap(n * 100 + 50, &format!("< seq=1 ack={}", 110 + 100 * n));
        }
    }
    let told = show.end();
    let runs: Vec<&str> = told
        .lines()
        .filter(|line| line.contains("segments"))
        .collect();
    assert_eq!(runs.len(), 1, "{told}");
    assert!(runs[0].contains("1600 bytes in 16 segments"), "{told}");
    assert_eq!(show.story.rows(), 25);
}

#[test]
fn grouped_flows_are_told_one_after_the_other() {
    let mut show = Show::new(
        StoryOptions {
            group: true,
            ..StoryOptions::default()
        },
        LadderOptions::default(),
    );
    show.tap(0, "> SYN seq=1")
        .tap(10, "> udp \"a\"")
        .tap(20, "< RST seq=0 ack=2");
    assert!(show.text().contains("refused"));
    let rest = show.end();
    assert!(
        rest.starts_with("-- U1") && rest.contains("\"a\""),
        "{rest}"
    );
}

#[test]
fn a_new_syn_between_the_same_sockets_is_a_new_flow() {
    let mut show = Show::watch();
    show.tap(0, "> SYN seq=1")
        .tap(10, "< RST seq=0 ack=2")
        .tap(20, "> SYN seq=1")
        .tap(30, "< RST seq=0 ack=2");
    let told = show.end();
    assert!(told.contains("-- C2"), "{told}");
    assert_eq!(told.matches("refused").count(), 2);
}

#[test]
fn ascii_means_ascii_and_no_row_is_too_wide() {
    let wide = "é漢字\u{202e}\x1b[31m".repeat(9);
    for (width, layout) in [
        (80, Layout::Watch),
        (60, Layout::Watch),
        (80, Layout::Lab),
        (60, Layout::Lab),
        (71, Layout::Watch),
    ] {
        for (ascii, absolute) in [(true, false), (false, false), (true, true)] {
            let mut show = Show::new(
                StoryOptions::default(),
                LadderOptions {
                    width,
                    ascii,
                    absolute,
                    layout,
                    interfaces: vec![wide.clone()],
                    ..LadderOptions::default()
                },
            );
            show.number = 123_456_789;
            show.tap(0, "> SYN seq=4294967290 mss=65535 ws=14");
            show.tap(1, "< SYN seq=4294967290 ack=4294967291 mss=65535 ws=14");
            show.tap(2, &format!("> seq=4294967291 ack=4294967291 \"{wide}\""));
            show.tap(90_000_000_000_000, "> FIN seq=1 ack=4294967291");
            let datagram = packet(&format!("> udp \"{wide}\""));
            show.at(90_000_000_000_001, &datagram, Sight::Tap);
            show.at(
                90_000_000_000_002,
                &error([192, 168, 100, 200], 11, 0, &datagram),
                Sight::Tap,
            );
            let told = show.end();
            assert!(!ascii || told.is_ascii(), "{told}");
            assert!(!told.contains('\x1b') && !told.contains('\u{202e}'));
            for line in told.lines() {
                assert!(
                    arrow::width(line) <= width,
                    "{} > {width}: {line}",
                    arrow::width(line)
                );
            }
        }
    }
}

#[test]
fn colour_is_an_addition() {
    let coloured = handshake_in_a_lab(LadderOptions {
        colour: true,
        ..LadderOptions::default()
    });
    let mut plain = String::new();
    let mut rest = coloured.as_str();
    while let Some((before, after)) = rest.split_once('\x1b') {
        plain += before;
        rest = after.split_once('m').unwrap().1;
    }
    plain += rest;
    assert!(coloured.contains('\x1b'));
    assert_eq!(plain, handshake_in_a_lab(LadderOptions::default()));
}

#[test]
fn long_addresses_take_two_lines() {
    let address = IpAddr::from([
        0x2001_u16, 0xdb8, 0x1111, 0x2222, 0x3333, 0x4444, 0x5555, 0x6666,
    ]);
    let mut ladder = Ladder::new(LadderOptions {
        width: 60,
        ..LadderOptions::default()
    });
    let header = Header {
        label: crate::track::story::Label {
            kind: crate::track::story::Kind::Tcp,
            number: 1,
        },
        stream: None,
        client: SocketAddr::new(address, 41000).into(),
        server: SocketAddr::new(address, 5000).into(),
        interface: 0,
        programs: [None, None],
        states: None,
    };
    let mut out = Vec::new();
    ladder.write(&Item::Flow(header), &mut out).unwrap();
    assert_told(
        &String::from_utf8(out).unwrap(),
        "
-- C1 tcp [2001:db8:1111:2222:3333:4444:5555:6666]:41000 ---
--        → [2001:db8:1111:2222:3333:4444:5555:6666]:5000 --
",
    );
}
