//! The blocks that are written: section, interfaces, packets, statistics; little endian, nanosecond times.

use crate::{
    frame::{Counters, Frame, Interface},
    link::LinkType,
    time::Time,
};

use super::{
    BYTE_ORDER, kind,
    option::COMMENT,
    packet::{FLAGS, flag},
};

/// The most comments of one packet that are written; readers may stop after 100 options.
const MAX_COMMENTS: usize = 90;
/// The longest text of one option.
const MAX_TEXT: usize = u16::MAX as usize;

/// The section header: who writes.
pub(in crate::file) fn section(into: &mut Vec<u8>) {
    block(into, kind::SECTION, |into| {
        into.extend(BYTE_ORDER.to_le_bytes());
        into.extend([1, 0, 0, 0]);
        into.extend((-1_i64).to_le_bytes());
        text(into, 2, std::env::consts::ARCH);
        text(into, 3, "Linux");
        text(into, 4, concat!("sockwire ", env!("CARGO_PKG_VERSION")));
        end(into);
    });
}

/// An interface. `link` is its frames' own, `snaplen` the same for all interfaces of the file, since
/// libpcap reads no file in which they differ.
pub(in crate::file) fn interface(
    into: &mut Vec<u8>,
    interface: Option<&Interface>,
    link: LinkType,
    snaplen: u32,
) {
    block(into, kind::INTERFACE, |into| {
        into.extend(link.0.to_le_bytes());
        into.extend([0; 2]);
        into.extend(snaplen.to_le_bytes());
        if let Some(interface) = interface {
            if let Some(name) = &interface.name {
                text(into, 2, name);
            }
            if let Some(description) = &interface.description {
                text(into, 3, description);
            }
            if let Some(filter) = &interface.filter {
                let filter = cut(filter, MAX_TEXT - 1);
                // The first byte, 0, says that it is libpcap's language.
                option(into, 11, &[&[0], filter.as_bytes()].concat());
            }
        }
        option(into, 9, &[9]);
        end(into);
    });
}

/// A packet. Times before 1970 do not fit: 1970 is written.
pub(in crate::file) fn packet<'c>(
    into: &mut Vec<u8>,
    id: u32,
    frame: &Frame<'_>,
    comments: impl IntoIterator<Item = &'c str>,
) {
    block(into, kind::ENHANCED_PACKET, |into| {
        let bytes = frame.bytes;
        into.extend(id.to_le_bytes());
        time(into, frame.time);
        into.extend((bytes.len() as u32).to_le_bytes());
        into.extend(frame.wire_len.to_le_bytes());
        into.extend(bytes);
        pad(into, bytes.len());
        let options = into.len();
        for comment in comments.into_iter().take(MAX_COMMENTS) {
            text(into, COMMENT, comment);
        }
        let flags = flag::word(frame.direction, frame.checksum);
        if flags != 0 {
            option(into, FLAGS, &flags.to_le_bytes());
        }
        if into.len() > options {
            end(into);
        }
    });
}

/// What an interface counted from `start` to `end`.
pub(in crate::file) fn statistics(
    into: &mut Vec<u8>,
    id: u32,
    span: Option<(Time, Time)>,
    counters: &Counters,
) {
    block(into, kind::STATISTICS, |into| {
        into.extend(id.to_le_bytes());
        let (start, stop) = span.unwrap_or_default();
        time(into, stop);
        if span.is_some() {
            for (code, at) in [(2, start), (3, stop)] {
                let mut value = Vec::with_capacity(8);
                time(&mut value, at);
                option(into, code, &value);
            }
        }
        option(into, 4, &counters.seen.to_le_bytes());
        option(into, 5, &counters.dropped.to_le_bytes());
        end(into);
    });
}

/// A block around what `body` writes.
#[inline]
fn block(into: &mut Vec<u8>, kind: u32, body: impl FnOnce(&mut Vec<u8>)) {
    let start = into.len();
    into.extend(kind.to_le_bytes());
    into.extend([0; 4]);
    body(into);
    let length = ((into.len() - start + 4) as u32).to_le_bytes();
    into.extend(length);
    into[start + 4..start + 8].copy_from_slice(&length);
}

/// The two halves of a time, the upper one first whatever the byte order.
fn time(into: &mut Vec<u8>, time: Time) {
    let nanos = time.nanos().max(0).cast_unsigned();
    into.extend(((nanos >> 32) as u32).to_le_bytes());
    into.extend((nanos as u32).to_le_bytes());
}

fn option(into: &mut Vec<u8>, code: u16, value: &[u8]) {
    into.extend(code.to_le_bytes());
    into.extend((value.len() as u16).to_le_bytes());
    into.extend(value);
    pad(into, value.len());
}

fn text(into: &mut Vec<u8>, code: u16, text: &str) {
    option(into, code, cut(text, MAX_TEXT).as_bytes());
}

/// The end of the options.
fn end(into: &mut Vec<u8>) {
    into.extend([0; 4]);
}

fn pad(into: &mut Vec<u8>, length: usize) {
    into.extend(&[0; 3][..length.next_multiple_of(4) - length]);
}

/// The front of a text, at most `most` bytes of it.
fn cut(text: &str, most: usize) -> &str {
    &text[..text.floor_char_boundary(most)]
}
