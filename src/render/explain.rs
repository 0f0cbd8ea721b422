//! One header explained: the drawing, then each field in words with its place and its specification, then its checksum worked out.

use std::{cmp::Reverse, fmt::Write as _, ops::Range};

use crate::{
    field::At,
    layer::{ProblemKind, View},
    proto::worked,
    render::{
        boxes::{self, Fields, Placed},
        style::{Palette, push},
        sums,
    },
    text,
};

/// No line is longer.
pub const COLUMNS: usize = 80;
/// Columns of the places beside the words.
const PLACES: usize = 22;

/// How a header is explained.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// Colour or none.
    pub palette: Palette,
    /// ASCII characters only.
    pub ascii: bool,
    /// The checksum step by step.
    pub checksum: bool,
}

/// Appends the explanation of the header in `view`.
pub fn layer(view: &View<'_>, options: Options, out: &mut String) {
    let fields = Fields::of(view);
    let mut page = Page { options, out };
    page.heading(view);
    boxes::draw(view, &fields, options.ascii, page.out);
    page.fields(view, &fields);
    for problem in &fields.problems {
        let word = match problem.kind {
            ProblemKind::Malformed => "malformed",
            ProblemKind::Odd => "odd",
            ProblemKind::Cut => "not whole",
        };
        page.say(2, &format!("! {word}: {}", problem.text));
    }
    page.missing(view);
    if options.checksum
        && let Some(check) = worked::check(view)
    {
        sums::check(&check, &fields, &mut page);
    }
}

/// Writes lines of at most [`COLUMNS`].
pub(super) struct Page<'o> {
    pub(super) options: Options,
    pub(super) out: &'o mut String,
}

impl Page<'_> {
    /// Words behind an indentation.
    pub(super) fn say(&mut self, indent: usize, words: &str) {
        let words = self.spelled(words);
        text::write_wrapped(self.out, indent, COLUMNS, &words);
    }

    /// Words that stand out.
    pub(super) fn stress(&mut self, words: &str) {
        self.out.push('\n');
        let mut lines = String::new();
        text::write_wrapped(&mut lines, 0, COLUMNS, &self.spelled(words));
        for line in lines.lines() {
            push(self.out, self.options.palette.heading(), line);
            self.out.push('\n');
        }
    }

    /// `left`, and words to the right of it, `column` columns in.
    pub(super) fn beside(&mut self, left: &str, column: usize, words: &str) {
        let mut lines = String::new();
        text::write_wrapped(&mut lines, column, COLUMNS, &self.spelled(words));
        let used = 2 + left.len();
        if used < column {
            let _ = write!(self.out, "  {left}");
            self.out.push_str(lines.get(used..).unwrap_or("\n"));
        } else {
            let _ = writeln!(self.out, "  {left}");
            self.out.push_str(&lines);
        }
    }

    /// In the characters that may be used.
    pub(super) fn spelled(&self, words: &str) -> String {
        match self.options.ascii {
            true => text::ascii(words),
            false => words.to_owned(),
        }
    }

    fn heading(&mut self, view: &View<'_>) {
        let layer = view.layer;
        let protocol = layer.protocol;
        let comma = if protocol.spec.is_empty() { "" } else { ", " };
        let title = format!(
            "{} ({}){comma}{}",
            protocol.title, protocol.name, protocol.spec
        );
        self.stress(&title);
        let from = match layer.buffer {
            0 => "the frame".to_owned(),
            number => format!("reassembled buffer {number}"),
        };
        let quoted = match layer.quoted {
            true => ", in the packet that an ICMP error quotes",
            false => "",
        };
        let place = match view.header().len() as u32 {
            0 => "no bytes of its own".to_owned(),
            1 => format!("byte {} of {from}", layer.start),
            len => {
                let last = layer.start + len - 1;
                format!("bytes {}-{last} of {from}: {len} bytes", layer.start)
            }
        };
        self.say(0, &format!("{place}{quoted}"));
    }

    /// Fields with a place, then those worked out from the packet, then what the packets before it tell.
    fn fields(&mut self, view: &View<'_>, fields: &Fields) {
        let is_placed = |placed: &&Placed| !placed.bits.is_empty();
        let mut in_place: Vec<&Placed> = fields.placed.iter().filter(is_placed).collect();
        in_place.sort_by_key(|placed| (placed.bits.start, Reverse(placed.bits.end)));
        if !in_place.is_empty() {
            self.out.push('\n');
        }
        let is_derived = |placed: &&Placed| placed.field.at == At::Derived;
        let mut told: Vec<&str> = Vec::new();
        for placed in in_place {
            let raw = boxes::raw(placed, view.header())
                .map(|raw| format!(" (its {} bits hold {raw})", placed.bits.len()));
            let colon = if placed.value.is_empty() { "" } else { ": " };
            let words = format!(
                "{}{colon}{}{}",
                placed.field.title,
                placed.value,
                raw.unwrap_or_default()
            );
            self.beside(&place(&placed.bits), PLACES, &words);
            self.sentence(placed, &mut told, PLACES);
        }
        let rest = || fields.placed.iter().filter(|placed| placed.bits.is_empty());
        let groups: [(&str, Vec<&Placed>); 2] = [
            (
                "Worked out from this packet:",
                rest().filter(|placed| !is_derived(placed)).collect(),
            ),
            (
                "From the packets before it:",
                rest().filter(is_derived).collect(),
            ),
        ];
        for (title, group) in groups.into_iter().filter(|(_, group)| !group.is_empty()) {
            self.say(2, title);
            for placed in group {
                let colon = if placed.value.is_empty() { "" } else { ": " };
                let words = format!("{}{colon}{}", placed.field.title, placed.value);
                self.say(4, &words);
                self.sentence(placed, &mut told, 8);
            }
        }
    }

    /// The sentence of the table, once for each field.
    fn sentence(&mut self, placed: &Placed, told: &mut Vec<&str>, indent: usize) {
        let field = placed.field;
        if told.contains(&field.name) {
            return;
        }
        told.push(field.name);
        let mut lines = String::new();
        let words = self.spelled(&format!("{}: {}", field.name, field.doc));
        text::write_wrapped(&mut lines, indent, COLUMNS, &words);
        for line in lines.lines() {
            push(self.out, self.options.palette.faint(), line);
            self.out.push('\n');
        }
    }

    /// What the table has at a fixed place and a damaged or cut header has not.
    fn missing(&mut self, view: &View<'_>) {
        let here = view.header().len() * 8;
        let lacking: Vec<&str> = view
            .layer
            .protocol
            .fields
            .iter()
            .filter(|field| !(field.unquoted && view.layer.quoted))
            .filter(|field| match field.at {
                At::Bits { byte, bit, bits } => {
                    usize::from(byte) * 8 + usize::from(bit) + usize::from(bits) > here
                }
                At::Walked | At::Derived => false,
            })
            .map(|field| field.title)
            .collect();
        if view.layer.problem.is_some() && here > 0 && !lacking.is_empty() {
            self.say(2, &format!("! not there: {}", lacking.join(", ")));
        }
    }
}

/// Where bits lie, counted from the start of the header.
fn place(bits: &Range<u32>) -> String {
    let (first, last) = (bits.start / 8, (bits.end.max(1) - 1) / 8);
    let bytes = match first == last {
        true => format!("byte {first}"),
        false => format!("bytes {first}-{last}"),
    };
    let (from, to) = (bits.start % 8, bits.end.max(1) - 1 - first * 8);
    match (from, (to + 1) % 8) {
        (0, 0) => bytes,
        _ if from == to => format!("{bytes}, bit {from}"),
        _ => format!("{bytes}, bits {from}-{to}"),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use unicode_width::UnicodeWidthStr as _;

    use super::*;
    use crate::{
        link::LinkType,
        track::testing::{UDP, batch},
    };

    fn explained(frame: &str, cut: usize, index: usize, options: Options) -> String {
        let (batch, decoded) = batch(LinkType::ETHERNET, &[frame], cut);
        let packet = decoded.packet(&batch, 0).unwrap();
        let mut out = String::new();
        layer(&packet.view(index).unwrap(), options, &mut out);
        out
    }

    #[test]
    fn places_are_told_in_bytes_and_bits() {
        for (bits, words) in [
            (0..8, "byte 0"),
            (0..16, "bytes 0-1"),
            (96..100, "byte 12, bits 0-3"),
            (103..104, "byte 12, bit 7"),
            (51..64, "bytes 6-7, bits 3-15"),
        ] {
            assert_eq!(place(&bits), words);
        }
    }

    #[test]
    fn each_field_has_place_value_and_specification() {
        let text = explained(UDP, usize::MAX, 2, Options::default());
        for line in [
            "User Datagram Protocol (udp), RFC 768",
            "bytes 34-41 of the frame: 8 bytes",
            "  bytes 0-1           Source port: 5353",
            "                      udp.srcport: The port of the sending socket (RFC 768).",
            "  From the packets before it:",
            "    Stream: 0",
        ] {
            assert!(text.lines().any(|have| have == line), "{line:?}\n{text}");
        }
        assert!(!text.contains('\x1b'));
    }

    #[test]
    fn a_computed_value_says_what_its_bits_hold() {
        let text = explained(UDP, usize::MAX, 1, Options::default());
        assert!(
            text.contains("Header length: 20 (its 4 bits hold 5)"),
            "{text}"
        );
    }

    #[test]
    fn what_a_cut_header_lacks_is_told() {
        let text = explained(UDP, 38, 2, Options::default());
        assert!(text.contains("! not whole: cut short in the capture\n"));
        assert!(text.contains("! not there: Length, Checksum\n"), "{text}");
        assert!(text.contains("Source port 5353"), "{text}");
    }

    #[test]
    fn no_line_is_longer_than_a_terminal_is_wide() {
        for ascii in [false, true] {
            let options = Options {
                ascii,
                checksum: true,
                ..Options::default()
            };
            for index in 0..4 {
                let text = explained(
                    &UDP.replace("000d 0000", "000d 1234"),
                    usize::MAX,
                    index,
                    options,
                );
                assert!(text.lines().all(|line| line.width() <= COLUMNS), "{text}");
                assert!(!ascii || text.is_ascii(), "{text}");
                assert!(text.lines().all(|line| line.trim_end() == line), "{text}");
            }
        }
    }
}
