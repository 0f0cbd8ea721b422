//! Expectations of a capture: each holds, or fails at a packet for a reason. What they need is gathered as for answers.

mod rules;
#[cfg(test)]
mod tests;
mod words;

use crate::{
    text::Safe,
    track::answers::{Evidence, Want},
};

/// An expectation that there is.
pub struct Rule {
    /// Its name: `rtt-below`.
    pub name: &'static str,
    /// What stands after `=`.
    pub takes: Takes,
    /// What it expects, in words.
    pub words: &'static str,
    judge: fn(&Evidence, &Given) -> Judged,
}

/// What stands after `=`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Takes {
    /// Nothing.
    Nothing,
    /// A number.
    Number,
    /// A span of time: `50ms`, `1.5s`, `200us`.
    Span,
    /// One of these words.
    Word(&'static [&'static str]),
    /// Any text.
    Text,
}

impl Takes {
    /// An example of what stands after the name.
    pub const fn example(self) -> &'static str {
        match self {
            Self::Nothing => "",
            Self::Number => "=5",
            Self::Span => "=50ms",
            Self::Word(_) => "=WORD",
            Self::Text => "=TEXT",
        }
    }
}

/// The value that was given.
#[derive(Clone, Debug, Default, PartialEq)]
struct Given {
    number: u64,
    /// Nanoseconds.
    span: i64,
    word: &'static str,
    /// Its place among the texts that are looked for.
    text: usize,
}

/// An expectation as it was given.
pub struct Expectation {
    rule: &'static Rule,
    given: Given,
    /// As it was written. Untrusted text.
    pub written: String,
}

/// How an expectation turned out: the packet that proves it or where it failed, its connection, and in words why it failed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// It holds.
    pub holds: bool,
    /// The packet that shows it, where there is one.
    pub packet: Option<u64>,
    /// The `tcp.stream` that failed.
    pub stream: Option<u32>,
    /// Why it failed; safe to show. Empty where it holds.
    pub why: String,
}

/// Where it failed and why, or the packet that shows that it holds.
type Judged = Result<Option<u64>, Failed>;

struct Failed {
    packet: Option<u64>,
    stream: Option<u32>,
    why: String,
}

/// Every expectation there is.
pub use rules::RULES;

/// What is wrong with an expectation.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadExpectation {
    /// No rule has the name.
    #[error("no expectation is called {}", Safe(.0.as_bytes()))]
    Unknown(String),
    /// The value is missing, or of another kind.
    #[error("{name} takes {wanted}")]
    Value {
        /// The rule.
        name: &'static str,
        /// What it takes.
        wanted: String,
    },
}

/// Reads expectations, separated by commas, and says what has to be gathered for them.
///
/// # Errors
/// At the first one that is unknown or has a wrong value.
pub fn read<'w>(
    words: impl IntoIterator<Item = &'w str>,
) -> Result<(Vec<Expectation>, Want), BadExpectation> {
    let mut want = Want::default();
    let mut all = Vec::new();
    for word in words.into_iter().flat_map(|words| words.split(',')) {
        let (name, value) = match word.split_once('=') {
            Some((name, value)) => (name.trim(), Some(value)),
            None => (word.trim(), None),
        };
        let rule = RULES
            .iter()
            .find(|rule| rule.name == name)
            .ok_or_else(|| BadExpectation::Unknown(name.to_owned()))?;
        let given = rule
            .read(value, &mut want)
            .ok_or_else(|| BadExpectation::Value {
                name: rule.name,
                wanted: words::wanted(rule),
            })?;
        want.problems |= rule.needs_problems();
        all.push(Expectation {
            rule,
            given,
            written: word.trim().to_owned(),
        });
    }
    Ok((all, want))
}

impl Rule {
    fn read(&self, value: Option<&str>, want: &mut Want) -> Option<Given> {
        let mut given = Given::default();
        match (self.takes, value) {
            (Takes::Nothing, None) => {}
            (Takes::Number, Some(value)) => given.number = value.trim().parse().ok()?,
            (Takes::Span, Some(value)) => given.span = span(value.trim())?,
            (Takes::Word(words), Some(value)) => {
                given.word = words.iter().find(|word| **word == value.trim())?;
            }
            (Takes::Text, Some(value)) if !value.is_empty() => {
                given.text = want.texts.len();
                want.texts.push(value.as_bytes().to_vec());
            }
            _ => return None,
        }
        Some(given)
    }

    fn needs_problems(&self) -> bool {
        matches!(self.name, "no-wrong-checksum" | "no-malformed")
    }
}

impl Expectation {
    /// Judges it by what was gathered.
    pub fn judge(&self, evidence: &Evidence) -> Verdict {
        match (self.rule.judge)(evidence, &self.given) {
            Ok(packet) => Verdict {
                holds: true,
                packet,
                ..Verdict::default()
            },
            Err(failed) => Verdict {
                holds: false,
                packet: failed.packet,
                stream: failed.stream,
                why: failed.why,
            },
        }
    }
}

/// Nanoseconds of `50ms`, `1.5s`, `200us`, `80ns`.
fn span(text: &str) -> Option<i64> {
    const UNITS: [(&str, f64); 4] = [("ms", 1e6), ("us", 1e3), ("ns", 1.0), ("s", 1e9)];
    let (number, unit) = UNITS
        .iter()
        .find_map(|(name, unit)| Some((text.strip_suffix(name)?, unit)))?;
    let decimal = number.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    let nanos = number.parse::<f64>().ok().filter(|_| decimal)? * unit;
    (nanos < 9e18).then_some(nanos.round() as i64)
}
