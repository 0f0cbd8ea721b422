//! The option lists of IPv4 and TCP headers: one kind byte, and for most kinds a length byte and data.

use crate::{
    field::{Field, Value, Visit},
    layer::View,
};
use std::ops::ControlFlow;

/// Both headers have 20 bytes before their options.
const FIXED: usize = 20;
/// End of the list (RFC 791 §3.1, RFC 9293 §3.2).
pub(super) const END: u8 = 0;
/// Padding of one byte.
pub(super) const NOP: u8 = 1;

/// One option as it lies in the header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Opt<'a> {
    /// Its first byte, counted from the start of the header.
    pub(super) at: usize,
    /// What it is.
    pub(super) kind: u8,
    /// Kind, length and data.
    pub(super) bytes: &'a [u8],
}

impl<'a> Opt<'a> {
    /// What stands behind kind and length; `None` where not all of it was captured.
    pub(super) fn data(&self) -> Option<&'a [u8]> {
        match self.bytes {
            [END | NOP] => Some(&[]),
            [_, len, data @ ..] if usize::from(*len) == self.bytes.len() => Some(data),
            _ => None,
        }
    }

    /// The big-endian number in the `len` bytes at `offset` from the kind byte; `None` when the option is shorter.
    pub(super) fn uint(&self, offset: usize, len: usize) -> Option<u64> {
        let bytes = self.bytes.get(offset..offset.checked_add(len)?)?;
        Some(bytes.iter().take(8).fold(0, |n, &b| n << 8 | u64::from(b)))
    }

    /// Visits `field` with the `len` bytes at `at` from the kind byte, where the option has them.
    pub(super) fn put(
        &self,
        view: &View<'_>,
        (field, at, len): (&'static Field, usize, usize),
        visit: &mut dyn Visit,
    ) -> ControlFlow<()> {
        let bits = (at * 8) as u32..((at + len) * 8) as u32;
        match Value::read(field.kind, self.bytes, bits) {
            Some(value) => visit.field(field, value, view.bits(self.at + at, len)),
            None => ControlFlow::Continue(()),
        }
    }

    /// Visits two fields that share the byte at `at`: its upper `split` bits, and the rest.
    pub(super) fn put_halves(
        &self,
        view: &View<'_>,
        (upper, lower, at, split): (&'static Field, &'static Field, usize, u32),
        visit: &mut dyn Visit,
    ) -> ControlFlow<()> {
        let Some(&byte) = self.bytes.get(at) else {
            return ControlFlow::Continue(());
        };
        let bits = view.bits(self.at + at, 1);
        let (middle, low) = (bits.start + split, 8 - split);
        let byte = u64::from(byte);
        visit.field(upper, Value::Uint(byte >> low), bits.start..middle)?;
        visit.field(
            lower,
            Value::Uint(byte & ((1 << low) - 1)),
            middle..bits.end,
        )
    }
}

/// Walks options one by one, up to the end mark, which is the last one given; in TCP with the end marks that pad it.
#[derive(Clone, Debug)]
pub(super) struct Options<'a> {
    header: &'a [u8],
    at: usize,
    /// Where the options end by the header's own account, captured or not.
    end: usize,
    padded: bool,
    broken: bool,
}

impl<'a> Options<'a> {
    /// The options of an IPv4 header.
    pub(super) fn of_ipv4(header: &'a [u8]) -> Self {
        Self {
            header,
            at: FIXED,
            end: header.first().map_or(0, |byte| usize::from(byte & 0xf) * 4),
            padded: false,
            broken: false,
        }
    }

    /// The options of a TCP header.
    pub(super) fn of_tcp(header: &'a [u8]) -> Self {
        Self {
            header,
            at: FIXED,
            end: header.get(12).map_or(0, |byte| usize::from(byte >> 4) * 4),
            padded: true,
            broken: false,
        }
    }

    /// The walk ended at an option whose length byte is missing, too small, or leads past the header.
    pub(super) fn is_broken(&self) -> bool {
        self.broken
    }
}

impl<'a> Iterator for Options<'a> {
    type Item = Opt<'a>;

    fn next(&mut self) -> Option<Opt<'a>> {
        let (at, rest) = (self.at, self.header.get(self.at..)?);
        let kind = *rest.first()?;
        let len = match (kind, rest.get(1)) {
            (END | NOP, _) => 1,
            (_, Some(&len)) if len >= 2 => usize::from(len),
            // The length itself was cut off.
            (_, None) if at + 1 < self.end => 2,
            _ => 0,
        };
        if len == 0 || at + len > self.end {
            self.broken = true;
            self.at = self.header.len();
            return None;
        }
        // What the snapshot length left of the option, all of it as a rule.
        let bytes = &rest[..len.min(rest.len())];
        let goes_on = self.padded && rest.get(1) == Some(&END);
        self.at = if kind == END && !goes_on {
            self.header.len()
        } else {
            at + len
        };
        Some(Opt { at, kind, bytes })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A header that is both IPv4's and TCP's, as far as its length goes.
    fn header(options: &[u8]) -> Vec<u8> {
        let mut header = [&[0; FIXED], options].concat();
        let words = header.len().div_ceil(4) as u8;
        (header[0], header[12]) = (words, words << 4);
        header
    }

    #[test]
    fn walks_to_the_end_mark_and_in_tcp_over_its_padding() {
        let header = header(&[NOP, 2, 4, 5, 0xb4, END, END, 7]);
        let walk = |options: Options<'_>| -> Vec<(usize, u8, usize)> {
            options.map(|o| (o.at, o.kind, o.bytes.len())).collect()
        };
        let ipv4 = [(20, NOP, 1), (21, 2, 4), (25, END, 1)];
        assert_eq!(walk(Options::of_ipv4(&header)), ipv4);
        let tcp = [(20, NOP, 1), (21, 2, 4), (25, END, 1), (26, END, 1)];
        assert_eq!(walk(Options::of_tcp(&header)), tcp);
    }

    #[test]
    fn a_length_that_is_missing_too_small_or_too_long_ends_the_walk() {
        for bytes in [&[NOP, NOP, NOP, 2][..], &[NOP, 2, 1, 0], &[NOP, 2, 4, 5]] {
            let header = header(bytes);
            let mut options = Options::of_tcp(&header);
            assert!(options.by_ref().all(|option| option.kind == NOP));
            assert!(options.is_broken(), "{bytes:?}");
        }
        let header = header(&[NOP, NOP, 4, 2]);
        let mut sound = Options::of_ipv4(&header);
        assert_eq!(sound.by_ref().count(), 3);
        assert!(!sound.is_broken());
    }

    #[test]
    fn what_the_snapshot_length_left_of_an_option_is_given() {
        let header = header(&[NOP, NOP, 8, 10, 1, 2, 3, 4, 5, 6, 7, 8]);
        for len in 23..header.len() {
            let mut options = Options::of_tcp(&header[..len]);
            let last = options.by_ref().last();
            let last = last.map(|option| (option.kind, option.bytes.len()));
            assert_eq!(last, Some((8, len - 22)));
            assert!(!options.is_broken());
        }
    }
}
