//! Patterns for `matches`: regular expressions over bytes, in linear time and bounded memory.

use regex::bytes::{Regex, RegexBuilder};

/// The most memory that one compiled pattern may take, in bytes.
const LARGEST: usize = 1 << 20;

/// Compiles a pattern, small and capital letters alike; the error is a sentence.
pub(super) fn compile(pattern: &[u8]) -> Result<Regex, String> {
    let built = RegexBuilder::new(&text(pattern))
        .case_insensitive(true)
        .unicode(false)
        .size_limit(LARGEST)
        .dfa_size_limit(LARGEST)
        .nest_limit(64)
        .build();
    built.map_err(|error| match error {
        regex::Error::CompiledTooBig(_) => "this pattern is too large".into(),
        error => {
            let text = error.to_string();
            let last = text.lines().last().unwrap_or_default();
            format!("not a pattern: {}", last.trim_start_matches("error: "))
        }
    })
}

/// The bytes as the text that is compiled, which is ASCII: all others become escapes.
fn text(pattern: &[u8]) -> String {
    let mut text = String::new();
    for chunk in pattern.utf8_chunks() {
        for c in chunk.valid().chars() {
            match c.is_ascii() {
                true => text.push(c),
                false => {
                    // One character of several bytes repeats as a whole.
                    text.push_str("(?:");
                    for byte in c.encode_utf8(&mut [0; 4]).bytes() {
                        text.push_str(&format!("\\x{byte:02x}"));
                    }
                    text.push(')');
                }
            }
        }
        for byte in chunk.invalid() {
            text.push_str(&format!("\\x{byte:02x}"));
        }
    }
    text
}
