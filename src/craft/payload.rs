//! Layers of plain bytes: text, hexadecimal, zeros, made-up bytes and files.

use std::fmt::Write as _;

use super::parse::Files;
use crate::text::hexadecimal;

/// The words that give bytes, and how their values look.
pub(super) const WORDS: &[(&str, &str)] = &[
    ("text", "hello%20world (%XX is a byte in hexadecimal)"),
    ("hex", "0a0b0c"),
    ("zeros", "COUNT"),
    ("random", "COUNT:SEED"),
    ("file", "NAME"),
];

/// The most bytes that a packet has room for.
pub const MAX_BYTES: usize = 262_144;

/// The bytes that `word=value` stands for; `None` when `word` is none of [`WORDS`].
pub(super) fn bytes(word: &str, value: &str, files: &dyn Files) -> Option<Result<Vec<u8>, String>> {
    Some(match word {
        "text" => text(value),
        "hex" => hexadecimal(value)
            .ok_or_else(|| "expected bytes in hexadecimal, such as 0a0b0c".to_owned()),
        "zeros" => count(value).map(|n| vec![0; n]),
        "random" => random(value),
        "file" => files.read(value),
        _ => return None,
    })
}

/// Bytes behind a layer: hexadecimal, or one of the forms above with a colon (`zeros:6`).
pub(super) fn trailer(value: &str, files: &dyn Files) -> Result<Vec<u8>, String> {
    let (word, rest) = value.split_once(':').unwrap_or(("hex", value));
    bytes(word, rest, files).unwrap_or_else(|| {
        hexadecimal(value).ok_or_else(|| "expected bytes in hexadecimal, or zeros:COUNT".to_owned())
    })
}

fn count(value: &str) -> Result<usize, String> {
    value
        .parse()
        .ok()
        .filter(|n| *n <= MAX_BYTES)
        .ok_or_else(|| format!("expected a number of bytes up to {MAX_BYTES}"))
}

/// Made-up bytes, the same for the same seed (xorshift64*).
fn random(value: &str) -> Result<Vec<u8>, String> {
    let (len, seed) = value.split_once(':').unwrap_or((value, "1"));
    let seed: u64 = seed
        .parse()
        .map_err(|_| "expected COUNT:SEED, such as 100:7")?;
    let mut state = seed ^ 0x9e37_79b9_7f4a_7c15;
    Ok((0..count(len)?)
        .map(|_| {
            state ^= state >> 12;
            state ^= state << 25;
            state ^= state >> 27;
            (state.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 56) as u8
        })
        .collect())
}

/// Text as typed: `%XX` is a byte, and so are `\n`, `\r`, `\t`, `\0`, `\xXX`, for those who quote.
///
/// # Errors
/// What is wrong with it, in words.
pub fn text(value: &str) -> Result<Vec<u8>, String> {
    let mut out = Vec::with_capacity(value.len());
    let mut rest = value.as_bytes();
    let byte = |digits: Option<&[u8]>| {
        let digits = digits.and_then(|d| std::str::from_utf8(d).ok());
        digits
            .filter(|d| d.bytes().all(|c| c.is_ascii_hexdigit()))
            .and_then(|d| u8::from_str_radix(d, 16).ok())
    };
    while let [first, tail @ ..] = rest {
        let (made, used) = match (first, tail.first()) {
            (b'%', _) => (
                byte(tail.get(..2))
                    .ok_or("after % come two hexadecimal digits; % itself is %25")?,
                3,
            ),
            (b'\\', Some(b'x')) => (
                byte(tail.get(1..3)).ok_or("after \\x come two hexadecimal digits")?,
                4,
            ),
            (b'\\', Some(b'n')) => (b'\n', 2),
            (b'\\', Some(b'r')) => (b'\r', 2),
            (b'\\', Some(b't')) => (b'\t', 2),
            (b'\\', Some(b'0')) => (0, 2),
            (b'\\', Some(b'\\')) => (b'\\', 2),
            (&plain, _) => (plain, 1),
        };
        out.push(made);
        rest = &rest[used..];
    }
    Ok(out)
}

/// Appends `bytes` as a layer: as text where that is shorter, in letters that no shell touches. With words to `follow`,
/// which text would swallow, it is never text.
pub(super) fn write(bytes: &[u8], follow: bool, out: &mut String) {
    let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.,:/=+@^".contains(byte);
    let plain = bytes.iter().filter(|byte| is_plain(byte)).count();
    let text = "text=".len() + plain + 3 * (bytes.len() - plain);
    let zeros = bytes.len() > 4 && bytes.iter().all(|b| *b == 0);
    if zeros {
        let _ = write!(out, "zeros={}", bytes.len());
    } else if !follow && !bytes.is_empty() && text < "hex=".len() + 2 * bytes.len() {
        out.push_str("text=");
        for byte in bytes {
            if is_plain(byte) {
                out.push(char::from(*byte));
            } else {
                let _ = write!(out, "%{byte:02x}");
            }
        }
    } else {
        let _ = write!(out, "hex={}", hex::encode(bytes));
    }
}
