//! How ladders look: folded and grouped, in ASCII and colour, with addresses of any length.

use super::*;

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
