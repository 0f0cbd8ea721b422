//! From characters to words, numbers and addresses, each with its column: the longest one that fits, as in libpcap.

use std::net::Ipv6Addr;

use super::{
    ast::{BinOp, RelOp},
    words::{self, Word},
};

/// A piece of an expression.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Token<'a> {
    /// Column, in characters from 0.
    pub(super) at: usize,
    /// Characters.
    pub(super) len: usize,
    /// Place in the expression, in bytes.
    pub(super) byte: usize,
    pub(super) text: &'a str,
    pub(super) kind: Kind,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Kind {
    Word(Word),
    Number(u32),
    /// Two to four numbers with dots; the parser knows what for.
    Dotted,
    Ipv6(u128),
    Mac([u8; 6]),
    /// A name: of a host, a service, a protocol. `\` before it is taken off.
    Name,
    Arith(BinOp),
    Relation(RelOp),
    Open,
    Close,
    OpenIndex,
    CloseIndex,
    Colon,
    /// Nothing that the language knows; what is wrong with it.
    Bad(String),
    /// The end of the expression.
    End,
}

/// Marks, longest first.
const MARKS: &[(&str, Kind)] = &[
    ("&&", Kind::Word(Word::And)),
    ("||", Kind::Word(Word::Or)),
    (">=", Kind::Relation(RelOp::GreaterOrEqual)),
    ("<=", Kind::Relation(RelOp::LessOrEqual)),
    ("!=", Kind::Relation(RelOp::NotEqual)),
    ("==", Kind::Relation(RelOp::Equal)),
    ("<<", Kind::Arith(BinOp::ShiftLeft)),
    (">>", Kind::Arith(BinOp::ShiftRight)),
    ("!", Kind::Word(Word::Not)),
    ("=", Kind::Relation(RelOp::Equal)),
    (">", Kind::Relation(RelOp::Greater)),
    ("<", Kind::Relation(RelOp::Less)),
    ("+", Kind::Arith(BinOp::Add)),
    ("-", Kind::Arith(BinOp::Sub)),
    ("*", Kind::Arith(BinOp::Mul)),
    ("/", Kind::Arith(BinOp::Div)),
    ("%", Kind::Arith(BinOp::Mod)),
    ("&", Kind::Arith(BinOp::And)),
    ("|", Kind::Arith(BinOp::Or)),
    ("^", Kind::Arith(BinOp::Xor)),
    ("(", Kind::Open),
    (")", Kind::Close),
    ("[", Kind::OpenIndex),
    ("]", Kind::CloseIndex),
    (":", Kind::Colon),
];

/// The most characters that an IPv6 address can have.
const LONGEST_ADDRESS: usize = 45;

/// The most characters that a name can have, as in DNS.
const LONGEST_NAME: usize = 255;

/// The tokens of an expression; the last one is the end.
pub(super) fn lex(expression: &str) -> Vec<Token<'_>> {
    let mut tokens = Vec::new();
    let (mut at, mut byte) = (0, 0);
    while let Some(c) = expression[byte..].chars().next() {
        if matches!(c, ' ' | '\t' | '\r' | '\n') {
            (at, byte) = (at + 1, byte + 1);
            continue;
        }
        let (text, kind) = token(&expression[byte..], c);
        let len = text.chars().count();
        tokens.push(Token {
            at,
            len,
            byte,
            text: text.strip_prefix('\\').unwrap_or(text),
            kind,
        });
        (at, byte) = (at + len, byte + text.len());
    }
    tokens.push(Token {
        at,
        len: 1,
        byte,
        text: "",
        kind: Kind::End,
    });
    tokens
}

/// What an expression begins with.
pub(super) fn first(expression: &str) -> Kind {
    let rest = expression.trim_start_matches([' ', '\t', '\r', '\n']);
    let first = rest.chars().next();
    first.map_or(Kind::End, |c| token(rest, c).1)
}

/// The first token of `rest`, which begins with `first`: its text, and what it is.
fn token(rest: &str, first: char) -> (&str, Kind) {
    if first == '\\' {
        let end = rest.find([' ', '!', '(', ')', '\n', '\t']);
        let text = &rest[..end.unwrap_or(rest.len())];
        return match text {
            "\\" => (text, Kind::Bad("expected a name after \\".into())),
            _ if text.len() > LONGEST_NAME => (text, too_long()),
            _ => (text, Kind::Name),
        };
    }
    let name = name(rest);
    if let Some((text, kind)) = colons(rest)
        && text.len() > name.len()
    {
        return (text, kind);
    }
    if !name.is_empty() {
        return (name, named(name));
    }
    if let Some((mark, kind)) = MARKS.iter().find(|(mark, _)| rest.starts_with(mark)) {
        return (&rest[..mark.len()], kind.clone());
    }
    let message = match first {
        '$' => "addresses with $ are those of ARCnet, which sockwire does not read".into(),
        '"' | '\'' => "quotes are for the shell; names stand without them".into(),
        ',' => "lists have no comma: write or, such as port 80 or 443".into(),
        _ if first.is_control() => "a control character has no meaning here".into(),
        _ => format!("{first:?} has no meaning in a capture filter"),
    };
    (&rest[..first.len_utf8()], Kind::Bad(message))
}

/// Letters, digits, `-`, `_` and `.` up to the last letter, digit or dot; it begins with a letter or digit.
fn name(rest: &str) -> &str {
    let inside = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if !rest.starts_with(|c: char| c.is_ascii_alphanumeric()) {
        return "";
    }
    let run = &rest[..rest.find(|c| !inside(c)).unwrap_or(rest.len())];
    run.trim_end_matches(['-', '_'])
}

/// What a run of letters and digits is: a hardware address comes before a number, and both before a name.
fn named(text: &str) -> Kind {
    if text.len() > LONGEST_NAME {
        too_long()
    } else if let Some(word) = words::word(text) {
        Kind::Word(word)
    } else if let Some(number) = words::number(text) {
        Kind::Number(number)
    } else if let Some(mac) = mac(text) {
        Kind::Mac(mac)
    } else if is_number(text) {
        number(text).map_or_else(Kind::Bad, Kind::Number)
    } else if (2..=4).contains(&text.split('.').count()) && text.split('.').all(is_number) {
        Kind::Dotted
    } else {
        Kind::Name
    }
}

fn too_long() -> Kind {
    Kind::Bad(format!("no name has more than {LONGEST_NAME} characters"))
}

/// An address with colons at the beginning of `rest`, or the fault of what looks like one.
fn colons(rest: &str) -> Option<(&str, Kind)> {
    let inside = |c: char| c.is_ascii_hexdigit() || matches!(c, ':' | '.');
    let end = rest.bytes().take(LONGEST_ADDRESS);
    let end = end.take_while(|&b| inside(b.into())).count();
    let run = &rest[..end];
    if run.matches(':').count() < 2 {
        return None;
    }
    if let Ok(address) = run.parse::<Ipv6Addr>() {
        return Some((run, Kind::Ipv6(address.to_bits())));
    }
    if let Some(mac) = mac(run) {
        return Some((run, Kind::Mac(mac)));
    }
    let message = format!("{run} is neither an IPv6 address nor a hardware address");
    Some((run, Kind::Bad(message)))
}

/// A hardware address: six pairs of hex digits between `:`, `-` or `.`, three groups of four between `.`, or twelve digits.
fn mac(text: &str) -> Option<[u8; 6]> {
    let hex = |text: &str| text.bytes().all(|b| b.is_ascii_hexdigit());
    let mut octets = [0; 6];
    for separator in [':', '-', '.'] {
        let mut parts = text.split(separator);
        let whole = octets.iter_mut().all(|octet| {
            let part = parts.next().filter(|p| p.len() <= 2 && hex(p));
            let parsed = part.and_then(|p| u8::from_str_radix(p, 16).ok());
            *octet = parsed.unwrap_or(0);
            parsed.is_some()
        });
        if whole && parts.next().is_none() {
            return Some(octets);
        }
    }
    let digits: String = match text.len() {
        12 => text.into(),
        14 if text.split('.').all(|part| part.len() == 4) => text.replace('.', ""),
        _ => return None,
    };
    let bits = hex(&digits).then(|| u64::from_str_radix(&digits, 16).ok())??;
    octets.copy_from_slice(&bits.to_be_bytes()[2..]);
    Some(octets)
}

/// Decimal, octal or hexadecimal digits.
fn is_number(text: &str) -> bool {
    match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(hex) => !hex.is_empty() && hex.bytes().all(|b| b.is_ascii_hexdigit()),
        None => !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()),
    }
}

/// The value of a number as C writes it.
fn number(text: &str) -> Result<u32, String> {
    let hex = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X"));
    let (digits, radix) = match (hex, text.strip_prefix('0')) {
        (Some(hex), _) => (hex, 16),
        (None, Some(octal)) if !octal.is_empty() => (octal, 8),
        _ => (text, 10),
    };
    if radix == 8 && digits.contains(['8', '9']) {
        return Err(format!(
            "{text} begins with 0, so it is octal, which has no digit 8 or 9"
        ));
    }
    u32::from_str_radix(digits, radix).map_err(|_| format!("{text} does not fit in 32 bits"))
}
