//! Pictures of traces made by hand: golden texts, ties, and names that no picture may believe.
#![allow(clippy::unwrap_used)]

use std::{env, fs, path::Path};

use super::{Drawing, Picture};
use crate::{
    event::{Deed, Transport},
    export::{html::html, mermaid::mermaid, svg::svg, text::text, wellformed},
    render::ladder::{LadderOptions, width},
    text::is_unsafe,
    timeline::testing::{CLIENT, Log, Pair, SERVER},
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
    let options = LadderOptions {
        width: columns,
        calls: true,
        ..LadderOptions::default()
    };
    String::from_utf8(text(&picture.diagram, options).unwrap()).unwrap()
}

/// A connection, `hello` one way, `bye` the other after a while, and the close.
fn dialog() -> (Log, Pair) {
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
    let accept = log.enter(SERVER, Deed::Accept, pair.listener);
    log.wait(20_000_000);
    let _ = accept;
    (log, pair)
}

/// Compares with `golden/NAME`; `BLESS=1` rewrites it.
fn assert_golden(name: &str, text: &str) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/export/trace/golden");
    let path = folder.join(name);
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
    assert_pictures("dialog", &dialog().0);
}

#[test]
fn a_unix_socket_is_call_to_call() {
    let mut log = Log::local();
    log.process(100, None, 1, "client");
    log.process(200, None, 1, "server");
    let pair = [
        log.appears(1, Transport::Unix),
        log.appears(1, Transport::Unix),
    ];
    let _ = pair;
}
