//! Options: what pcapng blocks carry behind their fixed part. A code, a length, a value padded to four bytes.

use crate::file::{error::Damage, order::Order};

/// The most options of one block that are looked at.
const MAX_OPTIONS: usize = 100;

/// Ends the list.
const END: u16 = 0;
/// A comment, in any block.
pub(super) const COMMENT: u16 = 1;

/// One option: its code, and its value without padding.
#[derive(Clone, Copy, Debug)]
pub(super) struct Opt<'a> {
    pub(super) code: u16,
    pub(super) value: &'a [u8],
}

/// The options in `bytes`, which are the rest of a block up to its trailer.
pub(super) fn options(order: Order, bytes: &[u8]) -> impl Iterator<Item = Result<Opt<'_>, Damage>> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        if rest.len() < 4 {
            return None;
        }
        let (code, length) = (order.u16(rest, 0), usize::from(order.u16(rest, 2)));
        if code == END {
            return None;
        }
        let Some(value) = rest.get(4..4 + length) else {
            let room = rest.len() - 4;
            rest = &[];
            return Some(Err(Damage::new(
                format!("at most {room} bytes for option {code}"),
                format!("a length of {length}"),
            )));
        };
        rest = rest
            .get(4 + length.next_multiple_of(4)..)
            .unwrap_or_default();
        Some(Ok(Opt { code, value }))
    })
    .take(MAX_OPTIONS)
}
