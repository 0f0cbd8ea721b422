//! Colour, sixteen of them: always an addition, never the only bearer of a meaning.

use std::fmt::Write as _;

use anstyle::{AnsiColor, Style};

/// Colours of protocols, by name; all others are [`OTHER`].
const PROTOCOLS: &[(&str, AnsiColor)] = &[
    ("tcp", AnsiColor::Green),
    ("udp", AnsiColor::Blue),
    ("icmp", AnsiColor::Magenta),
    ("icmpv6", AnsiColor::Magenta),
    ("igmp", AnsiColor::Magenta),
    ("arp", AnsiColor::Yellow),
];
const OTHER: AnsiColor = AnsiColor::Cyan;

/// Which colours are used: sixteen, or none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Palette {
    /// Escapes may be written.
    pub on: bool,
}

impl Palette {
    /// Colour of a protocol's label.
    pub fn protocol(self, name: &str) -> Style {
        let color = PROTOCOLS
            .iter()
            .find(|(known, _)| *known == name)
            .map_or(OTHER, |&(_, color)| color);
        self.style(color.on_default())
    }

    /// Something is wrong.
    pub fn problem(self) -> Style {
        self.style(AnsiColor::Red.on_default().bold())
    }

    /// Worth a look.
    pub fn remark(self) -> Style {
        self.style(AnsiColor::Yellow.on_default())
    }

    /// What the client said, or else the server.
    pub fn side(self, client: bool) -> Style {
        let color = if client {
            AnsiColor::Cyan
        } else {
            AnsiColor::Magenta
        };
        self.style(color.on_default())
    }

    /// A heading.
    pub fn heading(self) -> Style {
        self.style(Style::new().bold())
    }

    /// Words around the matter.
    pub fn faint(self) -> Style {
        self.style(Style::new().dimmed())
    }

    fn style(self, style: Style) -> Style {
        if self.on { style } else { Style::new() }
    }
}

/// Appends `text` in `style`, without a single escape when the style is plain.
pub fn push(out: &mut String, style: Style, text: &str) {
    if style.is_plain() {
        out.push_str(text);
    } else {
        // Writing to a String cannot fail.
        let _ = write!(out, "{style}{text}{style:#}");
    }
}
