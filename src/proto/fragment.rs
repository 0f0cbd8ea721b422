//! What the fragments of IPv4 and IPv6 have in common: where a piece belongs, and how a line tells of it.

use crate::{layer::View, line::Line};

/// What reassembly needs to know of a fragment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fragment {
    /// Where its payload belongs, in bytes.
    pub offset: u32,
    /// More follow.
    pub more: bool,
    /// Tells which fragments belong together; 16 bits in IPv4.
    pub id: u32,
    /// What the datagram carries (IANA Protocol Numbers).
    pub protocol: u8,
}

impl Fragment {
    /// Says all of it, with so many hexadecimal digits of the identification.
    pub(super) fn say(&self, digits: usize, view: &View<'_>, line: &mut Line) {
        line.say(format_args!(
            "fragment id=0x{:0digits$x} offset={}{} len={}",
            self.id,
            self.offset,
            if self.more { " more" } else { "" },
            view.payload_wire()
        ));
    }
}
