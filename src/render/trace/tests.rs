//! Views of logs made by hand.
#![allow(clippy::unwrap_used)]

mod remarks;

use super::{Look, lanes::Lanes, lines::Lines, summary, why};
use crate::{
    call::{Address, Data},
    event::{
        Arg, Deed, End, Enter, Entry, Event, Exit, Net, Note, Part, Return, Socket, SocketId,
        Transport, Way,
    },
    render::ladder::width,
    text::is_unsafe,
    time::Time,
    timeline::{
        Folding, Timeline,
        row::Row,
        summary::Summary,
        testing::{CLIENT, Log, Pair, SERVER, Tcp, dialog, segment},
        tests::assert_golden as assert_golden_file,
        why::{About, Why},
    },
};

const PLAIN: Look = Look {
    width: 80,
    ascii: false,
    colour: false,
};

pub(super) const ALL: Folding = Folding {
    idle: true,
    runs: true,
};

pub(super) fn rows(log: &Log, folding: Folding) -> Vec<Row> {
    let mut timeline = Timeline::passing(folding);
    let mut rows = Vec::new();
    for entry in &log.entries {
        timeline.push(entry, &mut rows);
    }
    timeline.finish(&mut rows);
    rows
}

fn in_lines(rows: &[Row]) -> String {
    let mut lines = Lines::new(PLAIN);
    let mut out = String::new();
    for row in rows {
        lines.row(row, &mut out);
    }
    out
}

fn in_lanes(rows: &[Row], width: usize, ascii: bool) -> String {
    let mut lanes = Lanes::new(Look {
        width,
        ascii,
        ..PLAIN
    });
    let mut out = String::new();
    for row in rows {
        lanes.row(row, &mut out);
    }
    out
}

fn assert_golden(name: &str, text: &str) {
    assert_golden_file(&format!("src/render/trace/golden/{name}.txt"), text);
}

/// All views of a log, each against its golden text; every line of the lanes fits.
fn assert_views(name: &str, log: &Log) {
    let rows = rows(log, ALL);
    assert_golden(&format!("{name}.lines"), &in_lines(&rows));
    for columns in [60, 80, 120] {
        let text = in_lanes(&rows, columns, false);
        assert_fits(&text, columns);
        assert_golden(&format!("{name}.lanes-{columns}"), &text);
    }
    let text = in_lanes(&rows, 80, true);
    assert!(text.is_ascii());
    assert_fits(&text, 80);
    assert_golden(&format!("{name}.lanes-ascii"), &text);
    for columns in [40, 60] {
        assert_fits(&in_sums_of(log, columns), columns);
    }
    let text = in_sums(log);
    assert_fits(&text, 80);
    assert_golden(&format!("{name}.summary"), &text);
}

fn in_sums(log: &Log) -> String {
    in_sums_of(log, 80)
}

fn in_sums_of(log: &Log, columns: usize) -> String {
    let mut summary = Summary::default();
    for entry in &log.entries {
        summary.push(entry);
    }
    let mut out = String::new();
    let look = Look {
        width: columns,
        ..PLAIN
    };
    summary::write(&summary.finish(), look, &mut out);
    out
}

/// What there is to say of a packet or a call.
fn told(log: &Log, about: About) -> Option<String> {
    let mut why = Why::new(about);
    for entry in &log.entries {
        why.push(entry);
    }
    let mut out = String::new();
    why::write(&why.finish()?, PLAIN, &mut out);
    assert_fits(&out, 80);
    Some(out)
}

/// All packets and calls of a log, each explained.
fn assert_explained(name: &str, log: &Log, packets: u64, calls: u64) {
    let packets = (1..=packets).map(About::Packet);
    let all = packets.chain((1..=calls).map(About::Call));
    let text: String = all.map(|about| told(log, about).unwrap()).collect();
    assert_golden(&format!("{name}.why"), &text);
}

fn assert_fits(text: &str, columns: usize) {
    for line in text.lines() {
        assert!(width(line) <= columns, "{columns}: {line}");
        assert!(!line.chars().any(is_unsafe), "{line:?}");
        assert_eq!(line.trim_end(), line);
    }
}

/// Data from the client to the server, in pieces that fill the buffers now and then.
fn bulk(log: &mut Log, pair: &mut Pair, pieces: usize) {
    let data = [b'x'; 1000];
    for n in 0..pieces {
        let send = log.sends(CLIENT, pair.client, &data, None);
        pair.segment(log, 0, "A", &data);
        let recv = log.enter(SERVER, Deed::Receive, pair.server);
        log.received(recv, &data, None);
        pair.segment(log, 1, "A", b"");
        if n % 50 == 49 {
            log.wait(30_000_000);
        }
        log.returns(send, Ok(1000));
    }
}

/// A call that would have to wait.
fn again(log: &mut Log, socket: SocketId, times: usize) {
    for _ in 0..times {
        log.call(SERVER, Deed::Receive, socket, Err(11));
    }
}

#[test]
fn a_dialog() {
    let (log, _) = dialog();
    assert_views("dialog", &log);
    assert_explained("dialog", &log, 11, 10);
    assert_eq!(told(&log, About::Packet(12)), None);
    assert_eq!(told(&log, About::Call(11)), None);
}

/// Two small messages: the second waits for the acknowledgment of the first, which comes late.
#[test]
fn nagle_and_a_delayed_acknowledgment() {
    let mut log = Log::local();
    let mut pair = log.pair();
    let first = log.sends(CLIENT, pair.client, b"head", None);
    pair.segment(&mut log, 0, "PA", b"head");
    log.returns(first, Ok(4));
    log.recv(SERVER, pair.server, b"head");
    let recv = log.enter(SERVER, Deed::Receive, pair.server);
    log.send(CLIENT, pair.client, b"body");
    let wait = log.enter(CLIENT, Deed::Receive, pair.client);
    log.wait(40_000_000);
    pair.segment(&mut log, 1, "A", b"");
    pair.segment(&mut log, 0, "PA", b"body");
    log.received(recv, b"body", None);
    let send = log.sends(SERVER, pair.server, b"done", None);
    pair.segment(&mut log, 1, "PA", b"done");
    log.returns(send, Ok(4));
    log.received(wait, b"done", None);
    assert_views("nagle", &log);
    let sums = in_sums(&log);
    assert!(
        sums.contains("Nagle: packet 6 (4 bytes of call 7) was held 40"),
        "{sums}"
    );
    assert!(
        sums.contains("delayed ACK: packet 5 acknowledges packet 4 after 40"),
        "{sums}"
    );
    let is_told = |about| told(&log, about).unwrap().contains("Nagle: packet 6");
    assert!(is_told(About::Packet(6)) && is_told(About::Packet(5)) && is_told(About::Call(7)));
    assert!(!is_told(About::Packet(4)) && !is_told(About::Call(5)));
}

#[test]
fn a_slow_call_in_an_endless_loop_waits_for_nothing() {
    let mut log = Log::local();
    let pair = log.pair();
    for _ in 0..20 {
        log.call(SERVER, Deed::Receive, pair.server, Ok(0));
    }
    let slow = log.enter(SERVER, Deed::Receive, pair.server);
    log.wait(20_000_000);
    log.returns(slow, Ok(0));
    log.call(SERVER, Deed::Close, pair.server, Ok(0));
    let text = in_lanes(&rows(&log, ALL), 80, false);
    assert!(text.contains("= 0 20 times"), "{text}");
    assert!(!text.contains("… recv"), "{text}");
    let sums = in_sums(&log).replace("\n    ", " ");
    assert!(sums.contains("20 receives after the end"), "{sums}");
    let spent = "0.01 ms receiving or waiting for data, 20.20 ms in receives that got nothing";
    assert!(sums.contains(spent), "{sums}");
}

#[test]
fn the_time_of_a_socket_with_two_conversations_is_told_once() {
    let mut log = Log::local();
    log.process(100, None, 1, "asks");
    log.process(200, None, 1, "answers");
    let server = log.appears(1, Transport::Udp);
    log.call(SERVER, Deed::Bind, server, Ok(0));
    log.addresses(server, "127.0.0.1:5353", None);
    for from in ["127.0.0.1:40000", "127.0.0.1:40001"] {
        let client = log.appears(1, Transport::Udp);
        let wait = log.enter(SERVER, Deed::Receive, server);
        let asks = log.sends(CLIENT, client, b"?", Some("127.0.0.1:5353"));
        log.addresses(client, from, None);
        log.datagram(Way::Loop, from, "127.0.0.1:5353", b"?");
        log.returns(asks, Ok(1));
        log.received(wait, b"?", Some(from));
    }
    let sums = in_sums(&log);
    assert_eq!(sums.matches("receiving or waiting").count(), 1, "{sums}");
    let see = "where the time of its socket went: see U1 udp";
    assert_eq!(sums.matches(see).count(), 1, "{sums}");
}

/// The same two messages, each acknowledged at once: nothing is found.
#[test]
fn nothing_is_found_where_nothing_waits() {
    let (log, _) = dialog();
    let sums = in_sums(&log);
    assert!(
        !sums.contains("Nagle") && !sums.contains("delayed"),
        "{sums}"
    );
}

/// 20 ms of wire, the first SYN is lost.
#[test]
fn a_lab_tells_when_packets_left_and_arrived() {
    const ENDS: [&str; 2] = ["10.0.0.1:40000", "10.0.0.2:5000"];
    let mut log = Log::lab();
    let cross = |log: &mut Log, from: usize, tcp: Tcp<'_>| {
        let packet = log.segment(Way::Wire, ENDS[from], ENDS[1 - from], tcp);
        log.wait(20_000_000);
        log.arrives(packet, false);
    };
    log.process(100, None, 1, "client");
    log.process(200, None, 2, "server");
    let listener = log.listener(SERVER, 2, "10.0.0.2:5000");
    let accept = log.enter(SERVER, Deed::Accept, listener);
    let client = log.appears(1, Transport::Tcp);
    let connect = log.connects(CLIENT, client, ENDS[1]);
    let [from, to] = ENDS.map(|end| end.parse().unwrap());
    let syn = segment(from, to, Tcp::new("S", 1000, 0, b""));
    log.packet(Way::Wire, syn, Some("rule first-syn"));
    log.wait(1_000_000_000);
    cross(&mut log, 0, Tcp::new("S", 1000, 0, b""));
    cross(&mut log, 1, Tcp::new("SA", 5000, 1001, b""));
    log.addresses(client, ENDS[0], Some(ENDS[1]));
    log.returns(connect, Ok(0));
    cross(&mut log, 0, Tcp::new("A", 1001, 5001, b""));
    let server = log.accepted(accept, 2, ENDS[1], ENDS[0]);
    let recv = log.enter(SERVER, Deed::Receive, server);
    log.send(CLIENT, client, b"hello");
    let packet = log.segment(
        Way::Wire,
        ENDS[0],
        ENDS[1],
        Tcp::new("PA", 1001, 5001, b"hello"),
    );
    log.arrives(packet, false);
    log.received(recv, b"hello", None);
    log.arrives(packet, true);
    assert_views("lab", &log);
    assert_explained("lab", &log, 5, 5);
}

#[test]
fn a_refused_connection_and_a_peer_that_is_not_traced() {
    let mut log = Log::local();
    log.process(100, None, 1, "client");
    let client = log.appears(1, Transport::Tcp);
    let connect = log.connects(CLIENT, client, "10.0.0.2:5000");
    let ends = ["10.0.0.1:40000", "10.0.0.2:5000"];
    log.segment(Way::Loop, ends[0], ends[1], Tcp::new("S", 1000, 0, b""));
    log.segment(Way::Loop, ends[1], ends[0], Tcp::new("RA", 0, 1001, b""));
    log.addresses(client, ends[0], None);
    log.returns(connect, Err(111));
    log.call(CLIENT, Deed::Close, client, Ok(0));
    let client = log.appears(1, Transport::Tcp);
    let ends = ["10.0.0.1:40001", "10.0.0.9:80"];
    let connect = log.connects(CLIENT, client, ends[1]);
    log.segment(Way::Out, ends[0], ends[1], Tcp::new("S", 1000, 0, b""));
    log.segment(Way::In, ends[1], ends[0], Tcp::new("SA", 7000, 1001, b""));
    log.segment(Way::Out, ends[0], ends[1], Tcp::new("A", 1001, 7001, b""));
    log.addresses(client, ends[0], Some(ends[1]));
    log.returns(connect, Ok(0));
    let send = log.sends(CLIENT, client, b"GET / HTTP/1.0\r\n\r\n", None);
    log.segment(
        Way::Out,
        ends[0],
        ends[1],
        Tcp::new("PA", 1001, 7001, b"GET / HTTP/1.0\r\n\r\n"),
    );
    log.returns(send, Ok(18));
    log.segment(Way::In, ends[1], ends[0], Tcp::new("RA", 7001, 1019, b""));
    let recv = log.enter(CLIENT, Deed::Receive, client);
    log.returns(recv, Err(104));
    assert_views("refused", &log);
    assert_explained("refused", &log, 7, 5);
}

#[test]
fn datagrams_and_unix_sockets() {
    let mut log = Log::local();
    log.process(100, None, 1, "client");
    log.process(200, None, 1, "server");
    let server = log.appears(1, Transport::Udp);
    log.addresses(server, "127.0.0.1:5000", None);
    log.call(SERVER, Deed::Bind, server, Ok(0));
    let recv = log.enter(SERVER, Deed::Receive, server);
    let client = log.appears(1, Transport::Udp);
    let send = log.sends(CLIENT, client, b"ping", Some("127.0.0.1:5000"));
    log.datagram(Way::Loop, "127.0.0.1:40000", "127.0.0.1:5000", b"ping");
    log.addresses(client, "0.0.0.0:40000", None);
    log.returns(send, Ok(4));
    log.received(recv, b"ping", Some("127.0.0.1:40000"));
    let send = log.sends(SERVER, server, b"pong", Some("127.0.0.1:40000"));
    log.datagram(Way::Loop, "127.0.0.1:5000", "127.0.0.1:40000", b"pong");
    log.returns(send, Ok(4));
    let recv = log.enter(CLIENT, Deed::Receive, client);
    log.received(recv, b"pong", Some("127.0.0.1:5000"));
    unix(&mut log);
    assert_views("datagrams", &log);
    assert_explained("datagrams", &log, 2, 11);
}

/// A connection over a Unix socket.
fn unix(log: &mut Log) {
    let name = Address::Path("/run/a socket".into());
    let socket = |id, local: Option<&Address>, peer: Option<&Address>| {
        Event::Socket(Socket {
            id,
            net: 1,
            family: "AF_UNIX".into(),
            kind: "SOCK_STREAM".into(),
            transport: Transport::Unix,
            local: local.cloned(),
            peer: peer.cloned(),
            before: None,
            queued: None,
        })
    };
    let (listener, client, server) = (50, 51, 52);
    log.tell(socket(listener, Some(&name), None));
    log.call(SERVER, Deed::Listen, listener, Ok(0));
    let accept = log.enter(SERVER, Deed::Accept, listener);
    log.tell(socket(client, None, None));
    let connect = log.enters(Enter {
        call: 0,
        by: CLIENT,
        name: "connect".into(),
        deed: Deed::Connect,
        socket: Some(client),
        closes: Vec::new(),
        args: vec![Arg::Fd(7), Arg::Address(Some(name.clone()))],
        parts: Vec::new(),
        waited: false,
    });
    log.tell(socket(client, Some(&Address::Unnamed), Some(&name)));
    log.returns(connect, Ok(0));
    log.tell(socket(server, Some(&name), Some(&Address::Unnamed)));
    log.returned(Return {
        call: accept,
        result: Ok(9),
        moved: 0,
        opened: Some(server),
        out: Vec::new(),
        parts: Vec::new(),
    });
    log.send(CLIENT, client, b"hi");
    log.recv(SERVER, server, b"hi");
    log.call(CLIENT, Deed::Close, client, Ok(0));
    log.call(SERVER, Deed::Close, server, Ok(0));
}

#[test]
fn what_comes_from_programs_is_made_safe() {
    let evil = "\u{1b}[2J\u{202e}a\nb\u{7}漢字漢字漢字漢字漢字";
    let mut log = Log::local();
    log.process(100, None, 1, evil);
    let mut pair = log.pair();
    log.exec(100, evil);
    log.tell(Event::Note(Note {
        process: Some(100),
        text: evil.repeat(9),
    }));
    log.tell(Event::Net(Net {
        id: 9,
        host: Some(evil.into()),
        unseen: Some(evil.into()),
    }));
    let data = evil.repeat(3);
    log.enters(Enter {
        call: 0,
        by: CLIENT,
        name: evil.into(),
        deed: Deed::Send,
        socket: Some(pair.client),
        closes: Vec::new(),
        args: vec![Arg::Text(evil.into()), Arg::Word(evil.into()), Arg::Data(0)],
        parts: vec![Part {
            data: Data::of(data.as_bytes()),
            address: Some(Address::Path(evil.into())),
        }],
        waited: false,
    });
    pair.segment(&mut log, 0, "PA", data.as_bytes());
    log.packet(Way::Wire, vec![0x45; 40], Some(evil));
    log.tell(Event::Exit(Exit {
        process: 100,
        status: Ok(-1),
    }));
    assert_views("hostile", &log);
    assert_explained("hostile", &log, 5, 4);
}

/// Entries in any order, with any numbers: nothing panics, and every row fits.
#[test]
fn any_log_can_be_shown() {
    let (log, mut pair) = dialog();
    let mut other = Log::local();
    unix(&mut other);
    bulk(&mut other, &mut pair, 40);
    let mut entries: Vec<Entry> = log.entries.iter().chain(&other.entries).cloned().collect();
    let mut chance = 1_u64;
    let mut below = |n: usize| {
        chance = chance
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (chance >> 33) as usize % n
    };
    for _ in 0..5 {
        let mut log = Log::local();
        for _ in 0..200 {
            let (a, b) = (below(entries.len()), below(entries.len()));
            entries.swap(a, b);
            let at = entries[a].at;
            entries[b].at = match below(20) {
                0 => Time::MAX,
                1 => Time::from_nanos(i64::MIN),
                2 => at,
                _ => at.plus(below(1_000_000_000) as i64),
            };
        }
        log.entries.clone_from(&entries);
        let rows = rows(&log, ALL);
        for columns in [0, 60, 61, 80, 133, 1000] {
            let text = in_lanes(&rows, columns, false);
            assert_fits(&text, columns.clamp(60, 160));
        }
        in_lines(&rows);
        in_sums(&log);
        for n in 1..4 {
            told(&log, About::Packet(n));
            told(&log, About::Call(n));
        }
    }
}

#[test]
fn calls_that_do_not_get_on() {
    let mut log = Log::local();
    let mut pair = log.pair();
    again(&mut log, pair.server, 12);
    pair.segment(&mut log, 0, "PA", b"x");
    log.recv(SERVER, pair.server, b"x");
    // A loop that polls without a pause for two seconds and a half.
    again(&mut log, pair.server, 125_000);
    pair.segment(&mut log, 0, "FA", b"");
    // The end of the stream, which the program does not see.
    for _ in 0..30_000 {
        log.call(SERVER, Deed::Receive, pair.server, Ok(0));
    }
    log.call(SERVER, Deed::Close, pair.server, Ok(0));
    log.tell(Event::Exit(Exit {
        process: SERVER.process,
        status: Err(9),
    }));
    log.tell(Event::End(End {
        calls: 160_000,
        seen: 6,
        kept: 6,
        ..End::default()
    }));
    assert_views("loops", &log);
}

#[test]
fn a_bulk_transfer_stays_readable() {
    let mut log = Log::local();
    let mut pair = log.pair();
    bulk(&mut log, &mut pair, 200);
    let seq = pair.next[0].wrapping_sub(1000);
    pair.again(&mut log, 0, "A", seq, &[b'x'; 1000]);
    bulk(&mut log, &mut pair, 30);
    pair.segment(&mut log, 0, "FA", b"");
    assert_views("bulk", &log);
}

/// Rows as they come when the view is told every few microseconds that nothing more is to come.
fn rows_told_early(log: &Log, step: i64) -> Vec<Row> {
    let mut timeline = Timeline::new(ALL);
    let mut rows = Vec::new();
    let mut now = log.entries[0].at;
    for entry in &log.entries {
        while now.plus(step) < entry.at {
            now = now.plus(step);
            timeline.quiet(now, &mut rows);
        }
        timeline.quiet(entry.at, &mut rows);
        timeline.push(entry, &mut rows);
        timeline.quiet(entry.at, &mut rows);
    }
    timeline.quiet(Time::MAX, &mut rows);
    timeline.finish(&mut rows);
    rows
}

#[test]
fn to_be_told_early_changes_nothing() {
    let (mut log, mut pair) = dialog();
    bulk(&mut log, &mut pair, 120);
    again(&mut log, pair.server, 3_000);
    log.wait(2_500_000_000);
    again(&mut log, pair.server, 3);
    log.wait(9_990_000);
    log.recv(SERVER, pair.server, b"late");
    log.wait(9_980_000);
    log.send(CLIENT, pair.client, b"last");
    log.tell(Event::End(End::default()));
    let once = rows(&log, ALL);
    for step in [7_001, 1_000_003, 300_000_000] {
        assert_eq!(rows_told_early(&log, step), once, "{step}");
    }
    assert!(once.is_sorted_by_key(|row| row.at));
}

/// Rows go as they come, and so do the ties that no row will need.
#[test]
fn a_long_log_leaves_nothing_behind() {
    let mut log = Log::local();
    let mut pair = log.pair();
    let mut timeline = Timeline::passing(ALL);
    let mut rows = Vec::new();
    let mut held = 0;
    for _ in 0..800 {
        bulk(&mut log, &mut pair, 50);
        for entry in log.entries.drain(..) {
            timeline.push(&entry, &mut rows);
        }
        held = held.max(rows.len());
        rows.clear();
    }
    assert!(held < 100, "{held} rows of forty thousand transfers");
    let known = |packet: u64| timeline.join().packet(packet).is_some();
    assert!(known(80_000) && known(20_000) && !known(10_000) && !known(1));
}
