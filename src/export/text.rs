//! A diagram as a ladder in text, for mail and terminals.

use std::io::{self, Write as _};

use super::Diagram;
use crate::{
    render::ladder::{Ladder, LadderOptions, Layout, NARROW},
    text::{ascii, write_wrapped},
    track::story::{Fate, Item},
};

/// The ladder of all flows. Times of both ends are shown where both were seen.
///
/// # Errors
/// None: memory takes everything.
pub fn text(diagram: &Diagram, options: LadderOptions) -> io::Result<Vec<u8>> {
    let (columns, is_ascii) = (options.width.max(NARROW), options.ascii);
    let sentence = |text: &str| {
        let mut lines = String::new();
        match is_ascii {
            true => write_wrapped(&mut lines, 0, columns, &ascii(text)),
            false => write_wrapped(&mut lines, 0, columns, text),
        }
        lines
    };
    let mut rows = diagram.rows();
    let has_both_ends = rows.any(|row| matches!(row.fate, Fate::Delivered(_)));
    let mut ladder = Ladder::new(LadderOptions {
        layout: if has_both_ends {
            Layout::Lab
        } else {
            options.layout
        },
        origin: Some(diagram.origin),
        interfaces: diagram.interfaces.clone(),
        ..options
    });
    let mut out = Vec::new();
    for note in &diagram.notes {
        write!(out, "{}", sentence(note))?;
    }
    for chapter in &diagram.chapters {
        ladder.write(&Item::Flow(chapter.header.clone()), &mut out)?;
        for item in &chapter.items {
            ladder.write(item, &mut out)?;
        }
    }
    if let Some(missing) = diagram.missing() {
        write!(out, "{}", sentence(&missing))?;
    }
    Ok(out)
}
