//! Views of logs made by hand.
#![allow(clippy::unwrap_used)]

use std::{env, fs, path::Path};

use super::{
    lanes::{self, Lanes},
    lines::{self, Lines},
};
use crate::{
    event::{Deed, End, Event, Exit, SocketId},
    render::ladder::width,
    text::is_unsafe,
    time::Time,
    timeline::{
        Folding, Timeline,
        row::Row,
        testing::{CLIENT, Log, Pair, SERVER},
    },
};

pub(super) const ALL: Folding = Folding {
    idle: true,
    runs: true,
};

pub(super) fn rows(log: &Log, folding: Folding) -> Vec<Row> {
    let mut timeline = Timeline::new(folding);
    let mut rows = Vec::new();
    for entry in &log.entries {
        timeline.push(entry, &mut rows);
    }
    timeline.finish(&mut rows);
    rows
}

fn in_lines(rows: &[Row]) -> String {
    let mut lines = Lines::new(lines::Options::default());
    let mut out = String::new();
    for row in rows {
        lines.row(row, &mut out);
    }
    out
}

/// A connection, `hello` one way, `bye` the other, and the close.
pub(super) fn dialog() -> (Log, Pair) {
    let mut log = Log::local();
    let mut pair = log.pair();
    let recv = log.enter(SERVER, Deed::Receive, pair.server);
    let send = log.sends(CLIENT, pair.client, b"hello", None);
    pair.segment(&mut log, 0, "PA", b"hello");
    pair.segment(&mut log, 1, "A", b"");
    log.returns(send, Ok(5));
    log.received(recv, b"hello", None);
    log.wait(40_000_000);
    let recv = log.enter(CLIENT, Deed::Receive, pair.client);
    log.wait(25_000_000);
    let send = log.sends(SERVER, pair.server, b"bye", None);
    pair.segment(&mut log, 1, "PA", b"bye");
    pair.segment(&mut log, 0, "A", b"");
    log.returns(send, Ok(3));
    log.received(recv, b"bye", None);
    let close = log.enter(CLIENT, Deed::Close, pair.client);
    pair.segment(&mut log, 0, "FA", b"");
    pair.segment(&mut log, 1, "A", b"");
    log.returns(close, Ok(0));
    log.call(SERVER, Deed::Receive, pair.server, Ok(0));
    let close = log.enter(SERVER, Deed::Close, pair.server);
    pair.segment(&mut log, 1, "FA", b"");
    pair.segment(&mut log, 0, "A", b"");
    log.returns(close, Ok(0));
    (log, pair)
}

fn in_lanes(rows: &[Row], width: usize, ascii: bool) -> String {
    let mut lanes = Lanes::new(lanes::Options {
        width,
        ascii,
        colour: false,
    });
    let mut out = String::new();
    for row in rows {
        lanes.row(row, &mut out);
    }
    out
}

/// Compares with the text of `golden/NAME.txt`; `BLESS=1` rewrites it.
fn assert_golden(name: &str, text: &str) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/render/trace/golden");
    let path = folder.join(format!("{name}.txt"));
    if env::var_os("BLESS").is_some() {
        fs::create_dir_all(folder).unwrap();
        fs::write(path, text).unwrap();
        return;
    }
    let expected = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        text == expected,
        "{name} differs (BLESS=1 rewrites it):\n{text}"
    );
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
    assert_views("dialog", &dialog().0);
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
