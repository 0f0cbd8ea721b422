//! A story as an SVG picture: it scales, its text can be selected, and it reads in black and white, light and dark.

mod block;
mod calls;
mod ties;

use std::fmt::Write as _;

use super::{Diagram, markup::Escaped};

pub(super) use self::block::{Block, blocks};

/// Units of the picture's width; a character is 7.2 of them, a row 36. On 360 pixels letters are over 8 pixels high.
const WIDTH: u32 = 520;

/// Pixels of its natural width, for every 4 units.
const NATURAL: u32 = 5;

/// What every picture needs, here and in HTML. Plain properties, since office programs know no variables.
pub(super) const STYLE: &str = "\
text{font:12px ui-monospace,'DejaVu Sans Mono',Menlo,Consolas,monospace;fill:#1b1f24}
.bg{fill:#fff}
.far,.note{fill:#57606a}
.name{font-weight:bold}
.trouble{fill:#7a4b00;font-weight:bold}
.over{paint-order:stroke;stroke:#fff;stroke-width:5px;stroke-linejoin:round}
.life{stroke:#8c959f;stroke-width:1}
.rule{stroke:#8c959f;stroke-width:1;stroke-dasharray:2 3}
.a{stroke:#0b5cad;stroke-width:1.6;fill:none}
.h{fill:#0b5cad}
.udp .a{stroke:#6b3a9c}
.udp .h{fill:#6b3a9c}
.again .a{stroke:#7a4b00;stroke-dasharray:7 4}
.again .h{fill:#7a4b00}
.run .a{stroke-width:4}
.rst .a,.lost .a,.error .a{stroke:#b3261e}
.rst .h,.error .h{fill:#b3261e}
.rst .a,.error .a{stroke-width:1.4}
.x{stroke:#b3261e;stroke-width:2.6;fill:none}
.zero{fill:#b3261e}
.bar{fill:#b7c4d3}
.client .over{fill:#0b5cad}
.server .over{fill:#6b3a9c}
.call .trouble{fill:#7a4b00}
.unix .a{stroke:#57606a}
.unix .h{fill:#57606a}
@media (prefers-color-scheme:dark){
text{fill:#e8eaed}
.bg{fill:#14171c}
.far,.note{fill:#a8b0b9}
.trouble{fill:#e9bd5b}
.over{stroke:#14171c}
.life,.rule{stroke:#6e7781}
.a{stroke:#7db7ff}
.h{fill:#7db7ff}
.udp .a{stroke:#d2a8ff}
.udp .h{fill:#d2a8ff}
.again .a{stroke:#e9bd5b}
.again .h{fill:#e9bd5b}
.rst .a,.lost .a,.error .a,.x{stroke:#ff8a80}
.rst .h,.error .h,.zero{fill:#ff8a80}
.bar{fill:#46566a}
.client .over{fill:#7db7ff}
.server .over{fill:#d2a8ff}
.call .trouble{fill:#e9bd5b}
.unix .a{stroke:#a8b0b9}
.unix .h{fill:#a8b0b9}
}
";

/// The whole picture.
pub fn svg(diagram: &Diagram) -> String {
    let blocks = blocks(diagram);
    let height = blocks.iter().map(|block| block.height).sum::<u32>() + 8;
    let mut out = String::new();
    // Writing to a String cannot fail.
    let _ = writeln!(
        out,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" width=\"{}\" height=\"{}\">",
        WIDTH * NATURAL / 4,
        height * NATURAL / 4
    );
    let _ = writeln!(out, "<title>{}</title>", Escaped(diagram.title()));
    let _ = writeln!(
        out,
        "<style>\nsvg{{max-width:100%;height:auto}}\n{STYLE}{}</style>",
        ties::style(&blocks)
    );
    let _ = writeln!(
        out,
        "<rect class=\"bg\" width=\"{WIDTH}\" height=\"{height}\"/>"
    );
    let mut y = 0;
    for block in &blocks {
        let _ = write!(
            out,
            "<g class=\"{}\" transform=\"translate(0,{y})\"{}>",
            ties::classes(block),
            focus(!block.ties.is_empty())
        );
        if let Some(title) = &block.title {
            let _ = write!(out, "<title>{}</title>", Escaped(title));
        }
        if !block.ties.is_empty() {
            let height = block.height;
            let _ = write!(
                out,
                "<rect class=\"tie\" width=\"{WIDTH}\" height=\"{height}\"/>"
            );
        }
        out.push_str(&block.drawing);
        out.push_str("</g>\n");
        y += block.height;
    }
    out.push_str("</svg>\n");
    out
}

/// What the Tab key stops at.
const fn focus(stops: bool) -> &'static str {
    if stops { " tabindex=\"0\"" } else { "" }
}

/// One part of the picture as a picture of its own, for a page that stacks them.
pub(super) fn alone(block: &Block) -> String {
    let title = block.title.as_deref().unwrap_or_default();
    let mut out = format!(
        "<svg class=\"{}\" viewBox=\"0 0 {WIDTH} {}\"{}>",
        ties::classes(block),
        block.height,
        // What opens a packet is stopped at already.
        focus(!block.ties.is_empty() && block.packet.is_none())
    );
    if !title.is_empty() {
        let _ = write!(out, "<title>{}</title>", Escaped(title));
    }
    out.push_str(&block.drawing);
    out.push_str("</svg>");
    out
}
