//! What stands in a box: title and value in the longest form that fits, and letters one below the other where a box is one bit wide.

use std::iter::repeat_n;

use unicode_width::UnicodeWidthStr as _;

use super::{
    Placed,
    plan::{Item, Row, What},
};
use crate::{
    field::{Kind, Value},
    text::split_at_width,
};

/// Letters of a flag.
const LETTERS: usize = 3;
/// Columns of a box with room for words that are cut.
const WIDE: usize = 20;

/// The forms that an item can be written in.
#[derive(Clone, Debug, Default)]
pub(super) struct Label {
    /// In words.
    title: String,
    /// The last part of the field's name: for narrow boxes.
    short: String,
    /// The value, from its longest form to its shortest.
    values: Vec<String>,
}

impl Label {
    pub(super) fn of(item: &Item, fields: &[Placed], header: &[u8]) -> Self {
        let bytes = item.bytes();
        match &item.what {
            What::Field(index) => Self::of_field(&fields[*index], header),
            What::List(indices) => {
                let mut titles: Vec<&str> = Vec::new();
                for &index in indices {
                    let title = fields[index].field.title;
                    if !titles.contains(&title) {
                        titles.push(title);
                    }
                }
                let count = format!("{bytes} bytes");
                Self {
                    title: format!("{count}: {}", titles.join(", ")),
                    short: count,
                    values: Vec::new(),
                }
            }
            What::Unnamed if item.bits.len() > 64 => Self {
                title: format!("{bytes} bytes that no field names"),
                ..Self::default()
            },
            What::Unnamed => {
                let value = Value::read(Kind::Uint, header, item.bits.clone());
                let number = value.and_then(|value| value.as_u64()).unwrap_or(0);
                let digits = item.bits.len().div_ceil(4);
                Self {
                    title: "(no field)".to_owned(),
                    short: String::new(),
                    values: vec![format!("0x{number:0digits$x}"), format!("{number:x}")],
                }
            }
        }
    }

    fn of_field(placed: &Placed, header: &[u8]) -> Self {
        let field = placed.field;
        let mut values = vec![placed.value.clone()];
        if field.kind == Kind::Flag {
            values = vec![u8::from(placed.number != Some(0)).to_string()];
        } else if let Some(number) = placed.number {
            if let Some(raw) = raw(placed, header) {
                let plain = format!("{raw} → {number}");
                values.insert(0, plain);
            }
            let named = field.value_name(number).is_some();
            let plain = placed.value.split(" (").next().filter(|_| named);
            values.extend(plain.map(str::to_owned));
        }
        Self {
            title: field.title.to_owned(),
            short: short(field.name),
            values,
        }
    }

    fn value(&self, width: usize) -> String {
        let fits = self.values.iter().find(|value| value.width() <= width);
        match fits.or_else(|| self.values.last()) {
            Some(value) => cut(value, width),
            None => String::new(),
        }
    }

    /// Title and value beside each other, in their longest form.
    fn line(&self) -> String {
        let value = self.values.first().map_or("", String::as_str);
        let space = if value.is_empty() { "" } else { " " };
        format!("{}{space}{value}", self.title)
    }

    /// The title in at most `most` lines.
    fn title(&self, width: usize, most: usize) -> Vec<String> {
        if width == 1 {
            let letters = squeezed(&self.short, LETTERS);
            return letters.chars().map(String::from).collect();
        }
        let mut wrapped: Vec<String> = Vec::new();
        for word in self.title.split(' ') {
            match wrapped.last_mut() {
                Some(line) if line.width() + 1 + word.width() <= width => {
                    line.push(' ');
                    line.push_str(word);
                }
                _ => wrapped.push(word.to_owned()),
            }
        }
        if wrapped.len() <= most && wrapped.iter().all(|line| line.width() <= width) {
            return wrapped;
        }
        if width >= WIDE {
            // Of a list the beginning tells more than its short name.
            let rest = wrapped.split_off(most.min(wrapped.len()));
            if let (Some(last), Some(next)) = (wrapped.last_mut(), rest.first()) {
                *last = cut(&format!("{last} {next} …"), width);
            }
            return wrapped.iter().map(|line| cut(line, width)).collect();
        }
        vec![match width {
            0..=LETTERS => squeezed(&self.short, width),
            _ => cut(&self.short, width),
        }]
    }
}

/// The number that the bits hold, where the value was computed from it.
pub(in crate::render) fn raw(placed: &Placed, header: &[u8]) -> Option<u64> {
    let number = placed.number?;
    if placed.bits.len() > 64 {
        return None;
    }
    let raw = Value::read(Kind::Uint, header, placed.bits.clone())?.as_u64()?;
    (raw != number && placed.field.kind != Kind::Flag).then_some(raw)
}

/// The last part of a field's name.
fn short(name: &str) -> String {
    name.rsplit('.').next().unwrap_or(name).to_owned()
}

/// A word in at most `most` letters, vowels given up first: `push` is PSH.
fn squeezed(word: &str, most: usize) -> String {
    let letters = || word.chars().filter(char::is_ascii_alphanumeric);
    if letters().count() <= most {
        return letters().collect::<String>().to_uppercase();
    }
    let mut kept = letters().enumerate().filter(|&(index, c)| {
        index == 0 || !matches!(c.to_ascii_lowercase(), 'a' | 'e' | 'i' | 'o' | 'u')
    });
    let some: String = kept.by_ref().map(|(_, c)| c).take(most).collect();
    some.to_uppercase()
}

/// The lines of a row, each with one text a cell, as wide as its box.
pub(super) fn lines(row: &Row, labels: &[Label]) -> Vec<Vec<String>> {
    let cells: Vec<(Option<&Label>, usize)> = row
        .cells
        .iter()
        .map(|cell| {
            let label = labels.get(cell.item).filter(|_| cell.labelled);
            (label, (cell.bits.len() * 2).saturating_sub(1))
        })
        .collect();
    let fits = |(label, width): &(Option<&Label>, usize)| {
        label.is_none_or(|label| label.line().width() <= *width)
    };
    if cells.iter().all(fits) {
        let text = |(label, width): &(Option<&Label>, usize)| {
            centre(&label.map(Label::line).unwrap_or_default(), *width)
        };
        return vec![cells.iter().map(text).collect()];
    }
    let titles: Vec<Vec<String>> = cells
        .iter()
        .map(|(label, width)| label.map_or_else(Vec::new, |label| label.title(*width, 2)))
        .collect();
    let height = titles.iter().map(Vec::len).max().unwrap_or(0);
    // Titles stand right above their values.
    let mut lines: Vec<Vec<String>> = (0..height)
        .map(|line| {
            let texts = titles.iter().zip(&cells).map(|(title, (_, width))| {
                let padding = repeat_n("", height - title.len());
                let text = padding.chain(title.iter().map(String::as_str)).nth(line);
                centre(text.unwrap_or(""), *width)
            });
            texts.collect()
        })
        .collect();
    let values: Vec<String> = cells
        .iter()
        .map(|(label, width)| label.map(|label| label.value(*width)).unwrap_or_default())
        .collect();
    if values.iter().any(|value| !value.is_empty()) {
        let texts = values.iter().zip(&cells);
        lines.push(
            texts
                .map(|(value, (_, width))| centre(value, *width))
                .collect(),
        );
    }
    lines
}

/// `text` in the middle of `width` columns, cut where it is longer.
pub(super) fn centre(text: &str, width: usize) -> String {
    let text = cut(text, width);
    let free = width.saturating_sub(text.width());
    let (left, right) = (free / 2, free - free / 2);
    format!("{:left$}{text}{:right$}", "", "")
}

/// At most `width` columns of `text`, with a mark where something is left out.
fn cut(text: &str, width: usize) -> String {
    match (text.width() <= width, width) {
        (true, _) => text.to_owned(),
        (false, 0) => String::new(),
        // The first character always comes back from the split, however wide.
        (false, 1) => "…".to_owned(),
        (false, width) => {
            let (kept, _) = split_at_width(text, width - 1);
            let kept = if kept.width() < width { kept } else { "" };
            format!("{kept}…")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_letters_as_in_the_rfcs() {
        for (name, letters) in [
            ("push", "PSH"),
            ("reset", "RST"),
            ("syn", "SYN"),
            ("z", "Z"),
            ("df", "DF"),
            ("truncated", "TRN"),
        ] {
            assert_eq!(squeezed(name, LETTERS), letters);
        }
    }

    #[test]
    fn text_is_exactly_as_wide_as_its_box() {
        for text in ["", "a", "漢字漢字漢字", "a longer text", "→"] {
            for width in 0..12 {
                assert_eq!(centre(text, width).width(), width, "{text:?} in {width}");
            }
        }
    }
}
