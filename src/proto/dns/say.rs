//! Says a message in words that would write it: each question and record is tried, and what does not come out is bytes.

use std::fmt::Write as _;

use super::{
    message::{Entry, HEADER, Message, OPT},
    names::{self, Head},
    numbers::{self, CLASSES, TYPES},
    records::{self, Part},
    write::{self, DNSSEC_OK, FLAGGED, INTERNET, Known, SECTIONS, Words},
};
use crate::{
    field::Kind,
    layer::View,
    text::{Colons, to_percent},
};
use std::net::{Ipv4Addr, Ipv6Addr};

/// Tells `word` of all that stands behind the header.
pub(super) fn words(view: &View<'_>, words: Words, word: &mut dyn FnMut(&'static str, String)) {
    let Some(message) = Message::of(view) else {
        return;
    };
    let mut known = Known::default();
    let mut made = message.bytes[..HEADER].to_vec();
    for entry in message.entries().take(write::MOST) {
        let teller = Teller {
            message,
            words,
            entry,
        };
        let mark = known.len();
        let said = [false, true].into_iter().find_map(|by_number| {
            made.truncate(entry.at);
            known.truncate(mark);
            let text = teller.entry(by_number, &mut known)?;
            known.truncate(mark);
            let written = write::entry(entry.section, &text, words, &mut known, &mut made);
            let same = made.get(entry.at..) == message.bytes.get(entry.at..entry.end);
            (written.is_ok() && same).then_some(text)
        });
        let Some(text) = said else {
            made.truncate(entry.at);
            break;
        };
        word(SECTIONS[entry.section], text);
    }
    let rest = &message.bytes[made.len()..];
    if !rest.is_empty() {
        word("raw", hex::encode(rest));
    }
}

/// Says one question or record.
struct Teller<'a> {
    message: Message<'a>,
    words: Words,
    entry: Entry,
}

impl Teller<'_> {
    /// By number: with its data in hexadecimal.
    fn entry(&self, by_number: bool, known: &mut Known) -> Option<String> {
        let (message, entry) = (self.message, &self.entry);
        let mut out = String::new();
        self.name(entry.at, true, known, &mut out)?;
        let kind = message.u16(entry.fixed);
        let of_class = message.u16(entry.fixed + 2);
        if entry.section == 0 {
            let usual = (kind, of_class) == (1, INTERNET);
            if !usual {
                out.push(':');
                numbered("TYPE", numbers::name(TYPES, kind), kind, &mut out);
            }
            if of_class != INTERNET {
                out.push(':');
                self.class(of_class, "QU", &mut out);
            }
            return Some(out);
        }
        let (ttl, data) = (entry.fixed + 4, entry.data());
        let ttl = u32::from(message.u16(ttl)) << 16 | u32::from(message.u16(ttl + 2));
        let name = numbers::name(TYPES, kind).filter(|_| !by_number);
        out.push(':');
        numbered("TYPE", name, kind, &mut out);
        if kind == OPT && !by_number {
            self.edns(of_class, ttl, &mut out)?;
            return Some(out);
        }
        if of_class != INTERNET {
            out.push(':');
            self.class(of_class, "FLUSH", &mut out);
        }
        let _ = write!(out, ":{ttl}:");
        if data == entry.end {
            return Some(out);
        }
        match records::writable(kind).filter(|_| name.is_some()) {
            Some(parts) => {
                self.data(parts, kind, known, &mut out)?;
            }
            None => out.push_str(&hex::encode(message.bytes.get(data..entry.end)?)),
        }
        Some(out)
    }

    fn class(&self, class: u16, flagged: &'static str, out: &mut String) {
        let flag = self.words == Words::Multicast && class == FLAGGED;
        let name = if flag {
            Some(flagged)
        } else {
            numbers::name(CLASSES, class)
        };
        numbered("CLASS", name, class, out);
    }

    /// Size, flags and options (RFC 6891 §6.1.2).
    fn edns(&self, size: u16, flags: u32, out: &mut String) -> Option<()> {
        let _ = match flags {
            DNSSEC_OK => write!(out, ":{size}:do"),
            0 if self.entry.data() == self.entry.end => write!(out, ":{size}"),
            _ => write!(out, ":{size}:{flags:#x}"),
        };
        let mut rest = self.message.bytes.get(self.entry.data()..self.entry.end)?;
        while let [a, b, c, d, after @ ..] = rest {
            let len = usize::from(u16::from_be_bytes([*c, *d]));
            let (data, after) = after.split_at_checked(len)?;
            let code = u16::from_be_bytes([*a, *b]);
            let _ = write!(out, ":{code}:{}", hex::encode(data));
            rest = after;
        }
        Some(())
    }

    fn data(&self, parts: &[Part], kind: u16, known: &mut Known, out: &mut String) -> Option<()> {
        let within = &self.message.bytes[..self.entry.end];
        let mut at = self.entry.data();
        let mut separator = "";
        for part in parts {
            if matches!(part, Part::Bits(..) | Part::Shown(_)) {
                continue;
            }
            out.push_str(separator);
            separator = ":";
            let take = |len: usize| within.get(at..at.checked_add(len)?);
            match *part {
                Part::Bits(..) | Part::Shown(_) | Part::Call(_) => {}
                Part::Fixed(field, len) => {
                    fixed(field.kind, take(len)?, out);
                    at += len;
                }
                Part::Seconds(_, len) => {
                    fixed(Kind::Uint, take(len)?, out);
                    at += len;
                }
                Part::Name(_) => {
                    at = self.name(at, write::compresses(kind, self.words), known, out)?
                }
                Part::String(..) => at = string(within, at, out)?,
                Part::Strings(..) => {
                    at = string(within, at, out)?;
                    while at < within.len() {
                        out.push(':');
                        at = string(within, at, out)?;
                    }
                }
                Part::Counted(..) => {
                    let [a, b] = *take(2)?.first_chunk()?;
                    let len = usize::from(u16::from_be_bytes([a, b]));
                    out.push_str(&hex::encode(within.get(at + 2..at + 2 + len)?));
                    at += 2 + len;
                }
                Part::Rest(_) => {
                    out.push_str(&hex::encode(within.get(at..)?));
                    at = within.len();
                }
            }
        }
        Some(())
    }

    /// Appends the name at `at`, as it would be written by itself if that gives its bytes, and gives back where it ends.
    fn name(
        &self,
        at: usize,
        compress: bool,
        known: &mut Known,
        out: &mut String,
    ) -> Option<usize> {
        let message = self.message.bytes;
        let end = names::skip(message, at).filter(|end| *end <= self.entry.end)?;
        let bytes = message.get(at..end)?;
        let start = out.len();
        spell(message, at, true, out);
        let itself = write::name(&out[start..], compress, known, &message[..at]);
        if itself.as_deref() != Ok(bytes) {
            out.truncate(start);
            spell(message, at, false, out);
        }
        known.add(message, at);
        Some(end)
    }
}

/// Appends the labels at `at`, with those that pointers lead to, or with the pointer itself.
fn spell(message: &[u8], mut at: usize, follow: bool, out: &mut String) {
    let start = out.len();
    let mut pointers = 0;
    // Of a name that is too long, as much as shows it: it cannot be written, whatever follows.
    while out.len() - start <= 4 * names::LONGEST {
        match names::head(message, at) {
            Some(Head::Label(len)) => {
                out.push_str(&to_percent(
                    message.get(at + 1..at + 1 + len).unwrap_or(&[]),
                    b"-_",
                ));
                out.push('.');
                at += 1 + len;
            }
            // A name on its own has no dot at its end, which would keep it from being compressed.
            Some(Head::Root) if follow && out.len() > start => {
                out.pop();
                return;
            }
            Some(Head::Root) => {
                if out.len() == start {
                    out.push('.');
                }
                return;
            }
            Some(Head::Pointer(to)) if follow && pointers < names::MOST_POINTERS => {
                pointers += 1;
                at = to;
            }
            Some(Head::Pointer(to)) => {
                let _ = write!(out, "@{to}");
                return;
            }
            Some(Head::Unknown) | None => return,
        }
    }
}

fn string(within: &[u8], at: usize, out: &mut String) -> Option<usize> {
    let end = at + 1 + usize::from(*within.get(at)?);
    out.push_str(&to_percent(within.get(at + 1..end)?, b"-_.,=+@^"));
    Some(end)
}

/// A word for a number: its name, else the number with the kind of word before it.
fn numbered(word: &str, name: Option<&str>, number: u16, out: &mut String) {
    let _ = match name {
        Some(name) => write!(out, "{name}"),
        None => write!(out, "{word}{number}"),
    };
}

fn fixed(kind: Kind, bytes: &[u8], out: &mut String) {
    let number = || bytes.iter().fold(0_u128, |n, b| n << 8 | u128::from(*b));
    let _ = match kind {
        Kind::Ipv4 => write!(out, "{}", Ipv4Addr::from(number() as u32)),
        Kind::Ipv6 => write!(out, "{}", Ipv6Addr::from(number())),
        Kind::Mac => write!(out, "{}", Colons(bytes)),
        Kind::Bytes | Kind::Text => write!(out, "{}", hex::encode(bytes)),
        _ => write!(out, "{}", number()),
    };
}
