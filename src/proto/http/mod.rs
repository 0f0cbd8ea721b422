//! Hypertext Transfer Protocol, versions 1.0 and 1.1: a start line, fields, an empty line, and then a body.
//!
//! Spec: RFC 9112 (messages), RFC 9110 (what they mean). `head.rs` reads the text.
//! Where a message begins, and how long its body is, depends on what was said before: tracking finds out, puts heads
//! together that lie in several segments, and hands over each with as much of its body as the segment has.

mod fields;
mod head;

use std::{
    fmt::{self, Display as _, Write as _},
    ops::{ControlFlow, Range},
};

pub use fields::*;
pub use head::{Beginning, Body, Head, Start, beginning, length};

use super::several;
use crate::{
    field::{Field, Value, Visit},
    layer::{Problem, View},
    line::Line,
    protocol::{Claim, Context, Dissected, Next, Protocol},
    text::Safe,
};

/// Bytes of a start line that the one-line form shows.
const SHOWN: usize = 160;
/// Bytes of a full URI; a longer one is not put together.
const LONGEST_URI: usize = 2048;

/// HTTP/1.
pub static PROTOCOL: Protocol = Protocol {
    name: "http",
    label: "HTTP",
    title: "Hypertext Transfer Protocol",
    spec: "RFC 9112",
    claims: &[
        Claim::Name("http"),
        Claim::StreamPort(80),
        Claim::StreamPort(631),
        Claim::StreamPort(1900),
        Claim::StreamPort(2710),
        Claim::StreamPort(2869),
        Claim::StreamPort(3128),
        Claim::StreamPort(3132),
        Claim::StreamPort(3689),
        Claim::StreamPort(5985),
        Claim::StreamPort(8080),
        Claim::StreamPort(8088),
        Claim::StreamPort(11371),
    ],
    fields: FIELDS,
    dissect,
    walk: Some(walk),
    line,
    addresses: None,
    craft: None,
};

fn dissect(bytes: &[u8], context: &Context<'_>) -> Dissected {
    if beginning(bytes) == Beginning::Other {
        return Dissected::new(0, Next::NotMine, context);
    }
    let Some(header) = length(bytes, 0) else {
        return Dissected::short(bytes, context, bytes.len() + 1);
    };
    let mut found = Dissected::new(header, Next::Data, context);
    found.problem = fault(&Head(&bytes[..header]));
    found
}

/// What is wrong with a head.
fn fault(head: &Head<'_>) -> Option<Problem> {
    let fields = || head.lines().skip(1).filter(|line| !line.text().is_empty());
    let folded = |line: &head::Line<'_>| matches!(line.text(), [b' ' | b'\t', ..]);
    if fields().any(|line| !folded(&line) && line.field().is_none()) {
        return Some(Problem::malformed("a line of the head has no colon"));
    }
    if fields().any(|line| folded(&line)) {
        let text = "a field goes on in a second line, which RFC 9112 forbids";
        return Some(Problem::odd(text));
    }
    let mut lengths = head.values("content-length");
    if let Some(first) = lengths.next() {
        if head::number(first).is_none() || lengths.any(|other| other != first) {
            return Some(Problem::malformed("the content length is no number"));
        }
        if head.values("transfer-encoding").next().is_some() {
            let text = "a length and a transfer encoding: readers may disagree where it ends";
            return Some(Problem::odd(text));
        }
    }
    let bare = head.lines().any(|line| line.is_bare());
    bare.then_some(Problem::odd("lines end with LF alone, not with CR LF"))
}

/// Shows parts of a head with their places.
struct Shower<'s, 'a> {
    view: &'s View<'a>,
    visit: &'s mut dyn Visit,
}

impl<'a> Shower<'_, 'a> {
    /// Where `part`, a part of the layer's bytes, lies.
    fn bits(&self, part: &[u8]) -> Range<u32> {
        let whole = self.view.bytes().as_ptr().addr();
        match part.as_ptr().addr().checked_sub(whole) {
            Some(at) if !part.is_empty() => self.view.bits(at, part.len()),
            _ => 0..0,
        }
    }

    fn text(&mut self, field: &'static Field, part: &'a [u8]) -> ControlFlow<()> {
        let bits = self.bits(part);
        self.visit.field(field, Value::Text(part), bits)
    }
}

fn walk(view: &View<'_>, visit: &mut dyn Visit) -> ControlFlow<()> {
    let head = Head(view.header());
    let Some(start) = head.start() else {
        return ControlFlow::Continue(());
    };
    let mut show = Shower { view, visit };
    let (is, line) = match start {
        Start::Request(..) => (&REQUEST, &REQUEST_LINE),
        Start::Response(..) => (&RESPONSE, &RESPONSE_LINE),
    };
    show.visit.field(is, Value::Bool(true), 0..0)?;
    match start {
        Start::Request(method, target, version) => {
            show.text(&REQUEST_METHOD, method)?;
            show.text(&REQUEST_URI, target)?;
            query(&mut show, target)?;
            show.text(&REQUEST_VERSION, version)?;
        }
        Start::Response(version, code, phrase) => {
            show.text(&RESPONSE_VERSION, version)?;
            let number = head::number(code).unwrap_or(0);
            let bits = show.bits(code);
            show.visit
                .field(&RESPONSE_CODE, Value::Uint(number), bits)?;
            if let Some((_, words)) = CODES.iter().find(|(code, _)| *code == number) {
                let words = Value::Text(words.as_bytes());
                show.visit.field(&CODE_DESC, words, 0..0)?;
            }
            if !phrase.is_empty() {
                show.text(&RESPONSE_PHRASE, phrase)?;
            }
        }
    }
    lines(&mut show, &head, line)?;
    if let Start::Request(method, target, _) = start {
        full_uri(&mut show, &head, method, target)?;
    }
    ControlFlow::Continue(())
}

fn query<'a>(show: &mut Shower<'_, 'a>, target: &'a [u8]) -> ControlFlow<()> {
    let Some(mark) = memchr::memchr(b'?', target) else {
        return ControlFlow::Continue(());
    };
    let (path, query) = (&target[..mark], &target[mark + 1..]);
    show.text(&URI_PATH, path)?;
    show.text(&URI_QUERY, query)?;
    for parameter in query.split(|b| *b == b'&') {
        show.text(&URI_PARAMETER, parameter)?;
    }
    ControlFlow::Continue(())
}

/// Every line behind the first, and what the known ones say.
fn lines<'a>(show: &mut Shower<'_, 'a>, head: &Head<'a>, field: &'static Field) -> ControlFlow<()> {
    let mut seen = 0_u64;
    for line in head.lines().skip(1).filter(|line| !line.text().is_empty()) {
        show.text(field, line.whole)?;
        let Some((name, value)) = line.field() else {
            continue;
        };
        let known = NAMED.iter().enumerate();
        let Some((index, &(_, named))) = known
            .into_iter()
            .find(|(_, (known, _))| name.eq_ignore_ascii_case(known.as_bytes()))
        else {
            continue;
        };
        let again = seen & 1 << index != 0;
        seen |= 1 << index;
        if again && !named.many {
            let text = "a field that stands once has several lines: the first is shown";
            show.visit.problem(Problem::odd(text));
            continue;
        }
        show.text(named, value)?;
        if named.is(&COOKIE) {
            for pair in value.split(|b| *b == b';') {
                show.text(&COOKIE_PAIR, pair.trim_ascii())?;
            }
        }
        if let Some(length) = head::number(value).filter(|_| named.is(&CONTENT_LENGTH_HEADER)) {
            let bits = show.bits(value);
            show.visit
                .field(&CONTENT_LENGTH, Value::Uint(length), bits)?;
        }
    }
    ControlFlow::Continue(())
}

/// The target with its host, where it has none of its own (RFC 9112 §3.3).
fn full_uri(
    show: &mut Shower<'_, '_>,
    head: &Head<'_>,
    method: &[u8],
    target: &[u8],
) -> ControlFlow<()> {
    let Some(host) = head.values("host").next() else {
        return ControlFlow::Continue(());
    };
    let absolute = [b"http://".as_slice(), b"https://"];
    let alone = method == b"CONNECT" || absolute.iter().any(|start| target.starts_with(start));
    let parts = match alone {
        true => [b"".as_slice(), b"", target],
        false => [b"http://".as_slice(), host, target],
    };
    let mut uri = [0; LONGEST_URI];
    let mut len = 0;
    for part in parts {
        let Some(place) = uri.get_mut(len..len + part.len()) else {
            return ControlFlow::Continue(());
        };
        place.copy_from_slice(part);
        len += part.len();
    }
    show.visit.field(&FULL_URI, Value::Text(&uri[..len]), 0..0)
}

fn line(view: &View<'_>, line: &mut Line) {
    several::line(view, start_line, line);
}

fn start_line(view: &View<'_>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let line = Head(view.header()).lines().next();
    let text = line.map_or(b"".as_slice(), |line| line.text());
    Safe(&text[..text.len().min(SHOWN)]).fmt(f)?;
    if text.len() > SHOWN {
        f.write_char('…')?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
