//! Ladders of a lab's wire: both ends' times and states, and what the wire did to packets.

use super::*;

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

/// It arrives after a second, and is answered.
fn the_next_syn(show: &mut Show) {
    show.sent(1_000_000, "> SYN seq=9").got(1_010_000, 2);
    show.sent(1_010_010, "< SYN seq=70 ack=10");
}

#[test]
fn the_wire_says_what_it_dropped() {
    let mut show = lab(LadderOptions::default());
    show.sent(0, "> SYN seq=9");
    show.story.dropped(1, "first SYN", &mut show.items);
    the_next_syn(&mut show);
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
    the_next_syn(&mut show);
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
