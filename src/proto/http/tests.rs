//! Heads as a view sees them.

use super::*;
use crate::{
    layer::ProblemKind,
    proto::testing::{Seen, chain, seen as seen_as},
};

const CLAIM: Claim = Claim::Name("http");

fn seen(text: &str) -> Seen {
    seen_as(&PROTOCOL, CLAIM, text.as_bytes())
}

#[test]
fn a_request_shows_its_parts_in_their_order() {
    let seen = seen(
        "GET /ip?a=1&b HTTP/1.1\r\nhost: example.com\r\nX-Odd: 1\r\nCookie: a=b; c=d\r\n\r\nbody",
    );
    let expected = [
        ("http.request", "true"),
        ("http.request.method", "GET"),
        ("http.request.uri", "/ip?a=1&b"),
        ("http.request.uri.path", "/ip"),
        ("http.request.uri.query", "a=1&b"),
        ("http.request.uri.query.parameter", "a=1"),
        ("http.request.uri.query.parameter", "b"),
        ("http.request.version", "HTTP/1.1"),
        ("http.request.line", "host: example.com\\r\\n"),
        ("http.host", "example.com"),
        ("http.request.line", "X-Odd: 1\\r\\n"),
        ("http.request.line", "Cookie: a=b; c=d\\r\\n"),
        ("http.cookie", "a=b; c=d"),
        ("http.cookie_pair", "a=b"),
        ("http.cookie_pair", "c=d"),
        ("http.request.full_uri", "http://example.com/ip?a=1&b"),
    ];
    assert_eq!(seen.pairs(), expected);
    assert_eq!(
        (seen.line.as_str(), seen.problem()),
        (" →  GET /ip?a=1&b HTTP/1.1", None)
    );
    assert_eq!(
        (seen.next, seen.layer.end - seen.layer.header),
        (Next::Data, 4)
    );
}

#[test]
fn a_response_shows_its_code_and_the_length_of_its_body() {
    let seen = seen("HTTP/1.0 404 Nope\r\nContent-Length: 12\r\nServer: s\r\n\r\n");
    let expected = [
        ("http.response", "true"),
        ("http.response.version", "HTTP/1.0"),
        ("http.response.code", "404"),
        ("http.response.code.desc", "Not Found"),
        ("http.response.phrase", "Nope"),
        ("http.response.line", "Content-Length: 12\\r\\n"),
        ("http.content_length_header", "12"),
        ("http.content_length", "12"),
        ("http.response.line", "Server: s\\r\\n"),
        ("http.server", "s"),
    ];
    assert_eq!(seen.pairs(), expected);
    assert_eq!(seen.line, " →  HTTP/1.0 404 Nope");
}

#[test]
fn what_is_odd_or_wrong_is_told() {
    let problem = |fields: &str| seen(&format!("GET / HTTP/1.1\r\n{fields}\r\n")).problem();
    assert_eq!(problem("A: b\r\n"), None);
    for odd in [
        "A: b\n",
        "A: b\r\n c\r\n",
        "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n",
    ] {
        assert_eq!(problem(odd), Some(ProblemKind::Odd), "{odd:?}");
    }
    for wrong in [
        "A\r\n",
        "Content-Length: 1\r\nContent-Length: 2\r\n",
        "Content-Length: x\r\n",
    ] {
        assert_eq!(problem(wrong), Some(ProblemKind::Malformed), "{wrong:?}");
    }
    let twice = seen("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n");
    assert_eq!(
        (twice.all("http.host"), twice.noticed.len()),
        (vec!["a"], 1)
    );
}

#[test]
fn a_full_uri_is_put_together_where_the_target_has_no_host() {
    let full = |line: &str| {
        let seen = seen(&format!("{line} HTTP/1.1\r\nHost: h\r\n\r\n"));
        seen.all("http.request.full_uri").concat()
    };
    assert_eq!(full("GET /a"), "http://h/a");
    assert_eq!(full("GET http://other/a"), "http://other/a");
    assert_eq!(full("CONNECT h:443"), "h:443");
    assert_eq!(full(&format!("GET /{}", "a".repeat(LONGEST_URI))), "");
}

#[test]
fn no_control_character_of_a_head_is_shown_as_it_is() {
    let seen = seen("GET /\x1b[31m HTTP/1.1\r\nHost: \u{202e}x\r\n\r\n");
    assert_eq!(seen.line, " →  GET /\\x1b[31m HTTP/1.1");
}

#[test]
fn cut_anywhere_is_no_fault_and_what_is_no_head_is_left_alone() {
    let head = "HTTP/1.1 200 OK\r\nServer: s\r\n\r\n";
    for len in 1..head.len() {
        let cut = chain(&[(&PROTOCOL, CLAIM)], &head.as_bytes()[..len], head.len());
        assert_eq!(cut.problem(), Some(ProblemKind::Cut), "{len}");
    }
    for other in ["", "SSH-2.0-x\r\n", "\x16\x03\x01"] {
        assert_eq!(seen(other).next, Next::NotMine, "{other:?}");
    }
}
