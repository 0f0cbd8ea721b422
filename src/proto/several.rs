//! What a packet with several messages of one protocol says in one line.

use std::fmt;

use crate::{layer::View, line::Line};

/// Messages that are written out.
const WRITTEN: usize = 3;

/// Writes one message.
type Write = fn(&View<'_>, &mut fmt::Formatter<'_>) -> fmt::Result;

/// Says what the messages of this protocol are, up to that of `view`, which is the last of its packet.
pub(super) fn line(view: &View<'_>, write: Write, line: &mut Line) {
    line.say(format_args!("{}", Several(view, write)));
}

struct Several<'v, 'a>(&'v View<'a>, Write);

impl fmt::Display for Several<'_, '_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(last, write) = self;
        let own = |view: &View<'_>| std::ptr::eq(view.layer.protocol, last.layer.protocol);
        let views = || last.packet.views().take(last.index + 1).filter(own);
        for (index, view) in views().take(WRITTEN).enumerate() {
            if index > 0 {
                f.write_str("; ")?;
            }
            write(&view, f)?;
        }
        match views().count() {
            0..=WRITTEN => Ok(()),
            count => write!(f, "; and {} more", count - WRITTEN),
        }
    }
}
