//! What a file looks like that is no capture: the first thing its owner wants to know.

use crate::text::Safe;

/// Bytes that a guess needs at most.
pub(super) const ENOUGH: usize = 64;

/// First bytes, and what they mean.
const KNOWN: &[(&[u8], &str)] = &[
    (b"\x7fELF", "an ELF program"),
    (b"\x89PNG", "a PNG image"),
    (b"%PDF", "a PDF document"),
    (b"PK\x03\x04", "a zip archive"),
    (
        b"\xfd7zXZ",
        "xz data: unpack it first, with `xz -dc FILE | sockwire read -`",
    ),
    (
        b"BZh",
        "bzip2 data: unpack it first, with `bzip2 -dc FILE | sockwire read -`",
    ),
    (
        b"\x04\x22\x4d\x18",
        "lz4 data: unpack it first, with `lz4 -dc FILE | sockwire read -`",
    ),
    (
        b"snoop\0\0\0",
        "a Solaris snoop capture: convert it first, with `editcap FILE out.pcapng`",
    ),
    (
        b"btsnoop\0",
        "a Bluetooth btsnoop capture: convert it first, with `editcap FILE out.pcapng`",
    ),
    (
        b"GMBU",
        "a Microsoft Network Monitor capture: convert it first, with `editcap FILE out.pcapng`",
    ),
    (
        b"RTSS",
        "a Microsoft Network Monitor capture: convert it first, with `editcap FILE out.pcapng`",
    ),
];

/// What the first bytes of a file, of which there is at least one, look like.
pub(super) fn looks_like(bytes: &[u8]) -> String {
    let bytes = &bytes[..bytes.len().min(ENOUGH)];
    if let Some((_, what)) = KNOWN.iter().find(|(magic, _)| bytes.starts_with(magic)) {
        return (*what).to_owned();
    }
    if bytes.iter().all(|&b| b == 0) {
        return "zero bytes".to_owned();
    }
    // The last character may be cut.
    let text = bytes.utf8_chunks().next().map_or("", |chunk| chunk.valid());
    let whole = bytes.len() < text.len() + 4 && !text.is_empty();
    if whole && !text.contains(|c: char| c.is_control() && !c.is_whitespace()) {
        let line = text.lines().next().unwrap_or_default();
        let shown = &line[..line.floor_char_boundary(32)];
        return format!("text that begins \"{}\"", Safe(shown.as_bytes()));
    }
    let front = &bytes[..bytes.len().min(8)];
    format!("data that begins with the bytes {}", hex::encode(front))
}
