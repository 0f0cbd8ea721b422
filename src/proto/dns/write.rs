//! Writes questions and records from words: names compressed as servers do, data by the rows that they are read by.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::{
    message::{Entry, HEADER, Message, OPT},
    names::{self, Head},
    numbers::{CLASSES, TYPES},
    records::{self, Part},
};
use crate::{
    field::Kind,
    text::{hexadecimal, number},
};

/// Flag of EDNS: answers with signatures are welcome (RFC 6891 §6.1.3).
pub(super) const DNSSEC_OK: u32 = 0x8000;
/// The class of the Internet.
pub(super) const INTERNET: u16 = 1;
/// The same in multicast, with its first bit set: a unicast answer is welcome, or the record is the only one
/// (RFC 6762 §5.4, §10.2).
pub(super) const FLAGGED: u16 = 0x8001;
/// The words that write questions and records, by section.
pub(super) const SECTIONS: [&str; 4] = ["qd", "an", "ns", "ar"];
/// How a record looks.
pub(super) const RECORD: &str = "NAME:TYPE[:CLASS]:TTL:DATA";

/// The most questions and records that are words: each looks at all before it for names to point to, which takes
/// milliseconds from here on. A message of 1232 bytes, as large as they come over UDP, has room for 76 addresses.
pub(super) const MOST: usize = 256;

/// The most bytes of a message.
const LARGEST: usize = 65_535;
/// Pointers have 14 bits.
const REACH: usize = 0x4000;

/// Whose words and rules hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Words {
    Dns,
    /// Service records may be compressed (RFC 6762 §18.14), and classes have a flag.
    Multicast,
}

/// Where names begin in a message, and their parts: what a pointer can lead to. In the order in which they stand.
#[derive(Debug, Default)]
pub(super) struct Known(Vec<u16>);

impl Known {
    /// Of all entries of the message, as far as pointers reach.
    pub(super) fn of(message: Message<'_>) -> Self {
        let mut known = Self::default();
        for entry in message.entries().take_while(|entry| entry.at < REACH) {
            known.add_entry(message, &entry);
        }
        known
    }

    /// Adds the names of an entry.
    pub(super) fn add_entry(&mut self, message: Message<'_>, entry: &Entry) {
        self.add(message.bytes, entry.at);
        if entry.section == 0 {
            return;
        }
        let within = &message.bytes[..entry.end];
        let mut at = entry.data();
        let parts = records::writable(message.u16(entry.fixed));
        for part in parts.unwrap_or(&[]) {
            let next = match part {
                Part::Fixed(_, len) | Part::Seconds(_, len) => Some(at + len),
                Part::String(..) => within.get(at).map(|len| at + 1 + usize::from(*len)),
                Part::Name(_) => names::skip(within, at).inspect(|_| self.add(within, at)),
                Part::Bits(..) | Part::Shown(_) => Some(at),
                Part::Strings(..) | Part::Counted(..) | Part::Rest(_) | Part::Call(_) => None,
            };
            match next {
                Some(next) => at = next,
                None => return,
            }
        }
    }

    /// Adds the name at `at`, and those that it ends with.
    pub(super) fn add(&mut self, message: &[u8], mut at: usize) {
        while let Some(Head::Label(len)) = names::head(message, at) {
            match u16::try_from(at).ok().filter(|_| at < REACH) {
                Some(start) => self.0.push(start),
                None => return,
            }
            at += 1 + len;
        }
    }

    /// Where a name of just these labels stands.
    fn find(&self, message: &[u8], labels: &[Vec<u8>]) -> Option<u16> {
        let mut starts = self.0.iter();
        starts
            .find(|start| names::is(message, usize::from(**start), labels))
            .copied()
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn truncate(&mut self, len: usize) {
        self.0.truncate(len);
    }
}

/// The bytes of the name that `text` says, at the end of `message`.
pub(super) fn name(
    text: &str,
    compress: bool,
    known: &Known,
    message: &[u8],
) -> Result<Vec<u8>, String> {
    let mut labels = Vec::new();
    let (mut end, mut length) = (None, 1);
    let mut rest = Some(text).filter(|text| *text != "." && !text.is_empty());
    while let Some(text) = rest {
        let (label, after) = text
            .split_once('.')
            .map_or((text, None), |(label, after)| (label, Some(after)));
        rest = after;
        if let (Some(to), None) = (label.strip_prefix('@'), after) {
            let to = to.parse().ok().filter(|to| usize::from(*to) < REACH);
            end = Some(to.ok_or("after @ comes the place of a name, 12 to 16383")?);
            break;
        }
        let bytes = unescape(label)?;
        if !(1..=63).contains(&bytes.len()) {
            return Err("the parts of a name have 1 to 63 bytes".to_owned());
        }
        length += 1 + bytes.len();
        if length > names::LONGEST {
            return Err(format!("a name has at most {} bytes", names::LONGEST));
        }
        labels.push(bytes);
        if after == Some("") {
            break;
        }
    }
    let whole = text.ends_with('.') || end.is_some() || !compress;
    let mut out = Vec::new();
    for (index, label) in labels.iter().enumerate() {
        if !whole {
            end = known.find(message, &labels[index..]);
        }
        if !whole && end.is_some() {
            break;
        }
        out.push(label.len() as u8);
        out.extend_from_slice(label);
    }
    match end {
        Some(to) => out.extend((0xc000_u16 | to).to_be_bytes()),
        None => out.push(0),
    }
    Ok(out)
}

/// `%XX` is a byte in hexadecimal, everything else is itself.
pub(super) fn unescape(text: &str) -> Result<Vec<u8>, String> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        if *first != b'%' {
            out.push(*first);
            rest = tail;
            continue;
        }
        let digits = tail.get(..2).and_then(|d| std::str::from_utf8(d).ok());
        let byte = digits
            .and_then(hexadecimal)
            .and_then(|b| b.first().copied());
        out.push(byte.ok_or("after % come two hexadecimal digits; % itself is %25")?);
        rest = &tail[2..];
    }
    Ok(out)
}

/// Appends a question or record of `section` to a message that has all before it.
pub(super) fn entry(
    section: usize,
    value: &str,
    words: Words,
    known: &mut Known,
    out: &mut Vec<u8>,
) -> Result<(), String> {
    let at = out.len();
    let mark = known.len();
    let (owner, rest) = value
        .split_once(':')
        .map_or((value, None), |(o, r)| (o, Some(r)));
    if owner.is_empty() {
        return Err("expected a name; the root is .".to_owned());
    }
    let owner = name(owner, true, known, out)?;
    out.extend(owner);
    known.add(out, at);
    let fixed = out.len();
    match section {
        0 => question(rest, words, out)?,
        _ => record(rest.ok_or_else(form)?, words, known, out)?,
    }
    if out.len() > LARGEST {
        return Err(format!("a message has at most {LARGEST} bytes"));
    }
    known.truncate(mark);
    let end = out.len();
    let entry = Entry {
        section,
        at,
        fixed,
        end,
    };
    if let Some(message) = Message::new(out, 0) {
        known.add_entry(message, &entry);
    }
    Ok(())
}

fn form() -> String {
    format!("expected {RECORD}, such as example.com:A:60:192.0.2.1")
}

fn question(rest: Option<&str>, words: Words, out: &mut Vec<u8>) -> Result<(), String> {
    let (kind, of_class) = match rest.map(|rest| rest.split_once(':').unwrap_or((rest, ""))) {
        Some((kind, rest)) => (self::kind(kind)?.0, rest),
        None => (1, ""),
    };
    let class = match of_class {
        "" => INTERNET,
        text => class(text, words).ok_or_else(|| no_class(words))?,
    };
    out.extend(kind.to_be_bytes());
    out.extend(class.to_be_bytes());
    Ok(())
}

/// A type, and whether its number is given, so that its data are in hexadecimal.
fn kind(text: &str) -> Result<(u16, bool), String> {
    let named = TYPES
        .iter()
        .find(|(_, name)| name.eq_ignore_ascii_case(text));
    if let Some((kind, _)) = named {
        return Ok((*kind as u16, false));
    }
    let bare = text.parse().ok().map(|kind| (kind, false));
    bare.or_else(|| Some((numbered(text, "TYPE")?, true)))
        .ok_or_else(|| "expected a type such as A, MX or TYPE65".to_owned())
}

/// `TYPE65` (RFC 3597 §5).
fn numbered(text: &str, word: &str) -> Option<u16> {
    let (before, digits) = text.split_at_checked(word.len())?;
    before
        .eq_ignore_ascii_case(word)
        .then(|| digits.parse().ok())?
}

fn class(text: &str, words: Words) -> Option<u16> {
    let flagged = ["FLUSH", "QU"]
        .iter()
        .any(|word| text.eq_ignore_ascii_case(word));
    if words == Words::Multicast && flagged {
        return Some(FLAGGED);
    }
    let named = CLASSES
        .iter()
        .find(|(_, name)| name.eq_ignore_ascii_case(text));
    named
        .map(|(class, _)| *class as u16)
        .or_else(|| numbered(text, "CLASS"))
}

fn no_class(words: Words) -> String {
    let more = if words == Words::Multicast {
        ", QU (a question), FLUSH (a record)"
    } else {
        ""
    };
    format!("expected a class such as IN, CH or CLASS254{more}")
}

fn record(rest: &str, words: Words, known: &mut Known, out: &mut Vec<u8>) -> Result<(), String> {
    let mut items = Items(Some(rest));
    let (kind, by_number) = self::kind(items.next().unwrap_or(""))?;
    let edns = kind == OPT && !by_number;
    let (of_class, ttl) = if edns {
        let size = items.next().unwrap_or("1232");
        let size = size
            .parse()
            .map_err(|_| "expected .:OPT:SIZE:FLAGS, such as .:OPT:1232:do")?;
        let flags = match items.next().unwrap_or("0") {
            "do" => DNSSEC_OK,
            flags => unsigned(flags, 4)? as u32,
        };
        (size, flags)
    } else {
        let next = items.next().ok_or_else(form)?;
        let is_class = next.starts_with(|c: char| c.is_ascii_alphabetic());
        let of_class = match is_class {
            true => class(next, words).ok_or_else(|| no_class(words))?,
            false => INTERNET,
        };
        let ttl = if is_class {
            items.next().ok_or_else(form)?
        } else {
            next
        };
        (of_class, unsigned(ttl, 4)? as u32)
    };
    out.extend(kind.to_be_bytes());
    out.extend(of_class.to_be_bytes());
    out.extend(ttl.to_be_bytes());
    let length = out.len();
    out.extend([0, 0]);
    match items.0 {
        None if edns => {}
        None => return Err(form()),
        Some("") => {}
        Some(_) if edns => options(&mut items, out)?,
        Some(_) if by_number => out.extend(bytes(items.rest())?),
        Some(_) => match records::writable(kind) {
            Some(parts) => data(parts, &mut items, compresses(kind, words), known, out)?,
            None => out.extend(bytes(items.rest())?),
        },
    }
    let len = u16::try_from(out.len() - length - 2)
        .map_err(|_| "a record has at most 65535 bytes of data")?;
    out[length..length + 2].copy_from_slice(&len.to_be_bytes());
    Ok(())
}

/// Names in the data of this type are compressed: those of RFC 1035 only (RFC 3597 §4).
pub(super) fn compresses(kind: u16, words: Words) -> bool {
    matches!(kind, 2..=9 | 12 | 14 | 15) || kind == 33 && words == Words::Multicast
}

/// The pieces of a value, with `:` between them.
struct Items<'a>(Option<&'a str>);

impl<'a> Items<'a> {
    fn next(&mut self) -> Option<&'a str> {
        let text = self.0?;
        let (item, rest) = text
            .split_once(':')
            .map_or((text, None), |(i, r)| (i, Some(r)));
        self.0 = rest;
        Some(item)
    }

    fn rest(&mut self) -> &'a str {
        self.0.take().unwrap_or("")
    }
}

fn data(
    parts: &[Part],
    items: &mut Items<'_>,
    compress: bool,
    known: &mut Known,
    out: &mut Vec<u8>,
) -> Result<(), String> {
    let missing = || format!("expected {}", forms(parts));
    for part in parts {
        match *part {
            Part::Bits(..) | Part::Shown(_) | Part::Call(_) => {}
            Part::Fixed(field, len) => {
                // Colons are part of such an address, which is the last of its record.
                let text = match field.kind {
                    Kind::Ipv6 | Kind::Mac => items.rest(),
                    _ => items.next().ok_or_else(missing)?,
                };
                fixed(field.kind, len, text, out)?;
            }
            Part::Seconds(_, len) => number_of(len, items.next().ok_or_else(missing)?, out)?,
            Part::Name(_) => {
                let at = out.len();
                let name = name(items.next().ok_or_else(missing)?, compress, known, out)?;
                out.extend(name);
                known.add(out, at);
            }
            Part::String(..) => string(items.next().ok_or_else(missing)?, out)?,
            Part::Strings(..) => {
                while let Some(text) = items.next() {
                    string(text, out)?;
                }
            }
            Part::Counted(..) => {
                let bytes = bytes(items.next().ok_or_else(missing)?)?;
                let len = u16::try_from(bytes.len()).map_err(|_| "at most 65535 bytes")?;
                out.extend(len.to_be_bytes());
                out.extend(bytes);
            }
            Part::Rest(_) => out.extend(bytes(items.rest())?),
        }
    }
    match items.0 {
        Some(_) => Err(missing()),
        None => Ok(()),
    }
}

/// What the data of a record look like.
fn forms(parts: &[Part]) -> String {
    let title = |part: &Part| match *part {
        Part::Fixed(field, _) | Part::Seconds(field, _) | Part::Name(field) | Part::Rest(field) => {
            Some(field.title)
        }
        Part::String(_, field) | Part::Strings(_, field) | Part::Counted(_, field) => {
            Some(field.title)
        }
        Part::Bits(..) | Part::Shown(_) | Part::Call(_) => None,
    };
    let titles: Vec<String> = parts
        .iter()
        .filter_map(title)
        .map(|title| title.to_uppercase().replace(' ', "-"))
        .collect();
    titles.join(":")
}

fn fixed(kind: Kind, len: usize, text: &str, out: &mut Vec<u8>) -> Result<(), String> {
    match kind {
        Kind::Ipv4 => {
            let address: Ipv4Addr = text
                .parse()
                .map_err(|_| "expected an IPv4 address such as 192.0.2.1")?;
            out.extend(address.octets());
        }
        Kind::Ipv6 => {
            let address: Ipv6Addr = text
                .parse()
                .map_err(|_| "expected an IPv6 address such as 2001:db8::1")?;
            out.extend(address.octets());
        }
        Kind::Bytes | Kind::Text | Kind::Mac => {
            let bytes = bytes(text)?;
            if bytes.len() != len {
                return Err(format!("expected {len} bytes in hexadecimal"));
            }
            out.extend(bytes);
        }
        _ => number_of(len, text, out)?,
    }
    Ok(())
}

fn unsigned(text: &str, len: usize) -> Result<u64, String> {
    let largest = u64::MAX >> (64 - 8 * len.clamp(1, 8));
    let value = number(text).and_then(|n| u64::try_from(n).ok());
    value
        .filter(|n| *n <= largest)
        .ok_or_else(|| format!("expected a number up to {largest}"))
}

fn number_of(len: usize, text: &str, out: &mut Vec<u8>) -> Result<(), String> {
    let value = unsigned(text, len)?.to_be_bytes();
    out.extend_from_slice(&value[8 - len.clamp(1, 8)..]);
    Ok(())
}

fn bytes(text: &str) -> Result<Vec<u8>, String> {
    hexadecimal(text).ok_or_else(|| "expected bytes in hexadecimal, such as 0a0b0c".to_owned())
}

fn string(text: &str, out: &mut Vec<u8>) -> Result<(), String> {
    let bytes = unescape(text)?;
    let len = u8::try_from(bytes.len()).map_err(|_| "a string has at most 255 bytes")?;
    out.push(len);
    out.extend(bytes);
    Ok(())
}

/// The options of EDNS: `CODE:HEX:CODE:HEX`.
fn options(items: &mut Items<'_>, out: &mut Vec<u8>) -> Result<(), String> {
    while let Some(code) = items.next() {
        let wrong = || "expected options as CODE:HEX, such as 12:0000".to_owned();
        let code: u16 = code.parse().map_err(|_| wrong())?;
        let data = hexadecimal(items.next().ok_or_else(wrong)?).ok_or_else(wrong)?;
        let len = u16::try_from(data.len()).map_err(|_| wrong())?;
        out.extend(code.to_be_bytes());
        out.extend(len.to_be_bytes());
        out.extend(data);
    }
    Ok(())
}

/// Writes one more question or record into the header so far, and counts it.
pub(super) fn part(
    section: usize,
    value: &str,
    words: Words,
    header: &mut Vec<u8>,
) -> Result<(), String> {
    let message = Message::new(header, 0).ok_or("the header comes first")?;
    let counts = message.counts();
    if counts[section + 1..].iter().any(|count| *count > 0) {
        return Err(format!(
            "{} come in this order, as they stand in the message",
            SECTIONS.join("= ") + "="
        ));
    }
    if counts
        .iter()
        .map(|count| usize::from(*count))
        .sum::<usize>()
        >= MOST
    {
        return Err(format!(
            "at most {MOST} questions and records are words: the others go into raw="
        ));
    }
    let mut known = Known::of(message);
    entry(section, value, words, &mut known, header)?;
    let count = counts[section]
        .checked_add(1)
        .ok_or("at most 65535 of each")?;
    let at = HEADER - 8 + 2 * section;
    header[at..at + 2].copy_from_slice(&count.to_be_bytes());
    Ok(())
}

/// Bytes behind everything else.
pub(super) fn raw(value: &str, header: &mut Vec<u8>) -> Result<(), String> {
    header.extend(bytes(value)?);
    Ok(())
}
