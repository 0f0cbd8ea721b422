//! Domain names: labels and pointers to earlier ones, put together in a buffer of fixed size, whatever the packet says.
//!
//! Spec: RFC 1035 §3.1 and §4.1.4.

use crate::layer::Problem;

/// The longest name on the wire, with length bytes and the root (RFC 1035 §2.3.4).
pub(super) const LONGEST: usize = 255;
/// Pointers in one name: as many as a name can have labels. More of them make every name of a packet dear.
pub(super) const MOST_POINTERS: u8 = 127;
/// A pointer has both upper bits set.
const POINTER: u8 = 0xc0;

/// A name, read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Name {
    text: [u8; LONGEST],
    len: usize,
    /// What is wrong with it; the text then says so too.
    pub(super) problem: Option<Problem>,
}

impl Name {
    /// The labels with dots between them, byte for byte: not always UTF-8, and a label may hold anything.
    pub(super) fn text(&self) -> &[u8] {
        &self.text[..self.len]
    }

    fn of(text: &str, problem: Option<Problem>) -> Self {
        let mut name = Self {
            text: [0; LONGEST],
            len: text.len(),
            problem,
        };
        name.text[..text.len()].copy_from_slice(text.as_bytes());
        name
    }

    /// Adds a label; false when the name would get too long.
    fn push(&mut self, label: &[u8]) -> bool {
        let start = if self.len == 0 { 0 } else { self.len + 1 };
        // A length byte before the first label, and the root after the last.
        if start + label.len() + 2 > LONGEST {
            return false;
        }
        if self.len > 0 {
            self.text[self.len] = b'.';
        }
        self.len = start + label.len();
        self.text[start..self.len].copy_from_slice(label);
        true
    }
}

/// A byte that begins a label.
pub(super) enum Head {
    Label(usize),
    Pointer(usize),
    Root,
    Unknown,
}

/// What begins at `at`; `None` past the end of the message.
pub(super) fn head(message: &[u8], at: usize) -> Option<Head> {
    let first = *message.get(at)?;
    Some(match first {
        0 => Head::Root,
        1..=63 => Head::Label(first.into()),
        POINTER.. => {
            let low = *message.get(at + 1)?;
            Head::Pointer(usize::from(first & !POINTER) << 8 | usize::from(low))
        }
        _ => Head::Unknown,
    })
}

/// Where the name at `at` ends, without following pointers; `None` when the message ends first.
pub(super) fn skip(message: &[u8], mut at: usize) -> Option<usize> {
    loop {
        match head(message, at)? {
            Head::Label(len) => at += 1 + len,
            Head::Pointer(_) => return Some(at + 2),
            Head::Root | Head::Unknown => return Some(at + 1),
        }
    }
}

/// Whether the name at `at` has just these labels, byte for byte.
pub(super) fn is(message: &[u8], mut at: usize, labels: &[Vec<u8>]) -> bool {
    let mut left = labels.iter();
    let mut pointers = 0;
    loop {
        match head(message, at) {
            Some(Head::Label(len)) => {
                let label = message.get(at + 1..at + 1 + len);
                if left.next().map(Vec::as_slice) != label {
                    return false;
                }
                at += 1 + len;
            }
            Some(Head::Pointer(to)) if pointers < MOST_POINTERS => {
                pointers += 1;
                at = to;
            }
            Some(Head::Root) => return left.next().is_none(),
            Some(Head::Pointer(_) | Head::Unknown) | None => return false,
        }
    }
}

/// The name at `at`. Its cost is bounded: at most [`LONGEST`] bytes are copied and [`MOST_POINTERS`] followed.
pub(super) fn read(message: &[u8], mut at: usize) -> Name {
    let mut name = Name::of("", None);
    let (mut pointers, mut mark) = (0_u8, None);
    loop {
        match head(message, at) {
            Some(Head::Label(len)) => {
                let Some(label) = message.get(at + 1..at + 1 + len) else {
                    return OUTSIDE.name();
                };
                if !name.push(label) {
                    return TOO_LONG.name();
                }
                at += 1 + len;
            }
            Some(Head::Pointer(to)) => {
                // A name that leads to the same place again does so for ever (the mark moves on at powers of two).
                if mark == Some(to) {
                    return LOOPS.name();
                }
                if pointers == MOST_POINTERS {
                    return TOO_MANY.name();
                }
                pointers += 1;
                if pointers.is_power_of_two() {
                    mark = Some(to);
                }
                at = to;
            }
            Some(Head::Root) if name.len == 0 => return Name::of("<Root>", None),
            Some(Head::Root) => return name,
            Some(Head::Unknown) => return UNKNOWN.name(),
            None => return OUTSIDE.name(),
        }
    }
}

/// What stands in place of a name that cannot be read, in Wireshark's words where it has such, and what is wrong.
struct Fault(&'static str, &'static str);

const LOOPS: Fault = Fault(
    "<Name contains a pointer that loops>",
    "a name contains a pointer that loops",
);
const TOO_MANY: Fault = Fault(
    "<Name contains too many pointers>",
    "a name contains too many pointers",
);
const TOO_LONG: Fault = Fault("<Name too long>", "a name is longer than 255 bytes");
const UNKNOWN: Fault = Fault(
    "<Unknown extended label>",
    "a name contains a label of an unknown kind",
);
const OUTSIDE: Fault = Fault(
    "<Name goes past the end of the message>",
    "a name goes past the end of the message",
);

impl Fault {
    fn name(&self) -> Name {
        Name::of(self.0, Some(Problem::malformed(self.1)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(message: &[u8], at: usize) -> String {
        String::from_utf8_lossy(read(message, at).text()).into_owned()
    }

    #[test]
    fn labels_are_joined_by_dots() {
        assert_eq!(text(b"\x03www\x07example\x03org\0", 0), "www.example.org");
        assert_eq!(text(b"\0", 0), "<Root>");
        assert_eq!(read(b"\x02a.\x01\xff\0", 0).text(), b"a..\xff");
        assert_eq!(skip(b"\x03www\x07example\x03org\0rest", 0), Some(17));
    }

    #[test]
    fn pointers_lead_back_and_forth() {
        let message = b"\x03org\0\x03www\xc0\0\x01a\xc0\x05";
        assert_eq!(text(message, 5), "www.org");
        assert_eq!(text(message, 11), "a.www.org");
        assert_eq!((skip(message, 5), skip(message, 11)), (Some(11), Some(15)));
        // To a place further on, which no server writes and yet leads somewhere.
        assert_eq!(text(b"\x01a\xc0\x04\x01b\0", 0), "a.b");
    }

    #[test]
    fn what_leads_nowhere_says_so() {
        for (message, word) in [
            (&b"\xc0\0"[..], "loops"),
            (b"\x01a\xc0\0", "loops"),
            (b"\xc0\x02\xc0\0", "loops"),
            (b"\xc0\x09", "past the end"),
            (b"\xc0", "past the end"),
            (b"\x05abc", "past the end"),
            (b"", "past the end"),
            (b"\x01a", "past the end"),
            (b"\x41\x08\0", "Unknown"),
            (b"\x80", "Unknown"),
        ] {
            let name = read(message, 0);
            assert!(name.problem.is_some(), "{message:?}");
            assert!(text(message, 0).contains(word), "{message:?}");
        }
        assert_eq!(skip(b"\x05abc", 0), None);
        assert_eq!(skip(b"\x01a", 0), None);
    }

    #[test]
    fn names_have_at_most_255_bytes() {
        let label = [&[63][..], &[b'a'; 63]].concat();
        let longest = [&label.repeat(3)[..], &[61], &[b'b'; 61], &[0]].concat();
        assert_eq!(longest.len(), LONGEST);
        assert_eq!(read(&longest, 0).text().len(), 253);
        let over = [&label.repeat(3)[..], &[62], &[b'b'; 62], &[0]].concat();
        assert_eq!(text(&over, 0), "<Name too long>");
        assert_eq!(skip(&over, 0), Some(256));
    }

    #[test]
    fn chains_of_pointers_are_cut_off() {
        // Each points to the one before it, the first to the root.
        let mut message = vec![0, 0];
        for n in 0..8000_u16 {
            message.extend((0xc000 | (n * 2)).to_be_bytes());
        }
        assert_eq!(text(&message, 2 * 127), "<Root>");
        assert_eq!(text(&message, 2 * 128), "<Name contains too many pointers>");
        for at in 0..message.len() {
            let _ = read(&message, at);
        }
    }
}
