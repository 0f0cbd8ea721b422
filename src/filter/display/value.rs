//! Values that are compared: what a packet has, what a filter names, and the order between them.

use std::{
    cmp::Ordering,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use crate::{
    field::Value,
    filter::Names,
    text::{Colons, Safe},
    time::{SECOND, Time},
};

/// What kind of value a field, a slice or a function has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    Bool,
    Number {
        /// The largest that there can be.
        most: u64,
    },
    Signed,
    Mac,
    Ipv4,
    Ipv6,
    Bytes,
    /// The bytes of a protocol.
    Protocol,
    Text,
    /// An address, compared as the text it is shown as.
    Host,
    /// Seconds.
    Time,
    /// A point in time, written as a date.
    Date,
    /// There or not.
    Mark,
}

impl Class {
    /// In words.
    pub(super) const fn words(self) -> &'static str {
        match self {
            Self::Bool => "true or false",
            Self::Number { .. } => "a number",
            Self::Signed => "a signed number",
            Self::Mac => "a hardware address",
            Self::Ipv4 => "an IPv4 address",
            Self::Ipv6 => "an IPv6 address",
            Self::Bytes => "bytes",
            Self::Protocol => "a protocol, which is bytes",
            Self::Text | Self::Host => "text",
            Self::Time => "a time in seconds",
            Self::Date => "a date and time",
            Self::Mark => "a mark without a value",
        }
    }

    /// Both are numbers, both bytes, and so on.
    pub(super) fn compares(self, other: Self) -> bool {
        self.group() == other.group()
    }

    fn group(self) -> u8 {
        match self {
            Self::Bool | Self::Number { .. } | Self::Signed => 1,
            Self::Mac | Self::Bytes | Self::Protocol => 2,
            Self::Ipv4 => 3,
            Self::Ipv6 => 4,
            Self::Text | Self::Host => 5,
            Self::Time => 6,
            Self::Date => 7,
            Self::Mark => 8,
        }
    }

    pub(super) fn is_number(self) -> bool {
        matches!(self, Self::Number { .. } | Self::Signed)
    }

    /// Has bytes that can be cut out, searched, and compared with strings.
    pub(super) fn is_bytes(self) -> bool {
        matches!(self, Self::Mac | Self::Bytes | Self::Protocol)
    }

    pub(super) fn is_text(self) -> bool {
        matches!(self, Self::Text | Self::Host)
    }
}

/// A value at run time. Numbers, flags and times are all [`Item::Number`] (times in nanoseconds).
#[derive(Clone, Copy, Debug)]
pub(super) enum Item<'a> {
    Mark,
    /// What a division by zero yields: no test of it holds, and it fails none that all values must pass.
    Nothing,
    Number(i128),
    Ipv4 {
        address: u32,
        mask: u32,
    },
    Ipv6 {
        address: u128,
        mask: u128,
    },
    Bytes(&'a [u8]),
    /// All bytes of a protocol from its header on, and how many of them are cut and counted.
    Protocol {
        bytes: &'a [u8],
        own: usize,
    },
}

impl<'a> Item<'a> {
    /// What a field's value is.
    pub(super) fn of(value: &'a Value<'a>) -> Self {
        match value {
            Value::Mark => Self::Mark,
            Value::Bool(b) => Self::Number((*b).into()),
            Value::Uint(n) => Self::Number((*n).into()),
            Value::Int(n) | Value::Duration(n) => Self::Number((*n).into()),
            Value::Time(time) => Self::Number(time.nanos().into()),
            Value::Mac(mac) => Self::Bytes(mac),
            Value::Ipv4(address) => Self::Ipv4 {
                address: address.to_bits(),
                mask: u32::MAX,
            },
            Value::Ipv6(address) => Self::Ipv6 {
                address: address.to_bits(),
                mask: u128::MAX,
            },
            Value::Bytes(bytes) | Value::Text(bytes) => Self::Bytes(bytes),
        }
    }

    /// Bytes to compare and to search.
    pub(super) fn bytes(&self) -> Option<&'a [u8]> {
        match self {
            Self::Bytes(bytes) | Self::Protocol { bytes, .. } => Some(bytes),
            _ => None,
        }
    }

    /// Bytes to cut and to count.
    pub(super) fn own(&self) -> Option<&'a [u8]> {
        match self {
            Self::Protocol { bytes, own } => bytes.get(..*own),
            _ => self.bytes(),
        }
    }

    /// The same value, where it borrows nothing.
    pub(super) fn kept(&self) -> Option<Item<'static>> {
        match *self {
            Self::Number(n) => Some(Item::Number(n)),
            Self::Ipv4 { address, mask } => Some(Item::Ipv4 { address, mask }),
            Self::Ipv6 { address, mask } => Some(Item::Ipv6 { address, mask }),
            Self::Mark | Self::Nothing | Self::Bytes(_) | Self::Protocol { .. } => None,
        }
    }

    /// The order of two values of one kind: addresses by the bits that both prefixes cover, `text` by its letters, other
    /// bytes by their number first.
    pub(super) fn order(&self, other: &Item<'_>, text: bool) -> Option<Ordering> {
        match (self, other) {
            (Self::Number(a), Item::Number(b)) => Some(a.cmp(b)),
            (
                Self::Ipv4 {
                    address: a,
                    mask: m,
                },
                Item::Ipv4 {
                    address: b,
                    mask: n,
                },
            ) => Some((a & m & n).cmp(&(b & m & n))),
            (
                Self::Ipv6 {
                    address: a,
                    mask: m,
                },
                Item::Ipv6 {
                    address: b,
                    mask: n,
                },
            ) => Some((a & m & n).cmp(&(b & m & n))),
            _ => {
                let (a, b) = (self.bytes()?, other.bytes()?);
                let number = match text {
                    true => Ordering::Equal,
                    false => a.len().cmp(&b.len()),
                };
                Some(number.then_with(|| a.cmp(b)))
            }
        }
    }
}

/// A value that the filter names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Const {
    Number(i128),
    Ipv4 { address: u32, mask: u32 },
    Ipv6 { address: u128, mask: u128 },
    Bytes(Vec<u8>),
}

impl Const {
    /// The prefix length of a network, as it is written.
    pub(super) fn prefix(&self) -> String {
        match self {
            Self::Ipv4 { mask, .. } if *mask != u32::MAX => format!("/{}", mask.leading_ones()),
            Self::Ipv6 { mask, .. } if *mask != u128::MAX => format!("/{}", mask.leading_ones()),
            _ => String::new(),
        }
    }

    pub(super) fn item(&self) -> Item<'_> {
        match self {
            Self::Number(n) => Item::Number(*n),
            Self::Ipv4 { address, mask } => Item::Ipv4 {
                address: *address,
                mask: *mask,
            },
            Self::Ipv6 { address, mask } => Item::Ipv6 {
                address: *address,
                mask: *mask,
            },
            Self::Bytes(bytes) => Item::Bytes(bytes),
        }
    }
}

/// How the filter wrote a value.
#[derive(Clone, Copy, Debug)]
pub(super) enum Written<'a> {
    Word(&'a str),
    Text(&'a [u8]),
    Char(u8),
}

/// Reads values for one field.
pub(super) struct Reader<'n> {
    /// Whom to ask for the addresses of hosts.
    pub(super) hosts: &'n dyn Names,
    /// Names of the field's values.
    pub(super) names: &'static [(u64, &'static str)],
    /// The field, as the filter has it.
    pub(super) field: &'n str,
}

impl Reader<'_> {
    /// The value of `class` that is written so; the error is a sentence.
    pub(super) fn read(&self, class: Class, written: Written<'_>) -> Result<Const, String> {
        if let Some(number) = self.named(written) {
            return Ok(Const::Number(number));
        }
        match class {
            Class::Bool => self.boolean(written),
            Class::Number { most } => self.number(written, most),
            Class::Signed => self.number(written, u64::MAX),
            Class::Mac => self.mac(written),
            Class::Ipv4 | Class::Ipv6 => self.address(class, written),
            Class::Bytes | Class::Protocol => self.bytes(written),
            Class::Text | Class::Host => Ok(Const::Bytes(match written {
                Written::Word(word) => word.as_bytes().to_vec(),
                Written::Text(text) => text.to_vec(),
                Written::Char(byte) => vec![byte],
            })),
            Class::Time => self.seconds(written),
            Class::Date => self.date(written),
            Class::Mark => Err(format!(
                "{} has no value to compare: it is there or not",
                self.field
            )),
        }
    }

    /// The number that has this name, small and capital letters alike.
    fn named(&self, written: Written<'_>) -> Option<i128> {
        let wanted = match written {
            Written::Word(word) => word.as_bytes(),
            Written::Text(text) => text,
            Written::Char(_) => return None,
        };
        let same = |(_, name): &&(u64, &str)| name.as_bytes().eq_ignore_ascii_case(wanted);
        self.names
            .iter()
            .find(same)
            .map(|(number, _)| i128::from(*number))
    }

    fn boolean(&self, written: Written<'_>) -> Result<Const, String> {
        let word = match written {
            Written::Word(word) => word.as_bytes(),
            Written::Text(text) => text,
            Written::Char(byte) => return Ok(Const::Number((byte != 0).into())),
        };
        for (name, value) in [("true", 1), ("false", 0), ("set", 1), ("not set", 0)] {
            if word.eq_ignore_ascii_case(name.as_bytes()) {
                return Ok(Const::Number(value));
            }
        }
        match std::str::from_utf8(word).ok().and_then(integer) {
            Some(number) => Ok(Const::Number((number != 0).into())),
            None => Err(format!(
                "{} is true or false: compare it with 1 or 0",
                self.field
            )),
        }
    }

    fn number(&self, written: Written<'_>, most: u64) -> Result<Const, String> {
        let word = match written {
            Written::Word(word) => word,
            Written::Char(byte) => return Ok(Const::Number(byte.into())),
            Written::Text(text) => {
                return Err(self.unknown_name(
                    &Safe(text).to_string(),
                    "a number in quotes is text: leave the quotes out",
                ));
            }
        };
        match integer(word) {
            Some(number) if number > i128::from(most) => Err(format!(
                "{number} is too large: {} is at most {most}",
                self.field
            )),
            Some(number) => Ok(Const::Number(number)),
            None => Err(self.unknown_name(word, "a number is expected, such as 80 or 0x50")),
        }
    }

    fn unknown_name(&self, word: &str, otherwise: &str) -> String {
        if self.names.is_empty() || word.starts_with(|c: char| c.is_ascii_digit()) {
            return format!("{word:?} is no value of {}: {otherwise}", self.field);
        }
        let names = || self.names.iter().map(|(_, name)| *name);
        let some = match crate::text::near(word, names()) {
            Some(near) => format!("did you mean {near:?}?"),
            None => format!(
                "it has {:?} and others",
                names().take(3).collect::<Vec<_>>()
            ),
        };
        format!("no value of {} is called {word:?}: {some}", self.field)
    }

    fn mac(&self, written: Written<'_>) -> Result<Const, String> {
        let fault = || {
            format!(
                "{} is a hardware address, such as 02:00:00:00:00:01",
                self.field
            )
        };
        let Written::Word(word) = written else {
            return Err(fault());
        };
        if let Some(bytes) = octets(word).filter(|bytes| bytes.len() == 6) {
            return Ok(Const::Bytes(bytes));
        }
        let known = self.hosts.ether(word).map(|mac| Const::Bytes(mac.to_vec()));
        known.ok_or_else(fault)
    }

    fn bytes(&self, written: Written<'_>) -> Result<Const, String> {
        match written {
            Written::Text(text) => Ok(Const::Bytes(text.to_vec())),
            Written::Char(byte) => Ok(Const::Bytes(vec![byte])),
            Written::Word(word) => octets(word).map(Const::Bytes).ok_or_else(|| {
                let example = "bytes are written 47:45:54 or 474554, text in quotes";
                match word.starts_with("0x") {
                    true => format!("{word} is no single byte, and the order of its bytes is not said: {example}"),
                    false => format!("{word:?} is neither bytes nor text: {example}"),
                }
            }),
        }
    }

    /// An address or the name of a host, with or without a prefix length.
    fn address(&self, class: Class, written: Written<'_>) -> Result<Const, String> {
        let v4 = class == Class::Ipv4;
        let example = if v4 {
            "10.0.0.1 or 10.0.0.0/8"
        } else {
            "fd00::1 or fd00::/8"
        };
        let Written::Word(word) = written else {
            return Err(format!(
                "{} is {}: {example}, without quotes",
                self.field,
                class.words()
            ));
        };
        let (host, prefix) = word
            .split_once('/')
            .map_or((word, None), |(h, p)| (h, Some(p)));
        let most = if v4 { 32 } else { 128 };
        let bits = match prefix.map(str::parse::<u32>) {
            None => most,
            Some(Ok(bits)) if bits <= most => bits,
            Some(_) => {
                return Err(format!(
                    "a prefix of {} has at most {most} bits",
                    class.words()
                ));
            }
        };
        let address = match host.parse() {
            Ok(address) => Some(address),
            // Digits and points alone are a mistyped address: no resolver need see them.
            Err(_) if host.contains(|c: char| c.is_alphabetic()) && !host.contains(':') => {
                let found = self.hosts.host(host);
                found.into_iter().find(|address| address.is_ipv4() == v4)
            }
            Err(_) => None,
        };
        match address {
            Some(IpAddr::V4(address)) if v4 => Ok(Const::Ipv4 {
                address: Ipv4Addr::to_bits(address),
                mask: u32::MAX.checked_shl(32 - bits).unwrap_or(0),
            }),
            Some(IpAddr::V6(address)) if !v4 => Ok(Const::Ipv6 {
                address: Ipv6Addr::to_bits(address),
                mask: u128::MAX.checked_shl(128 - bits).unwrap_or(0),
            }),
            Some(_) if v4 => Err(format!(
                "{host} is an IPv6 address, and {} an IPv4 address: see ipv6.addr",
                self.field
            )),
            Some(_) => Err(format!(
                "{host} is an IPv4 address, and {} an IPv6 address: see ip.addr",
                self.field
            )),
            None => Err(format!(
                "{host:?} is no address and no known host: write {example}"
            )),
        }
    }

    fn seconds(&self, written: Written<'_>) -> Result<Const, String> {
        let number = match written {
            Written::Word(word) => nanos(word),
            _ => None,
        };
        let fault = || format!("{} is a time in seconds, such as 0.25", self.field);
        number.map(Const::Number).ok_or_else(fault)
    }

    fn date(&self, written: Written<'_>) -> Result<Const, String> {
        let text = match written {
            Written::Word(word) => Some(word),
            Written::Text(text) => std::str::from_utf8(text).ok(),
            Written::Char(_) => None,
        };
        let fault = || {
            format!(
                "{} is a date and time, such as \"2024-01-01 12:34:56.5\" (UTC)",
                self.field
            )
        };
        text.and_then(date).map(Const::Number).ok_or_else(fault)
    }
}

/// A number: decimal, `0x`, `0b`, or octal behind a 0; a minus before it is a sign of its own.
pub(super) fn integer(word: &str) -> Option<i128> {
    let (digits, radix) = match word.as_bytes() {
        [b'0', b'x' | b'X', ..] => (&word[2..], 16),
        [b'0', b'b' | b'B', ..] => (&word[2..], 2),
        [b'0', b'0'..=b'9', ..] => (&word[1..], 8),
        _ => (word, 10),
    };
    let sound = digits.starts_with(|c: char| c.is_ascii_hexdigit());
    u64::from_str_radix(digits, radix)
        .ok()
        .filter(|_| sound)
        .map(i128::from)
}

/// Seconds with up to nine decimals, in nanoseconds.
fn nanos(word: &str) -> Option<i128> {
    let (whole, part) = word.split_once('.').unwrap_or((word, "0"));
    let digits = |s: &str| !s.is_empty() && s.bytes().all(|b| b.is_ascii_digit());
    if !digits(whole) || !digits(part) || part.len() > 9 {
        return None;
    }
    let seconds: u64 = whole.parse().ok()?;
    let nanos: u64 = format!("{part:0<9}").parse().ok()?;
    Some(i128::from(seconds) * i128::from(SECOND) + i128::from(nanos))
}

/// A date and time, in nanoseconds since the epoch: with an offset or `Z`, else UTC.
fn date(text: &str) -> Option<i128> {
    let text = text.trim();
    if let Ok(time) = text.parse::<jiff::Timestamp>() {
        return Some(time.as_nanosecond());
    }
    let text = text.trim_end_matches("UTC").trim_end();
    let civil = text.parse::<jiff::civil::DateTime>().ok().or_else(|| {
        let forms = [
            "%b %d, %Y %H:%M:%S%.f",
            "%b %d, %Y %H:%M:%S",
            "%b %d, %Y",
            "%Y-%m-%d %H:%M",
        ];
        forms
            .iter()
            .find_map(|form| jiff::civil::DateTime::strptime(form, text).ok())
    })?;
    let zoned = civil.to_zoned(jiff::tz::TimeZone::UTC).ok()?;
    Some(zoned.timestamp().as_nanosecond())
}

/// Bytes from digits: in pairs between `:`, `-` or `.`, in fours between points, or all in a row; one digit alone is a
/// byte, and so is `0x` before one or two.
fn octets(word: &str) -> Option<Vec<u8>> {
    if let Some(digits) = word.strip_prefix("0x") {
        return (digits.len() <= 2)
            .then(|| u8::from_str_radix(digits, 16).ok().map(|b| vec![b]))?;
    }
    let separator = word
        .find([':', '-', '.'])
        .map(|at| word.as_bytes()[at] as char);
    let Some(separator) = separator else {
        return match word.len() {
            1 => u8::from_str_radix(word, 16).ok().map(|byte| vec![byte]),
            _ => hex::decode(word).ok(),
        };
    };
    let word = word.strip_suffix(separator).unwrap_or(word);
    let mut bytes = Vec::new();
    for part in word.split(separator) {
        match part.len() {
            1 => bytes.push(u8::from_str_radix(part, 16).ok()?),
            2 | 4 => bytes.extend(hex::decode(part).ok()?),
            _ => return None,
        }
    }
    Some(bytes)
}

/// A value in words, safe to show.
pub(super) fn shown(class: Class, item: &Item<'_>) -> String {
    const MOST: usize = 32;
    match item {
        Item::Mark | Item::Nothing => String::new(),
        Item::Number(n) => match class {
            Class::Bool => (*n != 0).to_string(),
            Class::Time | Class::Date => {
                Time::from_nanos(i64::try_from(*n).unwrap_or(i64::MAX)).to_string()
            }
            _ => n.to_string(),
        },
        Item::Ipv4 { address, .. } => Ipv4Addr::from(*address).to_string(),
        Item::Ipv6 { address, .. } => Ipv6Addr::from(*address).to_string(),
        Item::Bytes(bytes) | Item::Protocol { bytes, .. } => {
            let part = &bytes[..bytes.len().min(MOST)];
            let more = if part.len() < bytes.len() { "…" } else { "" };
            match class.is_text() {
                true => format!("\"{}{more}\"", Safe(part)),
                false => format!("{}{more}", Colons(part)),
            }
        }
    }
}
