//! A stream for people: lines of text or rows of bytes, each with a mark in the margin that says who sent it.

use anstyle::Style;
use sockwire::{
    render::style::{Palette, push},
    text::{SHOWN, Safe},
    track::{
        flow::Transport,
        stream::{Piece, Side, Stream, What, Why},
    },
};

/// Bytes in a row.
const ROW: usize = 16;

/// Writes pieces, and knows how far the line has come.
pub(super) struct Text<'a> {
    stream: &'a Stream,
    hex: bool,
    palette: Palette,
    ascii: bool,
    /// The side whose line is begun and not ended.
    open: Option<Side>,
    /// The first bytes of a character whose rest comes in the next packet.
    begun: Vec<u8>,
}

impl<'a> Text<'a> {
    pub(super) fn new(stream: &'a Stream, hex: bool, palette: Palette, ascii: bool) -> Self {
        Self {
            stream,
            hex,
            palette,
            ascii,
            open: None,
            begun: Vec::new(),
        }
    }

    /// Which stream, and between whom.
    pub(super) fn head(&self, out: &mut String) {
        let [client, server] = self.stream.sockets.0;
        let arrow = self.arrow(Side::Client);
        let head = format!("{}  {client} {arrow} {server}", self.stream.id);
        push(out, self.palette.heading(), &head);
        out.push('\n');
    }

    pub(super) fn piece(&mut self, piece: &Piece<'_>, out: &mut String) {
        let side = piece.side;
        match piece.what {
            What::Data(bytes) if self.hex => self.rows(piece, bytes, out),
            What::Data([]) => self.note(side, "empty datagram", self.palette.faint(), out),
            What::Data(bytes) => {
                if self.open.is_some_and(|open| open != side) {
                    self.end_line(out);
                }
                self.lines(side, bytes, out);
                if self.stream.id.transport == Transport::Udp {
                    self.end_line(out);
                }
            }
            What::Gap { bytes, why } => {
                let unit = if bytes == 1 { "byte" } else { "bytes" };
                let (words, style) = match why {
                    Why::Missing => ("missing: not in the capture", self.palette.problem()),
                    Why::NotCaptured => (
                        "not captured: cut by the snapshot length",
                        self.palette.remark(),
                    ),
                    Why::NotKept => ("not kept: beyond --memory", self.palette.remark()),
                };
                self.note(side, &format!("{bytes} {unit} {words}"), style, out);
            }
            What::Fin => self.note(side, "FIN: no more data", self.palette.faint(), out),
            What::Rst => {
                self.note(
                    side,
                    "RST: the connection is over",
                    self.palette.remark(),
                    out,
                );
            }
        }
    }

    /// Ends the line that is begun.
    pub(super) fn end_line(&mut self, out: &mut String) {
        let Some(side) = self.open else {
            return;
        };
        let rest = std::mem::take(&mut self.begun);
        push(out, self.style(side), &Safe(&rest).to_string());
        out.push('\n');
        self.open = None;
    }

    /// Something about the stream that is none of its bytes.
    fn note(&mut self, side: Side, words: &str, style: Style, out: &mut String) {
        self.end_line(out);
        self.margin(side, ' ', out);
        push(out, style, &format!("[{words}]"));
        out.push('\n');
    }

    /// Text with its own line ends. Each line of a datagram but the first has a + in the margin.
    fn lines(&mut self, side: Side, bytes: &[u8], out: &mut String) {
        let joined;
        let mut bytes = bytes;
        if !self.begun.is_empty() {
            self.begun.extend_from_slice(bytes);
            joined = std::mem::take(&mut self.begun);
            bytes = &joined;
        }
        let last = bytes
            .utf8_chunks()
            .last()
            .map_or(&[][..], |chunk| chunk.invalid());
        let unfinished = std::str::from_utf8(last).is_err_and(|e| e.error_len().is_none());
        if unfinished {
            let (whole, rest) = bytes.split_at(bytes.len() - last.len());
            self.begun.extend_from_slice(rest);
            bytes = whole;
        }
        let datagram = self.stream.id.transport == Transport::Udp;
        for (index, line) in bytes.split_inclusive(|byte| *byte == b'\n').enumerate() {
            if self.open.is_none() {
                let mark = if datagram && index > 0 { '+' } else { ' ' };
                self.margin(side, mark, out);
                self.open = Some(side);
            }
            let (text, ended) = match line.strip_suffix(b"\n") {
                Some(text) => (text, true),
                None => (line, false),
            };
            push(out, self.style(side), &safe(text));
            if ended {
                out.push('\n');
                self.open = None;
            }
        }
        if unfinished && self.open.is_none() {
            self.margin(side, ' ', out);
            self.open = Some(side);
        }
    }

    /// Rows of sixteen bytes, with the offset of each row in the stream of its side.
    fn rows(&self, piece: &Piece<'_>, bytes: &[u8], out: &mut String) {
        for (index, row) in bytes.chunks(ROW).enumerate() {
            self.margin(piece.side, if index == 0 { ' ' } else { '+' }, out);
            let mut line = format!("{:08x} ", piece.offset + (index * ROW) as u64);
            for place in 0..ROW {
                let gap = if place == ROW / 2 { "  " } else { " " };
                line.push_str(gap);
                match row.get(place) {
                    Some(byte) => line.push_str(&format!("{byte:02x}")),
                    None => line.push_str("  "),
                }
            }
            line.push_str("  ");
            line.extend(row.iter().map(|&byte| match byte {
                b' '..=b'~' => char::from(byte),
                _ => '.',
            }));
            push(out, self.style(piece.side), &line);
            out.push('\n');
        }
        if bytes.is_empty() {
            self.margin(piece.side, ' ', out);
            push(out, self.palette.faint(), "[empty datagram]");
            out.push('\n');
        }
    }

    fn margin(&self, side: Side, mark: char, out: &mut String) {
        push(
            out,
            self.style(side),
            &format!("{}{mark}", self.arrow(side)),
        );
    }

    fn arrow(&self, side: Side) -> char {
        match (side, self.ascii) {
            (Side::Client, false) => '→',
            (Side::Server, false) => '←',
            (Side::Client, true) => '>',
            (Side::Server, true) => '<',
        }
    }

    fn style(&self, side: Side) -> Style {
        self.palette.side(side == Side::Client)
    }
}

/// Any length of text, made safe in pieces that are shown whole.
fn safe(bytes: &[u8]) -> String {
    let mut out = String::new();
    for chunk in bytes.utf8_chunks() {
        let mut rest = chunk.valid();
        while !rest.is_empty() {
            let (piece, after) = rest.split_at(rest.floor_char_boundary(SHOWN));
            out.push_str(&Safe(piece.as_bytes()).to_string());
            rest = after;
        }
        out.push_str(&Safe(chunk.invalid()).to_string());
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_text_is_shown_whole_and_harmless() {
        let text = "é\t\x1b[31m".repeat(3000);
        let shown = safe(text.as_bytes());
        assert_eq!(shown, "é\\t\\x1b[31m".repeat(3000));
        assert_eq!(safe(b"a\r\xff"), "a\\r\\xff");
    }
}
