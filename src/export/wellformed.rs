//! A strict little reader of XML, for tests: every tag is closed, every attribute quoted, every `&` a known entity.

/// Panics where `text` is not well-formed; a document type and several roots are allowed.
pub(crate) fn check(text: &str) {
    let mut open: Vec<&str> = Vec::new();
    let body = text.strip_prefix("<!DOCTYPE html>").unwrap_or(text);
    let mut pieces = body.split('<');
    content(pieces.next().unwrap_or_default());
    for piece in pieces {
        let (tag, after) = piece
            .split_once('>')
            .unwrap_or_else(|| panic!("a tag without an end: {piece}"));
        // A style sheet is not text for people: it holds what quotes and braces it likes, and no tag.
        if open.last() != Some(&"style") || tag != "/style" {
            assert_ne!(open.last(), Some(&"style"), "a tag in a style sheet: {tag}");
        }
        if let Some(name) = tag.strip_prefix('/') {
            assert_eq!(open.pop(), Some(name), "closed in another order");
        } else {
            let (inside, closed) = match tag.strip_suffix('/') {
                Some(inside) => (inside, true),
                None => (tag, false),
            };
            let name = inside.split(' ').next().unwrap_or_default();
            assert!(
                !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric()),
                "a tag's name: {tag}"
            );
            attributes(&inside[name.len()..]);
            if !closed {
                open.push(name);
            }
        }
        if open.last() != Some(&"style") {
            content(after);
        }
    }
    assert!(open.is_empty(), "left open: {open:?}");
}

/// ` name="value"`, any number of times.
fn attributes(mut text: &str) {
    while !text.is_empty() {
        let (name, rest) = text
            .split_once("=\"")
            .unwrap_or_else(|| panic!("no value: {text}"));
        let name = name.strip_prefix(' ').unwrap_or_default();
        let fine = |b: u8| b.is_ascii_alphanumeric() || b == b'-';
        assert!(
            !name.is_empty() && name.bytes().all(fine),
            "an attribute's name: {name:?}"
        );
        assert!(!name.starts_with("on"), "an event: {name}");
        let (value, rest) = rest
            .split_once('"')
            .unwrap_or_else(|| panic!("no end: {rest}"));
        content(value);
        text = rest;
    }
}

/// Text between tags, or in an attribute.
fn content(text: &str) {
    assert!(!text.contains('>'), "a bare >: {text}");
    for piece in text.split('&').skip(1) {
        let entity = piece.split_once(';').map(|(entity, _)| entity);
        let known = ["amp", "lt", "gt", "quot", "#39"];
        assert!(
            entity.is_some_and(|entity| known.contains(&entity)),
            "a bare &: {piece}"
        );
    }
}
