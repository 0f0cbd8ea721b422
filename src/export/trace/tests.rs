//! Pictures of traces made by hand: golden texts, ties, and names that no picture may believe.
#![allow(clippy::unwrap_used)]

use super::{Drawing, Picture};
use crate::{
    call::Address,
    event::{Arg, Deed, Enter, Event, Note, Return, Socket, Transport, Way},
    export::{html::html, mermaid::mermaid, svg::svg, text::text, wellformed},
    render::ladder::{LadderOptions, width},
    text::is_unsafe,
    timeline::testing::{self, CLIENT, Log, Pair, SERVER, Tcp, at, caller},
    timeline::tests::assert_golden as assert_golden_file,
};

fn picture(log: &Log) -> Picture {
    let mut drawing = Drawing::new(2000, true);
    for entry in &log.entries {
        drawing.push(entry);
    }
    drawing.finish()
}

/// The ladder in text.
fn ladder(picture: &Picture, columns: usize) -> String {
    ladder_in(picture, columns, false)
}

fn ladder_in(picture: &Picture, columns: usize, ascii: bool) -> String {
    let options = LadderOptions {
        width: columns,
        ascii,
        calls: true,
        ..LadderOptions::default()
    };
    String::from_utf8(text(&picture.diagram, options).unwrap()).unwrap()
}

/// The dialog, and a listener that waits on.
fn dialog() -> Log {
    let (mut log, pair) = testing::dialog();
    log.enter(SERVER, Deed::Accept, pair.listener);
    log.wait(20_000_000);
    log
}

fn assert_golden(name: &str, text: &str) {
    assert_golden_file(&format!("src/export/trace/golden/{name}"), text);
}

/// All forms of a log's picture, each against its golden text.
fn assert_pictures(name: &str, log: &Log) {
    let picture = picture(log);
    for columns in [60, 80, 120] {
        let text = ladder(&picture, columns);
        for line in text.lines() {
            assert!(width(line) <= columns, "{columns}: {line}");
            assert!(!line.chars().any(is_unsafe), "{line:?}");
            assert_eq!(line.trim_end(), line);
        }
        assert_golden(&format!("{name}-{columns}.txt"), &text);
    }
    let drawn = svg(&picture.diagram);
    wellformed::check(&drawn);
    assert_golden(&format!("{name}.svg"), &drawn);
    wellformed::check(&html(&picture.diagram, &picture.details));
    assert_golden(&format!("{name}.mmd"), &mermaid(&picture.diagram));
}

#[test]
fn a_dialog() {
    assert_pictures("dialog", &dialog());
}

#[test]
fn a_packet_lights_up_with_its_calls() {
    let picture = picture(&dialog());
    let (drawn, page) = (
        svg(&picture.diagram),
        html(&picture.diagram, &picture.details),
    );
    // Both write a part into a line, with its classes first and then its title.
    let lit = |page: &str, class: &str| {
        let parts = page.lines().filter_map(|line| {
            let (_, part) = line
                .split_once("<g class=\"")
                .or_else(|| line.split_once("<svg class=\""))?;
            let (classes, part) = part.split_once('"')?;
            let (_, title) = part.split_once(": ")?;
            let is_lit = classes.split(' ').any(|known| known == class);
            is_lit.then(|| title.split(['(', '=', ';', '<']).next().unwrap().to_owned())
        });
        parts.collect::<Vec<_>>()
    };
    for page in [&drawn, &page] {
        let handshake = ["#3 connect", "SYN seq", "#3 connect returned ", "#2 accept"];
        assert_eq!(lit(page, "p1"), handshake);
        assert_eq!(lit(page, "p4"), ["#5 send", "5 bytes seq", "#4 recv"]);
        // An acknowledgment is the kernel's.
        assert_eq!(lit(page, "p5"), [""; 0]);
    }
    assert!(
        drawn.contains("svg:has(.p4:is(:hover,:focus)) .p4 .tie"),
        "{drawn}"
    );
    assert!(!drawn.contains(".p5:is"), "{drawn}");
}

/// A Unix socket; a name where it is bound.
fn unix(log: &mut Log, kind: &'static str, id: u32, name: Option<&str>) -> u32 {
    log.tell(Event::Socket(Socket {
        id,
        net: 1,
        family: "AF_UNIX".into(),
        kind: kind.into(),
        transport: Transport::Unix,
        local: name.map(|name| Address::Path(name.into())),
        peer: None,
        before: None,
        queued: None,
    }));
    id
}

/// `connect` to a path, and the `accept` that takes it.
fn unix_pair(log: &mut Log, name: &str) -> [u32; 2] {
    log.process(100, None, 1, "client");
    log.process(200, None, 1, "server");
    let listener = unix(log, "SOCK_STREAM", 1, Some(name));
    log.call(SERVER, Deed::Listen, listener, Ok(0));
    let accept = log.enter(SERVER, Deed::Accept, listener);
    log.wait(30_000_000);
    let client = unix(log, "SOCK_STREAM", 2, None);
    let connect = log.enters(Enter {
        call: 0,
        by: CLIENT,
        name: "connect".into(),
        deed: Deed::Connect,
        socket: Some(client),
        closes: Vec::new(),
        args: vec![Arg::Fd(3), Arg::Address(Some(Address::Path(name.into())))],
        parts: Vec::new(),
        waited: false,
    });
    log.returns(connect, Ok(0));
    let server = unix(log, "SOCK_STREAM", 3, Some(name));
    log.returned(Return {
        call: accept,
        result: Ok(5),
        moved: 0,
        opened: Some(server),
        out: Vec::new(),
        parts: Vec::new(),
    });
    [client, server]
}

#[test]
fn unix_sockets_give_data_from_call_to_call() {
    let mut log = Log::local();
    let [client, server] = unix_pair(&mut log, "/tmp/chat");
    log.send(CLIENT, client, b"ab");
    log.send(CLIENT, client, b"cdef");
    log.recv(SERVER, server, b"abcd");
    // It returns later than its data is received.
    let slow = log.sends(SERVER, server, b"answer", None);
    log.recv(CLIENT, client, b"answer");
    log.wait(30_000_000);
    log.returns(slow, Ok(6));
    log.recv(SERVER, server, b"ef");
    log.call(CLIENT, Deed::Close, client, Ok(0));
    assert_pictures("unix", &log);
}

#[test]
fn a_wire_that_loses_and_doubles() {
    let mut log = Log::lab();
    log.process(100, None, 1, "client");
    log.process(200, None, 2, "server");
    log.listener(SERVER, 2, "10.0.0.2:5000");
    let accept = log.enter(SERVER, Deed::Accept, 1);
    let client = log.appears(1, Transport::Tcp);
    let connect = log.connects(CLIENT, client, "10.0.0.2:5000");
    let (a, b) = ("10.0.0.1:40000", "10.0.0.2:5000");
    let segment = |log: &mut Log, side: usize, tcp: Tcp<'_>, lost: Option<&str>| {
        let ends = [[a, b], [b, a]][side].map(at);
        let number = log.packet(Way::Wire, testing::segment(ends[0], ends[1], tcp), lost);
        log.wait(20_000_000);
        number
    };
    segment(&mut log, 0, Tcp::new("S", 1000, 0, b""), Some("first-syn"));
    log.wait(980_000_000);
    let syn = segment(&mut log, 0, Tcp::new("S", 1000, 0, b""), None);
    log.arrives(syn, false);
    let syn_ack = segment(&mut log, 1, Tcp::new("SA", 5000, 1001, b""), None);
    log.arrives(syn_ack, false);
    log.addresses(client, a, Some(b));
    log.returns(connect, Ok(0));
    let ack = segment(&mut log, 0, Tcp::new("A", 1001, 5001, b""), None);
    log.arrives(ack, false);
    let server = log.accepted(accept, 2, b, a);
    let recv = log.enter(SERVER, Deed::Receive, server);
    log.send(CLIENT, client, b"hello");
    let data = segment(&mut log, 0, Tcp::new("PA", 1001, 5001, b"hello"), None);
    log.arrives(data, false);
    log.received(recv, b"hello", None);
    log.wait(1_000_000);
    log.arrives(data, true);
    assert_pictures("wire", &log);
}

#[test]
fn a_server_that_forks_shows_who_calls() {
    let mut log = Log::local();
    let mut pair = log.pair();
    log.process(201, Some(200), 1, "server");
    let child = caller(201);
    log.call(SERVER, Deed::Close, pair.server, Ok(0));
    let recv = log.enter(child, Deed::Receive, pair.server);
    log.send(CLIENT, pair.client, b"x");
    pair.segment(&mut log, 0, "PA", b"x");
    log.received(recv, b"x", None);
    // The first close does not close the connection, the last one does.
    log.call(child, Deed::Close, pair.server, Ok(0));
    pair.segment(&mut log, 1, "FA", b"");
    let picture = picture(&log);
    let text = ladder(&picture, 80);
    assert!(text.contains("#4 server[200]: close(5) = 0"), "{text}");
    assert!(text.contains("close #7 (last close)"), "{text}");
    assert_eq!(picture.diagram.notes, [""; 0]);
}

#[test]
fn datagrams_are_tied_by_their_order() {
    let mut log = Log::local();
    log.process(100, None, 1, "asks");
    log.process(200, None, 1, "answers");
    let server = log.appears(1, Transport::Udp);
    log.call(SERVER, Deed::Bind, server, Ok(0));
    log.addresses(server, "127.0.0.1:5353", None);
    let wait = log.enter(SERVER, Deed::Receive, server);
    log.wait(50_000_000);
    let client = log.appears(1, Transport::Udp);
    let asks = log.sends(CLIENT, client, b"?", Some("127.0.0.1:5353"));
    log.addresses(client, "127.0.0.1:40000", None);
    log.datagram(Way::Loop, "127.0.0.1:40000", "127.0.0.1:5353", b"?");
    log.returns(asks, Ok(1));
    log.received(wait, b"?", Some("127.0.0.1:40000"));
    let answers = log.sends(SERVER, server, b"!", Some("127.0.0.1:40000"));
    log.datagram(Way::Loop, "127.0.0.1:5353", "127.0.0.1:40000", b"!");
    log.returns(answers, Ok(1));
    let gets = log.enter(CLIENT, Deed::Receive, client);
    log.received(gets, b"!", Some("127.0.0.1:5353"));
    assert_pictures("udp", &log);
}

/// Data from the client in pieces, each sent and received at once.
fn bulk(log: &mut Log, pair: &mut Pair, pieces: usize) {
    for _ in 0..pieces {
        log.send(CLIENT, pair.client, &[b'x'; 1000]);
        pair.segment(log, 0, "A", &[b'x'; 1000]);
        log.recv(SERVER, pair.server, &[b'x'; 1000]);
    }
}

#[test]
fn long_runs_are_put_together() {
    let mut log = Log::local();
    let mut pair = log.pair();
    bulk(&mut log, &mut pair, 300);
    pair.segment(&mut log, 0, "FA", b"");
    assert_pictures("bulk", &log);
}

#[test]
fn a_ladder_of_long_names_fits_and_is_ascii_where_that_is_wanted() {
    let long = "/tmp/漢字".repeat(15);
    let mut local = Log::local();
    local.tell(Event::Note(Note {
        process: None,
        text: long.clone(),
    }));
    let mut pair = local.pair();
    bulk(&mut local, &mut pair, 300);
    unix_pair(&mut local, &long);
    // On a lab's wire both ends have their times.
    let mut lab = Log::lab();
    unix_pair(&mut lab, &long);
    let (client, server) = ("10.0.0.1:40000", "10.0.0.2:5000");
    let syn = testing::segment(at(client), at(server), Tcp::new("S", 1, 0, b""));
    let syn = lab.packet(Way::Wire, syn, None);
    lab.arrives(syn, false);
    for log in [local, lab] {
        let picture = picture(&log);
        for (columns, ascii) in [
            (60, false),
            (60, true),
            (80, false),
            (80, true),
            (200, true),
        ] {
            let text = ladder_in(&picture, columns, ascii);
            assert!(text.is_ascii() || !ascii, "{text}");
            for line in text.lines() {
                assert!(width(line) <= columns, "{columns}: {line}");
            }
        }
    }
}

#[test]
fn what_has_no_room_is_counted() {
    let mut log = Log::local();
    for n in 0..40 {
        log.process(100 + n, None, 1, "client");
        dialog_between(&mut log, n);
    }
    let mut drawing = Drawing::new(50, true);
    log.entries.iter().for_each(|entry| drawing.push(entry));
    let picture = drawing.finish();
    let drawn = picture.diagram.rows().count() + picture.diagram.calls().count();
    assert_eq!(drawn, 50);
    let rows = log
        .entries
        .iter()
        .filter(|entry| matches!(entry.event, Event::Packet(_) | Event::Enter(_)));
    let (all, left_out) = (rows.count() as u64, picture.diagram.left_out);
    assert!((all - 50..all).contains(&left_out), "{left_out} of {all}");
    for text in [
        svg(&picture.diagram),
        mermaid(&picture.diagram),
        ladder(&picture, 80),
    ] {
        let said = format!("{drawn} rows are drawn, {left_out} more are left out");
        assert!(text.contains(&said), "{said}\n{text}");
    }
}

/// A connection of its own process.
fn dialog_between(log: &mut Log, n: u32) {
    let by = caller(100 + n);
    let client = log.appears(1, Transport::Tcp);
    let connect = log.connects(by, client, "10.0.0.2:5000");
    let (own, to) = (format!("10.0.0.1:{}", 40_000 + n), "10.0.0.2:5000");
    log.segment(Way::Loop, &own, to, Tcp::new("S", 1, 0, b""));
    log.segment(Way::Loop, to, &own, Tcp::new("SA", 1, 2, b""));
    log.segment(Way::Loop, &own, to, Tcp::new("A", 2, 2, b""));
    log.addresses(client, &own, Some(to));
    log.returns(connect, Ok(0));
}

const HOSTILE: &str =
    "<script>alert(1)</script> ]]> --> \\' &amp; end;# \u{202e}\u{1b}[2J<a href=\"x\">";

#[test]
fn no_name_and_no_data_writes_markup() {
    let mut log = Log::local();
    log.interface(1, Some(1), HOSTILE);
    log.process(100, None, 1, HOSTILE);
    log.process(200, None, 1, "end");
    let [client, server] = unix_pair(&mut log, HOSTILE);
    log.process(100, None, 1, HOSTILE);
    log.send(CLIENT, client, HOSTILE.as_bytes());
    log.recv(SERVER, server, HOSTILE.as_bytes());
    log.enters(Enter {
        call: 0,
        by: CLIENT,
        name: HOSTILE.into(),
        deed: Deed::Option,
        socket: Some(client),
        closes: Vec::new(),
        args: vec![
            Arg::Word(HOSTILE.into()),
            Arg::Text(HOSTILE.into()),
            Arg::Memory(HOSTILE.into()),
        ],
        parts: Vec::new(),
        waited: false,
    });
    log.tell(Event::Note(Note {
        process: Some(100),
        text: HOSTILE.into(),
    }));
    log.packet(Way::Wire, vec![0x45], Some(HOSTILE));
    let mut pair = log.pair();
    let number = pair.next[0];
    log.packet(
        Way::Loop,
        testing::segment(
            at("10.0.0.1:40000"),
            at("10.0.0.2:5000"),
            Tcp::new("PA", number, 5001, HOSTILE.as_bytes()),
        ),
        Some(HOSTILE),
    );
    pair.segment(&mut log, 1, "A", b"");
    let picture = picture(&log);
    let pages = [
        svg(&picture.diagram),
        html(&picture.diagram, &picture.details),
    ];
    for (page, scripts) in pages.iter().zip([0, 1]) {
        wellformed::check(page);
        assert!(page.contains("&lt;script&gt;"), "{page}");
        // Of the page, its own; the policy lets no other one run.
        assert_eq!(page.matches("<script").count(), scripts, "{page}");
    }
    let words = [
        ladder(&picture, 60),
        ladder(&picture, 120),
        mermaid(&picture.diagram),
    ];
    for text in pages.iter().chain(&words) {
        assert!(!text.chars().any(|c| is_unsafe(c) && c != '\n'), "{text:?}");
    }
    for line in words[2].lines().skip(1) {
        let (escapes, ends) = (line.matches('#').count(), line.matches(';').count());
        assert_eq!(escapes, ends, "{line}");
        assert!(
            !line.replace("<br/>", "").contains(['<', '>', '"']) || line.contains(">>"),
            "{line}"
        );
    }
}

#[test]
fn a_trace_without_connections_says_so() {
    let mut log = Log::local();
    log.process(100, None, 1, "client");
    let socket = log.appears(1, Transport::Tcp);
    log.call(CLIENT, Deed::Bind, socket, Err(98));
    let picture = picture(&log);
    let notes = picture.diagram.notes.join("\n");
    assert!(notes.contains("no connection"), "{notes}");
    assert!(notes.contains("are left out: 1"), "{notes}");
    for text in [
        svg(&picture.diagram),
        html(&picture.diagram, &picture.details),
    ] {
        wellformed::check(&text);
        assert!(text.contains("no connection"), "{text}");
    }
    assert!(mermaid(&picture.diagram).contains("no connection"));
}

#[test]
fn calls_alone_are_drawn_where_no_packet_was_seen() {
    let mut log = Log::local();
    log.process(100, None, 1, "client");
    let client = log.appears(1, Transport::Tcp);
    let connect = log.connects(CLIENT, client, "10.0.0.2:5000");
    log.addresses(client, "10.0.0.1:40000", Some("10.0.0.2:5000"));
    log.returns(connect, Ok(0));
    log.send(CLIENT, client, b"hello");
    let text = ladder(&picture(&log), 80);
    assert!(text.contains("no packet of it was seen"), "{text}");
    assert!(
        text.contains("#1 connect(") && text.contains("#2 send("),
        "{text}"
    );
}
