//! Ladders of one capture point: what flows are told to do, and what is said of silence and loss.

use super::*;

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
