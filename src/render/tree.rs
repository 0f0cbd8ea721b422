//! Every field of a packet, header by header: name, value in words, title; derived values in brackets, faults in red.

use std::{
    borrow::Cow,
    fmt::{self, Write as _},
    ops::{ControlFlow, Range},
};

use unicode_width::UnicodeWidthStr;

use crate::{
    craft::{Mark, State},
    field::{Bounded, Field, Value, Visit},
    layer::{Packet, Problem, ProblemKind},
    proto::frame::{self, Around},
    render::style::{Palette, push},
};

pub use crate::field::Shown;

/// Column where titles begin, where the value leaves room.
const TITLES: usize = 48;

/// Repeated fields shown of a packet: three for each of a hundred options. JSON has more of them.
const SHOWN_REPEATED: usize = 300;

/// How the tree is written.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// Colour or none.
    pub palette: Palette,
    /// Each field with the sentence that explains it (`-vv`).
    pub explain: bool,
}

/// Appends the tree of `packet`.
pub fn packet(packet: &Packet<'_>, around: &Around<'_>, options: Options, out: &mut String) {
    let mut tree = Tree {
        options,
        states: None,
        out,
    };
    let size = packet.frame.bytes.len();
    tree.heading(
        &frame::PROTOCOL,
        format_args!("{size} bytes, {}", packet.frame.link),
    );
    let _ = frame::visit(&packet.frame, around, &mut tree);
    tree.layers(packet);
}

/// Appends the layers of a packet that was crafted: where each value comes from stands in the place of titles, below the
/// value where `columns` have no room for both.
pub fn crafted(
    packet: &Packet<'_>,
    marks: &[Mark],
    columns: usize,
    options: Options,
    out: &mut String,
) {
    let states = Some(States { marks, columns });
    Tree {
        options,
        states,
        out,
    }
    .layers(packet);
}

/// Where values come from, and how wide a line may be.
#[derive(Clone, Copy)]
struct States<'o> {
    marks: &'o [Mark],
    columns: usize,
}

impl States<'_> {
    /// Where they begin, where the value leaves room.
    fn column(self) -> usize {
        TITLES.min(self.columns / 2)
    }
}

/// Where a value of `field` comes from, in words.
fn in_words(state: State, field: &Field, unit: u16) -> Cow<'static, str> {
    Cow::Borrowed(match state {
        State::Usual => "usual",
        State::Computed => "computed",
        State::Unknown => "left to the sending",
        State::Given => "given",
        State::Wrong(right) => {
            let right = right.saturating_mul(unit.into());
            let value = Value::Uint(u64::try_from(right).unwrap_or(u64::MAX));
            let right = Shown { field, value };
            return Cow::Owned(format!("given, and wrong: {right} is right"));
        }
    })
}
/// Where a header lies, in words.
struct Place {
    start: u32,
    len: u32,
    buffer: u8,
    quoted: bool,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.len {
            0 => write!(f, "no bytes")?,
            1 => write!(f, "byte {}", self.start)?,
            len => write!(f, "bytes {}-{}", self.start, self.start + len - 1)?,
        }
        if self.buffer > 0 {
            write!(f, " of reassembled buffer {}", self.buffer)?;
        }
        f.write_str(if self.quoted { ", quoted" } else { "" })
    }
}

struct Tree<'o> {
    options: Options,
    states: Option<States<'o>>,
    out: &'o mut String,
}

impl Tree<'_> {
    fn layers(&mut self, packet: &Packet<'_>) {
        let mut left = SHOWN_REPEATED;
        for view in packet.views() {
            let layer = view.layer;
            if layer.header == 0 && self.states.is_some() {
                continue;
            }
            let place = Place {
                start: layer.start,
                len: layer.header,
                buffer: layer.buffer,
                quoted: layer.quoted,
            };
            self.heading(layer.protocol, format_args!("{place}"));
            let mut bounded = Bounded::new(&mut *self, &mut left);
            let _ = view.visit(&mut bounded);
            bounded.finish();
            if let Some(problem) = layer.problem {
                self.problem(problem);
            }
        }
    }

    fn heading(&mut self, protocol: &crate::protocol::Protocol, place: fmt::Arguments<'_>) {
        let palette = self.options.palette;
        self.out.push_str("  ");
        push(self.out, palette.heading(), protocol.title);
        let comma = if protocol.spec.is_empty() { "" } else { ", " };
        let faint = palette.faint();
        // Writing to a String cannot fail.
        let _ = writeln!(
            self.out,
            " {faint}({}): {place}{comma}{}{faint:#}",
            protocol.name, protocol.spec
        );
    }
}

impl Tree<'_> {
    /// Appends where the value comes from whose line begins at `from`.
    fn state(&mut self, states: States<'_>, field: &Field, bits: &Range<u32>, from: usize) {
        let mark = Mark::of(states.marks, bits);
        let state = mark.map_or(State::Given, |mark| mark.state);
        let words = in_words(state, field, mark.map_or(1, |mark| mark.unit));
        let value = self.out[from..].width();
        let column = states.column().max(value) + 2;
        if column + words.width() <= states.columns {
            let _ = write!(self.out, "{:1$}", "", column - value);
        } else {
            self.out.push_str("\n        ");
        }
        let palette = self.options.palette;
        let style = match state {
            State::Wrong(_) => palette.problem(),
            State::Unknown => palette.remark(),
            State::Given => palette.heading(),
            State::Computed | State::Usual => palette.faint(),
        };
        push(self.out, style, &words);
    }
}

impl Visit for Tree<'_> {
    fn field(
        &mut self,
        field: &'static Field,
        value: Value<'_>,
        bits: Range<u32>,
    ) -> ControlFlow<()> {
        let from = self.out.len();
        let (open, close) = if bits.is_empty() {
            ("[", "]")
        } else {
            ("", "")
        };
        let shown = Shown { field, value };
        let colon = if value == Value::Mark { "" } else { ": " };
        let _ = write!(self.out, "    {open}{}{colon}{shown}{close}", field.name);
        match self.states {
            Some(states) if !bits.is_empty() => self.state(states, field, &bits, from),
            states => {
                let column = states.map_or(TITLES, States::column);
                for _ in self.out.len() - from..column {
                    self.out.push(' ');
                }
                self.out.push_str("  ");
                push(self.out, self.options.palette.faint(), field.title);
            }
        }
        self.out.push('\n');
        if self.options.explain {
            self.out.push_str("        ");
            push(self.out, self.options.palette.faint(), field.doc);
            self.out.push('\n');
        }
        ControlFlow::Continue(())
    }

    fn problem(&mut self, problem: Problem) {
        let (style, word) = match problem.kind {
            ProblemKind::Malformed => (self.options.palette.problem(), "malformed"),
            ProblemKind::Odd => (self.options.palette.problem(), "odd"),
            ProblemKind::Cut => (self.options.palette.remark(), "not whole"),
        };
        let _ = writeln!(self.out, "    {style}! {word}: {}{style:#}", problem.text);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::{
        link::LinkType,
        track::testing::{UDP, batch},
    };

    fn tree(frame: &str, cut: usize, options: Options) -> String {
        let (mut batch, decoded) = batch(LinkType::ETHERNET, &[frame], cut);
        batch.comments.push(crate::frame::Comment {
            record: 0,
            text: "look\x1b[31m".to_owned(),
        });
        let around = Around::of(&[], &batch, 0);
        let mut out = String::new();
        super::packet(
            &decoded.packet(&batch, 0).unwrap(),
            &around,
            options,
            &mut out,
        );
        out
    }

    #[test]
    fn every_header_has_its_place_and_every_field_its_value() {
        let text = tree(UDP, usize::MAX, Options::default());
        for line in [
            "  Frame (frame): 47 bytes, EN10MB",
            "    [frame.number: 1]                             Number",
            "    [frame.comment: \"look\\x1b[31m\"]               Comment",
            "  Ethernet (eth): bytes 0-13, IEEE 802.3",
            "    eth.type: 0x0800 (IPv4)                       Type",
            "    ip.proto: 17 (UDP)                            Protocol",
            "  User Datagram Protocol (udp): bytes 34-41, RFC 768",
            "    udp.srcport: 5353                             Source port",
            "    [udp.stream: 0]                               Stream",
            "    data.data: 68:65:6c:6c:6f                     Data",
        ] {
            assert!(
                text.lines().any(|have| have == line),
                "{line:?} is not in\n{text}"
            );
        }
        assert!(!text.contains('\x1b'));
    }

    #[test]
    fn faults_and_explanations_are_words() {
        let text = tree(
            UDP,
            38,
            Options {
                explain: true,
                ..Options::default()
            },
        );
        assert!(
            text.contains("    ! not whole: cut short in the capture\n"),
            "{text}"
        );
        assert!(
            text.contains("\n        The port of the sending socket (RFC 768).\n"),
            "{text}"
        );
        let colour = Options {
            palette: Palette { on: true },
            ..Options::default()
        };
        let wrong = UDP.replace("000d 0000", "0004 0000");
        let text = tree(&wrong, usize::MAX, colour);
        assert!(text.contains("\x1b[31m! malformed: length"), "{text:?}");
    }

    #[test]
    fn a_long_option_list_is_cut_and_says_so() {
        // 2 KB of one-byte padding in a hop-by-hop header.
        let mut frame = "60000000 0800 0040".to_owned() + &"00".repeat(32) + "3bff";
        frame.push_str(&"00".repeat(2046));
        let (batch, decoded) = batch(LinkType::IPV6, &[&frame], usize::MAX);
        let mut text = String::new();
        let options = Options {
            explain: true,
            ..Options::default()
        };
        let around = Around::of(&[], &batch, 0);
        super::packet(
            &decoded.packet(&batch, 0).unwrap(),
            &around,
            options,
            &mut text,
        );
        assert!(text.contains("! odd: the list is too long"), "{text}");
        assert!(text.len() < 64_000, "{} bytes", text.len());
    }

    #[test]
    fn long_bytes_are_folded() {
        let value = Value::Bytes(&[0xab; 100]);
        let shown = Shown {
            field: &crate::proto::data::DATA,
            value,
        }
        .to_string();
        assert!(shown.ends_with(":ab… (100 bytes)"), "{shown}");
    }
}
