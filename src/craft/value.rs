//! Values of fields: read from words, as single ones, lists and ranges; and written as words.

use std::{
    fmt::Write as _,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use crate::{
    field::Kind,
    protocol::Slot,
    text::{Mac, hexadecimal, number},
};

/// The values that a field takes, one after the other: numbers as they stand in the header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choices(Vec<Run>);

/// Numbers that follow each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Run {
    first: u128,
    /// How many values there are up to its last.
    end: u64,
}

impl Choices {
    /// One value.
    pub fn one(value: u128) -> Self {
        Self(vec![Run {
            first: value,
            end: 1,
        }])
    }

    /// How many; at least one.
    pub fn len(&self) -> u64 {
        self.0.last().map_or(1, |run| run.end)
    }

    /// Never: there is always one.
    pub fn is_empty(&self) -> bool {
        false
    }

    /// Value `n`, counted from 0, beginning again after the last.
    pub fn nth(&self, n: u64) -> u128 {
        let n = n % self.len();
        let at = self.0.partition_point(|run| run.end <= n);
        let before = at.checked_sub(1).map_or(0, |before| self.0[before].end);
        self.0
            .get(at)
            .map_or(0, |run| run.first + u128::from(n - before))
    }

    /// Reads `text`: values and ranges, with commas between them.
    ///
    /// # Errors
    /// What is wrong, in words.
    pub(super) fn read(slot: &Slot, text: &str) -> Result<Self, String> {
        let mut end: u64 = 0;
        let runs = text.split(',').map(|item| {
            let (first, count) = run(slot, item)?;
            end = end.saturating_add(count);
            Ok(Run { first, end })
        });
        Ok(Self(runs.collect::<Result<_, String>>()?))
    }
}

/// The first of numbers that follow each other, and how many they are.
fn run(slot: &Slot, item: &str) -> Result<(u128, u64), String> {
    if let Some((first, last)) = item.split_once("..") {
        let (first, last) = (one(slot, first)?, one(slot, last)?);
        let steps = last
            .checked_sub(first)
            .and_then(|n| u64::try_from(n).ok())
            .and_then(|n| n.checked_add(1));
        let count = steps.ok_or_else(|| format!("{item} counts down, or too far"))?;
        return Ok((first, count));
    }
    if let (Kind::Ipv4 | Kind::Ipv6, Some((address, prefix))) =
        (slot.field.kind, item.split_once('/'))
    {
        let bits = u32::from(slot.place.2);
        let prefix: u32 = prefix
            .parse()
            .ok()
            .filter(|n| *n <= bits)
            .ok_or_else(|| format!("expected a prefix length up to {bits}"))?;
        let host = bits - prefix;
        if host > 32 {
            return Err(format!("{item} has too many addresses"));
        }
        let mask = (1u128 << host) - 1;
        let first = one(slot, address)? & !mask;
        return Ok((first, 1 << host));
    }
    Ok((one(slot, item)?, 1))
}

/// One value, as the number that stands in the header.
fn one(slot: &Slot, text: &str) -> Result<u128, String> {
    let bits = u32::from(slot.place.2);
    let largest = largest(slot.place.2);
    let value = match slot.field.kind {
        Kind::Mac => mac(text).ok_or("expected a hardware address such as 02:00:00:00:00:01")?,
        Kind::Ipv4 => {
            let address: Result<Ipv4Addr, _> = text.parse();
            address
                .map(u32::from)
                .map_err(|_| no_address(text, "an IPv4 address such as 10.0.0.2"))?
                .into()
        }
        Kind::Ipv6 => {
            let address: Result<Ipv6Addr, _> = text.parse();
            address
                .map(u128::from)
                .map_err(|_| no_address(text, "an IPv6 address such as fd00::2"))?
        }
        Kind::Bytes | Kind::Text => bytes(text, bits)?,
        _ => numeric(slot, text)?,
    };
    let unit = u128::from(slot.unit);
    if value % unit != 0 {
        return Err(format!("expected a multiple of {unit}"));
    }
    let value = value / unit;
    if value > largest {
        return Err(format!(
            "the field has {bits} bits: at most {}",
            largest.saturating_mul(unit)
        ));
    }
    Ok(value)
}

/// What is said of `text` where an address was expected: people give the other version's, and names.
fn no_address(text: &str, wanted: &str) -> String {
    let why = match text.parse::<IpAddr>() {
        Ok(IpAddr::V4(_)) => ": the layer for this one is ip",
        Ok(IpAddr::V6(_)) => ": the layer for this one is ip6",
        Err(_) if text.starts_with(|c: char| c.is_ascii_alphabetic()) => {
            ": names are not looked up"
        }
        Err(_) => "",
    };
    format!("expected {wanted}{why}")
}

fn numeric(slot: &Slot, text: &str) -> Result<u128, String> {
    if let Some(value) = number(text).or_else(|| lettered(slot.letters, text)) {
        return Ok(value);
    }
    if slot.place.2 == 1 {
        match text {
            "true" | "on" | "yes" => return Ok(1),
            "false" | "off" | "no" => return Ok(0),
            _ => {}
        }
    }
    if let Some(value) = named(slot.field.names, text) {
        return Ok(value.into());
    }
    Err(if slot.letters.is_empty() {
        "expected a number such as 80 or 0x50".to_owned()
    } else {
        format!("expected a number, or some of {}", form(slot))
    })
}

/// The value called `text`, with `-` or `_` for spaces, in small letters or capitals; also abbreviated word by word
/// (`dest-unreach`) where only one name fits.
fn named(names: &[(u64, &str)], text: &str) -> Option<u64> {
    let words = |text: &str| -> Vec<String> {
        let words = text.split([' ', '-', '_']);
        words.map(str::to_ascii_lowercase).collect()
    };
    let given = words(text);
    if let Some((value, _)) = names.iter().find(|(_, name)| words(name) == given) {
        return Some(*value);
    }
    let mut fitting = names.iter().filter(|(_, name)| {
        let name = words(name);
        name.len() == given.len() && name.iter().zip(&given).all(|(n, g)| n.starts_with(&**g))
    });
    let (value, _) = fitting.next()?;
    fitting.next().is_none().then_some(*value)
}

/// Bits by their names: one after the other where all names are single letters, and with `+` between them.
fn lettered(letters: &[(&str, u64)], text: &str) -> Option<u128> {
    let find = |name: &str| {
        let known = letters.iter().find(|(n, _)| n.eq_ignore_ascii_case(name));
        known.map(|(_, bits)| u128::from(*bits))
    };
    if letters.is_empty() {
        return None;
    }
    let joined = text.split('+').map(find).collect::<Option<Vec<_>>>();
    let each = || {
        let mut buffer = [0; 4];
        text.chars()
            .map(|c| find(c.encode_utf8(&mut buffer)))
            .collect::<Option<Vec<_>>>()
    };
    let all = joined.or_else(each)?;
    Some(all.into_iter().fold(0, |sum, bits| sum | bits))
}

fn mac(text: &str) -> Option<u128> {
    let parts: Vec<&str> = text.split([':', '-']).collect();
    let byte = |part: &&str| {
        let fits = (1..=2).contains(&part.len());
        u8::from_str_radix(part, 16).ok().filter(|_| fits)
    };
    let bytes: Vec<u8> = parts.iter().map(byte).collect::<Option<_>>()?;
    let bytes: [u8; 6] = bytes.try_into().ok()?;
    Some(bytes.iter().fold(0, |n, b| n << 8 | u128::from(*b)))
}

fn bytes(text: &str, bits: u32) -> Result<u128, String> {
    let wanted = || format!("expected {} bytes in hexadecimal", bits / 8);
    let bytes = hexadecimal(text).ok_or_else(wanted)?;
    if bytes.len() as u32 * 8 != bits || bits > 128 {
        return Err(wanted());
    }
    Ok(bytes.iter().fold(0, |n, b| n << 8 | u128::from(*b)))
}

/// Whether each bit of `slot` has one letter.
fn is_lettered(slot: &Slot) -> bool {
    slot.letters.iter().all(|(name, _)| name.len() == 1)
}

/// How a value of `slot` looks, in a word or two.
pub(super) fn form(slot: &Slot) -> String {
    let bits = slot.place.2;
    match slot.field.kind {
        Kind::Mac => "MAC".to_owned(),
        Kind::Ipv4 => "IPv4".to_owned(),
        Kind::Ipv6 => "IPv6".to_owned(),
        Kind::Bytes | Kind::Text => format!("{} bytes of HEX", bits / 8),
        _ if !slot.letters.is_empty() => {
            let names: Vec<&str> = slot.letters.iter().map(|(name, _)| *name).collect();
            names.join(if is_lettered(slot) { "" } else { "+" })
        }
        _ if bits == 1 => "0 or 1".to_owned(),
        _ => {
            let most = largest(bits).saturating_mul(slot.unit.into());
            format!("0..{most}")
        }
    }
}

/// Appends `value`, a number as it stands in the header, as a word would give it.
pub(super) fn write(slot: &Slot, value: u128, out: &mut String) {
    let scaled = value.saturating_mul(u128::from(slot.unit));
    let _ = match slot.field.kind {
        Kind::Mac => {
            let [.., a, b, c, d, e, f] = value.to_be_bytes();
            write!(out, "{}", Mac([a, b, c, d, e, f]))
        }
        Kind::Ipv4 => write!(out, "{}", Ipv4Addr::from(value as u32)),
        Kind::Ipv6 => write!(out, "{}", Ipv6Addr::from(value)),
        Kind::Bytes | Kind::Text => {
            let digits = usize::from(slot.place.2) / 4;
            write!(out, "{value:0digits$x}")
        }
        _ if spelled(slot, value, out) => Ok(()),
        Kind::Hex(digits) => write!(out, "{scaled:#0width$x}", width = usize::from(digits) + 2),
        _ => write!(out, "{scaled}"),
    };
}

/// Appends the letters of `value`, when they say all of it.
fn spelled(slot: &Slot, value: u128, out: &mut String) -> bool {
    let all = slot.letters.iter().fold(0, |sum, (_, bits)| sum | bits);
    if value == 0 || value & !u128::from(all) != 0 {
        return false;
    }
    let single = is_lettered(slot);
    let set = slot.letters.iter();
    let mut set = set.filter(|(_, bits)| value & u128::from(*bits) != 0);
    if let Some((first, _)) = set.next() {
        out.push_str(first);
    }
    for (name, _) in set {
        if !single {
            out.push('+');
        }
        out.push_str(name);
    }
    true
}

/// The largest number of so many bits, up to 128.
pub(super) fn largest(bits: u16) -> u128 {
    let unused = 128 - u32::from(bits.min(128));
    u128::MAX.checked_shr(unused).unwrap_or(0)
}

/// The number in `place` of a header; `None` where the header ends before it.
pub(super) fn get(header: &[u8], (byte, bit, bits): (u16, u8, u16)) -> Option<u128> {
    let first = usize::from(byte);
    let end = u32::from(bit) + u32::from(bits);
    let slice = header.get(first..first + end.div_ceil(8) as usize)?;
    // A place of up to 128 bits that does not begin at a byte would need 136.
    let whole = slice.iter().fold(0u128, |n, b| n << 8 | u128::from(*b));
    let after = (8 - end % 8) % 8;
    let mask = largest(bits);
    Some(whole >> after & mask)
}

/// Puts `value` into `place` of a header; nothing where the header ends before it.
pub(super) fn put(header: &mut [u8], (byte, bit, bits): (u16, u8, u16), value: u128) {
    let first = usize::from(byte);
    let end = u32::from(bit) + u32::from(bits);
    let Some(slice) = header.get_mut(first..first + end.div_ceil(8) as usize) else {
        return;
    };
    if bit == 0 && bits % 8 == 0 && bits <= 128 {
        let bytes = value.to_be_bytes();
        slice.copy_from_slice(&bytes[bytes.len() - slice.len()..]);
        return;
    }
    let after = (8 - end % 8) % 8;
    let mask = largest(bits) << after;
    let mut value = value << after & mask;
    let mut keep = !mask;
    for byte in slice.iter_mut().rev() {
        *byte = *byte & keep as u8 | value as u8;
        value >>= 8;
        // Above the place everything is kept.
        keep = keep >> 8 | 0xff << 120;
    }
}
