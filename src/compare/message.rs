//! The messages of the exchange: each bears its number, so that order, duplicates and gaps are seen where they are read.

/// Sent one right after the other, before the server reads for the first time.
pub const BURST: [&[u8]; 3] = [b"one", b"two", b"three"];
/// Digits of a number.
const DIGITS: usize = 4;

/// Bytes of [`BURST`].
pub(super) fn burst_len() -> usize {
    BURST.iter().map(|word| word.len()).sum()
}

/// Message `number`, 9999 at most: its number in four digits, then letters. Where there is no room for four digits, the
/// last ones are kept.
pub(super) fn message(number: u32, payload: usize) -> Vec<u8> {
    let digits = format!("{:04}", number % 10_000);
    let kept = &digits[DIGITS - payload.min(DIGITS)..];
    let letters = (b'a'..=b'z').cycle();
    kept.bytes().chain(letters).take(payload).collect()
}

/// The number that a message bears: of those that end in its digits, the one nearest to `expected`.
pub(super) fn number(bytes: &[u8], expected: u32) -> Option<u32> {
    let digits = &bytes[..bytes.len().min(DIGITS)];
    let said: u32 = std::str::from_utf8(digits).ok()?.parse().ok()?;
    let all = 10_u32.pow(digits.len() as u32);
    let ahead = (said + all - expected % all) % all;
    let next = expected.checked_add(ahead)?;
    match ahead <= all / 2 {
        true => Some(next),
        false => next.checked_sub(all),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_message_says_its_number_and_fills_its_length() {
        assert_eq!(message(7, 8), b"0007abcd");
        assert_eq!(message(1000, 4), b"1000");
        assert_eq!(message(12, 1), b"2");
        assert_eq!(message(3, 65507).len(), 65507);
    }

    #[test]
    fn a_number_is_read_back_also_from_its_last_digit() {
        for payload in [1, 2, 3, 4, 100] {
            for sent in [1, 9, 10, 99, 500, 999, 1000] {
                // Up to four are missing, or one comes again.
                for expected in [sent - sent.min(4), sent, sent + 1] {
                    let read = number(&message(sent, payload), expected);
                    assert_eq!(read, Some(sent), "{payload} {sent} {expected}");
                }
            }
        }
    }

    #[test]
    fn what_is_no_message_has_no_number() {
        for bytes in [&b""[..], b"one", b"\xff\xff\xff\xff", b"-1-1"] {
            assert_eq!(number(bytes, 1), None);
        }
        assert_eq!(number(b"9", 0), None);
    }
}
